//! Bodies that take their time, and clients who leave.

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::navigation;
use crate::harness::{Plan, TestApp};
use crate::tap::{bounded, within_a_second};

/// An upstream of raw bytes below `/stream`, with every connection to it.
async fn with_stream() -> (TestApp, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rules = format!(
        "stream = {{ url = \"http://{}\", kind = \"api\", token = \"none\" }}\n[[rules]]\nname = \"stream\"\npath = \"/stream/**\"\nto = \"stream\"\nallow = \"public\"\ncsrf = \"off\"\n",
        listener.local_addr().unwrap()
    );
    (TestApp::with(Plan { rules, ..Plan::default() }).await, listener)
}

/// What arrives until `end` is among it.
pub async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let read = socket.read(&mut buffer);
        let count = bounded(end, read).await.unwrap();
        assert!(count > 0, "closed after {text:?}, before {end:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    text
}

/// Events are passed on one by one, a body as it comes; a client who leaves takes his call with him (S-95).
#[tokio::test]
async fn both_directions_stream_and_end_together() {
    let (app, listener) = with_stream().await;
    let host = app.base.strip_prefix("http://").unwrap().to_owned();
    let mut client = TcpStream::connect(host.replace("localhost", "127.0.0.1")).await.unwrap();
    let head = format!(
        "POST /stream/x HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    read_until(&mut upstream, "first").await; // while the second half has not been sent
    client.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut upstream, "second").await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\ne\r\ndata: event1\n\n\r\n";
    upstream.write_all(answer.as_bytes()).await.unwrap();
    let text = read_until(&mut client, "data: event1").await; // while the answer has not ended
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    drop(client);
    let mut rest = Vec::new();
    let ended = async {
        // The upstream notices at one of its next events.
        while upstream.write_all(b"e\r\ndata: event2\n\n\r\n").await.is_ok() {
            let mut byte = [0; 1];
            if matches!(
                tokio::time::timeout(std::time::Duration::from_millis(20), upstream.read(&mut byte)).await,
                Ok(Ok(0) | Err(_))
            ) {
                break;
            }
            rest.push(byte[0]);
        }
    };
    bounded("the end of the call with its client", ended).await;
}

/// S-95: a client who leaves before any answer ends the call as well.
#[tokio::test]
async fn a_client_who_leaves_ends_the_call() {
    let (app, listener) = with_stream().await;
    let host = app.base.strip_prefix("http://").unwrap().to_owned();
    let mut client = TcpStream::connect(host.replace("localhost", "127.0.0.1")).await.unwrap();
    client.write_all(format!("GET /stream/x HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    read_until(&mut upstream, "\r\n\r\n").await;
    drop(client);
    let mut rest = Vec::new();
    bounded("the end of the connection", upstream.read_to_end(&mut rest)).await.ok();
    let answer = app.browser().send(Method::GET, "/auth/login", &navigation("none"), None).await;
    assert_eq!(answer.status, 200, "and everybody else is served");
}

/// S-45: events stop with the session they were asked for, within a second; not with its token.
#[tokio::test]
async fn events_end_with_their_session() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rules = format!(
        "stream = {{ url = \"http://{}\", kind = \"api\", token = \"user\" }}\n[[rules]]\nname = \"stream\"\npath = \"/stream/**\"\nto = \"stream\"\n",
        listener.local_addr().unwrap()
    );
    for plan in [Plan::default(), Plan::in_memory()] {
        let app = TestApp::with(Plan { rules: rules.clone(), ..plan }).await;
        let browser = app.signed_in("ada@example.test").await;
        let host = app.base.strip_prefix("http://").unwrap().to_owned();
        let mut client = TcpStream::connect(host.replace("localhost", "127.0.0.1")).await.unwrap();
        let cookie = browser.cookie_line();
        let head = format!("GET /stream/x HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-CSRF: 1\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let (mut upstream, _) = listener.accept().await.unwrap();
        read_until(&mut upstream, "\r\n\r\n").await;
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\ne\r\ndata: event1\n\n\r\n";
        upstream.write_all(answer.as_bytes()).await.unwrap();
        read_until(&mut client, "data: event1").await;
        app.past_expiry();
        upstream.write_all(b"e\r\ndata: event2\n\n\r\n").await.unwrap();
        read_until(&mut client, "data: event2").await;
        assert_eq!(browser.post("/auth/logout", &serde_json::json!({})).await.status, 204);
        let mut rest = Vec::new();
        let ended = async {
            while !rest.ends_with(b"0\r\n\r\n") {
                rest.push(client.read_u8().await.unwrap());
            }
        };
        within_a_second("the end of the events", ended).await;
    }
}
