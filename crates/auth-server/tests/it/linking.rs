//! Identities that people connect and remove themselves.

use auth_server::Client;
use base::secret::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::harness::{CHALLENGE, GitHub, Reply, Server, Session, VERIFIER, fragment, parameter};

async fn with_github(linking: bool) -> (Server, GitHub) {
    let (github, url) = GitHub::start().await;
    let server = Server::with(|settings| {
        settings.github = Some(Client { id: "an-id".to_owned(), secret: Secret::new("a-secret".to_owned()) });
        settings.github_url = Some(url);
        settings.linking = linking;
    })
    .await;
    (server, github)
}

/// Links what `code` stands for; the answer is where the browser lands.
async fn link(server: &Server, session: &Session, code: &str) -> Url {
    let path = "/user/identities/authorize?provider=github&redirect_to=http://localhost:8080/auth/in";
    let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=s256&skip_http_redirect=true");
    let asked = server.get_as(&format!("{path}{pkce}"), &session.access).await;
    let url = Url::parse(asked.json["url"].as_str().unwrap_or_else(|| panic!("{asked:?}"))).unwrap();
    let state = parameter(&url, "state").unwrap();
    server.get(&format!("/callback?state={state}&code={code}")).await.location()
}

fn identity(user: &Value, provider: &str) -> String {
    let list = user["identities"].as_array().unwrap();
    let found = list.iter().find(|identity| identity["provider"] == provider);
    found.unwrap()["identity_id"].as_str().unwrap().to_owned()
}

async fn unlink(server: &Server, session: &Session, id: &str) -> Reply {
    server.call_as(Method::DELETE, &format!("/user/identities/{id}"), &session.access, json!({})).await
}

#[tokio::test]
async fn an_identity_is_linked_and_unlinked() {
    let (server, github) = with_github(true).await;
    let session = server.sign_up("ada@example.test").await.session();
    let only = identity(&session.user, "email");
    assert_eq!(unlink(&server, &session, &only).await.refusal(), "422 single_identity_not_deletable");
    // The provider need not vouch for an address that opens nothing.
    let landed = link(&server, &session, &github.consents(7, "octo@example.test", false)).await;
    let linked = server.exchange(&parameter(&landed, "code").unwrap(), VERIFIER).await.session();
    assert_eq!(
        (&linked.user["id"], &linked.user["email"]),
        (&session.user["id"], &json!("ada@example.test"))
    );
    assert_eq!(linked.user["app_metadata"]["providers"], json!(["email", "github"]));
    assert_eq!(server.get_as("/user", &session.access).await.status, 200, "the old session stays");

    let id = identity(&linked.user, "github");
    assert_eq!(unlink(&server, &session, "abc").await.refusal(), "404 validation_failed");
    assert_eq!(unlink(&server, &session, &id).await.json, json!({}));
    assert_eq!(unlink(&server, &session, &id).await.refusal(), "422 single_identity_not_deletable");
    let user = server.get_as("/user", &session.access).await.json;
    assert_eq!(user["app_metadata"]["providers"], json!(["email"]));
}

/// S-79, S-102: an identity belongs to one account, and nobody removes another's.
#[tokio::test]
async fn an_identity_has_one_owner() {
    let (server, github) = with_github(true).await;
    let ada = server.sign_up("ada@example.test").await.session();
    let grace = server.sign_up("grace@example.test").await.session();
    let landed = link(&server, &ada, &github.consents(7, "octo@example.test", true)).await;
    let linked = server.exchange(&parameter(&landed, "code").unwrap(), VERIFIER).await.session();
    for session in [&ada, &grace] {
        let landed = link(&server, session, &github.consents(7, "octo@example.test", true)).await;
        assert_eq!(parameter(&landed, "error_code").as_deref(), Some("identity_already_exists"));
        assert_eq!(fragment(&landed)["error"], "server_error");
    }
    link(&server, &grace, &github.consents(8, "other@example.test", true)).await;
    let id = identity(&linked.user, "github");
    assert_eq!(unlink(&server, &grace, &id).await.refusal(), "422 identity_not_found");
    assert_eq!(server.get_as("/user", &ada.access).await.json["identities"].as_array().unwrap().len(), 2);
}

/// Whoever loses the identity that had the account's address keeps one that a provider vouches for.
#[tokio::test]
async fn the_address_moves_with_the_identities() {
    let (server, github) = with_github(true).await;
    let session = server.sign_up("ada@example.test").await.session();
    link(&server, &session, &github.consents(7, "octo@example.test", false)).await;
    let user = server.get_as("/user", &session.access).await.json;
    let mail = identity(&user, "email");
    let refused = unlink(&server, &session, &mail).await;
    assert_eq!(
        refused.refusal(),
        "422 email_conflict_identity_not_deletable",
        "nobody vouches for the other one"
    );
    link(&server, &session, &github.consents(8, "vouched@example.test", true)).await;
    assert_eq!(unlink(&server, &session, &mail).await.status, 200);
    let user = server.get_as("/user", &session.access).await.json;
    assert_eq!(
        (&user["email"], &user["app_metadata"]["provider"]),
        (&json!("vouched@example.test"), &json!("github"))
    );
}

/// S-79: an anonymous account takes an address only if the provider vouches for it and nobody has it.
#[tokio::test]
async fn an_anonymous_person_becomes_a_full_one_by_linking() {
    let (server, github) = with_github(true).await;
    server.sign_up("ada@example.test").await.session();
    let session = server.post("/signup", json!({})).await.session();
    let taken = link(&server, &session, &github.consents(7, "ada@example.test", true)).await;
    assert_eq!(parameter(&taken, "error_code").as_deref(), Some("email_exists"));
    assert_eq!(parameter(&taken, "error").as_deref(), Some("invalid_request"));
    let unproved = link(&server, &session, &github.consents(7, "octo@example.test", false)).await;
    assert_eq!(parameter(&unproved, "error_code").as_deref(), Some("provider_email_needs_verification"));
    link(&server, &session, &github.consents(7, "octo@example.test", true)).await;
    let user = server.get_as("/user", &session.access).await.json;
    assert_eq!((&user["is_anonymous"], &user["email"]), (&json!(false), &json!("octo@example.test")));
}

#[tokio::test]
async fn linking_asks_for_the_caller_and_may_be_off() {
    let (server, _) = with_github(false).await;
    let session = server.sign_up("ada@example.test").await.session();
    let path = "/user/identities/authorize?provider=github";
    assert_eq!(server.get(path).await.refusal(), "401 no_authorization");
    assert_eq!(server.get_as(path, &session.access).await.refusal(), "404 manual_linking_disabled");
    let id = identity(&session.user, "email");
    assert_eq!(unlink(&server, &session, &id).await.refusal(), "404 manual_linking_disabled");
}
