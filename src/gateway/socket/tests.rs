//! Handshakes that are none, and tunnels on a clock that stands still.

use std::future::pending;

use http_body_util::{Empty, Full};
use proptest::prelude::*;
use tokio::io::duplex;

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn handshake(lines: &[(&'static str, &str)]) -> Request<Empty<&'static [u8]>> {
    let mut request = Request::new(Empty::new());
    for (name, value) in lines {
        request.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
    }
    request
}

const SOUND: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", KEY),
];

/// RFC 6455, section 1.3: the sample key and its accept value.
#[test]
fn the_accept_value_is_that_of_the_rfc() {
    let read = Handshake::read(&handshake(&SOUND)).unwrap().unwrap();
    let answer: Response<String> = read.accept(None);
    assert_eq!(answer.headers()[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(read.judge(answer.headers()).is_ok());
    let mut other = answer.headers().clone();
    other.insert(header::SEC_WEBSOCKET_ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=".parse().unwrap());
    assert!(read.judge(&other).is_err());
    for (name, value) in
        [("sec-websocket-extensions", "permessage-deflate"), ("sec-websocket-protocol", "other")]
    {
        let mut more = answer.headers().clone();
        more.insert(HeaderName::from_static(name), value.parse().unwrap());
        assert!(read.judge(&more).is_err(), "{name}");
    }
}

/// S-58: whatever a second reader could take for something else is refused; what browsers send is not.
#[test]
fn a_handshake_has_one_meaning() {
    let with = |lines: &[(&'static str, &'static str)]| {
        let mut all: Vec<_> =
            SOUND.into_iter().filter(|(name, _)| !lines.iter().any(|(n, _)| n == name)).collect();
        all.extend(lines.iter().filter(|(_, value)| !value.is_empty()));
        Handshake::read(&handshake(&all))
    };
    for good in [
        &[("connection", "keep-alive, Upgrade")][..],
        &[("upgrade", "WebSocket")],
        &[("sec-websocket-protocol", "vite-hmr, graphql-ws")],
        &[("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")],
    ] {
        assert!(matches!(with(good), Ok(Some(_))), "{good:?}");
    }
    for bad in [
        &[("connection", "")][..],
        &[("connection", "close")],
        &[("connection", "Upgrade, Upgrade")],
        &[("connection", "Upgrade, authorization")],
        &[("connection", "Upgrade, sec-websocket-key")],
        &[("connection", "Upgrade"), ("connection", "upgrade")],
        &[("upgrade", "")],
        &[("upgrade", "h2c, websocket")],
        &[("upgrade", "websocket/13")],
        &[("upgrade", "websocket"), ("upgrade", "websocket")],
        &[("upgrade", "websocket"), ("upgrade", "h2c")],
        &[("sec-websocket-version", "")],
        &[("sec-websocket-version", "8")],
        &[("sec-websocket-version", "13, 8")],
        &[("sec-websocket-version", "13"), ("sec-websocket-version", "13")],
        &[("sec-websocket-key", "")],
        &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ")],
        &[("sec-websocket-key", "c2hvcnQ=")],
        &[("sec-websocket-key", KEY), ("sec-websocket-key", KEY)],
        &[("sec-websocket-protocol", "a, a")],
        &[("sec-websocket-protocol", "a,,b")],
        &[("sec-websocket-protocol", "a b")],
        &[("sec-websocket-accept", "x")],
        &[("sec_websocket_key", KEY)],
        &[("content-length", "0")],
        &[("transfer-encoding", "chunked")],
        &[("expect", "100-continue")],
    ] {
        assert!(with(bad).is_err(), "{bad:?}");
    }
    for none in [&[][..], &[("upgrade", "h2c")], &[("connection", "Upgrade"), ("upgrade", "h2c")]] {
        assert!(matches!(Handshake::read(&handshake(none)), Ok(None)), "{none:?}");
    }
    let mut post = handshake(&SOUND);
    *post.method_mut() = Method::POST;
    assert!(Handshake::read(&post).is_err());
    let mut old = handshake(&SOUND);
    *old.version_mut() = Version::HTTP_10;
    assert!(Handshake::read(&old).is_err());
    let (parts, _) = handshake(&SOUND).into_parts();
    assert!(Handshake::read(&Request::from_parts(parts, Full::new(&b"x"[..]))).is_err());
}

const HOUR: Duration = Duration::from_secs(3600);

/// S-61: silence ends a socket, and bytes in either direction are no silence; S-60: so does age.
#[tokio::test]
async fn silence_and_age_end_a_tunnel() {
    let (mut browser, client) = duplex(64);
    let (upstream, mut server) = duplex(64);
    let (begun, idle) = (Instant::now(), Duration::from_millis(400));
    let running = tokio::spawn(carry(client, upstream, idle, HOUR, pending()));
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while begun.elapsed() < idle * 2 {
        ticks.tick().await;
        server.write_all(b"x").await.unwrap();
        browser.read_exact(&mut [0; 1]).await.unwrap();
    }
    assert!(!running.is_finished(), "it was never silent for so long");
    assert_eq!(running.await.unwrap(), TunnelEnd::Idle);
    assert_eq!(browser.read(&mut [0; 1]).await.unwrap(), 0);

    let (_browser, client) = duplex(64);
    let (upstream, _server) = duplex(64);
    assert_eq!(carry(client, upstream, HOUR, Duration::from_millis(20), pending()).await, TunnelEnd::Age);
}

/// What one side does not take is neither lost nor read in advance; the end of one is the end of both.
#[tokio::test]
async fn a_slow_reader_slows_the_writer() {
    let (mut browser, client) = duplex(16);
    let (upstream, mut server) = duplex(16);
    let running = tokio::spawn(carry(client, upstream, HOUR, HOUR, pending()));
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let writing = {
        let sent = sent.clone();
        tokio::spawn(async move {
            server.write_all(&sent).await.unwrap();
            server // its end comes when it is dropped
        })
    };
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert!(!writing.is_finished(), "nobody has read yet");
    let mut read = vec![0; sent.len()];
    browser.read_exact(&mut read).await.unwrap();
    assert!(read == sent);
    drop(writing.await.unwrap());
    assert_eq!(running.await.unwrap(), TunnelEnd::Closed);
    assert_eq!(browser.read(&mut [0; 1]).await.unwrap(), 0);
}

/// S-60: whoever holds the session says stop.
#[tokio::test]
async fn a_tunnel_stops_when_it_is_told() {
    let (mut browser, client) = duplex(16);
    let (upstream, _server) = duplex(16);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(carry(client, upstream, HOUR, HOUR, async {
        let _ = stopped.await;
    }));
    stop.send(()).unwrap();
    assert_eq!(browser.read(&mut [0; 1]).await.unwrap(), 0);
    drop(browser);
    assert_eq!(running.await.unwrap(), TunnelEnd::Stopped);
}

/// Lines that look like a handshake.
fn near_handshake() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let odd = vec![
        ("connection", "keep-alive, Upgrade"),
        ("connection", "close"),
        ("connection", "upgrade,authorization"),
        ("upgrade", "h2c"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "8"),
        ("sec-websocket-key", "c2hvcnQ="),
        ("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw=="),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-protocol", "a, b"),
        ("sec-websocket-protocol", "a b, \u{7f}"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec_websocket_key", KEY),
        ("sec-websocket-accept", "x"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("x-other", "y"),
    ];
    let kept = proptest::sample::subsequence(SOUND.to_vec(), 2..=4);
    let odd = proptest::collection::vec(proptest::sample::select(odd), 0..4);
    (kept, odd).prop_map(|(kept, odd)| kept.into_iter().chain(odd).collect::<Vec<_>>()).prop_shuffle()
}

proptest! {
    /// S-58: a handshake that passes is written anew with one reading, and it is the one that was judged.
    #[test]
    fn what_passes_is_written_with_one_meaning(lines in near_handshake()) {
        let sendable: Vec<_> =
            lines.into_iter().filter(|(_, value)| HeaderValue::from_str(value).is_ok()).collect();
        let Ok(Some(read)) = Handshake::read(&handshake(&sendable)) else { return Ok(()) };
        let count = |name: &str| sendable.iter().filter(|(n, _)| *n == name).count();
        for once in ["upgrade", "sec-websocket-key", "sec-websocket-version"] {
            prop_assert_eq!(count(once), 1, "{}", once);
        }
        for never in
            ["content-length", "transfer-encoding", "expect", "sec_websocket_key", "sec-websocket-accept"]
        {
            prop_assert_eq!(count(never), 0, "{}", never);
        }
        let mut written = Request::new(Empty::<&'static [u8]>::new());
        read.write(written.headers_mut());
        let headers = written.headers().clone();
        prop_assert!(headers.keys().all(|name| headers.get_all(name).iter().count() == 1));
        prop_assert!(!headers.contains_key("sec-websocket-extensions"));
        prop_assert_eq!(&headers["connection"], "Upgrade");
        let again = Handshake::read(&written).unwrap().unwrap();
        prop_assert_eq!(again.protocols(), read.protocols());
        prop_assert_eq!(&again.key, &read.key);
    }
}
