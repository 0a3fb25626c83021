"""DynamoDB Streams: what a record says, where reading starts, shards and their lineage, streams that ended."""

import datetime
import itertools
import json
import random
import re
import threading
import time
import uuid

import pytest
from answers import N, S, every_item, refusal, refused
from botocore.exceptions import ClientError
from conftest import ENDPOINT, connect
from stream_reader import brief, in_lineage, iterator, pages, records_of, shards_of, wait_for_records

from differential.scenario import create
from differential.wire import Wire

INVALID = "ValidationException"
MISSING = "ResourceNotFoundException"
BOTH = "NEW_AND_OLD_IMAGES"
READABLE_WITHIN_SECONDS = 0.05
# The rebuild test: item changes asked for, the threads that ask, and the items that they share.
RANDOM_CHANGES = 100_000
WRITERS = 6
SHARED_KEYS = 4_000
SPLIT_WITHIN_SECONDS = 30


def streaming(view=BOTH):
    """The members of CreateTable and UpdateTable that switch a stream on."""
    return {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}}


def arn_of(client, table):
    """The ARN of a table's newest stream."""
    return client.describe_table(TableName=table)["Table"]["LatestStreamArn"]


def wait_until_active(client, table):
    """Returns when a table is no longer being changed."""
    deadline = time.monotonic() + 10
    while client.describe_table(TableName=table)["Table"]["TableStatus"] != "ACTIVE":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def switch(client, table, specification):
    """UpdateTable of a stream."""
    client.update_table(TableName=table, StreamSpecification=specification)
    wait_until_active(client, table)


@pytest.fixture
def stream(client, make_table):
    """Makes a table with a stream: its name and the stream's ARN."""

    def make(view=BOTH, keys="pk:S", **more):
        # A name of its own: streams of deleted tables stay in lists.
        table = make_table(keys, name=f"Stream-{uuid.uuid4()}", **streaming(view), **more)
        return table, arn_of(client, table)

    return make


# --- records ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view,old,new", [("KEYS_ONLY", False, False), ("NEW_IMAGE", False, True), ("OLD_IMAGE", True, False),
    (BOTH, True, True)])
def test_each_view_has_its_images(client, streams, stream, view, old, new):
    table, arn = stream(view, "pk:S sk:N")
    key, more = {"pk": S("a"), "sk": N(1)}, {"v": N(1), "m": {"M": {"x": {"L": [S("é"), {"BOOL": True}]}}}}
    client.put_item(TableName=table, Item={**key, **more})
    client.update_item(TableName=table, Key=key, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": N(2)})
    client.delete_item(TableName=table, Key=key)
    first, second = {**key, **more}, {**key, **more, "v": N(2)}
    records = wait_for_records(streams, arn, 3)
    assert [brief(record) for record in records] == [
        ("INSERT", key, None, first if new else None),
        ("MODIFY", key, first if old else None, second if new else None),
        ("REMOVE", key, second if old else None, None),
    ]
    assert {record["dynamodb"]["StreamViewType"] for record in records} == {view}
    assert streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamViewType"] == view


def test_a_record_has_all_its_members(client, streams, stream):
    table, arn = stream()
    before = time.time()
    client.put_item(TableName=table, Item={"pk": S("a"), "v": N(12)})
    record, = wait_for_records(streams, arn, 1)
    assert set(record) == {"eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb"}
    assert record["eventVersion"] == "1.1" and record["eventSource"] == "aws:dynamodb" and len(record["eventID"]) >= 32
    change = record["dynamodb"]
    assert set(change) == {"ApproximateCreationDateTime", "Keys", "NewImage", "SequenceNumber", "SizeBytes", "StreamViewType"}
    assert re.fullmatch(r"\d{21,40}", change["SequenceNumber"])
    # The key (pk and one byte) and the image (the same, and v with a number of two digits).
    assert change["SizeBytes"] == 3 + 3 + 3
    assert abs(change["ApproximateCreationDateTime"].timestamp() - before) < 90


@pytest.mark.dynamodb_local_differs("has a region of its own")
def test_a_record_names_its_region(client, streams, stream):
    table, arn = stream()
    client.put_item(TableName=table, Item={"pk": S("a")})
    assert [record["awsRegion"] for record in wait_for_records(streams, arn, 1)] == ["us-east-1"]
    assert arn.startswith("arn:aws:dynamodb:us-east-1:")


def test_writes_that_change_nothing_leave_no_record(client, streams, stream):
    table, arn = stream()
    item = {"pk": S("a"), "n": N("1.50"), "s": {"SS": ["a", "b"]}}
    client.put_item(TableName=table, Item=item)
    for same in (item, {**item, "n": N("1.5")}, {**item, "s": {"SS": ["b", "a"]}}):
        client.put_item(TableName=table, Item=same)
    client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression="SET n = :n REMOVE absent",
        ExpressionAttributeValues={":n": N("15E-1")})
    client.update_item(TableName=table, Key={"pk": S("a")})
    client.delete_item(TableName=table, Key={"pk": S("nobody")})
    client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item}}, {"DeleteRequest": {"Key": {"pk": S("nobody")}}}]})
    client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item}},
        {"Delete": {"TableName": table, "Key": {"pk": S("nobody")}}},
        {"ConditionCheck": {"TableName": table, "Key": {"pk": S("b")}, "ConditionExpression": "attribute_not_exists(pk)"}}])
    with refused("ConditionalCheckFailedException"):
        client.put_item(TableName=table, Item={"pk": S("a")}, ConditionExpression="attribute_not_exists(pk)")
    client.put_item(TableName=table, Item={"pk": S("end")})
    assert [(record["eventName"], record["dynamodb"]["Keys"]["pk"]["S"]) for record in wait_for_records(streams, arn, 2)] == [
        ("INSERT", "a"), ("INSERT", "end")]


