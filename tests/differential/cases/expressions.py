"""Expressions that are wrong: how each kind of mistake is worded, and in what order mistakes are found."""

from ..scenario import B, L, M, N, NULL, S, TRUE, create, delete, drop, get, put, query, scan, scenario, update

T = "Expr"
KEY = {"pk": S("a")}
ITEM = {
    "pk": S("a"), "n": N(5), "s": S("text"), "b": B("YWJj"), "t": TRUE, "z": NULL, "l": L(N(1), S("two"), L(N(3))),
    "m": M(x=N(1), y=M(z=S("deep"))), "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": ["YQ==", "Yg=="]},
}
VALUES = {":n": N(5), ":s": S("text"), ":b": B("YWJj"), ":t": TRUE, ":z": NULL, ":l": L(N(1)), ":m": M(x=N(1)),
          ":ss": {"SS": ["a"]}, ":ns": {"NS": ["1"]}, ":bs": {"BS": ["YQ=="]}, ":x": S("S"), ":one": N(1)}


def used(table, text):
    """The part of a table of names or values that an expression mentions."""
    import re

    mentioned = set(re.findall(r"[:#][A-Za-z0-9_]+", text))
    return {name: value for name, value in table.items() if name in mentioned} or None


NAMES = {"#n": "n", "#s": "s", "#m": "m", "#l": "l", "#pk": "pk", "#x": "x", "#absent": "absent", "#dot": "m.x", "#size": "size"}

