//! Backups, restores and point-in-time recovery.

use partita_db::{
    BackupFilter, BackupKind, BackupRecord, BackupStatus, BillingMode, IndexRecord, RecoveryState, RestorePoint,
    TableKeyState,
};
use partita_model::Refusal;

use super::Context;
use super::tables::description::{self, description, key_schema, on_demand, projection, timestamp};
use super::tables::requests::{self, Overrides};
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{
    CreateBackupInput, DeleteBackupInput, DescribeBackupInput, DescribeContinuousBackupsInput, ListBackupsInput,
    RestoreTableFromBackupInput, RestoreTableToPointInTimeInput, UpdateContinuousBackupsInput,
};
use crate::generated::outputs::{
    BackupDescription, BackupDetails, BackupSummary, ContinuousBackupsDescription, CreateBackupOutput,
    DeleteBackupOutput, DescribeBackupOutput, DescribeContinuousBackupsOutput, GlobalSecondaryIndexInfo,
    ListBackupsOutput, LocalSecondaryIndexInfo, PointInTimeRecoveryDescription, RestoreTableFromBackupOutput,
    RestoreTableToPointInTimeOutput, SourceTableDetails, SourceTableFeatureDetails, TimeToLiveDescription,
    UpdateContinuousBackupsOutput,
};
use crate::generated::{enums, structures};
use crate::json::{self, Timestamp};
use crate::request::Decoded;

/// The most backups on a page of ListBackups ("ListBackups": 100).
const MAX_LISTED: usize = 100;

pub(crate) async fn create_backup(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<CreateBackupInput>(body).await?;
    let (table, name) = (input.table_name.unwrap_or_default(), input.backup_name.unwrap_or_default());
    let backup = context.database.create_backup(&context.caller.scope, &table, &name).await?;
    Ok(json::to_vec(&CreateBackupOutput { backup_details: Some(details(&backup)) }))
}

pub(crate) async fn describe_backup(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeBackupInput>(body).await?;
    let backup = context.database.describe_backup(&input.backup_arn.unwrap_or_default()).await?;
    Ok(json::to_vec(&DescribeBackupOutput { backup_description: Some(backup_description(&backup)) }))
}

pub(crate) async fn delete_backup(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DeleteBackupInput>(body).await?;
    let backup = context.database.delete_backup(&input.backup_arn.unwrap_or_default()).await?;
    let mut description = backup_description(&backup);
    if let Some(details) = &mut description.backup_details {
        details.backup_status = Some(enums::BackupStatus::Deleted);
    }
    Ok(json::to_vec(&DeleteBackupOutput { backup_description: Some(description) }))
}

pub(crate) async fn list_backups(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<ListBackupsInput>(body).await?;
    let kinds = match input.backup_type.as_deref().and_then(enums::BackupTypeFilter::from_name) {
        None | Some(enums::BackupTypeFilter::User) => vec![BackupKind::User],
        Some(enums::BackupTypeFilter::System) => vec![BackupKind::System],
        Some(enums::BackupTypeFilter::All) => vec![BackupKind::User, BackupKind::System],
        // The AWS Backup service makes none here.
        Some(enums::BackupTypeFilter::AwsBackup) => Vec::new(),
    };
    let filter = BackupFilter {
        table: input.table_name,
        from_ms: input.time_range_lower_bound.map(|time| milliseconds(time).unwrap_or_default()),
        before_ms: input.time_range_upper_bound.map(|time| milliseconds(time).unwrap_or_default()),
        kinds,
        after: input.exclusive_start_backup_arn,
        limit: input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MAX_LISTED),
    };
    let page = context.database.list_backups(&context.caller.scope, &filter).await?;
    let last = page.backups.last().filter(|_| page.more).map(BackupRecord::arn);
    Ok(json::to_vec(&ListBackupsOutput {
        backup_summaries: Some(page.backups.iter().map(summary).collect()),
        last_evaluated_backup_arn: last,
    }))
}

pub(crate) async fn restore_table_from_backup(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<RestoreTableFromBackupInput>(body).await?;
    let overrides = requests::overrides(Overrides {
        billing: input.billing_mode_override,
        throughput: input.provisioned_throughput_override,
        on_demand: input.on_demand_throughput_override,
        local: input.local_secondary_index_override,
        global: input.global_secondary_index_override,
        encryption: input.sse_specification_override,
        has_vector_indexes: input.vector_index_override.is_some(),
    })?;
    let (arn, target) = (input.backup_arn.unwrap_or_default(), input.target_table_name.unwrap_or_default());
    let scope = &context.caller.scope;
    let described = context.database.restore_from_backup(scope, &arn, &target, &overrides).await?;
    Ok(json::to_vec(&RestoreTableFromBackupOutput { table_description: Some(description(&described)) }))
}

