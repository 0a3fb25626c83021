"""TransactWriteItems and TransactGetItems: outcomes, reasons, limits and the order of their errors."""

from ..scenario import L, M, N, S, Step, create, drop, put, rng, scan, scenario

T, U = "TransactOne", "TransactTwo"
# How much of the costs is asked for.
COSTS = ({}, {"ReturnConsumedCapacity": "TOTAL"}, {"ReturnConsumedCapacity": "INDEXES"})


def write(*actions, **more):
    """TransactWriteItems."""
    return Step("TransactWriteItems", {"TransactItems": list(actions), **more})


def gets(*actions, **more):
    """TransactGetItems of Gets."""
    return Step("TransactGetItems", {"TransactItems": [{"Get": get} for get in actions], **more})


def puts(key, table=T, item=None, **more):
    """A Put."""
    return {"Put": {"TableName": table, "Item": {"pk": S(key), **(item or {})}, **more}}


def updates(key, expression, values=None, table=T, **more):
    """An Update."""
    given = {"ExpressionAttributeValues": values} if values else {}
    return {"Update": {"TableName": table, "Key": {"pk": S(key)}, "UpdateExpression": expression, **given, **more}}


def deletes(key, table=T, **more):
    """A Delete."""
    return {"Delete": {"TableName": table, "Key": {"pk": S(key)}, **more}}


def checks(key, condition, values=None, table=T, **more):
    """A ConditionCheck."""
    given = {"ExpressionAttributeValues": values} if values else {}
    return {"ConditionCheck": {"TableName": table, "Key": {"pk": S(key)}, "ConditionExpression": condition, **given, **more}}


@scenario
def writes():
    """What transactions do and which reasons they give."""
    yield create(T)
    yield create(U, "pk:S sk:N", gsi=[("ByG", "g:S", "ALL")])
    for n in range(4):
        yield put(T, {"pk": S(f"k{n}"), "n": N(n), "s": S("text"), "m": M(x=N(1), l=L(N(1), S("two")))})
    old = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    once = {"ConditionExpression": "attribute_not_exists(pk)"}
    two = {"Put": {"TableName": U, "Item": {"pk": S("u"), "sk": N(1), "g": S("g")}}}
    for actions in [
        [puts("a")], [puts("a", item={"n": N(1)}), two], [updates("k0", "SET n = n + :x", {":x": N(5)}), deletes("k1")],
        [updates("new", "SET n = :x", {":x": N(5)})], [updates("k0", "SET m.x = :x, m.l[1] = :x REMOVE s", {":x": N(5)})],
        [updates("k0", "ADD n :x DELETE absent :s", {":x": N(2), ":s": {"SS": ["a"]}})], [deletes("nobody")],
        [checks("k0", "attribute_exists(pk)")], [checks("nobody", "attribute_not_exists(pk)"), puts("b")],
        [puts("c", **once)], [puts("c", **once)], [puts("c", **once, **old)], [puts("d"), puts("c", **once, **old), puts("e")],
        [puts("c", **once), puts("d", **once), puts("e", **once, **old), deletes("k2")],
        [checks("k2", "n = :n", {":n": N(7)}), deletes("k2", ConditionExpression="n = :n", ExpressionAttributeValues={":n": N(7)})],
        [deletes("k2", ConditionExpression="n = :n", ExpressionAttributeValues={":n": N(7)}, **old), puts("e")],
        [updates("k2", "SET n = :z", {":n": N(7), ":z": N(0)}, ConditionExpression="n = :n", **old)],
        [updates("nobody", "SET n = :z", {":z": N(0)}, ConditionExpression="attribute_exists(pk)", **old)],
    ]:
        yield write(*actions)
    yield scan(T)
    yield scan(U)
    for actions in [
        [updates("k0", "SET n = absent + :x", {":x": N(1)}), puts("q")], [updates("k0", "SET n = k + :x", {":x": S("s")}), puts("q")],
        [updates("k2", "SET s = s + :x", {":x": N(1)}), puts("q")], [updates("k2", "ADD s :x", {":x": N(1)}), puts("q")],
        [updates("k2", "SET a.b.c = :x", {":x": N(1)}), puts("q")], [updates("k2", "SET pk = :x", {":x": N(1)}), puts("q")],
        [puts("q"), {"Put": {"TableName": T, "Item": {"pk": N(1)}}}], [puts("q"), {"Delete": {"TableName": T, "Key": {"pk": N(1)}}}],
        [{"Update": {"TableName": T, "Key": {"pk": N(1)}, "UpdateExpression": "REMOVE a"}}],
        [{"ConditionCheck": {"TableName": T, "Key": {"pk": N(1)}, "ConditionExpression": "attribute_exists(pk)"}}],
        [{"Put": {"TableName": T, "Item": {"x": N(1)}}}, puts("q")], [{"Delete": {"TableName": T, "Key": {"pk": S("")}}}],
        [{"Delete": {"TableName": T, "Key": {}}}], [{"Delete": {"TableName": T, "Key": {"pk": S("a"), "x": S("b")}}}],
        [puts("big", item={"v": S("x" * 409_700)}), puts("q")], [puts("q", item={"v": N("x")})], [puts("q", item={"v": {"SS": []}})],
        [puts("q"), {"Put": {"TableName": U, "Item": {"pk": S("u"), "sk": N(2), "g": N(1)}}}],
    ]:
        yield write(*actions)
    yield scan(T)
    yield write({"Update": {"TableName": U, "Key": {"pk": S("u"), "sk": N(1)}, "UpdateExpression": "SET g = :g",
        "ExpressionAttributeValues": {":g": N(1)}}})
    yield drop(T)
    yield Step("DeleteTable", {"TableName": U}, compared="status")


