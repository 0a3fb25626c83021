"""Accepted differences in answers that succeed, and in what every answer carries."""

import json
import re
from decimal import Context, Decimal

from ..compare import arranged
from .registry import difference, with_body, refusal, asked, ENVELOPE


@difference("Every answer carries `x-amz-crc32`; DynamoDB Local leaves it out of errors.", "AWS SDKs check it where it is there")
def checksum_of_errors(step, ours, theirs):
    if refusal(theirs) and ours.get("checksum holds") and not theirs.get("checksum holds"):
        return {**theirs, "checksum holds": True}
    return None


@difference(
    "Errors of validation carry `message`; DynamoDB Local writes `Message`.",
    "answers of the real service recorded by public conformance work, 2026",
)
def member_message(step, ours, theirs):
    body = refusal(theirs)
    if "Message" in body and "message" in refusal(ours):
        return with_body(theirs, Message=None, message=body["Message"])
    return None


@difference(
    "PutItem, UpdateItem and DeleteItem announce what they refuse before they look at the table.",
    "captures of 33 regions by dynamodb-conformance, September 2026",
)
def envelope(step, ours, theirs):
    said = refusal(theirs).get("message")
    if said and step.operation in ("PutItem", "UpdateItem", "DeleteItem") and refusal(ours).get("message") == ENVELOPE + said:
        return with_body(theirs, message=ENVELOPE + said)
    return None


# --- bodies of success --------------------------------------------------------------------------------------------


def plain(text):
    """A number as DynamoDB tells it: no exponent, no zeros that say nothing."""
    number = Decimal(text).normalize(Context(prec=60))
    return format(number, "f") if number else "0"


def rewritten(value, change):
    """A JSON value with `change` applied to every object, from the inside out."""
    if isinstance(value, dict):
        return change({name: rewritten(inner, change) for name, inner in value.items()})
    if isinstance(value, list):
        return [rewritten(inner, change) for inner in value]
    return value


@difference("Numbers are told in one form at every depth; DynamoDB Local keeps the sender's inside lists, maps and sets.",
    "Naming rules and data types: numbers")
def text_of_numbers(step, ours, theirs):
    def change(value):
        if len(value) == 1 and isinstance(value.get("N"), str):
            return {"N": plain(value["N"])}
        if len(value) == 1 and isinstance(value.get("NS"), list):
            return {"NS": sorted((plain(text) for text in value["NS"]), key=json.dumps)}
        return value

    try:
        body = rewritten(theirs.get("body"), change)
    except ArithmeticError:
        return None
    if body == theirs.get("body"):
        return None
    return {**theirs, "body": arranged(body) if step.unordered else body}


def description(answer):
    """The member of a body that describes a table."""
    body = answer.get("body")
    return next((name for name in ("TableDescription", "Table") if isinstance(body, dict) and name in body), None)


def described(answer, change):
    """An answer with its table description changed."""
    name = description(answer)
    if name is None:
        return None
    table = change(dict(answer["body"][name]))
    return with_body(answer, **{name: table}) if table != answer["body"][name] else None


@difference("A table has a TableId; DynamoDB Local has none.", "API reference: TableDescription")
def table_id(step, ours, theirs):
    return described(theirs, lambda table: {**table, "TableId": "an identifier"})


@difference("Throughput that was never changed has no moments of change; DynamoDB Local tells the epoch.",
    "API reference: ProvisionedThroughputDescription")
def moments_at_the_epoch(step, ours, theirs):
    def change(value):
        return {name: inner for name, inner in value.items() if not (name in ("LastIncreaseDateTime",
            "LastDecreaseDateTime") and inner == 0)}

    return described(theirs, lambda table: rewritten(table, change))


@difference("The answer to CreateTable does not yet say when the billing mode was chosen, and indexes are still being created.",
    "dynalite's measurements of the real service")
