//! Holds the source tree to its map: which module may name which, and what no file may hold.

#[path = "layers/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module of `src` and those it may name. Every name stands in a row further down, so no cycle can form.
/// `lib.rs` is the map itself; `main.rs` may name `cli`.
const ARROWS: &[(&str, &[&str])] = &[
    ("cli", &["demo", "app", "config", "web", "policy", "event"]),
    ("testing", &["app", "limit"]),
    ("demo", &["web", "policy", "token"]),
    (
        "app",
        &[
            "config", "web", "store", "flow", "session", "gateway", "limit", "policy", "gotrue", "token",
            "event",
        ],
    ),
    ("config", &["web", "store", "flow", "session", "gateway", "limit", "policy", "gotrue", "token"]),
    ("web", &["flow", "session", "gateway", "limit", "policy", "token", "event"]),
    ("store", &["session", "limit", "event"]),
    ("flow", &["session", "limit", "gotrue", "pkce", "token", "event"]),
    ("session", &["limit", "gotrue", "token", "event"]),
    ("gateway", &["policy", "event"]),
    ("policy", &["token"]),
    ("gotrue", &["pkce"]),
    ("limit", &[]),
    ("pkce", &[]),
    ("token", &[]),
    ("event", &[]),
];

/// Modules that may name the embedded auth server; all others reach it over HTTP.
const STARTS_THE_AUTH_SERVER: &[&str] = &["cli", "testing"];

/// No file is longer.
const MOST_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text files below `folder` that belong to the project, with their paths relative to the root.
fn files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path: PathBuf = entry.expect("a readable folder").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", "node_modules", "data", ".git"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if let (Ok(text), false) = (fs::read_to_string(&path), name == ".env" || name == ".git") {
                let place = path.strip_prefix(root()).expect("a path below the root").display().to_string();
                found.push((place.replace('\\', "/"), text));
            }
        }
    }
    found.sort();
    found
}

fn rust_files(folders: &[&str]) -> Vec<(String, String)> {
    let all = folders.iter().flat_map(|folder| files(folder));
    all.filter(|(place, _)| place.ends_with(".rs")).collect()
}

/// `src/web/pages/login.rs` holds `web`, `pages`, `login`; `lib.rs` and `main.rs` hold the root.
fn module(place: &str) -> Vec<String> {
    let inner = place.trim_start_matches("src/").trim_end_matches(".rs");
    if matches!(inner, "lib" | "main") { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
}

/// Every breach of `arrows` in `sources`, as sentences.
fn breaches(sources: &[(String, String)], arrows: &[(&str, &[&str])]) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = arrows.iter().copied().collect();
    let read: Vec<_> = sources
        .iter()
        .filter(|(place, _)| place != "src/lib.rs")
        .map(|(place, text)| (place, module(place), imports::of(text, &module(place))))
        .collect();
    let for_tests: BTreeSet<&Vec<String>> = read.iter().flat_map(|(_, _, found)| &found.for_tests).collect();
    let mut breaches = Vec::new();
    for (place, module, found) in &read {
        if for_tests.iter().any(|path| module.starts_with(path)) {
            continue;
        }
        let own = module.first().map_or("main", String::as_str);
        let may: &[&str] = if own == "main" { &["cli"] } else { allowed.get(own).copied().unwrap_or(&[]) };
        if own != "main" && !allowed.contains_key(own) {
            breaches.push(format!("{place}: the module `{own}` has no row in ARROWS"));
        }
        for name in found.names.iter().filter(|name| *name != own && !may.contains(&name.as_str())) {
            breaches.push(format!("{place}: `{own}` may not name `{name}`"));
        }
    }
    breaches
}

/// Arrows that do not point down.
fn rising(arrows: &[(&str, &[&str])]) -> Vec<String> {
    let row = |name: &str| arrows.iter().position(|(module, _)| *module == name);
    let mut rising = Vec::new();
    for (at, (module, below)) in arrows.iter().enumerate() {
        for name in below.iter().filter(|name| row(name).is_none_or(|target| target <= at)) {
            rising.push(format!("{module} -> {name}"));
        }
    }
    rising
}

