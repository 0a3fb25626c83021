//! Disks that fail, fill up or are slow, clocks that jump, clients that misbehave: what the server does then, as
//! docs/reliability.md promises it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test judges by panicking"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use partita_proof::faults::{Call, EIO, ENOSPC, Layer};
use partita_proof::server::{Server, Setting};
use partita_proof::wire::{Client, Outcome, scan};
use serde_json::{Value, json};

struct Broken {
    home: tempfile::TempDir,
    layer: Layer,
    server: Server,
    client: Client,
}

impl Broken {
    /// A server over the layer, with a table.
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let layer = Layer::new(&data, home.path());
        let server = Server::start(layer.under(Setting::directory(&data))).unwrap();
        let mut client = Client::new(server.address());
        create(&mut client);
        Self { home, layer, server, client }
    }

    fn data(&self) -> std::path::PathBuf {
        self.home.path().join("data")
    }

    /// Ends the server as the power does, and starts it on a disk that works.
    fn repaired(mut self) -> (Server, Client, tempfile::TempDir) {
        self.layer.pull_the_power(&mut self.server, 77);
        let data = self.data();
        drop(self.server);
        let server = Server::start(Setting::directory(&data)).unwrap();
        let client = Client::new(server.address());
        (server, client, self.home)
    }
}

fn create(client: &mut Client) {
    let body = json!({"TableName": "Things", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}]});
    client.call("CreateTable", &body).done();
}

fn put(client: &mut Client, key: &str, bytes: usize) -> Outcome {
    client.call("PutItem", &json!({"TableName": "Things", "Item": {"pk": {"S": key}, "v": {"S": "x".repeat(bytes)}}}))
}

fn get(client: &mut Client, key: &str) -> Outcome {
    client.call("GetItem", &json!({"TableName": "Things", "Key": {"pk": {"S": key}}, "ConsistentRead": true}))
}

