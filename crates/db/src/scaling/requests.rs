//! What users ask of auto scaling: scalable targets, policies and scheduled actions put, listed and deleted.
//!
//! Wordings are the service's where they are known from public reports, and ours elsewhere.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::ErrorCode;

use super::record::{Activity, Dimension, Policy, ScalableTarget, ScheduledAction, Suspended, Tracking};
use super::schedule::Schedule;
use crate::catalog::back_off;
use crate::crypt::Snapshot;
use crate::error::Error;
use crate::limits::MAX_ATTEMPTS;
use crate::scope::Scope;
use crate::tables::new_uuid;
use crate::{Database, keyspace};

/// The most scalable targets of an account in a region ("Quotas": 5,000 for DynamoDB).
const MAX_TARGETS: usize = 5_000;
/// The most scheduled actions of a target ("Quotas": 200).
const MAX_ACTIONS: usize = 200;
/// The most tags of a target ("Quotas": 50).
pub const MAX_TAGS: usize = 50;
/// The utilizations that a policy may keep, in percent ("DynamoDB auto scaling": 20 to 90).
const TARGETS: std::ops::RangeInclusive<f64> = 20.0..=90.0;
/// The most activities that are looked through for one answer.
const MAX_ACTIVITIES: usize = 10_000;

type Result<T> = std::result::Result<T, Fault>;

/// Why a request was not done.
#[derive(Debug)]
pub enum Fault {
    /// It breaks a rule; the code is the service's.
    Refused(&'static str, String),
    /// As for other operations.
    Failed(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Fault {
    /// A `ValidationException`.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::Refused("ValidationException", message.into())
    }
}

/// What names a scalable target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetName {
    /// `table/name` or `table/name/index/name`.
    pub resource: String,
    /// What of it is scaled.
    pub dimension: Dimension,
}

impl TargetName {
    /// A name of a resource that the dimension is of.
    ///
    /// # Errors
    /// `ValidationException` when the two do not fit together.
    pub fn new(resource: String, dimension: Dimension) -> Result<Self> {
        let rest = resource.strip_prefix("table/").unwrap_or_default();
        let fits = match rest.split_once('/') {
            None => !rest.is_empty() && !dimension.is_index(),
            Some((table, rest)) => {
                let index = rest.strip_prefix("index/").unwrap_or_default();
                !table.is_empty() && !index.is_empty() && !index.contains('/') && dimension.is_index()
            }
        };
        if fits {
            return Ok(Self { resource, dimension });
        }
        Err(Fault::validation("Unsupported service namespace, resource type or scalable dimension"))
    }

    fn key(&self, scope: &Scope) -> Key {
        keyspace::scalable_target(scope, self.dimension.byte(), &self.resource)
    }

    fn not_found(&self) -> Fault {
        let Self { resource, dimension } = self;
        let dimension = dimension.name();
        Fault::Refused(
            "ObjectNotFoundException",
            format!(
                "No scalable target registered for service namespace: dynamodb, resource ID: {resource}, scalable \
                 dimension: {dimension}"
            ),
        )
    }

