//! Packages from npm, as `tests/npm/package-lock.json` pins them, fetched once into the target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::sync::OnceCell;

static MODULES: OnceCell<PathBuf> = OnceCell::const_new();

const PACKAGE: &str = include_str!("../npm/package.json");
const LOCK: &str = include_str!("../npm/package-lock.json");

/// The folder `node_modules`.
pub async fn modules() -> &'static Path {
    MODULES.get_or_init(async || tokio::task::spawn_blocking(fetch).await.unwrap()).await
}

fn fetch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm");
    let (modules, done) = (folder.join("node_modules"), folder.join("fetched.json"));
    if std::fs::read_to_string(&done).is_ok_and(|fetched| fetched == LOCK) {
        return modules;
    }
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("package.json"), PACKAGE).unwrap();
    std::fs::write(folder.join("package-lock.json"), LOCK).unwrap();
    let npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("npm does not start ({error}): install the packages nodejs and npm"));
    let said = String::from_utf8_lossy(&npm.stderr);
    assert!(npm.status.success(), "npm ci ended with {}: {said}", npm.status);
    std::fs::write(done, LOCK).unwrap();
    modules
}
