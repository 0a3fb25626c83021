"""Regions and accounts: separate name spaces, taken from the credential scope."""

import pytest
from conftest import connect

from differential.scenario import create


@pytest.fixture
def at(own_server):
    """Clients of one server by region and access key."""
    running = own_server("--in-memory")
    return lambda region="us-east-1", access_key="AKIAIOSFODNN7EXAMPLE": connect(running.endpoint, region, access_key)


def test_each_region_has_its_own_tables(at):
    at("us-east-1").create_table(**create("Here").body)
    at("eu-central-1").create_table(**create("There").body)
    assert at("us-east-1").list_tables()["TableNames"] == ["Here"]
    assert at("eu-central-1").list_tables()["TableNames"] == ["There"]
    at("eu-central-1").create_table(**create("Here", "pk:N").body)
    assert at("us-east-1").describe_table(TableName="Here")["Table"]["AttributeDefinitions"][0]["AttributeType"] == "S"
    assert at("eu-central-1").describe_table(TableName="Here")["Table"]["TableArn"] == "arn:aws:dynamodb:eu-central-1:000000000000:table/Here"


def test_any_two_dummy_keys_see_the_same_tables(at):
    at(access_key="dummy").create_table(**create("Shared").body)
    for key in ("AKIAIOSFODNN7EXAMPLE", "test", "anotherKey123", "12345", "1234567890123"):
        assert at(access_key=key).list_tables()["TableNames"] == ["Shared"]
    assert at(access_key="x").describe_table(TableName="Shared")["Table"]["TableArn"].split(":")[4] == "000000000000"


def test_a_key_of_twelve_digits_is_the_account(at):
    at(access_key="111122223333").create_table(**create("Mine").body)
    assert at(access_key="444455556666").list_tables()["TableNames"] == []
    assert at(access_key="dummy").list_tables()["TableNames"] == []
    assert at(access_key="111122223333").describe_table(TableName="Mine")["Table"]["TableArn"] == "arn:aws:dynamodb:us-east-1:111122223333:table/Mine"


def test_deleting_in_one_region_leaves_the_other(at):
    for region in ("us-east-1", "us-west-2"):
        at(region).create_table(**create("Both").body)
        at(region).put_item(TableName="Both", Item={"pk": {"S": region}})
    at("us-east-1").delete_table(TableName="Both")
    assert at("us-west-2").scan(TableName="Both")["Items"] == [{"pk": {"S": "us-west-2"}}]


def test_the_region_of_unsigned_requests_is_the_configured_one(own_server):
    from differential.wire import Wire

    running = own_server("--in-memory", "--region", "eu-west-3")
    wire = Wire(running.endpoint)
    unsigned = {"Authorization": None, "X-Amz-Date": None}
    assert wire.call("CreateTable", create("Unsigned").body, unsigned).status == 200
    wire.close()
    assert connect(running.endpoint, "eu-west-3").list_tables()["TableNames"] == ["Unsigned"]
