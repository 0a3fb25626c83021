//! The official Rust SDK against a running Partita: table waiters, values, conditions, updates, pages, batches,
//! transactions, indexes, capacity, streams, and errors as the SDK models them. Each test has a server of its own.
//! How they start and write items is in `src/`; what the wire looks like beneath an SDK is tested in `tests/e2e`.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::RequestId;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, ConsumedCapacity, Delete, Get, IndexStatus, KeysAndAttributes,
    ProvisionedThroughput, Put, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure, Select,
    StreamSpecification, StreamViewType, TableStatus, Tag, TransactGetItem, TransactWriteItem, Update,
};
use aws_sdk_dynamodbstreams::types::{AttributeValue as StreamValue, OperationType, ShardIteratorType};
use partita_rust_sdk_tests::orders::*;
use partita_rust_sdk_tests::server::Server;
use tokio::task::JoinSet;

#[tokio::test]
async fn a_table_lives_from_creation_to_deletion_without_a_waiter_sleeping() {
    let server = Server::start();
    let client = server.client();
    let throughput = |reads, writes| {
        ProvisionedThroughput::builder().read_capacity_units(reads).write_capacity_units(writes).build().unwrap()
    };
    let began = Instant::now();
    let request = client
        .create_table()
        .table_name(TABLE)
        .set_key_schema(keys(&["customer", "number"]))
        .set_attribute_definitions(attributes(&["customer:S", "number:N", "state:S"]))
        .local_secondary_indexes(local_index("ByState", &["customer", "state"], keys_only()))
        .provisioned_throughput(throughput(5, 6))
        .deletion_protection_enabled(true)
        .tags(Tag::builder().key("team").value("shop").build().unwrap());
    let created = request.clone().send().await.unwrap().table_description.unwrap();
    assert_eq!(created.table_status, Some(TableStatus::Creating));
    let arn = created.table_arn.unwrap();
    assert!(arn.ends_with(":table/Orders"), "{arn}");
    let waited = client.wait_until_table_exists().table_name(TABLE).wait(Duration::from_secs(60)).await.unwrap();
    let found = waited.into_result().unwrap().table.unwrap();
    assert!(began.elapsed() < WITHOUT_SLEEPING, "the waiter had to sleep");
    assert_eq!(found.table_status, Some(TableStatus::Active));
    assert_eq!(found.key_schema, keys(&["customer", "number"]));
    assert_eq!(found.attribute_definitions().len(), 3);
    assert_eq!(found.local_secondary_indexes()[0].index_name(), Some("ByState"));
    assert_eq!(found.provisioned_throughput.as_ref().unwrap().write_capacity_units, Some(6));
    assert_eq!(found.table_id, created.table_id);
    assert_eq!(found.creation_date_time, created.creation_date_time);

    let again = request.send().await.unwrap_err().into_service_error();
    assert!(again.is_resource_in_use_exception(), "{again:?}");
    let tags = client.list_tags_of_resource().resource_arn(&arn).send().await.unwrap();
    assert_eq!(tags.tags()[0].value(), "shop");

    let change = client.update_table().table_name(&arn).provisioned_throughput(throughput(7, 6));
    change.send().await.unwrap();
    let waited = client.wait_until_table_exists().table_name(&arn).wait(Duration::from_secs(60)).await.unwrap();
    let changed = waited.into_result().unwrap().table.unwrap().provisioned_throughput.unwrap();
    assert_eq!(changed.read_capacity_units, Some(7));

    for name in ["Another", "Zebras"] {
        create_orders(&client, &[]).table_name(name).send().await.unwrap();
    }
    let names = client.list_tables().into_paginator().page_size(1).items().send();
    assert_eq!(names.collect::<Result<Vec<_>, _>>().await.unwrap(), ["Another", TABLE, "Zebras"]);
    assert!(server.client_in("eu-west-1").list_tables().send().await.unwrap().table_names().is_empty());

    let protected = client.delete_table().table_name(TABLE).send().await.unwrap_err();
    assert_eq!(protected.code(), Some("ValidationException"));
    client.update_table().table_name(TABLE).deletion_protection_enabled(false).send().await.unwrap();
    let began = Instant::now();
    let deleted = client.delete_table().table_name(TABLE).send().await.unwrap().table_description.unwrap();
    assert_eq!(deleted.table_status, Some(TableStatus::Deleting));
    client.wait_until_table_not_exists().table_name(TABLE).wait(Duration::from_secs(60)).await.unwrap();
    assert!(began.elapsed() < WITHOUT_SLEEPING, "the waiter had to sleep");
    let gone = client.describe_table().table_name(TABLE).send().await.unwrap_err().into_service_error();
    assert!(gone.is_resource_not_found_exception(), "{gone:?}");
}

