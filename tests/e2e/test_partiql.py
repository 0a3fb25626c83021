"""PartiQL: the same answers as the JSON operations, in the words of SQL."""

import random

import pytest
from answers import N, S, every_item, refusal, refused
from botocore.exceptions import ClientError
from conftest import ENDPOINT

INVALID = "ValidationException"
MALFORMED = "Statement wasn't well formed, can't be processed"
ITEMS = 300


@pytest.fixture(scope="module")
def table(client):
    """A table with indexes of each kind, as the tests of dynamodb-conformance have it, and some more."""
    from differential.scenario import create

    name = "PartiQL"
    client.create_table(**create(name, "pk:S sk:S", lsi=[("lsi-all", "pk:S l:S", "ALL"), ("lsi-keys", "pk:S l2:S", "KEYS_ONLY")],
        gsi=[("gsi-all", "g:S", "ALL"), ("gsi-keys", "g2:S", "KEYS_ONLY"), ("gsi-inc", "g2:S", ("held",))]).body)
    for sk, g, number in (("s1", "x", 1), ("s2", "z", 2), ("s4", "x", 4)):
        client.put_item(TableName=name, Item={"pk": S("p"), "sk": S(sk), "g": S(g), "g2": S("y"), "l": S(f"l{number}"),
            "l2": S(f"k{number}"),
            "held": S(f"h{number}"), "free": S(f"f{number}"), "n": N(number)})
    client.put_item(TableName=name, Item={"pk": S("p"), "sk": S("s3"), "free": S("f3")})
    client.put_item(TableName=name, Item={"pk": S("q"), "sk": S("s5"), "g2": S("y2"), "held": S("h5"), "free": S("f5")})
    yield name
    client.delete_table(TableName=name)


def run(client, statement, *parameters, **more):
    """The items of one statement."""
    given = {"Parameters": list(parameters)} if parameters else {}
    return client.execute_statement(Statement=statement, **given, **more)["Items"]


def sort_keys(items):
    """The sort keys in order."""
    return sorted(item["sk"]["S"] for item in items)


def every_statement_page(client, statement, **more):
    """All pages of a statement."""
    while True:
        page = client.execute_statement(Statement=statement, **more)
        yield page
        if "NextToken" not in page:
            return
        more["NextToken"] = page["NextToken"]


# --- the same as the JSON operations ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(client):
    """A table of random items with an index of each kind."""
    from differential.scenario import create

    choice = random.Random(7)
    client.create_table(**create("PartiQLMany", "pk:S sk:N", lsi=[("Local", "pk:S n:N", "ALL")], gsi=[("World", "g:S n:N", "ALL")]).body)
    for number in range(ITEMS):
        item = {"pk": S(f"p{number % 7}"), "sk": N(number), "n": N(choice.randrange(50)), "s": S(choice.choice(["one", "two", "three"])),
            "m": {"M": {"x": N(choice.randrange(5)), "list": {"L": [N(1), S("a")]}}}}
        if choice.random() < 0.6:
            item["g"] = S(f"g{choice.randrange(3)}")
        client.put_item(TableName="PartiQLMany", Item=item)
    yield "PartiQLMany"
    client.delete_table(TableName="PartiQLMany")


def by_key(items):
    """Items in an order of their own."""
    return sorted(items, key=lambda item: (item["pk"]["S"], float(item["sk"]["N"])))


@pytest.mark.parametrize("where,values", [
    ("pk = :a", ["p1"]), ("pk = :a AND sk > :b", ["p1", 100]), ("pk = :a AND sk BETWEEN :b AND :c", ["p2", 50, 150]),
])
@pytest.mark.parametrize("index", [None, "Local", "World"])
def test_a_keyed_select_is_a_query(client, many, index, where, values):
    if index:
        where = where.replace("sk", "n")
        values = [values[0], *(value % 50 for value in values[1:])]
        if len(values) == 3:
            values[1:] = sorted(values[1:])
    if index == "World":
        where, values = where.replace("pk", "g"), ["g1", *values[1:]]
    typed = [S(value) if isinstance(value, str) else N(value) for value in values]
    names = [f":{letter}" for letter in "abc"][: len(values)]
    expected = every_item(client.query, TableName=many, KeyConditionExpression=where, ExpressionAttributeValues=dict(zip(names, typed)),
        **({"IndexName": index} if index else {}))
    place = f'"{many}"."{index}"' if index else f'"{many}"'
    statement = where
    for name in names:
        statement = statement.replace(name, "?")
    assert run(client, f"SELECT * FROM {place} WHERE {statement}", *typed) == expected and expected
    # Pages are those of the query.
    pages = list(every_statement_page(client, f"SELECT * FROM {place} WHERE {statement}", Parameters=typed, Limit=7))
    assert [item for page in pages for item in page["Items"]] == expected
    assert all(len(page["Items"]) == 7 for page in pages[:-1])


