"""ReturnConsumedCapacity to the unit: writes of 1 KB, reads of 4 KB (half for eventually consistent ones), indexes apart."""

import pytest
from answers import N, S, every_page

KEY = {"pk": S("a")}


@pytest.fixture
def table(make_table):
    """A table without indexes."""
    return make_table()


def of_size(size):
    """An item of exactly so many bytes: pk is 3, the name v is 1."""
    return {"pk": S("a"), "v": S("x" * (size - 4))}


def units(answer):
    """The total."""
    return answer["ConsumedCapacity"]["CapacityUnits"]


@pytest.mark.parametrize("size,write,read", [(10, 1, 0.5), (1024, 1, 0.5), (1025, 2, 0.5), (2048, 2, 0.5), (2049, 3, 0.5), (4096, 4, 0.5),
    (4097, 5, 1), (8192, 8, 1), (8193, 9, 1.5), (400_000, 391, 49)])
def test_one_item(client, table, size, write, read):
    item, cost = of_size(size), {"TableName": table, "ReturnConsumedCapacity": "TOTAL"}
    assert client.put_item(Item=item, **cost)["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": write}
    assert units(client.get_item(Key=KEY, **cost)) == read
    assert units(client.get_item(Key=KEY, ConsistentRead=True, **cost)) == read * 2
    assert units(client.get_item(Key=KEY, ProjectionExpression="pk", **cost)) == read
    assert units(client.query(KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("a")}, **cost)) == read
    assert units(client.scan(ConsistentRead=True, **cost)) == read * 2
    # The larger of the item before and after is what a write costs.
    assert units(client.put_item(Item=KEY, **cost)) == write
    assert units(client.put_item(Item=item, **cost)) == write
    assert units(client.update_item(Key=KEY, UpdateExpression="REMOVE v", **cost)) == write
    client.put_item(Item=item, TableName=table)
    assert units(client.delete_item(Key=KEY, **cost)) == write


def test_what_is_not_there(client, table):
    cost = {"TableName": table, "ReturnConsumedCapacity": "TOTAL"}
    assert units(client.get_item(Key=KEY, **cost)) == 0.5
    assert units(client.get_item(Key=KEY, ConsistentRead=True, **cost)) == 1
    assert units(client.delete_item(Key=KEY, **cost)) == 1


@pytest.mark.dynamodb_local_differs("charges nothing for an empty result; the documentation of Query says the minimum")
def test_a_query_without_results_costs_the_minimum(client, table):
    query = {"TableName": table, "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": S("a")},
        "ReturnConsumedCapacity": "TOTAL"}
    assert units(client.query(**query)) == 0.5
    assert units(client.query(**query, ConsistentRead=True)) == 1


def test_nothing_is_told_unasked(client, table):
    assert "ConsumedCapacity" not in client.put_item(TableName=table, Item=KEY)
    assert "ConsumedCapacity" not in client.put_item(TableName=table, Item=KEY, ReturnConsumedCapacity="NONE")


def test_indexes_are_told_apart_only_when_asked(client, table):
    assert client.put_item(TableName=table, Item=KEY, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"] == {"TableName": table,
        "CapacityUnits": 1, "Table": {"CapacityUnits": 1}}


def test_a_query_rounds_the_sum_of_its_items(client, make_table):
    table = make_table("pk:S sk:N")
    for n in range(10):
        client.put_item(TableName=table, Item={"pk": S("p"), "sk": N(n), "v": S("x" * 1000)})
    query = {"TableName": table, "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": S("p")},
        "ReturnConsumedCapacity": "TOTAL"}
    # pk 3 + sk 2+1..2 + v 1001: ten of them are a little over 10,000 bytes: three units of 4 KB, halved.
    assert units(client.query(**query)) == 1.5
    assert units(client.query(**query, ConsistentRead=True)) == 3
    assert units(client.query(**query, Limit=4)) == 0.5
    assert units(client.query(**query, Select="COUNT")) == 1.5
    assert units(client.query(**{**query, "ExpressionAttributeValues": {":p": S("p"), ":x": N(1)}}, FilterExpression="nope = :x")) == 1.5
    assert units(client.scan(TableName=table, ReturnConsumedCapacity="TOTAL", ConsistentRead=True)) == 3


