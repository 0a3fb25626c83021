//! Projections: which parts of an item a response carries.

use std::borrow::Cow;
use std::sync::Arc;

use partita_model::{AttributeMap, AttributeValue, Document};

use crate::bindings::Bindings;
use crate::error::{Error, Kind};
use crate::key::KeyNames;
use crate::parse::ParsedProjection;
use crate::path::{Element, Path, PathTemplate, bind_disjoint};

/// A set of paths that do not clash, ready to be applied to any number of items.
#[derive(Clone, Debug)]
pub struct Projection {
    paths: Arc<[Path]>,
    /// The paths as a tree, in the order of names and indexes.
    roots: Vec<(String, Branch)>,
}

/// What is projected of one value: all of it when there is no step on from here.
#[derive(Clone, Debug, Default)]
struct Branch(Vec<(Element, Branch)>);

impl Projection {
    /// Puts the request's names into a parsed projection.
    ///
    /// # Errors
    /// When a placeholder is undefined, a path has more than 32 elements, or two paths clash.
    pub fn bind(parsed: &Arc<ParsedProjection>, bindings: &mut Bindings) -> Result<Self, Error> {
        let paths = match &parsed.literal_paths {
            Some(paths) => Arc::clone(paths),
            None => {
                let templates: Vec<&PathTemplate> = parsed.paths.iter().collect();
                bind_disjoint(&templates, bindings).map_err(|problem| problem.of(Kind::Projection))?.into()
            }
        };
        Ok(Self::of(paths))
    }

    /// The projection onto paths that do not clash.
    pub(crate) fn of(paths: Arc<[Path]>) -> Self {
        let mut roots: Vec<(String, Branch)> = Vec::with_capacity(paths.len());
        let mut sorted: Vec<&Path> = paths.iter().collect();
        sorted.sort_unstable_by(|a, b| a.root().cmp(b.root()).then_with(|| a.rest().cmp(b.rest())));
        for path in sorted {
            if roots.last().is_none_or(|(name, _)| name != path.root()) {
                roots.push((path.root().to_owned(), Branch::default()));
            }
            let mut branch = roots.last_mut().map(|(_, branch)| branch);
            for element in path.rest() {
                branch = branch.and_then(|branch| branch.step(element));
            }
        }
        Self { paths, roots }
    }

    /// The projected part of an item; attributes that are not there are left out.
    #[must_use]
    pub fn apply<D: Document + ?Sized>(&self, document: &D) -> AttributeMap {
        let pairs = self.roots.iter().filter_map(|(name, branch)| {
            let value = document.attribute(name)?;
            Some((name.clone(), branch.of(value)?))
        });
        // The roots are in order and distinct.
        AttributeMap::from_pairs(pairs.collect()).unwrap_or_default()
    }

    /// Whether every path is a whole top-level attribute.
    #[must_use]
    pub fn is_top_level_only(&self) -> bool {
        self.roots.iter().all(|(_, branch)| branch.0.is_empty())
    }

    /// The names of the top-level attributes that are projected whole or in part: distinct and in byte order.
    pub fn top_level_names(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().map(|(name, _)| name.as_str())
    }

    /// The paths in the order of the text.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter()
    }

    /// Refuses a projection of parts of key attributes, which are scalars.
    ///
    /// # Errors
    /// For the first key that is used as a document.
    pub fn check_scalar_keys(&self, keys: &KeyNames<'_>) -> Result<(), Error> {
        keys.check_scalars(self.paths.iter())
    }
}

impl Branch {
    /// The branch for a step, which sorts after all steps taken from here before.
    fn step(&mut self, element: &Element) -> Option<&mut Self> {
        if self.0.last().is_none_or(|(last, _)| last != element) {
            self.0.push((element.clone(), Self::default()));
        }
        self.0.last_mut().map(|(_, branch)| branch)
    }

