//! Away to a provider and back, and the second factor, with supabase-js in a real browser.

use serde_json::{Value, json};

use super::chromium::{WHO, ask, observe, tell_time};
use super::site::with_page;
use crate::browser::{Script, story};
use crate::harness::{PASSWORD, Plan};
use crate::mfa::Phone;

/// A provider by redirect in both flows of auth-js: it finds its session in the fragment, or trades our code.
#[tokio::test]
async fn a_provider_by_redirect() {
    let app = with_page(Plan::default()).await;
    story("drop-in-provider", Script::On, async |chromium| {
        tell_time(chromium, &app).await;
        for flow in ["implicit", "pkce"] {
            chromium.open(&app.base).await;
            chromium.shows(WHO, "nobody").await;
            ask(chromium, &format!("localStorage.setItem('flow', '{flow}')")).await;
            chromium.open(&app.base).await;
            chromium.shows(WHO, "nobody").await;
            let off = "await supabase.auth.signInWithOAuth({ provider: 'google', options: { redirectTo: location.origin + '/welcome' } })";
            ask(chromium, off).await;
            chromium.types("email", "ada@example.test").await;
            chromium.presses("Someone new").await;
            chromium.shows(WHO, "ada@example.test").await;
            let here = ask(chromium, "return [location.pathname, location.hash, (await supabase.auth.getUser()).data.user.email]").await;
            assert_eq!((&here[0], &here[2]), (&json!("/welcome"), &json!("ada@example.test")), "{flow}");
            assert!(observe(chromium, &app).await >= 1);
            ask(chromium, "await supabase.auth.signOut()").await;
            chromium.shows(WHO, "nobody").await;
        }
        chromium.open(&format!("{}/auth/login", app.base)).await;
    })
    .await;
}

/// S-32: an app is enrolled and proved by `auth.mfa`; after the next password the data waits for its code.
#[tokio::test]
async fn a_second_factor() {
    let app = with_page(Plan::default()).await;
    story("drop-in-factor", Script::On, async |chromium| {
        tell_time(chromium, &app).await;
        chromium.open(&app.base).await;
        let ada = json!({ "email": "ada@example.test", "password": PASSWORD });
        assert_eq!(ask(chromium, &format!("return (await supabase.auth.signUp({ada})).error")).await, Value::Null);
        let enroll = "const { data } = await supabase.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'Phone' }); \
                      const image = new Image(); image.src = data.totp.qr_code; await image.decode(); \
                      return { id: data.id, secret: data.totp.secret }";
        let enrolled = ask(chromium, enroll).await;
        let phone = Phone::scan(&enrolled);
        let prove = async |code: String| {
            let prove = format!(
                "return (await supabase.auth.mfa.challengeAndVerify({{ factorId: '{}', code: '{code}' }})).error?.code",
                phone.id
            );
            ask(chromium, &prove).await
        };
        let level = "return (await supabase.auth.mfa.getAuthenticatorAssuranceLevel()).data";
        assert_eq!(prove(phone.code(&app)).await, Value::Null);
        assert_eq!(ask(chromium, level).await["currentLevel"], "aal2");
        let listed = ask(chromium, "return (await supabase.auth.mfa.listFactors()).data.totp.length").await;
        assert_eq!(listed, 1);

        ask(chromium, "await supabase.auth.signOut()").await;
        assert_eq!(ask(chromium, &format!("return (await supabase.auth.signInWithPassword({ada})).error")).await, Value::Null);
        let half = ask(chromium, level).await;
        assert_eq!((&half["currentLevel"], &half["nextLevel"]), (&json!("aal1"), &json!("aal2")));
        let limited = ask(chromium, "return (await supabase.from('notes').select()).error.code").await;
        assert_eq!(limited, "session_limited");
        assert_eq!(prove(phone.wrong_code(&app)).await, "mfa_verification_failed");
        assert_eq!(prove(phone.code(&app)).await, Value::Null);
        assert_eq!(ask(chromium, level).await["currentLevel"], "aal2");
        assert!(observe(chromium, &app).await >= 1);
        chromium.open(&format!("{}/auth/login", app.base)).await;
    })
    .await;
}
