//! Tags of tables: their rules, and putting, removing and listing them.

use std::collections::BTreeMap;

use partita_engine::Freshness;
use partita_model::{ErrorCode, Refusal};

use crate::Database;
use crate::catalog::{Becomes, RecordChange, catalog_key_of};
use crate::error::{Error, Result};
use crate::limits::{MAX_TAG_KEY_CHARACTERS, MAX_TAG_VALUE_CHARACTERS, MAX_TAGS};
use crate::record::TableRecord;
use crate::scope::{Scope, TableArn};

/// A tag as a request gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagDefinition {
    /// The key.
    pub key: Option<String>,
    /// The value.
    pub value: Option<String>,
}

/// The tags of a request, by key.
///
/// # Errors
/// `ValidationException` for keys and values of the wrong length or characters, keys that come twice or begin with
/// `aws:`, and too many tags.
pub(super) fn checked(tags: &[TagDefinition]) -> std::result::Result<BTreeMap<String, String>, Refusal> {
    if tags.len() > MAX_TAGS {
        return Err(too_many());
    }
    let mut checked = BTreeMap::new();
    for tag in tags {
        let key = check_key(tag.key.as_deref())?;
        let value = match tag.value.as_deref() {
            Some(value) if value.chars().count() <= MAX_TAG_VALUE_CHARACTERS && value.chars().all(is_allowed) => value,
            other => {
                let shown = other.unwrap_or("null");
                return Err(Refusal::validation(format!("The Tag Value provided is invalid, Value: {shown}")));
            }
        };
        if checked.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Refusal::validation(format!(
                "Duplicate Tag Keys provided as input: Duplicate Tag Key found {key}"
            )));
        }
    }
    Ok(checked)
}

fn check_key(key: Option<&str>) -> std::result::Result<&str, Refusal> {
    match key {
        Some(key) if key.starts_with("aws:") => {
            Err(Refusal::validation(format!("Tag Key cannot be prefixed with aws:, Key: {key}")))
        }
        Some(key)
            if !key.is_empty() && key.chars().count() <= MAX_TAG_KEY_CHARACTERS && key.chars().all(is_allowed) =>
        {
            Ok(key)
        }
        other => Err(Refusal::validation(format!("The Tag Key provided is invalid, Key: {}", other.unwrap_or("null")))),
    }
}

/// Letters and digits of any script, spaces, and a few signs ("Tagging restrictions in DynamoDB", and measured).
fn is_allowed(character: char) -> bool {
    character.is_alphanumeric()
        || (character.is_whitespace() && !character.is_control())
        || matches!(character, '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@')
}

fn too_many() -> Refusal {
    Refusal::validation("Number of Tags exceed the current limit for the provided ResourceArn")
}

/// The table that a `ResourceArn` of a tag operation names.
///
/// # Errors
/// `ValidationException` when it is not the ARN of a table.
fn tagged_table(arn: &str) -> std::result::Result<TableArn<'_>, Refusal> {
    use super::keys::invalid;
    if !arn.starts_with("arn:") {
        return Err(invalid(format_args!("ARNs must start with 'arn:': {arn}")));
    }
    let parsed = TableArn::parse(arn);
    match parsed {
        Some(table) if table.rest.is_none() && table.table.len() >= 3 => Ok(table),
        Some(table) if table.rest.is_some() => Err(invalid(format_args!(
            "Invalid resource arn provided, only table or stream is accepted. Provided resource arn: {arn}"
        ))),
        Some(_) => Err(Refusal::validation(format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}"))),
        None => Err(invalid(format_args!("Provided Arn is not a DynamoDB resource arn: {arn}"))),
    }
}

fn resource_not_found(arn: &str) -> Error {
    Error::refused(
        ErrorCode::ResourceNotFoundException,
        format!("Requested resource not found: ResourcArn: {arn} not found"),
    )
}

impl Database {
    /// Adds tags to a table, replacing those of the same keys (TagResource).
    ///
    /// # Errors
    /// `ValidationException` for bad tags, ARNs and more than 50 tags in all, `ResourceNotFoundException`.
    pub async fn tag(&self, scope: &Scope, arn: &str, tags: &[TagDefinition]) -> Result<()> {
        tagged_table(arn)?;
        if tags.is_empty() {
            return Err(Error::validation("Atleast one Tag needs to be provided as Input."));
        }
        let new = checked(tags)?;
        self.change_tags(scope, arn, resource_not_found(arn), move |record| {
            record.tags.extend(new.clone());
            if record.tags.len() > MAX_TAGS { Err(too_many().into()) } else { Ok(()) }
        })
        .await
    }

