//! Statements: what a parsed text asks DynamoDB to do, and its binding to a table's key and to parameters.

use partita_model::schema::KeySchema;
use partita_model::{AttributeMap, AttributeValue};

use super::condition::condition;
use super::error::Error;
use super::keys::{self, Direction, Plan, Planned, check_key_value};
use super::literal::{Values, node_name};
use super::parser::{Parsed, parse};
use super::selection::Selection;
use super::tree::{Dml, From, Id, Node, Operation, ProjectionNode, ReturningElement, SelectNode, Step};
use super::update::update;
use crate::condition::Condition;
use crate::key::KeyNames;
use crate::update::Update;

/// The most characters of a statement (the service model: 8,192).
pub const MAX_STATEMENT_CHARACTERS: usize = 8_192;

/// A statement, parsed and found to be one that DynamoDB knows; it can be shared and bound any number of times.
#[derive(Clone, Debug)]
pub struct Statement {
    parsed: Parsed,
    kind: StatementKind,
    table: String,
    index: Option<String>,
    returning: Option<Returning>,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// `SELECT`
    Select,
    /// `INSERT INTO`
    Insert,
    /// `UPDATE`, or `FROM … WHERE … SET`
    Update,
    /// `DELETE FROM`
    Delete,
    /// `EXISTS(SELECT …)`, the condition check of transactions.
    Exists,
    /// An expression by itself, which nothing executes.
    Expression,
}

/// What a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returning {
    /// All attributes as they were.
    AllOld,
    /// All attributes as they are.
    AllNew,
    /// What was changed, as it was.
    ModifiedOld,
    /// What was changed, as it is.
    ModifiedNew,
}

/// What a statement has to know of the table it is about.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'k> {
    /// The key of the table, or of the index that a SELECT names.
    pub schema: &'k KeySchema,
    /// The names of all key attributes, which no path may lead into.
    pub names: KeyNames<'k>,
}

/// A SELECT, ready to be executed.
#[derive(Clone, Debug)]
pub struct BoundSelect {
    /// Which items to read.
    pub plan: Plan,
    /// Which of them to return; `None` when the plan already reads no others.
    pub filter: Option<Condition>,
    /// Whether the WHERE clause gives the partition key beside whatever else it says. Then DynamoDB refuses a filter
    /// on what an index does not carry; otherwise such a filter just finds nothing.
    pub keyed: bool,
    /// What to return of each item; `None` for everything.
    pub selection: Option<Selection>,
    /// Whether items come in descending order of their sort keys.
    pub descending: bool,
    /// The primary key, when the WHERE clause is equalities on all its attributes and nothing else.
    pub key: Option<AttributeMap>,
}

/// An UPDATE, ready to be executed.
#[derive(Clone, Debug)]
pub struct BoundUpdate {
    /// The item's key.
    pub key: AttributeMap,
    /// What to change.
    pub update: Update,
    /// The WHERE clause, which no absent item satisfies.
    pub condition: Condition,
}

/// A DELETE, ready to be executed.
#[derive(Clone, Debug)]
pub struct BoundDelete {
    /// The item's key.
    pub key: AttributeMap,
    /// What else the WHERE clause wants of an item that is there; an absent one is no reason to fail.
    pub condition: Option<Condition>,
}

/// An EXISTS, ready to be executed.
#[derive(Clone, Debug)]
pub struct BoundExists {
    /// The item's key.
    pub key: AttributeMap,
    /// What must hold of it.
    pub condition: Condition,
}

