//! `GET /auth/openapi.json`: every path of ours as OpenAPI 3.1, from one table. The page at `/auth/docs` shows the same.

mod operations;
mod supabase;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::web::error::Code;
use crate::web::state::AppState;
use crate::web::visit::Visit;
use operations::OPERATIONS;
pub(in crate::web) use operations::{Given, Holds, Operation, Who};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Codes that any path may answer with, beside those in the table.
const COMMON: [&str; 6] =
    ["bad_request", "unknown_host", "overloaded", "auth_unavailable", "store_unavailable", "internal"];

/// Codes of whatever changes something.
const UNSAFE: [&str; 5] =
    ["cross_origin", "csrf_header", "csrf_form", "unsupported_media_type", "body_too_large"];

/// The bodies, as JSON Schema 2020-12.
static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let files = [include_str!("openapi/schemas.json"), include_str!("openapi/supabase.json")];
    let read = |file: &str| serde_json::from_str::<Map<String, Value>>(file).unwrap_or_default(); // a test reads them
    files.into_iter().flat_map(read).collect()
});

/// The mount as the table writes it.
const MOUNT: &str = "/supabase";

/// Every operation, those below the mount at the end.
fn operations() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().chain(supabase::OPERATIONS)
}

/// What of the description depends on the settings.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The canonical public origin, without a slash at its end.
    pub server: String,
    /// The name of the session cookie.
    pub cookie: String,
    /// `[scopes]`.
    pub scopes: BTreeMap<String, String>,
    /// `POST /auth/token` is on.
    pub token: bool,
    /// The hook endpoint is open.
    pub hooks: bool,
    /// Another proxy may ask.
    pub forward_auth: bool,
    /// The demo page is on.
    pub demo: bool,
    /// `supabase.mount`.
    pub mount: String,
    /// `supabase.services`.
    pub services: BTreeSet<String>,
}

impl About {
    pub(in crate::web) fn of(app: &AppState) -> Self {
        let policy = app.policy.get();
        let forwarded = policy.rules().iter().filter(|rule| rule.is_built_in()).map(|rule| rule.name());
        let services = forwarded.chain(app.auth_below_mount.then_some("auth")).map(str::to_owned).collect();
        Self {
            server: app.public_url().origin().ascii_serialization(),
            cookie: app.sessions.names().session().to_owned(),
            scopes: policy.scopes().clone(),
            token: app.token,
            hooks: app.hooks.is_some(),
            forward_auth: app.forward_auth.is_some(),
            demo: app.demo,
            mount: app.mount.clone(),
            services,
        }
    }

    /// The operations that there are under these settings.
    pub(in crate::web) fn operations(&self) -> impl Iterator<Item = &'static Operation> {
        operations().filter(|operation| match operation.given {
            Given::Always => true,
            Given::Hooks => self.hooks,
            Given::ForwardAuth => self.forward_auth,
            Given::Demo => self.demo,
            Given::Service(service) => self.services.contains(service),
        })
    }

    /// Where `operation` is on this site.
    pub(in crate::web) fn place(&self, operation: &Operation) -> String {
        match operation.path.strip_prefix(MOUNT) {
            Some(rest) => format!("{}{rest}", self.mount),
            None => operation.path.to_owned(),
        }
    }
}

/// `GET /auth/openapi.json`.
#[tracing::instrument(name = "openapi.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Response {
    visit.json(StatusCode::OK, &document(&About::of(visit.app())))
}

/// The description.
pub fn document(about: &About) -> Value {
    let mut paths = Map::new();
    for operation in about.operations() {
        let item = paths.entry(about.place(operation)).or_insert_with(|| json!({}));
        for method in methods(operation) {
            item[method.to_lowercase()] = described(operation, method, about);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "supabase-bff",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Sign-in and sessions for pages whose scripts see no token. Every path of this list answers \
                            scripts with JSON; the same paths show pages to people. Below the mount of Supabase its own \
                            clients find what they know; any other path falls under a rule of the site.",
        },
        "servers": [{ "url": about.server }],
        "paths": paths,
        "components": { "schemas": &*SCHEMAS, "securitySchemes": schemes(about), "responses": { "Problem": problem("Refused") } },
    })
}

fn methods(operation: &Operation) -> &[&'static str] {
    match METHODS.iter().position(|method| *method == operation.method) {
        Some(at) => &METHODS[at..=at],
        None => &METHODS,
    }
}

fn schemes(about: &About) -> Value {
    let mut schemes = json!({
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": about.cookie,
            "description": "What a sign-in sets. Scripts send X-CSRF: 1 with it.",
        },
        "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
    });
    if about.token {
        schemes["password"] = json!({
            "type": "oauth2",
            "flows": {
                "password": { "tokenUrl": "/auth/token", "refreshUrl": "/auth/token", "scopes": about.scopes },
            },
        });
    }
    schemes
}

