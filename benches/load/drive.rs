//! The load: connections that ask again as soon as they are answered, with as little work of their own as can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What one round brought.
pub struct Round {
    pub answers: usize,
    pub seconds: f64,
    /// Seconds that the server computed.
    pub cpu: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
impl Round {
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.seconds
    }

    pub fn per_cpu_second(&self) -> f64 {
        self.answers as f64 / self.cpu
    }

    pub fn busy(&self) -> f64 {
        self.cpu / self.seconds
    }
}

/// Sizes of one answer.
pub struct Answer {
    pub head: usize,
    pub body: usize,
}

/// What is asked, in turns that go on from round to round: one request again and again, or one of each of many people.
#[derive(Clone)]
pub struct Requests {
    all: Arc<[Box<[u8]>]>,
    asked: Arc<AtomicUsize>,
}

impl Requests {
    pub fn new(all: impl IntoIterator<Item = String>) -> Self {
        let all = all.into_iter().map(|request| request.into_bytes().into()).collect();
        Self { all, asked: Arc::default() }
    }

    /// Whether each of them was asked once.
    pub fn all_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) >= self.all.len()
    }

    fn next(&self) -> &[u8] {
        &self.all[self.asked.fetch_add(1, Ordering::Relaxed) % self.all.len()]
    }
}

impl From<String> for Requests {
    fn from(one: String) -> Self {
        Self::new([one])
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 32 << 10] })
    }

    /// One request, one answer, which must be a 200 with its length in front.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            filled += read;
            let text = &self.buffer[..filled];
            if let Some(answer) = parse(text)?
                && answer.head + answer.body <= filled
            {
                return Ok(answer);
            }
            if read == 0 {
                bail!("the connection was closed");
            }
        }
    }
}

fn parse(text: &[u8]) -> anyhow::Result<Option<Answer>> {
    let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&text[..end])?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("not a 200: {}", String::from_utf8_lossy(text));
    }
    let name = "content-length: ";
    let length =
        head.split("\r\n").find(|line| line.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)));
    let body = length.and_then(|line| line[name.len()..].parse().ok()).context("no length")?;
    Ok(Some(Answer { head: end + 4, body }))
}

/// One request on a connection of its own.
pub async fn once(port: u16, request: &str) -> anyhow::Result<Answer> {
    Connection::open(port).await?.ask(request.as_bytes()).await
}

/// Asks on `connections` connections for `length`; how many answers came.
pub async fn run(
    port: u16,
    requests: &Requests,
    connections: usize,
    length: Duration,
) -> anyhow::Result<usize> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(port).await?);
    }
    let deadline = tokio::time::Instant::now() + length;
    // This side never sleeps: no server pays for waking it, the slower one least of all.
    let awake = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let mut tasks = JoinSet::new();
    for mut connection in open {
        let requests = requests.clone();
        tasks.spawn(async move {
            let mut answers = 0;
            while tokio::time::Instant::now() < deadline {
                connection.ask(requests.next()).await?;
                answers += 1;
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = 0;
    while let Some(of_one) = tasks.join_next().await {
        answers += of_one??;
    }
    awake.abort();
    Ok(answers)
}
