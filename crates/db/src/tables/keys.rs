//! The rules of attribute definitions and key schemas, with the service's words for what breaks them.
//!
//! Wordings and their order were measured against the service. What an index carries besides its key is in
//! `projection.rs`.

use std::collections::HashSet;

use partita_model::Refusal;
use partita_model::schema::MAX_INDEX_KEY_ATTRIBUTES;

use crate::record::KeyElement;

/// What most refusals of control operations begin with.
pub(super) const INVALID: &str = "One or more parameter values were invalid: ";

/// A `ValidationException` about a parameter's value.
pub(super) fn invalid(detail: impl std::fmt::Display) -> Refusal {
    Refusal::validation(format!("{INVALID}{detail}"))
}

/// Refuses two definitions of one attribute.
pub(super) fn check_definitions(attributes: &[(String, String)]) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    match attributes.iter().find(|(name, _)| !seen.insert(name)) {
        Some((name, _)) => Err(Refusal::validation(format!("Attribute Name is duplicated: {name}"))),
        None => Ok(()),
    }
}

/// Checks a table's key against the attribute definitions.
pub(super) fn check_table_key(key: &[KeyElement], attributes: &[(String, String)]) -> Result<(), Refusal> {
    if key.len() > attributes.len() {
        return Err(Refusal::validation("Invalid KeySchema: Some index key attribute have no definition"));
    }
    check_defined(key, attributes)?;
    check_plain_key(key)
}

/// Refuses a key with attributes that are not defined.
pub(super) fn check_defined(key: &[KeyElement], attributes: &[(String, String)]) -> Result<(), Refusal> {
    let defined = |element: &KeyElement| attributes.iter().any(|(name, _)| *name == element.name);
    if key.iter().all(defined) {
        return Ok(());
    }
    Err(invalid(format_args!(
        "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], AttributeDefinitions: [{}]",
        in_set_order(key.iter().map(|element| element.name.as_str()), DEFAULT_BUCKETS),
        in_set_order(attributes.iter().map(|(name, _)| name.as_str()), buckets_for(attributes.len())),
    )))
}

/// Refuses definitions that no key uses. `keys` are those of the table and of its indexes.
pub(super) fn check_used<'a>(
    keys: impl IntoIterator<Item = &'a [KeyElement]>,
    attributes: &[(String, String)],
) -> Result<(), Refusal> {
    let mut keys = keys.into_iter();
    let table_key = keys.next().unwrap_or_default();
    let mut used: Vec<&str> = table_key.iter().map(|element| element.name.as_str()).collect();
    let mut indexed = false;
    for key in keys {
        indexed = true;
        used.extend(key.iter().map(|element| element.name.as_str()));
    }
    if attributes.iter().all(|(name, _)| used.contains(&name.as_str())) {
        return Ok(());
    }
    if !indexed {
        return Err(invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in \
             AttributeDefinitions",
        ));
    }
    Err(invalid(format_args!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: [{}], keys used: [{}]",
        in_set_order(attributes.iter().map(|(name, _)| name.as_str()), buckets_for(attributes.len())),
        in_set_order(used, DEFAULT_BUCKETS),
    )))
}