def test_every_kind_of_write_leaves_its_records(client, streams, stream):
    table, arn = stream(gsi=[("ByG", "g:S", "ALL")])
    client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": {"pk": S(f"b{n}")}}} for n in range(3)]})
    client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": {"pk": S("t")}}},
        {"Update": {"TableName": table, "Key": {"pk": S("b0")}, "UpdateExpression": "SET g = :g",
        "ExpressionAttributeValues": {":g": S("x")}}},
        {"Delete": {"TableName": table, "Key": {"pk": S("b1")}}}])
    client.update_item(TableName=table, Key={"pk": S("u")}, UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": N(1)})
    client.execute_statement(Statement=f"INSERT INTO \"{table}\" VALUE {{'pk': 'q'}}")
    client.execute_statement(Statement=f"UPDATE \"{table}\" SET n = 1 WHERE pk = 'q'")
    client.execute_statement(Statement=f"DELETE FROM \"{table}\" WHERE pk = 'q'")
    by_item = {}
    for record in wait_for_records(streams, arn, 10):
        by_item.setdefault(record["dynamodb"]["Keys"]["pk"]["S"], []).append(record["eventName"])
    assert by_item == {"b0": ["INSERT", "MODIFY"], "b1": ["INSERT", "REMOVE"], "b2": ["INSERT"], "t": ["INSERT"], "u": ["INSERT"],
        "q": ["INSERT", "MODIFY", "REMOVE"]}


def test_a_record_is_readable_within_50_ms(client, streams, stream):
    table, arn = stream()
    at, delays = iterator(streams, arn, *shards_of(streams, arn), "LATEST"), []
    for number in range(60):
        client.put_item(TableName=table, Item={"pk": S("a"), "n": N(number)})
        began = time.monotonic()
        while True:
            page = streams.get_records(ShardIterator=at)
            at = page["NextShardIterator"]
            if page["Records"]:
                break
            assert time.monotonic() - began < 5
        delays.append(time.monotonic() - began)
        record, = page["Records"]
        assert record["dynamodb"]["NewImage"]["n"] == N(number)
    assert sorted(delays)[len(delays) * 9 // 10] < READABLE_WITHIN_SECONDS, delays


def test_sequence_numbers_increase_and_event_ids_differ(client, streams, stream):
    table, arn = stream()
    for number in range(40):
        client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": {"pk": S(f"k{n}"), "n": N(number)}}} for n in range(5)]})
    records = wait_for_records(streams, arn, 200)
    assert len(records) == len({record["eventID"] for record in records}) == 200
    numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in records]
    assert all(one < other for one, other in itertools.pairwise(numbers))


# --- where reading starts -----------------------------------------------------------------------------------------


@pytest.fixture
def five(client, streams, stream):
    """A stream of one shard with five records: its ARN, the shard's id, the records, and the table."""
    table, arn = stream()
    for number in range(5):
        client.put_item(TableName=table, Item={"pk": S("a"), "n": N(number)})
    shard, = shards_of(streams, arn)
    return arn, shard, wait_for_records(streams, arn, 5), table


def numbers_from(streams, start):
    """The `n` of all records from an iterator on."""
    return [int(record["dynamodb"]["NewImage"]["n"]["N"]) for page in pages(streams, start) for record in page]


def test_iterators_start_where_they_say(client, streams, five):
    arn, shard, records, table = five
    sequence = [record["dynamodb"]["SequenceNumber"] for record in records]
    assert numbers_from(streams, iterator(streams, arn, shard)) == [0, 1, 2, 3, 4]
    assert numbers_from(streams, iterator(streams, arn, shard, "AT_SEQUENCE_NUMBER", SequenceNumber=sequence[2])) == [2, 3, 4]
    assert numbers_from(streams, iterator(streams, arn, shard, "AFTER_SEQUENCE_NUMBER", SequenceNumber=sequence[2])) == [3, 4]
    assert numbers_from(streams, iterator(streams, arn, shard, "AFTER_SEQUENCE_NUMBER", SequenceNumber=sequence[4])) == []
    latest = iterator(streams, arn, shard, "LATEST")
    assert numbers_from(streams, latest) == []
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(5)})
    assert numbers_from(streams, latest) == [5]


