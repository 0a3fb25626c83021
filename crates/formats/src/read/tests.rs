//! Tests of reading: what each form means, what is refused, and that nothing depends on how the bytes come.

use partita_model::value::Set;
use partita_model::{AttributeMap, AttributeValue, Number};
use proptest::prelude::*;

use super::*;

/// The records of a file whose bytes come so many at a time, with the error that ended it.
fn split(form: Form, file: &[u8], at_once: usize) -> (Vec<String>, Option<&'static str>) {
    let (mut splitter, mut begin, mut end) = (Splitter::new(form), 0, 0);
    let mut records = Vec::new();
    loop {
        match splitter.next(&file[begin..end], end == file.len()) {
            Step::Record { start, end: stop, next } => {
                records.push(String::from_utf8_lossy(&file[begin + start..begin + stop]).into_owned());
                begin += next;
            }
            Step::Nothing { next } => begin += next,
            Step::More => {
                assert!(end < file.len(), "asked for more than there is");
                end = (end + at_once).min(file.len());
            }
            Step::End => return (records, None),
            Step::Broken(why) => return (records, Some(why)),
        }
    }
}

fn all(form: Form, file: &str) -> (Vec<String>, Option<&'static str>) {
    let whole = split(form, file.as_bytes(), usize::MAX - 1 - file.len());
    for at_once in [1, 2, 3, 7] {
        assert_eq!(split(form, file.as_bytes(), at_once), whole, "{at_once} bytes at once of {file:?}");
    }
    whole
}

fn number(text: &str) -> AttributeValue {
    AttributeValue::N(Number::parse(text).unwrap())
}

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn item(pairs: &[(&str, AttributeValue)]) -> AttributeMap {
    AttributeMap::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()).unwrap()
}

fn read(form: Form, text: &str) -> AttributeMap {
    record(form, text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).expect(text).item
}

fn fault(form: Form, text: &str) -> String {
    match record(form, text.as_bytes()) {
        Ok(read) => format!("nothing: {read:?}"),
        Err(Malformed(why)) => why,
    }
}

#[test]
fn lines_end_at_newlines_and_empty_ones_are_none() {
    let (lines, broken) = all(Form::DynamoDbJson, "a\r\n\n  \nb\nc");
    assert_eq!((lines, broken), (vec!["a\r".into(), "b".into(), "c".into()], None));
    assert_eq!(all(Form::DynamoDbJson, "\n\n"), (vec![], None));
    assert_eq!(all(Form::DynamoDbJson, ""), (vec![], None));
}

#[test]
fn rows_end_at_newlines_outside_quotes() {
    let (rows, broken) = all(Form::Csv(b','), "a,\"b\nc\"\"\n\",d\r\n\r\n\n\"x\"\ny\"z\n\"\"");
    assert_eq!(rows, ["a,\"b\nc\"\"\n\",d\r", "\"x\"", "y\"z", "\"\""]);
    assert_eq!(broken, None);
    let (rows, broken) = all(Form::Csv(b','), "a\n1,\"b\n2,c\n");
    assert_eq!((rows, broken), (vec!["a".into()], Some("The file ends inside a quoted value")));
}

#[test]
fn structs_of_ion_end_at_their_own_bracket() {
    let file = "$ion_1_0 {Item:{a:\"}\\\"\",b:'''}''' /* } */ '''\\'''}''','}':[1, // ]\n2]}}\n{Item:{b:{{ Ly8v }}}}{a:{{\"}}\"}}} // end\n";
    let (records, broken) = all(Form::Ion, file);
    assert_eq!(records.len(), 4, "{records:?}");
    assert_eq!(records[1], "\n{Item:{b:{{ Ly8v }}}}");
    assert_eq!(records[2], "{a:{{\"}}\"}}}");
    assert_eq!(record(Form::Ion, records[3].as_bytes()), Ok(None));
    assert_eq!(broken, None);
    for open in ["{a:[1,2}", "{a:\"b}", "{a:'''b''}", "{a:'b}", "{a:{{b}", "{a:1 /* }", "{a:\"\\", "{a:'''\\"] {
        let (records, broken) = all(Form::Ion, open);
        assert!(broken.is_some() || record(Form::Ion, records[0].as_bytes()).is_err(), "{open}: {records:?}");
    }
}

