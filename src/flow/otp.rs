//! A mail that signs in, or leads to a new password: asked for by address.

use std::net::IpAddr;

use http::HeaderValue;
use url::Url;

use super::mailed::{Send, read_email};
use super::pending::Purpose;
use super::{Failure, Flows, ReturnTo, Try};
use crate::session::Slot;

/// What a person asks for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// [`Purpose::Email`] or [`Purpose::Recovery`].
    pub purpose: Purpose,
    /// As typed.
    pub email: &'a str,
    /// Where the person goes afterwards.
    pub return_to: &'a ReturnTo,
    /// What a captcha widget gave.
    pub captcha: Option<&'a str>,
    /// The one of our origins that was asked for, to which the link in the mail leads.
    pub public: &'a Url,
    /// Whether a mail to a new address makes an account, where the project lets people sign up.
    pub create: bool,
}

impl Flows {
    /// Asks for a mail. Answered alike whoever is meant (S-71). `mail` is given back if the address is none.
    ///
    /// # Errors
    ///
    /// [`Problem::EmailInvalid`](super::Problem::EmailInvalid); [`Failure::Disabled`] where the project does not sign
    /// in by address at all; [`Failure::Unavailable`] if GoTrue does not answer.
    pub async fn ask_for_mail(
        &self,
        wish: &Asked<'_>,
        mail: Try,
        slot: &Slot,
        from: Option<IpAddr>,
    ) -> Result<Vec<HeaderValue>, Failure> {
        let email = match read_email(wish.email) {
            Ok(email) => email,
            Err(problem) => {
                mail.give_back();
                return Err(Failure::Form(problem));
            }
        };
        let send = Send {
            purpose: wish.purpose,
            return_to: wish.return_to,
            public: wish.public,
            captcha: wish.captcha,
            create: wish.create,
        };
        self.send(&email, &send, slot, from).await
    }
}
