//! The drop-in story in a real browser, with supabase-js as npm ships it and esbuild bundles it.

use serde_json::{Value, json};

use super::project::{Project, Who};
use super::site::with_page;
use super::story::only_phantoms;
use crate::browser::{Chromium, Script, story};
use crate::harness::{PASSWORD, Plan, TestApp};

pub const WHO: &str = "#who";

/// Runs a function body of JavaScript in the page and tells what it returned.
pub async fn ask(chromium: &Chromium, code: &str) -> Value {
    let run = format!(
        "const done = arguments[arguments.length - 1]; \
         (async () => {{ {code} }})().then(value => done({{ value: value ?? null }}), error => done({{ error: String(error) }}))"
    );
    let answer = chromium.client().execute_async(&run, Vec::new()).await.unwrap();
    assert!(answer["error"].is_null(), "{code}: {answer}");
    answer["value"].clone()
}

/// The page goes by the story's clock from its next load on.
pub async fn tell_time(chromium: &Chromium, app: &TestApp) {
    let source = format!(
        "(() => {{ const real = Date.now.bind(Date); const shift = {} * 1000 - real(); Date.now = () => real() + shift; }})()",
        app.clock_now()
    );
    chromium.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
}

/// What a script of the page can read and what it saw on the wire holds no token but phantoms.
pub async fn observe(chromium: &Chromium, app: &TestApp) -> usize {
    let readable = "return [document.cookie, location.href, JSON.stringify(localStorage), JSON.stringify(sessionStorage)]";
    let readable = ask(chromium, readable).await;
    let mut all: Vec<String> =
        readable.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    assert!(all[0].is_empty(), "document.cookie holds {}", all[0]);
    let seen = chromium.traffic().await;
    // What a provider's own pages hold is theirs. The bundle is a program: it holds words, no tokens.
    let own = |url: &str| url.starts_with(&app.base) && !url.contains("/bundle.js");
    all.extend(seen.urls().into_iter().filter(|url| own(url)));
    all.extend(seen.bodies().into_iter().filter(|(url, _)| own(url)).map(|(_, body)| body));
    for answer in app.auth.answers("/token") {
        let real: Value = serde_json::from_str(&answer).unwrap_or_default();
        for name in ["access_token", "refresh_token"] {
            let Some(token) = real[name].as_str() else { continue };
            assert!(all.iter().all(|text| !text.contains(token)), "the real {name} came to the page");
        }
    }
    all.iter().map(|text| only_phantoms(text, "the page")).sum()
}

/// The events so far.
async fn events(chromium: &Chromium) -> Vec<String> {
    let events = ask(chromium, "return events").await;
    events.as_array().unwrap().iter().map(|event| event.as_str().unwrap().to_owned()).collect()
}

/// Sign-up, password, getSession, getUser, getClaims, updateUser, refresh past expiry; two tabs; another person.
#[tokio::test]
async fn supabase_js_in_a_browser_keeps_working() {
    let app = with_page(Plan::default()).await;
    story("drop-in", Script::On, async |chromium| {
        let ada = json!({ "email": "ada@example.test", "password": PASSWORD });
        tell_time(chromium, &app).await;
        chromium.open(&app.base).await;
        chromium.shows(WHO, "nobody").await;
        let up = ask(chromium, &format!("return (await supabase.auth.signUp({ada})).error")).await;
        assert_eq!(up, Value::Null);
        chromium.shows(WHO, "ada@example.test").await;
        ask(chromium, "await supabase.auth.signOut({ scope: 'local' })").await;
        chromium.shows(WHO, "nobody").await;
        let signed = ask(chromium, &format!("return (await supabase.auth.signInWithPassword({ada})).error")).await;
        assert_eq!(signed, Value::Null);
        let first = chromium.client().window().await.unwrap();

        // The page is loaded again: auth-js finds its session in localStorage, the browser brings the cookie.
        chromium.open(&format!("{}/notes", app.base)).await;
        chromium.shows(WHO, "ada@example.test").await;
        for (call, email) in [
            ("getSession", "data.session.user.email"),
            ("getUser", "data.user.email"),
            ("getClaims", "data.claims.email"),
        ] {
            let told = ask(chromium, &format!("return (await supabase.auth.{call}()).{email}")).await;
            assert_eq!(told, "ada@example.test", "{call}");
        }
        let name = "return (await supabase.auth.updateUser({ data: { name: 'Ada' } })).data.user.user_metadata.name";
        assert_eq!(ask(chromium, name).await, "Ada");
        assert!(events(chromium).await.contains(&"USER_UPDATED".to_owned()));
        app.past_expiry();
        tell_time(chromium, &app).await;
        chromium.open(&format!("{}/notes", app.base)).await;
        chromium.shows(WHO, "ada@example.test").await;
        let refreshed = "return (await supabase.auth.refreshSession()).data.session?.expires_in";
        assert_eq!(ask(chromium, refreshed).await, 1800);
        let told = events(chromium).await;
        assert!(told.contains(&"TOKEN_REFRESHED".to_owned()), "{told:?}");
        assert!(observe(chromium, &app).await > 1);

        // A second tab knows who is there; signed out in the one, the other shows nobody.
        let second = chromium.client().new_window(true).await.unwrap().handle;
        chromium.client().switch_to_window(second.clone()).await.unwrap();
        tell_time(chromium, &app).await;
        chromium.open(&app.base).await;
        chromium.shows(WHO, "ada@example.test").await;
        ask(chromium, "await supabase.auth.signOut({ scope: 'local' })").await;
        chromium.shows(WHO, "nobody").await;
        chromium.client().switch_to_window(first.clone()).await.unwrap();
        chromium.shows(WHO, "nobody").await;

        // Another person signs in through our own pages while this page still holds the first.
        let signed = ask(chromium, &format!("return (await supabase.auth.signInWithPassword({ada})).error")).await;
        assert_eq!(signed, Value::Null);
        let bob = json!({ "email": "bob@example.test", "password": PASSWORD }).to_string();
        let other = format!(
            "return (await fetch('/auth/signup', {{ method: 'POST', body: JSON.stringify({bob}), \
             headers: {{ 'content-type': 'application/json', 'x-csrf': '1' }} }})).status"
        );
        assert_eq!(ask(chromium, &other).await, 200);
        chromium.shows(WHO, "ada@example.test").await;
        let stale = ask(chromium, "return (await supabase.auth.getUser()).error?.name").await;
        assert_eq!(stale, "AuthSessionMissingError", "never one person's page over another's cookie");
        chromium.shows(WHO, "nobody").await;
        let begun = "return (await supabase.auth.refreshSession({ refresh_token: 'cookie-' + crypto.randomUUID() })).data.user?.email";
        assert_eq!(ask(chromium, begun).await, "bob@example.test");
        chromium.shows(WHO, "bob@example.test").await;
        assert!(observe(chromium, &app).await > 1);
        chromium.open(&format!("{}/auth/login", app.base)).await; // a page of ours, whose policy is looked at
    })
    .await;
}

