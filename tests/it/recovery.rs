//! A forgotten password: asked for by address, replaced by a session that can do nothing else.

use http::Method;
use serde_json::json;
use time::Duration;

use crate::client::{Browser, navigation};
use crate::confirm::plain;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::limited::recovering;
use crate::mailbox::{at_auth_server, ban, confirmed, fill, leads, letter, letters, log_in, press, who};
use crate::mfa::add_app;
use crate::modes::Mode;
use crate::tap::Fault;

const ADA: &str = "ada@example.test";
const NEW: &str = "lantern quarry 58 oboe";

/// Somebody of each kind, with addresses of one length.
pub const EVERYBODY: [&str; 4] =
    ["known@example.test", "bannd@example.test", "fresh@example.test", "never@example.test"];

/// All of [`EVERYBODY`]: known, banned, not confirmed, unknown.
pub async fn everybody() -> TestApp {
    let app = TestApp::with(Plan { auth: |settings| settings.confirm_email = true, ..Plan::default() }).await;
    let [known, banned, fresh, _] = EVERYBODY;
    for email in [known, banned] {
        confirmed(&app, email).await;
    }
    ban(&app, banned).await;
    let body = json!({ "email": fresh, "password": PASSWORD });
    assert_eq!(app.browser().post("/auth/signup", &body).await.status, 200);
    app.clock.advance(Duration::minutes(2));
    app
}

/// Asks for a recovery on the page, with a way back to `/notes`.
async fn ask(browser: &Browser, email: &str) {
    let fields = [("email", email), ("return_to", "/notes")];
    let answer = fill(browser, "/auth/recover?return_to=/notes", "/auth/recover", &fields).await;
    assert_eq!(leads(&answer), (303, "/auth/otp"), "{}", answer.body);
}

/// The whole way, without script, the mail opened on another device. S-06, S-45: the session that set the password has a
/// new id, and every other one of the person is over, in every mode.
#[tokio::test]
async fn a_forgotten_password_is_replaced() {
    for mode in [Mode::Cookie, Mode::Memory, Mode::Sqlite, Mode::redis()] {
        let app = TestApp::with(mode.plan()).await;
        let before = app.signed_in(ADA).await;
        app.clock.advance(Duration::minutes(1));
        let browser = app.browser();
        let login = browser.navigate("/auth/login?return_to=/notes").await;
        assert!(login.body.contains("href=\"/auth/recover?return_to=&#x2f;notes\""), "{}", login.body);
        ask(&browser, ADA).await;
        let check = browser.navigate_from("same-origin", "/auth/otp").await;
        assert!(check.body.contains("If there is an account for ada@example.test,"), "{}", check.body);

        let phone = app.browser();
        let answer = press(&phone, &letter(&app, ADA).await.link, &[]).await;
        assert_eq!(leads(&answer), (303, "/auth/reset"), "{}", answer.body);
        assert_eq!(who(&phone).await, (ADA.to_owned(), json!("recovery")));
        let page = phone.navigate_from("same-origin", "/auth/reset").await;
        for part in [
            "Choose a new password",
            "For ada@example.test.",
            "autocomplete=\"username\"",
            "Cancel and sign out",
        ] {
            assert!(page.body.contains(part), "{part}: {}", page.body);
        }
        let (copy, token) = (phone.stolen(), page.form_token("/auth/reset"));
        for (password, status, sentence) in [
            ("", 422, "Fill in this field."),
            ("password1", 422, "This password is easy to guess."),
            (PASSWORD, 422, "This is the password you have now."),
        ] {
            let answer = phone.submit("/auth/reset", &[("form_token", &token), ("password", password)]).await;
            let status = if password.is_empty() { 400 } else { status };
            assert_eq!(answer.status, status, "{password}");
            assert!(
                answer.body.contains(sentence) && answer.body.contains("<title>Problem: "),
                "{}",
                answer.body
            );
        }
        assert_eq!(before.stolen().get("/api/notes").await.status, 200, "nothing has changed so far");
        let answer = phone.submit("/auth/reset", &[("form_token", &token), ("password", NEW)]).await;
        assert_eq!(leads(&answer), (303, "/auth/account"), "{}", answer.body);
        let account = phone.navigate_from("same-origin", "/auth/account").await;
        assert!(account.body.contains("Your new password is set, and all other devices are signed out."));
        assert_eq!(who(&phone).await, (ADA.to_owned(), json!(null)));
        assert_eq!(phone.get("/api/notes").await.status, 200, "the limit is gone");

        let ended =
            |answer: &crate::client::Answer| (answer.status, answer.header("x-session-ended").to_owned());
        assert_eq!(ended(&copy.get("/auth/account").await), (401, "replaced".into()));
        assert_eq!(ended(&before.get("/api/notes").await), (401, "password_changed".into()));
        assert_eq!(log_in(&app, ADA, PASSWORD).await.status, 401);
        assert_eq!(log_in(&app, ADA, NEW).await.status, 200);
        app.clock.advance(Duration::minutes(31));
        assert_eq!(phone.get("/api/notes").await.status, 200, "and is refreshed as ever");
    }
}

