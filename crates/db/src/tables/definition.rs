//! What CreateTable asks for, and whether it may be: the rules of a table's definition in the service's order.
//!
//! The rules of single parts are in `keys.rs`, `projection.rs`, `throughput.rs` and `tags.rs`.

use std::collections::HashSet;

use partita_model::Refusal;

use super::keys::{self, invalid};
use super::projection::{ProjectionDefinition, check_total};
use super::streams::StreamDefinition;
use super::tags::{self, TagDefinition};
use super::throughput::{During, Owner, ProvisionedUnits};
use crate::limits::{MAX_GLOBAL_INDEXES, MAX_LOCAL_INDEXES};
use crate::record::{
    BillingMode, Collections, IndexRecord, IndexStatus, KeyElement, Logs, OnDemandThroughput, TableClass, TableRecord,
    TableStatus, Throughput, WarmThroughput,
};
use crate::scope::Scope;

/// A table as CreateTable defines it.
#[derive(Clone, Debug, Default)]
pub struct TableDefinition {
    /// `AttributeDefinitions`: names and types (`S`, `N`, `B`).
    pub attributes: Vec<(String, String)>,
    /// The key.
    pub key: Vec<KeyElement>,
    /// Local secondary indexes; an empty list is refused.
    pub local_indexes: Option<Vec<IndexDefinition>>,
    /// Global secondary indexes; an empty list is refused.
    pub global_indexes: Option<Vec<IndexDefinition>>,
    /// How requests are paid for; `None` means provisioned.
    pub billing: Option<BillingMode>,
    /// Provisioned throughput.
    pub throughput: Option<ProvisionedUnits>,
    /// Maximums in on-demand mode.
    pub on_demand: Option<OnDemandThroughput>,
    /// Warm throughput.
    pub warm: Option<WarmThroughput>,
    /// A stream.
    pub stream: Option<StreamDefinition>,
    /// Encryption.
    pub encryption: Option<EncryptionDefinition>,
    /// The table's class.
    pub class: Option<TableClass>,
    /// Whether DeleteTable is refused.
    pub deletion_protection: bool,
    /// Tags.
    pub tags: Vec<TagDefinition>,
    /// The table's own policy, as it was given.
    pub policy: Option<String>,
}

/// A secondary index as a request defines it.
#[derive(Clone, Debug, Default)]
pub struct IndexDefinition {
    /// The index's name.
    pub name: String,
    /// Its key.
    pub key: Vec<KeyElement>,
    /// What it carries besides the keys.
    pub projection: ProjectionDefinition,
    /// Provisioned throughput; of global indexes only.
    pub throughput: Option<ProvisionedUnits>,
    /// Maximums in on-demand mode; of global indexes only.
    pub on_demand: Option<OnDemandThroughput>,
    /// Warm throughput; of global indexes only.
    pub warm: Option<WarmThroughput>,
}

/// An `SSESpecification`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionDefinition {
    /// Whether KMS encryption is asked for.
    pub enabled: Option<bool>,
    /// `SSEType`: `AES256` or `KMS`.
    pub kind: Option<String>,
    /// The KMS key.
    pub key_id: Option<String>,
}

impl EncryptionDefinition {
    /// Whether KMS encryption is asked for.
    ///
    /// # Errors
    /// `ValidationException` when the members do not fit together.
    pub(super) fn check(&self) -> Result<bool, Refusal> {
        if self.enabled == Some(false) {
            if self.kind.is_some() {
                return Err(invalid("SSEType can not be specified if Enabled is false"));
            }
            if self.key_id.is_some() {
                return Err(invalid("KMSMasterKeyId can not be specified if Enabled is false"));
            }
            return Ok(false);
        }
        match self.kind.as_deref() {
            Some("AES256") => return Err(invalid("SSEType AES256 is not supported")),
            None if self.key_id.is_some() => {
                return Err(invalid("SSEType KMS is required if KMSMasterKeyId is specified"));
            }
            _ => {}
        }
        Ok(self.enabled == Some(true) || self.kind.is_some())
    }
}

impl TableDefinition {
    /// The mode the table will be in.
    fn mode(&self) -> BillingMode {
        self.billing.unwrap_or(BillingMode::Provisioned)
    }

