"""Triggers: a stream's records are posted to a URL, in order, retried, halved, given up to a table, and shown with their lag."""

import collections
import json
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme
from answers import N, S, every_item
from conftest import connect
from partita_process import BINARY

from differential.scenario import create

STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


class Receiver:
    """A server that keeps what it is posted; `answer(records, headers)` says with which status it answers. With `tls`, it is one of HTTPS."""

    def __init__(self, answer=lambda records, headers: 200, tls=None):
        self.tls = tls
        self.answer, self.posts, self.lock = answer, [], threading.Lock()
        self.server, self.port = None, 0
        self.start()

    def start(self):
        """Begins to listen, on the port it had before if it had one."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with receiver.lock:
                    status = receiver.answer(event["Records"], self.headers)
                    receiver.posts.append((status, event["Records"], self.headers))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                """A server that was killed leaves its connections."""

        self.server = Server(("127.0.0.1", self.port), Handler)
        if self.tls:
            # Handshakes are done where requests are read, so that one that fails does not end the server.
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        """Stops listening."""
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/events?from=partita"

    @property
    def taken(self):
        """The records of the posts that it answered with 200, in the order of the posts."""
        with self.lock:
            return [record for status, records, _ in self.posts if status == 200 for record in records]


@pytest.fixture
def receiver():
    """Starts receivers that are stopped afterwards."""
    running = []

    def start(*arguments, **more):
        running.append(Receiver(*arguments, **more))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def running(own_server):
    """A server of the test's own with a table whose stream is on."""
    server = own_server()
    client = connect(server.endpoint)
    client.create_table(**create("Source", "pk:S", StreamSpecification=STREAM).body)
    client.create_table(**create("Dead", "trigger:S number:S").body)
    return server


def trigger(server, *arguments, fails=False):
    """Runs `partita trigger … --json` and returns the answer; with `fails`, its words."""
    done = subprocess.run([str(BINARY), "trigger", "--endpoint", server.endpoint, "--json", *arguments], capture_output=True, text=True,
        timeout=30, env={})
    if fails:
        assert done.returncode == 1, done.stdout
        return done.stderr
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status_of(server, name="t"):
    return trigger(server, "show", name)["Trigger"]["Status"]


def put(client, key, number):
    client.put_item(TableName="Source", Item={"pk": S(key), "n": N(number)})


