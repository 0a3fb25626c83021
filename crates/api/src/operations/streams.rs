//! DynamoDB Streams: ListStreams, DescribeStream, GetShardIterator, GetRecords.

use partita_db::{
    ChangeKind, ChangeRecord, IteratorStart, KeyElement, ShardDescription, StreamPage, StreamView, TableArn,
};
use partita_model::Refusal;

use super::Context;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::enums::{KeyType, OperationType, StreamStatus, StreamViewType};
use crate::generated::inputs::{DescribeStreamInput, GetRecordsInput, GetShardIteratorInput, ListStreamsInput};
use crate::generated::outputs::{
    DescribeStreamOutput, GetRecordsOutput, GetShardIteratorOutput, Identity, ListStreamsOutput, Record,
    SequenceNumberRange, Shard, Stream, StreamDescription, StreamRecord,
};
use crate::generated::structures::{KeySchemaElement, ShardFilter};
use crate::json::{self, Timestamp};
use crate::request::Decoded;

/// The most streams of a list ("ListStreams": 100).
const MAX_STREAMS: usize = 100;
/// The most shards of a description ("DescribeStream": 100).
const MAX_SHARDS: usize = 100;
/// The most records of a page ("GetRecords": 1,000).
const MAX_RECORDS: usize = 1000;

const INVALID: &str = "One or more parameter values were invalid: ";

pub(crate) async fn list_streams(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<ListStreamsInput>(body).await?;
    let too_many = "Limit cannot be greater than the maximum allowed size: 100";
    let limit = limit(input.limit, MAX_STREAMS, too_many)?;
    let after = input.exclusive_start_stream_arn.as_deref();
    // A table may be given by its ARN too.
    let table = input.table_name.as_deref().map(|name| TableArn::parse(name).map_or(name, |arn| arn.table));
    let listed = context.database.list_streams(&context.caller.scope, table, after, limit).await?;
    let last = listed.streams.last().filter(|_| listed.more).map(|stream| stream.arn.clone());
    let streams = listed.streams.into_iter().map(|stream| Stream {
        stream_arn: Some(stream.arn),
        table_name: Some(stream.table),
        stream_label: Some(stream.label),
    });
    Ok(json::to_vec(&ListStreamsOutput { streams: Some(streams.collect()), last_evaluated_stream_arn: last }))
}

pub(crate) async fn describe_stream(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<DescribeStreamInput>(body).await?;
    let page = StreamPage {
        after: input.exclusive_start_shard_id,
        children_of: input.shard_filter.map(parent_of).transpose()?.flatten(),
        limit: limit(input.limit, MAX_SHARDS, "Limit cannot be greater than the maximum: 100")?,
    };
    let stream = context.database.describe_stream(&input.stream_arn.unwrap_or_default(), &page).await?;
    let description = StreamDescription {
        stream_arn: Some(stream.arn),
        stream_label: Some(stream.label),
        stream_status: Some(if stream.enabled { StreamStatus::Enabled } else { StreamStatus::Disabled }),
        stream_view_type: Some(view_type(stream.view)),
        creation_request_date_time: Some(timestamp(stream.created_ms)),
        table_name: Some(stream.table),
        key_schema: Some(stream.key.into_iter().map(key_element).collect()),
        shards: Some(stream.shards.into_iter().map(shard).collect()),
        last_evaluated_shard_id: stream.last,
    };
    Ok(json::to_vec(&DescribeStreamOutput { stream_description: Some(description) }))
}

pub(crate) async fn get_shard_iterator(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<GetShardIteratorInput>(body).await?;
    let start = start(&input)?;
    let arn = input.stream_arn.unwrap_or_default();
    let shard = input.shard_id.unwrap_or_default();
    let iterator = context.database.shard_iterator(&arn, &shard, &start).await?;
    Ok(json::to_vec(&GetShardIteratorOutput { shard_iterator: Some(iterator) }))
}

pub(crate) async fn get_records(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, .. } = context.read::<GetRecordsInput>(body).await?;
    let limit = limit(input.limit, MAX_RECORDS, "Limit should be less than or equal to 1000")?;
    let page = context.database.stream_records(&input.shard_iterator.unwrap_or_default(), limit).await?;
    context.observed.stream(context.database.series_of(page.table));
    context.observed.returned(page.records.len());
    let records = page.records.into_iter().map(|change| record(change, page.view, &page.region)).collect();
    Ok(json::to_vec(&GetRecordsOutput { records: Some(records), next_shard_iterator: page.next }))
}

