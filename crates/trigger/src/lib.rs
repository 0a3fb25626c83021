//! Delivery of triggers: the records of streams, posted to URLs as the events that Lambda functions receive.
//!
//! `supervise` decides what is delivered by this node, `shard` delivers one shard in order, `batch` gathers records,
//! `event` is their form, `retry` decides what a failure means (pure, with the time given to it), `post` is the HTTP
//! client. What a trigger is, and the checkpoints, are `db`'s.

mod batch;
mod event;
mod post;
mod retry;
mod shard;
mod supervise;

pub use post::{Answer, Client, Post, PostError};
pub use supervise::Deliverer;
