//! Broken, lying, slow and oversized requests: each gets an answer or a closed connection, and the server stays up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::harness::{Running, gzip, post, start};

async fn assert_alive(server: &Running) {
    assert_eq!(server.ask(post("echo", &[], "{}")).await.status, 200);
}

#[tokio::test]
async fn what_is_not_http_gets_400_in_dynamodbs_shape() {
    let server = start(|_| {}).await;
    let long_method = [&[b'A'; 70_000][..], b" / HTTP/1.1\r\n\r\n"].concat();
    let cases: &[&[u8]] = &[
        b"\r\n\r\nhello\r\n\r\n",
        b"\x00\x01\x02\x03\xff\xfe\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nBad\x00Name: x\r\n\r\n",
        b"{\"TableName\":\"Users\"}\r\n\r\n",
    ];
    for case in cases {
        let mut client = server.client().await;
        client.send(case).await;
        client.answer().await.assert_error(400, "MalformedHttpRequestException");
        client.stream.shutdown().await.unwrap();
        assert!(client.is_closed().await, "{:?}", String::from_utf8_lossy(case));
    }
    let answer = server.ask(long_method).await;
    assert!((400..=431).contains(&answer.status), "{answer:?}");
    assert_alive(&server).await;
}

#[tokio::test]
async fn oversized_heads_and_targets_are_refused() {
    let server = start(|_| {}).await;
    let big_header = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    server.ask(big_header).await.assert_error(431, "MalformedHttpRequestException");
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(500));
    server.ask(many).await.assert_error(431, "MalformedHttpRequestException");
    let answer = server.ask(format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70_000))).await;
    assert!(answer.status == 414 || answer.status == 431, "{answer:?}");
    assert_alive(&server).await;
}

#[tokio::test]
async fn an_answer_before_garbage_is_not_touched() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    client.send([&post("status 400", &[], "")[..], b"garbage\r\n\r\n"].concat()).await;
    assert_eq!(client.answer().await.text(), "{}");
    client.answer().await.assert_error(400, "MalformedHttpRequestException");
}

#[tokio::test]
async fn a_declared_body_over_the_limit_is_refused_unread_and_the_sender_reads_why() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    client.send(post("length", &[], vec![b' '; 16 * 1024 * 1024 + 1])).await;
    let answer = client.answer().await;
    answer.assert_error(413, "RequestEntityTooLargeException");
    assert_eq!(answer.headers["connection"], "close");
    assert_eq!(server.script.finished.load(Ordering::SeqCst), 0);
    assert_alive(&server).await;
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_cut_off() {
    let server = start(|config| config.limits.body_bytes = 100_000).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..200 {
        client.send(format!("400\r\n{}\r\n", "x".repeat(1024))).await;
    }
    client.answer().await.assert_error(413, "RequestEntityTooLargeException");
    assert_alive(&server).await;
}

#[tokio::test]
async fn a_compression_bomb_stops_at_the_limit() {
    let limit = 1024 * 1024;
    let server = start(|config| config.limits.body_bytes = limit).await;
    let bomb = gzip(&vec![b' '; limit + 1]);
    let answer = server.ask(post("length", &["Content-Encoding: gzip"], bomb)).await;
    answer.assert_error(413, "RequestEntityTooLargeException");
    let largest = gzip(&vec![b' '; limit]);
    let answer = server.ask(post("length", &["Content-Encoding: gzip"], largest)).await;
    assert_eq!(answer.text(), limit.to_string());
}

#[tokio::test]
async fn bad_compression_is_malformed() {
    let server = start(|_| {}).await;
    let mut truncated = gzip(b"{\"TableName\":\"Users\"}");
    truncated.truncate(truncated.len() - 3);
    for (encoding, body) in [
        ("Content-Encoding: gzip", b"{}".to_vec()),
        ("Content-Encoding: gzip", truncated),
        ("Content-Encoding: deflate", b"\x78\x9cnonsense".to_vec()),
        ("Content-Encoding: br", b"{}".to_vec()),
        ("Content-Encoding: gzip, gzip", gzip(&gzip(b"{}"))),
    ] {
        server.ask(post("echo", &[encoding], body)).await.assert_error(400, "MalformedHttpRequestException");
    }
    assert_alive(&server).await;
}

#[tokio::test]
async fn a_body_that_ends_early_is_malformed_and_never_handled() {
    let server = start(|_| {}).await;
    for request in [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nshort",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nab\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nab\r\n",
    ] {
        let mut client = server.client().await;
        client.send(request).await;
        client.stream.shutdown().await.unwrap();
        client.answer().await.assert_error(400, "MalformedHttpRequestException");
        assert!(client.is_closed().await, "{request}");
    }
    assert_eq!(server.script.finished.load(Ordering::SeqCst), 0);
    assert_alive(&server).await;
}

#[tokio::test]
async fn more_body_than_declared_is_the_next_request() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}{\"x\":1}\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), "{}");
    client.answer().await.assert_error(400, "MalformedHttpRequestException");
}

