"""What takes minutes and hours, on a server whose clock the test moves on."""

import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from answers import N, S, refusal, refused
from conftest import connect
from partita_process import BINARY
from stream_reader import iterator, records_of, shards_of

from differential.scenario import create

MINUTE, HOUR = 60, 60 * 60
STREAMING = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}


def advance(endpoint, body):
    """The status and answer of AdvanceClock."""
    request = urllib.request.Request(endpoint, data=json.dumps(body).encode(),
        headers={"X-Amz-Target": "Partita_20261122.AdvanceClock", "Content-Type": "application/x-amz-json-1.0"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Timed:
    """A server with a clock for tests, and its clients."""

    def __init__(self, running):
        self.endpoint = running.endpoint
        self.client, self.streams = connect(running.endpoint), connect(running.endpoint, service="dynamodbstreams")

    def pass_by(self, seconds):
        """Moves the clock on."""
        status, answer = advance(self.endpoint, {"Seconds": seconds})
        assert status == 200, answer
        return answer["Time"]

    def make(self, name, **more):
        """A table; the ARN of its stream, if it has one."""
        return self.client.create_table(**{**create(name, "pk:S").body, **more})["TableDescription"].get("LatestStreamArn")


@pytest.fixture
def timed(own_server):
    """A server in memory whose clock can be moved."""
    return Timed(own_server("--in-memory", "--test-clock"))


def eventually(condition, seconds=10):
    """Waits until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.02)


def test_the_clock_moves_by_what_is_asked(timed):
    before = timed.pass_by(0)
    assert abs(before - time.time()) < 5
    assert 0 <= timed.pass_by(HOUR) - before - HOUR < 5
    timed.make("Later")
    created = timed.client.describe_table(TableName="Later")["Table"]["CreationDateTime"].timestamp()
    assert created > time.time() + HOUR - 5
    for wrong in ({}, {"Seconds": -1}, {"Seconds": "1"}, {"Seconds": 1, "Hours": 1}, {"Seconds": 10**12}):
        status, answer = advance(timed.endpoint, wrong)
        assert (status, answer["__type"].split("#")[1]) == (400, "ValidationException"), wrong


def test_without_the_switch_there_is_no_such_operation(server):
    status, answer = advance(server.endpoint, {"Seconds": 1})
    assert (status, answer["__type"].split("#")[1]) == (400, "UnknownOperationException")


def test_a_clock_for_tests_is_for_this_machine_alone(tmp_path):
    outcome = subprocess.run([BINARY, "serve", "--in-memory", "--test-clock", "--listen", "0.0.0.0:0",
        "--allow-unauthenticated-network-access"], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert outcome.returncode == 1 and "clock for tests" in outcome.stderr, outcome


def test_shard_iterators_expire_after_15_minutes(timed):
    arn = timed.make("Timed", **STREAMING)
    timed.client.put_item(TableName="Timed", Item={"pk": S("a")})
    (shard,) = shards_of(timed.streams, arn)
    start = iterator(timed.streams, arn, shard)
    timed.pass_by(14 * MINUTE)
    following = timed.streams.get_records(ShardIterator=start)["NextShardIterator"]
    timed.pass_by(2 * MINUTE)
    with refused("ExpiredIteratorException"):
        timed.streams.get_records(ShardIterator=start)
    # The next one is as old as its own answer.
    assert timed.streams.get_records(ShardIterator=following)["Records"] == []


def test_records_are_trimmed_after_24_hours(timed):
    arn = timed.make("Timed", **STREAMING)
    for number in range(2):
        timed.client.put_item(TableName="Timed", Item={"pk": S("old"), "n": N(number)})
    oldest, _ = records_of(timed.streams, arn)
    (first,) = shards_of(timed.streams, arn)
    timed.pass_by(23 * HOUR)
    timed.client.put_item(TableName="Timed", Item={"pk": S("new")})
    assert {record["dynamodb"]["Keys"]["pk"]["S"] for record in records_of(timed.streams, arn)} == {"old", "new"}
    timed.pass_by(HOUR + MINUTE)
    eventually(lambda: [record["dynamodb"]["Keys"]["pk"]["S"] for record in records_of(timed.streams, arn)] == ["new"])
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        with refused("TrimmedDataAccessException"):
            iterator(timed.streams, arn, first, kind, SequenceNumber=oldest["dynamodb"]["SequenceNumber"])


def test_client_tokens_are_forgotten_after_ten_minutes(timed):
    timed.make("Timed")
    request = {"ClientRequestToken": "token", "TransactItems": [{"Update": {"TableName": "Timed", "Key": {"pk": S("a")},
        "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": N(1)}}}]}
    number = lambda: timed.client.get_item(TableName="Timed", Key={"pk": S("a")}, ConsistentRead=True)["Item"]["n"]  # noqa: E731
    for wait, expected in ((0, 1), (9 * MINUTE, 1), (2 * MINUTE, 2), (0, 2)):
        timed.pass_by(wait)
        timed.client.transact_write_items(**request)
        assert number() == N(expected)
    with refused("IdempotentParameterMismatchException"):
        timed.client.transact_write_items(**{**request, "TransactItems": [{"Delete": {"TableName": "Timed", "Key": {"pk": S("a")}}}]})


def test_streams_that_ended_go_after_24_hours(timed):
    disabled, deleted = timed.make("Disabled", **STREAMING), timed.make("Deleted", **STREAMING)
    for table in ("Disabled", "Deleted"):
        timed.client.put_item(TableName=table, Item={"pk": S("a")})
    timed.client.update_table(TableName="Disabled", StreamSpecification={"StreamEnabled": False})
    timed.client.delete_table(TableName="Deleted")
    listed = lambda: {stream["StreamArn"] for stream in timed.streams.list_streams()["Streams"]}  # noqa: E731
    timed.pass_by(23 * HOUR)
    assert listed() == {disabled, deleted} and len(records_of(timed.streams, deleted)) == len(records_of(timed.streams, disabled)) == 1
    timed.pass_by(HOUR + MINUTE)
    eventually(lambda: not listed())
    for arn in (disabled, deleted):
        assert refusal(timed.streams.describe_stream, StreamArn=arn)[0] == "ResourceNotFoundException"


def test_items_expire_when_their_hour_has_come(timed):
    arn = timed.make("Timed", **STREAMING)
    timed.client.update_time_to_live(TableName="Timed", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    now = int(time.time())
    for key, hours in (("soon", 2), ("later", 30)):
        timed.client.put_item(TableName="Timed", Item={"pk": S(key), "expires": N(now + hours * HOUR)})
    keys = lambda: {item["pk"]["S"] for item in timed.client.scan(TableName="Timed")["Items"]}  # noqa: E731
    timed.pass_by(HOUR)
    # Written with the clock ahead, and expired by it.
    timed.client.put_item(TableName="Timed", Item={"pk": S("past"), "expires": N(now + HOUR // 2)})
    eventually(lambda: keys() == {"soon", "later"})
    timed.pass_by(HOUR)
    eventually(lambda: keys() == {"later"})
    removed = [record["userIdentity"]["Type"] for record in records_of(timed.streams, arn) if record["eventName"] == "REMOVE"]
    assert removed == ["Service", "Service"]
    timed.pass_by(28 * HOUR)
    eventually(lambda: keys() == set())


def test_time_to_live_changes_once_an_hour_where_limits_are_emulated(own_server):
    timed = Timed(own_server("--in-memory", "--test-clock", "--emulate-aws-limits"))
    timed.make("Timed")
    switch = lambda enabled: timed.client.update_time_to_live(TableName="Timed",  # noqa: E731
        TimeToLiveSpecification={"Enabled": enabled, "AttributeName": "expires"})
    switch(True)
    with refused("ValidationException", "TimeToLive is already enabled"):
        switch(True)
    with refused("ValidationException", "Time to live has been modified multiple times within a fixed interval"):
        switch(False)
    timed.pass_by(HOUR)
    switch(False)
    with refused("ValidationException", "Time to live has been modified multiple times within a fixed interval"):
        switch(True)