@scenario
def refusals():
    """What is refused before anything is looked at, and what first."""
    yield create(T)
    for actions in [
        [], [{}], [puts("a"), {}], [{**puts("a"), **deletes("b")}], [{"Nope": {}}], [puts("a"), puts("a")], [puts("a"), deletes("a")],
        [checks("a", "attribute_exists(pk)"), updates("a", "REMOVE x")], [puts(f"k{n}") for n in range(101)],
        [puts("a", "NoSuchTable")], [puts("a"), puts("a", "NoSuchTable")], [puts("a", "x")],
        [puts("a", "NoSuchTable"), puts("a", "NoSuchTable")],
        [puts("a", ConditionExpression="")], [puts("a", ConditionExpression="a = ")], [puts("a", ConditionExpression="a = :v")],
        [puts("a", ConditionExpression="#a = b")], [puts("a", ExpressionAttributeNames={"#a": "a"})],
        [puts("a", ExpressionAttributeValues={":a": N(1)})],
        [puts("a", ConditionExpression="a = b", ExpressionAttributeValues={":a": N(1)})], [updates("a", "")], [updates("a", "SET")],
        [updates("a", "SET a = :a, a.b = :a", {":a": N(1)})], [updates("a", "SET a = :a", {":a": N(1), ":b": N(1)})],
        [checks("a", "")], [checks("a", "size(a)")], [{"ConditionCheck": {"TableName": T, "Key": {"pk": S("a")}}}],
        [{"Update": {"Key": {"pk": S("a")}, "UpdateExpression": "REMOVE a"}}], [{"Delete": {"TableName": T}}], [{"Put": {"TableName": T}}],
        [puts("a", ConditionExpression="a = b", ExpressionAttributeNames={"a": "b"})],
        [puts("a", ConditionExpression="((a = b))")], [puts("a", ConditionExpression="contains(a, a)")],
    ]:
        yield write(*actions)
    for more in ({"ClientRequestToken": "x" * 37}, {"ReturnConsumedCapacity": "ALL"}, {"ReturnItemCollectionMetrics": "ALL"}):
        yield write(puts("a"), **more)
    yield Step("TransactWriteItems", {})
    yield Step("TransactGetItems", {})
    key = {"pk": S("a")}
    for wanted in [
        [], [{}], [{"TableName": T}], [{"Key": key}], [{"TableName": T, "Key": key}] * 2,
        [{"TableName": T, "Key": {"pk": S(f"k{n}")}} for n in range(101)],
        [{"TableName": "NoSuchTable", "Key": key}], [{"TableName": T, "Key": {}}], [{"TableName": T, "Key": {"pk": N(1)}}],
        [{"TableName": T, "Key": {"pk": S("")}}], [{"TableName": T, "Key": {**key, "x": N(1)}}],
        [{"TableName": T, "Key": key, "ProjectionExpression": "!!"}], [{"TableName": T, "Key": key, "ProjectionExpression": ""}],
        [{"TableName": T, "Key": key, "ProjectionExpression": "a, a.b"}], [{"TableName": T, "Key": key, "ProjectionExpression": "#a"}],
        [{"TableName": T, "Key": key, "ExpressionAttributeNames": {"#a": "a"}}],
        [{"TableName": T, "Key": key, "ProjectionExpression": "a", "ExpressionAttributeNames": {"#a": "a"}}],
    ]:
        yield gets(*wanted)
    yield Step("TransactGetItems", {"TransactItems": [{}]})
    yield Step("DeleteTable", {"TableName": T}, compared="status")


