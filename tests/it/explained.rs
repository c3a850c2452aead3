//! What `policy explain` says is what happens: ten thousand requests, at the gateway and by another proxy's question.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::entropy::{SeededEntropy, SharedEntropy};
use futures_util::StreamExt;
use http::Method;
use serde_json::{Map, Value, json};
use supabase_bff::app::tools::{Asked, Explainer, Unexplained};
use supabase_bff::policy::{Denied, Door, Via};

use crate::bearer::{SECRET, signed};
use crate::client::script;
use crate::harness::{Plan, START, TestApp};

const REQUESTS: u64 = 10_000;
const HOSTS: [&str; 2] = ["app.example.test", "other.example.test"];

/// One of every kind, in an order that makes them shade each other.
const RULES: &str = r#"
[scopes]
"notes" = "Everything about notes"
"notes:read" = "Read notes"

[roles]
user = ["notes:read"]
editor = ["notes"]
admin = ["*"]

[[rules]]
name = "open"
path = "/open/**"
to = "echo"
allow = "public"

[[rules]]
name = "here-open"
path = "/notes/open"
methods = ["GET", "PUT"]
host = "other.example.test"
to = "echo"
allow = "optional"

[[rules]]
name = "read"
path = "/notes/**"
methods = ["GET"]
to = "echo"
any_scopes = ["notes:read", "notes"]

[[rules]]
name = "write"
path = "/notes/*"
methods = ["POST", "DELETE"]
to = "echo"
scopes = ["notes:write", "notes:read"]

[[rules]]
name = "admin"
path = "/admin/**"
to = "echo"
roles = ["admin"]
bearer = false

[[rules]]
name = "half"
path = "/half"
to = "echo"
allow = "optional"
bearer = false

[[rules]]
name = "tenant"
path = "/tenant/*"
to = "echo"
claims = { "app_metadata.tenant" = ["acme", 7], "app_metadata.paid" = [true] }

[[rules]]
name = "vault"
path = "/vault"
to = "echo"
aal = 2
max_age = "5m"

[[rules]]
name = "guests"
path = "/guests"
to = "echo"
anonymous_users = true

[[rules]]
name = "asked-open"
path = "/open"
host = "app.example.test"
allow = "public"

[[rules]]
name = "asked-write"
path = "/notes/**"
methods = ["POST", "PUT"]
host = "other.example.test"
scopes = ["notes"]

[[rules]]
name = "asked-rest"
path = "/**"
host = "app.example.test"
roles = ["editor", "admin"]
"#;

const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE", "get"];

const PATHS: [&str; 23] = [
    "/open",
    "/open/",
    "/open/a/b",
    "/OPEN/a",
    "/%6fpen/a",
    "/notes",
    "/notes/",
    "/notes/1",
    "/notes/1/2",
    "/notes/open",
    "/notes/%31",
    "/admin",
    "/admin/x",
    "/half",
    "/half/",
    "/tenant/a",
    "/tenant",
    "/vault",
    "/guests",
    "/none",
    "/open//a",
    "/notes/a;b",
    "/notes/a%2fb",
];

/// Who asks: nobody, or somebody of these claims by session or by bearer.
struct Person {
    claims: Map<String, Value>,
    bearer: String,
    cookie: String,
}

/// A request, and the status that is expected.
struct Question<'a> {
    number: u64,
    verb: Method,
    host: &'a str,
    target: String,
    door: Door,
    via: Via,
    who: Option<&'a Person>,
    status: u16,
}

struct Dice(SharedEntropy);

impl Dice {
    fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % u64::try_from(end).unwrap()).unwrap()
    }

    fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Claims of all kinds, near-misses among them.
fn claims(dice: &Dice, now: i64, issuer: &str) -> Map<String, Value> {
    let roles =
        [json!([]), json!(["user"]), json!(["editor"]), json!(["admin"]), json!("admin"), json!(["Admin"])];
    let scopes =
        [json!(null), json!("notes"), json!("notes:read notes:write"), json!(["notes:readall"]), json!([7])];
    let tenants = [json!(null), json!("acme"), json!(7), json!("7"), json!(["acme"])];
    let mut metadata = json!({
        "roles": dice.one(&roles), "tenant": dice.one(&tenants), "paid": dice.one(&[json!(true), json!("true")]),
    });
    metadata.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let mut all = json!({
        "iss": issuer, "sub": dice.0.uuid(), "session_id": dice.0.uuid(), "aud": "authenticated", "exp": now + 3600,
        "iat": now, "role": "authenticated", "email": "ada@example.test", "phone": "",
        "is_anonymous": dice.below(4) == 0, "aal": dice.one(&["aal1", "aal2"]), "app_metadata": metadata,
        "user_metadata": { "role": "admin", "roles": ["admin"] }, "scope": dice.one(&scopes),
        "amr": [{ "method": "password", "timestamp": now - dice.one(&[0, 299, 301, 86_400]) }],
    });
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    all.as_object().unwrap().clone()
}

async fn person(app: &TestApp, dice: &Dice) -> Person {
    let claims = claims(dice, app.clock_now(), &format!("{}/auth/v1", app.auth.url()));
    let token = signed(SECRET, &Value::Object(claims.clone()));
    let session = json!({
        "access_token": token, "refresh_token": "r", "token_type": "bearer", "expires_in": 3600,
        "user": { "id": claims["sub"], "aud": "authenticated", "email": "ada@example.test" },
    });
    let cookie = app.bff.mint(session.to_string().as_bytes()).await.expect("a session");
    Person { claims, bearer: format!("Bearer {token}"), cookie }
}

