"""Identities: the IAM and STS query APIs through boto3 and the AWS CLI, and what keys, policies and roles permit."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from conftest import ENDPOINT
from partita_process import BINARY, Partita

AWS = Path(sys.executable).with_name("aws")
ACCOUNT = "111122223333"
ISSUER = "https://id.example.com/pool"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/id.example.com/pool"

pytestmark = pytest.mark.skipif(ENDPOINT is not None, reason="DynamoDB Local has no identities")


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal, action="sts:AssumeRole", **more):
    return document({"Effect": "Allow", "Principal": principal, "Action": action, **more})


def code(call, *arguments, **named):
    """The status and code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def message(call, *arguments, **named):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **named)
    return caught.value.response["Error"]["Message"]


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Signer:
    """An OpenID Connect issuer: one RSA and one P-256 key."""

    def __init__(self):
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())

    def jwks(self):
        public, point = self.rsa.public_key().public_numbers(), self.ec.public_key().public_numbers()
        return json.dumps({"keys": [
            {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": number(public.n), "e": number(public.e)},
            {"kty": "EC", "kid": "e", "crv": "P-256", "x": b64(point.x.to_bytes(32, "big")), "y": b64(point.y.to_bytes(32, "big"))},
        ]})

    def token(self, algorithm="RS256", **claims):
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": "alice", "aud": "app", "iat": now, "exp": now + 600, **claims}
        header = {"alg": algorithm, "typ": "JWT", "kid": "r" if algorithm == "RS256" else "e"}
        signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
        if algorithm == "RS256":
            signature = self.rsa.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            r, s = decode_dss_signature(self.ec.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{signed}.{b64(signature)}"


def admin(data_dir, *words):
    return subprocess.run([str(BINARY), "admin", *words, "--data-dir", str(data_dir), "--account", ACCOUNT], capture_output=True,
        text=True, timeout=60)


def create_root_key(data_dir):
    ended = admin(data_dir, "create-root-key")
    assert ended.returncode == 0, ended.stderr
    words = dict(word.split("=", 1) for line in ended.stdout.splitlines() if line.startswith("export ") for word in line.split()[1:])
    return words["AWS_ACCESS_KEY_ID"], words["AWS_SECRET_ACCESS_KEY"]


class Place:
    """A server that authenticates, and clients of it."""

    def __init__(self, server, root, signer):
        self.server, self.root, self.signer = server, root, signer

    def client(self, service, key=None):
        """A client with a key: a pair, an access key or credentials as they were answered, or the root's."""
        key = key or self.root
        if isinstance(key, dict):
            key = (key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"))
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        return boto3.client(service, endpoint_url=self.server.endpoint, region_name="eu-west-1", **dict(zip(names, key)),
            config=Config(retries={"max_attempts": 0}, parameter_validation=False))

    def user(self, name, *statements):
        """A new user with an inline policy, and its key."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
        return iam.create_access_key(UserName=name)["AccessKey"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A server with authentication, whose first root key comes from `partita admin`."""
    directory = tmp_path_factory.mktemp("identities")
    signer = Signer()
    (directory / "keys.json").write_text(signer.jwks())
    root = create_root_key(directory / "data")
    server = Partita("--auth", "on", "--oidc-jwks-file", f"{ISSUER}={directory / 'keys.json'}", data_dir=directory / "data")
    with server as running:
        yield Place(running, root, signer)


@pytest.fixture(scope="module")
def iam(place):
    return place.client("iam")


@pytest.fixture(scope="module")
def table(place):
    dynamodb = place.client("dynamodb")
    dynamodb.create_table(TableName="Tab", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST")
    return "Tab"


def read(place, key):
    return place.client("dynamodb", key).get_item(TableName="Tab", Key={"pk": {"S": "a"}})


def test_users_are_made_listed_renamed_and_deleted(iam):
    made = iam.create_user(UserName="Ann", Path="/staff/", Tags=[{"Key": "team", "Value": "a+b /é"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/staff/Ann"
    assert made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    assert made["Tags"] == [{"Key": "team", "Value": "a+b /é"}]
    assert code(iam.create_user, UserName="ANN") == (409, "EntityAlreadyExists")
    assert iam.get_user(UserName="Ann")["User"] == made
    iam.tag_user(UserName="Ann", Tags=[{"Key": "Team", "Value": "b"}, {"Key": "x", "Value": ""}])
    assert iam.list_user_tags(UserName="Ann")["Tags"] == [{"Key": "Team", "Value": "b"}, {"Key": "x", "Value": ""}]
    iam.untag_user(UserName="Ann", TagKeys=["team", "none"])
    assert iam.list_user_tags(UserName="Ann")["Tags"] == [{"Key": "x", "Value": ""}]
    iam.update_user(UserName="Ann", NewUserName="Anna", NewPath="/")
    assert code(iam.get_user, UserName="Ann") == (404, "NoSuchEntity")
    assert message(iam.get_user, UserName="Ann") == "The user with name Ann cannot be found."
    assert iam.get_user(UserName="Anna")["User"]["UserId"] == made["UserId"]
    iam.delete_user(UserName="Anna")
    assert code(iam.delete_user, UserName="Anna") == (404, "NoSuchEntity")


def test_lists_come_in_pages(iam):
    names = [f"page-{number:02}" for number in range(7)]
    for name in names:
        iam.create_user(UserName=name, Path="/pages/")
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 3}))
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [names[:3], names[3:6], names[6:]]
    assert [page["IsTruncated"] for page in pages] == [True, True, False]
    assert code(iam.list_users, MaxItems=0) == code(iam.list_users, MaxItems=1001) == (400, "ValidationError")
    assert code(iam.list_users, Marker="no marker") == (400, "ValidationError")
    for name in names:
        iam.delete_user(UserName=name)


def test_groups_have_users_and_policies(place, iam, table):
    key = place.user("grouped")
    iam.create_group(GroupName="readers")
    iam.add_user_to_group(GroupName="readers", UserName="grouped")
    assert [user["UserName"] for user in iam.get_group(GroupName="readers")["Users"]] == ["grouped"]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="grouped")["Groups"]] == ["readers"]
    assert code(read, place, key) == (400, "AccessDeniedException")
    iam.attach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")
    read(place, key)
    assert code(place.client("dynamodb", key).delete_table, TableName=table) == (400, "AccessDeniedException")
    assert code(iam.delete_group, GroupName="readers") == (409, "DeleteConflict")
    iam.remove_user_from_group(GroupName="readers", UserName="grouped")
    assert code(read, place, key) == (400, "AccessDeniedException")
    iam.detach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")
    iam.delete_group(GroupName="readers")


def test_a_key_works_until_it_is_deactivated_or_deleted(place, iam, table):
    key = place.user("keyed", allow("dynamodb:GetItem"))
    read(place, key)
    for _ in range(50):
        used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
        if used["AccessKeyLastUsed"]["ServiceName"] != "N/A":
            break
        time.sleep(0.1)
    assert (used["UserName"], used["AccessKeyLastUsed"]["ServiceName"], used["AccessKeyLastUsed"]["Region"]) == ("keyed", "dynamodb", "eu-west-1")
    iam.update_access_key(UserName="keyed", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert code(read, place, key) == (400, "UnrecognizedClientException")
    assert [each["Status"] for each in iam.list_access_keys(UserName="keyed")["AccessKeyMetadata"]] == ["Inactive"]
    iam.update_access_key(UserName="keyed", AccessKeyId=key["AccessKeyId"], Status="Active")
    read(place, key)
    second = iam.create_access_key(UserName="keyed")["AccessKey"]
    assert code(iam.create_access_key, UserName="keyed") == (409, "LimitExceeded")
    iam.delete_access_key(UserName="keyed", AccessKeyId=key["AccessKeyId"])
    assert code(read, place, key) == (400, "UnrecognizedClientException")
    read(place, second)
    wrong = {**second, "SecretAccessKey": "wrong"}
    assert code(place.client("iam", wrong).list_users) == (403, "SignatureDoesNotMatch")
    assert code(place.client("iam", ("AKIA0000000000000000", "x")).list_users) == (403, "InvalidClientTokenId")


def test_policies_hold_from_the_next_request_on(place, iam, table):
    key = place.user("pol")
    arn = iam.create_policy(PolicyName="read", PolicyDocument=document(allow("dynamodb:GetItem")), Description="d")["Policy"]["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/read"
    iam.attach_user_policy(UserName="pol", PolicyArn=arn)
    read(place, key)
    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("dynamodb:Query")), SetAsDefault=True)
    assert (version["PolicyVersion"]["VersionId"], version["PolicyVersion"]["IsDefaultVersion"]) == ("v2", True)
    assert code(read, place, key) == (400, "AccessDeniedException")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    read(place, key)
    shown = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
    assert shown["Document"]["Statement"][0]["Action"] == "dynamodb:Query"
    assert [each["VersionId"] for each in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v2", "v1"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"][0]["UserName"] == "pol"
    assert [each["PolicyName"] for each in iam.list_attached_user_policies(UserName="pol")["AttachedPolicies"]] == ["read"]
    assert "read" in [each["PolicyName"] for each in iam.list_policies(Scope="Local")["Policies"]]
    assert [each["PolicyName"] for each in iam.list_policies(Scope="AWS")["Policies"]] == ["AdministratorAccess",
        "AmazonDynamoDBFullAccess", "AmazonDynamoDBReadOnlyAccess"]
    simulated = iam.simulate_principal_policy(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/pol", ActionNames=["dynamodb:GetItem", "dynamodb:Scan"])
    assert [each["EvalDecision"] for each in simulated["EvaluationResults"]] == ["allowed", "implicitDeny"]
    iam.put_user_permissions_boundary(UserName="pol", PermissionsBoundary="arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")
    read(place, key)
    iam.put_user_policy(UserName="pol", PolicyName="all", PolicyDocument=document(allow("*")))
    assert code(place.client("dynamodb", key).delete_table, TableName=table) == (400, "AccessDeniedException")
    assert code(place.client("iam", key).list_users) == (403, "AccessDenied")
    iam.delete_user_permissions_boundary(UserName="pol")
    assert place.client("iam", key).get_user()["User"]["UserName"] == "pol"
    assert code(iam.delete_policy, PolicyArn=arn) == (409, "DeleteConflict")
    assert code(iam.delete_policy_version, PolicyArn=arn, VersionId="v1") == (409, "DeleteConflict")
    assert code(iam.delete_policy, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess") == (403, "AccessDenied")
    iam.detach_user_policy(UserName="pol", PolicyArn=arn)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy(PolicyArn=arn)
    assert code(iam.get_policy, PolicyArn=arn) == (404, "NoSuchEntity")


def test_users_do_to_identities_what_policies_permit(place, iam):
    key = place.user("clerk", allow(["iam:CreateUser", "iam:GetUser", "iam:DeleteUser"], f"arn:aws:iam::{ACCOUNT}:user/temp/*"),
        allow("iam:AttachUserPolicy", Condition={"ArnEquals": {"iam:PolicyARN": "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess"}}))
    clerk = place.client("iam", key)
    clerk.create_user(UserName="temp1", Path="/temp/")
    assert code(clerk.create_user, UserName="temp2") == (403, "AccessDenied")
    assert message(clerk.create_user, UserName="temp2") == (f"User: arn:aws:iam::{ACCOUNT}:user/clerk is not authorized to perform: "
        f"iam:CreateUser on resource: arn:aws:iam::{ACCOUNT}:user/temp2 because no identity-based policy allows the iam:CreateUser action")
    clerk.attach_user_policy(UserName="temp1", PolicyArn="arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")
    assert code(clerk.attach_user_policy, UserName="temp1", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess") == (403, "AccessDenied")
    iam.detach_user_policy(UserName="temp1", PolicyArn="arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess")
    clerk.delete_user(UserName="temp1")
    assert code(clerk.get_user, UserName="nobody") == (403, "AccessDenied"), "who may not ask is not told whether there is one"


def test_roles_are_assumed_by_those_whom_they_trust(place, iam, table):
    arn = f"arn:aws:iam::{ACCOUNT}:role/app/reader"
    key = place.user("assumer", allow("sts:AssumeRole", arn))
    other = place.user("other")
    iam.create_role(RoleName="reader", Path="/app/", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        Condition={"StringEquals": {"sts:ExternalId": "xyz"}}), MaxSessionDuration=7200)
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=document(allow(["dynamodb:GetItem", "dynamodb:Scan"])))
    sts = place.client("sts", key)
    assume = {"RoleArn": arn, "RoleSessionName": "s1"}
    assert code(sts.assume_role, **assume) == (403, "AccessDenied")
    assert code(place.client("sts", other).assume_role, **assume, ExternalId="xyz") == (403, "AccessDenied")
    assert code(place.client("sts").assume_role, **assume, ExternalId="xyz") == (403, "AccessDenied"), "roots assume no roles"
    answer = sts.assume_role(**assume, ExternalId="xyz", DurationSeconds=900)
    session = answer["Credentials"]
    assert session["AccessKeyId"].startswith("ASIA")
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/s1"
    caller = place.client("sts", session).get_caller_identity()
    assert caller["Arn"] == answer["AssumedRoleUser"]["Arn"] and caller["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    read(place, session)
    assert code(place.client("dynamodb", session).delete_table, TableName=table) == (400, "AccessDeniedException")
    limited = sts.assume_role(**assume, ExternalId="xyz", Policy=document(allow("dynamodb:Scan")))["Credentials"]
    place.client("dynamodb", limited).scan(TableName=table)
    assert code(read, place, limited) == (400, "AccessDeniedException")
    by_arn = sts.assume_role(**assume, ExternalId="xyz", PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess"}])
    read(place, by_arn["Credentials"])
    for wrong in [{"SessionToken": None}, {"SessionToken": "A" * 200}, {"SessionToken": limited["SessionToken"]}]:
        assert code(read, place, {**session, **wrong}) == (400, "UnrecognizedClientException")
    assert code(sts.assume_role, **assume, ExternalId="xyz", DurationSeconds=7201) == (400, "ValidationError")
    assert code(sts.assume_role, **assume, ExternalId="xyz", DurationSeconds=899) == (400, "ValidationError")
    assert code(sts.assume_role, **assume, ExternalId="xyz", Policy="{") == (400, "MalformedPolicyDocument")
    assert code(sts.assume_role, RoleArn=arn + "2", RoleSessionName="s1") == (403, "AccessDenied")
    iam.delete_role_policy(RoleName="reader", PolicyName="read")
    assert code(read, place, session) == (400, "AccessDeniedException"), "policies are those of now"
    iam.delete_role(RoleName="reader")
    assert code(read, place, session) == (400, "UnrecognizedClientException"), "sessions end with their role"


def test_a_session_is_not_set_free_when_its_policy_is_deleted(place, iam, table):
    key = place.user("bound", allow("sts:AssumeRole"))
    iam.create_role(RoleName="free", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/bound"}))
    iam.put_role_policy(RoleName="free", PolicyName="p", PolicyDocument=document(allow("*")))
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=document(allow("dynamodb:GetItem")))["Policy"]["Arn"]
    session = place.client("sts", key).assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/free", RoleSessionName="s1", PolicyArns=[{"arn": limit}])
    read(place, session["Credentials"])
    iam.delete_policy(PolicyArn=limit)
    assert code(read, place, session["Credentials"]) == (400, "AccessDeniedException")


def test_tags_of_users_limit_who_may_change_them(place, iam):
    key = place.user("tagger", allow("iam:*"), {"Effect": "Deny", "Action": "iam:*", "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/locked": "yes"}}})
    tagger = place.client("iam", key)
    iam.create_user(UserName="locked", Tags=[{"Key": "locked", "Value": "yes"}])
    for change in [
        lambda: tagger.tag_user(UserName="locked", Tags=[{"Key": "locked", "Value": "no"}]),
        lambda: tagger.untag_user(UserName="locked", TagKeys=["locked"]),
        lambda: tagger.create_access_key(UserName="locked"),
        lambda: tagger.delete_user(UserName="locked"),
    ]:
        assert code(change) == (403, "AccessDenied")


def test_session_tags_and_names_reach_policies(place, iam, table):
    iam.create_role(RoleName="tagged", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, ["sts:AssumeRole", "sts:TagSession"]))
    iam.put_role_policy(RoleName="tagged", PolicyName="p", PolicyDocument=document(
        allow("dynamodb:GetItem", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}})))
    untagging = place.user("untagging", allow("sts:AssumeRole"))
    key = place.user("tagging", allow(["sts:AssumeRole", "sts:TagSession"]))
    arn = f"arn:aws:iam::{ACCOUNT}:role/tagged"
    blue = [{"Key": "team", "Value": "blue"}]
    assert code(place.client("sts", untagging).assume_role, RoleArn=arn, RoleSessionName="s1", Tags=blue) == (403, "AccessDenied")
    sts = place.client("sts", key)
    read(place, sts.assume_role(RoleArn=arn, RoleSessionName="s1", Tags=blue)["Credentials"])
    assert code(read, place, sts.assume_role(RoleArn=arn, RoleSessionName="s1")["Credentials"]) == (400, "AccessDeniedException")


