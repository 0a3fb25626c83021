//! The flat form of items: what is kept in the store and what responses are written from, without building a tree.
//!
//! `size count (name value)*`, names sorted; a value is a tag and its payload, and everything of variable length is
//! preceded by its length in bytes, so that a reader skips what it does not want. Numbers are kept as DynamoDB's text.
//! Lengths are LEB128. The envelope byte that precedes stored values is the `db` crate's.

use std::borrow::Cow;

use bytes::Bytes;

use crate::item::{AttributeMap, Document};
use crate::number::Number;
use crate::size::item_size;
use crate::value::{AttributeType, AttributeValue, Set};

const TAG_NULL: u8 = 0;
const TAG_FALSE: u8 = 1;
const TAG_TRUE: u8 = 2;
const TAG_S: u8 = 3;
const TAG_N: u8 = 4;
const TAG_B: u8 = 5;
const TAG_M: u8 = 6;
const TAG_L: u8 = 7;
const TAG_SS: u8 = 8;
const TAG_NS: u8 = 9;
const TAG_BS: u8 = 10;

/// An item in its flat form. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredItem(Bytes);

impl StoredItem {
    /// The flat form of an item.
    #[must_use]
    pub fn from_item(item: &AttributeMap) -> Self {
        let size = item_size(item);
        let mut out = Vec::with_capacity(size + size / 8 + 16);
        put_length(&mut out, size);
        put_map_entries(&mut out, item);
        Self(out.into())
    }

    /// Takes bytes that `from_item` made, as read back from the store.
    #[must_use]
    pub const fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The item's size in bytes as DynamoDB counts it.
    #[must_use]
    pub fn size(&self) -> usize {
        Reader(&self.0).length().unwrap_or(0)
    }

    /// The attributes.
    #[must_use]
    pub fn entries(&self) -> StoredMap<'_> {
        let mut reader = Reader(&self.0);
        reader.length();
        StoredMap { count: reader.length().unwrap_or(0), entries: reader }
    }

    /// One attribute's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        self.entries().get(name)
    }

    /// The item as a tree.
    #[must_use]
    pub fn to_item(&self) -> AttributeMap {
        self.entries().to_tree()
    }

    /// The item with only those top-level attributes whose names are given (sorted or not), by copying bytes.
    #[must_use]
    pub fn project(&self, names: &[impl AsRef<str>]) -> Self {
        let mut body = Vec::with_capacity(self.0.len());
        let mut count = 0;
        let mut size = 0;
        let mut reader = self.entries().entries;
        while let Some((name, raw, value)) = reader.raw_entry() {
            if names.iter().any(|wanted| wanted.as_ref().as_bytes() == name) {
                count += 1;
                size += name.len() + value.size();
                body.extend_from_slice(raw);
            }
        }
        let mut out = Vec::with_capacity(body.len() + 8);
        put_length(&mut out, size);
        put_length(&mut out, count);
        out.extend_from_slice(&body);
        Self(out.into())
    }
}

impl StoredItem {
    /// The item with what is in `attributes` in place of the top-level attributes of these names, by copying the bytes
    /// of the others. Names in `attributes` must be among `names`.
    #[must_use]
    pub fn replace(&self, names: &[&str], attributes: &AttributeMap) -> Self {
        let mut body = Vec::with_capacity(self.0.len() + 64);
        let mut size = item_size(attributes);
        let mut count = attributes.len();
        let mut new = attributes.iter().peekable();
        let mut reader = self.entries().entries;
        while let Some((name, raw, value)) = reader.raw_entry() {
            if names.iter().any(|replaced| replaced.as_bytes() == name) {
                continue;
            }
            while let Some((name, value)) = new.next_if(|(new, _)| new.as_bytes() < name) {
                put_entry(&mut body, name, value);
            }
            count += 1;
            size += name.len() + value.size();
            body.extend_from_slice(raw);
        }
        new.for_each(|(name, value)| put_entry(&mut body, name, value));
        let mut out = Vec::with_capacity(body.len() + 8);
        put_length(&mut out, size);
        put_length(&mut out, count);
        out.extend_from_slice(&body);
        Self(out.into())
    }
}

impl From<&AttributeMap> for StoredItem {
    fn from(item: &AttributeMap) -> Self {
        Self::from_item(item)
    }
}

