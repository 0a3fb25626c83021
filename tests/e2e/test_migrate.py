"""A whole database moved from a data directory into a FoundationDB cluster and back, interrupted on the way."""

import os
import subprocess
import time

import pytest
from answers import N, S, every_item
from conftest import connect
from e2e.stream_reader import records_of

from differential.scenario import create
from foundationdb import client_environment
from partita_process import BINARY, CLUSTER_FILE

pytestmark = pytest.mark.skipif(not CLUSTER_FILE, reason="needs a FoundationDB cluster (PARTITA_FDB_CLUSTER_FILE)")
ITEMS = 2_000


def migrate(direction, data_dir, prefix, interrupt_after=None):
    """Runs `partita migrate`, or kills it after some seconds."""
    command = [str(BINARY), "migrate", direction, "--data-dir", str(data_dir), "--cluster-file", CLUSTER_FILE, "--key-prefix", prefix]
    process = subprocess.Popen(
        command, env={**os.environ, **client_environment()}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if interrupt_after is not None:
        time.sleep(interrupt_after)
        process.kill()
    output = process.communicate(timeout=300)[0]
    return process.returncode, output


def put(client, numbers):
    """Some items, a few of them large."""
    for n in numbers:
        more = "x" * (300_000 if n % 1_000 == 7 else 400)
        client.put_item(TableName="Moved", Item={"pk": S(f"item-{n:05}"), "n": N(n), "group": S(f"g{n % 7}"), "more": S(more)})


def seen(server):
    """Everything that a client can see: items, the index, the stream."""
    client, streams = connect(server.endpoint), connect(server.endpoint, service="dynamodbstreams")
    arn = client.describe_table(TableName="Moved")["Table"]["LatestStreamArn"]
    by_key = sorted(((item["pk"]["S"], item) for item in every_item(client.scan, TableName="Moved")), key=lambda pair: pair[0])
    by_group = sorted(((item["pk"]["S"], item) for item in every_item(client.scan, TableName="Moved", IndexName="ByGroup")), key=lambda pair: pair[0])
    assert by_key == by_group
    return by_key, [record["dynamodb"] for record in records_of(streams, arn)]


def test_a_database_moves_into_a_cluster_and_back(own_server, tmp_path):
    prefix = f"moved/{time.time_ns() % 10**12}/"
    home, back = tmp_path / "data", tmp_path / "back"
    keyring = {"PARTITA_KEYRING": f"{home}.keyring"}
    server = own_server(data_dir=home, environment={"PARTITA_ENGINE": "rocksdb", **keyring})
    client = connect(server.endpoint)
    table = create("Moved", "pk:S", (), [("ByGroup", "group:S pk:S", "ALL")])
    client.create_table(**table.body, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    put(client, range(ITEMS))
    items, changes = seen(server)
    assert len(items) == len(changes) == ITEMS
    server.stop()

    migrate("to-cluster", home, prefix, interrupt_after=0.5)
    status, output = migrate("to-cluster", home, prefix)
    if "there is a database already" not in output:
        # Unless the first run was quicker than its end.
        assert status == 0 and "copied and compared" in output, output

    server = own_server(data_dir=home, environment={**keyring, "PARTITA_KEY_PREFIX": prefix})
    assert seen(server) == (items, changes)
    put(connect(server.endpoint), range(ITEMS, ITEMS + 100))
    items, more_changes = seen(server)
    assert more_changes[:ITEMS] == changes and len(more_changes) == len(items) == ITEMS + 100
    numbers = [int(change["SequenceNumber"]) for change in more_changes]
    assert numbers == sorted(set(numbers))
    server.stop()
    status, output = migrate("to-cluster", home, prefix)
    assert status == 1 and "there is a database already" in output, output

    status, output = migrate("to-directory", back, prefix)
    assert status == 0 and "copied and compared" in output, output
    server = own_server(data_dir=back, environment={"PARTITA_ENGINE": "rocksdb", **keyring})
    assert seen(server) == (items, more_changes)
    put(connect(server.endpoint), range(ITEMS + 100, ITEMS + 110))
    _, last_changes = seen(server)
    numbers = [int(change["SequenceNumber"]) for change in last_changes]
    assert len(numbers) == ITEMS + 110 and numbers == sorted(set(numbers))
