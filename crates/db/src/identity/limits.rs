//! IAM's quotas ("IAM and AWS STS quotas"), those that can not be raised at the values that can not, the others at their
//! defaults.

/// The most users of an account.
pub const MAX_USERS: usize = 5000;
/// The most groups of an account.
pub const MAX_GROUPS: usize = 300;
/// The most roles of an account.
pub const MAX_ROLES: usize = 1000;
/// The most managed policies of an account's own.
pub const MAX_POLICIES: usize = 1500;
/// The most OpenID Connect providers of an account.
pub const MAX_PROVIDERS: usize = 100;
/// The most groups that a user is in.
pub const MAX_GROUPS_OF_USER: usize = 10;
/// The most access keys of a user, and of an account's root.
pub const MAX_ACCESS_KEYS: usize = 2;
/// The most managed policies attached to a user, group or role.
pub const MAX_ATTACHED: usize = 10;
/// The most versions of a managed policy.
pub const MAX_VERSIONS: usize = 5;
/// The most tags of a user or role.
pub const MAX_TAGS: usize = 50;
/// The most characters of all inline policies of a user, white space not counted.
pub const MAX_USER_INLINE: usize = 2048;
/// The most characters of all inline policies of a group, white space not counted.
pub const MAX_GROUP_INLINE: usize = 5120;
/// The most characters of all inline policies of a role, white space not counted.
pub const MAX_ROLE_INLINE: usize = 10_240;
/// The most characters of a managed policy, white space not counted.
pub const MAX_POLICY: usize = 6144;
/// The most characters of a role's trust policy, white space not counted.
pub const MAX_TRUST: usize = 2048;
/// The most audiences of an OpenID Connect provider.
pub const MAX_CLIENT_IDS: usize = 100;
/// The most thumbprints of an OpenID Connect provider.
pub const MAX_THUMBPRINTS: usize = 5;
/// How long the record of a key's last use may be behind, in milliseconds: it is written no more often.
pub const LAST_USE_GRAIN_MS: u64 = 300_000;