fn limit(given: Option<i32>, most: usize, too_many: &str) -> Result<usize, Refusal> {
    let Some(given) = given else { return Ok(most) };
    match usize::try_from(given) {
        Ok(given) if given <= most => Ok(given),
        _ => Err(invalid(too_many)),
    }
}

fn invalid(detail: &str) -> Refusal {
    Refusal::validation(format!("{INVALID}{detail}"))
}

/// The shard whose children a filter asks for.
fn parent_of(filter: ShardFilter) -> Result<Option<String>, Refusal> {
    match (filter.r#type, filter.shard_id) {
        (None, None) => Ok(None),
        (Some(_), Some(shard)) => Ok(Some(shard)),
        _ => Err(invalid("ShardFilter requires both Type and ShardId")),
    }
}

/// Where an iterator is to start; the members that go with the type and those that do not.
fn start(input: &GetShardIteratorInput) -> Result<IteratorStart, Refusal> {
    let kind = input.shard_iterator_type.as_deref().unwrap_or_default();
    let number = input.sequence_number.as_ref();
    let by_number = matches!(kind, "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
    if number.is_some() && !by_number {
        return Err(invalid("SequenceNumber should not be passed for this iterator type"));
    }
    if input.timestamp.is_some() && kind != "AT_TIMESTAMP" {
        return Err(invalid("Timestamp should not be passed for this iterator type"));
    }
    let number = || {
        let number = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        number.cloned().ok_or_else(|| invalid("Invalid SequenceNumber"))
    };
    Ok(match kind {
        "TRIM_HORIZON" => IteratorStart::TrimHorizon,
        "LATEST" => IteratorStart::Latest,
        "AT_SEQUENCE_NUMBER" => IteratorStart::At(number()?),
        "AFTER_SEQUENCE_NUMBER" => IteratorStart::After(number()?),
        _ => {
            let Timestamp(seconds) =
                input.timestamp.ok_or_else(|| invalid("Timestamp is required for this iterator type"))?;
            IteratorStart::AtTime(milliseconds(seconds).ok_or_else(|| invalid("Invalid Timestamp"))?)
        }
    })
}

/// Seconds since the epoch as whole milliseconds; times before the epoch count as it.
fn milliseconds(seconds: f64) -> Option<u64> {
    let rounded = (seconds * 1000.0).round();
    if !rounded.is_finite() {
        return None;
    }
    // Beyond what a double holds exactly no time makes sense; the text of a whole number reads back without loss.
    format!("{:.0}", rounded.clamp(0.0, 9.0e15)).parse().ok()
}

fn timestamp(milliseconds: u64) -> Timestamp {
    Timestamp(milliseconds as f64 / 1000.0)
}

const fn view_type(view: StreamView) -> StreamViewType {
    match view {
        StreamView::KeysOnly => StreamViewType::KeysOnly,
        StreamView::NewImage => StreamViewType::NewImage,
        StreamView::OldImage => StreamViewType::OldImage,
        StreamView::NewAndOldImages => StreamViewType::NewAndOldImages,
    }
}

fn key_element(element: KeyElement) -> KeySchemaElement {
    let kind = if element.partition { KeyType::Hash } else { KeyType::Range };
    KeySchemaElement { attribute_name: Some(element.name), key_type: Some(kind.name().to_owned()) }
}

fn shard(shard: ShardDescription) -> Shard {
    Shard {
        shard_id: Some(shard.id),
        sequence_number_range: Some(SequenceNumberRange {
            starting_sequence_number: Some(shard.start),
            ending_sequence_number: shard.end,
        }),
        parent_shard_id: shard.parent,
    }
}

fn record(change: ChangeRecord, view: StreamView, region: &str) -> Record {
    Record {
        event_id: Some(change.event_id),
        event_name: Some(match change.kind {
            ChangeKind::Insert => OperationType::Insert,
            ChangeKind::Modify => OperationType::Modify,
            ChangeKind::Remove => OperationType::Remove,
        }),
        event_version: Some("1.1".to_owned()),
        event_source: Some("aws:dynamodb".to_owned()),
        aws_region: Some(region.to_owned()),
        dynamodb: Some(StreamRecord {
            approximate_creation_date_time: Some(Timestamp((change.time_ms / 1000) as f64)),
            keys: Some(change.keys),
            new_image: change.new,
            old_image: change.old,
            sequence_number: Some(change.sequence_number),
            size_bytes: i64::try_from(change.size).ok(),
            stream_view_type: Some(view_type(view)),
        }),
        // Deletes by time to live carry the service's own identity.
        user_identity: change.expired.then(|| Identity {
            principal_id: Some("dynamodb.amazonaws.com".to_owned()),
            r#type: Some("Service".to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(kind: &str) -> GetShardIteratorInput {
        GetShardIteratorInput { shard_iterator_type: Some(kind.to_owned()), ..GetShardIteratorInput::default() }
    }

    #[test]
    fn iterator_types_take_their_own_members_only() {
        let number = Some("123456789012345678901".to_owned());
        let timestamp = Some(Timestamp(1_791_316_726.48));
        let with = |kind: &str, number: &Option<String>, timestamp: Option<Timestamp>| {
            start(&GetShardIteratorInput { sequence_number: number.clone(), timestamp, ..input(kind) })
                .map_err(|refusal| refusal.message.replace(INVALID, ""))
        };
        let invalid = |detail: &str| Err(detail.to_owned());
        assert_eq!(with("LATEST", &None, None), Ok(IteratorStart::Latest));
        assert_eq!(with("TRIM_HORIZON", &None, None), Ok(IteratorStart::TrimHorizon));
        assert_eq!(with("AT_SEQUENCE_NUMBER", &number, None), Ok(IteratorStart::At(number.clone().unwrap())));
        assert_eq!(with("AFTER_SEQUENCE_NUMBER", &number, None), Ok(IteratorStart::After(number.clone().unwrap())));
        assert_eq!(with("AT_TIMESTAMP", &None, timestamp), Ok(IteratorStart::AtTime(1_791_316_726_480)));
        let no_number = "SequenceNumber should not be passed for this iterator type";
        let no_time = "Timestamp should not be passed for this iterator type";
        for (kind, number, timestamp, expected) in [
            ("LATEST", &number, None, no_number),
            ("AT_TIMESTAMP", &number, timestamp, no_number),
            ("TRIM_HORIZON", &None, timestamp, no_time),
            ("AT_SEQUENCE_NUMBER", &None, None, "Invalid SequenceNumber"),
            ("AFTER_SEQUENCE_NUMBER", &Some("a".repeat(21)), None, "Invalid SequenceNumber"),
            ("AT_TIMESTAMP", &None, None, "Timestamp is required for this iterator type"),
            ("AT_TIMESTAMP", &None, Some(Timestamp(f64::INFINITY)), "Invalid Timestamp"),
        ] {
            assert_eq!(with(kind, number, timestamp), invalid(expected), "{kind}");
        }
    }

    #[test]
    fn records_are_shown_with_their_origin() {
        let item = partita_model::StoredItem::from_item(&partita_model::AttributeMap::new());
        let change = ChangeRecord {
            event_id: "00".to_owned(),
            kind: ChangeKind::Remove,
            expired: true,
            time_ms: 1_791_316_726_480,
            sequence_number: "1".to_owned(),
            size: 7,
            keys: item.clone(),
            old: Some(item),
            new: None,
        };
        let shown =
            |change| String::from_utf8(json::to_vec(&record(change, StreamView::OldImage, "eu-west-1"))).unwrap();
        assert_eq!(
            shown(change.clone()),
            r#"{"eventID":"00","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"eu-west-1","dynamodb":{"ApproximateCreationDateTime":1791316726.0,"Keys":{},"OldImage":{},"SequenceNumber":"1","SizeBytes":7,"StreamViewType":"OLD_IMAGE"},"userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}}"#
        );
        assert!(!shown(ChangeRecord { expired: false, ..change }).contains("userIdentity"));
    }

    #[test]
    fn limits_past_the_most_are_refused() {
        assert_eq!(limit(None, 100, "no"), Ok(100));
        assert_eq!(limit(Some(1), 100, "no"), Ok(1));
        assert_eq!(limit(Some(100), 100, "no"), Ok(100));
        assert_eq!(limit(Some(101), 100, "no"), Err(invalid("no")));
    }
}
