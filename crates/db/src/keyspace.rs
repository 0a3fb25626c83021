//! Where everything lies in the store: the spaces, and the keys inside them.
//!
//! Every key begins with the byte of its space; keys of a table go on with its id. Ids are never used again, so a
//! dropped table's keys can be retired by prefix, and a stale cache can not touch a new table's data.

use partita_engine::Key;
use partita_model::key::PartitionHash;

/// Records of the database itself.
pub const SPACE_META: u8 = 0x01;
/// Table records, by account, region and name.
const SPACE_CATALOG: u8 = 0x02;
/// Stream entries, by account, region, table and label.
const SPACE_STREAM_CATALOG: u8 = 0x03;
/// What is known of streams' shards.
const SPACE_SHARD: u8 = 0x04;
/// Leases of background jobs.
const SPACE_JOB: u8 = 0x05;
/// Client tokens of transactions, by ten minutes.
const SPACE_TOKEN: u8 = 0x06;
/// Definitions of triggers, by account, region and name.
const SPACE_TRIGGER: u8 = 0x07;
/// How far triggers have come, by their ids.
pub const SPACE_TRIGGER_STATE: u8 = 0x08;
/// Users, groups, roles, policies and providers, by account, kind and name.
const SPACE_IDENTITY: u8 = 0x0A;
/// Access keys, by id.
const SPACE_ACCESS_KEY: u8 = 0x0B;
/// When access keys were last used, by id.
const SPACE_ACCESS_KEY_USE: u8 = 0x0C;
/// Tables' data keys, wrapped, by table.
pub const SPACE_TABLE_KEYS: u8 = 0x0F;
/// Items of tables.
pub const SPACE_ITEM: u8 = 0x10;
/// Entries of local secondary indexes.
pub const SPACE_LOCAL_INDEX: u8 = 0x11;
/// Entries of global secondary indexes.
pub const SPACE_GLOBAL_INDEX: u8 = 0x12;
/// Stream records, by stream, shard and position.
pub const SPACE_STREAM: u8 = 0x13;
/// Expiry times of items, by table, queue and time.
pub const SPACE_EXPIRY: u8 = 0x14;
/// Previous images of items, by table, history and position.
pub const SPACE_HISTORY: u8 = 0x15;
/// Counts and sizes of tables and indexes.
pub const SPACE_COUNTER: u8 = 0x16;
/// Images gathered from histories by jobs that read the past, by table and job.
const SPACE_GATHERED: u8 = 0x17;
/// What is known of tables' histories.
const SPACE_HISTORY_FACT: u8 = 0x40;
/// Marks that tie seconds to positions.
const SPACE_MOMENT: u8 = 0x41;
/// Backups, by account, region and id.
const SPACE_BACKUP: u8 = 0x42;
/// Backups and restores under way.
const SPACE_BACKUP_JOB: u8 = 0x43;
/// How far those have come.
const SPACE_JOB_STATE: u8 = 0x44;
/// Exports.
const SPACE_EXPORT: u8 = 0x45;
/// Client tokens of exports.
const SPACE_EXPORT_TOKEN: u8 = 0x46;

/// Scalable targets, by account, region, dimension and resource.
const SPACE_SCALABLE_TARGET: u8 = 0x50;
/// What auto scaling has done, by account, region and time.
const SPACE_SCALING_ACTIVITY: u8 = 0x51;
/// Units consumed of scalable targets, by minute and node.
const SPACE_SCALING_USAGE: u8 = 0x52;

/// What nodes have consumed of limited tables, by table, index and node.
const SPACE_SHARED_TOTALS: u8 = 0x53;
/// Loads: imports and bulk operations, by kind, account, region and id.
const SPACE_LOAD: u8 = 0x48;
/// Those under way, by kind and id.
const SPACE_LOAD_JOB: u8 = 0x49;
/// How far those have come.
const SPACE_LOAD_PROGRESS: u8 = 0x4A;
/// Client tokens of loads, by kind and hash.
const SPACE_LOAD_TOKEN: u8 = 0x4B;

