"""Accepted differences in refusals: other words for the same mistake, mistakes that DynamoDB Local does not see, and their order."""

import json
import re

from .answers import plain
from .registry import ACCEPTED, Difference, difference, with_body, refusal, asked, ENVELOPE


# --- refusals: their words, our words -----------------------------------------------------------------------------


ANY = object()


def words(name, reason, source, *pairs, operations=None):
    """Registers a difference of wording: DynamoDB Local's whole message and ours, each a pattern.

    A pair may name a third pattern that the request's JSON must contain. Types of errors may differ only where a pattern
    begins with its type, `ResourceNotFoundException: …`, or where ANY stands for whatever DynamoDB Local says.
    """
    compiled = [tuple(pattern if pattern is ANY else re.compile(pattern, re.S) for pattern in pair) for pair in pairs]

    def apply(step, ours, theirs):
        mine, other = refusal(ours), refusal(theirs)
        if not mine or not other or (operations and step.operation not in operations):
            return None
        for their_words, our_words, *request in compiled:
            if not spoken(their_words, other) or not spoken(our_words, mine) or not said_by_the_same_kind(their_words, our_words, mine,
                other):
                continue
            if all(pattern.search(json.dumps(step.body)) for pattern in request):
                return {**theirs, "status": ours["status"], "body": ours["body"]}
        return None

    ACCEPTED.append(Difference(name, reason, source, apply))


KIND = re.compile(r"[A-Za-z]+(Exception|Failure): ")


def spoken(pattern, body):
    """Whether a pattern matches the whole of what an error says; the envelope of PutItem and others is left aside."""
    if pattern is ANY:
        return True
    said = str(body.get("message", body.get("Message", ""))).removeprefix(ENVELOPE)
    if KIND.match(pattern.pattern):
        said = f"{body['__type'].split('#')[1]}: {said}"
    return pattern.fullmatch(said) is not None


def said_by_the_same_kind(their_words, our_words, mine, other):
    """Whether both are errors of validation, unless a pattern names its kind."""
    if their_words is ANY or KIND.match(their_words.pattern) or KIND.match(our_words.pattern):
        return True
    return mine["__type"] == other["__type"] == "com.amazon.coral.validate#ValidationException"


ABSENT = "Cannot do operations on a non-existent table"
BAD_NAME = "Invalid table/index name.  Table/index names must be .*"
REAL = "the real service's words, recorded by dynalite (2013 to 2024) and dynamodb-conformance (2026)"
MISFIT = "The provided key element does not match the schema"


@difference("A table that does not exist is said to be so in the real service's words.", REAL)
def missing_table(step, ours, theirs):
    if refusal(theirs).get("message") != ABSENT:
        return None
    named = step.operation in ("DescribeTable", "DeleteTable", "UpdateTable", "DescribeTimeToLive", "UpdateTimeToLive")
    name = asked(step).get("TableName", "").rsplit("/", 1)[-1]
    return with_body(theirs, message="Requested resource not found" + (f": Table: {name} not found" if named else ""))


words(
    "names-of-tables", "Operations on items look for a table of any length of name, and every operation takes ARNs.", REAL,
    (BAD_NAME, "ResourceNotFoundException: Requested resource not found(: Table: .* not found)?"),
)

CONSTRAINT = (
    r"(Value (.*? )?at '[\w.-]+' failed|Failed) to satisfy constraint: (Member must (not be null|have (length|value) (less|greater) than or equal to \d+"
    r"|satisfy enum value set: \[[A-Za-z_, 0-9]+\]|satisfy regular expression pattern: \S+)|Map (value|keys) must satisfy constraint: \[.*?\])"
)
CONSTRAINTS = rf"(\d+ validation errors? detected: )?{CONSTRAINT}(; {CONSTRAINT})*"

