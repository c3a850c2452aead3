//! Sign-up, sign-in, the person, sign-out.

use auth_server::{Settings, UserError, Users};
use base::clock::ManualClock;
use base::entropy::SystemEntropy;
use base::secret::Secret;
use insta::assert_json_snapshot;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use time::Duration;
use time::macros::datetime;

use crate::harness::{PASSWORD, Server};

#[tokio::test]
async fn a_person_signs_up_is_recognised_and_leaves() {
    let server = Server::start().await;
    let body = json!({"email": "Ada@Example.test", "password": PASSWORD, "data": {"name": "Ada <b>&"}});
    let session = server.post("/auth/v1/signup", body).await.session();
    let user = server.get_as("/user", &session.access).await;
    assert_json_snapshot!(user.json, {
        ".id" => "[id]", ".user_metadata.sub" => "[id]", ".identities[].id" => "[id]",
        ".identities[].identity_id" => "[identity]", ".identities[].user_id" => "[id]",
        ".identities[].identity_data.sub" => "[id]",
    }, @r#"
    {
      "app_metadata": {
        "provider": "email",
        "providers": [
          "email"
        ]
      },
      "aud": "authenticated",
      "confirmed_at": "2026-01-01T12:00:00Z",
      "created_at": "2026-01-01T12:00:00Z",
      "email": "ada@example.test",
      "email_confirmed_at": "2026-01-01T12:00:00Z",
      "id": "[id]",
      "identities": [
        {
          "created_at": "2026-01-01T12:00:00Z",
          "email": "ada@example.test",
          "id": "[id]",
          "identity_data": {
            "email": "ada@example.test",
            "email_verified": true,
            "name": "Ada <b>&",
            "phone_verified": false,
            "sub": "[id]"
          },
          "identity_id": "[identity]",
          "last_sign_in_at": "2026-01-01T12:00:00Z",
          "provider": "email",
          "updated_at": "2026-01-01T12:00:00Z",
          "user_id": "[id]"
        }
      ],
      "is_anonymous": false,
      "last_sign_in_at": "2026-01-01T12:00:00Z",
      "phone": "",
      "role": "authenticated",
      "updated_at": "2026-01-01T12:00:00Z",
      "user_metadata": {
        "email": "ada@example.test",
        "email_verified": true,
        "name": "Ada <b>&",
        "phone_verified": false,
        "sub": "[id]"
      }
    }
    "#);

    let claims = session.claims();
    assert_eq!(claims["iss"], server.handle.issuer());
    assert_eq!((&claims["sub"], &claims["session_id"]), (&user.json["id"], &claims["session_id"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 1800);
    assert_eq!(claims["amr"], json!([{"method": "password", "timestamp": claims["iat"]}]));
    assert_eq!(claims["app_metadata"], json!({"provider": "email", "providers": ["email"]}));

    let other = server.sign_in("ada@example.test", PASSWORD).await;
    assert_eq!(other.json["weak_password"], Value::Null);
    assert!(other.json.as_object().unwrap().contains_key("weak_password"));
    let other = other.session();
    assert_eq!(server.post_as("/logout?scope=local", &session.access, json!({})).await.status, 204);
    assert_eq!(server.get_as("/user", &session.access).await.refusal(), "403 session_not_found");
    assert_eq!(server.refresh(&session.refresh).await.refusal(), "400 refresh_token_not_found");
    assert_eq!(server.get_as("/user", &other.access).await.status, 200);
}

#[tokio::test]
async fn others_and_global_end_what_they_say() {
    let server = Server::start().await;
    let first = server.sign_up("ada@example.test").await.session();
    let second = server.sign_in("ada@example.test", PASSWORD).await.session();
    let stranger = server.sign_up("grace@example.test").await.session();
    assert_eq!(server.post_as("/logout?scope=others", &second.access, json!({})).await.status, 204);
    assert_eq!(server.get_as("/user", &first.access).await.refusal(), "403 session_not_found");
    assert_eq!(server.get_as("/user", &second.access).await.status, 200);
    assert_eq!(
        server.post_as("/logout?scope=all", &second.access, json!({})).await.refusal(),
        "400 validation_failed"
    );
    assert_eq!(server.post_as("/logout", &second.access, json!({})).await.status, 204);
    assert_eq!(server.get_as("/user", &second.access).await.refusal(), "403 session_not_found");
    assert_eq!(server.get_as("/user", &stranger.access).await.status, 200);
}

#[tokio::test]
async fn an_access_token_ends_with_its_time() {
    let server = Server::start().await;
    let session = server.sign_up("ada@example.test").await.session();
    server.clock.advance(Duration::seconds(1799));
    assert_eq!(server.get_as("/user", &session.access).await.status, 200);
    server.clock.advance(Duration::seconds(1));
    assert_eq!(server.get_as("/user", &session.access).await.refusal(), "403 bad_jwt");
    assert_eq!(server.post_as("/logout", &session.access, json!({})).await.refusal(), "403 bad_jwt");
    let fresh = server.refresh(&session.refresh).await.session();
    assert_eq!(server.get_as("/user", &fresh.access).await.status, 200);
}

/// Contract, section 2.3: an address that is taken sees what a new one would, made up from scratch.
#[tokio::test]
async fn a_taken_address_looks_like_a_new_one() {
    let server = Server::with(|settings| settings.confirm_email = true).await;
    let fresh = server.sign_up("ada@example.test").await;
    let (link, _) = server.mail("ada@example.test");
    server.post("/verify", json!({"type": "signup", "token_hash": link})).await.session();
    let taken =
        server.post("/signup", json!({"email": "ada@example.test", "password": "Copper-meadow-77"})).await;
    assert_eq!((taken.status, server.handle.outbox().len()), (fresh.status, 1));
    assert_ne!(taken.json["id"], fresh.json["id"]);
    assert_eq!((&taken.json["identities"], &taken.json["role"]), (&json!([]), &json!("")));
    let members = |reply: &Value| reply.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&taken.json), members(&fresh.json));
    assert_eq!(
        server.sign_in("ada@example.test", "Copper-meadow-77").await.refusal(),
        "400 invalid_credentials"
    );
    server.sign_in("ada@example.test", PASSWORD).await.session();
}

/// A double click: the address is one person afterwards, and nobody sees an error of the database.
#[tokio::test]
async fn parallel_sign_ups_make_one_account() {
    let server = Arc::new(Server::start().await);
    let calls = (0..10).map(|_| {
        let server = Arc::clone(&server);
        tokio::spawn(async move { server.sign_up("ada@example.test").await })
    });
    let mut in_at_once = 0;
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap();
        if reply.status == 200 {
            in_at_once += 1;
        } else {
            assert_eq!(reply.refusal(), "422 user_already_exists");
        }
    }
    assert_eq!(in_at_once, 1);
}

