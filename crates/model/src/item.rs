//! Attribute maps: an item, a key, or a map value. Names are unique and kept sorted by their UTF-8 bytes.

use std::borrow::Cow;

use crate::value::AttributeValue;

/// A map from attribute names to values, sorted by name; for the handful of attributes that items have a sorted
/// vector is smaller and faster than a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeMap(Vec<(String, AttributeValue)>);

/// An item, or the key of one: its attributes by name.
pub type Item = AttributeMap;

impl AttributeMap {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value under `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.position(name).ok().and_then(|at| self.0.get(at)).map(|(_, value)| value)
    }

    /// The value under `name`, to change in place.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut AttributeValue> {
        let at = self.position(name).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Whether there is a value under `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_ok()
    }

    /// Puts `value` under `name` and returns what was there before.
    pub fn insert(&mut self, name: impl Into<String> + AsRef<str>, value: AttributeValue) -> Option<AttributeValue> {
        match self.position(name.as_ref()) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (name.into(), value));
                None
            }
        }
    }

    /// Takes out and returns the value under `name`.
    pub fn remove(&mut self, name: &str) -> Option<AttributeValue> {
        self.position(name).ok().map(|at| self.0.remove(at).1)
    }

    /// How many attributes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A map of these pairs; `Err` gives the first name that occurs twice.
    ///
    /// # Errors
    /// When two pairs have the same name.
    pub fn from_pairs(mut pairs: Vec<(String, AttributeValue)>) -> Result<Self, String> {
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            let twice = pairs.windows(2).find_map(|pair| match pair {
                [a, b] if a.0 == b.0 => Some(a.0.clone()),
                _ => None,
            });
            if let Some(name) = twice {
                return Err(name);
            }
        }
        Ok(Self(pairs))
    }

    /// For decoders of stored forms, whose names were sorted and distinct when they were written.
    pub(crate) const fn from_sorted(pairs: Vec<(String, AttributeValue)>) -> Self {
        Self(pairs)
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(candidate, _)| candidate.as_str().cmp(name))
    }
}

impl IntoIterator for AttributeMap {
    type Item = (String, AttributeValue);
    type IntoIter = std::vec::IntoIter<(String, AttributeValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, AttributeValue)> for AttributeMap {
    /// Collects pairs; of two with the same name the later wins.
    fn from_iter<I: IntoIterator<Item = (String, AttributeValue)>>(pairs: I) -> Self {
        let mut map = Self::new();
        for (name, value) in pairs {
            map.insert(name, value);
        }
        map
    }
}

/// Something with top-level attributes that expressions can be evaluated against: an item as a tree, or in its stored
/// form, of which only the attribute asked for is decoded.
pub trait Document {
    /// The value of a top-level attribute.
    fn attribute(&self, name: &str) -> Option<Cow<'_, AttributeValue>>;
}

impl Document for AttributeMap {
    fn attribute(&self, name: &str) -> Option<Cow<'_, AttributeValue>> {
        self.get(name).map(Cow::Borrowed)
    }
}

/// The absent item: every condition sees no attributes at all.
impl<D: Document> Document for Option<D> {
    fn attribute(&self, name: &str) -> Option<Cow<'_, AttributeValue>> {
        self.as_ref().and_then(|document| document.attribute(name))
    }
}

impl<D: Document> Document for &D {
    fn attribute(&self, name: &str) -> Option<Cow<'_, AttributeValue>> {
        (**self).attribute(name)
    }
}
