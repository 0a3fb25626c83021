"""What was acknowledged is there after kill -9, after a restart and after a clean stop; one directory has one owner."""

import os
import random
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from answers import N, S, every_item
from botocore.exceptions import BotoCoreError, ClientError
from conftest import connect
from partita_process import BINARY, Partita

from differential.scenario import create


def load_until(client, stop, acknowledged, started, seed):
    """Writes, updates and deletes items of its own; records what was asked and what was acknowledged."""
    choice, number = random.Random(seed), 0
    while not stop.is_set():
        number += 1
        key = f"{seed}-{choice.randrange(400)}"
        version = (seed, number)
        try:
            kind = choice.random()
            if kind < 0.5:
                state = {"pk": S(key), "g": S(f"g{choice.randrange(5)}"), "l": N(choice.randrange(9)), "sk": N(1), "version": N(number),
                    "v": S("x" * choice.randrange(3000))}
                started[key] = state
                client.put_item(TableName="Durable", Item=state)
            elif kind < 0.65:
                started[key] = None
                client.delete_item(TableName="Durable", Key={"pk": S(key), "sk": N(1)})
            else:
                batch = {f"{key}-b{n}": {"pk": S(f"{key}-b{n}"), "sk": N(1), "g": S("batch"), "version": N(number)} for n in range(10)}
                started.update(batch)
                client.batch_write_item(RequestItems={"Durable": [{"PutRequest": {"Item": item}} for item in batch.values()]})
                acknowledged.update(batch)
                continue
            acknowledged[key] = started[key]
        except (ClientError, BotoCoreError, OSError):
            if stop.is_set():
                return
            time.sleep(0.02)
        assert version


def table_of(client):
    """The whole table by key."""
    return {item["pk"]["S"]: item for item in every_item(client.scan, TableName="Durable", ConsistentRead=True)}


def check_indexes(client, items):
    """Both indexes hold exactly the items that have their key attributes, as they are."""
    world = {item["pk"]["S"]: item for item in every_item(client.scan, TableName="Durable", IndexName="ByG")}
    assert world == {key: item for key, item in items.items() if "g" in item}
    local = {item["pk"]["S"]: item for item in every_item(client.scan, TableName="Durable", IndexName="ByL")}
    assert local == {key: {name: item[name] for name in ("pk", "sk", "l")} for key, item in items.items() if "l" in item}


def test_acknowledged_writes_survive_kill_9(own_server):
    running = own_server()
    client = connect(running.endpoint)
    client.create_table(**create("Durable", "pk:S sk:N", lsi=[("ByL", "pk:S l:N", "KEYS_ONLY")], gsi=[("ByG", "g:S", "ALL")]).body)
    known = {}
    for round_ in range(4):
        stop, workers, states = threading.Event(), [], []
        for seed in range(6):
            acknowledged, started = {}, {}
            states.append((acknowledged, started))
            workers.append(threading.Thread(target=load_until, args=(connect(running.endpoint), stop, acknowledged, started,
                round_ * 100 + seed), daemon=True))
            workers[-1].start()
        time.sleep(1.5 + round_ * 0.3)
        running.kill()
        stop.set()
        for worker in workers:
            worker.join()
        running.start()
        found = table_of(client)
        count = 0
        for acknowledged, started in states:
            for key, item in acknowledged.items():
                count += 1
                # The last request may have been applied without being answered; anything older may not.
                assert found.get(key) in (item, started[key]), key
                known[key] = found.get(key)
        assert count > 100
        assert all(found.get(key) == item for key, item in known.items())
        check_indexes(client, found)