/// The same path as JSON, by link and by digits.
#[tokio::test]
async fn json_replaces_a_password_too() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    for (by_link, password) in [(true, NEW), (false, "thimble orchard 31 gong")] {
        let browser = app.browser();
        let answer = browser.post("/auth/recover", &json!({ "email": ADA })).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"sent"}"#));
        let mail = letter(&app, ADA).await;
        let answer = if by_link {
            browser.post("/auth/confirm", &json!({ "token_hash": mail.hash, "type": "recovery" })).await
        } else {
            let spaced = format!("{} {} ", &mail.code[..3], &mail.code[3..]);
            browser.post("/auth/otp", &json!({ "email": ADA, "code": spaced })).await
        };
        let said = answer.json();
        assert_eq!(
            (&said["status"], &said["return_to"]),
            (&json!("signed_in"), &json!("/auth/reset")),
            "{said}"
        );
        assert_eq!(said["session"]["limited"], "recovery");
        let answer = browser.post("/auth/reset", &json!({ "password": "password1" })).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "weak_password"));
        let answer = browser.post("/auth/reset", &json!({ "password": password })).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"status":"done"}"#));
        assert_eq!(who(&browser).await, (ADA.to_owned(), json!(null)));
        app.clock.advance(Duration::minutes(6));
        let answer = browser.post("/auth/reset", &json!({ "password": password })).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (410, "link_expired"),
            "only as long as the mail is a fresh proof"
        );
    }
}

/// S-32: what a recovery may do besides: say who it is, renew itself, sign out. Nothing is forgotten by a refresh.
#[tokio::test]
async fn a_recovery_opens_nothing_else() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    let browser = recovering(&app).await;
    let list = ["/auth/account", "/auth/account/security", "/api/notes", "/api/items/1"];
    app.clock.advance(Duration::minutes(1));
    assert_eq!(browser.post("/auth/refresh", &json!({})).await.status, 204);
    for path in list {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "session_limited"), "{path}");
    }
    let answer = browser.post("/auth/logout", &json!({ "scope": "others" })).await;
    assert_eq!(answer.code(), "session_limited");
    for path in ["/auth/account", "/auth/login", "/auth/mfa"] {
        assert_eq!(
            leads(&browser.navigate(path).await),
            (303, "/auth/reset"),
            "{path}: pages lead to the step"
        );
    }
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    let page = browser.navigate("/auth/reset").await;
    assert_eq!(page.status, 410, "{}", page.body);
}

/// S-32: a recovery does not skip the second factor: its code comes first, and until then no password is set.
#[tokio::test]
async fn a_recovery_does_not_skip_the_second_factor() {
    let app = TestApp::start().await;
    let first = app.signed_in(ADA).await;
    let phone = add_app(&app, &first, "phone").await;
    app.browser().post("/auth/recover", &json!({ "email": ADA })).await;
    let browser = app.browser();
    let answer = press(&browser, &letter(&app, ADA).await.link, &[]).await;
    assert_eq!(leads(&answer), (303, "/auth/mfa?return_to=%2F"), "{}", answer.body);
    assert_eq!(who(&browser).await.1, "mfa");
    assert_eq!(leads(&browser.navigate("/auth/reset").await), (303, "/auth/mfa?return_to=%2F"));
    let answer = browser.post("/auth/reset", &json!({ "password": NEW })).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "session_limited"));
    assert_eq!(app.auth.calls("PUT /auth/v1/user"), 0);
    let answer = browser.post("/auth/mfa", &json!({ "code": phone.code(&app) })).await;
    assert_eq!(answer.json()["session"]["limited"], "recovery", "{}", answer.body);
    assert_eq!(leads(&browser.navigate("/auth/account").await), (303, "/auth/reset"));
    let answer = browser.post("/auth/reset", &json!({ "password": NEW })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(who(&browser).await, (ADA.to_owned(), json!(null)));
    assert_eq!(browser.get("/api/vault").await.status, 200, "both steps are done");

    // A factor that was added a moment ago counts as well.
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    let late = recovering(&app).await;
    let mut person = app.tokens(ADA, PASSWORD).await["user"].clone();
    person["factors"] = json!([{
        "id": "0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f",
        "factor_type": "totp",
        "status": "verified",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }]);
    app.auth.fail_once("GET /auth/v1/user", Fault::Answer(200, "application/json", person.to_string()));
    let answer = late.post("/auth/reset", &json!({ "password": NEW })).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "insufficient_user_authentication"));
    assert!(answer.header("www-authenticate").contains(r#"acr_values="aal2""#));
    assert_eq!(app.auth.calls("PUT /auth/v1/user"), 0);
}

/// S-44, S-46: GoTrue is asked first: a session that it has ended sets no password; an outage ends nothing.
#[tokio::test]
async fn a_recovery_that_was_ended_elsewhere_sets_nothing() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    let browser = recovering(&app).await;
    for part in ["GET /auth/v1/user", "PUT /auth/v1/user"] {
        app.auth.fail_once(part, Fault::code(500, "unexpected_failure"));
        let answer = browser.post("/auth/reset", &json!({ "password": NEW })).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "auth_unavailable"), "{part}");
        assert_eq!(who(&browser).await.1, "recovery");
    }
    let tokens = app.tokens(ADA, PASSWORD).await;
    let token = tokens["access_token"].as_str().unwrap();
    let gone = at_auth_server(&app, Method::POST, "logout?scope=global", token, &json!({})).await;
    assert_eq!(gone.status, 204);
    let puts = app.auth.calls("PUT /auth/v1/user");
    let answer = browser.post("/auth/reset", &json!({ "password": NEW })).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_ended"));
    assert_eq!(app.auth.calls("PUT /auth/v1/user"), puts);
    assert_eq!(log_in(&app, ADA, PASSWORD).await.status, 200);
}

