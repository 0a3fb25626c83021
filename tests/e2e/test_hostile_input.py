"""Raw HTTP: every byte sequence gets an answer, the connection stays usable where HTTP allows, the process stays up."""

import gzip
import json
import os
import socket
import time
import zlib

import pytest

from differential.wire import API, CONTENT_TYPE, Wire, authorization

ELSEWHERE = bool(os.environ.get("PARTITA_TEST_ENDPOINT"))
own_only = pytest.mark.skipif(ELSEWHERE, reason="a promise of Partita's, not of DynamoDB Local's")
MEGABYTE = 1024 * 1024


@pytest.fixture
def table(make_table):
    """A table keyed by pk."""
    return make_table()


@pytest.fixture(autouse=True)
def the_server_stays_up(wire, server):
    """After every test here the same process answers, on the kept connection and on a new one."""
    before = getattr(server, "process", None) and server.process.pid
    yield
    assert wire.call("ListTables", {}).status == 200
    fresh = Wire(server.endpoint)
    assert fresh.call("ListTables", {}).status == 200
    fresh.close()
    if before:
        assert server.process.poll() is None and server.process.pid == before


def put(table, value):
    """A PutItem of one attribute, as text with the value spliced in."""
    return ('{"TableName":"%s","Item":{"pk":{"S":"a"},"v":%s}}' % (table, value)).encode()


BROKEN = [
    b"", b" ", b"\x00", b"{", b"}", b"[", b"{]", b"null", b"[]", b"5", b'"text"', b"true", b'{"TableName"', b'{"TableName":',
    b'{"TableName":}', b'{"TableName":"abc",}', b"{'a':1}", b'{"a":01}', b'{"a":+1}', b'{"a":.5}', b'{"a":NaN}', b'{"a":Infinity}',
    b'{"a":1}{', b'{"a":"\xff\xfe"}', b'{"a":"\\u12"}', b'{"a":"\\x41"}', b'{"a":"line\nbreak"}', b"\xef\xbb\xbf{}", b'{"\xc3\x28":1}',
    b"{" * 100_000, b"[" * 100_000, b'{"a":' * 50_000, b'"' * 1000, b"\\" * 1000, bytes(range(256)) * 40,
]


@own_only
@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_broken_json_is_a_serialization_exception(wire, body):
    answer = wire.call("PutItem", body)
    assert answer.status == 400 and answer.body["__type"] == "com.amazon.coral.service#SerializationException"


@own_only
@pytest.mark.parametrize("value", ['{"S":"\\ud800"}', '{"S":"\\udc00"}', '{"S":"\\ud800\\ud800"}', '{"S":"a\\udfffb"}'])
def test_lone_surrogates_are_refused_or_replaced(wire, table, value):
    answer = wire.call("PutItem", put(table, value))
    assert answer.status in (200, 400)
    if answer.status == 200:
        wire.call("GetItem", {"TableName": table, "Key": {"pk": {"S": "a"}}}).raw.decode("utf-8")


def test_surrogate_pairs_are_one_character(wire, table):
    assert wire.call("PutItem", put(table, '{"S":"\\ud83d\\ude00"}')).status == 200
    assert wire.call("GetItem", {"TableName": table, "Key": {"pk": {"S": "a"}}}).body["Item"]["v"] == {"S": "😀"}


@own_only
@pytest.mark.parametrize("value", ['{"N":1e400}', '{"N":' + "9" * 100_000 + "}", '{"N":"' + "9" * 100_000 + '"}',
    '{"N":"1e99999999999999999999"}', '{"N":"1e-99999999999999999999"}', '{"N":"' + "0" * 100_000 + '.x"}',
    '{"N":"0.' + "0" * 100_000 + '1"}'])
def test_huge_numbers(wire, table, value):
    assert wire.call("PutItem", put(table, value)).status == 400