@pytest.mark.parametrize("where,filtered,values", [
    ("n >= 25", "n >= :a", [N(25)]), ("s = 'two' AND n < 10", "s = :a AND n < :b", [S("two"), N(10)]),
    ("NOT (s = 'one' OR n BETWEEN 10 AND 20)", "NOT (s = :a OR n BETWEEN :b AND :c)", [S("one"), N(10), N(20)]),
    ("m.x = 2", "m.x = :a", [N(2)]), ("g IS MISSING", "attribute_not_exists(g)", []), ("g IS NOT MISSING", "attribute_exists(g)", []),
    ("begins_with(s, 't')", "begins_with(s, :a)", [S("t")]), ("s IN ['one', 'three']", "s IN (:a, :b)", [S("one"), S("three")]),
    ("contains(s, 'hre')", "contains(s, :a)", [S("hre")]), ("size(s) > 3", "size(s) > :a", [N(3)]), ("s <> 'one'", "s <> :a", [S("one")]),
    ("m.\"list\"[1] = 'a' AND n = 3", "m.#l[1] = :a AND n = :b", [S("a"), N(3)]),
])
def test_any_other_select_is_a_scan_with_a_filter(client, many, where, filtered, values):
    request = {"TableName": many, "FilterExpression": filtered}
    if values:
        request["ExpressionAttributeValues"] = dict(zip((":a", ":b", ":c"), values))
    if "#l" in filtered:
        request["ExpressionAttributeNames"] = {"#l": "list"}
    expected = every_item(client.scan, **request)
    assert by_key(run(client, f'SELECT * FROM "{many}" WHERE {where}')) == by_key(expected) and expected


def test_a_select_of_everything_pages_through_everything(client, many):
    expected = every_item(client.scan, TableName=many)
    for limit in (1, 13, 100, 1000):
        pages = list(every_statement_page(client, f'SELECT * FROM "{many}"', Limit=limit))
        assert by_key(item for page in pages for item in page["Items"]) == by_key(expected)
        assert max(len(page["Items"]) for page in pages) <= limit


@pytest.mark.dynamodb_local_differs("breaks on it")
def test_order_by_is_the_order_of_the_sort_key(client, many):
    up = run(client, f"SELECT sk FROM \"{many}\" WHERE pk = 'p1' ORDER BY sk")
    down = run(client, f"SELECT sk FROM \"{many}\" WHERE pk = 'p1' ORDER BY sk DESC")
    assert [float(item["sk"]["N"]) for item in up] == sorted(float(item["sk"]["N"]) for item in up)
    assert down == up[::-1] and len(up) > 40


@pytest.mark.dynamodb_local_differs("sorts each page for itself")
def test_pages_of_a_descending_select_descend(client, many):
    statement = f"SELECT sk FROM \"{many}\" WHERE pk = 'p1' ORDER BY sk DESC"
    whole = run(client, statement)
    assert [item for page in every_statement_page(client, statement, Limit=9) for item in page["Items"]] == whole


