"""What users may do: policies made with IAM, policies of tables, and what boto3 is told of what is denied."""

import json
import os

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

KEY, SECRET = "AKIAROOTROOTROOTROOT", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROOT = {"PARTITA_ROOT_ACCESS_KEY_ID": KEY, "PARTITA_ROOT_SECRET_ACCESS_KEY": SECRET}
ACCOUNT = "000000000000"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/Games"
HERS = {"UserId": {"S": "alice"}, "GameTitle": {"S": "chess"}}
HIS = {"UserId": {"S": "bob"}, "GameTitle": {"S": "chess"}}


@pytest.fixture(scope="module")
def guarded():
    """One server with authentication, and a table of two players, for all tests of this file."""
    if os.environ.get("PARTITA_TEST_ENDPOINT"):
        pytest.skip("needs a process of its own")
    from partita_process import Partita

    with Partita("--in-memory", "--auth", "on", environment=ROOT) as running:
        db = connect(running)
        db.create_table(
            TableName="Games", BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "UserId", "KeyType": "HASH"}, {"AttributeName": "GameTitle", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("UserId", "GameTitle")],
            GlobalSecondaryIndexes=[{"IndexName": "by-title", "Projection": {"ProjectionType": "ALL"},
                "KeySchema": [{"AttributeName": "GameTitle", "KeyType": "HASH"}]}],
        )
        for key in (HERS, HIS):
            db.put_item(TableName="Games", Item={**key, "Wins": {"N": "3"}, "Secret": {"S": "x"}})
        yield running


def connect(server, key=KEY, secret=SECRET, service="dynamodb"):
    return boto3.client(
        service, endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id=key,
        aws_secret_access_key=secret, config=Config(retries={"max_attempts": 0}),
    )


