//! What requests of Application Auto Scaling do.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use partita_db::scaling::{
    Activity, ActivityFilter, ActivityStatus, Fault, NewAction, NewTarget, Policy, PolicyChange, ScalableTarget,
    ScheduledAction, Suspended, TargetName, Tracking, check_tags,
};
use serde_json::{Map, Value, json};

use super::asked::{Asked, Broken, SuspendedState, TrackingConfiguration, millis, read};
use super::{Refused, ScalingOperation};
use crate::authorize::{Named, Place};
use crate::operations::Context;

/// The type of the policies there are.
const TRACKING: &str = "TargetTrackingScaling";
/// The longest tag key and value.
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;

type Result<T> = std::result::Result<T, Refused>;

/// Executes an operation and returns the answer.
pub(super) async fn execute(context: &Context<'_>, operation: ScalingOperation, body: &[u8]) -> Result<Value> {
    use ScalingOperation as Op;
    let asked = read(body)?;
    match operation {
        Op::TagResource | Op::UntagResource | Op::ListTagsForResource => {
            let arn = asked.resource_arn.as_deref().unwrap_or_default();
            let place = if arn.is_empty() { Place::Any } else { Place::Below(arn) };
            context.authorize(&[Named::new(operation.action(), place)]).await?;
        }
        Op::DescribeScalableTargets
        | Op::DescribeScalingPolicies
        | Op::DescribeScheduledActions
        | Op::DescribeScalingActivities => {
            context.authorize(&[Named::new(operation.action(), Place::Any)]).await?;
        }
        _ => {
            // A target that is not registered yet has no ARN.
            let known = match asked.target() {
                Ok(name) => context.database.scalable_target(&context.caller.scope, &name).await?,
                Err(_) => None,
            };
            let scope = &context.caller.scope;
            let arn = known.map_or_else(
                || format!("arn:aws:application-autoscaling:{}:{}:scalable-target/*", scope.region, scope.account),
                |target| target.arn(),
            );
            context.authorize(&[Named::new(operation.action(), Place::Below(&arn))]).await?;
        }
    }
    match operation {
        Op::RegisterScalableTarget => register(context, asked).await,
        Op::DeregisterScalableTarget => {
            asked.broken_of_target().check()?;
            context.database.deregister_target(&context.caller.scope, &asked.target()?).await?;
            Ok(json!({}))
        }
        Op::DescribeScalableTargets => describe_targets(context, &asked).await,
        Op::PutScalingPolicy => put_policy(context, asked).await,
        Op::DeleteScalingPolicy => {
            let mut broken = asked.broken_of_target();
            broken.required("policyName", asked.policy_name.as_ref());
            broken.name("policyName", asked.policy_name.as_deref());
            broken.check()?;
            let policy = asked.policy_name.as_deref().unwrap_or_default();
            context.database.delete_scaling_policy(&context.caller.scope, &asked.target()?, policy).await?;
            Ok(json!({}))
        }
        Op::DescribeScalingPolicies => describe_policies(context, &asked).await,
        Op::PutScheduledAction => put_action(context, asked).await,
        Op::DeleteScheduledAction => {
            let mut broken = asked.broken_of_target();
            broken.required("scheduledActionName", asked.scheduled_action_name.as_ref());
            broken.name("scheduledActionName", asked.scheduled_action_name.as_deref());
            broken.check()?;
            let action = asked.scheduled_action_name.as_deref().unwrap_or_default();
            context.database.delete_scheduled_action(&context.caller.scope, &asked.target()?, action).await?;
            Ok(json!({}))
        }
        Op::DescribeScheduledActions => describe_actions(context, &asked).await,
        Op::DescribeScalingActivities => describe_activities(context, &asked).await,
        Op::TagResource => tag(context, asked).await,
        Op::UntagResource => untag(context, asked).await,
        Op::ListTagsForResource => {
            let tags = change_tags(context, &asked, |_| ()).await?;
            Ok(json!({ "Tags": tags }))
        }
    }
}

