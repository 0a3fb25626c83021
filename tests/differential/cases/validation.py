"""Requests that are wrong before any item is looked at: constraints of the model, values, keys, and their order."""

from ..scenario import B, L, M, N, NULL, S, Step, create, delete, drop, get, put, query, scan, scenario, update

T, EMPTY = "Valid", "ValidEmpty"
LONG = "x" * 300

NAMES = ["", "a", "ab", "abc", "a" * 255, "a" * 256, "a b c", "a/b/c", "ünicode", "abc_-.",
    "arn:aws:dynamodb:us-east-1:000000000000:table/NoSuchTable", "arn:aws:dynamodb:us-east-1:000000000000:table/ab", "arn:aws:s3:::bucket",
    "arn:aws:dynamodb:us-east-1:000000000000:table", "arn:x"]


@scenario
def table_names():
    """Table names of every shape, in every operation that takes one."""
    key = {"pk": S("a")}
    for name in NAMES:
        yield Step("DescribeTable", {"TableName": name})
        yield Step("DeleteTable", {"TableName": name})
        yield get(name, key)
        yield put(name, key)
        yield update(name, key)
        yield delete(name, key)
        yield query(name, "pk = :a", None, {":a": S("a")})
        yield scan(name)
        yield Step("UpdateTable", {"TableName": name, "BillingMode": "PAY_PER_REQUEST"})
        yield Step("BatchGetItem", {"RequestItems": {name: {"Keys": [key]}}})
        yield Step("BatchWriteItem", {"RequestItems": {name: [{"PutRequest": {"Item": key}}]}})
        yield Step("DescribeTimeToLive", {"TableName": name})
    for name in ["", "a", "ab", "a" * 256, "a b c", "ünicode"]:
        yield create(name)


@scenario
def empty_requests():
    """Every operation with an empty object."""
    for operation in [
        "CreateTable", "DescribeTable", "DeleteTable", "UpdateTable", "PutItem", "GetItem", "UpdateItem", "DeleteItem", "Query",
        "Scan", "BatchGetItem", "BatchWriteItem", "DescribeTimeToLive", "NoSuchOperation", "listTables", "",
    ]:
        yield Step(operation, {})


