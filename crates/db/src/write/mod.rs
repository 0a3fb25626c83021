//! Writing items: single writes, batches and transactions.
//!
//! A write is: read a snapshot, decide, commit if nothing read has changed. `decide` judges one write against the item
//! as it is and says what the item becomes; `plan` turns that into changes of the store, indexes and counters included.

mod batch;
mod collection;
#[cfg(test)]
mod collection_tests;
mod decide;
mod load;
mod measure;
mod plan;
mod single;
#[cfg(test)]
mod tests;
mod token;
mod transact;

pub use batch::BatchWritten;
pub use collection::ItemCollection;
pub(crate) use measure::is_unmeasured;
pub use token::ClientToken;
pub(crate) use token::RunningTokens;
pub use transact::Transacted;
pub(crate) use transact::transaction_too_large;

pub(crate) use load::{Put, PutOutcome};
pub(crate) use plan::{Caused, plan_caused};

use partita_expr::{Condition, Update};
use partita_model::{Item, StoredItem};

use crate::capacity::Consumed;
use crate::table::ItemKey;

/// What a write does to an item.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// Replaces it whole.
    Put(Item),
    /// Changes attributes, making the item when it is not there.
    Update(Update),
    /// Removes it.
    Delete,
    /// Only judges the condition; of transactions.
    Check,
}

/// Which attributes a write answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnValues {
    /// None.
    #[default]
    None,
    /// All, as they were before.
    AllOld,
    /// Those the update names, as they were before.
    UpdatedOld,
    /// All, as they are after.
    AllNew,
    /// Those the update names, as they are after.
    UpdatedNew,
}

/// One write of one item.
#[derive(Clone, Debug)]
pub struct SingleWrite {
    /// The item.
    pub key: ItemKey,
    /// What to do.
    pub mutation: Mutation,
    /// What must hold of the item before.
    pub condition: Option<Condition>,
    /// What to answer with.
    pub returns: ReturnValues,
    /// Whether the answer to a failed condition carries the item.
    pub item_on_failure: bool,
}

/// What a write did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The attributes asked for; `None` when there are none.
    pub attributes: Option<StoredItem>,
    /// What it consumed.
    pub consumed: Consumed,
}

/// One member of a transaction.
#[derive(Clone, Debug)]
pub struct TransactMember {
    /// The table, as the request was checked against.
    pub table: std::sync::Arc<crate::table::Table>,
    /// The write.
    pub write: SingleWrite,
}
