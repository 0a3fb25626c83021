"""Judges what clients noted against what the nodes hold in the end.

A register is a list of unique ids, so its final value tells the order of all appends; a history is linearizable when no
operation ended before one began that stands before it. Unknown operations end never.
"""

import time

from conftest import connect
from e2e.stream_reader import records_of

from .clients import ACCOUNTS, COUNTERS, OPENING, REGISTERS

SETTLE_SECONDS = 60


def check(clients):
    """What is wrong, in lines."""
    nodes = [connect(each, read_timeout=30, retries={"mode": "standard", "max_attempts": 8}) for each in clients.endpoints]
    table = settled(nodes[0])
    found = [f"a client failed: {error!r}" for error in clients.failures]
    for n, node in enumerate(nodes):
        if every(node, "scan", TableName="Cluster", ConsistentRead=True) != table:
            found.append(f"node {n} sees other items than node 0")
    items = {item["pk"]["S"]: item for item in table}
    notes = clients.notes
    for n in range(REGISTERS):
        key = f"register-{n}"
        found += register(key, [each["S"] for each in items[key]["ids"]["L"]], [note for note in notes if note.key == key])
    found += counters(items, notes) + accounts(nodes[0], items, notes) + index(nodes[0], table)
    found += scattered(items, notes) + stream(clients, items)
    return found


def settled(node):
    """Every item, once the node answers again."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            return every(node, "scan", TableName="Cluster", ConsistentRead=True)
        except Exception:  # noqa: BLE001  (whatever it is, for a while)
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def every(node, operation, **request):
    """All items over all pages, in order of their keys."""
    items = [item for page in node.get_paginator(operation).paginate(**request) for item in page["Items"]]
    return sorted(items, key=lambda item: item["pk"]["S"])


def register(key, ids, notes):
    """Appends once each if acknowledged, at most once if unknown, never if refused; and in an order that time allows."""
    found = []
    if len(set(ids)) != len(ids):
        found.append(f"{key}: an append was applied twice")
    appends = {note.id: note for note in notes if note.kind == "append"}
    place = {id: n for n, id in enumerate(ids)}
    for note in appends.values():
        if note.outcome == "yes" and note.id not in place:
            found.append(f"{key}: acknowledged append {note.id} is lost")
        if note.outcome == "no" and note.id in place:
            found.append(f"{key}: refused append {note.id} was applied")
    events = [(2 * place[note.id] + 1, note) for note in appends.values() if note.id in place]
    events += [(2 * note.seen, note) for note in notes if note.kind == "read" and note.outcome == "yes"]
    latest = 0.0
    # Reads of the same length commute, so within one place only what stands before counts.
    for at in sorted({at for at, _ in events}):
        here = [note for where, note in events if where == at]
        for note in here:
            if note.ended < latest:
                found.append(f"{key}: {note.kind} at {at // 2} ended before one that it should have followed began")
        latest = max(latest, *(note.began for note in here))
    return found


def counters(items, notes):
    """Between what was acknowledged, and that and what is unknown."""
    found = []
    for n in range(COUNTERS):
        key = f"counter-{n}"
        told = [note.outcome for note in notes if note.kind == "count" and note.key == key]
        least, most = told.count("yes"), told.count("yes") + told.count("unknown")
        value = int(items.get(key, {}).get("n", {"N": "0"})["N"])
        if not least <= value <= most:
            found.append(f"{key} is {value}, not within {least} and {most}")
    return found


def accounts(node, items, notes):
    """Every transfer once, in the ledger and in both balances; every audit saw all of the money."""
    ledger = {item["pk"]["S"]: item for item in every(node, "scan", TableName="Ledger", ConsistentRead=True)}
    found = []
    balances = [OPENING] * ACCOUNTS
    for item in ledger.values():
        cents = int(item["cents"]["N"])
        balances[int(item["from"]["N"])] -= cents
        balances[int(item["to"]["N"])] += cents
    for n, balance in enumerate(balances):
        held = int(items[f"account-{n:02}"]["balance"]["N"])
        if held != balance:
            found.append(f"account {n} holds {held}, and the ledger says {balance}")
    for note in notes:
        if note.kind == "transfer" and (note.outcome, note.id in ledger) in (("yes", False), ("no", True)):
            found.append(f"transfer {note.id} ended with {note.outcome}, and the ledger says otherwise")
        if note.kind == "audit" and note.seen != OPENING * ACCOUNTS:
            found.append(f"an audit saw {note.seen}")
    return found


def index(node, table):
    """The index holds exactly the items that have its key."""
    expected = [item for item in table if "group" in item]
    if every(node, "scan", TableName="Cluster", IndexName="ByGroup") != expected:
        return ["the index differs from the table"]
    return []


def scattered(items, notes):
    """What each key holds was written by someone, and the last acknowledged write that nothing followed stands."""
    found = []
    for key in {note.key for note in notes if note.kind == "scatter"}:
        mine = [note for note in notes if note.key == key]
        held = items.get(key, {}).get("id", {}).get("S")
        candidates = [note for note in mine if note.outcome != "no" and not any(
            other.outcome == "yes" and note.ended < other.began for other in mine)]
        if held is not None and held not in {note.id for note in candidates}:
            found.append(f"{key} holds {held}, which was overwritten or never written")
        if held is None and candidates and not any(note.seen == "deleted" or note.outcome == "unknown" for note in candidates):
            found.append(f"{key} is gone, and nothing has deleted it since it was written")
    return found


def stream(clients, items):
    """Each key's records lead from one image to the next, from nothing to what it is."""
    streams = connect(clients.endpoints[-1], service="dynamodbstreams", retries={"mode": "standard", "max_attempts": 8})
    last, found = {}, []
    records = records_of(streams, clients.stream)
    for record in records:
        change = record["dynamodb"]
        key = change["Keys"]["pk"]["S"]
        if change.get("OldImage") != last.get(key):
            found.append(f"a record of {key} does not follow the one before it")
        last[key] = change.get("NewImage")
    last = {key: image for key, image in last.items() if image is not None}
    if last != items:
        found.append("the stream does not end at what the table holds")
    print(f"{len(records)} stream records, {len(items)} items")
    return found
