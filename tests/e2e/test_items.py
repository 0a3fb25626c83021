"""Items: types, limits, what writes return, and conditions."""

import pytest
from answers import ENVELOPE, N, S, refusal, refused

INVALID = "ValidationException"
TEN_TYPES = {
    "s": {"S": "text é 😀 \u0000"}, "n": {"N": "-12.5"}, "b": {"B": bytes(range(256))}, "t": {"BOOL": True}, "f": {"BOOL": False},
    "z": {"NULL": True},
    "l": {"L": [{"S": "a"}, {"N": "1"}, {"L": []}, {"M": {}}]}, "m": {"M": {"a b": {"M": {"": {"S": "empty name"}}}}},
    "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2.5"]}, "bs": {"BS": [b"a", b"\x00"]},
    "es": {"S": ""}, "eb": {"B": b""},
}


@pytest.fixture
def table(make_table):
    """A table keyed by pk."""
    return make_table()


def sets_sorted(item):
    """The item with its sets in order."""
    return {name: {kind: sorted(value) if kind in ("SS", "NS", "BS") else value for kind, value in given.items()} for name,
        given in item.items()}


def test_all_ten_types_come_back(client, table):
    item = {"pk": S("a"), **{k: v for k, v in TEN_TYPES.items() if k != "m"}, "m": {"M": {"a b": {"M": {"c": {"S": "x"}}}}}}
    client.put_item(TableName=table, Item=item)
    assert sets_sorted(client.get_item(TableName=table, Key={"pk": S("a")}, ConsistentRead=True)["Item"]) == sets_sorted(item)


@pytest.mark.parametrize("given,told", [
    ("0", "0"), ("-0", "0"), ("007", "7"), ("1.50", "1.5"), ("1e2", "100"), ("1E-3", "0.001"), (".5", "0.5"), ("5.", "5"), ("+5", "5"),
    ("100", "100"), ("1e37", "1" + "0" * 37),
    ("9" * 38, "9" * 38), ("-" + "9" * 38, "-" + "9" * 38), ("0." + "0" * 129 + "1", "0." + "0" * 129 + "1"),
    ("1e-130", "0." + "0" * 129 + "1"),
    ("9.9999999999999999999999999999999999999e125", "9" * 38 + "0" * 88), ("1.10e3", "1100"),
    ("12345678901234567890123456789012345678000", "12345678901234567890123456789012345678000"),
])
def test_numbers_are_told_in_canonical_form(client, table, given, told):
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(given), "ns": {"NS": [given]}})
    assert client.get_item(TableName=table, Key={"pk": S("a")})["Item"] == {"pk": S("a"), "n": N(told), "ns": {"NS": [told]}}


@pytest.mark.parametrize("number,message", [
    ("x", "The parameter cannot be converted to a numeric value: x"), ("", "The parameter cannot be converted to a numeric value: "),
    ("1 2", "The parameter cannot be converted to a numeric value: 1 2"),
    ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
    ("0x10", "The parameter cannot be converted to a numeric value: 0x10"),
    ("9" * 39, "Attempting to store more than 38 significant digits in a Number"),
    ("1." + "1" * 38, "Attempting to store more than 38 significant digits in a Number"),
])
@pytest.mark.dynamodb_local_differs("has its own words for numbers")
def test_numbers_that_are_none_or_too_long(client, table, number, message):
    code, said = refusal(client.put_item, TableName=table, Item={"pk": S("a"), "n": N(number)})
    assert (code, said.removeprefix(ENVELOPE)) == (INVALID, message)


@pytest.mark.parametrize("number,message", [
    ("1e126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ("-1e126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ("1e-131", "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
])
def test_numbers_beyond_the_limits(client, table, number, message):
    code, said = refusal(client.put_item, TableName=table, Item={"pk": S("a"), "n": N(number)})
    assert (code, said.removeprefix(ENVELOPE)) == (INVALID, message)


def test_39_digits_are_refused_and_38_are_kept(client, table):
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N("1" * 38)})
    assert refusal(client.put_item, TableName=table, Item={"pk": S("a"), "n": N("1" * 39)})[0] == INVALID