CONDITIONS = [
    # syntax
    "", " ", "a", "a =", "= :n", "n = :n AND", "n = :n n = :n", "n == :n", "n != :n", "n <> <> :n", "(n = :n", "n = :n)",
    "()", "((n = :n))", "(((n = :n)))", "(n) = (:n)", "n = (:n)", "(n = :n) AND (s = :s)", "((n = :n) AND (s = :s))", "NOT", "NOT n",
    "NOT n = :n", "NOT NOT n = :n", "n BETWEEN :n", "n BETWEEN :n AND",
    "n BETWEEN :n, :n", "n IN", "n IN ()", "n IN (:n", "n IN (:n,)", "n IN :n", "n IN (:n, :s)", "n.= :n", "n..x = :n", ".n = :n",
    "n[ = :n", "n[] = :n", "n[a] = :n", "n[-1] = :n", "n[1.5] = :n", "l[0] = :one", "l[00] = :one", "l[99999999999] = :one", "l [0] = :one",
    "l[ 0 ] = :one",
    "m.x = :one", "m . x = :one", "m.#x = :one", "#m.#x = :one", "#m.x.#x = :n", "#dot = :one", "m.x[0].y = :n",
    "n = 5", "n = 'text'", 'n = "text"', "n = -1", "n = true", "n = null", "5 = :n", "n = ::n", "n = :", "# = :n", "n = #", "#n = :n",
    "n & :n", "n ! :n", "n = :n;", "n = :n -- comment", "n = :n /* c */", "n = :n\t AND\n s = :s", "n=:n", "n=:n and s=:s", "n=:n AnD s=:s",
    "n=:nAND s=:s", "n = :n OR s = :s AND t = :t", "n + :n = :n", "n - :n = :n", "é = :n", "_n = :n", "n_1 = :n", "1n = :n", "n-x = :n",
    "n$ = :n", "@n = :n",
    # names and values
    "n = :undefined", "#undefined = :n", "m.#undefined = :n", "n = :n AND #undefined = :undefined",
    # reserved words
    "size = :n", "name = :n", "NAME = :n", "Status = :n", "m.name = :n", "data.x = :n", "attribute_exists(name)", "and = :n", "or = :n",
    "between = :n", "in = :n", "not = :n", "set = :n", "#size = :n",
    "begins_with = :n", "contains = :n", "attribute_exists = :n",
    # functions
    "attribute_exists(n)", "attribute_exists (n)", "ATTRIBUTE_EXISTS(n)", "attribute_exists()", "attribute_exists(n, s)",
    "attribute_exists(:n)",
    "attribute_exists(n) = :t", "attribute_exists(size(n))", "attribute_not_exists(n)", "attribute_not_exists(absent)",
    "attribute_not_exists(:n)",
    "attribute_type(n, :x)", "attribute_type(n, :s)", "attribute_type(n, :n)", "attribute_type(n)", "attribute_type(n, s)",
    "attribute_type(:n, :x)", "attribute_type(n, :x, :x)",
    "begins_with(s, :s)", "begins_with(s, :n)", "begins_with(n, :s)", "begins_with(s)", "begins_with(s, :s, :s)", "begins_with(:s, s)",
    "begins_with(:s, :s)", "begins_with(s, :b)", "begins_with(b, :b)", "begins_with(s, :ss)", "begins_with(s, s)", "begins_with(:n, s)",
    "begins_with(s, :s) = :t", "begins_with(size(s), :s)",
    "contains(s, :s)", "contains(ss, :s)", "contains(l, :n)", "contains(n, :n)", "contains(s, :n)", "contains(s)", "contains(:s, s)",
    "contains(:s, :s)", "contains(s, :s, :s)", "contains(l, :l)", "contains(ns, :n)", "contains(ss, :ss)", "contains(:n, n)",
    "contains(:ss, s)", "contains(s, s)", "contains(size(s), :s)",
    "size(s) = :n", "size(s) > :s", "size(s)", "size() = :n", "size(s, n) = :n", "size(:s) = :n", "size(n) = :n", "size(:n) = :n",
    "size(t) = :n", "size(z) = :n", "size(absent) = :n", "size(:t) = :n", "size(size(s)) = :n", "size(m) = :one", "size(l) = :n",
    "size(ss) = :n", "size(b) = :n", "SIZE(s) = :n",
    "size(s) BETWEEN :one AND :n", "size(s) IN (:one, :n)", ":n = size(s)", "size(s) = size(b)",
    "unknown(n)", "unknown(n) = :n", "unknown()", "if_not_exists(n, :n) = :n", "list_append(l, :l) = :l", "exists(n)",
    "n = attribute_exists(s)", "n IN (attribute_exists(s))", "n BETWEEN attribute_exists(s) AND :n",
    # types of operands
    "n = :s", "n < :t", "n < :z", "n < :l", "n < :m", "n < :ss", "n > :ns", "n >= :bs", "n <= :b", "n <> :l", "n = :l", ":n = :n",
    ":n < :s", ":n = :s", ":t < :t", ":z = :z", "n < s", "t < n", "l < n", "n = n", "n <> n", "n < n",
    "n BETWEEN :n AND :one", "n BETWEEN :s AND :n", "n BETWEEN :t AND :t", "n BETWEEN :l AND :l", "n BETWEEN :ss AND :ss",
    "n BETWEEN s AND :n", "n BETWEEN :n AND s", ":n BETWEEN n AND n", ":n BETWEEN :n AND :n", "n BETWEEN n AND n",
    "n NOT BETWEEN :one AND :n",
    "n IN (:n)", "n IN (n)", "n IN (s, n)", ":n IN (:n)", "n IN (:l)", "n NOT IN (:n)", "m = :m", "l = :l", "ss = :ss", "(m.x) = :one",
    "NOT (n = :n)", "NOT (n = :n) AND s = :s", "(NOT n = :n) OR s = :s", "NOT n BETWEEN :n AND :n", "NOT attribute_exists(n)",
    "n = :n AND NOT s = :n OR t = :t", "s > :s OR s < :s OR s = :s",
]


@scenario
def conditions():
    """Every condition text once as a ConditionExpression on an item that exists."""
    yield create(T)
    yield put(T, ITEM)
    for text in CONDITIONS:
        yield put(T, ITEM, ConditionExpression=text, **members(text))
    yield drop(T)


def members(text):
    """ExpressionAttributeNames and -Values for what a text mentions."""
    found = {}
    if names := used(NAMES, text):
        found["ExpressionAttributeNames"] = names
    if values := used(VALUES, text):
        found["ExpressionAttributeValues"] = values
    return found


@scenario
def filters():
    """The same texts as filters: the word for the expression changes and a failed one selects nothing."""
    yield create(T)
    yield put(T, ITEM)
    for text in CONDITIONS:
        yield scan(T, text, used(NAMES, text), used(VALUES, text))
    yield drop(T)


