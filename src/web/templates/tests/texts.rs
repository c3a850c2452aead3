//! The sentences: complete, alike and said somewhere, in every language that is built in.

use std::path::Path;

use super::*;

/// The languages that come with the program; the first is the measure of the others.
const BUILT_IN: [&str; 2] = ["en", "de"];

/// Sentences that two languages may share to the letter.
const SHARED: &[&str] = &[
    "demo-bff",
    "demo-browser",
    "demo-upstream",
    "dev-demo",
    "error-code",
    "field-name",
    "title-problem",
    "month-4",
    "month-8",
    "month-9",
    "month-11",
];

fn texts(code: &str) -> BTreeMap<String, String> {
    let texts = Texts::read(&built_in(&texts_file(code)));
    texts.all().map(|(key, text)| (key.to_owned(), text.to_owned())).collect()
}

/// The places of a sentence, in the order of their names.
fn places(text: &str) -> Vec<&str> {
    let mut places: Vec<_> = text.split("{ $").skip(1).filter_map(|rest| rest.split(" }").next()).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Each line of each file, as key and sentence.
fn lines(code: &str) -> Vec<(String, String)> {
    let file = built_in(&texts_file(code));
    let lines = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (key, text) = line.split_once(" = ").unwrap_or_else(|| panic!("{code}: no sentence: {line}"));
            (key.to_owned(), text.to_owned())
        })
        .collect()
}

#[test]
fn every_language_has_a_file_and_every_file_is_a_language() {
    let files: BTreeSet<_> = BuiltIn::iter().map(String::from).filter(|name| is_texts(name)).collect();
    assert_eq!(files, BUILT_IN.map(texts_file).into_iter().collect());
}

/// A key that is missing would be an error page in place of the page; a place too many likewise.
#[test]
fn every_language_says_the_same_with_the_same_places() {
    let english = texts(BUILT_IN[0]);
    for code in &BUILT_IN[1..] {
        let other = texts(code);
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) = (english.keys().collect(), other.keys().collect());
        let missing: Vec<_> = ours.difference(&theirs).collect();
        let surplus: Vec<_> = theirs.difference(&ours).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{code} lacks {missing:?} and has only {surplus:?}"
        );
        for (key, text) in &english {
            assert_eq!(places(text), places(&other[key]), "{code}: {key}");
            let untold = *text == other[key] && !SHARED.contains(&key.as_str());
            assert!(!untold, "{code} says {key} in English: translate it, or list it in SHARED");
        }
        for key in SHARED {
            assert_eq!(english.get(*key), other.get(*key), "{key} is no longer shared: take it off the list");
        }
    }
}

/// What an editor's eye passes over: keys that stand twice, braces that are no place, blanks, straight ellipses.
#[test]
fn every_line_is_well_formed() {
    for code in BUILT_IN {
        let lines = lines(code);
        let keys: BTreeSet<_> = lines.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), lines.len(), "{code}: a key stands twice");
        for (key, text) in &lines {
            assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{code}: {key}");
            let alias = text.strip_prefix("{ ").and_then(|text| text.strip_suffix(" }"));
            if let Some(other) = alias.filter(|other| !other.starts_with('$')) {
                assert!(
                    keys.contains(&other.to_owned()),
                    "{code}: {key} follows {other}, which is not there"
                );
                continue;
            }
            let places = text.matches("{ $").count();
            assert_eq!(
                (text.matches('{').count(), text.matches('}').count()),
                (places, places),
                "{code}: {key}"
            );
            assert!(!text.contains("  ") && text.trim() == text && !text.is_empty(), "{code}: {key}");
            assert!(!text.contains("...") && !text.contains(" !"), "{code}: {key}");
        }
    }
}

/// German addresses people as Sie.
#[test]
fn german_is_polite() {
    for (key, text) in texts("de") {
        let words = text.split(|c: char| !c.is_alphabetic());
        let familiar = ["du", "dich", "dir", "dein", "deine", "deinen", "deiner", "deinem"];
        let found: Vec<_> = words.filter(|word| familiar.contains(&word.to_lowercase().as_str())).collect();
        assert!(found.is_empty(), "{key}: {found:?}");
    }
}

#[test]
fn every_sample_of_every_view_renders_in_german() {
    let settings = Settings { languages: vec!["de".to_owned()], ..Settings::default() };
    let templates = Templates::new(&settings, &Assets::new(&settings), None).unwrap();
    templates.try_all().unwrap();
    let login = templates.render(&FRAME, &LoginPage::default()).unwrap();
    assert!(login.contains("<html lang=\"de\">") && login.contains(">Anmelden</button>"), "{login}");
}

/// The closed lists: each code and each reason speaks for itself.
#[test]
fn every_code_and_reason_has_its_own_sentence() {
    for code in BUILT_IN {
        let texts = texts(code);
        let known = |key: &str| texts.contains_key(key);
        for page in ErrorPage::samples().iter().filter(|page| page.status < 599) {
            assert!(known(&format!("error-{}", page.code)), "{}", page.code);
            assert!(known(&format!("title-{}", page.status)), "{}", page.status);
        }
        for page in LoginPage::samples() {
            if let Some(views::LoginNotice::Reason { reason }) = page.notice {
                assert!(known(&format!("reason-{reason}")), "{reason}");
            }
        }
    }
    let later =
        pages::<ErrorPage<'_>>().into_iter().find(|html| html.contains("of_a_later_version")).unwrap();
    assert!(
        later.contains("Something went wrong. Try again.") && later.contains("A fault on our side"),
        "{later}"
    );
}

/// The source of every view, whoever added it.
fn views_source() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let mut source = std::fs::read_to_string(root.join("views.rs")).unwrap();
    let mut folders = vec![root.join("views")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                source.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    source
}

/// A sentence that no page says is dead weight. Keys built from parts are known by their first part.
#[test]
fn every_text_is_said_somewhere() {
    let families = [
        "reason-",
        "title-",
        "confirm-",
        "demo-call-",
        "wait-",
        "check-signup",
        "step-",
        "month-",
        "link-",
        "docs-who-",
    ];
    let sources: String =
        BuiltIn::iter().filter(|name| !is_texts(name)).map(|name| built_in(&name)).collect();
    let code = views_source();
    let pages = ErrorPage::samples();
    for key in texts("en").keys().filter(|key| *key != "language-name") {
        let quoted = format!("\"{key}\"");
        let said = sources.contains(&quoted) || code.contains(&quoted);
        let by_code =
            key.strip_prefix("error-").is_some_and(|code| pages.iter().any(|page| page.code == code));
        assert!(said || by_code || families.iter().any(|family| key.starts_with(family)), "{key}");
    }
}
