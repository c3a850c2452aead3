//! When tokens of a program end: by GoTrue's word, by a sign-out, by time; and what is no end.

use futures_util::StreamExt;
use http::Method;
use serde_json::json;

use super::{ADA, by_password, by_refresh, call, plan, refusal, refused, tokens};
use crate::client::{Answer, Browser};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::matrix::{FINAL, Trouble, transient};
use crate::modes::Mode;
use crate::program::Program;
use crate::tap::Fault;

const REFRESH: &str = "grant_type=refresh_token";

/// Signs a program out.
async fn sign_out(app: &TestApp, token: &str, scope: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    app.browser()
        .send(Method::POST, "/auth/logout", &headers, Some(json!({ "scope": scope }).to_string()))
        .await
}

/// S-44: what passes is 503 with `Retry-After`, never `invalid_grant`, and the same token works afterwards.
#[tokio::test]
async fn an_outage_ends_no_sign_in() {
    let all = transient().into_iter().map(async |(name, trouble)| {
        let app = TestApp::with(plan()).await;
        app.signed_in(ADA).await;
        let (_, refresh) = tokens(&by_password(&app, ADA, PASSWORD).await);
        match &trouble {
            Trouble::Wire(fault) => app.auth.fail(REFRESH, fault.clone()),
            Trouble::Refused => app.auth.close().await,
        }
        let answer = by_refresh(&app, &refresh).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "auth_unavailable"), "{name}");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1, "{name}");
        match trouble {
            Trouble::Wire(_) => app.auth.heal(),
            Trouble::Refused => app.auth.open(),
        }
        let (access, _) = tokens(&by_refresh(&app, &refresh).await);
        assert_eq!(call(&app, Method::GET, "/api/notes", &access).await.status, 200, "{name}");
    });
    futures_util::stream::iter(all).buffer_unordered(6).collect::<Vec<_>>().await;
}

/// S-44: the closed list of final answers, and each of them is the same `invalid_grant`.
#[tokio::test]
async fn a_final_answer_is_an_invalid_grant() {
    let app = TestApp::with(plan()).await;
    let mut seen = std::collections::BTreeSet::new();
    for (code, _) in FINAL {
        app.auth.fail_once(REFRESH, Fault::code(400, code));
        let answer = by_refresh(&app, "abcdefghijkl").await;
        assert_eq!(refusal(&answer), refused(400, "invalid_grant"), "{code}");
        seen.insert(answer.body);
    }
    for odd in ["unknown12345", "phantom_0a1b2c3d_abc", &"x".repeat(5000)] {
        let answer = by_refresh(&app, odd).await;
        assert_eq!(refusal(&answer), refused(400, "invalid_grant"), "{odd}");
        seen.insert(answer.body);
    }
    assert_eq!(seen.len(), 1);
}

/// S-44: an auth server that is away is 503 for passwords as well, and nobody's fault.
#[tokio::test]
async fn an_outage_is_no_wrong_password() {
    let app = TestApp::with(plan()).await;
    app.signed_in(ADA).await;
    app.auth.fail_once("grant_type=password", Fault::code(500, "unexpected_failure"));
    let answer = by_password(&app, ADA, PASSWORD).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "auth_unavailable"));
    assert!(!answer.header("retry-after").is_empty());
    app.auth.fail_once("grant_type=password", Fault::Busy(7));
    let answer = by_password(&app, ADA, PASSWORD).await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    tokens(&by_password(&app, ADA, PASSWORD).await);
}

/// S-76: a token two refreshes behind looks stolen once the reuse interval is over: the sign-in ends for both holders.
#[tokio::test]
async fn a_reused_token_ends_the_sign_in() {
    let app = TestApp::with(plan()).await;
    app.signed_in(ADA).await;
    let (_, first) = tokens(&by_password(&app, ADA, PASSWORD).await);
    let (_, second) = tokens(&by_refresh(&app, &first).await);
    let (_, third) = tokens(&by_refresh(&app, &second).await);
    app.clock.advance(time::Duration::seconds(11));
    assert_eq!(refusal(&by_refresh(&app, &first).await), refused(400, "invalid_grant"));
    assert_eq!(refusal(&by_refresh(&app, &third).await), refused(400, "invalid_grant"));
}

/// S-11, S-40, S-45: a program that signs out has a token that counts no more, here and on every node of a store,
/// whether GoTrue heard of it or not; its refresh token is over as well. Its person's browser goes on.
#[tokio::test]
async fn a_sign_out_ends_a_programs_tokens() {
    for deaf in [false, true] {
        let app = TestApp::with(Plan { env: plan().env, ..Mode::Memory.plan() }).await;
        let browser = app.signed_in(ADA).await;
        let (elsewhere, _) = app.process(&[]).await;
        let elsewhere = app.browser().at(&elsewhere);
        let (access, refresh) = tokens(&by_password(&app, ADA, PASSWORD).await);
        let bearer = format!("Bearer {access}");
        let there =
            async || elsewhere.send(Method::GET, "/api/notes", &[("authorization", &bearer)], None).await;
        assert_eq!(call(&app, Method::GET, "/api/notes", &access).await.status, 200);
        assert_eq!(there().await.status, 200);
        if deaf {
            app.auth.fail("/logout", Fault::code(500, "unexpected_failure"));
        }
        assert_eq!(sign_out(&app, &access, "others").await.code(), "bad_request", "that is for browsers");
        assert_eq!(call(&app, Method::GET, "/api/notes", &access).await.status, 200);
        let answer = sign_out(&app, &access, "local").await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        let gone = call(&app, Method::GET, "/api/notes", &access).await;
        assert_eq!(
            (gone.status, gone.code().as_str(), gone.header("x-session-ended")),
            (401, "invalid_token", "user")
        );
        crate::tap::bounded("the other node hears of it", async { while there().await.status != 401 {} })
            .await;
        assert_eq!(sign_out(&app, &access, "local").await.code(), "invalid_token", "it is over");
        app.auth.heal();
        assert_eq!(refusal(&by_refresh(&app, &refresh).await), refused(400, "invalid_grant"), "deaf: {deaf}");
        assert_eq!(browser.get("/api/notes").await.status, 200);
    }
}

