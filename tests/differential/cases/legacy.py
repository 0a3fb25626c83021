"""The parameters from before expressions: Expected, AttributeUpdates, KeyConditions, filters, AttributesToGet."""

from ..scenario import B, L, M, N, NULL, S, TRUE, Step, create, delete, drop, get, put, query, scan, scenario, update

T = "Legacy"
KEY = {"pk": S("a"), "sk": N(1)}
ITEM = {**KEY, "n": N(5), "s": S("text"), "b": B("YWJj"), "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "l": L(N(1), S("x")),
    "m": M(x=N(1)), "t": TRUE, "z": NULL}
OPERATORS = ["EQ", "NE", "IN", "LE", "LT", "GE", "GT", "BETWEEN", "NOT_NULL", "NULL", "CONTAINS", "NOT_CONTAINS", "BEGINS_WITH", "X", ""]
ARGUMENTS = [None, [], [N(5)], [S("te")], [S("text")], [N(1), N(9)], [N(9), N(1)], [S("a"), N(1)], [B("YWJj")], [{"SS": ["a", "b"]}],
    [{"NS": ["1"]}], [L(N(1))], [M(x=N(1))], [TRUE], [NULL], [S("a"), S("b"), S("text")], [S("")], [{}], [{"SS": []}], [N("x")]]
ATTRIBUTES = ["n", "s", "ss", "absent"]


@scenario
def scan_filters():
    """ScanFilter: every operator with every list of arguments on several attributes."""
    yield create(T, "pk:S sk:N")
    yield put(T, ITEM)
    for operator in OPERATORS:
        for arguments in ARGUMENTS:
            for name in ATTRIBUTES:
                condition = {"ComparisonOperator": operator, **({"AttributeValueList": arguments} if arguments is not None else {})}
                yield scan(T, ScanFilter={name: condition}, Select="COUNT")
    for name in ("l", "m", "t", "z", "b", "ns"):
        for operator in OPERATORS[:13]:
            yield scan(T, ScanFilter={name: {"ComparisonOperator": operator, "AttributeValueList": [ITEM[name]]}}, Select="COUNT")
    for more in [
        {"ScanFilter": {}}, {"ScanFilter": {"n": {}}}, {"ScanFilter": {"n": {"AttributeValueList": [N(5)]}}},
        {"ScanFilter": {"n": {"ComparisonOperator": "EQ", "AttributeValueList": [N(5)]},
        "s": {"ComparisonOperator": "EQ", "AttributeValueList": [S("no")]}}},
        {"ScanFilter": {"n": {"ComparisonOperator": "EQ", "AttributeValueList": [N(5)]},
        "s": {"ComparisonOperator": "EQ", "AttributeValueList": [S("no")]}}, "ConditionalOperator": "OR"},
        {"ScanFilter": {"n": {"ComparisonOperator": "NULL"}}, "ConditionalOperator": "AND"}, {"ConditionalOperator": "OR"},
        {"ScanFilter": {}, "ConditionalOperator": "OR"}, {"ScanFilter": {"n": {"ComparisonOperator": "NULL"}},
        "FilterExpression": "attribute_exists(n)"}, {"FilterExpression": "attribute_exists(n)", "ConditionalOperator": "OR"},
        {"FilterExpression": "attribute_exists(n)", "AttributesToGet": ["n"]},
        {"ProjectionExpression": "n", "ScanFilter": {"n": {"ComparisonOperator": "NULL"}}},
        {"ScanFilter": {"": {"ComparisonOperator": "NULL"}}}, {"ScanFilter": {"pk": {"ComparisonOperator": "EQ",
        "AttributeValueList": [S("a")]}}}, {"AttributesToGet": ["n", "s", "absent"]}, {"AttributesToGet": ["m.x"]},
    ]:
        yield scan(T, **more)
    yield drop(T)


