//! Numbers, requests with their values, and the flat forms in which items are kept and backed up.

use bytes::Bytes;
use partita_api::generated::inputs::{
    BatchExecuteStatementInput, BatchGetItemInput, BatchWriteItemInput, CreateTableInput, ExecuteTransactionInput,
    GetRecordsInput, PutItemInput, QueryInput, RestoreTableToPointInTimeInput, ScanInput, TransactWriteItemsInput,
    UpdateItemInput, UpdateTableInput, UpdateTimeToLiveInput,
};
use partita_api::{Input, request};
use partita_model::key::put_sort_value;
use partita_model::{AttributeMap, AttributeValue, Number, StoredItem, ValueRef};

use super::choice;

/// Text to number: what is taken is written and read again as the same, sums can be taken back, and the order of keys is
/// the order of numbers.
pub(super) fn number(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (left, right) = text.split_once(' ').unwrap_or((text, "1"));
    let Ok(left) = Number::parse(left) else { return };
    let again = Number::parse(&left.to_string()).unwrap();
    assert_eq!(again, left);
    assert_eq!(again.to_string(), left.to_string());
    let Ok(right) = Number::parse(right) else { return };
    let encoded = |number: Number| {
        let mut key = Vec::new();
        put_sort_value(&mut key, &AttributeValue::N(number));
        key
    };
    assert_eq!(left.cmp(&right), encoded(left).cmp(&encoded(right)), "{left} {right}");
    let difference = left.checked_sub(&right);
    assert_eq!(difference.as_ref().ok(), left.checked_add(&right.negated()).as_ref().ok());
    if let Ok(difference) = difference {
        assert_eq!(difference.is_zero(), left == right);
        assert!(difference.is_zero() || difference.is_negative() == (left < right));
    }
}

/// Bytes to request, for operations of every kind.
pub(super) fn request(bytes: &[u8]) {
    fn read<T: Input>(body: &[u8]) {
        if let Ok(decoded) = request::read::<T>(body) {
            let _verdict = decoded.values.check();
        }
    }
    let Some((which, body)) = choice(bytes) else { return };
    let readers: &[fn(&[u8])] = &[
        put_item,
        read::<QueryInput>,
        read::<ScanInput>,
        read::<UpdateItemInput>,
        read::<BatchWriteItemInput>,
        read::<BatchGetItemInput>,
        read::<TransactWriteItemsInput>,
        read::<CreateTableInput>,
        read::<UpdateTableInput>,
        read::<ExecuteTransactionInput>,
        read::<BatchExecuteStatementInput>,
        read::<GetRecordsInput>,
        read::<RestoreTableToPointInTimeInput>,
        read::<UpdateTimeToLiveInput>,
    ];
    readers[which % readers.len()](body);
}

/// An item that is taken has the same flat form after it was stored and read.
fn put_item(body: &[u8]) {
    let Ok(decoded) = request::read::<PutItemInput>(body) else { return };
    if decoded.values.check().is_err() {
        return;
    }
    let Some(item) = decoded.input.item else { return };
    let stored = StoredItem::from_item(&item);
    assert_eq!(stored.to_item(), item);
    assert_eq!(StoredItem::from_bytes(stored.as_bytes().clone()), stored);
}

/// Any bytes in place of a stored item: nothing may be read past their end or without end.
pub(super) fn stored(bytes: &[u8]) {
    let item = StoredItem::from_bytes(Bytes::copy_from_slice(bytes));
    let _size = item.size();
    let _found = item.get("pk");
    let names: Vec<String> = item.entries().iter().take(1_000).map(|(name, _)| name.as_str().to_owned()).collect();
    for (_, value) in item.entries().iter().take(1_000) {
        let _size = value.size();
        walk(value);
    }
    let _projected = item.project(&names);
    let tree = item.to_item();
    let _again = StoredItem::from_item(&tree).to_item();
    let mut attributes = AttributeMap::new();
    attributes.insert("pk", AttributeValue::Null);
    let _replaced = item.replace(&["pk"], &attributes);
}

fn walk(value: ValueRef<'_>) {
    let _tree = value.to_value();
}

/// Any bytes in place of a block or manifest of a backup; with the checksum of what comes before, so that more than the
/// checksum is tried.
pub(super) fn backup(bytes: &[u8]) {
    partita_db::hostile::backup(bytes);
}
