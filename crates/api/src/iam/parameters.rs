//! The parameters of a request, checked against the model: what breaks it is collected and told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use partita_db::identity::MAX_TAGS;

use super::fault::Fault;
use super::query::Query;

/// The most of a wrong value that is repeated, in characters.
const MAX_ECHO: usize = 256;
/// How many entries a page has when the request does not say ("Making query requests": 100).
const DEFAULT_PAGE: usize = 100;
/// The most entries of a page that can be asked for (the API's `maxItemsType`).
const MAX_PAGE: usize = 1000;

/// What a text parameter has to be: IAM's service model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    /// The fewest characters.
    pub(super) least: usize,
    /// The most characters.
    pub(super) most: usize,
    /// What it consists of.
    pub(super) form: Form,
}

/// What a text parameter consists of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// A name: letters, digits and `+=,.@_-`.
    Name,
    /// What a pattern, as it is told to clients, says.
    Pattern(&'static str, fn(&str) -> bool),
    /// Anything.
    Any,
}

const fn text(least: usize, most: usize, form: Form) -> Text {
    Text { least, most, form }
}

/// Names of users.
pub(super) const USER_NAME: Text = text(1, 64, Form::Name);
/// Names of users that exist.
pub(super) const EXISTING_USER_NAME: Text = text(1, 128, Form::Name);
/// Names of groups and policies.
pub(super) const LONG_NAME: Text = text(1, 128, Form::Name);
/// Names of roles.
pub(super) const ROLE_NAME: Text = text(1, 64, Form::Name);
/// Paths of entities.
pub(super) const PATH: Text = text(1, 512, Form::Pattern("(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)", is_path));
/// Paths of managed policies.
pub(super) const POLICY_PATH: Text = text(1, 512, Form::Pattern("((/[A-Za-z0-9\\.,\\+@=_-]+)*)/", is_policy_path));
/// What paths of a list begin with.
pub(super) const PATH_PREFIX: Text = text(1, 512, Form::Pattern("\\u002F[\\u0021-\\u007F]*", is_path_prefix));
/// Policy documents.
pub(super) const DOCUMENT: Text = text(1, 131_072, Form::Pattern("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", is_latin));
/// ARNs.
pub(super) const ARN: Text = text(20, 2048, Form::Any);
/// Ids of access keys.
pub(super) const KEY_ID: Text = text(16, 128, Form::Pattern("[\\w]+", is_word));
/// Numbers of versions of policies.
pub(super) const VERSION: Text = text(2, 11, Form::Pattern("v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?", is_version));
/// Descriptions of roles and policies.
pub(super) const DESCRIPTION: Text =
    text(0, 1000, Form::Pattern("[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*", is_latin));
/// Names of sessions, and source identities.
pub(super) const SESSION_NAME: Text = text(2, 64, Form::Pattern("[\\w+=,.@-]*", is_name));
/// External ids.
pub(super) const EXTERNAL_ID: Text = text(2, 1224, Form::Pattern("[\\w+=,.@:\\/-]*", is_external_id));
/// Session policies.
pub(super) const SESSION_POLICY: Text =
    text(1, 2048, Form::Pattern("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", is_latin));
/// Tokens of identity providers.
pub(super) const CLIENT_TOKEN: Text = text(4, 20_000, Form::Any);
/// URLs of identity providers.
pub(super) const PROVIDER_URL: Text = text(1, 255, Form::Any);
/// Where a list goes on.
const MARKER: Text = text(1, 4096, Form::Pattern("[\\u0020-\\u00FF]+", is_latin));
/// Keys of tags.
pub(super) const TAG_KEY: Text = text(1, 128, Form::Pattern("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+", is_tag));
/// Values of tags.
const TAG_VALUE: Text = text(0, 256, Form::Pattern("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*", is_tag));

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_external_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte))
}

