//! What an upstream gets to see.

use axum::body::Body;
use base::secret::Secret;
use futures_util::{FutureExt, stream};
use http::{Method, StatusCode};

use super::harness::*;
use crate::gateway::path::BadPath;
use crate::gateway::{Error, is_forwarded};

const PUBLIC: &str = "allow = 'public'";
const OPTIONAL: &str = "allow = 'optional'";
const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// S-48, S-49: the host is the configured one, and the path arrives byte for byte without the mount.
#[tokio::test]
async fn the_path_arrives_as_it_was_judged() {
    for (asked, arrives) in [
        ("/api/orders/a%20b/%C3%A9?q=%2e%2e//x&q=+", "/v2/orders/a%20b/%C3%A9?q=%2e%2e//x&q=+"),
        ("/api/orders/@evil.test:80", "/v2/orders/@evil.test:80"),
        ("/api/orders/", "/v2/orders/"),
        ("/api", "/v2"),
        ("http://evil.test/api/orders", "/v2/orders"),
    ] {
        let (listener, address) = bare().await;
        let door = Door::at(
            &format!("http://{address}/v2"),
            "",
            "allow = 'public'\npath = '/api/**'\nstrip = '/api'",
        );
        let asked = get_with(asked, &[("host", "evil.test"), ("x-forwarded-host", "evil.test")]);
        let (head, response) = tokio::join!(answer_once(&listener, NO_CONTENT), door.send(asked));
        assert_eq!(response.unwrap().status(), StatusCode::NO_CONTENT);
        assert!(head.starts_with(&format!("GET {arrives} HTTP/1.1\r\n")), "{head}");
        assert!(
            head.contains(&format!("\r\nhost: {address}\r\n")) && !head.contains("evil.test\r"),
            "{head}"
        );
    }
}