UPDATES = [
    # syntax
    "", " ", "SET", "SET ", "SET n", "SET n =", "SET = :n", "SET n = :n,", "SET n = :n s = :s", "SET n == :n", "n = :n", "set n = :n",
    "Set n = :n", "SET n = :n SET s = :s", "SET n = :n REMOVE s", "REMOVE s SET n = :n", "REMOVE", "REMOVE s,", "REMOVE s s", "REMOVE :s",
    "REMOVE s REMOVE n",
    "ADD", "ADD n", "ADD n :n", "ADD n = :n", "ADD n n", "ADD n :n, s :n", "ADD :n :n", "ADD n :n ADD s :n", "DELETE", "DELETE ss",
    "DELETE ss :ss", "DELETE ss ss", "DELETE ss :ss DELETE ns :ns", "UPDATE n = :n", "SET n = :n FOO", "SET (n) = :n", "SET n = (:n)",
    "SET n = ((:n))", "SET n = (n + :n)", "SET n = n + :n + :n", "SET n = n + (:n + :n)", "SET n = (n + :n) - :n",
    "SET n = + :n", "SET n = -:n", "SET n = n * :n", "SET n = n / :n", "SET n = 5", "SET n = 'a'", "SET n = n+:n", "SET n = n-:n",
    "SET n=n - :n", "SET n = :n - :one", "SET n = :one + :n", "SET :n = :n", "SET n[0] = :n", "SET l[0] = :n", "SET l[-1] = :n",
    "SET l[a] = :n", "SET l[1] = :n, l[5] = :n", "SET l[] = :n", "SET n = :n;", "SET n = AND", "SET n = :n AND s = :s", "SET n = NOT :n",
    # names, values, reserved
    "SET n = :undefined", "SET #undefined = :n", "SET name = :n", "SET m.name = :n", "SET n = name", "REMOVE name", "ADD name :n",
    "DELETE name :ss", "SET size = :n", "SET n = if_not_exists(name, :n)", "SET #size = :n",
    # functions
    "SET n = if_not_exists(n, :n)", "SET n = if_not_exists(absent, :n)", "SET n = if_not_exists(:n, :n)", "SET n = if_not_exists(n)",
    "SET n = if_not_exists(n, :n, :n)", "SET n = if_not_exists(n, n)", "SET n = if_not_exists(absent, absent)",
    "SET n = if_not_exists(absent, if_not_exists(alsoabsent, :n))", "SET n = IF_NOT_EXISTS(n, :n)",
    "SET n = if_not_exists(absent, :n) + :n", "SET n = :n + if_not_exists(absent, :n)", "SET n = if_not_exists(absent, :n + :n)",
    "SET n = if_not_exists(n + n, :n)",
    "SET l = list_append(l, :l)", "SET l = list_append(:l, l)", "SET l = list_append(:l, :l)", "SET l = list_append(l, l)",
    "SET l = list_append(l)", "SET l = list_append(l, :l, :l)", "SET l = list_append(l, :n)", "SET l = list_append(:n, l)",
    "SET l = list_append(n, :l)", "SET l = list_append(absent, :l)", "SET l = list_append(l, n)", "SET l = list_append(l, :ss)",
    "SET l = list_append(if_not_exists(absent, :l), :l)", "SET l = list_append(list_append(l, :l), :l)", "SET l = list_append(l, :l) + :n",
    "SET l = list_append()",
    "SET n = unknown(n)", "SET n = size(s)", "SET n = attribute_exists(s)", "SET n = begins_with(s, :s)", "SET n = contains(s, :s)",
    "SET n = size(s) + :n", "SET attribute_exists(n) = :n", "SET n = unknown()",
    # operand types
    "SET n = n + :s", "SET n = s + :n", "SET n = absent + :n", "SET n = :n + absent", "SET n = :s + :n", "SET n = :n + :l",
    "SET n = :l - :n", "SET n = l + :n", "SET n = :t + :n", "SET n = :ss + :n", "SET n = if_not_exists(absent, :s) + :n",
    "SET n = if_not_exists(s, :n) + :n", "SET n = if_not_exists(n, :s) + :n",
    "ADD n :s", "ADD n :b", "ADD n :t", "ADD n :z", "ADD n :l", "ADD n :m", "ADD n :ss", "ADD s :n", "ADD s :ss", "ADD l :n", "ADD m :n",
    "ADD ss :n", "ADD ss :ns", "ADD ss :ss", "ADD ns :ns", "ADD bs :bs", "ADD ns :n", "ADD ss :s", "ADD absent :n", "ADD absent :ss",
    "ADD absent :s", "ADD absent.x :n", "ADD m.x :n", "ADD m.q :n", "ADD m.q :ss", "ADD l[0] :n", "ADD l[1] :n", "ADD l[9] :n",
    "ADD n.x :n",
    "DELETE n :n", "DELETE n :ss", "DELETE ss :s", "DELETE ss :n", "DELETE ss :ns", "DELETE ss :l", "DELETE ns :ns", "DELETE bs :bs",
    "DELETE absent :ss", "DELETE absent :n", "DELETE s :ss", "DELETE m.x :ss", "DELETE m.q :ss", "DELETE l[0] :ss", "DELETE ss :t",
    # paths
    "SET m.q = :n", "SET m.x = :n", "SET m.q.r = :n", "SET absent.x = :n", "SET absent[0] = :n", "SET n.x = :n", "SET s[0] = :n",
    "SET m[0] = :n", "SET l.x = :n", "SET l[2][0] = :n", "SET l[9] = :n", "SET l[9][0] = :n", "SET l[0].x = :n", "SET n = absent",
    "SET n = m.q", "SET n = l[9]", "SET n = n.x", "SET s = n, n = s", "SET n = m.x + l[0]",
    "REMOVE absent", "REMOVE absent.x", "REMOVE absent[0]", "REMOVE n.x", "REMOVE m.q", "REMOVE m.q.r", "REMOVE m.x", "REMOVE l[0]",
    "REMOVE l[9]", "REMOVE l[0], l[1]", "REMOVE l[0], l[2]", "REMOVE l.x", "REMOVE m[0]", "REMOVE s[0]", "REMOVE l[2][0]",
    "REMOVE m.y.z, m.x",
    # overlaps and conflicts
    "SET n = :n, n = :n", "SET n = :n, #n = :n", "SET n = :n REMOVE n", "SET n = :n ADD n :n", "REMOVE n ADD n :n", "REMOVE n, n",
    "SET m = :m, m.x = :n", "SET m.x = :n, m = :m", "SET m.x = :n, m.y = :n", "SET m.x = :n, m.x.y = :n", "SET m.x = :n REMOVE m",
    "SET l[0] = :n, l[0] = :n", "SET l[0] = :n, l = :l", "SET l[0] = :n, l.x = :n", "SET m.x = :n, m[0] = :n", "SET l[0] = :n REMOVE l[1]",
    "SET l[0] = :n, l[00] = :n", "DELETE ss :ss ADD ss :ss", "SET n = :n, m.x = :n, n = :n", "SET l[0] = :n, l[0].x = :n",
    "SET m.y.z = :n, m.y = :m", "ADD m.x :n SET m.x = :n", "REMOVE m.x, m[0]", "SET #m.#x = :n, m.x = :n",
    # the key
    "SET pk = :s", "REMOVE pk", "ADD pk :n", "DELETE pk :ss", "SET #pk = :s", "SET pk.x = :n", "SET pk[0] = :n", "SET n = pk",
    "SET pk = pk", "SET n = :n, pk = :undefined", "SET pk = :n, pk = :n",
]


