//! Identities on a database in memory.
