//! Sign-up and sign-in with address and password.

use serde_json::{Value, json};

use super::place::{PASSWORD, Place};

/// S-10: the session is described from the verified token, and no token is in any answer.
pub async fn a_sign_up_begins_a_session(place: Place) {
    let (browser, email) = (place.browser(), place.address());
    let typed = email.replace("ada", "Ada");
    let data = json!({ "full_name": "Ada Ünlü 🐦", "avatar_url": "https://example.test/a.png", "n": 1 });
    let body = json!({ "email": typed, "password": PASSWORD, "data": data, "return_to": "/notes" });
    let answer = browser.post("/auth/signup", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let made = answer.json();
    assert_eq!((&made["status"], &made["return_to"]), (&json!("signed_in"), &json!("/notes")));

    let shown = browser.get("/auth/session").await;
    let session = shown.json();
    let tokens = place.tokens();
    assert_eq!(session["authenticated"], true);
    assert_eq!(session["user"]["id"], tokens["user"]["id"]);
    assert_eq!(session["user"]["email"], email, "GoTrue keeps addresses in lower case");
    assert_eq!(session["user"]["name"], "Ada Ünlü 🐦");
    assert_eq!(session["user"]["avatar_url"], "https://example.test/a.png");
    assert_eq!(session["user"]["phone"], "");
    assert_eq!(
        (&session["user"]["provider"], &session["user"]["providers"]),
        (&json!("email"), &json!(["email"]))
    );
    assert_eq!(session["user"]["is_anonymous"], false);
    assert_eq!(
        (&session["aal"], &session["next_aal"], &session["amr"]),
        (&json!(1), &json!(1), &json!(["password"]))
    );
    assert_eq!(session["limited"], Value::Null);
    assert!(session["session"]["expires_in"].as_i64().unwrap() > 29 * 86_400);

    assert_eq!(browser.get("/api/notes").await.status, 200);
    let access_token = tokens["access_token"].as_str().unwrap();
    assert_eq!(place.echo.last().bearer(), format!("Bearer {access_token}"));
    for body in [&answer.body, &shown.body] {
        assert!(!body.contains(access_token) && !body.contains(&place.refresh_token()));
    }
}

/// S-71: a wrong password and an unknown address are answered alike.
pub async fn a_sign_in_takes_the_right_password_alone(place: Place) {
    let (_, email) = place.account().await;
    let refused = async |email: &str, password: &str| {
        let (browser, answer) = place.sign_in(email, password).await;
        assert!(browser.cookie("sb_session_").is_none());
        let mut body = answer.json();
        body["request_id"] = json!("");
        (answer.status, body)
    };
    let wrong = refused(&email, "plover 42 gantry mast").await;
    assert_eq!((wrong.0, &wrong.1["code"]), (401, &json!("invalid_credentials")));
    assert_eq!(refused(&place.address(), PASSWORD).await, wrong);
    let (browser, right) = place.sign_in(&email.to_uppercase(), PASSWORD).await;
    assert_eq!((right.status, &right.json()["status"]), (200, &json!("signed_in")), "{}", right.body);
    assert_eq!(browser.get("/auth/session").await.json()["user"]["email"], email);
}

/// S-69: neither space nor case nor Unicode form of a password is touched on its way, in JSON and in forms.
pub async fn a_password_is_kept_to_the_last_byte(place: Place) {
    let password = "  plover 42 ga\u{301}ntry+mist & 100%25 🐦 ";
    let (_, email) = place.account_with(password).await;
    let composed = password.replace("a\u{301}", "á");
    for wrong in [password.trim(), &composed, &password.to_uppercase(), &password.replace('+', " ")] {
        assert_eq!(place.sign_in(&email, wrong).await.1.status, 401, "{wrong:?}");
    }
    assert_eq!(place.sign_in(&email, password).await.1.status, 200);

    let browser = place.browser();
    let token = browser.navigate("/auth/login").await.form_token("/auth/login");
    let fields = [("form_token", token.as_str()), ("email", email.as_str()), ("password", password)];
    let answer = browser.submit("/auth/login", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

/// S-73: what GoTrue's hash would not read is refused at sign-up. At a sign-in the server judges: GoTrue compares 72
/// bytes and overlooks the rest, the embedded server compares all of them.
pub async fn a_password_has_72_bytes_at_most(place: Place) {
    let long = "plover 42 gantry mist ".repeat(4);
    let (full, over) = (&long[..72], &long[..73]);
    let body = json!({ "email": place.address(), "password": over });
    let answer = place.browser().post("/auth/signup", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "password_too_long"), "{}", answer.body);
    assert_eq!(place.tap.calls("/signup"), 0);

    let (_, email) = place.account_with(full).await;
    assert_eq!(place.sign_in(&email, full).await.1.status, 200);
    assert_eq!(place.sign_in(&email, &long[..71]).await.1.status, 401);
    let wanted = if place.is_embedded() { 401 } else { 200 };
    assert_eq!(place.sign_in(&email, over).await.1.status, wanted);
}

/// S-71 exempts sign-up under auto-confirmation: there is no session, and nothing of the account.
pub async fn a_known_address_is_told_under_autoconfirmation_without_a_session(place: Place) {
    let (_, email) = place.account().await;
    let browser = place.browser();
    let answer =
        browser.post("/auth/signup", &json!({ "email": email, "password": "another 42 gantry mist" })).await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &json!("confirmation_sent")),
        "{}",
        answer.body
    );
    assert!(browser.cookie("sb_session_").is_none());
    assert_eq!(browser.get("/auth/session").await.json()["authenticated"], false);
    assert_eq!(place.sign_in(&email, "another 42 gantry mist").await.1.status, 401, "the old password stays");
    assert_eq!(place.sign_in(&email, PASSWORD).await.1.status, 200);
}

