//! What a check has found, by table: at most so many of a kind are told one by one, the others are counted.

use std::collections::BTreeMap;
use std::fmt;

/// How many findings of one kind in one place are kept with their words.
const TOLD: usize = 20;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// A value that is not what was stored: its seal or checksum does not fit, or its form is unknown.
    Unreadable,
    /// A table's record that does not fit the rest of the catalog.
    Catalog,
    /// An item that lies elsewhere than its key says.
    MisplacedItem,
    /// An item without the entry that an index should have of it.
    MissingEntry,
    /// An entry of an index that differs from its item.
    WrongEntry,
    /// An entry of an index whose item does not exist, or has another entry.
    OrphanEntry,
    /// A counter of items or bytes that is not what was counted.
    WrongCount,
    /// The size of an item collection that is not what was counted.
    WrongCollection,
    /// An item that would expire, and is in no queue for it.
    MissingExpiry,
    /// A queue of expiry times that can not be read.
    BrokenExpiry,
    /// Shards of a stream that do not fit the table's record or each other.
    BrokenShards,
    /// A stream record outside its shard, or in none.
    MisplacedRecord,
    /// A table's history that does not fit its marks.
    BrokenHistory,
    /// Marks of seconds that are out of order.
    BrokenMoments,
    /// What belongs to no table, index, stream or job.
    Leftover,
    /// A backup that can not be restored.
    BrokenBackup,
    /// A backup that the catalog has and the backup store has not.
    MissingBackup,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "unreadable values",
            Self::Catalog => "wrong records of tables",
            Self::MisplacedItem => "misplaced items",
            Self::MissingEntry => "missing index entries",
            Self::WrongEntry => "index entries that differ from their items",
            Self::OrphanEntry => "index entries without their items",
            Self::WrongCount => "wrong counts",
            Self::WrongCollection => "wrong sizes of item collections",
            Self::MissingExpiry => "items that would never expire",
            Self::BrokenExpiry => "unreadable expiry times",
            Self::BrokenShards => "broken shards",
            Self::MisplacedRecord => "misplaced stream records",
            Self::BrokenHistory => "broken history",
            Self::BrokenMoments => "marks out of order",
            Self::Leftover => "leftovers",
            Self::BrokenBackup => "broken backups",
            Self::MissingBackup => "missing backups",
        })
    }
}

/// What was found of one kind in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The first few, in words.
    pub told: Vec<String>,
    /// How many there are in all.
    pub count: u64,
}

/// All that a check has found, by place and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(BTreeMap<(String, Damage), Finding>);

impl Findings {
    pub(super) fn add(&mut self, place: &str, damage: Damage, what: String) {
        let finding = self.0.entry((place.to_owned(), damage)).or_default();
        finding.count += 1;
        if finding.told.len() < TOLD {
            finding.told.push(what);
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Place, kind and what was found, in the order of places.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Damage, &Finding)> {
        self.0.iter().map(|((place, damage), finding)| (place.as_str(), *damage, finding))
    }

    /// Takes over what another check has found.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}
