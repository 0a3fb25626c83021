//! The options of data in a FoundationDB cluster, and what goes together with them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use partita_engine::Cluster;

use crate::encryption::EncryptionOptions;
use crate::options::{Unclear, file, named};

/// Where data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// In a directory of this machine, which one server has open
    Rocksdb,
    /// In a FoundationDB cluster, which any number of servers share
    Fdb,
}

#[derive(Debug, Clone, Args)]
pub struct ClusterOptions {
    /// Where the data is
    ///
    /// With fdb any number of servers serve the same data: start one on each machine, with the same --cluster-file and the
    /// same root keys (--keyring with a copy of one file, or a key management service), behind any load balancer.
    #[arg(
        long,
        env = "PARTITA_ENGINE",
        value_name = "ENGINE",
        value_enum,
        default_value_t = Engine::Rocksdb,
        help_heading = "Storage"
    )]
    pub engine: Engine,

    /// FoundationDB's cluster file; without this /etc/foundationdb/fdb.cluster
    #[arg(long, env = "PARTITA_CLUSTER_FILE", value_name = "FILE", value_parser = file, help_heading = "Storage")]
    pub cluster_file: Option<PathBuf>,

    /// What all keys in the cluster begin with, so that it can be shared: at most 32 letters, digits and - . _ /
    #[arg(
        long,
        env = "PARTITA_KEY_PREFIX",
        value_name = "TEXT",
        default_value = "partita/",
        value_parser = key_prefix,
        help_heading = "Storage"
    )]
    pub key_prefix: String,
}

impl ClusterOptions {
    /// The cluster that the data is in; `None` when it is in a directory.
    pub fn cluster(&self) -> Option<Cluster> {
        (self.engine == Engine::Fdb).then(|| self.place())
    }

    /// The cluster that the options name, whether or not the data is there.
    pub fn place(&self) -> Cluster {
        Cluster {
            file: named(&self.cluster_file).map(Into::into),
            prefix: self.key_prefix.clone().into_bytes(),
            ..Cluster::default()
        }
    }

    /// Refuses root keys that only one of several nodes would have.
    ///
    /// # Errors
    /// [`Unclear::KeysOfOneNode`].
    pub fn check_keys(&self, at_rest: &EncryptionOptions) -> Result<(), Unclear> {
        if self.engine == Engine::Fdb && at_rest.would_make_keys_here() { Err(Unclear::KeysOfOneNode) } else { Ok(()) }
    }
}

fn key_prefix(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    if text.len() <= 32 && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("a key prefix has at most 32 letters, digits and - . _ /".to_owned())
    }
}
