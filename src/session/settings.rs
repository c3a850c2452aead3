//! `[session]` of `bff.toml`.

use base::vars::{self, Problems, Vars};
use time::Duration;

/// How long sessions live and what their cookies are like. The keys that seal them are read by `config`, where they
/// rest by `store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Longest pause between two uses. `session.idle`; default `7d`.
    pub idle: Duration,
    /// Longest life, however busy; at most 400 days. `session.absolute`; default `30d`.
    pub absolute: Duration,
    /// Who outlives the browser. `session.remember`: `ask`, `always` or `never`; default `ask`.
    pub remember: Remember,
    /// `SameSite` of the session cookie. `session.same_site`: `strict` or `lax`; default `strict`.
    pub same_site: SameSite,
    /// How long before its expiry an access token is renewed, at most a quarter of its life.
    /// `session.refresh_margin`; default `90s`.
    pub refresh_margin: Duration,
    /// The pause after a refresh that brought nothing. `session.refresh_cooldown`; default `10s`.
    pub refresh_cooldown: Duration,
    /// Claims that `GET /auth/session` shows, as dotted paths. `session.expose_claims`; default none.
    pub expose_claims: Vec<String>,
    /// `Clear-Site-Data` of a sign-out: any of `cache`, `cookies`, `storage`. `session.clear_site_data`; default none.
    pub clear_site_data: Vec<String>,
    /// The most that opened sessions and verified tokens take in memory, in bytes, so that they need not be opened and
    /// verified at every request. `session.memory`, at least 1 MiB; default `512MiB`, which is enough for 100,000 people
    /// who come within ten minutes. Nothing is taken before they come.
    pub memory: u64,
    /// Who must bring the code of a second factor. `mfa.enforce`: `when_enrolled` or `per_rule`; default `when_enrolled`.
    pub second_factor: SecondFactor,
}

/// Who must bring the code of a second factor before a session opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondFactor {
    /// Whoever has one, at every sign-in.
    WhenEnrolled,
    /// Nobody at the sign-in: rules with `aal = 2` ask for it.
    PerRule,
}

/// Who outlives the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remember {
    /// Whoever ticks the box.
    Ask,
    /// Everybody.
    Always,
    /// Nobody.
    Never,
}

/// `SameSite` of the session cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Sent on requests of our own site alone.
    Strict,
    /// Also on navigations from elsewhere.
    Lax,
}

impl Settings {
    /// Reads `session.*`. `None` where limits contradict each other.
    pub fn read(vars: &dyn Vars, problems: &mut Problems) -> Option<Self> {
        let remember = [("ask", Remember::Ask), ("always", Remember::Always), ("never", Remember::Never)];
        let same_site = [("strict", SameSite::Strict), ("lax", SameSite::Lax)];
        let settings = Self {
            idle: vars::span(vars, "session.idle", Duration::days(7), problems),
            absolute: vars::span(vars, "session.absolute", Duration::days(30), problems),
            remember: vars::choice(vars, "session.remember", &remember, Remember::Ask, problems),
            same_site: vars::choice(vars, "session.same_site", &same_site, SameSite::Strict, problems),
            refresh_margin: vars::span(vars, "session.refresh_margin", Duration::seconds(90), problems),
            refresh_cooldown: vars::span(vars, "session.refresh_cooldown", Duration::seconds(10), problems),
            expose_claims: claims(vars, problems)?,
            clear_site_data: vars::list(vars, "session.clear_site_data").unwrap_or_default(),
            memory: vars::bytes(vars, "session.memory", 512 << 20, problems),
            second_factor: vars::choice(
                vars,
                "mfa.enforce",
                &[("when_enrolled", SecondFactor::WhenEnrolled), ("per_rule", SecondFactor::PerRule)],
                SecondFactor::WhenEnrolled,
                problems,
            ),
        };
        settings.check(vars, problems).then_some(settings)
    }

    /// The part of [`memory`](Self::memory) that is for opened sessions; the rest is for verified tokens.
    pub fn memory_of_sessions(&self) -> u64 {
        self.memory / 4 * 3
    }