@pytest.mark.parametrize("durability", ["sync", "interval", "none"])
def test_a_clean_stop_keeps_everything(own_server, durability):
    running = own_server("--durability", durability)
    client = connect(running.endpoint)
    client.create_table(**create("Kept", "pk:S", gsi=[("ByG", "g:S", "ALL")], Tags=[{"Key": "a", "Value": "b"}]).body)
    for n in range(50):
        client.put_item(TableName="Kept", Item={"pk": S(f"i{n}"), "g": S("g"), "n": N(n)})
    before = client.describe_table(TableName="Kept")["Table"]
    assert running.stop() == 0
    running.start()
    assert client.describe_table(TableName="Kept")["Table"] == before
    assert client.scan(TableName="Kept")["Count"] == 50
    assert client.query(TableName="Kept", IndexName="ByG", KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": S("g")})["Count"] == 50
    assert client.list_tags_of_resource(ResourceArn=before["TableArn"])["Tags"] == [{"Key": "a", "Value": "b"}]


def test_in_memory_forgets(own_server):
    running = own_server("--in-memory")
    client = connect(running.endpoint)
    client.create_table(**create("Forgotten").body)
    running.restart()
    assert client.list_tables()["TableNames"] == []


def test_sigterm_answers_what_is_in_flight(own_server):
    running = own_server()
    client = connect(running.endpoint)
    client.create_table(**create("InFlight").body)
    acknowledged, failures, stop = [], [], threading.Event()

    def write(seed):
        mine, n = connect(running.endpoint), 0
        while not stop.is_set():
            n += 1
            try:
                mine.put_item(TableName="InFlight", Item={"pk": S(f"{seed}-{n}"), "v": S("x" * 5000)})
                acknowledged.append(f"{seed}-{n}")
            except ClientError as error:
                failures.append(error)
            except (BotoCoreError, OSError):
                return

    workers = [threading.Thread(target=write, args=(seed,), daemon=True) for seed in range(4)]
    for worker in workers:
        worker.start()
    time.sleep(0.7)
    began = time.monotonic()
    assert running.stop(10) == 0
    assert time.monotonic() - began < 5
    stop.set()
    for worker in workers:
        worker.join()
    assert not failures
    running.start()
    assert health(running.endpoint, "ready") == (200, "ready\n")
    found = {item["pk"]["S"] for item in every_item(client.scan, TableName="InFlight", ProjectionExpression="pk")}
    assert set(acknowledged) <= found and acknowledged


def test_two_processes_cannot_own_one_directory(own_server, tmp_path):
    running = own_server(data_dir=tmp_path / "shared")
    second = Partita(data_dir=tmp_path / "shared")
    with pytest.raises(RuntimeError, match="partita ended with status [1-9]") as caught:
        second.start()
    assert str(tmp_path / "shared") in str(caught.value)
    assert connect(running.endpoint).list_tables()["TableNames"] == []
    running.kill()
    second = Partita(data_dir=tmp_path / "shared").start()
    second.stop()


def test_a_directory_of_a_newer_format_is_refused(own_server, tmp_path):
    data = tmp_path / "newer"
    running = own_server(data_dir=data)
    running.stop()
    marks = [path for path in data.rglob("*") if path.is_file() and "format" in path.name.lower() or path.name.lower() == "version"]
    assert marks, f"no file tells the format: {sorted(path.name for path in data.rglob('*'))}"
    for mark in marks:
        mark.write_text(mark.read_text().replace("1", "999") if "1" in mark.read_text() else "999\n")
    with pytest.raises(RuntimeError, match="(?i)format|version|newer"):
        Partita(data_dir=data).start()


def health(endpoint, what):
    """The status and text of a health line."""
    try:
        with urllib.request.urlopen(f"{endpoint}/health/{what}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_full_disk_loses_nothing_acknowledged(own_server, tmp_path):
    """A limit on the size of files stands in for a full disk: writes fail in the middle of the log."""
    import resource
    import signal

    def full_soon():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))

    running = Partita(data_dir=tmp_path / "full", before_start=full_soon).start()
    client = connect(running.endpoint)
    client.create_table(**create("Full").body)
    acknowledged, refused = [], 0
    for n in range(200):
        try:
            client.put_item(TableName="Full", Item={"pk": S(f"i{n}"), "v": S("x" * 40_000)})
            acknowledged.append(f"i{n}")
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, error
            refused += 1
        except (BotoCoreError, OSError):
            refused += 1
            if running.process.poll() is not None:
                break
        if refused > 5:
            break
    assert acknowledged and refused
    if running.process.poll() is None:
        assert health(running.endpoint, "ready") == (503, "not ready: writes fail\n") and health(running.endpoint, "live") == (200, "live\n")
    told = running.output()
    assert "panicked" not in told
    if running.process.poll() is None:
        running.kill()
    running.before_start = None
    running.start()
    found = {item["pk"]["S"] for item in every_item(connect(running.endpoint).scan, TableName="Full", ProjectionExpression="pk")}
    running.stop()
    assert set(acknowledged) <= found