fn described(operation: &Operation, method: &str, about: &About) -> Value {
    let name = operation.path.replace(['/', '{', '}'], " ");
    let name: Vec<&str> = name.split_whitespace().collect();
    let mut all = json!({
        "operationId": format!("{}_{}", method.to_lowercase(), name.join("_")),
        "summary": operation.summary,
        "responses": responses(operation),
        "security": security(operation.who, about),
    });
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        all["parameters"] = parameters.into();
    }
    if let Some(body) = body(operation) {
        all["requestBody"] = body;
    }
    all
}

/// Who may ask. Several entries are alternatives; an empty one is nobody in particular.
fn security(who: Who, about: &About) -> Value {
    match who {
        Who::Everybody | Who::Program | Who::Proxy | Who::Hook => json!([]),
        Who::Session => json!([{ "session": [] }]),
        Who::Anyone if about.token => json!([{ "session": [] }, { "bearer": [] }, { "password": [] }, {}]),
        Who::Anyone => json!([{ "session": [] }, { "bearer": [] }, {}]),
    }
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let in_path = operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let in_path = in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text }));
    let in_query = operation.query.iter().map(|name| json!({ "name": name, "in": "query", "schema": text }));
    in_path.chain(in_query).collect()
}

fn body(operation: &Operation) -> Option<Value> {
    if operation.path == "/auth/token" {
        let fields = ["grant_type", "username", "password", "refresh_token", "scope"];
        let fields = fields.map(|name| (name.to_owned(), json!({ "type": "string" })));
        let schema =
            json!({ "type": "object", "required": ["grant_type"], "properties": Map::from_iter(fields) });
        return Some(
            json!({ "required": true, "content": { "application/x-www-form-urlencoded": { "schema": schema } } }),
        );
    }
    let schema = json!({ "schema": reference(operation.takes?) });
    if is_below_the_mount(operation) {
        return Some(json!({ "required": true, "content": { "application/json": schema } }));
    }
    let both = json!({ "application/json": schema, "application/x-www-form-urlencoded": schema });
    Some(json!({ "content": both }))
}

