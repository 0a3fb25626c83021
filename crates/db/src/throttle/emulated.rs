//! The service's own limits, under emulation: what one partition key takes, how far an on-demand table has grown, and the
//! quota of an account.
//!
//! Sources: "DynamoDB burst and adaptive capacity" (3,000 reads and 1,000 writes of a partition; adaptive capacity gives a
//! partition all of the table's throughput up to that, and a hot key a partition of its own), "On-demand capacity mode"
//! (double the previous peak within 30 minutes), "Quotas" (40,000 units of an on-demand table). One lock for each table or
//! index; nothing of this exists without emulation, and nothing of it outlives the process.

use std::collections::HashMap;

use parking_lot::Mutex;
use partita_model::key::PartitionHash;

use super::bucket::{Level, Rate, UNIT};
use super::{Direction, LimitKind};

/// What one partition takes, in read units a second.
const PARTITION_READS: i64 = 3_000;
/// What one partition takes, in write units a second.
const PARTITION_WRITES: i64 = 1_000;
/// What an on-demand table or index takes by default, in units a second of either kind.
const ON_DEMAND_QUOTA: i64 = 40_000;
/// How long traffic has to grow before more than double the peak of before is taken.
const GROWTH_MS: u64 = 30 * 60 * 1000;
/// From how many partition keys on those that rest are forgotten.
const MANY_PARTITIONS: usize = 16_384;

/// What on-demand mode gives a table or index; `None` in provisioned mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnDemand {
    /// Warm throughput, in units a second.
    pub warm: i64,
}

/// What one table or index is given and has used of one kind.
#[derive(Debug, Default)]
struct Side {
    partitions: HashMap<PartitionHash, Level>,
    growth: Growth,
    quota: Level,
}

/// How far an on-demand table has grown.
#[derive(Debug, Default)]
struct Growth {
    level: Level,
    /// The highest rate, in units a second, of the stretches of 30 minutes that are over, and of this one.
    settled: i64,
    current: i64,
    began_ms: u64,
    second: u64,
    /// The tokens consumed in that second.
    in_second: i64,
}

impl Growth {
    /// The units a second that are given now.
    fn rate(&mut self, warm: i64, now_ms: u64) -> Rate {
        if now_ms.saturating_sub(self.began_ms) >= GROWTH_MS {
            self.settled = self.settled.max(self.current).max(self.in_second / UNIT);
            (self.current, self.began_ms) = (0, now_ms);
        }
        Rate { units: warm.max(self.settled.saturating_mul(2)), seconds: 1 }
    }

    fn take(&mut self, tokens: i64, now_ms: u64) {
        self.level.take(tokens);
        if self.second != now_ms / 1000 {
            (self.second, self.in_second) = (now_ms / 1000, 0);
        }
        self.in_second = self.in_second.saturating_add(tokens);
        self.current = self.current.max(self.in_second / UNIT);
    }
}

/// The state of one table or index under emulation.
#[derive(Debug, Default)]
pub(super) struct Emulated {
    read: Mutex<Side>,
    write: Mutex<Side>,
}

