//! Every path of the public port, on one screen.

pub mod admin;
mod api;
pub mod assets;
pub mod error;
mod extract;
pub mod forms;
pub mod guard;
pub mod ids;
mod layers;
mod pages;
mod proof;
mod qr;
mod routes;
mod sockets;
pub mod state;
mod stay;
mod streams;
mod supabase;
pub mod templates;
pub mod views;
mod visit;
pub mod within;

use axum::Router;
use axum::routing::{MethodRouter, any, delete, get, post};
use http::HeaderValue;
use url::Url;

pub use api::hooks::Hooks;
pub use api::openapi::{About, document};
pub use api::verify::{Around, Family, ForwardAuth};
pub use layers::{REQUEST_LINE, Site};
pub use sockets::Sockets;
pub use state::{AppState, Cors, Parts};
pub use stay::Ended;
pub use visit::Visit;

use api::{hooks, openapi, session, token, verify};
use pages::{
    account, address, bounce, callback, confirm, demo, docs, factors, identities, login, logout, mfa,
};
use pages::{otp, password, profile, recover, reset, security, signup, start};

/// The public port: everything of ours under `/auth`, the mount and the routes of `bff.toml` everywhere else.
pub fn site(app: &AppState) -> Site {
    let own = paths(app.demo, app.hooks.is_some(), app.forward_auth.is_some()).into_iter();
    let router = own.fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    let router = router.method_not_allowed_fallback(pages::wrong_method);
    Site::new(app, router)
}

/// The host of a public origin as `Host` names it.
pub fn host_of(public: &Url) -> HeaderValue {
    let text = &public[url::Position::BeforeHost..url::Position::AfterPort];
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("")) // hosts of URLs are ASCII
}

/// Every path of ours, for the figures about requests.
pub fn templates_of_paths() -> Vec<&'static str> {
    paths(true, true, true).into_iter().map(|(path, _)| path).collect()
}

fn paths(demo: bool, hooks: bool, forward_auth: bool) -> Vec<(&'static str, MethodRouter<AppState>)> {
    let mut paths = vec![
        ("/auth/login", get(login::show).post(login::submit)),
        ("/auth/signup", get(signup::show).post(signup::submit)),
        ("/auth/recover", get(recover::show).post(recover::submit)),
        ("/auth/reset", get(reset::show).post(reset::submit)),
        ("/auth/otp", get(otp::show).post(otp::submit)),
        ("/auth/confirm", get(confirm::show).post(confirm::submit)),
        ("/auth/start/{provider}", get(start::off).post(start::link)),
        ("/auth/callback/{flow}", get(callback::back)),
        ("/auth/continue", get(bounce::show)),
        ("/auth/mfa", get(mfa::show).post(mfa::submit)),
        ("/auth/account", get(account::show)),
        ("/auth/account/profile", get(profile::show).post(profile::submit)),
        ("/auth/account/email", get(address::show).post(address::submit)),
        ("/auth/account/password", get(password::show).post(password::submit)),
        ("/auth/account/identities", get(identities::list)),
        ("/auth/account/identities/{id}", delete(identities::delete)),
        ("/auth/account/identities/{id}/delete", get(identities::ask).post(identities::submit)),
        ("/auth/account/security", get(security::show)),
        ("/auth/account/sessions", get(security::list)),
        ("/auth/account/sessions/{id}", delete(security::delete)),
        ("/auth/account/sessions/{id}/delete", post(security::submit)),
        ("/auth/account/factors", get(factors::list).post(factors::enroll)),
        ("/auth/account/factors/new", get(factors::new)),
        ("/auth/account/factors/{id}", delete(factors::delete)),
        ("/auth/account/factors/{id}/verify", post(factors::verify)),
        ("/auth/account/factors/{id}/delete", get(factors::ask).post(factors::submit)),
        ("/auth/logout", get(logout::show).post(logout::submit)),
        ("/auth/session", get(session::show)),
        ("/auth/refresh", post(session::refresh)),
        (token::PATH, post(token::grant)),
        ("/auth/openapi.json", get(openapi::show)),
        ("/auth/docs", get(docs::show)),
        ("/auth/docs/errors", get(docs::errors)),
        ("/auth/assets/{file}", get(pages::asset)),
        ("/auth", get(pages::home)),
        ("/auth/{*rest}", any(pages::nothing)),
    ];
    if hooks {
        paths.push(("/auth/hooks/revoke", post(hooks::revoke)));
    }
    paths.extend(supabase::paths());
    if forward_auth {
        paths.push(("/auth/verify", get(verify::by_headers)));
        paths.push(("/auth/verify/envoy/", any(verify::by_path)));
        paths.push(("/auth/verify/envoy/{*path}", any(verify::by_path)));
    }
    if demo {
        paths.push(("/", get(demo::show).post(demo::submit)));
    }
    paths
}
