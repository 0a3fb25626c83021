//! What a restored table is: the definition of its source, with what the request overrides.
//!
//! As with the service, a restored table has no tags, no stream, no time to live, no protection against deletion and no
//! recovery of its own ("Restoring a table").

use partita_model::Refusal;

use super::definition::{EncryptionDefinition, IndexDefinition, TableDefinition};
use super::keys::invalid;
use super::projection::{ProjectionDefinition, ProjectionKind};
use super::throughput::ProvisionedUnits;
use crate::record::{BillingMode, IndexRecord, KeyElement, OnDemandThroughput, Projected, TableRecord, Throughput};
use crate::scope::Scope;

/// What a restore makes otherwise than the source was.
#[derive(Clone, Debug, Default)]
pub struct RestoreOverrides {
    /// How requests are paid for.
    pub billing: Option<BillingMode>,
    /// Provisioned throughput.
    pub throughput: Option<ProvisionedUnits>,
    /// Maximums in on-demand mode.
    pub on_demand: Option<OnDemandThroughput>,
    /// The local indexes that are kept; an empty list keeps none.
    pub local_indexes: Option<Vec<IndexDefinition>>,
    /// The global indexes that are kept, with their throughput; an empty list keeps none.
    pub global_indexes: Option<Vec<IndexDefinition>>,
    /// Encryption.
    pub encryption: Option<EncryptionDefinition>,
}

impl RestoreOverrides {
    /// The record of the restored table.
    pub(crate) fn restored(
        &self,
        source: &TableRecord,
        name: &str,
        scope: &Scope,
        now_ms: u64,
    ) -> Result<TableRecord, Refusal> {
        let mode = self.billing.unwrap_or(source.billing);
        let provisioned = mode == BillingMode::Provisioned;
        let same_mode = mode == source.billing;
        let units = |throughput: &Throughput| {
            (provisioned && same_mode).then_some(ProvisionedUnits { read: throughput.read, write: throughput.write })
        };
        let maximums = |of: Option<OnDemandThroughput>| of.filter(|_| !provisioned);
        let index = |index: &IndexRecord, global: bool| IndexDefinition {
            name: index.name.clone(),
            key: index.key.clone(),
            projection: projection(&index.projection),
            throughput: if global { units(&index.throughput) } else { None },
            on_demand: maximums(index.on_demand),
            warm: None,
        };
        let local = chosen(self.local_indexes.as_deref(), &source.local_indexes, |kept| index(kept, false))?;
        let global = chosen(self.global_indexes.as_deref(), &source.global_indexes, |kept| index(kept, true))?;
        let used = |name: &String| {
            let keys = local.iter().chain(&global).map(|index| &index.key);
            let mut elements = std::iter::once(&source.key).chain(keys).flatten();
            elements.any(|element: &KeyElement| element.name == *name)
        };
        let attributes = source.attributes.iter().filter(|(name, _)| used(name)).cloned().collect();
        let definition = TableDefinition {
            attributes,
            key: source.key.clone(),
            local_indexes: (!local.is_empty()).then_some(local),
            global_indexes: (!global.is_empty()).then_some(global),
            billing: Some(mode),
            throughput: self.throughput.or_else(|| units(&source.throughput)),
            on_demand: self.on_demand.or(maximums(source.on_demand)),
            encryption: self.encryption.clone(),
            class: source.class,
            ..TableDefinition::default()
        };
        let mut record = definition.record(name, scope, now_ms)?;
        if self.encryption.is_none() {
            (record.sse_enabled, record.root_key) = (source.sse_enabled, source.root_key.clone());
        }
        Ok(record)
    }
}

/// The indexes that a restored table has: those of the source, or those of them that the request names.
fn chosen(
    asked: Option<&[IndexDefinition]>,
    there: &[IndexRecord],
    as_before: impl Fn(&IndexRecord) -> IndexDefinition,
) -> Result<Vec<IndexDefinition>, Refusal> {
    let Some(asked) = asked else { return Ok(there.iter().map(as_before).collect()) };
    let one = |asked: &IndexDefinition| {
        let name = &asked.name;
        let source = there
            .iter()
            .find(|index| index.name == *name)
            .ok_or_else(|| invalid(format_args!("Index does not exist in the source table: {name}")))?;
        if source.key != asked.key || source.projection != asked.projection.check()? {
            return Err(invalid(format_args!("Index does not match the one of the source table: {name}")));
        }
        let before = as_before(source);
        Ok(IndexDefinition {
            throughput: asked.throughput.or(before.throughput),
            on_demand: asked.on_demand.or(before.on_demand),
            ..before
        })
    };
    asked.iter().map(one).collect()
}

fn projection(projected: &Projected) -> ProjectionDefinition {
    let (kind, attributes) = match projected {
        Projected::All => (ProjectionKind::All, None),
        Projected::KeysOnly => (ProjectionKind::KeysOnly, None),
        Projected::Include(names) => (ProjectionKind::Include, Some(names.clone())),
    };
    ProjectionDefinition { kind: Some(kind), attributes }
}
