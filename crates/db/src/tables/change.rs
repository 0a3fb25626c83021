//! What UpdateTable asks for, and what becomes of the table: one change at a time, as the service has it.
//!
//! Changes of global indexes are in `index_change.rs`. Every change is done when its commit is: the answer says UPDATING,
//! as clients expect, and the next DescribeTable ACTIVE.

use std::collections::HashSet;

use partita_engine::{Freshness, Write};
use partita_model::Refusal;

use super::definition::{EncryptionDefinition, NO_UNITS_ON_DEMAND};
use super::index_change::IndexChange;
use super::keys::invalid;
use super::lifecycle::Described;
use super::no_such_table;
use super::streams::StreamDefinition;
use super::throughput::{During, Moment, Owner, ProvisionedUnits, check_switches};
use crate::Database;
use crate::catalog::{Becomes, RecordChange, catalog_key_of};
use crate::crypt::TableKeyState;
use crate::error::{Error, Result};
use crate::limits::MAX_SWITCHES_A_DAY;
use crate::record::{
    BillingMode, OnDemandThroughput, TableClass, TableRecord, TableStatus, Throughput, WarmThroughput,
};
use crate::scope::Scope;

/// What UpdateTable changes.
#[derive(Clone, Debug, Default)]
pub struct TableChange {
    /// Definitions of attributes that a new index needs; without effect otherwise.
    pub attributes: Option<Vec<(String, String)>>,
    /// How requests are paid for.
    pub billing: Option<BillingMode>,
    /// Provisioned throughput.
    pub throughput: Option<ProvisionedUnits>,
    /// Maximums in on-demand mode; -1 takes one away.
    pub on_demand: Option<OnDemandThroughput>,
    /// Warm throughput.
    pub warm: Option<WarmThroughput>,
    /// The stream.
    pub stream: Option<StreamDefinition>,
    /// Encryption.
    pub encryption: Option<EncryptionDefinition>,
    /// The table's class.
    pub class: Option<TableClass>,
    /// Whether DeleteTable is refused.
    pub deletion_protection: Option<bool>,
    /// Changes of global secondary indexes.
    pub indexes: Option<Vec<IndexChange>>,
}

/// What UpdateTable says when it is asked for nothing.
const NOTHING_ASKED: &str = "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
     GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, \
     MultiRegionConsistency, DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required";

/// A change applied to a record.
pub(super) struct Applied {
    /// The record as it becomes.
    pub after: TableRecord,
    /// The record as the answer shows it, with the change under way.
    pub answer: TableRecord,
    /// Further changes of the same commit.
    pub writes: Vec<Write>,
    /// The id of an index that is to be filled.
    pub fill: Option<u16>,
}

impl TableChange {
    fn on_demand(&self) -> Option<OnDemandThroughput> {
        self.on_demand.filter(|maximums| !maximums.is_empty())
    }

    fn warm(&self) -> Option<WarmThroughput> {
        self.warm.filter(|warm| !warm.is_empty())
    }

    pub(super) fn index_changes(&self) -> &[IndexChange] {
        self.indexes.as_deref().unwrap_or_default()
    }

    fn changes_index_set(&self) -> bool {
        self.index_changes().iter().any(IndexChange::changes_index_set)
    }

    /// Checks what needs no table: that something is asked for, and only what may be asked for together.
    ///
    /// # Errors
    /// `ValidationException`, or `LimitExceededException` for several indexes made or deleted at once.
    pub fn check(&self) -> Result<()> {
        let asked = [
            self.encryption.is_some(),
            self.class.is_some(),
            self.deletion_protection.is_some(),
            self.warm().is_some(),
            self.on_demand().is_some(),
            self.billing.is_some(),
            self.throughput.is_some(),
            self.stream.is_some(),
            !self.index_changes().is_empty(),
        ];
        let asked = asked.into_iter().filter(|asked| *asked).count();
        if asked == 0 {
            return Err(Error::validation(NOTHING_ASKED));
        }
        self.check_together(asked)?;
        if self.indexes.as_ref().is_some_and(Vec::is_empty) {
            return Err(invalid("List of GlobalSecondaryIndexUpdates is empty").into());
        }
        let mut seen = HashSet::new();
        for change in self.index_changes() {
            let name = change.check_action()?;
            if !seen.insert(name) {
                return Err(invalid(format_args!(
                    "Only one global secondary index update per index is allowed simultaneously. Index: {name}"
                ))
                .into());
            }
        }
        if let Some(stream) = self.stream {
            stream.check_change()?;
        }
        if let Some(units) = self.throughput {
            units.check_bounds()?;
            if self.billing == Some(BillingMode::OnDemand) {
                return Err(invalid(NO_UNITS_ON_DEMAND).into());
            }
        } else if self.billing == Some(BillingMode::Provisioned) {
            return Err(invalid("ProvisionedThroughput must be specified when BillingMode is PROVISIONED").into());
        }
        Ok(())
    }

