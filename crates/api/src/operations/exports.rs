//! Exports of tables to buckets.

use partita_db::{
    ExportEncryption, ExportFilter, ExportFormat, ExportRecord, ExportRequest, ExportSpan, ExportState, ExportView,
};
use partita_model::Refusal;

use super::Context;
use super::backups::milliseconds;
use super::expressions::Styles;
use super::tables::description::timestamp;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{DescribeExportInput, ExportTableToPointInTimeInput, ListExportsInput};
use crate::generated::outputs::{
    DescribeExportOutput, ExportDescription, ExportSummary, ExportTableToPointInTimeOutput, ListExportsOutput,
};
use crate::generated::{enums, structures};
use crate::json::{self, Entries, Timestamp};
use crate::request::Decoded;

/// The most exports on a page of ListExports ("ListExports": 25).
const MAX_LISTED: usize = 25;

fn invalid(detail: &str) -> Refusal {
    Refusal::validation(format!("One or more parameter values were invalid: {detail}"))
}

pub(crate) async fn export_table_to_point_in_time(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<ExportTableToPointInTimeInput>(body).await?;
    let filter = filter(input.filter_specification)?;
    values.check()?;
    // Times before all time are in no window.
    let second = |time: Timestamp| milliseconds(time).unwrap_or_default() / 1000;
    let is_incremental = input.export_type.as_deref() == Some("INCREMENTAL_EXPORT");
    let span = match input.incremental_export_specification {
        Some(_) if !is_incremental => {
            return Err(invalid("IncrementalExportSpecification is for ExportType INCREMENTAL_EXPORT only").into());
        }
        None if is_incremental => {
            return Err(invalid("ExportType INCREMENTAL_EXPORT needs an IncrementalExportSpecification").into());
        }
        None => ExportSpan::Full(input.export_time.map(second)),
        Some(_) if input.export_time.is_some() => {
            return Err(invalid("ExportTime is for ExportType FULL_EXPORT only").into());
        }
        Some(asked) => ExportSpan::Changes {
            from: asked.export_from_time.map(second).ok_or_else(|| invalid("ExportFromTime is missing"))?,
            to: asked.export_to_time.map(second),
            view: match asked.export_view_type.as_deref() {
                Some("NEW_IMAGE") => ExportView::New,
                _ => ExportView::NewAndOld,
            },
        },
    };
    let encryption = match (input.s3_sse_algorithm.as_deref(), input.s3_sse_kms_key_id) {
        (Some("KMS"), key) => Some(ExportEncryption::Kms(key)),
        (_, Some(_)) => return Err(invalid("S3SseKmsKeyId is for S3SseAlgorithm KMS only").into()),
        (Some(_), None) => Some(ExportEncryption::Aes256),
        (None, None) => None,
    };
    let request = ExportRequest {
        span,
        bucket: input.s3_bucket.unwrap_or_default(),
        bucket_owner: input.s3_bucket_owner,
        prefix: input.s3_prefix.map(|prefix| prefix.trim_end_matches('/').to_owned()).filter(|text| !text.is_empty()),
        encryption,
        format: match input.export_format.as_deref() {
            Some("ION") => ExportFormat::Ion,
            _ => ExportFormat::Json,
        },
        filter,
        token: input.client_token,
    };
    let table = input.table_arn.unwrap_or_default();
    let export = context.database.export_table(&context.caller.scope, &table, &request).await?;
    Ok(json::to_vec(&ExportTableToPointInTimeOutput { export_description: Some(description(&export)) }))
}

/// What is asked to be left out, in the form that is kept.
fn filter(asked: Option<structures::FilterSpecification>) -> Result<Option<ExportFilter>, Refusal> {
    let Some(asked) = asked else { return Ok(None) };
    Styles::default()
        .projection(asked.projection_expression.is_some())
        .expression("FilterExpression", asked.filter_expression.is_some())
        .expression("KeyConditionExpression", asked.key_condition_expression.is_some())
        .check(asked.expression_attribute_names.is_some(), asked.expression_attribute_values.is_some())?;
    let mut filter = ExportFilter {
        key_condition: asked.key_condition_expression,
        filter: asked.filter_expression,
        projection: asked.projection_expression,
        names: asked.expression_attribute_names.map(|Entries(names)| names),
        values: None,
    };
    filter.set_values(asked.expression_attribute_values.as_ref());
    Ok(Some(filter))
}

