//! The clients of the drop-in as npm ships them: in Node first, with the clock in our hands.

use serde_json::{Value, json};

use super::node::Node;
use super::parts;
use crate::browser::token_shapes;
use crate::harness::{PASSWORD, TestApp};

/// S-10: every text that has the shape of a token is a phantom.
pub fn only_phantoms(text: &str, place: &str) -> usize {
    let shapes = token_shapes(text);
    for token in &shapes {
        let token = token.trim_matches('.');
        assert!(token.starts_with("eyJ"), "{place} holds {token}");
        let (head, _, signature) = parts(token);
        assert_eq!(head["kid"], "phantom", "{place}");
        assert_eq!(signature, "phantom-token-not-a-credential--", "{place}");
    }
    shapes.len()
}

/// Asserts that nothing of what the clients saw or keep is a token but phantoms.
async fn observe(node: &Node, app: &TestApp) {
    let seen =
        node.run("return { seen: seen.map(s => s.url + ' ' + s.body), kept: [...kept.values()] }").await;
    let mut phantoms = 0;
    for list in ["seen", "kept"] {
        for text in seen[list].as_array().unwrap() {
            phantoms += only_phantoms(text.as_str().unwrap(), list);
        }
    }
    assert!(phantoms > 2, "the observer saw none at all");
    for answer in app.auth.answers("/token") {
        let real: Value = serde_json::from_str(&answer).unwrap_or_default();
        for name in ["access_token", "refresh_token"] {
            let Some(token) = real[name].as_str() else { continue };
            assert!(!seen.to_string().contains(token), "the real {name} came to the page");
        }
    }
}

/// The drop-in story in Node: sign-up, session, person, claims, change, refresh past expiry, two tabs, another person.
#[tokio::test]
async fn unmodified_supabase_js_keeps_working() {
    let app = TestApp::start().await;
    let node = Node::start(&app.base).await;
    let ask = async |code: &str| node.run(code).await;
    let tell_time = async || ask(&format!("setNow({})", app.clock_now())).await;
    tell_time().await;
    let credentials = json!({ "email": "ada@example.test", "password": PASSWORD });

    let up = ask(&format!("return tabs.first.auth.signUp({credentials})")).await;
    assert_eq!((&up["error"], &up["data"]["user"]["email"]), (&Value::Null, &json!("ada@example.test")));
    assert_eq!(up["data"]["session"]["expires_in"], 1800);
    ask("await tabs.first.auth.signOut()").await;
    let wrong = ask(
        "return tabs.first.auth.signInWithPassword({ email: 'ada@example.test', password: 'not it at all' })",
    )
    .await;
    assert_eq!(
        (&wrong["error"]["code"], &wrong["error"]["status"]),
        (&json!("invalid_credentials"), &json!(400)),
        "{wrong}"
    );
    let signed = ask(&format!("return tabs.first.auth.signInWithPassword({credentials})")).await;
    assert_eq!(signed["error"], Value::Null, "{signed}");

    let session = ask("return tabs.first.auth.getSession()").await;
    assert_eq!(session["data"]["session"]["user"]["email"], "ada@example.test");
    let user = ask("return tabs.first.auth.getUser()").await;
    assert_eq!((&user["error"], &user["data"]["user"]["email"]), (&Value::Null, &json!("ada@example.test")));
    let claims = ask("return tabs.first.auth.getClaims()").await;
    assert_eq!(
        (&claims["error"], &claims["data"]["claims"]["email"]),
        (&Value::Null, &json!("ada@example.test"))
    );
    let changed = ask("return tabs.first.auth.updateUser({ data: { name: 'Ada' } })").await;
    assert_eq!(
        (&changed["error"], &changed["data"]["user"]["user_metadata"]["name"]),
        (&Value::Null, &json!("Ada"))
    );

    app.past_expiry();
    tell_time().await;
    let refreshed = ask("return tabs.first.auth.refreshSession()").await;
    assert_eq!(
        (&refreshed["error"], &refreshed["data"]["session"]["expires_in"]),
        (&Value::Null, &json!(1800))
    );
    assert_eq!(refreshed["data"]["user"]["user_metadata"]["name"], "Ada");
    let events = ask("return tabs.first.events").await;
    for event in ["SIGNED_IN", "SIGNED_OUT", "USER_UPDATED", "TOKEN_REFRESHED"] {
        assert!(events.as_array().unwrap().contains(&json!(event)), "{event}: {events}");
    }

    // A page that our own pages signed in begins with the cookie alone.
    let begun = ask("kept.clear(); tabs.second = tab(); \
         return tabs.second.auth.refreshSession({ refresh_token: 'cookie-' + crypto.randomUUID() })")
    .await;
    assert_eq!(
        (&begun["error"], &begun["data"]["user"]["email"]),
        (&Value::Null, &json!("ada@example.test"))
    );

    // Another person signs in beside a tab that still shows the first.
    ask("tabs.stale = tab({ storage: new (class { #m = new Map(kept); getItem(n) { return this.#m.get(n) ?? null } \
         setItem(n, v) { this.#m.set(n, v) } removeItem(n) { this.#m.delete(n) } })() })")
    .await;
    let held = ask("return (await tabs.stale.auth.getSession()).data.session?.user.email").await;
    assert_eq!(held, "ada@example.test");
    let other = json!({ "email": "bob@example.test", "password": PASSWORD });
    let up = ask(&format!("return tabs.second.auth.signUp({other})")).await;
    assert_eq!(up["error"], Value::Null);
    let stale = ask("return tabs.stale.auth.getUser()").await;
    assert_eq!(
        stale["error"]["name"], "AuthSessionMissingError",
        "never one person's page over another's cookie"
    );
    assert_eq!(ask("return (await tabs.stale.auth.getSession()).data.session").await, Value::Null);
    let rest = ask("return tabs.second.auth.getUser()").await;
    assert_eq!(rest["data"]["user"]["email"], "bob@example.test");

    // Signed out in one tab, the other learns of it at its next question.
    ask("tabs.third = tab({ storage: new (class { #m = new Map(kept); getItem(n) { return this.#m.get(n) ?? null } \
         setItem(n, v) { this.#m.set(n, v) } removeItem(n) { this.#m.delete(n) } })() })")
    .await;
    assert_eq!(ask("return (await tabs.third.auth.getUser()).data.user.email").await, "bob@example.test");
    assert_eq!(ask("return (await tabs.second.auth.signOut({ scope: 'local' })).error").await, Value::Null);
    let gone = ask("return (await tabs.third.auth.getUser()).error?.name").await;
    assert_eq!(gone, "AuthSessionMissingError");
    assert_eq!(ask("return jar.size").await, 1, "the reason of the end alone is left");
    observe(&node, &app).await;
}