def test_a_corrupt_file_gives_a_clear_error(own_server, tmp_path):
    running = own_server(data_dir=tmp_path / "corrupt")
    client = connect(running.endpoint)
    client.create_table(**create("Corrupt").body)
    for n in range(50):
        client.put_item(TableName="Corrupt", Item={"pk": S(f"i{n}"), "v": S("x" * 1000)})
    running.stop()
    manifests = sorted((tmp_path / "corrupt").rglob("MANIFEST-*"))
    assert manifests
    for path in manifests:
        data = bytearray(path.read_bytes())
        data[len(data) // 3 : len(data) // 2] = b"\xa5" * (len(data) // 2 - len(data) // 3)
        path.write_bytes(data)
    with pytest.raises(RuntimeError, match="partita ended with status [1-9]") as caught:
        Partita(data_dir=tmp_path / "corrupt").start()
    assert "panicked" not in str(caught.value) and "orrupt" in str(caught.value)


def test_an_unwritable_directory_gives_a_clear_error(tmp_path):
    if os.environ.get("PARTITA_TEST_ENDPOINT"):
        pytest.skip("needs a process of its own")
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    ended = subprocess.run([str(BINARY), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(blocked / "data")], capture_output=True,
        text=True, timeout=20)
    assert ended.returncode != 0 and str(blocked) in ended.stderr + ended.stdout
    assert "panicked" not in ended.stderr


def test_a_port_that_is_taken_gives_a_clear_error(own_server, tmp_path):
    running = own_server("--in-memory")
    ended = subprocess.run([str(BINARY), "serve", "--in-memory", "--listen", f"127.0.0.1:{running.port}"], capture_output=True, text=True,
        timeout=20)
    assert ended.returncode != 0 and str(running.port) in ended.stderr + ended.stdout and "panicked" not in ended.stderr


def test_it_is_ready_soon_and_small(own_server):
    running = own_server()
    # 50 ms are promised; the rest is what polling and a busy machine add.
    assert running.ready_after < 0.5
    with open(f"/proc/{running.process.pid}/status") as status:
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in status if line.startswith(("VmRSS", "RssAnon"))}
    # Its own, and that with what the system has mapped of the program's file.
    assert kilobytes["RssAnon"] < 8_000 and kilobytes["VmRSS"] < 32_000


def test_listening_beyond_loopback_needs_its_flag(tmp_path):
    if os.environ.get("PARTITA_TEST_ENDPOINT"):
        pytest.skip("needs a process of its own")
    ended = subprocess.run([str(BINARY), "serve", "--in-memory", "--listen", "0.0.0.0:0"], capture_output=True, text=True, timeout=20)
    assert ended.returncode != 0 and "loopback" in (ended.stderr + ended.stdout).lower()


def test_version_and_help():
    if os.environ.get("PARTITA_TEST_ENDPOINT"):
        pytest.skip("needs a process of its own")
    assert subprocess.run([str(BINARY), "--version"], capture_output=True, text=True, check=True).stdout.startswith("partita ")
    told = subprocess.run([str(BINARY), "serve", "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--listen", "--data-dir", "--in-memory", "--durability", "--region", "--cors", "--log-format", "--log-level",
        "PARTITA_LISTEN", "PARTITA_DATA_DIR"):
        assert option in told, option


def test_environment_variables_configure_it_too(tmp_path):
    if os.environ.get("PARTITA_TEST_ENDPOINT"):
        pytest.skip("needs a process of its own")
    with Partita(environment={"PARTITA_IN_MEMORY": "true", "PARTITA_REGION": "eu-north-1"}) as running:
        assert "eu-north-1" in running.output()


def test_the_start_message_gives_the_exports_to_paste(own_server):
    running = own_server()
    told = running.output()
    assert f"AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:{running.port}" in told
    for word in ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION",
        str(running.data_dir)):
        assert word in told, word
