//! The two caches, of items and of answers to queries and scans, within one budget of bytes.
//!
//! A cached item is never older than a write that this node has acknowledged, whichever door that came by. Whoever reads an
//! item to cache it says so before (`Reading`), and what is told of the item's changes meanwhile spoils the reading. Whoever
//! writes through says so before as well (`Writing`), and finds the newest image that was told. Answers to queries are
//! older by up to their time to live, as DAX's are.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use partita_db::{ItemChange, ItemObserver};
use partita_model::StoredItem;
use quick_cache::sync::Cache as Entries;
use quick_cache::{Lifecycle, Weighter};
use tokio::sync::watch;

use crate::fault::Fault;
use crate::metrics::Metrics;

/// What an entry takes beside its key and value, in bytes: two allocations, the table's share, the entry itself.
const OVERHEAD: u64 = 192;
/// How large an entry is expected to be, in bytes.
const EXPECTED_ENTRY: u64 = 1_024;
/// How many locks readings and writings are spread over.
const SHARDS: usize = 64;

/// How long entries live, and how much room they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `record-ttl-millis`: how long an item is answered without being read again. 0: until it is written or given up.
    pub item_ttl_ms: u64,
    /// `query-ttl-millis`: the same of answers to queries and scans. 0: they are not kept.
    pub query_ttl_ms: u64,
    /// The bytes that all entries take together.
    pub bytes: u64,
}

/// An item that is kept, or that it is known not to be there.
#[derive(Debug)]
pub struct Held {
    /// The item.
    pub item: Option<StoredItem>,
    /// The id of its attribute list, once somebody has asked.
    pub list: std::sync::OnceLock<u64>,
    /// No change of this version or below is newer.
    version: u64,
    /// When it is to be read again, in milliseconds since the epoch.
    until_ms: u64,
}

impl Held {
    /// An item that is answered once and not kept.
    #[must_use]
    pub fn passing(item: Option<StoredItem>) -> Arc<Self> {
        Arc::new(Self { item, list: std::sync::OnceLock::new(), version: 0, until_ms: 0 })
    }
}

/// An answer to a query or scan that is kept, without what it consumed.
#[derive(Debug)]
pub struct Reply {
    /// Its members, as they go into the answer's map.
    pub members: Vec<u8>,
    /// When it is to be executed again, in milliseconds since the epoch.
    until_ms: u64,
}

impl Reply {
    /// An answer that is good until then.
    #[must_use]
    pub const fn new(members: Vec<u8>, until_ms: u64) -> Self {
        Self { members, until_ms }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Item(Bytes),
    Reply(Bytes),
}

#[derive(Clone, Debug)]
enum Kept {
    Item(Arc<Held>),
    Reply(Arc<Reply>),
}

#[derive(Clone)]
struct Weight;

impl Weighter<Place, Kept> for Weight {
    fn weight(&self, place: &Place, kept: &Kept) -> u64 {
        let (Place::Item(key) | Place::Reply(key)) = place;
        let value = match kept {
            Kept::Item(held) => held.item.as_ref().map_or(0, |item| item.as_bytes().len()),
            Kept::Reply(reply) => reply.members.len(),
        };
        OVERHEAD + key.len() as u64 + value as u64
    }
}

#[derive(Clone)]
struct Evictions(Arc<Metrics>);

impl Lifecycle<Place, Kept> for Evictions {
    type RequestState = ();

    fn on_evict(&self, _state: &mut (), place: Place, kept: Kept) {
        Metrics::count(&self.0.evictions);
        self.0.evicted_bytes.fetch_add(Weight.weight(&place, &kept), Ordering::Relaxed);
    }
}

/// What is under way at a place.
#[derive(Default)]
struct Slot {
    /// Readings that began before the last change and have not ended.
    readings: Vec<Arc<AtomicBool>>,
    writings: usize,
    /// The newest image that was told while somebody writes.
    told: Option<(u64, Option<StoredItem>)>,
    flight: Option<watch::Receiver<Option<Landed>>>,
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.readings.is_empty() && self.writings == 0 && self.flight.is_none()
    }
}

