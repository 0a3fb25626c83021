//! What the node counts, under the names that DAX gives its metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start, and gauges. All are read and written without order.
#[derive(Debug, Default)]
pub struct Metrics {
    /// `ItemCacheHits`: items that were answered from the cache.
    pub item_cache_hits: AtomicU64,
    /// `ItemCacheMisses`: items that had to be read.
    pub item_cache_misses: AtomicU64,
    /// `QueryCacheHits`: queries that were answered from the cache.
    pub query_cache_hits: AtomicU64,
    /// `QueryCacheMisses`: queries that had to be executed.
    pub query_cache_misses: AtomicU64,
    /// `ScanCacheHits`: scans that were answered from the cache.
    pub scan_cache_hits: AtomicU64,
    /// `ScanCacheMisses`: scans that had to be executed.
    pub scan_cache_misses: AtomicU64,
    /// `EvictedSize`: bytes that were given up for want of room.
    pub evicted_bytes: AtomicU64,
    /// Entries that were given up for want of room.
    pub evictions: AtomicU64,
    /// `TotalRequestCount`: requests of all operations.
    pub total_requests: AtomicU64,
    /// `ErrorRequestCount`: requests that failed for the client's reasons.
    pub error_requests: AtomicU64,
    /// `FaultRequestCount`: requests that failed for the server's reasons.
    pub fault_requests: AtomicU64,
    /// `ThrottledRequestCount`: requests that were throttled.
    pub throttled_requests: AtomicU64,
    /// `FailedRequestCount`: requests that failed.
    pub failed_requests: AtomicU64,
    /// `ClientConnections`: connections that are open.
    pub client_connections: AtomicU64,
}

impl Metrics {
    /// Counts one.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
