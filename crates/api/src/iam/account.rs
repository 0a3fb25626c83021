//! What is asked of an account as a whole.

use partita_auth::policy::{Access, Context, Decision, DenialReason, simulate as simulate_policies};
use partita_db::identity::{self as limits, RolePart};

use super::call::{Call, name_of, page_of, write_page_end};
use super::fault::Fault;
use super::parameters::{ARN, Form, Parameters, Text};
use super::xml::Xml;

/// Names of actions.
const ACTION_NAME: Text = Text { least: 3, most: 128, form: Form::Any };
/// ARNs of resources, and the star.
const RESOURCE_NAME: Text = Text { least: 1, most: 2048, form: Form::Any };
/// The most actions, and resources, of a simulation.
const MAX_SIMULATED: usize = 100;
/// The most pairs of an action and a resource of a simulation.
const MAX_PAIRS: usize = 1_000;

/// `GetAccountSummary`.
pub(super) async fn summary(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    with.checked()?;
    call.allow("iam:GetAccountSummary", "*", &[])?;
    let [users, groups, roles, policies, providers] = call.database.count_all(call.account()).await?;
    let entries = [
        ("Users", users),
        ("UsersQuota", limits::MAX_USERS),
        ("Groups", groups),
        ("GroupsQuota", limits::MAX_GROUPS),
        ("Roles", roles),
        ("RolesQuota", limits::MAX_ROLES),
        ("Policies", policies),
        ("PoliciesQuota", limits::MAX_POLICIES),
        ("Providers", providers),
        ("AccessKeysPerUserQuota", limits::MAX_ACCESS_KEYS),
        ("GroupsPerUserQuota", limits::MAX_GROUPS_OF_USER),
        ("AttachedPoliciesPerUserQuota", limits::MAX_ATTACHED),
        ("AttachedPoliciesPerGroupQuota", limits::MAX_ATTACHED),
        ("AttachedPoliciesPerRoleQuota", limits::MAX_ATTACHED),
        ("VersionsPerPolicyQuota", limits::MAX_VERSIONS),
        ("PolicySizeQuota", limits::MAX_POLICY),
        ("UserPolicySizeQuota", limits::MAX_USER_INLINE),
        ("GroupPolicySizeQuota", limits::MAX_GROUP_INLINE),
        ("RolePolicySizeQuota", limits::MAX_ROLE_INLINE),
        ("AssumeRolePolicySizeQuota", limits::MAX_TRUST),
    ];
    let mut xml = Xml::default();
    xml.element("SummaryMap", |xml| {
        for (name, value) in entries {
            xml.element("entry", |xml| {
                xml.text("key", name);
                xml.plain("value", value);
            });
        }
    });
    Ok(Some(xml))
}

/// `ListAccountAliases`: there are none.
pub(super) async fn list_aliases(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    with.page();
    with.checked()?;
    call.allow("iam:ListAccountAliases", "*", &[])?;
    let mut xml = Xml::default();
    xml.list("AccountAliases", [""; 0], Xml::escaped);
    write_page_end(&mut xml, None);
    Ok(Some(xml))
}

/// `ListInstanceProfilesForRole`: there are none. Infrastructure tools ask before they delete a role.
pub(super) async fn list_instance_profiles(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let name = name_of::<RolePart>(with);
    with.page();
    with.checked()?;
    call.allow_on::<RolePart>("iam:ListInstanceProfilesForRole", &name, &[]).await?;
    call.database.entity::<RolePart>(call.account(), &name).await?;
    let mut xml = Xml::default();
    xml.list("InstanceProfiles", [""; 0], Xml::escaped);
    write_page_end(&mut xml, None);
    Ok(Some(xml))
}

/// `SimulatePrincipalPolicy`: what a user or role may, by its own policies.
pub(super) async fn simulate(call: &Call<'_>, with: &mut Parameters) -> Result<Option<Xml>, Fault> {
    let arn = with.required("PolicySourceArn", ARN);
    let actions = with.list("ActionNames", MAX_SIMULATED, ACTION_NAME);
    let mut resources = with.list("ResourceArns", MAX_SIMULATED, RESOURCE_NAME);
    let entries = with.context_entries();
    let page = with.page();
    with.checked()?;
    call.allow("iam:SimulatePrincipalPolicy", &arn, &[])?;
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    if actions.len().saturating_mul(resources.len()) > MAX_PAIRS {
        let message = format!("A simulation has at most {MAX_PAIRS} pairs of an action and a resource");
        return Err(Fault::input(message));
    }
    let (principal, attached) = crate::identities::simulated(call.database, call.account(), &arn)
        .await?
        .ok_or_else(|| Fault::missing(format!("{arn} cannot be found.")))?;
    let mut context = Context::default();
    for (name, values) in entries {
        context.set_all(&name, values);
    }
    let mut pairs = Vec::with_capacity(actions.len().saturating_mul(resources.len()));
    for action in &actions {
        pairs.extend(resources.iter().map(|resource| (action.clone(), resource.clone())));
    }
    let (pairs, marker) = page_of(pairs, &page, |(action, resource)| format!("{action} {resource}"));
    let account = call.account().to_owned();
    // What others wrote is evaluated up to a thousand times: not where requests are answered.
    let evaluating = tokio::task::spawn_blocking(move || {
        let evaluate = |(action, resource): (String, String)| {
            let access = Access {
                principal: &principal,
                action: &action,
                resource: &resource,
                resource_account: &account,
                context: &context,
            };
            let simulated = simulate_policies(&access, &attached, None);
            let decision = match simulated.decision {
                Decision::Allowed => "allowed",
                Decision::Denied(DenialReason::Explicit(_)) => "explicitDeny",
                Decision::Denied(DenialReason::NotAllowed(_)) => "implicitDeny",
            };
            (action, resource, decision, simulated.missing)
        };
        pairs.into_iter().map(evaluate).collect::<Vec<_>>()
    });
    let results = evaluating.await.map_err(|error| Fault::internal(error.to_string()))?;
    let mut xml = Xml::default();
    xml.list("EvaluationResults", &results, |xml, (action, resource, decision, missing)| {
        xml.text("EvalActionName", action);
        xml.text("EvalResourceName", resource);
        xml.text("EvalDecision", decision);
        xml.list("MatchedStatements", [""; 0], Xml::escaped);
        xml.list("MissingContextValues", missing, |xml, key| xml.escaped(key));
    });
    write_page_end(&mut xml, marker.as_deref());
    Ok(Some(xml))
}
