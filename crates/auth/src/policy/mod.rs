//! The IAM policy language: documents, and whether they allow an action on a resource.

mod access;

pub use access::{Access, Attached, Context, Decision, DenialReason, PolicyKind};
pub use document::{Policy, PolicyError};

mod document;
