"""The parameters from before expressions, which old programs still send."""

import pytest
from answers import ENVELOPE, N, S, refusal

INVALID = "ValidationException"
ITEM = {"pk": S("a"), "sk": N(1), "n": N(5), "s": S("text"), "ss": {"SS": ["a", "b"]}, "l": {"L": [N(1), S("x")]}}
KEY = {"pk": S("a"), "sk": N(1)}


@pytest.fixture
def table(client, make_table):
    """A table with one item."""
    name = make_table("pk:S sk:N", lsi=[("ByN", "pk:S n:N", "ALL")])
    client.put_item(TableName=name, Item=ITEM)
    return name


def condition(operator, *values):
    """One legacy condition."""
    return {"ComparisonOperator": operator, **({"AttributeValueList": list(values)} if values else {})}


FILTERS = [
    ("n", condition("EQ", N(5)), 1), ("n", condition("EQ", N("5.0")), 1), ("n", condition("EQ", S("5")), 0),
    ("n", condition("NE", N(6)), 1), ("absent", condition("NE", N(6)), 1), ("n", condition("LT", N(6)), 1), ("n", condition("LE", N(5)), 1),
    ("n", condition("GT", N(5)), 0), ("n", condition("GE", N(5)), 1),
    ("n", condition("BETWEEN", N(1), N(9)), 1), ("n", condition("IN", N(1), N(5)), 1), ("n", condition("NOT_NULL"), 1),
    ("absent", condition("NULL"), 1), ("n", condition("NULL"), 0), ("s", condition("BEGINS_WITH", S("te")), 1),
    ("s", condition("CONTAINS", S("ex")), 1), ("s", condition("NOT_CONTAINS", S("ex")), 0), ("ss", condition("CONTAINS", S("a")), 1),
    ("ss", condition("NOT_CONTAINS", S("z")), 1), ("l", condition("CONTAINS", N(1)), 1), ("ss", condition("EQ", {"SS": ["b", "a"]}), 1),
]


@pytest.mark.parametrize("name,given,count", FILTERS)
def test_filters(client, table, name, given, count):
    page = client.scan(TableName=table, ScanFilter={name: given})
    assert (page["Count"], page["ScannedCount"]) == (count, 1)
    page = client.query(TableName=table, KeyConditions={"pk": condition("EQ", S("a"))}, QueryFilter={name: given})
    assert (page["Count"], page["ScannedCount"]) == (count, 1)


def test_conditional_operators_join_conditions(client, table):
    both = {"n": condition("EQ", N(5)), "s": condition("EQ", S("other"))}
    assert client.scan(TableName=table, ScanFilter=both)["Count"] == 0
    assert client.scan(TableName=table, ScanFilter=both, ConditionalOperator="AND")["Count"] == 0
    assert client.scan(TableName=table, ScanFilter=both, ConditionalOperator="OR")["Count"] == 1


@pytest.mark.parametrize("operator,values,count", [("EQ", [1], 1), ("LT", [1], 0), ("LE", [1], 1), ("GE", [2], 0), ("GT", [0], 1),
    ("BETWEEN", [0, 5], 1)])
def test_key_conditions(client, table, operator, values, count):
    given = {"pk": condition("EQ", S("a")), "sk": condition(operator, *map(N, values))}
    assert client.query(TableName=table, KeyConditions=given)["Count"] == count
    given = {"pk": condition("EQ", S("a")), "n": condition(operator, *(N(value + 4) for value in values))}
    assert client.query(TableName=table, IndexName="ByN", KeyConditions=given)["Count"] == count


@pytest.mark.parametrize("expected,holds", [
    ({"n": {"Value": N(5)}}, True), ({"n": {"Value": N(6)}}, False), ({"absent": {"Exists": False}}, True),
    ({"n": {"Exists": False}}, False), ({"n": condition("GT", N(4))}, True), ({"s": condition("BEGINS_WITH", S("x"))}, False),
    ({"n": {"Value": N(5)}, "s": {"Value": S("text")}}, True), ({"n": {"Value": N(5)}, "s": {"Value": S("no")}}, False),
    ({"absent": condition("NULL")}, True),
])
def test_expected(client, table, expected, holds):
    calls = [
        lambda: client.put_item(TableName=table, Item=ITEM, Expected=expected),
        lambda: client.update_item(TableName=table, Key=KEY, AttributeUpdates={"q": {"Value": N(1)}}, Expected=expected),
        lambda: client.delete_item(TableName=table, Key=KEY, Expected=expected),
    ]
    for call in calls:
        if holds:
            call()
        else:
            assert refusal(call)[0] == "ConditionalCheckFailedException"


