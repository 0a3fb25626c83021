"""TLS: certificates of one's own and self-signed ones, through boto3 and the AWS CLI; versions, names, reloading, refusals."""

import hashlib
import http.client
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
import pytest
import trustme
from answers import N, S
from botocore.config import Config
from botocore.exceptions import SSLError
from conftest import ENDPOINT
from partita_process import BINARY, Partita

from differential.scenario import create
from differential.servers import free_port

pytestmark = [
    pytest.mark.skipif(bool(ENDPOINT), reason="needs a process of its own"),
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated"),
]


class Secure(Partita):
    """A server that speaks TLS on its port."""

    @property
    def endpoint(self):
        return f"https://127.0.0.1:{self.port}"

    def healthy(self):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=anyone())
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def anyone():
    """Trusts every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def connect(endpoint, bundle, **settings):
    return boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret",
        verify=str(bundle), config=Config(**{"retries": {"max_attempts": 0}, **settings}))


@pytest.fixture
def authority(tmp_path):
    """An authority; `.bundle` is its certificate, `.issue(*names)` writes a certificate and key, which are server arguments."""
    made = trustme.CA()
    made.bundle = tmp_path / "ca.pem"
    made.cert_pem.write_to_path(str(made.bundle))
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"

    def issue(*names):
        issued = made.issue_cert(*names)
        issued.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return "--tls-cert", str(certificate), "--tls-key", str(key)

    made.issue = issue
    return made


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(*arguments, kind=Secure, data_dir=tmp_path / "data"):
        running.append(kind(*arguments, data_dir=data_dir).start())
        return running[-1]

    yield begin
    for each in running:
        if each.process.poll() is None:
            each.kill()


def shown(server, name="localhost", context=None):
    """The certificate that the server shows, in DER."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain, (context or anyone()).wrap_socket(
        plain, server_hostname=name
    ) as secure:
        return secure.getpeercert(binary_form=True)


def told_fingerprint(server):
    return re.search(r"SHA-256 ([0-9A-F:]{95})", server.output())[1].replace(":", "").lower()


def aws(server, *arguments):
    environment = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1"}
    command = [sys.executable, "-m", "awscli", "dynamodb", "--endpoint-url", server.endpoint, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def refusal(*arguments):
    done = subprocess.run([str(BINARY), "serve", "--in-memory", "--listen", f"127.0.0.1:{free_port()}", *arguments], capture_output=True,
        text=True, timeout=20, env={})
    assert done.returncode == 1, done
    return done.stderr


def test_a_self_signed_certificate_serves_boto3_and_the_aws_cli_once_it_is_trusted(start):
    server = start("--tls-self-signed", "--allowed-host", "db.example.com")
    file = server.data_dir / "self-signed.crt"
    assert stat.S_IMODE((server.data_dir / "self-signed.key").stat().st_mode) == 0o600
    assert told_fingerprint(server) == hashlib.sha256(shown(server)).hexdigest()
    assert f"AWS_CA_BUNDLE='{file}'" in server.output() and server.endpoint in server.output()

    for endpoint in (server.endpoint, server.endpoint.replace("127.0.0.1", "localhost")):
        assert connect(endpoint, file).list_tables()["TableNames"] == []
    shown(server, "db.example.com", ssl.create_default_context(cafile=str(file)))
    client = connect(server.endpoint, file)
    client.create_table(**create("Things", "pk:S").body)
    client.put_item(TableName="Things", Item={"pk": S("a"), "n": N(1)})
    with pytest.raises(SSLError):
        connect(server.endpoint, True).list_tables()
    listed = aws(server, "list-tables", "--ca-bundle", str(file))
    assert listed.returncode == 0 and '"Things"' in listed.stdout, listed
    refused = aws(server, "list-tables")
    assert refused.returncode != 0 and "SSL" in refused.stderr, refused

    before = shown(server)
    server.restart("kill")
    assert shown(server) == before
    assert client.get_item(TableName="Things", Key={"pk": S("a")})["Item"]["n"] == N(1)
    server.stop()
    server.arguments = ("--tls-self-signed",)
    server.start()
    assert shown(server) != before, "a certificate for other names"


def test_triggers_are_managed_over_tls(start):
    server = start("--tls-self-signed")
    command = [str(BINARY), "trigger", "list", "--json", "--endpoint", server.endpoint]
    done = subprocess.run([*command, "--ca-file", str(server.data_dir / "self-signed.crt")], capture_output=True, text=True, timeout=20, env={})
    assert (done.returncode, done.stdout) == (0, '{\n  "Triggers": []\n}\n'), done
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env={})
    assert done.returncode == 1 and "--ca-file" in done.stderr, done


