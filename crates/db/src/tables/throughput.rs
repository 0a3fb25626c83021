//! The rules of throughput: provisioned units and their decreases, maximums in on-demand mode, warm throughput.
//!
//! Wordings were measured against the service.

use jiff::Timestamp;
use partita_model::{ErrorCode, Refusal};

use super::keys::invalid;
use crate::limits::{
    DECREASE_INTERVAL_SECONDS, FREE_DECREASES_A_DAY, INITIAL_WARM_READ_UNITS, INITIAL_WARM_WRITE_UNITS,
    MAX_REPRESENTABLE_UNITS, MAX_SWITCHES_A_DAY, MAX_TABLE_UNITS,
};
use crate::record::{BillingMode, OnDemandThroughput, Throughput, WarmThroughput};

/// A `ProvisionedThroughput` as a request gives it: units of at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvisionedUnits {
    /// Read capacity units.
    pub read: i64,
    /// Write capacity units.
    pub write: i64,
}

/// When a table is changed, and under which rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Now, in milliseconds since the epoch.
    pub now_ms: u64,
    /// Whether the service's quotas on changes are kept.
    pub quotas: bool,
}

/// Whose throughput a rule is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner<'a> {
    Table,
    Index(&'a str),
}

impl ProvisionedUnits {
    /// Refuses numbers of units that are no number at all to the service.
    pub(super) fn check_bounds(self) -> Result<(), Refusal> {
        for (units, member) in [(self.read, "ReadCapacityUnits"), (self.write, "WriteCapacityUnits")] {
            if units > MAX_REPRESENTABLE_UNITS {
                return Err(Refusal::validation(format!("Given value {units} for {member} is out of bounds")));
            }
        }
        Ok(())
    }

    /// Refuses more units than a table or index may have.
    pub(super) fn check_limit(self, owner: Owner<'_>, region: &str) -> Result<(), Refusal> {
        for (units, member) in [(self.read, "ReadCapacityUnits"), (self.write, "WriteCapacityUnits")] {
            if units <= MAX_TABLE_UNITS {
                continue;
            }
            let (which, per) = match owner {
                Owner::Table => (member.to_owned(), "table"),
                Owner::Index(name) => (format!("{member} for index {name}"), "index"),
            };
            return Err(limit_exceeded(format!(
                "The requested {which}, {units}, is above the per {per} maximum for the account in {region}. Per {per} \
                 maximum: {MAX_TABLE_UNITS}. Refer to the Amazon DynamoDB Developer Guide for current limits and how to \
                 request higher limits."
            )));
        }
        Ok(())
    }
}

/// A `LimitExceededException`.
pub(super) fn limit_exceeded(message: String) -> Refusal {
    Refusal::new(ErrorCode::LimitExceededException, message)
}

impl Throughput {
    /// Throughput of a new table or index.
    pub(super) fn of(units: Option<ProvisionedUnits>) -> Self {
        let (read, write) = units.map_or((0, 0), |units| (units.read, units.write));
        Self { read, write, ..Self::default() }
    }

    /// How often it fell on the UTC day of this time.
    #[must_use]
    pub fn decreases_on_day_of(&self, now_ms: u64) -> i64 {
        let fell_today = self.decreased_ms.is_some_and(|fell| fell / DAY_MS == now_ms / DAY_MS);
        if fell_today { self.decreases_today } else { 0 }
    }

    /// Changes the units, keeping account of rises and falls.
    ///
    /// # Errors
    /// `ValidationException` when nothing changes, `LimitExceededException` when the service's quotas are to be kept and it
    /// may not fall again yet.
    pub(super) fn change(
        &mut self,
        units: ProvisionedUnits,
        owner: Owner<'_>,
        Moment { now_ms, quotas }: Moment,
    ) -> Result<(), Refusal> {
        let ProvisionedUnits { read, write } = units;
        if (read, write) == (self.read, self.write) {
            let (whose, of) = match owner {
                Owner::Table => ("the table".to_owned(), "the table".to_owned()),
                Owner::Index(name) => (format!("the index {name}"), format!("index {name}")),
            };
            return Err(Refusal::validation(format!(
                "The provisioned throughput for {whose} will not change. The requested value equals the current value. \
                 Current ReadCapacityUnits provisioned for {of}: {0}. Requested ReadCapacityUnits: {0}. Current \
                 WriteCapacityUnits provisioned for {of}: {1}. Requested WriteCapacityUnits: {1}. Refer to the Amazon \
                 DynamoDB Developer Guide for current limits and how to request higher limits.",
                read, write
            )));
        }
        if read < self.read || write < self.write {
            let decreases = self.decreases_on_day_of(now_ms);
            if quotas {
                self.check_decrease(decreases, now_ms)?;
            }
            self.decreases_today = decreases + 1;
            self.decreased_ms = Some(now_ms);
        }
        if read > self.read || write > self.write {
            self.increased_ms = Some(now_ms);
        }
        (self.read, self.write) = (read, write);
        Ok(())
    }

