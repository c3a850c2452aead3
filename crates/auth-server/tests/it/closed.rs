//! What is switched off says so, and what stays on works: sign-up, and the half of a change of address at the old one.

use reqwest::Method;
use serde_json::json;

use crate::harness::{PASSWORD, Server};

/// Contract, sections 2.2, 2.3 and 2.9: every way to a new account is refused alike, a recovery stays silent, and who
/// is made by the administrator comes in.
#[tokio::test]
async fn with_sign_up_closed_nobody_new_comes_in() {
    let server = Server::with(|settings| {
        settings.sign_up = false;
        settings.confirm_email = true;
    })
    .await;
    let address = json!({"email": "ada@example.test"});
    let account = json!({"email": "ada@example.test", "password": PASSWORD});
    for (path, body) in
        [("/signup", &account), ("/signup", &json!({})), ("/otp", &address), ("/magiclink", &address)]
    {
        let reply = server.post(path, body.clone()).await;
        assert_eq!(reply.refusal(), "422 signup_disabled", "{path} {body}");
        assert_eq!(reply.json["msg"], "Signups not allowed for this instance");
    }
    let silent = server.post("/recover", address.clone()).await;
    assert_eq!((silent.status.as_u16(), &silent.json), (200, &json!({})));
    assert!(server.handle.outbox().is_empty());
    assert_eq!(server.get("/settings").await.json["disable_signup"], true);

    let made = json!({"email": "ada@example.test", "password": PASSWORD, "email_confirm": true});
    assert_eq!(server.admin(Method::POST, "/admin/users", made).await.status, 200);
    server.sign_in("ada@example.test", PASSWORD).await.session();
    assert_eq!(server.post("/otp", address).await.status, 200);
    let (link, _) = server.mail("ada@example.test");
    let body = json!({"type": "magiclink", "token_hash": link});
    assert_eq!(server.post("/verify", body).await.session().user["email"], "ada@example.test");
}

/// Contract, section 2.10: without the secure change only the new address gets a mail, and it alone decides.
#[tokio::test]
async fn the_new_address_alone_may_decide() {
    let server = Server::with(|settings| settings.secure_email_change = false).await;
    let session = server.sign_up("ada@example.test").await.session();
    let change = json!({"email": "new@example.test"});
    let asked = server.call_as(Method::PUT, "/user", &session.access, change).await;
    assert_eq!(
        (&asked.json["email"], &asked.json["new_email"]),
        (&json!("ada@example.test"), &json!("new@example.test"))
    );
    let to: Vec<_> = server.handle.outbox().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["new@example.test"]);
    let (link, _) = server.mail("new@example.test");
    let body = json!({"type": "email_change", "token_hash": link});
    assert_eq!(server.post("/verify", body.clone()).await.session().user["email"], "new@example.test");
    assert_eq!(server.post("/verify", body).await.refusal(), "403 otp_expired");
    assert_eq!(server.get_as("/user", &session.access).await.json["email"], "new@example.test");
}