#[tokio::test]
async fn values_of_all_ten_types_come_back_as_they_went() {
    let (_server, client) = shop().await;
    let all = with(
        order("ann", -1),
        [
            ("text", s("é 😀 \u{0} \" \\ \n")),
            ("empty text", s("")),
            ("largest number", n("9.9999999999999999999999999999999999999E+125")),
            ("bytes", b((0..=255).collect::<Vec<u8>>())),
            ("empty bytes", b([])),
            ("yes", AttributeValue::Bool(true)),
            ("no", AttributeValue::Bool(false)),
            ("nothing", AttributeValue::Null(true)),
            ("strings", AttributeValue::Ss(vec!["a".into(), "b".into(), "é".into()])),
            ("numbers", AttributeValue::Ns(vec!["-1".into(), "2.5".into(), "300".into()])),
            ("binaries", AttributeValue::Bs(vec![Blob::new([0]), Blob::new([0, 1]), Blob::new([255])])),
            ("list", AttributeValue::L(vec![s("x"), n(1), AttributeValue::L(vec![]), AttributeValue::M(Item::new())])),
            (
                "map",
                AttributeValue::M(item([(
                    "nested",
                    AttributeValue::M(item([(" ", AttributeValue::L(vec![b([7])]))])),
                )])),
            ),
        ],
    );
    put(&client, all.clone()).await;
    let mut found = get(&client, order("ann", -1)).await.unwrap();
    let largest = found.insert("largest number".into(), all["largest number"].clone()).unwrap();
    assert_eq!(largest, n(format!("{}{}", "9".repeat(38), "0".repeat(88))), "a number in plain digits");
    assert_eq!(found.keys().collect::<BTreeSet<_>>(), all.keys().collect());
    for (name, value) in &all {
        assert_eq!(sorted(&found[name]), sorted(value), "{name}");
    }

    let some = client.get_item().table_name(TABLE).set_key(Some(order("ann", -1)));
    let some = some.projection_expression("#l[0], #m.nested, absent");
    let some = some.expression_attribute_names("#l", "list").expression_attribute_names("#m", "map");
    let some = some.send().await.unwrap().item.unwrap();
    assert_eq!(some, item([("list", AttributeValue::L(vec![s("x")])), ("map", all["map"].clone())]));

    let too_precise = with(order("ann", 1), [("n", n("1".repeat(39)))]);
    let too_precise = client.put_item().table_name(TABLE).set_item(Some(too_precise)).send().await.unwrap_err();
    assert_eq!(too_precise.code(), Some("ValidationException"));
    let empty_set = with(order("ann", 1), [("set", AttributeValue::Ss(vec![]))]);
    let empty_set = client.put_item().table_name(TABLE).set_item(Some(empty_set)).send().await.unwrap_err();
    assert_eq!(empty_set.code(), Some("ValidationException"));
    assert_eq!(get(&client, order("ann", 1)).await, None);
}

#[tokio::test]
async fn a_failed_condition_is_the_modeled_error_and_carries_the_item() {
    let (_server, client) = shop().await;
    let first = with(order("ann", 1), [("state", s("open"))]);
    let insert = |state: &str| {
        let item = with(order("ann", 1), [("state", s(state))]);
        client.put_item().table_name(TABLE).set_item(Some(item)).condition_expression("attribute_not_exists(customer)")
    };
    insert("open").send().await.unwrap();
    let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
    let failed = insert("lost").send().await.unwrap_err();
    assert!(failed.request_id().is_some_and(|id| !id.is_empty()));
    assert_eq!(failed.message(), Some("The conditional request failed"));
    match failed.into_service_error() {
        PutItemError::ConditionalCheckFailedException(failed) => assert_eq!(failed.item, None, "it was not asked for"),
        other => panic!("{other:?}"),
    }
    let failed = insert("lost").return_values_on_condition_check_failure(all_old.clone()).send().await.unwrap_err();
    match failed.into_service_error() {
        PutItemError::ConditionalCheckFailedException(failed) => assert_eq!(failed.item, Some(first.clone())),
        other => panic!("{other:?}"),
    }

    let close = || {
        let request = client.update_item().table_name(TABLE).set_key(Some(order("ann", 1)));
        let request = request.update_expression("SET #s = :closed").condition_expression("#s = :open");
        let request = request.expression_attribute_names("#s", "state");
        request.expression_attribute_values(":closed", s("closed")).expression_attribute_values(":open", s("open"))
    };
    close().send().await.unwrap();
    let failed = close().return_values_on_condition_check_failure(all_old.clone()).send().await.unwrap_err();
    match failed.into_service_error() {
        UpdateItemError::ConditionalCheckFailedException(failed) => {
            assert_eq!(failed.item.unwrap()["state"], s("closed"));
        }
        other => panic!("{other:?}"),
    }

    let delete = |number| {
        let request = client.delete_item().table_name(TABLE).set_key(Some(order("ann", number)));
        let request = request.condition_expression("begins_with(#s, :prefix) AND size(#s) > :length");
        let request = request.expression_attribute_names("#s", "state").return_values(ReturnValue::AllOld);
        request.expression_attribute_values(":prefix", s("clo")).expression_attribute_values(":length", n(5))
    };
    let absent = delete(2).return_values_on_condition_check_failure(all_old).send().await.unwrap_err();
    match absent.into_service_error() {
        DeleteItemError::ConditionalCheckFailedException(failed) => {
            assert_eq!(failed.item, None, "there is no item to return");
        }
        other => panic!("{other:?}"),
    }
    let deleted = delete(1).send().await.unwrap().attributes.unwrap();
    assert_eq!(deleted, with(first, [("state", s("closed"))]));
    assert_eq!(get(&client, order("ann", 1)).await, None);
}