pub(crate) async fn restore_table_to_point_in_time(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<RestoreTableToPointInTimeInput>(body).await?;
    let invalid = |detail: &str| Refusal::validation(format!("One or more parameter values were invalid: {detail}"));
    let latest = input.use_latest_restorable_time == Some(true);
    let point = match input.restore_date_time {
        Some(_) if latest => {
            return Err(invalid("RestoreDateTime can not be specified with UseLatestRestorableTime").into());
        }
        // A time before all time is not restorable either.
        Some(time) => RestorePoint::At(milliseconds(time).unwrap_or_default() / 1000),
        None if latest => RestorePoint::Latest,
        None => return Err(invalid("RestoreDateTime or UseLatestRestorableTime must be specified").into()),
    };
    let source = match (input.source_table_arn, input.source_table_name) {
        (Some(source), None) | (None, Some(source)) => source,
        (Some(_), Some(_)) => {
            return Err(invalid("Only one of SourceTableArn and SourceTableName can be specified").into());
        }
        (None, None) => return Err(invalid("SourceTableArn or SourceTableName must be specified").into()),
    };
    let overrides = requests::overrides(Overrides {
        billing: input.billing_mode_override,
        throughput: input.provisioned_throughput_override,
        on_demand: input.on_demand_throughput_override,
        local: input.local_secondary_index_override,
        global: input.global_secondary_index_override,
        encryption: input.sse_specification_override,
        has_vector_indexes: input.vector_index_override.is_some(),
    })?;
    let target = input.target_table_name.unwrap_or_default();
    let scope = &context.caller.scope;
    let described = context.database.restore_to_point(scope, &source, point, &target, &overrides).await?;
    Ok(json::to_vec(&RestoreTableToPointInTimeOutput { table_description: Some(description(&described)) }))
}

pub(crate) async fn update_continuous_backups(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<UpdateContinuousBackupsInput>(body).await?;
    let specification = input.point_in_time_recovery_specification.unwrap_or_default();
    let enabled = specification.point_in_time_recovery_enabled.unwrap_or_default();
    let days = specification.recovery_period_in_days.and_then(|days| u32::try_from(days).ok());
    let table = input.table_name.unwrap_or_default();
    let state = context.database.update_recovery(&context.caller.scope, &table, enabled, days).await?;
    let continuous_backups_description = Some(continuous_backups(state));
    Ok(json::to_vec(&UpdateContinuousBackupsOutput { continuous_backups_description }))
}

pub(crate) async fn describe_continuous_backups(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeContinuousBackupsInput>(body).await?;
    let table = input.table_name.unwrap_or_default();
    let state = context.database.describe_recovery(&context.caller.scope, &table).await?;
    let continuous_backups_description = Some(continuous_backups(state));
    Ok(json::to_vec(&DescribeContinuousBackupsOutput { continuous_backups_description }))
}

/// Continuous backups are enabled for every table, as with the service; recovery is what is switched.
fn continuous_backups(state: RecoveryState) -> ContinuousBackupsDescription {
    let seconds = |seconds: u64| timestamp(seconds.saturating_mul(1000));
    let recovery = match state {
        RecoveryState::Disabled => PointInTimeRecoveryDescription {
            point_in_time_recovery_status: Some(enums::PointInTimeRecoveryStatus::Disabled),
            ..PointInTimeRecoveryDescription::default()
        },
        RecoveryState::Enabled(window) => PointInTimeRecoveryDescription {
            point_in_time_recovery_status: Some(enums::PointInTimeRecoveryStatus::Enabled),
            recovery_period_in_days: i32::try_from(window.days).ok(),
            earliest_restorable_date_time: Some(seconds(window.earliest)),
            latest_restorable_date_time: Some(seconds(window.latest)),
        },
    };
    ContinuousBackupsDescription {
        continuous_backups_status: Some(enums::ContinuousBackupsStatus::Enabled),
        point_in_time_recovery_description: Some(recovery),
    }
}

/// A time of a request, in milliseconds since the epoch; `None` before it, and for what is no time.
pub(super) fn milliseconds(Timestamp(seconds): Timestamp) -> Option<u64> {
    let milliseconds = (seconds * 1000.0).round();
    // Beyond this, times are not exact; it is far beyond all restorable ones.
    let last = 2f64.powi(53);
    #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked, and the value is whole")]
    #[expect(clippy::cast_sign_loss, reason = "not below zero")]
    (milliseconds >= 0.0).then(|| milliseconds.min(last) as u64)
}