def test_versions_names_and_plain_http(start, authority):
    server = start("--in-memory", *authority.issue("localhost", "db.example.test"), data_dir=None)
    assert "AWS_CA_BUNDLE" not in server.output()
    context = ssl.create_default_context(cafile=str(authority.bundle))
    for name in ("localhost", "db.example.test"):
        shown(server, name, context)
    with pytest.raises(ssl.SSLCertVerificationError, match="127.0.0.1|IP address"):
        shown(server, "127.0.0.1", context)
    with pytest.raises(SSLError):
        connect(server.endpoint, authority.bundle).list_tables()
    for version, works in [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)]:
        client = anyone()
        client.set_ciphers("ALL:@SECLEVEL=0")
        client.minimum_version = client.maximum_version = ssl.TLSVersion[version]
        if works:
            shown(server, "localhost", client)
        else:
            with pytest.raises(ssl.SSLError, match="(?i)version|handshake"):
                shown(server, "localhost", client)
    plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    plain.request("POST", "/", "{}", {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"})
    answer = plain.getresponse()
    assert answer.status == 400 and b"https://" in answer.read()


def test_both_schemes_at_once(start, authority):
    port = free_port()
    server = start("--in-memory", *authority.issue("127.0.0.1"), "--listen", f"http://127.0.0.1:{port}", data_dir=None)
    clear = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="key",
        aws_secret_access_key="secret")
    clear.create_table(**create("Things", "pk:S").body)
    assert connect(server.endpoint, authority.bundle).list_tables()["TableNames"] == ["Things"]


def test_a_certificate_is_replaced_while_requests_run(start, authority):
    server = start("--in-memory", *authority.issue("127.0.0.1"), data_dir=None)
    client = connect(server.endpoint, authority.bundle)
    client.create_table(**create("Things", "pk:S").body)
    before, failures, done, until = shown(server), [], [0, 0], time.monotonic() + 30

    def work(number, keep):
        own = connect(server.endpoint, authority.bundle)
        while not stop.is_set():
            try:
                if not keep:
                    own = connect(server.endpoint, authority.bundle)
                own.update_item(TableName="Things", Key={"pk": S("counter")}, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": N(1)})
                done[number] += 1
            except Exception as error:
                failures.append(error)

    stop = threading.Event()
    workers = [threading.Thread(target=work, args=(number, keep)) for number, keep in enumerate((True, False))]
    for worker in workers:
        worker.start()
    key = Path(server.arguments[-1])
    good = key.read_bytes()
    key.write_text("broken")
    time.sleep(4.5)
    assert shown(server) == before and "the old one is kept" in server.output()
    key.write_bytes(good)
    authority.issue("127.0.0.1")
    while shown(server) == before and time.monotonic() < until:
        time.sleep(0.1)
    stop.set()
    for worker in workers:
        worker.join()
    assert shown(server) != before and not failures and min(done) > 10, (failures[:1], done)
    assert int(client.get_item(TableName="Things", Key={"pk": S("counter")})["Item"]["n"]["N"]) == sum(done)


def test_large_bodies_and_a_stop_in_the_middle(start, authority):
    server = start(*authority.issue("127.0.0.1"))
    client = connect(server.endpoint, authority.bundle)
    client.create_table(**create("Things", "pk:S sk:N").body)
    value = "x" * 390_000
    for half in range(2):
        put = [{"PutRequest": {"Item": {"pk": S("p"), "sk": N(half * 20 + n), "v": S(value)}}} for n in range(20)]
        assert client.batch_write_item(RequestItems={"Things": put})["UnprocessedItems"] == {}
    found = sum(len(page["Items"]) for page in client.get_paginator("scan").paginate(TableName="Things"))
    assert found == 40
    answered = []

    def put_on():
        try:
            while True:
                client.put_item(TableName="Things", Item={"pk": S("late"), "sk": N(len(answered))})
                answered.append(True)
        except Exception:
            pass

    worker = threading.Thread(target=put_on)
    worker.start()
    time.sleep(0.5)
    assert server.stop() == 0
    worker.join()
    server.start()
    late = connect(server.endpoint, authority.bundle).query(TableName="Things", KeyConditionExpression="pk = :p", Select="COUNT",
        ExpressionAttributeValues={":p": S("late")})
    assert answered and late["Count"] >= len(answered)


def test_certificates_that_can_not_be_used_are_refused_with_a_remedy(authority, tmp_path):
    arguments = authority.issue("localhost")
    key = Path(arguments[3])
    key.chmod(0o644)
    assert "chmod 600" in refusal(*arguments)
    key.chmod(0o600)
    other = tmp_path / "other.key"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(str(other))
    other.chmod(0o600)
    told = refusal(*arguments[:3], str(other))
    assert "does not belong" in told and "BEGIN" not in told
    assert "can not be read" in refusal(*arguments[:3], str(tmp_path / "absent"))
    assert "given together" in refusal(*arguments[:2])
    assert "either" in refusal(*arguments, "--tls-self-signed")
    assert "needs a certificate" in refusal("--listen", f"https://127.0.0.1:{free_port()}")