/// A picture of one red dot.
const DOT: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// Filtered select, insert, RPC, upload, a picture by its signed URL, a resumable upload, a function: each with the person's own
/// token, and nothing of another's.
#[tokio::test]
async fn the_data_services_get_the_right_bearer() {
    let app = with_page(Plan::default()).await;
    let project = Project::behind(&app).await;
    story("drop-in-data", Script::On, async |chromium| {
        tell_time(chromium, &app).await;
        chromium.open(&app.base).await;
        chromium.shows(WHO, "nobody").await;
        let strangers = ask(chromium, "return (await supabase.from('notes').select()).data").await;
        assert_eq!(strangers, json!([]));
        assert_eq!(project.seen("/rest/v1/notes"), [Who::Anon]);
        let refused = ask(chromium, "return (await supabase.from('notes').insert({ text: 'x' })).error.code").await;
        assert_eq!(refused, "42501");

        let mut people = Vec::new();
        for email in ["ada@example.test", "bob@example.test"] {
            let body = json!({ "email": email, "password": PASSWORD });
            let id = ask(chromium, &format!("return (await supabase.auth.signUp({body})).data.user.id")).await;
            let id = id.as_str().unwrap().to_owned();
            for text in ["one", "two"] {
                let insert = format!("return (await supabase.from('notes').insert({{ text: '{text}' }}).select()).data[0].owner");
                assert_eq!(ask(chromium, &insert).await, id);
            }
            let found = ask(chromium, "return (await supabase.from('notes').select('*').eq('text', 'two')).data").await;
            assert_eq!((found.as_array().unwrap().len(), &found[0]["owner"]), (1, &json!(id)));
            let between = "return (await supabase.from('notes').select('*').gte('id', 1).lte('id', 2)).data.length";
            assert_eq!(ask(chromium, between).await, if email.starts_with("ada") { 2 } else { 0 });
            assert_eq!(ask(chromium, "return (await supabase.rpc('whoami')).data").await, id);
            let called = ask(chromium, "return (await supabase.functions.invoke('hello', { body: { a: 1 } })).data.hello").await;
            assert_eq!(called, format!("{:?}", Who::User(id.clone())));
            people.push(id);
        }
        let dot = format!("Uint8Array.from(atob('{DOT}'), c => c.charCodeAt(0))");
        let up = format!(
            "return (await supabase.storage.from('pictures').upload('dot.png', new Blob([{dot}], {{ type: 'image/png' }}))).error"
        );
        assert_eq!(ask(chromium, &up).await, Value::Null);
        let down = "return (await supabase.storage.from('pictures').download('dot.png')).data.size";
        assert_eq!(ask(chromium, down).await, 70);
        let shown = "const { data } = await supabase.storage.from('pictures').createSignedUrl('dot.png', 60); \
                     const image = new Image(); image.src = data.signedUrl; await image.decode(); \
                     return [new URL(data.signedUrl).pathname, image.naturalWidth]";
        let shown = ask(chromium, shown).await;
        assert_eq!(shown, json!(["/supabase/storage/v1/object/sign/pictures/dot.png", 1]));
        let resumed = "const { data: { session } } = await supabase.auth.getSession(); \
                       return await new Promise((done, failed) => new Upload(new Blob(['x'.repeat(300000)]), { \
                         endpoint: location.origin + '/supabase/storage/v1/upload/resumable', chunkSize: 100000, \
                         headers: { authorization: `Bearer ${session.access_token}`, 'x-upsert': 'true' }, \
                         storeFingerprintForResuming: false, retryDelays: null, \
                         onError: failed, onSuccess() { done(this.url ?? 'done') } }).start())";
        ask(chromium, resumed).await;
        assert_eq!(project.resumed(), 300_000);
        let bob = Who::User(people[1].clone());
        assert!(project.seen("/storage/v1/upload").iter().all(|who| *who == bob));
        assert_eq!(project.seen("PATCH /storage/v1/upload/resumable/one").len(), 3);
        assert_eq!(project.seen("GET /storage/v1/object/sign"), [Who::Anon], "a picture needs nobody's token");
        assert!(observe(chromium, &app).await > 1);

        ask(chromium, "await supabase.auth.signOut()").await;
        let gone = ask(chromium, "return (await supabase.from('notes').select()).error?.code ?? 'anon'").await;
        assert_eq!(gone, "anon", "the page knows that nobody is here");
        chromium.open(&format!("{}/auth/login", app.base)).await;
    })
    .await;
}
