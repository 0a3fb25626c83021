//! Descriptions of tables, as the service gives them: which members there are in which state.

use partita_db::tables::{Count, Described};
use partita_db::{
    BillingMode, IndexRecord, IndexStatus, KeyElement, OnDemandThroughput, Projected, StreamView, TableClass,
    TableKeyState, TableRecord, TableStatus, Throughput,
};

use crate::generated::enums;
use crate::generated::outputs::{
    BillingModeSummary, GlobalSecondaryIndexDescription, GlobalSecondaryIndexWarmThroughputDescription,
    LocalSecondaryIndexDescription, ProvisionedThroughputDescription, RestoreSummary, SSEDescription,
    TableClassSummary, TableDescription, TableWarmThroughputDescription,
};
use crate::generated::structures;
use crate::json::Timestamp;

/// A table's description.
pub(in crate::operations) fn description(described: &Described) -> TableDescription {
    let Described { record, counts, at_ms, key } = described;
    let count = counts.table();
    let stream = record.stream.as_ref();
    let local = |index: &IndexRecord| local_index(record, index, counts.index(index.id));
    let global = |index: &IndexRecord| global_index(described, index, counts.index(index.id));
    TableDescription {
        attribute_definitions: Some(record.attributes.iter().map(attribute).collect()),
        table_name: Some(record.name.clone()),
        key_schema: Some(key_schema(&record.key)),
        table_status: Some(match key.inaccessible_since_ms {
            Some(_) if record.status == TableStatus::Active => enums::TableStatus::InaccessibleEncryptionCredentials,
            _ => table_status(record.status),
        }),
        creation_date_time: Some(timestamp(record.created_ms)),
        provisioned_throughput: Some(throughput(&record.throughput, *at_ms)),
        table_size_bytes: Some(count.bytes),
        item_count: Some(count.items),
        table_arn: Some(record.arn()),
        table_id: Some(record.uuid.clone()),
        billing_mode_summary: billing_summary(record),
        local_secondary_indexes: non_empty(record.local_indexes.iter().map(local).collect()),
        global_secondary_indexes: non_empty(record.global_indexes.iter().map(global).collect()),
        stream_specification: stream_specification(record),
        latest_stream_label: stream.map(|stream| stream.label.clone()),
        latest_stream_arn: stream.map(|stream| format!("{}/stream/{}", record.arn(), stream.label)),
        sse_description: record.sse_enabled.then(|| encryption(record, key)),
        table_class_summary: record.class.map(|class| TableClassSummary {
            table_class: Some(match class {
                TableClass::Standard => enums::TableClass::Standard,
                TableClass::StandardInfrequentAccess => enums::TableClass::StandardInfrequentAccess,
            }),
            last_update_date_time: record.class_changed_ms.map(timestamp),
        }),
        deletion_protection_enabled: Some(record.deletion_protection),
        restore_summary: record.restored.as_ref().map(|restored| RestoreSummary {
            source_backup_arn: restored.backup_arn.clone(),
            source_table_arn: Some(restored.table_arn.clone()),
            restore_date_time: Some(timestamp(restored.at_ms)),
            restore_in_progress: Some(restored.job.is_some()),
        }),
        on_demand_throughput: record.on_demand.map(on_demand),
        warm_throughput: record.warm.map(|warm| TableWarmThroughputDescription {
            read_units_per_second: warm.read,
            write_units_per_second: warm.write,
            status: Some(match record.status {
                TableStatus::Creating => enums::TableStatus::Updating,
                _ => enums::TableStatus::Active,
            }),
        }),
        ..TableDescription::default()
    }
}

/// The description of a table that is going: the service leaves its schema and indexes out.
pub(super) fn deleted_description(described: &Described) -> TableDescription {
    TableDescription {
        attribute_definitions: None,
        key_schema: None,
        creation_date_time: None,
        local_secondary_indexes: None,
        global_secondary_indexes: None,
        warm_throughput: None,
        ..description(described)
    }
}

/// The stream of a table, if one is enabled.
pub(in crate::operations) fn stream_specification(record: &TableRecord) -> Option<structures::StreamSpecification> {
    record.stream.as_ref().filter(|stream| stream.enabled).map(|stream| structures::StreamSpecification {
        stream_enabled: Some(true),
        stream_view_type: Some(stream_view(stream.view).name().to_owned()),
    })
}

fn billing_summary(record: &TableRecord) -> Option<BillingModeSummary> {
    let on_demand = record.billing == BillingMode::OnDemand;
    // Tables that were always provisioned have none.
    (on_demand || record.on_demand_since_ms.is_some()).then(|| BillingModeSummary {
        billing_mode: Some(if on_demand { enums::BillingMode::PayPerRequest } else { enums::BillingMode::Provisioned }),
        last_update_to_pay_per_request_date_time: record.on_demand_since_ms.map(timestamp),
    })
}

