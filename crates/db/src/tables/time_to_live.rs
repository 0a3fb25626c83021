//! A table's time to live: which attribute holds it, and switching it on and off. Expiry itself is not here.

use crate::Database;
use crate::catalog::{Becomes, RecordChange, catalog_key_of};
use crate::error::{Error, Result};
use crate::record::TimeToLive;
use crate::scope::Scope;
use crate::tables::no_such_table;

/// How long after a change of a table's time to live the next is refused, in milliseconds.
const MIN_PAUSE_MS: u64 = 60 * 60 * 1000;

impl Database {
    /// Switches a table's time to live on or off (UpdateTimeToLive).
    ///
    /// # Errors
    /// `ValidationException` when it is so already, on for another attribute, or, where the service's own limits are
    /// emulated, was changed within the hour; `ResourceNotFoundException`.
    pub async fn update_time_to_live(
        &self,
        scope: &Scope,
        name_or_arn: &str,
        attribute: &str,
        enabled: bool,
    ) -> Result<()> {
        self.change_record(&catalog_key_of(scope, name_or_arn), |record| {
            let mut record = record.ok_or_else(|| no_such_table(name_or_arn))?;
            super::check_usable(&record)?;
            check(record.time_to_live.as_ref(), attribute, enabled)?;
            let now_ms = self.now_ms();
            if self.inner.settings.emulate_aws_limits {
                check_pause(record.time_to_live.as_ref(), now_ms)?;
            }
            record.time_to_live = Some(TimeToLive { attribute: attribute.to_owned(), enabled, changed_ms: now_ms });
            Ok((RecordChange { record: Becomes::Record(Box::new(record)), writes: Vec::new() }, ()))
        })
        .await?;
        self.wake_background();
        Ok(())
    }
}

/// The service takes one change an hour ("UpdateTimeToLive").
fn check_pause(last: Option<&TimeToLive>, now_ms: u64) -> Result<()> {
    match last {
        Some(last) if now_ms.saturating_sub(last.changed_ms) < MIN_PAUSE_MS => {
            Err(Error::validation("Time to live has been modified multiple times within a fixed interval"))
        }
        _ => Ok(()),
    }
}

fn check(current: Option<&TimeToLive>, attribute: &str, enabled: bool) -> Result<()> {
    match (current.filter(|current| current.enabled), enabled) {
        (Some(current), _) if current.attribute != attribute => Err(Error::validation(format!(
            "TimeToLive is active on a different AttributeName: current AttributeName is {}",
            current.attribute
        ))),
        (Some(_), true) => Err(Error::validation("TimeToLive is already enabled")),
        (None, false) => Err(Error::validation("TimeToLive is already disabled")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_to_live_changes_between_on_and_off_for_one_attribute() {
        let state = |enabled| TimeToLive { attribute: "a".to_owned(), enabled, changed_ms: 0 };
        let (on, off) = (state(true), state(false));
        for (current, attribute, enabled, expected) in [
            (None, "a", true, "ok"),
            (None, "a", false, "TimeToLive is already disabled"),
            (Some(&on), "a", true, "TimeToLive is already enabled"),
            (Some(&on), "a", false, "ok"),
            (Some(&on), "b", true, "TimeToLive is active on a different AttributeName: current AttributeName is a"),
            (Some(&on), "b", false, "TimeToLive is active on a different AttributeName: current AttributeName is a"),
            (Some(&off), "a", false, "TimeToLive is already disabled"),
            (Some(&off), "b", true, "ok"),
        ] {
            let message = match check(current, attribute, enabled) {
                Ok(()) => "ok".to_owned(),
                Err(Error::Refused(refusal)) => refusal.message.into_owned(),
                Err(other) => other.to_string(),
            };
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn the_service_takes_one_change_an_hour() {
        let last = TimeToLive { attribute: "a".to_owned(), enabled: true, changed_ms: 1_000_000 };
        assert!(check_pause(None, 0).is_ok());
        assert!(check_pause(Some(&last), 1_000_000 + MIN_PAUSE_MS).is_ok());
        for now_ms in [1_000_000, 999_999 + MIN_PAUSE_MS] {
            let Err(Error::Refused(refusal)) = check_pause(Some(&last), now_ms) else {
                panic!("it is taken at {now_ms}")
            };
            assert_eq!(refusal.message, "Time to live has been modified multiple times within a fixed interval");
        }
    }
}
