//! OTLP's JSON form of spans and metrics ("OTLP/HTTP", JSON Protobuf encoding: ids in hexadecimal digits, 64-bit numbers
//! as texts).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use partita_metrics::{Kind, Label, Point, Reading, Samples};
use serde_json::{Value, json};

use crate::span::{Attribute, Span};

/// What made the telemetry.
const SCOPE: &str = "partita";
/// A span of a server (`SPAN_KIND_SERVER`).
const KIND_SERVER: u8 = 2;
/// A status that tells of a failure (`STATUS_CODE_ERROR`).
const STATUS_ERROR: u8 = 2;
/// Sums since the start (`AGGREGATION_TEMPORALITY_CUMULATIVE`).
const CUMULATIVE: u8 = 2;

/// The request of an export of spans.
pub(crate) fn spans(resource: &Value, spans: &[Span]) -> Value {
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": SCOPE}, "spans": spans}]}]})
}

fn span(span: &Span) -> Value {
    let attributes: Vec<Value> = span.attributes.iter().map(|(key, value)| attribute(key, value)).collect();
    let mut encoded = json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.id),
        "name": span.name,
        "kind": KIND_SERVER,
        "startTimeUnixNano": nanoseconds(span.began),
        "endTimeUnixNano": nanoseconds(span.began + span.took),
        "attributes": attributes,
        "status": if span.failed { json!({"code": STATUS_ERROR}) } else { json!({}) },
    });
    if let (Some(parent), Some(members)) = (&span.parent, encoded.as_object_mut()) {
        members.insert("parentSpanId".to_owned(), hex(parent).into());
    }
    encoded
}

/// An attribute of a span or resource.
pub(crate) fn attribute(key: &str, value: &Attribute) -> Value {
    let text = |text: &String| json!({"stringValue": text});
    let value = match value {
        Attribute::Text(value) => text(value),
        Attribute::Number(value) => json!({"intValue": value.to_string()}),
        Attribute::Texts(values) => json!({"arrayValue": {"values": values.iter().map(text).collect::<Vec<_>>()}}),
    };
    json!({"key": key, "value": value})
}

/// The request of an export of metrics that began to be counted at `began`.
pub(crate) fn metrics(resource: &Value, samples: &Samples, began: SystemTime, now: SystemTime) -> Value {
    let (began, now) = (nanoseconds(began), nanoseconds(now));
    let encoded = samples.families().iter().filter(|family| !family.points.is_empty()).map(|family| {
        let points: Vec<Value> = family.points.iter().map(|each| point(each, &began, &now)).collect();
        let (kind, data) = match family.name.kind {
            Kind::Counter => {
                ("sum", json!({"aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points}))
            }
            Kind::Gauge => ("gauge", json!({"dataPoints": points})),
            Kind::Histogram => ("histogram", json!({"aggregationTemporality": CUMULATIVE, "dataPoints": points})),
        };
        json!({"name": family.name.name, "description": family.name.help, kind: data})
    });
    let encoded: Vec<Value> = encoded.collect();
    json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": {"name": SCOPE}, "metrics": encoded}]}]})
}

fn point(point: &Point, began: &str, now: &str) -> Value {
    let labels = point.labels.iter();
    let attributes: Vec<Value> =
        labels.map(|(key, value)| json!({"key": key, "value": {"stringValue": Label::as_str(value)}})).collect();
    match &point.reading {
        // JSON has no number for what is not finite.
        Reading::Number(value) if !value.is_finite() => json!({
            "attributes": attributes, "startTimeUnixNano": began, "timeUnixNano": now, "asDouble": value.to_string(),
        }),
        Reading::Number(value) => json!({
            "attributes": attributes, "startTimeUnixNano": began, "timeUnixNano": now, "asDouble": value,
        }),
        Reading::Distribution(read) => json!({
            "attributes": attributes, "startTimeUnixNano": began, "timeUnixNano": now,
            "count": read.count().to_string(),
            "sum": read.sum,
            "bucketCounts": read.counts.iter().map(u64::to_string).collect::<Vec<_>>(),
            "explicitBounds": read.bounds,
        }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn nanoseconds(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use partita_metrics::{Histogram, Name};

    #[test]
    fn spans_are_written_as_collectors_read_them() {
        let began = UNIX_EPOCH + Duration::from_secs(1);
        let span = Span {
            trace_id: [0xab; 16],
            id: [1; 8],
            parent: Some([2; 8]),
            name: "GetItem".to_owned(),
            began,
            took: Duration::from_micros(5),
            attributes: vec![
                ("aws.dynamodb.table_names", Attribute::Texts(vec!["T".to_owned()])),
                ("http.response.status_code", Attribute::Number(500)),
            ],
            failed: true,
        };
        let encoded = spans(&json!({}), &[span]);
        let span = &encoded["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "ab".repeat(16));
        assert_eq!(span["parentSpanId"], "02".repeat(8));
        assert_eq!((&span["kind"], &span["status"]["code"]), (&json!(2), &json!(2)));
        assert_eq!(span["startTimeUnixNano"], "1000000000");
        assert_eq!(span["endTimeUnixNano"], "1000005000");
        assert_eq!(span["attributes"][0]["value"]["arrayValue"]["values"][0]["stringValue"], "T");
        assert_eq!(span["attributes"][1]["value"]["intValue"], "500");
    }

    #[test]
    fn metrics_are_written_as_collectors_read_them() {
        let mut samples = Samples::new();
        samples.labelled(Name::counter("a_total", "A"), [("table", "T".into())], 3_u64);
        samples.number(Name::gauge("b", "B"), 0.5);
        samples.declare(Name::gauge("c", "C"));
        let histogram = Histogram::new(&[10]);
        [5, 20, 30].into_iter().for_each(|value| histogram.record(value));
        samples.point(Name::histogram("d", "D"), Vec::new(), Reading::Distribution(histogram.read(1.0)));
        let encoded = metrics(&json!({}), &samples, UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(2));
        let metrics = &encoded["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        assert_eq!(metrics.as_array().unwrap().len(), 3);
        let sum = &metrics[0]["sum"];
        assert_eq!((&sum["isMonotonic"], &sum["aggregationTemporality"]), (&json!(true), &json!(2)));
        assert_eq!(sum["dataPoints"][0]["asDouble"], 3.0);
        assert_eq!(sum["dataPoints"][0]["attributes"][0], json!({"key": "table", "value": {"stringValue": "T"}}));
        assert_eq!(metrics[1]["gauge"]["dataPoints"][0]["timeUnixNano"], "2000000000");
        let histogram = &metrics[2]["histogram"]["dataPoints"][0];
        assert_eq!(histogram["bucketCounts"], json!(["1", "2"]));
        assert_eq!((&histogram["count"], &histogram["explicitBounds"]), (&json!("3"), &json!([10.0])));
    }
}
