"""Query and Scan on tables: operators, order, pages, filters and segments."""

import random

import pytest
from answers import N, S, every_item, every_page, refusal, refused

INVALID = "ValidationException"
NUMBERS = ["-9.9e125", "-1e38", "-100", "-99.999", "-2", "-1.5", "-1", "-1e-130", "0", "1e-130", "0.1",
    "0.10000000000000000000000000000000000001", "1", "1.5", "2", "9", "10", "99", "100", "1e38", "12345678901234567890123456789012345678",
    "9.9e125"]
STRINGS = ["\u0000", " ", "!", "0", "00", "1", "10", "2", "A", "Z", "a", "aa", "ab", "b", "é", "ÿ", "߿", "ࠀ", "中", "\uffff", "😀",
    "\U0010ffff"]
BINARIES = [b"\x00", b"\x00\x00", b"\x01", b"\x7f", b"\x80", b"\x80\x00", b"\xfe", b"\xff", b"\xff\xff"]


def key(kind, value):
    """A typed value."""
    return {kind: value}


@pytest.fixture(scope="module")
def sorted_tables(client):
    """A table for each type of sort key, filled in random order."""
    from decimal import Decimal

    from differential.scenario import create

    choice, tables = random.Random(7), {}
    in_order = {"N": sorted(NUMBERS, key=Decimal), "S": sorted(STRINGS, key=lambda s: s.encode()), "B": sorted(BINARIES)}
    for kind, values in in_order.items():
        client.create_table(**create(f"Sorted{kind}", f"pk:S sk:{kind}").body)
        for at in choice.sample(range(len(values)), len(values)):
            client.put_item(TableName=f"Sorted{kind}", Item={"pk": S("p"), "sk": key(kind, values[at]), "at": N(at)})
        tables[kind] = values
    yield tables
    for kind in tables:
        client.delete_table(TableName=f"Sorted{kind}")


@pytest.mark.parametrize("kind", ["N", "S", "B"])
def test_sort_keys_are_in_order(client, sorted_tables, kind):
    count = len(sorted_tables[kind])
    for forward in (True, False):
        found = client.query(TableName=f"Sorted{kind}", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p")},
            ScanIndexForward=forward)
        assert [int(item["at"]["N"]) for item in found["Items"]] == list(range(count))[:: 1 if forward else -1]


@pytest.mark.parametrize("kind", ["N", "S", "B"])
@pytest.mark.parametrize("operator", ["=", "<", "<=", ">", ">="])
def test_operators(client, sorted_tables, kind, operator):
    import operator as op

    compare = {"=": op.eq, "<": op.lt, "<=": op.le, ">": op.gt, ">=": op.ge}[operator]
    for at, value in enumerate(sorted_tables[kind]):
        found = client.query(TableName=f"Sorted{kind}", KeyConditionExpression=f"pk = :p AND sk {operator} :v",
            ExpressionAttributeValues={":p": S("p"), ":v": key(kind, value)})
        assert [int(item["at"]["N"]) for item in found["Items"]] == [i for i in range(len(sorted_tables[kind])) if compare(i, at)]


@pytest.mark.parametrize("kind", ["N", "S", "B"])
def test_between(client, sorted_tables, kind):
    values = sorted_tables[kind]
    for low in range(0, len(values), 3):
        for high in range(low, len(values), 4):
            found = client.query(TableName=f"Sorted{kind}", KeyConditionExpression="pk = :p AND sk BETWEEN :a AND :b",
                ExpressionAttributeValues={":p": S("p"), ":a": key(kind, values[low]), ":b": key(kind, values[high])})
            assert [int(item["at"]["N"]) for item in found["Items"]] == list(range(low, high + 1))


@pytest.mark.parametrize("kind", ["S", "B"])
def test_begins_with(client, sorted_tables, kind):
    values = sorted_tables[kind]
    for prefix in values:
        found = client.query(TableName=f"Sorted{kind}", KeyConditionExpression="pk = :p AND begins_with(sk, :v)",
            ExpressionAttributeValues={":p": S("p"), ":v": key(kind, prefix)})
        assert [int(item["at"]["N"]) for item in found["Items"]] == [at for at, value in enumerate(values) if value.startswith(prefix)]


def test_begins_with_of_a_number_is_refused(client, sorted_tables):
    code, message = refusal(client.query, TableName="SortedN", KeyConditionExpression="pk = :p AND begins_with(sk, :v)",
        ExpressionAttributeValues={":p": S("p"), ":v": N(1)})
    assert (code, message) == (INVALID,
        "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N")


