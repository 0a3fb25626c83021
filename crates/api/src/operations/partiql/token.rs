//! `NextToken`: where a SELECT goes on. It names the table, the index and the query of the plan, and the last key read.
//!
//! Clients can not read it but could make one up. That gives them nothing that an exclusive start key would not: what
//! does not fit the statement is refused, and a key is a place, never looked up.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use partita_db::{Index, Table};
use partita_model::{AttributeMap, Refusal, StoredItem};

const VERSION: u8 = 1;
/// Stands for the table itself where an index's number would be.
const NO_INDEX: u16 = u16::MAX;

/// Where a SELECT goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place {
    /// The query of the plan, from 0; 0 for a scan.
    pub(super) query: usize,
    /// The key after which it goes on; `None` for the query's start.
    pub(super) after: Option<AttributeMap>,
}

/// Writes a place as a token for this table or index.
pub(super) fn write(table: &Table, index: Option<&Index>, place: &Place) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(table.record.id.to_be_bytes());
    bytes.extend(index.map_or(NO_INDEX, |index| index.id).to_be_bytes());
    bytes.extend(u32::try_from(place.query).unwrap_or(u32::MAX).to_be_bytes());
    if let Some(key) = &place.after {
        bytes.extend_from_slice(StoredItem::from_item(key).as_bytes());
    }
    STANDARD.encode(bytes)
}

/// Reads a token that was written for this table or index.
///
/// # Errors
/// `ValidationException` for anything else.
pub(super) fn read(token: &str, table: &Table, index: Option<&Index>, queries: usize) -> Result<Place, Refusal> {
    parse(token, table.record.id, index.map_or(NO_INDEX, |index| index.id))
        .filter(|place| place.query < queries)
        .ok_or_else(|| Refusal::validation("Invalid NextToken"))
}

fn parse(token: &str, table: u32, index: u16) -> Option<Place> {
    let bytes = STANDARD.decode(token).ok()?;
    let rest = bytes.strip_prefix(&[VERSION])?;
    let (found, rest) = rest.split_first_chunk::<4>()?;
    let (found_index, rest) = rest.split_first_chunk::<2>()?;
    let (query, key) = rest.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*found) != table || u16::from_be_bytes(*found_index) != index {
        return None;
    }
    let query = usize::try_from(u32::from_be_bytes(*query)).ok()?;
    if key.is_empty() {
        return Some(Place { query, after: None });
    }
    let stored = StoredItem::from_bytes(Bytes::copy_from_slice(key));
    let after = stored.to_item();
    // Bytes that are no item read as less than they are.
    (StoredItem::from_item(&after) == stored).then_some(Place { query, after: Some(after) })
}

#[cfg(test)]
mod tests {
    use partita_model::AttributeValue;

    use super::*;

    #[test]
    fn only_tokens_of_the_same_table_and_index_are_read() {
        let mut key = AttributeMap::new();
        key.insert("pk", AttributeValue::S("a".to_owned()));
        let mut bytes = vec![VERSION];
        bytes.extend(7u32.to_be_bytes());
        bytes.extend(2u16.to_be_bytes());
        bytes.extend(3u32.to_be_bytes());
        bytes.extend_from_slice(StoredItem::from_item(&key).as_bytes());
        let token = STANDARD.encode(&bytes);
        assert_eq!(parse(&token, 7, 2), Some(Place { query: 3, after: Some(key) }));
        assert_eq!(parse(&token, 8, 2), None);
        assert_eq!(parse(&token, 7, 1), None);
        for forged in
            ["", "abc", "!!!", "AAAA", &STANDARD.encode(&bytes[..bytes.len() - 1]), &STANDARD.encode([VERSION])]
        {
            assert_eq!(parse(forged, 7, 2), None, "{forged}");
        }
    }
}