impl Document for StoredItem {
    fn attribute(&self, name: &str) -> Option<Cow<'_, AttributeValue>> {
        self.get(name).map(|value| Cow::Owned(value.to_value()))
    }
}

/// Text inside a flat item. It was UTF-8 when it was stored, so what only passes it on need not check that again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredText<'a>(&'a [u8]);

impl<'a> StoredText<'a> {
    /// The text's bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text; empty when the bytes are damaged.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or("")
    }
}

/// A value inside a flat item, borrowed from its bytes.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string.
    S(StoredText<'a>),
    /// A number as DynamoDB's text.
    N(StoredText<'a>),
    /// Binary data.
    B(&'a [u8]),
    /// A Boolean.
    Bool(bool),
    /// Null.
    Null,
    /// A map.
    M(StoredMap<'a>),
    /// A list.
    L(StoredList<'a>),
    /// A set of strings; each element is UTF-8.
    Ss(StoredElements<'a>),
    /// A set of numbers; each element is DynamoDB's text.
    Ns(StoredElements<'a>),
    /// A set of binary values.
    Bs(StoredElements<'a>),
}

impl ValueRef<'_> {
    /// The value as a tree.
    #[must_use]
    pub fn to_value(&self) -> AttributeValue {
        match self {
            Self::S(text) => AttributeValue::S(text.as_str().to_owned()),
            Self::N(text) => AttributeValue::N(Number::parse(text.as_str()).unwrap_or(Number::ZERO)),
            Self::B(bytes) => AttributeValue::B(Bytes::copy_from_slice(bytes)),
            Self::Bool(value) => AttributeValue::Bool(*value),
            Self::Null => AttributeValue::Null,
            Self::M(map) => AttributeValue::M(map.to_tree()),
            Self::L(list) => AttributeValue::L(list.iter().map(|value| value.to_value()).collect()),
            Self::Ss(set) => {
                AttributeValue::Ss(Set::from_sorted(set.texts().map(|text| text.as_str().to_owned()).collect()))
            }
            Self::Ns(set) => AttributeValue::Ns(Set::from_sorted(
                set.texts().map(|text| Number::parse(text.as_str()).unwrap_or(Number::ZERO)).collect(),
            )),
            Self::Bs(set) => AttributeValue::Bs(Set::from_sorted(set.iter().map(Bytes::copy_from_slice).collect())),
        }
    }

    /// The value's type.
    #[must_use]
    pub const fn attribute_type(&self) -> AttributeType {
        match self {
            Self::S(_) => AttributeType::S,
            Self::N(_) => AttributeType::N,
            Self::B(_) => AttributeType::B,
            Self::Bool(_) => AttributeType::Bool,
            Self::Null => AttributeType::Null,
            Self::M(_) => AttributeType::M,
            Self::L(_) => AttributeType::L,
            Self::Ss(_) => AttributeType::Ss,
            Self::Ns(_) => AttributeType::Ns,
            Self::Bs(_) => AttributeType::Bs,
        }
    }

    /// The value's size in bytes as DynamoDB counts it.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::S(text) => text.as_bytes().len(),
            Self::B(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::Ss(set) | Self::Bs(set) => set.iter().map(<[u8]>::len).sum(),
            Self::N(_) | Self::Ns(_) | Self::M(_) | Self::L(_) => crate::size::value_size(&self.to_value()),
        }
    }
}

/// The attributes of a flat item or map value.
#[derive(Clone, Copy, Debug)]
pub struct StoredMap<'a> {
    count: usize,
    entries: Reader<'a>,
}

impl<'a> StoredMap<'a> {
    /// How many attributes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The attributes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (StoredText<'a>, ValueRef<'a>)> + use<'a> {
        let mut reader = self.entries;
        std::iter::from_fn(move || Some((reader.text()?, reader.value()?)))
    }

    /// One attribute's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ValueRef<'a>> {
        let mut reader = self.entries;
        loop {
            match reader.sized()?.cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => reader.skip_value()?,
                std::cmp::Ordering::Equal => return reader.value(),
                std::cmp::Ordering::Greater => return None,
            }
        }
    }

    fn to_tree(self) -> AttributeMap {
        AttributeMap::from_sorted(
            self.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_value())).collect(),
        )
    }
}

/// The elements of a flat list.
#[derive(Clone, Copy, Debug)]
pub struct StoredList<'a> {
    count: usize,
    values: Reader<'a>,
}

