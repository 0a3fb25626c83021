//! Who a caller is and what they may do: SigV4, IAM policies and their evaluation, session tokens, tokens of identity
//! providers.
//!
//! Everything here is pure: no I/O, no async, no clock of its own. Where identities are kept is `db`'s; which actions and
//! resources a request names, and the IAM and STS endpoints, are `api`'s.

mod principal;

pub mod policy;
pub mod session_token;
pub mod sigv4;
pub mod web_identity;

pub use principal::{Principal, PrincipalKind};
