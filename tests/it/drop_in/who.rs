//! Who is asking: the cookie wins, a bearer is intent.

use http::Method;
use serde_json::json;
use time::Duration;

use super::{Client, KEY};
use crate::harness::{Plan, TestApp};
use crate::tap::Fault;

/// Section 9: never one person's page over another's cookie, on the data services and on `auth/v1`.
#[tokio::test]
async fn a_phantom_of_somebody_else_is_refused() {
    let app = TestApp::start().await;
    app.auth.fail("/rest/v1/", Fault::Answer(200, "application/json", "[]".into()));
    let ada = Client::signed_up(&app, "ada@example.test").await;
    let old_tab = ada.bearer();
    let bob = Client::of(&ada.browser);
    let body = json!({ "email": "bob@example.test", "password": crate::harness::PASSWORD });
    let mut bob = Client { session: bob.post("signup", &body).await.json(), ..bob };
    bob.keep(&bob.refresh_with("cookie-1").await);
    let calls = app.auth.calls("/rest/v1/");
    for (method, path) in
        [(Method::GET, "rest/v1/notes"), (Method::POST, "rest/v1/notes"), (Method::GET, "storage/v1/bucket")]
    {
        let answer = bob.call_as(&old_tab, method, path, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "session_changed"), "{path}");
        assert_eq!(answer.json()["statusCode"], "401");
    }
    assert_eq!(app.auth.calls("/rest/v1/"), calls, "nothing was forwarded");
    let answer = bob.call_as(&old_tab, Method::GET, "auth/v1/user", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "session_not_found"));
    let answer =
        bob.call_as(&old_tab, Method::PUT, "auth/v1/user", Some(&json!({ "data": { "x": 1 } }))).await;
    assert_eq!(answer.status, 403);
    let answer = bob.call_as(&old_tab, Method::POST, "auth/v1/logout?scope=global", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_changed"));
    for bearer in [bob.bearer(), format!("Bearer {KEY}")] {
        assert_eq!(bob.call_as(&bearer, Method::GET, "rest/v1/notes", None).await.status, 200);
        let user = bob.call_as(&bearer, Method::GET, "auth/v1/user", None).await;
        assert_eq!(user.json()["email"], "bob@example.test");
    }
}

/// Section 9, S-52: without a cookie a phantom is 401, the key is anon or, with `signed_out = "refuse"`, 401; a dead
/// cookie is 401 always.
#[tokio::test]
async fn without_a_cookie_the_bearer_says_whether_anon_will_do() {
    for (mode, key_status) in [("anon", 200), ("refuse", 401)] {
        let app = TestApp::with(Plan::default().with("BFF_SUPABASE_SIGNED_OUT", mode)).await;
        app.auth.fail("/rest/v1/", Fault::Answer(200, "application/json", "[]".into()));
        let ada = Client::signed_up(&app, "ada@example.test").await;
        let stranger = Client::new(&app);
        let status = async |client: &Client, bearer: &str| {
            client.call_as(bearer, Method::GET, "rest/v1/notes", None).await
        };
        assert_eq!(status(&stranger, "Bearer bff").await.status, key_status, "{mode}");
        let answer = status(&stranger, &ada.bearer()).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "session_missing"), "{mode}");
        let copy = Client::of(&ada.browser.stolen());
        assert_eq!(ada.call(Method::POST, "auth/v1/logout?scope=local", None).await.status, 204);
        for bearer in [ada.bearer(), format!("Bearer {KEY}")] {
            let copy = Client::of(&copy.browser.stolen());
            let answer = status(&copy, &bearer).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (401, "session_ended"),
                "{mode}: a dead cookie"
            );
            let answer = copy.call_as(&bearer, Method::GET, "auth/v1/user", None).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "session_not_found"));
        }
        let answer = status(&ada, &ada.bearer()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "session_ended"),
            "the tab that signed out"
        );
        assert_eq!(answer.header("x-session-ended"), "user");
    }
}

