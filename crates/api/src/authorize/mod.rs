//! What each request does, put to the policies: actions, resources and condition keys, as AWS's service authorization
//! reference lists them for DynamoDB.
//!
//! A handler gets its request from a `Body` alone, and a body gives it up only once it is judged; so a request structure
//! that does not say what it does (`Judged`) can not have a handler. Without authentication nothing of this is computed.
//! How policies are evaluated is `partita_auth`'s; who a caller is, `caller`'s.

mod conditions;
mod expressions;
mod items;
mod judge;
mod named;
mod statements;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use named::{Named, Place};
pub(crate) use tables::{RESOURCE_ACTIONS, own_action};

use crate::failure::Failure;
use crate::generated::inputs::BatchExecuteStatementInput;
use crate::generated::operations::Input;
use crate::operations::Context;
use crate::request::{self, Decoded};
use partita_model::Refusal;

/// A request structure that says what it does.
pub(crate) trait Judged: Input {
    /// Lists all that the request would do. Every entry has to be allowed.
    ///
    /// # Errors
    /// What the request is refused with whatever the policies say, where nothing can be told of it.
    fn named<'r>(&'r self, named: &mut Vec<Named<'r>>) -> Result<(), Refusal>;
}

/// The body of a request that has not been judged yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    /// The body of a request as it came.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

/// A batch of statements, each judged by itself.
pub(crate) struct JudgedStatements<'a> {
    /// The request.
    pub decoded: Decoded<BatchExecuteStatementInput>,
    /// Why the statement at this place may not be executed.
    pub denied: Vec<Option<Failure>>,
    /// The body that it was decoded from.
    pub bytes: &'a [u8],
}

impl Context<'_> {
    /// Decodes a request, checks it against the model, and has it judged.
    ///
    /// # Errors
    /// `SerializationException`, `ValidationException` that lists the constraints that are broken, or
    /// `AccessDeniedException`.
    pub(crate) async fn read<T: Judged + Sync>(&self, body: Body<'_>) -> Result<Decoded<T>, Failure> {
        let decoded = request::read::<T>(body.0)?;
        self.judge(&decoded.input).await?;
        Ok(decoded)
    }

    /// The same without the model's constraints, for operations that have words of their own for them.
    ///
    /// # Errors
    /// `SerializationException` or `AccessDeniedException`.
    pub(crate) async fn decode<T: Judged + Sync>(&self, body: Body<'_>) -> Result<Decoded<T>, Failure> {
        let decoded = request::decode::<T>(body.0)?;
        self.judge(&decoded.input).await?;
        Ok(decoded)
    }

    /// Decodes a batch of statements, of which some may be denied and the others go on.
    ///
    /// # Errors
    /// `SerializationException`, or `ValidationException` that lists the constraints that are broken.
    pub(crate) async fn read_statements<'a>(&self, body: Body<'a>) -> Result<JudgedStatements<'a>, Failure> {
        let decoded = request::read::<BatchExecuteStatementInput>(body.0)?;
        let statements = decoded.input.statements.as_deref().unwrap_or_default();
        let mut denied = Vec::with_capacity(statements.len());
        for statement in statements {
            denied.push(match self.caller.principal {
                Some(_) => Box::pin(self.judge_member(statement)).await.err(),
                None => None,
            });
        }
        Ok(JudgedStatements { decoded, denied, bytes: body.0 })
    }

    /// The body of one of Partita's own operations, which are judged by `authorize` with what they name.
    pub(crate) const fn own<'a>(&self, body: Body<'a>) -> &'a [u8] {
        body.0
    }

    async fn judge<T: Judged + Sync>(&self, input: &T) -> Result<(), Failure> {
        if self.caller.principal.is_none() {
            return Ok(());
        }
        // On the heap, so that the futures of all handlers stay small.
        Box::pin(async {
            let mut named = Vec::with_capacity(1);
            input.named(&mut named)?;
            self.authorize(&named).await
        })
        .await
    }
}
