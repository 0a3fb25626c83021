//! The grammars: condition, key condition, projection, update, PartiQL. What parses is bound and applied to an item.

use partita_expr::partiql::Statement;
use partita_expr::{Bindings, Condition, KeyConditions, KeyNames, Kind, ParseCache, Projection, Update};
use partita_model::value::Set;
use partita_model::{AttributeMap, AttributeValue, Item, Number, StoredItem};

fn cache() -> ParseCache {
    ParseCache::new(1, 1 << 20)
}

fn item() -> AttributeMap {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: i64| AttributeValue::N(Number::from(number));
    let mut map = AttributeMap::new();
    map.insert("k", text("v"));
    map.insert("l", AttributeValue::L(vec![text("a"), number(2), AttributeValue::Null]));
    let mut item = AttributeMap::new();
    item.insert("pk", text("x"));
    item.insert("a", number(7));
    item.insert("b", AttributeValue::B(vec![1, 2, 3].into()));
    item.insert("l", AttributeValue::L(vec![number(1), text("two"), AttributeValue::M(map.clone())]));
    item.insert("m", AttributeValue::M(map));
    item.insert("ss", AttributeValue::Ss(Set::new(vec!["a".to_owned(), "c".to_owned()]).unwrap()));
    item.insert("ns", AttributeValue::Ns(Set::new(vec![Number::from(1_i64), Number::from(9_i64)]).unwrap()));
    item
}

/// Placeholders for whatever an expression names: `#a` to `#d` and `:a` to `:f`.
fn bindings() -> Bindings {
    let names = [("#a", "a"), ("#b", "l"), ("#c", "m"), ("#d", "missing")];
    let values = [
        (":a", AttributeValue::N(Number::from(7_i64))),
        (":b", AttributeValue::S("a".to_owned())),
        (":c", AttributeValue::L(vec![AttributeValue::Bool(true)])),
        (":d", AttributeValue::Ss(Set::new(vec!["a".to_owned()]).unwrap())),
        (":e", AttributeValue::Null),
        (":f", AttributeValue::M(AttributeMap::new())),
    ];
    let names = names.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect();
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Bindings::new(Some(names), Some(values)).unwrap()
}

/// A condition decides the same of an item and of its stored form.
pub(super) fn condition(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for kind in [Kind::Condition, Kind::Filter] {
        let Ok(parsed) = cache().condition(kind, text) else { continue };
        let Ok(bound) = Condition::bind(&parsed, &mut bindings()) else { continue };
        let item = item();
        assert_eq!(bound.matches(&item), bound.matches(&StoredItem::from_item(&item)));
        let _verdict = bound.check_scalar_keys(&KeyNames { table: &["pk"], indexes: &["a"] });
        let _verdict = bound.check_filter_keys(&["pk"]);
    }
}

pub(super) fn key_condition(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(parsed) = cache().condition(Kind::KeyCondition, text) else { return };
    let Ok(bound) = KeyConditions::bind(&parsed, &mut bindings()) else { return };
    let _paths = bound.paths();
    let _verdict = bound.check_scalar_keys(&KeyNames { table: &["pk", "a"], indexes: &[] });
}

/// A projection gives the same of an item and of its stored form.
pub(super) fn projection(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(parsed) = cache().projection(text) else { return };
    let Ok(bound) = Projection::bind(&parsed, &mut bindings()) else { return };
    let item = item();
    assert_eq!(bound.apply(&item), bound.apply(&StoredItem::from_item(&item)));
}

/// An update that applies leaves an item that can be stored, and changes nothing but what it says it writes.
pub(super) fn update(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(parsed) = cache().update(text) else { return };
    let Ok(bound) = Update::bind(&parsed, &mut bindings()) else { return };
    let _verdict = bound.check_keys(&["pk"]);
    let item: Item = item();
    let Ok(updated) = bound.apply(&item) else { return };
    let written: Vec<&str> = bound.top_level_written().collect();
    for (name, value) in item.iter() {
        assert!(written.contains(&name) || updated.item.get(name) == Some(value), "{name}");
    }
    assert_eq!(StoredItem::from_item(&updated.item).to_item(), updated.item);
}

pub(super) fn partiql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(statement) = Statement::parse(text) else { return };
    let _about = (statement.kind(), statement.table(), statement.index(), statement.returning(), statement.is_read());
    // What it means is decided with the table: through the whole service.
    super::service::statement(text);
}
