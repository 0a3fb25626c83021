//! The server over TLS: what is agreed on, what is refused, hostile handshakes, and certificates that change.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use partita_server::{NotMade, SelfSigned, Stopped, Tls, TlsError};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Client, Running, post, start_tls};

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

/// An empty directory of a test's own.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn self_signed(test: &str) -> (Tls, PathBuf) {
    let made = SelfSigned::kept_in(Some(&directory(test)), &["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    (made.tls, made.file.unwrap())
}

/// Writes a certificate for localhost and its key.
fn write_pair(certificate: &Path, key: &Path) {
    let pair = KeyPair::generate().unwrap();
    let made = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    write_key(key, &pair.serialize_pem(), 0o600);
    fs::write(certificate, made.pem()).unwrap();
}

fn write_key(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A handshake by someone who trusts the certificate in `trusted`.
async fn connect(
    server: &Running,
    trusted: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    Ok(Client::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

async fn assert_alive(server: &Running, trusted: &Path) {
    let mut client = connect(server, trusted, BOTH).await.unwrap();
    client.send(post("echo", &[], "alive")).await;
    assert_eq!(client.answer().await.text(), "alive");
}

#[tokio::test]
async fn both_versions_are_spoken_and_told_to_the_handler() {
    let (tls, file) = self_signed("both_versions");
    let server = start_tls(tls, |_| {}).await;
    for (version, name) in [(&version::TLS12, "TLSv1.2"), (&version::TLS13, "TLSv1.3")] {
        let mut client = connect(&server, &file, &[version]).await.unwrap();
        assert_eq!(client.stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        for _ in 0..3 {
            client.send(post("secured", &[], "")).await;
            let answer = client.answer().await;
            assert!(answer.text().contains(name) && answer.text().contains("\"TLS_"), "{}", answer.text());
            assert!(!answer.text().contains("TLS13"), "{}", answer.text());
            answer.assert_dress();
        }
    }
}

#[tokio::test]
async fn bodies_of_16_mib_go_both_ways() {
    let (tls, file) = self_signed("big_bodies");
    let server = start_tls(tls, |_| {}).await;
    let mut client = connect(&server, &file, BOTH).await.unwrap();
    let body: Vec<u8> = (0..16 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let sent = post("echo", &[], &body);
    let (mut reader, mut writer) = tokio::io::split(client.stream);
    let sending = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.flush().await.unwrap();
        writer
    });
    let mut received = Vec::new();
    while received.len() < body.len() || !received.ends_with(&body[body.len() - 9..]) {
        let mut buffer = vec![0; 64 << 10];
        let read = timeout(Duration::from_secs(20), reader.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0);
        received.extend_from_slice(&buffer[..read]);
    }
    assert!(received.ends_with(&body));
    client = Client::new(reader.unsplit(sending.await.unwrap()));
    client.send(post("zeros 1000000", &[], "")).await;
    assert_eq!(client.answer().await.body.len(), 1_000_000);
    client.send(post("length", &[], vec![b' '; (16 << 20) + 1])).await;
    client.answer().await.assert_error(413, "RequestEntityTooLargeException");
}

#[tokio::test]
async fn a_connection_rests_and_is_used_again() {
    let (tls, file) = self_signed("rest");
    let server = start_tls(tls, |config| config.timeouts.idle = Duration::from_millis(1500)).await;
    let mut client = connect(&server, &file, BOTH).await.unwrap();
    for pause in [0, 900, 900] {
        sleep(Duration::from_millis(pause)).await;
        // In two pieces, each a record of its own.
        let request = post("echo", &[], "again");
        let (head, rest) = request.split_at(20);
        client.send(head).await;
        sleep(Duration::from_millis(20)).await;
        client.send(rest).await;
        assert_eq!(client.answer().await.text(), "again");
    }
    // An end that was told, not a cut.
    assert_eq!(timeout(Duration::from_secs(5), client.stream.read(&mut [0; 9])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn slow_heads_end_and_slow_readers_are_given_up() {
    let (tls, file) = self_signed("slow");
    let server = start_tls(tls, |config| {
        config.timeouts.head = Duration::from_millis(300);
        config.timeouts.write_stall = Duration::from_millis(300);
    })
    .await;
    let mut slow = connect(&server, &file, BOTH).await.unwrap();
    slow.send("POST / HTTP/1.1\r\nHost: local").await;
    assert!(slow.try_answer().await.is_none());
    let mut reader = connect(&server, &file, BOTH).await.unwrap();
    reader.send(post("zeros 30000000", &[], "")).await;
    let stop = server.stop();
    assert_eq!(timeout(Duration::from_secs(5), stop).await.expect("a stalled answer").unwrap(), Stopped::Clean);
}

#[tokio::test]
async fn plain_http_is_answered_in_plain() {
    let (tls, file) = self_signed("plain_http");
    let server = start_tls(tls, |_| {}).await;
    for request in [post("echo", &[], vec![b' '; 1 << 20]), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()] {
        let answer = server.ask(request).await;
        answer.assert_error(400, "MalformedHttpRequestException");
        assert!(answer.text().contains("https://"), "{}", answer.text());
        assert_eq!(answer.headers["connection"], "close");
    }
    assert_alive(&server, &file).await;
}

#[tokio::test]
async fn hostile_handshakes_are_ended_in_time() {
    let (tls, file) = self_signed("hostile");
    let server = start_tls(tls, |config| config.timeouts.handshake = Duration::from_millis(500)).await;
    // A record that announces a hello of 200 bytes and does not finish it.
    let half = [&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], &[7; 100]].concat();
    // Records that together are one endless hello.
    let endless = [&[0x16, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff][..], &[7; 0x4000 - 4]].concat().repeat(6);
    let alert = [0x15, 3, 1, 0, 2, 2, 40].to_vec();
    let old = [&[0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    for (what, bytes) in [
        ("silence", Vec::new()),
        ("half a hello", half),
        ("an endless hello", endless),
        ("an alert", alert),
        ("TLS 1.0", old),
        ("garbage", vec![0xff; 300]),
        ("zeros", vec![0; 300]),
        ("TLS and garbage", [&[0x16][..], &[0xff; 300]].concat()),
    ] {
        let began = Instant::now();
        let mut client = server.client().await;
        let _ = client.stream.write_all(&bytes).await;
        let mut heard = Vec::new();
        // What is told, if anything, is a TLS alert.
        let _ = timeout(Duration::from_secs(5), client.stream.read_to_end(&mut heard)).await.expect(what);
        assert!(heard.is_empty() || heard[0] == 0x15, "{what}: {heard:?}");
        assert!(began.elapsed() < Duration::from_secs(2), "{what}: {:?}", began.elapsed());
    }
    assert_alive(&server, &file).await;
}

#[tokio::test]
async fn handshakes_under_way_are_few_and_make_room_again() {
    let (tls, file) = self_signed("room");
    let server = start_tls(tls, |config| {
        config.limits.handshakes = 2;
        config.timeouts.handshake = Duration::from_millis(800);
    })
    .await;
    let mut halves = Vec::new();
    for _ in 0..2 {
        let mut half = server.client().await;
        half.send([0x16, 3, 1, 0, 200, 1]).await;
        halves.push(half);
    }
    sleep(Duration::from_millis(400)).await;
    let began = Instant::now();
    assert_alive(&server, &file).await;
    assert!(began.elapsed() > Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight_and_ends_handshakes() {
    let (tls, file) = self_signed("stop");
    let server = start_tls(tls, |_| {}).await;
    let mut busy = connect(&server, &file, BOTH).await.unwrap();
    busy.send(post("sleep 500", &[], "{}")).await;
    let mut idle = connect(&server, &file, BOTH).await.unwrap();
    let mut half = server.client().await;
    half.send([0x16, 3, 1]).await;
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    let stopped = server.stop();
    assert!(half.is_closed().await);
    assert!(idle.is_closed().await);
    let answer = busy.answer().await;
    assert_eq!((answer.status, &*answer.headers["connection"]), (200, "close"));
    assert!(busy.is_closed().await);
    assert_eq!(stopped.await.unwrap(), Stopped::Clean);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let place = directory("reload");
    let [certificate, key, first, second] =
        ["live.pem", "live.key", "first.pem", "second.pem"].map(|name| place.join(name));
    write_pair(&certificate, &key);
    fs::copy(&certificate, &first).unwrap();
    let tls = Tls::from_files(&certificate, &key).unwrap();
    let before = tls.fingerprint();
    let server = start_tls(tls.clone(), |_| {}).await;
    let mut old = connect(&server, &first, BOTH).await.unwrap();

    fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nbroken\n").unwrap();
    sleep(Duration::from_millis(4500)).await;
    assert_eq!(tls.fingerprint(), before);
    assert_alive(&server, &first).await;

    write_pair(&certificate, &key);
    fs::copy(&certificate, &second).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while tls.fingerprint() == before {
        assert!(Instant::now() < until, "the new certificate is not shown");
        sleep(Duration::from_millis(100)).await;
    }
    assert_alive(&server, &second).await;
    assert!(connect(&server, &first, BOTH).await.is_err());
    old.send(post("echo", &[], "still here")).await;
    assert_eq!(old.answer().await.text(), "still here");
}

#[test]
fn certificates_and_keys_that_can_not_be_used_are_told_apart() {
    let place = directory("unusable");
    let path = |name: &str| place.join(name);
    write_pair(&path("a.pem"), &path("a.key"));
    write_pair(&path("b.pem"), &path("b.key"));
    fs::write(path("empty"), "nothing\n").unwrap();
    fs::set_permissions(path("empty"), Permissions::from_mode(0o600)).unwrap();
    write_key(&path("torn.key"), "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n", 0o600);
    let key = fs::read_to_string(path("a.key")).unwrap();
    write_key(&path("open.key"), &key, 0o644);
    write_key(&path("group.key"), &key, 0o640);
    let tried =
        |certificate: &str, key: &str| Tls::from_files(&path(certificate), &path(key)).map(|tls| tls.fingerprint());
    assert!(tried("a.pem", "group.key").unwrap().len() == 32 * 3 - 1);
    for (certificate, key_file, is_it) in [
        ("absent", "a.key", (|error| matches!(error, TlsError::Unreadable { .. })) as fn(&TlsError) -> bool),
        ("a.pem", "absent", |error| matches!(error, TlsError::Unreadable { .. })),
        ("a.pem", "b.key", |error| matches!(error, TlsError::Mismatch { .. })),
        ("a.pem", "open.key", |error| matches!(error, TlsError::Exposed(_))),
        ("empty", "a.key", |error| matches!(error, TlsError::NoCertificate(_))),
        ("a.key", "a.key", |error| matches!(error, TlsError::NoCertificate(_))),
        ("a.pem", "empty", |error| matches!(error, TlsError::NoKey(_))),
        ("a.pem", "torn.key", |error| matches!(error, TlsError::NotPem(_))),
    ] {
        let error = tried(certificate, key_file).unwrap_err();
        assert!(is_it(&error), "{certificate} {key_file}: {error}");
        let secret = key.lines().nth(1).unwrap();
        assert!(!format!("{error} {error:?}").contains(secret));
    }
}

#[test]
fn a_self_signed_certificate_is_kept_for_its_names_alone() {
    let place = directory("kept");
    let names = ["localhost", "::1", "*.corp.example"].map(str::to_owned);
    let first = SelfSigned::kept_in(Some(&place), &names).unwrap();
    assert_eq!(fs::metadata(place.join("self-signed.key")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(first.file.as_deref(), Some(&*place.join("self-signed.crt")));
    let second = SelfSigned::kept_in(Some(&place), &names).unwrap();
    assert_eq!(first.tls.fingerprint(), second.tls.fingerprint());
    let third = SelfSigned::kept_in(Some(&place), &names[..1]).unwrap();
    assert_ne!(first.tls.fingerprint(), third.tls.fingerprint());
    let nowhere = SelfSigned::kept_in(None, &names).unwrap();
    assert!(nowhere.file.is_none());
    let unwritable = SelfSigned::kept_in(Some(&place.join("absent")), &names);
    assert!(matches!(unwritable, Err(NotMade::File { .. })), "{unwritable:?}");
    fs::remove_file(place.join("self-signed.key")).unwrap();
    assert!(matches!(SelfSigned::kept_in(Some(&place), &names[..1]), Err(NotMade::Tls(TlsError::Unreadable { .. }))));
}