def at_the_moment_of_creation(step, ours, theirs):
    def change(value):
        value = {name: inner for name, inner in value.items() if name != "LastUpdateToPayPerRequestDateTime"}
        return {**value, **{status: "CREATING" for status in ("TableStatus", "IndexStatus") if value.get(status) == "ACTIVE"}}

    return described(theirs, lambda table: rewritten(table, change)) if step.operation == "CreateTable" else None


@difference("The answer to DeleteTable no longer tells keys, indexes and creation.", "dynalite's measurements of the real service")
def at_the_moment_of_deletion(step, ours, theirs):
    gone = ("AttributeDefinitions", "KeySchema", "CreationDateTime", "LocalSecondaryIndexes", "GlobalSecondaryIndexes")

    def change(table):
        return {**{name: value for name, value in table.items() if name not in gone}, "TableStatus": "DELETING"}

    return described(theirs, change) if step.operation == "DeleteTable" else None


@difference("Throughput of an index counts its decreases as that of a table does.", "API reference: ProvisionedThroughputDescription")
def decreases_of_indexes(step, ours, theirs):
    def change(value):
        if "ReadCapacityUnits" in value and "WriteCapacityUnits" in value:
            return {"NumberOfDecreasesToday": 0, **value}
        return value

    return described(theirs, lambda table: rewritten(table, change))


@difference("A change of throughput or billing mode is still under way when UpdateTable answers, and leaves its moment.",
    "API reference: UpdateTable, TableStatus; ProvisionedThroughputDescription")
def a_change_under_way(step, ours, theirs):
    name = description(ours)
    if name is None or description(theirs) != name:
        return None
    mine, change = ours["body"][name], {}
    if step.operation == "UpdateTable" and mine.get("TableStatus") == "UPDATING" and theirs["body"][name].get("TableStatus") == "ACTIVE":
        change["TableStatus"] = "UPDATING"
    throughput = theirs["body"][name].get("ProvisionedThroughput", {})
    if change:
        # The answer still describes the throughput that is being changed.
        before = {unit: mine["ProvisionedThroughput"][unit] for unit in ("ReadCapacityUnits", "WriteCapacityUnits")}
        throughput = {**throughput, **before}
    for moment in ("LastIncreaseDateTime", "LastDecreaseDateTime"):
        if mine.get("ProvisionedThroughput", {}).get(moment) == "a moment" and moment not in throughput:
            throughput = {**throughput, moment: "a moment"}
    summary = theirs["body"][name].get("BillingModeSummary")
    if change and summary:
        change["BillingModeSummary"] = {part: value for part, value in summary.items() if part in mine.get("BillingModeSummary", summary)}
    return described(theirs, lambda table: {**table, **change, "ProvisionedThroughput": throughput})


@difference("Tables and indexes describe their warm throughput, which is newer than DynamoDB Local 1.25.",
    "API reference: TableWarmThroughputDescription")
def warm_throughput(step, ours, theirs):
    name = description(ours)
    if name is None or description(theirs) != name or "WarmThroughput" not in ours["body"][name]:
        return None
    told = ours["body"][name]["WarmThroughput"]
    if set(told) != {"ReadUnitsPerSecond", "WriteUnitsPerSecond", "Status"} or told["Status"] not in ("ACTIVE", "UPDATING"):
        return None
    indexes = {index["IndexName"]: index.get("WarmThroughput") for index in ours["body"][name].get("GlobalSecondaryIndexes", [])}

    def change(value):
        index = indexes.get(value.get("IndexName"))
        return {**value, "WarmThroughput": index} if "IndexStatus" in value and index else value

    return described(theirs, lambda table: {**rewritten(table, change), "WarmThroughput": told})


@difference("An index describes the bytes that it holds; DynamoDB Local those of whole items.", "API reference: IndexSizeBytes")
def bytes_of_indexes(step, ours, theirs):
    name = description(ours)
    if name is None or description(theirs) != name:
        return None
    sizes = {index["IndexName"]: index.get("IndexSizeBytes") for kind in ("LocalSecondaryIndexes",
        "GlobalSecondaryIndexes") for index in ours["body"][name].get(kind, [])}

    def change(value):
        size = sizes.get(value.get("IndexName"))
        return {**value, "IndexSizeBytes": size} if size is not None and value.get("IndexSizeBytes", -1) >= size else value

    return described(theirs, lambda table: rewritten(table, change))


