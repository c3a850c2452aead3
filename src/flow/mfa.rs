//! The code of an authenticator app: the second half of a sign-in, or a step up within a session.

use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};
use base::secret::Secret;
use time::Duration;
use uuid::Uuid;

use super::{Failure, Flows, Inner, Problem, Try};
use crate::event::{Event, Outcome, Record};
use crate::gotrue::{self, Factor};
use crate::limit::Bucket;
use crate::session::flights::Flights;
use crate::session::{self, Current, Slot};

/// How `amr` and the audit trail name the proof.
const METHOD: &str = "totp";
/// Digits of a code (RFC 6238 as GoTrue has it).
const DIGITS: usize = 6;
/// How long the same form, sent twice, is answered with what the first brought.
const SHARED: Duration = Duration::seconds(30);
/// Another code of the same session waits for the one that is asked about, and then for this many more.
const TURNS: usize = 8;

/// What a person types.
#[derive(Debug)]
pub struct AppCode<'a> {
    /// Which app; `None` where the person has one alone.
    pub factor: Option<Uuid>,
    /// As typed.
    pub code: &'a str,
}

/// Proofs that run or ended a moment ago, one a session: a second one within the same session would leave the first
/// with a refresh token that GoTrue takes for a stolen copy.
#[derive(Default)]
pub(super) struct Proofs(Flights<Proved>);

#[derive(Clone)]
struct Proved {
    /// Which code of which app.
    of: [u8; 32],
    outcome: Result<Current, Refused>,
}

/// A failure that several callers may be told.
#[derive(Debug, Clone, Copy)]
enum Refused {
    CodeWrong,
    UnknownFactor,
    Disabled,
    Limited(std::time::Duration),
    /// GoTrue does not answer, or its answer is of no use.
    Unavailable,
    /// GoTrue refused in another way: perhaps the session is over.
    Unclear,
    /// Somebody signed out meanwhile.
    Ended(crate::event::Reason),
}

impl Flows {
    /// The apps of the person of `current` whose codes count, as GoTrue knows them now.
    ///
    /// # Errors
    ///
    /// As [`session::Sessions::person`].
    pub async fn apps(&self, slot: &Slot, current: &Current) -> Result<Vec<Factor>, session::Error> {
        let user = self.0.sessions.person(slot, current).await?;
        Ok(apps_of(&user).cloned().collect())
    }

