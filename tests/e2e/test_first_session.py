"""The requests of a first session, as written in the README, answered as DynamoDB answers them."""

import pytest

USERS = {
    "TableName": "Users",
    "KeySchema": [{"AttributeName": "UserID", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "UserID", "AttributeType": "S"}],
    "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
}
JOHN = {"UserID": {"S": "12345"}, "Name": {"S": "John Doe"}, "Email": {"S": "john.doe@example.com"}}


@pytest.fixture
def users(client):
    """The table Users."""
    yield client.create_table(**USERS)["TableDescription"]
    client.delete_table(TableName="Users")


def test_create_table_describes_what_was_asked(users):
    assert users["TableName"] == "Users"
    assert users["KeySchema"] == USERS["KeySchema"]
    assert users["AttributeDefinitions"] == USERS["AttributeDefinitions"]
    assert users["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    assert users["ProvisionedThroughput"]["WriteCapacityUnits"] == 5
    assert users["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 0
    assert users["TableStatus"] in ("CREATING", "ACTIVE")
    assert users["ItemCount"] == 0 and users["TableSizeBytes"] == 0
    assert users["TableArn"].endswith(":table/Users")


def test_the_requests_of_the_first_session(client, users):
    assert client.put_item(TableName="Users", Item=JOHN).keys() == {"ResponseMetadata"}
    found = client.query(TableName="Users", KeyConditionExpression="UserID = :userID",
        ExpressionAttributeValues={":userID": {"S": "12345"}})
    assert (found["Items"], found["Count"], found["ScannedCount"]) == ([JOHN], 1, 1)
    changed = client.update_item(
        TableName="Users", Key={"UserID": {"S": "12345"}}, UpdateExpression="SET Email = :email",
        ExpressionAttributeValues={":email": {"S": "john@example.com"}}
    )
    assert "Attributes" not in changed
    assert client.get_item(TableName="Users", Key={"UserID": {"S": "12345"}})["Item"] == {**JOHN, "Email": {"S": "john@example.com"}}
    assert client.delete_item(TableName="Users", Key={"UserID": {"S": "12345"}}).keys() == {"ResponseMetadata"}
    assert "Item" not in client.get_item(TableName="Users", Key={"UserID": {"S": "12345"}})


def test_the_resource_interface_speaks_python_types(client, resource, users):
    from decimal import Decimal

    table = resource.Table("Users")
    item = {"UserID": "1", "n": Decimal("1.50"), "b": b"\x00\xff", "t": True, "z": None, "l": [1, "a"], "m": {"x": {"y": Decimal("-2")}},
        "ss": {"a", "b"}, "ns": {Decimal(1), Decimal("2.5")}, "bs": {b"a"}}
    table.put_item(Item=item)
    assert table.get_item(Key={"UserID": "1"})["Item"] == item
