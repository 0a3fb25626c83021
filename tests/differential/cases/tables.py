"""CreateTable, UpdateTable, DeleteTable, ListTables and descriptions: what is accepted, refused and told."""

from ..scenario import N, S, Step, create, drop, put, query, scan, scenario

T = "Tables"
ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/"


def attribute(name, kind="S"):
    """One AttributeDefinition."""
    return {"AttributeName": name, "AttributeType": kind}


def key(name, kind="HASH"):
    """One KeySchemaElement."""
    return {"AttributeName": name, "KeyType": kind}


def index(name, *schema, projection="ALL", **more):
    """One index."""
    return {"IndexName": name, "KeySchema": list(schema), "Projection": {"ProjectionType": projection} if isinstance(projection,
        str) else projection, **more}


UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
BASE = {"TableName": T, "KeySchema": [key("pk")], "AttributeDefinitions": [attribute("pk")], "BillingMode": "PAY_PER_REQUEST"}
RANGED = {**BASE, "KeySchema": [key("pk"), key("sk", "RANGE")], "AttributeDefinitions": [attribute("pk"), attribute("sk")]}
MORE = [attribute("pk"), attribute("sk"), attribute("x")]

# DynamoDB Local remembers the stream of a dropped table by name, so tables with streams have names of their own.
STREAMED = {**BASE, "TableName": "TablesStreamed"}

