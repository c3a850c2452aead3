//! Packages from PyPI, as the files of `tests/pypi` pin them by version and digest, each in a virtual environment that is
//! made once in the target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// One at a time: two stories may want the same.
static FETCH: Mutex<()> = Mutex::new(());

/// The environment called `name` with the packages of `lock`. Blocks for as long as the packages take to come.
pub fn environment(name: &str, lock: &str) -> PathBuf {
    let _one = FETCH.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pypi").join(name);
    let done = folder.join("fetched.txt");
    if std::fs::read_to_string(&done).is_ok_and(|fetched| fetched == lock) {
        return folder;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
    let wanted = folder.join("wanted.txt");
    std::fs::write(&wanted, lock).unwrap();
    let how = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--disable-pip-version-check"];
    let mut pip = Command::new(folder.join("bin/python"));
    run(pip.args(["-m", "pip", "install", "--quiet"]).args(how).arg("--requirement").arg(&wanted));
    std::fs::write(done, lock).unwrap();
    folder
}

fn run(command: &mut Command) {
    let ended = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{command:?} does not start ({error}): install the packages python3 and python3-venv")
    });
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?} ended with {}: {said}", ended.status);
}
