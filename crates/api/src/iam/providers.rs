//! OpenID Connect providers.

use partita_db::identity::{NewProvider, provider_arn};

use super::call::Call;
use super::entities::write_tags;
use super::fault::Fault;
use super::parameters::{ARN, Form, PROVIDER_URL, Parameters, Text};
use super::xml::Xml;

/// Audiences.
const CLIENT_ID: Text = Text { least: 1, most: 255, form: Form::Any };
/// Thumbprints.
const THUMBPRINT: Text = Text { least: 40, most: 40, form: Form::Any };

/// `CreateOpenIDConnectProvider`.
pub(super) async fn create(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let url = with.required("Url", PROVIDER_URL);
    let client_ids = with.list("ClientIDList", 101, CLIENT_ID);
    let thumbprints = with.list("ThumbprintList", 6, THUMBPRINT);
    let tags = with.tags();
    with.checked()?;
    let url = issuer(&url)?;
    let arn = provider_arn(call.account(), &url);
    call.allow_tagged("iam:CreateOpenIDConnectProvider", &arn, &tags, None)?;
    let provider =
        call.database.create_provider(call.account(), NewProvider { url, client_ids, thumbprints, tags }).await?;
    let mut xml = Xml::default();
    xml.text("OpenIDConnectProviderArn", &arn);
    write_tags(&mut xml, provider.tags.iter());
    Ok(Some(xml))
}

/// `GetOpenIDConnectProvider`.
pub(super) async fn get(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let arn = with.required("OpenIDConnectProviderArn", ARN);
    with.checked()?;
    allow_on(call, "iam:GetOpenIDConnectProvider", &arn).await?;
    let provider = call.database.provider(call.account(), &arn).await?;
    let mut xml = Xml::default();
    xml.text("Url", provider.url.strip_prefix("https://").unwrap_or(&provider.url));
    xml.list("ClientIDList", &provider.client_ids, |xml, id| xml.escaped(id));
    xml.list("ThumbprintList", &provider.thumbprints, |xml, thumbprint| xml.escaped(thumbprint));
    xml.time("CreateDate", provider.created_ms);
    write_tags(&mut xml, provider.tags.iter());
    Ok(Some(xml))
}

/// `ListOpenIDConnectProviders`.
pub(super) async fn list(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    with.checked()?;
    call.allow("iam:ListOpenIDConnectProviders", &provider_arn(call.account(), "*"), &[])?;
    let providers = call.database.providers(call.account()).await?;
    let mut xml = Xml::default();
    xml.list("OpenIDConnectProviderList", &providers, |xml, provider| {
        xml.text("Arn", &provider_arn(call.account(), &provider.url));
    });
    Ok(Some(xml))
}

/// `DeleteOpenIDConnectProvider`.
pub(super) async fn delete(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let arn = with.required("OpenIDConnectProviderArn", ARN);
    with.checked()?;
    allow_on(call, "iam:DeleteOpenIDConnectProvider", &arn).await?;
    call.database.delete_provider(call.account(), &arn).await?;
    Ok(None)
}

/// Checks that the caller may do something to a provider.
async fn allow_on(call: &Call<'_>, action: &str, arn: &str) -> Result<(), Fault> {
    let found = call.database.provider(call.account(), arn).await.ok();
    call.allow_on_tagged(action, arn, found.as_ref().map(|provider| &provider.tags))
}

/// An issuer's URL: `https`, with a host and nothing behind the path.
fn issuer(url: &str) -> Result<String, Fault> {
    let wrong = || Fault::input("Invalid Open ID Connect Provider URL");
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let plain = uri.scheme_str() == Some("https") && uri.query().is_none() && !url.contains('#');
    if !plain || authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(wrong());
    }
    Ok(url.to_owned())
}
