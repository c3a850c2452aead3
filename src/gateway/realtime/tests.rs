//! How long a socket of Realtime lives and how much of it waits (S-60, S-61), on a clock that the story moves.

use std::future::pending;

use serde_json::json;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};

use super::*;

/// Time stands still until the story moves it.
#[derive(Clone)]
struct Hand(watch::Sender<Duration>);

impl Hand {
    fn advance(&self, seconds: u64) {
        self.0.send_modify(|now| *now += Duration::from_secs(seconds));
    }
}

impl Timer for Hand {
    async fn sleep(&self, time: Duration) {
        let mut now = self.0.subscribe();
        let until = *now.borrow() + time;
        let _ = now.wait_for(|now| *now >= until).await;
    }
}

type Side = WebSocketStream<DuplexStream>;

/// A browser and a Realtime with the relay between them, whose connections hold so many bytes.
struct Talk {
    browser: Side,
    realtime: Side,
    clock: Hand,
    stop: Option<oneshot::Sender<Close>>,
    running: JoinHandle<Close>,
}

async fn relayed(room: usize) -> Talk {
    let ((browser, client), (upstream, realtime)) = (duplex(room), duplex(room));
    let browser = WebSocketStream::from_raw_socket(browser, Role::Client, None).await;
    let realtime = WebSocketStream::from_raw_socket(realtime, Role::Server, None).await;
    let (clock, (stop, stopped)) = (Hand(watch::Sender::default()), oneshot::channel());
    let timer = clock.clone();
    let running = tokio::spawn(async move {
        let (client, upstream) = (open(client, Role::Server).await, open(upstream, Role::Client).await);
        let (_tokens, token) = watch::channel(Secret::new("own-token".to_owned()));
        let line = Line { protocol: Protocol::Arrays, token, means_another: |_: &str| false };
        let stop = async {
            match stopped.await {
                Ok(close) => close,
                Err(_) => pending().await,
            }
        };
        between(client, upstream, line, stop, &timer).await
    });
    Talk { browser, realtime, clock, stop: Some(stop), running }
}

fn message(text: &str) -> Message {
    Message::text(json!(["1", null, "realtime:room", "broadcast", { "x": text }]).to_string())
}

/// What comes at once or never.
async fn bounded<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("it comes")
}

async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

impl Talk {
    /// What the browser hears next.
    async fn hears(&mut self) -> Message {
        bounded(self.browser.next()).await.expect("a frame").expect("a sound frame")
    }

    /// A message each way, so that both directions have been at work.
    async fn talk(&mut self) {
        self.browser.send(message("up")).await.unwrap();
        while !self.realtime.next().await.unwrap().unwrap().is_text() {}
        self.realtime.send(message("down")).await.unwrap();
        while !self.hears().await.is_text() {}
    }

    /// The code and the word with which the browser is told.
    async fn close(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(Some(frame)) = self.hears().await {
                return (frame.code.into(), frame.reason.as_str().to_owned());
            }
        }
    }
}

/// S-61: a ping every 30 seconds, and no sooner; whoever answers none for 90 is gone.
#[tokio::test]
async fn a_silent_browser_is_asked_and_then_let_go() {
    let mut line = relayed(4 << 10).await;
    line.talk().await;
    line.clock.advance(29);
    line.realtime.send(message("between")).await.unwrap();
    assert!(line.hears().await.is_text(), "no ping so soon");
    for _ in 0..10 {
        line.clock.advance(1);
        assert!(line.hears().await.is_ping());
        line.browser.flush().await.unwrap(); // the answer of the protocol
        settle().await;
        line.clock.advance(29);
        settle().await;
        assert!(!line.running.is_finished(), "who answers stays");
    }
    line.clock.advance(1);
    settle().await;
    // Nobody reads or answers any more; it is a minute and a half since the last answer then.
    line.clock.advance(59);
    settle().await;
    assert!(!line.running.is_finished(), "not before its time");
    line.clock.advance(30);
    settle().await;
    assert_eq!(line.close().await, (1001, "idle".to_owned()));
    drop(line.browser);
    assert_eq!(bounded(line.running).await.unwrap(), Close::new(1001, "idle"));
}

/// S-60: however lively, no socket gets older than twelve hours.
#[tokio::test]
async fn a_socket_ends_after_twelve_hours() {
    let mut line = relayed(4 << 10).await;
    line.talk().await;
    for _ in 0..12 * 60 {
        line.talk().await;
        assert!(!line.running.is_finished());
        line.clock.advance(60);
    }
    assert_eq!(line.close().await, (1001, "age".to_owned()));
}

/// S-61: whoever does not read holds up one message and not a queue of them, is told nothing of it upstream, and does not keep
/// his place by talking.
#[tokio::test]
async fn a_browser_that_does_not_read_holds_one_message() {
    let mut line = relayed(4 << 10).await;
    line.talk().await;
    let large = message(&"x".repeat(MESSAGE - 100));
    let sent = watch::Sender::new(0);
    let (mut realtime, counted) = (line.realtime, sent.clone());
    let talking = tokio::spawn(async move {
        while realtime.send(large.clone()).await.is_ok() {
            counted.send_modify(|count| *count += 1);
        }
    });
    settle().await;
    sent.subscribe().wait_for(|count| *count >= 1).await.unwrap();
    for _ in 0..8 {
        settle().await;
        line.clock.advance(10);
        line.browser.feed(message("still here")).await.unwrap();
        let _ = futures_util::FutureExt::now_or_never(line.browser.flush());
    }
    settle().await;
    assert!(*sent.borrow() <= 2, "{} MiB were taken for nobody", *sent.borrow());
    assert!(!line.running.is_finished());
    line.clock.advance(10);
    settle().await;
    line.clock.advance(1); // the farewell is not read either
    assert_eq!(bounded(line.running).await.unwrap(), Close::new(1013, "too_slow"));
    bounded(talking).await.unwrap();
}

/// S-61: a Realtime that does not read ends the socket too, instead of letting the browser's messages wait for ever.
#[tokio::test]
async fn a_realtime_that_does_not_read_ends_the_socket() {
    let mut line = relayed(4 << 10).await;
    line.talk().await;
    line.browser.send(message(&"x".repeat(64 << 10))).await.unwrap();
    settle().await;
    line.clock.advance(90);
    assert_eq!(line.close().await, (1011, "upstream".to_owned()));
}

/// S-60: the end of a session does not wait for a browser that does not read.
#[tokio::test]
async fn an_end_comes_to_whoever_does_not_read() {
    let mut line = relayed(4 << 10).await;
    line.talk().await;
    let mut realtime = line.realtime;
    let talking =
        tokio::spawn(async move { while realtime.send(message(&"x".repeat(64 << 10))).await.is_ok() {} });
    settle().await;
    line.stop.take().unwrap().send(Close::new(4401, "user")).unwrap();
    settle().await;
    line.clock.advance(1);
    assert_eq!(bounded(line.running).await.unwrap(), Close::new(4401, "user"));
    bounded(talking).await.unwrap();
}
