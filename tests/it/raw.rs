//! Requests byte by byte, for what no client library sends.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tap::bounded;

/// What came back before the server closed.
#[derive(Debug)]
pub struct RawAnswer {
    /// The first status; 0 if there was none.
    pub status: u16,
    /// How many answers came.
    pub count: usize,
    pub text: String,
}

impl RawAnswer {
    /// The value of the header `name` of the first answer.
    pub fn header(&self, name: &str) -> &str {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
            .unwrap_or_default()
    }
}

/// Sends `bytes` to `base` and reads until the server closes, which it does in its own time.
pub async fn send(base: &str, bytes: impl AsRef<[u8]>) -> RawAnswer {
    let mut stream = sent(base, bytes.as_ref()).await;
    end_of(&mut stream, Vec::new()).await
}

/// Sends `bytes` to `base` and breaks off: nothing more will come.
pub async fn send_and_leave(base: &str, bytes: impl AsRef<[u8]>) -> RawAnswer {
    let mut stream = sent(base, bytes.as_ref()).await;
    let _ = stream.shutdown().await;
    end_of(&mut stream, Vec::new()).await
}

/// Sends `bytes` to `base` and breaks off once there is a whole answer, as long as it says: the server may keep the
/// connection.
pub async fn send_for_one(base: &str, bytes: impl AsRef<[u8]>) -> RawAnswer {
    let mut stream = sent(base, bytes.as_ref()).await;
    let mut begin = Vec::new();
    bounded("an answer", async {
        while !is_whole(&begin) && stream.read_buf(&mut begin).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    let _ = stream.shutdown().await;
    end_of(&mut stream, begin).await
}

/// Sends each of `requests`, after which the server closes, on a connection of its own: all at once, when every connection is
/// there. How many may wait to be accepted is the system's affair. The status of each.
pub async fn send_at_once(base: &str, requests: &[String]) -> Vec<u16> {
    let connections = stream::iter(requests).map(|_| connected(base)).buffered(32).collect::<Vec<_>>().await;
    let answers = connections.into_iter().zip(requests).map(|(mut stream, request)| async move {
        stream.write_all(request.as_bytes()).await.unwrap();
        end_of(&mut stream, Vec::new()).await.status
    });
    join_all(answers).await
}

async fn connected(base: &str) -> TcpStream {
    let (_, authority) = base.split_once("://").unwrap();
    TcpStream::connect(authority.replace("localhost", "127.0.0.1")).await.unwrap()
}

async fn sent(base: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = connected(base).await;
    // The server may refuse and close before everything is written.
    let _ = stream.write_all(bytes).await;
    stream
}

/// Whether there is a head, and a body of the length that it tells.
fn is_whole(begin: &[u8]) -> bool {
    let text = String::from_utf8_lossy(begin);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

async fn end_of(stream: &mut TcpStream, mut answer: Vec<u8>) -> RawAnswer {
    let _ = bounded("the end of the connection", stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let count = text.matches("HTTP/1.1 ").count();
    RawAnswer { status, count, text }
}
