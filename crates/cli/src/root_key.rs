//! The access key of the root that an operator gives at the start: in the environment or in a file.
//!
//! Never on the command line, which every user of a machine can read. Access keys in the store are `partita admin`'s.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use partita_api::identities::SecretKey;
use thiserror::Error;

const KEY_VARIABLE: &str = "PARTITA_ROOT_ACCESS_KEY_ID";
const SECRET_VARIABLE: &str = "PARTITA_ROOT_SECRET_ACCESS_KEY";
/// What other users of the machine may do with the file: nothing.
const OTHERS: u32 = 0o007;
/// A file of two lines is no longer than this, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;
/// The fewest and most characters of an access key's id: the model of AccessKey in the IAM API Reference.
const ID_LENGTH: std::ops::RangeInclusive<usize> = 16..=128;
/// The fewest characters of a secret, so that nobody can guess it.
const SECRET_AT_LEAST: usize = 16;

/// An access key and its secret.
#[derive(Debug)]
pub struct RootKey {
    pub id: String,
    pub secret: SecretKey,
}

/// Why there is no root key although one is named. The text is for the operator, and never has the secret.
#[derive(Debug, Error)]
pub enum RootKeyError {
    #[error("{KEY_VARIABLE} and {SECRET_VARIABLE} are given together or not at all")]
    Half,
    #[error("the root's access key is given twice: in {} and in {KEY_VARIABLE}", .0.display())]
    Twice(PathBuf),
    #[error("can not read {}: {error}", file.display())]
    Unreadable { file: PathBuf, error: io::Error },
    #[error("{} can be used by every user of this machine: take their permissions away with chmod o-rwx", .0.display())]
    Open(PathBuf),
    #[error("{} has no lines of the form aws_access_key_id = … and aws_secret_access_key = …", .0.display())]
    Formless(PathBuf),
    #[error("the root's access key must have {} to {} letters, digits and underscores", ID_LENGTH.start(), ID_LENGTH.end())]
    Id,
    #[error("the secret of the root's access key must have at least {SECRET_AT_LEAST} characters")]
    Secret,
}

/// The root's access key, if the environment or `file` names one.
pub fn read(file: Option<&Path>) -> Result<Option<RootKey>, RootKeyError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    // A container tool may name a file of none.
    let file = file.filter(|file| !file.as_os_str().is_empty());
    let (id, secret) = match (file, variable(KEY_VARIABLE), variable(SECRET_VARIABLE)) {
        (None, None, None) => return Ok(None),
        (None, Some(id), Some(secret)) => (id, secret),
        (Some(file), None, None) => read_file(file)?,
        (None, _, _) => return Err(RootKeyError::Half),
        (Some(file), _, _) => return Err(RootKeyError::Twice(file.to_owned())),
    };
    checked(id, &secret).map(Some)
}

fn checked(id: String, secret: &str) -> Result<RootKey, RootKeyError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !ID_LENGTH.contains(&id.len()) || !id.bytes().all(plain) {
        return Err(RootKeyError::Id);
    }
    if secret.chars().count() < SECRET_AT_LEAST {
        return Err(RootKeyError::Secret);
    }
    Ok(RootKey { id, secret: SecretKey::new(secret) })
}

fn read_file(path: &Path) -> Result<(String, String), RootKeyError> {
    let unreadable = |error| RootKeyError::Unreadable { file: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    // The open file's own permissions: a name could be pointed elsewhere meanwhile.
    if file.metadata().map_err(unreadable)?.permissions().mode() & OTHERS != 0 {
        return Err(RootKeyError::Open(path.to_owned()));
    }
    let mut text = String::new();
    file.take(LONGEST_FILE).read_to_string(&mut text).map_err(unreadable)?;
    parse(&text).ok_or_else(|| RootKeyError::Formless(path.to_owned()))
}

/// The key and secret in a file of the form of `~/.aws/credentials`, of which sections and comments do not matter.
fn parse(text: &str) -> Option<(String, String)> {
    let value = |wanted: &str| {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .find_map(|(name, value)| (name.trim().eq_ignore_ascii_case(wanted)).then(|| value.trim().to_owned()))
    };
    Some((value("aws_access_key_id")?, value("aws_secret_access_key")?))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};

    use super::*;

    #[test]
    fn a_file_has_the_form_of_the_clis() {
        let text = "# root\n[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n AWS_SECRET_ACCESS_KEY=a=b/c \n";
        assert_eq!(parse(text), Some(("AKIAIOSFODNN7EXAMPLE".to_owned(), "a=b/c".to_owned())));
        assert_eq!(parse("aws_access_key_id = a"), None);
    }

    #[test]
    fn a_file_that_others_can_use_is_refused() {
        let path = std::env::temp_dir().join(format!("partita-root-key-{}", std::process::id()));
        std::fs::write(&path, "aws_access_key_id = a\naws_secret_access_key = b\n").unwrap();
        for (mode, passes) in [(0o600, true), (0o640, true), (0o604, false), (0o602, false), (0o644, false)] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_file(&path).is_ok(), passes, "{mode:o}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read_file(&path), Err(RootKeyError::Unreadable { .. })));
    }

    #[test]
    fn keys_that_can_be_guessed_are_refused() {
        assert!(checked("AKIAIOSFODNN7EXAMPLE".to_owned(), "0123456789abcdef").is_ok());
        assert!(matches!(checked("AKIAIOSFODNN7EXAMPLE".to_owned(), "local"), Err(RootKeyError::Secret)));
        for id in ["local", "AKIAIOSFODNN7EXAM/LE", ""] {
            assert!(matches!(checked(id.to_owned(), "0123456789abcdef"), Err(RootKeyError::Id)), "{id}");
        }
    }
}
