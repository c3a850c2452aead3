//! Every route of the public port, for rules that hold on all of them.

use http::Method;
use serde_json::json;

use crate::client::{Answer, Browser, navigation};
use crate::harness::{PASSWORD, TestApp};

/// Paths to GET: pages, JSON, forms with odd parameters, proxied routes, refusals.
pub const PATHS: &[&str] = &[
    "/",
    "/auth",
    "/auth/",
    "/auth/login",
    "/auth/login?return_to=/notes",
    "/auth/login?prompt=login",
    "/auth/login?lang=de",
    "/auth/login?a=1&a=2",
    "/auth/signup",
    "/auth/signup?return_to=/notes",
    "/auth/otp",
    "/auth/confirm",
    "/auth/confirm?token_hash=abcdef&type=signup",
    "/auth/confirm?token_hash=abcdef&type=recovery&next=/notes",
    "/auth/confirm?token_hash=abcdef&type=odd",
    "/auth/start/google",
    "/auth/start/github?return_to=/notes",
    "/auth/start/nobody",
    "/auth/callback/AAAAAAAAAAAAAAAAAAAAAA",
    "/auth/callback/AAAAAAAAAAAAAAAAAAAAAA?code=0b5f6f1e-0000-4000-8000-000000000000",
    "/auth/callback/AAAAAAAAAAAAAAAAAAAAAA?error=access_denied&error_description=no",
    "/auth/callback/AAAAAAAAAAAAAAAAAAAAAA?code=a&code=b",
    "/auth/continue?return_to=/notes",
    "/auth/account",
    "/auth/account/nothing",
    "/auth/account/security",
    "/auth/account/security?connect=google",
    "/auth/account/profile",
    "/auth/account/email",
    "/auth/account/password",
    "/auth/account/identities",
    "/auth/account/identities/0b5f6f1e-0000-4000-8000-000000000000",
    "/auth/account/identities/0b5f6f1e-0000-4000-8000-000000000000/delete",
    "/auth/account/identities/unknown/delete",
    "/auth/start/google?intent=link",
    "/auth/start/nobody?intent=link",
    "/auth/callback/AAAAAAAAAAAAAAAAAAAAAA?message=Confirmed",
    "/auth/login?cookies=check",
    "/auth/account/sessions",
    "/auth/account/sessions/s_unknown",
    "/auth/account/sessions/s_unknown/delete",
    "/auth/logout",
    "/auth/session",
    "/auth/refresh",
    "/auth/token",
    "/auth/docs",
    "/auth/docs/errors",
    "/auth/openapi.json",
    "/auth/assets/nothing.css",
    "/auth/nothing.css",
    "/api/public/x",
    "/api/notes",
    "/api/notes?code=0b5f6f1e-0000-4000-8000-000000000000",
    "/api/items/1",
    "/api/admin/x",
    "/api/vault",
    "/api/cookie/x",
    "/api//x",
    "/api/%2e%2e/x",
    "/supabase",
    "/supabase/rest/v1/notes",
    "/supabase/storage/v1/object/public/a/b.png",
    "/supabase/auth/v1/user",
    "/supabase/nothing",
    "/no/such/path",
];

/// Posts of every form, each with JSON and as a form, good and bad.
pub const POSTS: &[&str] = &[
    "/auth/login",
    "/auth/signup",
    "/auth/otp",
    "/auth/confirm",
    "/auth/logout",
    "/auth/refresh",
    "/auth/session",
    "/auth/account",
    "/auth/account/profile",
    "/auth/account/email",
    "/auth/account/identities/0b5f6f1e-0000-4000-8000-000000000000/delete",
    "/auth/start/nobody",
    "/auth/account/sessions/s_unknown",
    "/auth/account/sessions/s_unknown/delete",
    "/auth/token",
    "/auth/docs",
    "/auth/docs/errors",
    "/auth/openapi.json",
    "/auth/continue",
    "/auth/nothing",
    "/api/public/x",
    "/api/notes",
    "/supabase/rest/v1/notes",
    "/supabase/auth/v1/token",
    "/no/such/path",
];

