//! Sign-in by a provider: pretend ones, and a GitHub of our own; whose account it becomes.

use std::sync::Arc;

use auth_server::Client;
use base::secret::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;
use url::Url;

use crate::harness::{CHALLENGE, GitHub, PASSWORD, Reply, Server, Session, VERIFIER, fragment, parameter};

const AUTHORIZE: &str = "/authorize?redirect_to=http://localhost:8080/auth/in";

async fn with_github() -> (Server, GitHub) {
    let (github, url) = GitHub::start().await;
    let server = Server::with(|settings| {
        settings.github = Some(Client { id: "an-id".to_owned(), secret: Secret::new("a-secret".to_owned()) });
        settings.github_url = Some(url);
    })
    .await;
    (server, github)
}

/// Goes to a provider with PKCE; the answer is where it sends the browser.
async fn depart(server: &Server, provider: &str) -> Url {
    let pkce = format!("code_challenge={CHALLENGE}&code_challenge_method=s256");
    server.get(&format!("{AUTHORIZE}&provider={provider}&{pkce}")).await.location()
}

/// Comes back from GitHub with a code.
async fn come_back(server: &Server, code: &str) -> Url {
    let state = parameter(&depart(server, "github").await, "state").unwrap();
    server.get(&format!("/callback?state={state}&code={code}")).await.location()
}

async fn in_by_github(server: &Server, code: &str) -> Session {
    let landed = come_back(server, code).await;
    let code = parameter(&landed, "code").unwrap_or_else(|| panic!("{landed}"));
    server.exchange(&code, VERIFIER).await.session()
}

/// Fills the form of a pretend provider, and follows the page that comes as the answer.
async fn choose(server: &Server, page: &Url, fields: &[(&str, &str)]) -> Reply {
    let state = parameter(page, "state").unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("state", &state)
        .extend_pairs(fields)
        .finish();
    let form = server.request(Method::POST, page.as_str()).body(body);
    server.send(form.header("content-type", "application/x-www-form-urlencoded")).await
}

/// The address that a bounce page leads to.
fn bounce(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{reply:?}");
    let link = reply
        .text
        .split("http-equiv=\"refresh\" content=\"0;url=")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    link.replace("&amp;", "&").replace("&#x2f;", "/").replace("&#x3d;", "=")
}

#[tokio::test]
async fn a_pretend_provider_signs_in_without_leaving_the_machine() {
    let server = Server::start().await;
    let page = depart(&server, "google").await;
    assert!(
        page.as_str().starts_with(&format!("{}/pretend/google?state=", server.handle.issuer())),
        "{page}"
    );
    let shown = server.get(page.as_str()).await;
    assert!(shown.text.contains("<h1>Pretend Google</h1>"), "{}", shown.text);
    let typed = [("email", "Ada@example.test"), ("name", "Ada"), ("verified", "on")];
    let landed = server.get(&bounce(&choose(&server, &page, &typed).await)).await.location();
    let session = server.exchange(&parameter(&landed, "code").unwrap(), VERIFIER).await.session();
    assert_eq!(session.user["email"], "ada@example.test");
    assert_eq!(session.user["app_metadata"], json!({"provider": "google", "providers": ["google"]}));
    assert_eq!(session.user["user_metadata"]["full_name"], "Ada");
    assert_eq!(session.claims()["amr"][0]["method"], "oauth");

    // The second time she is a button, and is the same person.
    let page = depart(&server, "google").await;
    assert!(server.get(page.as_str()).await.text.contains("name=\"person\" value=\"ada@example.test\""));
    let landed = server
        .get(&bounce(&choose(&server, &page, &[("person", "ada@example.test")]).await))
        .await
        .location();
    let again = server.exchange(&parameter(&landed, "code").unwrap(), VERIFIER).await.session();
    assert_eq!(again.user["id"], session.user["id"]);
}

#[tokio::test]
async fn a_person_may_refuse_or_mistype_at_a_pretend_provider() {
    let server = Server::start().await;
    let page = depart(&server, "github").await;
    let again = choose(&server, &page, &[("email", "nope"), ("name", "<b>")]).await;
    assert_eq!((again.status.as_u16(), again.text.contains("aria-invalid")), (422, true));
    assert!(again.text.contains("value=\"nope\"") && !again.text.contains("<b>"));
    let landed = server.get(&bounce(&choose(&server, &page, &[("deny", "1")]).await)).await.location();
    assert_eq!(parameter(&landed, "error").as_deref(), Some("access_denied"));
    assert_eq!(fragment(&landed)["error"], "access_denied");
    // The state is used up: another try ends at the site, with the reason.
    let landed =
        server.get(&bounce(&choose(&server, &page, &[("email", "ada@example.test")]).await)).await.location();
    assert_eq!(parameter(&landed, "error_code").as_deref(), Some("flow_state_already_used"));
}

