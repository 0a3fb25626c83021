//! Who contributes most, in bounded memory: Space-Saving (Metwally, Agrawal and El Abbadi, 2005) over windows of a minute,
//! of which the last sixty are remembered, each by its largest contributors.
//!
//! Of each window, whoever contributed more than 1/64 of what its shard counted is found, and no count is too low; it is
//! too high by at most its `error`. Contributors are spread over shards by their hash, so that two rarely meet at a lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

/// Parts of a sketch with a lock each.
const SHARDS: usize = 8;
/// Contributors that a shard counts at a time.
const COUNTED: usize = 64;
/// Contributors of a window that a shard remembers after it.
const REMEMBERED: usize = 8;
/// Windows that are remembered.
pub const WINDOWS: usize = 60;
/// Seconds of a window.
pub const WINDOW_SECONDS: u64 = 60;

/// Counts contributions and tells the largest contributors.
#[derive(Debug)]
pub struct HeavyHitters {
    shards: [Mutex<Shard>; SHARDS],
}

/// A contributor and what it contributed, in what was weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// Who.
    pub key: Arc<[u8]>,
    /// How much, at most.
    pub count: u64,
    /// By how much `count` may be too high.
    pub error: u64,
    /// What of `count` fell into which window, by the second since the epoch at which it began; ascending.
    pub windows: Vec<(u64, u64)>,
}

/// What was contributed in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// The largest contributors, the largest first.
    pub contributors: Vec<Contributor>,
    /// All contributions, by those who are not listed too.
    pub total: u64,
    /// The total of each window, by the second at which it began; ascending.
    pub totals: Vec<(u64, u64)>,
    /// How many contributors are known of: a lower bound of how many there were.
    pub known: usize,
}

#[derive(Debug, Default)]
struct Shard {
    /// When the present window began, in windows since the epoch.
    window: u64,
    total: u64,
    /// Side by side, so that a contributor is found by a walk over its hash alone.
    hashes: Vec<u64>,
    slots: Vec<Slot>,
    past: VecDeque<Window>,
}

#[derive(Debug, Clone)]
struct Slot {
    hash: u64,
    key: Arc<[u8]>,
    count: u64,
    error: u64,
}

#[derive(Debug)]
struct Window {
    window: u64,
    total: u64,
    largest: Vec<Slot>,
}

impl Default for HeavyHitters {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl HeavyHitters {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a contribution of `weight` at a second since the epoch. `hash` tells contributors apart and is spread evenly;
    /// `key` is asked for only when the contributor is not among those counted.
    pub fn add(&self, hash: u64, weight: u64, second: u64, key: impl FnOnce() -> Arc<[u8]>) {
        let Some(shard) = self.shards.get((hash >> 61) as usize % SHARDS) else { return };
        let mut shard = shard.lock();
        shard.turn_to(second / WINDOW_SECONDS);
        shard.add(hash, weight, key);
    }

    /// The largest contributors of the windows that begin in the span from `from` up to and without `until`, in seconds
    /// since the epoch, as far as they are remembered.
    #[must_use]
    pub fn largest(&self, from: u64, until: u64, at_most: usize) -> Ranking {
        let mut ranking = Ranking::default();
        let mut found: HashMap<u64, Contributor> = HashMap::new();
        let mut totals: HashMap<u64, u64> = HashMap::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let present = (shard.window, shard.total, shard.slots.as_slice());
            let past = shard.past.iter().map(|past| (past.window, past.total, past.largest.as_slice()));
            for (window, total, slots) in past.chain([present]) {
                let began = window.saturating_mul(WINDOW_SECONDS);
                if !(from..until).contains(&began) || total == 0 {
                    continue;
                }
                ranking.total = ranking.total.saturating_add(total);
                let of_window = totals.entry(began).or_default();
                *of_window = of_window.saturating_add(total);
                for slot in slots {
                    let contributor = found.entry(slot.hash).or_insert_with(|| Contributor {
                        key: Arc::clone(&slot.key),
                        count: 0,
                        error: 0,
                        windows: Vec::new(),
                    });
                    contributor.count = contributor.count.saturating_add(slot.count);
                    contributor.error = contributor.error.saturating_add(slot.error);
                    contributor.windows.push((began, slot.count));
                }
            }
        }
        ranking.known = found.len();
        ranking.contributors = found.into_values().collect();
        ranking.contributors.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.key.cmp(&other.key)));
        ranking.contributors.truncate(at_most);
        ranking.contributors.iter_mut().for_each(|contributor| contributor.windows.sort_unstable());
        ranking.totals = totals.into_iter().collect();
        ranking.totals.sort_unstable();
        ranking
    }
}

