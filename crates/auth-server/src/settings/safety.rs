//! What must not be started (S-77), judged on the settings and again on the socket that was really opened.

use std::net::SocketAddr;

use url::Url;

use super::Settings;

/// A reason not to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsafe {
    pub(crate) code: &'static str,
    /// The variable to change.
    pub(crate) variable: &'static str,
    pub(crate) why: &'static str,
    pub(crate) fix: &'static str,
}

/// Whether nothing but this machine reaches a server on `listen` under `public`.
pub(crate) fn is_private(listen: SocketAddr, public: Option<&Url>) -> bool {
    listen.ip().is_loopback() && public.is_none_or(base::http::is_loopback)
}

/// Reasons against serving `settings` on `listen` under `public`.
pub(crate) fn unsafe_start(settings: &Settings, listen: SocketAddr, public: Option<&Url>) -> Vec<Unsafe> {
    let public_loopback = public.is_none_or(base::http::is_loopback);
    let private = is_private(listen, public);
    let mut found = Vec::new();
    if !private && !settings.confirm_email {
        found.push(Unsafe {
            code: "AUTH-SAFE-001",
            variable: "AUTH_CONFIRM_EMAIL",
            why: "Addresses would count as confirmed although others than this machine can reach the server.",
            fix: "Set AUTH_CONFIRM_EMAIL=true, or listen on 127.0.0.1 with a loopback AUTH_PUBLIC_URL.",
        });
    }
    if !private && settings.smtp.is_none() {
        found.push(Unsafe {
            code: "AUTH-SAFE-002",
            variable: "AUTH_LISTEN",
            why: "Mail goes to the outbox, which may be seen from this machine alone.",
            fix: "Set AUTH_SMTP_URL and AUTH_MAIL_FROM, or listen on 127.0.0.1 with a loopback AUTH_PUBLIC_URL.",
        });
    }
    if public.is_some_and(|url| url.scheme() != "https") && !public_loopback {
        found.push(Unsafe {
            code: "AUTH-SAFE-003",
            variable: "AUTH_PUBLIC_URL",
            why: "Passwords and tokens would cross a network without TLS.",
            fix: "Use an https:// address.",
        });
    }
    found
}
