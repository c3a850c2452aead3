//! Which modules of its crate a source file names: in `use`, nested or not, and in paths amid the code.

use std::collections::BTreeSet;

/// What one file says about the modules around it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imports {
    /// Names directly below the crate's root, code under `#[cfg(test)]` left out; `*` for a glob.
    pub names: BTreeSet<String>,
    /// Modules in files of their own that are compiled for tests alone: whole paths.
    pub for_tests: BTreeSet<Vec<String>>,
}

/// Reads a file that holds the module `path` (empty for the root of the crate).
pub fn of(source: &str, path: &[String]) -> Imports {
    let tokens = tokens(source);
    let mut reader = Reader { tokens: &tokens, at: 0, found: Imports::default() };
    reader.items(path);
    reader.found
}

/// Words, `::` and single marks; comments, strings, characters and lifetimes fall out.
pub fn tokens(source: &str) -> Vec<&str> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let open = rest.find('"').map_or(rest.len(), |quote| quote + 1);
            rest[open..].find(&end).map_or(rest.len(), |close| open + close + end.len())
        } else if bytes[at] == b'"' {
            quoted(rest)
        } else if bytes[at] == b'\'' {
            character(rest)
        } else if rest.starts_with("::") {
            tokens.push(&rest[..2]);
            2
        } else {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = if word > 0 { word } else { rest.chars().next().map_or(1, char::len_utf8) };
            if !rest[..length].trim().is_empty() {
                tokens.push(&rest[..length]);
            }
            length
        };
        at += length;
    }
    tokens
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The number of hashes of the raw string that begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let open = ["r", "br", "cr"].iter().find_map(|start| rest.strip_prefix(start))?;
    let text = open.trim_start_matches('#');
    text.starts_with('"').then_some(open.len() - text.len())
}

/// The length of the string that begins here.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of the character that begins here; of a lifetime, its tick alone.
fn character(rest: &str) -> usize {
    let inner: Vec<char> = rest.chars().skip(1).take(2).collect();
    match inner[..] {
        ['\\', escaped] => {
            let past = 2 + escaped.len_utf8();
            rest[past..].find('\'').map_or(rest.len(), |end| past + end + 1)
        }
        [plain, '\''] => 2 + plain.len_utf8(),
        _ => 1,
    }
}

/// What may begin an item; anything else under `#[cfg(test)]` is a field, a variant, an arm or a statement.
const ITEMS: [&str; 13] = [
    "pub", "use", "mod", "fn", "async", "const", "static", "struct", "enum", "trait", "impl", "type",
    "extern",
];

struct Reader<'a> {
    tokens: &'a [&'a str],
    at: usize,
    found: Imports,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).copied().unwrap_or_default()
    }

    /// Reads up to the end of the module `path`.
    fn items(&mut self, path: &[String]) {
        let mut depth = 0_usize;
        while self.at < self.tokens.len() {
            let follows_path = self.at > 0 && self.tokens[self.at - 1] == "::";
            match self.peek(0) {
                "#" if self.tokens[self.at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) => {
                    self.at += 7;
                    self.skip_item(path);
                }
                "mod" if self.peek(2) == "{" => {
                    let inner = [path, &[self.peek(1).to_owned()]].concat();
                    self.at += 3;
                    self.items(&inner);
                }
                "crate" | "supabase_bff" if !follows_path && self.peek(1) == "::" => {
                    self.at += 2;
                    self.tree(&[]);
                }
                "super" if !follows_path && self.peek(1) == "::" => self.tree(path),
                "{" => {
                    depth += 1;
                    self.at += 1;
                }
                "}" => {
                    self.at += 1;
                    if depth == 0 {
                        return;
                    }
                    depth -= 1;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Reads a path, or a group of paths, that begins in the module `from`.
    fn tree(&mut self, from: &[String]) {
        match self.peek(0) {
            "super" => {
                self.at += 1;
                if self.peek(0) == "::" {
                    self.at += 1;
                    self.tree(&from[..from.len().saturating_sub(1)]);
                }
            }
            "{" => {
                self.at += 1;
                while !["}", ""].contains(&self.peek(0)) {
                    self.tree(from);
                    // The rest of this path, an alias, the comma.
                    let mut depth = 0;
                    while !self.peek(0).is_empty() && (depth > 0 || ![",", "}"].contains(&self.peek(0))) {
                        depth += i32::from(self.peek(0) == "{") - i32::from(self.peek(0) == "}");
                        self.at += 1;
                    }
                    self.at += usize::from(self.peek(0) == ",");
                }
                self.at += 1;
            }
            name => {
                let first = from.first().map_or(name, String::as_str).to_owned();
                self.found.names.insert(first);
                self.at += 1;
            }
        }
    }

    /// Passes over what follows `#[cfg(test)]`.
    fn skip_item(&mut self, path: &[String]) {
        while self.peek(0) == "#" {
            while !["]", ""].contains(&self.peek(0)) {
                self.at += 1;
            }
            self.at += 1;
        }
        let is_item = ITEMS.contains(&self.peek(0));
        let is_use =
            self.tokens[self.at..].iter().take_while(|token| **token != "{").any(|token| *token == "use");
        let (mut depth, mut seen, start) = (0, "", self.at);
        while self.at < self.tokens.len() {
            let token = self.tokens[self.at];
            match token {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" if depth == 0 => return,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 && (token == ";" || (token == "," && !is_item)) {
                if self.at >= start + 3 && self.tokens[self.at - 3] == "mod" {
                    self.found.for_tests.insert([path, &[seen.to_owned()]].concat());
                }
                return;
            }
            if depth == 0 && token == "}" && is_item && !is_use {
                return;
            }
            seen = token;
        }
    }
}
