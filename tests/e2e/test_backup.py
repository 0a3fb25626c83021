"""Losing a table and getting it back: backups, point-in-time recovery, restores, and what is refused."""

import datetime
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from answers import N, S, refusal
from bulk import load, scan
from conftest import connect

from differential.scenario import create

pytestmark = pytest.mark.dynamodb_local_differs("does not know these operations")

BY_GROUP = [("by-group", "group:S", "ALL")]
AWS = Path(sys.executable).with_name("aws")
WAIT = {"Delay": 1, "MaxAttempts": 60}


@pytest.fixture
def indexed(client, make_table):
    """A table with a global index and 300 items."""
    return filled(client, make_table(gsi=BY_GROUP))


def filled(client, table, count=300):
    """The same table with items."""
    load(client.meta.endpoint_url, table, ({"pk": S(f"key-{n}"), "group": S(f"group-{n % 7}"), "n": N(n)} for n in range(count)))
    return table


def contents(client, table, **more):
    """Everything in a table or index, in an order of its own."""
    return sorted(scan(client.meta.endpoint_url, table, **more), key=lambda item: item["pk"]["S"])


def available(client, arn, seconds=30):
    """Waits until a backup is available; how it is described then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        backup = client.describe_backup(BackupArn=arn)["BackupDescription"]
        if backup["BackupDetails"]["BackupStatus"] == "AVAILABLE":
            return backup
        time.sleep(0.02)
    raise AssertionError("the backup is not available")


def active(client, table, seconds=60):
    """Waits until a table is active; how it is described then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        described = client.describe_table(TableName=table)["Table"]
        if described["TableStatus"] == "ACTIVE":
            return described
        time.sleep(0.02)
    raise AssertionError("the table is not active")


def recover(client, table, days=None):
    """Switches recovery on."""
    wanted = {"PointInTimeRecoveryEnabled": True, **({"RecoveryPeriodInDays": days} if days else {})}
    answer = client.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=wanted)
    return answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]


def next_second():
    """Waits for the next second to begin, and returns it."""
    second = int(time.time()) + 1
    time.sleep(second - time.time() + 0.25)
    return datetime.datetime.fromtimestamp(second, datetime.timezone.utc)


# --- backups ------------------------------------------------------------------------------------------------------


def test_a_backup_is_taken_described_restored_and_deleted(client, indexed):
    before, entries = contents(client, indexed), contents(client, indexed, IndexName="by-group")
    details = client.create_backup(TableName=indexed, BackupName="nightly")["BackupDetails"]
    assert details["BackupStatus"] == "CREATING" and details["BackupType"] == "USER"
    client.delete_item(TableName=indexed, Key={"pk": S("key-1")})
    described = available(client, details["BackupArn"])
    source = described["SourceTableDetails"]
    assert (source["TableName"], source["ItemCount"], source["BillingMode"]) == (indexed, 300, "PAY_PER_REQUEST")
    assert described["BackupDetails"]["BackupSizeBytes"] == source["TableSizeBytes"] > 300 * 20
    assert [index["IndexName"] for index in described["SourceTableFeatureDetails"]["GlobalSecondaryIndexes"]] == ["by-group"]
    target = indexed + "-restored"
    table = client.restore_table_from_backup(TargetTableName=target, BackupArn=details["BackupArn"])["TableDescription"]
    assert table["TableStatus"] == "CREATING" and table["RestoreSummary"]["RestoreInProgress"] is True
    assert table["RestoreSummary"]["SourceBackupArn"] == details["BackupArn"]
    client.get_waiter("table_exists").wait(TableName=target, WaiterConfig=WAIT)
    table = client.describe_table(TableName=target)["Table"]
    assert table["RestoreSummary"]["RestoreInProgress"] is False and table["ItemCount"] == 300
    assert contents(client, target) == before
    assert contents(client, target, IndexName="by-group") == entries
    client.delete_table(TableName=target)
    deleted = client.delete_backup(BackupArn=details["BackupArn"])["BackupDescription"]
    assert deleted["BackupDetails"]["BackupStatus"] == "DELETED"
    assert refusal(client.describe_backup, BackupArn=details["BackupArn"]) == (
        "BackupNotFoundException", f"Backup not found: {details['BackupArn']}")