def soon(condition, seconds=20):
    """Waits until a condition holds, and returns what it gave."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found or time.monotonic() > until:
            assert found
            return found
        time.sleep(0.05)


def numbers(records):
    """The values that puts wrote, by key, in the order of the records."""
    by_key = collections.defaultdict(list)
    for record in records:
        by_key[record["dynamodb"]["Keys"]["pk"]["S"]].append(int(record["dynamodb"]["NewImage"]["n"]["N"]))
    return by_key


def test_records_arrive_as_lambda_functions_see_them(running, receiver):
    here = receiver()
    client = connect(running.endpoint)
    put(client, "before", 0)
    time.sleep(0.01)
    made = trigger(running, "create", "t", "--table", "Source", "--url", here.url)["Trigger"]
    client.put_item(TableName="Source", Item={"pk": S("a"), "v": {"M": {"b": {"B": b"\x00\xff"}, "l": {"L": [N(1.50), {"NULL": True}]}}}})
    client.update_item(TableName="Source", Key={"pk": S("a")}, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": S("é\n\"")})
    client.delete_item(TableName="Source", Key={"pk": S("a")})
    records = soon(lambda: len(here.taken) >= 3 and here.taken)
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    first, second, third = (record["dynamodb"] for record in records)
    assert first["NewImage"] == {"pk": S("a"), "v": {"M": {"b": {"B": "AP8="}, "l": {"L": [N("1.5"), {"NULL": True}]}}}}
    assert "OldImage" not in first and "NewImage" not in third
    assert second["OldImage"] == first["NewImage"] and third["OldImage"] == second["NewImage"] == {"pk": S("a"), "v": S("é\n\"")}
    for record in records:
        assert set(record) == {"eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb", "eventSourceARN"}
        assert (record["eventVersion"], record["eventSource"], record["awsRegion"]) == ("1.1", "aws:dynamodb", "us-east-1")
        assert record["eventSourceARN"] == made["StreamArn"]
        assert record["dynamodb"]["Keys"] == {"pk": S("a")} and record["dynamodb"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
        assert abs(record["dynamodb"]["ApproximateCreationDateTime"] - time.time()) < 60
    _, _, headers = here.posts[0]
    assert headers["Content-Type"] == "application/json" and headers["X-Partita-Trigger"] == "t" and headers["X-Partita-Attempt"] == "1"
    # The same records as GetRecords gives.
    streams = connect_streams(running.endpoint)
    shard = streams.describe_stream(StreamArn=made["StreamArn"])["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=made["StreamArn"], ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    read = streams.get_records(ShardIterator=iterator)["Records"][1:]
    assert [record["eventID"] for record in read] == [record["eventID"] for record in records]
    assert [record["dynamodb"]["SequenceNumber"] for record in read] == [record["dynamodb"]["SequenceNumber"] for record in records]


def connect_streams(endpoint):
    import boto3

    return boto3.client("dynamodbstreams", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="secret")


def test_every_item_is_in_order_in_batches_of_the_size_asked_for(running, receiver):
    here = receiver()
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--batch-size", "7", "--from", "trim-horizon")

    def write(seed):
        mine = connect(running.endpoint)
        for n in range(60):
            put(mine, f"k{(seed * 3 + n % 3)}", n)

    workers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    records = soon(lambda: len(here.taken) >= 240 and here.taken)
    assert len(records) == 240
    assert all(values == sorted(values) and len(values) == 20 for values in numbers(records).values())
    assert max(len(records) for _, records, _ in here.posts) == 7
    assert len({record["eventID"] for record in records}) == 240
    status = soon(lambda: (found := status_of(running))["DeliveredRecords"] == 240 and found)
    assert status["RecordsBehind"] == 0 and status["Failing"] == [] and "OldestUndeliveredAgeInSeconds" not in status


def test_a_window_gathers_a_batch(running, receiver):
    here = receiver()
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--window", "2", "--batch-size", "5")
    for n in range(3):
        put(client, "a", n)
        time.sleep(0.1)
    began = time.monotonic()
    time.sleep(0.7)
    assert here.posts == []
    soon(lambda: len(here.taken) == 3)
    assert len(here.posts) == 1 and time.monotonic() - began < 4
    # A full batch does not wait.
    for n in range(5):
        put(client, "b", n)
    began = time.monotonic()
    soon(lambda: len(here.taken) == 8)
    assert time.monotonic() - began < 1.5


def test_a_failed_batch_is_retried_before_anything_behind_it(running, receiver):
    failures = iter([500, 404, 302, 500])
    here = receiver(lambda records, headers: next(failures, 200))
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--batch-size", "2", "--from", "trim-horizon", "--paused")
    for n in range(6):
        put(client, "a", n)
    trigger(running, "resume", "t")
    soon(lambda: len(here.taken) == 6)
    assert [(status, [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in records]) for status, records, _ in here.posts] == [
        (500, [0, 1]), (404, [0, 1]), (302, [0, 1]), (500, [0, 1]), (200, [0, 1]), (200, [2, 3]), (200, [4, 5])]
    assert [headers["X-Partita-Attempt"] for _, _, headers in here.posts] == ["1", "2", "3", "4", "5", "1", "1"]


def test_bisection_finds_the_poison_record_and_writes_it_to_the_dead_letter_table(running, receiver):
    def answer(records, _):
        return 500 if any(record["dynamodb"]["NewImage"]["n"] == N(13) for record in records) else 200

    here = receiver(answer)
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--batch-size", "32", "--bisect", "--retries", "1",
        "--dead-letter", "Dead", "--from", "trim-horizon", "--paused")
    for n in range(40):
        put(client, "a", n)
    trigger(running, "resume", "t")
    soon(lambda: len(here.taken) >= 39)
    assert numbers(here.taken)["a"] == [n for n in range(40) if n != 13]
    alone = [status for status, records, _ in here.posts if [record["dynamodb"]["NewImage"]["n"] for record in records] == [N(13)]]
    assert alone == [500, 500]
    (letter,) = every_item(client.scan, TableName="Dead")
    assert letter["trigger"] == S("t") and letter["Condition"] == S("RetryAttemptsExhausted") and letter["Attempts"] == N(2)
    assert letter["Error"] == S("answered 500")
    record = json.loads(letter["Record"]["S"])
    assert record["dynamodb"]["NewImage"] == {"pk": S("a"), "n": N(13)}
    assert letter["number"]["S"] == letter["SequenceNumber"]["S"] == record["dynamodb"]["SequenceNumber"]
    assert letter["EventId"]["S"] == record["eventID"]
    status = soon(lambda: (found := status_of(running))["DeliveredRecords"] == 39 and found)
    assert (status["DeadLetteredRecords"], status["DiscardedRecords"], status["RecordsBehind"]) == (1, 0, 0)


def test_without_a_dead_letter_table_records_are_counted_and_dropped(running, receiver):
    here = receiver(lambda records, _: 500 if records[0]["dynamodb"]["NewImage"]["n"] == N(0) else 200)
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--batch-size", "2", "--retries", "0", "--from", "trim-horizon",
        "--paused")
    for n in range(4):
        put(client, "a", n)
    trigger(running, "resume", "t")
    status = soon(lambda: (found := status_of(running))["RecordsBehind"] == 0 and found)
    assert (status["DeliveredRecords"], status["DiscardedRecords"], status["DeadLetteredRecords"]) == (2, 2, 0)
    assert numbers(here.taken)["a"] == [2, 3] and len(here.posts) == 2


def test_records_that_are_too_old_are_given_up(running, receiver):
    here = receiver()
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--max-age", "2", "--dead-letter", "Dead", "--paused")
    put(client, "a", 1)
    time.sleep(2.5)
    put(client, "a", 2)
    trigger(running, "resume", "t")
    soon(lambda: len(here.taken) == 1)
    assert numbers(here.taken)["a"] == [2]
    (letter,) = every_item(client.scan, TableName="Dead")
    assert letter["Condition"] == S("RecordAgeExceeded") and letter["Attempts"] == N(0)
    assert json.loads(letter["Record"]["S"])["dynamodb"]["NewImage"]["n"] == N(1)


def test_a_receiver_that_is_down_costs_no_records(running, receiver):
    here = receiver()
    here.stop()
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--retries", "0", "--bisect")
    for n in range(20):
        put(client, "a", n)
    status = soon(lambda: (found := status_of(running))["Failing"] and found)
    assert status["Failing"][0]["Attempts"] == 0 and "can not connect" in status["Failing"][0]["LastError"]
    time.sleep(1)
    assert status_of(running)["RecordsBehind"] == 20
    here.start()
    soon(lambda: len(here.taken) == 20)
    assert numbers(here.taken)["a"] == list(range(20))
    soon(lambda: status_of(running)["Failing"] == [])


def test_lag_is_shown_and_pausing_keeps_the_place(running, receiver):
    here = receiver()
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url)
    put(client, "a", 0)
    soon(lambda: len(here.taken) == 1)
    assert trigger(running, "pause", "t")["Trigger"]["State"] == "PAUSED"
    time.sleep(1)
    for n in range(1, 6):
        put(client, "a", n)
    time.sleep(1.2)
    assert len(here.taken) == 1
    (shown,) = trigger(running, "list")["Triggers"]
    assert shown["State"] == "PAUSED" and shown["Status"]["RecordsBehind"] == 5
    assert 1 <= shown["Status"]["OldestUndeliveredAgeInSeconds"] < 30
    told = subprocess.run([str(BINARY), "trigger", "--endpoint", running.endpoint, "list"], capture_output=True, text=True, env={}).stdout
    head, line = told.splitlines()
    assert head.split() == ["NAME", "STATE", "BEHIND", "OLDEST", "DELIVERED", "GIVEN", "UP", "FAILING", "URL"]
    assert line.split()[:3] == ["t", "PAUSED", "5"] and line.split()[-1] == here.url
    trigger(running, "resume", "t")
    soon(lambda: len(here.taken) == 6)
    assert numbers(here.taken)["a"] == list(range(6))


def test_delivery_goes_on_from_its_checkpoint_after_kill_9(running, receiver):
    """At least once: nothing is lost, only what was under way comes again, and each item's order holds."""
    here = receiver(lambda records, _: time.sleep(0.03) or 200)
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--batch-size", "5", "--from", "trim-horizon")
    for n in range(300):
        put(client, f"k{n % 10}", n)
    for round_ in range(3):
        soon(lambda: len(here.taken) >= 60 * (round_ + 1))
        running.restart("kill")
    soon(lambda: {n for values in numbers(here.taken).values() for n in values} == set(range(300)))
    soon(lambda: status_of(running)["RecordsBehind"] == 0)
    records, seen = here.taken, []
    for record in records:
        n = int(record["dynamodb"]["NewImage"]["n"]["N"])
        if n not in seen:
            # What is new comes in order.
            assert not seen or n > max(seen)
            seen.append(n)
    # Each kill repeats at most the batch that was under way.
    assert len(records) - 300 <= 3 * 5


