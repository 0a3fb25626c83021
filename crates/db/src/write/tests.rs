//! Transactions and single writes that meet, on a database in memory.

use partita_model::{AttributeMap, ErrorCode};

use super::*;
use crate::error::{CancellationReason, Error};
use crate::latch::{Hold, Turn};
use crate::stream::tests::{Fixture, item, number};

fn put(item: AttributeMap) -> Mutation {
    Mutation::Put(item)
}

fn member(fixture: &Fixture, table: &std::sync::Arc<crate::Table>, pk: &str, value: u64) -> TransactMember {
    TransactMember { table: table.clone(), write: fixture.write(table, item(pk, &[("v", number(value))]), put) }
}

fn code<T>(result: Result<T, Error>) -> Option<ErrorCode> {
    match result {
        Err(Error::Refused(refusal)) => Some(refusal.code),
        _ => None,
    }
}

fn reasons<T>(result: Result<T, Error>) -> Vec<Option<&'static str>> {
    match result {
        Err(Error::TransactionCanceled { reasons }) => reasons.into_iter().map(|reason| reason.code).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn what_meets_a_transaction_is_refused_until_it_is_over() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    let database = &fixture.database;
    let key = |pk: &str| member(&fixture, &table, pk, 0).write.key;
    let held =
        database.hold_items(vec![(key("a").stored, Hold::Checked(1)), (key("b").stored, Hold::Written)]).unwrap();

    for mutation in [put, |_| Mutation::Delete] {
        let write = fixture.write(&table, item("a", &[]), mutation);
        assert_eq!(code(database.write(&table, write).await), Some(ErrorCode::TransactionConflictException));
    }
    let free = fixture.write(&table, item("c", &[]), put);
    database.write(&table, free).await.unwrap();
    // Reads of single items are served.
    database.get(&table, &key("a"), None, true).await.unwrap();
    let gets = ["a", "b", "c"].map(|pk| (table.clone(), key(pk), None));
    assert_eq!(reasons(database.transact_get(&gets).await), [None, Some("TransactionConflict"), None]);
    let members = [member(&fixture, &table, "c", 1), member(&fixture, &table, "a", 1)];
    assert_eq!(reasons(database.transact_write(&members, None).await), [None, Some("TransactionConflict")]);

    drop(held);
    database.transact_get(&gets).await.unwrap();
    database.transact_write(&members, None).await.unwrap();
    let write = fixture.write(&table, item("a", &[]), put);
    database.write(&table, write).await.unwrap();
}

#[tokio::test]
async fn transactions_check_an_item_side_by_side() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    let hold = |hold| fixture.database.hold_items(vec![(member(&fixture, &table, "a", 0).write.key.stored, hold)]);
    let (first, second) = (hold(Hold::Checked(1)).unwrap(), hold(Hold::Checked(1)).unwrap());
    drop(first);
    assert!(hold(Hold::Written).is_err());
    drop(second);
    let written = hold(Hold::Written).unwrap();
    assert!(hold(Hold::Checked(1)).is_err());
    drop(written);
    drop(hold(Hold::Checked(1)).unwrap());
}

#[tokio::test]
async fn a_refused_transaction_leaves_the_items_free_that_nobody_has() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    let stored = |pk: &str| (member(&fixture, &table, pk, 0).write.key.stored, Hold::Written);
    let held = fixture.database.hold_items(vec![stored("b")]).unwrap();
    assert!(fixture.database.hold_items(vec![stored("a"), stored("b"), stored("c")]).is_err());
    drop(fixture.database.hold_items(vec![stored("a"), stored("c")]).unwrap());
    drop(held);
    drop(fixture.database.hold_items(vec![stored("a"), stored("b")]).unwrap());
}

#[tokio::test]
async fn writes_in_line_before_a_transaction_are_finished() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    let write = || fixture.write(&table, item("a", &[]), put);
    let Turn::Now(first, _) = fixture.database.take_turn(&table, write()) else { panic!("nobody writes") };
    let Turn::Queued(queued) = fixture.database.take_turn(&table, write()) else { panic!("one writes") };
    let held = fixture.database.hold_items(vec![(write().key.stored, Hold::Checked(1))]).unwrap();
    assert!(matches!(fixture.database.take_turn(&table, write()), Turn::Refused));
    drop(first);
    queued.await.unwrap().unwrap();
    drop(held);
    fixture.database.write(&table, write()).await.unwrap();
}

#[tokio::test]
async fn a_batch_waits_for_transactions() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    let write = fixture.write(&table, item("a", &[]), put);
    let held = fixture.database.hold_items(vec![(write.key.stored.clone(), Hold::Written)]).unwrap();
    fixture.database.batch_write(&[(table.clone(), vec![write])]).await.unwrap();
    drop(held);
}

#[tokio::test]
async fn a_token_that_is_in_use_is_told() {
    let fixture = Fixture::new().await;
    let table = fixture.table("T", None).await;
    let members = [member(&fixture, &table, "a", 1)];
    let token = |request: &str| ClientToken::new(&fixture.scope, "token", request);
    let running = fixture.database.begin(&token("this")).unwrap();
    for (request, expected) in [
        ("this", ErrorCode::TransactionInProgressException),
        ("other", ErrorCode::IdempotentParameterMismatchException),
    ] {
        assert_eq!(code(fixture.database.transact_write(&members, Some(&token(request))).await), Some(expected));
    }
    let elsewhere =
        ClientToken::new(&crate::Scope { region: "elsewhere".into(), ..fixture.scope.clone() }, "token", "x");
    fixture.database.transact_write(&members, Some(&elsewhere)).await.unwrap();
    drop(running);
    assert!(!fixture.database.transact_write(&members, Some(&token("this"))).await.unwrap().repeated);
    assert!(fixture.database.transact_write(&members, Some(&token("this"))).await.unwrap().repeated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_writes_never_conflict_with_each_other_and_nothing_stays_held() {
    let fixture = std::sync::Arc::new(Fixture::new().await);
    let table = fixture.table("T", None).await;
    let mut running = Vec::new();
    for task in 0..8_u64 {
        let (fixture, table) = (std::sync::Arc::clone(&fixture), table.clone());
        running.push(tokio::spawn(async move {
            for round in 0..100 {
                if task < 4 {
                    let write = fixture.write(&table, item("plain", &[("v", number(round))]), put);
                    fixture.database.write(&table, write).await.unwrap();
                } else {
                    let members = [member(&fixture, &table, "x", round), member(&fixture, &table, "y", round)];
                    match fixture.database.transact_write(&members, None).await {
                        Ok(_) => {}
                        Err(Error::TransactionCanceled { reasons }) => {
                            assert!(reasons.contains(&CancellationReason::conflict()), "{reasons:?}");
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        }));
    }
    for task in running {
        task.await.unwrap();
    }
    let keys = ["x", "y", "plain"].map(|pk| (member(&fixture, &table, pk, 0).write.key.stored, Hold::Written));
    drop(fixture.database.hold_items(keys.to_vec()).unwrap());
}
