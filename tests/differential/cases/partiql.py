"""PartiQL: statements of all kinds on one table with indexes, batches, transactions, and what the parser refuses."""

from ..scenario import Derived, L, M, N, S, Step, create, drop, put, rng, scan, scenario

T = "PartiTable"


def run(statement, *parameters, **more):
    """ExecuteStatement; `{T}` stands for the table."""
    given = {"Parameters": list(parameters)} if parameters else {}
    return Step("ExecuteStatement", {"Statement": statement.replace("{T}", T), **given, **more}, unordered=True)


def filled():
    """Creates the table with its items."""
    yield create(T, "pk:S sk:N", lsi=[("Local", "pk:S l:S", "KEYS_ONLY")], gsi=[("All", "g:S n:N", "ALL"), ("Keys", "g:S", "KEYS_ONLY"),
        ("Some", "g:S", ("some",))])
    for pk in "ab":
        for sk in range(6):
            item = {"pk": S(pk), "sk": N(sk), "n": N(sk * 10), "s": S(f"s{sk}"), "some": S("x"), "m": M(x=N(sk), y=M(z=S("deep"))),
                "list": L(N(1), S("two"), M(k=N(3))), "set": {"SS": ["a", "b"]}, "nums": {"NS": ["1", "2.5"]}, "t": {"BOOL": sk % 2 == 0},
                "u": {"NULL": True}, "b": {"B": "AAEC"}}
            if sk % 2:
                item["g"], item["l"] = S(f"g{sk % 3}"), S(f"l{sk}")
            yield put(T, item)