#[test]
fn items_of_dynamodb_json_have_all_types() {
    let line = r#"{"Metadata":{"x":[1,{"y":null}]},"Item":{"s":{"S":"a\n\u00e9"},"n":{"N":"-1.50e3"},"b":{"B":"YQ=="},"t":{"BOOL":true},"z":{"NULL":true},"m":{"M":{"x":{"L":[]}}},"l":{"L":[{"S":"a"},{"N":"1"}]},"ss":{"SS":["b","a",""]},"ns":{"NS":["2","1"]},"bs":{"BS":["Yg==",""]}}}"#;
    let expected = item(&[
        ("s", string("a\né")),
        ("n", number("-1500")),
        ("b", AttributeValue::B(b"a"[..].into())),
        ("t", AttributeValue::Bool(true)),
        ("z", AttributeValue::Null),
        ("m", AttributeValue::M(item(&[("x", AttributeValue::L(vec![]))]))),
        ("l", AttributeValue::L(vec![string("a"), number("1")])),
        ("ss", AttributeValue::Ss(Set::new(vec!["a".into(), "b".into(), String::new()]).unwrap())),
        ("ns", AttributeValue::Ns(Set::new(vec![Number::parse("1").unwrap(), Number::parse("2").unwrap()]).unwrap())),
        ("bs", AttributeValue::Bs(Set::new(vec![b"b"[..].into(), b""[..].into()]).unwrap())),
    ]);
    assert_eq!(read(Form::DynamoDbJson, line), expected);
}

