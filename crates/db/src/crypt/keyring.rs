//! The keyring: root keys in a file of ours, which only its owner may read. The file holds keys by id and alias, each with
//! all its versions; data keys are wrapped by the newest and open with the one that wrapped them.
//!
//! Wrapping is AES-256-GCM with a random nonce of 96 bits: a root key wraps one data key for each table, far from the 2³²
//! at which such nonces wear out. Context, key and version are authenticated. The file is replaced whole, never changed in
//! place, and under a lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::nonce::random;
use super::service::{KeyAnswer, KeyContext, KeyError, KeyResult, KeyService, WrappedKey};
use super::value::DataKey;
use crate::scope::Scope;

/// The form of the file this version writes, and the newest it reads.
const FORMAT: u32 = 1;
/// The form of a wrapped key.
const WRAPPED: u8 = 1;
/// The alias of the key that wraps where no other is asked for.
const DEFAULT_ALIAS: &str = "aws/dynamodb";
/// The most bytes of a keyring that are read.
const MAX_BYTES: u64 = 16 << 20;
/// The longest alias, in bytes ("CreateAlias": 256 with `alias/`).
const MAX_ALIAS_BYTES: usize = 250;

/// A keyring file, read when it is first needed.
#[derive(Debug)]
pub struct Keyring {
    path: PathBuf,
    read: RwLock<Option<Read>>,
}

#[derive(Debug)]
struct Read {
    stamp: Stamp,
    contents: Contents,
}

