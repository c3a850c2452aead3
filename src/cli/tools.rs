//! `keys new` and `log-id`.

use anyhow::bail;
use base::clock::{Clock, SystemClock};
use base::entropy::{Entropy, SystemEntropy};
use base::seal::{KeyId, Keyring, MasterKey};
use base::secret::Secret;
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

#[cfg(test)]
mod tests {
    use base::clock::ManualClock;
    use base::entropy::SeededEntropy;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_fresh_key_is_one_that_the_settings_accept() {
        let clock = ManualClock::at(datetime!(2026-03-04 12:00 UTC));
        let line = fresh_key(&clock, &SeededEntropy::new(1)).unwrap();
        assert!(line.expose().starts_with("k20260304-"));
        assert!(MasterKey::parse(line.expose()).is_ok());
        assert_ne!(fresh_key(&clock, &SeededEntropy::new(2)).unwrap(), line);
    }
}
