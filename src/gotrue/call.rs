//! The endpoints that are called, and what is counted about the calls.

use http::Method;

use super::error::Error;

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident $word:literal $method:ident $path:literal $captcha:ident,)+) => {
        /// One kind of call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Endpoint { $($(#[$doc])* $name,)+ }

        impl Endpoint {
            const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word of the metric.
            const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            pub(super) fn method(self) -> Method {
                match self { $(Self::$name => Method::$method,)+ }
            }

            /// Below the base, with its query; `{id}` stands for a factor.
            pub(super) const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)+ }
            }

            pub(super) const fn captcha(self) -> Captcha {
                match self { $(Self::$name => Captcha::$captcha,)+ }
            }
        }
    };
}

/// Whether GoTrue may check a captcha on a call. Beside the secret key it would not (contract 1.7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Captcha {
    Checked,
    Never,
}

endpoints! {
    SignUp "signup" POST "signup" Checked,
    Password "token_password" POST "token?grant_type=password" Checked,
    Refresh "token_refresh" POST "token?grant_type=refresh_token" Never,
    Exchange "token_pkce" POST "token?grant_type=pkce" Never,
    IdToken "token_id_token" POST "token?grant_type=id_token" Checked,
    Verify "verify" POST "verify" Never,
    Resend "resend" POST "resend" Checked,
    Recover "recover" POST "recover" Checked,
    Otp "otp" POST "otp" Checked,
    User "user" GET "user" Never,
    Update "user_update" PUT "user" Never,
    Reauthenticate "reauthenticate" GET "reauthenticate" Never,
    Link "identity_link" GET "user/identities/authorize" Never,
    Unlink "identity_unlink" DELETE "user/identities" Never,
    Enroll "factors" POST "factors" Never,
    Challenge "factors_challenge" POST "factors/{id}/challenge" Never,
    VerifyFactor "factors_verify" POST "factors/{id}/verify" Never,
    Unenroll "factors_delete" DELETE "factors/{id}" Never,
    Logout "logout" POST "logout" Never,
    Settings "settings" GET "settings" Never,
}

/// How a call ended, as the metric names it.
const OUTCOMES: [&str; 6] = ["ok", "refused", "rate_limited", "unreachable", "server_error", "not_gotrue"];

/// Zero for every endpoint and outcome.
pub(super) fn counts() -> base::count::Counts {
    let endpoints = Endpoint::ALL.iter().map(|endpoint| endpoint.word()).collect();
    base::count::Counts::new([("endpoint", endpoints), ("outcome", OUTCOMES.to_vec())])
}

/// The number of the outcome of a call.
pub(super) fn outcome<T>(answer: &Result<T, Error>) -> usize {
    match answer {
        Ok(_) => 0,
        Err(Error::Refused { .. }) => 1,
        Err(Error::RateLimited { .. }) => 2,
        Err(Error::Unreachable(_)) => 3,
        Err(Error::Server { .. }) => 4,
        Err(Error::NotGoTrue { .. }) => 5,
    }
}
