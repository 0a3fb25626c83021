"""Exports: what lands in directories and buckets, of a moment and of changes, in both forms, across a crash; who may."""

import base64
import gzip
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from answers import N, S, refusal
from bulk import load, scan
from conftest import connect

from differential.scenario import create
from differential.servers import free_port

pytestmark = pytest.mark.dynamodb_local_differs("does not know these operations")

AWS = Path(sys.executable).with_name("aws")


def recoverable(client, name, count):
    """A table with items whose recovery is on; its ARN."""
    client.create_table(**create(name).body)
    load(client.meta.endpoint_url, name, ({"pk": S(f"key-{n}"), "n": N(n), "pad": S("x" * 400)} for n in range(count)))
    specification = {"PointInTimeRecoveryEnabled": True}
    client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=specification)
    return client.describe_table(TableName=name)["Table"]["TableArn"]


def ended(client, arn, seconds=60):
    """Waits until an export has ended; how it is described then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        export = client.describe_export(ExportArn=arn)["ExportDescription"]
        if export["ExportStatus"] != "IN_PROGRESS":
            return export
        time.sleep(0.05)
    raise AssertionError("the export has not ended")


def exported(read, export):
    """The lines of a whole export, found by its manifests; `read` gives an object's bytes."""
    assert export["ExportStatus"] == "COMPLETED", export
    summary = json.loads(read(export["ExportManifest"]))
    assert summary["exportArn"] == export["ExportArn"]
    assert summary["itemCount"] == export["ItemCount"]
    assert summary["billedSizeBytes"] == export["BilledSizeBytes"]
    lines = []
    for line in read(summary["manifestFilesS3Key"]).splitlines():
        file = json.loads(line)
        data = read(file["dataFileS3Key"])
        assert base64.b64encode(hashlib.md5(data).digest()).decode() == file["md5Checksum"]
        found = gzip.decompress(data).decode().splitlines()
        assert len(found) == file["itemCount"]
        lines += found
    assert len(lines) == export["ItemCount"]
    return lines


