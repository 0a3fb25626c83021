//! Document paths: an attribute name and the map keys and list indexes that lead on from it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use partita_model::{AttributeValue, Document};

use crate::bindings::Bindings;
use crate::error::Problem;
use crate::visit;

/// The most elements that a path may have (measured against DynamoDB Local).
pub const MAX_PATH_ELEMENTS: usize = 32;

/// The largest list index of a path.
pub(crate) const MAX_INDEX: u32 = 2_147_483_647;

/// A path into an item, with all names in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    root: Arc<str>,
    rest: Box<[Element]>,
}

/// A step from a map or list to one of its values. Indexes order before names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// The element of a list at this position, counted from 0.
    Index(u32),
    /// The value of a map under this name.
    Name(Arc<str>),
}

impl Path {
    /// The path of a top-level attribute.
    #[must_use]
    pub fn top_level(name: &str) -> Self {
        Self { root: name.into(), rest: Box::default() }
    }

    /// The name of the top-level attribute.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The steps from the top-level attribute on.
    #[must_use]
    pub fn rest(&self) -> &[Element] {
        &self.rest
    }

    /// Whether the path is a top-level attribute.
    #[must_use]
    pub fn is_top_level(&self) -> bool {
        self.rest.is_empty()
    }

    /// The value that the path leads to.
    pub(crate) fn resolve<'d, D: Document + ?Sized>(&self, document: &'d D) -> Option<Cow<'d, AttributeValue>> {
        let root = document.attribute(&self.root)?;
        if self.rest.is_empty() {
            return Some(root);
        }
        match root {
            Cow::Borrowed(value) => self.rest.iter().try_fold(value, step).map(Cow::Borrowed),
            Cow::Owned(value) => self.rest.iter().try_fold(value, step_into).map(Cow::Owned),
        }
    }

    /// The paths in an order in which a path directly precedes those that it leads to.
    fn order(&self, other: &Self) -> Ordering {
        self.root.cmp(&other.root).then_with(|| self.rest.cmp(&other.rest))
    }

    /// How the two paths clash, if they do.
    fn clash(&self, other: &Self) -> Option<Clash> {
        if self.root != other.root {
            return None;
        }
        for pair in self.rest.iter().zip(&other.rest) {
            match pair {
                (Element::Index(a), Element::Index(b)) if a == b => {}
                (Element::Name(a), Element::Name(b)) if a == b => {}
                (Element::Index(_), Element::Name(_)) | (Element::Name(_), Element::Index(_)) => {
                    return Some(Clash::Conflict);
                }
                _ => return None,
            }
        }
        Some(Clash::Overlap)
    }
}

enum Clash {
    Overlap,
    Conflict,
}

fn step<'v>(value: &'v AttributeValue, element: &Element) -> Option<&'v AttributeValue> {
    match (value, element) {
        (AttributeValue::M(map), Element::Name(name)) => map.get(name),
        (AttributeValue::L(list), Element::Index(index)) => list.get(usize::try_from(*index).ok()?),
        _ => None,
    }
}

