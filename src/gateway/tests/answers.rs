//! What a browser gets to see.

use http::{Method, StatusCode};

use super::harness::*;
use crate::gateway::Error;

const PUBLIC: &str = "allow = 'public'";
const OPTIONAL: &str = "allow = 'optional'";

/// S-54: what an upstream says about the connection, the site or our sessions does not arrive.
#[tokio::test]
async fn hostile_headers_do_not_arrive() {
    let recorder = Recorder::start(&[
        ("content-type", "application/json"),
        ("set-cookie", "sb_session=planted"),
        ("set-cookie", "theme=dark; Domain=example.test; Path=/; DOMAIN = x;Secure"),
        ("set-cookie", "other=1"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("clear-site-data", "\"*\""),
        ("service-worker-allowed", "/"),
        ("strict-transport-security", "max-age=0"),
        ("alt-svc", "h3=\"evil.test:443\""),
        ("refresh", "0; url=https://evil.test"),
        ("x-accel-redirect", "/etc/passwd"),
        ("x-accel-buffering", "no"),
        ("x-sendfile", "/etc/passwd"),
        ("www-authenticate", "Basic"),
        ("server", "orders/1.2"),
        ("x-powered-by", "orders"),
        ("sb-auth-refresh-token-prefix", "abcde"),
        ("x-request-id", "theirs"),
        ("x-session-ended", "admin"),
        ("authorization", "Bearer canary.access.token"),
        ("connection", "x-named"),
        ("x-named", "1"),
        ("x-custom", "passes"),
        ("x-relay-error", "true"),
        ("content-range", "0-1/2"),
    ])
    .await;
    let door = Door::own(recorder.address, "pass_cookies = ['theme']", OPTIONAL);
    let response = door.send(get("/x")).await.unwrap();
    let mut names: Vec<_> = response.headers().keys().map(|n| n.as_str()).filter(|n| *n != "date").collect();
    names.sort_unstable();
    let expected = "cache-control content-length content-range content-type cross-origin-resource-policy \
                    referrer-policy set-cookie x-content-type-options x-custom x-relay-error";
    assert_eq!(names.join(" "), expected);
    assert_eq!(all(response.headers(), "set-cookie"), "theme=dark; Path=/; Secure");
    assert_eq!(text(response).await, "answer");
}

/// S-51: a redirect is handed on and not followed; to a place that nobody listed it is not even handed on.
#[tokio::test]
async fn redirects_are_not_followed() {
    let (second, address) = bare().await;
    let location: &'static str = format!("http://{address}/x").leak();
    let recorder = Recorder::answering(StatusCode::FOUND, &[("location", location)]).await;
    let upstream = "token = 'user'";
    let door = Door::own(recorder.address, upstream, OPTIONAL).signed_in();
    assert!(matches!(door.send(get("/x")).await, Err(Error::ForbiddenRedirect(_))));
    let door =
        Door::own(recorder.address, &format!("{upstream}\nlocations = ['http://{address}']"), OPTIONAL);
    let response = door.signed_in().send(get("/x")).await.unwrap();
    assert_eq!(
        (response.status(), all(response.headers(), "location")),
        (StatusCode::FOUND, location.to_owned())
    );
    assert!(futures_util::FutureExt::now_or_never(second.accept()).is_none());

    let two =
        Recorder::answering(StatusCode::FOUND, &[("location", "/a"), ("location", "https://evil.test")])
            .await;
    let door = Door::own(two.address, "", OPTIONAL);
    assert!(matches!(door.send(get("/x")).await, Err(Error::ForbiddenRedirect(_))));
}

/// S-09: an answer made for a session is kept nowhere, whatever the upstream said.
#[tokio::test]
async fn answers_for_a_session_are_not_cached() {
    let theirs = [
        ("content-type", "image/png"),
        ("cache-control", "public, s-maxage=31536000, max-age=60"),
        ("cdn-cache-control", "max-age=31536000"),
        ("surrogate-control", "max-age=31536000"),
        ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
    ];
    let public_file = "/supabase/storage/v1/object/public/a/b.png";
    let recorder = Recorder::start(&theirs).await;
    let caching = async |door: Door, path: &str| {
        let response = door.send(get(path)).await.unwrap();
        let of = |name| all(response.headers(), name);
        let others = ["cdn-cache-control", "surrogate-control", "expires"].map(of).concat().len();
        (of("cache-control"), others > 0)
    };
    let own = |upstream: &str, rule: &str| Door::own(recorder.address, upstream, rule);
    let no_store = ("no-store".to_owned(), false);
    let private = ("private, max-age=60".to_owned(), false);
    let kept = (theirs[1].1.to_owned(), true);
    assert_eq!(caching(own("", OPTIONAL), "/x").await, no_store);
    assert_eq!(caching(own("", "allow = 'user'").signed_in(), "/x").await, no_store);
    assert_eq!(caching(own("", PUBLIC), "/x").await, no_store);
    assert_eq!(caching(own("kind = 'app'", OPTIONAL), "/x").await, no_store);
    assert_eq!(caching(own("kind = 'app'", PUBLIC), "/x").await, kept);
    assert_eq!(caching(own("cache = 'private'", OPTIONAL).signed_in(), "/x").await, private);
    assert_eq!(caching(Door::supabase(recorder.address).signed_in(), "/supabase/rest/v1/x").await, no_store);
    assert_eq!(caching(Door::supabase(recorder.address).signed_in(), public_file).await, kept);

    let with_cookie = Recorder::start(&[theirs[0], theirs[1], ("set-cookie", "theme=dark")]).await;
    for upstream in ["cache = 'private'", "kind = 'app'"] {
        let upstream = format!("{upstream}\npass_cookies = ['theme']");
        assert_eq!(caching(Door::own(with_cookie.address, &upstream, PUBLIC), "/x").await, no_store);
    }
    let active = Recorder::start(&[("content-type", "text/html"), theirs[1]]).await;
    assert_eq!(caching(Door::own(active.address, "cache = 'private'", OPTIONAL), "/x").await, no_store);
    let strict = Recorder::start(&[theirs[0], ("cache-control", "max-age=9, no-store")]).await;
    assert_eq!(caching(Door::own(strict.address, "cache = 'private'", OPTIONAL), "/x").await, no_store);
}

/// S-55: content that could run is boxed in and handed over as a file; content that cannot is left alone.
#[tokio::test]
async fn foreign_content_cannot_run_on_our_origin() {
    let types: &[(&'static [(&'static str, &'static str)], bool)] = &[
        (&[("content-type", "application/json; charset=utf-8")], true),
        (&[("content-type", "application/vnd.pgrst.object+json")], true),
        (&[("content-type", "text/plain")], true),
        (&[("content-type", "image/png")], true),
        (&[("content-type", "Video/MP4")], true),
        (&[("content-type", "application/octet-stream")], true),
        (&[("content-type", "text/html")], false),
        (&[("content-type", "image/svg+xml")], false),
        (&[("content-type", "application/xhtml+xml")], false),
        (&[("content-type", "text/xml")], false),
        (&[("content-type", "text/javascript")], false),
        (&[("content-type", "application/pdf")], false),
        (&[("content-type", "text/csv")], false),
        (&[("content-type", "text/plain, text/html")], false),
        (&[("content-type", "text/plain;a=b, text/html")], false),
        (&[("content-type", "text/plain"), ("content-type", "text/html")], false),
        (&[("content-type", "nonsense")], false),
        (&[("content-type", "")], false),
        (&[], false),
    ];
    for (headers, passive) in types {
        let recorder = Recorder::start(headers).await;
        let response = Door::own(recorder.address, "", OPTIONAL).send(get("/x")).await.unwrap();
        let of = |name| all(response.headers(), name);
        assert_eq!(of("x-content-type-options"), "nosniff");
        assert_eq!(of("cross-origin-resource-policy"), "same-origin");
        assert_eq!(of("referrer-policy"), "no-referrer"); // S-67
        let boxed = (of("content-security-policy"), of("content-disposition"));
        let expected = if *passive { ("", "") } else { ("sandbox; default-src 'none'", "attachment") };
        assert_eq!((boxed.0.as_str(), boxed.1.as_str()), expected, "{headers:?}");
    }
}

/// S-55: the upstream's own headers do not undo it, and a file keeps its name.
#[tokio::test]
async fn a_file_keeps_its_name_and_nothing_else() {
    for (given, expected) in [
        ("inline", "attachment"),
        ("inline; filename=\"a;b.html\"", "attachment; filename=\"a;b.html\""),
        ("attachment; filename=a.html", "attachment; filename=a.html"),
        ("ATTACHMENT ; filename=a", "attachment; filename=a"),
        ("form-data;name=a", "attachment;name=a"),
        ("nonsense here", "attachment"),
    ] {
        let recorder = Recorder::start(&[
            ("content-type", "text/html"),
            ("content-disposition", given),
            ("content-disposition", "inline"),
            ("content-security-policy", "default-src *"),
            ("content-security-policy", "script-src *"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("referrer-policy", "unsafe-url"),
        ])
        .await;
        let response = Door::own(recorder.address, "", OPTIONAL).send(get("/x")).await.unwrap();
        let of = |name| all(response.headers(), name);
        assert_eq!(of("content-disposition"), expected);
        assert_eq!(of("content-security-policy"), "sandbox; default-src 'none'");
        assert_eq!(
            (of("cross-origin-resource-policy"), of("referrer-policy")),
            ("same-origin".into(), "no-referrer".into())
        );
    }
}

/// S-55: an upstream may keep a type inline, and the site itself is left alone.
#[tokio::test]
async fn exceptions_are_declared() {
    let pdf = Recorder::start(&[("content-type", "application/pdf")]).await;
    let door = Door::own(pdf.address, "inline_types = ['Application/PDF']", OPTIONAL);
    let response = door.send(get("/x")).await.unwrap();
    assert_eq!(all(response.headers(), "content-disposition"), "");
    assert_eq!(all(response.headers(), "content-security-policy"), "sandbox; default-src 'none'");

    let app =
        Recorder::start(&[("content-type", "text/html"), ("content-security-policy", "script-src 'self'")])
            .await;
    let response = Door::own(app.address, "kind = 'app'", PUBLIC).send(get("/")).await.unwrap();
    let of = |name| all(response.headers(), name);
    assert_eq!(
        (of("content-security-policy"), of("content-disposition")),
        ("script-src 'self'".into(), String::new())
    );
    assert_eq!(
        (of("referrer-policy"), of("x-content-type-options")),
        ("same-origin".into(), "nosniff".into())
    );
}

/// S-56: a page opened on a stored file gets a download; an image in a page does not. Public files may be embedded
/// elsewhere (S-66).
#[tokio::test]
async fn stored_files_open_as_downloads() {
    let recorder = Recorder::start(&[("content-type", "image/png")]).await;
    let door = Door::supabase(recorder.address);
    for (path, destination, disposition, policy) in [
        ("/supabase/storage/v1/object/public/a/b.png", "document", "attachment", ""),
        ("/supabase/storage/v1/object/public/a/b.png", "image", "", ""),
        ("/supabase/storage/v1/object/a/b.png", "document", "attachment", "same-origin"),
        ("/supabase/storage/v1/object/a/b.png", "image", "", "same-origin"),
    ] {
        let response = door.send(get_with(path, &[("sec-fetch-dest", destination)])).await.unwrap();
        assert_eq!(all(response.headers(), "content-disposition"), disposition, "{path} {destination}");
        assert_eq!(all(response.headers(), "cross-origin-resource-policy"), policy);
    }
}

/// A resumable upload continues below the mount.
#[tokio::test]
async fn uploads_continue_below_the_mount() {
    let location = [("location", "https://ref.example.test/storage/v1/upload/resumable/YWJj")];
    let recorder = Recorder::answering(StatusCode::CREATED, &location).await;
    let mut request = get("/supabase/storage/v1/upload/resumable");
    *request.method_mut() = Method::POST;
    let response = Door::supabase(recorder.address).signed_in().send(request).await.unwrap();
    assert_eq!(all(response.headers(), "location"), "/supabase/storage/v1/upload/resumable/YWJj");
}
