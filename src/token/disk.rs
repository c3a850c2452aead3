//! The last good key set on disk, so that a restart during an outage signs nobody out (S-37).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use url::Url;

use super::strict;

/// Twice the longest key set, which leaves room for how JSON is written.
const MAX_LENGTH: u64 = 256 * 1024;

/// The file for one address.
#[derive(Debug, Clone)]
pub(super) struct KeptSet {
    path: PathBuf,
    url: String,
}

impl KeptSet {
    /// `jwks-<hash of the address>.json` in `dir`.
    pub(super) fn new(dir: &Path, url: &Url) -> Self {
        let hash = digest::digest(&digest::SHA256, url.as_str().as_bytes());
        let hex: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path: dir.join(format!("jwks-{hex}.json")), url: url.as_str().to_owned() }
    }

    /// The set and when it was fetched; `None` if there is none, it is of another address or not to be trusted.
    pub(super) fn load(&self) -> Option<(Map<String, Value>, OffsetDateTime)> {
        match self.read() {
            Ok(Some(bytes)) => self.parse(&bytes),
            Ok(None) => {
                tracing::warn!("the kept key set is not used: others than its owner can write it");
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "the kept key set cannot be read");
                None
            }
        }
    }

    /// `None` for a file that somebody else may have written: keys in it would make him whoever he likes.
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let file = File::open(&self.path)?;
        if file.metadata()?.mode() & 0o022 != 0 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(MAX_LENGTH).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn parse(&self, bytes: &[u8]) -> Option<(Map<String, Value>, OffsetDateTime)> {
        let mut kept = strict::object(bytes)?;
        if kept.get("url")?.as_str()? != self.url {
            return None;
        }
        let fetched = OffsetDateTime::from_unix_timestamp(kept.get("fetched_at")?.as_i64()?).ok()?;
        match kept.remove("set")? {
            Value::Object(set) => Some((set, fetched)),
            _ => None,
        }
    }

    /// Writes beside the file and renames: a reader sees the old set or the new one. Mode 0600. Blocks.
    pub(super) fn save(&self, set: &Map<String, Value>, fetched: OffsetDateTime) -> io::Result<()> {
        let kept = json!({ "url": self.url, "fetched_at": fetched.unix_timestamp(), "set": set });
        let beside = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let written =
            write(&beside, kept.to_string().as_bytes()).and_then(|()| fs::rename(&beside, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path); // left over from a crash, perhaps with another mode
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
