//! When scheduled actions are due: `at(yyyy-mm-ddThh:mm:ss)`, `rate(value unit)` and `cron(fields)` in a time zone.
//!
//! Source: "PutScheduledAction" and "Cron expressions" of the Application Auto Scaling guides. Pure, and bounded: the next
//! time is looked for within ten years.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// How many days ahead the next time is looked for.
const MAX_DAYS: usize = 3_660;
/// The most of a rate's units, so that its seconds are a number.
const MAX_RATE: i64 = 1_000_000;
/// The years that cron expressions may name.
const YEARS: std::ops::RangeInclusive<i64> = 1970..=2199;

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Once.
    At(DateTime),
    /// Every so many seconds.
    Rate(i64),
    /// Whenever the fields match.
    Cron(Box<Cron>),
}

/// The fields of a cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Set,
    hours: Set,
    months: Set,
    years: Vec<(i64, i64, i64)>,
    day: Day,
}

/// The numbers of a field that match, as bits.
type Set = u64;

/// Which days match.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Day {
    OfMonth(Set),
    /// `L`
    LastOfMonth,
    /// `15W`
    NearestWeekday(i8),
    /// Sunday is 1.
    OfWeek(Set),
    /// `6L`
    LastOfWeek(i8),
    /// `3#2`
    NthOfWeek(i8, i8),
}

impl Schedule {
    /// Reads a schedule; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.trim().split_once('(')?;
        let inside = rest.strip_suffix(')')?.trim();
        match kind {
            "at" => inside.parse().ok().filter(|_| inside.len() == "2026-01-01T00:00:00".len()).map(Self::At),
            "rate" => {
                let (value, unit) = inside.split_once(' ')?;
                let value: i64 = value.parse().ok().filter(|value| (1..=MAX_RATE).contains(value))?;
                let seconds = match unit.trim() {
                    "minute" | "minutes" => 60,
                    "hour" | "hours" => 3_600,
                    "day" | "days" => 86_400,
                    _ => return None,
                };
                Some(Self::Rate(value * seconds))
            }
            "cron" => Cron::parse(inside).map(|cron| Self::Cron(Box::new(cron))),
            _ => None,
        }
    }

    /// The first time after `after_ms`; rates count from `base_ms`. Milliseconds since the epoch. `None` for never.
    #[must_use]
    pub fn next(&self, after_ms: u64, base_ms: u64, zone: &TimeZone) -> Option<u64> {
        match self {
            Self::At(time) => millis(*time, zone).filter(|at| *at > after_ms),
            Self::Rate(seconds) => {
                let every = u64::try_from(*seconds).ok()?.checked_mul(1000)?;
                let passed = after_ms.checked_sub(base_ms).map_or(0, |passed| passed / every + 1);
                base_ms.checked_add(passed.checked_mul(every)?)
            }
            Self::Cron(cron) => cron.next(after_ms, zone),
        }
    }
}

fn millis(time: DateTime, zone: &TimeZone) -> Option<u64> {
    u64::try_from(time.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()).ok()
}

