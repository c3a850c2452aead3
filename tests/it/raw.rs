//! Requests byte by byte, for what no client library sends.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// Sends `bytes` to `base` and reads until the server closes.
pub async fn send(base: &str, bytes: impl AsRef<[u8]>) -> RawAnswer {
    let (_, authority) = base.split_once("://").unwrap();
    let authority = authority.replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(authority).await.unwrap();
    // The server may refuse and close before everything is written.
    let _ = stream.write_all(bytes.as_ref()).await;
    let mut answer = Vec::new();
    // A server that still waits for more is told that nothing will come.
    if tokio::time::timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await.is_err() {
        let _ = stream.shutdown().await;
        let rest = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
        let _ = rest.expect("the server closes the connection");
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let count = text.matches("HTTP/1.1 ").count();
    RawAnswer { status, count, text }
}
