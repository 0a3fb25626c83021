//! The constraints of the service model: required members, lengths, ranges, patterns, enumerations, sizes.
//!
//! The generated `Check` of a structure names its rules; this module evaluates them and collects what is broken, in
//! DynamoDB's order and at most ten. How a broken rule is worded is in `wording`; what a request means is for the
//! operations.

mod echo;
mod patterns;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use partita_model::Refusal;

pub use echo::{Echo, Echoed};
pub use patterns::Pattern;

use crate::generated::operations::{Input, Operation};
use crate::json::{Encode, Entries, to_vec};
use crate::wording::{self, Current, Layer};

/// The longest table name, in characters (the developer guide, "Naming rules").
const MAX_TABLE_NAME: usize = 255;
/// The shortest name of a table to be managed.
const MIN_TABLE_NAME: usize = 3;

/// Checks a request against the model.
///
/// # Errors
/// `ValidationException` that lists the constraints that are broken.
pub fn check<T: Input>(input: &T) -> Result<(), Refusal> {
    let mut findings = Findings::new(T::OPERATION);
    input.check(&Path::ROOT, &mut findings);
    findings.into_result()
}

/// A structure whose constraints can be checked.
pub trait Check {
    /// Notes the constraints that `self`, which stands at `at`, breaks.
    fn check(&self, at: &Path<'_>, findings: &mut Findings) {
        let _ = (at, findings);
    }
}

/// Where in a request a value stands.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Segment<'a> {
    Root,
    Member(&'static str),
    /// Counted from 1.
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// The request itself.
    pub const ROOT: Self = Self { parent: None, segment: Segment::Root };

    fn member(&'a self, name: &'static str) -> Self {
        Self { parent: Some(self), segment: Segment::Member(name) }
    }

    /// The path in the model's names: `KeySchema.1.member.AttributeName`.
    fn text(&self) -> String {
        let mut out = self.parent.map(Self::text).unwrap_or_default();
        let mut push = |segment: &str| {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(segment);
        };
        match self.segment {
            Segment::Root => {}
            Segment::Member(name) => push(name),
            Segment::Index(index) => push(&format!("{index}.member")),
            Segment::Key(key) => {
                push(key);
                push("member");
            }
        }
        out
    }

    /// The path as older messages have it, members beginning in lower case: `keySchema.1.member.attributeName`.
    fn older_text(&self) -> String {
        let mut out = self.parent.map(Self::older_text).unwrap_or_default();
        if !out.is_empty() {
            out.push('.');
        }
        match self.segment {
            Segment::Root => {}
            Segment::Member(name) => {
                let mut letters = name.chars();
                out.extend(letters.next().map(|first| first.to_ascii_lowercase()));
                out.push_str(letters.as_str());
            }
            Segment::Index(index) => out.push_str(&format!("{index}.member")),
            Segment::Key(key) => {
                out.push_str(key);
                out.push_str(".member");
            }
        }
        out
    }
}

/// The rule of a string; lengths are in UTF-16 units, as Java counts them.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The least length.
    pub min: usize,
    /// The greatest length.
    pub max: Option<usize>,
    /// What it must look like.
    pub pattern: Option<Pattern>,
    /// The names that it must be one of; empty when it is not of an enumeration.
    pub names: &'static [&'static str],
}

impl Text {
    /// Any string.
    pub const ANY: Self = Self { min: 0, max: None, pattern: None, names: &[] };
}

/// The rule of a list or map: how many elements it may have.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The least number.
    pub min: usize,
    /// The greatest number.
    pub max: Option<usize>,
}

/// The rule of a whole number.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The least value.
    pub min: Option<i64>,
    /// The greatest value.
    pub max: Option<i64>,
}

/// A list or a map.
pub trait Collection {
    /// How many elements it has.
    fn count(&self) -> usize;
}

impl<T> Collection for Vec<T> {
    fn count(&self) -> usize {
        self.len()
    }
}

impl<T> Collection for Entries<T> {
    fn count(&self) -> usize {
        self.len()
    }
}

#[derive(Debug)]
struct Finding {
    older: String,
    current: Current,
}

/// The broken constraints of a request, in order.
#[derive(Debug)]
pub struct Findings {
    operation: Operation,
    found: Vec<Finding>,
    /// Reported only when nothing else is broken.
    last: Option<Finding>,
    /// Reported instead of everything else, without a list.
    first: Option<&'static str>,
    is_incomplete: bool,
}

impl Findings {
    fn new(operation: Operation) -> Self {
        Self { operation, found: Vec::new(), last: None, first: None, is_incomplete: false }
    }

