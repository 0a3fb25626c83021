//! Why an expression, its names and values, or a legacy parameter is refused, in DynamoDB's words.
//!
//! Every error is a `ValidationException`. Wordings and the order of checks were measured against DynamoDB Local.

use std::fmt;

use partita_model::{AttributeType, AttributeValue, NumberError, Refusal};

use crate::legacy::ComparisonOperator;
use crate::path::Path;

/// Which parameter of a request an expression came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `ConditionExpression`
    Condition,
    /// `FilterExpression`
    Filter,
    /// `KeyConditionExpression`
    KeyCondition,
    /// `ProjectionExpression`
    Projection,
    /// `UpdateExpression`
    Update,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Condition => "ConditionExpression",
            Self::Filter => "FilterExpression",
            Self::KeyCondition => "KeyConditionExpression",
            Self::Projection => "ProjectionExpression",
            Self::Update => "UpdateExpression",
        })
    }
}

/// Which of the two maps of placeholders a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Placeholders {
    /// `ExpressionAttributeNames`
    Names,
    /// `ExpressionAttributeValues`
    Values,
}

impl fmt::Display for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Names => "ExpressionAttributeNames",
            Self::Values => "ExpressionAttributeValues",
        })
    }
}

/// A refusal; its `Display` is the whole message that a client sees.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An expression breaks a rule of its own.
    #[error("Invalid {kind}: {problem}")]
    Invalid {
        /// The parameter.
        kind: Kind,
        /// The rule.
        problem: Problem,
    },
    /// `ExpressionAttributeNames` or `ExpressionAttributeValues` is there and has no entry.
    #[error("{0} must not be empty")]
    NoPlaceholders(Placeholders),
    /// A placeholder is not `#` or `:` followed by letters, digits and underscores.
    #[error("{0} contains invalid key: Syntax error; key: \"{1}\"")]
    PlaceholderSyntax(Placeholders, String),
    /// A placeholder is the empty string.
    #[error("{0} contains invalid key: The expression attribute map contains an empty key;")]
    EmptyPlaceholder(Placeholders),
    /// A placeholder has more than 255 bytes.
    #[error("{0} contains invalid key: The expression attribute map contains a key that is too long; size of key: {1}")]
    LongPlaceholder(Placeholders, usize),
    /// An attribute name is the empty string.
    #[error("ExpressionAttributeNames contains invalid value: Empty attribute name for key {0}")]
    EmptyName(String),
    /// An attribute name has more than 65,535 bytes.
    #[error(
        "ExpressionAttributeNames contains invalid value: Attribute name is too large, must be less than 65536 bytes for key {0}"
    )]
    LongName(String),
    /// The map of placeholders passes 2 MB.
    #[error("{0} exceeds max size")]
    LargePlaceholders(Placeholders),
    /// No expression mentions these placeholders.
    #[error("Value provided in {0} unused in expressions: keys: {{{keys}}}", keys = .1.join(", "))]
    Unused(Placeholders, Vec<String>),
    /// `ExpressionAttributeNames` without any expression.
    #[error("ExpressionAttributeNames can only be specified when using expressions")]
    NamesWithoutExpression,
    /// `ExpressionAttributeValues` without any of the expressions that take values.
    #[error(
        "ExpressionAttributeValues can only be specified when using expressions: {names} {verb} null",
        names = .0.join(" and "), verb = if .0.len() > 1 { "are" } else { "is" }
    )]
    ValuesWithoutExpression(Vec<&'static str>),
    /// Expressions and legacy parameters in one request.
    #[error(
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {{{legacy}}} Expression parameters: {{{expressions}}}",
        legacy = .legacy.join(", "), expressions = .expressions.join(", ")
    )]
    Mixed {
        /// The legacy parameters of the request.
        legacy: Vec<&'static str>,
        /// The expressions of the request.
        expressions: Vec<&'static str>,
    },

    /// An update reaches through something that is not there, or not a map or list as the path wants.
    #[error("The document path provided in the update expression is invalid for update")]
    UpdatePath,
    /// An update reads an attribute that the item does not have.
    #[error("The provided expression refers to an attribute that does not exist in the item")]
    MissingOperand,
    /// An update computes with a value of the wrong type.
    #[error("An operand in the update expression has an incorrect data type")]
    OperandType,
    /// Arithmetic left the range of numbers.
    #[error("{}", arithmetic(.0))]
    Arithmetic(NumberError),
    /// An update makes an attribute with more than 31 levels of lists and maps.
    #[error("Nesting Levels have exceeded supported limits")]
    Nesting,
    /// An update writes a key attribute.
    #[error(
        "One or more parameter values were invalid: Cannot update attribute {0}. This attribute is part of the key"
    )]
    UpdatesKey(String),

    /// A key condition uses an operator or function that keys do not know.
    #[error("Invalid operator used in KeyConditionExpression: {0}")]
    KeyOperator(&'static str),
    /// A key condition calls `size`.
    #[error("KeyConditionExpressions cannot contain nested operations")]
    KeyNestedOperation,
    /// A key condition reaches into a document.
    #[error("KeyConditionExpressions cannot have conditions on nested attributes")]
    KeyNestedAttribute,
    /// A key attribute of the table is used as a document.
    #[error("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: {0}")]
    KeyNotScalar(String),
    /// A key attribute of a secondary index is used as a document.
    #[error(
        "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: {0}"
    )]
    IndexKeyNotScalar(String),
    /// BETWEEN or `begins_with` in a key condition starts with something else than the key attribute.
    #[error(
        "Invalid condition in KeyConditionExpression: {0} operator must have the key attribute as its first operand"
    )]
    KeyOperandOrder(&'static str),
    /// A key condition compares two attributes.
    #[error("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")]
    KeyTwoAttributes,
    /// A key condition compares values only.
    #[error("Invalid condition in KeyConditionExpression: No key attribute specified")]
    KeyNoAttribute,
    /// Two conditions on one key attribute.
    #[error("KeyConditionExpressions must only contain one condition per key")]
    KeyTwice,
    /// More conditions than a key of one partition and one sort attribute can use, or none.
    #[error("Conditions can be of length 1 or 2 only")]
    KeyConditionCount,
    /// A key attribute that needs a condition has none.
    #[error("Query condition missed key schema element: {0}")]
    KeyMissing(String),
    /// The conditions are not equalities on the partition attributes and, from the left, on the sort attributes with
    /// at most one range condition last.
    #[error("Query key condition not supported")]
    KeyNotSupported,
    /// A partition attribute is compared with a value that is too long for it.
    #[error(
        "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"
    )]
    PartitionKeyTooLong,
    /// A sort attribute is compared with a value that is too long for it.
    #[error(
        "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of \
         1024 bytes"
    )]
    SortKeyTooLong,
    /// A condition on a sort attribute while one before it has none, or no equality.
    #[error(
        "RANGE key attributes {} must have equality conditions specified in the query because a condition is present on \
         key attribute {at}", before.join(", ")
    )]
    KeyGap {
        /// The sort attributes without an equality.
        before: Vec<String>,
        /// The attribute behind them.
        at: String,
    },
    /// A legacy comparison operator that is no condition on a key.
    #[error("Attempted conditional constraint is not an indexable operation")]
    KeyNotIndexable,
    /// The legacy NULL or NOT_NULL on a key attribute, `Hash` or `Range`.
    #[error("Only scalar types can be used as {0} Key values")]
    KeyWithoutValue(&'static str),
    /// A key is compared with a value of another type.
    #[error("One or more parameter values were invalid: Condition parameter type does not match schema type")]
    KeyType,
    /// A key of a table is compared with an empty string or binary.
    #[error(
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty {what} value. Key: {key}"
    )]
    KeyEmpty {
        /// The key attribute.
        key: String,
        /// `string` or `binary`.
        what: &'static str,
    },
    /// A key of a secondary index is compared with an empty string or binary.
    #[error(
        "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty {what} value. IndexName: {index}, IndexKey: {key}"
    )]
    IndexKeyEmpty {
        /// The key attribute.
        key: String,
        /// The index.
        index: String,
        /// `string` or `binary`.
        what: &'static str,
    },
    /// A filter mentions a key attribute of the table or index that is queried.
    #[error("{0} can only contain non-primary key attributes: Primary key attribute: {1}")]
    FilterOnKey(&'static str, String),

    /// A legacy condition has too few or too many values.
    #[error("One or more parameter values were invalid: Invalid number of argument(s) for the {0} ComparisonOperator")]
    ArgumentCount(ComparisonOperator),
    /// The values of a legacy condition have different types.
    #[error(
        "One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type"
    )]
    ArgumentTypes,
    /// A legacy comparison operator does not take values of this type.
    #[error("One or more parameter values were invalid: ComparisonOperator {0} is not valid for {type_name} AttributeValue type", type_name = .1.name())]
    ArgumentType(ComparisonOperator, AttributeType),
    /// The bounds of a legacy BETWEEN are the wrong way round.
    #[error("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")]
    BetweenBounds,
    /// `Value` and `AttributeValueList` for one attribute.
    #[error(
        "One or more parameter values were invalid: Value and AttributeValueList cannot be used together for Attribute: {0}"
    )]
    ValueAndList(String),
    /// `Exists` and `ComparisonOperator` for one attribute.
    #[error(
        "One or more parameter values were invalid: Exists and ComparisonOperator cannot be used together for Attribute: {0}"
    )]
    ExistsAndOperator(String),
    /// A comparison operator of `Expected` without a value.
    #[error(
        "One or more parameter values were invalid: Value or AttributeValueList must be used with ComparisonOperator: {0} for Attribute: {1}"
    )]
    OperatorWithoutValue(ComparisonOperator, String),
    /// `AttributeValueList` without a comparison operator.
    #[error(
        "One or more parameter values were invalid: AttributeValueList can only be used with a ComparisonOperator for Attribute: {0}"
    )]
    ListWithoutOperator(String),
    /// `Exists` is true or absent, and there is no `Value`.
    #[error("One or more parameter values were invalid: Value must be provided when Exists is {exists} for Attribute: {name}", exists = .exists.map_or("null", |exists| if exists { "true" } else { "false" }))]
    ExistsWithoutValue {
        /// The attribute.
        name: String,
        /// `Exists` as given.
        exists: Option<bool>,
    },
    /// `Exists` is false, and there is a `Value`.
    #[error("One or more parameter values were invalid: Value cannot be used when Exists is false for Attribute: {0}")]
    ValueOfAbsent(String),
    /// `ConditionalOperator` without conditions.
    #[error("ConditionalOperator cannot be used without Filter or Expected")]
    ConditionalOperatorAlone,
    /// `ConditionalOperator` with a single condition.
    #[error("ConditionalOperator can only be used when Filter or Expected has two or more elements")]
    ConditionalOperatorOfOne,
    /// An attribute update that is no DELETE has no value.
    #[error(
        "One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified"
    )]
    UpdateWithoutValue,
    /// An ADD of a value that cannot be added.
    #[error("One or more parameter values were invalid: ADD action is not supported for the type {type_name}", type_name = long_name(*.0))]
    AddType(AttributeType),
    /// A DELETE of a value that is no set.
    #[error("One or more parameter values were invalid: DELETE action with value is not supported for the type {type_name}", type_name = long_name(*.0))]
    DeleteType(AttributeType),
    /// The attribute and the value to add or delete have different types.
    #[error("Type mismatch for attribute to update")]
    UpdateMismatch,
    /// A legacy parameter names no attribute.
    #[error("Empty attribute name")]
    EmptyAttributeName,
    /// `AttributesToGet` is there and empty.
    #[error("AttributesToGet cannot be empty")]
    NoAttributesToGet,
    /// `AttributesToGet` names an attribute twice.
    #[error("Cannot have two attributes with the same name")]
    AttributeToGetTwice,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::validation(error.to_string())
    }
}