    fn check_together(&self, asked: usize) -> std::result::Result<(), Refusal> {
        let alone = asked == 1;
        for (given, what) in [
            (self.encryption.is_some(), "Server-Side Encryption"),
            (self.class.is_some(), "TableClass"),
            (self.deletion_protection.is_some(), "DeletionProtection"),
        ] {
            if given && !alone {
                return Err(invalid(format_args!("{what} modification must be the only operation in the request")));
            }
        }
        if self.warm().is_some() && !alone {
            let creates = self.index_changes().iter().any(|change| change.create.is_some());
            return Err(invalid(if creates {
                "Create global secondary index cannot be specified when updating WarmThroughput"
            } else {
                "WarmThroughput must be the only operation in the request"
            }));
        }
        if self.on_demand().is_some() && asked > 1 + usize::from(self.billing.is_some()) {
            return Err(invalid("OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"));
        }
        let updates_units = self.throughput.is_some() || self.billing == Some(BillingMode::Provisioned);
        if self.stream.is_some() && updates_units {
            return Err(invalid("You cannot modify stream status while updating table IOPS"));
        }
        if self.changes_index_set() {
            if updates_units {
                return Err(invalid("You cannot create or delete index while updating table IOPS"));
            }
            if self.stream.is_some() {
                return Err(invalid("You cannot create or delete index while changing stream status"));
            }
        }
        Ok(())
    }

    /// Applies a checked change to a table's record.
    pub(super) fn apply(&self, before: &TableRecord, moment: Moment) -> Result<Applied> {
        let now_ms = moment.now_ms;
        let mut applied = Applied { after: before.clone(), answer: before.clone(), writes: Vec::new(), fill: None };
        self.apply_billing(before, &mut applied.after, moment)?;
        self.apply_indexes(before, &mut applied, moment)?;
        let (after, region) = (&mut applied.after, before.region.as_str());
        if let Some(maximums) = self.on_demand() {
            maximums.check(Owner::Table, after.billing, During::Update, region)?;
            after.on_demand = OnDemandThroughput::merged(after.on_demand, maximums);
        }
        if let Some(warm) = self.warm() {
            after.warm = Some(WarmThroughput::raised(after.warm, warm, Owner::Table, region)?);
        }
        if let Some(stream) = self.stream {
            after.stream = stream.change(&after.name, after.stream.take(), now_ms)?;
        }
        if let Some(encryption) = &self.encryption {
            let enabled = encryption.check()?;
            if !enabled && !before.sse_enabled {
                return Err(invalid("Table is already encrypted by default").into());
            }
            after.sse_enabled = enabled;
        }
        if let Some(class) = self.class
            && class != after.class.unwrap_or(TableClass::Standard)
        {
            (after.class, after.class_changed_ms) = (Some(class), Some(now_ms));
        }
        if let Some(protected) = self.deletion_protection {
            after.deletion_protection = protected;
        }
        self.prepare_answer(before, &mut applied);
        Ok(applied)
    }

    fn apply_billing(&self, before: &TableRecord, after: &mut TableRecord, moment: Moment) -> Result<()> {
        let now_ms = moment.now_ms;
        let mode = self.billing.unwrap_or(before.billing);
        let region = before.region.as_str();
        if let Some(units) = self.throughput {
            if mode == BillingMode::OnDemand {
                return Err(invalid(NO_UNITS_ON_DEMAND).into());
            }
            units.check_limit(Owner::Table, region)?;
            if before.billing == BillingMode::Provisioned {
                after.throughput.change(units, Owner::Table, moment)?;
            }
        }
        if mode == before.billing {
            after.warm = Some(WarmThroughput::kept_up(after.warm, mode, &after.throughput));
            return Ok(());
        }
        // The maximums of on-demand mode do not outlast a switch.
        after.billing = mode;
        after.on_demand = None;
        match mode {
            BillingMode::OnDemand => {
                if moment.quotas {
                    check_switches(&after.on_demand_switches_ms, now_ms)?;
                }
                let known = after.on_demand_switches_ms.len();
                after.on_demand_switches_ms.drain(..known.saturating_sub(MAX_SWITCHES_A_DAY - 1));
                after.on_demand_switches_ms.push(now_ms);
                after.on_demand_since_ms = Some(now_ms);
                (after.throughput.read, after.throughput.write) = (0, 0);
            }
            BillingMode::Provisioned => {
                let fresh = Throughput::of(self.throughput);
                (after.throughput.read, after.throughput.write) = (fresh.read, fresh.write);
                self.check_all_indexes_provisioned(before)?;
            }
        }
        after.warm = Some(WarmThroughput::kept_up(after.warm, mode, &after.throughput));
        for index in &mut after.global_indexes {
            index.on_demand = None;
            if mode == BillingMode::OnDemand {
                let decreases = index.throughput.decreases_on_day_of(now_ms);
                index.throughput = Throughput {
                    read: 0,
                    write: 0,
                    decreases_today: decreases + 1,
                    decreased_ms: Some(now_ms),
                    ..index.throughput
                };
            }
            index.warm = Some(WarmThroughput::kept_up(index.warm, mode, &index.throughput));
        }
        Ok(())
    }

