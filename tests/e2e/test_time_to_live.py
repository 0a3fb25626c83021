"""Time to live: what is switched on and how, what expires and what does not, and how soon."""

import threading
import time

import pytest
from answers import N, S, refusal, refused
from botocore.exceptions import ClientError
from bulk import count, load, scan
from conftest import connect
from stream_reader import brief, wait_for_records
from test_streams import Stream

from differential.scenario import create

INVALID = "ValidationException"
DAY = 24 * 60 * 60
EXPIRING = 100_000
LEAVES_WITHIN_SECONDS = 10
STREAMING = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}


def enable(client, table, attribute="expires"):
    """Switches time to live on."""
    wanted = {"Enabled": True, "AttributeName": attribute}
    answer = client.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)
    assert answer["TimeToLiveSpecification"] == wanted


def status(client, table):
    """What DescribeTimeToLive says."""
    return client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]


def eventually(condition, seconds=LEAVES_WITHIN_SECONDS):
    """Waits until a condition holds; how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it does not come true"
        time.sleep(0.05)
    return time.monotonic() - began


def keys_of(client, table, **more):
    """The partition keys in a table or an index."""
    return {item["pk"]["S"] for item in client.scan(TableName=table, **more)["Items"]}


# --- switching ----------------------------------------------------------------------------------------------------


def test_it_is_off_at_first_and_described_when_on(client, make_table):
    table = make_table()
    assert status(client, table) == {"TimeToLiveStatus": "DISABLED"}
    enable(client, table)
    eventually(lambda: status(client, table) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"})


def test_switching_to_the_same_is_refused(client, make_table):
    table = make_table()
    with refused(INVALID, "TimeToLive is already disabled"):
        client.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires"})
    enable(client, table)
    assert refusal(client.update_time_to_live, TableName=table, TimeToLiveSpecification={"Enabled": True,
        "AttributeName": "expires"})[0] == INVALID
    for enabled in (True, False):
        code, message = refusal(client.update_time_to_live, TableName=table, TimeToLiveSpecification={"Enabled": enabled,
            "AttributeName": "other"})
        assert code == INVALID and message.startswith("TimeToLive is active on a different AttributeName")
    assert status(client, table)["AttributeName"] == "expires"


def test_switching_back_need_not_wait(client, make_table):
    """The service refuses further calls for the same table within an hour; that limit is not emulated."""
    table = make_table()
    enable(client, table)
    client.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": False, "AttributeName": "expires"})
    assert status(client, table)["TimeToLiveStatus"] == "DISABLED"


def test_bad_specifications_are_refused(client, make_table):
    table = make_table()
    for specification in ({}, {"Enabled": True}, {"AttributeName": "a"}, {"Enabled": True, "AttributeName": ""},
            {"Enabled": True, "AttributeName": "x" * 256}):
        assert refusal(client.update_time_to_live, TableName=table, TimeToLiveSpecification=specification)[0] == INVALID, specification
    assert refusal(client.update_time_to_live, TableName=table)[0] == INVALID
    assert refusal(client.update_time_to_live, TableName="NoSuchTable", TimeToLiveSpecification={"Enabled": True,
        "AttributeName": "a"})[0] == "ResourceNotFoundException"
    assert refusal(client.describe_time_to_live, TableName="NoSuchTable")[0] == "ResourceNotFoundException"
    assert status(client, table) == {"TimeToLiveStatus": "DISABLED"}


# --- expiry -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A server of this module's own."""
    from conftest import ENDPOINT
    from partita_process import Partita

    if ENDPOINT:
        pytest.skip("DynamoDB Local expires at its own pace")
    with Partita(data_dir=tmp_path_factory.mktemp("expiring")) as running:
        yield running


