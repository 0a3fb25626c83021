"""Query and Scan: order, bounds, pages, filters, projections, indexes and start keys."""

from ..scenario import B, L, N, S, Derived, Step, create, drop, get, put, query, scan, scenario, update

T = "Reading"
NUMBERS = ["-1e125", "-100", "-99.99", "-2", "-1.5", "-1", "-0.001", "-1e-130", "0", "1e-130", "0.001", "0.5", "1", "1.5", "2", "9", "10",
    "99", "100", "1e20", "12345678901234567890123456789012345678", "1e38", "9.9e125"]
STRINGS = ["", "\u0000", " ", "!", "0", "9", "A", "Z", "a", "aa", "ab", "b", "z", "~", "é", "ÿ", "߿", "ࠀ", "中", "\uffff", "😀", "\U0010ffff"]
BINARIES = ["AA==", "AAA=", "AQ==", "fw==", "gA==", "gAA=", "/w==", "//8="]


def fill(table, attribute, values):
    """Puts one item for each value as sort key."""
    for at, value in enumerate(values):
        yield put(table, {"pk": S("p"), attribute: value, "at": N(at)})


@scenario
def sort_key_operators():
    """Every operator on sort keys of each type, in both directions."""
    for kind, values in {"N": [N(n) for n in NUMBERS], "S": [S(s) for s in STRINGS if s], "B": [B(b) for b in BINARIES]}.items():
        yield create(T, f"pk:S sk:{kind}")
        yield from fill(T, "sk", values)
        for forward in (True, False):
            yield query(T, "pk = :p", None, {":p": S("p")}, ScanIndexForward=forward)
        for at, value in enumerate(values):
            for operator in ("=", "<", "<=", ">", ">="):
                yield query(T, f"pk = :p AND sk {operator} :v", None, {":p": S("p"), ":v": value}, ProjectionExpression="#a",
                    ExpressionAttributeNames={"#a": "at"}, ScanIndexForward=bool(at % 2))
            yield query(T, "pk = :p AND sk BETWEEN :v AND :w", None, {":p": S("p"), ":v": value, ":w": values[(at * 7 + 3) % len(values)]},
                ProjectionExpression="#a", ExpressionAttributeNames={"#a": "at"})
            yield query(T, "pk = :p AND begins_with(sk, :v)", None, {":p": S("p"), ":v": value}, ProjectionExpression="#a",
                ExpressionAttributeNames={"#a": "at"})
        yield drop(T)


@scenario
def pages():
    """Limit and ExclusiveStartKey on tables and indexes, to the end, in both directions."""
    yield create(T, "pk:S sk:N", lsi=[("L1x", "pk:S lk:S", "ALL")], gsi=[("G1x", "gh:S gr:N", "KEYS_ONLY"), ("G2x", "gh:S", "ALL")])
    for n in range(20):
        yield put(T, {"pk": S("p"), "sk": N(n), "lk": S(f"{n * 7 % 20:02}"), "gh": S("g"), "gr": N(n * 3 % 20),
            "even": {"BOOL": n % 2 == 0}})
    for index, name, value in [(None, "pk", "p"), ("L1x", "pk", "p"), ("G1x", "gh", "g")]:
        where = {"IndexName": index} if index else {}
        for forward in (True, False):
            for limit in (1, 3, 7, 19, 20, 21):
                for more in ({}, {"FilterExpression": "even = :t"}):
                    if more and index == "G1x":
                        continue
                    start = {}
                    for _ in range(25):
                        values = {":v": S(value), **({":t": {"BOOL": True}} if more else {})}
                        answer = yield query(T, f"{name} = :v", None, values, Limit=limit, ScanIndexForward=forward, **where, **start,
                            **more)
                        if answer.status != 200 or "LastEvaluatedKey" not in answer.body:
                            break
                        start = {"ExclusiveStartKey": answer.body["LastEvaluatedKey"]}
    for index in (None, "L1x", "G1x", "G2x"):
        where = {"IndexName": index} if index else {}
        for limit in (1, 6, 20, 21):
            start, seen, rounds = {}, [], 0
            while rounds < 30:
                # The order of a scan is each server's own, so its pages are collected and compared as one set.
                answer = yield Step("Scan", {"TableName": T, "Limit": limit, **where, **start}, compared="none")
                rounds += 1
                seen += [str(sorted(item.items(), key=str)) for item in answer.body.get("Items", [])]
                if "LastEvaluatedKey" not in answer.body:
                    break
                start = {"ExclusiveStartKey": answer.body["LastEvaluatedKey"]}
            yield Derived(f"items of scan {index} by {limit}", (rounds, sorted(seen)))
    yield drop(T)