@scenario
def key_conditions():
    """KeyConditions and QueryFilter."""
    yield create(T, "pk:S sk:N", lsi=[("L1x", "pk:S n:N", "ALL")])
    yield put(T, ITEM)
    yield put(T, {"pk": S("a"), "sk": N(2), "n": N(7)})
    equal = {"ComparisonOperator": "EQ", "AttributeValueList": [S("a")]}
    for operator in OPERATORS:
        for arguments in ARGUMENTS[:12]:
            condition = {"ComparisonOperator": operator, **({"AttributeValueList": arguments} if arguments is not None else {})}
            yield query(T, KeyConditions={"pk": equal, "sk": condition})
            yield query(T, KeyConditions={"pk": condition})
            yield query(T, KeyConditions={"pk": equal}, QueryFilter={"n": condition}, Select="COUNT")
    for more in [
        {}, {"KeyConditions": {}}, {"KeyConditions": {"sk": equal}}, {"KeyConditions": {"pk": equal, "n": equal}},
        {"KeyConditions": {"pk": equal, "sk": equal, "n": equal}}, {"KeyConditions": {"pk": {}}},
        {"KeyConditions": {"pk": equal}, "QueryFilter": {"pk": equal}},
        {"KeyConditions": {"pk": equal}, "QueryFilter": {"sk": {"ComparisonOperator": "NULL"}}},
        {"KeyConditions": {"pk": equal}, "QueryFilter": {}}, {"KeyConditions": {"pk": equal}, "ConditionalOperator": "OR"},
        {"KeyConditions": {"pk": equal}, "FilterExpression": "attribute_exists(n)"},
        {"KeyConditions": {"pk": equal}, "ProjectionExpression": "n"}, {"KeyConditions": {"pk": equal}, "AttributesToGet": ["n"]},
        {"KeyConditions": {"pk": equal, "n": {"ComparisonOperator": "GT", "AttributeValueList": [N(5)]}}, "IndexName": "L1x"},
        {"KeyConditions": {"pk": equal, "n": {"ComparisonOperator": "LE", "AttributeValueList": [N(5)]}}, "IndexName": "L1x",
        "QueryFilter": {"s": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [S("te")]}, "n": equal}},
        {"KeyConditions": {"pk": equal}, "KeyConditionExpression": "pk = :a", "ExpressionAttributeValues": {":a": S("a")}},
        {"KeyConditions": {"pk": equal}, "ExpressionAttributeValues": {":a": S("a")}},
        {"QueryFilter": {"n": {"ComparisonOperator": "NULL"}}},
    ]:
        yield query(T, **more)
    yield drop(T)


@scenario
def expected():
    """Expected with and without comparison operators, and ConditionalOperator."""
    yield create(T, "pk:S sk:N")
    conditions = [
        {}, {"Exists": True}, {"Exists": False}, {"Value": N(5)}, {"Value": N(6)}, {"Exists": True, "Value": N(5)},
        {"Exists": False, "Value": N(5)}, {"Value": S("5")}, {"Value": {}}, {"Value": N("x")}, {"ComparisonOperator": "EQ", "Value": N(5)},
        {"ComparisonOperator": "EQ", "Exists": True}, {"AttributeValueList": [N(5)]}, {"AttributeValueList": [N(5)], "Value": N(5)},
        {"AttributeValueList": [N(5)], "Exists": False}, {"ComparisonOperator": "EQ", "AttributeValueList": [N(5)], "Value": N(5)},
    ] + [{"ComparisonOperator": operator,
    "AttributeValueList": arguments} for operator in OPERATORS for arguments in ARGUMENTS[1:10]] + [{"ComparisonOperator": operator} for operator in OPERATORS]
    for condition in conditions:
        yield put(T, ITEM)
        yield put(T, ITEM, Expected={"n": condition})
        yield delete(T, KEY, Expected={"n": condition}, ReturnValues="ALL_OLD")
    for name in ("ss", "ns", "l", "m", "t", "z", "b", "s"):
        yield put(T, ITEM)
        for operator in ("EQ", "NE", "CONTAINS", "NOT_CONTAINS", "IN", "LT", "BEGINS_WITH"):
            yield put(T, ITEM, Expected={name: {"ComparisonOperator": operator, "AttributeValueList": [ITEM[name]]}})
    yes, no = {"Value": N(5)}, {"Value": S("no")}
    for operator in (None, "AND", "OR", "X"):
        more = {"ConditionalOperator": operator} if operator else {}
        for found in ({}, {"n": yes}, {"n": yes, "s": no}, {"n": yes, "s": {"Value": S("text")}}, {"n": no, "s": no}):
            yield put(T, ITEM, Expected=found, **more)
    yield put(T, ITEM, ConditionalOperator="AND")
    yield drop(T)


