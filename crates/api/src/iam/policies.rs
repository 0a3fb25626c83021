//! Managed policies and their versions.

use partita_auth::policy::DocumentKind;
use partita_db::identity::{
    AttachedTo, Entity, GroupPart, ListedPolicy, NewPolicy, Part, PolicyVersion, RolePart, UserPart, builtin_policy,
    policy_arn,
};

use super::call::{Call, check_document, page_of, write_page_end};
use super::entities::{policy_name, write_tags};
use super::fault::Fault;
use super::parameters::{ARN, DESCRIPTION, DOCUMENT, PATH, POLICY_PATH, Parameters, VERSION, version_number};
use super::xml::{Xml, percent_encoded};

/// `CreatePolicy`.
pub(super) async fn create(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = policy_name(with);
    let path = with.optional("Path", POLICY_PATH).unwrap_or_else(|| "/".to_owned());
    let document = with.required("PolicyDocument", DOCUMENT);
    let description = with.optional("Description", DESCRIPTION);
    let tags = with.tags();
    with.checked()?;
    let arn = policy_arn(call.account(), &path, &name);
    call.allow_tagged("iam:CreatePolicy", &arn, &tags, None)?;
    check_document(&document, DocumentKind::Managed)?;
    let new = NewPolicy { name, path, description, document, tags };
    let policy = call.database.create_policy(call.account(), new).await?;
    let listed = ListedPolicy { policy, arn, attachments: 0, boundaries: 0 };
    let mut xml = Xml::default();
    xml.element("Policy", |xml| {
        write_policy(xml, &listed);
        write_details(xml, &listed);
    });
    Ok(Some(xml))
}

/// `GetPolicy`.
pub(super) async fn get(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let arn = named(call, with, "iam:GetPolicy").await?;
    let listed = call.database.policy(call.account(), &arn).await?;
    let mut xml = Xml::default();
    xml.element("Policy", |xml| {
        write_policy(xml, &listed);
        write_details(xml, &listed);
    });
    Ok(Some(xml))
}

/// `ListPolicies`.
pub(super) async fn list(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let scope = with.word("Scope", &["All", "AWS", "Local"]).unwrap_or("All");
    let only_attached = with.truth("OnlyAttached").unwrap_or(false);
    let prefix = with.optional("PathPrefix", POLICY_PATH).unwrap_or_else(|| "/".to_owned());
    let usage = with.word("PolicyUsageFilter", &["PermissionsPolicy", "PermissionsBoundary"]);
    let page = with.page();
    with.checked()?;
    call.allow("iam:ListPolicies", &format!("arn:aws:iam::{}:policy{prefix}", call.account()), &[])?;
    let mut policies = call.database.policies(call.account()).await?;
    policies.retain(|listed| {
        let of_scope = match scope {
            "AWS" => builtin_policy(&listed.arn).is_some(),
            "Local" => builtin_policy(&listed.arn).is_none(),
            _ => true,
        };
        let used = match usage {
            Some("PermissionsBoundary") => listed.boundaries > 0,
            Some(_) => listed.attachments > 0,
            None => true,
        };
        of_scope && used && listed.policy.path.starts_with(&prefix) && (!only_attached || listed.attachments > 0)
    });
    let (policies, marker) = page_of(policies, &page, |listed| listed.arn.clone());
    let mut xml = Xml::default();
    xml.list("Policies", &policies, write_policy);
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}

/// `DeletePolicy`.
pub(super) async fn delete(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let arn = named(call, with, "iam:DeletePolicy").await?;
    check_own(&arn)?;
    call.database.delete_policy(call.account(), &arn).await?;
    Ok(None)
}

/// `CreatePolicyVersion`.
pub(super) async fn create_version(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let document = with.required("PolicyDocument", DOCUMENT);
    let default = with.truth("SetAsDefault").unwrap_or(false);
    let arn = named(call, with, "iam:CreatePolicyVersion").await?;
    check_own(&arn)?;
    check_document(&document, DocumentKind::Managed)?;
    let (version, default) = call.database.create_policy_version(call.account(), &arn, &document, default).await?;
    let mut xml = Xml::default();
    xml.element("PolicyVersion", |xml| write_version(xml, &version, default));
    Ok(Some(xml))
}

/// `GetPolicyVersion`.
pub(super) async fn get_version(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (text, number) = version(with);
    let arn = named(call, with, "iam:GetPolicyVersion").await?;
    let policy = call.database.policy(call.account(), &arn).await?.policy;
    let version = policy
        .version(number)
        .ok_or_else(|| Fault::missing(format!("Policy {arn} version {text} does not exist or is not attachable.")))?;
    let mut xml = Xml::default();
    xml.element("PolicyVersion", |xml| {
        xml.text("Document", &percent_encoded(&version.document));
        write_version(xml, version, version.number == policy.default_version);
    });
    Ok(Some(xml))
}

/// `ListPolicyVersions`: newest first.
pub(super) async fn list_versions(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let page = with.page();
    let arn = named(call, with, "iam:ListPolicyVersions").await?;
    let policy = call.database.policy(call.account(), &arn).await?.policy;
    let default = policy.default_version;
    let newest_first = |version: &PolicyVersion| format!("{:010}", u32::MAX.saturating_sub(version.number));
    let (versions, marker) = page_of(policy.versions, &page, newest_first);
    let mut xml = Xml::default();
    xml.list("Versions", &versions, |xml, version| write_version(xml, version, version.number == default));
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}