words(
    "constraints-of-the-model",
    "Constraints of the service model are collected and reported before anything is looked at; DynamoDB Local checks some of them, one by one, late, in words of its own.",
    REAL,
    (ANY, CONSTRAINTS), (ANY, "The requestItems parameter is required for BatchWriteItem"),
    (ANY, "The parameter 'TableName' is required but was not present in the request"),
    (ANY, "TableName must be at least 3 characters long and at most 255 characters long"),
)


@difference("The same, where DynamoDB Local does not look at a member of the model at all and does what is asked.", REAL)
def constraints_unknown_to_the_reference(step, ours, theirs):
    unchecked = (
        r"returnConsumedCapacity|returnItemCollectionMetrics|select|attributesToGet|provisionedThroughput\.(read|write)CapacityUnits|streamSpecification\.streamEnabled|sSESpecification\.sSEType"
        r"|(local|global)SecondaryIndexes\.\d+\.member\.(indexName|keySchema)|conditionalOperator|returnValuesOnConditionCheckFailure"
        r"|(local|global)SecondaryIndexes\.\d+\.member\.projection\.nonKeyAttributes"
    )
    said = str(refusal(ours).get("message", "")).removeprefix(ENVELOPE)
    if theirs.get("status") == 200 and re.fullmatch(CONSTRAINTS, said, re.S) and re.search(f"at '({unchecked})' failed", said):
        return {**theirs, "status": 400, "body": ours["body"]}
    return None