    fn into_result(mut self) -> Result<(), Refusal> {
        if let Some(message) = self.first {
            return Err(Refusal::validation(message));
        }
        if self.found.is_empty() {
            self.found.extend(self.last);
        }
        if self.found.is_empty() {
            return Ok(());
        }
        // A request that lacks a required member does not reach the current layer.
        let is_current = Layer::of(self.operation) != Layer::Older && !self.is_incomplete;
        if is_current {
            let alone = self.found.iter().find_map(|finding| match &finding.current {
                Current::Alone(message) => Some(message.clone()),
                _ => None,
            });
            if let Some(message) = alone {
                return Err(Refusal::validation(message));
            }
        }
        let texts: Vec<Cow<'_, str>> = self
            .found
            .iter()
            .map(|finding| match &finding.current {
                Current::Listed(text) if is_current => Cow::Borrowed(text.as_str()),
                _ => Cow::Borrowed(finding.older.as_str()),
            })
            .collect();
        Err(Refusal::validation(wording::listed(&texts)))
    }

    /// Notes one broken constraint.
    fn add(&mut self, at: &Path<'_>, value: Option<&str>, constraint: &str, current: Current) {
        if self.found.len() < wording::MAX_LISTED {
            let older = wording::with_value(&at.older_text(), value, constraint);
            self.found.push(Finding { older, current });
        }
    }

    /// The member must be there.
    pub fn required<T>(&mut self, at: &Path<'_>, member: &'static str, value: &Option<T>) {
        if value.is_none() {
            self.is_incomplete = true;
            self.add(&at.member(member), None, "Member must not be null", Current::AsOlder);
        }
    }

    /// A string member must keep its rule.
    pub fn text(&mut self, at: &Path<'_>, member: &'static str, value: &Option<String>, rule: &Text) {
        if let Some(value) = value {
            let current = wording::current_names(self.operation, member);
            self.check_text(&at.member(member), value, rule, current);
        }
    }

    /// An element of a list must keep its rule.
    pub fn element_text(&mut self, at: &Path<'_>, value: &str, rule: &Text) {
        self.check_text(at, value, rule, Current::AsOlder);
    }

    fn check_text(&mut self, at: &Path<'_>, value: &str, rule: &Text, current_names: Current) {
        if !rule.names.is_empty() {
            if !rule.names.contains(&value) {
                let constraint = format!("Member must satisfy enum value set: [{}]", rule.names.join(", "));
                self.add(at, Some(&echo::shortened(value)), &constraint, current_names);
            }
            return;
        }
        if let Some(pattern) = rule.pattern
            && !pattern.matches(value)
        {
            let constraint = format!("Member must satisfy regular expression pattern: {}", pattern.text());
            self.add(at, Some(&echo::shortened(value)), &constraint, Current::AsOlder);
        }
        if let Some(constraint) = outside(length(value), rule.min, rule.max) {
            self.add(at, Some(&echo::shortened(value)), &constraint, Current::AsOlder);
        }
    }

    /// A table's name or ARN. Operations on items take any text that can be a name; operations that manage tables
    /// want one of at least three characters.
    pub fn table_name(&mut self, at: &Path<'_>, member: &'static str, value: &Option<String>, is_required: bool) {
        let is_managed = !is_on_items(self.operation);
        let Some(name) = value else {
            if is_required && is_managed && matches!(at.segment, Segment::Root) {
                self.first = Some(wording::TABLE_NAME_IS_REQUIRED);
            } else if is_required {
                self.required(at, member, value);
            }
            return;
        };
        if is_arn(name) {
            return;
        }
        let at = at.member(member);
        let value = echo::shortened(name);
        if name.is_empty() && !is_managed {
            let constraint = "Member must have length greater than or equal to 1";
            let current = wording::current_size(&at.text(), constraint);
            return self.add(&at, Some(&value), constraint, current);
        }
        if !name.is_empty() && !Pattern::Name.matches(name) {
            let constraint = format!("Member must satisfy regular expression pattern: {}", Pattern::Name.text());
            self.add(&at, Some(&value), &constraint, Current::AsOlder);
        }
        let min = if is_managed { MIN_TABLE_NAME } else { 1 };
        if let Some(constraint) = outside(length(name), min, Some(MAX_TABLE_NAME)) {
            self.add(&at, Some(&value), &constraint, Current::AsOlder);
        }
    }

    /// A number must be in its range.
    pub fn range<T: Copy + Into<i64>>(&mut self, at: &Path<'_>, member: &'static str, value: &Option<T>, rule: &Range) {
        let Some(value) = value.map(Into::into) else { return };
        let constraint = match (rule.min, rule.max) {
            (Some(min), _) if value < min => format!("Member must have value greater than or equal to {min}"),
            (_, Some(max)) if value > max => format!("Member must have value less than or equal to {max}"),
            _ => return,
        };
        let at = at.member(member);
        let current = wording::current_size(&at.text(), &constraint);
        self.add(&at, Some(&value.to_string()), &constraint, current);
    }