@pytest.mark.dynamodb_local_differs("does not know the type")
def test_iterators_start_at_a_time(client, streams, five):
    arn, shard, _, table = five
    time.sleep(1.1)
    between = datetime.datetime.now(datetime.UTC)
    time.sleep(1.1)
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(5)})
    assert numbers_from(streams, iterator(streams, arn, shard, "AT_TIMESTAMP", Timestamp=between)) == [5]
    hour = datetime.timedelta(hours=1)
    assert numbers_from(streams, iterator(streams, arn, shard, "AT_TIMESTAMP", Timestamp=between - hour)) == [0, 1, 2, 3, 4, 5]
    assert refusal(iterator, streams=streams, arn=arn, shard=shard, kind="AT_TIMESTAMP", Timestamp=between + hour)[0] == INVALID


def test_pages_have_their_limit_and_repeat(client, streams, five):
    arn, shard, _, _ = five
    start = iterator(streams, arn, shard)
    first = streams.get_records(ShardIterator=start, Limit=2)
    assert [record["dynamodb"]["NewImage"]["n"]["N"] for record in first["Records"]] == ["0", "1"]
    assert streams.get_records(ShardIterator=start, Limit=2)["Records"] == first["Records"]
    assert numbers_from(streams, first["NextShardIterator"]) == [2, 3, 4]


