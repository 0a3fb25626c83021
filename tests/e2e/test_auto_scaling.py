"""Application Auto Scaling on the same endpoint: boto3, the AWS command line, and units that follow load and schedule."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from answers import refusal
from conftest import connect
from test_authorization import KEY, ROOT, SECRET, document, statement
from test_authorization import connect as signed
from test_clock import Timed, eventually
from test_throttling import item, provision

WRITES = {"ServiceNamespace": "dynamodb", "ResourceId": "table/Orders", "ScalableDimension": "dynamodb:table:WriteCapacityUnits"}
TRACKING = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
    "ScaleOutCooldown": 0,
}


class Scene(Timed):
    """A server with a provisioned table, and a client of auto scaling."""

    def __init__(self, running):
        super().__init__(running)
        self.scaling = connect(running.endpoint, service="application-autoscaling")
        provision(self.client, "Orders", 10, 10, [("by-group", "group:S", 5, 5)])

    def units(self):
        """The table's write units."""
        return self.client.describe_table(TableName="Orders")["Table"]["ProvisionedThroughput"]["WriteCapacityUnits"]

    def activities(self):
        """What was done, the latest first."""
        return self.scaling.describe_scaling_activities(ServiceNamespace="dynamodb")["ScalingActivities"]


@pytest.fixture
def scene(own_server):
    """A server whose clock can be moved."""
    return Scene(own_server("--in-memory", "--test-clock"))


def test_targets_policies_and_actions_are_put_shown_and_deleted(scene):
    scaling = scene.scaling
    assert refusal(scaling.put_scaling_policy, PolicyName="p", **WRITES, PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=TRACKING) == ("ObjectNotFoundException",
        "No scalable target registered for service namespace: dynamodb, resource ID: table/Orders, scalable dimension: dynamodb:table:WriteCapacityUnits")
    arn = scaling.register_scalable_target(**WRITES, MinCapacity=5, MaxCapacity=100, Tags={"team": "a"})["ScalableTargetARN"]
    index = {**WRITES, "ResourceId": "table/Orders/index/by-group", "ScalableDimension": "dynamodb:index:ReadCapacityUnits"}
    scaling.register_scalable_target(**index, MinCapacity=5, MaxCapacity=10)
    shown = scaling.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=["table/Orders"])["ScalableTargets"]
    assert [(target["ScalableTargetARN"], target["MinCapacity"], target["MaxCapacity"]) for target in shown] == [(arn, 5, 100)]
    assert shown[0]["RoleARN"] and shown[0]["CreationTime"]

    made = scaling.put_scaling_policy(PolicyName="p", **WRITES, PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING)
    assert len(made["Alarms"]) == 4
    [policy] = scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"]
    assert (policy["PolicyARN"], policy["TargetTrackingScalingPolicyConfiguration"]) == (made["PolicyARN"], TRACKING)
    again = scaling.put_scaling_policy(PolicyName="p", **WRITES, PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING)
    assert again["PolicyARN"] == made["PolicyARN"]

    scaling.put_scheduled_action(**WRITES, ScheduledActionName="night", Schedule="cron(0 22 * * ? *)", Timezone="Europe/Berlin",
        ScalableTargetAction={"MaxCapacity": 10})
    [action] = scaling.describe_scheduled_actions(ServiceNamespace="dynamodb")["ScheduledActions"]
    assert (action["Timezone"], action["ScalableTargetAction"]) == ("Europe/Berlin", {"MaxCapacity": 10})

    pages = [page["ScalableTargets"] for page in scaling.get_paginator("describe_scalable_targets").paginate(
        ServiceNamespace="dynamodb", PaginationConfig={"PageSize": 1})]
    assert [len(page) for page in pages] == [1, 1]
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"team": "a"}
    scaling.tag_resource(ResourceARN=arn, Tags={"cost": "b"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"cost": "b"}

    scaling.delete_scheduled_action(**WRITES, ScheduledActionName="night")
    scaling.delete_scaling_policy(**WRITES, PolicyName="p")
    scaling.deregister_scalable_target(**WRITES)
    scaling.deregister_scalable_target(**index)
    assert scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"] == []
    assert refusal(scaling.deregister_scalable_target, **WRITES)[0] == "ObjectNotFoundException"


def test_what_breaks_a_rule_is_refused(scene):
    register = scene.scaling.register_scalable_target
    code, message = refusal(register, ServiceNamespace="dynamodb")
    assert code == "ValidationException" and message.startswith("2 validation errors detected: Value null at 'resourceId'")
    assert refusal(register, **{**WRITES, "ServiceNamespace": "dynamo"})[0] == "ValidationException"
    assert refusal(register, **{**WRITES, "ResourceId": "Orders"}, MinCapacity=1, MaxCapacity=2) == (
        "ValidationException", "Unsupported service namespace, resource type or scalable dimension")
    assert refusal(register, **{**WRITES, "ResourceId": "table/U"}, MinCapacity=1, MaxCapacity=2)[0] == "ValidationException"
    assert refusal(register, **WRITES, MinCapacity=3, MaxCapacity=2)[0] == "ValidationException"
    register(**WRITES, MinCapacity=5, MaxCapacity=100)
    put = lambda schedule: scene.scaling.put_scheduled_action(**WRITES, ScheduledActionName="a", Schedule=schedule, ScalableTargetAction={"MinCapacity": 5})
    assert refusal(put, schedule="hourly")[0] == "ValidationException"
    assert scene.scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"] == []
    assert refusal(scene.scaling.describe_scalable_targets, ServiceNamespace="dynamodb", NextToken="%")[0] == "InvalidNextTokenException"


def test_units_follow_load_and_schedule(scene):
    scene.scaling.register_scalable_target(**WRITES, MinCapacity=5, MaxCapacity=100)
    scene.scaling.put_scaling_policy(PolicyName="p", **WRITES, PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKING)
    # To the beginning of a minute, so that the load of a minute is in it.
    now = scene.pass_by(0)
    scene.pass_by(61 - int(now) % 60)
    # Three minutes of 1,200 units: 200 % of 10 a second.
    for _ in range(3):
        for _ in range(12):
            scene.client.put_item(TableName="Orders", Item=item("a", 100))
        scene.pass_by(60)
        # The task is woken when the clock is moved, and has to see the end of the minute before the next load.
        time.sleep(0.3)
    eventually(lambda: scene.units() == 29)
    [activity, *_] = scene.activities()
    assert activity["StatusCode"] == "Successful" and activity["Description"] == "Setting write capacity units to 29."
    assert "AlarmHigh" in activity["Cause"]

    scene.scaling.put_scheduled_action(**WRITES, ScheduledActionName="later", Schedule="rate(1 hour)", ScalableTargetAction={"MinCapacity": 40})
    scene.pass_by(3601)
    eventually(lambda: scene.units() == 40)
    assert any(done["Cause"] == "scheduled action name later was triggered" for done in scene.activities())


def test_targets_outlive_a_restart(own_server):
    first = own_server()
    client = connect(first.endpoint)
    provision(client, "Orders", 10, 10)
    connect(first.endpoint, service="application-autoscaling").register_scalable_target(**WRITES, MinCapacity=20, MaxCapacity=100)
    first.stop()
    second = own_server()
    client = connect(second.endpoint)
    scaling = connect(second.endpoint, service="application-autoscaling")
    assert len(scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]) == 1
    eventually(lambda: client.describe_table(TableName="Orders")["Table"]["ProvisionedThroughput"]["WriteCapacityUnits"] == 20)


