//! DAX: the wire protocol of Amazon DynamoDB Accelerator, and its two caches.
//!
//! `listen` and `connection` take requests from sockets, `request` reads them, `node` answers them: from `cache`, or
//! by handing them as JSON to what executes requests over HTTP, so that they mean the same. `cbor`, `number`, `value`, `key`
//! and `expression` are the protocol's forms of data, `answer` and `fault` what goes back.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod advertise;
mod answer;
mod cache;
pub mod cbor;
mod connection;
pub mod expression;
mod fault;
mod key;
mod listen;
mod lists;
mod metrics;
mod node;
mod number;
mod request;
mod value;

pub use advertise::{Advertised, AdvertisedAddress, NotAnAddress};
pub use cache::{Cache, Settings};
pub use listen::{DaxAddress, DaxListening, Listeners};
pub use metrics::Metrics;
pub use node::{Node, Session};