def test_web_identities_assume_roles(place, iam, table):
    made = iam.create_open_id_connect_provider(Url=ISSUER, ClientIDList=["app"], ThumbprintList=["a" * 40])
    assert made["OpenIDConnectProviderArn"] == PROVIDER
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER)["ClientIDList"] == ["app"]
    assert PROVIDER in [each["Arn"] for each in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    iam.create_role(RoleName="web", AssumeRolePolicyDocument=trust({"Federated": PROVIDER}, "sts:AssumeRoleWithWebIdentity",
        Condition={"StringEquals": {"id.example.com/pool:sub": "alice"}}))
    iam.put_role_policy(RoleName="web", PolicyName="p", PolicyDocument=document(allow("dynamodb:GetItem")))
    unsigned = boto3.client("sts", endpoint_url=place.server.endpoint, region_name="eu-west-1", aws_access_key_id="", aws_secret_access_key="",
        config=Config(retries={"max_attempts": 0}))

    def assume(token):
        return unsigned.assume_role_with_web_identity(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/web", RoleSessionName="w1", WebIdentityToken=token)

    for algorithm in ["RS256", "ES256"]:
        answer = assume(place.signer.token(algorithm))
        assert (answer["SubjectFromWebIdentityToken"], answer["Audience"]) == ("alice", "app")
        read(place, answer["Credentials"])
    token = place.signer.token
    assert code(assume, token(sub="bob")) == (403, "AccessDenied")
    assert code(assume, token(aud="other")) == (400, "InvalidIdentityToken")
    assert code(assume, token(iss="https://evil.example.com")) == (400, "InvalidIdentityToken")
    assert code(assume, token(exp=int(time.time()) - 1)) == (400, "ExpiredTokenException")
    assert code(assume, token(nbf=int(time.time()) + 3600)) == (400, "InvalidIdentityToken")
    assert code(assume, Signer().token()) == (400, "InvalidIdentityToken")
    head, claims, signature = token().split(".")
    assert code(assume, f"{head}.{claims[:-2]}AA.{signature}") == (400, "InvalidIdentityToken")
    assert code(assume, f"{b64(json.dumps({'alg': 'none'}).encode())}.{claims}.") == (400, "InvalidIdentityToken")
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER)
    assert code(assume, token()) == (400, "InvalidIdentityToken")


def test_session_tokens_stand_for_their_user(place, iam, table):
    key = place.user("sess", allow("dynamodb:GetItem"))
    sts = place.client("sts", key)
    session = sts.get_session_token(DurationSeconds=900)["Credentials"]
    read(place, session)
    assert place.client("sts", session).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/sess"
    assert code(place.client("sts", session).get_session_token) == (403, "AccessDenied")
    root = place.client("sts").get_session_token()["Credentials"]
    assert place.client("sts", root).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    # What would outlast them is out of their reach.
    assert code(place.client("iam", root).create_access_key) == (403, "AccessDenied")
    assert code(place.client("iam", session).list_users) == (403, "AccessDenied")
    iam.delete_user_policy(UserName="sess", PolicyName="own")
    assert code(read, place, session) == (400, "AccessDeniedException")


def test_documents_and_names_are_checked(iam):
    iam.create_user(UserName="checked")
    put = {"UserName": "checked", "PolicyName": "p"}
    for wrong in ["{", "[]", document({"Effect": "Maybe", "Action": "*", "Resource": "*"}), document({"Effect": "Allow", "Action": "*"})]:
        assert code(iam.put_user_policy, **put, PolicyDocument=wrong) == (400, "MalformedPolicyDocument"), wrong
    assert code(iam.put_user_policy, **put, PolicyDocument="") == (400, "ValidationError")
    assert code(iam.create_role, RoleName="r", AssumeRolePolicyDocument=document(allow("*"))) == (400, "MalformedPolicyDocument")
    big = document(*[allow("dynamodb:GetItem", f"arn:aws:dynamodb:*:*:table/{number:040}") for number in range(30)])
    assert code(iam.put_user_policy, **put, PolicyDocument=big) == (409, "LimitExceeded")
    assert code(iam.put_user_policy, **put, PolicyDocument="x" * 131_073) == (400, "ValidationError")
    for name in ["", "a b", "é", "a/b", "x" * 65]:
        assert code(iam.create_user, UserName=name) == (400, "ValidationError"), name
    assert code(iam.create_user, UserName="u", Path="no") == (400, "ValidationError")
    many = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    assert code(iam.tag_user, UserName="checked", Tags=many) == (400, "ValidationError")
    assert code(iam.tag_user, UserName="checked", Tags=many[:1] + many[:1]) == (400, "InvalidInput")
    assert code(iam.attach_user_policy, UserName="checked", PolicyArn="arn:aws:iam::aws:policy/None") == (404, "NoSuchEntity")
    assert code(iam.attach_user_policy, UserName="checked", PolicyArn="arn:aws:s3:::not-a-policy") == (400, "InvalidInput")


def test_an_account_has_a_summary_and_no_aliases(iam):
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["AccessKeysPerUserQuota"] == 2 and summary["UsersQuota"] == 5000 and summary["Users"] >= 0
    assert iam.list_account_aliases()["AccountAliases"] == []
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_other_accounts_are_worlds_of_their_own(place, iam):
    key = place.user("here", allow("*"))
    assert place.client("sts", key).get_caller_identity()["Account"] == ACCOUNT
    assert code(iam.attach_user_policy, UserName="here", PolicyArn="arn:aws:iam::444455556666:policy/read") == (404, "NoSuchEntity")


@pytest.fixture
def raw(own_server):
    """Posts raw forms to a server that does not authenticate, and returns status and text."""
    server = own_server("--in-memory")

    def post(body, method="POST", path="/", headers=()):
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", **dict(headers)}
        data = body if isinstance(body, bytes) or body is None else body.encode()
        request = urllib.request.Request(server.endpoint + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode(), answer.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers["Content-Type"]

    return post


def test_hostile_queries_are_refused(raw):
    iam = "Version=2010-05-08&"
    for body, status, expected in [
        ("", 400, "MissingAction"),
        (iam + "Action=NoSuchThing", 400, "InvalidAction"),
        ("Version=2011-06-15&Action=CreateUser", 400, "InvalidAction"),
        ("Version=1999-01-01&Action=GetUser", 400, "InvalidAction"),
        (iam + "Action=GetUser&UserName=%", 400, "MalformedQueryString"),
        (iam + "Action=GetUser&UserName=%zz", 400, "MalformedQueryString"),
        (iam + "Action=GetUser&UserName=%ff", 400, "MalformedQueryString"),
        (iam + "Action=GetUser&Action=GetUser", 400, "MalformedQueryString"),
        (iam + "Action=TagUser&UserName=u&" + "&".join(f"Tags.member.{n}.Key=k{n}" for n in range(10_000)), 400, "MalformedQueryString"),
        (iam + "Action=PutUserPolicy&PolicyDocument=" + "x" * 600_000, 400, "MalformedQueryString"),
        (b"\xff\xfe&Action=\x00", 400, "MalformedQueryString"),
        (iam + "Action=%3Cscript%3E", 400, "InvalidAction"),
    ]:
        answered, text, kind = raw(body)
        assert (answered, kind) == (status, "text/xml") and f"<Code>{expected}</Code>" in text, (body[:80], text)
        assert "<Type>Sender</Type>" in text and "<RequestId>" in text and "<script>" not in text


def test_a_query_in_the_url_has_to_be_signed(raw, place):
    """Without authentication, any page could have a browser do it."""
    for query in ("Action=GetCallerIdentity&Version=2011-06-15", "Action=CreateUser&UserName=eve"):
        status, text, kind = raw(None, method="GET", path=f"/?{query}")
        assert (status, kind) == (405, "text/xml") and "<Code>MethodNotAllowed</Code>" in text
    assert "<Code>NoSuchEntity</Code>" in raw("Action=GetUser&UserName=eve&Version=2010-05-08")[1]
    url = place.client("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    assert f"<Arn>arn:aws:iam::{ACCOUNT}:root</Arn>" in text and 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"' in text
    assert raw(None, method="GET", path="/?probe=1")[:2] == (200, "healthy: dynamodb.us-east-1.amazonaws.com ")


def test_without_authentication_identities_can_be_tried(own_server):
    server = own_server("--in-memory")
    iam = boto3.client("iam", endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    iam.create_user(UserName="u")
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["u"]
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust({"AWS": "*"}))
    sts = boto3.client("sts", endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    assert sts.get_caller_identity()["Account"] == "000000000000"
    assert sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/r", RoleSessionName="s1")["Credentials"]["SessionToken"]


def test_the_root_key_is_made_while_no_server_runs(tmp_path, own_server):
    data = tmp_path / "admin"
    first, _ = create_root_key(data)
    second, _ = create_root_key(data)
    third = admin(data, "create-root-key")
    assert third.returncode == 1 and first in third.stderr and second in third.stderr
    assert sorted(line.split()[0] for line in admin(data, "list-root-keys").stdout.splitlines()) == sorted([first, second])
    assert admin(data, "delete-root-key", first).returncode == 0
    assert admin(data, "delete-root-key", first).returncode == 1
    own_server(data_dir=data)
    busy = admin(data, "create-root-key")
    assert busy.returncode == 1 and "Stop the server first" in busy.stderr
    assert admin(tmp_path / "none", "list-root-keys").returncode == 1


def test_identities_survive_a_restart(tmp_path):
    data = tmp_path / "data"
    root = create_root_key(data)
    server = Partita("--auth", "on", data_dir=data).start()
    key = Place(server, root, None).user("kept", allow("*"))
    server.stop()
    with Partita("--auth", "on", data_dir=data) as again:
        there = Place(again, root, None)
        assert there.client("sts", key).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/kept"


def test_the_command_line_walks_through(place, tmp_path):
    """The walkthrough of docs/security.md."""
    def aws(*words, key=place.root):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL": place.server.endpoint, "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1], "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"}
        if len(key) > 2:
            environment["AWS_SESSION_TOKEN"] = key[2]
        ended = subprocess.run([sys.executable, str(AWS), *words], env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    aws("iam", "create-user", "--user-name", "walker")
    made = aws("iam", "create-access-key", "--user-name", "walker")["AccessKey"]
    walker = (made["AccessKeyId"], made["SecretAccessKey"])
    arn = aws("iam", "create-policy", "--policy-name", "walk", "--policy-document", document(allow("dynamodb:ListTables")))["Policy"]["Arn"]
    aws("iam", "create-role", "--role-name", "walking", "--assume-role-policy-document", trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/walker"}))
    aws("iam", "attach-role-policy", "--role-name", "walking", "--policy-arn", arn)
    aws("iam", "put-user-policy", "--user-name", "walker", "--policy-name", "own", "--policy-document", document(allow("sts:AssumeRole")))
    session = aws("sts", "assume-role", "--role-arn", f"arn:aws:iam::{ACCOUNT}:role/walking", "--role-session-name", "s1", key=walker)["Credentials"]
    assumed = (session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    assert aws("sts", "get-caller-identity", key=assumed)["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/walking/s1"
    assert "TableNames" in aws("dynamodb", "list-tables", key=assumed)