@pytest.mark.parametrize("value", [{"SS": []}, {"NS": []}, {"BS": []}, {"SS": ["a", "a"]}, {"NS": ["1", "1.0"]}, {"BS": [b"a", b"a"]}, {},
    {"S": "a", "N": "1"}, {"NULL": False}])
def test_values_that_are_no_values(client, table, value):
    assert refusal(client.put_item, TableName=table, Item={"pk": S("a"), "v": value})[0] == INVALID
    assert refusal(client.put_item, TableName=table, Item={"pk": S("a"), "v": {"L": [{"M": {"x": value}}]}})[0] == INVALID
    assert "Item" not in client.get_item(TableName=table, Key={"pk": S("a")})


def nested(depth, kind):
    """A number under `depth` wrappers."""
    value = N(1)
    for _ in range(depth):
        value = {"L": [value]} if kind == "L" else {"M": {"a": value}}
    return value


@pytest.mark.parametrize("kind", ["L", "M"])
def test_31_wrappers_pass_and_32_fail(client, table, kind):
    client.put_item(TableName=table, Item={"pk": S("a"), "v": nested(31, kind)})
    assert client.get_item(TableName=table, Key={"pk": S("a")})["Item"]["v"] == nested(31, kind)
    code, message = refusal(client.put_item, TableName=table, Item={"pk": S("a"), "v": nested(32, kind)})
    assert (code, message.removeprefix(ENVELOPE)) == (INVALID,
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit")


@pytest.mark.parametrize("kind", ["L", "M"])
def test_an_update_may_not_nest_deeper_than_a_put(client, table, kind):
    client.put_item(TableName=table, Item={"pk": S("a"), "v": nested(31, kind)})
    path = "v" + ("[0]" if kind == "L" else ".a") * 30
    with refused(INVALID):
        client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression=f"SET {path} = :v",
            ExpressionAttributeValues={":v": nested(2, kind)})
    client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression=f"SET {path} = :v",
        ExpressionAttributeValues={":v": nested(1, kind)})
    assert client.get_item(TableName=table, Key={"pk": S("a")})["Item"]["v"] == nested(31, kind)


def test_400_kb_exactly_and_one_byte_over(client, table):
    fits = {"pk": S("a"), "v": S("x" * (409_600 - 2 - 1 - 1))}
    client.put_item(TableName=table, Item=fits)
    assert client.get_item(TableName=table, Key={"pk": S("a")})["Item"] == fits
    over = {"pk": S("a"), "v": S("x" * (409_600 - 2 - 1))}
    with refused(INVALID, "Item size has exceeded the maximum allowed size"):
        client.put_item(TableName=table, Item=over)


def test_the_size_counts_names_in_bytes_of_utf_8(client, table):
    name = "é" * 100
    client.put_item(TableName=table, Item={"pk": S("a"), name: S("x" * (409_600 - 3 - 200))})
    with refused(INVALID, "Item size has exceeded the maximum allowed size"):
        client.put_item(TableName=table, Item={"pk": S("a"), name: S("x" * (409_600 - 3 - 199))})


def test_an_update_may_not_write_more_than_400_kb(client, table):
    with refused(INVALID, "Item size to update has exceeded the maximum allowed size"):
        client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression="SET v = :v",
            ExpressionAttributeValues={":v": S("x" * 409_600)})


def test_updates_cannot_grow_an_item_without_bound(client, table):
    client.put_item(TableName=table, Item={"pk": S("a"), "v": S("x" * 400_000)})
    with pytest.raises(client.exceptions.ClientError):
        for at in range(40):
            client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression="SET #a = v",
                ExpressionAttributeNames={"#a": f"copy{at}"})


