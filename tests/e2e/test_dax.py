"""DAX through its official Python client: the same answers as over HTTP, what the caches promise, who is let in, hostile input."""

import ast
import copy
import json
import os
import random
import socket
import subprocess
import threading
import time

import amazondax
import boto3
import pytest
import trustme
from answers import N, S
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import connect
from partita_process import BINARY, Partita
from test_clock import advance

from differential.scenario import create
from differential.servers import free_port

pytestmark = pytest.mark.skipif(bool(os.environ.get("PARTITA_TEST_ENDPOINT")), reason="needs a process of its own")

KEY, SECRET = "AKIAROOTROOTROOTROOT", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROOT = {"PARTITA_ROOT_ACCESS_KEY_ID": KEY, "PARTITA_ROOT_SECRET_ACCESS_KEY": SECRET}
HELLO = b"gJ7yne5G\x00\xf6\xa1iUserAgentat\x00"


class Node(Partita):
    """A server in memory that speaks DAX too."""

    def __init__(self, *arguments, scheme="dax", environment=None):
        self.dax_port = free_port()
        self.dax = f"{scheme}://127.0.0.1:{self.dax_port}"
        super().__init__("--in-memory", "--dax-listen", self.dax, *arguments, environment=environment)


def accelerated(node, key="AKIAIOSFODNN7EXAMPLE", secret="secret", **more):
    """The official client."""
    session = boto3.Session(region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret)
    return amazondax.AmazonDaxClient(session, endpoint_url=node.dax, region_name="us-east-1", **more)


@pytest.fixture(scope="module")
def node():
    with Node("--test-clock") as running:
        yield running


@pytest.fixture(scope="module")
def http(node):
    return connect(node.endpoint)


@pytest.fixture(scope="module")
def dax(node):
    client = accelerated(node)
    yield client
    client.close()


NUMBER = iter(range(1, 10_000))


@pytest.fixture
def table(http):
    def make(keys="pk:S", **more):
        name = f"Dax{next(NUMBER)}"
        http.create_table(**create(name, keys, **more).body)
        return name

    return make


