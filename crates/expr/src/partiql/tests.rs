//! Tests of statements as a whole: wordings, and what statements are bound to.

use partita_model::schema::{KeyAttribute, KeySchema, KeyType};
use partita_model::{AttributeMap, AttributeValue, Number};

use super::*;
use crate::key::{KeyNames, SortRange};

const NOT_WELL_FORMED: &str = "Statement wasn't well formed, can't be processed: ";

pub(super) fn schema() -> KeySchema {
    let attribute = |name: &str, key_type| KeyAttribute { name: name.to_owned(), key_type };
    KeySchema { partition: vec![attribute("pk", KeyType::S)], sort: vec![attribute("sk", KeyType::N)] }
}

pub(super) fn keys(schema: &KeySchema) -> Keys<'_> {
    Keys { schema, names: KeyNames { table: &["pk", "sk"], indexes: &[] } }
}

pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(super) fn number(text: &str) -> AttributeValue {
    AttributeValue::N(Number::parse(text).unwrap())
}

/// Binds a statement to a table of `pk` (string) and `sk` (number); gives what it becomes for debugging, or the message.
pub(super) fn bind(statement: &str, parameters: &[AttributeValue]) -> Result<String, String> {
    let schema = schema();
    let keys = keys(&schema);
    let statement = Statement::parse(statement).map_err(|error| error.to_string())?;
    match statement.kind() {
        StatementKind::Select => statement.select(&keys, parameters).map(|bound| format!("{bound:?}")),
        StatementKind::Insert => statement.insert(&keys, parameters).map(|bound| format!("{bound:?}")),
        StatementKind::Update => statement.update(&keys, parameters).map(|bound| format!("{bound:?}")),
        StatementKind::Delete => statement.delete(&keys, parameters).map(|bound| format!("{bound:?}")),
        StatementKind::Exists => statement.exists(&keys, parameters).map(|bound| format!("{bound:?}")),
        StatementKind::Expression => Ok("expression".to_owned()),
    }
    .map_err(|error| error.to_string())
}

fn select(statement: &str) -> BoundSelect {
    let schema = schema();
    Statement::parse(statement).unwrap().select(&keys(&schema), &[]).unwrap()
}

fn refused(statement: &str) -> String {
    bind(statement, &[]).expect_err(statement)
}

