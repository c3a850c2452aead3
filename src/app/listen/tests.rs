//! Slow, silent and too many connections; the stream's timers run on a paused clock, sockets on loopback.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use http::StatusCode;
use ipnet::IpNet;
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex};

use super::*;
use crate::limit::client::TrustedProxies;

const ROOMY: Caps = Caps { connections: 1_000, per_network: 1_000, proxies: TrustedProxies::none() };

fn limits() -> Limits {
    Limits::default()
}

/// One end for the test, the other under watch with short limits.
fn watched() -> (DuplexStream, Watched<DuplexStream>, Work) {
    let limits = Limits { head: SHORT, idle: SHORT, stall: SHORT };
    let (ours, theirs) = duplex(64);
    let place = Door::new(ROOMY).enter([127, 0, 0, 1].into()).unwrap();
    let work = Work::default();
    (ours, Watched::new(theirs, work.clone(), limits, place), work)
}

const SHORT: Duration = Duration::from_millis(20);

/// Reads until the stream gives up.
async fn end_of(server: &mut Watched<DuplexStream>) -> io::ErrorKind {
    loop {
        match server.read(&mut [0; 16]).await {
            Ok(0) => panic!("the client went away"),
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => return error.kind(),
        }
    }
}

/// Fails instead of waiting for ever.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("it ends by itself")
}

/// Goes on for several times the limit: nothing ends it.
async fn goes_on<T>(work: impl Future<Output = T>) {
    assert!(tokio::time::timeout(SHORT * 4, work).await.is_err(), "nothing was to end this");
}

/// Writes without a pause until the other end is gone.
fn chatter(mut client: DuplexStream, first: &'static [u8]) {
    tokio::spawn(async move {
        let _ = client.write_all(first).await;
        while client.write_all(b"x").await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
}

/// S-95: a head that dribbles is cut when its time is up, however steadily it comes.
#[tokio::test]
async fn a_dribbling_head_is_cut() {
    let (client, mut server, _) = watched();
    chatter(client, b"GET");
    assert_eq!(soon(end_of(&mut server)).await, io::ErrorKind::TimedOut);
}

/// S-95: while a request is answered its body may take longer than a head; the next head is limited again.
#[tokio::test]
async fn a_body_is_no_head_and_the_next_head_is_one() {
    let (mut client, mut server, work) = watched();
    client.write_all(b"head").await.unwrap();
    server.read_exact(&mut [0; 4]).await.unwrap();
    let open = work.begin();
    client.write_all(b"body").await.unwrap();
    goes_on(end_of(&mut server)).await;
    drop(open);
    client.write_all(b"next head").await.unwrap();
    assert_eq!(soon(end_of(&mut server)).await, io::ErrorKind::TimedOut);
}

/// S-95: so is the silence after an answer.
#[tokio::test]
async fn silence_after_an_answer_ends_the_connection() {
    let (mut client, mut server, work) = watched();
    client.write_all(b"head").await.unwrap();
    server.read_exact(&mut [0; 4]).await.unwrap();
    drop(work.begin());
    assert_eq!(soon(end_of(&mut server)).await, io::ErrorKind::TimedOut);
}

/// S-95, S-97: on HTTP/2 frames come without requests; only requests keep the connection.
#[tokio::test]
async fn an_http2_connection_without_requests_ends() {
    let (client, mut server, work) = watched();
    chatter(client, b"PRI * HTTP/2.0");
    server.read_exact(&mut [0; 14]).await.unwrap();
    let open = work.begin();
    goes_on(end_of(&mut server)).await;
    drop(open);
    assert_eq!(soon(end_of(&mut server)).await, io::ErrorKind::TimedOut);
}

/// S-95: who does not read his answer is let go; who reads on is not, however long the answer.
#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let (mut client, mut server, _) = watched();
    let read_on = async { while client.read(&mut [0; 16]).await.is_ok() {} };
    let write_on = async { while server.write_all(&[0; 64]).await.is_ok() {} };
    goes_on(async { tokio::join!(read_on, write_on) }).await;
    let error = soon(async {
        loop {
            if let Err(error) = server.write_all(&[0; 64]).await {
                break error;
            }
        }
    });
    assert_eq!(error.await.kind(), io::ErrorKind::TimedOut);
}

/// S-97: places are counted in total and by network, proxies in the total alone, and come back.
#[test]
fn places_are_counted_and_come_back() {
    let proxies = TrustedProxies::new(["10.0.0.0/8".parse::<IpNet>().unwrap()]);
    let door = Door::new(Caps { connections: 5, per_network: 2, proxies });
    let enter = |address: &str| door.enter(address.parse().unwrap());
    let one = enter("2001:db8::1").unwrap();
    let _two = enter("2001:db8::2").unwrap();
    assert!(enter("2001:db8::3").is_none(), "one /64 is one network");
    let _proxies = [enter("10.0.0.1").unwrap(), enter("10.0.0.1").unwrap(), enter("10.0.0.1").unwrap()];
    assert!(enter("203.0.113.1").is_none(), "the total is reached");
    assert_eq!(door.entries(), (5, 1));
    drop(one);
    assert!(enter("2001:db8::3").is_some());
    drop((_two, _proxies));
    assert_eq!(door.entries(), (0, 0), "nobody is remembered who is not here");
}

struct Site {
    address: SocketAddr,
    listening: Listening,
}

fn site(caps: Caps, limits: Limits) -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route("/slow", get(async || Body::from_stream(futures_util::stream::pending::<io::Result<Bytes>>())))
        .route("/len", post(async |body: Bytes| body.len().to_string()));
    Site { address, listening: serve_with(listener, app, caps, limits).unwrap() }
}

