//! The keys that seal cookies: given in `BFF_SESSION_KEYS`, or made once and kept in the data folder.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base::entropy::Entropy;
use base::seal::{BadKey, KeyId, Keyring, MasterKey};
use base::secret::Secret;
use base::vars::{self, Problems, REDACTED, Vars};

use super::network::Network;

const NAME: &str = "BFF_SESSION_KEYS";

/// `BFF_SESSION_KEYS`, or where they are made.
#[derive(Debug, Clone)]
pub enum SessionKeys {
    /// The first seals, all open.
    Given {
        /// At least one.
        keys: Vec<MasterKey>,
        /// An earlier start made them and kept them in the data folder.
        made_here: bool,
    },
    /// None yet: the start makes one and keeps it in this file.
    ToMake(PathBuf),
}

impl SessionKeys {
    /// Reads the keys. They may be missing where the site is on loopback: then a file of the data folder holds them.
    /// Faults: BFF-COOKIE-001 for a missing or malformed key, BFF-COOKIE-002 for a sample or doubled one (S-87).
    pub(super) fn read(vars: &dyn Vars, network: &Network, problems: &mut Problems) -> Option<Self> {
        if vars.get(NAME).is_some() || vars.get("BFF_SESSION_KEYS_FILE").is_some() {
            let text = vars::secret(vars, NAME, problems)?;
            let keys = parse(&text, NAME, problems)?;
            return Some(Self::Given { keys, made_here: false });
        }
        if !network.is_loopback() {
            let why = "Without a key no session survives a restart, and no two nodes understand each other.";
            let fix = format!("Run `supabase-bff keys new` and set {NAME} to the line it prints.");
            problems.fault("BFF-COOKIE-001", NAME, None, why, fix);
            return None;
        }
        let path = network.data_dir.join("session-keys");
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Self::ToMake(path)),
            Err(error) => unreadable(&path, &error, problems),
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
                let name = path.display().to_string();
                let fix = format!("Run: chmod 600 {name}");
                problems.fault(
                    "BFF-COOKIE-001",
                    name,
                    None,
                    "Others than its owner can open this key file.",
                    fix,
                );
                None
            }
            Ok(_) => match fs::read_to_string(&path) {
                Ok(text) => {
                    let place = path.display().to_string();
                    let keys = parse(&Secret::new(text), &place, problems)?;
                    Some(Self::Given { keys, made_here: true })
                }
                Err(error) => unreadable(&path, &error, problems),
            },
        }
    }

    /// The ring of these keys; makes and keeps the first one if there is none.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. Another process that was faster is no error: its key is used.
    pub fn open(&self, entropy: &dyn Entropy) -> io::Result<Keyring> {
        let made;
        let keys = match self {
            Self::Given { keys, .. } => keys,
            Self::ToMake(path) => {
                made = vec![make(path, entropy)?];
                &made
            }
        };
        Keyring::new(keys)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "there is no session key"))
    }
}

fn make(path: &Path, entropy: &dyn Entropy) -> io::Result<MasterKey> {
    let id = KeyId::parse("k1").expect("k1 is the id of a key");
    let key = MasterKey::generate(id, entropy);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            file.write_all(key.to_text().expose().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let text = Secret::new(fs::read_to_string(path)?);
            let first = text.expose().trim().split(',').next().unwrap_or_default();
            MasterKey::parse(first).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))
        }
        Err(error) => Err(error),
    }
}

fn unreadable<T>(path: &Path, error: &io::Error, problems: &mut Problems) -> Option<T> {
    let why = format!("The key file cannot be read: {error}.");
    problems.fault(
        "BFF-COOKIE-001",
        path.display().to_string(),
        None,
        why,
        "Make it readable for this user.",
    );
    None
}

fn parse(text: &Secret<String>, place: &str, problems: &mut Problems) -> Option<Vec<MasterKey>> {
    let mut keys: Vec<MasterKey> = Vec::new();
    let mut sound = true;
    let mut fault = |code, why: String| {
        let fix = format!("Run `supabase-bff keys new` and set {NAME} to the line it prints.");
        problems.fault(code, place, Some(REDACTED), why, fix);
        sound = false;
    };
    for (index, entry) in text.expose().trim().split(',').enumerate() {
        let number = index + 1;
        match MasterKey::parse(entry.trim()) {
            Ok(key) if keys.iter().any(|known| known.id == key.id) => {
                fault("BFF-COOKIE-002", format!("Key {number} has the name of one before it."));
            }
            Ok(key) if keys.iter().any(|known| known.key == key.key) => {
                fault("BFF-COOKIE-002", format!("Key {number} is the same as one before it."));
            }
            Ok(key) => keys.push(key),
            Err(BadKey::Weak) => fault("BFF-COOKIE-002", format!("Key {number}: {}.", BadKey::Weak)),
            Err(bad) => fault("BFF-COOKIE-001", format!("Key {number}: {bad}.")),
        }
    }
    sound.then_some(keys)
}