words(
    "keys-that-do-not-fit", "One sentence for all keys that do not have the attributes and types of the schema.", REAL,
    (r"The number of conditions on the keys is invalid", MISFIT), (r"One of the required keys was not given a value", MISFIT),
    (r"One or more parameter values were invalid: Type mismatch for key", MISFIT),
    (r"Invalid attribute value type", MISFIT), (r"Type mismatch for attribute to update", MISFIT),
    (r"One or more parameter values were invalid: Type mismatch for key",
    r"One or more parameter values were invalid: Type mismatch for key \w+ expected: [SNB] actual: \w+"),
    (r"One of the required keys was not given a value", r"One or more parameter values were invalid: Missing the key \w+ in the item"),
    (r"Invalid attribute value type", r"One or more parameter values were invalid: Type mismatch for key \w+ expected: [SNB] actual: \w+"),
)
words(
    "sizes-of-keys", "Keys that are too long are told apart.", REAL,
    (r"Hash primary key values must be under 2048 bytes, and range primary key values must be under 1024 bytes",
    r"One or more parameter values were invalid: (Size of hashkey has exceeded the maximum size limit of2048 bytes|Aggregated size of all range keys has exceeded the size limit of 1024 bytes)"),
)
words(
    "keys-of-indexes", "A wrong type for the key of an index names key, types and index.", REAL,
    (r"One or more parameter values were invalid: Type mismatch for Index Key",
    r"One or more parameter values were invalid: Type mismatch for Index Key \w+ Expected: [SNB] Actual: \w+ IndexName: \w+"),
    (r"Invalid attribute value type",
    r"One or more parameter values were invalid: Type mismatch for Index Key \w+ Expected: [SNB] Actual: \w+ IndexName: \w+"),
    (r"Invalid attribute value type", r"The update expression attempted to update the secondary index key to unsupported type"),
    (r"Invalid attribute value type", r"Updates on index keys must be of the same data type as the key attribute"),
)
BAD_VALUE = "(One or more parameter values were invalid: Binary sets should not be empty|Empty attribute name)"
CONTAINED = r"ExpressionAttributeValues contains invalid value: {} for key :\w+"
NUMBER, DIGITS = "A value provided cannot be converted into a number", "DynamoDB only supports precision up to 38 digits"
OUR_NUMBER, OUR_DIGITS = r"The parameter cannot be converted to a numeric value(: .*)?", "Attempting to store more than 38 significant digits in a Number"
MAGNITUDE = r"Number (over|under)flow. Attempting to store a number with magnitude (larger|smaller) than supported range"
words(
    "numbers", "Texts that are no numbers, or numbers of too many digits, in the real service's words.", REAL,
    *((theirs, ours) for one, other in ((NUMBER, OUR_NUMBER), (DIGITS, OUR_DIGITS), (DIGITS, MAGNITUDE), (MAGNITUDE, MAGNITUDE),
    (NUMBER, MAGNITUDE), (NUMBER, OUR_DIGITS)) for theirs in (one, CONTAINED.format(one)) for ours in (other, CONTAINED.format(other))),
)
words(
    "sets", "Sets with duplicates or without elements, in the real service's words.", REAL,
    *((theirs, ours) for one, other in (
        (r"(One or more parameter values were invalid: )?Input collection.* contains duplicates\.?",
        r"(One or more parameter values were invalid: )?Input collection.* contains duplicates\.?"),
        (r"One or more parameter values were invalid: An (string|number|binary) set  may not be empty",
        r"One or more parameter values were invalid: (An (string|number) set  may not be empty|Binary sets should not be empty)"),
    ) for theirs in (one, CONTAINED.format(one)) for ours in (other, CONTAINED.format(other))),
)
words(
    "values", "Values without a type, of several types, or too deep, in the real service's words.", REAL,
    *((theirs, ours) for one, other in (
        (r"Supplied AttributeValue .*", r"Supplied AttributeValue .*"), (BAD_VALUE, BAD_VALUE),
        (r"The supplied Item contains a null AttributeValue.*", "Supplied AttributeValue is empty, must contain exactly one of .*"),
        (r"Nesting Levels have exceeded supported limits.*", "Nesting Levels have exceeded supported limits: Attributes in the item .*"),
        (r".*Null attribute value types must have the value of true", ".*Null attribute value types must have the value of true"),
    ) for theirs in (one, CONTAINED.format(one)) for ours in (other, CONTAINED.format(other))),
)
words(
    "missing-elements-of-conditions", "A key condition that lacks a key attribute names it.", REAL,
    (r"Query condition missed key schema element", r"Query condition missed key schema element: \w+"),
)
words(
    "strong-reads-of-global-indexes", "In the real service's words.", REAL,
    (r"Consistent read cannot be true when (querying|scanning) a GSI", "Consistent reads are not supported on global secondary indexes"),
)
START = r"The provided starting key is (invalid|outside query boundaries based on provided conditions).*|Exclusive Start Key .*"
words(
    "start-keys", "Start keys that do not fit, in the real service's words.", REAL,
    (r"Exclusive Start Key must have same size as table's key schema", START), (r"The provided starting key is .*", START),
    (r"Type mismatch for attribute to update", START), (r"One of the required keys was not given a value", START),
    (r"The provided starting key does not match the range key predicate", START),
    (r"The query can return at most one row and cannot be restarted\. .*", START), (r"Invalid attribute value type", START),
    (r"Supplied AttributeValue is empty.*", START),
    (r"Hash primary key values must be under.*", START),
)
words(
    "conditions-of-old", "KeyConditions with operators that no index answers, in the real service's words.", REAL,
    (ANY, "Query key condition not supported", "KeyConditions"),
    (ANY, "Attempted conditional constraint is not an indexable operation", "KeyConditions"),
)


words(
    "size-is-reserved", "SIZE is in the list of reserved words; DynamoDB Local lets it pass as a name.",
    "Developer guide: Reserved words in DynamoDB",
    (ANY, r"Invalid \w+Expression: Attribute name is a reserved keyword; reserved keyword: size", r"\bsize\b"),
)


@difference("The same, where DynamoDB Local goes on.", "Developer guide: Reserved words in DynamoDB")
def size_is_reserved_where_the_reference_goes_on(step, ours, theirs):
    said = str(refusal(ours).get("message", "")).removeprefix(ENVELOPE)
    if theirs.get("status") == 200 and re.fullmatch(r"Invalid \w+Expression: Attribute name is a reserved keyword; reserved keyword: size",
        said):
        return {**theirs, "status": 400, "body": ours["body"]}
    return None