/// The rule that an expression breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text has no byte.
    #[error("The expression can not be empty;")]
    Empty,
    /// The text has more than 4,096 bytes (of UTF-8).
    #[error("Expression size has exceeded the maximum allowed size; expression size: {0}")]
    Size(usize),
    /// No expression begins with the tokens up to and including this one.
    #[error("Syntax error; token: \"{token}\", near: \"{near}\"")]
    Syntax {
        /// The token, or `<EOF>`.
        token: String,
        /// The text from the token before to the token after it.
        near: String,
    },
    /// Parentheses directly within parentheses.
    #[error("The expression has redundant parentheses;")]
    RedundantParentheses,
    /// There is no function of this name (names are case-sensitive).
    #[error("Invalid function name; function: {0}")]
    UnknownFunction(String),
    /// A condition calls a function of updates.
    #[error("The function is not allowed in a condition expression; function: {0}")]
    NotInCondition(&'static str),
    /// An update calls a function of conditions.
    #[error("The function is not allowed in an update expression; function: {0}")]
    NotInUpdate(&'static str),
    /// A truth value where an operand belongs, or the other way round.
    #[error("The function is not allowed to be used this way in an expression; function: {0}")]
    MisusedFunction(&'static str),
    /// An attribute name is a reserved word.
    #[error("Attribute name is a reserved keyword; reserved keyword: {0}")]
    Reserved(String),
    /// A list index is over 2,147,483,647.
    #[error("List index is not within the allowable range; index: [{0}]")]
    Index(String),
    /// A section of an update comes twice.
    #[error("The \"{0}\" section can only be used once in an update expression;")]
    SectionTwice(&'static str),
    /// There are more than 300 operators and functions; the count stops at the first too many.
    #[error("The expression contains too many operators; operator count: {0}")]
    Operators(usize),
    /// A path has more than 32 elements.
    #[error("The document path has too many nesting levels; nesting levels: {0}")]
    Nesting(usize),
    /// IN has more than 100 operands on its right.
    #[error("The IN operator is provided with too many operands; number of operands: {0}")]
    InOperands(usize),
    /// The placeholder is not in `ExpressionAttributeNames`.
    #[error("An expression attribute name used in the document path is not defined; attribute name: {0}")]
    UndefinedName(String),
    /// The placeholder is not in `ExpressionAttributeValues`.
    #[error("An expression attribute value used in expression is not defined; attribute value: {0}")]
    UndefinedValue(String),
    /// A function has too few or too many operands.
    #[error(
        "Incorrect number of operands for operator or function; operator or function: {0}, number of operands: {1}"
    )]
    OperandCount(&'static str, usize),
    /// A comparison of a path with itself.
    #[error(
        "The first operand must be distinct from the remaining operands for this operator or function; operator: {0}, first operand: {1}"
    )]
    NotDistinct(&'static str, Path),
    /// A value where only a path makes sense.
    #[error("Operator or function requires a document path; operator or function: {0}")]
    PathRequired(&'static str),
    /// An operand has a type that the operator or function does not take.
    #[error("Incorrect operand type for operator or function; operator or function: {0}, operand type: {type_name}", type_name = .1.name())]
    OperandType(&'static str, AttributeType),
    /// The type name of `attribute_type` is a path, so its type is unknown.
    #[error(
        "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {{DECIMALSET,M,HDS,N,FS,DICT,INT,DECIMAL,FLOAT,BS,HD,L,DOUBLESET,SS,NULL,NS,INTSET,BOOL,B,S,DOUBLE}}"
    )]
    TypeNameIsPath,
    /// The type name of `attribute_type` is none.
    #[error("Invalid attribute type name found; type: {0}, valid types: {{N,BS,L,B,NULL,M,S,SS,NS,BOOL}}")]
    TypeName(String),
    /// The value of ADD or DELETE has a type that cannot be added or deleted.
    #[error("Incorrect operand type for operator or function; operator: {0}, operand type: {type_name}, typeSet: ALLOWED_FOR_{0}_OPERAND", type_name = long_name(*.1))]
    SectionOperandType(&'static str, AttributeType),
    /// The bounds of BETWEEN have different types.
    #[error(
        "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {0}, upper bound operand: AttributeValue: {1}"
    )]
    BoundTypes(Bound, Bound),
    /// The lower bound of BETWEEN is over the upper one.
    #[error(
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {0}, upper bound operand: AttributeValue: {1}"
    )]
    BoundOrder(Bound, Bound),
    /// One path is the other one or leads to it.
    #[error(
        "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: {0}, path two: {1}"
    )]
    Overlap(Path, Path),
    /// Two paths want the same attribute to be a map and a list.
    #[error(
        "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: {0}, path two: {1}"
    )]
    Conflict(Path, Path),
}