#[test]
fn bad_json_says_what_is_wrong() {
    for (line, why) in [
        ("{", "The record is not JSON: EOF while parsing an object"),
        ("[]", "invalid type: sequence, expected a record with an Item"),
        ("{} x", "The record is not JSON: trailing characters"),
        ("{}", "The record has no Item"),
        (r#"{"Item":{"a":{"S":3}}}"#, "invalid type: integer `3`, expected a string"),
        (r#"{"Item":{"a":{}}}"#, "Supplied AttributeValue is empty"),
        (r#"{"Item":{"a":{"S":"b","N":"1"}}}"#, "Supplied AttributeValue has more than one datatypes set"),
        (r#"{"Item":{"a":{"N":"x"}}}"#, "The parameter cannot be converted to a numeric value: x"),
        (r#"{"Item":{"a":{"B":"?"}}}"#, "A binary value is not Base64"),
        (r#"{"Item":{"a":{"NULL":false}}}"#, "One or more parameter values were invalid: Null attribute value types"),
        (r#"{"Item":{"a":{"SS":[]}}}"#, "One or more parameter values were invalid: An string set  may not be empty"),
        (r#"{"Item":{"a":{"NS":["1","1.0"]}}}"#, "One or more parameter values were invalid: Input collection"),
        (r#"{"Item":{"":{"S":"x"}}}"#, "One or more parameter values were invalid: Empty attribute name"),
        (r#"{"Item":{"a":{"S":"x"},"a":{"S":"x"}}}"#, "The attribute a occurs twice"),
        (r#"{"Item":{},"ExpressionAttributeNames":{}}"#, "ExpressionAttributeNames can only be specified"),
    ] {
        let found = fault(Form::DynamoDbJson, line);
        assert!(found.starts_with(why), "{line}: {found}");
    }
    assert_eq!(
        record(Form::DynamoDbJson, b"{\"Item\":{\"a\":{\"S\":\"\xff\"}}}").unwrap_err().0,
        "The record is not UTF-8"
    );
}

#[test]
fn nesting_is_bounded_in_every_form() {
    let json =
        |depth: usize| format!(r#"{{"Item":{{"a":{}{{"S":"x"}}{}}}}}"#, r#"{"L":["#.repeat(depth), "]}".repeat(depth));
    let ion = |depth: usize| format!("{{Item:{{a:{}1{}}}}}", "[".repeat(depth), "]".repeat(depth));
    for (form, text) in [(Form::DynamoDbJson, &json as &dyn Fn(usize) -> String), (Form::Ion, &ion)] {
        assert_eq!(read(form, &text(31)).len(), 1);
        assert!(fault(form, &text(32)).starts_with("Nesting Levels have exceeded supported limits"));
        assert!(!fault(form, &text(100_000)).starts_with("nothing"));
    }
    let ignored = format!("{{x:{}}}", "[".repeat(100_000));
    assert!(fault(Form::Ion, &ignored).contains("nested too deep"));
    let ignored = format!("{{\"x\":{}", "[".repeat(100_000));
    assert!(fault(Form::DynamoDbJson, &ignored).starts_with("The record is not JSON"));
}

#[test]
fn conditions_come_with_their_names_and_values() {
    let json = r##"{"Item":{"pk":{"S":"a"}},"ConditionExpression":"#v < :v","ExpressionAttributeNames":{"#v":"v"},"ExpressionAttributeValues":{":v":{"N":"2"}}}"##;
    let ion = r##"$ion_1_0 {Item:{pk:"a"},ConditionExpression:"#v < :v",ExpressionAttributeNames:{'#v':"v"},ExpressionAttributeValues:{':v':2.}}"##;
    let expected = Record {
        item: item(&[("pk", string("a"))]),
        condition: Some(ConditionText {
            expression: "#v < :v".to_owned(),
            names: vec![("#v".to_owned(), "v".to_owned())],
            values: item(&[(":v", number("2"))]),
        }),
    };
    assert_eq!(record(Form::DynamoDbJson, json.as_bytes()), Ok(Some(expected.clone())));
    assert_eq!(record(Form::Ion, ion.as_bytes()), Ok(Some(expected)));
}

#[test]
fn ion_values_become_their_types() {
    for (text, value) in [
        (
            r#""a\"\n\x41\u00e9\U0001F600\ud83d\ude00\
b""#,
            string("a\"\nAé😀😀b"),
        ),
        ("'''a\r\n''' /* and */ '''b''c'''", string("a\nb''c")),
        ("true", AttributeValue::Bool(true)),
        ("null", AttributeValue::Null),
        ("null.null", AttributeValue::Null),
        ("0", number("0")),
        ("-12_345", number("-12345")),
        ("0xFF", number("255")),
        ("-0b1_01", number("-5")),
        ("103.", number("103")),
        ("6d2", number("600")),
        ("-1.25D-3", number("-0.00125")),
        ("1_0.0_1", number("10.01")),
        ("{{ YQ== }}", AttributeValue::B(b"a"[..].into())),
        ("{{}}", AttributeValue::B(b""[..].into())),
        ("[1,\"a\",]", AttributeValue::L(vec![number("1"), string("a")])),
        (
            "{b:1,'c d':2,\"e\":3,}",
            AttributeValue::M(item(&[("b", number("1")), ("c d", number("2")), ("e", number("3"))])),
        ),
        ("$dynamodb_SS::[\"b\",\"a\"]", AttributeValue::Ss(Set::new(vec!["a".into(), "b".into()]).unwrap())),
        (
            "'$dynamodb_NS' :: [ 1, 2d0 ]",
            AttributeValue::Ns(Set::new(vec![Number::parse("1").unwrap(), Number::parse("2").unwrap()]).unwrap()),
        ),
        ("$dynamodb_BS::[{{YQ==}}]", AttributeValue::Bs(Set::new(vec![b"a"[..].into()]).unwrap())),
    ] {
        let text = format!("$ion_1_0\n// first\n{{Item:{{a:{text}}}}}");
        assert_eq!(read(Form::Ion, &text).get("a"), Some(&value), "{text}");
    }
}

#[test]
fn ion_without_a_type_in_dynamodb_is_refused() {
    for (value, why) in [
        ("2007-02-23T12:14Z", "DynamoDB has no type for a timestamp of Ion"),
        ("2007T", "DynamoDB has no type for a timestamp of Ion"),
        ("1e0", "DynamoDB has no type for a float of Ion"),
        ("nan", "DynamoDB has no type for a float of Ion"),
        ("-inf", "DynamoDB has no type for a float of Ion"),
        ("red", "DynamoDB has no type for a symbol of Ion"),
        ("'null'", "DynamoDB has no type for a symbol of Ion"),
        ("{{\"text\"}}", "DynamoDB has no type for a clob of Ion"),
        ("(a b)", "DynamoDB has no type for an S-expression of Ion"),
        ("null.int", "DynamoDB has no type for null.int of Ion"),
        ("other::1", "The annotation other is not supported"),
        ("$10", "The symbol $10 has no text: symbol tables are not supported"),
        ("007", "007 is not a number of Ion"),
        ("1__0", "1__0 is not a number of Ion"),
        ("1d", "1d is not a number of Ion"),
        ("0xZZ", "0xZZ is not a number of Ion"),
        ("\"\\q\"", "A string has an escape that is none"),
        ("\"\\ud800\"", "A string has an escape that is none"),
        ("{{?}}", "A blob is not Base64"),
        ("$dynamodb_SS::[]", "One or more parameter values were invalid: An string set  may not be empty"),
        ("$dynamodb_NS::[\"a\"]", " is not a number of Ion"),
        ("1 2", "The end of a struct is expected in the Ion text"),
    ] {
        assert_eq!(fault(Form::Ion, &format!("{{Item:{{a:{value}}}}}")), why, "{value}");
    }
    assert_eq!(fault(Form::Ion, "{Item:{a:1,a:2}}"), "The attribute a occurs twice");
    assert_eq!(
        fault(Form::Ion, "$ion_symbol_table::{symbols:[\"a\"]}"),
        "The annotation $ion_symbol_table of a record is not supported"
    );
    assert_eq!(fault(Form::Ion, "5 {Item:{}}"), "The record is not a struct");
    assert_eq!(
        record(Form::Ion, &[0xE0, 1, 0, 0xEA, 0xD0]).unwrap_err().0,
        "The binary form of Ion can not be read; its text form can"
    );
}

#[test]
fn rows_become_items_by_their_columns() {
    let type_of = |name: &str| match name {
        "n" => Some(ColumnType::N),
        "b" => Some(ColumnType::B),
        _ => None,
    };
    let columns = Columns::of_header(b';', b"pk;n;b;\"my \"\"own\"\"\"\r", type_of).unwrap();
    assert_eq!(columns.names().collect::<Vec<_>>(), ["pk", "n", "b", "my \"own\""]);
    let row = columns.item("\"a;\nb\";1.50;YQ==;\r".as_bytes()).unwrap();
    let expected = [
        ("pk", string("a;\nb")),
        ("n", number("1.5")),
        ("b", AttributeValue::B(b"a"[..].into())),
        ("my \"own\"", string("")),
    ];
    assert_eq!(row, item(&expected));
    for (bad, why) in [
        ("a;1", "The row has 2 values, and the header has 4 columns"),
        ("a;1;;x;y", "The row has 5 values, and the header has 4 columns"),
        ("a;x;;", "The parameter cannot be converted to a numeric value: x"),
        ("a;1;?;", "The value of b is not Base64"),
        ("a\"b;1;;", "A value with quotes in it is not quoted"),
        ("\"a\"b;1;;", "A quoted value is followed by something else than a delimiter"),
        ("\"a;1;;", "A quoted value has no end"),
    ] {
        assert_eq!(columns.item(bad.as_bytes()).unwrap_err().0, why, "{bad}");
    }
    assert!(Columns::of_header(b',', b"a,a", type_of).is_err());
    assert!(Columns::of_header(b',', b"a,,b", type_of).is_err());
    for delimiter in b",;|\t: " {
        let columns = Columns::new(*delimiter, vec!["x".into(), "y".into()], type_of).unwrap();
        let row = [&b"1"[..], &[*delimiter], b"2"].concat();
        assert_eq!(columns.item(&row).unwrap(), item(&[("x", string("1")), ("y", string("2"))]));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_fail_otherwise_than_by_an_error(
        bytes in prop::collection::vec(prop_oneof![Just(b'"'), Just(b'\''), Just(b'{'), Just(b'}'), Just(b'\\'), Just(b'\n'),
            Just(b','), Just(b':'), Just(b'/'), Just(b'*'), Just(b'['), Just(b']'), Just(b'('), Just(b'a'), Just(b'1'), any::<u8>()], 0..60),
        at_once in 1usize..9,
    ) {
        for form in [Form::DynamoDbJson, Form::Ion, Form::Csv(b',')] {
            let whole = split(form, &bytes, bytes.len().max(1));
            prop_assert_eq!(split(form, &bytes, at_once), whole);
            let _ = record(form, &bytes);
            let inside = [b"{Item:{a:", bytes.as_slice(), b"}}"].concat();
            let _ = record(form, &inside);
        }
        if let Ok(columns) = Columns::of_header(b',', &bytes, |_| None) {
            let _ = columns.item(&bytes);
        }
    }

    #[test]
    fn any_text_survives_csv(fields in prop::collection::vec("[ -~\n\r\"éß😀]{0,8}", 1..5)) {
        let names: Vec<String> = (0..fields.len()).map(|n| format!("c{n}")).collect();
        let quoted: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
        let file = format!("{}\r\n{}\r\n", names.join(","), quoted.join(","));
        let (rows, broken) = split(Form::Csv(b','), file.as_bytes(), 3);
        prop_assert_eq!((rows.len(), broken), (2, None));
        let columns = Columns::of_header(b',', rows[0].as_bytes(), |_| None).unwrap();
        let item = columns.item(rows[1].as_bytes()).unwrap();
        for (name, field) in names.iter().zip(&fields) {
            prop_assert_eq!(item.get(name), Some(&AttributeValue::S(field.clone())));
        }
    }
}
