//! From text to policy: what may stand in a document of which kind, and the words of IAM's and DynamoDB's refusals.
//!
//! IAM has two parsers. One reads policies of identities; its order of checks and its words are those that moto's tests
//! and versitygw record of the service. The other reads trust policies and, at DynamoDB, resource-based policies; its
//! words are those that versitygw and aws-controllers-k8s record.

use super::condition::{Condition, Fault, Operator};
use super::document::{DocumentKind, Effect, MAX_DOCUMENT, Policy, PolicyError, Principals, Selection, Statement};
use super::json::Json;
use super::named::Named;
use super::pattern::{Case, Pattern, Reading, Wildcards};

const SYNTAX: &str = "Syntax errors in policy.";
const LEGACY: &str = "The policy failed legacy parsing";

/// The paths that an ARN of IAM may begin with.
const IAM_PATHS: [&str; 13] = [
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

/// Condition keys that, with fixed values, keep even `*` from being everyone. Source: "Blocking public access with
/// resource-based policies in DynamoDB".
const PINNING_KEYS: [&str; 15] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:principalisawsservice",
    "aws:ec2instancesourcevpc",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
];

impl Policy {
    /// Parses a document.
    ///
    /// # Errors
    /// The words of the service that keeps documents of this kind: of IAM's `MalformedPolicyDocument`, or of DynamoDB's
    /// `ValidationException` for resource-based policies, of which this also refuses those that let everyone in. Documents
    /// over [`MAX_DOCUMENT`] are not read; smaller limits are the caller's to check.
    pub fn parse(text: &str, kind: DocumentKind) -> Result<Self, PolicyError> {
        let document = if text.len() > MAX_DOCUMENT { None } else { Json::parse(text) };
        match kind {
            DocumentKind::Identity | DocumentKind::Managed => of_identity(document.as_ref(), kind),
            DocumentKind::Trust => of_trust(document.as_ref()).map_err(PolicyError),
            DocumentKind::Resource => of_resource(document.as_ref()),
        }
    }

    fn of(statements: Vec<Statement>) -> Self {
        let mut keys: Vec<Box<str>> = Vec::new();
        for statement in &statements {
            let patterns = statement.actions.patterns().iter();
            let patterns = patterns.chain(statement.resources.iter().flat_map(Selection::patterns));
            let conditions = statement.conditions.iter().flat_map(Condition::keys);
            let named = patterns.flat_map(Pattern::keys).chain(conditions);
            keys.extend(named.filter_map(|key| key.of_request()).map(Box::from));
        }
        keys.sort_unstable();
        keys.dedup();
        Self { statements: statements.into(), keys: keys.into() }
    }
}

