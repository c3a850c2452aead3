//! Bodies, queries and sizes at their limits, and garbage beyond them.

use http::Method;
use serde_json::json;

use crate::client::{Answer, Browser, script};
use crate::harness::{PASSWORD, Plan, TestApp};
use crate::raw;
use crate::tap::Fault;

const FORM: &str = "application/x-www-form-urlencoded";

/// The headers of a script's request with a body of this type.
fn typed<'a>(kind: &'a str, origin: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut headers: Vec<(&'static str, &'a str)> = script().to_vec();
    headers.push(("content-type", kind));
    headers.push(("origin", origin));
    headers
}

async fn post(app: &TestApp, path: &str, kind: &str, body: String) -> Answer {
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

/// S-96: the target, forms, JSON and its depth: the limit passes, one more does not, with a length or in chunks.
#[tokio::test]
async fn sizes_are_capped() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let path = |length: usize| format!("/api/public/{}", "a".repeat(length - "/api/public/".len()));
    assert_eq!(browser.get(&path(8192)).await.status, 200);
    let long = browser.get(&path(8193)).await;
    assert_eq!((long.status, long.code().as_str()), (414, "uri_too_long"));
    assert_eq!(browser.get(&format!("/auth/session?a={}", "a".repeat(8193))).await.status, 414);

    let form = |length: usize| {
        let start = "email=nobody%40example.test&password=";
        format!("{start}{}", "x".repeat(length - start.len()))
    };
    let cases = [
        (FORM, form(64 << 10), 403),
        (FORM, form((64 << 10) + 1), 413),
        (
            "application/json",
            format!("{{\"email\":\"\",\"password\":\"{}\"}}", "x".repeat((1 << 20) - 26)),
            400,
        ),
        (
            "application/json",
            format!("{{\"email\":\"\",\"password\":\"{}\"}}", "x".repeat((1 << 20) - 25)),
            413,
        ),
    ];
    for (kind, body, status) in cases {
        let size = body.len();
        let answer = post(&app, "/auth/login", kind, body.clone()).await;
        assert_eq!(answer.status, status, "{kind} of {size}: {}", answer.body);
        let head = format!(
            "POST /auth/login HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            &app.base[7..],
            app.base
        );
        let chunked = raw::send(&app.base, format!("{head}{size:x}\r\n{body}\r\n0\r\n\r\n")).await;
        assert_eq!(chunked.status, status, "{kind} of {size} in chunks: {}", chunked.text);
    }
    // Of a proxied body the length is judged by its header, and again while it streams.
    let most = 10 << 20;
    for (size, status) in [(most, 200), (most + 1, 413)] {
        let answer = post(&app, "/api/public/x", "application/octet-stream", "x".repeat(size)).await;
        assert_eq!(answer.status, status, "{size}");
        let head = format!(
            "POST /api/public/x HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            &app.base[7..],
            app.base
        );
        let body = "x".repeat(size);
        let chunked = raw::send(&app.base, format!("{head}{size:x}\r\n{body}\r\n0\r\n\r\n")).await;
        assert_eq!(
            chunked.status,
            status,
            "{size} in chunks: {}",
            &chunked.text[..chunked.text.len().min(300)]
        );
    }
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        format!("{{\"password\":\"x\",\"email\":\"\",\"x\":{open}{close}}}")
    };
    let at_limit = post(&app, "/auth/login", "application/json", deep(32)).await;
    assert_eq!(at_limit.json()["errors"][0]["field"], "email", "read, and judged: {}", at_limit.body);
    for depth in [33, 129, 100_000] {
        let answer = post(&app, "/auth/login", "application/json", deep(depth)).await;
        assert_eq!((answer.status, answer.json()["errors"].is_null()), (400, true), "{depth}");
    }
    let quoted = format!("{{\"email\":\"\",\"password\":\"{}\\\"{{\"}}", "[".repeat(500));
    assert_eq!(
        post(&app, "/auth/login", "application/json", quoted).await.json()["errors"][0]["field"],
        "email"
    );
}

/// S-96: a head of more than 100 fields or 32 KiB is 431.
#[tokio::test]
async fn heads_are_capped() {
    let app = TestApp::start().await;
    let ask = async |fields: String| {
        let head = format!(
            "GET /auth/session HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n",
            &app.base[7..]
        );
        raw::send(&app.base, head).await.status
    };
    let fields = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    assert_eq!(ask(fields(98)).await, 200, "100 with Host and Connection");
    assert_eq!(ask(fields(99)).await, 431);
    assert_eq!(ask(fields(2000)).await, 431);
    assert_eq!(ask(format!("X-A: {}\r\n", "a".repeat(30_000))).await, 200);
    assert_eq!(ask(format!("X-A: {}\r\n", "a".repeat(32_768))).await, 431);
    assert_eq!(ask(format!("Cookie: {}\r\n", "a=1; ".repeat(7_000))).await, 431);
    let many: String = (0..90).map(|n| format!("X-{n}: {}\r\n", "a".repeat(400))).collect();
    assert_eq!(ask(many).await, 431, "many middling ones");
}

/// S-97: beyond the cap a request is refused at once with `Retry-After`, the probes still answer, and once a place is
/// free the next one passes.
#[tokio::test]
async fn requests_in_flight_are_capped() {
    let app = TestApp::with(Plan::default().with("BFF_LIMITS_IN_FLIGHT", "2")).await;
    app.auth.fail("rest/v1/slow", Fault::Hold);
    let browser = app.browser();
    let ask = |browser: Browser| tokio::spawn(async move { browser.get("/supabase/rest/v1/slow").await });
    let held = [ask(browser.clone()), ask(browser.clone())];
    app.auth.arrived("rest/v1/slow", 2).await;
    for path in ["/auth/session", "/auth/login", "/api/public/x", "/no/such/path"] {
        let answer = app.browser().get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"), "{path}");
        assert_eq!(answer.header("retry-after"), "1");
        assert_ne!(answer.header("x-request-id"), "");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let probe = http::Request::get("/livez").body(axum::body::Body::empty()).unwrap();
    let alive = tower::ServiceExt::oneshot(app.admin.clone(), probe).await.unwrap();
    assert_eq!(alive.status(), 200);
    assert_eq!(app.auth.calls("rest/v1/slow"), 2);
    while held.iter().any(|request| !request.is_finished()) {
        app.auth.release();
        tokio::task::yield_now().await;
    }
    assert_eq!(app.browser().get("/auth/session").await.status, 200);
    // Clients that leave give their places back.
    app.auth.heal();
    app.auth.fail("rest/v1/left", Fault::Hold);
    for round in 1..=3 {
        let left = [(); 2].map(|()| {
            let browser = browser.clone();
            tokio::spawn(async move { browser.get("/supabase/rest/v1/left").await })
        });
        app.auth.arrived("rest/v1/left", round * 2).await;
        left.iter().for_each(|request| request.abort());
        let mut answer = app.browser().get("/auth/session").await;
        while answer.status == 503 {
            answer = app.browser().get("/auth/session").await;
        }
        assert_eq!(answer.status, 200);
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
            for path in ["/auth/login", "/auth/session", "/api/notes", "/api/public/x", "/supabase/rest/v1/x"]
            {
                for method in [Method::GET, Method::POST, Method::OPTIONS] {
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
