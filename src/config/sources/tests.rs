//! Layers, and what is found wrong with them.

use serde::Deserialize;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn inputs(&self, environment: &[(&str, &str)]) -> Inputs {
        Inputs {
            environment: environment.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            folder: self.0.path().to_owned(),
            auth_variables: &["AUTH_LISTEN"],
            ..Inputs::default()
        }
    }

    fn read(&self, environment: &[(&str, &str)]) -> (Sources, Vec<String>) {
        let mut problems = Problems::default();
        let sources = Sources::read(&self.inputs(environment), &mut problems);
        (sources, codes(&problems))
    }
}

fn codes(problems: &Problems) -> Vec<String> {
    problems.list().iter().map(|p| format!("{} {}", p.code, p.place)).collect()
}

fn text(sources: &Sources, name: &str) -> (String, String) {
    let found = sources.get(name).unwrap();
    match found.raw {
        vars::Raw::Text(text) => (text, found.place),
        vars::Raw::List(items) => (items.join("|"), found.place),
    }
}

#[test]
fn the_strongest_layer_wins_and_an_empty_one_is_passed_over() {
    let folder = Folder::with(&[
        (".env", "BFF_LISTEN=127.0.0.1:2\nOTHER=ignored\nBFF_DRAIN=2s\n"),
        (
            "bff.toml",
            "listen = '127.0.0.1:1'\ndrain = '1s'\nhsts_subdomains = true\n[limits]\nin_flight = 1_000\n",
        ),
    ]);
    let env = [("BFF_LISTEN", "127.0.0.1:3"), ("BFF_DRAIN", ""), ("PATH", "/bin")];
    let mut inputs = folder.inputs(&env);
    let mut problems = Problems::default();
    let sources = Sources::read(&inputs, &mut problems);
    assert_eq!(text(&sources, "listen"), ("127.0.0.1:3".into(), "BFF_LISTEN".into()));
    assert_eq!(text(&sources, "drain"), ("2s".into(), ".env: BFF_DRAIN".into()));
    assert_eq!(text(&sources, "hsts_subdomains"), ("true".into(), "bff.toml line 3: hsts_subdomains".into()));
    assert_eq!(text(&sources, "limits.in_flight").0, "1000");
    inputs.flags = vec![("listen", "--listen", "127.0.0.1:4".to_owned())];
    let sources = Sources::read(&inputs, &mut problems);
    assert_eq!(text(&sources, "listen"), ("127.0.0.1:4".into(), "--listen".into()));
    assert!(problems.list().is_empty(), "{:?}", problems.list());
}

#[test]
fn comments_and_quotes_of_dotenv_are_understood() {
    let env = "BFF_DRAIN=    # the client's drain\nBFF_LISTEN=127.0.0.1:2   # it's here\n# don't\nBFF_PAGES_TITLE=\"A # B's\"\n\
               BFF_PAGES_LOGO='a\nb # c'\nBFF_SUPABASE_MOUNT=/x#y\nexport BFF_LOG_LEVEL=warn\n";
    let (sources, faults) = Folder::with(&[(".env", env)]).read(&[]);
    assert_eq!(faults, Vec::<String>::new());
    let value = |name: &str| text(&sources, name).0;
    assert!(sources.get("drain").is_none());
    assert_eq!(value("listen"), "127.0.0.1:2");
    assert_eq!(value("pages.title"), "A # B's");
    assert_eq!(value("pages.logo"), "a\nb # c");
    assert_eq!(value("supabase.mount"), "/x#y");
    assert_eq!(value("log.level"), "warn");
}