@pytest.mark.dynamodb_local_differs("has one message for both keys")
def test_key_lengths(make_table, client):
    table = make_table("pk:S sk:S")
    client.put_item(TableName=table, Item={"pk": S("p" * 2048), "sk": S("s" * 1024)})
    assert client.get_item(TableName=table, Key={"pk": S("p" * 2048), "sk": S("s" * 1024)})["Item"]["pk"] == S("p" * 2048)
    hash_message = "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"
    range_message = "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
    for key, message in [({"pk": S("p" * 2049), "sk": S("s")}, hash_message), ({"pk": S("é" * 1025), "sk": S("s")}, hash_message),
        ({"pk": S("p"), "sk": S("s" * 1025)}, range_message)]:
        assert refusal(client.put_item, TableName=table, Item=key) == (INVALID, message)
        assert refusal(client.get_item, TableName=table, Key=key) == (INVALID, message)
        assert refusal(client.delete_item, TableName=table, Key=key) == (INVALID, message)


def test_empty_keys_are_refused(make_table, client):
    strings, binaries = make_table("pk:S sk:S"), make_table("pk:B sk:B")
    said = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {} value. Key: {}"
    for table, kind, word, full in [(strings, "S", "string", "x"), (binaries, "B", "binary", b"x")]:
        for key, name in [({"pk": {kind: full[:0]}, "sk": {kind: full}}, "pk"), ({"pk": {kind: full}, "sk": {kind: full[:0]}}, "sk")]:
            assert refusal(client.put_item, TableName=table, Item=key) == (INVALID, said.format(word, name))
            assert refusal(client.get_item, TableName=table, Key=key) == (INVALID, said.format(word, name))


@pytest.mark.dynamodb_local_differs("has other words for keys that do not fit")
def test_keys_that_do_not_fit_the_schema(make_table, client):
    table = make_table("pk:S sk:N")
    expected = (INVALID, "The provided key element does not match the schema")
    for key in [{"pk": N(1), "sk": N(1)}, {"pk": S("a")}, {"pk": S("a"), "sk": N(1), "x": N(1)}, {"pk": S("a"), "sk": S("1")}, {},
        {"x": S("a"), "sk": N(1)}]:
        assert refusal(client.get_item, TableName=table, Key=key) == expected
        assert refusal(client.delete_item, TableName=table, Key=key) == expected
        assert refusal(client.update_item, TableName=table, Key=key) == expected


@pytest.mark.dynamodb_local_differs("does not name the key")
def test_items_whose_key_does_not_fit(make_table, client):
    table = make_table("pk:S sk:N")
    assert refusal(client.put_item, TableName=table, Item={"pk": N(1), "sk": N(1)}) == (INVALID,
        "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N")
    assert refusal(client.put_item, TableName=table, Item={"pk": S("a")}) == (INVALID,
        "One or more parameter values were invalid: Missing the key sk in the item")
    assert refusal(client.put_item, TableName=table, Item={"sk": N(1)}) == (INVALID,
        "One or more parameter values were invalid: Missing the key pk in the item")


def test_numbers_as_keys_are_equal_by_value(make_table, client):
    table = make_table("pk:N")
    client.put_item(TableName=table, Item={"pk": N("1.50"), "v": N(1)})
    assert client.get_item(TableName=table, Key={"pk": N("15e-1")})["Item"] == {"pk": N("1.5"), "v": N(1)}


def test_attribute_names_to_65535_bytes(client, table):
    client.put_item(TableName=table, Item={"pk": S("a"), "n" * 65_535: N(1)})
    assert "n" * 65_535 in client.get_item(TableName=table, Key={"pk": S("a")})["Item"]
    with refused(INVALID):
        client.put_item(TableName=table, Item={"pk": S("a"), "n" * 65_536: N(1)})


