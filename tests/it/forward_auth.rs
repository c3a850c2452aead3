//! `/auth/verify`: what another proxy is told about a request that came to it.

mod plainly;

use http::Method;
use serde_json::json;

use crate::bearer::SECRET;
use crate::client::{Answer, Browser, navigation, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::logs::holds_a_jwt;
use crate::policy::bearer;
use crate::tap::Fault;

const HOST: &str = "app.example.test";
const SITE: &str = "https://app.example.test";

const RULES: &str = r#"
[scopes]
"notes" = "Everything about notes"
"notes:read" = "Read notes"

[roles]
user = ["notes:read"]
editor = ["notes"]
"a,b" = []

[[rules]]
name = "open"
path = "/open/**"
host = "app.example.test"
allow = "public"

[[rules]]
name = "half"
path = "/half/**"
host = "app.example.test"
allow = "optional"

[[rules]]
name = "edit"
path = "/notes/**"
methods = ["POST", "DELETE"]
host = "app.example.test"
scopes = ["notes:edit"]

[[rules]]
name = "vault"
path = "/vault"
host = "app.example.test"
aal = 2

[[rules]]
name = "cookie-only"
path = "/cookie"
host = "app.example.test"
bearer = false

[[rules]]
name = "gateway"
path = "/api/**"
to = "echo"

[[rules]]
name = "others"
path = "/**"
host = "app.example.test"
"#;

/// Sessions in a store, and the proxies of this machine may ask.
pub fn plan() -> Plan {
    Plan { rules: RULES.to_owned(), ..Plan::in_memory() }
        .with("BFF_SESSION_STORE", "sqlite:unused.db") // the harness puts its own in place
        .with("BFF_PUBLIC_URL", SITE)
        .with("BFF_TRUSTED_PROXIES", "127.0.0.1/32,::1/128")
        .with("BFF_FORWARD_AUTH_ENABLED", "true")
        .with("BFF_FORWARD_AUTH_HOSTS", HOST)
}

/// How a proxy describes `method uri` at our site.
fn about<'a>(method: &'a str, uri: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("host", "bff.internal:8080"), // its own word for us says nothing
        ("x-forwarded-method", method),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", HOST),
        ("x-forwarded-uri", uri),
    ]
}

async fn ask(browser: &Browser, asked: &[(&str, &str)], sent: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = asked.iter().chain(sent).copied().collect();
    browser.send(Method::GET, "/auth/verify", &headers, None).await
}

/// Every header of the set, in a fixed order.
fn set(answer: &Answer) -> Vec<(String, String)> {
    let told = answer.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-auth-request-"));
    let mut told: Vec<_> =
        told.map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())).collect();
    told.sort();
    told
}