/// S-93: every unknown name of every layer, in one list, with its line and a guess.
#[test]
fn unknown_names_are_all_listed() {
    let folder = Folder::with(&[
        (".env", "BFF_SESION_IDLE=7d\nAUTH_LISTEN=127.0.0.1:0\n"),
        (
            "bff.toml",
            "lisen = 'x'\n\n[session]\nidle = '7d'\nidel = '7d'\nkeys = 'k1:x'\ndomain = 'a'\n[nothing]\na = 1\n[listen]\nb = 1\n",
        ),
    ]);
    let env = [
        ("AUTH_LISTN", ""),
        ("BFF_X", "1"),
        ("SUPABASE_DB_PASSWORD", "x"),
        ("SUPABASE_PUBLISHABEL_KEY", "x"),
        ("BFF_COOKIE_DOMAIN", "example.com"),
    ];
    let mut problems = Problems::default();
    Sources::read(&folder.inputs(&env), &mut problems);
    let found = codes(&problems);
    assert_eq!(
        found,
        [
            "BFF-CONF-001 AUTH_LISTN",
            "BFF-CONF-001 BFF_X",
            "BFF-COOKIE-003 BFF_COOKIE_DOMAIN",
            "BFF-CONF-001 .env: BFF_SESION_IDLE",
            "BFF-CONF-001 bff.toml line 1: lisen",
            "BFF-CONF-001 bff.toml line 5: session.idel",
            "BFF-CONF-001 bff.toml line 6: session.keys",
            "BFF-COOKIE-003 bff.toml line 7: session.domain",
            "BFF-CONF-001 bff.toml line 9: nothing.a",
            "BFF-CONF-002 bff.toml line 10: listen",
            "BFF-CONF-001 SUPABASE_PUBLISHABEL_KEY",
        ]
    );
    let hints: Vec<_> = problems.list().iter().map(|p| p.fix.clone()).collect();
    assert_eq!(hints[0], "Did you mean AUTH_LISTEN?");
    assert_eq!(hints[5], "Did you mean session.idle?");
    assert_eq!(hints[6], "Set BFF_SESSION_KEYS in the environment or in .env.");
}

/// S-87: a line of `.env` that cannot be read is not repeated in the message.
#[test]
fn broken_files_are_named_without_their_content() {
    let folder = Folder::with(&[
        (".env", "BFF_SESSION_KEYS='hunter2\n"),
        ("bff.toml", "a = = 1\n[b\nlisten = 1.2.3\n"),
    ]);
    let mut problems = Problems::default();
    Sources::read(&folder.inputs(&[]), &mut problems);
    let found = codes(&problems);
    assert_eq!(found[0], "BFF-CONF-002 .env");
    assert!(found.iter().any(|p| p == "BFF-CONF-002 bff.toml line 1"), "{found:?}");
    assert!(found.iter().any(|p| p == "BFF-CONF-002 bff.toml line 2"), "{found:?}");
    assert!(!format!("{problems:?}").contains("hunter2"));
}

#[test]
fn the_file_may_be_absent_unless_it_is_named() {
    let folder = Folder::with(&[("other.toml", "drain = '3s'")]);
    assert_eq!(folder.read(&[]).1, Vec::<String>::new());
    assert_eq!(text(&folder.read(&[("BFF_CONFIG", "other.toml")]).0, "drain").0, "3s");
    assert_eq!(folder.read(&[("BFF_CONFIG", "none.toml")]).1, ["BFF-CONF-002 BFF_CONFIG"]);
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: String,
    #[serde(default)]
    size: u8,
    #[serde(default)]
    tags: Vec<String>,
}

/// S-93: one fault does not hide the next, within an entry and beside it; what is sound is still read.
#[test]
fn every_fault_of_every_entry_is_listed() {
    let toml = "\
[upstreams]
zeta = { name = 'z' }
bad = { name = 1, size = 300, tag = [], tags = ['a', 2] }
alpha = { name = 'a', size = 2 }
flat = 'x'
[[rules]]
name = 'one'
siz = 1
[[rules]]
size = 1
[[rules]]
name = 'three'
";
    let folder = Folder::with(&[("bff.toml", toml)]);
    let (sources, _) = folder.read(&[]);
    let mut problems = Problems::default();
    let read: Vec<Entry<Thing>> = sources.entries("upstreams", "BFF-CONF-001", &mut problems);
    let names: Vec<_> = read.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["zeta", "alpha"], "in the order of the file");
    assert_eq!(read[1].place, "bff.toml line 4: upstreams.alpha");
    let rules: Vec<Entry<Thing>> = sources.items("rules", &mut problems);
    assert_eq!(rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["three"]);
    let mut found = codes(&problems);
    found.sort();
    assert_eq!(
        found,
        [
            "BFF-CONF-001 bff.toml line 3: upstreams.bad.tag",
            "BFF-CONF-001 bff.toml line 8: rules.one.siz",
            "BFF-CONF-002 bff.toml line 3: upstreams.bad.name",
            "BFF-CONF-002 bff.toml line 3: upstreams.bad.size",
            "BFF-CONF-002 bff.toml line 3: upstreams.bad.tags",
            "BFF-CONF-002 bff.toml line 5: upstreams.flat",
            "BFF-CONF-002 bff.toml line 9: rules.2",
        ]
    );
    let unknown = problems.list().into_iter().find(|p| p.place.ends_with("bad.tag")).unwrap();
    assert_eq!(unknown.fix, "Did you mean tags?");
}
