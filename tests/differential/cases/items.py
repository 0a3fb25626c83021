"""Writes of single items: what is returned, what it costs, and what conditions see."""

from ..scenario import B, L, M, N, NULL, S, TRUE, Step, create, delete, drop, get, put, query, scan, scenario, update

T = "Items"
KEY = {"pk": S("a")}
OLD = {"pk": S("a"), "n": N(1), "s": S("old"), "m": M(x=N(1), y=L(N(1), N(2))), "l": L(N(1), N(2), N(3)), "ss": {"SS": ["a", "b"]}}
RETURNS = ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")


@scenario
def return_values():
    """Every ReturnValues of every write, with and without an item there."""
    yield create(T)
    for returned in RETURNS:
        yield put(T, OLD, ReturnValues=returned)
        yield put(T, {"pk": S("a"), "new": N(1)}, ReturnValues=returned)
        yield delete(T, KEY, ReturnValues=returned)
        yield delete(T, KEY, ReturnValues=returned)
        for text in [
            "SET n = n + :n", "SET m.x = :n", "SET m.q = :n", "SET l[0] = :n", "SET l[1] = :n, l[2] = :s", "SET l[9] = :n", "REMOVE n",
            "REMOVE m.x", "REMOVE l[0]", "REMOVE l[0], l[2]", "REMOVE absent", "ADD n :n", "ADD fresh :n", "ADD ss :ss", "DELETE ss :ss",
            "DELETE ss :all", "SET m.y[0] = :n, m.x = :s", "SET n = :n REMOVE s ADD c :n DELETE ss :ss", "SET s = :s",
            "SET n = if_not_exists(n, :n)", "SET m = :m", "SET m.y[1] = :n REMOVE m.y[0]", "REMOVE m", "SET #x = l[0], l[0] = #x",
        ]:
            values = {":n": N(5), ":s": S("new"), ":ss": {"SS": ["a"]}, ":all": {"SS": ["a", "b"]}, ":m": M(z=NULL)}
            values = {name: value for name, value in values.items() if name in text.replace(",", " ").split()}
            names = {"#x": "x"} if "#x" in text else None
            yield put(T, OLD)
            yield update(T, KEY, text, names, values or None, ReturnValues=returned)
            yield get(T, KEY)
            yield delete(T, KEY)
            yield update(T, KEY, text, names, values or None, ReturnValues=returned)
            yield delete(T, KEY)
        yield update(T, KEY, ReturnValues=returned)
        yield update(T, KEY, ReturnValues=returned)
        yield delete(T, KEY)
    yield drop(T)


