//! Item collections as a client sees them, on a database in memory with a small limit.

use std::sync::Arc;

use partita_engine::OpenOptions;
use partita_model::{AttributeMap, AttributeValue, ErrorCode, StoredItem};

use super::*;
use crate::catalog::{Becomes, RecordChange, catalog_key_of};
use crate::error::{Error, Result};
use crate::jobs::JobOptions;
use crate::record::{BillingMode, Collections, KeyElement};
use crate::stream::tests::item;
use crate::tables::{IndexDefinition, ProjectionDefinition, ProjectionKind, TableDefinition};
use crate::{Database, Encryption, Scope, Settings, Table};

const MOST: u64 = 1000;

struct Fixture {
    database: Database,
    scope: Scope,
    table: Arc<Table>,
}

/// A database of small collections with a table of key `pk`, `sk` and a local index over `rank` that holds `kept`.
async fn fixture() -> Fixture {
    let settings = Settings { max_collection_bytes: MOST, ..Settings::default() };
    let database = Database::open_with(&OpenOptions::memory(), settings, Encryption::Off).await.unwrap();
    let scope = Scope { account: "000000000000".into(), region: "eu-west-1".into() };
    let key = |sort: &str| {
        let element = |name: &str, partition| KeyElement { name: name.to_owned(), partition };
        vec![element("pk", true), element(sort, false)]
    };
    let projection =
        ProjectionDefinition { kind: Some(ProjectionKind::Include), attributes: Some(vec!["kept".to_owned()]) };
    let index =
        IndexDefinition { name: "ByRank".to_owned(), key: key("rank"), projection, ..IndexDefinition::default() };
    let definition = TableDefinition {
        attributes: ["pk", "sk", "rank"].map(|name| (name.to_owned(), "S".to_owned())).to_vec(),
        key: key("sk"),
        local_indexes: Some(vec![index]),
        billing: Some(BillingMode::OnDemand),
        ..TableDefinition::default()
    };
    database.create_table(&scope, "T", &definition).await.unwrap();
    let table = database.table(&scope, "T").await.unwrap();
    Fixture { database, scope, table }
}

/// `rank` is left out when empty; `kept` is in the index, `lost` is not.
fn of(pk: &str, sk: &str, rank: &str, kept: usize, lost: usize) -> AttributeMap {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let mut item = item(pk, &[("sk", text(sk)), ("kept", text(&"k".repeat(kept))), ("lost", text(&"l".repeat(lost)))]);
    if !rank.is_empty() {
        item.insert("rank", text(rank));
    }
    item
}

impl Fixture {
    fn write(&self, item: AttributeMap, mutation: fn(AttributeMap) -> Mutation) -> SingleWrite {
        SingleWrite {
            key: self.table.key_of_item(&self.database.key_secret(), &item).unwrap(),
            mutation: mutation(item),
            condition: None,
            returns: ReturnValues::None,
            item_on_failure: false,
        }
    }

    async fn put(&self, item: AttributeMap) -> Result<Outcome> {
        self.database.write(&self.table, self.write(item, Mutation::Put)).await
    }

    async fn bytes(&self, pk: &str) -> u64 {
        let write = self.write(of(pk, "any", "", 0, 0), Mutation::Put);
        let collection = ItemCollection::of(&self.table, &write.key).unwrap();
        self.database.collection_bytes(&collection).await.unwrap()
    }
}

fn size(item: &AttributeMap) -> u64 {
    u64::try_from(StoredItem::from_item(item).size()).unwrap()
}

fn is_too_large<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Refused(refusal))
        if refusal.code == ErrorCode::ItemCollectionSizeLimitExceededException
            && refusal.message == "Collection size exceeded.")
}

#[tokio::test]
async fn a_collection_has_the_bytes_of_its_items_and_of_their_entries_in_local_indexes() {
    let fixture = fixture().await;
    let (plain, ranked) = (of("a", "1", "", 10, 20), of("a", "2", "r", 30, 40));
    let mut entry = ranked.clone();
    entry.remove("lost");
    fixture.put(plain.clone()).await.unwrap();
    fixture.put(ranked.clone()).await.unwrap();
    fixture.put(of("b", "1", "", 1, 1)).await.unwrap();
    assert_eq!(fixture.bytes("a").await, size(&plain) + size(&ranked) + size(&entry));
    assert_eq!(fixture.bytes("b").await, size(&of("b", "1", "", 1, 1)));
    assert_eq!(fixture.bytes("c").await, 0);
    for key in ["1", "2"] {
        fixture
            .database
            .write(&fixture.table, fixture.write(of("a", key, "", 0, 0), |_| Mutation::Delete))
            .await
            .unwrap();
    }
    assert_eq!(fixture.bytes("a").await, 0);
}

