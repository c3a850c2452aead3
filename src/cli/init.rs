//! `init`: `.env` with a fresh session key, and a `bff.toml` in which every default can be read.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use base::clock::SystemClock;
use base::entropy::SystemEntropy;
use base::secret::Secret;

use super::{remark, say, tools};

const ENV: &str = include_str!("../../.env.example");
const TOML: &str = include_str!("init.toml");

/// Writes both files into `folder`, where they do not exist yet.
pub(super) fn run(folder: &Path) -> anyhow::Result<()> {
    let key = tools::fresh_key(&SystemClock, &SystemEntropy)?;
    write(folder, ".env", filled(&key).expose(), 0o600)?;
    write(folder, "bff.toml", TOML, 0o644)?;
    remark("Next: supabase-bff check, then supabase-bff. Keep .env out of version control.");
    Ok(())
}

/// `.env.example` with the key in its place.
fn filled(key: &Secret<String>) -> Secret<String> {
    let name = "BFF_SESSION_KEYS=";
    let line = |line: &str| match line.strip_prefix(name) {
        Some(_) => format!("{name}{}\n", key.expose()),
        None => format!("{line}\n"),
    };
    Secret::new(ENV.lines().map(line).collect())
}

fn write(folder: &Path, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(folder.join(name));
    match made {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).with_context(|| format!("cannot write {name}"))?;
            say(&format!("wrote {name}"))?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            say(&format!("{name} exists and was left as it is"))?
        }
        Err(error) => return Err(error).with_context(|| format!("cannot make {name}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use base::vars::{Problems, variable};

    use super::*;
    use crate::cli::load::{self, AUTH_VARIABLES, Start};
    use crate::config::{Inputs, known};

    fn inputs(folder: &Path) -> Inputs {
        Inputs { folder: folder.to_owned(), auth_variables: AUTH_VARIABLES, ..Inputs::default() }
    }

    /// S-87: what `init` writes is sound as it is, holds a fresh key that only its owner can read, and stays.
    #[test]
    fn init_writes_what_check_accepts_and_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let mode = std::fs::metadata(folder.path().join(".env")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut problems = Problems::default();
        let loaded = load::read(&inputs(folder.path()), Start::Looking, &mut problems).unwrap();
        assert!(loaded.is_some() && problems.list().is_empty(), "{:?}", problems.list());
        let (env, toml) = (read(".env"), read("bff.toml"));
        run(folder.path()).unwrap();
        assert_eq!((read(".env"), read("bff.toml")), (env.clone(), toml));
        let other = tempfile::tempdir().unwrap();
        run(other.path()).unwrap();
        assert_ne!(std::fs::read_to_string(other.path().join(".env")).unwrap(), env, "another key");
    }

    /// Every default of the written file, without its #, says what the program does anyway.
    #[test]
    fn the_file_names_every_key_with_its_default() {
        let folder = tempfile::tempdir().unwrap();
        let uncommented = |line: &str| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n";
        let (plain, examples) = TOML.split_at(TOML.find("# Ways to sign in").unwrap());
        let text: String = plain.lines().skip(3).map(uncommented).collect();
        std::fs::write(folder.path().join("bff.toml"), &text).unwrap();
        let mut problems = Problems::default();
        let given = load::read(&inputs(folder.path()), Start::Looking, &mut problems).unwrap();
        assert!(problems.list().is_empty(), "{:?}\n{text}", problems.list());
        let bare = tempfile::tempdir().unwrap();
        let default = load::read(&inputs(bare.path()), Start::Looking, &mut problems).unwrap();
        assert_eq!(format!("{:?}", given.unwrap()), format!("{:?}", default.unwrap()));

        let named: BTreeSet<String> = keys_of(&text);
        let known: BTreeSet<String> = known::KEYS.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(named, known);

        let example: String = examples
            .lines()
            .filter(|line| line.starts_with("# ") && (line.contains(" = ") || line.starts_with("# [")))
            .map(uncommented)
            .collect();
        std::fs::write(folder.path().join("bff.toml"), &example).unwrap();
        load::read(&inputs(folder.path()), Start::Looking, &mut problems).unwrap();
        assert!(problems.list().is_empty(), "{:?}\n{example}", problems.list());
    }

    fn keys_of(text: &str) -> BTreeSet<String> {
        let table: toml::Table = text.parse().unwrap();
        let inner = |(name, value): (String, toml::Value)| match value {
            toml::Value::Table(inner) => inner.keys().map(|key| format!("{name}.{key}")).collect(),
            _ => vec![name],
        };
        table.into_iter().flat_map(inner).collect()
    }

    /// `.env.example` holds exactly the names that the program reads, each once.
    #[test]
    fn the_example_holds_exactly_the_names_that_are_read() {
        let name = |line: &str| {
            let line = line.strip_prefix('#').unwrap_or(line);
            let (name, _) = line.split_once('=')?;
            name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_').then(|| name.to_owned())
        };
        let named: Vec<String> = ENV.lines().filter_map(name).collect();
        let set: BTreeSet<String> = named.iter().cloned().collect();
        assert_eq!(set.len(), named.len(), "no name twice");
        let read = known::KEYS.iter().map(|key| variable(key));
        let read = read.chain(known::VARIABLES.iter().chain(AUTH_VARIABLES).map(|name| (*name).to_owned()));
        assert_eq!(set, read.collect());
    }
}