@scenario
def updates():
    """Every update text once, on the same item each time, with the result read back from ALL_NEW."""
    yield create(T)
    for text in UPDATES:
        yield put(T, ITEM)
        yield update(T, KEY, text, used(NAMES, text), used(VALUES, text), ReturnValues="ALL_NEW")
    yield drop(T)


@scenario
def updates_of_a_new_item():
    """The same updates where no item exists."""
    yield create(T)
    for text in UPDATES:
        yield update(T, KEY, text, used(NAMES, text), used(VALUES, text), ReturnValues="ALL_NEW")
        yield delete(T, KEY)
    yield drop(T)


PROJECTIONS = [
    "", " ", "n", "n,", ",n", "n,,s", "n s", "n, s, m.x, l[0], l[2][0]", "m.x, m.y.z", "l[0], l[1]", "l[5]", "l[1], l[0]", "l[2], l[0]",
    "absent", "absent.x, n", "n, n", "n, #n", "m, m.x", "m.x, m", "m.x, m.x.y", "l[0], l", "l[0], l.x", "m.x, m[0]", "m[0]", "l.x", "n.x",
    "n[0]", "*", "n.*", ":n", "n = :n", "n AND s", "name", "size", "size(n)", "#undefined", "m.#x", "#dot", "#m.y.z, #n", "(n)", "n AS s",
    "n-s", "l[-1]", "l[a]", "l[]", "l[", "n.", ".n", "pk", "pk, n", "5", "'n'", "\"n\"", "l[0],l[0]", "m.y, m.y.z", "#n.x, n",
    "l[2][0], l[2][1], l[0]",
]


