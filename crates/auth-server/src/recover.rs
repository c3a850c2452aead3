//! Mails that somebody asks for: `/recover`, `/resend`, `/otp`, `/magiclink` (contract, sections 2.8 to 2.10).

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::account::{NewAccount, RedirectQuery, confirm};
use crate::address::Change;
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};
use crate::http::{Caller, Json, Params};
use crate::mail::MailKind;
use crate::mailing::Mailing;
use crate::pkce::Challenge;
use crate::token::present;
use crate::{App, email};

/// The members of all four bodies.
#[derive(Deserialize)]
pub(crate) struct MailBody {
    r#type: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    channel: Option<String>,
    create_user: Option<bool>,
    data: Option<Map<String, Value>>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

impl MailBody {
    fn challenge(&self) -> Answer<Option<Challenge>> {
        Challenge::read(self.code_challenge.as_deref(), self.code_challenge_method.as_deref())
    }
}

type Done = Answer<Body<Value>>;

/// `POST /recover`: silent about who has an account.
#[tracing::instrument(name = "recover", skip_all)]
pub(crate) async fn recover(
    State(app): State<App>,
    Params(query): Params<RedirectQuery>,
    Json(body): Json<MailBody>,
) -> Done {
    let challenge = body.challenge()?;
    let address =
        present(body.email).ok_or_else(|| ApiError::invalid("Password recovery requires an email"))?;
    let address = email::require(&address)?;
    let target = app.redirects.choose(query.redirect_to.as_deref());
    let mailing = Mailing::draw(&app, MailKind::Recovery, challenge, target);
    mail_if(&app, address, mailing, |_| true).await
}

/// `POST /resend`: only what is pending.
#[tracing::instrument(name = "resend", skip_all)]
pub(crate) async fn resend(
    State(app): State<App>,
    Params(query): Params<RedirectQuery>,
    Json(body): Json<MailBody>,
) -> Done {
    let challenge = body.challenge()?;
    let kind = body.r#type.as_deref().unwrap_or_default();
    let address = match (kind, present(body.email), present(body.phone)) {
        ("signup" | "email_change", Some(address), None) => email::require(&address)?,
        ("sms" | "phone_change", None, Some(_)) => return Err(phone_is_off()),
        ("signup" | "email_change" | "sms" | "phone_change", ..) => {
            return Err(ApiError::invalid("Type provided requires an email address, or a phone number"));
        }
        _ => return Err(ApiError::invalid("Missing or unsupported type of resend")),
    };
    let target = app.redirects.choose(query.redirect_to.as_deref());
    if kind == "email_change" {
        return change_again(&app, address, Change::draw(&app, challenge, target)).await;
    }
    let mailing = Mailing::draw(&app, MailKind::Signup, challenge, target);
    mail_if(&app, address, mailing, |user| user.email_confirmed_at.is_none()).await
}

/// Sends the mails of a change of address again, to whoever has `address` now and waits for such a change.
async fn change_again(app: &App, address: String, change: Change) -> Done {
    let now = app.clock.now();
    let (context, drawn) = (app.clone(), change.clone());
    let found = app.db.write(move |db| {
        let Some(mut user) = users::find_by_email(db, &address)? else { return Ok(None) };
        let Some(wanted) = user.new_email.clone() else { return Ok(None) };
        drawn.prepare(db, &context, &mut user, wanted, now)?;
        Ok::<_, ApiError>(Some(user))
    });
    if let Some(user) = found.await? {
        change.send(app, &user, now);
    }
    Ok(Body(json!({})))
}

/// `GET /reauthenticate`: digits for a change that asks for fresh proof.
#[tracing::instrument(name = "reauthenticate", skip_all)]
pub(crate) async fn reauthenticate(State(app): State<App>, caller: Caller) -> Done {
    let Some(address) = caller.user.email.clone() else {
        let text = "Reauthentication requires the user to have an email or a phone number";
        return Err(ApiError::invalid(text));
    };
    if caller.user.email_confirmed_at.is_none() {
        let (status, text) = (StatusCode::UNPROCESSABLE_ENTITY, "Please verify your email first.");
        return Err(ApiError::new(status, "email_not_confirmed", text));
    }
    let mailing = Mailing::draw(&app, MailKind::Reauthentication, None, String::new());
    mail_if(&app, address, mailing, |_| true).await
}

/// Sends a mail to whoever has this address and fits; says nothing about it.
async fn mail_if(app: &App, address: String, mailing: Mailing, fits: fn(&User) -> bool) -> Done {
    let now = app.clock.now();
    let (context, prepared, wanted) = (app.clone(), mailing.clone(), address.clone());
    let found = app.db.write(move |db| {
        let Some(mut user) = users::find_by_email(db, &wanted)?.filter(fits) else { return Ok(false) };
        prepared.prepare(db, &context, &mut user, now)?;
        Ok::<_, ApiError>(true)
    });
    if found.await? {
        mailing.send(app, address, now);
    }
    Ok(Body(json!({})))
}

/// `POST /otp`
#[tracing::instrument(name = "otp", skip_all)]
pub(crate) async fn otp(
    State(app): State<App>,
    Params(query): Params<RedirectQuery>,
    Json(body): Json<MailBody>,
) -> Done {
    match (present(body.email.clone()), present(body.phone.clone())) {
        (Some(_), None) if present(body.channel.clone()).is_some() => {
            Err(ApiError::invalid("Channel should only be specified with Phone OTP"))
        }
        (Some(address), None) => sign_in_by_mail(&app, &query, body, &address).await,
        (None, Some(_)) => Err(phone_is_off()),
        _ => Err(ApiError::invalid("One of email or phone must be set")),
    }
}

/// `POST /magiclink`: the old form of `/otp`.
#[tracing::instrument(name = "magiclink", skip_all)]
pub(crate) async fn magic_link(
    State(app): State<App>,
    Params(query): Params<RedirectQuery>,
    Json(body): Json<MailBody>,
) -> Done {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let missing = || ApiError::new(status, "validation_failed", "Magic link requires an email");
    let address = present(body.email.clone()).ok_or_else(missing)?;
    sign_in_by_mail(&app, &query, MailBody { create_user: None, ..body }, &address).await
}

/// A magic link for a confirmed person; for anybody else a sign-up without a password.
async fn sign_in_by_mail(app: &App, query: &RedirectQuery, body: MailBody, address: &str) -> Done {
    let challenge = body.challenge()?;
    let may_create = body.create_user.unwrap_or(true);
    let unprocessable =
        |code, text: &'static str| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, text);
    let closed = move || unprocessable("otp_disabled", "Signups not allowed for otp");
    let address = match email::require(address) {
        Err(_) if !may_create => return Err(closed()),
        address => address?,
    };
    let target = app.redirects.choose(query.redirect_to.as_deref());
    let (link, now) = (Mailing::draw(app, MailKind::Magiclink, challenge, target), app.clock.now());
    let (user, identity) = (app.entropy.uuid(), app.entropy.uuid());
    let data = body.data.unwrap_or_default();
    let new = NewAccount { id: user, identity, email: address.clone(), hash: None, data };
    let (context, drawn) = (app.clone(), link);
    let mailing = app.db.write(move |db| {
        let mut user = match users::find_by_email(db, &new.email)? {
            Some(user) => user,
            None if !may_create => return Err(closed()),
            None if !context.settings.sign_up => {
                return Err(unprocessable("signup_disabled", "Signups not allowed for this instance"));
            }
            None => {
                let mut user = new.build(&context, now);
                if !context.settings.confirm_email {
                    confirm(&mut user, now);
                    user.email_proven = false;
                }
                user
            }
        };
        let known = user.email_confirmed_at.is_some() || !context.settings.confirm_email;
        let mailing = drawn.of_kind(if known { MailKind::Magiclink } else { MailKind::Signup });
        mailing.prepare(db, &context, &mut user, now)?;
        Ok::<_, ApiError>(mailing)
    });
    mailing.await?.send(app, address, now);
    Ok(Body(json!({})))
}

fn phone_is_off() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "phone_provider_disabled", "Phone logins are disabled")
}