impl<'a> StoredList<'a> {
    /// How many elements there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = ValueRef<'a>> + use<'a> {
        let mut reader = self.values;
        std::iter::from_fn(move || reader.value())
    }
}

/// The elements of a flat set, in order.
#[derive(Clone, Copy, Debug)]
pub struct StoredElements<'a>(Reader<'a>);

impl<'a> StoredElements<'a> {
    /// The elements' bytes.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = self.0;
        std::iter::from_fn(move || reader.sized())
    }

    /// The elements of a string or number set as text.
    pub fn texts(&self) -> impl Iterator<Item = StoredText<'a>> + use<'a> {
        self.iter().map(StoredText)
    }
}

/// Reads the flat form from the front. Bytes that are not of that form end the reading with `None`: the store's
/// checksums, not this reader, find damaged data.
#[derive(Clone, Copy, Debug)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn length(&mut self) -> Option<usize> {
        let mut value = 0usize;
        for shift in (0..usize::BITS).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<StoredText<'a>> {
        self.sized().map(StoredText)
    }

    fn counted(&mut self) -> Option<(usize, Self)> {
        let mut inner = Self(self.sized()?);
        Some((inner.length()?, inner))
    }

    fn value(&mut self) -> Option<ValueRef<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match tag {
            TAG_NULL => ValueRef::Null,
            TAG_FALSE => ValueRef::Bool(false),
            TAG_TRUE => ValueRef::Bool(true),
            TAG_S => ValueRef::S(self.text()?),
            TAG_N => ValueRef::N(self.text()?),
            TAG_B => ValueRef::B(self.sized()?),
            TAG_M => {
                let (count, entries) = self.counted()?;
                ValueRef::M(StoredMap { count, entries })
            }
            TAG_L => {
                let (count, values) = self.counted()?;
                ValueRef::L(StoredList { count, values })
            }
            TAG_SS => ValueRef::Ss(StoredElements(Self(self.sized()?))),
            TAG_NS => ValueRef::Ns(StoredElements(Self(self.sized()?))),
            TAG_BS => ValueRef::Bs(StoredElements(Self(self.sized()?))),
            _ => return None,
        })
    }

    fn skip_value(&mut self) -> Option<()> {
        let (&tag, rest) = self.0.split_first()?;
        self.0 = rest;
        if tag > TAG_TRUE {
            self.sized()?;
        }
        Some(())
    }

    /// The next attribute: its name, its bytes (name and value), and its value.
    fn raw_entry(&mut self) -> Option<(&'a [u8], &'a [u8], ValueRef<'a>)> {
        let start = self.0;
        let name = self.sized()?;
        let value = self.value()?;
        let raw = start.get(..start.len() - self.0.len())?;
        Some((name, raw, value))
    }
}

fn put_length(out: &mut Vec<u8>, mut value: usize) {
    loop {
        #[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_map_entries(out: &mut Vec<u8>, map: &AttributeMap) {
    put_length(out, map.len());
    for (name, value) in map.iter() {
        put_entry(out, name, value);
    }
}

fn put_entry(out: &mut Vec<u8>, name: &str, value: &AttributeValue) {
    put_sized(out, name.as_bytes());
    put_value(out, value);
}

fn put_value(out: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::Null => out.push(TAG_NULL),
        AttributeValue::Bool(false) => out.push(TAG_FALSE),
        AttributeValue::Bool(true) => out.push(TAG_TRUE),
        AttributeValue::S(text) => {
            out.push(TAG_S);
            put_sized(out, text.as_bytes());
        }
        AttributeValue::N(number) => {
            out.push(TAG_N);
            put_number(out, number);
        }
        AttributeValue::B(bytes) => {
            out.push(TAG_B);
            put_sized(out, bytes);
        }
        AttributeValue::M(map) => put_nested(out, TAG_M, |out| put_map_entries(out, map)),
        AttributeValue::L(list) => put_nested(out, TAG_L, |out| {
            put_length(out, list.len());
            list.iter().for_each(|value| put_value(out, value));
        }),
        AttributeValue::Ss(set) => {
            put_nested(out, TAG_SS, |out| set.iter().for_each(|text| put_sized(out, text.as_bytes())))
        }
        AttributeValue::Ns(set) => put_nested(out, TAG_NS, |out| set.iter().for_each(|number| put_number(out, number))),
        AttributeValue::Bs(set) => put_nested(out, TAG_BS, |out| set.iter().for_each(|bytes| put_sized(out, bytes))),
    }
}