@scenario
def size_pages():
    """The 1 MB page: how many items of each size it holds. Each table ends within a page, not at the end of one."""
    yield create(T, "pk:S sk:N")
    for size, count in ((100_000, 25), (300_000, 7)):
        for n in range(count):
            yield put(T, {"pk": S(str(size)), "sk": N(n), "v": S("x" * size)})
        for more in ({}, {"ScanIndexForward": False}, {"Limit": 4}, {"ConsistentRead": True}):
            start = {}
            for _ in range(12):
                answer = yield query(T, "pk = :p", None, {":p": S(str(size))}, Select="COUNT", ReturnConsumedCapacity="TOTAL", **more,
                    **start)
                if "LastEvaluatedKey" not in answer.body:
                    break
                start = {"ExclusiveStartKey": answer.body["LastEvaluatedKey"]}
    yield drop(T)


@scenario
def edge_of_a_page():
    """Where exactly a page ends: items of sizes that fill 1 MB to the byte."""
    yield create(T, "pk:S sk:N")
    # An item is pk(2)+1, sk(2)+2, v(1)+filler bytes; 4 items of 262,144 bytes are exactly 1,048,576.
    for name, delta in (("under", -1), ("exact", 0), ("over", 1)):
        for n in range(1, 7):
            yield put(T, {"pk": S(name), "sk": N(n), "v": S("x" * (262_144 - 2 - len(name) - 4 - 1 + (delta if n == 4 else 0)))})
        for more in ({}, {"ScanIndexForward": False}):
            yield query(T, "pk = :p", None, {":p": S(name)}, Select="COUNT", ReturnConsumedCapacity="TOTAL", **more)
    yield drop(T)


@scenario
def selections():
    """Select, projections and filters on tables and each kind of index."""
    yield create(T, "pk:S sk:N", lsi=[("Lkeys", "pk:S lk:N", "KEYS_ONLY"), ("Linc", "pk:S lk:N", ("inc",)), ("Lall", "pk:S lk:N", "ALL")],
        gsi=[("Gkeys", "gh:S", "KEYS_ONLY"), ("Ginc", "gh:S", ("inc",)), ("Gall", "gh:S", "ALL")])
    yield put(T, {"pk": S("p"), "sk": N(1), "lk": N(1), "gh": S("g"), "inc": S("i"), "other": S("o"), "l": L(N(1), N(2))})
    yield put(T, {"pk": S("p"), "sk": N(2), "lk": N(2), "gh": S("g"), "other": S("o")})
    yield put(T, {"pk": S("p"), "sk": N(3)})
    for index, name, value in [(None, "pk", "p"), ("Lkeys", "pk", "p"), ("Linc", "pk", "p"), ("Lall", "pk", "p"), ("Gkeys", "gh", "g"),
        ("Ginc", "gh", "g"), ("Gall", "gh", "g")]:
        where = {"IndexName": index} if index else {}
        for more in [
            {}, {"Select": "ALL_ATTRIBUTES"}, {"Select": "ALL_PROJECTED_ATTRIBUTES"}, {"Select": "COUNT"},
            {"Select": "SPECIFIC_ATTRIBUTES", "ProjectionExpression": "inc"}, {"ProjectionExpression": "inc, pk"},
            {"ProjectionExpression": "other"}, {"ProjectionExpression": "l[1]"}, {"AttributesToGet": ["inc"]},
            {"AttributesToGet": ["other", "sk"]}, {"FilterExpression": "inc = :i"}, {"FilterExpression": "other = :i"},
            {"FilterExpression": "attribute_exists(other)"}, {"FilterExpression": "attribute_not_exists(inc)"},
            {"FilterExpression": "attribute_exists(lk)"}, {"FilterExpression": "attribute_exists(gh)"}, {"ConsistentRead": True},
            {"ConsistentRead": True, "Select": "ALL_ATTRIBUTES"}, {"ReturnConsumedCapacity": "INDEXES"},
            {"Select": "ALL_ATTRIBUTES", "ReturnConsumedCapacity": "INDEXES"},
            {"ProjectionExpression": "other", "FilterExpression": "other = :i", "ReturnConsumedCapacity": "INDEXES"}, {"Limit": 1},
            {"Limit": 1, "Select": "COUNT"}, {"QueryFilter": {"other": {"ComparisonOperator": "NOT_NULL"}}},
            {"ScanFilter": {"other": {"ComparisonOperator": "NOT_NULL"}}},
        ]:
            values = {":i": S("i")} if ":i" in more.get("FilterExpression", "") else None
            if "Limit" not in more or not index or index[0] == "L":
                yield query(T, f"{name} = :v", None, {":v": S(value), **(values or {})}, unordered=True, **where, **more)
            if "Limit" not in more:
                yield scan(T, None, None, values, **where, **more)
    yield drop(T)


