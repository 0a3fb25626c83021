//! Points in time as policies write them: ISO 8601 as in W3C's note on date and time formats, or seconds since the epoch.

/// Nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// A point in time, in nanoseconds since the epoch.
///
/// With a `-` or a `T` it is a date, of which all but the year may be left off, and which is in UTC unless it says
/// otherwise; else it is a number of seconds.
pub(super) fn parse(text: &str) -> Option<i128> {
    if !text.contains(['-', 'T', 't']) {
        return text.parse::<i64>().ok().filter(|seconds| *seconds >= 0).map(|seconds| i128::from(seconds) * SECOND);
    }
    let (date, time) = text.split_once(['T', 't']).map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.splitn(3, '-');
    let year = digits(parts.next()?, 4..=4)?;
    let month = parts.next().map_or(Some(1), |month| digits(month, 1..=2))?;
    let day = parts.next().map_or(Some(1), |day| digits(day, 1..=2))?;
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let midnight = i128::from(days_since_epoch(year, month, day)) * 86_400 * SECOND;
    Some(midnight + time.map_or(Some(0), time_of_day)?)
}

/// A number of seconds since the epoch as a date and time in UTC.
pub(super) fn iso(seconds: u64) -> String {
    let (days, rest) = (i64::try_from(seconds / 86_400).unwrap_or(i64::MAX / 2), seconds % 86_400);
    // Howard Hinnant's "chrono-compatible low-level date algorithms": years that begin in March, eras of 400 of them.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Nanoseconds since midnight in UTC: `hh:mm`, `hh:mm:ss` or `hh:mm:ss.s` with a zone, `Z` or `±hh:mm` or none.
fn time_of_day(text: &str) -> Option<i128> {
    let (clock, offset) = match text.find(['Z', 'z', '+', '-']) {
        None => (text, 0),
        Some(at) => {
            let (clock, zone) = text.split_at_checked(at)?;
            (clock, zone_offset(zone)?)
        }
    };
    let mut parts = clock.splitn(3, ':');
    let hours = digits(parts.next()?, 1..=2).filter(|hours| *hours <= 23)?;
    let minutes = digits(parts.next()?, 1..=2).filter(|minutes| *minutes <= 59)?;
    let (seconds, nanoseconds) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (whole, fraction) =
                seconds.split_once('.').map_or((seconds, None), |(whole, fraction)| (whole, Some(fraction)));
            (digits(whole, 1..=2).filter(|seconds| *seconds <= 59)?, fraction.map_or(Some(0), nanoseconds)?)
        }
    };
    Some(i128::from(hours * 3_600 + minutes * 60 + seconds - offset) * SECOND + i128::from(nanoseconds))
}

/// Seconds that a zone is ahead of UTC.
fn zone_offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.chars().next()? {
        'Z' | 'z' => return (zone.len() == 1).then_some(0),
        '+' => (1, zone.get(1..)?),
        _ => (-1, zone.get(1..)?),
    };
    let (hours, minutes) = rest.split_once(':').map_or((rest, "00"), |parts| parts);
    let hours = digits(hours, 2..=2).filter(|hours| *hours <= 23)?;
    let minutes = digits(minutes, 2..=2).filter(|minutes| *minutes <= 59)?;
    Some(sign * (hours * 3_600 + minutes * 60))
}

fn nanoseconds(fraction: &str) -> Option<i64> {
    let value = digits(fraction, 1..=9)?;
    let missing = 9_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    Some(value * 10_i64.pow(missing))
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let valid = length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::{iso, parse};

    #[test]
    fn dates_in_all_their_forms() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("0", 0),
            ("1577836800", 1_577_836_800),
            ("2020-01-01", 1_577_836_800),
            ("2020-01", 1_577_836_800),
            ("2020-01-01T00:00Z", 1_577_836_800),
            ("2020-01-01T00:00:00", 1_577_836_800),
            ("2020-01-01t01:00:00+01:00", 1_577_836_800),
            ("2019-12-31T19:30:00-04:30", 1_577_836_800),
            ("2020-02-29T00:00:00Z", 1_582_934_400),
            ("2000-03-01", 951_868_800),
        ] {
            assert_eq!(parse(text), Some(seconds * 1_000_000_000), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:00.5Z"), Some(500_000_000));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "b",
            "-1",
            "1.5",
            "2020-13",
            "2019-02-29",
            "2020-00-01",
            "2020-01-01T24:00Z",
            "2020-01-01T",
            "20-01-01",
            "2020-01-01T00:60Z",
            "2020-01-01T00:00:00+1",
            "2020-01-01T00:00:00.1234567890Z",
            "2020-01-01T00:00Zx",
            "9223372036854775808",
            "2020-01-01-01",
            "2020-٠١-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_are_told_as_a_date_and_read_again() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(1_582_934_399), "2020-02-28T23:59:59Z");
        for seconds in (0..200).map(|n| n * 25_920_007) {
            assert_eq!(parse(&iso(seconds)), Some(i128::from(seconds) * 1_000_000_000), "{seconds}");
        }
    }
}
