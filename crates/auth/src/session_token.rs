//! Session tokens of temporary credentials: what a session is, encrypted and authenticated under a key of the database's,
//! so that every node can open them and nothing is kept. What stands in them is the caller's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};

/// The form of tokens, their first byte.
const FORM: u8 = 1;
/// Random bytes that each token's own key comes from.
const SALT_BYTES: usize = 16;
/// The longest token that is looked at, in characters.
const MAX_TOKEN: usize = 12_288;

/// Seals a session's contents. A token goes with one access key only.
///
/// Every token has a key of its own, so there is no limit to how many may be made.
///
/// # Errors
/// When the system gives no random bytes.
pub fn seal(key: &[u8; 32], access_key_id: &str, contents: &[u8]) -> Result<String, ring::error::Unspecified> {
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt)?;
    let mut sealed = contents.to_vec();
    own_key(key, &salt)?.seal_in_place_append_tag(nonce(), Aad::from(access_key_id.as_bytes()), &mut sealed)?;
    let mut token = Vec::with_capacity(sealed.len().saturating_add(SALT_BYTES).saturating_add(1));
    token.push(FORM);
    token.extend_from_slice(&salt);
    token.extend_from_slice(&sealed);
    Ok(STANDARD.encode(token))
}

/// The contents of a token; `None` when it was not made under this key for this access key.
#[must_use]
pub fn open(key: &[u8; 32], access_key_id: &str, token: &str) -> Option<Vec<u8>> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let bytes = STANDARD.decode(token).ok()?;
    let (form, rest) = bytes.split_first()?;
    let (salt, sealed) = rest.split_at_checked(SALT_BYTES)?;
    if *form != FORM {
        return None;
    }
    let mut sealed = sealed.to_vec();
    let key = own_key(key, salt).ok()?;
    let contents = key.open_in_place(nonce(), Aad::from(access_key_id.as_bytes()), &mut sealed).ok()?;
    Some(contents.to_vec())
}

/// The key of the token with this salt.
fn own_key(key: &[u8; 32], salt: &[u8]) -> Result<LessSafeKey, ring::error::Unspecified> {
    let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key);
    let okm = derived.expand(&[b"partita session token"], &AES_256_GCM)?;
    Ok(LessSafeKey::new(UnboundKey::from(okm)))
}

/// Each key seals once, so its nonce need not differ.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_with_its_key_and_its_access_key_only() {
        let token = seal(&[7; 32], "ASIAEXAMPLE", b"contents").unwrap();
        assert_eq!(open(&[7; 32], "ASIAEXAMPLE", &token).as_deref(), Some(&b"contents"[..]));
        assert_eq!(open(&[8; 32], "ASIAEXAMPLE", &token), None);
        assert_eq!(open(&[7; 32], "ASIAEXAMPLF", &token), None);
        assert_ne!(seal(&[7; 32], "ASIAEXAMPLE", b"contents").unwrap(), token);
    }

    #[test]
    fn a_changed_token_does_not_open() {
        let token = seal(&[7; 32], "A", b"contents").unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(open(&[7; 32], "A", std::str::from_utf8(&bytes).unwrap()), None, "{at}");
        }
        for bad in ["", "A", "AQ==", &token[..8], &"A".repeat(20_000), "é"] {
            assert_eq!(open(&[7; 32], "A", bad), None, "{bad:.20}");
        }
    }
}