SELECTS = [
    'SELECT * FROM {T}', 'SELECT * FROM "{T}"', 'select * from "{T}" where pk = \'a\'', 'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk = 1',
    'SELECT * FROM "{T}" WHERE "pk" = \'a\' AND "sk" = 1', 'SELECT pk, sk FROM "{T}" WHERE pk = \'a\' AND sk = 1',
    'SELECT pk, m.x, m.y.z FROM "{T}" WHERE pk = \'a\' AND sk = 1', 'SELECT "list"[0], "list"[2].k FROM "{T}" WHERE pk = \'a\' AND sk = 1',
    'SELECT m FROM "{T}" WHERE pk = \'a\' AND sk = 1', 'SELECT absent FROM "{T}" WHERE pk = \'a\' AND sk = 1',
    'SELECT * FROM "{T}" WHERE pk = \'none\'', 'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk > 2',
    'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk >= 2',
    'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk < 2', 'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk <= 2',
    'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk <> 2', 'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk != 2',
    'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk BETWEEN 2 AND 4', 'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk NOT BETWEEN 2 AND 4',
    'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk IN [1, 3]', 'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk IN (1, 3)',
    'SELECT * FROM "{T}" WHERE pk IN [\'a\', \'b\']', 'SELECT * FROM "{T}" WHERE pk IN [\'a\', \'b\'] AND sk = 1',
    'SELECT * FROM "{T}" WHERE pk = \'a\' OR pk = \'b\'', 'SELECT * FROM "{T}" WHERE (pk = \'a\' OR pk = \'b\') AND sk = 2',
    'SELECT * FROM "{T}" WHERE pk = \'a\' AND (sk = 1 OR sk = 2)', 'SELECT * FROM "{T}" WHERE n = 10',
    'SELECT * FROM "{T}" WHERE n > 10 AND s = \'s3\'',
    'SELECT * FROM "{T}" WHERE NOT n > 10', 'SELECT * FROM "{T}" WHERE NOT (n > 10 OR pk = \'b\')', 'SELECT * FROM "{T}" WHERE m.x = 2',
    'SELECT * FROM "{T}" WHERE m.y.z = \'deep\' AND sk = 1', 'SELECT * FROM "{T}" WHERE "list"[0] = 1 AND pk = \'a\'',
    'SELECT * FROM "{T}" WHERE t = true',
    'SELECT * FROM "{T}" WHERE t = TRUE AND pk = \'a\'', 'SELECT * FROM "{T}" WHERE u = null AND pk = \'a\'',
    'SELECT * FROM "{T}" WHERE u IS NULL AND pk = \'a\'',
    'SELECT * FROM "{T}" WHERE g IS MISSING', 'SELECT * FROM "{T}" WHERE g IS NOT MISSING', 'SELECT * FROM "{T}" WHERE u IS NOT NULL',
    'SELECT * FROM "{T}" WHERE begins_with(s, \'s\') AND pk = \'a\'', 'SELECT * FROM "{T}" WHERE begins_with("s", \'s1\')',
    'SELECT * FROM "{T}" WHERE contains("set", \'a\') AND sk = 1', 'SELECT * FROM "{T}" WHERE contains(s, \'1\')',
    'SELECT * FROM "{T}" WHERE attribute_type("set", \'SS\') AND sk = 1', 'SELECT * FROM "{T}" WHERE size("list") = 3 AND sk = 1',
    'SELECT * FROM "{T}" WHERE size(s) > 1 AND sk = 2', 'SELECT * FROM "{T}" WHERE "list" = [1, \'two\', {\'k\': 3}] AND sk = 1',
    'SELECT * FROM "{T}" WHERE "set" = <<\'a\', \'b\'>> AND sk = 1', 'SELECT * FROM "{T}" WHERE nums = <<2.5, 1>> AND sk = 1',
    'SELECT * FROM "{T}" WHERE m = {\'x\': 1, \'y\': {\'z\': \'deep\'}}', 'SELECT * FROM "{T}" WHERE n = 1e1',
    'SELECT * FROM "{T}" WHERE n = -1',
    'SELECT * FROM "{T}" WHERE n = 10.0', 'SELECT * FROM "{T}" WHERE s = \'it\'\'s\'', 'SELECT * FROM "{T}" WHERE 10 = n',
    'SELECT * FROM "{T}" WHERE n = s',
    'SELECT * FROM "{T}" WHERE pk = \'a\' ORDER BY sk DESC', 'SELECT * FROM "{T}" WHERE pk = \'a\' ORDER BY sk',
    'SELECT * FROM "{T}" WHERE pk = \'a\' ORDER BY sk ASC',
    'SELECT * FROM "{T}" WHERE pk = \'a\' ORDER BY n', 'SELECT * FROM "{T}" ORDER BY sk',
    'SELECT * FROM "{T}" WHERE pk IN [\'a\', \'b\'] ORDER BY pk, sk',
    'SELECT * FROM "{T}" WHERE pk IN [\'a\', \'b\'] ORDER BY sk', 'SELECT * FROM "{T}" WHERE pk = \'a\' AND sk > 1 ORDER BY pk DESC',
    'SELECT * FROM "{T}"."All"', 'SELECT * FROM "{T}"."All" WHERE g = \'g1\'', 'SELECT * FROM "{T}"."All" WHERE g = \'g1\' AND n > 10',
    'SELECT * FROM "{T}"."All" WHERE g = \'g1\' ORDER BY n DESC', 'SELECT * FROM "{T}"."Keys" WHERE g = \'g1\'',
    'SELECT * FROM "{T}"."Some" WHERE g = \'g1\'',
    'SELECT some FROM "{T}"."Some" WHERE g = \'g1\'', 'SELECT n FROM "{T}"."Some" WHERE g = \'g1\'',
    'SELECT * FROM "{T}"."Some" WHERE g = \'g1\' AND n = 10',
    'SELECT * FROM "{T}"."Keys" WHERE n = 10', 'SELECT * FROM "{T}"."Local" WHERE pk = \'a\'',
    'SELECT * FROM "{T}"."Local" WHERE pk = \'a\' AND l > \'l1\'',
    'SELECT n FROM "{T}"."Local" WHERE pk = \'a\'', 'SELECT * FROM "{T}"."Local" WHERE pk = \'a\' ORDER BY l DESC',
    'SELECT * FROM "{T}"."Nope" WHERE pk = \'a\'',
    'SELECT * FROM "{T}"."{T}"', 'SELECT * FROM {T}.All WHERE g = \'g1\'', 'SELECT * FROM "{T}" t WHERE t.pk = \'a\' AND t.sk = 1',
    'SELECT * FROM "{T}" AS t WHERE t.pk = \'a\'', 'SELECT t.pk FROM "{T}" AS t WHERE t.pk = \'a\'', 'SELECT pk AS x FROM "{T}"',
    'SELECT COUNT(*) FROM "{T}"',
    'SELECT DISTINCT pk FROM "{T}"', 'SELECT * FROM "{T}" LIMIT 1', 'SELECT * FROM "{T}" GROUP BY pk',
    'SELECT * FROM "{T}" HAVING pk = \'a\'', 'SELECT 1',
    'SELECT pk, pk FROM "{T}" WHERE pk = \'a\' AND sk = 1', 'SELECT m, m.x FROM "{T}" WHERE pk = \'a\' AND sk = 1',
    'SELECT VALUE pk FROM "{T}"',
    'SELECT *, pk FROM "{T}"', 'SELECT * FROM "{T}", "{T}"', 'SELECT * FROM "{T}" JOIN "{T}"', 'SELECT n + 1 FROM "{T}"',
    'SELECT * FROM "{T}" WHERE n + 1 = 11', 'SELECT * FROM "{T}" WHERE pk LIKE \'a%\'', 'SELECT * FROM "{T}" WHERE pk = 1',
    'SELECT * FROM "{T}" WHERE pk = \'\'',
    'SELECT * FROM "{T}" WHERE pk > \'a\'', 'SELECT * FROM "{T}" WHERE sk = \'1\' AND pk = \'a\'',
    'SELECT * FROM "{T}" WHERE pk = \'a\' AND pk = \'b\'',
    'SELECT * FROM "{T}" WHERE exists(pk)', 'SELECT * FROM "{T}" WHERE attribute_exists(g)', 'SELECT * FROM "{T}" WHERE size(pk)',
    'SELECT * FROM "{T}" WHERE begins_with(n, 1)', 'SELECT * FROM "{T}" WHERE begins_with(s)', 'SELECT * FROM "{T}" WHERE nope(s)',
    'SELECT * FROM "{T}" WHERE true', 'SELECT * FROM "{T}" WHERE pk', 'SELECT * FROM "NoSuchTable"',
    'SELECT * FROM "NoSuchTable"."x" WHERE a = 1',
    'SELECT * FROM "x"', 'SELECT * FROM ""', 'SELECT * FROM "{T}".""', 'SELECT * FROM "{T}"."All"."x"', 'SELECT * FROM {T} -- a comment',
    'SELECT * /* comment */ FROM "{T}" WHERE pk = \'none\'', 'SELECT * FROM "{T}" WHERE pk = \'none\';',
    'SELECT * FROM "{T}" WHERE pk = \'none\'; SELECT 1',
]


