"""The audit log: a line for each call in CloudTrail's shape, who and what and with what outcome, and never a value."""

import base64
import http.client
import json
import stat
import time

import boto3
import pytest
from answers import N, S
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import ENDPOINT, connect

from differential.scenario import create

pytestmark = pytest.mark.skipif(bool(ENDPOINT), reason="needs a process of its own")
SECRET = "PLANTEDsecretVALUE"
ROOT = {"PARTITA_ROOT_ACCESS_KEY_ID": "AKIAROOTEXAMPLE00001", "PARTITA_ROOT_SECRET_ACCESS_KEY": "root/Secret+Key/0123456789abcdefghijklmn"}
MEMBERS = {"eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent", "requestParameters",
    "responseElements", "requestID", "eventID", "readOnly", "eventType", "managementEvent", "recipientAccountId", "eventCategory"}


def events(log, count=0):
    """The events of a log once there are `count`."""
    until = time.monotonic() + 10
    while True:
        lines = log.read_text().splitlines()
        if len(lines) >= count or time.monotonic() > until:
            return [json.loads(line) for line in lines]
        time.sleep(0.02)


def attempt(call, **arguments):
    try:
        return call(**arguments)
    except ClientError as error:
        return error.response


def plant(client, streams):
    """Sends a secret in every place of a request that holds a value."""
    value, key = {"S": SECRET}, {"pk": {"S": SECRET}}
    item = {**key, "v": {"M": {"deep": {"L": [value, {"B": SECRET.encode()}]}}}}
    attempt(client.create_table, **create("Planted", "pk:S").body | {"Tags": [{"Key": "team", "Value": SECRET}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}})
    arn = client.describe_table(TableName="Planted")["Table"]["TableArn"]
    named = {"TableName": "Planted"}
    values = {":v": value}
    for call, arguments in [
        (client.put_item, {**named, "Item": item}),
        (client.put_item, {**named, "Item": item, "ConditionExpression": "v = :v", "ExpressionAttributeValues": values}),
        (client.put_item, {**named, "Item": {"pk": {"N": SECRET}}}),
        (client.put_item, {**named, "Item": {**key, "n": {"N": SECRET}}}),
        (client.put_item, {**named, "Item": item, "ConditionExpression": f"{SECRET} = = :v"}),
        (client.get_item, {**named, "Key": key}),
        (client.update_item, {**named, "Key": key, "UpdateExpression": "SET w = :v", "ExpressionAttributeValues": values, "ReturnValues": "ALL_NEW"}),
        (client.query, {**named, "KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": values}),
        (client.query, {**named, "KeyConditions": {"pk": {"AttributeValueList": [value], "ComparisonOperator": "EQ"}}}),
        (client.scan, {**named, "FilterExpression": "w = :v", "ExpressionAttributeValues": values, "ExclusiveStartKey": key}),
        (client.batch_get_item, {"RequestItems": {"Planted": {"Keys": [key]}}}),
        (client.batch_write_item, {"RequestItems": {"Planted": [{"PutRequest": {"Item": item}}]}}),
        (client.transact_get_items, {"TransactItems": [{"Get": {**named, "Key": key}}]}),
        (client.transact_write_items, {"ClientRequestToken": SECRET, "TransactItems": [{"Put": {**named, "Item": item, "ConditionExpression": "v = :v",
            "ExpressionAttributeValues": values}}]}),
        (client.execute_statement, {"Statement": f"SELECT * FROM Planted WHERE pk = '{SECRET}'"}),
        (client.execute_statement, {"Statement": f"SELECT * FROM '{SECRET}"}),
        (client.execute_statement, {"Statement": "SELECT * FROM Planted WHERE pk = ?", "Parameters": [value]}),
        (client.batch_execute_statement, {"Statements": [{"Statement": f"SELECT * FROM Planted WHERE pk = '{SECRET}'"}]}),
        (client.execute_transaction, {"TransactStatements": [{"Statement": f"INSERT INTO Planted VALUE {{'pk': '{SECRET}'}}"}]}),
        (client.tag_resource, {"ResourceArn": arn, "Tags": [{"Key": "team", "Value": SECRET * 40}]}),
        (client.tag_resource, {"ResourceArn": arn, "Tags": [{"Key": "team", "Value": SECRET}]}),
        (client.list_tags_of_resource, {"ResourceArn": arn}),
        (client.put_resource_policy, {"ResourceArn": arn, "Policy": json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": SECRET}]})}),
        (client.update_time_to_live, {**named, "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ttl"}}),
        (client.delete_item, {**named, "Key": key, "ReturnValues": "ALL_OLD"}),
        (client.describe_table, {"TableName": "Absent"}),
        (client.list_tables, {}),
    ]:
        attempt(call, **arguments)
    stream = client.describe_table(**named)["Table"]["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert streams.get_records(ShardIterator=iterator)["Records"]
    attempt(client.delete_table, **named)


def raw(server, target, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("POST", "/", body, {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0", **headers})
    return connection.getresponse().read()


def assert_no_secret(text):
    for form in (SECRET, SECRET.lower(), base64.b64encode(SECRET.encode()).decode().rstrip("=")):
        assert form not in text, text[max(0, text.find(form) - 300) : text.find(form) + 60]


def test_every_call_is_told_and_no_value_is(own_server, tmp_path):
    log = tmp_path / "audit.log"
    server = own_server("--audit-log", str(log), "--audit-data-events", "--log-level", "trace")
    client = connect(server.endpoint, region="eu-west-1", access_key="111122223333")
    plant(client, connect(server.endpoint, region="eu-west-1", access_key="111122223333", service="dynamodbstreams"))
    raw(server, "Partita_20261122.CreateTrigger", json.dumps({"TriggerName": "t", "TableName": "Planted", "Url": f"https://x.test/{SECRET}"}))
    raw(server, "DynamoDB_20120810.PutItem", f'{{"TableName":"Planted","Item":{{"pk":"{SECRET}"')
    raw(server, "DynamoDB_20120810.CreateTable", f'{{"TableName":{{"{SECRET}":1}}}}')
    raw(server, "DynamoDB_20120810.ListTables", "{}", Authorization=f"AWS4-HMAC-SHA256 Credential=AKID/{SECRET}, Signature={SECRET}",
        **{"X-Amz-Security-Token": SECRET, "User-Agent": "curl/8"})
    found = events(log, 38)
    assert_no_secret(log.read_text())
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert len({event["eventID"] for event in found}) == len({event["requestID"] for event in found}) == len(found) >= 38
    for event in found:
        assert set(event) >= MEMBERS, event
        assert event["eventType"] == "AwsApiCall" and event["responseElements"] is None and event["sourceIPAddress"] == "127.0.0.1"
    by_name = {event["eventName"]: event for event in found}
    made = next(event for event in found if event["eventName"] == "CreateTable")
    assert made["requestParameters"]["keySchema"] == [{"attributeName": "pk", "keyType": "HASH"}]
    assert made["requestParameters"]["tags"] == [{"key": "team"}] and made["managementEvent"] and not made["readOnly"]
    assert made["resources"] == [{"accountId": "111122223333", "type": "AWS::DynamoDB::Table",
        "ARN": "arn:aws:dynamodb:eu-west-1:111122223333:table/Planted"}]
    read = by_name["GetItem"]
    assert (read["eventCategory"], read["managementEvent"], read["readOnly"]) == ("Data", False, True)
    assert read["requestParameters"] == {"tableName": "Planted"} and read["awsRegion"] == "eu-west-1"
    assert by_name["TransactWriteItems"]["requestParameters"] == {"tableNames": ["Planted"]}
    assert by_name["TransactWriteItems"]["errorCode"] == "TransactionCanceledException" and "errorMessage" not in by_name["TransactWriteItems"]
    assert by_name["ExecuteStatement"]["requestParameters"]["statement"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    missing = next(event for event in found if event.get("errorCode") == "ResourceNotFoundException")
    assert "Absent" in missing["errorMessage"]
    assert by_name["GetRecords"]["managementEvent"] is False and by_name["CreateTrigger"]["requestParameters"]["triggerName"] == "t"


def test_calls_on_items_are_told_only_if_asked_for_and_rotation_loses_none(own_server, tmp_path):
    log, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    server = own_server("--in-memory", "--audit-log", str(log))
    client = connect(server.endpoint)
    client.create_table(**create("Things", "pk:S").body)
    client.put_item(TableName="Things", Item={"pk": S("a"), "n": N(1)})
    assert [event["eventName"] for event in events(log, 1)] == ["CreateTable"]
    time.sleep(1.1)
    log.rename(old)
    for _ in range(5):
        client.list_tables()
    server.stop()
    assert [event["eventName"] for event in events(log)] == ["ListTables"] * 5
    assert len(events(old)) == 1


def test_who_called_is_told_when_requests_are_signed(own_server, tmp_path):
    log = tmp_path / "audit.log"
    server = own_server("--in-memory", "--auth", "on", "--audit-log", str(log), environment=ROOT)

    def signed(key, secret):
        return boto3.client("dynamodb", endpoint_url=server.endpoint, region_name="eu-west-1", aws_access_key_id=key, aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 0}))

    key, secret = ROOT.values()
    signed(key, secret).list_tables()
    for wrong in (signed(key, SECRET), signed("AKIASTRANGER", secret)):
        attempt(wrong.list_tables)
    raw(server, "DynamoDB_20120810.ListTables", "{}")
    good, forged, stranger, nobody = events(log, 4)
    assert good["userIdentity"]["type"] == "Root" and good["userIdentity"]["accessKeyId"] == key and "errorCode" not in good
    assert good["userIdentity"]["arn"].endswith(":root") and good["awsRegion"] == "eu-west-1"
    assert (forged["errorCode"], forged["userIdentity"]["type"]) == ("InvalidSignatureException", "Unknown")
    assert (stranger["errorCode"], stranger["userIdentity"]["accessKeyId"]) == ("UnrecognizedClientException", "AKIASTRANGER")
    assert nobody["errorCode"] == "MissingAuthenticationTokenException"
    assert_no_secret(log.read_text())
    assert secret not in log.read_text()


def test_calls_of_iam_and_sts_are_told_without_policies_and_secrets(own_server, tmp_path):
    log = tmp_path / "audit.log"
    server = own_server("--in-memory", "--auth", "on", "--audit-log", str(log), environment=ROOT)

    def signed(service, key, secret, token=None):
        return boto3.client(service, endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret,
            aws_session_token=token, config=Config(retries={"max_attempts": 0}))

    iam = signed("iam", *ROOT.values())
    account = signed("sts", *ROOT.values()).get_caller_identity()["Account"]
    iam.create_user(UserName="ada", Tags=[{"Key": "team", "Value": SECRET}])
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    allow = {"Version": "2012-10-17", "Statement": [{"Sid": SECRET, "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}
    iam.put_user_policy(UserName="ada", PolicyName="assume", PolicyDocument=json.dumps(allow))
    trusted = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trusted))["Role"]["Arn"]
    session = signed("sts", key["AccessKeyId"], key["SecretAccessKey"]).assume_role(RoleArn=role, RoleSessionName="visit")["Credentials"]
    attempt(signed("dynamodb", session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]).list_tables)
    attempt(signed("iam", key["AccessKeyId"], key["SecretAccessKey"]).create_user, UserName="eve")
    found = events(log, 8)
    text = log.read_text()
    assert_no_secret(text)
    for secret in (*list(ROOT.values())[1:], key["SecretAccessKey"], session["SecretAccessKey"], session["SessionToken"]):
        assert secret not in text
    by_name = {(event["eventName"], event["userIdentity"]["type"]): event for event in found}
    made = by_name["CreateUser", "Root"]
    assert made["eventSource"] == "iam.amazonaws.com" and made["requestParameters"] == {"userName": "ada"} and not made["readOnly"]
    assumed = by_name["AssumeRole", "IAMUser"]
    assert assumed["eventSource"] == "sts.amazonaws.com" and assumed["userIdentity"]["userName"] == "ada"
    assert assumed["requestParameters"] == {"roleArn": role, "roleSessionName": "visit"}
    visit = by_name["ListTables", "AssumedRole"]
    assert visit["errorCode"] == "AccessDeniedException" and "not authorized to perform: dynamodb:ListTables" in visit["errorMessage"]
    assert visit["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == role
    assert visit["userIdentity"]["principalId"].endswith(":visit")
    refused = by_name["CreateUser", "IAMUser"]
    assert refused["errorCode"] == "AccessDenied" and "iam:CreateUser" in refused["errorMessage"]