/// What tells one state of the file from another.
type Stamp = (Option<SystemTime>, u64);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Contents {
    /// The form of the file.
    partita_keyring: u32,
    keys: Vec<StoredRootKey>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredRootKey {
    id: String,
    aliases: Vec<String>,
    enabled: bool,
    versions: Vec<RootVersion>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RootVersion {
    version: u32,
    created_ms: u64,
    #[serde(serialize_with = "write_key", deserialize_with = "read_key")]
    key: DataKey,
}

/// A root key, without its material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKey {
    /// Its id.
    pub id: String,
    /// Its aliases.
    pub aliases: Vec<String>,
    /// Whether it may be used.
    pub enabled: bool,
    /// The number of its newest version.
    pub newest: u32,
    /// When that was made, in milliseconds since the epoch.
    pub newest_ms: u64,
}

impl Keyring {
    /// The keyring at this path, which need not be there yet.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), read: RwLock::new(None) }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys, in the order in which they were made.
    ///
    /// # Errors
    /// When the file can not be read.
    pub fn keys(&self) -> KeyResult<Vec<RootKey>> {
        Ok(self.load()?.keys.iter().map(StoredRootKey::shown).collect())
    }

    /// Makes a key with an alias.
    ///
    /// # Errors
    /// When the alias is taken or malformed, or the file can not be written.
    pub fn add(&self, alias: &str) -> KeyResult<RootKey> {
        let alias = alias.strip_prefix("alias/").unwrap_or(alias);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
        if alias.is_empty() || alias.len() > MAX_ALIAS_BYTES || !alias.bytes().all(plain) {
            return Err(KeyError::Setup("an alias has letters, digits, slashes, dashes and underscores".to_owned()));
        }
        self.change(|contents| {
            if contents.keys.iter().any(|key| key.aliases.iter().any(|taken| taken == alias)) {
                return Err(KeyError::Setup(format!("there is a key with the alias {alias}")));
            }
            let key = StoredRootKey::new(alias)?;
            contents.keys.push(key.clone());
            Ok(key.shown())
        })
    }

    /// Makes a new version of a key, by its id or alias. Older versions stay: data keys they wrapped open with them.
    ///
    /// # Errors
    /// When there is no such key, or the file can not be written.
    pub fn rotate(&self, key_id: &str) -> KeyResult<RootKey> {
        self.change(|contents| {
            let key = contents.find_mut(key_id)?;
            let version = RootVersion::new(key.newest()?.version.saturating_add(1))?;
            key.versions.push(version);
            Ok(key.shown())
        })
    }

    /// Allows or forbids the use of a key, by its id or alias. Servers follow within seconds.
    ///
    /// # Errors
    /// As for `rotate`.
    pub fn set_enabled(&self, key_id: &str, enabled: bool) -> KeyResult<RootKey> {
        self.change(|contents| {
            let key = contents.find_mut(key_id)?;
            key.enabled = enabled;
            Ok(key.shown())
        })
    }

    /// Reads the file anew.
    fn load(&self) -> KeyResult<Contents> {
        let (stamp, contents) = read(&self.path)?;
        *self.read.write() = Some(Read { stamp, contents: contents.clone() });
        Ok(contents)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> KeyResult<T>) -> KeyResult<T> {
        let _lock = self.lock()?;
        let mut contents = self.load()?;
        let answer = change(&mut contents)?;
        self.write(&contents)?;
        self.load()?;
        Ok(answer)
    }

    /// The lock under which the file is changed; held until it is dropped.
    fn lock(&self) -> KeyResult<File> {
        let path = beside(&self.path, ".lock");
        let lock = private(OpenOptions::new().create(true).truncate(false).write(true)).open(&path);
        let lock = lock.map_err(|error| unusable(&path, &error))?;
        lock.lock().map_err(|error| unusable(&path, &error))?;
        Ok(lock)
    }

    /// Puts the file in its place whole, so that after a crash it is the old one or the new one.
    fn write(&self, contents: &Contents) -> KeyResult<()> {
        let draft = beside(&self.path, ".new");
        let write = || -> io::Result<()> {
            let text = Zeroizing::new(serde_json::to_vec_pretty(contents)?);
            match fs::remove_file(&draft) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Made anew, so that neither a link nor the mode of a file that lay there counts.
            let mut file = private(OpenOptions::new().create_new(true).write(true)).open(&draft)?;
            file.write_all(&text)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)?;
            let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error| unusable(&self.path, &error))
    }

    /// Reads the file, or makes it with a first key where it may be made.
    fn make_ready(&self, new: bool) -> KeyResult<()> {
        if new && !self.path.exists() {
            let _lock = self.lock()?;
            if !self.path.exists() {
                let contents = Contents { partita_keyring: FORMAT, keys: vec![StoredRootKey::new(DEFAULT_ALIAS)?] };
                self.write(&contents)?;
                tracing::info!(path = %self.path.display(), "made a keyring: back it up, the data can not be read without it");
            }
        }
        match self.load() {
            Ok(_) => Ok(()),
            Err(_) if !new && !self.path.exists() => Err(KeyError::Setup(format!(
                "the data is encrypted, and its keyring {} is not there; name the file with --keyring (no new one is \
                 made: it could not open the data)",
                self.path.display()
            ))),
            Err(other) => Err(other),
        }
    }

    /// Does something with a key as it was last read.
    fn with<T>(&self, root: Option<&str>, what: impl FnOnce(&StoredRootKey) -> KeyResult<T>) -> KeyResult<T> {
        if self.read.read().is_none() {
            self.load()?;
        }
        let read = self.read.read();
        let contents = &read.as_ref().ok_or_else(|| KeyError::Setup("the keyring is not read".to_owned()))?.contents;
        what(contents.find(root.unwrap_or(DEFAULT_ALIAS))?)
    }

    fn usable<T>(&self, root: Option<&str>, what: impl FnOnce(&StoredRootKey) -> KeyResult<T>) -> KeyResult<T> {
        self.with(root, |key| {
            if key.enabled {
                what(key)
            } else {
                Err(KeyError::refused("DisabledException", format!("key/{} is disabled.", key.id)))
            }
        })
    }
}

