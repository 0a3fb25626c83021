//! What is signed verifies, what is changed afterwards does not, and nothing makes the parsers fail otherwise.

use http::Uri;
use http::uri::PathAndQuery;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What is changed in a signed request.
#[derive(Clone, Debug)]
enum Change {
    Method,
    Path,
    Query,
    Body(Index, u8),
    Header(usize, Index),
    Signature(Index),
    Secret(Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Method),
        Just(Change::Path),
        Just(Change::Query),
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Body(at, 1 << bit)),
        (0..4usize, any::<Index>()).prop_map(|(header, at)| Change::Header(header, at)),
        any::<Index>().prop_map(Change::Signature),
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Secret(at, 1 << bit)),
    ]
}

/// Another character that neither the canonical form nor HTTP does away with.
fn other(byte: u8) -> u8 {
    if byte == b'0' { b'1' } else { b'0' }
}

proptest! {
    #[test]
    fn what_is_signed_verifies_until_something_changes(
        body in "[ -~]{1,200}",
        path in "(/[a-z%0-9.~ -]{0,9}){0,3}",
        query in "([a-z+%;é]{1,5}=[a-zA-Z0-9/ +]{0,9}&){0,4}",
        token in proptest::option::of("[a-zA-Z0-9+/=]{1,50}"),
        presigned in any::<bool>(),
        change in change(),
    ) {
        let mut request = request(&body);
        let target = format!("http://localhost:8000/{}?{}", path.replace(' ', "%20"), query.replace(' ', "%20"));
        *request.uri_mut() = target.parse().unwrap();
        let signer = Signer { session_token: token, ..signer() };
        if presigned {
            *request.uri_mut() = signer.presign(&request, Duration::from_secs(600), NOW).unwrap();
            request.headers_mut().insert(HOST, "localhost:8000".parse().unwrap());
        } else {
            signer.sign(&mut request, NOW).unwrap();
        }
        let keys = SigningKeys::default();
        let secret = SecretKey::new(SECRET);
        prop_assert_eq!(judge_with(&request, NOW, &secret, &keys), Ok(()));
        // Once more, with the signing key from the cache.
        prop_assert_eq!(judge_with(&request, NOW + 599, &secret, &keys), Ok(()));
        prop_assert_eq!(format!("{keys:?}"), "1 signing keys");

        let mut secret = SECRET.as_bytes().to_vec();
        let target = request.uri().to_string();
        match change {
            Change::Method => *request.method_mut() = http::Method::PUT,
            Change::Path => *request.uri_mut() = target.replace("8000/", "8000/more/").parse().unwrap(),
            Change::Query => *request.uri_mut() = target.replacen('?', "?more=&", 1).parse().unwrap(),
            Change::Body(at, bit) => {
                let mut body = request.body().to_vec();
                let place = at.index(body.len());
                body[place] ^= bit;
                *request.body_mut() = body.into();
            }
            Change::Header(header, at) => {
                let name = ["host", "content-type", "x-amz-target", "x-amz-date"][header];
                let name = if presigned && header == 3 { "x-amz-target" } else { name };
                let mut value = request.headers()[name].as_bytes().to_vec();
                // The time stays within 15 minutes: only its last digit changes.
                let place = if name == "x-amz-date" { value.len() - 2 } else { at.index(value.len()) };
                value[place] = other(value[place]);
                request.headers_mut().insert(name, value.as_slice().try_into().unwrap());
            }
            Change::Signature(at) => {
                let change = |text: &str| {
                    let mut text = text.as_bytes().to_vec();
                    let place = text.len() - 64 + at.index(64);
                    text[place] = other(text[place]);
                    String::from_utf8(text).unwrap()
                };
                if presigned {
                    *request.uri_mut() = change(&target).parse().unwrap();
                } else {
                    let changed = change(request.headers()[AUTHORIZATION].to_str().unwrap());
                    request.headers_mut().insert(AUTHORIZATION, changed.parse().unwrap());
                }
            }
            Change::Secret(at, bit) => secret[at.index(40)] ^= bit & 0x1f | 1,
        }
        let secret = SecretKey::new(std::str::from_utf8(&secret).unwrap());
        prop_assert_eq!(judge_with(&request, NOW, &secret, &keys), Err(SignatureError::mismatch()));
    }

    #[test]
    fn any_header_is_read_or_refused(
        authorization in proptest::collection::vec(32..=255u8, 0..200),
        form in "AWS4-HMAC-SHA256[ ,]{0,2}(Credential|Signature|SignedHeaders|[a-z]{0,3})=?[a-z0-9/;]{0,20}[, ]{0,2}(Credential|Signature|SignedHeaders)=[0-9a-z/;]{0,64}[, ]{0,2}(Credential|Signature|SignedHeaders)=[0-9a-z/;]{0,64}",
        date in "(20150830T123600Z|[ -~]{0,20})",
    ) {
        for value in [authorization.as_slice(), form.as_bytes()] {
            let mut request = request("{}");
            let Ok(value) = http::HeaderValue::from_bytes(value) else { continue };
            request.headers_mut().insert(AUTHORIZATION, value);
            request.headers_mut().insert(X_AMZ_DATE, date.parse().unwrap());
            prop_assert!(judge(&request, NOW).is_err());
        }
    }

    #[test]
    fn any_query_is_read_or_refused(
        query in "(X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)=[0-9a-zA-Z%;/-]{0,64}&){0,9}[!-~]{0,40}",
        path in "/[!-~]{0,40}",
    ) {
        let target = format!("{}?{query}", path.replace(['?', '#'], ""));
        if let Ok(target) = target.parse::<PathAndQuery>() {
            let mut request = request("{}");
            *request.uri_mut() = Uri::from(target);
            prop_assert!(judge(&request, NOW).is_err());
        }
    }
}
