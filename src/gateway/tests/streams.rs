//! Bodies, time limits, failures and clients that leave.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::*;
use crate::gateway::Error;

const PUBLIC: &str = "allow = 'public'";

fn chunks(count: usize, size: usize) -> Body {
    let chunk = Bytes::from(vec![b'x'; size]);
    Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, axum::Error>(chunk.clone()))))
}

/// S-95: a client that leaves before the answer ends the call to the upstream.
#[tokio::test]
async fn leaving_early_cancels_the_upstream_call() {
    let (listener, address) = bare().await;
    let door = Door::own(address, "", PUBLIC);
    let call = tokio::spawn(async move { door.send(get("/slow")).await.map(drop) });
    let (mut socket, _) = listener.accept().await.unwrap();
    read_head(&mut socket).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0, "the connection is closed");
}

/// S-95: a client that leaves in the middle of an answer ends it at the upstream.
#[tokio::test]
async fn leaving_in_the_middle_ends_the_answer() {
    let (listener, address) = bare().await;
    let door = Door::own(address, "", PUBLIC);
    let upstream = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nfirst").await.unwrap();
        socket
    };
    let (mut socket, response) = tokio::join!(upstream, door.send(get("/events")));
    let mut body = response.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    drop(body);
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0, "the connection is closed");
}

/// Events arrive one by one, long before the answer ends.
#[tokio::test]
async fn answers_stream() {
    let (listener, address) = bare().await;
    let door = Door::own(address, "", PUBLIC);
    let upstream = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 7\r\n\r\n";
        socket.write_all(format!("{head}3\r\none\r\n").as_bytes()).await.unwrap();
        socket
    };
    let (mut socket, response) = tokio::join!(upstream, door.send(get("/events")));
    let response = response.unwrap();
    // S-57: of two lengths only the one in force goes on.
    assert_eq!(all(response.headers(), "content-length") + &all(response.headers(), "transfer-encoding"), "");
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    socket.write_all(b"3\r\ntwo\r\n0\r\nx-late: 1\r\n\r\n").await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
    assert!(body.frame().await.is_none(), "trailers stay behind");
}

/// Nothing is collected: an upstream that nobody reads from cannot go on writing, and a browser that an upstream does
/// not read from is not read from either.
#[tokio::test]
async fn both_ways_have_back_pressure() {
    const MUCH: usize = 64 << 20;
    let (listener, address) = bare().await;
    let door = Door::own(address, "max_body = '1GiB'\nfirst_byte = '1h'\nidle = '1h'", PUBLIC);
    let upstream = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        tokio::time::timeout(Duration::from_millis(300), socket.write_all(&vec![b'x'; MUCH])).await
    };
    let (written, response) = tokio::join!(upstream, door.send(get("/big")));
    assert!(written.is_err(), "the upstream wrote all of it");
    drop(response);

    let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&taken);
    let chunk = Bytes::from(vec![b'x'; 64 << 10]);
    let body = stream::iter(0..MUCH / chunk.len()).map(move |_| {
        counter.fetch_add(chunk.len(), std::sync::atomic::Ordering::Relaxed);
        Ok::<_, axum::Error>(chunk.clone())
    });
    let call = door.send(post("/big", Body::from_stream(body)));
    assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err());
    assert!(taken.load(std::sync::atomic::Ordering::Relaxed) < MUCH, "the whole body was taken");
}

/// S-96: a body that is too long by its length is refused before the upstream is asked; one without a length while it
/// passes. The limit itself is allowed.
#[tokio::test]
async fn bodies_have_a_limit() {
    let (listener, address) = bare().await;
    let door = Door::own(address, "max_body = '10B'", PUBLIC);
    let declared = door.send(post("/x", Body::from("12345678901"))).await;
    assert!(matches!(declared, Err(Error::BodyTooLarge)));
    assert!(listener.accept().now_or_never().is_none());
    let upstream = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        let _ = socket.read_to_end(&mut all).await;
        String::from_utf8(all).unwrap()
    };
    let (seen, streamed) = tokio::join!(upstream, door.send(post("/x", chunks(11, 1))));
    assert!(matches!(streamed, Err(Error::BodyTooLarge)), "{streamed:?}");
    assert!(!seen.ends_with("0\r\n\r\n"), "the upstream must not take it for complete: {seen}");
    let recorder = Recorder::start(&[]).await;
    let door = Door::own(recorder.address, "max_body = '10B'", PUBLIC);
    door.send(post("/x", chunks(10, 1))).await.unwrap();
    door.send(post("/x", Body::from("1234567890"))).await.unwrap();
    assert_eq!(recorder.seen().len(), 2);
}

/// S-95: an upstream that says nothing is given up: before its first byte, before TLS, in the middle of a body.
#[tokio::test]
async fn silent_upstreams_are_given_up() {
    let (_listener, address) = bare().await; // accepts into its backlog and never answers
    let door = Door::own(address, "first_byte = '20ms'", PUBLIC);
    assert!(matches!(door.send(get("/x")).await, Err(Error::UpstreamTimeout)));
    assert!(matches!(door.send(post("/x", Body::from("abc"))).await, Err(Error::UpstreamTimeout)));
    let door = Door::own(address, "max_body = '1GiB'\nidle = '20ms'\nfirst_byte = '1h'", PUBLIC);
    assert!(matches!(door.send(post("/x", chunks(1000, 1 << 20))).await, Err(Error::UpstreamTimeout)));
    let door = Door::at(&format!("https://{address}"), "connect = '20ms'", PUBLIC);
    assert!(matches!(door.send(get("/x")).await, Err(Error::UpstreamTimeout)));

    let (listener, address) = bare().await;
    let door = Door::own(address, "idle = '20ms'", PUBLIC);
    let upstream = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst").await.unwrap();
        socket
    };
    let (_socket, response) = tokio::join!(upstream, door.send(get("/x")));
    assert!(response.unwrap().into_body().collect().await.is_err());
}

