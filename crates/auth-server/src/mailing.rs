//! What goes into a mail: a secret that is drawn here and stored as a digest, the flow it belongs to, the link.

use axum::http::StatusCode;
use rusqlite::Connection;
use time::OffsetDateTime;

use crate::App;
use crate::db::flows::{self, Flow};
use crate::db::micros;
use crate::db::one_time::{self as secrets, Kind, Stored};
use crate::db::users::{self, User};
use crate::error::{Answer, ApiError};
use crate::mail::{Mail, MailKind};
use crate::pkce::Challenge;
use crate::redirect::with_query;
use crate::settings::MailLinks;

/// Marks links whose redemption ends in a code.
pub(crate) const PKCE_PREFIX: &str = "pkce_";

/// A mail that is about to be sent. [`prepare`](Self::prepare) it inside the transaction, [`send`](Self::send) it after.
#[derive(Clone)]
pub(crate) struct Mailing {
    kind: MailKind,
    /// For the link; the only place where it can be read.
    link: String,
    /// The digits, likewise.
    code: String,
    challenge: Option<Challenge>,
    redirect_to: String,
    flow: uuid::Uuid,
}

impl Mailing {
    /// 224 random bits for the link, six digits besides.
    pub(crate) fn draw(app: &App, kind: MailKind, challenge: Option<Challenge>, redirect_to: String) -> Self {
        let bytes: [u8; 28] = app.entropy.bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let number = u64::from_be_bytes(app.entropy.bytes()) % 1_000_000;
        let prefix = if challenge.is_some() { PKCE_PREFIX } else { "" };
        let flow = app.entropy.uuid();
        Self {
            kind,
            link: format!("{prefix}{hex}"),
            code: format!("{number:06}"),
            challenge,
            redirect_to,
            flow,
        }
    }

    /// The same secret for another purpose, decided once the account is known.
    pub(crate) fn of_kind(self, kind: MailKind) -> Self {
        Self { kind, ..self }
    }

    /// Stores what the mail will open, in place of an earlier secret of the kind, and saves the person. A refusal
    /// leaves the earlier one as it is.
    pub(crate) fn prepare(
        &self,
        db: &Connection,
        app: &App,
        user: &mut User,
        now: OffsetDateTime,
    ) -> Answer<()> {
        check_gap(app, *self.sent_at(user), now)?;
        self.store(db, app, user, now)
    }

    /// As [`prepare`](Self::prepare), however short ago the last mail was.
    pub(crate) fn store(
        &self,
        db: &Connection,
        app: &App,
        user: &mut User,
        now: OffsetDateTime,
    ) -> Answer<()> {
        *self.sent_at(user) = Some(micros(now));
        users::save(db, user)?;
        let flow = self.challenge.as_ref().map(|challenge| Flow {
            id: self.flow,
            provider: "email".to_owned(),
            method: self.method().to_owned(),
            challenge: Some(challenge.0.clone()),
            redirect_to: self.redirect_to.clone(),
            user: Some(user.id),
            linking: None,
            provider_token: None,
            created_at: now,
            returned_at: None,
            code_issued_at: None,
        });
        if let Some(flow) = &flow {
            flows::insert(db, flow, now)?;
        }
        let address = match self.kind {
            MailKind::EmailChange => user.new_email.as_deref(),
            _ => user.email.as_deref(),
        };
        let address = address.unwrap_or_default();
        let (link_digest, code_mac) =
            (crate::token::digest_of(&self.link), app.code_mac(address, &self.code));
        let flow = flow.map(|flow| flow.id);
        let kind = self.secret();
        let secret =
            Stored { user: user.id, kind, address, link_digest: &link_digest, code_mac: &code_mac, flow };
        Ok(secrets::replace(db, &secret, now)?)
    }

    /// Sends it to `to`.
    pub(crate) fn send(self, app: &App, to: String, now: OffsetDateTime) {
        let link = match (self.kind, app.settings.mail_links) {
            (MailKind::Reauthentication, _) => String::new(),
            (_, MailLinks::Verify) => self.action_link(app),
            (_, MailLinks::Confirm) => {
                let base = format!("{}/auth/confirm", app.redirects.site());
                self.link_at(&base, "token_hash", "next")
            }
        };
        app.outbox.send(Mail::new(self.kind, to, link, self.code, now), &app.templates);
    }

    /// The link that this server redeems itself.
    pub(crate) fn action_link(&self, app: &App) -> String {
        self.link_at(&format!("{}/verify", app.issuer), "token", "redirect_to")
    }

    fn link_at(&self, base: &str, token: &str, target: &str) -> String {
        let pairs = [(token, self.link.as_str()), ("type", self.kind.word()), (target, &self.redirect_to)];
        with_query(base, &pairs)
    }

    /// The `type` of its link.
    pub(crate) fn word(&self) -> &'static str {
        self.kind.word()
    }

    /// The token of the link, the digits and the target, for an administrator who delivers them.
    pub(crate) fn parts(&self) -> (&str, &str, &str) {
        (&self.link, &self.code, &self.redirect_to)
    }

    /// What the secret opens.
    fn secret(&self) -> Kind {
        match self.kind {
            MailKind::Signup | MailKind::Invite => Kind::Confirmation,
            MailKind::Magiclink | MailKind::Recovery => Kind::Recovery,
            MailKind::EmailChange => Kind::NewAddress,
            MailKind::EmailChangeCurrent => Kind::CurrentAddress,
            MailKind::Reauthentication => Kind::Reauthentication,
        }
    }

    /// Where the person's record says when such a mail was sent.
    fn sent_at<'a>(&self, user: &'a mut User) -> &'a mut Option<OffsetDateTime> {
        match self.secret() {
            Kind::Confirmation => &mut user.confirmation_sent_at,
            Kind::Recovery => &mut user.recovery_sent_at,
            Kind::NewAddress | Kind::CurrentAddress => &mut user.email_change_sent_at,
            Kind::Reauthentication => &mut user.reauthentication_sent_at,
        }
    }

    /// The method that a session of its flow names in `amr` (contract, section 4.3).
    fn method(&self) -> &'static str {
        match self.kind {
            MailKind::Signup => "email/signup",
            MailKind::Invite => "invite",
            MailKind::Magiclink => "magiclink",
            MailKind::Recovery => "recovery",
            MailKind::EmailChange | MailKind::EmailChangeCurrent => "email_change",
            MailKind::Reauthentication => "otp",
        }
    }
}

/// Refuses a second mail of a kind within `AUTH_MAIL_GAP`.
pub(crate) fn check_gap(app: &App, sent: Option<OffsetDateTime>, now: OffsetDateTime) -> Answer<()> {
    let Some(wait) = sent.map(|sent| sent + app.settings.mail_gap - now).filter(|wait| wait.is_positive())
    else {
        return Ok(());
    };
    let seconds = u32::try_from(wait.whole_seconds()).unwrap_or(u32::MAX).saturating_add(1);
    let text = format!("For security purposes, you can only request this after {seconds} seconds.");
    let status = StatusCode::TOO_MANY_REQUESTS;
    Err(ApiError::new(status, "over_email_send_rate_limit", text).retry_after(seconds))
}