    fn part_not_found(&self, what: &str, named: &str, name: &str) -> Fault {
        let Self { resource, dimension } = self;
        let dimension = dimension.name();
        Fault::Refused(
            "ObjectNotFoundException",
            format!(
                "No {what} found for service namespace: dynamodb, resource ID: {resource}, scalable dimension: \
                 {dimension}, {named} name: {name}"
            ),
        )
    }
}

/// A scalable target as a request registers or changes it.
#[derive(Clone, Debug, Default)]
pub struct NewTarget {
    /// The least units; a new target needs it.
    pub min: Option<i64>,
    /// The most units; a new target needs it.
    pub max: Option<i64>,
    /// The role that the request names.
    pub role: Option<String>,
    /// What is to rest: lowering, raising, scheduled actions.
    pub suspended: [Option<bool>; 3],
    /// Tags, of a new target only.
    pub tags: BTreeMap<String, String>,
}

/// A policy as a request puts it.
#[derive(Clone, Debug)]
pub struct PolicyChange {
    /// Its name.
    pub name: String,
    /// What it is to do.
    pub tracking: Tracking,
}

/// A scheduled action as a request puts it: of an action that exists, what is not given stays.
#[derive(Clone, Debug, Default)]
pub struct NewAction {
    /// Its name.
    pub name: String,
    /// When.
    pub schedule: Option<String>,
    /// In which time zone.
    pub time_zone: Option<String>,
    /// The first time it may happen, in milliseconds since the epoch.
    pub start_ms: Option<u64>,
    /// The last time.
    pub end_ms: Option<u64>,
    /// The new least and most units; `None` when the request does not say what to do.
    pub bounds: Option<(Option<i64>, Option<i64>)>,
}

/// Which activities to list.
#[derive(Clone, Debug, Default)]
pub struct ActivityFilter {
    /// Of this resource.
    pub resource: Option<String>,
    /// Of this dimension.
    pub dimension: Option<Dimension>,
}

/// Whether a time zone of this name is known.
#[must_use]
pub fn is_time_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// Refuses too many tags.
///
/// # Errors
/// `TooManyTagsException`.
pub fn check_tags(tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.len() <= MAX_TAGS {
        return Ok(());
    }
    Err(Fault::Refused("TooManyTagsException", format!("A scalable target can have at most {MAX_TAGS} tags")))
}

fn check_bounds(min: i64, max: i64) -> Result<()> {
    if min < 1 || max < 1 {
        return Err(Fault::validation("Minimum and maximum capacity cannot be less than 1"));
    }
    if max < min {
        return Err(Fault::validation("Maximum capacity cannot be less than minimum capacity"));
    }
    Ok(())
}

impl ScheduledAction {
    /// When the action happens next after a time; `None` for never.
    pub(super) fn next_after(&self, after_ms: u64) -> Option<u64> {
        let zone = self.time_zone.as_deref().map_or(Ok(TimeZone::UTC), TimeZone::get).ok()?;
        let base_ms = self.start_ms.unwrap_or(self.created_ms);
        // A time that is the start itself counts.
        let after_ms = self.start_ms.map_or(after_ms, |start| after_ms.max(start.saturating_sub(1)));
        let next = Schedule::parse(&self.schedule)?.next(after_ms, base_ms, &zone)?;
        self.end_ms.is_none_or(|end| next <= end).then_some(next)
    }
}

impl Database {
    /// Registers a scalable target, or changes one.
    ///
    /// # Errors
    /// `ValidationException` when it breaks a rule or there is no such table or index, `LimitExceededException` past a quota.
    pub async fn register_target(&self, scope: &Scope, name: &TargetName, new: &NewTarget) -> Result<ScalableTarget> {
        check_tags(&new.tags)?;
        let id = new_uuid()?.replace('-', "");
        let now_ms = self.now_ms();
        let full = self.scalable_targets(scope).await?.len() >= MAX_TARGETS;
        let missing = self.missing_resource(scope, name).await?;
        self.change_target(scope, name, |existing| {
            let mut target = match existing {
                Some(target) => target,
                None => {
                    if let Some(missing) = &missing {
                        return Err(Fault::validation(missing.clone()));
                    }
                    let (Some(min), Some(max)) = (new.min, new.max) else {
                        let message = "MinCapacity and MaxCapacity are required to register a new scalable target";
                        return Err(Fault::validation(message));
                    };
                    if full {
                        let message = format!("An account has at most {MAX_TARGETS} scalable targets in a region");
                        return Err(Fault::Refused("LimitExceededException", message));
                    }
                    ScalableTarget {
                        account: scope.account.to_string(),
                        region: scope.region.to_string(),
                        resource: name.resource.clone(),
                        dimension: name.dimension,
                        id: id.clone(),
                        min,
                        max,
                        role: None,
                        created_ms: now_ms,
                        suspended: Suspended::default(),
                        tags: new.tags.clone(),
                        policies: Vec::new(),
                        actions: Vec::new(),
                        out_ms: None,
                        in_ms: None,
                    }
                }
            };
            (target.min, target.max) = (new.min.unwrap_or(target.min), new.max.unwrap_or(target.max));
            check_bounds(target.min, target.max)?;
            if new.role.is_some() {
                target.role.clone_from(&new.role);
            }
            let Suspended { scale_in, scale_out, scheduled } = &mut target.suspended;
            for (flag, asked) in [scale_in, scale_out, scheduled].into_iter().zip(new.suspended) {
                *flag = asked.unwrap_or(*flag);
            }
            Ok((Some(target.clone()), target))
        })
        .await
    }