def test_several_partitions_are_read_one_after_the_other(client, many):
    expected = [item for key in ("p1", "p3") for item in every_item(client.query, TableName=many, KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": S(key)})]
    assert by_key(run(client, f"SELECT * FROM \"{many}\" WHERE pk IN ['p1', 'p3']")) == by_key(expected)
    assert by_key(item for page in every_statement_page(client, f"SELECT * FROM \"{many}\" WHERE pk IN ['p1', 'p3']", Limit=10)
        for item in page["Items"]) == by_key(expected)


def test_projections_name_the_last_part_of_a_path(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "m": {"M": {"x": {"M": {"deep": S("v")}}, "list": {"L": [N(1), N(2)]}}},
        "more": N(1)})
    assert run(client, f"SELECT pk, m.x.deep FROM \"{table}\" WHERE pk = 'a'") == [{"pk": S("a"), "deep": S("v")}]
    assert run(client, f"SELECT m.\"list\"[1] FROM \"{table}\" WHERE pk = 'a'") == [{"list[1]": N(2)}]
    assert run(client, f"SELECT absent FROM \"{table}\" WHERE pk = 'a'") == [{}]


@pytest.mark.parametrize("value,other", [
    ({"SS": ["a", "b", "c"]}, {"SS": ["a", "b", "d"]}), ({"NS": ["1", "2"]}, {"NS": ["1", "3"]}),
    ({"BS": [b"\1", b"\2"]}, {"BS": [b"\1", b"\3"]}),
    ({"L": [S("a"), S("b")]}, {"L": [S("b"), S("a")]}), ({"M": {"x": N(1), "y": N(2)}}, {"M": {"x": N(1)}}),
    ({"B": b"\1\2"}, {"B": b"\1\3"}),
    ({"NULL": True}, S("null")), ({"BOOL": True}, {"BOOL": False}), (N("1.50"), N("1.51")), (S("é"), S("e")),
])
def test_values_of_all_types_compare_as_in_conditions(client, make_table, value, other):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "v": value})
    permuted = {kind: list(reversed(content)) if kind in ("SS", "NS", "BS") else content for kind, content in value.items()}
    for operator, against, found in (("=", value, 1), ("=", permuted, 1), ("=", other, 0), ("<>", value, 0), ("<>", other, 1)):
        assert len(run(client, f"SELECT pk FROM \"{table}\" WHERE pk = 'a' AND v {operator} ?", against)) == found
    with refused("ConditionalCheckFailedException"):
        run(client, f"UPDATE \"{table}\" SET touched = 1 WHERE pk = 'a' AND v = ?", other)
    run(client, f"UPDATE \"{table}\" SET touched = 1 WHERE pk = 'a' AND v = ?", permuted)
    assert client.get_item(TableName=table, Key={"pk": S("a")})["Item"]["touched"] == N(1)


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_what_has_no_order_is_not_compared(client, table, operator):
    for value in ({"BOOL": True}, {"NULL": True}, {"L": [S("a")]}, {"M": {}}, {"SS": ["a"]}, {"NS": ["1"]}):
        (kind, _), = value.items()
        for place in (table, "NoSuchTable"):
            with refused(INVALID,
                    f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {kind}"):
                run(client, f"SELECT pk FROM \"{place}\" WHERE pk = 'p' AND v {operator} ?", value)


# --- writes -------------------------------------------------------------------------------------------------------


def test_inserts_write_what_put_item_writes(client, make_table):
    table = make_table("pk:S sk:N", gsi=[("ByG", "g:S", "ALL")])
    assert run(client,
        f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'sk': 1, 'g': 'x', 'list': [1, 'two', [true, null]], 'm': {{'k': {{'d': 1.5}}}}, "
        "'strings': <<'b', 'a'>>, 'numbers': <<2, 1>>, 'quote': 'it''s'}") == []
    found = client.get_item(TableName=table, Key={"pk": S("a"), "sk": N(1)})["Item"]
    for name in ("SS", "NS"):
        for value in found.values():
            if name in value:
                value[name].sort()
    assert found == {"pk": S("a"), "sk": N(1), "g": S("x"), "list": {"L": [N(1), S("two"), {"L": [{"BOOL": True}, {"NULL": True}]}]},
        "m": {"M": {"k": {"M": {"d": N("1.5")}}}}, "strings": {"SS": ["a", "b"]}, "numbers": {"NS": ["1", "2"]}, "quote": S("it's")}
    run(client, f"INSERT INTO {table} VALUE {{'pk': ?, 'sk': ?, 'v': ?}}", S("b"), N(2), {"BS": [b"x"]})
    assert client.get_item(TableName=table, Key={"pk": S("b"), "sk": N(2)})["Item"]["v"] == {"BS": [b"x"]}
    assert client.scan(TableName=table, IndexName="ByG")["Count"] == 1


@pytest.mark.dynamodb_local_differs("names the error DuplicateItem")
def test_inserting_twice_is_refused(client, make_table):
    table = make_table()
    run(client, f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'v': 1}}")
    with refused("DuplicateItemException", "Duplicate primary key exists in table"):
        run(client, f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'v': 2}}")
    assert client.scan(TableName=table)["Items"] == [{"pk": S("a"), "v": N(1)}]
    run(client, f"DELETE FROM \"{table}\" WHERE pk = 'a'")
    run(client, f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'v': 3}}")


def test_updates_do_what_update_item_does(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(5), "m": {"M": {"x": N(1)}}, "list": {"L": [N(1)]},
        "set": {"SS": ["a", "b"]}, "useless": S("o")})
    for clause in ("SET n = n + 1 SET m.x = 7", "SET \"list\" = list_append(\"list\", [2, 3])", "SET \"set\" = set_add(\"set\", <<'c'>>)",
            "SET \"set\" = set_delete(\"set\", <<'a'>>)", "REMOVE useless", "SET m.y = 'new', n = n - 2 REMOVE \"list\"[0]",
            "SET fresh = if_not_exists(fresh, 1)"):
        assert run(client, f"UPDATE \"{table}\" {clause} WHERE pk = 'a'") == []
    found = client.get_item(TableName=table, Key={"pk": S("a")})["Item"]
    found["set"]["SS"].sort()
    assert found == {"pk": S("a"), "n": N(4), "m": {"M": {"x": N(7), "y": S("new")}}, "list": {"L": [N(2), N(3)]},
        "set": {"SS": ["b", "c"]}, "fresh": N(1)}


