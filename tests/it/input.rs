//! Bodies, queries and sizes at their limits, and garbage beyond them.

use http::Method;
use serde_json::json;

use crate::client::{Answer, script};
use crate::harness::{PASSWORD, TestApp};
use crate::raw;

pub const FORM: &str = "application/x-www-form-urlencoded";

/// The headers of a script's request with a body of this type.
fn typed<'a>(kind: &'a str, origin: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut headers: Vec<(&'static str, &'a str)> = script().to_vec();
    headers.push(("content-type", kind));
    headers.push(("origin", origin));
    headers
}

pub async fn post(app: &TestApp, path: &str, kind: &str, body: String) -> Answer {
    app.browser().send(Method::POST, path, &typed(kind, &app.base), Some(body)).await
}

/// S-69: JSON routes take JSON alone, forms form types alone; anything else is 415 and GoTrue is not asked.
#[tokio::test]
async fn the_content_type_is_one_of_two() {
    let app = TestApp::start().await;
    app.signed_in("ada@example.test").await;
    let before = app.auth.calls("POST ");
    let body = json!({ "email": "ada@example.test", "password": PASSWORD }).to_string();
    for path in ["/auth/login", "/auth/signup", "/auth/otp", "/auth/confirm", "/auth/logout"] {
        for kind in [
            "text/plain",
            "text/json",
            "application/json+x",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/jsonp",
            "",
            "json",
            ";application/json",
            "application/octet-stream",
        ] {
            let answer = post(&app, path, kind, body.clone()).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (415, "unsupported_media_type"),
                "{path} {kind}"
            );
        }
        let doubled = [
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert_eq!(app.browser().send(Method::POST, path, &doubled, Some(body.clone())).await.status, 415);
        for coding in ["gzip", "deflate", "br", "identity", "x"] {
            let mut headers = typed("application/json", &app.base);
            headers.push(("content-encoding", coding));
            let answer = app.browser().send(Method::POST, path, &headers, Some(body.clone())).await;
            assert_eq!(answer.status, 415, "S-96: {path} {coding}");
        }
    }
    assert_eq!(app.auth.calls("POST "), before);
    let upper = post(&app, "/auth/login", "Application/JSON; charset=utf-8", body).await;
    assert_eq!(upper.status, 200, "{}", upper.body);
}

/// S-69: a doubled field of a form or query of ours, or broken UTF-8, is 400; unknown fields go nowhere.
#[tokio::test]
async fn doubled_fields_and_broken_text_are_refused() {
    let app = TestApp::start().await;
    let browser = app.browser();
    for query in ["return_to=/a&return_to=/b", "a=1&a=1", "a&a", "%61=1&a=2"] {
        for path in [
            "/auth/login",
            "/auth/signup",
            "/auth/start/google",
            "/auth/continue",
            "/auth/confirm",
            "/auth/callback/AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let answer = browser.get(&format!("{path}?{query}")).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "duplicate_parameter"),
                "{path}?{query}"
            );
        }
    }
    for query in ["a=%ff", "%c3%28=1", "a=%ed%a0%80"] {
        assert_eq!(browser.get(&format!("/auth/login?{query}")).await.status, 400, "{query}");
    }
    for body in ["email=a&email=b&password=x", "email=%ff&password=x", "password=%c3%28", "email=a&%65mail=b"]
    {
        assert_eq!(post(&app, "/auth/login", FORM, body.into()).await.status, 400, "{body}");
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "\"x\"",
        "{\"email\":\"a\",\"email\":\"b\",\"password\":\"x\"}",
        "{\"password\":7}",
        "{\"email\":null,\"password\":null}",
        "{\"email\":\"\\ud800\",\"password\":\"x\"}",
        "{\"email\":{\"a\":1},\"password\":[]}",
        "{\"password\":\"x\"} x",
        "{\"password\":\"x\",}",
        "\u{feff}{}",
        "{\"remember\":\"perhaps\",\"remember\":1}",
        "{\"password\":1e999}",
    ] {
        for path in ["/auth/login", "/auth/signup", "/auth/otp", "/auth/confirm"] {
            let answer = post(&app, path, "application/json", body.into()).await;
            assert!((400..500).contains(&answer.status), "{path} {body}: {} {}", answer.status, answer.body);
        }
    }
    let before = app.auth.calls("POST ");
    let account = json!({ "email": "ada@example.test", "password": PASSWORD, "role": "admin", "id": "x", "app_metadata": { "roles": ["admin"] }, "Email": "eve@example.test", "phone": "1", "redirect_to": "https://evil.test", "gotrue_meta_security": { "captcha_token": "x" }, "code_challenge": "x" });
    let answer = browser.post("/auth/signup", &account).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["session"]["roles"], json!(["user"]));
    assert_eq!(app.auth.calls("POST "), before + 1);
    let sent = app.auth.seen("POST /auth/v1/signup").pop().unwrap();
    for word in ["admin", "eve@example.test", "evil.test", "\"phone\"", "\"role\"", "app_metadata"] {
        assert!(!sent.body.contains(word) && !sent.line.contains(word), "{word}: {sent:?}");
    }
}

