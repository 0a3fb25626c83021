//! One line on a terminal that says how far something has come. Without a terminal nothing is written.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often the line is written anew.
const INTERVAL: Duration = Duration::from_millis(200);

/// The line, on standard error.
pub struct Line {
    shown: bool,
    terminal: bool,
    begun: Instant,
    written: Option<Instant>,
}

/// How far something has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Come {
    pub items: u64,
    pub bytes: u64,
    /// How many items there are in all, as far as that is known.
    pub of: Option<u64>,
}

impl Line {
    /// A line that is written if standard error is a terminal.
    pub fn new() -> Self {
        Self { shown: false, terminal: std::io::stderr().is_terminal(), begun: Instant::now(), written: None }
    }

    /// Writes how far it has come, if it is time to.
    pub fn show(&mut self, what: &str, come: Come) {
        if !self.terminal || self.written.is_some_and(|written| written.elapsed() < INTERVAL) {
            return;
        }
        self.written = Some(Instant::now());
        self.shown = true;
        // What can not be shown is no reason to stop.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", text(what, come, self.begun.elapsed()));
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.end();
    }
}

fn text(what: &str, come: Come, after: Duration) -> String {
    let seconds = after.as_secs().max(1);
    let rate = come.items / seconds;
    let mut text = format!("{}: {} items", shortened(what), come.items);
    if let Some(of) = come.of.filter(|of| *of > 0) {
        let percent = come.items.saturating_mul(100) / of;
        text = format!("{text} of about {of} ({}%)", percent.min(100));
    }
    text = format!("{text}, {}, {rate} a second", bytes(come.bytes));
    if let Some(left) = come.of.and_then(|of| of.checked_sub(come.items)).filter(|left| *left > 0 && rate > 0) {
        let left = left / rate;
        text = format!("{text}, {}:{:02}:{:02} left", left / 3600, left / 60 % 60, left % 60);
    }
    text
}

/// A text that leaves room on the line.
fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(40).collect()
}

/// Bytes in the unit that people read.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_items_bytes_rate_and_time_left() {
        let come = Come { items: 1000, bytes: 2_500_000, of: Some(4000) };
        assert_eq!(
            text("table T", come, Duration::from_secs(10)),
            "table T: 1000 items of about 4000 (25%), 2.5 MB, 100 a second, 0:00:30 left"
        );
        let unknown = Come { items: 5, bytes: 10, of: None };
        assert_eq!(text("a\u{1b}b", unknown, Duration::ZERO), "ab: 5 items, 1 kB, 5 a second");
    }
}
