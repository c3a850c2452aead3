//! Whether the time of an answer tells what kind of account an address has (S-71).
//!
//! `cargo bench --bench answers -- [--samples 60]`. Starts the program with its own auth server, makes accounts of each
//! kind, and asks in turns: one sample of each kind a round, in an order that rotates, each with an address of its own,
//! since a second mail within a minute is not sent. Prints medians, and their ratio to that of unknown addresses. Ends
//! with an error if two kinds are answered with different words.
#![expect(clippy::print_stdout, reason = "the figures go to standard output")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

mod rig;

use std::time::Instant;

use anyhow::{Context, ensure};
use base::entropy::{Entropy, SystemEntropy};
use serde_json::{Value, json};

use rig::Process;

/// What an address can be. The first is what the others are compared with.
const KINDS: [&str; 4] = ["unknown", "known", "banned", "unconfirmed"];

/// A password that is nobody's.
const WRONG: &str = "wren lattice brook";

/// A question, and what it is asked with.
struct Question {
    title: &'static str,
    path: &'static str,
    body: fn(email: &str) -> Value,
}

const QUESTIONS: [Question; 6] = [
    Question {
        title: "sign in, wrong password",
        path: "/auth/login",
        body: |email| json!({ "email": email, "password": WRONG }),
    },
    Question {
        title: "sign up",
        path: "/auth/signup",
        body: |email| json!({ "email": email, "password": WRONG }),
    },
    Question {
        title: "send the mail again",
        path: "/auth/otp",
        body: |email| json!({ "email": email, "again": true, "purpose": "signup" }),
    },
    Question { title: "forgotten password", path: "/auth/recover", body: |email| json!({ "email": email }) },
    Question { title: "sign in by mail", path: "/auth/otp", body: |email| json!({ "email": email }) },
    Question {
        title: "a code that is none",
        path: "/auth/otp",
        body: |email| json!({ "email": email, "code": "000000" }),
    },
];

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let samples: usize = rig::option("samples", 60)?;
    let folder = tempfile::tempdir()?;
    let [port, admin, auth] = [rig::free_port()?, rig::free_port()?, rig::free_port()?];
    let entropy: &dyn Entropy = &SystemEntropy;
    let key = entropy.text::<48>();
    let mut env = rig::bff_env(port, admin, "", &rig::session_keys()?);
    env.retain(|(name, _)| !name.starts_with("SUPABASE_"));
    env.extend([
        ("AUTH_LISTEN", format!("127.0.0.1:{auth}")),
        ("AUTH_ADMIN_KEY", key.clone()),
        ("AUTH_CONFIRM_EMAIL", "true".to_owned()),
        ("AUTH_LIMITS", "off".to_owned()),
        ("BFF_LIMITS_PASSWORD_PER_NETWORK", "1000000/1m".to_owned()),
        ("BFF_LIMITS_MAIL_PER_NETWORK", "1000000/1m".to_owned()),
        ("BFF_LIMITS_CONFIRM_PER_NETWORK", "1000000/1m".to_owned()),
    ]);
    let _program = Process::start(&rig::program(), &["serve"], &env, folder.path(), None)?;
    rig::wait_for(&format!("http://127.0.0.1:{admin}/readyz")).await?;

    let http = rig::client()?;
    let people = format!("http://127.0.0.1:{auth}/admin/users");
    for question in 0..QUESTIONS.len() {
        for kind in KINDS.iter().filter(|kind| **kind != "unknown") {
            for n in 0..=samples {
                make(&http, &people, &key, kind, &address(question, kind, n)).await?;
            }
        }
    }
    println!("{samples} samples of each kind, in milliseconds: median (ratio to unknown)\n");
    println!("{:<26}{}", "", KINDS.map(|kind| format!("{kind:>20}")).concat());
    for (number, question) in QUESTIONS.iter().enumerate() {
        let times = ask(&http, &format!("http://localhost:{port}"), number, question, samples).await?;
        let medians = times.map(median);
        let cell = |median: &f64| format!("{:>20}", format!("{median:.2} ({:.2})", median / medians[0]));
        println!("{:<26}{}", question.title, medians.iter().map(cell).collect::<String>());
    }
    Ok(())
}

/// Every address is asked about once.
fn address(question: usize, kind: &str, n: usize) -> String {
    format!("{kind}-{question}-{n}@example.test")
}

async fn make(
    http: &reqwest::Client,
    people: &str,
    key: &str,
    kind: &str,
    email: &str,
) -> anyhow::Result<()> {
    let mut person =
        json!({ "email": email, "password": rig::PASSWORD, "email_confirm": kind != "unconfirmed" });
    if kind == "banned" {
        person["ban_duration"] = "100h".into();
    }
    let request = http.post(people).bearer_auth(key).json(&person);
    let answer = request.send().await?;
    ensure!(answer.status().is_success(), "{email} cannot be made: {}", answer.text().await?);
    Ok(())
}

/// The times of the answers about each kind.
async fn ask(
    http: &reqwest::Client,
    base: &str,
    number: usize,
    question: &Question,
    samples: usize,
) -> anyhow::Result<[Vec<f64>; KINDS.len()]> {
    let mut times: [Vec<f64>; KINDS.len()] = Default::default();
    let mut said: Option<(u16, String)> = None;
    for round in 0..=samples {
        for turn in 0..KINDS.len() {
            let kind = (round + turn) % KINDS.len();
            let email = address(number, KINDS[kind], round);
            let request = http.post(format!("{base}{}", question.path)).json(&(question.body)(&email));
            let begun = Instant::now();
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let mut body: Value = answer.json().await?;
            let time = begun.elapsed().as_secs_f64() * 1e3;
            body.as_object_mut().context("an object")?.remove("request_id");
            let words = (status, body.to_string());
            let first = said.get_or_insert_with(|| words.clone());
            ensure!(*first == words, "{}: {first:?}, but {words:?} for {}", question.path, KINDS[kind]);
            if round > 0 {
                times[kind].push(time); // the first round warms up
            }
        }
    }
    Ok(times)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