/// Checks the shape of a key with one partition attribute and at most one sort attribute: a table's, a local index's.
pub(super) fn check_plain_key(key: &[KeyElement]) -> Result<(), Refusal> {
    check_first(key)?;
    if let [first, second, ..] = key {
        if first.name == second.name {
            return Err(Refusal::validation(
                "Both the Hash Key and the Range Key element in the KeySchema have the same name",
            ));
        }
        if second.partition {
            return Err(Refusal::validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"));
        }
    }
    Ok(())
}

/// Checks the shape of a global index's key: up to four partition attributes, then up to four sort attributes.
pub(super) fn check_global_key(key: &[KeyElement]) -> Result<(), Refusal> {
    check_first(key)?;
    let mut seen = HashSet::new();
    if !key.iter().all(|element| seen.insert(&element.name)) {
        return Err(Refusal::validation("The KeySchema contains multiple key attributes with the same name"));
    }
    if !key.is_sorted_by_key(|element| !element.partition) {
        return Err(invalid("All HASH key attributes must precede RANGE key attributes in the KeySchema"));
    }
    let partitions = key.iter().filter(|element| element.partition).count();
    for (count, kind) in [(partitions, "HASH"), (key.len() - partitions, "RANGE")] {
        if count > MAX_INDEX_KEY_ATTRIBUTES {
            return Err(invalid(format_args!(
                "The KeySchema exceeds the maximum allowed number of {kind} key attributes"
            )));
        }
    }
    Ok(())
}

fn check_first(key: &[KeyElement]) -> Result<(), Refusal> {
    match key.first() {
        Some(first) if first.partition => Ok(()),
        _ => Err(Refusal::validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")),
    }
}

/// The buckets of the hash set that the service collects a key's attributes in.
const DEFAULT_BUCKETS: usize = 16;

/// The buckets of a hash set that the service sized for so many names.
fn buckets_for(names: usize) -> usize {
    let capacity = if names < 3 { names + 1 } else { names + names / 3 };
    capacity.next_power_of_two()
}

/// Names without repetition in the order in which the service's messages list them: that of a hash set, by string hash.
fn in_set_order<'a>(names: impl IntoIterator<Item = &'a str>, buckets: usize) -> String {
    let mut unique: Vec<&str> = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    let mut buckets = buckets;
    while unique.len() > buckets / 4 * 3 && buckets >= 4 {
        buckets *= 2;
    }
    unique.sort_by_key(|name| {
        let hash = name.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
        (hash ^ (hash >> 16)) as usize % buckets
    });
    unique.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Vec<KeyElement> {
        let element = |part: &str| {
            let (name, kind) = part.split_once(' ').unwrap();
            KeyElement { name: name.to_owned(), partition: kind == "H" }
        };
        text.split(',').filter(|part| !part.is_empty()).map(element).collect()
    }

    fn definitions(text: &str) -> Vec<(String, String)> {
        text.split(',').filter(|name| !name.is_empty()).map(|name| (name.to_owned(), "S".to_owned())).collect()
    }

    fn message(result: Result<(), Refusal>) -> String {
        result.map_or_else(|refusal| refusal.message.into_owned(), |()| "ok".to_owned())
    }

    #[test]
    fn attributes_are_defined_once() {
        let mut attributes = definitions("pk,sk");
        assert_eq!(check_definitions(&attributes), Ok(()));
        attributes.push(("pk".to_owned(), "N".to_owned()));
        assert_eq!(message(check_definitions(&attributes)), "Attribute Name is duplicated: pk");
    }

    #[test]
    fn table_keys_have_a_hash_and_perhaps_a_range_attribute() {
        const UNDEFINED: &str = "Invalid KeySchema: Some index key attribute have no definition";
        for (keys, attributes, expected) in [
            ("pk H", "pk", "ok"),
            ("pk H,sk R", "sk,pk", "ok"),
            ("pk H", "", UNDEFINED),
            ("a H,a H", "a", UNDEFINED),
            ("a H,b R", "b", UNDEFINED),
            (
                "a H",
                "b",
                "One or more parameter values were invalid: Some index key attributes are not defined in \
                 AttributeDefinitions. Keys: [a], AttributeDefinitions: [b]",
            ),
            (
                "PK H",
                "pk",
                "One or more parameter values were invalid: Some index key attributes are not defined in \
                 AttributeDefinitions. Keys: [PK], AttributeDefinitions: [pk]",
            ),
            ("a H,a H", "a,b", "Both the Hash Key and the Range Key element in the KeySchema have the same name"),
            ("a H,b H", "a,b", "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"),
            ("a R,b H", "a,b", "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
            ("a R", "a", "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
        ] {
            assert_eq!(
                message(check_table_key(&key(keys), &definitions(attributes))),
                expected,
                "{keys} of {attributes}"
            );
        }
    }

    #[test]
    fn global_keys_have_up_to_four_attributes_of_each_kind() {
        for (keys, expected) in [
            ("a H", "ok"),
            ("a H,b H", "ok"),
            ("a H,b H,c H,d H,e R,f R,g R,h R", "ok"),
            ("a R", "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
            ("a H,a R", "The KeySchema contains multiple key attributes with the same name"),
            (
                "a H,b R,c H",
                "One or more parameter values were invalid: All HASH key attributes must precede RANGE key attributes \
                 in the KeySchema",
            ),
            (
                "a H,b H,c H,d H,e H",
                "One or more parameter values were invalid: The KeySchema exceeds the maximum allowed number of HASH \
                 key attributes",
            ),
            (
                "a H,b R,c R,d R,e R,f R",
                "One or more parameter values were invalid: The KeySchema exceeds the maximum allowed number of RANGE \
                 key attributes",
            ),
        ] {
            assert_eq!(message(check_global_key(&key(keys))), expected, "{keys}");
        }
    }

    #[test]
    fn every_definition_is_used() {
        let (table, index) = (key("pk H,sk R"), key("a H"));
        let with = |attributes: &str, keys: &[&[KeyElement]]| {
            message(check_used(keys.iter().copied(), &definitions(attributes)))
        };
        assert_eq!(with("pk,sk", &[&table]), "ok");
        assert_eq!(with("pk,sk,a", &[&table, &index]), "ok");
        assert_eq!(
            with("pk,sk,a", &[&table]),
            "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number \
             of attributes defined in AttributeDefinitions"
        );
        // As the service answered this very request.
        assert_eq!(
            with("pk,sk,a,b,c", &[&table, &index]),
            "One or more parameter values were invalid: Some AttributeDefinitions are not used. AttributeDefinitions: \
             [sk, a, b, pk, c], keys used: [a, sk, pk]"
        );
    }

    #[test]
    fn names_are_listed_in_the_order_of_the_services_sets() {
        let names = ["my-hash", "my-string", "my-int"];
        assert_eq!(in_set_order(names, buckets_for(3)), "my-string, my-int, my-hash");
        assert_eq!(in_set_order(["my-string", "my-hash", "my-hash"], DEFAULT_BUCKETS), "my-hash, my-string");
    }
}
