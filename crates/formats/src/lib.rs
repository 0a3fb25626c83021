//! The formats in which items leave and enter a database: DynamoDB's JSON and Amazon Ion's text, one item a line.
//!
//! Values come in as `partita-model` has them and go out as bytes appended to a buffer, and the other way round. Nothing
//! here reads or writes files, and nothing needs memory beyond one item. `json` and `ion` write; `read` reads both, and CSV.
//!
//! Source of the forms: "DynamoDB table export output format", DynamoDB Developer Guide.

pub mod ion;
pub mod json;
pub mod read;
mod scan;

pub use scan::first_special;

use partita_model::StoredItem;

/// What became of an item between two moments, as incremental exports tell it.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The item's key attributes.
    pub keys: &'a StoredItem,
    /// When the item was last written in that time, in microseconds since the epoch.
    pub written_us: u64,
    /// What the item was at the first moment, if it was there and is told.
    pub old: Option<&'a StoredItem>,
    /// What it was at the second, if it was there.
    pub new: Option<&'a StoredItem>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use partita_model::value::Set;
    use partita_model::{AttributeMap, AttributeValue, Number};

    use super::*;

    fn number(text: &str) -> AttributeValue {
        AttributeValue::N(Number::parse(text).unwrap())
    }

    fn stored(attributes: Vec<(&str, AttributeValue)>) -> StoredItem {
        let sorted: BTreeMap<&str, AttributeValue> = attributes.into_iter().collect();
        let mut item = AttributeMap::new();
        for (name, value) in sorted {
            item.insert(name, value);
        }
        StoredItem::from_item(&item)
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The item of the Developer Guide's examples, with a value of each further type.
    fn example() -> StoredItem {
        let string = |text: &str| AttributeValue::S(text.to_owned());
        let mut inner = AttributeMap::new();
        inner.insert("a b", AttributeValue::Null);
        stored(vec![
            ("Authors", AttributeValue::Ss(Set::new(vec!["Author1".into(), "Author2".into()]).unwrap())),
            ("Dimensions", string("8.5 x \"11.0\"\n")),
            ("Id", number("103")),
            ("InPublication", AttributeValue::Bool(false)),
            ("PageCount", number("600")),
            ("Price", number("2000")),
            ("Scan", AttributeValue::B(b"\x00\xff"[..].into())),
            ("Sizes", AttributeValue::Ns(Set::new(vec![Number::parse("-1.5").unwrap(), Number::ZERO]).unwrap())),
            ("Tags", AttributeValue::L(vec![AttributeValue::M(inner), AttributeValue::L(vec![])])),
        ])
    }

    #[test]
    fn items_are_lines_of_dynamodb_json() {
        let line = r#"{"Item":{"Authors":{"SS":["Author1","Author2"]},"Dimensions":{"S":"8.5 x \"11.0\"\n"},"Id":{"N":"103"},"InPublication":{"BOOL":false},"PageCount":{"N":"600"},"Price":{"N":"2000"},"Scan":{"B":"AP8="},"Sizes":{"NS":["-1.5","0"]},"Tags":{"L":[{"M":{"a b":{"NULL":true}}},{"L":[]}]}}}"#;
        assert_eq!(text(|out| json::item_line(&example(), out)), format!("{line}\n"));
    }

    #[test]
    fn items_are_lines_of_ion() {
        let line = r#"$ion_1_0 {Item:{Authors:$dynamodb_SS::["Author1","Author2"],Dimensions:"8.5 x \"11.0\"\n",Id:103.,InPublication:false,PageCount:6d2,Price:2d3,Scan:{{AP8=}},Sizes:$dynamodb_NS::[-1.5,0.],Tags:[{'a b':null},[]]}}"#;
        assert_eq!(text(|out| ion::item_line(&example(), out)), format!("{line}\n"));
    }

    #[test]
    fn changes_name_their_keys_and_what_was_and_is() {
        let keys = stored(vec![("k", number("1"))]);
        let old = stored(vec![("a", number("2")), ("k", number("1"))]);
        let new = stored(vec![("k", number("1"))]);
        let both = Change { keys: &keys, written_us: 1_680_109_764_000_000, old: Some(&old), new: Some(&new) };
        assert_eq!(
            text(|out| json::change_line(&both, out)),
            concat!(
                r#"{"Metadata":{"WriteTimestampMicros":{"N":"1680109764000000"}},"Keys":{"k":{"N":"1"}},"#,
                r#""OldImage":{"a":{"N":"2"},"k":{"N":"1"}},"NewImage":{"k":{"N":"1"}}}"#,
                "\n"
            )
        );
        assert_eq!(
            text(|out| ion::change_line(&both, out)),
            "$ion_1_0 {Record:{Keys:{k:1.},Metadata:{WriteTimestampMicros:1680109764000000.},OldImage:{a:2.,k:1.},\
             NewImage:{k:1.}}}\n"
        );
        let gone = Change { old: None, new: None, ..both };
        assert_eq!(
            text(|out| json::change_line(&gone, out)),
            "{\"Metadata\":{\"WriteTimestampMicros\":{\"N\":\"1680109764000000\"}},\"Keys\":{\"k\":{\"N\":\"1\"}}}\n"
        );
        assert_eq!(
            text(|out| ion::change_line(&gone, out)),
            "$ion_1_0 {Record:{Keys:{k:1.},Metadata:{WriteTimestampMicros:1680109764000000.}}}\n"
        );
    }
}
