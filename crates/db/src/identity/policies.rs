//! Managed policies: made, versioned, deleted, counted.

use std::collections::BTreeMap;

use partita_engine::{Freshness, Key};

use super::builtin::{BUILTIN_POLICIES, BuiltinPolicy, builtin_policy};
use super::change::Records;
use super::entities::Listed;
use super::entity::{Entity, ManagedPolicy, Part, PolicyUse, PolicyVersion};
use super::fault::{Fault, FaultCode, Outcome};
use super::held::counted_characters;
use super::ids;
use super::limits::{MAX_POLICIES, MAX_POLICY, MAX_TAGS, MAX_VERSIONS};
use crate::crypt::Snapshot;
use crate::error::Result;
use crate::{Database, keyspace};

/// What ids of managed policies begin with.
const ID_PREFIX: &str = "ANPA";
/// When the built-in policies were made, in milliseconds since the epoch: the day of the policy language they use.
const BUILTIN_CREATED_MS: u64 = 1_350_432_000_000;

/// A managed policy that is to be made. Everything but sizes and existence has been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPolicy {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its description.
    pub description: Option<String>,
    /// The document of its first version.
    pub document: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A managed policy with its ARN and how often it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPolicy {
    /// The policy.
    pub policy: ManagedPolicy,
    /// Its ARN.
    pub arn: String,
    /// How many users, groups and roles have it attached.
    pub attachments: u32,
    /// Of how many users and roles it is the boundary.
    pub boundaries: u32,
}

/// In which way a policy is used by an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedTo {
    /// As an attached policy.
    Permissions,
    /// As the boundary.
    Boundary,
    /// In either way.
    Either,
}

/// The ARN of a managed policy of an account's own.
#[must_use]
pub fn policy_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:policy{path}{name}")
}

/// The name of an account's own policy by its ARN.
fn name_in(account: &str, arn: &str) -> Option<String> {
    let path = arn.strip_prefix("arn:aws:iam::")?.strip_prefix(account)?.strip_prefix(":policy/")?;
    path.rsplit('/').next().map(str::to_owned)
}

fn policy_key(account: &str, name: &str) -> Key {
    keyspace::identity(account, b'p', &name.to_lowercase())
}

fn use_key(account: &str, arn: &str) -> Key {
    keyspace::identity(account, b'c', arn)
}

/// The keys of what [`check_attachable`] and [`count`] read and change.
pub(super) fn keys(account: &str, arn: &str) -> Vec<Key> {
    let policy = name_in(account, arn).map(|name| policy_key(account, &name));
    policy.into_iter().chain([use_key(account, arn)]).collect()
}

/// Checks that there is a policy with this ARN.
pub(super) fn check_attachable(records: &Records, account: &str, arn: &str) -> Outcome<()> {
    let own = || -> Outcome<bool> {
        let Some(name) = name_in(account, arn) else { return Ok(false) };
        let found: Option<ManagedPolicy> = records.get(&policy_key(account, &name))?;
        Ok(found.is_some_and(|policy| policy_arn(account, &policy.path, &policy.name) == arn))
    };
    if builtin_policy(arn).is_some() || own()? {
        return Ok(());
    }
    Err(Fault::missing(format!("Policy {arn} does not exist or is not attachable.")))
}

/// Changes how often a policy is said to be used.
pub(super) fn count(
    records: &mut Records,
    account: &str,
    arn: &str,
    change: impl FnOnce(&mut PolicyUse),
) -> Outcome<()> {
    let key = use_key(account, arn);
    let mut uses: PolicyUse = records.get(&key)?.unwrap_or_default();
    change(&mut uses);
    if uses == PolicyUse::default() {
        records.delete(&key);
    } else {
        records.put(&key, &uses)?;
    }
    Ok(())
}

impl PolicyUse {
    pub(super) fn one_attachment_less(&mut self) {
        self.attachments = self.attachments.saturating_sub(1);
    }

    pub(super) fn one_boundary_less(&mut self) {
        self.boundaries = self.boundaries.saturating_sub(1);
    }
}

impl BuiltinPolicy {
    /// The policy as if it were an account's own.
    fn managed(&self) -> ManagedPolicy {
        let version = PolicyVersion { number: 1, document: self.document.to_owned(), created_ms: BUILTIN_CREATED_MS };
        ManagedPolicy {
            id: self.id.to_owned(),
            name: self.name.to_owned(),
            path: "/".to_owned(),
            description: Some(self.description.to_owned()),
            created_ms: BUILTIN_CREATED_MS,
            changed_ms: BUILTIN_CREATED_MS,
            default_version: 1,
            next_version: 2,
            versions: vec![version],
            tags: BTreeMap::new(),
        }
    }
}

