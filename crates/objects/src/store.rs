//! The one face of all stores.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::directory::{Directory, PartialFile};
use crate::error::{ObjectError, Result};
use crate::key;
use crate::memory::Memory;
use crate::s3::{Bucket, Multipart};

/// Where objects are kept. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct ObjectStore(Arc<Place>);

#[derive(Debug)]
enum Place {
    Directory(Directory),
    Memory(Memory),
    Bucket(Bucket),
}

/// How a bucket's service is asked to encrypt what it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerSideEncryption {
    /// Under keys of its own.
    Aes256,
    /// Under a key of its key management service: this one, or the one it takes by default.
    Kms(Option<String>),
}

/// What is known of an object that has been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its entity tag, without quotation marks: of a bucket what the service says, elsewhere the MD5 in hexadecimal.
    pub etag: String,
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its length in bytes.
    pub size: u64,
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects in the order of their keys' bytes.
    pub objects: Vec<Listed>,
    /// Whether there are further ones behind the last.
    pub more: bool,
}

impl ObjectStore {
    /// Objects as files of a directory, which is made when it is first written to. Files are readable by their owner
    /// alone, and synced.
    #[must_use]
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Place::Directory(Directory::new(path.into()))))
    }

    /// Objects in memory, gone with the last clone.
    #[must_use]
    pub fn memory() -> Self {
        Self(Arc::new(Place::Memory(Memory::default())))
    }

    pub(crate) fn bucket(bucket: Bucket) -> Self {
        Self(Arc::new(Place::Bucket(bucket)))
    }

    /// The same store, with a bucket's service asked to encrypt what is written through it. Without effect elsewhere.
    #[must_use]
    pub fn encrypted(&self, encryption: ServerSideEncryption) -> Self {
        match &*self.0 {
            Place::Bucket(bucket) => Self::bucket(bucket.clone().encrypted(encryption)),
            Place::Directory(_) | Place::Memory(_) => self.clone(),
        }
    }

    /// The same store, used only as long as a bucket is this account's. Without effect elsewhere.
    #[must_use]
    pub fn owned_by(&self, account: &str) -> Self {
        match &*self.0 {
            Place::Bucket(bucket) => Self::bucket(bucket.clone().owned_by(account)),
            Place::Directory(_) | Place::Memory(_) => self.clone(),
        }
    }

    /// Where this is, for messages and logs; without credentials.
    #[must_use]
    pub fn shown(&self) -> String {
        match &*self.0 {
            Place::Directory(directory) => directory.shown(),
            Place::Memory(_) => "memory".to_owned(),
            Place::Bucket(bucket) => bucket.shown(),
        }
    }

    /// Writes an object in place of what was under its key. When this returns it is there, whole and lasting; otherwise
    /// it is not there, or what was there before still is.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn put(&self, key: &str, value: Bytes) -> Result<Stored> {
        key::check(key)?;
        match &*self.0 {
            Place::Directory(directory) => directory.put(key, value).await,
            Place::Memory(memory) => Ok(memory.put(key, value)),
            Place::Bucket(bucket) => bucket.put(key, value).await,
        }
    }

    /// Reads an object of at most `most` bytes.
    ///
    /// # Errors
    /// `NotThere`, `TooLarge`, `Damaged` when it is not what was written as far as the store can tell, and others.
    pub async fn get(&self, key: &str, most: u64) -> Result<Bytes> {
        key::check(key)?;
        match &*self.0 {
            Place::Directory(directory) => directory.get(key, most).await,
            Place::Memory(memory) => memory.get(key, most),
            Place::Bucket(bucket) => bucket.get(key, most).await,
        }
    }

    /// Reads `length` bytes of an object from `start` on, fewer where it ends. Behind its end there is nothing.
    ///
    /// # Errors
    /// `NotThere` and others.
    pub async fn get_range(&self, key: &str, start: u64, length: u64) -> Result<Bytes> {
        key::check(key)?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        match &*self.0 {
            Place::Directory(directory) => directory.get_range(key, start, length).await,
            Place::Memory(memory) => memory.get_range(key, start, length),
            Place::Bucket(bucket) => bucket.get_range(key, start, length).await,
        }
    }

    /// What is known of an object without reading it.
    ///
    /// # Errors
    /// `NotThere` and others.
    pub async fn head(&self, key: &str) -> Result<Head> {
        key::check(key)?;
        match &*self.0 {
            Place::Directory(directory) => directory.head(key).await,
            Place::Memory(memory) => memory.head(key),
            Place::Bucket(bucket) => bucket.head(key).await,
        }
    }

    /// At most `most` (up to 1,000) objects whose keys begin with `prefix`, in the order of their bytes, behind `after`.
    /// The prefix is of characters, not of names: `a` begins `ab/c` too. Keys that this store can not have are left out.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Listing> {
        let most = most.clamp(1, 1000);
        match &*self.0 {
            Place::Directory(directory) => directory.list(prefix, after, most).await,
            Place::Memory(memory) => Ok(memory.list(prefix, after, most)),
            Place::Bucket(bucket) => bucket.list(prefix, after, most).await,
        }
    }

    /// Removes an object. It need not be there.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn delete(&self, key: &str) -> Result<()> {
        key::check(key)?;
        match &*self.0 {
            Place::Directory(directory) => directory.delete(key).await,
            Place::Memory(memory) => {
                memory.delete(key);
                Ok(())
            }
            Place::Bucket(bucket) => bucket.delete(key).await,
        }
    }

    /// Removes all objects whose keys begin with `name` and a slash, and what unfinished writing has left there.
    ///
    /// # Errors
    /// [`ObjectError`]; some may be gone then.
    pub async fn delete_under(&self, name: &str) -> Result<()> {
        key::check(name)?;
        if let Place::Directory(directory) = &*self.0 {
            return directory.delete_under(name).await;
        }
        let prefix = format!("{name}/");
        loop {
            let listing = self.list(&prefix, None, 1000).await?;
            for object in &listing.objects {
                self.delete(&object.key).await?;
            }
            if !listing.more {
                return Ok(());
            }
        }
    }

    /// Starts the writing of an object whose length is not known. It is there when [`Upload::finish`] returns.
    ///
    /// # Errors
    /// [`ObjectError`].
    pub async fn upload(&self, key: &str) -> Result<Upload> {
        key::check(key)?;
        let way = match &*self.0 {
            Place::Directory(directory) => Way::Directory(directory.create(key).await?),
            Place::Memory(_) => Way::Memory(Vec::new()),
            Place::Bucket(bucket) => Way::Bucket(Multipart::new(bucket.clone(), key.to_owned())),
        };
        Ok(Upload { store: self.clone(), key: key.to_owned(), way })
    }
}

