//! What a target tracking policy makes of the last minutes. Pure.
//!
//! Throughput is raised when consumption was above the target in two minutes running, and lowered when it was 20 points or
//! more below in fifteen ("DynamoDB auto scaling": alarms of CloudWatch over one-minute sums). A minute in which nothing was
//! consumed has no data, so a table that rests keeps its units, as the documentation says.

use super::record::{Suspended, Tracking};

/// How many minutes above the target raise the units.
const MINUTES_OUT: usize = 2;
/// How many minutes below it lower them.
pub(super) const MINUTES_IN: usize = 15;
/// How far below the target that is, in percent of the provisioned units.
const MARGIN: f64 = 20.0;

/// What is known of a target when a policy decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct State<'a> {
    /// Provisioned units.
    pub units: i64,
    /// The bounds.
    pub min: i64,
    pub max: i64,
    /// Units consumed in each of the last minutes, the last one last.
    pub minutes: &'a [f64],
    /// Now, and when units were last raised and lowered, in milliseconds since the epoch.
    pub now_ms: u64,
    pub out_ms: Option<u64>,
    pub in_ms: Option<u64>,
    pub suspended: Suspended,
}

/// A change that a policy wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The new units.
    pub units: i64,
    /// Whether they rise.
    pub out: bool,
}

/// What a policy wants; `None` when the units are right, or a cool-down is not over.
pub(super) fn decide(policy: &Tracking, state: &State<'_>) -> Option<Change> {
    let capacity = |percent: f64| state.units as f64 * percent / 100.0 * 60.0;
    let (high, low) = (capacity(policy.target), capacity(policy.target - MARGIN));
    let last = |number: usize| state.minutes.len().checked_sub(number).and_then(|from| state.minutes.get(from..));
    let rests = |since: Option<u64>, seconds: Option<i32>| {
        let ms = u64::try_from(seconds.unwrap_or(0)).unwrap_or(0).saturating_mul(1000);
        since.is_some_and(|since| state.now_ms.saturating_sub(since) < ms)
    };
    // The units with which so much in a minute is just the target.
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and the bounds are far below")]
    let units = |consumed: f64| (consumed / 60.0 * 100.0 / policy.target).ceil() as i64;
    let wanted = |consumed: f64| units(consumed).min(state.max).max(state.min);
    if last(MINUTES_OUT).is_some_and(|minutes| minutes.iter().all(|consumed| *consumed > high)) {
        let units = wanted(state.minutes.last().copied().unwrap_or_default());
        let may = !state.suspended.scale_out && !rests(state.out_ms, policy.out_cooldown);
        return (may && units > state.units).then_some(Change { units, out: true });
    }
    if let Some(minutes) = last(MINUTES_IN)
        && minutes.iter().all(|consumed| *consumed > 0.0 && *consumed < low)
    {
        let units = wanted(minutes.iter().copied().fold(0.0, f64::max));
        // A cool-down of either kind has to be over: what was just added is not taken away.
        let rests = rests(state.in_ms, policy.in_cooldown) || rests(state.out_ms, policy.out_cooldown);
        let may = !state.suspended.scale_in && policy.disable_scale_in != Some(true) && !rests;
        return (may && units < state.units).then_some(Change { units, out: false });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Tracking =
        Tracking { target: 70.0, out_cooldown: Some(60), in_cooldown: Some(120), disable_scale_in: None };

    fn state(units: i64, minutes: &[f64]) -> State<'_> {
        let now_ms = 10_000_000;
        State { units, min: 5, max: 100, minutes, now_ms, out_ms: None, in_ms: None, suspended: Suspended::default() }
    }

    fn units(state: State<'_>) -> Option<i64> {
        decide(&POLICY, &state).map(|change| change.units)
    }

    #[test]
    fn two_minutes_above_the_target_raise_to_what_brings_the_target_back() {
        // 70 % of 10 units is 420 in a minute.
        assert_eq!(units(state(10, &[421.0])), None);
        assert_eq!(units(state(10, &[421.0, 420.0])), None);
        assert_eq!(units(state(10, &[421.0, 421.0])), Some(11));
        assert_eq!(units(state(10, &[600.0, 840.0])), Some(20));
        assert_eq!(units(state(10, &[600.0, 840_000.0])), Some(100), "the most");
    }

    #[test]
    fn fifteen_minutes_twenty_points_below_the_target_lower() {
        // 50 % of 100 units is 3,000 in a minute.
        let mut minutes = vec![2_100.0; 15];
        assert_eq!(units(state(100, &minutes)), Some(50));
        assert_eq!(units(state(100, &minutes[1..])), None);
        minutes[3] = 3_000.0;
        assert_eq!(units(state(100, &minutes)), None);
        minutes[3] = 2_940.0;
        assert_eq!(units(state(100, &minutes)), Some(70), "the busiest minute counts");
        minutes[3] = 0.0;
        assert_eq!(units(state(100, &minutes)), None, "a minute without data is no minute below");
        assert_eq!(units(state(100, &[1.0; 15])), Some(5), "the least");
    }

    #[test]
    fn cool_downs_and_suspension_keep_the_units() {
        let busy = [900.0; 2];
        let resting = |ago_ms: u64| State { out_ms: Some(10_000_000 - ago_ms), ..state(10, &busy) };
        assert_eq!(units(resting(59_999)), None);
        assert_eq!(units(resting(60_000)), Some(22));
        let quiet = [60.0; 15];
        let lowered = |ago_ms: u64| State { in_ms: Some(10_000_000 - ago_ms), ..state(10, &quiet) };
        assert_eq!(units(lowered(119_999)), None);
        assert_eq!(units(lowered(120_000)), Some(5));
        let raised = State { in_ms: Some(10_000_000), ..state(10, &busy) };
        assert_eq!(units(raised), Some(22), "a lowering does not hold up a raise");
        let suspended = Suspended { scale_in: true, scale_out: true, scheduled: true };
        assert_eq!(units(State { suspended, ..state(10, &busy) }), None);
        assert_eq!(units(State { suspended, ..state(10, &quiet) }), None);
        let never_in = Tracking { disable_scale_in: Some(true), ..POLICY };
        assert_eq!(decide(&never_in, &state(10, &quiet)), None);
    }
}
