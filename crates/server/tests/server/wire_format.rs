//! Ordinary requests: headers, checksum, compression, keep-alive, chunks, 100-continue, health lines.

use crate::harness::{gzip, post, start};

#[tokio::test]
async fn an_answer_carries_the_standing_headers() {
    let server = start(|_| {}).await;
    let answer = server.ask(post("echo", &[], "{\"a\":1}")).await;
    assert_eq!((answer.status, answer.text()), (200, "{\"a\":1}"));
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.0");
    assert_eq!(answer.headers["content-length"], "7");
    assert!(answer.headers.contains_key("date"));
    answer.assert_dress();
}

#[tokio::test]
async fn the_handler_sees_the_request_id_of_the_answer() {
    let server = start(|_| {}).await;
    let answer = server.ask(post("id", &[], "")).await;
    assert_eq!(answer.text(), answer.headers["x-amzn-requestid"]);
}

#[tokio::test]
async fn long_answers_are_gzipped_for_those_who_accept_it() {
    let server = start(|_| {}).await;
    for (length, accept, compressed) in [
        (4096, "Accept-Encoding: gzip", false),
        (4097, "Accept-Encoding: gzip", true),
        (500_000, "Accept-Encoding: gzip, deflate", true),
        (500_000, "Accept-Encoding: identity", false),
        (500_000, "X: y", false),
    ] {
        let answer = server.ask(post(&format!("zeros {length}"), &[accept], "")).await;
        answer.assert_dress();
        assert_eq!(answer.headers.contains_key("content-encoding"), compressed, "{length} {accept}");
        let plain = if compressed { answer.gunzipped() } else { answer.body };
        assert_eq!(plain, vec![b'0'; length]);
    }
}

#[tokio::test]
async fn compressed_bodies_reach_the_handler_plain() {
    let server = start(|_| {}).await;
    let body = "{\"k\":\"v\"}".repeat(20_000);
    let answer = server.ask(post("echo", &["Content-Encoding: gzip"], gzip(body.as_bytes()))).await;
    assert_eq!(answer.text(), body);
}

#[tokio::test]
async fn one_connection_serves_many_requests_pipelined_or_not() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    for round in 0..50 {
        client.send(post("echo", &[], round.to_string())).await;
        assert_eq!(client.answer().await.text(), round.to_string());
    }
    client.send((0..50).map(|round| post("echo", &[], round.to_string())).collect::<Vec<_>>().concat()).await;
    for round in 0..50 {
        assert_eq!(client.answer().await.text(), round.to_string());
    }
}

#[tokio::test]
async fn chunked_bodies_are_joined() {
    let server = start(|_| {}).await;
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = server.ask(format!("{head}3\r\n{{\"a\r\n4;x=y\r\n\":1}}\r\n0\r\nTrailer: z\r\n\r\n")).await;
    assert_eq!(answer.text(), "{\"a\":1}");
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_before_it_sends() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 100);
    client.send("{}").await;
    assert_eq!(client.answer().await.text(), "{}");
}

#[tokio::test]
async fn a_too_large_body_is_refused_instead_of_100_continue() {
    let server = start(|_| {}).await;
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 16777217\r\n\r\n";
    server.ask(head).await.assert_error(413, "RequestEntityTooLargeException");
}

#[tokio::test]
async fn health_lines_answer_get_and_head() {
    let server = start(|config| config.region = "eu-west-1".into()).await;
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = server.ask(get("/")).await;
    assert_eq!((answer.status, answer.text()), (200, "healthy: dynamodb.eu-west-1.amazonaws.com "));
    answer.assert_dress();
    assert_eq!(server.ask(get("/health/live")).await.text(), "live\n");
    assert_eq!(server.ask(get("/health/ready")).await.text(), "ready\n");
    server.script.unready.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = server.ask(get("/health/ready")).await;
    assert_eq!((answer.status, answer.text()), (503, "not ready: writes fail\n"));
    assert_eq!(server.ask(get("/health/live")).await.text(), "live\n");
    let mut client = server.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    use tokio::io::AsyncReadExt;
    let mut bytes = vec![0; 4096];
    let mut read = 0;
    while !bytes[..read].ends_with(b"amazonaws.com ") {
        read += client.stream.read(&mut bytes[read..]).await.unwrap();
    }
    let text = String::from_utf8_lossy(&bytes[..read]);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
    assert_eq!(text.matches("healthy").count(), 1, "{text}");
}

#[tokio::test]
async fn http_1_0_without_host_works() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn the_whole_legal_body_passes() {
    let server = start(|_| {}).await;
    let answer = server.ask(post("length", &[], vec![b' '; 16 * 1024 * 1024])).await;
    assert_eq!(answer.text(), "16777216");
}

#[tokio::test]
async fn a_connection_goes_on_after_a_rest_with_every_byte_in_place() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    let second = post("echo", &[], "second");
    let (begun, rest) = second.split_at(30);
    client.send([&post("echo", &[], "first")[..], begun].concat()).await;
    assert_eq!(client.answer().await.text(), "first");
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    client.send(rest).await;
    assert_eq!(client.answer().await.text(), "second");
    for round in 0..2 {
        tokio::time::sleep(std::time::Duration::from_millis(900)).await;
        client.send(post("echo", &[], round.to_string())).await;
        assert_eq!(client.answer().await.text(), round.to_string());
    }
}

#[tokio::test]
async fn a_reader_that_pauses_gets_all_of_a_large_answer() {
    let server = start(|_| {}).await;
    let mut client = server.client().await;
    client.send(post("zeros 20000000", &[], "")).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let answer = client.answer().await;
    assert_eq!(answer.body.len(), 20_000_000);
    answer.assert_dress();
}
