//! The route table, once at the root and once under `/auth/v1`, and what every request passes through.

mod extract;
mod layers;
mod rest;

use axum::Router;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

pub(crate) use extract::{Caller, Form, Json, Params, bearer};
pub(crate) use layers::Calls;

use crate::error::ApiError;
use crate::limit::Bucket;
use crate::{
    App, account, admin, authorize, documents, factors, identities, off, one_time, pages, recover, token,
    update,
};

/// Everything the server answers to.
pub(crate) fn router(app: &App) -> Router {
    let limited = |bucket| from_fn_with_state((app.clone(), bucket), layers::limit);
    let mut sign_up = post(account::sign_up).layer(limited(Bucket::SignUp));
    if app.settings.confirm_email {
        sign_up = sign_up.layer(from_fn(layers::even)); // otherwise the answer itself tells (S-71)
    }
    let api = Router::new()
        .route("/signup", sign_up)
        .route("/token", post(token::grant).layer(limited(Bucket::Token)))
        .route("/authorize", get(authorize::begin))
        .route("/callback", get(authorize::back).post(authorize::back_by_form))
        .route("/verify", get(one_time::open_link).post(one_time::redeem).layer(limited(Bucket::Verify)))
        .route(
            "/recover",
            post(recover::recover).layer(limited(Bucket::Recover)).layer(from_fn(layers::even)),
        )
        .route("/resend", post(recover::resend).layer(limited(Bucket::Resend)).layer(from_fn(layers::even)))
        .route("/otp", post(recover::otp).layer(limited(Bucket::Otp)).layer(from_fn(layers::even)))
        .route(
            "/magiclink",
            post(recover::magic_link).layer(limited(Bucket::MagicLink)).layer(from_fn(layers::even)),
        )
        .route("/reauthenticate", get(recover::reauthenticate).layer(limited(Bucket::Reauthenticate)))
        .route("/user", get(account::user).merge(put(update::update).layer(limited(Bucket::Update))))
        .route("/user/identities/authorize", get(authorize::begin_linking))
        .route("/user/identities/{id}", delete(identities::unlink))
        .route("/factors", post(factors::enroll))
        .route("/factors/{id}", delete(factors::unenroll))
        .route("/factors/{id}/challenge", post(factors::challenge).layer(limited(Bucket::Challenge)))
        .route("/factors/{id}/verify", post(factors::verify).layer(limited(Bucket::Factor)))
        .route("/logout", post(account::log_out))
        .route("/settings", get(documents::settings))
        .route("/health", get(documents::health))
        .route("/.well-known/jwks.json", get(documents::key_set))
        .route("/admin/users", get(admin::list).post(admin::create))
        .route("/admin/users/{id}", get(admin::read).put(admin::change).delete(admin::delete))
        .route("/admin/users/{id}/factors", get(admin::factors))
        .route("/admin/users/{id}/factors/{factor}", put(admin::change_factor).delete(admin::delete_factor))
        .route("/admin/generate_link", post(admin::generate))
        .route("/invite", post(admin::invite));
    let pages = Router::new()
        .route("/pretend/{provider}", get(pages::chooser).post(pages::choose))
        .route("/outbox", get(pages::outbox))
        .route("/outbox.json", get(pages::outbox_list))
        .route("/assets/{name}", get(pages::asset));
    let all = api.merge(off::routes()).merge(pages);
    let inner = Router::new()
        .nest("/auth/v1", all.clone())
        .merge(all)
        .fallback(|| async { (StatusCode::NOT_FOUND, "404 page not found\n") })
        .layer(from_fn_with_state(app.clone(), layers::count))
        .layer(from_fn(rest::drain))
        .layer(from_fn(layers::deadline))
        .layer(CatchPanicLayer::custom(|_| {
            use axum::response::IntoResponse;
            ApiError::internal("a handler panicked").into_response()
        }))
        .layer(from_fn_with_state(app.clone(), layers::host))
        .layer(from_fn_with_state(app.clone(), layers::finish))
        .layer(cors(app))
        .with_state(app.clone());
    // Around the routes, not inside of them: the method has to change before one is chosen.
    Router::new().fallback_service(inner).layer(from_fn(layers::methods))
}

/// Other origins than the site's may not read answers (contract 10.3, 1).
fn cors(app: &App) -> CorsLayer {
    let origin = HeaderValue::from_str(&app.redirects.site_origin()).ok();
    let names = ["apikey", "x-client-info", "x-supabase-api-version", "x-request-id"];
    let own = names.map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origin))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(own.into_iter().chain([ACCEPT, AUTHORIZATION, CONTENT_TYPE]).collect::<Vec<_>>())
        .expose_headers(["x-total-count", "link", "x-supabase-api-version"].map(HeaderName::from_static))
}
