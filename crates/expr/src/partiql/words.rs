//! The words of the language: which are keywords, which are operators, and which several words make one.
//!
//! The language is PartiQL as DynamoDB reads it; the words are those of the open PartiQL parser that it builds on.

/// Words that are no identifiers unless they are quoted, in byte order. Operators and words with a token of their own
/// (`as`, `null`, ...) are not among them.
const KEYWORDS: &[&str] = &[
    "absolute",
    "action",
    "add",
    "all",
    "allocate",
    "alter",
    "any",
    "are",
    "assertion",
    "authorization",
    "avg",
    "bag",
    "begin",
    "bigint",
    "bit",
    "bit_length",
    "blob",
    "bool",
    "boolean",
    "cascade",
    "cascaded",
    "case",
    "cast",
    "catalog",
    "char",
    "char_length",
    "character",
    "character_length",
    "check",
    "clob",
    "close",
    "coalesce",
    "collate",
    "collation",
    "column",
    "commit",
    "conflict",
    "connect",
    "connection",
    "constraint",
    "constraints",
    "continue",
    "convert",
    "corresponding",
    "count",
    "create",
    "cross",
    "current",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "cursor",
    "date",
    "date_add",
    "date_diff",
    "deallocate",
    "dec",
    "decimal",
    "declare",
    "default",
    "deferrable",
    "deferred",
    "delete",
    "describe",
    "descriptor",
    "diagnostics",
    "disconnect",
    "distinct",
    "do",
    "domain",
    "double",
    "drop",
    "else",
    "end",
    "end-exec",
    "escape",
    "exception",
    "exec",
    "execute",
    "exists",
    "external",
    "extract",
    "fetch",
    "first",
    "float",
    "foreign",
    "found",
    "from",
    "full",
    "get",
    "global",
    "go",
    "goto",
    "grant",
    "group",
    "having",
    "identity",
    "immediate",
    "index",
    "indicator",
    "initially",
    "inner",
    "input",
    "insensitive",
    "insert",
    "int",
    "int2",
    "int4",
    "int8",
    "integer",
    "integer2",
    "integer4",
    "integer8",
    "interval",
    "into",
    "isolation",
    "join",
    "key",
    "language",
    "last",
    "left",
    "let",
    "level",
    "limit",
    "list",
    "local",
    "lower",
    "match",
    "max",
    "min",
    "modified",
    "module",
    "names",
    "national",
    "natural",
    "nchar",
    "new",
    "next",
    "no",
    "nothing",
    "nullif",
    "numeric",
    "octet_length",
    "of",
    "old",
    "on",
    "only",
    "open",
    "option",
    "order",
    "outer",
    "output",
    "overlaps",
    "pad",
    "partial",
    "pivot",
    "position",
    "precision",
    "prepare",
    "preserve",
    "primary",
    "prior",
    "privileges",
    "procedure",
    "public",
    "read",
    "real",
    "references",
    "relative",
    "remove",
    "restrict",
    "returning",
    "revoke",
    "right",
    "rollback",
    "rows",
    "schema",
    "scroll",
    "section",
    "select",
    "session",
    "session_user",
    "set",
    "sexp",
    "size",
    "smallint",
    "some",
    "space",
    "sql",
    "sqlcode",
    "sqlerror",
    "sqlstate",
    "string",
    "struct",
    "substring",
    "sum",
    "symbol",
    "system_user",
    "table",
    "temporary",
    "then",
    "time",
    "timestamp",
    "to",
    "transaction",
    "translate",
    "translation",
    "trim",
    "tuple",
    "unique",
    "unknown",
    "unpivot",
    "update",
    "upper",
    "usage",
    "user",
    "using",
    "value",
    "values",
    "varchar",
    "varying",
    "view",
    "when",
    "whenever",
    "where",
    "with",
    "work",
    "write",
    "zone",
];

/// Keywords that mean another one.
const ALIASES: &[(&str, &str)] = &[
    ("bigint", "integer8"),
    ("bool", "boolean"),
    ("char", "character"),
    ("dec", "decimal"),
    ("int", "integer"),
    ("int2", "smallint"),
    ("int4", "integer4"),
    ("int8", "integer8"),
    ("integer2", "smallint"),
    ("varchar", "character_varying"),
];