@scenario
def reads():
    """TransactGetItems over two tables, with gaps, projections and costs."""
    yield create(T)
    yield create(U, "pk:S sk:N")
    yield put(T, {"pk": S("a"), "n": N(1), "m": M(x=N(1), y=L(N(1), N(2))), "v": S("x" * 5000)})
    yield put(U, {"pk": S("u"), "sk": N(1), "v": S("y")})
    one, two, none = {"TableName": T, "Key": {"pk": S("a")}}, {"TableName": U, "Key": {"pk": S("u"), "sk": N(1)}}, {"TableName": T,
        "Key": {"pk": S("none")}}
    for wanted in [[one], [two], [none], [one, two], [none, two, one], [{**one, "ProjectionExpression": "n, m.y[1]"}],
            [{**one, "ProjectionExpression": "absent"}], [{**one, "ProjectionExpression": "#n", "ExpressionAttributeNames": {"#n": "n"}}]]:
        for cost in COSTS:
            yield gets(*wanted, **cost)
    yield drop(T)
    yield drop(U)


@scenario
def tokens():
    """Idempotency."""
    yield create(T)
    yield write(updates("a", "ADD n :x", {":x": N(1)}), ClientRequestToken="tokens-one", ReturnConsumedCapacity="INDEXES")
    yield write(updates("a", "ADD n :x", {":x": N(1)}), ClientRequestToken="tokens-one", ReturnConsumedCapacity="INDEXES")
    yield write(updates("a", "ADD n :x", {":x": N(2)}), ClientRequestToken="tokens-one")
    yield write(puts("b"), checks("guard", "attribute_exists(pk)"), ClientRequestToken="tokens-two")
    yield put(T, {"pk": S("guard")})
    yield write(puts("b"), checks("guard", "attribute_exists(pk)"), ClientRequestToken="tokens-two")
    yield scan(T)
    yield drop(T)


@scenario
def generated():
    """Random transactions over few items: the same outcomes, the same reasons, the same table."""
    choice = rng("transactions.generated")
    yield create(T, gsi=[("ByG", "g:S", "ALL")])

    def action(key):
        condition = choice.choice(["attribute_exists(pk)", "attribute_not_exists(pk)", "n > :n", "attribute_not_exists(g) OR n < :n", None,
            None])
        values = {":n": N(choice.randrange(10))} if condition and ":n" in condition else {}
        given = {**({"ConditionExpression": condition} if condition else {}), **({"ExpressionAttributeValues": values} if values else {}),
            **choice.choice([{}, {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if condition else {}])}
        kind = choice.randrange(4)
        if kind == 0:
            return puts(key, item={"n": N(choice.randrange(10)), **choice.choice([{}, {"g": S("g")}])}, **given)
        if kind == 1:
            return deletes(key, **given)
        if kind == 2 and condition:
            return {"ConditionCheck": {"TableName": T, "Key": {"pk": S(key)}, **given}}
        values[":one"] = N(1)
        return {"Update": {"TableName": T, "Key": {"pk": S(key)}, "UpdateExpression": choice.choice(["ADD n :one", "SET n = :one",
            "SET g = :g, n = :one", "SET n = if_not_exists(n, :one) + :one", "REMOVE g ADD n :one"]), **given,
            "ExpressionAttributeValues": values}}

    for _ in range(300):
        actions = [action(key) for key in choice.sample("abcdefgh", choice.randrange(1, 5))]
        for each in actions:
            inner = next(iter(each.values()))
            if ":g" in inner.get("UpdateExpression", ""):
                inner["ExpressionAttributeValues"][":g"] = S("g")
        yield write(*actions)
    yield scan(T)
    yield scan(T, IndexName="ByG")
    yield drop(T)
