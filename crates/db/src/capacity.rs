//! Capacity units: what reads and writes consume, by table and index.
//!
//! Source: "Read and write request units" in the developer guide. Reads are counted in half units, because an
//! eventually consistent read takes half of a strongly consistent one.

use crate::limits::{READ_UNIT_BYTES, WRITE_UNIT_BYTES};

/// Read capacity in halves of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadUnits(u64);

impl ReadUnits {
    /// What reading `bytes` at once takes: a unit for each 4 KB begun, at least one; half of that when eventually
    /// consistent.
    #[must_use]
    pub fn of(bytes: usize, consistent: bool) -> Self {
        let units = bytes.div_ceil(READ_UNIT_BYTES).max(1) as u64;
        Self(if consistent { units * 2 } else { units })
    }

    /// Twice as much, as transactions take.
    #[must_use]
    pub const fn doubled(self) -> Self {
        Self(self.0 * 2)
    }
}

/// What writing an item of `bytes` takes, in units: one for each 1 KB begun, at least one.
#[must_use]
pub fn write_units(bytes: usize) -> u64 {
    bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as u64
}

/// What one table or index was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    read: ReadUnits,
    write: u64,
}

impl Capacity {
    /// Adds a read.
    pub const fn add_read(&mut self, units: ReadUnits) {
        self.read.0 += units.0;
    }

    /// Adds write units.
    pub const fn add_write(&mut self, units: u64) {
        self.write += units;
    }

    /// Read units.
    #[must_use]
    pub fn read_units(&self) -> f64 {
        self.read.0 as f64 / 2.0
    }

    /// Write units.
    #[must_use]
    pub fn write_units(&self) -> f64 {
        self.write as f64
    }

    /// Read and write units together.
    #[must_use]
    pub fn units(&self) -> f64 {
        self.read_units() + self.write_units()
    }

    /// Read capacity in halves of a unit.
    pub(crate) const fn read_halves(&self) -> u64 {
        self.read.0
    }

    /// Write units as a whole number.
    pub(crate) const fn written(&self) -> u64 {
        self.write
    }

    /// Whether nothing was consumed.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.read.0 == 0 && self.write == 0
    }

    fn add(&mut self, other: Self) {
        self.read.0 += other.read.0;
        self.write += other.write;
    }
}

/// What an operation consumed of one table and its indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// Of the table itself.
    pub table: Capacity,
    /// Of indexes, by their place in `Table::indexes`; those with nothing consumed may be left out.
    pub indexes: Vec<(usize, Capacity)>,
}

impl Consumed {
    /// The share of one index, made when it is not there yet.
    pub fn index(&mut self, at: usize) -> &mut Capacity {
        let place = match self.indexes.iter().position(|(index, _)| *index == at) {
            Some(place) => place,
            None => {
                self.indexes.push((at, Capacity::default()));
                self.indexes.len() - 1
            }
        };
        // The place was just found or made.
        #[expect(clippy::indexing_slicing, reason = "the place was just found or made")]
        &mut self.indexes[place].1
    }

    /// Adds what another operation on the same table consumed.
    pub fn add(&mut self, other: &Self) {
        self.table.add(other.table);
        for (at, capacity) in &other.indexes {
            self.index(*at).add(*capacity);
        }
    }

    /// Twice as much of everything, as transactions take.
    pub fn double(&mut self) {
        let twice = self.clone();
        self.add(&twice);
    }

    /// Table and indexes together.
    #[must_use]
    pub fn total(&self) -> Capacity {
        let mut total = self.table;
        self.indexes.iter().for_each(|(_, capacity)| total.add(*capacity));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_round_up_to_4_kb_and_halve_when_eventually_consistent() {
        let units = |bytes, consistent| {
            let mut capacity = Capacity::default();
            capacity.add_read(ReadUnits::of(bytes, consistent));
            capacity.read_units()
        };
        assert_eq!((units(0, true), units(0, false)), (1.0, 0.5));
        assert_eq!((units(4096, true), units(4097, true), units(4097, false)), (1.0, 2.0, 1.0));
    }

    #[test]
    fn writes_round_up_to_1_kb() {
        assert_eq!([0, 1, 1024, 1025].map(write_units), [1, 1, 1, 2]);
    }
}
