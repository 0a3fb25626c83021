"""Error codes and messages, exactly. Each row is an operation, a request and what the real service says to it.

The wording is that of the real service in autumn 2026, most of it recorded by public conformance work. DynamoDB Local
has no layer of collected constraints, so these rows are not checked against it; what both agree on is in the
differential run.
"""

import os

import pytest
from answers import ENVELOPE

pytestmark = pytest.mark.skipif(bool(os.environ.get("PARTITA_TEST_ENDPOINT")), reason="DynamoDB Local words these its own way")

INVALID = "com.amazon.coral.validate#ValidationException"
T = "Wording"
KEY = {"pk": {"S": "a"}, "sk": {"N": "1"}}
LENGTH = "Member must have length {} than or equal to {}"
PATTERN = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"


@pytest.fixture(scope="module")
def table(client):
    """A table with an index of each kind."""
    from differential.scenario import create

    client.create_table(**create(T, "pk:S sk:N", lsi=[("Local", "pk:S lk:S", "KEYS_ONLY")], gsi=[("World", "g:S", "KEYS_ONLY")]).body)
    client.put_item(TableName=T, Item={**KEY, "n": {"N": "1"}, "s": {"S": "x"}})
    yield T
    client.delete_table(TableName=T)


def one(text):
    """A message of one collected constraint."""
    return ENVELOPE + text


def put(**more):
    """A PutItem of an item that fits."""
    return {"TableName": T, "Item": KEY, **more}


def query(text, **more):
    """A Query; values are :p (a string) and :n (a number)."""
    values = {name: value for name, value in {":p": {"S": "a"}, ":n": {"N": "1"}}.items() if name in text + str(more)}
    return {"TableName": T, "KeyConditionExpression": text, **({"ExpressionAttributeValues": values} if values else {}), **more}


ENUM = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
COST = "Value 'X' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
METRICS = "Value 'X' at 'returnItemCollectionMetrics' failed to satisfy constraint: Member must satisfy enum value set: [SIZE, NONE]"
OVERLAP = "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {}, path two: {}"
MIX = "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {{{}}} Expression parameters: {{{}}}"
TABLE_SHORT = one("Value at 'TableName' failed to satisfy constraint: " + LENGTH.format("greater", 1))

