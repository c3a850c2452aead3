//! A real Redis for the measuring programs, on a free port of loopback; nothing of it outlives the run.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use tokio::net::TcpStream;

use crate::rig::{Process, free_port};

/// The server.
pub struct Redis {
    _process: Process,
    address: SocketAddr,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let port = address.port().to_string();
        let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let process = Process::start("redis-server", &arguments, &[], folder, None)?;
        let mut tries = 0;
        while let Err(error) = TcpStream::connect(address).await {
            ensure!(tries < 400, "redis-server does not start: {error}");
            tries += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Self { _process: process, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// `BFF_SESSION_STORE` for the Redis that is reached at `address`.
pub fn setting(address: SocketAddr) -> (&'static str, String) {
    ("BFF_SESSION_STORE", format!("redis://{address}/0"))
}
