//! Object stores: where exports, imports and backups are. A directory, a bucket of a service that speaks S3's API, or
//! memory, all with the same few operations.
//!
//! An object is bytes under a key, and appears whole or not at all. Nothing here knows what is in objects.
//!
//! The S3 part is `partita-client` and the signer of `partita-auth`, with six requests of S3's API. The `object_store`
//! crate would bring some sixty further crates for them (among them a second HTTP client, ICU's tables and a date
//! library), and its directories are neither synced nor private.

mod buckets;
mod directory;
mod error;
mod key;
mod memory;
mod s3;
mod store;
mod url;

pub use buckets::{Buckets, InvalidBucket};
pub use error::{ObjectError, Result};
pub use key::check as check_key;
pub use store::{Head, Listed, Listing, ObjectStore, ServerSideEncryption, Stored, Upload};
pub use url::{InvalidUrl, Opener};
