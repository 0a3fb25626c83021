//! PartiQL: ExecuteStatement, BatchExecuteStatement and ExecuteTransaction. Statements are parsed and lowered by
//! `partita_expr::partiql`; what is executed are the same reads and writes as those of the JSON operations.

mod batch;
mod read;
mod token;
mod transaction;
mod write;

use partita_db::{Index, Table};
use partita_expr::KeyNames;
use partita_expr::partiql::{self, Statement, StatementKind};
use partita_model::schema::{KeyAttribute, KeySchema, KeyType};
use partita_model::{AttributeValue, Refusal};

pub(super) use batch::batch_execute_statement;
pub(super) use transaction::execute_transaction;
pub(crate) use transaction::refused as refused_statement;

use super::Context;
use super::consumed::Detail;
use super::expressions::Keys;
use crate::authorize::Body;
use crate::failure::Failure;
use crate::generated::inputs::ExecuteStatementInput;
use crate::json;
use crate::request::Decoded;

const ALL_OLD: &str = "ALL_OLD";
const DUPLICATE_KEY: &str = "Duplicate primary key exists in table";

pub(super) async fn execute_statement(context: &Context<'_>, body: Body<'_>) -> Result<Vec<u8>, Failure> {
    let Decoded { input, values } = context.read::<ExecuteStatementInput>(body).await?;
    let text = input.statement.as_deref().unwrap_or_default();
    let statement = context.expressions.statement(text).map_err(Refusal::from)?;
    values.check()?;
    let parameters = input.parameters.unwrap_or_default();
    let detail = Detail::of(input.return_consumed_capacity.as_deref());
    let output = match statement.kind() {
        StatementKind::Expression | StatementKind::Exists => {
            return Err(Refusal::validation("EXISTS can only be used in ExecuteTransaction write requests.").into());
        }
        StatementKind::Select => {
            let request = read::Request {
                statement: &statement,
                parameters: &parameters,
                limit: input.limit.map(|limit| usize::try_from(limit).unwrap_or(1)),
                next: input.next_token.as_deref(),
                consistent: input.consistent_read.unwrap_or(false),
                detail,
            };
            read::execute(context, &request).await?
        }
        StatementKind::Insert | StatementKind::Update | StatementKind::Delete => {
            let table = context.table(Some(statement.table())).await?;
            let item_on_failure = input.return_values_on_condition_check_failure.as_deref() == Some(ALL_OLD);
            let write = write::bind(context, &table, &statement, &parameters, item_on_failure)?;
            write::execute(context, &table, &statement, write, detail).await?
        }
    };
    Ok(json::to_vec(&output))
}

/// Refuses a SELECT that compares with a value that has no order: such a one is refused even when its table is not there.
fn check_operands(statement: &Statement, parameters: &[AttributeValue]) -> Result<(), Refusal> {
    // Any key will do: what is wrong with the operands of a comparison does not depend on it.
    let any_key = KeyAttribute { name: String::new(), key_type: KeyType::S };
    let schema = KeySchema { partition: vec![any_key], sort: Vec::new() };
    let keys = partiql::Keys { schema: &schema, names: KeyNames { table: &[], indexes: &[] } };
    match statement.select(&keys, parameters).map_err(Refusal::from) {
        Err(refusal) if refusal.message.starts_with("Incorrect operand type for operator or function") => Err(refusal),
        _ => Ok(()),
    }
}

/// A statement's table as binding needs it.
struct Bound<'t> {
    index: Option<(usize, &'t Index)>,
    table: &'t Table,
    names: Keys<'t>,
}

impl<'t> Bound<'t> {
    /// Finds the index that a statement names.
    fn of(table: &'t Table, statement: &Statement) -> Result<Self, Refusal> {
        let index = match statement.index() {
            None => None,
            Some(name) => Some(
                table.index(name).ok_or_else(|| Refusal::validation("The table does not have the specified index"))?,
            ),
        };
        if let Some((_, index)) = index
            && (index.key.partition.len() > 1 || index.key.sort.len() > 1)
        {
            return Err(Refusal::validation(
                "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE \
                 keys.",
            ));
        }
        Ok(Self { index, table, names: Keys::of(table) })
    }

    fn keys(&self) -> partiql::Keys<'_> {
        let schema = self.index.map_or(&self.table.key, |(_, index)| &index.key);
        partiql::Keys { schema, names: self.names.names() }
    }
}
