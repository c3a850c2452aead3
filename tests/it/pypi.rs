//! Packages from PyPI, as `tests/pypi/requirements.txt` pins them by version and digest, in a virtual environment that is
//! made once in the target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::sync::OnceCell;

static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();

const LOCK: &str = include_str!("../pypi/requirements.txt");

/// The interpreter of the environment.
pub async fn python() -> &'static Path {
    PYTHON.get_or_init(async || tokio::task::spawn_blocking(fetch).await.unwrap()).await
}

fn fetch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pypi");
    let (python, done) = (folder.join("bin/python"), folder.join("fetched.txt"));
    if std::fs::read_to_string(&done).is_ok_and(|fetched| fetched == LOCK) {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
    let lock = folder.join("requirements.txt");
    std::fs::write(&lock, LOCK).unwrap();
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ])
        .arg("--requirement")
        .arg(&lock));
    std::fs::write(done, LOCK).unwrap();
    python
}

fn run(command: &mut Command) {
    let ended = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{command:?} does not start ({error}): install the packages python3 and python3-venv")
    });
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?} ended with {}: {said}", ended.status);
}
