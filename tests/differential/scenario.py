"""The vocabulary that cases are written in: scenarios, steps, and short forms of the requests they send.

A scenario is a generator function. It yields `Step`s and receives each `Answer`, so that a later request may depend
on an earlier answer (a page's LastEvaluatedKey); it runs once for each server. `Derived` yields a value computed
from several answers, which must then be equal on both sides.
"""

import random
from dataclasses import dataclass, field

SEED = 20260101
SCENARIOS = {}


@dataclass
class Step:
    """One request and how far its two answers must agree.

    `unordered` says that the answer's list of items has no promised order. `compared` is "all", "status" (the status,
    and the body of a refusal) or "none": pages of a scan depend on each server's own hash, so they are only collected
    for a `Derived`.
    """

    operation: str
    body: object
    headers: dict = field(default_factory=dict)
    unordered: bool = False
    compared: str = "all"
    note: str = ""


@dataclass
class Derived:
    """A value computed from earlier answers."""

    label: str
    value: object


def scenario(function):
    """Registers a scenario under `module.function`."""
    name = f"{function.__module__.rsplit('.', 1)[-1]}.{function.__name__}"
    assert name not in SCENARIOS, name
    SCENARIOS[name] = function
    return function


def rng(name):
    """The scenario's own deterministic source of choices."""
    return random.Random(f"{SEED}/{name}")


# --- values -------------------------------------------------------------------------------------------------------

def S(value):
    """A string."""
    return {"S": value}


def N(value):
    """A number, given as text or as a Python number."""
    return {"N": str(value)}


def B(value):
    """A binary, given as base64 text."""
    return {"B": value}


def L(*values):
    """A list."""
    return {"L": list(values)}


def M(**values):
    """A map."""
    return {"M": values}


NULL, TRUE, FALSE = {"NULL": True}, {"BOOL": True}, {"BOOL": False}


# --- requests -----------------------------------------------------------------------------------------------------

def create(table, keys="pk:S", lsi=(), gsi=(), **more):
    """CreateTable. `keys` is like "pk:S sk:N"; an index is (name, keys, projection), projection being "ALL",
    "KEYS_ONLY" or a tuple of included attributes."""
    types = {}

    def schema(text):
        parts = [part.split(":") for part in text.split()]
        for name, kind in parts:
            types[name] = kind
        return [{"AttributeName": name, "KeyType": "HASH" if at == 0 else "RANGE"} for at, (name, _) in enumerate(parts)]

    def index(name, text, projection):
        shape = (
            {"ProjectionType": projection}
            if isinstance(projection, str)
            else {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(projection)}
        )
        return {"IndexName": name, "KeySchema": schema(text), "Projection": shape}

    body = {"TableName": table, "KeySchema": schema(keys), "BillingMode": "PAY_PER_REQUEST"}
    if lsi:
        body["LocalSecondaryIndexes"] = [index(*each) for each in lsi]
    if gsi:
        body["GlobalSecondaryIndexes"] = [index(*each) for each in gsi]
    body["AttributeDefinitions"] = [{"AttributeName": n, "AttributeType": t} for n, t in types.items()]
    body.update(more)
    return Step("CreateTable", body)


def drop(table):
    """DeleteTable."""
    return Step("DeleteTable", {"TableName": table})


def put(table, item, **more):
    """PutItem."""
    return Step("PutItem", {"TableName": table, "Item": item, **more})


def get(table, key, **more):
    """GetItem."""
    return Step("GetItem", {"TableName": table, "Key": key, **more})


def update(table, key, expression=None, names=None, values=None, **more):
    """UpdateItem with an update expression."""
    return Step("UpdateItem", {"TableName": table, "Key": key, **expressed("UpdateExpression", expression, names, values), **more})


def delete(table, key, **more):
    """DeleteItem."""
    return Step("DeleteItem", {"TableName": table, "Key": key, **more})


def query(table, condition=None, names=None, values=None, unordered=False, compared="all", **more):
    """Query with a key condition expression."""
    body = {"TableName": table, **expressed("KeyConditionExpression", condition, names, values), **more}
    return Step("Query", body, unordered=unordered, compared=compared)


def scan(table, filter=None, names=None, values=None, **more):
    """Scan with a filter expression; the order of a scan is each server's own."""
    return Step("Scan", {"TableName": table, **expressed("FilterExpression", filter, names, values), **more}, unordered=True)


def expressed(member, expression, names, values):
    """The members of an expression with its names and values, those that are given."""
    body = {}
    if expression is not None:
        body[member] = expression
    if names is not None:
        body["ExpressionAttributeNames"] = names
    if values is not None:
        body["ExpressionAttributeValues"] = values
    return body