CREATIONS = [
    {**BASE, "KeySchema": []}, {**BASE, "KeySchema": [key("pk", "RANGE")]}, {**BASE, "KeySchema": [key("pk"), key("pk", "RANGE")]},
    {**BASE, "KeySchema": [key("pk"), key("sk")], "AttributeDefinitions": [attribute("pk"), attribute("sk")]},
    {**BASE, "KeySchema": [key("sk", "RANGE"), key("pk")], "AttributeDefinitions": [attribute("pk"), attribute("sk")]},
    {**BASE, "KeySchema": [key("pk"), key("sk", "RANGE"), key("x", "RANGE")], "AttributeDefinitions": MORE},
    {**BASE, "KeySchema": [key("pk", "X")]}, {**BASE, "KeySchema": [key("")]},
    {**BASE, "KeySchema": [key("a" * 255)], "AttributeDefinitions": [attribute("a" * 255)]},
    {**BASE, "KeySchema": [key("a" * 256)], "AttributeDefinitions": [attribute("a" * 256)]},
    {**BASE, "KeySchema": [{"AttributeName": "pk"}]}, {**BASE, "KeySchema": [{"KeyType": "HASH"}]}, {**BASE, "KeySchema": [{}]},
    {**BASE, "AttributeDefinitions": []}, {**BASE, "AttributeDefinitions": [attribute("other")]},
    {**BASE, "AttributeDefinitions": [attribute("pk"), attribute("sk")]},
    {**BASE, "AttributeDefinitions": [attribute("pk"), attribute("pk")]},
    {**BASE, "AttributeDefinitions": [attribute("pk"), attribute("pk", "N")]}, {**BASE, "AttributeDefinitions": [attribute("pk", "X")]},
    {**BASE, "AttributeDefinitions": [attribute("pk", "SS")]}, {**BASE, "AttributeDefinitions": [attribute("pk", "BOOL")]},
    {**BASE, "AttributeDefinitions": [{"AttributeName": "pk"}]}, {**BASE, "AttributeDefinitions": [{}]},
    {**RANGED, "AttributeDefinitions": [attribute("pk")]}, {**RANGED, "AttributeDefinitions": [attribute("sk")]},
    {k: v for k, v in BASE.items() if k != "AttributeDefinitions"}, {k: v for k, v in BASE.items() if k != "KeySchema"},
    {k: v for k, v in BASE.items() if k != "TableName"},
    {k: v for k, v in BASE.items() if k != "BillingMode"}, {**BASE, "BillingMode": "X"}, {**BASE, "BillingMode": "PROVISIONED"},
    {**BASE, "ProvisionedThroughput": UNITS}, {**BASE, "BillingMode": "PROVISIONED",
    "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}},
    {**BASE, "BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": -1, "WriteCapacityUnits": 1}},
    {**BASE, "BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 1}},
    {**BASE, "BillingMode": "PROVISIONED", "ProvisionedThroughput": {}},
    {**BASE, "BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 10**13, "WriteCapacityUnits": 1}},
    {**BASE, "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}},
    # local indexes
    {**BASE, "LocalSecondaryIndexes": [index("L1", key("pk"), key("x", "RANGE"))],
    "AttributeDefinitions": [attribute("pk"), attribute("x")]}, {**RANGED, "LocalSecondaryIndexes": []},
    {**RANGED, "LocalSecondaryIndexes": [index("L1", key("pk"))]},
    {**RANGED, "LocalSecondaryIndexes": [index("L1", key("x"), key("sk", "RANGE"))], "AttributeDefinitions": MORE},
    {**RANGED, "LocalSecondaryIndexes": [index("L1", key("pk"), key("x", "RANGE"))]},
    {**RANGED, "LocalSecondaryIndexes": [index("L1", key("pk"), key("sk", "RANGE"))]},
    {**RANGED, "LocalSecondaryIndexes": [index("L1", key("pk"), key("pk", "RANGE"))]},
    {**RANGED, "LocalSecondaryIndexes": [index("L1", key("sk"), key("pk", "RANGE"))]},
    {**RANGED, "LocalSecondaryIndexes": [index("L1", key("pk"), key("x", "RANGE")), index("L1", key("pk"), key("x", "RANGE"))],
    "AttributeDefinitions": MORE}, {**RANGED, "LocalSecondaryIndexes": [index("L1", key("pk"), key("x", "RANGE"))] + [index("L1", key("pk"),
    key("x", "RANGE"), projection={})], "AttributeDefinitions": MORE},
    {**RANGED, "LocalSecondaryIndexes": [index(f"L{i}", key("pk"), key("x", "RANGE")) for i in range(6)], "AttributeDefinitions": MORE},
    {**RANGED, "LocalSecondaryIndexes": [index("L", key("pk"), key("x", "RANGE"))], "AttributeDefinitions": MORE},
    {**RANGED, "LocalSecondaryIndexes": [index("L" * 256, key("pk"), key("x", "RANGE"))], "AttributeDefinitions": MORE},
    {**RANGED, "LocalSecondaryIndexes": [{"IndexName": "L1"}], "AttributeDefinitions": MORE}, {**RANGED, "LocalSecondaryIndexes": [{}]},
    {**RANGED, "LocalSecondaryIndexes": [index("L1", key("pk"), key("x", "RANGE"), ProvisionedThroughput=UNITS)],
    "AttributeDefinitions": MORE},
    # projections
    *[{**RANGED, "AttributeDefinitions": MORE, "LocalSecondaryIndexes": [index("Lxx", key("pk"), key("x", "RANGE"),
    projection=projection)]} for projection in [{}, {"ProjectionType": "X"}, {"ProjectionType": "INCLUDE"},
    {"ProjectionType": "INCLUDE", "NonKeyAttributes": []}, {"ProjectionType": "ALL", "NonKeyAttributes": ["a"]},
    {"ProjectionType": "KEYS_ONLY", "NonKeyAttributes": ["a"]}, {"NonKeyAttributes": ["a"]},
    {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "a"]}, {"ProjectionType": "INCLUDE", "NonKeyAttributes": [""]},
    {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a" * 256]},
    {"ProjectionType": "INCLUDE", "NonKeyAttributes": [f"a{i}" for i in range(20)]},
    {"ProjectionType": "INCLUDE", "NonKeyAttributes": [f"a{i}" for i in range(21)]},
    {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["pk", "x", "sk"]}]],
    # global indexes
    {**BASE, "GlobalSecondaryIndexes": []}, {**BASE, "GlobalSecondaryIndexes": [index("Gxx", key("x"))]},
    {**BASE, "GlobalSecondaryIndexes": [index("Gxx", key("x", "RANGE"))], "AttributeDefinitions": [attribute("pk"), attribute("x")]},
    {**BASE, "GlobalSecondaryIndexes": [index("Gxx", key("x"), key("x", "RANGE"))],
    "AttributeDefinitions": [attribute("pk"), attribute("x")]}, {**BASE, "GlobalSecondaryIndexes": [index("Gxx")]},
    {**BASE, "GlobalSecondaryIndexes": [index("Gxx", key("x")), index("Gxx", key("x"))],
    "AttributeDefinitions": [attribute("pk"), attribute("x")]}, {**BASE,
    "GlobalSecondaryIndexes": [index(f"Gxx{i}", key("pk")) for i in range(21)]},
    {**BASE, "GlobalSecondaryIndexes": [index("Gxx", key("pk"), ProvisionedThroughput=UNITS)]},
    {**BASE, "BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS, "GlobalSecondaryIndexes": [index("Gxx", key("pk"))]},
    {**BASE, "BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS,
    "GlobalSecondaryIndexes": [index("Gxx", key("pk"), ProvisionedThroughput={"ReadCapacityUnits": 0, "WriteCapacityUnits": 1})]},
    {**BASE, "GlobalSecondaryIndexes": [{"IndexName": "Gxx"}]}, {**BASE, "GlobalSecondaryIndexes": [index("G", key("pk"))]},
    {**BASE, "GlobalSecondaryIndexes": [index("G x y", key("pk"))]},
    {**RANGED, "AttributeDefinitions": MORE, "LocalSecondaryIndexes": [index("Same", key("pk"), key("x", "RANGE"))],
    "GlobalSecondaryIndexes": [index("Same", key("x"))]}, {**BASE,
    "GlobalSecondaryIndexes": [index(f"Gxx{i}", key("pk"), projection={"ProjectionType": "INCLUDE",
    "NonKeyAttributes": [f"a{i}_{j}" for j in range(20)]}) for i in range(6)]},
    # streams, tags, the rest
    {**STREAMED, "StreamSpecification": {}}, {**STREAMED, "StreamSpecification": {"StreamEnabled": True}},
    {**STREAMED, "StreamSpecification": {"StreamEnabled": False}}, {**BASE,
    "StreamSpecification": {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}},
    {**STREAMED, "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "X"}},
    {**STREAMED, "StreamSpecification": {"StreamViewType": "KEYS_ONLY"}}, {**BASE, "TableClass": "X"},
    {**BASE, "DeletionProtectionEnabled": "X"}, {**BASE, "Tags": [{"Key": "", "Value": "a"}]}, {**BASE, "Tags": [{"Key": "a"}]},
    {**BASE, "Tags": [{"Key": "a" * 129, "Value": "b"}]}, {**BASE, "Tags": [{"Key": "a", "Value": "b" * 257}]},
    {**BASE, "SSESpecification": {"Enabled": True, "SSEType": "X"}}, {**BASE, "TableName": "ab", "KeySchema": [key("pk", "X")]},
    {**BASE, "BillingMode": "X", "KeySchema": [key("pk", "X")], "AttributeDefinitions": [attribute("pk", "X")]},
]


@scenario
def creations():
    """One CreateTable after another, each dropped again where it was created."""
    for body in CREATIONS:
        yield Step("CreateTable", body)
        if "TableName" in body:
            yield Step("DeleteTable", {"TableName": body["TableName"]}, compared="none")


@scenario
def lifecycle():
    """A table from creation to its end, with the errors of coming too late or twice."""
    body = {**BASE, "BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS}
    yield Step("DescribeTable", {"TableName": T})
    yield Step("CreateTable", body)
    yield Step("CreateTable", body)
    yield Step("DescribeTable", {"TableName": T})
    yield Step("DescribeTable", {"TableName": ARN + T})
    for more in [
        {}, {"ProvisionedThroughput": UNITS}, {"ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 5}},
        {"ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 5}}, {"ProvisionedThroughput": {"ReadCapacityUnits": 3}},
        {"BillingMode": "PROVISIONED"}, {"BillingMode": "X"},
        {"BillingMode": "PAY_PER_REQUEST"}, {"BillingMode": "PAY_PER_REQUEST"},
        {"BillingMode": "PAY_PER_REQUEST", "ProvisionedThroughput": UNITS}, {"BillingMode": "PROVISIONED"},
        {"ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 7}},
        {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 7}},
        {"AttributeDefinitions": [attribute("pk"), attribute("y")]}, {"DeletionProtectionEnabled": True},
        {"GlobalSecondaryIndexUpdates": []}, {"GlobalSecondaryIndexUpdates": [{}]},
        {"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "nope", "ProvisionedThroughput": UNITS}}]},
        {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "nope"}}]}, {"StreamSpecification": {"StreamEnabled": False}},
        {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "X"}},
    ]:
        yield Step("UpdateTable", {"TableName": T, **more})
        yield Step("DescribeTable", {"TableName": T})
    yield drop(T)
    yield Step("UpdateTable", {"TableName": T, "DeletionProtectionEnabled": False})
    yield drop(T)
    yield drop(T)
    yield Step("UpdateTable", {"TableName": T, "BillingMode": "PAY_PER_REQUEST"})


@scenario
def streams_of_tables():
    """Streams switched on and off."""
    yield create("TablesStream", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    yield Step("DescribeTable", {"TableName": "TablesStream"})
    yield Step("UpdateTable", {"TableName": "TablesStream", "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}})
    yield Step("UpdateTable", {"TableName": "TablesStream", "StreamSpecification": {"StreamEnabled": False}})
    yield Step("DescribeTable", {"TableName": "TablesStream"})
    yield Step("UpdateTable", {"TableName": "TablesStream", "StreamSpecification": {"StreamEnabled": False}})
    yield drop("TablesStream")


@scenario
def listing():
    """ListTables page by page."""
    names = [f"List{chr(65 + i)}" for i in range(7)] + ["list_lower", "List.dot", "List-dash"]
    for name in names:
        yield create(name)
    yield Step("ListTables", {})
    for limit in (1, 3, 9, 10, 100):
        start, seen = {}, 0
        while seen < 12:
            answer = yield Step("ListTables", {"Limit": limit, **start})
            seen += 1
            if "LastEvaluatedTableName" not in answer.body:
                break
            start = {"ExclusiveStartTableName": answer.body["LastEvaluatedTableName"]}
    for start in ("AAA", "ListC", "ListCC", "zzz", "List", "list_lower"):
        yield Step("ListTables", {"ExclusiveStartTableName": start, "Limit": 2})
    for name in names:
        yield drop(name)


@scenario
def account_wide():
    """Operations without a table, and those that describe features of one."""
    yield Step("DescribeLimits", {})
    yield create(T, "pk:S sk:N", lsi=[("L1x", "pk:S lk:N", ("a", "b"))],
        gsi=[("G1x", "g:S", "ALL"), ("G2x", "g:S sk:N", "KEYS_ONLY"), ("G3x", "sk:N pk:S", ("q",))])
    yield Step("DescribeTable", {"TableName": T})
    yield Step("DescribeTimeToLive", {"TableName": T})
    yield Step("DescribeTimeToLive", {"TableName": "NoSuchTable"})
    for n in range(3):
        yield put(T, {"pk": S("a"), "sk": N(n), "g": S("g"), "lk": N(n), "q": S("q" * n)})
    yield Step("DescribeTable", {"TableName": T})
    yield scan(T, IndexName="G3x")
    yield query(T, "g = :g", None, {":g": S("g")}, IndexName="G2x")
    yield drop(T)