#[tokio::test]
async fn update_expressions_change_what_they_name_and_return_what_was_asked() {
    let (_server, client) = shop().await;
    let key = || order("ann", 1);
    let update =
        |expression: &str| client.update_item().table_name(TABLE).set_key(Some(key())).update_expression(expression);
    let made = update(
        "SET visits = if_not_exists(visits, :zero) + :one, address = :address, journal = :journal ADD tags :tags",
    )
    .expression_attribute_values(":zero", n(0))
    .expression_attribute_values(":one", n(1))
    .expression_attribute_values(":address", AttributeValue::M(item([("city", s("Bern")), ("zip", n(3000))])))
    .expression_attribute_values(":journal", AttributeValue::L(vec![s("b"), s("c"), s("d")]))
    .expression_attribute_values(":tags", AttributeValue::Ss(vec!["new".into(), "vip".into()]))
    .return_values(ReturnValue::AllOld);
    assert_eq!(made.send().await.unwrap().attributes, None, "there was no item before");

    let changed = update(
        "SET visits = visits + :ten, address.city = :city, journal = list_append(:first, journal) \
         REMOVE address.zip ADD price :price DELETE tags :gone",
    )
    .expression_attribute_values(":ten", n(10))
    .expression_attribute_values(":city", s("Basel"))
    .expression_attribute_values(":first", AttributeValue::L(vec![s("a")]))
    .expression_attribute_values(":price", n("-0.25"))
    .expression_attribute_values(":gone", AttributeValue::Ss(vec!["new".into(), "absent".into()]))
    .return_values(ReturnValue::AllNew);
    let expected = with(
        key(),
        [
            ("visits", n(11)),
            ("address", AttributeValue::M(item([("city", s("Basel"))]))),
            ("journal", AttributeValue::L(["a", "b", "c", "d"].map(s).to_vec())),
            ("price", n("-0.25")),
            ("tags", AttributeValue::Ss(vec!["vip".into()])),
        ],
    );
    assert_eq!(changed.send().await.unwrap().attributes.unwrap(), expected);

    let swapped = update("SET visits = price, price = visits - :one REMOVE journal[0], journal[2], absent")
        .expression_attribute_values(":one", n(1))
        .return_values(ReturnValue::UpdatedNew);
    let swapped = swapped.send().await.unwrap().attributes.unwrap();
    assert_eq!((&swapped["visits"], &swapped["price"]), (&n("-0.25"), &n(10)), "operands are those before the update");
    let after = get(&client, key()).await.unwrap();
    assert_eq!(after["journal"], AttributeValue::L(vec![s("b"), s("d")]));

    let before = update("SET address.city = :city DELETE tags :all").return_values(ReturnValue::UpdatedOld);
    let before = before.expression_attribute_values(":city", s("Chur"));
    let before = before.expression_attribute_values(":all", AttributeValue::Ss(vec!["vip".into()]));
    let before = before.send().await.unwrap().attributes.unwrap();
    let city = AttributeValue::M(item([("city", s("Basel"))]));
    assert_eq!(before, item([("address", city), ("tags", AttributeValue::Ss(vec!["vip".into()]))]));
    let after = get(&client, key()).await.unwrap();
    assert!(!after.contains_key("tags"), "an emptied set is gone");

    for (refused, why) in [
        ("SET customer = :x", "a key attribute"),
        ("SET nowhere.city = :x", "a path into nothing"),
        ("SET price = price + :x", "a sum with text"),
        ("SET address = :x, address.city = :x", "overlapping paths"),
        ("SET price = ", "a syntax error"),
    ] {
        let refused = update(refused).expression_attribute_values(":x", s("x")).send().await.unwrap_err();
        assert_eq!(refused.code(), Some("ValidationException"), "{why}");
    }
    assert_eq!(get(&client, key()).await.unwrap(), after, "a refused update changes nothing");
}