fn no_such_policy(arn: &str) -> Fault {
    Fault::missing(format!("Policy {arn} was not found."))
}

fn no_such_version(arn: &str, version: u32) -> Fault {
    Fault::missing(format!("Policy {arn} version v{version} does not exist or is not attachable."))
}

fn check_size(document: &str) -> Outcome<()> {
    if counted_characters(document) > MAX_POLICY {
        return Err(Fault::quota("PolicySize", MAX_POLICY));
    }
    Ok(())
}

impl Database {
    /// Makes a managed policy.
    ///
    /// # Errors
    /// `EntityAlreadyExists`, `LimitExceeded`.
    pub async fn create_policy(&self, account: &str, new: NewPolicy) -> Outcome<ManagedPolicy> {
        check_size(&new.document)?;
        if self.count_identities(keyspace::identities(account, b'p')).await? >= MAX_POLICIES {
            return Err(Fault::quota("PoliciesPerAccount", MAX_POLICIES));
        }
        if new.tags.len() > MAX_TAGS {
            return Err(Fault::quota("TagsPerPolicy", MAX_TAGS));
        }
        let created_ms = self.now_ms();
        let NewPolicy { name, path, description, document, tags } = new;
        let key = policy_key(account, &name);
        let policy = ManagedPolicy {
            id: ids::new_entity_id(ID_PREFIX)?,
            name,
            path,
            description,
            created_ms,
            changed_ms: created_ms,
            default_version: 1,
            next_version: 2,
            versions: vec![PolicyVersion { number: 1, document, created_ms }],
            tags,
        };
        self.change_identities(std::slice::from_ref(&key), |records| {
            if records.get::<ManagedPolicy>(&key)?.is_some() {
                let message =
                    format!("A policy called {} already exists. Duplicate names are not allowed.", policy.name);
                return Err(Fault::exists(message));
            }
            records.put(&key, &policy)?;
            Ok(policy.clone())
        })
        .await
    }