impl Cron {
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (minutes, hours, of_month, months, of_week, years) = match fields.as_slice() {
            [minutes, hours, of_month, months, of_week] => (minutes, hours, of_month, months, of_week, &"*"),
            [minutes, hours, of_month, months, of_week, years] => (minutes, hours, of_month, months, of_week, years),
            _ => return None,
        };
        let day = match (*of_month, *of_week) {
            ("?", "?") => return None,
            ("?", week) => Day::of_week(week)?,
            (month, "?") => Day::of_month(month)?,
            // The service wants a question mark in one of the two; a star in either means the same.
            (month, "*") => Day::of_month(month)?,
            ("*", week) => Day::of_week(week)?,
            _ => return None,
        };
        Some(Self {
            minutes: set(minutes, 0, 59, &[])?,
            hours: set(hours, 0, 23, &[])?,
            months: set(months, 1, 12, &MONTHS)?,
            years: parts(years, *YEARS.start(), *YEARS.end(), &[])?,
            day,
        })
    }

    fn next(&self, after_ms: u64, zone: &TimeZone) -> Option<u64> {
        let after = Timestamp::from_millisecond(i64::try_from(after_ms).ok()?).ok()?.to_zoned(zone.clone());
        let mut date = after.date();
        for _ in 0..MAX_DAYS {
            if self.matches(date) {
                let hours = (0..24i8).filter(|hour| has(self.hours, i64::from(*hour)));
                for hour in hours {
                    for minute in (0..60i8).filter(|minute| has(self.minutes, i64::from(*minute))) {
                        let time = Time::new(hour, minute, 0, 0).ok()?;
                        if let Some(at) = millis(date.to_datetime(time), zone).filter(|at| *at > after_ms) {
                            return Some(at);
                        }
                    }
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn matches(&self, date: Date) -> bool {
        let year = i64::from(date.year());
        has(self.months, i64::from(date.month()))
            && self.years.iter().any(|(from, to, step)| (*from..=*to).contains(&year) && (year - from) % step == 0)
            && self.day.matches(date)
    }
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Day {
    fn of_month(text: &str) -> Option<Self> {
        if text == "L" {
            return Some(Self::LastOfMonth);
        }
        if let Some(day) = text.strip_suffix('W') {
            return day.parse().ok().filter(|day| (1..=31).contains(day)).map(Self::NearestWeekday);
        }
        set(text, 1, 31, &[]).map(Self::OfMonth)
    }

    fn of_week(text: &str) -> Option<Self> {
        let day = |text: &str| number(text, 1, 7, &DAYS).and_then(|day| i8::try_from(day).ok());
        if text == "L" {
            return Some(Self::OfWeek(1 << 7));
        }
        if let Some(of_week) = text.strip_suffix('L') {
            return day(of_week).map(Self::LastOfWeek);
        }
        if let Some((of_week, nth)) = text.split_once('#') {
            let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth))?;
            return Some(Self::NthOfWeek(day(of_week)?, nth));
        }
        set(text, 1, 7, &DAYS).map(Self::OfWeek)
    }

    fn matches(&self, date: Date) -> bool {
        let (day, days) = (date.day(), date.days_in_month());
        let of_week = date.weekday().to_sunday_one_offset();
        match self {
            Self::OfMonth(set) => has(*set, i64::from(day)),
            Self::LastOfMonth => day == days,
            Self::NearestWeekday(wanted) => nearest_weekday(date, *wanted) == Some(day),
            Self::OfWeek(set) => has(*set, i64::from(of_week)),
            Self::LastOfWeek(wanted) => of_week == *wanted && day + 7 > days,
            Self::NthOfWeek(wanted, nth) => of_week == *wanted && (day - 1) / 7 + 1 == *nth,
        }
    }
}

/// The day from Monday to Friday that is nearest to a day of a date's month, within the month.
fn nearest_weekday(date: Date, wanted: i8) -> Option<i8> {
    let days = date.days_in_month();
    if wanted > days {
        return None;
    }
    let there = Date::new(date.year(), date.month(), wanted).ok()?;
    Some(match there.weekday().to_sunday_one_offset() {
        1 if wanted == days => wanted - 2,
        1 => wanted + 1,
        7 if wanted == 1 => wanted + 2,
        7 => wanted - 1,
        _ => wanted,
    })
}

fn has(set: Set, number: i64) -> bool {
    u32::try_from(number).ok().and_then(|number| 1u64.checked_shl(number)).is_some_and(|bit| set & bit != 0)
}

fn set(text: &str, least: i64, most: i64, names: &[&str]) -> Option<Set> {
    let mut bits = 0;
    for (from, to, step) in parts(text, least, most, names)? {
        for number in (least..=most).filter(|number| (from..=to).contains(number) && (number - from) % step == 0) {
            bits |= 1u64.checked_shl(u32::try_from(number).ok()?)?;
        }
    }
    Some(bits)
}

/// The parts of a field: from, to, step.
fn parts(text: &str, least: i64, most: i64, names: &[&str]) -> Option<Vec<(i64, i64, i64)>> {
    text.split(',')
        .map(|part| {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(step.parse().ok().filter(|step| (1..=most).contains(step))?)),
                None => (part, None),
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (least, most),
                Some((from, to)) => (number(from, least, most, names)?, number(to, least, most, names)?),
                None => {
                    let from = number(range, least, most, names)?;
                    (from, if step.is_some() { most } else { from })
                }
            };
            (from <= to).then_some((from, to, step.unwrap_or(1)))
        })
        .collect()
}