impl Shard {
    /// Begins a new window when the present one is over. A clock that goes back does not.
    fn turn_to(&mut self, window: u64) {
        if window <= self.window {
            return;
        }
        if self.total > 0 {
            let mut largest = std::mem::take(&mut self.slots);
            largest.sort_unstable_by_key(|slot| std::cmp::Reverse(slot.count));
            largest.truncate(REMEMBERED);
            largest.shrink_to_fit();
            self.past.push_back(Window { window: self.window, total: self.total, largest });
        }
        self.hashes.clear();
        self.slots.clear();
        self.total = 0;
        self.window = window;
        let oldest = window.saturating_sub(WINDOWS as u64);
        while self.past.front().is_some_and(|past| past.window < oldest) {
            self.past.pop_front();
        }
    }

    fn add(&mut self, hash: u64, weight: u64, key: impl FnOnce() -> Arc<[u8]>) {
        self.total = self.total.saturating_add(weight);
        if let Some(slot) = self.hashes.iter().position(|known| *known == hash).and_then(|at| self.slots.get_mut(at)) {
            slot.count = slot.count.saturating_add(weight);
            return;
        }
        if self.slots.len() < COUNTED {
            self.hashes.push(hash);
            self.slots.push(Slot { hash, key: key(), count: weight, error: 0 });
            return;
        }
        let least = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.count).map(|(at, _)| at);
        if let Some(at) = least
            && let (Some(slot), Some(known)) = (self.slots.get_mut(at), self.hashes.get_mut(at))
        {
            let error = slot.count;
            *slot = Slot { hash, key: key(), count: error.saturating_add(weight), error };
            *known = hash;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u64) -> Arc<[u8]> {
        number.to_be_bytes().as_slice().into()
    }

    /// Spreads numbers as a hash would.
    fn hash(number: u64) -> u64 {
        let mixed = (number ^ (number >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    fn add(sketch: &HeavyHitters, number: u64, weight: u64, second: u64) {
        sketch.add(hash(number), weight, second, || name(number));
    }

    #[test]
    fn planted_keys_are_found_among_tens_of_thousands_of_others() {
        let sketch = HeavyHitters::new();
        let mut state = 7_u64;
        for round in 0..30_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            add(&sketch, 1_000 + (state >> 40), 1, 0);
            // Five planted ones with 2 to 10 % of the load.
            for planted in 1..=5 {
                if round % (50 / planted) == 0 {
                    add(&sketch, planted, 1, 0);
                }
            }
        }
        let ranking = sketch.largest(0, 60, 5);
        let found: Vec<_> = ranking.contributors.iter().map(|found| found.key.clone()).collect();
        assert_eq!(found, [5, 4, 3, 2, 1].map(name));
        for (contributor, planted) in ranking.contributors.iter().zip([5_u64, 4, 3, 2, 1]) {
            let truth = 30_000_u64.div_ceil(50 / planted);
            assert!(contributor.count >= truth, "{contributor:?} of {truth}");
            assert!(contributor.count - contributor.error <= truth, "{contributor:?} of {truth}");
            // A shard counts about an eighth of everything.
            assert!(contributor.error <= ranking.total / 64 / 4, "{contributor:?}");
        }
    }

    #[test]
    fn windows_pass_and_are_forgotten() {
        let sketch = HeavyHitters::new();
        add(&sketch, 1, 5, 30);
        add(&sketch, 1, 7, 60);
        add(&sketch, 2, 100, 61);
        let both = sketch.largest(0, 120, 10);
        assert_eq!((both.total, both.known), (112, 2));
        assert_eq!(both.totals, [(0, 5), (60, 107)]);
        assert_eq!(both.contributors.last().unwrap().windows, [(0, 5), (60, 7)]);
        let first = sketch.largest(0, 60, 10);
        assert_eq!((first.total, first.contributors.len()), (5, 1));
        // An hour and two minutes later; each shard forgets at its next contribution.
        (0..100).for_each(|number| add(&sketch, number, 1, 3_780));
        assert_eq!(sketch.largest(0, 120, 10).total, 0);
        assert_eq!(sketch.largest(3_780, 3_840, 1).total, 100);
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let sketch = HeavyHitters::new();
        for second in (0..10_000).step_by(30) {
            for number in 0..300 {
                add(&sketch, second * 1_000 + number, 1, second);
            }
        }
        for shard in &sketch.shards {
            let shard = shard.lock();
            assert!(shard.slots.len() <= COUNTED && shard.past.len() <= WINDOWS);
            assert!(shard.past.iter().all(|past| past.largest.len() <= REMEMBERED));
        }
    }
}