fn nothing(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn modules_name_only_what_stands_below_them() {
    let sources = rust_files(&["src"]);
    assert!(sources.len() > 100, "the source tree was not found");
    nothing(&breaches(&sources, ARROWS));
}

#[test]
fn every_arrow_points_down_to_a_module_that_exists() {
    nothing(&rising(ARROWS));
    for (module, _) in ARROWS {
        assert!(root().join(format!("src/{module}.rs")).is_file(), "ARROWS names {module}, which is gone");
    }
}

#[test]
fn only_the_command_line_and_tests_start_the_auth_server() {
    let mut namers: Vec<String> = Vec::new();
    for (place, text) in rust_files(&["src", "crates/base"]) {
        let own = module(&place).first().cloned().unwrap_or_default();
        if imports::tokens(&text).contains(&"auth_server") && !STARTS_THE_AUTH_SERVER.contains(&own.as_str())
        {
            namers.push(format!("{place} names the auth server"));
        }
    }
    nothing(&namers);
}

#[test]
fn files_open_with_their_purpose_and_stay_short() {
    let mut faults = Vec::new();
    for (place, text) in rust_files(&["src", "crates", "tests", "examples", "benches"]) {
        if !text.starts_with("//! ") {
            faults.push(format!("{place}: does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            faults.push(format!("{place}: {lines} lines, of at most {MOST_LINES}"));
        }
    }
    nothing(&faults);
}

#[test]
fn the_auth_server_stays_the_smaller_part() {
    let lines = |folders: &[&str]| -> usize {
        rust_files(folders).iter().map(|(_, text)| text.lines().count()).sum()
    };
    let server = lines(&["crates/auth-server/src"]);
    let all = server + lines(&["src", "crates/base/src"]);
    assert!(server > 0 && server * 3 < all, "the auth server is {server} of {all} lines");
}

/// Words that no file may hold, written apart so that this one does not.
fn banned(place: &str) -> Vec<String> {
    let mut words: Vec<String> = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"], ["../sha", "red"]]
        .map(|halves| halves.concat())
        .to_vec();
    if place.ends_with(".rs") {
        let code = [["to", "do!"], ["unimple", "mented!"], ["db", "g!"], ["thread::", "sleep"]];
        words.extend(code.map(|halves| halves.concat()));
    }
    if place.contains("templates/") && !place.ends_with(".rs") {
        words.extend(["|safe", "| safe", "autoescape"].map(str::to_owned));
    }
    words
}

#[test]
fn no_file_holds_a_leftover_or_a_path_of_its_author() {
    let mut faults = Vec::new();
    for (place, text) in files("") {
        for word in banned(&place).iter().filter(|word| text.contains(word.as_str())) {
            faults.push(format!("{place}: holds {word}"));
        }
    }
    nothing(&faults);
}

/// The checks above can fail.
mod checks {
    use super::*;

    fn names(source: &str, path: &[&str]) -> Vec<String> {
        let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
        imports::of(source, &path).names.into_iter().collect()
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        assert_eq!(names("use crate::a::B;", &["x"]), ["a"]);
        assert_eq!(names("use crate::{a, b::{C, d::{E, F}}, g as h};", &["x"]), ["a", "b", "g"]);
        assert_eq!(
            names("pub(crate) use crate::a; fn f() -> crate::b::C { crate::d::e() }", &["x"]),
            ["a", "b", "d"]
        );
        assert_eq!(names("macro_rules! m { () => { $crate::a::b() } }", &["x"]), ["a"]);
        assert_eq!(names("fn main() { supabase_bff::cli::run() }", &[]), ["cli"]);
        assert_eq!(names("use crate::*;", &["x"]), ["*"]);
    }

    #[test]
    fn super_is_followed_to_the_root() {
        assert_eq!(names("use super::a::B;", &["x"]), ["a"]);
        assert_eq!(names("use super::a::B;", &["x", "y"]), ["x"]);
        assert_eq!(names("use super::super::{a, b::C};", &["x", "y"]), ["a", "b"]);
        assert_eq!(names("use super::{super::a, b};", &["x", "y"]), ["a", "x"]);
        assert_eq!(names("mod inner { use super::super::a; } use super::b;", &["x"]), ["a", "b"]);
        assert_eq!(names("mod inner { fn f() { if c {} } } use super::b;", &["x", "y"]), ["x"]);
    }

    #[test]
    fn text_is_no_code() {
        let source = "// crate::a\n/* crate::b /* crate::c */ crate::d */ \"crate::e \\\" crate::f\" \
            r#\"crate::g\"# 'x' b'\\'' '\"' fn f<'a>(_: &'a str) { crate::h() } //! [x](crate::i)";
        assert_eq!(names(source, &["x"]), ["h"]);
    }

    #[test]
    fn tests_may_name_anything() {
        assert_eq!(names("#[cfg(test)] mod tests { use crate::a; } use crate::b;", &["x"]), ["b"]);
        assert_eq!(names("#[cfg(test)] use crate::{a, c}; use crate::b;", &["x"]), ["b"]);
        assert_eq!(names("struct S { #[cfg(test)] a: crate::a::A, b: crate::b::B }", &["x"]), ["b"]);
        assert_eq!(
            names("#[cfg(test)] #[must_use] fn f<A, B>() { crate::a() } use crate::b;", &["x"]),
            ["b"]
        );
        let found = imports::of("#[cfg(test)] pub(crate) mod tests; use crate::b;", &["x".to_owned()]);
        assert_eq!(found.for_tests.into_iter().collect::<Vec<_>>(), [["x", "tests"]]);
    }

    fn tree(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|&(place, text)| (place.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn a_breach_is_told() {
        let arrows: &[(&str, &[&str])] = &[("cli", &["high"]), ("high", &["low"]), ("low", &[])];
        let sound = tree(&[
            ("src/main.rs", "use supabase_bff::cli;"),
            ("src/high.rs", "use crate::low::A; use crate::high::b;"),
            ("src/low.rs", "#[cfg(test)] mod tests;"),
            ("src/low/tests.rs", "use crate::high::B;"),
            ("src/low/tests/deep.rs", "use crate::high::B;"),
        ]);
        assert_eq!(breaches(&sound, arrows), Vec::<String>::new());
        let broken = tree(&[
            ("src/main.rs", "use supabase_bff::low;"),
            ("src/low/deep.rs", "fn f() { super::super::high::g() }"),
            ("src/new.rs", ""),
        ]);
        assert_eq!(
            breaches(&broken, arrows),
            [
                "src/main.rs: `main` may not name `low`",
                "src/low/deep.rs: `low` may not name `high`",
                "src/new.rs: the module `new` has no row in ARROWS",
            ]
        );
    }

    #[test]
    fn a_ring_is_told() {
        assert_eq!(
            rising(&[("a", &["b"]), ("b", &["a"]), ("c", &["c", "d"])]),
            ["b -> a", "c -> c", "c -> d"]
        );
    }

    #[test]
    fn banned_words_are_known() {
        assert!(banned("src/a.rs").contains(&["db", "g!"].concat()));
        assert!(banned("templates/a.html").contains(&"|safe".to_owned()));
        assert!(!banned("README.md").contains(&"|safe".to_owned()));
    }
}
