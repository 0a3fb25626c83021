//! The logs of what items were before, and the marks that tie seconds to positions.

use partita_engine::{KeyRange, Position};

use super::{Check, Damage, EVERYWHERE, Pages, counter, place};
use crate::error::Result;
use crate::history;
use crate::keyspace;
use crate::record::TableRecord;

impl Check<'_> {
    /// A table's history: entries that can be read, behind what is trimmed.
    pub(super) async fn history(&mut self, record: &TableRecord) -> Result<()> {
        let place = place(record);
        let current = record.logs.history.map(|log| log.generation);
        let trimmed = match current {
            Some(generation) => {
                let found = self.values(&[keyspace::history_trimmed(record.id, generation)]).await?.pop();
                match found {
                    Some(Ok(Some(value))) => match Position::from_slice(&value) {
                        Some(position) => position,
                        None => {
                            let what = "how far the history is trimmed can not be read".to_owned();
                            self.find(&place, Damage::BrokenHistory, what);
                            Position::MIN
                        }
                    },
                    Some(Err(error)) => {
                        self.find(&place, Damage::Unreadable, format!("how far the history is trimmed: {error}"));
                        Position::MIN
                    }
                    _ => Position::MIN,
                }
            }
            None => Position::MIN,
        };
        let prefix = keyspace::table_prefix(keyspace::SPACE_HISTORY, record.id);
        let mut pages = Pages::of(KeyRange::prefix(prefix.clone()));
        while let Some(rows) = pages.next(self).await? {
            for (key, value) in rows {
                let generation = key.get(prefix.len()..).and_then(|rest| rest.split_first_chunk());
                let Some((generation, position)) = generation else {
                    self.find(&place, Damage::BrokenHistory, "an entry's key can not be read".to_owned());
                    continue;
                };
                if current != Some(u32::from_be_bytes(*generation)) {
                    self.find(&place, Damage::Leftover, "an entry of a history that was ended".to_owned());
                    continue;
                }
                match Position::from_slice(position) {
                    Some(position) if trimmed == Position::MIN || position > trimmed => {}
                    Some(_) => {
                        self.find(&place, Damage::BrokenHistory, "an entry lies before what was trimmed".to_owned());
                    }
                    None => self.find(&place, Damage::BrokenHistory, "an entry's position can not be read".to_owned()),
                }
                if let Err(error) = value.and_then(|value| history::readable(&value)) {
                    self.find(&place, Damage::Unreadable, format!("an entry of the history: {error}"));
                }
            }
        }
        Ok(())
    }

    /// The marks: later seconds at later positions. And how many tables say that they need them.
    pub(super) async fn moments(&mut self, tables: &[TableRecord]) -> Result<()> {
        self.progress.begin("marks of seconds");
        let mut pages = Pages::of(KeyRange::new(keyspace::moment(0), keyspace::moments_end()));
        let mut last: Option<(u64, Position)> = None;
        while let Some(rows) = pages.next(self).await? {
            for (key, value) in rows {
                if let Err(error) = value {
                    self.find(EVERYWHERE, Damage::Unreadable, format!("the mark of a second: {error}"));
                }
                let read = || {
                    let (second, position) = key.get(1..)?.split_first_chunk()?;
                    Some((u64::from_be_bytes(*second), Position::from_slice(position)?))
                };
                match (read(), last) {
                    (None, _) => self.find(EVERYWHERE, Damage::BrokenMoments, "a mark can not be read".to_owned()),
                    (Some((second, position)), Some((before, at))) if second <= before || position <= at => {
                        let what = format!("the mark of second {second} lies before that of second {before}");
                        self.find(EVERYWHERE, Damage::BrokenMoments, what);
                    }
                    (read, _) => last = read,
                }
            }
        }
        let recovering = tables.iter().filter(|table| table.recovery.is_some()).count();
        let said = match self.values(&[keyspace::recovering_tables()]).await?.pop() {
            Some(Ok(Some(value))) => counter(&value),
            Some(Err(error)) => Err(error),
            Some(Ok(None)) | None => Ok(0),
        };
        match said {
            Ok(said) if usize::try_from(said) == Ok(recovering) => {}
            Ok(said) => {
                let what = format!("{recovering} tables can be recovered, {said} are said to be");
                self.find(EVERYWHERE, Damage::WrongCount, what);
            }
            Err(error) => self.find(EVERYWHERE, Damage::Unreadable, format!("a counter: {error}")),
        }
        Ok(())
    }
}
