//! The JSON of a record as a Lambda function receives it from DynamoDB Streams ("Using AWS Lambda with Amazon DynamoDB").
//! It differs from what GetRecords answers in the stream's ARN and in the case of the identity's members.

use partita_api::json::Encode;
use partita_db::{ChangeKind, ChangeRecord, StreamView};

/// The stream that a record comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The stream's ARN.
    pub arn: &'a str,
    /// The stream's region.
    pub region: &'a str,
    /// What the stream's records carry.
    pub view: StreamView,
}

/// Appends a record's JSON.
pub fn write(record: &ChangeRecord, origin: Origin<'_>, out: &mut Vec<u8>) {
    let name = match record.kind {
        ChangeKind::Insert => "INSERT",
        ChangeKind::Modify => "MODIFY",
        ChangeKind::Remove => "REMOVE",
    };
    let view = match origin.view {
        StreamView::KeysOnly => "KEYS_ONLY",
        StreamView::NewImage => "NEW_IMAGE",
        StreamView::OldImage => "OLD_IMAGE",
        StreamView::NewAndOldImages => "NEW_AND_OLD_IMAGES",
    };
    member(out, "{\"eventID\":", &record.event_id);
    member(out, ",\"eventName\":", name);
    member(out, ",\"eventVersion\":", "1.1");
    member(out, ",\"eventSource\":", "aws:dynamodb");
    member(out, ",\"awsRegion\":", origin.region);
    out.extend_from_slice(b",\"dynamodb\":");
    let seconds = i64::try_from(record.time_ms / 1000).unwrap_or(i64::MAX);
    member(out, "{\"ApproximateCreationDateTime\":", &seconds);
    member(out, ",\"Keys\":", &record.keys);
    if let Some(new) = &record.new {
        member(out, ",\"NewImage\":", new);
    }
    if let Some(old) = &record.old {
        member(out, ",\"OldImage\":", old);
    }
    member(out, ",\"SequenceNumber\":", &record.sequence_number);
    member(out, ",\"SizeBytes\":", &i64::try_from(record.size).unwrap_or(i64::MAX));
    member(out, ",\"StreamViewType\":", view);
    member(out, "},\"eventSourceARN\":", origin.arn);
    if record.expired {
        out.extend_from_slice(br#","userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}"#);
    }
    out.push(b'}');
}

fn member(out: &mut Vec<u8>, label: &str, value: &(impl Encode + ?Sized)) {
    out.extend_from_slice(label.as_bytes());
    value.encode(out);
}

#[cfg(test)]
mod tests {
    use partita_model::{AttributeMap, AttributeValue, Number, StoredItem};

    use super::*;

    #[test]
    fn records_have_the_shape_that_functions_know() {
        let mut keys = AttributeMap::new();
        keys.insert("Id", AttributeValue::N(Number::from(101u64)));
        let mut image = keys.clone();
        image.insert("Message", AttributeValue::S("New \"item\"!".to_owned()));
        let record = ChangeRecord {
            event_id: "c4ca4238a0b923820dcc509a6f75849b".to_owned(),
            kind: ChangeKind::Remove,
            expired: true,
            time_ms: 1_791_316_726_480,
            sequence_number: "4421584500000000017450439091".to_owned(),
            size: 26,
            keys: StoredItem::from_item(&keys),
            old: Some(StoredItem::from_item(&image)),
            new: None,
        };
        let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-10-08T23:20:48.275";
        let mut out = Vec::new();
        write(&record, Origin { arn, region: "us-east-1", view: StreamView::NewAndOldImages }, &mut out);
        let shown: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            shown,
            serde_json::json!({
                "eventID": "c4ca4238a0b923820dcc509a6f75849b",
                "eventName": "REMOVE",
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "us-east-1",
                "dynamodb": {
                    "ApproximateCreationDateTime": 1_791_316_726,
                    "Keys": {"Id": {"N": "101"}},
                    "OldImage": {"Id": {"N": "101"}, "Message": {"S": "New \"item\"!"}},
                    "SequenceNumber": "4421584500000000017450439091",
                    "SizeBytes": 26,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
                "eventSourceARN": arn,
                "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
            })
        );
        out.clear();
        let record = ChangeRecord { expired: false, kind: ChangeKind::Insert, old: None, ..record };
        write(&record, Origin { arn, region: "us-east-1", view: StreamView::KeysOnly }, &mut out);
        let shown: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(shown.get("userIdentity"), None);
        assert_eq!(shown["dynamodb"].get("NewImage"), None);
    }
}
