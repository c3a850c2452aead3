//! `AUTH_SMTP_URL` and `AUTH_MAIL_FROM`: a mail server takes the place of the outbox.

use base::secret::Secret;
use base::vars::{self, Problems, REDACTED, Vars};
use lettre::message::Mailbox;
use url::Url;

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// `smtps://user:password@host:465`, or `smtp://…?tls=required`; plain `smtp://` on loopback alone.
    pub url: Secret<String>,
    /// The sender: `Name <address>`, or an address alone.
    pub from: String,
}

/// Reads both, or neither.
pub(super) fn read(vars: &dyn Vars, problems: &mut Problems) -> Option<Smtp> {
    let url = vars::secret(vars, "AUTH_SMTP_URL", problems);
    let from = vars::text(vars, "AUTH_MAIL_FROM", problems);
    let (url, from) = match (url, from) {
        (Some(url), Some(from)) => (url, from),
        (None, None) => return None,
        (url, _) => {
            let missing = if url.is_some() { "AUTH_MAIL_FROM" } else { "AUTH_SMTP_URL" };
            let why = "Mail needs both a server and a sender.";
            problems.fault("BFF-CONF-002", missing, None, why, "Set both, or neither.");
            return None;
        }
    };
    if from.parse::<Mailbox>().is_err() {
        let (why, fix) = ("This is no sender.", "Write it as: Name <name@example.com>");
        problems.fault("BFF-CONF-002", "AUTH_MAIL_FROM", Some(&from), why, fix);
    }
    if let Err((code, why)) = judge(url.expose()) {
        let fix = "Write it as: smtps://user:password@host:465";
        problems.fault(code, "AUTH_SMTP_URL", Some(REDACTED), why, fix);
    }
    Some(Smtp { url, from })
}

fn judge(text: &str) -> Result<(), (&'static str, &'static str)> {
    let wrong = ("BFF-CONF-002", "This is no address of a mail server.");
    let url = Url::parse(text).map_err(|_| wrong)?;
    if !url.has_host() || !matches!(url.scheme(), "smtp" | "smtps") {
        return Err(wrong);
    }
    let required = url.query_pairs().any(|(name, value)| name == "tls" && value == "required");
    // `url` knows hosts of these schemes as text alone.
    let host = Url::parse(&format!("http://{}", url.host_str().unwrap_or_default()));
    if url.scheme() == "smtps" || required || host.is_ok_and(|host| base::http::is_loopback(&host)) {
        return Ok(());
    }
    Err(("AUTH-SAFE-003", "Links, codes and the password would cross a network without TLS."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-77: what opens accounts leaves the machine over TLS only.
    #[test]
    fn mail_needs_tls_off_this_machine() {
        for good in [
            "smtps://user:pw@mail.example.com:465",
            "smtp://mail.example.com:587?tls=required",
            "smtp://127.0.0.1:2525",
            "smtp://[::1]:25",
            "smtp://localhost",
        ] {
            assert_eq!(judge(good), Ok(()), "{good}");
        }
        for open in
            ["smtp://mail.example.com", "smtp://10.0.0.1?tls=opportunistic", "smtp://localhost.example.com"]
        {
            assert_eq!(judge(open).unwrap_err().0, "AUTH-SAFE-003", "{open}");
        }
        for wrong in ["mail.example.com", "https://mail.example.com", "smtp:mail", ""] {
            assert_eq!(judge(wrong).unwrap_err().0, "BFF-CONF-002", "{wrong}");
        }
    }
}
