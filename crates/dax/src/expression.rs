//! Expressions: DAX's clients parse them and send trees, which are written here as the texts they came from.
//!
//! So expressions mean, cost and fail what they do over HTTP. A tree holds no placeholders of names any more, and values
//! by number; new placeholders are made, as short as can be, because the length of an expression is limited.

use crate::cbor::{Count, Malformed, Reader, major};
use crate::value;

/// The form of the encoding, which each expression begins with.
const FORMAT: i64 = 1;
/// The tag of a list's index in a path.
const TAG_INDEX: u64 = 3324;
/// The deepest nesting of a tree. Expressions may have 300 operators.
const MAX_DEPTH: usize = 320;
/// The longest text that is written. DynamoDB refuses longer ones than 4,096 bytes, in its own words.
const MAX_TEXT: usize = 16_384;
/// The most names and the most values of one request.
const MAX_PLACEHOLDERS: usize = 4_096;

const TOO_LONG: Malformed = Malformed("an expression is too long");

/// The functions of the trees, by their numbers.
mod function {
    pub const AND: i64 = 6;
    pub const OR: i64 = 7;
    pub const NOT: i64 = 8;
    pub const BETWEEN: i64 = 9;
    pub const IN: i64 = 10;
    pub const VARIABLE: i64 = 17;
    pub const PATH: i64 = 18;
    pub const SET: i64 = 19;
    pub const ADD: i64 = 20;
    pub const DELETE: i64 = 21;
    pub const REMOVE: i64 = 22;
    pub const PLUS: i64 = 25;
    pub const MINUS: i64 = 26;
}

/// How tightly something binds, from the loosest on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Tight,
}

/// One step of a document path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An attribute of an item or map.
    Name(String),
    /// An element of a list.
    Index(usize),
}

/// A document path; its first step is a name.
pub type Path = Vec<Step>;

/// The expressions of one request as they are written, with the names and values that stand in them.
#[derive(Debug, Default)]
pub struct Expressions {
    names: Vec<String>,
    /// Values as JSON.
    values: Vec<Vec<u8>>,
}

impl Expressions {
    /// The text of a condition, filter or key condition.
    ///
    /// # Errors
    /// When the bytes are no such expression.
    pub fn condition(&mut self, bytes: &[u8]) -> Result<String, Malformed> {
        self.with_variables(bytes, |writing, reader| writing.condition(reader, Binding::Or, 0))
    }

    /// The text of an update.
    ///
    /// # Errors
    /// When the bytes are no update.
    pub fn update(&mut self, bytes: &[u8]) -> Result<String, Malformed> {
        self.with_variables(bytes, |writing, reader| writing.update(reader))
    }

    fn with_variables(
        &mut self,
        bytes: &[u8],
        write: impl FnOnce(&mut Writing<'_>, &mut Reader<'_>) -> Result<(), Malformed>,
    ) -> Result<String, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.array_of(3)?;
        format(&mut reader)?;
        let first = self.values.len();
        let mut writing = Writing { text: String::new(), names: &mut self.names, first, variables: 0 };
        write(&mut writing, &mut reader)?;
        let Writing { text, variables, .. } = writing;
        let mut count = reader.array()?;
        while reader.more(&mut count)? {
            let mut json = Vec::new();
            value::to_json(&mut reader, &mut json)?;
            self.values.push(json);
            if self.values.len() > MAX_PLACEHOLDERS {
                return Err(TOO_LONG);
            }
        }
        if variables > self.values.len() - first {
            return Err(Malformed("an expression uses a value that it does not have"));
        }
        Ok(text)
    }

    /// The paths of a projection, in the order of the client, which is told values by their places in it.
    ///
    /// # Errors
    /// When the bytes are no projection.
    pub fn projection(bytes: &[u8]) -> Result<Vec<Path>, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.array_of(2)?;
        format(&mut reader)?;
        let mut count = reader.array()?;
        let mut paths = Vec::new();
        while reader.more(&mut count)? {
            let mut inner = reader.array()?;
            if !reader.more(&mut inner)? || reader.int()? != function::PATH {
                return Err(Malformed("a projection is made of paths"));
            }
            paths.push(path(&mut reader, &mut inner)?);
            if paths.len() > MAX_PLACEHOLDERS {
                return Err(TOO_LONG);
            }
        }
        Ok(paths)
    }

    /// The text that projects these paths.
    ///
    /// # Errors
    /// When it would be too long.
    pub fn paths(&mut self, paths: &[Path]) -> Result<String, Malformed> {
        let first = self.values.len();
        let mut writing = Writing { text: String::new(), names: &mut self.names, first, variables: 0 };
        for (at, path) in paths.iter().enumerate() {
            if at > 0 {
                writing.push(",")?;
            }
            writing.path(path)?;
        }
        Ok(writing.text)
    }

    /// The text that projects the attributes in which these paths begin, each once.
    ///
    /// # Errors
    /// When it would be too long.
    pub fn attributes(&mut self, paths: &[Path]) -> Result<String, Malformed> {
        let mut whole: Vec<Path> = Vec::with_capacity(paths.len());
        for first in paths.iter().filter_map(|path| path.first()) {
            if !whole.iter().any(|known| known.first() == Some(first)) {
                whole.push(vec![first.clone()]);
            }
        }
        self.paths(&whole)
    }

    /// The names with their placeholders.
    #[must_use]
    pub fn into_names(self) -> Vec<(String, String)> {
        self.names.into_iter().enumerate().map(|(at, name)| (placeholder('#', at), name)).collect()
    }

    /// Adds the names and values to a JSON object's members.
    pub fn write_members(&self, out: &mut Vec<u8>) {
        let mut object = |label: &str, prefix: char, length: usize, value: &dyn Fn(usize, &mut Vec<u8>)| {
            if length == 0 {
                return;
            }
            out.extend_from_slice(label.as_bytes());
            for at in 0..length {
                out.extend_from_slice(if at == 0 { b"{\"" } else { b",\"" });
                out.extend_from_slice(placeholder(prefix, at).as_bytes());
                out.extend_from_slice(b"\":");
                value(at, out);
            }
            out.push(b'}');
        };
        object(",\"ExpressionAttributeNames\":", '#', self.names.len(), &|at, out| {
            value::json_text(self.names.get(at).map_or("", String::as_str), out);
        });
        object(",\"ExpressionAttributeValues\":", ':', self.values.len(), &|at, out| {
            out.extend_from_slice(self.values.get(at).map_or(&[][..], Vec::as_slice));
        });
    }
}