@pytest.fixture(scope="module")
def items(client):
    """200 items in four partitions."""
    from differential.scenario import create

    client.create_table(**create("Read", "pk:S sk:N").body)
    for start in range(0, 200, 25):
        client.batch_write_item(RequestItems={"Read": [{"PutRequest": {"Item": {"pk": S(f"p{n % 4}"), "sk": N(n),
            "even": {"BOOL": n // 4 % 2 == 0}, "tag": S(f"t{n % 3}")}}} for n in range(start, start + 25)]})
    yield "Read"
    client.delete_table(TableName="Read")


@pytest.mark.parametrize("limit", [1, 7, 25, 49, 50, 51])
@pytest.mark.parametrize("forward", [True, False])
def test_pages_of_a_query_join_to_the_whole(client, items, limit, forward):
    pages = list(every_page(client.query, TableName=items, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p1")},
        Limit=limit, ScanIndexForward=forward))
    numbers = [int(item["sk"]["N"]) for page in pages for item in page["Items"]]
    assert numbers == sorted(range(1, 200, 4), reverse=not forward)
    assert all(page["Count"] == page["ScannedCount"] == len(page["Items"]) <= limit for page in pages)
    assert all(page["LastEvaluatedKey"] == {"pk": S("p1"), "sk": page["Items"][-1]["sk"]} for page in pages[:-1])


def test_a_filter_counts_what_it_scanned(client, items):
    page = client.query(TableName=items, KeyConditionExpression="pk = :p", FilterExpression="even = :t",
        ExpressionAttributeValues={":p": S("p0"), ":t": {"BOOL": True}}, Limit=10)
    assert (page["Count"], page["ScannedCount"]) == (5, 10) and page["LastEvaluatedKey"]["sk"] == N(36)
    nothing = client.scan(TableName=items, FilterExpression="tag = :x", ExpressionAttributeValues={":x": S("nope")})
    assert (nothing["Count"], nothing["ScannedCount"], nothing["Items"]) == (0, 200, [])


def test_select_count(client, items):
    page = client.query(TableName=items, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p2")}, Select="COUNT")
    assert (page["Count"], page["ScannedCount"]) == (50, 50) and "Items" not in page


def test_scan_returns_everything_once_by_pages(client, items):
    for limit in (1, 33, 200, 201):
        numbers = [int(item["sk"]["N"]) for item in every_item(client.scan, TableName=items, Limit=limit)]
        assert sorted(numbers) == list(range(200))


@pytest.mark.parametrize("total", [1, 2, 5, 16, 1000])
def test_parallel_scan_covers_everything_once(client, items, total):
    numbers = []
    for segment in range(min(total, 40) if total == 1000 else total):
        numbers += [int(item["sk"]["N"]) for item in every_item(client.scan, TableName=items, Segment=segment, TotalSegments=total,
            Limit=9)]
    assert len(numbers) == len(set(numbers))
    if total != 1000:
        assert sorted(numbers) == list(range(200))


def test_items_of_one_partition_stay_together_in_a_scan(client, items):
    order = [item["pk"]["S"] for item in every_item(client.scan, TableName=items, Limit=17)]
    changes = sum(1 for one, other in zip(order, order[1:]) if one != other)
    assert changes == 3


def test_one_megabyte_is_a_page(client, make_table):
    table = make_table("pk:S sk:N")
    for n in range(30):
        client.put_item(TableName=table, Item={"pk": S("p"), "sk": N(n), "v": S("x" * 99_990)})
    counts = [page["Count"] for page in every_page(client.query, TableName=table, KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": S("p")})]
    assert counts == [11, 11, 8]


@pytest.mark.dynamodb_local_differs("counts what is left after filter and projection")
def test_a_page_counts_items_before_filter_and_projection(client, make_table):
    table = make_table("pk:S sk:N")
    for n in range(12):
        client.put_item(TableName=table, Item={"pk": S("p"), "sk": N(n), "v": S("x" * 99_990)})
    filtered = list(every_page(client.query, TableName=table, KeyConditionExpression="pk = :p", FilterExpression="absent = :x",
        ExpressionAttributeValues={":p": S("p"), ":x": N(1)}))
    assert [(page["ScannedCount"], page["Count"]) for page in filtered] == [(11, 0), (1, 0)]
    assert [page["Count"] for page in every_page(client.scan, TableName=table, ProjectionExpression="sk")] == [11, 1]


def test_a_start_key_need_not_exist(client, items):
    start = {"pk": S("p0"), "sk": N("50.5")}
    found = client.query(TableName=items, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p0")},
        ExclusiveStartKey=start, Limit=1)
    assert found["Items"][0]["sk"] == N(52)
    found = client.query(TableName=items, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p0")},
        ExclusiveStartKey=start, ScanIndexForward=False, Limit=1)
    assert found["Items"][0]["sk"] == N(48)
    client.scan(TableName=items, ExclusiveStartKey={"pk": S("never seen"), "sk": N(0)})


@pytest.mark.parametrize("start", [{}, {"pk": S("p0")}, {"pk": S("p0"), "sk": S("1")}, {"pk": S("p0"), "sk": N(1), "x": N(1)},
    {"pk": S("other"), "sk": N(1)}, {"x": N(1)}, {"pk": {}, "sk": N(1)}])
def test_a_start_key_that_does_not_fit_is_refused(client, items, start):
    if start == {}:
        pytest.skip("an empty start key is answered differently by region")
    code, message = refusal(client.query, TableName=items, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S("p0")},
        ExclusiveStartKey=start)
    assert code == INVALID and message


@pytest.mark.parametrize("more", [{"Segment": 0}, {"TotalSegments": 2}, {"Segment": 2, "TotalSegments": 2},
    {"Segment": -1, "TotalSegments": 2}, {"Segment": 0, "TotalSegments": 1_000_001}, {"Segment": 0, "TotalSegments": 0}, {"Limit": 0},
    {"Limit": -1}, {"Select": "X"}, {"Select": "ALL_PROJECTED_ATTRIBUTES"}, {"Select": "SPECIFIC_ATTRIBUTES"},
    {"Select": "COUNT", "ProjectionExpression": "sk"}, {"IndexName": "nope"}])
def test_scans_that_make_no_sense(client, items, more):
    assert refusal(client.scan, TableName=items, **more)[0] == INVALID


KEY_CONDITIONS = [
    ("pk = :p OR sk = :n", "Invalid operator used in KeyConditionExpression: OR"),
    ("NOT pk = :p", "Invalid operator used in KeyConditionExpression: NOT"),
    ("pk <> :p", "Invalid operator used in KeyConditionExpression: <>"),
    ("pk = :p AND sk IN (:n)", "Invalid operator used in KeyConditionExpression: IN"),
    ("pk = :p AND contains(sk, :n)", "Invalid operator used in KeyConditionExpression: contains"),
    ("pk = :p AND attribute_exists(sk)", "Invalid operator used in KeyConditionExpression: attribute_exists"),
    ("pk > :p", "Query key condition not supported"), ("begins_with(pk, :p)", "Query key condition not supported"),
    ("pk = :p AND sk > :n AND sk < :n", "KeyConditionExpressions must only contain one condition per key"),
    ("pk = :p AND pk = :p", "KeyConditionExpressions must only contain one condition per key"),
    ("pk = sk", "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"),
    ("m.x = :p", "KeyConditionExpressions cannot have conditions on nested attributes"),
    ("pk = :n", "One or more parameter values were invalid: Condition parameter type does not match schema type"),
    ("pk = :p AND sk = :p", "One or more parameter values were invalid: Condition parameter type does not match schema type"),
    ("", "Invalid KeyConditionExpression: The expression can not be empty;"),
    ("pk =", 'Invalid KeyConditionExpression: Syntax error; token: "<EOF>", near: "="'),
]


@pytest.mark.parametrize("text,message", KEY_CONDITIONS, ids=[text or "empty" for text, _ in KEY_CONDITIONS])
def test_key_conditions_that_are_refused(client, items, text, message):
    values = {name: value for name, value in {":p": S("p1"), ":n": N(1)}.items() if name in text.replace(")", " ").replace(",",
        " ").split() or name + ")" in text}
    assert refusal(client.query, TableName=items, KeyConditionExpression=text,
        **({"ExpressionAttributeValues": values} if values else {})) == (INVALID, message)


@pytest.mark.dynamodb_local_differs("does not name the missing element")
@pytest.mark.parametrize("text,missed", [("sk = :n", "pk"), ("nokey = :n", "pk"), ("pk = :p AND nokey = :n", "sk")])
def test_key_conditions_that_miss_a_key(client, items, text, missed):
    values = {name: value for name, value in {":p": S("p1"), ":n": N(1)}.items() if name in text}
    assert refusal(client.query, TableName=items, KeyConditionExpression=text, ExpressionAttributeValues=values) == (INVALID,
        f"Query condition missed key schema element: {missed}")


def test_a_filter_may_not_look_at_the_key(client, items):
    with refused(INVALID, "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk"):
        client.query(TableName=items, KeyConditionExpression="pk = :p", FilterExpression="sk > :n",
            ExpressionAttributeValues={":p": S("p1"), ":n": N(1)})


def test_reads_while_writing_see_whole_items(client, make_table):
    from concurrent.futures import ThreadPoolExecutor

    table = make_table()

    def write(n):
        client.put_item(TableName=table, Item={"pk": S("a"), "x": N(n), "y": N(n), "z": S("x" * 2000)})

    def read(_):
        item = client.get_item(TableName=table, Key={"pk": S("a")}, ConsistentRead=True).get("Item")
        assert item is None or item["x"] == item["y"]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (write if n % 2 else read)(n), range(300)))