@scenario
def wrong_json_types():
    """Members of the wrong JSON type."""
    yield create(T)
    yield create(EMPTY)
    for operation, body in [
        ("PutItem", {"TableName": 5, "Item": {}}), ("PutItem", {"TableName": True, "Item": {}}), ("PutItem", {"TableName": [], "Item": {}}),
        ("PutItem", {"TableName": {}, "Item": {}}), ("PutItem", {"TableName": None, "Item": {}}),
        ("PutItem", {"TableName": 1.5, "Item": {}}),
        ("PutItem", {"TableName": T, "Item": []}), ("PutItem", {"TableName": T, "Item": "a"}), ("PutItem", {"TableName": T, "Item": 5}),
        ("PutItem", {"TableName": T, "Item": True}), ("PutItem", {"TableName": T, "Item": None}),
        ("PutItem", {"TableName": T, "Item": {"pk": "a"}}), ("PutItem", {"TableName": T, "Item": {"pk": 5}}),
        ("PutItem", {"TableName": T, "Item": {"pk": []}}), ("PutItem", {"TableName": T, "Item": {"pk": None}}),
        ("PutItem", {"TableName": T, "Item": {"pk": True}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"S": 5}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"S": None}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"S": True}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"S": []}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"S": {}}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"S": 1.5}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"N": 5}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"N": True}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"N": None}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"N": []}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"N": {}}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"B": 5}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"B": "not base64!"}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"B": "YWJ"}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"B": "YWJj"}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"B": "="}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"B": True}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"B": []}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"B": {}}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"B": None}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"BOOL": "yes"}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"BOOL": "true"}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"BOOL": 1}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"BOOL": []}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"BOOL": None}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"NULL": "yes"}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"NULL": "true"}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"NULL": False}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"NULL": 0}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"NULL": None}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"SS": "a"}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"SS": [5]}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"SS": {}}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"SS": [None]}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"SS": [["a"]]}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"SS": None}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"SS": True}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"NS": [5]}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"NS": "5"}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"BS": [5]}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"BS": ["!"]}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"BS": "YQ=="}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"L": {}}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"L": "a"}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"L": ["a"]}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"L": [None]}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"L": None}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"L": [{"S": 5}]}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"M": []}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"M": "a"}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"M": {"a": "b"}}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"M": {"a": None}}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"M": None}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"X": "a"}}}), ("PutItem", {"TableName": T, "Item": {"pk": {"s": "a"}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"S": "a", "X": 1}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": {"S": "a", "N": None}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "ReturnValues": 5}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "ConditionExpression": 5}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "ExpressionAttributeNames": []}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "ExpressionAttributeNames": {"#n": 5}}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "ExpressionAttributeNames": {"#n": None}}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "ExpressionAttributeValues": []}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "ExpressionAttributeValues": {":n": "a"}}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "ExpressionAttributeValues": {":n": None}}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "Expected": []}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "Expected": {"a": "b"}}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "Expected": {"a": {"Exists": "no"}}}),
        ("PutItem", {"TableName": T, "Item": {"pk": S("a")}, "Unknown": 5}),
        ("GetItem", {"TableName": T, "Key": {"pk": S("a")}, "ConsistentRead": "yes"}),
        ("GetItem", {"TableName": T, "Key": {"pk": S("a")}, "ConsistentRead": "true"}),
        ("GetItem", {"TableName": T, "Key": {"pk": S("a")}, "ConsistentRead": 1}),
        ("GetItem", {"TableName": T, "Key": {"pk": S("a")}, "ConsistentRead": None}),
        ("GetItem", {"TableName": T, "Key": {"pk": S("a")}, "AttributesToGet": "a"}),
        ("GetItem", {"TableName": T, "Key": {"pk": S("a")}, "AttributesToGet": [5]}), ("GetItem", {"TableName": T, "Key": []}),
        ("Scan", {"TableName": EMPTY, "Limit": "5"}), ("Scan", {"TableName": EMPTY, "Limit": "x"}),
        ("Scan", {"TableName": EMPTY, "Limit": 1.5}),
        ("Scan", {"TableName": EMPTY, "Limit": 5.0}), ("Scan", {"TableName": EMPTY, "Limit": True}),
        ("Scan", {"TableName": EMPTY, "Limit": []}),
        ("Scan", {"TableName": EMPTY, "Limit": {}}), ("Scan", {"TableName": EMPTY, "Limit": 2147483648}),
        ("Scan", {"TableName": EMPTY, "Limit": 99999999999999999999}), ("Scan", {"TableName": EMPTY, "Limit": 1e3}),
        ("Scan", {"TableName": EMPTY, "Limit": None}), ("Scan", {"TableName": EMPTY, "ScanFilter": []}),
        ("Scan", {"TableName": EMPTY, "ScanFilter": {"a": 5}}), ("Scan", {"TableName": EMPTY, "ExclusiveStartKey": []}),
        ("Scan", {"TableName": EMPTY, "Select": 5}),
        ("ListTables", {"Limit": "a"}), ("ListTables", {"ExclusiveStartTableName": 5}), ("BatchGetItem", {"RequestItems": []}),
        ("BatchGetItem", {"RequestItems": {T: []}}), ("BatchGetItem", {"RequestItems": {T: {"Keys": {}}}}),
        ("BatchGetItem", {"RequestItems": {T: {"Keys": ["a"]}}}), ("BatchWriteItem", {"RequestItems": {T: {}}}),
        ("BatchWriteItem", {"RequestItems": {T: ["a"]}}), ("BatchWriteItem", {"RequestItems": {T: [{"PutRequest": []}]}}),
        ("CreateTable", {"TableName": T, "KeySchema": {}}), ("CreateTable", {"TableName": T, "KeySchema": ["a"]}),
        ("CreateTable", {"TableName": T, "KeySchema": [{"AttributeName": 5}]}),
        ("CreateTable", {"TableName": T, "ProvisionedThroughput": {"ReadCapacityUnits": "5", "WriteCapacityUnits": "a"}}),
        ("CreateTable", {"TableName": T, "ProvisionedThroughput": []}),
    ]:
        yield Step(operation, body)
    for table in (T, EMPTY):
        yield Step("DeleteTable", {"TableName": table}, compared="none")


@scenario
def broken_bodies():
    """Bodies that are not a JSON object."""
    yield create(T)
    item = '{"TableName":"%s","Item":{"pk":{"S":"a"},"v":%%s}}' % T
    for raw in [
        b"", b" ", b"null", b"[]", b"5", b'"a"', b"true", b"{", b"}", b"{]", b'{"TableName"', b'{"TableName":', b'{"TableName":"Valid"',
        b'{"TableName":"Valid",}', b'{"TableName" "Valid"}', b"{'TableName':'Valid'}", b'{TableName:"Valid"}', b'{"TableName":"Valid"}}',
        b'{"TableName":"Valid"} x', b'\xef\xbb\xbf{"TableName":"Valid"}', b'{"TableName":"Valid\xff"}', b'{"TableName":"\\ud800"}',
        b'{"TableName":"\\x"}', b'{"TableName":"a\nb"}', b'{"TableName":"Valid","TableName":"Other"}', b'/* c */{"TableName":"Valid"}',
        b'{"TableName":NaN}', b'{"TableName":01}', b"\x00", b'{"TableName":"Val\\u0069d"}', b"{}{}",
    ]:
        yield Step("DescribeTable" if b"Valid" not in raw else "Scan", raw)
    for value in ['{"S":"\\ud83d\\ude00"}', '{"S":"\\u0000"}', '{"S":"a","S":"b"}',
        '{"N":"1","N":"2"}', '{"N":1e400}', '{"N":' + "9" * 400 + "}", '{"M":{"a":{"S":"1"},"a":{"S":"2"}}}', '{"S":"tab\there"}']:
        yield Step("PutItem", (item % value).encode())
        yield get(T, {"pk": S("a")})
    yield drop(T)


@scenario
def headers():
    """Targets, content types and authorization headers that are wrong."""
    for target in [None, "", "DynamoDB_20120810", "DynamoDB_20120810.", "DynamoDB_20120810.listtables", "DynamoDB_20111205.ListTables",
        "ListTables", "Foo.ListTables", "DynamoDB_20120810.ListTables.x", 
        "DynamoDBStreams_20120810.ListTables", "DynamoDB_20120810.ListStreams"]:
        yield Step("ListTables", {}, {"X-Amz-Target": target}, note=f"X-Amz-Target {target}")
    for kind in [None, "", "application/json", "application/x-amz-json-1.1", "text/plain", "application/x-amz-json-1.0; charset=utf-8",
        "application/x-amz-cbor-1.1", "APPLICATION/X-AMZ-JSON-1.0"]:
        yield Step("ListTables", {}, {"Content-Type": kind}, note=f"Content-Type {kind}")
    for given in [None, "", "AWS4-HMAC-SHA256", "Basic abc", "AWS4-HMAC-SHA256 Credential=abc",
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/dynamodb/aws4_request",
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00", "AWS3 x"]:
        yield Step("ListTables", {}, {"Authorization": given}, note=f"Authorization {given}")
    yield Step("ListTables", {}, {"X-Amz-Date": None}, note="no X-Amz-Date")


VALUES = [
    {}, S(""), S("a"), N(""), N("x"), N(" 1"), N("1 "), N("+1"), N("-0"), N("0.0"), N("00"), N("007"), N(".5"), N("5."), N("-.5"), N("1e5"),
    N("1E5"), N("1e+5"), N("1e-5"), N("1.50"), N("100"), N("1e2"), N("1e"), N("e5"), N("--1"), N("1,5"), N("0x10"), N("NaN"), N("Infinity"),
    N("1_000"),
    N("9" * 38), N("9" * 39), N("1" + "0" * 38), N("1" + "0" * 125), N("1" + "0" * 126), N("1e125"), N("1e126"), N("9.9e125"),
    N("9.9999999999999999999999999999999999999e125"), N("9.99999999999999999999999999999999999999e125"), N("1e-130"), N("1e-131"),
    N("-1e-130"), N("-1e-131"), N("-9.9999999999999999999999999999999999999e125"), N("-1e126"), N("0." + "0" * 129 + "1"),
    N("0." + "0" * 130 + "1"), N("1." + "0" * 50), N("0." + "1" * 38), N("0." + "1" * 39), N("1e99999999999"), N("1e-99999999999"),
    N("0e999"), N("1" * 38 + "." + "0" * 5), N("123456789012345678901234567890.12345678"), N("123456789012345678901234567890.123456789"),
    N("0.00000000000000000000000000000000000001"), N("1.5e-3"), N("-12.34e2"), N("12345678901234567890e10"),
    B(""), B("YWJj"), B("YQ=="), {"BOOL": False}, NULL, {"NULL": False}, {"SS": []}, {"SS": ["a"]}, {"SS": ["a", "a"]}, {"SS": [""]},
    {"SS": ["a", ""]}, {"NS": []}, {"NS": ["1", "1.0"]}, {"NS": ["x"]}, {"NS": ["1", ""]}, {"NS": ["3", "1", "2"]}, {"NS": ["1e2", "5.50"]},
    {"BS": []}, {"BS": ["YQ==", "YQ=="]}, {"BS": [""]}, {"SS": ["c", "a", "b"]}, {"SS": ["b", "a", "b", "a"]},
    L(), M(), L(L(), M()), M(a=M(), b=L(N("1.0"))), {"M": {"": S("a")}}, {"S": "a", "N": "1"}, {"S": "a", "SS": ["b"]}, L({}), M(a={}),
    L({"SS": []}), L({"S": "a", "N": "1"}), M(a=N("x")), L({"NULL": False}), L({"SS": ["a", "a"]}), S("é"), S("😀"), S("\u0000"),
    S("a\u2028b"), S("\"\\/\b\f\n\r\t"),
]


@scenario
def values():
    """Every value once as an ordinary attribute, read back, and once as a condition's operand and as an update."""
    yield create(T)
    for value in VALUES:
        yield put(T, {"pk": S("a"), "v": value})
        yield get(T, {"pk": S("a")})
        yield update(T, {"pk": S("u")}, "SET v = :v", None, {":v": value}, ReturnValues="ALL_NEW")
        yield scan(T, "v = :v", None, {":v": value})
        yield Step("BatchWriteItem", {"RequestItems": {T: [{"PutRequest": {"Item": {"pk": S("b"), "v": value}}}]}})
        yield update(T, {"pk": S("u")}, AttributeUpdates={"v": {"Value": value}}, ReturnValues="UPDATED_NEW")
    for name in ["", "a", "a" * 255, "a" * 256, "a" * 65535, "a" * 65536, "é", "a.b", "a[0]", "#a", ":a", " "]:
        yield put(T, {"pk": S("n"), name: S("v")})
    yield drop(T)


@scenario
def nesting():
    """31, 32 and 33 levels of lists and maps, in puts, updates and conditions."""
    yield create(T)

    def lists(depth):
        return N(1) if depth == 0 else L(lists(depth - 1))

    def maps(depth):
        return N(1) if depth == 0 else M(a=maps(depth - 1))

    for make in (lists, maps):
        for depth in (30, 31, 32, 33, 100):
            yield put(T, {"pk": S("a"), "v": make(depth)})
            yield update(T, {"pk": S("a")}, "SET v = :v", None, {":v": make(depth)})
            yield scan(T, "v = :v", None, {":v": make(depth)})
            yield put(T, {"pk": S("b"), "v": L(N(1)), "w": M(a=N(1))})
            yield update(T, {"pk": S("b")}, "SET v[0] = :v", None, {":v": make(depth - 1)})
            yield update(T, {"pk": S("b")}, "SET w.a = :v", None, {":v": make(depth - 1)})
            yield get(T, {"pk": S("b")})
    yield drop(T)


KEYS = [
    {}, {"pk": S("a")}, {"sk": N(1)}, {"pk": S("a"), "sk": N(1)}, {"pk": S("a"), "sk": N(1), "x": S("b")}, {"pk": S("a"), "x": N(1)},
    {"PK": S("a"), "sk": N(1)},
    {"pk": N(1), "sk": N(1)}, {"pk": S("a"), "sk": S("1")}, {"pk": N(1), "sk": S("1")}, {"pk": S(""), "sk": N(1)},
    {"pk": S("a"), "sk": N("")}, {"pk": S("a"), "sk": N("x")}, {"pk": B("YQ=="), "sk": N(1)}, {"pk": NULL, "sk": N(1)},
    {"pk": {"BOOL": True}, "sk": N(1)}, {"pk": {"SS": ["a"]}, "sk": N(1)}, {"pk": L(S("a")), "sk": N(1)}, {"pk": M(a=S("a")), "sk": N(1)},
    {"pk": {}, "sk": N(1)}, {"pk": S("a"), "sk": {}}, {"pk": S("a"), "sk": {"NS": ["1"]}},
    {"pk": S("p" * 2048), "sk": N(1)}, {"pk": S("p" * 2049), "sk": N(1)}, {"pk": S("é" * 1024), "sk": N(1)},
    {"pk": S("é" * 1025), "sk": N(1)}, {"pk": S("a"), "sk": N("1e200")}, {"pk": S("a"), "sk": N("1.0")},
    {"pk": {"S": "a", "N": "1"}, "sk": N(1)}, {"pk": S("a"), "sk": {"SS": []}}, {"pk": S("a"), "sk": N("9" * 39)},
]


@scenario
def keys():
    """Every key once in each operation that takes one, on a string and number key."""
    yield create(T, "pk:S sk:N")
    for key in KEYS:
        yield get(T, key)
        yield put(T, key)
        yield update(T, key)
        yield update(T, key, "SET v = :v", None, {":v": N(1)})
        yield delete(T, key)
        yield Step("BatchGetItem", {"RequestItems": {T: {"Keys": [key]}}})
        yield Step("BatchWriteItem", {"RequestItems": {T: [{"PutRequest": {"Item": key}}]}})
        yield Step("BatchWriteItem", {"RequestItems": {T: [{"DeleteRequest": {"Key": key}}]}})
        yield query(T, "pk = :a", None, {":a": S("a")}, ExclusiveStartKey=key)
        yield Step("Scan", {"TableName": T, "ExclusiveStartKey": key}, compared="status")
    yield drop(T)
    yield create(T, "pk:S sk:S")
    for length in (0, 1, 1023, 1024, 1025):
        for key in ({"pk": S("a"), "sk": S("s" * length)},):
            yield get(T, key)
            yield put(T, key)
            yield update(T, key)
            yield delete(T, key)
            yield Step("BatchWriteItem", {"RequestItems": {T: [{"PutRequest": {"Item": key}}]}})
            yield query(T, "pk = :a AND sk = :s", None, {":a": S("a"), ":s": key["sk"]})
    for length in (0, 1, 2048, 2049):
        yield query(T, "pk = :a", None, {":a": S("a" * length)})
    yield drop(T)
    yield create(T, "pk:B sk:B")
    for key in [{"pk": B(""), "sk": B("YQ==")}, {"pk": B("YQ=="), "sk": B("")}, {"pk": B("YQ=="), "sk": B("YQ==")},
        {"pk": S("YQ=="), "sk": B("YQ==")}]:
        yield get(T, key)
        yield put(T, key)
        yield delete(T, key)
    yield drop(T)
    yield create(T, "pk:N")
    for number in ["1", "1.0", "1e0", "-0", "0", "", "x", "1e126", "9" * 39]:
        yield put(T, {"pk": N(number)})
        yield get(T, {"pk": N(number)})
    yield scan(T)
    yield drop(T)


@scenario
def index_keys():
    """Attributes of index keys: absent, wrongly typed, empty, too long; in puts, updates and batches."""
    yield create(T, "pk:S sk:S", lsi=[("L1x", "pk:S lk:N", "ALL")], gsi=[("G1x", "gh:S gr:N", "ALL"), ("G2x", "gr:N", "KEYS_ONLY")])
    for attributes in [
        {}, {"lk": N(1)}, {"lk": S("1")}, {"lk": NULL}, {"gh": S("a")}, {"gh": S("")}, {"gh": N(1)}, {"gr": N(1)}, {"gr": S("1")},
        {"gh": S("a"), "gr": N(1)}, {"gh": S("a"), "gr": S("1")}, {"gh": NULL, "gr": N(1)}, {"gh": L(S("a"))}, {"gh": {"SS": ["a"]}},
        {"gh": S("g" * 2048), "gr": N(1)}, {"gh": S("g" * 2049), "gr": N(1)}, {"gh": S("g" * 2049)}, {"gh": {"BOOL": True}, "gr": N(1)},
        {"gh": S(""), "gr": N(1)}, {"lk": L()}, {"gh": N(1), "lk": S("x")},
    ]:
        item = {"pk": S("a"), "sk": S("b"), **attributes}
        yield put(T, item)
        for name, value in attributes.items():
            yield update(T, {"pk": S("a"), "sk": S("c")}, f"SET {name} = :v", None, {":v": value})
            yield update(T, {"pk": S("a"), "sk": S("c")}, AttributeUpdates={name: {"Value": value}})
        yield Step("BatchWriteItem", {"RequestItems": {T: [{"PutRequest": {"Item": item}}]}})
        yield delete(T, {"pk": S("a"), "sk": S("c")})
    yield scan(T, IndexName="G1x")
    yield update(T, {"pk": S("a"), "sk": S("c")}, "ADD gr :v", None, {":v": N(1)})
    yield update(T, {"pk": S("a"), "sk": S("c")}, "ADD gh :v", None, {":v": N(1)})
    yield update(T, {"pk": S("a"), "sk": S("c")}, "SET gh = :v", None, {":v": S("x")})
    yield update(T, {"pk": S("a"), "sk": S("c")}, "SET gh = gr", None, None)
    yield update(T, {"pk": S("a"), "sk": S("c")}, "SET gh.x = :v", None, {":v": S("x")})
    yield Step("DeleteTable", {"TableName": T}, compared="none")


@scenario
def enums():
    """Enumerated and ranged members outside what they may be, one at a time and several at once."""
    yield create(T)
    key = {"pk": S("a")}
    for operation, base in [("PutItem", {"TableName": T, "Item": key}), ("UpdateItem", {"TableName": T, "Key": key}),
        ("DeleteItem", {"TableName": T, "Key": key}), ("GetItem", {"TableName": T, "Key": key})]:
        for more in [{"ReturnValues": value} for value in ("", "NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW", "all_old",
            "X")] + [
            {"ReturnConsumedCapacity": "X"}, {"ReturnConsumedCapacity": ""}, {"ReturnConsumedCapacity": "total"},
            {"ReturnItemCollectionMetrics": "X"}, {"ReturnValuesOnConditionCheckFailure": "X"},
            {"ReturnValuesOnConditionCheckFailure": "ALL_NEW"}, {"ConditionalOperator": "X"},
            {"ReturnValues": "X", "ReturnConsumedCapacity": "Y"},
            {"ReturnValues": "X", "ReturnConsumedCapacity": "Y", "ReturnItemCollectionMetrics": "Z"},
            {"ReturnValues": "X", "TableName": "a"}, {"AttributesToGet": []}, {"ConditionalOperator": "AND"},
        ]:
            yield Step(operation, {**base, **more})
    for operation, base in [("Query", {"TableName": T, "KeyConditionExpression": "pk = :a", "ExpressionAttributeValues": {":a": S("a")}}),
        ("Scan", {"TableName": T})]:
        for more in [
            {"Limit": 0}, {"Limit": -1}, {"Limit": 1}, {"Limit": 2147483647}, {"Select": "X"}, {"Select": ""}, {"Select": "COUNT"},
            {"Select": "ALL_ATTRIBUTES"}, {"Select": "SPECIFIC_ATTRIBUTES"}, {"Select": "ALL_PROJECTED_ATTRIBUTES"},
            {"Select": "COUNT", "ProjectionExpression": "pk"}, {"Select": "ALL_ATTRIBUTES", "ProjectionExpression": "pk"},
            {"Select": "SPECIFIC_ATTRIBUTES", "ProjectionExpression": "pk"}, {"Select": "SPECIFIC_ATTRIBUTES", "AttributesToGet": ["pk"]},
            {"Select": "COUNT", "AttributesToGet": ["pk"]}, {"AttributesToGet": []}, {"AttributesToGet": ["pk", "pk"]},
            {"AttributesToGet": ["pk"], "ProjectionExpression": "pk"}, {"AttributesToGet": [""]}, {"AttributesToGet": ["a" * 65536]},
            {"IndexName": ""}, {"IndexName": "ab"}, {"IndexName": "nope"}, {"IndexName": "a" * 256}, {"IndexName": "a b c"},
            {"ConsistentRead": True, "IndexName": "nope"}, {"ReturnConsumedCapacity": "X", "Select": "Y", "Limit": 0}, {"Segment": 0},
            {"TotalSegments": 2}, {"Segment": 0, "TotalSegments": 1}, {"Segment": 1, "TotalSegments": 1},
            {"Segment": 2, "TotalSegments": 2}, {"Segment": 5, "TotalSegments": 2}, {"Segment": -1, "TotalSegments": 2},
            {"Segment": 0, "TotalSegments": 0}, {"Segment": 0, "TotalSegments": 1000000}, {"Segment": 0, "TotalSegments": 1000001},
            {"Segment": 1000000, "TotalSegments": 1000000}, {"ExclusiveStartKey": {}}, {"ScanIndexForward": False},
            {"ConditionalOperator": "OR"}, {"ConditionalOperator": "X"},
        ]:
            yield Step(operation, {**base, **more}, unordered=True)
    for more in [{"Limit": 0}, {"Limit": 101}, {"Limit": 100}, {"Limit": -1}, {"ExclusiveStartTableName": ""},
        {"ExclusiveStartTableName": "a"}, {"ExclusiveStartTableName": "a b c"}, {"ExclusiveStartTableName": "a" * 256},
        {"Limit": 0, "ExclusiveStartTableName": "a"}]:
        yield Step("ListTables", more)
    yield drop(T)


@scenario
def order_of_checks():
    """Requests with several mistakes: which one is reported."""
    yield create(T, "pk:S sk:N")
    bad_key, bad_value, syntax = {"pk": N(1)}, {"pk": S("a"), "sk": N("x")}, {"ConditionExpression": "a b c"}
    for table in (T, "NoSuchTable", "a"):
        yield put(table, bad_key, **syntax)
        yield put(table, bad_value, **syntax)
        yield put(table, bad_key, ReturnValues="X")
        yield put(table, bad_key, ReturnValues="ALL_NEW")
        yield put(table, bad_value, ReturnValues="ALL_NEW")
        yield put(table, {"pk": S("a"), "sk": N(1), "v": {"SS": []}}, ReturnValues="ALL_NEW")
        yield put(table, {"pk": S("a"), "sk": N(1), "v": {"SS": []}}, **syntax)
        yield put(table, {"pk": S("a"), "sk": N(1)}, ConditionExpression="x = :x")
        yield put(table, {"pk": S("a")}, ConditionExpression="x = :x")
        yield put(table, {"pk": S("a")}, ConditionExpression="x = :x", ExpressionAttributeValues={":x": {"SS": []}})
        yield put(table, {"pk": S("a")}, ConditionExpression="x = :x", ExpressionAttributeValues={":x": N(1), ":y": N(1)})
        yield put(table, {"pk": S("a"), "sk": N(1), "v": S("x" * 410000)}, **syntax)
        yield put(table, {"pk": S("a"), "v": S("x" * 410000)})
        yield get(table, bad_key, ProjectionExpression="a b")
        yield get(table, bad_key, ProjectionExpression="a", AttributesToGet=["a"])
        yield get(table, bad_value, ProjectionExpression="a b")
        yield update(table, bad_key, "SET a b")
        yield update(table, bad_key, "SET a = :a")
        yield update(table, bad_key, "SET pk = :a", None, {":a": S("b")})
        yield update(table, {"pk": S("a"), "sk": N(1)}, "SET pk = :a", None, {":a": {"SS": []}})
        yield update(table, bad_key, "SET a = :a", None, {":a": S("b"), ":b": N(1)})
        yield update(table, bad_key, "SET a = :a", None, {":a": S("b")}, ConditionExpression="x = :x")
        yield update(table, bad_key, "SET a = :a", None, {":a": S("b")}, ConditionExpression="x =")
        yield update(table, bad_key, ReturnValues="X")
        yield delete(table, bad_key, **syntax)
        yield delete(table, bad_key, ReturnValues="ALL_NEW")
        yield query(table, "a b c", IndexName="nope")
        yield query(table, "pk = :a", None, {":a": S("a")}, IndexName="nope", FilterExpression="a b")
        yield query(table, "pk = :a", None, {":a": N(1)}, FilterExpression="a b")
        yield query(table, "pk = :a", None, {":a": N(1)}, FilterExpression="a = :b")
        yield query(table, "pk = :a", None, {":a": N(1)}, ExclusiveStartKey={"pk": S("a")})
        yield query(table, "pk = :a", None, {":a": N(1)}, Limit=0)
        yield query(table, "pk = :a", None, {":a": N(1)}, Select="SPECIFIC_ATTRIBUTES")
        yield query(table, None)
        yield query(table, "pk = :a", None, {":a": S("a")}, KeyConditions={"pk": {"ComparisonOperator": "EQ",
            "AttributeValueList": [S("a")]}})
        yield scan(table, "a b c", IndexName="nope")
        yield scan(table, "a b c", Segment=3)
        yield scan(table, "a b c", Select="SPECIFIC_ATTRIBUTES")
        yield scan(table, "a b c", ExclusiveStartKey={"pk": S("a")})
        yield scan(table, None, None, None, Segment=3, TotalSegments=2, ExclusiveStartKey={"pk": S("a")})
        yield Step("BatchGetItem", {"RequestItems": {table: {"Keys": [bad_key], "ProjectionExpression": "a b"}}})
        yield Step("BatchGetItem", {"RequestItems": {table: {"Keys": [bad_key, bad_key]}}})
        yield Step("BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": bad_key}}, {"PutRequest": {"Item": bad_key}}]}})
    yield drop(T)
