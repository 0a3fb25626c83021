//! Requests: which methods there are, how many values follow their ids, and what those say.
//!
//! Pure. How requests become DynamoDB's is `translate`'s.

use std::borrow::Cow;

use crate::cbor::{Malformed, Reader};

/// The service that all methods are of.
const SERVICE: i64 = 1;
/// The most tables, keys and members of one request. DynamoDB's own limits are below, and said in its words.
const MAX_MEMBERS: usize = 1_000;
/// The most names of one attribute list.
const MAX_NAMES: usize = 100_000;

/// The methods that the clients call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Says who asks from now on. It has no answer.
    AuthorizeConnection,
    /// Where the cluster's nodes are.
    Endpoints,
    /// The key of a table.
    DefineKeySchema,
    /// The names of an attribute list.
    DefineAttributeList,
    /// The id of an attribute list.
    DefineAttributeListId,
    /// GetItem.
    GetItem,
    /// PutItem.
    PutItem,
    /// UpdateItem.
    UpdateItem,
    /// DeleteItem.
    DeleteItem,
    /// Query.
    Query,
    /// Scan.
    Scan,
    /// BatchGetItem.
    BatchGetItem,
    /// BatchWriteItem.
    BatchWriteItem,
    /// TransactGetItems.
    TransactGetItems,
    /// TransactWriteItems.
    TransactWriteItems,
}

/// The methods with their ids and the number of values that follow.
const METHODS: [(i64, Method, usize); 15] = [
    (1_489_122_155, Method::AuthorizeConnection, 5),
    (455_855_874, Method::Endpoints, 0),
    (-742_646_399, Method::DefineKeySchema, 1),
    (670_678_385, Method::DefineAttributeList, 1),
    (-1_230_579_644, Method::DefineAttributeListId, 1),
    (263_244_906, Method::GetItem, 3),
    (-2_106_490_455, Method::PutItem, 4),
    (1_425_579_023, Method::UpdateItem, 3),
    (1_013_539_361, Method::DeleteItem, 3),
    (-931_250_863, Method::Query, 3),
    (-1_875_390_620, Method::Scan, 2),
    (-697_851_100, Method::BatchGetItem, 2),
    (116_217_951, Method::BatchWriteItem, 2),
    (1_866_287_579, Method::TransactGetItems, 4),
    (-1_160_037_738, Method::TransactWriteItems, 9),
];

impl Method {
    /// The method that a request begins with, and the number of values that follow.
    ///
    /// # Errors
    /// When it is of another service, or none.
    pub fn read(reader: &mut Reader<'_>) -> Result<(Self, usize), Malformed> {
        if reader.int()? != SERVICE {
            return Err(Malformed("there is no such service"));
        }
        let id = reader.int()?;
        let found = METHODS.iter().find(|(known, ..)| *known == id);
        found.map(|(_, method, values)| (*method, *values)).ok_or(Malformed("there is no such method"))
    }
}

/// What a client says of itself, when a connection begins: what follows is of no layer and of no types.
///
/// # Errors
/// When it says something else.
pub fn hello(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    if reader.text()? != MAGIC || reader.int()? != 0 {
        return Err(Malformed("the client does not speak DAX"));
    }
    if !reader.null()? {
        reader.bytes()?;
    }
    reader.skip()?;
    if reader.int()? != 0 { Err(Malformed("types are not known")) } else { Ok(()) }
}

const MAGIC: &str = "J7yne5G";

/// The bytes that the client's hello begins with: a text of seven.
pub const HELLO_BEGINS: &[u8; 8] = b"gJ7yne5G";

/// How many values the client's hello has.
pub const HELLO_VALUES: usize = 5;

/// What a client proves itself with. Nothing prints it.
pub struct Authorization<'a> {
    /// The access key's id.
    pub access_key: Cow<'a, str>,
    /// The signature in hexadecimal.
    pub signature: Cow<'a, str>,
    /// What is signed.
    pub string_to_sign: Cow<'a, [u8]>,
    /// The token of temporary credentials.
    pub session_token: Option<Cow<'a, str>>,
}

impl<'a> Authorization<'a> {
    /// Reads the values of the method.
    ///
    /// # Errors
    /// When they are something else.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            access_key: reader.name()?,
            signature: reader.name()?,
            string_to_sign: if reader.major()? == crate::cbor::major::TEXT {
                Cow::Owned(reader.text()?.into_owned().into_bytes())
            } else {
                reader.bytes()?
            },
            session_token: if reader.null()? { None } else { Some(reader.name()?) },
        })
    }
}