def test_updates_and_deletes_need_an_item_and_the_whole_key(client, make_table):
    table = make_table("pk:S sk:N")
    client.put_item(TableName=table, Item={"pk": S("a"), "sk": N(1), "n": N(1)})
    # Unlike UpdateItem, an UPDATE makes no item.
    with refused("ConditionalCheckFailedException"):
        run(client, f"UPDATE \"{table}\" SET v = 1 WHERE pk = 'b' AND sk = 1")
    with refused("ConditionalCheckFailedException"):
        run(client, f"UPDATE \"{table}\" SET v = 1 WHERE pk = 'a' AND sk = 1 AND n = 2")
    with refused("ConditionalCheckFailedException"):
        run(client, f"DELETE FROM \"{table}\" WHERE pk = 'a' AND sk = 1 AND n = 2")
    assert run(client, f"DELETE FROM \"{table}\" WHERE pk = 'nobody' AND sk = 1") == []
    for where in ("pk = 'a'", "sk = 1", "n = 1", "pk = 'a' AND sk > 0", "pk = 'a' OR sk = 1", "pk = 'a' AND sk BETWEEN 1 AND 1"):
        for statement in (f"UPDATE \"{table}\" SET v = 1 WHERE {where}", f"DELETE FROM \"{table}\" WHERE {where}"):
            assert refusal(client.execute_statement, Statement=statement)[0] == INVALID, statement
    assert refusal(client.execute_statement, Statement=f"UPDATE \"{table}\" SET pk = 'z' WHERE pk = 'a' AND sk = 1")[0] == INVALID
    assert client.scan(TableName=table)["Items"] == [{"pk": S("a"), "sk": N(1), "n": N(1)}]
    assert run(client, f"DELETE FROM \"{table}\" WHERE pk = 'a' AND sk = 1 AND n = 1") == []
    assert client.scan(TableName=table)["Count"] == 0


def test_returning_gives_old_and_new(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(1), "v": S("x")})

    def returning(what):
        return run(client, f"UPDATE \"{table}\" SET n = n + 1 WHERE pk = 'a' RETURNING {what} *")

    assert returning("ALL OLD") == [{"pk": S("a"), "n": N(1), "v": S("x")}]
    assert returning("ALL NEW") == [{"pk": S("a"), "n": N(3), "v": S("x")}]
    assert returning("MODIFIED OLD") == [{"n": N(3)}]
    assert returning("MODIFIED NEW") == [{"n": N(5)}]
    assert run(client, f"UPDATE \"{table}\" REMOVE v WHERE pk = 'a' RETURNING MODIFIED NEW *") == []
    for variant in ("MODIFIED OLD", "ALL NEW", "MODIFIED NEW"):
        with refused(INVALID,
                f"Invalid returning clause: RETURNING {variant} *. Only RETURNING ALL OLD * is allowed in DELETE statements."):
            run(client, f"DELETE FROM \"{table}\" WHERE pk = 'a' RETURNING {variant} *")
    assert run(client, f"DELETE FROM \"{table}\" WHERE pk = 'a' RETURNING ALL OLD *") == [{"pk": S("a"), "n": N(5)}]
    assert run(client, f"DELETE FROM \"{table}\" WHERE pk = 'a' RETURNING ALL OLD *") == []


def test_a_failed_condition_gives_the_item_when_asked(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(1)})
    for asked, item in (("ALL_OLD", {"pk": S("a"), "n": N(1)}), ("NONE", None)):
        with pytest.raises(ClientError) as caught:
            client.execute_statement(Statement=f"UPDATE \"{table}\" SET v = 1 WHERE pk = 'a' AND n = 2",
                ReturnValuesOnConditionCheckFailure=asked)
        assert caught.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
        assert caught.value.response.get("Item") == item


# --- indexes ------------------------------------------------------------------------------------------------------


def test_an_index_is_read_as_it_is(client, table):
    assert sort_keys(run(client, f"SELECT pk, sk FROM \"{table}\".\"gsi-all\" WHERE g = 'x'")) == ["s1", "s4"]
    for index, names in (("gsi-keys", {"g2", "pk", "sk"}), ("gsi-inc", {"g2", "pk", "sk", "held"})):
        found = run(client, f"SELECT * FROM \"{table}\".\"{index}\" WHERE g2 = 'y'")
        assert len(found) == 3 and all(set(item) == names for item in found)
    found = run(client, f"SELECT * FROM \"{table}\".\"lsi-keys\" WHERE pk = 'p'")
    assert len(found) == 3 and all(set(item) == {"pk", "sk", "l2"} for item in found)


def test_a_local_index_fetches_and_a_global_one_refuses(client, table):
    assert run(client, f"SELECT free FROM \"{table}\".\"lsi-keys\" WHERE pk = 'p'") == [{"free": S("f1")}, {"free": S("f2")},
        {"free": S("f4")}]
    with refused(INVALID, "One or more parameter values were invalid: Global secondary index gsi-inc does not project [free]"):
        run(client, f"SELECT free FROM \"{table}\".\"gsi-inc\" WHERE g2 = 'y'")


@pytest.mark.dynamodb_local_differs("filters whole items")
def test_a_keyed_read_refuses_filters_on_what_the_index_does_not_hold(client, table):
    words = "One or more parameter values were invalid: Secondary index {} does not project one or more filter attributes: [free]"
    for index, where in (("gsi-inc", "g2 = 'y' AND free = 'f1'"), ("lsi-keys", "pk = 'p' AND free = 'f1'"),
            ("gsi-inc", "g2 = 'y' AND free IS MISSING"),
            ("gsi-inc", "g2 = 'y' AND free IS NOT MISSING"), ("gsi-inc", "g2 = 'y' AND begins_with(free, 'f')"),
            ("gsi-inc", "g2 = 'y' AND NOT free = 'f1'"),
            ("gsi-inc", "g2 IN ['y', 'z'] AND free = 'f1'"), ("lsi-keys", "pk = 'p' AND l2 BETWEEN 'k1' AND 'k4' AND free = 'f1'")):
        with refused(INVALID, words.format(index)):
            run(client, f"SELECT pk FROM \"{table}\".\"{index}\" WHERE {where}")


