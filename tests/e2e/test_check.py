"""`partita check`: a whole data directory passes, a damaged one and a damaged backup are told, and nothing is changed."""

import os
import subprocess
from pathlib import Path

import pytest
from answers import N, S
from bulk import load
from conftest import ENDPOINT, connect
from partita_process import BINARY, Partita

pytestmark = pytest.mark.skipif(bool(ENDPOINT), reason="is about Partita's own data directory")


def check(data_dir, *arguments):
    """Runs the command; its exit code, output and errors."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARTITA_")}
    command = [str(BINARY), "check", "--data-dir", str(data_dir), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    return done.returncode, done.stdout, done.stderr


def filled(data_dir, *arguments):
    """A server with a table that has indexes, a stream, recovery, time to live and a backup; its backup's id."""
    server = Partita(*arguments, data_dir=data_dir).start()
    client = connect(server.endpoint)
    client.create_table(
        TableName="Checked", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "rank", "group")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[{"IndexName": "by-rank", "Projection": {"ProjectionType": "KEYS_ONLY"}, "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "rank", "KeyType": "RANGE"}]}],
        GlobalSecondaryIndexes=[{"IndexName": "by-group", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
            {"AttributeName": "group", "KeyType": "HASH"}]}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    client.update_time_to_live(TableName="Checked", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    client.update_continuous_backups(TableName="Checked", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    items = ({"pk": S(f"p{n % 20}"), "sk": S(f"{n:04}"), "rank": S(str(n % 7)), "group": S(f"g{n % 5}"), "ttl": N(4000000000 + n),
              "filling": S("x" * 200)} for n in range(500))
    load(server.endpoint, "Checked", items)
    for n in range(0, 500, 3):
        client.delete_item(TableName="Checked", Key={"pk": S(f"p{n % 20}"), "sk": S(f"{n:04}")})
    arn = client.create_backup(TableName="Checked", BackupName="Whole")["BackupDetails"]["BackupArn"]
    while client.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] != "AVAILABLE":
        pass
    return server, arn.rsplit("/", 1)[1]


@pytest.mark.parametrize("arguments", [(), ("--encryption", "off")])
def test_whole_data_passes_and_a_damaged_backup_is_told(tmp_path, arguments):
    server, backup = filled(tmp_path / "data", *arguments)
    code, _, errors = check(tmp_path / "data", *arguments)
    assert code == 2 and "no server has open" in errors
    server.kill()
    code, out, errors = check(tmp_path / "data", *arguments)
    assert (code, errors) == (0, ""), out
    assert "nothing is wrong" in out
    block = Path(tmp_path / "data" / "backups" / backup / "block-00000000")
    whole = block.read_bytes()
    block.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    code, out, _ = check(tmp_path / "data", *arguments)
    assert code == 1 and "broken backups: 1" in out and backup in out
    assert check(tmp_path / "data", "--no-backups", *arguments)[0] == 0
    block.write_bytes(whole)
    # The backups alone, with another directory's keys or none.
    keyring = [] if arguments else ["--keyring", tmp_path / "data.keyring"]
    alone = ["--only-backups", "--backup-store", tmp_path / "data" / "backups", *keyring]
    code, out, errors = check(tmp_path / "elsewhere", *alone)
    assert code == 0, out + errors
    if keyring:
        code, out, _ = check(tmp_path / "elsewhere", *alone[:-1], tmp_path / "no.keyring")
        assert code == 1 and not (tmp_path / "no.keyring").exists()
    # Checking has changed nothing that a server minds.
    server.start()
    assert connect(server.endpoint).scan(TableName="Checked", Select="COUNT")["Count"] == 333
    server.stop()


def test_damaged_files_of_the_store_are_found_or_keep_the_store_shut(tmp_path):
    server, _ = filled(tmp_path / "data")
    server.stop()
    # Opening the store again turns its log into files of tables.
    server.start()
    server.stop()
    tables = sorted((tmp_path / "data").rglob("*.sst"), key=lambda path: path.stat().st_size)
    assert tables, "the store has no files to damage"
    whole = tables[-1].read_bytes()
    at = len(whole) // 3
    tables[-1].write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
    code, out, errors = check(tmp_path / "data")
    assert code in (1, 2) and (out or errors)


def test_what_is_not_there_can_not_be_checked(tmp_path):
    code, _, errors = check(tmp_path / "nothing")
    assert code == 2 and "no data directory" in errors
    assert not (tmp_path / "nothing").exists() and not (tmp_path / "nothing.keyring").exists()
    code, _, errors = check(tmp_path / "nothing", "--only-backups")
    assert code == 2 and "no directory of backups" in errors