async fn register(context: &Context<'_>, asked: Asked) -> Result<Value> {
    let mut broken = asked.broken_of_target();
    broken.id("roleARN", asked.role_arn.as_deref());
    broken.check()?;
    let name = asked.target()?;
    let SuspendedState { dynamic_scaling_in_suspended, dynamic_scaling_out_suspended, scheduled_scaling_suspended } =
        asked.suspended_state.unwrap_or_default();
    let new = NewTarget {
        min: asked.min_capacity.map(i64::from),
        max: asked.max_capacity.map(i64::from),
        role: asked.role_arn,
        suspended: [dynamic_scaling_in_suspended, dynamic_scaling_out_suspended, scheduled_scaling_suspended],
        tags: checked_tags(asked.tags.unwrap_or_default())?,
    };
    let target = context.database.register_target(&context.caller.scope, &name, &new).await?;
    Ok(json!({ "ScalableTargetARN": target.arn() }))
}

async fn put_policy(context: &Context<'_>, asked: Asked) -> Result<Value> {
    let mut broken = asked.broken_of_target();
    broken.required("policyName", asked.policy_name.as_ref());
    broken.name("policyName", asked.policy_name.as_deref());
    broken.check()?;
    let name = asked.target()?;
    let is_other = asked.step_scaling_policy_configuration.is_some()
        || asked.predictive_scaling_policy_configuration.is_some()
        || asked.policy_type.as_deref().is_some_and(|kind| kind != TRACKING);
    if is_other {
        return Err(Fault::validation("DynamoDB supports policies of the type TargetTrackingScaling only").into());
    }
    let tracking = tracking(&name, asked.target_tracking_scaling_policy_configuration)?;
    let change = PolicyChange { name: asked.policy_name.unwrap_or_default(), tracking };
    let (target, policy) = context.database.put_scaling_policy(&context.caller.scope, &name, &change).await?;
    Ok(json!({ "PolicyARN": target.policy_arn(&policy), "Alarms": alarms(&target, &policy) }))
}

fn tracking(name: &TargetName, asked: Option<TrackingConfiguration>) -> Result<Tracking> {
    let Some(asked) = asked else {
        let message =
            "TargetTrackingScalingPolicyConfiguration is required for policies of the type TargetTrackingScaling";
        return Err(Fault::validation(message).into());
    };
    let mut broken = Broken::default();
    broken.required("targetTrackingScalingPolicyConfiguration.targetValue", asked.target_value.as_ref());
    broken.check()?;
    let metric = asked.predefined_metric_specification.and_then(|metric| metric.predefined_metric_type);
    if asked.customized_metric_specification.is_some() || metric.as_deref() != Some(name.dimension.metric()) {
        return Err(Fault::validation(format!(
            "The scalable dimension {} has to be tracked by the predefined metric {}",
            name.dimension.name(),
            name.dimension.metric()
        ))
        .into());
    }
    Ok(Tracking {
        target: asked.target_value.unwrap_or_default(),
        out_cooldown: asked.scale_out_cooldown,
        in_cooldown: asked.scale_in_cooldown,
        disable_scale_in: asked.disable_scale_in,
    })
}

async fn put_action(context: &Context<'_>, asked: Asked) -> Result<Value> {
    let mut broken = asked.broken_of_target();
    broken.required("scheduledActionName", asked.scheduled_action_name.as_ref());
    broken.action_name(asked.scheduled_action_name.as_deref());
    broken.id("schedule", asked.schedule.as_deref());
    broken.id("timezone", asked.timezone.as_deref());
    broken.check()?;
    let name = asked.target()?;
    let new = NewAction {
        name: asked.scheduled_action_name.unwrap_or_default(),
        schedule: asked.schedule,
        time_zone: asked.timezone,
        start_ms: millis("StartTime", asked.start_time)?,
        end_ms: millis("EndTime", asked.end_time)?,
        bounds: asked
            .scalable_target_action
            .map(|bounds| (bounds.min_capacity.map(i64::from), bounds.max_capacity.map(i64::from))),
    };
    context.database.put_scheduled_action(&context.caller.scope, &name, &new).await?;
    Ok(json!({}))
}

/// The targets that a list is of.
async fn targets(context: &Context<'_>, asked: &Asked) -> Result<Vec<ScalableTarget>> {
    asked.broken().check()?;
    if !asked.is_ours() {
        return Ok(Vec::new());
    }
    let mut targets = context.database.scalable_targets(&context.caller.scope).await?;
    let dimension = asked.dimension();
    targets.retain(|target| {
        asked.resource_id.as_ref().is_none_or(|resource| *resource == target.resource)
            && asked
                .resource_ids
                .as_ref()
                .is_none_or(|resources| resources.is_empty() || resources.contains(&target.resource))
            && dimension.is_none_or(|dimension| dimension == target.dimension)
    });
    Ok(targets)
}

