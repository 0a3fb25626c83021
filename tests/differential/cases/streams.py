"""Streams: the records of the same writes, and the errors of the four operations."""

from ..scenario import Derived, L, M, N, S, Step, create, drop, put, rng, scenario



def ask(operation, body, compared="all"):
    """A request to DynamoDB Streams."""
    return Step(operation, body, headers={"X-Amz-Target": f"DynamoDBStreams_20120810.{operation}"}, compared=compared)


def switch(view):
    """The members that switch a stream on."""
    return {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}}


def arn_of(table):
    """Yields the requests that find a stream's ARN."""
    described = yield Step("DescribeTable", {"TableName": table}, compared="none")
    return described.body["Table"]["LatestStreamArn"]


def records_of(arn):
    """Yields the requests that read a stream; the records by item, without what two servers cannot share."""
    told = yield ask("DescribeStream", {"StreamArn": arn}, "none")
    by_item = {}
    for shard in told.body["StreamDescription"]["Shards"]:
        answer = yield ask("GetShardIterator", {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}, "none")
        at = answer.body["ShardIterator"]
        while at:
            page = yield ask("GetRecords", {"ShardIterator": at}, "none")
            for record in page.body["Records"]:
                change = record["dynamodb"]
                kept = {"eventName": record["eventName"], "members": sorted(record), "eventVersion": record["eventVersion"],
                    "eventSource": record["eventSource"], "changed": sorted(change), "view": change["StreamViewType"],
                    "bytes": change["SizeBytes"], "old": change.get("OldImage"), "new": change.get("NewImage")}
                by_item.setdefault(str(sorted(change["Keys"].items())), []).append(kept)
            at = page.body.get("NextShardIterator") if page.body["Records"] else None
    return by_item


@scenario
def records():
    """Random writes through every operation, for all four view types."""
    for view in ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
        table, choice = f"Streaming-{view}", rng(f"streams.records.{view}")
        yield create(table, "pk:S sk:N", gsi=[("ByG", "g:S", "ALL")], **switch(view))
        arn = yield from arn_of(table)

        def item(key):
            found = {**key, "n": N(choice.randrange(4)), "m": M(x=L(N(choice.randrange(2)), {"NULL": True}), s={"SS": ["a", "b"]})}
            return {**found, "g": S("g")} if choice.random() < 0.3 else found

        def key():
            return {"pk": S(choice.choice("ab")), "sk": N(choice.randrange(4))}

        for _ in range(120):
            kind = choice.randrange(6)
            if kind == 0:
                yield put(table, item(key()))
            elif kind == 1:
                yield Step("DeleteItem", {"TableName": table, "Key": key()}, compared="status")
            elif kind == 2:
                yield Step("UpdateItem", {"TableName": table, "Key": key(), "UpdateExpression": choice.choice(["SET n = :n", "ADD n :n",
                    "SET n = :n REMOVE g", "SET m.x[0] = :n"]), "ExpressionAttributeValues": {":n": N(choice.randrange(3))}},
                    compared="status")
            elif kind == 3:
                yield Step("UpdateItem", {"TableName": table, "Key": key()}, compared="status")
            elif kind == 4:
                keys = {str(one): one for one in (key() for _ in range(3))}.values()
                yield Step("BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": item(one)}} if choice.random() < 0.6 else
                    {"DeleteRequest": {"Key": one}} for one in keys]}}, compared="status")
            else:
                keys = {str(one): one for one in (key() for _ in range(2))}.values()
                yield Step("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": table,
                    "Item": item(one)}} if choice.random() < 0.6
                    else {"Delete": {"TableName": table, "Key": one}} for one in keys]}, compared="status")
        found = yield from records_of(arn)
        yield Derived(f"records of {view}", found)
        yield drop(table)


