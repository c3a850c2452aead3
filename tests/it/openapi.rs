//! The description of the paths, and whether it is true.

mod schema;

use std::collections::BTreeSet;
use std::process::Command;

use http::Method;
use serde_json::{Value, json};
use supabase_bff::web::error::Code;
use supabase_bff::web::templates_of_paths;

use crate::client::{Answer, Browser, script};
use crate::drop_in::Client;
use crate::harness::{PASSWORD, Plan, TestApp};

/// Everything that can be switched on, in store mode.
fn plan() -> Plan {
    Plan::in_memory()
        .with("BFF_SESSION_STORE", "sqlite:unused.db")
        .with("BFF_TRUSTED_PROXIES", "127.0.0.1/32,::1/128")
        .with("BFF_TOKEN_ENABLED", "true")
        .with("BFF_HOOKS_SECRETS", "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjUPD8I")
}

async fn description(browser: &Browser) -> Value {
    let answer = browser.get("/auth/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    answer.json()
}

/// The schema of an answer, by path, method and status.
fn schema_of<'a>(document: &'a Value, path: &str, method: &str, answer: &Answer) -> &'a Value {
    let kind = answer.header("content-type").split(';').next().unwrap();
    let said = &document["paths"][path][method]["responses"][answer.status.to_string()];
    let said = &said["content"][kind]["schema"];
    assert!(said.is_object(), "{method} {path}: {} {kind} is not described: {}", answer.status, answer.body);
    said
}

/// Each path of the public port is described with the methods that it takes, and no other.
#[tokio::test]
async fn every_route_is_described() {
    let app = TestApp::with(plan()).await;
    let (browser, stranger) = (app.signed_in("ada@example.test").await, app.browser());
    let document = description(&browser).await;
    let described = document["paths"].as_object().unwrap();
    let paths: BTreeSet<_> = described.keys().map(String::as_str).collect();
    // Of what is off here a test beside the table tells.
    let off = |path: &str| path == "/" || path.starts_with("/auth/verify") || path == "/auth/{*rest}";
    // There is nothing there.
    let off = |path: &str| {
        off(path)
            || path.ends_with("/auth/v1")
            || path.ends_with("/auth/v1/")
            || path.ends_with("/auth/v1/{*rest}")
    };
    let routes: BTreeSet<_> = templates_of_paths().into_iter().filter(|path| !off(path)).collect();
    let forwarded = |path: &&str| path.starts_with("/supabase/") && !path.starts_with("/supabase/auth/");
    assert_eq!(paths.iter().copied().filter(|path| !forwarded(path)).collect::<BTreeSet<_>>(), routes);
    for path in paths {
        let target = filled(path);
        let told: BTreeSet<_> = described[path].as_object().unwrap().keys().cloned().collect();
        if path.starts_with("/supabase/") {
            let taken = taken_below_the_mount(&app, &target).await;
            assert_eq!(told, taken, "{path}");
            continue;
        }
        let headers: Vec<_> = script().into_iter().chain([("origin", app.base.as_str())]).collect();
        // What a browser adds is refused there before the method is looked at.
        let program = path == "/auth/token";
        let (browser, headers) = if program { (&stranger, &[][..]) } else { (&browser, &headers[..]) };
        let answer = browser.send(Method::PATCH, &target, headers, None).await;
        assert_eq!(answer.status, 405, "{path}");
        let taken: BTreeSet<_> =
            answer.header("allow").split(',').map(|one| one.trim().to_lowercase()).collect();
        let mut told = told;
        if told.contains("get") {
            told.insert("head".to_owned());
        }
        assert_eq!(told, taken, "{path}");
    }
}

/// `path` with something in the place of its parameters.
fn filled(path: &str) -> String {
    let fill = |part: &str| {
        part.split_once('}').map_or(part.to_owned(), |(_, rest)| format!("AAAAAAAAAAAAAAAAAAAAAA{rest}"))
    };
    path.split('{').map(fill).collect()
}