fn is_path(text: &str) -> bool {
    text == "/"
        || text.len() > 2
            && text.starts_with('/')
            && text.ends_with('/')
            && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_policy_path(text: &str) -> bool {
    let parts = text.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    text == "/"
        || is_path(text) && parts.is_some_and(|parts| parts.split('/').all(|part| !part.is_empty() && is_name(part)))
}

fn is_path_prefix(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == 0x7F)
}

fn is_latin(text: &str) -> bool {
    text.chars().all(|character| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FF}'))
}

fn is_tag(text: &str) -> bool {
    text.chars()
        .all(|character| character.is_alphanumeric() || character.is_whitespace() || "_.:/=+-@".contains(character))
}

fn is_version(text: &str) -> bool {
    version_number(text).is_some()
}

/// The number of a version such as `v3`.
pub(super) fn version_number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('v')?;
    let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// A request's parameters.
#[derive(Debug)]
pub(super) struct Parameters {
    query: Query,
    faults: Vec<String>,
    /// A refusal that is worded otherwise than those of the model.
    refused: Option<Fault>,
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageRequest {
    /// The last entry of the page before.
    pub(super) after: Option<String>,
    /// The most entries.
    pub(super) most: usize,
}

impl Parameters {
    pub(super) fn new(query: Query) -> Self {
        Self { query, faults: Vec::new(), refused: None }
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, name: &str, rule: Text) -> String {
        self.optional(name, rule).unwrap_or_else(|| {
            if self.query.get(name).is_none() {
                self.faults.push(format!(
                    "Value null at '{}' failed to satisfy constraint: Member must not be null",
                    lower(name)
                ));
            }
            String::new()
        })
    }

    /// A text that may be there.
    pub(super) fn optional(&mut self, name: &str, rule: Text) -> Option<String> {
        let value = self.query.get(name)?.to_owned();
        self.check(&value, &lower(name), rule).then_some(value)
    }

    /// A whole number that may be there.
    pub(super) fn number(&mut self, name: &str, least: u32, most: u32) -> Option<u32> {
        let value = self.query.get(name)?;
        let at = lower(name);
        let wrong = match value.parse::<i64>() {
            Err(_) => {
                self.refused.get_or_insert(Fault::new(400, "MalformedInput", format!("{name} is not a whole number")));
                return None;
            }
            Ok(number) if number < i64::from(least) => {
                format!("Member must have value greater than or equal to {least}")
            }
            Ok(number) if number > i64::from(most) => format!("Member must have value less than or equal to {most}"),
            Ok(number) => return u32::try_from(number).ok(),
        };
        self.faults.push(format!("Value '{}' at '{at}' failed to satisfy constraint: {wrong}", echo(value)));
        None
    }

    /// A truth value that may be there.
    pub(super) fn truth(&mut self, name: &str) -> Option<bool> {
        match self.query.get(name)? {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.refused.get_or_insert(Fault::new(
                    400,
                    "MalformedInput",
                    format!("{name} is neither true nor false"),
                ));
                None
            }
        }
    }

