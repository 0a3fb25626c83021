//! Starting and ending a table's history: whatever a commit makes of a table's record, its history follows in it.
//!
//! Every writer reads the record, so from the commit that starts a history on, each change is in it.

use partita_engine::{Key, Write};

use crate::keyspace;
use crate::record::{HistoryLog, TableRecord};
use crate::stream::next_ordinal;

/// Puts the history in step with what becomes of a table's record; `after` is `None` when the table goes.
pub(crate) fn follow(before: Option<&TableRecord>, after: Option<&mut TableRecord>, writes: &mut Vec<Write>) {
    let recovers = |record: &TableRecord| record.recovery.is_some();
    let recovered_before = before.is_some_and(recovers);
    let recovers_after = after.as_deref().is_some_and(recovers);
    if recovered_before != recovers_after {
        let delta = if recovers_after { 1 } else { -1 };
        writes.push(Write::Add { key: keyspace::recovering_tables(), delta });
    }
    // A dropped table's history goes with its other keys.
    let Some(after) = after else { return };
    let wanted = after.recovery.is_some() || !after.logs.holds.is_empty();
    if !wanted && let Some(log) = after.logs.history.take() {
        writes.push(Write::Retire { prefix: keyspace::history(after.id, log.generation).into() });
        writes.push(Write::Delete { key: keyspace::history_trimmed(after.id, log.generation) });
    }
    if wanted && after.logs.history.is_none() {
        after.logs.histories += 1;
        after.logs.history = Some(HistoryLog { generation: after.logs.histories });
    }
    if recovers_after && !recovered_before {
        writes.push(Write::PutAtPosition {
            prefix: keyspace::recovery_starts(after.id).into(),
            suffix: Key::new(),
            ordinal: next_ordinal(writes),
            value: Key::new(),
        });
    }
}