@scenario
def failed_conditions():
    """ReturnValuesOnConditionCheckFailure, alone and beside ReturnValues."""
    yield create(T)
    yield put(T, OLD)
    for more in [{}, {"ReturnValuesOnConditionCheckFailure": "NONE"}, {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
        {"ReturnValuesOnConditionCheckFailure": "ALL_OLD", "ReturnConsumedCapacity": "TOTAL"}]:
        for key in (KEY, {"pk": S("absent")}):
            failing = {"ConditionExpression": "n = :n", "ExpressionAttributeValues": {":n": N(99)}, **more}
            yield put(T, key, **failing)
            yield delete(T, key, **failing)
            yield Step("UpdateItem", {"TableName": T, "Key": key, "UpdateExpression": "SET q = :n", **failing})
            yield put(T, key, Expected={"n": {"Value": N(99)}}, **more)
    yield drop(T)


CONDITIONS = [
    "attribute_exists(pk)", "attribute_not_exists(pk)", "attribute_exists(m.x)", "attribute_exists(m.q)", "attribute_exists(l[2])",
    "attribute_exists(l[3])", "n = :one", "n <> :one", "n < :two", "n <= :one", "n > :one", "n >= :one", "n BETWEEN :one AND :two",
    "n IN (:one, :two)", "n IN (:two)", "s = :old", "s > :old", "s < :z", "begins_with(s, :ol)", "begins_with(s, :z)",
    "begins_with(s, :empty)", "contains(s, :ld)", "contains(s, :empty)", "contains(ss, :a)", "contains(ss, :z)", "contains(l, :two)",
    "contains(l, :old)", "contains(m, :one)", "size(s) = :three", "size(l) = :three", "size(m) = :two", "size(ss) = :two", "size(n) = :one",
    "attribute_type(n, :N)", "attribute_type(n, :S)", "attribute_type(m, :M)", "attribute_type(l, :L)", "attribute_type(ss, :SS)",
    "attribute_type(absent, :S)", "absent = :one", "absent <> :one", "NOT absent = :one", "absent < :one", "n = s", "n <> s", "n < s",
    "m.x = n", "l[0] = n", "l[0] = m.y[0]", "m.y = l", "n = :oneone", "s <> :one", "ss = :ab", "ss = :ba", "ss <> :ab", "l = :list",
    "m = :map", "n > :one OR s = :old", "n > :one AND s = :old", "NOT (n > :one AND s = :old)", "n = :one AND (s = :z OR s = :old)",
    "NOT n = :one OR NOT s = :z", "n = :one OR n = :two AND s = :z", "size(s) > n", "size(s) BETWEEN n AND :three",
    "n BETWEEN m.x AND size(s)",
]
VALUES = {":one": N(1), ":two": N(2), ":three": N(3), ":oneone": N("1.00"), ":old": S("old"), ":ol": S("ol"), ":ld": S("ld"), ":z": S("z"),
    ":empty": S(""), ":a": S("a"), ":N": S("N"), ":S": S("S"), ":M": S("M"), ":L": S("L"), ":SS": S("SS"), ":ab": {"SS": ["a", "b"]},
    ":ba": {"SS": ["b", "a"]}, ":list": L(N(1), N(2), N("3.0")), ":map": M(x=N(1), y=L(N(1), N(2)))}


@scenario
def truth():
    """What conditions are true of one item; the same as filters."""
    import re

    yield create(T)
    yield put(T, OLD)
    for text in CONDITIONS:
        values = {name: VALUES[name] for name in re.findall(r":\w+", text)} or None
        more = {"ExpressionAttributeValues": values} if values else {}
        yield put(T, OLD, ConditionExpression=text, **more)
        yield scan(T, text, None, values, Select="COUNT")
        yield delete(T, {"pk": S("absent")}, ConditionExpression=text, **more)
    yield drop(T)


@scenario
def comparisons():
    """Every type against every type, by every comparator."""
    kinds = [N(1), N(-1), S("a"), S(""), B("YQ=="), B(""), TRUE, {"BOOL": False}, NULL, L(), L(N(1)), M(), M(a=N(1)), {"SS": ["a"]},
        {"NS": ["1"]}, {"BS": ["YQ=="]}]
    yield create(T)
    for at, kind in enumerate(kinds):
        yield put(T, {"pk": S(f"{at:02}"), "v": kind})
    for other in kinds:
        for comparator in ("=", "<>", "<", "<=", ">", ">="):
            yield scan(T, f"v {comparator} :v", None, {":v": other}, ProjectionExpression="pk")
        yield scan(T, "v IN (:v, :w)", None, {":v": other, ":w": N(1)}, ProjectionExpression="pk")
        yield scan(T, "contains(v, :v)", None, {":v": other}, ProjectionExpression="pk")
        yield scan(T, "begins_with(v, :v)", None, {":v": other}, ProjectionExpression="pk")
        yield scan(T, "v BETWEEN :v AND :v", None, {":v": other}, ProjectionExpression="pk")
        yield scan(T, "size(v) = size(:v)", None, {":v": other}, ProjectionExpression="pk")
    for other in ("N", "S", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"):
        yield scan(T, "attribute_type(v, :v)", None, {":v": S(other)}, ProjectionExpression="pk")
    for size in range(0, 5):
        yield scan(T, "size(v) = :v", None, {":v": N(size)}, ProjectionExpression="pk")
    yield drop(T)


SIZES = (0, 900, 1000, 1001, 1008, 1014, 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1023, 1024, 2000, 2040, 2041, 2042, 2043, 2044,
    2045, 3000, 4080, 4081, 4082, 4083, 4084, 4085, 4086, 4087, 4088, 4089, 4090, 4091, 4092, 4093, 8180, 8190, 100_000)


@scenario
def capacity_of_one_item():
    """The capacity of each operation on items of many sizes, without indexes."""
    yield create(T)
    for size in SIZES:
        yield put(T, {"pk": S("a"), "v": S("x" * size)}, ReturnConsumedCapacity="TOTAL")
        yield get(T, KEY, ReturnConsumedCapacity="TOTAL", ProjectionExpression="pk")
        yield get(T, KEY, ReturnConsumedCapacity="INDEXES", ConsistentRead=True, ProjectionExpression="pk")
        yield query(T, "pk = :a", None, {":a": S("a")}, ReturnConsumedCapacity="TOTAL", Select="COUNT")
        yield query(T, "pk = :a", None, {":a": S("a")}, ReturnConsumedCapacity="INDEXES", ConsistentRead=True, Select="COUNT")
        yield update(T, KEY, "SET w = :w", None, {":w": N(1)}, ReturnConsumedCapacity="TOTAL")
        yield update(T, KEY, "REMOVE v", ReturnConsumedCapacity="INDEXES")
        yield delete(T, KEY, ReturnConsumedCapacity="TOTAL")
        yield delete(T, KEY, ReturnConsumedCapacity="TOTAL")
        yield get(T, KEY, ReturnConsumedCapacity="TOTAL")
    yield drop(T)


@scenario
def capacity_of_values():
    """The capacity at the edge of a kilobyte tells the size of each kind of value to the byte."""
    yield create(T)
    values = [N(0), N(1), N(10), N(100), N(123), N("1.5"), N("-1"), N("-1.5"), N("3.14159"), N("0.001"), N("1e100"), N("1e-100"),
        N("9" * 38), N("-" + "9" * 38), N("12345"), N("1200"), N("100100"), NULL, TRUE, L(), M(), L(N(1)), L(S("a"), S("b")), M(a=N(1)),
        M(abc=M(d=L())), B("YWJj"), B(""), S(""), S("é"), S("😀"), {"SS": ["a", "bc"]}, {"NS": ["1", "100"]}, {"BS": ["YQ=="]},
        L(NULL, TRUE, S("x"))]
    for value in values:
        for filler in range(985, 1019):
            # pk 2+1, value name 1, filler name 1: the capacity steps from 1 to 2 where the whole passes 1,024 bytes.
            yield put(T, {"pk": S("a"), "v": value, "f": S("x" * filler)}, ReturnConsumedCapacity="TOTAL")
    yield drop(T)


@scenario
def capacity_with_indexes():
    """Writes to a table with two local and two global indexes, as entries appear, move, change and go.

    All is small: DynamoDB Local counts entries of indexes with the size of the whole item.
    """
    yield create(
        T, "pk:S sk:S", lsi=[("L1x", "pk:S lk:N", "ALL"), ("L2x", "pk:S lk2:S", "KEYS_ONLY")],
        gsi=[("G1x", "gh:S", "ALL"), ("G2x", "gh:S gr:N", ("inc",))]
    )
    key = {"pk": S("a"), "sk": S("b")}
    for returned in ("TOTAL", "INDEXES"):
        cost = {"ReturnConsumedCapacity": returned}
        for attributes in [
            {}, {"gh": S("g")}, {"gh": S("g"), "gr": N(1)}, {"gh": S("g"), "gr": N(1), "inc": S("i")},
            {"gh": S("g"), "gr": N(1), "inc": S("j")}, {"gh": S("h"), "gr": N(1), "inc": S("j")}, {"gh": S("h"), "gr": N(1), "inc": S("j")},
            {"gh": S("h"), "gr": N(1), "inc": S("j"), "other": S("x")}, {"lk": N(1)}, {"lk": N(2)}, {"lk": N(2), "lk2": S("z")},
            {"lk": N(2), "lk2": S("z"), "other": S("y")}, {"gh": S("g"), "big": S("x" * 30)}, {"gh": S("g"), "big": S("y" * 50)}, {},
        ]:
            yield put(T, {**key, **attributes}, **cost)
            yield put(T, {**key, **attributes}, ReturnItemCollectionMetrics="SIZE", **cost)
        for text, values in [("SET gh = :v", {":v": S("g")}), ("SET gh = :v", {":v": S("g")}), ("SET gh = :v", {":v": S("h")}),
            ("SET gr = :v", {":v": N(1)}), ("SET inc = :v", {":v": S("x" * 20)}), ("SET other = :v", {":v": S("o")}), ("REMOVE gr", None),
            ("REMOVE gh", None), ("SET lk = :v, lk2 = :w, gh = :w", {":v": N(1), ":w": S("w")}), ("ADD lk :v", {":v": N(1)}),
            ("SET other = :v", {":v": S("o" * 40)})]:
            yield update(T, key, text, None, values, **cost)
        yield delete(T, key, ReturnItemCollectionMetrics="SIZE", **cost)
        yield delete(T, key, **cost)
        for n in range(3):
            yield put(T, {"pk": S("q"), "sk": S(str(n)), "lk": N(n), "lk2": S("z"), "gh": S("g"), "gr": N(n), "inc": S("i" * 15),
                "big": S("b" * 30)})
        for read in ({}, {"ConsistentRead": True}):
            for index, name, value in [("L1x", "pk", "q"), ("L2x", "pk", "q"), ("G1x", "gh", "g"), ("G2x", "gh", "g"), (None, "pk", "q")]:
                where = {"IndexName": index} if index else {}
                for select in ("COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"):
                    yield query(T, f"{name} = :v", None, {":v": S(value)}, Select=select, unordered=True, **where, **read, **cost)
                    yield scan(T, Select=select, **where, **read, **cost)
                yield query(T, f"{name} = :v", None, {":v": S(value)}, ProjectionExpression="big", unordered=True, **where, **read, **cost)
                yield query(T, f"{name} = :v", None, {":v": S(value)}, ProjectionExpression="sk", unordered=True, **where, **read, **cost)
                yield query(T, f"{name} = :v", None, {":v": S("none")}, **where, **read, **cost)
        yield Step("BatchGetItem", {"RequestItems": {T: {"Keys": [{"pk": S("q"), "sk": S(str(n))} for n in range(4)],
            "ProjectionExpression": "sk"}}, **cost}, unordered=True)
        yield Step("BatchGetItem", {"RequestItems": {T: {"Keys": [{"pk": S("q"), "sk": S(str(n))} for n in range(4)],
            "ConsistentRead": True, "ProjectionExpression": "sk"}}, **cost}, unordered=True)
        yield Step("BatchWriteItem", {"RequestItems": {T: [{"DeleteRequest": {"Key": {"pk": S("q"), "sk": S(str(n))}}} for n in range(4)]},
            "ReturnItemCollectionMetrics": "SIZE", **cost})
    yield drop(T)


@scenario
def item_size_limit():
    """Puts and updates around 400 KB."""
    yield create(T)
    for size in (409_590, 409_595, 409_596, 409_597, 409_600, 500_000):
        yield put(T, {"pk": S("a"), "v": S("x" * (size - 4))})
        yield delete(T, KEY)
        yield update(T, KEY, "SET v = :v", None, {":v": S("x" * (size - 4))})
        yield delete(T, KEY)
        yield Step("BatchWriteItem", {"RequestItems": {T: [{"PutRequest": {"Item": {"pk": S("a"), "v": S("x" * (size - 4))}}}]}})
        yield delete(T, KEY)
    yield put(T, {"pk": S("a"), "v": S("x" * 400_000)})
    yield update(T, KEY, "SET w = :v", None, {":v": S("x" * 20_000)})
    yield update(T, KEY, "SET w = v")
    yield update(T, KEY, "SET l = list_append(:v, :v)", None, {":v": L(S("x" * 6_000))})
    yield drop(T)


@scenario
def collection_metrics():
    """ReturnItemCollectionMetrics on tables with and without local indexes."""
    yield create(T, "pk:S sk:N", lsi=[("L1x", "pk:S lk:N", "ALL")])
    yield create("ItemsPlain", "pk:S sk:N")
    for table in (T, "ItemsPlain"):
        for more in ({"ReturnItemCollectionMetrics": "SIZE"}, {"ReturnItemCollectionMetrics": "NONE"}):
            key = {"pk": S("a"), "sk": N(1)}
            yield put(table, {**key, "lk": N(1)}, **more)
            yield update(table, key, "SET v = :v", None, {":v": N(1)}, **more)
            yield delete(table, key, **more)
            yield delete(table, key, **more)
            yield Step("BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": {"pk": S("a"), "sk": N(n)}}} for n in range(3)]},
                **more})
    yield drop(T)
    yield drop("ItemsPlain")


