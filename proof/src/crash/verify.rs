//! The oracle: holds a whole database against what its writers know.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::replica::Replica;
use super::tables::TableWriter;
use super::writer::{Hanging, Place, Writer, counter_key};
use super::{COUNTERS, Figures, LEDGER, MAIN, SESSIONS};
use crate::wire::{Client, Outcome, scan};

/// How long expired items may stay, and a restore may take.
const PATIENCE: Duration = Duration::from_secs(60);

type Items = BTreeMap<String, Value>;

fn by_key(items: Vec<Value>) -> Items {
    items.into_iter().map(|item| (item["pk"]["S"].as_str().unwrap_or_default().to_owned(), item)).collect()
}

/// Everything that must hold at rest. Requests that hung in the air are settled by it.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn everything(
    client: &mut Client,
    writers: &mut [Writer],
    replica: &mut Replica,
    tables: &mut TableWriter,
    figures: &mut Figures,
) -> Result<(), String> {
    let mut found: BTreeMap<&'static str, Items> = BTreeMap::new();
    for table in [MAIN, LEDGER, SESSIONS] {
        found.insert(table, by_key(scan(client, table, None)));
    }
    let counters: Vec<u64> = (0..COUNTERS).map(|counter| counter_value(client, counter)).collect();
    settle(client, writers, &mut found, &counters, figures)?;
    for writer in writers.iter() {
        for ((table, key), expected) in &writer.known {
            let held = found[table].get(key);
            if held != expected.as_ref() {
                return Err(format!("{table}/{key} must be {expected:?} and is {held:?}"));
            }
        }
    }
    nothing_else(writers, &found)?;
    counters_are_right(client, writers)?;
    let main = by_key(scan(client, MAIN, None));
    indexes_equal_the_table(client, &main)?;
    replica.follow(client)?;
    figures.records = replica.records;
    if replica.items != main {
        let differs = main.iter().find(|(key, item)| replica.items.get(*key) != Some(item)).map(|(key, _)| key);
        return Err(format!(
            "the stream ends with {} items, the table has {}; the first that differs is {differs:?}",
            replica.items.len(),
            main.len()
        ));
    }
    tables.verify(client)?;
    figures.acknowledged = writers.iter().map(|writer| writer.acknowledged).sum::<u64>() + tables.acknowledged;
    Ok(())
}

/// Finds out what became of the requests in the air; each must have been applied whole, or not at all.
fn settle(
    client: &mut Client,
    writers: &mut [Writer],
    found: &mut BTreeMap<&'static str, Items>,
    counters: &[u64],
    figures: &mut Figures,
) -> Result<(), String> {
    let mut blind = [0_u64; COUNTERS];
    for writer in writers.iter_mut() {
        let Some(hanging) = writer.hanging.take() else { continue };
        if hanging.after.is_empty() {
            // Only a counter knows, and it does not know of whom: at most as many as hung.
            match hanging.counter {
                Some(counter) => blind[counter] += 1,
                None => figures.not_applied += 1,
            }
            continue;
        }
        let applied = was_applied(writer, &hanging, found)?;
        if applied {
            figures.applied += 1;
        } else {
            figures.not_applied += 1;
        }
        writer.settle(&hanging, applied && hanging.atomic);
        if !hanging.atomic {
            for place in hanging.after.keys() {
                let held = found[place.0].get(&place.1).cloned();
                writer.known.insert(place.clone(), held);
            }
        }
        if let Some(transaction) = &hanging.transaction {
            again(client, writer, &hanging, transaction, applied, found)?;
        }
    }
    // A transaction that was sent again has added by now; so counters are read again.
    let known = |writers: &[Writer], counter: usize| writers.iter().map(|writer| writer.added[counter]).sum::<u64>();
    for (counter, hung) in blind.into_iter().enumerate() {
        let value = counter_value(client, counter);
        let least = known(writers, counter);
        if value < least || value > least + hung {
            return Err(format!(
                "counter {counter} is {value} (was {}): {least} additions were acknowledged, {hung} more hung in the air",
                counters[counter]
            ));
        }
        figures.applied += value - least;
        figures.not_applied += least + hung - value;
        writers[0].added[counter] += value - least;
    }
    Ok(())
}