/// S-69: a password goes on byte by byte: spaces at its ends, NFD, emoji.
#[tokio::test]
async fn passwords_are_passed_on_untouched() {
    let app = TestApp::start().await;
    for (n, password) in [
        "  plover gantry  ",
        "cafe\u{301} plover gantry",
        "plover \u{1f6a2}\u{1f3fd} gantry",
        "plover+gantry&mist=%20%",
        "\u{212b}ngstrom plover",
        "plover\tgantry\u{a0}",
    ]
    .iter()
    .enumerate()
    {
        let email = format!("ada{n}@example.test");
        let browser = app.browser();
        let made = browser.post("/auth/signup", &json!({ "email": email, "password": password })).await;
        assert_eq!(made.status, 200, "{password:?}: {}", made.body);
        let browser = app.browser();
        let token = browser.navigate("/auth/login").await.form_token("/auth/login");
        let fields = [("form_token", token.as_str()), ("email", &email), ("password", password)];
        assert_eq!(browser.submit("/auth/login", &fields).await.status, 303, "{password:?}");
        let sent = app.auth.seen("grant_type=password").pop().unwrap();
        let body: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
        assert_eq!(body["password"], **password);
    }
}

/// S-89: garbage in any place is a refusal of the 400s, never a 5xx, and the process goes on.
#[tokio::test]
async fn garbage_is_never_a_fault_of_ours() {
    let app = TestApp::start().await;
    let person = app.signed_in("ada@example.test").await;
    let odd = [
        "",
        "\u{fe}",
        "'",
        "\"",
        "%00",
        "%",
        "..",
        "null",
        "undefined",
        "-1",
        "99999999999999999999",
        "{}",
        "[]",
        "<script>",
        "\u{202e}",
        "a\tb",
        "$(id)",
        "{{7*7}}",
        "' or 1=1 --",
        "\u{1f600}",
        "\\",
        "//",
        "http://",
        "javascript:alert(1)",
    ];
    let mut asked = 0;
    for value in odd {
        let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        for path in [
            "/auth/login?return_to=",
            "/auth/login?prompt=",
            "/auth/signup?next=",
            "/auth/confirm?type=signup&token_hash=",
            "/auth/confirm?token_hash=a&type=",
            "/auth/start/",
            "/auth/start/google?login_hint=",
            "/auth/callback/",
            "/auth/callback/AAAAAAAAAAAAAAAAAAAAAA?code=",
            "/auth/callback/AAAAAAAAAAAAAAAAAAAAAA?error=",
            "/auth/continue?return_to=",
            "/auth/assets/",
            "/auth/",
            "/api/",
            "/api/notes?x=",
            "/supabase/",
            "/supabase/rest/v1/x?apikey=",
        ] {
            for browser in [&person, &app.browser()] {
                for answer in [
                    browser.get(&format!("{path}{encoded}")).await,
                    browser.navigate(&format!("{path}{encoded}")).await,
                ] {
                    asked += 1;
                    assert!(answer.status < 500, "{path}{value:?}: {} {}", answer.status, answer.body);
                }
            }
        }
        for name in [
            "email",
            "password",
            "code",
            "token_hash",
            "type",
            "scope",
            "return_to",
            "form_token",
            "captcha_token",
            "data",
            "remember",
            "again",
            "anonymous",
            "switch",
        ] {
            for path in ["/auth/login", "/auth/signup", "/auth/otp", "/auth/confirm", "/auth/logout"] {
                let mut body = json!({ "email": "ada@example.test", "password": "x" });
                body[name] = json!(value);
                let answer = app.browser().post(path, &body).await;
                assert!(answer.status < 500, "{path} {body}: {} {}", answer.status, answer.body);
                let answer = app.browser().submit(path, &[("password", "x"), (name, value)]).await;
                assert!(answer.status < 500, "{path} {name}={value:?}: {} {}", answer.status, answer.body);
                asked += 2;
            }
        }
        let header = value.as_bytes();
        if http::HeaderValue::from_bytes(header).is_err() {
            continue;
        }
        for name in [
            "origin",
            "sec-fetch-site",
            "sec-fetch-mode",
            "sec-fetch-dest",
            "sec-purpose",
            "accept",
            "authorization",
            "content-type",
            "x-csrf",
            "x-forwarded-for",
            "x-forwarded-proto",
            "range",
            "if-none-match",
            "upgrade",
            "service-worker",
            "access-control-request-method",
            "x-request-id",
            "traceparent",
            "expect",
        ] {
            let Ok(text) = std::str::from_utf8(header) else { continue };
            if http::HeaderValue::from_str(text).is_err() {
                continue;
            }
            for path in ["/auth/login", "/api/notes", "/supabase/rest/v1/x"] {
                for method in [Method::GET, Method::POST] {
                    let answer = person.stolen().send(method, path, &[(name, text)], None).await;
                    assert!(
                        answer.status < 500,
                        "{path} {name}: {value:?}: {} {}",
                        answer.status,
                        answer.body
                    );
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 3000, "{asked}");
    for token in
        ["", "x", "a.b.c", "Bearer", "eyJhbGciOiJub25lIn0.e30.", "\u{e9}", "..", "a b", &"a".repeat(9000)]
    {
        let value = format!("Bearer {token}");
        let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) else { continue };
        let Ok(text) = value.to_str() else { continue };
        let answer = app.browser().send(Method::GET, "/api/notes", &[("authorization", text)], None).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "invalid_token"), "{token}");
    }
    assert_eq!(person.get("/api/notes").await.status, 200);
}

