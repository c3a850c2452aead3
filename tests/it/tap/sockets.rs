//! WebSockets through the tap: the handshake as it came, then bytes.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Hands `request` over to the server at `target`.
pub async fn pass(mut request: Request, target: SocketAddr) -> Response {
    let mut upstream = TcpStream::connect(target).await.unwrap();
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    upstream.write_all(&head).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match upstream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => return refused(),
        }
    }
    let text = String::from_utf8(answer).unwrap();
    if !text.starts_with("HTTP/1.1 101") {
        return refused();
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in text.lines().skip(1).filter_map(|line| line.split_once(':')) {
        let name: http::HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, value.trim().parse().unwrap());
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(client) = upgrade.await {
            let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut upstream).await;
        }
    });
    response
}

fn refused() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
