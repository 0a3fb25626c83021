"""Accepted differences in transactions and streams."""

from .registry import asked, difference, refusal, with_body

CANCELED = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
INVALID = "com.amazon.coral.validate#ValidationException"
REASONS = "Transaction cancelled, please refer cancellation reasons for specific reasons"


def in_transaction(step):
    """Whether a request is one of the two operations."""
    return step.operation in ("TransactWriteItems", "TransactGetItems")


def canceled(theirs, reasons):
    """The refusal of the whole request turned into a canceled transaction."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    return with_body(theirs, __type=CANCELED, message=None, Message=f"{REASONS} [{codes}]", CancellationReasons=reasons)


def one_reason(ours, theirs, said):
    """Ours, if it is a canceled transaction with exactly one reason other than None, whose message is `said`."""
    reasons = refusal(ours).get("CancellationReasons", [])
    given = [reason for reason in reasons if reason != {"Code": "None"}]
    return canceled(theirs, reasons) if given == [{"Code": "ValidationError", "Message": said}] else None


@difference("The message of a failed condition is the same for all four actions; DynamoDB Local ends that of a ConditionCheck with a full stop.",
    "API reference: TransactionCanceledException")
def full_stop_of_condition_checks(step, ours, theirs):
    reasons = refusal(theirs).get("CancellationReasons")
    if not in_transaction(step) or not reasons:
        return None
    plain = [{**reason,
        "Message": "The conditional request failed"} if reason.get("Message") == "The conditional request failed." else reason
        for reason in reasons]
    return with_body(theirs, CancellationReasons=plain) if plain != reasons else None


@difference("What is wrong with an item only once it is looked at is a reason of a canceled transaction, not a refusal of the request.",
    "API reference: TransactionCanceledException, ValidationError")
def invalid_updates_are_reasons(step, ours, theirs):
    said = refusal(theirs).get("Message")
    return one_reason(ours, theirs, said) if in_transaction(step) and said and refusal(theirs)["__type"] == INVALID else None


@difference("A key that does not match the schema is a reason with the words that single operations have for it.",
    "dynamodb-conformance, TransactGetItems, run against the real service in 2026")
def keys_of_the_wrong_shape(step, ours, theirs):
    if not in_transaction(step):
        return None
    words = ("One or more parameter values were invalid: Type mismatch for key", "The number of conditions on the keys is invalid")
    told = [refusal(theirs).get("Message")] + [reason.get("Message") for reason in refusal(theirs).get("CancellationReasons", [])]
    if not any(text in words for text in told):
        return None
    return one_reason(ours, theirs, "The provided key element does not match the schema")


@difference("A key of the wrong type is named with what was expected.", "answers of the real service to PutItem")
def types_of_keys_in_puts(step, ours, theirs):
    reasons, mine = refusal(theirs).get("CancellationReasons", []), refusal(ours).get("CancellationReasons", [])
    if step.operation != "TransactWriteItems" or len(reasons) != len(mine):
        return None
    beginnings = ("One or more parameter values were invalid: Type mismatch for key",
        "One or more parameter values were invalid: Type mismatch for Index Key")
    told = [our if their.get("Message") in beginnings and our.get("Message", "").startswith(their["Message"] + " ") and
        {**our, "Message": 0} == {**their, "Message": 0} else their for our, their in zip(mine, reasons)]
    return with_body(theirs, CancellationReasons=told) if told != reasons else None


@difference("One item may be the target of one action, a ConditionCheck included; DynamoDB Local lets a ConditionCheck that comes first pass.",
    "API reference: TransactWriteItems")
def one_action_for_an_item(step, ours, theirs):
    words = "Transaction request cannot include multiple operations on one item"
    if step.operation == "TransactWriteItems" and refusal(ours).get("message") == words:
        found = [next(iter(action.values())) for action in asked(step)["TransactItems"]]
        keys = [(each["TableName"], str(each.get("Key") or {"pk": each["Item"]["pk"]})) for each in found]
        if len(set(keys)) < len(keys):
            return {**theirs, "status": 400, "checksum holds": True, "body": {"__type": INVALID, "message": words}}
    return None


@difference("An update that gives an index key the wrong type is refused; DynamoDB Local writes it inside a transaction.",
    "API reference: TransactionCanceledException, ValidationError")
def index_keys_in_transactions(step, ours, theirs):
    reasons = refusal(ours).get("CancellationReasons", [])
    words = "The update expression attempted to update the secondary index key to unsupported type"
    if step.operation == "TransactWriteItems" and theirs.get("status") == 200 and reasons == [{"Code": "ValidationError",
            "Message": words}]:
        return {**theirs, "status": 400, "body": {"__type": CANCELED, "Message": f"{REASONS} [ValidationError]",
            "CancellationReasons": reasons}}
    return None


@difference("A small item costs two write units in a transaction; DynamoDB Local doubles twice.",
    "dynamodb-conformance, TransactWriteItems, run against the real service in 2026")
def units_of_transactions(step, ours, theirs):
    told = theirs.get("body", {}).get("ConsumedCapacity") if isinstance(theirs.get("body"), dict) else None
    if step.operation != "TransactWriteItems" or not told:
        return None

    def halved(value):
        if isinstance(value, dict):
            return {name: inner / 2 if name in ("CapacityUnits", "WriteCapacityUnits") else halved(inner) for name, inner in value.items()}
        return value

    return with_body(theirs, ConsumedCapacity=[halved(entry) if "WriteCapacityUnits" in entry else entry for entry in told])


@difference("The table's part of the costs of a TransactGetItems tells its read units.",
    "dynamodb-conformance, TransactGetItems, run against the real service in 2026")
def read_units_of_the_table(step, ours, theirs):
    told = theirs.get("body", {}).get("ConsumedCapacity") if isinstance(theirs.get("body"), dict) else None
    if step.operation != "TransactGetItems" or not told or "Table" not in told[0]:
        return None
    return with_body(theirs, ConsumedCapacity=[{**entry, "Table": {"ReadCapacityUnits": entry["Table"]["CapacityUnits"], **entry["Table"]}}
        for entry in told])


@difference("A token that was used with another request is refused with words; DynamoDB Local has none.",
    "API reference: IdempotentParameterMismatchException")
def words_for_mismatched_tokens(step, ours, theirs):
    if refusal(theirs).get("__type", "").endswith("IdempotentParameterMismatchException") and refusal(theirs).get("Message") == "":
        return with_body(theirs, Message=refusal(ours).get("Message"))
    return None


@difference("What GetShardIterator does not find it names as DescribeStream does.",
    "logs of applications on the real service: Shard does not exist")
def shards_that_do_not_exist(step, ours, theirs):
    words = {"Shard does not exist": "Requested resource not found: Shard does not exist",
        "Stream does not exist": f"Requested resource not found: Stream: {asked(step).get('StreamArn')} not found"}
    said = refusal(theirs).get("message")
    return with_body(theirs, message=words[said]) if step.operation == "GetShardIterator" and said in words else None


@difference("A canceled transaction has one reason for each member, also where a key attribute is updated; DynamoDB Local ends with that member.",
    "API reference: TransactionCanceledException, CancellationReasons")
def reasons_behind_an_update_of_a_key(step, ours, theirs):
    mine, said = refusal(ours).get("CancellationReasons", []), refusal(theirs).get("CancellationReasons", [])
    members = asked(step).get("TransactItems", [])
    ends_early = 0 < len(said) < len(members) == len(mine) and "Cannot update attribute" in said[-1].get("Message", "")
    if step.operation != "TransactWriteItems" or not ends_early or mine[:len(said)] != said:
        return None
    return ours if all(reason == {"Code": "None"} for reason in mine[len(said):]) else None
