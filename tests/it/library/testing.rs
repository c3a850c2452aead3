//! What the library offers for the tests of its users.

use std::time::Duration;

use http::Method;
use serde_json::json;
use supabase_bff::Bff;
use supabase_bff::testing::TestBff;

use super::{Notes, application};

fn settings() -> supabase_bff::app::Builder {
    Bff::builder()
        .scope("items", "Everything about items")
        .role("user", ["items:read"])
        .role("editor", ["items"])
        .role("admin", ["*"])
}

/// People sign in, with roles; nothing of one test is in another.
#[tokio::test]
async fn people_sign_in_at_an_application_under_test() {
    let notes = Notes::default();
    let given = notes.clone();
    let test = TestBff::builder()
        .settings(settings())
        .application(move |bff| application(bff, given))
        .start()
        .await
        .unwrap();
    assert_eq!(test.visitor().get("/me").await.unwrap().status(), 401);
    let ada = test.sign_in("ada@example.test").await.unwrap();
    assert!(ada.get("/me").await.unwrap().body().contains("ada@example.test"));
    assert_eq!(ada.post("/notes", &json!({})).await.unwrap().status(), 403);
    let ada = test.sign_in_as("ada@example.test", "editor").await.unwrap();
    assert_eq!(ada.post("/notes", &json!({})).await.unwrap().status(), 200);
    let eve = test.sign_in_as("eve@example.test", "admin").await.unwrap();
    assert_eq!(eve.get("/admin").await.unwrap().status(), 200);
    assert_eq!(notes.written(), 1);

    test.advance(Duration::from_secs(31 * 60));
    assert_eq!(ada.get("/me").await.unwrap().status(), 200);
    assert_eq!(test.refreshes(), 1);

    let bearer = format!("Bearer {}", test.bearer("ada@example.test").await.unwrap());
    let program = test.visitor();
    let answer = program.send(Method::GET, "/me", &[("authorization", &bearer)], None).await.unwrap();
    assert_eq!(answer.status(), 200);
    let page = test.visitor().navigate("/me").await.unwrap();
    assert_eq!(page.headers()["location"], "/auth/login?return_to=%2Fme");
    assert!(test.mails().is_empty());
}

/// Without an application there are our own paths; once it is dropped nobody answers.
#[tokio::test]
async fn it_starts_alone_and_ends() {
    let test = TestBff::start().await.unwrap();
    let ada = test.sign_in("ada@example.test").await.unwrap();
    assert!(ada.get("/auth/session").await.unwrap().body().contains("ada@example.test"));
    assert_eq!(ada.get("/supabase/auth/v1/user").await.unwrap().status(), 200);
    assert_eq!(ada.get("/elsewhere").await.unwrap().status(), 404);
    drop(test);
    assert!(ada.get("/auth/session").await.is_err());
}

/// Every fault of the settings is told at once, by name and with its fix.
#[tokio::test]
async fn faults_of_the_builder_are_told_together() {
    let builder = Bff::builder().set("session.idel", "7d").role("user", ["items:read"]).public_url("ftp://x");
    let error = builder.build().await.err().expect("it is refused").to_string();
    for word in ["BFF_SESSION_IDEL", "BFF-RULE-003", "items:read", "SUPABASE_URL", "BFF_PUBLIC_URL"] {
        assert!(error.contains(word), "{word} is missing: {error}");
    }
}
