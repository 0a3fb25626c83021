"""Random requests from a fixed seed: items, conditions, updates, queries and scans that are mostly well-formed.

Each scenario fills a table with generated items and sends generated requests at it, so that features meet in
combinations that nobody thought of writing down. What they leave behind is compared at the end.
"""

import base64

from ..scenario import L, M, N, NULL, S, TRUE, Step, create, delete, drop, get, put, query, rng, scan, scenario, update

NAMES = ["a", "b", "c", "d", "e"]
PATHS = ["a", "b", "c", "d", "e", "c.x", "c.y", "c.y.z", "d[0]", "d[1]", "d[2]", "d[3].x", "c.l[0]", "e.x", "a.x", "absent"]
NUMBERS = ["0", "1", "-1", "2", "10", "3.5", "-0.25", "100", "99999999999999999999", "1e-20", "7"]
STRINGS = ["", "a", "ab", "abc", "b", "z", "Z", "é", "a b"]


class Random:
    """Choices for one scenario."""

    def __init__(self, name):
        self.choice = rng(name)

    def pick(self, options):
        """One of the options."""
        return self.choice.choice(options)

    def chance(self, share):
        """True in this share of calls."""
        return self.choice.random() < share

    def scalar(self):
        """A number, string, binary, boolean or null."""
        kind = self.choice.randrange(8)
        if kind < 3:
            return N(self.pick(NUMBERS))
        if kind < 6:
            return S(self.pick(STRINGS))
        if kind == 6:
            return {"B": base64.b64encode(self.choice.randbytes(self.choice.randrange(4))).decode()}
        return self.pick([TRUE, {"BOOL": False}, NULL])

    def set(self):
        """A set of one to three elements."""
        kind = self.pick(["SS", "NS", "BS"])
        size = self.choice.randint(1, 3)
        source = {"SS": STRINGS[1:], "NS": NUMBERS, "BS": ["YQ==", "Yg==", "Yw==", "AAE="]}[kind]
        return {kind: self.choice.sample(source, size)}

    def value(self, depth=2):
        """Any value."""
        kind = self.choice.randrange(10)
        if kind < 6 or depth == 0:
            return self.scalar()
        if kind == 6:
            return self.set()
        if kind == 7:
            return L(*(self.value(depth - 1) for _ in range(self.choice.randrange(4))))
        return M(**{name: self.value(depth - 1) for name in self.choice.sample(["x", "y", "z", "l"], self.choice.randrange(4))})

    def attributes(self):
        """A few attributes; c is often a map and d often a list, so that paths lead somewhere."""
        found = {name: self.value() for name in NAMES if self.chance(0.6)}
        if self.chance(0.6):
            found["c"] = M(x=self.value(1), y=M(z=self.scalar()), l=L(self.scalar()))
        if self.chance(0.6):
            found["d"] = L(*(self.value(1) for _ in range(self.choice.randrange(5))))
        return found