/// The members of a statement whose types are right.
struct Raw<'a> {
    sid: Option<&'a str>,
    effect: &'a str,
    actions: Option<(bool, Vec<&'a str>)>,
    resources: Option<(bool, Vec<&'a str>)>,
    conditions: Vec<(Operator, &'a str, Vec<&'a str>)>,
}

/// Why a statement is not one: for parsers to put into their words.
enum Broken {
    Unknown(String),
    MissingEffect,
    Other,
}

impl<'a> Raw<'a> {
    fn read(statement: &'a Json) -> Result<Self, Broken> {
        let Json::Object(members) = statement else { return Err(Broken::Other) };
        for (name, _) in members {
            let known = [
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ];
            if !known.contains(&name.as_str()) {
                return Err(Broken::Unknown(name.clone()));
            }
        }
        let sid = match statement.get("Sid") {
            None => None,
            Some(Json::Text(sid)) => Some(sid.as_str()),
            Some(_) => return Err(Broken::Other),
        };
        let effect = match statement.get("Effect") {
            Some(Json::Text(effect)) => effect,
            Some(_) => return Err(Broken::Other),
            None => return Err(Broken::MissingEffect),
        };
        Ok(Self {
            sid,
            effect,
            actions: selection(statement, "Action", "NotAction")?,
            resources: selection(statement, "Resource", "NotResource")?,
            conditions: conditions(statement.get("Condition"))?,
        })
    }

    fn effect(&self) -> Option<Effect> {
        match self.effect {
            "Allow" => Some(Effect::Allow),
            "Deny" => Some(Effect::Deny),
            _ => None,
        }
    }

    fn effect_in_any_case(&self) -> Option<Effect> {
        if self.effect.eq_ignore_ascii_case("Allow") {
            return Some(Effect::Allow);
        }
        self.effect.eq_ignore_ascii_case("Deny").then_some(Effect::Deny)
    }

    fn build(
        self,
        effect: Effect,
        principals: Option<Principals>,
        variables: bool,
        kind: DocumentKind,
    ) -> Result<Statement, Fault> {
        let conditions = self
            .conditions
            .into_iter()
            .map(|(operator, key, values)| Condition::new(operator, key, &values, variables))
            .collect::<Result<_, _>>()?;
        let actions = Reading { variables: false, wildcards: Wildcards::Text, case: Case::Ignored };
        let resources = Reading { variables, wildcards: Wildcards::Resource, case: Case::Exact };
        let (negated, names) = self.actions.unwrap_or_default();
        Ok(Statement {
            sid: self.sid.filter(|sid| !sid.is_empty()).map(Into::into),
            effect,
            principals,
            actions: select(negated, names.into_iter().map(|name| Pattern::parse(name, actions))),
            resources: self.resources.map(|(negated, arns)| {
                select(negated, arns.into_iter().map(|arn| Pattern::parse(&whole_arn(arn, kind), resources)))
            }),
            conditions,
        })
    }
}

fn select(negated: bool, patterns: impl Iterator<Item = Pattern>) -> Selection {
    if negated { Selection::AllBut(patterns.collect()) } else { Selection::Only(patterns.collect()) }
}

/// An ARN with the parts that are left off as wildcards. DynamoDB reads only those so that have a wildcard themselves.
fn whole_arn(arn: &str, kind: DocumentKind) -> String {
    let parts = arn.matches(':').count() + 1;
    let expands = kind != DocumentKind::Resource || arn.contains('*');
    if arn == "*" || parts >= 6 || !expands {
        return arn.to_owned();
    }
    format!("{arn}{}", ":*".repeat(6 - parts))
}

/// Either of two elements that exclude each other; whether it is the negated one.
fn selection<'a>(statement: &'a Json, own: &str, negated: &str) -> Result<Option<(bool, Vec<&'a str>)>, Broken> {
    match (statement.get(own), statement.get(negated)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Broken::Other),
        (Some(texts), None) => texts.texts().map(|texts| Some((false, texts))).ok_or(Broken::Other),
        (None, Some(texts)) => texts.texts().map(|texts| Some((true, texts))).ok_or(Broken::Other),
    }
}

type Tests<'a> = Vec<(Operator, &'a str, Vec<&'a str>)>;

fn conditions(block: Option<&Json>) -> Result<Tests<'_>, Broken> {
    let Some(block) = block else { return Ok(Vec::new()) };
    let Json::Object(operators) = block else { return Err(Broken::Other) };
    let mut tests = Vec::new();
    for (name, keys) in operators {
        let Json::Object(keys) = keys else { return Err(Broken::Other) };
        // An operator that does nothing may have any name.
        if keys.is_empty() {
            continue;
        }
        let operator = Operator::parse(name).map_err(|_| Broken::Other)?;
        for (key, values) in keys {
            tests.push((operator, key.as_str(), values.scalars().ok_or(Broken::Other)?));
        }
    }
    Ok(tests)
}

/// The statements of a document: one, or a list that is not empty.
fn statements(document: &Json) -> Option<&[Json]> {
    match document.get("Statement")? {
        Json::List(statements) if !statements.is_empty() => Some(statements),
        statement @ Json::Object(_) => Some(std::slice::from_ref(statement)),
        _ => None,
    }
}

/// Whether its version has variables; `None` when there is no such version.
fn has_variables(document: &Json) -> Option<bool> {
    match document.get("Version") {
        None => Some(false),
        Some(Json::Text(version)) if version == "2008-10-17" => Some(false),
        Some(Json::Text(version)) if version == "2012-10-17" => Some(true),
        Some(_) => None,
    }
}