ROWS = [
    # constraints of the model
    ("PutItem", {"Item": KEY}, one("Value null at 'tableName' failed to satisfy constraint: Member must not be null")),
    ("PutItem", put(TableName=""), TABLE_SHORT), ("PutItem", put(TableName="", ReturnValues="X"), TABLE_SHORT),
    ("UpdateItem", {"TableName": "", "Key": {}}, TABLE_SHORT), ("DeleteItem", {"TableName": "", "Key": {}}, TABLE_SHORT),
    ("PutItem", put(TableName="a" * 256), one(f"Value '{'a' * 256}' at 'tableName' failed to satisfy constraint: " + LENGTH.format("less",
    255))),
    ("PutItem", put(TableName="bad table!@#"), one("Value 'bad table!@#' at 'tableName' failed to satisfy constraint: " + PATTERN)),
    ("CreateTable", {"TableName": "ab", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}], "BillingMode": "PAY_PER_REQUEST"},
    one("Value 'ab' at 'tableName' failed to satisfy constraint: " + LENGTH.format("greater", 3))),
    ("PutItem", put(ReturnConsumedCapacity="X", ReturnValues="X", ReturnItemCollectionMetrics="X"),
    f"3 validation errors detected: {COST}; {ENUM}; {METRICS}"),
    ("DeleteItem", {"TableName": T, "Key": KEY, "ReturnConsumedCapacity": "X", "ReturnValues": "X"},
    f"2 validation errors detected: {COST}; {ENUM}"),
    ("UpdateItem", {"TableName": T, "Key": KEY, "ReturnConsumedCapacity": "X", "ReturnValues": "X"}, one(ENUM)),
    ("BatchGetItem", {"RequestItems": {}}, one("Value at 'RequestItems' failed to satisfy constraint: " + LENGTH.format("greater", 1))),
    ("BatchWriteItem", {"RequestItems": {}}, "The requestItems parameter is required for BatchWriteItem"),
    ("CreateTable", {"TableName": "Fresh", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"},
    {"AttributeName": "sk", "KeyType": "RANGE"}, {"AttributeName": "extra", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}], "BillingMode": "PAY_PER_REQUEST"},
    one("Value '[KeySchemaElement(attributeName=pk, keyType=HASH), KeySchemaElement(attributeName=sk, keyType=RANGE), KeySchemaElement(attributeName=extra, keyType=RANGE)]' at 'keySchema' failed to satisfy constraint: " + LENGTH.format("less",
    2))),
    ("Scan", {"TableName": T, "ReturnConsumedCapacity": "X"}, one(COST)),
    # values
    ("PutItem", put(Item={**KEY, "v": {"SS": []}}), one("One or more parameter values were invalid: An string set  may not be empty")),
    ("PutItem", put(Item={**KEY, "v": {"NS": []}}), one("One or more parameter values were invalid: An number set  may not be empty")),
    ("PutItem", put(Item={**KEY, "v": {"SS": ["a", "a"]}}),
    one('One or more parameter values were invalid: Input collection ["a", "a"] contains duplicates.')),
    # expressions
    ("PutItem", put(ConditionExpression="((n = s))"), one("Invalid ConditionExpression: The expression has redundant parentheses;")),
    ("PutItem", put(ConditionExpression="contains(s, s)"),
    one("Invalid ConditionExpression: The first operand must be distinct from the remaining operands for this operator or function; operator: contains, first operand: [s]")),
    ("PutItem", put(ExpressionAttributeValues={":v": {"S": "x"}}),
    one("ExpressionAttributeValues can only be specified when using expressions")),
    ("PutItem", put(ConditionExpression="attribute_exists(n)", Expected={"n": {"Exists": False}}),
    one(MIX.format("Expected", "ConditionExpression"))),
    ("UpdateItem", {"TableName": T, "Key": KEY, "UpdateExpression": "INVALID SYNTAX"},
    one('Invalid UpdateExpression: Syntax error; token: "INVALID", near: "INVALID SYNTAX"')),
    ("UpdateItem", {"TableName": T, "Key": KEY, "UpdateExpression": ""}, one("Invalid UpdateExpression: The expression can not be empty;")),
    ("UpdateItem", {"TableName": T, "Key": KEY, "UpdateExpression": "SET n = :v"},
    one("Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :v")),
    ("UpdateItem", {"TableName": T, "Key": KEY, "UpdateExpression": "REMOVE n", "ExpressionAttributeNames": {"#unused": "x"}},
    one("Value provided in ExpressionAttributeNames unused in expressions: keys: {#unused}")),
    ("UpdateItem", {"TableName": T, "Key": KEY, "UpdateExpression": "REMOVE n", "ExpressionAttributeValues": {":unused": {"N": "1"}}},
    one("Value provided in ExpressionAttributeValues unused in expressions: keys: {:unused}")),
    ("UpdateItem", {"TableName": T, "Key": KEY, "UpdateExpression": "SET pk = s"},
    "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"),
    ("UpdateItem", {"TableName": T, "Key": KEY, "UpdateExpression": "SET sk = n"},
    "One or more parameter values were invalid: Cannot update attribute sk. This attribute is part of the key"),
    ("UpdateItem", {"TableName": T, "Key": KEY, "UpdateExpression": "SET n = s", "AttributeUpdates": {"q": {"Value": {"N": "1"}}}},
    one(MIX.format("AttributeUpdates", "UpdateExpression"))),
    ("GetItem", {"TableName": T, "Key": KEY, "ProjectionExpression": "a, a"}, OVERLAP.format("[a]", "[a]")),
    ("GetItem", {"TableName": T, "Key": KEY, "ProjectionExpression": "a.b, a"}, OVERLAP.format("[a, b]", "[a]")),
    ("Scan", {"TableName": T, "ProjectionExpression": "l, l[0]"}, OVERLAP.format("[l]", "[l, [0]]")),
    ("GetItem", {"TableName": T, "Key": KEY, "ProjectionExpression": "#a, #b", "ExpressionAttributeNames": {"#a": "x", "#b": "x"}},
    OVERLAP.format("[x]", "[x]")),
    ("Scan", {"TableName": T, "FilterExpression": "n = 5"}, 'Invalid FilterExpression: Syntax error; token: "5", near: "= 5"'),
    ("Scan", {"TableName": T, "FilterExpression": "name = s"},
    "Invalid FilterExpression: Attribute name is a reserved keyword; reserved keyword: name"),
    ("Scan", {"TableName": T, "FilterExpression": "#u = s"},
    "Invalid FilterExpression: An expression attribute name used in the document path is not defined; attribute name: #u"),
    ("Scan", {"TableName": T, "FilterExpression": "nope(n)"}, "Invalid FilterExpression: Invalid function name; function: nope"),
    ("Scan", {"TableName": T, "FilterExpression": "size(s)"},
    "Invalid FilterExpression: The function is not allowed to be used this way in an expression; function: size"),
    ("Scan", {"TableName": T, "FilterExpression": "begins_with(s, :n)", "ExpressionAttributeValues": {":n": {"N": "1"}}},
    "Invalid FilterExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"),
    ("Scan", {"TableName": T, "FilterExpression": "n BETWEEN :b AND :a", "ExpressionAttributeValues": {":a": {"N": "1"}, ":b": {"N": "2"}}},
    "Invalid FilterExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}"),
    # keys
    ("GetItem", {"TableName": T, "Key": {"pk": {"S": "a"}}}, "The provided key element does not match the schema"),
    ("GetItem", {"TableName": T, "Key": {**KEY, "sk": {"S": "1"}}}, "The provided key element does not match the schema"),
    ("DeleteItem", {"TableName": T, "Key": {**KEY, "x": {"S": "1"}}}, "The provided key element does not match the schema"),
    ("GetItem", {"TableName": T, "Key": {**KEY, "pk": {"S": ""}}},
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"),
    ("BatchWriteItem", {"RequestItems": {T: [{"PutRequest": {"Item": {**KEY, "pk": {"N": "1"}}}}]}},
    "The provided key element does not match the schema"), ("BatchWriteItem",
    {"RequestItems": {T: [{"PutRequest": {"Item": {**KEY, "pk": {"L": []}}}}]}}, "The provided key element does not match the schema"),
    ("PutItem", put(Item={"pk": {"S": "a"}}), "One or more parameter values were invalid: Missing the key sk in the item"),
    ("PutItem", put(Item={**KEY, "pk": {"N": "1"}}),
    "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N"),
    # queries
    ("Query", query("pk = :p AND sk <> :n"), "Invalid operator used in KeyConditionExpression: <>"),
    ("Query", query("sk = :n"), "Query condition missed key schema element: pk"),
    ("Query", query("pk = :n"), "One or more parameter values were invalid: Condition parameter type does not match schema type"),
    ("Query", query("pk = :p", IndexName="Nope"), "The table does not have the specified index: Nope"),
    ("Query", query("pk = :p", FilterExpression="sk = :n"),
    "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk"),
    ("Query", query("g = :p", IndexName="World", ConsistentRead=True), "Consistent reads are not supported on global secondary indexes"),
    ("Query", query("g = :p", IndexName="World", Select="ALL_ATTRIBUTES"),
    "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index World because its projection type is not ALL"),
    ("Query", {"TableName": T}, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."),
    ("Scan", {"TableName": T, "Segment": 1},
    "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"),
    ("Scan", {"TableName": T, "TotalSegments": 2},
    "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"),
]


@pytest.mark.parametrize("operation,request_,message", ROWS, ids=[f"{op} {str(m)[:60]}" for op, _, m in ROWS])
def test_message(wire, table, operation, request_, message):
    answer = wire.call(operation, request_)
    assert (answer.status, answer.body) == (400, {"__type": INVALID, "message": message})


def test_a_missing_table(wire):
    answer = wire.call("GetItem", {"TableName": "NoSuchTable", "Key": KEY})
    assert (answer.status, answer.body) == (400, {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
        "message": "Requested resource not found"})


def test_a_failed_condition(wire, table):
    answer = wire.call("PutItem", put(ConditionExpression="attribute_not_exists(pk)"))
    assert (answer.status, answer.body) == (400, {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "message": "The conditional request failed"})


@pytest.mark.parametrize("operation", ["NoSuchOperation", "listTables", "TransactWriteItems2"])
def test_an_unknown_operation(wire, operation):
    answer = wire.call(operation, {})
    assert answer.status == 400 and answer.body["__type"] == "com.amazon.coral.service#UnknownOperationException"


SERIALIZATION = [
    ('{"TableName": 23}', "NUMBER_VALUE cannot be converted to String"),
    ('{"TableName": true}', "TRUE_VALUE cannot be converted to String"),
    ('{"TableName": 1.5}', "DECIMAL_VALUE cannot be converted to String"),
    ('{"TableName": []}', "Unrecognized collection type class java.lang.String"),
    ('{"TableName": {}}', "Start of structure or map found where not expected"),
    ('{"TableName": "abc", "Item": "x"}', "Unexpected field type"),
    ('{"TableName": "abc", "Item": {"a": {"S": 5}}}', "NUMBER_VALUE cannot be converted to String"),
    ('{"TableName": "abc", "Item": {"a": {"B": "x"}}}', None), ('{"TableName": "abc"', None), ("", None), ("[]", None), ("nonsense", None),
]


@pytest.mark.parametrize("body,message", SERIALIZATION)
def test_what_cannot_be_decoded(wire, body, message):
    answer = wire.call("PutItem", body.encode())
    assert answer.status == 400 and answer.body["__type"] == "com.amazon.coral.service#SerializationException"
    if message is not None:
        assert answer.body["Message"] == message


def test_decoding_comes_first_then_constraints_then_the_table_then_expressions(wire, table):
    def kind(body):
        return wire.call("PutItem", body).body["__type"].split("#")[1]

    syntax, item = {"ConditionExpression": "a b"}, {"pk": {"N": "1"}}
    assert kind({"TableName": "NoSuchTable", "Item": 5, "ReturnValues": "X", **syntax}) == "SerializationException"
    assert "enum value set" in wire.call("PutItem", {"TableName": "NoSuchTable", "Item": item, "ReturnConsumedCapacity": "X",
        **syntax}).body["message"]
    assert kind({"TableName": "NoSuchTable", "Item": item, **syntax}) in ("ResourceNotFoundException", "ValidationException")
    assert "Syntax error" in wire.call("PutItem", {"TableName": T, "Item": item, **syntax}).body["message"]
    assert "Type mismatch" in wire.call("PutItem", {"TableName": T, "Item": {**KEY, "pk": {"N": "1"}},
        "ConditionExpression": "attribute_exists(nothing)"}).body["message"]
