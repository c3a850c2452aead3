//! `GET /auth/account`: who is signed in here.

use axum::response::Response;
use http::StatusCode;
use serde_json::Value;

use crate::web::error::Error;
use crate::web::proof;
use crate::web::views::{AccountNotice, AccountPage, Provider, SignInWay, Since};
use crate::web::visit::{Face, Visit};

/// The page; scripts get what `/auth/session` answers. Not before every step of the sign-in is done (S-32).
#[tracing::instrument(name = "account.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Result<Response, Error> {
    let app = visit.app();
    let current = proof::complete(&visit).await?;
    let claims = &current.claims;
    if visit.face() == Face::Json {
        let body = crate::web::api::session::describe(&visit, claims, Some(&current));
        return Ok(visit.json(StatusCode::OK, &body));
    }
    let own = claims.user_metadata();
    let name = ["full_name", "name"].iter().find_map(|key| own?.get(*key)?.as_str());
    let provider = claims.at("app_metadata.provider").and_then(Value::as_str).unwrap_or("email");
    let method = claims.amr.iter().map(|proof| proof.method.as_str()).find(|method| *method != "totp");
    let way = match method.unwrap_or("password") {
        _ if claims.is_anonymous => SignInWay::Anonymous,
        "oauth" => SignInWay::Provider(Provider::named(provider)),
        "otp" | "magiclink" | "email/signup" | "recovery" | "invite" => SignInWay::Mail,
        _ => SignInWay::Password,
    };
    let notice = visit.take_notice();
    let notice = notice.as_ref().and_then(|notice| match notice.key.as_str() {
        "confirm-done" => Some(AccountNotice::ConfirmDone),
        "confirm-changed" => Some(AccountNotice::EmailChanged { email: &notice.value }),
        "confirm-half" => Some(AccountNotice::EmailHalf),
        "confirm-elsewhere" => Some(AccountNotice::EmailElsewhere { email: &notice.value }),
        "reset-done" => Some(AccountNotice::ResetDone),
        _ => None,
    });
    let token = visit.form_token("logout");
    let home = app.flows.targets().default();
    let view = AccountPage {
        form_token: &token,
        name: name.filter(|name| !name.is_empty()),
        email: Some(claims.email.as_str()).filter(|email| !email.is_empty()),
        way,
        since: Since { at: current.session.created_at, now: app.clock.now() },
        home: home.as_str(),
        notice,
    };
    Ok(visit.page(StatusCode::OK, &view))
}