fn step_into(value: AttributeValue, element: &Element) -> Option<AttributeValue> {
    match (value, element) {
        (AttributeValue::M(mut map), Element::Name(name)) => map.remove(name),
        (AttributeValue::L(mut list), Element::Index(index)) => {
            let index = usize::try_from(*index).ok()?;
            (index < list.len()).then(|| list.swap_remove(index))
        }
        _ => None,
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.root)?;
        for element in &self.rest {
            match element {
                Element::Name(name) => write!(f, ", {name}")?,
                Element::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}

/// A path as written: names may be placeholders.
#[derive(Clone, Debug)]
pub(crate) struct PathTemplate {
    pub(crate) root: TemplateName,
    pub(crate) rest: Vec<TemplateElement>,
}

#[derive(Clone, Debug)]
pub(crate) enum TemplateName {
    Literal(Arc<str>),
    Placeholder(Box<str>),
}

#[derive(Clone, Debug)]
pub(crate) enum TemplateElement {
    Name(TemplateName),
    Index(u32),
}

impl PathTemplate {
    /// The path with its placeholders replaced.
    pub(crate) fn bind(&self, bindings: &mut Bindings) -> Result<Path, Problem> {
        let elements = 1 + self.rest.len();
        if elements > MAX_PATH_ELEMENTS {
            return Err(Problem::Nesting(elements));
        }
        let root = self.root.bind(bindings)?;
        let rest = self
            .rest
            .iter()
            .map(|element| match element {
                TemplateElement::Name(name) => name.bind(bindings).map(Element::Name),
                TemplateElement::Index(index) => Ok(Element::Index(*index)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Path { root, rest })
    }

    /// The path, if it has no placeholder and is not too long.
    pub(crate) fn literal(&self) -> Option<Path> {
        if 1 + self.rest.len() > MAX_PATH_ELEMENTS {
            return None;
        }
        let rest = self
            .rest
            .iter()
            .map(|element| match element {
                TemplateElement::Name(name) => name.literal().map(Element::Name),
                TemplateElement::Index(index) => Some(Element::Index(*index)),
            })
            .collect::<Option<_>>()?;
        Some(Path { root: self.root.literal()?, rest })
    }
}

impl TemplateName {
    fn bind(&self, bindings: &mut Bindings) -> Result<Arc<str>, Problem> {
        match self {
            Self::Literal(name) => Ok(Arc::clone(name)),
            Self::Placeholder(placeholder) => bindings.name(placeholder),
        }
    }

    fn literal(&self) -> Option<Arc<str>> {
        match self {
            Self::Literal(name) => Some(Arc::clone(name)),
            Self::Placeholder(_) => None,
        }
    }
}

/// Whether no two paths clash: a cheap test that does not say which do.
fn are_disjoint<'p>(paths: impl Iterator<Item = &'p Path>) -> bool {
    let mut sorted: Vec<&Path> = paths.collect();
    sorted.sort_unstable_by(|a, b| a.order(b));
    // What clashes with a path is next to it: the paths that it leads to follow it directly, and under one parent all
    // indexes come before all names.
    sorted.windows(2).all(|pair| !matches!(pair, [a, b] if a.clash(b).is_some()))
}

/// Refuses a path that clashes with one of `others`, which are disjoint and in the order in which they were read. The
/// other path in the message is the first to be visited where the clash shows, not always the one that clashes.
fn check_clash(path: &Path, others: &[Path]) -> Result<(), Problem> {
    for other in others {
        let Some(clash) = path.clash(other) else { continue };
        let common = path.rest.iter().zip(&other.rest).take_while(|(a, b)| a == b).count();
        let near = |candidate: &&Path, steps: Option<usize>| match steps {
            None => true,
            Some(steps) => candidate.root == path.root && candidate.rest.get(..steps) == path.rest.get(..steps),
        };
        let steps = match clash {
            Clash::Overlap => common.checked_sub(1),
            Clash::Conflict => Some(common),
        };
        let candidates: Vec<&Path> = others.iter().filter(|candidate| near(candidate, steps)).collect();
        let shown = visit::order(&candidates).first().and_then(|at| candidates.get(*at).copied()).unwrap_or(other);
        return Err(match clash {
            Clash::Overlap => Problem::Overlap(path.clone(), shown.clone()),
            Clash::Conflict => Problem::Conflict(path.clone(), shown.clone()),
        });
    }
    Ok(())
}

/// The paths of templates that must not clash. DynamoDB looks at them from the last to the first, and so names the
/// last clash or undefined placeholder.
pub(crate) fn bind_disjoint(templates: &[&PathTemplate], bindings: &mut Bindings) -> Result<Vec<Path>, Problem> {
    let mut reversed: Vec<Path> = Vec::with_capacity(templates.len());
    let mut failure = None;
    for template in templates.iter().rev() {
        match template.bind(bindings) {
            Ok(path) => reversed.push(path),
            Err(problem) => {
                failure = Some(problem);
                break;
            }
        }
    }
    if !are_disjoint(reversed.iter()) {
        for (at, path) in reversed.iter().enumerate() {
            check_clash(path, reversed.get(..at).unwrap_or_default())?;
        }
    }
    match failure {
        Some(problem) => Err(problem),
        None => {
            reversed.reverse();
            Ok(reversed)
        }
    }
}