def pass_by(server, seconds):
    """Moves a server's clock on; what it shows then."""
    request = urllib.request.Request(server.endpoint, data=json.dumps({"Seconds": seconds}).encode(),
        headers={"X-Amz-Target": "Partita_20261122.AdvanceClock", "Content-Type": "application/x-amz-json-1.0"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["Time"]


def items(lines):
    return sorted((json.loads(line)["Item"] for line in lines), key=lambda item: item["pk"]["S"])


def contents(client, table):
    return sorted(scan(client.meta.endpoint_url, table), key=lambda item: item["pk"]["S"])


def test_an_export_to_a_directory_has_what_the_table_had_and_survives_a_crash(own_server, tmp_path):
    bucket = tmp_path / "bucket"
    server = own_server("--bucket", f"exports={bucket}")
    client = connect(server.endpoint)
    arn = recoverable(client, "Orders", 3000)
    expected = contents(client, "Orders")
    begun = client.export_table_to_point_in_time(TableArn=arn, S3Bucket="exports", S3Prefix="daily/")["ExportDescription"]
    assert begun["ExportStatus"] == "IN_PROGRESS" and begun["ExportFormat"] == "DYNAMODB_JSON"
    client.delete_item(TableName="Orders", Key={"pk": S("key-1")})
    server.kill()
    server = own_server("--bucket", f"exports={bucket}", data_dir=server.data_dir)
    client = connect(server.endpoint)
    export = ended(client, begun["ExportArn"])
    assert export["ExportManifest"] == f"daily/AWSDynamoDB/{begun['ExportArn'].rsplit('/')[-1]}/manifest-summary.json"
    assert items(exported(lambda key: (bucket / key).read_bytes(), export)) == expected
    listed = client.list_exports(TableArn=arn)["ExportSummaries"]
    assert listed == [{"ExportArn": begun["ExportArn"], "ExportStatus": "COMPLETED", "ExportType": "FULL_EXPORT"}]
    assert all(path.stat().st_mode & 0o077 == 0 for path in bucket.rglob("*"))


def test_changes_are_exported_with_what_was_and_what_became(own_server, tmp_path):
    server = own_server("--bucket", f"exports={tmp_path / 'bucket'}", "--test-clock")
    client = connect(server.endpoint)
    arn = recoverable(client, "Table", 20)
    begin = int(pass_by(server, 60))
    client.put_item(TableName="Table", Item={"pk": S("new"), "n": N(1)})
    client.put_item(TableName="Table", Item={"pk": S("passing"), "n": N(1)})
    client.put_item(TableName="Table", Item={"pk": S("key-3"), "n": N(33)})
    client.delete_item(TableName="Table", Key={"pk": S("key-4")})
    client.delete_item(TableName="Table", Key={"pk": S("passing")})
    end = int(pass_by(server, 1000))
    client.put_item(TableName="Table", Item={"pk": S("key-3"), "n": N(34)})
    window = {"ExportFromTime": begin, "ExportToTime": end, "ExportViewType": "NEW_AND_OLD_IMAGES"}
    begun = client.export_table_to_point_in_time(
        TableArn=arn, S3Bucket="exports", ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=window
    )["ExportDescription"]
    export = ended(client, begun["ExportArn"])
    lines = [json.loads(line) for line in exported(lambda key: (tmp_path / "bucket" / key).read_bytes(), export)]
    found = {line["Keys"]["pk"]["S"]: (line.get("OldImage", {}).get("n"), line.get("NewImage", {}).get("n")) for line in lines}
    assert found == {"new": (None, N(1)), "key-3": (N(3), N(33)), "key-4": (N(4), None)}
    short = {"ExportFromTime": end - 60, "ExportToTime": end}
    asked = {"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": short}
    code, _ = refusal(client.export_table_to_point_in_time, TableArn=arn, S3Bucket="exports", **asked)
    assert code == "InvalidExportTimeException"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """Moto's server, as S3, with a bucket: a client of it and its endpoint."""
    port = free_port()
    log = open(tmp_path_factory.mktemp("moto") / "log", "ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=subprocess.STDOUT
    )
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    client = connect(f"http://127.0.0.1:{port}", service="s3")
    client.create_bucket(Bucket="lake")
    yield client, f"s3+http://127.0.0.1:{port}/lake"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    log.close()


KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3-secret"}


def test_exports_and_backups_in_a_bucket_of_s3(own_server, s3, tmp_path):
    bucket, url = s3
    options = ("--bucket", f"exports={url}/partita", "--backup-store", f"{url}/backups")
    server = own_server(*options, environment=KEYS)
    client = connect(server.endpoint)
    arn = recoverable(client, "Table", 500)
    expected = contents(client, "Table")
    read = lambda key: bucket.get_object(Bucket="lake", Key=f"partita/{key}")["Body"].read()
    begun = client.export_table_to_point_in_time(TableArn=arn, S3Bucket="exports", S3SseAlgorithm="AES256")
    assert items(exported(read, ended(client, begun["ExportDescription"]["ExportArn"]))) == expected
    begun = client.export_table_to_point_in_time(TableArn=arn, S3Bucket="exports", ExportFormat="ION")
    lines = exported(read, ended(client, begun["ExportDescription"]["ExportArn"]))
    assert sorted(lines)[0].startswith("$ion_1_0 {Item:{n:0.,pad:\"xxx")
    backup = client.create_backup(TableName="Table", BackupName="Backup")["BackupDetails"]["BackupArn"]
    end = time.monotonic() + 30
    while client.describe_backup(BackupArn=backup)["BackupDescription"]["BackupDetails"]["BackupStatus"] != "AVAILABLE":
        assert time.monotonic() < end
        time.sleep(0.05)
    client.delete_table(TableName="Table")
    client.restore_table_from_backup(BackupArn=backup, TargetTableName="Restored")
    client.get_waiter("table_exists").wait(TableName="Restored", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    assert contents(client, "Restored") == expected


def test_the_cli_exports_and_a_bucket_that_is_none_fails(own_server, tmp_path):
    server = own_server("--bucket", f"exports={tmp_path / 'bucket'}")
    client = connect(server.endpoint)
    arn = recoverable(client, "Table", 10)
    environment = {
        **os.environ, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1",
    }

    def aws(*arguments):
        command = [str(AWS), "dynamodb", *arguments, "--endpoint-url", server.endpoint, "--output", "json"]
        return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)

    token = ("--client-token", "once")
    first = aws("export-table-to-point-in-time", "--table-arn", arn, "--s3-bucket", "exports", *token)
    again = aws("export-table-to-point-in-time", "--table-arn", arn, "--s3-bucket", "exports", *token)
    export_arn = first["ExportDescription"]["ExportArn"]
    assert again["ExportDescription"]["ExportArn"] == export_arn
    assert ended(client, export_arn)["ItemCount"] == 10
    code, _ = refusal(client.export_table_to_point_in_time, TableArn=arn, S3Bucket="other", ClientToken="once")
    assert code == "ExportConflictException"
    begun = client.export_table_to_point_in_time(TableArn=arn, S3Bucket="other")["ExportDescription"]
    failed = ended(client, begun["ExportArn"])
    assert (failed["ExportStatus"], failed["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    code, _ = refusal(client.export_table_to_point_in_time, TableArn=arn, S3Bucket="exports", S3Prefix="../../etc")
    assert code == "ValidationException"