def test_forged_iterators_are_refused(streams, five):
    arn, shard, _, _ = five
    good = iterator(streams, arn, shard)
    forged = ["x", "AAAA" * 50, good[:-8], good + "A", good[: len(good) // 2] + good[len(good) // 2 + 1 :], arn, f"{arn}|1|",
        f"{arn}|001|AAAA"]
    tail = good.rsplit("|", 1)[1] if "|" in good else good
    for at in range(0, len(tail), 5):
        changed = "B" if tail[at] != "B" else "C"
        forged.append(good[: len(good) - len(tail) + at] + changed + tail[at + 1 :])
    for each in forged:
        if ENDPOINT and each not in forged[:2]:
            continue
        with refused(INVALID, "Invalid ShardIterator"):
            streams.get_records(ShardIterator=each)


def test_an_iterator_does_not_open_another_stream(client, streams, five, stream):
    if ENDPOINT:
        pytest.skip("iterators of DynamoDB Local are not signed")
    arn, shard, _, _ = five
    other_table, other = stream()
    client.put_item(TableName=other_table, Item={"pk": S("secret")})
    swapped = iterator(streams, arn, shard).replace(arn, other)
    try:
        assert streams.get_records(ShardIterator=swapped)["Records"] == []
    except ClientError as error:
        assert error.response["Error"]["Code"] == INVALID
    with refused(MISSING):
        iterator(streams, other, shard)


def test_bad_requests_of_streams_are_refused(streams, five):
    arn, shard, records, _ = five
    sequence = records[0]["dynamodb"]["SequenceNumber"]
    nowhere = arn[:-3] + ("123" if not arn.endswith("123") else "321")
    assert refusal(streams.describe_stream, StreamArn=nowhere) == (MISSING, f"Requested resource not found: Stream: {nowhere} not found")
    assert refusal(streams.describe_stream, StreamArn="x" * 40)[0] == MISSING
    for parameters in ({"Limit": 0}, {"Limit": 101}, {"ExclusiveStartShardId": "x"}):
        assert refusal(streams.describe_stream, StreamArn=arn, **parameters)[0] == INVALID
    for parameters in ({"Limit": 0}, {"Limit": 101}):
        assert refusal(streams.list_streams, **parameters)[0] == INVALID
    for parameters in ({"Limit": 0}, {"Limit": 1001}):
        assert refusal(streams.get_records, ShardIterator=iterator(streams, arn, shard), **parameters)[0] == INVALID

    def ask(**parameters):
        return refusal(streams.get_shard_iterator, **{"StreamArn": arn, "ShardId": shard, **parameters})[0]

    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert ask(ShardIteratorType=kind) == INVALID
        for number in ("1", "9" * 41) if ENDPOINT else ("1", "x" * 22, "9" * 41):
            assert ask(ShardIteratorType=kind, SequenceNumber=number) == INVALID
    for kind in ("LATEST", "TRIM_HORIZON"):
        assert ask(ShardIteratorType=kind, SequenceNumber=sequence) == INVALID
    assert ask(ShardIteratorType="SOMEWHERE") == INVALID
    assert ask() == INVALID
    assert ask(ShardIteratorType="LATEST", ShardId="shardId-00000000000000000000-00000000") == MISSING
    assert ask(ShardIteratorType="LATEST", StreamArn=nowhere) == MISSING
    assert ask(ShardIteratorType="LATEST", ShardId="x") == MISSING if ENDPOINT else INVALID


@pytest.mark.dynamodb_local_differs("takes the smallest number")
def test_a_sequence_number_of_another_shard_is_refused_or_trimmed(streams, five):
    arn, shard, records, _ = five
    sequence = records[0]["dynamodb"]["SequenceNumber"]
    lower, higher = str(int(sequence) // 10**20).rjust(len(sequence), "0"), "9" * len(sequence)
    assert refusal(iterator, streams=streams, arn=arn, shard=shard, kind="AT_SEQUENCE_NUMBER", SequenceNumber=lower)[0] in (INVALID,
        "TrimmedDataAccessException")
    assert refusal(iterator, streams=streams, arn=arn, shard=shard, kind="AT_SEQUENCE_NUMBER", SequenceNumber=higher)[0] == INVALID


@pytest.mark.dynamodb_local_differs("does not know the type")
def test_a_time_goes_with_its_type_only(streams, five):
    arn, shard, records, _ = five
    now = datetime.datetime.now(datetime.UTC)
    for kind in ("LATEST", "TRIM_HORIZON"):
        assert refusal(iterator, streams=streams, arn=arn, shard=shard, kind=kind, Timestamp=now)[0] == INVALID
    assert refusal(iterator, streams=streams, arn=arn, shard=shard, kind="AT_TIMESTAMP")[0] == INVALID
    assert refusal(iterator, streams=streams, arn=arn, shard=shard, kind="AT_TIMESTAMP", Timestamp=now,
        SequenceNumber=records[0]["dynamodb"]["SequenceNumber"])[0] == INVALID


# --- lists, descriptions, states ----------------------------------------------------------------------------------


def test_a_stream_is_described_by_its_table_and_by_itself(client, streams, stream):
    table, arn = stream("KEYS_ONLY", "pk:S sk:N")
    described = client.describe_table(TableName=table)["Table"]
    assert described["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    label = described["LatestStreamLabel"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", label) and arn == f"{described['TableArn']}/stream/{label}"
    told = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert {name: told[name] for name in ("StreamArn", "StreamLabel", "TableName", "StreamStatus", "KeySchema")} == {"StreamArn": arn,
        "StreamLabel": label, "TableName": table, "StreamStatus": "ENABLED", "KeySchema": described["KeySchema"]}
    shard, = told["Shards"]
    assert 28 <= len(shard["ShardId"]) <= 65 and "ParentShardId" not in shard
    assert set(shard["SequenceNumberRange"]) == {"StartingSequenceNumber"}


def test_tables_without_a_stream_have_none(client, streams, make_table):
    table = make_table(name=f"Streamless-{uuid.uuid4()}")
    assert "LatestStreamArn" not in client.describe_table(TableName=table)["Table"]
    assert streams.list_streams(TableName=table)["Streams"] == []
    assert streams.list_streams(TableName="NoSuchTable")["Streams"] == []


def test_streams_are_listed_in_pages(streams, stream):
    made = dict(stream() for _ in range(5))
    seen, more = {}, {}
    while True:
        page = streams.list_streams(Limit=2, **more)
        assert len(page["Streams"]) <= 2
        for each in page["Streams"]:
            assert set(each) == {"StreamArn", "TableName", "StreamLabel"} and each["StreamArn"] not in seen
            seen[each["StreamArn"]] = each["TableName"]
        if "LastEvaluatedStreamArn" not in page:
            break
        more = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}
    assert {seen.get(arn) for arn in made.values()} == set(made)
    for table, arn in made.items():
        assert [each["StreamArn"] for each in streams.list_streams(TableName=table)["Streams"]] == [arn]


def test_a_disabled_stream_stays_readable_and_a_new_one_begins(client, streams, stream):
    table, arn = stream()
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(1)})
    live = iterator(streams, arn, *shards_of(streams, arn))
    switch(client, table, {"StreamEnabled": False})
    described = client.describe_table(TableName=table)["Table"]
    assert "StreamSpecification" not in described
    client.put_item(TableName=table, Item={"pk": S("unseen")})
    told = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert told["StreamStatus"] == "DISABLED"
    shard, = told["Shards"]
    assert set(shard["SequenceNumberRange"]) == {"StartingSequenceNumber", "EndingSequenceNumber"}
    # A closed shard ends: its last page has no next iterator.
    page = streams.get_records(ShardIterator=live)
    while page.get("NextShardIterator") and not page["Records"]:
        page = streams.get_records(ShardIterator=page["NextShardIterator"])
    assert [record["dynamodb"]["NewImage"]["n"] for record in page["Records"]] == [N(1)]
    if "NextShardIterator" in page:
        rest = streams.get_records(ShardIterator=page["NextShardIterator"])
        assert rest["Records"] == [] and "NextShardIterator" not in rest
    assert [record["dynamodb"]["Keys"]["pk"]["S"] for record in records_of(streams, arn)] == ["a"]

    time.sleep(0.01)
    switch(client, table, streaming("KEYS_ONLY")["StreamSpecification"])
    second = arn_of(client, table)
    assert second != arn
    client.put_item(TableName=table, Item={"pk": S("b")})
    assert [record["dynamodb"]["Keys"]["pk"]["S"] for record in wait_for_records(streams, second, 1)] == ["b"]
    assert [record["dynamodb"]["Keys"]["pk"]["S"] for record in records_of(streams, arn)] == ["a"]
    assert {each["StreamArn"] for each in streams.list_streams(TableName=table)["Streams"]} == {arn, second}
    assert not set(shards_of(streams, arn)) & set(shards_of(streams, second))


