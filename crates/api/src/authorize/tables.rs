//! What the operations on tables, streams, backups and triggers do.

use std::borrow::Cow;

use partita_db::TableArn;
use partita_model::Refusal;

use super::Judged;
use super::named::{Details, Named, Place};
use crate::generated::{inputs, structures as wire};
use crate::operations::TriggerOperation;

/// Actions without a resource.
macro_rules! on_nothing {
    ($($input:ident: $action:literal,)*) => {$(
        impl Judged for inputs::$input {
            fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
                named.push(Named::new($action, Place::Any));
                Ok(())
            }
        }
    )*};
}

/// Actions on the resource that one member names.
macro_rules! on_member {
    ($($input:ident.$member:ident: $action:literal on $place:expr,)*) => {$(
        impl Judged for inputs::$input {
            fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
                let place: fn(&'r str) -> Place<'r> = $place;
                named.push(Named::new($action, place(self.$member.as_deref().unwrap_or_default())));
                Ok(())
            }
        }
    )*};
}

fn table(name: &str) -> Place<'_> {
    Place::Table(Cow::Borrowed(name))
}

fn stream(arn: &str) -> Place<'_> {
    Place::Stream(Cow::Borrowed(arn))
}

/// An iterator is the ARN of its stream with more behind it; the database refuses one that is not its own.
fn stream_of_iterator(iterator: &str) -> Place<'_> {
    Place::Stream(Cow::Borrowed(iterator.split('|').next().unwrap_or_default()))
}

/// Lists that may be of one table. AWS judges them without a resource; an ARN may be of another account's table, and so is
/// judged as well.
macro_rules! on_nothing_or_member {
    ($($input:ident.$member:ident: $action:literal,)*) => {$(
        impl Judged for inputs::$input {
            fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
                named.push(Named::new($action, Place::Any));
                if let Some(arn) = self.$member.as_deref().filter(|name| TableArn::parse(name).is_some()) {
                    named.push(Named::new($action, table(arn)));
                }
                Ok(())
            }
        }
    )*};
}

on_nothing_or_member! {
    ListBackupsInput.table_name: "dynamodb:ListBackups",
    ListContributorInsightsInput.table_name: "dynamodb:ListContributorInsights",
    ListExportsInput.table_arn: "dynamodb:ListExports",
    ListImportsInput.table_arn: "dynamodb:ListImports",
}

on_nothing! {
    DescribeEndpointsRequest: "dynamodb:DescribeEndpoints",
    DescribeLimitsInput: "dynamodb:DescribeLimits",
    ListBulkOperationsInput: "dynamodb:ListBulkOperations",
    ListGlobalTablesInput: "dynamodb:ListGlobalTables",
    ListStreamsInput: "dynamodb:ListStreams",
    ListTablesInput: "dynamodb:ListTables",
}

on_member! {
    CancelBulkOperationInput.bulk_operation_arn: "dynamodb:CancelBulkOperation" on Place::Below,
    CreateBackupInput.table_name: "dynamodb:CreateBackup" on table,
    CreateGlobalTableInput.global_table_name: "dynamodb:CreateGlobalTable" on Place::GlobalTable,
    DeleteBackupInput.backup_arn: "dynamodb:DeleteBackup" on Place::Below,
    DeleteResourcePolicyInput.resource_arn: "dynamodb:DeleteResourcePolicy" on Place::TableOrStream,
    DeleteTableInput.table_name: "dynamodb:DeleteTable" on table,
    DescribeBackupInput.backup_arn: "dynamodb:DescribeBackup" on Place::Below,
    DescribeBulkOperationInput.bulk_operation_arn: "dynamodb:DescribeBulkOperation" on Place::Below,
    DescribeContinuousBackupsInput.table_name: "dynamodb:DescribeContinuousBackups" on table,
    DescribeExportInput.export_arn: "dynamodb:DescribeExport" on Place::Below,
    DescribeGlobalTableInput.global_table_name: "dynamodb:DescribeGlobalTable" on Place::GlobalTable,
    DescribeGlobalTableSettingsInput.global_table_name: "dynamodb:DescribeGlobalTableSettings" on Place::GlobalTable,
    DescribeImportInput.import_arn: "dynamodb:DescribeImport" on Place::Below,
    DescribeKinesisStreamingDestinationInput.table_name: "dynamodb:DescribeKinesisStreamingDestination" on table,
    DescribeStreamInput.stream_arn: "dynamodb:DescribeStream" on stream,
    DescribeTableInput.table_name: "dynamodb:DescribeTable" on table,
    DescribeTableReplicaAutoScalingInput.table_name: "dynamodb:DescribeTableReplicaAutoScaling" on table,
    DescribeTimeToLiveInput.table_name: "dynamodb:DescribeTimeToLive" on table,
    DisableKinesisStreamingDestinationInput.table_name: "dynamodb:DisableKinesisStreamingDestination" on table,
    EnableKinesisStreamingDestinationInput.table_name: "dynamodb:EnableKinesisStreamingDestination" on table,
    GetRecordsInput.shard_iterator: "dynamodb:GetRecords" on stream_of_iterator,
    GetResourcePolicyInput.resource_arn: "dynamodb:GetResourcePolicy" on Place::TableOrStream,
    GetShardIteratorInput.stream_arn: "dynamodb:GetShardIterator" on stream,
    ListTagsOfResourceInput.resource_arn: "dynamodb:ListTagsOfResource" on Place::TableOrStream,
    PutResourcePolicyInput.resource_arn: "dynamodb:PutResourcePolicy" on Place::TableOrStream,
    UpdateContinuousBackupsInput.table_name: "dynamodb:UpdateContinuousBackups" on table,
    UpdateGlobalTableInput.global_table_name: "dynamodb:UpdateGlobalTable" on Place::GlobalTable,
    UpdateGlobalTableSettingsInput.global_table_name: "dynamodb:UpdateGlobalTableSettings" on Place::GlobalTable,
    UpdateKinesisStreamingDestinationInput.table_name: "dynamodb:UpdateKinesisStreamingDestination" on table,
    UpdateTableReplicaAutoScalingInput.table_name: "dynamodb:UpdateTableReplicaAutoScaling" on table,
    UpdateTimeToLiveInput.table_name: "dynamodb:UpdateTimeToLive" on table,
}

