//! The reading part of DAX's management API, on the port of DynamoDB: what the node is, and how it is set.
//!
//! Shapes: the public service model of DAX (`dax-2017-04-19`). What changes clusters is a start of the server with other
//! options here, so those operations are unknown.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::authorize::{Named, Place};
use crate::caller::Caller;
use crate::failure::Failure;
use crate::http::{Request, Response, error_response};
use crate::operations::Context;
use crate::service::Service;
use crate::sight::Observed;

/// The service that requests are signed for.
pub(crate) const SERVICES: &[&str] = &["dax"];
/// What the target of each operation begins with.
const TARGET: &str = "AmazonDAXV3.";
/// The content type of DAX's requests and responses.
const JSON: &str = "application/x-amz-json-1.1";
/// The parameter group that the node has.
const GROUP: &str = "partita";

/// A node, as the management API shows it.
#[derive(Clone, Debug)]
pub struct DaxCluster {
    /// The cluster's name.
    pub name: String,
    /// The host that clients are told.
    pub host: String,
    /// The port that goes with it.
    pub port: u16,
    /// Whether TLS is spoken there.
    pub secured: bool,
    /// `record-ttl-millis`.
    pub item_ttl_ms: u64,
    /// `query-ttl-millis`.
    pub query_ttl_ms: u64,
    /// When the node has started, in seconds since the epoch.
    pub started: u64,
}

/// Why an operation fails: its code and message, or a failure that other operations have too.
enum Fault {
    Own(&'static str, String),
    Shared(Failure),
}

/// Whether a request is for this API.
pub(crate) fn is_call(request: &Request) -> bool {
    target(&request.headers).is_some_and(|target| target.starts_with(TARGET))
}

fn target(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-target")?.to_str().ok()
}

impl Service {
    /// Has the management API of DAX answer for this node from now on.
    pub fn show_dax(&self, cluster: DaxCluster) {
        // A second node is the same.
        let _ = self.dax.set(cluster);
    }

    pub(crate) async fn answer_dax(&self, request: &Request, caller: Result<Caller, Failure>) -> Response {
        let outcome = match (self.dax.get(), caller) {
            (Some(cluster), Ok(caller)) => self.describe(cluster, request, caller).await,
            (None, _) => Err(Fault::Own("UnknownOperationException", String::new())),
            (_, Err(failure)) => Err(Fault::Shared(failure)),
        };
        let content_type = if request.headers.get(CONTENT_TYPE).is_some_and(|value| value == JSON) {
            JSON
        } else {
            "application/json"
        };
        match outcome {
            Ok(body) => Response::new(200, content_type, body.to_string()),
            Err(Fault::Own(code, message)) => {
                Response::new(400, content_type, json!({ "__type": code, "message": message }).to_string())
            }
            Err(Fault::Shared(mut failure)) => {
                if let Some(detail) = failure.detail.take() {
                    tracing::error!(request_id = request.request_id, detail, "failed inside");
                    failure.refusal.message = format!("Internal server error, request {}", request.request_id).into();
                }
                error_response(&failure, content_type)
            }
        }
    }

