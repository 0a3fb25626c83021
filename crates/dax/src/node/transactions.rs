//! TransactGetItems, which is passed on as all strongly consistent reads are, and TransactWriteItems, written through the
//! item cache.

use partita_api::Operation;
use partita_model::{ErrorCode, Refusal};
use serde_json::Value;

use super::batches::write_collections;
use super::{Turn, add_label, add_text, projection};
use crate::answer::{self, Detail};
use crate::cbor::{Malformed, Reader, Writer};
use crate::expression::Expressions;
use crate::fault::Fault;
use crate::key::Key;
use crate::request::{self, Options};
use crate::value::json_text;

/// The kinds of writes, by DAX's numbers.
mod kind {
    pub const PUT: i64 = 2;
    pub const DELETE: i64 = 7;
    pub const UPDATE: i64 = 9;
    pub const CHECK: i64 = 12;
}

/// `ReturnValuesOnConditionCheckFailure` of `ALL_OLD`, by DAX's number.
const ALL_OLD: i64 = 2;
/// The most members of a transaction; DynamoDB's words for more come from there.
const MAX_MEMBERS: usize = 200;

impl Turn<'_> {
    pub(super) async fn transact_get(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let names = request::list(reader, Reader::name)?;
        let keys = request::list(reader, Reader::bytes)?;
        let projections = request::optional_list(reader)?;
        let options = Options::read(reader)?;
        check_members(names.len(), &[keys.len()], &[projections.len()])?;
        let detail = Detail::of(options.capacity);
        let mut body = br#"{"TransactItems":["#.to_vec();
        let mut members = Vec::with_capacity(names.len());
        for (at, (name, key)) in names.iter().zip(&keys).enumerate() {
            let table = self.table(name).await?;
            let key = Key::read(key, &table.key)?;
            let paths = projection(projections.get(at).and_then(Option::as_deref))?;
            if at > 0 {
                body.push(b',');
            }
            body.extend_from_slice(br#"{"Get":{"TableName":"#);
            json_text(name, &mut body);
            add_label(&mut body, "Key");
            key.write_json(&table.key, &mut body);
            if let Some(paths) = &paths {
                let mut expressions = Expressions::default();
                add_text(&mut body, "ProjectionExpression", &expressions.attributes(paths)?);
                expressions.write_members(&mut body);
            }
            body.extend_from_slice(b"}}");
            members.push((table, paths));
        }
        body.push(b']');
        end(&mut body, detail, None, None);
        let output = self.execute(Operation::TransactGetItems, &body).await?;
        let mut out = answer::success(1024);
        out.array(2);
        let responses = answer::elements(&output, "Responses");
        out.array(responses.len());
        for (response, (table, paths)) in responses.iter().zip(&members) {
            let item = response.get("Item").map(answer::item_of);
            match (item, paths) {
                (None, _) => out.null(),
                (Some(item), Some(paths)) => answer::projected(&item, paths, &mut out),
                (Some(item), None) => out.bytes(&self.whole(&item, table).await?),
            }
        }
        write_capacities(&output, detail, &mut out);
        Ok(out.into_bytes())
    }

    pub(super) async fn transact_write(self, reader: &mut Reader<'_>) -> Result<Vec<u8>, Fault> {
        let kinds = request::list(reader, Reader::int)?;
        let names = request::list(reader, Reader::name)?;
        let keys = request::list(reader, Reader::bytes)?;
        let values = request::optional_list(reader)?;
        // ReturnValues, which transactions do not have.
        reader.skip()?;
        let on_failure = if reader.null()? { Vec::new() } else { request::list(reader, Reader::int)? };
        let conditions = request::optional_list(reader)?;
        let updates = request::optional_list(reader)?;
        let options = Options::read(reader)?;
        let optional = [values.len(), on_failure.len(), conditions.len(), updates.len()];
        check_members(kinds.len(), &[names.len(), keys.len()], &optional)?;
        let detail = Detail::of(options.capacity);
        let mut body = br#"{"TransactItems":["#.to_vec();
        let mut places = Vec::with_capacity(kinds.len());
        for (at, ((kind, name), key)) in kinds.iter().zip(&names).zip(&keys).enumerate() {
            let table = self.table(name).await?;
            let key = Key::read(key, &table.key)?;
            places.extend(self.place(&table, &key));
            body.extend_from_slice(if at > 0 { b",{" } else { b"{" });
            json_text(member_name(*kind)?, &mut body);
            body.extend_from_slice(br#":{"TableName":"#);
            json_text(name, &mut body);
            if *kind == kind::PUT {
                let values = values.get(at).and_then(Option::as_deref);
                add_label(&mut body, "Item");
                self.write_item(&table, &key, values.ok_or(Malformed("a put has values"))?, &mut body).await?;
            } else {
                add_label(&mut body, "Key");
                key.write_json(&table.key, &mut body);
            }
            let mut expressions = Expressions::default();
            if let Some(update) = updates.get(at).and_then(Option::as_deref).filter(|_| *kind == kind::UPDATE) {
                add_text(&mut body, "UpdateExpression", &expressions.update(update)?);
            }
            if let Some(condition) = conditions.get(at).and_then(Option::as_deref) {
                add_text(&mut body, "ConditionExpression", &expressions.condition(condition)?);
            }
            expressions.write_members(&mut body);
            if on_failure.get(at) == Some(&ALL_OLD) {
                add_text(&mut body, "ReturnValuesOnConditionCheckFailure", "ALL_OLD");
            }
            body.extend_from_slice(b"}}");
        }
        body.push(b']');
        end(&mut body, detail, options.metrics, options.token.as_deref());
        let writings = self.writing(places);
        let output = self.execute(Operation::TransactWriteItems, &body).await?;
        let now_ms = self.now_ms();
        writings.into_iter().for_each(|writing| writing.done(now_ms));
        let mut out = answer::success(64);
        out.array(3);
        out.null();
        write_capacities(&output, detail, &mut out);
        write_collections(&output, &mut out);
        Ok(out.into_bytes())
    }
}

fn member_name(kind: i64) -> Result<&'static str, Malformed> {
    match kind {
        kind::PUT => Ok("Put"),
        kind::DELETE => Ok("Delete"),
        kind::UPDATE => Ok("Update"),
        kind::CHECK => Ok("ConditionCheck"),
        _ => Err(Malformed("a transaction has no such member")),
    }
}

