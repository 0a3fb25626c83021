//! What a table's keys and indexes are: the part of a table's description that reading and writing items needs.

use crate::value::{AttributeType, AttributeValue};

/// The most partition attributes, and the most sort attributes, in the key of a global secondary index.
pub const MAX_INDEX_KEY_ATTRIBUTES: usize = 4;
/// The longest name of a key attribute in bytes.
pub const MAX_KEY_NAME_BYTES: usize = 255;

/// The type of a key attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// String.
    S,
    /// Number.
    N,
    /// Binary.
    B,
}

impl KeyType {
    /// The corresponding attribute type.
    #[must_use]
    pub const fn attribute_type(self) -> AttributeType {
        match self {
            Self::S => AttributeType::S,
            Self::N => AttributeType::N,
            Self::B => AttributeType::B,
        }
    }

    /// The key type with this wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "S" => Self::S,
            "N" => Self::N,
            "B" => Self::B,
            _ => return None,
        })
    }

    /// Whether the value is of this type.
    #[must_use]
    pub fn admits(self, value: &AttributeValue) -> bool {
        value.attribute_type() == self.attribute_type()
    }
}

/// One attribute of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    /// The attribute's name.
    pub name: String,
    /// Its type.
    pub key_type: KeyType,
}

/// The key of a table or index: partition attributes and sort attributes.
///
/// A table has one partition attribute and at most one sort attribute, a local index exactly one of each, and a global
/// index one to four partition and none to four sort attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySchema {
    /// The partition attributes, at least one.
    pub partition: Vec<KeyAttribute>,
    /// The sort attributes, from left to right.
    pub sort: Vec<KeyAttribute>,
}

impl KeySchema {
    /// All attributes of the key, partition attributes first.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> + Clone {
        self.partition.iter().chain(&self.sort)
    }

    /// Whether the attribute is part of the key.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }

    /// How many attributes the key has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.partition.len() + self.sort.len()
    }

    /// Whether there is no attribute; never true of a valid schema.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partition.is_empty() && self.sort.is_empty()
    }
}

/// Which attributes an index carries besides the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projection {
    /// All attributes of the item.
    All,
    /// The keys of the index and of the table.
    KeysOnly,
    /// The keys and these attributes.
    Include(Vec<String>),
}
