//! Points in time as signatures write them: `20150830T123600Z`.

use std::fmt;

/// Seconds in a day.
const DAY: u64 = 86_400;
/// The last second that four digits of a year can write: 31 December 9999, 23:59:59.
const LAST: u64 = 253_402_300_799;

/// A second between 1970 and 9999. Shown in the basic form of ISO 8601.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp(u64);

impl Timestamp {
    /// The time so many seconds after the epoch; times after the year 9999 are its last second.
    pub fn new(seconds: u64) -> Self {
        Self(seconds.min(LAST))
    }

    pub fn earlier(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    pub fn later(self, seconds: u64) -> Self {
        Self::new(self.0.saturating_add(seconds))
    }

    /// Reads `20150830T123600Z`.
    pub fn basic(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 16 || text.get(8) != Some(&b'T') || text.get(15) != Some(&b'Z') {
            return None;
        }
        let field = |from: usize, to: usize| number(text.get(from..to)?);
        Self::of(Civil {
            year: field(0, 4)?,
            month: field(4, 6)?,
            day: field(6, 8)?,
            hour: field(9, 11)?,
            minute: field(11, 13)?,
            second: field(13, 15)?,
        })
    }

    /// Reads the `Date` header's usual form, `Sun, 30 Aug 2015 12:36:00 GMT`.
    pub fn http(text: &str) -> Option<Self> {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (_weekday, rest) = text.split_once(", ")?;
        let mut parts = rest.split(' ');
        let day = number(parts.next()?.as_bytes())?;
        let name = parts.next()?;
        let month = (1..).zip(MONTHS).find(|(_, month)| *month == name)?.0;
        let year = number(parts.next()?.as_bytes())?;
        let mut clock = parts.next()?.split(':').map(|field| number(field.as_bytes()));
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        if clock.next().is_some() || parts.next()? != "GMT" || parts.next().is_some() {
            return None;
        }
        Self::of(Civil { year, month, day, hour, minute, second })
    }

    fn of(civil: Civil) -> Option<Self> {
        let Civil { year, month, day, hour, minute, second } = civil;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_of_month = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        let valid = (1970..=9999).contains(&year) && (1..=days_of_month).contains(&day);
        if !valid || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        Some(Self(days(year, month, day) * DAY + hour * 3600 + minute * 60 + second))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY);
        let second = self.0 % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

/// A number of one to four digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    if !(1..=4).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

/// Days from the epoch to a date. Years are counted from March, so that the leap day is the last of its year.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_all = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    day_of_all - 719_468
}

/// The year, month and day so many days after the epoch.
fn civil(days: u64) -> (u64, u64, u64) {
    const CYCLE: u64 = 146_097; // days in 400 years
    let day = days + 719_468;
    let (cycle, of_cycle) = (day / CYCLE, day % CYCLE);
    let year_of_cycle = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year_of_cycle + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_dates_are_read() {
        for (text, seconds) in [
            ("19700101T000000Z", Some(0)),
            ("20150830T123600Z", Some(1_440_938_160)),
            ("20240229T235959Z", Some(1_709_251_199)),
            ("99991231T235959Z", Some(LAST)),
            ("20230229T000000Z", None),
            ("20150830T240000Z", None),
            ("20151301T000000Z", None),
            ("20150800T000000Z", None),
            ("19691231T235959Z", None),
            ("2015-08-30T12:36:00Z", None),
            ("20150830T123600", None),
            ("20150830T1236é0", None),
            ("", None),
        ] {
            assert_eq!(Timestamp::basic(text).map(|time| time.0), seconds, "{text}");
        }
        for (text, seconds) in [
            ("Sun, 30 Aug 2015 12:36:00 GMT", Some(1_440_938_160)),
            ("Sun, 30 Aug 2015 12:36:00 CET", None),
            ("Sun, 30 Aug 2015 12:36 GMT", None),
            ("30 Aug 2015 12:36:00 GMT", None),
            ("Sun, 30 August 2015 12:36:00 GMT", None),
        ] {
            assert_eq!(Timestamp::http(text).map(|time| time.0), seconds, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in 0..=LAST) {
            let time = Timestamp::new(seconds);
            prop_assert_eq!(Timestamp::basic(&time.to_string()), Some(time));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}|[0-9TZ]{16}|[A-Z][a-z]{2}, [0-9 :A-Za-z]{0,30}") {
            let _ = (Timestamp::basic(&text), Timestamp::http(&text));
        }
    }
}