@own_only
@pytest.mark.parametrize("value", ['{"S":"a","S":"b"}', '{"N":"1","N":"1"}', '{"M":{"x":{"S":"1"},"x":{"S":"2"}}}'])
def test_duplicate_members_have_one_meaning(wire, table, value):
    answer = wire.call("PutItem", put(table, value))
    assert answer.status in (200, 400)


@own_only
def test_duplicate_members_of_the_request(wire, table):
    body = ('{"TableName":"NoSuchTable","TableName":"%s","Key":{"pk":{"S":"a"}}}' % table).encode()
    assert wire.call("GetItem", body).status in (200, 400)


@own_only
@pytest.mark.parametrize("opening,closing", [('{"L":[', "]}"), ('{"M":{"a":', "}}")])
@pytest.mark.parametrize("depth", [33, 1000, 100_000])
def test_deep_values(wire, table, opening, closing, depth):
    answer = wire.call("PutItem", put(table, opening * depth + '{"N":"1"}' + closing * depth))
    assert answer.status == 400 and answer.body["__type"].split("#")[1] in ("ValidationException", "SerializationException")


DEEP = [
    "(" * 2000 + "n = :n" + ")" * 2000, "(" * 10_000 + "n = :n" + ")" * 10_000, "NOT " * 1000 + "n = :n", "NOT " * 10_000 + "n = :n",
    "NOT (" * 700 + "n = :n" + ")" * 700, "n = :n AND " * 370 + "n = :n", "n = :n OR " * 400 + "n = :n", "(" * 4000, ")" * 4000,
    "size(" * 700 + "n" + ")" * 700 + " = :n", "a" + ".b" * 2000 + " = :n", "a" + "[0]" * 1300 + " = :n",
    "n IN (" + ",".join([":n"] * 1200) + ")", "n BETWEEN " * 300, "a" * 4096, "#" * 4096, ":" * 4096, "\u0000", "\t" * 4000, "é" * 2000,
    "n = :n AND (" * 300 + "n = :n" + ")" * 300,
]


@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_hostile_expressions(wire, table, text):
    values = {"ExpressionAttributeValues": {":n": {"N": "1"}}} if ":n" in text else {}
    for operation, member, base in [("PutItem", "ConditionExpression", {"Item": {"pk": {"S": "a"}}}), ("Scan", "FilterExpression", {}),
        ("Query", "KeyConditionExpression", {}), ("UpdateItem", "UpdateExpression", {"Key": {"pk": {"S": "a"}}})]:
        began = time.monotonic()
        answer = wire.call(operation, {"TableName": table, **base, member: text, **values})
        assert answer.status in (200, 400) and time.monotonic() - began < 5
        if len(text) > 4096:
            assert answer.body["__type"].endswith("ValidationException")
    if not values:
        assert wire.call("GetItem", {"TableName": table, "Key": {"pk": {"S": "a"}}, "ProjectionExpression": text}).status in (200, 400)


@pytest.mark.parametrize("text", ["SET n = " + "(" * 2000 + ":n" + ")" * 2000, "SET n = " + "if_not_exists(n, " * 240 + ":n" + ")" * 240,
    "SET n = " + "list_append(n, " * 250 + ":n" + ")" * 250, "SET " + ", ".join(f"a{i} = :n" for i in range(400)),
    "SET n = n" + " + :n" * 600, "REMOVE " + ", ".join(f"a[{i}]" for i in range(500))])
def test_hostile_update_expressions(wire, table, text):
    values = {"ExpressionAttributeValues": {":n": {"N": "1"}}} if ":n" in text else {}
    assert wire.call("UpdateItem", {"TableName": table, "Key": {"pk": {"S": "a"}}, "UpdateExpression": text, **values}).status in (200, 400)


@own_only
def test_unknown_members_are_ignored(wire, table):
    answer = wire.call("PutItem", {"TableName": table, "Item": {"pk": {"S": "a"}}, "NoSuchMember": {"deep": [1, {"x": None}]}})
    assert answer.status == 200