@scenario
def list_indexes():
    """SET and REMOVE through list indexes, in every order and beyond the end."""
    yield create(T)
    values = {":a": S("A"), ":b": S("B"), ":c": S("C"), ":l": L(S("X"), S("Y")), ":e": L()}
    for text in [
        "SET l[0] = :a, l[1] = :b", "SET l[1] = :b, l[0] = :a", "SET l[3] = :a", "SET l[5] = :a", "SET l[5] = :a, l[4] = :b",
        "SET l[9] = :a, l[7] = :b, l[8] = :c", "SET l[3] = :a, l[3] = :b", "REMOVE l[0]", "REMOVE l[1], l[0]", "REMOVE l[0], l[1], l[2]",
        "REMOVE l[2], l[9]", "SET l[0] = :a REMOVE l[1]", "SET l[2] = :a REMOVE l[0]", "SET l[7] = :a REMOVE l[0]",
        "SET l[0] = l[1], l[1] = l[0]", "SET l = list_append(l, :l) REMOVE s", "SET l = list_append(:l, l)", "SET l = list_append(l, :e)",
        "SET l[0] = list_append(l, :l)", "SET l[0] = :l", "SET l[0] = :l, m.l = :l", "SET m.l[0] = :a", "SET m.l[9] = :a, m.l[8] = :b",
        "SET l[1] = if_not_exists(l[7], :a)", "SET l[4] = if_not_exists(l[0], :a)", "ADD l[0] :a", "REMOVE l[0], l[0]",
        "REMOVE l[1] SET q = l[1]", "SET q = l[2], r = l[0] REMOVE l[0]", "SET l[65535] = :a", "SET l[2147483647] = :a",
        "SET l[2147483648] = :a",
    ]:
        mentioned = {name: value for name, value in values.items() if name in text.replace("(", " ").replace(")", " ").replace(",",
            " ").split()}
        yield put(T, {"pk": S("a"), "l": L(N(0), N(1), N(2)), "m": M(l=L(N(0))), "s": S("s")})
        yield update(T, KEY, text, None, mentioned or None, ReturnValues="ALL_NEW")
        yield put(T, {"pk": S("a"), "l": L(N(0), N(1), N(2)), "m": M(l=L(N(0))), "s": S("s")})
        yield update(T, KEY, text, None, mentioned or None, ReturnValues="UPDATED_NEW")
        yield put(T, {"pk": S("a"), "l": L(N(0), N(1), N(2)), "m": M(l=L(N(0))), "s": S("s")})
        yield update(T, KEY, text, None, mentioned or None, ReturnValues="UPDATED_OLD")
    yield drop(T)


