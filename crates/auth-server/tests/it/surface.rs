//! What every request meets: shapes of errors, limits, headers, origins, pages.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{PASSWORD, Server};

/// Contract, section 3.1.
#[tokio::test]
async fn errors_have_two_shapes() {
    let server = Server::start().await;
    let ask = async |version: &str| {
        let request = server.request(Method::POST, "/token?grant_type=password");
        let request = request.header("x-supabase-api-version", version);
        server.send(request.json(&json!({"email": "ada@example.test", "password": "x"}))).await
    };
    let newest = ask("2024-01-01").await;
    assert_eq!(newest.json, json!({"code": "invalid_credentials", "message": "Invalid login credentials"}));
    assert_eq!(newest.header("x-supabase-api-version"), "2024-01-01");
    for older in ["2023-12-31", "nonsense", ""] {
        let reply = ask(older).await;
        assert_eq!(reply.refusal(), "400 invalid_credentials");
        assert_eq!(reply.header("x-supabase-api-version"), "");
    }
}

#[tokio::test]
async fn routes_exist_with_and_without_the_prefix_and_nothing_else_does() {
    let server = Server::start().await;
    for prefix in ["", "/auth/v1"] {
        assert_eq!(server.get(&format!("{prefix}/health")).await.json["name"], "GoTrue");
        let missing = server.get(&format!("{prefix}/nope")).await;
        assert_eq!(
            (missing.status.as_u16(), missing.header("content-type")),
            (404, "text/plain; charset=utf-8")
        );
        let wrong = server.send(server.request(Method::DELETE, &format!("{prefix}/signup"))).await;
        assert_eq!((wrong.status.as_u16(), wrong.header("allow"), wrong.text.as_str()), (405, "POST", ""));
        let head = server.send(server.request(Method::HEAD, &format!("{prefix}/health"))).await;
        assert_eq!((head.status.as_u16(), head.header("allow")), (405, "GET"));
    }
    assert_eq!((server.handle.calls("/health"), server.handle.calls("/nope")), (2, 0));
}