fn of_identity(document: Option<&Json>, kind: DocumentKind) -> Result<Policy, PolicyError> {
    let refused = |words: &str| PolicyError(words.to_owned());
    let syntax = || refused(SYNTAX);
    let document = document.ok_or_else(syntax)?;
    let Json::Object(members) = document else { return Err(syntax()) };
    if members.iter().any(|(name, _)| !["Version", "Id", "Statement"].contains(&name.as_str())) {
        return Err(syntax());
    }
    if !matches!(document.get("Id"), None | Some(Json::Text(_))) {
        return Err(syntax());
    }
    let variables = has_variables(document).ok_or_else(syntax)?;
    let texts = statements(document).ok_or_else(syntax)?;
    let read = texts.iter().map(|statement| Raw::read(statement).map_err(|_| syntax()));
    let read = read.collect::<Result<Vec<_>, _>>()?;
    if read.iter().any(|statement| statement.effect_in_any_case().is_none()) {
        return Err(syntax());
    }
    let named = |statement: &Json| statement.get("Principal").is_some() || statement.get("NotPrincipal").is_some();
    if texts.iter().any(named) {
        return Err(refused("Policy document should not specify a principal."));
    }
    if kind == DocumentKind::Managed && !variables {
        return Err(refused("Policy document must be version 2012-10-17 or greater."));
    }
    if read.iter().any(|statement| statement.effect().is_none()) {
        return Err(refused(LEGACY));
    }
    for (operator, key, values) in read.iter().flat_map(|statement| &statement.conditions) {
        Condition::new(*operator, key, values, variables).map_err(|_| refused(LEGACY))?;
    }
    let resources = read.iter().filter_map(|statement| statement.resources.as_ref()).flat_map(|(_, arns)| arns);
    let mut of_resources = Ok(());
    for arn in resources {
        of_resources = of_resources.and_then(|()| check_resource(arn));
        if of_resources.is_ok() && !is_parsed_by_legacy(arn) {
            return Err(refused(LEGACY));
        }
    }
    check_sids(&read).map_err(PolicyError)?;
    let names = |statement: &Raw<'_>| statement.actions.as_ref().is_some_and(|(_, names)| !names.is_empty());
    if !read.iter().all(names) {
        return Err(refused("Policy statement must contain actions."));
    }
    let actions: Vec<&str> =
        read.iter().filter_map(|statement| statement.actions.as_ref()).flat_map(|(_, names)| names).copied().collect();
    if actions.iter().any(|action| *action != "*" && !action.contains(':')) {
        return Err(refused("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."));
    }
    let names = |statement: &Raw<'_>| statement.resources.as_ref().is_some_and(|(_, arns)| !arns.is_empty());
    if !read.iter().all(names) {
        return Err(refused("Policy statement must contain resources."));
    }
    of_resources.map_err(PolicyError)?;
    actions.into_iter().try_for_each(check_vendor).map_err(PolicyError)?;
    let built = read.into_iter().map(|statement| {
        let effect = statement.effect().ok_or_else(syntax)?;
        statement.build(effect, None, variables, kind).map_err(|_| syntax())
    });
    Ok(Policy::of(built.collect::<Result<_, _>>()?))
}

