//! What PartiQL statements do.

use std::borrow::Cow;

use partita_expr::partiql::{Statement, StatementKind};
use partita_model::{AttributeValue, Refusal};

use super::Judged;
use super::named::{Details, Named, Place, Stated};
use crate::failure::Failure;
use crate::generated::inputs;
use crate::generated::structures::BatchStatementRequest;
use crate::operations::{Context, refused_statement};

/// What a statement of a request does.
fn stated<'r>(
    text: &Option<String>,
    parameters: &'r Option<Vec<AttributeValue>>,
    on_failure: &'r Option<String>,
    consumed: &'r Option<String>,
) -> Result<Named<'r>, partita_expr::partiql::Error> {
    let statement = Statement::parse(text.as_deref().unwrap_or_default())?;
    let action = match statement.kind() {
        StatementKind::Select => "dynamodb:PartiQLSelect",
        StatementKind::Insert => "dynamodb:PartiQLInsert",
        StatementKind::Update => "dynamodb:PartiQLUpdate",
        StatementKind::Delete => "dynamodb:PartiQLDelete",
        StatementKind::Exists | StatementKind::Expression => "dynamodb:ConditionCheckItem",
    };
    let table: Cow<'r, str> = Cow::Owned(statement.table().to_owned());
    let place = match statement.index() {
        _ if statement.kind() == StatementKind::Expression => Place::Any,
        Some(index) => Place::Index(table, Cow::Owned(index.to_owned())),
        None => Place::Table(table),
    };
    let stated = Stated {
        statement,
        parameters: parameters.as_deref().unwrap_or_default(),
        on_failure: on_failure.as_deref(),
        consumed: consumed.as_deref(),
    };
    Ok(Named { details: Details::Statement(Box::new(stated)), ..Named::new(action, place) })
}

impl Judged for inputs::ExecuteStatementInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        let on_failure = &self.return_values_on_condition_check_failure;
        named.push(stated(&self.statement, &self.parameters, on_failure, &self.return_consumed_capacity)?);
        Ok(())
    }
}

impl Judged for inputs::ExecuteTransactionInput {
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal> {
        for (at, member) in self.transact_statements.iter().flatten().enumerate() {
            let on_failure = &member.return_values_on_condition_check_failure;
            let member = stated(&member.statement, &member.parameters, on_failure, &self.return_consumed_capacity)
                .map_err(|error| refused_statement(at, error))?;
            named.push(Named { enclosing: Some("ExecuteTransaction"), ..member });
        }
        Ok(())
    }
}

impl Context<'_> {
    /// Judges one statement of a batch.
    pub(super) async fn judge_member(&self, member: &BatchStatementRequest) -> Result<(), Failure> {
        let on_failure = &member.return_values_on_condition_check_failure;
        let named = stated(&member.statement, &member.parameters, on_failure, &None).map_err(Refusal::from)?;
        self.authorize(&[named]).await
    }
}
