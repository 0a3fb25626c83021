//! The IAM policy language: documents, and whether they allow an action on a resource.
//!
//! A document is parsed once ([`Policy::parse`]) and asked often ([`evaluate`]). What a request asks is told as an [`Access`];
//! who found out what it names is `api`'s.

mod access;
mod canonical;
mod condition;
mod document;
mod evaluate;
mod instant;
mod json;
mod keys;
mod named;
mod parse;
mod pattern;
mod simulate;

pub use access::{Access, Attached, Context, Decision, DenialReason, PolicyKind};
pub use canonical::{canonical, canonical_as_answered};
pub use document::{DocumentKind, MAX_DOCUMENT, MAX_RESOURCE, Policy, PolicyError};
pub use evaluate::{evaluate, evaluate_federated_trust, evaluate_trust};
pub use simulate::{MatchedStatement, Simulation, simulate};

#[cfg(test)]
mod tests;