/// S-76: a code of a pretend provider fits the flow it was given for, and nobody can write one.
#[tokio::test]
async fn a_pretend_code_belongs_to_its_flow() {
    let server = Server::start().await;
    let (one, other) = (depart(&server, "google").await, depart(&server, "google").await);
    let given = bounce(&choose(&server, &one, &[("email", "ada@example.test"), ("verified", "on")]).await);
    let code = parameter(&Url::parse(&given).unwrap(), "code").unwrap();
    let state = parameter(&other, "state").unwrap();
    let landed = server.get(&format!("/callback?state={state}&code={code}")).await.location();
    assert_eq!(parameter(&landed, "error_code").as_deref(), Some("unexpected_failure"));
}

#[tokio::test]
async fn github_is_asked_for_real() {
    let (server, github) = with_github().await;
    let away = server
        .get(&format!("{AUTHORIZE}&provider=GitHub&scopes=read:org&login=ada&client_id=evil&state=mine&code_challenge={CHALLENGE}&code_challenge_method=s256"))
        .await
        .location();
    let sent = |name| parameter(&away, name);
    assert_eq!((sent("client_id").as_deref(), sent("login").as_deref()), (Some("an-id"), Some("ada")));
    assert_eq!(sent("scope").as_deref(), Some("user:email read:org"));
    assert_eq!(sent("redirect_uri"), Some(format!("{}/callback", server.handle.issuer())));
    assert_eq!((sent("code_challenge"), sent("redirect_to")), (None, None));

    let code = github.consents(7, "ada@example.test", true);
    let landed =
        server.get(&format!("/callback?state={}&code={code}", sent("state").unwrap())).await.location();
    let code = parameter(&landed, "code").unwrap();
    assert_eq!(server.exchange(&code, "wrong-verifier").await.refusal(), "400 bad_code_verifier");
    let reply = server.exchange(&code, VERIFIER).await;
    assert_eq!(reply.json["provider_token"], "gho_code-0");
    let session = reply.session();
    assert_eq!(session.user["identities"][0]["id"], "7");
    assert_eq!(server.refresh(&session.refresh).await.json.get("provider_token"), None);
    let settings = server.get("/settings").await.json;
    assert_eq!(
        (&settings["external"]["github"], &settings["external"]["google"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(server.get("/pretend/github").await.status, 404, "beside a real provider nobody may pretend");
}

#[tokio::test]
async fn without_a_challenge_the_tokens_come_in_the_fragment() {
    let (server, github) = with_github().await;
    let away = server.get(&format!("{AUTHORIZE}&provider=github")).await.location();
    let code = github.consents(7, "ada@example.test", true);
    let landed = server
        .get(&format!("/callback?state={}&code={code}", parameter(&away, "state").unwrap()))
        .await
        .location();
    let tokens = fragment(&landed);
    assert_eq!((landed.query(), tokens["provider_token"].as_str()), (None, "gho_code-0"));
    assert_eq!(server.get_as("/user", &tokens["access_token"]).await.json["email"], "ada@example.test");
}

/// S-76: fifty parallel exchanges of one code are one session.
#[tokio::test]
async fn parallel_exchanges_give_one_session() {
    let (server, github) = with_github().await;
    let landed = come_back(&server, &github.consents(7, "ada@example.test", true)).await;
    let (server, code) = (Arc::new(server), parameter(&landed, "code").unwrap());
    let calls = (0..50).map(|_| {
        let (server, code) = (Arc::clone(&server), code.clone());
        tokio::spawn(async move { server.exchange(&code, VERIFIER).await })
    });
    let mut sessions = 0;
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap();
        if reply.status == 200 {
            sessions += 1;
        } else {
            assert_eq!(reply.refusal(), "404 flow_state_not_found");
        }
    }
    assert_eq!(sessions, 1);
}

/// S-79: an address that the provider does not vouch for opens nothing, under auto-confirmation too.
#[tokio::test]
async fn an_unverified_address_joins_no_account() {
    let (server, github) = with_github().await;
    server.sign_up("ada@example.test").await.session();
    let landed = come_back(&server, &github.consents(7, "ada@example.test", false)).await;
    assert_eq!(parameter(&landed, "error_code").as_deref(), Some("provider_email_needs_verification"));
    assert_eq!(parameter(&landed, "error").as_deref(), Some("access_denied"));
    server.sign_in("ada@example.test", PASSWORD).await.session();
}

/// S-79: whoever registered an address without proving it loses password and sessions to its owner.
#[tokio::test]
async fn an_unproven_account_is_taken_over_whole() {
    let (server, github) = with_github().await;
    let thief = server.sign_up("ada@example.test").await.session();
    let owner = in_by_github(&server, &github.consents(7, "ada@example.test", true)).await;
    assert_eq!(owner.user["id"], thief.user["id"]);
    assert_eq!(owner.user["app_metadata"]["providers"], json!(["github"]));
    assert_eq!(server.sign_in("ada@example.test", PASSWORD).await.refusal(), "400 invalid_credentials");
    assert_eq!(server.get_as("/user", &thief.access).await.refusal(), "403 session_not_found");
    assert_eq!(server.refresh(&thief.refresh).await.refusal(), "400 refresh_token_not_found");
}

/// S-79: two proven addresses are one account, whose password stays.
#[tokio::test]
async fn a_proven_account_gains_an_identity() {
    let (server, github) = with_github().await;
    let body = json!({"email": "ada@example.test", "password": PASSWORD, "email_confirm": true});
    let id = server.admin(Method::POST, "/admin/users", body).await.json["id"].clone();
    let session = in_by_github(&server, &github.consents(7, "Ada@Example.test", true)).await;
    assert_eq!(session.user["id"], id);
    assert_eq!(session.user["app_metadata"]["providers"], json!(["email", "github"]));
    server.sign_in("ada@example.test", PASSWORD).await.session();
    // The identity decides from now on, whatever address GitHub names.
    let moved = in_by_github(&server, &github.consents(7, "ada@elsewhere.example.test", true)).await;
    assert_eq!((&moved.user["id"], &moved.user["email"]), (&id, &json!("ada@example.test")));
}

#[tokio::test]
async fn an_unverified_newcomer_confirms_by_mail() {
    let (github, url) = GitHub::start().await;
    let server = Server::with(|settings| {
        settings.confirm_email = true;
        settings.github = Some(Client { id: "an-id".to_owned(), secret: Secret::new("a-secret".to_owned()) });
        settings.github_url = Some(url);
    })
    .await;
    let landed = come_back(&server, &github.consents(7, "ada@example.test", false)).await;
    assert_eq!(parameter(&landed, "error_code").as_deref(), Some("provider_email_needs_verification"));
    let (link, _) = server.mail("ada@example.test");
    server.post("/verify", json!({"type": "signup", "token_hash": link})).await.session();
    let session = in_by_github(&server, &github.consents(7, "ada@example.test", false)).await;
    assert_eq!(session.user["email"], "ada@example.test");
}

#[tokio::test]
async fn banned_and_unwelcome_people_do_not_come_in() {
    let (server, github) = with_github().await;
    let session = in_by_github(&server, &github.consents(7, "ada@example.test", true)).await;
    let path = format!("/admin/users/{}", session.user["id"].as_str().unwrap());
    server.admin(Method::PUT, &path, json!({"ban_duration": "1h"})).await;
    let landed = come_back(&server, &github.consents(7, "ada@example.test", true)).await;
    assert_eq!(parameter(&landed, "error_code").as_deref(), Some("user_banned"));
    server.clock.advance(Duration::hours(1));
    in_by_github(&server, &github.consents(7, "ada@example.test", true)).await;
}

#[tokio::test]
async fn a_state_works_once_and_for_five_minutes() {
    let (server, github) = with_github().await;
    let code = github.consents(7, "ada@example.test", true);
    let state = parameter(&depart(&server, "github").await, "state").unwrap();
    server.clock.advance(Duration::minutes(5));
    let late = server.get(&format!("/callback?state={state}&code={code}")).await;
    assert_eq!(
        (late.status.as_u16(), parameter(&late.location(), "error_code").as_deref()),
        (303, Some("bad_oauth_state"))
    );
    for wrong in ["", "?code=x", "?state=abc&code=x", "?state=00000000-0000-4000-8000-000000000001&code=x"] {
        let reply = server.get(&format!("/callback{wrong}")).await;
        let landed = reply.location();
        assert!(
            reply.status == 303 && landed.as_str().starts_with("http://localhost:8080/?error="),
            "{landed}"
        );
    }
    let unknown = come_back(&server, "unknown").await;
    assert_eq!(parameter(&unknown, "error_code").as_deref(), Some("unexpected_failure"));
}

/// S-76: S256 only; everything that is wrong with `/authorize` is JSON.
#[tokio::test]
async fn authorize_judges_before_it_redirects() {
    let server = Server::start().await;
    let plain = format!("&code_challenge={CHALLENGE}&code_challenge_method=plain");
    for query in [
        "",
        "&provider=gitlab",
        "&provider=nope",
        "&provider=github&provider=google",
        &format!("&provider=google{plain}"),
    ] {
        assert_eq!(
            server.get(&format!("{AUTHORIZE}{query}")).await.refusal(),
            "400 validation_failed",
            "{query}"
        );
    }
    let value: Value = server.get("/settings").await.json;
    assert_eq!(value["external"]["google"], true);
}