pub(in crate::operations) fn encryption(record: &TableRecord, key: &TableKeyState) -> SSEDescription {
    let none = || format!("arn:aws:kms:{}:{}:alias/aws/dynamodb", record.region, record.account);
    SSEDescription {
        status: Some(if key.updating { enums::SSEStatus::Updating } else { enums::SSEStatus::Enabled }),
        sse_type: Some(enums::SSEType::Kms),
        kms_master_key_arn: Some(key.arn.clone().unwrap_or_else(none)),
        inaccessible_encryption_date_time: key.inaccessible_since_ms.map(timestamp),
    }
}

fn local_index(record: &TableRecord, index: &IndexRecord, count: Count) -> LocalSecondaryIndexDescription {
    LocalSecondaryIndexDescription {
        index_name: Some(index.name.clone()),
        key_schema: Some(key_schema(&index.key)),
        projection: Some(projection(&index.projection)),
        index_size_bytes: Some(count.bytes),
        item_count: Some(count.items),
        index_arn: Some(format!("{}/index/{}", record.arn(), index.name)),
    }
}

fn global_index(described: &Described, index: &IndexRecord, count: Count) -> GlobalSecondaryIndexDescription {
    let record = &described.record;
    // Only indexes added to a table in use are filled.
    let added = index.status == IndexStatus::Creating && record.status != TableStatus::Creating;
    GlobalSecondaryIndexDescription {
        index_name: Some(index.name.clone()),
        key_schema: Some(key_schema(&index.key)),
        projection: Some(projection(&index.projection)),
        index_status: Some(match index.status {
            IndexStatus::Active => enums::IndexStatus::Active,
            IndexStatus::Creating => enums::IndexStatus::Creating,
            IndexStatus::Updating => enums::IndexStatus::Updating,
            IndexStatus::Deleting => enums::IndexStatus::Deleting,
        }),
        backfilling: added.then_some(index.backfilling),
        provisioned_throughput: Some(throughput(&index.throughput, described.at_ms)),
        index_size_bytes: Some(count.bytes),
        item_count: Some(count.items),
        index_arn: Some(format!("{}/index/{}", record.arn(), index.name)),
        on_demand_throughput: index.on_demand.map(on_demand),
        warm_throughput: index.warm.map(|warm| GlobalSecondaryIndexWarmThroughputDescription {
            read_units_per_second: warm.read,
            write_units_per_second: warm.write,
            status: Some(match index.status {
                IndexStatus::Creating => enums::IndexStatus::Updating,
                _ => enums::IndexStatus::Active,
            }),
        }),
    }
}

fn attribute((name, kind): &(String, String)) -> structures::AttributeDefinition {
    structures::AttributeDefinition { attribute_name: Some(name.clone()), attribute_type: Some(kind.clone()) }
}

pub(in crate::operations) fn key_schema(key: &[KeyElement]) -> Vec<structures::KeySchemaElement> {
    let element = |element: &KeyElement| structures::KeySchemaElement {
        attribute_name: Some(element.name.clone()),
        key_type: Some(if element.partition { enums::KeyType::Hash } else { enums::KeyType::Range }.name().to_owned()),
    };
    key.iter().map(element).collect()
}

pub(in crate::operations) fn projection(projected: &Projected) -> structures::Projection {
    let (kind, names) = match projected {
        Projected::All => (enums::ProjectionType::All, None),
        Projected::KeysOnly => (enums::ProjectionType::KeysOnly, None),
        Projected::Include(names) => (enums::ProjectionType::Include, Some(names.clone())),
    };
    structures::Projection { projection_type: Some(kind.name().to_owned()), non_key_attributes: names }
}

fn throughput(throughput: &Throughput, at_ms: u64) -> ProvisionedThroughputDescription {
    ProvisionedThroughputDescription {
        last_increase_date_time: throughput.increased_ms.map(timestamp),
        last_decrease_date_time: throughput.decreased_ms.map(timestamp),
        number_of_decreases_today: Some(throughput.decreases_on_day_of(at_ms)),
        read_capacity_units: Some(throughput.read),
        write_capacity_units: Some(throughput.write),
    }
}

pub(in crate::operations) fn on_demand(maximums: OnDemandThroughput) -> structures::OnDemandThroughput {
    structures::OnDemandThroughput {
        max_read_request_units: maximums.max_read,
        max_write_request_units: maximums.max_write,
    }
}

const fn table_status(status: TableStatus) -> enums::TableStatus {
    match status {
        TableStatus::Active => enums::TableStatus::Active,
        TableStatus::Creating => enums::TableStatus::Creating,
        TableStatus::Updating => enums::TableStatus::Updating,
        TableStatus::Deleting => enums::TableStatus::Deleting,
    }
}

const fn stream_view(view: StreamView) -> enums::StreamViewType {
    match view {
        StreamView::KeysOnly => enums::StreamViewType::KeysOnly,
        StreamView::NewImage => enums::StreamViewType::NewImage,
        StreamView::OldImage => enums::StreamViewType::OldImage,
        StreamView::NewAndOldImages => enums::StreamViewType::NewAndOldImages,
    }
}

pub(in crate::operations) fn non_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Seconds since the epoch, to the millisecond.
pub(in crate::operations) fn timestamp(ms: u64) -> Timestamp {
    Timestamp(ms as f64 / 1000.0)
}
