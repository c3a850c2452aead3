//! HTTP as plain as it gets: one connection, one request at a time, and what its answer says about the session.

use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any answer of the program may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
pub struct Reply {
    pub status: u16,
    /// It ends the session: 401, `X-Session-Ended`, or a session cookie that is taken away.
    pub ends: bool,
    pub body: String,
}

impl Connection {
    pub async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 32 << 10] })
    }

    /// One request and its answer, which must have its length in front.
    pub async fn ask(&mut self, request: &str) -> anyhow::Result<Reply> {
        tokio::time::timeout(PATIENCE, self.asked(request)).await.context("no answer within 60 s")?
    }

    async fn asked(&mut self, request: &str) -> anyhow::Result<Reply> {
        self.stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            anyhow::ensure!(read > 0, "the connection was closed");
            filled += read;
            if let Some(reply) = parse(&self.buffer[..filled])? {
                return Ok(reply);
            }
        }
    }
}

fn parse(text: &[u8]) -> anyhow::Result<Option<Reply>> {
    let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = str::from_utf8(&text[..end])?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status")?;
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = match length {
        Some(length) => length.parse()?,
        None => 0, // 204
    };
    let Some(body) = text.get(end + 4..end + 4 + length) else { return Ok(None) };
    let cleared = |line: &str| line.starts_with("set-cookie: sb_session") && line.contains("max-age=0");
    let ends =
        status == 401 || head.split("\r\n").any(|line| line.starts_with("x-session-ended:") || cleared(line));
    Ok(Some(Reply { status, ends, body: String::from_utf8_lossy(body).into_owned() }))
}

/// A GET by the page's script at the site `host`, with `credential`, a header line such as `Cookie: …`.
pub fn get(path: &str, host: &str, credential: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nX-CSRF: 1\r\n\
         Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n{credential}\r\n\r\n"
    )
}
