//! The official clients of Supabase Auth, as they come from their registries, at the embedded server.
//!
//! Each goes the same way through an account and prints a line a step; what it saw stands below, to the letter. A client
//! that stumbles ends early, and its last line is missing.
//!
//! A real Supabase Auth gives both the same lines but these: it takes the code of an app twice (S-75), names the token in
//! the link of `email_change_new` otherwise than in `hashed_token`, and answers a publishable JWT that asks for people
//! with `not_admin`.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base::clock::{Clock, ManualClock, SharedClock, SystemClock};
use base::entropy::SystemEntropy;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::{npm, pypi};

/// What both clients see.
const SEEN: &str = "\
sign-up: ada@example.com no-session unconfirmed
again: ada@example.com
weak: 422 weak_password
too-early: 400 email_not_confirmed
wrong-digits: 403 otp_expired
confirmed: ada@example.com bearer Ada
signed-out: no-session
wrong-password: 400 invalid_credentials
password: ada@example.com 1800 email
refreshed: true true
set-session: ada@example.com
unknown-refresh: 400 refresh_token_not_found
user: ada@example.com
forged: 403 bad_jwt
claims: ES256 authenticated aal1 ada@example.com
renamed: Ada L.
same-password: 422 same_password
new-password: ada@example.com
reauthenticated: ada@example.com
change: ada@example.com lady@example.com
first-half: no-session
second-half: lady@example.com
digits: lady@example.com
link: lady@example.com
link-again: otp_expired
nobody: 422 otp_disabled
recovery: lady@example.com
recovered: lady@example.com
github: octo@example.com github provider-token
last-identity: 422 single_identity_not_deletable
linked: github+google
unlinked: github
enrolled: totp otpauth true
level: aal1>aal1
wrong-code: 422 mfa_verification_failed
verified: lady@example.com aal2>aal2
next-level: aal1>aal2
below: 401 insufficient_aal
stepped-up: aal2>aal2
used-code: 422 mfa_verification_failed
factors: phone
unenrolled: none aal1>aal1
guest: nobody anonymous dark
upgraded: guest@example.com true
others: lady@example.com 400 refresh_token_not_found
global: 400 refresh_token_not_found
created: new@example.com editor confirmed
taken: 422 email_exists
listed: 2
by-id: new@example.com
changed: newer@example.com Neo
link-made: signup true 6 http://localhost:3000/back
link-made: invite true 6 http://localhost:3000/back
link-made: magiclink true 6 http://localhost:3000/back
link-redeemed: lady@example.com
link-made: recovery true 6 http://localhost:3000/back
link-made: email_change_current true 6 http://localhost:3000/back
link-made: email_change_new true 6 http://localhost:3000/back
invited: friend@example.com
accepted: friend@example.com red
ended: 400 refresh_token_not_found
factors-of: none
banned: 400 user_banned
deleted: 404 user_not_found
no-admin: 403 bad_jwt
end: reached
";

/// Far longer than a client takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server for one client. Clients believe their own clock, so the server stands at the present moment: nothing that they
/// do depends on how long they take.
async fn server() -> (auth_server::Handle, i64) {
    base::http::install_tls_provider();
    let now = SystemClock.now();
    let clock: SharedClock = Arc::new(ManualClock::at(now));
    let mut settings = auth_server::Settings::for_tests();
    settings.confirm_email = true;
    settings.mail_links = auth_server::MailLinks::Verify;
    settings.site_url = "http://localhost:3000".to_owned();
    settings.redirect_urls = vec!["http://localhost:3000/**".to_owned()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let handle = auth_server::start(settings, clock, Arc::new(SystemEntropy), listener).await.unwrap();
    (handle, now.unix_timestamp())
}

/// What `program` prints when it runs `script` against a server of its own.
async fn told(program: &Path, script: &Path) -> String {
    let (server, now) = server().await;
    let run = Command::new(program)
        .arg(script)
        .env("AUTH_URL", format!("http://{}", server.address()))
        .env("ADMIN_KEY", server.admin_key().expose())
        .env("NOW", now.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(PATIENCE, run).await.expect("the client comes to an end");
    let ended = ended.unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    let (out, said) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{}\n{out}\n{said}", ended.status);
    out.into_owned()
}

/// `@supabase/supabase-js` in Node.js.
#[tokio::test]
async fn supabase_js_finds_what_it_expects() {
    let script = npm::modules().await.with_file_name("supabase.mjs");
    std::fs::write(&script, include_str!("clients/supabase.mjs")).unwrap();
    // It tells the pages of a list as well, which the other client does not.
    let seen = SEEN.replace("listed: 2\n", "listed: 2\npages: 4 2 2\n");
    compare(&told(Path::new("node"), &script).await, &seen);
}

/// `supabase` in Python.
#[tokio::test]
async fn supabase_py_finds_what_it_expects() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/supabase_story.py");
    let lock = include_str!("../pypi/supabase.txt");
    let venv = tokio::task::spawn_blocking(|| pypi::environment("supabase", lock)).await.unwrap();
    compare(&told(&venv.join("bin/python"), &script).await, SEEN);
}

/// Line by line: the first step that differs is what a reader wants to know.
fn compare(told: &str, seen: &str) {
    for (told, seen) in told.lines().zip(seen.lines()) {
        assert_eq!(told, seen);
    }
    assert_eq!(told, seen);
}
