//! What stands below the mount: the closed list of GoTrue's calls that are answered here, and the services that are forwarded.

use super::operations::Holds::{Json, Location, Nothing, Service};
use super::operations::{Given, Operation, Who, of};

/// A call of GoTrue, as its own clients make it.
const fn auth(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    of(method, path, summary).given(Given::Service("auth"))
}

/// The same with a body.
const fn sends(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    takes: &'static str,
) -> Operation {
    Operation { takes: Some(takes), ..auth(method, path, summary) }
}

/// Every path of the project below here goes there, with the person's token, and its answer comes back.
const fn forwarded(service: &'static str, path: &'static str, summary: &'static str) -> Operation {
    of("ANY", path, summary).who(Who::Anyone).answers(&[(200, Service)]).given(Given::Service(service))
}

const SESSION: &[&str] = &["AuthSession"];
const USER: &[&str] = &["AuthUser"];
const EMPTY: &[&str] = &["AuthEmpty"];

/// Every operation below the mount, which is written `/supabase` here whatever `supabase.mount` says.
pub(super) const OPERATIONS: &[Operation] = &[
    sends("POST", "/supabase/auth/v1/token", "Sign in, refresh, or trade a code", "AuthGrant")
        .query(&["grant_type"])
        .answers(&[(200, Json(SESSION))]),
    sends("POST", "/supabase/auth/v1/signup", "Make an account, or begin without one", "AuthSignUp")
        .query(&["redirect_to"])
        .answers(&[(200, Json(&["AuthSession", "AuthUser"]))]),
    sends("POST", "/supabase/auth/v1/otp", "Have a code and a link mailed", "AuthMail")
        .query(&["redirect_to"])
        .answers(&[(200, Json(EMPTY))]),
    sends("POST", "/supabase/auth/v1/recover", "Have a link to a new password mailed", "AuthMail")
        .query(&["redirect_to"])
        .answers(&[(200, Json(EMPTY))]),
    sends("POST", "/supabase/auth/v1/resend", "Have a mail sent once more", "AuthMail")
        .query(&["redirect_to"])
        .answers(&[(200, Json(EMPTY))]),
    sends("POST", "/supabase/auth/v1/verify", "Redeem the link or the code of a mail", "AuthVerify")
        .answers(&[(200, Json(&["AuthSession", "AuthMessage"]))]),
    auth("POST", "/supabase/auth/v1/sso", "Refused as GoTrue refuses it where SAML is off")
        .answers(&[(404, Json(&["AuthError"]))]),
    auth("GET", "/supabase/auth/v1/authorize", "Off to a provider; a navigation")
        .query(&["provider", "redirect_to", "scopes", "code_challenge", "code_challenge_method"])
        .answers(&[(303, Location)]),
    auth("GET", "/supabase/auth/v1/user", "Who is here").who(Who::Session).answers(&[(200, Json(USER))]),
    sends("PUT", "/supabase/auth/v1/user", "Change the own account", "AuthUserChange")
        .who(Who::Session)
        .query(&["redirect_to"])
        .answers(&[(200, Json(USER))]),
    auth("GET", "/supabase/auth/v1/user/identities/authorize", "Where to link a provider")
        .who(Who::Session)
        .query(&["provider", "redirect_to"])
        .answers(&[(200, Json(&["AuthUrl"]))]),
    auth("DELETE", "/supabase/auth/v1/user/identities/{id}", "Take a way to sign in away")
        .who(Who::Session)
        .answers(&[(200, Json(EMPTY))]),
    auth("GET", "/supabase/auth/v1/reauthenticate", "Have digits mailed that a new password takes")
        .who(Who::Session)
        .answers(&[(200, Json(EMPTY))]),
    sends("POST", "/supabase/auth/v1/factors", "Begin to add an authenticator app", "AuthFactor")
        .who(Who::Session)
        .answers(&[(200, Json(&["AuthEnrolled"]))]),
    auth("DELETE", "/supabase/auth/v1/factors/{id}", "Take an app away")
        .who(Who::Session)
        .answers(&[(200, Json(&["AuthRemoved"]))]),
    auth("POST", "/supabase/auth/v1/factors/{id}/challenge", "Begin to prove an app")
        .who(Who::Session)
        .answers(&[(200, Json(&["AuthChallenge"]))]),
    sends("POST", "/supabase/auth/v1/factors/{id}/verify", "Prove an app with its code", "AuthFactorProof")
        .who(Who::Session)
        .answers(&[(200, Json(SESSION))]),
    auth("POST", "/supabase/auth/v1/logout", "Sign out, here or everywhere")
        .who(Who::Session)
        .query(&["scope"])
        .answers(&[(204, Nothing)]),
    auth("GET", "/supabase/auth/v1/settings", "What the project offers")
        .answers(&[(200, Json(&["AuthSettings"]))]),
    auth("GET", "/supabase/auth/v1/health", "Whether this program answers")
        .answers(&[(200, Json(&["AuthHealth"]))]),
    auth("GET", "/supabase/auth/v1/.well-known/jwks.json", "No key: phantoms are signed by none")
        .answers(&[(200, Json(&["AuthKeys"]))]),
    forwarded(
        "rest",
        "/supabase/rest/v1/{path}",
        "Forwarded to the project's tables and functions (PostgREST)",
    ),
    forwarded("graphql", "/supabase/graphql/v1/{path}", "Forwarded to the project's GraphQL"),
    forwarded("storage", "/supabase/storage/v1/{path}", "Forwarded to the project's Storage"),
    forwarded("functions", "/supabase/functions/v1/{path}", "Forwarded to the project's Edge Functions"),
    Operation {
        method: "POST",
        ..forwarded("realtime", "/supabase/realtime/v1/api/{path}", "Forwarded to Realtime's HTTP interface")
    },
    of("GET", "/supabase/realtime/v1/websocket", "A WebSocket of Realtime; the token is put in on the way")
        .who(Who::Anyone)
        .query(&["vsn"])
        .answers(&[(101, Nothing)])
        .given(Given::Service("realtime")),
];
