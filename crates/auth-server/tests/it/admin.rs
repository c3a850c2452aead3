//! What administrators do to accounts, and features that are off.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{GitHub, PASSWORD, Server, fragment, parameter};

async fn make(server: &Server, body: Value) -> crate::harness::Reply {
    server.admin(Method::POST, "/admin/users", body).await
}

#[tokio::test]
async fn lists_are_filtered_and_sorted() {
    let server = Server::start().await;
    for (email, name) in
        [("ada@example.test", "Lovelace"), ("grace@example.test", "Hopper"), ("bob@x.test", "%_'")]
    {
        let body = json!({"email": email, "user_metadata": {"full_name": name}});
        assert_eq!(make(&server, body).await.status, 200);
        server.clock.advance(time::Duration::seconds(1));
    }
    let list = async |query: &str| {
        let reply = server.admin(Method::GET, &format!("/admin/users?{query}"), json!({})).await;
        let users = reply.json["users"].as_array().unwrap().clone();
        let emails: Vec<String> =
            users.iter().map(|user| user["email"].as_str().unwrap().to_owned()).collect();
        (emails.join(" "), reply.header("x-total-count").to_owned())
    };
    let (ada, grace) = ("ada@example.test", "grace@example.test");
    assert_eq!(list("sort=created_at%20asc&per_page=2").await, (format!("{ada} {grace}"), "3".to_owned()));
    assert_eq!(list("filter=EXAMPLE.").await, (format!("{grace} {ada}"), "2".to_owned()));
    assert_eq!(list("filter=hopp").await, (grace.to_owned(), "1".to_owned()));
    assert_eq!(list("filter=%25_'").await, ("bob@x.test".to_owned(), "1".to_owned()), "no wildcard (S-80)");
    let wrong = server.admin(Method::GET, "/admin/users?sort=password", json!({})).await;
    assert_eq!(wrong.refusal(), "400 validation_failed");
}

/// S-78: whoever was deleted is out at once by every way in, though the row is kept.
#[tokio::test]
async fn soft_deletion_keeps_a_row_and_nothing_else() {
    let (github, url) = GitHub::start().await;
    let server = Server::with(|settings| {
        let secret = base::secret::Secret::new("a-secret".to_owned());
        settings.github = Some(auth_server::Client { id: "an-id".to_owned(), secret });
        settings.github_url = Some(url);
    })
    .await;
    let by_github = async || {
        let state = parameter(&server.get("/authorize?provider=github").await.location(), "state").unwrap();
        let code = github.consents(7, "ada@example.test", true);
        let landed = server.get(&format!("/callback?state={state}&code={code}")).await.location();
        fragment(&landed)["access_token"].clone()
    };
    let access = by_github().await;
    let user = server.get_as("/user", &access).await.json;
    let password = json!({"password": PASSWORD});
    assert_eq!(server.call_as(Method::PUT, "/user", &access, password).await.status, 200);
    server.post("/recover", json!({"email": "ada@example.test"})).await;
    let (link, _) = server.mail("ada@example.test");
    let path = format!("/admin/users/{}", user["id"].as_str().unwrap());
    let body = json!({"should_soft_delete": true});
    assert_eq!(server.admin(Method::DELETE, &path, body).await.json, json!({}));

    let kept = server.admin(Method::GET, &path, json!({})).await;
    assert!(kept.json["deleted_at"].is_string());
    for text in ["ada@", "Octo", "github.com"] {
        assert!(!kept.text.contains(text), "{text} in {}", kept.text);
    }
    assert_eq!(server.get_as("/user", &access).await.refusal(), "403 session_not_found");
    assert_eq!(server.sign_in("ada@example.test", PASSWORD).await.refusal(), "400 invalid_credentials");
    let redeemed = server.post("/verify", json!({"type": "recovery", "token_hash": link})).await;
    assert_eq!(redeemed.refusal(), "403 otp_expired");
    let again = server.get_as("/user", &by_github().await).await.json;
    assert_ne!(again["id"], user["id"], "the same person starts anew");
}

/// S-72: a hash of another system opens its account, is made stronger at the first sign-in, and may not ask for more
/// work than is allowed.
#[tokio::test]
async fn password_hashes_are_imported() {
    use argon2::password_hash::PasswordHasher;
    let server = Server::start().await;
    let params = argon2::Params::new(8_192, 1, 1, None).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]).unwrap().to_string();
    let import = async |hash: &str| {
        let email = format!("n{}@example.test", hash.len());
        (make(&server, json!({"email": email, "password_hash": hash, "email_confirm": true})).await, email)
    };
    let (made, email) = import(&hash).await;
    assert_eq!(made.status, 200, "{made:?}");
    server.sign_in(&email, PASSWORD).await.session();
    server.sign_in(&email, PASSWORD).await.session();
    assert_eq!(server.sign_in(&email, "other").await.refusal(), "400 invalid_credentials");
    for wrong in [
        "x",
        "$2y$10$abcdefghijklmnopqrstuv",
        "$argon2id$v=19$m=19456,t=2,p=1",
        &hash.replace("m=8192", "m=4194304"),
    ] {
        assert_eq!(import(wrong).await.0.refusal(), "400 validation_failed", "{wrong}");
    }
    let both = json!({"email": "b@example.test", "password": PASSWORD, "password_hash": hash});
    assert_eq!(make(&server, both).await.refusal(), "400 validation_failed");
}

#[tokio::test]
async fn what_is_off_says_so() {
    let server = Server::start().await;
    let session = server.sign_up("ada@example.test").await.session();
    for (method, path, refusal) in [
        (Method::GET, "/sso/saml/metadata", "404 saml_provider_disabled"),
        (Method::POST, "/sso", "404 saml_provider_disabled"),
        (Method::POST, "/passkeys/authentication/options", "404 passkey_disabled"),
        (Method::DELETE, "/passkeys/abc", "404 passkey_disabled"),
        (Method::GET, "/oauth/authorize", "404 feature_disabled"),
        (Method::POST, "/oauth/clients/register", "404 feature_disabled"),
        (Method::GET, "/user/oauth/grants", "404 feature_disabled"),
        (Method::GET, "/.well-known/oauth-authorization-server", "404 feature_disabled"),
        (Method::GET, "/scim/v2/Schemas", "404 feature_disabled"),
        (Method::POST, "/token?grant_type=web3", "422 web3_provider_disabled"),
    ] {
        let reply = server.call_as(method, path, &session.access, json!({})).await;
        assert_eq!(reply.refusal(), refusal, "{path}");
    }
    assert_eq!(server.get("/user/oauth/grants").await.refusal(), "401 no_authorization");
    assert_eq!(
        server.post("/otp", json!({"phone": "4915112345678"})).await.refusal(),
        "400 phone_provider_disabled"
    );
    assert_eq!(server.get("/.well-known/openid-configuration").await.status, 404);
}