    /// A structure's own constraints.
    pub fn nested<T: Check>(&mut self, at: &Path<'_>, member: &'static str, value: &Option<T>) {
        if let Some(value) = value {
            value.check(&at.member(member), self);
        }
    }

    /// A list or map must have a size within its rule.
    pub fn size<T: Collection + Echo>(&mut self, at: &Path<'_>, member: &'static str, value: &Option<T>, rule: &Size) {
        let Some(value) = value else { return };
        let Some(constraint) = outside(value.count(), rule.min, rule.max) else { return };
        if self.operation == Operation::BatchWriteItem && value.count() == 0 && member == "RequestItems" {
            self.first = Some(wording::NOTHING_TO_WRITE);
            return;
        }
        let at = at.member(member);
        let current = wording::current_size(&at.text(), &constraint);
        self.add(&at, Some(&Echoed::of(value)), &constraint, current);
    }

    /// The lists in a map must each have a size within the rule.
    pub fn value_sizes<T>(&mut self, at: &Path<'_>, member: &'static str, value: &Option<Entries<Vec<T>>>, rule: &Size)
    where
        T: Echo,
    {
        let Some(value) = value else { return };
        if value.iter().any(|(_, list)| outside(list.len(), rule.min, rule.max).is_some()) {
            let max = rule.max.map(|max| format!("Member must have length less than or equal to {max}, "));
            let constraint = format!(
                "Map value must satisfy constraint: [{}Member must have length greater than or equal to {}]",
                max.unwrap_or_default(),
                rule.min
            );
            self.add(&at.member(member), Some(&Echoed::of(value)), &constraint, Current::AsOlder);
        }
    }

    /// The keys of a map must be names or ARNs of tables.
    pub fn table_keys<T: Echo + Encode>(&mut self, at: &Path<'_>, member: &'static str, value: &Option<Entries<T>>) {
        let Some(value) = value else { return };
        let is_name = |key: &str| {
            is_arn(key)
                || outside(length(key), MIN_TABLE_NAME, Some(MAX_TABLE_NAME)).is_none() && Pattern::Name.matches(key)
        };
        if value.iter().all(|(key, _)| is_name(key)) {
            return;
        }
        let constraint = format!(
            "Map keys must satisfy constraint: [Member must have length less than or equal to {MAX_TABLE_NAME}, \
             Member must have length greater than or equal to {MIN_TABLE_NAME}, \
             Member must satisfy regular expression pattern: {}]",
            Pattern::Name.text()
        );
        let at = at.member(member);
        if self.operation == Operation::BatchWriteItem {
            let older = wording::with_value(&at.older_text(), Some(&Echoed::of(value)), &constraint);
            self.last = Some(Finding { older, current: Current::AsOlder });
        } else {
            let json = String::from_utf8(to_vec(value)).unwrap_or_default();
            self.add(&at, Some(&echo::shortened(&json)), &constraint, Current::AsOlder);
        }
    }

    /// Each element of a list.
    pub fn list<T>(
        &mut self,
        at: &Path<'_>,
        member: &'static str,
        value: &Option<Vec<T>>,
        check: impl Fn(&T, &Path<'_>, &mut Self),
    ) {
        if let Some(value) = value {
            self.elements(&at.member(member), value, check);
        }
    }

    /// Each element of a list that stands at `at` itself.
    pub fn elements<T>(&mut self, at: &Path<'_>, value: &[T], check: impl Fn(&T, &Path<'_>, &mut Self)) {
        for (index, element) in (1..).zip(value) {
            check(element, &Path { parent: Some(at), segment: Segment::Index(index) }, self);
        }
    }

    /// Each value of a map.
    pub fn map<T>(
        &mut self,
        at: &Path<'_>,
        member: &'static str,
        value: &Option<Entries<T>>,
        check: impl Fn(&T, &Path<'_>, &mut Self),
    ) {
        let at = at.member(member);
        for (key, element) in value.iter().flat_map(Entries::iter) {
            check(element, &Path { parent: Some(&at), segment: Segment::Key(key) }, self);
        }
    }
}

/// The operations whose `TableName` is checked by the rules for items.
const fn is_on_items(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::PutItem
            | Operation::GetItem
            | Operation::UpdateItem
            | Operation::DeleteItem
            | Operation::Query
            | Operation::Scan
            | Operation::BatchGetItem
            | Operation::BatchWriteItem
            | Operation::TransactGetItems
            | Operation::TransactWriteItems
            | Operation::SearchVectors
    )
}

fn is_arn(name: &str) -> bool {
    name.starts_with("arn:")
}

/// A string's length in UTF-16 units.
fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// The constraint that a length or count breaks.
fn outside(count: usize, min: usize, max: Option<usize>) -> Option<String> {
    match max {
        _ if count < min => Some(format!("Member must have length greater than or equal to {min}")),
        Some(max) if count > max => Some(format!("Member must have length less than or equal to {max}")),
        _ => None,
    }
}