    /// Why a target can not be of this name: the words for a table or index that does not exist.
    async fn missing_resource(&self, scope: &Scope, name: &TargetName) -> Result<Option<String>> {
        let rest = name.resource.strip_prefix("table/").unwrap_or_default();
        let (table, index) = rest.split_once("/index/").map_or((rest, None), |(table, index)| (table, Some(index)));
        let found = match self.table(scope, table).await {
            Ok(found) => found,
            Err(Error::Refused(refusal)) if refusal.code == ErrorCode::ResourceNotFoundException => {
                return Ok(Some(format!("DynamoDB table does not exist: table/{table}")));
            }
            Err(error) => return Err(error.into()),
        };
        let is_index = |index: &str| found.record.global_indexes.iter().any(|known| known.name == index);
        Ok(index.filter(|index| !is_index(index)).map(|_| format!("DynamoDB index does not exist: {}", name.resource)))
    }

    /// Removes a scalable target with its policies and scheduled actions.
    ///
    /// # Errors
    /// `ObjectNotFoundException` when there is none.
    pub async fn deregister_target(&self, scope: &Scope, name: &TargetName) -> Result<()> {
        self.change_target(scope, name, |existing| match existing {
            Some(_) => Ok((None, ())),
            None => Err(name.not_found()),
        })
        .await
    }

    /// The scalable target of a name.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn scalable_target(&self, scope: &Scope, name: &TargetName) -> Result<Option<ScalableTarget>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let value = snapshot.get(&name.key(scope)).await?;
        Ok(value.map(|value| decode(&value)).transpose()?)
    }