    /// A switch to provisioned mode gives every global index its throughput in the same request.
    fn check_all_indexes_provisioned(&self, before: &TableRecord) -> Result<()> {
        let provisioned = |name: &str| {
            let mut updates = self.index_changes().iter().filter_map(|change| change.update.as_ref());
            updates.any(|update| update.name == name && update.throughput.is_some())
        };
        let missing: Vec<&str> =
            before.global_indexes.iter().map(|index| index.name.as_str()).filter(|name| !provisioned(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(invalid(format_args!("ProvisionedThroughput must be specified for index: {}", missing.join(","))).into())
    }

    /// Shows the change under way: status, and units that the service has not changed yet.
    fn prepare_answer(&self, before: &TableRecord, applied: &mut Applied) {
        let indexes = std::mem::take(&mut applied.answer.global_indexes);
        let mut answer = TableRecord { global_indexes: indexes, ..applied.after.clone() };
        if answer.billing == before.billing {
            let stale = before.throughput;
            answer.throughput = Throughput {
                read: stale.read,
                write: stale.write,
                decreases_today: stale.decreases_today,
                ..answer.throughput
            };
        } else if answer.billing == BillingMode::OnDemand {
            answer.on_demand_since_ms = None;
        }
        (answer.class, answer.class_changed_ms) = (before.class, before.class_changed_ms);
        if let Some(maximums) = self.on_demand() {
            // A maximum that was taken away is shown once more, as -1.
            let kept = answer.on_demand.unwrap_or_default();
            let cleared = |change: Option<i64>, kept: Option<i64>| if change == Some(-1) { change } else { kept };
            answer.on_demand = Some(OnDemandThroughput {
                max_read: cleared(maximums.max_read, kept.max_read),
                max_write: cleared(maximums.max_write, kept.max_write),
            });
        }
        let under_way = self.billing.is_some()
            || self.throughput.is_some()
            || self.stream.is_some()
            || self.class.is_some()
            || self.encryption.is_some()
            || self.changes_index_set();
        answer.status = if under_way { TableStatus::Updating } else { TableStatus::Active };
        applied.answer = answer;
    }
}

impl Database {
    /// Changes a table (UpdateTable), and returns it as the answer shows it: being updated.
    ///
    /// # Errors
    /// `ValidationException` when the change breaks a rule or changes nothing, `LimitExceededException` past a quota,
    /// `ResourceNotFoundException` when there is no such table or index.
    pub async fn update_table(&self, scope: &Scope, name_or_arn: &str, change: &TableChange) -> Result<Described> {
        change.check()?;
        let key = catalog_key_of(scope, name_or_arn);
        let root_key = match change.encryption.as_ref().and_then(|encryption| encryption.key_id.as_deref()) {
            Some(key_id) => Some(self.store().root_key(key_id, scope).await?),
            None => None,
        };
        let moment = || Moment { now_ms: self.now_ms(), quotas: self.inner.settings.emulate_aws_limits };
        let (record, fill) = self
            .change_record(&key, |record| {
                let before = record.ok_or_else(|| no_such_table(name_or_arn))?;
                super::check_usable(&before)?;
                let mut applied = change.apply(&before, moment())?;
                if change.encryption.is_some() {
                    applied.after.root_key.clone_from(&root_key);
                    applied.answer.root_key.clone_from(&root_key);
                }
                let record = Becomes::Record(Box::new(applied.after));
                Ok((RecordChange { record, writes: applied.writes }, (applied.answer, applied.fill)))
            })
            .await?;
        if let Some(index) = fill {
            self.await_filling(&key, index).await;
        }
        let after = self.snapshot(Freshness::Latest).await?;
        let counts = self.described_at(&after, &key).await?.map(|described| described.counts).unwrap_or_default();
        let key = TableKeyState { updating: change.encryption.is_some(), ..self.store().key_state(&record) };
        Ok(Described { record, counts, at_ms: self.now_ms(), key })
    }
}