    fn check_decrease(&self, decreases: i64, now_ms: u64) -> Result<(), Refusal> {
        let fell = self.decreased_ms.unwrap_or_default();
        let next = (fell + DECREASE_INTERVAL_SECONDS * 1000).min((now_ms / DAY_MS + 1) * DAY_MS);
        if decreases < FREE_DECREASES_A_DAY || now_ms >= next {
            return Ok(());
        }
        Err(limit_exceeded(format!(
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the \
             first {FREE_DECREASES_A_DAY} decreases, each subsequent decrease in the same UTC day can be performed at \
             most once every {DECREASE_INTERVAL_SECONDS} seconds. Number of decreases today: {decreases}. Last decrease \
             at {}. Next decrease can be made at {}.",
            spoken_time(fell),
            spoken_time(next)
        )))
    }
}

/// Refuses one more switch to on-demand mode within a day.
///
/// # Errors
/// `LimitExceededException` after four within the last 24 hours. The words are those that the service had when it was one a
/// day.
pub(super) fn check_switches(switches_ms: &[u64], now_ms: u64) -> Result<(), Refusal> {
    let recent: Vec<u64> = switches_ms.iter().copied().filter(|at| now_ms.saturating_sub(*at) < DAY_MS).collect();
    let (Some(first), Some(last)) = (recent.first(), recent.last()) else { return Ok(()) };
    if recent.len() < MAX_SWITCHES_A_DAY {
        return Ok(());
    }
    Err(limit_exceeded(format!(
        "Subscriber limit exceeded: Update to PayPerRequest mode are limited to {MAX_SWITCHES_A_DAY} times in 1 day(s). \
         Last update at {}. Next update can be made at {}",
        spoken_time(*last),
        spoken_time(first + DAY_MS)
    )))
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn spoken_time(ms: u64) -> String {
    let time = Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
    time.strftime("%A, %B %-d, %Y at %-I:%M:%S %p Coordinated Universal Time").to_string()
}

/// How the words of CreateTable and UpdateTable differ for the same rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum During {
    Create,
    Update,
}

