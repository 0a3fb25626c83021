//! Delivery of triggers: the records of streams, posted to URLs as the events that Lambda functions receive.
//!
//! `supervise` decides what is delivered by this node, `shard` delivers one shard in order, `batch` gathers records,
//! `event` is their form, `retry` decides what a failure means (pure, with the time given to it). The HTTP client is the
//! `client` crate's; what a trigger is, and the checkpoints, are `db`'s.

mod batch;
mod event;
mod retry;
mod shard;
mod supervise;

pub use supervise::Deliverer;
