//! What users, groups and roles share in answers, and their tags.

use std::collections::BTreeMap;

use partita_auth::policy::Context;
use partita_db::identity::{Entity, Kind, Listed, Part};

use super::call::{Call, name_of, page_of, set_request_tags, write_page_end};
use super::fault::Fault;
use super::parameters::{LONG_NAME, Parameters, to_marker};
use super::xml::Xml;

/// The members that all of them have.
pub(super) fn write_entity<P: Part>(xml: &mut Xml, account: &str, entity: &Entity<P>) {
    let kind = P::KIND.title();
    xml.text("Path", &entity.path);
    xml.text(&format!("{kind}Name"), &entity.name);
    xml.text(&format!("{kind}Id"), &entity.id);
    xml.text("Arn", &entity.arn(account));
    xml.time("CreateDate", entity.created_ms);
}

/// The boundary and the tags of a user or role, which lists leave out.
pub(super) fn write_details<P: Part>(xml: &mut Xml, entity: &Entity<P>) {
    if let Some(arn) = &entity.held.boundary {
        xml.element("PermissionsBoundary", |xml| {
            xml.text("PermissionsBoundaryType", "Policy");
            xml.text("PermissionsBoundaryArn", arn);
        });
    }
    if !entity.tags.is_empty() {
        write_tags(xml, entity.tags.iter());
    }
}

/// Tags.
pub(super) fn write_tags<'t>(xml: &mut Xml, tags: impl Iterator<Item = (&'t String, &'t String)>) {
    xml.list("Tags", tags, |xml, (key, value)| {
        xml.text("Key", key);
        xml.text("Value", value);
    });
}

/// The marker of the page after this one, if there is one.
pub(super) fn next_page<P: Part>(listed: &Listed<Entity<P>>) -> Option<String> {
    listed.items.last().filter(|_| listed.more).map(|last| to_marker(&last.name))
}

fn action(verb: &str, kind: Kind, rest: &str) -> String {
    format!("iam:{verb}{}{rest}", kind.title())
}

/// `TagUser`, `TagRole`.
pub(super) async fn tag<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<P>(with);
    let tags = with.tags();
    with.checked()?;
    call.allow_on_with::<P>(&action("Tag", P::KIND, ""), &name, |context| set_request_tags(context, tags.iter()))
        .await?;
    call.database.tag_entity::<P>(call.account(), &name, &tags).await?;
    Ok(None)
}

/// `UntagUser`, `UntagRole`.
pub(super) async fn untag<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<P>(with);
    let keys = with.list("TagKeys", 50, super::parameters::TAG_KEY);
    with.checked()?;
    let set = |context: &mut Context| context.set_all("aws:TagKeys", keys.clone());
    call.allow_on_with::<P>(&action("Untag", P::KIND, ""), &name, set).await?;
    call.database.untag_entity::<P>(call.account(), &name, &keys).await?;
    Ok(None)
}

/// `ListUserTags`, `ListRoleTags`.
pub(super) async fn list_tags<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<P>(with);
    let page = with.page();
    with.checked()?;
    call.allow_on::<P>(&action("List", P::KIND, "Tags"), &name, &[]).await?;
    let tags: BTreeMap<String, String> = call.database.entity::<P>(call.account(), &name).await?.tags;
    let (tags, marker) = page_of(tags.into_iter().collect(), &page, |(key, _)| key.clone());
    let mut xml = Xml::default();
    write_tags(&mut xml, tags.iter().map(|(key, value)| (key, value)));
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}

/// A parameter that names a policy.
pub(super) fn policy_name(with: &mut Parameters) -> String {
    with.required("PolicyName", LONG_NAME)
}
