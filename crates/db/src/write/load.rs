//! Many puts in one commit, each decided by itself: what is wrong with one keeps none of the others from being written.

use std::collections::HashMap;

use partita_engine::{Key, Write};
use partita_expr::Condition;
use partita_model::StoredItem;

use super::collection::ItemCollection;
use super::decide::check_item;
use super::plan::plan;
use crate::Database;
use crate::capacity::Consumed;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::stream::next_ordinal;
use crate::table::{ItemKey, Origin, Table, unseal};

/// How many items are read at once that puts replace.
const READ_AT_ONCE: usize = 100;
/// How many bytes of items one commit replaces at most, beside those read last: streams and histories keep them in memory.
const MAX_REPLACED_BYTES: usize = 16 << 20;

/// An item that is to be put.
#[derive(Debug)]
pub(crate) struct Put {
    /// Its key.
    pub key: ItemKey,
    /// The item.
    pub item: StoredItem,
    /// What must hold of the item that it replaces.
    pub condition: Option<Condition>,
}

/// What became of a put.
#[derive(Debug)]
pub(crate) enum PutOutcome {
    /// It is among the writes, and consumes this.
    Planned(Consumed),
    /// Its condition is false of this item.
    ConditionFailed(Option<StoredItem>),
    /// The table can not hold it.
    Refused(String),
}

impl Database {
    /// Appends the changes that puts of different keys come to, and returns what became of each. There are fewer outcomes
    /// than puts when what they replace is too much for one commit.
    ///
    /// # Errors
    /// An engine failure, or an item in the store that can not be read.
    pub(crate) async fn plan_puts(
        &self,
        snapshot: &Snapshot,
        table: &Table,
        puts: &[&Put],
        writes: &mut Vec<Write>,
    ) -> Result<Vec<PutOutcome>> {
        let touched = puts.iter().filter_map(|put| ItemCollection::of(table, &put.key)).collect();
        let mut collections = self.collection_sizes(snapshot, touched).await?;
        let planning = self.planning();
        // One addition to each counter for all puts together.
        let mut counts: HashMap<Key, i64> = HashMap::new();
        let mut planned = Vec::with_capacity(8);
        // Each put was planned as if it were alone; in the commit they follow one another.
        let mut ordinal = next_ordinal(writes);
        let mut outcomes = Vec::with_capacity(puts.len());
        let mut replaced = 0;
        for some in puts.chunks(READ_AT_ONCE) {
            if replaced > MAX_REPLACED_BYTES {
                return Ok(outcomes);
            }
            let keys: Vec<Key> = some.iter().map(|put| put.key.stored.clone()).collect();
            let found = snapshot.get_many(&keys).await?;
            for (put, old) in some.iter().zip(found) {
                replaced += old.as_ref().map_or(0, |value| value.len());
                let old = old.map(|value| unseal(&value)).transpose()?;
                match check_item(table, &put.item, Origin::Put) {
                    Ok(()) => {}
                    Err(Error::Refused(refusal)) => {
                        outcomes.push(PutOutcome::Refused(refusal.message.into_owned()));
                        continue;
                    }
                    Err(other) => return Err(other),
                }
                if put.condition.as_ref().is_some_and(|condition| !condition.matches(&old.as_ref())) {
                    outcomes.push(PutOutcome::ConditionFailed(old));
                    continue;
                }
                planned.clear();
                let plan = plan(&planning, table, &put.key, (old.as_ref(), Some(&put.item)), false, &mut planned);
                if let Err(error) = collections.grow(plan.growth.as_ref()) {
                    outcomes.push(PutOutcome::Refused(error.to_string()));
                    continue;
                }
                for write in planned.drain(..) {
                    match write {
                        Write::Add { key, delta } => *counts.entry(key).or_default() += delta,
                        Write::PutAtPosition { prefix, suffix, value, .. } => {
                            let at = Write::PutAtPosition { prefix, suffix, ordinal, value };
                            ordinal = ordinal.saturating_add(1);
                            writes.push(at);
                        }
                        other => writes.push(other),
                    }
                }
                outcomes.push(PutOutcome::Planned(plan.consumed));
            }
        }
        writes.extend(counts.into_iter().map(|(key, delta)| Write::Add { key, delta }));
        Ok(outcomes)
    }
}
