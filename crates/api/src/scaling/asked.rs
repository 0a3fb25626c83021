//! What requests of Application Auto Scaling say: their shapes, and the constraints of the service's model.

use std::collections::BTreeMap;
use std::fmt::Display;

use partita_db::scaling::{Dimension, Fault, TargetName};
use serde::{Deserialize, Serialize};

/// The longest of most names ("ResourceIdMaxLen1600").
const MAX_ID: usize = 1_600;
/// The longest policy or action name.
const MAX_NAME: usize = 256;
/// The most names in a list.
const MAX_NAMES: usize = 50;
/// The most of one page.
const MAX_RESULTS: i32 = 50;

/// The service's name spaces; ours is the first.
const NAMESPACES: &[&str] = &[
    "dynamodb",
    "ecs",
    "elasticmapreduce",
    "ec2",
    "appstream",
    "rds",
    "sagemaker",
    "custom-resource",
    "comprehend",
    "lambda",
    "cassandra",
    "kafka",
    "elasticache",
    "neptune",
    "workspaces",
];

type Result<T> = std::result::Result<T, Fault>;

/// A request that names one scalable target, a policy or a scheduled action, or lists any of them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Asked {
    pub service_namespace: Option<String>,
    pub resource_id: Option<String>,
    pub resource_ids: Option<Vec<String>>,
    pub scalable_dimension: Option<String>,
    pub min_capacity: Option<i32>,
    pub max_capacity: Option<i32>,
    #[serde(rename = "RoleARN")]
    pub role_arn: Option<String>,
    pub suspended_state: Option<SuspendedState>,
    pub tags: Option<BTreeMap<String, String>>,
    pub policy_name: Option<String>,
    pub policy_names: Option<Vec<String>>,
    pub policy_type: Option<String>,
    pub target_tracking_scaling_policy_configuration: Option<TrackingConfiguration>,
    pub step_scaling_policy_configuration: Option<serde_json::Value>,
    pub predictive_scaling_policy_configuration: Option<serde_json::Value>,
    pub scheduled_action_name: Option<String>,
    pub scheduled_action_names: Option<Vec<String>>,
    pub schedule: Option<String>,
    pub timezone: Option<String>,
    pub start_time: Option<f64>,
    pub end_time: Option<f64>,
    pub scalable_target_action: Option<TargetAction>,
    pub max_results: Option<i32>,
    pub next_token: Option<String>,
    #[serde(rename = "ResourceARN")]
    pub resource_arn: Option<String>,
    pub tag_keys: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct SuspendedState {
    pub dynamic_scaling_in_suspended: Option<bool>,
    pub dynamic_scaling_out_suspended: Option<bool>,
    pub scheduled_scaling_suspended: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TargetAction {
    pub min_capacity: Option<i32>,
    pub max_capacity: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TrackingConfiguration {
    pub target_value: Option<f64>,
    pub predefined_metric_specification: Option<PredefinedMetric>,
    pub customized_metric_specification: Option<serde_json::Value>,
    pub scale_out_cooldown: Option<i32>,
    pub scale_in_cooldown: Option<i32>,
    pub disable_scale_in: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PredefinedMetric {
    pub predefined_metric_type: Option<String>,
}

/// Reads a request's body.
///
/// # Errors
/// `SerializationException` when it is not of the shape.
pub(super) fn read(body: &[u8]) -> Result<Asked> {
    let body = if body.is_empty() { b"{}".as_slice() } else { body };
    serde_json::from_slice(body)
        .map_err(|_| Fault::Refused("SerializationException", "The request could not be decoded".to_owned()))
}

/// The constraints that a request breaks, collected.
#[derive(Debug, Default)]
pub(super) struct Broken(Vec<String>);

impl Broken {
    fn add(&mut self, value: impl Display, member: &str, rule: impl Display) {
        self.0.push(format!("Value {value} at '{member}' failed to satisfy constraint: {rule}"));
    }

    /// A member that has to be there.
    pub(super) fn required<T>(&mut self, member: &str, value: Option<&T>) {
        if value.is_none() {
            self.add("null", member, "Member must not be null");
        }
    }

    fn length(&mut self, member: &str, value: Option<&str>, most: usize) {
        let Some(value) = value else { return };
        let length = value.chars().count();
        if length < 1 {
            self.add("''", member, "Member must have length greater than or equal to 1");
        } else if length > most {
            // What is too long is not repeated whole.
            let shown = format!("'{value:.64}'");
            self.add(shown, member, format_args!("Member must have length less than or equal to {most}"));
        }
    }

    /// The name of a policy or scheduled action.
    pub(super) fn name(&mut self, member: &str, value: Option<&str>) {
        self.length(member, value, MAX_NAME);
    }

    /// The name of a scheduled action, which is a part of its ARN.
    pub(super) fn action_name(&mut self, value: Option<&str>) {
        const MEMBER: &str = "scheduledActionName";
        self.name(MEMBER, value);
        let is_wrong = |name: &&str| {
            name.trim_matches(' ') != *name || name.contains([':', '/', '|']) || name.contains(char::is_control)
        };
        if let Some(name) = value.filter(is_wrong) {
            let rule = "Member must satisfy regular expression pattern: \
                        (?!((^[ ]+.*)|(.*([\\u0000-\\u001f]|[\\u007f-\\u009f]|[:/|])+.*)|(.*[ ]+$))).+";
            self.add(format!("'{name:.64}'"), MEMBER, rule);
        }
    }

    /// A schedule or time zone.
    pub(super) fn id(&mut self, member: &str, value: Option<&str>) {
        self.length(member, value, MAX_ID);
    }

    fn names(&mut self, member: &str, values: Option<&Vec<String>>) {
        let Some(values) = values else { return };
        if values.len() > MAX_NAMES {
            let shown = format!("'[{} values]'", values.len());
            self.add(shown, member, format_args!("Member must have length less than or equal to {MAX_NAMES}"));
        }
        values.iter().take(MAX_NAMES).for_each(|value| self.length(member, Some(value), MAX_ID));
    }

    fn one_of<'v>(&mut self, member: &str, value: Option<&str>, mut values: impl Iterator<Item = &'v str> + Clone) {
        let Some(value) = value else { return };
        if values.clone().all(|known| known != value) {
            let first = values.next().unwrap_or_default();
            let set = values.fold(first.to_owned(), |set, known| set + ", " + known);
            self.add(format!("'{value:.64}'"), member, format_args!("Member must satisfy enum value set: [{set}]"));
        }
    }

    /// Refuses a request that breaks any.
    ///
    /// # Errors
    /// `ValidationException` that lists them.
    pub(super) fn check(self) -> Result<()> {
        let Self(broken) = self;
        if broken.is_empty() {
            return Ok(());
        }
        let errors = if broken.len() == 1 { "error" } else { "errors" };
        Err(Fault::validation(format!("{} validation {errors} detected: {}", broken.len(), broken.join("; "))))
    }
}

impl Asked {
    /// The constraints on what most requests have.
    pub(super) fn broken(&self) -> Broken {
        let mut broken = Broken::default();
        broken.required("serviceNamespace", self.service_namespace.as_ref());
        broken.one_of("serviceNamespace", self.service_namespace.as_deref(), NAMESPACES.iter().copied());
        broken.length("resourceId", self.resource_id.as_deref(), MAX_ID);
        broken.names("resourceIds", self.resource_ids.as_ref());
        broken.names("policyNames", self.policy_names.as_ref());
        broken.names("scheduledActionNames", self.scheduled_action_names.as_ref());
        let dimensions = Dimension::ALL.iter().map(|dimension| dimension.name());
        if self.is_ours() {
            broken.one_of("scalableDimension", self.scalable_dimension.as_deref(), dimensions);
        }
        if let Some(results) = self.max_results
            && !(1..=MAX_RESULTS).contains(&results)
        {
            broken.add(format!("'{results}'"), "maxResults", "Member must have value between 1 and 50");
        }
        broken
    }

    /// The same for requests that name a scalable target.
    pub(super) fn broken_of_target(&self) -> Broken {
        let mut broken = self.broken();
        broken.required("resourceId", self.resource_id.as_ref());
        broken.required("scalableDimension", self.scalable_dimension.as_ref());
        broken
    }

    /// Whether the request is about DynamoDB. Of other services there is nothing.
    pub(super) fn is_ours(&self) -> bool {
        self.service_namespace.as_deref() == NAMESPACES.first().copied()
    }

    /// The dimension that the request names.
    pub(super) fn dimension(&self) -> Option<Dimension> {
        let name = self.scalable_dimension.as_deref()?;
        Dimension::ALL.into_iter().find(|dimension| dimension.name() == name)
    }

    /// The scalable target that a checked request names.
    ///
    /// # Errors
    /// `ValidationException` when there can be no such target.
    pub(super) fn target(&self) -> Result<TargetName> {
        match (self.is_ours(), self.dimension(), &self.resource_id) {
            (true, Some(dimension), Some(resource)) => TargetName::new(resource.clone(), dimension),
            _ => Err(Fault::validation("Unsupported service namespace, resource type or scalable dimension")),
        }
    }

    /// How many are asked for at most.
    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.max_results.unwrap_or(MAX_RESULTS)).unwrap_or(1)
    }
}

/// A time of the wire, in milliseconds since the epoch.
///
/// # Errors
/// `ValidationException` when it is none.
pub(super) fn millis(member: &str, seconds: Option<f64>) -> Result<Option<u64>> {
    /// The year 9999.
    const MOST: f64 = 253_402_300_799.0;
    match seconds {
        None => Ok(None),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in a range that fits")]
        Some(seconds) if (0.0..=MOST).contains(&seconds) => Ok(Some((seconds * 1000.0) as u64)),
        Some(_) => Err(Fault::validation(format!("{member} is out of range"))),
    }
}
