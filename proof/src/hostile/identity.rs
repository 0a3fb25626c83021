//! Signatures, policies and tokens: what strangers send before anybody knows who they are.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use partita_auth::policy::{Access, Attached, Context, DocumentKind, Policy, evaluate};
use partita_auth::sigv4::{Claim, Message, Payload, SecretKey, SigningKeys};
use partita_auth::web_identity::{KeySet, Unverified};
use partita_auth::{Principal, PrincipalKind, session_token};

use super::choice;

/// The time at which claims are read: that of AWS's examples, so that seeds from there are in time.
const NOW: u64 = 1_440_938_160;

/// Lines: method, path, query, then headers; whatever they are, nobody who does not know the secret is let in.
pub(super) fn sigv4(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (method, path, query) = (next(), next(), next());
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.trim())) {
            headers.append(name, value);
        }
    }
    let message = Message { method, path, query, headers: &headers };
    let Ok(claim) = Claim::read(message, &["dynamodb"], NOW) else { return };
    let _said = (claim.access_key(), claim.region(), claim.service(), claim.session_token());
    let secret = SecretKey::new("a secret that no seed was signed with");
    let proven = claim.verify(message, Payload::Bytes(b"{}"), &secret, &SigningKeys::default());
    assert!(proven.is_err(), "a signature was forged");
}

/// A document of any kind; what parses is judged.
pub(super) fn policy(bytes: &[u8]) {
    let Some((which, rest)) = choice(bytes) else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let kinds = [DocumentKind::Identity, DocumentKind::Managed, DocumentKind::Resource, DocumentKind::Trust];
    let Ok(policy) = Policy::parse(text, kinds[which % kinds.len()]) else { return };
    let policy = Arc::new(policy);
    let principal = Principal {
        account: "111122223333".into(),
        kind: PrincipalKind::User { path: "/".into(), name: "alice".into() },
        user_id: "AIDAEXAMPLE".into(),
        tags: vec![("team".into(), "blue".into())],
        token_issued: None,
        federated: Vec::new(),
        transitive: Vec::new(),
    };
    let mut context = Context::default();
    context.set("aws:SourceIp", "10.1.2.3");
    context.set("aws:CurrentTime", "2026-11-22T00:00:00Z");
    context.set_all("dynamodb:LeadingKeys", vec!["alice".to_owned(), "x".to_owned()]);
    context.set_all("dynamodb:Attributes", vec!["pk".to_owned(), "a".to_owned()]);
    let access = Access {
        principal: &principal,
        action: "dynamodb:GetItem",
        resource: "arn:aws:dynamodb:us-east-1:111122223333:table/Users",
        resource_account: "111122223333",
        context: &context,
    };
    for as_boundary in [false, true] {
        let mut attached = Attached { identity: vec![Arc::clone(&policy)], ..Attached::default() };
        attached.boundary = as_boundary.then(|| Arc::clone(&policy));
        let _decision = evaluate(&access, &attached, Some(&policy));
    }
}

/// Tokens of sessions and of identity providers, and providers' key sets.
pub(super) fn tokens(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert!(session_token::open(&[7; 32], "ASIAEXAMPLE", text).is_none(), "a session token was forged");
    let (keys, token) = text.split_once('\n').unwrap_or((text, text));
    let keys = KeySet::parse(keys.as_bytes());
    if let (Some(keys), Ok(token)) = (keys, Unverified::parse(token)) {
        let _verdict = token.verify(&keys, "https://issuer.example.com", &["app".to_owned()], NOW);
    }
}