/// Whether a request was applied, by what its items are.
fn was_applied(writer: &Writer, hanging: &Hanging, found: &BTreeMap<&'static str, Items>) -> Result<bool, String> {
    let mut verdicts = Vec::new();
    for (place, after) in &hanging.after {
        let before = writer.known.get(place).cloned().flatten();
        let held = found[place.0].get(&place.1).cloned();
        match (held == before, held == *after) {
            // What it was is what it becomes: says nothing.
            (true, true) => {}
            (true, false) => verdicts.push((place, false)),
            (false, true) => verdicts.push((place, true)),
            (false, false) => {
                return Err(format!(
                    "{place:?} is {held:?}, neither {before:?} as acknowledged nor {after:?} as asked last"
                ));
            }
        }
    }
    let some = verdicts.iter().any(|(_, applied)| *applied);
    let all = verdicts.iter().all(|(_, applied)| *applied);
    if hanging.atomic && some && !all {
        return Err(format!("half of a request is there: {verdicts:?}"));
    }
    Ok(some)
}

/// A transaction under the same token again: it must succeed and, if it was applied, change nothing.
fn again(
    client: &mut Client,
    writer: &mut Writer,
    hanging: &Hanging,
    transaction: &Value,
    applied: bool,
    found: &mut BTreeMap<&'static str, Items>,
) -> Result<(), String> {
    match client.call("TransactWriteItems", transaction) {
        Outcome::Done(_) => {}
        other => return Err(format!("a transaction under the token it had before the crash: {other:?}")),
    }
    for ((table, key), after) in &hanging.after {
        match after {
            Some(item) => found.get_mut(table).and_then(|items| items.insert(key.clone(), item.clone())),
            None => found.get_mut(table).and_then(|items| items.remove(key)),
        };
    }
    if !applied {
        writer.settle(hanging, true);
    }
    Ok(())
}

/// There is nothing that nobody wrote.
fn nothing_else(writers: &[Writer], found: &BTreeMap<&'static str, Items>) -> Result<(), String> {
    for (table, items) in found {
        for key in items.keys() {
            let place: Place = (table, key.clone());
            let known = writers.iter().any(|writer| {
                writer.known.get(&place).is_some_and(Option::is_some)
                    || *table == SESSIONS && writer.expired.contains(key)
            });
            if !known && !key.starts_with("counter-") {
                return Err(format!("{table}/{key} is there, and nobody has it"));
            }
        }
    }
    Ok(())
}

fn counter_value(client: &mut Client, counter: usize) -> u64 {
    let item =
        client.call("GetItem", &json!({"TableName": MAIN, "Key": counter_key(counter), "ConsistentRead": true})).done();
    item["Item"]["n"]["N"].as_str().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// What writers added, and what the table counts of itself.
fn counters_are_right(client: &mut Client, writers: &[Writer]) -> Result<(), String> {
    for counter in 0..COUNTERS {
        let expected: u64 = writers.iter().map(|writer| writer.added[counter]).sum();
        let value = counter_value(client, counter);
        if value != expected {
            return Err(format!("counter {counter} must be {expected} and is {value}"));
        }
    }
    let table = client.call("DescribeTable", &json!({"TableName": MAIN})).done()["Table"].clone();
    let counted = |of: &Value| of["ItemCount"].as_u64().unwrap_or(u64::MAX);
    let mut counts = vec![(counted(&table), None)];
    for list in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        for index in table[list].as_array().into_iter().flatten() {
            counts.push((counted(index), index["IndexName"].as_str().map(str::to_owned)));
        }
    }
    for (count, index) in counts {
        let found = scan(client, MAIN, index.as_deref()).len() as u64;
        if count != found {
            return Err(format!("{} items are counted in {index:?} and {found} are there", count));
        }
    }
    Ok(())
}

