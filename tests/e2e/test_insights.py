"""Contributor insights: switched on and off as the service does, and planted hot keys found by the report and the program."""

import json
import os
import random
import subprocess
import time

import boto3
import pytest
from botocore.exceptions import ClientError
from conftest import ENDPOINT, connect
from partita_process import BINARY
from test_metrics import Scrape

from differential.scenario import create
from differential.servers import free_port

pytestmark = pytest.mark.skipif(bool(ENDPOINT), reason="DynamoDB Local has no contributor insights")
ROOT = {"PARTITA_ROOT_ACCESS_KEY_ID": "AKIAROOTEXAMPLE00001", "PARTITA_ROOT_SECRET_ACCESS_KEY": "root/Secret+Key/0123456789abcdefghijklmn"}


@pytest.fixture(scope="module")
def cloudwatch(server):
    return connect(server.endpoint, service="cloudwatch")


def report(cloudwatch, rule, **more):
    now = int(time.time())
    return cloudwatch.get_insight_rule_report(RuleName=rule, StartTime=now - 3600, EndTime=now + 60, Period=60, **more)


def code(call, **arguments):
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def test_insights_are_switched_on_and_off_for_tables_and_indexes(client, make_table):
    table = make_table("pk:S sk:S", gsi=[("by-g", "g:S", "ALL")])
    described = client.describe_contributor_insights(TableName=table)
    assert described["ContributorInsightsStatus"] == "DISABLED" and "LastUpdateDateTime" not in described
    before = time.time()
    answer = client.update_contributor_insights(TableName=table, ContributorInsightsAction="ENABLE")
    assert {name: answer[name] for name in ["TableName", "ContributorInsightsStatus", "ContributorInsightsMode"]} == {
        "TableName": table, "ContributorInsightsStatus": "ENABLING", "ContributorInsightsMode": "ACCESSED_AND_THROTTLED_KEYS"}
    described = client.describe_contributor_insights(TableName=table)
    assert described["ContributorInsightsStatus"] == "ENABLED"
    assert before - 1 < described["LastUpdateDateTime"].timestamp() < time.time() + 1
    rules = described["ContributorInsightsRuleList"]
    moment = rules[0].rsplit("-", 1)[1]
    assert rules == [f"DynamoDBContributorInsights-{kind}-{table}-{moment}" for kind in ["PKC", "SKC", "PKT", "SKT"]]
    assert abs(int(moment) / 1000 - before) < 5
    arguments = {"TableName": table, "IndexName": "by-g", "ContributorInsightsAction": "ENABLE", "ContributorInsightsMode": "THROTTLED_KEYS"}
    assert client.update_contributor_insights(**arguments)["IndexName"] == "by-g"
    described = client.describe_contributor_insights(TableName=table, IndexName="by-g")
    assert (described["ContributorInsightsMode"], len(described["ContributorInsightsRuleList"])) == ("THROTTLED_KEYS", 1)
    listed = client.list_contributor_insights(TableName=table)["ContributorInsightsSummaries"]
    assert [(each["TableName"], each.get("IndexName"), each["ContributorInsightsStatus"]) for each in listed] == [
        (table, None, "ENABLED"), (table, "by-g", "ENABLED")]
    page = client.list_contributor_insights(TableName=table, MaxResults=1)
    assert [each.get("IndexName") for each in page["ContributorInsightsSummaries"]] == [None]
    page = client.list_contributor_insights(TableName=table, MaxResults=1, NextToken=page["NextToken"])
    assert [each.get("IndexName") for each in page["ContributorInsightsSummaries"]] == ["by-g"] and "NextToken" not in page
    client.update_contributor_insights(TableName=table, ContributorInsightsAction="DISABLE")
    described = client.describe_contributor_insights(TableName=table)
    assert described["ContributorInsightsStatus"] == "DISABLED" and "ContributorInsightsRuleList" not in described
    assert code(client.update_contributor_insights, TableName=table, IndexName="nope", ContributorInsightsAction="ENABLE") == "ResourceNotFoundException"
    assert code(client.describe_contributor_insights, TableName="Nowhere") == "ResourceNotFoundException"
    assert code(client.update_contributor_insights, TableName=table, ContributorInsightsAction="MAYBE") == "ValidationException"


