//! The socket of Supabase Realtime: it ends here, and another one begins. The browser's frames get the token that it does not
//! have, new tokens are pushed to every channel, and no token comes back (S-59, S-60, S-61).

mod frames;

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use base::secret::Secret;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::socket::{CHANGE, FAREWELL, IDLE, LIFE, UpstreamHalf};
use frames::{Channels, Refused};

pub use frames::Protocol;

/// The longest message, in bytes.
const MESSAGE: usize = 1 << 20;
/// How often the browser is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);
/// Room for what is read at once, of each of the two sockets.
const READ: usize = 4 << 10;

/// What is waited with, so that a story of twelve hours takes no time.
trait Timer: Send + Sync {
    /// Ready after `time`, counted from the first look at it.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// The clock of the process.
struct Real;

impl Timer for Real {
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }
}

/// One end of either socket.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// The last word on a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// As RFC 6455 section 7.4 and the list of this product have them.
    pub code: u16,
    /// A word for whoever looks.
    pub why: Cow<'static, str>,
}

impl Close {
    /// `code` with a word that is known in advance.
    pub const fn new(code: u16, why: &'static str) -> Self {
        Self { code, why: Cow::Borrowed(why) }
    }

    fn of(refused: Refused) -> Self {
        match refused {
            Refused::Malformed => Self::new(1007, "malformed"),
            Refused::SomebodyElse => Self::new(4401, "session_changed"),
            Refused::TooMany => Self::new(1013, "too_many_channels"),
        }
    }

    /// What the other side said, as far as it may be passed on.
    fn passed_on(frame: Option<CloseFrame>) -> Self {
        let usual = Self::new(1000, "closed");
        let Some(frame) = frame.filter(|frame| frame.code.is_allowed()) else { return usual };
        Self { code: frame.code.into(), why: Cow::Owned(frame.reason.as_str().to_owned()) }
    }

    fn message(&self) -> Message {
        Message::Close(Some(CloseFrame {
            code: CloseCode::from(self.code),
            reason: self.why.as_ref().into(),
        }))
    }
}

/// What one socket is about.
pub struct Line<J> {
    /// How messages are written.
    pub protocol: Protocol,
    /// The token that goes into frames; a new one is pushed.
    pub token: watch::Receiver<Secret<String>>,
    /// Whether the token that a frame brought means somebody else than whoever this socket belongs to.
    pub means_another: J,
}

/// Relays between `client` and `upstream` until one of them ends, `stop` says so, or a limit is met; how it ended.
pub async fn relay<J>(
    client: OnUpgrade,
    upstream: UpstreamHalf,
    line: Line<J>,
    stop: impl Future<Output = Close>,
) -> Close
where
    J: Fn(&str) -> bool + Send + Sync,
{
    let both = async { tokio::try_join!(client, upstream.upgraded) };
    let Ok(Ok((client, upstream))) = timeout(CHANGE, both).await else { return Close::new(1006, "broken") };
    let client = open(TokioIo::new(client), Role::Server).await;
    let upstream = open(TokioIo::new(upstream), Role::Client).await;
    between(client, upstream, line, stop, &Real).await
}

async fn open<T: Io>(io: T, role: Role) -> WebSocketStream<T> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MESSAGE)
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE))
        .accept_unmasked_frames(false);
    WebSocketStream::from_raw_socket(io, role, Some(config)).await
}

async fn between<C: Io, U: Io, J>(
    client: WebSocketStream<C>,
    upstream: WebSocketStream<U>,
    line: Line<J>,
    stop: impl Future<Output = Close>,
    timer: &impl Timer,
) -> Close
where
    J: Fn(&str) -> bool + Send + Sync,
{
    let (mut to_client, mut from_client) = client.split();
    let (mut to_upstream, mut from_upstream) = upstream.split();
    let Line { protocol, mut token, means_another } = line;
    let first = token.borrow_and_update().clone();
    let channels = std::sync::Mutex::new(Channels::new(protocol, first));
    let close = tokio::select! {
        biased;
        close = stop => close,
        () = timer.sleep(LIFE) => Close::new(1001, "age"),
        close = up(&mut from_client, &mut to_upstream, &channels, token, &means_another, timer) => close,
        close = down(&mut from_upstream, &mut to_client, &channels, timer) => close,
    };
    let farewell = async {
        let away = Close::new(1000, "closed").message();
        let _ = tokio::join!(to_client.send(close.message()), to_upstream.send(away));
        while let Some(Ok(_)) = from_client.next().await {}
    };
    tokio::select! {
        () = farewell => {}
        () = timer.sleep(FAREWELL) => {}
    }
    close
}

type Shared<'a> = &'a std::sync::Mutex<Channels>;

