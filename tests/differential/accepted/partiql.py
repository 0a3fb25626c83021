"""Accepted differences in PartiQL."""

import re

from .registry import asked, difference, refusal, with_body

OPERATIONS = ("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction")
MALFORMED = "Statement wasn't well formed, can't be processed"
BROKEN = "com.amazonaws.dynamodb.v20120810#InternalFailure"
INVALID = "com.amazon.coral.validate#ValidationException"


def errors(answer):
    """The errors of the members of a batch, None where a member has none."""
    body = answer.get("body")
    responses = body.get("Responses") if isinstance(body, dict) else None
    return [member.get("Error") for member in responses] if isinstance(responses, list) else []


def with_errors(answer, changed):
    """The answer of a batch with other errors."""
    members = [{**member, "Error": error} if error else member for member, error in zip(answer["body"]["Responses"], changed)]
    return with_body(answer, Responses=members)


@difference("A statement that is not well formed is told with what was expected; DynamoDB Local repeats the statement.",
    "dynamodb-conformance, BatchExecuteStatement, run against the real service in 2026")
def what_is_not_well_formed(step, ours, theirs):
    if step.operation not in OPERATIONS:
        return None
    said, mine = refusal(theirs).get("message", ""), refusal(ours).get("message", "")
    if said.startswith(MALFORMED) and mine.startswith(MALFORMED):
        return with_body(theirs, message=mine)
    changed = [our if our and their and their["Message"].startswith(MALFORMED) and our["Message"].startswith(MALFORMED) and
        our["Code"] == their["Code"] else their for our, their in zip(errors(ours), errors(theirs))]
    return with_errors(theirs, changed) if changed != errors(theirs) else None


@difference("Inserting an item that exists is a DuplicateItemException, also by name, and DuplicateItem inside a transaction.",
    "API reference: ExecuteStatement; BatchStatementError")
def duplicates(step, ours, theirs):
    if refusal(theirs).get("__type", "").endswith("#DuplicateItem"):
        return with_body(theirs, __type=refusal(theirs)["__type"] + "Exception")
    reasons = refusal(theirs).get("CancellationReasons", [])
    told = [{**reason, "Code": "DuplicateItem"} if "Duplicate" in reason.get("Message", "") else reason for reason in reasons]
    if step.operation == "ExecuteTransaction" and told != reasons:
        codes = ", ".join(reason["Code"] for reason in told)
        message = re.sub(r"\[.*\]$", f"[{codes}]", refusal(theirs)["Message"])
        return with_body(theirs, CancellationReasons=told, Message=message)
    return None


@difference("Costs are told for statements, too; DynamoDB Local never tells them.",
    "dynamodb-conformance, ExecuteStatement, run against the real service in 2026")
def costs_of_statements(step, ours, theirs):
    told = ours["body"].get("ConsumedCapacity") if isinstance(ours.get("body"), dict) else None
    wanted = asked(step).get("ReturnConsumedCapacity") in ("TOTAL", "INDEXES")
    if step.operation in OPERATIONS and wanted and told and theirs.get("status") == 200 and "ConsumedCapacity" not in theirs["body"]:
        entries = told if isinstance(told, list) else [told]
        if all(entry["CapacityUnits"] > 0 for entry in entries):
            return with_body(theirs, ConsumedCapacity=told)
    return None


@difference("MODIFIED OLD and MODIFIED NEW return only what the statement names, as UPDATED_OLD and UPDATED_NEW do.",
    "ScyllaDB's tests of UpdateItem that run against the real service")
def fragments_of_statements(step, ours, theirs):
    from .answers import is_part

    statement = str(asked(step).get("Statement", ""))
    if step.operation != "ExecuteStatement" or "RETURNING MODIFIED" not in statement or theirs.get("status") != 200:
        return None
    return with_body(theirs, Items=ours["body"]["Items"]) if is_part(ours.get("body", {}).get("Items"), theirs["body"]["Items"]) else None


@difference("Deleting an item that is not there succeeds, whatever the condition.",
    "Developer guide: PartiQL delete statements for DynamoDB")
def deletes_of_nothing(step, ours, theirs):
    statement = str(asked(step).get("Statement", ""))
    if statement.startswith("DELETE") and "'none'" in statement and refusal(theirs).get("__type",
            "").endswith("ConditionalCheckFailedException"):
        return {**theirs, "status": 200, "body": {"Items": []}}
    return None