#[test]
fn malformed_statements_say_what_was_missed() {
    // The first half was measured against the service, the rest follows from the open parser's words.
    for (statement, detail) in [
        ("SLECT * FROM \"t\" WHERE pk = 'a'", "Expected data manipulation"),
        ("UPDATE Payment-t SET active=? WHERE id=?", "Expected data manipulation"),
        ("INSERT INTO urls (key, b) VALUES (?, ?)", "Unexpected keyword"),
        ("SELECT * FROM tab WHERE pk = 1 foo", "Unexpected token after expression"),
        ("SELECT * FROM tab WHERE pk = 1 e5", "Unexpected token after expression"),
        ("INSERT INTO tab VALUE {'pk': 970001} foo", "Unexpected token after expression"),
        ("UPDATE tab SET a = 9 WHERE pk = 970002 foo", "Unexpected token after expression"),
        ("DELETE FROM tab WHERE pk = 970003 foo", "Unexpected token after expression"),
        ("SELECT * FROM tab WHERE pk = 1)", "Unexpected token after expression"),
        ("DELETE FROM tab WHERE pk = 970004 ORDER BY pk", "Unexpected token after expression"),
        ("SELECT * FROM tab ORDER BY pk WHERE pk = 1", "Unexpected token after expression"),
        ("INSERT INTO tab t VALUE {'pk': 'x'}", "Unexpected token after expression"),
        ("SELECT * FROM tab WHERE pk = 1e2147483648", ""),
        ("SELECT * FROM tab WHERE pk = 1e99999999999", ""),
        ("SELECT * FROM tab WHERE pk = 1.5e-2147483647", ""),
        ("SELECT * FROM tab WHERE pk = 1 # note", ""),
        ("SELECT * FROM tab WHERE pk = 1 /* note", ""),
        ("SELECT * FROM tab WHERE", "Unexpected term"),
        ("SELECT * FROM tab WHERE;", "Unexpected term"),
        ("UPDATE tab SET a = 1 WHERE", "Unexpected term"),
        ("DELETE FROM tab WHERE", "Unexpected term"),
        ("SELECT * FROM tab WHERE NOT", "Unexpected term"),
        ("SELECT * FROM tab WHERE (", "Unexpected term"),
        ("SELECT * FROM tab WHERE pk = 'p1' AND", "Missing right-hand side expression of infix operator"),
        ("SELECT * FROM tab WHERE pk = 'p1' OR", "Missing right-hand side expression of infix operator"),
        ("SELECT * FROM tab WHERE ORDER BY pk", "Unexpected keyword"),
        ("SELECT * FROM tab WHERE pk = 'a' AND x IS FOO", "Expected type name"),
        ("SELECT * FROM tab WHERE IS NULL", "Unexpected operator"),
        ("SELECT * FROM tab WHERE pk = LIKE", "Unexpected operator"),
        ("DELETE FROM", "Expected identifier for simple path"),
        ("DELETE FROM;", "Expected identifier for simple path"),
        ("DELETE FROM WHERE pk = 'a'", "Expected identifier for simple path"),
        ("SELECT * FROM", "Unexpected term"),
        ("FROM tab SET c = 1 WHERE pk = 'x'", "Unexpected token after expression"),
        ("FROM tab SET c = 1 WHERE pk = 'x' SET d = 2", "Unexpected token after expression"),
        ("SELECT * FROM tab WHERE attribute_exists(m.inner)", "Invalid path dot component"),
        ("UPDATE tab SET m.inner = 1 WHERE pk = 'x'", "Invalid path dot component"),
        ("", "Unexpected term"),
        ("DELETE tab", "Expected FROM after DELETE"),
        ("UPDATE", "Expected identifier for simple path"),
        ("UPDATE tab SET a 5", "Expected '='"),
        ("UPDATE tab REMOVE a, b WHERE pk = 'x'", "Unexpected token after expression"),
        (
            "SELECT *, pk FROM tab",
            "Other expressions may not be present in the select list when '*' is used without dot notation.",
        ),
        ("SELECT l[*] FROM tab", "Invalid use of * in select list"),
        ("SELECT a FROM tab; SELECT b FROM tab", "Unexpected token after semicolon. (Only one query is allowed.)"),
        ("SELECT [1 FROM tab", "Expected RIGHT_BRACKET"),
        ("SELECT a FROM tab WHERE b BETWEEN 1 OR 2", "Expected AND keyword"),
        ("INSERT INTO tab VALUE {'a' 1}", "Expected COLON"),
        ("UPDATE tab SET a = 1 RETURNING *", "Expected ( MODIFIED | ALL ) ( NEW | OLD ) in each returning element."),
        ("SELECT a AS 1 FROM tab", "Expected identifier for AS-alias"),
        ("SELECT sum(*) FROM tab", "sum(*) is not allowed"),
        ("EXISTS(UPDATE tab SET a = 1)", "Keyword null only expected at the top level in the query"),
    ] {
        assert_eq!(refused(statement), format!("{NOT_WELL_FORMED}{detail}"), "{statement}");
    }
}

