//! An attribute value: one of DynamoDB's ten types, as a tree in memory.
//!
//! The tree is what requests are decoded into and what expressions compute with. What is kept on disk is the flat
//! form in `stored`; both have the same meaning.

use std::cmp::Ordering;

use bytes::Bytes;

use crate::item::AttributeMap;
use crate::number::Number;

/// The deepest nesting of lists and maps that an attribute value may have.
/// A value inside 31 wrappers passes, inside 32 it fails (measured against the real service).
pub const MAX_NESTING_DEPTH: usize = 32;

/// A value of an attribute, of any of the ten types.
///
/// Equality is DynamoDB's: numbers by value, sets without regard to order, everything else structurally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A string (UTF-8).
    S(String),
    /// A number of up to 38 significant digits.
    N(Number),
    /// Binary data.
    B(Bytes),
    /// A Boolean.
    Bool(bool),
    /// The null value.
    Null,
    /// A map from attribute names to values.
    M(AttributeMap),
    /// A list of values.
    L(Vec<AttributeValue>),
    /// A set of strings, kept sorted and free of duplicates; never empty.
    Ss(Set<String>),
    /// A set of numbers, kept sorted by value and free of duplicates; never empty.
    Ns(Set<Number>),
    /// A set of binary values, kept sorted and free of duplicates; never empty.
    Bs(Set<Bytes>),
}

/// The name of a value's type as DynamoDB writes it in JSON and in `attribute_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeType {
    /// String.
    S,
    /// Number.
    N,
    /// Binary.
    B,
    /// Boolean.
    Bool,
    /// Null.
    Null,
    /// Map.
    M,
    /// List.
    L,
    /// String set.
    Ss,
    /// Number set.
    Ns,
    /// Binary set.
    Bs,
}

impl AttributeType {
    /// The wire name: `S`, `N`, `B`, `BOOL`, `NULL`, `M`, `L`, `SS`, `NS` or `BS`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::M => "M",
            Self::L => "L",
            Self::Ss => "SS",
            Self::Ns => "NS",
            Self::Bs => "BS",
        }
    }

    /// The type with this wire name (case-sensitive), if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "S" => Self::S,
            "N" => Self::N,
            "B" => Self::B,
            "BOOL" => Self::Bool,
            "NULL" => Self::Null,
            "M" => Self::M,
            "L" => Self::L,
            "SS" => Self::Ss,
            "NS" => Self::Ns,
            "BS" => Self::Bs,
            _ => return None,
        })
    }

    /// Whether this is one of the three set types.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::Ss | Self::Ns | Self::Bs)
    }
}

impl AttributeValue {
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

    /// Orders two values as the comparison operators do: strings by UTF-8 bytes, numbers by value, binary by unsigned
    /// bytes. `None` when the types differ or have no order.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::S(a), Self::S(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            (Self::N(a), Self::N(b)) => Some(a.cmp(b)),
            (Self::B(a), Self::B(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// How many lists and maps enclose the deepest value: 0 for a scalar or set, 1 for an empty list.
    ///
    /// The depth is bounded by the decoder (`MAX_NESTING_DEPTH`), so the recursion is too.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Self::M(map) => 1 + map.iter().map(|(_, v)| v.depth()).max().unwrap_or(0),
            Self::L(list) => 1 + list.iter().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// A DynamoDB set: at least one element, no two equal, kept in order so that equality ignores the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<T>(Vec<T>);

/// Why elements do not make a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// A set needs at least one element.
    Empty,
    /// Two elements are equal.
    Duplicate,
}

impl<T: Ord> Set<T> {
    /// A set of these elements.
    ///
    /// # Errors
    /// When there is no element, or two are equal.
    pub fn new(mut elements: Vec<T>) -> Result<Self, SetError> {
        if elements.is_empty() {
            return Err(SetError::Empty);
        }
        elements.sort_unstable();
        if elements.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(SetError::Duplicate);
        }
        Ok(Self(elements))
    }

    /// Elements of both sets.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.0.sort_unstable();
        self.0.dedup();
        self
    }

    /// The elements that are not in `other`; `None` when nothing is left, because a set is never empty.
    #[must_use]
    pub fn difference(mut self, other: &Self) -> Option<Self> {
        self.0.retain(|element| !other.contains(element));
        if self.0.is_empty() { None } else { Some(self) }
    }

    /// Whether an element equal to this one is in the set.
    #[must_use]
    pub fn contains(&self, element: &T) -> bool {
        self.0.binary_search(element).is_ok()
    }
}

impl<T> Set<T> {
    /// The elements in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// How many elements there are; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The elements in order.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// For decoders of stored forms, whose elements were sorted and distinct when they were written.
    pub(crate) fn from_sorted(elements: Vec<T>) -> Self {
        Self(elements)
    }
}