@scenario
def selects():
    """SELECT in all its forms."""
    yield from filled()
    for statement in SELECTS:
        yield run(statement)
    yield from dropped()


def dropped():
    """Deletes the table; its size depends on which writes were let through."""
    yield Step("DeleteTable", {"TableName": T}, compared="status")


@scenario
def parameters():
    """Parameters, and values of every type."""
    yield from filled()
    one = 'SELECT pk, sk FROM "{T}" WHERE pk = ? AND '
    for kind in (S("s1"), N(10), {"BOOL": True}, {"NULL": True}, {"B": "AAEC"}, {"SS": ["b", "a"]}, {"NS": ["2.5", "1"]},
            L(N(1), S("two"), M(k=N(3))),
            M(x=N(1), y=M(z=S("deep")))):
        for name in ("s", "n", "t", "u", "b", '"set"', "nums", '"list"', "m"):
            for operator in ("=", "<>"):
                yield run(f"{one}{name} {operator} ?", S("a"), kind)
        for operator in ("<", "<=", ">", ">="):
            yield run(f"{one}s {operator} ?", S("a"), kind)
        yield run(f"{one}n BETWEEN ? AND ?", S("a"), kind, kind)
        yield run(f"{one}n IN [?, 5]", S("a"), kind)
    for statement, given in [
        ("SELECT * FROM \"{T}\" WHERE pk = ?", []), ("SELECT * FROM \"{T}\" WHERE pk = ?", [S("a"), S("b")]),
        ("SELECT * FROM \"{T}\" WHERE pk = 'a'", [S("a")]),
        ("SELECT * FROM \"{T}\" WHERE pk = ? AND sk = ?", [S("a")]), ("SELECT ? FROM \"{T}\"", [S("pk")]), ("SELECT * FROM ?", [S(T)]),
        ("SELECT * FROM \"{T}\" WHERE pk = ? AND sk = ?", [S("a"), N("1.0")]),
        ("SELECT * FROM \"{T}\" WHERE pk IN [?, ?]", [S("a"), S("b")]),
        ("SELECT * FROM \"{T}\" WHERE begins_with(s, ?) AND pk = ?", [S("s1"), S("a")]), ("SELECT * FROM \"{T}\" WHERE pk = ?", [N(1)]),
        ("SELECT * FROM \"{T}\" WHERE pk = ?", [S("")]), ("SELECT * FROM \"{T}\" WHERE pk = ?", [{}]),
        ("SELECT * FROM \"{T}\" WHERE pk = ?", [{"S": "a", "N": "1"}]),
        ("SELECT * FROM \"{T}\" WHERE n = ?", [N("x")]), ("SELECT * FROM \"{T}\" WHERE n = ?", [{"SS": []}]),
        ("SELECT * FROM \"{T}\" WHERE n = ?", [{"SS": ["a", "a"]}]),
    ]:
        yield run(statement, *given)
    yield Step("ExecuteStatement", {"Statement": f"SELECT * FROM {T}", "Parameters": []})
    yield from dropped()