/// Too late, without a session, with a session like any other: each is a page with a next step that works.
#[tokio::test]
async fn whoever_may_not_choose_a_password_is_led_on() {
    let app = TestApp::start().await;
    let person = app.signed_in(ADA).await;
    assert_eq!(leads(&person.navigate("/auth/reset").await), (303, "/auth/account"));
    let answer = person.post("/auth/reset", &json!({ "password": NEW })).await;
    assert_eq!((answer.status, answer.code().as_str()), (410, "link_expired"));
    let stranger = app.browser();
    assert_eq!(stranger.post("/auth/reset", &json!({ "password": NEW })).await.code(), "session_missing");

    let late = recovering(&app).await;
    app.clock.advance(Duration::minutes(61));
    for browser in [stranger, late] {
        let page = browser.navigate("/auth/reset").await;
        assert_eq!(page.status, 410, "{}", page.body);
        let count = letters(&app, ADA).await.len();
        let token = page.form_token("/auth/otp");
        let purpose = page.field("purpose");
        let fields = [("form_token", &*token), ("purpose", &purpose), ("again", "true"), ("email", ADA)];
        let answer = browser.submit("/auth/otp", &fields).await;
        assert_eq!(leads(&answer), (303, "/auth/otp"), "{}", answer.body);
        assert_eq!(letters(&app, ADA).await.len(), count + 1);
        assert!(letter(&app, ADA).await.link.contains("type=recovery"));
        app.clock.advance(Duration::minutes(2));
    }
    assert_eq!(app.auth.calls("PUT /auth/v1/user"), 0);
}

/// S-71: byte for byte the same for known, unknown, banned and unconfirmed people, as a page and as JSON, whatever GoTrue
/// says of its own limits; and no password is hashed for any of them.
#[tokio::test]
async fn a_recovery_tells_nobody_who_is_known() {
    let app = everybody().await;
    let by_json =
        async |email: &str| plain(&app.browser().post("/auth/recover", &json!({ "email": email })).await);
    let by_form = async |email: &str| {
        let browser = app.browser();
        let asked = fill(&browser, "/auth/recover", "/auth/recover", &[("email", email)]).await;
        let shown = browser.navigate_from("same-origin", "/auth/otp").await;
        [asked, shown].map(|answer| {
            let (status, headers, body) = plain(&answer);
            (status, headers, body.replace(email, "somebody"))
        })
    };
    let work = app.auth_server().password_work();
    let (said, shown) = (by_json("nobod@example.test").await, by_form("other@example.test").await);
    assert_eq!((said.0, shown[0].0, shown[1].0), (200, 303, 200));
    for email in EVERYBODY {
        assert_eq!(by_json(email).await, said, "{email}");
        assert_eq!(by_json(email).await, said, "{email}, within the minute");
        app.clock.advance(Duration::minutes(2));
        assert_eq!(by_form(email).await, shown, "{email}");
        app.clock.advance(Duration::minutes(2));
    }
    assert_eq!(app.auth_server().password_work(), work, "no work for anybody");
    for fault in [
        Fault::code(429, "over_email_send_rate_limit"),
        Fault::code(429, "over_request_rate_limit"),
        Fault::code(422, "user_banned"),
        Fault::code(400, "email_address_not_authorized"),
    ] {
        app.auth.fail_once("/recover", fault.clone());
        assert_eq!(by_json("known@example.test").await, said, "{fault:?}");
        app.clock.advance(Duration::minutes(2));
    }
}

