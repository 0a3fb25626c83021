//! The parser of projection expressions.

use std::sync::Arc;

use super::Reader;
use crate::bindings::Bindings;
use crate::error::{Error, Kind, Problem};
use crate::path::{Path, PathTemplate, bind_disjoint};
use crate::token::TokenKind;

/// A parsed projection: free of any request's names, so that it can be shared.
#[derive(Debug)]
pub struct ParsedProjection {
    pub(crate) paths: Vec<PathTemplate>,
    /// All paths, when they have no placeholders and do not clash.
    pub(crate) literal_paths: Option<Arc<[Path]>>,
}

impl ParsedProjection {
    /// Parses the text of a `ProjectionExpression`.
    ///
    /// # Errors
    /// When the text breaks a rule that needs no names to be seen.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|problem| problem.of(Kind::Projection))
    }

    /// About how many bytes the parsed form keeps.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.paths.len() * 128
    }
}

fn parse(text: &str) -> Result<ParsedProjection, Problem> {
    let mut reader = Reader::of(text)?;
    loop {
        reader.path()?;
        if !reader.tokens.take_if(TokenKind::Comma) {
            break;
        }
    }
    reader.tokens.expect(TokenKind::End)?;
    reader.check(|_, _| None, None)?;
    let templates: Vec<&PathTemplate> = reader.paths.iter().collect();
    let literal_paths = match reader.literal_paths() {
        Some(_) => Some(bind_disjoint(&templates, &mut Bindings::none())?.into()),
        None => None,
    };
    Ok(ParsedProjection { paths: reader.paths, literal_paths })
}