#[tokio::test]
async fn a_query_pages_through_a_partition_in_sort_key_order() {
    let (_server, client) = shop().await;
    let written = (-20..40).map(|i| put_request(with(order("ann", i), [("even", AttributeValue::Bool(i % 2 == 0))])));
    write(&client, written.chain([put_request(order("bob", 5))]).collect()).await;
    let query = |condition: &str| {
        let query = client.query().table_name(TABLE).key_condition_expression(condition);
        query.expression_attribute_values(":c", s("ann"))
    };

    let items = query("customer = :c").into_paginator().page_size(7).items().send();
    let items = items.collect::<Result<Vec<_>, _>>().await.unwrap();
    assert_eq!(numbers(&items), (-20..40).collect::<Vec<_>>());

    let mut pages = query("customer = :c").scan_index_forward(false).into_paginator().page_size(25).send();
    let mut sizes = Vec::new();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.count());
        seen.extend(numbers(page.items()));
    }
    assert_eq!(sizes, [25, 25, 10]);
    assert_eq!(seen, (-20..40).rev().collect::<Vec<_>>());

    let between = query("customer = :c AND #n BETWEEN :low AND :high").expression_attribute_names("#n", "number");
    let between = between.expression_attribute_values(":low", n("-1.5")).expression_attribute_values(":high", n("3.0"));
    let filtered = between.clone().filter_expression("even = :t");
    let filtered = filtered.expression_attribute_values(":t", AttributeValue::Bool(true)).send().await.unwrap();
    assert_eq!(numbers(between.send().await.unwrap().items()), [-1, 0, 1, 2, 3]);
    assert_eq!((filtered.count(), filtered.scanned_count()), (2, 5));
    assert_eq!(numbers(filtered.items()), [0, 2]);

    let first = query("customer = :c").limit(3).select(Select::Count).send().await.unwrap();
    assert_eq!((first.count(), first.items.as_ref()), (3, None));
    assert_eq!(first.last_evaluated_key, Some(order("ann", -18)));
    let rest = query("customer = :c").set_exclusive_start_key(first.last_evaluated_key).limit(2);
    assert_eq!(numbers(rest.send().await.unwrap().items()), [-17, -16]);
    let none = query("customer = :c AND #n > :max").expression_attribute_names("#n", "number");
    let none = none.expression_attribute_values(":max", n("1e3")).send().await.unwrap();
    assert_eq!((none.count(), none.last_evaluated_key), (0, None));
}

#[tokio::test]
async fn the_segments_of_a_parallel_scan_share_out_the_table() {
    let (_server, client) = shop().await;
    const CUSTOMERS: usize = 400;
    const SEGMENTS: i32 = 4;
    let everyone: BTreeSet<String> = (0..CUSTOMERS).map(|i| format!("customer {i}")).collect();
    write(&client, everyone.iter().map(|customer| put_request(order(customer, 1))).collect()).await;
    let mut segments = JoinSet::new();
    for segment in 0..SEGMENTS {
        let scan = client.scan().table_name(TABLE).segment(segment).total_segments(SEGMENTS);
        let items = scan.into_paginator().page_size(9).items().send();
        segments.spawn(items.collect::<Result<Vec<Item>, _>>());
    }
    let mut seen = Vec::new();
    for items in segments.join_all().await {
        let items = items.unwrap();
        assert!(!items.is_empty(), "a segment of {CUSTOMERS} partitions is empty");
        seen.extend(items.iter().map(|item| item["customer"].as_s().unwrap().clone()));
    }
    assert_eq!(seen.len(), CUSTOMERS, "no item is in two segments");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), everyone);

    let outside = client.scan().table_name(TABLE).segment(SEGMENTS).total_segments(SEGMENTS).send().await.unwrap_err();
    assert_eq!(outside.code(), Some("ValidationException"));
}

#[tokio::test]
async fn batches_and_pages_stop_at_their_size_and_say_what_is_left() {
    let (_server, client) = shop().await;
    // 45 of them are more than the 16 MB of a batch, and three more than the 1 MB of a page.
    const BYTES: usize = 390_000;
    const ORDERS: i64 = 45;
    let large = "x".repeat(BYTES);
    write(&client, (0..ORDERS).map(|i| put_request(with(order("ann", i), [("text", s(large.as_str()))]))).collect())
        .await;

    let wanted = (0..ORDERS).map(|i| order("ann", i)).chain([order("ann", -1)]).collect();
    let wanted = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build().unwrap();
    let mut pending = HashMap::from([(TABLE.to_owned(), wanted)]);
    let mut rounds = Vec::new();
    let mut seen = BTreeSet::new();
    while !pending.is_empty() {
        let asked = pending[TABLE].keys().len();
        let answer = client.batch_get_item().set_request_items(Some(pending)).send().await.unwrap();
        let items = answer.responses.unwrap().remove(TABLE).unwrap();
        assert!(items.iter().all(|item| item["text"].as_s().unwrap().len() == BYTES));
        rounds.push(items.len());
        seen.extend(numbers(&items));
        pending = answer.unprocessed_keys.unwrap();
        let left = pending.get(TABLE).map_or(0, |rest| rest.keys().len());
        assert!(left < asked, "a batch made no progress");
        assert!(pending.values().all(|rest| rest.consistent_read() == Some(true)), "what is left keeps its options");
    }
    assert_eq!(seen, (0..ORDERS).collect(), "an absent key is answered by nothing");
    assert_eq!(rounds.len(), 2, "{rounds:?}");
    assert!(rounds[0] * BYTES <= 16 << 20 && (rounds[0] + 2) * BYTES > 16 << 20, "{rounds:?}");

    let query = client.query().table_name(TABLE).key_condition_expression("customer = :c");
    let mut pages = query.expression_attribute_values(":c", s("ann")).into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        let last = page.last_evaluated_key.is_none();
        assert!(last || (2..=3).contains(&page.count()), "{} items of {BYTES} bytes on a page", page.count());
        seen.extend(numbers(page.items()));
    }
    assert_eq!(seen, (0..ORDERS).collect::<Vec<_>>());

    let mixed = (0..ORDERS - 1).map(|i| delete_request(order("ann", i)));
    write(&client, mixed.chain([put_request(order("bob", 1))]).collect()).await;
    let left = client.scan().table_name(TABLE).into_paginator().items().send();
    let left = left.collect::<Result<Vec<_>, _>>().await.unwrap();
    assert_eq!(numbers(&left).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([1, ORDERS - 1]));

    let batch = |table: &str, requests: Vec<_>| client.batch_write_item().request_items(table, requests).send();
    let too_many = batch(TABLE, (0..26).map(|i| put_request(order("ann", i))).collect()).await.unwrap_err();
    assert_eq!(too_many.code(), Some("ValidationException"));
    let twice = batch(TABLE, vec![put_request(order("ann", 1)), delete_request(order("ann", 1))]).await.unwrap_err();
    assert_eq!(twice.message(), Some("Provided list of item keys contains duplicates"));
    let nowhere = batch("Nowhere", vec![put_request(order("ann", 1))]).await.unwrap_err().into_service_error();
    assert!(nowhere.is_resource_not_found_exception(), "{nowhere:?}");
}

