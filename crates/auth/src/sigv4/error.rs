//! Why a request is not believed, in AWS's words.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// The name says the code; the text is the message. DynamoDB answers all of them with status 400; the codes of IAM and
/// STS are others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// `MissingAuthenticationTokenException`.
    #[error("Request is missing Authentication Token")]
    MissingToken,
    /// `IncompleteSignatureException`: parts are missing or malformed.
    #[error("{0}")]
    Incomplete(Cow<'static, str>),
    /// `InvalidSignatureException`: parts contradict each other, the time or the signature.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// `UnrecognizedClientException`: there is no such access key, or it may not be used, or the session token is not
    /// its own.
    #[error("The security token included in the request is invalid.")]
    UnrecognizedClient,
    /// `ExpiredTokenException`: temporary credentials have ended.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
}

impl SignatureError {
    /// The signature is another than that of this request with this secret.
    pub(super) const fn mismatch() -> Self {
        Self::Invalid(Cow::Borrowed(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details.",
        ))
    }

    pub(super) fn incomplete(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Incomplete(message.into())
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(message.into())
    }
}

/// What AWS quotes of an `Authorization` header: not itself, so that it never gets into logs, but its hash.
pub(super) fn hashed(header: &[u8]) -> String {
    STANDARD.encode(digest(&SHA256, header))
}

/// What the client sent, as far as it can be repeated to it.
pub(super) fn quoted(sent: &str) -> Cow<'_, str> {
    const SHOWN: usize = 200;
    match sent.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}…", sent.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(sent),
    }
}