/// S-82: a hundred wishes for one address are one mail a minute; a mail of another kind is counted apart.
#[tokio::test]
async fn a_hundred_recoveries_are_one_mail_a_minute() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_MAIL_PER_NETWORK", "1000/1h")).await;
    app.signed_in(ADA).await;
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let answer = app.browser().post("/auth/recover", &json!({ "email": ADA })).await;
        answers.insert((answer.status, answer.body));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(letters(&app, ADA).await.len(), 1);
    app.browser().post("/auth/otp", &json!({ "email": ADA })).await;
    assert_eq!(letters(&app, ADA).await.len(), 2);
    app.clock.advance(Duration::minutes(1));
    app.browser().post("/auth/recover", &json!({ "email": ADA })).await;
    assert_eq!(letters(&app, ADA).await.len(), 3);
}

/// S-82, S-84: the network's cap holds for all mails together, and is counted before the body is read.
#[tokio::test]
async fn a_network_has_so_many_mails_an_hour() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_MAIL_PER_NETWORK", "3/1h")).await;
    for (n, path) in ["/auth/recover", "/auth/otp", "/auth/recover"].iter().enumerate() {
        let body = json!({ "email": format!("n{n}@example.test") });
        assert_eq!(app.browser().post(path, &body).await.status, 200, "{path}");
    }
    let asked = app.auth.calls("POST");
    for path in ["/auth/recover", "/auth/otp"] {
        let answer = app.browser().post(path, &json!({ "email": "n9@example.test" })).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"), "{path}");
        let page = fill(&app.browser(), path, path, &[("email", "n9@example.test")]).await;
        assert_eq!(page.status, 429);
        assert!(
            page.body.contains("There were many tries in a short time.")
                && page.body.contains(&format!("action=\"{path}\""))
        );
    }
    assert_eq!(app.auth.calls("POST"), asked);
}

/// S-13, S-15, S-16: a wish of another site, or of another browser's form, sends nothing and sets nothing.
#[tokio::test]
async fn the_forms_are_guarded() {
    let app = TestApp::start().await;
    app.signed_in(ADA).await;
    let recovery = recovering(&app).await;
    let other = app.browser().navigate("/auth/recover").await.form_token("/auth/recover");
    let sent = letters(&app, ADA).await.len();
    for (browser, path, page) in [
        (app.browser(), "/auth/recover", "/auth/recover"),
        (app.browser(), "/auth/otp", "/auth/otp"),
        (recovery, "/auth/reset", "/auth/reset"),
    ] {
        browser.navigate(page).await;
        for token in ["", "x", other.as_str()] {
            let fields = [("form_token", token), ("email", ADA), ("password", NEW)];
            let answer = browser.submit(path, &fields).await;
            assert_eq!(answer.status, 403, "{path} {token}");
            assert!(
                answer.body.contains("nothing was sent") && !answer.body.contains(NEW),
                "{}",
                answer.body
            );
            assert!(!answer.form_token(path).is_empty());
        }
        let mut headers = navigation("cross-site").to_vec();
        headers
            .extend([("origin", "https://evil.test"), ("content-type", "application/x-www-form-urlencoded")]);
        let body = format!("email={ADA}&password=x");
        let answer = app.browser().send(Method::POST, path, &headers, Some(body)).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!((letters(&app, ADA).await.len(), app.auth.calls("PUT /auth/v1/user")), (sent, 0));
}

/// A double click sets the password once, and neither click finds an error.
#[tokio::test]
async fn a_double_click_is_one_change() {
    for plan in [Plan::default(), Plan::in_memory()] {
        let app = TestApp::with(plan).await;
        app.signed_in(ADA).await;
        let browser = recovering(&app).await;
        let token = browser.navigate("/auth/reset").await.form_token("/auth/reset");
        let fields = [("form_token", token.as_str()), ("password", NEW)];
        let tab = browser.clone();
        let (one, two) =
            tokio::join!(browser.submit("/auth/reset", &fields), tab.submit("/auth/reset", &fields));
        assert_eq!([leads(&one), leads(&two)], [(303, "/auth/account"); 2], "{} {}", one.body, two.body);
        assert_eq!(app.auth.calls("PUT /auth/v1/user"), 1);
        assert_eq!(who(&browser).await, (ADA.to_owned(), json!(null)));
    }
}