    /// Checks the definition against every rule that needs no other table.
    ///
    /// # Errors
    /// `ValidationException`, or `LimitExceededException` for throughput beyond the quotas of the region's account.
    pub fn check(&self, region: &str) -> Result<(), Refusal> {
        self.record("", &Scope { account: "".into(), region: region.into() }, 0).map(|_| ())
    }

    /// The record of the table, ready for use; its id comes with the commit.
    pub(crate) fn record(&self, name: &str, scope: &Scope, now_ms: u64) -> Result<TableRecord, Refusal> {
        let (mode, region) = (self.mode(), scope.region.as_ref());
        self.check_throughput()?;
        keys::check_definitions(&self.attributes)?;
        keys::check_table_key(&self.key, &self.attributes)?;
        self.check_index_lists()?;
        let indexes = self.indexes();
        for (_, index) in &indexes {
            keys::check_defined(&index.key, &self.attributes)?;
        }
        let all_keys =
            std::iter::once(self.key.as_slice()).chain(indexes.iter().map(|(_, index)| index.key.as_slice()));
        keys::check_used(all_keys, &self.attributes)?;

        let mut names = HashSet::new();
        let mut records = (Vec::new(), Vec::new());
        for (id, &(global, index)) in (1u16..).zip(&indexes) {
            let record = if global { index.global(mode, region, During::Create)? } else { index.local(&self.key)? };
            if !names.insert(&index.name) {
                return Err(invalid(format_args!("Duplicate index name: {}", index.name)));
            }
            let records = if global { &mut records.1 } else { &mut records.0 };
            records.push(IndexRecord { id, ..record });
        }
        let (local_indexes, global_indexes) = records;
        if local_indexes.len() > MAX_LOCAL_INDEXES {
            return Err(invalid(format_args!(
                "Number of LocalSecondaryIndexes exceeds per-table limit of {MAX_LOCAL_INDEXES}"
            )));
        }
        if global_indexes.len() > MAX_GLOBAL_INDEXES {
            return Err(invalid(format_args!(
                "GlobalSecondaryIndex count exceeds the per-table limit of {MAX_GLOBAL_INDEXES}"
            )));
        }
        check_total(local_indexes.iter().chain(&global_indexes).map(|index| &index.projection))?;

        let on_demand = self.on_demand.unwrap_or_default();
        on_demand.check(Owner::Table, mode, During::Create, region)?;
        let throughput = Throughput::of(self.throughput);
        let warm = WarmThroughput::new_for(self.warm, Owner::Table, mode, &throughput, region)?;
        let stream = self.stream.map(|stream| stream.check_new(now_ms)).transpose()?.flatten();
        let sse_enabled = self.encryption.as_ref().map(EncryptionDefinition::check).transpose()?.unwrap_or(false);
        let tags = tags::checked(&self.tags)?;
        if let Some(units) = self.throughput {
            units.check_limit(Owner::Table, region)?;
        }

        let mut attributes = self.attributes.clone();
        // The service describes them sorted.
        attributes.sort_unstable();
        Ok(TableRecord {
            id: 0,
            uuid: String::new(),
            account: scope.account.to_string(),
            region: scope.region.to_string(),
            name: name.to_owned(),
            created_ms: now_ms,
            status: TableStatus::Active,
            attributes,
            key: self.key.clone(),
            billing: mode,
            on_demand_switches_ms: Vec::new(),
            on_demand_since_ms: (mode == BillingMode::OnDemand).then_some(now_ms),
            throughput,
            on_demand: (!on_demand.is_empty()).then_some(on_demand),
            warm: Some(warm),
            next_index_id: u16::try_from(indexes.len()).unwrap_or(u16::MAX).saturating_add(1),
            local_indexes,
            global_indexes,
            stream,
            // The standard class is what a table without one has.
            class: self.class.filter(|class| *class != TableClass::Standard),
            class_changed_ms: None,
            deletion_protection: self.deletion_protection,
            tags,
            time_to_live: None,
            resource_policy: None,
            sse_enabled,
            root_key: None,
            recovery: None,
            restored: None,
            import: None,
            logs: Logs::default(),
            insights: Vec::new(),
            collections: Collections::Measured,
        })
    }