@pytest.mark.parametrize("returned,old,new", [("NONE", False, False), ("ALL_OLD", True, False), ("ALL_NEW", False, True)])
def test_return_values_of_whole_items(client, table, returned, old, new):
    before, after = {"pk": S("a"), "n": N(1)}, {"pk": S("a"), "n": N(2)}
    client.put_item(TableName=table, Item=before)
    answer = client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": N(2)},
        ReturnValues=returned)
    assert answer.get("Attributes") == (before if old else after if new else None)
    if not new:
        assert client.put_item(TableName=table, Item=before, ReturnValues=returned).get("Attributes") == (after if old else None)
        assert client.delete_item(TableName=table, Key={"pk": S("a")}, ReturnValues=returned).get("Attributes") == (before if old else None)
        assert "Attributes" not in client.delete_item(TableName=table, Key={"pk": S("a")}, ReturnValues=returned)


@pytest.mark.dynamodb_local_differs("returns the whole of a map of which one member changed")
def test_updated_old_and_new_return_only_what_was_touched(client, table):
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(1), "other": S("x"), "m": {"M": {"x": N(1), "y": N(2)}}})
    touch = {"TableName": table, "Key": {"pk": S("a")}, "UpdateExpression": "SET n = n + :one, m.x = :one, fresh = :one",
        "ExpressionAttributeValues": {":one": N(1)}}
    assert client.update_item(**touch, ReturnValues="UPDATED_OLD")["Attributes"] == {"n": N(1), "m": {"M": {"x": N(1)}}}
    assert client.update_item(**touch, ReturnValues="UPDATED_NEW")["Attributes"] == {"n": N(3), "m": {"M": {"x": N(1)}}, "fresh": N(1)}


def test_a_failed_condition_changes_nothing_and_may_tell_the_item(client, table):
    item = {"pk": S("a"), "n": N(1)}
    client.put_item(TableName=table, Item=item)
    failing = {"ConditionExpression": "n = :n", "ExpressionAttributeValues": {":n": N(2)}, "TableName": table}
    for call, more in [(client.put_item, {"Item": {"pk": S("a")}}), (client.delete_item, {"Key": {"pk": S("a")}})]:
        assert refusal(call, **failing, **more) == ("ConditionalCheckFailedException", "The conditional request failed")
        with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
            call(**failing, **more, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        assert caught.value.response["Item"] == item
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
        client.update_item(TableName=table, Key={"pk": S("a")}, UpdateExpression="SET n = :n", ConditionExpression="n = :n",
            ExpressionAttributeValues={":n": N(2)}, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert caught.value.response["Item"] == item
    assert client.get_item(TableName=table, Key={"pk": S("a")})["Item"] == item


def test_create_only_once(client, table):
    once = {"TableName": table, "Item": {"pk": S("a")}, "ConditionExpression": "attribute_not_exists(pk)"}
    client.put_item(**once)
    with refused("ConditionalCheckFailedException"):
        client.put_item(**once)


def test_an_update_creates_an_item_of_its_key(client, table):
    assert client.update_item(TableName=table, Key={"pk": S("new")}, ReturnValues="ALL_NEW")["Attributes"] == {"pk": S("new")}
    assert client.get_item(TableName=table, Key={"pk": S("new")})["Item"] == {"pk": S("new")}


def test_a_hot_counter_counts_every_increment(client, table):
    from concurrent.futures import ThreadPoolExecutor

    def increment(_):
        client.update_item(TableName=table, Key={"pk": S("hot")}, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": N(1)})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(increment, range(400)))
    assert client.get_item(TableName=table, Key={"pk": S("hot")}, ConsistentRead=True)["Item"]["n"] == N(400)


def test_projection_of_nested_attributes(client, table):
    client.put_item(TableName=table, Item={"pk": S("a"), "m": {"M": {"x": {"L": [N(1), N(2), N(3)]}, "y": N(4)}}, "n": N(5)})
    got = client.get_item(TableName=table, Key={"pk": S("a")}, ProjectionExpression="m.x[2], m.x[0], #n, absent.child",
        ExpressionAttributeNames={"#n": "n"})
    assert got["Item"] == {"m": {"M": {"x": {"L": [N(1), N(3)]}}}, "n": N(5)}
    assert client.get_item(TableName=table, Key={"pk": S("a")}, ProjectionExpression="absent")["Item"] == {}
