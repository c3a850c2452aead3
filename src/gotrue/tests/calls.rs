//! What each method sends, and what it makes of GoTrue's good answers.

use std::net::IpAddr;

use base::entropy::SeededEntropy;
use base::secret::Secret;
use serde_json::{Map, Value, json};
use time::macros::datetime;
use url::Url;

use super::super::{
    Authorize, Change, CodeKind, Error, GoTrue, LinkKind, NewEmail, ResendKind, Scope, Settings, SignUp,
    SignedUp, Verified,
};
use super::stand_in::{Asked, StandIn, USER, answer, http, session, settings, text, user};
use crate::pkce::Verifier;

const ADA: &str = "ada@example.test";

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn callback() -> Url {
    "https://app.example.test/auth/callback/f1?a=b".parse().unwrap()
}

fn address() -> Option<IpAddr> {
    Some("203.0.113.7".parse().unwrap())
}

async fn sign_up(gotrue: &GoTrue, verifier: &Verifier) -> Result<SignedUp, Error> {
    let data: Map<String, Value> = [("name".to_owned(), json!("Ada"))].into_iter().collect();
    let form = SignUp {
        email: ADA,
        password: &secret("correct horse"),
        data: Some(&data),
        challenge: &verifier.challenge(),
        redirect_to: &callback(),
        captcha: Some("captcha-1"),
    };
    gotrue.sign_up(&form, address()).await
}

fn is_public(asked: &Asked) {
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(asked.header("apikey"), Some("sb_publishable_1"));
    assert_eq!(asked.header("x-supabase-api-version"), Some("2024-01-01"));
    for name in
        ["referer", "x-forwarded-host", "x-forwarded-for", "sb-forwarded-for", "redirect_to", "cookie"]
    {
        assert_eq!(asked.header(name), None, "{name}");
    }
}

/// S-22, S-24: `redirect_to` in the query, the challenge in the body, both of our making.
#[tokio::test]
async fn sign_up_sends_a_challenge_and_tells_session_from_mail() {
    let gotrue = StandIn::start(vec![answer(200, &session()), answer(200, &user())]).await;
    let verifier = Verifier::draw(&SeededEntropy::new(1));
    let SignedUp::Session(tokens) = sign_up(&gotrue.client(), &verifier).await.unwrap() else {
        panic!("an answer with tokens is a session")
    };
    assert_eq!((tokens.expires_in, tokens.user.id.to_string()), (3600, USER.to_owned()));
    let asked = gotrue.last();
    is_public(&asked);
    let to = "https%3A%2F%2Fapp.example.test%2Fauth%2Fcallback%2Ff1%3Fa%3Db";
    assert_eq!(asked.line(), format!("POST /auth/v1/signup?redirect_to={to}"));
    let expected = json!({
        "email": ADA, "password": "correct horse", "data": {"name": "Ada"},
        "code_challenge": verifier.challenge().as_str(), "code_challenge_method": "s256",
        "gotrue_meta_security": {"captcha_token": "captcha-1"},
    });
    assert_eq!(asked.body, expected);
    assert!(matches!(sign_up(&gotrue.client(), &verifier).await, Ok(SignedUp::Confirm)));
}

#[tokio::test]
async fn grants_go_where_the_contract_says() {
    let gotrue = StandIn::start(vec![answer(200, &session())]).await;
    let client = gotrue.client();
    client.password(ADA, &secret("pw"), None, None).await.unwrap();
    let asked = gotrue.last();
    is_public(&asked);
    assert_eq!(asked.line(), "POST /auth/v1/token?grant_type=password");
    assert_eq!(asked.body, json!({"email": ADA, "password": "pw"}));

    client.refresh(&secret("canary-refresh"), None).await.unwrap();
    let asked = gotrue.last();
    is_public(&asked);
    assert_eq!(asked.line(), "POST /auth/v1/token?grant_type=refresh_token");
    assert_eq!(asked.body, json!({"refresh_token": "canary-refresh"}));

    let verifier = Verifier::draw(&SeededEntropy::new(1));
    client.exchange_code(&secret("code-1"), &verifier, None).await.unwrap();
    let asked = gotrue.last();
    is_public(&asked);
    assert_eq!(asked.line(), "POST /auth/v1/token?grant_type=pkce");
    assert_eq!(asked.body, json!({"auth_code": "code-1", "code_verifier": verifier.expose()}));

    client.sign_up_anonymous(None, None, None).await.unwrap();
    assert_eq!((gotrue.last().body, gotrue.asked.lock().unwrap().len()), (json!({}), 0));
}

