"""Who is let in: signatures of boto3, of the AWS CLI and of hand-made requests, and what everyone else is told."""

import datetime
import gzip
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import boto3
import pytest
from botocore import auth
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from differential.wire import API, CONTENT_TYPE, Wire
from partita_process import BINARY

AWS = Path(sys.executable).with_name("aws")
KEY, SECRET = "AKIAROOTROOTROOTROOT", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROOT = {"PARTITA_ROOT_ACCESS_KEY_ID": KEY, "PARTITA_ROOT_SECRET_ACCESS_KEY": SECRET}
MISMATCH = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
UNRECOGNIZED = "The security token included in the request is invalid."


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """One server with authentication for all tests of this file."""
    if os.environ.get("PARTITA_TEST_ENDPOINT"):
        pytest.skip("needs a process of its own")
    from partita_process import Partita

    with Partita("--in-memory", "--auth", "on", environment=ROOT) as running:
        yield running


def client(server, key=KEY, secret=SECRET, token=None, service="dynamodb", region="us-east-1"):
    return boto3.client(
        service, endpoint_url=server.endpoint, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
        aws_session_token=token, config=Config(retries={"max_attempts": 0}, parameter_validation=False),
    )


def refusal(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


class Presign(SigV4QueryAuth):
    """Leaves the body where it is; botocore's own would make query parameters of it."""

    def _modify_request_before_signing(self, request):
        body, request.data = request.data, b""
        super()._modify_request_before_signing(request)
        request.data = body


class Hand:
    """Requests made by hand: signed by botocore, then changed, then sent as they are."""

    def __init__(self, server):
        self.wire, self.endpoint = Wire(server.endpoint), server.endpoint

    def request(self, body=b"{}", operation="ListTables", headers=None, path="/", method="POST"):
        sent = {"X-Amz-Target": f"{API}.{operation}", "Content-Type": CONTENT_TYPE, **(headers or {})}
        return AWSRequest(method, self.endpoint + path, headers=sent, data=body)

    def sign(self, request, with_class=SigV4Auth, at=None, key=KEY, secret=SECRET, token=None, **more):
        now = (at or datetime.datetime.now(datetime.timezone.utc)).replace(tzinfo=None)
        with mock.patch.object(auth, "get_current_datetime", lambda *_, **__: now):
            with_class(Credentials(key, secret, token), more.pop("service", "dynamodb"), "us-east-1", **more).add_auth(request)
        return request

    def signed(self, **parameters):
        return self.sign(self.request(**parameters))

    def send(self, request):
        prepared = request.prepare()
        path = prepared.url.removeprefix(self.endpoint)
        answer = self.wire.send(prepared.method, path, prepared.body, dict(prepared.headers))
        body = answer.body
        if answer.status == 200:
            return 200, body
        return answer.status, body["__type"].removeprefix("com.amazon.coral.service#"), body.get("message")


@pytest.fixture
def hand(guarded):
    made = Hand(guarded)
    yield made
    made.wire.close()


def test_boto3_with_the_right_key_works(guarded):
    db = client(guarded)
    db.create_table(
        TableName="Guarded", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    item = {"pk": {"S": "ü" * 500}, "n": {"N": "1"}}
    db.put_item(TableName="Guarded", Item=item)
    assert db.get_item(TableName="Guarded", Key={"pk": item["pk"]})["Item"] == item
    assert len(db.scan(TableName="Guarded")["Items"]) == 1
    arn = db.describe_table(TableName="Guarded")["Table"]["TableArn"]
    assert arn == "arn:aws:dynamodb:us-east-1:000000000000:table/Guarded"
    assert len(client(guarded, service="dynamodbstreams").list_streams()["Streams"]) == 1
    assert client(guarded, region="eu-west-1").list_tables()["TableNames"] == []
    db.delete_table(TableName="Guarded")


def test_boto3_with_wrong_keys_is_refused(guarded):
    assert refusal(client(guarded, secret="wrong").list_tables) == (400, "InvalidSignatureException", MISMATCH)
    assert refusal(client(guarded, key="AKIASTRANGERSTRANGER").list_tables) == (400, "UnrecognizedClientException", UNRECOGNIZED)
    assert refusal(client(guarded, key="000000000000").list_tables) == (400, "UnrecognizedClientException", UNRECOGNIZED)
    assert refusal(client(guarded, token="made-up").list_tables) == (400, "UnrecognizedClientException", UNRECOGNIZED)


def test_the_aws_cli(guarded, tmp_path):
    def run(secret):
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL_DYNAMODB": guarded.endpoint, "AWS_DEFAULT_REGION": "ap-south-1",
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": secret, "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1",
        }
        return subprocess.run(
            [sys.executable, str(AWS), "dynamodb", "list-tables"], env=environment, capture_output=True, text=True, timeout=120
        )

    right, wrong = run(SECRET), run("wrong")
    assert right.returncode == 0 and "TableNames" in right.stdout
    assert wrong.returncode != 0 and "(InvalidSignatureException)" in wrong.stderr


def test_unsigned_requests(hand):
    missing = (400, "MissingAuthenticationTokenException", "Request is missing Authentication Token")
    assert hand.send(hand.request()) == missing
    assert hand.send(hand.request(headers={"Authorization": "Bearer abc"})) == missing
    assert hand.send(hand.request(headers={"Authorization": ""})) == missing
    # DynamoDB looks at the operation and the body's form first.
    assert hand.send(hand.request(operation="NoSuch")) == (400, "UnknownOperationException", None)
    assert hand.send(hand.request(b"{")) == (400, "SerializationException", None)


def test_health_lines_and_preflights_stay_open(guarded, hand):
    for path in ("/", "/health/live", "/health/ready"):
        assert hand.wire.send("GET", path, None, {}).status == 200
    assert guarded.healthy()


def test_incomplete_signatures(hand):
    def with_header(value, drop=()):
        request = hand.signed()
        for name in drop:
            del request.headers[name]
        request.headers.replace_header("Authorization", value)
        return hand.send(request)

    status, code, message = with_header("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host", drop=["X-Amz-Date"])
    assert (status, code) == (400, "IncompleteSignatureException")
    assert message.startswith(
        "Authorization header requires 'Signature' parameter. Authorization header requires existence of either a "
        "'X-Amz-Date' or a 'Date' header. (Hashed with SHA-256 and encoded with Base64) Authorization="
    )
    status, code, message = with_header("AWS4-HMAC-SHA256 Credential=a b, Signature=c, SignedHeaders=host")
    assert (status, code) == (400, "IncompleteSignatureException") and message.startswith("Invalid key=value pair (missing equal-sign)")
    right = hand.signed().headers["Authorization"]
    assert with_header(right.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512")) == (
        400, "IncompleteSignatureException", "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256 for now). ")
    assert with_header(right.replace("/dynamodb/", "/"))[1:] == (
        "IncompleteSignatureException",
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got "
        f"'{right.split('Credential=')[1].split(',')[0].replace('/dynamodb/', '/')}'",
    )


def test_clock_skew(hand):
    now = datetime.datetime.now(datetime.timezone.utc)
    minutes = lambda number: now + datetime.timedelta(minutes=number)
    for near in (-14, 0, 14):
        assert hand.send(hand.sign(hand.request(), at=minutes(near)))[0] == 200
    status, code, message = hand.send(hand.sign(hand.request(), at=minutes(-16)))
    assert (status, code) == (400, "InvalidSignatureException")
    assert message.startswith(f"Signature expired: {minutes(-16):%Y%m%dT%H%M%SZ} is now earlier than ") and message.endswith(" - 15 min.)")
    status, code, message = hand.send(hand.sign(hand.request(), at=minutes(16)))
    assert (status, code) == (400, "InvalidSignatureException")
    assert message.startswith(f"Signature not yet current: {minutes(16):%Y%m%dT%H%M%SZ} is still later than ") and message.endswith(" + 15 min.)")


def test_tampered_requests(hand):
    mismatch = (400, "InvalidSignatureException", MISMATCH)
    changed = hand.signed()
    changed.data = b'{"Limit":1}'
    assert hand.send(changed) == mismatch
    changed = hand.signed()
    changed.headers.replace_header("X-Amz-Target", f"{API}.DescribeLimits")
    assert hand.send(changed) == mismatch
    changed = hand.signed()
    changed.url += "?more=1"
    assert hand.send(changed) == mismatch
    changed = hand.signed(headers={"X-Amz-Content-SHA256": "0" * 64})
    assert hand.send(changed) == mismatch
    changed = hand.signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert hand.send(changed) == mismatch
    changed = hand.signed()
    changed.headers["X-Amz-Added"] = "later"
    assert hand.send(changed) == (400, "InvalidSignatureException", "'x-amz-added' must be a 'SignedHeader' in the AWS Authorization.")
    wrong = hand.sign(hand.request(), service="s3")
    assert hand.send(wrong) == (400, "InvalidSignatureException", "Credential should be scoped to correct service: 'dynamodb'.")


def test_compressed_bodies_are_signed_as_sent(hand):
    body = gzip.compress(b'{"Limit":1}')
    assert hand.send(hand.signed(body=body, headers={"Content-Encoding": "gzip"}))[0] == 200
    other = hand.signed(body=body, headers={"Content-Encoding": "gzip"})
    other.data = gzip.compress(b'{"Limit":2}')
    assert hand.send(other) == (400, "InvalidSignatureException", MISMATCH)
    # Signed before it was compressed: what was sent is another body.
    late = hand.signed(body=b'{"Limit":1}')
    late.headers["Content-Encoding"] = "gzip"
    late.data = body
    assert hand.send(late) == (400, "InvalidSignatureException", MISMATCH)


def test_presigned_requests(hand):
    def presign(expires=60, at=None):
        return hand.sign(hand.request(), with_class=Presign, expires=expires, at=at)

    assert hand.send(presign())[0] == 200
    both = presign()
    both.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=a"
    assert hand.send(both) == (
        400, "InvalidSignatureException", "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")
    ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=2)
    assert hand.send(presign(expires=3 * 3600, at=ago))[0] == 200
    status, code, message = hand.send(presign(expires=3600, at=ago))
    assert (status, code) == (400, "InvalidSignatureException") and message.startswith("Signature expired: ") and message.endswith(" - 60 min.)")
    assert hand.send(presign(expires=604801))[1] == "IncompleteSignatureException"
    longer = presign()
    longer.url = longer.url.replace("X-Amz-Expires=60", "X-Amz-Expires=600")
    assert hand.send(longer) == (400, "InvalidSignatureException", MISMATCH)
    other = presign()
    other.data = b'{"Limit":1}'
    assert hand.send(other) == (400, "InvalidSignatureException", MISMATCH)


