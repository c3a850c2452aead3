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
mod routes;
pub mod state;
pub mod templates;
pub mod views;
mod visit;

use axum::Router;
use axum::routing::{get, post};

pub use layers::Site;
pub use state::{AppState, Cors, Parts};
pub use visit::Visit;

use api::session;
use pages::{account, bounce, callback, confirm, demo, login, logout, otp, signup, start};

/// The public port: everything of ours under `/auth`, the mount and the routes of `bff.toml` everywhere else.
pub fn site(app: &AppState) -> Site {
    let mut router = Router::new()
        .route("/auth/login", get(login::show).post(login::submit))
        .route("/auth/signup", get(signup::show).post(signup::submit))
        .route("/auth/otp", get(otp::show).post(otp::submit))
        .route("/auth/confirm", get(confirm::show).post(confirm::submit))
        .route("/auth/start/{provider}", get(start::off))
        .route("/auth/callback/{flow}", get(callback::back))
        .route("/auth/continue", get(bounce::show))
        .route("/auth/account", get(account::show))
        .route("/auth/logout", get(logout::show).post(logout::submit))
        .route("/auth/session", get(session::show))
        .route("/auth/refresh", post(session::refresh))
        .route("/auth/assets/{file}", get(pages::asset))
        .route("/auth", get(pages::home))
        .route("/auth/{*rest}", axum::routing::any(pages::nothing));
    if app.demo {
        router = router.route("/", get(demo::show).post(demo::submit));
    }
    let router = router.fallback(routes::forward).method_not_allowed_fallback(pages::wrong_method);
    Site::new(app, router)
}
