"""Tables: creation, description, listing, change, tags, limits and end."""

import time

import pytest
from answers import N, S, refusal, refused

from differential.scenario import create

MISSING = "ResourceNotFoundException"


def test_a_table_is_active_at_the_first_look(client, make_table):
    name = make_table()
    assert client.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE"


def test_waiters_finish_at_once(client):
    began = time.monotonic()
    client.create_table(**create("Waited").body)
    client.get_waiter("table_exists").wait(TableName="Waited")
    client.delete_table(TableName="Waited")
    client.get_waiter("table_not_exists").wait(TableName="Waited")
    assert time.monotonic() - began < 5


def test_create_of_an_existing_table_is_refused(client, make_table):
    name = make_table()
    with refused("ResourceInUseException"):
        client.create_table(**create(name).body)


@pytest.mark.dynamodb_local_differs("says only: Cannot create preexisting table")
def test_create_of_an_existing_table_names_it(client, make_table):
    name = make_table()
    assert refusal(client.create_table, **create(name).body) == ("ResourceInUseException", f"Table already exists: {name}")


@pytest.mark.dynamodb_local_differs("does not name the table")
def test_a_missing_table_is_named_where_the_real_service_names_it(client):
    for call in (client.describe_table, client.delete_table, client.update_table):
        more = {"BillingMode": "PAY_PER_REQUEST"} if call == client.update_table else {}
        assert refusal(call, TableName="NoSuchTable", **more) == (MISSING, "Requested resource not found: Table: NoSuchTable not found")


@pytest.mark.dynamodb_local_differs("says: Cannot do operations on a non-existent table")
def test_item_operations_on_a_missing_table(client):
    expected = (MISSING, "Requested resource not found")
    key = {"pk": S("a")}
    assert refusal(client.get_item, TableName="NoSuchTable", Key=key) == expected
    assert refusal(client.put_item, TableName="NoSuchTable", Item=key) == expected
    assert refusal(client.delete_item, TableName="NoSuchTable", Key=key) == expected
    assert refusal(client.update_item, TableName="NoSuchTable", Key=key) == expected
    assert refusal(client.scan, TableName="NoSuchTable") == expected
    assert refusal(client.query, TableName="NoSuchTable", KeyConditionExpression="pk = :a",
        ExpressionAttributeValues={":a": S("a")}) == expected
    assert refusal(client.batch_get_item, RequestItems={"NoSuchTable": {"Keys": [key]}}) == expected
    assert refusal(client.batch_write_item, RequestItems={"NoSuchTable": [{"PutRequest": {"Item": key}}]}) == expected


def test_list_tables_pages_in_order_of_names(client, make_table):
    names = sorted(make_table(name=f"Listed{suffix}") for suffix in ("a", "B", "_x", "-y", ".z", "10", "9"))
    seen, start = [], {"ExclusiveStartTableName": "Liste"}
    while True:
        page = client.list_tables(Limit=2, **start)
        seen += page["TableNames"]
        assert len(page["TableNames"]) <= 2
        if "LastEvaluatedTableName" not in page:
            break
        assert page["LastEvaluatedTableName"] == page["TableNames"][-1]
        start = {"ExclusiveStartTableName": page["LastEvaluatedTableName"]}
    assert [name for name in seen if name.startswith("Listed")] == names


def test_description_counts_items_and_bytes(client, make_table):
    name = make_table()
    client.put_item(TableName=name, Item={"pk": S("abc"), "v": S("x" * 10)})
    client.put_item(TableName=name, Item={"pk": S("abd")})
    table = client.describe_table(TableName=name)["Table"]
    assert (table["ItemCount"], table["TableSizeBytes"]) == (2, 2 + 3 + 1 + 10 + 2 + 3)


def test_index_descriptions(client, make_table):
    name = make_table("pk:S sk:N", lsi=[("ByLk", "pk:S lk:N", ("a", "b"))], gsi=[("ByG", "g:S", "KEYS_ONLY")])
    table = client.describe_table(TableName=name)["Table"]
    (local,), (world,) = table["LocalSecondaryIndexes"], table["GlobalSecondaryIndexes"]
    assert local["IndexArn"] == f"{table['TableArn']}/index/ByLk" and local["IndexName"] == "ByLk"
    assert local["Projection"]["ProjectionType"] == "INCLUDE" and sorted(local["Projection"]["NonKeyAttributes"]) == ["a", "b"]
    assert world["IndexStatus"] == "ACTIVE" and world["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert world["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_update_of_throughput_and_billing_mode(client, make_table):
    name = make_table(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5})
    client.update_table(TableName=name, ProvisionedThroughput={"ReadCapacityUnits": 7, "WriteCapacityUnits": 3})
    throughput = client.describe_table(TableName=name)["Table"]["ProvisionedThroughput"]
    assert (throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]) == (7, 3)
    client.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
    assert client.describe_table(TableName=name)["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.dynamodb_local_differs("says: The requested throughput value equals the current value")
def test_unchanged_throughput_is_refused(client, make_table):
    name = make_table(BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5})
    code, message = refusal(client.update_table, TableName=name, ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5})
    assert code == "ValidationException"
    assert message.startswith("The provisioned throughput for the table will not change")


def test_deletion_protection(client, make_table):
    name = make_table(DeletionProtectionEnabled=True)
    assert client.describe_table(TableName=name)["Table"]["DeletionProtectionEnabled"] is True
    with refused("ValidationException",
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."):
        client.delete_table(TableName=name)
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=name)


