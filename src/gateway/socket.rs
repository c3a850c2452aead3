//! WebSockets on their way to an upstream: the handshake (S-58), then bytes both ways until an end comes (S-60, S-61).
//!
//! What travels between browser and upstream is not looked at: frames are theirs. A tunnel at rest holds no buffer.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Error;
use super::headers::{Folded, trim};

/// No socket lives longer (S-60).
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3600);
/// Without a byte either way a socket ends after this, or after the upstream's own `idle` if that is longer (S-61).
pub(super) const IDLE: Duration = Duration::from_secs(90);
/// How long the connections may take to become a tunnel, and to say good-bye.
pub(super) const CHANGE: Duration = Duration::from_secs(10);
pub(super) const FAREWELL: Duration = Duration::from_secs(1);
/// Read at once, on the stack.
const PIECE: usize = 8 << 10;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("Upgrade");
const THIRTEEN: HeaderValue = HeaderValue::from_static("13");

/// A handshake that no WebSocket client sends: 400, before anybody else sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no WebSocket handshake of RFC 6455: {0}")]
pub struct BadHandshake(&'static str);

/// The handshake of a browser, judged (RFC 6455, section 4.2.1).
#[derive(Debug, Clone)]
pub struct Handshake {
    key: HeaderValue,
    protocols: Vec<String>,
}

impl Handshake {
    /// Whether `headers` ask for a WebSocket, soundly or not. An `Upgrade` to anything else is none.
    pub fn is_wanted(headers: &HeaderMap) -> bool {
        let upgrade = |value: &HeaderValue| contains(value.as_bytes(), b"websocket");
        headers.get_all(header::UPGRADE).iter().any(upgrade) || headers.keys().any(is_about_sockets)
    }

    /// The handshake in `request`; `None` if it asks for none.
    ///
    /// # Errors
    ///
    /// [`BadHandshake`] for any that two readers could understand in two ways.
    pub fn read<B: Body>(request: &Request<B>) -> Result<Option<Self>, BadHandshake> {
        let headers = request.headers();
        if !Self::is_wanted(headers) {
            return Ok(None);
        }
        let sound = |fits: bool, what| if fits { Ok(()) } else { Err(BadHandshake(what)) };
        sound(request.method() == Method::GET && request.version() == Version::HTTP_11, "GET of HTTP/1.1")?;
        let framed = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT];
        let bodiless =
            request.body().is_end_stream() && !framed.iter().any(|name| headers.contains_key(name));
        sound(bodiless, "a body")?;
        let upgrade = only(headers, &header::UPGRADE).ok_or(BadHandshake("Upgrade"))?;
        sound(upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"), "Upgrade")?;
        sound(connection_is_plain(headers), "Connection")?;
        let known = |name: &HeaderName| {
            let exact = ["key", "version", "protocol", "extensions"];
            name.as_str().strip_prefix("sec-websocket-").is_some_and(|rest| exact.contains(&rest))
        };
        sound(headers.keys().filter(|name| is_about_sockets(name)).all(known), "Sec-WebSocket-*")?;
        let version = only(headers, &header::SEC_WEBSOCKET_VERSION);
        sound(version.is_some_and(|version| version.as_bytes() == b"13"), "Sec-WebSocket-Version")?;
        let key = only(headers, &header::SEC_WEBSOCKET_KEY).ok_or(BadHandshake("Sec-WebSocket-Key"))?;
        let decoded = STANDARD.decode(key.as_bytes()).ok();
        sound(decoded.is_some_and(|bytes| bytes.len() == 16), "Sec-WebSocket-Key")?;
        let protocols = protocols(headers).ok_or(BadHandshake("Sec-WebSocket-Protocol"))?;
        Ok(Some(Self { key: key.clone(), protocols }))
    }

    /// Writes the handshake anew, after everything that the browser said about the connection was removed. No extension is
    /// asked for (S-61).
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, WEBSOCKET);
        headers.insert(header::SEC_WEBSOCKET_VERSION, THIRTEEN);
        headers.insert(header::SEC_WEBSOCKET_KEY, self.key.clone());
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        if let Ok(protocols) = HeaderValue::try_from(self.protocols.join(", "))
            && !protocols.is_empty()
        {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols);
        }
    }

    /// The subprotocols that were offered, in their order.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// The head that accepts the handshake, with the subprotocol that was chosen.
    pub fn accept<B: Default>(&self, protocol: Option<HeaderValue>) -> Response<B> {
        let mut answer = Response::new(B::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(header::CONNECTION, UPGRADE);
        headers.insert(header::UPGRADE, WEBSOCKET);
        if let Ok(accept) = HeaderValue::try_from(derive_accept_key(self.key.as_bytes())) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(protocol) = protocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        answer
    }

    /// Judges the upstream's 101: the right accept value, nothing that was not offered. The subprotocol that it chose.
    ///
    /// # Errors
    ///
    /// [`Error::UpstreamFailed`]: not a byte of the client goes there.
    pub(super) fn judge(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Error> {
        let accept = only(headers, &header::SEC_WEBSOCKET_ACCEPT);
        let upgrade = only(headers, &header::UPGRADE);
        let chosen: Vec<&HeaderValue> = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().collect();
        let offered =
            |value: &HeaderValue| self.protocols.iter().any(|one| one.as_bytes() == value.as_bytes());
        let sound = accept
            .is_some_and(|value| value.as_bytes() == derive_accept_key(self.key.as_bytes()).as_bytes())
            && upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
            && !headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS)
            && chosen.len() <= 1
            && chosen.iter().all(|value| offered(value));
        if sound {
            Ok(chosen.first().map(|value| (*value).clone()))
        } else {
            Err(Error::UpstreamFailed(None))
        }
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|piece| piece.eq_ignore_ascii_case(word))
}