fn format(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    if reader.int()? == FORMAT { Ok(()) } else { Err(Malformed("an expression is of an unknown form")) }
}

fn path(reader: &mut Reader<'_>, count: &mut Count) -> Result<Path, Malformed> {
    let mut steps = Vec::with_capacity(2);
    while reader.more(count)? {
        let step = if reader.major()? == major::TAG {
            let index =
                (reader.tag()? == TAG_INDEX).then_some(()).ok_or(Malformed("a path's step is a name or an index"));
            index?;
            Step::Index(usize::try_from(reader.int()?).map_err(|_| Malformed("an index is below zero"))?)
        } else {
            Step::Name(reader.text()?.into_owned())
        };
        steps.push(step);
        if steps.len() > MAX_DEPTH {
            return Err(TOO_LONG);
        }
    }
    match steps.first() {
        Some(Step::Name(_)) => Ok(steps),
        _ => Err(Malformed("a path begins with a name")),
    }
}

/// `#` or `:` and a number, as short as can be.
fn placeholder(prefix: char, number: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    let mut left = number;
    loop {
        digits.push(DIGITS.get(left % 36).copied().unwrap_or(b'0'));
        left /= 36;
        if left == 0 {
            break;
        }
    }
    std::iter::once(prefix).chain(digits.iter().rev().map(|digit| char::from(*digit))).collect()
}

/// A text that is being written.
struct Writing<'e> {
    text: String,
    names: &'e mut Vec<String>,
    /// How many values the expressions before have.
    first: usize,
    /// One more than the highest number of a value.
    variables: usize,
}