#[tokio::test]
async fn a_slow_body_is_told_so_and_cut_off() {
    let server = start(|config| config.timeouts.body_grace = Duration::from_millis(200)).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc").await;
    client.answer().await.assert_error(408, "RequestTimeoutException");
    assert_eq!(server.script.finished.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let server = start(|config| {
        config.timeouts.body_grace = Duration::from_millis(200);
        config.timeouts.body_bytes_per_second = 10_000;
    })
    .await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let (mut reading, mut writing) = client.stream.split();
    let dripping = async {
        loop {
            sleep(Duration::from_millis(20)).await;
            if writing.write_all(b"1\r\nx\r\n").await.is_err() {
                break;
            }
        }
    };
    let mut head = [0; 12];
    tokio::select! {
        () = dripping => panic!("closed without an answer"),
        read = tokio::io::AsyncReadExt::read_exact(&mut reading, &mut head) => { read.unwrap(); }
        () = sleep(Duration::from_secs(5)) => panic!("never cut off"),
    }
    assert_eq!(&head, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_slow_head_is_cut_off_and_an_idle_connection_is_not() {
    let server = start(|config| config.timeouts.head = Duration::from_millis(200)).await;
    let mut slow = server.client().await;
    slow.send("POST / HTTP/1.1\r\nHost: loc").await;
    let mut idle = server.client().await;
    let mut used = server.client().await;
    used.send(post("echo", &[], "{}")).await;
    used.answer().await;
    let mut slow_later = server.client().await;
    slow_later.send(post("echo", &[], "{}")).await;
    slow_later.answer().await;
    slow_later.send("POST / HTTP/1.1\r\nHost: loc").await;
    sleep(Duration::from_millis(500)).await;
    assert!(slow.try_answer().await.is_none_or(|answer| answer.status == 400));
    assert!(slow_later.try_answer().await.is_none_or(|answer| answer.status == 400));
    for client in [&mut idle, &mut used] {
        client.send(post("echo", &[], "{}")).await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn idle_connections_end_after_their_time() {
    let server = start(|config| config.timeouts.idle = Duration::from_millis(200)).await;
    let mut unused = server.client().await;
    let mut used = server.client().await;
    used.send(post("sleep 400", &[], "{}")).await;
    assert_eq!(used.answer().await.status, 200, "work is not idleness");
    assert!(unused.is_closed().await);
    assert!(used.is_closed().await);
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up() {
    let server = start(|config| config.timeouts.write_stall = Duration::from_millis(200)).await;
    let mut client = server.client().await;
    client.send(post("zeros 30000000", &[], "")).await;
    sleep(Duration::from_millis(1500)).await;
    use tokio::io::AsyncReadExt;
    let mut heard = Vec::new();
    let ended = client.stream.read_to_end(&mut heard).await;
    assert!(ended.is_err() || heard.len() < 30_000_000, "all {} bytes were still sent", heard.len());
    assert_alive(&server).await;
}

#[tokio::test]
async fn a_panic_is_one_500_without_internals_and_the_connection_goes_on() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    client.send(post("panic", &[], "{}")).await;
    let answer = client.answer().await;
    answer.assert_error(500, "InternalServerError");
    assert!(!answer.text().contains("secret"));
    client.send(post("echo", &[], "{}")).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_request_is_run_to_its_end_when_its_client_goes_away() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    client.send(post("sleep 300", &[], "{}")).await;
    sleep(Duration::from_millis(100)).await;
    client.stream.set_zero_linger().unwrap();
    drop(client);
    sleep(Duration::from_millis(600)).await;
    assert_eq!(server.script.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refused_request_with_a_short_body_leaves_the_connection_usable() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    client.send(post("echo", &["Origin: https://evil.example"], "{}")).await;
    client.answer().await.assert_error(403, "AccessDeniedException");
    client.send(post("echo", &[], "{}")).await;
    assert_eq!(client.answer().await.text(), "{}");
}

#[tokio::test]
async fn uploads_beyond_the_memory_budget_get_a_retryable_503() {
    let server = start(|config| {
        config.limits.bodies_in_flight_bytes = 128 * 1024;
        config.timeouts.budget = Duration::from_millis(200);
    })
    .await;
    let mut holding = server.client().await;
    holding.send(post("sleep 1000", &[], vec![b' '; 128 * 1024])).await;
    sleep(Duration::from_millis(100)).await;
    server.ask(post("echo", &[], vec![b' '; 64 * 1024])).await.assert_error(503, "ServiceUnavailable");
    assert_alive(&server).await;
    assert_eq!(holding.answer().await.status, 200);
    assert_eq!(server.ask(post("length", &[], vec![b' '; 64 * 1024])).await.text(), "65536");
}

#[tokio::test]
async fn random_bytes_never_stop_the_server() {
    let server = start(|config| config.timeouts.head = Duration::from_millis(100)).await;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..round {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.push(state.to_le_bytes()[7]);
        }
        let mut request = post("echo", &[], "{}");
        if round % 2 == 0 {
            let at = round * 31 % request.len();
            request[at] = state.to_le_bytes()[6];
            bytes = request;
        }
        let mut client = server.client().await;
        let _ = client.stream.write_all(&bytes).await;
        let _ = client.stream.shutdown().await;
        while client.try_answer().await.is_some() {}
    }
    assert_alive(&server).await;
}
