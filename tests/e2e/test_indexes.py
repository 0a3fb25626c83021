"""Local and global secondary indexes: projections, sparseness, ties, reads of what is not projected, several key attributes."""

import pytest
from answers import N, S, every_item, refusal, refused

INVALID = "ValidationException"


@pytest.fixture(scope="module")
def table(client):
    """A table with an index of each projection, local and global."""
    from differential.scenario import create

    local = [("LocalKeys", "pk:S lk:N", "KEYS_ONLY"), ("LocalSome", "pk:S lk:N", ("some",)), ("LocalAll", "pk:S lk:N", "ALL")]
    world = [("Keys", "gh:S gr:N", "KEYS_ONLY"), ("Some", "gh:S gr:N", ("some",)), ("All", "gh:S gr:N", "ALL"),
        ("Flipped", "sk:N pk:S", "KEYS_ONLY")]
    client.create_table(**create("Indexed", "pk:S sk:N", local, world).body)
    for n in range(4):
        client.put_item(TableName="Indexed", Item=item(n))
    client.put_item(TableName="Indexed", Item={"pk": S("p"), "sk": N(100)})
    yield "Indexed"
    client.delete_table(TableName="Indexed")


def item(n):
    """An item that is in every index."""
    return {"pk": S("p"), "sk": N(n), "lk": N(-n), "gh": S("g"), "gr": N(10 - n), "some": S(f"s{n}"), "rest": S("r" * 10)}


def of(table, index, **more):
    """A query of everything under one index key."""
    name, value = ("pk", "p") if index.startswith("Local") else ("gh", "g")
    return {"TableName": table, "IndexName": index, "KeyConditionExpression": f"{name} = :v", "ExpressionAttributeValues": {":v": S(value)},
        **more}


@pytest.mark.parametrize("index,names", [
    ("LocalKeys", {"pk", "sk", "lk"}), ("LocalSome", {"pk", "sk", "lk", "some"}), ("LocalAll", set(item(0))),
    ("Keys", {"pk", "sk", "gh", "gr"}), ("Some", {"pk", "sk", "gh", "gr", "some"}), ("All", set(item(0))),
])
def test_an_index_holds_its_projection_in_its_order(client, table, index, names):
    found = client.query(**of(table, index))["Items"]
    assert [row["sk"]["N"] for row in found] == ["3", "2", "1", "0"]
    assert all(set(row) == names for row in found)
    scanned = client.scan(TableName=table, IndexName=index)
    assert scanned["Count"] == 4 and all(set(row) == names for row in scanned["Items"])


def test_an_index_over_the_tables_own_key(client, table):
    found = client.query(TableName=table, IndexName="Flipped", KeyConditionExpression="sk = :n AND pk = :p",
        ExpressionAttributeValues={":n": N(100), ":p": S("p")})
    assert found["Items"] == [{"pk": S("p"), "sk": N(100)}]
    assert client.scan(TableName=table, IndexName="Flipped")["Count"] == 5


def test_a_local_index_fetches_what_it_does_not_hold(client, table):
    assert client.query(**of(table, "LocalKeys", Select="ALL_ATTRIBUTES"))["Items"] == [item(n) for n in (3, 2, 1, 0)]
    assert client.query(**of(table, "LocalKeys", ProjectionExpression="rest"))["Items"] == [{"rest": S("r" * 10)}] * 4


def test_a_global_index_refuses_what_it_does_not_hold(client, table):
    with refused(INVALID,
        "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index Keys because its projection type is not ALL"):
        client.query(**of(table, "Keys", Select="ALL_ATTRIBUTES"))
    with refused(INVALID, "One or more parameter values were invalid: Global secondary index Keys does not project [rest]"):
        client.query(**of(table, "Keys", ProjectionExpression="rest"))
    assert client.query(**of(table, "All", Select="ALL_ATTRIBUTES"))["Count"] == 4


@pytest.mark.dynamodb_local_differs("says: Consistent read cannot be true when querying a GSI")
def test_a_global_index_has_no_strong_reads(client, table):
    with refused(INVALID, "Consistent reads are not supported on global secondary indexes"):
        client.query(**of(table, "All", ConsistentRead=True))
    with refused(INVALID, "Consistent reads are not supported on global secondary indexes"):
        client.scan(TableName=table, IndexName="All", ConsistentRead=True)
    assert client.query(**of(table, "LocalAll", ConsistentRead=True))["Count"] == 4


def test_an_unknown_index_is_named(client, table):
    code, message = refusal(client.query, **of(table, "Nope"))
    assert (code, message) == (INVALID, "The table does not have the specified index: Nope")


def test_pages_of_an_index_carry_both_keys(client, table):
    for index, names in (("LocalAll", {"pk", "sk", "lk"}), ("All", {"pk", "sk", "gh", "gr"})):
        first = client.query(**of(table, index, Limit=3))
        assert set(first["LastEvaluatedKey"]) == names
        rest = client.query(**of(table, index, ExclusiveStartKey=first["LastEvaluatedKey"]))
        assert [row["sk"]["N"] for row in first["Items"] + rest["Items"]] == ["3", "2", "1", "0"]


