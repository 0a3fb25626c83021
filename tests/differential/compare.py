"""What two answers must agree on, and where they do not.

`normal` takes out of an answer only what two correct servers cannot share: identifiers, moments, the region and
account of ARNs, and the order of what has none. Everything else, wording included, is compared as it stands.
"""

import json
import re

MOMENTS = {"CreationDateTime", "LastUpdateDateTime", "LastUpdateToPayPerRequestDateTime", "LastIncreaseDateTime", "LastDecreaseDateTime"}
IDENTIFIERS = {"TableId", "LatestStreamLabel", "StreamLabel"}
ARN = re.compile(r"arn:aws:dynamodb:[a-z0-9-]+:(?:\d{12}|ddblocal):")
STREAM = re.compile(r"/stream/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+")
TYPES = re.compile(r"operand type: \{([A-Z,]+)\}")
NAMED_LISTS = {"LocalSecondaryIndexes": "IndexName", "GlobalSecondaryIndexes": "IndexName", "AttributeDefinitions": "AttributeName",
    "ConsumedCapacity": "TableName", "Tags": "Key"}


def normal(step, answer):
    """The comparable form of an answer: status, body, and whether its headers are as they must be."""
    if step.compared == "none":
        return {}
    if step.compared == "status" and answer.status == 200:
        return {"status": answer.status}
    body = answer.body
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    return {
        "status": answer.status,
        "content type": answer.headers.get("content-type"),
        "checksum holds": answer.crc_holds,
        "body": arranged(walk(body)) if step.unordered else walk(body),
    }


def arranged(body):
    """A body with its lists of items and keys in an order of our own; lists inside items keep theirs."""
    if not isinstance(body, dict):
        return body
    found = {}
    for name, value in body.items():
        if name == "Items" and isinstance(value, list):
            value = sorted(value, key=key)
        elif name == "Responses" and isinstance(value, dict):
            value = {table: sorted(items, key=key) for table, items in value.items()}
        elif name == "UnprocessedKeys" and isinstance(value, dict):
            value = {table: {**asked, "Keys": sorted(asked["Keys"], key=key)} for table, asked in value.items()}
        found[name] = value
    return found


def key(value):
    """Something to sort any JSON value by."""
    return json.dumps(value, sort_keys=True)


def walk(value, name=None):
    """A body without what may differ."""
    if isinstance(value, dict):
        if len(value) == 1:
            (kind, content), = value.items()
            if kind in ("SS", "NS", "BS") and isinstance(content, list):
                return {kind: sorted(content, key=key)}
        found = {k: walk(v, k) for k, v in value.items()}
        return found
    if isinstance(value, list):
        found = [walk(v) for v in value]
        if name in NAMED_LISTS and all(isinstance(v, dict) for v in found):
            return sorted(found, key=lambda v: str(v.get(NAMED_LISTS[name])))
        if name == "NonKeyAttributes":
            return sorted(found, key=key)
        return found
    if name in MOMENTS and isinstance(value, (int, float)):
        return "a moment" if value > 0 else value
    if name in IDENTIFIERS and isinstance(value, str):
        return "an identifier"
    if isinstance(value, str):
        value = STREAM.sub("/stream/…", ARN.sub("arn:aws:dynamodb:REGION:ACCOUNT:", value))
        return TYPES.sub(lambda found: "operand type: {" + ",".join(sorted(found[1].split(","))) + "}", value)
    return value


def differences(ours, theirs, path=""):
    """Where two normal forms part, one line each."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in theirs:
                yield f"{path}.{name}: only ours has {short(ours[name])}"
            elif name not in ours:
                yield f"{path}.{name}: only theirs has {short(theirs[name])}"
            else:
                yield from differences(ours[name], theirs[name], f"{path}.{name}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, (one, other) in enumerate(zip(ours, theirs)):
            yield from differences(one, other, f"{path}[{at}]")
    elif ours != theirs or type(ours) is not type(theirs):
        yield f"{path}: ours {short(ours)}, theirs {short(theirs)}"


def short(value, width=600):
    """A value on one line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= width else text[: width - 1] + f"… ({len(text)} characters)"