@difference("Capacity is told only where it was asked for; DynamoDB Local tells it unasked when a delete finds nothing.",
    "API reference: DeleteItem")
def unasked_capacity(step, ours, theirs):
    body = theirs.get("body")
    if step.operation == "DeleteItem" and "ReturnConsumedCapacity" not in asked(step) and isinstance(body,
        dict) and "ConsumedCapacity" in body:
        return with_body(theirs, ConsumedCapacity=None)
    return None


@difference("A table with a local index tells item collection metrics when asked; DynamoDB Local never does.",
    "API reference: ReturnItemCollectionMetrics")
def collection_metrics(step, ours, theirs):
    wanted = asked(step).get("ReturnItemCollectionMetrics") == "SIZE"
    body = ours.get("body")
    if not wanted or not isinstance(body, dict) or "ItemCollectionMetrics" not in body or theirs.get("status") != 200:
        return None
    told = body["ItemCollectionMetrics"]
    groups = [told] if "ItemCollectionKey" in told else [group for table in told.values() for group in table]
    if all(set(group) == {"ItemCollectionKey", "SizeEstimateRangeGB"} and group["SizeEstimateRangeGB"] == [0.0, 1.0] for group in groups):
        return with_body(theirs, ItemCollectionMetrics=told)
    return None


def is_part(part, whole):
    """Whether a value is a fragment of another: members of maps, elements of lists in their order."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and is_part(value, whole[name]) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        rest = iter(whole)
        return all(any(is_part(value, other) for other in rest) for value in part)
    return part == whole


@difference("UPDATED_OLD and UPDATED_NEW return only what the paths of the update name; DynamoDB Local the whole attribute.",
    "ScyllaDB's tests that run against the real service; dynoxide issue 36")
def fragments_of_updates(step, ours, theirs):
    if step.operation != "UpdateItem" or asked(step).get("ReturnValues") not in ("UPDATED_OLD",
        "UPDATED_NEW") or theirs.get("status") != 200:
        return None
    if not re.search(r"[.\[]", asked(step).get("UpdateExpression", "")):
        return None
    part = ours["body"].get("Attributes", {}) if isinstance(ours.get("body"), dict) else None
    if part is not None and is_part(part, theirs["body"].get("Attributes", {})):
        return with_body(theirs, Attributes=part or None)
    return None


@difference("A query or scan that finds nothing costs the minimum of its kind of read.", "API reference: Query")
def capacity_of_nothing(step, ours, theirs):
    body = theirs.get("body")
    if step.operation not in ("Query", "Scan") or not isinstance(body,
        dict) or body.get("ScannedCount") != 0 or "ConsumedCapacity" not in body:
        return None
    least = 1.0 if asked(step).get("ConsistentRead") else 0.5
    told = dict(body["ConsumedCapacity"])
    if told["CapacityUnits"] != 0:
        return None
    told["CapacityUnits"] = least
    index = asked(step).get("IndexName")
    if "Table" in told and index is None:
        told["Table"] = {"CapacityUnits": least}
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        if index is not None and index in told.get(kind, {}):
            told[kind] = {index: {"CapacityUnits": least}}
    return with_body(theirs, ConsumedCapacity=told)


def capacities(answer):
    """The entries of a batch's ConsumedCapacity by table."""
    body = answer.get("body")
    told = body.get("ConsumedCapacity") if isinstance(body, dict) else None
    return {entry["TableName"]: entry for entry in told} if isinstance(told, list) else {}