@scenario
def projections():
    """Every projection text once with GetItem."""
    yield create(T)
    yield put(T, ITEM)
    for text in PROJECTIONS:
        more = {"ExpressionAttributeNames": names} if (names := used(NAMES, text)) else {}
        yield get(T, KEY, ProjectionExpression=text, **more)
    yield drop(T)


KEY_CONDITIONS = [
    "", " ", "pk", "pk = ", "pk = :s", "pk = :n", "pk = :b", "pk = :t", "pk = :l", "pk = :ss", "pk = :z", "pk = :m", ":s = pk", "(pk = :s)",
    "((pk = :s))", "pk < :s", "pk <> :s", "pk > :s", "pk <= :s", "pk >= :s", "pk IN (:s)", "pk BETWEEN :s AND :s", "begins_with(pk, :s)",
    "attribute_exists(pk)", "contains(pk, :s)", "size(pk) = :n", "NOT pk = :s", "pk = :s AND", "pk = :s OR sk = :n",
    "pk = :s AND sk = :n", "sk = :n AND pk = :s", "(pk = :s) AND (sk = :n)", "(pk = :s AND sk = :n)", "pk = :s AND sk = :s",
    "pk = :s AND sk < :n", "pk = :s AND sk <= :n", "pk = :s AND sk > :n", "pk = :s AND sk >= :n", "pk = :s AND sk <> :n",
    "pk = :s AND sk BETWEEN :one AND :n", "pk = :s AND sk BETWEEN :n AND :one", "pk = :s AND sk BETWEEN :s AND :n",
    "pk = :s AND sk IN (:n)", "pk = :s AND begins_with(sk, :n)", "pk = :s AND begins_with(sk, :s)", "pk = :s AND contains(sk, :n)",
    "pk = :s AND attribute_exists(sk)", "pk = :s AND attribute_type(sk, :x)", "pk = :s AND size(sk) = :n", "pk = :s AND NOT sk = :n",
    "NOT (pk = :s) AND sk = :n",
    "sk = :n", "n = :n", "pk = :s AND n = :n", "pk = :s AND sk = :n AND n = :n", "pk = :s AND pk = :s", "pk = :s AND pk = :s AND sk = :n",
    "pk = :s AND sk > :one AND sk < :n", "pk = :s AND sk = :n AND sk = :n", "pk = :s AND (sk = :n OR sk = :one)", "pk = sk", "pk = pk",
    "pk = :s AND sk = n", "pk = :undefined", "#undefined = :s", "#pk = :s", "name = :s", "pk.x = :s", "pk[0] = :s", "pk = :s AND sk.x = :n",
    "m.x = :s", "pk = 'a'", ":s = :s", "pk = :s AND :n = sk", "pk = :s AND :n < sk", "pk = :s AND sk = :t", "pk = :s AND begins_with(sk)",
    "pk = :s AND begins_with(:s, sk)", "pk = :s and sk = :n", "pk = size(:s)", "pk = if_not_exists(pk, :s)",
    "pk = :s AND sk BETWEEN :n AND :n AND n = :n", "pk = :s AND sk BETWEEN n AND :n", "attribute_exists(pk) AND sk = :n",
    "begins_with(pk, :s) AND sk = :n", "pk > :s AND sk = :n",
]


@scenario
def key_conditions():
    """Every key condition text once, on a table with a number as sort key."""
    yield create(T, "pk:S sk:N")
    yield put(T, {"pk": S("text"), "sk": N(5)})
    yield put(T, {"pk": S("text"), "sk": N(1)})
    for text in KEY_CONDITIONS:
        yield query(T, text, used(NAMES, text), used(VALUES, text))
    yield drop(T)


