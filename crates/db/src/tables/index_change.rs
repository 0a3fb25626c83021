//! Changes of a table's global secondary indexes: new throughput, new indexes, deleted indexes.
//!
//! Filling a new index with what the table holds is in `online_index.rs`.

use partita_engine::Write;
use partita_model::{ErrorCode, Refusal};

use super::change::{Applied, TableChange};
use super::definition::IndexDefinition;
use super::keys::{self, invalid};
use super::projection::check_total;
use super::throughput::{During, Moment, Owner, ProvisionedUnits, limit_exceeded};
use crate::error::{Error, Result};
use crate::keyspace;
use crate::limits::MAX_GLOBAL_INDEXES;
use crate::record::{
    BillingMode, IndexRecord, IndexStatus, OnDemandThroughput, TableRecord, Throughput, WarmThroughput,
};

/// One element of `GlobalSecondaryIndexUpdates`: one of its members, never two.
#[derive(Clone, Debug, Default)]
pub struct IndexChange {
    /// New throughput of an index.
    pub update: Option<IndexUpdate>,
    /// A new index.
    pub create: Option<IndexDefinition>,
    /// The name of an index to delete.
    pub delete: Option<String>,
}

/// New throughput of an index.
#[derive(Clone, Debug, Default)]
pub struct IndexUpdate {
    /// The index's name.
    pub name: String,
    /// Provisioned throughput.
    pub throughput: Option<ProvisionedUnits>,
    /// Maximums in on-demand mode; -1 takes one away.
    pub on_demand: Option<OnDemandThroughput>,
    /// Warm throughput.
    pub warm: Option<WarmThroughput>,
}

impl IndexChange {
    /// Whether it makes or deletes an index.
    pub(super) fn changes_index_set(&self) -> bool {
        self.create.is_some() || self.delete.is_some()
    }

    /// The name of the index, when the element has exactly one member.
    pub(super) fn check_action(&self) -> std::result::Result<&str, Refusal> {
        match (&self.update, &self.create, &self.delete) {
            (None, None, None) => Err(invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
                 GlobalSecondaryIndexUpdate.Delete must not be null",
            )),
            (Some(update), None, None) => {
                if update.warm.is_some_and(|warm| warm.is_empty()) {
                    return Err(invalid(format_args!(
                        "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond specified for \
                         index: {}",
                        update.name
                    )));
                }
                Ok(&update.name)
            }
            (None, Some(create), None) => Ok(&create.name),
            (None, None, Some(delete)) => Ok(delete),
            _ => {
                Err(invalid("Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object"))
            }
        }
    }
}

/// Where an index of this name stands in the list.
fn global_place(record: &TableRecord, name: &str, verb: &str) -> Result<usize> {
    if let Some(place) = record.global_indexes.iter().position(|index| index.name == name) {
        return Ok(place);
    }
    if record.local_indexes.iter().any(|index| index.name == name) {
        return Err(Error::validation(format!("Cannot {verb} an index that is not a GlobalSecondaryIndex: {name}")));
    }
    Err(Error::refused(
        ErrorCode::ResourceNotFoundException,
        format!("Requested resource not found: Index {name} for table {}", record.name),
    ))
}

impl TableChange {
    /// Applies the changes of indexes, to the record and to the answer's indexes.
    pub(super) fn apply_indexes(&self, before: &TableRecord, applied: &mut Applied, moment: Moment) -> Result<()> {
        let mode_switched = applied.after.billing != before.billing;
        if mode_switched {
            applied.answer.global_indexes.clone_from(&applied.after.global_indexes);
            applied.answer.global_indexes.iter_mut().for_each(|index| index.status = IndexStatus::Updating);
        }
        let structural = self.index_changes().iter().filter(|change| change.changes_index_set()).count();
        let under_way = before.global_indexes.iter().any(|index| index.status == IndexStatus::Creating);
        if structural > 1 || (structural == 1 && under_way && !self.deletes_unfinished(before)) {
            return Err(limit_exceeded(
                "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
                    .to_owned(),
            )
            .into());
        }
        for change in self.index_changes() {
            if let Some(update) = &change.update {
                update.apply(applied, mode_switched, moment)?;
            } else if let Some(create) = &change.create {
                self.create_index(create, applied)?;
            } else if let Some(name) = &change.delete {
                delete_index(name, applied)?;
            }
        }
        Ok(())
    }

    /// Whether the change deletes the very index that is being filled, which ends its filling.
    fn deletes_unfinished(&self, before: &TableRecord) -> bool {
        let deleted = self.index_changes().iter().find_map(|change| change.delete.as_ref());
        before.global_indexes.iter().any(|index| index.status == IndexStatus::Creating && Some(&index.name) == deleted)
    }