fn put_number(out: &mut Vec<u8>, number: &Number) {
    let mut text = String::with_capacity(24);
    let written = number.write_text(&mut text);
    debug_assert!(written.is_ok(), "writing to a string does not fail");
    put_sized(out, text.as_bytes());
}

fn put_nested(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    body(&mut inner);
    out.push(tag);
    put_sized(out, &inner);
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::size::value_size;

    fn any_number() -> impl Strategy<Value = Number> {
        (any::<i64>(), -40i32..40)
            .prop_map(|(digits, exponent)| Number::parse(&format!("{digits}e{exponent}")).unwrap())
    }

    /// Any value, nested up to four levels.
    pub fn any_value() -> impl Strategy<Value = AttributeValue> {
        let leaf = prop_oneof![
            ".{0,12}".prop_map(AttributeValue::S),
            any_number().prop_map(AttributeValue::N),
            vec(any::<u8>(), 0..12).prop_map(|bytes| AttributeValue::B(bytes.into())),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null),
            proptest::collection::btree_set(".{0,4}", 1..4)
                .prop_map(|set| AttributeValue::Ss(Set::new(set.into_iter().collect()).unwrap())),
            proptest::collection::btree_set(any_number(), 1..4)
                .prop_map(|set| AttributeValue::Ns(Set::new(set.into_iter().collect()).unwrap())),
            proptest::collection::btree_set(vec(any::<u8>(), 0..4), 1..4)
                .prop_map(|set| { AttributeValue::Bs(Set::new(set.into_iter().map(Bytes::from).collect()).unwrap()) }),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
                vec((".{0,4}", inner), 0..4).prop_map(|pairs| AttributeValue::M(pairs.into_iter().collect())),
            ]
        })
    }

    fn any_item() -> impl Strategy<Value = AttributeMap> {
        vec((".{0,6}", any_value()), 0..6).prop_map(|pairs| pairs.into_iter().collect())
    }

    proptest! {
        #[test]
        fn flat_form_gives_the_item_back(item in any_item()) {
            let stored = StoredItem::from_item(&item);
            prop_assert_eq!(stored.to_item(), item.clone());
            prop_assert_eq!(stored.size(), item_size(&item));
            prop_assert_eq!(stored.entries().len(), item.len());
            for (name, value) in item.iter() {
                let flat = stored.get(name).unwrap();
                prop_assert_eq!(flat.size(), value_size(value));
                prop_assert_eq!(&flat.to_value(), value);
            }
            prop_assert!(stored.get("no such name").is_none());
        }

        #[test]
        fn projection_by_bytes_equals_projection_of_the_tree(item in any_item(), keep in any::<u64>()) {
            let names: Vec<_> = item.iter().enumerate().filter(|(at, _)| keep >> at & 1 == 1).map(|(_, (name, _))| name.to_owned()).collect();
            let tree: AttributeMap = item.iter().filter(|(name, _)| names.iter().any(|n| n == name)).map(|(n, v)| (n.to_owned(), v.clone())).collect();
            prop_assert_eq!(StoredItem::from_item(&item).project(&names), StoredItem::from_item(&tree));
        }

        #[test]
        fn replacing_by_bytes_equals_replacing_in_the_tree(
            item in any_item(),
            new in any_item(),
            gone in any::<u64>(),
        ) {
            let mut tree = item.clone();
            let mut names: Vec<&str> = new.iter().map(|(name, _)| name).collect();
            names.extend(item.iter().enumerate().filter(|(at, _)| gone >> at & 1 == 1).map(|(_, (name, _))| name));
            names.iter().for_each(|name| drop(tree.remove(name)));
            new.iter().for_each(|(name, value)| drop(tree.insert(name, value.clone())));
            prop_assert_eq!(StoredItem::from_item(&item).replace(&names, &new), StoredItem::from_item(&tree));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..80)) {
            let stored = StoredItem::from_bytes(bytes.into());
            let _ = (stored.size(), stored.to_item(), stored.project(&["a"]), stored.replace(&["a"], &AttributeMap::new()));
        }
    }
}
