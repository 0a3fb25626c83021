//! The policies that users, groups and roles hold: inline ones, attached ones, and the permissions boundary.

use partita_engine::Key;

use super::entities::{entity_key, existing};
use super::entity::{Entity, Kind, Part, PolicyUse};
use super::fault::{Fault, FaultCode, Outcome};
use super::limits::MAX_ATTACHED;
use super::policies;
use crate::Database;

/// The characters of a document that quotas count: all but white space.
pub(super) fn counted_characters(document: &str) -> usize {
    document.chars().filter(|character| !character.is_whitespace()).count()
}

impl Database {
    /// Gives an inline policy to a user, group or role, in place of one of the same name.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn put_inline<P: Part>(&self, account: &str, name: &str, policy: &str, document: &str) -> Outcome<()> {
        self.change_entity(account, name, |entity: &mut Entity<P>| {
            entity.held.inline.insert(policy.to_owned(), document.to_owned());
            let size: usize = entity.held.inline.values().map(|document| counted_characters(document)).sum();
            if size > P::KIND.max_inline() {
                return Err(Fault::new(
                    FaultCode::LimitExceeded,
                    format!(
                        "Maximum policy size of {} bytes exceeded for {} {name}",
                        P::KIND.max_inline(),
                        P::KIND.word()
                    ),
                ));
            }
            Ok(())
        })
        .await
    }

    /// Takes an inline policy away.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn delete_inline<P: Part>(&self, account: &str, name: &str, policy: &str) -> Outcome<()> {
        self.change_entity(account, name, |entity: &mut Entity<P>| {
            entity.held.inline.remove(policy).map(|_| ()).ok_or_else(|| no_such_inline(P::KIND, policy))
        })
        .await
    }

    /// Attaches a managed policy; nothing happens when it is attached already.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn attach<P: Part>(&self, account: &str, name: &str, arn: &str) -> Outcome<()> {
        let (entity_key, keys) = keys_with_policy::<P>(account, name, arn);
        self.change_identities(&keys, |records| {
            let mut entity: Entity<P> = existing(records, &entity_key, name)?;
            policies::check_attachable(records, account, arn)?;
            if entity.held.attached.iter().any(|attached| attached == arn) {
                return Ok(());
            }
            if entity.held.attached.len() >= MAX_ATTACHED {
                return Err(Fault::quota(&format!("PoliciesPer{}", P::KIND.title()), MAX_ATTACHED));
            }
            entity.held.attached.push(arn.to_owned());
            policies::count(records, account, arn, |uses| uses.attachments = uses.attachments.saturating_add(1))?;
            Ok(records.put(&entity_key, &entity)?)
        })
        .await
    }

    /// Detaches a managed policy.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn detach<P: Part>(&self, account: &str, name: &str, arn: &str) -> Outcome<()> {
        let (entity_key, keys) = keys_with_policy::<P>(account, name, arn);
        self.change_identities(&keys, |records| {
            let mut entity: Entity<P> = existing(records, &entity_key, name)?;
            let before = entity.held.attached.len();
            entity.held.attached.retain(|attached| attached != arn);
            if entity.held.attached.len() == before {
                return Err(Fault::missing(format!("Policy {arn} was not found.")));
            }
            policies::count(records, account, arn, PolicyUse::one_attachment_less)?;
            Ok(records.put(&entity_key, &entity)?)
        })
        .await
    }

    /// Sets the permissions boundary of a user or role, or takes it away.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn set_boundary<P: Part>(&self, account: &str, name: &str, arn: Option<&str>) -> Outcome<()> {
        // Which policy was the boundary is known only from the record: it is read before, and checked to be the same.
        loop {
            let before = self.entity::<P>(account, name).await?.held.boundary;
            let entity_key = entity_key::<P>(account, name);
            let mut keys = vec![entity_key.clone()];
            for arn in [before.as_deref(), arn].into_iter().flatten() {
                keys.extend(policies::keys(account, arn));
            }
            keys.sort_unstable();
            keys.dedup();
            let done = self
                .change_identities(&keys, |records| {
                    let mut entity: Entity<P> = existing(records, &entity_key, name)?;
                    if entity.held.boundary != before {
                        return Ok(false);
                    }
                    if let Some(before) = &before {
                        policies::count(records, account, before, PolicyUse::one_boundary_less)?;
                    }
                    if let Some(arn) = arn {
                        policies::check_attachable(records, account, arn)?;
                        policies::count(records, account, arn, |uses| {
                            uses.boundaries = uses.boundaries.saturating_add(1);
                        })?;
                    } else if before.is_none() {
                        return Err(Fault::missing(format!(
                            "{} {name} does not have a permissions boundary.",
                            P::KIND.title()
                        )));
                    }
                    entity.held.boundary = arn.map(str::to_owned);
                    records.put(&entity_key, &entity)?;
                    Ok(true)
                })
                .await?;
            if done {
                return Ok(());
            }
        }
    }
}

/// The refusal when an entity has no inline policy of a name.
fn no_such_inline(kind: Kind, policy: &str) -> Fault {
    Fault::missing(format!("The {} policy with name {policy} cannot be found.", kind.word()))
}

impl<P: Part> Entity<P> {
    /// The document of an inline policy.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn inline(&self, policy: &str) -> Outcome<&str> {
        self.held.inline.get(policy).map(String::as_str).ok_or_else(|| no_such_inline(P::KIND, policy))
    }
}

fn keys_with_policy<P: Part>(account: &str, name: &str, arn: &str) -> (Key, Vec<Key>) {
    let key = entity_key::<P>(account, name);
    let mut keys = vec![key.clone()];
    keys.extend(policies::keys(account, arn));
    (key, keys)
}
