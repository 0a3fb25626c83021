//! DynamoDB's words for requests that break a rule of values or of the model, and which of its two layers says them.
//!
//! During 2026 the service moved from an older to a current validation layer, operation by operation and region by
//! region. This file holds every difference between the two, so that wording can move again in one place. Source:
//! captures of the service in four to 33 regions, September and October 2026 (conformance suite "dynamodb-conformance"),
//! and before those the wordings that dynalite's tests measured.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use partita_model::{ErrorCode, NumberError, Refusal};

use crate::generated::operations::Operation;

/// Which layer an operation's requests are checked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The current layer; what it refuses is announced by `1 validation error detected: `.
    Enveloped,
    /// The current layer, with bare messages.
    Current,
    /// The older layer.
    Older,
}

impl Layer {
    /// The layer of an operation's requests.
    #[must_use]
    pub const fn of(operation: Operation) -> Self {
        match operation {
            Operation::PutItem | Operation::UpdateItem | Operation::DeleteItem => Self::Enveloped,
            Operation::GetItem
            | Operation::BatchGetItem
            | Operation::Query
            | Operation::TransactGetItems
            | Operation::TransactWriteItems => Self::Current,
            _ => Self::Older,
        }
    }
}

const ENVELOPE: &str = "1 validation error detected: ";

/// What the older layer follows by the names of the expressions that are not there.
const VALUES_WITHOUT_EXPRESSION: &str = "ExpressionAttributeValues can only be specified when using expressions";

/// Announces a `ValidationException` as the operation does when it refuses a request before it looks at the table.
/// Other codes, and messages that are announced already, stay as they are.
#[must_use]
pub fn enveloped(operation: Operation, refusal: Refusal) -> Refusal {
    let bare = refusal.code == ErrorCode::ValidationException && !refusal.message.contains("detected: ");
    if bare && Layer::of(operation) == Layer::Enveloped {
        let message = match refusal.message.split_once(VALUES_WITHOUT_EXPRESSION) {
            Some(("", _)) => VALUES_WITHOUT_EXPRESSION,
            _ => &refusal.message,
        };
        Refusal::validation(format!("{ENVELOPE}{message}"))
    } else {
        refusal
    }
}

// ---- values ------------------------------------------------------------------------------------------------------

/// A value without any type.
pub(crate) const VALUE_IS_EMPTY: &str =
    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
/// An attribute name of more than 65,535 bytes.
pub(crate) const NAME_IS_TOO_LONG: &str = "Attribute name is too large, must be less than 65536 bytes";
/// A value of several types.
pub(crate) const VALUE_HAS_SEVERAL_TYPES: &str =
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes";
/// `{"NULL": false}`.
pub(crate) const NULL_IS_FALSE: &str =
    "One or more parameter values were invalid: Null attribute value types must have the value of true";
/// An empty string set; the two spaces are the service's.
pub(crate) const STRING_SET_IS_EMPTY: &str =
    "One or more parameter values were invalid: An string set  may not be empty";
/// An empty number set; the two spaces are the service's.
pub(crate) const NUMBER_SET_IS_EMPTY: &str =
    "One or more parameter values were invalid: An number set  may not be empty";
/// An empty binary set.
pub(crate) const BINARY_SET_IS_EMPTY: &str =
    "One or more parameter values were invalid: Binary sets should not be empty";
/// An attribute, or an entry of a map, without a name.
pub(crate) const NAME_IS_EMPTY: &str = "Empty attribute name";
/// A value inside 32 lists and maps.
pub(crate) const NESTED_TOO_DEEP: &str = "Nesting Levels have exceeded supported limits: \
     Attributes in the item have nested levels beyond supported limit";
/// A scalar where the model has a list or map inside a list or map.
pub(crate) const GENERIC_CAST: &str = "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be \
     cast to class java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class \
     are in module java.base of loader 'bootstrap')";

/// The refusal for a bad attribute value; the older layer names the expression attribute value that it is part of.
pub(crate) fn bad_value(layer: Layer, expression_value: Option<&str>, message: String) -> Refusal {
    Refusal::validation(match (layer, expression_value) {
        (Layer::Enveloped, _) => format!("{ENVELOPE}{message}"),
        (Layer::Older, Some(name)) => {
            format!("ExpressionAttributeValues contains invalid value: {message} for key {name}")
        }
        _ => message,
    })
}

/// A text that is no number of DynamoDB's.
pub(crate) fn number(layer: Layer, error: &NumberError) -> String {
    match (layer, error) {
        (Layer::Enveloped | Layer::Current, NumberError::Empty) => format!("{error}: "),
        _ => error.to_string(),
    }
}