    /// The scalable targets of an account in a region, in the order of dimensions and resources.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn scalable_targets(&self, scope: &Scope) -> Result<Vec<ScalableTarget>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let found = targets_in(&snapshot, KeyRange::prefix(keyspace::scalable_targets_of(scope))).await?;
        Ok(found.into_iter().map(|(_, target)| target).collect())
    }

    /// Makes or replaces a policy, and returns it with its target.
    ///
    /// # Errors
    /// `ObjectNotFoundException` without a target, `ValidationException` when it breaks a rule.
    pub async fn put_scaling_policy(
        &self,
        scope: &Scope,
        name: &TargetName,
        change: &PolicyChange,
    ) -> Result<(ScalableTarget, Policy)> {
        if !TARGETS.contains(&change.tracking.target) {
            return Err(Fault::validation("TargetValue has to be between 20 and 90 for DynamoDB"));
        }
        let cooldowns = [change.tracking.out_cooldown, change.tracking.in_cooldown];
        if cooldowns.into_iter().flatten().any(|seconds| seconds < 0) {
            return Err(Fault::validation("A cooldown cannot be negative"));
        }
        let (id, now_ms) = (new_uuid()?, self.now_ms());
        self.change_target(scope, name, |existing| {
            let mut target = existing.ok_or_else(|| name.not_found())?;
            // Each dimension has one metric, and each metric one policy.
            if target.policies.iter().any(|policy| policy.name != change.name) {
                let message = "Only one TargetTrackingScaling policy for a given metric specification is allowed.";
                return Err(Fault::validation(message));
            }
            let kept = target.policies.pop();
            let policy = Policy {
                name: change.name.clone(),
                id: kept.as_ref().map_or_else(|| id.clone(), |policy| policy.id.clone()),
                created_ms: kept.as_ref().map_or(now_ms, |policy| policy.created_ms),
                tracking: change.tracking,
            };
            target.policies.push(policy.clone());
            Ok((Some(target.clone()), (target, policy)))
        })
        .await
    }

    /// Deletes a policy.
    ///
    /// # Errors
    /// `ObjectNotFoundException` when there is none.
    pub async fn delete_scaling_policy(&self, scope: &Scope, name: &TargetName, policy: &str) -> Result<()> {
        let missing = || name.part_not_found("scaling policy", "policy", policy);
        self.change_target(scope, name, |existing| {
            let mut target = existing.ok_or_else(missing)?;
            let before = target.policies.len();
            target.policies.retain(|known| known.name != policy);
            if target.policies.len() == before {
                return Err(missing());
            }
            Ok((Some(target), ()))
        })
        .await
    }

    /// Makes or changes a scheduled action.
    ///
    /// # Errors
    /// `ObjectNotFoundException` without a target, `ValidationException` when it breaks a rule, `LimitExceededException` past
    /// a quota.
    pub async fn put_scheduled_action(&self, scope: &Scope, name: &TargetName, new: &NewAction) -> Result<()> {
        if let Some(schedule) = &new.schedule
            && Schedule::parse(schedule).is_none()
        {
            return Err(Fault::validation(format!("Unable to parse expression: {schedule:.256}")));
        }
        if let Some(zone) = &new.time_zone
            && !is_time_zone(zone)
        {
            return Err(Fault::validation(format!("Invalid time zone: {zone:.64}")));
        }
        let (id, now_ms) = (new_uuid()?, self.now_ms());
        self.change_target(scope, name, |existing| {
            let mut target = existing.ok_or_else(|| name.not_found())?;
            let place = target.actions.iter().position(|action| action.name == new.name);
            if place.is_none() && target.actions.len() >= MAX_ACTIONS {
                let message = format!("A scalable target has at most {MAX_ACTIONS} scheduled actions");
                return Err(Fault::Refused("LimitExceededException", message));
            }
            let kept = place.map(|place| target.actions.remove(place));
            let mut action = match kept {
                Some(kept) => kept,
                None => ScheduledAction {
                    name: new.name.clone(),
                    id: id.clone(),
                    created_ms: now_ms,
                    schedule: String::new(),
                    time_zone: None,
                    start_ms: None,
                    end_ms: None,
                    min: None,
                    max: None,
                    next_ms: None,
                },
            };
            if let Some(schedule) = &new.schedule {
                action.schedule.clone_from(schedule);
            }
            if new.time_zone.is_some() {
                action.time_zone.clone_from(&new.time_zone);
            }
            action.start_ms = new.start_ms.or(action.start_ms);
            action.end_ms = new.end_ms.or(action.end_ms);
            if let Some((min, max)) = new.bounds {
                (action.min, action.max) = (min, max);
            }
            if action.schedule.is_empty() {
                return Err(Fault::validation("Schedule is required to make a scheduled action"));
            }
            if action.min.is_none() && action.max.is_none() {
                let message = "ScalableTargetAction has to have MinCapacity or MaxCapacity";
                return Err(Fault::validation(message));
            }
            check_bounds(action.min.unwrap_or(1), action.max.unwrap_or(i64::MAX))?;
            if action.start_ms.zip(action.end_ms).is_some_and(|(start, end)| end < start) {
                return Err(Fault::validation("The end time cannot be before the start time"));
            }
            action.next_ms = action.next_after(now_ms);
            target.actions.insert(place.unwrap_or(target.actions.len()), action);
            Ok((Some(target), ()))
        })
        .await
    }

    /// Deletes a scheduled action.
    ///
    /// # Errors
    /// `ObjectNotFoundException` when there is none.
    pub async fn delete_scheduled_action(&self, scope: &Scope, name: &TargetName, action: &str) -> Result<()> {
        let missing = || name.part_not_found("scheduled action", "scheduled action", action);
        self.change_target(scope, name, |existing| {
            let mut target = existing.ok_or_else(missing)?;
            let before = target.actions.len();
            target.actions.retain(|known| known.name != action);
            if target.actions.len() == before {
                return Err(missing());
            }
            Ok((Some(target), ()))
        })
        .await
    }

    /// Changes the tags of the target with this ARN, and returns them; `None` when there is no such target.
    ///
    /// # Errors
    /// `TooManyTagsException` past a quota.
    pub async fn change_target_tags(
        &self,
        scope: &Scope,
        arn: &str,
        change: impl Fn(&mut BTreeMap<String, String>) + Send + Sync,
    ) -> Result<Option<BTreeMap<String, String>>> {
        let targets = self.scalable_targets(scope).await?;
        let Some(found) = targets.into_iter().find(|target| target.arn() == arn) else { return Ok(None) };
        let name = TargetName { resource: found.resource, dimension: found.dimension };
        self.change_target(scope, &name, |existing| {
            let Some(mut target) = existing else { return Ok((None, None)) };
            let before = target.tags.clone();
            change(&mut target.tags);
            if target.tags != before {
                check_tags(&target.tags)?;
            }
            let tags = target.tags.clone();
            Ok((Some(target), Some(tags)))
        })
        .await
    }

    /// What auto scaling has done, the latest first.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn scaling_activities(&self, scope: &Scope, filter: &ActivityFilter) -> Result<Vec<Activity>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let mut range = KeyRange::prefix(keyspace::scaling_activities_of(scope));
        let mut found = Vec::new();
        let mut seen = 0;
        loop {
            let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
            for (_, value) in &page.rows {
                let activity: Activity = decode(value)?;
                let wanted = filter.resource.as_ref().is_none_or(|resource| *resource == activity.resource)
                    && filter.dimension.is_none_or(|dimension| dimension == activity.dimension);
                found.extend(wanted.then_some(activity));
            }
            seen += page.rows.len();
            match page.rows.last() {
                Some((last, _)) if page.more && seen < MAX_ACTIVITIES => range = range.after(last),
                _ => return Ok(found),
            }
        }
    }

    /// Puts what `decide` makes of a target in its place, and decides again on conflict.
    pub(super) async fn change_target<T>(
        &self,
        scope: &Scope,
        name: &TargetName,
        mut decide: impl FnMut(Option<ScalableTarget>) -> Result<(Option<ScalableTarget>, T)> + Send,
    ) -> Result<T> {
        let key = name.key(scope);
        for attempt in 0..MAX_ATTEMPTS {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let existing: Option<ScalableTarget> = snapshot.get(&key).await?.map(|value| decode(&value)).transpose()?;
            let before = existing.clone();
            let (after, answer) = decide(existing)?;
            if after == before {
                return Ok(answer);
            }
            let write = match &after {
                Some(target) => Write::Put { key: key.clone(), value: encode(target)? },
                None => Write::Delete { key: key.clone() },
            };
            let commit = Commit {
                read_version: snapshot.version(),
                reads: vec![Read::Key(key.clone())],
                writes: vec![write],
                // Every node looks at the targets again when the catalog has changed.
                catalog_changed: true,
            };
            match self.store().commit(commit).await {
                Ok(_) => {
                    self.wake_background();
                    return Ok(answer);
                }
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(other) => return Err(Error::from(other).into()),
            }
        }
        Err(Error::Contention.into())
    }
}

/// The targets of a range, with their keys.
pub(super) async fn targets_in(
    snapshot: &Snapshot,
    mut range: KeyRange,
) -> std::result::Result<Vec<(Key, ScalableTarget)>, Error> {
    let mut targets = Vec::new();
    loop {
        let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
        for (key, value) in &page.rows {
            targets.push((key.clone(), decode(value)?));
        }
        match page.rows.last() {
            Some((last, _)) if page.more => range = range.after(last),
            _ => return Ok(targets),
        }
    }
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(value: &[u8]) -> std::result::Result<T, Error> {
    serde_json::from_slice(value)
        .map_err(|error| Error::Internal(format!("a record of auto scaling can not be read: {error}")))
}

pub(super) fn encode<T: serde::Serialize>(record: &T) -> std::result::Result<bytes::Bytes, Error> {
    let bytes = serde_json::to_vec(record);
    bytes
        .map(Into::into)
        .map_err(|error| Error::Internal(format!("a record of auto scaling can not be written: {error}")))
}
