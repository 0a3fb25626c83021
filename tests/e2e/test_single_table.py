"""A shop in one table: customers, their orders and line items, two global indexes and a local one, 110,000 items.

pk              sk                        gsi1pk          gsi1sk        gsi2pk          gsi2sk      placed
CUSTOMER#c      PROFILE                   EMAIL#…         CUSTOMER#c
CUSTOMER#c      ORDER#o                   STATUS#s        date          CUSTOMER#c      total       date
ORDER#o         LINE#n                                                  PRODUCT#p       quantity

Loaded through BatchWriteItem from several threads, queried, updated, restarted and read back.
"""

import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor

from answers import N, S, every_item, every_page, refusal
from conftest import connect

from differential.scenario import create

CUSTOMERS, ORDERS_EACH, LINES_EACH, PRODUCTS = 2_000, 6, 8, 500
SCALE = float(os.environ.get("PARTITA_TEST_SCALE", "1"))
STATUSES = ("OPEN", "PAID", "SHIPPED", "RETURNED")
THREADS = 8
TABLE = "Shop"


def order_number(customer, at):
    """The number of a customer's order."""
    return f"{customer:05}-{at:02}"


def items(customers):
    """Everything that is loaded."""
    for customer in range(customers):
        pk = f"CUSTOMER#{customer:05}"
        yield {"pk": S(pk), "sk": S("PROFILE"), "gsi1pk": S(f"EMAIL#c{customer}@example.com"), "gsi1sk": S(pk),
            "name": S(f"Customer {customer}"), "address": {"M": {"city": S(f"City {customer % 40}"),
            "lines": {"L": [S("1 Main Street"), S("2nd floor")]}}}, "tags": {"SS": ["new", f"group{customer % 7}"]}}
        for at in range(ORDERS_EACH):
            number, date = order_number(customer, at), f"2026-{customer % 12 + 1:02}-{at + 1:02}"
            total = (customer * 37 + at * 101) % 5000
            yield {"pk": S(pk), "sk": S(f"ORDER#{number}"), "gsi1pk": S(f"STATUS#{STATUSES[(customer + at) % 4]}"),
                "gsi1sk": S(f"{date}#{number}"), "gsi2pk": S(pk), "gsi2sk": N(total), "placed": S(date), "total": N(f"{total}.{at}5")}
            for line in range(LINES_EACH):
                product = (customer * 13 + at * 7 + line) % PRODUCTS
                yield {"pk": S(f"ORDER#{number}"), "sk": S(f"LINE#{line:03}"), "gsi2pk": S(f"PRODUCT#{product:04}"),
                    "gsi2sk": N(line % 5 + 1), "quantity": N(line % 5 + 1), "note": S("x" * 120)}


def load(endpoint, everything):
    """Writes everything in batches of 25 from several threads."""
    def write(batch, client):
        left = {TABLE: [{"PutRequest": {"Item": item}} for item in batch]}
        while left:
            left = client.batch_write_item(RequestItems=left)["UnprocessedItems"]

    clients = [connect(endpoint) for _ in range(THREADS)]
    batches = iter(lambda source=iter(everything): list(itertools.islice(source, 25)), [])
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = set()
        for at, batch in enumerate(batches):
            waiting.add(pool.submit(write, batch, clients[at % THREADS]))
            if len(waiting) >= 64:
                done = {future for future in waiting if future.done()} or {waiting.pop()}
                for future in done:
                    future.result()
                waiting -= done
        for future in waiting:
            future.result()


def read(client, customers):
    """Answers to questions a shop asks; all must be as computed from `items`."""
    customer, pk = customers // 2, f"CUSTOMER#{customers // 2:05}"

    def query(condition, index=None, names=None, **values):
        more = {"IndexName": index} if index else {}
        return every_item(client.query, TableName=TABLE, KeyConditionExpression=condition,
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()}, **more)

    assert len(query("pk = :p", p=S(pk))) == 1 + ORDERS_EACH
    orders = query("pk = :p AND begins_with(sk, :o)", p=S(pk), o=S("ORDER#"))
    assert [order["sk"]["S"] for order in orders] == [f"ORDER#{order_number(customer, at)}" for at in range(ORDERS_EACH)]
    lines = query("pk = :p AND sk BETWEEN :a AND :b", p=S(f"ORDER#{order_number(customer, 3)}"), a=S("LINE#002"), b=S("LINE#005"))
    assert [line["sk"]["S"] for line in lines] == [f"LINE#{n:03}" for n in range(2, 6)]
    assert [found["pk"]["S"] for found in query("gsi1pk = :e", "ByStatus", e=S(f"EMAIL#c{customer}@example.com"))] == [pk]
    placed = query("pk = :p AND placed > :d", "ByDate", p=S(pk), d=S(f"2026-{customer % 12 + 1:02}-03"))
    assert [order["placed"]["S"][-2:] for order in placed] == [f"{day:02}" for day in range(4, ORDERS_EACH + 1)]
    totals = [int(order["gsi2sk"]["N"]) for order in query("gsi2pk = :p AND gsi2sk >= :n", "ByTotal", p=S(pk), n=N(1000))]
    assert totals == sorted(total for total in ((customer * 37 + at * 101) % 5000 for at in range(ORDERS_EACH)) if total >= 1000)


