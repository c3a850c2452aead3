//! One secret, two nodes, the same instant: of all who come one gets in (S-75, S-76).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base::vars::Rate;
use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use supabase_bff::limit::{Bucket, LimitStore, Uncounted, Wait};
use time::Duration;

use crate::client::{Answer, Browser, script};
use crate::drop_in::Client;
use crate::drop_in::providers::{landing, pkce};
use crate::harness::{Plan, TestApp};
use crate::mailbox::{letter, press};
use crate::mfa::{ADA, half_way_at, prove, with_app};
use crate::modes::Mode;
use crate::provider::up_to_callback;
use crate::tap::{Fault, bounded};

/// Limits that stand in nobody's way.
fn wide(plan: Plan) -> Plan {
    let wide = [
        "CODE_TRIES",
        "CONFIRM_PER_NETWORK",
        "MAIL_PER_RECIPIENT",
        "PASSWORD_PER_ACCOUNT",
        "PASSWORD_PER_NETWORK",
    ];
    let open = plan.with("BFF_LIMITS_GOTRUE_BUDGET", "off");
    wide.iter().fold(open, |plan, name| plan.with(&format!("BFF_LIMITS_{name}"), "1000/1m"))
}

/// Cookies, where only GoTrue's own single use holds the nodes together, and one Redis for both.
fn plans() -> Vec<Plan> {
    vec![wide(Plan::default()), wide(Mode::redis().counting())]
}

/// Fifty browsers, every other one at a second node.
fn fifty(app: &TestApp, second: &str) -> Vec<Browser> {
    (0..50).map(|n| if n % 2 == 0 { app.browser() } else { app.browser().at(second) }).collect()
}

fn good(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status == 200).count()
}

/// S-75: one link, and one code.
#[tokio::test]
async fn a_link_and_a_code_let_one_in() {
    for plan in plans() {
        let app = TestApp::with(plan).await;
        let second = app.node(&[]).await;
        app.signed_in(ADA).await;
        for by_code in [false, true] {
            assert_eq!(app.browser().post("/auth/otp", &json!({ "email": ADA })).await.status, 200);
            let mail = letter(&app, ADA).await;
            let browsers = fifty(&app, &second);
            let answers = join_all(browsers.iter().map(|browser| async {
                if by_code {
                    return browser.post("/auth/otp", &json!({ "email": ADA, "code": mail.code })).await;
                }
                let body = json!({ "token_hash": mail.hash, "type": "magiclink" });
                browser.post("/auth/confirm", &body).await
            }))
            .await;
            let refused = if by_code { 422 } else { 410 };
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert!(statuses.iter().all(|status| [200, refused].contains(status)), "{statuses:?}");
            assert_eq!(good(&answers), 1, "{statuses:?}");
            let inside = browsers.iter().filter(|browser| browser.cookie("sb_session").is_some()).count();
            assert_eq!(inside, 1);
            app.clock.advance(Duration::minutes(2));
        }
    }
}

/// S-26, S-76: one authorization code, whose callback came to both nodes.
#[tokio::test]
async fn a_callback_makes_one_session() {
    for plan in plans() {
        let app = TestApp::with(plan).await;
        let second = app.node(&[]).await;
        let browser = app.browser();
        let callback = up_to_callback(&browser, "/auth/start/google", ADA).await;
        let tabs: Vec<_> = (0..50)
            .map(|n| if n % 2 == 0 { browser.stolen() } else { browser.stolen().at(&second) })
            .collect();
        let answers = join_all(tabs.iter().map(|tab| tab.navigate_from("cross-site", &callback))).await;
        assert!(answers.iter().all(|answer| answer.status == 303));
        let made = app.auth.answers("grant_type=pkce");
        assert_eq!(made.iter().filter(|body| body.contains("access_token")).count(), 1, "{}", made.len());
        let inside: BTreeSet<_> = tabs.iter().filter_map(|tab| tab.cookie("sb_session")).collect();
        assert!(!inside.is_empty());
    }
}