def test_switching_streams_has_its_errors(client, stream, make_table):
    table, _ = stream()
    for specification in ({"StreamEnabled": True, "StreamViewType": BOTH}, {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
            {"StreamEnabled": True}, {"StreamEnabled": False, "StreamViewType": BOTH}, {"StreamEnabled": True, "StreamViewType": "ALL"}):
        assert refusal(client.update_table, TableName=table, StreamSpecification=specification)[0] == INVALID, specification
    plain = make_table()
    assert refusal(client.update_table, TableName=plain, StreamSpecification={"StreamEnabled": False})[0] == INVALID


def test_the_stream_of_a_deleted_table_stays_readable(client, streams, stream):
    table, arn = stream()
    client.put_item(TableName=table, Item={"pk": S("a")})
    client.delete_table(TableName=table)
    client.get_waiter("table_not_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    # The deletion of the table is not a deletion of its items.
    assert [record["eventName"] for record in records_of(streams, arn)] == ["INSERT"]
    assert streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLED"
    client.create_table(**create(table, "pk:S", **streaming()).body)
    second = arn_of(client, table)
    assert second != arn and records_of(streams, second) == []
    assert [record["dynamodb"]["Keys"]["pk"]["S"] for record in records_of(streams, arn)] == ["a"]
    client.delete_table(TableName=table)


def test_records_and_positions_survive_kill_9(own_server):
    running = own_server()
    client, streams = connect(running.endpoint), connect(running.endpoint, service="dynamodbstreams")
    client.create_table(**create("Kept", "pk:S", **streaming()).body)
    arn = arn_of(client, "Kept")
    for number in range(20):
        client.put_item(TableName="Kept", Item={"pk": S(f"k{number}"), "n": N(number)})
    before = records_of(streams, arn)
    shard, = shards_of(streams, arn)
    middle = streams.get_records(ShardIterator=iterator(streams, arn, shard), Limit=10)["NextShardIterator"]
    running.restart("kill")
    assert records_of(streams, arn) == before
    assert numbers_from(streams, middle) == list(range(10, 20))
    client.put_item(TableName="Kept", Item={"pk": S("after"), "n": N(20)})
    after = records_of(streams, arn)
    assert after[:20] == before and len(after) == 21
    assert int(after[20]["dynamodb"]["SequenceNumber"]) > int(after[19]["dynamodb"]["SequenceNumber"])


# --- rebuilding a table from its stream ---------------------------------------------------------------------------


class Stream:
    """DynamoDB Streams over raw HTTP, many times faster than through an SDK."""

    def __init__(self, endpoint):
        self.wire = Wire(endpoint)

    def call(self, operation, **body):
        """One request that must succeed."""
        answer = self.wire.call(operation, body, {"X-Amz-Target": f"DynamoDBStreams_20120810.{operation}"})
        assert answer.status == 200, answer.body
        return answer.body


class Consumer:
    """Rebuilds a table from its stream while the stream grows, as Kinesis consumers do: a shard is begun when its parent
    has been read to its end. Checks on the way that each record follows from what the ones before it said."""

    def __init__(self, endpoint, arn):
        self.stream, self.arn = Stream(endpoint), arn
        self.items, self.records, self.shards, self.finished, self.open = {}, 0, {}, set(), {}
        self.events, self.last = set(), {}

    def look_for_shards(self):
        """Begins every shard whose parent is done."""
        more = {}
        while True:
            told = self.stream.call("DescribeStream", StreamArn=self.arn, **more)["StreamDescription"]
            self.shards.update((shard["ShardId"], shard) for shard in told["Shards"])
            if "LastEvaluatedShardId" not in told:
                break
            more = {"ExclusiveStartShardId": told["LastEvaluatedShardId"]}
        for name, shard in self.shards.items():
            parent = shard.get("ParentShardId")
            if name not in self.finished and name not in self.open and (parent not in self.shards or parent in self.finished):
                self.open[name] = self.stream.call("GetShardIterator", StreamArn=self.arn, ShardId=name,
                    ShardIteratorType="TRIM_HORIZON")["ShardIterator"]

    def read(self):
        """One page of every open shard; the number of records read."""
        count, ended = 0, False
        for name, at in list(self.open.items()):
            page = self.stream.call("GetRecords", ShardIterator=at)
            for record in page["Records"]:
                self.apply(name, record)
            count += len(page["Records"])
            if "NextShardIterator" in page:
                self.open[name] = page["NextShardIterator"]
            else:
                del self.open[name]
                self.finished.add(name)
                ended = True
        if ended:
            self.look_for_shards()
        self.records += count
        return count

    def apply(self, shard, record):
        """Takes over one change."""
        change, event = record["dynamodb"], record["eventName"]
        key, number = text(change["Keys"]), int(change["SequenceNumber"])
        assert number > self.last.get(shard, -1) and number > self.last.get(key, -1), "sequence numbers go back"
        self.last[shard] = self.last[key] = number
        assert record["eventID"] not in self.events
        self.events.add(record["eventID"])
        old, new = change.get("OldImage"), change.get("NewImage")
        assert (event, old is None, new is None) in (("INSERT", True, False), ("MODIFY", False, False), ("REMOVE", False, True))
        assert self.items.get(key) == (old and text(old)), f"{event} of {key} does not follow from the records before"
        assert old != new
        if new is None:
            del self.items[key]
        else:
            self.items[key] = text(new)


def text(value):
    """JSON bytes with the members of maps in order."""
    return json.dumps(value, sort_keys=True)


class Writer:
    """Sends a share of the random changes: batches, transactions and single writes to items that all writers share."""

    def __init__(self, endpoint, seed, count):
        self.wire, self.choice, self.count = Wire(endpoint), random.Random(seed), count
        self.conflicts, self.failure = 0, None

    def run(self):
        """Sends everything."""
        try:
            while self.count > 0:
                kind = self.choice.random()
                self.count -= self.batch() if kind < 0.5 else self.transaction() if kind < 0.6 else self.single()
        except BaseException as error:  # noqa: BLE001  (told by the test)
            self.failure = error

    def call(self, operation, body):
        """One request; a conflict of transactions is an answer too."""
        answer = self.wire.call(operation, body)
        if answer.status != 200 and "TransactionConflict" in str(answer.body):
            self.conflicts += 1
            return
        assert answer.status == 200, answer.body
        assert not answer.body.get("UnprocessedItems")

    def keys(self, count):
        """Distinct keys."""
        return [{"pk": S(f"p{n % 500}"), "sk": N(n // 500)} for n in self.choice.sample(range(SHARED_KEYS), count)]

    def item(self, key):
        """An item with some of everything."""
        choice = self.choice
        found = {**key, "n": N(choice.randrange(10**6)), "text": S("x" * choice.randrange(60) + "é")}
        if choice.random() < 0.5:
            found["g"] = S(f"g{choice.randrange(20)}")
        if choice.random() < 0.3:
            found["map"] = {"M": {"list": {"L": [N(choice.randrange(9)), {"NULL": True}, {"B": "AAEC"}]}, "set": {"NS": ["1", "2.5"]}}}
        return found

    def batch(self):
        """25 puts and deletes."""
        requests = [{"DeleteRequest": {"Key": key}} if self.choice.random() < 0.3 else {"PutRequest": {"Item": self.item(key)}}
            for key in self.keys(25)]
        self.call("BatchWriteItem", {"RequestItems": {"Rebuilt": requests}})
        return 25

    def transaction(self):
        """Ten actions at once."""
        def action(key):
            kind = self.choice.random()
            if kind < 0.4:
                return {"Put": {"TableName": "Rebuilt", "Item": self.item(key)}}
            if kind < 0.6:
                return {"Delete": {"TableName": "Rebuilt", "Key": key}}
            return {"Update": {"TableName": "Rebuilt", "Key": key, **self.change()}}

        self.call("TransactWriteItems", {"TransactItems": [action(key) for key in self.keys(10)]})
        return 10

    def change(self):
        """An update expression with its values."""
        return {"UpdateExpression": "ADD hits :one SET changed = :c REMOVE g", "ExpressionAttributeValues": {":one": N(1),
            ":c": S(str(self.choice.randrange(3)))}}

    def single(self):
        """One update or delete."""
        key, = self.keys(1)
        if self.choice.random() < 0.8:
            self.call("UpdateItem", {"TableName": "Rebuilt", "Key": key, **self.change()})
        else:
            self.call("DeleteItem", {"TableName": "Rebuilt", "Key": key})
        return 1


def check_lineage(streams, arn):
    """A shard that was split has children that begin where it ends; pages and filters tell the same."""
    shards = shards_of(streams, arn)
    assert len(shards) > 1 and shards_of(streams, arn, Limit=1) == shards
    parents = {shard.get("ParentShardId") for shard in shards.values()} - {None}
    assert parents and parents < set(shards)
    for name, shard in shards.items():
        ends = "EndingSequenceNumber" in shard["SequenceNumberRange"]
        assert ends == (name in parents) and 28 <= len(name) <= 65
        children = {child: each for child, each in shards.items() if each.get("ParentShardId") == name}
        told = streams.describe_stream(StreamArn=arn, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": name})["StreamDescription"]["Shards"]
        assert {each["ShardId"] for each in told} == set(children) and len(children) in ((1, 2) if ends else (0,))
        for child in children.values():
            begins = int(child["SequenceNumberRange"]["StartingSequenceNumber"])
            assert begins > int(shard["SequenceNumberRange"]["EndingSequenceNumber"]) >= int(shard["SequenceNumberRange"]["StartingSequenceNumber"])


def test_a_consumer_rebuilds_the_table_from_its_stream(own_server):
    running = own_server()
    client = connect(running.endpoint)
    client.create_table(**create("Rebuilt", "pk:S sk:N", gsi=[("ByG", "g:S", "KEYS_ONLY")], **streaming()).body)
    consumer = Consumer(running.endpoint, arn_of(client, "Rebuilt"))
    consumer.look_for_shards()
    writers = [Writer(running.endpoint, seed, RANDOM_CHANGES // WRITERS) for seed in range(WRITERS)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if consumer.read() < 1000:
            time.sleep(0.05)
    for thread in threads:
        thread.join()
    # A busy shard is split sooner or later; on a fast machine the changes may be over before.
    deadline = time.monotonic() + SPLIT_WITHIN_SECONDS
    while len(consumer.shards) == 1 and time.monotonic() < deadline:
        writers.append(Writer(running.endpoint, len(writers), 2000))
        writers[-1].run()
        consumer.read()
        consumer.look_for_shards()
    assert not [writer.failure for writer in writers if writer.failure]
    consumer.look_for_shards()
    while consumer.read():
        pass

    table = {}
    for item in every_item(client.scan, TableName="Rebuilt", ConsistentRead=True):
        raw = json.loads(json.dumps(item, default=lambda value: "AAEC" if value == b"\0\1\2" else None))
        table[text({"pk": item["pk"], "sk": item["sk"]})] = text(raw)
    assert consumer.items == table
    assert consumer.records > RANDOM_CHANGES * 0.5
    # A second reading, after the fact and in the order of lineage, gives the same.
    again = Consumer(running.endpoint, consumer.arn)
    again.look_for_shards()
    while again.read():
        pass
    assert (again.items, again.records, again.events) == (table, consumer.records, consumer.events)
    check_lineage(connect(running.endpoint, service="dynamodbstreams"), consumer.arn)
    shards = in_lineage(again.shards)
    print(f"{consumer.records} records in {len(shards)} shards; {sum(writer.conflicts for writer in writers)} conflicts")