def test_backups_are_listed_by_table_time_and_kind_page_by_page(client, make_table):
    table, other = make_table(), make_table()
    arns = []
    for number in range(5):
        arns.append(client.create_backup(TableName=table, BackupName=f"backup-{number}")["BackupDetails"]["BackupArn"])
        time.sleep(0.01)
    available(client, client.create_backup(TableName=other, BackupName="other")["BackupDetails"]["BackupArn"])
    listed = [arn for page in client.get_paginator("list_backups").paginate(TableName=table, PaginationConfig={"PageSize": 2})
              for arn in (each["BackupArn"] for each in page["BackupSummaries"])]
    assert listed == arns
    assert len(client.list_backups(TableName=table, Limit=3)["BackupSummaries"]) == 3
    third = available(client, arns[2])["BackupDetails"]["BackupCreationDateTime"]
    later = client.list_backups(TableName=table, TimeRangeLowerBound=third)["BackupSummaries"]
    assert [each["BackupArn"] for each in later] == arns[2:]
    earlier = client.list_backups(TableName=table, TimeRangeUpperBound=third)["BackupSummaries"]
    assert [each["BackupArn"] for each in earlier] == arns[:2]
    assert client.list_backups(TableName=table, BackupType="SYSTEM")["BackupSummaries"] == []
    assert len(client.list_backups(TableName=table, BackupType="ALL")["BackupSummaries"]) == 5
    for arn in arns:
        available(client, arn)
        client.delete_backup(BackupArn=arn)
    assert client.list_backups(TableName=table)["BackupSummaries"] == []