/// The optional parameters of an operation. Where clients send one twice, the last one holds.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// `ProjectionExpression`, encoded.
    pub projection: Option<Cow<'a, [u8]>>,
    /// `ConsistentRead`.
    pub consistent: Option<bool>,
    /// `ReturnConsumedCapacity`.
    pub capacity: Option<&'static str>,
    /// `ConditionExpression`, encoded.
    pub condition: Option<Cow<'a, [u8]>>,
    /// `ReturnItemCollectionMetrics`.
    pub metrics: Option<&'static str>,
    /// `ReturnValues`.
    pub returns: Option<&'static str>,
    /// `UpdateExpression`, encoded.
    pub update: Option<Cow<'a, [u8]>>,
    /// `ExclusiveStartKey`, encoded as a key, or as a map where an index is named.
    pub start: Option<Cow<'a, [u8]>>,
    /// `FilterExpression`, encoded.
    pub filter: Option<Cow<'a, [u8]>>,
    /// `IndexName`.
    pub index: Option<Cow<'a, str>>,
    /// `Limit`.
    pub limit: Option<i64>,
    /// `ScanIndexForward`.
    pub forward: Option<bool>,
    /// `Select`.
    pub select: Option<&'static str>,
    /// `Segment`.
    pub segment: Option<i64>,
    /// `TotalSegments`.
    pub segments: Option<i64>,
    /// `ClientRequestToken`.
    pub token: Option<Cow<'a, str>>,
}

impl<'a> Options<'a> {
    /// Reads the last value of an operation.
    ///
    /// # Errors
    /// When it is no map of parameters.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut options = Self::default();
        if reader.null()? {
            return Ok(options);
        }
        let mut count = reader.map()?;
        while reader.more(&mut count)? {
            match reader.int()? {
                0 => options.projection = Some(reader.bytes()?),
                2 => options.consistent = Some(reader.flag()?),
                3 => options.capacity = Some(named(reader, 0, &["NONE", "TOTAL", "INDEXES"])?),
                4 => options.condition = Some(reader.bytes()?),
                6 => options.metrics = Some(named(reader, 0, &["NONE", "SIZE"])?),
                7 => options.returns = Some(named(reader, 1, &RETURNS)?),
                8 => options.update = Some(reader.bytes()?),
                9 => options.start = Some(reader.bytes()?),
                10 => options.filter = Some(reader.bytes()?),
                11 => options.index = Some(reader.name()?),
                13 => options.limit = Some(reader.int()?),
                14 => options.forward = Some(reader.flag()?),
                15 => options.select = Some(named(reader, 1, &SELECTS)?),
                16 => options.segment = Some(reader.int()?),
                17 => options.segments = Some(reader.int()?),
                19 => options.token = Some(reader.name()?),
                // Names and values, which stand in the expressions already, and what is not known.
                _ => {
                    reader.skip()?;
                }
            }
        }
        Ok(options)
    }
}

const RETURNS: [&str; 5] = ["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"];
const SELECTS: [&str; 4] = ["ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "COUNT", "SPECIFIC_ATTRIBUTES"];

/// The name that a number stands for, counted from `first` on.
fn named(reader: &mut Reader<'_>, first: i64, names: &[&'static str]) -> Result<&'static str, Malformed> {
    let place = reader.int()?.checked_sub(first).and_then(|place| usize::try_from(place).ok());
    place.and_then(|place| names.get(place).copied()).ok_or(Malformed("a parameter has an unknown value"))
}

/// The names of an attribute list.
///
/// # Errors
/// When they are something else.
pub fn attribute_names(reader: &mut Reader<'_>) -> Result<Vec<String>, Malformed> {
    let mut count = reader.array()?;
    let mut names = Vec::new();
    while reader.more(&mut count)? {
        names.push(reader.name()?.into_owned());
        if names.len() > MAX_NAMES {
            return Err(Malformed("an attribute list is too long"));
        }
    }
    Ok(names)
}

/// The values of a list.
///
/// # Errors
/// When it is no list, or too long.
pub fn list<'a, T>(
    reader: &mut Reader<'a>,
    mut element: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut count = reader.array()?;
    let mut list = Vec::new();
    while reader.more(&mut count)? {
        list.push(element(reader)?);
        if list.len() > MAX_MEMBERS {
            return Err(Malformed("a list is too long"));
        }
    }
    Ok(list)
}

/// The values of a list of values that may be null; nothing at all where the list is null.
///
/// # Errors
/// When it is something else.
pub fn optional_list<'a>(reader: &mut Reader<'a>) -> Result<Vec<Option<Cow<'a, [u8]>>>, Malformed> {
    if reader.null()? {
        return Ok(Vec::new());
    }
    list(reader, optional_bytes)
}

/// Bytes, or null.
///
/// # Errors
/// When it is something else.
pub fn optional_bytes<'a>(reader: &mut Reader<'a>) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
    if reader.null()? { Ok(None) } else { reader.bytes().map(Some) }
}
