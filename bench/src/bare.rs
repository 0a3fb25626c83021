//! The limit: a bare hyper server that reads each request and answers a constant body.
//!
//! It runs as a process of its own (`bench bare`), so that its CPU time can be told from the generator's.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Result;

/// Serves until the process is ended.
pub async fn serve(address: SocketAddr, answer_bytes: usize) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    let constant = Bytes::from(vec![b'x'; answer_bytes]);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let constant = constant.clone();
        let answer = service_fn(move |request| answer(request, constant.clone()));
        tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await });
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    constant: Bytes,
) -> std::result::Result<hyper::Response<Full<Bytes>>, Infallible> {
    // An unfinished body ends the connection anyway.
    let _ = request.into_body().collect().await;
    let mut response = hyper::Response::new(Full::new(constant));
    let kind = http::HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    Ok(response)
}