@scenario
def start_keys():
    """Forged, stale and ill-fitting exclusive start keys."""
    yield create(T, "pk:S sk:N", lsi=[("L1x", "pk:S lk:N", "ALL")], gsi=[("G1x", "gh:S gr:N", "ALL")])
    for n in range(5):
        yield put(T, {"pk": S("p"), "sk": N(n), "lk": N(n), "gh": S("g"), "gr": N(n)})
    keys = [
        {}, {"pk": S("p")}, {"pk": S("p"), "sk": N(2)}, {"pk": S("p"), "sk": N("2.5")}, {"pk": S("p"), "sk": N(99)},
        {"pk": S("p"), "sk": N(-99)}, {"pk": S("x"), "sk": N(2)}, {"pk": N(1), "sk": N(2)}, {"pk": S("p"), "sk": S("2")},
        {"pk": S("p"), "sk": N(2), "lk": N(2)}, {"pk": S("p"), "sk": N(2), "lk": N(99)}, {"pk": S("p"), "sk": N(2), "lk": S("2")},
        {"pk": S("p"), "sk": N(2), "gh": S("g"), "gr": N(2)}, {"pk": S("p"), "sk": N(2), "gh": S("x"), "gr": N(2)},
        {"pk": S("x"), "sk": N(2), "gh": S("g"), "gr": N(2)}, {"pk": S("p"), "sk": N(2), "gh": S("g")}, {"gh": S("g"), "gr": N(2)},
        {"pk": S("p"), "lk": N(2)}, {"pk": S("p"), "sk": N(2), "other": N(1)}, {"other": N(1)}, {"pk": S(""), "sk": N(2)},
        {"pk": S("p"), "sk": N("x")}, {"pk": {}, "sk": N(2)}, {"pk": S("p"), "sk": N(2), "gh": N(1), "gr": N(2)},
    ]
    for key in keys:
        for forward in (True, False):
            yield query(T, "pk = :p", None, {":p": S("p")}, ExclusiveStartKey=key, ScanIndexForward=forward)
            yield query(T, "pk = :p AND sk > :n", None, {":p": S("p"), ":n": N(1)}, ExclusiveStartKey=key, ScanIndexForward=forward)
            yield query(T, "pk = :p", None, {":p": S("p")}, IndexName="L1x", ExclusiveStartKey=key, ScanIndexForward=forward)
            # Ties on the index key are ordered by each server's own hash of the table's.
            compared = "status" if key.get("pk") == S("x") else "all"
            yield query(T, "gh = :g", None, {":g": S("g")}, IndexName="G1x", ExclusiveStartKey=key, ScanIndexForward=forward,
                compared=compared)
            yield query(T, "gh = :g AND gr > :n", None, {":g": S("g"), ":n": N(1)}, IndexName="G1x", ExclusiveStartKey=key,
                ScanIndexForward=forward, compared=compared)
        for index in (None, "L1x", "G1x"):
            where = {"IndexName": index} if index else {}
            yield Step("Scan", {"TableName": T, "ExclusiveStartKey": key, "Select": "COUNT", **where}, compared="status")
    yield drop(T)


