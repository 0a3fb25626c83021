//! What is kept of auto scaling: scalable targets with their policies and scheduled actions, and activities.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scope::Scope;

/// What of a resource is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dimension {
    /// `dynamodb:table:ReadCapacityUnits`
    TableRead,
    /// `dynamodb:table:WriteCapacityUnits`
    TableWrite,
    /// `dynamodb:index:ReadCapacityUnits`
    IndexRead,
    /// `dynamodb:index:WriteCapacityUnits`
    IndexWrite,
}

impl Dimension {
    /// All dimensions.
    pub const ALL: [Self; 4] = [Self::TableRead, Self::TableWrite, Self::IndexRead, Self::IndexWrite];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TableRead => "dynamodb:table:ReadCapacityUnits",
            Self::TableWrite => "dynamodb:table:WriteCapacityUnits",
            Self::IndexRead => "dynamodb:index:ReadCapacityUnits",
            Self::IndexWrite => "dynamodb:index:WriteCapacityUnits",
        }
    }

    /// Whether it is about reads.
    #[must_use]
    pub const fn is_read(self) -> bool {
        matches!(self, Self::TableRead | Self::IndexRead)
    }

    /// Whether it is about an index.
    #[must_use]
    pub const fn is_index(self) -> bool {
        matches!(self, Self::IndexRead | Self::IndexWrite)
    }

    /// The metric that its policies follow.
    #[must_use]
    pub const fn metric(self) -> &'static str {
        if self.is_read() { "DynamoDBReadCapacityUtilization" } else { "DynamoDBWriteCapacityUtilization" }
    }

    /// What descriptions of activities call it.
    pub(super) const fn spoken(self) -> &'static str {
        if self.is_read() { "read capacity units" } else { "write capacity units" }
    }

    /// What tells it apart in keys of the store.
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::TableRead => b'r',
            Self::TableWrite => b'w',
            Self::IndexRead => b'R',
            Self::IndexWrite => b'W',
        }
    }
}

/// What of auto scaling rests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// Lowering by policies.
    pub scale_in: bool,
    /// Raising by policies.
    pub scale_out: bool,
    /// Scheduled actions.
    pub scheduled: bool,
}

/// A scalable target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalableTarget {
    /// The owner's account.
    pub account: String,
    /// The region.
    pub region: String,
    /// `table/name` or `table/name/index/name`.
    pub resource: String,
    /// What of it is scaled.
    pub dimension: Dimension,
    /// What ends its ARN.
    pub id: String,
    /// The least units.
    pub min: i64,
    /// The most units.
    pub max: i64,
    /// The role that the request named.
    pub role: Option<String>,
    /// When it was registered, in milliseconds since the epoch.
    pub created_ms: u64,
    /// What rests.
    pub suspended: Suspended,
    /// Tags by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Its policies, in the order they were made.
    #[serde(default)]
    pub policies: Vec<Policy>,
    /// Its scheduled actions, in the order they were made.
    #[serde(default)]
    pub actions: Vec<ScheduledAction>,
    /// When a policy last raised the units.
    #[serde(default)]
    pub out_ms: Option<u64>,
    /// When a policy last lowered them.
    #[serde(default)]
    pub in_ms: Option<u64>,
}

impl ScalableTarget {
    /// The name space it lives in.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { account: self.account.as_str().into(), region: self.region.as_str().into() }
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:application-autoscaling:{}:{}:scalable-target/{}", self.region, self.account, self.id)
    }

    /// The ARN of one of its policies.
    #[must_use]
    pub fn policy_arn(&self, policy: &Policy) -> String {
        self.part_arn("scalingPolicy", &policy.id, "policyName", &policy.name)
    }

    /// The ARN of one of its scheduled actions.
    #[must_use]
    pub fn action_arn(&self, action: &ScheduledAction) -> String {
        self.part_arn("scheduledAction", &action.id, "scheduledActionName", &action.name)
    }

    fn part_arn(&self, kind: &str, id: &str, named: &str, name: &str) -> String {
        let Self { region, account, resource, .. } = self;
        format!("arn:aws:autoscaling:{region}:{account}:{kind}:{id}:resource/dynamodb/{resource}:{named}/{name}")
    }

    /// The names and ARNs of the alarms that stand for what a policy watches.
    #[must_use]
    pub fn alarms(&self, policy: &Policy) -> Vec<(String, String)> {
        let kinds = ["AlarmHigh", "AlarmLow", "ProvisionedCapacityHigh", "ProvisionedCapacityLow"];
        let named = kinds.iter().map(|kind| {
            let name = self.alarm(policy, kind);
            let arn = format!("arn:aws:cloudwatch:{}:{}:alarm:{name}", self.region, self.account);
            (name, arn)
        });
        named.collect()
    }

    pub(super) fn alarm(&self, policy: &Policy, kind: &str) -> String {
        format!("TargetTracking-{}-{kind}-{}", self.resource, policy.id)
    }

    /// The table, and the index if it is one.
    pub(super) fn names(&self) -> Option<(&str, Option<&str>)> {
        let rest = self.resource.strip_prefix("table/")?;
        Some(match rest.split_once("/index/") {
            Some((table, index)) => (table, Some(index)),
            None => (rest, None),
        })
    }
}

/// A target tracking policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// A UUID, in its ARN.
    pub id: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// What it does.
    pub tracking: Tracking,
}

/// A `TargetTrackingScalingPolicyConfiguration`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tracking {
    /// The utilization to keep, in percent: 20 to 90.
    pub target: f64,
    /// Seconds between two raises.
    pub out_cooldown: Option<i32>,
    /// Seconds between two lowerings.
    pub in_cooldown: Option<i32>,
    /// Whether it never lowers.
    pub disable_scale_in: Option<bool>,
}

/// A scheduled action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledAction {
    /// Its name.
    pub name: String,
    /// A UUID, in its ARN.
    pub id: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// `at(…)`, `rate(…)` or `cron(…)`.
    pub schedule: String,
    /// The time zone of the schedule; UTC when it is not named.
    pub time_zone: Option<String>,
    /// The first time it may happen, in milliseconds since the epoch.
    pub start_ms: Option<u64>,
    /// The last time.
    pub end_ms: Option<u64>,
    /// The new least units.
    pub min: Option<i64>,
    /// The new most units.
    pub max: Option<i64>,
    /// When it happens next; `None` for never again.
    pub next_ms: Option<u64>,
}

/// What became of a scaling activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActivityStatus {
    /// It was done.
    Successful,
    /// The table could not be changed.
    Failed,
}

/// Something that auto scaling has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// A UUID.
    pub id: String,
    /// What was scaled.
    pub resource: String,
    /// What of it.
    pub dimension: Dimension,
    /// What was done.
    pub description: String,
    /// Why.
    pub cause: String,
    /// When it began, in milliseconds since the epoch.
    pub start_ms: u64,
    /// When it ended.
    pub end_ms: u64,
    /// What became of it.
    pub status: ActivityStatus,
    /// The same in words.
    pub message: String,
}
