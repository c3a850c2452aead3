//! One chromedriver for all browsers at a time: it starts with the first and ends with the last.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

static SHARED: Mutex<Weak<Driver>> = Mutex::new(Weak::new());

pub struct Driver {
    process: Child,
    port: u16,
    /// Kept open: a driver that cannot write its log would end.
    _log: BufReader<ChildStdout>,
}

impl Driver {
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let driver = Arc::new(Self::start());
            *shared = Arc::downgrade(&driver);
            driver
        })
    }

    fn start() -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "chromedriver does not start ({error}): install the packages chromium and chromium-driver"
                )
            });
        let mut log = BufReader::new(process.stdout.take().expect("its output is piped"));
        let port = port(&mut log).expect("chromedriver names the port it chose");
        Self { process, port, _log: log }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks it to end, which closes browsers that a broken story left behind.
    fn end(&self) -> std::io::Result<()> {
        let mut wire = TcpStream::connect(("127.0.0.1", self.port))?;
        wire.set_read_timeout(Some(Duration::from_secs(5)))?;
        wire.write_all(b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        wire.read_to_end(&mut Vec::new()).map(|_| ())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.end().is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// "ChromeDriver was started successfully on port 40123."
fn port(log: &mut impl BufRead) -> Option<u16> {
    log.lines().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    })
}