#[test]
fn what_dynamodb_does_not_do_is_refused_in_its_words() {
    for (statement, message) in [
        ("SELECT * FROM tab t WHERE pk = 'x'", "Aliasing is not supported"),
        ("SELECT * FROM tab AS t WHERE pk = 'x'", "Aliasing is not supported"),
        ("UPDATE tab t SET a = 3 WHERE pk = 'x'", "Aliasing is not supported"),
        ("DELETE FROM tab t WHERE pk = 'x'", "Aliasing is not supported"),
        ("SELECT pk AS q FROM tab", "Aliasing is not supported"),
        ("x IS INT4", "Unsupported operation: IsType"),
        ("x IS DOUBLE PRECISION", "Unsupported operation: IsType"),
        ("SELECT COUNT(*) FROM tab", "Unexpected path component at 1:8:5"),
        ("SELECT size(l) FROM tab", "Unexpected path component at 1:8:4"),
        ("SELECT n+1 FROM tab", "Unexpected path component at 1:9:1"),
        ("SELECT 'x' FROM tab", "Unexpected path component at 1:8:3"),
        ("SELECT l[1.5] FROM tab", "Unexpected path component at 1:10:3"),
        ("SELECT l[-1] FROM tab", "List index is not within the allowable range; index: [-1] at 1:11:1"),
        ("SELECT VALUE pk FROM tab", "Select projection doesn't support value or pivot keywords"),
        ("SELECT DISTINCT pk FROM tab", "Unsupported token in expression: DISTINCT"),
        ("SELECT * FROM tab LIMIT 1", "Unsupported clause: LIMIT at 1:25:1"),
        ("SELECT * FROM tab GROUP BY pk", "Unsupported clause: GROUP BY"),
        ("SELECT * FROM tab, tba", "Only select from a single table or index is supported."),
        ("SELECT m.* FROM tab", "Changing item's hierarchy while reading isn't supported"),
        ("SELECT m.a, m.a FROM tab", "Duplicate identifiers in select clause: a"),
        (
            "SELECT m, m.a FROM tab",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m, a], path two: [m]",
        ),
        ("SELECT a FROM tab.ind.x", "A path may contain at most 2 components in the FROM clause"),
        ("SELECT a FROM 'tab'", "Unexpected from source"),
        ("UPDATE tab.ind SET a = 1 WHERE pk = 'a' AND sk = 1", "This operation is not supported on an index"),
        ("DELETE FROM tab.ind WHERE pk = 'a' AND sk = 1", "This operation is not supported on an index"),
        (
            "INSERT INTO tab.ind VALUE {'pk': 'a'}",
            "FROM clause may only contain a single table name in data manipulation statements",
        ),
        ("INSERT INTO tab VALUE {'pk': 'a'} AT 1", "AT is not supported in insert statements. at 1:1:6"),
        ("INSERT INTO tab VALUES ('x')", "Unsupported operation: InsertOp"),
        ("SELECT a FROM tab WHERE true", "WHERE clause must contain an expression that resolves to a boolean"),
        ("SELECT a FROM tab WHERE a = 1 AND b", "The arguments to AND/OR must be Expressions"),
        ("SELECT a FROM tab WHERE NOT b", "The argument to NOT must be a Type or Expression"),
        ("SELECT a FROM tab WHERE a = missing", "MISSING must be compared using IS operator"),
        ("SELECT a FROM tab WHERE a LIKE 'x'", "Unsupported operator in Condition Expression. Operator: like"),
        ("SELECT a FROM tab WHERE a + 1 = 2", "Unsupported operator in Condition Expression. Operator: +"),
        ("SELECT a FROM tab WHERE foo(a)", "Unrecognized function: foo at 1:25:3"),
        ("SELECT a FROM tab WHERE EXISTS(ss)", "Unrecognized function: exists at 1:25:6"),
        ("SELECT a FROM tab WHERE set_add(ss, <<'x'>>) = ss", "Unrecognized function: set_add at 1:25:7"),
        (
            "SELECT a FROM tab WHERE a IN []",
            "IN operator must have a left hand argument of type Variable Reference and right hand argument of type Seq with at least one member",
        ),
        (
            "SELECT a FROM tab WHERE a < true",
            "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
        ),
        (
            "SELECT a FROM tab WHERE attribute_exists('ss')",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "SELECT a FROM tab WHERE attribute_exists()",
            "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 0",
        ),
        (
            "SELECT a FROM tab WHERE n IS INT",
            "Unsupported data type for IS operator: INTEGER. Supported data types are [MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST] at 1:27:2",
        ),
        ("SELECT a FROM tab WHERE a = `abc`", "Ion Literals are not supported: SYMBOL under key root at 1:29:5"),
        ("SELECT a FROM tab ORDER BY pk", "Must have WHERE clause in the statement when using ORDER BY clause."),
        (
            "SELECT a FROM tab WHERE pk = 'a' ORDER BY v",
            "Variable reference v in ORDER BY clause must be part of the primary key",
        ),
        (
            "SELECT a FROM tab WHERE pk = 1",
            "Key attribute's data type should match its data type in table's schema: Key pk",
        ),
        (
            "SELECT a FROM tab WHERE pk = ''",
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk",
        ),
        (
            "SELECT * FROM tab WHERE pk = 'a' AND x = '1' OR pk = 'a' AND sk = 2",
            "Overlapping conditions with range keys are not supported in where clause",
        ),
        (
            "SELECT * FROM tab WHERE pk = 'a' AND x <> '1' OR pk = 'a' AND sk = 2",
            "Overlapping conditions with range keys are not supported in where clause",
        ),
        (
            "SELECT a FROM tab WHERE pk = 1 OR v = 1",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            "SELECT a FROM tab WHERE NOT sk = 'x'",
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ),
        (
            "SELECT a FROM tab WHERE pk = 'a' AND begins_with(sk, 'x')",
            "Key attribute's data type should match its data type in table's schema: Key sk",
        ),
        ("SELECT a FROM tab WHERE pk = ?", "Number of parameters in request and statement don't match."),
        ("FROM tab SET c = 1", "Where clause does not contain a mandatory equality on all key attributes"),
        (
            "UPDATE tab SET c = 1 WHERE pk = 'a'",
            "Where clause does not contain a mandatory equality on all key attributes",
        ),
        (
            "DELETE FROM tab WHERE pk = 'a' AND sk > 1",
            "Where clause does not contain a mandatory equality on all key attributes",
        ),
        (
            "DELETE FROM tab WHERE pk = 'a' AND sk = 1 OR x = 1",
            "Where clause does not contain a mandatory equality on all key attributes",
        ),
        (
            "UPDATE tab SET a = 1 WHERE pk = 'a' AND pk = 'b' AND sk = 1",
            "Multiple conditions on same key pk. Only single item Update/Insert/Delete are supported",
        ),
        ("INSERT INTO tab VALUE {'pk': 'a'}", "Key attribute should be present in the item: Key sk"),
        (
            "INSERT INTO tab VALUE {'pk': 'a', 'sk': 'x'}",
            "Key attribute's data type should match its data type in table's schema: Key sk",
        ),
        (
            "INSERT INTO tab VALUE {\"pk\": 'a'}",
            "Tuple keys must be of type String. Actual type: VariableReference under root at 1:24:4",
        ),
        ("INSERT INTO tab VALUE {'pk': 'a', 'pk': 'b'}", "Duplicate keys in tuple. Key: pk under root at 1:35:4"),
        (
            "INSERT INTO tab VALUE []",
            "Unsupported format in item expression. Please use struct format {...} to express item values for insert statement. at 1:23:1",
        ),
        (
            "INSERT INTO tab VALUE {'pk': 'a', 'ss': set_add(<<'a'>>, <<'b'>>)}",
            "Unsupported data type: set_add under key root at 1:41:7",
        ),
        (
            "DELETE FROM tab WHERE pk = 'a' AND sk = 1 RETURNING MODIFIED OLD *",
            "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements.",
        ),
        (
            "EXISTS(SELECT * FROM tab WHERE pk = 'a' AND sk = 1)",
            "EXISTS() must contain a single item read with additional condition",
        ),
    ] {
        assert_eq!(refused(statement), message, "{statement}");
    }
}

