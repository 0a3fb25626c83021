//! Why an object could not be written or read. Texts are for operators and for the failure messages of jobs: they name
//! objects and hosts, never credentials.

use thiserror::Error;

/// Why an object could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ObjectError {
    /// There is no object under this key.
    #[error("there is no object {0}")]
    NotThere(String),
    /// There is no bucket, or it is not where the store looks for it.
    #[error("there is no bucket {0}")]
    NoBucket(String),
    /// The store refuses: wrong credentials, or no permission.
    #[error("the store refuses: {0}")]
    Forbidden(String),
    /// The store can not be reached, is full or fails. Trying again may help.
    #[error("the store failed: {0}")]
    Unavailable(String),
    /// What came back is not what was written. Trying again does not help.
    #[error("an object is damaged: {0}")]
    Damaged(String),
    /// The key is none that this store can have.
    #[error("not a key that can be used here: {0}")]
    InvalidKey(String),
    /// The object is longer than the caller wants to hold.
    #[error("the object {key} is longer than {most} bytes")]
    TooLarge {
        /// The object's key.
        key: String,
        /// The most the caller takes, in bytes.
        most: u64,
    },
}

/// What a store's operation comes to.
pub type Result<T> = std::result::Result<T, ObjectError>;

impl ObjectError {
    /// Whether the object is not there.
    #[must_use]
    pub const fn is_not_there(&self) -> bool {
        matches!(self, Self::NotThere(_))
    }

    /// Whether trying again may help.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
