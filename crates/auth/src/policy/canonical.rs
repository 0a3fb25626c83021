//! The form in which DynamoDB gives resource-based policies back, and by which it tells whether a policy changes.
//!
//! Source: what aws-controllers-k8s records of the service. Nothing between tokens; fixed order of members; one statement as
//! a list; lists of one value as that value; `Allow` and `Deny` so written; account ids of principals as ARNs of roots, each
//! once. Lists of actions, resources and values of conditions keep order and repetitions.

use super::document::PolicyError;
use super::json::Json;

/// A resource-based policy in its canonical form. Two documents with the same form are the same policy: putting one in
/// place of the other changes nothing.
///
/// # Errors
/// When the text is no JSON object.
pub fn canonical(text: &str) -> Result<String, PolicyError> {
    written(text, None)
}

/// As [`canonical`], with the version that a document without one has: as GetResourcePolicy answers. A document that names
/// the version 2008-10-17 is another than one without version, though both are answered alike.
///
/// # Errors
/// When the text is no JSON object.
pub fn canonical_as_answered(text: &str) -> Result<String, PolicyError> {
    written(text, Some("2008-10-17"))
}

fn written(text: &str, version: Option<&str>) -> Result<String, PolicyError> {
    let Some(Json::Object(members)) = Json::parse(text) else {
        return Err(PolicyError("This policy contains invalid Json".to_owned()));
    };
    let mut document = Vec::new();
    for (name, value) in members {
        let value = match (name.as_str(), value) {
            ("Statement", Json::List(statements)) => Json::List(statements.into_iter().map(statement).collect()),
            ("Statement", only) => Json::List(vec![statement(only)]),
            (_, value) => value,
        };
        document.push((name, value));
    }
    if let Some(version) = version
        && !document.iter().any(|(name, _)| name == "Version")
    {
        document.push(("Version".to_owned(), Json::Text(version.to_owned())));
    }
    order(&mut document, &["Version", "Id", "Statement"]);
    let mut out = String::with_capacity(text.len());
    write(&Json::Object(document), &mut out);
    Ok(out)
}

fn statement(statement: Json) -> Json {
    let Json::Object(members) = statement else { return statement };
    let mut members: Vec<(String, Json)> = members
        .into_iter()
        .map(|(name, value)| {
            let value = match (name.as_str(), value) {
                ("Effect", Json::Text(effect)) if effect.eq_ignore_ascii_case("Allow") => {
                    Json::Text("Allow".to_owned())
                }
                ("Effect", Json::Text(effect)) if effect.eq_ignore_ascii_case("Deny") => Json::Text("Deny".to_owned()),
                ("Principal" | "NotPrincipal", Json::Object(kinds)) => {
                    Json::Object(kinds.into_iter().map(|(kind, named)| principals(kind, named)).collect())
                }
                ("Condition", Json::Object(operators)) => {
                    let values = |(key, values)| (key, unwrapped(values));
                    let keys = |(name, keys)| match keys {
                        Json::Object(keys) => (name, Json::Object(keys.into_iter().map(values).collect())),
                        other => (name, other),
                    };
                    Json::Object(operators.into_iter().map(keys).collect())
                }
                (_, value) => unwrapped(value),
            };
            (name, value)
        })
        .collect();
    order(
        &mut members,
        &["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"],
    );
    Json::Object(members)
}

fn principals(kind: String, named: Json) -> (String, Json) {
    let texts = match named {
        Json::List(texts) => texts,
        only => vec![only],
    };
    let mut principals: Vec<Json> = Vec::new();
    for text in texts {
        let text = match text {
            Json::Text(id) if kind == "AWS" && id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()) => {
                Json::Text(format!("arn:aws:iam::{id}:root"))
            }
            other => other,
        };
        let is_same = |own: &Json| matches!((own, &text), (Json::Text(own), Json::Text(text)) if own == text);
        if !principals.iter().any(is_same) {
            principals.push(text);
        }
    }
    (kind, unwrapped(Json::List(principals)))
}

/// A list of one value as the value.
fn unwrapped(value: Json) -> Json {
    match value {
        Json::List(mut values) if values.len() == 1 => values.pop().unwrap_or(Json::Null),
        other => other,
    }
}

/// Puts members in this order, those that it does not name behind.
fn order(members: &mut [(String, Json)], names: &[&str]) {
    members.sort_by_key(|(own, _)| names.iter().position(|name| name == own).unwrap_or(names.len()));
}

fn write(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => out.push_str(number),
        Json::Text(text) => quote(text, out),
        Json::List(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(value, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                quote(name, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::{canonical, canonical_as_answered};

    #[test]
    fn the_form_that_is_answered() {
        let sent = r#" { "Statement" : { "Condition":{"StringEquals":{"aws:PrincipalAccount":["1"],"b":["x","x"]}},
            "Resource":["arn:aws:dynamodb:eu-west-1:111122223333:table/t"], "Action":["dynamodb:Query","dynamodb:getitem","dynamodb:Query"],
            "Principal":{"AWS":["111122223333","arn:aws:iam::111122223333:root"]}, "Effect":"allow", "Sid":"\u0041\"" } } "#;
        let rest = r#""Statement":[{"Sid":"A\"","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":["dynamodb:Query","dynamodb:getitem","dynamodb:Query"],"Resource":"arn:aws:dynamodb:eu-west-1:111122223333:table/t","Condition":{"StringEquals":{"aws:PrincipalAccount":"1","b":["x","x"]}}}]}"#;
        assert_eq!(canonical(sent).unwrap(), format!("{{{rest}"));
        assert_eq!(canonical_as_answered(sent).unwrap(), format!("{{\"Version\":\"2008-10-17\",{rest}"));
    }

    #[test]
    fn the_form_is_stable() {
        let sent = r#"{"Statement":[{"Effect":"Deny","NotPrincipal":{"Service":["a","b"]},"NotAction":["x:y"],"NotResource":"*"}],"Version":"2012-10-17","Id":"i"}"#;
        let form = canonical(sent).unwrap();
        assert_eq!(
            form,
            r#"{"Version":"2012-10-17","Id":"i","Statement":[{"Effect":"Deny","NotPrincipal":{"Service":["a","b"]},"NotAction":"x:y","NotResource":"*"}]}"#
        );
        assert_eq!(canonical(&form).unwrap(), form);
        assert_eq!(canonical_as_answered(&form).unwrap(), form);
        assert!(canonical("[]").is_err());
    }
}