#[tokio::test]
async fn a_transaction_happens_whole_or_says_why_not() {
    let (_server, client) = shop().await;
    put(&client, with(order("ann", 1), [("stock", n(3))])).await;
    put(&client, order("ann", 2)).await;
    let insert = |number| {
        let put = Put::builder().table_name(TABLE).set_item(Some(order("ann", number)));
        let put = put.condition_expression("attribute_not_exists(customer)");
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    };
    let take = |count: i64| {
        let update = Update::builder().table_name(TABLE).set_key(Some(order("ann", 1)));
        let update = update.update_expression("SET stock = stock - :count").condition_expression("stock >= :count");
        let update = update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = update.expression_attribute_values(":count", n(count)).build().unwrap();
        TransactWriteItem::builder().update(update).build()
    };
    let delete = |number| {
        let delete = Delete::builder().table_name(TABLE).set_key(Some(order("ann", number))).build().unwrap();
        TransactWriteItem::builder().delete(delete).build()
    };
    let absent = |customer| {
        let check = ConditionCheck::builder().table_name(TABLE).set_key(Some(order(customer, 1)));
        let check = check.condition_expression("attribute_not_exists(customer)").build().unwrap();
        TransactWriteItem::builder().condition_check(check).build()
    };
    let transact =
        |actions: Vec<TransactWriteItem>| client.transact_write_items().set_transact_items(Some(actions)).send();

    transact(vec![insert(3), take(1), delete(2), absent("bob")]).await.unwrap();
    let expected = with(order("ann", 1), [("stock", n(2))]);
    assert_eq!(get(&client, order("ann", 1)).await, Some(expected.clone()));

    let canceled = transact(vec![insert(4), take(3), insert(3), absent("bob")]).await.unwrap_err();
    let TransactWriteItemsError::TransactionCanceledException(canceled) = canceled.into_service_error() else {
        panic!("the transaction is canceled")
    };
    let reasons = canceled.cancellation_reasons();
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed", "ConditionalCheckFailed", "None"]);
    assert_eq!(reasons[1].item(), Some(&expected), "the item, because it was asked for");
    assert_eq!((reasons[0].message(), reasons[0].item(), reasons[2].item()), (None, None, None));
    assert_eq!(reasons[2].message(), Some("The conditional request failed"));
    assert!(canceled.message().unwrap().contains("[None, ConditionalCheckFailed, ConditionalCheckFailed, None]"));
    assert_eq!(get(&client, order("ann", 4)).await, None, "nothing of a canceled transaction is written");

    let twice = transact(vec![take(1), delete(1)]).await.unwrap_err();
    assert_eq!(twice.code(), Some("ValidationException"));

    let read = |table: &str, number| {
        let get = Get::builder().table_name(table).set_key(Some(order("ann", number))).build().unwrap();
        TransactGetItem::builder().get(get).build()
    };
    let answer = client.transact_get_items().set_transact_items(Some([1, 2, 3].map(|i| read(TABLE, i)).to_vec()));
    let found: Vec<_> = answer.send().await.unwrap().responses.unwrap().into_iter().map(|each| each.item).collect();
    assert_eq!(found, [Some(expected), None, Some(order("ann", 3))]);
    let nowhere = client.transact_get_items().transact_items(read("Nowhere", 1)).send().await.unwrap_err();
    let nowhere = nowhere.into_service_error();
    assert!(matches!(nowhere, TransactGetItemsError::ResourceNotFoundException(_)), "{nowhere:?}");
}