#[tokio::test]
async fn links_and_digits_are_verified_or_are_one_half() {
    let half = json!({"msg": "Confirmation link accepted.", "code": "200"});
    let gotrue = StandIn::start(vec![answer(200, &session()), answer(200, &half)]).await;
    let client = gotrue.client();
    let hash = secret("pkce_0a1b");
    assert!(matches!(client.verify_hash(LinkKind::Signup, &hash, None).await, Ok(Verified::Session(_))));
    let asked = gotrue.last();
    assert_eq!(asked.line(), "POST /auth/v1/verify");
    assert_eq!(asked.body, json!({"type": "signup", "token_hash": "pkce_0a1b"}));

    let code = secret("123456");
    assert!(matches!(client.verify_code(CodeKind::EmailChange, ADA, &code, None).await, Ok(Verified::Half)));
    assert_eq!(gotrue.last().body, json!({"type": "email_change", "email": ADA, "token": "123456"}));
}

#[tokio::test]
async fn resend_starts_a_flow_of_its_own() {
    let gotrue = StandIn::start(vec![answer(200, &json!({}))]).await;
    let challenge = Verifier::draw(&SeededEntropy::new(1)).challenge();
    gotrue.client().resend(ResendKind::Signup, ADA, &challenge, &callback(), None, None).await.unwrap();
    let asked = gotrue.last();
    assert!(
        asked.line().starts_with("POST /auth/v1/resend?redirect_to=https%3A%2F%2Fapp"),
        "{}",
        asked.line()
    );
    let expected = json!({
        "type": "signup", "email": ADA,
        "code_challenge": challenge.as_str(), "code_challenge_method": "s256",
    });
    assert_eq!(asked.body, expected);
}

/// Contract 2.1: optional members, null lists, decimals of a second, offsets.
#[tokio::test]
async fn a_user_is_read_whole_and_bare() {
    let bare = json!({"id": USER, "identities": null, "email_confirmed_at": null});
    let gotrue = StandIn::start(vec![answer(200, &user()), answer(200, &bare)]).await;
    let access = secret("access-1");
    let user = gotrue.client().user(&access, None).await.unwrap();
    assert_eq!(user.email, ADA);
    assert_eq!(user.email_confirmed_at, Some(datetime!(2026-01-01 10:00:00.123456789 UTC)));
    let ways: Vec<_> = user.identities.iter().map(|way| way.provider.as_str()).collect();
    assert_eq!(ways, ["email", "github"]);
    assert!(user.has_verified_factor());
    let asked = gotrue.last();
    assert_eq!(asked.line(), "GET /auth/v1/user");
    assert_eq!(asked.header("authorization"), Some("Bearer access-1"));
    assert_eq!(asked.header("apikey"), Some("sb_publishable_1"));
    let user = gotrue.client().user(&access, None).await.unwrap();
    assert!(user.email.is_empty() && user.factors.is_empty() && !user.is_anonymous);
}

/// S-11: the scope is always named, for GoTrue's default ends every device.
#[tokio::test]
async fn sign_out_names_its_scope() {
    let gone = json!({"code": "session_not_found", "message": "m"});
    let old = json!({"code": "bad_jwt", "message": "m"});
    let gotrue = StandIn::start(vec![text(204, "x/y", ""), answer(403, &gone), answer(403, &old)]).await;
    let client = gotrue.client();
    let access = secret("access-1");
    client.logout(&access, Scope::Local, None).await.unwrap();
    assert_eq!(gotrue.last().line(), "POST /auth/v1/logout?scope=local");
    client.logout(&access, Scope::Others, None).await.unwrap();
    let error = client.logout(&access, Scope::Global, None).await.unwrap_err();
    assert_eq!(error.code(), Some("bad_jwt"));
}