/// The first space of tables' data: keys go on with a table's id, and values are sealed under the table's data key.
pub const TABLE_SPACE_FIRST: u8 = 0x10;
/// The last such space.
pub const TABLE_SPACE_LAST: u8 = 0x1F;

/// The account's length in catalog keys.
const ACCOUNT_BYTES: usize = 12;

/// The key of the secret that keys partition hashes.
pub const fn hash_secret() -> Key {
    Key::from_static(&[SPACE_META, b'h'])
}

/// The key of the id the next table gets.
pub const fn next_table_id() -> Key {
    Key::from_static(&[SPACE_META, b't'])
}

/// The key of how far a copy into this store has come that is not finished.
pub const fn transfer() -> Key {
    Key::from_static(&[SPACE_META, b'm'])
}

/// A key that is never written.
pub const fn transfer_probe() -> Key {
    Key::from_static(&[SPACE_META, b'n'])
}

/// The key of how the database's own records are sealed.
pub const fn vault() -> Key {
    Key::from_static(&[SPACE_META, b'k'])
}

/// The key of the names of an attribute list.
pub fn attribute_list(id: u64) -> Key {
    let mut key = vec![SPACE_META, b'a'];
    key.extend_from_slice(&id.to_be_bytes());
    key.into()
}

/// The key of a table's data keys.
pub fn table_keys(table: u32) -> Key {
    table_prefix(SPACE_TABLE_KEYS, table).into()
}

/// What the keys of all tables' data keys begin with.
pub const fn all_table_keys() -> Key {
    Key::from_static(&[SPACE_TABLE_KEYS])
}

/// What the keys of client tokens begin with that were given in one stretch of ten minutes since the epoch.
pub fn token_bucket(number: u64) -> Vec<u8> {
    let mut key = vec![SPACE_TOKEN];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// What the catalog keys of an account's tables in a region begin with.
pub fn catalog_prefix(account: &str, region: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + ACCOUNT_BYTES + region.len() + 64);
    key.push(SPACE_CATALOG);
    key.extend_from_slice(account.as_bytes());
    key.push(0);
    key.extend_from_slice(region.as_bytes());
    key.push(0);
    key
}

/// The catalog key of a table.
pub fn catalog_key(account: &str, region: &str, table: &str) -> Vec<u8> {
    let mut key = catalog_prefix(account, region);
    key.extend_from_slice(table.as_bytes());
    key
}

/// What all catalog keys begin with.
pub const fn catalog() -> Key {
    Key::from_static(&[SPACE_CATALOG])
}

/// What the keys of a table in one space begin with.
pub fn table_prefix(space: u8, table: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    key.push(space);
    key.extend_from_slice(&table.to_be_bytes());
    key
}

/// What the keys of an index begin with.
pub fn index_prefix(space: u8, table: u32, index: u16) -> Vec<u8> {
    let mut key = table_prefix(space, table);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// The spaces whose keys under a table's id go with the table at once.
pub const TABLE_SPACES: [u8; 7] =
    [SPACE_ITEM, SPACE_LOCAL_INDEX, SPACE_GLOBAL_INDEX, SPACE_EXPIRY, SPACE_COUNTER, SPACE_HISTORY, SPACE_HISTORY_FACT];

/// The ranges of spaces whose values only have to open: all but tables' data and counters.
pub const UNCHECKED_SPACES: [(&[u8], &[u8]); 2] = [(&[0], &[TABLE_SPACE_FIRST]), (&[SPACE_GATHERED], &[0xFF])];

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Items, or entries of an index.
    Items,
    /// Their bytes.
    Bytes,
}

/// The index id under which a table's own counters stand; real indexes begin at 1.
pub const TABLE_ITSELF: u16 = 0;
/// The index id under which the sizes of item collections stand; real indexes end before it.
const COLLECTIONS: u16 = u16::MAX;
/// How many keys each counter is spread over.
pub const COUNTER_SLOTS: u8 = 16;

/// A counter's key. The partition hash picks the slot.
pub fn counter(table: u32, index: u16, counter: Counter, hash: &PartitionHash) -> Key {
    let [first, ..] = hash;
    let mut key = index_prefix(SPACE_COUNTER, table, index);
    key.push(match counter {
        Counter::Items => 0,
        Counter::Bytes => 1,
    });
    key.push(first % COUNTER_SLOTS);
    key.into()
}