#[tokio::test]
async fn a_transaction_sent_again_with_its_token_happens_once() {
    let (_server, client) = shop().await;
    put(&client, with(order("ann", 1), [("stock", n(3))])).await;
    let take = |count: i64| {
        let update = Update::builder().table_name(TABLE).set_key(Some(order("ann", 1)));
        let update = update.update_expression("SET stock = stock - :count");
        let update = update.expression_attribute_values(":count", n(count)).build().unwrap();
        let action = TransactWriteItem::builder().update(update).build();
        client.transact_write_items().client_request_token("order 1").transact_items(action).send()
    };
    // The SDK writes the attributes of a key in a new order each time: it is still the same request.
    for _attempt in 0..8 {
        take(1).await.unwrap();
    }
    assert_eq!(get(&client, order("ann", 1)).await.unwrap()["stock"], n(2));
    let mismatch = take(2).await.unwrap_err().into_service_error();
    assert!(mismatch.is_idempotent_parameter_mismatch_exception(), "{mismatch:?}");
}

#[tokio::test]
async fn indexes_follow_their_table_and_answer_with_their_projection() {
    let (_server, client) = shop_with(&["state:S", "amount:N"], |request| {
        request
            .global_secondary_indexes(global_index("ByState", &["state", "amount"], including("note")))
            .global_secondary_indexes(global_index("ByTotal", &["amount"], all_attributes()))
            .local_secondary_indexes(local_index("ByCustomerState", &["customer", "state"], keys_only()))
    })
    .await;
    let table = client.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    let active = |index: &aws_sdk_dynamodb::types::GlobalSecondaryIndexDescription| {
        index.index_status == Some(IndexStatus::Active)
    };
    assert!(table.global_secondary_indexes().len() == 2 && table.global_secondary_indexes().iter().all(active));

    let text = || AttributeValue::L(vec![s("a"), n(1)]);
    let full = |customer: &str, number: i64, state: &str, total: i64| {
        with(order(customer, number), [("state", s(state)), ("amount", n(total)), ("note", s("n")), ("lines", text())])
    };
    let all = (0..30).map(|i| full(if i % 2 == 0 { "ann" } else { "bob" }, i, "open", 100 - i / 3));
    // Without the index's sort key an order is in the other indexes only; without both keys, in none.
    let sparse = [with(order("ann", 40), [("state", s("paid"))]), order("ann", 41)];
    write(&client, all.chain(sparse).map(put_request).collect()).await;

    let by_state = |state: &str| {
        let query = client.query().table_name(TABLE).index_name("ByState").key_condition_expression("#s = :s");
        query.expression_attribute_names("#s", "state").expression_attribute_values(":s", s(state))
    };
    let open = by_state("open").into_paginator().page_size(4).items().send();
    let open = open.collect::<Result<Vec<_>, _>>().await.unwrap();
    let totals: Vec<i64> = open.iter().map(|item| item["amount"].as_n().unwrap().parse().unwrap()).collect();
    assert!(totals.is_sorted(), "{totals:?}");
    assert_eq!(
        numbers(&open).into_iter().collect::<BTreeSet<_>>(),
        (0..30).collect(),
        "pages that end amid equal keys"
    );
    let names: BTreeSet<_> = open[0].keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["customer", "number", "state", "amount", "note"]));
    assert_eq!(by_state("paid").send().await.unwrap().count(), 0);
    let page = by_state("open").limit(1).send().await.unwrap().last_evaluated_key.unwrap();
    let names: BTreeSet<_> = page.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["customer", "number", "state", "amount"]), "an index page ends at both keys");
    assert_eq!(client.scan().table_name(TABLE).index_name("ByTotal").send().await.unwrap().count(), 30);

    let local = client.query().table_name(TABLE).index_name("ByCustomerState").consistent_read(true);
    let local = local.key_condition_expression("customer = :c AND begins_with(#s, :p)");
    let local = local.expression_attribute_names("#s", "state");
    let local = local.expression_attribute_values(":c", s("ann")).expression_attribute_values(":p", s("p"));
    let projected = local.clone().send().await.unwrap();
    assert_eq!(projected.items(), [with(order("ann", 40), [("state", s("paid"))])]);
    let open = local.expression_attribute_values(":p", s("op")).limit(1);
    assert_eq!(open.clone().send().await.unwrap().items()[0].len(), 3, "the keys alone");
    let fetched = open.select(Select::AllAttributes).send().await.unwrap();
    assert_eq!(fetched.items()[0]["lines"], text(), "what is not projected comes from the table");

    let pay = client.update_item().table_name(TABLE).set_key(Some(order("ann", 40)));
    let pay = pay.update_expression("SET #s = :s, amount = :t").expression_attribute_names("#s", "state");
    let pay = pay.expression_attribute_values(":s", s("sent")).expression_attribute_values(":t", n(7));
    pay.send().await.unwrap();
    client.delete_item().table_name(TABLE).set_key(Some(order("ann", 0))).send().await.unwrap();
    assert_eq!(numbers(by_state("sent").send().await.unwrap().items()), [40]);
    assert_eq!(by_state("open").send().await.unwrap().count(), 29);

    for (refused, why) in [
        (by_state("open").consistent_read(true), "a strong read of a global index"),
        (by_state("open").select(Select::AllAttributes), "attributes a global index does not hold"),
        (by_state("open").index_name("Nowhere"), "an index that is not there"),
    ] {
        assert_eq!(refused.send().await.unwrap_err().code(), Some("ValidationException"), "{why}");
    }
    let wrong = with(order("ann", 50), [("amount", s("not a number"))]);
    let wrong = client.put_item().table_name(TABLE).set_item(Some(wrong)).send().await.unwrap_err();
    assert_eq!(wrong.code(), Some("ValidationException"), "an index key of the wrong type");
}

