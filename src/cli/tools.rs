//! `keys new`, `log-id`, `sql` and `openapi`.

use anyhow::bail;
use base::clock::{Clock, SystemClock};
use base::entropy::{Entropy, SystemEntropy};
use base::seal::{KeyId, Keyring, MasterKey};
use base::secret::Secret;
use url::Url;
use uuid::Uuid;

use super::{Flags, Loaded, Start, remark, say};
use crate::config::SessionKeys;
use crate::event::LogHash;

/// Prints a fresh key on standard output, and how to bring it in on standard error.
pub(super) fn new_key() -> anyhow::Result<()> {
    say(fresh_key(&SystemClock, &SystemEntropy)?.expose())?;
    remark(
        "Set BFF_SESSION_KEYS to this line. If there are keys already: append it with a comma, restart every node,",
    );
    remark(
        "then move it to the front. Remove an old key once no session of its time is left (session.absolute).",
    );
    Ok(())
}

/// A line for `BFF_SESSION_KEYS`, named after the day and two random digits.
pub(super) fn fresh_key(clock: &dyn Clock, entropy: &dyn Entropy) -> anyhow::Result<Secret<String>> {
    let day = clock.now().date();
    let [mark] = entropy.bytes::<1>();
    let name = format!("k{:04}{:02}{:02}-{mark:02x}", day.year(), u8::from(day.month()), day.day());
    let Some(id) = KeyId::parse(&name) else { bail!("the clock says a day that no key can be named after") };
    Ok(MasterKey::generate(id, entropy).to_text())
}

/// Prints the hash of `id` as a user and as a session: an id alone does not tell which of them it is.
pub(super) fn log_id(flags: &Flags, id: Uuid) -> anyhow::Result<()> {
    let loaded = Loaded::read(&flags.inputs(), Start::Looking)?;
    let SessionKeys::Given { keys, .. } = &loaded.settings.keys else {
        bail!("there are no session keys yet, so no log line has a hash\n  hint: start the server once")
    };
    let Some(ring) = Keyring::new(keys) else { bail!("there is no session key") };
    let hashes = LogHash::from_ring(&ring);
    say(&format!("user.hash     {}\nsession.hash  {}", hashes.user(id), hashes.session(id)))?;
    Ok(())
}

/// Prints the description of the paths.
pub(super) fn openapi(flags: &Flags) -> anyhow::Result<()> {
    let mut settings = Loaded::read(&flags.inputs(), Start::Looking)?.settings;
    if settings.demo {
        let demo = crate::demo::Rules::read()?;
        settings.stand_in_demo("http://127.0.0.1".to_owned(), demo.rules, demo.scopes, demo.roles);
    }
    say(&serde_json::to_string_pretty(&crate::app::tools::description(&settings))?)?;
    Ok(())
}

/// The triggers, with the address of the endpoint where `{url}` stands.
const HOOKS: &str = include_str!("hooks.sql");
const HOOKS_OFF: &str = include_str!("hooks-off.sql");

/// Prints the triggers for the project's database, or what takes them away. No secret is printed: it rests in the
/// database's own vault.
pub(super) fn sql(flags: &Flags, uninstall: bool) -> anyhow::Result<()> {
    if uninstall {
        say(HOOKS_OFF.trim_end())?;
        return Ok(());
    }
    let settings = Loaded::read(&flags.inputs(), Start::Looking)?.settings;
    say(triggers(settings.network.canonical()).trim_end())?;
    if settings.hooks.is_none() {
        remark("BFF_HOOKS_SECRETS is not set: nobody listens to these hooks yet.");
    }
    if settings.network.is_loopback() {
        remark("The public URL is on loopback, where a hosted database cannot reach it.");
    }
    Ok(())
}

fn triggers(public: &Url) -> String {
    let url = format!("{}/auth/hooks/revoke", public.origin().ascii_serialization());
    HOOKS.replace("{url}", &format!("'{}'", url.replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use base::clock::ManualClock;
    use base::entropy::SeededEntropy;
    use time::macros::datetime;

    use super::*;

    /// The address is one literal of SQL, and nothing is left to fill in but the secret.
    #[test]
    fn the_triggers_name_the_endpoint() {
        let text = triggers(&"https://app.example.test/".parse().unwrap());
        assert!(text.contains("url := 'https://app.example.test/auth/hooks/revoke',"));
        assert!(!text.contains('{'));
    }

    #[test]
    fn a_fresh_key_is_one_that_the_settings_accept() {
        let clock = ManualClock::at(datetime!(2026-03-04 12:00 UTC));
        let line = fresh_key(&clock, &SeededEntropy::new(1)).unwrap();
        assert!(line.expose().starts_with("k20260304-"));
        assert!(MasterKey::parse(line.expose()).is_ok());
        assert_ne!(fresh_key(&clock, &SeededEntropy::new(2)).unwrap(), line);
    }
}
