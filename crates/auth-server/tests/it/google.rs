//! Google, played by a server of our own that speaks OpenID Connect.

use std::collections::HashMap;

use auth_server::Client;
use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::{Json, Router, routing};
use base::secret::Secret;
use serde_json::{Value, json};
use url::Url;

use crate::harness::{CHALLENGE, Server, VERIFIER, parameter};

/// Serves on loopback as one person; `issuer` is what its document says, `None` the truth.
async fn google(issuer: Option<&'static str>) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let document = json!({
        "issuer": issuer.unwrap_or(&base), "authorization_endpoint": format!("{base}/auth"),
        "token_endpoint": format!("{base}/token"), "userinfo_endpoint": format!("{base}/userinfo"),
    });
    let router = Router::new()
        .route(
            "/.well-known/openid-configuration",
            routing::get(|State(document): State<Value>| async { Json(document) }),
        )
        .route("/token", routing::post(token))
        .route("/userinfo", routing::get(user_info))
        .with_state(document);
    tokio::spawn(async move { axum::serve(listener, router).await });
    base.parse().unwrap()
}

async fn token(Form(form): Form<HashMap<String, String>>) -> Json<Value> {
    let sent = ["client_id", "client_secret", "code", "grant_type"].map(|name| form[name].as_str());
    assert_eq!(sent, ["an-id", "a-secret", "a-code", "authorization_code"]);
    assert!(form["redirect_uri"].ends_with("/auth/v1/callback"));
    Json(
        json!({"access_token": "ya29", "token_type": "Bearer", "expires_in": 3599, "refresh_token": "1//r", "id_token": "unread"}),
    )
}

async fn user_info(headers: HeaderMap) -> Json<Value> {
    assert_eq!(headers["authorization"], "Bearer ya29");
    Json(
        json!({"sub": "1017", "email": "Ada@example.test", "email_verified": true, "name": "Ada", "picture": "https://x.test/a"}),
    )
}

async fn server(issuer: Url) -> Server {
    Server::with(|settings| {
        settings.google = Some(Client { id: "an-id".to_owned(), secret: Secret::new("a-secret".to_owned()) });
        settings.google_issuer = Some(issuer);
    })
    .await
}

#[tokio::test]
async fn google_is_asked_where_its_document_says() {
    let issuer = google(None).await;
    let server = server(issuer.clone()).await;
    let settings = server.get("/settings").await.json;
    assert_eq!(
        (&settings["external"]["google"], &settings["external"]["github"]),
        (&json!(true), &json!(false))
    );
    let pkce = format!("code_challenge={CHALLENGE}&code_challenge_method=s256");
    let path = format!("/authorize?provider=google&scopes=calendar&prompt=consent&{pkce}");
    let page = server.get(&path).await.location();
    assert_eq!(page.as_str().split('?').next().unwrap(), issuer.join("/auth").unwrap().as_str());
    assert_eq!(parameter(&page, "scope").as_deref(), Some("openid email profile calendar"));
    assert_eq!(parameter(&page, "prompt").as_deref(), Some("consent"));
    let state = parameter(&page, "state").unwrap();
    let landed = server.get(&format!("/callback?state={state}&code=a-code")).await.location();
    let session = server.exchange(&parameter(&landed, "code").unwrap(), VERIFIER).await;
    assert_eq!(session.json["provider_token"], "ya29");
    assert_eq!(session.json["provider_refresh_token"], "1//r");
    let again = server.refresh(session.json["refresh_token"].as_str().unwrap()).await;
    assert!(again.json.get("provider_refresh_token").is_none(), "told once");
    let user = session.session().user;
    assert_eq!(
        (&user["email"], &user["app_metadata"]["provider"]),
        (&json!("ada@example.test"), &json!("google"))
    );
    let data = &user["identities"][0]["identity_data"];
    assert_eq!((&data["sub"], &data["picture"]), (&json!("1017"), &json!("https://x.test/a")));
    assert_eq!(data["iss"].as_str().unwrap(), issuer.as_str().trim_end_matches('/'));
    assert!(server.get("/pretend/google?state=x").await.status.is_client_error(), "no pretending beside it");
}

/// S-79: the issuer is fixed; a document that names another one is not believed, nor one without TLS elsewhere.
#[tokio::test]
async fn a_document_of_somebody_else_is_refused() {
    let server = server(google(Some("https://accounts.google.com")).await).await;
    let refused = server.get("/authorize?provider=google").await;
    assert_eq!(refused.refusal(), "500 unexpected_failure");
    assert!(!refused.text.contains("accounts.google.com"));
}
