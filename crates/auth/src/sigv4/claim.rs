//! What a request says of itself: who signed it, when, for what, and which parts. And the proof of it.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::header::{AUTHORIZATION, DATE};
use http::{HeaderMap, HeaderName};
use ring::digest::{SHA256, digest};

use super::canonical::{Canonical, Message};
use super::error::{hashed, quoted};
use super::keys::{Scope, SigningKeys};
use super::timestamp::Timestamp;
use super::{
    ALGORITHM, SecretKey, SignatureError, TERMINATOR, UNSIGNED_PAYLOAD, X_AMZ_CONTENT_SHA256, X_AMZ_DATE,
    X_AMZ_SECURITY_TOKEN, hex, query, unhex,
};

/// How far a request's time may be from the server's, in seconds.
const SKEW: u64 = 15 * 60;
/// The longest that a presigned request may be valid, in seconds: seven days.
const LONGEST: u64 = 7 * 24 * 60 * 60;
/// The longest access key id, in characters: the model of AccessKey in the IAM API Reference.
const MAX_ACCESS_KEY: usize = 128;
/// The longest session token, in bytes. AWS names no limit; its tokens have hundreds of bytes, with policies some
/// thousand.
const MAX_SESSION_TOKEN: usize = 16 * 1024;
/// The most signed headers. The server takes no request with more headers than this.
const MAX_SIGNED_HEADERS: usize = 100;
/// The longest region's name, in bytes.
const MAX_REGION: usize = 64;

/// The query parameter that makes a request presigned.
const QUERY_ALGORITHM: &[u8] = b"X-Amz-Algorithm";
const QUERY_SIGNATURE: &[u8] = b"X-Amz-Signature";

/// A request's body, as it came over the wire.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// Its SHA-256.
    Sha256([u8; 32]),
}

/// What a request says of itself. Nothing of it is proven before [`Claim::verify`].
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// `AKIAIOSFODNN7EXAMPLE/20150830/us-east-1/dynamodb/aws4_request`.
    credential: Cow<'a, str>,
    /// Where the access key ends in it, and the date, the region and the service.
    ends: [usize; 4],
    /// Lower-case names in order, separated by semicolons.
    signed_headers: Cow<'a, str>,
    /// `None` if it is no 64 hexadecimal digits, which no signature is.
    signature: Option<[u8; 32]>,
    session_token: Option<Cow<'a, str>>,
    /// The time, as `20150830T123600Z`.
    time: Cow<'a, str>,
    presigned: bool,
    unsigned_payload: bool,
}

/// The parts of a claim, as sent and found wherever they are.
struct Parts<'a> {
    algorithm: Cow<'a, str>,
    credential: Cow<'a, str>,
    signature: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    date: Cow<'a, str>,
    /// Whether the date is from the `Date` header, which may be in HTTP's form.
    date_header: bool,
    session_token: Option<Cow<'a, str>>,
    /// For presigned requests, their validity in seconds if they say it.
    presigned: Option<Option<Cow<'a, str>>>,
    unsigned_payload: bool,
}

impl<'a> Claim<'a> {
    /// Reads the claim of a request at `now`, in seconds since the epoch, which must be signed for one of `services`.
    ///
    /// # Errors
    /// In DynamoDB's order: what is missing or malformed, the time, the signed headers, the algorithm, the credential.
    pub fn read(message: Message<'a>, services: &[&str], now: u64) -> Result<Self, SignatureError> {
        let authorization = one(message.headers, &AUTHORIZATION)?;
        let presigned = query::parameters(message.query).any(|(name, _)| name.as_ref() == QUERY_ALGORITHM);
        let parts = match (authorization, presigned) {
            (Some(_), true) => {
                return Err(SignatureError::invalid(
                    "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
                ));
            }
            (Some(header), false) => Parts::of_header(header, message.headers)?,
            (None, true) => Parts::of_query(message)?,
            (None, false) => return Err(SignatureError::MissingToken),
        };
        let now = Timestamp::new(now);
        let time = parts.time()?;
        parts.check_time(time, now)?;
        let signed_headers = signed_headers(parts.signed_headers, message.headers)?;
        if parts.algorithm != ALGORITHM {
            let algorithm = quoted(&parts.algorithm);
            return Err(SignatureError::incomplete(format!(
                "Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). "
            )));
        }
        // In basic form it is what would be written again.
        let time = if parts.date_header { Cow::Owned(time.to_string()) } else { parts.date };
        let ends = scope(&parts.credential, &time, services)?;
        Ok(Self {
            credential: parts.credential,
            ends,
            signed_headers,
            signature: unhex(&parts.signature),
            session_token: parts.session_token,
            time,
            presigned: parts.presigned.is_some(),
            unsigned_payload: parts.unsigned_payload,
        })
    }