/// A number of a field, or what is named instead of one.
fn number(text: &str, least: i64, most: i64, names: &[&str]) -> Option<i64> {
    let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let number = match named {
        Some(place) => least + i64::try_from(place).ok()?,
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
        None => return None,
    };
    (least..=most).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    fn next(schedule: &str, zone: &str, after: &str) -> Option<String> {
        let zone = TimeZone::get(zone).unwrap();
        let next = Schedule::parse(schedule).unwrap().next(ms(after), ms("2026-01-01T00:00:00Z"), &zone)?;
        Some(Timestamp::from_millisecond(i64::try_from(next).unwrap()).unwrap().to_string())
    }

    #[test]
    fn schedules_say_when_they_are_due() {
        for (schedule, zone, after, expected) in [
            ("at(2026-11-22T10:00:00)", "UTC", "2026-11-22T09:59:59Z", Some("2026-11-22T10:00:00Z")),
            ("at(2026-11-22T10:00:00)", "UTC", "2026-11-22T10:00:00Z", None),
            ("at(2026-07-01T10:00:00)", "America/New_York", "2026-01-01T00:00:00Z", Some("2026-07-01T14:00:00Z")),
            ("rate(5 minutes)", "UTC", "2026-01-01T00:07:00Z", Some("2026-01-01T00:10:00Z")),
            ("rate(1 day)", "UTC", "2026-01-01T00:00:00Z", Some("2026-01-02T00:00:00Z")),
            ("rate(1 hour)", "UTC", "2025-12-31T00:00:00Z", Some("2026-01-01T00:00:00Z")),
            ("cron(0 9 * * ? *)", "UTC", "2026-11-22T09:00:00Z", Some("2026-11-23T09:00:00Z")),
            ("cron(0/15 * * * ? *)", "UTC", "2026-11-22T09:16:00Z", Some("2026-11-22T09:30:00Z")),
            ("cron(30 18 ? * MON-FRI *)", "UTC", "2026-11-20T19:00:00Z", Some("2026-11-23T18:30:00Z")),
            ("cron(0 9 ? * 2 *)", "Europe/Berlin", "2026-03-23T09:00:00Z", Some("2026-03-30T07:00:00Z")),
            ("cron(0 0 L * ? *)", "UTC", "2026-02-01T00:00:00Z", Some("2026-02-28T00:00:00Z")),
            ("cron(0 0 1W * ? *)", "UTC", "2026-07-31T12:00:00Z", Some("2026-08-03T00:00:00Z")),
            ("cron(0 0 ? * 6L *)", "UTC", "2026-11-01T00:00:00Z", Some("2026-11-27T00:00:00Z")),
            ("cron(0 0 ? * TUE#2 *)", "UTC", "2026-11-01T00:00:00Z", Some("2026-11-10T00:00:00Z")),
            ("cron(0 0 29 2 ? *)", "UTC", "2026-11-01T00:00:00Z", Some("2028-02-29T00:00:00Z")),
            ("cron(0 0 1 1,7 ? 2027)", "UTC", "2026-11-01T00:00:00Z", Some("2027-01-01T00:00:00Z")),
            ("cron(0 0 1 1 ? 2027)", "UTC", "2027-01-01T00:00:00Z", None),
            ("cron(0 0 31 2 ? *)", "UTC", "2026-11-01T00:00:00Z", None),
            ("cron(0 9 * * ?)", "UTC", "2026-11-22T09:00:00Z", Some("2026-11-23T09:00:00Z")),
            // Half past two does not exist on that day in Berlin: it is taken an hour later.
            ("cron(30 2 * * ? *)", "Europe/Berlin", "2026-03-29T00:00:00Z", Some("2026-03-29T01:30:00Z")),
        ] {
            assert_eq!(next(schedule, zone, after).as_deref(), expected, "{schedule} {zone} {after}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "at()",
            "at(2026-11-22)",
            "at(2026-13-22T10:00:00)",
            "rate(0 minutes)",
            "rate(5 weeks)",
            "rate(-5 minutes)",
            "rate(99999999999999999999 days)",
            "cron(0 9 * *)",
            "cron(60 9 * * ? *)",
            "cron(0 24 * * ? *)",
            "cron(0 9 ? * ? *)",
            "cron(0 9 1 * MON *)",
            "cron(0 9 0 * ? *)",
            "cron(0 9 5-1 * ? *)",
            "cron(0/0 9 * * ? *)",
            "cron(+1 9 * * ? *)",
            "cron(0 9 ? * 8 *)",
            "cron(0 9 * * ? 1969)",
            "every(5 minutes)",
            "cron(0 9 * * ? *",
        ] {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
    }
}