fn lock(channels: Shared<'_>) -> std::sync::MutexGuard<'_, Channels> {
    channels.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Why a message did not go out.
enum Unsent {
    /// Nobody took it for as long as silence may last. Nothing more was read for it meanwhile: one message waits, not many.
    Slow,
    /// The connection is gone.
    Gone,
}

async fn send<T: Io>(
    to: &mut SplitSink<WebSocketStream<T>, Message>,
    message: Message,
    timer: &impl Timer,
) -> Result<(), Unsent> {
    tokio::select! {
        biased;
        sent = to.send(message) => sent.map_err(|_| Unsent::Gone),
        () = timer.sleep(IDLE) => Err(Unsent::Slow),
    }
}

/// From the browser to Realtime.
async fn up<C: Io, U: Io>(
    client: &mut SplitStream<WebSocketStream<C>>,
    upstream: &mut SplitSink<WebSocketStream<U>, Message>,
    channels: Shared<'_>,
    mut token: watch::Receiver<Secret<String>>,
    means_another: &(dyn Fn(&str) -> bool + Send + Sync),
    timer: &impl Timer,
) -> Close {
    let mut silence = pin!(timer.sleep(IDLE));
    loop {
        let message = tokio::select! {
            biased;
            Ok(()) = token.changed() => {
                let newer = token.borrow_and_update().clone();
                let pushed = lock(channels).renew(newer);
                for text in pushed {
                    if send(upstream, Message::text(text), timer).await.is_err() {
                        return Close::new(1011, "upstream");
                    }
                }
                continue;
            }
            message = client.next() => message,
            () = silence.as_mut() => return Close::new(1001, "idle"),
        };
        let message = match message {
            None => return Close::new(1001, "gone"),
            Some(Err(error)) => return fault(&error, Close::new(1001, "gone")),
            Some(Ok(message)) => message,
        };
        let onwards = match message {
            Message::Text(text) => match lock(channels).upward(&text, means_another) {
                Ok(None) => Some(Message::Text(text)),
                Ok(Some(other)) => Some(Message::text(other)),
                Err(refused) => return Close::of(refused),
            },
            Message::Binary(bytes) if Channels::passes(&bytes) => Some(Message::Binary(bytes)),
            Message::Binary(_) => return Close::of(Refused::Malformed),
            Message::Close(frame) => return Close::passed_on(frame),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None, // answered by the protocol itself
        };
        if let Some(onwards) = onwards
            && send(upstream, onwards, timer).await.is_err()
        {
            return Close::new(1011, "upstream");
        }
        silence.set(timer.sleep(IDLE));
    }
}

/// From Realtime to the browser.
async fn down<C: Io, U: Io>(
    upstream: &mut SplitStream<WebSocketStream<U>>,
    client: &mut SplitSink<WebSocketStream<C>, Message>,
    channels: Shared<'_>,
    timer: &impl Timer,
) -> Close {
    let mut pause = pin!(timer.sleep(PING));
    loop {
        let message = tokio::select! {
            message = upstream.next() => message,
            () = pause.as_mut() => {
                pause.set(timer.sleep(PING));
                Some(Ok(Message::Ping(Default::default())))
            }
        };
        let message = match message {
            None => return Close::new(1011, "upstream"),
            Some(Err(error)) => return fault(&error, Close::new(1011, "upstream")),
            Some(Ok(message)) => message,
        };
        let onwards = match message {
            Message::Text(text) => match lock(channels).downward(&text) {
                None => Message::Text(text),
                Some(cleaned) => Message::text(cleaned),
            },
            Message::Binary(bytes) if lock(channels).holds_token(&bytes) => {
                tracing::warn!("a frame of Realtime that holds a token was dropped");
                continue;
            }
            Message::Close(frame) => {
                let close = Close::passed_on(frame);
                let clean = lock(channels).downward(&close.why).is_none();
                return if clean { close } else { Close { why: Cow::Borrowed("closed"), ..close } };
            }
            Message::Ping(data) if !data.is_empty() => continue, // answered by the protocol itself
            Message::Pong(_) | Message::Frame(_) => continue,
            ours @ (Message::Binary(_) | Message::Ping(_)) => ours,
        };
        match send(client, onwards, timer).await {
            Ok(()) => {}
            Err(Unsent::Slow) => return Close::new(1013, "too_slow"),
            Err(Unsent::Gone) => return Close::new(1001, "gone"),
        }
    }
}

/// What a broken rule of the protocol is answered with.
fn fault(error: &Error, other: Close) -> Close {
    match error {
        Error::Capacity(_) => Close::new(1009, "too_large"),
        Error::Protocol(_) => Close::new(1002, "protocol"),
        Error::Utf8(_) => Close::new(1007, "malformed"),
        _ => other,
    }
}

#[cfg(test)]
mod tests;
