//! The parser of condition, filter and key-condition expressions.

use std::sync::Arc;

use super::{Function, Mention, Node, Operand, Reader};
use crate::error::{Error, Kind, Problem};
use crate::path::{Path, PathTemplate};
use crate::token::TokenKind;

/// A parsed condition, filter or key condition: free of any request's names and values, so that it can be shared.
#[derive(Debug)]
pub struct ParsedCondition {
    pub(crate) kind: Kind,
    pub(crate) nodes: Vec<Node>,
    pub(crate) paths: Vec<PathTemplate>,
    pub(crate) values: Vec<Box<str>>,
    /// All paths, when they have no placeholders.
    pub(crate) literal_paths: Option<Arc<[Path]>>,
}

impl ParsedCondition {
    /// Parses the text of the parameter `kind`: `Kind::Condition`, `Kind::Filter` or `Kind::KeyCondition`.
    ///
    /// # Errors
    /// When the text breaks a rule that needs no names or values to be seen.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, Error> {
        parse(kind, text).map_err(|problem| problem.of(kind))
    }

    /// About how many bytes the parsed form keeps.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.nodes.len() * size_of::<Node>() + self.paths.len() * 128 + self.values.len() * 32
    }
}

fn parse(kind: Kind, text: &str) -> Result<ParsedCondition, Problem> {
    let mut parser = ConditionParser { reader: Reader::of(text)?, open: Vec::new(), steps: 0 };
    parser.read()?;
    let mut reader = parser.reader;
    reader.check(
        |function, as_operand| match function {
            _ if function.is_of_updates() => Some(Problem::NotInCondition(function.name())),
            Function::Size if !as_operand => Some(Problem::MisusedFunction(function.name())),
            Function::Size => None,
            _ if as_operand => Some(Problem::MisusedFunction(function.name())),
            _ => None,
        },
        None,
    )?;
    let literal_paths = reader.literal_paths();
    Ok(ParsedCondition { kind, nodes: reader.nodes, paths: reader.paths, values: reader.values, literal_paths })
}

struct ConditionParser<'t> {
    reader: Reader<'t>,
    open: Vec<Open>,
    /// How many steps evaluation has so far: a test, a NOT, or the jump of an AND or OR.
    steps: usize,
}

/// What waits for a condition to be complete.
enum Open {
    Parenthesis,
    Not {
        start: usize,
    },
    /// AND or OR, whose jump is the node at this place.
    Binary {
        is_and: bool,
        jump: usize,
    },
}

/// What has been read last.
#[derive(Clone, Copy)]
struct Item {
    what: What,
    parenthesized: bool,
    /// The step at which it begins.
    start: usize,
}

#[derive(Clone, Copy)]
enum What {
    Operand,
    /// A function, by its mention: an operand or a condition.
    Call(usize),
    Condition,
}

