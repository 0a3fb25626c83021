//! From the requests of CreateTable and UpdateTable to what the database takes.

use partita_db::tables::{
    EncryptionDefinition, IndexChange, IndexDefinition, IndexUpdate, ProjectionDefinition, ProjectionKind,
    ProvisionedUnits, RestoreOverrides, StreamDefinition, TableChange, TableDefinition, TagDefinition,
};
use partita_db::{BillingMode, KeyElement, OnDemandThroughput, StreamView, TableClass, WarmThroughput};
use partita_model::Refusal;

use super::super::policies::checked_document;
use super::not_supported;
use crate::generated::enums;
use crate::generated::inputs::{CreateTableInput, UpdateTableInput};
use crate::generated::structures;

/// Refuses a CreateTable without a key schema or attribute definitions. The model leaves them open for tables that have
/// nothing but vector indexes.
pub(super) fn check_schema_given(input: &CreateTableInput) -> Result<(), Refusal> {
    let given =
        [(input.attribute_definitions.is_some(), "attributeDefinitions"), (input.key_schema.is_some(), "keySchema")];
    let missing: Vec<String> = given
        .into_iter()
        .filter(|(given, _)| !given)
        .map(|(_, member)| format!("Value null at '{member}' failed to satisfy constraint: Member must not be null"))
        .collect();
    let errors = match missing.len() {
        0 => return Ok(()),
        1 => "1 validation error".to_owned(),
        count => format!("{count} validation errors"),
    };
    Err(Refusal::validation(format!("{errors} detected: {}", missing.join("; "))))
}

/// The table class of this name.
pub(super) fn table_class(name: Option<&str>) -> Result<Option<TableClass>, Refusal> {
    match name.map(enums::TableClass::from_name) {
        None => Ok(None),
        Some(Some(enums::TableClass::Standard)) => Ok(Some(TableClass::Standard)),
        Some(Some(enums::TableClass::StandardInfrequentAccess)) => Ok(Some(TableClass::StandardInfrequentAccess)),
        Some(None) => Err(Refusal::validation(format!(
            "Invalid table-class parameter provided. Please try again with a valid table-class value: [{}].",
            enums::TableClass::NAMES.join(", ")
        ))),
    }
}

/// What a CreateTable defines.
pub(super) fn definition(
    input: CreateTableInput,
    tags: Option<Vec<structures::Tag>>,
    class: Option<TableClass>,
) -> Result<TableDefinition, Refusal> {
    refuse(&[
        (input.global_table_source_arn.is_some(), "GlobalTableSourceArn"),
        (input.global_table_settings_replication_mode.is_some(), "GlobalTableSettingsReplicationMode"),
        (input.vector_indexes.is_some(), "VectorIndexes"),
    ])?;
    let policy = input.resource_policy.as_deref().map(checked_document).transpose()?;
    Ok(TableDefinition {
        policy: policy.map(|(_, document)| document),
        attributes: attributes(input.attribute_definitions.unwrap_or_default()),
        key: key(input.key_schema),
        local_indexes: input.local_secondary_indexes.map(local_indexes),
        global_indexes: input.global_secondary_indexes.map(global_indexes),
        billing: input.billing_mode.as_deref().and_then(billing),
        throughput: input.provisioned_throughput.map(units),
        on_demand: input.on_demand_throughput.map(on_demand),
        warm: input.warm_throughput.map(warm),
        stream: input.stream_specification.map(stream),
        encryption: input.sse_specification.map(encryption),
        class,
        deletion_protection: input.deletion_protection_enabled.unwrap_or_default(),
        tags: tags.into_iter().flatten().map(tag).collect(),
    })
}

/// The table that an ImportTable makes.
pub(in crate::operations) fn imported(
    parameters: structures::TableCreationParameters,
) -> Result<TableDefinition, Refusal> {
    let created = CreateTableInput {
        attribute_definitions: parameters.attribute_definitions,
        key_schema: parameters.key_schema,
        billing_mode: parameters.billing_mode,
        provisioned_throughput: parameters.provisioned_throughput,
        on_demand_throughput: parameters.on_demand_throughput,
        sse_specification: parameters.sse_specification,
        global_secondary_indexes: parameters.global_secondary_indexes,
        vector_indexes: parameters.vector_indexes,
        ..CreateTableInput::default()
    };
    definition(created, None, None)
}

