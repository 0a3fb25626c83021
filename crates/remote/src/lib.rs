//! Working with DynamoDB endpoints from outside, whoever serves them: AWS, DynamoDB Local, Partita.
//!
//! `endpoint` makes signed calls and tries again what may succeed later, `credentials` finds what they are signed with,
//! `pace` keeps to a rate. `copy` moves tables from one endpoint to another; `content` says whether two tables hold the
//! same. Requests and answers stay JSON: what an item means is the endpoints' business. Commands and how their progress
//! looks are not here, but in the `partita` program.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod content;
pub mod copy;
mod credentials;
mod endpoint;
mod pace;

pub use credentials::{Credentials, CredentialsError, Side};
pub use endpoint::{CallError, Endpoint, EndpointError};
pub use pace::Pace;