    /// One of several words, which may be there.
    pub(super) fn word(&mut self, name: &str, words: &[&'static str]) -> Option<&'static str> {
        let value = self.query.get(name)?;
        let found = words.iter().copied().find(|word| *word == value);
        if found.is_none() {
            self.faults.push(format!(
                "Value '{}' at '{}' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
                echo(value),
                lower(name),
                words.join(", ")
            ));
        }
        found
    }

    /// A list of texts, at most `most` of them.
    pub(super) fn list(&mut self, name: &str, most: usize, rule: Text) -> Vec<String> {
        let values: Vec<String> = self.query.list(name).into_iter().map(str::to_owned).collect();
        self.check_length(name, values.len(), most);
        for (index, value) in values.iter().enumerate().take(most) {
            let at = format!("{}.{}.member", lower(name), index.saturating_add(1));
            self.check(value, &at, rule);
        }
        values
    }

    /// One member of each structure of a list.
    pub(super) fn list_of(&mut self, name: &str, member: &str, most: usize, rule: Text) -> Vec<String> {
        let values: Vec<String> = (self.query.structures(name).into_iter())
            .map(|fields| fields.get(member).copied().unwrap_or_default().to_owned())
            .collect();
        self.check_length(name, values.len(), most);
        for (index, value) in values.iter().enumerate().take(most) {
            let at = format!("{}.{}.member.{}", lower(name), index.saturating_add(1), lower(member));
            self.check(value, &at, rule);
        }
        values
    }

    /// The condition keys of a simulation: name, and values.
    pub(super) fn context_entries(&self) -> Vec<(String, Vec<String>)> {
        let entry = |fields: BTreeMap<&str, &str>| {
            let name = fields.get("ContextKeyName").copied().unwrap_or_default().to_owned();
            let values = fields.iter().filter(|(name, _)| name.starts_with("ContextKeyValues.member."));
            (name, values.map(|(_, value)| (*value).to_owned()).collect())
        };
        self.query.structures("ContextEntries").into_iter().map(entry).collect()
    }

    /// The tags.
    pub(super) fn tags(&mut self) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let pairs: Vec<(String, String)> = (self.query.structures("Tags").into_iter())
            .map(|fields| {
                let field = |name| fields.get(name).copied().unwrap_or_default().to_owned();
                (field("Key"), field("Value"))
            })
            .collect();
        self.check_length("Tags", pairs.len(), MAX_TAGS);
        for (index, (key, value)) in pairs.into_iter().enumerate().take(MAX_TAGS) {
            let number = index.saturating_add(1);
            self.check(&key, &format!("tags.{number}.member.key"), TAG_KEY);
            self.check(&value, &format!("tags.{number}.member.value"), TAG_VALUE);
            if key.to_lowercase().starts_with("aws:") {
                self.refused.get_or_insert(Fault::input("Tag keys that begin with aws: are reserved"));
            }
            if !seen.insert(key.to_lowercase()) {
                let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
                self.refused.get_or_insert(Fault::input(message));
            }
            tags.insert(key, value);
        }
        tags
    }

    /// Which part of a list is asked for.
    pub(super) fn page(&mut self) -> PageRequest {
        let most =
            self.number("MaxItems", 1, 1000).map_or(DEFAULT_PAGE, |most| usize::try_from(most).unwrap_or(MAX_PAGE));
        let marker = self.optional("Marker", MARKER);
        let after = marker.as_deref().and_then(from_marker);
        if marker.is_some() && after.is_none() {
            self.refused.get_or_insert(Fault::validation("Invalid Marker."));
        }
        PageRequest { after, most }
    }

    /// Refuses the request if any parameter so far breaks the model.
    ///
    /// # Errors
    /// `ValidationError`, `InvalidInput`, `MalformedInput`.
    pub(super) fn checked(&mut self) -> Result<(), Fault> {
        if let Some(first) = self.faults.first() {
            let count = self.faults.len();
            let mut message = format!("{count} validation error{} detected: ", if count == 1 { "" } else { "s" });
            message.push_str(first);
            for fault in self.faults.iter().skip(1) {
                let _ = write!(message, "; {fault}");
            }
            return Err(Fault::validation(message));
        }
        self.refused.take().map_or(Ok(()), Err)
    }

    fn check_length(&mut self, name: &str, length: usize, most: usize) {
        if length > most {
            self.faults.push(format!(
                "Value at '{}' failed to satisfy constraint: Member must have length less than or equal to {most}",
                lower(name)
            ));
        }
    }

    /// Whether a value is as it has to be. If not, that is noted.
    fn check(&mut self, value: &str, at: &str, rule: Text) -> bool {
        let count = value.chars().count();
        let wrong = if count < rule.least {
            format!("Member must have length greater than or equal to {}", rule.least)
        } else if count > rule.most {
            format!("Member must have length less than or equal to {}", rule.most)
        } else {
            match rule.form {
                Form::Any => return true,
                Form::Name if is_name(value) => return true,
                Form::Name => {
                    self.refused.get_or_insert(Fault::validation(format!(
                        "The specified value for {at} is invalid. It must contain only alphanumeric characters and/or \
                         the following: +=,.@_-"
                    )));
                    return false;
                }
                Form::Pattern(_, is) if is(value) => return true,
                Form::Pattern(pattern, _) => format!("Member must satisfy regular expression pattern: {pattern}"),
            }
        };
        // Tokens of identity providers are as good as passwords.
        let shown = if at == "webIdentityToken" { "***sensitive***".to_owned() } else { echo(value) };
        self.faults.push(format!("Value '{shown}' at '{at}' failed to satisfy constraint: {wrong}"));
        false
    }
}

/// A parameter's name as it is told to clients.
fn lower(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

fn echo(value: &str) -> String {
    value.chars().take(MAX_ECHO).collect()
}

/// The marker of a page that ends with this entry.
pub(super) fn to_marker(last: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(last)
}

fn from_marker(marker: &str) -> Option<String> {
    use base64::Engine as _;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(marker).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Parameters {
        Parameters::new(Query::parse(text.as_bytes()).unwrap())
    }

    fn said(parameters: &mut Parameters) -> String {
        parameters.checked().err().map_or_else(|| "ok".to_owned(), |fault| format!("{}: {}", fault.code, fault.message))
    }

    #[test]
    fn what_breaks_the_model_is_told_together() {
        let mut parameters = of("RoleName=&Path=x&MaxItems=0");
        parameters.required("RoleName", ROLE_NAME);
        parameters.required("PolicyName", LONG_NAME);
        parameters.optional("Path", PATH);
        parameters.page();
        assert_eq!(
            said(&mut parameters),
            "ValidationError: 4 validation errors detected: Value '' at 'roleName' failed to satisfy constraint: Member \
             must have length greater than or equal to 1; Value null at 'policyName' failed to satisfy constraint: Member \
             must not be null; Value 'x' at 'path' failed to satisfy constraint: Member must satisfy regular expression \
             pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F); Value '0' at 'maxItems' failed to satisfy constraint: \
             Member must have value greater than or equal to 1"
        );
        let mut parameters = of("UserName=a%2Fb");
        parameters.required("UserName", USER_NAME);
        assert!(said(&mut parameters).contains("The specified value for userName is invalid."));
    }

    #[test]
    fn tags_come_once_and_at_most_fifty_times() {
        let mut parameters = of("Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=A");
        parameters.tags();
        assert!(said(&mut parameters).starts_with("InvalidInput: Duplicate tag keys"));
        let many: String = (1..=51).map(|number| format!("Tags.member.{number}.Key=k{number}&")).collect();
        let mut parameters = of(&many);
        parameters.tags();
        assert!(said(&mut parameters).contains("length less than or equal to 50"));
        let mut parameters = of("Tags.member.1.Key=aws:x");
        parameters.tags();
        assert!(said(&mut parameters).contains("reserved"));
    }

    #[test]
    fn paths_and_versions_have_their_form() {
        for (path, is, is_policys) in [
            ("/", true, true),
            ("/a/", true, true),
            ("/a/b/", true, true),
            ("//", false, false),
            ("/a!/", true, false),
            ("/a//b/", true, false),
            ("/a", false, false),
            ("a/", false, false),
            ("/é/", false, false),
        ] {
            assert_eq!((is_path(path), is_policy_path(path)), (is, is_policys), "{path}");
        }
        assert_eq!(version_number("v12"), Some(12));
        for wrong in ["v0", "v", "1", "v01", "v99999999999", "v1.a"] {
            assert_eq!(version_number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn markers_survive() {
        let mut parameters =
            of(&format!("Marker={}&MaxItems=7", super::super::xml::percent_encoded(&to_marker("Bob"))));
        assert_eq!(parameters.page(), PageRequest { after: Some("Bob".to_owned()), most: 7 });
        let mut parameters = of("Marker=%21");
        parameters.page();
        assert_eq!(said(&mut parameters), "ValidationError: Invalid Marker.");
    }
}
