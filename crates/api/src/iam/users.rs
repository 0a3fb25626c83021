//! Users.

use partita_auth::PrincipalKind;
use partita_db::identity::{Group, GroupPart, NewEntity, User, UserPart};

use super::call::{Call, name_of, page_of, write_page_end};
use super::entities::{next_page, write_details, write_entity};
use super::fault::Fault;
use super::parameters::{ARN, EXISTING_USER_NAME, PATH, PATH_PREFIX, Parameters, USER_NAME};
use super::xml::Xml;

/// `CreateUser`.
pub(super) async fn create(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = with.required("UserName", USER_NAME);
    let path = with.optional("Path", PATH).unwrap_or_else(|| "/".to_owned());
    let boundary = with.optional("PermissionsBoundary", ARN);
    let tags = with.tags();
    with.checked()?;
    let arn = format!("arn:aws:iam::{}:user{path}{name}", call.account());
    call.allow_tagged("iam:CreateUser", &arn, &tags, boundary.as_deref())?;
    let new = NewEntity { name, path, tags, boundary };
    let user = call.database.create_entity(call.account(), new, UserPart::default()).await?;
    Ok(Some(shown(call, &user)))
}

/// `GetUser`: the caller itself when no name is given.
pub(super) async fn get(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = with.optional("UserName", EXISTING_USER_NAME);
    with.checked()?;
    let name = match (name, &call.principal().kind) {
        (Some(name), _) => name,
        (None, PrincipalKind::User { name, .. }) => name.to_string(),
        (None, PrincipalKind::Root) => return Ok(Some(root(call))),
        (None, PrincipalKind::AssumedRole { .. }) => {
            return Err(Fault::validation("Must specify userName when calling with non-User credentials"));
        }
    };
    call.allow_on::<UserPart>("iam:GetUser", &name, &[]).await?;
    let user = call.database.entity::<UserPart>(call.account(), &name).await?;
    Ok(Some(shown(call, &user)))
}

/// `ListUsers`.
pub(super) async fn list(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let prefix = with.optional("PathPrefix", PATH_PREFIX).unwrap_or_else(|| "/".to_owned());
    let page = with.page();
    with.checked()?;
    call.allow("iam:ListUsers", &format!("arn:aws:iam::{}:user{prefix}", call.account()), &[])?;
    let listed =
        call.database.list_entities::<UserPart>(call.account(), &prefix, page.after.as_deref(), page.most).await?;
    let mut xml = Xml::default();
    xml.list("Users", &listed.items, |xml, user| write_entity(xml, call.account(), user));
    write_page_end(&mut xml, next_page(&listed).as_deref());
    Ok(Some(xml))
}

/// `UpdateUser`.
pub(super) async fn update(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<UserPart>(with);
    let new_name = with.optional("NewUserName", USER_NAME);
    let new_path = with.optional("NewPath", PATH);
    with.checked()?;
    let user = call.allow_on::<UserPart>("iam:UpdateUser", &name, &[]).await?;
    // As in AWS, the caller must be allowed to change the user under its new ARN, too.
    let path = new_path.as_deref().or(user.as_ref().map(|user| user.path.as_str())).unwrap_or("/");
    let target = new_name.as_deref().unwrap_or(&name);
    call.allow("iam:UpdateUser", &format!("arn:aws:iam::{}:user{path}{target}", call.account()), &[])?;
    call.database.update_user(call.account(), &name, new_name.as_deref(), new_path.as_deref()).await?;
    Ok(None)
}

/// `DeleteUser`.
pub(super) async fn delete(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<UserPart>(with);
    with.checked()?;
    call.allow_on::<UserPart>("iam:DeleteUser", &name, &[]).await?;
    call.database.delete_user(call.account(), &name).await?;
    Ok(None)
}

/// `ListGroupsForUser`.
pub(super) async fn list_groups(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<UserPart>(with);
    let page = with.page();
    with.checked()?;
    call.allow_on::<UserPart>("iam:ListGroupsForUser", &name, &[]).await?;
    let user = call.database.entity::<UserPart>(call.account(), &name).await?;
    let mut groups: Vec<Group> = Vec::new();
    for group in &user.own.groups {
        groups.extend(call.database.find_entity::<GroupPart>(call.account(), group).await?);
    }
    let (groups, marker) = page_of(groups, &page, |group| group.name.to_lowercase());
    let mut xml = Xml::default();
    xml.list("Groups", &groups, |xml, group| write_entity(xml, call.account(), group));
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}

fn shown(call: &Call<'_>, user: &User) -> Xml {
    let mut xml = Xml::default();
    xml.element("User", |xml| {
        write_entity(xml, call.account(), user);
        write_details(xml, user);
    });
    xml
}

/// The account's root as if it were a user.
fn root(call: &Call<'_>) -> Xml {
    let mut xml = Xml::default();
    xml.element("User", |xml| {
        xml.text("Path", "/");
        xml.text("UserName", "root");
        xml.text("UserId", call.account());
        xml.text("Arn", &format!("arn:aws:iam::{}:root", call.account()));
        xml.time("CreateDate", 0);
    });
    xml
}