words(
    "sizes-of-expressions", "An expression or a name that is too long is told with its size.", REAL,
    (r"(Invalid \w+Expression: Expression size has exceeded the maximum allowed size;)",
    r"(Invalid \w+Expression: Expression size has exceeded the maximum allowed size;) expression size: \d+"),
    (r"ExpressionAttribute(Names|Values) contains invalid key: The expression attribute map contains a key that is too long;",
    r"ExpressionAttribute(Names|Values) contains invalid key: The expression attribute map contains a key that is too long; size of key: \d+"),
)


@difference("Numbers in messages are told in canonical form.", "as in answers: Naming rules and data types")
def numbers_in_messages(step, ours, theirs):
    said = refusal(theirs).get("message", "")
    told = re.sub(r"\{N:([-+.0-9eE]+)\}", lambda found: "{N:" + plain(found[1]) + "}", said)
    return with_body(theirs, message=told) if told != said else None


KEY_SCHEMA = (
    r"Invalid KeySchema: (Some index key attribute have no definition|The (first|second) KeySchemaElement is not a (HASH|RANGE) key type)|The KeySchema contains multiple key attributes with the same name"
    r"|Both the Hash Key and the Range Key element in the KeySchema have the same name|One or more parameter values were invalid: .*|Attribute Name is duplicated: \w+"
)
words(
    "definitions-of-tables",
    "CreateTable and UpdateTable word what is wrong with keys, attributes, indexes and throughput in the real service's way, and check in its order.",
    REAL,
    (r".*", KEY_SCHEMA), (r".*", r"Invalid table-class parameter provided\. Please try again with a valid table-class value: .*"),
    (r".*", r"The provisioned throughput for the table will not change\..*"),
    (r".*", r"At least one of ProvisionedThroughput.*"), (r".*", r"The Tag (Key|Value) provided is invalid.*"),
    operations=("CreateTable", "UpdateTable"),
)


@difference("The same, where DynamoDB Local takes a definition that the real service refuses.", REAL)
def definitions_unknown_to_the_reference(step, ours, theirs):
    said = str(refusal(ours).get("message", ""))
    if step.operation in ("CreateTable",
        "UpdateTable") and theirs.get("status") == 200 and re.fullmatch(KEY_SCHEMA + r"|The Tag (Key|Value) provided is invalid.*|Invalid table-class parameter provided\..*",
        said,
        re.S):
        return {**theirs, "status": 400, "body": ours["body"]}
    return None


EARLY = (
    r"Invalid \w+Expression: .*|Value provided in ExpressionAttribute(Names|Values) unused in expressions: .*|One or more parameter values were invalid: An string set  may not be empty"
    r"|The parameter cannot be converted to a numeric value.*|The TotalSegments parameter is required.*|The Segment parameter is zero-based.*"
)
LATE = (
    r"The number of conditions on the keys is invalid|One of the required keys was not given a value|One or more parameter values were invalid: Type mismatch for key|Item size has exceeded the maximum allowed size"
    r"|Return values set to invalid value|Exclusive Start Key must have same size as table's key schema|Provided list of item keys contains duplicates|Invalid (Filter|Projection)Expression: Syntax error.*|A value provided cannot be converted into a number"
)
words(
    "order-of-checks", "Of several mistakes the one is told that the real service finds first: values, expressions, keys, conditions.",
    "dynalite's and dynamodb-conformance's tests of the order of validation",
    (LATE, EARLY), (r"Item size has exceeded the maximum allowed size",
    r"One or more parameter values were invalid: Missing the key \w+ in the item"),
    (r"Provided list of item keys contains duplicates", MISFIT),
    (BAD_NAME, r"Can not use both expression and non-expression parameters in the same request: .*"),
    operations=("PutItem", "UpdateItem", "DeleteItem", "GetItem", "Scan", "BatchGetItem", "BatchWriteItem", "Query"),
)
words(
    "names-in-messages", "Messages name what they are about: the index, the table, the segments.", REAL,
    (r"ResourceInUseException: Cannot create preexisting table", r"ResourceInUseException: Table already exists: \w+"),
    (r"ValidationException: Invalid global secondary index name",
    r"ResourceNotFoundException: Requested resource not found: Index \w+ for table \w+"),
    (r"ResourceNotFoundException: Requested resource not found",
    r"ResourceNotFoundException: Requested resource not found: Index \w+ for table \w+"),
    (r"ExpressionAttributeValues can only be specified when using expressions: .* (is|are) null",
    "ExpressionAttributeValues can only be specified when using expressions"),
    (r"(Table has no stream to disable|Table already has an enabled stream)",
    r"(Table has no stream to disable|Table already has an enabled stream): TableName: \w+"),
    (r"If segment is specified, total segment must also be specified",
    "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"),
    (r"If total segments is specified, a particular segment must also be specified for this request",
    "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"),
    (r"Cannot increase provisioned throughput to more than .* units per table",
    r"Given value \d+ for (Read|Write)CapacityUnits is out of bounds"),
)


