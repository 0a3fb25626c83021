//! From a request's bytes to its structure: decoding, then the model's constraints.
//!
//! DynamoDB refuses in a fixed order: what cannot be decoded, what breaks a constraint of the model, then, after a few
//! checks of the operation's own, attribute values that break a rule. The last are found while decoding and handed
//! on in `Decoded::values`, for the operation to raise in its place.

use partita_model::{ErrorCode, Refusal};

use crate::constraints;
use crate::generated::operations::{Input, Operation};
use crate::json::{Decode, Decoder, Place, Serialization};
use crate::wording::Layer;

/// A decoded request.
#[derive(Clone, Debug)]
pub struct Decoded<T> {
    /// The request. If `values` refuses, placeholders stand for the bad values.
    pub input: T,
    /// What is to be said of the attribute values.
    pub values: Values,
}

/// The verdict on a request's attribute values.
#[derive(Clone, Debug, Default)]
#[must_use = "a request with bad values must be refused"]
pub struct Values(Option<Refusal>);

impl Values {
    /// Refuses the first value that breaks a rule: several types or none, a text that is no number, an empty set,
    /// duplicates, nesting beyond 32 levels.
    ///
    /// # Errors
    /// `ValidationException`, worded as the operation does.
    pub fn check(self) -> Result<(), Refusal> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Decodes a request and checks it against the model.
///
/// # Errors
/// `SerializationException`, or `ValidationException` that lists the constraints that are broken.
pub fn read<T: Input>(body: &[u8]) -> Result<Decoded<T>, Refusal> {
    let decoded = decode(body)?;
    constraints::check(&decoded.input)?;
    Ok(decoded)
}

/// Decodes a request.
///
/// # Errors
/// `SerializationException`; its message is empty when the body is not JSON, as it is with the service.
pub fn decode<T: Input>(body: &[u8]) -> Result<Decoded<T>, Refusal> {
    let (input, values) = decode_as(T::OPERATION, body).map_err(refusal)?;
    Ok(Decoded { input, values: Values(values) })
}

fn decode_as<T: Decode>(operation: Operation, body: &[u8]) -> Result<(T, Option<Refusal>), Serialization> {
    let mut decoder = Decoder::new(body, Layer::of(operation))?;
    let input = T::decode(&mut decoder, Place::Field)?;
    Ok((input, decoder.end()?))
}

fn refusal(error: Serialization) -> Refusal {
    Refusal::new(ErrorCode::SerializationException, error.message.unwrap_or_default())
}

/// Whether the body is one JSON value and nothing else.
pub(crate) fn is_json(body: &[u8]) -> bool {
    let read = || {
        let mut decoder = Decoder::new(body, Layer::Older)?;
        decoder.skip()?;
        decoder.end()
    };
    read().is_ok()
}
