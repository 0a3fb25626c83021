//! Deciding one write: what the item becomes, or why not. Pure; the item as it is comes in, the item as it will be
//! goes out.

use partita_model::size::{MAX_ITEM_BYTES, item_size};
use partita_model::value::MAX_NESTING_DEPTH;
use partita_model::{Item, Refusal, StoredItem};

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
    if let Mutation::Put(item) = &write.mutation {
        check_item(table, item, Origin::Put)?;
    }
    if let Some(condition) = &write.condition
        && !condition.matches(&old)
    {
        return Err(Error::ConditionFailed { item: old.filter(|_| write.item_on_failure).cloned() });
    }
    let all_old = || old.filter(|_| write.returns == ReturnValues::AllOld).cloned();
    match &write.mutation {
        Mutation::Put(item) => Ok(Decision { new: Some(StoredItem::from_item(item)), attributes: all_old() }),
        Mutation::Delete => Ok(Decision { new: None, attributes: all_old() }),
        Mutation::Check => Ok(Decision { new: old.cloned(), attributes: None }),
        Mutation::Update(update) => {
            let before = old.map(StoredItem::to_item);
            let updated = update.apply(before.as_ref().unwrap_or(&write.key.attributes))?;
            let origin = if update.is_legacy() { Origin::AttributeUpdates } else { Origin::Expression };
            check_item(table, &updated.item, origin)?;
            if updated.item.iter().any(|(_, value)| value.depth() >= MAX_NESTING_DEPTH) {
                return Err(Refusal::validation(
                    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond \
                     supported limit",
                )
                .into());
            }
            let new = StoredItem::from_item(&updated.item);
            let attributes = match write.returns {
                ReturnValues::None => None,
                ReturnValues::AllOld => old.cloned(),
                ReturnValues::AllNew => Some(new.clone()),
                ReturnValues::UpdatedOld => before
                    .as_ref()
                    .and_then(|before| update.written_of(before))
                    .map(|item| StoredItem::from_item(&item)),
                ReturnValues::UpdatedNew => update.written_of(&updated.item).map(|item| StoredItem::from_item(&item)),
            };
            Ok(Decision { new: Some(new), attributes })
        }
    }
}

fn check_item(table: &Table, item: &Item, origin: Origin) -> Result<()> {
    if item_size(item) > MAX_ITEM_BYTES {
        return Err(Error::validation(match origin {
            Origin::Put => "Item size has exceeded the maximum allowed size",
            Origin::Expression | Origin::AttributeUpdates => {
                "Item size to update has exceeded the maximum allowed size"
            }
        }));
    }
    table.check_index_keys(item, origin)
}