fn local_indexes(indexes: Vec<structures::LocalSecondaryIndex>) -> Vec<IndexDefinition> {
    let local = |index: structures::LocalSecondaryIndex| IndexDefinition {
        name: index.index_name.unwrap_or_default(),
        key: key(index.key_schema),
        projection: projection(index.projection),
        ..IndexDefinition::default()
    };
    indexes.into_iter().map(local).collect()
}

fn global_indexes(indexes: Vec<structures::GlobalSecondaryIndex>) -> Vec<IndexDefinition> {
    let global = |index: structures::GlobalSecondaryIndex| IndexDefinition {
        name: index.index_name.unwrap_or_default(),
        key: key(index.key_schema),
        projection: projection(index.projection),
        throughput: index.provisioned_throughput.map(units),
        on_demand: index.on_demand_throughput.map(on_demand),
        warm: index.warm_throughput.map(warm),
    };
    indexes.into_iter().map(global).collect()
}

/// The members of the two restores that say what the new table is to be otherwise.
pub(in crate::operations) struct Overrides {
    pub billing: Option<String>,
    pub throughput: Option<structures::ProvisionedThroughput>,
    pub on_demand: Option<structures::OnDemandThroughput>,
    pub local: Option<Vec<structures::LocalSecondaryIndex>>,
    pub global: Option<Vec<structures::GlobalSecondaryIndex>>,
    pub encryption: Option<structures::SSESpecification>,
    pub has_vector_indexes: bool,
}

/// What a restore makes otherwise than the source was.
pub(in crate::operations) fn overrides(overrides: Overrides) -> Result<RestoreOverrides, Refusal> {
    refuse(&[(overrides.has_vector_indexes, "VectorIndexOverride")])?;
    Ok(RestoreOverrides {
        billing: overrides.billing.as_deref().and_then(billing),
        throughput: overrides.throughput.map(units),
        on_demand: overrides.on_demand.map(on_demand),
        local_indexes: overrides.local.map(local_indexes),
        global_indexes: overrides.global.map(global_indexes),
        encryption: overrides.encryption.map(encryption),
    })
}

/// What an UpdateTable changes.
pub(super) fn change(input: UpdateTableInput, class: Option<TableClass>) -> Result<TableChange, Refusal> {
    refuse(&[
        (input.replica_updates.is_some(), "ReplicaUpdates"),
        (input.multi_region_consistency.is_some(), "MultiRegionConsistency"),
        (input.global_table_witness_updates.is_some(), "GlobalTableWitnessUpdates"),
        (input.global_table_settings_replication_mode.is_some(), "GlobalTableSettingsReplicationMode"),
        (input.disassociation_protection_enabled.is_some(), "DisassociationProtectionEnabled"),
        (input.vector_index_updates.is_some(), "VectorIndexUpdates"),
    ])?;
    Ok(TableChange {
        attributes: input.attribute_definitions.map(attributes),
        billing: input.billing_mode.as_deref().and_then(billing),
        throughput: input.provisioned_throughput.map(units),
        on_demand: input.on_demand_throughput.map(on_demand),
        warm: input.warm_throughput.map(warm),
        stream: input.stream_specification.map(stream),
        encryption: input.sse_specification.map(encryption),
        class,
        deletion_protection: input.deletion_protection_enabled,
        indexes: input.global_secondary_index_updates.map(|changes| changes.into_iter().map(index_change).collect()),
    })
}