    /// A managed policy and how often it is used, by its ARN.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn policy(&self, account: &str, arn: &str) -> Outcome<ListedPolicy> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let policy = match builtin_policy(arn) {
            Some(builtin) => builtin.managed(),
            None => self.policy_at(&snapshot, account, arn).await?.ok_or_else(|| no_such_policy(arn))?,
        };
        Ok(self.with_use(&snapshot, account, arn.to_owned(), policy).await?)
    }

    /// An account's own policy, as a snapshot sees it.
    pub(super) async fn policy_at(
        &self,
        snapshot: &Snapshot,
        account: &str,
        arn: &str,
    ) -> Result<Option<ManagedPolicy>> {
        let Some(name) = name_in(account, arn) else { return Ok(None) };
        let found: Option<ManagedPolicy> = self.identity_at(snapshot, &policy_key(account, &name)).await?;
        Ok(found.filter(|policy| policy_arn(account, &policy.path, &policy.name) == arn))
    }

    async fn with_use(
        &self,
        snapshot: &Snapshot,
        account: &str,
        arn: String,
        policy: ManagedPolicy,
    ) -> Result<ListedPolicy> {
        let uses: PolicyUse = self.identity_at(snapshot, &use_key(account, &arn)).await?.unwrap_or_default();
        Ok(ListedPolicy { policy, arn, attachments: uses.attachments, boundaries: uses.boundaries })
    }

    /// All managed policies: an account's own by name, then the built-in ones.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn policies(&self, account: &str) -> Result<Vec<ListedPolicy>> {
        let prefix = keyspace::identities(account, b'p');
        let (own, _): (Vec<ManagedPolicy>, _) = self.identities_in(prefix, None, MAX_POLICIES, |_| true).await?;
        let own = own.into_iter().map(|policy| (policy_arn(account, &policy.path, &policy.name), policy));
        let builtin = BUILTIN_POLICIES.iter().map(|builtin| (builtin.arn(), builtin.managed()));
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let mut listed = Vec::new();
        for (arn, policy) in own.chain(builtin) {
            listed.push(self.with_use(&snapshot, account, arn, policy).await?);
        }
        Ok(listed)
    }

    /// Adds a version to a managed policy, and makes it the one that holds if `default`.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn create_policy_version(
        &self,
        account: &str,
        arn: &str,
        document: &str,
        default: bool,
    ) -> Outcome<(PolicyVersion, bool)> {
        check_size(document)?;
        let now_ms = self.now_ms();
        self.change_policy(account, arn, |policy| {
            if policy.versions.len() >= MAX_VERSIONS {
                return Err(Fault::new(
                    FaultCode::LimitExceeded,
                    format!(
                        "A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you \
                         must delete an existing version."
                    ),
                ));
            }
            let version =
                PolicyVersion { number: policy.next_version, document: document.to_owned(), created_ms: now_ms };
            policy.next_version = policy.next_version.saturating_add(1);
            policy.changed_ms = now_ms;
            if default {
                policy.default_version = version.number;
            }
            policy.versions.push(version.clone());
            Ok((version, default))
        })
        .await
    }

    /// Makes a version the one that holds.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn set_default_policy_version(&self, account: &str, arn: &str, number: u32) -> Outcome<()> {
        let now_ms = self.now_ms();
        self.change_policy(account, arn, |policy| {
            if policy.version(number).is_none() {
                return Err(no_such_version(arn, number));
            }
            policy.default_version = number;
            policy.changed_ms = now_ms;
            Ok(())
        })
        .await
    }

    /// Deletes a version that does not hold.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub async fn delete_policy_version(&self, account: &str, arn: &str, number: u32) -> Outcome<()> {
        let now_ms = self.now_ms();
        self.change_policy(account, arn, |policy| {
            if policy.version(number).is_none() {
                return Err(no_such_version(arn, number));
            }
            if policy.default_version == number {
                return Err(Fault::conflict("Cannot delete the default version of a policy."));
            }
            policy.versions.retain(|version| version.number != number);
            policy.changed_ms = now_ms;
            Ok(())
        })
        .await
    }

    async fn change_policy<T>(
        &self,
        account: &str,
        arn: &str,
        mut change: impl FnMut(&mut ManagedPolicy) -> Outcome<T> + Send,
    ) -> Outcome<T> {
        let name = own_name(account, arn)?;
        let key = policy_key(account, &name);
        self.change_identities(std::slice::from_ref(&key), |records| {
            let mut policy = own_policy(records, &key, account, arn)?;
            let answer = change(&mut policy)?;
            records.put(&key, &policy)?;
            Ok(answer)
        })
        .await
    }

    /// Deletes a managed policy that is not used and has one version only.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub async fn delete_policy(&self, account: &str, arn: &str) -> Outcome<()> {
        let name = own_name(account, arn)?;
        let (key, use_key) = (policy_key(account, &name), use_key(account, arn));
        self.change_identities(&[key.clone(), use_key.clone()], |records| {
            let policy = own_policy(records, &key, account, arn)?;
            if records.get::<PolicyUse>(&use_key)?.is_some_and(|uses| uses != PolicyUse::default()) {
                return Err(Fault::conflict("Cannot delete a policy attached to entities."));
            }
            if policy.versions.len() > 1 {
                return Err(Fault::conflict(
                    "This policy has more than one version. Before you delete a policy, you must delete the policy's \
                     versions. The default version is deleted with the policy.",
                ));
            }
            records.delete(&key);
            Ok(())
        })
        .await
    }

    /// The users, groups or roles that use a policy in this way, in the order of their names.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn entities_with_policy<P: Part>(
        &self,
        account: &str,
        arn: &str,
        to: AttachedTo,
    ) -> Result<Listed<Entity<P>>> {
        let (_, most) = P::KIND.quota();
        self.select_entities(account, None, most, |entity: &Entity<P>| {
            let attached = || entity.held.attached.iter().any(|attached| attached == arn);
            let bounded = || entity.held.boundary.as_deref() == Some(arn);
            match to {
                AttachedTo::Permissions => attached(),
                AttachedTo::Boundary => bounded(),
                AttachedTo::Either => attached() || bounded(),
            }
        })
        .await
    }

    /// How many there are in an account: users, groups, roles, policies of its own, providers.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn count_all(&self, account: &str) -> Result<[usize; 5]> {
        let mut counts = [0; 5];
        for (count, kind) in counts.iter_mut().zip(*b"ugrpo") {
            *count = self.count_identities(keyspace::identities(account, kind)).await?;
        }
        Ok(counts)
    }
}

/// The name of a policy that can be changed.
fn own_name(account: &str, arn: &str) -> Outcome<String> {
    name_in(account, arn).ok_or_else(|| no_such_policy(arn))
}

fn own_policy(records: &Records, key: &Key, account: &str, arn: &str) -> Outcome<ManagedPolicy> {
    let found: Option<ManagedPolicy> = records.get(key)?;
    let same = found.filter(|policy| policy_arn(account, &policy.path, &policy.name) == arn);
    same.ok_or_else(|| no_such_policy(arn))
}