/// S-49: what the upstream does not allow is refused here, whatever the look-up of the rule allowed.
#[tokio::test]
async fn bad_paths_never_leave() {
    let recorder = Recorder::start(&[]).await;
    let strict = Door::own(recorder.address, "", PUBLIC);
    for (path, fault) in [
        ("/a//b", BadPath::EmptySegment),
        ("/public/../admin", BadPath::DotSegment),
        ("/a%2fb", BadPath::Escape(b'/')),
        ("/a;b", BadPath::Byte(b';')),
    ] {
        match strict.send(get(path)).await {
            Err(Error::BadPath(found)) => assert_eq!(found, fault),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert!(recorder.seen().is_empty());
    let relaxed = Door::own(recorder.address, "allow_encoded = [';', '%2f']", PUBLIC);
    relaxed.send(get("/a%2fb;c")).await.unwrap();
    assert_eq!(recorder.only().target, "/a%2fb;c");
}

/// S-50: forged headers of every spelling are gone, on public rules and with OPTIONS too; ours stand alone.
#[tokio::test]
async fn forged_headers_are_replaced() {
    let forged = [
        ("authorization", "Bearer forged"),
        ("proxy-authorization", "Basic forged"),
        ("apikey", "forged"),
        ("cookie", "sb_session=forged; theme=dark; other=1"),
        ("x-forwarded-for", "forged"),
        ("x_forwarded_for", "forged"),
        ("x.forwarded.user", "forged"),
        ("X-Forwarded_Groups", "forged"),
        ("x-forwarded-email", "forged"),
        ("forwarded", "for=forged"),
        ("x-real-ip", "forged"),
        ("x_real_ip", "forged"),
        ("x-client-ip", "forged"),
        ("sb-forwarded-for", "forged"),
        ("x-jwt-aud", "forged"),
        ("redirect_to", "forged"),
        ("redirect-to", "forged"),
        ("x-original-url", "forged"),
        ("x-original-method", "forged"),
        ("x-rewrite-url", "forged"),
        ("x-http-method-override", "forged"),
        ("proxy-connection", "forged"),
        ("x-auth-request-user", "forged"),
        ("x-request-id", "forged"),
        ("te", "trailers"),
        ("upgrade", "websocket"),
        ("x-named", "forged"),
        ("connection", "upgrade, X-Named"),
        ("connection", "x-forwarded-proto, authorization, host"),
        ("x-custom", "passes"),
        ("accept", "text/plain"),
    ];
    for method in [Method::GET, Method::OPTIONS, Method::DELETE] {
        let recorder = Recorder::start(&[]).await;
        let upstream = "token = 'user'\npass_cookies = ['theme']";
        let door =
            Door::own(recorder.address, upstream, "allow = 'optional'\npath = '/api/**'\nstrip = '/api'")
                .signed_in();
        let mut request = get_with("/api/x", &forged);
        *request.method_mut() = method.clone();
        door.send(request).await.unwrap();
        let seen = recorder.only();
        assert_eq!(seen.method, method);
        let mut left: Vec<_> =
            seen.headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        left.sort_unstable();
        let host = format!("host: {}", recorder.address);
        assert_eq!(
            left,
            [
                "accept: text/plain",
                "authorization: Bearer canary.access.token",
                "cookie: theme=dark",
                host.as_str(),
                "x-custom: passes",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: app.example.test",
                "x-forwarded-prefix: /api",
                "x-forwarded-proto: https",
                "x-request-id: req-1",
            ],
            "{method}"
        );
    }
}

/// S-50: identity headers only where they are asked for, made from the token alone.
#[tokio::test]
async fn identity_headers_on_request() {
    for (upstream, expected) in [
        (
            "identity_headers = true",
            ["0b5f2f7e-6f1c-4d8e-9a53-3b1d6f0f4a11", "ada@example.test", "editor,admin"],
        ),
        ("", ["", "", ""]),
    ] {
        let recorder = Recorder::start(&[]).await;
        Door::own(recorder.address, upstream, OPTIONAL).signed_in().send(get("/x")).await.unwrap();
        let seen = recorder.only();
        assert_eq!(["user", "email", "groups"].map(|n| seen.header(&format!("x-forwarded-{n}"))), expected);
    }
    let recorder = Recorder::start(&[]).await;
    let forged = [("x-forwarded-user", "admin"), ("x-forwarded-groups", "admin")];
    Door::own(recorder.address, "identity_headers = true", OPTIONAL)
        .send(get_with("/x", &forged))
        .await
        .unwrap();
    assert_eq!(recorder.only().header("x-forwarded-user"), "");
}

/// S-50: cookies pass by name and byte by byte; nothing smuggles one of ours along.
#[tokio::test]
async fn listed_cookies_pass() {
    for (lines, arrives) in [
        (vec!["theme=dark"], "theme=dark"),
        (vec!["sb_session=1; theme=dark;lang=de", "other=2"], "theme=dark; lang=de"),
        (vec!["theme=\"a; sb_session=1; b\""], "theme=\"a"),
        (vec!["$Version=1; Theme=x; theme ; =theme; theme= "], "theme="),
        (vec!["\u{a0}theme=x"], ""),
        (vec!["sb_session=1"], ""),
    ] {
        let recorder = Recorder::start(&[]).await;
        let door = Door::own(recorder.address, "pass_cookies = ['theme', 'lang']", PUBLIC);
        let cookies: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
        door.send(get_with("/x", &cookies)).await.unwrap();
        assert_eq!(recorder.only().header("cookie"), arrives, "{lines:?}");
    }
}

/// S-51, S-52: the token goes out on rules about users, to upstreams that ask for it; never is there a silent downgrade.
#[tokio::test]
async fn the_token_goes_where_it_is_asked_for() {
    for (upstream, rule, arrives) in [
        ("token = 'user'", OPTIONAL, "Bearer canary.access.token"),
        ("token = 'user'", "allow = 'user'", "Bearer canary.access.token"),
        ("token = 'user'", PUBLIC, ""),
        ("token = 'none'", "allow = 'user'", ""),
        ("", OPTIONAL, ""),
    ] {
        let recorder = Recorder::start(&[]).await;
        let door = Door::own(recorder.address, upstream, rule).signed_in();
        door.send(get("/x")).await.unwrap();
        assert_eq!(recorder.only().header("authorization"), arrives, "{upstream} {rule}");
    }
    let recorder = Recorder::start(&[]).await;
    let door = Door::own(recorder.address, "token = 'user'", "allow = 'user'").signed_in();
    assert!(matches!(door.send_with(get("/x"), None).await, Err(Error::NoToken)));
    let unfit = Some(Secret::new("a\r\nx-forged: 1".to_owned()));
    assert!(matches!(door.send_with(get("/x"), unfit).await, Err(Error::NoToken)));
    assert!(recorder.seen().is_empty());
}

/// S-50, S-52: the project gets a list of known headers and the publishable key, whatever key the page has.
#[tokio::test]
async fn the_project_gets_key_and_token() {
    let sent = [
        ("apikey", "bff"),
        ("authorization", "Bearer phantom"),
        ("cookie", "sb_session=1"),
        ("x-client-info", "supabase-js-web/2"),
        ("prefer", "return=representation"),
        ("accept-profile", "public"),
        ("tus-resumable", "1.0.0"),
        ("upload-metadata", "bucketName YQ=="),
        ("x-signature", "signed"),
        ("if-none-match", "\"1\""),
        ("referer", "https://app.example.test/x"),
        ("origin", "https://app.example.test"),
        ("x-custom", "1"),
        ("x_client_info", "1"),
        ("x-forwarded-for", "1"),
    ];
    let recorder = Recorder::start(&[]).await;
    let door = Door::supabase(recorder.address).signed_in();
    door.send(get_with("/supabase/rest/v1/notes?select=*&apikey=bff&n=gte.3&n=lte.8", &sent)).await.unwrap();
    let seen = recorder.only();
    assert_eq!(seen.target, format!("/rest/v1/notes?select=*&apikey={KEY}&n=gte.3&n=lte.8"));
    let mut names: Vec<_> = seen.headers.keys().map(|n| n.as_str()).collect();
    names.sort_unstable();
    let expected = "accept-profile apikey authorization host if-none-match prefer tus-resumable \
                    upload-metadata x-client-info x-request-id x-signature";
    assert_eq!(names.join(" "), expected);
    assert_eq!(seen.header("authorization"), "Bearer canary.access.token");
    assert_eq!(seen.header("apikey"), KEY);
    // A function may read any header that is nobody's credential.
    let recorder = Recorder::start(&[]).await;
    let door = Door::supabase(recorder.address).signed_in();
    door.send(get_with("/supabase/functions/v1/hello", &sent)).await.unwrap();
    let seen = recorder.only();
    assert_eq!((seen.header("x-custom"), seen.header("cookie")), ("1".to_owned(), String::new()));
    assert_eq!(seen.header("x-forwarded-for"), "");
    assert_eq!(
        (seen.header("apikey"), seen.header("authorization")),
        (KEY.to_owned(), format!("Bearer {TOKEN}"))
    );
}

/// Public files go without the user's token, and a stranger goes by the key, as the official client does.
#[tokio::test]
async fn strangers_go_by_the_key() {
    let recorder = Recorder::start(&[]).await;
    let door = Door::supabase(recorder.address).signed_in();
    door.send(get("/supabase/storage/v1/object/public/a/b;c%2fd.png")).await.unwrap();
    Door::supabase(recorder.address).send(get("/supabase/rest/v1/notes")).await.unwrap();
    let seen = recorder.seen();
    assert_eq!(seen[0].target, "/storage/v1/object/public/a/b;c%2fd.png");
    for seen in seen {
        assert_eq!(seen.header("authorization"), format!("Bearer {KEY}"));
    }
}

/// S-57: the length that goes out is that of the body. Bodies of unknown length go out in chunks.
#[tokio::test]
async fn framing_is_written_anew() {
    let chunks = || Body::from_stream(stream::iter([Ok::<_, axum::Error>("ab"), Ok("cd")]));
    for (request, framing) in [
        (get("/x"), vec![]),
        (post("/x", Body::empty()), vec!["content-length: 0"]),
        (post("/x", Body::from("abcd")), vec!["content-length: 4"]),
        (post("/x", chunks()), vec!["transfer-encoding: chunked"]),
    ] {
        let (listener, address) = bare().await;
        let door = Door::own(address, "", PUBLIC);
        let mut request = request;
        request.headers_mut().insert("content-length", "99".parse().unwrap());
        request.headers_mut().insert("transfer-encoding", "gzip, chunked".parse().unwrap());
        let (head, response) = tokio::join!(answer_once(&listener, NO_CONTENT), door.send(request));
        response.unwrap();
        let is_framing = |l: &&str| l.starts_with("content-length") || l.starts_with("transfer-encoding");
        assert_eq!(head.split("\r\n").filter(is_framing).collect::<Vec<_>>(), framing);
    }
    let recorder = Recorder::start(&[]).await;
    Door::own(recorder.address, "", PUBLIC).send(post("/x", chunks())).await.unwrap();
    assert_eq!(recorder.only().body, "abcd");
}

/// S-57: methods that upstreams and caches treat in their own way are not forwarded, even by a rule for all methods.
#[tokio::test]
async fn odd_methods_are_refused() {
    let (listener, address) = bare().await;
    for method in ["TRACE", "CONNECT", "get", "PROPFIND", "QUERY"] {
        let method: Method = method.parse().unwrap();
        assert!(!is_forwarded(&method), "{method}");
    }
    let door = Door::own(address, "", "allow = 'public'\nmethods = ['PROPFIND']");
    let mut request = get("/x");
    *request.method_mut() = "PROPFIND".parse().unwrap();
    assert!(matches!(door.send(request).await, Err(Error::Method)));
    assert!(listener.accept().now_or_never().is_none());
}
