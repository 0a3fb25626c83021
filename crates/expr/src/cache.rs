//! Parsed expressions and PartiQL statements by their text, shared by all requests.

use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use crate::error::{Error, Kind};
use crate::parse::{ParsedCondition, ParsedProjection, ParsedUpdate};
use crate::partiql::{self, Statement};

/// About how many bytes an entry costs beside its text and parsed form.
const ENTRY_BYTES: usize = 160;
/// About how many bytes a parsed statement has for each byte of its text, at most.
const STATEMENT_BYTES: usize = 64;

/// A bounded cache of parsed expressions and statements; texts that do not parse are not kept.
///
/// Applications send the same few texts with different values, so nearly every request finds its expressions here.
#[derive(Debug)]
pub struct ParseCache {
    entries: Cache<Key, Parsed, Weight>,
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Language {
    Expression(Kind),
    Partiql,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    language: Language,
    text: Box<str>,
}

/// A key whose text is borrowed; it hashes as `Key` does.
#[derive(Hash)]
struct KeyRef<'t> {
    language: Language,
    text: &'t str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.language == key.language && self.text == &*key.text
    }
}

#[derive(Clone, Debug)]
enum Parsed {
    Condition(Arc<ParsedCondition>),
    Projection(Arc<ParsedProjection>),
    Update(Arc<ParsedUpdate>),
    Statement(Arc<Statement>),
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Key, Parsed> for Weight {
    fn weight(&self, key: &Key, parsed: &Parsed) -> u64 {
        let parsed = match parsed {
            Parsed::Condition(parsed) => parsed.weight(),
            Parsed::Projection(parsed) => parsed.weight(),
            Parsed::Update(parsed) => parsed.weight(),
            Parsed::Statement(_) => key.text.len().saturating_mul(STATEMENT_BYTES),
        };
        u64::try_from(key.text.len() + parsed + ENTRY_BYTES).unwrap_or(u64::MAX)
    }
}

impl ParseCache {
    /// A cache that keeps about this many bytes at most, made for about this many entries.
    #[must_use]
    pub fn new(max_entries: usize, max_bytes: u64) -> Self {
        Self { entries: Cache::with_weighter(max_entries, max_bytes, Weight) }
    }

    /// The parsed condition, filter or key condition.
    ///
    /// # Errors
    /// As `ParsedCondition::parse`.
    pub fn condition(&self, kind: Kind, text: &str) -> Result<Arc<ParsedCondition>, Error> {
        let language = Language::Expression(kind);
        if let Some(Parsed::Condition(parsed)) = self.entries.get(&KeyRef { language, text }) {
            return Ok(parsed);
        }
        let parsed = Arc::new(ParsedCondition::parse(kind, text)?);
        self.insert(language, text, Parsed::Condition(Arc::clone(&parsed)));
        Ok(parsed)
    }

    /// The parsed projection.
    ///
    /// # Errors
    /// As `ParsedProjection::parse`.
    pub fn projection(&self, text: &str) -> Result<Arc<ParsedProjection>, Error> {
        let language = Language::Expression(Kind::Projection);
        if let Some(Parsed::Projection(parsed)) = self.entries.get(&KeyRef { language, text }) {
            return Ok(parsed);
        }
        let parsed = Arc::new(ParsedProjection::parse(text)?);
        self.insert(language, text, Parsed::Projection(Arc::clone(&parsed)));
        Ok(parsed)
    }

    /// The parsed update.
    ///
    /// # Errors
    /// As `ParsedUpdate::parse`.
    pub fn update(&self, text: &str) -> Result<Arc<ParsedUpdate>, Error> {
        let language = Language::Expression(Kind::Update);
        if let Some(Parsed::Update(parsed)) = self.entries.get(&KeyRef { language, text }) {
            return Ok(parsed);
        }
        let parsed = Arc::new(ParsedUpdate::parse(text)?);
        self.insert(language, text, Parsed::Update(Arc::clone(&parsed)));
        Ok(parsed)
    }

    /// The parsed statement.
    ///
    /// # Errors
    /// As `Statement::parse`.
    pub fn statement(&self, text: &str) -> Result<Arc<Statement>, partiql::Error> {
        let language = Language::Partiql;
        if let Some(Parsed::Statement(parsed)) = self.entries.get(&KeyRef { language, text }) {
            return Ok(parsed);
        }
        let parsed = Arc::new(Statement::parse(text)?);
        self.insert(language, text, Parsed::Statement(Arc::clone(&parsed)));
        Ok(parsed)
    }

    fn insert(&self, language: Language, text: &str, parsed: Parsed) {
        self.entries.insert(Key { language, text: text.into() }, parsed);
    }
}

impl Default for ParseCache {
    /// A cache of at most 16 MB.
    fn default() -> Self {
        Self::new(4_096, 16 * 1024 * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_text_is_parsed_once() {
        let cache = ParseCache::default();
        let first = cache.condition(Kind::Filter, "a = :b").unwrap();
        assert!(Arc::ptr_eq(&first, &cache.condition(Kind::Filter, "a = :b").unwrap()));
        assert!(!Arc::ptr_eq(&first, &cache.condition(Kind::Condition, "a = :b").unwrap()));
        assert!(Arc::ptr_eq(&cache.update("REMOVE a").unwrap(), &cache.update("REMOVE a").unwrap()));
        assert!(Arc::ptr_eq(&cache.projection("a").unwrap(), &cache.projection("a").unwrap()));
        let select = "SELECT * FROM users WHERE a = ?";
        assert!(Arc::ptr_eq(&cache.statement(select).unwrap(), &cache.statement(select).unwrap()));
        assert!(cache.statement("SELECT").is_err());
    }

    #[test]
    fn many_texts_stay_within_the_bytes() {
        let cache = ParseCache::new(16, 20_000);
        for number in 0..1_000 {
            cache.projection(&format!("a{number}, b")).unwrap();
        }
        assert!(cache.entries.weight() <= 20_000);
    }
}