/// Section 9: GoTrue is asked once for everybody within ten seconds, and at once after a change through us.
#[tokio::test]
async fn the_person_is_asked_for_once_and_kept_for_ten_seconds() {
    let app = TestApp::start().await;
    let client = Client::signed_up(&app, "ada@example.test").await;
    let asked = || app.auth.seen("/user").iter().filter(|call| call.line.starts_with("GET")).count();
    let get = async || client.get("user").await;
    assert_eq!(
        (get().await.json()["email"].as_str(), asked()),
        (Some("ada@example.test"), 0),
        "the sign-up told"
    );
    app.clock.advance(Duration::seconds(11));
    let all = futures_util::future::join_all((0..20).map(|_| get())).await;
    assert!(all.iter().all(|answer| answer.status == 200));
    assert_eq!(asked(), 1);
    app.clock.advance(Duration::seconds(9));
    get().await;
    assert_eq!(asked(), 1);
    let answer = client.put("user", &json!({ "data": { "colour": "teal" } })).await;
    assert_eq!((answer.status, &answer.json()["user_metadata"]["colour"]), (200, &json!("teal")));
    assert_eq!(get().await.json()["user_metadata"]["colour"], "teal");
    app.clock.advance(Duration::seconds(11));
    get().await;
    assert_eq!(asked(), 2);
    app.auth.fail("/user", Fault::Reset);
    app.clock.advance(Duration::seconds(11));
    let answer = get().await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "auth_unavailable"));
    app.auth.heal();
    app.auth.fail("/user", Fault::code(403, "session_not_found"));
    let answer = get().await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "session_not_found"));
    assert!(client.browser.cookie("sb_session").is_none(), "GoTrue's word ends it here too");
}

/// S-14: the headers of the clients are enough, and none is not; a read with an effect wants one whatever the browser says.
#[tokio::test]
async fn a_call_of_a_client_shows_a_header_of_its_own() {
    let app = TestApp::start().await;
    let client = Client::signed_up(&app, "ada@example.test").await;
    let own = [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
    let send = async |method: Method, path: &str, more: Option<(&str, &str)>| {
        let mut headers = own.to_vec();
        headers.extend(more);
        client.browser.send(method, path, &headers, None).await
    };
    let (user, mails) = ("/supabase/auth/v1/user", "/supabase/auth/v1/reauthenticate");
    assert_eq!(send(Method::GET, user, None).await.status, 200, "a read of a page of ours");
    for path in [mails] {
        let answer = send(Method::GET, path, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "csrf_header"), "{path}");
    }
    assert!(app.outbox().await.is_empty());
    assert_eq!(
        send(Method::HEAD, mails, Some(("apikey", KEY))).await.status,
        403,
        "S-17: HEAD mails nothing"
    );
    let answer = send(Method::POST, "/supabase/auth/v1/logout", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "csrf_header"));
    assert_eq!(send(Method::GET, mails, Some(("apikey", KEY))).await.status, 200);
    assert_eq!(app.outbox().await.len(), 1);
    assert_eq!(send(Method::POST, "/supabase/auth/v1/logout", Some(("apikey", KEY))).await.status, 204);
}

/// What everybody may read.
#[tokio::test]
async fn the_project_describes_itself() {
    let app = TestApp::start().await;
    let client = Client::new(&app);
    assert_eq!(client.get("settings").await.json()["external"]["email"], true);
    assert_eq!(client.get("health").await.json()["name"], "GoTrue");
    assert_eq!(client.get(".well-known/jwks.json").await.json(), json!({ "keys": [] }));
    let off = Plan {
        rules: format!("[supabase]\nservices = [\"rest\"]\n{}", Plan::default().rules),
        ..Plan::default()
    };
    let app = TestApp::with(off).await;
    assert_eq!(Client::new(&app).get("settings").await.status, 404, "not among the services");
    let moved =
        Plan { rules: format!("[supabase]\nmount = \"/db\"\n{}", Plan::default().rules), ..Plan::default() };
    let app = TestApp::with(moved).await;
    assert_eq!(Client::new(&app).get("settings").await.status, 404);
    let answer = app.browser().get("/db/auth/v1/settings").await;
    assert_eq!((answer.status, &answer.json()["external"]["email"]), (200, &json!(true)));
}
