//! How often a value fell into which range. Recording is two relaxed additions and a short search.

use std::array;

use crate::Counter;

/// Counts values by range. The ranges end at `bounds`, ascending, each end included; the last has no end.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    counts: [Counter; N],
    beyond: Counter,
    sum: Counter,
}

/// A histogram as it was at one moment. Values counted meanwhile may be in the counts and not in the sum yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// The end of each range but the last, in the unit that is shown.
    pub bounds: Vec<f64>,
    /// How many values fell into each range, and into the one without an end.
    pub counts: Vec<u64>,
    /// The sum of all values, in the unit that is shown.
    pub sum: f64,
}

impl Distribution {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl<const N: usize> Histogram<N> {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(bounds: &'static [u64; N]) -> Self {
        Self { bounds, counts: array::from_fn(|_| Counter::new()), beyond: Counter::new(), sum: Counter::new() }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(at).unwrap_or(&self.beyond).one();
        self.sum.add(value);
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(Counter::get).sum::<u64>().saturating_add(self.beyond.get())
    }

    /// What was counted, one unit of a value being `unit` of what is shown: 1e-9 shows nanoseconds as seconds.
    #[must_use]
    pub fn read(&self, unit: f64) -> Distribution {
        Distribution {
            bounds: self.bounds.iter().map(|bound| *bound as f64 * unit).collect(),
            counts: self.counts.iter().map(Counter::get).chain([self.beyond.get()]).collect(),
            sum: self.sum.get() as f64 * unit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_belongs_below_it() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, u64::from(u32::MAX)] {
            histogram.record(value);
        }
        let read = histogram.read(0.5);
        assert_eq!((read.bounds, read.counts), (vec![5.0, 10.0], vec![2, 2, 2]));
        assert_eq!(read.sum, (10 + 11 + 20 + 21 + u64::from(u32::MAX)) as f64 * 0.5);
        assert_eq!(histogram.count(), 6);
    }
}
