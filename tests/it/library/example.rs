//! The example, as it stands: who may read reads, who may write writes.

use serde_json::json;
use supabase_bff::testing::TestBff;

#[path = "../../../examples/library.rs"]
#[expect(dead_code, reason = "its `main` waits for Ctrl-C")]
mod library;

#[tokio::test]
async fn the_example_works() {
    let test = TestBff::builder().settings(library::settings()).application(library::application);
    let test = test.start().await.unwrap();
    let stranger = test.visitor();
    assert!(stranger.navigate("/").await.unwrap().body().contains("Hello, stranger"));
    let notes = stranger.navigate("/notes").await.unwrap();
    assert_eq!(notes.headers()["location"], "/auth/login?return_to=%2Fnotes");

    let ada = test.sign_in_as("ada@example.test", "reader").await.unwrap();
    assert_eq!(ada.get("/me").await.unwrap().status(), 200);
    assert_eq!(ada.post("/notes", &json!("a boat")).await.unwrap().status(), 403);
    let bob = test.sign_in_as("bob@example.test", "editor").await.unwrap();
    assert_eq!(bob.post("/notes", &json!("a boat")).await.unwrap().body(), r#"{"notes":1}"#);
    assert_eq!(ada.get("/notes").await.unwrap().body(), r#"["bob@example.test: a boat"]"#);
}