impl KeyService for Keyring {
    fn kind(&self) -> &'static str {
        "keyring"
    }

    fn prepare(&self, new: bool) -> KeyAnswer<'_, ()> {
        Box::pin(async move { self.make_ready(new) })
    }

    fn has_keys(&self) -> bool {
        self.path.exists()
    }

    fn resolve<'a>(&'a self, key_id: &'a str) -> KeyAnswer<'a, String> {
        Box::pin(async move { self.usable(Some(key_id), |key| Ok(key.id.clone())) })
    }

    fn arn(&self, root: Option<&str>, scope: &Scope) -> String {
        let id = self.with(root, |key| Ok(key.id.clone())).ok();
        let id = id.as_deref().or(root).unwrap_or_default();
        format!("arn:aws:kms:{}:{}:key/{id}", scope.region, scope.account)
    }

    fn generate<'a>(&'a self, root: Option<&'a str>, context: &'a KeyContext) -> KeyAnswer<'a, (DataKey, WrappedKey)> {
        Box::pin(async move {
            let key = DataKey::random().map_err(|error| KeyError::Unreachable(error.to_string()))?;
            let wrapped = self.usable(root, |root| root.wrap(&key, context))?;
            Ok((key, wrapped))
        })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a KeyContext) -> KeyAnswer<'a, DataKey> {
        Box::pin(async move { self.usable(Some(&wrapped.root), |root| root.unwrap(&wrapped.bytes, context)) })
    }

    fn rewrap<'a>(
        &'a self,
        wrapped: &'a WrappedKey,
        root: Option<&'a str>,
        context: &'a KeyContext,
    ) -> KeyAnswer<'a, WrappedKey> {
        Box::pin(async move {
            let key = self.usable(Some(&wrapped.root), |root| root.unwrap(&wrapped.bytes, context))?;
            self.usable(root, |root| root.wrap(&key, context))
        })
    }

    fn is_newest(&self, wrapped: &WrappedKey, root: Option<&str>) -> bool {
        let newest = self.with(root, |key| Ok((key.id.clone(), key.newest()?.version)));
        let version = wrapped.bytes.get(1..5).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        newest.is_ok_and(|(id, newest)| id == wrapped.root && Some(newest) == version)
    }

    fn has_changed(&self) -> bool {
        let Some(known) = self.read.read().as_ref().map(|read| read.stamp) else { return false };
        let Ok(metadata) = fs::metadata(&self.path) else { return false };
        if (metadata.modified().ok(), metadata.len()) == known {
            return false;
        }
        match self.load() {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, "the keyring has changed but can not be read: its last state stays in use");
                false
            }
        }
    }
}

impl Contents {
    /// A key by its id or alias, plain or at the end of an ARN.
    fn find(&self, key_id: &str) -> KeyResult<&StoredRootKey> {
        let name = key_id.rsplit_once(':').filter(|_| key_id.starts_with("arn:")).map_or(key_id, |(_, name)| name);
        let name = name.strip_prefix("key/").or(name.strip_prefix("alias/")).unwrap_or(name);
        let named = |key: &&StoredRootKey| key.id == name || key.aliases.iter().any(|alias| alias == name);
        self.keys
            .iter()
            .find(named)
            .ok_or_else(|| KeyError::refused("NotFoundException", format!("Key '{key_id}' does not exist")))
    }

    fn find_mut(&mut self, key_id: &str) -> KeyResult<&mut StoredRootKey> {
        let id = self.find(key_id)?.id.clone();
        let found = self.keys.iter_mut().find(|key| key.id == id);
        found.ok_or_else(|| KeyError::refused("NotFoundException", format!("Key '{key_id}' does not exist")))
    }
}

impl StoredRootKey {
    fn new(alias: &str) -> KeyResult<Self> {
        let id = crate::tables::new_uuid().map_err(|error| KeyError::Setup(error.to_string()))?;
        Ok(Self { id, aliases: vec![alias.to_owned()], enabled: true, versions: vec![RootVersion::new(1)?] })
    }

    fn newest(&self) -> KeyResult<&RootVersion> {
        let newest = self.versions.iter().max_by_key(|version| version.version);
        newest.ok_or_else(|| KeyError::Setup(format!("the keyring has no version of key {}", self.id)))
    }

    fn shown(&self) -> RootKey {
        let newest = self.newest();
        RootKey {
            id: self.id.clone(),
            aliases: self.aliases.clone(),
            enabled: self.enabled,
            newest: newest.as_ref().map_or(0, |newest| newest.version),
            newest_ms: newest.as_ref().map_or(0, |newest| newest.created_ms),
        }
    }

