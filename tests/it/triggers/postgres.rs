//! A PostgreSQL of one story: in a folder of its own, on a socket in it, gone with it.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server that runs until it is dropped.
pub struct Postgres {
    programs: PathBuf,
    folder: tempfile::TempDir,
    /// Whom it runs as: it refuses to run as root.
    user: Option<(u32, u32)>,
}

impl Postgres {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let user = root.then(nobody);
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let server = Self { programs: programs(), folder, user };
        server.own("initdb", &["-U", "boss", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let socket = server.folder.path().display().to_string();
        let options = format!(
            "-c listen_addresses= -k {socket} -c fsync=off -c full_page_writes=off -c max_connections=10 \
             -c shared_buffers=1MB -c log_min_messages=error"
        );
        let log = format!("{socket}/log");
        server.own("pg_ctl", &["start", "-w", "-s", "-l", &log, "-o", &options]);
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs one of its programs as the user that it belongs to.
    fn own(&self, program: &str, words: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.data()).args(words).current_dir(self.folder.path());
        // What stays running must not hold on to a pipe that somebody reads to its end.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        let status = command.status().unwrap();
        assert!(status.success(), "{program}: {status}");
    }

    /// What `text` answers, one line for each row, asked as `role`. Any fault fails the story.
    pub fn run(&self, role: &str, text: &str) -> String {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", "template1", "-U", role, "-h"]);
        command.arg(self.folder.path()).args(["-f", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.own("pg_ctl", &["stop", "-s", "-m", "immediate"]);
        }
    }
}

/// The folder of `initdb` and the rest: Debian keeps them off the path, by version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let has_all = |folder: &Path| ["initdb", "pg_ctl", "psql"].iter().all(|name| folder.join(name).exists());
    found.retain(|folder| has_all(folder));
    found.into_iter().next().expect("PostgreSQL is installed, see docs/development.md")
}

/// User and group of `nobody`.
fn nobody() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("nobody:")).expect("there is a nobody");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}