@own_only
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "FOO"])
def test_other_methods(wire, method):
    answer = wire.send(method, "/", b"", {"X-Amz-Target": f"{API}.ListTables"})
    assert 400 <= answer.status < 500


@own_only
@pytest.mark.parametrize("path", ["/x", "//", "/%00", "/" + "a" * 5000, "/?x=1"])
def test_other_paths(wire, path):
    assert wire.send("POST", path, b"{}", {"X-Amz-Target": f"{API}.ListTables", "Content-Type": CONTENT_TYPE}).status < 500


@own_only
@pytest.mark.parametrize("headers", [{"X-Amz-Target": None}, {"X-Amz-Target": ""}, {"X-Amz-Target": "nonsense"},
    {"X-Amz-Target": "DynamoDB_20120810."}, {"X-Amz-Target": "DynamoDB_19990101.ListTables"}, {"X-Amz-Target": "x" * 5000},
    {"X-Amz-Target": "DynamoDB_20120810.ListTables\t"}])
def test_wrong_targets(wire, headers):
    answer = wire.call("ListTables", {}, headers)
    assert answer.status == 400 or (headers["X-Amz-Target"] or "").strip().endswith(".ListTables") and "2012" in headers["X-Amz-Target"]
    if answer.status == 400:
        assert answer.body["__type"].split("#")[1] == "UnknownOperationException"


@own_only
@pytest.mark.parametrize("given", ["", "nonsense", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 Credential=a/b/c",
    "AWS4-HMAC-SHA256 Credential=a/b/../dynamodb/aws4_request, SignedHeaders=x, Signature=0", "Bearer x", "x" * 6000,
    "AWS4-HMAC-SHA256 Credential=" + "/" * 3000])
def test_odd_authorizations_get_an_answer(wire, given):
    assert wire.call("ListTables", {}, {"Authorization": given}).status < 500


@own_only
def test_unsigned_requests_work_on_loopback(wire):
    assert wire.call("ListTables", {}, {"Authorization": None, "X-Amz-Date": None}).status == 200


@own_only
def test_a_body_over_16_mb_is_refused(wire, table):
    answer = wire.call("PutItem", put(table, '{"S":"' + "x" * (17 * MEGABYTE) + '"}'))
    assert answer.status == 413
    wire.close()


@own_only
def test_a_body_just_under_16_mb_is_read(wire, table):
    answer = wire.call("PutItem", put(table, '{"S":"' + "x" * (15 * MEGABYTE) + '"}'))
    assert answer.status == 400 and answer.body["__type"].endswith("ValidationException")


def test_gzip_and_deflate_request_bodies(wire, table):
    if ELSEWHERE:
        pytest.skip("DynamoDB Local reads no compressed requests")
    plain = put(table, '{"S":"' + "x" * 10_000 + '"}')
    assert wire.call("PutItem", gzip.compress(plain), {"Content-Encoding": "gzip"}).status == 200
    assert wire.call("PutItem", zlib.compress(plain), {"Content-Encoding": "deflate"}).status == 200
    assert wire.call("GetItem", {"TableName": table, "Key": {"pk": {"S": "a"}}}).body["Item"]["v"]["S"] == "x" * 10_000


@own_only
@pytest.mark.parametrize("body,encoding", [(b"not gzip", "gzip"), (gzip.compress(b"{}")[:-5], "gzip"), (b"", "gzip"), (b"{}", "br"),
    (b"{}", "nonsense"), (b"\x00" * 100, "deflate")])
def test_broken_compression(wire, body, encoding):
    answer = wire.call("ListTables", body, {"Content-Encoding": encoding})
    assert 400 <= answer.status < 500