type Shard = Mutex<HashMap<Place, Slot>>;

/// What a reading for several brought, and what the one who began it learns beside.
type Landed = Result<(Kept, Option<Arc<serde_json::Value>>), Fault>;

/// The caches of a node.
pub struct Cache {
    entries: Entries<Place, Kept, Weight, quick_cache::DefaultHashBuilder, Evictions>,
    shards: Vec<Shard>,
    hasher: RandomState,
    /// The highest version that was told.
    told: AtomicU64,
    settings: Settings,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Cache {
    /// Nothing yet.
    #[must_use]
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Arc<Self> {
        let expected = usize::try_from(settings.bytes / EXPECTED_ENTRY).unwrap_or(usize::MAX).clamp(64, 10_000_000);
        Arc::new(Self {
            entries: Entries::with(
                expected,
                settings.bytes,
                Weight,
                quick_cache::DefaultHashBuilder::default(),
                Evictions(metrics),
            ),
            shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            told: AtomicU64::new(0),
            settings,
        })
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// The bytes that all entries take, as far as they are counted.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.entries.weight()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn shard(&self, place: &Place) -> &Shard {
        let hash = usize::try_from(self.hasher.hash_one(place) % SHARDS as u64).unwrap_or_default();
        // There are as many.
        self.shards.get(hash).unwrap_or_else(|| unreachable_shard())
    }

    /// The item at a place, if it is kept and still good.
    pub fn item(&self, place: &Bytes, now_ms: u64) -> Option<Arc<Held>> {
        match self.entries.get(&Place::Item(place.clone()))? {
            Kept::Item(held) if now_ms < held.until_ms => Some(held),
            _ => None,
        }
    }

    /// The answer to a query, if it is kept and still good.
    pub fn reply(&self, key: &Bytes, now_ms: u64) -> Option<Arc<Reply>> {
        match self.entries.get(&Place::Reply(key.clone()))? {
            Kept::Reply(reply) if now_ms < reply.until_ms => Some(reply),
            _ => None,
        }
    }

    fn held(&self, item: Option<StoredItem>, version: u64, now_ms: u64) -> Kept {
        let until_ms =
            if self.settings.item_ttl_ms == 0 { u64::MAX } else { now_ms.saturating_add(self.settings.item_ttl_ms) };
        Kept::Item(Arc::new(Held { item, list: std::sync::OnceLock::new(), version, until_ms }))
    }

    /// Keeps an item unless a newer image of it is kept. To be called with the shard locked.
    fn keep(&self, place: Place, item: Option<StoredItem>, version: u64, now_ms: u64) -> Kept {
        let kept = self.held(item, version, now_ms);
        let newer = matches!(self.entries.peek(&place), Some(Kept::Item(held)) if held.version > version);
        if !newer {
            self.entries.insert(place, kept.clone());
        }
        kept
    }

    /// Begins to read an item.
    pub fn read(self: &Arc<Self>, place: &Bytes) -> Reading {
        let place = Place::Item(place.clone());
        let spoiled = Arc::new(AtomicBool::new(false));
        let version = self.told.load(Ordering::Acquire);
        self.shard(&place).lock().entry(place.clone()).or_default().readings.push(Arc::clone(&spoiled));
        Reading { cache: Arc::clone(self), place, spoiled, version }
    }

    /// Begins to write an item through.
    pub fn write(self: &Arc<Self>, place: &Bytes) -> Writing {
        let place = Place::Item(place.clone());
        self.shard(&place).lock().entry(place.clone()).or_default().writings += 1;
        Writing { cache: Arc::clone(self), place, now_ms: None }
    }

    /// Reads an item for everyone who asks for it now. `fetch` brings it with what the first of them learns beside. The
    /// second value is true for the first.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub async fn item_once<F>(
        self: &Arc<Self>,
        place: &Bytes,
        now_ms: u64,
        fetch: impl FnOnce() -> F,
    ) -> Result<(Arc<Held>, Option<Arc<serde_json::Value>>), Fault>
    where
        F: Future<Output = Result<(Option<StoredItem>, Option<serde_json::Value>), Fault>> + Send + 'static,
    {
        let cache = Arc::clone(self);
        let at = Place::Item(place.clone());
        let landed = self
            .once(at, || {
                let reading = cache.read(place);
                let fetched = fetch();
                async move {
                    let (item, beside) = fetched.await?;
                    Ok((reading.keep(item, now_ms), beside.map(Arc::new)))
                }
            })
            .await?;
        match landed {
            (Kept::Item(held), beside) => Ok((held, beside)),
            (Kept::Reply(_), _) => Err(no_answer()),
        }
    }

