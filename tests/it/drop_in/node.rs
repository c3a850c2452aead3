//! supabase-js in a Node process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::npm;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/drop_in/node.mjs");

/// One page's world: its clients share cookies and storage.
pub struct Node(Arc<Mutex<Process>>);

struct Process {
    child: Child,
    into: ChildStdin,
    out: BufReader<ChildStdout>,
}

impl Node {
    /// A fresh one in front of the BFF at `base`.
    pub async fn start(base: &str) -> Self {
        let mut child = Command::new("node")
            .arg(PROGRAM)
            .arg(npm::modules().await)
            .arg(base)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node does not start ({error}): install the package nodejs"));
        let (into, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self(Arc::new(Mutex::new(Process { child, into, out: BufReader::new(out) })))
    }

    /// Runs a function body of JavaScript and tells what it returned.
    pub async fn run(&self, code: &str) -> Value {
        let (process, line) = (self.0.clone(), Value::from(code).to_string());
        let answer = tokio::task::spawn_blocking(move || {
            let mut process = process.lock().unwrap();
            writeln!(process.into, "{line}").unwrap();
            let mut answer = String::new();
            process.out.read_line(&mut answer).unwrap();
            answer
        });
        let answer: Value = serde_json::from_str(&answer.await.unwrap()).unwrap_or_default();
        assert!(answer["error"].is_null(), "{code}\n{}", answer["error"].as_str().unwrap_or_default());
        answer["value"].clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
