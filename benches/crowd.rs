//! Many signed-in people, made the fast way: anonymous accounts at the auth server, sessions by `mint-session`.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::rig;

/// Sign-ups at the same time.
const AT_ONCE: usize = 8;

/// One of them.
#[derive(Debug, Clone)]
pub struct Person {
    /// GoTrue's id.
    pub id: String,
    /// What the browser sends as `Cookie`.
    pub cookie: String,
}

/// Makes `count` people at the auth server `auth` and a session for each at the BFF that `env` describes.
pub async fn gather(
    auth: &str,
    count: usize,
    env: &[(&'static str, String)],
    folder: &Path,
) -> anyhow::Result<Vec<Person>> {
    let lines = sign_ups(auth, count).await?;
    let id = |line: &String| {
        let answer: Value = serde_json::from_str(line)?;
        Ok(answer["user"]["id"].as_str().context("an id")?.to_owned())
    };
    let ids = lines.iter().map(id).collect::<anyhow::Result<Vec<_>>>()?;
    let (input, output) = (folder.join("sessions.jsonl"), folder.join("cookies"));
    std::fs::write(&input, lines.join("\n"))?;
    let mut mint = Command::new(rig::program());
    mint.arg("mint-session").current_dir(folder).env_clear().envs(env.iter().cloned());
    mint.stdin(File::open(&input)?).stdout(File::create(&output)?).stderr(Stdio::null());
    // The auth server may be reached by way of this very program: its runtime must go on.
    let status = tokio::task::spawn_blocking(move || mint.status()).await??;
    ensure!(status.success(), "mint-session ended with {status}");
    let cookies = std::fs::read_to_string(&output)?;
    std::fs::remove_file(input)?;
    std::fs::remove_file(output)?;
    let people: Vec<_> = ids
        .into_iter()
        .zip(cookies.lines())
        .map(|(id, cookie)| Person { id, cookie: cookie.to_owned() })
        .collect();
    ensure!(people.len() == count, "{} sessions were made of {count}", people.len());
    Ok(people)
}

/// The answers to `count` anonymous sign-ups, one a line.
async fn sign_ups(auth: &str, count: usize) -> anyhow::Result<Vec<String>> {
    let (http, left) = (rig::client()?, Arc::new(AtomicUsize::new(count)));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (http, left, url) = (http.clone(), left.clone(), format!("{auth}/signup"));
        tasks.spawn(async move {
            let mut lines = Vec::new();
            let one_less = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                let answer = http.post(&url).json(&serde_json::json!({})).send().await?;
                let (status, line) = (answer.status(), answer.text().await?);
                ensure!(status == 200, "a sign-up was answered with {status}: {line}");
                lines.push(line);
            }
            anyhow::Ok(lines)
        });
    }
    let mut lines = Vec::with_capacity(count);
    while let Some(done) = tasks.join_next().await {
        lines.extend(done??);
    }
    Ok(lines)
}
