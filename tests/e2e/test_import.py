"""Tables out of the objects of buckets: ImportTable, and bulk puts into tables in use."""

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from answers import N, S, refusal
from bulk import scan
from conftest import connect
from partita_process import Partita

pytestmark = pytest.mark.dynamodb_local_differs("does not know these operations")

AWS = Path(sys.executable).with_name("aws")
WAIT = {"Delay": 1, "MaxAttempts": 60}


class Buckets:
    """A server with two buckets, which are directories: one to read from, one to write to."""

    def __init__(self, at, *arguments):
        self.input, self.output, self.data = at / "in", at / "out", at / "data"
        buckets = ["--bucket", f"in={self.input}", "--bucket", f"out={self.output}"]
        self.server = Partita(*buckets, *arguments, data_dir=self.data)
        self.server.start()
        self.client = connect(self.server.endpoint)

    def put(self, key, text):
        place = self.input / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())

    def ended(self, arn, seconds=60):
        """Waits until an import has ended; how it is described then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            described = self.client.describe_import(ImportArn=arn)["ImportTableDescription"]
            if described["ImportStatus"] != "IN_PROGRESS":
                return described
            time.sleep(0.02)
        raise AssertionError("the import has not ended")

    def bulk_ended(self, arn, seconds=60):
        """The same of a bulk operation."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            described = self.client.describe_bulk_operation(BulkOperationArn=arn)["BulkOperationDescription"]
            if described["BulkOperationStatus"] not in ("IN_PROGRESS", "CANCELLING"):
                return described
            time.sleep(0.02)
        raise AssertionError("the bulk operation has not ended")

    def told(self, prefix, at=None):
        """All lines of JSON in the objects under a directory."""
        files = sorted(((at or self.output) / prefix).rglob("*.json"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def buckets(tmp_path_factory):
    all_of_it = Buckets(tmp_path_factory.mktemp("import"))
    yield all_of_it
    all_of_it.server.stop()


def table(name, **more):
    """TableCreationParameters of a table with the key `pk` and a global index over `group`."""
    index = {"IndexName": "by-group", "KeySchema": [{"AttributeName": "group", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}
    return {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "group")],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "GlobalSecondaryIndexes": [index],
        **more,
    }


def item(n):
    return {"pk": S(f"key-{n}"), "group": S(f"group-{n % 7}"), "n": N(n), "more": {"L": [{"BOOL": True}, {"NULL": True}, {"SS": ["a", "b"]}]}}


def lines(numbers, **more):
    return "".join(json.dumps({"Item": item(n), **more}) + "\n" for n in numbers)


def by_key(items):
    return {item["pk"]["S"]: item for item in items}


def contents(buckets, name, **more):
    return by_key(scan(buckets.server.endpoint, name, **more))


def start(buckets, name, prefix, form="DYNAMODB_JSON", **more):
    parameters = more.pop("parameters", None) or table(name)
    answer = buckets.client.import_table(
        S3BucketSource={"S3Bucket": "in", "S3KeyPrefix": prefix}, InputFormat=form, TableCreationParameters=parameters, **more
    )
    return answer["ImportTableDescription"]


# --- imports ------------------------------------------------------------------------------------------------------


def test_an_import_makes_a_table_with_its_index(buckets):
    text = [lines(range(700)), lines(range(700, 1000))]
    for number, part in enumerate(text):
        buckets.put(f"gz/{number}.json.gz", gzip.compress(part.encode()))
    begun = start(buckets, "Packed", "gz/", InputCompressionType="GZIP", ClientToken="packed")
    assert begun["ImportStatus"] == "IN_PROGRESS"
    assert begun["ClientToken"] == "packed"
    assert begun["S3BucketSource"] == {"S3BucketOwner": "000000000000", "S3Bucket": "in", "S3KeyPrefix": "gz/"}
    assert begun["TableCreationParameters"] == table("Packed")
    buckets.client.get_waiter("import_completed").wait(ImportArn=begun["ImportArn"], WaiterConfig=WAIT)
    described = buckets.client.describe_import(ImportArn=begun["ImportArn"])["ImportTableDescription"]
    assert described["ImportStatus"] == "COMPLETED"
    counted = {name: described[name] for name in ("ProcessedItemCount", "ImportedItemCount", "ErrorCount", "ProcessedSizeBytes")}
    assert counted == {"ProcessedItemCount": 1000, "ImportedItemCount": 1000, "ErrorCount": 0, "ProcessedSizeBytes": sum(map(len, text))}
    assert described["EndTime"] >= described["StartTime"]
    made = buckets.client.describe_table(TableName="Packed")["Table"]
    assert (made["TableStatus"], made["TableId"], made["ItemCount"]) == ("ACTIVE", described["TableId"], 1000)
    assert made["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE"
    expected = by_key(item(n) for n in range(1000))
    assert contents(buckets, "Packed") == expected
    assert contents(buckets, "Packed", IndexName="by-group") == expected
    summaries = buckets.client.list_imports(TableArn=made["TableArn"])["ImportSummaryList"]
    assert [summary["ImportArn"] for summary in summaries] == [begun["ImportArn"]]
    assert summaries[0]["ImportStatus"] == "COMPLETED"


def test_csv_with_the_command_line(buckets):
    buckets.put("csv/a.csv", 'key-1;group-1;"a ""quoted"";\nvalue"\nkey-2;group-2;\n')
    command = [AWS, "dynamodb", "--endpoint-url", buckets.server.endpoint, "--region", "us-east-1", "--output", "json"]
    environment = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "PATH": "/usr/bin:/bin"}

    def aws(*arguments):
        ran = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    options = json.dumps({"Csv": {"Delimiter": ";", "HeaderList": ["pk", "group", "value"]}})
    answer = aws(
        "import-table",
        *["--s3-bucket-source", "S3Bucket=in,S3KeyPrefix=csv/", "--input-format", "CSV", "--input-format-options", options],
        *["--table-creation-parameters", json.dumps(table("Rows"))],
    )
    arn = answer["ImportTableDescription"]["ImportArn"]
    buckets.ended(arn)
    aws("wait", "import-completed", "--import-arn", arn)
    assert aws("describe-import", "--import-arn", arn)["ImportTableDescription"]["ImportedItemCount"] == 2
    first = {"pk": S("key-1"), "group": S("group-1"), "value": S('a "quoted";\nvalue')}
    assert contents(buckets, "Rows") == by_key([first, {"pk": S("key-2"), "group": S("group-2"), "value": S("")}])


def test_ion_with_numbers_sets_and_blobs(buckets):
    buckets.put("ion/a.ion", '$ion_1_0 {Item:{pk:"a",n:6d2,s:$dynamodb_NS::[1.,2.5],b:{{AP8=}},m:{x:[null,true]}}} // one\n{Item:{pk:"b"}}')
    described = buckets.ended(start(buckets, "Ion", "ion/", "ION")["ImportArn"])
    assert (described["ImportStatus"], described["ImportedItemCount"]) == ("COMPLETED", 2)
    value = {"pk": S("a"), "n": N(600), "s": {"NS": ["1", "2.5"]}, "b": {"B": b"\x00\xff"}, "m": {"M": {"x": {"L": [{"NULL": True}, {"BOOL": True}]}}}}
    assert buckets.client.get_item(TableName="Ion", Key={"pk": S("a")})["Item"] == value


BAD = {
    "a truncated archive": ("DYNAMODB_JSON", "GZIP", gzip.compress(lines(range(5000)).encode())[:-400], "The compressed object ends too early"),
    "no archive": ("DYNAMODB_JSON", "ZSTD", lines(range(5)), "The object can not be decompressed"),
    "a quote that is not closed": ("CSV", "NONE", 'pk,group\na,b\n"c,d\ne,f\n', "The file ends inside a quoted value"),
    "a quote inside a value": ("CSV", "NONE", 'pk,group\na,b\nc"x",d\n', "A value with quotes in it is not quoted"),
    "a row too short": ("CSV", "NONE", "pk,group\na\n", "The row has 1 values, and the header has 2 columns"),
    "a header twice": ("CSV", "NONE", "pk,pk\na,b\n", "The header has the column pk twice"),
    "a timestamp of Ion": ("ION", "NONE", '{Item:{pk:"a",t:2007-02-23T12:14Z}}', "DynamoDB has no type for a timestamp of Ion"),
    "JSON as Ion": ("ION", "NONE", lines(range(1)), "The annotation"),
    "Ion as JSON": ("DYNAMODB_JSON", "NONE", '{Item:{pk:"a"}}', "The record is not JSON"),
    "no key": ("DYNAMODB_JSON", "NONE", '{"Item":{"group":{"S":"a"}}}', "One or more parameter values were invalid: Missing the key pk in the item"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told_and_the_rest_imported(buckets, what):
    form, compression, text, message = BAD[what]
    name = "Bad-" + what.replace(" ", "-")
    buckets.put(f"{name}/a", text)
    good = {"CSV": "pk,group\nlast,g\n", "ION": '{Item:{pk:"last"}}', "DYNAMODB_JSON": '{"Item":{"pk":{"S":"last"}}}'}[form]
    if compression == "GZIP":
        buckets.put(f"{name}/b", gzip.compress(good.encode()))
    elif compression == "NONE":
        buckets.put(f"{name}/b", good)
    begun = start(buckets, name, f"{name}/", form, InputCompressionType=compression)
    described = buckets.ended(begun["ImportArn"])
    assert (described["ImportStatus"], described["FailureCode"]) == ("FAILED", "ItemValidationError")
    assert described["ErrorCount"] >= 1
    assert described["ProcessedItemCount"] == described["ImportedItemCount"] + described["ErrorCount"]
    told = buckets.told(begun["ImportArn"].rsplit("/", 1)[1] + "/error", buckets.data / "import-logs")
    assert len(told) == described["ErrorCount"]
    if what != "JSON as Ion":
        assert told[0]["errorMessages"][0].startswith(message)
    assert told[0]["importArn"] == begun["ImportArn"]
    assert told[0]["itemS3Pointer"]["bucket"] == "in"
    items = contents(buckets, name)
    assert len(items) == described["ImportedItemCount"]
    if compression != "ZSTD":
        assert "last" in items


def test_what_can_not_begin_leaves_no_table(buckets):
    for source, code in [({"S3Bucket": "nowhere"}, "S3NoSuchBucket"), ({"S3Bucket": "in", "S3KeyPrefix": "no/such/"}, "S3NoSuchKey")]:
        answer = buckets.client.import_table(S3BucketSource=source, InputFormat="ION", TableCreationParameters=table("Never"))
        described = buckets.ended(answer["ImportTableDescription"]["ImportArn"])
        assert (described["ImportStatus"], described["FailureCode"], described["ErrorCount"]) == ("FAILED", code, 0)
        assert refusal(lambda: buckets.client.describe_table(TableName="Never"))[0] == "ResourceNotFoundException"


def test_tokens_and_names_are_used_once(buckets):
    buckets.put("once/a", lines(range(3)))
    begun = start(buckets, "Once", "once/", ClientToken="once")
    again = start(buckets, "Once", "once/", ClientToken="once")
    assert again["ImportArn"] == begun["ImportArn"]
    other = refusal(lambda: start(buckets, "Other", "once/", ClientToken="once"))
    assert other[0] == "ImportConflictException"
    there = refusal(lambda: start(buckets, "Once", "once/", ClientToken="twice"))
    assert there == ("ResourceInUseException", "Table already exists: Once")
    missing = begun["ImportArn"][:-8] + "00000000"
    assert refusal(lambda: buckets.client.describe_import(ImportArn=missing))[0] == "ImportNotFoundException"
    buckets.ended(begun["ImportArn"])
    first = buckets.client.list_imports(PageSize=1)
    second = buckets.client.list_imports(PageSize=1, NextToken=first["NextToken"])
    assert first["ImportSummaryList"] != second["ImportSummaryList"]


@pytest.mark.parametrize("form", ["DYNAMODB_JSON", "ION"])
def test_what_was_exported_is_imported_again(buckets, form):
    name = f"Round-{form}"
    arn = make(buckets, name)
    values = [S(""), S('"\'\n\\\u00e9 {}'), N("-1.5e-100"), N("1" * 38), {"B": b"\x00\xff"}, {"BS": [b"", b"a"]}, {"NS": ["-1", "2.5"]}, {"M": {"a b": {"L": []}, "$1": {"NULL": True}}}]
    items = [{**item(n), "value": value} for n, value in enumerate(values)] + [item(n) for n in range(len(values), 40)]
    for one in items:
        buckets.client.put_item(TableName=name, Item=one)
    recovery = {"PointInTimeRecoveryEnabled": True}
    buckets.client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
    export = buckets.client.export_table_to_point_in_time(TableArn=arn, S3Bucket="in", S3Prefix=name, ExportFormat=form)["ExportDescription"]
    buckets.client.get_waiter("export_completed").wait(ExportArn=export["ExportArn"], WaiterConfig=WAIT)
    data = f"{name}/AWSDynamoDB/{export['ExportArn'].rsplit('/', 1)[1]}/data/"
    described = buckets.ended(start(buckets, f"{name}-again", data, form, InputCompressionType="GZIP")["ImportArn"])
    assert (described["ImportStatus"], described["ImportedItemCount"]) == ("COMPLETED", 40)
    assert contents(buckets, f"{name}-again") == contents(buckets, name)


def test_a_killed_server_goes_on_exactly(tmp_path):
    buckets = Buckets(tmp_path)
    try:
        count = 15_000
        for number in range(3):
            part = lines(range(number * count // 3, (number + 1) * count // 3)) + "bad\n" * 50
            buckets.put(f"data/{number}.json.gz", gzip.compress(part.encode(), 1))
        arn = start(buckets, "Killed", "data/", InputCompressionType="GZIP")["ImportArn"]
        kills = behind = 0
        while kills < 3:
            described = buckets.client.describe_import(ImportArn=arn)["ImportTableDescription"]
            if described["ImportStatus"] != "IN_PROGRESS":
                break
            if described["ProcessedItemCount"] == behind:
                continue
            behind = described["ProcessedItemCount"]
            kills += 1
            buckets.server.kill()
            buckets.server.start()
        assert kills
        described = buckets.ended(arn)
        counted = [described[name] for name in ("ProcessedItemCount", "ImportedItemCount", "ErrorCount")]
        assert counted == [count + 150, count, 150]
        assert buckets.client.describe_table(TableName="Killed")["Table"]["ItemCount"] == count
        assert len(buckets.told(arn.rsplit("/", 1)[1] + "/error", buckets.data / "import-logs")) == 150
        assert len(contents(buckets, "Killed", IndexName="by-group")) == count
    finally:
        buckets.server.stop()


# --- bulk operations ----------------------------------------------------------------------------------------------


def bulk(buckets, name, prefix, output=("ERROR", "CONDITION_CHECK_FAILURE"), **more):
    answer = buckets.client.start_bulk_put_items(
        TableName=name,
        InputS3Configuration={"S3Bucket": "in", "S3KeyPrefix": prefix, "InputFormat": "DYNAMODB_JSON"},
        OutputS3Configuration={"S3Bucket": "out", "S3KeyPrefix": "told", "OutputType": list(output)},
        **more,
    )
    return answer["BulkOperationDescription"]


def make(buckets, name):
    index = {"IndexName": "by-group", "KeySchema": [{"AttributeName": "group", "KeyType": "HASH"}], "Projection": {"ProjectionType": "KEYS_ONLY"}}
    parameters = {**table(name), "GlobalSecondaryIndexes": [index], "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}}
    return buckets.client.create_table(**parameters)["TableDescription"]["TableArn"]


def test_bulk_puts_with_conditions(buckets):
    arn = make(buckets, "Bulk")
    for n in range(5):
        buckets.client.put_item(TableName="Bulk", Item={"pk": S(f"key-{n}"), "old": S("old")})
    if_new = {"ConditionExpression": "attribute_not_exists(#k)", "ExpressionAttributeNames": {"#k": "pk"}}
    buckets.put("bulk/a.json", lines(range(20), **if_new) + '{"Item":{"pk":{"N":"1"}}}\n' + lines(range(20, 30)))
    begun = bulk(buckets, arn, "bulk/", MaxWriteRequestUnits=2048, PerformanceTier="ACCELERATED")
    assert (begun["BulkOperationStatus"], begun["PerformanceTier"], begun["MaxWriteRequestUnits"]) == ("IN_PROGRESS", "ACCELERATED", 2048)
    operation = begun["BulkOperationArn"]
    buckets.client.get_waiter("bulk_operation_completed").wait(BulkOperationArn=operation, WaiterConfig=WAIT)
    ended = buckets.bulk_ended(operation)
    assert ended["BulkOperationStatus"] == "COMPLETED_WITH_ERRORS"
    assert (ended["ProcessedItemCount"], ended["FailedItemCount"]) == (31, 1)
    assert ended["ProcessedInputBytes"] == ended["TotalInputBytes"] == (buckets.input / "bulk/a.json").stat().st_size
    usage = ended["BulkOperationUsage"][0]
    assert usage["Table"]["BulkPutBytes"] == usage["GlobalSecondaryIndexes"]["by-group"]["BulkPutBytes"] == 25 * 1024
    assert ended["TableDetails"][0]["TableName"] == "Bulk"
    items = contents(buckets, "Bulk")
    assert len(items) == 30
    assert items["key-4"] == {"pk": S("key-4"), "old": S("old")}
    assert items["key-29"] == item(29)
    told = f"told/AWSDynamoDB/{operation.rsplit('/', 1)[1]}"
    assert [line["itemS3Pointer"]["itemIndex"] for line in buckets.told(f"{told}/error")] == [20]
    failed = buckets.told(f"{told}/condition-check-failure")
    assert [line["existingItem"]["pk"]["S"] for line in failed] == [f"key-{n}" for n in range(5)]
    assert failed[0]["item"]["n"] == {"N": "0"}
    listed = buckets.client.list_bulk_operations()["BulkOperationsSummaryList"]
    assert listed[0]["BulkOperationArn"] == operation
    assert refusal(lambda: buckets.client.cancel_bulk_operation(BulkOperationArn=operation))[0] == "ValidationException"


def test_a_bulk_operation_keeps_its_rate_and_can_be_cancelled(buckets):
    make(buckets, "Slow")
    buckets.put("slow/a.json", lines(range(20_000)))
    operation = bulk(buckets, "Slow", "slow/", MaxWriteRequestUnits=1024)["BulkOperationArn"]
    began = time.monotonic()
    written = 0
    while written < 500:
        assert time.monotonic() < began + 30
        described = buckets.client.describe_bulk_operation(BulkOperationArn=operation)["BulkOperationDescription"]
        written = described["ProcessedItemCount"]
        time.sleep(0.05)
    # Each item takes a unit of the table and one of its index.
    assert written <= 512 * (time.monotonic() - began + 1)
    assert buckets.client.cancel_bulk_operation(BulkOperationArn=operation)["BulkOperationStatus"] == "CANCELLING"
    ended = buckets.bulk_ended(operation)
    assert ended["BulkOperationStatus"] == "CANCELLED"
    assert ended["FailureCode"]
    assert len(contents(buckets, "Slow")) == ended["ProcessedItemCount"] < 20_000


def test_bulk_operations_are_refused_where_they_can_not_be(buckets):
    assert refusal(lambda: bulk(buckets, "Missing", "bulk/"))[0] == "ResourceNotFoundException"
    make(buckets, "Refused")
    assert refusal(lambda: bulk(buckets, "Refused", "bulk/", MaxWriteRequestUnits=1023))[0] == "ValidationException"
    assert refusal(lambda: bulk(buckets, "Refused", "bulk/", output=()))[0] == "ValidationException"
    first = bulk(buckets, "Refused", "no/such/", ClientToken="refused")
    assert bulk(buckets, "Refused", "no/such/", ClientToken="refused")["BulkOperationArn"] == first["BulkOperationArn"]
    other = refusal(lambda: bulk(buckets, "Refused", "bulk/", ClientToken="refused"))
    assert other[0] == "IdempotentParameterMismatchException"
    ended = buckets.bulk_ended(first["BulkOperationArn"])
    assert (ended["BulkOperationStatus"], ended["FailureCode"]) == ("FAILED", "S3NoSuchKey")
    missing = first["BulkOperationArn"][:-8] + "00000000"
    assert refusal(lambda: buckets.client.describe_bulk_operation(BulkOperationArn=missing))[0] == "ResourceNotFoundException"