@scenario
def names_and_values():
    """Unused, empty, ill-formed and wrongly typed expression attribute names and values."""
    yield create(T)
    yield put(T, ITEM)
    condition = {"ConditionExpression": "#n = :n"}
    fit = {"ExpressionAttributeNames": {"#n": "n"}, "ExpressionAttributeValues": {":n": N(5)}}
    for more in [
        {"ExpressionAttributeNames": {"#n": "n"}}, {"ExpressionAttributeValues": {":n": N(5)}}, {"ExpressionAttributeNames": {}},
        {"ExpressionAttributeValues": {}},
        {"ExpressionAttributeNames": {"#n": "n"}, "ExpressionAttributeValues": {":n": N(5)}},
        {**condition, **fit, "ExpressionAttributeNames": {"#n": "n", "#o": "o"}},
        {**condition, **fit, "ExpressionAttributeNames": {"#n": "n", "#o": "o", "#p": "p"}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": N(5), ":o": N(5)}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": N(5), ":o": N(5), ":p": N(1)}},
        {**condition, "ExpressionAttributeNames": {"#n": "n", "#o": "o"}, "ExpressionAttributeValues": {":n": N(5), ":o": N(5)}},
        {**condition, **fit, "ExpressionAttributeNames": {}}, {**condition, **fit, "ExpressionAttributeValues": {}},
        {**condition, **fit, "ExpressionAttributeNames": {"n": "n"}}, {**condition, **fit, "ExpressionAttributeNames": {"#": "n"}},
        {**condition, **fit, "ExpressionAttributeNames": {"#n": ""}},
        {**condition, **fit, "ExpressionAttributeNames": {"#n-a": "n"}}, {**condition, **fit, "ExpressionAttributeNames": {"": "n"}},
        {**condition, **fit, "ExpressionAttributeNames": {":n": "n"}},
        {**condition, **fit, "ExpressionAttributeNames": {"#n a": "n", "#n": "n"}},
        {**condition, **fit, "ExpressionAttributeValues": {"n": N(5)}}, {**condition, **fit, "ExpressionAttributeValues": {":": N(5)}},
        {**condition, **fit, "ExpressionAttributeValues": {":n-a": N(5)}}, {**condition, **fit, "ExpressionAttributeValues": {"": N(5)}},
        {**condition, **fit, "ExpressionAttributeValues": {"#n": N(5)}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": {}}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": {"N": "x"}}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": {"SS": []}}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": {"S": "a", "N": "1"}}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": {"NULL": False}}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": {"SS": ["a", "a"]}}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": S("")}},
        {**condition, **fit, "ExpressionAttributeValues": {":n": {"SS": [""]}}},
        {"ConditionExpression": "#n = :n"}, {"ConditionExpression": "n = :n"}, {"ConditionExpression": "#n = n"},
        {"ConditionExpression": "attribute_exists(n)", "ExpressionAttributeNames": {"#n": "n"}},
        {"ConditionExpression": "attribute_exists(n)", "ExpressionAttributeValues": {":n": N(1)}},
        {"ConditionExpression": "syntax error here", "ExpressionAttributeNames": {"#n": "n"}},
        {"ConditionExpression": "size = :n", "ExpressionAttributeNames": {"#n": "n"}, "ExpressionAttributeValues": {":q": N(1)}},
        {"ConditionExpression": "attribute_exists(n)", "Expected": {"n": {"Exists": False}}},
        {"ConditionExpression": "attribute_exists(n)", "Expected": {}},
        {"ConditionExpression": "attribute_exists(n)", "ConditionalOperator": "AND"},
        {"ExpressionAttributeNames": {"#n": "n"}, "Expected": {"n": {"Exists": False}}},
    ]:
        yield put(T, ITEM, **more)
    yield query(T, "pk = :a", None, {":a": S("a")}, FilterExpression="#f = :f", ExpressionAttributeNames={"#g": "g"})
    yield query(T, "pk = :a", None, {":a": S("a"), ":f": N(1)}, FilterExpression="f = :g")
    yield query(T, "pk = :z", None, {":a": S("a")}, FilterExpression="f = :a", ProjectionExpression="size")
    yield query(T, "syntax (", None, {":a": S("a")}, FilterExpression="also syntax (", ProjectionExpression="and (")
    yield query(T, "pk = :a", None, {":a": S("a")}, FilterExpression="pk = :a")
    yield query(T, "pk = :a", None, {":a": S("a")}, FilterExpression="attribute_exists(pk)")
    yield query(T, "pk = :a", None, {":a": S("a")}, ProjectionExpression="")
    yield query(T, "pk = :a", None, {":a": S("a")}, FilterExpression="")
    yield scan(T, None, {"#n": "n"})
    yield scan(T, None, None, {":n": N(1)})
    yield scan(T, "n = :n", {"#n": "n"}, {":n": N(1)})
    yield get(T, KEY, ExpressionAttributeNames={"#n": "n"})
    yield get(T, KEY, ProjectionExpression="n", ExpressionAttributeNames={"#n": "n"})
    yield get(T, KEY, ProjectionExpression="#n", ExpressionAttributeNames={"#n": "n", "#o": "o"})
    yield update(T, KEY, "SET n = :n", None, {":n": N(1), ":o": N(1)}, ConditionExpression="n = :p")
    yield update(T, KEY, "SET n = :n", None, {":n": N(1)}, ConditionExpression="n = :p")
    yield update(T, KEY, "SET n = :q", None, {":n": N(1)}, ConditionExpression="n = :p")
    yield update(T, KEY, "SET n = :n (", None, {":n": N(1)}, ConditionExpression="n = )")
    yield update(T, KEY, "SET pk = :n", None, {":n": N(1)}, ConditionExpression="n = )")
    yield update(T, KEY, None, None, {":n": N(1)})
    yield update(T, KEY, None, {"#n": "n"}, None)
    yield update(T, KEY, "SET n = :n", None, {":n": N(1)}, AttributeUpdates={"n": {"Value": N(1), "Action": "PUT"}})
    yield update(T, KEY, "SET n = :n", None, {":n": N(1)}, Expected={"n": {"Exists": False}})
    yield delete(T, KEY, ConditionExpression="n = :n")
    yield delete(T, KEY, ExpressionAttributeValues={":n": N(1)})
    yield drop(T)