impl Writing<'_> {
    fn push(&mut self, text: &str) -> Result<(), Malformed> {
        self.text.push_str(text);
        if self.text.len() > MAX_TEXT { Err(TOO_LONG) } else { Ok(()) }
    }

    fn name(&mut self, name: &str) -> Result<(), Malformed> {
        // No reserved word has one letter.
        if matches!(name.as_bytes(), [b'A'..=b'Z' | b'a'..=b'z']) {
            return self.push(name);
        }
        let known = self.names.iter().position(|known| known == name);
        let at = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        if at >= MAX_PLACEHOLDERS {
            return Err(TOO_LONG);
        }
        self.push(&placeholder('#', at))
    }

    fn path(&mut self, path: &Path) -> Result<(), Malformed> {
        for (at, step) in path.iter().enumerate() {
            match step {
                Step::Name(name) => {
                    if at > 0 {
                        self.push(".")?;
                    }
                    self.name(name)?;
                }
                Step::Index(index) => self.push(&format!("[{index}]"))?,
            }
        }
        Ok(())
    }

    fn condition(&mut self, reader: &mut Reader<'_>, around: Binding, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(TOO_LONG);
        }
        let mut count = reader.array()?;
        if !reader.more(&mut count)? {
            return Err(Malformed("a condition names its function"));
        }
        let function = reader.int()?;
        let binding = match function {
            function::OR => Binding::Or,
            function::AND => Binding::And,
            function::NOT => Binding::Not,
            _ => Binding::Tight,
        };
        if binding < around {
            self.push("(")?;
        }
        match function {
            0..=5 => {
                let sign = ["=", "<>", "<", ">=", ">", "<="].get(usize::try_from(function).unwrap_or_default());
                self.next_operand(reader, &mut count, depth)?;
                self.push(sign.copied().unwrap_or_default())?;
                self.next_operand(reader, &mut count, depth)?;
            }
            function::AND | function::OR => {
                self.next_condition(reader, &mut count, binding, depth)?;
                self.push(if binding == Binding::And { " AND " } else { " OR " })?;
                self.next_condition(reader, &mut count, binding, depth)?;
            }
            function::NOT => {
                self.push("NOT ")?;
                self.next_condition(reader, &mut count, Binding::Not, depth)?;
            }
            function::BETWEEN => {
                self.next_operand(reader, &mut count, depth)?;
                self.push(" BETWEEN ")?;
                self.next_operand(reader, &mut count, depth)?;
                self.push(" AND ")?;
                self.next_operand(reader, &mut count, depth)?;
            }
            function::IN => {
                self.next_operand(reader, &mut count, depth)?;
                self.push(" IN(")?;
                if !reader.more(&mut count)? {
                    return Err(MISSING);
                }
                let mut list = reader.array()?;
                self.list(reader, &mut list, depth)?;
            }
            named => self.call(named, reader, &mut count, depth)?,
        }
        if reader.more(&mut count)? {
            return Err(Malformed("a function has too many arguments"));
        }
        if binding < around {
            self.push(")")?;
        }
        Ok(())
    }

    fn next_condition(
        &mut self,
        reader: &mut Reader<'_>,
        count: &mut Count,
        around: Binding,
        depth: usize,
    ) -> Result<(), Malformed> {
        if !reader.more(count)? {
            return Err(MISSING);
        }
        self.condition(reader, around, depth + 1)
    }

    fn next_operand(&mut self, reader: &mut Reader<'_>, count: &mut Count, depth: usize) -> Result<(), Malformed> {
        if !reader.more(count)? {
            return Err(MISSING);
        }
        self.operand(reader, depth + 1)
    }

    fn operand(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(TOO_LONG);
        }
        let mut count = reader.array()?;
        if !reader.more(&mut count)? {
            return Err(Malformed("an operand names its function"));
        }
        match reader.int()? {
            function::PATH => {
                let path = path(reader, &mut count)?;
                return self.path(&path);
            }
            function::VARIABLE => {
                if !reader.more(&mut count)? {
                    return Err(MISSING);
                }
                let number = usize::try_from(reader.int()?).ok().filter(|number| *number < MAX_PLACEHOLDERS);
                let number = number.ok_or(Malformed("there are not so many values"))?;
                self.variables = self.variables.max(number + 1);
                self.push(&placeholder(':', self.first + number))?;
            }
            function @ (function::PLUS | function::MINUS) => {
                self.next_operand(reader, &mut count, depth)?;
                self.push(if function == function::PLUS { "+" } else { "-" })?;
                self.next_operand(reader, &mut count, depth)?;
            }
            named => self.call(named, reader, &mut count, depth)?,
        }
        if reader.more(&mut count)? {
            return Err(Malformed("a function has too many arguments"));
        }
        Ok(())
    }

    fn call(
        &mut self,
        function: i64,
        reader: &mut Reader<'_>,
        count: &mut Count,
        depth: usize,
    ) -> Result<(), Malformed> {
        self.push(match function {
            11 => "attribute_exists(",
            12 => "attribute_not_exists(",
            13 => "attribute_type(",
            14 => "begins_with(",
            15 => "contains(",
            16 => "size(",
            23 => "if_not_exists(",
            24 => "list_append(",
            _ => return Err(Malformed("there is no such function")),
        })?;
        self.list(reader, count, depth)
    }

    /// What is left of a list of operands, and the parenthesis behind it.
    fn list(&mut self, reader: &mut Reader<'_>, count: &mut Count, depth: usize) -> Result<(), Malformed> {
        let mut separator = "";
        while reader.more(count)? {
            self.push(separator)?;
            self.operand(reader, depth + 1)?;
            separator = ",";
        }
        self.push(")")
    }

    fn update(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        const CLAUSES: [(i64, &str); 4] = [
            (function::SET, "SET "),
            (function::REMOVE, "REMOVE "),
            (function::ADD, "ADD "),
            (function::DELETE, "DELETE "),
        ];
        let actions = *reader;
        for (clause, keyword) in CLAUSES {
            *reader = actions;
            let mut count = reader.array()?;
            let mut separator = keyword;
            while reader.more(&mut count)? {
                let action = *reader;
                let mut inner = reader.array()?;
                if !reader.more(&mut inner)? {
                    return Err(Malformed("an action names its clause"));
                }
                let found = reader.int()?;
                if !CLAUSES.iter().any(|(known, _)| *known == found) {
                    return Err(Malformed("there is no such clause"));
                }
                if found != clause {
                    *reader = action;
                    reader.skip()?;
                    continue;
                }
                if separator == keyword && !self.text.is_empty() {
                    self.push(" ")?;
                }
                self.push(separator)?;
                self.next_operand(reader, &mut inner, 0)?;
                if clause != function::REMOVE {
                    self.push(if clause == function::SET { "=" } else { " " })?;
                    self.next_operand(reader, &mut inner, 0)?;
                }
                if reader.more(&mut inner)? {
                    return Err(Malformed("an action has too many operands"));
                }
                separator = ",";
            }
        }
        Ok(())
    }
}