    fn check(&self, vars: &dyn Vars, problems: &mut Problems) -> bool {
        let mut sound = true;
        let mut fault = |name: &str, seen: Option<&str>, why: &str, fix: &str| {
            problems.fault("BFF-CONF-002", place(vars, name), seen, why, fix);
            sound = false;
        };
        if self.idle.is_zero() {
            fault("session.idle", Some("0s"), "Every session would end at once.", "Set it to 7d.");
        }
        if self.absolute < self.idle {
            let why = "The absolute limit is shorter than the idle one, which then has no effect.";
            fault("session.absolute", None, why, "Make session.absolute at least as long as session.idle.");
        }
        if self.refresh_cooldown.is_zero() {
            let why = "An outage of GoTrue would be answered with a storm of refreshes.";
            fault("session.refresh_cooldown", Some("0s"), why, "Set it to 10s.");
        }
        if self.memory < 1 << 20 {
            let why = "Nearly every request would open its cookie and verify its token anew.";
            fault("session.memory", None, why, "Set it to 512MiB, or to less where the machine has little.");
        }
        for word in &self.clear_site_data {
            if !["cache", "cookies", "storage"].contains(&word.as_str()) {
                let fix = "Name any of cache, cookies, storage.";
                fault("session.clear_site_data", Some(word), "Browsers do not know this word.", fix);
            }
        }
        sound
    }
}

fn claims(vars: &dyn Vars, problems: &mut Problems) -> Option<Vec<String>> {
    let claims = vars::list(vars, "session.expose_claims").unwrap_or_default();
    for claim in &claims {
        if claim.split('.').any(str::is_empty) {
            let why = "This is no path of a claim.";
            let fix = "Write it like app_metadata.tenant.";
            problems.fault("BFF-CONF-002", place(vars, "session.expose_claims"), Some(claim), why, fix);
            return None;
        }
    }
    Some(claims)
}

fn place(vars: &dyn Vars, name: &str) -> String {
    vars.get(name).map_or_else(|| vars::variable(name), |found| found.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
        let vars: Vec<_> = pairs.iter().map(|(k, v)| (format!("BFF_SESSION_{k}"), (*v).to_owned())).collect();
        let mut problems = Problems::default();
        let settings = Settings::read(&vars, &mut problems);
        (settings, problems.list().iter().map(|p| p.place.clone()).collect())
    }

    /// S-08: 7 and 30 days unless said otherwise.
    #[test]
    fn defaults_are_the_documented_ones() {
        let (settings, faults) = read(&[]);
        let settings = settings.unwrap();
        assert!(faults.is_empty());
        assert_eq!((settings.idle, settings.absolute), (Duration::days(7), Duration::days(30)));
        assert_eq!((settings.remember, settings.same_site), (Remember::Ask, SameSite::Strict));
        assert_eq!(settings.refresh_margin, Duration::seconds(90));
        assert_eq!(settings.refresh_cooldown, Duration::seconds(10));
        assert_eq!(settings.memory, 512 << 20);
        assert!(settings.expose_claims.is_empty() && settings.clear_site_data.is_empty());
    }

    /// S-93: limits that contradict each other and what this version cannot do are faults, not guesses.
    #[test]
    fn what_cannot_be_honoured_is_a_fault() {
        let cases = [
            ("ABSOLUTE", "1d"),
            ("IDLE", "0s"),
            ("REFRESH_COOLDOWN", "0s"),
            ("MEMORY", "1000KiB"),
            ("MEMORY", "512MB"),
            ("SAME_SITE", "none"),
            ("REMEMBER", "yes"),
            ("CLEAR_SITE_DATA", "everything"),
            ("EXPOSE_CLAIMS", "a..b"),
            ("IDLE", "401d"),
        ];
        for (name, value) in cases {
            assert_eq!(read(&[(name, value)]).1, [format!("BFF_SESSION_{name}")], "{value}");
        }
    }
}
