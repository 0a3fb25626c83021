//! What requests are signed with: from the environment or the files of the AWS command line, never from a command's own
//! arguments, which every user of a machine can read.

use std::fmt;
use std::path::{Path, PathBuf};

use partita_auth::sigv4::SecretKey;

/// An access key and its secret.
#[derive(Clone)]
pub struct Credentials {
    /// The access key's id.
    pub access_key: String,
    /// Its secret.
    pub secret: SecretKey,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Whose credentials are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What the names of the side's own variables begin with, as `PARTITA_FROM_`; `None` when there is one side only.
    pub prefix: Option<&'a str>,
    /// The profile of the credentials file that was asked for.
    pub profile: Option<&'a str>,
}

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can not be read.
    #[error("the credentials file {path} can not be read: {error}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The profile that was asked for has no keys.
    #[error("{path} has no access key for profile {profile}; for profiles that sign in or assume roles, give the \
             environment what `aws configure export-credentials --profile {profile} --format env` prints",
            path = .path.display())]
    NoProfile {
        /// The file.
        path: PathBuf,
        /// The profile.
        profile: String,
    },
    /// One half is there.
    #[error("{0} is set, but its secret is not")]
    NoSecret(String),
}

impl Side<'_> {
    /// The side's credentials: of the profile that was asked for, of its own variables (`…ACCESS_KEY_ID`,
    /// `…SECRET_ACCESS_KEY`, `…SESSION_TOKEN` behind the prefix), of the `AWS_` variables, or of the default profile;
    /// `None` when there are none anywhere. `variable` reads the environment.
    ///
    /// # Errors
    /// When what was asked for is not there, or is there by half.
    pub fn credentials(
        self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Credentials>, CredentialsError> {
        let file = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(|| {
            let home = variable("HOME")?;
            Some(Path::new(&home).join(".aws").join("credentials"))
        });
        if let Some(profile) = self.profile {
            let file = file.unwrap_or_default();
            let found = of_file(&file, profile)?;
            let missing = || CredentialsError::NoProfile { path: file.clone(), profile: profile.to_owned() };
            return found.ok_or_else(missing).map(Some);
        }
        for prefix in self.prefix.into_iter().chain(["AWS_"]) {
            let name = |what: &str| format!("{prefix}{what}");
            let set = |what: &str| variable(&name(what)).filter(|value| !value.is_empty());
            let Some(access_key) = set("ACCESS_KEY_ID") else { continue };
            let secret = set("SECRET_ACCESS_KEY").ok_or_else(|| CredentialsError::NoSecret(name("ACCESS_KEY_ID")))?;
            let session_token = set("SESSION_TOKEN");
            return Ok(Some(Credentials { access_key, secret: SecretKey::new(&secret), session_token }));
        }
        let profile = variable("AWS_PROFILE").filter(|profile| !profile.is_empty());
        match (file, profile) {
            (Some(file), Some(profile)) => {
                let found = of_file(&file, &profile)?;
                found.ok_or(CredentialsError::NoProfile { path: file, profile }).map(Some)
            }
            (Some(file), None) if file.exists() => of_file(&file, "default"),
            _ => Ok(None),
        }
    }
}

fn of_file(path: &Path, profile: &str) -> Result<Option<Credentials>, CredentialsError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| CredentialsError::File { path: path.to_owned(), error })?;
    Ok(of_text(&text, profile))
}

/// The keys of a profile in the form of `~/.aws/credentials`.
fn of_text(text: &str, profile: &str) -> Option<Credentials> {
    let (mut inside, mut access_key, mut secret, mut token) = (false, None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.split(']').next().map(str::trim) == Some(profile);
        } else if inside && let Some((name, value)) = line.split_once('=') {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim() {
                "aws_access_key_id" => access_key = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(Credentials { access_key: access_key?, secret: SecretKey::new(&secret?), session_token: token })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)], prefix: Option<&str>, profile: Option<&str>) -> Option<String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let found = Side { prefix, profile }.credentials(variable).unwrap();
        found.map(|credentials| credentials.access_key)
    }

    #[test]
    fn a_sides_own_variables_come_before_the_common_ones() {
        let both = [
            ("AWS_ACCESS_KEY_ID", "common"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("PARTITA_TO_ACCESS_KEY_ID", "own"),
            ("PARTITA_TO_SECRET_ACCESS_KEY", "s"),
        ];
        assert_eq!(found(&both, Some("PARTITA_TO_"), None).unwrap(), "own");
        assert_eq!(found(&both, Some("PARTITA_FROM_"), None).unwrap(), "common");
        assert_eq!(found(&[("HOME", "/nowhere")], Some("PARTITA_FROM_"), None), None);
    }

    #[test]
    fn half_a_key_and_a_profile_that_is_not_there_are_refused() {
        let variable = |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| "id".to_owned());
        assert!(matches!(
            Side { prefix: None, profile: None }.credentials(variable),
            Err(CredentialsError::NoSecret(name)) if name == "AWS_ACCESS_KEY_ID"
        ));
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("credentials");
        std::fs::write(&file, "[default]\naws_access_key_id = a\naws_secret_access_key = b\n[ other ]\n").unwrap();
        let path = file.to_str().unwrap().to_owned();
        let variable = move |name: &str| (name == "AWS_SHARED_CREDENTIALS_FILE").then(|| path.clone());
        let of = |profile| Side { prefix: None, profile }.credentials(&variable);
        assert_eq!(of(None).unwrap().unwrap().access_key, "a");
        assert!(matches!(of(Some("other")), Err(CredentialsError::NoProfile { .. })));
    }

    #[test]
    fn credentials_do_not_show_their_secrets() {
        let text = "[p]\naws_access_key_id=a\naws_secret_access_key=hidden\naws_session_token=concealed\n";
        let shown = format!("{:?}", of_text(text, "p").unwrap());
        assert!(!shown.contains("hidden") && !shown.contains("concealed"), "{shown}");
    }
}