fn is_about_sockets(name: &HeaderName) -> bool {
    Folded::new(name.as_str()).as_bytes().starts_with(b"sec-websocket-")
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?;
    all.next().is_none().then_some(value)
}

/// `Upgrade` and, as Firefox has it, `keep-alive`: no header that a reader further on would have to drop.
fn connection_is_plain(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::CONNECTION).iter();
    let options: Vec<&[u8]> =
        lines.flat_map(|line| line.as_bytes().split(|b| *b == b',')).map(trim).collect();
    let upgrades = options.iter().filter(|option| option.eq_ignore_ascii_case(b"upgrade")).count();
    let others = options.iter().filter(|option| option.eq_ignore_ascii_case(b"keep-alive")).count();
    upgrades == 1 && upgrades + others == options.len()
}

/// Every subprotocol, each once; `None` if one is no token.
fn protocols(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    for line in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        for word in line.to_str().ok()?.split(',').map(str::trim) {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if word.is_empty() || !word.bytes().all(token) || all.iter().any(|known| known == word) {
                return None;
            }
            all.push(word.to_owned());
        }
    }
    Some(all)
}

/// The upstream's half of a socket, in the extensions of the 101 that the gateway answers with.
#[derive(Debug, Clone)]
pub struct UpstreamHalf {
    pub(super) upgraded: OnUpgrade,
    pub(super) idle: Duration,
}

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelEnd {
    /// One of the two closed its connection, or it broke.
    Closed,
    /// Nothing was said for too long.
    Idle,
    /// It was as old as a socket may get.
    Age,
    /// `stop` said so.
    Stopped,
}

