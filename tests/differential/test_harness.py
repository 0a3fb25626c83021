"""The harness itself: what is normalised away, and that a difference in anything else is found."""

import copy
import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from differential import run as harness
from differential.accepted import Difference
from differential.compare import differences, normal
from differential.scenario import Derived, N, S, Step, get, put, scan
from differential.wire import Answer


class Canned(BaseHTTPRequestHandler):
    """Answers every operation with its canned body; `self.server.altered` replaces some."""

    protocol_version = "HTTP/1.1"
    BODIES = {
        "PutItem": (200, {}),
        "GetItem": (200, {"Item": {"pk": {"S": "a"}, "set": {"SS": ["x", "y"]}, "n": {"N": "1.5"}}}),
        "Scan": (200, {"Items": [{"pk": {"S": "a"}}, {"pk": {"S": "b"}}], "Count": 2, "ScannedCount": 2}),
        "DescribeTable": (200, {"Table": {"TableId": "1", "CreationDateTime": 1.5,
        "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/T", "ItemCount": 3}}),
        "DeleteItem": (400, {"__type": "a#ValidationException", "message": "One thing is wrong"}),
    }

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].split(".")[1]
        status, body = self.server.altered.get(operation, self.BODIES[operation])
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/x-amz-json-1.0", "Content-Length": len(raw),
            "x-amz-crc32": zlib.crc32(raw)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        pass


def serve(altered):
    """A canned server; close it with shutdown()."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    server.altered = altered
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def canned_scenario():
    """One request of each canned operation."""
    yield put("T", {"pk": S("a")})
    yield get("T", {"pk": S("a")})
    answer = yield scan("T")
    yield Derived("how many were scanned", answer.body["Count"])
    yield Step("DescribeTable", {"TableName": "T"})
    yield Step("DeleteItem", {"TableName": "T", "Key": {"pk": S("a")}})


def compared(altered, accepted=(), monkeypatch=None):
    """The outcome of a run of the canned scenario against an altered twin."""
    monkeypatch.setattr(harness, "SCENARIOS", {"canned": canned_scenario})
    one, other = serve({}), serve(altered)
    try:
        endpoints = [f"http://127.0.0.1:{server.server_port}" for server in (one, other)]
        return harness.run(*endpoints, accepted, (), lambda _: None)
    finally:
        for server in (one, other):
            server.shutdown()
            server.server_close()


def alter(operation, change):
    """The canned answer of one operation with something changed."""
    status, body = copy.deepcopy(Canned.BODIES[operation])
    result = change(body)
    return {operation: result if isinstance(result, tuple) else (status, body)}


def test_equal_servers_are_equal(monkeypatch):
    outcome = compared({}, (), monkeypatch)
    assert (outcome.sent, outcome.equal, outcome.unexplained) == (5, 6, [])


@pytest.mark.parametrize("operation,change", [
    ("PutItem", lambda body: (500, {})), ("PutItem", lambda body: body.update(Attributes={})),
    ("GetItem", lambda body: body["Item"]["n"].update(N="1.50")), ("GetItem", lambda body: body["Item"].pop("n")),
    ("GetItem", lambda body: body["Item"]["set"]["SS"].append("z")), ("Scan", lambda body: body["Items"].pop()),
    ("Scan", lambda body: body.update(ScannedCount=3)), ("DescribeTable", lambda body: body["Table"].update(ItemCount=4)),
    ("DescribeTable", lambda body: body["Table"].pop("TableId")),
    ("DescribeTable", lambda body: body["Table"].update(TableArn="arn:aws:dynamodb:us-east-1:000000000000:table/U")),
    ("DeleteItem", lambda body: body.update(message="Another thing is wrong")),
    ("DeleteItem", lambda body: body.update(__type="b#ValidationException")), ("DeleteItem", lambda body: (200, {})),
])
def test_an_injected_difference_is_found(monkeypatch, operation, change):
    outcome = compared(alter(operation, change), (), monkeypatch)
    assert [step.operation for _, step, _ in outcome.unexplained] == [operation] and outcome.equal == 5


def test_a_derived_value_that_differs_is_found(monkeypatch):
    outcome = compared(alter("Scan", lambda body: body.update(Count=1)), (), monkeypatch)
    assert [type(step) for _, step, _ in outcome.unexplained] == [Step, Derived]


@pytest.mark.parametrize("operation,change", [
    ("GetItem", lambda body: body["Item"]["set"]["SS"].reverse()), ("Scan", lambda body: body["Items"].reverse()),
    ("DescribeTable", lambda body: body["Table"].update(TableId="2", CreationDateTime=99.0,
    TableArn="arn:aws:dynamodb:ddblocal:ddblocal:table/T".replace("ddblocal:ddblocal", "eu-west-1:ddblocal"))),
])
def test_what_two_servers_cannot_share_is_no_difference(monkeypatch, operation, change):
    assert compared(alter(operation, change), (), monkeypatch).unexplained == []


def test_the_order_of_a_list_matters_where_order_is_promised():
    step = Step("Query", {})
    forward = Answer(200, {}, b'{"Items": [{"n": {"N": "1"}}, {"n": {"N": "2"}}]}')
    backward = Answer(200, {}, b'{"Items": [{"n": {"N": "2"}}, {"n": {"N": "1"}}]}')
    assert normal(step, forward) != normal(step, backward)
    step.unordered = True
    assert normal(step, forward) == normal(step, backward)


def test_an_accepted_difference_must_explain_the_whole_answer(monkeypatch):
    def says_another(step, ours, theirs):
        body = theirs["body"]
        return {**theirs, "body": {**body, "message": "One thing is wrong"}} if "message" in body else None

    accepted = [Difference("another-word", "…", "…", says_another)]
    outcome = compared(alter("DeleteItem", lambda body: body.update(message="Another thing is wrong")), accepted, monkeypatch)
    assert outcome.accepted == {"another-word": 1} and outcome.unexplained == []
    outcome = compared(alter("DeleteItem", lambda body: body.update(message="Another", code=1)), accepted, monkeypatch)
    assert len(outcome.unexplained) == 1


def test_a_server_that_goes_away_is_a_difference(monkeypatch):
    monkeypatch.setattr(harness, "SCENARIOS", {"canned": canned_scenario})
    one = serve({})
    gone = serve({})
    endpoint = f"http://127.0.0.1:{gone.server_port}"
    gone.shutdown()
    gone.server_close()
    outcome = harness.run(f"http://127.0.0.1:{one.server_port}", endpoint, (), (), lambda _: None)
    one.shutdown()
    one.server_close()
    assert outcome.unexplained


def test_differences_name_the_place():
    assert list(differences({"a": [1, {"b": N(1)}]}, {"a": [1, {"b": N(2)}]})) == ['.a[1].b.N: ours "1", theirs "2"']
    assert list(differences({"a": True}, {"a": 1}))