async fn describe_targets(context: &Context<'_>, asked: &Asked) -> Result<Value> {
    let targets = targets(context, asked).await?;
    let shown = targets.iter().map(|target| (place_of(target, ""), show_target(target)));
    page(shown.collect(), asked, "ScalableTargets")
}

async fn describe_policies(context: &Context<'_>, asked: &Asked) -> Result<Value> {
    let targets = targets(context, asked).await?;
    let wanted =
        |name: &String| asked.policy_names.as_ref().is_none_or(|names| names.is_empty() || names.contains(name));
    let policies = targets.iter().flat_map(|target| target.policies.iter().map(move |policy| (target, policy)));
    let shown = policies
        .filter(|(_, policy)| wanted(&policy.name))
        .map(|(target, policy)| (place_of(target, &policy.name), show_policy(target, policy)));
    page(shown.collect(), asked, "ScalingPolicies")
}

async fn describe_actions(context: &Context<'_>, asked: &Asked) -> Result<Value> {
    let targets = targets(context, asked).await?;
    let names = asked.scheduled_action_names.as_ref();
    let wanted = |name: &String| names.is_none_or(|names| names.is_empty() || names.contains(name));
    let actions = targets.iter().flat_map(|target| target.actions.iter().map(move |action| (target, action)));
    let shown = actions
        .filter(|(_, action)| wanted(&action.name))
        .map(|(target, action)| (place_of(target, &action.name), show_action(target, action)));
    page(shown.collect(), asked, "ScheduledActions")
}

async fn describe_activities(context: &Context<'_>, asked: &Asked) -> Result<Value> {
    asked.broken().check()?;
    let activities = if asked.is_ours() {
        let filter = ActivityFilter { resource: asked.resource_id.clone(), dimension: asked.dimension() };
        context.database.scaling_activities(&context.caller.scope, &filter).await?
    } else {
        Vec::new()
    };
    // The latest come first.
    let shown =
        activities.iter().map(|done| (format!("{:020} {}", u64::MAX - done.start_ms, done.id), show_activity(done)));
    page(shown.collect(), asked, "ScalingActivities")
}

fn place_of(target: &ScalableTarget, name: &str) -> String {
    format!("{} {} {name}", target.resource, target.dimension.name())
}

