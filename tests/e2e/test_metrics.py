"""Metrics: what /metrics says compared with what was asked, who may read it, and that it stays bounded."""

import json
import re
import threading
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError
from conftest import ENDPOINT, connect

from differential.scenario import create
from differential.servers import free_port

pytestmark = pytest.mark.skipif(bool(ENDPOINT), reason="DynamoDB Local has no metrics")
LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
ROOT = {"PARTITA_ROOT_ACCESS_KEY_ID": "AKIAROOTEXAMPLE00001", "PARTITA_ROOT_SECRET_ACCESS_KEY": "root/Secret+Key/0123456789abcdefghijklmn"}


class Scrape(dict):
    """The samples of a scrape: (name, labels) to value."""

    def __init__(self, endpoint):
        super().__init__()
        with urllib.request.urlopen(f"{endpoint}/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            self.text = answer.read().decode()
        self.families = {}
        for line in self.text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.families, f"{name} is declared twice"
                self.families[name] = kind
            elif not line.startswith("# HELP "):
                name, labels, value = LINE.match(line).groups()
                labels = frozenset(LABEL.findall(labels or ""))
                assert (name, labels) not in self, f"a series stands there twice: {line}"
                self[name, labels] = float(value)

    def of(self, name, **labels):
        """The sum of the series of this name that have these labels, among others perhaps."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.items() if found == name and wanted <= has)

    def tables(self):
        return {value for _, labels in self for label, value in labels if label == "table_name"}


def attempt(call, **arguments):
    try:
        return call(**arguments)
    except ClientError as error:
        return error.response


def test_metrics_agree_with_what_was_asked_and_with_the_capacity_that_was_returned(server, client, make_table):
    provisioned = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 9}
    table = make_table("pk:S sk:N", BillingMode="PROVISIONED", ProvisionedThroughput=provisioned,
        GlobalSecondaryIndexes=[{"IndexName": "by-g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"},
            "ProvisionedThroughput": provisioned}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}, {"AttributeName": "g", "AttributeType": "S"}])
    key = lambda number: {"pk": {"S": "a"}, "sk": {"N": str(number)}}
    read, write, index_read, index_write = 0.0, 0.0, 0.0, 0.0

    def consumed(answer):
        nonlocal read, write, index_read, index_write
        for each in answer["ConsumedCapacity"] if isinstance(answer["ConsumedCapacity"], list) else [answer["ConsumedCapacity"]]:
            of_index = sum(index["CapacityUnits"] for index in each.get("GlobalSecondaryIndexes", {}).values())
            yield each["Table"]["CapacityUnits"] if "Table" in each else 0.0, of_index

    detail = {"TableName": table, "ReturnConsumedCapacity": "INDEXES"}
    for number in range(6):
        for units, of_index in consumed(client.put_item(**detail, Item={**key(number), "g": {"S": "x"}, "v": {"S": "v" * 2000 * number}})):
            write, index_write = write + units, index_write + of_index
    for units, of_index in consumed(client.update_item(**detail, Key=key(1), UpdateExpression="SET w = :w", ExpressionAttributeValues={":w": {"N": "1"}})):
        write, index_write = write + units, index_write + of_index
    for arguments in [{}, {"ConsistentRead": True}]:
        for units, _ in consumed(client.get_item(**detail, Key=key(5), **arguments)):
            read += units
    query = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}
    for units, _ in consumed(client.query(**detail, **query)):
        read += units
    index = "by-g"
    by_index = {"IndexName": index, "KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": {"S": "x"}}}
    for units, of_index in consumed(client.query(**detail, **by_index)):
        read, index_read = read + units, index_read + of_index
    for units, _ in consumed(client.transact_get_items(TransactItems=[{"Get": {"TableName": table, "Key": key(3)}}], ReturnConsumedCapacity="INDEXES")):
        read += units
    found = attempt(client.put_item, TableName=table, Item=key(1), ConditionExpression="attribute_not_exists(pk)")
    assert found["Error"]["Code"] == "ConditionalCheckFailedException"
    write += 2  # The item that stood against it has 2 KB.
    attempt(client.get_item, TableName=table, Key={"pk": {"S": "a"}})

    scrape = Scrape(server.endpoint)
    of_index = lambda name: scrape.of(name, table_name=table, global_secondary_index_name=index)
    of_table = lambda name, **labels: scrape.of(name, table_name=table, **labels)
    assert of_index("partita_consumed_read_capacity_units_total") == index_read > 0
    assert of_index("partita_consumed_write_capacity_units_total") == index_write > 0
    assert of_table("partita_consumed_read_capacity_units_total") - index_read == read > 0
    assert of_table("partita_consumed_write_capacity_units_total") - index_write == write > 0
    assert of_table("partita_provisioned_read_capacity_units") - of_index("partita_provisioned_read_capacity_units") == 7
    latency = "partita_successful_request_latency_seconds_count"
    counted = {operation: of_table(latency, operation=operation) for operation in ["PutItem", "UpdateItem", "GetItem", "Query", "TransactGetItems"]}
    assert counted == {"PutItem": 6, "UpdateItem": 1, "GetItem": 2, "Query": 2, "TransactGetItems": 1}
    assert of_table("partita_returned_items_total", operation="Query") == 12
    assert of_table("partita_conditional_check_failed_requests_total") == 1
    assert scrape.of("partita_user_errors_total", operation="GetItem", code="ValidationException") >= 1


def test_a_transaction_counts_its_members_that_stood_against_it(server, client, make_table):
    table = make_table("pk:S")
    check = {"ConditionCheck": {"TableName": table, "Key": {"pk": {"S": "no"}}, "ConditionExpression": "attribute_exists(pk)"}}
    put = {"Put": {"TableName": table, "Item": {"pk": {"S": "a"}}}}
    assert attempt(client.transact_write_items, TransactItems=[check, put])["Error"]["Code"] == "TransactionCanceledException"
    assert Scrape(server.endpoint).of("partita_conditional_check_failed_requests_total", table_name=table) == 1


def test_stream_records_are_counted_for_their_table(server, client, streams, make_table):
    table = make_table("pk:S", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    for number in range(5):
        client.put_item(TableName=table, Item={"pk": {"S": str(number)}})
    arn = client.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        streams.get_records(ShardIterator=iterator)
    scrape = Scrape(server.endpoint)
    assert scrape.of("partita_returned_records_total", table_name=table, operation="GetRecords") == 5
    assert scrape.of("partita_returned_bytes_total", table_name=table, operation="GetRecords") > 100


def test_series_of_deleted_tables_leave_and_only_so_many_tables_have_any(own_server):
    server = own_server("--in-memory", "--metrics-tables", "20")
    client = connect(server.endpoint)
    names = [f"Table{number:03}" for number in range(30)]
    for name in names:
        client.create_table(**create(name, "pk:S").body)
        client.put_item(TableName=name, Item={"pk": {"S": "a"}})
    scrape = Scrape(server.endpoint)
    assert scrape.tables() == set(names[:20])
    assert (scrape.of("partita_tables"), scrape.of("partita_tables_omitted")) == (20, 1)
    for name in names[:15]:
        client.delete_table(TableName=name)
    scrape = Scrape(server.endpoint)
    assert scrape.tables() == set(names[15:])
    assert scrape.of("partita_tables_omitted") == 0
    # A new table of an old name begins anew.
    client.create_table(**create(names[0], "pk:S").body)
    client.put_item(TableName=names[0], Item={"pk": {"S": "a"}})
    assert Scrape(server.endpoint).of("partita_consumed_write_capacity_units_total", table_name=names[0]) == 1
    # Names that are not there, and operations that are none, make no series.
    before = len(Scrape(server.endpoint))
    for number in range(50):
        attempt(client.get_item, TableName=f"Nowhere{number}", Key={"pk": {"S": "a"}})
    assert len(Scrape(server.endpoint)) == before + 1


def test_scrapes_under_load_never_see_a_counter_fall(server, client, make_table):
    table = make_table("pk:S")
    stop = threading.Event()

    def load():
        own = connect(server.endpoint)
        while not stop.is_set():
            own.put_item(TableName=table, Item={"pk": {"S": "a"}})

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        scrapes = [Scrape(server.endpoint) for _ in range(20)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    grows = {name for name, kind in scrapes[0].families.items() if kind != "gauge"}
    for before, after in zip(scrapes, scrapes[1:]):
        for (name, labels), value in before.items():
            if re.sub("_(bucket|sum|count)$", "", name) in grows or name in grows:
                assert after[name, labels] >= value, (name, labels)
    last = Scrape(server.endpoint)
    count = last.of("partita_successful_request_latency_seconds_count", table_name=table)
    assert count == last.of("partita_consumed_write_capacity_units_total", table_name=table) > 20


def test_with_authentication_only_the_listener_of_their_own_has_metrics(own_server, tmp_path):
    port = free_port()
    server = own_server("--in-memory", "--auth", "on", "--metrics-listen", f"127.0.0.1:{port}", environment=ROOT)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.endpoint}/metrics")
    assert refused.value.code == 404 and b"partita" not in refused.value.read()
    scrape = Scrape(f"http://127.0.0.1:{port}")
    assert scrape.of("partita_ready") == 1
    # Nothing else is there: neither the API nor anything of it.
    for path in ["/", "/?Action=ListUsers"]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=b"{}", headers={"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == 404


def test_each_request_is_told_in_the_log_without_values(own_server):
    server = own_server("--in-memory", "--log-requests", "--log-format", "json")
    client = connect(server.endpoint)
    client.create_table(**create("Logged", "pk:S").body)
    client.put_item(TableName="Logged", Item={"pk": {"S": "PLANTEDsecret"}, "v": {"S": "PLANTEDsecret"}})
    answer = attempt(client.get_item, TableName="Logged", Key={"pk": {"N": "1"}})
    lines = [line for line in server.output().splitlines() if '"request"' in line]
    assert "PLANTED" not in server.output()
    told = [json.loads(line) for line in lines]
    assert [(line["operation"], line.get("table"), line["status"]) for line in told] == [
        ("CreateTable", None, 200), ("PutItem", "Logged", 200), ("GetItem", "Logged", 400)]
    assert told[2]["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert all(line["microseconds"] > 0 and line["response_bytes"] > 0 for line in told)