impl Problem {
    /// The error of an expression in this parameter.
    pub(crate) fn of(self, kind: Kind) -> Error {
        Error::Invalid { kind, problem: self }
    }
}

/// A bound of BETWEEN as messages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound(String);

impl Bound {
    pub(crate) fn of(value: &AttributeValue) -> Self {
        Self(match value {
            AttributeValue::S(text) => text.clone(),
            AttributeValue::N(number) => number.to_string(),
            // The service shows the buffer instead of its bytes.
            AttributeValue::B(bytes) => format!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes.len()),
            _ => String::new(),
        })
        .typed(value.attribute_type())
    }

    fn typed(self, of: AttributeType) -> Self {
        Self(format!("{{{}:{}}}", of.name(), self.0))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Arithmetic has words of its own for a result that needs too many digits.
fn arithmetic(error: &NumberError) -> String {
    match error {
        NumberError::TooManyDigits => "DynamoDB only supports precision up to 38 digits".to_owned(),
        other => other.to_string(),
    }
}

/// The name of a type in the messages of ADD and DELETE.
const fn long_name(of: AttributeType) -> &'static str {
    match of {
        AttributeType::S => "STRING",
        AttributeType::N => "NUMBER",
        AttributeType::B => "BINARY",
        AttributeType::Bool => "BOOLEAN",
        AttributeType::Null => "NULL",
        AttributeType::M => "MAP",
        AttributeType::L => "LIST",
        AttributeType::Ss => "STRING_SET",
        AttributeType::Ns => "NUMBER_SET",
        AttributeType::Bs => "BINARY_SET",
    }
}
