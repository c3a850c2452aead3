//! The closed lists: what is recorded, how it ended, why a session ended.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$item_doc])* $item,)+
        }

        impl $name {
            /// Every item, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$item,)+];

            /// The word that logs, answers and stored values use. It never changes.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$item => $word,)+
                }
            }

            /// The item that `word` names.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|item| item.as_str() == word)
            }
        }
    };
}

words! {
    /// What the audit trail records.
    Event {
        /// Someone proved who he is, or failed to.
        SignIn = "sign_in",
        /// An account was asked for.
        SignUp = "sign_up",
        /// Someone ended his session.
        SignOut = "sign_out",
        /// A mail that somebody asked for did not go out, for all that the answer says.
        MailFailed = "mail_failed",
        /// A session began.
        SessionStarted = "session_started",
        /// A session is over; the reason says why.
        SessionEnded = "session_ended",
        /// A refresh did not bring new tokens.
        Refresh = "refresh",
        /// A refresh token was used again: perhaps a stolen copy.
        TokenReuse = "token_reuse",
        /// A second factor or a fresh proof.
        StepUp = "step_up",
        /// A request of foreign origin, without its header or form token.
        CsrfRefused = "csrf_refused",
        /// A rule said no.
        PolicyRefused = "policy_refused",
        /// A limit said no.
        RateLimited = "rate_limited",
        /// A hook without a valid signature.
        HookRefused = "hook_refused",
        /// Another key seals from now on.
        KeyRotated = "key_rotated",
        /// The configuration was read again.
        ConfigReloaded = "config_reloaded",
        /// An authorization code arrived at a page that is not the callback: a redirect entry is missing.
        CodeAtWrongUrl = "code_at_wrong_url",
    }
}

words! {
    /// How it ended.
    Outcome {
        /// As wished.
        Ok = "ok",
        /// The attempt did not succeed: a wrong password, an outage.
        Failed = "failed",
        /// Not allowed.
        Refused = "refused",
        /// Done here, but GoTrue did not hear of it.
        RemoteFailed = "remote_failed",
    }
}

words! {
    /// Why a session ended.
    Reason {
        /// Signed out here.
        User = "user",
        /// Signed out on all devices at once.
        UserEverywhere = "user_everywhere",
        /// Ended from another device.
        OtherDevice = "other_device",
        /// Another session took its place.
        Replaced = "replaced",
        /// Not used for too long.
        Idle = "idle",
        /// Lived to its absolute limit.
        Absolute = "absolute",
        /// GoTrue does not know the refresh token.
        RefreshNotFound = "refresh_not_found",
        /// The refresh token was used before.
        RefreshReused = "refresh_reused",
        /// GoTrue does not know the session.
        SessionNotFound = "session_not_found",
        /// GoTrue's own limits ended it.
        UpstreamExpired = "upstream_expired",
        /// The account is banned.
        UserBanned = "user_banned",
        /// The password was changed elsewhere.
        PasswordChanged = "password_changed",
        /// A factor was added or removed.
        FactorChanged = "factor_changed",
        /// An administrator ended it.
        Admin = "admin",
        /// A hook ended it.
        Hook = "hook",
        /// The policy no longer admits it.
        Policy = "policy",
        /// A refresh answered for another user or session.
        OwnerMismatch = "owner_mismatch",
        /// The key that sealed the cookie is gone.
        KeyMissing = "key_missing",
        /// The cookie does not open.
        Damaged = "damaged",
        /// The store lost the record.
        StoreLost = "store_lost",
    }
}

impl Event {
    /// What a reader of the log sees first.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignUp => "sign-up",
            Self::SignOut => "sign-out",
            Self::SessionStarted => "a session started",
            Self::SessionEnded => "a session ended",
            Self::Refresh => "refresh of a session",
            Self::TokenReuse => "a refresh token was used twice",
            Self::StepUp => "step-up",
            Self::CsrfRefused => "a cross-site request",
            Self::PolicyRefused => "a request against the policy",
            Self::RateLimited => "a request over its limit",
            Self::HookRefused => "a hook call",
            Self::KeyRotated => "another key seals from now on",
            Self::ConfigReloaded => "configuration read again",
            Self::MailFailed => "a mail did not go out",
            Self::CodeAtWrongUrl => "an authorization code came to a page that is not the callback",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lists that logs and dashboards rely on, spelt out once more.
    #[test]
    fn the_words_are_the_documented_ones() {
        let words = |all: &[&str]| all.join(" ");
        let events: Vec<_> = Event::ALL.iter().map(|e| e.as_str()).collect();
        let reasons: Vec<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(
            words(&events),
            "sign_in sign_up sign_out mail_failed session_started session_ended refresh token_reuse step_up \
             csrf_refused policy_refused rate_limited hook_refused key_rotated config_reloaded code_at_wrong_url"
        );
        assert_eq!(
            words(&reasons),
            "user user_everywhere other_device replaced idle absolute refresh_not_found refresh_reused \
             session_not_found upstream_expired user_banned password_changed factor_changed admin hook policy \
             owner_mismatch key_missing damaged store_lost"
        );
    }

    #[test]
    fn a_word_is_read_back_and_no_other_is() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
        assert_eq!(Reason::parse("<script>"), None);
    }
}
