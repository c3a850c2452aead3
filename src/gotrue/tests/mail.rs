//! Mails that are asked for by address.

use base::entropy::SeededEntropy;
use serde_json::json;
use url::Url;

use super::super::MailTo;
use super::stand_in::{StandIn, answer};
use crate::pkce::Verifier;

const ADA: &str = "ada@example.test";

/// S-22, S-24: `redirect_to` in the query, the challenge in the body, both of our making; `create_user` is always said.
#[tokio::test]
async fn mails_are_asked_for_with_a_flow_of_our_own() {
    let gotrue = StandIn::start(vec![answer(200, &json!({}))]).await;
    let client = gotrue.client();
    let challenge = Verifier::draw(&SeededEntropy::new(1)).challenge();
    let to: Url = "https://app.example.test/auth/callback/f1".parse().unwrap();
    let mail = MailTo { email: ADA, challenge: &challenge, redirect_to: &to, captcha: Some("captcha-1") };
    let target = "redirect_to=https%3A%2F%2Fapp.example.test%2Fauth%2Fcallback%2Ff1";
    let mut expected = json!({
        "email": ADA, "code_challenge": challenge.as_str(), "code_challenge_method": "s256",
        "gotrue_meta_security": {"captcha_token": "captcha-1"},
    });
    client.recover(&mail, None).await.unwrap();
    let asked = gotrue.last();
    assert_eq!(asked.line(), format!("POST /auth/v1/recover?{target}"));
    assert_eq!((&asked.body, asked.header("authorization")), (&expected, None));
    for create in [true, false] {
        client.otp(&mail, create, None).await.unwrap();
        let asked = gotrue.last();
        assert_eq!(asked.line(), format!("POST /auth/v1/otp?{target}"));
        expected["create_user"] = json!(create);
        assert_eq!(asked.body, expected);
    }
}
