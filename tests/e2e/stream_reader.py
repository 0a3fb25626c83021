"""Reads streams as a consumer does: shard by shard, parents before their children, until nothing more comes."""

import time


def shards_of(streams, arn, **more):
    """All shards of a stream over all pages of its description, by id."""
    found = {}
    while True:
        description = streams.describe_stream(StreamArn=arn, **more)["StreamDescription"]
        found.update((shard["ShardId"], shard) for shard in description["Shards"])
        if "LastEvaluatedShardId" not in description:
            return found
        more["ExclusiveStartShardId"] = description["LastEvaluatedShardId"]


def in_lineage(shards):
    """Shards with every parent before its children."""
    ordered, left = [], dict(shards)
    while left:
        ready = [id for id, shard in left.items() if shard.get("ParentShardId") not in left]
        assert ready, "shards are each other's parents"
        ordered += [left.pop(id) for id in ready]
    return ordered


def iterator(streams, arn, shard, kind="TRIM_HORIZON", **more):
    """A shard iterator."""
    return streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]


def pages(streams, start, limit=1000):
    """The pages from an iterator on, until the shard ends or a page is empty."""
    while start is not None:
        page = streams.get_records(ShardIterator=start, Limit=limit)
        yield page["Records"]
        start = page.get("NextShardIterator")
        if start is not None and not page["Records"]:
            return


def records_of(streams, arn, kind="TRIM_HORIZON", limit=1000, **more):
    """All records of a stream that are there now."""
    return [record for shard in in_lineage(shards_of(streams, arn))
        for page in pages(streams, iterator(streams, arn, shard["ShardId"], kind, **more), limit) for record in page]


def wait_for_records(streams, arn, count, seconds=5):
    """All records once there are at least `count`, and no later than `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = records_of(streams, arn)
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def brief(record):
    """What happened to which item: (event, key, old image, new image), absent images being None."""
    change = record["dynamodb"]
    return record["eventName"], change["Keys"], change.get("OldImage"), change.get("NewImage")