def test_policies_say_who_may_scale(own_server):
    running = own_server("--in-memory", "--auth", "on", environment=ROOT)
    root = signed(running, service="application-autoscaling")
    provision(signed(running), "Orders", 10, 10)
    root.register_scalable_target(**WRITES, MinCapacity=5, MaxCapacity=100)
    iam = signed(running, service="iam")
    iam.create_user(UserName="eve")
    iam.put_user_policy(UserName="eve", PolicyName="only",
        PolicyDocument=document(statement("application-autoscaling:Describe*", "*"), statement("dynamodb:*", "*")))
    key = iam.create_access_key(UserName="eve")["AccessKey"]
    eve = signed(running, key["AccessKeyId"], key["SecretAccessKey"], service="application-autoscaling")
    assert len(eve.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]) == 1
    code, message = refusal(eve.deregister_scalable_target, **WRITES)
    assert code == "AccessDeniedException" and "application-autoscaling:DeregisterScalableTarget" in message
    wrong = signed(running, KEY, SECRET + "x", service="application-autoscaling")
    assert refusal(wrong.describe_scalable_targets, ServiceNamespace="dynamodb")[0] == "InvalidSignatureException"


def test_the_aws_command_line_speaks_to_it(scene, tmp_path):
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL": scene.endpoint, "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "partita", "AWS_SECRET_ACCESS_KEY": "partita", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1",
    }

    def aws(*words):
        command = [sys.executable, str(Path(sys.executable).with_name("aws")), "application-autoscaling", *words]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout) if ended.stdout.strip() else None

    named = ("--service-namespace", "dynamodb", "--resource-id", "table/Orders", "--scalable-dimension", "dynamodb:table:WriteCapacityUnits")
    assert "ScalableTargetARN" in aws("register-scalable-target", *named, "--min-capacity", "5", "--max-capacity", "50")
    [target] = aws("describe-scalable-targets", "--service-namespace", "dynamodb")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (5, 50)