/// The methods that `target` takes of a stranger with supabase-js, be it that they are refused for another reason. There
/// no other method is told from no such path.
async fn taken_below_the_mount(app: &TestApp, target: &str) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    let headers: Vec<_> = script()
        .into_iter()
        .chain([("origin", app.base.as_str()), ("apikey", "bff"), ("content-type", "application/json")])
        .collect();
    let below = target.strip_prefix("/supabase").unwrap();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let asked = app.auth.calls(below);
        let name: Method = method.parse().unwrap();
        let body = (!matches!(method, "GET" | "HEAD" | "OPTIONS")).then(|| "{}".to_owned());
        let answer = app.browser().send(name, target, &headers, body).await;
        let is_auth = target.starts_with("/supabase/auth/");
        let was_forwarded = app.auth.calls(below) > asked;
        // HEAD of a GET there is never described, and neither is a preflight.
        let is_call = is_auth && !matches!(method, "HEAD" | "OPTIONS") && answer.code() != "not_found";
        let is_socket = target.ends_with("/websocket") && method == "GET" && answer.status == 400;
        if is_call || (!is_auth && was_forwarded) || is_socket {
            taken.insert(method.to_lowercase());
        }
    }
    taken
}

/// What the main paths really answer is what the description says.
#[tokio::test]
async fn real_answers_fit_their_schemas() {
    let app = TestApp::with(plan()).await;
    let stranger = app.browser();
    let document = description(&stranger).await;
    let mut checked = 0;
    let mut fits = |path: &str, method: &str, answer: &Answer, status: u16| {
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        let schema = schema_of(&document, path, method, answer);
        let found = schema::faults(&document, schema, &answer.json(), path);
        assert_eq!(found, Vec::<String>::new(), "{method} {path} {status}");
        checked += 1;
    };
    let account = json!({ "email": "ada@example.test", "password": PASSWORD });
    let browser = app.browser();
    fits("/auth/session", "get", &stranger.get("/auth/session").await, 200);
    fits("/auth/signup", "post", &browser.post("/auth/signup", &account).await, 200);
    fits("/auth/session", "get", &browser.get("/auth/session").await, 200);
    fits("/auth/account", "get", &browser.get("/auth/account").await, 200);
    fits("/auth/login", "post", &app.browser().post("/auth/login", &account).await, 200);
    let wrong = json!({ "email": "ada@example.test", "password": "another one entirely" });
    fits("/auth/login", "post", &stranger.post("/auth/login", &wrong).await, 401);
    fits("/auth/login", "post", &stranger.post("/auth/login", &json!({ "email": 1 })).await, 400);
    fits("/auth/account", "get", &stranger.get("/auth/account").await, 401);
    fits("/auth/refresh", "post", &stranger.post("/auth/refresh", &json!({})).await, 401);
    fits(
        "/auth/recover",
        "post",
        &stranger.post("/auth/recover", &json!({ "email": "a@example.test" })).await,
        200,
    );
    fits("/auth/otp", "post", &stranger.post("/auth/otp", &json!({ "email": "a@example.test" })).await, 200);
    let code = json!({ "email": "a@example.test", "code": "000000" });
    fits("/auth/otp", "post", &stranger.post("/auth/otp", &code).await, 422);
    let link = json!({ "token_hash": "abcdef", "type": "signup" });
    fits("/auth/confirm", "post", &stranger.post("/auth/confirm", &link).await, 410);
    fits("/auth/account/identities", "get", &browser.get("/auth/account/identities").await, 200);
    fits("/auth/account/sessions", "get", &browser.get("/auth/account/sessions").await, 200);
    fits("/auth/account/factors", "get", &browser.get("/auth/account/factors").await, 200);
    fits(
        "/auth/account/profile",
        "post",
        &browser.post("/auth/account/profile", &json!({ "name": "Ada" })).await,
        200,
    );
    let enrolled = browser.post("/auth/account/factors", &json!({ "name": "phone" })).await;
    fits("/auth/account/factors", "post", &enrolled, 200);
    let unknown = browser.json(Method::DELETE, "/auth/account/sessions/s_unknown", &json!({})).await;
    fits("/auth/account/sessions/{id}", "delete", &unknown, 404);
    let cross = [("content-type", "application/json"), ("origin", "https://evil.test")];
    let refused = browser.send(Method::POST, "/auth/account/email", &cross, Some("{}".into())).await;
    fits("/auth/account/email", "post", &refused, 403);
    let stranger = app.browser(); // without the cookies that forms left
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let asked =
        format!("grant_type=password&username=ada%40example.test&password={}", PASSWORD.replace(' ', "+"));
    fits("/auth/token", "post", &stranger.send(Method::POST, "/auth/token", &form, Some(asked)).await, 200);
    let odd = stranger.send(Method::POST, "/auth/token", &form, Some("grant_type=odd".into())).await;
    fits("/auth/token", "post", &odd, 400);
    let hook = stranger.send(Method::POST, "/auth/hooks/revoke", &cross[..1], Some("{}".into())).await;
    fits("/auth/hooks/revoke", "post", &hook, 401);
    fits("/auth/openapi.json", "get", &stranger.get("/auth/openapi.json").await, 200);
    mount(&app, &mut fits).await;
    assert_eq!(checked, 36);
    for (path, browser) in [("/auth/refresh", &browser), ("/auth/logout", &browser)] {
        assert_eq!(browser.post(path, &json!({})).await.status, 204, "{path}");
        assert!(document["paths"][path]["post"]["responses"]["204"].is_object(), "{path}");
    }
}

