//! Every refusal: a status, a code that never changes, a sentence with the fix. One table.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::proof;
use super::views::LinkKind;
use crate::event::Reason;
use crate::flow::{Failure, Problem};
use crate::session;
use crate::token;

macro_rules! codes {
    ($($name:ident $word:literal $status:literal $title:literal $fix:literal,)+) => {
        /// The closed list of codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the table below says what each code means")]
        pub enum Code { $($name,)+ }

        impl Code {
            /// Every code, in the order of their statuses.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word that clients match on.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The status it is sent with.
            pub fn status(self) -> StatusCode {
                let number = match self { $(Self::$name => $status,)+ };
                StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// What happened.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What to do about it.
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$name => $fix,)+ }
            }
        }
    };
}

codes! {
    BadRequest "bad_request" 400 "The request cannot be read." "Send the fields and types that the API description lists.",
    BadPath "bad_path" 400 "The path has an ambiguous form." "Send a path without dot segments, empty segments or encoded separators.",
    DuplicateParameter "duplicate_parameter" 400 "A parameter occurs twice." "Send each parameter once.",
    AmbiguousCredentials "ambiguous_credentials" 400 "The request carries two identities." "Send the session cookie or one bearer token in Authorization, never both.",
    CaptchaFailed "captcha_failed" 400 "The project asks for a captcha." "Send captcha_token from the project's captcha provider.",
    PasswordTooLong "password_too_long" 400 "The password is longer than can be stored." "Use at most the number of bytes in password.max_bytes.",
    SessionMissing "session_missing" 401 "Nobody is signed in." "Sign in at login_url.",
    SessionExpired "session_expired" 401 "The session has run out." "Sign in at login_url.",
    SessionEnded "session_ended" 401 "The session has ended." "Sign in at login_url.",
    SessionChanged "session_changed" 401 "Somebody else is signed in by now." "Load the page again: it shows who is here.",
    InvalidToken "invalid_token" 401 "The bearer token is not valid here." "Send an access token of this project that has not expired.",
    InvalidCredentials "invalid_credentials" 401 "E-mail or password is not right." "Check both, or use another way to sign in.",
    HookRefused "hook_refused" 401 "The hook call is not accepted." "Sign each call anew with a secret of BFF_HOOKS_SECRETS, by a clock that is right.",
    StepUp "insufficient_user_authentication" 401 "This needs a stronger or fresher sign-in." "Sign in again at login_url, with the second factor if acr_values asks for it.",
    CrossOrigin "cross_origin" 403 "The request comes from another origin." "Send it from a page of this site, or list the origin in cors.origins.",
    CsrfHeader "csrf_header" 403 "The header X-CSRF is missing." "Send X-CSRF: 1 with every request that is no navigation.",
    CsrfForm "csrf_form" 403 "The form is no longer valid." "Load the page again and send its new form.",
    FetchContext "fetch_context" 403 "This address cannot be loaded in this way." "Read it with fetch from a page of this site.",
    Forbidden "forbidden" 403 "This account may not do this." "Use another account, or ask for the role that the rule names.",
    InsufficientScope "insufficient_scope" 403 "A permission is missing." "Ask for the scopes that WWW-Authenticate lists.",
    SessionLimited "session_limited" 403 "A step of the sign-in is missing." "Complete the step that limited names in GET /auth/session.",
    AnonymousNotAllowed "anonymous_not_allowed" 403 "This needs a full account." "Sign up or sign in.",
    EmailNotConfirmed "email_not_confirmed" 403 "The e-mail address is not confirmed." "Open the link in the confirmation mail.",
    ProxyNotTrusted "proxy_not_trusted" 403 "The proxy that asks is not trusted, or leaves out what it asks about." "List its address in trusted_proxies, and have it send each header of forward_auth.family once.",
    BrowserClient "browser_client" 403 "This address is for programs." "Send no Origin, Sec-Fetch-Site or Cookie; a page signs in at /auth/login.",
    PlainHttp "plain_http" 403 "This site answers over https only." "Use https.",
    FactorUnknown "factor_unknown" 404 "There is no such authenticator app." "Use an id that GET /auth/mfa lists, or add an app to the account first.",
    NotFound "not_found" 404 "There is nothing here." "Check the address; every path needs a rule in bff.toml.",
    ProviderUnknown "provider_unknown" 404 "This provider is not offered." "Use one that the login page shows.",
    FeatureDisabled "feature_disabled" 404 "This feature is switched off." "Enable it in the project or in bff.toml, or use another way.",
    MethodNotAllowed "method_not_allowed" 405 "This address does not take this method." "Use a method that Allow lists.",
    SessionOpen "session_open" 409 "Somebody is signed in here." "Ask the person; then send \"switch\": true, or sign out first.",
    LinkExpired "link_expired" 410 "The link is used or too old." "Have a new mail sent.",
    BodyTooLarge "body_too_large" 413 "The body is too large." "Send less at once.",
    UriTooLong "uri_too_long" 414 "The address is too long." "Send less than 8 KiB.",
    UnsupportedMediaType "unsupported_media_type" 415 "The content type is not taken here." "Send application/json, or a form from one of our pages.",
    UnknownHost "unknown_host" 421 "This host is not served here." "Use the public URL, or add the host to public_url.",
    SamePassword "same_password" 422 "The new password is the present one." "Choose another one.",
    LastIdentity "last_identity" 422 "The account cannot do without this way to sign in." "Link another one first.",
    WeakPassword "weak_password" 422 "The password is easy to guess." "Use a longer one that is no common word.",
    EmailInvalid "email_invalid" 422 "This is not an e-mail address." "Send an address such as name@example.com.",
    CodeWrong "code_wrong" 422 "The code is wrong, used or too old." "Use the newest mail, or the next code of the app.",
    FactorNameTaken "factor_name_taken" 422 "There is an authenticator app of this name." "Choose another name.",
    FactorsFull "factors_full" 422 "The account has as many authenticator apps as it may." "Remove one first.",
    SignupClosed "signup_closed" 422 "New accounts cannot be made here." "Sign in with an account, or use an invitation.",
    RateLimited "rate_limited" 429 "There were many requests in a short time." "Wait for the seconds in Retry-After.",
    HeadersTooLarge "headers_too_large" 431 "The headers are too large." "Send fewer or smaller cookies and headers.",
    Internal "internal" 500 "A fault on our side." "Try again; quote the request id if it stays.",
    SessionTooLarge "session_too_large" 500 "The session does not fit into its cookies." "Move data out of user_metadata and app_metadata.",
    UpstreamFailed "upstream_failed" 502 "The service behind this path does not answer." "Try again after the seconds in Retry-After.",
    AuthUnavailable "auth_unavailable" 503 "Signing in does not work right now; sessions are kept." "Try again after the seconds in Retry-After.",
    StoreUnavailable "store_unavailable" 503 "Sessions cannot be read or written right now; they are kept." "Try again after the seconds in Retry-After.",
    KeysUnavailable "keys_unavailable" 503 "Tokens cannot be verified right now; sessions are kept." "Try again after the seconds in Retry-After.",
    Overloaded "overloaded" 503 "Too many requests at once." "Try again after the seconds in Retry-After.",
    UpstreamTimeout "upstream_timeout" 504 "The service behind this path is too slow." "Try again after the seconds in Retry-After.",
}