@pytest.mark.dynamodb_local_differs("filters whole items")
def test_any_other_read_of_an_index_finds_them_missing(client, table):
    for index in ("gsi-inc", "lsi-keys"):
        assert run(client, f"SELECT pk FROM \"{table}\".\"{index}\" WHERE free = 'f1'") == []
    assert run(client, f"SELECT pk FROM \"{table}\".\"gsi-inc\" WHERE free = 'f1' AND free = 'f2'") == []
    assert sort_keys(run(client, f"SELECT pk, sk FROM \"{table}\".\"gsi-keys\" WHERE NOT free = 'f1'")) == ["s1", "s2", "s4", "s5"]
    assert sort_keys(run(client, f"SELECT pk, sk FROM \"{table}\".\"gsi-inc\" WHERE (g2 = 'y' AND free = 'f1') OR (g2 = 'y2')")) == ["s5"]


@pytest.mark.dynamodb_local_differs("names the index that there is not")
def test_what_names_no_index_is_refused(client, table):
    for place, words in ((f'"{table}"."no-such-index"', "The table does not have the specified index"), (f'"{table}"."{table}"',
            "The table does not have the specified index"), (f'"{table}"."gsi-all"."extra"',
            "A path may contain at most 2 components in the FROM clause"),
            (f'"{table}".""', "Path component cannot be an empty string"), ('""', "Path component cannot be an empty string")):
        with refused(INVALID, words):
            run(client, f"SELECT * FROM {place} WHERE pk = 'p'")


def test_an_index_is_not_written(client, table):
    for statement, words in (("INSERT INTO {} VALUE {{'pk': 'w', 'sk': 'w'}}", "FROM clause may only contain a single table name"),
            ("UPDATE {} SET held = 'z' WHERE pk = 'p' AND sk = 's1'", "This operation is not supported on an index"),
            ("DELETE FROM {} WHERE pk = 'p' AND sk = 's1'", "This operation is not supported on an index")):
        code, message = refusal(client.execute_statement, Statement=statement.format(f'"{table}"."gsi-all"'))
        assert code == INVALID and words in message, message
    assert sort_keys(run(client, f"SELECT * FROM \"{table}\" WHERE pk = 'p'")) == ["s1", "s2", "s3", "s4"]


@pytest.mark.dynamodb_local_differs("has other words")
def test_strong_reads_are_for_tables_and_local_indexes(client, table):
    with refused(INVALID, "Strongly consistent read is not supported on Global Secondary Indexes"):
        run(client, f"SELECT * FROM \"{table}\".\"gsi-all\" WHERE g = 'x'", ConsistentRead=True)
    for place in (f'"{table}"', f'"{table}"."lsi-all"'):
        assert len(run(client, f"SELECT * FROM {place} WHERE pk = 'p'", ConsistentRead=True)) >= 3


@pytest.mark.dynamodb_local_differs("tells no costs")
def test_costs_lie_where_the_read_was(client, table):
    def costs(statement, **more):
        told = client.execute_statement(Statement=statement, ReturnConsumedCapacity="INDEXES", **more)["ConsumedCapacity"]
        kinds = [kind for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes") if kind in told]
        index = sum(each["CapacityUnits"] for kind in kinds for each in told[kind].values())
        assert told["CapacityUnits"] == told["Table"]["CapacityUnits"] + index
        return told["Table"]["CapacityUnits"], index

    assert costs(f"SELECT * FROM \"{table}\" WHERE pk = 'p'") == (0.5, 0)
    assert costs(f"SELECT * FROM \"{table}\" WHERE pk = 'p'", ConsistentRead=True) == (1.0, 0)
    assert costs(f"SELECT pk FROM \"{table}\".\"gsi-all\" WHERE g = 'x'") == (0, 0.5)
    assert costs(f"SELECT pk FROM \"{table}\".\"lsi-all\" WHERE pk = 'p'", ConsistentRead=True) == (0, 1.0)
    assert costs(f"SELECT l2 FROM \"{table}\".\"lsi-keys\" WHERE pk = 'p'") == (0, 0.5)
    few, all_ = (costs(f"SELECT free FROM \"{table}\".\"lsi-keys\" WHERE pk = 'p'", **more) for more in ({"Limit": 1}, {}))
    assert few[0] < all_[0] and all_[1] == 0.5
    assert costs(f"SELECT free FROM \"{table}\".\"lsi-keys\" WHERE pk = 'p'", ConsistentRead=True) == (2 * all_[0], 2 * all_[1])


def test_a_token_continues_its_own_statement_only(client, table):
    first = client.execute_statement(Statement=f"SELECT pk, sk FROM \"{table}\".\"gsi-inc\" WHERE g2 = 'y'", Limit=1)
    rest = client.execute_statement(Statement=f"SELECT pk, sk FROM \"{table}\".\"gsi-inc\" WHERE g2 = 'y'", NextToken=first["NextToken"])
    assert sort_keys(first["Items"] + rest["Items"]) == ["s1", "s2", "s4"]
    if ENDPOINT:
        return
    good = first["NextToken"]
    assert refusal(client.execute_statement, Statement=f"SELECT pk, sk FROM \"{table}\".\"gsi-keys\" WHERE g2 = 'y'",
        NextToken=good)[0] == INVALID
    for forged in ("x", good[:-4], good + "AAAA", "A" * len(good), good[:10] + ("B" if good[10] != "B" else "C") + good[11:]):
        assert refusal(client.execute_statement, Statement=f"SELECT pk, sk FROM \"{table}\".\"gsi-inc\" WHERE g2 = 'y'",
            NextToken=forged)[0] == INVALID


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["", " ", "x", "SELECT", "SELEC * FROM t", "SELECT * FROM", "SELECT * FROM t WHERE",
    "SELECT * FROM t WHERE a = 'x",
    "SELECT * FROM \"t", "SELECT * FROM t WHERE (a = 1", "SELECT * FROM t WHERE a = 1)", "SELECT * FROM t WHERE a IN", "INSERT INTO t",
    "INSERT INTO t VALUE {'a': }",
    "UPDATE t", "UPDATE t SET", "UPDATE t SET a = WHERE b = 1", "DELETE t", "CREATE TABLE t", "SELECT * FROM t; DROP TABLE t",
    "SELECT * FROM a, b",
    "SELECT * FROM a JOIN b", "SELECT COUNT(*) FROM t", "SELECT DISTINCT a FROM t", "SELECT * FROM t LIMIT 1", "SELECT * FROM t GROUP BY a",
    "\x00", "SELECT \ud83d",
    "SELECT * FROM t WHERE a = '" + "x" * 9000 + "'", "SELECT " + "a." * 3000 + "a FROM t"])
