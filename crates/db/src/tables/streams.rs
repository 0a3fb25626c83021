//! Switching a table's stream on and off. What a stream holds and how it is read is not here.

use jiff::Timestamp;
use partita_model::Refusal;

use super::keys::invalid;
use crate::record::{StreamRecord, StreamView};

/// A `StreamSpecification` as a request gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamDefinition {
    /// Whether changes are to be recorded.
    pub enabled: bool,
    /// What the records carry.
    pub view: Option<StreamView>,
}

impl StreamDefinition {
    /// The stream of a new table.
    pub(super) fn check_new(self, now_ms: u64) -> Result<Option<StreamRecord>, Refusal> {
        match (self.enabled, self.view) {
            (true, None) => Err(invalid("Table is being created with a stream enabled, UpdateViewType is required")),
            (false, Some(_)) => {
                Err(invalid("Table is being created with a stream disabled, UpdateViewType should not be specified"))
            }
            (false, None) => Ok(None),
            (true, Some(view)) => Ok(Some(started(view, None, now_ms))),
        }
    }

    /// Refuses a change whose members do not fit.
    pub(super) fn check_change(self) -> Result<(), Refusal> {
        match (self.enabled, self.view) {
            (true, None) => Err(invalid("If stream is being enabled then UpdateViewType is required")),
            (false, Some(_)) => Err(invalid("If stream is being disabled, then UpdateViewType must not be specified")),
            _ => Ok(()),
        }
    }

    /// The table's stream after the change.
    pub(super) fn change(
        self,
        table: &str,
        current: Option<StreamRecord>,
        now_ms: u64,
    ) -> Result<Option<StreamRecord>, Refusal> {
        self.check_change()?;
        let running = current.as_ref().is_some_and(|stream| stream.enabled);
        match (running, self.view) {
            (true, Some(_)) => {
                Err(Refusal::validation(format!("Table already has an enabled stream: TableName: {table}")))
            }
            (false, None) => Err(Refusal::validation(format!("Table has no stream to disable: TableName: {table}"))),
            (true, None) => Ok(current.map(|stream| StreamRecord { enabled: false, ..stream })),
            (false, Some(view)) => Ok(Some(started(view, current, now_ms))),
        }
    }
}

/// A stream that starts now. Its label is its time, moved on when the last stream has the same.
fn started(view: StreamView, last: Option<StreamRecord>, now_ms: u64) -> StreamRecord {
    let mut ms = now_ms;
    let mut label = label_of(ms);
    while last.as_ref().is_some_and(|last| last.label == label) {
        ms += 1;
        label = label_of(ms);
    }
    StreamRecord { enabled: true, label, view }
}

fn label_of(ms: u64) -> String {
    let time = Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_791_501_648_275;

    fn message<T>(result: Result<T, Refusal>) -> String {
        result.map_or_else(|refusal| refusal.message.into_owned(), |_| "ok".to_owned())
    }

    #[test]
    fn streams_have_a_view_when_they_start_and_none_when_they_end() {
        let on = StreamDefinition { enabled: true, view: Some(StreamView::NewImage) };
        let off = StreamDefinition { enabled: false, view: None };
        let stream = on.check_new(NOW).unwrap().unwrap();
        assert_eq!((stream.enabled, stream.label.as_str()), (true, "2026-10-08T23:20:48.275"));
        assert_eq!(off.check_new(NOW), Ok(None));

        assert_eq!(
            message(on.change("T", Some(stream.clone()), NOW)),
            "Table already has an enabled stream: TableName: T"
        );
        let ended = off.change("T", Some(stream.clone()), NOW).unwrap().unwrap();
        assert_eq!((ended.enabled, &ended.label), (false, &stream.label));
        assert_eq!(message(off.change("T", Some(ended.clone()), NOW)), "Table has no stream to disable: TableName: T");
        assert_eq!(message(off.change("T", None, NOW)), "Table has no stream to disable: TableName: T");
        let again = on.change("T", Some(ended), NOW).unwrap().unwrap();
        assert_eq!((again.enabled, again.label.as_str()), (true, "2026-10-08T23:20:48.276"));
    }

    #[test]
    fn members_that_do_not_fit_are_refused() {
        let blind = StreamDefinition { enabled: true, view: None };
        let both = StreamDefinition { enabled: false, view: Some(StreamView::KeysOnly) };
        for (result, expected) in [
            (blind.check_new(NOW).err(), "Table is being created with a stream enabled, UpdateViewType is required"),
            (
                both.check_new(NOW).err(),
                "Table is being created with a stream disabled, UpdateViewType should not be specified",
            ),
            (blind.check_change().err(), "If stream is being enabled then UpdateViewType is required"),
            (both.check_change().err(), "If stream is being disabled, then UpdateViewType must not be specified"),
        ] {
            assert_eq!(result, Some(invalid(expected)));
        }
    }
}