    fn create_index(&self, create: &IndexDefinition, applied: &mut Applied) -> Result<()> {
        let record = &mut applied.after;
        let mut existing = record.local_indexes.iter().chain(&record.global_indexes);
        if existing.any(|index| index.name == create.name) {
            return Err(Error::validation("Attempting to create an index which already exists"));
        }
        let Some(given) = &self.attributes else {
            return Err(
                invalid(format_args!("AttributeDefinitions is not specified for index: {}", create.name)).into()
            );
        };
        keys::check_definitions(given)?;
        // What the table has defined stays as it is; of the rest, only what the new key uses is taken.
        let mut attributes = record.attributes.clone();
        for (name, kind) in given {
            let known = attributes.iter().any(|(defined, _)| defined == name);
            if !known && create.key.iter().any(|element| element.name == *name) {
                attributes.push((name.clone(), kind.clone()));
            }
        }
        keys::check_defined(&create.key, &attributes)?;
        let index = create.global(record.billing, &record.region, During::Update)?;
        if record.global_indexes.len() >= MAX_GLOBAL_INDEXES {
            return Err(limit_exceeded(format!(
                "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of \
                 {MAX_GLOBAL_INDEXES}"
            ))
            .into());
        }
        let id = record.next_index_id;
        record.next_index_id =
            id.checked_add(1).ok_or_else(|| Error::Internal("no index id is left in the table".to_owned()))?;
        attributes.sort_unstable();
        record.attributes = attributes;
        let index = IndexRecord { id, status: IndexStatus::Creating, backfilling: true, ..index };
        record.global_indexes.push(index.clone());
        check_total(record.local_indexes.iter().chain(&record.global_indexes).map(|index| &index.projection))?;
        applied.answer.global_indexes.push(IndexRecord { backfilling: false, warm: None, ..index });
        applied.fill = Some(id);
        Ok(())
    }
}

impl IndexUpdate {
    fn apply(&self, applied: &mut Applied, mode_switched: bool, moment: Moment) -> Result<()> {
        let place = global_place(&applied.after, &self.name, "update")?;
        let (mode, region) = (applied.after.billing, applied.after.region.clone());
        let owner = Owner::Index(&self.name);
        let Some(index) = applied.after.global_indexes.get_mut(place) else { return Ok(()) };
        let stale = index.throughput;
        match (mode, self.throughput) {
            (BillingMode::Provisioned, Some(units)) => {
                units.check_limit(owner, &region)?;
                if mode_switched {
                    (index.throughput.read, index.throughput.write) = (units.read, units.write);
                } else {
                    index.throughput.change(units, owner, moment)?;
                }
                index.warm = Some(WarmThroughput::kept_up(index.warm, mode, &index.throughput));
            }
            (BillingMode::OnDemand, units) => {
                let other = self.warm.is_some() || self.on_demand.is_some_and(|maximums| !maximums.is_empty());
                if units.is_some() || !other {
                    return Err(invalid(format_args!(
                        "The only Updates for index: {} when TableThroughputMode is PAY_PER_REQUEST can be to \
                         OnDemandThroughput, WarmThroughput",
                        self.name
                    ))
                    .into());
                }
            }
            (BillingMode::Provisioned, None) => {
                if self.warm.is_none() && self.on_demand.is_none() {
                    return Err(invalid(format_args!(
                        "ProvisionedThroughput must be specified for index: {}",
                        self.name
                    ))
                    .into());
                }
            }
        }
        if let Some(maximums) = self.on_demand {
            maximums.check(owner, mode, During::Update, &region)?;
            index.on_demand = OnDemandThroughput::merged(index.on_demand, maximums);
        }
        if let Some(warm) = self.warm {
            index.warm = Some(WarmThroughput::raised(index.warm, warm, owner, &region)?);
        }
        let shown = if mode_switched {
            index.throughput
        } else {
            Throughput {
                read: stale.read,
                write: stale.write,
                decreases_today: stale.decreases_today,
                ..index.throughput
            }
        };
        let answer = IndexRecord { status: IndexStatus::Updating, throughput: shown, ..index.clone() };
        if let Some(entry) = applied.answer.global_indexes.iter_mut().find(|entry| entry.id == answer.id) {
            *entry = answer;
        }
        Ok(())
    }
}

/// Takes an index away, with its entries, its counters, and the definitions that only it used.
fn delete_index(name: &str, applied: &mut Applied) -> Result<()> {
    let place = global_place(&applied.after, name, "delete")?;
    let record = &mut applied.after;
    let index = record.global_indexes.remove(place);
    applied.writes.push(Write::Retire {
        prefix: keyspace::index_prefix(keyspace::SPACE_GLOBAL_INDEX, record.id, index.id).into(),
    });
    applied.writes.push(Write::Retire { prefix: keyspace::counters(record.id, index.id) });
    applied.writes.push(Write::Delete { key: keyspace::index_progress(record.id, index.id) });
    let indexes = record.local_indexes.iter().chain(&record.global_indexes);
    let keys: Vec<String> =
        record.key.iter().chain(indexes.flat_map(|index| &index.key)).map(|element| element.name.clone()).collect();
    record.attributes.retain(|(name, _)| keys.contains(name));
    if let Some(entry) = applied.answer.global_indexes.iter_mut().find(|entry| entry.id == index.id) {
        entry.status = IndexStatus::Deleting;
    }
    Ok(())
}
