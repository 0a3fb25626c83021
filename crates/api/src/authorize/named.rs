//! The parts of a request that policies can ask about, borrowed from its structure. Nothing is computed here.

use std::borrow::Cow;

use partita_expr::partiql::Statement;
use partita_model::{AttributeMap, AttributeValue};

use crate::generated::structures as wire;
use crate::json::Entries;

/// One action on one resource.
#[derive(Debug)]
pub(crate) struct Named<'r> {
    /// The action, such as `dynamodb:GetItem`.
    pub action: &'static str,
    /// What it is done to.
    pub place: Place<'r>,
    /// The operation that the action is a part of: `dynamodb:EnclosingOperation`.
    pub enclosing: Option<&'static str>,
    /// What else the request says of it.
    pub details: Details<'r>,
}

impl<'r> Named<'r> {
    /// An action of which no more is to be said.
    pub(crate) const fn new(action: &'static str, place: Place<'r>) -> Self {
        Self { action, place, enclosing: None, details: Details::None }
    }

    /// An action on items.
    pub(crate) const fn items(action: &'static str, place: Place<'r>, items: Items<'r>) -> Self {
        Self { action, place, enclosing: None, details: Details::Items(items) }
    }
}

/// What an action is done to.
#[derive(Clone, Debug)]
pub(crate) enum Place<'r> {
    /// Nothing in particular: `*`.
    Any,
    /// A table by name or ARN.
    Table(Cow<'r, str>),
    /// An index of a table.
    Index(Cow<'r, str>, Cow<'r, str>),
    /// A stream by its ARN.
    Stream(Cow<'r, str>),
    /// A table or stream by its ARN.
    TableOrStream(&'r str),
    /// A backup, export, import or bulk operation by its ARN.
    Below(&'r str),
    /// A global table of the older kind, by its name.
    GlobalTable(&'r str),
    /// Objects of a bucket: its name, and what their keys begin with.
    Objects(&'r str, Cow<'r, str>),
    /// A trigger by its name.
    Trigger(Cow<'r, str>),
    /// A bucket, or what lies in one: its name, or that with a slash and a key.
    Bucket(Cow<'r, str>),
    /// A root key that encrypts a table, by id, alias or ARN.
    RootKey(&'r str),
}

/// What a request says beside action and resource.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large variant is the one of nearly all requests")]
pub(crate) enum Details<'r> {
    /// Nothing that policies ask about.
    None,
    /// Which items, and what of them.
    Items(Items<'r>),
    /// The same in PartiQL.
    Statement(Box<Stated<'r>>),
    /// Tags that are given.
    Tags(&'r [wire::Tag]),
    /// Keys of tags that are taken away.
    TagKeys(&'r [String]),
}

/// Items, and what is read or written of them.
#[derive(Debug, Default)]
pub(crate) struct Items<'r> {
    pub which: Which<'r>,
    pub index: Option<&'r str>,
    pub names: Option<&'r Entries<String>>,
    pub values: Option<&'r AttributeMap>,
    pub key_condition: Option<&'r str>,
    pub condition: Option<&'r str>,
    pub filter: Option<&'r str>,
    pub projection: Option<&'r str>,
    pub update: Option<&'r str>,
    pub key_conditions: Option<&'r Entries<wire::Condition>>,
    pub filter_conditions: Option<&'r Entries<wire::Condition>>,
    pub expected: Option<&'r Entries<wire::ExpectedAttributeValue>>,
    pub attribute_updates: Option<&'r Entries<wire::AttributeValueUpdate>>,
    pub attributes_to_get: Option<&'r [String]>,
    pub select: Selects<'r>,
    pub returns: Returns<'r>,
    /// `ReturnConsumedCapacity`, of operations that have it.
    pub consumed: Option<&'r str>,
}

/// Which items.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Which<'r> {
    /// Whatever the conditions find.
    #[default]
    Found,
    /// The item of this key.
    Key(&'r AttributeMap),
    /// This item.
    Put(&'r AttributeMap),
    /// The items of these keys.
    Keys(&'r [AttributeMap]),
    /// Those that are put and deleted.
    Writes(&'r [wire::WriteRequest]),
}

/// What reading returns of an item: `dynamodb:Select`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Selects<'r> {
    /// It is no read.
    #[default]
    No,
    /// The parameter, if it is given; what it is without it follows from the request.
    Read(Option<&'r str>),
}

/// What writing returns of an item: `dynamodb:ReturnValues`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Returns<'r> {
    /// `ReturnValues`, of operations that have it.
    pub values: Option<&'r str>,
    /// `ReturnValuesOnConditionCheckFailure`: it shows the item as much as the other does.
    pub on_failure: Option<&'r str>,
}

/// A statement with its parameters.
#[derive(Debug)]
pub(crate) struct Stated<'r> {
    pub statement: Statement,
    pub parameters: &'r [AttributeValue],
    pub on_failure: Option<&'r str>,
    pub consumed: Option<&'r str>,
}
