//! Attribute lists: names of attributes under an id, as clients of DAX have them, which send values without names.
//!
//! An id never means other names, on no node and after no restart: it is made of the names, by a hash that only this
//! database can compute, and the names are stored under it before it is told to anyone.

use partita_engine::{Commit, CommitError, Freshness, Read, Write};

use crate::Database;
use crate::error::{Error, Result};
use crate::keyspace;

/// Ids are below this, so that clients whose numbers are floats have them exactly.
const IDS: u64 = 1 << 52;
/// The first id that is made. Clients know the empty list as 1.
const FIRST_ID: u64 = 2;
/// How often a list looks for an id of its own.
const ATTEMPTS: u64 = 16;

impl Database {
    /// The id of these names, in their order.
    ///
    /// # Errors
    /// When the store can not be read or written.
    pub async fn attribute_list_id(&self, names: &[String]) -> Result<u64> {
        let first = self.hashed(names);
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            let id = FIRST_ID + (first + attempt) % (IDS - FIRST_ID);
            let key = keyspace::attribute_list(id);
            let snapshot = self.snapshot(Freshness::Latest).await?;
            match snapshot.get(&key).await? {
                Some(value) if decode(&value)? == names => return Ok(id),
                // Two lists of one hash.
                Some(_) => attempt += 1,
                None => {
                    let value = serde_json::to_vec(names)
                        .map_err(|error| Error::Internal(format!("an attribute list can not be written: {error}")))?;
                    let commit = Commit {
                        read_version: snapshot.version(),
                        reads: vec![Read::Key(key.clone())],
                        writes: vec![Write::Put { key, value: value.into() }],
                        catalog_changed: false,
                    };
                    match self.store().commit(commit).await {
                        Ok(_) => return Ok(id),
                        // Somebody else was faster, with the same names most likely.
                        Err(CommitError::Conflict | CommitError::TooOld) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Err(Error::Internal("no id is free for an attribute list".to_owned()))
    }

    /// The names of an id; `None` if it is nobody's.
    ///
    /// # Errors
    /// When the store can not be read.
    pub async fn attribute_list(&self, id: u64) -> Result<Option<Vec<String>>> {
        let snapshot = self.snapshot(Freshness::Latest).await?;
        snapshot.get(&keyspace::attribute_list(id)).await?.map(|value| decode(&value)).transpose()
    }

    fn hashed(&self, names: &[String]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.inner.hash_secret);
        hasher.update(b"attribute list");
        for name in names {
            hasher.update(&(name.len() as u64).to_be_bytes());
            hasher.update(name.as_bytes());
        }
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        u64::from_be_bytes(first) % IDS
    }
}

fn decode(value: &[u8]) -> Result<Vec<String>> {
    serde_json::from_slice(value)
        .map_err(|error| Error::Internal(format!("an attribute list can not be read: {error}")))
}

#[cfg(test)]
mod tests {
    use partita_engine::OpenOptions;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn an_id_is_of_one_list_for_ever() {
        let directory = std::env::temp_dir().join(format!("partita-lists-{}", std::process::id()));
        let options = OpenOptions::directory(&directory);
        let database = Database::open(&options).await.unwrap();
        let lists = [names(&["a", "b"]), names(&["b", "a"]), names(&["ab"]), names(&["a", "b", ""])];
        let mut ids = Vec::new();
        for list in &lists {
            let id = database.attribute_list_id(list).await.unwrap();
            assert!((FIRST_ID..IDS).contains(&id) && !ids.contains(&id));
            assert_eq!(database.attribute_list_id(list).await.unwrap(), id);
            ids.push(id);
        }
        assert_eq!(database.attribute_list(FIRST_ID).await.unwrap(), None);
        database.close().await.unwrap();
        drop(database);
        let database = Database::open(&options).await.unwrap();
        for (list, id) in lists.iter().zip(&ids) {
            assert_eq!(database.attribute_list(*id).await.unwrap().as_ref(), Some(list));
            assert_eq!(database.attribute_list_id(list).await.unwrap(), *id);
        }
        database.close().await.unwrap();
        drop(database);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