#[test]
fn set_functions_have_wordings_of_their_own() {
    for (set, message) in [
        ("t = set_add(ss, <<'x'>>)", "The first argument to SET_ADD must equal the assignment value at 1:20:7"),
        ("ss = set_add(<<'a'>>, <<'b'>>)", "The first argument to SET_ADD must equal the assignment value at 1:21:7"),
        ("ss = set_add(ss, 'x')", "The second argument to SET_ADD must be a value with type SET at 1:29:2"),
        ("ss = set_add(ss, ['x'])", "The second argument to SET_ADD must be a value with type SET at 1:29:2"),
        ("ss = set_add(ss)", "SET_ADD must have exactly two arguments at 1:21:7"),
        ("ss = set_delete(ss, 'a')", "The second argument to SET_DELETE must be a value with type SET at 1:32:2"),
        ("ss = set_add(ss, <<>>)", "Empty bags are not supported"),
        (
            "ss = set_add(ss, <<'x', 'x'>>)",
            "One or more parameter values were invalid: Input collection [x, x] contains duplicates.",
        ),
        ("n = n * 2", "Unsupported operator in Update Expression. Operator: *"),
        (
            "n = -n",
            "Incorrect number of operands for operator or function; operator or function: -, number of operands: 1",
        ),
        ("n = size(l)", "The function is not allowed in an update expression; function: size"),
        ("n = foo(l)", "Unrecognized function: foo at 1:20:3"),
        ("n = x IS MISSING", "IS operator is not supported in update expressions"),
    ] {
        let statement = format!("UPDATE tab SET {set} WHERE pk = 'a' AND sk = 1");
        assert_eq!(refused(&statement), message, "{statement}");
    }
}

