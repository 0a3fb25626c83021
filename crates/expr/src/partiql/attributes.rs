//! Which attributes a statement names: what authorization by attributes judges. It needs no table.

use partita_model::AttributeValue;
use partita_model::schema::KeySchema;

use super::condition::condition;
use super::error::Error;
use super::selection::Selection;
use super::statement::{Keys, Statement, StatementKind};
use super::tree::Node;
use super::update::update;
use crate::key::KeyNames;
use crate::path::Path;

impl Statement {
    /// The top-level attributes that the statement reads, writes or compares with, each once and in the order of their
    /// names; a `*` names none.
    ///
    /// # Errors
    /// When the statement breaks a rule, as it would when it is bound.
    pub fn attributes(&self, parameters: &[AttributeValue]) -> Result<Vec<String>, Error> {
        let values = self.values(parameters)?;
        let mut names: Vec<String> = Vec::new();
        let mut add = |path: &Path| names.push(path.root().to_owned());
        let mut clause = None;
        if let Some(select) = self.select_node() {
            if let Some(selection) = Selection::of(values.tree, &select.projection)? {
                selection.paths().for_each(&mut add);
            }
            clause = select.condition;
            for sort in select.order.iter().flatten() {
                if let Node::Name(name) = values.tree.node(sort.node) {
                    add(&Path::top_level(name));
                }
            }
        } else if let Some(dml) = self.dml() {
            clause = dml.condition;
            match self.kind() {
                StatementKind::Insert => {
                    let schema = KeySchema { partition: Vec::new(), sort: Vec::new() };
                    let keys = Keys { schema: &schema, names: KeyNames { table: &[], indexes: &[] } };
                    let item = self.insert(&keys, parameters)?;
                    item.iter().for_each(|(name, _)| add(&Path::top_level(name)));
                }
                StatementKind::Update => {
                    let update = update(values, &dml.operations)?;
                    update.paths_written().chain(update.paths_read()).for_each(&mut add);
                }
                _ => {}
            }
        }
        if let Some(clause) = clause {
            condition(values, clause, None)?.paths().for_each(&mut add);
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use partita_model::Number;

    use super::*;

    #[test]
    fn every_place_of_a_statement_names_attributes() {
        let parameters = [AttributeValue::N(Number::from(1_u64)), AttributeValue::N(Number::from(2_u64))];
        for (text, expected) in [
            ("SELECT * FROM Music", ""),
            ("SELECT a, b.c[0].d, \"e f\" FROM Music", "a b e f"),
            ("SELECT a['x'] FROM \"Music\".\"by-b\" WHERE \"g\".h = 1 AND begins_with(i, 's')", "a g i"),
            ("SELECT a FROM Music WHERE pk = 1 AND (b IN [1, 2] OR NOT c BETWEEN 1 AND 2)", "a b c pk"),
            ("SELECT a FROM Music WHERE pk = ? ORDER BY sk DESC", "a pk sk"),
            ("SELECT a FROM Music WHERE b IS MISSING AND contains(c, 'x') AND size(d) > 2", "a b c d"),
            ("INSERT INTO Music VALUE {'pk': ?, 'Secret': {'inner': 1}}", "Secret pk"),
            ("UPDATE Music SET a.b = 1 SET c = d + 1 REMOVE e[1] WHERE pk = 1 AND f = 2", "a c d e f pk"),
            ("UPDATE Music SET a = list_append(b, [1]) SET c = if_not_exists(d, 1) WHERE pk = 1", "a b c d pk"),
            ("DELETE FROM Music WHERE pk = 1 AND x.y = 2", "pk x"),
            ("EXISTS(SELECT * FROM Music WHERE pk = 1 AND x = 2)", "pk x"),
        ] {
            let statement = Statement::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let names = statement.attributes(&parameters).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(names.join(" "), expected, "{text}");
        }
    }
}