    /// Removes tags from a table; keys it does not have are no error (UntagResource).
    ///
    /// # Errors
    /// `ValidationException` for bad keys and ARNs, `ResourceNotFoundException`.
    pub async fn untag(&self, scope: &Scope, arn: &str, keys: &[String]) -> Result<()> {
        tagged_table(arn)?;
        if keys.is_empty() {
            return Err(Error::validation("Atleast one Tag Key needs to be provided as Input."));
        }
        if keys.len() > MAX_TAGS {
            return Err(too_many().into());
        }
        for key in keys {
            check_key(Some(key))?;
        }
        self.change_tags(scope, arn, Error::table_not_found(), |record| {
            keys.iter().for_each(|key| drop(record.tags.remove(key)));
            Ok(())
        })
        .await
    }

    /// The tags of a table, by key (ListTagsOfResource).
    ///
    /// # Errors
    /// `ValidationException` for bad ARNs, `ResourceNotFoundException`.
    pub async fn tags(&self, scope: &Scope, arn: &str) -> Result<BTreeMap<String, String>> {
        tagged_table(arn)?;
        let snapshot = self.snapshot(Freshness::Latest).await?;
        let table = self.table_at(&snapshot, &catalog_key_of(scope, arn)).await?;
        table.map(|table| table.record.tags.clone()).ok_or_else(|| resource_not_found(arn))
    }

    async fn change_tags(
        &self,
        scope: &Scope,
        arn: &str,
        not_found: Error,
        mut change: impl FnMut(&mut TableRecord) -> Result<()> + Send,
    ) -> Result<()> {
        self.change_record(&catalog_key_of(scope, arn), |record| {
            let mut record = record.ok_or_else(|| not_found.clone())?;
            let before = record.tags.clone();
            change(&mut record)?;
            let unchanged = record.tags == before;
            let record = if unchanged { Becomes::Unchanged } else { Becomes::Record(Box::new(record)) };
            Ok((RecordChange { record, writes: Vec::new() }, ()))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> TagDefinition {
        TagDefinition { key: Some(key.to_owned()), value: Some(value.to_owned()) }
    }

    fn message(tags: &[TagDefinition]) -> String {
        checked(tags).map_or_else(|refusal| refusal.message.into_owned(), |_| "ok".to_owned())
    }

    #[test]
    fn tags_have_keys_and_values_of_the_allowed_length_and_characters() {
        let long = |count| "k".repeat(count);
        for (key, value, expected) in [
            ("a", "", "ok".to_owned()),
            ("ключ", "表 café", "ok".to_owned()),
            ("a", "a+b-c=d.e_f:g/h@i", "ok".to_owned()),
            (&long(128), &long(256), "ok".to_owned()),
            (&long(129), "", format!("The Tag Key provided is invalid, Key: {}", long(129))),
            ("", "v", "The Tag Key provided is invalid, Key: ".to_owned()),
            ("a", &long(257), format!("The Tag Value provided is invalid, Value: {}", long(257))),
            ("a", "100%", "The Tag Value provided is invalid, Value: 100%".to_owned()),
            ("a,b", "v", "The Tag Key provided is invalid, Key: a,b".to_owned()),
            ("aws:zzz", "v", "Tag Key cannot be prefixed with aws:, Key: aws:zzz".to_owned()),
        ] {
            assert_eq!(message(&[tag(key, value)]), expected);
        }
        let no_value = TagDefinition { key: Some("a".to_owned()), value: None };
        assert_eq!(message(&[no_value]), "The Tag Value provided is invalid, Value: null");
        assert_eq!(message(&[TagDefinition::default()]), "The Tag Key provided is invalid, Key: null");
    }

    #[test]
    fn keys_come_once_and_at_most_fifty_times() {
        assert_eq!(
            message(&[tag("dup", "1"), tag("dup", "2")]),
            "Duplicate Tag Keys provided as input: Duplicate Tag Key found dup"
        );
        let tags: Vec<_> = (0..51).map(|n| tag(&n.to_string(), "")).collect();
        assert_eq!(message(&tags), "Number of Tags exceed the current limit for the provided ResourceArn");
        assert_eq!(message(&tags[..50]), "ok");
    }

    #[test]
    fn tagged_resources_are_tables() {
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/Users";
        assert_eq!(tagged_table(table).map(|arn| arn.table), Ok("Users"));
        for (arn, expected) in [
            ("Users", "One or more parameter values were invalid: ARNs must start with 'arn:': Users"),
            (
                "arn:aws:s3:::b",
                "One or more parameter values were invalid: Provided Arn is not a DynamoDB resource arn: arn:aws:s3:::b",
            ),
            (
                "arn:aws:dynamodb:us-east-1:000000000000:table/ab",
                "Invalid TableArn: Invalid ResourceArn provided as input \
                 arn:aws:dynamodb:us-east-1:000000000000:table/ab",
            ),
            (
                "arn:aws:dynamodb:us-east-1:000000000000:table/Users/index/by-name",
                "One or more parameter values were invalid: Invalid resource arn provided, only table or stream is \
                 accepted. Provided resource arn: arn:aws:dynamodb:us-east-1:000000000000:table/Users/index/by-name",
            ),
        ] {
            assert_eq!(tagged_table(arn).unwrap_err().message, expected);
        }
    }
}
