//! Properties over generated statements: nothing panics, what is printed is read back, and a plan with its filter selects
//! what its clause says.

use partita_model::{AttributeMap, AttributeValue};
use proptest::prelude::*;

use super::parser::parse;
use super::print::print;
use super::tests::{bind, keys, number, schema, text};
use super::*;
use crate::key::SortRange;

/// A condition of which the truth is known without lowering it.
#[derive(Clone, Debug)]
enum Clause {
    And(Box<Clause>, Box<Clause>),
    Or(Box<Clause>, Box<Clause>),
    Not(Box<Clause>),
    Compare(&'static str, &'static str, i8),
    In(&'static str, Vec<i8>),
    Between(&'static str, i8, i8),
    Missing(&'static str),
}

impl Clause {
    fn text(&self) -> String {
        let value = |name: &str, value: i8| if name == "pk" { format!("'p{value}'") } else { value.to_string() };
        match self {
            Self::And(a, b) => format!("({} AND {})", a.text(), b.text()),
            Self::Or(a, b) => format!("({} OR {})", a.text(), b.text()),
            Self::Not(a) => format!("NOT {}", a.text()),
            Self::Compare(name, operator, v) => format!("({name} {operator} {})", value(name, *v)),
            Self::In(name, vs) => {
                let values: Vec<String> = vs.iter().map(|v| value(name, *v)).collect();
                format!("({name} IN [{}])", values.join(", "))
            }
            Self::Between(name, low, high) => {
                format!("({name} BETWEEN {} AND {})", value(name, *low), value(name, *high))
            }
            Self::Missing(name) => format!("({name} IS MISSING)"),
        }
    }

    fn holds(&self, row: [Option<i8>; 3]) -> bool {
        let [pk, sk, v] = row;
        let value = |name: &str| match name {
            "pk" => pk,
            "sk" => sk,
            _ => v,
        };
        match self {
            Self::And(a, b) => a.holds(row) && b.holds(row),
            Self::Or(a, b) => a.holds(row) || b.holds(row),
            Self::Not(a) => !a.holds(row),
            Self::Compare(name, operator, v) => match (value(name), *operator) {
                (found, "<>") => found != Some(*v),
                (None, _) => false,
                (Some(found), "=") => found == *v,
                (Some(found), "<") => found < *v,
                (Some(found), "<=") => found <= *v,
                (Some(found), ">") => found > *v,
                (Some(found), _) => found >= *v,
            },
            Self::In(name, vs) => value(name).is_some_and(|found| vs.contains(&found)),
            Self::Between(name, low, high) => value(name).is_some_and(|found| (*low..=*high).contains(&found)),
            Self::Missing(name) => value(name).is_none(),
        }
    }
}

fn any_clause() -> impl Strategy<Value = Clause> {
    let name = || prop_oneof![3 => Just("pk"), 2 => Just("sk"), 1 => Just("v")];
    let operator =
        prop_oneof![6 => Just("="), 1 => Just("<>"), 1 => Just("<"), 1 => Just("<="), 1 => Just(">"), 1 => Just(">=")];
    let leaf = prop_oneof![
        6 => (name(), operator, 0i8..4).prop_map(|(name, operator, v)| Clause::Compare(name, operator, v)),
        2 => (name(), prop::collection::vec(0i8..4, 1..4)).prop_map(|(name, vs)| Clause::In(name, vs)),
        1 => (name(), 0i8..4, 0i8..4).prop_map(|(name, a, b)| Clause::Between(name, a.min(b), a.max(b))),
        1 => Just(Clause::Missing("v")),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Clause::And(Box::new(a), Box::new(b))),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Clause::Or(Box::new(a), Box::new(b))),
            1 => inner.prop_map(|a| Clause::Not(Box::new(a))),
        ]
    })
}

/// Whether a query's key condition selects the row.
fn selects(query: &crate::KeyCondition, row: &AttributeMap) -> bool {
    let equal = |pairs: &[(String, AttributeValue)]| pairs.iter().all(|(name, value)| row.get(name) == Some(value));
    let in_range = query.range.as_ref().is_none_or(|(name, range)| {
        let Some(found) = row.get(name) else { return false };
        let compare = |value: &AttributeValue| found.compare(value).unwrap();
        match range {
            SortRange::Lt(value) => compare(value).is_lt(),
            SortRange::Le(value) => compare(value).is_le(),
            SortRange::Gt(value) => compare(value).is_gt(),
            SortRange::Ge(value) => compare(value).is_ge(),
            SortRange::Between(low, high) => compare(low).is_ge() && compare(high).is_le(),
            SortRange::BeginsWith(_) => false,
        }
    });
    equal(&query.partition) && equal(&query.sort) && in_range
}