    fn wrap(&self, key: &DataKey, context: &KeyContext) -> KeyResult<WrappedKey> {
        let root = self.newest()?;
        let nonce: [u8; NONCE_LEN] = random().map_err(|error| KeyError::Unreachable(error.to_string()))?;
        let mut sealed = Zeroizing::new(key.expose().to_vec());
        let aad = Aad::from(authenticated(&self.id, root.version, context));
        let tag = root.cipher()?.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed);
        let tag = tag.map_err(|_| KeyError::Setup("a data key can not be wrapped".to_owned()))?;
        let bytes = [&[WRAPPED], root.version.to_be_bytes().as_slice(), &nonce, &sealed, tag.as_ref()].concat();
        Ok(WrappedKey { root: self.id.clone(), bytes })
    }

    fn unwrap(&self, wrapped: &[u8], context: &KeyContext) -> KeyResult<DataKey> {
        let wrong = || KeyError::refused("InvalidCiphertextException", "the wrapped key is not of this root key");
        let [WRAPPED, v0, v1, v2, v3, rest @ ..] = wrapped else { return Err(wrong()) };
        let version = u32::from_be_bytes([*v0, *v1, *v2, *v3]);
        let root = self.versions.iter().find(|known| known.version == version).ok_or_else(|| {
            KeyError::refused(
                "NotFoundException",
                format!("version {version} of key '{}' is not in the keyring", self.id),
            )
        })?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(wrong)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(authenticated(&self.id, version, context));
        let opened = root.cipher()?.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut sealed);
        DataKey::from_slice(opened.map_err(|_| wrong())?).ok_or_else(wrong)
    }
}

impl RootVersion {
    fn new(version: u32) -> KeyResult<Self> {
        let key = DataKey::random().map_err(|error| KeyError::Setup(error.to_string()))?;
        Ok(Self { version, created_ms: crate::tables::now_ms(), key })
    }

    fn cipher(&self) -> KeyResult<LessSafeKey> {
        let key = UnboundKey::new(&AES_256_GCM, self.key.expose());
        key.map(LessSafeKey::new).map_err(|_| KeyError::Setup("a root key can not be used".to_owned()))
    }
}

/// What is authenticated with a wrapped key: the root key, its version and the context, each part with its length.
fn authenticated(id: &str, version: u32, context: &KeyContext) -> Vec<u8> {
    let mut out = version.to_be_bytes().to_vec();
    let names = context.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    for part in std::iter::once(id).chain(names) {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out
}

fn read(path: &Path) -> KeyResult<(Stamp, Contents)> {
    let file = File::open(path).map_err(|error| unusable(path, &error))?;
    let metadata = file.metadata().map_err(|error| unusable(path, &error))?;
    if metadata.len() > MAX_BYTES {
        return Err(KeyError::Setup(format!("{} is too large for a keyring", path.display())));
    }
    refuse_if_others_can_read(path, &metadata)?;
    // Room for all at once: a buffer that grows leaves copies behind.
    let room = usize::try_from(metadata.len()).unwrap_or_default().saturating_add(1);
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(|error| unusable(path, &error))?;
    let contents: Contents = serde_json::from_slice(&text).map_err(|error| {
        // The position alone: a message of the parser could show a key.
        KeyError::Setup(format!("{} is no keyring (line {}, column {})", path.display(), error.line(), error.column()))
    })?;
    if contents.partita_keyring != FORMAT {
        return Err(KeyError::Setup(format!("{} was made by a newer version of Partita", path.display())));
    }
    Ok(((metadata.modified().ok(), metadata.len()), contents))
}

#[cfg(unix)]
fn refuse_if_others_can_read(path: &Path, metadata: &fs::Metadata) -> KeyResult<()> {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(KeyError::Setup(format!(
            "others than its owner can read or change the keyring {0}: chmod 600 {0} takes that away",
            path.display()
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_if_others_can_read(_: &Path, _: &fs::Metadata) -> KeyResult<()> {
    Ok(())
}

/// Options that make files which only their owner may read.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn unusable(path: &Path, error: &io::Error) -> KeyError {
    match error.kind() {
        ErrorKind::NotFound => KeyError::Setup(format!("there is no keyring at {}", path.display())),
        _ => KeyError::Setup(format!("the keyring {} can not be used: {error}", path.display())),
    }
}

fn write_key<S: Serializer>(key: &DataKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&Zeroizing::new(STANDARD.encode(key.expose())))
}

fn read_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataKey, D::Error> {
    let text = Zeroizing::new(String::deserialize(deserializer)?);
    let bytes = STANDARD.decode(text.as_bytes()).map(Zeroizing::new);
    let key = bytes.ok().and_then(|bytes| DataKey::from_slice(&bytes));
    key.ok_or_else(|| serde::de::Error::custom("a key is not 32 bytes in base64"))
}