@difference("An update of nothing with UPDATED_OLD or UPDATED_NEW returns nothing; DynamoDB Local breaks.",
    "ScyllaDB's tests that run against the real service")
def updates_of_nothing(step, ours, theirs):
    if step.operation == "UpdateItem" and theirs.get("status") == 500 and ours.get("body") == {} and asked(step).get("ReturnValues") in ("UPDATED_OLD",
        "UPDATED_NEW"):
        return {**ours, "content type": theirs.get("content type")}
    return None


@difference("Two keys of a batch that are one number in two spellings are duplicates.", "numbers are compared by value")
def duplicates_by_value(step, ours, theirs):
    if step.operation == "BatchGetItem" and theirs.get("status") == 200 and refusal(ours).get("message") == "Provided list of item keys contains duplicates" and '"1.0"' in json.dumps(step.body):
        return {**theirs, "status": 400, "body": ours["body"]}
    return None


@difference("KeyConditions do not mix with expressions either; DynamoDB Local lets them.", REAL)
def mixtures_with_key_conditions(step, ours, theirs):
    if "KeyConditions" in asked(step) and theirs.get("status") == 200 and re.fullmatch(r"Can not use both expression and non-expression parameters in the same request: Non-expression parameters: \{KeyConditions\} Expression parameters: \{\w+\}",
        refusal(ours).get("message", "")):
        return {**theirs, "status": 400, "body": ours["body"]}
    return None


@difference("A start key is checked for its length.", REAL)
def long_start_keys(step, ours, theirs):
    if "ExclusiveStartKey" in asked(step) and theirs.get("status") == 200 and re.fullmatch(r"The provided starting key is invalid: One or more parameter values were invalid: Size of hashkey has exceeded .*",
        refusal(ours).get("message", "")):
        return {**ours}
    return None


@difference("Conditions nested too deep are refused; DynamoDB Local evaluates them in Scan.",
    "measured by public conformance work: refused in the newest regions")
def deep_conditions(step, ours, theirs):
    if step.operation == "Scan" and theirs.get("status") == 200 and "Nesting Levels have exceeded supported limits" in refusal(ours).get("message",
        ""):
        return {**ours}
    return None


@difference("Requests without a credential, or with an odd one, are served: nothing is authenticated on loopback.",
    "the project's own promise")
def credentials(step, ours, theirs):
    if "Authorization" in step.headers and ours.get("status") == 200 and theirs.get("status") in (400, 500):
        return {**ours}
    return None


@difference("A target that names no operation of DynamoDB is unknown, and without any target the answer is a 404 in XML, as the real service's.",
    "dynalite's measurements of the real service")
def targets(step, ours, theirs):
    known = {"__type": "com.amazon.coral.service#UnknownOperationException"}
    if ("X-Amz-Target" in step.headers or step.operation == "") and (ours.get("body") == known or (ours.get("status") == 404 and ours.get("body") == "<UnknownOperationException/>\n")):
        return {**ours}
    return None


@difference("A request in `application/json` is answered in it.", "dynalite's measurements of the real service")
def plain_json(step, ours, theirs):
    if step.headers.get("Content-Type") == "application/json" and ours.get("content type") == "application/json":
        return {**theirs, "content type": "application/json"}
    return None