/// A refusal on its way out. [`IntoResponse`](axum::response::IntoResponse) leaves it in the response's extensions;
/// the outermost layers dress it for the caller and log its cause.
#[derive(Debug, Clone)]
pub struct Error {
    /// Which of the closed list.
    pub code: Code,
    /// Why the session ended.
    pub reason: Option<Reason>,
    /// For `Retry-After`.
    pub retry_after: Option<Duration>,
    /// `WWW-Authenticate`, beyond the plain challenge of a 401.
    pub challenge: Option<HeaderValue>,
    /// For `Allow`.
    pub allow: Option<HeaderValue>,
    /// A field of a form at fault.
    pub field: Option<&'static str>,
    /// What a link that is over was for: the page offers another, or says where one comes from.
    pub link: Option<LinkKind>,
    /// With [`Code::StepUp`]: a second factor is asked for, not just a fresh proof.
    pub second_factor: bool,
    /// Status and code towards a client that speaks with GoTrue, where they are not those of the table.
    pub told: Option<(u16, &'static str)>,
    /// For the log alone.
    pub cause: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What the listener saw wrong with a request's head, in its extensions: what is handed on of the head no longer shows
/// it. The request is refused before anything else is read of it.
#[derive(Debug, Clone, Copy)]
pub struct Flaw(pub Code);

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Self {
            code,
            reason: None,
            retry_after: None,
            challenge: None,
            allow: None,
            field: None,
            link: None,
            second_factor: false,
            told: None,
            cause: None,
        }
    }
}