/// The key of the counter of an item collection's bytes.
pub fn collection(table: u32, hash: &PartitionHash) -> Key {
    let mut key = index_prefix(SPACE_COUNTER, table, COLLECTIONS);
    key.extend_from_slice(hash);
    key.into()
}

/// What a counter of a table or index counts, by its key; `None` for the size of an item collection.
pub fn counted(key: &[u8]) -> Option<(u16, Counter)> {
    // Space and table, index, kind, slot.
    match key.get(1 + 4..)? {
        [high, low, kind, _] => {
            let counter = if *kind == Counter::Items as u8 { Counter::Items } else { Counter::Bytes };
            Some((u16::from_be_bytes([*high, *low]), counter))
        }
        _ => None,
    }
}

/// The partition hash in the key of an item collection's counter.
pub fn collection_hash(key: &[u8]) -> Option<PartitionHash> {
    key.get(1 + 4 + 2..)?.try_into().ok()
}

/// The key of how far the filling of a global index has come. It lies where an index 0 would.
pub fn index_progress(table: u32, index: u16) -> Key {
    let mut key = index_prefix(SPACE_GLOBAL_INDEX, table, 0);
    key.extend_from_slice(&index.to_be_bytes());
    key.into()
}

/// What the counters of a table or index begin with.
pub fn counters(table: u32, index: u16) -> Key {
    index_prefix(SPACE_COUNTER, table, index).into()
}

/// What the keys of an account's stream entries in a region begin with.
pub fn stream_catalog_prefix(account: &str, region: &str) -> Vec<u8> {
    let mut key = catalog_prefix(account, region);
    if let Some(space) = key.first_mut() {
        *space = SPACE_STREAM_CATALOG;
    }
    key
}

/// What the keys of a table's stream entries begin with.
pub fn stream_catalog_table(account: &str, region: &str, table: &str) -> Vec<u8> {
    let mut key = stream_catalog_prefix(account, region);
    key.extend_from_slice(table.as_bytes());
    key.push(0);
    key
}

/// The key of a stream's entry.
pub fn stream_catalog_key(account: &str, region: &str, table: &str, label: &str) -> Key {
    let mut key = stream_catalog_table(account, region, table);
    key.extend_from_slice(label.as_bytes());
    key.into()
}

/// What all stream entries' keys begin with.
pub const fn stream_catalog() -> Key {
    Key::from_static(&[SPACE_STREAM_CATALOG])
}

/// What the keys about a stream's shards begin with. A shard's own go on with its number (4 bytes) and a [`ShardFact`].
pub fn shards(stream: StreamId) -> Vec<u8> {
    let mut key = table_prefix(SPACE_SHARD, stream.table);
    key.extend_from_slice(&stream.generation.to_be_bytes());
    key
}

/// The length of what [`shards`] returns.
pub const SHARDS_PREFIX_BYTES: usize = 9;

/// What the keys about one shard begin with.
pub fn shard(stream: StreamId, number: u32) -> Vec<u8> {
    let mut key = shards(stream);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// What a key about a shard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ShardFact {
    /// That it ended, at the position that follows.
    End = b'e',
    /// The position of the last record that was trimmed.
    Trimmed = b'm',
    /// That it started, at the position that follows.
    Start = b's',
}

/// The key of a fact about a shard, or what it begins with when a position follows.
pub fn shard_fact(stream: StreamId, number: u32, fact: ShardFact) -> Key {
    let mut key = shard(stream, number);
    key.push(fact as u8);
    key.into()
}

/// What the keys of a stream's records begin with; numbers of shards and positions follow.
pub fn stream(stream: StreamId) -> Vec<u8> {
    let mut key = table_prefix(SPACE_STREAM, stream.table);
    key.extend_from_slice(&stream.generation.to_be_bytes());
    key
}