@difference("A SELECT in a batch that does not name the primary key is refused in the real service's words.",
    "dynamodb-conformance, BatchExecuteStatement, run against the real service in 2026")
def selects_in_batches(step, ours, theirs):
    words = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
    changed = [error and ({**error,
        "Message": words} if error["Message"] == "Only single item select is supported" else error) for error in errors(theirs)]
    return with_errors(theirs, changed) if changed != errors(theirs) else None


@difference("A member of a batch whose table does not exist is told so in the real service's words.",
    "answers of the real service to single operations")
def missing_tables_in_batches(step, ours, theirs):
    if step.operation != "BatchExecuteStatement":
        return None
    changed = [error and ({**error,
        "Message": "Requested resource not found"} if error["Code"] == "ResourceNotFound" else error) for error in errors(theirs)]
    return with_errors(theirs, changed) if changed != errors(theirs) else None


@difference("The item that made a condition fail is told where it was asked for.", "API reference: BatchStatementError; CancellationReason")
def items_of_failed_statements(step, ours, theirs):
    if "ALL_OLD" not in str(asked(step)):
        return None
    if step.operation == "BatchExecuteStatement":
        changed = [their and {**their, **({"Item": our["Item"]} if our and "Item" in our else {})} for our,
            their in zip(errors(ours), errors(theirs))]
        return with_errors(theirs, changed) if changed != errors(theirs) else None
    reasons, mine = refusal(theirs).get("CancellationReasons", []), refusal(ours).get("CancellationReasons", [])
    if step.operation == "ExecuteTransaction" and reasons and len(reasons) == len(mine):
        told = [{**their, **({"Item": our["Item"]} if "Item" in our else {})} for our, their in zip(mine, reasons)]
        return with_body(theirs, CancellationReasons=told) if told != reasons else None
    return None


@difference("What is wrong with a statement of a transaction is told with its place, before anything runs.",
    "dynamodb-conformance, ExecuteTransaction, run against the real service in 2026")
def places_in_transactions(step, ours, theirs):
    said, mine = refusal(theirs).get("message", ""), refusal(ours).get("message", "")
    found = re.fullmatch(r"Validation failed in TransactStatements\[\d+\]: (.*)", mine, re.DOTALL)
    if step.operation == "ExecuteTransaction" and found and said in (found[1], f"ValidationError {found[1]}"):
        return with_body(theirs, __type=INVALID, message=mine)
    return None


@difference("A condition failed is told without a full stop.", "API reference: TransactionCanceledException")
def full_stop_of_exists(step, ours, theirs):
    reasons = refusal(theirs).get("CancellationReasons", [])
    plain = [{**reason,
        "Message": "The conditional request failed"} if reason.get("Message") == "The conditional request failed." else reason
        for reason in reasons]
    return with_body(theirs, CancellationReasons=plain) if step.operation == "ExecuteTransaction" and plain != reasons else None


@difference("A token that was used with other statements is refused in the words that TransactWriteItems has.",
    "API reference: IdempotentParameterMismatchException")
def tokens_of_statements(step, ours, theirs):
    both = {refusal(answer).get("__type", "").rsplit("#", 1)[-1] for answer in (ours, theirs)}
    if step.operation == "ExecuteTransaction" and both == {"IdempotentParameterMismatchException"}:
        return with_body(theirs, Message=refusal(ours)["Message"])
    return None


@difference("An update that gives an index key the wrong type is refused; DynamoDB Local writes it by PartiQL.",
    "API reference: TransactionCanceledException, ValidationError")
def index_keys_in_statements(step, ours, theirs):
    words = "The update expression attempted to update the secondary index key to unsupported type"
    if step.operation == "ExecuteStatement" and theirs.get("status") == 200 and refusal(ours).get("message") == words:
        return {**theirs, "status": 400, "body": {"__type": INVALID, "message": words}}
    return None


@difference("Statements that DynamoDB Local breaks on: keys IS MISSING, IN with mixed types, tokens that are none.",
    "DynamoDB Local answers InternalFailure")