def test_writes_cost_in_each_index_they_touch(client, make_table):
    table = make_table("pk:S sk:S", lsi=[("ByLk", "pk:S lk:N", "ALL")], gsi=[("ByG", "g:S", "ALL"), ("Some", "g:S", ("some",))])
    key = {"pk": S("a"), "sk": S("b")}

    def put(**attributes):
        return client.put_item(TableName=table, Item={**key, **attributes}, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]

    def cost(total, table_units, local=None, world=None):
        found = {"TableName": table, "CapacityUnits": total, "Table": {"CapacityUnits": table_units}}
        if local:
            found["LocalSecondaryIndexes"] = {name: {"CapacityUnits": value} for name, value in local.items()}
        if world:
            found["GlobalSecondaryIndexes"] = {name: {"CapacityUnits": value} for name, value in world.items()}
        return found

    assert put() == cost(1, 1)
    assert put(g=S("x")) == cost(3, 1, None, {"ByG": 1, "Some": 1})
    # Only what the index holds changed: the second index is not written.
    assert put(g=S("x"), rest=S("r")) == cost(2, 1, None, {"ByG": 1})
    # A changed index key deletes one entry and puts another.
    assert put(g=S("y"), rest=S("r")) == cost(5, 1, None, {"ByG": 2, "Some": 2})
    assert put(g=S("y"), rest=S("r")) == cost(1, 1)
    assert put(g=S("y"), rest=S("r"), lk=N(1)) == cost(3, 1, {"ByLk": 1}, {"ByG": 1})
    assert put(lk=N(1)) == cost(4, 1, {"ByLk": 1}, {"ByG": 1, "Some": 1})
    deleted = client.delete_item(TableName=table, Key=key, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert deleted == cost(2, 1, {"ByLk": 1})


@pytest.mark.dynamodb_local_differs("counts entries of indexes with the size of the whole item")
def test_an_index_entry_costs_what_it_holds(client, make_table):
    table = make_table("pk:S sk:S", lsi=[("Keys", "pk:S lk:N", "KEYS_ONLY")], gsi=[("All", "g:S", "ALL"), ("Some", "g:S", ("some",))])
    item = {"pk": S("a"), "sk": S("b"), "lk": N(1), "g": S("g"), "some": S("s" * 1500), "rest": S("r" * 3000)}
    cost = client.put_item(TableName=table, Item=item, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    # 4,5xx bytes: five units for the table and the index that holds all; two for 1,5xx bytes; one for the keys.
    assert cost["Table"] == {"CapacityUnits": 5}
    assert cost["LocalSecondaryIndexes"] == {"Keys": {"CapacityUnits": 1}}
    assert cost["GlobalSecondaryIndexes"] == {"All": {"CapacityUnits": 5}, "Some": {"CapacityUnits": 2}}
    assert cost["CapacityUnits"] == 13
    scanned = client.scan(TableName=table, IndexName="Some", ReturnConsumedCapacity="TOTAL")
    assert scanned["ConsumedCapacity"]["CapacityUnits"] == 0.5
    assert client.scan(TableName=table, IndexName="All", ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]["CapacityUnits"] == 1


def test_reads_through_an_index(client, make_table):
    table = make_table("pk:S sk:S", lsi=[("Keys", "pk:S lk:N", "KEYS_ONLY")], gsi=[("ByG", "g:S", "KEYS_ONLY")])
    for n in range(3):
        client.put_item(TableName=table, Item={"pk": S("p"), "sk": S(str(n)), "lk": N(n), "g": S("g"), "v": S("x" * 5000)})
    local = {"TableName": table, "IndexName": "Keys", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": S("p")},
        "ReturnConsumedCapacity": "INDEXES"}
    assert client.query(**local)["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 0.5, "Table": {"CapacityUnits": 0},
        "LocalSecondaryIndexes": {"Keys": {"CapacityUnits": 0.5}}}
    # What the index does not hold is fetched item by item from the table: 5,0xx bytes are one unit each.
    fetched = client.query(**local, Select="ALL_ATTRIBUTES")["ConsumedCapacity"]
    assert fetched == {"TableName": table, "CapacityUnits": 3.5, "Table": {"CapacityUnits": 3},
        "LocalSecondaryIndexes": {"Keys": {"CapacityUnits": 0.5}}}
    strong = client.query(**local, Select="ALL_ATTRIBUTES", ConsistentRead=True)["ConsumedCapacity"]
    assert (strong["CapacityUnits"], strong["Table"]["CapacityUnits"]) == (7, 6)
    world = client.query(TableName=table, IndexName="ByG", KeyConditionExpression="g = :g", ExpressionAttributeValues={":g": S("g")},
        ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert world == {"TableName": table, "CapacityUnits": 0.5, "Table": {"CapacityUnits": 0},
        "GlobalSecondaryIndexes": {"ByG": {"CapacityUnits": 0.5}}}


def test_batches_cost_item_by_item(client, make_table):
    one, two = make_table(), make_table()
    answer = client.batch_write_item(RequestItems={one: [{"PutRequest": {"Item": {"pk": S(str(n)), "v": S("x" * 1500)}}} for n in range(5)],
        two: [{"PutRequest": {"Item": KEY}}]}, ReturnConsumedCapacity="TOTAL")
    assert {each["TableName"]: each["CapacityUnits"] for each in answer["ConsumedCapacity"]} == {one: 10, two: 1}
    answer = client.batch_get_item(RequestItems={one: {"Keys": [{"pk": S(str(n))} for n in range(5)]},
        two: {"Keys": [KEY], "ConsistentRead": True}}, ReturnConsumedCapacity="TOTAL")
    assert {each["TableName"]: each["CapacityUnits"] for each in answer["ConsumedCapacity"]} == {one: 2.5, two: 1}


@pytest.mark.dynamodb_local_differs("charges nothing for keys that are not there")
def test_a_batch_pays_for_what_is_not_there(client, table):
    answer = client.batch_get_item(RequestItems={table: {"Keys": [{"pk": S(str(n))} for n in range(6)]}}, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 3}]


@pytest.mark.dynamodb_local_differs("knows that nothing follows")
def test_a_page_of_one_megabyte(client, make_table):
    table = make_table("pk:S sk:N")
    for n in range(11):
        client.put_item(TableName=table, Item={"pk": S("p"), "sk": N(n), "v": S("x" * 100_000)})
    pages = list(every_page(client.query, TableName=table, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p")},
        ReturnConsumedCapacity="TOTAL"))
    # The eleventh item passes 1 MB and ends the page; that nothing follows shows on the next one.
    assert [page["ConsumedCapacity"]["CapacityUnits"] for page in pages] == [134.5, 0.5]


@pytest.mark.parametrize("value,bytes_", [
    (N(0), 1), (N(1), 2), (N(10), 2), (N(100), 2), (N(123), 3), (N("1.5"), 3), (N("3.14159"), 5), (N(-1), 3), (N("0.001"), 2),
    (N("1e100"), 2), (N("9" * 38), 20), (N("-" + "9" * 38), 21),
    (S(""), 0), (S("é"), 2), (S("😀"), 4), ({"B": b"abc"}, 3), ({"BOOL": True}, 1), ({"NULL": True}, 1), ({"SS": ["a", "bc"]}, 3),
    ({"NS": ["1", "100"]}, 4), ({"BS": [b"a"]}, 1), ({"L": []}, 3), ({"M": {}}, 3), ({"L": [N(1), S("ab")]}, 3 + 2 + 1 + 2 + 1),
    ({"M": {"abc": N(1)}}, 3 + 3 + 2 + 1),
])
def test_the_size_of_each_value_to_the_byte(client, table, value, bytes_):
    fixed = 3 + 1 + 1  # pk and its value, the names v and f
    fits = {"pk": S("a"), "v": value, "f": S("x" * (1024 - fixed - bytes_))}
    over = {**fits, "f": S("x" * (1024 - fixed - bytes_ + 1))}
    client.delete_item(TableName=table, Key=KEY)
    assert units(client.put_item(TableName=table, Item=fits, ReturnConsumedCapacity="TOTAL")) == 1
    assert units(client.put_item(TableName=table, Item=over, ReturnConsumedCapacity="TOTAL")) == 2