#[tokio::test]
async fn a_full_collection_takes_only_what_does_not_make_it_larger() {
    let fixture = fixture().await;
    for key in ["1", "2"] {
        fixture.put(of("a", key, "", 0, 450)).await.unwrap();
    }
    let before = fixture.bytes("a").await;
    assert!(is_too_large(fixture.put(of("a", "3", "", 0, 200)).await));
    assert!(is_too_large(fixture.put(of("a", "1", "r", 40, 450)).await));
    assert!(is_too_large(
        fixture
            .database
            .batch_write(&[(fixture.table.clone(), vec![fixture.write(of("a", "3", "", 0, 200), Mutation::Put)])])
            .await
    ));
    let member = |item| TransactMember { table: fixture.table.clone(), write: fixture.write(item, Mutation::Put) };
    let members =
        [member(of("b", "1", "", 0, 450)), member(of("b", "2", "", 0, 450)), member(of("b", "3", "", 0, 450))];
    let Err(Error::TransactionCanceled { reasons }) = fixture.database.transact_write(&members, None).await else {
        panic!("the transaction passes the limit")
    };
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code).collect();
    assert_eq!(codes, [None, None, Some("ItemCollectionSizeLimitExceeded")]);
    assert_eq!(reasons[2].message.as_deref(), Some("Collection size exceeded."));
    assert_eq!((fixture.bytes("a").await, fixture.bytes("b").await), (before, 0));

    fixture.put(of("a", "1", "", 0, 450)).await.unwrap();
    fixture.put(of("a", "1", "", 0, 449)).await.unwrap();
    fixture.put(of("b", "3", "", 0, 200)).await.unwrap();
    fixture.database.write(&fixture.table, fixture.write(of("a", "2", "", 0, 0), |_| Mutation::Delete)).await.unwrap();
    fixture.put(of("a", "3", "", 0, 200)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collections_of_an_older_table_are_measured_while_it_is_written() {
    let fixture = Arc::new(fixture().await);
    // As a version left the table that did not measure.
    let key = catalog_key_of(&fixture.scope, "T");
    let forget = |record: Option<crate::TableRecord>| {
        let mut record = record.unwrap();
        record.collections = Collections::NotMeasured;
        Ok((RecordChange { record: Becomes::Record(Box::new(record)), writes: Vec::new() }, ()))
    };
    fixture.database.change_record(&key, forget).await.unwrap();
    let number = |n: usize| {
        of(&format!("p{}", n % 300), &n.to_string(), if n.is_multiple_of(2) { "r" } else { "" }, n % 7, n % 5)
    };
    for n in 0..1500 {
        fixture.put(number(n)).await.unwrap();
    }
    assert_eq!(fixture.bytes("p0").await, 0);
    let writers: Vec<_> = (0..3)
        .map(|_| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move {
                for _ in 0..500 {
                    let (n, m) = (fastrand::usize(..1800), fastrand::usize(..40));
                    fixture
                        .put(of(
                            &format!("p{}", n % 300),
                            &n.to_string(),
                            if m.is_multiple_of(2) { "r" } else { "" },
                            m,
                            0,
                        ))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    fixture.database.start_background(JobOptions::default());
    for writer in writers {
        writer.await.unwrap();
    }
    while fixture.database.table(&fixture.scope, "T").await.unwrap().record.collections != Collections::Measured {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let request = |index: Option<usize>| crate::ScanRequest {
        index,
        filter: None,
        select: if index.is_some() { crate::Select::Projected } else { crate::Select::All },
        limit: None,
        segment: None,
        start: None,
        consistent: true,
    };
    let mut expected = std::collections::HashMap::<String, u64>::new();
    for index in [None, Some(0)] {
        let page = fixture.database.scan(&fixture.table, &request(index)).await.unwrap();
        for found in page.items {
            let Some(AttributeValue::S(pk)) = found.to_item().get("pk").cloned() else { panic!("no key") };
            *expected.entry(pk).or_default() += u64::try_from(found.size()).unwrap();
        }
    }
    assert_eq!(expected.len(), 300);
    for (pk, bytes) in expected {
        assert_eq!(fixture.bytes(&pk).await, bytes, "{pk}");
    }
}