def test_a_shop_of_100_000_items(own_server):
    customers = int(CUSTOMERS * SCALE)
    running = own_server()
    client = connect(running.endpoint)
    client.create_table(**create(TABLE, "pk:S sk:S", lsi=[("ByDate", "pk:S placed:S", "ALL")],
        gsi=[("ByStatus", "gsi1pk:S gsi1sk:S", "ALL"), ("ByTotal", "gsi2pk:S gsi2sk:N", ("quantity", "total"))]).body)
    count = customers * (1 + ORDERS_EACH * (1 + LINES_EACH))
    assert SCALE != 1 or count >= 100_000
    began = time.monotonic()
    load(running.endpoint, items(customers))
    print(f"{count} items loaded in {time.monotonic() - began:.0f} s")
    table = client.describe_table(TableName=TABLE)["Table"]
    assert table["ItemCount"] == count
    read(client, customers)

    # Every order is in the status index exactly once, in order of date, over many pages.
    for status in STATUSES[:2]:
        keys = [item["gsi1sk"]["S"] for item in every_item(client.query, TableName=TABLE, IndexName="ByStatus",
            KeyConditionExpression="gsi1pk = :s", ExpressionAttributeValues={":s": S(f"STATUS#{status}")})]
        assert len(keys) == customers * ORDERS_EACH // 4 and keys == sorted(keys)
    product = every_item(client.query, TableName=TABLE, IndexName="ByTotal", KeyConditionExpression="gsi2pk = :p",
        ExpressionAttributeValues={":p": S("PRODUCT#0007")})
    assert len(product) == sum(1 for item in items(customers) if item.get("gsi2pk") == S("PRODUCT#0007"))
    assert all(set(item) == {"pk", "sk", "gsi2pk", "gsi2sk", "quantity"} for item in product)

    # Orders change status: they leave one place of the index and come to another; an old status is refused.
    def ship(customer):
        mine = connect(running.endpoint) if customer == 0 else client
        at = (1 - customer) % 4
        number = order_number(customer, at)
        key = {"pk": S(f"CUSTOMER#{customer:05}"), "sk": S(f"ORDER#{number}")}
        change = {
            "TableName": TABLE, "Key": key,
            "UpdateExpression": "SET gsi1pk = :new, history = list_append(if_not_exists(history, :none), :step) ADD changes :one",
            "ConditionExpression": "gsi1pk = :old",
            "ExpressionAttributeValues": {":new": S("STATUS#DONE"), ":old": S("STATUS#PAID"), ":none": {"L": []},
            ":step": {"L": [S("done")]}, ":one": N(1)},
        }
        mine.update_item(**change)
        assert refusal(mine.update_item, **change)[0] == "ConditionalCheckFailedException"

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(ship, range(200)))
    done = every_item(client.query, TableName=TABLE, IndexName="ByStatus", KeyConditionExpression="gsi1pk = :s",
        ExpressionAttributeValues={":s": S("STATUS#DONE")})
    assert len(done) == 200 and all(item["changes"] == N(1) and item["history"] == {"L": [S("done")]} for item in done)

    # A customer goes, with everything.
    gone = f"CUSTOMER#{customers - 1:05}"
    for item in every_item(client.query, TableName=TABLE, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": S(gone)}):
        client.delete_item(TableName=TABLE, Key={"pk": item["pk"], "sk": item["sk"]})
    count -= 1 + ORDERS_EACH

    running.restart("kill")
    read(client, customers)
    assert client.describe_table(TableName=TABLE)["Table"]["ItemCount"] == count

    def segment(at):
        return sum(page["Count"] for page in every_page(client.scan, TableName=TABLE, Segment=at, TotalSegments=4, Select="COUNT"))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(segment, range(4))) == count
    assert sum(page["Count"] for page in every_page(client.scan, TableName=TABLE, IndexName="ByTotal",
        Select="COUNT")) == count - (customers - 1)
    print(f"all of it in {time.monotonic() - began:.0f} s")