def test_all_insights_of_the_account_are_listed_by_pages(client, make_table):
    tables = [make_table("pk:S", name=f"InsightsOf{number}") for number in range(5)]
    for table in tables:
        client.update_contributor_insights(TableName=table, ContributorInsightsAction="ENABLE")
    listed, token = [], {}
    while True:
        page = client.list_contributor_insights(MaxResults=2, **token)
        assert len(page["ContributorInsightsSummaries"]) <= 2
        listed += [each["TableName"] for each in page["ContributorInsightsSummaries"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert [name for name in listed if name.startswith("InsightsOf")] == tables
    assert len(listed) == len(set(listed))
    assert code(client.list_contributor_insights, NextToken="nonsense!") == "ValidationException"


def test_planted_hot_keys_are_found_within_the_error_that_is_told(server, client, cloudwatch, make_table):
    table = make_table("pk:S sk:N", name="Hot-Keys-1", gsi=[("by-g", "g:S", "ALL")])
    for index in [{}, {"IndexName": "by-g"}]:
        client.update_contributor_insights(TableName=table, ContributorInsightsAction="ENABLE", **index)
    rules = dict(zip(["PKC", "SKC", "PKT", "SKT"], client.describe_contributor_insights(TableName=table)["ContributorInsightsRuleList"]))
    truth = {}
    load = [("hot", 1)] * 300 + [("warm", 2)] * 150 + [(f"cold{number}", number) for number in range(1500)]
    random.Random(7).shuffle(load)
    for at in range(0, len(load), 25):
        # A batch names no item twice.
        for each in {key: load[at:at + 25].count(key) for key in load[at:at + 25]}.items():
            truth[each[0]] = truth.get(each[0], 0) + each[1]
        batch = load[at:at + 25]
        while batch:
            once = list(dict.fromkeys(batch))
            client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": {"pk": {"S": pk}, "sk": {"N": str(sk)}, "g": {"S": "all"}}}} for pk, sk in once]})
            for key in once:
                batch.remove(key)
    for _ in range(20):
        client.get_item(TableName=table, Key={"pk": {"S": "hot"}, "sk": {"N": "1"}})
    truth["hot", 1] += 10  # Twenty reads of half a unit.
    found = report(cloudwatch, rules["PKC"], MaxContributorCount=5, Metrics=["Sum"])
    assert found["KeyLabels"] == ["pk"] and found["AggregationStatistic"] == "Sum"
    assert found["AggregateValue"] == len(load) + 10 == sum(point["Sum"] for point in found["MetricDatapoints"])
    assert [each["Keys"] for each in found["Contributors"][:2]] == [["hot"], ["warm"]]
    for each, key in zip(found["Contributors"], [("hot", 1), ("warm", 2)]):
        value = each["ApproximateAggregateValue"]
        assert truth[key] <= value <= truth[key] + found["AggregateValue"] / 64, (each, truth[key])
        assert value == sum(point["ApproximateValue"] for point in each["Datapoints"])
    items = report(cloudwatch, rules["SKC"])
    assert items["KeyLabels"] == ["pk", "sk"] and items["Contributors"][0]["Keys"] == ["hot", "1"]
    assert report(cloudwatch, rules["PKT"])["Contributors"] == []
    # A Query takes of its partition, one of an index of the index's.
    for _ in range(30):
        client.query(TableName=table, IndexName="by-g", Limit=1, KeyConditionExpression="g = :g", ExpressionAttributeValues={":g": {"S": "all"}})
    of_index = client.describe_contributor_insights(TableName=table, IndexName="by-g")["ContributorInsightsRuleList"][0]
    found = report(cloudwatch, of_index)
    assert (found["KeyLabels"], found["Contributors"][0]["Keys"], found["AggregateValue"]) == (["g"], ["all"], 15)
    # The program shows the same.
    environment = {**os.environ, "AWS_ENDPOINT_URL_DYNAMODB": server.endpoint, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    shown = subprocess.run([BINARY, "insights", table, "--top", "3"], env=environment, capture_output=True, text=True, timeout=30, check=True).stdout
    lines = shown.splitlines()
    assert lines[0] == f"{table}: contributor insights ENABLED (ACCESSED_AND_THROTTLED_KEYS)"
    assert lines[2].startswith("Most accessed partition keys") and "hot" in lines[3] and "warm" in lines[4]
    told = json.loads(subprocess.run([BINARY, "insights", table, "--json"], env=environment, capture_output=True, text=True, timeout=30, check=True).stdout)
    assert len(told["Reports"]) == 4


def test_throttled_keys_are_ranked_and_counted_by_reason(own_server):
    port = free_port()
    server = own_server("--in-memory", "--throttling", "on", "--metrics-listen", f"127.0.0.1:{port}")
    client, cloudwatch = connect(server.endpoint), connect(server.endpoint, service="cloudwatch")
    throughput = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}
    client.create_table(**create("Slow", "pk:S").body | throughput)
    client.update_contributor_insights(TableName="Slow", ContributorInsightsAction="ENABLE", ContributorInsightsMode="THROTTLED_KEYS")
    rule, = client.describe_contributor_insights(TableName="Slow")["ContributorInsightsRuleList"]
    refused = 0
    for number in range(400):
        # 300 seconds of one unit are kept.
        try:
            client.put_item(TableName="Slow", Item={"pk": {"S": "hot" if number % 10 else f"cold{number}"}, "v": {"S": "v" * 1000}})
        except client.exceptions.ProvisionedThroughputExceededException:
            refused += 1
    assert refused > 50
    found = report(cloudwatch, rule)
    assert found["AggregateValue"] == refused
    assert found["Contributors"][0]["Keys"] == ["hot"] and found["Contributors"][0]["ApproximateAggregateValue"] > refused * 0.7
    scrape = Scrape(f"http://127.0.0.1:{port}")
    assert scrape.of("partita_write_throttle_events_total", table_name="Slow", reason="ProvisionedThroughputExceeded") == refused
    assert scrape.of("partita_throttled_requests_total", table_name="Slow", operation="PutItem") == refused


def test_rules_that_are_not_there_and_spans_that_are_none_are_refused(client, cloudwatch, make_table):
    table = make_table("pk:S")
    client.update_contributor_insights(TableName=table, ContributorInsightsAction="ENABLE")
    rule = client.describe_contributor_insights(TableName=table)["ContributorInsightsRuleList"][0]
    report(cloudwatch, rule)
    now = int(time.time())
    span = {"StartTime": now - 60, "EndTime": now, "Period": 60}
    for wrong in ["nothing", "DynamoDBContributorInsights-PKC-Nowhere-1", rule.replace("PKC", "XXX"), rule + "1", rule.replace("PKC", "SKC"), "DynamoDBContributorInsights-PKC-" + "-" * 90]:
        assert code(cloudwatch.get_insight_rule_report, RuleName=wrong, **span) == "ResourceNotFoundException", wrong
    for wrong in [{"Period": 61}, {"Period": 0}, {"EndTime": now - 120}]:
        assert code(cloudwatch.get_insight_rule_report, **{"RuleName": rule, **span, **wrong}) == "ValidationException", wrong
    client.update_contributor_insights(TableName=table, ContributorInsightsAction="DISABLE")
    assert code(cloudwatch.get_insight_rule_report, RuleName=rule, **span) == "ResourceNotFoundException"


def test_keys_are_shown_to_those_alone_who_may_describe_the_insights(own_server):
    server = own_server("--in-memory", "--auth", "on", environment=ROOT)
    def as_user(service, key, secret):
        return boto3.client(service, endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret)

    root = ROOT["PARTITA_ROOT_ACCESS_KEY_ID"], ROOT["PARTITA_ROOT_SECRET_ACCESS_KEY"]
    client, iam = as_user("dynamodb", *root), as_user("iam", *root)
    client.create_table(**create("Secrets", "pk:S").body)
    client.update_contributor_insights(TableName="Secrets", ContributorInsightsAction="ENABLE")
    client.put_item(TableName="Secrets", Item={"pk": {"S": "planted"}})
    rule = client.describe_contributor_insights(TableName="Secrets")["ContributorInsightsRuleList"][0]

    def user(name, *actions):
        iam.create_user(UserName=name)
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return as_user("cloudwatch", made["AccessKeyId"], made["SecretAccessKey"])

    assert report(as_user("cloudwatch", *root), rule)["Contributors"][0]["Keys"] == ["planted"]
    allowed = user("both", "cloudwatch:GetInsightRuleReport", "dynamodb:DescribeContributorInsights")
    assert report(allowed, rule)["Contributors"][0]["Keys"] == ["planted"]
    for name, actions in [("one", ["cloudwatch:GetInsightRuleReport"]), ("other", ["dynamodb:*"]), ("none", ["s3:*"])]:
        with pytest.raises(ClientError) as refused:
            report(user(name, *actions), rule)
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
        assert "planted" not in str(refused.value)