    fn check_throughput(&self) -> Result<(), Refusal> {
        match (self.mode(), self.throughput) {
            (BillingMode::OnDemand, Some(_)) => Err(invalid(NO_UNITS_ON_DEMAND)),
            (BillingMode::OnDemand, None) => Ok(()),
            (BillingMode::Provisioned, None) => Err(invalid(
                "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
            )),
            (BillingMode::Provisioned, Some(units)) => units.check_bounds(),
        }
    }

    fn check_index_lists(&self) -> Result<(), Refusal> {
        for (list, name) in
            [(&self.local_indexes, "LocalSecondaryIndexes"), (&self.global_indexes, "GlobalSecondaryIndexes")]
        {
            if list.as_ref().is_some_and(Vec::is_empty) {
                return Err(invalid(format_args!("List of {name} is empty")));
            }
        }
        if self.local_indexes.is_some() && self.key.len() < 2 {
            return Err(invalid(
                "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
            ));
        }
        Ok(())
    }

    /// The local indexes, then the global ones, each with whether it is global.
    fn indexes(&self) -> Vec<(bool, &IndexDefinition)> {
        let local = self.local_indexes.iter().flatten().map(|index| (false, index));
        local.chain(self.global_indexes.iter().flatten().map(|index| (true, index))).collect()
    }
}

/// What a request for units is told in on-demand mode.
pub(super) const NO_UNITS_ON_DEMAND: &str =
    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST";

impl IndexDefinition {
    fn local(&self, table_key: &[KeyElement]) -> Result<IndexRecord, Refusal> {
        keys::check_plain_key(&self.key)?;
        if self.key.len() < 2 {
            return Err(invalid(format_args!("Index KeySchema does not have a range key for index: {}", self.name)));
        }
        let first = |key: &[KeyElement]| key.first().map(|element| element.name.clone()).unwrap_or_default();
        let (own, table) = (first(&self.key), first(table_key));
        if own != table {
            return Err(invalid(format_args!(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: {}. index hash \
                 key: {own}, table hash key: {table}",
                self.name
            )));
        }
        Ok(IndexRecord {
            id: 0,
            name: self.name.clone(),
            key: self.key.clone(),
            projection: self.projection.check()?,
            status: IndexStatus::Active,
            backfilling: false,
            throughput: Throughput::default(),
            on_demand: None,
            warm: None,
        })
    }

    /// The record of a global index of a table in this mode; its id is the caller's to give.
    pub(super) fn global(&self, mode: BillingMode, region: &str, during: During) -> Result<IndexRecord, Refusal> {
        keys::check_global_key(&self.key)?;
        let projection = self.projection.check()?;
        let (name, owner) = (&self.name, Owner::Index(&self.name));
        match (mode, self.throughput, during) {
            (BillingMode::OnDemand, Some(_), During::Create) => {
                return Err(invalid(format_args!(
                    "ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST"
                )));
            }
            (BillingMode::OnDemand, Some(_), During::Update) => {
                return Err(invalid(format_args!(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: {name} when BillingMode \
                     is PAY_PER_REQUEST"
                )));
            }
            (BillingMode::Provisioned, None, During::Create) => {
                return Err(invalid(format_args!("ProvisionedThroughput is not specified for index: {name}")));
            }
            (BillingMode::Provisioned, None, During::Update) => {
                return Err(invalid(format_args!(
                    "Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {name}"
                )));
            }
            (BillingMode::OnDemand, None, _) => {}
            (BillingMode::Provisioned, Some(units), _) => {
                units.check_bounds()?;
                units.check_limit(owner, region)?;
            }
        }
        let on_demand = self.on_demand.unwrap_or_default();
        on_demand.check(owner, mode, During::Create, region)?;
        let throughput = Throughput::of(self.throughput);
        let warm = WarmThroughput::new_for(self.warm, owner, mode, &throughput, region)?;
        Ok(IndexRecord {
            id: 0,
            name: name.clone(),
            key: self.key.clone(),
            projection,
            status: IndexStatus::Active,
            backfilling: false,
            throughput,
            on_demand: (!on_demand.is_empty()).then_some(on_demand),
            warm: Some(warm),
        })
    }
}
