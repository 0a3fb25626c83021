//! What one scrape gathers: families of series, each with its points. Sources add to it; writers walk it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Counter, Distribution};

/// What a number means over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows while the process lives.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Counts by range of value.
    Histogram,
}

/// The value of a label: a constant, or a text that many points share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// A constant.
    Constant(&'static str),
    /// A text.
    Shared(Arc<str>),
}

impl Label {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Constant(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<&'static str> for Label {
    fn from(text: &'static str) -> Self {
        Self::Constant(text)
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

/// What a point says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// One number.
    Number(f64),
    /// Counts by range.
    Distribution(Distribution),
}

/// One series at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Label names and values.
    pub labels: Vec<(&'static str, Label)>,
    /// The value.
    pub reading: Reading,
}

/// What a family is called: a constant of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// As Prometheus knows it: with its unit, and `_total` at the end of counters.
    pub name: &'static str,
    /// One sentence, without a full stop, of what it tells.
    pub help: &'static str,
    /// What its numbers mean.
    pub kind: Kind,
}

impl Name {
    /// The name of a counter.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Counter }
    }

    /// The name of a gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge }
    }

    /// The name of a histogram.
    #[must_use]
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Histogram }
    }
}

/// Series of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Their name.
    pub name: Name,
    /// The series. Empty families are shown too: that a thing is counted is worth knowing before it happens.
    pub points: Vec<Point>,
}

/// What a scrape has gathered so far.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    families: Vec<Family>,
    places: HashMap<&'static str, usize>,
}

impl Samples {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The families in the order in which they were first named.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// How many series there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.families.iter().map(|family| family.points.len()).sum()
    }

    /// Whether there is no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names a family, if it is not named yet.
    pub fn declare(&mut self, name: Name) {
        self.points(name);
    }

    /// Adds a number without labels.
    pub fn number(&mut self, name: Name, value: impl IntoNumber) {
        self.labelled(name, [], value);
    }

    /// Adds a number with labels.
    pub fn labelled<const N: usize>(&mut self, name: Name, labels: [(&'static str, Label); N], value: impl IntoNumber) {
        self.point(name, labels.to_vec(), Reading::Number(value.into_number()));
    }

    /// Adds a point.
    pub fn point(&mut self, name: Name, labels: Vec<(&'static str, Label)>, reading: Reading) {
        self.points(name).push(Point { labels, reading });
    }

    fn points(&mut self, name: Name) -> &mut Vec<Point> {
        let next = self.families.len();
        let at = *self.places.entry(name.name).or_insert(next);
        if at == next {
            self.families.push(Family { name, points: Vec::new() });
        }
        #[expect(clippy::indexing_slicing, reason = "the place was just found or made")]
        &mut self.families[at].points
    }
}

/// What can be shown as one number.
pub trait IntoNumber {
    /// The number. Whole numbers beyond 2⁵³ are rounded.
    fn into_number(self) -> f64;
}

impl IntoNumber for f64 {
    fn into_number(self) -> f64 {
        self
    }
}

impl IntoNumber for u64 {
    fn into_number(self) -> f64 {
        self as f64
    }
}

impl IntoNumber for i64 {
    fn into_number(self) -> f64 {
        self as f64
    }
}

impl IntoNumber for usize {
    fn into_number(self) -> f64 {
        self as f64
    }
}

impl IntoNumber for &Counter {
    fn into_number(self) -> f64 {
        self.get() as f64
    }
}

impl IntoNumber for bool {
    fn into_number(self) -> f64 {
        f64::from(u8::from(self))
    }
}