    /// Executes a query for everyone who asks for the same now, as for items.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub async fn reply_once<F>(
        self: &Arc<Self>,
        key: &Bytes,
        fetch: impl FnOnce() -> F,
    ) -> Result<(Arc<Reply>, Option<Arc<serde_json::Value>>), Fault>
    where
        F: Future<Output = Result<(Reply, Option<serde_json::Value>), Fault>> + Send + 'static,
    {
        let place = Place::Reply(key.clone());
        let landed = self
            .once(place.clone(), || {
                let (cache, fetched) = (Arc::clone(self), fetch());
                async move {
                    let (reply, beside) = fetched.await?;
                    let kept = Kept::Reply(Arc::new(reply));
                    if cache.settings.query_ttl_ms > 0 {
                        cache.entries.insert(place, kept.clone());
                    }
                    Ok((kept, beside.map(Arc::new)))
                }
            })
            .await?;
        match landed {
            (Kept::Reply(reply), beside) => Ok((reply, beside)),
            (Kept::Item(_), _) => Err(no_answer()),
        }
    }

    /// Runs `fetch` unless it is running for this place already; its outcome is everyone's. A task of its own runs it, so
    /// that it ends though whoever began it hangs up.
    async fn once<F>(self: &Arc<Self>, place: Place, fetch: impl FnOnce() -> F) -> Landed
    where
        F: Future<Output = Landed> + Send + 'static,
    {
        let (landed, mut flight, is_first) = {
            let mut shard = self.shard(&place).lock();
            match shard.get(&place).and_then(|slot| slot.flight.clone()) {
                Some(flight) => (None, flight, false),
                None => {
                    let (landed, flight) = watch::channel(None);
                    shard.entry(place.clone()).or_default().flight = Some(flight.clone());
                    (Some(landed), flight, true)
                }
            }
        };
        if let Some(landed) = landed {
            let aloft = Aloft { cache: Arc::clone(self), place, flight: flight.clone() };
            let fetched = fetch();
            tokio::spawn(async move {
                let outcome = fetched.await;
                // Whoever comes from now on finds what is kept, or reads anew.
                drop(aloft);
                landed.send_replace(Some(outcome));
            });
        }
        let outcome = flight.wait_for(Option::is_some).await.map_err(|_| no_answer())?.clone();
        let (kept, beside) = outcome.unwrap_or_else(|| Err(no_answer()))?;
        Ok((kept, beside.filter(|_| is_first)))
    }
}

#[cold]
fn unreachable_shard() -> &'static Shard {
    static SPARE: std::sync::OnceLock<Shard> = std::sync::OnceLock::new();
    SPARE.get_or_init(Shard::default)
}

fn no_answer() -> Fault {
    partita_api::Failure::internal("a read for several ended without an outcome").into()
}

/// A read that is being made for several.
struct Aloft {
    cache: Arc<Cache>,
    place: Place,
    flight: watch::Receiver<Option<Landed>>,
}

impl Drop for Aloft {
    fn drop(&mut self) {
        let mut shard = self.cache.shard(&self.place).lock();
        if let Some(slot) = shard.get_mut(&self.place) {
            if slot.flight.as_ref().is_some_and(|flight| flight.same_channel(&self.flight)) {
                slot.flight = None;
            }
            if slot.is_empty() {
                shard.remove(&self.place);
            }
        }
    }
}