/// Using a root key for a table ("DynamoDB encryption at rest: usage notes"): the caller lends the database the key.
fn root_key<'r>(specification: &'r Option<wire::SSESpecification>, named: &mut Vec<Named<'r>>) {
    if let Some(key_id) = specification.as_ref().and_then(|specification| specification.kms_master_key_id.as_deref()) {
        let place = Place::RootKey(key_id);
        named.extend(["kms:DescribeKey", "kms:CreateGrant"].map(|action| Named::new(action, place.clone())));
    }
}

impl Judged for inputs::UpdateTableInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        named.push(Named::new("dynamodb:UpdateTable", table(self.table_name.as_deref().unwrap_or_default())));
        root_key(&self.sse_specification, named);
        Ok(())
    }
}

impl Judged for inputs::CreateTableInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let name = self.table_name.as_deref().unwrap_or_default();
        let details = || self.tags.as_deref().map_or(Details::None, Details::Tags);
        named.push(Named { details: details(), ..Named::new("dynamodb:CreateTable", table(name)) });
        if self.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            named.push(Named { details: details(), ..Named::new("dynamodb:TagResource", table(name)) });
        }
        if self.resource_policy.is_some() {
            named.push(Named::new("dynamodb:PutResourcePolicy", table(name)));
        }
        root_key(&self.sse_specification, named);
        Ok(())
    }
}

impl Judged for inputs::TagResourceInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let place = Place::TableOrStream(self.resource_arn.as_deref().unwrap_or_default());
        let details = Details::Tags(self.tags.as_deref().unwrap_or_default());
        named.push(Named { details, ..Named::new("dynamodb:TagResource", place) });
        Ok(())
    }
}

impl Judged for inputs::UntagResourceInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let place = Place::TableOrStream(self.resource_arn.as_deref().unwrap_or_default());
        let details = Details::TagKeys(self.tag_keys.as_deref().unwrap_or_default());
        named.push(Named { details, ..Named::new("dynamodb:UntagResource", place) });
        Ok(())
    }
}

fn table_or_index<'r>(name: &'r Option<String>, index: &'r Option<String>) -> Place<'r> {
    let name = name.as_deref().unwrap_or_default();
    match index {
        Some(index) => Place::Index(Cow::Borrowed(name), Cow::Borrowed(index)),
        None => table(name),
    }
}

impl Judged for inputs::DescribeContributorInsightsInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let place = table_or_index(&self.table_name, &self.index_name);
        named.push(Named::new("dynamodb:DescribeContributorInsights", place));
        Ok(())
    }
}

impl Judged for inputs::UpdateContributorInsightsInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let place = table_or_index(&self.table_name, &self.index_name);
        named.push(Named::new("dynamodb:UpdateContributorInsights", place));
        Ok(())
    }
}

impl Judged for inputs::ImportTableInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let parameters = self.table_creation_parameters.as_ref();
        let name = parameters.and_then(|parameters| parameters.table_name.as_deref()).unwrap_or_default();
        named.push(Named::new("dynamodb:ImportTable", table(name)));
        if let Some(parameters) = parameters {
            root_key(&parameters.sse_specification, named);
        }
        if let Some(source) = &self.s3_bucket_source {
            read_objects(named, source.s3_bucket.as_deref(), source.s3_key_prefix.as_deref());
        }
        Ok(())
    }
}

impl Judged for inputs::StartBulkPutItemsInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        named.push(Named::new("dynamodb:StartBulkPutItems", table(self.table_name.as_deref().unwrap_or_default())));
        if let Some(source) = &self.input_s3_configuration {
            read_objects(named, source.s3_bucket.as_deref(), source.s3_key_prefix.as_deref());
        }
        if let Some(output) = &self.output_s3_configuration
            && let Some(bucket) = &output.s3_bucket
        {
            let prefix = output.s3_key_prefix.as_deref().unwrap_or_default();
            named.push(Named::new("s3:PutObject", Place::Objects(bucket, Cow::Borrowed(prefix))));
        }
        Ok(())
    }
}