def test_attempts_are_counted_across_a_restart(running, receiver):
    here = receiver(lambda records, _: 500)
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--retries", "5", "--dead-letter", "Dead")
    put(client, "a", 1)
    soon(lambda: len(here.posts) == 3)
    soon(lambda: status_of(running)["Failing"][0]["Attempts"] == 3)
    running.restart("kill")
    soon(lambda: every_item(client.scan, TableName="Dead"), 40)
    # One attempt may have been under way when the server was killed.
    assert 6 <= len(here.posts) <= 7
    assert every_item(client.scan, TableName="Dead")[0]["Attempts"] == N(6)


def test_a_changed_trigger_is_delivered_as_changed(running, receiver):
    old, new = receiver(lambda records, _: 503), receiver()
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", old.url)
    put(client, "a", 1)
    soon(lambda: len(old.posts) >= 4)
    changed = trigger(running, "update", "t", "--url", new.url, "--batch-size", "3", "--retries", "2", "--dead-letter", "Dead")["Trigger"]
    assert (changed["Url"], changed["BatchSize"], changed["MaximumRetryAttempts"]) == (new.url, 3, 2)
    assert changed["DeadLetterTableName"] == "Dead" and changed["TimeoutInSeconds"] == 30
    soon(lambda: len(new.taken) == 1, 5)
    assert "DeadLetterTableName" not in trigger(running, "update", "t", "--no-dead-letter")["Trigger"]
    assert trigger(running, "delete", "t")["Trigger"]["TriggerName"] == "t"
    assert trigger(running, "list") == {"Triggers": []}
    time.sleep(1)
    put(client, "a", 2)
    time.sleep(1)
    assert len(new.taken) == 1
    assert "Trigger: t not found" in trigger(running, "show", "t", fails=True)