def test_a_restore_leaves_out_and_changes_what_is_asked(client, indexed):
    client.update_time_to_live(TableName=indexed, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    client.tag_resource(ResourceArn=client.describe_table(TableName=indexed)["Table"]["TableArn"], Tags=[{"Key": "a", "Value": "b"}])
    arn = client.create_backup(TableName=indexed, BackupName="before")["BackupDetails"]["BackupArn"]
    assert available(client, arn)["SourceTableFeatureDetails"]["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    target = indexed + "-changed"
    client.restore_table_from_backup(
        TargetTableName=target, BackupArn=arn, BillingModeOverride="PROVISIONED", GlobalSecondaryIndexOverride=[],
        ProvisionedThroughputOverride={"ReadCapacityUnits": 3, "WriteCapacityUnits": 4})
    table = active(client, target)
    assert "GlobalSecondaryIndexes" not in table and len(table["AttributeDefinitions"]) == 1
    assert table["ProvisionedThroughput"]["WriteCapacityUnits"] == 4
    assert client.describe_time_to_live(TableName=target)["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    assert client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == []
    assert len(contents(client, target)) == 300
    client.delete_table(TableName=target)


# --- point-in-time recovery ---------------------------------------------------------------------------------------


def test_a_table_is_restored_to_each_of_several_seconds(client, indexed):
    window = recover(client, indexed, days=7)
    assert window["PointInTimeRecoveryStatus"] == "ENABLED" and window["RecoveryPeriodInDays"] == 7
    randomly = random.Random(7)
    copies = {}
    for _ in range(3):
        second = next_second()
        copies[second] = contents(client, indexed), contents(client, indexed, IndexName="by-group")
        for _ in range(40):
            key = {"pk": S(f"key-{randomly.randrange(330)}")}
            if randomly.random() < 0.4:
                client.delete_item(TableName=indexed, Key=key)
            else:
                client.put_item(TableName=indexed, Item={**key, "n": N(randomly.randrange(10**9)), "group": S("new")})
    now = contents(client, indexed)
    described = client.describe_continuous_backups(TableName=indexed)["ContinuousBackupsDescription"]
    window = described["PointInTimeRecoveryDescription"]
    assert described["ContinuousBackupsStatus"] == "ENABLED"
    assert window["EarliestRestorableDateTime"] <= min(copies) and max(copies) <= window["LatestRestorableDateTime"]
    for number, (second, (items, entries)) in enumerate(copies.items()):
        target = f"{indexed}-at-{number}"
        table = client.restore_table_to_point_in_time(SourceTableName=indexed, TargetTableName=target, RestoreDateTime=second)
        assert table["TableDescription"]["RestoreSummary"]["RestoreDateTime"] == second
        active(client, target)
        assert contents(client, target) == items
        assert contents(client, target, IndexName="by-group") == entries
        client.delete_table(TableName=target)
    target = f"{indexed}-latest"
    client.restore_table_to_point_in_time(SourceTableName=indexed, TargetTableName=target, UseLatestRestorableTime=True)
    active(client, target)
    assert contents(client, target) == now
    client.delete_table(TableName=target)


def test_a_deleted_table_with_recovery_leaves_a_system_backup(client, make_table):
    table = filled(client, make_table(), 50)
    before = contents(client, table)
    recover(client, table)
    client.delete_table(TableName=table)
    (backup,) = client.list_backups(TableName=table, BackupType="SYSTEM")["BackupSummaries"]
    assert backup["BackupName"] == f"{table}$DeletedTableBackup"
    kept = backup["BackupExpiryDateTime"] - backup["BackupCreationDateTime"]
    assert kept == datetime.timedelta(days=35)
    available(client, backup["BackupArn"])
    client.restore_table_from_backup(TargetTableName=table, BackupArn=backup["BackupArn"])
    active(client, table)
    assert contents(client, table) == before


# --- what is refused ----------------------------------------------------------------------------------------------


def test_bad_requests_get_the_codes_of_the_service(client, make_table):
    table = make_table()
    arn = client.describe_table(TableName=table)["Table"]["TableArn"]
    missing = f"{arn}/backup/01489173575360-b308cd7d"
    restore, target = client.restore_table_to_point_in_time, "Refused"
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)

    def code(call, **parameters):
        return refusal(call, **parameters)[0]

    assert refusal(client.create_backup, TableName="NoSuch", BackupName="name") == ("TableNotFoundException", "Table not found: NoSuch")
    assert code(client.describe_continuous_backups, TableName="NoSuch") == "TableNotFoundException"
    assert code(client.create_backup, TableName=table, BackupName="no/slashes") == "ValidationException"
    assert code(client.describe_backup, BackupArn="short") == "ValidationException"
    assert code(client.describe_backup, BackupArn=missing) == "BackupNotFoundException"
    assert code(client.delete_backup, BackupArn=missing) == "BackupNotFoundException"
    assert code(client.restore_table_from_backup, TargetTableName=target, BackupArn=missing) == "BackupNotFoundException"
    assert code(restore, SourceTableName=table, TargetTableName=target, UseLatestRestorableTime=True) == (
        "PointInTimeRecoveryUnavailableException")
    assert code(client.update_continuous_backups, TableName=table, PointInTimeRecoverySpecification={
        "PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 36}) == "ValidationException"
    recover(client, table)
    for when in (now - hour, now + hour):
        assert code(restore, SourceTableName=table, TargetTableName=target, RestoreDateTime=when) == "InvalidRestoreTimeException"
    assert code(restore, SourceTableName=table, TargetTableName=target) == "ValidationException"
    assert code(restore, TargetTableName=target, UseLatestRestorableTime=True) == "ValidationException"
    assert code(restore, SourceTableName="NoSuch", TargetTableName=target, UseLatestRestorableTime=True) == "TableNotFoundException"
    assert code(restore, SourceTableName=table, TargetTableName=table, UseLatestRestorableTime=True) == "TableAlreadyExistsException"
    assert target not in client.list_tables()["TableNames"]


# --- crashes ------------------------------------------------------------------------------------------------------


def test_backups_and_restores_survive_kill_9(own_server, tmp_path):
    store = tmp_path / "store"
    server = own_server("--backup-store", str(store))
    client = connect(server.endpoint)
    client.create_table(**create("Orders", gsi=BY_GROUP).body)
    padding = S("x" * 1000)
    load(server.endpoint, "Orders", ({"pk": S(f"key-{n}"), "group": S(f"group-{n % 7}"), "padding": padding} for n in range(6000)))
    recover(client, "Orders")
    second = next_second()
    before = contents(client, "Orders")
    for n in range(0, 6000, 60):
        client.delete_item(TableName="Orders", Key={"pk": S(f"key-{n}")})
    after = contents(client, "Orders")
    arn = client.create_backup(TableName="Orders", BackupName="kept")["BackupDetails"]["BackupArn"]
    client.restore_table_to_point_in_time(SourceTableName="Orders", TargetTableName="Restored", RestoreDateTime=second)
    for pause in (0.01, 0.05, 0.1, 0.2):
        time.sleep(pause)
        server.kill()
        server.start()
        client = connect(server.endpoint)
    available(client, arn)
    active(client, "Restored")
    assert contents(client, "Restored") == before
    assert contents(client, "Restored", IndexName="by-group") == before
    # The data directory is lost; the backup store and the keyring are not.
    server.kill()
    keyring = str(tmp_path / "data.keyring")
    fresh = own_server("--backup-store", str(store), "--keyring", keyring, data_dir=tmp_path / "new")
    client = connect(fresh.endpoint)
    deadline = time.monotonic() + 10
    while not client.list_backups()["BackupSummaries"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.restore_table_from_backup(TargetTableName="Orders", BackupArn=arn)
    active(client, "Orders")
    assert contents(client, "Orders") == after


def test_a_damaged_backup_gives_no_table(own_server, tmp_path):
    store = tmp_path / "store"
    client = connect(own_server("--in-memory", "--backup-store", str(store)).endpoint)
    client.create_table(**create("Orders").body)
    filled(client, "Orders", 100)
    arn = client.create_backup(TableName="Orders", BackupName="kept")["BackupDetails"]["BackupArn"]
    available(client, arn)
    block = next(store.glob("*/block-*"))
    assert block.stat().st_mode & 0o077 == 0
    whole = bytearray(block.read_bytes())
    whole[len(whole) // 2] ^= 1
    block.write_bytes(whole)
    client.restore_table_from_backup(TargetTableName="Restored", BackupArn=arn)
    deadline = time.monotonic() + 10
    while "Restored" in client.list_tables()["TableNames"]:
        code, _ = refusal(client.get_item, TableName="Restored", Key={"pk": S("key-1")})
        assert code == "ResourceNotFoundException" and time.monotonic() < deadline
        time.sleep(0.02)


def test_writers_go_on_while_a_backup_is_taken(client, indexed):
    stop, written = threading.Event(), []

    def write():
        mine = random.Random(len(written))
        while not stop.is_set():
            client.put_item(TableName=indexed, Item={"pk": S(f"key-{mine.randrange(300)}"), "n": N(mine.randrange(10**6))})
            written.append(1)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    arns = [client.create_backup(TableName=indexed, BackupName=f"busy-{n}")["BackupDetails"]["BackupArn"] for n in range(5)]
    described = [available(client, arn) for arn in arns]
    stop.set()
    for writer in writers:
        writer.join()
    assert len(written) > 10
    assert [each["SourceTableDetails"]["ItemCount"] for each in described] == [300] * 5


# --- the AWS CLI --------------------------------------------------------------------------------------------------


def test_the_aws_cli_backs_up_and_restores(server, client, indexed, tmp_path):
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL_DYNAMODB": server.endpoint, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "partita", "AWS_SECRET_ACCESS_KEY": "partita", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1",
    }

    def aws(*words):
        ended = subprocess.run([sys.executable, str(AWS), "dynamodb", *words], env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    arn = aws("create-backup", "--table-name", indexed, "--backup-name", "cli")["BackupDetails"]["BackupArn"]
    available(client, arn)
    target = indexed + "-cli"
    aws("restore-table-from-backup", "--target-table-name", target, "--backup-arn", arn)
    aws("wait", "table-exists", "--table-name", target)
    assert contents(client, target) == contents(client, indexed)
    client.delete_table(TableName=target)