    /// The projected part of a value, if there is any. Recursion ends with the path: after 32 steps at most.
    fn of(&self, value: Cow<'_, AttributeValue>) -> Option<AttributeValue> {
        if self.0.is_empty() {
            return Some(value.into_owned());
        }
        match value.as_ref() {
            AttributeValue::M(map) => {
                let parts: AttributeMap = self
                    .0
                    .iter()
                    .filter_map(|(element, branch)| match element {
                        Element::Name(name) => Some((name.to_string(), branch.of(Cow::Borrowed(map.get(name)?))?)),
                        Element::Index(_) => None,
                    })
                    .collect();
                (!parts.is_empty()).then_some(AttributeValue::M(parts))
            }
            AttributeValue::L(list) => {
                let parts: Vec<AttributeValue> = self
                    .0
                    .iter()
                    .filter_map(|(element, branch)| match element {
                        Element::Index(index) => branch.of(Cow::Borrowed(list.get(usize::try_from(*index).ok()?)?)),
                        Element::Name(_) => None,
                    })
                    .collect();
                (!parts.is_empty()).then_some(AttributeValue::L(parts))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::{bindings, item, l, m, map, message, n, s};

    fn project(text: &str) -> Result<Projection, Error> {
        Projection::bind(&Arc::new(ParsedProjection::parse(text)?), &mut bindings())
    }

    #[test]
    fn parts_are_projected_in_their_order() {
        let last = || m(&[("q", n(1)), ("r", n(2))]);
        for (text, expected) in [
            ("n", map(&[("n", n(7))])),
            ("#n, s, absent", map(&[("n", n(7)), ("s", s("str"))])),
            ("absent", map(&[])),
            ("m.k", map(&[("m", m(&[("k", s("v"))]))])),
            ("m.absent", map(&[])),
            ("l[2], l[0]", map(&[("l", l(&[n(1), last()]))])),
            ("l[2].r, l[0], l[9]", map(&[("l", l(&[n(1), m(&[("r", n(2))])]))])),
            ("l[2].q, l[2].r", map(&[("l", l(&[last()]))])),
            ("m.l[2], m.l[0]", map(&[("m", m(&[("l", l(&[s("a"), s("c")]))]))])),
            ("l[1][0], n.x, s[0], m[0]", map(&[])),
            ("l.x", map(&[])),
        ] {
            assert_eq!(project(text).unwrap().apply(&item()), expected, "{text}");
        }
        assert!(project("n").unwrap().apply(&None::<AttributeMap>).is_empty());
    }

    #[test]
    fn names_of_top_level_attributes_are_sorted_and_distinct() {
        let projection = project("s, l[0], #n, l[1]").unwrap();
        assert!(!projection.is_top_level_only());
        assert!(projection.top_level_names().eq(["l", "n", "s"]));
        assert!(project("s, #n").unwrap().is_top_level_only());
    }

    #[test]
    fn errors_are_those_of_the_service() {
        let clash = |how: &str, one: &str, two: &str| {
            format!(
                "Two document paths {how} with each other; must remove or rewrite one of these paths; path one: {one}, path two: {two}"
            )
        };
        for (text, expected) in [
            ("", "The expression can not be empty;".to_owned()),
            ("a,", "Syntax error; token: \"<EOF>\", near: \",\"".to_owned()),
            ("a b", "Syntax error; token: \"b\", near: \"a b\"".to_owned()),
            ("(n)", "Syntax error; token: \"(\", near: \"(n\"".to_owned()),
            ("size(n)", "Syntax error; token: \"(\", near: \"size(n\"".to_owned()),
            ("m.*", "Syntax error; token: \"*\", near: \".*\"".to_owned()),
            ("a, name", "Attribute name is a reserved keyword; reserved keyword: name".to_owned()),
            (
                "n, n, #u",
                "An expression attribute name used in the document path is not defined; attribute name: #u".to_owned(),
            ),
            ("#u, n, n", clash("overlap", "[n]", "[n]")),
            ("n, #n", clash("overlap", "[n]", "[n]")),
            ("n, m, m.k", clash("overlap", "[m]", "[m, k]")),
            ("m.k, m", clash("overlap", "[m, k]", "[m]")),
            ("m.k, m[0]", clash("conflict", "[m, k]", "[m, [0]]")),
            ("m.k, m[0], m.k", clash("conflict", "[m, [0]]", "[m, k]")),
            ("l[2].q, l[2]", clash("overlap", "[l, [2], q]", "[l, [2]]")),
            ("a.x, a.y, a", clash("overlap", "[a, y]", "[a]")),
            ("a, b, a", clash("overlap", "[a]", "[b]")),
            ("a.x, a.y, a.x, n", clash("overlap", "[a, x]", "[a, y]")),
        ] {
            assert_eq!(message(project(text)), expected, "{text}");
        }
    }

    proptest! {
        /// Whether paths clash is found by sorting; here by comparing all pairs.
        #[test]
        fn clashes_are_found(paths in prop::collection::vec("[ab](\\.[ab]|\\[[01]\\]){0,3}", 1..6)) {
            let parts = |path: &str| -> Vec<String> {
                path.replace('[', ".[").split('.').map(str::to_owned).collect()
            };
            let clash = |a: &[String], b: &[String]| {
                for (a, b) in a.iter().zip(b) {
                    if a.starts_with('[') != b.starts_with('[') {
                        return true;
                    }
                    if a != b {
                        return false;
                    }
                }
                true
            };
            let split: Vec<Vec<String>> = paths.iter().map(|path| parts(path)).collect();
            let any = (0..split.len()).any(|i| (0..i).any(|j| clash(&split[i], &split[j])));
            prop_assert_eq!(project(&paths.join(", ")).is_err(), any);
        }
    }
}