def test_statements_that_are_none_are_refused(wire, statement):
    answer = wire.call("ExecuteStatement", {"Statement": statement})
    assert answer.status == 400 and answer.body["__type"].split("#")[1] in (INVALID, "SerializationException"), answer.body


@pytest.mark.dynamodb_local_differs("runs out of stack")
def test_no_nesting_exhausts_the_parser(wire):
    for statement in ("SELECT * FROM t WHERE " + "(" * 4000 + "a = 1" + ")" * 4000, "SELECT * FROM t WHERE " + "NOT " * 2000 + "a = 1",
            "INSERT INTO t VALUE " + "[" * 8000, "INSERT INTO t VALUE " + "{'a':" * 1600, "SELECT * FROM t WHERE a = " + "-" * 8000 + "1",
            "SELECT * FROM t WHERE " + "a = 1 AND (" * 700 + "a = 1" + ")" * 700, "SELECT * FROM t WHERE " + "size(" * 1600):
        answer = wire.call("ExecuteStatement", {"Statement": statement})
        assert answer.status == 400 and answer.body["__type"].split("#")[1] == INVALID, answer.body


@pytest.mark.dynamodb_local_differs("repeats the statement")
def test_a_misspelt_verb_is_told(client, table):
    with refused(INVALID, f"{MALFORMED}: Expected data manipulation"):
        run(client, f"SLECT * FROM \"{table}\" WHERE pk = 'p'")


def test_parameters_must_match_their_marks(client, table):
    for statement, parameters in ((f"SELECT * FROM \"{table}\" WHERE pk = ?", []),
            (f"SELECT * FROM \"{table}\" WHERE pk = ? AND sk = ?", [S("a")]), (f"SELECT * FROM \"{table}\" WHERE pk = ?", [{}]),
            ("SELECT * FROM ?", [S(table)]),
            (f"SELECT * FROM \"{table}\" WHERE n = ?", [N("x")]), (f"SELECT * FROM \"{table}\" WHERE n = ?", [{"SS": []}])):
        given = {"Parameters": parameters} if parameters else {}
        assert refusal(client.execute_statement, Statement=statement, **given)[0] == INVALID, (statement, parameters)


def test_a_missing_table_is_told(client):
    for statement in ("SELECT * FROM \"NoSuchTable\" WHERE pk = 'x'", "INSERT INTO \"NoSuchTable\" VALUE {'pk': 'x'}",
            "UPDATE \"NoSuchTable\" SET a = 1 WHERE pk = 'x'", "DELETE FROM \"NoSuchTable\" WHERE pk = 'x'"):
        assert refusal(client.execute_statement, Statement=statement)[0] == "ResourceNotFoundException"


# --- batches ------------------------------------------------------------------------------------------------------


def batch(client, *statements):
    """The responses of a batch."""
    return client.batch_execute_statement(Statements=[{"Statement": each} if isinstance(each,
        str) else each for each in statements])["Responses"]


