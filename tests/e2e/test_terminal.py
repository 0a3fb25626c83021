"""`partita backup` and `partita restore`: the work of a running server from a terminal, found again when it was begun."""

import os
import subprocess
import time

import pytest
from answers import N, S
from bulk import load, scan
from conftest import ENDPOINT
from partita_process import BINARY

pytestmark = pytest.mark.skipif(bool(ENDPOINT), reason="DynamoDB Local does not know these operations")


def run(endpoint, *arguments):
    """Runs a command of the program; exit code, output and errors."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PARTITA_", "AWS_"))}
    environment = {**clean, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    command = [str(BINARY), *map(str, arguments), "--endpoint-url", endpoint]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def test_a_backup_is_made_once_and_restored_once(server, client, make_table):
    table = make_table()
    load(server.endpoint, table, ({"pk": S(str(n)), "n": N(n)} for n in range(200)))
    code, out, errors = run(server.endpoint, "backup", "--table", table, "--name", "before")
    assert (code, errors) == (0, ""), errors
    arn = out.split(": ")[0]
    assert client.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "AVAILABLE"
    assert run(server.endpoint, "backup", "--table", table, "--name", "before")[1] == out
    code, out, errors = run(server.endpoint, "restore", "--backup", arn, "--to", f"{table}-2")
    assert (code, errors) == (0, "") and "200 items" in out, errors
    assert run(server.endpoint, "restore", "--backup", arn, "--to", f"{table}-2")[1] == out
    order = lambda item: int(item["pk"]["S"])
    assert sorted(scan(server.endpoint, f"{table}-2"), key=order) == sorted(scan(server.endpoint, table), key=order)
    code, out, errors = run(server.endpoint, "restore", "--backup", arn, "--to", table)
    assert code == 1 and "was not restored from this" in errors
    client.delete_table(TableName=f"{table}-2")
    client.delete_backup(BackupArn=arn)


def test_a_table_is_restored_to_a_second_and_as_it_is(server, client, make_table):
    table = make_table()
    client.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    load(server.endpoint, table, ({"pk": S(str(n))} for n in range(50)))
    time.sleep(1.1)
    second = int(time.time())
    time.sleep(1.1)
    client.delete_item(TableName=table, Key={"pk": S("7")})
    for arguments, items in ((("--at", second), 50), (("--latest",), 49)):
        code, out, errors = run(server.endpoint, "restore", "--table", table, "--to", f"{table}-then", *arguments)
        assert code == 0 and f"{items} items" in out, errors
        client.delete_table(TableName=f"{table}-then")


def test_what_is_wrong_is_said(server, make_table):
    table = make_table()
    assert "TableNotFoundException" in run(server.endpoint, "backup", "--table", "nothing", "--name", "one")[2]
    assert "PointInTimeRecoveryUnavailable" in run(server.endpoint, "restore", "--table", table, "--to", "restored", "--latest")[2]
    code, _, errors = run(server.endpoint, "restore", "--table", table, "--to", "restored")
    assert code == 2 and "required" in errors
    code, _, errors = run(server.endpoint, "restore", "--table", table, "--to", "restored", "--at", "soon")
    assert code == 2 and "2026-11-22T14:02:59Z" in errors