/// S-71: where a mail may follow, no answer comes before its step of 50 ms, whether one did or not.
#[tokio::test]
async fn answers_that_may_mail_come_at_even_times() {
    let server = Server::with(|settings| settings.confirm_email = true).await;
    server.sign_up("ada@example.test").await;
    for email in ["ada@example.test", "nobody@example.test"] {
        for (path, body) in [
            ("/signup", json!({ "email": email, "password": PASSWORD })),
            ("/resend", json!({ "email": email, "type": "signup" })),
            ("/recover", json!({ "email": email })),
            ("/otp", json!({ "email": email, "create_user": false })),
            ("/magiclink", json!({ "email": email, "create_user": false })),
        ] {
            let begun = tokio::time::Instant::now();
            server.post(path, body).await;
            assert!(begun.elapsed() >= std::time::Duration::from_millis(50), "{path} {email}");
        }
    }
}

/// S-74: who is unknown, banned, without password or simply wrong costs one comparison, like everybody else.
#[tokio::test]
async fn every_sign_in_costs_one_comparison() {
    let server = Server::start().await;
    server.sign_up("ada@example.test").await.session();
    let banned = server.sign_up("banned@example.test").await.session();
    let path = format!("/admin/users/{}", banned.user["id"].as_str().unwrap());
    server.admin(Method::PUT, &path, json!({"ban_duration": "1h"})).await;
    server
        .admin(Method::POST, "/admin/users", json!({"email": "bare@example.test", "email_confirm": true}))
        .await;
    for (email, password, answer) in [
        ("ada@example.test", "Copper-meadow-77", "400 invalid_credentials"),
        ("nobody@example.test", PASSWORD, "400 invalid_credentials"),
        ("not an address", PASSWORD, "400 invalid_credentials"),
        ("bare@example.test", PASSWORD, "400 invalid_credentials"),
        ("banned@example.test", PASSWORD, "400 user_banned"),
        ("banned@example.test", "Copper-meadow-77", "400 user_banned"),
    ] {
        let before = server.handle.password_work();
        assert_eq!(server.sign_in(email, password).await.refusal(), answer, "{email}");
        assert_eq!(server.handle.password_work() - before, 1, "{email}");
    }
}

