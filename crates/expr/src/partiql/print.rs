//! Prints trees back as text, in one canonical form: names quoted, every operator in parentheses. For tests.

use super::parser::Parsed;
use super::tree::{From, Id, Item, Node, Operation, ProjectionNode, Step, Tree};
use super::words::Operator;

/// The statement in its canonical form.
pub(super) fn print(parsed: &Parsed) -> String {
    node(&parsed.tree, parsed.root)
}

fn list(tree: &Tree, ids: &[Id]) -> String {
    ids.iter().map(|id| node(tree, *id)).collect::<Vec<_>>().join(", ")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn from(tree: &Tree, from: &From) -> String {
    match from {
        From::Source { node: id, .. } => node(tree, *id),
        _ => String::new(),
    }
}

fn clause(tree: &Tree, condition: Option<Id>) -> String {
    condition.map_or_else(String::new, |id| format!(" WHERE {}", node(tree, id)))
}

fn node(tree: &Tree, id: Id) -> String {
    match tree.node(id) {
        Node::String(text) => format!("'{}'", text.replace('\'', "''")),
        Node::Number { text, negative } => format!("{}{text}", if *negative { "-" } else { "" }),
        Node::Bool(truth) => truth.to_string(),
        Node::Null => "null".to_owned(),
        Node::Missing => "missing".to_owned(),
        Node::Ion(text) => format!("`{text}`"),
        Node::Parameter(_) => "?".to_owned(),
        Node::Name(name) => quoted(name),
        Node::Path(root, steps) => {
            let mut text = node(tree, *root);
            for step in steps {
                match step {
                    Step::Name(name) => text.push_str(&format!(".{}", quoted(name))),
                    Step::Bracket(id) => text.push_str(&format!("[{}]", node(tree, *id))),
                    Step::Unpivot => text.push_str(".*"),
                    Step::Wildcard => text.push_str("[*]"),
                }
            }
            text
        }
        Node::Unary(operator, operand) => format!("({} {})", operator.text(), node(tree, *operand)),
        Node::Binary(Operator::In, left, right) => match tree.node(*right) {
            Node::List(elements) => format!("({} in [{}])", node(tree, *left), list(tree, elements)),
            _ => format!("({} in {})", node(tree, *left), node(tree, *right)),
        },
        Node::Binary(operator, left, right) => {
            format!("({} {} {})", node(tree, *left), operator.text(), node(tree, *right))
        }
        Node::Between(operand, low, high) => {
            format!("({} between {} and {})", node(tree, *operand), node(tree, *low), node(tree, *high))
        }
        Node::Is(operand, name) => format!("({} is {name})", node(tree, *operand)),
        Node::Call(name, operands) => format!("{name}({})", list(tree, operands)),
        Node::Aggregate(name) => format!("{name}(*)"),
        Node::List(elements) => format!("[{}]", list(tree, elements)),
        Node::Bag(elements) => format!("<<{}>>", list(tree, elements)),
        Node::Struct(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{}: {}", node(tree, *name), node(tree, *value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Node::Select(select) => {
            let columns = match &select.projection {
                ProjectionNode::All => "*".to_owned(),
                ProjectionNode::List(items) => {
                    let items = items.iter().map(|item| match item {
                        Item::Expression { node: id, .. } => node(tree, *id),
                        Item::AllOf => "*".to_owned(),
                    });
                    items.collect::<Vec<_>>().join(", ")
                }
                ProjectionNode::Value => "value".to_owned(),
            };
            let order = select
                .order
                .iter()
                .flatten()
                .map(|sort| format!("{}{}", node(tree, sort.node), if sort.descending { " DESC" } else { "" }));
            let order = order.collect::<Vec<_>>().join(", ");
            let order = if order.is_empty() { order } else { format!(" ORDER BY {order}") };
            format!("SELECT {columns} FROM {}{}{order}", from(tree, &select.from), clause(tree, select.condition))
        }
        Node::Dml(dml) => {
            let source = from(tree, &dml.from);
            let condition = clause(tree, dml.condition);
            let returning = dml
                .returning
                .iter()
                .flatten()
                .map(|element| format!(" RETURNING {} *", element.mapping.replace('_', " ").to_ascii_uppercase()));
            let returning: String = returning.collect();
            let operations = dml.operations.iter().map(|operation| match operation {
                Operation::InsertValue { target, value, .. } => {
                    format!("INSERT INTO {} VALUE {}", node(tree, *target), node(tree, *value))
                }
                Operation::Set(assignments) => {
                    let assignments = assignments
                        .iter()
                        .map(|(target, value)| format!("{} = {}", node(tree, *target), node(tree, *value)));
                    format!(" SET {}", assignments.collect::<Vec<_>>().join(", "))
                }
                Operation::Remove(target) => format!(" REMOVE {}", node(tree, *target)),
                Operation::Delete => "DELETE FROM ".to_owned(),
                Operation::InsertAll => "INSERT".to_owned(),
            });
            let operations: String = operations.collect();
            match dml.operations.first() {
                Some(Operation::InsertValue { .. }) => operations,
                Some(Operation::Delete) => format!("{operations}{source}{condition}{returning}"),
                _ => format!("UPDATE {source}{operations}{condition}{returning}"),
            }
        }
        Node::Case => "case".to_owned(),
        Node::Cast => "cast".to_owned(),
        Node::Other(name) => (*name).to_owned(),
    }
}
