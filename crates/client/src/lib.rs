//! Outgoing HTTP/1.1 and HTTPS, for what the server itself asks of others: receivers of triggers, key services, issuers
//! of tokens, other endpoints of this API.
//!
//! `client` sends one request and reads one answer, both bounded in time and size; `connect` opens connections, `pool`
//! keeps them between requests, `trust` says whose certificates are believed. Redirects are not followed and nothing is
//! tried again but what a kept connection lost; signing, retries and the meaning of answers are the caller's.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod client;
mod connect;
mod error;
mod pool;
mod trust;

pub use client::{Bounds, Client};
pub use connect::Reach;
pub use error::ClientError;
pub use trust::{Trust, TrustError};
