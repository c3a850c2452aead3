//! What each path of ours is for, in one table. A test compares it with the routes.

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Everybody.
    Everybody,
    /// Whoever has a session.
    Session,
    /// Whoever has a session or a bearer token; nobody is told so.
    Anyone,
    /// Programs, and no browser.
    Program,
    /// A listed proxy.
    Proxy,
    /// The project, by a signature.
    Hook,
}

impl Who {
    /// The word of the page's texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::Session => "session",
            Self::Anyone => "anyone",
            Self::Program => "program",
            Self::Proxy => "proxy",
            Self::Hook => "hook",
        }
    }
}

/// What an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// JSON of one of these schemas.
    Json(&'static [&'static str]),
    /// A page for people.
    Page,
    /// The way on, in `Location`.
    Location,
    /// A file.
    File,
    /// What a service of the project answers, with its own status.
    Service,
    /// Headers alone.
    Nothing,
}

/// When there is such a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Always.
    Always,
    /// With `BFF_HOOKS_SECRETS`.
    Hooks,
    /// With `forward_auth.enabled`.
    ForwardAuth,
    /// With the demo.
    Demo,
    /// With this one among `supabase.services`.
    Service(&'static str),
}

/// One method of one path.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// `ANY`: each of them.
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: &'static str,
    /// A sentence without its full stop.
    pub summary: &'static str,
    /// Who may ask.
    pub who: Who,
    /// The schema of the body: JSON, or a form with `form_token` and fields of the same names.
    pub takes: Option<&'static str>,
    /// Parameters of the query.
    pub query: &'static [&'static str],
    /// Answers that are no refusals.
    pub answers: &'static [(u16, Holds)],
    /// Codes of its own, beside those of every path.
    pub refuses: &'static [&'static str],
    /// When there is such a path.
    pub given: Given,
}

pub(super) const fn of(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation {
        method,
        path,
        summary,
        who: Who::Everybody,
        takes: None,
        query: &[],
        answers: &[],
        refuses: &[],
        given: Given::Always,
    }
}

/// A page for people; scripts get a redirect or the same page.
const fn page(path: &'static str, summary: &'static str) -> Operation {
    of("GET", path, summary).answers(&[(200, Page)])
}

/// A form of a page, which is a JSON endpoint as well.
const fn form(path: &'static str, summary: &'static str, takes: &'static str) -> Operation {
    Operation { takes: Some(takes), ..of("POST", path, summary) }
}

/// The same without JavaScript: a form with a token and nothing else.
const fn button(path: &'static str, summary: &'static str) -> Operation {
    form(path, summary, "FormToken").who(Who::Session).answers(&[(303, Location)])
}

impl Operation {
    pub(super) const fn who(self, who: Who) -> Self {
        Self { who, ..self }
    }

    pub(super) const fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    pub(super) const fn answers(self, answers: &'static [(u16, Holds)]) -> Self {
        Self { answers, ..self }
    }

    pub(super) const fn refuses(self, refuses: &'static [&'static str]) -> Self {
        Self { refuses, ..self }
    }

    pub(super) const fn given(self, given: Given) -> Self {
        Self { given, ..self }
    }
}

use Holds::{File, Json, Location, Nothing, Page};

const SIGNED_IN: &[&str] = &["SignedIn"];
const STATUS: &[&str] = &["Status"];

