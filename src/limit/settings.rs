//! `[limits]` of `bff.toml`.

use base::vars::{self, Found, Problems, Rate, Raw, Vars};
use time::Duration;

use super::Bucket;

/// Quotas and caps. All of them count in this process, the quotas in a Redis store as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Password tries of one network. `limits.password_per_network`; default `30/5m`.
    pub password_per_network: Rate,
    /// Password tries at one account. `limits.password_per_account`; default `10/15m`.
    pub password_per_account: Rate,
    /// Mails of a kind to one recipient. `limits.mail_per_recipient`; default `1/1m`.
    pub mail_per_recipient: Rate,
    /// Mails that one network asks for. `limits.mail_per_network`; default `30/1h`.
    pub mail_per_network: Rate,
    /// Codes typed for one user. `limits.code_tries`; default `5/15m`.
    pub code_tries: Rate,
    /// Anonymous sign-ups of one network. `limits.anonymous_per_network`; default `30/1h`.
    pub anonymous_per_network: Rate,
    /// Mail links and codes that one network tries in vain: all of them share one bucket of GoTrue's (S-85).
    /// `limits.confirm_per_network`; default `30/5m`.
    pub confirm_per_network: Rate,
    /// What sign-in attempts of everybody together may use of GoTrue's own limit: half of `limits.gotrue_budget`, and
    /// half of what it lets through at once, so that refreshes always find room (S-85). `None` if GoTrue tells clients
    /// apart by itself.
    pub gotrue_sign_ins: Option<Rate>,
    /// Requests in work at once. `limits.in_flight`; default 2048.
    pub in_flight: usize,
    /// Open connections. `limits.connections`; default 4096.
    pub connections: usize,
    /// Open connections of one network, trusted proxies not counted. `limits.connections_per_network`; default 512.
    pub connections_per_network: usize,
    /// Open sockets of one session. `limits.sockets_per_session`; default 20.
    pub sockets_per_session: usize,
}

impl Settings {
    /// Reads `limits.*`. `own_budget` says that GoTrue does not count all of our users as one: it is the embedded
    /// server, or it is told the client's address.
    pub fn read(vars: &dyn Vars, own_budget: bool, problems: &mut Problems) -> Option<Self> {
        Some(Self {
            password_per_network: rate(vars, "limits.password_per_network", (30, 5), problems)?,
            password_per_account: rate(vars, "limits.password_per_account", (10, 15), problems)?,
            mail_per_recipient: rate(vars, "limits.mail_per_recipient", (1, 1), problems)?,
            mail_per_network: rate(vars, "limits.mail_per_network", (30, 60), problems)?,
            code_tries: rate(vars, "limits.code_tries", (5, 15), problems)?,
            anonymous_per_network: rate(vars, "limits.anonymous_per_network", (30, 60), problems)?,
            confirm_per_network: rate(vars, "limits.confirm_per_network", (30, 5), problems)?,
            gotrue_sign_ins: budget(vars, own_budget, problems),
            in_flight: count(vars, "limits.in_flight", 2048, problems),
            connections: count(vars, "limits.connections", 4096, problems),
            connections_per_network: count(vars, "limits.connections_per_network", 512, problems),
            sockets_per_session: count(vars, "limits.sockets_per_session", 20, problems),
        })
    }

    /// The quota of `bucket`; `None` where there is no limit.
    pub fn rate(&self, bucket: Bucket) -> Option<Rate> {
        Some(match bucket {
            Bucket::PasswordNetwork => self.password_per_network,
            Bucket::PasswordAccount => self.password_per_account,
            Bucket::MailRecipient => self.mail_per_recipient,
            Bucket::MailNetwork => self.mail_per_network,
            Bucket::Code => self.code_tries,
            Bucket::Anonymous => self.anonymous_per_network,
            Bucket::ConfirmNetwork => self.confirm_per_network,
            Bucket::Redemption => return None, // counts no tries
            Bucket::GoTrue => return self.gotrue_sign_ins,
        })
    }
}

fn rate(vars: &dyn Vars, name: &str, (count, minutes): (u32, i64), problems: &mut Problems) -> Option<Rate> {
    match vars.get(name) {
        None => Some(Rate { count, per: Duration::minutes(minutes) }),
        Some(found) => one_rate(&found, "a rate such as 30/5m", problems),
    }
}

