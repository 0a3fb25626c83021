//! Telemetry for a collector of OpenTelemetry: where it is, and requests as spans.

use std::env;

use partita_api::Answered;
use partita_client::Client;
use partita_telemetry::{Attribute, Collector, Exporter, InvalidCollector, Sampling, Span, Spans, TraceParent};

use crate::options::ServeOptions;

/// The exporter to the collector that `--otlp-endpoint` or OTEL_EXPORTER_OTLP_ENDPOINT names, if one does.
///
/// # Errors
/// When it is not one.
pub fn exporter(options: &ServeOptions, client: Client) -> Result<Option<Exporter>, InvalidCollector> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let given = options.otlp_endpoint.clone().filter(|endpoint| !endpoint.is_empty());
    let Some(endpoint) = given.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")) else { return Ok(None) };
    let headers = variable("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
    let service = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "partita".to_owned());
    let collector = Collector::new(&endpoint, &headers, &service, env!("CARGO_PKG_VERSION"))?;
    Ok(Some(Exporter::new(collector, client)))
}

/// Puts a request into the queue, if it is to be traced. Names only, as everywhere.
pub fn push(spans: &Spans, sampling: Sampling, answered: Answered) {
    let parent = answered.trace_parent.as_deref().and_then(TraceParent::parse);
    let Some((trace_id, id, parent)) = sampling.ids(parent) else { return };
    let number = |value: usize| Attribute::Number(i64::try_from(value).unwrap_or(i64::MAX));
    let mut attributes = vec![
        ("rpc.system", Attribute::Text("aws-api".to_owned())),
        ("rpc.service", Attribute::Text("DynamoDB".to_owned())),
        ("rpc.method", Attribute::Text(answered.operation.to_string())),
        ("aws.request_id", Attribute::Text(answered.request_id)),
        ("http.response.status_code", Attribute::Number(answered.status.into())),
        ("http.request.body.size", number(answered.request_bytes)),
        ("http.response.body.size", number(answered.response_bytes)),
    ];
    if !answered.tables.is_empty() {
        attributes.push(("aws.dynamodb.table_names", Attribute::Texts(answered.tables)));
    }
    attributes.extend(answered.principal.map(|principal| ("enduser.id", Attribute::Text(principal))));
    attributes.extend(answered.region.map(|region| ("cloud.region", Attribute::Text(region.to_string()))));
    let name = if answered.operation.is_empty() { "request".into() } else { answered.operation };
    spans.push(Span {
        trace_id,
        id,
        parent,
        name: format!("DynamoDB.{name}"),
        began: answered.began,
        took: answered.took,
        attributes,
        failed: answered.status >= 500,
    });
}