@own_only
def test_a_compression_bomb_is_cut_off(wire, server):
    bomb = gzip.compress(gzip.compress(b"\x00" * (200 * MEGABYTE), 9), 1)
    began = time.monotonic()
    answer = wire.call("PutItem", gzip.compress(b" " * (300 * MEGABYTE), 9), {"Content-Encoding": "gzip"})
    assert answer.status in (400, 413) and time.monotonic() - began < 5
    assert wire.call("PutItem", bomb, {"Content-Encoding": "gzip"}).status in (400, 413)
    with open(f"/proc/{server.process.pid}/status") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert resident < 1_000_000


def exchange(server, payload, wait=3):
    """Sends bytes to the server's socket and returns what it answers before it closes or falls silent."""
    port = int(server.endpoint.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        received = b""
        try:
            connection.sendall(payload)
            while chunk := connection.recv(65_536):
                received += chunk
        except (TimeoutError, ConnectionError):
            pass
        return received


NOT_HTTP = [
    b"\r\n\r\n", b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n", b"POST / HTTP/1.1\r\nA: " + b"x" * 500_000 + b"\r\n\r\n", bytes(range(256)) * 10,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@own_only
@pytest.mark.parametrize("payload", NOT_HTTP, ids=range(len(NOT_HTTP)))
def test_what_is_not_http(server, payload):
    answer = exchange(server, payload)
    assert answer == b"" or b" 4" in answer[:13] or b" 5" in answer[:13] or not answer.startswith(b"HTTP/1.1 2")


def head(length, extra=b""):
    """The head of a ListTables request."""
    lines = [b"POST / HTTP/1.1", b"Host: 127.0.0.1", b"X-Amz-Target: DynamoDB_20120810.ListTables",
        b"Content-Type: " + CONTENT_TYPE.encode(), b"Authorization: " + authorization().encode(), b"X-Amz-Date: 20260101T000000Z"]
    return b"\r\n".join(lines) + b"\r\n" + length + b"\r\n" + extra + b"\r\n"


def test_chunked_bodies(server):
    body = b"2\r\n{}\r\n0\r\n\r\n"
    answer = exchange(server, head(b"Transfer-Encoding: chunked", b"Connection: close\r\n") + body)
    assert answer.startswith(b"HTTP/1.1 200") and b"TableNames" in answer


def test_expect_100_continue(server):
    port = int(server.endpoint.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(head(b"Content-Length: 2", b"Expect: 100-continue\r\nConnection: close\r\n"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(b"{}")
        assert b"200" in connection.recv(1000)


def test_pipelined_requests_are_answered_in_order(server):
    request = head(b"Content-Length: 2") + b"{}"
    last = head(b"Content-Length: 2", b"Connection: close\r\n") + b"{}"
    answer = exchange(server, request * 5 + last)
    assert answer.count(b"HTTP/1.1 200") == 6


@own_only
def test_clients_that_hang_up_in_the_middle(server):
    port = int(server.endpoint.rsplit(":", 1)[1])
    for cut in (10, 60, 200, 300):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall((head(b"Content-Length: 1000000") + b"{" * 1000)[:cut])
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(head(b"Content-Length: 1000000"))
        connection.close()


def test_idle_connections_do_no_harm(server, wire):
    port = int(server.endpoint.rsplit(":", 1)[1])
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    assert wire.call("ListTables", {}).status == 200
    for connection in connections:
        connection.close()


def test_random_bytes_as_bodies(wire):
    import random

    choice = random.Random(11)
    good = json.dumps({"TableName": "Fuzz", "Item": {"pk": {"S": "a"}, "n": {"N": "1"}, "l": {"L": [{"B": "YQ=="}]}},
        "ConditionExpression": "attribute_exists(pk) AND n = :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}).encode()
    for _ in range(400):
        mutant = bytearray(good)
        for _ in range(choice.randint(1, 8)):
            at = choice.randrange(len(mutant))
            if choice.random() < 0.5:
                mutant[at] = choice.randrange(256)
            else:
                del mutant[at : at + choice.randint(1, 10)]
        answer = wire.call("PutItem", bytes(mutant))
        if not ELSEWHERE:
            assert answer.status == 400, bytes(mutant)