impl OnDemandThroughput {
    /// Whether the request sets nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.max_read.is_none() && self.max_write.is_none()
    }

    fn members(&self) -> [(Option<i64>, &'static str, &'static str); 2] {
        [
            (self.max_read, "MaxReadRequestUnits", "TableMaxReadCapacityUnits"),
            (self.max_write, "MaxWriteRequestUnits", "TableMaxWriteCapacityUnits"),
        ]
    }

    /// Checks maximums that a request sets, in the mode that the table will be in.
    pub(super) fn check(
        &self,
        owner: Owner<'_>,
        mode: BillingMode,
        during: During,
        region: &str,
    ) -> Result<(), Refusal> {
        for (units, member, _) in self.members() {
            if units.is_some() && mode == BillingMode::Provisioned {
                return Err(invalid(match (owner, during) {
                    (Owner::Table, During::Create) => {
                        format!(
                            "{member} for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED."
                        )
                    }
                    (Owner::Table, During::Update) => format!(
                        "{member} for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED"
                    ),
                    (Owner::Index(name), During::Create) => format!(
                        "{member} for OnDemandThroughput for index: {name} cannot be specified when table BillingMode is \
                         PROVISIONED."
                    ),
                    (Owner::Index(name), During::Update) => format!(
                        "{member} for OnDemandThroughput for index : {name} cannot be specified when the table \
                         BillingMode is PROVISIONED"
                    ),
                }));
            }
        }
        let whose = match owner {
            Owner::Table => "table".to_owned(),
            Owner::Index(name) => format!("index : {name}"),
        };
        for (units, member, limit) in self.members() {
            match units {
                None | Some(1..=MAX_TABLE_UNITS) => {}
                // UpdateTable takes a maximum away with -1.
                Some(-1) if during == During::Update => {}
                Some(..=0) => {
                    return Err(invalid(format_args!(
                        "Requested {member} for OnDemandThroughput for {whose} is outside of valid range"
                    )));
                }
                Some(_) => {
                    return Err(limit_exceeded(format!(
                        "Subscriber limit exceeded: Requested {member} for OnDemandThroughput for {whose} exceeds {limit} \
                         of the account in region {region}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Sets the members that a change gives; -1 takes a maximum away.
    pub(super) fn merged(current: Option<Self>, change: Self) -> Option<Self> {
        let current = current.unwrap_or_default();
        let member = |current: Option<i64>, change: Option<i64>| match change {
            None => current,
            Some(-1) => None,
            Some(units) => Some(units),
        };
        let merged = Self {
            max_read: member(current.max_read, change.max_read),
            max_write: member(current.max_write, change.max_write),
        };
        (!merged.is_empty()).then_some(merged)
    }
}

impl WarmThroughput {
    /// Whether the request sets nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.read.is_none() && self.write.is_none()
    }

    /// What a table or index has without asking, in this mode and with these units.
    fn floor(mode: BillingMode, units: &Throughput) -> Self {
        let (read, write) = match mode {
            BillingMode::OnDemand => (INITIAL_WARM_READ_UNITS, INITIAL_WARM_WRITE_UNITS),
            BillingMode::Provisioned => (units.read, units.write),
        };
        Self { read: Some(read), write: Some(write) }
    }

    /// The warm throughput of a new table or index.
    pub(super) fn new_for(
        asked: Option<Self>,
        owner: Owner<'_>,
        mode: BillingMode,
        units: &Throughput,
        region: &str,
    ) -> Result<Self, Refusal> {
        let floor = Self::floor(mode, units);
        let asked = asked.unwrap_or_default();
        let whose = owner.warm_name();
        for (asked, floor, member, provisioned) in [
            (asked.read, floor.read, "ReadUnitsPerSecond", "ReadCapacityUnits"),
            (asked.write, floor.write, "WriteUnitsPerSecond", "WriteCapacityUnits"),
        ] {
            if asked.is_none() || asked >= floor {
                continue;
            }
            let than = match mode {
                BillingMode::OnDemand => {
                    "initial throughput for OnDemand. See: https://docs.aws.amazon.com/amazondynamodb/latest/\
                     developerguide/on-demand-capacity-mode.html#on-demand-capacity-mode-initial"
                        .to_owned()
                }
                BillingMode::Provisioned => format!("{provisioned} of ProvisionedThroughput"),
            };
            return Err(invalid(format_args!(
                "Requested {member} for WarmThroughput for {whose} is lower than {than}"
            )));
        }
        asked.check_limit(owner, region)?;
        Ok(asked.raised_to(floor))
    }

    /// The warm throughput after a change that asks for more.
    pub(super) fn raised(current: Option<Self>, asked: Self, owner: Owner<'_>, region: &str) -> Result<Self, Refusal> {
        let current = current.unwrap_or_default();
        let whose = owner.warm_name();
        for (asked, current, member) in
            [(asked.read, current.read, "ReadUnitsPerSecond"), (asked.write, current.write, "WriteUnitsPerSecond")]
        {
            if asked.is_some() && asked < current {
                return Err(invalid(format_args!(
                    "Requested {member} for WarmThroughput for {whose} is lower than current WarmThroughput, decreasing \
                     WarmThroughput is not supported"
                )));
            }
        }
        asked.check_limit(owner, region)?;
        Ok(asked.raised_to(current))
    }

    /// The warm throughput after the units or the mode changed: it never falls.
    pub(super) fn kept_up(current: Option<Self>, mode: BillingMode, units: &Throughput) -> Self {
        current.unwrap_or_default().raised_to(Self::floor(mode, units))
    }

    fn raised_to(self, floor: Self) -> Self {
        Self { read: self.read.max(floor.read), write: self.write.max(floor.write) }
    }

    fn check_limit(self, owner: Owner<'_>, region: &str) -> Result<(), Refusal> {
        for (units, member, limit) in [
            (self.read, "ReadUnitsPerSecond", "TableMaxReadCapacityUnits"),
            (self.write, "WriteUnitsPerSecond", "TableMaxWriteCapacityUnits"),
        ] {
            if units.is_some_and(|units| units > MAX_TABLE_UNITS) {
                return Err(limit_exceeded(format!(
                    "Subscriber limit exceeded: Requested {member} for WarmThroughput for {} exceeds {limit} of the \
                     account in region {region}",
                    owner.warm_name()
                )));
            }
        }
        Ok(())
    }
}

impl Owner<'_> {
    fn warm_name(self) -> String {
        match self {
            Self::Table => "table".to_owned(),
            Self::Index(name) => format!("index {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: &str = "eu-west-2";
    /// 2026-10-08T23:20:48Z
    const EVENING: u64 = 1_791_501_648_000;

    fn at(now_ms: u64) -> Moment {
        Moment { now_ms, quotas: true }
    }

    fn units(read: i64, write: i64) -> ProvisionedUnits {
        ProvisionedUnits { read, write }
    }

    fn message<T>(result: Result<T, Refusal>) -> String {
        result.map_or_else(|refusal| refusal.message.into_owned(), |_| "ok".to_owned())
    }

    #[test]
    fn units_beyond_the_table_limit_are_refused() {
        assert_eq!(units(40_000, 40_000).check_limit(Owner::Table, REGION), Ok(()));
        let refusal = units(1, 40_001).check_limit(Owner::Index("by-name"), REGION).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::LimitExceededException);
        assert_eq!(
            refusal.message,
            "The requested WriteCapacityUnits for index by-name, 40001, is above the per index maximum for the account in \
             eu-west-2. Per index maximum: 40000. Refer to the Amazon DynamoDB Developer Guide for current limits and how \
             to request higher limits."
        );
        assert_eq!(
            message(units(1_000_000_000_001, 1).check_bounds()),
            "Given value 1000000000001 for ReadCapacityUnits is out of bounds"
        );
        assert_eq!(units(1_000_000_000_000, 1).check_bounds(), Ok(()));
    }

    #[test]
    fn a_change_to_the_same_units_is_refused() {
        let mut throughput = Throughput::of(Some(units(5, 6)));
        assert_eq!(
            message(throughput.change(units(5, 6), Owner::Table, at(EVENING))),
            "The provisioned throughput for the table will not change. The requested value equals the current value. \
             Current ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. Current \
             WriteCapacityUnits provisioned for the table: 6. Requested WriteCapacityUnits: 6. Refer to the Amazon \
             DynamoDB Developer Guide for current limits and how to request higher limits."
        );
        assert!(message(throughput.change(units(5, 6), Owner::Index("i"), at(EVENING))).starts_with(
            "The provisioned throughput for the index i will not change. The requested value equals the current value. \
             Current ReadCapacityUnits provisioned for index i: 5."
        ));
    }

    #[test]
    fn rises_and_falls_are_counted_by_utc_day() {
        let mut throughput = Throughput::of(Some(units(10, 10)));
        throughput.change(units(12, 9), Owner::Table, at(EVENING)).unwrap();
        assert_eq!((throughput.increased_ms, throughput.decreased_ms), (Some(EVENING), Some(EVENING)));
        assert_eq!(throughput.decreases_on_day_of(EVENING), 1);
        assert_eq!(throughput.decreases_on_day_of(EVENING + 3_600_000), 0, "the next day");
    }

    #[test]
    fn the_fifth_decrease_of_a_day_waits() {
        let mut throughput = Throughput::of(Some(units(10, 10)));
        for left in (6..10).rev() {
            throughput.change(units(left, left), Owner::Table, at(EVENING)).unwrap();
        }
        let refusal = throughput.change(units(5, 20), Owner::Table, at(EVENING + 1000)).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::LimitExceededException);
        assert_eq!(
            refusal.message,
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the \
             first 4 decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 \
             seconds. Number of decreases today: 4. Last decrease at Thursday, October 8, 2026 at 11:20:48 PM Coordinated \
             Universal Time. Next decrease can be made at Friday, October 9, 2026 at 12:00:00 AM Coordinated Universal \
             Time."
        );
        let unlimited = Moment { now_ms: EVENING + 1000, quotas: false };
        assert_eq!(throughput.clone().change(units(5, 20), Owner::Table, unlimited), Ok(()), "quotas are emulation");
        assert_eq!(throughput.change(units(7, 7), Owner::Table, at(EVENING + 1000)), Ok(()), "increases are free");
        assert_eq!(throughput.change(units(5, 5), Owner::Table, at(EVENING + 2_400_000)), Ok(()), "the next day");
    }

    #[test]
    fn on_demand_maximums_fit_the_mode_and_the_range() {
        let maximum = |read| OnDemandThroughput { max_read: Some(read), max_write: None };
        let check = |read, mode, during| message(maximum(read).check(Owner::Table, mode, during, REGION));
        let range = "One or more parameter values were invalid: Requested MaxReadRequestUnits for OnDemandThroughput for \
                     table is outside of valid range";
        use BillingMode::{OnDemand, Provisioned};
        assert_eq!(check(1, OnDemand, During::Create), "ok");
        assert_eq!(check(0, OnDemand, During::Create), range);
        assert_eq!(check(-1, OnDemand, During::Create), range);
        assert_eq!(check(-1, OnDemand, During::Update), "ok");
        assert_eq!(check(-2, OnDemand, During::Update), range);
        assert_eq!(
            check(40_001, OnDemand, During::Update),
            "Subscriber limit exceeded: Requested MaxReadRequestUnits for OnDemandThroughput for table exceeds \
             TableMaxReadCapacityUnits of the account in region eu-west-2"
        );
        assert_eq!(
            check(1, Provisioned, During::Create),
            "One or more parameter values were invalid: MaxReadRequestUnits for OnDemandThroughput cannot be specified \
             when table BillingMode is PROVISIONED."
        );
        assert_eq!(
            check(1, Provisioned, During::Update),
            "One or more parameter values were invalid: MaxReadRequestUnits for OnDemandThroughput cannot be specified \
             when the table BillingMode is PROVISIONED"
        );
    }

    #[test]
    fn on_demand_maximums_change_member_by_member() {
        let of = |max_read, max_write| OnDemandThroughput { max_read, max_write };
        let first = OnDemandThroughput::merged(None, of(Some(100), None));
        assert_eq!(first, Some(of(Some(100), None)));
        let both = OnDemandThroughput::merged(first, of(None, Some(50)));
        assert_eq!(both, Some(of(Some(100), Some(50))));
        let write = OnDemandThroughput::merged(both, of(Some(-1), None));
        assert_eq!(write, Some(of(None, Some(50))));
        assert_eq!(OnDemandThroughput::merged(write, of(None, Some(-1))), None);
    }

    #[test]
    fn a_table_switches_to_on_demand_mode_four_times_in_24_hours() {
        let hour = 3_600_000;
        let switches = [0, 1, 2, 3].map(|number| EVENING + number * hour);
        assert_eq!(check_switches(&switches[..3], EVENING + 3 * hour), Ok(()));
        let refusal = check_switches(&switches, EVENING + 4 * hour).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::LimitExceededException);
        assert!(
            refusal.message.ends_with(
                "Next update can be made at Friday, October 9, 2026 at 11:20:48 PM Coordinated Universal Time"
            ),
            "{}",
            refusal.message
        );
        assert_eq!(check_switches(&switches, EVENING + 24 * hour), Ok(()));
    }

    #[test]
    fn warm_throughput_never_falls() {
        let warm = |read, write| WarmThroughput { read: Some(read), write: Some(write) };
        let provisioned = Throughput::of(Some(units(10, 10)));
        let new = |asked, mode| WarmThroughput::new_for(asked, Owner::Table, mode, &provisioned, REGION);
        assert_eq!(new(None, BillingMode::OnDemand), Ok(warm(12_000, 4_000)));
        assert_eq!(new(None, BillingMode::Provisioned), Ok(warm(10, 10)));
        let read_only = WarmThroughput { read: Some(12_001), write: None };
        assert_eq!(new(Some(read_only), BillingMode::OnDemand), Ok(warm(12_001, 4_000)));
        assert_eq!(
            message(new(Some(warm(5, 5)), BillingMode::Provisioned)),
            "One or more parameter values were invalid: Requested ReadUnitsPerSecond for WarmThroughput for table is lower \
             than ReadCapacityUnits of ProvisionedThroughput"
        );
        assert!(
            message(new(Some(warm(1, 1)), BillingMode::OnDemand))
                .contains("lower than initial throughput for OnDemand")
        );
        assert_eq!(
            message(WarmThroughput::raised(Some(warm(10, 10)), warm(10, 9), Owner::Table, REGION)),
            "One or more parameter values were invalid: Requested WriteUnitsPerSecond for WarmThroughput for table is \
             lower than current WarmThroughput, decreasing WarmThroughput is not supported"
        );
        let fallen = Throughput::of(Some(units(1, 1)));
        assert_eq!(WarmThroughput::kept_up(Some(warm(10, 10)), BillingMode::Provisioned, &fallen), warm(10, 10));
        assert_eq!(WarmThroughput::kept_up(Some(warm(10, 10)), BillingMode::OnDemand, &fallen), warm(12_000, 4_000));
    }
}
