//! Identities on a database in memory.

use std::collections::BTreeMap;

use partita_engine::OpenOptions;

use super::*;
use crate::Database;

const ACCOUNT: &str = "111122223333";
const DOCUMENT: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

async fn database() -> Database {
    Database::open(&OpenOptions::memory()).await.unwrap()
}

fn new(name: &str) -> NewEntity {
    NewEntity { name: name.to_owned(), path: "/".to_owned(), ..NewEntity::default() }
}

async fn make<P: Part>(database: &Database, name: &str, own: P) -> Entity<P> {
    database.create_entity(ACCOUNT, new(name), own).await.unwrap()
}

async fn make_user(database: &Database, name: &str) -> User {
    make(database, name, UserPart::default()).await
}

async fn make_policy(database: &Database, name: &str) -> String {
    let policy = NewPolicy {
        name: name.to_owned(),
        path: "/".to_owned(),
        document: DOCUMENT.to_owned(),
        ..NewPolicy::default()
    };
    let made = database.create_policy(ACCOUNT, policy).await.unwrap();
    policy_arn(ACCOUNT, &made.path, &made.name)
}

/// What an operation is refused with.
fn said<T>(outcome: Outcome<T>) -> String {
    outcome.err().map_or_else(|| "ok".to_owned(), |fault| fault.to_string())
}

fn root() -> KeyOwner {
    KeyOwner::Root
}

fn of(name: &str) -> KeyOwner {
    KeyOwner::User(name.to_owned())
}

#[tokio::test]
async fn names_are_unique_without_regard_to_case_and_found_with_it() {
    let database = database().await;
    let user = make_user(&database, "Bob").await;
    assert_eq!(user.arn(ACCOUNT), "arn:aws:iam::111122223333:user/Bob");
    let again = database.create_entity(ACCOUNT, new("bOB"), UserPart::default()).await;
    assert_eq!(said(again), "EntityAlreadyExists: User with name bOB already exists.");
    assert_eq!(
        said(database.entity::<UserPart>(ACCOUNT, "bob").await),
        "NoSuchEntity: The user with name bob cannot be found."
    );
    assert_eq!(database.entity::<UserPart>(ACCOUNT, "Bob").await.unwrap(), user);
    // Another kind, or another account, is another name space.
    make(&database, "bob", GroupPart::default()).await;
    database.create_entity("444455556666", new("bob"), UserPart::default()).await.unwrap();
}

#[tokio::test]
async fn lists_go_by_name_in_pages_and_by_path() {
    let database = database().await;
    for (name, path) in [("c", "/"), ("A", "/x/"), ("b", "/x/y/"), ("d", "/x/")] {
        let entity = NewEntity { name: name.to_owned(), path: path.to_owned(), ..NewEntity::default() };
        database.create_entity(ACCOUNT, entity, UserPart::default()).await.unwrap();
    }
    let page = async |prefix: &'static str, after: Option<&'static str>, most| {
        let listed = database.list_entities::<UserPart>(ACCOUNT, prefix, after, most).await.unwrap();
        (listed.items.into_iter().map(|user| user.name).collect::<Vec<_>>().join(" "), listed.more)
    };
    assert_eq!(page("/", None, 10).await, ("A b c d".to_owned(), false));
    assert_eq!(page("/", None, 2).await, ("A b".to_owned(), true));
    assert_eq!(page("/", Some("b"), 2).await, ("c d".to_owned(), false));
    assert_eq!(page("/x/", None, 2).await, ("A b".to_owned(), true));
    assert_eq!(page("/x/", Some("b"), 2).await, ("d".to_owned(), false));
}

#[tokio::test]
async fn an_entity_goes_only_when_nothing_hangs_on_it() {
    let database = database().await;
    make_user(&database, "bob").await;
    make(&database, "staff", GroupPart::default()).await;
    let arn = make_policy(&database, "p").await;
    let key = database.create_access_key(ACCOUNT, &of("bob")).await.unwrap().key.id;
    database.add_user_to_group(ACCOUNT, "staff", "bob").await.unwrap();
    database.add_user_to_group(ACCOUNT, "staff", "bob").await.unwrap();
    database.attach::<UserPart>(ACCOUNT, "bob", &arn).await.unwrap();
    database.put_inline::<UserPart>(ACCOUNT, "bob", "i", DOCUMENT).await.unwrap();
    database.set_boundary::<UserPart>(ACCOUNT, "bob", Some(&arn)).await.unwrap();
    let delete = async || said(database.delete_user(ACCOUNT, "bob").await);
    assert_eq!(delete().await, "DeleteConflict: Cannot delete entity, must delete access keys first.");
    database.delete_access_key(ACCOUNT, &of("bob"), &key).await.unwrap();
    assert_eq!(delete().await, "DeleteConflict: Cannot delete entity, must remove users from group first.");
    assert_eq!(
        said(database.delete_group(ACCOUNT, "staff").await),
        "DeleteConflict: Cannot delete entity, must remove users from group first."
    );
    database.remove_user_from_group(ACCOUNT, "staff", "bob").await.unwrap();
    assert_eq!(delete().await, "DeleteConflict: Cannot delete entity, must detach all policies first.");
    database.detach::<UserPart>(ACCOUNT, "bob", &arn).await.unwrap();
    assert_eq!(delete().await, "DeleteConflict: Cannot delete entity, must delete policies first.");
    database.delete_inline::<UserPart>(ACCOUNT, "bob", "i").await.unwrap();
    assert_eq!(
        said(database.delete_policy(ACCOUNT, &arn).await),
        "DeleteConflict: Cannot delete a policy attached to entities."
    );
    assert_eq!(delete().await, "ok");
    assert_eq!(said(database.delete_group(ACCOUNT, "staff").await), "ok");
    assert_eq!(said(database.delete_policy(ACCOUNT, &arn).await), "ok");
}

