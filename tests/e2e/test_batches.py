"""BatchGetItem and BatchWriteItem."""

import pytest
from answers import N, S, refusal, refused

INVALID = "ValidationException"


def puts(table, numbers, **attributes):
    """Put requests."""
    return {table: [{"PutRequest": {"Item": {"pk": S(f"k{n}"), **attributes}}} for n in numbers]}


def keys(numbers):
    """Keys of items."""
    return [{"pk": S(f"k{n}")} for n in numbers]


def test_writes_and_gets_over_two_tables(client, make_table):
    one, two = make_table(), make_table("pk:S sk:N")
    answer = client.batch_write_item(RequestItems={**puts(one, range(10)),
        two: [{"PutRequest": {"Item": {"pk": S("u"), "sk": N(n)}}} for n in range(15)]})
    assert answer["UnprocessedItems"] == {}
    answer = client.batch_write_item(RequestItems={one: [{"DeleteRequest": {"Key": {"pk": S("k0")}}},
        {"DeleteRequest": {"Key": {"pk": S("absent")}}}, {"PutRequest": {"Item": {"pk": S("k1"), "v": N(1)}}}]})
    assert answer["UnprocessedItems"] == {}
    found = client.batch_get_item(RequestItems={one: {"Keys": keys(range(12)), "ConsistentRead": True},
        two: {"Keys": [{"pk": S("u"), "sk": N(n)} for n in range(20)], "ProjectionExpression": "sk"}})
    assert found["UnprocessedKeys"] == {}
    assert sorted(item["pk"]["S"] for item in found["Responses"][one]) == [f"k{n}" for n in range(1, 10)]
    assert {"pk": S("k1"), "v": N(1)} in found["Responses"][one]
    assert sorted(int(item["sk"]["N"]) for item in found["Responses"][two]) == list(range(15))


def test_a_table_without_found_items_answers_an_empty_list(client, make_table):
    table = make_table()
    assert client.batch_get_item(RequestItems={table: {"Keys": keys([1])}})["Responses"] == {table: []}


def test_limits_of_25_and_100(client, make_table):
    table = make_table()
    client.batch_write_item(RequestItems=puts(table, range(25)))
    assert refusal(client.batch_write_item, RequestItems=puts(table, range(26)))[0] == INVALID
    assert len(client.batch_get_item(RequestItems={table: {"Keys": keys(range(100))}})["Responses"][table]) == 25
    assert refusal(client.batch_get_item, RequestItems={table: {"Keys": keys(range(101))}})[0] == INVALID


def test_the_limits_count_over_all_tables(client, make_table):
    one, two = make_table(), make_table()
    with refused(INVALID, "Too many items requested for the BatchWriteItem call"):
        client.batch_write_item(RequestItems={**puts(one, range(13)), **puts(two, range(13))})
    with refused(INVALID, "Too many items requested for the BatchGetItem call"):
        client.batch_get_item(RequestItems={one: {"Keys": keys(range(60))}, two: {"Keys": keys(range(60))}})


def test_duplicates_are_refused(client, make_table):
    table = make_table()
    assert refusal(client.batch_get_item, RequestItems={table: {"Keys": keys([1, 1])}}) == (INVALID,
        "Provided list of item keys contains duplicates")
    assert refusal(client.batch_write_item, RequestItems=puts(table, [1, 1])) == (INVALID, "Provided list of item keys contains duplicates")
    mixed = {table: puts(table, [1])[table] + [{"DeleteRequest": {"Key": {"pk": S("k1")}}}]}
    assert refusal(client.batch_write_item, RequestItems=mixed) == (INVALID, "Provided list of item keys contains duplicates")


def test_one_bad_request_stops_the_whole_batch(client, make_table):
    table = make_table()
    for bad in ({"PutRequest": {"Item": {"pk": N(1)}}}, {"PutRequest": {"Item": {"pk": S("big"), "v": S("x" * 409_700)}}},
        {"PutRequest": {"Item": {"pk": S("x"), "v": {"SS": []}}}}, {"DeleteRequest": {"Key": {"nope": S("a")}}}, {}):
        assert refusal(client.batch_write_item, RequestItems={table: puts(table, range(3))[table] + [bad]})[0] == INVALID
    assert refusal(client.batch_write_item, RequestItems={**puts(table, range(3)),
        **puts("NoSuchTable", [1])})[0] == "ResourceNotFoundException"
    assert client.scan(TableName=table)["Count"] == 0


def test_more_than_16_mb_leaves_keys_unprocessed(client, make_table):
    table = make_table()
    for n in range(45):
        client.put_item(TableName=table, Item={"pk": S(f"k{n}"), "v": S("x" * 390_000)})
    found, left, rounds = [], {table: {"Keys": keys(range(45)), "ProjectionExpression": "pk, v"}}, 0
    while left:
        answer = client.batch_get_item(RequestItems=left)
        found += [item["pk"]["S"] for item in answer["Responses"][table]]
        left, rounds = answer["UnprocessedKeys"], rounds + 1
        assert rounds < 5
        if left:
            assert left[table]["ProjectionExpression"] == "pk, v"
    assert rounds == 2 and sorted(found) == sorted(f"k{n}" for n in range(45))


def test_a_batch_over_16_mb_is_refused(client, make_table):
    table = make_table()
    # 25 items of 400 KB are 10 MB and pass; a body beyond 16 MB does not reach the operation.
    client.batch_write_item(RequestItems=puts(table, range(25), v=S("x" * 400_000)))
    assert client.scan(TableName=table, Select="COUNT")["Count"] >= 2


@pytest.mark.dynamodb_local_differs("has other words for empty batches")
def test_empty_batches(client):
    assert refusal(client.batch_get_item, RequestItems={}) == (INVALID,
        "1 validation error detected: Value at 'RequestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
    assert refusal(client.batch_write_item, RequestItems={}) == (INVALID, "The requestItems parameter is required for BatchWriteItem")
