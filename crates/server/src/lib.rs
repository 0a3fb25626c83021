//! Listeners, HTTP and the server's life cycle: everything between a socket and a complete, bounded request.
//!
//! This crate knows nothing of DynamoDB's operations. It hands a decompressed, size-checked [`Request`] to a
//! [`Handler`] and writes the [`Response`] with DynamoDB's transport headers. What requests mean is the `api` crate's
//! business; command line, logging and the wiring of both are the `partita` binary's.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod answer;
mod body;
mod budget;
mod config;
mod connection;
mod exchange;
mod fault;
mod gate;
mod http;
mod inflate;
mod listen;
mod self_signed;
mod serve;
mod tls;
mod traffic;
mod transport;
mod wire;

pub use config::{
    AllowedHosts, AllowedOrigins, Config, Exposure, InvalidSetting, Limits, ListenAddress, Place, Scheme, Timeouts,
};
pub use http::{Handler, Request, RequestId, Response, Secured};
pub use listen::{bind_place, raise_open_file_limit};
pub use self_signed::{NotMade, SelfSigned};
pub use serve::{Listening, Server, StartError, Stopped};
pub use tls::{Tls, TlsError};
pub use traffic::Traffic;
pub use transport::{Bounded, NoHandshake, Secure, Transport, shake_hands};
