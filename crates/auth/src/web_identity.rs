//! Tokens of OpenID Connect providers: JSON Web Tokens (RFC 7519) signed with RS256 or ES256, and the key sets (RFC 7517)
//! that verify them. Where key sets come from is `api`'s.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::Value;

/// The longest token, in characters (the STS API's `clientTokenType`).
const MAX_TOKEN: usize = 20_000;
/// The most keys of a set that are looked at.
const MAX_KEYS: usize = 100;
/// How far clocks may be apart when a token says that it is of the future, in seconds.
const SKEW_SECONDS: u64 = 60;
/// The bytes of a coordinate of P-256.
const COORDINATE_BYTES: usize = 32;

/// Why a token does not stand for anyone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of the form that is expected.
    #[error("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")]
    Malformed,
    /// Its algorithm is not RS256 or ES256.
    #[error("Token signing algorithm must be RS256 or ES256")]
    Algorithm,
    /// No key of the set could have signed it: the set may be out of date.
    #[error("Couldn't retrieve verification key from your identity provider")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("Token signature invalid")]
    Signature,
    /// It comes from someone else.
    #[error("Incorrect token issuer")]
    Issuer,
    /// It is meant for someone else.
    #[error("Incorrect token audience")]
    Audience,
    /// It has expired, at this second since the epoch.
    #[error("Token expired")]
    Expired(u64),
    /// It is not valid yet.
    #[error("Token is not valid yet")]
    NotYet,
}

/// The keys of a provider.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point of P-256.
    P256(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
}

impl KeySet {
    /// Reads a key set. Keys of other kinds, and keys that are not for signatures, are passed over.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        let set: Value = serde_json::from_slice(json).ok()?;
        let keys = set.get("keys")?.as_array()?;
        Some(Self { keys: keys.iter().take(MAX_KEYS).filter_map(Key::parse).collect() })
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Key {
    fn parse(json: &Value) -> Option<Self> {
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|of| of != "sig") {
            return None;
        }
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let (algorithm, material) = match text("kty")? {
            "RSA" => ("RS256", Material::Rsa { modulus: bytes("n")?, exponent: bytes("e")? }),
            "EC" if text("crv") == Some("P-256") => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
                    return None;
                }
                ("ES256", Material::P256([&[4], x.as_slice(), y.as_slice()].concat()))
            }
            _ => return None,
        };
        if text("alg").is_some_and(|of| of != algorithm) {
            return None;
        }
        Some(Self { id: text("kid").map(str::to_owned), material })
    }

    fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        let kind = match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
        };
        kind == algorithm && (id.is_none() || self.id.is_none() || self.id.as_deref() == id)
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
        }
    }
}

/// A token that has been read but not verified: good for finding its issuer's keys, and nothing else.
#[derive(Debug)]
pub struct Unverified<'a> {
    /// Header and claims, as they were signed.
    message: &'a [u8],
    algorithm: Algorithm,
    key_id: Option<String>,
    signature: Vec<u8>,
    claims: Value,
    issuer: String,
}

impl std::fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        })
    }
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who it stands for.
    pub subject: String,
    /// For whom it was made.
    pub audience: String,
    /// Its authentication methods, if it names any.
    pub methods: Vec<String>,
    /// When it ends, in seconds since the epoch.
    pub expires: u64,
}

impl<'a> Unverified<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError::Malformed`], [`TokenError::Algorithm`].
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
        let json = |part: &str| serde_json::from_slice::<Value>(&decoded(part)?).map_err(|_| TokenError::Malformed);
        let (header, claims) = (json(header)?, json(claims)?);
        let algorithm = match header.get("alg").and_then(Value::as_str) {
            Some("RS256") => Algorithm::Rs256,
            Some("ES256") => Algorithm::Es256,
            _ => return Err(TokenError::Algorithm),
        };
        // What a token says is critical would have to be understood (RFC 7515); nothing is.
        if header.get("crit").is_some() {
            return Err(TokenError::Malformed);
        }
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or(TokenError::Malformed)?.to_owned();
        let key_id = header.get("kid").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { message: message.as_bytes(), algorithm, key_id, signature: decoded(signature)?, claims, issuer })
    }

    /// Who the token says made it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Verifies the token: signature, issuer, audience, times. `now` is in seconds since the epoch.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, keys: &KeySet, issuer: &str, audiences: &[String], now: u64) -> Result<Claims, TokenError> {
        let mut fitting = keys.keys.iter().filter(|key| key.fits(self.algorithm, self.key_id.as_deref())).peekable();
        if fitting.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        if !fitting.any(|key| key.verifies(self.message, &self.signature)) {
            return Err(TokenError::Signature);
        }
        if self.issuer != issuer {
            return Err(TokenError::Issuer);
        }
        let audience = self.audience(audiences).ok_or(TokenError::Audience)?;
        let seconds = |name: &str| match self.claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_u64().or_else(|| whole(value.as_f64()?)).map(Some).ok_or(TokenError::Malformed),
        };
        let expires = seconds("exp")?.ok_or(TokenError::Malformed)?;
        if expires <= now {
            return Err(TokenError::Expired(expires));
        }
        let latest = now.saturating_add(SKEW_SECONDS);
        if seconds("nbf")?.is_some_and(|time| time > latest) || seconds("iat")?.is_some_and(|time| time > latest) {
            return Err(TokenError::NotYet);
        }
        let subject = self.claims.get("sub").and_then(Value::as_str).ok_or(TokenError::Malformed)?.to_owned();
        let methods = texts(self.claims.get("amr"));
        Ok(Claims { subject, audience, methods, expires })
    }

    /// The audience of the token that is among those expected. Where there is an authorized party, it is the one, as in
    /// AWS.
    fn audience(&self, expected: &[String]) -> Option<String> {
        let named = match self.claims.get("azp").and_then(Value::as_str) {
            Some(party) => vec![party.to_owned()],
            None => texts(self.claims.get("aud")),
        };
        named.into_iter().find(|audience| expected.contains(audience))
    }
}