#[tokio::test]
async fn settings_name_what_is_switched_on() {
    let body = json!({
        "external": {"email": true, "phone": false, "anonymous_users": true, "google": true, "github": false},
        "disable_signup": true, "mailer_autoconfirm": false, "phone_autoconfirm": false,
    });
    let gotrue = StandIn::start(vec![answer(200, &body)]).await;
    let found = gotrue.client().settings().await.unwrap();
    assert_eq!(found.providers.into_iter().collect::<Vec<_>>(), ["google"]);
    assert!(found.email && found.anonymous && !found.signup_open && !found.autoconfirm);
    assert_eq!(gotrue.last().line(), "GET /auth/v1/settings");
}

/// S-22, S-24, S-28: a fixed set, on the address that browsers reach; parameters cannot replace our own.
#[tokio::test]
async fn the_authorization_address_is_built_from_a_fixed_set() {
    let gotrue = StandIn::start(vec![]).await.client();
    let challenge = Verifier::draw(&SeededEntropy::new(1)).challenge();
    let params = [("prompt", "select_account"), ("Redirect_To", "https://evil.example.test"), ("state", "x")];
    let url = gotrue.authorize_url(&Authorize {
        provider: "google",
        redirect_to: &callback(),
        challenge: &challenge,
        scopes: "",
        params: &params.map(|(name, value)| (name.to_owned(), value.to_owned())),
    });
    assert_eq!((url.host_str(), url.path()), (Some("project.example.test"), "/auth/v1/authorize"));
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let names: Vec<_> = query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["provider", "redirect_to", "code_challenge", "code_challenge_method", "prompt"]);
    assert_eq!((query[1].1.as_str(), query[3].1.as_str()), (callback().as_str(), "s256"));
    assert_eq!(query[2].1.len(), 43);
}

/// What a person changes, each with the own token; an address goes with our flow (S-22, S-24).
#[tokio::test]
async fn a_change_sends_what_changes_and_nothing_else() {
    let gotrue = StandIn::start(vec![answer(200, &user())]).await;
    let (client, access) = (gotrue.client(), secret("access-1"));
    let (new, old, digits) = (secret("plover gantry mist"), secret("correct horse"), secret("123456"));
    let change = Change {
        password: Some(&new),
        current_password: Some(&old),
        nonce: Some(&digits),
        ..Change::default()
    };
    client.update_user(&access, &change, None).await.unwrap();
    let asked = gotrue.last();
    assert_eq!(asked.line(), "PUT /auth/v1/user");
    assert_eq!(asked.header("authorization"), Some("Bearer access-1"));
    let sent =
        json!({"password": "plover gantry mist", "current_password": "correct horse", "nonce": "123456"});
    assert_eq!(asked.body, sent);

    let challenge = Verifier::draw(&SeededEntropy::new(1)).challenge();
    let email = NewEmail { address: ADA, challenge: &challenge, redirect_to: &callback() };
    client.update_user(&access, &Change { email: Some(email), ..Change::default() }, None).await.unwrap();
    let asked = gotrue.last();
    assert!(asked.line().starts_with("PUT /auth/v1/user?redirect_to=https%3A%2F%2Fapp.example.test%2Fauth"));
    let sent = json!({"email": ADA, "code_challenge": challenge.as_str(), "code_challenge_method": "s256"});
    assert_eq!(asked.body, sent);

    let data: Map<String, Value> = [("name".to_owned(), Value::Null)].into_iter().collect();
    client.update_user(&access, &Change { data: Some(&data), ..Change::default() }, None).await.unwrap();
    assert_eq!(gotrue.last().body, json!({"data": {"name": null}}));
}

