//! The client against servers that answer well, badly, late and not at all.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "all of this is test code, also outside the test functions"
)]

mod receiver;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use partita_client::{Bounds, Client, ClientError, Reach, Trust, TrustError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::receiver::{Authority, OK, Receiver};

const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(2), total: Duration::from_secs(4), max_response_bytes: 1000 };

fn client() -> Client {
    Client::new(Trust::system())
}

fn post(url: &str) -> Request<Bytes> {
    Request::post(url).header("x-secret", "SECRET").body(Bytes::from_static(b"SECRET")).unwrap()
}

async fn ask(client: &Client, url: &str) -> Result<Response<Bytes>, ClientError> {
    let answer = client.send(post(url), BOUNDS).await;
    if let Err(error) = &answer {
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
    }
    answer
}

#[tokio::test]
async fn a_connection_is_kept_between_requests() {
    let receiver = Receiver::plain(&[OK]).await;
    let client = client();
    for _ in 0..3 {
        let answer = ask(&client, &receiver.url("/path?SECRET=1")).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"ok"[..]));
    }
    let heard = receiver.heard();
    assert_eq!((heard.connections, heard.requests.len()), (1, 3));
    let request = &heard.requests[2];
    assert!(request.starts_with("POST /path?SECRET=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: 127.0.0.1:{}\r\n", receiver.port)), "{request}");
    assert!(request.contains("user-agent: partita/") && request.contains("content-length: 6\r\n"), "{request}");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let receiver = Receiver::plain(&[OK, ""]).await;
    let client = client();
    for _ in 0..4 {
        ask(&client, &receiver.url("/")).await.unwrap();
    }
    assert!(receiver.heard().connections >= 2);
}

#[tokio::test]
async fn redirects_are_given_back() {
    let receiver =
        Receiver::plain(&["HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"]).await;
    let answer = ask(&client(), &receiver.url("/")).await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.headers()["location"], "http://127.0.0.1:1/");
}

#[tokio::test]
async fn answers_are_bounded_in_size() {
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n{}", "x".repeat(1001));
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    for answer in [&long, &chunked] {
        let receiver = Receiver::plain(&[answer]).await;
        let refused = ask(&client(), &receiver.url("/")).await;
        assert!(matches!(refused, Err(ClientError::TooLarge { limit: 1000 })), "{refused:?}");
        let head = client().send_for_head(post(&receiver.url("/")), BOUNDS).await.unwrap();
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
    }
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(200_000));
    let receiver = Receiver::plain(&[&head]).await;
    let refused = ask(&client(), &receiver.url("/")).await;
    assert!(matches!(refused, Err(ClientError::Broken(_))), "{refused:?}");
}

#[tokio::test]
async fn what_never_answers_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let bounds = Bounds { connect: Duration::from_millis(300), total: Duration::from_millis(600), ..BOUNDS };
    let began = Instant::now();
    let late = client().send(post(&format!("http://127.0.0.1:{port}/")), bounds).await.unwrap_err();
    assert!(matches!(late, ClientError::TimedOut(_)) && late.may_have_arrived(), "{late}");
    let late = client().send(post(&format!("https://127.0.0.1:{port}/")), bounds).await.unwrap_err();
    assert!(matches!(late, ClientError::ConnectTimedOut { .. }) && !late.may_have_arrived(), "{late}");
    let half = Receiver::plain(&["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal"]).await;
    let late = client().send(post(&half.url("/")), bounds).await.unwrap_err();
    assert!(matches!(late, ClientError::TimedOut(_)), "{late}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_can_not_be_reached_is_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = ask(&client(), &format!("http://127.0.0.1:{free}/SECRET")).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }) && !error.may_have_arrived(), "{error}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{free}")), "{error}");
    let error = ask(&client(), "http://nowhere.invalid/SECRET").await.unwrap_err();
    assert!(matches!(error, ClientError::Unresolved { .. }), "{error}");
    for url in ["ftp://127.0.0.1/", "/SECRET"] {
        assert!(matches!(ask(&client(), url).await, Err(ClientError::Invalid(_))), "{url}");
    }
    let garbage = Receiver::plain(&["what?\r\n\r\n"]).await;
    let error = ask(&client(), &garbage.url("/")).await.unwrap_err();
    assert!(matches!(error, ClientError::Broken(_)) && error.may_have_arrived(), "{error}");
}

#[tokio::test]
async fn link_local_addresses_are_not_sent_to_where_users_name_urls() {
    let client = client().within(Reach::NotLinkLocal);
    for url in ["http://169.254.169.254/latest/", "https://[fe80::1]/", "http://[::ffff:169.254.169.254]/"] {
        assert!(matches!(ask(&client, url).await, Err(ClientError::LinkLocal(_))), "{url}");
    }
}

#[tokio::test]
async fn an_ipv6_address_is_reached() {
    let Some(receiver) = Receiver::ipv6(&[OK]).await else {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    };
    ask(&client(), &format!("http://[::1]:{}/", receiver.port)).await.unwrap();
    assert!(receiver.heard().requests[0].contains(&format!("host: [::1]:{}\r\n", receiver.port)));
}

#[tokio::test]
async fn a_certificate_of_the_given_authority_is_believed_and_no_other() {
    let authority = Authority::new("good");
    let trusting = Client::new(Trust::with_ca_file(&authority.file).unwrap());
    let receiver = Receiver::tls(&authority, &["127.0.0.1", "localhost"], &[OK]).await;
    for host in ["127.0.0.1", "localhost"] {
        for _ in 0..2 {
            let answer = ask(&trusting, &format!("https://{host}:{}/", receiver.port)).await.unwrap();
            assert_eq!(&answer.body()[..], b"ok");
        }
    }
    assert_eq!(receiver.heard().connections, 2);

    let told = ask(&client(), &receiver.url("/")).await.unwrap_err();
    assert!(matches!(told, ClientError::Tls { .. }) && !told.may_have_arrived(), "{told}");
    assert!(told.to_string().contains("--ca-file"), "{told}");

    let other = Receiver::tls(&authority, &["elsewhere.test"], &[OK]).await;
    let told = ask(&trusting, &other.url("/")).await.unwrap_err();
    assert!(matches!(told, ClientError::Tls { .. }), "{told}");

    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", plain.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let told = ask(&trusting, &url).await.unwrap_err();
    assert!(told.to_string().contains("does not speak TLS"), "{told}");
}

#[test]
fn a_file_without_certificates_is_refused() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    assert!(matches!(Trust::with_ca_file(&directory.join("absent.pem")), Err(TrustError::Unreadable { .. })));
    let file = directory.join("empty.pem");
    std::fs::write(&file, "nothing\n").unwrap();
    assert!(matches!(Trust::with_ca_file(&file), Err(TrustError::Empty(_))));
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n").unwrap();
    assert!(matches!(Trust::with_ca_file(&file), Err(TrustError::Malformed { .. })));
}
