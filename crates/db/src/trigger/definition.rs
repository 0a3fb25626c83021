//! What a trigger is, and making, changing and deleting it.

use partita_engine::{Commit, CommitError, Direction, Freshness, Key, KeyRange, Read, ScanLimit, Write};
use partita_model::ErrorCode;
use partita_model::schema::KeyType;
use serde::{Deserialize, Serialize};

use crate::Database;
use crate::catalog::back_off;
use crate::crypt::Snapshot;
use crate::error::{Error, Result};
use crate::keyspace;
use crate::limits::MAX_ATTEMPTS;
use crate::scope::{Scope, TableArn};
use crate::stream::StreamPage;
use crate::table::Table;

/// The most triggers of an account in a region.
const MAX_TRIGGERS: usize = 100;
/// The most triggers of a database.
const MAX_ALL_TRIGGERS: usize = 1000;
/// The longest name, in characters.
const MAX_NAME: usize = 64;
/// The longest URL, in bytes.
const MAX_URL: usize = 2048;
/// The most records of a batch (as event source mappings of Lambda for DynamoDB streams).
const MAX_BATCH: u32 = 10_000;
/// The longest batching window, in seconds (likewise).
const MAX_WINDOW_SECONDS: u32 = 300;
/// The most retries that can be asked for, short of retrying for ever (likewise).
const MAX_RETRIES: u32 = 10_000;
/// The greatest age of records that can be asked for: streams keep them for 24 hours.
const MAX_AGE_SECONDS: u32 = 86_400;
/// The longest that a receiver may take, in seconds (as Lambda functions may).
const MAX_TIMEOUT_SECONDS: u32 = 900;

/// A trigger: a stream's records are posted to a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// 32 hexadecimal digits, never used again.
    pub id: String,
    /// Its name, unique in its account and region.
    pub name: String,
    /// The owner's account: twelve digits.
    pub account: String,
    /// The region it was made in.
    pub region: String,
    /// The stream.
    pub stream_arn: String,
    /// Where in the stream it began.
    pub start: StartingPosition,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// When it was last changed, in milliseconds since the epoch.
    pub changed_ms: u64,
    /// Whether it delivers; a paused trigger keeps its place.
    pub enabled: bool,
    /// What can be changed.
    pub settings: TriggerSettings,
}

/// Where in its stream a trigger begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartingPosition {
    /// With the oldest record there is.
    TrimHorizon,
    /// With what changes from now on.
    Latest,
}

/// How a trigger delivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerSettings {
    /// Where batches are posted to. Its form is the caller's to check.
    pub url: String,
    /// The most records of a batch, 1 to 10,000.
    pub batch_size: u32,
    /// How long to wait for a batch to fill, in seconds, 0 to 300.
    pub window_seconds: u32,
    /// How often a failed batch is tried again, up to 10,000; `None` for ever.
    pub max_retries: Option<u32>,
    /// How old a record may be when it is delivered, in seconds, 1 to 86,400; `None` as old as the stream keeps them.
    pub max_age_seconds: Option<u32>,
    /// Whether a batch that the receiver fails on is halved to find the record that is at fault.
    pub bisect: bool,
    /// The table that receives records that were given up, by name or ARN.
    pub dead_letter: Option<String>,
    /// How long the receiver may take to answer, in seconds, 1 to 900.
    pub timeout_seconds: u32,
}

impl TriggerSettings {
    /// The defaults: batches of 100 as soon as there are records, tried for ever without halving, 30 seconds for an
    /// answer.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            batch_size: 100,
            window_seconds: 0,
            max_retries: None,
            max_age_seconds: None,
            bisect: false,
            dead_letter: None,
            timeout_seconds: 30,
        }
    }

    fn check(&self) -> Result<()> {
        let within = |name: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(Error::validation(format!("{name} must be from {least} to {most}, not {value}")))
            }
        };
        if self.url.is_empty() || self.url.len() > MAX_URL {
            return Err(Error::validation(format!("Url must have 1 to {MAX_URL} bytes")));
        }
        within("BatchSize", self.batch_size, 1, MAX_BATCH)?;
        within("MaximumBatchingWindowInSeconds", self.window_seconds, 0, MAX_WINDOW_SECONDS)?;
        within("MaximumRetryAttempts", self.max_retries.unwrap_or(0), 0, MAX_RETRIES)?;
        within("MaximumRecordAgeInSeconds", self.max_age_seconds.unwrap_or(1), 1, MAX_AGE_SECONDS)?;
        within("TimeoutInSeconds", self.timeout_seconds, 1, MAX_TIMEOUT_SECONDS)
    }
}

/// A trigger that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrigger {
    /// Letters, digits, `.`, `_` and `-`, up to 64 of them.
    pub name: String,
    /// A table whose stream is enabled, by name or ARN, or the ARN of a stream.
    pub source: String,
    /// Where it begins.
    pub start: StartingPosition,
    /// Whether it delivers at once.
    pub enabled: bool,
    /// How it delivers.
    pub settings: TriggerSettings,
}

