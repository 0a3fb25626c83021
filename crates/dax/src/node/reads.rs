//! Query and Scan, from the cache of answers where they may be. The key of an answer is the whole request.

use std::sync::Arc;

use bytes::Bytes;
use partita_api::Operation;
use partita_api::door::Asked;
use partita_db::Table;
use serde_json::Value;

use super::{Turn, add_label, add_raw, add_text, count, decoded, projection, request_for};
use crate::answer::{self, Detail, member};
use crate::cache::Reply;
use crate::cbor::{Reader, Writer};
use crate::expression::{Expressions, Path};
use crate::fault::Fault;
use crate::key::Key;
use crate::lists::Lists;
use crate::request::{self, Options};
use crate::value;

/// The room that an answer begins with, in bytes.
const ROOM: usize = 4_096;

/// What a page has to know of its request in order to be an answer.
struct Shape {
    table: Arc<Table>,
    /// Whether an index is read: the last key has its names then.
    of_index: bool,
    paths: Option<Vec<Path>>,
}

impl Turn<'_> {
    pub(super) async fn query(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        self.read(Operation::Query, reader).await
    }

    pub(super) async fn scan(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        self.read(Operation::Scan, reader).await
    }

    async fn read(self, operation: Operation, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let name = reader.name()?;
        let wire = reader.rest();
        let condition = if operation == Operation::Query { request::optional_bytes(reader)? } else { None };
        let options = Options::read(reader)?;
        let table = self.table(&name).await?;
        let paths = projection(options.projection.as_deref())?;
        let body = body(&name, &table, condition.as_deref(), &options, paths.as_deref())?;
        let detail = Detail::of(options.capacity);
        let shape = Shape { of_index: options.index.is_some(), paths, table };
        let settings = self.node.cache.settings();
        if options.consistent.unwrap_or(false) || settings.query_ttl_ms == 0 {
            let page = self.execute(operation, &body).await?;
            let members = members(&self.node.lists, &shape, &page).await?;
            return Ok(answer(&members, page.get("ConsumedCapacity"), detail));
        }
        if self.is_watched() {
            self.admit(operation, &body).await?;
        }
        let (hits, misses) = match operation {
            Operation::Query => (&self.node.metrics.query_cache_hits, &self.node.metrics.query_cache_misses),
            _ => (&self.node.metrics.scan_cache_hits, &self.node.metrics.scan_cache_misses),
        };
        let now_ms = self.now_ms();
        let key = whole_request(operation, &shape.table, wire);
        if let Some(reply) = self.node.cache.reply(&key, now_ms) {
            count(hits, 1);
            return Ok(answer(&reply.members, None, detail));
        }
        count(misses, 1);
        let fetch = || {
            let (service, lists) = (Arc::clone(&self.node.service), Arc::clone(&self.node.lists));
            let scope = self.caller.scope.clone();
            async move {
                let mut page = decoded(&service.execute_admitted(&scope, Asked { operation, body: &body }).await?)?;
                let reply =
                    Reply::new(members(&lists, &shape, &page).await?, now_ms.saturating_add(settings.query_ttl_ms));
                Ok((reply, page.get_mut("ConsumedCapacity").map(Value::take)))
            }
        };
        let (reply, consumed) = self.node.cache.reply_once(&key, fetch).await?;
        Ok(answer(&reply.members, consumed.as_deref(), detail))
    }
}

/// What tells a request from every other: the operation, the table, and all that the client sent beside its name.
fn whole_request(operation: Operation, table: &Table, wire: &[u8]) -> Bytes {
    let mut key = Vec::with_capacity(wire.len() + 8);
    key.push(u8::from(operation == Operation::Query));
    key.extend_from_slice(&table.record.id.to_be_bytes());
    key.extend_from_slice(wire);
    key.into()
}