class Expression:
    """Texts of expressions with the names and values they came to use."""

    def __init__(self, random):
        self.random, self.names, self.values = random, {}, {}

    def path(self, roots=False):
        """A path, sometimes through a placeholder; with `roots` more often a whole attribute."""
        path = self.random.pick(NAMES if roots and self.random.chance(0.6) else PATHS)
        if self.random.chance(0.3):
            first, rest = path[:1] if path != "absent" else path, path[1:] if path != "absent" else ""
            self.names[f"#{first}"] = first
            return f"#{first}{rest}"
        return path

    def value(self, given=None):
        """A placeholder of a value."""
        name = f":v{len(self.values)}"
        self.values[name] = given if given is not None else self.random.value()
        return name

    def operand(self):
        """What a comparison compares."""
        kind = self.random.choice.randrange(8)
        if kind < 4:
            return self.path()
        if kind < 7:
            return self.value(self.random.scalar() if self.random.chance(0.8) else None)
        return f"size({self.path()})"

    def condition(self, depth=2):
        """A condition."""
        random = self.random
        kind = random.choice.randrange(14 if depth else 9)
        if kind < 4:
            return f"{self.path()} {random.pick(['=', '<>', '<', '<=', '>', '>='])} {self.operand()}"
        if kind == 4:
            return f"{random.pick(['attribute_exists', 'attribute_not_exists'])}({self.path()})"
        if kind == 5:
            return f"begins_with({self.path()}, {self.value(S(random.pick(STRINGS)))})"
        if kind == 6:
            return f"contains({self.path()}, {self.value(random.scalar())})"
        if kind == 7:
            return f"attribute_type({self.path()}, {self.value(S(random.pick(['S', 'N', 'B', 'BOOL', 'NULL', 'L', 'M', 'SS', 'NS', 'BS'])))})"
        if kind == 8:
            if random.chance(0.5):
                low, high = sorted(random.choice.sample(["0", "1", "2", "7", "10"], 2), key=int)
                return f"{self.path()} BETWEEN {self.value(N(low))} AND {self.value(N(high))}"
            return f"{self.path()} IN ({', '.join(self.value(random.scalar()) for _ in range(random.choice.randint(1, 4)))})"
        if kind == 9:
            return f"NOT {self.condition(depth - 1)}"
        if kind == 10:
            return f"({self.condition(depth - 1)} AND {self.condition(depth - 1)})"
        return f"{self.condition(depth - 1)} {random.pick(['AND', 'OR'])} {self.condition(depth - 1)}"

    def update(self):
        """An update of one to three actions."""
        random, sections = self.random, {}
        for _ in range(random.choice.randint(1, 3)):
            kind = random.choice.randrange(9)
            if kind < 2:
                sections.setdefault("SET", []).append(f"{self.path(True)} = {self.value()}")
            elif kind == 2:
                sections.setdefault("SET",
                    []).append(f"{self.path(True)} = {self.path(True)} {random.pick('+-')} {self.value(N(random.pick(NUMBERS)))}")
            elif kind == 3:
                sections.setdefault("SET", []).append(f"{self.path(True)} = if_not_exists({self.path(True)}, {self.value()})")
            elif kind == 4:
                sections.setdefault("SET",
                    []).append(f"{self.path(True)} = list_append({self.path(True)}, {self.value(L(random.scalar()))})")
            elif kind < 7:
                sections.setdefault("REMOVE", []).append(self.path(True))
            elif kind == 7:
                sections.setdefault("ADD",
                    []).append(f"{self.path(True)} {self.value(N(random.pick(NUMBERS)) if random.chance(0.5) else random.set())}")
            else:
                sections.setdefault("DELETE", []).append(f"{self.path(True)} {self.value(random.set())}")
        return " ".join(f"{name} {', '.join(parts)}" for name, parts in sections.items())

    def members(self):
        """ExpressionAttributeNames and -Values."""
        found = {}
        if self.names:
            found["ExpressionAttributeNames"] = self.names
        if self.values:
            found["ExpressionAttributeValues"] = self.values
        return found


def conditions_and_filters(seed):
    """Generated conditions on generated items, as conditions of writes and as filters."""
    random = Random(seed)
    table = f"Generated{seed}"
    yield create(table)
    for n in range(12):
        yield put(table, {"pk": S(f"i{n}"), **random.attributes()})
    for _ in range(120):
        made = Expression(random)
        text = made.condition()
        yield Step("Scan", {"TableName": table, "FilterExpression": text, "ProjectionExpression": "pk", **made.members()}, unordered=True)
        key = {"pk": S(f"i{random.choice.randrange(14)}")}
        yield put(table, {**key, **random.attributes()}, ConditionExpression=text, ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **made.members())
    yield scan(table)
    yield drop(table)


