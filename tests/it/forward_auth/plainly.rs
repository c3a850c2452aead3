//! Questions that are answered with no, whoever is signed in: of a stranger, in unclear words, about another site's doing.

use http::Method;

use super::{HOST, SITE, about, ask, plan};
use crate::client::{Browser, script};
use crate::harness::TestApp;

/// S-62: perfect headers of somebody who is no listed proxy are worth nothing.
#[tokio::test]
async fn only_a_listed_proxy_may_ask() {
    let app = TestApp::with(plan()).await;
    let unlisted = app.node(&[("BFF_TRUSTED_PROXIES", "192.0.2.7/32")]).await;
    let browser = Browser::new(SITE).at(&unlisted);
    for uri in ["/open/x", "/notes/1"] {
        let answer = ask(&browser, &about("GET", uri), &script()).await;
        assert_eq!((answer.status, answer.body.as_str()), (403, ""), "{uri}");
    }
    let headers = [("host", HOST), ("x-forwarded-proto", "https")];
    let answer = browser.send(Method::GET, "/auth/verify/envoy/open/x", &headers, None).await;
    assert_eq!(answer.status, 403);
}

/// S-63: each header missing, doubled, malformed or in another spelling is a no; so are a host that is not listed, a
/// scheme that is not ours and a path that two programs could read in two ways (S-49).
#[tokio::test]
async fn what_is_not_said_plainly_is_refused() {
    for family in ["x-forwarded", "x-original"] {
        let app = TestApp::with(plan().with("BFF_FORWARD_AUTH_FAMILY", family)).await;
        let stranger = app.browser();
        let sound: Vec<(&str, &str)> = if family == "x-original" {
            vec![
                ("host", "bff.internal"),
                ("x-original-method", "GET"),
                ("x-original-url", "https://app.example.test/open/x?y=1"),
            ]
        } else {
            about("GET", "/open/x?y=1")
        };
        assert_eq!(ask(&stranger, &sound, &[]).await.status, 200, "{family}");
        for (name, value) in &sound[1..] {
            let without: Vec<_> = sound.iter().copied().filter(|(other, _)| other != name).collect();
            let and = |extra: (&'static str, &'static str)| {
                without.iter().copied().chain([(*name, *value), extra]).collect::<Vec<_>>()
            };
            let alias: &'static str = name.replace('-', "_").leak();
            let half: &'static str = name.replacen('-', "_", 1).leak();
            let dotted: &'static str = name.replace('-', ".").leak();
            let (same, value): (&'static str, &'static str) =
                ((*name).to_owned().leak(), (*value).to_owned().leak());
            for (what, headers) in [
                ("missing", without.clone()),
                ("doubled", and((same, value))),
                ("contradicted", and((same, "x"))),
                ("aliased", and((alias, value))),
                ("half aliased", and((half, value))),
                ("dotted", and((dotted, value))),
                ("alias alone", without.iter().copied().chain([(alias, value)]).collect()),
                ("empty", without.iter().copied().chain([(*name, "")]).collect()),
                ("listed", without.iter().copied().chain([(*name, "x, y")]).collect()),
            ] {
                let answer = ask(&stranger, &headers, &[]).await;
                assert_eq!((answer.status, answer.body.as_str()), (403, ""), "{family}: {name} {what}");
            }
        }
        for target in [
            "open/x",
            "//open/x",
            "/x/../open/x",
            "/%2e%2e/open/x",
            "/open/x;a",
            "/open%2fx",
            "/open\\x",
            "/open/x#/../admin",
            "/open/x?a#b",
            "/open/%",
            "/open/%00",
            "https://app.example.test/open/x",
            "*",
            "",
        ] {
            let url = format!("https://app.example.test{target}");
            let headers: Vec<(&str, &str)> = sound
                .iter()
                .map(|(name, value)| match *name {
                    "x-forwarded-uri" => (*name, target),
                    "x-original-url" => (*name, url.as_str()),
                    _ => (*name, *value),
                })
                .collect();
            assert_eq!(ask(&stranger, &headers, &[]).await.status, 403, "{family}: {target}");
        }
        for (scheme, host) in [
            ("https", "other.example.test"),
            ("https", "app.example.test.evil.test"),
            ("https", "app.example.test:8443"),
            ("https", "ada@app.example.test"),
            ("http", "app.example.test"),
            ("wss", "app.example.test"),
        ] {
            let url = format!("{scheme}://{host}/open/x");
            let headers: Vec<(&str, &str)> = sound
                .iter()
                .map(|(name, value)| match *name {
                    "x-forwarded-proto" => (*name, scheme),
                    "x-forwarded-host" => (*name, host),
                    "x-original-url" => (*name, url.as_str()),
                    _ => (*name, *value),
                })
                .collect();
            assert_eq!(ask(&stranger, &headers, &[]).await.status, 403, "{family}: {url}");
        }
    }
}

/// S-63: what another site causes is refused by the forwarded `Origin` and `Sec-Fetch-Site` (S-13), a WebSocket's
/// handshake included; an app behind need know nothing of `X-CSRF`.
#[tokio::test]
async fn a_cross_site_write_is_refused() {
    let app = TestApp::with(plan()).await;
    let browser = app.signed_in("ada@example.test").await;
    let upgrade = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (status, method, sent) in [
        (200, "PUT", &[("origin", SITE), ("sec-fetch-site", "same-origin")][..]),
        (200, "PUT", &[("origin", SITE)]),
        (403, "PUT", &[("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")]),
        (403, "PUT", &[("origin", "https://evil.test")]),
        (403, "PUT", &[("origin", "http://app.example.test")]),
        (403, "PUT", &[("origin", "null")]),
        (403, "PUT", &[("sec-fetch-site", "same-site")]),
        (403, "PUT", &[]), // a session, and nothing that tells where it comes from
        (200, "GET", &[("sec-fetch-site", "same-origin")]),
        (200, "GET", &[upgrade, ("origin", SITE)]),
        (403, "GET", &[upgrade, ("origin", "https://evil.test")]),
        (403, "GET", &[upgrade]),
    ] {
        let answer = ask(&browser, &about(method, "/x"), sent).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, ""), "{method} {sent:?}");
    }
}
