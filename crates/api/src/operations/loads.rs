//! ImportTable and StartBulkPutItems, and what describes, lists and cancels them.

use partita_db::{
    BulkRequest, Compression, CsvOptions, ImportRequest, InputFormat, LoadKind, LoadRecord, LoadSource, LoadStatus,
    OutputEncryption, OutputPlace,
};
use partita_model::Refusal;

use super::Context;
use super::tables::description::timestamp;
use super::tables::requests;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::{
    CancelBulkOperationInput, DescribeBulkOperationInput, DescribeImportInput, ImportTableInput,
    ListBulkOperationsInput, ListImportsInput, StartBulkPutItemsInput,
};
use crate::generated::outputs::{
    BulkOperationBytes, BulkOperationDescription, BulkOperationSummary, BulkOperationTableDetail, BulkOperationUsage,
    CancelBulkOperationOutput, DescribeBulkOperationOutput, DescribeImportOutput, ImportSummary,
    ImportTableDescription, ImportTableOutput, ListBulkOperationsOutput, ListImportsOutput, StartBulkPutItemsOutput,
};
use crate::generated::{enums, structures};
use crate::json::{self, Decode, Decoder, Entries, Object, Place};
use crate::request::Decoded;
use crate::wording::Layer;

/// The most imports on a page ("ListImports": 25).
const MOST_IMPORTS: usize = 25;
/// How many bulk operations a page has when the request does not say ("ListBulkOperations": 10).
const USUAL_OPERATIONS: usize = 10;
/// How many bytes of a load's id a page's token stands for: tokens have at least 112 hexadecimal digits.
const TOKEN_BYTES: usize = 56;
/// One write unit covers this many bytes.
const UNIT_BYTES: u64 = 1024;

pub(crate) async fn import_table(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<ImportTableInput>(body).await?;
    let request = import_text(&input);
    let csv = input.input_format_options.and_then(|options| options.csv).unwrap_or_default();
    let source = input.s3_bucket_source.unwrap_or_default();
    let source = LoadSource {
        bucket: source.s3_bucket.unwrap_or_default(),
        owner: source.s3_bucket_owner,
        prefix: source.s3_key_prefix.unwrap_or_default(),
        format: match input.input_format.as_deref() {
            Some("CSV") => InputFormat::Csv,
            Some("ION") => InputFormat::Ion,
            _ => InputFormat::DynamoDbJson,
        },
        compression: compression(input.input_compression_type.as_deref()),
        csv: csv_options(csv)?,
    };
    let parameters = input.table_creation_parameters.unwrap_or_default();
    let table = parameters.table_name.clone().unwrap_or_default();
    let definition = requests::imported(parameters)?;
    let import = ImportRequest { token: input.client_token, source, table, definition, request };
    let begun = context.database.begin_import(&context.caller.scope, &import).await?;
    Ok(json::to_vec(&ImportTableOutput { import_table_description: Some(import_description(&begun)?) }))
}

pub(crate) async fn describe_import(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeImportInput>(body).await?;
    let arn = input.import_arn.unwrap_or_default();
    let import = context.database.describe_load(LoadKind::Import, &arn).await?;
    Ok(json::to_vec(&DescribeImportOutput { import_table_description: Some(import_description(&import)?) }))
}

pub(crate) async fn list_imports(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<ListImportsInput>(body).await?;
    let after = input.next_token.as_deref().map(id_of_token).transpose()?;
    let limit = input.page_size.and_then(|size| usize::try_from(size).ok()).unwrap_or(MOST_IMPORTS);
    let (scope, table) = (&context.caller.scope, input.table_arn.as_deref());
    let page = context.database.list_loads(scope, LoadKind::Import, table, after.as_deref(), limit).await?;
    let next_token = page.loads.last().filter(|_| page.more).map(|last| token_of(&last.id));
    let summaries = page.loads.iter().map(import_summary).collect::<Result<_, Failure>>()?;
    Ok(json::to_vec(&ListImportsOutput { import_summary_list: Some(summaries), next_token }))
}

