//! Deciding one write: what the item becomes, or why not. Pure; the item as it is comes in, the item as it will be
//! goes out.

use partita_expr::Path;
use partita_model::size::MAX_ITEM_BYTES;
use partita_model::value::MAX_NESTING_DEPTH;
use partita_model::{Refusal, StoredItem};

use super::{Mutation, ReturnValues, SingleWrite};
use crate::error::{Error, Result};
use crate::table::{Origin, Table};

/// What a write makes of an item.
#[derive(Debug)]
pub(super) struct Decision {
    /// The item after the write; `None` when there is none.
    pub new: Option<StoredItem>,
    /// The attributes the request asked for.
    pub attributes: Option<StoredItem>,
}

/// Judges a write against the item as it is.
///
/// # Errors
/// `ConditionFailed`, or the refusal of a result that the table can not hold.
pub(super) fn decide(table: &Table, write: &SingleWrite, old: Option<&StoredItem>) -> Result<Decision> {
    let put = match &write.mutation {
        Mutation::Put(item) => Some(StoredItem::from_item(item)),
        Mutation::Update(_) | Mutation::Delete | Mutation::Check => None,
    };
    if let Some(item) = &put {
        check_item(table, item, Origin::Put)?;
    }
    if let Some(condition) = &write.condition
        && !condition.matches(&old)
    {
        return Err(Error::ConditionFailed { item: old.filter(|_| write.item_on_failure).cloned() });
    }
    let all_old = || old.filter(|_| write.returns == ReturnValues::AllOld).cloned();
    match &write.mutation {
        Mutation::Put(_) => Ok(Decision { new: put, attributes: all_old() }),
        Mutation::Delete => Ok(Decision { new: None, attributes: all_old() }),
        Mutation::Check => Ok(Decision { new: old.cloned(), attributes: None }),
        Mutation::Update(update) => {
            // Only the attributes that the update reads or writes become trees; the bytes of the others are copied.
            let touched: Vec<&str> = update.paths_written().chain(update.paths_read()).map(Path::root).collect();
            let base = old.cloned().unwrap_or_else(|| StoredItem::from_item(&write.key.attributes));
            let before = base.project(&touched).to_item();
            let updated = update.apply(&before)?;
            let new = base.replace(&touched, &updated.item);
            let origin = if update.is_legacy() { Origin::AttributeUpdates } else { Origin::Expression };
            check_item(table, &new, origin)?;
            if updated.item.iter().any(|(_, value)| value.depth() >= MAX_NESTING_DEPTH) {
                return Err(Refusal::validation(
                    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond \
                     supported limit",
                )
                .into());
            }
            let attributes = match write.returns {
                ReturnValues::None => None,
                ReturnValues::AllOld => old.cloned(),
                ReturnValues::AllNew => Some(new.clone()),
                ReturnValues::UpdatedOld => {
                    old.and_then(|_| update.written_of(&before)).map(|item| StoredItem::from_item(&item))
                }
                ReturnValues::UpdatedNew => update.written_of(&updated.item).map(|item| StoredItem::from_item(&item)),
            };
            Ok(Decision { new: Some(new), attributes })
        }
    }
}

/// Refuses an item that the table can not hold.
pub(super) fn check_item(table: &Table, item: &StoredItem, origin: Origin) -> Result<()> {
    if item.size() > MAX_ITEM_BYTES {
        return Err(Error::validation(match origin {
            Origin::Put => "Item size has exceeded the maximum allowed size",
            Origin::Expression | Origin::AttributeUpdates => {
                "Item size to update has exceeded the maximum allowed size"
            }
        }));
    }
    table.check_index_keys(item, origin)
}