fn one_rate(found: &Found, form: &str, problems: &mut Problems) -> Option<Rate> {
    let (text, rate) = match &found.raw {
        Raw::Text(text) => (text.as_str(), vars::rate(text.trim())),
        Raw::List(_) => ("a list", None),
    };
    if rate.is_none() {
        let why = format!("This value cannot be read; it should be {form}.");
        problems.fault("BFF-CONF-002", &found.place, Some(text), why, format!("Set it to {form}."));
    }
    rate
}

fn budget(vars: &dyn Vars, own_budget: bool, problems: &mut Problems) -> Option<Rate> {
    let default = Rate { count: 150, per: Duration::minutes(5) };
    let whole = match vars.get("limits.gotrue_budget") {
        None => (!own_budget).then_some(default),
        Some(found) => match &found.raw {
            Raw::Text(text) if text == "auto" => (!own_budget).then_some(default),
            Raw::Text(text) if text == "off" => None,
            _ => one_rate(&found, "auto, off or a rate such as 150/5m", problems),
        },
    }?;
    Some(half(whole))
}

/// What GoTrue lets through at once, whatever the rate at which more comes back (contract 7.1).
const GOTRUE_BURST: u32 = 30;

/// Half of `whole`, at half of its pace and with half of GoTrue's burst.
fn half(whole: Rate) -> Rate {
    let count = (whole.count / 2).max(1);
    let at_once = count.min(GOTRUE_BURST / 2);
    Rate { count: at_once, per: whole.per * at_once / count }
}

/// A number of at least 1.
fn count(vars: &dyn Vars, name: &str, default: usize, problems: &mut Problems) -> usize {
    let Some(number) = vars::parsed::<usize>(vars, name, "a whole number", problems) else { return default };
    if number == 0 {
        let place = vars.get(name).map_or_else(|| name.to_owned(), |found| found.place);
        problems.fault(
            "BFF-CONF-002",
            place,
            Some("0"),
            "Nothing would get through.",
            "Set it to 1 or more.",
        );
        return default;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], own_budget: bool) -> (Option<Settings>, Vec<String>) {
        let vars: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut problems = Problems::default();
        let settings = Settings::read(&vars, own_budget, &mut problems);
        (settings, problems.list().iter().map(|p| p.place.clone()).collect())
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let (settings, faults) = read(&[], false);
        let settings = settings.unwrap();
        assert!(faults.is_empty());
        let text = |bucket| settings.rate(bucket).map(|r| (r.count, r.per.whole_minutes()));
        assert_eq!(text(Bucket::PasswordNetwork), Some((30, 5)));
        assert_eq!(text(Bucket::PasswordAccount), Some((10, 15)));
        assert_eq!(text(Bucket::MailRecipient), Some((1, 1)));
        assert_eq!(text(Bucket::MailNetwork), Some((30, 60)));
        assert_eq!(text(Bucket::Code), Some((5, 15)));
        assert_eq!(text(Bucket::Anonymous), Some((30, 60)));
        assert_eq!(text(Bucket::ConfirmNetwork), Some((30, 5)));
        assert_eq!(text(Bucket::GoTrue), Some((15, 1)), "half of 30 at once, and of 150 in 5 minutes");
        assert_eq!((settings.connections, settings.connections_per_network), (4096, 512));
    }

    /// S-85: no budget of ours where GoTrue tells clients apart.
    #[test]
    fn the_budget_follows_what_gotrue_is_told() {
        let budget =
            |value, own| read(&[("BFF_LIMITS_GOTRUE_BUDGET", value)], own).0.unwrap().gotrue_sign_ins;
        assert_eq!(budget("auto", true), None);
        assert_eq!(budget("off", false), None);
        assert_eq!(budget("20/1m", true), Some(Rate { count: 10, per: Duration::minutes(1) }));
        assert_eq!(budget("1/1m", false), Some(Rate { count: 1, per: Duration::minutes(1) }));
    }

    #[test]
    fn unreadable_values_are_named() {
        let bad = [
            ("BFF_LIMITS_PASSWORD_PER_NETWORK", "many"),
            ("BFF_LIMITS_IN_FLIGHT", "0"),
            ("BFF_LIMITS_GOTRUE_BUDGET", "half"),
        ];
        for pair in bad {
            assert_eq!(read(&[pair], false).1, [pair.0]);
        }
    }
}
