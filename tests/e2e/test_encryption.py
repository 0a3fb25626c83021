"""Encryption at rest: nothing planted is readable in any file, whatever path it took; keys that are lost, disabled,
rotated and gone; root keys in a keyring file and in a KMS (moto's server speaks its API)."""

import os
import re
import secrets
import socket
import subprocess
import sys
import time

import pytest
from botocore.exceptions import ClientError

from conftest import connect
from differential.servers import free_port
from partita_process import BINARY, Partita

ITEM = "planted-item-value"
KEY = "planted-partition-key"
NAME = "planted_attribute_name"


def table(client, name="Table", **more):
    client.create_table(
        TableName=name, KeySchema=[{"AttributeName": "planted_attribute_name_pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "planted_attribute_name_pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST", **more
    )


def put(client, name="Table", key="a", value="value"):
    return client.put_item(TableName=name, Item={"planted_attribute_name_pk": {"S": key}, "v": {"S": value}})


def get(client, name="Table", key="a"):
    answer = client.get_item(TableName=name, Key={"planted_attribute_name_pk": {"S": key}}, ConsistentRead=True)
    return answer.get("Item", {}).get("v", {}).get("S")


def refused(call):
    """Code and message of an error."""
    with pytest.raises(ClientError) as error:
        call()
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def wait_for(condition, seconds=12):
    """Waits until a condition holds, and fails if it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    assert condition()


def status(client, name="Table"):
    return client.describe_table(TableName=name)["Table"]["TableStatus"]


def keyring(file, *arguments):
    """Runs `partita keyring`."""
    command = [str(BINARY), "keyring", "--keyring", str(file), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def everything(directory):
    """All files below a directory, with their bytes."""
    for folder, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                yield path, file.read()


def write_through_every_path(server):
    """Plants words by every operation that stores something."""
    client = connect(server.endpoint)
    streams = connect(server.endpoint, service="dynamodbstreams")
    client.create_table(
        TableName="paths",
        KeySchema=[{"AttributeName": NAME + "_pk", "KeyType": "HASH"}, {"AttributeName": NAME + "_sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": NAME + part, "AttributeType": kind}
                              for part, kind in [("_pk", "S"), ("_sk", "N"), ("_local", "N"), ("_global", "S")]],
        LocalSecondaryIndexes=[{"IndexName": "local", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
            {"AttributeName": NAME + "_pk", "KeyType": "HASH"}, {"AttributeName": NAME + "_local", "KeyType": "RANGE"}]}],
        GlobalSecondaryIndexes=[{"IndexName": "global", "KeySchema": [{"AttributeName": NAME + "_global", "KeyType": "HASH"}],
                                 "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": [NAME + "_included"]}}],
        BillingMode="PAY_PER_REQUEST", Tags=[{"Key": "planted-tag-key", "Value": "planted-tag-value"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    client.update_time_to_live(TableName="paths", TimeToLiveSpecification={"Enabled": True, "AttributeName": NAME + "_ttl"})

    expiry = str(int(time.time()) + 100_000)

    def item(at):
        return {
            NAME + "_pk": {"S": f"{KEY}-{at}"}, NAME + "_sk": {"N": str(at)}, NAME + "_local": {"N": str(at)},
            NAME + "_global": {"S": f"{KEY}-global-{at}"}, NAME + "_ttl": {"N": expiry},
            NAME + "_included": {"S": ITEM}, NAME: {"M": {NAME: {"B": ITEM.encode()}, "l": {"L": [{"SS": [ITEM]}]}}},
        }

    for at in range(40):
        client.put_item(TableName="paths", Item=item(at))
    key = {name: item(0)[name] for name in (NAME + "_pk", NAME + "_sk")}
    client.update_item(TableName="paths", Key=key, UpdateExpression="SET #n = :v", ExpressionAttributeNames={"#n": NAME},
                       ExpressionAttributeValues={":v": {"S": ITEM + "-updated"}})
    client.delete_item(TableName="paths", Key={name: item(1)[name] for name in key})
    client.batch_write_item(RequestItems={"paths": [{"PutRequest": {"Item": item(at)}} for at in range(50, 70)]})
    client.transact_write_items(TransactItems=[{"Put": {"TableName": "paths", "Item": item(80)}}], ClientRequestToken="planted-token")
    client.execute_statement(Statement=f"INSERT INTO paths VALUE {{'{NAME}_pk': '{KEY}-sql', '{NAME}_sk': 5, '{NAME}': '{ITEM}'}}")
    client.update_table(
        TableName="paths", AttributeDefinitions=[{"AttributeName": NAME + "_pk", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": {
            "IndexName": "later", "KeySchema": [{"AttributeName": NAME + "_pk", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"}}}],
    )
    subprocess.run(
        [str(BINARY), "trigger", "create", "hook", "--table", "paths", "--url", "http://127.0.0.1:9/planted-url-path",
         "--endpoint", server.endpoint, "--from", "trim-horizon"],
        check=True, capture_output=True,
    )
    arn = client.describe_table(TableName="paths")["Table"]["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert ITEM in repr(streams.get_records(ShardIterator=iterator)["Records"][0]["dynamodb"]["NewImage"])
    return client, item


def test_no_word_of_the_data_is_readable_in_any_file(own_server, tmp_path):
    server = own_server()
    client, item = write_through_every_path(server)
    # A restart moves the journal into sorted files, a kill leaves a journal.
    server.restart()
    client.put_item(TableName="paths", Item=item(90))
    server.kill()
    files = list(everything(tmp_path / "data"))
    assert sum(len(content) for _, content in files) > 20_000
    words = [ITEM, KEY, NAME, "planted"]
    for word in words:
        for spelling in (word.encode(), word.encode("utf-16-le"), word.encode().hex().encode(), word.encode().hex().upper().encode()):
            found = [path for path, content in files if spelling in content]
            assert not found, f"{word} is readable in {found}"
    server.start()
    assert client.get_item(TableName="paths", Key={name: item(90)[name] for name in (NAME + "_pk", NAME + "_sk")})["Item"] == item(90)


def test_the_scan_finds_what_is_not_encrypted(own_server, tmp_path):
    server = own_server("--encryption", "off")
    write_through_every_path(server)
    server.kill()
    found = b"".join(content for _, content in everything(tmp_path / "data"))
    assert all(word.encode() in found for word in (ITEM, KEY, NAME, "planted-tag-value", "planted-url-path"))


def test_without_its_keyring_encrypted_data_is_refused_and_no_new_keyring_made(own_server, tmp_path):
    server = own_server()
    client = connect(server.endpoint)
    table(client)
    put(client)
    file = tmp_path / "data.keyring"
    assert file.stat().st_mode & 0o777 == 0o600
    server.stop()
    file.rename(tmp_path / "moved")
    with pytest.raises(RuntimeError) as error:
        server.start()
    assert "--keyring" in str(error.value) and str(file) in str(error.value)
    assert not file.exists()
    with pytest.raises(RuntimeError, match="encryption switched off"):
        Partita("--encryption", "off", data_dir=tmp_path / "data").start()
    with Partita("--keyring", str(tmp_path / "moved"), data_dir=tmp_path / "data") as again:
        assert get(connect(again.endpoint)) == "value"


def test_plain_data_stays_plain_until_encryption_is_asked_for(own_server, tmp_path):
    server = own_server("--encryption", "off")
    client = connect(server.endpoint)
    table(client)
    put(client, key="old")
    server.arguments = ()
    server.restart()
    plain, sealed = secrets.token_hex(20), secrets.token_hex(20)
    put(client, key="plain", value=plain)
    assert not (tmp_path / "data.keyring").exists()
    server.arguments = ("--encryption", "on")
    server.restart()
    put(client, key="sealed", value=sealed)
    server.kill()
    found = b"".join(content for _, content in everything(tmp_path / "data"))
    assert plain.encode() in found and sealed.encode() not in found
    server.start()
    assert [get(client, key=key) for key in ("old", "plain", "sealed")] == ["value", plain, sealed]


def test_tables_name_keys_of_the_keyring_and_are_inaccessible_while_theirs_is_disabled(own_server, tmp_path):
    server = own_server()
    file = tmp_path / "data.keyring"
    client = connect(server.endpoint)
    sse = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/app"}
    code, message = refused(lambda: table(client, SSESpecification=sse))
    assert (code, "KMS validation error" in message, "NotFoundException" in message) == ("ValidationException", True, True)
    row = keyring(file, "add", "alias/app").splitlines()[1].split()
    assert row[1:] == ["enabled", "1", "app"]
    wait_for(lambda: "alias/app" not in str(try_to(lambda: table(client, SSESpecification=sse))))
    described = client.describe_table(TableName="Table")["Table"]["SSEDescription"]
    assert described == {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": f"arn:aws:kms:us-east-1:000000000000:key/{row[0]}"} \
        or re.fullmatch(rf"arn:aws:kms:us-east-1:\d{{12}}:key/{row[0]}", described["KMSMasterKeyArn"])
    put(client)
    keyring(file, "disable", "app")
    wait_for(lambda: status(client) == "INACCESSIBLE_ENCRYPTION_CREDENTIALS")
    assert "InaccessibleEncryptionDateTime" in client.describe_table(TableName="Table")["Table"]["SSEDescription"]
    for call in (lambda: get(client), lambda: put(client), lambda: client.scan(TableName="Table")):
        code, message = refused(call)
        assert (code, "DisabledException" in message) == ("ValidationException", True), message
    keyring(file, "enable", "app")
    wait_for(lambda: status(client) == "ACTIVE")
    assert get(client) == "value"
    answer = client.update_table(TableName="Table", SSESpecification={"Enabled": False})["TableDescription"]
    assert answer["TableStatus"] == "UPDATING"
    assert "SSEDescription" not in client.describe_table(TableName="Table")["Table"]
    keyring(file, "disable", "app")
    time.sleep(1.2)
    assert get(client) == "value", "its data key is under the default key now"


def try_to(call):
    """The error of a call, or nothing."""
    try:
        call()
    except ClientError as error:
        return error
    return None


def test_a_rotation_that_is_killed_in_the_middle_is_gone_on_with(own_server, tmp_path):
    server = own_server()
    client = connect(server.endpoint)
    names = [f"Table{at}" for at in range(25)]
    for name in names:
        table(client, name)
        put(client, name)
    for delay in (0.3, 0.5, 0.6):
        assert keyring(tmp_path / "data.keyring", "rotate").splitlines()[1].split()[1] == "enabled"
        time.sleep(delay)
        server.restart("kill")
        assert all(get(client, name) == "value" for name in names)
    keyring(tmp_path / "data.keyring", "rotate")
    wait_for(lambda: "wrapped by the newest version" in server.output())


@pytest.fixture(scope="module")
def kms(tmp_path_factory):
    """Moto's server, as a KMS: a client of it, and how to stop and start it."""
    port = free_port()
    log = tmp_path_factory.mktemp("moto") / "log"

    class Kms:
        endpoint = f"http://127.0.0.1:{port}"
        process = None

        def start(self):
            with open(log, "ab") as out:
                self.process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                                                stdout=out, stderr=subprocess.STDOUT)

            def listens():
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            wait_for(listens, 30)
            self.client = connect(self.endpoint, service="kms", parameter_validation=True)

        def stop(self):
            self.process.kill()
            self.process.wait(10)

        def pause(self):
            self.process.send_signal(19)

        def resume(self):
            self.process.send_signal(18)

    running = Kms()
    running.start()
    yield running
    running.stop()


def test_root_keys_of_a_kms(own_server, tmp_path, kms):
    default, own = (kms.client.create_key()["KeyMetadata"] for _ in range(2))
    kms.client.create_alias(AliasName="alias/partita", TargetKeyId=default["KeyId"])
    options = ("--kms-endpoint", kms.endpoint, "--kms-key-id", "alias/partita", "--data-key-cache", "1")
    environment = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "kms-secret"}
    server = own_server(*options, environment=environment)
    client = connect(server.endpoint)
    table(client, "default")
    table(client, "own-key", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": own["KeyId"]})
    described = client.describe_table(TableName="own-key")["Table"]["SSEDescription"]
    assert described["KMSMasterKeyArn"] == own["Arn"]
    code, message = refused(lambda: table(client, "other", SSESpecification={
        "Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "arn:aws:kms:us-east-1:123456789012:key/none"}))
    assert (code, "NotFoundException" in message) == ("ValidationException", True)
    for name in ("default", "own-key"):
        put(client, name, value="planted-in-kms")
    assert not (tmp_path / "data.keyring").exists()

    # An outage is endured with the keys in memory.
    kms.pause()
    time.sleep(2.5)
    put(client, "own-key", key="during", value="outage")
    assert get(client, "own-key", "during") == "outage"
    kms.resume()

    # A disabled key takes its tables away, and only them; enabled again, it gives them back.
    kms.client.disable_key(KeyId=own["KeyId"])
    wait_for(lambda: status(client, "own-key") == "INACCESSIBLE_ENCRYPTION_CREDENTIALS")
    assert "DisabledException" in refused(lambda: get(client, "own-key"))[1]
    assert get(client, "default") == "planted-in-kms"
    server.restart("kill")
    assert "DisabledException" in refused(lambda: get(client, "own-key"))[1], "nor after a restart"
    kms.client.enable_key(KeyId=own["KeyId"])
    wait_for(lambda: status(client, "own-key") == "ACTIVE")
    assert get(client, "own-key") == "planted-in-kms"

    # Another key wraps the table's data key anew; the first may go.
    answer = client.update_table(TableName="own-key", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/partita"})
    assert answer["TableDescription"]["SSEDescription"]["Status"] == "UPDATING"
    kms.client.disable_key(KeyId=own["KeyId"])
    server.restart()
    assert get(client, "own-key") == "planted-in-kms"
    server.stop()
    assert b"planted" not in b"".join(content for _, content in everything(tmp_path / "data"))
    assert "kms-secret" not in server.output()

    # Without the KMS, or with a keyring in its place, the data does not open.
    with pytest.raises(RuntimeError, match="KMS"):
        Partita(data_dir=tmp_path / "data").start()
    kms.stop()
    with pytest.raises(RuntimeError, match="can not be reached"):
        Partita(*options, data_dir=tmp_path / "data", environment=environment).start()