/// An expression in canonical form.
fn any_expression() -> impl Strategy<Value = String> {
    let name = "[a-z\"é ]{0,5}".prop_map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
    let leaf = prop_oneof![
        name.clone(),
        "[a-z'é ]{0,5}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
        "-?[0-9]{1,4}(\\.[0-9]{0,3})?(e[+-]?[0-9]{1,3})?",
        prop::sample::select(vec!["true", "false", "null", "missing", "?", "[]", "<<>>", "{}", "`ion`"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 24, 3, move |inner| {
        let list = prop::collection::vec(inner.clone(), 1..4).prop_map(|elements| elements.join(", "));
        let binary = prop::sample::select(vec![
            "and", "or", "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "||", "like",
        ]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            inner.clone().prop_map(|a| format!("(not {a})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} between {b} and {c})")),
            (inner.clone(), list.clone()).prop_map(|(a, list)| format!("({a} in [{list}])")),
            (inner.clone(), prop::sample::select(vec!["missing", "null", "string", "boolean"]))
                .prop_map(|(a, name)| format!("({a} is {name})")),
            list.clone().prop_map(|list| format!("[{list}]")),
            list.clone().prop_map(|list| format!("<<{list}>>")),
            list.prop_map(|list| format!("some_call({list})")),
            (name.clone(), name.clone(), 0u8..9).prop_map(|(a, b, at)| format!("{a}.{b}[{at}]")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
        ]
    })
}

fn any_statement() -> impl Strategy<Value = String> {
    let e = any_expression;
    let name = || "\"[a-z]{1,4}\"";
    prop_oneof![
        (e(), e(), e()).prop_map(|(a, b, c)| format!("SELECT {a}, {b} FROM \"tab\" WHERE {c}")),
        (e(), name()).prop_map(|(a, name)| format!("SELECT * FROM \"tab\".\"ind\" WHERE {a} ORDER BY {name} DESC")),
        (name(), e(), e()).prop_map(|(name, a, b)| format!(
            "UPDATE \"tab\" SET {name} = {a} REMOVE {name} WHERE {b} RETURNING ALL NEW *"
        )),
        e().prop_map(|a| format!("INSERT INTO \"tab\" VALUE {a}")),
        e().prop_map(|a| format!("DELETE FROM \"tab\" WHERE {a}")),
        e().prop_map(|a| format!("exists(SELECT * FROM \"tab\" WHERE {a})")),
    ]
}

fn any_words() -> impl Strategy<Value = String> {
    let words = vec![
        "SELECT",
        "*",
        "FROM",
        "WHERE",
        "tab",
        "pk",
        "sk",
        "=",
        "'a'",
        "1",
        "AND",
        "OR",
        "NOT",
        "IN",
        "BETWEEN",
        "IS",
        "MISSING",
        "NULL",
        "INSERT",
        "INTO",
        "VALUE",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "<<",
        ">>",
        ",",
        ":",
        ".",
        "?",
        "UPDATE",
        "SET",
        "REMOVE",
        "DELETE",
        "RETURNING",
        "ALL",
        "NEW",
        "OLD",
        "MODIFIED",
        "ORDER",
        "BY",
        "DESC",
        "size",
        "begins_with",
        "EXISTS",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "CAST",
        "AS",
        "LIKE",
        "ESCAPE",
        "-",
        "+",
        "<",
        ">",
        "@",
        "`a`",
        "\"q\"",
        ";",
        "1e126",
        "VALUES",
        "LIMIT",
        "GROUP",
        "CREATE",
        "TABLE",
        "EXEC",
        "PIVOT",
        "AT",
    ];
    prop::collection::vec(prop::sample::select(words), 0..24).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_text_panics(statement in ".{0,200}") {
        let _ = bind(&statement, &[]);
    }

    #[test]
    fn no_order_of_words_panics(statement in any_words()) {
        let _ = bind(&statement, &[text("a"), text("a")]);
    }

    #[test]
    fn printed_statements_are_read_back(statement in any_statement()) {
        let parsed = parse(&statement).unwrap();
        prop_assert_eq!(print(&parsed), statement);
    }

    #[test]
    fn statements_of_any_expressions_bind_or_refuse(statement in any_statement()) {
        let _ = bind(&statement, &vec![text("a"); 64]);
    }

    #[test]
    fn plan_and_filter_select_what_the_clause_says_and_nothing_twice(clause in any_clause()) {
        let schema = schema();
        let statement = Statement::parse(&format!("SELECT * FROM tab WHERE {}", clause.text())).unwrap();
        let Ok(bound) = statement.select(&keys(&schema), &[]) else { return Ok(()) };
        for pk in 0..4 {
            for sk in 0..4 {
                for v in [None, Some(0), Some(2)] {
                    let pairs = [("pk", Some(text(&format!("p{pk}")))), ("sk", Some(number(&sk.to_string()))), ("v", v.map(|v| number(&v.to_string())))];
                    let row: AttributeMap =
                        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
                    let times = match &bound.plan {
                        Plan::Scan => 1,
                        Plan::Queries(queries) => queries.iter().filter(|query| selects(query, &row)).count(),
                    };
                    prop_assert!(times <= 1);
                    let found = times == 1 && bound.filter.as_ref().is_none_or(|filter| filter.matches(&row));
                    prop_assert_eq!(found, clause.holds([Some(pk), Some(sk), v]), "{:?} {:?}", clause.text(), row);
                }
            }
        }
    }
}