/// S-76: one refresh token that ran out in both: one lineage, and nobody is signed out.
#[tokio::test]
async fn a_refresh_token_has_one_successor() {
    for (plan, most) in plans().into_iter().zip([2, 1]) {
        let app = TestApp::with(plan).await;
        let second = app.node(&[]).await;
        let browser = app.signed_in(ADA).await;
        app.past_expiry();
        let tabs: Vec<_> = (0..50)
            .map(|n| if n % 2 == 0 { browser.stolen() } else { browser.stolen().at(&second) })
            .collect();
        let answers = join_all(tabs.iter().map(|tab| tab.get("/api/notes"))).await;
        assert_eq!(good(&answers), 50);
        let told = app.auth.answers("grant_type=refresh_token");
        let read = |body: &String| {
            serde_json::from_str::<serde_json::Value>(body).unwrap()["refresh_token"].to_string()
        };
        let tokens: BTreeSet<_> = told.iter().map(read).collect();
        assert!(tokens.len() == 1 && told.len() <= most, "{} of {}", tokens.len(), told.len());
    }
}

/// S-75: one step of an authenticator app.
#[tokio::test]
async fn a_step_of_the_app_lets_one_in() {
    for plan in plans() {
        let (app, phone) = with_app(plan).await;
        let second = app.node(&[]).await;
        let browsers = fifty(&app, &second);
        for browser in &browsers {
            half_way_at(browser).await;
        }
        let code = phone.code(&app);
        let answers = join_all(browsers.iter().map(|browser| prove(browser, &code))).await;
        assert_eq!(good(&answers), 1, "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    }
}

/// Limits of all nodes; how often somebody was told to wait for his turn with a secret.
#[derive(Debug)]
struct Waits(Arc<dyn LimitStore>, Arc<AtomicUsize>);

#[async_trait]
impl LimitStore for Waits {
    async fn take(&self, bucket: Bucket, key: u128, rate: Rate) -> Result<Result<(), Wait>, Uncounted> {
        let taken = self.0.take(bucket, key, rate).await;
        if bucket == Bucket::Redemption && matches!(taken, Ok(Err(_))) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
        taken
    }

    async fn give_back(&self, bucket: Bucket, key: u128, rate: Rate) -> Result<(), Uncounted> {
        self.0.give_back(bucket, key, rate).await
    }
}

/// A GoTrue that takes no lock would give two nodes a session each; nodes with one Redis ask it one after the other.
#[tokio::test]
async fn nodes_redeem_one_after_the_other() {
    let (plan, waits) = (wide(Mode::redis().counting()), Arc::<AtomicUsize>::default());
    let (open, count) = (plan.store.clone().unwrap(), waits.clone());
    let plan = plan.resting_in(move |clock| {
        let (opening, count) = (open(clock), count.clone());
        async move {
            let mut store = opening.await;
            store.limits = store.limits.map(|limits| Arc::new(Waits(limits, count)) as _);
            store
        }
    });
    let app = TestApp::with(plan).await;
    let second = app.node(&[]).await;
    app.signed_in(ADA).await;
    app.browser().post("/auth/otp", &json!({ "email": ADA })).await;
    let body = json!({ "token_hash": letter(&app, ADA).await.hash, "type": "magiclink" });
    app.auth.fail_once("/verify", Fault::Hold);
    let (here, there) = (app.browser(), app.browser().at(&second));
    let first = tokio::spawn({
        let body = body.clone();
        async move { here.post("/auth/confirm", &body).await.status }
    });
    app.auth.arrived("/verify", 1).await;
    let late = tokio::spawn(async move { there.post("/auth/confirm", &body).await.status });
    bounded("the second node's wait", async {
        while waits.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(app.auth.calls("/verify"), 1, "the second node waits");
    app.auth.release();
    assert_eq!((first.await.unwrap(), late.await.unwrap()), (200, 410));
    assert_eq!(app.auth.calls("/verify"), 2);
}

/// S-76: a code of ours for supabase-js works once over all nodes with one Redis, however many come at once.
#[tokio::test]
async fn a_code_of_ours_works_once() {
    let app = TestApp::with(wide(Mode::redis().counting())).await;
    let second = app.node(&[]).await;
    let browser = app.browser();
    let (verifier, challenge) = pkce();
    let start = format!(
        "/supabase/auth/v1/authorize?provider=google&code_challenge={challenge}&code_challenge_method=s256"
    );
    let callback = up_to_callback(&browser, &start, ADA).await;
    let url = landing(&browser, &browser.navigate_from("cross-site", &callback).await).await;
    let code = url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let tabs: Vec<_> = (0..20)
        .map(|n| Client::of(&if n % 2 == 0 { browser.stolen() } else { browser.stolen().at(&second) }))
        .collect();
    let body = json!({ "auth_code": code, "code_verifier": verifier });
    let answers = join_all(tabs.iter().map(|tab| tab.post("token?grant_type=pkce", &body))).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(good(&answers), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 404].contains(status)), "{statuses:?}");
    app.clock.advance(Duration::seconds(59));
    assert_eq!(tabs[1].post("token?grant_type=pkce", &body).await.status, 404, "and stays used");
}

/// S-84, S-85: all networks share one bucket of GoTrue's: who tries links or codes at random does not use it up. The body
/// is not read any more, another network is not held up, and what was good counts nothing.
#[tokio::test]
async fn links_are_tried_so_often_by_a_network() {
    let plan = Plan::default()
        .with("BFF_LIMITS_CONFIRM_PER_NETWORK", "3/5m")
        .with("BFF_TRUSTED_PROXIES", "127.0.0.1/32");
    let app = TestApp::with(plan).await;
    app.signed_in(ADA).await;
    let from = async |network: &str, path: &str, body: &str| {
        let mut headers = script().to_vec();
        headers.extend([("content-type", "application/json"), ("x-forwarded-for", network)]);
        let answer = app.browser().send(Method::POST, path, &headers, Some(body.to_owned())).await;
        (answer.status, answer.code())
    };
    let guess = json!({ "token_hash": "0123456789abcdef", "type": "magiclink" }).to_string();
    let typed = json!({ "email": "grace@example.test", "code": "123456" }).to_string();
    assert_eq!(from("203.0.113.7", "/auth/confirm", "{").await.0, 400, "what is no wish counts nothing");
    assert_eq!(from("203.0.113.7", "/auth/confirm", &guess).await.0, 410);
    assert_eq!(from("203.0.113.7", "/auth/otp", &typed).await.0, 422);
    assert_eq!(from("203.0.113.7", "/auth/confirm", &guess).await.0, 410);
    // supabase-js has the same tries, and no further ones for what can be nobody's code.
    let verify = "/supabase/auth/v1/verify";
    for odd in [
        "{".to_owned(),
        json!({ "type": "email", "email": "", "token": "123456" }).to_string(),
        json!({ "type": "email", "email": "grace", "token": "123456" }).to_string(),
        json!({ "type": "email", "email": "grace@example.test", "token": "" }).to_string(),
        json!({ "type": "email" }).to_string(),
        json!({ "type": "sms", "token": "123456" }).to_string(),
    ] {
        assert!((400..=422).contains(&from("203.0.113.9", verify, &odd).await.0), "{odd}");
    }
    let code = json!({ "type": "email", "email": "grace@example.test", "token": "123456" }).to_string();
    for body in [&guess, &code, &guess] {
        assert_eq!(from("203.0.113.9", verify, body).await, (403, "otp_expired".to_owned()), "{body}");
    }
    for body in [&guess, &code, "{"] {
        assert_eq!(from("203.0.113.9", verify, body).await, (429, "over_request_rate_limit".to_owned()));
    }
    let refused = (429, "rate_limited".to_owned());
    assert_eq!(from("203.0.113.9", "/auth/confirm", &guess).await, refused, "one count for both");
    for (path, body) in [("/auth/confirm", &*guess), ("/auth/confirm", "{"), ("/auth/otp", &typed)] {
        assert_eq!(from("203.0.113.7", path, body).await, refused, "{path} {body}");
    }
    assert_eq!(app.auth.calls("/verify"), 6);
    assert_eq!(from("203.0.113.8", "/auth/confirm", &guess).await.0, 410);

    for _ in 0..5 {
        app.browser().post("/auth/otp", &json!({ "email": ADA })).await;
        let browser = app.browser();
        let link = letter(&app, ADA).await.link;
        assert_eq!(press(&browser, &link, &[]).await.status, 303);
        app.clock.advance(Duration::seconds(61)); // another mail is due; of three tries in 5 minutes none would be back
    }
}