/// Every operation outside the mount, in the order in which a reader needs them.
pub const OPERATIONS: &[Operation] = &[
    of("GET", "/auth/session", "Who is signed in; never a token")
        .who(Who::Anyone)
        .answers(&[(200, Json(&["Session", "NoSession"]))])
        .refuses(&["invalid_token", "ambiguous_credentials"]),
    of("POST", "/auth/refresh", "Renew the session now").who(Who::Session).answers(&[(204, Nothing)]),
    page("/auth/login", "The sign-in page").query(&["return_to", "prompt"]),
    form("/auth/login", "Sign in with address and password", "Login")
        .answers(&[(200, Json(SIGNED_IN)), (303, Location)])
        .refuses(&["invalid_credentials", "email_not_confirmed", "captcha_failed", "rate_limited"]),
    page("/auth/signup", "The page for a new account").query(&["return_to"]),
    form("/auth/signup", "Make an account, or begin without one", "Signup")
        .answers(&[(200, Json(&["SignedIn", "Status"])), (303, Location)])
        .refuses(&["email_invalid", "weak_password", "signup_closed", "feature_disabled", "rate_limited"]),
    of("GET", "/auth/start/{provider}", "Off to a provider")
        .query(&["return_to", "intent"])
        .answers(&[(200, Page), (303, Location)])
        .refuses(&["provider_unknown"]),
    of("POST", "/auth/start/{provider}", "Begin to link a provider to the account")
        .who(Who::Session)
        .answers(&[(200, Json(&["Continue"])), (303, Location)])
        .refuses(&["insufficient_user_authentication", "provider_unknown"]),
    of("GET", "/auth/callback/{flow}", "Back from a provider, with a code")
        .query(&["code", "error", "error_code"])
        .answers(&[(303, Location)]),
    page("/auth/continue", "Goes on to a page of this site").query(&["return_to"]),
    page("/auth/recover", "The page for a forgotten password").query(&["return_to"]),
    form("/auth/recover", "Have a mail sent that leads to a new password", "Recover")
        .answers(&[(200, Json(STATUS)), (303, Location)])
        .refuses(&["email_invalid", "rate_limited"]),
    page("/auth/reset", "The page for a new password after such a mail").who(Who::Session),
    form("/auth/reset", "Set a new password after such a mail", "NewPassword")
        .who(Who::Session)
        .answers(&[(200, Json(STATUS)), (303, Location)])
        .refuses(&["weak_password", "same_password", "password_too_long"]),
    page("/auth/otp", "The page for a code from a mail").query(&["return_to", "email"]),
    form("/auth/otp", "Have a code mailed, or sign in with it", "Otp")
        .answers(&[(200, Json(&["SignedIn", "Status"])), (303, Location)])
        .refuses(&["email_invalid", "code_wrong", "rate_limited"]),
    page("/auth/confirm", "Where the link of a mail lands").query(&["token_hash", "type", "next"]),
    form("/auth/confirm", "Redeem the link or the code of a mail", "Confirm")
        .answers(&[(200, Json(&["SignedIn", "Status"])), (303, Location)])
        .refuses(&["link_expired", "code_wrong", "session_open", "rate_limited"]),
    of("GET", "/auth/mfa", "The page for the second step; the apps as JSON")
        .who(Who::Session)
        .query(&["return_to"])
        .answers(&[(200, Json(&["Factors"])), (303, Location)]),
    form("/auth/mfa", "Complete the second step with the code of an app", "Mfa")
        .who(Who::Session)
        .answers(&[(200, Json(SIGNED_IN)), (303, Location)])
        .refuses(&["code_wrong", "factor_unknown", "rate_limited"]),
    page("/auth/logout", "Asks whether to sign out"),
    form("/auth/logout", "Sign out, here or everywhere", "Logout")
        .who(Who::Anyone)
        .answers(&[(204, Nothing), (303, Location)])
        .refuses(&["insufficient_user_authentication"]),
    of("GET", "/auth/account", "The account; scripts get what /auth/session answers")
        .who(Who::Session)
        .answers(&[(200, Json(&["Session"]))]),
    page("/auth/account/profile", "The page for the name").who(Who::Session),
    form("/auth/account/profile", "Change the name", "Profile")
        .who(Who::Session)
        .answers(&[(200, Json(STATUS)), (303, Location)]),
    page("/auth/account/email", "The page for the address").who(Who::Session),
    form("/auth/account/email", "Change the address", "Address")
        .who(Who::Session)
        .answers(&[(200, Json(STATUS)), (303, Location)])
        .refuses(&["insufficient_user_authentication", "email_invalid", "rate_limited"]),
    page("/auth/account/password", "The page for the password").who(Who::Session),
    form("/auth/account/password", "Change the password", "ChangePassword")
        .who(Who::Session)
        .answers(&[(200, Json(STATUS)), (303, Location)])
        .refuses(&["insufficient_user_authentication", "weak_password", "same_password", "code_wrong"]),
    page("/auth/account/security", "Ways to sign in, apps and devices").who(Who::Session),
    of("GET", "/auth/account/identities", "The ways to sign in")
        .who(Who::Session)
        .answers(&[(200, Json(&["Identities"])), (303, Location)]),
    of("DELETE", "/auth/account/identities/{id}", "Take a way to sign in away")
        .who(Who::Session)
        .answers(&[(204, Nothing)])
        .refuses(&["insufficient_user_authentication", "not_found", "last_identity"]),
    page("/auth/account/identities/{id}/delete", "Asks whether to take it away").who(Who::Session),
    button("/auth/account/identities/{id}/delete", "The same without JavaScript"),
    of("GET", "/auth/account/sessions", "Where the person is signed in; in store mode")
        .who(Who::Session)
        .answers(&[(200, Json(&["Sessions"])), (303, Location)])
        .refuses(&["not_found"]),
    of("DELETE", "/auth/account/sessions/{id}", "End one of them")
        .who(Who::Session)
        .answers(&[(204, Nothing)])
        .refuses(&["insufficient_user_authentication", "not_found"]),
    button("/auth/account/sessions/{id}/delete", "The same without JavaScript"),
    of("GET", "/auth/account/factors", "The authenticator apps")
        .who(Who::Session)
        .answers(&[(200, Json(&["FactorList"])), (303, Location)]),
    form("/auth/account/factors", "Begin to add an app", "NewFactor")
        .who(Who::Session)
        .answers(&[(200, Json(&["Enrolled"])), (303, Location)])
        .refuses(&["insufficient_user_authentication", "factor_name_taken", "factors_full"]),
    page("/auth/account/factors/new", "The page for a new app").who(Who::Session),
    form("/auth/account/factors/{id}/verify", "Turn the app on with its first code", "Mfa")
        .who(Who::Session)
        .answers(&[(200, Json(SIGNED_IN)), (303, Location)])
        .refuses(&["code_wrong", "factor_unknown", "rate_limited"]),
    of("DELETE", "/auth/account/factors/{id}", "Take an app away")
        .who(Who::Session)
        .answers(&[(204, Nothing)])
        .refuses(&["insufficient_user_authentication", "factor_unknown"]),
    page("/auth/account/factors/{id}/delete", "Asks whether to take it away").who(Who::Session),
    button("/auth/account/factors/{id}/delete", "The same without JavaScript"),
    of("POST", "/auth/token", "Trade a password or a refresh token for tokens: RFC 6749, sections 4.3 and 6")
        .who(Who::Program)
        .answers(&[(200, Json(&["Tokens"])), (400, Json(&["GrantRefused"]))])
        .refuses(&["browser_client", "feature_disabled", "rate_limited"]),
    of("GET", "/auth/verify", "Whether another proxy may let a request through")
        .who(Who::Proxy)
        .query(&["redirect"])
        .answers(&[(200, Nothing), (302, Location), (401, Nothing), (403, Nothing), (503, Nothing)])
        .given(Given::ForwardAuth),
    of("ANY", "/auth/verify/envoy/", "The same for Envoy, about the path /")
        .who(Who::Proxy)
        .answers(&[(200, Nothing), (302, Location), (401, Nothing), (403, Nothing), (503, Nothing)])
        .given(Given::ForwardAuth),
    of("ANY", "/auth/verify/envoy/{path}", "The same for Envoy, about the path behind it")
        .who(Who::Proxy)
        .answers(&[(200, Nothing), (302, Location), (401, Nothing), (403, Nothing), (503, Nothing)])
        .given(Given::ForwardAuth),
    of("POST", "/auth/hooks/revoke", "The project tells of ended sessions and bans: Standard Webhooks")
        .who(Who::Hook)
        .answers(&[(204, Nothing)])
        .refuses(&["hook_refused"])
        .given(Given::Hooks),
    of("GET", "/auth/openapi.json", "This description").answers(&[(200, Json(&["OpenApi"]))]),
    page("/auth/docs", "This description as a page"),
    page("/auth/docs/errors", "Every error code"),
    of("GET", "/auth/assets/{file}", "A file of the pages").answers(&[(200, File)]),
    of("GET", "/auth", "Goes on to the account").answers(&[(303, Location)]),
    page("/", "The demo page").given(Given::Demo),
    of("POST", "/", "Makes a call of the demo").answers(&[(200, Page)]).given(Given::Demo),
];