def statement(actions, resource=TABLE, condition=None, effect="Allow", principal=None):
    made = {"Effect": effect, "Action": actions, "Resource": resource}
    if condition:
        made["Condition"] = condition
    if principal:
        made["Principal"] = {"AWS": principal}
    return made


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def user(guarded):
    """Makes users with one policy: `user(statement(...))` gives a client of theirs."""
    iam = connect(guarded, service="iam")
    made = []

    def make(*statements, name="alice"):
        iam.create_user(UserName=name)
        made.append(name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=document(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return connect(guarded, key["AccessKeyId"], key["SecretAccessKey"])

    yield make
    for name in made:
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=policy)
        iam.delete_user(UserName=name)


def denied(call, **parameters):
    """The message of a call that has to be denied."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (400, "AccessDeniedException")
    return answer["Error"]["Message"]


def test_users_may_do_what_their_policies_allow_and_nothing_else(user):
    db = user(statement(["dynamodb:GetItem", "dynamodb:Query"]))
    assert db.get_item(TableName="Games", Key=HERS)["Item"]["Wins"] == {"N": "3"}
    assert denied(db.scan, TableName="Games") == (
        f"User: arn:aws:iam::{ACCOUNT}:user/alice is not authorized to perform: dynamodb:Scan on resource: {TABLE} "
        "because no identity-based policy allows the dynamodb:Scan action")
    query = dict(TableName="Games", IndexName="by-title", KeyConditionExpression="GameTitle = :t",
        ExpressionAttributeValues={":t": {"S": "chess"}})
    assert f"{TABLE}/index/by-title" in denied(db.query, **query)
    assert "on resource: *" in denied(db.list_tables)
    assert "table/Missing" in denied(db.get_item, TableName="Missing", Key=HERS)


def test_partition_keys_are_walls(user):
    mine = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:username}"]}, "Null": {"dynamodb:LeadingKeys": "false"}}
    db = user(statement(["dynamodb:*Item", "dynamodb:Query", "dynamodb:PartiQL*", "dynamodb:Scan"], [TABLE, f"{TABLE}/index/*"], mine))
    db.update_item(TableName="Games", Key=HERS, UpdateExpression="SET Wins = Wins + :one", ExpressionAttributeValues={":one": {"N": "1"}})
    assert db.execute_statement(Statement="SELECT Wins FROM Games WHERE UserId = 'alice'")["Items"] == [{"Wins": {"N": "4"}}]
    denied(db.get_item, TableName="Games", Key=HIS)
    denied(db.scan, TableName="Games")
    denied(db.batch_get_item, RequestItems={"Games": {"Keys": [HERS, HIS]}})
    denied(db.transact_write_items, TransactItems=[{"Delete": {"TableName": "Games", "Key": HIS}}])
    denied(db.execute_statement, Statement="SELECT * FROM \"Games\" WHERE \"Wins\" > 0")
    denied(db.query, TableName="Games", IndexName="by-title", KeyConditionExpression="GameTitle = :t",
        ExpressionAttributeValues={":t": {"S": "chess"}})
    answers = db.batch_execute_statement(Statements=[
        {"Statement": f"SELECT Wins FROM Games WHERE UserId = '{name}' AND GameTitle = 'chess'"} for name in ("alice", "bob")
    ])["Responses"]
    assert (answers[0]["Item"], answers[1]["Error"]["Code"]) == ({"Wins": {"N": "4"}}, "AccessDenied")


def test_attributes_are_kept_back(user):
    few = {
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["UserId", "GameTitle", "Wins"]},
        "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES", "dynamodb:ReturnValues": ["NONE", "UPDATED_NEW"]},
    }
    db = user(statement(["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:PartiQLSelect"], condition=few))
    assert set(db.get_item(TableName="Games", Key=HERS, ProjectionExpression="Wins")["Item"]) == {"Wins"}
    denied(db.get_item, TableName="Games", Key=HERS)
    denied(db.get_item, TableName="Games", Key=HERS, ProjectionExpression="#s", ExpressionAttributeNames={"#s": "Secret"})
    denied(db.update_item, TableName="Games", Key=HERS, UpdateExpression="SET Wins = :w", ReturnValues="ALL_OLD",
        ExpressionAttributeValues={":w": {"N": "4"}})
    denied(db.update_item, TableName="Games", Key=HERS, UpdateExpression="SET Wins = if_not_exists(Secret, :w)",
        ExpressionAttributeValues={":w": {"N": "4"}})
    denied(db.execute_statement, Statement="SELECT Wins FROM Games WHERE UserId = 'alice' AND Secret = 'x'")


def test_a_table_has_a_policy_of_its_own(guarded, user):
    root, bob = connect(guarded), user(name="bob")
    denied(bob.get_item, TableName="Games", Key=HIS)
    policy = document(statement("dynamodb:GetItem", principal=f"arn:aws:iam::{ACCOUNT}:user/bob"))
    first = root.put_resource_policy(ResourceArn=TABLE, Policy=policy, ExpectedRevisionId="NO_POLICY")["RevisionId"]
    assert bob.get_item(TableName="Games", Key=HIS)["Item"]["UserId"] == {"S": "bob"}
    kept = root.get_resource_policy(ResourceArn=TABLE)
    assert (json.loads(kept["Policy"])["Statement"][0]["Action"], kept["RevisionId"]) == ("dynamodb:GetItem", first)
    with pytest.raises(root.exceptions.PolicyNotFoundException):
        root.put_resource_policy(ResourceArn=TABLE, Policy=policy, ExpectedRevisionId="NO_POLICY")
    denied(bob.put_resource_policy, ResourceArn=TABLE, Policy=policy)
    root.delete_resource_policy(ResourceArn=TABLE, ExpectedRevisionId=first)
    denied(bob.get_item, TableName="Games", Key=HIS)
    with pytest.raises(root.exceptions.PolicyNotFoundException):
        root.get_resource_policy(ResourceArn=TABLE)


def test_a_changed_policy_holds_at_once(guarded, user):
    db, iam = user(statement("dynamodb:GetItem")), connect(guarded, service="iam")
    assert db.get_item(TableName="Games", Key=HERS)["Item"]
    iam.put_user_policy(UserName="alice", PolicyName="only", PolicyDocument=document(
        statement("dynamodb:*", "*"), statement("dynamodb:GetItem", effect="Deny")))
    assert "with an explicit deny in an identity-based policy" in denied(db.get_item, TableName="Games", Key=HERS)
    assert db.scan(TableName="Games", Select="COUNT")["Count"] == 2
