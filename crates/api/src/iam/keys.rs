//! Access keys.

use partita_auth::PrincipalKind;
use partita_db::identity::{AccessKey, KeyOwner, UserPart};

use super::call::{Call, page_of, write_page_end};
use super::fault::Fault;
use super::parameters::{EXISTING_USER_NAME, KEY_ID, Parameters};
use super::xml::Xml;

/// Whose keys a request is about, if the caller may do this to them: those of the user it names, else the caller's own.
async fn owner(call: &Call<'_>, name: Option<String>, action: &str) -> Result<KeyOwner, Fault> {
    let name = match (name, &call.principal().kind) {
        (Some(name), _) => name,
        (None, PrincipalKind::User { name, .. }) => name.to_string(),
        (None, PrincipalKind::Root) => return Ok(KeyOwner::Root),
        (None, PrincipalKind::AssumedRole { .. }) => {
            return Err(Fault::validation("Must specify userName when calling with non-User credentials"));
        }
    };
    call.allow_on::<UserPart>(action, &name, &[]).await?;
    Ok(KeyOwner::User(name))
}

/// `CreateAccessKey`.
pub(super) async fn create(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = with.optional("UserName", EXISTING_USER_NAME);
    with.checked()?;
    let owner = owner(call, name, "iam:CreateAccessKey").await?;
    let made = call.database.create_access_key(call.account(), &owner).await?;
    let mut xml = Xml::default();
    xml.element("AccessKey", |xml| {
        write_key(xml, &made.key);
        xml.text("SecretAccessKey", &made.secret);
    });
    Ok(Some(xml))
}

/// `ListAccessKeys`.
pub(super) async fn list(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = with.optional("UserName", EXISTING_USER_NAME);
    let page = with.page();
    with.checked()?;
    let owner = owner(call, name, "iam:ListAccessKeys").await?;
    let keys = call.database.access_keys(call.account(), &owner).await?;
    let (keys, marker) = page_of(keys, &page, |key| format!("{:020} {}", key.created_ms, key.id));
    let mut xml = Xml::default();
    xml.list("AccessKeyMetadata", &keys, write_key);
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}

/// `UpdateAccessKey`: activates or deactivates one.
pub(super) async fn update(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = with.optional("UserName", EXISTING_USER_NAME);
    let id = with.required("AccessKeyId", KEY_ID);
    let status = with.word("Status", &["Active", "Inactive"]);
    with.checked()?;
    let status = status.ok_or_else(|| {
        Fault::validation(
            "1 validation error detected: Value null at 'status' failed to satisfy constraint: Member must not be null",
        )
    })?;
    let owner = owner(call, name, "iam:UpdateAccessKey").await?;
    call.database.update_access_key(call.account(), &owner, &id, status == "Active").await?;
    Ok(None)
}

/// `DeleteAccessKey`.
pub(super) async fn delete(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = with.optional("UserName", EXISTING_USER_NAME);
    let id = with.required("AccessKeyId", KEY_ID);
    with.checked()?;
    let owner = owner(call, name, "iam:DeleteAccessKey").await?;
    call.database.delete_access_key(call.account(), &owner, &id).await?;
    Ok(None)
}

/// `GetAccessKeyLastUsed`.
pub(super) async fn last_used(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let id = with.required("AccessKeyId", KEY_ID);
    with.checked()?;
    // Whose key it is decides whether the caller may ask; of a key of nobody, only who may ask for all learns that.
    let found = call.database.find_access_key(&id).await?.filter(|key| key.account == call.account());
    let name = match found.as_ref().map(|key| &key.owner) {
        Some(KeyOwner::User(name)) => name.clone(),
        Some(KeyOwner::Root) | None => "*".to_owned(),
    };
    call.allow_on::<UserPart>("iam:GetAccessKeyLastUsed", &name, &[]).await?;
    let key = found.ok_or_else(|| Fault::missing(format!("The Access Key with id {id} cannot be found.")))?;
    let last_use = call.database.last_use(&id).await?;
    let mut xml = Xml::default();
    write_user_name(&mut xml, &key);
    xml.element("AccessKeyLastUsed", |xml| match &last_use {
        Some(last_use) => {
            xml.time("LastUsedDate", last_use.at_ms);
            xml.text("ServiceName", &last_use.service);
            xml.text("Region", &last_use.region);
        }
        None => {
            xml.text("ServiceName", "N/A");
            xml.text("Region", "N/A");
        }
    });
    Ok(Some(xml))
}

fn write_user_name(xml: &mut Xml, key: &AccessKey) {
    // The root is no user; its keys are listed without a name.
    if let KeyOwner::User(name) = &key.owner {
        xml.text("UserName", name);
    }
}

fn write_key(xml: &mut Xml, key: &AccessKey) {
    write_user_name(xml, key);
    xml.text("AccessKeyId", &key.id);
    xml.text("Status", if key.active { "Active" } else { "Inactive" });
    xml.time("CreateDate", key.created_ms);
}
