"""Indexes added to and removed from live tables: states, backfill under load and over a crash, what is skipped."""

import contextlib
import json
import random
import threading
import time

import pytest
from answers import N, S, refusal, refused
from botocore.exceptions import BotoCoreError, ClientError
from bulk import count, load, scan
from conftest import ENDPOINT, connect

from differential.scenario import create
from differential.wire import Wire

INVALID = "ValidationException"
ITEMS = 30_000
WRITERS = 5
BUSY_ITEMS = 60_000
ACTIVE_WITHIN_SECONDS = 10 if ENDPOINT else 60


def adding(table, index, key, projection="ALL", types="S"):
    """UpdateTable that adds an index. `key` lists the key attributes, `types` their types."""
    names = key.split()
    shape = {"ProjectionType": projection} if isinstance(projection, str) else {"ProjectionType": "INCLUDE",
        "NonKeyAttributes": list(projection)}
    return {"TableName": table, "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name,
        kind in zip(names, types)],
        "GlobalSecondaryIndexUpdates": [{"Create": {"IndexName": index, "Projection": shape, "KeySchema": [
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"))]}}]}


def dropping(table, index):
    """UpdateTable that removes an index."""
    return {"TableName": table, "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": index}}]}


def indexes(client, table):
    """The table's global indexes by name."""
    return {index["IndexName"]: index for index in client.describe_table(TableName=table)["Table"].get("GlobalSecondaryIndexes", [])}


def wait_until(condition, seconds=ACTIVE_WITHIN_SECONDS, pause=0.02):
    """Waits until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(pause)


def wait_until_active(client, table, index):
    """Waits until an index can be used; the (status, backfilling) pairs seen on the way."""
    seen = []

    def active():
        told = indexes(client, table)[index]
        if (state := (told["IndexStatus"], told.get("Backfilling"))) not in seen:
            seen.append(state)
        return told["IndexStatus"] == "ACTIVE"

    wait_until(active)
    wait_until(lambda: client.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE")
    return seen


@contextlib.contextmanager
def build(endpoint, addition):
    """Adds an index and goes on while it is being built; fails when it never was."""
    client = connect(endpoint)
    name, = (change["Create"]["IndexName"] for change in addition["GlobalSecondaryIndexUpdates"])

    def add():
        with contextlib.suppress(BotoCoreError, ClientError, OSError):
            connect(endpoint).update_table(**addition)

    adder = threading.Thread(target=add)
    adder.start()
    wait_until(lambda: name in indexes(client, addition["TableName"]), 10, 0)
    told = indexes(client, addition["TableName"])[name]
    assert told["IndexStatus"] == "CREATING" and told["Backfilling"] in (True, False), "the table is too small for this test"
    yield
    adder.join()


def contents(items, names=None):
    """Items as comparable text, each with only the attributes `names`."""
    return sorted(json.dumps({name: value for name, value in item.items() if names is None or name in names}, sort_keys=True)
        for item in items)


def item(number, choice):
    """An item that may be in the index, or lack its key, or have a key of the wrong type or size."""
    found = {"pk": S(f"p{number}"), "v": N(choice.randrange(10**6)), "pad": S("x" * choice.randrange(80))}
    kind = choice.random()
    if kind < 0.7:
        found["g"], found["r"] = S(f"g{choice.randrange(50)}"), N(choice.randrange(1000))
    elif kind < 0.8:
        found["g"] = S(f"g{choice.randrange(50)}")
    elif kind < 0.85:
        found["r"] = N(choice.randrange(1000))
    return found


def odd(number):
    """An item whose index key cannot be indexed."""
    wrong = ({"g": N(1), "r": N(1)}, {"g": S("g1"), "r": S("1")}, {"g": S(""), "r": N(1)}, {"g": {"L": []}, "r": N(1)},
        {"g": S("x" * 2049), "r": N(1)}, {"g": {"NULL": True}, "r": N(1)})
    return {"pk": S(f"odd{number}"), **wrong[number % len(wrong)]}


def belongs(found):
    """Whether an item is to be in the index."""
    group, rank = found.get("g", {}), found.get("r", {})
    return 0 < len(group.get("S", "").encode()) <= 2048 and "N" in rank


class Writer:
    """Puts, updates, deletes and batches until stopped, items of all writers overlapping; crashes of the server are sat out."""

    def __init__(self, endpoint, seed, stop):
        self.wire, self.choice, self.stop = Wire(endpoint), random.Random(seed), stop
        self.writes, self.failure = 0, None

    def run(self):
        """Works until stopped."""
        while not self.stop.is_set():
            try:
                operation, body = self.request()
                answer = self.wire.call(operation, body)
            except OSError:
                time.sleep(0.05)
                continue
            except BaseException as error:  # noqa: BLE001  (told by the test)
                self.failure = error
                return
            if answer.status == 200:
                self.writes += 1
            elif answer.status < 500:
                self.failure = AssertionError(operation, body, answer.body)
                return

    def request(self):
        """The next write."""
        choice = self.choice
        number, kind = choice.randrange(ITEMS + 2000), choice.random()
        key = {"pk": S(f"p{number}")}
        if kind < 0.3:
            return "PutItem", {"TableName": "Live", "Item": item(number, choice)}
        if kind < 0.4:
            return "BatchWriteItem", {"RequestItems": {"Live": [{"PutRequest": {"Item": item(n, choice)}} if choice.random() < 0.7 else
                {"DeleteRequest": {"Key": {"pk": S(f"p{n}")}}} for n in choice.sample(range(ITEMS), 10)]}}
        if kind < 0.6:
            return "DeleteItem", {"TableName": "Live", "Key": key}
        if kind < 0.8:
            return "UpdateItem", {"TableName": "Live", "Key": key, "UpdateExpression": "SET g = :g, r = :r, v = :v",
                "ExpressionAttributeValues": {":g": S(f"g{choice.randrange(50)}"), ":r": N(choice.randrange(1000)), ":v": N(1)}}
        if kind < 0.9:
            return "UpdateItem", {"TableName": "Live", "Key": key, "UpdateExpression": "REMOVE g"}
        return "UpdateItem", {"TableName": "Live", "Key": key, "UpdateExpression": "ADD v :v", "ExpressionAttributeValues": {":v": N(1)}}


@pytest.mark.parametrize("projection,crash", [("ALL", False), ("KEYS_ONLY", True)], ids=["undisturbed", "with kill -9"])
def test_an_index_added_under_load_is_exact(own_server, projection, crash):
    running = own_server()
    client = connect(running.endpoint)
    client.create_table(**create("Live", "pk:S").body)
    choice = random.Random(1)
    load(running.endpoint, "Live", [item(number, choice) for number in range(ITEMS)] + [odd(number) for number in range(60)])
    stop = threading.Event()
    writers = [Writer(running.endpoint, seed, stop) for seed in range(WRITERS)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    if crash:
        with build(running.endpoint, adding("Live", "Added", "g r", projection, "SN")):
            running.restart("kill")
    else:
        told = client.update_table(**adding("Live", "Added", "g r", projection, "SN"))["TableDescription"]
        added, = told["GlobalSecondaryIndexes"]
        assert told["TableStatus"] == "UPDATING" and (added["IndexName"], added["IndexStatus"]) == ("Added", "CREATING")
    seen = wait_until_active(client, "Live", "Added")
    if not crash:
        assert set(seen) <= {("CREATING", False), ("CREATING", True), ("ACTIVE", None)} and seen[-1] == ("ACTIVE", None)
    during = sum(writer.writes for writer in writers)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert not [writer.failure for writer in writers if writer.failure]
    assert during > 100

    table = scan(running.endpoint, "Live", ConsistentRead=True)
    index = scan(running.endpoint, "Live", IndexName="Added")
    names = None if projection == "ALL" else {"pk", "g", "r"}
    assert contents(index) == contents(filter(belongs, table), names)
    assert len(index) > ITEMS // 4 and sum(each["pk"]["S"].startswith("odd") for each in table) == 60
    # In order and by key, too.
    for group in ("g7", "g33"):
        asked = client.query(TableName="Live", IndexName="Added", KeyConditionExpression="g = :g",
            ExpressionAttributeValues={":g": S(group)})
        ranks = [int(each["r"]["N"]) for each in asked["Items"]]
        assert ranks == sorted(ranks)
        assert len(ranks) == sum(belongs(each) and each["g"] == S(group) for each in table)


def test_the_states_of_an_index_that_comes_and_goes(client, make_table):
    table = make_table("pk:S", gsi=[("First", "f:S", "ALL")])
    for n in range(50):
        client.put_item(TableName=table, Item={"pk": S(f"k{n}"), "f": S("f"), "g": S("g"), "r": N(n), "some": S("s"), "rest": S("r")})
    client.update_table(**adding(table, "Second", "g r", ("some",), "SN"))
    wait_until_active(client, table, "Second")
    second = indexes(client, table)["Second"]
    assert second["KeySchema"] == [{"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "r", "KeyType": "RANGE"}]
    assert second["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["some"]} and "Backfilling" not in second
    defined = {each["AttributeName"] for each in client.describe_table(TableName=table)["Table"]["AttributeDefinitions"]}
    assert defined == {"pk", "f", "g", "r"}
    found = client.query(TableName=table, IndexName="Second", KeyConditionExpression="g = :g AND r >= :r", ScanIndexForward=False,
        ExpressionAttributeValues={":g": S("g"), ":r": N(45)})["Items"]
    assert found == [{"pk": S(f"k{n}"), "g": S("g"), "r": N(n), "some": S("s")} for n in range(49, 44, -1)]

    told = client.update_table(**dropping(table, "Second"))["TableDescription"]
    assert {index["IndexName"]: index["IndexStatus"] for index in told["GlobalSecondaryIndexes"]} == {"First": "ACTIVE",
        "Second": "DELETING"}
    wait_until(lambda: set(indexes(client, table)) == {"First"})
    wait_until(lambda: client.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE")
    assert refusal(client.query, TableName=table, IndexName="Second", KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": S("g")})[0] == INVALID
    defined = {each["AttributeName"] for each in client.describe_table(TableName=table)["Table"]["AttributeDefinitions"]}
    assert defined == {"pk", "f"}
    # What was its key is an attribute like any other again.
    client.put_item(TableName=table, Item={"pk": S("free"), "f": S("f"), "g": N(1)})
    assert client.scan(TableName=table, IndexName="First")["Count"] == 51

    # The same name with another key is another index.
    client.update_table(**adding(table, "Second", "rest", "KEYS_ONLY"))
    wait_until_active(client, table, "Second")
    found = client.scan(TableName=table, IndexName="Second")["Items"]
    assert len(found) == 50 and set(found[0]) == {"pk", "rest"}


def test_waiters_do_not_wait_for_long(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "g": S("g")})
    began = time.monotonic()
    client.update_table(**adding(table, "Soon", "g"))
    client.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    wait_until_active(client, table, "Soon")
    assert time.monotonic() - began < 5


@pytest.mark.dynamodb_local_differs("never finishes such an index")
def test_items_that_cannot_be_indexed_are_skipped_and_later_refused(client, make_table):
    table = make_table()
    for number in range(12):
        client.put_item(TableName=table, Item=odd(number))
    client.put_item(TableName=table, Item={"pk": S("good"), "g": S("g"), "r": N(1)})
    client.update_table(**adding(table, "Strict", "g r", "ALL", "SN"))
    wait_until_active(client, table, "Strict")
    assert [each["pk"] for each in client.scan(TableName=table, IndexName="Strict")["Items"]] == [S("good")]
    assert client.scan(TableName=table)["Count"] == 13
    for number in range(6):
        with refused(INVALID):
            client.put_item(TableName=table, Item={**odd(number), "pk": S("new")})
    # An item that was skipped can still be changed elsewhere, and comes in when its key is set right.
    client.update_item(TableName=table, Key={"pk": S("odd0")}, UpdateExpression="SET g = :g", ExpressionAttributeValues={":g": S("g")})
    client.delete_item(TableName=table, Key={"pk": S("odd1")})
    assert {each["pk"]["S"] for each in client.scan(TableName=table, IndexName="Strict")["Items"]} == {"good", "odd0"}


def test_changes_one_at_a_time(client, make_table):
    table = make_table("pk:S", gsi=[("One", "a:S", "ALL"), ("Two", "b:S", "ALL")])
    both = adding(table, "Three", "c")
    both["AttributeDefinitions"].append({"AttributeName": "d", "AttributeType": "S"})
    both["GlobalSecondaryIndexUpdates"] += adding(table, "Four", "d")["GlobalSecondaryIndexUpdates"]
    assert refusal(client.update_table, **both)[0] == "LimitExceededException"
    for wrong in (adding(table, "One", "c"), {**adding(table, "New", "c"), "AttributeDefinitions": []}, {**dropping(table, "One"),
            "GlobalSecondaryIndexUpdates": [*dropping(table, "One")["GlobalSecondaryIndexUpdates"]] * 2}, adding(table, "x", "c"),
            adding(table, "Types", "c", types="L"), {"TableName": table, "GlobalSecondaryIndexUpdates": []}, {"TableName": table}):
        assert refusal(client.update_table, **wrong)[0] == INVALID, wrong
    assert refusal(client.update_table, **dropping(table, "Nope"))[0] == "ResourceNotFoundException"
    assert set(indexes(client, table)) == {"One", "Two"}


def test_what_a_table_refuses_while_its_index_is_backfilled(own_server):
    """Managing Global Secondary Indexes, phases: no other index, no deletion of the table; throughput may change."""
    running = own_server("--in-memory")
    client = connect(running.endpoint)
    client.create_table(**create("Busy", "pk:S").body)
    load(running.endpoint, "Busy", [{"pk": S(f"k{n}"), "g": S("g"), "h": S("h")} for n in range(BUSY_ITEMS)])
    wrong = []
    for number, (change, codes) in enumerate([
        (lambda name: client.update_table(**adding("Busy", "Other", "h")), ("ResourceInUseException", "LimitExceededException")),
        (lambda name: client.query(TableName="Busy", IndexName=name, KeyConditionExpression="g = :g",
            ExpressionAttributeValues={":g": S("g")}), (INVALID, "ResourceNotFoundException")),
        (lambda name: client.delete_table(TableName="Busy"), ("ResourceInUseException",)),
    ]):
        name = f"Slow{number}"
        with build(running.endpoint, adding("Busy", name, "g", "KEYS_ONLY")):
            try:
                told = change(name)
                wrong.append((number, told.get("TableDescription", {}).get("TableStatus")))
            except ClientError as error:
                if error.response["Error"]["Code"] not in codes:
                    wrong.append((number, error))
        if number < 2:
            wait_until_active(client, "Busy", name)
            assert count(running.endpoint, "Busy", IndexName=name) == BUSY_ITEMS
    assert not wrong


def test_an_index_may_be_given_up_while_it_is_built(own_server):
    running = own_server("--in-memory")
    client = connect(running.endpoint)
    client.create_table(**create("Given", "pk:S").body)
    load(running.endpoint, "Given", [{"pk": S(f"k{n}"), "g": S("g")} for n in range(20_000)])
    with build(running.endpoint, adding("Given", "Slow", "g")):
        client.update_table(**dropping("Given", "Slow"))
    wait_until(lambda: not indexes(client, "Given"))
    wait_until(lambda: client.describe_table(TableName="Given")["Table"]["TableStatus"] == "ACTIVE")
    client.delete_table(TableName="Given")


def test_a_twenty_first_index_is_refused(client, make_table):
    table = make_table("pk:S", gsi=[(f"Index{n:02}", f"a{n}:S", "KEYS_ONLY") for n in range(20)])
    assert refusal(client.update_table, **adding(table, "Index20", "a20"))[0] in ("LimitExceededException", INVALID)
    assert len(indexes(client, table)) == 20