/// S-69, S-96: a body is JSON that says so, at most 1 MiB, not deep, no member twice. Never a 5xx.
#[tokio::test]
async fn bad_bodies_are_refused() {
    let server = Server::start().await;
    let send = async |kind: &str, body: String| {
        let request = server.request(Method::POST, "/signup").header("content-type", kind).body(body);
        server.send(request).await.refusal()
    };
    let json = "application/json";
    let deep = format!("{{\"data\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let doubled = r#"{"email":"a@example.test","email":"b@example.test","password":"x"}"#;
    for bad in
        ["", "{", "[]", "null", "\"x\"", "{\"email\":1}", "{\"data\":\"x\"}", "\u{feff}{}", doubled, &deep]
    {
        assert_eq!(send(json, bad.to_owned()).await, "400 bad_json", "{bad}");
    }
    assert_eq!(send("text/plain", "{}".to_owned()).await, "415 bad_json");
    assert_eq!(send("application/x-www-form-urlencoded", "email=a".to_owned()).await, "415 bad_json");
    let long = |length: usize| format!("{{\"pad\":\"{}\"}}", "x".repeat(length - 10));
    assert_eq!(send(json, long((1 << 20) + 1)).await, "413 request_entity_too_large");
    assert_eq!(send(json, long(5 << 20)).await, "413 request_entity_too_large");
    let fits = server.request(Method::POST, "/token?grant_type=password").header("content-type", json);
    assert_eq!(server.send(fits.body(long(1 << 20))).await.refusal(), "400 validation_failed");
    let reply = server.get("/authorize?provider=google&code_challenge=a&code_challenge=b").await;
    assert_eq!(reply.refusal(), "400 validation_failed");
}

/// Contract 10.3, 1: the site's origin may read answers, with `apikey`; no other may.
#[tokio::test]
async fn other_origins_may_not_read() {
    let server = Server::start().await;
    let preflight = async |origin: &str| {
        let request = server.request(Method::OPTIONS, "/signup").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        server.send(request.header("access-control-request-headers", "apikey,content-type")).await
    };
    let own = preflight("http://localhost:8080").await;
    assert_eq!(own.header("access-control-allow-origin"), "http://localhost:8080");
    assert!(own.header("access-control-allow-headers").contains("apikey"));
    assert_eq!(own.header("access-control-allow-credentials"), "");
    for origin in ["https://evil.example.net", "null", "http://localhost:8081"] {
        assert_eq!(preflight(origin).await.header("access-control-allow-origin"), "", "{origin}");
    }
}

/// S-65, S-66, S-67: headers of pages, answers, redirects and errors.
#[tokio::test]
async fn headers() {
    let server = Server::start().await;
    let policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
        form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    let chooser = server.get("/authorize?provider=google").await;
    assert_eq!(chooser.header("referrer-policy"), "no-referrer");
    for page in ["/outbox", chooser.header("location")] {
        let page = server.get(page).await;
        assert_eq!(page.header("content-security-policy"), policy);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!((page.header("referrer-policy"), page.header("x-frame-options")), ("same-origin", "DENY"));
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
        let style = page.text.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
        let style = server.get(&style.replace("&#x2f;", "/")).await;
        assert_eq!((style.status.as_u16(), style.header("content-type")), (200, "text/css; charset=utf-8"));
        assert!(style.header("cache-control").contains("immutable"));
    }
    let body = json!({"email": "ada@example.test", "password": PASSWORD});
    let answers = [
        server.post("/signup", body).await,
        server.get("/user").await,
        server.get("/nope").await,
        server.get("/health").await,
    ];
    for reply in answers {
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(!reply.header("x-request-id").is_empty() && reply.header("server").is_empty());
    }
}

/// A page elsewhere that makes its own name resolve to this machine must not read the outbox.
#[tokio::test]
async fn an_unknown_host_is_refused() {
    let server = Server::start().await;
    let ask = async |host: &str| {
        let request = server.request(Method::GET, "/outbox.json").header("host", host);
        server.send(request).await.status.as_u16()
    };
    for own in ["127.0.0.1:1234", "localhost", "LOCALHOST:80", "[::1]:9999"] {
        assert_eq!(ask(own).await, 200, "{own}");
    }
    for foreign in ["evil.example.net", "127.0.0.1.evil.example.net", "localhost.evil.example.net:9999"] {
        assert_eq!(ask(foreign).await, 421, "{foreign}");
    }
}

#[tokio::test]
async fn the_outbox_shows_what_would_have_been_sent() {
    let server = Server::with(|settings| settings.confirm_email = true).await;
    assert!(server.get("/outbox").await.text.contains("No mail yet"));
    server.sign_up("ada@example.test").await;
    server.sign_up("grace@example.test").await;
    let page = server.get("/outbox").await.text;
    let (ada, grace) =
        (page.find("To ada@example.test").unwrap(), page.find("To grace@example.test").unwrap());
    assert!(grace < ada, "newest first");
    let list = server.get("/outbox.json").await.json;
    assert_eq!((list.as_array().unwrap().len(), &list[1]["to"]), (2, &json!("grace@example.test")));
    let members: Vec<_> = list[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["html", "subject", "text", "to"]);
    let (link, code) = server.mail("ada@example.test");
    let text = list[0]["text"].as_str().unwrap();
    assert!(text.contains(&link) && text.contains(&code));
}

/// S-83, S-84: by the header that the proxy sets, before the body is read; another address is free.
#[tokio::test]
async fn addresses_are_limited() {
    let server = Server::with(|settings| {
        settings.limits = true;
        settings.client_ip_header = Some("x-real-ip".to_owned());
    })
    .await;
    let ask = async |path: &str, address: &str| {
        let request = server.request(Method::POST, path).header("x-real-ip", address);
        server
            .send(request.json(&json!({"refresh_token": "abcdefghijkl", "email": "x", "password": ""})))
            .await
    };
    let grant = "/token?grant_type=refresh_token";
    for _ in 0..30 {
        assert_eq!(ask(grant, "192.0.2.1").await.refusal(), "400 refresh_token_not_found");
    }
    let refused = ask(grant, "192.0.2.1").await;
    assert_eq!(
        (refused.refusal().as_str(), refused.header("retry-after")),
        ("429 over_request_rate_limit", "3")
    );
    assert_eq!(
        ask("/auth/v1/token?grant_type=password", "192.0.2.1").await.refusal(),
        "429 over_request_rate_limit"
    );
    assert_eq!(ask("/token?grant_type=nonsense", "192.0.2.1").await.refusal(), "400 invalid_credentials");
    assert_eq!(ask(grant, "192.0.2.2").await.refusal(), "400 refresh_token_not_found");
    assert_eq!(ask("/signup", "192.0.2.1").await.refusal(), "400 validation_failed", "another bucket");
    server.clock.advance(time::Duration::seconds(2));
    assert_eq!(ask(grant, "192.0.2.1").await.refusal(), "400 refresh_token_not_found");

    let anonymous = async || {
        let request = server.request(Method::POST, "/signup").header("x-real-ip", "192.0.2.3");
        server.send(request.json(&json!({}))).await.status.as_u16()
    };
    for _ in 0..30 {
        assert_eq!(anonymous().await, 200);
    }
    assert_eq!(anonymous().await, 429);
}

/// A client that sends the head of a request first and its body a moment later keeps its connection, also where nobody
/// wants the body: the next request on it is answered.
#[tokio::test]
async fn a_body_that_nobody_wants_costs_no_connection() {
    let server = Server::start().await;
    let answered = async |stream: &mut TcpStream| {
        let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&text).contains("}") {
            let read = stream.read(&mut bytes).await.unwrap();
            assert!(read > 0, "the connection was closed: {}", String::from_utf8_lossy(&text));
            text.extend(&bytes[..read]);
        }
        String::from_utf8(text).unwrap()
    };
    let factor = "/factors/0b7f9c1e-5d2a-4c3b-8e6f-1a2b3c4d5e6f/challenge";
    for path in ["/logout", "/admin/users", factor] {
        let mut stream = TcpStream::connect(server.handle.address()).await.unwrap();
        let head = |line: &str, length| {
            format!(
                "{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            )
        };
        stream.write_all(head(&format!("POST {path}"), 16).as_bytes()).await.unwrap();
        for _ in 0..5 {
            server.get("/health").await; // by then the head has been seen
        }
        stream.write_all(br#"{"channel":null}"#).await.unwrap();
        assert!(answered(&mut stream).await.starts_with("HTTP/1.1 401"), "{path}");
        stream.write_all(head("GET /health", 0).as_bytes()).await.unwrap();
        assert!(answered(&mut stream).await.starts_with("HTTP/1.1 200"), "{path}");
    }
}
