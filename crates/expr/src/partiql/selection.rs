//! Select lists: what a SELECT returns of each item, and under which names.

use std::borrow::Cow;
use std::sync::Arc;

use partita_model::{AttributeMap, Document};

use super::error::Error;
use super::paths;
use super::tree::{Item, ProjectionNode, Tree};
use crate::bindings::Bindings;
use crate::error::Problem;
use crate::path::{Path, PathTemplate, bind_disjoint};
use crate::projection::Projection;

/// The paths of a select list. What a nested path leads to is returned at the top, under the path's last name.
#[derive(Clone, Debug)]
pub struct Selection {
    columns: Vec<(String, Path)>,
    projection: Projection,
}

impl Selection {
    /// The selection of a select list; `None` for `*`.
    pub(super) fn of(tree: &Tree, projection: &ProjectionNode) -> Result<Option<Self>, Error> {
        let ProjectionNode::List(items) = projection else { return Ok(None) };
        let mut templates: Vec<PathTemplate> = Vec::with_capacity(items.len());
        for item in items {
            let Item::Expression { node, aliased } = item else {
                return Err(Error::unsupported("Changing item's hierarchy while reading isn't supported"));
            };
            if *aliased {
                return Err(Error::unsupported("Aliasing is not supported"));
            }
            templates.push(paths::path(tree, *node)?.ok_or_else(|| paths::unexpected(tree, *node))?);
        }
        let names: Vec<String> = templates.iter().map(paths::returned_name).collect();
        if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|n| n == *name))
        {
            return Err(Error::unsupported(format!("Duplicate identifiers in select clause: {twice}")));
        }
        let disjoint = bind_disjoint(&templates.iter().collect::<Vec<_>>(), &mut Bindings::none());
        let paths = disjoint.map_err(|problem: Problem| Error::of_problem(problem))?;
        let mut roots: Vec<&str> = paths.iter().map(Path::root).collect();
        roots.sort_unstable();
        roots.dedup();
        let roots: Arc<[Path]> = roots.into_iter().map(Path::top_level).collect();
        Ok(Some(Self { projection: Projection::of(roots), columns: names.into_iter().zip(paths).collect() }))
    }

    /// The top-level attributes to read.
    #[must_use]
    pub fn attributes(&self) -> &Projection {
        &self.projection
    }

    /// The names of the top-level attributes to read, in the order of the text; a name may come more than once.
    pub fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(_, path)| path.root())
    }

    /// The paths of the list.
    pub fn paths(&self) -> impl Iterator<Item = &Path> + Clone {
        self.columns.iter().map(|(_, path)| path)
    }

    /// Whether an item's attributes are returned just as they are.
    #[must_use]
    pub fn is_top_level_only(&self) -> bool {
        self.paths().all(Path::is_top_level)
    }

    /// What is returned of an item.
    #[must_use]
    pub fn apply<D: Document + ?Sized>(&self, document: &D) -> AttributeMap {
        let columns = self.columns.iter();
        columns.filter_map(|(name, path)| Some((name.clone(), Cow::into_owned(path.resolve(document)?)))).collect()
    }
}