#[tokio::test]
async fn quotas_hold() {
    let database = database().await;
    make_user(&database, "bob").await;
    for number in 0..MAX_ATTACHED {
        let arn = make_policy(&database, &format!("p{number}")).await;
        database.attach::<UserPart>(ACCOUNT, "bob", &arn).await.unwrap();
        make(&database, &format!("g{number}"), GroupPart::default()).await;
        database.add_user_to_group(ACCOUNT, &format!("g{number}"), "bob").await.unwrap();
    }
    let builtin = BUILTIN_POLICIES[0].arn();
    assert_eq!(
        said(database.attach::<UserPart>(ACCOUNT, "bob", &builtin).await),
        "LimitExceeded: Cannot exceed quota for PoliciesPerUser: 10"
    );
    make(&database, "g", GroupPart::default()).await;
    assert_eq!(
        said(database.add_user_to_group(ACCOUNT, "g", "bob").await),
        "LimitExceeded: Cannot exceed quota for GroupsPerUser: 10"
    );
    for _ in 0..MAX_ACCESS_KEYS {
        database.create_access_key(ACCOUNT, &of("bob")).await.unwrap();
        database.create_access_key(ACCOUNT, &root()).await.unwrap();
    }
    for owner in [of("bob"), root()] {
        assert_eq!(
            said(database.create_access_key(ACCOUNT, &owner).await.map(|_| ())),
            "LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2"
        );
    }
    let long = "x".repeat(MAX_USER_INLINE);
    let spaced = format!(" \n{long}\t ");
    assert_eq!(said(database.put_inline::<UserPart>(ACCOUNT, "bob", "i", &spaced).await), "ok");
    assert_eq!(
        said(database.put_inline::<UserPart>(ACCOUNT, "bob", "j", "x").await),
        "LimitExceeded: Maximum policy size of 2048 bytes exceeded for user bob"
    );
    let tags = |count| (0..count).map(|number| (format!("t{number}"), String::new())).collect::<BTreeMap<_, _>>();
    assert_eq!(said(database.tag_entity::<UserPart>(ACCOUNT, "bob", &tags(50)).await), "ok");
    assert_eq!(
        said(database.tag_entity::<UserPart>(ACCOUNT, "bob", &tags(51)).await),
        "LimitExceeded: Cannot exceed quota for TagsPerUser: 50"
    );
}

#[tokio::test]
async fn policies_have_up_to_five_versions_of_which_one_holds() {
    let database = database().await;
    let arn = make_policy(&database, "p").await;
    for number in 2..=5 {
        let (version, default) =
            database.create_policy_version(ACCOUNT, &arn, &number.to_string(), number == 4).await.unwrap();
        assert_eq!((version.number, default), (number, number == 4));
    }
    assert!(said(database.create_policy_version(ACCOUNT, &arn, "6", true).await).contains("up to 5 versions"));
    assert_eq!(database.policy(ACCOUNT, &arn).await.unwrap().policy.document(), "4");
    assert_eq!(
        said(database.delete_policy_version(ACCOUNT, &arn, 4).await),
        "DeleteConflict: Cannot delete the default version of a policy."
    );
    assert!(said(database.delete_policy(ACCOUNT, &arn).await).contains("more than one version"));
    assert!(said(database.set_default_policy_version(ACCOUNT, &arn, 9).await).starts_with("NoSuchEntity: "));
    database.set_default_policy_version(ACCOUNT, &arn, 1).await.unwrap();
    for number in 2..=5 {
        database.delete_policy_version(ACCOUNT, &arn, number).await.unwrap();
    }
    let (version, _) = database.create_policy_version(ACCOUNT, &arn, DOCUMENT, false).await.unwrap();
    assert_eq!(version.number, 6, "numbers are not used again");
    let builtin = BUILTIN_POLICIES[0].arn();
    assert!(said(database.delete_policy(ACCOUNT, &builtin).await).starts_with("NoSuchEntity"));
}