/// The same below the mount, by way of supabase-js.
async fn mount(app: &TestApp, fits: &mut impl FnMut(&str, &str, &Answer, u16)) {
    let auth = |path: &str| format!("/supabase/auth/v1/{path}");
    let mut client = Client::new(app);
    let account = json!({ "email": "grace@example.test", "password": PASSWORD });
    let answer = client.post("signup", &account).await;
    fits(&auth("signup"), "post", &answer, 200);
    client.keep(&answer);
    fits(&auth("token"), "post", &Client::new(app).post("token?grant_type=password", &account).await, 200);
    fits(&auth("user"), "get", &client.get("user").await, 200);
    fits(&auth("user"), "put", &client.put("user", &json!({ "data": { "x": 1 } })).await, 200);
    fits(&auth("recover"), "post", &client.post("recover", &json!({ "email": "a@example.test" })).await, 200);
    fits(&auth("settings"), "get", &client.get("settings").await, 200);
    fits(&auth("health"), "get", &client.get("health").await, 200);
    fits(&auth(".well-known/jwks.json"), "get", &client.get(".well-known/jwks.json").await, 200);
    let url = client.get("user/identities/authorize?provider=google").await;
    fits(&auth("user/identities/authorize"), "get", &url, 200);
    let factor = client.post("factors", &json!({ "factor_type": "totp" })).await;
    fits(&auth("factors"), "post", &factor, 200);
    let id = factor.json()["id"].as_str().unwrap().to_owned();
    let challenge = client.post(&format!("factors/{id}/challenge"), &json!({})).await;
    fits(&auth("factors/{id}/challenge"), "post", &challenge, 200);
    fits(&auth("sso"), "post", &client.post("sso", &json!({ "domain": "example.test" })).await, 404);
}

/// The scopes of the site, its cookie and its ways to prove oneself stand in the description; the command prints the same.
#[tokio::test]
async fn the_description_is_of_this_site() {
    let app = TestApp::with(plan()).await;
    let document = description(&app.browser()).await;
    let schemes = &document["components"]["securitySchemes"];
    let port = app.base.rsplit(':').next().unwrap();
    assert_eq!(schemes["session"]["name"], json!(format!("sb_session_{port}")));
    assert_eq!(schemes["bearer"]["bearerFormat"], "JWT");
    let scopes = &schemes["password"]["flows"]["password"]["scopes"];
    assert_eq!(scopes["items:read"], "Read items");
    assert_eq!(document["servers"][0]["url"], json!(app.base));

    let printed = Command::new(env!("CARGO_BIN_EXE_supabase-bff"))
        .arg("openapi")
        .env_clear()
        .envs(app.env.iter().map(|(name, value)| (name, value)))
        .current_dir(app.folder.path())
        .output()
        .unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), document);
}

/// S-65: the description as a page, in both languages, without script; the `type` of a problem leads to a paragraph.
#[tokio::test]
async fn people_read_the_description() {
    let app = TestApp::with(plan().with("BFF_PAGES_LANGUAGES", "en,de")).await;
    let browser = app.browser();
    let document = description(&browser).await;
    for (language, headline) in [("en", "The paths of this site"), ("de", "Die Adressen dieser Website")] {
        let page = browser.navigate(&format!("/auth/docs?lang={language}")).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(headline), "{language}");
        assert!(!page.body.contains("<script") && !page.body.contains("style="), "{language}");
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(page.body.replace("&#x2f;", "/").contains(path.as_str()), "{path}");
        }
        assert!(page.body.contains("items:read"), "the scopes of the site");
    }
    let refused = browser.get("/auth/account").await.json();
    let (path, anchor) = refused["type"].as_str().unwrap().split_once('#').unwrap();
    let page = browser.navigate(path).await;
    assert_eq!((page.status, anchor), (200, "session_missing"));
    for code in Code::ALL {
        assert!(page.body.contains(&format!("id=\"{}\"", code.as_str())), "{}", code.as_str());
    }
}