@scenario
def arithmetic():
    """Sums and differences at the limits of numbers."""
    yield create(T)
    numbers = ["0", "1", "-1", "0.1", "0.2", "1e10", "9" * 38, "-" + "9" * 38, "1e125", "9.9999999999999999999999999999999999999e125",
        "1e-130", "-1e-130", "1e37", "1e38", "123.456", "0.00000000000000000000000000000000000001"]
    for left in numbers:
        for right in numbers:
            yield put(T, {"pk": S("a"), "n": N(left)})
            yield update(T, KEY, "SET p = n + :v, d = n - :v", None, {":v": N(right)}, ReturnValues="ALL_NEW")
            yield update(T, KEY, "ADD n :v", None, {":v": N(right)}, ReturnValues="UPDATED_NEW")
    yield drop(T)


@scenario
def sets():
    """ADD and DELETE on sets of each type."""
    yield create(T)
    for kind, values in {"SS": ["a", "b", "c"], "NS": ["1", "2", "3"], "BS": ["YQ==", "Yg==", "Yw=="]}.items():
        for had in (None, values[:1], values[:2], values):
            for given in (values[:1], values[1:], values, values[2:]):
                for action in ("ADD", "DELETE"):
                    yield put(T, {"pk": S("a"), **({"s": {kind: had}} if had else {})})
                    yield update(T, KEY, f"{action} s :v", None, {":v": {kind: given}}, ReturnValues="ALL_NEW")
    yield put(T, {"pk": S("a"), "s": {"NS": ["1", "2.50"]}})
    yield update(T, KEY, "ADD s :v", None, {":v": {"NS": ["1.0", "2.5", "1e0"]}}, ReturnValues="ALL_NEW")
    yield update(T, KEY, "ADD s :v", None, {":v": {"NS": ["1.0", "2.5", "3"]}}, ReturnValues="ALL_NEW")
    yield update(T, KEY, "DELETE s :v", None, {":v": {"NS": ["1.00", "7"]}}, ReturnValues="ALL_NEW")
    yield drop(T)