impl Error {
    /// `code`, to be tried again after `retry_after`.
    pub fn later(code: Code, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after.max(Duration::from_secs(1))), ..code.into() }
    }

    pub(super) fn because(self, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self { cause: Some(Arc::new(cause)), ..self }
    }

    /// Whether it says that nobody is signed in, or no longer.
    pub(super) fn signs_out(&self) -> bool {
        matches!(self.code, Code::SessionMissing | Code::SessionExpired | Code::SessionEnded)
    }

    /// `code` for the field called `field`.
    pub fn field(code: Code, field: &'static str) -> Self {
        Self { field: Some(field), ..code.into() }
    }

    /// The body of `application/problem+json` (RFC 9457).
    pub fn problem(&self, request_id: &str, login_url: &str) -> Value {
        let mut body = json!({
            "type": format!("/auth/docs/errors#{}", self.code.as_str()),
            "title": self.code.title(),
            "status": self.code.status().as_u16(),
            "code": self.code.as_str(),
            "detail": self.code.fix(),
            "request_id": request_id,
        });
        if self.code.status() == StatusCode::UNAUTHORIZED {
            body["login_url"] = login_url.into();
        }
        if let Some(reason) = self.reason {
            body["reason"] = reason.as_str().into();
        }
        if let Some(wait) = self.retry_after {
            body["retry_after"] = wait.as_secs().into();
        }
        if let Some(field) = self.field {
            body["errors"] = json!([{ "field": field, "code": self.code.as_str() }]);
        }
        body
    }

    /// The one body for all clients below the mount, which look for different members.
    pub fn supabase(&self, request_id: &str, login_url: &str) -> Value {
        let status = self.code.status();
        let hint = if status == StatusCode::UNAUTHORIZED {
            format!("Sign in at {login_url}")
        } else {
            self.code.fix().to_owned()
        };
        json!({
            "code": self.code.as_str(),
            "message": self.code.title(),
            "details": null,
            "hint": hint,
            "error": status.canonical_reason().unwrap_or_default(),
            "statusCode": status.as_u16().to_string(),
            "request_id": request_id,
        })
    }

    /// The headers that go with it, whatever the body.
    pub fn headers(&self, headers: &mut HeaderMap, most_wait: Option<Duration>) {
        if let Some(wait) = self.retry_after {
            let wait = most_wait.map_or(wait, |most| wait.min(most));
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if let Some(challenge) = &self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge.clone());
        } else if self.code.status() == StatusCode::UNAUTHORIZED {
            let plain = r#"Bearer realm="supabase-bff""#;
            let bad = r#"Bearer realm="supabase-bff", error="invalid_token""#;
            let value = if self.code == Code::InvalidToken { bad } else { plain };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        if let Some(allow) = &self.allow {
            headers.insert(header::ALLOW, allow.clone());
        }
        if let Some(reason) = self.reason {
            headers.insert("x-session-ended", HeaderValue::from_static(reason.as_str()));
        }
    }
}

