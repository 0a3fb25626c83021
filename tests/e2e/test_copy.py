"""`partita copy`: tables move between DynamoDB Local and Partita in both directions and between two Partitas, while they
are written, through kill -9, and both sides are the same in the end."""

import base64
import json
import os
import random
import signal
import subprocess
import threading
import time
from decimal import Decimal

import pytest
from answers import N, S
from botocore.exceptions import ClientError
from bulk import load, scan
from conftest import ENDPOINT, connect
from partita_process import BINARY, Partita

from differential.servers import DynamoDBLocal

pytestmark = pytest.mark.skipif(bool(ENDPOINT), reason="starts servers of its own")
KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "the-secret-that-nobody-may-see"


@pytest.fixture(scope="module")
def local():
    """The endpoint of a DynamoDB Local."""
    with DynamoDBLocal() as running:
        yield running.endpoint


@pytest.fixture(scope="module")
def here():
    """The endpoint of a Partita."""
    with Partita("--in-memory") as running:
        yield running.endpoint


@pytest.fixture(scope="module")
def there():
    """The endpoint of another Partita."""
    with Partita("--in-memory") as running:
        yield running.endpoint


class Copy:
    """The command between two endpoints, with a state file of its own."""

    def __init__(self, directory, source, target):
        directory.mkdir(exist_ok=True)
        self.state = directory / "state.json"
        self.arguments = [str(BINARY), "copy", "--from", source, "--to", target, "--state", str(self.state)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PARTITA_"))}
        sides = {f"PARTITA_{side}_{name}": value for side in ("FROM", "TO")
                 for name, value in (("ACCESS_KEY_ID", KEY), ("SECRET_ACCESS_KEY", SECRET))}
        self.environment = {**clean, **sides, "HOME": str(directory)}

    def start(self, *arguments):
        """Starts it."""
        return subprocess.Popen([*self.arguments, *arguments], env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def run(self, *arguments, seconds=60):
        """Runs it to its end; exit code and output."""
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=seconds)
        assert SECRET not in out
        return process.returncode, out

    def killed(self, *arguments, after):
        """Starts it, and kills it with -9 when `after` says so."""
        process = self.start(*arguments)
        end = time.monotonic() + 30
        while not after() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()[0]
        process.kill()
        process.communicate()


def make(client, name, stream=True, count=1500, filling=0):
    """A table with indexes, tags, time to live and items, which have so many characters more."""
    more = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}} if stream else {}
    client.create_table(
        TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 40, "WriteCapacityUnits": 30},
        AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": kind} for attribute, kind in
                              (("pk", "S"), ("sk", "N"), ("rank", "S"), ("group", "S"))],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[{"IndexName": "by-rank", "Projection": {"ProjectionType": "KEYS_ONLY"}, "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "rank", "KeyType": "RANGE"}]}],
        GlobalSecondaryIndexes=[{"IndexName": "by-group", "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]},
                                 "KeySchema": [{"AttributeName": "group", "KeyType": "HASH"}],
                                 "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 8}}],
        Tags=[{"Key": "team", "Value": "storage"}], **more,
    )
    client.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    encoded = lambda bytes: base64.b64encode(bytes).decode()
    load(client.meta.endpoint_url, name, (item(n, filling=filling, binary=encoded) for n in range(count)))


def item(n, value=0, filling=0, binary=bytes):
    """An item with all kinds of attributes; `binary` makes bytes what the way they go takes."""
    made = {"pk": S(f"p{n % 50}"), "sk": N(n), "n": N(value), "ttl": N(4000000000), "filling": S("x" * (n % 300 + filling)),
            "list": {"L": [S("a"), N("1.50"), {"NULL": True}, {"BOOL": False}]}, "map": {"M": {"b": {"B": binary(b"\x00\xff")}}},
            "numbers": {"NS": ["3", "1", "2.25"]}, "words": {"SS": ["b", "a"]}, "bytes": {"BS": [binary(b"2"), binary(b"1")]}}
    return {**made, **({"group": S(f"g{n % 9}")} if n % 3 else {}), **({"rank": S(str(n % 5))} if n % 2 else {})}


def contents(endpoint, table):
    """All items, in an order and form of their own."""
    def plain(value):
        (kind, inner), = value.items()
        # DynamoDB Local keeps the zeros of numbers within lists and maps; DynamoDB and Partita do not.
        if kind == "N":
            return kind, Decimal(inner)
        if kind in ("SS", "NS", "BS"):
            return kind, tuple(sorted(map(Decimal, inner) if kind == "NS" else inner))
        if kind == "M":
            return kind, tuple(sorted((name, plain(each)) for name, each in inner.items()))
        return (kind, tuple(map(plain, inner))) if kind == "L" else (kind, inner)
    return sorted(tuple(sorted((name, plain(value)) for name, value in each.items())) for each in scan(endpoint, table))


class Writing:
    """Random changes of a table while something else happens."""

    def __init__(self, client, table, count):
        self.client, self.table, self.count = client, table, count
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.write)
        self.written = 0

    def write(self):
        chance = random.Random(5)
        while not self.stopping.is_set():
            n = chance.randrange(self.count + 300)
            if chance.random() < 0.3:
                self.client.delete_item(TableName=self.table, Key={"pk": S(f"p{n % 50}"), "sk": N(n)})
            else:
                self.client.put_item(TableName=self.table, Item=item(n, chance.randrange(10**6)))
            self.written += 1

    def until(self, count):
        """Waits for so many changes."""
        end = time.monotonic() + 60
        while self.written < count:
            assert self.thread.is_alive() and time.monotonic() < end, self.written
            time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def tags(client, table):
    """A table's tags; `None` where there are no tags, which is in DynamoDB Local."""
    try:
        return client.list_tags_of_resource(ResourceArn=client.describe_table(TableName=table)["Table"]["TableArn"])["Tags"]
    except ClientError as error:
        assert "not currently supported in DynamoDB Local" in str(error)
        return None


def check_same(source, target, table, new_name=None):
    """That both tables have the same items, definition, time to live and, where there are tags, tags."""
    there = new_name or table
    assert contents(source, table) == contents(target, there)
    ours, theirs = connect(source), connect(target)
    def shape(client, name):
        table = client.describe_table(TableName=name)["Table"]
        units = lambda of: {kind: of["ProvisionedThroughput"][kind] for kind in ("ReadCapacityUnits", "WriteCapacityUnits")}
        indexes = {index["IndexName"]: (index["KeySchema"], index["Projection"]) for index in
                   table.get("LocalSecondaryIndexes", []) + table.get("GlobalSecondaryIndexes", [])}
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["AttributeName"]
        return table["KeySchema"], units(table), indexes, units(table["GlobalSecondaryIndexes"][0]), ttl
    assert shape(ours, table) == shape(theirs, there)
    both = tags(ours, table), tags(theirs, there)
    assert both[0] == both[1] or None in both


def test_a_table_moves_in_from_dynamodb_local_while_it_is_written_through_kills(tmp_path, local, here):
    source = connect(local)
    make(source, "Inward")
    copy = Copy(tmp_path, local, here)
    slow = ("--table", "Inward", "--segments", "3", "--write-units", "1500")
    with Writing(source, "Inward", 1500) as writing:
        copy.killed(*slow, "--follow", after=lambda: copy.state.exists() and '"Items"' in copy.state.read_text())
        copy.killed(*slow, "--follow", after=lambda: '"Changes"' in copy.state.read_text())
        following = copy.start(*slow, "--follow")
        time.sleep(1)
        writing.until(100)
        following.send_signal(signal.SIGTERM)
        out, _ = following.communicate(timeout=30)
        assert following.returncode == 0, out
    code, out = copy.run("--table", "Inward", "--cut-over")
    assert code == 0 and "the same at both sides" in out, out
    check_same(local, here, "Inward")
    # What is done is done: the same again compares again.
    assert copy.run("--table", "Inward", "--cut-over")[0] == 0
    assert os.stat(copy.state).st_mode & 0o777 == 0o600
    assert SECRET not in copy.state.read_text()
    # A difference is found and named.
    connect(here).update_item(TableName="Inward", Key={"pk": S("p7"), "sk": N("5007")}, UpdateExpression="SET x = :x",
                              ExpressionAttributeValues={":x": N(1)})
    code, out = copy.run("--table", "Inward", "--cut-over")
    assert code == 1 and "only at the target" in out and "5007" in out, out


def test_the_way_back_to_dynamodb_local(tmp_path, local, here):
    source = connect(here)
    # Each segment of its scan has several pages, so that the copy stands within one when it is killed.
    make(source, "Out", stream=False, filling=4000)
    copy = Copy(tmp_path, here, local)
    assert "has no stream" in copy.run("--table", "Out", "--cut-over")[1]
    copy.killed("--table", "Out", "--cut-over", "--enable-stream", "--write-units", "3000", "--segments", "2",
                after=lambda: copy.state.exists() and '"after":{' in copy.state.read_text())
    with Writing(source, "Out", 1500) as writing:
        writing.until(200)
    # The scan was past items that were written since: without the stream's changes they differ, with them they do not.
    code, out = copy.run("--table", "Out")
    assert code == 1 and "DIFFERENT" in out, out
    code, out = copy.run("--table", "Out", "--cut-over")
    assert code == 0, out
    check_same(here, local, "Out")
    # The stream that the copy had switched on is off again.
    described = source.describe_table(TableName="Out")["Table"]
    assert not described.get("StreamSpecification", {}).get("StreamEnabled", False)


def test_between_two_partitas_under_another_name(tmp_path, here, there):
    source = connect(here)
    make(source, "Old", count=400)
    copy = Copy(tmp_path, here, there)
    code, out = copy.run("--table", "Old=New")
    assert code == 0 and "400 items" in out, out
    check_same(here, there, "Old", "New")
    again = Copy(tmp_path / "again", here, there)
    assert "there is a table New" in again.run("--table", "Old=New")[1]
    assert again.run("--table", "Old=New", "--into-existing")[0] == 0
    # Within one server, too.
    assert Copy(tmp_path / "same", here, here).run("--table", "Old=Newer")[0] == 0
    check_same(here, here, "Old", "Newer")


def test_a_rate_is_kept(tmp_path, here, there):
    source = connect(here)
    source.create_table(TableName="Slow", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}])
    load(here, "Slow", ({"pk": S(str(n))} for n in range(300)))
    began = time.monotonic()
    code, out = Copy(tmp_path, here, there).run("--table", "Slow", "--write-units", "100", "--no-verify")
    assert code == 0, out
    assert time.monotonic() - began > 1.9


def test_what_can_not_be_copied_is_said(tmp_path, here, there):
    copy = Copy(tmp_path, here, there)
    assert "no table Nothing" in copy.run("--table", "Nothing")[1]
    assert "are the same" in Copy(tmp_path, here, here).run("--table", "Nothing")[1]
    assert "no http:// or https://" in Copy(tmp_path, "localhost:8000", here).run()[1]
    copy.environment = {name: value for name, value in copy.environment.items() if not name.startswith("PARTITA_FROM_")}
    elsewhere = Copy(tmp_path, "https://dynamodb.eu-west-1.amazonaws.com", here)
    elsewhere.environment = copy.environment
    assert "no credentials" in elsewhere.run()[1]
    copy.state.write_text(json.dumps({"format": 1, "from": "a", "to": "b", "tables": {}}))
    assert "is the state of a copy from a to b" in copy.run("--table", "Nothing")[1]
