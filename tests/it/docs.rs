//! The pages under `docs/` say what the code says.

use std::collections::BTreeSet;

use base::entropy::SystemEntropy;
use base::seal::{KeyId, MasterKey};
use base::vars::Problems;
use supabase_bff::config::known::{KEYS, SECTIONS, VARIABLES};
use supabase_bff::config::{Inputs, Network, Settings, Sources};
use supabase_bff::event::Reason;
use supabase_bff::web::error::Code;

const ERRORS: &str = include_str!("../../docs/errors.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");

/// The rows of the table below the heading `title`.
fn rows<'a>(page: &'a str, title: &str) -> Vec<&'a str> {
    let (_, below) = page.split_once(&format!("\n## {title}\n")).expect("the heading is there");
    let section = below.split("\n## ").next().unwrap_or_default();
    section.lines().filter(|line| line.starts_with("| `")).collect()
}

/// Every name between backticks, `…_FILE` and the like included.
fn names(page: &str) -> BTreeSet<&str> {
    page.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_error_code_is_told_as_it_is() {
    let row = |code: &Code| {
        format!("| `{}` | {} | {} | {} |", code.as_str(), code.status().as_u16(), code.title(), code.fix())
    };
    assert_eq!(rows(ERRORS, "Codes"), Code::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn every_reason_is_told() {
    let told = rows(ERRORS, "Reasons of an ended session");
    let words: Vec<_> = told.iter().filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(words, Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>());
}

#[test]
fn every_setting_is_told() {
    let told = names(CONFIGURATION);
    let plain = KEYS.iter().chain(VARIABLES).chain(auth_server::VARIABLES);
    let missing: Vec<_> = plain.filter(|name| !told.contains(**name)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
    for section in SECTIONS {
        assert!(CONFIGURATION.contains(&format!("[{section}]")), "{section}");
    }
}

#[test]
fn no_setting_is_invented() {
    let known: BTreeSet<&str> = KEYS.iter().chain(VARIABLES).chain(auth_server::VARIABLES).copied().collect();
    let looks_like_one = |name: &&str| {
        let variable = ["BFF_", "AUTH_", "SUPABASE_"].iter().any(|prefix| name.starts_with(prefix));
        let key = name.split_once('.').is_some_and(|(section, _)| {
            KEYS.iter().any(|known| known.split_once('.').is_some_and(|(own, _)| own == section))
        });
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        (variable || key) && name.chars().all(plain)
    };
    let variable_of = |key: &&str| format!("BFF_{}", key.replace('.', "_").to_uppercase());
    let variables: BTreeSet<String> = KEYS.iter().map(variable_of).collect();
    let told = names(CONFIGURATION);
    let invented: Vec<_> = told
        .iter()
        .filter(|name| looks_like_one(name) && !known.contains(**name) && !variables.contains(**name))
        .collect();
    assert_eq!(invented, [&"BFF_A_B_C"], "a name that no program reads, but for the pattern itself");
}

/// The blocks of a page in the language `kind`, one after the other.
fn blocks(page: &str, kind: &str) -> String {
    let fence = format!("```{kind}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// Whoever copies a `bff.toml` of a page has one that starts.
#[test]
fn examples_are_accepted() {
    let pages = [
        ("README.md", include_str!("../../README.md")),
        ("configuration.md", CONFIGURATION),
        ("policy.md", include_str!("../../docs/policy.md")),
    ];
    for (page, text) in pages {
        let toml: String = blocks(text, "toml")
            .lines()
            .filter(|line| !line.contains("supabase-bff = {"))
            .map(line)
            .collect();
        assert!(toml.contains("[upstreams]"), "{page}");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bff.toml"), toml.replace("[dependencies]\n", "")).unwrap();
        let project =
            [("SUPABASE_URL", "https://a.supabase.co"), ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_a")];
        let inputs = Inputs {
            environment: project.map(|(name, value)| (name.into(), value.into())).to_vec(),
            folder: folder.path().to_owned(),
            ..Inputs::default()
        };
        let mut problems = Problems::default();
        let sources = Sources::read(&inputs, &mut problems);
        let network = Network::read(&sources, &mut problems).unwrap();
        assert!(Settings::read(&sources, network, None, &mut problems).is_some(), "{page}");
        assert!(problems.list().is_empty(), "{page}: {problems:#?}");
    }
}

/// Whoever follows the page about forward-auth has a configuration that starts.
#[test]
fn the_forward_auth_example_is_accepted() {
    let page = include_str!("../../docs/forward-auth.md");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bff.toml"), blocks(page, "toml")).unwrap();
    let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SystemEntropy).to_text();
    let told = blocks(page, "sh");
    let told = told.lines().filter_map(|line| line.split_once('='));
    let project = [
        ("SUPABASE_URL", "https://a.supabase.co"),
        ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_a"),
        ("BFF_SESSION_KEYS", key.expose()),
    ];
    let env: Vec<_> = told.chain(project).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (settings, problems) = crate::reading::settings(&env, folder.path());
    assert!(settings.is_some_and(|settings| settings.forward_auth.is_some()), "{problems:#?}");
    assert!(problems.list().is_empty(), "{problems:#?}");
}

fn line(text: &str) -> String {
    format!("{text}\n")
}

/// Every rule that code or tests name can be looked up, and every one that is told is named somewhere.
#[test]
fn security_rules_are_told() {
    let told: BTreeSet<String> = rules(include_str!("../../docs/security.md"), "| ");
    let mut named = BTreeSet::new();
    let mut folders: Vec<_> = ["src", "crates", "tests", "benches"]
        .map(|folder| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                named.extend(rules(&std::fs::read_to_string(path).unwrap(), ""));
            }
        }
    }
    assert_eq!(told, named);
}

/// `S-` and digits, wherever `before` and nothing else of a word comes first.
fn rules(text: &str, before: &str) -> BTreeSet<String> {
    let start = format!("{before}S-");
    let places = text.match_indices(&start).filter(|(at, _)| {
        !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '"')
    });
    let numbers = places.map(|(at, _)| {
        let rest = &text[at + start.len()..];
        &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())]
    });
    numbers.filter(|number| number.len() >= 2).map(|number| format!("S-{number}")).collect()
}
