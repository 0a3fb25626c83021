//! The table that the tests write to, orders by customer and number, and short forms of its items, keys and indexes.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, DeleteRequest, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    LocalSecondaryIndex, Projection, ProjectionType, PutRequest, WriteRequest,
};

use crate::server::Server;

/// Attribute values by name, as the SDK holds items and keys.
pub type Item = HashMap<String, AttributeValue>;

/// The name of the table.
pub const TABLE: &str = "Orders";

/// How long something may take whose SDK waiter sleeps 20 seconds when it does not find it at once.
pub const WITHOUT_SLEEPING: Duration = Duration::from_secs(10);

const BATCH: usize = 25;

/// A string value.
pub fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number value.
pub fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A binary value.
pub fn b(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// An item of these attributes.
pub fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `base` with more attributes.
pub fn with<const N: usize>(mut base: Item, attributes: [(&str, AttributeValue); N]) -> Item {
    base.extend(item(attributes));
    base
}

/// The key of an order; by itself the smallest order there is.
pub fn order(customer: &str, number: i64) -> Item {
    item([("customer", s(customer)), ("number", n(number))])
}

/// The `number` attribute of each item, in the order given.
pub fn numbers(items: &[Item]) -> Vec<i64> {
    items.iter().map(|item| item["number"].as_n().unwrap().parse().unwrap()).collect()
}

/// The value with the members of a set in order, because sets come back in any.
pub fn sorted(value: &AttributeValue) -> AttributeValue {
    let mut value = value.clone();
    match &mut value {
        AttributeValue::Ss(members) | AttributeValue::Ns(members) => members.sort(),
        AttributeValue::Bs(members) => members.sort_by(|left, right| left.as_ref().cmp(right.as_ref())),
        _ => {}
    }
    value
}

/// A key schema of a partition key and, if there is a second name, a sort key.
pub fn keys(names: &[&str]) -> Option<Vec<KeySchemaElement>> {
    let element = |(name, kind): (&&str, _)| KeySchemaElement::builder().attribute_name(*name).key_type(kind).build();
    Some(names.iter().zip([KeyType::Hash, KeyType::Range]).map(element).collect::<Result<_, _>>().unwrap())
}

/// Attribute definitions from their short form, `["customer:S", "number:N"]`.
pub fn attributes(definitions: &[&str]) -> Option<Vec<AttributeDefinition>> {
    let definition = |short: &&str| {
        let (name, kind) = short.split_once(':').unwrap();
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind.into()).build()
    };
    Some(definitions.iter().map(definition).collect::<Result<_, _>>().unwrap())
}

/// The projection of all attributes.
pub fn all_attributes() -> Projection {
    Projection::builder().projection_type(ProjectionType::All).build()
}

/// The projection of the keys alone.
pub fn keys_only() -> Projection {
    Projection::builder().projection_type(ProjectionType::KeysOnly).build()
}

/// The projection of the keys and one attribute.
pub fn including(attribute: &str) -> Projection {
    Projection::builder().projection_type(ProjectionType::Include).non_key_attributes(attribute).build()
}

/// A global secondary index.
pub fn global_index(name: &str, names: &[&str], projection: Projection) -> GlobalSecondaryIndex {
    let index = GlobalSecondaryIndex::builder().index_name(name).set_key_schema(keys(names)).projection(projection);
    index.build().unwrap()
}

/// A local secondary index.
pub fn local_index(name: &str, names: &[&str], projection: Projection) -> LocalSecondaryIndex {
    let index = LocalSecondaryIndex::builder().index_name(name).set_key_schema(keys(names)).projection(projection);
    index.build().unwrap()
}

/// The request that makes the table, on demand; `more_attributes` are those of the indexes that a test adds.
pub fn create_orders(client: &Client, more_attributes: &[&str]) -> CreateTableFluentBuilder {
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(keys(&["customer", "number"]))
        .set_attribute_definitions(attributes(&[&["customer:S", "number:N"], more_attributes].concat()))
}

/// A server of the test's own and a client, with the table made and empty.
pub async fn shop() -> (Server, Client) {
    shop_with(&[], |request| request).await
}

/// The same as [`shop`], with further attributes defined and the request changed by the test.
pub async fn shop_with(
    more_attributes: &[&str],
    change: impl FnOnce(CreateTableFluentBuilder) -> CreateTableFluentBuilder,
) -> (Server, Client) {
    let server = Server::start();
    let client = server.client();
    change(create_orders(&client, more_attributes)).send().await.unwrap();
    client.wait_until_table_exists().table_name(TABLE).wait(WITHOUT_SLEEPING).await.unwrap();
    (server, client)
}

/// Puts an item.
pub async fn put(client: &Client, item: Item) {
    client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
}

/// Gets an item with a strong read.
pub async fn get(client: &Client, key: Item) -> Option<Item> {
    client.get_item().table_name(TABLE).set_key(Some(key)).consistent_read(true).send().await.unwrap().item
}

/// A put for a batch.
pub fn put_request(item: Item) -> WriteRequest {
    WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build()
}

/// A delete for a batch.
pub fn delete_request(key: Item) -> WriteRequest {
    WriteRequest::builder().delete_request(DeleteRequest::builder().set_key(Some(key)).build().unwrap()).build()
}

/// Writes in batches, sending again what comes back unprocessed.
pub async fn write(client: &Client, requests: Vec<WriteRequest>) {
    for batch in requests.chunks(BATCH) {
        let mut pending = HashMap::from([(TABLE.to_owned(), batch.to_vec())]);
        while !pending.is_empty() {
            let asked = pending[TABLE].len();
            let answer = client.batch_write_item().set_request_items(Some(pending)).send().await.unwrap();
            pending = answer.unprocessed_items.unwrap();
            assert!(pending.get(TABLE).is_none_or(|rest| rest.len() < asked), "a batch made no progress");
        }
    }
}
