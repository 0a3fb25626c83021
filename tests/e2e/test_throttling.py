"""Throughput that is enforced: what clients are told, and how SDKs get through."""

import time

import pytest
from answers import S
from botocore.exceptions import ClientError
from conftest import connect
from test_clock import Timed

from differential.scenario import create

PROVISIONED = "ProvisionedThroughputExceededException"


@pytest.fixture
def timed(own_server):
    """A server that throttles, whose clock can be moved."""
    return Timed(own_server("--in-memory", "--test-clock", "--throttling", "on"))


def provision(client, name, read, write, gsi=()):
    """A provisioned table; its indexes as (name, keys, read, write)."""
    units = lambda read, write: {"ReadCapacityUnits": read, "WriteCapacityUnits": write}
    body = create(name, "pk:S", gsi=[(index, keys, "ALL") for index, keys, *_ in gsi], ProvisionedThroughput=units(read, write)).body
    del body["BillingMode"]
    for index, (_, _, *of_index) in zip(body.get("GlobalSecondaryIndexes", []), gsi):
        index["ProvisionedThroughput"] = units(*of_index)
    return client.create_table(**body)["TableDescription"]["TableArn"]


def item(key, units, **more):
    """An item that takes so many write units."""
    return {"pk": S(str(key)), "filler": S("x" * (units * 1024 - 64)), **more}


def until_throttled(call, most=500):
    """How often a call is done before it is throttled, and what it is told then."""
    for done in range(most):
        try:
            call()
        except ClientError as error:
            return done, error.response
    raise AssertionError("nothing was throttled")


def test_beyond_its_units_a_table_throttles_and_says_why(timed):
    arn = provision(timed.client, "Orders", 5, 5, [("by-group", "group:S", 5, 1)])
    done, told = until_throttled(lambda: timed.client.put_item(TableName="Orders", Item=item("a", 100)))
    # 300 seconds of 5 units; the seconds that the calls take add a little.
    assert 15 <= done <= 17
    assert told["Error"]["Code"] == PROVISIONED
    assert told["Error"]["Message"].startswith("The level of configured provisioned throughput for the table was exceeded.")
    assert told["ThrottlingReasons"] == [{"reason": "TableWriteProvisionedThroughputExceeded", "resource": arn}]
    timed.pass_by(300)
    done, told = until_throttled(lambda: timed.client.put_item(TableName="Orders", Item=item(time.monotonic_ns(), 100, group=S("g"))))
    assert 3 <= done <= 4
    assert told["ThrottlingReasons"] == [{"reason": "IndexWriteProvisionedThroughputExceeded", "resource": f"{arn}/index/by-group"}]
    done, told = until_throttled(lambda: timed.client.get_item(TableName="Orders", Key={"pk": S("a")}, ConsistentRead=True))
    # A read of 100 KB takes 25 units.
    assert 60 <= done <= 62
    assert told["ThrottlingReasons"] == [{"reason": "TableReadProvisionedThroughputExceeded", "resource": arn}]
    described = timed.client.describe_table(TableName="Orders")["Table"]["ProvisionedThroughput"]
    assert described["NumberOfDecreasesToday"] == 0


def test_batches_and_transactions_say_what_was_left(timed):
    provision(timed.client, "Orders", 1, 1)
    puts = [{"PutRequest": {"Item": item(at, 90)}} for at in range(6)]
    answer = timed.client.batch_write_item(RequestItems={"Orders": puts})
    left = answer["UnprocessedItems"]["Orders"]
    # Four of 90 units overdraw the 300 by what a minute gives.
    assert len(left) == 2 and all(each in puts for each in left)
    with pytest.raises(ClientError) as caught:
        timed.client.batch_write_item(RequestItems={"Orders": [{"DeleteRequest": {"Key": {"pk": S("0")}}}]})
    assert caught.value.response["Error"]["Code"] == PROVISIONED
    with pytest.raises(ClientError) as caught:
        timed.client.transact_write_items(TransactItems=[{"Put": {"TableName": "Orders", "Item": item("a", 1)}}])
    reasons = caught.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["ProvisionedThroughputExceeded"]
    statement = timed.client.batch_execute_statement(Statements=[{"Statement": "DELETE FROM Orders WHERE pk = 'a'"}])
    assert statement["Responses"][0]["Error"]["Code"] == "ProvisionedThroughputExceeded"
    keys = [{"pk": S(str(at))} for at in range(3)]
    until_throttled(lambda: timed.client.get_item(TableName="Orders", Key=keys[0], ConsistentRead=True))
    with pytest.raises(ClientError):
        timed.client.batch_get_item(RequestItems={"Orders": {"Keys": keys, "ConsistentRead": True}})
    timed.pass_by(25)
    answer = timed.client.batch_get_item(RequestItems={"Orders": {"Keys": keys, "ConsistentRead": True}})
    assert len(answer["Responses"]["Orders"]) + len(answer["UnprocessedKeys"]["Orders"]["Keys"]) == 3


def test_the_maximum_of_an_on_demand_table(timed):
    timed.make("Orders", OnDemandThroughput={"MaxWriteRequestUnits": 3})
    done, told = until_throttled(lambda: timed.client.put_item(TableName="Orders", Item=item("a", 1)))
    assert 3 <= done <= 30
    assert told["Error"]["Code"] == "ThrottlingException"
    assert [reason["reason"] for reason in told["throttlingReasons"]] == ["TableWriteMaxOnDemandThroughputExceeded"]


@pytest.mark.parametrize("mode", ["standard", "adaptive"])
def test_boto3_finishes_a_throttled_load(timed, mode):
    provision(timed.client, "Orders", 5, 20)
    until_throttled(lambda: timed.client.put_item(TableName="Orders", Item=item("a", 100)))
    # What was overdrawn is paid back, and what that leaves is used up unit by unit.
    timed.pass_by(5)
    until_throttled(lambda: timed.client.put_item(TableName="Orders", Item=item("a", 1)))
    client = connect(timed.endpoint, retries={"max_attempts": 12, "mode": mode})
    retries = 0
    began = time.monotonic()
    for at in range(30):
        answer = client.put_item(TableName="Orders", Item=item(at, 1))
        retries += answer["ResponseMetadata"]["RetryAttempts"]
    assert retries > 0
    assert timed.client.scan(TableName="Orders", Select="COUNT")["Count"] == 31
    assert time.monotonic() - began < 30


def test_a_hot_key_under_emulation(own_server):
    timed = Timed(own_server("--in-memory", "--test-clock", "--throttling", "on", "--emulate-aws-limits"))
    provision(timed.client, "Orders", 40_000, 40_000)
    # The server is faster than a key may be written: some writes come within the same second.
    done, told = until_throttled(lambda: timed.client.put_item(TableName="Orders", Item=item("hot", 400)))
    assert done >= 3
    assert [reason["reason"] for reason in told["ThrottlingReasons"]] == ["TableWriteKeyRangeThroughputExceeded"]
    timed.client.put_item(TableName="Orders", Item=item("cold", 400))


def test_without_the_switch_nothing_is_throttled(own_server):
    running = own_server("--in-memory")
    client = connect(running.endpoint)
    provision(client, "Orders", 1, 1)
    for _ in range(10):
        client.put_item(TableName="Orders", Item=item("a", 100))
