//! Who signed a request: from its signature to its caller.
//!
//! What signatures are is `partita_auth::sigv4`; who owns an access key is `identities`. Without authentication, region
//! and account are what the request names (`identity`).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use partita_auth::sigv4::{Claim, Message, Payload, SignatureError, SigningKeys};
use partita_db::{Database, Scope};
use partita_model::{ErrorCode, Refusal};

use crate::caller::Caller;
use crate::failure::Failure;
use crate::http::Request;
use crate::identities::Identities;

/// The services whose signatures the operations of DynamoDB, its streams and triggers take.
pub(crate) const DYNAMODB: &[&str] = &["dynamodb"];

/// Those that CloudWatch's operation takes.
pub(crate) const CLOUDWATCH: &[&str] = &["monitoring"];

/// What verifying signatures needs.
#[derive(Debug)]
pub(crate) struct Authentication {
    /// Who owns which access key.
    pub identities: Identities,
    pub(crate) keys: SigningKeys,
}

impl Authentication {
    /// Authentication against these identities.
    pub fn new(identities: Identities) -> Self {
        Self { identities, keys: SigningKeys::default() }
    }

    /// The caller of a request that must be signed for one of `services`.
    ///
    /// # Errors
    /// In DynamoDB's order, all with status 400: `InvalidSignatureException` for two signatures,
    /// `MissingAuthenticationTokenException`, `IncompleteSignatureException`, `InvalidSignatureException` for a wrong time
    /// or scope, `UnrecognizedClientException`, `InvalidSignatureException` for a wrong signature,
    /// `ExpiredTokenException`. `InternalServerError` if the store can not be read.
    pub async fn caller(&self, database: &Database, request: &Request, services: &[&str]) -> Result<Caller, Failure> {
        let now = now();
        let message = Message::new(&request.method, &request.uri, &request.headers);
        let claim = Claim::read(message, services, now).map_err(refusal)?;
        let found = self.identities.find(database, claim.access_key(), claim.session_token()).await?;
        let credential =
            found.filter(|found| found.active).ok_or_else(|| refusal(SignatureError::UnrecognizedClient))?;
        let payload = match request.sent_sha256 {
            Some(digest) => Payload::Sha256(digest),
            None => Payload::Bytes(&request.body),
        };
        claim.verify(message, payload, &credential.secret, &self.keys).map_err(refusal)?;
        if credential.expires.is_some_and(|end| end <= now) {
            return Err(refusal(SignatureError::ExpiredToken));
        }
        let service = services.first().copied().unwrap_or_default();
        self.identities.note_use(database, claim.access_key(), claim.region(), service);
        Ok(Caller {
            scope: Scope { account: Arc::clone(&credential.principal.account), region: claim.region().into() },
            principal: Some(credential.principal),
            attached: credential.attached,
            access_key: Some(claim.access_key().into()),
            secure: request.secured.is_some(),
            source: request.peer.map(|peer| peer.ip()),
        })
    }
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

pub(crate) fn refusal(error: SignatureError) -> Failure {
    let code = match error {
        SignatureError::MissingToken => ErrorCode::MissingAuthenticationTokenException,
        SignatureError::Incomplete(_) => ErrorCode::IncompleteSignatureException,
        SignatureError::Invalid(_) => ErrorCode::InvalidSignatureException,
        SignatureError::UnrecognizedClient => ErrorCode::UnrecognizedClientException,
        SignatureError::ExpiredToken => ErrorCode::ExpiredTokenException,
    };
    Refusal::new(code, error.to_string()).into()
}