/// An item that is being read. Given up when dropped.
#[must_use]
pub struct Reading {
    cache: Arc<Cache>,
    place: Place,
    /// Set when the item changes.
    spoiled: Arc<AtomicBool>,
    /// The highest version that had been told when it began.
    version: u64,
}

impl Reading {
    /// Keeps what was read, unless it has changed meanwhile.
    fn keep(self, item: Option<StoredItem>, now_ms: u64) -> Kept {
        let _shard = self.cache.shard(&self.place).lock();
        if self.spoiled.load(Ordering::Acquire) {
            return self.cache.held(item, self.version, now_ms);
        }
        self.cache.keep(self.place.clone(), item, self.version, now_ms)
    }

    /// The same, for one alone.
    pub fn keep_alone(self, item: Option<StoredItem>, now_ms: u64) -> Arc<Held> {
        match self.keep(item, now_ms) {
            Kept::Item(held) => held,
            Kept::Reply(_) => Held::passing(None),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut shard = self.cache.shard(&self.place).lock();
        if let Some(slot) = shard.get_mut(&self.place) {
            slot.readings.retain(|reading| !Arc::ptr_eq(reading, &self.spoiled));
            if slot.is_empty() {
                shard.remove(&self.place);
            }
        }
    }
}

/// An item that is being written through.
#[must_use]
pub struct Writing {
    cache: Arc<Cache>,
    place: Place,
    /// When it was done; `None` while it is not.
    now_ms: Option<u64>,
}

impl Writing {
    /// The write has been acknowledged: what it wrote, or what somebody wrote since, is kept.
    pub fn done(mut self, now_ms: u64) {
        self.now_ms = Some(now_ms);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut shard = self.cache.shard(&self.place).lock();
        let Some(slot) = shard.get_mut(&self.place) else { return };
        slot.writings = slot.writings.saturating_sub(1);
        if let (Some(now_ms), Some((version, item))) = (self.now_ms, &slot.told) {
            self.cache.keep(self.place.clone(), item.clone(), *version, now_ms);
        }
        if slot.writings == 0 {
            slot.told = None;
        }
        if slot.is_empty() {
            shard.remove(&self.place);
        }
    }
}

/// Tells a cache of changes, by a clock.
pub struct Told<C> {
    /// The cache.
    pub cache: Arc<Cache>,
    /// Milliseconds since the epoch.
    pub clock: C,
}

impl<C: Fn() -> u64 + Send + Sync + 'static> ItemObserver for Told<C> {
    fn changed(&self, version: u64, changes: Vec<ItemChange>) {
        let now_ms = (self.clock)();
        self.cache.told.fetch_max(version, Ordering::AcqRel);
        for ItemChange { place, item } in changes {
            let place = Place::Item(place);
            let mut shard = self.cache.shard(&place).lock();
            if let Some(slot) = shard.get_mut(&place) {
                spoil(slot);
                if slot.writings > 0 && slot.told.as_ref().is_none_or(|(told, _)| *told < version) {
                    slot.told = Some((version, item.clone()));
                }
            }
            if matches!(self.cache.entries.peek(&place), Some(Kept::Item(held)) if held.version < version) {
                self.cache.keep(place, item, version, now_ms);
            }
        }
    }

    fn unknown(&self, places: Vec<Bytes>) {
        for place in places {
            let place = Place::Item(place);
            let mut shard = self.cache.shard(&place).lock();
            if let Some(slot) = shard.get_mut(&place) {
                spoil(slot);
                slot.told = None;
            }
            self.cache.entries.remove(&place);
        }
    }
}

/// What is being read may be older than the change, and nobody joins it any more.
fn spoil(slot: &mut Slot) {
    slot.readings.drain(..).for_each(|reading| reading.store(true, Ordering::Release));
    slot.flight = None;
}

#[cfg(test)]
mod tests;