def with_more_capacity(answer, more):
    """An answer of a batch with units added by table."""
    told = []
    for name, entry in capacities(answer).items():
        entry = {**entry, "CapacityUnits": entry["CapacityUnits"] + more.get(name, 0)}
        if "Table" in entry:
            entry["Table"] = {"CapacityUnits": entry["Table"]["CapacityUnits"] + more.get(name, 0)}
        told.append(entry)
    return with_body(answer, ConsumedCapacity=told)


@difference("A key that is not found costs the minimum of its kind of read in BatchGetItem.", "API reference: BatchGetItem")
def capacity_of_missing_keys(step, ours, theirs):
    if step.operation != "BatchGetItem" or not capacities(theirs):
        return None
    more = {}
    for name, wanted in asked(step)["RequestItems"].items():
        missing = len(wanted["Keys"]) - len(theirs["body"]["Responses"].get(name, []))
        more[name] = missing * (1.0 if wanted.get("ConsistentRead") else 0.5)
    return with_more_capacity(theirs, more) if any(more.values()) else None


@difference(
    "A delete in BatchWriteItem that finds nothing costs one unit; DynamoDB Local counts two.",
    "ScyllaDB's tests that run against the real service"
)
def capacity_of_deletes_in_batches(step, ours, theirs):
    if step.operation != "BatchWriteItem" or not capacities(theirs):
        return None
    more = {}
    for name, requests in asked(step)["RequestItems"].items():
        difference_ = capacities(theirs)[name]["CapacityUnits"] - capacities(ours).get(name, {"CapacityUnits": 0})["CapacityUnits"]
        if 0 < difference_ <= sum("DeleteRequest" in request for request in requests):
            more[name] = -difference_
    return with_more_capacity(theirs, more) if more else None


@difference("A query of a local index fetches nothing when the index holds what is asked for.",
    "Developer guide: Local secondary indexes, fetches")
def capacity_of_needless_fetches(step, ours, theirs):
    body = theirs.get("body")
    if step.operation != "Query" or "IndexName" not in asked(step) or "ProjectionExpression" not in asked(step):
        return None
    if not isinstance(body, dict) or "ConsumedCapacity" not in body:
        return None
    told, fetched = body["ConsumedCapacity"], body["Count"] * (1.0 if asked(step).get("ConsistentRead") else 0.5)
    less = {**told, "CapacityUnits": told["CapacityUnits"] - fetched}
    if "Table" in told:
        less["Table"] = {"CapacityUnits": told["Table"]["CapacityUnits"] - fetched}
    return with_body(theirs, ConsumedCapacity=less)


@difference("A scan of a local index pays for what it fetches from the table, as a query does.",
    "Developer guide: Local secondary indexes, provisioned throughput")
def capacity_of_fetches_in_scans(step, ours, theirs):
    body = theirs.get("body")
    if step.operation != "Scan" or "IndexName" not in asked(step) or asked(step).get("Select") != "ALL_ATTRIBUTES":
        return None
    if not isinstance(body, dict) or "ConsumedCapacity" not in body:
        return None
    fetched = body["Count"] * (1.0 if asked(step).get("ConsistentRead") else 0.5)
    told = body["ConsumedCapacity"]
    more = {**told, "CapacityUnits": told["CapacityUnits"] + fetched}
    if "Table" in told:
        more["Table"] = {"CapacityUnits": fetched}
    return with_body(theirs, ConsumedCapacity=more)


@difference(
    "The filter of a scan of an index sees what the index holds; DynamoDB Local's sees the whole item, and refuses the same filter in a query.",
    "Developer guide: an index contains only the attributes that it projects",
)
def filters_of_index_scans(step, ours, theirs):
    body, mine = theirs.get("body"), ours.get("body")
    filtered = "FilterExpression" in asked(step) or "ScanFilter" in asked(step)
    if step.operation != "Scan" or "IndexName" not in asked(step) or not filtered or ours.get("status") != 200 or theirs.get("status") != 200:
        return None
    if mine.get("ScannedCount") != body.get("ScannedCount") or mine.get("Count") != len(mine.get("Items", [])):
        return None
    return with_body(theirs, Items=mine["Items"], Count=mine["Count"])
