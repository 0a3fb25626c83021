"""What travels beside the bodies: identifiers, checksums, compression, keep-alive, CORS and the Host header."""

import gzip
import json
import re
import zlib

import pytest
from answers import S

from differential.wire import API, CONTENT_TYPE, Wire


@pytest.fixture
def local(own_server):
    """A server of this test's own, in memory."""
    return own_server("--in-memory")


@pytest.fixture
def wire_of():
    """Raw connections that are closed afterwards."""
    made = []

    def connect(server):
        made.append(Wire(server.endpoint))
        return made[-1]

    yield connect
    for each in made:
        each.close()


@pytest.mark.dynamodb_local_differs("sends no checksum with errors")
def test_every_answer_has_its_headers(wire):
    for operation, body in (("ListTables", {}), ("GetItem", {}), ("NoSuchOperation", {}), ("PutItem", b"broken")):
        answer = wire.call(operation, body)
        assert answer.headers["content-type"] == CONTENT_TYPE
        assert re.fullmatch(r"[0-9A-Za-z-]{20,64}", answer.headers["x-amzn-requestid"])
        assert answer.crc_holds and int(answer.headers["content-length"]) == len(answer.raw)


def test_request_ids_differ(wire):
    assert len({wire.call("ListTables", {}).headers["x-amzn-requestid"] for _ in range(20)}) == 20


def test_the_connection_is_kept(wire):
    wire.call("ListTables", {})
    socket = wire.connection.sock
    for body in ({}, b"broken", {"Limit": 0}):
        wire.call("ListTables", body)
        assert wire.connection.sock is socket


def test_the_health_line(local, wire_of):
    answer = wire_of(local).send("GET", "/", None, {})
    assert answer.status == 200 and answer.raw.strip()


def test_large_answers_are_compressed_when_the_client_accepts_it(local, wire_of):
    wire = wire_of(local)
    from differential.scenario import create

    assert wire.call("CreateTable", create("Large").body).status == 200
    wire.call("PutItem", {"TableName": "Large", "Item": {"pk": S("a"), "v": S("x" * 20_000)}})
    get = {"TableName": "Large", "Key": {"pk": S("a")}}
    plain = wire.call("GetItem", get)
    assert "content-encoding" not in plain.headers
    packed = wire.call("GetItem", get, {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and len(packed.raw) < 1000
    assert json.loads(gzip.decompress(packed.raw)) == plain.body
    assert int(packed.headers["x-amz-crc32"]) == zlib.crc32(packed.raw)
    small = wire.call("ListTables", {}, {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers


def test_both_target_prefixes(local, wire_of):
    wire = wire_of(local)
    answer = wire.call("ListTables", {}, {"X-Amz-Target": f"{API}.ListTables"})
    assert answer.status == 200
    streams = wire.call("ListStreams", {}, {"X-Amz-Target": "DynamoDBStreams_20120810.ListStreams"})
    assert streams.status == 200 or streams.body["__type"].endswith("UnknownOperationException")


def test_browsers_are_let_in_only_from_named_origins(own_server, wire_of):
    wire = wire_of(own_server("--in-memory", "--cors", "https://app.example"))
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-amz-target,authorization"}
    allowed = wire.send("OPTIONS", "/", None, {"Origin": "https://app.example", **asking})
    assert allowed.status in (200, 204) and allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-amz-target" in allowed.headers["access-control-allow-headers"].lower() or allowed.headers["access-control-allow-headers"] == "*"
    refused = wire.send("OPTIONS", "/", None, {"Origin": "https://evil.example", **asking})
    assert "access-control-allow-origin" not in refused.headers
    answer = wire.call("ListTables", {}, {"Origin": "https://app.example"})
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "https://app.example"
    assert wire.call("ListTables", {}, {"Origin": "https://evil.example"}).status == 403


def test_without_cors_a_page_cannot_talk_to_it(local, wire_of):
    answer = wire_of(local).call("ListTables", {}, {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers and answer.status == 403


def test_a_host_header_that_is_not_ours_is_refused(local, wire_of):
    wire = wire_of(local)
    for host in (f"127.0.0.1:{local.port}", f"localhost:{local.port}"):
        assert wire.call("ListTables", {}, {"Host": host}).status == 200
    assert wire.call("ListTables", {}, {"Host": "rebound.evil.example"}).status in (400, 403, 421)


def test_10_000_idle_connections_cost_under_200_mb(own_server, wire_of):
    import resource
    import socket

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_000
    if hard != resource.RLIM_INFINITY and hard < wanted + 500:
        pytest.fail(f"this machine allows {hard} open files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 500), hard))
    running = own_server("--in-memory")

    def resident():
        with open(f"/proc/{running.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    before = resident()
    connections = []
    try:
        for _ in range(wanted):
            connections.append(socket.create_connection(("127.0.0.1", running.port), timeout=10))
        assert wire_of(running).call("ListTables", {}).status == 200
        assert resident() - before < 200_000
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert wire_of(running).call("ListTables", {}).status == 200