fn is_below_the_mount(operation: &Operation) -> bool {
    operation.path.starts_with(MOUNT)
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// One entry a status: what is told, and which codes are behind a refusal.
fn responses(operation: &Operation) -> Value {
    let mut all = Map::new();
    for (status, holds) in operation.answers {
        all.insert(status.to_string(), answer(*holds));
    }
    if is_below_the_mount(operation) {
        // Clients there know the codes of their service. What is forwarded is refused by it, or by us in the same words.
        let refused = json!({ "application/json": { "schema": reference("AuthError") } });
        all.insert("default".to_owned(), json!({ "description": "Refused", "content": refused }));
        return all.into();
    }
    let mut refused: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in codes(operation) {
        refused.entry(code.status().as_u16()).or_default().push(code.as_str());
    }
    for (status, codes) in refused {
        let said = all.entry(status.to_string()).or_insert_with(|| problem(&codes.join(", ")));
        if let Some(content) = said.get_mut("content") {
            content["application/problem+json"] = json!({ "schema": reference("Problem") });
        }
    }
    all.into()
}

/// The codes with which an operation may be refused.
fn codes(operation: &Operation) -> impl Iterator<Item = Code> {
    let common = if operation.who == Who::Proxy { &[][..] } else { &COMMON[..] };
    let guarded =
        matches!(operation.method, "POST" | "DELETE") && !matches!(operation.who, Who::Program | Who::Hook);
    let gate = if guarded { &UNSAFE[..] } else { &[] };
    let session: &[&str] = if operation.who == Who::Session {
        &["session_missing", "session_expired", "session_ended", "session_limited"]
    } else {
        &[]
    };
    let words = operation.refuses.iter().chain(common).chain(gate).chain(session);
    words.filter_map(|word| Code::ALL.iter().copied().find(|code| code.as_str() == *word))
}

fn answer(holds: Holds) -> Value {
    match holds {
        Holds::Json(names) => {
            let known = names.iter().filter_map(|name| SCHEMAS.get(*name)?.get("description")?.as_str());
            let words: Vec<_> = known.collect();
            let schema = match names {
                [one] => reference(one),
                several => json!({ "oneOf": several.iter().map(|name| reference(name)).collect::<Vec<_>>() }),
            };
            json!({ "description": words.join("; "), "content": { "application/json": { "schema": schema } } })
        }
        Holds::Page => {
            json!({ "description": "A page", "content": { "text/html": { "schema": { "type": "string" } } } })
        }
        Holds::Location => {
            json!({ "description": "The way on", "headers": { "Location": { "schema": { "type": "string" } } } })
        }
        Holds::File => json!({ "description": "The file, to be kept" }),
        Holds::Service => json!({ "description": "What the service answers, under its own status" }),
        Holds::Nothing => json!({ "description": "Headers alone" }),
    }
}

fn problem(words: &str) -> Value {
    json!({ "description": words, "content": { "application/problem+json": { "schema": reference("Problem") } } })
}

/// The fields of a body: name, whether it must be there, what it is.
pub(in crate::web) fn fields(schema: &str) -> Vec<(&'static str, bool, &'static str)> {
    let Some(schema) = SCHEMAS.get(schema) else { return Vec::new() };
    let required = schema["required"].as_array();
    let must = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let described = |value: &'static Value| value["description"].as_str().unwrap_or_default();
    let all = schema["properties"].as_object().into_iter().flatten();
    all.map(|(name, value)| (name.as_str(), must(name), described(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> About {
        let services = ["auth", "rest", "graphql", "storage", "functions", "realtime"].map(str::to_owned);
        About {
            token: true,
            hooks: true,
            forward_auth: true,
            demo: true,
            mount: "/supabase".to_owned(),
            services: services.into(),
            ..About::default()
        }
    }

    /// Every path of ours is described, and every described one is there. What is forwarded below the mount is no route.
    #[test]
    fn the_table_is_the_router() {
        let routes = crate::web::templates_of_paths().into_iter().map(|path| path.replace("{*", "{"));
        let nothing = ["/auth/{rest}", "/supabase/auth/v1", "/supabase/auth/v1/", "/supabase/auth/v1/{rest}"];
        let routes: BTreeSet<String> = routes.filter(|path| !nothing.contains(&path.as_str())).collect();
        let routed = operations().filter(|operation| {
            matches!(operation.given, Given::Service("auth")) || !is_below_the_mount(operation)
        });
        let told: BTreeSet<String> = routed.map(|operation| operation.path.to_owned()).collect();
        assert_eq!(told, routes);
        let mut once = BTreeSet::new();
        for operation in operations() {
            assert!(
                once.insert((operation.method, operation.path)),
                "{} {}",
                operation.method,
                operation.path
            );
        }
    }

    /// Each word of the table means something.
    #[test]
    fn schemas_and_codes_are_known() {
        assert!(SCHEMAS.len() > 40 && SCHEMAS.contains_key("AuthSession"), "the files are read");
        for operation in operations() {
            for word in operation.refuses.iter().chain(&COMMON).chain(&UNSAFE) {
                assert!(Code::ALL.iter().any(|code| code.as_str() == *word), "{word}");
            }
            for (_, holds) in operation.answers {
                if let Holds::Json(names) = holds {
                    names
                        .iter()
                        .for_each(|name| assert!(SCHEMAS[*name]["description"].is_string(), "{name}"));
                }
            }
            assert!(operation.takes.is_none_or(|name| !fields(name).is_empty()), "{:?}", operation.takes);
            assert!(!operation.answers.is_empty(), "{}", operation.path);
        }
        let document = document(&everything()).to_string();
        for reference in document.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(SCHEMAS.contains_key(name), "{name}");
        }
    }

    /// What is off is not described, and the scopes are those of the configuration.
    #[test]
    fn the_description_follows_the_settings() {
        let scopes = BTreeMap::from([("items".to_owned(), "Everything about items".to_owned())]);
        let all = document(&About { scopes: scopes.clone(), ..everything() });
        assert_eq!(
            all["components"]["securitySchemes"]["password"]["flows"]["password"]["scopes"],
            json!(scopes)
        );
        assert!(all["paths"]["/auth/verify/envoy/{path}"]["options"].is_object());
        let some = document(&About { cookie: "sb_session_8080".to_owned(), ..About::default() });
        for path in
            ["/auth/verify", "/auth/hooks/revoke", "/", "/supabase/auth/v1/user", "/supabase/rest/v1/{path}"]
        {
            assert!(all["paths"][path].is_object() && some["paths"][path].is_null(), "{path}");
        }
        let elsewhere = document(&About { mount: "/db".to_owned(), ..everything() });
        assert!(elsewhere["paths"]["/db/auth/v1/user"].is_object());
        assert!(!elsewhere["paths"].to_string().contains("/supabase/"));
        let schemes = &some["components"]["securitySchemes"];
        assert!(schemes["password"].is_null());
        assert_eq!(schemes["session"]["name"], "sb_session_8080");
    }
}