/// `DeletePolicyVersion`.
pub(super) async fn delete_version(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (_, number) = version(with);
    let arn = named(call, with, "iam:DeletePolicyVersion").await?;
    check_own(&arn)?;
    call.database.delete_policy_version(call.account(), &arn, number).await?;
    Ok(None)
}

/// `SetDefaultPolicyVersion`.
pub(super) async fn set_default_version(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (_, number) = version(with);
    let arn = named(call, with, "iam:SetDefaultPolicyVersion").await?;
    check_own(&arn)?;
    call.database.set_default_policy_version(call.account(), &arn, number).await?;
    Ok(None)
}

/// `ListPolicyTags`.
pub(super) async fn list_tags(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let page = with.page();
    let arn = named(call, with, "iam:ListPolicyTags").await?;
    let tags = call.database.policy(call.account(), &arn).await?.policy.tags;
    let (tags, marker) = page_of(tags.into_iter().collect(), &page, |(key, _)| key.clone());
    let mut xml = Xml::default();
    write_tags(&mut xml, tags.iter().map(|(key, value)| (key, value)));
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}

/// A user, group or role that a policy is attached to.
struct Holder {
    kind: &'static str,
    name: String,
    id: String,
}

/// `ListEntitiesForPolicy`.
pub(super) async fn list_entities(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let kinds = ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"];
    let filter = with.word("EntityFilter", &kinds);
    let prefix = with.optional("PathPrefix", PATH).unwrap_or_else(|| "/".to_owned());
    let to = match with.word("PolicyUsageFilter", &["PermissionsPolicy", "PermissionsBoundary"]) {
        Some("PermissionsPolicy") => AttachedTo::Permissions,
        Some(_) => AttachedTo::Boundary,
        None => AttachedTo::Either,
    };
    let page = with.page();
    let arn = named(call, with, "iam:ListEntitiesForPolicy").await?;
    call.database.policy(call.account(), &arn).await?;
    let wanted = |kind: &str| filter.is_none_or(|filter| filter == kind);
    let mut holders = Vec::new();
    if wanted("Group") {
        holders.extend(holders_of::<GroupPart>(call, &arn, to, &prefix).await?);
    }
    if wanted("Role") {
        holders.extend(holders_of::<RolePart>(call, &arn, to, &prefix).await?);
    }
    if wanted("User") {
        holders.extend(holders_of::<UserPart>(call, &arn, to, &prefix).await?);
    }
    let (holders, marker) = page_of(holders, &page, |holder| format!("{} {}", holder.kind, holder.name.to_lowercase()));
    let mut xml = Xml::default();
    for kind in ["Group", "User", "Role"] {
        let of_kind = holders.iter().filter(|holder| holder.kind == kind);
        xml.list(&format!("Policy{kind}s"), of_kind, |xml, holder| {
            xml.text(&format!("{kind}Name"), &holder.name);
            xml.text(&format!("{kind}Id"), &holder.id);
        });
    }
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}

async fn holders_of<P: Part>(call: &Call<'_>, arn: &str, to: AttachedTo, prefix: &str) -> Result<Vec<Holder>, Fault> {
    let listed = call.database.entities_with_policy::<P>(call.account(), arn, to).await?;
    let under = listed.items.into_iter().filter(|entity| entity.path.starts_with(prefix));
    let shown = |Entity { name, id, .. }: Entity<P>| Holder { kind: P::KIND.title(), name, id };
    Ok(under.map(shown).collect())
}

/// The policy that a request is about, if all its parameters are well-formed and the caller may do this to it.
async fn named(call: &Call<'_>, with: &mut Parameters, action: &str) -> Result<String, Fault> {
    let arn = with.required("PolicyArn", ARN);
    with.checked()?;
    let found = call.database.policy(call.account(), &arn).await.ok();
    call.allow_on_tagged(action, &arn, found.as_ref().map(|listed| &listed.policy.tags))?;
    Ok(arn)
}

/// Refuses to change the policies that every account has.
fn check_own(arn: &str) -> Result<(), Fault> {
    if arn.starts_with("arn:aws:iam::aws:policy/") {
        return Err(Fault::denied(format!("Policy {arn} belongs to AWS and can not be changed")));
    }
    Ok(())
}

/// The version that a request is about.
fn version(with: &mut Parameters) -> (String, u32) {
    let text = with.required("VersionId", VERSION);
    let number = version_number(&text).unwrap_or_default();
    (text, number)
}

fn write_policy(xml: &mut Xml, listed: &ListedPolicy) {
    let policy = &listed.policy;
    xml.text("PolicyName", &policy.name);
    xml.text("PolicyId", &policy.id);
    xml.text("Arn", &listed.arn);
    xml.text("Path", &policy.path);
    xml.text("DefaultVersionId", &format!("v{}", policy.default_version));
    xml.plain("AttachmentCount", listed.attachments);
    xml.plain("PermissionsBoundaryUsageCount", listed.boundaries);
    xml.plain("IsAttachable", true);
    xml.time("CreateDate", policy.created_ms);
    xml.time("UpdateDate", policy.changed_ms);
}

/// What lists leave out.
fn write_details(xml: &mut Xml, listed: &ListedPolicy) {
    xml.text_if("Description", listed.policy.description.as_deref());
    write_tags(xml, listed.policy.tags.iter());
}

fn write_version(xml: &mut Xml, version: &PolicyVersion, default: bool) {
    xml.text("VersionId", &format!("v{}", version.number));
    xml.plain("IsDefaultVersion", default);
    xml.time("CreateDate", version.created_ms);
}
