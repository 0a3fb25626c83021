//! AWS Signature Version 4: what a request claims, whether its signature proves it, and signing for our own clients.
//!
//! Pure: the time, the secret and the request are given. Where secrets are kept, and what errors look like on the wire,
//! is `api`'s.

mod secret;

pub use secret::SecretKey;
