//! Sizes in bytes as DynamoDB counts them, for the 400 KB limit and for capacity units.
//!
//! Source: "DynamoDB item sizes and formats" in the developer guide; numbers as measured against the real service.

use crate::item::AttributeMap;
use crate::value::AttributeValue;

/// The largest item in bytes, names and values together (400 KB).
pub const MAX_ITEM_BYTES: usize = 400 * 1024;
/// What a list or map counts for besides its elements.
const CONTAINER_BYTES: usize = 3;
/// What each element of a list or map counts for besides its name and value.
const ELEMENT_BYTES: usize = 1;

/// The size of an item: names and values of all its attributes.
#[must_use]
pub fn item_size(item: &AttributeMap) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

/// The size of one value without its name.
#[must_use]
pub fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.size_bytes(),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::Bool(_) | AttributeValue::Null => 1,
        AttributeValue::M(map) => {
            CONTAINER_BYTES
                + map.iter().map(|(name, value)| ELEMENT_BYTES + name.len() + value_size(value)).sum::<usize>()
        }
        AttributeValue::L(list) => {
            CONTAINER_BYTES + list.iter().map(|value| ELEMENT_BYTES + value_size(value)).sum::<usize>()
        }
        AttributeValue::Ss(set) => set.iter().map(String::len).sum(),
        AttributeValue::Ns(set) => set.iter().map(super::number::Number::size_bytes).sum(),
        AttributeValue::Bs(set) => set.iter().map(bytes::Bytes::len).sum(),
    }
}