pub(crate) async fn start_bulk_put_items(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<StartBulkPutItemsInput>(body).await?;
    let request = bulk_text(&input);
    let source = input.input_s3_configuration.unwrap_or_default();
    let source = LoadSource {
        bucket: source.s3_bucket.unwrap_or_default(),
        owner: source.s3_bucket_owner,
        prefix: source.s3_key_prefix.unwrap_or_default(),
        format: if source.input_format.as_deref() == Some("ION") {
            InputFormat::Ion
        } else {
            InputFormat::DynamoDbJson
        },
        compression: compression(source.input_compression_type.as_deref()),
        csv: CsvOptions::default(),
    };
    let output = output_place(input.output_s3_configuration.unwrap_or_default())?;
    let bulk = BulkRequest {
        token: input.client_token,
        source,
        output,
        table: input.table_name.unwrap_or_default(),
        max_units: input.max_write_request_units.and_then(|units| u64::try_from(units).ok()),
        accelerated: input.performance_tier.as_deref() == Some("ACCELERATED"),
        request,
    };
    let begun = context.database.begin_bulk(&context.caller.scope, &bulk).await?;
    Ok(json::to_vec(&StartBulkPutItemsOutput { bulk_operation_description: Some(bulk_description(&begun)?) }))
}

pub(crate) async fn describe_bulk_operation(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeBulkOperationInput>(body).await?;
    let arn = input.bulk_operation_arn.unwrap_or_default();
    let bulk = context.database.describe_load(LoadKind::Bulk, &arn).await?;
    Ok(json::to_vec(&DescribeBulkOperationOutput { bulk_operation_description: Some(bulk_description(&bulk)?) }))
}

pub(crate) async fn list_bulk_operations(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<ListBulkOperationsInput>(body).await?;
    let after = input.next_token.as_deref().map(id_of_token).transpose()?;
    let limit = input.max_results.and_then(|size| usize::try_from(size).ok()).unwrap_or(USUAL_OPERATIONS);
    let scope = &context.caller.scope;
    let page = context.database.list_loads(scope, LoadKind::Bulk, None, after.as_deref(), limit).await?;
    let next_token = page.loads.last().filter(|_| page.more).map(|last| token_of(&last.id));
    let summary = |bulk: &LoadRecord| BulkOperationSummary {
        bulk_operation_arn: Some(bulk.arn()),
        bulk_operation_status: Some(bulk_status(bulk.status)),
        start_time: Some(timestamp(bulk.started_ms)),
        end_time: bulk.ended_ms.map(timestamp),
    };
    let summaries = page.loads.iter().map(summary).collect();
    Ok(json::to_vec(&ListBulkOperationsOutput { bulk_operations_summary_list: Some(summaries), next_token }))
}

pub(crate) async fn cancel_bulk_operation(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<CancelBulkOperationInput>(body).await?;
    let bulk = context.database.cancel_bulk(&input.bulk_operation_arn.unwrap_or_default()).await?;
    Ok(json::to_vec(&CancelBulkOperationOutput {
        bulk_operation_arn: Some(bulk.arn()),
        bulk_operation_status: Some(bulk_status(bulk.status)),
    }))
}

fn compression(name: Option<&str>) -> Compression {
    match name {
        Some("GZIP") => Compression::Gzip,
        Some("ZSTD") => Compression::Zstd,
        _ => Compression::None,
    }
}

fn csv_options(csv: structures::CsvOptions) -> Result<CsvOptions, Refusal> {
    if let Some(headers) = &csv.header_list {
        let mut sorted: Vec<&String> = headers.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(Refusal::validation(
                "One or more parameter values were invalid: HeaderList contains a header twice",
            ));
        }
    }
    let delimiter = csv.delimiter.and_then(|text| text.bytes().next());
    Ok(CsvOptions { delimiter, headers: csv.header_list })
}

fn output_place(output: structures::OutputS3Configuration) -> Result<OutputPlace, Refusal> {
    let invalid = |detail: &str| Refusal::validation(format!("One or more parameter values were invalid: {detail}"));
    let types = output.output_type.unwrap_or_default();
    if types.is_empty() {
        return Err(invalid("OutputType must have at least one value"));
    }
    let bucket = output.s3_bucket.ok_or_else(|| invalid("S3Bucket of OutputS3Configuration must be specified"))?;
    let encryption = match (output.s3_sse_algorithm.as_deref(), output.s3_sse_kms_key_id) {
        (Some("KMS"), key) => Some(OutputEncryption::Kms(key)),
        (_, Some(_)) => return Err(invalid("S3SseKmsKeyId can only be specified if S3SseAlgorithm is KMS")),
        (Some(_), None) => Some(OutputEncryption::Aes256),
        (None, None) => None,
    };
    let asked = |name: &str| types.iter().any(|asked| asked == name);
    Ok(OutputPlace {
        bucket,
        owner: output.s3_bucket_owner,
        prefix: output.s3_key_prefix.unwrap_or_default(),
        errors: asked("ERROR"),
        failed_conditions: asked("CONDITION_CHECK_FAILURE"),
        encryption,
    })
}