/// What was asked, and the answer.
pub type Crawled = Vec<(String, Answer)>;

/// GETs every path by script and as a navigation from here and from elsewhere; HEADs it.
pub async fn reads(browser: &Browser) -> Crawled {
    let mut all = Vec::new();
    for path in PATHS {
        all.push((format!("GET {path}"), browser.get(path).await));
        all.push((format!("navigate {path}"), browser.navigate(path).await));
        all.push((format!("cross-site {path}"), browser.navigate_from("cross-site", path).await));
        all.push((format!("bare {path}"), browser.send(Method::GET, path, &[], None).await));
        all.push((
            format!("HEAD {path}"),
            browser.send(Method::HEAD, path, &crate::client::script(), None).await,
        ));
        let mut head = navigation("same-origin").to_vec();
        head.push(("sec-purpose", "prefetch"));
        all.push((format!("prefetch {path}"), browser.send(Method::GET, path, &head, None).await));
    }
    all
}

/// Sends what every form might send, by JSON and as a form, with good and bad values.
pub async fn writes(browser: &Browser) -> Crawled {
    let bodies = [
        json!({}),
        json!({ "email": "nobody@example.test", "password": "wrong horse 17" }),
        json!({ "email": "no address", "password": PASSWORD }),
        json!({ "email": 7, "password": [] }),
        json!({ "token_hash": "abcdef", "type": "signup" }),
        json!({ "email": "ada@example.test", "again": true }),
        json!({ "code": "000000" }),
        json!({ "scope": "odd" }),
    ];
    let mut all = Vec::new();
    for path in POSTS {
        for body in &bodies {
            all.push((format!("POST {path} {body}"), browser.post(path, body).await));
        }
        all.push((format!("form {path}"), browser.submit(path, &[]).await));
        let fields = [("email", "ada@example.test"), ("password", "wrong horse 17"), ("form_token", "x")];
        all.push((format!("broken form {path}"), browser.submit(path, &fields).await));
        all.push((
            format!("cross-site {path}"),
            browser.send(Method::POST, path, &navigation("cross-site"), None).await,
        ));
        all.push((format!("bare {path}"), browser.send(Method::POST, path, &[], None).await));
        for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            all.push((format!("{method} {path}"), browser.json(method, path, &json!({})).await));
        }
    }
    all
}

/// Everything: as a stranger, as a person, with forms that hold; sign-out last.
pub async fn everything(app: &TestApp) -> Crawled {
    let stranger = app.browser();
    let mut all = reads(&stranger).await;
    all.extend(writes(&stranger).await);
    let person = app.signed_in("ada@example.test").await;
    all.extend(reads(&person).await);
    let login = json!({ "email": "ada@example.test", "password": PASSWORD });
    all.push(("sign-in".into(), person.post("/auth/login", &login).await));
    all.push(("refresh".into(), {
        app.clock.advance(time::Duration::minutes(1));
        person.post("/auth/refresh", &json!({})).await
    }));
    let page = person.navigate("/auth/login?prompt=login").await;
    let token = page.form_token("/auth/login");
    let wrong =
        [("form_token", token.as_str()), ("email", "ada@example.test"), ("password", "wrong horse 17")];
    all.push(("form, wrong".into(), person.submit("/auth/login", &wrong).await));
    let right = [("form_token", token.as_str()), ("email", "ada@example.test"), ("password", PASSWORD)];
    all.push(("form, right".into(), person.submit("/auth/login", &right).await));
    all.push(("account".into(), person.navigate("/auth/account").await));
    all.push(("login, signed in".into(), person.navigate("/auth/login").await));
    all.extend(writes(&person).await);
    all.push(("sign-out".into(), person.post("/auth/logout", &json!({})).await));
    all.push(("after it".into(), person.get("/api/notes").await));
    all.push(("login after it".into(), person.navigate("/auth/login").await));
    all
}