/// Keywords that are called like functions.
const FUNCTIONS: &[&str] = &[
    "avg",
    "bag",
    "bit_length",
    "char_length",
    "character_length",
    "coalesce",
    "count",
    "date_add",
    "date_diff",
    "exists",
    "extract",
    "list",
    "lower",
    "max",
    "min",
    "nullif",
    "octet_length",
    "sexp",
    "size",
    "substring",
    "sum",
    "trim",
    "upper",
];

/// The functions that take a set of rows: they have one operand.
const AGGREGATES: &[&str] = &["avg", "count", "max", "min", "sum"];

/// Words that make one operator, and the operator.
const COMPOUND_OPERATORS: &[(&[&str], Operator)] = &[
    (&["not", "in"], Operator::NotIn),
    (&["is", "not"], Operator::IsNot),
    (&["not", "between"], Operator::NotBetween),
    (&["not", "like"], Operator::NotLike),
    (&["intersect", "all"], Operator::Intersect),
    (&["except", "all"], Operator::Except),
    (&["union", "all"], Operator::Union),
];

/// Words that make one keyword, and the keyword.
const COMPOUND_KEYWORDS: &[(&[&str], &str)] = &[
    (&["character", "varying"], "character_varying"),
    (&["double", "precision"], "double_precision"),
    (&["insert", "into"], "insert_into"),
    (&["on", "conflict"], "on_conflict"),
    (&["do", "nothing"], "do_nothing"),
    (&["modified", "old"], "modified_old"),
    (&["modified", "new"], "modified_new"),
    (&["all", "old"], "all_old"),
    (&["all", "new"], "all_new"),
    (&["cross", "join"], "cross_join"),
    (&["inner", "join"], "join"),
    (&["inner", "cross", "join"], "cross_join"),
    (&["left", "join"], "join"),
    (&["left", "outer", "join"], "join"),
    (&["left", "cross", "join"], "cross_join"),
    (&["left", "outer", "cross", "join"], "cross_join"),
    (&["right", "join"], "join"),
    (&["right", "outer", "join"], "join"),
    (&["right", "cross", "join"], "cross_join"),
    (&["right", "outer", "cross", "join"], "cross_join"),
    (&["full", "join"], "join"),
    (&["outer", "join"], "join"),
    (&["full", "outer", "join"], "join"),
    (&["full", "cross", "join"], "cross_join"),
    (&["outer", "cross", "join"], "cross_join"),
    (&["full", "outer", "cross", "join"], "cross_join"),
];

/// The most words that make one.
pub(super) const MAX_COMPOUND: usize = 4;

/// The types that may follow IS, with how many parameters each takes at most.
const TYPES: &[(&str, usize)] = &[
    ("bag", 0),
    ("blob", 0),
    ("boolean", 0),
    ("character", 1),
    ("character_varying", 1),
    ("clob", 0),
    ("date", 0),
    ("decimal", 2),
    ("double_precision", 0),
    ("float", 1),
    ("integer", 0),
    ("integer4", 0),
    ("integer8", 0),
    ("list", 0),
    ("missing", 0),
    ("null", 0),
    ("numeric", 2),
    ("real", 0),
    ("sexp", 0),
    ("smallint", 0),
    ("string", 0),
    ("struct", 0),
    ("symbol", 0),
    ("time", 1),
    ("timestamp", 0),
    ("tuple", 0),
];

/// The operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Plus,
    Minus,
    Divide,
    Modulo,
    Times,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Concatenate,
    And,
    Or,
    Not,
    Is,
    IsNot,
    In,
    NotIn,
    Between,
    NotBetween,
    Like,
    NotLike,
    Union,
    Except,
    Intersect,
    /// `@`, before a name.
    Lexical,
}