    /// The access key that the request says it is signed with.
    #[must_use]
    pub fn access_key(&self) -> &str {
        self.credential.get(..self.ends[0]).unwrap_or_default()
    }

    /// The region that it is signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        self.part(1)
    }

    /// The service that it is signed for.
    #[must_use]
    pub fn service(&self) -> &str {
        self.part(2)
    }

    /// The token of temporary credentials.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    fn part(&self, index: usize) -> &str {
        let (Some(before), Some(&end)) = (self.ends.get(index), self.ends.get(index + 1)) else { return "" };
        self.credential.get(before + 1..end).unwrap_or_default()
    }

    /// Proves that the request is signed with `secret`.
    ///
    /// # Errors
    /// `InvalidSignatureException`.
    pub fn verify(
        &self,
        message: Message<'_>,
        payload: Payload<'_>,
        secret: &SecretKey,
        keys: &SigningKeys,
    ) -> Result<(), SignatureError> {
        let signature = self.signature.ok_or(SignatureError::mismatch())?;
        let said = one(message.headers, &X_AMZ_CONTENT_SHA256)?;
        // The header is one of the signed, so a presigned request's word for an unsigned body is the signer's own.
        let unsigned = self.presigned && (self.unsigned_payload || said == Some(UNSIGNED_PAYLOAD));
        let payload = match payload {
            _ if unsigned => UNSIGNED_PAYLOAD.to_owned(),
            Payload::Bytes(bytes) => hex(digest(&SHA256, bytes).as_ref()),
            Payload::Sha256(digest) => hex(&digest),
        };
        if said.is_some_and(|said| said != payload) {
            return Err(SignatureError::mismatch());
        }
        let without = self.presigned.then_some(QUERY_SIGNATURE);
        let canonical = Canonical {
            message,
            without,
            signed_headers: &self.signed_headers,
            payload: &payload,
            path_as_sent: false,
        };
        let scope = self.credential.get(self.ends[0] + 1..).unwrap_or_default();
        let text = canonical.string_to_sign(&self.time, scope);
        let scope = Scope { date: self.part(0), region: self.region(), service: self.service() };
        let key = keys.key(&self.credential, &scope, secret);
        if !key.verifies(&text, &signature) {
            return Err(SignatureError::mismatch());
        }
        keys.keep(&self.credential, key);
        Ok(())
    }
}