/// S-73: on both paths that set a password here; bytes behind the 72nd count, and 1,024 of them are allowed.
#[tokio::test]
async fn password_rules_hold_on_every_path() {
    let server = Server::start().await;
    let admin = async |email: &str, password: &str| {
        server.admin(Method::POST, "/admin/users", json!({"email": email, "password": password})).await
    };
    for weak in ["1234567", "password1", "qwertyuiop"] {
        let reply = server.post("/signup", json!({"email": "ada@example.test", "password": weak})).await;
        assert_eq!(reply.refusal(), "422 weak_password", "{weak}");
        assert!(reply.json["weak_password"]["reasons"].as_array().is_some_and(|reasons| reasons.len() == 1));
        assert_eq!(admin("ada@example.test", weak).await.refusal(), "422 weak_password", "{weak}");
    }
    let long = |last: &str| "Violet-harbour-42 ".repeat(57)[..1023].to_owned() + last;
    let reply = server.post("/signup", json!({"email": "ada@example.test", "password": long("a")})).await;
    reply.session();
    assert_eq!(server.sign_in("ada@example.test", &long("b")).await.refusal(), "400 invalid_credentials");
    server.sign_in("ada@example.test", &long("a")).await.session();
    let longer = format!("{}x", long("a"));
    let reply = server.post("/signup", json!({"email": "grace@example.test", "password": longer})).await;
    assert_eq!(reply.refusal(), "400 validation_failed");
}

#[tokio::test]
async fn anonymous_people_have_a_session_and_no_address() {
    let server = Server::start().await;
    let session = server.post("/signup", json!({"data": {"cart": 1}})).await.session();
    assert_eq!((&session.user["is_anonymous"], &session.user["app_metadata"]), (&json!(true), &json!({})));
    assert_eq!(session.claims()["amr"][0]["method"], "anonymous");
    let off = Server::with(|settings| settings.anonymous = false).await;
    assert_eq!(off.post("/signup", json!({})).await.refusal(), "422 anonymous_provider_disabled");
}

/// The role that the embedding program gives, and the accounts of its command line.
#[tokio::test]
async fn the_command_line_and_the_server_share_their_people() {
    let folder = tempfile::tempdir().unwrap();
    let database = auth_server::Database::File(folder.path().join("auth.db"));
    let settings = Settings { database, default_role: Some("user".to_owned()), ..Settings::for_tests() };
    let server = Server::with(|own| *own = settings.clone()).await;
    let session = server.sign_up("ada@example.test").await.session();
    assert_eq!(session.claims()["app_metadata"]["roles"], json!(["user"]));

    let clock = ManualClock::at(datetime!(2026-01-01 12:00 UTC));
    let users = Users::open(&settings, Arc::new(clock), Arc::new(SystemEntropy)).unwrap();
    assert_eq!(users.set_role("ADA@example.test", Some("admin")).unwrap().roles, ["admin"]);
    let session = server.refresh(&session.refresh).await.session();
    assert_eq!(session.claims()["app_metadata"]["roles"], json!(["admin"]));

    let password = Secret::new(PASSWORD.to_owned());
    users.add("grace@example.test", Some(&password), None).unwrap();
    server.sign_in("grace@example.test", PASSWORD).await.session();
    assert!(matches!(users.add("grace@example.test", None, None), Err(UserError::Taken)));
    assert!(matches!(users.add("nope", None, None), Err(UserError::Address)));
    let weak = Secret::new("password".to_owned());
    assert!(matches!(users.add("x@example.test", Some(&weak), None), Err(UserError::Password(_))));
    assert_eq!(users.list(10, 0).unwrap().len(), 2);

    users.ban("ada@example.test", None).unwrap();
    assert_eq!(server.get_as("/user", &session.access).await.refusal(), "403 user_banned");
    assert_eq!(server.refresh(&session.refresh).await.refusal(), "400 refresh_token_not_found");
    assert_eq!(server.sign_in("ada@example.test", PASSWORD).await.refusal(), "400 user_banned");
    users.unban("ada@example.test").unwrap();
    let session = server.sign_in("ada@example.test", PASSWORD).await.session();
    users.delete("ada@example.test").unwrap();
    assert_eq!(server.get_as("/user", &session.access).await.refusal(), "403 user_not_found");
    assert!(matches!(users.delete("ada@example.test"), Err(UserError::Unknown)));
}
