//! The drop-in mount: who asks, with which key, and what is not there.

use http::Method;
use serde_json::json;

use crate::bearer::{SECRET, signed};
use crate::client::script;
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::tap::Fault;

/// S-52, S-39: below the mount the key is ours, the cookie wins, a stranger asks as anon, and nobody is downgraded.
#[tokio::test]
async fn the_mount_asks_as_whoever_is_here() {
    let app = TestApp::with(Plan::default().with("SUPABASE_JWT_SECRET", SECRET)).await;
    let browser = app.signed_in("ada@example.test").await;
    app.auth.fail("/rest/v1/", Fault::Answer(200, "application/json", "[]".into()));
    let own = app.tokens("ada@example.test", PASSWORD).await["access_token"].as_str().unwrap().to_owned();
    let user = format!("Bearer {own}");
    let key = "sb_publishable_test";
    let last = || app.auth.seen("/rest/v1/").pop().unwrap();
    let bearer_of = |call: &crate::tap::Call| {
        call.headers.get("authorization").map_or(String::new(), |v| v.to_str().unwrap().to_owned())
    };
    let mount = "/supabase/rest/v1/notes?n=gte.3&n=lte.8";
    for authorization in ["", "Bearer sb_publishable_other", "Bearer bff", &user, "Basic x", "Bearer"] {
        let mut headers = script().to_vec();
        headers.push(("apikey", "canary-key"));
        if !authorization.is_empty() {
            headers.push(("authorization", authorization));
        }
        let answer = browser.send(Method::GET, mount, &headers, None).await;
        assert_eq!(answer.status, 200, "{authorization}: {}", answer.body);
        let call = last();
        assert_eq!(
            (call.line.as_str(), &call.headers["apikey"]),
            ("GET /rest/v1/notes?n=gte.3&n=lte.8", &http::HeaderValue::from_static(key))
        );
        assert!(bearer_of(&call).starts_with("Bearer eyJ") && bearer_of(&call) != user, "the cookie's token");
        assert!(!format!("{:?}", call.headers).contains("canary"));
    }
    let stranger = app.browser();
    let anon = async |authorization: &str| {
        let headers = [("authorization", authorization), ("apikey", "x")];
        let count = if authorization.is_empty() { 0 } else { 2 };
        stranger.send(Method::GET, mount, &headers[..count], None).await
    };
    for (authorization, expected) in [
        ("", format!("Bearer {key}")),
        ("Bearer bff", format!("Bearer {key}")),
        (user.as_str(), user.clone()),
    ] {
        assert_eq!(anon(authorization).await.status, 200, "{authorization}");
        assert_eq!(bearer_of(&last()), expected, "{authorization}");
    }
    let service = format!(
        "Bearer {}",
        signed(SECRET, &json!({ "role": "service_role", "iss": "supabase", "exp": app.clock_now() + 60 }))
    );
    assert_eq!(anon(&service).await.status, 200);
    assert_eq!(bearer_of(&last()), format!("Bearer {key}"), "S-35: a service key gives nothing");
    let count = app.auth.calls("/rest/v1/");
    let answer = anon(&format!("{user}x")).await;
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.json()["statusCode"].as_str().unwrap()),
        (401, "invalid_token", "401")
    );

    let copy = browser.stolen();
    assert_eq!(browser.post("/auth/logout", &json!({})).await.status, 204);
    for authorization in ["Bearer bff", &user] {
        let mut headers = script().to_vec();
        headers.push(("authorization", authorization));
        let answer = copy.stolen().send(Method::GET, mount, &headers, None).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "session_ended"),
            "a dead cookie is 401 always"
        );
        assert_eq!(answer.header("x-session-ended"), "user");
    }
    assert_eq!(app.auth.calls("/rest/v1/"), count, "S-52: none of them was forwarded");
}

/// S-53, S-78: below `auth/v1` there is a closed list of calls; GoTrue itself is reachable under no name.
#[tokio::test]
async fn gotrue_is_no_upstream() {
    let app = TestApp::start().await;
    let browser = app.signed_in("ada@example.test").await;
    let calls = app.auth.calls("");
    for path in [
        "verify?token=x&type=signup",
        "callback?code=x",
        "invite",
        "admin/users",
        "admin/generate_link",
        "magiclink",
        "sso/saml/acs",
        "sso/saml/metadata",
        "oauth/authorize",
        "oauth/token",
        "user/oauth/grants",
        "scim/v2/Users",
        "passkeys",
        "outbox.json",
        ".well-known/openid-configuration",
        "TOKEN?grant_type=password",
        "token/?grant_type=password",
        "/token?grant_type=password",
        "%74oken?grant_type=password",
        "",
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if path.starts_with("verify") && method == Method::POST {
                continue; // on the list
            }
            let answer = browser.json(method.clone(), &format!("/supabase/auth/v1/{path}"), &json!({})).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
            assert!(["not_found", "feature_disabled"].contains(&answer.code().as_str()), "{}", answer.body);
        }
    }
    for path in ["token?grant_type=password", "user", "settings", "otp", "authorize?provider=google"] {
        for prefix in ["/auth/v1/", "/supabase/auth/", "/supabase/auth/v2/", "/Supabase/auth/v1/"] {
            for method in [Method::GET, Method::POST] {
                let answer = browser.json(method.clone(), &format!("{prefix}{path}"), &json!({})).await;
                assert_eq!(answer.status, 404, "{method} {prefix}{path}");
            }
        }
    }
    assert_eq!(app.auth.calls(""), calls, "GoTrue heard nothing");
}