/// A page of what is shown, in the order of its places.
fn page(mut shown: Vec<(String, Value)>, asked: &Asked, member: &str) -> Result<Value> {
    shown.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some(token) = &asked.next_token {
        let after = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let after = after
            .ok_or_else(|| Fault::Refused("InvalidNextTokenException", "The next token is not valid".to_owned()))?;
        shown.retain(|(place, _)| *place > after);
    }
    let limit = asked.limit();
    let more = shown.len() > limit;
    shown.truncate(limit);
    let next = shown.last().filter(|_| more).map(|(place, _)| URL_SAFE_NO_PAD.encode(place));
    let mut answer = Map::new();
    answer.insert(member.to_owned(), shown.into_iter().map(|(_, value)| value).collect());
    if let Some(next) = next {
        answer.insert("NextToken".to_owned(), next.into());
    }
    Ok(answer.into())
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// An object without the members that are null.
fn object(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

fn show_target(target: &ScalableTarget) -> Value {
    let Suspended { scale_in, scale_out, scheduled } = target.suspended;
    let role = || {
        format!(
            "arn:aws:iam::{}:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/\
             AWSServiceRoleForApplicationAutoScaling_DynamoDBTable",
            target.account
        )
    };
    json!({
        "ServiceNamespace": "dynamodb",
        "ResourceId": target.resource,
        "ScalableDimension": target.dimension.name(),
        "MinCapacity": target.min,
        "MaxCapacity": target.max,
        "RoleARN": target.role.clone().unwrap_or_else(role),
        "CreationTime": seconds(target.created_ms),
        "SuspendedState": {
            "DynamicScalingInSuspended": scale_in,
            "DynamicScalingOutSuspended": scale_out,
            "ScheduledScalingSuspended": scheduled,
        },
        "ScalableTargetARN": target.arn(),
    })
}

fn alarms(target: &ScalableTarget, policy: &Policy) -> Value {
    target.alarms(policy).into_iter().map(|(name, arn)| json!({ "AlarmName": name, "AlarmARN": arn })).collect()
}

fn show_policy(target: &ScalableTarget, policy: &Policy) -> Value {
    let Tracking { target: value, out_cooldown, in_cooldown, disable_scale_in } = policy.tracking;
    json!({
        "PolicyARN": target.policy_arn(policy),
        "PolicyName": policy.name,
        "ServiceNamespace": "dynamodb",
        "ResourceId": target.resource,
        "ScalableDimension": target.dimension.name(),
        "PolicyType": TRACKING,
        "TargetTrackingScalingPolicyConfiguration": object(json!({
            "TargetValue": value,
            "PredefinedMetricSpecification": { "PredefinedMetricType": target.dimension.metric() },
            "ScaleOutCooldown": out_cooldown,
            "ScaleInCooldown": in_cooldown,
            "DisableScaleIn": disable_scale_in,
        })),
        "Alarms": alarms(target, policy),
        "CreationTime": seconds(policy.created_ms),
    })
}

fn show_action(target: &ScalableTarget, action: &ScheduledAction) -> Value {
    object(json!({
        "ScheduledActionName": action.name,
        "ScheduledActionARN": target.action_arn(action),
        "ServiceNamespace": "dynamodb",
        "Schedule": action.schedule,
        "Timezone": action.time_zone,
        "ResourceId": target.resource,
        "ScalableDimension": target.dimension.name(),
        "StartTime": action.start_ms.map(seconds),
        "EndTime": action.end_ms.map(seconds),
        "ScalableTargetAction": object(json!({ "MinCapacity": action.min, "MaxCapacity": action.max })),
        "CreationTime": seconds(action.created_ms),
    }))
}

fn show_activity(activity: &Activity) -> Value {
    json!({
        "ActivityId": activity.id,
        "ServiceNamespace": "dynamodb",
        "ResourceId": activity.resource,
        "ScalableDimension": activity.dimension.name(),
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": seconds(activity.start_ms),
        "EndTime": seconds(activity.end_ms),
        "StatusCode": match activity.status {
            ActivityStatus::Successful => "Successful",
            ActivityStatus::Failed => "Failed",
        },
        "StatusMessage": activity.message,
    })
}

type Tags = std::collections::BTreeMap<String, String>;

fn checked_tags(tags: Tags) -> Result<Tags> {
    let fits = |(key, value): (&String, &String)| {
        (1..=MAX_TAG_KEY).contains(&key.chars().count()) && value.chars().count() <= MAX_TAG_VALUE
    };
    if !tags.iter().all(fits) {
        let message = "Keys of tags have 1 to 128 characters, their values up to 256";
        return Err(Fault::validation(message).into());
    }
    check_tags(&tags)?;
    Ok(tags)
}

async fn tag(context: &Context<'_>, mut asked: Asked) -> Result<Value> {
    let tags = checked_tags(asked.tags.take().unwrap_or_default())?;
    change_tags(context, &asked, |kept| kept.extend(tags.clone())).await?;
    Ok(json!({}))
}

async fn untag(context: &Context<'_>, asked: Asked) -> Result<Value> {
    let keys = asked.tag_keys.as_deref().unwrap_or_default();
    change_tags(context, &asked, |kept| keys.iter().for_each(|key| drop(kept.remove(key)))).await?;
    Ok(json!({}))
}

async fn change_tags(context: &Context<'_>, asked: &Asked, change: impl Fn(&mut Tags) + Send + Sync) -> Result<Tags> {
    let mut broken = Broken::default();
    broken.required("resourceARN", asked.resource_arn.as_ref());
    broken.check()?;
    let arn = asked.resource_arn.as_deref().unwrap_or_default();
    let tags = context.database.change_target_tags(&context.caller.scope, arn, change).await?;
    let missing =
        || Fault::Refused("ResourceNotFoundException", format!("No scalable target found for ARN: {arn:.256}"));
    Ok(tags.ok_or_else(missing)?)
}
