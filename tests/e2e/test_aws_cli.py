"""The AWS command line runs the README's first session as written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AWS = Path(sys.executable).with_name("aws")
USERS = (
    '{"TableName":"Users","KeySchema":[{"AttributeName":"UserID","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"UserID","AttributeType":"S"}],'
    '"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":5}}'
)


@pytest.fixture
def aws(server, tmp_path):
    """Runs `aws dynamodb …` with the exports that the start message prints, and returns what it printed."""
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL_DYNAMODB": server.endpoint, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "partita", "AWS_SECRET_ACCESS_KEY": "partita", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1",
    }

    def run(*words):
        ended = subprocess.run([sys.executable, str(AWS), "dynamodb", *words], env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    return run


def test_the_first_session(aws):
    assert aws("create-table", "--cli-input-json", USERS)["TableDescription"]["TableName"] == "Users"
    try:
        aws("wait", "table-exists", "--table-name", "Users")
        assert aws("put-item", "--table-name", "Users", "--item",
            '{"UserID":{"S":"12345"},"Name":{"S":"John Doe"},"Email":{"S":"john.doe@example.com"}}') is None
        found = aws("query", "--table-name", "Users", "--key-condition-expression", "UserID = :userID", "--expression-attribute-values",
            '{":userID":{"S":"12345"}}')
        assert found["Count"] == 1 and found["Items"][0]["Name"] == {"S": "John Doe"}
        aws("update-item", "--table-name", "Users", "--key", '{"UserID":{"S":"12345"}}', "--update-expression", "SET Email = :email",
            "--expression-attribute-values", '{":email":{"S":"john@example.com"}}')
        assert aws("get-item", "--table-name", "Users", "--key", '{"UserID":{"S":"12345"}}')["Item"]["Email"] == {"S": "john@example.com"}
        aws("delete-item", "--table-name", "Users", "--key", '{"UserID":{"S":"12345"}}')
        assert aws("scan", "--table-name", "Users")["Items"] == []
    finally:
        aws("delete-table", "--table-name", "Users")
    assert "Users" not in aws("list-tables")["TableNames"]