/// A text, or a list of texts.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Seconds that are written with a fraction.
fn whole(number: f64) -> Option<u64> {
    // Seconds beyond this are no time that anyone means.
    const MOST: f64 = 1e12;
    let fits = (0.0..=MOST).contains(&number);
    if fits { format!("{:.0}", number.floor()).parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    const ISSUER: &str = "https://id.example.com";
    const NOW: u64 = 1_800_000_000;

    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap())
        }

        fn keys(&self, more: &str) -> KeySet {
            let point = self.0.public_key().as_ref();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
            let json = format!(
                r#"{{"keys":[{{"kty":"oct","k":"AAAA"}},{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"{more}}}]}}"#
            );
            KeySet::parse(json.as_bytes()).unwrap()
        }

        fn sign(&self, header: &str, claims: &str) -> String {
            let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn claims(more: &str) -> String {
        let expires = NOW + 60;
        format!(r#"{{"iss":"{ISSUER}","sub":"alice","aud":["other","app"],"exp":{expires}{more}}}"#)
    }

    fn verify(token: &str, keys: &KeySet) -> Result<Claims, TokenError> {
        Unverified::parse(token)?.verify(keys, ISSUER, &["app".to_owned()], NOW)
    }

    #[test]
    fn a_token_of_the_issuer_for_the_audience_stands_for_its_subject() {
        let signer = Signer::new();
        let token = signer.sign(r#"{"alg":"ES256","kid":"k"}"#, &claims(r#","amr":["pwd"],"nbf":1799999999.5"#));
        let found = verify(&token, &signer.keys(r#","kid":"k""#)).unwrap();
        assert_eq!((found.subject.as_str(), found.audience.as_str()), ("alice", "app"));
        assert_eq!((found.methods, found.expires), (vec!["pwd".to_owned()], NOW + 60));
    }

    #[test]
    fn what_is_wrong_with_a_token_is_told() {
        let signer = Signer::new();
        let keys = signer.keys("");
        let header = r#"{"alg":"ES256"}"#;
        let with = |more: &str| verify(&signer.sign(header, &claims(more)), &keys).unwrap_err();
        assert_eq!(with(r#","azp":"other""#), TokenError::Audience);
        assert_eq!(with(&format!(r#","nbf":{}"#, NOW + 61)), TokenError::NotYet);
        assert_eq!(with(&format!(r#","iat":{}"#, NOW + 3600)), TokenError::NotYet);
        assert_eq!(with(r#","nbf":"soon""#), TokenError::Malformed);
        let of = |claims: &str| verify(&signer.sign(header, claims), &keys).unwrap_err();
        assert_eq!(of(&claims("").replace(&(NOW + 60).to_string(), &NOW.to_string())), TokenError::Expired(NOW));
        assert_eq!(of(&claims("").replace("\"exp\"", "\"x\"")), TokenError::Malformed);
        assert_eq!(of(&claims("").replace(ISSUER, "https://evil.example.com")), TokenError::Issuer);
        assert_eq!(of(&claims("").replace("app", "App")), TokenError::Audience);
        assert_eq!(of("{}"), TokenError::Malformed);
        let token = signer.sign(header, &claims(""));
        assert_eq!(verify(&token, &Signer::new().keys("")).unwrap_err(), TokenError::Signature);
        let named = signer.sign(r#"{"alg":"ES256","kid":"new"}"#, &claims(""));
        assert_eq!(verify(&named, &signer.keys(r#","kid":"old""#)).unwrap_err(), TokenError::UnknownKey);
        for (header, error) in [
            (r#"{"alg":"none"}"#, TokenError::Algorithm),
            (r#"{"alg":"HS256"}"#, TokenError::Algorithm),
            (r#"{"alg":"RS256"}"#, TokenError::UnknownKey),
            (r#"{"alg":"ES256","crit":["x"]}"#, TokenError::Malformed),
        ] {
            assert_eq!(verify(&signer.sign(header, &claims("")), &keys).unwrap_err(), error, "{header}");
        }
        for bad in ["", ".", "..", "a.b.c", "{}.{}.", &"a".repeat(MAX_TOKEN + 1)] {
            assert_eq!(verify(bad, &keys).unwrap_err(), TokenError::Malformed, "{bad:.20}");
        }
    }

    #[test]
    fn keys_that_are_not_for_these_signatures_are_passed_over() {
        let signer = Signer::new();
        assert_eq!(signer.keys("").len(), 1);
        for more in [r#","use":"enc""#, r#","alg":"ES384""#] {
            assert!(signer.keys(more).is_empty(), "{more}");
        }
        for bad in ["", "[]", "{}", r#"{"keys":1}"#] {
            assert!(KeySet::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        let odd = br#"{"keys":[1,{},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"!","e":"AQAB"}]}"#;
        assert!(KeySet::parse(odd).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "[a-zA-Z0-9._{}\":-]{0,200}") {
            let _ = Unverified::parse(&text);
            let _ = KeySet::parse(text.as_bytes());
        }
    }
}