def test_only_a_number_that_is_past_and_not_long_past_expires(home):
    client, streams = connect(home.endpoint), connect(home.endpoint, service="dynamodbstreams")
    client.create_table(**create("Kinds", "pk:S", **STREAMING).body)
    now = int(time.time())
    stay = {"none": None, "text": S(str(now - 60)), "true": {"BOOL": True}, "null": {"NULL": True}, "list": {"L": [N(now - 60)]},
        "set": {"NS": [str(now - 60)]}, "map": {"M": {"expires": N(now - 60)}}, "future": N(now + 3600), "zero": N(0), "negative": N(-5),
        "five years and a day": N(now - 5 * 365 * DAY - 2 * DAY), "milliseconds": N((now - 60) * 1000), "huge": N("1E100"),
        "small": N("1E-100")}
    leave = {"just now": N(now - 1), "yesterday": N(now - DAY), "nearly five years": N(now - 5 * 365 * DAY + DAY),
        "exponent": N(f"{now - 60}E0")}
    enable(client, "Kinds")
    for name, value in {**stay, **leave}.items():
        client.put_item(TableName="Kinds", Item={"pk": S(name), **({"expires": value} if value else {})})
    eventually(lambda: not keys_of(client, "Kinds") & set(leave))
    time.sleep(2)
    assert keys_of(client, "Kinds") == set(stay)
    arn = client.describe_table(TableName="Kinds")["Table"]["LatestStreamArn"]
    removed = [record for record in wait_for_records(streams, arn, 22) if record["eventName"] == "REMOVE"]
    assert {record["dynamodb"]["Keys"]["pk"]["S"] for record in removed} == set(leave)


def test_items_leave_when_their_time_comes_and_not_before(home):
    client = connect(home.endpoint)
    client.create_table(**create("Timed", "pk:S").body)
    enable(client, "Timed")
    due = int(time.time()) + 3
    for number in range(20):
        client.put_item(TableName="Timed", Item={"pk": S(f"k{number}"), "expires": N(due)})
    while time.time() < due - 0.3:
        assert len(keys_of(client, "Timed")) == 20 or time.time() >= due
        time.sleep(0.1)
    eventually(lambda: not keys_of(client, "Timed"))
    assert time.time() >= due


def test_an_item_whose_time_is_put_off_stays(home):
    client = connect(home.endpoint)
    client.create_table(**create("Extended", "pk:S").body)
    enable(client, "Extended")
    now = int(time.time())
    for name in ("later", "removed", "replaced", "control"):
        client.put_item(TableName="Extended", Item={"pk": S(name), "expires": N(now + 2)})
    client.update_item(TableName="Extended", Key={"pk": S("later")}, UpdateExpression="SET expires = :t",
        ExpressionAttributeValues={":t": N(now + 3600)})
    client.update_item(TableName="Extended", Key={"pk": S("removed")}, UpdateExpression="REMOVE expires")
    client.put_item(TableName="Extended", Item={"pk": S("replaced"), "expires": S("never")})
    eventually(lambda: "control" not in keys_of(client, "Extended"))
    time.sleep(1.5)
    assert keys_of(client, "Extended") == {"later", "removed", "replaced"}


def test_sessions_that_are_kept_alive_never_vanish(home):
    """The delete looks at the item again in its own commit: an update that comes first wins."""
    client = connect(home.endpoint)
    client.create_table(**create("Sessions", "pk:S").body)
    enable(client, "Sessions")
    stop, lost = threading.Event(), []

    def keep(seed):
        mine, born = connect(home.endpoint), 0
        while not stop.is_set():
            now = time.time()
            try:
                old = mine.update_item(TableName="Sessions", Key={"pk": S(f"s{seed}")}, UpdateExpression="SET expires = :t ADD n :one",
                    ExpressionAttributeValues={":t": N(int(now) + 2), ":one": N(1)}, ReturnValues="ALL_OLD").get("Attributes")
            except ClientError as error:
                lost.append(error)
                return
            if old is None:
                born += 1
                if born > 1:
                    lost.append(f"s{seed}")
            time.sleep(0.02)

    workers = [threading.Thread(target=keep, args=(seed,)) for seed in range(8)]
    for worker in workers:
        worker.start()
    time.sleep(5)
    stop.set()
    for worker in workers:
        worker.join()
    assert not lost
    eventually(lambda: not keys_of(client, "Sessions"))


