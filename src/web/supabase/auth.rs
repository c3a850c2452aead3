//! `auth/v1` below the mount: a closed list of calls, each read into a struct of its own, run through our flows and
//! answered in GoTrue's shape (S-53).

mod answer;
mod authorize;
mod challenge;
mod factors;
mod identities;
mod mail;
mod project;
pub(in crate::web) mod refusal;
mod sign_out;
mod sign_up;
mod token;
mod user;

use axum::routing::{MethodRouter, any, delete, get, post};
use http::HeaderMap;

use super::super::error::{Code, Error};
use super::super::guard::{self, Caller};
use super::super::state::AppState;
use super::super::visit::Visit;
use crate::session::{Current, Limited};

/// The closed list. What is not on it, be it the method alone, is not there.
pub(super) fn paths() -> Vec<(&'static str, MethodRouter<AppState>)> {
    let listed = [
        ("/supabase/auth/v1/token", post(token::grant)),
        ("/supabase/auth/v1/signup", post(sign_up::submit)),
        ("/supabase/auth/v1/otp", post(mail::otp)),
        ("/supabase/auth/v1/recover", post(mail::recover)),
        ("/supabase/auth/v1/resend", post(mail::resend)),
        ("/supabase/auth/v1/verify", post(mail::verify)),
        ("/supabase/auth/v1/sso", post(project::sso)),
        ("/supabase/auth/v1/authorize", get(authorize::off)),
        ("/supabase/auth/v1/factors", post(factors::enroll)),
        ("/supabase/auth/v1/factors/{id}", delete(factors::delete)),
        ("/supabase/auth/v1/factors/{id}/challenge", post(factors::challenge)),
        ("/supabase/auth/v1/factors/{id}/verify", post(factors::verify)),
        ("/supabase/auth/v1/user/identities/authorize", get(identities::authorize)),
        ("/supabase/auth/v1/user/identities/{id}", delete(identities::delete)),
        ("/supabase/auth/v1/user", get(user::show).put(user::change)),
        ("/supabase/auth/v1/reauthenticate", get(user::reauthenticate)),
        ("/supabase/auth/v1/logout", post(sign_out::submit)),
        ("/supabase/auth/v1/settings", get(project::settings)),
        ("/supabase/auth/v1/health", get(project::health)),
        ("/supabase/auth/v1/.well-known/jwks.json", get(project::keys)),
    ];
    let rest = ["/supabase/auth/v1", "/supabase/auth/v1/", "/supabase/auth/v1/{*rest}"];
    let rest = rest.into_iter().map(|path| (path, any(nothing)));
    listed.into_iter().map(|(path, methods)| (path, methods.fallback(nothing))).chain(rest).collect()
}

async fn nothing(visit: Visit) -> Error {
    let path = visit.target().split('?').next().unwrap_or_default();
    let off = ["passkeys", "web3"].iter().any(|feature| path.split('/').any(|part| part == *feature));
    if off { Code::FeatureDisabled.into() } else { Code::NotFound.into() }
}

/// The session that a call acts for: that of the cookie, if the bearer does not mean somebody else.
///
/// # Errors
///
/// As [`guard::caller`], and 401 without a session.
async fn asking(visit: &Visit, headers: &HeaderMap) -> Result<Current, Error> {
    match guard::caller(visit, headers, false).await? {
        Caller::Session(current) => Ok(current),
        Caller::Nobody | Caller::Bearer { .. } => Err(guard::missing(visit)),
    }
}

/// The same, with no step of its sign-in missing (S-32).
///
/// # Errors
///
/// As [`asking`]; GoTrue's `insufficient_aal` where the second factor is missing.
async fn complete(visit: &Visit, headers: &HeaderMap) -> Result<Current, Error> {
    let current = asking(visit, headers).await?;
    match current.session.limited {
        None => Ok(current),
        Some(limited) => Err(limited_to(limited)),
    }
}

fn limited_to(limited: Limited) -> Error {
    match limited {
        Limited::Mfa | Limited::MfaThenRecovery => {
            Error::from(Code::SessionLimited).told(401, "insufficient_aal")
        }
        Limited::Recovery => Code::SessionLimited.into(),
    }
}