/// S-71: new, waiting and confirmed addresses get the same answer and the same cookies.
pub async fn a_known_address_is_answered_alike(place: Place) {
    let (_, known) = place.account().await;
    let (waiting, fresh) = (place.address(), place.address());
    let ask = async |email: &str| {
        let answer =
            place.browser().post("/auth/signup", &json!({ "email": email, "password": PASSWORD })).await;
        let cookies: Vec<_> = answer.set_cookies().iter().map(|c| c[..8].to_owned()).collect();
        (answer.status, answer.body, cookies)
    };
    let first = ask(&waiting).await;
    assert_eq!((first.0, first.1.as_str()), (200, r#"{"status":"confirmation_sent"}"#));
    for email in [&fresh, &waiting, &known, &known.to_uppercase()] {
        assert_eq!(ask(email).await, first);
    }
    place.mail(&waiting, 1).await;
    assert_eq!(place.sign_in(&known, PASSWORD).await.1.status, 200);
}

/// "Confirm your address" is said after the right password only.
pub async fn an_unconfirmed_address_is_told_after_the_right_password(place: Place) {
    let email = place.address();
    let made = place.browser().post("/auth/signup", &json!({ "email": email, "password": PASSWORD })).await;
    assert_eq!(made.json()["status"], "confirmation_sent", "{}", made.body);
    let (_, wrong) = place.sign_in(&email, "another 42 gantry mist").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (401, "invalid_credentials"));
    let (browser, right) = place.sign_in(&email, PASSWORD).await;
    assert_eq!((right.status, right.code().as_str()), (403, "email_not_confirmed"), "{}", right.body);
    assert!(browser.cookie("sb_session_").is_none());
}

/// A double click: GoTrue fails one of two sign-ups that run at once (contract, trap 34); the person notices nothing.
pub async fn a_double_click_signs_up_once(place: Place) {
    for _ in 0..3 {
        let (browser, email) = (place.browser(), place.address());
        let body = json!({ "email": email, "password": PASSWORD });
        let (first, second) =
            tokio::join!(browser.post("/auth/signup", &body), browser.post("/auth/signup", &body));
        for answer in [&first, &second] {
            assert_eq!(answer.status, 200, "{} {}", first.body, second.body);
        }
        let signed_in =
            [&first, &second].iter().filter(|answer| answer.json()["status"] == "signed_in").count();
        let (_, answer) = place.sign_in(&email, PASSWORD).await;
        let confirmed = answer.status == 200;
        assert!(
            confirmed && signed_in > 0 || answer.code() == "email_not_confirmed" && signed_in == 0,
            "{}",
            answer.body
        );
    }
}

/// A project that makes no accounts: nothing offers one, and a sign-up says so.
pub async fn a_closed_project_makes_no_accounts(place: Place) {
    let browser = place.browser();
    let page = browser.navigate("/auth/login").await;
    assert!(!page.body.contains("/auth/signup"), "{}", page.body);
    let body = json!({ "email": place.address(), "password": PASSWORD });
    let answer = browser.post("/auth/signup", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "signup_closed"), "{}", answer.body);
}