def outcome(call, parameters):
    """What a call answers, or the code and message that it fails with."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["Error"]["Message"]
    answer.pop("ResponseMetadata", None)
    return answer


def code(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def consumed(client, table, key, **more):
    """What a GetItem consumes; nothing when it is answered from the cache."""
    answer = client.get_item(TableName=table, Key=key, ReturnConsumedCapacity="TOTAL", **more)
    return answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0)


ALL_TYPES = {
    "pk": S("a"), "s": S("ä\"\\"), "n": N("-12.5"), "big": N("12345678901234567890123456789012345678"), "b": {"B": b"\x00\xff"},
    "t": {"BOOL": True}, "f": {"BOOL": False}, "nothing": {"NULL": True}, "l": {"L": [S(""), N("1"), {"L": []}]},
    "m": {"M": {"x": {"M": {"y": {"L": [N("7"), S("z")]}}}, "size": N("1")}}, "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": [b"\x00", b"\x01"]},
}
A, COUNT = {"pk": S("a")}, {"#c": "count"}
ONE = {":o": N("1")}

# Each is done through both clients, on a table of its own.
ITEMS = [
    ("put_item", {"Item": ALL_TYPES}),
    ("get_item", {"Key": A}),
    ("get_item", {"Key": A, "ConsistentRead": True, "ReturnConsumedCapacity": "INDEXES"}),
    ("get_item", {"Key": A, "ProjectionExpression": "m.x.y[1], l[0], #n, nowhere", "ExpressionAttributeNames": {"#n": "n"}}),
    ("get_item", {"Key": A, "ProjectionExpression": "nowhere"}),
    ("get_item", {"Key": {"pk": S("none")}}),
    ("get_item", {"Key": A, "AttributesToGet": ["s", "n"]}),
    ("put_item", {"Item": {"pk": S("a"), "s": S("new")}, "ReturnValues": "ALL_OLD", "ReturnConsumedCapacity": "TOTAL"}),
    ("put_item", {"Item": A, "ConditionExpression": "attribute_not_exists(pk)"}),
    ("put_item", {"Item": {**A, "x": N("3")}, "Expected": {"s": {"Value": S("new")}}}),
    ("update_item", {"Key": A, "UpdateExpression": "SET #c = if_not_exists(#c, :o) + :o, l = list_append(:l, :l) REMOVE x ADD q :o",
                     "ExpressionAttributeNames": COUNT, "ExpressionAttributeValues": {**ONE, ":l": {"L": [S("e")]}}, "ReturnValues": "ALL_NEW"}),
    ("update_item", {"Key": A, "UpdateExpression": "SET #c = #c - :o", "ExpressionAttributeNames": COUNT,
                     "ExpressionAttributeValues": ONE, "ReturnValues": "UPDATED_NEW"}),
    ("update_item", {"Key": A, "UpdateExpression": "ADD tags :t", "ExpressionAttributeValues": {":t": {"SS": ["u", "v"]}}}),
    ("update_item", {"Key": A, "UpdateExpression": "DELETE tags :t", "ExpressionAttributeValues": {":t": {"SS": ["u"]}},
                     "ReturnValues": "UPDATED_OLD"}),
    ("update_item", {"Key": A, "UpdateExpression": "SET z = :o", "ReturnValues": "ALL_OLD",
                     "ConditionExpression": "#c > :zero AND (z = :o OR NOT attribute_exists(z)) AND #c BETWEEN :zero AND :ten",
                     "ExpressionAttributeNames": COUNT, "ExpressionAttributeValues": {**ONE, ":zero": N("0"), ":ten": N("10")}}),
    ("update_item", {"Key": A, "AttributeUpdates": {"w": {"Action": "PUT", "Value": S("w")}}, "ReturnValues": "ALL_NEW"}),
    ("update_item", {"Key": A, "UpdateExpression": "SET pk = :o", "ExpressionAttributeValues": ONE}),
    ("update_item", {"Key": A, "UpdateExpression": "SET w = w + :o", "ExpressionAttributeValues": ONE}),
    ("delete_item", {"Key": A, "ConditionExpression": "w IN (:a, :b)", "ExpressionAttributeValues": {":a": S("w"), ":b": N("1")},
                     "ReturnValues": "ALL_OLD"}),
    ("get_item", {"Key": A}),
    ("delete_item", {"Key": A}),
]


def compared(http, dax, tables, operations):
    """Does the same through both, and compares all answers."""
    for at, (operation, parameters) in enumerate(operations):
        answers = []
        for client, name in ((http, tables[0]), (dax, tables[1])):
            given = parameters(name) if callable(parameters) else {"TableName": name, **parameters}
            answers.append(ast.literal_eval(repr(outcome(getattr(client, operation), copy.deepcopy(given))).replace(name, "TABLE")))
        assert answers[0] == answers[1], (at, operation)


def test_items_have_the_same_answers(http, dax, table):
    compared(http, dax, (table(), table()), ITEMS)


def test_queries_and_scans_have_the_same_answers(http, dax, table):
    names = [table("pk:S sk:N") for _ in range(2)]
    for name in names:
        for at in range(-3, 12):
            http.put_item(TableName=name, Item={"pk": S("p"), "sk": N(str(at * 10)), "v": S(f"v{at % 3}"), "m": {"M": {"l": {"L": [N("1"), N("2")]}}}})
    p = {":p": S("p")}
    compared(http, dax, names, [
        ("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": p}),
        ("query", {"KeyConditionExpression": "pk = :p AND sk BETWEEN :a AND :b", "ExpressionAttributeValues": {**p, ":a": N("-10"), ":b": N("30")},
                   "ScanIndexForward": False, "ReturnConsumedCapacity": "INDEXES"}),
        ("query", {"KeyConditionExpression": "pk = :p AND sk >= :a", "ExpressionAttributeValues": {**p, ":a": N("0"), ":v": S("v1")},
                   "FilterExpression": "v = :v OR size(v) > :a", "Limit": 4}),
        ("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": p, "Limit": 2, "ConsistentRead": True,
                   "ExclusiveStartKey": {"pk": S("p"), "sk": N("100")}}),
        ("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": p, "ProjectionExpression": "m.l[1], v", "Limit": 3}),
        ("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": p, "Select": "COUNT"}),
        ("query", {"KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [S("p")]}}, "Limit": 1}),
        ("query", {"KeyConditionExpression": "sk = :p", "ExpressionAttributeValues": p}),
        ("scan", {}),
        ("scan", {"FilterExpression": "begins_with(v, :v) AND contains(v, :v) AND attribute_type(v, :t)",
                  "ExpressionAttributeValues": {":v": S("v2"), ":t": S("S")}}),
        ("scan", {"Segment": 0, "TotalSegments": 2, "Select": "COUNT", "ReturnConsumedCapacity": "TOTAL"}),
        ("scan", {"Segment": 5, "TotalSegments": 2}),
        ("scan", {"IndexName": "none"}),
    ])


def test_indexes_are_queried_page_by_page(http, dax, table):
    name = f"Dax{next(NUMBER)}"
    http.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": a, "AttributeType": t} for a, t in (("pk", "B"), ("g", "S"), ("r", "N"))],
        GlobalSecondaryIndexes=[{"IndexName": "byg", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
            {"AttributeName": "g", "KeyType": "HASH"}, {"AttributeName": "r", "KeyType": "RANGE"}]}],
    )
    for at in range(5):
        dax.put_item(TableName=name, Item={"pk": {"B": bytes([at, 255])}, "g": S("g"), "r": N(f"{at}.5"), "x": S(str(at))})
    pages = []
    for client in (http, dax):
        found, start = [], {}
        while True:
            page = client.query(TableName=name, IndexName="byg", KeyConditionExpression="g = :g", ExpressionAttributeValues={":g": S("g")}, Limit=2, **start)
            found.append(page["Items"])
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        pages.append(found)
    assert pages[0] == pages[1] and [len(page) for page in pages[0]] in ([2, 2, 1], [2, 2, 1, 0])


def test_batches_and_transactions_have_the_same_answers(http, dax, table):
    def many(name):
        return {"RequestItems": {name: [{"PutRequest": {"Item": {"pk": S(f"k{at}"), "n": N(str(at))}}} for at in range(20)]
                                 + [{"DeleteRequest": {"Key": {"pk": S("gone")}}}]}, "ReturnConsumedCapacity": "TOTAL"}

    def members(name, condition):
        return {"TransactItems": [
            {"Put": {"TableName": name, "Item": {"pk": S("t"), "x": S("y")}}},
            {"Update": {"TableName": name, "Key": {"pk": S("k1")}, "UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": N("5")}}},
            {"Delete": {"TableName": name, "Key": {"pk": S("k2")}}},
            {"ConditionCheck": {"TableName": name, "Key": {"pk": S("k3")}, "ConditionExpression": condition,
                                "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}}], "ReturnConsumedCapacity": "INDEXES"}

    compared(http, dax, (table(), table()), [
        ("batch_write_item", many),
        ("transact_write_items", lambda name: members(name, "attribute_exists(pk)")),
        ("transact_write_items", lambda name: members(name, "attribute_not_exists(pk)")),
        ("transact_get_items", lambda name: {"TransactItems": [
            {"Get": {"TableName": name, "Key": {"pk": S("t")}}}, {"Get": {"TableName": name, "Key": {"pk": S("k2")}}},
            {"Get": {"TableName": name, "Key": {"pk": S("k1")}, "ProjectionExpression": "n"}}], "ReturnConsumedCapacity": "TOTAL"}),
        ("batch_get_item", lambda name: {"RequestItems": {name: {"Keys": [{"pk": S("k7")}]}}}),
        ("batch_get_item", lambda name: {"RequestItems": {name: {"Keys": [{"pk": S("k7")}], "ProjectionExpression": "n"}}}),
    ])
    name = table()
    dax.batch_write_item(**{"RequestItems": many(name)["RequestItems"]})
    keys = [{"pk": S(f"k{at}")} for at in range(25)]
    for _ in range(2):
        found = dax.batch_get_item(RequestItems={name: {"Keys": keys}})["Responses"][name]
        assert sorted(int(item["n"]["N"]) for item in found) == list(range(20))


def test_errors_are_the_clients_own_exceptions(http, dax, table):
    name = table()
    assert code(dax.get_item, TableName="Nowhere", Key=A) == "ResourceNotFoundException"
    dax.put_item(TableName=name, Item=A)
    assert code(dax.put_item, TableName=name, Item=A, ConditionExpression="attribute_not_exists(pk)") == "ConditionalCheckFailedException"
    assert code(dax.put_item, TableName=name, Item={"pk": S("b"), "x": S("x" * 409_600)}) == "ValidationException"
    assert code(dax.query, TableName=name, KeyConditionExpression="x = :x", ExpressionAttributeValues={":x": S("x")}) == "ValidationException"
    with pytest.raises(amazondax.DaxError.DaxServiceError) as caught:
        dax.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": A, "ConditionExpression": "attribute_not_exists(pk)"}}])
    assert caught.value.code == "TransactionCanceledException" and caught.value.cancellation_reasons[0] == "ConditionalCheckFailed"


def test_an_item_is_read_once_and_follows_every_write_of_the_node(node, http, dax, table):
    name = table()
    key = {"pk": S("k")}

    def seen():
        return dax.get_item(TableName=name, Key=key).get("Item", {}).get("v", {}).get("N")

    assert seen() is None and consumed(dax, name, key) == 0, "that there is none is kept too"
    http.put_item(TableName=name, Item={**key, "v": N("1")})
    assert seen() == "1" and consumed(dax, name, key) == 0
    assert consumed(dax, name, key, ConsistentRead=True) == 1, "consistent reads are passed on"
    writes = [
        lambda v: http.update_item(TableName=name, Key=key, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": N(v)}),
        lambda v: http.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": {**key, "v": N(v)}}}]}),
        lambda v: http.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": {**key, "v": N(v)}}}]),
        lambda v: http.execute_statement(Statement=f'UPDATE "{name}" SET v = {v} WHERE pk = \'k\''),
        lambda v: dax.put_item(TableName=name, Item={**key, "v": N(v)}),
        lambda v: dax.update_item(TableName=name, Key=key, UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": N(v)}),
        lambda v: dax.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": {**key, "v": N(v)}}}]}),
        lambda v: dax.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": {**key, "v": N(v)}}}]),
    ]
    for at, write in enumerate(writes, 2):
        write(str(at))
        assert seen() == str(at) and consumed(dax, name, key) == 0, at
    http.delete_item(TableName=name, Key=key)
    assert seen() is None
    dax.put_item(TableName=name, Item={"pk": S("written"), "v": N("1")})
    assert consumed(dax, name, {"pk": S("written")}) == 0, "written through"
    http.delete_table(TableName=name)
    http.create_table(**create(name, "pk:S").body)
    assert consumed(dax, name, {"pk": S("written")}) == 0.5, "a new table of the old name has nothing of it"


def test_times_to_live_bound_how_old_answers_are(node, http, dax, table):
    name = table("pk:S sk:N")
    key = {"pk": S("p"), "sk": N("1")}
    ask = {"TableName": name, "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": S("p")}}
    http.put_item(TableName=name, Item=key)
    assert consumed(dax, name, key) == 0.5 and consumed(dax, name, key) == 0
    assert dax.query(**ask)["Count"] == 1 and dax.scan(TableName=name)["Count"] == 1
    http.put_item(TableName=name, Item={**key, "sk": N("2")})
    assert dax.query(**ask)["Count"] == 1 and dax.scan(TableName=name)["Count"] == 1, "queries are not told of writes"
    assert dax.query(**ask, ConsistentRead=True)["Count"] == 2
    assert dax.query(**ask, Limit=100)["Count"] == 2, "another request is another answer"
    advance(node.endpoint, {"Seconds": 299})
    assert dax.query(**ask)["Count"] == 1 and consumed(dax, name, key) == 0
    advance(node.endpoint, {"Seconds": 2})
    assert dax.query(**ask)["Count"] == 2 and dax.scan(TableName=name)["Count"] == 2
    assert consumed(dax, name, key) == 0.5


def test_items_that_expire_are_gone_for_dax_too(node, http, dax, table):
    name = table()
    http.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"})
    dax.put_item(TableName=name, Item={**A, "ends": N(str(int(time.time()) + 4000))})
    assert "Item" in dax.get_item(TableName=name, Key=A)
    # Less than the time to live of DAX's items each time, so that it is not that.
    for _ in range(30):
        advance(node.endpoint, {"Seconds": 250})
        dax.update_item(TableName=name, Key={"pk": S("other")}, UpdateExpression="ADD n :o", ExpressionAttributeValues=ONE)
    deadline = time.monotonic() + 15
    while "Item" in dax.get_item(TableName=name, Key=A):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_random_operations_through_both_doors_agree_with_a_model(http, dax, table):
    name, rng, model = table(), random.Random(9), {}
    for step in range(700):
        client, key = rng.choice((http, dax)), f"k{rng.randrange(12)}"
        where = {"TableName": name, "Key": {"pk": S(key)}}
        match rng.randrange(7):
            case 0:
                model[key] = step
                client.put_item(TableName=name, Item={"pk": S(key), "v": N(str(step)), f"a{rng.randrange(4)}": S("x")})
            case 1:
                model.pop(key, None)
                client.delete_item(**where)
            case 2:
                model[key] = model.get(key, 0) + step
                client.update_item(**where, UpdateExpression="ADD v :v", ExpressionAttributeValues={":v": N(str(step))})
            case 3:
                keys = rng.sample(range(12), 3)
                if rng.random() < 0.5:
                    client.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": {"pk": S(f"k{k}"), "v": N(str(step))}}} for k in keys]})
                else:
                    client.transact_write_items(TransactItems=[{"Put": {"TableName": name, "Item": {"pk": S(f"k{k}"), "v": N(str(step))}}} for k in keys])
                model.update({f"k{k}": step for k in keys})
            case 4:
                found = dax.batch_get_item(RequestItems={name: {"Keys": [{"pk": S(f"k{k}")} for k in range(12)]}})["Responses"][name]
                assert {item["pk"]["S"]: int(item["v"]["N"]) for item in found} == model, step
            case 5:
                found = dax.get_item(**where, ProjectionExpression="v").get("Item", {})
                assert found.get("v", {}).get("N") == (str(model[key]) if key in model else None), step
            case _:
                found = dax.get_item(**where).get("Item", {})
                assert found.get("v", {}).get("N") == (str(model[key]) if key in model else None), step


def test_nobody_sees_less_than_was_acknowledged_before_it_asked(node, http, table):
    name, acknowledged, wrong, ended = table(), [0], [], threading.Event()

    def read():
        with accelerated(node) as client:
            while not ended.is_set():
                before = acknowledged[0]
                seen = int(client.get_item(TableName=name, Key=A).get("Item", {}).get("v", N("0"))["N"])
                if seen < before:
                    wrong.append((before, seen))

    readers = [threading.Thread(target=read) for _ in range(4)]
    [reader.start() for reader in readers]
    with accelerated(node) as through:
        for value in range(1, 500):
            (http, through)[value % 2].update_item(TableName=name, Key=A, UpdateExpression="ADD v :o", ExpressionAttributeValues=ONE)
            acknowledged[0] = value
            if value % 50 == 0:
                time.sleep(0.02)
    ended.set()
    [reader.join(30) for reader in readers]
    assert not wrong


def test_the_management_api_shows_the_node(node):
    client = connect(node.endpoint, service="dax")
    cluster = client.describe_clusters()["Clusters"][0]
    assert cluster["Status"] == "available" and cluster["ClusterDiscoveryEndpoint"]["URL"] == node.dax
    values = {each["ParameterName"]: each["ParameterValue"] for each in client.describe_parameters(ParameterGroupName="partita")["Parameters"]}
    assert values == {"query-ttl-millis": "300000", "record-ttl-millis": "300000"}
    assert code(client.describe_clusters, ClusterNames=["other"]) in ("ClusterNotFoundFault", "ClusterNotFound")
    assert code(client.delete_cluster, ClusterName="partita") == "UnknownOperationException"


@pytest.fixture(scope="module")
def guarded():
    with Node("--auth", "on", environment=ROOT) as running:
        yield running


def test_only_who_may_read_an_item_is_answered_from_the_cache(guarded):
    root = boto3.client("dynamodb", endpoint_url=guarded.endpoint, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET)
    iam = boto3.client("iam", endpoint_url=guarded.endpoint, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET)
    root.create_table(**create("Guarded", "pk:S").body)
    made = {}
    for name, statement in {
        "reader": {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*",
                   "Condition": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["mine"]}}},
        "nobody": {"Effect": "Allow", "Action": "dynamodb:ListTables", "Resource": "*"},
    }.items():
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        made[name] = iam.create_access_key(UserName=name)["AccessKey"]
    mine, theirs = {"pk": S("mine")}, {"pk": S("theirs")}
    with accelerated(guarded, KEY, SECRET) as all_of_it:
        for key in (mine, theirs):
            all_of_it.put_item(TableName="Guarded", Item={**key, "secret": S("x")})
            assert consumed(all_of_it, "Guarded", key) == 0
        all_of_it.query(TableName="Guarded", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("mine")})
    keys = {name: (key["AccessKeyId"], key["SecretAccessKey"]) for name, key in made.items()}
    with accelerated(guarded, *keys["reader"]) as reader:
        assert reader.get_item(TableName="Guarded", Key=mine)["Item"]["secret"] == S("x")
        assert code(reader.get_item, TableName="Guarded", Key=theirs) == "AccessDeniedException"
        assert code(reader.batch_get_item, RequestItems={"Guarded": {"Keys": [mine, theirs]}}) == "AccessDeniedException"
        asked = {"TableName": "Guarded", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": S("mine")}}
        assert code(reader.query, **asked) == "AccessDeniedException"
        assert code(reader.put_item, TableName="Guarded", Item=mine) == "AccessDeniedException"
        # A key that is taken away does not hold for the connections that it has opened.
        iam.update_access_key(UserName="reader", AccessKeyId=keys["reader"][0], Status="Inactive")
        assert code(reader.get_item, TableName="Guarded", Key=mine) == "UnrecognizedClientException"
    with accelerated(guarded, *keys["nobody"]) as nobody:
        assert code(nobody.get_item, TableName="Guarded", Key=mine) == "AccessDeniedException"


def test_wrong_and_unknown_keys_are_refused(guarded):
    for key, secret in ((KEY, "wrong"), ("AKIANOBODYNOBODYNOBO", SECRET)):
        with pytest.raises(ClientError):
            accelerated(guarded, key, secret, config=Config(connect_timeout=1)).close()


def test_clients_over_tls_trust_the_certificate(monkeypatch, tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    secured = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    plain = free_port()

    class Secured(Node):
        @property
        def endpoint(self):
            return f"http://127.0.0.1:{plain}"

        def healthy(self):
            self.port, port = plain, self.port
            healthy = super().healthy()
            self.port = port
            return healthy

    with Secured("--listen", f"http://127.0.0.1:{plain}", *secured, scheme="daxs") as running:
        client = connect(running.endpoint)
        client.create_table(**create("Secured", "pk:S").body)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with accelerated(running) as dax:
            dax.put_item(TableName="Secured", Item=A)
            assert dax.get_item(TableName="Secured", Key=A)["Item"] == A


def test_what_is_not_permitted_is_not_listened_on():
    for arguments, words in (
        (["--dax-listen", "0.0.0.0:0"], "can be reached from other machines"),
        (["--dax-listen", "daxs://127.0.0.1:0"], "needs a certificate"),
        (["--dax-listen", "http://127.0.0.1:0"], "dax://"),
    ):
        ended = subprocess.run([str(BINARY), "serve", "--in-memory", "--listen", "127.0.0.1:0", *arguments],
            capture_output=True, text=True, timeout=20, check=False)
        assert ended.returncode != 0 and words in ended.stderr, ended.stderr


def test_an_empty_variable_is_none():
    with Partita("--in-memory", environment={"PARTITA_DAX_LISTEN": "", "PARTITA_DAX_ADVERTISE": ""}) as running:
        assert connect(running.endpoint).list_tables()["TableNames"] == []


def test_the_audit_log_tells_of_hits_too(tmp_path):
    log = tmp_path / "audit.log"
    with Node("--audit-log", str(log), "--audit-data-events") as running:
        connect(running.endpoint).create_table(**create("Told", "pk:S").body)
        with accelerated(running) as dax:
            dax.put_item(TableName="Told", Item={**A, "secret": S("hidden")})
            for _ in range(3):
                dax.get_item(TableName="Told", Key=A)
    lines = log.read_text().splitlines()
    names = [json.loads(line)["eventName"] for line in lines]
    assert names == ["CreateTable", "PutItem", "GetItem", "GetItem", "GetItem"] and "hidden" not in log.read_text()


def raw(node, *parts, wait=3):
    """What the server says to these bytes before it closes, and whether it has closed."""
    with socket.create_connection(("127.0.0.1", node.dax_port), timeout=wait) as stream:
        said = b""
        try:
            for part in parts:
                stream.sendall(part)
            while chunk := stream.recv(65536):
                said += chunk
        except (TimeoutError, ConnectionError) as error:
            return said, not isinstance(error, TimeoutError)
        return said, True


# The beginning of a GetItem: the service, and the method 263244906.
GET_ITEM = bytes.fromhex("011a0fb0cc6a")


def test_hostile_bytes_end_a_connection_and_nothing_else(node, dax, table):
    name = table()
    dax.put_item(TableName=name, Item=A)
    for parts in (
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
        [b"\x16\x03\x01\x02\x00" + b"x" * 600],
        [os.urandom(5000)],
        [b"\x9f" * 100_000],
        [HELLO, b"\x02\x00"],
        [HELLO, b"\x01\x00"],
        [HELLO, b"\xff" * 100],
        [HELLO, GET_ITEM + b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff"],
        [HELLO, GET_ITEM + b"\x5b\x00\x00\x00\xff\x00\x00\x00\x00"],
        [HELLO, GET_ITEM + b"\x9b\x00\x00\x00\xff\x00\x00\x00\x00" + b"\x81" * 500],
        [HELLO, GET_ITEM + b"\x81" * 200_000],
    ):
        said, closed = raw(node, *parts)
        assert closed, parts
    # Whole requests of nonsense are answered, and the connection goes on.
    nonsense = GET_ITEM + b"\x41x\x41y\xf6"
    said, closed = raw(node, HELLO, nonsense * 3, wait=1)
    assert not closed and said.count(b"ResourceNotFoundException") == 3
    cut = GET_ITEM + b"\x49"
    assert raw(node, HELLO, cut, wait=1) == (b"", False), "a request that is cut off is waited for"
    rng = random.Random(4)
    for _ in range(300):
        body = bytearray(GET_ITEM + bytes([0x40 + len(name)]) + name.encode() + b"\x41a\xbf\x00\x4a" + rng.randbytes(10) + b"\xff")
        body[rng.randrange(len(body))] = rng.randrange(256)
        with socket.create_connection(("127.0.0.1", node.dax_port), timeout=3) as stream:
            stream.sendall(HELLO + bytes(body))
    assert dax.get_item(TableName=name, Key=A)["Item"] == A
    assert node.process.poll() is None


def test_a_stranger_may_send_little(guarded):
    said, closed = raw(guarded, HELLO, GET_ITEM + b"\x5a\x00\x02\x00\x00" + b"x" * 0x20000)
    assert closed and b"too long" in said
    said, _ = raw(guarded, HELLO, GET_ITEM + b"\x41x\x41y\xf6", wait=1)
    assert b"MissingAuthenticationTokenException" in said
