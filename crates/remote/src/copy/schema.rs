//! A table's definition: read from the source's description, made at the target.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::CopyError;
use crate::endpoint::{CallError, Endpoint};

/// How often a table's state is looked at while it is made.
const POLL: Duration = Duration::from_millis(500);
/// How long a table may take to become active.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// The description of a table; `None` when there is none.
pub(super) async fn described(endpoint: &Endpoint, table: &str) -> Result<Option<Value>, CallError> {
    match endpoint.call("DescribeTable", &json!({"TableName": table})).await {
        Ok(mut answer) => match answer.get_mut("Table").map(Value::take) {
            Some(table) => Ok(Some(table)),
            None => Err(CallError::strange("DescribeTable", "Table")),
        },
        Err(error) if error.is("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names of the attributes of a table's key.
pub(super) fn key_names(description: &Value) -> Vec<String> {
    let elements = description.get("KeySchema").and_then(Value::as_array);
    let name = |element: &Value| element.get("AttributeName")?.as_str().map(str::to_owned);
    elements.into_iter().flatten().filter_map(name).collect()
}

/// The types of the attributes of a table's key, with their roles: what two tables must share for one's items to fit into
/// the other.
pub(super) fn key_of(description: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |name: &str| description.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let definitions = list("AttributeDefinitions");
    let kind = |wanted: &str| {
        let found = definitions.iter().find(|definition| text(definition, "AttributeName") == wanted);
        found.map(|definition| text(definition, "AttributeType")).unwrap_or_default()
    };
    let mut key: Vec<_> = list("KeySchema")
        .iter()
        .map(|element| {
            let name = text(element, "AttributeName");
            (text(element, "KeyType"), kind(&name), name)
        })
        .collect();
    key.sort_unstable();
    key
}

/// The request that makes a table like the described one.
pub(super) fn create_request(description: &Value, name: &str, tags: &[Value], with_stream: bool) -> Value {
    let mut request = Map::new();
    request.insert("TableName".to_owned(), json!(name));
    for member in ["AttributeDefinitions", "KeySchema"] {
        request.insert(member.to_owned(), description.get(member).cloned().unwrap_or_default());
    }
    let mode = description.pointer("/BillingModeSummary/BillingMode").and_then(Value::as_str);
    let on_demand = mode == Some("PAY_PER_REQUEST");
    request.insert("BillingMode".to_owned(), json!(if on_demand { "PAY_PER_REQUEST" } else { "PROVISIONED" }));
    put_throughput(&mut request, description, on_demand);
    for member in ["LocalSecondaryIndexes", "GlobalSecondaryIndexes"] {
        let indexes = description.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let made = indexes.iter().map(|index| {
            let mut made = Map::new();
            for member in ["IndexName", "KeySchema", "Projection"] {
                made.insert(member.to_owned(), index.get(member).cloned().unwrap_or_default());
            }
            if member == "GlobalSecondaryIndexes" {
                put_throughput(&mut made, index, on_demand);
            }
            Value::Object(made)
        });
        let made: Vec<Value> = made.collect();
        if !made.is_empty() {
            request.insert(member.to_owned(), Value::Array(made));
        }
    }
    let stream = description.get("StreamSpecification");
    if let Some(stream) = stream.filter(|stream| with_stream && stream.get("StreamEnabled") == Some(&json!(true))) {
        request.insert("StreamSpecification".to_owned(), stream.clone());
    }
    let class = description.pointer("/TableClassSummary/TableClass").and_then(Value::as_str);
    if let Some(class) = class.filter(|class| *class != "STANDARD") {
        request.insert("TableClass".to_owned(), json!(class));
    }
    if !tags.is_empty() {
        request.insert("Tags".to_owned(), Value::Array(tags.to_vec()));
    }
    Value::Object(request)
}

fn put_throughput(request: &mut Map<String, Value>, of: &Value, on_demand: bool) {
    if on_demand {
        let maximum = |name: &str| {
            let value = of.get("OnDemandThroughput")?.get(name)?.as_i64()?;
            (value > 0).then(|| (name.to_owned(), json!(value)))
        };
        let maximums: Map<String, Value> =
            ["MaxReadRequestUnits", "MaxWriteRequestUnits"].into_iter().filter_map(maximum).collect();
        if !maximums.is_empty() {
            request.insert("OnDemandThroughput".to_owned(), Value::Object(maximums));
        }
        return;
    }
    let units = |name: &str| of.get("ProvisionedThroughput").and_then(|units| units.get(name)).and_then(Value::as_i64);
    let units = |name: &str| units(name).unwrap_or(1).max(1);
    let throughput =
        json!({"ReadCapacityUnits": units("ReadCapacityUnits"), "WriteCapacityUnits": units("WriteCapacityUnits")});
    request.insert("ProvisionedThroughput".to_owned(), throughput);
}

/// A table's tags, without those of the service itself.
pub(super) async fn tags(endpoint: &Endpoint, description: &Value) -> Result<Vec<Value>, CallError> {
    let Some(arn) = description.get("TableArn") else { return Ok(Vec::new()) };
    let (mut tags, mut token) = (Vec::new(), None::<Value>);
    loop {
        let mut request = json!({"ResourceArn": arn});
        if let (Some(token), Some(request)) = (token.take(), request.as_object_mut()) {
            request.insert("NextToken".to_owned(), token);
        }
        let answer = match endpoint.call("ListTagsOfResource", &request).await {
            Ok(answer) => answer,
            Err(error) if error.is("UnknownOperationException") => return Ok(tags),
            Err(error) => return Err(error),
        };
        let page = answer.get("Tags").and_then(Value::as_array).cloned().unwrap_or_default();
        let own = |tag: &Value| tag.get("Key").and_then(Value::as_str).is_some_and(|key| !key.starts_with("aws:"));
        tags.extend(page.into_iter().filter(own));
        match answer.get("NextToken").filter(|token| token.is_string()) {
            Some(next) => token = Some(next.clone()),
            None => return Ok(tags),
        }
    }
}

/// Waits until a table and its indexes are in use.
pub(super) async fn until_active(endpoint: &Endpoint, table: &str) -> Result<Value, CopyError> {
    let begun = tokio::time::Instant::now();
    loop {
        let description = described(endpoint, table)
            .await?
            .ok_or_else(|| CopyError::Gone(table.to_owned(), endpoint.url().to_owned()))?;
        let status = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
        let active = |status: Option<String>| status.as_deref() == Some("ACTIVE");
        let indexes = description.get("GlobalSecondaryIndexes").and_then(Value::as_array);
        let ready = active(status(&description, "TableStatus"))
            && indexes.into_iter().flatten().all(|index| active(status(index, "IndexStatus")));
        if ready {
            return Ok(description);
        }
        if begun.elapsed() > LONGEST {
            return Err(CopyError::NotActive(table.to_owned()));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Has the target's table expire items as the source's does.
pub(super) async fn copy_time_to_live(
    (from, source): (&Endpoint, &str),
    (to, target): (&Endpoint, &str),
) -> Result<(), CallError> {
    let of = async |endpoint: &Endpoint, table: &str| {
        let answer = endpoint.call("DescribeTimeToLive", &json!({"TableName": table})).await;
        let answer = match answer {
            Err(error) if error.is("UnknownOperationException") => return Ok(None),
            answer => answer?,
        };
        let status = answer.pointer("/TimeToLiveDescription/TimeToLiveStatus").and_then(Value::as_str);
        let attribute = answer.pointer("/TimeToLiveDescription/AttributeName").and_then(Value::as_str);
        let on = matches!(status, Some("ENABLED" | "ENABLING"));
        Ok::<_, CallError>(attribute.filter(|_| on).map(str::to_owned))
    };
    let Some(attribute) = of(from, source).await? else { return Ok(()) };
    if of(to, target).await?.as_ref() == Some(&attribute) {
        return Ok(());
    }
    let specification = json!({"Enabled": true, "AttributeName": attribute});
    to.call("UpdateTimeToLive", &json!({"TableName": target, "TimeToLiveSpecification": specification})).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_becomes_the_request_that_makes_the_same_table() {
        let description = json!({
            "TableName": "T", "TableArn": "arn", "TableStatus": "ACTIVE", "ItemCount": 5,
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6, "NumberOfDecreasesToday": 0},
            "GlobalSecondaryIndexes": [{
                "IndexName": "g", "KeySchema": [], "Projection": {"ProjectionType": "ALL"}, "IndexStatus": "ACTIVE",
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}, "ItemCount": 1,
            }],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
            "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS"},
        });
        let expected = json!({
            "TableName": "U",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
            "GlobalSecondaryIndexes": [{
                "IndexName": "g", "KeySchema": [], "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
            }],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
            "TableClass": "STANDARD_INFREQUENT_ACCESS",
            "Tags": [{"Key": "k", "Value": "v"}],
        });
        assert_eq!(create_request(&description, "U", &[json!({"Key": "k", "Value": "v"})], true), expected);
        let on_demand = json!({
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
            "OnDemandThroughput": {"MaxReadRequestUnits": 7, "MaxWriteRequestUnits": -1},
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
        });
        let request = create_request(&on_demand, "U", &[], false);
        assert_eq!(request["OnDemandThroughput"], json!({"MaxReadRequestUnits": 7}));
        assert!(request.get("ProvisionedThroughput").is_none() && request.get("StreamSpecification").is_none());
    }

    #[test]
    fn keys_are_compared_by_names_types_and_roles() {
        let of = |kind: &str| {
            json!({"AttributeDefinitions": [{"AttributeName": "a", "AttributeType": kind}],
                   "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}]})
        };
        assert_eq!(key_of(&of("S")), key_of(&of("S")));
        assert_ne!(key_of(&of("S")), key_of(&of("N")));
        assert_eq!(key_names(&of("S")), ["a"]);
    }
}
