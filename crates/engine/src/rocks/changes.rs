//! What changed lately: the memory in which conflicts are found.
//!
//! Ordered by key, so that ranges are checked as well as keys, and bounded in time and size: below the floor nothing is
//! known, and a commit that read there is too old.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::contract::{CommitError, KeyRange, Read, Version};

/// What one remembered key takes besides its bytes, roughly: an allocation, two pointers to it, a tree entry.
const ENTRY_BYTES: usize = 96;

/// The changes of the last seconds.
pub(crate) struct RecentChanges {
    /// The last version that changed each key.
    keys: BTreeMap<Arc<[u8]>, u64>,
    /// Prefixes retired as a whole, oldest first.
    retired: VecDeque<(KeyRange, u64)>,
    /// What to forget, and when, oldest first.
    groups: VecDeque<Group>,
    /// The group being gathered.
    current: Vec<Arc<[u8]>>,
    current_bytes: usize,
    /// Everything after this version is known.
    floor: u64,
    bytes: usize,
    window: Duration,
    max_bytes: usize,
}

/// The keys that one group changed.
struct Group {
    sealed: Instant,
    version: u64,
    keys: Vec<Arc<[u8]>>,
    bytes: usize,
}

impl RecentChanges {
    pub(crate) fn new(floor: Version, window: Duration, max_bytes: usize) -> Self {
        Self {
            keys: BTreeMap::new(),
            retired: VecDeque::new(),
            groups: VecDeque::new(),
            current: Vec::new(),
            current_bytes: 0,
            floor: floor.0,
            bytes: 0,
            window,
            max_bytes,
        }
    }

    /// Whether everything read at `read_version` is still as it was.
    pub(crate) fn check(&self, reads: &[Read], read_version: Version) -> Result<(), CommitError> {
        if reads.is_empty() {
            return Ok(());
        }
        if read_version.0 < self.floor {
            return Err(CommitError::TooOld);
        }
        let changed = reads.iter().any(|read| match read {
            Read::Key(key) => self.key_changed(key, read_version.0),
            Read::Range(range) => self.range_changed(range, read_version.0),
        });
        if changed { Err(CommitError::Conflict) } else { Ok(()) }
    }

    /// Whether a key changed after `since`, or that is no longer known.
    pub(crate) fn may_have_changed(&self, key: &[u8], since: Version) -> bool {
        since.0 < self.floor || self.key_changed(key, since.0)
    }

    fn key_changed(&self, key: &[u8], since: u64) -> bool {
        self.keys.get(key).is_some_and(|version| *version > since)
            || self.retired.iter().any(|(range, version)| *version > since && range.contains(key))
    }

    fn range_changed(&self, range: &KeyRange, since: u64) -> bool {
        if range.is_empty() {
            return false;
        }
        let bounds = (Bound::Included(range.start.as_ref()), Bound::Excluded(range.end.as_ref()));
        self.keys.range::<[u8], _>(bounds).any(|(_, version)| *version > since)
            || self
                .retired
                .iter()
                .any(|(retired, version)| *version > since && retired.start < range.end && range.start < retired.end)
    }

    /// Notes that `version` changed a key.
    pub(crate) fn record(&mut self, key: &[u8], version: Version) {
        let key: Arc<[u8]> = key.into();
        self.current_bytes = self.current_bytes.saturating_add(key.len()).saturating_add(ENTRY_BYTES);
        self.current.push(Arc::clone(&key));
        self.keys.insert(key, version.0);
    }

    /// Notes that `version` retired a prefix.
    pub(crate) fn record_retired(&mut self, prefix: KeyRange, version: Version) {
        self.retired.push_back((prefix, version.0));
    }

    /// Ends a group, whose last version is `version`, and forgets what is past the bounds.
    pub(crate) fn seal(&mut self, version: Version, now: Instant) {
        let group = Group {
            sealed: now,
            version: version.0,
            keys: std::mem::take(&mut self.current),
            bytes: std::mem::take(&mut self.current_bytes),
        };
        self.bytes = self.bytes.saturating_add(group.bytes);
        self.groups.push_back(group);
        self.forget(now);
    }

