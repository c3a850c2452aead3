//! Handshakes that no WebSocket client sends, and upstreams that answer what was not asked (S-58).

use futures_util::future::join;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{EchoSockets, open_with, refusal, with_sockets};
use crate::client::Browser;
use crate::harness::{Plan, TestApp};
use crate::raw;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// S-58: only our own pages and listed origins open sockets; a browser sends cookies with any other's as well.
#[tokio::test]
async fn a_foreign_page_opens_no_socket() {
    let plan = Plan::default().with("BFF_CORS_ORIGINS", "https://app.example.test");
    let (app, upstream) = with_sockets(plan).await;
    let browser = app.signed_in("ada@example.test").await;
    for origin in [
        "",
        "null",
        "https://evil.test",
        "http://sub.localhost",
        "https://app.example.test.evil.test",
        "http://app.example.test",
        &app.base.replace("http", "https"),
        &format!("{}0", app.base),
        &format!("{}/", app.base),
    ] {
        for path in ["/live/room", "/open-live/room", "/api/notes"] {
            let (status, body) = refusal(open_with(&browser, path, &[("origin", origin)]).await);
            assert_eq!(status, 403, "{origin} {path}: {body}");
        }
    }
    assert!(upstream.knocks().is_empty() && app.echo.seen().is_empty());
    let listed = [("origin", "https://app.example.test")];
    assert!(open_with(&browser, "/live/room", &listed).await.is_ok());
    let marked = [("origin", "https://evil.test"), ("x-csrf", "1")];
    assert_eq!(
        refusal(open_with(&browser, "/live/room", &marked).await).0,
        403,
        "the header is no way round"
    );
}

/// The lines of a sound handshake at `path`, with those of `changes` in place of the ones with their name.
fn handshake(app: &TestApp, browser: &Browser, path: &str, changes: &[(&str, &str)]) -> String {
    let host = app.base.strip_prefix("http://").unwrap();
    let (origin, cookie) = (app.base.clone(), browser.cookie_line());
    let sound = [
        ("Host", host),
        ("Origin", &origin),
        ("Cookie", &cookie),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    let kept = sound.iter().filter(|(name, _)| !changes.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)));
    let lines = kept.chain(changes).filter(|(_, value)| !value.is_empty());
    let lines: String = lines.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\n{lines}\r\n")
}

/// S-57, S-58: over raw sockets, whatever two readers could understand differently is a 4xx that no upstream sees.
#[tokio::test]
async fn a_hostile_handshake_reaches_nobody() {
    let (app, upstream) = with_sockets(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    for changes in [
        &[("Connection", "close")][..],
        &[("Connection", "keep-alive")],
        &[("Connection", "Upgrade, Authorization")],
        &[("Connection", "Upgrade, Sec-WebSocket-Key")],
        &[("Connection", "Upgrade"), ("Connection", "Upgrade")],
        &[("Upgrade", "websocket"), ("Upgrade", "websocket")],
        &[("Upgrade", "websocket"), ("Upgrade", "h2c")],
        &[("Upgrade", "websocket, h2c")],
        &[("Upgrade", "h2c")],
        &[("Sec-WebSocket-Version", "")],
        &[("Sec-WebSocket-Version", "12")],
        &[("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Version", "13")],
        &[("Sec-WebSocket-Key", "")],
        &[("Sec-WebSocket-Key", "short")],
        &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)],
        &[("Sec_WebSocket_Key", KEY)],
        &[("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")],
        &[("Sec-WebSocket-Protocol", "a b")],
        &[("Content-Length", "0")],
        &[("Content-Length", "5")],
        &[("Transfer-Encoding", "chunked")],
        &[("Expect", "100-continue")],
    ] {
        let text = handshake(&app, &browser, "/live/room", changes);
        let answer = raw::send_for_one(&app.base, text).await;
        assert!((400..500).contains(&answer.status), "{changes:?}: {}", answer.text);
    }
    let sound = handshake(&app, &browser, "/live/room", &[]);
    for (from, to) in [("GET ", "POST "), ("HTTP/1.1", "HTTP/1.0"), ("/live/room", "/live/../live/room")] {
        let answer = raw::send_for_one(&app.base, sound.replace(from, to)).await;
        assert!((400..500).contains(&answer.status), "{to}: {}", answer.text);
    }
    assert!(upstream.knocks().is_empty(), "{:?}", upstream.knocks());
}

/// S-58: where sockets are not asked for in the settings the header is dropped, and the request is one like any other. An
/// upgrade to anything else is dropped everywhere.
#[tokio::test]
async fn elsewhere_the_header_is_dropped() {
    let (app, upstream) = with_sockets(Plan::default()).await;
    let browser = app.signed_in("ada@example.test").await;
    let close = [("Connection", "Upgrade, close")];
    let answer = raw::send(&app.base, handshake(&app, &browser, "/api/notes", &close)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let seen = format!("{:?}", app.echo.last().headers);
    assert!(!seen.contains("upgrade") && !seen.contains("websocket\""), "{seen}");
    let h2c = [
        ("Upgrade", "h2c"),
        ("Connection", "Upgrade, HTTP2-Settings, close"),
        ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ("X-CSRF", "1"),
        ("Sec-WebSocket-Version", ""),
        ("Sec-WebSocket-Key", ""),
    ];
    let text = handshake(&app, &browser, "/live/room", &h2c);
    // That server knows no other answer to a plain GET.
    assert_eq!(raw::send(&app.base, text).await.status, 502, "the upstream was asked without it");
    assert!(upstream.knocks().is_empty());
}

/// S-58: bytes after a handshake pass only after a sound 101; a client that does not wait has smuggled nothing.
#[tokio::test]
async fn nothing_passes_before_a_sound_101() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rules = super::RULES.replace("{sockets}", &listener.local_addr().unwrap().to_string());
        let app = TestApp::with(Plan { rules, ..Plan::default() }).await;
        let browser = app.signed_in("ada@example.test").await;
        let mut text = handshake(&app, &browser, "/live/room", &[]);
        text.push_str("GET /admin-live/secret HTTP/1.1\r\nHost: x\r\nCanary: canary\r\n\r\n");
        let upstream = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                seen.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            let reading = stream.read_to_end(&mut rest);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), reading).await;
            seen.extend(rest);
            String::from_utf8_lossy(&seen).into_owned()
        };
        let (got, seen) = join(raw::send_for_one(&app.base, text), upstream).await;
        let expected = if answer.contains("200 OK") { 200 } else { 502 };
        assert_eq!(got.status, expected, "{answer}: {}", got.text);
        assert!(!seen.contains("canary") && !seen.contains("secret"), "{answer}: {seen}");
    }
}

/// S-49, S-48: a handshake leads nowhere that a request would not.
#[tokio::test]
async fn a_handshake_goes_where_its_rule_says() {
    let upstream = EchoSockets::start().await;
    let rules = super::RULES.replace("{sockets}", &upstream.address.to_string());
    let rules = rules.replace("path = \"/live/**\"\n", "path = \"/live/**\"\nstrip = \"/live\"\n");
    let app = TestApp::with(Plan { rules, ..Plan::default() }).await;
    let browser = app.signed_in("ada@example.test").await;
    let (mut socket, _) = open_with(&browser, "/live/a/b?c=%2e", &[]).await.unwrap();
    super::says_back(&mut socket, "x").await;
    let knock = &upstream.knocks()[0];
    assert_eq!(
        (knock.target.as_str(), &knock.headers["x-forwarded-prefix"]),
        ("/a/b?c=%2e", &"/live".parse().unwrap())
    );
}