@scenario
def limits():
    """Expression length, operators, operands, nesting and path depth at their limits."""
    yield create(T)
    yield put(T, ITEM)
    v = {":n": N(5)}
    for count in (299, 300, 301, 302):
        yield update(T, KEY, "SET " + ", ".join(f"a{i} = :n" for i in range(count)), None, v)
    for count in (150, 151, 299, 300, 301):
        text = " OR ".join(f"a{i} = :n" for i in range(count))
        yield scan(T, text, None, v)
    for count in (100, 101):
        yield scan(T, "n IN (" + ", ".join(f":v{i}" for i in range(count)) + ")", None, {f":v{i}": N(i) for i in range(count)})
    for depth in (31, 32, 33, 100):
        yield get(T, KEY, ProjectionExpression="m" + ".x" * depth)
        yield get(T, KEY, ProjectionExpression="l" + "[0]" * depth)
    for size in (4096, 4097):
        text = "n = :n OR n = :n"
        yield scan(T, text + " " * (size - len(text)), None, v)
        yield get(T, KEY, ProjectionExpression="n" + "," + "x" * (size - 2))
        yield update(T, KEY, "SET n = :n" + " " * (size - 10), None, v)
        yield put(T, ITEM, ConditionExpression="n = :n" + " " * (size - 6), ExpressionAttributeValues=v)
    for size in (255, 256, 65535, 65536):
        yield scan(T, "#n = :n", {"#n": "n" * size}, v)
    for size in (253, 254, 255, 256):
        name = "#" + "n" * size
        yield scan(T, f"{name} = :n", {name: "n"}, v)
        value = ":" + "n" * size
        yield scan(T, f"n = {value}", None, {value: N(5)})
    for depth in (50, 100, 200):
        yield scan(T, "(" * depth + "n = :n" + ")" * depth, None, v)
        yield scan(T, "NOT " * depth + "n = :n", None, v)
        yield scan(T, "(NOT " * depth + "n = :n" + ")" * depth, None, v)
    yield drop(T)