def test_sparse_entries_come_and_go(client, make_table):
    table = make_table("pk:S", gsi=[("ByG", "g:S", "ALL")])

    def under(value):
        return client.query(TableName=table, IndexName="ByG", KeyConditionExpression="g = :g",
            ExpressionAttributeValues={":g": S(value)})["Items"]

    client.put_item(TableName=table, Item={"pk": S("a")})
    assert under("x") == [] and client.scan(TableName=table, IndexName="ByG")["Count"] == 0
    client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression="SET g = :g", ExpressionAttributeValues={":g": S("x")})
    assert under("x") == [{"pk": S("a"), "g": S("x")}]
    client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression="SET g = :g, v = :g", ExpressionAttributeValues={":g": S("y")})
    assert under("x") == [] and under("y") == [{"pk": S("a"), "g": S("y"), "v": S("y")}]
    client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression="REMOVE g")
    assert under("y") == []
    client.put_item(TableName=table, Item={"pk": S("a"), "g": S("z")})
    client.delete_item(TableName=table, Key={"pk": S("a")})
    assert under("z") == [] and client.scan(TableName=table, IndexName="ByG")["Count"] == 0


def test_ties_on_an_index_key_are_all_there_and_page_well(client, make_table):
    table = make_table("pk:S sk:N", lsi=[("Same", "pk:S lk:N", "ALL")], gsi=[("ByG", "g:S gr:N", "KEYS_ONLY")])
    for n in range(20):
        client.put_item(TableName=table, Item={"pk": S(f"p{n % 5}" if n % 2 else "p"), "sk": N(n), "lk": N(1), "g": S("g"), "gr": N(1)})
    query = {"TableName": table, "IndexName": "ByG", "KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": S("g")}}
    for forward in (True, False):
        found = [row["sk"]["N"] for row in every_item(client.query, **query, Limit=3, ScanIndexForward=forward)]
        assert sorted(map(int, found)) == list(range(20))
    local = every_item(client.query, TableName=table, IndexName="Same", KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": S("p")}, Limit=3)
    assert sorted(int(row["sk"]["N"]) for row in local) == list(range(0, 20, 2))


@pytest.mark.dynamodb_local_differs("does not name key and index")
def test_a_wrongly_typed_index_key_is_named(client, make_table):
    table = make_table("pk:S", gsi=[("ByG", "g:S", "ALL")])
    for value, actual in ((N(1), "N"), ({"B": b"a"}, "B")):
        said = f"One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: {actual} IndexName: ByG"
        assert refusal(client.put_item, TableName=table, Item={"pk": S("a"), "g": value}) == (INVALID, said)
        assert refusal(client.batch_write_item, RequestItems={table: [{"PutRequest": {"Item": {"pk": S("a"), "g": value}}}]}) == (INVALID,
            said)


@pytest.mark.parametrize("value", [N(1), {"NULL": True}, {"L": []}, {"SS": ["a"]}, {"BOOL": True}, {"B": b"a"}])
def test_a_wrongly_typed_index_key_is_refused(client, make_table, value):
    table = make_table("pk:S", gsi=[("ByG", "g:S", "ALL")])
    assert refusal(client.put_item, TableName=table, Item={"pk": S("a"), "g": value})[0] == INVALID
    assert refusal(client.batch_write_item, RequestItems={table: [{"PutRequest": {"Item": {"pk": S("a"), "g": value}}}]})[0] == INVALID
    assert client.scan(TableName=table)["Count"] == 0


@pytest.mark.dynamodb_local_differs("lets updates write wrongly typed index keys")
def test_an_update_may_not_write_a_wrongly_typed_index_key(client, make_table):
    table = make_table("pk:S", gsi=[("ByG", "g:S", "ALL")])
    for value in (N(1), {"NULL": True}, {"B": b"a"}, {"SS": ["a"]}):
        for update in ({"UpdateExpression": "SET g = :g", "ExpressionAttributeValues": {":g": value}},
            {"AttributeUpdates": {"g": {"Value": value}}}):
            assert refusal(client.update_item, TableName=table, Key={"pk": S("a")}, **update)[0] == INVALID
    assert client.scan(TableName=table)["Count"] == 0


def test_an_empty_index_key_is_refused(client, make_table):
    table = make_table("pk:S", gsi=[("ByG", "g:S", "ALL")])
    code, message = refusal(client.put_item, TableName=table, Item={"pk": S("a"), "g": S("")})
    assert code == INVALID and "cannot contain an empty string value" in message and "ByG" in message


@pytest.fixture(scope="module")
def many(client):
    """A GSI with two partition and three sort attributes; DynamoDB since November 2025."""
    definitions = [("pk", "S"), ("h1", "S"), ("h2", "N"), ("r1", "S"), ("r2", "N"), ("r3", "S")]
    client.create_table(
        TableName="Many", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in definitions],
        GlobalSecondaryIndexes=[{"IndexName": "Wide", "Projection": {"ProjectionType": "KEYS_ONLY"},
        "KeySchema": [{"AttributeName": n, "KeyType": "HASH" if n[0] == "h" else "RANGE"} for n, _ in definitions[1:]]}],
    )
    for n in range(24):
        client.put_item(TableName="Many", Item={"pk": S(f"i{n:02}"), "h1": S("a"), "h2": N(1), "r1": S("xy"[n % 2]), "r2": N(n // 2 % 3),
            "r3": S(f"z{n // 6}"), "more": S("x")})
    client.put_item(TableName="Many", Item={"pk": S("other"), "h1": S("a"), "h2": N(2), "r1": S("x"), "r2": N(0), "r3": S("z")})
    client.put_item(TableName="Many", Item={"pk": S("sparse"), "h1": S("a"), "h2": N(1), "r1": S("x"), "r2": N(0)})
    yield "Many"
    client.delete_table(TableName="Many")


VALUES = {":a": S("a"), ":1": N(1), ":x": S("x"), ":0": N(0), ":z": S("z1"), ":zz": S("z")}


def wide(text, **more):
    """A query of the wide index."""
    words = text.replace(")", " ").replace(",", " ").split()
    return {"TableName": "Many", "IndexName": "Wide", "KeyConditionExpression": text,
        "ExpressionAttributeValues": {name: value for name, value in VALUES.items() if name in words}, **more}


MULTI = pytest.mark.dynamodb_local_differs("knows one partition and one sort attribute only")


def expected(keep):
    """Names of the items that `keep` keeps, in the order of the index."""
    rows = [("xy"[n % 2], n // 2 % 3, f"z{n // 6}", f"i{n:02}") for n in range(24)]
    return [name for r1, r2, r3, name in sorted(row for row in rows if keep(*row[:3]))]


@pytest.mark.parametrize("text,keep", [
    ("h1 = :a AND h2 = :1", lambda r1, r2, r3: True), ("h2 = :1 AND h1 = :a", lambda r1, r2, r3: True),
    ("h1 = :a AND h2 = :1 AND r1 = :x", lambda r1, r2, r3: r1 == "x"), ("h1 = :a AND h2 = :1 AND r1 > :x", lambda r1, r2, r3: r1 > "x"),
    ("h1 = :a AND h2 = :1 AND r1 = :x AND r2 >= :1", lambda r1, r2, r3: r1 == "x" and r2 >= 1),
    ("r2 = :0 AND h1 = :a AND r1 = :x AND h2 = :1 AND begins_with(r3, :zz)", lambda r1, r2, r3: r1 == "x" and r2 == 0),
    ("h1 = :a AND h2 = :1 AND r1 = :x AND r2 = :1 AND r3 = :z", lambda r1, r2, r3: (r1, r2, r3) == ("x", 1, "z1")),
    ("h1 = :a AND h2 = :1 AND r1 = :x AND r2 BETWEEN :0 AND :1", lambda r1, r2, r3: r1 == "x" and r2 <= 1),
])
@pytest.mark.parametrize("limit", [100, 5])
@MULTI
def test_several_key_attributes(client, many, text, keep, limit):
    for forward in (True, False):
        found = [row["pk"]["S"] for row in every_item(client.query, **wide(text, Limit=limit, ScanIndexForward=forward))]
        assert found == (expected(keep) if forward else expected(keep)[::-1])


@pytest.mark.parametrize("text,message", [
    ("h1 = :a AND h2 = :1 AND r1 = :x AND r3 = :z",
    "RANGE key attributes r2 must have equality conditions specified in the query because a condition is present on key attribute r3"),
    ("h1 = :a AND h2 = :1 AND r2 = :0",
    "RANGE key attributes r1 must have equality conditions specified in the query because a condition is present on key attribute r2"),
    ("h1 = :a AND h2 = :1 AND r1 > :x AND r2 = :0",
    "RANGE key attributes r1 must have equality conditions specified in the query because a condition is present on key attribute r2"),
    ("h1 = :a", None), ("h1 = :a AND r1 = :x", None), ("h1 = :a AND h2 > :1", None),
])
@MULTI
def test_gaps_in_several_key_attributes(client, many, text, message):
    code, said = refusal(client.query, **wide(text))
    assert code == INVALID
    if message:
        assert said == message


@MULTI
def test_a_page_of_several_key_attributes_carries_them_all(client, many):
    assert set(client.query(**wide("h1 = :a AND h2 = :1", Limit=1))["LastEvaluatedKey"]) == {"pk", "h1", "h2", "r1", "r2", "r3"}


def test_a_local_index_has_one_sort_attribute(client):
    from differential.scenario import create

    body = create("Refused", "pk:S sk:S", lsi=[("Wide", "pk:S a:S b:S", "ALL")]).body
    assert refusal(client.create_table, **body)[0] == INVALID
