//! What is kept of users, groups, roles, managed policies and providers.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::limits;

/// A user, group or role: what they have in common, and a part of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity<P> {
    /// Its id, such as `AIDA…`; never used again.
    pub id: String,
    /// Its name, unique among its kind in the account without regard to case.
    pub name: String,
    /// Its path, such as `/` or `/players/`.
    pub path: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// Its tags, by key. Groups have none.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The policies it holds.
    #[serde(default)]
    pub held: Held,
    /// What only its kind has.
    pub own: P,
}

/// A user.
pub type User = Entity<UserPart>;
/// A group of users.
pub type Group = Entity<GroupPart>;
/// A role.
pub type Role = Entity<RolePart>;

/// The policies that a user, group or role holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Inline policies: documents by name.
    #[serde(default)]
    pub inline: BTreeMap<String, String>,
    /// ARNs of managed policies, in the order in which they were attached.
    #[serde(default)]
    pub attached: Vec<String>,
    /// The ARN of the permissions boundary. Groups have none.
    #[serde(default)]
    pub boundary: Option<String>,
}

/// What only users have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPart {
    /// The names of its groups, in the order in which it was added.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The ids of its access keys, in the order in which they were made.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// What only groups have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPart {
    /// How many users are in it; which ones is in their records.
    #[serde(default)]
    pub members: u32,
}

/// What only roles have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolePart {
    /// The document that says who may assume it.
    pub trust: String,
    /// Its description.
    #[serde(default)]
    pub description: Option<String>,
    /// The longest session that can be asked for, in seconds: 3,600 to 43,200.
    pub max_session_seconds: u32,
}

/// A kind of entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Users.
    User,
    /// Groups.
    Group,
    /// Roles.
    Role,
}

impl Kind {
    /// The kind in ARNs and in the names of IAM's messages: `user`, `group`, `role`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    /// The kind as a title: `User`, `Group`, `Role`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Role => "Role",
        }
    }

    /// The most of them in an account, with the name of that quota.
    pub(super) const fn quota(self) -> (&'static str, usize) {
        match self {
            Self::User => ("UsersPerAccount", limits::MAX_USERS),
            Self::Group => ("GroupsPerAccount", limits::MAX_GROUPS),
            Self::Role => ("RolesPerAccount", limits::MAX_ROLES),
        }
    }

    /// The most characters of its inline policies.
    pub(super) const fn max_inline(self) -> usize {
        match self {
            Self::User => limits::MAX_USER_INLINE,
            Self::Group => limits::MAX_GROUP_INLINE,
            Self::Role => limits::MAX_ROLE_INLINE,
        }
    }

    /// What ids begin with.
    pub(super) const fn id_prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
        }
    }

    /// The byte that stands for it in keys.
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::User => b'u',
            Self::Group => b'g',
            Self::Role => b'r',
        }
    }
}

/// What only one kind of entity has.
pub trait Part: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Which kind.
    const KIND: Kind;
}

impl Part for UserPart {
    const KIND: Kind = Kind::User;
}

impl Part for GroupPart {
    const KIND: Kind = Kind::Group;
}

impl Part for RolePart {
    const KIND: Kind = Kind::Role;
}

impl<P: Part> Entity<P> {
    /// Its ARN in an account.
    #[must_use]
    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:{}{}{}", P::KIND.word(), self.path, self.name)
    }
}

/// A managed policy of an account's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// Its id: `ANPA…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its description.
    #[serde(default)]
    pub description: Option<String>,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// When its versions last changed, in milliseconds since the epoch.
    pub changed_ms: u64,
    /// The number of the version that holds.
    pub default_version: u32,
    /// The number that the next version gets.
    pub next_version: u32,
    /// Its versions, oldest first; there is always the default one.
    pub versions: Vec<PolicyVersion>,
    /// Its tags, by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Its number, from 1: `v1`.
    pub number: u32,
    /// The document.
    pub document: String,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
}

impl ManagedPolicy {
    /// A version.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&PolicyVersion> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The document that holds.
    #[must_use]
    pub fn document(&self) -> &str {
        self.version(self.default_version).map(|version| version.document.as_str()).unwrap_or_default()
    }
}

/// How often a managed policy is used in an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyUse {
    /// By how many users, groups and roles it is attached.
    pub attachments: u32,
    /// For how many users and roles it is the boundary.
    pub boundaries: u32,
}

/// An OpenID Connect provider whose tokens roles can be assumed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// The issuer, with its scheme: `https://accounts.example.com`.
    pub url: String,
    /// The audiences that tokens may name.
    pub client_ids: Vec<String>,
    /// Thumbprints of certificates; kept, not used.
    pub thumbprints: Vec<String>,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// Its tags, by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}