/// S-68: the address of the provider is of the web; whatever else GoTrue says is no answer of it.
#[tokio::test]
async fn linking_asks_for_an_address_and_unlinking_names_the_identity() {
    let good = answer(200, &json!({"url": "https://github.test/login/oauth/authorize?state=1"}));
    let odd = answer(200, &json!({"url": "javascript:alert(1)"}));
    let gotrue = StandIn::start(vec![good, odd, answer(200, &json!({}))]).await;
    let (client, access) = (gotrue.client(), secret("access-1"));
    let challenge = Verifier::draw(&SeededEntropy::new(1)).challenge();
    let request = Authorize {
        provider: "github",
        redirect_to: &callback(),
        challenge: &challenge,
        scopes: "",
        params: &[("state".to_owned(), "mine".to_owned()), ("login".to_owned(), "ada".to_owned())],
    };
    let url = client.link_url(&access, &request, None).await.unwrap();
    assert_eq!(url.as_str(), "https://github.test/login/oauth/authorize?state=1");
    let asked = gotrue.last();
    assert_eq!(asked.header("authorization"), Some("Bearer access-1"));
    let query = asked.parts.uri.query().unwrap().to_owned();
    assert!(query.ends_with("&login=ada&skip_http_redirect=true") && !query.contains("mine"), "{query}");
    let refused = client.link_url(&access, &request, None).await;
    assert!(matches!(refused, Err(Error::NotGoTrue { .. })), "{refused:?}");
    client.unlink(&access, USER.parse().unwrap(), None).await.unwrap();
    assert_eq!(gotrue.last().line(), format!("DELETE /auth/v1/user/identities/{USER}"));
}

fn forwarding(base: &str) -> GoTrue {
    let told = Settings {
        secret_key: Some(secret("sb_secret_1")),
        client_ip_header: Some("x-client-address".parse().unwrap()),
        ..settings(base)
    };
    GoTrue::new(told, http(std::time::Duration::from_secs(10)))
}

/// S-85: the client's address goes along; the secret key stays out of calls on which a captcha might be checked,
/// until GoTrue has shown that it checks none.
#[tokio::test]
async fn the_secret_key_never_skips_a_captcha() {
    let off = answer(400, &json!({"code": "validation_failed", "message": "m"}));
    let on = answer(400, &json!({"code": "captcha_failed", "message": "m"}));
    let open = json!({"external": {"email": true}, "disable_signup": false, "mailer_autoconfirm": true});
    let ok = answer(200, &session());
    let settings = answer(200, &open);
    let answers = vec![ok.clone(), settings.clone(), off, ok.clone(), settings, on, ok];
    let gotrue = StandIn::start(answers).await;
    let client = forwarding(&gotrue.base);
    let key = |asked: &Asked| asked.header("apikey").map(str::to_owned);

    client.password(ADA, &secret("pw"), None, address()).await.unwrap();
    let asked = gotrue.last();
    assert_eq!(key(&asked).as_deref(), Some("sb_publishable_1"), "nothing is known yet");
    assert_eq!(asked.header("sb-forwarded-for"), None);
    assert_eq!(asked.header("x-client-address"), Some("203.0.113.7"));

    client.settings().await.unwrap();
    assert_eq!(key(&gotrue.last()).as_deref(), Some("sb_publishable_1"), "the question itself");
    client.password(ADA, &secret("pw"), None, address()).await.unwrap();
    let asked = gotrue.last();
    assert_eq!(key(&asked).as_deref(), Some("sb_secret_1"), "no captcha here");
    assert_eq!(asked.header("sb-forwarded-for"), Some("203.0.113.7"));

    client.settings().await.unwrap();
    client.password(ADA, &secret("pw"), None, address()).await.unwrap();
    assert_eq!(key(&gotrue.last()).as_deref(), Some("sb_publishable_1"), "captchas are on now");
    client.refresh(&secret("r"), address()).await.unwrap();
    assert_eq!(key(&gotrue.last()).as_deref(), Some("sb_secret_1"), "a refresh is never asked for one");
}

/// S-85, S-86: without an address no secret key goes out; and what is printed holds no token.
#[tokio::test]
async fn tokens_and_keys_are_not_printed() {
    let gotrue = StandIn::start(vec![answer(200, &session())]).await;
    let client = forwarding(&gotrue.base);
    let tokens = client.refresh(&secret("r"), None).await.unwrap();
    assert_eq!(gotrue.last().header("apikey"), Some("sb_publishable_1"));
    let printed = format!("{tokens:?} {client:?}");
    for word in ["canary", "sb_secret", "sb_publishable", ADA] {
        assert!(!printed.contains(word), "{word} in {printed}");
    }
}