#[tokio::test]
async fn consumed_capacity_counts_kilobytes_and_indexes() {
    let (_server, client) = shop_with(&["state:S"], |request| {
        request
            .global_secondary_indexes(global_index("ByState", &["state"], keys_only()))
            .local_secondary_indexes(local_index("ByCustomerState", &["customer", "state"], all_attributes()))
    })
    .await;
    let units = |capacity: Option<ConsumedCapacity>| capacity.unwrap().capacity_units.unwrap();
    let total = || ReturnConsumedCapacity::Total;
    // A little under 3 KB.
    let large = |number| with(order("ann", number), [("text", s("x".repeat(2_800)))]);

    let put_item = |item: Item| client.put_item().table_name(TABLE).set_item(Some(item));
    assert_eq!(put_item(order("ann", 0)).send().await.unwrap().consumed_capacity, None, "not asked for");
    assert_eq!(
        units(put_item(order("ann", 0)).return_consumed_capacity(total()).send().await.unwrap().consumed_capacity),
        1.0
    );
    assert_eq!(
        units(put_item(large(1)).return_consumed_capacity(total()).send().await.unwrap().consumed_capacity),
        3.0
    );
    let smaller = put_item(order("ann", 1)).return_consumed_capacity(total()).send().await.unwrap();
    assert_eq!(units(smaller.consumed_capacity), 3.0, "the larger of before and after");

    let indexed = put_item(with(large(2), [("state", s("open"))]));
    let indexed = indexed.return_consumed_capacity(ReturnConsumedCapacity::Indexes).send().await.unwrap();
    let parts = |capacity: Option<ConsumedCapacity>| {
        let capacity = capacity.unwrap();
        let index = |of: Option<HashMap<String, aws_sdk_dynamodb::types::Capacity>>, name: &str| {
            of.and_then(|indexes| indexes.get(name)?.capacity_units)
        };
        (
            capacity.capacity_units.unwrap(),
            capacity.table.unwrap().capacity_units.unwrap(),
            index(capacity.global_secondary_indexes, "ByState"),
            index(capacity.local_secondary_indexes, "ByCustomerState"),
        )
    };
    assert_eq!(parts(indexed.consumed_capacity), (7.0, 3.0, Some(1.0), Some(3.0)));
    let moved = client.update_item().table_name(TABLE).set_key(Some(order("ann", 2))).update_expression("SET #s = :s");
    let moved = moved.expression_attribute_names("#s", "state").expression_attribute_values(":s", s("paid"));
    let moved = moved.return_consumed_capacity(ReturnConsumedCapacity::Indexes).send().await.unwrap();
    assert_eq!(parts(moved.consumed_capacity), (11.0, 3.0, Some(2.0), Some(6.0)), "an entry out, an entry in");

    for number in 10..20 {
        put(&client, large(number)).await;
    }
    let get_item = |number: i64| {
        let get = client.get_item().table_name(TABLE).set_key(Some(order("ann", number)));
        get.return_consumed_capacity(total())
    };
    assert_eq!(units(get_item(10).send().await.unwrap().consumed_capacity), 0.5);
    assert_eq!(units(get_item(10).consistent_read(true).send().await.unwrap().consumed_capacity), 1.0);
    assert_eq!(units(get_item(99).send().await.unwrap().consumed_capacity), 0.5, "looking costs, too");
    let query = client.query().table_name(TABLE).return_consumed_capacity(total());
    let query = query.key_condition_expression("customer = :c AND #n BETWEEN :low AND :high");
    let query = query.expression_attribute_names("#n", "number").expression_attribute_values(":c", s("ann"));
    let query = query.expression_attribute_values(":low", n(10)).expression_attribute_values(":high", n(19));
    assert_eq!(units(query.clone().send().await.unwrap().consumed_capacity), 3.5, "28 KB are 7 blocks of 4 KB");
    assert_eq!(units(query.consistent_read(true).send().await.unwrap().consumed_capacity), 7.0);

    let batch = client.batch_write_item().return_consumed_capacity(total());
    let batch = batch.request_items(TABLE, vec![put_request(large(20)), delete_request(order("ann", 19))]);
    let batch = batch.send().await.unwrap().consumed_capacity.unwrap();
    assert_eq!((batch.len(), batch[0].table_name(), batch[0].capacity_units()), (1, Some(TABLE), Some(6.0)));
    let put = Put::builder().table_name(TABLE).set_item(Some(large(21))).build().unwrap();
    let transaction = client.transact_write_items().return_consumed_capacity(total());
    let transaction = transaction.transact_items(TransactWriteItem::builder().put(put).build()).send().await.unwrap();
    assert_eq!(transaction.consumed_capacity()[0].capacity_units(), Some(6.0), "a transaction costs twice");
}

