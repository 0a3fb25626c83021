//! Triggers: which URL is told of a stream's records, and how far each has come.
//!
//! `definition` is what a trigger is and how it is made and changed, `progress` the checkpoint of a shard with the batch
//! it is stuck on, `delivery` what the node that delivers reads and writes, `dead_letter` the records that were given up,
//! `lag` how far a trigger is behind. Nothing here knows HTTP: posting, retrying and giving up is `partita-trigger`'s.

mod dead_letter;
mod definition;
mod delivery;
mod lag;
mod progress;
#[cfg(test)]
mod tests;

pub use dead_letter::{DeadLetter, GivenUp};
pub use definition::{NewTrigger, StartingPosition, Trigger, TriggerSettings};
pub use delivery::{Deliveries, Place, TriggerShard};
pub use lag::TriggerStatus;
pub use progress::{Failing, Piece, Progress, Tally};