#[test]
fn numbers_in_the_text_name_the_path_to_them() {
    const OVERFLOW: &str = "Number overflow. Attempting to store a number with magnitude larger than supported range";
    const UNDERFLOW: &str =
        "Number underflow. Attempting to store a number with magnitude smaller than supported range";
    for (statement, message) in [
        ("SELECT * FROM tab WHERE pk = 'a' AND n = 1e126", format!("{OVERFLOW} under root")),
        ("SELECT * FROM tab WHERE n = 1e-131", format!("{UNDERFLOW} under root")),
        (
            "SELECT * FROM tab WHERE n = 123456789012345678901234567890123456789",
            "Attempting to store more than 38 significant digits in a Number under root".to_owned(),
        ),
        ("INSERT INTO tab VALUE {'pk': 'a', 'sk': 1e126}", format!("{OVERFLOW} under root")),
        ("INSERT INTO tab VALUE {'pk': 'a', 'sk': 1, 'm': {'x': 1e126}}", format!("{OVERFLOW} under root.x")),
        ("INSERT INTO tab VALUE {'pk': 'a', 'sk': 1, 'l': [1, 1e126]}", format!("{OVERFLOW} under root[1]")),
        ("UPDATE tab SET a = 1e-131 WHERE pk = 'a' AND sk = 1", format!("{UNDERFLOW} under root")),
    ] {
        assert_eq!(refused(statement), message, "{statement}");
    }
}

#[test]
fn deep_nesting_and_many_operators_are_refused() {
    for (open, close) in [("(", ")"), ("[", "]"), ("{'a':", "}"), ("NOT (", ")"), ("- + NOT ", ""), ("a[", "]")] {
        for times in [200, 2_000, 10_000] {
            let statement = format!("SELECT * FROM tab WHERE {}a = 1{}", open.repeat(times), close.repeat(times));
            assert!(bind(&statement, &[]).is_err(), "{open} {times}");
        }
    }
    let parentheses = format!("SELECT * FROM tab WHERE {}a = 1{}", "(".repeat(100), ")".repeat(100));
    assert!(bind(&parentheses, &[]).is_ok());
    for (joined, counted) in [(" AND ", 101), (" OR ", 150)] {
        let many = vec!["a = 1"; counted + 1].join(joined);
        assert_eq!(bind(&format!("SELECT * FROM tab WHERE {many}"), &[]).is_ok(), counted < 150, "{joined}");
    }
    let message = "The expression contains too many operators; operator count: 301";
    let denied = format!("SELECT * FROM tab WHERE {}a = 1", "NOT ".repeat(300));
    assert_eq!(refused(&denied), message);
    let sum = format!("UPDATE tab SET a = {}1 WHERE pk = 'a' AND sk = 1", "1+".repeat(301));
    assert_eq!(refused(&sum), message);
    let many = vec!["1"; 101].join(",");
    assert_eq!(
        refused(&format!("SELECT * FROM tab WHERE a IN ({many})")),
        "The IN operator is provided with too many operands; number of operands: 101"
    );
}