impl<'a> Parts<'a> {
    /// The parts in `Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
    fn of_header(header: &'a str, headers: &'a HeaderMap) -> Result<Self, SignatureError> {
        let header = header.trim_ascii();
        if !header.starts_with("AWS4-") {
            return Err(SignatureError::MissingToken);
        }
        let (algorithm, rest) = header.split_once([' ', ',']).unwrap_or((header, ""));
        if algorithm.contains('=') {
            return Err(SignatureError::incomplete(
                "Authorization header must begin with the algorithm name, which cannot include an equal-sign",
            ));
        }
        const NAMES: [&str; 3] = ["Credential", "Signature", "SignedHeaders"];
        let mut found = [None; 3];
        for parameter in rest.split([',', ' ', '\t']).filter(|parameter| !parameter.is_empty()) {
            let Some((name, value)) = parameter.split_once('=') else {
                return Err(SignatureError::incomplete(format!(
                    "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded \
                     with Base64): '{}'.",
                    hashed(header.as_bytes())
                )));
            };
            for (place, _) in found.iter_mut().zip(NAMES).filter(|(_, known)| *known == name) {
                if place.replace(value).is_some() {
                    return Err(SignatureError::incomplete(format!(
                        "Authorization header has more than one '{name}' parameter."
                    )));
                }
            }
        }
        let amz_date = one(headers, &X_AMZ_DATE)?;
        let date = match amz_date {
            Some(date) => Some(date),
            None => one(headers, &DATE)?,
        };
        let mut wrong = String::new();
        for (value, name) in found.iter().zip(NAMES) {
            if value.is_none_or(str::is_empty) {
                let _ = write!(wrong, "Authorization header requires '{name}' parameter. ");
            }
        }
        if date.is_none() {
            wrong.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
        }
        if !wrong.is_empty() {
            let hash = hashed(header.as_bytes());
            let _ = write!(wrong, "(Hashed with SHA-256 and encoded with Base64) Authorization={hash}");
            return Err(SignatureError::incomplete(wrong));
        }
        let [credential, signature, signed_headers] = found.map(Option::unwrap_or_default).map(Cow::Borrowed);
        Ok(Self {
            algorithm: algorithm.into(),
            credential,
            signature,
            signed_headers,
            date: date.unwrap_or_default().trim_ascii().into(),
            date_header: amz_date.is_none(),
            session_token: session_token(one(headers, &X_AMZ_SECURITY_TOKEN)?.map(Cow::Borrowed))?,
            presigned: None,
            unsigned_payload: false,
        })
    }

    /// The parts in `?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=…`.
    fn of_query(message: Message<'a>) -> Result<Self, SignatureError> {
        const NAMES: [&str; 8] = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Signature",
            "X-Amz-SignedHeaders",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-Security-Token",
            "X-Amz-Content-Sha256",
        ];
        const REQUIRED: usize = 5;
        let mut found: [Option<Cow<'a, str>>; 8] = [const { None }; 8];
        for (name, value) in query::parameters(message.query) {
            for (place, name) in found.iter_mut().zip(NAMES).filter(|(_, known)| known.as_bytes() == name.as_ref()) {
                let value = match &value {
                    Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
                    Cow::Owned(bytes) => String::from_utf8(bytes.clone()).ok().map(Cow::Owned),
                };
                if place.replace(value.unwrap_or_default()).is_some() {
                    return Err(SignatureError::incomplete(format!(
                        "AWS query-string parameters must include '{name}' only once. Re-examine the query-string \
                         parameters."
                    )));
                }
            }
        }
        let mut wrong = String::new();
        for (value, name) in found.iter().zip(NAMES).take(REQUIRED) {
            if value.as_deref().is_none_or(str::is_empty) {
                let _ = write!(wrong, "AWS query-string parameters must include '{name}'. ");
            }
        }
        if !wrong.is_empty() {
            wrong.push_str("Re-examine the query-string parameters.");
            return Err(SignatureError::incomplete(wrong));
        }
        let [algorithm, credential, signature, signed_headers, date, expires, token, payload] = found;
        let token = match token {
            Some(token) => Some(token),
            None => one(message.headers, &X_AMZ_SECURITY_TOKEN)?.map(Cow::Borrowed),
        };
        Ok(Self {
            algorithm: algorithm.unwrap_or_default(),
            credential: credential.unwrap_or_default(),
            signature: signature.unwrap_or_default(),
            signed_headers: signed_headers.unwrap_or_default(),
            date: date.unwrap_or_default(),
            date_header: false,
            session_token: session_token(token)?,
            presigned: Some(expires),
            unsigned_payload: payload.as_deref() == Some(UNSIGNED_PAYLOAD),
        })
    }

