//! The policies that users, groups and roles hold: inline ones, attached ones, and permissions boundaries.

use partita_auth::policy::DocumentKind;
use partita_db::identity::{Kind, Part};

use super::call::{Call, check_document, name_of, page_of, write_page_end};
use super::entities::policy_name;
use super::fault::Fault;
use super::parameters::{ARN, DOCUMENT, PATH_PREFIX, Parameters};
use super::xml::{Xml, percent_encoded};

fn action(verb: &str, kind: Kind, rest: &str) -> String {
    format!("iam:{verb}{}{rest}", kind.title())
}

/// `PutUserPolicy`, `PutGroupPolicy`, `PutRolePolicy`.
pub(super) async fn put_inline<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (name, policy) = (name_of::<P>(with), policy_name(with));
    let document = with.required("PolicyDocument", DOCUMENT);
    with.checked()?;
    call.allow_on::<P>(&action("Put", P::KIND, "Policy"), &name, &[]).await?;
    check_document(&document, DocumentKind::Identity)?;
    call.database.put_inline::<P>(call.account(), &name, &policy, &document).await?;
    Ok(None)
}

/// `GetUserPolicy`, `GetGroupPolicy`, `GetRolePolicy`.
pub(super) async fn get_inline<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (name, policy) = (name_of::<P>(with), policy_name(with));
    with.checked()?;
    call.allow_on::<P>(&action("Get", P::KIND, "Policy"), &name, &[]).await?;
    let entity = call.database.entity::<P>(call.account(), &name).await?;
    let document = entity.inline(&policy)?;
    let mut xml = Xml::default();
    xml.text(&format!("{}Name", P::KIND.title()), &name);
    xml.text("PolicyName", &policy);
    xml.text("PolicyDocument", &percent_encoded(document));
    Ok(Some(xml))
}

/// `DeleteUserPolicy`, `DeleteGroupPolicy`, `DeleteRolePolicy`.
pub(super) async fn delete_inline<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (name, policy) = (name_of::<P>(with), policy_name(with));
    with.checked()?;
    call.allow_on::<P>(&action("Delete", P::KIND, "Policy"), &name, &[]).await?;
    call.database.delete_inline::<P>(call.account(), &name, &policy).await?;
    Ok(None)
}

/// `ListUserPolicies`, `ListGroupPolicies`, `ListRolePolicies`.
pub(super) async fn list_inline<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<P>(with);
    let page = with.page();
    with.checked()?;
    call.allow_on::<P>(&action("List", P::KIND, "Policies"), &name, &[]).await?;
    let entity = call.database.entity::<P>(call.account(), &name).await?;
    let (names, marker) = page_of(entity.held.inline.into_keys().collect(), &page, String::clone);
    let mut xml = Xml::default();
    xml.list("PolicyNames", &names, |xml, name| xml.escaped(name));
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}

/// `AttachUserPolicy`, `AttachGroupPolicy`, `AttachRolePolicy`.
pub(super) async fn attach<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (name, arn) = (name_of::<P>(with), policy_arn(with, "PolicyArn"));
    with.checked()?;
    call.allow_on::<P>(&action("Attach", P::KIND, "Policy"), &name, &[("iam:PolicyARN", &arn)]).await?;
    check_arn(&arn)?;
    call.database.attach::<P>(call.account(), &name, &arn).await?;
    Ok(None)
}

/// `DetachUserPolicy`, `DetachGroupPolicy`, `DetachRolePolicy`.
pub(super) async fn detach<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (name, arn) = (name_of::<P>(with), policy_arn(with, "PolicyArn"));
    with.checked()?;
    call.allow_on::<P>(&action("Detach", P::KIND, "Policy"), &name, &[("iam:PolicyARN", &arn)]).await?;
    check_arn(&arn)?;
    call.database.detach::<P>(call.account(), &name, &arn).await?;
    Ok(None)
}

/// `ListAttachedUserPolicies`, `ListAttachedGroupPolicies`, `ListAttachedRolePolicies`.
pub(super) async fn list_attached<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<P>(with);
    let prefix = with.optional("PathPrefix", PATH_PREFIX).unwrap_or_else(|| "/".to_owned());
    let page = with.page();
    with.checked()?;
    call.allow_on::<P>(&action("ListAttached", P::KIND, "Policies"), &name, &[]).await?;
    let entity = call.database.entity::<P>(call.account(), &name).await?;
    let under = |arn: &String| arn.split_once(":policy").is_some_and(|(_, path)| path.starts_with(&prefix));
    let arns = entity.held.attached.into_iter().filter(under).collect();
    let (arns, marker) = page_of(arns, &page, String::clone);
    let mut xml = Xml::default();
    xml.list("AttachedPolicies", &arns, |xml, arn| {
        xml.text("PolicyName", arn.rsplit('/').next().unwrap_or_default());
        xml.text("PolicyArn", arn);
    });
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}

/// `PutUserPermissionsBoundary`, `PutRolePermissionsBoundary`.
pub(super) async fn put_boundary<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let (name, arn) = (name_of::<P>(with), policy_arn(with, "PermissionsBoundary"));
    with.checked()?;
    let more = [("iam:PermissionsBoundary", arn.as_str())];
    call.allow_on::<P>(&action("Put", P::KIND, "PermissionsBoundary"), &name, &more).await?;
    check_arn(&arn)?;
    call.database.set_boundary::<P>(call.account(), &name, Some(&arn)).await?;
    Ok(None)
}

/// `DeleteUserPermissionsBoundary`, `DeleteRolePermissionsBoundary`.
pub(super) async fn delete_boundary<P: Part>(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<P>(with);
    with.checked()?;
    call.allow_on::<P>(&action("Delete", P::KIND, "PermissionsBoundary"), &name, &[]).await?;
    call.database.set_boundary::<P>(call.account(), &name, None).await?;
    Ok(None)
}

fn policy_arn(with: &mut Parameters, name: &str) -> String {
    with.required(name, ARN)
}

fn check_arn(arn: &str) -> Result<(), Fault> {
    if arn.starts_with("arn:aws:iam::") && arn.contains(":policy/") {
        Ok(())
    } else {
        Err(Fault::input(format!("ARN {arn} is not valid.")))
    }
}