    /// Forgets what is past the bounds.
    pub(crate) fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.groups.front() {
            let expired = now.saturating_duration_since(oldest.sealed) > self.window;
            if !expired && self.bytes <= self.max_bytes {
                break;
            }
            let Some(oldest) = self.groups.pop_front() else { break };
            for key in &oldest.keys {
                if self.keys.get(key).is_some_and(|version| *version <= oldest.version) {
                    self.keys.remove(key);
                }
            }
            while self.retired.front().is_some_and(|(_, version)| *version <= oldest.version) {
                self.retired.pop_front();
            }
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
            self.floor = oldest.version;
        }
    }

    /// Whether there is anything to forget.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(5);

    fn changes() -> RecentChanges {
        RecentChanges::new(Version(10), WINDOW, 1 << 20)
    }

    fn key(key: &'static str) -> Read {
        Read::Key(key.into())
    }

    fn range(start: &'static str, end: &'static str) -> Read {
        Read::Range(KeyRange::new(start, end))
    }

    #[test]
    fn a_key_read_before_it_changed_conflicts() {
        let mut changes = changes();
        changes.record(b"a", Version(11));
        assert_eq!(changes.check(&[key("a")], Version(10)), Err(CommitError::Conflict));
        assert_eq!(changes.check(&[key("a")], Version(11)), Ok(()));
        assert_eq!(changes.check(&[key("b")], Version(10)), Ok(()));
    }

    #[test]
    fn a_range_conflicts_with_keys_inside_it_only() {
        let mut changes = changes();
        changes.record(b"b", Version(11));
        assert_eq!(changes.check(&[range("a", "c")], Version(10)), Err(CommitError::Conflict));
        assert_eq!(changes.check(&[range("b", "c")], Version(10)), Err(CommitError::Conflict));
        assert_eq!(changes.check(&[range("a", "b")], Version(10)), Ok(()));
        assert_eq!(changes.check(&[range("c", "a")], Version(10)), Ok(()));
    }

    #[test]
    fn a_retired_prefix_conflicts_with_keys_and_ranges_it_touches() {
        let mut changes = changes();
        changes.record_retired(KeyRange::prefix("t"), Version(11));
        assert_eq!(changes.check(&[key("t1")], Version(10)), Err(CommitError::Conflict));
        assert_eq!(changes.check(&[range("a", "t0")], Version(10)), Err(CommitError::Conflict));
        assert_eq!(changes.check(&[range("a", "t")], Version(10)), Ok(()));
        assert_eq!(changes.check(&[key("u")], Version(10)), Ok(()));
        changes.seal(Version(11), Instant::now());
        changes.forget(Instant::now() + 2 * WINDOW);
        assert!(changes.retired.is_empty());
    }

    #[test]
    fn below_the_floor_is_too_old_unless_nothing_was_read() {
        let changes = changes();
        assert_eq!(changes.check(&[key("a")], Version(9)), Err(CommitError::TooOld));
        assert_eq!(changes.check(&[], Version(9)), Ok(()));
        assert!(changes.may_have_changed(b"a", Version(9)));
        assert!(!changes.may_have_changed(b"a", Version(10)));
    }

    #[test]
    fn the_window_forgets_old_groups_and_keeps_keys_changed_since() {
        let mut changes = changes();
        let start = Instant::now();
        changes.record(b"a", Version(11));
        changes.record(b"b", Version(11));
        changes.seal(Version(11), start);
        changes.record(b"b", Version(12));
        changes.seal(Version(12), start + WINDOW);
        changes.forget(start + WINDOW + Duration::from_secs(1));
        assert_eq!(changes.check(&[key("a")], Version(10)), Err(CommitError::TooOld));
        assert_eq!(changes.check(&[key("b")], Version(11)), Err(CommitError::Conflict));
        assert_eq!(changes.keys.len(), 1);
        changes.forget(start + 3 * WINDOW);
        assert!(changes.is_empty() && changes.keys.is_empty());
        assert_eq!(changes.bytes, 0);
    }

    #[test]
    fn the_size_bound_shortens_the_window() {
        let mut changes = RecentChanges::new(Version(0), WINDOW, 1_000);
        let now = Instant::now();
        for version in 1..=100 {
            changes.record(format!("key {version}").as_bytes(), Version(version));
            changes.seal(Version(version), now);
        }
        assert!(changes.bytes <= 1_000);
        assert_eq!(changes.check(&[key("x")], Version(50)), Err(CommitError::TooOld));
        assert_eq!(changes.check(&[key("x")], Version(99)), Ok(()));
    }
}