def updates(seed):
    """Generated updates of generated items with each kind of return value."""
    random = Random(seed)
    table = f"Generated{seed}"
    yield create(table)
    for _ in range(200):
        key = {"pk": S(f"i{random.choice.randrange(4)}")}
        if random.chance(0.5):
            yield put(table, {**key, **random.attributes()})
        made = Expression(random)
        text = made.update()
        more = {"ConditionExpression": made.condition(1)} if random.chance(0.1) else {}
        yield Step("UpdateItem", {"TableName": table, "Key": key, "UpdateExpression": text,
            "ReturnValues": random.pick(["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"]), **more, **made.members()})
        yield get(table, key)
    yield scan(table)
    yield drop(table)


def a_life(seed):
    """A table with indexes lived through: writes, deletes, batches, queries on everything, in random order."""
    random = Random(seed)
    table = f"Generated{seed}"
    yield create(table, "pk:S sk:N", lsi=[("Local", "pk:S a:N", "ALL")], gsi=[("World", "b:S a:N", "ALL"), ("Keys", "b:S", "KEYS_ONLY")])

    def key():
        return {"pk": S(random.pick("pqr")), "sk": N(random.pick(["0", "1", "2", "2.5", "-3", "10"]))}

    def item():
        found = {**key(), **{name: value for name, value in random.attributes().items() if name not in "ab"}}
        if random.chance(0.8):
            found["a"] = N(random.pick(NUMBERS))
        if random.chance(0.8):
            found["b"] = S(random.pick(["x", "y"]))
        return found

    for _ in range(150):
        kind = random.choice.randrange(12)
        if kind < 4:
            yield put(table, item(), ReturnValues=random.pick(["NONE", "ALL_OLD"]))
        elif kind == 4:
            yield delete(table, key(), ReturnValues="ALL_OLD")
        elif kind == 5:
            batch = {str(sorted(found["pk"].items()) + sorted(found["sk"].items())): found for found in (item() for _ in range(5))}
            yield Step("BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": found}} for found in batch.values()]}})
        elif kind == 6:
            wanted = {str(found): found for found in (key() for _ in range(4))}
            yield Step("BatchGetItem", {"RequestItems": {table: {"Keys": list(wanted.values())}}}, unordered=True)
        elif kind == 7:
            change = random.pick(["SET a = :n", "REMOVE a", "SET b = :s", "REMOVE b", "ADD a :n", "SET a = :n, b = :s"])
            values = {name: value for name, value in {":n": N(random.pick(NUMBERS)),
                ":s": S(random.pick(["x", "y"]))}.items() if name in change}
            yield update(table, key(), change, None, values or None, ReturnValues="ALL_NEW")
        else:
            index, hash_name, hash_value, range_name = random.pick([(None, "pk", random.pick("pqr"), "sk"),
                ("Local", "pk", random.pick("pqr"), "a"), ("World", "b", random.pick("xy"), "a"), ("Keys", "b", random.pick("xy"), None)])
            text, values = f"{hash_name} = :h", {":h": S(hash_value)}
            if range_name and random.chance(0.6):
                operator = random.pick(["=", "<", "<=", ">", ">=", "BETWEEN"])
                low, high = sorted(random.choice.sample(["-3", "0", "1", "2", "10"], 2), key=int)
                text += f" AND {range_name} BETWEEN :l AND :k" if operator == "BETWEEN" else f" AND {range_name} {operator} :l"
                values.update({":l": N(low), **({":k": N(high)} if operator == "BETWEEN" else {})})
            more = {"IndexName": index} if index else {}
            # Entries of equal index keys have no promised order.
            yield query(table, text, None, values, unordered=index is not None, ScanIndexForward=random.chance(0.5), **more)
    yield scan(table)
    yield scan(table, IndexName="Local")
    yield scan(table, IndexName="World")
    yield scan(table, IndexName="Keys")
    yield drop(table)


def register():
    """Registers several scenarios of each kind under their own seeds."""
    for kind, count in ((conditions_and_filters, 6), (updates, 6), (a_life, 6)):
        for at in range(count):
            seed = f"{kind.__name__}{at}"

            def one(kind=kind, seed=seed):
                return kind(seed)

            one.__name__, one.__doc__, one.__module__ = seed, kind.__doc__, __name__
            scenario(one)


register()
