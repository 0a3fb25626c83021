//! What the caches promise, by hand: every interleaving that matters is written out.

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use partita_model::{AttributeMap, AttributeValue};

use super::*;

const SETTINGS: Settings = Settings { item_ttl_ms: 1_000, query_ttl_ms: 500, bytes: 1 << 20 };

type Telling = Told<fn() -> u64>;

fn cache() -> (Arc<Cache>, Telling) {
    let cache = Cache::new(SETTINGS, Arc::default());
    (Arc::clone(&cache), Told { cache, clock: || 0 })
}

fn item(text: &str) -> Option<StoredItem> {
    let mut item = AttributeMap::new();
    item.insert("a", AttributeValue::S(text.to_owned()));
    Some(StoredItem::from_item(&item))
}

fn place() -> Bytes {
    Bytes::from_static(b"place")
}

fn change(item: Option<StoredItem>) -> Vec<ItemChange> {
    vec![ItemChange { place: place(), item }]
}

fn kept(cache: &Cache) -> Option<Option<StoredItem>> {
    cache.item(&place(), 0).map(|held| held.item.clone())
}

#[test]
fn an_item_that_changes_while_it_is_read_is_not_kept() {
    let (cache, told) = cache();
    let reading = cache.read(&place());
    told.changed(1, change(item("new")));
    assert_eq!(reading.keep_alone(item("old"), 0).item, item("old"));
    assert_eq!(kept(&cache), None);
    let reading = cache.read(&place());
    reading.keep_alone(item("new"), 0);
    assert_eq!(kept(&cache), Some(item("new")));
}

#[test]
fn a_kept_item_follows_every_change_and_no_older_one_told_later() {
    let (cache, told) = cache();
    cache.read(&place()).keep_alone(item("first"), 0);
    told.changed(5, change(item("fifth")));
    assert_eq!(kept(&cache), Some(item("fifth")));
    told.changed(4, change(item("fourth")));
    assert_eq!(kept(&cache), Some(item("fifth")));
    told.changed(6, change(None));
    assert_eq!(kept(&cache), Some(None));
}

#[test]
fn a_change_told_late_does_not_replace_what_was_read_after_a_newer_one() {
    let (cache, told) = cache();
    told.changed(7, change(item("seventh")));
    cache.read(&place()).keep_alone(item("seventh"), 0);
    told.changed(5, change(item("fifth")));
    assert_eq!(kept(&cache), Some(item("seventh")));
}

#[test]
fn nothing_is_kept_that_nobody_asked_for() {
    let (cache, told) = cache();
    told.changed(1, change(item("new")));
    assert_eq!(kept(&cache), None);
    assert!(cache.is_empty());
}

#[test]
fn a_write_through_keeps_the_newest_image_that_was_told() {
    let (cache, told) = cache();
    let writing = cache.write(&place());
    told.changed(9, change(item("another's, later")));
    told.changed(8, change(item("ours")));
    writing.done(0);
    assert_eq!(kept(&cache), Some(item("another's, later")));
    let failed = cache.write(&place());
    told.changed(10, change(item("tenth")));
    drop(failed);
    assert_eq!(kept(&cache), Some(item("tenth")));
    assert!(cache.shards.iter().all(|shard| shard.lock().is_empty()));
}

#[test]
fn a_write_that_failed_keeps_nothing() {
    let (cache, told) = cache();
    let writing = cache.write(&place());
    told.changed(1, change(item("another's")));
    drop(writing);
    assert_eq!(kept(&cache), None);
}

#[test]
fn what_may_have_been_written_is_forgotten() {
    let (cache, told) = cache();
    cache.read(&place()).keep_alone(item("old"), 0);
    let reading = cache.read(&place());
    told.unknown(vec![place()]);
    assert_eq!(kept(&cache), None);
    reading.keep_alone(item("old"), 0);
    assert_eq!(kept(&cache), None);
}

#[test]
fn entries_live_as_long_as_the_settings_say() {
    let (cache, _) = cache();
    cache.read(&place()).keep_alone(None, 10);
    assert!(cache.item(&place(), 1_009).is_some());
    assert!(cache.item(&place(), 1_010).is_none());
    let forever = Cache::new(Settings { item_ttl_ms: 0, ..SETTINGS }, Arc::default());
    forever.read(&place()).keep_alone(None, 10);
    assert!(forever.item(&place(), u64::MAX - 1).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn misses_at_one_time_are_one_read() {
    let (cache, _) = cache();
    let reads = Arc::new(AtomicUsize::new(0));
    let asking = (0..50).map(|_| {
        let (cache, reads) = (Arc::clone(&cache), Arc::clone(&reads));
        tokio::spawn(async move {
            let fetch = || async move {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok((item("read"), Some(serde_json::Value::Null)))
            };
            cache.item_once(&place(), 0, fetch).await.unwrap()
        })
    });
    let mut first = 0;
    for asked in asking.collect::<Vec<_>>() {
        let (held, beside) = asked.await.unwrap();
        assert_eq!(held.item, item("read"));
        first += usize::from(beside.is_some());
    }
    assert_eq!((reads.load(Ordering::Relaxed), first), (1, 1));
    assert_eq!(kept(&cache), Some(item("read")));
}

#[tokio::test]
async fn whoever_asks_after_a_change_does_not_join_a_read_from_before() {
    let (cache, told) = cache();
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let earlier = {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move {
            let fetch = || async move {
                wait.await.unwrap();
                Ok((item("old"), None))
            };
            cache.item_once(&place(), 0, fetch).await.unwrap().0.item.clone()
        })
    };
    while !cache.shards.iter().any(|shard| !shard.lock().is_empty()) {
        tokio::task::yield_now().await;
    }
    told.changed(1, change(item("new")));
    let later = cache.item_once(&place(), 0, || async { Ok((item("new"), None)) }).await.unwrap().0;
    assert_eq!(later.item, item("new"));
    go.send(()).unwrap();
    assert_eq!(earlier.await.unwrap(), item("old"));
    assert_eq!(kept(&cache), Some(item("new")));
    assert!(cache.shards.iter().all(|shard| shard.lock().is_empty()));
}

#[tokio::test]
async fn a_read_that_fails_or_panics_is_not_kept_and_holds_nobody_up() {
    let (cache, _) = cache();
    let failed = cache.item_once(&place(), 0, || async { Err(no_answer()) }).await;
    assert!(failed.is_err());
    let panicked = cache.item_once(&place(), 0, || async { panic!("on purpose") }).await;
    assert!(panicked.is_err());
    let read = cache.item_once(&place(), 0, || async { Ok((item("read"), None)) }).await.unwrap().0;
    assert_eq!(read.item, item("read"));
}

#[test]
fn the_budget_of_bytes_holds_under_any_load() {
    let metrics = Arc::<Metrics>::default();
    let cache = Cache::new(Settings { bytes: 4 << 20, ..SETTINGS }, Arc::clone(&metrics));
    for number in 0u64..30_000 {
        let place = Bytes::copy_from_slice(&number.to_be_bytes());
        let length = usize::try_from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52).unwrap();
        cache.read(&place).keep_alone(item(&"x".repeat(length)), 0);
        assert!(cache.weight() <= (4 << 20) * 11 / 10);
    }
    assert!(cache.weight() > 3 << 20, "{}", cache.weight());
    assert!(metrics.evictions.load(Ordering::Relaxed) > 10_000);
}