impl ConditionParser<'_> {
    fn read(&mut self) -> Result<(), Problem> {
        loop {
            let item = self.primary()?;
            if !self.after(item)? {
                return Ok(());
            }
        }
    }

    /// Reads NOTs and opening parentheses, and the operand after them.
    fn primary(&mut self) -> Result<Item, Problem> {
        loop {
            match self.reader.tokens.peek() {
                TokenKind::Not => {
                    self.reader.operators += 1;
                    self.open.push(Open::Not { start: self.steps });
                }
                TokenKind::Open => self.open.push(Open::Parenthesis),
                _ => break,
            }
            self.reader.tokens.take();
        }
        let start = self.steps;
        let operand = self.reader.operand(false)?;
        let what = operand.call.map_or(What::Operand, What::Call);
        if let What::Call(mention) = what
            && !matches!(self.reader.mentions.get(mention), Some(Mention::Call { function: Function::Size, .. }))
        {
            self.steps += 1;
        }
        Ok(Item { what, parenthesized: operand.parenthesized, start })
    }

    /// Reads on after an item: to the next AND or OR (true), or to the end (false).
    fn after(&mut self, mut item: Item) -> Result<bool, Problem> {
        loop {
            if !matches!(item.what, What::Operand) {
                self.reader.check_parentheses()?;
            }
            match self.reader.tokens.peek() {
                TokenKind::Comparator(_) | TokenKind::Between | TokenKind::In
                    if !matches!(item.what, What::Condition) =>
                {
                    item = self.comparison(item)?;
                }
                TokenKind::And | TokenKind::Or if !matches!(item.what, What::Operand) => {
                    let is_and = self.reader.tokens.peek() == TokenKind::And;
                    let start = self.complete(item.start, is_and);
                    self.reader.tokens.take();
                    self.reader.operators += 1;
                    self.open.push(Open::Binary { is_and, jump: self.reader.nodes.len() });
                    self.push_step(Node::Jump { when: !is_and, start, target: 0 });
                    return Ok(true);
                }
                TokenKind::Close if matches!(self.open.last(), Some(Open::Parenthesis)) => {
                    self.reader.tokens.take();
                    self.open.pop();
                    self.reader.has_redundant_parentheses |= item.parenthesized;
                    item.parenthesized = true;
                }
                TokenKind::Close if !matches!(item.what, What::Operand) => {
                    let start = self.complete(item.start, false);
                    if self.open.is_empty() {
                        return Err(self.reader.tokens.unexpected());
                    }
                    item = Item { what: What::Condition, parenthesized: false, start };
                }
                TokenKind::End if !matches!(item.what, What::Operand) => {
                    self.complete(item.start, false);
                    if !self.open.is_empty() {
                        return Err(self.reader.tokens.unexpected());
                    }
                    return Ok(false);
                }
                _ => return Err(self.reader.tokens.unexpected()),
            }
        }
    }

    /// Reads a comparison whose left operand has been read.
    fn comparison(&mut self, left: Item) -> Result<Item, Problem> {
        let call = match left.what {
            What::Call(mention) => Some(mention),
            What::Operand | What::Condition => None,
        };
        self.reader.is_operand(Operand { call, parenthesized: left.parenthesized });
        self.reader.check_parentheses()?;
        self.reader.operators += 1;
        let kind = self.reader.tokens.peek();
        self.reader.tokens.take();
        let node = match kind {
            TokenKind::Comparator(comparator) => {
                self.reader.operand(true)?;
                Node::Compare(comparator)
            }
            TokenKind::Between => {
                self.reader.operand(true)?;
                self.reader.tokens.expect(TokenKind::And)?;
                self.reader.operand(true)?;
                Node::Between
            }
            _ => {
                self.reader.tokens.expect(TokenKind::Open)?;
                let mut operands = 0;
                loop {
                    self.reader.operand(true)?;
                    operands += 1;
                    if !self.reader.tokens.take_if(TokenKind::Comma) {
                        break;
                    }
                }
                self.reader.tokens.expect(TokenKind::Close)?;
                Node::In(operands)
            }
        };
        self.push_step(node);
        Ok(Item { what: What::Condition, parenthesized: false, start: left.start })
    }

    /// Closes what a condition that begins at step `start` completes: NOT and AND, and OR unless an AND follows.
    /// Gives the step at which the result begins.
    fn complete(&mut self, mut start: usize, and_follows: bool) -> usize {
        loop {
            match self.open.last() {
                Some(Open::Not { start: of_not }) => {
                    start = *of_not;
                    self.push_step(Node::Not { start });
                }
                Some(Open::Binary { is_and, jump }) if *is_and || !and_follows => {
                    let steps = self.steps;
                    if let Some(Node::Jump { start: of_left, target, .. }) = self.reader.nodes.get_mut(*jump) {
                        *target = steps;
                        start = *of_left;
                    }
                }
                _ => return start,
            }
            self.open.pop();
        }
    }

    fn push_step(&mut self, node: Node) {
        self.reader.nodes.push(node);
        self.steps += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::{ParsedProjection, ParsedUpdate};
    use crate::sample::{bindings, condition, item, message};
    use crate::{Projection, Update};

    fn check(text: &str) -> String {
        message(ParsedCondition::parse(Kind::Condition, text))
    }

    #[test]
    fn syntax_errors_name_the_first_token_that_fits_nowhere() {
        let cases = [
            (" ", "<EOF>", " "),
            ("a", "<EOF>", "a"),
            ("a  ", "<EOF>", "a  "),
            (" < f(a)", "<", " < f"),
            ("a x b", "x", "a x b"),
            ("a\tx\nb", "x", "a\tx\nb"),
            ("a =", "<EOF>", "="),
            ("a = = b", "=", "= = b"),
            ("a = :n b", "b", ":n b"),
            ("a == b", "=", "== b"),
            ("a != b", "!", "a !="),
            ("a >< b", "<", ">< b"),
            ("a = b AND", "<EOF>", "AND"),
            ("AND a = b", "AND", "AND a"),
            ("a AND b", "AND", "a AND b"),
            ("NOT a", "<EOF>", "a"),
            ("a = NOT b", "NOT", "= NOT b"),
            ("(a)", "<EOF>", ")"),
            ("a)", ")", "a)"),
            ("(a = b", "<EOF>", "b"),
            ("(a).b = c", ".", ").b"),
            ("()", ")", "()"),
            ("size() = :n", ")", "() ="),
            ("f(a,)", ")", ",)"),
            ("f(a = b)", "=", "a = b"),
            ("contains((a = b), c)", "=", "a = b"),
            ("foo.bar(a)", "(", "bar(a"),
            ("#f(a)", "(", "#f(a"),
            ("a IN :n", ":n", "IN :n"),
            ("a IN ()", ")", "()"),
            ("a IN (b", "<EOF>", "b"),
            ("a NOT IN (b)", "NOT", "a NOT IN"),
            ("a BETWEEN b OR c", "OR", "b OR c"),
            ("a[b]", "b", "[b]"),
            ("a[-1] = b", "-", "[-1"),
            ("a[01] = b", "1", "01]"),
            ("a[0] b = c", "b", "] b ="),
            ("a..b = c", ".", "..b"),
            ("_a = b", "_", "_a"),
            ("1 = a", "1", "1 ="),
            ("a-b = c", "-", "a-b"),
            ("a = :", ":", "= :"),
            ("# = b", "#", "# ="),
            ("a = \"b\"", "\"", "= \"b"),
            ("\u{e9} = b", "\u{e9}", "\u{e9} ="),
            ("set = :n", "set", "set ="),
            ("a.in = b", "in", ".in ="),
        ];
        for (text, token, near) in cases {
            let expected = format!("Syntax error; token: \"{token}\", near: \"{near}\"");
            assert_eq!(check(text), expected, "{text}");
        }
    }

    #[test]
    fn parentheses_directly_within_parentheses_are_redundant() {
        for text in
            ["((a = b))", "((a)) = b", "a = ((b))", "a IN ((b), ((c)))", "((foo(a)))", "a = ((b)) c", "((a = b)) c"]
        {
            assert_eq!(check(text), "The expression has redundant parentheses;", "{text}");
        }
        for text in ["(a) = (b)", "((a = b) AND (c = d))", "NOT (NOT (a = b))", "contains((a), (b))", "(size(a)) = b"] {
            assert_eq!(check(text), "ok", "{text}");
        }
        assert_eq!(check("((a)) b"), "Syntax error; token: \"b\", near: \") b\"");
    }

    #[test]
    fn checks_of_a_text_come_in_the_order_of_the_service() {
        let misused = "The function is not allowed to be used this way in an expression; function: ";
        let cases = [
            ("foo(a) AND ((a = b))", "The expression has redundant parentheses;".to_owned()),
            ("foo(a) AND name = b", "Invalid function name; function: foo".to_owned()),
            ("ATTRIBUTE_EXISTS(a)", "Invalid function name; function: ATTRIBUTE_EXISTS".to_owned()),
            ("name = b AND foo(a)", "Attribute name is a reserved keyword; reserved keyword: name".to_owned()),
            ("a.b.NAME = :n", "Attribute name is a reserved keyword; reserved keyword: NAME".to_owned()),
            ("size(name)", format!("{misused}size")),
            ("attribute_exists(a) AND size(b)", format!("{misused}size")),
            ("(size(a))", format!("{misused}size")),
            ("attribute_exists(a) = b", format!("{misused}attribute_exists")),
            ("a = attribute_exists(b)", format!("{misused}attribute_exists")),
            ("attribute_exists(attribute_exists(a))", format!("{misused}attribute_exists")),
            (
                "if_not_exists(a, b)",
                "The function is not allowed in a condition expression; function: if_not_exists".to_owned(),
            ),
            ("a[2147483648] = b", "List index is not within the allowable range; index: [2147483648]".to_owned()),
            ("a[2147483647] = b", "ok".to_owned()),
        ];
        for (text, expected) in cases {
            assert_eq!(check(text), expected, "{text}");
        }
    }

    #[test]
    fn size_is_limited_to_4096_bytes() {
        let text = |bytes: usize| format!("{} = :n", "a".repeat(bytes - 5));
        assert_eq!(check(&text(4_096)), "ok");
        let expected = "Expression size has exceeded the maximum allowed size; expression size: 4097";
        assert_eq!(check(&text(4_097)), expected);
        assert_eq!(check(""), "The expression can not be empty;");
    }

    #[test]
    fn operators_and_functions_are_limited_to_300() {
        let ors = |leaves: usize, leaf: &str| vec![leaf; leaves].join(" OR ");
        let too_many = "The expression contains too many operators; operator count: 301";
        assert_eq!(check(&ors(150, "a=:n")), "ok");
        assert_eq!(check(&ors(151, "a=:n")), too_many);
        assert_eq!(check(&ors(100, "size(a)=:n")), "ok");
        assert_eq!(check(&ors(101, "size(a)=:n")), too_many);
        assert_eq!(check(&format!("{}a=:n", "NOT ".repeat(299))), "ok");
        assert_eq!(check(&format!("{}a=:n", "NOT ".repeat(300))), too_many);
        assert_eq!(check(&ors(120, "a.b[0]=:n")), "ok");
    }

    #[test]
    fn deep_nesting_gets_an_error() {
        let deep = |open: &str, times: usize| format!("{}a=:n{}", open.repeat(times), ")".repeat(times));
        assert_eq!(check(&deep("(", 2_000)), "The expression has redundant parentheses;");
        assert_eq!(check(&"(".repeat(4_000)), "Syntax error; token: \"<EOF>\", near: \"(\"");
        assert_eq!(check(&deep("f(", 1_000)), "Syntax error; token: \"=\", near: \"a=:n\"");
        assert_eq!(check(&deep("NOT(", 299)), "ok");
        assert_eq!(
            check(&deep("(", 10_000)),
            "Expression size has exceeded the maximum allowed size; expression size: 20004"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,60}") {
            for kind in [Kind::Condition, Kind::Filter, Kind::KeyCondition] {
                let _ = ParsedCondition::parse(kind, &text);
            }
            let _ = ParsedUpdate::parse(&text);
            let _ = ParsedProjection::parse(&text);
        }

        #[test]
        fn no_row_of_tokens_makes_a_parser_panic(tokens in prop::collection::vec(token(), 0..40)) {
            let text = tokens.join(" ");
            if let Ok(condition) = condition(&text) {
                let _ = condition.matches(&item());
            }
            if let Ok(parsed) = ParsedProjection::parse(&text)
                && let Ok(projection) = Projection::bind(&Arc::new(parsed), &mut bindings())
            {
                let _ = projection.apply(&item());
            }
            for start in ["SET", "SET n =", "REMOVE", "ADD n :n ,", ""] {
                if let Ok(parsed) = ParsedUpdate::parse(&format!("{start} {text}"))
                    && let Ok(update) = Update::bind(&Arc::new(parsed), &mut bindings())
                {
                    let _ = update.apply(&item());
                }
            }
        }
    }

    fn token() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "n",
            "l",
            "m",
            "#n",
            ":n",
            ":l",
            "(",
            ")",
            "[",
            "]",
            "0",
            ".",
            ",",
            "=",
            "<>",
            "<",
            "+",
            "-",
            "AND",
            "OR",
            "NOT",
            "IN",
            "BETWEEN",
            "SET",
            "REMOVE",
            "ADD",
            "DELETE",
            "size",
            "contains(",
            "if_not_exists(",
            "name",
            "%",
        ])
    }
}