def test_oversized_credentials(hand):
    names = ";".join(f"a{number}" for number in range(3000))
    request = hand.signed()
    right = request.headers["Authorization"]
    request.headers.replace_header("Authorization", right.replace("SignedHeaders=", f"SignedHeaders={names};"))
    assert hand.send(request) == (400, "InvalidSignatureException", MISMATCH)
    request = hand.signed()
    request.headers["X-Amz-Security-Token"] = "t" * 20_000
    assert hand.send(request) == (400, "UnrecognizedClientException", UNRECOGNIZED)
    request = hand.signed()
    request.headers.replace_header("Authorization", right.replace(KEY, "K" * 10_000))
    assert hand.send(request) == (400, "UnrecognizedClientException", UNRECOGNIZED)


def test_triggers_need_a_signature_too(guarded):
    def run(**environment):
        command = [str(BINARY), "trigger", "--endpoint", guarded.endpoint, "list"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    right = run(AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
    assert right.returncode == 0 and right.stdout.startswith("NAME"), right.stderr
    wrong = run(AWS_ACCESS_KEY_ID=KEY)
    assert wrong.returncode == 1 and "InvalidSignatureException" in wrong.stderr
    stranger = run()
    assert stranger.returncode == 1 and "UnrecognizedClientException" in stranger.stderr


def test_the_start_says_who_is_let_in(guarded, own_server, tmp_path):
    assert "requests must be signed" in guarded.output() and SECRET not in guarded.output()
    assert "requests are not authenticated" in own_server("--in-memory").output()
    file = tmp_path / "root"
    file.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    file.chmod(0o600)
    server = own_server("--in-memory", "--auth", "on", "--root-credentials-file", str(file))
    assert client(server).list_tables()["TableNames"] == []

    def refused(*arguments, **environment):
        command = [str(BINARY), "serve", "--listen", "127.0.0.1:0", "--in-memory", *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1 and SECRET not in ended.stderr
        return ended.stderr

    file.chmod(0o644)
    assert "every user of this machine" in refused("--auth", "on", "--root-credentials-file", str(file))
    assert "partita admin create-root-key" in refused("--auth", "on")
    assert "together or not at all" in refused("--auth", "on", PARTITA_ROOT_ACCESS_KEY_ID=KEY)
    assert "--auth on" in refused("--listen", "0.0.0.0:0")