#[tokio::test]
async fn a_key_stands_for_its_user_with_all_documents_that_hold() {
    let database = database().await;
    make_user(&database, "bob").await;
    make(&database, "staff", GroupPart::default()).await;
    database.add_user_to_group(ACCOUNT, "staff", "bob").await.unwrap();
    database.put_inline::<UserPart>(ACCOUNT, "bob", "own", "own").await.unwrap();
    database.put_inline::<GroupPart>(ACCOUNT, "staff", "group", "group").await.unwrap();
    let builtin = BUILTIN_POLICIES[1];
    database.attach::<GroupPart>(ACCOUNT, "staff", &builtin.arn()).await.unwrap();
    database.set_boundary::<UserPart>(ACCOUNT, "bob", Some(&BUILTIN_POLICIES[2].arn())).await.unwrap();
    let made = database.create_access_key(ACCOUNT, &of("bob")).await.unwrap();
    let (token, facts) = database.key_facts(&made.key.id).await.unwrap();
    let facts = facts.unwrap();
    assert_eq!((facts.secret.as_str(), facts.active, facts.account.as_str()), (made.secret.as_str(), true, ACCOUNT));
    let user = facts.user.unwrap();
    assert_eq!(user.documents, ["own", "group", builtin.document]);
    assert_eq!(user.boundary.as_deref(), Some(BUILTIN_POLICIES[2].document));

    // Noting a use moves no cache; every change of an identity does.
    let last_use = LastUse { at_ms: 1, region: "eu-west-1".to_owned(), service: "dynamodb".to_owned() };
    database.note_use(&made.key.id, &last_use).await.unwrap();
    assert_eq!(database.catalog_token().await.unwrap(), token);
    assert_eq!(database.last_use(&made.key.id).await.unwrap(), Some(last_use.clone()));
    database.update_access_key(ACCOUNT, &of("bob"), &made.key.id, false).await.unwrap();
    assert_ne!(database.catalog_token().await.unwrap(), token);
    assert!(!database.key_facts(&made.key.id).await.unwrap().1.unwrap().active);

    // A new name changes nothing else.
    database.update_user(ACCOUNT, "bob", Some("Robert"), Some("/x/")).await.unwrap();
    let user = database.key_facts(&made.key.id).await.unwrap().1.unwrap().user.unwrap().entity;
    assert_eq!(user.arn(ACCOUNT), "arn:aws:iam::111122223333:user/x/Robert");
    let members = database.users_in_group(ACCOUNT, "staff", None, 10).await.unwrap();
    assert_eq!(members.items.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["Robert"]);

    database.delete_access_key(ACCOUNT, &of("Robert"), &made.key.id).await.unwrap();
    assert!(database.key_facts(&made.key.id).await.unwrap().1.is_none());
    database.note_use(&made.key.id, &last_use).await.unwrap();
    assert_eq!(database.last_use(&made.key.id).await.unwrap(), None);
}

#[tokio::test]
async fn changes_that_race_are_all_kept() {
    let database = database().await;
    make_user(&database, "bob").await;
    let put = |number: usize| {
        let database = database.clone();
        tokio::spawn(async move {
            database.put_inline::<UserPart>(ACCOUNT, "bob", &format!("p{number}"), "x").await.unwrap();
        })
    };
    let all: Vec<_> = (0..16).map(put).collect();
    for each in all {
        each.await.unwrap();
    }
    assert_eq!(database.entity::<UserPart>(ACCOUNT, "bob").await.unwrap().held.inline.len(), 16);
}

#[tokio::test]
async fn providers_are_made_once_and_deleted_any_number_of_times() {
    let database = database().await;
    let new = NewProvider { url: "https://id.example.com/a".to_owned(), ..NewProvider::default() };
    database.create_provider(ACCOUNT, new.clone()).await.unwrap();
    assert!(said(database.create_provider(ACCOUNT, new).await).starts_with("EntityAlreadyExists"));
    let arn = provider_arn(ACCOUNT, "https://id.example.com/a");
    assert_eq!(arn, "arn:aws:iam::111122223333:oidc-provider/id.example.com/a");
    assert_eq!(database.provider(ACCOUNT, &arn).await.unwrap().url, "https://id.example.com/a");
    for _ in 0..2 {
        database.delete_provider(ACCOUNT, &arn).await.unwrap();
    }
    assert!(said(database.provider(ACCOUNT, &arn).await).starts_with("NoSuchEntity"));
}
