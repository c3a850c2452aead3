//! The wire between the BFF and the auth server: counts refreshes, and can keep the answer to one back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const REFRESH: &[u8] = b"grant_type=refresh_token";

/// A listener that passes bytes on to the auth server, while that is there.
#[derive(Clone)]
pub struct Tap(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    to: SocketAddr,
    refreshes: AtomicUsize,
    hold: AtomicBool,
    held: Notify,
}

impl Tap {
    /// A tap in front of `to`.
    pub async fn start(to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let tap = Self(Arc::new(Inner {
            address: listener.local_addr()?,
            to,
            refreshes: AtomicUsize::new(0),
            hold: AtomicBool::new(false),
            held: Notify::new(),
        }));
        let inner = tap.0.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(inner.clone().pass(stream));
            }
        });
        Ok(tap)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Refreshes that the BFF asked for so far, whether they were answered or not.
    pub fn refreshes(&self) -> usize {
        self.0.refreshes.load(Ordering::SeqCst)
    }

    /// The answer to the next refresh goes nowhere; [`held`](Self::held) tells when it is there.
    pub fn hold_next(&self) {
        self.0.hold.store(true, Ordering::SeqCst);
    }

    /// Returns once the auth server has answered the refresh that is held: it has rotated the token by then.
    pub async fn held(&self) {
        self.0.held.notified().await;
    }
}

impl Inner {
    /// Whether `bytes` ask for a refresh. One request is one write of the client's: its head is never cut in two here.
    fn count(&self, bytes: &[u8]) -> bool {
        let asks = bytes.windows(REFRESH.len()).any(|part| part == REFRESH);
        if asks {
            self.refreshes.fetch_add(1, Ordering::SeqCst);
        }
        asks
    }

    async fn pass(self: Arc<Self>, mut near: TcpStream) {
        let (mut asked, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let Ok(mut far) = TcpStream::connect(self.to).await else {
            // No auth server: the connection ends before a byte is answered. What was asked for is counted.
            if let Ok(read) = near.read(&mut asked).await {
                self.count(&asked[..read]);
            }
            return;
        };
        let mut holds = false;
        loop {
            tokio::select! {
                read = near.read(&mut asked) => {
                    let Ok(read @ 1..) = read else { return };
                    let bytes = &asked[..read];
                    if self.count(bytes) {
                        holds = self.hold.swap(false, Ordering::SeqCst);
                    }
                    if far.write_all(bytes).await.is_err() {
                        return;
                    }
                }
                read = far.read(&mut answered) => {
                    let Ok(read @ 1..) = read else { return };
                    if holds {
                        self.held.notify_one();
                    } else if near.write_all(&answered[..read]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
