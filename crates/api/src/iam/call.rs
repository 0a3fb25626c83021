//! Who calls, and whether they may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use partita_auth::policy::{Access, Context, Decision, DocumentKind, Policy, evaluate};
use partita_auth::{Principal, PrincipalKind};
use partita_db::Database;
use partita_db::identity::{Entity, Kind, Part};

use super::Rooms;
use super::fault::Fault;
use super::issuers::Issuers;
use super::parameters::{EXISTING_USER_NAME, LONG_NAME, PageRequest, Parameters, ROLE_NAME, Text, to_marker};
use super::xml::{Xml, timestamp};
use crate::caller::Caller;

/// One request of the query APIs.
pub(super) struct Call<'a> {
    pub(super) database: &'a Database,
    pub(super) issuers: &'a Issuers,
    pub(super) caller: Caller,
    /// When it came, in seconds since the epoch.
    pub(super) now: u64,
}

impl<'a> Call<'a> {
    pub(super) fn new(rooms: Rooms<'a>, caller: Caller) -> Self {
        let Rooms { database, issuers } = rooms;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { database, issuers, caller, now }
    }

    /// The account that it works in.
    pub(super) fn account(&self) -> &str {
        &self.caller.scope.account
    }

    /// The caller; the account's root when nobody was asked who they are.
    pub(super) fn principal(&self) -> Arc<Principal> {
        self.caller.principal.clone().unwrap_or_else(|| {
            Arc::new(Principal {
                account: Arc::clone(&self.caller.scope.account),
                kind: PrincipalKind::Root,
                user_id: Arc::clone(&self.caller.scope.account),
                tags: Vec::new(),
                token_issued: None,
                federated: Vec::new(),
                transitive: Vec::new(),
            })
        })
    }

    /// The condition keys that every request has.
    pub(super) fn context(&self) -> Context {
        let mut context = Context::default();
        context.set("aws:CurrentTime", timestamp(self.now));
        context.set("aws:EpochTime", self.now.to_string());
        context.set("aws:SecureTransport", self.caller.secure.to_string());
        context.set("aws:RequestedRegion", self.caller.scope.region.to_string());
        context.set("aws:ViaAWSService", "false");
        if let Some(source) = self.caller.source {
            context.set("aws:SourceIp", source.to_string());
        }
        context
    }

    /// Checks that the caller may do something to something, with further condition keys.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(super) fn allow(&self, action: &str, resource: &str, more: &[(&str, &str)]) -> Result<(), Fault> {
        self.allow_with(action, resource, |context| {
            for (key, value) in more {
                context.set(key, *value);
            }
        })
    }

    /// As [`Self::allow`], with the tags that the request gives.
    pub(super) fn allow_tagged(
        &self,
        action: &str,
        resource: &str,
        tags: &BTreeMap<String, String>,
        boundary: Option<&str>,
    ) -> Result<(), Fault> {
        self.allow_with(action, resource, |context| {
            set_request_tags(context, tags.iter());
            if let Some(arn) = boundary {
                context.set("iam:PermissionsBoundary", arn);
            }
        })
    }

    /// As [`Self::allow`], on a resource that has these tags.
    pub(super) fn allow_on_tagged(
        &self,
        action: &str,
        resource: &str,
        tags: Option<&BTreeMap<String, String>>,
    ) -> Result<(), Fault> {
        self.allow_with(action, resource, |context| {
            if let Some(tags) = tags {
                set_resource_tags(context, tags);
            }
        })
    }

    fn allow_with(&self, action: &str, resource: &str, set: impl FnOnce(&mut Context)) -> Result<(), Fault> {
        let Some(principal) = &self.caller.principal else { return Ok(()) };
        let mut context = self.context();
        set(&mut context);
        let access = Access { principal, action, resource, resource_account: self.account(), context: &context };
        match evaluate(&access, &self.caller.attached, None) {
            Decision::Allowed => Ok(()),
            Decision::Denied(reason) => Err(Fault::denied(reason.message(&principal.arn(), action, resource))),
        }
    }

    /// Checks that the caller may do something to a user, group or role, which is returned if there is one. Whether
    /// there is one is told only to those who may.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(super) async fn allow_on<P: Part>(
        &self,
        action: &str,
        name: &str,
        more: &[(&str, &str)],
    ) -> Result<Option<Entity<P>>, Fault> {
        self.allow_on_with(action, name, |context| {
            for (key, value) in more {
                context.set(key, *value);
            }
        })
        .await
    }

    /// As [`Self::allow_on`], with further condition keys set by `set`.
    pub(super) async fn allow_on_with<P: Part>(
        &self,
        action: &str,
        name: &str,
        set: impl FnOnce(&mut Context) + Send,
    ) -> Result<Option<Entity<P>>, Fault> {
        let found: Option<Entity<P>> = self.database.find_entity(self.account(), name).await?;
        let arn = found.as_ref().map_or_else(
            || format!("arn:aws:iam::{}:{}/{name}", self.account(), P::KIND.word()),
            |entity| entity.arn(self.account()),
        );
        self.allow_with(action, &arn, |context| {
            if let Some(entity) = &found {
                set_resource_tags(context, &entity.tags);
                if let Some(boundary) = &entity.held.boundary {
                    context.set("iam:PermissionsBoundary", boundary.as_str());
                }
            }
            set(context);
        })?;
        Ok(found)
    }
}

/// Sets the keys of tags that the resource has.
pub(super) fn set_resource_tags(context: &mut Context, tags: &BTreeMap<String, String>) {
    for (key, value) in tags {
        context.set(&format!("aws:ResourceTag/{key}"), value.as_str());
        context.set(&format!("iam:ResourceTag/{key}"), value.as_str());
    }
}

/// Sets the keys of tags that a request gives.
pub(super) fn set_request_tags<'t>(context: &mut Context, tags: impl Iterator<Item = (&'t String, &'t String)>) {
    let mut keys = Vec::new();
    for (key, value) in tags {
        context.set(&format!("aws:RequestTag/{key}"), value.as_str());
        keys.push(key.clone());
    }
    if !keys.is_empty() {
        context.set_all("aws:TagKeys", keys);
    }
}

/// The parameter that names an entity of a kind: `UserName`, `GroupName`, `RoleName`.
pub(super) fn name_of<P: Part>(with: &mut Parameters) -> String {
    let (name, rule): (_, Text) = match P::KIND {
        Kind::User => ("UserName", EXISTING_USER_NAME),
        Kind::Group => ("GroupName", LONG_NAME),
        Kind::Role => ("RoleName", ROLE_NAME),
    };
    with.required(name, rule)
}

/// Checks a policy document.
///
/// # Errors
/// `MalformedPolicyDocument`.
pub(super) fn check_document(document: &str, kind: DocumentKind) -> Result<(), Fault> {
    Policy::parse(document, kind).map(|_| ()).map_err(|error| Fault::malformed_policy(error.0))
}

/// The part of a list that is asked for, by the keys that order it, and the marker of the next part.
pub(super) fn page_of<T>(
    mut items: Vec<T>,
    page: &PageRequest,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    items.sort_by_cached_key(&key);
    if let Some(after) = &page.after {
        items.retain(|item| key(item) > *after);
    }
    let more = items.len() > page.most;
    items.truncate(page.most);
    let marker = items.last().filter(|_| more).map(|last| to_marker(&key(last)));
    (items, marker)
}

/// What ends every list.
pub(super) fn write_page_end(xml: &mut Xml, marker: Option<&str>) {
    xml.plain("IsTruncated", marker.is_some());
    xml.text_if("Marker", marker);
}