    async fn describe(&self, cluster: &DaxCluster, request: &Request, caller: Caller) -> Result<Value, Fault> {
        let operation = target(&request.headers).and_then(|target| target.strip_prefix(TARGET)).unwrap_or_default();
        let body = if request.body.is_empty() { b"{}" } else { &request.body[..] };
        let asked: Value = serde_json::from_slice(body)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| Fault::Own("SerializationException", String::new()))?;
        let action = match operation {
            "DescribeClusters" => "dax:DescribeClusters",
            "DescribeParameters" => "dax:DescribeParameters",
            "DescribeParameterGroups" => "dax:DescribeParameterGroups",
            "DescribeDefaultParameters" => "dax:DescribeDefaultParameters",
            _ => return Err(Fault::Own("UnknownOperationException", String::new())),
        };
        let account = caller.scope.account.to_string();
        let region = caller.scope.region.to_string();
        if caller.principal.is_some() {
            let (database, expressions) = (&self.database, &self.expressions);
            let observed = Observed::default();
            let context = Context { database, expressions, caller, headers: &request.headers, observed: &observed };
            context.authorize(&[Named::new(action, Place::Any)]).await.map_err(Fault::Shared)?;
        }
        match operation {
            "DescribeClusters" => {
                check_names(&asked, "ClusterNames", &cluster.name, "ClusterNotFoundFault")?;
                Ok(json!({ "Clusters": [shown(cluster, &region, &account)] }))
            }
            "DescribeParameters" => {
                let group = asked.get("ParameterGroupName").and_then(Value::as_str).unwrap_or(GROUP);
                if group != GROUP {
                    return Err(Fault::Own(
                        "ParameterGroupNotFoundFault",
                        format!("ParameterGroup {group} not found."),
                    ));
                }
                Ok(json!({ "Parameters": parameters(cluster) }))
            }
            "DescribeDefaultParameters" => Ok(json!({ "Parameters": parameters(cluster) })),
            _ => {
                check_names(&asked, "ParameterGroupNames", GROUP, "ParameterGroupNotFoundFault")?;
                Ok(
                    json!({ "ParameterGroups": [{ "ParameterGroupName": GROUP, "Description": "The options of the server" }] }),
                )
            }
        }
    }
}

/// Refuses a list of names that has another than the only one there is.
fn check_names(asked: &Value, member: &str, only: &str, code: &'static str) -> Result<(), Fault> {
    let names = asked.get(member).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match names.iter().find(|name| name.as_str() != Some(only)) {
        None => Ok(()),
        Some(name) => Err(Fault::Own(code, format!("{} not found.", name.as_str().unwrap_or_default()))),
    }
}

fn shown(cluster: &DaxCluster, region: &str, account: &str) -> Value {
    let scheme = if cluster.secured { "daxs" } else { "dax" };
    let host = if cluster.host.contains(':') { format!("[{}]", cluster.host) } else { cluster.host.clone() };
    let endpoint = json!({
        "Address": cluster.host, "Port": cluster.port, "URL": format!("{scheme}://{host}:{}", cluster.port),
    });
    json!({
        "ClusterName": cluster.name,
        "ClusterArn": format!("arn:aws:dax:{region}:{account}:cache/{}", cluster.name),
        "TotalNodes": 1,
        "ActiveNodes": 1,
        "NodeType": "partita",
        "Status": "available",
        "ClusterDiscoveryEndpoint": endpoint,
        "Nodes": [{
            "NodeId": format!("{}-a", cluster.name),
            "Endpoint": endpoint,
            "NodeCreateTime": cluster.started,
            "AvailabilityZone": "local",
            "NodeStatus": "available",
            "ParameterGroupStatus": "in-sync",
        }],
        "ParameterGroup": { "ParameterGroupName": GROUP, "ParameterApplyStatus": "in-sync", "NodeIdsToReboot": [] },
        "SSEDescription": { "Status": "DISABLED" },
        "ClusterEndpointEncryptionType": if cluster.secured { "TLS" } else { "NONE" },
    })
}

fn parameters(cluster: &DaxCluster) -> Value {
    let parameter = |name: &str, value: u64, description: &str| {
        json!({
            "ParameterName": name,
            "ParameterType": "DEFAULT",
            "ParameterValue": value.to_string(),
            "NodeTypeSpecificValues": [],
            "Description": description,
            "Source": "user",
            "DataType": "integer",
            "AllowedValues": "0-",
            "IsModifiable": "FALSE",
            "ChangeType": "REQUIRES_REBOOT",
        })
    };
    json!([
        parameter(
            "query-ttl-millis",
            cluster.query_ttl_ms,
            "How long answers to queries and scans are kept, in milliseconds"
        ),
        parameter("record-ttl-millis", cluster.item_ttl_ms, "How long items are kept, in milliseconds"),
    ])
}