#[test]
fn an_insert_is_its_item() {
    let schema = schema();
    let statement = Statement::parse(
        "insert into \"tab\" value {'pk': ?, 'sk': -3.50, 's': <<'b', 'a'>>, 'l': [1, null, TRUE, {'x': []}], 'n': +2}",
    )
    .unwrap();
    let item = statement.insert(&keys(&schema), &[text("it's")]).unwrap();
    assert_eq!(item.get("pk"), Some(&text("it's")));
    assert_eq!(item.get("sk"), Some(&number("-3.5")));
    assert_eq!(item.get("n"), Some(&number("2")));
    let nested = AttributeMap::from_pairs(vec![("x".to_owned(), AttributeValue::L(Vec::new()))]).unwrap();
    let list = vec![number("1"), AttributeValue::Null, AttributeValue::Bool(true), AttributeValue::M(nested)];
    assert_eq!(item.get("l"), Some(&AttributeValue::L(list)));
}

#[test]
fn an_update_sets_adds_and_removes() {
    let schema = schema();
    let statement = Statement::parse(
        "UPDATE tab SET n = n + 1 + 1, l = list_append(l, [9]) SET ss = set_add(ss, ?) REMOVE m.x \
         WHERE pk = 'a' AND 1 = sk AND n > 1 RETURNING MODIFIED NEW *",
    )
    .unwrap();
    assert_eq!(statement.returning(), Some(Returning::ModifiedNew));
    let set = |elements: &[&str]| {
        AttributeValue::Ss(
            partita_model::value::Set::new(elements.iter().map(|&element| element.to_owned()).collect()).unwrap(),
        )
    };
    let bound = statement.update(&keys(&schema), &[set(&["c"])]).unwrap();
    let map = |x: Option<&str>| {
        let pairs = x.map(|x| vec![("x".to_owned(), text(x))]).unwrap_or_default();
        AttributeValue::M(AttributeMap::from_pairs(pairs).unwrap())
    };
    let item = |n: &str, list: Vec<AttributeValue>, ss: AttributeValue, m: AttributeValue| {
        let pairs = [
            ("pk", text("a")),
            ("sk", number("1")),
            ("n", number(n)),
            ("l", AttributeValue::L(list)),
            ("ss", ss),
            ("m", m),
        ];
        AttributeMap::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()).unwrap()
    };
    let before = item("5", vec![number("8")], set(&["a"]), map(Some("y")));
    assert!(bound.condition.matches(&before));
    assert!(!bound.condition.matches(&None::<AttributeMap>));
    let after = bound.update.apply(&before).unwrap().item;
    assert_eq!(after, item("7", vec![number("8"), number("9")], set(&["a", "c"]), map(None)));
}

#[test]
fn a_delete_of_nothing_has_no_condition_to_fail() {
    let schema = schema();
    let bind = |statement: &str| Statement::parse(statement).unwrap().delete(&keys(&schema), &[]).unwrap();
    assert!(bind("DELETE FROM tab WHERE pk = 'a' AND sk = 1").condition.is_none());
    let condition = bind("DELETE FROM tab WHERE pk = 'a' AND sk = 1 AND n = 5").condition.unwrap();
    assert!(condition.matches(&None::<AttributeMap>));
    let item = |n: &str| {
        let pairs = [("pk", text("a")), ("sk", number("1")), ("n", number(n))];
        AttributeMap::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()).unwrap()
    };
    assert!(condition.matches(&item("5")));
    assert!(!condition.matches(&item("6")));
}