impl Database {
    /// Makes a trigger.
    ///
    /// # Errors
    /// `ValidationException` when it breaks a rule, the source has no enabled stream, or the dead-letter table can not
    /// take records; `ResourceNotFoundException` when there is no such table or stream; `ResourceInUseException` when
    /// there is a trigger of this name; `LimitExceededException` past 100 triggers of the account in the region.
    pub async fn create_trigger(&self, scope: &Scope, new: NewTrigger) -> Result<Trigger> {
        // Before the stream is looked at: what changes after this call began is delivered.
        let created_ms = self.now_ms();
        check_name(&new.name)?;
        new.settings.check()?;
        let trigger = Trigger {
            id: new_id()?,
            stream_arn: self.stream_of(scope, &new.source).await?,
            name: new.name,
            account: scope.account.to_string(),
            region: scope.region.to_string(),
            start: new.start,
            created_ms,
            changed_ms: created_ms,
            enabled: new.enabled,
            settings: new.settings,
        };
        self.check_dead_letter(&trigger).await?;
        self.check_room(scope).await?;
        self.change_trigger(scope, &trigger.name, |existing| match existing {
            Some(_) => {
                let message = format!("Trigger already exists: {}", trigger.name);
                Err(Error::refused(ErrorCode::ResourceInUseException, message))
            }
            None => Ok(Some(trigger.clone())),
        })
        .await?;
        Ok(trigger)
    }

    /// The triggers of an account in a region, in the order of their names.
    ///
    /// # Errors
    /// An engine failure.
    pub async fn triggers(&self, scope: &Scope) -> Result<Vec<Trigger>> {
        let prefix = keyspace::triggers_of(&scope.account, &scope.region);
        triggers_in(&self.snapshot(Freshness::Latest).await?, KeyRange::prefix(prefix)).await
    }

    /// A trigger.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is none of this name.
    pub async fn trigger(&self, scope: &Scope, name: &str) -> Result<Trigger> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let key = keyspace::trigger(&scope.account, &scope.region, name);
        snapshot.get(&key).await?.map(|value| from_json(&value)).transpose()?.ok_or_else(|| no_such_trigger(name))
    }

    /// Changes a trigger: `change` makes of its settings, and of whether it is enabled, what they are to be. Deliveries
    /// under way end as they began.
    ///
    /// # Errors
    /// As for `create_trigger`, and `ResourceNotFoundException` when there is no trigger of this name.
    pub async fn update_trigger(
        &self,
        scope: &Scope,
        name: &str,
        change: impl Fn(&mut TriggerSettings, &mut bool) + Send + Sync,
    ) -> Result<Trigger> {
        let mut wanted = self.trigger(scope, name).await?;
        change(&mut wanted.settings, &mut wanted.enabled);
        wanted.settings.check()?;
        self.check_dead_letter(&wanted).await?;
        let now_ms = self.now_ms();
        let changed = self
            .change_trigger(scope, name, |existing| {
                let mut trigger = existing.ok_or_else(|| no_such_trigger(name))?;
                change(&mut trigger.settings, &mut trigger.enabled);
                trigger.changed_ms = now_ms.max(trigger.changed_ms);
                Ok(Some(trigger))
            })
            .await?;
        changed.ok_or_else(|| no_such_trigger(name))
    }

    /// Deletes a trigger and forgets how far it has come.
    ///
    /// # Errors
    /// `ResourceNotFoundException` when there is none of this name.
    pub async fn delete_trigger(&self, scope: &Scope, name: &str) -> Result<Trigger> {
        let mut gone = None;
        self.change_trigger(scope, name, |existing| {
            gone = Some(existing.ok_or_else(|| no_such_trigger(name))?);
            Ok(None)
        })
        .await?;
        gone.ok_or_else(|| no_such_trigger(name))
    }

    /// Puts what `decide` makes of a trigger in its place, and decides again on conflict.
    async fn change_trigger(
        &self,
        scope: &Scope,
        name: &str,
        mut decide: impl FnMut(Option<Trigger>) -> Result<Option<Trigger>> + Send,
    ) -> Result<Option<Trigger>> {
        let key = keyspace::trigger(&scope.account, &scope.region, name);
        for attempt in 0..MAX_ATTEMPTS {
            let snapshot = self.snapshot(Freshness::Latest).await?;
            let existing: Option<Trigger> = snapshot.get(&key).await?.map(|value| from_json(&value)).transpose()?;
            let state = existing.as_ref().map(|trigger| Key::from(keyspace::trigger_state(&trigger.id)));
            let after = decide(existing)?;
            let writes = match (&after, state) {
                (Some(trigger), _) => vec![Write::Put { key: key.clone(), value: to_json(trigger)? }],
                (None, Some(prefix)) => vec![Write::Delete { key: key.clone() }, Write::Retire { prefix }],
                (None, None) => return Ok(None),
            };
            let commit = Commit {
                read_version: snapshot.version(),
                reads: vec![Read::Key(key.clone())],
                writes,
                catalog_changed: false,
            };
            match self.store().commit(commit).await {
                Ok(_) => return Ok(after),
                Err(CommitError::Conflict | CommitError::TooOld) => back_off(attempt).await,
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Contention)
    }

    /// The ARN of the enabled stream that a new trigger names.
    async fn stream_of(&self, scope: &Scope, source: &str) -> Result<String> {
        let no_stream = || {
            let message = format!("{source} has no enabled stream: enable one with UpdateTable's StreamSpecification");
            Error::validation(message)
        };
        let is_stream =
            TableArn::parse(source).and_then(|arn| arn.rest).is_some_and(|rest| rest.starts_with("stream/"));
        if is_stream {
            let described = self.describe_stream(source, &StreamPage::default()).await?;
            return if described.enabled { Ok(described.arn) } else { Err(no_stream()) };
        }
        let table = self.table(scope, source).await?;
        let stream = table.record.stream.as_ref().filter(|stream| stream.enabled).ok_or_else(no_stream)?;
        Ok(format!("{}/stream/{}", table.record.arn(), stream.label))
    }

    /// Checks that the dead-letter table can take a trigger's records.
    async fn check_dead_letter(&self, trigger: &Trigger) -> Result<()> {
        let Some(name) = &trigger.settings.dead_letter else { return Ok(()) };
        let table = self.table(&trigger.scope(), name).await?;
        check_dead_letter_key(&table)?;
        let source = TableArn::parse(&trigger.stream_arn);
        let itself = source.is_some_and(|arn| {
            let Scope { account, region } = table.record.scope();
            (arn.table, arn.account, arn.region) == (table.record.name.as_str(), &*account, &*region)
        });
        if itself {
            return Err(Error::validation("The dead-letter table must not be the table whose stream is delivered"));
        }
        Ok(())
    }

    async fn check_room(&self, scope: &Scope) -> Result<()> {
        let full = |most: usize, of: &str| {
            let message = format!("The limit of {most} triggers of {of} is reached");
            Err(Error::refused(ErrorCode::LimitExceededException, message))
        };
        if self.triggers(scope).await?.len() >= MAX_TRIGGERS {
            return full(MAX_TRIGGERS, "an account in a region");
        }
        let snapshot = self.snapshot(Freshness::Latest).await?;
        if triggers_in(&snapshot, KeyRange::prefix(keyspace::triggers())).await?.len() >= MAX_ALL_TRIGGERS {
            return full(MAX_ALL_TRIGGERS, "a database");
        }
        Ok(())
    }
}