fn index_change(change: structures::GlobalSecondaryIndexUpdate) -> IndexChange {
    let update = |update: structures::UpdateGlobalSecondaryIndexAction| IndexUpdate {
        name: update.index_name.unwrap_or_default(),
        throughput: update.provisioned_throughput.map(units),
        on_demand: update.on_demand_throughput.map(on_demand),
        warm: update.warm_throughput.map(warm),
    };
    let create = |create: structures::CreateGlobalSecondaryIndexAction| IndexDefinition {
        name: create.index_name.unwrap_or_default(),
        key: key(create.key_schema),
        projection: projection(create.projection),
        throughput: create.provisioned_throughput.map(units),
        on_demand: create.on_demand_throughput.map(on_demand),
        warm: create.warm_throughput.map(warm),
    };
    IndexChange {
        update: change.update.map(update),
        create: change.create.map(create),
        delete: change.delete.map(|delete| delete.index_name.unwrap_or_default()),
    }
}

fn refuse(parameters: &[(bool, &str)]) -> Result<(), Refusal> {
    match parameters.iter().find(|(given, _)| *given) {
        Some((_, parameter)) => Err(not_supported(parameter)),
        None => Ok(()),
    }
}

fn attributes(definitions: Vec<structures::AttributeDefinition>) -> Vec<(String, String)> {
    let pair = |definition: structures::AttributeDefinition| {
        (definition.attribute_name.unwrap_or_default(), definition.attribute_type.unwrap_or_default())
    };
    definitions.into_iter().map(pair).collect()
}

fn key(schema: Option<Vec<structures::KeySchemaElement>>) -> Vec<KeyElement> {
    let element = |element: structures::KeySchemaElement| KeyElement {
        name: element.attribute_name.unwrap_or_default(),
        partition: element.key_type.as_deref() == Some(enums::KeyType::Hash.name()),
    };
    schema.into_iter().flatten().map(element).collect()
}

fn projection(projection: Option<structures::Projection>) -> ProjectionDefinition {
    let projection = projection.unwrap_or_default();
    let kind = projection.projection_type.as_deref().and_then(enums::ProjectionType::from_name);
    let kind = kind.map(|kind| match kind {
        enums::ProjectionType::All => ProjectionKind::All,
        enums::ProjectionType::KeysOnly => ProjectionKind::KeysOnly,
        enums::ProjectionType::Include => ProjectionKind::Include,
    });
    ProjectionDefinition { kind, attributes: projection.non_key_attributes }
}

fn billing(name: &str) -> Option<BillingMode> {
    enums::BillingMode::from_name(name).map(|mode| match mode {
        enums::BillingMode::Provisioned => BillingMode::Provisioned,
        enums::BillingMode::PayPerRequest => BillingMode::OnDemand,
    })
}

fn units(throughput: structures::ProvisionedThroughput) -> ProvisionedUnits {
    ProvisionedUnits {
        read: throughput.read_capacity_units.unwrap_or_default(),
        write: throughput.write_capacity_units.unwrap_or_default(),
    }
}

fn on_demand(throughput: structures::OnDemandThroughput) -> OnDemandThroughput {
    OnDemandThroughput { max_read: throughput.max_read_request_units, max_write: throughput.max_write_request_units }
}

fn warm(throughput: structures::WarmThroughput) -> WarmThroughput {
    WarmThroughput { read: throughput.read_units_per_second, write: throughput.write_units_per_second }
}

fn stream(specification: structures::StreamSpecification) -> StreamDefinition {
    let view = specification.stream_view_type.as_deref().and_then(enums::StreamViewType::from_name);
    let view = view.map(|view| match view {
        enums::StreamViewType::KeysOnly => StreamView::KeysOnly,
        enums::StreamViewType::NewImage => StreamView::NewImage,
        enums::StreamViewType::OldImage => StreamView::OldImage,
        enums::StreamViewType::NewAndOldImages => StreamView::NewAndOldImages,
    });
    StreamDefinition { enabled: specification.stream_enabled.unwrap_or_default(), view }
}

fn encryption(specification: structures::SSESpecification) -> EncryptionDefinition {
    EncryptionDefinition {
        enabled: specification.enabled,
        kind: specification.sse_type,
        key_id: specification.kms_master_key_id,
    }
}

/// A tag of a request.
pub(in crate::operations) fn tag(tag: structures::Tag) -> TagDefinition {
    TagDefinition { key: tag.key, value: tag.value }
}