@pytest.mark.dynamodb_local_differs("does not keep the table class")
def test_table_class(client, make_table):
    name = make_table(TableClass="STANDARD_INFREQUENT_ACCESS")
    assert client.describe_table(TableName=name)["Table"]["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    client.update_table(TableName=name, TableClass="STANDARD")
    assert client.describe_table(TableName=name)["Table"]["TableClassSummary"]["TableClass"] == "STANDARD"


@pytest.mark.dynamodb_local_differs("does not keep on-demand maximums")
def test_on_demand_maximums(client, make_table):
    name = make_table(OnDemandThroughput={"MaxReadRequestUnits": 10, "MaxWriteRequestUnits": 20})
    assert client.describe_table(TableName=name)["Table"]["OnDemandThroughput"] == {"MaxReadRequestUnits": 10, "MaxWriteRequestUnits": 20}


def test_stream_specification(client, make_table):
    name = make_table(StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    table = client.describe_table(TableName=name)["Table"]
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["LatestStreamArn"] == f"{table['TableArn']}/stream/{table['LatestStreamLabel']}"


@pytest.mark.dynamodb_local_differs("has no tags")
def test_tags(client, make_table):
    name = make_table(Tags=[{"Key": "team", "Value": "a"}, {"Key": "empty", "Value": ""}])
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]

    def tags():
        return {tag["Key"]: tag["Value"] for tag in client.list_tags_of_resource(ResourceArn=arn)["Tags"]}

    assert tags() == {"team": "a", "empty": ""}
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "stage", "Value": "test"}])
    assert tags() == {"team": "b", "empty": "", "stage": "test"}
    client.untag_resource(ResourceArn=arn, TagKeys=["team", "absent"])
    assert tags() == {"empty": "", "stage": "test"}


@pytest.mark.dynamodb_local_differs("knows no names of tables as ARNs")
def test_arns_instead_of_names(client, make_table):
    name = make_table(gsi=[("ByG", "g:S", "ALL")])
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]
    key = {"pk": S("a")}
    client.put_item(TableName=arn, Item={**key, "g": S("x")})
    assert client.get_item(TableName=arn, Key=key)["Item"] == {**key, "g": S("x")}
    assert client.describe_table(TableName=arn)["Table"]["TableName"] == name
    assert client.scan(TableName=arn)["Count"] == 1
    assert client.query(TableName=arn, IndexName="ByG", KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": S("x")})["Count"] == 1
    assert client.batch_get_item(RequestItems={arn: {"Keys": [key]}})["Responses"][arn] == [{**key, "g": S("x")}]
    client.update_item(TableName=arn, Key=key, UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": N(1)})
    client.delete_item(TableName=arn, Key=key)
    client.delete_table(TableName=arn)
    assert refusal(client.describe_table, TableName=name)[0] == MISSING


def test_limits_of_account_and_table(client):
    limits = client.describe_limits()
    assert limits["AccountMaxReadCapacityUnits"] == limits["AccountMaxWriteCapacityUnits"] == 80000
    assert limits["TableMaxReadCapacityUnits"] == limits["TableMaxWriteCapacityUnits"] == 40000


@pytest.mark.dynamodb_local_differs("does not know DescribeEndpoints")
def test_endpoints_are_where_the_request_went(wire):
    for host in (f"127.0.0.1:{wire.port}", f"localhost:{wire.port}"):
        answer = wire.call("DescribeEndpoints", {}, {"Host": host})
        (endpoint,) = answer.body["Endpoints"]
        assert endpoint["Address"] == host and endpoint["CachePeriodInMinutes"] >= 1


def test_time_to_live_of_a_fresh_table_is_disabled(client, make_table):
    assert client.describe_time_to_live(TableName=make_table())["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}


@pytest.mark.dynamodb_local_differs("does not know these operations")
def test_what_infrastructure_tools_ask_of_a_table(client, make_table):
    name = make_table()
    arn = client.describe_table(TableName=name)["Table"]["TableArn"]
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
    assert client.describe_kinesis_streaming_destination(TableName=name)["KinesisDataStreamDestinations"] == []
    assert client.describe_contributor_insights(TableName=name)["ContributorInsightsStatus"] == "DISABLED"
    assert client.list_global_tables()["GlobalTables"] == []
    assert refusal(client.get_resource_policy, ResourceArn=arn)[0] == "PolicyNotFoundException"


@pytest.mark.dynamodb_local_differs("accepts them silently")
@pytest.mark.parametrize("more", [{"ResourcePolicy": "{}"}, {"SSESpecification": {"Enabled": True, "SSEType": "KMS",
    "KMSMasterKeyId": "alias/mine"}}])
def test_parameters_whose_silence_would_harm_are_refused(client, more):
    code, message = refusal(client.create_table, **create("Refused", **more).body)
    assert code == "ValidationException" and message
    assert refusal(client.describe_table, TableName="Refused")[0] == MISSING


def test_a_dropped_and_created_table_is_empty(client):
    for _ in range(3):
        client.create_table(**create("Again", "pk:S", gsi=[("ByG", "g:S", "ALL")]).body)
        assert client.scan(TableName="Again")["Count"] == 0
        assert client.scan(TableName="Again", IndexName="ByG")["Count"] == 0
        client.put_item(TableName="Again", Item={"pk": S("a"), "g": S("b")})
        client.delete_table(TableName="Again")
