//! The keys of OpenID Connect issuers: from files that the server was given, or asked of the issuer and kept for a while.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use partita_auth::web_identity::KeySet;
use tokio::sync::Mutex;

/// How long an issuer's keys are used without asking again.
const KEEP: Duration = Duration::from_secs(3600);
/// How long an issuer's keys are used at most while it can not be asked.
const KEEP_WITHOUT_ANSWER: Duration = Duration::from_secs(24 * 3600);
/// How long after an issuer was asked it is not asked again, whatever tokens come.
const PAUSE: Duration = Duration::from_secs(30);
/// The most issuers whose keys are kept.
const MAX_ISSUERS: usize = 256;

/// Gets what a URL has: at most 256 KiB within some seconds.
pub type Fetch = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Bytes, String>> + Send>> + Send + Sync>;

/// A file of keys that can not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds no JSON Web Key Set with a key for RS256 or ES256")]
pub struct JwksError;

/// The keys of issuers.
#[derive(Default)]
pub struct Issuers {
    /// Issuers whose keys were given; they are never asked.
    given: HashMap<String, Arc<KeySet>>,
    fetch: Option<Fetch>,
    /// What each issuer answered. Its own lock, so that one that is slow keeps no other waiting.
    kept: Mutex<HashMap<String, Arc<Mutex<Option<Kept>>>>>,
}

/// What is known of an issuer.
struct Kept {
    /// When it was asked last.
    asked: Instant,
    /// What it answered, with the time; of a failure, only what there was before, while that is not too old.
    keys: Result<(Instant, Arc<KeySet>), String>,
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuers").field("given", &self.given.keys()).finish_non_exhaustive()
    }
}

impl Issuers {
    /// Issuers that are asked for their keys by `fetch`.
    #[must_use]
    pub fn asking(fetch: Fetch) -> Self {
        Self { fetch: Some(fetch), ..Self::default() }
    }

    /// The same with an issuer whose keys are in this key set.
    ///
    /// # Errors
    /// When it is no key set, or has no key that can be used.
    pub fn with_keys(mut self, issuer: impl Into<String>, jwks: &[u8]) -> Result<Self, JwksError> {
        let keys = KeySet::parse(jwks).filter(|keys| !keys.is_empty()).ok_or(JwksError)?;
        self.given.insert(issuer.into(), Arc::new(keys));
        Ok(self)
    }

    /// The keys of an issuer; newer ones if those kept did not have the right one.
    ///
    /// # Errors
    /// Why they can not be had.
    pub(super) async fn keys(&self, issuer: &str, newer: bool) -> Result<Arc<KeySet>, String> {
        self.keys_at(issuer, newer, Instant::now()).await
    }

    async fn keys_at(&self, issuer: &str, newer: bool, now: Instant) -> Result<Arc<KeySet>, String> {
        if let Some(keys) = self.given.get(issuer) {
            return Ok(Arc::clone(keys));
        }
        let of_issuer = {
            let mut kept = self.kept.lock().await;
            if kept.len() >= MAX_ISSUERS && !kept.contains_key(issuer) {
                kept.clear();
            }
            Arc::clone(kept.entry(issuer.to_owned()).or_default())
        };
        // One at a time asks: many requests with tokens of one issuer must not become as many to it.
        let mut known = of_issuer.lock().await;
        if let Some(Kept { asked, keys }) = &*known {
            let good = match keys {
                Ok((answered, _)) if !newer && now.saturating_duration_since(*answered) < KEEP => true,
                _ => now.saturating_duration_since(*asked) < PAUSE,
            };
            if good {
                return keys.clone().map(|(_, keys)| keys);
            }
        }
        let before = known.take().and_then(|kept| kept.keys.ok());
        let keys = match (self.ask(issuer).await, before) {
            (Ok(keys), _) => Ok((now, keys)),
            (Err(error), Some((answered, keys))) if now.saturating_duration_since(answered) < KEEP_WITHOUT_ANSWER => {
                tracing::warn!(issuer, error, "an OpenID Connect issuer does not answer; its keys so far stay");
                Ok((answered, keys))
            }
            (Err(error), _) => Err(error),
        };
        *known = Some(Kept { asked: now, keys: keys.clone() });
        keys.map(|(_, keys)| keys)
    }