def test_a_batch_answers_each_statement(client, make_table):
    table = make_table()
    for key in ("a", "b", "u"):
        client.put_item(TableName=table, Item={"pk": S(key), "n": N(1)})
    assert batch(client, f"SELECT * FROM \"{table}\" WHERE pk = 'b'", {"Statement": f"SELECT n FROM \"{table}\" WHERE pk = ?",
        "Parameters": [S("a")],
        "ConsistentRead": True}, f"SELECT * FROM \"{table}\" WHERE pk = 'absent'") == [{"TableName": table,
        "Item": {"pk": S("b"), "n": N(1)}},
        {"TableName": table, "Item": {"n": N(1)}}, {"TableName": table}]
    told = batch(client, f"INSERT INTO \"{table}\" VALUE {{'pk': 'c'}}", f"INSERT INTO \"{table}\" VALUE {{'pk': 'a'}}",
        f"UPDATE \"{table}\" SET n = 2 WHERE pk = 'u'", f"UPDATE \"{table}\" SET n = 3 WHERE pk = 'b' AND n = 9",
        f"DELETE FROM \"{table}\" WHERE pk = 'x'")
    assert [each.get("Error", {}).get("Code") for each in told] == [None, "DuplicateItem", None, "ConditionalCheckFailed", None]
    assert all(each["TableName"] == table for each in told)
    assert {item["pk"]["S"]: item.get("n") for item in client.scan(TableName=table)["Items"]} == {"a": N(1), "b": N(1), "c": None,
        "u": N(2)}


def test_a_bad_statement_does_not_stop_its_batch(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(1)})
    good = f"SELECT * FROM \"{table}\" WHERE pk = 'a'"
    told = batch(client, f"SLECT * FROM \"{table}\" WHERE pk = 'a'", good, "SELECT * FROM \"NoSuchTable\" WHERE pk = 'a'",
        f"SELECT * FROM \"{table}\" WHERE n = 1",
        {"Statement": f"SELECT * FROM \"{table}\" WHERE pk = ?"})
    assert [each.get("Error", {}).get("Code") for each in told] == ["ValidationError", None, "ResourceNotFound", "ValidationError",
        "ValidationError"]
    assert told[0]["Error"]["Message"].startswith(MALFORMED) and told[1]["Item"] == {"pk": S("a"), "n": N(1)}
    assert "TableName" not in told[3]


@pytest.mark.dynamodb_local_differs("has other words, and items nowhere")
def test_batches_in_detail(client, table):
    words = "must specify the primary key in the where clause"
    for statement in (f"SELECT * FROM \"{table}\" WHERE n = 1", f"SELECT * FROM \"{table}\" WHERE pk = 'p'",
            f"SELECT * FROM \"{table}\".\"gsi-all\" WHERE g = 'x'",
            f"SELECT * FROM \"{table}\".\"gsi-all\" WHERE pk = 'p' AND sk = 's1' AND g = 'x'"):
        error = batch(client, statement)[0]["Error"]
        assert error["Code"] == "ValidationError" and words in error["Message"], statement
    told, = batch(client, f"SLECT * FROM \"{table}\" WHERE pk = 'p'")
    assert told["Error"] == {"Code": "ValidationError", "Message": f"{MALFORMED}: Expected data manipulation"}
    told = client.batch_execute_statement(Statements=[{"Statement": f"SELECT * FROM \"{table}\" WHERE pk = 'p' AND sk = 's1'",
        "ConsistentRead": True},
        {"Statement": f"SELECT * FROM \"{table}\" WHERE pk = 'p' AND sk = 's2'"}], ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert sum(each["CapacityUnits"] for each in told) == 1.5


def test_returning_works_in_batches(client, make_table):
    table = make_table()
    for key in "abcd":
        client.put_item(TableName=table, Item={"pk": S(key), "v": S("old")})
    told = batch(client, f"DELETE FROM \"{table}\" WHERE pk = 'a' RETURNING ALL OLD *",
        f"UPDATE \"{table}\" SET v = 'new' WHERE pk = 'b' RETURNING ALL NEW *",
        f"UPDATE \"{table}\" SET v = 'new' WHERE pk = 'c' RETURNING MODIFIED NEW *",
        f"UPDATE \"{table}\" REMOVE v WHERE pk = 'd' RETURNING MODIFIED NEW *",
        f"DELETE FROM \"{table}\" WHERE pk = 'e' RETURNING MODIFIED OLD *")
    assert [each.get("Item") for each in told] == [{"pk": S("a"), "v": S("old")}, {"pk": S("b"), "v": S("new")}, {"v": S("new")}, None,
        None]
    assert told[3] == {"TableName": table}
    assert told[4]["Error"] == {"Code": "ValidationError",
        "Message": "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements."}


def test_limits_and_mixtures_of_batches(client, make_table):
    table = make_table()
    read, write = f"SELECT * FROM \"{table}\" WHERE pk = 'a'", f"DELETE FROM \"{table}\" WHERE pk = 'b'"
    assert len(batch(client, *[f"SELECT * FROM \"{table}\" WHERE pk = 'k{n}'" for n in range(25)])) == 25
    for statements in ([f"SELECT * FROM \"{table}\" WHERE pk = 'k{n}'" for n in range(26)], [], [read, write]):
        assert refusal(client.batch_execute_statement, Statements=[{"Statement": each} for each in statements])[0] == INVALID, statements


# --- transactions -------------------------------------------------------------------------------------------------


def transact(client, *statements, **more):
    """The answer of a transaction."""
    return client.execute_transaction(TransactStatements=[{"Statement": each} if isinstance(each, str) else each for each in statements],
        **more)


def test_transactions_apply_all_or_nothing(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(1)})
    client.put_item(TableName=table, Item={"pk": S("gone")})
    transact(client, f"INSERT INTO \"{table}\" VALUE {{'pk': 'new'}}",
        {"Statement": f"UPDATE \"{table}\" SET n = n + ? WHERE pk = 'a'", "Parameters": [N(4)]},
        f"DELETE FROM \"{table}\" WHERE pk = 'gone'", f"INSERT INTO \"{table}\" VALUE {{'pk': 'new2'}}")
    before = {item["pk"]["S"]: item for item in client.scan(TableName=table)["Items"]}
    assert set(before) == {"a", "new", "new2"} and before["a"]["n"] == N(5)
    with pytest.raises(ClientError) as caught:
        transact(client, f"INSERT INTO \"{table}\" VALUE {{'pk': 'b'}}", f"UPDATE \"{table}\" SET n = 0 WHERE pk = 'a' AND n = 99",
            f"DELETE FROM \"{table}\" WHERE pk = 'new'")
    assert caught.value.response["Error"]["Code"] == "TransactionCanceledException"
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == ["None", "ConditionalCheckFailed", "None"]
    assert {item["pk"]["S"]: item for item in client.scan(TableName=table)["Items"]} == before