WRITES = [
    "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 1}", "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 1}",
    "INSERT INTO {T} VALUE {'pk': 'i', 'sk': 2, 'v': 'x'}",
    "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 3, 'l': 'l', 'list': [1, 'a', [true, null]], 'm': {'a': {'b': 1}}, 'ss': <<'a', 'b'>>, 'ns': <<1, 2>>}",
    "insert into \"{T}\" value {'pk': 'i', 'sk': 4}", "INSERT INTO \"{T}\" VALUES {'pk': 'i', 'sk': 5}",
    "INSERT INTO \"{T}\" VALUE {\"pk\": 'i', \"sk\": 6}",
    "INSERT INTO \"{T}\" VALUE {'pk': 'i'}", "INSERT INTO \"{T}\" VALUE {'sk': 1}", "INSERT INTO \"{T}\" VALUE {}",
    "INSERT INTO \"{T}\" VALUE {'pk': 1, 'sk': 1}",
    "INSERT INTO \"{T}\" VALUE {'pk': '', 'sk': 1}", "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 7, 'g': 1}",
    "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 8, 'x': <<>>}",
    "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 8, 'x': <<1, 'a'>>}", "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 8, 'x': <<1, 1>>}",
    "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 9, 'pk': 'j'}", "INSERT INTO \"{T}\" VALUE 'x'", "INSERT INTO \"{T}\" VALUE [1]",
    "INSERT INTO \"{T}\" (pk, sk) VALUES ('i', 10)", "INSERT INTO \"{T}\" << {'pk': 'i', 'sk': 11} >>",
    "INSERT INTO \"{T}\".\"All\" VALUE {'pk': 'i', 'sk': 12}",
    "INSERT INTO \"{T}\".\"Nope\" VALUE {'pk': 'i', 'sk': 12}", "INSERT INTO \"NoSuchTable\" VALUE {'pk': 'i', 'sk': 12}",
    "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 13} RETURNING ALL OLD *",
    "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 14} ON CONFLICT DO NOTHING",
    "INSERT INTO \"{T}\" SELECT * FROM \"{T}\"", "INSERT \"{T}\" VALUE {'pk': 'i', 'sk': 15}",
    "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" SET v = 1 SET w = 2 WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET v = 1, w = 2 WHERE pk = 'a' AND sk = 1",
    "UPDATE {T} SET v = n WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" SET n = n + 1 WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET n = n - 1 WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET n = 1 + n WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" SET n = n * 2 WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET m.x = 5 WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET m.y.new = 'v' WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" SET \"list\"[1] = 'set' WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET \"list\"[9] = 'end' WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET \"list\" = list_append(\"list\", [4]) WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET \"list\" = list_append([0], \"list\") WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET \"set\" = set_add(\"set\", <<'c'>>) WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET \"set\" = set_delete(\"set\", <<'a'>>) WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET fresh = set_add(fresh, <<1>>) WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET v = if_not_exists(v, 1) WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" REMOVE v WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" REMOVE m.x REMOVE w WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" REMOVE m.y, \"list\"[0] WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET z = 1 REMOVE s WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" REMOVE absent WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET v = 1 WHERE pk = 'none' AND sk = 1",
    "UPDATE \"{T}\" REMOVE v WHERE pk = 'none' AND sk = 1", "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a'",
    "UPDATE \"{T}\" SET v = 1 WHERE sk = 1", "UPDATE \"{T}\" SET v = 1",
    "UPDATE \"{T}\" SET v = 1 WHERE n = 10", "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk > 1",
    "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' OR sk = 1", "UPDATE \"{T}\" SET v = 1 WHERE pk IN ['a'] AND sk = 1",
    "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1 AND n > 100", "UPDATE \"{T}\" SET v = 7 WHERE pk = 'a' AND sk = 2 AND n = 20",
    "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1 AND g IS MISSING",
    "UPDATE \"{T}\" SET v = 8 WHERE pk = 'a' AND sk = 2 AND g IS MISSING",
    "UPDATE \"{T}\" SET v = 8 WHERE pk = 'a' AND sk = 2 AND attribute_exists(v)", "UPDATE \"{T}\" SET pk = 'z' WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET v = 1 SET v = 2 WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" SET a.b = 2 WHERE pk = 'a' AND sk = 1",
    "UPDATE \"{T}\" SET s = n + 1 WHERE pk = 'a' AND sk = 3", "UPDATE \"{T}\" SET n = s + 1 WHERE pk = 'a' AND sk = 3",
    "UPDATE \"{T}\" SET v = absent WHERE pk = 'a' AND sk = 3",
    "UPDATE \"{T}\".\"All\" SET v = 1 WHERE pk = 'a' AND sk = 1", "UPDATE \"NoSuchTable\" SET v = 1 WHERE pk = 'a'",
    "UPDATE \"{T}\" WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" SET WHERE pk = 'a'",
    "UPDATE \"{T}\" ADD n 1 WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1 RETURNING",
    *[f"UPDATE \"{{T}}\" SET n = n + 1, m.x = 9 REMOVE s WHERE pk = 'b' AND sk = {sk} RETURNING {part} {age} *" for sk, part, age in
        ((0, "ALL", "OLD"), (1, "ALL", "NEW"), (2, "MODIFIED", "OLD"), (3, "MODIFIED", "NEW"))],
    "UPDATE \"{T}\" SET v = 1 WHERE pk = 'b' AND sk = 4 RETURNING ALL OLD v",
    "UPDATE \"{T}\" SET v = 1 WHERE pk = 'b' AND sk = 4 RETURNING *",
    "UPDATE \"{T}\" REMOVE v WHERE pk = 'b' AND sk = 4 RETURNING MODIFIED NEW *",
    "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 5", "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 5",
    "DELETE FROM {T} WHERE pk = 'a' AND sk = 4 AND n = 1",
    "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 4 AND n = 40", "DELETE FROM \"{T}\" WHERE pk = 'none' AND sk = 4 AND n = 40",
    "DELETE FROM \"{T}\" WHERE pk = 'a'", "DELETE FROM \"{T}\"",
    "DELETE FROM \"{T}\" WHERE n = 1", "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk IN [1, 2]",
    "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk BETWEEN 1 AND 2", "DELETE FROM \"{T}\".\"All\" WHERE pk = 'a' AND sk = 1",
    "DELETE \"{T}\" WHERE pk = 'a' AND sk = 1", "DELETE FROM \"NoSuchTable\" WHERE pk = 'a'",
    "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 3 RETURNING ALL OLD *",
    "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 3 RETURNING ALL OLD *",
    "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 2 RETURNING ALL NEW *",
    "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 2 RETURNING MODIFIED OLD *",
]