    /// Raises the session of `slot`'s request by the code of an app: a new session takes its place (S-06). The try is
    /// counted for the person before GoTrue is asked (S-82). The same form sent twice is one proof.
    ///
    /// # Errors
    ///
    /// [`Problem::CodeWrong`], [`Problem::UnknownFactor`], [`Problem::Required`] where it is not clear which app is meant.
    pub async fn prove(
        &self,
        form: &AppCode<'_>,
        current: &Current,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Current, Failure> {
        let inner = &self.0;
        let code = digits(form.code)?;
        let tried = Try(inner.count(Bucket::Code, &inner.person_key(current.session.user_id)).await?);
        let factor = match self.meant(form.factor, current, slot).await {
            Ok(factor) => factor,
            Err(failure) => {
                tried.give_back(); // no code was tried
                return Err(failure);
            }
        };
        let outcome = self.once(factor, code, current, from).await;
        let refused = match outcome {
            Ok(raised) => {
                tried.give_back();
                inner.sessions.adopt(slot, &raised).await?;
                return Ok(raised);
            }
            Err(refused) => refused,
        };
        if !matches!(refused, Refused::CodeWrong) {
            tried.give_back(); // no code was judged
        }
        Err(match refused {
            Refused::CodeWrong => Failure::Form(Problem::CodeWrong),
            Refused::UnknownFactor => Failure::Form(Problem::UnknownFactor),
            Refused::Disabled => Failure::Disabled,
            Refused::Limited(retry_after) => Failure::Limited { retry_after },
            Refused::Unavailable => session::Error::Unavailable { retry_after: super::SOON }.into(),
            Refused::Ended(reason) => session::Error::Ended(reason).into(),
            Refused::Unclear => match inner.sessions.person(slot, current).await {
                Ok(_) => session::Error::Unavailable { retry_after: super::SOON }.into(),
                Err(error) => error.into(),
            },
        })
    }

    /// The app that is meant: the one that is named, or the only one.
    async fn meant(&self, named: Option<Uuid>, current: &Current, slot: &Slot) -> Result<Uuid, Failure> {
        if let Some(factor) = named {
            return Ok(factor);
        }
        match self.apps(slot, current).await?.as_slice() {
            [one] => Ok(one.id),
            [] => Err(Failure::Form(Problem::UnknownFactor)),
            _ => Err(Failure::Form(Problem::Required("factor_id"))),
        }
    }

    /// One question to GoTrue at a time for a session, and one for the same code.
    async fn once(
        &self,
        factor: Uuid,
        code: Secret<String>,
        current: &Current,
        from: Option<IpAddr>,
    ) -> Result<Current, Refused> {
        let inner = &self.0;
        let id = current.session.id.as_bytes();
        let (key, of) = (hash(&[id]), hash(&[id, factor.as_bytes(), code.expose().as_bytes()]));
        for _ in 0..TURNS {
            let (flows, current, code) = (self.clone(), current.clone(), code.clone());
            let work = async move {
                let outcome = flows.ask(factor, &code, &current, from).await;
                let now = flows.0.now();
                let until = if outcome.is_ok() { now + SHARED } else { now };
                (Proved { of, outcome }, until)
            };
            let proved = inner.proofs.0.share(key, &inner.clock, work).await.ok_or(Refused::Unavailable)?;
            if proved.of == of {
                return proved.outcome;
            }
            if proved.outcome.is_ok() {
                return Err(Refused::Ended(crate::event::Reason::Replaced));
            }
        }
        Err(Refused::Unavailable)
    }

    async fn ask(
        &self,
        factor: Uuid,
        code: &Secret<String>,
        current: &Current,
        from: Option<IpAddr>,
    ) -> Result<Current, Refused> {
        let inner = &self.0;
        let token = &current.session.access_token;
        let failed = |error: gotrue::Error| inner.not_proved(&error);
        let challenge = inner.gotrue.challenge(token, factor, from).await.map_err(failed)?;
        let tokens =
            inner.gotrue.verify_factor(token, factor, challenge, code, from).await.map_err(failed)?;
        match inner.sessions.step(tokens, &current.session, Some(METHOD)).await {
            Ok(raised) => {
                let ok = Record::of(Event::StepUp, Outcome::Ok);
                inner.trail.emit(&Record { method: Some(METHOD), ..ok });
                Ok(raised)
            }
            Err(session::Error::Ended(reason)) => Err(Refused::Ended(reason)),
            Err(error) => {
                tracing::error!(%error, "no session could be made of the tokens of a second factor");
                Err(Refused::Unavailable)
            }
        }
    }
}

impl Inner {
    fn not_proved(&self, error: &gotrue::Error) -> Refused {
        let failed = Record { method: Some(METHOD), ..Record::of(Event::StepUp, Outcome::Failed) };
        self.trail.emit(&Record { code: error.code(), ..failed });
        match error {
            gotrue::Error::RateLimited { retry_after, .. } => {
                let wait = retry_after.and_then(|wait| wait.try_into().ok());
                Refused::Limited(wait.unwrap_or(std::time::Duration::from_secs(30)))
            }
            error if error.is_transient() => Refused::Unavailable,
            error => match error.code() {
                // A challenge is opened for each try, so one that is gone was met by the same code a moment ago.
                Some(
                    "mfa_verification_failed"
                    | "mfa_verification_rejected"
                    | "mfa_challenge_expired"
                    | "mfa_ip_address_mismatch",
                ) => Refused::CodeWrong,
                Some("mfa_factor_not_found") if error.is_not_found() => Refused::UnknownFactor,
                Some("mfa_factor_not_found") => Refused::CodeWrong, // so many challenges that ours gave way
                Some("mfa_totp_verify_not_enabled") => Refused::Disabled,
                _ => Refused::Unclear,
            },
        }
    }

    /// The name under which codes of a person are counted, whatever the session (S-82).
    pub(super) fn person_key(&self, user: Uuid) -> String {
        let mac = self.accounts.mac(&[b"second factor", user.as_bytes()]);
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &mac[..16])
    }
}

/// An app whose codes count.
/// The apps of `person` whose codes count.
pub fn apps_of(person: &session::User) -> impl Iterator<Item = &Factor> {
    person.factors.iter().filter(|factor| factor.verified && factor.kind == METHOD)
}

/// The digits of `typed`, which may stand in groups.
fn digits(typed: &str) -> Result<Secret<String>, Failure> {
    let text: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    match text.len() {
        0 => Err(Failure::Form(Problem::Required("code"))),
        DIGITS if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Secret::new(text)),
        _ => Err(Failure::Form(Problem::CodeWrong)),
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    parts.iter().for_each(|part| digest.update(part)); // two UUIDs and six digits: of fixed lengths
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_a_code_however_they_are_grouped() {
        let read = |text| match digits(text) {
            Ok(code) => code.expose().clone(),
            Err(Failure::Form(problem)) => format!("{problem:?}"),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(read(" 123 456\u{a0}"), "123456");
        assert_eq!(read(" "), "Required(\"code\")");
        for wrong in ["12345", "1234567", "12345a", "１２３４５６", "-12345"] {
            assert_eq!(read(wrong), "CodeWrong", "{wrong}");
        }
    }
}