def test_an_expiry_is_a_remove_by_the_service(home):
    client, streams = connect(home.endpoint), connect(home.endpoint, service="dynamodbstreams")
    client.create_table(**create("Identity", "pk:S sk:N", lsi=[("ByL", "pk:S l:N", "ALL")], gsi=[("ByG", "g:S", "ALL")], **STREAMING).body)
    enable(client, "Identity")
    item = {"pk": S("a"), "sk": N(1), "l": N(2), "g": S("x"), "expires": N(int(time.time()) - 5)}
    client.put_item(TableName="Identity", Item=item)
    client.put_item(TableName="Identity", Item={"pk": S("b"), "sk": N(1)})
    client.delete_item(TableName="Identity", Key={"pk": S("b"), "sk": N(1)})
    arn = client.describe_table(TableName="Identity")["Table"]["LatestStreamArn"]
    records = wait_for_records(streams, arn, 4, LEAVES_WITHIN_SECONDS)
    identity = {(record["dynamodb"]["Keys"]["pk"]["S"], record["eventName"]): record.get("userIdentity") for record in records}
    assert identity == {("a", "INSERT"): None, ("b", "INSERT"): None, ("b", "REMOVE"): None,
        ("a", "REMOVE"): {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}}
    removed, = (record for record in records if brief(record)[0] == "REMOVE" and brief(record)[1]["pk"] == S("a"))
    assert brief(removed) == ("REMOVE", {"pk": S("a"), "sk": N(1)}, item, None)
    for index in ("ByL", "ByG"):
        assert client.scan(TableName="Identity", IndexName=index)["Count"] == 0


def test_a_hundred_thousand_items_expire(home):
    """Half are there before it is switched on, half come after; indexes and stream follow, and the others stay."""
    client, stream = connect(home.endpoint), Stream(home.endpoint)
    client.create_table(**create("Expiring", "pk:S sk:N", lsi=[("ByL", "pk:S l:N", "KEYS_ONLY")], gsi=[("ByG", "g:S", "KEYS_ONLY")],
        **STREAMING).body)
    arn = client.describe_table(TableName="Expiring")["Table"]["LatestStreamArn"]
    past, future = int(time.time()) - DAY, int(time.time()) + DAY

    def item(number, expires):
        return {"pk": S(f"p{number % 1000}"), "sk": N(number), "l": N(-number), "g": S(f"g{number % 100}"), "expires": N(expires)}

    half, kept = EXPIRING // 2, [item(EXPIRING + number, future) for number in range(1000)]
    load(home.endpoint, "Expiring", [item(number, past) for number in range(half)] + kept)
    assert count(home.endpoint, "Expiring") == half + len(kept)
    enable(client, "Expiring")
    load(home.endpoint, "Expiring", [item(number, past) for number in range(half, EXPIRING)])
    took = eventually(lambda: count(home.endpoint, "Expiring") == len(kept), 60)
    assert status(client, "Expiring")["TimeToLiveStatus"] == "ENABLED"

    def keyed(items):
        return {(each["pk"]["S"], each["sk"]["N"]) for each in items}

    assert keyed(scan(home.endpoint, "Expiring")) == keyed(kept)
    for index in ("ByL", "ByG"):
        assert keyed(scan(home.endpoint, "Expiring", IndexName=index)) == keyed(kept)
    inserted, removed = set(), set()
    for shard in stream.call("DescribeStream", StreamArn=arn)["StreamDescription"]["Shards"]:
        at = stream.call("GetShardIterator", StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while at:
            page = stream.call("GetRecords", ShardIterator=at)
            for record in page["Records"]:
                key = record["dynamodb"]["Keys"]["pk"]["S"], record["dynamodb"]["Keys"]["sk"]["N"]
                if record["eventName"] == "INSERT":
                    inserted.add(key)
                    continue
                assert record["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
                assert record["eventName"] == "REMOVE" and key not in removed
                assert record["dynamodb"]["OldImage"]["expires"] == N(past)
                removed.add(key)
            at = page.get("NextShardIterator") if page["Records"] else None
    assert len(removed) == EXPIRING and inserted == removed | keyed(kept)
    assert client.describe_table(TableName="Expiring")["Table"]["ItemCount"] in (len(kept), len(removed) + len(kept), 0)
    print(f"{EXPIRING} items were gone {took:.1f} s after the last was written")


def test_expiry_goes_on_after_kill_9(own_server):
    running = own_server()
    client = connect(running.endpoint)
    client.create_table(**create("Crashing", "pk:S", gsi=[("ByG", "g:S", "ALL")]).body)
    now = int(time.time())
    load(running.endpoint, "Crashing", [{"pk": S(f"k{n}"), "g": S("g"), "expires": N(now - 60)} for n in range(10_000)])
    enable(client, "Crashing")
    time.sleep(0.1)
    running.restart("kill")
    client.put_item(TableName="Crashing", Item={"pk": S("later"), "g": S("g"), "expires": N(int(time.time()) + 1)})
    eventually(lambda: count(running.endpoint, "Crashing") == 0, 40)
    assert count(running.endpoint, "Crashing", IndexName="ByG") == 0
    assert status(client, "Crashing") == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
