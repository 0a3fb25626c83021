//! Groups and who is in them.

use partita_db::identity::{GroupPart, NewEntity, UserPart};

use super::call::{Call, name_of, write_page_end};
use super::entities::{next_page, write_entity};
use super::fault::Fault;
use super::parameters::{LONG_NAME, PATH, PATH_PREFIX, Parameters};
use super::xml::Xml;

/// `CreateGroup`.
pub(super) async fn create(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = with.required("GroupName", LONG_NAME);
    let path = with.optional("Path", PATH).unwrap_or_else(|| "/".to_owned());
    with.checked()?;
    call.allow("iam:CreateGroup", &format!("arn:aws:iam::{}:group{path}{name}", call.account()), &[])?;
    let new = NewEntity { name, path, ..NewEntity::default() };
    let group = call.database.create_entity(call.account(), new, GroupPart::default()).await?;
    let mut xml = Xml::default();
    xml.element("Group", |xml| write_entity(xml, call.account(), &group));
    Ok(Some(xml))
}

/// `GetGroup`: the group and its users.
pub(super) async fn get(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<GroupPart>(with);
    let page = with.page();
    with.checked()?;
    call.allow_on::<GroupPart>("iam:GetGroup", &name, &[]).await?;
    let group = call.database.entity::<GroupPart>(call.account(), &name).await?;
    let users = call.database.users_in_group(call.account(), &name, page.after.as_deref(), page.most).await?;
    let mut xml = Xml::default();
    xml.element("Group", |xml| write_entity(xml, call.account(), &group));
    xml.list("Users", &users.items, |xml, user| write_entity(xml, call.account(), user));
    write_page_end(&mut xml, next_page(&users).as_deref());
    Ok(Some(xml))
}

/// `ListGroups`.
pub(super) async fn list(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let prefix = with.optional("PathPrefix", PATH_PREFIX).unwrap_or_else(|| "/".to_owned());
    let page = with.page();
    with.checked()?;
    call.allow("iam:ListGroups", &format!("arn:aws:iam::{}:group{prefix}", call.account()), &[])?;
    let listed =
        call.database.list_entities::<GroupPart>(call.account(), &prefix, page.after.as_deref(), page.most).await?;
    let mut xml = Xml::default();
    xml.list("Groups", &listed.items, |xml, group| write_entity(xml, call.account(), group));
    write_page_end(&mut xml, next_page(&listed).as_deref());
    Ok(Some(xml))
}

/// `DeleteGroup`.
pub(super) async fn delete(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<GroupPart>(with);
    with.checked()?;
    call.allow_on::<GroupPart>("iam:DeleteGroup", &name, &[]).await?;
    call.database.delete_group(call.account(), &name).await?;
    Ok(None)
}

/// `AddUserToGroup`.
pub(super) async fn add_user(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (group, user) = membership(with)?;
    call.allow_on::<GroupPart>("iam:AddUserToGroup", &group, &[]).await?;
    call.database.add_user_to_group(call.account(), &group, &user).await?;
    Ok(None)
}

/// `RemoveUserFromGroup`.
pub(super) async fn remove_user(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (group, user) = membership(with)?;
    call.allow_on::<GroupPart>("iam:RemoveUserFromGroup", &group, &[]).await?;
    call.database.remove_user_from_group(call.account(), &group, &user).await?;
    Ok(None)
}

fn membership(with: &mut Parameters) -> Result<(String, String), Fault> {
    let names = (name_of::<GroupPart>(with), name_of::<UserPart>(with));
    with.checked()?;
    Ok(names)
}
