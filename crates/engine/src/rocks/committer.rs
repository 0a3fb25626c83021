//! The one writer. It takes all waiting commits as a group, checks their conflicts and resolves their writes in order,
//! writes one batch, syncs once, publishes the new snapshot, and only then answers. Which thread it runs on is `writer`'s.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rocksdb::{DB, WriteBatch, WriteOptions};
use tokio::sync::oneshot;

use crate::contract::{Commit, CommitError, Committed, EngineError, Key, Reason, Version};
use crate::open::OpenOptions;

use super::changes::RecentChanges;
use super::group::{Change, Group};
use super::history::History;
use super::keeper::Keeper;
use super::sight::Tally;
use super::snapshot::Moment;
use super::tuning::Tuned;

/// The most commits of a group, so that the first does not wait for ever longer.
const MAX_GROUP_COMMITS: usize = 4_096;
/// The bytes after which a group takes no further commit.
const MAX_GROUP_BYTES: usize = 16 << 20;
/// How often to forget old changes while nothing is committed.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes a batch needs for each entry besides its key and value, at most.
const BATCH_ENTRY_BYTES: usize = 12;

/// What the committer is asked for.
pub(crate) enum Request {
    Commit { commit: Commit, answer: oneshot::Sender<Result<Committed, CommitError>> },
    Watch { key: Key, since: Version, answer: oneshot::Sender<()> },
    Close { answer: oneshot::Sender<Result<(), EngineError>> },
}

type Answer = (oneshot::Sender<Result<Committed, CommitError>>, Result<Committed, CommitError>);

/// The state of the writing thread.
pub(crate) struct Committer {
    db: Arc<DB>,
    history: History,
    published: Arc<ArcSwap<Moment>>,
    changes: RecentChanges,
    watchers: Watchers,
    keeper: Keeper,
    writes: WriteOptions,
    in_memory: bool,
    /// Why nothing can be committed any more.
    failure: Option<Reason>,
    /// When what is no longer needed was last forgotten.
    forgotten: Instant,
    tally: Arc<Tally>,
}