/// What an import's description repeats of its request. Of the same request it is the same text.
fn import_text(input: &ImportTableInput) -> String {
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.member("\"S3BucketSource\":", &input.s3_bucket_source);
    object.member("\"InputFormat\":", &input.input_format);
    object.member("\"InputFormatOptions\":", &input.input_format_options);
    object.member("\"InputCompressionType\":", &input.input_compression_type);
    object.member("\"TableCreationParameters\":", &input.table_creation_parameters);
    object.end();
    String::from_utf8_lossy(&out).into_owned()
}

/// What a bulk operation's description repeats of its request. Of the same request it is the same text.
fn bulk_text(input: &StartBulkPutItemsInput) -> String {
    let mut out = Vec::new();
    let mut object = Object::begin(&mut out);
    object.member("\"InputS3Configuration\":", &input.input_s3_configuration);
    object.member("\"OutputS3Configuration\":", &input.output_s3_configuration);
    object.member("\"TableName\":", &input.table_name);
    object.member("\"MaxWriteRequestUnits\":", &input.max_write_request_units);
    object.member("\"PerformanceTier\":", &input.performance_tier);
    object.end();
    String::from_utf8_lossy(&out).into_owned()
}

/// A request as it was kept.
fn kept<T: Decode>(load: &LoadRecord) -> Result<T, Failure> {
    let broken = |_| Failure::from(partita_db::Error::Internal("the request of a load can not be read".to_owned()));
    let mut decoder = Decoder::new(load.request.as_bytes(), Layer::Current).map_err(broken)?;
    T::decode(&mut decoder, Place::Field).map_err(broken)
}

fn import_description(import: &LoadRecord) -> Result<ImportTableDescription, Failure> {
    let request = kept::<ImportTableInput>(import)?;
    let loaded = &import.loaded;
    let failure = import.failure.clone();
    Ok(ImportTableDescription {
        import_arn: Some(import.arn()),
        import_status: Some(import_status(import.status)),
        table_arn: Some(import.table_arn()),
        table_id: Some(import.table_uuid.clone()),
        client_token: Some(import.token.clone()),
        s3_bucket_source: Some(bucket_source(import, request.s3_bucket_source)),
        error_count: Some(count(loaded.errors)),
        cloud_watch_log_group_arn: Some(log_group(import)),
        input_format: request.input_format.as_deref().and_then(enums::InputFormat::from_name),
        input_format_options: request.input_format_options,
        input_compression_type: Some(match import.source.compression {
            Compression::None => enums::InputCompressionType::None,
            Compression::Gzip => enums::InputCompressionType::Gzip,
            Compression::Zstd => enums::InputCompressionType::Zstd,
        }),
        table_creation_parameters: request.table_creation_parameters,
        start_time: Some(timestamp(import.started_ms)),
        end_time: import.ended_ms.map(timestamp),
        processed_size_bytes: Some(count(loaded.text_bytes)),
        processed_item_count: Some(count(loaded.processed)),
        imported_item_count: Some(count(loaded.written)),
        failure_code: failure.as_ref().map(|failure| failure.code.clone()),
        failure_message: failure.map(|failure| failure.message),
    })
}

fn import_summary(import: &LoadRecord) -> Result<ImportSummary, Failure> {
    let request = kept::<ImportTableInput>(import)?;
    Ok(ImportSummary {
        import_arn: Some(import.arn()),
        import_status: Some(import_status(import.status)),
        table_arn: Some(import.table_arn()),
        s3_bucket_source: Some(bucket_source(import, request.s3_bucket_source)),
        cloud_watch_log_group_arn: Some(log_group(import)),
        input_format: request.input_format.as_deref().and_then(enums::InputFormat::from_name),
        start_time: Some(timestamp(import.started_ms)),
        end_time: import.ended_ms.map(timestamp),
    })
}

/// The source as the service describes it: with its owner, who is the table's when the request names none.
fn bucket_source(import: &LoadRecord, source: Option<structures::S3BucketSource>) -> structures::S3BucketSource {
    let source = source.unwrap_or_default();
    structures::S3BucketSource {
        s3_bucket_owner: source.s3_bucket_owner.or_else(|| Some(import.account.clone())),
        ..source
    }
}

fn log_group(import: &LoadRecord) -> String {
    format!("arn:aws:logs:{}:{}:log-group:/aws-dynamodb/imports:*", import.region, import.account)
}

