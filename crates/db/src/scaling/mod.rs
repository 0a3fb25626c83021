//! Auto scaling: throughput of tables and global indexes that follows what they consume, or a schedule, as Application
//! Auto Scaling does it for DynamoDB.
//!
//! `record` is what is kept of a scalable target, `schedule` when scheduled actions are due, `decide` what follows from the
//! last minutes, `requests` what users ask for, `job` the task that does what is decided, `usage` what nodes tell of their
//! minutes. Source of the rules: "Managing throughput capacity automatically with DynamoDB auto scaling" and the Application
//! Auto Scaling user guide.

mod decide;
mod job;
mod record;
mod requests;
mod schedule;
#[cfg(test)]
mod tests;
mod usage;

pub(crate) use job::Scaling;
pub use record::{Activity, ActivityStatus, Dimension, Policy, ScalableTarget, ScheduledAction, Suspended, Tracking};
pub use requests::{
    ActivityFilter, Fault, MAX_TAGS, NewAction, NewTarget, PolicyChange, TargetName, check_tags, is_time_zone,
};
pub use schedule::Schedule;