@scenario
def key_conditions_on_indexes():
    """Key conditions naming the wrong attributes for a table or index."""
    yield create(T, "pk:S sk:N", lsi=[("L1x", "pk:S lk:S", "ALL")], gsi=[("G1x", "gh:S", "ALL"), ("G2x", "gh:S gr:B", "ALL")])
    yield put(T, {"pk": S("p"), "sk": N(1), "lk": S("l"), "gh": S("g"), "gr": B("YQ==")})
    values = {":p": S("p"), ":n": N(1), ":l": S("l"), ":g": S("g"), ":b": B("YQ==")}
    for index in (None, "L1x", "G1x", "G2x", "nope"):
        where = {"IndexName": index} if index else {}
        for text in ["pk = :p", "pk = :p AND sk = :n", "pk = :p AND lk = :l", "pk = :p AND begins_with(lk, :l)", "gh = :g",
            "gh = :g AND gr = :b", "gh = :g AND gr > :b", "gh = :g AND begins_with(gr, :b)", "gh = :g AND pk = :p", "gh = :g AND gr = :n",
            "pk = :p AND lk = :n", "gh = :n", "pk = :p AND sk = :n AND lk = :l", "sk = :n", "gr = :b", "gh > :g", "pk = :p AND gh = :g",
            "gh = :g AND gr = :b AND pk = :p"]:
            mentioned = {name: value for name, value in values.items() if name in text.replace(")", " ").split()}
            yield query(T, text, None, mentioned, **where)
            for filtered in ("pk = :p", "sk = :n", "lk = :l", "gh = :g"):
                if filtered.split()[-1] in mentioned:
                    yield query(T, text, None, mentioned, FilterExpression=filtered, **where)
    yield drop(T)


@scenario
def sparse_and_tied():
    """Sparse index entries, ties on the index key, and entries that come and go."""
    yield create(T, "pk:S sk:N", lsi=[("L1x", "pk:S lk:N", "ALL")], gsi=[("G1x", "gh:S gr:N", "ALL")])
    for n in range(6):
        yield put(T, {"pk": S("p"), "sk": N(n), "lk": N(n // 2), "gh": S("g"), "gr": N(n // 3)})
        yield put(T, {"pk": S("q"), "sk": N(n), **({"lk": N(n)} if n % 2 else {})})
    for index, name, value in [("L1x", "pk", "p"), ("L1x", "pk", "q"), ("G1x", "gh", "g")]:
        for forward in (True, False):
            yield query(T, f"{name} = :v", None, {":v": S(value)}, IndexName=index, ScanIndexForward=forward, unordered=True)
            yield query(T, f"{name} = :v", None, {":v": S(value)}, IndexName=index, ScanIndexForward=forward, Limit=2, compared="status")
    for text, values in [("REMOVE gh", None), ("SET gh = :g", {":g": S("g")}), ("REMOVE gr", None), ("SET gr = :n", {":n": N(9)}),
        ("SET gh = :g", {":g": S("h")}), ("REMOVE lk", None), ("SET lk = :n", {":n": N(-1)})]:
        yield update(T, {"pk": S("p"), "sk": N(1)}, text, None, values)
        yield query(T, "gh = :g", None, {":g": S("g")}, IndexName="G1x", unordered=True)
        yield query(T, "pk = :p", None, {":p": S("p")}, IndexName="L1x", unordered=True)
        yield scan(T, IndexName="G1x", Select="COUNT")
        yield scan(T, IndexName="L1x", Select="COUNT")
    yield drop(T)


@scenario
def parallel_scan():
    """All segments together return every item once."""
    yield create(T, "pk:S", gsi=[("G1x", "gh:S", "ALL")])
    for n in range(60):
        yield put(T, {"pk": S(f"item{n}"), "gh": S(f"g{n}")})
    for total in (1, 2, 3, 7, 64):
        for index in (None, "G1x"):
            seen = []
            for segment in range(total):
                where = {"IndexName": index} if index else {}
                answer = yield Step("Scan", {"TableName": T, "Segment": segment, "TotalSegments": total, **where}, compared="none")
                seen += [item["pk"]["S"] for item in answer.body["Items"]]
            yield Derived(f"{total} segments of {index}", sorted(seen))
    yield drop(T)


@scenario
def gets():
    """GetItem: absent items, projections, numbers as keys in other spellings."""
    yield create(T, "pk:N sk:B")
    yield put(T, {"pk": N("1.50"), "sk": B("AAH/"), "v": N("100"), "m": {"M": {"a": L(N("1e3"))}}})
    for number in ("1.5", "1.50", "15e-1", "0.15e1", "01.5", "1.51"):
        yield get(T, {"pk": N(number), "sk": B("AAH/")})
        yield get(T, {"pk": N(number), "sk": B("AAH/")}, ProjectionExpression="m.a[0], v")
        yield get(T, {"pk": N(number), "sk": B("AAH/")}, AttributesToGet=["v", "nope"])
        yield get(T, {"pk": N(number), "sk": B("AAH/")}, ProjectionExpression="nope", ReturnConsumedCapacity="TOTAL")
    yield drop(T)