impl Committer {
    pub(crate) fn new(
        db: Arc<DB>,
        history: History,
        published: Arc<ArcSwap<Moment>>,
        keeper: Keeper,
        tuned: Tuned,
        options: &OpenOptions,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            db,
            history,
            published,
            changes: RecentChanges::new(history.version(), options.conflict_window, options.conflict_window_bytes),
            watchers: Watchers::default(),
            keeper,
            writes: tuned.group_writes(),
            in_memory: tuned.in_memory,
            failure: None,
            forgotten: Instant::now(),
            tally,
        }
    }

    /// Works until closed, or until nobody is left to ask.
    pub(crate) fn run(mut self, queue: &Receiver<Request>) {
        loop {
            let first = if self.changes.is_empty() {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                queue.recv_timeout(IDLE_INTERVAL)
            };
            match first {
                Ok(request) => {
                    let next = || queue.try_recv().ok();
                    if let Some(closed) = self.work(request, next) {
                        self.close(closed, next);
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.forget(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Forgets what no transaction and nobody who waits needs any more.
    fn forget(&mut self) {
        self.forgotten = Instant::now();
        self.changes.forget(self.forgotten);
        self.watchers.forget_dropped();
    }

    /// Handles a request and what waits behind it, as far as `next` gives it, as one group. Returns whom to tell, if one
    /// asked to close.
    pub(crate) fn work(
        &mut self,
        first: Request,
        next: impl Fn() -> Option<Request>,
    ) -> Option<oneshot::Sender<Result<(), EngineError>>> {
        let mut group = Group::default();
        let mut answers: Vec<Answer> = Vec::new();
        let mut closing = None;
        let before = self.history;
        let mut taken = Some(first);
        while let Some(request) = taken {
            match request {
                Request::Commit { commit, answer } => {
                    let result = self.accept(&mut group, commit);
                    self.tally.decided(&result);
                    answers.push((answer, result));
                }
                Request::Watch { key, since, answer } => {
                    if self.changes.may_have_changed(&key, since) {
                        // Answered with the group, because the change may belong to it.
                        self.watchers.due.push(answer);
                    } else {
                        self.watchers.add(key, answer);
                    }
                }
                Request::Close { answer } => {
                    closing = Some(answer);
                    break;
                }
            }
            if answers.len() >= MAX_GROUP_COMMITS || group.bytes() >= MAX_GROUP_BYTES {
                break;
            }
            taken = next();
        }
        if self.history != before {
            let accepted = answers.iter().filter(|(_, result)| result.is_ok()).count();
            self.write(&group, accepted);
        }
        self.watchers.notify_due();
        for (answer, result) in answers {
            let result = match (&self.failure, result) {
                (Some(reason), Ok(_)) => Err(CommitError::Unavailable(reason.clone())),
                (_, result) => result,
            };
            // Nobody has to wait for the answer.
            let _ = answer.send(result);
        }
        closing
    }

    /// Takes a commit into the group, or says why not.
    fn accept(&mut self, group: &mut Group, commit: Commit) -> Result<Committed, CommitError> {
        if let Some(reason) = self.failure.clone().or_else(|| self.keeper.failure()) {
            self.failure = Some(reason.clone());
            return Err(CommitError::Unavailable(reason));
        }
        self.changes.check(&commit.reads, commit.read_version)?;
        let mut history = self.history;
        let committed = history.advance(commit.catalog_changed);
        let changes = group.resolve(&self.db, commit.writes, &committed)?;
        self.history = history;
        for change in changes {
            match &change {
                Change::Set(key, _) => self.changes.record(key, committed.version),
                Change::Retire(range) => self.changes.record_retired(range.clone(), committed.version),
            }
            group.apply(change);
        }
        Ok(committed)
    }

    /// Makes a group durable, then visible. After a failure nothing is visible, and nothing more is accepted.
    fn write(&mut self, group: &Group, commits: usize) {
        let began = Instant::now();
        let entries = group.values().len().saturating_add(1).saturating_mul(BATCH_ENTRY_BYTES);
        let mut batch = WriteBatch::with_capacity_bytes(group.bytes().saturating_add(entries));
        group.write_to(&mut batch);
        self.history.store(&mut batch);
        let bytes = batch.size_in_bytes();
        if let Err(error) = self.db.write_opt(batch, &self.writes) {
            let reason = Reason::new(error);
            self.keeper.failed(reason.clone());
            self.failure = Some(reason);
            return;
        }
        self.tally.written(commits, bytes, began.elapsed());
        self.keeper.written();
        let sequence = self.db.latest_sequence_number();
        self.published.store(Arc::new(Moment::now(Arc::clone(&self.db), self.history)));
        self.changes.seal(self.history.version(), Instant::now());
        self.watchers.note(group);
        if self.forgotten.elapsed() > IDLE_INTERVAL {
            self.forget();
        }
        for range in group.retired() {
            self.keeper.reclaim(range.clone(), sequence);
        }
    }

    /// Answers what came before the close and was not in its group, syncs, and ends.
    pub(crate) fn close(
        mut self,
        closed: oneshot::Sender<Result<(), EngineError>>,
        next: impl Fn() -> Option<Request>,
    ) {
        let mut also_closed = Vec::new();
        while let Some(request) = next() {
            also_closed.extend(self.work(request, &next));
        }
        let result = match (self.failure.take(), self.in_memory) {
            (Some(reason), _) => Err(EngineError::Unavailable(reason)),
            (None, true) => Ok(()),
            (None, false) => self.db.flush_wal(true).map_err(|e| EngineError::Unavailable(Reason::new(e))),
        };
        // The keeper ends before the answer.
        drop(self);
        for answer in also_closed.into_iter().chain([closed]) {
            let _ = answer.send(result.clone());
        }
    }
}

/// Who waits for which key.
#[derive(Default)]
struct Watchers {
    by_key: HashMap<Key, Vec<oneshot::Sender<()>>>,
    /// To be told once the group is published.
    due: Vec<oneshot::Sender<()>>,
    /// Those added since the dropped ones were last forgotten.
    added: usize,
}

impl Watchers {
    fn add(&mut self, key: Key, answer: oneshot::Sender<()>) {
        self.by_key.entry(key).or_default().push(answer);
        self.added = self.added.saturating_add(1);
        if self.added > self.by_key.len().max(1_024) {
            self.forget_dropped();
        }
    }

    fn note(&mut self, group: &Group) {
        if self.by_key.is_empty() {
            return;
        }
        for key in group.values().keys() {
            self.due.extend(self.by_key.remove(key).into_iter().flatten());
        }
        for range in group.retired() {
            let gone = self.by_key.extract_if(|key, _| range.contains(key));
            self.due.extend(gone.flat_map(|(_, waiting)| waiting));
        }
    }

    fn notify_due(&mut self) {
        for answer in self.due.drain(..) {
            let _ = answer.send(());
        }
    }

    fn forget_dropped(&mut self) {
        self.added = 0;
        self.by_key.retain(|_, waiting| {
            waiting.retain(|answer| !answer.is_closed());
            !waiting.is_empty()
        });
    }
}
