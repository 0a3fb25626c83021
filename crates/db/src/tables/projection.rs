//! What an index carries besides its keys: the rules of `Projection`.

use std::collections::HashSet;

use partita_model::Refusal;

use super::keys::invalid;
use crate::limits::MAX_PROJECTED_ATTRIBUTES;
use crate::record::Projected;

/// A `ProjectionType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectionKind {
    /// `ALL`.
    All,
    /// `KEYS_ONLY`.
    KeysOnly,
    /// `INCLUDE`.
    Include,
}

/// A `Projection` as a request gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectionDefinition {
    /// The kind, which has no default.
    pub kind: Option<ProjectionKind>,
    /// `NonKeyAttributes`.
    pub attributes: Option<Vec<String>>,
}

impl ProjectionDefinition {
    /// What the index will carry.
    ///
    /// # Errors
    /// `ValidationException` when kind and attributes do not fit.
    pub(super) fn check(&self) -> Result<Projected, Refusal> {
        let specified =
            |kind: &str| invalid(format_args!("ProjectionType is {kind}, but NonKeyAttributes is specified"));
        match (self.kind, &self.attributes) {
            (None, _) => Err(invalid("Unknown ProjectionType: null")),
            (Some(ProjectionKind::All), Some(_)) => Err(specified("ALL")),
            (Some(ProjectionKind::KeysOnly), Some(_)) => Err(specified("KEYS_ONLY")),
            (Some(ProjectionKind::Include), None) => {
                Err(invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"))
            }
            (Some(ProjectionKind::All), None) => Ok(Projected::All),
            (Some(ProjectionKind::KeysOnly), None) => Ok(Projected::KeysOnly),
            (Some(ProjectionKind::Include), Some(names)) => {
                let mut seen = HashSet::new();
                if let Some(name) = names.iter().find(|name| !seen.insert(*name)) {
                    return Err(invalid(format_args!("Duplicate element in NonKeyAttributes: {name}")));
                }
                // The service describes them sorted.
                let mut names = names.clone();
                names.sort_unstable();
                Ok(Projected::Include(names))
            }
        }
    }
}

/// Refuses more included attributes than a table's indexes may have together.
pub(super) fn check_total<'a>(projections: impl IntoIterator<Item = &'a Projected>) -> Result<(), Refusal> {
    let included = |projection: &Projected| match projection {
        Projected::Include(names) => names.len(),
        Projected::All | Projected::KeysOnly => 0,
    };
    if projections.into_iter().map(included).sum::<usize>() <= MAX_PROJECTED_ATTRIBUTES {
        return Ok(());
    }
    Err(invalid(format_args!(
        "Total number of NonKeyAttributes over all indexes exceeds the per-table limit of {MAX_PROJECTED_ATTRIBUTES}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projections_name_attributes_only_to_include_them() {
        use ProjectionKind::{All, Include, KeysOnly};
        for (kind, attributes, expected) in [
            (Some(All), None, "ok"),
            (Some(KeysOnly), None, "ok"),
            (Some(Include), Some("a,b"), "ok"),
            (None, None, "Unknown ProjectionType: null"),
            (None, Some("a"), "Unknown ProjectionType: null"),
            (Some(All), Some("a"), "ProjectionType is ALL, but NonKeyAttributes is specified"),
            (Some(KeysOnly), Some("a"), "ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified"),
            (Some(Include), None, "ProjectionType is INCLUDE, but NonKeyAttributes is not specified"),
            (Some(Include), Some("x,y,x"), "Duplicate element in NonKeyAttributes: x"),
        ] {
            let attributes = attributes.map(|names: &str| names.split(',').map(str::to_owned).collect());
            let definition = ProjectionDefinition { kind, attributes };
            let message = match definition.check() {
                Ok(_) => "ok".to_owned(),
                Err(refusal) => refusal.message.strip_prefix(super::super::keys::INVALID).unwrap().to_owned(),
            };
            assert_eq!(message, expected, "{definition:?}");
        }
    }

    #[test]
    fn included_attributes_are_kept_sorted() {
        let definition = ProjectionDefinition {
            kind: Some(ProjectionKind::Include),
            attributes: Some(vec!["z".into(), "a".into()]),
        };
        assert_eq!(definition.check(), Ok(Projected::Include(vec!["a".into(), "z".into()])));
    }

    #[test]
    fn all_indexes_together_include_a_hundred_attributes() {
        let twenty = Projected::Include((0..20).map(|n| n.to_string()).collect());
        assert_eq!(check_total([&twenty; 5]), Ok(()));
        assert!(check_total([&twenty; 6]).is_err());
    }
}