const fn import_status(status: LoadStatus) -> enums::ImportStatus {
    match status {
        LoadStatus::InProgress => enums::ImportStatus::InProgress,
        LoadStatus::Completed => enums::ImportStatus::Completed,
        LoadStatus::Cancelling => enums::ImportStatus::Cancelling,
        LoadStatus::Cancelled => enums::ImportStatus::Cancelled,
        // Imports do not end so.
        LoadStatus::CompletedWithErrors | LoadStatus::Failed => enums::ImportStatus::Failed,
    }
}

fn bulk_description(bulk: &LoadRecord) -> Result<BulkOperationDescription, Failure> {
    let request = kept::<StartBulkPutItemsInput>(bulk)?;
    let loaded = &bulk.loaded;
    let failure = bulk.failure.clone();
    let bytes = |units: u64| Some(count(units.saturating_mul(UNIT_BYTES)));
    let indexes = |local: bool| {
        let of_kind = loaded.index_units.iter().filter(|(_, is_local, _)| *is_local == local);
        let used: Vec<_> = of_kind
            .map(|(name, _, units)| (name.clone(), BulkOperationBytes { bulk_put_bytes: bytes(*units) }))
            .collect();
        (!used.is_empty()).then_some(Entries(used))
    };
    let all = loaded.index_units.iter().map(|(.., units)| units).sum::<u64>() + loaded.table_units;
    let usage = BulkOperationUsage {
        table_name: Some(bulk.table.clone()),
        bulk_put_bytes: bytes(all),
        table: Some(BulkOperationBytes { bulk_put_bytes: bytes(loaded.table_units) }),
        local_secondary_indexes: indexes(true),
        global_secondary_indexes: indexes(false),
        vector_indexes: None,
    };
    let table =
        BulkOperationTableDetail { table_name: Some(bulk.table.clone()), table_id: Some(bulk.table_uuid.clone()) };
    let input = request.input_s3_configuration.map(|input| structures::InputS3Configuration {
        input_compression_type: input.input_compression_type.or_else(|| Some("NONE".to_owned())),
        ..input
    });
    Ok(BulkOperationDescription {
        bulk_operation_arn: Some(bulk.arn()),
        bulk_operation_status: Some(bulk_status(bulk.status)),
        table_details: Some(vec![table]),
        client_token: Some(bulk.token.clone()),
        input_s3_configuration: input,
        output_s3_configuration: request.output_s3_configuration,
        start_time: Some(timestamp(bulk.started_ms)),
        end_time: bulk.ended_ms.map(timestamp),
        processed_item_count: Some(count(loaded.processed)),
        processed_input_bytes: Some(count(loaded.stored_bytes)),
        total_input_bytes: loaded.total_bytes.map(count),
        bulk_operation_usage: Some(vec![usage]),
        failed_item_count: Some(count(loaded.errors)),
        failure_code: failure.as_ref().map(|failure| failure.code.clone()),
        failure_message: failure.map(|failure| failure.message),
        max_write_request_units: request.max_write_request_units,
        performance_tier: Some(if bulk.accelerated {
            enums::BulkOperationPerformanceTier::Accelerated
        } else {
            enums::BulkOperationPerformanceTier::Standard
        }),
    })
}

const fn bulk_status(status: LoadStatus) -> enums::BulkOperationStatus {
    match status {
        LoadStatus::InProgress => enums::BulkOperationStatus::InProgress,
        LoadStatus::Completed => enums::BulkOperationStatus::Completed,
        LoadStatus::CompletedWithErrors => enums::BulkOperationStatus::CompletedWithErrors,
        LoadStatus::Cancelling => enums::BulkOperationStatus::Cancelling,
        LoadStatus::Cancelled => enums::BulkOperationStatus::Cancelled,
        LoadStatus::Failed => enums::BulkOperationStatus::Failed,
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A page's token: the id of its last load in hexadecimal, filled up with zeros.
fn token_of(id: &str) -> String {
    let mut bytes = id.as_bytes().to_vec();
    bytes.resize(TOKEN_BYTES, 0);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id_of_token(token: &str) -> Result<String, Refusal> {
    let invalid = || Refusal::validation("Invalid NextToken");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = token.as_bytes().chunks(2).map(byte).collect();
    let mut bytes = bytes.ok_or_else(invalid)?;
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    String::from_utf8(bytes).ok().filter(|id| !id.is_empty()).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_pages_are_ids_as_the_model_wants_them() {
        let token = token_of("01795000000000-0badcafe");
        assert_eq!(token.len(), 112);
        assert!(token.len().is_multiple_of(16) && token.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(id_of_token(&token).unwrap(), "01795000000000-0badcafe");
        for bad in ["", "zz", &"0".repeat(112), &"ff".repeat(56)] {
            assert!(id_of_token(bad).is_err(), "{bad}");
        }
    }
}