const fn status(status: BackupStatus) -> enums::BackupStatus {
    match status {
        BackupStatus::Creating => enums::BackupStatus::Creating,
        BackupStatus::Available => enums::BackupStatus::Available,
        BackupStatus::Deleting => enums::BackupStatus::Deleted,
    }
}

const fn kind(kind: BackupKind) -> enums::BackupType {
    match kind {
        BackupKind::User => enums::BackupType::User,
        BackupKind::System => enums::BackupType::System,
    }
}

fn details(backup: &BackupRecord) -> BackupDetails {
    BackupDetails {
        backup_arn: Some(backup.arn()),
        backup_name: Some(backup.name.clone()),
        backup_size_bytes: Some(backup.bytes),
        backup_status: Some(status(backup.status)),
        backup_type: Some(kind(backup.kind)),
        backup_creation_date_time: Some(timestamp(backup.created_ms)),
        backup_expiry_date_time: backup.expires_ms.map(timestamp),
    }
}

fn summary(backup: &BackupRecord) -> BackupSummary {
    BackupSummary {
        table_name: Some(backup.table.name.clone()),
        table_id: Some(backup.table.uuid.clone()),
        table_arn: Some(backup.table.arn()),
        backup_arn: Some(backup.arn()),
        backup_name: Some(backup.name.clone()),
        backup_creation_date_time: Some(timestamp(backup.created_ms)),
        backup_expiry_date_time: backup.expires_ms.map(timestamp),
        backup_status: Some(status(backup.status)),
        backup_type: Some(kind(backup.kind)),
        backup_size_bytes: Some(backup.bytes),
    }
}

fn backup_description(backup: &BackupRecord) -> BackupDescription {
    let table = &backup.table;
    let billing = match table.billing {
        BillingMode::Provisioned => enums::BillingMode::Provisioned,
        BillingMode::OnDemand => enums::BillingMode::PayPerRequest,
    };
    let source = SourceTableDetails {
        table_name: Some(table.name.clone()),
        table_id: Some(table.uuid.clone()),
        table_arn: Some(table.arn()),
        table_size_bytes: Some(backup.bytes),
        key_schema: Some(key_schema(&table.key)),
        table_creation_date_time: Some(timestamp(table.created_ms)),
        provisioned_throughput: Some(units(&table.throughput)),
        on_demand_throughput: table.on_demand.map(on_demand),
        item_count: Some(backup.items),
        billing_mode: Some(billing),
    };
    BackupDescription {
        backup_details: Some(details(backup)),
        source_table_details: Some(source),
        source_table_feature_details: Some(features(backup)),
    }
}

fn features(backup: &BackupRecord) -> SourceTableFeatureDetails {
    let table = &backup.table;
    let local = |index: &IndexRecord| LocalSecondaryIndexInfo {
        index_name: Some(index.name.clone()),
        key_schema: Some(key_schema(&index.key)),
        projection: Some(projection(&index.projection)),
    };
    let global = |index: &IndexRecord| GlobalSecondaryIndexInfo {
        index_name: Some(index.name.clone()),
        key_schema: Some(key_schema(&index.key)),
        projection: Some(projection(&index.projection)),
        provisioned_throughput: Some(units(&index.throughput)),
        on_demand_throughput: index.on_demand.map(on_demand),
    };
    let time_to_live = table.time_to_live.as_ref().filter(|time_to_live| time_to_live.enabled);
    SourceTableFeatureDetails {
        local_secondary_indexes: description::non_empty(table.local_indexes.iter().map(local).collect()),
        global_secondary_indexes: description::non_empty(table.global_indexes.iter().map(global).collect()),
        stream_description: description::stream_specification(table),
        time_to_live_description: time_to_live.map(|time_to_live| TimeToLiveDescription {
            time_to_live_status: Some(enums::TimeToLiveStatus::Enabled),
            attribute_name: Some(time_to_live.attribute.clone()),
        }),
        sse_description: table.sse_enabled.then(|| description::encryption(table, &TableKeyState::default())),
        vector_indexes: None,
    }
}

fn units(throughput: &partita_db::Throughput) -> structures::ProvisionedThroughput {
    structures::ProvisionedThroughput {
        read_capacity_units: Some(throughput.read),
        write_capacity_units: Some(throughput.write),
    }
}