/// A string set in which an element occurs twice.
pub(crate) fn duplicate_strings(layer: Layer, elements: &[String]) -> String {
    let listed = match layer {
        Layer::Older => elements.join(", "),
        _ => up_to_repeat(elements).map(|element| format!("\"{element}\"")).collect::<Vec<_>>().join(", "),
    };
    format!("One or more parameter values were invalid: Input collection [{listed}] contains duplicates.")
}

/// A binary set in which an element occurs twice. The missing space is the service's.
pub(crate) fn duplicate_binaries(layer: Layer, elements: &[Bytes]) -> String {
    let listed = match layer {
        Layer::Older => elements.iter().map(|element| STANDARD.encode(element)).collect::<Vec<_>>().join(", "),
        _ => up_to_repeat(elements)
            .map(|element| format!("\"{}\"", STANDARD.encode(element)))
            .collect::<Vec<_>>()
            .join(","),
    };
    format!("One or more parameter values were invalid: Input collection [{listed}]of type BS contains duplicates.")
}

/// A number set in which a value occurs twice.
pub(crate) fn duplicate_numbers(layer: Layer) -> String {
    match layer {
        Layer::Older => "Input collection contains duplicates".to_owned(),
        _ => "One or more parameter values were invalid: Input collection contains duplicates.".to_owned(),
    }
}

/// The elements before the first repeat in order, then the repeat, then the rest as it was sent.
fn up_to_repeat<T: Ord>(elements: &[T]) -> impl Iterator<Item = &T> {
    let mut seen = BTreeSet::new();
    let distinct = elements.iter().take_while(|element| seen.insert(*element)).count();
    seen.into_iter().chain(elements.iter().skip(distinct))
}

// ---- constraints of the model ------------------------------------------------------------------------------------

/// How many broken constraints one message lists at most.
pub(crate) const MAX_LISTED: usize = 10;

/// `Value '…' at 'tableName' failed to satisfy constraint: …`: the older form, with the value.
pub(crate) fn with_value(path: &str, value: Option<&str>, constraint: &str) -> String {
    match value {
        Some(value) => format!("Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"),
        None => format!("Value null at '{path}' failed to satisfy constraint: {constraint}"),
    }
}

/// `Value at 'TableName' failed to satisfy constraint: …`: the current form, with the member's own name.
pub(crate) fn without_value(path: &str, constraint: &str) -> String {
    format!("Value at '{path}' failed to satisfy constraint: {constraint}")
}

/// What the current layer says of one broken constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Current {
    /// The same as the older layer.
    AsOlder,
    /// This, listed among others.
    Listed(String),
    /// This message and no other.
    Alone(String),
}

/// What the current layer says of a name that is not in an enumeration. The names are those that the service lists,
/// its slips included.
pub(crate) fn current_names(operation: Operation, member: &str) -> Current {
    let failed = |names: &str| format!("Failed to satisfy constraint: Member must satisfy enum value set: [{names}]");
    match (member, operation) {
        ("ReturnValues", Operation::PutItem | Operation::DeleteItem) => {
            Current::Listed(failed("ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE"))
        }
        ("ReturnValues", Operation::UpdateItem) => {
            Current::Alone(format!("{ENVELOPE}{}", failed("ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE")))
        }
        ("ConditionalOperator", Operation::PutItem | Operation::UpdateItem | Operation::DeleteItem) => {
            Current::Alone(format!("{ENVELOPE}{}", failed("ALL, OR")))
        }
        ("ConditionalOperator", Operation::Query) => Current::Alone(failed("ALL, OR")),
        _ => Current::AsOlder,
    }
}

/// What the current layer says of a size or range that is not kept: that alone.
pub(crate) fn current_size(path: &str, constraint: &str) -> Current {
    Current::Alone(format!("{ENVELOPE}{}", without_value(path, constraint)))
}

/// `N validation errors detected: …`.
pub(crate) fn listed(findings: &[Cow<'_, str>]) -> String {
    let plural = if findings.len() == 1 { "" } else { "s" };
    format!("{} validation error{plural} detected: {}", findings.len(), findings.join("; "))
}

/// `TableName` is absent where a table is managed.
pub(crate) const TABLE_NAME_IS_REQUIRED: &str =
    "The parameter 'TableName' is required but was not present in the request";

/// A BatchWriteItem of nothing.
pub(crate) const NOTHING_TO_WRITE: &str = "The requestItems parameter is required for BatchWriteItem";
