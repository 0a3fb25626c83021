//! History: what a table's items were before, so that the table can be read as it was at a moment.
//!
//! `log` writes the previous image of every changed item in the change's own commit, while something needs it: recovery
//! that is switched on, or a job that reads the past. `moments` ties seconds to positions in the log, `past` reads the
//! table as of a position, `window` what has changed between two, `trim` forgets what is older than the window, `recovery` is point-in-time recovery as a client
//! switches and sees it.

mod follow;
mod log;
mod moments;
mod past;
mod recovery;
mod trim;
mod window;

pub(crate) use follow::follow;
pub(crate) use log::{append, readable};
pub(crate) use moments::Moments;
pub(crate) use past::Past;
pub(crate) use recovery::no_table;
pub use recovery::{RecoveryState, RecoveryWindow};
pub(crate) use window::{Window, WindowItem};