/// Carries bytes between `client` and `upstream` until one of them ends, nothing is said for too long, or `stop` is ready.
/// Either's end is the end of both.
pub async fn tunnel(client: OnUpgrade, upstream: UpstreamHalf, stop: impl Future<Output = ()>) -> TunnelEnd {
    let idle = upstream.idle.max(IDLE);
    let both = async { tokio::try_join!(client, upstream.upgraded) };
    match timeout(CHANGE, both).await {
        Ok(Ok((client, upstream))) => {
            carry(TokioIo::new(client), TokioIo::new(upstream), idle, LIFE, stop).await
        }
        Ok(Err(_)) | Err(_) => TunnelEnd::Closed,
    }
}

async fn carry<C, U>(
    mut client: C,
    mut upstream: U,
    idle: Duration,
    life: Duration,
    stop: impl Future<Output = ()>,
) -> TunnelEnd
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let end = {
        let mut lanes = Lanes {
            client: &mut client,
            upstream: &mut upstream,
            up: Lane::default(),
            down: Lane::default(),
        };
        let mut stop = pin!(stop);
        let mut age = pin!(tokio::time::sleep(life));
        let mut silence = pin!(tokio::time::sleep(idle));
        let mut heard = Instant::now();
        std::future::poll_fn(|cx| {
            let (moved, ended) = lanes.poll(cx);
            if moved {
                heard = Instant::now();
            }
            if ended {
                return Poll::Ready(TunnelEnd::Closed);
            }
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(TunnelEnd::Stopped);
            }
            if age.as_mut().poll(cx).is_ready() {
                return Poll::Ready(TunnelEnd::Age);
            }
            // The timer is not moved along with every byte: it looks when it goes off.
            while silence.as_mut().poll(cx).is_ready() {
                if heard + idle <= silence.deadline() {
                    return Poll::Ready(TunnelEnd::Idle);
                }
                silence.as_mut().reset(heard + idle);
            }
            Poll::Pending
        })
        .await
    };
    let farewell = async {
        let _ = tokio::join!(client.shutdown(), upstream.shutdown());
        // Bytes that nobody reads would turn our end into a reset, and lose what the browser has not read yet.
        while client.read(&mut [0; 256]).await.is_ok_and(|read| read > 0) {}
    };
    let _ = timeout(FAREWELL, farewell).await;
    end
}

/// Both directions.
struct Lanes<'a, C, U> {
    client: &'a mut C,
    upstream: &'a mut U,
    up: Lane,
    down: Lane,
}

impl<C, U> Lanes<'_, C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    /// Whether anything moved, and whether it is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> (bool, bool) {
        let mut moved = false;
        let down = self.down.poll(cx, &mut *self.upstream, &mut *self.client, &mut moved);
        let up = self.up.poll(cx, &mut *self.client, &mut *self.upstream, &mut moved);
        (moved, down.is_ready() || up.is_ready())
    }
}

/// One direction. Bytes are kept only while the other side does not take them; nothing more is read meanwhile.
#[derive(Default)]
struct Lane {
    waiting: Vec<u8>,
    unflushed: bool,
}

impl Lane {
    /// Ready once `from` has ended, or either broke.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut from: &mut R,
        mut to: &mut W,
        moved: &mut bool,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if !self.waiting.is_empty() {
                let taken = ready!(Pin::new(&mut to).poll_write(cx, &self.waiting))?;
                if taken == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                *moved = true;
                self.unflushed = true;
                self.waiting.drain(..taken);
                continue;
            }
            self.waiting = Vec::new();
            let mut space = [const { MaybeUninit::uninit() }; PIECE];
            let mut piece = ReadBuf::uninit(&mut space);
            match Pin::new(&mut from).poll_read(cx, &mut piece) {
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(&mut to).poll_flush(cx))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
                Poll::Ready(read) => read?,
            }
            let bytes = piece.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            *moved = true;
            let taken = match Pin::new(&mut to).poll_write(cx, bytes) {
                Poll::Ready(taken) => taken?,
                Poll::Pending => 0,
            };
            self.unflushed |= taken > 0;
            self.waiting = bytes[taken..].to_vec();
        }
    }
}

#[cfg(test)]
mod tests;
