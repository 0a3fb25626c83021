//! Secret access keys in memory.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A secret access key. Its memory is overwritten when the last clone is dropped, and nothing prints it.
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<Box<[u8]>>>);

impl SecretKey {
    /// The secret of these characters; AWS's have 40.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::new(Zeroizing::new(text.as_bytes().into())))
    }

    /// The secret's bytes, for deriving keys and for sealing them before they are stored.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for SecretKey {
    /// Takes the same time wherever the first difference is.
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.expose(), other.expose());
        one.len() == two.len() && one.iter().zip(two).fold(0, |differs, (one, two)| differs | (one ^ two)) == 0
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed_and_equals_itself_only() {
        let secret = SecretKey::new("wJalrXUtnFEMI");
        assert_eq!(format!("{secret:?}"), "SecretKey");
        assert!(secret == SecretKey::new("wJalrXUtnFEMI"));
        assert!(secret != SecretKey::new("wJalrXUtnFEMJ") && secret != SecretKey::new("wJalrXUtnFEM"));
    }
}