/// S-45: signing out on all devices, by a browser or by a program, ends what programs hold, and the other way round.
#[tokio::test]
async fn a_sign_out_everywhere_reaches_programs() {
    for by_program in [false, true] {
        for deaf in [false, true] {
            let app = TestApp::with(plan()).await;
            let browser = app.signed_in(ADA).await;
            let (mine, _) = tokens(&by_password(&app, ADA, PASSWORD).await);
            let (access, refresh) = tokens(&by_password(&app, ADA, PASSWORD).await);
            app.clock.advance(time::Duration::seconds(1));
            if deaf {
                app.auth.fail("/logout", Fault::code(500, "unexpected_failure"));
            }
            let answer = if by_program {
                sign_out(&app, &mine, "global").await
            } else {
                browser.post("/auth/logout", &json!({ "scope": "global" })).await
            };
            assert_eq!(answer.status, 204, "{}", answer.body);
            for token in [&mine, &access] {
                let gone = call(&app, Method::GET, "/api/notes", token).await;
                assert_eq!(
                    (gone.status, gone.code().as_str()),
                    (401, "invalid_token"),
                    "{by_program} {deaf}"
                );
            }
            assert_eq!(browser.get("/api/notes").await.status, 401, "{by_program} {deaf}");
            app.auth.heal();
            assert_eq!(refusal(&by_refresh(&app, &refresh).await), refused(400, "invalid_grant"));
            let (new, _) = tokens(&by_password(&app, ADA, PASSWORD).await);
            assert_eq!(call(&app, Method::GET, "/api/notes", &new).await.status, 200, "a new sign-in counts");
        }
    }
}

const SECRET: &str = "Wq8-vN2xT5kZr0LhYc7uEoJ4bM9sGdPf";

/// Self-issued tokens of an embedded server that signs with HS256: verified here with its secret, good for as long as
/// it says, over at a sign-out.
#[tokio::test]
async fn hs256_tokens_live_for_their_minutes() {
    let auth = |settings: &mut auth_server::Settings| {
        settings.algorithm = auth_server::Algorithm::Hs256;
        settings.secret_key = Some(base::secret::Secret::new(SECRET.to_owned()));
        settings.access_token_lifetime = time::Duration::minutes(5);
    };
    let app = TestApp::with(Plan { auth, ..plan().with("SUPABASE_JWT_SECRET", SECRET) }).await;
    app.signed_in(ADA).await;
    let answer = by_password(&app, ADA, PASSWORD).await;
    let (access, refresh) = tokens(&answer);
    assert_eq!(answer.json()["expires_in"], 300);
    assert_eq!(super::header(&access)["alg"], "HS256");
    app.clock.advance(time::Duration::seconds(299));
    assert_eq!(call(&app, Method::GET, "/api/items/1", &access).await.status, 200);
    app.clock.advance(time::Duration::seconds(1));
    assert_eq!(call(&app, Method::GET, "/api/items/1", &access).await.code(), "invalid_token");
    let (access, _) = tokens(&by_refresh(&app, &refresh).await);
    assert_eq!(call(&app, Method::GET, "/api/items/1", &access).await.status, 200);
    assert_eq!(sign_out(&app, &access, "local").await.status, 204);
    assert_eq!(call(&app, Method::GET, "/api/items/1", &access).await.code(), "invalid_token");
}

/// The same of the program itself, by the variables that an operator sets; its demo API takes the token.
#[tokio::test]
async fn the_program_signs_as_its_variables_say() {
    base::http::install_tls_provider();
    let folder = tempfile::tempdir().unwrap();
    let environment =
        [("AUTH_ALGORITHM", "HS256"), ("AUTH_SECRET_KEY", SECRET), ("AUTH_ACCESS_TOKEN_EXPIRE_MINUTES", "7")];
    let program = Program::start(folder.path(), &environment).await;
    let browser = Browser::new(&program.base);
    let made = browser.post("/auth/signup", &json!({ "email": ADA, "password": PASSWORD })).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let fields = [("grant_type", "password"), ("username", ADA), ("password", PASSWORD)];
    let answer = super::ask_with(&browser.fresh(), &[], &fields).await;
    let (access, _) = tokens(&answer);
    assert_eq!((&answer.json()["expires_in"], &answer.json()["scope"]), (&json!(420), &json!("items:read")));
    assert_eq!(super::header(&access)["alg"], "HS256");
    let bearer = format!("Bearer {access}");
    let call = async |method, path: &str| {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = (method == Method::POST).then(|| "{}".to_owned());
        browser.fresh().send(method, path, &headers, body).await
    };
    assert_eq!(call(Method::GET, "/api/users/me").await.json()["email"], ADA);
    assert_eq!(call(Method::POST, "/auth/logout").await.status, 204);
    assert_eq!(call(Method::GET, "/api/users/me").await.code(), "invalid_token");
}
