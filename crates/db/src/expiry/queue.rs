//! The queue of expiry times: one entry for each item that will expire, in the order of the times.
//!
//! `[queue][slot][second][partition hash, sort key]`. An item whose time has come already when it is written is queued at
//! the current second, so that nothing is ever queued behind what the job has taken. So an entry may stand at a time that
//! its item does not say; the job goes by the item.

use partita_engine::{Key, Write};
use partita_model::key::PartitionHash;
use partita_model::{StoredItem, ValueRef};

use crate::keyspace;
use crate::record::{ExpiryQueue, TableRecord};
use crate::table::{ItemKey, Table};

/// How many parts a queue has, by the partition hash, so that not all entries of one second lie side by side.
pub(super) const SLOTS: u8 = 4;
/// Times further back are taken for mistakes and ignored ("Using time to live": five years).
pub(super) const OLDEST_SECONDS: u64 = 5 * 365 * 24 * 60 * 60;

/// When an item expires, in seconds since the epoch; `None` when it does not: without the attribute, or when that is no
/// number, below zero or beyond all time.
pub(super) fn expires_at(item: &StoredItem, attribute: &str) -> Option<u64> {
    match item.get(attribute)? {
        // Parts of a second do not count.
        ValueRef::N(text) => text.as_str().split('.').next()?.parse().ok(),
        _ => None,
    }
}

/// Whether a time is so far back that it is ignored.
pub(super) const fn is_ignored(time: u64, now: u64) -> bool {
    time < now.saturating_sub(OLDEST_SECONDS)
}

/// The first part of a queue's keys: those of one slot.
pub(super) fn slot(table: u32, queue: ExpiryQueue, slot: u8) -> Vec<u8> {
    let mut key = keyspace::expiry_queue(table, queue.generation);
    key.push(slot);
    key
}

/// The key of an item's entry at a time; `suffix` is the item's own key without the table's prefix.
pub(super) fn entry_key(table: u32, queue: ExpiryQueue, time: u64, suffix: &[u8]) -> Key {
    let mut key = slot(table, queue, suffix.first().map_or(0, |first| first % SLOTS));
    key.extend_from_slice(&time.to_be_bytes());
    key.extend_from_slice(suffix);
    key.into()
}

/// The time and the item's key in an entry's key.
pub(super) fn parts_of_entry(key: &[u8]) -> Option<(u64, &[u8])> {
    // Space, table, generation and slot.
    let (time, suffix) = key.get(1 + 4 + 4 + 1..)?.split_first_chunk()?;
    Some((u64::from_be_bytes(*time), suffix))
}

/// The entry of an item that expires at a time, if it has one; `now` is in seconds since the epoch, too.
pub(super) fn entry(table: u32, queue: ExpiryQueue, (time, now): (u64, u64), suffix: &[u8]) -> Option<Write> {
    if is_ignored(time, now) {
        return None;
    }
    Some(Write::Put { key: entry_key(table, queue, time.max(now), suffix), value: Key::new() })
}

/// Where an item's entry stands, if it was written before its time had come.
pub(crate) fn expected_entry(table: &Table, item: &StoredItem, suffix: &[u8], now_ms: u64) -> Option<Key> {
    let queue = table.record.logs.expiry?;
    let time = expires_at(item, &table.record.time_to_live.as_ref()?.attribute)?;
    (!is_ignored(time, now_ms / 1000)).then(|| entry_key(table.record.id, queue, time, suffix))
}

/// The item's key, without the table's prefix, that an entry's key has; `None` when it has none.
pub(crate) fn suffix_of_entry(key: &[u8]) -> Option<&[u8]> {
    parts_of_entry(key).map(|(_, suffix)| suffix).filter(|suffix| suffix.len() >= size_of::<PartitionHash>())
}

/// Keeps the queue in step with a change of an item, if time to live is on.
pub(crate) fn enqueue(
    table: &Table,
    key: &ItemKey,
    (old, new): (Option<&StoredItem>, Option<&StoredItem>),
    now_ms: u64,
    writes: &mut Vec<Write>,
) {
    let (Some(queue), Some(time_to_live)) = (table.record.logs.expiry, &table.record.time_to_live) else { return };
    let time = |item: Option<&StoredItem>| item.and_then(|item| expires_at(item, &time_to_live.attribute));
    let (before, after) = (time(old), time(new));
    if before == after {
        return;
    }
    if let Some(before) = before {
        writes.push(Write::Delete { key: entry_key(table.record.id, queue, before, key.suffix()) });
    }
    writes.extend(after.and_then(|after| entry(table.record.id, queue, (after, now_ms / 1000), key.suffix())));
}

/// Starts and ends a table's queue with its time to live: a new one each time it is switched on.
pub(crate) fn follow(before: Option<&TableRecord>, after: &mut TableRecord, writes: &mut Vec<Write>) {
    let wanted = after.time_to_live.as_ref().filter(|time_to_live| time_to_live.enabled);
    let attribute_before = before.and_then(|before| before.time_to_live.as_ref()).map(|before| &before.attribute);
    let goes_on = wanted.is_some_and(|wanted| Some(&wanted.attribute) == attribute_before);
    if let Some(queue) = after.logs.expiry
        && !goes_on
    {
        writes.push(Write::Retire { prefix: keyspace::expiry_queue(after.id, queue.generation).into() });
        writes.push(Write::Delete { key: keyspace::expiry_progress(after.id, queue.generation) });
        after.logs.expiry = None;
    }
    if wanted.is_some() && after.logs.expiry.is_none() {
        after.logs.queues += 1;
        // A new table has no items to queue.
        after.logs.expiry = Some(ExpiryQueue { generation: after.logs.queues, building: before.is_some() });
    }
}

#[cfg(test)]
mod tests {
    use partita_model::{AttributeMap, AttributeValue, Number};

    use super::*;

    #[test]
    fn only_numbers_from_zero_on_are_expiry_times() {
        let number = |text: &str| AttributeValue::N(Number::parse(text).unwrap());
        for (value, expected) in [
            (number("1791501648"), Some(1_791_501_648)),
            (number("1791501648.9"), Some(1_791_501_648)),
            (number("1.791501648e9"), Some(1_791_501_648)),
            (number("0"), Some(0)),
            (number("0.5"), Some(0)),
            (number("-1"), None),
            (number("1e30"), None),
            (AttributeValue::S("1791501648".to_owned()), None),
            (AttributeValue::Null, None),
        ] {
            let mut item = AttributeMap::new();
            item.insert("ttl", value.clone());
            assert_eq!(expires_at(&StoredItem::from_item(&item), "ttl"), expected, "{value:?}");
            assert_eq!(expires_at(&StoredItem::from_item(&item), "other"), None);
        }
    }

    #[test]
    fn times_more_than_five_years_back_are_ignored() {
        let now = 1_791_501_648;
        assert!(is_ignored(now - OLDEST_SECONDS - 1, now) && is_ignored(0, now));
        assert!(!is_ignored(now - OLDEST_SECONDS, now) && !is_ignored(now + 1, now));
    }

    #[test]
    fn entries_are_read_back() {
        let queue = ExpiryQueue { generation: 2, building: false };
        let key = entry_key(7, queue, 1_791_501_648, b"0123456789abcdefsort");
        assert_eq!(parts_of_entry(&key), Some((1_791_501_648, b"0123456789abcdefsort".as_slice())));
    }
}