impl Trigger {
    /// The name space it was made in.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { account: self.account.as_str().into(), region: self.region.as_str().into() }
    }

    /// The key of its definition.
    pub(super) fn key(&self) -> Key {
        keyspace::trigger(&self.account, &self.region, &self.name)
    }
}

/// Checks that a table's key can be made for any record: a string, or two.
pub(super) fn check_dead_letter_key(table: &Table) -> Result<()> {
    if table.key.partition.iter().chain(&table.key.sort).all(|attribute| attribute.key_type == KeyType::S) {
        Ok(())
    } else {
        Err(Error::validation("The key of a dead-letter table must be of type S, sort key included"))
    }
}

/// The triggers whose definitions lie in a range.
pub(super) async fn triggers_in(snapshot: &Snapshot, mut range: KeyRange) -> Result<Vec<Trigger>> {
    let mut triggers = Vec::new();
    loop {
        let page = snapshot.scan(&range, Direction::Forward, ScanLimit::PAGE).await?;
        for (_, value) in &page.rows {
            triggers.push(from_json(value)?);
        }
        match page.rows.last() {
            Some((last, _)) if page.more => range = range.after(last),
            _ => return Ok(triggers),
        }
    }
}

fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(Error::validation(format!(
            "TriggerName must have 1 to {MAX_NAME} letters, digits, dots, dashes or underscores"
        )))
    }
}

fn no_such_trigger(name: &str) -> Error {
    let message = format!("Requested resource not found: Trigger: {name} not found");
    Error::refused(ErrorCode::ResourceNotFoundException, message)
}

fn new_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(format!("no random bytes: {error}")))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

pub(super) fn from_json<T: for<'de> Deserialize<'de>>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(value)
        .map_err(|error| Error::Internal(format!("a trigger's record can not be read: {error}")))
}

pub(super) fn to_json(value: &impl Serialize) -> Result<partita_engine::Value> {
    let bytes = serde_json::to_vec(value);
    bytes.map(Into::into).map_err(|error| Error::Internal(format!("a trigger's record can not be written: {error}")))
}
