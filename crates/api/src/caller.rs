//! Who a request comes from, how it came, and whose name space it works in.

use std::net::IpAddr;
use std::sync::Arc;

use partita_auth::Principal;
use partita_auth::policy::Attached;
use partita_db::Scope;

/// The caller of a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The region that the request names, and the caller's account.
    pub scope: Scope,
    /// Who it is. `None` when authentication is off: everything is allowed then, and nothing is asked of policies.
    pub principal: Option<Arc<Principal>>,
    /// The policies that hold for it; none when authentication is off.
    pub attached: Arc<Attached>,
    /// The access key that the request is signed with, when authentication is on.
    pub access_key: Option<Arc<str>>,
    /// Whether the request came over TLS: `aws:SecureTransport`.
    pub secure: bool,
    /// The address it came from: `aws:SourceIp`.
    pub source: Option<IpAddr>,
}

impl Caller {
    /// A caller whom nobody has asked who it is.
    #[must_use]
    pub fn unauthenticated(scope: Scope, attached: Arc<Attached>) -> Self {
        Self { scope, principal: None, attached, access_key: None, secure: false, source: None }
    }
}