/// What comes back for `request` until the connection ends.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await; // a reset after the answer is an end too
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> StatusCode {
    let code = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {answer:?}"));
    code.parse().unwrap()
}

/// S-96: a head of 100 fields passes and one of 101 does not; neither does one over 32 KiB.
#[tokio::test]
async fn heads_are_limited_in_fields_and_bytes() {
    let site = site(ROOMY, limits());
    let head = |fields: usize, size: usize| {
        let fields: String = (2..fields).map(|n| format!("x-{n}: {}\r\n", "v".repeat(size))).collect();
        format!("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}\r\n")
    };
    assert_eq!(status(&exchange(site.address, head(100, 1).as_bytes()).await), StatusCode::OK);
    let too_many = exchange(site.address, head(101, 1).as_bytes()).await;
    assert_eq!(status(&too_many), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let too_large = exchange(site.address, head(50, 1_000).as_bytes()).await;
    assert_eq!(status(&too_large), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

/// S-95: a connection that says nothing, half a head, or nothing more, is closed by us; a normal one is answered beside
/// them.
#[tokio::test]
async fn silent_connections_are_closed() {
    let site = site(ROOMY, Limits { head: SHORT * 50, idle: SHORT, stall: SHORT });
    let mut held = Vec::new();
    for begin in ["", "GET / HTTP/1.1\r\nhost: lo", "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        held.push(stream);
    }
    let answer =
        exchange(site.address, b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
    for mut stream in held {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await; // returns at all: the other end was closed
    }
}

/// S-97: beyond the cap the answer is 503 at once, and a place that comes free is given again.
#[tokio::test]
async fn beyond_the_cap_is_503() {
    let site = site(Caps { connections: 2, ..ROOMY }, limits());
    let hello = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut inside = Vec::new();
    for _ in 0..2 {
        let mut stream = BufReader::new(TcpStream::connect(site.address).await.unwrap());
        stream.write_all(hello).await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        assert_eq!(status(&line), StatusCode::OK);
        inside.push(stream);
    }
    let answer = exchange(site.address, hello).await;
    assert_eq!(status(&answer), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.contains("retry-after: 1"), "{answer}");
    drop(inside.pop());
    let again = async {
        while status(&exchange(site.address, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await)
            != StatusCode::OK
        {}
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
}

/// S-57: what hyper refuses before any handler: doubled lengths, length beside chunks, chunks in HTTP/1.0.
#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let site = site(ROOMY, limits());
    for head in [
        "POST /len HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST /len HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\na",
        "POST /len HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "POST /len HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n",
    ] {
        let answer = exchange(site.address, head.as_bytes()).await;
        assert_eq!(status(&answer), StatusCode::BAD_REQUEST, "{head:?}");
    }
}

/// A graceful end: an open answer has its time and not more, idle connections and new ones have none.
#[tokio::test]
async fn draining_waits_for_open_answers_and_not_for_ever() {
    let site = site(ROOMY, limits());
    let mut idle = BufReader::new(TcpStream::connect(site.address).await.unwrap());
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut open = BufReader::new(TcpStream::connect(site.address).await.unwrap());
    open.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut line = String::new();
    idle.read_line(&mut line).await.unwrap();
    open.read_line(&mut line).await.unwrap();
    let end = tokio::spawn(site.listening.drain(Duration::from_millis(100)));
    let mut rest = Vec::new();
    let _ = idle.read_to_end(&mut rest).await;
    assert!(rest.ends_with(b"hello"));
    end.await.unwrap().unwrap();
    let _ = open.read_to_end(&mut rest).await; // returns: it was closed when the time was up
    assert!(TcpStream::connect(site.address).await.is_err());
}
