//! When an old session key may go (S-12): once nothing that it sealed can be alive.
//!
//! Each start of the server notes in the data folder since when it has had which keys behind the first one. A key that
//! was behind for longer than `session.absolute` has sealed no session that is still good.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base::seal::{Keyring, MasterKey};
use base::vars::{Problems, REDACTED};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::{SessionKeys, Settings};

const FILE: &str = "session-keys.behind.json";

/// When each key was first seen behind another, by its name and a mark of its bytes.
type Behind = BTreeMap<String, i64>;

/// Notes which keys are behind at this start. A folder that cannot be written costs the finding and nothing else.
pub(super) fn note(settings: &Settings, now: OffsetDateTime) {
    let known = read(settings);
    let behind = marks(settings).map(|(_, mark)| {
        let since = known.get(&mark).copied().unwrap_or(now.unix_timestamp());
        (mark, since)
    });
    let behind: Behind = behind.collect();
    if behind != known
        && let Err(error) = write(settings, &behind)
    {
        tracing::warn!(%error, "since when session keys are old cannot be noted");
    }
}

/// BFF-COOKIE-004 for each key that may go.
pub(super) fn findings(settings: &Settings, now: OffsetDateTime, problems: &mut Problems) {
    let known = read(settings);
    for (key, mark) in marks(settings) {
        let since = known.get(&mark).and_then(|since| OffsetDateTime::from_unix_timestamp(*since).ok());
        let Some(since) = since.filter(|since| now - *since > settings.session.absolute) else { continue };
        let day = since.date();
        let why = format!(
            "The key {} has sealed nothing here since {day}, and no session lives that long.",
            key.id
        );
        let fix = "Remove it, if every node had the present first key by then.";
        problems.warning("BFF-COOKIE-004", "BFF_SESSION_KEYS", Some(REDACTED), why, fix);
    }
}

/// The keys behind the first, with what they are noted as.
fn marks(settings: &Settings) -> impl Iterator<Item = (&MasterKey, String)> {
    let keys = match &settings.keys {
        SessionKeys::Given { keys, .. } => keys.as_slice(),
        SessionKeys::ToMake(_) => &[],
    };
    keys.iter().skip(1).filter_map(|key| {
        let mac = Keyring::new(std::slice::from_ref(key))?.purpose("behind").mac(&[b"mark"]);
        let mark: String = mac[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Some((key, format!("{} {mark}", key.id)))
    })
}

fn path(settings: &Settings) -> PathBuf {
    settings.network.data_dir.join(FILE)
}

/// What was noted; a file that is absent or damaged tells nothing.
fn read(settings: &Settings) -> Behind {
    let text = std::fs::read_to_string(path(settings)).unwrap_or_default();
    let noted: BTreeMap<String, String> = serde_json::from_str(&text).unwrap_or_default();
    let time = |text: &str| Some(OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp());
    noted.into_iter().filter_map(|(mark, since)| Some((mark, time(&since)?))).collect()
}

fn write(settings: &Settings, behind: &Behind) -> std::io::Result<()> {
    let time = |since: i64| OffsetDateTime::from_unix_timestamp(since).ok()?.format(&Rfc3339).ok();
    let noted = behind.iter().filter_map(|(mark, since)| Some((mark, time(*since)?)));
    let text = serde_json::to_string_pretty(&noted.collect::<BTreeMap<_, _>>())?;
    let path = path(settings);
    std::fs::create_dir_all(&settings.network.data_dir)?;
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, &path)
}

#[cfg(test)]
mod tests {
    use base::entropy::SeededEntropy;
    use base::seal::KeyId;
    use base::vars::Problems;
    use time::Duration;

    use super::*;
    use crate::config::{Inputs, Network, Sources};

    const START: OffsetDateTime = time::macros::datetime!(2026-01-01 12:00 UTC);

    fn key(id: &str, seed: u64) -> String {
        MasterKey::generate(KeyId::parse(id).unwrap(), &SeededEntropy::new(seed)).to_text().expose().clone()
    }

    fn settings(folder: &tempfile::TempDir, keys: &[&str]) -> Settings {
        let data = folder.path().join("data").display().to_string();
        let pairs = [
            ("SUPABASE_URL", "https://abc.supabase.co"),
            ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_1"),
            ("BFF_DATA_DIR", &data),
            ("BFF_SESSION_KEYS", &keys.join(",")),
        ];
        let inputs = Inputs {
            environment: pairs.map(|(name, value)| (name.into(), value.into())).to_vec(),
            folder: folder.path().to_owned(),
            ..Inputs::default()
        };
        let mut problems = Problems::default();
        let sources = Sources::read(&inputs, &mut problems);
        let network = Network::read(&sources, &mut problems).unwrap();
        Settings::read(&sources, network, None, &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
    }

    fn told(settings: &Settings, now: OffsetDateTime) -> Vec<String> {
        let mut problems = Problems::default();
        findings(settings, now, &mut problems);
        problems.list().iter().map(|finding| format!("{} {}", finding.code, finding.why)).collect()
    }

    /// S-12: an old key may go when the longest session of its time is over, and not a day sooner.
    #[test]
    fn an_old_key_may_go_after_the_longest_session() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (key("k1", 1), key("k2", 2));
        note(&settings(&folder, &[&old]), START);
        let rolled = settings(&folder, &[&new, &old]);
        assert_eq!(told(&rolled, START + Duration::days(99)), [""; 0], "nobody has noted anything yet");
        let moved = START + Duration::days(3);
        note(&rolled, moved);
        note(&rolled, moved + Duration::days(20)); // a restart changes nothing
        assert_eq!(told(&rolled, moved + Duration::days(30)), [""; 0]);
        let late = moved + Duration::days(30) + Duration::SECOND;
        let why = "BFF-COOKIE-004 The key k1 has sealed nothing here since 2026-01-04, and no session lives that long.";
        assert_eq!(told(&rolled, late), [why]);
        assert_eq!(told(&settings(&folder, &[&new]), late), [""; 0], "it is gone");
    }

    /// S-12: a key that comes to the front again begins anew, and so does another key of the same name.
    #[test]
    fn only_time_behind_without_a_break_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (key("k1", 1), key("k2", 2));
        note(&settings(&folder, &[&two, &one]), START);
        note(&settings(&folder, &[&one, &two]), START + Duration::days(29));
        let back = settings(&folder, &[&two, &one]);
        note(&back, START + Duration::days(30));
        assert_eq!(told(&back, START + Duration::days(59)), [""; 0]);
        assert_eq!(told(&back, START + Duration::days(61)).len(), 1);
        let namesake = settings(&folder, &[&two, &key("k1", 3)]);
        assert_eq!(told(&namesake, START + Duration::days(99)), [""; 0]);
    }

    /// S-87: the note tells no key, and a damaged one tells nothing.
    #[test]
    fn the_note_is_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (key("k1", 1), key("k2", 2));
        let rolled = settings(&folder, &[&new, &old]);
        note(&rolled, START);
        let text = std::fs::read_to_string(path(&rolled)).unwrap();
        assert!(!text.contains(&old[3..]) && !text.contains(&new[3..]), "{text}");
        std::fs::write(path(&rolled), "{").unwrap();
        assert_eq!(told(&rolled, START + Duration::days(99)), [""; 0]);
        note(&rolled, START + Duration::days(1));
        assert_eq!(told(&rolled, START + Duration::days(32)).len(), 1);
    }
}