/// An object that is being written. Memory is bounded, except in stores that are memory. Dropped before it is finished,
/// it is not there, and what has been sent of it is removed in the background as far as that can be.
#[derive(Debug)]
pub struct Upload {
    store: ObjectStore,
    key: String,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Directory(PartialFile),
    Memory(Vec<u8>),
    Bucket(Multipart),
}

impl Upload {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`ObjectError`], after which the upload is of no further use.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        match &mut self.way {
            Way::Directory(file) => file.write(bytes).await,
            Way::Memory(all) => {
                all.extend_from_slice(&bytes);
                Ok(())
            }
            Way::Bucket(multipart) => multipart.write(bytes).await,
        }
    }

    /// Makes the object appear, whole.
    ///
    /// # Errors
    /// [`ObjectError`]; then it is not there.
    pub async fn finish(self) -> Result<Stored> {
        match self.way {
            Way::Directory(file) => file.finish().await,
            Way::Memory(all) => self.store.put(&self.key, all.into()).await,
            Way::Bucket(multipart) => multipart.finish().await,
        }
    }

    /// Gives the object up.
    ///
    /// # Errors
    /// [`ObjectError`], when something of it may be left.
    pub async fn abort(self) -> Result<()> {
        match self.way {
            Way::Directory(file) => file.abort().await,
            Way::Memory(_) => Ok(()),
            Way::Bucket(multipart) => multipart.abort().await,
        }
    }
}

/// The error of an object that is longer than the caller takes.
pub(crate) fn too_large(key: &str, most: u64) -> ObjectError {
    ObjectError::TooLarge { key: key.to_owned(), most }
}