/// The status by which a no is said at the gateway.
fn status(denied: &Denied) -> u16 {
    match denied {
        Denied::NotFound => 404,
        Denied::MethodNotAllowed { .. } => 405,
        Denied::SignIn | Denied::StepUp { .. } => 401,
        Denied::AnonymousNotAllowed | Denied::Limited | Denied::Scope { .. } | Denied::Forbidden => 403,
    }
}

/// S-98: random method, host, path and claims: forwarded, and said yes to, only if `explain` says so; every no has the
/// status of its reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_says_what_happens() {
    let plan = Plan { rules: RULES.to_owned(), ..Plan::in_memory() }
        .with("SUPABASE_JWT_SECRET", SECRET)
        .with("BFF_SESSION_STORE", "sqlite:unused.db")
        .with("BFF_PUBLIC_URL", &HOSTS.map(|host| format!("https://{host}")).join(","))
        .with("BFF_TRUSTED_PROXIES", "127.0.0.1/32,::1/128")
        .with("BFF_FORWARD_AUTH_ENABLED", "true")
        .with("BFF_FORWARD_AUTH_HOSTS", &HOSTS.join(","));
    let app = TestApp::with(plan).await;
    let explainer = Explainer::new(app.settings()).unwrap();
    let dice = Dice(Arc::new(SeededEntropy::new(98)));
    let mut people = Vec::new();
    for _ in 0..150 {
        people.push(person(&app, &dice).await);
    }

    let mut expected = BTreeSet::new();
    let mut verdicts = BTreeSet::new();
    let mut asked = Vec::new();
    for number in 0..REQUESTS {
        let (method, host, path) = (*dice.one(&METHODS), *dice.one(&HOSTS), *dice.one(&PATHS));
        let door = *dice.one(&[Door::Gateway, Door::Gateway, Door::ForwardAuth]);
        let via = *dice.one(&[Via::Cookie, Via::Bearer]);
        let who = Some(dice.one(&people)).filter(|_| dice.below(5) > 0);
        let verb = Method::from_bytes(method.as_bytes()).unwrap();
        let question = Asked { method: &verb, path, host: Some(host), door, via };
        let claims = who.map(|person| {
            let mut claims = person.claims.clone();
            if via == Via::Cookie {
                // The session began a moment ago, however old the proofs in its token are.
                claims.insert(
                    "amr".to_owned(),
                    json!([{ "method": "password", "timestamp": app.clock_now() }]),
                );
            }
            claims
        });
        let told = explainer.explain(question, claims, START);
        let verdict = match told {
            Ok(told) => {
                let hits = told.lines.iter().filter(|line| line.hit).count();
                assert!(hits <= 1);
                assert!(told.lines.iter().all(|line| !line.reason.is_empty()));
                told.verdict.map_err(|denied| status(&denied))
            }
            Err(Unexplained::Path(_)) => Err(400),
            Err(other) => panic!("{method} {path}: {other}"),
        };
        let target = format!("{path}?n={number}");
        if verdict.is_ok() && door == Door::Gateway {
            expected.insert(format!("{method} {target}"));
        }
        let status = match (&verdict, door) {
            (Ok(_), _) => 200,
            (Err(status), Door::Gateway) => *status,
            (Err(401), Door::ForwardAuth) => 401,
            (Err(_), Door::ForwardAuth) => 403,
        };
        verdicts.insert((door == Door::Gateway, verdict.clone().unwrap_or_default(), status));
        asked.push(Question { number, verb, host, target, door, via, who, status });
    }

    let (app, browser) = (&app, &app.browser());
    let sent = futures_util::stream::iter(asked).for_each_concurrent(16, |question| async move {
        let Question { number, verb, host, target, door, via, who, status } = question;
        let origin = format!("https://{host}");
        let mut headers = script().to_vec();
        headers.push(("x-forwarded-proto", "https"));
        headers.push(("origin", &origin));
        match (who, via) {
            (Some(person), Via::Bearer) => headers.push(("authorization", &person.bearer)),
            (Some(person), Via::Cookie) => headers.push(("cookie", &person.cookie)),
            (None, _) => {}
        }
        let answer = if door == Door::ForwardAuth {
            headers.push(("host", "bff.internal"));
            headers.push(("x-forwarded-method", verb.as_str()));
            headers.push(("x-forwarded-host", host));
            headers.push(("x-forwarded-uri", &target));
            browser.fresh().send(Method::GET, "/auth/verify", &headers, None).await
        } else {
            headers.push(("host", host));
            browser.fresh().send(verb.clone(), &target, &headers, None).await
        };
        assert_eq!(answer.status, status, "{number}: {verb} {host}{target} by {via:?}: {}", answer.body);
    });
    sent.await;
    let forwarded: BTreeSet<_> = app.echo.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(forwarded, expected);
    // The dice have met every rule and every kind of no.
    let rules: BTreeSet<_> = verdicts.iter().map(|(_, rule, _)| rule.as_str()).collect();
    assert_eq!(rules.len(), 12 + 1, "{rules:?}");
    let statuses: BTreeSet<_> = verdicts.iter().map(|(gateway, _, status)| (*gateway, *status)).collect();
    for seen in [
        (true, 200),
        (true, 400),
        (true, 401),
        (true, 403),
        (true, 404),
        (true, 405),
        (false, 200),
        (false, 401),
        (false, 403),
    ] {
        assert!(statuses.contains(&seen), "{seen:?}");
    }
}
