"""What all Python tests share: a running server, clients of it, and tables that go away.

PARTITA_BIN names the binary (default target/release/partita). With PARTITA_TEST_ENDPOINT the same tests run against
that endpoint instead, which is how the tests themselves are checked on DynamoDB Local; tests that need a process of
their own are left out there, and those marked `dynamodb_local_differs` must fail.
"""

import itertools
import os

import boto3
import pytest
from botocore.config import Config

from differential.scenario import create
from differential.wire import Wire
from partita_process import CLUSTER_FILE, Partita

ENDPOINT = os.environ.get("PARTITA_TEST_ENDPOINT")
NAMES = itertools.count(1)
# What these are about is in a data directory.
ONE_MACHINE = {"test_durability", "test_encryption", "test_tls"}


class Elsewhere:
    """A server that this run did not start."""

    endpoint = ENDPOINT


def pytest_collection_modifyitems(items):
    """Against DynamoDB Local a marked test must fail, so that marks do not outlive their reason; in a cluster some are left out."""
    for item in items:
        if CLUSTER_FILE and item.path.stem in ONE_MACHINE:
            item.add_marker(pytest.mark.skip(reason="about a data directory, and this run keeps data in a FoundationDB cluster"))
    if not ENDPOINT:
        return
    for item in items:
        for mark in item.iter_markers("dynamodb_local_differs"):
            item.add_marker(pytest.mark.xfail(reason=mark.args[0], strict=True))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that do not stop it, with its data on disk."""
    if ENDPOINT:
        yield Elsewhere
        return
    with Partita(data_dir=tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def own_server(tmp_path):
    """Starts servers of the test's own: `own_server("--in-memory")`, by default with data in a temporary directory."""
    if ENDPOINT:
        pytest.skip("needs a process of its own")
    running = []

    def start(*arguments, data_dir=tmp_path / "data", environment=None):
        if "--in-memory" in arguments:
            data_dir = None
        running.append(Partita(*arguments, data_dir=data_dir, environment=environment).start())
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.kill()


def connect(endpoint, region="us-east-1", access_key="AKIAIOSFODNN7EXAMPLE", kind="client", service="dynamodb", **config):
    """A boto3 client that neither retries nor checks parameters, so that the server's own answers are seen."""
    settings = {"retries": {"max_attempts": 0}, "parameter_validation": False, "read_timeout": 60, "max_pool_connections": 32}
    return getattr(boto3, kind)(
        service, endpoint_url=endpoint, region_name=region, aws_access_key_id=access_key, aws_secret_access_key="secret",
        config=Config(**{**settings, **config})
    )


@pytest.fixture(scope="session")
def client(server):
    """The low-level client."""
    return connect(server.endpoint)


@pytest.fixture(scope="session")
def streams(server):
    """The client of DynamoDB Streams."""
    return connect(server.endpoint, service="dynamodbstreams")


@pytest.fixture(scope="session")
def resource(server):
    """The client with Python types."""
    return connect(server.endpoint, kind="resource")


@pytest.fixture
def wire(server):
    """Raw HTTP."""
    connection = Wire(server.endpoint)
    yield connection
    connection.close()


@pytest.fixture
def make_table(client):
    """Creates tables by short form, see `differential.scenario.create`, and deletes them afterwards."""
    made = []

    def make(keys="pk:S", lsi=(), gsi=(), **more):
        name = more.pop("name", None) or f"Test{next(NAMES)}"
        body = create(name, keys, lsi, gsi, **more).body
        if body["BillingMode"] is None:
            del body["BillingMode"]
        client.create_table(**body)
        made.append(name)
        return name

    yield make
    for name in made:
        try:
            client.delete_table(TableName=name)
        except client.exceptions.ResourceNotFoundException:
            pass