impl Operator {
    /// The operator that a sign or word is.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "+" => Self::Plus,
            "-" => Self::Minus,
            "/" => Self::Divide,
            "%" => Self::Modulo,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "=" => Self::Equal,
            "<>" | "!=" => Self::NotEqual,
            "||" => Self::Concatenate,
            "@" => Self::Lexical,
            "and" => Self::And,
            "or" => Self::Or,
            "not" => Self::Not,
            "is" => Self::Is,
            "in" => Self::In,
            "between" => Self::Between,
            "like" => Self::Like,
            "union" => Self::Union,
            "except" => Self::Except,
            "intersect" => Self::Intersect,
            _ => return None,
        })
    }

    /// How messages write it.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Times => "*",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Concatenate => "||",
            Self::And => "and",
            Self::Or => "or",
            Self::Not => "not",
            Self::Is | Self::IsNot => "is",
            Self::In | Self::NotIn => "in",
            Self::Between | Self::NotBetween => "between",
            Self::Like | Self::NotLike => "like",
            Self::Union => "union",
            Self::Except => "except",
            Self::Intersect => "intersect",
            Self::Lexical => "@",
        }
    }

    /// How tightly it binds its two sides; `None` when it has not two.
    pub(super) const fn precedence(self) -> Option<u8> {
        Some(match self {
            Self::Union | Self::Except | Self::Intersect => precedence::SETS,
            Self::Or => precedence::OR,
            Self::And => precedence::AND,
            Self::Equal | Self::NotEqual | Self::Is | Self::IsNot | Self::In | Self::NotIn => precedence::EQUALITY,
            Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::Between
            | Self::NotBetween
            | Self::Like
            | Self::NotLike => precedence::COMPARISON,
            Self::Plus | Self::Minus | Self::Concatenate => precedence::SUM,
            Self::Divide | Self::Modulo | Self::Times => precedence::PRODUCT,
            Self::Not | Self::Lexical => return None,
        })
    }

    /// The operator that this one denies.
    pub(super) const fn denied(self) -> Option<Self> {
        match self {
            Self::NotIn => Some(Self::In),
            Self::NotBetween => Some(Self::Between),
            Self::NotLike => Some(Self::Like),
            Self::IsNot => Some(Self::Is),
            _ => None,
        }
    }
}

/// How tightly operators bind; a part of a statement takes what binds tighter than its own figure.
pub(super) mod precedence {
    /// Everything binds tighter.
    pub(in super::super) const LOWEST: u8 = 0;
    pub(in super::super) const SETS: u8 = 5;
    /// The parts of a SELECT leave set operators to what is around it.
    pub(in super::super) const SELECT: u8 = 6;
    pub(in super::super) const OR: u8 = 10;
    pub(in super::super) const AND: u8 = 20;
    pub(in super::super) const NOT: u8 = 30;
    pub(in super::super) const EQUALITY: u8 = 40;
    pub(in super::super) const COMPARISON: u8 = 50;
    pub(in super::super) const SUM: u8 = 60;
    pub(in super::super) const PRODUCT: u8 = 70;
}

/// The keyword that a word in lower case is, with aliases resolved.
pub(super) fn keyword(word: &str) -> Option<&'static str> {
    let at = KEYWORDS.binary_search(&word).ok()?;
    let keyword = KEYWORDS.get(at).copied()?;
    Some(ALIASES.iter().find(|(alias, _)| *alias == keyword).map_or(keyword, |(_, meaning)| *meaning))
}

/// The operator that these words make together.
pub(super) fn compound_operator(words: &[&str]) -> Option<Operator> {
    COMPOUND_OPERATORS.iter().find(|(parts, _)| *parts == words).map(|(_, operator)| *operator)
}

/// The keyword that these words make together.
pub(super) fn compound_keyword(words: &[&str]) -> Option<&'static str> {
    COMPOUND_KEYWORDS.iter().find(|(parts, _)| *parts == words).map(|(_, keyword)| *keyword)
}

/// Whether the keyword is called like a function.
pub(super) fn is_function(keyword: &str) -> bool {
    FUNCTIONS.contains(&keyword)
}

/// Whether the function takes a set of rows.
pub(super) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.contains(&name)
}

/// The type of this name and the most parameters it takes.
pub(super) fn data_type(word: &str) -> Option<(&'static str, usize)> {
    TYPES.iter().find(|(name, _)| *name == word).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_in_order_so_that_they_are_found() {
        assert!(KEYWORDS.is_sorted());
        assert_eq!(keyword("bool"), Some("boolean"));
        assert_eq!(keyword("inner"), Some("inner"));
        assert_eq!(keyword("name"), None);
    }
}