fn indexes_equal_the_table(client: &mut Client, main: &Items) -> Result<(), String> {
    let global = by_key(scan(client, MAIN, Some("ByG")));
    let expected: Items =
        main.iter().filter(|(_, item)| item.get("g").is_some()).map(|(k, v)| (k.clone(), v.clone())).collect();
    if global != expected {
        return Err(format!("the global index has {} items, and {} belong there", global.len(), expected.len()));
    }
    let local = by_key(scan(client, MAIN, Some("ByL")));
    let expected: Items = main
        .iter()
        .filter(|(_, item)| item.get("l").is_some())
        .map(|(key, item)| (key.clone(), json!({"pk": item["pk"], "sk": item["sk"], "l": item["l"]})))
        .collect();
    if local != expected {
        return Err(format!("the local index has {} items, and {} belong there", local.len(), expected.len()));
    }
    Ok(())
}

/// All expired items go, and the others stay.
///
/// # Errors
/// When they do not.
pub(crate) fn expired_items_go(client: &mut Client, writers: &[Writer]) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let left = by_key(scan(client, SESSIONS, None));
        if !left.keys().any(|key| key.starts_with("past-")) {
            let stay = writers.iter().flat_map(|writer| writer.known.iter());
            let stay = stay.filter(|((table, _), item)| *table == SESSIONS && item.is_some()).count();
            return if left.len() == stay { Ok(()) } else { Err(format!("{} of {stay} items stayed", left.len())) };
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{} expired items are still there", left.len()));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Restores a table from a backup and to a second: nothing runs meanwhile, so both must equal the table as it is.
///
/// # Errors
/// When they do not.
pub(crate) fn restores(client: &mut Client, table: &str) -> Result<u64, String> {
    let expected = by_key(scan(client, table, None));
    let backup = client.call("CreateBackup", &json!({"TableName": table, "BackupName": "proof"})).done();
    let arn = backup["BackupDetails"]["BackupArn"].clone();
    wait_for(|| {
        let told = client.call("DescribeBackup", &json!({"BackupArn": arn})).done();
        told["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE"
    })?;
    client.call("RestoreTableFromBackup", &json!({"BackupArn": arn, "TargetTableName": "Restored"})).done();
    // The last second that can be restored has to come after the last change.
    thread::sleep(Duration::from_secs(2));
    let to_second = json!({"SourceTableName": table, "TargetTableName": "Recovered", "UseLatestRestorableTime": true});
    client.call("RestoreTableToPointInTime", &to_second).done();
    for restored in ["Restored", "Recovered"] {
        wait_for(|| {
            client.call("DescribeTable", &json!({"TableName": restored})).done()["Table"]["TableStatus"] == "ACTIVE"
        })?;
        let found = by_key(scan(client, restored, None));
        if restored == "Restored" && found != expected {
            return Err(format!("the backup has {} items, the table {}", found.len(), expected.len()));
        }
        pairs_fit(&found).map_err(|wrong| format!("{restored}: {wrong}"))?;
        if found != expected {
            return Err(format!("{restored} has {} items, the table {}, or they differ", found.len(), expected.len()));
        }
        client.call("DeleteTable", &json!({"TableName": restored})).done();
    }
    Ok(2)
}

/// Both halves of each transaction are of one version.
fn pairs_fit(items: &Items) -> Result<(), String> {
    for (key, item) in items.iter().filter(|(key, _)| key.starts_with("pair-a-")) {
        let other = items.get(&key.replace("pair-a-", "pair-b-"));
        if other.map(|other| &other["pair"]) != Some(&item["pair"]) {
            return Err(format!("{key} is of another version than its other half"));
        }
    }
    Ok(())
}

fn wait_for(mut condition: impl FnMut() -> bool) -> Result<(), String> {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > PATIENCE {
            return Err(format!("something does not come true within {PATIENCE:?}"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