/// S-89: a path that is no text is refused in our words, like any other.
#[tokio::test]
async fn a_path_that_is_no_text_is_refused() {
    let app = TestApp::start().await;
    for path in [
        "/auth/start/%ff",
        "/auth/callback/%ff?code=x",
        "/auth/assets/%ff",
        "/auth/%ff",
        "/auth/start/a%c3%28",
    ] {
        let answer = app.browser().get(path).await;
        assert!(
            matches!(answer.code().as_str(), "bad_path" | "not_found"),
            "{path}: {} {}",
            answer.status,
            answer.body
        );
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        let page = app.browser().navigate(path).await;
        assert!(
            page.header("content-type").starts_with("text/html") && page.status >= 400,
            "{path}: {}",
            page.body
        );
    }
}

/// S-89: random bytes on the wire end in a refusal or a closed connection, and the next request is served.
#[tokio::test]
async fn random_bytes_on_the_wire_do_no_harm() {
    use base::entropy::Entropy;
    let app = TestApp::start().await;
    let source = base::entropy::SeededEntropy::new(17);
    for round in 0..200 {
        let mut noise = [0; 96];
        source.fill(&mut noise);
        let start = match round % 4 {
            0 => Vec::new(),
            1 => b"GET /auth/login".to_vec(),
            2 => format!("GET /auth/session HTTP/1.1\r\nHost: {}\r\nCookie: ", &app.base[7..]).into_bytes(),
            _ => format!("POST /auth/login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 96\r\nConnection: close\r\n\r\n", &app.base[7..]).into_bytes(),
        };
        let answer = raw::send(&app.base, [&start[..], &noise, b"\r\n\r\n"].concat()).await;
        assert!(answer.status < 500, "round {round}: {}", answer.text);
    }
    assert_eq!(app.browser().get("/auth/session").await.status, 200);
}
