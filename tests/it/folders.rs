//! Folders of static files: what lies in them, how it is served, and no way out.

use std::os::unix::fs::symlink;

use http::Method;
use tempfile::TempDir;

use crate::client::{Browser, navigation, script};
use crate::harness::{Plan, TestApp};
use crate::raw;

const SCRIPT: &str = "export const answer = 42 // and so on";

/// A site with a page, scripts, a sub-folder, and neighbours that are nobody's business.
async fn with_site() -> (TestApp, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in
        ["site/assets", "site/docs", "site/.git", "site/.well-known", "site/empty", "beside", "private"]
    {
        std::fs::create_dir_all(at(name)).unwrap();
    }
    for (name, text) in [
        ("site/index.html", "<!doctype html><title>The page</title>"),
        ("site/docs/index.html", "<!doctype html><title>The docs</title>"),
        ("site/assets/app.js", SCRIPT),
        ("site/assets/app.js.br", "compressed by br"),
        ("site/assets/app.js.gz", "compressed by gz"),
        ("site/assets/a b.txt", "blank"),
        ("site/.env", "canary"),
        ("site/.git/config", "canary"),
        ("site/.well-known/security.txt", "Contact: somebody"),
        ("site/linked.js", "fine"),
        ("beside/secret.txt", "canary"),
        ("private/index.html", "<!doctype html><title>Private</title>"),
        ("private/data.json", "{}"),
    ] {
        std::fs::write(at(name), text).unwrap();
    }
    symlink("../beside/secret.txt", at("site/leak.txt")).unwrap();
    symlink("../beside", at("site/out")).unwrap();
    symlink(at("beside/secret.txt"), at("site/linked.js.gz")).unwrap();
    symlink("assets/app.js", at("site/inside.js")).unwrap();
    let rules = format!(
        r#"
site = {{ folder = "{root}/site", spa = true }}
private = {{ folder = "{root}/private", cache = "private" }}
[[rules]]
name = "api"
path = "/api/**"
to = "echo"
[[rules]]
name = "private"
path = "/private/**"
to = "private"
strip = "/private"
[[rules]]
name = "site"
path = "/**"
to = "site"
allow = "public"
"#,
        root = folder.path().display()
    );
    (TestApp::with(Plan { rules, ..Plan::default() }).await, folder)
}

async fn get(browser: &Browser, path: &str, headers: &[(&str, &str)]) -> crate::client::Answer {
    browser.send(Method::GET, path, headers, None).await
}

