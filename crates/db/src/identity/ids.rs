//! Ids and secrets in the form that AWS gives them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, Result};

/// The alphabet of ids: base 32.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Characters of an entity's id behind its prefix.
const ENTITY_CHARACTERS: usize = 17;
/// Characters of an access key's id behind its prefix.
const KEY_CHARACTERS: usize = 16;
/// Random bytes of a secret access key, which has 40 characters.
const SECRET_BYTES: usize = 30;

/// What the ids of lasting access keys begin with.
const KEY_PREFIX: &str = "AKIA";
/// What the ids of temporary access keys begin with.
pub const TEMPORARY_KEY_PREFIX: &str = "ASIA";

/// A new id of an entity or policy.
pub(super) fn new_entity_id(prefix: &str) -> Result<String> {
    random_id(prefix, ENTITY_CHARACTERS)
}

/// A new id of an access key: `ASIA…` if it is temporary, else `AKIA…`.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_access_key_id(temporary: bool) -> Result<String> {
    random_id(if temporary { TEMPORARY_KEY_PREFIX } else { KEY_PREFIX }, KEY_CHARACTERS)
}

/// A new secret access key: 40 characters.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_secret() -> Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    fill(&mut bytes)?;
    Ok(STANDARD.encode(bytes))
}

fn random_id(prefix: &str, characters: usize) -> Result<String> {
    let mut bytes = vec![0; characters];
    fill(&mut bytes)?;
    let letter =
        |byte: &u8| ALPHABET.get(usize::from(*byte) % ALPHABET.len()).map_or('A', |letter| char::from(*letter));
    Ok(prefix.chars().chain(bytes.iter().map(letter)).collect())
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Error::Internal(format!("no random bytes: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_secrets_have_the_form_of_awss() {
        let id = new_entity_id("AIDA").unwrap();
        assert_eq!((id.len(), &id[..4]), (21, "AIDA"));
        let key = new_access_key_id(false).unwrap();
        assert_eq!((key.len(), &key[..4]), (20, "AKIA"));
        assert!(key.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_eq!(new_access_key_id(true).unwrap()[..4], *"ASIA");
        assert_eq!(new_secret().unwrap().len(), 40);
        assert_ne!(new_secret().unwrap(), new_secret().unwrap());
    }
}
