"""The Grafana dashboard and the alert rules of `monitoring/`: they parse, and every series and label they name is there."""

import json
import re
from pathlib import Path

import pytest
import yaml
from conftest import ENDPOINT, connect
from test_metrics import Scrape

from differential.scenario import create
from differential.servers import free_port

pytestmark = pytest.mark.skipif(bool(ENDPOINT), reason="DynamoDB Local has no metrics")
MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
# What Prometheus adds to every series, and what alert rules know beside the server's series.
ADDED = {"job", "instance"}
NOT_OURS = {"up"}
# The words of PromQL that stand where a name could.
WORDS = {"sum", "max", "min", "avg", "by", "or", "and", "unless", "rate", "histogram_quantile", "label_values", "without", "on"}
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?")


def expressions():
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            name, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            yield f"variable {variable['name']}", f"sum by ({label}) ({name})"
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "labels", "annotations"} <= rule.keys()
            yield f"alert {rule['alert']}", rule["expr"]


def names(expression):
    """The series of an expression with the labels that are asked of them, in selectors and in groupings."""
    grouped = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(",")}
    bare = re.sub(r"\bby \([^)]*\)", "", expression)
    bare = re.sub(r"\[[^]]*\]", "", bare)
    for name, selector in SELECTOR.findall(re.sub(r'"[^"]*"', '""', bare)):
        if name not in WORDS:
            yield name, grouped | {label.strip().rstrip("=~!") for label in selector.replace('""', "").split(",") if label}


@pytest.fixture(scope="module")
def scrape(tmp_path_factory):
    from partita_process import Partita

    port = free_port()
    with Partita("--metrics-listen", f"127.0.0.1:{port}", data_dir=tmp_path_factory.mktemp("data")) as server:
        client = connect(server.endpoint)
        provisioned = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
        client.create_table(**create("Watched", "pk:S").body | {"BillingMode": "PROVISIONED", "ProvisionedThroughput": provisioned})
        client.put_item(TableName="Watched", Item={"pk": {"S": "a"}})
        client.scan(TableName="Watched")
        client.query(TableName="Watched", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "a"}})
        client.update_table(TableName="Watched", AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "g", "AttributeType": "S"}],
            GlobalSecondaryIndexUpdates=[{"Create": {"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"}, "ProvisionedThroughput": provisioned}}])
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_item(TableName="Nowhere", Key={"pk": {"S": "a"}})
        yield Scrape(f"http://127.0.0.1:{port}")


def test_every_series_and_label_of_the_dashboard_and_the_alerts_is_there(scrape):
    labels = {}
    for name, has in scrape:
        family = re.sub("_(bucket|sum|count)$", "", name)
        for each in (name, family):
            labels.setdefault(each, set()).update(label for label, _ in has)
    seen = 0
    for where, expression in expressions():
        for name, wanted in names(expression):
            if name in NOT_OURS:
                continue
            seen += 1
            family = re.sub("_(bucket|sum|count)$", "", name)
            assert family in scrape.families or name in scrape.families, f"{where}: there is no {name}"
            if name in labels:
                missing = wanted - labels[name] - ADDED
                assert not missing, f"{where}: {name} has no {missing}"
    assert seen > 50


def test_every_counter_of_cloudwatchs_has_a_panel():
    named = {name for _, expression in expressions() for name, _ in names(expression)}
    for name in ["consumed_read_capacity_units_total", "consumed_write_capacity_units_total", "throttled_requests_total", "system_errors_total",
            "user_errors_total", "conditional_check_failed_requests_total", "transaction_conflicts_total", "returned_items_total",
            "returned_records_total", "returned_bytes_total", "time_to_live_deleted_items_total", "successful_request_latency_seconds_bucket"]:
        assert f"partita_{name}" in named