#[tokio::test]
async fn errors_arrive_as_the_variants_the_sdk_models() {
    let (_server, client) = shop().await;
    let key = || Some(order("ann", 1));
    let get = client.get_item().table_name("Nowhere").set_key(key()).send().await.unwrap_err();
    assert_eq!(get.code(), Some("ResourceNotFoundException"));
    assert!(get.request_id().is_some_and(|id| !id.is_empty()));
    assert!(get.into_service_error().is_resource_not_found_exception());
    let put = client.put_item().table_name("Nowhere").set_item(key()).send().await.unwrap_err();
    assert!(put.into_service_error().is_resource_not_found_exception());
    let update = client.update_item().table_name("Nowhere").set_key(key()).send().await.unwrap_err();
    assert!(update.into_service_error().is_resource_not_found_exception());
    let scan = client.scan().table_name("Nowhere").into_paginator().items().send().next().await.unwrap();
    assert!(scan.unwrap_err().into_service_error().is_resource_not_found_exception());
    let delete = client.delete_table().table_name("Nowhere").send().await.unwrap_err();
    assert!(delete.into_service_error().is_resource_not_found_exception());

    // The SDK has no variant for a refused request: its code and message are what a program has.
    let wrong_type = item([("customer", n(1)), ("number", n(1))]);
    let wrong_type = client.get_item().table_name(TABLE).set_key(Some(wrong_type)).send().await.unwrap_err();
    assert_eq!(wrong_type.raw_response().unwrap().status().as_u16(), 400);
    let meta = wrong_type.meta().clone();
    assert_eq!(meta.code(), Some("ValidationException"));
    assert_eq!(meta.message(), Some("The provided key element does not match the schema"));
    let no_key = client.put_item().table_name(TABLE).item("customer", s("ann")).send().await.unwrap_err();
    assert_eq!(no_key.message(), Some("One or more parameter values were invalid: Missing the key number in the item"));
    let too_large = with(order("ann", 1), [("text", s("x".repeat(400 << 10)))]);
    let too_large = client.put_item().table_name(TABLE).set_item(Some(too_large)).send().await.unwrap_err();
    assert_eq!(too_large.message(), Some("Item size has exceeded the maximum allowed size"));
    let name = client.describe_table().table_name("no name!").send().await.unwrap_err();
    assert_eq!(name.code(), Some("ValidationException"), "{name:?}");
    assert_eq!(client.scan().table_name(TABLE).send().await.unwrap().count(), 0);
}

#[tokio::test]
async fn a_stream_holds_each_change_once_with_both_images() {
    let (server, client) = shop_with(&[], |request| {
        let view =
            StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages);
        request.stream_specification(view.build().unwrap())
    })
    .await;
    let table = client.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    let arn = table.latest_stream_arn.unwrap();
    put(&client, order("ann", 1)).await;
    put(&client, order("ann", 1)).await;
    let paid = client.update_item().table_name(TABLE).set_key(Some(order("ann", 1))).update_expression("SET paid = :t");
    paid.expression_attribute_values(":t", AttributeValue::Bool(true)).send().await.unwrap();
    client.delete_item().table_name(TABLE).set_key(Some(order("ann", 1))).send().await.unwrap();
    client.delete_item().table_name(TABLE).set_key(Some(order("ann", 2))).send().await.unwrap();

    let streams = server.streams_client();
    let listed = streams.list_streams().table_name(TABLE).send().await.unwrap();
    assert_eq!(listed.streams()[0].stream_arn(), Some(arn.as_str()));
    let stream = streams.describe_stream().stream_arn(&arn).send().await.unwrap().stream_description.unwrap();
    let mut changes = Vec::new();
    for shard in stream.shards() {
        let iterator = streams.get_shard_iterator().stream_arn(&arn).shard_id(shard.shard_id().unwrap());
        let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let mut next = iterator.shard_iterator;
        while let Some(iterator) = next {
            let page = streams.get_records().shard_iterator(iterator).send().await.unwrap();
            if page.records().is_empty() {
                break;
            }
            changes.extend(page.records.unwrap());
            next = page.next_shard_iterator;
        }
    }
    let kinds: Vec<_> = changes.iter().map(|change| change.event_name.clone().unwrap()).collect();
    // The put that changes nothing leaves no record, nor does the delete of nothing.
    assert_eq!(kinds, [OperationType::Insert, OperationType::Modify, OperationType::Remove]);
    let images: Vec<_> = changes.into_iter().map(|change| change.dynamodb.unwrap()).collect();
    // Decimal numbers of up to 40 digits.
    let positions: Vec<_> = images.iter().map(|image| format!("{:0>40}", image.sequence_number().unwrap())).collect();
    assert!(positions.is_sorted_by(|before, after| before < after), "{positions:?}");
    assert!(images[0].old_image.is_none() && images[2].new_image.is_none());
    assert_eq!(images[1].old_image, images[0].new_image);
    assert_eq!(images[1].new_image.as_ref().unwrap()["paid"], StreamValue::Bool(true));
    assert_eq!(images[2].old_image, images[1].new_image);
    assert_eq!(images[0].keys.as_ref().unwrap()["customer"], StreamValue::S("ann".into()));
}