MALFORMED = [
    "", " ", ";", "x", "SELECT", "SELEC * FROM {T}", "SELECT * FROM", "SELECT FROM {T}", "SELECT * {T}", "SELECT * FROM {T} WHERE",
    "SELECT * FROM {T} WHERE pk =", "SELECT * FROM {T} WHERE pk = 'a",
    "SELECT * FROM \"{T}", "SELECT * FROM {T} WHERE pk = = 'a'", "SELECT * FROM {T} WHERE (pk = 'a'", "SELECT * FROM {T} WHERE pk = 'a')",
    "SELECT * FROM {T} WHERE pk = 'a' AND", "SELECT * FROM {T} WHERE AND",
    "SELECT * FROM {T} WHERE pk IN", "SELECT * FROM {T} WHERE pk IN []", "SELECT * FROM {T} WHERE pk BETWEEN 1",
    "SELECT * FROM {T} WHERE pk IS", "SELECT * FROM {T} WHERE pk IS NOT", "SELECT * FROM {T} WHERE pk = 1a",
    "SELECT * FROM {T} WHERE pk = 'a' 'b'", "SELECT * FROM {T} WHERE #a = 1", "SELECT * FROM {T} WHERE pk = :a",
    "SELECT * FROM {T} WHERE pk = @a", "SELECT * FROM {T} WHERE select = 1", "SELECT * FROM select",
    "CREATE TABLE x", "DROP TABLE {T}", "EXISTS(SELECT * FROM {T} WHERE pk = 'a' AND sk = 1)", "INSERT", "INSERT INTO", "INSERT INTO {T}",
    "INSERT INTO {T} VALUE", "INSERT INTO {T} VALUE {'a'}", "INSERT INTO {T} VALUE {'a': }",
    "INSERT INTO {T} VALUE {'a': 1", "UPDATE", "UPDATE {T}", "UPDATE {T} SET", "UPDATE {T} SET a", "UPDATE {T} SET a =",
    "UPDATE {T} SET a = 1 WHERE", "UPDATE {T} SET 1 = a WHERE pk = 'a'", "DELETE", "DELETE FROM",
    "SELECT * FROM {T} WHERE pk = 99999999999999999999999999999999999999999", "SELECT * FROM {T} WHERE pk = 1e999",
    "SELECT * FROM {T} WHERE pk = 'a' WHERE pk = 'b'", "SELECT * FROM {T} WHERE a.b.c[0][1].d = 1 AND pk = 'x'",
    "SELECT * FROM {T} WHERE a[x] = 1", "SELECT * FROM {T} WHERE a[-1] = 1", "SELECT * FROM {T} WHERE a.* = 1", "SELECT a.* FROM {T}",
    "SELECT a[*] FROM {T}", "SELECT * FROM {T} WHERE pk = 'ä' AND sk = 1", "SELECT * FROM \"ä\"",
    "\u0000", "SELECT \u0001", "SELECT * FROM {T} WHERE " + "(" * 40 + "pk = 'a'" + ")" * 40,
    "SELECT * FROM {T} WHERE pk = 'a' AND " + " AND ".join(["n = 1"] * 300), "SELECT * FROM {T} WHERE pk = '" + "x" * 8200 + "'",
]