fn body(
    name: &str,
    table: &Table,
    condition: Option<&[u8]>,
    options: &Options<'_>,
    paths: Option<&[Path]>,
) -> Result<Vec<u8>, Fault> {
    let mut body = request_for(name);
    let mut expressions = Expressions::default();
    if let Some(condition) = condition {
        add_text(&mut body, "KeyConditionExpression", &expressions.condition(condition)?);
    }
    if let Some(filter) = options.filter.as_deref() {
        add_text(&mut body, "FilterExpression", &expressions.condition(filter)?);
    }
    if let Some(paths) = paths {
        add_text(&mut body, "ProjectionExpression", &expressions.attributes(paths)?);
    }
    expressions.write_members(&mut body);
    if let Some(index) = options.index.as_deref() {
        add_text(&mut body, "IndexName", index);
    }
    if let Some(select) = options.select {
        add_text(&mut body, "Select", select);
    }
    for (label, number) in [("Limit", options.limit), ("Segment", options.segment), ("TotalSegments", options.segments)]
    {
        if let Some(number) = number {
            add_raw(&mut body, label, &number.to_string());
        }
    }
    for (label, flag) in [("ConsistentRead", options.consistent), ("ScanIndexForward", options.forward)] {
        if let Some(flag) = flag {
            add_raw(&mut body, label, if flag { "true" } else { "false" });
        }
    }
    if let Some(start) = options.start.as_deref() {
        add_label(&mut body, "ExclusiveStartKey");
        if options.index.is_some() {
            named_key(start, &mut body)?;
        } else {
            Key::read(start, &table.key)?.write_json(&table.key, &mut body);
        }
    }
    add_text(&mut body, "ReturnConsumedCapacity", "INDEXES");
    body.push(b'}');
    Ok(body)
}

/// A key with its names, as JSON.
fn named_key(bytes: &[u8], body: &mut Vec<u8>) -> Result<(), Fault> {
    let mut reader = Reader::new(bytes);
    let mut count = reader.map()?;
    let mut separator = b'{';
    while reader.more(&mut count)? {
        body.push(separator);
        value::json_text(&reader.text()?, body);
        body.push(b':');
        value::to_json(&mut reader, body)?;
        separator = b',';
    }
    if separator == b'{' {
        body.push(b'{');
    }
    body.push(b'}');
    Ok(())
}

/// The members of an answer, but for what it consumed.
async fn members(lists: &Lists, shape: &Shape, page: &Value) -> Result<Vec<u8>, Fault> {
    let mut out = Writer::with_capacity(ROOM);
    if let Some(items) = page.get("Items").and_then(Value::as_array) {
        out.int(member::ITEMS);
        out.array(items.len());
        for item in items {
            let item = answer::item_of(item);
            match &shape.paths {
                Some(paths) => answer::projected(&item, paths, &mut out),
                None => {
                    let list = lists.id_of(&item, &shape.table.key).await?;
                    out.array(2);
                    out.bytes(&answer::key_of(&item, &shape.table.key));
                    out.bytes(&answer::stream_item(&item, &shape.table.key, list));
                }
            }
        }
    }
    for (name, number) in [("Count", member::COUNT), ("ScannedCount", member::SCANNED)] {
        if let Some(count) = page.get(name).and_then(Value::as_i64) {
            out.int(number);
            out.int(count);
        }
    }
    if let Some(last) = page.get("LastEvaluatedKey") {
        let last = answer::item_of(last);
        out.int(member::LAST_KEY);
        out.bytes(&if shape.of_index { answer::named_key(&last) } else { answer::key_of(&last, &shape.table.key) });
    }
    Ok(out.into_bytes())
}

fn answer(members: &[u8], consumed: Option<&Value>, detail: Detail) -> Vec<u8> {
    let mut out = answer::success(members.len() + 64);
    out.open_map();
    out.raw(members);
    if let Some(consumed) = consumed.filter(|_| detail != Detail::None) {
        out.int(member::CAPACITY);
        out.bytes(&answer::capacity(consumed, detail));
    }
    out.end();
    out.into_bytes()
}
