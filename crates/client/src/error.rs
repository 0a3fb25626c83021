//! Why there is no answer. Texts name hosts and ports, never paths, headers or bodies: those may hold secrets.

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The request can not be made: another scheme than `http` and `https`, no host, or a host that is no name.
    #[error("not a request that can be sent: {0}")]
    Invalid(&'static str),
    /// The name has no address.
    #[error("the name {host} can not be resolved: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// The host does not take connections.
    #[error("can not connect to {host}: {reason}")]
    Refused {
        /// Host and port.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// The host lies where cloud machines keep their credentials, and the client does not reach there.
    #[error("{0} is a link-local address, to which nothing is sent")]
    LinkLocal(IpAddr),
    /// The host did not take a connection in time, or did not finish its TLS handshake.
    #[error("no connection to {host} within {} s", .within.as_secs_f32())]
    ConnectTimedOut {
        /// Host and port.
        host: String,
        /// How long that was waited for.
        within: Duration,
    },
    /// The host's certificate is not believed, or it does not speak TLS.
    #[error("no secure connection to {host}: {reason}")]
    Tls {
        /// Host and port.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// No certificates to judge others by.
    #[error("no certificate authority is known: {0}")]
    NoTrust(String),
    /// There was no whole answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The connection broke before a whole answer.
    #[error("the connection broke before an answer: {0}")]
    Broken(String),
    /// The answer is longer than the bound.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
}

impl ClientError {
    /// Whether the request may have reached the receiver, so that what it asks for may have been done.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Broken(_) | Self::TooLarge { .. } => true,
            Self::Invalid(_)
            | Self::Unresolved { .. }
            | Self::Refused { .. }
            | Self::LinkLocal(_)
            | Self::ConnectTimedOut { .. }
            | Self::Tls { .. }
            | Self::NoTrust(_) => false,
        }
    }
}
