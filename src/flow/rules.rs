//! Rules for new passwords (S-73): long enough, short enough to be stored whole, not easy to guess. Nothing else.

use base::vars::{self, Problems, Vars};

use super::Problem;

/// `password.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordRules {
    /// Fewest characters. `password.min_length`; default 8.
    pub min_length: usize,
    /// Most bytes. `password.max_bytes`; `auto` is 72 towards a real GoTrue, whose hash reads no further, and 1,024
    /// with the embedded server.
    pub max_bytes: usize,
    /// Refuse what is easy to guess. `password.common_list`; default true.
    pub common_list: bool,
}

impl PasswordRules {
    /// Reads `password.*`. `embedded`: the auth server is our own.
    pub fn read(vars: &dyn Vars, embedded: bool, problems: &mut Problems) -> Self {
        let min_length = vars::parsed(vars, "password.min_length", "a number", problems).unwrap_or(8);
        let auto = if embedded { 1024 } else { 72 };
        let text = vars::text(vars, "password.max_bytes", problems);
        let max_bytes = match text.as_deref() {
            None | Some("auto") => auto,
            Some(number) => number.parse().unwrap_or_else(|_| {
                let why = "This value cannot be read; it should be `auto` or a number.";
                problems.fault("BFF-CONF-002", "password.max_bytes", Some(number), why, "Set it to `auto`.");
                auto
            }),
        };
        let common_list = vars::flag(vars, "password.common_list", true, problems);
        Self { min_length, max_bytes, common_list }
    }

    /// What is wrong with `password`, if anything. `words` are the site's own: its name, the person's address.
    pub fn judge(&self, password: &str, words: &[&str]) -> Option<Problem> {
        if password.is_empty() {
            return Some(Problem::Required("password"));
        }
        if password.len() > self.max_bytes {
            return Some(Problem::PasswordTooLong);
        }
        let short = password.chars().count() < self.min_length;
        let common = self.common_list && zxcvbn::zxcvbn(password, words).guesses() < 10_000;
        (short || common).then_some(Problem::WeakPassword)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: PasswordRules = PasswordRules { min_length: 8, max_bytes: 72, common_list: true };

    /// S-73: common words and the site's own are refused; length counts in characters below, in bytes above.
    #[test]
    fn easy_short_and_overlong_passwords_are_refused() {
        let judge = |password: &str| RULES.judge(password, &["ada@example.test", "Harbour"]);
        assert_eq!(judge("password1"), Some(Problem::WeakPassword));
        assert_eq!(judge("ada@example.test"), Some(Problem::WeakPassword));
        assert_eq!(judge("x7#kQ2v"), Some(Problem::WeakPassword));
        assert_eq!(judge("plover gantry mist"), None);
        assert_eq!(judge(&"plover gantry mist ".repeat(4)[..72]), None);
        assert_eq!(judge(&"plover gantry mist ".repeat(4)[..73]), Some(Problem::PasswordTooLong));
        assert_eq!(judge("жёлтый кит 42"), None);
        assert_eq!(judge(""), Some(Problem::Required("password")));
    }
}
