//! Temporary credentials: what their session tokens say, and giving them out. Nothing of them is stored.

use partita_auth::session_token;
use partita_db::Database;
use partita_db::identity::{new_access_key_id, new_secret};
use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// What the key of session tokens is derived for.
const PURPOSE: &str = "partita 2026-11-22 session tokens of temporary credentials";
/// The most bytes of policies and tags that a session carries; what `PackedPolicySize` is a share of.
pub(super) const MAX_PACKED: usize = 6_144;

/// What a session token says.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The secret access key.
    pub(crate) secret: String,
    /// The account.
    pub(crate) account: String,
    /// Whose session it is.
    pub(crate) of: SessionOf,
    /// When it was made, in seconds since the epoch.
    pub(crate) issued: u64,
    /// When it ends, in seconds since the epoch.
    pub(crate) expires: u64,
    /// Session policies: documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) policies: Vec<String>,
    /// Session policies: ARNs of managed policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) policy_arns: Vec<String>,
    /// Session tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<(String, String)>,
    /// The keys of the tags that pass on to the next role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) transitive: Vec<String>,
    /// Who is behind the session and all that follow it, by the word of whoever assumed the first role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_identity: Option<String>,
    /// For web identities, the provider's condition keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) federated: Vec<(String, String)>,
}

/// Whose session it is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum SessionOf {
    /// The account's root.
    Root,
    /// A user. The id tells it from a later one of the same name.
    User {
        /// Its id; its name may change.
        id: String,
        /// Its name.
        name: String,
    },
    /// A role.
    Role {
        /// The role's id.
        id: String,
        /// The role's name.
        name: String,
        /// The session's name.
        session: String,
    },
}

/// Temporary credentials.
pub(super) struct Issued {
    pub(super) access_key_id: String,
    pub(super) secret: String,
    pub(super) token: String,
    pub(super) expires: u64,
    /// How much of what a session may carry is used, in percent.
    pub(super) packed: usize,
}

/// Gives out credentials for a session. Its secret is made here.
///
/// # Errors
/// `PackedPolicyTooLarge`.
pub(super) fn issue(database: &Database, session: Session) -> Result<Issued, Fault> {
    let carried = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    let tags: usize = session.tags.iter().map(|(key, value)| key.len().saturating_add(value.len())).sum();
    let size = carried(&session.policies).saturating_add(carried(&session.policy_arns)).saturating_add(tags);
    if size > MAX_PACKED {
        let message =
            format!("Packed size of session policies and tags consumes {}% of allotted space.", percent(size));
        return Err(Fault::new(400, "PackedPolicyTooLarge", message));
    }
    let access_key_id = new_access_key_id(true)?;
    let session = Session { secret: new_secret()?, ..session };
    let json = serde_json::to_vec(&session).map_err(|error| Fault::internal(error.to_string()))?;
    let token = session_token::seal(&database.purpose_key(PURPOSE), &access_key_id, &json)
        .map_err(|_| Fault::internal("no random bytes"))?;
    Ok(Issued { access_key_id, secret: session.secret, token, expires: session.expires, packed: percent(size) })
}

fn percent(size: usize) -> usize {
    size.saturating_mul(100).div_ceil(MAX_PACKED)
}

/// The session that a token stands for, if it was given out by this database with this access key.
pub(crate) fn open(database: &Database, access_key_id: &str, token: &str) -> Option<Session> {
    let json = session_token::open(&database.purpose_key(PURPOSE), access_key_id, token)?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use http::{Method, Uri};
    use partita_auth::sigv4::{SecretKey, Signer};
    use partita_engine::OpenOptions;

    use super::*;
    use crate::authenticate::{Authentication, DYNAMODB};
    use crate::http::Request;
    use crate::identities::Identities;

    /// What a request with these credentials is answered, with another token if there is one.
    async fn answer(database: &Database, issued: &Issued, token: Option<&str>) -> Result<String, String> {
        let signer = Signer {
            access_key: issued.access_key_id.clone(),
            secret: SecretKey::new(&issued.secret),
            session_token: Some(token.unwrap_or(&issued.token).to_owned()),
            region: "us-east-1".to_owned(),
            service: "dynamodb".to_owned(),
        };
        let mut signed = http::Request::post("http://localhost/").body("{}".into()).unwrap();
        signer.sign(&mut signed, SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        let mut request = Request::new(Method::POST, Uri::from_static("/"));
        request.headers = signed.headers().clone();
        request.body = signed.into_body();
        let caller = Authentication::new(Identities::new()).caller(database, &request, DYNAMODB).await;
        caller.map(|caller| caller.principal.unwrap().arn()).map_err(|failure| failure.refusal.to_string())
    }

    /// A session of the root that was made at a time, and ends at another.
    fn of(issued: u64, expires: u64) -> Session {
        Session {
            secret: String::new(),
            account: "111122223333".to_owned(),
            of: SessionOf::Root,
            issued,
            expires,
            policies: Vec::new(),
            policy_arns: Vec::new(),
            tags: Vec::new(),
            transitive: Vec::new(),
            source_identity: None,
            federated: Vec::new(),
        }
    }

    #[tokio::test]
    async fn temporary_credentials_hold_until_they_end_and_with_their_own_token_only() {
        let database = Database::open(&OpenOptions::memory()).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let Ok(lasting) = issue(&database, of(now - 3600, now + 60)) else { panic!("not issued") };
        let Ok(ended) = issue(&database, of(now - 3600, now)) else { panic!("not issued") };
        assert_eq!(answer(&database, &lasting, None).await, Ok("arn:aws:iam::111122223333:root".to_owned()));
        assert_eq!(
            answer(&database, &ended, None).await,
            Err("ExpiredTokenException: The security token included in the request is expired".to_owned())
        );
        let unrecognized =
            Err("UnrecognizedClientException: The security token included in the request is invalid.".to_owned());
        assert_eq!(answer(&database, &lasting, Some(&ended.token)).await, unrecognized);
        assert_eq!(answer(&database, &lasting, Some("")).await, unrecognized);
    }

    #[tokio::test]
    async fn no_number_of_sessions_makes_more_be_kept_than_there_is_room_for() {
        let database = Database::open(&OpenOptions::memory()).await.unwrap();
        let identities = Identities::new();
        for _ in 0..5_000 {
            let Ok(issued) = issue(&database, of(0, u64::MAX)) else { panic!("not issued") };
            let (id, token) = (&issued.access_key_id, Some(issued.token.as_str()));
            // Once read, once kept.
            for _ in 0..2 {
                let found = identities.find(&database, id, token).await;
                assert!(found.is_ok_and(|found| found.is_some()));
            }
            assert!(identities.find(&database, id, None).await.is_ok_and(|found| found.is_none()));
        }
        assert!((1_000..=4_096).contains(&identities.kept()), "{}", identities.kept());
    }
}
