//! What web pages may do: CORS, origins, and the Host header against DNS rebinding.

use partita_server::{AllowedHosts, AllowedOrigins};

use crate::harness::{Running, post, start};

async fn with_cors(origins: &[&str]) -> Running {
    start(|config| config.origins = AllowedOrigins::parse(origins).unwrap()).await
}

fn preflight(origin: &str) -> String {
    format!(
        "OPTIONS / HTTP/1.1\r\nHost: localhost:8000\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization,x-amz-target,x-own\r\n\
         Access-Control-Request-Private-Network: true\r\n\r\n"
    )
}

#[tokio::test]
async fn a_preflight_from_an_allowed_origin_is_granted() {
    let server = with_cors(&["http://localhost:3000"]).await;
    let answer = server.ask(preflight("http://localhost:3000")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["access-control-allow-origin"], "http://localhost:3000");
    assert_eq!(answer.headers["access-control-allow-headers"], "authorization,x-amz-target,x-own");
    assert!(answer.headers["access-control-allow-methods"].contains("POST"));
    assert_eq!(answer.headers["access-control-max-age"], "172800");
    assert_eq!(answer.headers["access-control-allow-private-network"], "true");
    assert_eq!(answer.headers["vary"], "Origin");
}

#[tokio::test]
async fn answers_to_an_allowed_origin_can_be_read_by_it_errors_included() {
    let server = with_cors(&["http://localhost:3000"]).await;
    for request in [post("echo", &["Origin: http://localhost:3000"], "{}"), {
        post("echo", &["Origin: http://localhost:3000", "Content-Encoding: br"], "{}")
    }] {
        let answer = server.ask(request).await;
        assert_eq!(answer.headers["access-control-allow-origin"], "http://localhost:3000");
        assert!(answer.headers["access-control-expose-headers"].contains("x-amz-crc32"));
    }
}

#[tokio::test]
async fn other_origins_are_refused_without_permission_headers() {
    for server in [start(|_| {}).await, with_cors(&["http://localhost:3000"]).await] {
        for request in [
            preflight("https://evil.example").into_bytes(),
            post("echo", &["Origin: https://evil.example"], "{}"),
            b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n".to_vec(),
        ] {
            let answer = server.ask(request).await;
            answer.assert_error(403, "AccessDeniedException");
            assert!(answer.headers.keys().all(|name| !name.starts_with("access-control")), "{answer:?}");
        }
        assert_eq!(server.script.finished.load(std::sync::atomic::Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_star_allows_every_origin() {
    let server = with_cors(&["*"]).await;
    for origin in ["https://any.example", "null"] {
        assert_eq!(server.ask(preflight(origin)).await.headers["access-control-allow-origin"], origin);
    }
}

#[tokio::test]
async fn options_from_no_page_tells_the_methods() {
    let server = start(|_| {}).await;
    let answer = server.ask("OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((answer.status, answer.headers["allow"].as_str()), (200, "POST, GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn names_that_a_page_could_have_pointed_here_are_refused() {
    let server = start(|_| {}).await;
    let to = |host: &str| format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{{}}");
    let answer = server.ask(to("rebound.evil.example:8000")).await;
    answer.assert_error(403, "AccessDeniedException");
    assert!(answer.text().contains("--allowed-host rebound.evil.example"), "{}", answer.text());
    for host in ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "dynamodb:8000", "host.docker.internal:8000"] {
        assert_eq!(server.ask(to(host)).await.status, 200, "{host}");
    }
    let named = start(|config| config.hosts = AllowedHosts::parse(["rebound.evil.example"]).unwrap()).await;
    assert_eq!(named.ask(to("rebound.evil.example:8000")).await.status, 200);
}

#[tokio::test]
async fn a_missing_or_second_host_header_is_malformed() {
    let server = start(|_| {}).await;
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    ] {
        let answer = server.ask(request).await;
        assert!(answer.status == 400 || answer.status == 403, "{request}: {answer:?}");
    }
}
