"""Update expressions: each row is an item, an expression and the item afterwards, or the refusal."""

import pytest
from answers import ENVELOPE, N, S, refusal

ITEM = {"n": N(5), "s": S("text"), "l": {"L": [N(0), N(1), N(2)]}, "m": {"M": {"x": N(1), "y": {"M": {"z": S("deep")}}}},
    "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}}
VALUES = {
    ":n": N(7), ":one": N(1), ":half": N("0.5"), ":s": S("new"), ":l": {"L": [S("x"), S("y")]}, ":m": {"M": {"q": N(1)}},
    ":ss": {"SS": ["b", "c"]}, ":all": {"SS": ["a", "b"]},
    ":ns": {"NS": ["2", "3"]}, ":empty": {"L": []}, ":t": {"BOOL": True}, ":big": N("9" * 38),
}

CHANGES = [
    ("SET n = :n", {"n": N(7)}), ("SET fresh = :m", {"fresh": {"M": {"q": N(1)}}}), ("SET n = n + :n", {"n": N(12)}),
    ("SET n = n - :half", {"n": N("4.5")}), ("SET n = :one - n", {"n": N(-4)}), ("SET n = m.x + l[2]", {"n": N(3)}),
    ("SET m.x = :s", {"m": {"M": {"x": S("new"), "y": {"M": {"z": S("deep")}}}}}),
    ("SET m.y.z = :n, m.y.w = :s", {"m": {"M": {"x": N(1), "y": {"M": {"z": N(7), "w": S("new")}}}}}),
    ("SET l[0] = :s", {"l": {"L": [S("new"), N(1), N(2)]}}), ("SET l[9] = :s", {"l": {"L": [N(0), N(1), N(2), S("new")]}}),
    ("SET l[9] = :s, l[5] = :n", {"l": {"L": [N(0), N(1), N(2), N(7), S("new")]}}),
    ("SET l = list_append(l, :l)", {"l": {"L": [N(0), N(1), N(2), S("x"), S("y")]}}),
    ("SET l = list_append(:l, l)", {"l": {"L": [S("x"), S("y"), N(0), N(1), N(2)]}}),
    ("SET l = list_append(l, l)", {"l": {"L": [N(0), N(1), N(2), N(0), N(1), N(2)]}}),
    ("SET fresh = list_append(if_not_exists(fresh, :empty), :l)", {"fresh": {"L": [S("x"), S("y")]}}),
    ("SET n = if_not_exists(n, :s)", {}), ("SET q = if_not_exists(q, :s)", {"q": S("new")}), ("SET q = if_not_exists(q, n)", {"q": N(5)}),
    ("SET q = if_not_exists(q, :one) + :n", {"q": N(8)}), ("SET q = if_not_exists(m.absent, m.x)", {"q": N(1)}),
    ("SET a = n, n = s, s = a0", None), ("SET n = s, s = n", {"n": S("text"), "s": N(5)}),
    ("REMOVE n", {"n": None}), ("REMOVE n, s", {"n": None, "s": None}), ("REMOVE absent", {}), ("REMOVE m.absent", {}),
    ("REMOVE m.x", {"m": {"M": {"y": {"M": {"z": S("deep")}}}}}), ("REMOVE l[0], l[2]", {"l": {"L": [N(1)]}}), ("REMOVE l[9]", {}),
    ("REMOVE l[1] SET l[0] = :s", {"l": {"L": [S("new"), N(2)]}}),
    ("ADD n :n", {"n": N(12)}), ("ADD fresh :n", {"fresh": N(7)}), ("ADD ss :ss", {"ss": {"SS": ["a", "b", "c"]}}),
    ("ADD ns :ns", {"ns": {"NS": ["1", "2", "3"]}}), ("ADD fresh :ss", {"fresh": {"SS": ["b", "c"]}}),
    ("ADD m.x :n", {"m": {"M": {"x": N(8), "y": {"M": {"z": S("deep")}}}}}),
    ("DELETE ss :ss", {"ss": {"SS": ["a"]}}), ("DELETE ss :all", {"ss": None}), ("DELETE absent :ss", {}),
    ("DELETE ns :ns", {"ns": {"NS": ["1"]}}),
    ("SET n = :n REMOVE s ADD c :one DELETE ss :ss", {"n": N(7), "s": None, "c": N(1), "ss": {"SS": ["a"]}}),
    ("set n = :n remove s", {"n": N(7), "s": None}), ("DELETE ss :ss SET n = :n", {"ss": {"SS": ["a"]}, "n": N(7)}),
    ("SET n = (n + :one)", {"n": N(6)}),
]


@pytest.fixture(scope="module")
def table(client):
    """One table for all rows."""
    from differential.scenario import create

    client.create_table(**create("Updates").body)
    yield "Updates"
    client.delete_table(TableName="Updates")


def request(table, text, **more):
    """An update with the values its text mentions."""
    import re

    values = {name: VALUES[name] for name in re.findall(r":\w+", text)}
    return {"TableName": table, "Key": {"pk": S("a")}, "UpdateExpression": text,
        **({"ExpressionAttributeValues": values} if values else {}), **more}


def in_order(item):
    """The item with its sets sorted."""
    return {name: {kind: sorted(v) if kind in ("SS", "NS") else v for kind, v in value.items()} for name, value in item.items()}


@pytest.mark.parametrize("text,change", [row for row in CHANGES if row[1] is not None], ids=lambda v: v if isinstance(v, str) else "")
def test_change(client, table, text, change):
    client.put_item(TableName=table, Item={"pk": S("a"), **ITEM})
    expected = {name: value for name, value in {"pk": S("a"), **ITEM, **change}.items() if value is not None}
    answer = client.update_item(**request(table, text), ReturnValues="ALL_NEW")
    assert in_order(answer["Attributes"]) == in_order(expected)
    assert in_order(client.get_item(TableName=table, Key={"pk": S("a")})["Item"]) == in_order(expected)


MISSING = "The provided expression refers to an attribute that does not exist in the item"
PATH = "The document path provided in the update expression is invalid for update"
TYPE = "An operand in the update expression has an incorrect data type"
OVERLAP = "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {}, path two: {}"
CONFLICT = "Invalid UpdateExpression: Two document paths conflict with each other; must remove or rewrite one of these paths; path one: {}, path two: {}"
ONCE = 'Invalid UpdateExpression: The "{}" section can only be used once in an update expression;'
OPERAND = "Invalid UpdateExpression: Incorrect operand type for operator or function; operator or function: {}, operand type: {}"
ACTION = "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: {}, operand type: {}, typeSet: ALLOWED_FOR_{}_OPERAND"

REFUSALS = [
    # found on the item
    ("SET n = absent", MISSING), ("SET n = absent + :n", MISSING), ("SET n = m.absent", MISSING), ("SET n = l[7]", MISSING),
    ("SET l = list_append(absent, :l)", MISSING),
    ("SET absent.x = :n", PATH), ("SET absent[0] = :n", PATH), ("SET m.absent.x = :n", PATH), ("SET n.x = :n", PATH),
    ("SET s[0] = :n", PATH), ("SET m[0] = :n", PATH), ("SET l.x = :n", PATH), ("SET l[9][0] = :n", PATH), ("REMOVE n.x", PATH),
    ("REMOVE m.absent.x", PATH), ("ADD absent.x :n", PATH),
    ("SET n = s + :n", TYPE), ("SET n = :n - l", TYPE), ("SET l = list_append(n, :l)", TYPE), ("SET l = list_append(l, s)", TYPE),
    ("ADD s :n", TYPE), ("ADD ss :n", TYPE), ("ADD ss :ns", TYPE), ("ADD l :n", TYPE), ("DELETE ns :ss", TYPE), ("DELETE s :ss", TYPE),
    # found in the expression
    ("", "Invalid UpdateExpression: The expression can not be empty;"),
    ("SET", 'Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "SET"'),
    ("SET n", 'Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "n"'),
    ("SET n = 5", 'Invalid UpdateExpression: Syntax error; token: "5", near: "= 5"'),
    ("SET n = n * :n", 'Invalid UpdateExpression: Syntax error; token: "*", near: "n * :n"'),
    ("SET n = n + :n + :n", 'Invalid UpdateExpression: Syntax error; token: "+", near: ":n + :n"'),
    ("FOO n", 'Invalid UpdateExpression: Syntax error; token: "FOO", near: "FOO n"'),
    ("SET n = :n SET s = :s", ONCE.format("SET")), ("REMOVE n REMOVE s", ONCE.format("REMOVE")), ("ADD n :n ADD q :n", ONCE.format("ADD")),
    ("DELETE ss :ss DELETE ns :ns", ONCE.format("DELETE")),
    ("SET n = :n, n = :one", OVERLAP.format("[n]", "[n]")), ("SET m = :m, m.x = :n", OVERLAP.format("[m]", "[m, x]")),
    ("SET m.x = :n REMOVE m", OVERLAP.format("[m, x]", "[m]")), ("SET l[0] = :n, l[0] = :s", OVERLAP.format("[l, [0]]", "[l, [0]]")),
    ("SET l[0] = :n, l.x = :s", CONFLICT.format("[l, [0]]", "[l, x]")), ("SET n = :n ADD n :n", OVERLAP.format("[n]", "[n]")),
    ("SET n = :n + :s", OPERAND.format("+", "S")), ("SET n = :l - :n", OPERAND.format("-", "L")),
    ("SET l = list_append(l, :n)", OPERAND.format("list_append", "N")), ("ADD n :s", ACTION.format("ADD", "STRING", "ADD")),
    ("ADD n :t", ACTION.format("ADD", "BOOLEAN", "ADD")), ("ADD n :l", ACTION.format("ADD", "LIST", "ADD")),
    ("DELETE ss :n", ACTION.format("DELETE", "NUMBER", "DELETE")), ("DELETE ss :s", ACTION.format("DELETE", "STRING", "DELETE")),
    ("SET n = size(s)", "Invalid UpdateExpression: The function is not allowed in an update expression; function: size"),
    ("SET n = nope(s)", "Invalid UpdateExpression: Invalid function name; function: nope"),
    ("SET n = if_not_exists(n)",
    "Invalid UpdateExpression: Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1"),
    ("SET n = if_not_exists(:n, :one)",
    "Invalid UpdateExpression: Operator or function requires a document path; operator or function: if_not_exists"),
    ("SET l = list_append(list_append(l, :l), :l)", None),
    ("SET name = :n", "Invalid UpdateExpression: Attribute name is a reserved keyword; reserved keyword: name"),
    ("SET n = ((:n))", "Invalid UpdateExpression: The expression has redundant parentheses;"),
    ("SET pk = :s", "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"),
    ("REMOVE pk", "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"),
]


@pytest.mark.parametrize("text,message", REFUSALS, ids=lambda v: v if isinstance(v, str) and len(v) < 40 else "")
def test_refusal_leaves_the_item(client, table, text, message):
    item = {"pk": S("a"), **ITEM}
    client.put_item(TableName=table, Item=item)
    code, said = refusal(client.update_item, **request(table, text))
    assert code == "ValidationException"
    if message is not None:
        assert said.removeprefix(ENVELOPE) == message
    assert in_order(client.get_item(TableName=table, Key={"pk": S("a")})["Item"]) == in_order(item)


def test_arithmetic_beyond_38_digits_is_refused(client, table):
    client.put_item(TableName=table, Item={"pk": S("a"), **ITEM})
    assert refusal(client.update_item, **request(table, "SET q = :big + :half"))[0] == "ValidationException"
    assert client.update_item(**request(table, "SET q = :big - :one", ReturnValues="UPDATED_NEW"))["Attributes"]["q"] == N("9" * 37 + "8")


def test_a_failed_condition_does_not_look_at_the_update(client, table):
    client.put_item(TableName=table, Item={"pk": S("a"), **ITEM})
    code, _ = refusal(client.update_item, **request(table, "SET n = absent"), ConditionExpression="attribute_exists(nothing)")
    assert code == "ConditionalCheckFailedException"