fn check_sids(statements: &[Raw<'_>]) -> Result<(), String> {
    let mut sids: Vec<&str> =
        statements.iter().filter_map(|statement| statement.sid).filter(|sid| !sid.is_empty()).collect();
    if sids.iter().any(|sid| !sid.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Err(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression \
                    [0-9A-Za-z]*"
                .to_owned(),
        );
    }
    if has_repeated(&mut sids) {
        return Err("Statement IDs (SID) in a single policy must be unique.".to_owned());
    }
    Ok(())
}

fn has_repeated(texts: &mut [&str]) -> bool {
    texts.sort_unstable();
    texts.windows(2).any(|pair| matches!(pair, [first, second] if first == second))
}

/// Whether an ARN that names a service has all parts, or leaves them off whole.
fn is_parsed_by_legacy(arn: &str) -> bool {
    arn == "*" || ((arn.matches(':').count() >= 5 || !arn.contains("::")) && arn.split(':').nth(2) != Some(""))
}

fn check_resource(arn: &str) -> Result<(), String> {
    if arn == "*" {
        return Ok(());
    }
    let mut parts = arn.splitn(6, ':');
    let prefix = parts.next();
    let Some(partition) = parts.next() else {
        return Err(format!("Resource {arn} must be in ARN format or \"*\"."));
    };
    let parts: Vec<&str> = parts.collect();
    let is_known = partition == "aws" || partition.starts_with("aws-") || partition.contains('*');
    if !is_known || partition.contains(['{', '}']) {
        let part = |index: usize| parts.get(index).copied().unwrap_or("*");
        let (service, region, account, resource) = (part(0), part(1), part(2), part(3));
        let whole = format!("arn:{partition}:{service}:{region}:{account}:{resource}");
        return Err(format!("Partition \"{partition}\" is not valid for resource \"{whole}\"."));
    }
    if prefix != Some("arn") {
        return Err(format!("Resource {arn} must be in ARN format or \"*\"."));
    }
    let service = match parts.first() {
        Some(service) if !service.contains(['*', '?']) => *service,
        // A wildcard may end an ARN, but not stand for one of several services.
        Some(service) if *service == "*" => service,
        _ => return Err("Resource vendor must be fully qualified and cannot contain regexes.".to_owned()),
    };
    let region = parts.get(1).copied().unwrap_or_default();
    if parts.len() > 1 && !region.is_empty() && region != "*" {
        match service {
            "iam" => return Err(format!("IAM resource {arn} cannot contain region information.")),
            "s3" => return Err(format!("Resource {arn} can not contain region information.")),
            _ => {}
        }
    }
    if service == "iam"
        && let Some(path) = parts.get(3)
        && *path != "*"
        && !IAM_PATHS.iter().any(|known| path.starts_with(known))
    {
        return Err(format!("IAM resource path must either be \"*\" or start with {}.", IAM_PATHS.join(", ")));
    }
    Ok(())
}

fn check_vendor(action: &str) -> Result<(), String> {
    if action == "*" {
        return Ok(());
    }
    let (vendor, name) = action.split_once(':').unwrap_or((action, ""));
    if name.contains(':') {
        return Err("Actions/Condition can contain only one colon.".to_owned());
    }
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if vendor != "*" && (vendor.is_empty() || !vendor.bytes().all(valid)) {
        return Err(format!("Vendor {vendor} is not valid"));
    }
    Ok(())
}

/// What trust policies and resource-based policies have in common: the statements of a document, and whether it has
/// variables.
fn envelope(document: Option<&Json>) -> Result<(&[Json], bool), String> {
    let Some(document @ Json::Object(members)) = document else {
        return Err("This policy contains invalid Json".to_owned());
    };
    if let Some((name, _)) = members.iter().find(|(name, _)| !["Version", "Id", "Statement"].contains(&name.as_str())) {
        return Err(format!("Unknown field {name}"));
    }
    if !matches!(document.get("Id"), None | Some(Json::Text(_))) {
        return Err("Syntax error in policy.".to_owned());
    }
    let variables = has_variables(document).ok_or("The policy must contain a valid version string")?;
    let statements = statements(document).ok_or("Could not parse the policy: Statement is empty!")?;
    Ok((statements, variables))
}

fn read(statement: &Json) -> Result<Raw<'_>, String> {
    Raw::read(statement).map_err(|broken| match broken {
        Broken::Unknown(name) => format!("Unknown field {name}"),
        Broken::MissingEffect => "Missing required field Effect".to_owned(),
        Broken::Other => "Syntax error in policy.".to_owned(),
    })
}

fn of_trust(document: Option<&Json>) -> Result<Policy, String> {
    let (texts, variables) = envelope(document)?;
    let mut built = Vec::with_capacity(texts.len());
    let mut sids = Vec::new();
    for text in texts {
        let statement = read(text)?;
        sids.extend(statement.sid.filter(|sid| !sid.is_empty()));
        let effect = statement.effect().ok_or_else(|| format!("Invalid effect: {}", statement.effect))?;
        if text.get("NotPrincipal").is_some() {
            return Err(match effect {
                Effect::Allow => "Allow with NotPrincipal is not allowed.".to_owned(),
                Effect::Deny => "AssumeRole policy must not contain NotPrincipal field.".to_owned(),
            });
        }
        let named = text.get("Principal").ok_or("Missing required field Principal")?;
        if matches!(named, Json::Text(_)) {
            return Err("Principal must be a JSON object.".to_owned());
        }
        let named = principals(named).map_err(|wrong| match wrong {
            Nobody::Invalid { kind, text } => format!("Invalid principal in policy: \"{kind}\":\"{text}\""),
            Nobody::Unknown(kind) => format!("Invalid principal in policy: \"{kind}\""),
            Nobody::Empty => "Missing required field Principal cannot be empty!".to_owned(),
            Nobody::Malformed => "Syntax error in policy.".to_owned(),
        })?;
        let Some((_, actions)) = statement.actions.as_ref().filter(|(_, actions)| !actions.is_empty()) else {
            return Err("Missing required field Action".to_owned());
        };
        if actions.iter().any(|action| !action.get(..4).is_some_and(|vendor| vendor.eq_ignore_ascii_case("sts:"))) {
            return Err("AssumeRole policy may only specify STS AssumeRole actions.".to_owned());
        }
        match statement.resources {
            None => {}
            Some((false, _)) => return Err("Has prohibited field Resource".to_owned()),
            Some((true, _)) => return Err("AssumeRole policy must not contain resources.".to_owned()),
        }
        let statement = statement.build(effect, Some(Principals::Only(named)), variables, DocumentKind::Trust);
        built.push(statement.map_err(|_| "Syntax error in policy.".to_owned())?);
    }
    if has_repeated(&mut sids) {
        return Err("The Statement Ids in the policy are not unique".to_owned());
    }
    Ok(Policy::of(built))
}