impl Emulated {
    fn side(&self, direction: Direction) -> &Mutex<Side> {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// Which limit stands against a request, when `pending` tokens are to be taken before its own.
    pub(super) fn refuses(
        &self,
        direction: Direction,
        on_demand: Option<OnDemand>,
        partition: Option<&PartitionHash>,
        pending: i64,
        now_ms: u64,
    ) -> Option<LimitKind> {
        let mut side = self.side(direction).lock();
        if let Some(OnDemand { warm }) = on_demand {
            let quota = Rate { units: ON_DEMAND_QUOTA, seconds: 1 };
            if side.quota.at(quota, now_ms) <= pending {
                return Some(LimitKind::Account);
            }
            let rate = side.growth.rate(warm, now_ms);
            if side.growth.level.at(rate, now_ms) <= pending {
                return Some(LimitKind::KeyRange);
            }
        }
        let level = side.partitions.get_mut(partition?)?;
        (level.at(partition_rate(direction), now_ms) <= 0).then_some(LimitKind::KeyRange)
    }

    /// Takes what was consumed from what the table or index is given.
    pub(super) fn take(&self, direction: Direction, on_demand: Option<OnDemand>, tokens: i64, now_ms: u64) {
        if let Some(OnDemand { warm }) = on_demand {
            let mut side = self.side(direction).lock();
            let rate = side.growth.rate(warm, now_ms);
            // What was never asked for is full.
            side.growth.level.at(rate, now_ms);
            side.growth.take(tokens, now_ms);
            side.quota.at(Rate { units: ON_DEMAND_QUOTA, seconds: 1 }, now_ms);
            side.quota.take(tokens);
        }
    }

    /// Takes what was consumed from what one partition key is given.
    pub(super) fn take_partition(&self, direction: Direction, partition: &PartitionHash, tokens: i64, now_ms: u64) {
        let rate = partition_rate(direction);
        let mut side = self.side(direction).lock();
        if side.partitions.len() >= MANY_PARTITIONS {
            side.partitions.retain(|_, level| level.at(rate, now_ms) < rate.capacity());
            if side.partitions.len() >= MANY_PARTITIONS {
                // So many keys at once are no hot key.
                side.partitions.clear();
            }
        }
        let level = side.partitions.entry(*partition).or_default();
        level.at(rate, now_ms);
        level.take(tokens);
    }
}

const fn partition_rate(direction: Direction) -> Rate {
    match direction {
        Direction::Read => Rate { units: PARTITION_READS, seconds: 1 },
        Direction::Write => Rate { units: PARTITION_WRITES, seconds: 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const NEW: Option<OnDemand> = Some(OnDemand { warm: 4_000 });

    /// How many units are taken within one millisecond, one hundred at a time, each of another partition.
    fn taken(emulated: &Emulated, now_ms: u64) -> (i64, Option<LimitKind>) {
        let mut taken = 0;
        loop {
            if let Some(kind) = emulated.refuses(Direction::Write, NEW, None, 0, now_ms) {
                return (taken, Some(kind));
            }
            emulated.take(Direction::Write, NEW, 100 * UNIT, now_ms);
            taken += 100;
        }
    }

    #[test]
    fn an_on_demand_table_doubles_its_peak_every_thirty_minutes_up_to_the_quota() {
        let emulated = Emulated::default();
        let key_range = Some(LimitKind::KeyRange);
        assert_eq!(taken(&emulated, 31 * MINUTE), (4_000, key_range));
        assert_eq!(taken(&emulated, 32 * MINUTE), (4_000, key_range));
        assert_eq!(taken(&emulated, 62 * MINUTE), (8_000, key_range));
        assert_eq!(taken(&emulated, 93 * MINUTE), (16_000, key_range));
        assert_eq!(taken(&emulated, 124 * MINUTE), (32_000, key_range));
        assert_eq!(taken(&emulated, 155 * MINUTE), (40_000, Some(LimitKind::Account)));
        // What was reached once stays.
        assert_eq!(taken(&emulated, 10_000 * MINUTE), (40_000, Some(LimitKind::Account)));
    }

    #[test]
    fn one_partition_key_takes_a_thousand_writes_or_three_thousand_reads_a_second() {
        let emulated = Emulated::default();
        for (direction, most) in [(Direction::Write, 1_000), (Direction::Read, 3_000)] {
            let mut taken = 0;
            while emulated.refuses(direction, None, Some(&[7; 16]), 0, 5).is_none() {
                emulated.take_partition(direction, &[7; 16], UNIT, 5);
                taken += 1;
            }
            assert_eq!(taken, most);
            assert_eq!(emulated.refuses(direction, None, Some(&[8; 16]), 0, 5), None);
            assert_eq!(emulated.refuses(direction, None, Some(&[7; 16]), 0, 6), None);
        }
    }

    #[test]
    fn partition_keys_at_rest_are_forgotten() {
        let emulated = Emulated::default();
        for number in 0..3 * MANY_PARTITIONS as u128 {
            emulated.take_partition(Direction::Write, &number.to_be_bytes(), UNIT, 5);
        }
        assert!(emulated.write.lock().partitions.len() <= MANY_PARTITIONS);
    }
}
