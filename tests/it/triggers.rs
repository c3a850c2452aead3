//! What `supabase-bff sql` prints, in a real PostgreSQL with stand-ins for what a Supabase project adds to it.

mod postgres;

use std::process::Command;

use http::Method;
use time::{Duration, OffsetDateTime};

use crate::harness::{Plan, START, TestApp};
use crate::hooks::{PATH, behind, secret, state};
use postgres::Postgres;

/// The output of a command of the real binary, in a folder without settings.
fn printed(words: &[&str], env: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_supabase-bff"));
    command.args(words).current_dir(folder.path()).env_clear().envs(env.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A call as `net.http_post` was asked for it: id, time, signature, body.
struct Call {
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Call {
    /// Sends it, as pg_net would.
    async fn deliver(&self, app: &TestApp) -> u16 {
        assert_eq!(self.url, format!("https://app.example.test{PATH}"));
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        app.browser().send(Method::POST, PATH, &headers, Some(self.body.clone())).await.status
    }
}

/// A project's database with the triggers in it.
struct Project(Postgres);

impl Project {
    fn start() -> Self {
        let project = Self(Postgres::start());
        project.0.run("boss", include_str!("triggers/project.sql"));
        project.install();
        project
    }

    fn install(&self) {
        let text = printed(
            &["sql"],
            &[
                ("BFF_PUBLIC_URL", "https://app.example.test"),
                ("BFF_TRUSTED_PROXIES", "10.0.0.0/8"),
                ("BFF_SESSION_KEYS", "k1:jJYsNcq3yC1cLCkNVCfGk8RZYvXF0ktxOVVkpYVY6gY="),
                ("SUPABASE_URL", "https://abc.supabase.co"),
                ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_1"),
            ],
        );
        self.0.run("postgres", &text);
    }

    fn keep_secret(&self, secret: &str) {
        self.0.run("postgres", &format!("select vault.create_secret('{secret}', 'supabase_bff_hooks')"));
    }

    /// As GoTrue does it, with the rights that it has.
    fn gotrue(&self, text: &str) {
        self.0.run("supabase_auth_admin", text);
    }

    /// What was handed to pg_net since the last look.
    fn calls(&self) -> Vec<Call> {
        let query = "delete from net.recorded returning url || chr(9) || \
                     (select string_agg(key || ': ' || value, chr(31)) from jsonb_each_text(headers)) || chr(9) || \
                     convert_from(body, 'UTF8')";
        let lines = self.0.run("boss", query);
        let call = |line: &str| {
            let [url, headers, body] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let pair = |text: &str| text.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap();
            Call {
                url: url.to_owned(),
                headers: headers.split('\u{1f}').map(pair).collect(),
                body: body.to_owned(),
            }
        };
        lines.lines().map(call).collect()
    }
}

/// A deployment by the database's clock, with the secret of the database.
async fn app(secret: &str) -> TestApp {
    let app = TestApp::with(Plan::default().with("BFF_HOOKS_SECRETS", secret)).await;
    let now = base::clock::Clock::now(&base::clock::SystemClock);
    app.clock.advance(now - START);
    app
}

/// S-45, S-47: a deleted session, a ban and a deleted person in the database: the calls that the triggers make are good
/// here, and end what they should.
#[tokio::test]
async fn what_the_triggers_send_is_believed() {
    let project = Project::start();
    project.keep_secret(&secret(1));
    let app = app(&secret(1)).await;
    let ada = app.signed_in("ada@example.test").await;
    let grace = app.signed_in("grace@example.test").await;
    let (user, session) = behind(&app, &ada).await;
    let (other, other_session) = behind(&app, &grace).await;
    project.gotrue(&format!(
        "insert into auth.users (id) values ('{user}'), ('{other}');
         insert into auth.sessions (id, user_id) values ('{session}', '{user}'), ('{other_session}', '{other}');
         update auth.sessions set refreshed_at = now();
         update auth.users set last_sign_in_at = now();"
    ));
    assert!(project.calls().is_empty(), "ordinary work is nobody's business");

    project.gotrue(&format!("delete from auth.sessions where id = '{session}'"));
    let calls = project.calls();
    let [call] = &calls[..] else { panic!("one call, not {}", calls.len()) };
    assert_eq!(call.deliver(&app).await, 204);
    assert_eq!(state(&ada).await, (401, "hook".to_owned()));
    assert_eq!(state(&grace).await.0, 200);
    assert_eq!(call.deliver(&app).await, 401, "once");

    project.gotrue(&format!(
        "update auth.users set banned_until = now() + interval '1 day' where id = '{other}'"
    ));
    let calls = project.calls();
    let [call] = &calls[..] else { panic!("one call, not {}", calls.len()) };
    assert_eq!(call.deliver(&app).await, 204);
    assert_eq!(state(&grace).await, (401, "user_banned".to_owned()));
    project.gotrue(&format!("update auth.users set banned_until = null where id = '{other}'"));
    assert!(project.calls().is_empty(), "lifting a ban ends nothing");

    let mary = app.signed_in("mary@example.test").await;
    let (third, third_session) = behind(&app, &mary).await;
    project.gotrue(&format!(
        "insert into auth.users (id) values ('{third}');
         insert into auth.sessions (id, user_id) values ('{third_session}', '{third}');
         delete from auth.users where id = '{third}';"
    ));
    let calls = project.calls();
    let kinds: Vec<_> = calls.iter().map(|call| call.body.contains("user.deleted")).collect();
    assert_eq!(kinds.iter().filter(|deleted| **deleted).count(), 1, "the person, and the session below");
    for call in &calls {
        assert_eq!(call.deliver(&app).await, 204);
    }
    assert_eq!(state(&mary).await, (401, "hook".to_owned()));
}

/// Whatever is wrong with the hook, people can sign out and be deleted: the fault is a warning in the database's log.
#[tokio::test]
async fn a_fault_of_the_hook_is_nobodys_trouble() {
    let project = Project::start();
    let insert = "insert into auth.users (id) values ('00000000-0000-4000-8000-000000000001');";
    project.gotrue(insert);
    project.gotrue("delete from auth.users");
    assert!(project.calls().is_empty(), "no secret, no call");
    project.keep_secret("v1,whsec_this is no base64");
    project.gotrue(&format!("{insert} delete from auth.users"));
    assert!(project.calls().is_empty());
    assert_eq!(project.0.run("boss", "select count(*) from auth.users").trim(), "0");
}

/// Installed twice it sends once; a soft deletion counts as one; uninstalled it leaves nothing, without being the owner
/// of the tables.
#[tokio::test]
async fn it_comes_and_goes_whole() {
    let project = Project::start();
    project.keep_secret(&secret(1));
    project.install();
    let insert = "insert into auth.users (id) values ('00000000-0000-4000-8000-000000000001');";
    project.gotrue(&format!("{insert} update auth.users set deleted_at = now()"));
    let calls = project.calls();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].body.contains("user.deleted"));
    let signed: i64 =
        calls[0].headers.iter().find(|(name, _)| name == "webhook-timestamp").unwrap().1.parse().unwrap();
    let now = base::clock::Clock::now(&base::clock::SystemClock);
    assert!((now - OffsetDateTime::from_unix_timestamp(signed).unwrap()).abs() < Duration::minutes(5));

    project.0.run("postgres", &printed(&["sql", "--uninstall"], &[]));
    project.gotrue("delete from auth.users");
    assert!(project.calls().is_empty());
    let left = "select count(*) from pg_trigger where tgname like 'supabase_bff%'";
    assert_eq!(project.0.run("boss", left).trim(), "0");
    assert_eq!(project.0.run("boss", "select count(*) from vault.secrets").trim(), "0");
    project.0.run("postgres", &printed(&["sql", "--uninstall"], &[])); // once more does no harm
}
