//! Connections that are kept between requests: few, and not for long.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use crate::connect::Target;

/// How long a connection is kept without a request. Common servers and proxies close theirs after 60 seconds or more.
const KEPT_FOR: Duration = Duration::from_secs(50);
/// The most connections that are kept to one target.
const MOST_OF_ONE: usize = 32;
/// The most connections that are kept.
const MOST: usize = 256;

#[derive(Debug)]
struct Kept {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

/// The connections that are kept.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<HashMap<Target, Vec<Kept>>>);

impl Pool {
    /// A connection to `target` that was open a moment ago, the one used last.
    pub(crate) fn take(&self, target: &Target) -> Option<SendRequest<Full<Bytes>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get_mut(target)?;
        let mut found = None;
        while let Some(last) = kept.pop() {
            if last.is_good() {
                found = Some(last.sender);
                break;
            }
        }
        if kept.is_empty() {
            all.remove(target);
        }
        found
    }

    /// Keeps a connection, if there is room.
    pub(crate) fn keep(&self, target: Target, sender: SendRequest<Full<Bytes>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| {
            kept.retain(Kept::is_good);
            !kept.is_empty()
        });
        if all.values().map(Vec::len).sum::<usize>() >= MOST {
            return;
        }
        let kept = all.entry(target).or_default();
        if kept.len() < MOST_OF_ONE {
            kept.push(Kept { sender, since: Instant::now() });
        }
    }
}

impl Kept {
    fn is_good(&self) -> bool {
        !self.sender.is_closed() && self.since.elapsed() < KEPT_FOR
    }
}