@pytest.mark.parametrize("updates,change", [
    ({"n": {"Value": N(6)}}, {"n": N(6)}), ({"n": {"Value": N(6), "Action": "PUT"}}, {"n": N(6)}),
    ({"n": {"Value": N(6), "Action": "ADD"}}, {"n": N(11)}), ({"fresh": {"Value": N(6), "Action": "ADD"}}, {"fresh": N(6)}),
    ({"n": {"Action": "DELETE"}}, {"n": None}), ({"ss": {"Value": {"SS": ["a"]}, "Action": "DELETE"}}, {"ss": {"SS": ["b"]}}),
    ({"ss": {"Value": {"SS": ["a", "b"]}, "Action": "DELETE"}}, {"ss": None}),
    ({"ss": {"Value": {"SS": ["c"]}, "Action": "ADD"}}, {"ss": {"SS": ["a", "b", "c"]}}),
    ({"l": {"Value": {"L": [N(9)]}, "Action": "ADD"}}, {"l": {"L": [N(1), S("x"), N(9)]}}), ({"m.x": {"Value": N(1)}}, {"m.x": N(1)}),
    ({}, {}),
])
def test_attribute_updates(client, table, updates, change):
    client.update_item(TableName=table, Key=KEY, AttributeUpdates=updates)
    got = client.get_item(TableName=table, Key=KEY)["Item"]
    if "SS" in got.get("ss", {}):
        got["ss"]["SS"].sort()
    assert got == {name: value for name, value in {**ITEM, **change}.items() if value is not None}


def test_attributes_to_get(client, table):
    assert client.get_item(TableName=table, Key=KEY, AttributesToGet=["n", "absent", "s"])["Item"] == {"n": N(5), "s": S("text")}
    assert client.scan(TableName=table, AttributesToGet=["n"])["Items"] == [{"n": N(5)}]


MIX = "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {{{}}} Expression parameters: {{{}}}"


def test_old_and_new_do_not_mix(client, table):
    assert refusal(client.get_item, TableName=table, Key=KEY, AttributesToGet=["n"], ProjectionExpression="n") == (INVALID,
        MIX.format("AttributesToGet", "ProjectionExpression"))
    assert refusal(client.scan, TableName=table, ScanFilter={"n": condition("NULL")}, FilterExpression="attribute_exists(n)") == (INVALID,
        MIX.format("ScanFilter", "FilterExpression"))
    code, message = refusal(client.put_item, TableName=table, Item=ITEM, Expected={"n": {"Exists": False}},
        ConditionExpression="attribute_exists(n)")
    assert (code, message.removeprefix(ENVELOPE)) == (INVALID, MIX.format("Expected", "ConditionExpression"))
    code, message = refusal(client.update_item, TableName=table, Key=KEY, AttributeUpdates={"q": {"Value": N(1)}},
        UpdateExpression="SET q = n")
    assert (code, message.removeprefix(ENVELOPE)) == (INVALID, MIX.format("AttributeUpdates", "UpdateExpression"))


@pytest.mark.parametrize("given", [condition("EQ"), condition("EQ", N(1), N(2)), condition("BETWEEN", N(1)), condition("NULL", N(1)),
    condition("LT", {"SS": ["a"]}), condition("BEGINS_WITH", N(1)), condition("X", N(1)), {"AttributeValueList": [N(1)]}, condition("IN")])
def test_conditions_that_are_none(client, table, given):
    assert refusal(client.scan, TableName=table, ScanFilter={"n": given})[0] == INVALID
    assert refusal(client.put_item, TableName=table, Item=ITEM, Expected={"n": given})[0] == INVALID