/// What the keys of a shard's records begin with; their positions follow.
pub fn stream_log(stream: StreamId, number: u32) -> Vec<u8> {
    let mut key = table_prefix(SPACE_STREAM, stream.table);
    key.extend_from_slice(&stream.generation.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// A stream, as keys name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// The table's id.
    pub table: u32,
    /// Which of the table's streams it is, from 1.
    pub generation: u32,
}

/// What the keys of an expiry queue begin with.
pub fn expiry_queue(table: u32, generation: u32) -> Vec<u8> {
    let mut key = table_prefix(SPACE_EXPIRY, table);
    key.extend_from_slice(&generation.to_be_bytes());
    key
}

/// The key of a job's lease.
pub fn lease(job: &str) -> Key {
    let mut key = vec![SPACE_JOB];
    key.extend_from_slice(job.as_bytes());
    key.into()
}

/// The key of how far the filling of an expiry queue has come. It lies where a queue 0 would.
pub fn expiry_progress(table: u32, generation: u32) -> Key {
    let mut key = expiry_queue(table, 0);
    key.extend_from_slice(&generation.to_be_bytes());
    key.into()
}

/// The catalog key of the table whose stream's entry has this key.
pub fn catalog_key_of_stream(stream: &[u8]) -> Option<Key> {
    let label = stream.iter().rposition(|byte| *byte == 0)?;
    let mut key = stream.get(..label)?.to_vec();
    *key.first_mut()? = SPACE_CATALOG;
    Some(key.into())
}

/// What the keys of all triggers' definitions begin with.
pub const fn triggers() -> Key {
    Key::from_static(&[SPACE_TRIGGER])
}

/// What the keys of an account's triggers in a region begin with.
pub fn triggers_of(account: &str, region: &str) -> Vec<u8> {
    let mut key = catalog_prefix(account, region);
    if let Some(space) = key.first_mut() {
        *space = SPACE_TRIGGER;
    }
    key
}

/// The key of a trigger's definition.
pub fn trigger(account: &str, region: &str, name: &str) -> Key {
    let mut key = triggers_of(account, region);
    key.extend_from_slice(name.as_bytes());
    key.into()
}

/// What the keys of a trigger's state begin with. Ids are never used again.
pub fn trigger_state(id: &str) -> Vec<u8> {
    let mut key = vec![SPACE_TRIGGER_STATE];
    key.extend_from_slice(id.as_bytes());
    key
}

/// What the keys of a trigger's progress begin with; ids of shards follow.
pub fn trigger_progress(id: &str) -> Vec<u8> {
    let mut key = trigger_state(id);
    key.push(b'p');
    key
}

/// What the keys of a trigger's counters begin with; one byte says what each counts.
pub fn trigger_tally(id: &str) -> Vec<u8> {
    let mut key = trigger_state(id);
    key.push(b't');
    key
}

/// What the keys of an account's identities of one kind begin with.
pub fn identities(account: &str, kind: u8) -> Vec<u8> {
    let mut key = vec![SPACE_IDENTITY];
    key.extend_from_slice(account.as_bytes());
    key.push(0);
    key.push(kind);
    key
}

/// The key of an identity's record.
pub fn identity(account: &str, kind: u8, name: &str) -> Key {
    let mut key = identities(account, kind);
    key.extend_from_slice(name.as_bytes());
    key.into()
}

/// The key of an access key's record.
pub fn access_key(id: &str) -> Key {
    let mut key = vec![SPACE_ACCESS_KEY];
    key.extend_from_slice(id.as_bytes());
    key.into()
}

/// The key of when an access key was last used.
pub fn access_key_use(id: &str) -> Key {
    let mut key = vec![SPACE_ACCESS_KEY_USE];
    key.extend_from_slice(id.as_bytes());
    key.into()
}

fn of_scope(space: u8, scope: &crate::Scope) -> Vec<u8> {
    let mut key = catalog_prefix(&scope.account, &scope.region);
    if let Some(first) = key.first_mut() {
        *first = space;
    }
    key
}

/// What the keys of all scalable targets begin with.
pub const fn scalable_targets() -> Key {
    Key::from_static(&[SPACE_SCALABLE_TARGET])
}

/// What the keys of an account's scalable targets in a region begin with.
pub fn scalable_targets_of(scope: &crate::Scope) -> Vec<u8> {
    of_scope(SPACE_SCALABLE_TARGET, scope)
}

/// The key of a scalable target.
pub fn scalable_target(scope: &crate::Scope, dimension: u8, resource: &str) -> Key {
    let mut key = scalable_targets_of(scope);
    key.push(dimension);
    key.extend_from_slice(resource.as_bytes());
    key.into()
}

/// What the keys of an account's scaling activities in a region begin with; inverted times and ids follow.
pub fn scaling_activities_of(scope: &crate::Scope) -> Vec<u8> {
    of_scope(SPACE_SCALING_ACTIVITY, scope)
}

/// What the keys of the units begin with that were consumed of a table or index; minutes and nodes follow.
pub fn scaling_usage(table: u32, index: u16, read: bool) -> Vec<u8> {
    let mut key = index_prefix(SPACE_SCALING_USAGE, table, index);
    key.push(u8::from(read));
    key
}

/// What the keys of what nodes have consumed begin with.
pub const fn all_shared_totals() -> Key {
    Key::from_static(&[SPACE_SHARED_TOTALS])
}

/// The key of what a node has consumed of a table or index.
pub fn shared_totals(table: u32, index: u16, node: u64) -> Key {
    let mut key = index_prefix(SPACE_SHARED_TOTALS, table, index);
    key.extend_from_slice(&node.to_be_bytes());
    key.into()
}

/// The table, index and node of such a key.
pub fn read_shared_totals(key: &[u8]) -> Option<(u32, u16, u64)> {
    let (table, rest) = key.strip_prefix(&[SPACE_SHARED_TOTALS])?.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let node = rest.try_into().ok()?;
    Some((u32::from_be_bytes(*table), u16::from_be_bytes(*index), u64::from_be_bytes(node)))
}

/// The key of how many tables can be recovered: a counter where those of a table 0 would be, which there is not.
pub fn recovering_tables() -> Key {
    counters(0, TABLE_ITSELF)
}

/// What the keys of a table's history begin with; positions follow.
pub fn history(table: u32, generation: u32) -> Vec<u8> {
    let mut key = table_prefix(SPACE_HISTORY, table);
    key.extend_from_slice(&generation.to_be_bytes());
    key
}

/// The key of the position up to which a history is trimmed.
pub fn history_trimmed(table: u32, generation: u32) -> Key {
    let mut key = table_prefix(SPACE_HISTORY_FACT, table);
    key.push(b't');
    key.extend_from_slice(&generation.to_be_bytes());
    key.into()
}

/// What the keys begin with that say where recovery of a table was switched on; the positions follow.
pub fn recovery_starts(table: u32) -> Vec<u8> {
    let mut key = table_prefix(SPACE_HISTORY_FACT, table);
    key.push(b'r');
    key
}

/// What the key of a second's mark begins with; its position follows.
pub fn moment(second: u64) -> Key {
    let mut key = vec![SPACE_MOMENT];
    key.extend_from_slice(&second.to_be_bytes());
    key.into()
}

/// The end of all marks.
pub const fn moments_end() -> Key {
    Key::from_static(&[SPACE_MOMENT + 1])
}

/// What the keys of an account's backups in a region begin with.
pub fn backups_of(account: &str, region: &str) -> Vec<u8> {
    let mut key = catalog_prefix(account, region);
    if let Some(space) = key.first_mut() {
        *space = SPACE_BACKUP;
    }
    key
}

/// The key of a backup's record.
pub fn backup(account: &str, region: &str, id: &str) -> Key {
    let mut key = backups_of(account, region);
    key.extend_from_slice(id.as_bytes());
    key.into()
}

/// What the keys of all backups begin with.
pub const fn backups() -> Key {
    Key::from_static(&[SPACE_BACKUP])
}

/// What the keys of all loads begin with.
pub const fn loads() -> Key {
    Key::from_static(&[SPACE_LOAD])
}

/// What the keys of an account's loads of one kind in a region begin with.
pub fn loads_of(kind: u8, account: &str, region: &str) -> Vec<u8> {
    let mut key = vec![SPACE_LOAD, kind];
    for part in [account, region] {
        key.extend_from_slice(part.as_bytes());
        key.push(0);
    }
    key
}

/// What the keys of all loads under way begin with.
pub const fn load_jobs() -> Key {
    Key::from_static(&[SPACE_LOAD_JOB])
}

/// The key that says that a load is under way.
pub fn load_job(kind: u8, id: &str) -> Key {
    [&[SPACE_LOAD_JOB, kind], id.as_bytes()].concat().into()
}

/// The key of how far a load has come.
pub fn load_progress(kind: u8, id: &str) -> Key {
    [&[SPACE_LOAD_PROGRESS, kind], id.as_bytes()].concat().into()
}

/// The key of a client token of loads of one kind.
pub fn load_token(kind: u8, hash: &str) -> Key {
    [&[SPACE_LOAD_TOKEN, kind], hash.as_bytes()].concat().into()
}

/// What the keys of an account's exports of a table begin with.
pub fn exports_of(account: &str, region: &str, table: &str) -> Vec<u8> {
    let mut key = catalog_key(account, region, table);
    if let Some(space) = key.first_mut() {
        *space = SPACE_EXPORT;
    }
    key.push(0);
    key
}

/// What the keys of an account's exports in a region begin with.
pub fn exports_in(account: &str, region: &str) -> Vec<u8> {
    let mut key = catalog_prefix(account, region);
    if let Some(space) = key.first_mut() {
        *space = SPACE_EXPORT;
    }
    key
}

/// The key of an export's record.
pub fn export(account: &str, region: &str, table: &str, id: &str) -> Key {
    let mut key = exports_of(account, region, table);
    key.extend_from_slice(id.as_bytes());
    key.into()
}

/// What the keys of all exports begin with.
pub const fn exports() -> Key {
    Key::from_static(&[SPACE_EXPORT])
}

/// The key of a client token of exports, by its hash.
pub fn export_token(hash: &[u8; 32]) -> Key {
    [&[SPACE_EXPORT_TOKEN], hash.as_slice()].concat().into()
}

/// What the keys of all client tokens of exports begin with.
pub const fn export_tokens() -> Key {
    Key::from_static(&[SPACE_EXPORT_TOKEN])
}

/// What the keys of the files that an export has written begin with; the number of the file follows.
pub fn export_files(job: JobId) -> Vec<u8> {
    let mut key = job_state(job);
    key.push(b'f');
    key
}

/// A backup or restore under way; never used again.
pub type JobId = u128;

/// What the keys of all backups and restores under way begin with.
pub const fn backup_jobs() -> Key {
    Key::from_static(&[SPACE_BACKUP_JOB])
}

/// The key of a backup or restore under way.
pub fn backup_job(job: JobId) -> Key {
    let mut key = vec![SPACE_BACKUP_JOB];
    key.extend_from_slice(&job.to_be_bytes());
    key.into()
}

/// What the keys of how far a job has come begin with.
pub fn job_state(job: JobId) -> Vec<u8> {
    let mut key = vec![SPACE_JOB_STATE];
    key.extend_from_slice(&job.to_be_bytes());
    key
}

/// What the key of the moment a job reads begins with; the position follows.
pub fn job_position(job: JobId) -> Vec<u8> {
    let mut key = job_state(job);
    key.push(b'p');
    key
}

/// The key of what a job has copied.
pub fn job_progress(job: JobId) -> Key {
    let mut key = job_state(job);
    key.push(b'c');
    key.into()
}

/// The key of the position up to which a job has gathered images.
pub fn gathering_progress(job: JobId) -> Key {
    let mut key = job_state(job);
    key.push(b'g');
    key.into()
}

/// What the keys of all images that jobs have gathered begin with; tables and jobs follow.
pub const fn all_gathered_images() -> Key {
    Key::from_static(&[SPACE_GATHERED])
}

/// What the keys of the images of a table that a job has gathered begin with; the items' keys follow.
pub fn gathered_images(table: u32, job: JobId) -> Vec<u8> {
    let mut key = table_prefix(SPACE_GATHERED, table);
    key.extend_from_slice(&job.to_be_bytes());
    key
}
