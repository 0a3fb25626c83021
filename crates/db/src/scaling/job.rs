//! The task that scales: every node tells of its minutes, and the one with the lease does what policies and schedules say.
//!
//! What is done is an `UpdateTable` like any other, and an activity that tells of it.

use std::collections::HashMap;
use std::sync::Arc;

use partita_engine::{CatalogToken, Commit, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::ErrorCode;

use super::decide::{Change, State, decide};
use super::record::{Activity, ActivityStatus, Policy, ScalableTarget};
use super::requests::{Fault, TargetName, encode, targets_in};
use super::usage::{MINUTE_MS, Samples, Watched};
use crate::error::{Error, Result};
use crate::jobs::Lease;
use crate::keyspace;
use crate::metering::Meter;
use crate::record::BillingMode;
use crate::tables::{IndexChange, IndexUpdate, ProvisionedUnits, TableChange, new_uuid};
use crate::{Database, Table};

/// How long activities are kept: six weeks ("DescribeScalingActivities").
const KEPT_MS: u64 = 6 * 7 * 24 * 60 * MINUTE_MS;
/// How many old activities are forgotten with each new one.
const FORGOTTEN_AT_ONCE: usize = 100;
/// How long nodes have to tell of a minute before it is judged.
const TELLING_MS: u64 = 5_000;

/// What the task remembers between looks. All of it can be lost.
#[derive(Debug)]
pub(crate) struct Scaling {
    lease: Lease,
    /// The catalog that `targets` was read from.
    token: Option<CatalogToken>,
    targets: Vec<(Key, ScalableTarget)>,
    samples: Samples,
    /// The last minute that was judged, by target.
    judged: HashMap<Key, u64>,
}

/// What a target is of, as it is now.
enum Found {
    /// A table or index that is provisioned.
    Scaled(Scaled),
    /// One in on-demand mode.
    Resting,
    /// None any more.
    Gone,
}

impl Found {
    const fn scaled(&self) -> Option<&Scaled> {
        match self {
            Self::Scaled(scaled) => Some(scaled),
            Self::Resting | Self::Gone => None,
        }
    }
}

/// A table or index that is provisioned.
struct Scaled {
    table: Arc<Table>,
    meter: Arc<Meter>,
    watched: Watched,
    /// Read and write units of the table or index.
    units: ProvisionedUnits,
}

impl Scaling {
    pub(crate) fn new() -> Self {
        Self {
            lease: Lease::new("scaling"),
            token: None,
            targets: Vec::new(),
            samples: Samples::default(),
            judged: HashMap::new(),
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// `Contention` when another node has the lease, or an engine failure.
    pub(crate) async fn look(&mut self, database: &Database) -> Result<bool> {
        self.find_targets(database).await?;
        if self.targets.is_empty() {
            return Ok(false);
        }
        let mut found = Vec::with_capacity(self.targets.len());
        for (_, target) in &self.targets {
            found.push(database.scaled(target).await?);
        }
        let watched: Vec<(Watched, &Meter)> =
            found.iter().filter_map(Found::scaled).map(|scaled| (scaled.watched, scaled.meter.as_ref())).collect();
        database.tell_minutes(&mut self.samples, &watched).await?;
        if !self.lease.take(database).await? {
            return Ok(false);
        }
        let lag_ms = if database.store().is_embedded() { 0 } else { TELLING_MS };
        let minute = database.now_ms().saturating_sub(lag_ms) / MINUTE_MS;
        for (key, target) in &self.targets {
            let is_new_minute = self.judged.get(key).is_none_or(|judged| *judged < minute);
            let done = database.scale(&mut self.lease, target, is_new_minute.then_some(minute)).await;
            match done {
                Ok(()) => {
                    if is_new_minute {
                        self.judged.insert(key.clone(), minute);
                    }
                }
                Err(Error::Contention) => return Err(Error::Contention),
                // What stands in one target's way is not in the others'.
                Err(error) => tracing::error!(%error, resource = target.resource, "scaling failed; it is tried again"),
            }
        }
        Ok(false)
    }

    async fn find_targets(&mut self, database: &Database) -> Result<()> {
        let snapshot = database.snapshot(Freshness::Latest).await?;
        let token = snapshot.catalog_token();
        if self.token == Some(token) {
            return Ok(());
        }
        self.targets = targets_in(&snapshot, KeyRange::prefix(keyspace::scalable_targets())).await?;
        self.judged.retain(|key, _| self.targets.iter().any(|(known, _)| known == key));
        self.token = Some(token);
        Ok(())
    }
}

impl Database {
    /// A target's table or index as it is now.
    async fn scaled(&self, target: &ScalableTarget) -> Result<Found> {
        let Some((table, index)) = target.names() else { return Ok(Found::Gone) };
        let table = match self.table(&target.scope(), table).await {
            Ok(table) => table,
            Err(Error::Refused(refusal)) if refusal.code == ErrorCode::ResourceNotFoundException => {
                return Ok(Found::Gone);
            }
            Err(error) => return Err(error),
        };
        let (meter, throughput, id) = match index {
            None => (Arc::clone(&table.meters.table), table.record.throughput, keyspace::TABLE_ITSELF),
            Some(name) => {
                let place = table.index(name).map(|(place, _)| place);
                let meter = place.and_then(|place| table.meters.indexes.get(place));
                let record = table.record.global_indexes.iter().find(|index| index.name == name);
                let (Some(meter), Some(record)) = (meter, record) else { return Ok(Found::Gone) };
                (Arc::clone(meter), record.throughput, record.id)
            }
        };
        if table.record.billing != BillingMode::Provisioned {
            return Ok(Found::Resting);
        }
        let watched = Watched { table: table.record.id, index: id, read: target.dimension.is_read() };
        let units = ProvisionedUnits { read: throughput.read, write: throughput.write };
        Ok(Found::Scaled(Scaled { table, meter, watched, units }))
    }

    /// Does what is due for one target; policies judge once for each new minute.
    async fn scale(&self, lease: &mut Lease, target: &ScalableTarget, minute: Option<u64>) -> Result<()> {
        let now_ms = self.now_ms();
        // Looked at again: what was just done for another target may have changed the same table.
        let scaled = match self.scaled(target).await? {
            Found::Scaled(scaled) => Some(scaled),
            Found::Resting => None,
            Found::Gone => return self.drop_target(lease, target).await,
        };
        let due = target.actions.iter().find(|action| action.next_ms.is_some_and(|next| next <= now_ms));
        if let Some(action) = due {
            // With the target changed, the catalog is; so the next look finds it as it is then.
            return self.follow_schedule(lease, target, &action.name).await;
        }
        let Some(scaled) = scaled else { return Ok(()) };
        let units = if target.dimension.is_read() { scaled.units.read } else { scaled.units.write };
        if units < target.min {
            let cause = format!("minimum capacity was set to {}", target.min);
            return self.set_units(lease, target, &scaled, target.min, cause).await.map(|_| ());
        }
        if units > target.max {
            let cause = format!("maximum capacity was set to {}", target.max);
            return self.set_units(lease, target, &scaled, target.max, cause).await.map(|_| ());
        }
        let (Some(minute), Some(policy)) = (minute, target.policies.first()) else { return Ok(()) };
        let minutes = self.last_minutes(scaled.watched, minute).await?;
        let state = State {
            units,
            min: target.min,
            max: target.max,
            minutes: &minutes,
            now_ms,
            out_ms: target.out_ms,
            in_ms: target.in_ms,
            suspended: target.suspended,
        };
        let Some(change) = decide(&policy.tracking, &state) else { return Ok(()) };
        if self.set_units(lease, target, &scaled, change.units, alarm(target, policy, change)).await? {
            self.note(target, |target| {
                let when = if change.out { &mut target.out_ms } else { &mut target.in_ms };
                *when = Some(now_ms);
            })
            .await?;
        }
        Ok(())
    }

    /// Removes the target of a table or index that is gone, as the service does.
    async fn drop_target(&self, lease: &mut Lease, target: &ScalableTarget) -> Result<()> {
        lease.keep(self).await?;
        let name = TargetName { resource: target.resource.clone(), dimension: target.dimension };
        match self.deregister_target(&target.scope(), &name).await {
            Ok(()) | Err(Fault::Refused(..)) => Ok(()),
            Err(Fault::Failed(error)) => Err(error),
        }
    }

    /// Sets a target's bounds as a scheduled action says, and when that happens next.
    async fn follow_schedule(&self, lease: &mut Lease, target: &ScalableTarget, name: &str) -> Result<()> {
        let now_ms = self.now_ms();
        lease.keep(self).await?;
        let mut done = None;
        self.note(target, |target| {
            let Some(place) = target.actions.iter().position(|action| action.name == name) else { return };
            let suspended = target.suspended.scheduled;
            let Some(action) = target.actions.get_mut(place) else { return };
            if action.next_ms.is_none_or(|next| next > now_ms) {
                return;
            }
            action.next_ms = action.next_after(now_ms);
            if suspended {
                return;
            }
            // A bound that is not given makes room for the one that is.
            let (min, max) = (action.min, action.max);
            target.min = min.unwrap_or_else(|| target.min.min(max.unwrap_or(target.min)));
            target.max = max.unwrap_or_else(|| target.max.max(target.min));
            done = Some((min, max));
        })
        .await?;
        let Some((min, max)) = done else { return Ok(()) };
        let bounds = [("min", min), ("max", max)];
        let spoken =
            bounds.iter().filter_map(|(which, units)| units.map(|units| format!("{which} capacity to {units}")));
        let spoken = spoken.collect::<Vec<_>>().join(" and ");
        let cause = format!("scheduled action name {name} was triggered");
        let activity = Activity {
            message: format!("Successfully set {spoken}"),
            ..self.activity(target, format!("Setting {spoken}"), cause)?
        };
        self.tell(lease, target, activity).await
    }

    /// Changes the units of a target's table or index, and tells of it; says whether they were changed.
    async fn set_units(
        &self,
        lease: &mut Lease,
        target: &ScalableTarget,
        scaled: &Scaled,
        units: i64,
        cause: String,
    ) -> Result<bool> {
        lease.keep(self).await?;
        let spoken = target.dimension.spoken();
        let mut activity = self.activity(target, format!("Setting {spoken} to {units}."), cause)?;
        let mut wanted = scaled.units;
        if target.dimension.is_read() {
            wanted.read = units;
        } else {
            wanted.write = units;
        }
        let change = match target.names() {
            Some((_, Some(index))) => {
                let update = IndexUpdate { name: index.to_owned(), throughput: Some(wanted), ..IndexUpdate::default() };
                let change = IndexChange { update: Some(update), ..IndexChange::default() };
                TableChange { indexes: Some(vec![change]), ..TableChange::default() }
            }
            _ => TableChange { throughput: Some(wanted), ..TableChange::default() },
        };
        let changed = self.update_table(&target.scope(), &scaled.table.record.name, &change).await;
        let is_changed = changed.is_ok();
        match changed {
            Ok(_) => {
                activity.message =
                    format!("Successfully set {spoken} to {units}. Change successfully fulfilled by dynamodb.");
            }
            Err(Error::Refused(refusal)) => {
                activity.status = ActivityStatus::Failed;
                activity.message = format!("Failed to set {spoken} to {units}. Reason: {}", refusal.message);
            }
            Err(error) => return Err(error),
        }
        tracing::info!(resource = target.resource, activity.description, activity.cause, is_changed, "scaled");
        activity.end_ms = self.now_ms();
        self.tell(lease, target, activity).await?;
        Ok(is_changed)
    }

    fn activity(&self, target: &ScalableTarget, description: String, cause: String) -> Result<Activity> {
        let now_ms = self.now_ms();
        Ok(Activity {
            id: new_uuid()?,
            resource: target.resource.clone(),
            dimension: target.dimension,
            description,
            cause,
            start_ms: now_ms,
            end_ms: now_ms,
            status: ActivityStatus::Successful,
            message: String::new(),
        })
    }

    /// Changes what is kept of a target, if it is still there.
    async fn note(&self, target: &ScalableTarget, mut change: impl FnMut(&mut ScalableTarget) + Send) -> Result<()> {
        let name = TargetName { resource: target.resource.clone(), dimension: target.dimension };
        let scope = target.scope();
        let noted = self.change_target(&scope, &name, |existing| {
            let changed = existing.map(|mut target| {
                change(&mut target);
                target
            });
            Ok((changed, ()))
        });
        noted.await.map_err(|fault| match fault {
            Fault::Failed(error) => error,
            Fault::Refused(code, message) => Error::Internal(format!("{code}: {message}")),
        })
    }

    /// Writes down an activity, and forgets some that are too old.
    async fn tell(&self, lease: &mut Lease, target: &ScalableTarget, activity: Activity) -> Result<()> {
        let scope = target.scope();
        let prefix = keyspace::scaling_activities_of(&scope);
        // The latest comes first.
        let at = |ms: u64| [prefix.as_slice(), &(u64::MAX - ms).to_be_bytes()].concat();
        let mut writes = vec![Write::Put {
            key: [at(activity.start_ms).as_slice(), activity.id.as_bytes()].concat().into(),
            value: encode(&activity)?,
        }];
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let old = KeyRange::new(at(activity.start_ms.saturating_sub(KEPT_MS)), KeyRange::prefix(prefix.clone()).end);
        let limit = ScanLimit { rows: FORGOTTEN_AT_ONCE, ..ScanLimit::PAGE };
        let old = snapshot.scan(&old, Direction::Forward, limit).await?;
        writes.extend(old.rows.into_iter().map(|(key, _)| Write::Delete { key }));
        lease.check(&snapshot).await?;
        let reads = vec![Read::Key(lease.key())];
        let commit = Commit { read_version: snapshot.version(), reads, writes, catalog_changed: false };
        self.store().commit(commit).await?;
        Ok(())
    }
}

/// Why a policy changes the units, in the service's words.
fn alarm(target: &ScalableTarget, policy: &Policy, change: Change) -> String {
    let kind = if change.out { "AlarmHigh" } else { "AlarmLow" };
    format!("monitor alarm {} in state ALARM triggered policy {}", target.alarm(policy, kind), policy.name)
}