@scenario
def attribute_updates():
    """AttributeUpdates: every action on every type, returned and read back."""
    yield create(T, "pk:S sk:N")
    for action in (None, "PUT", "ADD", "DELETE", "X"):
        for name in ("n", "s", "ss", "ns", "l", "m", "t", "absent"):
            for value in (None, N(1), S("a"), {"SS": ["a"]}, {"NS": ["1"]}, L(N(9)), M(y=N(1)), TRUE, NULL, {}, {"SS": []}, N("x")):
                change = {**({"Action": action} if action else {}), **({"Value": value} if value is not None else {})}
                yield put(T, ITEM)
                yield update(T, KEY, AttributeUpdates={name: change}, ReturnValues="UPDATED_NEW")
    for change in ({}, {"pk": {"Value": S("b")}}, {"sk": {"Action": "DELETE"}}, {"sk": {"Action": "ADD", "Value": N(1)}},
        {"": {"Value": N(1)}}, {"m.x": {"Value": N(2)}}, {"n": {"Action": "ADD", "Value": N(1)}, "s": {"Action": "DELETE"},
        "q": {"Value": N(1)}}):
        for returned in ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"):
            yield put(T, ITEM)
            yield update(T, KEY, AttributeUpdates=change, ReturnValues=returned)
    for change in ({}, {"n": {"Action": "DELETE"}}, {"n": {"Action": "ADD", "Value": N(1)}}, {"n": {"Value": N(1)}},
        {"n": {"Action": "ADD", "Value": L(N(1))}}, {"n": {"Action": "DELETE", "Value": {"SS": ["a"]}}}):
        yield delete(T, KEY)
        yield update(T, KEY, AttributeUpdates=change, ReturnValues="ALL_NEW")
        yield get(T, KEY)
    yield drop(T)


@scenario
def mixtures():
    """Expression and legacy parameters in one request."""
    yield create(T, "pk:S sk:N")
    yield put(T, ITEM)
    for more in [{"AttributesToGet": ["n"], "ProjectionExpression": "n"}, {"AttributesToGet": ["n"]}, {"AttributesToGet": ["n", "n"]},
        {"AttributesToGet": []}, {"AttributesToGet": ["n"], "ExpressionAttributeNames": {"#n": "n"}}]:
        yield get(T, KEY, **more)
    for operation, base in [("PutItem", {"Item": ITEM}), ("DeleteItem", {"Key": KEY}), ("UpdateItem", {"Key": KEY})]:
        for more in [{"Expected": {"n": {"Value": N(5)}}, "ConditionExpression": "attribute_exists(n)"},
            {"Expected": {}, "ConditionExpression": "attribute_exists(n)"},
            {"ConditionalOperator": "AND", "ConditionExpression": "attribute_exists(n)"},
            {"Expected": {"n": {"Value": N(5)}}, "ExpressionAttributeValues": {":n": N(1)}},
            {"Expected": {"n": {"Value": N(5)}}, "ExpressionAttributeNames": {"#n": "n"}},
            {"AttributeUpdates": {"q": {"Value": N(1)}}, "ConditionExpression": "attribute_exists(n)"},
            {"UpdateExpression": "SET q = n", "Expected": {"n": {"Value": N(5)}}},
            {"UpdateExpression": "SET q = n", "AttributeUpdates": {"q": {"Value": N(1)}}, "Expected": {"n": {"Value": N(5)}},
            "ConditionExpression": "a", "ConditionalOperator": "OR"}]:
            yield Step(operation, {"TableName": T, **base, **more})
    yield drop(T)