    async fn ask(&self, issuer: &str) -> Result<Arc<KeySet>, String> {
        let fetch = self.fetch.as_ref().ok_or("this server asks no issuers for their keys")?;
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let about = fetch(format!("{base}/.well-known/openid-configuration")).await?;
        let about: serde_json::Value = serde_json::from_slice(&about).map_err(|error| error.to_string())?;
        if about.get("issuer").and_then(serde_json::Value::as_str) != Some(issuer) {
            return Err("its configuration names another issuer".to_owned());
        }
        let url = about.get("jwks_uri").and_then(serde_json::Value::as_str).ok_or("it names no jwks_uri")?;
        // Keys that anyone on the way could change prove nothing.
        if !url.starts_with("https://") {
            return Err("its jwks_uri is not https".to_owned());
        }
        let keys = KeySet::parse(&fetch(url.to_owned()).await?).ok_or("its jwks_uri holds no key set")?;
        Ok(Arc::new(keys))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const ISSUER: &str = "https://id.example.com";
    const KEYS: &str = r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#;

    /// Issuers that answer `configuration` and then [`KEYS`], and how often they were asked.
    fn issuers(configuration: &'static str) -> (Issuers, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let fetch: Fetch = Arc::new(move |url| {
            counted.fetch_add(1, Ordering::Relaxed);
            let text = if url.ends_with("openid-configuration") { configuration } else { KEYS };
            Box::pin(async move { Ok(Bytes::from_static(text.as_bytes())) })
        });
        (Issuers::asking(fetch), asked)
    }

    #[tokio::test]
    async fn an_issuer_is_asked_once_and_again_no_sooner_than_after_a_pause() {
        let (issuers, asked) =
            issuers(r#"{"issuer":"https://id.example.com","jwks_uri":"https://id.example.com/keys"}"#);
        for newer in [false, false, true, true] {
            assert_eq!(issuers.keys(ISSUER, newer).await.unwrap().len(), 1);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_issuer_that_fails_keeps_its_keys_for_a_day_and_is_asked_at_most_twice_a_minute() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let fetch: Fetch = Arc::new(move |url| {
            let first = counted.fetch_add(1, Ordering::Relaxed) < 2;
            let about = r#"{"issuer":"https://id.example.com","jwks_uri":"https://id.example.com/keys"}"#;
            let text = if url.ends_with("openid-configuration") { about } else { KEYS };
            Box::pin(async move { if first { Ok(Bytes::from(text)) } else { Err("gone".to_owned()) } })
        });
        let issuers = Issuers::asking(fetch);
        let mut now = Instant::now();
        for (minutes, newer, fetches) in
            [(0, false, 2), (0, true, 2), (1, true, 3), (0, true, 3), (60, false, 4), (0, false, 4)]
        {
            now += Duration::from_secs(minutes * 60);
            assert!(issuers.keys_at(ISSUER, newer, now).await.is_ok());
            assert_eq!(asked.load(Ordering::Relaxed), fetches);
        }
        now += KEEP_WITHOUT_ANSWER;
        assert_eq!(issuers.keys_at(ISSUER, false, now).await.err().as_deref(), Some("gone"));
    }

    #[tokio::test]
    async fn one_issuer_that_is_slow_keeps_no_other_waiting() {
        let fetch: Fetch = Arc::new(|url| {
            Box::pin(async move {
                if url.contains("slow") {
                    std::future::pending::<()>().await;
                }
                let about = r#"{"issuer":"https://id.example.com","jwks_uri":"https://id.example.com/keys"}"#;
                Ok(Bytes::from(if url.ends_with("openid-configuration") { about } else { KEYS }))
            })
        });
        let issuers = Arc::new(Issuers::asking(fetch));
        let waiting = Arc::clone(&issuers);
        let slow = tokio::spawn(async move { waiting.keys("https://slow.example.com", false).await.is_ok() });
        tokio::task::yield_now().await;
        let other = tokio::time::timeout(Duration::from_secs(5), issuers.keys(ISSUER, false)).await;
        assert!(other.unwrap().is_ok());
        slow.abort();
    }

    #[tokio::test]
    async fn a_configuration_that_can_not_be_trusted_is_refused() {
        for configuration in [
            "",
            "{}",
            r#"{"issuer":"https://evil.example.com","jwks_uri":"https://id.example.com/keys"}"#,
            r#"{"issuer":"https://id.example.com","jwks_uri":"http://id.example.com/keys"}"#,
        ] {
            assert!(issuers(configuration).0.keys(ISSUER, false).await.is_err(), "{configuration}");
        }
    }

    #[tokio::test]
    async fn given_keys_need_no_asking() {
        let issuers = Issuers::default().with_keys(ISSUER, KEYS.as_bytes()).unwrap();
        assert_eq!(issuers.keys(ISSUER, true).await.unwrap().len(), 1);
        assert!(issuers.keys("https://other.example.com", false).await.is_err());
        assert!(Issuers::default().with_keys(ISSUER, b"{}").is_err());
    }
}
