//! BatchGetItem, each item from the item cache where it may be, and BatchWriteItem, written through it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use partita_api::Operation;
use partita_api::door::Asked;
use partita_db::Table;
use partita_model::StoredItem;
use serde_json::{Map, Value};

use super::{Turn, add_raw, add_text, count, decoded, projection};
use crate::answer::{self, Detail};
use crate::cache::{Held, Reading};
use crate::cbor::{Malformed, Reader, Writer};
use crate::expression::{Expressions, Path};
use crate::fault::Fault;
use crate::key::Key;
use crate::request::{self, Options};
use crate::value::json_text;

/// The most tables of one batch; each has a key at least, of which there may be 100.
const MAX_TABLES: usize = 100;

/// The most keys of one BatchGetItem.
const MAX_KEYS: usize = 100;

/// The gets of one table.
struct Gets<'a> {
    name: Cow<'a, str>,
    table: Arc<Table>,
    consistent: bool,
    paths: Option<Vec<Path>>,
    keys: Vec<Key>,
    /// What each key has brought, once it is known.
    found: Vec<Found>,
}

/// What is known of one item of a batch.
enum Found {
    /// It has to be read; where it lies, if that is known, and the reading that will keep it.
    Nothing(Option<(Bytes, Reading)>),
    Item(Arc<Held>),
    /// It did not fit the answer.
    Unprocessed,
}