#[test]
fn nested_columns_are_returned_under_their_last_names() {
    let bound = select("SELECT pk, m.a, l[0], m.l[1], \"m\"['b'] FROM tab");
    let selection = bound.selection.unwrap();
    assert!(!selection.is_top_level_only());
    assert_eq!(selection.attributes().top_level_names().collect::<Vec<_>>(), ["l", "m", "pk"]);
    let inner = AttributeMap::from_pairs(vec![
        ("a".to_owned(), number("1")),
        ("l".to_owned(), AttributeValue::L(vec![text("x"), text("y")])),
    ]);
    let item = AttributeMap::from_pairs(vec![
        ("pk".to_owned(), text("k")),
        ("m".to_owned(), AttributeValue::M(inner.unwrap())),
        ("l".to_owned(), AttributeValue::L(vec![number("7")])),
    ]);
    let shown = selection.apply(&item.unwrap());
    let names: Vec<&str> = shown.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "l[0]", "l[1]", "pk"]);
    assert_eq!(shown.get("l[1]"), Some(&text("y")));
}

#[test]
fn a_select_is_a_query_when_every_alternative_gives_the_partition() {
    for (clause, queries) in [
        ("pk = 'a'", Some(1)),
        ("'a' = pk", Some(1)),
        ("pk = 'a' AND v = 1", Some(1)),
        ("pk = 'a' OR pk = 'b'", Some(2)),
        ("pk IN ['a', 'b', 'a']", Some(2)),
        ("pk IN ('a', 'b') AND sk = 1", Some(2)),
        ("pk IN ['a', 'b'] AND sk IN [1, 2, 3]", Some(6)),
        ("(pk = 'a' OR pk = 'b') AND sk > 2", Some(2)),
        ("pk = 'a' AND pk = 'b'", Some(0)),
        ("pk = 'a' AND sk = 1 OR pk = 'a' AND sk = 2", Some(2)),
        ("pk > 'a'", None),
        ("v = 1", None),
        ("pk = 'a' OR v = 1", None),
        ("NOT pk = 'a'", None),
        ("pk = v", None),
    ] {
        let bound = select(&format!("SELECT * FROM tab WHERE {clause}"));
        let found = match bound.plan {
            Plan::Scan => None,
            Plan::Queries(queries) => Some(queries.len()),
        };
        assert_eq!(found, queries, "{clause}");
    }
}

#[test]
fn a_whole_key_and_nothing_else_names_one_item() {
    for (clause, names) in [
        ("pk = 'a' AND sk = 1", true),
        ("sk = 1 AND pk = 'a'", true),
        ("pk = 'a'", false),
        ("pk = 'a' AND sk = 1 AND v = 1", false),
        ("pk IN ['a'] AND sk = 1", false),
    ] {
        assert_eq!(select(&format!("SELECT * FROM tab WHERE {clause}")).key.is_some(), names, "{clause}");
    }
}

#[test]
fn what_the_key_decides_needs_no_filter() {
    for (clause, filtered) in [
        ("pk = 'a'", false),
        ("pk = 'a' AND sk BETWEEN 1 AND 2", false),
        ("pk = 'a' AND sk IN [1, 2]", false),
        ("pk = 'a' AND sk > 1 AND sk < 5", true),
        ("pk = 'a' AND v = 1", true),
        ("pk = 'a' AND sk <> 1", true),
        ("pk = 'a' OR pk = 'b'", true),
    ] {
        assert_eq!(select(&format!("SELECT * FROM tab WHERE {clause}")).filter.is_some(), filtered, "{clause}");
    }
    // More single keys than are worth a query each are read as a range.
    let points: Vec<String> = (0..60).map(|at| (at * 2).to_string()).collect();
    let bound = select(&format!("SELECT * FROM tab WHERE pk IN ['a', 'b'] AND sk IN [{}]", points.join(", ")));
    let Plan::Queries(queries) = bound.plan else { panic!("a scan") };
    assert!(queries.iter().all(|query| matches!(query.range, Some((_, SortRange::Between(..))))));
    assert_eq!((queries.len(), bound.filter.is_some()), (2, true));
}
