//! Identities: users, groups, roles, managed policies, access keys and OpenID Connect providers of accounts.
//!
//! `entity` is what is kept of them, `change` how they change: one conditional commit for each change, which also makes
//! every node's caches follow. One file for each kind of thing that can be done: `entities` for what users, groups and
//! roles share, `users`, `groups`, `roles`, `held` for the policies they hold, `policies` for managed ones, `keys`,
//! `providers`, and `facts` for what a request's access key stands for. Documents of policies are text here: the policy
//! language is `auth`'s, the query API `api`'s.

mod builtin;
mod change;
mod entities;
mod entity;
mod facts;
mod fault;
mod groups;
mod held;
mod ids;
mod keys;
mod limits;
mod policies;
mod providers;
mod roles;
#[cfg(test)]
mod tests;
mod users;

pub use builtin::{BUILTIN_POLICIES, BuiltinPolicy, builtin_policy};
pub use entities::{Listed, NewEntity};
pub use entity::{
    Entity, Group, GroupPart, Held, Kind, ManagedPolicy, Part, PolicyVersion, Provider, Role, RolePart, User, UserPart,
};
pub use facts::{CallerFacts, KeyFacts};
pub use fault::{Fault, FaultCode, Outcome};
pub use ids::{TEMPORARY_KEY_PREFIX, new_access_key_id, new_secret};
pub use keys::{AccessKey, KeyOwner, LastUse, NewAccessKey};
pub use limits::*;
pub use policies::{AttachedTo, ListedPolicy, NewPolicy, policy_arn};
pub use providers::{NewProvider, provider_arn};
pub use roles::{NewRole, RoleChange};