impl Turn<'_> {
    pub(super) async fn batch_get(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let mut count_of_tables = reader.map()?;
        let mut tables = Vec::new();
        while reader.more(&mut count_of_tables)? {
            if tables.len() >= MAX_TABLES {
                return Err(Malformed("a batch has too many tables").into());
            }
            tables.push(self.gets(reader).await?);
        }
        let options = Options::read(reader)?;
        let detail = Detail::of(options.capacity);
        if self.is_watched() {
            self.admit(Operation::BatchGetItem, &whole_request(&tables)?).await?;
        } else if has_faults(&tables) {
            // DynamoDB has words for them.
            self.execute(Operation::BatchGetItem, &whole_request(&tables)?).await?;
        }
        let now_ms = self.now_ms();
        self.look_up(&mut tables, now_ms);
        let mut consumed = Value::Null;
        if let Some(body) = what_is_missing(&tables) {
            let asked = Asked { operation: Operation::BatchGetItem, body: &body };
            let output = self.node.service.execute_admitted(&self.caller.scope, asked).await?;
            let mut output = decoded(&output)?;
            consumed = output.get_mut("ConsumedCapacity").map(Value::take).unwrap_or_default();
            for gets in &mut tables {
                self.take(gets, &output, now_ms);
            }
        }
        self.batch_answer(&tables, &consumed, detail).await
    }

    async fn gets<'a>(self, reader: &mut Reader<'a>) -> Result<Gets<'a>, Fault> {
        let name = reader.name()?;
        reader.array_of(3)?;
        let consistent = reader.flag()?;
        let encoded = request::optional_bytes(reader)?;
        let keys = request::list(reader, Reader::bytes)?;
        let table = self.table(&name).await?;
        let keys = keys.iter().map(|key| Key::read(key, &table.key)).collect::<Result<Vec<_>, _>>()?;
        Ok(Gets { name, consistent, paths: projection(encoded.as_deref())?, found: Vec::new(), keys, table })
    }

    /// Finds what is kept, and begins to read what is not.
    fn look_up(self, tables: &mut [Gets<'_>], now_ms: u64) {
        let (mut hits, mut misses) = (0, 0);
        for gets in tables {
            gets.found = gets
                .keys
                .iter()
                .map(|key| {
                    let place = if gets.consistent { None } else { self.place(&gets.table, key) };
                    let Some(place) = place else { return Found::Nothing(None) };
                    match self.node.cache.item(&place, now_ms) {
                        Some(held) => {
                            hits += 1;
                            Found::Item(held)
                        }
                        None => {
                            misses += 1;
                            let reading = self.node.cache.read(&place);
                            Found::Nothing(Some((place, reading)))
                        }
                    }
                })
                .collect();
        }
        count(&self.node.metrics.item_cache_hits, hits);
        count(&self.node.metrics.item_cache_misses, misses);
    }

    /// Takes what was read over into what is known, and keeps it.
    fn take(self, gets: &mut Gets<'_>, output: &Value, now_ms: u64) {
        let of_table = |member: &str| output.get(member).and_then(|tables| tables.get(&*gets.name));
        let responses = of_table("Responses").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut items: Vec<(Vec<u8>, StoredItem)> = responses
            .iter()
            .map(|json| {
                let item = answer::item_of(json);
                (answer::key_of(&item, &gets.table.key), item)
            })
            .collect();
        let unprocessed = of_table("UnprocessedKeys").map_or(&[][..], |keys| answer::elements(keys, "Keys"));
        let unprocessed: Vec<Vec<u8>> =
            unprocessed.iter().map(|key| answer::key_of(&answer::item_of(key), &gets.table.key)).collect();
        for (key, found) in gets.keys.iter().zip(&mut gets.found) {
            let Found::Nothing(reading) = found else { continue };
            let Some(attributes) = key.attributes(&gets.table.key) else { continue };
            let key = answer::key_of(&StoredItem::from_item(&attributes), &gets.table.key);
            if unprocessed.contains(&key) {
                *found = Found::Unprocessed;
                continue;
            }
            let item = items.iter().position(|(known, _)| *known == key).map(|at| items.swap_remove(at).1);
            let held = match reading.take() {
                Some((_, reading)) => reading.keep_alone(item, now_ms),
                None => Held::passing(item),
            };
            *found = Found::Item(held);
        }
    }

    async fn batch_answer(self, tables: &[Gets<'_>], consumed: &Value, detail: Detail) -> Result<Vec<u8>, Fault> {
        let mut out = answer::success(1024);
        out.array(2);
        out.map(tables.len());
        for gets in tables {
            out.text(&gets.name);
            let there = gets.found.iter().filter_map(|found| match found {
                Found::Item(held) => held.item.as_ref().map(|item| (held, item)),
                _ => None,
            });
            let each = if gets.paths.is_some() { 1 } else { 2 };
            out.array(each * there.clone().count());
            for (held, item) in there {
                match &gets.paths {
                    Some(paths) => answer::projected(item, paths, &mut out),
                    None => {
                        let list = self.list_of(held, item, &gets.table).await?;
                        out.bytes(&answer::key_of(item, &gets.table.key));
                        out.bytes(&answer::stream_item(item, &gets.table.key, list));
                    }
                }
            }
        }
        let unprocessed = |gets: &Gets<'_>| {
            let left = gets.keys.iter().zip(&gets.found).filter(|(_, found)| matches!(found, Found::Unprocessed));
            let keys: Vec<StoredItem> = left
                .filter_map(|(key, _)| key.attributes(&gets.table.key))
                .map(|attributes| StoredItem::from_item(&attributes))
                .collect();
            keys
        };
        let left: Vec<_> =
            tables.iter().map(|gets| (gets, unprocessed(gets))).filter(|(_, keys)| !keys.is_empty()).collect();
        out.map(left.len());
        for (gets, keys) in left {
            out.text(&gets.name);
            out.array(keys.len());
            keys.iter().for_each(|key| out.bytes(&answer::key_of(key, &gets.table.key)));
        }
        // Behind the array, by a mistake that clients know.
        write_capacities(consumed, detail, &mut out);
        Ok(out.into_bytes())
    }

    pub(super) async fn batch_write(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let mut count_of_tables = reader.map()?;
        let mut tables: Vec<(Cow<'_, str>, Arc<Table>)> = Vec::new();
        let mut places = Vec::new();
        let mut body = br#"{"RequestItems":{"#.to_vec();
        while reader.more(&mut count_of_tables)? {
            if tables.len() >= MAX_TABLES {
                return Err(Malformed("a batch has too many tables").into());
            }
            let name = reader.name()?;
            let table = self.table(&name).await?;
            if !tables.is_empty() {
                body.push(b',');
            }
            json_text(&name, &mut body);
            body.extend_from_slice(b":[");
            let members = request::list(reader, request::optional_bytes)?;
            for (at, pair) in members.chunks(2).enumerate() {
                let [Some(key), values] = pair else { return Err(Malformed("a write has a key and a value").into()) };
                let key = Key::read(key, &table.key)?;
                places.extend(self.place(&table, &key));
                if at > 0 {
                    body.push(b',');
                }
                match values {
                    Some(values) => {
                        body.extend_from_slice(br#"{"PutRequest":{"Item":"#);
                        self.write_item(&table, &key, values, &mut body).await?;
                    }
                    None => {
                        body.extend_from_slice(br#"{"DeleteRequest":{"Key":"#);
                        key.write_json(&table.key, &mut body);
                    }
                }
                body.extend_from_slice(b"}}");
            }
            body.push(b']');
            tables.push((name, table));
        }
        body.push(b'}');
        let options = Options::read(reader)?;
        let detail = Detail::of(options.capacity);
        if detail != Detail::None {
            add_text(&mut body, "ReturnConsumedCapacity", "INDEXES");
        }
        if let Some(metrics) = options.metrics {
            add_text(&mut body, "ReturnItemCollectionMetrics", metrics);
        }
        body.push(b'}');
        let writings = self.writing(places);
        let output = self.execute(Operation::BatchWriteItem, &body).await?;
        let now_ms = self.now_ms();
        writings.into_iter().for_each(|writing| writing.done(now_ms));
        let mut out = answer::success(256);
        self.unprocessed_writes(&tables, &output, &mut out).await?;
        write_capacities(output.get("ConsumedCapacity").unwrap_or(&Value::Null), detail, &mut out);
        write_collections(&output, &mut out);
        Ok(out.into_bytes())
    }

    async fn unprocessed_writes(
        self,
        tables: &[(Cow<'_, str>, Arc<Table>)],
        output: &Value,
        out: &mut Writer,
    ) -> Result<(), Fault> {
        let unprocessed = output.get("UnprocessedItems");
        let left = |name: &str| unprocessed.and_then(|tables| tables.get(name)).and_then(Value::as_array);
        let tables: Vec<_> = tables.iter().filter_map(|(name, table)| Some((name, table, left(name)?))).collect();
        out.map(tables.len());
        for (name, table, writes) in tables {
            out.text(name);
            out.array(2 * writes.len());
            for write in writes {
                let put = write.get("PutRequest").and_then(|put| put.get("Item"));
                let key = put.or_else(|| write.get("DeleteRequest").and_then(|delete| delete.get("Key")));
                let item = answer::item_of(key.unwrap_or(&Value::Null));
                out.bytes(&answer::key_of(&item, &table.key));
                match put {
                    Some(_) => out.bytes(&self.whole(&item, table).await?),
                    None => out.null(),
                }
            }
        }
        Ok(())
    }
}

/// Whether a batch is one that DynamoDB refuses as such.
fn has_faults(tables: &[Gets<'_>]) -> bool {
    let keys: usize = tables.iter().map(|gets| gets.keys.len()).sum();
    let twice =
        |gets: &Gets<'_>| gets.keys.iter().enumerate().any(|(at, key)| gets.keys.iter().take(at).any(|one| one == key));
    keys == 0 || keys > MAX_KEYS || tables.iter().any(|gets| gets.keys.is_empty() || twice(gets))
}

/// The whole batch as it was asked for, to be judged.
fn whole_request(tables: &[Gets<'_>]) -> Result<Vec<u8>, Fault> {
    let mut body = br#"{"RequestItems":"#.to_vec();
    let mut separator = b'{';
    for gets in tables {
        body.push(separator);
        separator = b',';
        let mut keys = gets.keys.iter();
        begin_table(&mut body, gets, &mut keys);
        if let Some(paths) = &gets.paths {
            let mut expressions = Expressions::default();
            add_text(&mut body, "ProjectionExpression", &expressions.attributes(paths)?);
            expressions.write_members(&mut body);
        }
        body.push(b'}');
    }
    if separator == b'{' {
        body.push(b'{');
    }
    body.extend_from_slice(b"}}");
    Ok(body)
}

/// A request for the items that are not known yet, whole; nothing if all are known.
fn what_is_missing(tables: &[Gets<'_>]) -> Option<Vec<u8>> {
    let mut body = br#"{"RequestItems":"#.to_vec();
    let mut separator = b'{';
    for gets in tables {
        let missing = |(_, found): &(&Key, &Found)| matches!(found, Found::Nothing(_));
        let mut keys = gets.keys.iter().zip(&gets.found).filter(missing).map(|(key, _)| key).peekable();
        if keys.peek().is_none() {
            continue;
        }
        body.push(separator);
        separator = b',';
        begin_table(&mut body, gets, &mut keys);
        body.push(b'}');
    }
    if separator == b'{' {
        return None;
    }
    body.push(b'}');
    add_text(&mut body, "ReturnConsumedCapacity", "INDEXES");
    body.push(b'}');
    Some(body)
}

fn begin_table(body: &mut Vec<u8>, gets: &Gets<'_>, keys: &mut dyn Iterator<Item = &Key>) {
    json_text(&gets.name, body);
    body.extend_from_slice(br#":{"Keys":["#);
    for (at, key) in keys.enumerate() {
        if at > 0 {
            body.push(b',');
        }
        key.write_json(&gets.table.key, body);
    }
    body.push(b']');
    if gets.consistent {
        add_raw(body, "ConsistentRead", "true");
    }
}

/// A list of what was consumed, table by table.
fn write_capacities(consumed: &Value, detail: Detail, out: &mut Writer) {
    let consumed = consumed.as_array().filter(|_| detail != Detail::None).map_or(&[][..], Vec::as_slice);
    out.array(consumed.len());
    consumed.iter().for_each(|consumed| out.bytes(&answer::capacity(consumed, detail)));
}

/// A map of the sizes of item collections, by tables.
pub(super) fn write_collections(output: &Value, out: &mut Writer) {
    let none = Map::new();
    let tables = output.get("ItemCollectionMetrics").and_then(Value::as_object).unwrap_or(&none);
    out.map(tables.len());
    for (name, collections) in tables {
        out.text(name);
        let collections = collections.as_array().map_or(&[][..], Vec::as_slice);
        out.array(collections.len());
        collections.iter().for_each(|collection| out.bytes(&answer::collection(collection)));
    }
}
