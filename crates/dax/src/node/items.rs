//! GetItem, from the item cache where it may be, and PutItem, UpdateItem and DeleteItem, written through it.

use std::sync::Arc;

use bytes::Bytes;
use partita_api::Operation;
use partita_api::door::Asked;
use partita_db::Table;
use partita_model::StoredItem;
use serde_json::Value;

use super::{Turn, add_label, add_raw, add_text, count, decoded, projection, request_for};
use crate::answer::{self, Detail, member};
use crate::cache::{Held, Writing};
use crate::cbor::{Malformed, Reader, Writer};
use crate::expression::{Expressions, Path};
use crate::fault::Fault;
use crate::key::Key;
use crate::lists::EMPTY;
use crate::request::Options;
use crate::value;

impl Turn<'_> {
    pub(super) async fn get_item(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let name = reader.name()?;
        let key = reader.bytes()?;
        let options = Options::read(reader)?;
        let table = self.table(&name).await?;
        let key = Key::read(&key, &table.key)?;
        let paths = projection(options.projection.as_deref())?;
        let consistent = options.consistent.unwrap_or(false);
        let detail = Detail::of(options.capacity);
        let body = || -> Result<Vec<u8>, Malformed> {
            let mut body = get_request(&name, &table, &key);
            if consistent {
                add_raw(&mut body, "ConsistentRead", "true");
            }
            if detail != Detail::None {
                add_text(&mut body, "ReturnConsumedCapacity", "INDEXES");
            }
            if let Some(paths) = &paths {
                let mut expressions = Expressions::default();
                let text = expressions.attributes(paths)?;
                add_text(&mut body, "ProjectionExpression", &text);
                expressions.write_members(&mut body);
            }
            body.push(b'}');
            Ok(body)
        };
        let place = if consistent { None } else { self.place(&table, &key) };
        let Some(place) = place else {
            let got = self.execute(Operation::GetItem, &body()?).await?;
            let held = Held::passing(got.get("Item").map(answer::item_of));
            let consumed = got.get("ConsumedCapacity").map(|json| answer::capacity(json, detail));
            return self.item_answer(&table, &held, paths.as_deref(), consumed.as_deref()).await;
        };
        if self.is_watched() {
            self.admit(Operation::GetItem, &body()?).await?;
        }
        let now_ms = self.now_ms();
        if let Some(held) = self.node.cache.item(&place, now_ms) {
            count(&self.node.metrics.item_cache_hits, 1);
            return self.item_answer(&table, &held, paths.as_deref(), None).await;
        }
        count(&self.node.metrics.item_cache_misses, 1);
        let fetch = || {
            let mut body = get_request(&name, &table, &key);
            add_text(&mut body, "ReturnConsumedCapacity", "INDEXES");
            body.push(b'}');
            let (service, scope) = (Arc::clone(&self.node.service), self.caller.scope.clone());
            async move {
                let asked = Asked { operation: Operation::GetItem, body: &body };
                let mut got = decoded(&service.execute_admitted(&scope, asked).await?)?;
                let item = got.get("Item").map(answer::item_of);
                Ok((item, got.get_mut("ConsumedCapacity").map(Value::take)))
            }
        };
        let (held, consumed) = self.node.cache.item_once(&place, now_ms, fetch).await?;
        let consumed = consumed.filter(|_| detail != Detail::None).map(|json| answer::capacity(&json, detail));
        self.item_answer(&table, &held, paths.as_deref(), consumed.as_deref()).await
    }

    async fn item_answer(
        self,
        table: &Table,
        held: &Held,
        paths: Option<&[Path]>,
        consumed: Option<&[u8]>,
    ) -> Result<Vec<u8>, Fault> {
        let room = held.item.as_ref().map_or(0, |item| item.as_bytes().len());
        let mut out = answer::success(room + 64);
        out.open_map();
        if let Some(item) = &held.item {
            out.int(member::ITEM);
            match paths {
                Some(paths) => answer::projected(item, paths, &mut out),
                None => {
                    let list = self.list_of(held, item, table).await?;
                    out.bytes(&answer::stream_item(item, &table.key, list));
                }
            }
        }
        if let Some(consumed) = consumed {
            out.int(member::CAPACITY);
            out.bytes(consumed);
        }
        out.end();
        Ok(out.into_bytes())
    }

    /// The id of an item's attribute list, which is kept with the item.
    pub(super) async fn list_of(self, held: &Held, item: &StoredItem, table: &Table) -> Result<u64, Fault> {
        if let Some(list) = held.list.get() {
            return Ok(*list);
        }
        let list = self.node.lists.id_of(item, &table.key).await?;
        Ok(*held.list.get_or_init(|| list))
    }

    pub(super) async fn put_item(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let name = reader.name()?;
        let key = reader.bytes()?;
        let values = reader.bytes()?;
        let options = Options::read(reader)?;
        let table = self.table(&name).await?;
        let key = Key::read(&key, &table.key)?;
        let mut body = request_for(&name);
        add_label(&mut body, "Item");
        self.write_item(&table, &key, &values, &mut body).await?;
        self.write(Operation::PutItem, &table, &key, body, &options).await
    }

    pub(super) async fn update_item(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        self.write_by_key(Operation::UpdateItem, reader).await
    }

    pub(super) async fn delete_item(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        self.write_by_key(Operation::DeleteItem, reader).await
    }

    async fn write_by_key(self, operation: Operation, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let name = reader.name()?;
        let key = reader.bytes()?;
        let options = Options::read(reader)?;
        let table = self.table(&name).await?;
        let key = Key::read(&key, &table.key)?;
        let mut body = request_for(&name);
        add_label(&mut body, "Key");
        key.write_json(&table.key, &mut body);
        self.write(operation, &table, &key, body, &options).await
    }

    /// Writes a whole item as JSON: its key, and values under the names of their list.
    pub(super) async fn write_item(
        self,
        table: &Table,
        key: &Key,
        values: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let mut reader = Reader::new(values);
        let list = u64::try_from(reader.int()?).map_err(|_| Malformed("an attribute list's id is not below zero"))?;
        let names = self.node.lists.names(list).await?;
        debug_assert!(list != EMPTY || names.is_empty());
        body.push(b'{');
        key.write_members(&table.key, body);
        for name in names.iter() {
            // A table that was made anew may have another key than the client knows.
            if table.key.contains(name) {
                return Err(Malformed("The attribute list names an attribute of the key").into());
            }
            body.push(b',');
            value::json_text(name, body);
            body.push(b':');
            value::to_json(&mut reader, body)?;
        }
        body.push(b'}');
        if reader.is_at_end() { Ok(()) } else { Err(Malformed("an item has more values than names").into()) }
    }

    /// Adds what the options say, executes the write, and answers with what it returns.
    async fn write(
        self,
        operation: Operation,
        table: &Table,
        key: &Key,
        mut body: Vec<u8>,
        options: &Options<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let detail = Detail::of(options.capacity);
        let mut expressions = Expressions::default();
        if let Some(update) = options.update.as_deref().filter(|_| operation == Operation::UpdateItem) {
            add_text(&mut body, "UpdateExpression", &expressions.update(update)?);
        }
        if let Some(condition) = options.condition.as_deref() {
            add_text(&mut body, "ConditionExpression", &expressions.condition(condition)?);
        }
        expressions.write_members(&mut body);
        if let Some(returns) = options.returns {
            add_text(&mut body, "ReturnValues", returns);
        }
        if detail != Detail::None {
            add_text(&mut body, "ReturnConsumedCapacity", "INDEXES");
        }
        if let Some(metrics) = options.metrics {
            add_text(&mut body, "ReturnItemCollectionMetrics", metrics);
        }
        body.push(b'}');
        let writing = self.place(table, key).map(|place| self.node.cache.write(&place));
        let written = self.execute(operation, &body).await?;
        if let Some(writing) = writing {
            writing.done(self.now_ms());
        }
        let mut out = answer::success(64);
        out.open_map();
        if let Some(attributes) = written.get("Attributes") {
            out.int(member::ATTRIBUTES);
            let item = answer::item_of(attributes);
            let is_part = options.returns.is_some_and(|returns| returns.starts_with("UPDATED"));
            out.bytes(&if is_part { self.part(&item, table).await? } else { self.whole(&item, table).await? });
        }
        if let Some(consumed) = written.get("ConsumedCapacity") {
            out.int(member::CAPACITY);
            out.bytes(&answer::capacity(consumed, detail));
        }
        if let Some(metrics) = written.get("ItemCollectionMetrics") {
            out.int(member::METRICS);
            out.bytes(&answer::collection(metrics));
        }
        out.end();
        Ok(out.into_bytes())
    }

    /// An item without its key, under its list.
    pub(super) async fn whole(self, item: &StoredItem, table: &Table) -> Result<Vec<u8>, Fault> {
        let list = self.node.lists.id_of(item, &table.key).await?;
        Ok(answer::stream_item(item, &table.key, list))
    }

    /// The attributes that an update has changed: a list's id, and values by their places in it.
    async fn part(self, item: &StoredItem, table: &Table) -> Result<Vec<u8>, Fault> {
        let list = self.node.lists.id_of(item, &table.key).await?;
        let mut out = Writer::with_capacity(item.as_bytes().len() + 32);
        out.uint(list);
        out.open_map();
        let entries = item.entries();
        let changed = entries.iter().filter(|(name, _)| !table.key.contains(name.as_str()));
        for (place, (_, changed)) in (0..).zip(changed) {
            out.int(place);
            value::to_cbor(&changed, &mut out);
        }
        out.end();
        Ok(out.into_bytes())
    }

    /// Says that these items are being written.
    pub(super) fn writing(self, places: impl IntoIterator<Item = Bytes>) -> Vec<Writing> {
        places.into_iter().map(|place| self.node.cache.write(&place)).collect()
    }
}

fn get_request(name: &str, table: &Table, key: &Key) -> Vec<u8> {
    let mut body = request_for(name);
    add_label(&mut body, "Key");
    key.write_json(&table.key, &mut body);
    body
}