/// The site's own pages and files, with their types, names for caches and a page for paths without a file.
#[tokio::test]
async fn a_folder_is_the_site() {
    let (app, _folder) = with_site().await;
    let browser = app.browser();
    for path in ["/", "/index.html", "/people/7", "/docs/of/nothing"] {
        let answer = get(&browser, path, &navigation("none")).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(answer.body.contains("The page"), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "SAMEORIGIN"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-cache"),
            ("cross-origin-resource-policy", ""),
            ("content-security-policy", ""),
            ("content-disposition", ""),
        ] {
            assert_eq!(answer.header(name), value, "{path} {name}");
        }
    }
    let script =
        [("sec-fetch-dest", "script"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-site", "same-origin")];
    let answer = get(&browser, "/assets/app.js", &script).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, SCRIPT));
    assert!(answer.header("content-type").starts_with("text/javascript"), "{:?}", answer.headers);
    assert_eq!(get(&browser, "/assets/gone.js", &script).await.status, 404, "no page in place of a script");
    assert_eq!(get(&browser, "/assets/a%20b.txt", &[]).await.body, "blank");
    assert_eq!(get(&browser, "/inside.js", &[]).await.body, SCRIPT, "a link within the folder");
    assert_eq!(get(&browser, "/.well-known/security.txt", &[]).await.status, 200);
    let answer = get(&browser, "/docs", &navigation("none")).await;
    assert_eq!((answer.status, answer.header("location")), (307, "/docs/"));
    assert!(get(&browser, "/docs/", &navigation("none")).await.body.contains("The docs"));
    let head = browser.send(Method::HEAD, "/assets/app.js", &[], None).await;
    assert_eq!((head.status, head.header("content-length"), head.body.as_str()), (200, "37", ""));
    let post = browser.json(Method::POST, "/assets/app.js", &serde_json::json!({})).await;
    assert_eq!((post.status, post.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(get(&browser, "/auth/login", &navigation("none")).await.status, 200, "ours stays ours");
}

/// Ranges, conditions and precompressed siblings.
#[tokio::test]
async fn files_come_in_parts_compressed_or_not_at_all() {
    let (app, _folder) = with_site().await;
    let browser = app.browser();
    let whole = get(&browser, "/assets/app.js", &[]).await;
    let etag = whole.header("etag").to_owned();
    assert!(etag.starts_with('"') && !whole.header("last-modified").is_empty());
    let part = get(&browser, "/assets/app.js", &[("range", "bytes=7-11")]).await;
    assert_eq!(
        (part.status, part.body.as_str(), part.header("content-range")),
        (206, "const", "bytes 7-11/37")
    );
    assert_eq!(get(&browser, "/assets/app.js", &[("range", "bytes=99-")]).await.status, 416);
    let known = get(&browser, "/assets/app.js", &[("if-none-match", &etag)]).await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    assert_eq!(get(&browser, "/assets/app.js", &[("if-match", "\"other\"")]).await.status, 412);
    for (accepted, encoding, body) in [
        ("br, gzip", "br", "compressed by br"),
        ("gzip", "gzip", "compressed by gz"),
        ("gzip;q=1, br;q=0.1", "gzip", "compressed by gz"),
        ("identity", "", SCRIPT),
        ("zstd", "", SCRIPT),
    ] {
        let answer = get(&browser, "/assets/app.js", &[("accept-encoding", accepted)]).await;
        assert_eq!((answer.header("content-encoding"), answer.body.as_str()), (encoding, body), "{accepted}");
        assert!(answer.header("vary").to_lowercase().contains("accept-encoding"), "{accepted}");
    }
}

/// S-49: no path leads out of the folder: neither by dots, however they are written, nor by a link, nor to a hidden file.
#[tokio::test]
async fn there_is_no_way_out() {
    let (app, folder) = with_site().await;
    let host = app.base.strip_prefix("http://").unwrap();
    let secret = folder.path().join("beside/secret.txt").display().to_string();
    for path in [
        "/../beside/secret.txt",
        "/assets/../../beside/secret.txt",
        "/%2e%2e/beside/secret.txt",
        "/..%2fbeside/secret.txt",
        "/%2e%2e%2fbeside%2fsecret.txt",
        "/..%5cbeside/secret.txt",
        "/assets/%252e%252e/%252e%252e/beside/secret.txt",
        "/leak.txt",
        "/out/secret.txt",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/assets/.%2fapp.js",
        "/leak.txt%00.js",
        &secret,
        &format!("/{secret}"),
        "/C:/beside/secret.txt",
        "/%C3%28.txt",
    ] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw::send(&app.base, text).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.text);
        assert!(!answer.text.contains("canary"), "{path}");
    }
    let linked = get(&app.browser(), "/linked.js", &[("accept-encoding", "gzip")]).await;
    assert_eq!((linked.status, linked.header("content-encoding"), linked.body.as_str()), (200, "", "fine"));
    assert_eq!(get(&app.browser(), "/empty/", &[]).await.status, 200, "the page again, and no list of files");
    assert!(!get(&app.browser(), "/assets/", &[]).await.body.contains("app.js"));
}

/// S-09, S-98: a folder for people who are signed in: nothing of it is kept by a cache that others use.
#[tokio::test]
async fn a_folder_can_ask_for_a_sign_in() {
    let (app, _folder) = with_site().await;
    let stranger = get(&app.browser(), "/private/", &navigation("same-origin")).await;
    assert_eq!(stranger.status, 303, "{}", stranger.body);
    assert_eq!(get(&app.browser(), "/private/data.json", &script()).await.status, 401);
    let browser = app.signed_in("ada@example.test").await;
    let page = get(&browser, "/private/", &navigation("same-origin")).await;
    assert!(page.status == 200 && page.body.contains("Private"), "{}", page.body);
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(
        get(&browser, "/private/data.json", &script()).await.header("cache-control"),
        "private, no-cache"
    );
    let missing = get(&browser, "/private/people/7", &navigation("same-origin")).await;
    assert_eq!(missing.status, 404, "without spa there is no page for it");
    let slash = get(&browser, "/private", &navigation("same-origin")).await;
    assert!(slash.status == 200 || slash.header("location") == "/private/", "{}", slash.status);
}
