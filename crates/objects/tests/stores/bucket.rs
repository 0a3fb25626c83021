//! A bucket whose service answers well, late, wrongly, in part or not at all.

use bytes::Bytes;
use partita_client::{Client, Trust};
use partita_objects::{ObjectError, ObjectStore, Opener, ServerSideEncryption};

use crate::is_a_store;
use crate::service::{Fault, Service};

const PART: usize = 16 << 20;

fn environment(name: &str) -> Option<String> {
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].contains(&name).then(|| "secret-key".to_owned())
}

fn open(service: &Service, place: &str) -> ObjectStore {
    let opener = Opener::new(Client::new(Trust::system()), environment);
    opener.open(&format!("s3+http://127.0.0.1:{}/{place}?region=eu-west-1", service.port)).unwrap()
}

#[tokio::test]
async fn a_bucket_is_a_store_and_so_is_what_lies_behind_a_prefix_in_it() {
    let service = Service::start().await;
    is_a_store(&open(&service, "mine")).await;
    service.state.lock().objects.insert("a/with space/below/x".to_owned(), vec![1]);
    service.state.lock().objects.clear();
    service.state.lock().objects.insert("other".to_owned(), vec![1]);
    is_a_store(&open(&service, "mine/a/b")).await;
    let state = service.state.lock();
    assert!(state.objects.contains_key("other"));
    assert!(state.objects.keys().all(|key| key == "other" || key.starts_with("a/b/")));
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let service = Service::start().await;
    let store = open(&service, "mine");
    for fault in [
        Fault::Status(503, "SlowDown"),
        Fault::Status(500, "InternalError"),
        Fault::Status(400, "RequestTimeout"),
        Fault::Status(429, ""),
        Fault::LostAnswer,
    ] {
        service.fail(&[fault, fault]);
        store.put("a", Bytes::from_static(b"value")).await.unwrap();
    }
    for fault in [Fault::Truncated, Fault::Flipped, Fault::Status(502, "")] {
        service.fail(&[fault]);
        assert_eq!(store.get("a", 10).await.unwrap(), b"value".as_slice(), "{fault:?}");
    }
    service.fail(&[Fault::Truncated]);
    assert_eq!(store.get_range("a", 1, 3).await.unwrap(), b"alu".as_slice());
    service.fail(&[Fault::Truncated]);
    assert_eq!(store.list("", None, 10).await.unwrap().objects.len(), 1);
}

#[tokio::test]
async fn what_does_not_pass_is_told() {
    let service = Service::start().await;
    let store = open(&service, "mine");
    store.put("a", Bytes::from_static(b"value")).await.unwrap();
    service.fail(&[Fault::Status(403, "AccessDenied")]);
    assert!(matches!(store.put("a", Bytes::new()).await, Err(ObjectError::Forbidden(_))));
    service.fail(&[Fault::Status(400, "ExpiredToken")]);
    assert!(matches!(store.get("a", 9).await, Err(ObjectError::Forbidden(_))));
    service.fail(&[Fault::Status(400, "InvalidRequest")]);
    let before = service.state.lock().requests.len();
    assert!(matches!(store.get("a", 9).await, Err(ObjectError::Unavailable(_))));
    assert_eq!(service.state.lock().requests.len(), before + 1, "it was not tried again");
    let nowhere = open(&service, "other");
    assert_eq!(nowhere.put("a", Bytes::new()).await, Err(ObjectError::NoBucket("other".to_owned())));
    assert_eq!(nowhere.list("", None, 1).await, Err(ObjectError::NoBucket("other".to_owned())));
    service.fail(&[Fault::Flipped; 7]);
    let error = store.get("a", 9).await.unwrap_err();
    assert!(matches!(error, ObjectError::Damaged(_)), "{error}");
    assert!(!error.to_string().contains("secret-key"));
}

#[tokio::test]
async fn long_objects_go_in_parts_and_appear_whole() {
    let service = Service::start().await;
    let store = open(&service, "mine");
    let all: Bytes = (0..PART + PART / 2).map(|at| (at % 251) as u8).collect::<Vec<u8>>().into();
    let mut upload = store.upload("long").await.unwrap();
    for piece in all.chunks(5 << 20) {
        upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert!(service.state.lock().objects.is_empty());
    service.fail(&[Fault::Status(503, "SlowDown"), Fault::Nothing, Fault::LateError]);
    assert_eq!(upload.finish().await.unwrap().etag, "abc-2");
    assert!(service.state.lock().objects["long"] == all);
    assert_eq!(store.get_range("long", PART as u64 - 1, 2).await.unwrap(), all.slice(PART - 1..=PART));
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_is_known_by_the_object() {
    let service = Service::start().await;
    let store = open(&service, "mine");
    let mut upload = store.upload("long").await.unwrap();
    upload.write(Bytes::from(vec![7; PART])).await.unwrap();
    service.fail(&[Fault::LostAnswer]);
    upload.finish().await.unwrap();
    assert_eq!(store.head("long").await.unwrap().size, PART as u64);
}

#[tokio::test]
async fn parts_of_what_is_given_up_are_removed() {
    let service = Service::start().await;
    let store = open(&service, "mine");
    for drops in [false, true] {
        let mut upload = store.upload("long").await.unwrap();
        upload.write(Bytes::from(vec![7; PART])).await.unwrap();
        assert_eq!(service.state.lock().uploads.len(), 1);
        if drops {
            drop(upload);
        } else {
            upload.abort().await.unwrap();
        }
        for _ in 0..200 {
            if service.state.lock().uploads.is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(service.state.lock().uploads.is_empty() && service.state.lock().objects.is_empty());
    }
}

#[tokio::test]
async fn requests_are_signed_and_ask_for_encryption_and_an_owner() {
    let service = Service::start().await;
    let store = open(&service, "mine").owned_by("123456789012");
    let store = store.encrypted(ServerSideEncryption::Kms(Some("key-1".to_owned())));
    store.put("a", Bytes::from_static(b"hello")).await.unwrap();
    let headers = service.state.lock().headers.clone();
    assert_eq!(headers["x-amz-server-side-encryption"], "aws:kms");
    assert_eq!(headers["x-amz-server-side-encryption-aws-kms-key-id"], "key-1");
    assert_eq!(headers["x-amz-expected-bucket-owner"], "123456789012");
    assert_eq!(headers["x-amz-checksum-sha256"], "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
    assert_eq!(headers["x-amz-content-sha256"], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    let authorization = &headers["authorization"];
    assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
    assert!(authorization.contains("host;x-amz-checksum-sha256;x-amz-content-sha256;x-amz-date"), "{authorization}");
}
