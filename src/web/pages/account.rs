//! `GET /auth/account`: who is signed in here, and what of it can be changed.

use axum::response::Response;
use http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use crate::session::Current;
use crate::token::{Claims, ClaimsSet};
use crate::web::error::Error;
use crate::web::forms::Notice;
use crate::web::proof;
use crate::web::views::{AccountForm, AccountNotice, AccountPage};
use crate::web::visit::{Face, Visit};

/// Where the page is.
pub(super) const PATH: &str = "/auth/account";

/// The page; scripts get what `/auth/session` answers. Not before every step of the sign-in is done (S-32).
#[tracing::instrument(name = "account.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Result<Response, Error> {
    let app = visit.app();
    let mut current = proof::complete(&visit).await?;
    if visit.face() == Face::Json {
        let set = current.claims.set();
        let body = crate::web::api::session::describe(&visit, &current.claims, &set, Some(&current));
        return Ok(visit.json(StatusCode::OK, &body));
    }
    let left = visit.take_notice();
    let changed = left.as_ref().filter(|notice| notice.key == "email-changed");
    let changed = changed.and_then(|notice| for_person(notice, current.session.user_id));
    if changed.is_some() {
        current = caught_up(&visit).await?;
    }
    let (claims, set) = (&current.claims, current.claims.set());
    let awaited = app.flows.awaited_address(visit.slot(), &current);
    let notice = match (&left, changed) {
        (_, Some(email)) => Some(AccountNotice::EmailChanged { email }),
        (Some(notice), None) => notice_of(notice),
        (None, None) => None,
    };
    let home = app.flows.targets().default();
    let view = AccountPage {
        name: name_of(&set),
        email: Some(claims.email.as_str()).filter(|email| !email.is_empty()),
        awaited: awaited.as_deref(),
        password: has_password(claims, &set),
        anonymous: claims.is_anonymous,
        home: home.as_str(),
        notice,
    };
    Ok(visit.page(StatusCode::OK, &view))
}

fn notice_of(notice: &Notice) -> Option<AccountNotice<'_>> {
    let email = notice.value.as_str();
    Some(match notice.key.as_str() {
        "confirm-done" => AccountNotice::ConfirmDone,
        "confirm-changed" => AccountNotice::EmailChanged { email },
        "confirm-half" => AccountNotice::EmailHalf,
        "confirm-elsewhere" => AccountNotice::EmailElsewhere { email },
        "reset-done" => AccountNotice::ResetDone,
        "account-name-done" => AccountNotice::NameDone,
        "account-password-done" => AccountNotice::PasswordDone,
        "account-email-sent" => AccountNotice::EmailSent { email },
        "account-email-expired" => AccountNotice::EmailExpired,
        "upgrade-done" => AccountNotice::Upgraded,
        _ => return None,
    })
}

/// The value of `notice`, if it was left for `person`: somebody else may have signed in meanwhile.
pub(super) fn for_person(notice: &Notice, person: Uuid) -> Option<&str> {
    let (value, whose) = notice.value.rsplit_once(' ')?;
    (whose.parse() == Ok(person)).then_some(value)
}

/// The session with tokens that know of a change which a flow has made at GoTrue.
pub(super) async fn caught_up(visit: &Visit) -> Result<Current, Error> {
    visit.app().sessions.catch_up(visit.slot()).await;
    proof::complete(visit).await
}

/// As people called themselves, or as a provider does.
pub(super) fn name_of(claims: &ClaimsSet) -> Option<&str> {
    let own = claims.user_metadata();
    let name = ["full_name", "name"].iter().find_map(|key| own?.get(*key)?.as_str());
    name.filter(|name| !name.is_empty())
}

/// Whether there is a password, as far as the token tells: an account that began with an address has one, and so has
/// whoever just typed it.
fn has_password(claims: &Claims, set: &ClaimsSet) -> bool {
    let ways = set.at("app_metadata.providers").and_then(Value::as_array);
    ways.into_iter().flatten().any(|way| way == "email") || claims.amr.iter().any(|p| p.method == "password")
}

/// The page of one of the forms below the account.
pub(super) fn form(visit: &Visit, status: StatusCode, current: &Current, shown: AccountForm<'_>) -> Response {
    let app = visit.app();
    let token = visit.form_token(shown.kind.purpose());
    let view = AccountForm {
        form_token: &token,
        email: &current.claims.email,
        min_length: u32::try_from(app.flows.passwords().min_length).unwrap_or(u32::MAX),
        ..shown
    };
    visit.page(status, &view)
}