impl axum::response::IntoResponse for Error {
    fn into_response(self) -> axum::response::Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<session::Error> for Error {
    fn from(error: session::Error) -> Self {
        match &error {
            session::Error::Missing => Code::SessionMissing.into(),
            session::Error::Ended(reason) => {
                let expired = matches!(reason, Reason::Idle | Reason::Absolute);
                let code = if expired { Code::SessionExpired } else { Code::SessionEnded };
                Self { reason: Some(*reason), ..code.into() }
            }
            session::Error::Unavailable { retry_after } => Self::later(Code::AuthUnavailable, *retry_after),
            session::Error::StoreUnavailable { retry_after } => {
                Self::later(Code::StoreUnavailable, *retry_after)
            }
            session::Error::KeysUnavailable { retry_after } => {
                Self::later(Code::KeysUnavailable, *retry_after)
            }
            session::Error::Unverified(_) => Self::later(Code::AuthUnavailable, Duration::from_secs(10)),
            session::Error::StepMissing => Code::SessionLimited.into(),
            session::Error::TooLarge => Code::SessionTooLarge.into(),
        }
        .because(error)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::InvalidCredentials => Code::InvalidCredentials.into(),
            Problem::EmailNotConfirmed => Code::EmailNotConfirmed.into(),
            Problem::EmailInvalid => Self::field(Code::EmailInvalid, "email"),
            Problem::Required(field) => Self::field(Code::BadRequest, field),
            Problem::WeakPassword => Self::field(Code::WeakPassword, "password"),
            Problem::PasswordTooLong => Self::field(Code::PasswordTooLong, "password"),
            Problem::SamePassword => Self::field(Code::SamePassword, "password"),
            Problem::SignupClosed => Code::SignupClosed.into(),
            Problem::CodeWrong => Self::field(Code::CodeWrong, "code"),
            Problem::LinkExpired => Code::LinkExpired.into(),
            Problem::CaptchaFailed => Code::CaptchaFailed.into(),
            Problem::CurrentPassword => Self::field(Code::InvalidCredentials, "current_password"),
            Problem::SameEmail => Self::field(Code::EmailInvalid, "email"),
            Problem::NameTooLong => Self::field(Code::BadRequest, "name"),
            Problem::LastIdentity => Code::LastIdentity.into(),
            Problem::UnknownFactor => Code::FactorUnknown.into(),
            Problem::AppNameTaken => Self::field(Code::FactorNameTaken, "name"),
            Problem::AppsFull => Code::FactorsFull.into(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let dressed = match &failure {
            Failure::Form(problem) => Self::from(*problem),
            Failure::Limited { retry_after } => Self::later(Code::RateLimited, *retry_after),
            Failure::Unavailable(_) | Failure::Refused(_) => {
                Self::later(Code::AuthUnavailable, Duration::from_secs(10))
            }
            Failure::Disabled => Code::FeatureDisabled.into(),
            Failure::StepUp => proof::step_up(true, None),
            Failure::Anonymous => Code::AnonymousNotAllowed.into(),
            Failure::UnknownProvider => Code::ProviderUnknown.into(),
            Failure::Session(_) => {
                let Failure::Session(error) = failure else { return Code::Internal.into() };
                return error.into();
            }
        };
        dressed.because(failure)
    }
}

impl From<token::Refusal> for Error {
    fn from(refusal: token::Refusal) -> Self {
        match refusal {
            token::Refusal::Invalid(invalid) => Self::from(Code::InvalidToken).because(invalid),
            token::Refusal::KeysUnavailable { retry_after } => {
                Self::later(Code::KeysUnavailable, retry_after)
            }
        }
    }
}