@scenario
def refusals():
    """Errors of requests that are wrong."""
    yield create("StreamingRefused", **switch("NEW_AND_OLD_IMAGES"))
    arn = yield from arn_of("StreamingRefused")
    for n in range(5):
        yield put("StreamingRefused", {"pk": S("a"), "n": N(n)})
    told = yield ask("DescribeStream", {"StreamArn": arn}, "none")
    shard = told.body["StreamDescription"]["Shards"][0]["ShardId"]
    absent = "shardId-00000000000000000000-00000000"
    for body in ({}, {"TableName": "StreamingRefused", "Limit": 0}, {"Limit": 101}, {"TableName": "NoSuchTable"}):
        yield ask("ListStreams", body, "status")
    for body in ({}, {"StreamArn": "short"}, {"StreamArn": "x" * 40}, {"StreamArn": arn, "Limit": 0}, {"StreamArn": arn, "Limit": 101},
            {"StreamArn": arn, "ExclusiveStartShardId": "x"}):
        yield ask("DescribeStream", body)
    base = {"StreamArn": arn, "ShardId": shard}
    for body in ({}, {"StreamArn": arn}, base, {**base, "ShardIteratorType": "NOWHERE"},
            {**base, "ShardIteratorType": "AT_SEQUENCE_NUMBER"},
            {**base, "ShardIteratorType": "AFTER_SEQUENCE_NUMBER"}, {**base, "ShardIteratorType": "AT_SEQUENCE_NUMBER",
            "SequenceNumber": "1"},
            {**base, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "9" * 41},
            {**base, "ShardIteratorType": "LATEST", "SequenceNumber": "1" * 30},
            {**base, "ShardIteratorType": "TRIM_HORIZON", "SequenceNumber": "1" * 30},
            {"StreamArn": arn, "ShardId": absent, "ShardIteratorType": "LATEST"},
            {"StreamArn": arn, "ShardId": absent, "ShardIteratorType": "TRIM_HORIZON"},
            {"StreamArn": "x" * 40, "ShardId": shard, "ShardIteratorType": "LATEST"}):
        yield ask("GetShardIterator", body)
    answer = yield ask("GetShardIterator", {**base, "ShardIteratorType": "TRIM_HORIZON"}, "none")
    good = answer.body["ShardIterator"]
    for body in ({}, {"ShardIterator": ""}, {"ShardIterator": "x"}, {"ShardIterator": "x" * 2049}, {"ShardIterator": good, "Limit": 0},
            {"ShardIterator": good, "Limit": 1001}):
        yield ask("GetRecords", body, "status")
    for limit in (1, 2, 5, 1000):
        page = yield ask("GetRecords", {"ShardIterator": good, "Limit": limit}, "none")
        yield Derived(f"values of a page of {limit}", [record["dynamodb"]["NewImage"]["n"] for record in page.body["Records"]])
    yield drop("StreamingRefused")


@scenario
def switching():
    """UpdateTable of streams."""
    yield create("StreamingSwitched")
    for specification in ({"StreamEnabled": False}, {"StreamEnabled": True}, {"StreamViewType": "KEYS_ONLY"}, {},
            {"StreamEnabled": False, "StreamViewType": "KEYS_ONLY"}, {"StreamEnabled": True, "StreamViewType": "NOPE"}):
        yield Step("UpdateTable", {"TableName": "StreamingSwitched", "StreamSpecification": specification})
        yield Step("CreateTable", {**create("StreamingElse").body, "StreamSpecification": specification}, compared="status")
        yield Step("DeleteTable", {"TableName": "StreamingElse"}, compared="none")
    yield Step("UpdateTable", {"TableName": "StreamingSwitched", **switch("KEYS_ONLY")}, compared="status")
    for _ in range(50):
        told = yield Step("DescribeTable", {"TableName": "StreamingSwitched"}, compared="none")
        if told.body["Table"]["TableStatus"] == "ACTIVE":
            break
    yield Step("UpdateTable", {"TableName": "StreamingSwitched", **switch("NEW_IMAGE")})
    first = yield from arn_of("StreamingSwitched")
    yield put("StreamingSwitched", {"pk": S("a")})
    yield Step("UpdateTable", {"TableName": "StreamingSwitched", "StreamSpecification": {"StreamEnabled": False}}, compared="status")
    told = yield ask("DescribeStream", {"StreamArn": first}, "none")
    description = told.body["StreamDescription"]
    yield Derived("a stream that was switched off", (description["StreamStatus"], description["StreamViewType"],
        [sorted(shard["SequenceNumberRange"]) for shard in description["Shards"]]))
    found = yield from records_of(first)
    yield Derived("its records", found)
    yield drop("StreamingSwitched")
