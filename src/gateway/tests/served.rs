//! The gateway behind a real server, as a browser meets it: bytes in, bytes out.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;

/// Serves `door` on a free port.
async fn serve(door: Door) -> SocketAddr {
    let door = Arc::new(door);
    let app = axum::Router::new().fallback(async move |request: Request<Body>| {
        door.send(request).await.map_err(|_| StatusCode::BAD_GATEWAY)
    });
    let (listener, address) = bare().await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Answers without a body keep the length they speak of; answers with one are framed once.
#[tokio::test]
async fn answers_are_framed_once() {
    for (method, answer, status, length, body) in [
        ("GET", "200 OK\r\ncontent-length: 3\r\n\r\nabc", "200 OK", "content-length: 3", "abc"),
        ("HEAD", "200 OK\r\ncontent-length: 3\r\n\r\n", "200 OK", "content-length: 3", ""),
        ("GET", "304 Not Modified\r\ncontent-length: 3\r\n\r\n", "304 Not Modified", "", ""),
        ("GET", "204 No Content\r\n\r\n", "204 No Content", "", ""),
        (
            "GET",
            "200 Fine\r\nconnection: close\r\n\r\nabc",
            "200 OK",
            "transfer-encoding: chunked",
            "3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "GET",
            "200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "200 OK",
            "transfer-encoding: chunked",
            "3\r\nabc\r\n0\r\n\r\n",
        ),
    ] {
        let (listener, upstream) = bare().await;
        let address = serve(Door::own(upstream, "", "allow = 'public'")).await;
        let request = format!("{method} /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let reply = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_head(&mut socket).await;
            socket.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await.unwrap();
        };
        let (_, seen) = tokio::join!(reply, exchange(address, &request));
        let (head, rest) = seen.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}: {head}");
        let framing = head
            .split("\r\n")
            .filter(|l| l.starts_with("content-length") || l.starts_with("transfer-encoding"));
        assert_eq!(framing.collect::<Vec<_>>().join(" "), length, "{answer}");
        assert_eq!(rest, body, "{answer}");
    }
}

/// S-95: a browser that closes its socket ends the call to the upstream.
#[tokio::test]
async fn a_closed_socket_reaches_the_upstream() {
    let (listener, upstream) = bare().await;
    let address = serve(Door::own(upstream, "", "allow = 'public'")).await;
    let mut browser = TcpStream::connect(address).await.unwrap();
    browser.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    read_head(&mut socket).await;
    drop(browser);
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0, "the connection is closed");
}

/// S-57: of a message with two readings an upstream sees one request or none, and nothing of it becomes a second one.
#[tokio::test]
async fn nothing_is_smuggled() {
    const SECOND: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let chunked = format!("0\r\n\r\n{SECOND}");
    let length = SECOND.len();
    for head in [
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n{chunked}", chunked.len()),
        format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n\r\n{chunked}", chunked.len()),
        format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{SECOND}"),
        format!("content-length: 0, {length}\r\n\r\n{SECOND}"),
        format!("content-length: +0\r\n\r\n{SECOND}"),
        format!("content-length: 0x0\r\n\r\n{SECOND}"),
        format!("content-length : 0\r\n\r\n{SECOND}"),
        format!("transfer-encoding: chunked, identity\r\n\r\n{chunked}"),
        format!("transfer-encoding: xchunked\r\n\r\n{chunked}"),
        format!("transfer-encoding:\x0bchunked\r\n\r\n{chunked}"),
        format!("x-folded: a\r\n transfer-encoding: chunked\r\n\r\n{chunked}"),
        format!("x-bare: a\rtransfer-encoding: chunked\r\n\r\n{chunked}"),
        format!("x-nul: a\0b\r\n\r\n{SECOND}"),
    ] {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let recorder = Recorder::start(&[]).await;
            let address = serve(Door::own(recorder.address, "", "allow = 'public'")).await;
            let request = format!("POST /first {version}\r\nhost: a\r\n{head}");
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(request.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer).await;
            let targets: Vec<_> = recorder.seen().into_iter().map(|seen| seen.target).collect();
            assert!(targets.is_empty() || targets == ["/first"], "{version} {head:?}: {targets:?}");
        }
    }
}