def test_a_slow_receiver_is_cut_off_and_others_go_on(running, receiver):
    slow, quick = receiver(lambda records, _: time.sleep(3) or 200), receiver()
    client = connect(running.endpoint)
    trigger(running, "create", "slow", "--table", "Source", "--url", slow.url, "--timeout", "1", "--retries", "0", "--dead-letter", "Dead")
    trigger(running, "create", "quick", "--table", "Source", "--url", quick.url)
    put(client, "a", 1)
    soon(lambda: len(quick.taken) == 1, 2.5)
    (letter,) = soon(lambda: every_item(client.scan, TableName="Dead"))
    assert "no answer within 1 s" in letter["Error"]["S"]


def test_large_records_stay_below_6_mb(running, receiver):
    here = receiver()
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", here.url, "--batch-size", "10000", "--from", "trim-horizon", "--paused")
    for n in range(24):
        client.put_item(TableName="Source", Item={"pk": S(f"k{n}"), "n": N(n), "v": S("x" * 390_000)})
    trigger(running, "resume", "t")
    soon(lambda: len(here.taken) == 24)
    assert max(int(headers["Content-Length"]) for _, _, headers in here.posts) <= 6 << 20
    assert len(here.posts) <= 3


def test_https_receivers_must_show_a_certificate_that_is_trusted(own_server, receiver, tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    here, elsewhere = receiver(tls=context), receiver(tls=context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    server = own_server()
    client = connect(server.endpoint)
    client.create_table(**create("Source", "pk:S", StreamSpecification=STREAM).body)
    trigger(server, "create", "t", "--table", "Source", "--url", here.url)
    put(client, "k", 1)
    error = soon(lambda: (status_of(server)["Failing"] or [{}])[0].get("LastError"))
    assert "--ca-file" in error and not here.posts, error

    server.arguments = ("--ca-file", str(bundle))
    server.restart()
    soon(lambda: len(here.taken) == 1)
    trigger(server, "update", "t", "--url", elsewhere.url.replace("127.0.0.1", "localhost"))
    time.sleep(1)  # The change is seen within half a second.
    put(connect(server.endpoint), "k", 2)
    error = soon(lambda: (status_of(server)["Failing"] or [{}])[0].get("LastError"))
    assert "localhost" in error and not elsewhere.posts, error


def test_what_can_not_be_delivered_is_refused_with_a_reason(running):
    base = ("create", "t", "--table", "Source", "--url")
    for arguments, why in [
        ((*base, "ftp://example.com/"), "http://"),
        ((*base, "http://user:secret@example.com/"), "password"),
        ((*base, "http://localhost/", "--batch-size", "10001"), "BatchSize must be from 1 to 10000"),
        ((*base, "http://localhost/", "--dead-letter", "Source"), "must not be the table"),
        ((*base, "http://localhost/", "--dead-letter", "Nowhere"), "not found"),
        (("create", "t", "--table", "Dead", "--url", "http://localhost/"), "has no enabled stream"),
        (("create", "t", "--table", "Nowhere", "--url", "http://localhost/"), "not found"),
        (("delete", "t"), "Trigger: t not found"),
    ]:
        told = trigger(running, *arguments, fails=True)
        assert why in told and "secret" not in told, told
    assert trigger(running, "list") == {"Triggers": []}


def test_the_metadata_address_of_clouds_is_not_posted_to(running):
    client = connect(running.endpoint)
    trigger(running, "create", "t", "--table", "Source", "--url", "http://169.254.169.254/latest/meta-data/")
    put(client, "a", 1)
    status = soon(lambda: (found := status_of(running))["Failing"] and found)
    assert "link-local" in status["Failing"][0]["LastError"]


def test_the_operations_refuse_what_they_do_not_know(wire):
    def ask(operation, body):
        answer = wire.call(operation, body, {"X-Amz-Target": f"Partita_20261122.{operation}"})
        return answer.status, json.loads(answer.raw)

    status, answer = ask("CreateTrigger", b'{"TriggerName":"a","TableName":"T","Url":"http://localhost/","BatchSise":5}')
    assert status == 400 and answer["__type"].endswith("ValidationException") and "BatchSise" in answer["message"]
    for operation, body, code in [
        ("CreateTrigger", b"{", "SerializationException"),
        ("CreateTrigger", b"{}", "ValidationException"),
        ("DescribeTrigger", b'{"TriggerName":"nobody"}', "ResourceNotFoundException"),
        ("ExplodeTrigger", b"{}", "UnknownOperationException"),
    ]:
        status, answer = ask(operation, body)
        assert status == 400 and answer["__type"].endswith(code), answer