/// S-95: a browser that stops in the middle of its body is given up as well, and it is not the upstream's fault.
#[tokio::test]
async fn a_request_that_stops_is_given_up() {
    let recorder = Recorder::start(&[]).await;
    let door = Door::own(recorder.address, "idle = '20ms'", PUBLIC);
    let stalled = stream::iter([Ok::<_, axum::Error>(Bytes::from("a"))]).chain(stream::pending());
    let result = door.send(post("/x", Body::from_stream(stalled))).await;
    assert!(matches!(result, Err(Error::RequestBroken(_))), "{result:?}");
    let broken = stream::iter([Ok(Bytes::from("a")), Err(std::io::Error::other("reset"))]);
    let result = door.send(post("/x", Body::from_stream(broken))).await;
    assert!(matches!(result, Err(Error::RequestBroken(_))), "{result:?}");
}

/// An answer that is none is a 502: nothing there, garbage, two lengths, an upgrade that nobody asked for (S-57, S-58).
#[tokio::test]
async fn unsound_answers_are_failures() {
    for answer in [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-folded: a\r\n b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ] {
        let (listener, address) = bare().await;
        let door = Door::own(address, "", PUBLIC);
        let request = get_with("/x", &[("upgrade", "websocket"), ("connection", "upgrade")]);
        let (_, result) = tokio::join!(answer_once(&listener, answer), door.send(request));
        assert!(matches!(result, Err(Error::UpstreamFailed(_))), "{answer:?}: {result:?}");
    }
    let (listener, address) = bare().await;
    drop(listener);
    let refused = Door::own(address, "", PUBLIC).send(get("/x")).await;
    assert!(matches!(refused, Err(Error::UpstreamFailed(_))), "{refused:?}");
}

/// S-90: with https nothing leaves before the certificate is verified.
#[tokio::test]
async fn without_a_good_certificate_nothing_is_said() {
    let (listener, address) = bare().await;
    let door = Door::at(&format!("https://{address}"), "token = 'user'", "allow = 'user'").signed_in();
    let upstream = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut hello = vec![0; 4096];
        let length = socket.read(&mut hello).await.unwrap();
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        hello.truncate(length);
        hello
    };
    let (hello, result) = tokio::join!(upstream, door.send(get("/x")));
    assert!(matches!(result, Err(Error::UpstreamFailed(_))), "{result:?}");
    assert_eq!(hello[0], 0x16, "a TLS handshake and nothing else");
    assert!(!String::from_utf8_lossy(&hello).contains(TOKEN));
}

/// One connection serves one request after the other.
#[tokio::test]
async fn connections_are_kept() {
    let (listener, address) = bare().await;
    let door = Door::own(address, "", PUBLIC);
    let upstream = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            read_head(&mut socket).await;
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
        listener.accept().now_or_never().is_none()
    });
    for _ in 0..3 {
        assert_eq!(text(door.send(get("/x")).await.unwrap()).await, "ok");
    }
    assert!(upstream.await.unwrap(), "a second connection was opened");
}

/// A connection serves one request after the other; one that the upstream closed in between costs nobody a request.
#[tokio::test]
async fn connections_are_kept_while_they_live() {
    let (listener, address) = bare().await;
    let door = Door::own(address, "", PUBLIC);
    let upstream = tokio::spawn(async move {
        let mut served = Vec::new();
        // The first connection has an end after three answers, the second goes on.
        for most in [3, 9] {
            let (mut socket, _) = listener.accept().await.unwrap();
            for n in 0..most {
                let head = read_head(&mut socket).await;
                served.push((most, head.split(' ').nth(1).unwrap_or_default().to_owned()));
                if head.contains("/last ") {
                    return served;
                }
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{n}");
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        }
        served
    });
    for n in 0..5 {
        let answer = door.send(get(&format!("/{n}"))).await.unwrap();
        assert_eq!(text(answer).await, (n % 3).to_string());
        tokio::task::yield_now().await;
    }
    assert!(door.send(get("/last")).await.is_err(), "the connection broke after the request had left");
    let served = upstream.await.unwrap();
    let expected = [(3, "/0"), (3, "/1"), (3, "/2"), (9, "/3"), (9, "/4"), (9, "/last")];
    assert_eq!(served, expected.map(|(most, path)| (most, path.to_owned())));
}

/// A connection whose answer was not read to its end is not used again: its rest would answer the next request.
#[tokio::test]
async fn an_answer_that_was_left_is_nobody_elses() {
    let (listener, address) = bare().await;
    let door = Door::own(address, "", PUBLIC);
    let (first, mut socket) = tokio::join!(door.send(get("/1")), async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nfirst").await.unwrap();
        socket
    });
    drop(first.unwrap());
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo";
    let (second, seen) = tokio::join!(door.send(get("/2")), answer_once(&listener, two));
    assert_eq!(text(second.unwrap()).await, "two");
    assert!(seen.starts_with("GET /2 "), "{seen}");
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0, "the connection is closed");
}
