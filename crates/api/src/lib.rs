//! The wire: DynamoDB's JSON requests and responses, and the operations behind them.
//!
//! `Service` answers whole requests. A request goes through `http` (which operation?), `identity` (which region and account?), `request` (decode and
//! check against the model) and `operations` (what it means); the answer goes back through `json` and `http`. The
//! shapes of all operations are in `generated`. Listening, TLS and compression are the server's, storage is `db`'s.

mod audit;
mod authenticate;
mod authorize;
pub mod caller;
pub mod constraints;
mod dax;
pub mod door;
pub mod failure;
pub mod generated;
pub mod http;
mod iam;
pub mod identities;
pub mod identity;
pub mod json;
mod operations;
pub mod request;
mod scaling;
mod service;
mod sight;
pub mod wording;

pub use audit::Audit;
pub use dax::DaxCluster;
pub use failure::Failure;
pub use generated::operations::{Input, Operation};
pub use iam::{Fetch, Issuers, JwksError};
pub use operations::{TriggerOperation, delivery_url};
pub use service::Service;
pub use sight::{Answered, Sight};