/// What reading all objects of a prefix takes ("Requesting a table import: Setting up IAM permissions").
fn read_objects<'r>(named: &mut Vec<Named<'r>>, bucket: Option<&'r str>, prefix: Option<&'r str>) {
    let Some(bucket) = bucket else { return };
    named.push(Named::new("s3:ListBucket", Place::Bucket(Cow::Borrowed(bucket))));
    named.push(Named::new("s3:GetObject", Place::Objects(bucket, Cow::Borrowed(prefix.unwrap_or_default()))));
}

/// What an export does in its bucket ("Requesting a table export in DynamoDB").
const EXPORT_WRITES: [&str; 3] = ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"];

impl Judged for inputs::ExportTableToPointInTimeInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let source = table(self.table_arn.as_deref().unwrap_or_default());
        named.push(Named::new("dynamodb:ExportTableToPointInTime", source));
        let prefix = self.s3_prefix.as_deref().unwrap_or_default().trim_end_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        let folder = format!("{}/{prefix}{slash}AWSDynamoDB/", self.s3_bucket.as_deref().unwrap_or_default());
        let writes = EXPORT_WRITES.map(|action| Named::new(action, Place::Bucket(Cow::Owned(folder.clone()))));
        named.extend(writes);
        Ok(())
    }
}

/// What a restore does to the table it makes ("Using IAM with DynamoDB backup and restore").
pub(super) const RESTORE_WRITES: [&str; 7] = [
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:Scan",
    "dynamodb:UpdateItem",
];

impl Judged for inputs::RestoreTableFromBackupInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        const RESTORE: &str = "dynamodb:RestoreTableFromBackup";
        let target = self.target_table_name.as_deref().unwrap_or_default();
        named.push(Named::new(RESTORE, Place::Below(self.backup_arn.as_deref().unwrap_or_default())));
        named.extend([RESTORE].into_iter().chain(RESTORE_WRITES).map(|action| Named::new(action, table(target))));
        root_key(&self.sse_specification_override, named);
        Ok(())
    }
}

impl Judged for inputs::RestoreTableToPointInTimeInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        const RESTORE: &str = "dynamodb:RestoreTableToPointInTime";
        let target = self.target_table_name.as_deref().unwrap_or_default();
        // Both may be given when they name one table; whatever is given has to be allowed.
        let sources = [self.source_table_arn.as_deref(), self.source_table_name.as_deref()];
        named.extend(sources.into_iter().flatten().map(|source| Named::new(RESTORE, table(source))));
        named.extend([RESTORE].into_iter().chain(RESTORE_WRITES).map(|action| Named::new(action, table(target))));
        root_key(&self.sse_specification_override, named);
        Ok(())
    }
}

/// The action of an operation of Partita's own.
pub(crate) const fn own_action(operation: TriggerOperation) -> &'static str {
    match operation {
        TriggerOperation::CreateTrigger => "partita:CreateTrigger",
        TriggerOperation::ListTriggers => "partita:ListTriggers",
        TriggerOperation::DescribeTrigger => "partita:DescribeTrigger",
        TriggerOperation::UpdateTrigger => "partita:UpdateTrigger",
        TriggerOperation::DeleteTrigger => "partita:DeleteTrigger",
    }
}

/// The actions that a policy of a table or stream may name ("DynamoDB API operations supported by resource-based
/// policies").
pub(crate) const RESOURCE_ACTIONS: [&str; 42] = [
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:CreateBackup",
    "dynamodb:DeleteItem",
    "dynamodb:DeleteResourcePolicy",
    "dynamodb:DeleteTable",
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:DescribeContributorInsights",
    "dynamodb:DescribeKinesisStreamingDestination",
    "dynamodb:DescribeStream",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTableReplicaAutoScaling",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:DisableKinesisStreamingDestination",
    "dynamodb:EnableKinesisStreamingDestination",
    "dynamodb:ExportTableToPointInTime",
    "dynamodb:GetItem",
    "dynamodb:GetRecords",
    "dynamodb:GetResourcePolicy",
    "dynamodb:GetShardIterator",
    "dynamodb:ListTagsOfResource",
    "dynamodb:PartiQLDelete",
    "dynamodb:PartiQLInsert",
    "dynamodb:PartiQLSelect",
    "dynamodb:PartiQLUpdate",
    "dynamodb:PutItem",
    "dynamodb:PutResourcePolicy",
    "dynamodb:Query",
    "dynamodb:RestoreTableToPointInTime",
    "dynamodb:Scan",
    "dynamodb:SearchVectors",
    "dynamodb:StartBulkPutItems",
    "dynamodb:TagResource",
    "dynamodb:UntagResource",
    "dynamodb:UpdateContinuousBackups",
    "dynamodb:UpdateContributorInsights",
    "dynamodb:UpdateItem",
    "dynamodb:UpdateKinesisStreamingDestination",
    "dynamodb:UpdateTable",
    "dynamodb:UpdateTableReplicaAutoScaling",
    "dynamodb:UpdateTimeToLive",
];