fn keys(client: &mut Client) -> Vec<String> {
    let mut keys: Vec<String> =
        scan(client, "Things", None).iter().map(|item| item["pk"]["S"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

/// After this error nothing is acknowledged, reads go on, the server says so; opened again, what was acknowledged is there.
fn writes_stop(call: Call, error: i32) {
    let mut broken = Broken::new();
    for n in 0..20 {
        put(&mut broken.client, &format!("kept-{n:02}"), 100).done();
    }
    broken.layer.fail(call, error, 1);
    assert!(matches!(put(&mut broken.client, "lost", 100), Outcome::Unknown(_)));
    broken.layer.heal(call);
    // The disk says it is well again. What it holds is not known, so nothing is believed until it is opened again.
    for n in 0..5 {
        let refused = put(&mut broken.client, &format!("refused-{n}"), 100);
        assert!(matches!(&refused, Outcome::Unknown(why) if why.contains("InternalServerError")), "{refused:?}");
    }
    assert_eq!(broken.server.get("/health/ready"), Some((503, "not ready: writes fail\n".to_owned())));
    assert_eq!(broken.server.get("/health/live"), Some((200, "live\n".to_owned())));
    assert!(matches!(get(&mut broken.client, "kept-07"), Outcome::Done(answer) if answer["Item"].is_object()));
    let said = broken.server.output();
    assert!(said.contains("ERROR") && !said.contains("panicked"), "{said}");

    let (server, mut client, _home) = broken.repaired();
    let found = keys(&mut client);
    let expected: Vec<String> = (0..20).map(|n| format!("kept-{n:02}")).collect();
    // The write that failed may have come to the disk; those after it may not.
    assert!(found == expected || found == [expected.clone(), vec!["lost".to_owned()]].concat(), "{found:?}");
    put(&mut client, "well", 1).done();
    assert_eq!(server.get("/health/ready").unwrap().0, 200);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    writes_stop(Call::Sync, EIO);
}

#[test]
fn on_a_full_disk_nothing_is_acknowledged() {
    writes_stop(Call::Write, ENOSPC);
}

#[test]
fn what_can_not_be_read_is_an_error_and_never_absent() {
    let mut broken = Broken::new();
    for n in 0..40 {
        put(&mut broken.client, &format!("{n:02}"), 30_000).done();
    }
    // What is recovered from the journal goes to files; the next start has it nowhere else.
    for _ in 0..2 {
        let setting = broken.server.setting().clone();
        broken.server.start_again(setting).unwrap();
    }
    broken.client = Client::new(broken.server.address());
    broken.layer.fail(Call::Read, EIO, 1);
    let mut failed = 0;
    for n in 0..40 {
        match get(&mut broken.client, &format!("{n:02}")) {
            Outcome::Done(answer) => assert!(answer["Item"].is_object(), "{n} is said to be absent"),
            Outcome::Unknown(why) => {
                assert!(why.contains("InternalServerError"), "{why}");
                failed += 1;
            }
            Outcome::Refused(_, answer) => panic!("{answer}"),
        }
    }
    assert!(failed > 0, "nothing was read from the disk");
    broken.layer.heal(Call::Read);
    assert_eq!(keys(&mut broken.client).len(), 40);
    // If the storage engine could not read for its own work meanwhile, writes have stopped, and the server says so.
    let on = put(&mut broken.client, "on", 1);
    let ready = broken.server.get("/health/ready").unwrap().0;
    assert!(matches!((&on, ready), (Outcome::Done(_), 200) | (Outcome::Unknown(_), 503)), "{on:?}, ready {ready}");
}

#[test]
fn a_slow_disk_makes_writes_wait_and_reads_not() {
    let mut broken = Broken::new();
    put(&mut broken.client, "a", 10).done();
    broken.layer.delay(Call::Sync, Duration::from_millis(1_500));
    let address = broken.server.address();
    let writer = thread::spawn(move || {
        let began = Instant::now();
        put(&mut Client::new(address), "slow", 10).done();
        began.elapsed()
    });
    thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    for _ in 0..20 {
        get(&mut broken.client, "a").done();
    }
    let reads = began.elapsed();
    let write = writer.join().unwrap();
    assert!(write >= Duration::from_millis(1_500), "a write was acknowledged after {write:?}, before it was synced");
    assert!(reads < Duration::from_millis(1_200), "reads waited for the disk: {reads:?}");
    assert!(matches!(get(&mut broken.client, "slow"), Outcome::Done(answer) if answer["Item"].is_object()));
}

#[test]
fn clocks_that_jump_lose_nothing_and_keep_the_order_of_changes() {
    let mut broken = Broken::new();
    let stream = broken
        .client
        .call(
            "UpdateTable",
            &json!({"TableName": "Things",
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"}}),
        )
        .done();
    let arn = stream["TableDescription"]["LatestStreamArn"].clone();
    let mut expected = Vec::new();
    for (n, hours) in [0, 5, -48, 20, -1, 0].into_iter().enumerate() {
        broken.layer.shift_the_clock(hours * 3_600);
        for m in 0..5 {
            let key = format!("{n}-{m}");
            put(&mut broken.client, &key, 10).done();
            expected.push(key);
        }
    }
    let shards = broken.client.streams("DescribeStream", &json!({"StreamArn": arn})).done();
    let mut seen = Vec::new();
    for shard in shards["StreamDescription"]["Shards"].as_array().unwrap() {
        let mut iterator = broken
            .client
            .streams(
                "GetShardIterator",
                &json!({"StreamArn": arn, "ShardId": shard["ShardId"],
            "ShardIteratorType": "TRIM_HORIZON"}),
            )
            .done()["ShardIterator"]
            .clone();
        for _ in 0..4 {
            if iterator.is_string() {
                let answer = broken.client.streams("GetRecords", &json!({"ShardIterator": iterator})).done();
                let records = answer["Records"].as_array().cloned().unwrap_or_default();
                seen.extend(
                    records.iter().map(|record| record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap().to_owned()),
                );
                iterator = answer["NextShardIterator"].clone();
            }
        }
    }
    if shards["StreamDescription"]["Shards"].as_array().unwrap().len() == 1 {
        assert_eq!(seen, expected);
    }
    seen.sort();
    assert_eq!(seen, expected);
    assert!(!broken.server.output().contains("panicked"));
    let (_server, mut client, _home) = broken.repaired();
    assert_eq!(keys(&mut client), expected);
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).map(Iterator::count).unwrap_or(0)
}

#[test]
fn without_free_file_descriptors_it_goes_on_serving_and_recovers() {
    let home = tempfile::tempdir().unwrap();
    let mut setting = Setting::directory(&home.path().join("data"));
    setting.limits = "ulimit -n 128".to_owned();
    let server = Server::start(setting).unwrap();
    let mut client = Client::new(server.address());
    create(&mut client);
    put(&mut client, "before", 10).done();
    let crowd: Vec<TcpStream> = (0..300).filter_map(|_| TcpStream::connect(server.address()).ok()).collect();
    thread::sleep(Duration::from_millis(300));
    // The connection that is open is served, and its writes are stored.
    for n in 0..50 {
        put(&mut client, &format!("during-{n:02}"), 20_000).done();
    }
    assert!(open_files(server.pid()) > 50, "{}", open_files(server.pid()));
    drop(crowd);
    let began = Instant::now();
    loop {
        let mut fresh = Client::new(server.address()).patient(Duration::from_secs(5));
        if matches!(put(&mut fresh, "after", 10), Outcome::Done(_)) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no new connection is served:\n{}", server.output());
    }
    assert_eq!(keys(&mut client).len(), 52);
    assert_eq!(server.get("/health/ready").unwrap().0, 200);
    assert!(!server.output().contains("panicked"));
}

/// Connections that send the beginning of something and then nothing.
fn half_open(address: SocketAddr, beginning: &str, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(beginning.as_bytes()).unwrap();
            stream
        })
        .collect()
}

#[test]
fn half_open_connections_and_slow_clients_hold_nobody_up() {
    let server = Server::start(Setting::memory()).unwrap();
    let mut client = Client::new(server.address()).patient(Duration::from_secs(5));
    create(&mut client);
    for n in 0..40 {
        put(&mut client, &format!("{n}"), 200_000).done();
    }
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: DynamoDB_20120810.Scan\r\n\
        content-type: application/x-amz-json-1.0\r\ncontent-length: ";
    let mut held = half_open(server.address(), "", 100);
    held.extend(half_open(server.address(), "POST / HT", 100));
    held.extend(half_open(server.address(), &format!("{head}1000\r\n\r\n{{\"Table"), 100));
    // Readers that never read their megabyte.
    held.extend(half_open(server.address(), &format!("{head}22\r\n\r\n{{\"TableName\":\"Things\"}}"), 50));
    // A writer that sends a byte now and then.
    let mut slow = TcpStream::connect(server.address()).unwrap();
    for byte in head.bytes().take(40) {
        slow.write_all(&[byte]).unwrap();
        put(&mut client, "served", 10).done();
    }
    assert!(matches!(get(&mut client, "served"), Outcome::Done(_)));
    let resident = resident_mib(server.pid());
    assert!(resident < 500, "{resident} MiB");
    drop(held);
    assert!(!server.output().contains("panicked"));
}

fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

#[test]
fn a_thousand_clients_that_reconnect_at_once_are_served() {
    let server = Server::start(Setting::memory()).unwrap();
    let mut client = Client::new(server.address());
    create(&mut client);
    put(&mut client, "a", 10).done();
    let address = server.address();
    for _ in 0..3 {
        // All are connected before the first is asked anything, and go away without a word.
        let mut crowd: Vec<TcpStream> = (0..1_000).map(|_| TcpStream::connect(address).unwrap()).collect();
        let body = json!({"TableName": "Things", "Key": {"pk": {"S": "a"}}}).to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: DynamoDB_20120810.GetItem\r\n\
             content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        for stream in &mut crowd {
            stream.write_all(request.as_bytes()).unwrap();
        }
        for stream in &mut crowd {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut beginning = [0; 12];
            stream.read_exact(&mut beginning).unwrap();
            assert_eq!(&beginning, b"HTTP/1.1 200");
        }
    }
    let began = Instant::now();
    while open_files(server.pid()) > 100 {
        assert!(began.elapsed() < Duration::from_secs(20), "connections are not let go");
        thread::sleep(Duration::from_millis(50));
    }
    let _: Value = get(&mut client, "a").done();
}