/// Refuses lists of different lengths. Those that may be left out may be empty.
fn check_members(members: usize, lists: &[usize], optional: &[usize]) -> Result<(), Fault> {
    let same = lists.iter().all(|length| *length == members)
        && optional.iter().all(|length| *length == members || *length == 0);
    if !same {
        return Err(Malformed("the lists of a transaction have different lengths").into());
    }
    if members > MAX_MEMBERS {
        let refusal = Refusal::new(ErrorCode::ValidationException, "Member must have length less than or equal to 100");
        return Err(partita_api::Failure::from(refusal).into());
    }
    Ok(())
}

fn end(body: &mut Vec<u8>, detail: Detail, metrics: Option<&str>, token: Option<&str>) {
    match detail {
        Detail::None => {}
        Detail::Total => add_text(body, "ReturnConsumedCapacity", "TOTAL"),
        Detail::Indexes => add_text(body, "ReturnConsumedCapacity", "INDEXES"),
    }
    if let Some(metrics) = metrics {
        add_text(body, "ReturnItemCollectionMetrics", metrics);
    }
    if let Some(token) = token {
        add_text(body, "ClientRequestToken", token);
    }
    body.push(b'}');
}

/// A list of what was consumed, table by table.
fn write_capacities(output: &Value, detail: Detail, out: &mut Writer) {
    let consumed = answer::elements(output, "ConsumedCapacity");
    let consumed = if detail == Detail::None { &[] } else { consumed };
    out.array(consumed.len());
    consumed.iter().for_each(|consumed| answer::extended_capacity(consumed, out));
}