/// S-64: a yes names who asks, in every header of the set; a no has none of them; neither has a body or a cookie.
#[tokio::test]
async fn a_proxy_is_told_who_asks() {
    let app = TestApp::with(plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    let id = browser.get("/auth/session").await.json()["session"]["id"].as_str().unwrap().to_owned();
    let yes = ask(&browser, &about("GET", "/notes/1?x=/../y"), &script()).await;
    assert_eq!((yes.status, yes.body.as_str()), (200, ""));
    let user = set(&yes).into_iter().find(|(name, _)| name == "x-auth-request-user").unwrap().1;
    assert_eq!(user.len(), 36, "an id, not an address");
    let pair = |name: &str, value: &str| (format!("x-auth-request-{name}"), value.to_owned());
    assert_eq!(
        set(&yes),
        [
            pair("aal", "1"),
            pair("email", "ada@example.test"),
            pair("groups", "user"),
            pair("preferred-username", "ada@example.test"),
            pair("scopes", "notes:read"),
            pair("session-id", &id),
            pair("user", &user),
        ]
    );
    assert_eq!((yes.set_cookies().len(), yes.header("cache-control")), (0, "no-store"));

    let stranger = app.browser();
    let no = ask(&stranger, &about("GET", "/notes/1"), &script()).await;
    assert_eq!((no.status, no.body.as_str(), set(&no)), (401, "", Vec::new()));
    assert_eq!(no.header("www-authenticate"), r#"Bearer realm="supabase-bff""#);
    assert!(no.set_cookies().is_empty());

    for (uri, who) in [("/open/x", &browser), ("/open/x", &stranger), ("/half/x", &stranger)] {
        let answer = ask(who, &about("GET", uri), &script()).await;
        assert_eq!(answer.status, 200, "{uri}");
        let told = set(&answer);
        assert_eq!(told.len(), 7, "{told:?}");
        assert!(told.iter().all(|(_, value)| value.is_empty()), "present and empty: {told:?}");
    }
    let known = ask(&browser, &about("GET", "/half/x"), &script()).await;
    assert!(set(&known).contains(&pair("user", &user)));
}

/// S-63: the same decision as the gateway's: rules by host, method and path, scopes, level; what no rule is about is a no,
/// what the gateway serves is none of another proxy's, and nothing else opens a door.
#[tokio::test]
async fn the_rules_decide() {
    let app = TestApp::with(plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    let origin = [("origin", SITE)];
    let write: Vec<_> = script().into_iter().chain(origin).collect();
    let page = navigation("none");
    for (status, method, uri, sent) in [
        (200, "GET", "/notes/1", &script()[..]),
        (200, "HEAD", "/notes/1", &script()),
        (200, "GET", "/notes/1", &page),
        (403, "POST", "/notes/1", &write), // insufficient_scope
        (200, "PUT", "/notes/1", &write),  // the last rule
        (401, "GET", "/vault", &script()), // step-up
        (200, "GET", "/api/x", &script()), // the rule with an upstream is not asked
        (403, "GET", "/auth/session", &page),
        (403, "GET", "/auth/verify", &page),
        (403, "GET", "/supabase/rest/v1/notes", &page),
        (403, "TRACE", "/open/x", &script()),
        (403, "CONNECT", "/open/x", &script()),
        (403, "get", "/open/x", &script()),
        (403, "PURGE", "/open/x", &script()),
    ] {
        let answer = ask(&browser, &about(method, uri), sent).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, ""), "{method} {uri}");
    }
    let scope = ask(&browser, &about("DELETE", "/notes/1"), &write).await;
    assert_eq!(
        scope.header("www-authenticate"),
        r#"Bearer realm="supabase-bff", error="insufficient_scope", scope="notes:edit""#
    );
    let step = ask(&browser, &about("GET", "/vault"), &script()).await;
    assert_eq!(
        step.header("www-authenticate"),
        r#"Bearer realm="supabase-bff", error="insufficient_user_authentication", acr_values="aal2""#
    );
    let stranger = app.browser();
    for sent in [
        &[("user-agent", "GoogleHC/1.0")][..],
        &[("user-agent", "kube-probe/1.30")],
        &[("x-middleware-subrequest", "middleware")],
        &[("x-forwarded-for", "127.0.0.1")],
        &[("x-auth-request-user", "ada")],
        &[("x-forwarded-user", "ada")],
        &[("access-control-request-method", "GET"), ("origin", SITE)],
        &[("x-http-method-override", "OPTIONS")],
    ] {
        for (method, uri) in [("GET", "/notes/1"), ("OPTIONS", "/notes/1"), ("GET", "/healthz"), ("GET", "/")]
        {
            assert_eq!(
                ask(&stranger, &about(method, uri), sent).await.status,
                401,
                "{method} {uri} {sent:?}"
            );
        }
    }
    // Its own method, host and query are not the request's.
    for method in [Method::POST, Method::OPTIONS, Method::PUT] {
        let headers = about("GET", "/open/x");
        let answer = browser.send(method.clone(), "/auth/verify", &headers, None).await;
        assert_eq!((answer.status, answer.body.as_str()), (403, ""), "{method}");
    }
}

/// A navigation is told where to sign in, with the way back, at the public address and not at one that a header names;
/// `redirect=302` sends it there. A script, and a form that nobody can send again, are told the status alone.
#[tokio::test]
async fn people_are_led_to_the_sign_in() {
    let app = TestApp::with(plan()).await;
    let stranger = app.browser();
    let asked = about("GET", "/deep/page?a=1&b=%2F");
    let login = "https://app.example.test/auth/login?return_to=%2Fdeep%2Fpage%3Fa%3D1%26b%3D%252F";
    for site in ["none", "same-origin", "cross-site"] {
        let hinted = ask(&stranger, &asked, &navigation(site)).await;
        assert_eq!((hinted.status, hinted.header("x-auth-request-redirect")), (401, login), "{site}");
        let headers: Vec<_> = asked.iter().copied().chain(navigation(site)).collect();
        let sent = stranger.send(Method::GET, "/auth/verify?redirect=302", &headers, None).await;
        assert_eq!((sent.status, sent.header("location"), sent.body.as_str()), (302, login, ""), "{site}");
        assert!(sent.set_cookies().is_empty() && hinted.set_cookies().is_empty(), "{site}");
    }
    let headers: Vec<_> = asked.iter().copied().chain(script()).collect();
    let scripted = stranger.send(Method::GET, "/auth/verify?redirect=302", &headers, None).await;
    assert_eq!((scripted.status, scripted.header("location")), (401, ""));
    assert_eq!(scripted.header("x-auth-request-redirect"), "");

    let form: Vec<_> = navigation("same-origin").into_iter().chain([("origin", SITE)]).collect();
    let posted = ask(&stranger, &about("POST", "/deep/page"), &form).await;
    assert_eq!((posted.status, posted.header("x-auth-request-redirect")), (401, ""));

    let browser = app.signed_in("ada@example.test").await;
    let step = ask(&browser, &about("GET", "/vault"), &navigation("none")).await;
    assert_eq!(
        (step.status, step.header("x-auth-request-redirect")),
        (401, "https://app.example.test/auth/mfa?return_to=%2Fvault")
    );
    let forbidden = ask(&browser, &about("GET", "/auth/session"), &navigation("none")).await;
    assert_eq!((forbidden.status, forbidden.header("x-auth-request-redirect")), (403, ""));
}

/// A session that is due is refreshed in the store, once, without a cookie; one that has ended is a 401 with its reason.
#[tokio::test]
async fn a_session_is_kept_alive_behind_the_proxy() {
    let app = TestApp::with(plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    app.past_expiry();
    let asked = about("GET", "/notes/1");
    let sent = script();
    let (a, b) = tokio::join!(ask(&browser, &asked, &sent), ask(&browser, &asked, &sent));
    assert_eq!((a.status, b.status, app.refreshes()), (200, 200, 1));
    assert!(a.set_cookies().is_empty() && b.set_cookies().is_empty());

    let copy = browser.stolen();
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    let over = ask(&copy, &asked, &sent).await;
    assert_eq!((over.status, over.header("x-session-ended"), set(&over)), (401, "user", Vec::new()));
    assert!(over.set_cookies().is_empty());
}

/// S-64: with the auth server away and the token over nobody can tell: 503, and the session is kept.
#[tokio::test]
async fn an_outage_is_no_yes() {
    let app = TestApp::with(plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    app.past_expiry();
    app.auth.fail("", Fault::Silence);
    let answer = ask(&browser, &about("GET", "/notes/1"), &script()).await;
    assert_eq!((answer.status, answer.body.as_str(), set(&answer)), (503, "", Vec::new()));
    assert_ne!(answer.header("retry-after"), "");
}

/// S-39: a program's bearer is judged as at the gateway; with `pass_token` a yes brings the token, and a no or a stranger
/// brings none.
#[tokio::test]
async fn tokens_are_passed_on_only_if_asked_for() {
    let app = TestApp::with(plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    let token = app.tokens("ada@example.test", PASSWORD).await["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let program = [("authorization", bearer.as_str())];
    let yes = ask(&app.browser(), &about("GET", "/notes/1"), &program).await;
    assert_eq!(yes.status, 200);
    assert!(
        set(&yes).iter().all(|(name, value)| name != "x-auth-request-access-token" && !holds_a_jwt(value))
    );
    assert_eq!(ask(&app.browser(), &about("GET", "/cookie"), &program).await.status, 401);
    assert_eq!(ask(&browser, &about("GET", "/notes/1"), &program).await.status, 403, "two identities");
    let bad = ask(&app.browser(), &about("GET", "/notes/1"), &[("authorization", "Bearer x")]).await;
    assert_eq!(bad.header("www-authenticate"), r#"Bearer realm="supabase-bff", error="invalid_token""#);

    let passing = app.node(&[("BFF_FORWARD_AUTH_PASS_TOKEN", "true")]).await;
    let told = async |browser: &Browser, uri, sent: &[(&str, &str)]| {
        ask(&browser.at(&passing), &about("GET", uri), sent)
            .await
            .header("x-auth-request-access-token")
            .to_owned()
    };
    assert_eq!(told(&app.browser(), "/notes/1", &program).await, token);
    assert!(told(&browser, "/notes/1", &script()).await.starts_with("eyJ"));
    for uri in ["/open/x", "/half/x"] {
        assert_eq!(told(&app.browser(), uri, &[]).await, "", "{uri}");
    }
    assert_eq!(told(&browser, "/open/x", &script()).await, "", "public rules look at nobody");
    assert_eq!(told(&browser, "/auth/session", &script()).await, "");
}

/// S-64: one group stays one, whatever is in its name.
#[tokio::test]
async fn a_comma_makes_no_second_group() {
    let app = TestApp::with(plan().with("SUPABASE_JWT_SECRET", SECRET)).await;
    let claims = json!({ "app_metadata": { "roles": ["a,b", "50%", "user"], "scopes": ["x y", "z"] } });
    let bearer = bearer(&app, claims);
    let answer = ask(&app.browser(), &about("GET", "/notes/1"), &[("authorization", &bearer)]).await;
    assert_eq!(answer.header("x-auth-request-groups"), "a%2Cb,50%25,user");
    assert_eq!(answer.header("x-auth-request-scopes"), "notes:read x%20y z");
}

/// Envoy sends the original method and path and appends the path to ours; its host and `X-Forwarded-Proto` say the rest.
/// What it hands on to the browser leads people to the sign-in.
#[tokio::test]
async fn envoy_asks_by_path() {
    let app = TestApp::with(plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    let ask = async |browser: &Browser, method: Method, target: &str, host: &str, sent: &[(&str, &str)]| {
        let mut headers = vec![("host", host), ("x-forwarded-proto", "https")];
        headers.extend(sent);
        browser.send(method, &format!("/auth/verify/envoy{target}"), &headers, None).await
    };
    let origin: Vec<_> = script().into_iter().chain([("origin", SITE)]).collect();
    for (status, method, target, host) in [
        (200, Method::GET, "/notes/1?redirect=302", HOST),
        (200, Method::GET, "/", HOST),
        (200, Method::PUT, "/notes/1", HOST),
        (403, Method::POST, "/notes/1", HOST),
        (403, Method::GET, "//notes", HOST),
        (403, Method::GET, "/a%2fb", HOST),
        (403, Method::GET, "/auth/session", HOST),
        (403, Method::GET, "/notes/1", "other.example.test"),
        (200, Method::OPTIONS, "/open/x", HOST),
    ] {
        let answer = ask(&browser, method.clone(), target, host, &origin).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, ""), "{method} {target} {host}");
        assert!(answer.set_cookies().is_empty(), "{target}");
    }
    let preflight = [("access-control-request-method", "GET"), ("origin", SITE)];
    assert_eq!(ask(&app.browser(), Method::OPTIONS, "/notes/1", HOST, &preflight).await.status, 401);
    let sent = ask(&app.browser(), Method::GET, "/notes/1?lang=de", HOST, &navigation("cross-site")).await;
    assert_eq!(
        (sent.status, sent.header("location")),
        (302, "https://app.example.test/auth/login?return_to=%2Fnotes%2F1%3Flang%3Dde")
    );
    assert!(sent.set_cookies().is_empty(), "S-64: a language in the address is none of ours");
    let twice = [("x-forwarded-proto", "https")];
    assert_eq!(ask(&browser, Method::GET, "/open/x", HOST, &twice).await.status, 403);
}

/// While it is off there is nothing there.
#[tokio::test]
async fn nothing_answers_while_it_is_off() {
    let app = TestApp::start().await;
    for path in ["/auth/verify", "/auth/verify/envoy/api/public/x"] {
        assert_eq!(app.browser().get(path).await.status, 404, "{path}");
    }
}