    fn time(&self) -> Result<Timestamp, SignatureError> {
        let basic = Timestamp::basic(&self.date);
        let read = if self.date_header { basic.or_else(|| Timestamp::http(&self.date)) } else { basic };
        read.ok_or_else(|| {
            SignatureError::incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
                quoted(&self.date)
            ))
        })
    }

    fn check_time(&self, time: Timestamp, now: Timestamp) -> Result<(), SignatureError> {
        let validity = match &self.presigned {
            Some(Some(expires)) => match expires.parse::<u64>() {
                Ok(seconds) if (1..=LONGEST).contains(&seconds) => seconds,
                _ => {
                    return Err(SignatureError::incomplete(format!(
                        "X-Amz-Expires must be a number of seconds from 1 to {LONGEST}, which is a week"
                    )));
                }
            },
            _ => SKEW,
        };
        let span = |seconds: u64| match seconds % 60 {
            0 => format!("{} min.", seconds / 60),
            _ => format!("{seconds} sec."),
        };
        let oldest = now.earlier(validity);
        if time < oldest {
            return Err(SignatureError::invalid(format!(
                "Signature expired: {time} is now earlier than {oldest} ({now} - {})",
                span(validity)
            )));
        }
        let newest = now.later(SKEW);
        if time > newest {
            return Err(SignatureError::invalid(format!(
                "Signature not yet current: {time} is still later than {newest} ({now} + {})",
                span(SKEW)
            )));
        }
        Ok(())
    }
}

/// The only value of a header; `None` if the request does not have it.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (values.next(), std::str::from_utf8(value.as_bytes())) {
        (None, Ok(value)) => Ok(Some(value)),
        _ => Err(SignatureError::incomplete(format!("The {name} header must have one value, in UTF-8"))),
    }
}

fn session_token(token: Option<Cow<'_, str>>) -> Result<Option<Cow<'_, str>>, SignatureError> {
    match token {
        Some(token) if token.len() > MAX_SESSION_TOKEN => Err(SignatureError::UnrecognizedClient),
        // Some clients send an empty token for credentials that have none.
        token => Ok(token.filter(|token| !token.is_empty())),
    }
}

/// The names of the signed headers as they are signed, if all are among them that must be.
fn signed_headers<'a>(names: Cow<'a, str>, headers: &HeaderMap) -> Result<Cow<'a, str>, SignatureError> {
    if names.split(';').count() > MAX_SIGNED_HEADERS {
        return Err(SignatureError::mismatch());
    }
    let in_order = names.split(';').is_sorted() && !names.bytes().any(|byte| byte.is_ascii_uppercase());
    let names = if in_order {
        names
    } else {
        let lower = names.to_ascii_lowercase();
        let mut all: Vec<&str> = lower.split(';').collect();
        all.sort_unstable();
        Cow::Owned(all.join(";"))
    };
    let is_signed = |name: &str| names.split(';').any(|signed| signed == name);
    if !is_signed("host") {
        return Err(SignatureError::invalid(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    // The session token may be added after signing, as in the case post-sts-header-after of AWS's test suite: it is
    // proven by the key that goes with it.
    let must_be = |name: &&HeaderName| name.as_str().starts_with("x-amz-") && **name != X_AMZ_SECURITY_TOKEN;
    if let Some(name) = headers.keys().filter(must_be).find(|name| !is_signed(name.as_str())) {
        return Err(SignatureError::invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
    }
    Ok(names)
}

/// Where the parts of a credential end, if it is for this time and one of these services.
fn scope(credential: &str, time: &str, services: &[&str]) -> Result<[usize; 4], SignatureError> {
    let mut parts = credential.split('/');
    let (Some(key), Some(date), Some(region), Some(service), Some(terminator), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SignatureError::incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
            quoted(credential)
        )));
    };
    let mut wrong = Vec::new();
    let in_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=MAX_REGION).contains(&region.len()) || !region.bytes().all(in_region) {
        wrong.push(format!("Credential should be scoped to a valid region, not '{}'.", quoted(region)));
    }
    if !services.contains(&service) {
        let service = services.first().copied().unwrap_or_default();
        wrong.push(format!("Credential should be scoped to correct service: '{service}'."));
    }
    if terminator != TERMINATOR {
        wrong.push(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'.",
            quoted(terminator)
        ));
    }
    let day = time.get(..8).unwrap_or_default();
    if date != day {
        wrong.push(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', \
             from '{time}'.",
            quoted(date)
        ));
    }
    if !wrong.is_empty() {
        return Err(SignatureError::invalid(wrong.join(" ")));
    }
    if key.len() > MAX_ACCESS_KEY {
        return Err(SignatureError::UnrecognizedClient);
    }
    let after_key = key.len();
    let after_date = after_key + 1 + date.len();
    let after_region = after_date + 1 + region.len();
    Ok([after_key, after_date, after_region, after_region + 1 + service.len()])
}
