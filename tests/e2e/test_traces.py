"""OpenTelemetry: what a collector is sent, and that a collector that is gone harms nothing."""

import http.server
import json
import threading
import time

import pytest
from botocore.exceptions import ClientError
from conftest import ENDPOINT, connect

from differential.scenario import create

pytestmark = pytest.mark.skipif(bool(ENDPOINT), reason="DynamoDB Local sends no telemetry")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it, by path."""

    def __init__(self, status=200):
        self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler):
                body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
                self.received.append((handler.path, dict(handler.headers), body))
                handler.send_response(status)
                handler.send_header("Content-Length", "2")
                handler.end_headers()
                handler.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self):
        return [span for path, _, body in self.received if path == "/v1/traces"
                for resource in body["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"]]

    def metrics(self):
        return {metric["name"]: metric for path, _, body in self.received if path == "/v1/metrics"
                for resource in body["resourceMetrics"] for scope in resource["scopeMetrics"] for metric in scope["metrics"]}


def attributes(span):
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def test_a_collector_is_sent_a_span_for_each_request_and_the_metrics(own_server):
    collector = Collector()
    server = own_server("--in-memory", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b", "OTEL_SERVICE_NAME": "db"})
    client = connect(server.endpoint)
    client.create_table(**create("Traced", "pk:S").body)
    answer = client.put_item(TableName="Traced", Item={"pk": {"S": "PLANTEDsecret"}})

    def parent(flags):
        def add(request, **_):
            request.headers["traceparent"] = f"00-{TRACE}-{SPAN}-{flags}"
        return add

    client.meta.events.register("before-send.dynamodb.GetItem", parent("01"), unique_id="p")
    client.get_item(TableName="Traced", Key={"pk": {"S": "PLANTEDsecret"}})
    client.meta.events.unregister("before-send.dynamodb.GetItem", unique_id="p")
    client.meta.events.register("before-send.dynamodb.GetItem", parent("00"), unique_id="p")
    client.get_item(TableName="Traced", Key={"pk": {"S": "PLANTEDsecret"}})
    with pytest.raises(ClientError):
        client.scan(TableName="Nowhere")
    assert server.stop() == 0  # What waits is sent before the end.
    spans = collector.spans()
    assert [span["name"] for span in spans] == ["DynamoDB.CreateTable", "DynamoDB.PutItem", "DynamoDB.GetItem", "DynamoDB.Scan"]
    put, get, scan = spans[1:]
    assert attributes(put)["aws.request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert attributes(put)["aws.dynamodb.table_names"] == {"values": [{"stringValue": "Traced"}]}
    assert "parentSpanId" not in put and put["kind"] == 2 and len(put["traceId"]) == 32 and len(put["spanId"]) == 16
    assert 0 < int(put["endTimeUnixNano"]) - int(put["startTimeUnixNano"]) < 10**10
    assert abs(int(put["startTimeUnixNano"]) / 1e9 - time.time()) < 60
    assert (get["traceId"], get["parentSpanId"]) == (TRACE, SPAN)
    assert attributes(scan)["http.response.status_code"] == "400"
    assert "PLANTED" not in json.dumps([body for _, _, body in collector.received])
    _, headers, body = collector.received[0]
    assert headers["Api-Key" if "Api-Key" in headers else "api-key"] == "a b"
    named = {each["key"]: each["value"]["stringValue"] for each in body["resourceSpans"][0]["resource"]["attributes"]}
    assert named["service.name"] == "db"
    points = collector.metrics()["partita_consumed_write_capacity_units_total"]["sum"]["dataPoints"]
    assert [point["asDouble"] for point in points] == [1.0]
    histogram = collector.metrics()["partita_successful_request_latency_seconds"]["histogram"]["dataPoints"]
    assert sum(int(point["count"]) for point in histogram) == 4


@pytest.mark.parametrize("broken", ["gone", "refusing"])
def test_a_collector_that_takes_nothing_harms_nothing(own_server, broken):
    endpoint = "http://127.0.0.1:1" if broken == "gone" else Collector(status=503).endpoint
    server = own_server("--in-memory", "--otlp-endpoint", endpoint)
    client = connect(server.endpoint)
    client.create_table(**create("Traced", "pk:S").body)
    for number in range(50):
        client.put_item(TableName="Traced", Item={"pk": {"S": str(number)}})
    assert server.stop() == 0
    assert "telemetry can not be sent" in server.output()


def test_an_endpoint_that_is_none_is_refused_at_the_start(own_server):
    with pytest.raises(RuntimeError, match="is not an endpoint of OTLP"):
        own_server("--in-memory", "--otlp-endpoint", "localhost:4318")