@difference("A key condition may not be longer than a partition key can be; DynamoDB Local finds nothing.", REAL)
def long_keys_in_conditions(step, ours, theirs):
    said = r"One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"
    if step.operation == "Query" and theirs.get("status") == 200 and re.fullmatch(said, refusal(ours).get("message", "")):
        return {**theirs, "status": 400, "body": ours["body"]}
    return None


@difference("Updates may not write keys of indexes of the wrong type or too long; DynamoDB Local stores them.",
    "what others measured of the real service: rules for keys of global indexes")
def index_keys_in_updates(step, ours, theirs):
    said = refusal(ours).get("message", "")
    mismatch = (
        r"The update expression attempted to update the secondary index key to unsupported type"
        r"|Updates on index keys must be of the same data type as the key attribute"
        r"|One or more parameter values were invalid: (Type mismatch for Index Key|Size).*"
    )
    if step.operation == "UpdateItem" and theirs.get("status") == 200 and re.fullmatch(mismatch, said):
        return {**theirs, "status": 400, "body": ours["body"]}
    return None


@difference("Every operation takes the ARN of a table for its name; DynamoDB Local does not.", "API reference: TableName")
def arns(step, ours, theirs):
    refused = str(refusal(theirs).get("Message", "")).startswith("Invalid table/index name.")
    if ":table/" in str(asked(step).get("TableName")) and ours.get("status") == 200 and refused:
        return {**ours}
    return None


@difference("A content type that DynamoDB does not speak is not answered as one it speaks.", "dynalite's measurements of the real service")
def content_types(step, ours, theirs):
    if "Content-Type" in step.headers and ours.get("status") == 404 and ours.get("body") == "<UnknownOperationException/>\n":
        return {**ours}
    return None


@difference("Operations that are not known, or not built yet, answer with the type of the error alone.",
    "answers of the real service; SDKs and tools probe by this code")
def unknown_operations(step, ours, theirs):
    if refusal(theirs).get("__type",
        "").endswith("#UnknownOperationException") and ours.get("body") == {"__type": "com.amazon.coral.service#UnknownOperationException"}:
        return {**theirs, "body": ours["body"]}
    return None


SERIALIZATION = re.compile(
    r"(NUMBER_VALUE|DECIMAL_VALUE|TRUE_VALUE|FALSE_VALUE|STRING_VALUE|NULL_VALUE) cannot be converted to (String|Boolean|Integer|Long)|Unexpected (field|value) type( in payload)?|Unexpected token received from parser"
    r"|Start of structure or map found where not expected\.?|Unrecognized collection type .*|only base-64-encoded strings are convertible to bytes|Base64 encoded length is expected a multiple of 4 bytes but found: \d+"
    r"|Invalid last non-pad Base64 character dectected|Invalid Base64 character: '.*'|class sun\.reflect\.generics\..*"
)


@difference("What cannot be decoded is a SerializationException in the real service's words; DynamoDB Local breaks, or takes it.", REAL)
def decoding(step, ours, theirs):
    mine = ours.get("body")
    if not isinstance(mine, dict) or mine.get("__type") != "com.amazon.coral.service#SerializationException" or ours.get("status") != 400:
        return None
    if set(mine) == {"__type"} or (set(mine) == {"__type", "Message"} and SERIALIZATION.fullmatch(mine["Message"])):
        return {**ours, "content type": theirs.get("content type")}
    return None


@difference("A string that means true or false is taken for a Boolean, as dynalite measured on the real service; DynamoDB Local breaks.", REAL)
def strings_for_booleans(step, ours, theirs):
    text = step.body.decode() if isinstance(step.body, bytes) else step.body if isinstance(step.body, str) else json.dumps(step.body)
    if theirs.get("status") == 500 and re.search(r'"(BOOL|NULL|Exists|ConsistentRead)": ?"(yes|no)"', text):
        return ours
    return None