def statements_that_break_the_reference(step, ours, theirs):
    if step.operation not in OPERATIONS or refusal(theirs).get("__type") != BROKEN:
        return None
    if ours.get("status") == 200 and re.search(r"\b[ps]k IS (NOT )?MISSING", str(asked(step).get("Statement"))):
        return ours
    return ours if refusal(ours).get("__type") == INVALID else None


@difference("An empty list of parameters does not have the least length of the service model.",
    "service model: PreparedStatementParameters")
def empty_parameters(step, ours, theirs):
    words = "1 validation error detected: Value '[]' at 'parameters' failed to satisfy constraint: Member must have length greater than or equal to 1"
    if step.operation == "ExecuteStatement" and asked(step).get("Parameters") == [] and refusal(ours).get("message") == words:
        return {**theirs, "status": 400, "body": {"__type": INVALID, "message": words}}
    return None


@difference("A keyed read of an index refuses a filter on what the index does not hold, any other read finds the attribute missing; DynamoDB Local filters whole items.",
    "dynamodb-conformance, index qualifiers, run against the real service in 2026")
def filters_of_indexes(step, ours, theirs):
    statement = str(asked(step).get("Statement", ""))
    if step.operation != "ExecuteStatement" or theirs.get("status") != 200 or not re.search(r'"\."(Keys|Some)" WHERE .*\bn = ', statement):
        return None
    keyed = re.search(r"WHERE g = ", statement)
    words = "One or more parameter values were invalid: Secondary index Some does not project one or more filter attributes: [n]"
    return {**theirs, "status": 400, "body": {"__type": INVALID, "message": words}} if keyed else with_body(theirs, Items=[])


@difference("An index that does not exist is not named, and strong reads of a global index are refused in words of their own.",
    "dynamodb-conformance, index qualifiers, run against the real service in 2026")
def words_for_indexes(step, ours, theirs):
    said = refusal(theirs).get("message", "")
    if step.operation != "ExecuteStatement":
        return None
    if said.startswith("The table does not have the specified index: "):
        return with_body(theirs, message="The table does not have the specified index")
    if said.startswith("Consistent read cannot be true when "):
        return with_body(theirs, message="Strongly consistent read is not supported on Global Secondary Indexes")
    return None


UNMEASURED = ("Unrecognized function", "Empty bags are not supported", "Unpivot path component", "DynamoDB only supports precision", "Number overflow.",
    "Invalid operation. Only select, insert, update and delete")


@difference("What is wrong is told in other words, with or without a place in the text; the real service's own are not known for these.",
    "none: the words of both are unmeasured")
def unmeasured_words(step, ours, theirs):
    if step.operation not in OPERATIONS:
        return None
    said, mine = refusal(theirs).get("message", ""), refusal(ours).get("message", "")
    if mine and said.startswith(UNMEASURED) and refusal(ours).get("__type") == INVALID:
        return with_body(theirs, message=mine)
    changed = [{**their, "Message": our["Message"]} if our and their and their["Message"].startswith(UNMEASURED) else their
        for our, their in zip(errors(ours), errors(theirs))]
    return with_errors(theirs, changed) if changed != errors(theirs) else None


TYPES = re.compile(r"Key attribute's data type should match its data type in table's schema: Key \w+"
    r"|One or more parameter values were invalid: Condition parameter type does not match schema type")


@difference("A condition on a key attribute that compares it with another type is refused; DynamoDB Local has other words, or finds nothing.",
    "none: what the real service says is unmeasured")
def types_of_keys_in_statements(step, ours, theirs):
    mine = refusal(ours).get("message", "")
    if step.operation != "ExecuteStatement" or not TYPES.fullmatch(mine):
        return None
    finds_nothing = theirs.get("status") == 200 and theirs["body"].get("Items") == []
    return ours if finds_nothing or TYPES.fullmatch(refusal(theirs).get("message", "")) else None


@difference("A member behind a list element is named by its last step; DynamoDB Local names it by the list's element.",
    "none: the real service's name is unmeasured; it is what `SELECT a.b` does")
def names_behind_list_elements(step, ours, theirs):
    statement = str(asked(step).get("Statement", ""))
    both_succeed = ours.get("status") == theirs.get("status") == 200
    return ours if step.operation == "ExecuteStatement" and both_succeed and re.search(r"\[\d+\]\.\w+ FROM", statement) else None