pub(crate) async fn describe_export(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeExportInput>(body).await?;
    let export = context.database.describe_export(&input.export_arn.unwrap_or_default()).await?;
    Ok(json::to_vec(&DescribeExportOutput { export_description: Some(description(&export)) }))
}

pub(crate) async fn list_exports(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<ListExportsInput>(body).await?;
    let limit = input.max_results.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MAX_LISTED).min(MAX_LISTED);
    let (scope, table, after) = (&context.caller.scope, input.table_arn.as_deref(), input.next_token.as_deref());
    let page = context.database.list_exports(scope, table, after, limit).await?;
    let summary = |export: &ExportRecord| ExportSummary {
        export_arn: Some(export.arn()),
        export_status: Some(status(export)),
        export_type: Some(kind(export)),
    };
    Ok(json::to_vec(&ListExportsOutput {
        export_summaries: Some(page.exports.iter().map(summary).collect()),
        next_token: page.exports.last().filter(|_| page.more).map(ExportRecord::arn),
    }))
}

const fn status(export: &ExportRecord) -> enums::ExportStatus {
    match export.state {
        ExportState::InProgress => enums::ExportStatus::InProgress,
        ExportState::Completed => enums::ExportStatus::Completed,
        ExportState::Failed(_) => enums::ExportStatus::Failed,
    }
}

const fn kind(export: &ExportRecord) -> enums::ExportType {
    match export.request.span {
        ExportSpan::Full(_) => enums::ExportType::FullExport,
        ExportSpan::Changes { .. } => enums::ExportType::IncrementalExport,
    }
}

fn description(export: &ExportRecord) -> ExportDescription {
    let request = &export.request;
    let (algorithm, key) = match &request.encryption {
        None => (None, None),
        Some(ExportEncryption::Aes256) => (Some(enums::S3SseAlgorithm::Aes256), None),
        Some(ExportEncryption::Kms(key)) => (Some(enums::S3SseAlgorithm::Kms), key.clone()),
    };
    let failure = match &export.state {
        ExportState::Failed(failure) => Some(failure),
        ExportState::InProgress | ExportState::Completed => None,
    };
    let is_whole = export.state == ExportState::Completed;
    let (time, incremental) = match request.span {
        ExportSpan::Full(_) => (Some(timestamp(export.at_ms)), None),
        ExportSpan::Changes { from, view, .. } => {
            let view = match view {
                ExportView::New => "NEW_IMAGE",
                ExportView::NewAndOld => "NEW_AND_OLD_IMAGES",
            };
            let specification = structures::IncrementalExportSpecification {
                export_from_time: Some(timestamp(from.saturating_mul(1000))),
                export_to_time: Some(timestamp(export.at_ms)),
                export_view_type: Some(view.to_owned()),
            };
            (None, Some(specification))
        }
    };
    let format = match request.format {
        ExportFormat::Json => enums::ExportFormat::DynamodbJson,
        ExportFormat::Ion => enums::ExportFormat::Ion,
    };
    ExportDescription {
        export_arn: Some(export.arn()),
        export_status: Some(status(export)),
        start_time: Some(timestamp(export.began_ms)),
        end_time: export.ended_ms.map(timestamp),
        export_manifest: is_whole.then(|| export.manifest()),
        table_arn: Some(export.table_arn()),
        table_id: Some(export.table_uuid.clone()),
        export_time: time,
        client_token: request.token.clone(),
        s3_bucket: Some(request.bucket.clone()),
        s3_bucket_owner: request.bucket_owner.clone(),
        s3_prefix: request.prefix.clone(),
        s3_sse_algorithm: algorithm,
        s3_sse_kms_key_id: key,
        failure_code: failure.map(|failure| failure.code.clone()),
        failure_message: failure.map(|failure| failure.message.clone()),
        export_format: Some(format),
        billed_size_bytes: is_whole.then_some(export.bytes),
        item_count: is_whole.then_some(export.items),
        export_type: Some(kind(export)),
        incremental_export_specification: incremental,
        filter_specification: request.filter.as_ref().map(|filter| structures::FilterSpecification {
            filter_expression: filter.filter.clone(),
            projection_expression: filter.projection.clone(),
            key_condition_expression: filter.key_condition.clone(),
            expression_attribute_names: filter.names.clone().map(Entries),
            expression_attribute_values: filter.values(),
        }),
    }
}
