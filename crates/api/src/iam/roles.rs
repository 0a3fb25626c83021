//! Roles: what others may become for a while.

use partita_auth::policy::DocumentKind;
use partita_db::identity::{NewEntity, NewRole, Role, RoleChange, RolePart};

use super::call::{Call, check_document, name_of, write_page_end};
use super::entities::{next_page, write_details, write_entity};
use super::fault::Fault;
use super::parameters::{ARN, DESCRIPTION, DOCUMENT, PATH, PATH_PREFIX, Parameters, ROLE_NAME};
use super::xml::{Xml, percent_encoded};

/// The shortest longest session of a role, in seconds, and what it is when nobody says.
const LEAST_SESSION: u32 = 3600;
/// The longest.
pub(super) const MOST_SESSION: u32 = 43_200;

/// `CreateRole`.
pub(super) async fn create(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = with.required("RoleName", ROLE_NAME);
    let path = with.optional("Path", PATH).unwrap_or_else(|| "/".to_owned());
    let trust = with.required("AssumeRolePolicyDocument", DOCUMENT);
    let description = with.optional("Description", DESCRIPTION);
    let max_session_seconds = with.number("MaxSessionDuration", LEAST_SESSION, MOST_SESSION).unwrap_or(LEAST_SESSION);
    let boundary = with.optional("PermissionsBoundary", ARN);
    let tags = with.tags();
    with.checked()?;
    let arn = format!("arn:aws:iam::{}:role{path}{name}", call.account());
    call.allow_tagged("iam:CreateRole", &arn, &tags, boundary.as_deref())?;
    check_document(&trust, DocumentKind::Trust)?;
    let entity = NewEntity { name, path, tags, boundary };
    let role =
        call.database.create_role(call.account(), NewRole { entity, trust, description, max_session_seconds }).await?;
    Ok(Some(shown(call, &role)))
}

/// `GetRole`.
pub(super) async fn get(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<RolePart>(with);
    with.checked()?;
    call.allow_on::<RolePart>("iam:GetRole", &name, &[]).await?;
    let role = call.database.entity::<RolePart>(call.account(), &name).await?;
    Ok(Some(shown(call, &role)))
}

/// `ListRoles`.
pub(super) async fn list(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let prefix = with.optional("PathPrefix", PATH_PREFIX).unwrap_or_else(|| "/".to_owned());
    let page = with.page();
    with.checked()?;
    call.allow("iam:ListRoles", &format!("arn:aws:iam::{}:role{prefix}", call.account()), &[])?;
    let listed =
        call.database.list_entities::<RolePart>(call.account(), &prefix, page.after.as_deref(), page.most).await?;
    let mut xml = Xml::default();
    xml.list("Roles", &listed.items, |xml, role| write_role(xml, call, role));
    write_page_end(&mut xml, next_page(&listed).as_deref());
    Ok(Some(xml))
}

/// `UpdateRole`.
pub(super) async fn update(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<RolePart>(with);
    let description = with.optional("Description", DESCRIPTION);
    let max_session_seconds = with.number("MaxSessionDuration", LEAST_SESSION, MOST_SESSION);
    with.checked()?;
    call.allow_on::<RolePart>("iam:UpdateRole", &name, &[]).await?;
    let change = RoleChange { trust: None, description, max_session_seconds };
    call.database.update_role(call.account(), &name, change).await?;
    Ok(Some(Xml::default()))
}

/// `UpdateRoleDescription`.
pub(super) async fn update_description(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<RolePart>(with);
    let description = with.required("Description", DESCRIPTION);
    with.checked()?;
    call.allow_on::<RolePart>("iam:UpdateRoleDescription", &name, &[]).await?;
    let change = RoleChange { description: Some(description), ..RoleChange::default() };
    call.database.update_role(call.account(), &name, change).await?;
    let role = call.database.entity::<RolePart>(call.account(), &name).await?;
    Ok(Some(shown(call, &role)))
}

/// `UpdateAssumeRolePolicy`.
pub(super) async fn update_trust(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<RolePart>(with);
    let trust = with.required("PolicyDocument", DOCUMENT);
    with.checked()?;
    call.allow_on::<RolePart>("iam:UpdateAssumeRolePolicy", &name, &[]).await?;
    check_document(&trust, DocumentKind::Trust)?;
    let change = RoleChange { trust: Some(trust), ..RoleChange::default() };
    call.database.update_role(call.account(), &name, change).await?;
    Ok(None)
}

/// `DeleteRole`.
pub(super) async fn delete(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<RolePart>(with);
    with.checked()?;
    call.allow_on::<RolePart>("iam:DeleteRole", &name, &[]).await?;
    call.database.delete_role(call.account(), &name).await?;
    Ok(None)
}

fn shown(call: &Call<'_>, role: &Role) -> Xml {
    let mut xml = Xml::default();
    xml.element("Role", |xml| {
        write_role(xml, call, role);
        write_details(xml, role);
        xml.element("RoleLastUsed", |_| {});
    });
    xml
}

fn write_role(xml: &mut Xml, call: &Call<'_>, role: &Role) {
    write_entity(xml, call.account(), role);
    xml.text("AssumeRolePolicyDocument", &percent_encoded(&role.own.trust));
    xml.text_if("Description", role.own.description.as_deref());
    xml.plain("MaxSessionDuration", role.own.max_session_seconds);
}