impl Statement {
    /// Parses a statement.
    ///
    /// # Errors
    /// When the text is no statement, or one that DynamoDB refuses whatever the table.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let parsed = parse(text)?;
        let mut statement =
            Self { parsed, kind: StatementKind::Expression, table: String::new(), index: None, returning: None };
        statement.classify()?;
        Ok(statement)
    }

    /// What the statement does.
    #[must_use]
    pub fn kind(&self) -> StatementKind {
        self.kind
    }

    /// Whether the statement reads: a SELECT.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.kind == StatementKind::Select
    }

    /// The table's name or ARN; empty for a statement that nothing executes.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The name of the index that a SELECT reads.
    #[must_use]
    pub fn index(&self) -> Option<&str> {
        self.index.as_deref()
    }

    /// Whether a SELECT returns attributes that it names, and not whole items.
    #[must_use]
    pub fn selects_attributes(&self) -> bool {
        self.select_node().is_some_and(|select| select.projection != ProjectionNode::All)
    }

    /// What an UPDATE or DELETE returns.
    #[must_use]
    pub fn returning(&self) -> Option<Returning> {
        self.returning
    }

    // ---- what kind of statement ----------------------------------------------------------------------------------

    fn classify(&mut self) -> Result<(), Error> {
        let (kind, target) = match self.parsed.tree.node(self.parsed.root) {
            Node::Select(select) => (StatementKind::Select, self.check_select(select)?),
            Node::Dml(dml) => {
                let (kind, target) = self.check_dml(dml)?;
                let returning = returning(dml.returning.as_deref(), kind)?;
                self.returning = returning;
                (kind, target)
            }
            Node::Call(name, operands) => match (&**name, operands.as_slice()) {
                ("exists", [only]) => match self.parsed.tree.node(*only) {
                    Node::Select(select) => (StatementKind::Exists, self.check_select(select)?),
                    _ => return Ok(()),
                },
                _ => return Ok(()),
            },
            Node::Unary(..) | Node::Binary(..) | Node::Between(..) => return Ok(()),
            other => {
                let name = match other {
                    Node::Is(..) => "IsType",
                    other => node_name(other),
                };
                return Err(Error::unsupported(format!("Unsupported operation: {name}")));
            }
        };
        self.kind = kind;
        (self.table, self.index) = target;
        Ok(())
    }

    fn check_select(&self, select: &SelectNode) -> Result<(String, Option<String>), Error> {
        if select.projection == ProjectionNode::Value {
            return Err(Error::unsupported("Select projection doesn't support value or pivot keywords"));
        }
        if select.distinct {
            return Err(Error::unsupported("Unsupported token in expression: DISTINCT"));
        }
        if select.group {
            return Err(Error::unsupported("Unsupported clause: GROUP BY"));
        }
        if let Some(span) = select.having {
            return Err(Error::unsupported_at("Unsupported clause: HAVING", span));
        }
        if let Some(span) = select.limit {
            return Err(Error::unsupported_at("Unsupported clause: LIMIT", span));
        }
        self.source(&select.from)
    }

    fn check_dml(&self, dml: &Dml) -> Result<(StatementKind, (String, Option<String>)), Error> {
        let insert = dml
            .operations
            .iter()
            .find(|operation| matches!(operation, Operation::InsertAll | Operation::InsertValue { .. }));
        if let Some(insert) = insert {
            let span = self.parsed.tree.span(self.parsed.root);
            if dml.from != From::None {
                return Err(Error::unsupported_at("Unsupported FROM ... WHERE ... clause in INSERT statement.", span));
            }
            let Operation::InsertValue { target, at, on_conflict, returning, .. } = insert else {
                return Err(Error::unsupported("Unsupported operation: InsertOp"));
            };
            if *at {
                return Err(Error::unsupported_at("AT is not supported in insert statements.", span));
            }
            if *on_conflict {
                return Err(Error::unsupported("Unsupported clause: ON CONFLICT"));
            }
            if *returning {
                return Err(Error::unsupported("RETURNING is not supported in INSERT"));
            }
            let Node::Name(table) = self.parsed.tree.node(*target) else {
                return Err(Error::unsupported(
                    "FROM clause may only contain a single table name in data manipulation statements",
                ));
            };
            return Ok((StatementKind::Insert, (checked_name(table)?, None)));
        }
        let (table, index) = self.source(&dml.from)?;
        if index.is_some() {
            return Err(Error::unsupported("This operation is not supported on an index"));
        }
        let kind = match dml.operations.as_slice() {
            [Operation::Delete] => StatementKind::Delete,
            _ => StatementKind::Update,
        };
        Ok((kind, (table, None)))
    }

    /// The table and index that a source names.
    fn source(&self, from: &From) -> Result<(String, Option<String>), Error> {
        let tree = &self.parsed.tree;
        let node = match from {
            From::Join | From::None => {
                return Err(Error::unsupported("Only select from a single table or index is supported."));
            }
            From::Unpivot => return Err(Error::unsupported("Unexpected from source")),
            From::Source { aliased: true, .. } => return Err(Error::unsupported("Aliasing is not supported")),
            From::Source { node, .. } => *node,
        };
        match tree.node(node) {
            Node::Name(table) => Ok((checked_name(table)?, None)),
            Node::Path(root, steps) => {
                let Node::Name(table) = tree.node(*root) else {
                    return Err(Error::unsupported("Unexpected from source"));
                };
                let [step] = steps.as_slice() else {
                    return Err(Error::unsupported("A path may contain at most 2 components in the FROM clause"));
                };
                let index = match step {
                    Step::Name(name) => name,
                    Step::Bracket(id) => match tree.node(*id) {
                        Node::String(name) => name,
                        _ => return Err(Error::unsupported("Invalid list expression in source.")),
                    },
                    Step::Unpivot | Step::Wildcard => return Err(Error::unsupported("Unexpected from source")),
                };
                Ok((checked_name(table)?, Some(checked_name(index)?)))
            }
            _ => Err(Error::unsupported("Unexpected from source")),
        }
    }

    // ---- with a table and parameters -----------------------------------------------------------------------------

    pub(super) fn values<'v>(&'v self, parameters: &'v [AttributeValue]) -> Result<Values<'v>, Error> {
        if parameters.len() < self.parsed.parameters {
            return Err(Error::ParameterCount);
        }
        Ok(Values { tree: &self.parsed.tree, parameters })
    }

    pub(super) fn select_node(&self) -> Option<&SelectNode> {
        match self.parsed.tree.node(self.parsed.root) {
            Node::Select(select) => Some(select),
            Node::Call(_, operands) => match operands.first().map(|only| self.parsed.tree.node(*only)) {
                Some(Node::Select(select)) => Some(select),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn dml(&self) -> Option<&Dml> {
        match self.parsed.tree.node(self.parsed.root) {
            Node::Dml(dml) => Some(dml),
            _ => None,
        }
    }

    /// Binds a SELECT.
    ///
    /// # Errors
    /// When the statement is none, or breaks a rule.
    pub fn select(&self, keys: &Keys<'_>, parameters: &[AttributeValue]) -> Result<BoundSelect, Error> {
        let select = self.select_node().ok_or_else(not_this_kind)?;
        let values = self.values(parameters)?;
        let selection = Selection::of(values.tree, &select.projection)?;
        if let Some(selection) = &selection {
            keys.names.check_scalars(selection.paths())?;
        }
        let direction = direction(values, select, keys.schema)?;
        let Some(clause) = select.condition else {
            return Ok(BoundSelect {
                plan: Plan::Scan,
                filter: None,
                keyed: false,
                selection,
                descending: false,
                key: None,
            });
        };
        let filter = condition(values, clause, None)?;
        filter.check_scalar_keys(&keys.names)?;
        let Planned { plan, keyed, exact } = keys::plan(values, clause, keys.schema, direction)?;
        if select.order.is_some() && plan == Plan::Scan {
            return Err(Error::unsupported(
                "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause.",
            ));
        }
        let key = match keys::fixed_key(values, Some(clause), keys.schema) {
            Ok((key, false)) => Some(key),
            _ => None,
        };
        Ok(BoundSelect {
            plan,
            filter: (!exact).then_some(filter),
            keyed,
            selection,
            descending: direction.sort_descends,
            key,
        })
    }

    /// Binds an INSERT: the item.
    ///
    /// # Errors
    /// When the statement is none, or breaks a rule.
    pub fn insert(&self, keys: &Keys<'_>, parameters: &[AttributeValue]) -> Result<AttributeMap, Error> {
        let Some([Operation::InsertValue { value, .. }]) = self.dml().map(|dml| dml.operations.as_slice()) else {
            return Err(not_this_kind());
        };
        let values = self.values(parameters)?;
        let Node::Struct(fields) = values.tree.node(*value) else {
            return Err(Error::unsupported_at(
                "Unsupported format in item expression. Please use struct format {...} to express item values for insert \
                 statement.",
                values.tree.span(*value),
            ));
        };
        let item = values.map(fields, "root", |id, name| {
            if name.is_empty() {
                return Err(Error::unsupported("Path component cannot be an empty string"));
            }
            values.value(id)
        })?;
        for attribute in keys.schema.attributes() {
            let value = item.get(&attribute.name).ok_or_else(|| Error::KeyMissing(attribute.name.clone()))?;
            check_key_value(attribute, value)?;
        }
        Ok(item)
    }

    /// Binds an UPDATE.
    ///
    /// # Errors
    /// When the statement is none, or breaks a rule.
    pub fn update(&self, keys: &Keys<'_>, parameters: &[AttributeValue]) -> Result<BoundUpdate, Error> {
        let dml = self.dml().ok_or_else(not_this_kind)?;
        let values = self.values(parameters)?;
        let (key, _) = keys::fixed_key(values, dml.condition, keys.schema)?;
        let update = update(values, &dml.operations)?;
        let condition = where_clause(values, dml.condition, None)?;
        condition.check_scalar_keys(&keys.names)?;
        Ok(BoundUpdate { key, update, condition })
    }

    /// Binds a DELETE.
    ///
    /// # Errors
    /// When the statement is none, or breaks a rule.
    pub fn delete(&self, keys: &Keys<'_>, parameters: &[AttributeValue]) -> Result<BoundDelete, Error> {
        let dml = self.dml().ok_or_else(not_this_kind)?;
        let values = self.values(parameters)?;
        let (key, says_more) = keys::fixed_key(values, dml.condition, keys.schema)?;
        let partition = keys.schema.partition.first().map(|attribute| attribute.name.as_str());
        let condition = where_clause(values, dml.condition, partition)?;
        condition.check_scalar_keys(&keys.names)?;
        Ok(BoundDelete { key, condition: says_more.then_some(condition) })
    }

    /// Binds an EXISTS.
    ///
    /// # Errors
    /// When the statement is none, or breaks a rule.
    pub fn exists(&self, keys: &Keys<'_>, parameters: &[AttributeValue]) -> Result<BoundExists, Error> {
        let select = self.select_node().ok_or_else(not_this_kind)?;
        let values = self.values(parameters)?;
        let (Ok((key, true)), Some(clause)) =
            (keys::fixed_key(values, select.condition, keys.schema), select.condition)
        else {
            return Err(Error::unsupported("EXISTS() must contain a single item read with additional condition"));
        };
        let condition = condition(values, clause, None)?;
        condition.check_scalar_keys(&keys.names)?;
        Ok(BoundExists { key, condition })
    }
}

fn where_clause(values: Values<'_>, clause: Option<Id>, unless_absent: Option<&str>) -> Result<Condition, Error> {
    condition(values, clause.ok_or(Error::KeyNotFixed)?, unless_absent)
}

fn not_this_kind() -> Error {
    Error::unsupported("The statement is of another kind")
}

/// The order that ORDER BY asks for.
fn direction(values: Values<'_>, select: &SelectNode, schema: &KeySchema) -> Result<Direction, Error> {
    let Some(order) = &select.order else { return Ok(Direction::default()) };
    if select.condition.is_none() {
        return Err(Error::unsupported("Must have WHERE clause in the statement when using ORDER BY clause."));
    }
    let mut direction = Direction::default();
    for sort in order {
        let name = match values.tree.node(sort.node) {
            Node::Name(name) => name,
            other => {
                let what = match other {
                    Node::Path(..) => "PATH",
                    Node::Number { text, .. } | Node::String(text) => text,
                    other => node_name(other),
                };
                return Err(Error::unsupported(format!(
                    "Argument to ORDER BY must be of type VariableReference. Type: {what}"
                )));
            }
        };
        if schema.partition.iter().any(|attribute| *attribute.name == **name) {
            direction.partitions_descend = sort.descending;
        } else if schema.sort.iter().any(|attribute| *attribute.name == **name) {
            direction.sort_descends = sort.descending;
        } else {
            return Err(Error::unsupported(format!(
                "Variable reference {name} in ORDER BY clause must be part of the primary key"
            )));
        }
    }
    Ok(direction)
}

/// A table's or index's name, or an ARN.
fn checked_name(name: &str) -> Result<String, Error> {
    if name.is_empty() {
        return Err(Error::unsupported("Path component cannot be an empty string"));
    }
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = (3..=255).contains(&name.len()) && name.bytes().all(is_word);
    if is_name || name.starts_with("arn:") {
        return Ok(name.to_owned());
    }
    Err(Error::unsupported(
        "Table name should be within the length [3, 255] and only contain 'a-z', 'A-Z', '0-9', '-', '_', '.'.",
    ))
}

fn returning(elements: Option<&[ReturningElement]>, kind: StatementKind) -> Result<Option<Returning>, Error> {
    let Some(elements) = elements else { return Ok(None) };
    let [element] = elements else {
        return Err(Error::unsupported("Invalid syntax with multiple returning elements in RETURNING clause"));
    };
    if !element.all {
        return Err(Error::unsupported("Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause"));
    }
    let returning = match element.mapping {
        "all_old" => Returning::AllOld,
        "all_new" => Returning::AllNew,
        "modified_old" => Returning::ModifiedOld,
        _ => Returning::ModifiedNew,
    };
    if kind == StatementKind::Delete && returning != Returning::AllOld {
        let shown = element.mapping.replace('_', " ").to_ascii_uppercase();
        return Err(Error::unsupported(format!(
            "Invalid returning clause: RETURNING {shown} *. Only RETURNING ALL OLD * is allowed in DELETE statements."
        )));
    }
    Ok(Some(returning))
}