@scenario
def writes():
    """INSERT, UPDATE and DELETE, with conditions and RETURNING."""
    yield from filled()
    for statement in WRITES:
        yield run(statement)
    yield scan(T)
    yield scan(T, IndexName="All")
    failing = 'UPDATE "{T}" SET v = 1 WHERE pk = \'b\' AND sk = 1 AND n = 99999'
    for value in ("ALL_OLD", "NONE", "X"):
        yield run(failing, ReturnValuesOnConditionCheckFailure=value)
    yield run("INSERT INTO \"{T}\" VALUE {'pk': 'b', 'sk': 1}", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    # Last, because it is written by one of the two only.
    yield run("UPDATE \"{T}\" SET g = 1 WHERE pk = 'a' AND sk = 1")
    yield from dropped()


@scenario
def malformed():
    """What the parser refuses."""
    yield from filled()
    for statement in MALFORMED:
        yield run(statement)
    yield Step("ExecuteStatement", {})
    yield Step("ExecuteStatement", {"Statement": 1})
    yield from dropped()


@scenario
def pages():
    """Limit, NextToken, costs and consistency."""
    yield from filled()
    for statement in ("SELECT pk, sk FROM \"{T}\" WHERE pk = 'a'", "SELECT pk, sk FROM \"{T}\" WHERE pk = 'a' AND n > 20",
            "SELECT * FROM \"{T}\".\"All\" WHERE g = 'g1'",
            "SELECT pk, sk FROM \"{T}\" WHERE pk = 'a' ORDER BY sk"):
        for limit in (1, 2, 4, 100):
            more, sizes, seen = {}, [], []
            for _ in range(10):
                answer = yield Step("ExecuteStatement", {"Statement": statement.replace("{T}", T), "Limit": limit, **more}, compared="none")
                if answer.status != 200:
                    yield Derived("refused", answer.body)
                    break
                sizes.append(len(answer.body["Items"]))
                seen += [(item["pk"]["S"], item["sk"]["N"]) for item in answer.body["Items"]]
                if "NextToken" not in answer.body:
                    break
                more = {"NextToken": answer.body["NextToken"]}
            # Entries with the same index key have no promised order.
            yield Derived(f"items of pages of {limit}", sorted(seen) if "All" in statement else seen)
            yield Derived(f"sizes of pages of {limit}", sizes)
    for more in ({"Limit": 0}, {"Limit": -1}, {"NextToken": "x"}, {"NextToken": ""}, {"NextToken": "AAAA" * 20},
            {"ReturnConsumedCapacity": "X"}):
        yield run("SELECT * FROM \"{T}\" WHERE pk = 'a'", **more)
    for statement in ("SELECT * FROM \"{T}\" WHERE pk = 'a' AND sk = 1", "SELECT * FROM \"{T}\" WHERE pk = 'a'", "SELECT * FROM \"{T}\"",
            "SELECT * FROM \"{T}\".\"Keys\" WHERE g = 'g1'",
            "SELECT * FROM \"{T}\".\"Local\" WHERE pk = 'a'", "SELECT n FROM \"{T}\".\"Local\" WHERE pk = 'a'",
            "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1", "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 5",
            "INSERT INTO \"{T}\" VALUE {'pk': 'c', 'sk': 1}"):
        yield run(statement, ReturnConsumedCapacity="INDEXES")
        if statement.startswith("SELECT"):
            yield run(statement, ReturnConsumedCapacity="TOTAL", ConsistentRead=True)
    yield from dropped()


@scenario
def batches():
    """BatchExecuteStatement."""
    yield from filled()

    def batch(*statements, **more):
        members = [each if isinstance(each, dict) else {"Statement": each} for each in statements]
        return Step("BatchExecuteStatement", {"Statements": [{**each, "Statement": each["Statement"].replace("{T}",
            T)} for each in members], **more})

    one = "SELECT pk, sk FROM \"{T}\" WHERE pk = 'a' AND sk = 1"
    for members in [
        [one], [one, "SELECT pk FROM \"{T}\" WHERE pk = 'none' AND sk = 1"], [one] * 25, [one] * 26, [], [one, one],
        [{"Statement": "SELECT pk FROM \"{T}\" WHERE pk = ? AND sk = ?", "Parameters": [S("a"), N(2)], "ConsistentRead": True}],
        ["SELECT pk FROM \"{T}\" WHERE pk = 'a'"], [one, "SELECT * FROM \"{T}\" WHERE n = 1"],
        ["SELECT * FROM \"{T}\".\"All\" WHERE g = 'g1'"],
        ["SLECT", one], [one, "SELECT * FROM \"NoSuchTable\" WHERE pk = 'a'"],
        ["INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 1}", "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 2}"],
        ["INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 1}", "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 3}"],
        [one, "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 4}"],
        ["UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1", "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 2"],
        ["UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1 AND n = 1"],
        ["UPDATE \"{T}\" SET v = 1 WHERE pk = 'a'", "DELETE FROM \"{T}\" WHERE pk = 'i' AND sk = 3"],
        ["UPDATE \"{T}\" SET v = 2 WHERE pk = 'a' AND sk = 1 RETURNING ALL NEW *"],
        ["DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 3 RETURNING ALL OLD *"],
        ["DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 3 RETURNING ALL NEW *"],
        ["UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" SET v = 2 WHERE pk = 'a' AND sk = 1"],
        [{"Statement": "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1 AND n = 1", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}],
        [{"Statement": "SELECT pk FROM \"{T}\" WHERE pk = ? AND sk = ?", "Parameters": [S("a")]}], [{"Statement": ""}],
    ]:
        yield batch(*members)
    yield batch(one, one, ReturnConsumedCapacity="TOTAL")
    yield Step("BatchExecuteStatement", {})
    yield scan(T)
    yield from dropped()


@scenario
def transactions():
    """ExecuteTransaction."""
    yield from filled()

    def transact(*statements, **more):
        members = [each if isinstance(each, dict) else {"Statement": each} for each in statements]
        return Step("ExecuteTransaction", {"TransactStatements": [{**each,
            "Statement": each["Statement"].replace("{T}", T)} for each in members], **more})

    one = "SELECT pk, sk FROM \"{T}\" WHERE pk = 'a' AND sk = 1"
    for members in [
        [one], [one, "SELECT pk FROM \"{T}\" WHERE pk = 'none' AND sk = 1", "SELECT n FROM \"{T}\" WHERE pk = 'b' AND sk = 2"], [one, one],
        [],
        [f"INSERT INTO \"{{T}}\" VALUE {{'pk': 'x', 'sk': {n}}}" for n in range(100)],
        [f"INSERT INTO \"{{T}}\" VALUE {{'pk': 'y', 'sk': {n}}}" for n in range(101)],
        ["INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 1}", "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1",
        "DELETE FROM \"{T}\" WHERE pk = 'a' AND sk = 2"],
        ["INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 1}", "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 2}"],
        [one, "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 2}"],
        ["EXISTS(SELECT * FROM \"{T}\" WHERE pk = 'a' AND sk = 1 AND n = 10)", "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 3}"],
        ["EXISTS(SELECT * FROM \"{T}\" WHERE pk = 'a' AND sk = 1 AND n = 11)", "INSERT INTO \"{T}\" VALUE {'pk': 'i', 'sk': 4}"],
        ["EXISTS(SELECT * FROM \"{T}\" WHERE pk = 'a' AND sk = 1)"], ["UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1 AND n = 99",
        "DELETE FROM \"{T}\" WHERE pk = 'b' AND sk = 2"],
        ["UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1", "UPDATE \"{T}\" SET v = 2 WHERE pk = 'a' AND sk = 1"],
        ["SELECT * FROM \"{T}\" WHERE pk = 'a'"],
        ["SELECT * FROM \"{T}\".\"All\" WHERE g = 'g1'"], ["SELECT * FROM \"{T}\""], ["SLECT"],
        ["SELECT * FROM \"NoSuchTable\" WHERE pk = 'a'"],
        ["UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1 RETURNING ALL NEW *"], ["UPDATE \"{T}\" SET v = 1 WHERE pk = 'a'"],
        [{"Statement": "UPDATE \"{T}\" SET v = ? WHERE pk = ? AND sk = ?", "Parameters": [N(5), S("b"), N(1)]}],
        [{"Statement": "UPDATE \"{T}\" SET v = ? WHERE pk = ? AND sk = ?", "Parameters": [N(5), S("b")]}],
        [{"Statement": "UPDATE \"{T}\" SET v = 1 WHERE pk = 'a' AND sk = 1 AND n = 99", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}],
    ]:
        yield transact(*members)
    yield transact(one, ReturnConsumedCapacity="TOTAL")
    for value in (1, 1, 2):
        yield transact(f"UPDATE \"{{T}}\" SET token = {value} WHERE pk = 'b' AND sk = 3", ClientRequestToken="partiql-token",
            ReturnConsumedCapacity="TOTAL")
    yield Step("ExecuteTransaction", {})
    yield scan(T)
    yield from dropped()


@scenario
def generated():
    """Random conditions, as a filter of PartiQL: the same items."""
    choice = rng("partiql.generated")
    yield from filled()

    def operand():
        return choice.choice(["10", "20", "30.0", "'s1'", "'s3'", "true", "null", "n", "s", "m.x", "'x'"])

    def path():
        return choice.choice(["n", "s", "m.x", "m.y.z", "\"list\"[0]", "\"list\"[1]", "t", "u", "absent", "g", "sk", "pk"])

    def condition(depth):
        kind = choice.randrange(10)
        if depth and kind < 3:
            return f"({condition(depth - 1)} {choice.choice(['AND', 'OR'])} {condition(depth - 1)})"
        if depth and kind == 3:
            return f"NOT ({condition(depth - 1)})"
        if kind == 4:
            return f"{path()} IS {choice.choice(['', 'NOT '])}MISSING"
        if kind == 5:
            return f"{path()} IN [{operand()}, {operand()}]"
        if kind == 6:
            return f"{path()} BETWEEN {choice.choice(['1', '10'])} AND {choice.choice(['3', '30'])}"
        if kind == 7:
            return f"begins_with({choice.choice(['s', 'pk', 'm.y.z'])}, '{choice.choice(['s', 'a', 'd', 's1'])}')"
        return f"{path()} {choice.choice(['=', '<>', '<', '<=', '>', '>='])} {operand()}"

    for _ in range(400):
        where = condition(2)
        if choice.random() < 0.5:
            where = f"pk = '{choice.choice('ab')}' AND {where}"
        yield run(f"SELECT pk, sk FROM \"{{T}}\" WHERE {where}")
    yield from dropped()
