//! The order in which DynamoDB visits the paths of an expression where an error among several has to be chosen.
//!
//! DynamoDB Local keeps paths in a tree of Java hash maps and visits the children of a node bucket by bucket. The order
//! shows in two places only: which of an update's run-time errors is named, and which other path
//! a message about clashing paths shows. It is computed when there is such an error to report, never before.

use std::collections::HashMap;

use crate::path::{Element, Path};

/// The number of buckets that a Java hash map begins with.
const FIRST_BUCKETS: usize = 16;
/// What is added to the Java hash of a name or index before it is spread over buckets (measured against DynamoDB Local
/// as far as it decides among 16 buckets).
const HASH_OFFSET: u32 = 515_945;

/// The places of `paths` in the order in which they are visited. `paths` are in the order in which they entered the
/// tree, which is from the end of the text to its beginning.
pub(crate) fn order(paths: &[&Path]) -> Vec<usize> {
    let mut visited = Vec::with_capacity(paths.len());
    visit(paths, (0..paths.len()).collect(), 0, &mut visited);
    visited
}

/// The step that a path takes at this depth.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Step<'p> {
    Name(&'p str),
    Index(u32),
}

impl<'p> Step<'p> {
    fn of(path: &'p Path, depth: usize) -> Option<Self> {
        match depth.checked_sub(1) {
            None => Some(Self::Name(path.root())),
            Some(depth) => path.rest().get(depth).map(|element| match element {
                Element::Name(name) => Self::Name(name),
                Element::Index(index) => Self::Index(*index),
            }),
        }
    }

    /// The bucket of the step among this many, which are a power of two.
    fn bucket(self, buckets: usize) -> usize {
        let hash = match self {
            Self::Name(name) => {
                name.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
            }
            Self::Index(index) => index,
        };
        let hash = hash.wrapping_add(HASH_OFFSET);
        usize::try_from(hash ^ (hash >> 16)).unwrap_or_default() & (buckets - 1)
    }
}

/// Visits the paths in `group`, which agree in all steps before `depth`. Recursion ends with the longest path, after
/// 32 steps at most.
fn visit(paths: &[&Path], group: Vec<usize>, depth: usize, visited: &mut Vec<usize>) {
    let mut children: Vec<(Step<'_>, Vec<usize>)> = Vec::new();
    let mut places = HashMap::new();
    for at in group {
        match paths.get(at).and_then(|path| Step::of(path, depth)) {
            None => visited.push(at),
            Some(step) => {
                let place = *places.entry(step).or_insert(children.len());
                match children.get_mut(place) {
                    Some((_, group)) => group.push(at),
                    None => children.push((step, vec![at])),
                }
            }
        }
    }
    let mut buckets = FIRST_BUCKETS;
    while children.len() > buckets / 4 * 3 {
        buckets *= 2;
    }
    children.sort_by_key(|(step, _)| step.bucket(buckets));
    for (_, group) in children {
        visit(paths, group, depth + 1, visited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_visited_bucket_by_bucket() {
        let names = ["o", "foo", "a", "n", "x", "ns", "b", "h"].map(Path::top_level);
        let paths: Vec<&Path> = names.iter().collect();
        let visited: Vec<&str> = order(&paths).iter().map(|at| names[*at].root()).collect();
        // "foo", "x" and "h" share a bucket and stay in the order in which they entered it.
        assert_eq!(visited, ["n", "foo", "x", "h", "ns", "b", "a", "o"]);
    }

    #[test]
    fn every_path_is_visited_once() {
        let names: Vec<Path> = (0..100).map(|number| Path::top_level(&format!("name{number}"))).collect();
        let mut visited = order(&names.iter().collect::<Vec<_>>());
        visited.sort_unstable();
        assert!(visited.into_iter().eq(0..100));
    }
}