fn of_resource(document: Option<&Json>) -> Result<Policy, PolicyError> {
    let invalid = |words: String| {
        PolicyError(format!("One or more parameter values were invalid: Invalid policy document: {words}"))
    };
    let nobody =
        || PolicyError("One or more parameter values were invalid: Invalid principal in policy document.".to_owned());
    let (texts, variables) = envelope(document).map_err(invalid)?;
    let mut built = Vec::with_capacity(texts.len());
    let mut sids = Vec::new();
    for text in texts {
        let statement = read(text).map_err(invalid)?;
        sids.extend(statement.sid.filter(|sid| !sid.is_empty()));
        // This parser takes `allow`, too.
        let effect =
            statement.effect_in_any_case().ok_or_else(|| invalid(format!("Invalid effect: {}", statement.effect)))?;
        let is_negated = text.get("NotPrincipal").is_some();
        let named = match (text.get("Principal"), text.get("NotPrincipal")) {
            (Some(named), None) | (None, Some(named)) => named,
            (None, None) => return Err(invalid("Missing required field Principal".to_owned())),
            (Some(_), Some(_)) => return Err(invalid("Syntax error in policy.".to_owned())),
        };
        if is_negated && effect == Effect::Allow {
            return Err(invalid("Allow with NotPrincipal is not allowed.".to_owned()));
        }
        let named = match named {
            Json::Text(text) if text == "*" => [Named::Everyone].into(),
            named => principals(named).map_err(|wrong| match wrong {
                Nobody::Invalid { .. } => nobody(),
                Nobody::Unknown(kind) => invalid(format!("Unknown field {kind}")),
                Nobody::Empty => invalid("Missing required field Principal cannot be empty!".to_owned()),
                Nobody::Malformed => invalid("Syntax error in policy.".to_owned()),
            })?,
        };
        if statement.actions.as_ref().is_none_or(|(_, actions)| actions.is_empty()) {
            return Err(invalid("Missing required field Action".to_owned()));
        }
        if statement.resources.as_ref().is_none_or(|(_, arns)| arns.is_empty()) {
            return Err(invalid("Missing required field Resource".to_owned()));
        }
        let everyone = named.contains(&Named::Everyone);
        let named = if is_negated { Principals::AllBut(named) } else { Principals::Only(named) };
        let statement = statement.build(effect, Some(named), variables, DocumentKind::Resource);
        let statement = statement.map_err(|_| invalid("Syntax error in policy.".to_owned()))?;
        let is_pinned = statement.conditions.iter().any(|condition| condition.pins(&PINNING_KEYS));
        if everyone && effect == Effect::Allow && !is_pinned {
            return Err(PolicyError(
                "Resource-based policy grants unbounded access in one or more elements. Please revise the policy to \
                 ensure least-privilege form of access"
                    .to_owned(),
            ));
        }
        built.push(statement);
    }
    if has_repeated(&mut sids) {
        return Err(invalid("The Statement Ids in the policy are not unique".to_owned()));
    }
    Ok(Policy::of(built))
}

/// Why principals are none.
enum Nobody {
    Invalid { kind: String, text: String },
    Unknown(String),
    Empty,
    Malformed,
}

fn principals(named: &Json) -> Result<Box<[Named]>, Nobody> {
    let Json::Object(kinds) = named else { return Err(Nobody::Malformed) };
    let mut principals = Vec::new();
    for (kind, texts) in kinds {
        for text in texts.texts().ok_or(Nobody::Malformed)? {
            principals.push(match kind.as_str() {
                "AWS" => {
                    Named::aws(text).ok_or_else(|| Nobody::Invalid { kind: kind.clone(), text: text.to_owned() })?
                }
                "Federated" => Named::Federated(text.into()),
                "Service" | "CanonicalUser" => Named::Other(text.into()),
                _ => return Err(Nobody::Unknown(kind.clone())),
            });
        }
    }
    if principals.is_empty() { Err(Nobody::Empty) } else { Ok(principals.into()) }
}
