"""Many items at once over raw HTTP, several times faster than through an SDK."""

import threading

from differential.wire import Wire


def load(endpoint, table, items, threads=3):
    """Puts items in batches of 25 from several connections."""
    items, failures = list(items), []

    def send(mine):
        wire = Wire(endpoint)
        for at in range(0, len(mine), 25):
            requests = [{"PutRequest": {"Item": item}} for item in mine[at : at + 25]]
            answer = wire.call("BatchWriteItem", {"RequestItems": {table: requests}})
            if answer.status != 200 or answer.body["UnprocessedItems"]:
                failures.append(answer.body)
                return
        wire.close()

    share = -(-len(items) // threads)
    workers = [threading.Thread(target=send, args=(items[n * share : (n + 1) * share],)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures[0]


def scan(endpoint, table, **more):
    """All items of a table or an index as they are on the wire."""
    wire, found = Wire(endpoint), []
    request = {"TableName": table, **more}
    while True:
        answer = wire.call("Scan", request)
        assert answer.status == 200, answer.body
        found += answer.body["Items"]
        if "LastEvaluatedKey" not in answer.body:
            wire.close()
            return found
        request["ExclusiveStartKey"] = answer.body["LastEvaluatedKey"]


def count(endpoint, table, **more):
    """How many items a table or an index has."""
    wire, found = Wire(endpoint), 0
    request = {"TableName": table, "Select": "COUNT", **more}
    while True:
        answer = wire.call("Scan", request)
        assert answer.status == 200, answer.body
        found += answer.body["Count"]
        if "LastEvaluatedKey" not in answer.body:
            wire.close()
            return found
        request["ExclusiveStartKey"] = answer.body["LastEvaluatedKey"]
