//! A group of commits being gathered: what each write comes to, on top of the commits before it.
//!
//! Blind writes are resolved here, in order: a sum to its new value, a deleted range to the keys in it. What is left is
//! one final value for each key, and the prefixes retired before those values.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use rocksdb::{DB, ReadOptions, WriteBatch};

use crate::contract::{
    CommitError, Committed, InvalidCommit, Key, KeyRange, MAX_DELETE_RANGE_KEYS, Position, Reason, Value, Write,
};

/// What the accepted commits of a group come to.
#[derive(Default)]
pub(crate) struct Group {
    /// The final value of each key; `None` is absent.
    values: BTreeMap<Key, Option<Value>>,
    /// Retired prefixes. They apply before `values`.
    retired: Vec<KeyRange>,
    bytes: usize,
}

/// One resolved change of one commit.
pub(crate) enum Change {
    Set(Key, Option<Value>),
    Retire(KeyRange),
}

impl Group {
    /// Resolves the writes of a commit, without applying them.
    pub(crate) fn resolve(
        &self,
        db: &DB,
        writes: Vec<Write>,
        committed: &Committed,
    ) -> Result<Vec<Change>, CommitError> {
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            match write {
                Write::Put { key, value } => changes.push(Change::Set(key, Some(value))),
                Write::Delete { key } => changes.push(Change::Set(key, None)),
                Write::PutAtPosition { prefix, suffix, ordinal, value } => {
                    let position = committed.position(ordinal).to_bytes();
                    let length = prefix.len().saturating_add(Position::BYTES).saturating_add(suffix.len());
                    let mut key = Vec::with_capacity(length);
                    key.extend_from_slice(&prefix);
                    key.extend_from_slice(&position);
                    key.extend_from_slice(&suffix);
                    changes.push(Change::Set(key.into(), Some(value)));
                }
                Write::Add { key, delta } => {
                    let sum = self.counter(db, &changes, &key)?.wrapping_add(delta);
                    changes.push(Change::Set(key, Some(Bytes::copy_from_slice(&sum.to_le_bytes()))));
                }
                Write::DeleteRange { range } => {
                    let keys = self.keys_in(db, &changes, &range)?;
                    changes.extend(keys.into_iter().map(|key| Change::Set(key, None)));
                }
                Write::Retire { prefix } => changes.push(Change::Retire(KeyRange::prefix(prefix))),
            }
        }
        Ok(changes)
    }

    /// Applies a resolved change.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Set(key, value) => {
                self.bytes = self.bytes.saturating_add(key.len()).saturating_add(value.as_ref().map_or(0, Bytes::len));
                self.values.insert(key, value);
            }
            Change::Retire(range) => {
                self.values.retain(|key, _| !range.contains(key));
                self.retired.push(range);
            }
        }
    }

    /// The value of a counter as the commit being resolved sees it.
    fn counter(&self, db: &DB, changes: &[Change], key: &Key) -> Result<i64, CommitError> {
        let decode = |value: &[u8]| match value.try_into() {
            Ok(bytes) => Ok(i64::from_le_bytes(bytes)),
            Err(_) => Err(InvalidCommit::NotACounter.into()),
        };
        for change in changes.iter().rev() {
            match change {
                Change::Set(changed, value) if changed == key => return value.as_deref().map_or(Ok(0), decode),
                Change::Retire(range) if range.contains(key) => return Ok(0),
                Change::Set(..) | Change::Retire(_) => {}
            }
        }
        if let Some(value) = self.values.get(key) {
            return value.as_deref().map_or(Ok(0), decode);
        }
        if self.is_retired(key) {
            return Ok(0);
        }
        let stored = db.get_pinned(key).map_err(unreadable)?;
        stored.map_or(Ok(0), |value| decode(&value))
    }

    /// The keys present in a range as the commit being resolved sees it.
    fn keys_in(&self, db: &DB, changes: &[Change], range: &KeyRange) -> Result<BTreeSet<Key>, CommitError> {
        let mut keys = BTreeSet::new();
        if range.is_empty() {
            return Ok(keys);
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(range.start.as_ref());
        options.set_iterate_upper_bound(range.end.as_ref());
        let mut stored = db.raw_iterator_opt(options);
        stored.seek_to_first();
        let mut found = 0_usize;
        while let Some(key) = stored.key() {
            if !self.is_retired(key) && !self.values.get(key).is_some_and(Option::is_none) {
                found = found.saturating_add(1);
                if found > MAX_DELETE_RANGE_KEYS.saturating_add(changes.len()) {
                    return Err(InvalidCommit::RangeTooLarge.into());
                }
                keys.insert(Bytes::copy_from_slice(key));
            }
            stored.next();
        }
        stored.status().map_err(unreadable)?;
        let bounds = (Bound::Included(range.start.as_ref()), Bound::Excluded(range.end.as_ref()));
        for (key, value) in self.values.range::<[u8], _>(bounds) {
            note(&mut keys, key, value.is_some());
        }
        for change in changes {
            match change {
                Change::Set(key, value) if range.contains(key) => note(&mut keys, key, value.is_some()),
                Change::Set(..) => {}
                Change::Retire(retired) => keys.retain(|key| !retired.contains(key)),
            }
        }
        if keys.len() > MAX_DELETE_RANGE_KEYS { Err(InvalidCommit::RangeTooLarge.into()) } else { Ok(keys) }
    }

    fn is_retired(&self, key: &[u8]) -> bool {
        self.retired.iter().any(|range| range.contains(key))
    }

    /// Writes the group into a batch.
    pub(crate) fn write_to(&self, batch: &mut WriteBatch) {
        for range in &self.retired {
            batch.delete_range(range.start.as_ref(), range.end.as_ref());
        }
        for (key, value) in &self.values {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
    }

    pub(crate) fn values(&self) -> &BTreeMap<Key, Option<Value>> {
        &self.values
    }

    pub(crate) fn retired(&self) -> &[KeyRange] {
        &self.retired
    }

    /// The bytes gathered, replaced values included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn note(keys: &mut BTreeSet<Key>, key: &Key, present: bool) {
    if present {
        keys.insert(key.clone());
    } else {
        keys.remove(key);
    }
}

fn unreadable(error: rocksdb::Error) -> CommitError {
    CommitError::Unavailable(Reason::new(error))
}