const MISSING: Malformed = Malformed("a function has too few arguments");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn conditions_of_the_official_client_are_written_again() {
        for (encoded, text) in CONDITIONS {
            assert_eq!(Expressions::default().condition(&hex(encoded)).unwrap(), *text);
        }
    }

    #[test]
    fn updates_of_the_official_client_are_written_again() {
        for (encoded, text) in UPDATES {
            assert_eq!(Expressions::default().update(&hex(encoded)).unwrap(), *text);
        }
    }

    /// Encoded by the Python client 2.1.0.
    const CONDITIONS: &[(&str, &str)] = &[
        ("830183008212646e616d658211008101", "#0=:0"),
        (
            "83018306830082126161821100830683078300821261628211018208830f851261786179d90cfc0263612e62821101830482108212617a82110283016178c482201819",
            "a=:0 AND (b=:1 OR NOT contains(x.y[2].#0,:1)) AND size(z)>:2",
        ),
        ("83018208830783008212616182110083008212616282110182016178", "NOT (a=:0 OR b=:1)"),
        (
            "83018307840982126161821100821101830a82126161838211008211028211018301c4822018196178",
            "a BETWEEN :0 AND :1 OR a IN(:0,:2,:1)",
        ),
        (
            "83018306820b821263612e628306820c821261718306830d82126172821100830e82126173821100816178",
            "attribute_exists(#0) AND attribute_not_exists(q) AND attribute_type(r,:0) AND begins_with(s,:0)",
        ),
        (
            "830183068301821261618211008306830282126161821100830683058212616182110083068304821261618211008303821261618211008101",
            "a<>:0 AND a<:0 AND a<=:0 AND a>:0 AND a>=:0",
        ),
    ];
    const UPDATES: &[(&str, &str)] = &[
        (
            "83018683138212646e616d65821100831382126162831819831782126162821100821101821682126171821683126172d90cfc008314821261638211008315821261648211028301c4822018196178",
            "SET #0=:0,b=if_not_exists(b,:0)+:1 REMOVE q,r[0] ADD c :0 DELETE d :2",
        ),
        (
            "83018283138212616c8318188212616c82110083138212616d83181a8212616e82110182617801",
            "SET l=list_append(l,:0),m=n-:1",
        ),
        ("83018182168212616180", "REMOVE a"),
    ];

    #[test]
    fn nesting_beyond_the_bound_is_refused() {
        let mut bytes = vec![0x83, 1];
        bytes.extend([0x82, 8].repeat(100_000));
        assert!(Expressions::default().condition(&bytes).is_err());
        let mut bytes = vec![0x83, 1];
        bytes.extend([0x82, 16].repeat(100_000));
        assert!(Expressions::default().condition(&bytes).is_err());
    }

    #[test]
    fn placeholders_are_short_and_never_twice_the_same() {
        let made: std::collections::HashSet<String> = (0..2000).map(|number| placeholder('#', number)).collect();
        assert_eq!(made.len(), 2000);
        assert_eq!(placeholder(':', 35), ":z");
        assert_eq!(placeholder(':', 36), ":10");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_expression_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let framed = [&[0x83, 1][..], &bytes].concat();
            let _ = Expressions::default().condition(&framed);
            let _ = Expressions::default().update(&framed);
            let _ = Expressions::projection(&[&[0x82, 1][..], &bytes].concat());
        }
    }
}
