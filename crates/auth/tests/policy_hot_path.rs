//! Asking policies without variables allocates nothing.

#![expect(unsafe_code, reason = "an allocator that counts")]
#![allow(missing_docs, reason = "a test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use partita_auth::policy::{Access, Attached, Context, DocumentKind, Policy, evaluate};
use partita_auth::{Principal, PrincipalKind};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn policies_without_variables_allocate_nothing() {
    let identity = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:Batch*"],"Resource":"arn:aws:dynamodb:*:111122223333:table/Music*",
         "Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["a*","b"]},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},
         "DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"},"StringEquals":{"aws:PrincipalTag/Team":"red"}}},
        {"Effect":"Deny","NotAction":"dynamodb:Get*","Resource":"*"},
        {"Effect":"Deny","Action":"*","NotResource":"arn:aws:dynamodb:*:*:table/*"}]}"#;
    let resource = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:role/x/R","arn:aws:iam::111122223333:user/alice"]},
         "Action":"dynamodb:GetItem","Resource":"*"},
        {"Effect":"Deny","Principal":{"AWS":"444455556666"},"Action":"*","Resource":"*"}]}"#;
    let principal = Principal {
        account: "111122223333".into(),
        kind: PrincipalKind::User { path: "/".into(), name: "alice".into() },
        user_id: "AIDAALICE".into(),
        tags: vec![("team".into(), "red".into())],
        token_issued: None,
        federated: Vec::new(),
        transitive: Vec::new(),
    };
    let attached = Attached {
        identity: vec![Arc::new(Policy::parse(identity, DocumentKind::Identity).unwrap())],
        boundary: Some(Arc::new(Policy::parse(identity, DocumentKind::Identity).unwrap())),
        session: Vec::new(),
    };
    let resource = Policy::parse(resource, DocumentKind::Resource).unwrap();
    let mut context = Context::default();
    context.set_all("dynamodb:LeadingKeys", vec!["abc".to_owned(), "b".to_owned()]);
    context.set("aws:SourceIp", "10.1.2.3");
    context.set("aws:CurrentTime", "2026-01-01T00:00:00Z");
    let access = Access {
        principal: &principal,
        action: "dynamodb:GetItem",
        resource: "arn:aws:dynamodb:eu-west-1:111122223333:table/Music",
        resource_account: "111122223333",
        context: &context,
    };
    for resource in [None, Some(&resource)] {
        let before = ALLOCATIONS.with(Cell::get);
        let decision = evaluate(&access, &attached, resource);
        let after = ALLOCATIONS.with(Cell::get);
        assert!(decision.is_allowed(), "{decision:?}");
        assert_eq!(after - before, 0);
    }
}