def test_exists_checks_without_writing(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(1)})
    transact(client, f"EXISTS(SELECT * FROM \"{table}\" WHERE pk = 'a' AND n = 1)", f"INSERT INTO \"{table}\" VALUE {{'pk': 'b'}}")
    with pytest.raises(ClientError) as caught:
        transact(client, f"EXISTS(SELECT * FROM \"{table}\" WHERE pk = 'a' AND n = 2)", f"INSERT INTO \"{table}\" VALUE {{'pk': 'c'}}")
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == ["ConditionalCheckFailed", "None"]
    assert {item["pk"]["S"] for item in client.scan(TableName=table)["Items"]} == {"a", "b"}


def test_transactions_of_reads_answer_in_order(client, table):
    assert transact(client, f"SELECT sk, n FROM \"{table}\" WHERE pk = 'p' AND sk = 's2'",
        f"SELECT * FROM \"{table}\" WHERE pk = 'none' AND sk = 'x'",
        f"SELECT sk FROM \"{table}\" WHERE pk = 'p' AND sk = 's1'")["Responses"] == [{"Item": {"sk": S("s2"), "n": N(2)}}, {},
        {"Item": {"sk": S("s1")}}]


@pytest.mark.dynamodb_local_differs("tells no costs")
def test_a_transaction_with_a_token_runs_once(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(0)})
    request = {"ClientRequestToken": f"token-{table}", "ReturnConsumedCapacity": "TOTAL"}
    first, again = (transact(client, f"UPDATE \"{table}\" SET n = n + 1 WHERE pk = 'a'",
        **request)["ConsumedCapacity"][0] for _ in range(2))
    assert client.get_item(TableName=table, Key={"pk": S("a")})["Item"]["n"] == N(1)
    assert (first.get("WriteCapacityUnits"), first.get("ReadCapacityUnits")) == (2.0, None)
    assert (again.get("WriteCapacityUnits"), again.get("ReadCapacityUnits")) == (None, 2.0)
    with refused("IdempotentParameterMismatchException"):
        transact(client, f"UPDATE \"{table}\" SET n = n + 2 WHERE pk = 'a'", **request)


def test_transactions_refuse_what_they_cannot_do(client, table):
    one = f"SELECT * FROM \"{table}\" WHERE pk = 'p' AND sk = 's1'"
    for statement, words in ((f"UPDATE \"{table}\" SET v = 1 WHERE pk = 'p' AND sk = 's1' RETURNING ALL NEW *",
            "RETURNING clause is not supported in ExecuteTransaction."),
            (f"SELECT * FROM \"{table}\".\"gsi-all\" WHERE g = 'x'", "Reads on indices are not supported within transactions.")):
        with refused(INVALID, f"Validation failed in TransactStatements[0]: {words}"):
            transact(client, statement)
    for statements in ([], [one] * 101, [one, f"DELETE FROM \"{table}\" WHERE pk = 'x' AND sk = 'y'"], [one, one],
            [f"SELECT * FROM \"{table}\" WHERE pk = 'p'"],
            [f"UPDATE \"{table}\" SET a = 1 WHERE pk = 'x' AND sk = 'y'", f"DELETE FROM \"{table}\" WHERE pk = 'x' AND sk = 'y'"]):
        code, _ = refusal(client.execute_transaction, TransactStatements=[{"Statement": each} for each in statements])
        assert code in (INVALID, "TransactionCanceledException"), statements
