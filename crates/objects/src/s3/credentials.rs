//! Who asks a bucket: an access key of the environment, or of a file in the form that the AWS CLI keeps, which is read
//! again now and then, so that keys can be turned over without a restart.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use partita_auth::sigv4::SecretKey;

/// How long what a file said is believed.
const BELIEVED: Duration = Duration::from_secs(60);
/// The most of a file that is read, in bytes.
const FILE_BYTES: u64 = 1 << 20;

/// An access key.
#[derive(Clone, Debug)]
pub(crate) struct AccessKey {
    pub access_key: String,
    pub secret: SecretKey,
    pub session_token: Option<String>,
}

/// Where access keys come from.
#[derive(Debug)]
pub(crate) enum Credentials {
    Fixed(AccessKey),
    File { path: PathBuf, profile: String, known: Mutex<Option<(Instant, AccessKey)>> },
}

impl Credentials {
    pub(crate) fn file(path: PathBuf, profile: String) -> Self {
        Self::File { path, profile, known: Mutex::default() }
    }

    /// The key to sign with now.
    pub(super) async fn current(&self) -> Result<AccessKey, String> {
        let (path, profile, known) = match self {
            Self::Fixed(key) => return Ok(key.clone()),
            Self::File { path, profile, known } => (path, profile, known),
        };
        if let Some((since, key)) = &*known.lock()
            && since.elapsed() < BELIEVED
        {
            return Ok(key.clone());
        }
        let (path, profile) = (path.clone(), profile.clone());
        let read = tokio::task::spawn_blocking(move || read(&path, &profile)).await;
        let key = read.unwrap_or_else(|error| Err(error.to_string()))?;
        *known.lock() = Some((Instant::now(), key.clone()));
        Ok(key)
    }

    /// Whether there are credentials at all, for configurations to be refused that can not work.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Fixed(_) => Ok(()),
            Self::File { path, profile, .. } => read(path, profile).map(drop),
        }
    }
}

fn read(path: &std::path::Path, profile: &str) -> Result<AccessKey, String> {
    use std::io::Read as _;
    let told = |why: &dyn std::fmt::Display| format!("credentials in {}: {why}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| told(&error))?;
    file.take(FILE_BYTES).read_to_string(&mut text).map_err(|error| told(&error))?;
    find(&text, profile).ok_or_else(|| told(&format_args!("no access key under [{profile}]")))
}

/// The access key of a profile in a file of sections with names and values.
fn find(text: &str, profile: &str) -> Option<AccessKey> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut within = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let section = section.trim();
            within = section.strip_prefix("profile ").map_or(section, str::trim) == profile;
        } else if within && let Some((name, value)) = line.split_once('=') {
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "aws_access_key_id" => id = Some(value.to_owned()),
                "aws_secret_access_key" => secret = Some(SecretKey::new(value)),
                "aws_session_token" => token = Some(value.to_owned()),
                _ => {}
            }
        }
    }
    Some(AccessKey { access_key: id?, secret: secret?, session_token: token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_a_file_are_told_apart() {
        let text = "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=S=1\n\n[profile other]\n\
                    AWS_ACCESS_KEY_ID=B\naws_secret_access_key = T\naws_session_token = U\n[half]\naws_access_key_id=C\n";
        let key = find(text, "default").unwrap();
        assert_eq!((key.access_key.as_str(), key.secret.expose(), key.session_token), ("A", b"S=1".as_slice(), None));
        let key = find(text, "other").unwrap();
        assert_eq!((key.access_key.as_str(), key.session_token.as_deref()), ("B", Some("U")));
        assert!(find(text, "half").is_none() && find(text, "none").is_none());
    }
}
