//! One path: judged once on its raw bytes, then matched and forwarded as it stands (S-49).

use std::ops::Deref;

/// What an upstream takes although most servers read it in more than one way. Nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AllowEncoded {
    /// `;` inside a segment (`allow_encoded = [";"]`).
    pub semicolon: bool,
    /// `%2f` inside a segment (`allow_encoded = ["%2f"]`).
    pub slash: bool,
}

impl AllowEncoded {
    /// Everything that some upstream may allow. For the look-up of the rule, whose upstream then has the last word.
    pub const ALL: Self = Self { semicolon: true, slash: true };
}

/// Why a path goes nowhere. Every one of them is a 400 `bad_path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It does not begin with `/`, as in `OPTIONS *`.
    #[error("the path does not begin with a slash")]
    Rootless,
    /// `//`: some servers merge the two, others do not.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`, also before a `;` or next to a `%2f`.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `\`, `#`, `?`, a space, a control, anything outside ASCII, or a `;` that the upstream does not take.
    #[error("the path holds a byte that does not belong there")]
    Byte(u8),
    /// `%` without two hexadecimal digits.
    #[error("the path has a broken escape")]
    BrokenEscape,
    /// `%5c`, `%2e`, `%00`, or a `%2f` that the upstream does not take.
    #[error("the path hides a special character in an escape")]
    Escape(u8),
}

/// A path that all servers read alike. It derefs to the very bytes that were judged; the query is no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<'a> {
    raw: &'a str,
    needs: AllowEncoded,
}

impl<'a> Path<'a> {
    /// Judges the undecoded path of a request target.
    ///
    /// A slash at the end is allowed: it makes another path, not a second reading of the same one. Escapes of other
    /// bytes (`%20`, UTF-8) stay as they are.
    ///
    /// # Errors
    ///
    /// [`BadPath`] for the first fault from the left.
    pub fn judge(raw: &'a str, allow: AllowEncoded) -> Result<Self, BadPath> {
        let bytes = raw.as_bytes();
        if bytes.first() != Some(&b'/') {
            return Err(BadPath::Rootless);
        }
        let mut needs = AllowEncoded::default();
        // `segment` runs from slash to slash; `part` also begins anew at each `;` and `%2f`.
        let (mut segment, mut part, mut at) = (1, 1, 1);
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'/' => {
                    no_dots(&bytes[part..at])?;
                    if segment == at {
                        return Err(BadPath::EmptySegment);
                    }
                    (segment, part) = (at + 1, at + 1);
                }
                b'%' => {
                    let escaped = escape(bytes.get(at + 1..at + 3))?;
                    match escaped {
                        b'/' if allow.slash => {
                            no_dots(&bytes[part..at])?;
                            needs.slash = true;
                            part = at + 3;
                        }
                        b'/' | b'\\' | b'.' | 0 => return Err(BadPath::Escape(escaped)),
                        _ => {}
                    }
                    at += 2;
                }
                b';' if allow.semicolon => {
                    no_dots(&bytes[part..at])?;
                    if segment == at {
                        return Err(BadPath::EmptySegment); // `/;x/` is `//` to a server that cuts parameters off
                    }
                    needs.semicolon = true;
                    part = at + 1;
                }
                b';' | b'\\' | b'#' | b'?' | 0..=b' ' | 0x7f.. => return Err(BadPath::Byte(byte)),
                _ => {}
            }
            at += 1;
        }
        no_dots(&bytes[part..])?;
        Ok(Self { raw, needs })
    }

    /// Whether an upstream that allows `allow` takes this path.
    pub fn fits(&self, allow: AllowEncoded) -> bool {
        (allow.semicolon || !self.needs.semicolon) && (allow.slash || !self.needs.slash)
    }

    /// What follows `prefix`, beginning with a slash or empty; `None` if `prefix` does not end at a segment's end.
    pub fn below(&self, prefix: &str) -> Option<&'a str> {
        let rest = self.raw.strip_prefix(prefix.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

impl Deref for Path<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.raw
    }
}

fn no_dots(part: &[u8]) -> Result<(), BadPath> {
    if matches!(part, b"." | b"..") { Err(BadPath::DotSegment) } else { Ok(()) }
}

fn escape(digits: Option<&[u8]>) -> Result<u8, BadPath> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok());
    match digits {
        Some(&[high, low]) => match (value(high), value(low)) {
            (Some(high), Some(low)) => Ok(high << 4 | low),
            _ => Err(BadPath::BrokenEscape),
        },
        _ => Err(BadPath::BrokenEscape),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: AllowEncoded = AllowEncoded { semicolon: false, slash: false };

    /// S-49: the corpus of ways to make a matcher and an upstream see two paths.
    #[test]
    fn ambiguous_paths_are_refused() {
        use BadPath::{BrokenEscape, Byte, DotSegment, EmptySegment, Escape, Rootless};
        for (path, fault) in [
            ("", Rootless),
            ("*", Rootless),
            ("admin", Rootless),
            ("//", EmptySegment),
            ("//x", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("/.", DotSegment),
            ("/..", DotSegment),
            ("/public/../admin", DotSegment),
            ("/public/./admin", DotSegment),
            ("/public/..", DotSegment),
            ("/%2e%2e/admin", Escape(b'.')),
            ("/.%2E/admin", Escape(b'.')),
            ("/a%2fb", Escape(b'/')),
            ("/a%2Fb", Escape(b'/')),
            ("/a%5cb", Escape(b'\\')),
            ("/a%00", Escape(0)),
            ("/a\\b", Byte(b'\\')),
            ("/foo#/bar", Byte(b'#')),
            ("/foo?/bar", Byte(b'?')),
            ("/x;a/y", Byte(b';')),
            ("/a b", Byte(b' ')),
            ("/a\tb", Byte(b'\t')),
            ("/a\rb", Byte(b'\r')),
            ("/a\0b", Byte(0)),
            ("/a\u{7f}", Byte(0x7f)),
            ("/ä", Byte(0xc3)),
            ("/a%", BrokenEscape),
            ("/a%4", BrokenEscape),
            ("/a%zz", BrokenEscape),
            ("/a%+1", BrokenEscape),
            ("/a%u002e", BrokenEscape),
        ] {
            assert_eq!(Path::judge(path, NONE).map(|p| p.raw), Err(fault), "{path:?}");
        }
    }

    #[test]
    fn ordinary_paths_pass_as_they_are() {
        for path in [
            "/",
            "/rest/v1/notes",
            "/rest/v1/@evil",
            "/a/",
            "/...",
            "/.well-known/x",
            "/a.b/c..d",
            "/a%20b",
            "/caf%C3%A9",
            "/%252e%252e/x",
            "/a:b,c=d&e+f!g~h_i-j(k)*'$|^",
        ] {
            assert_eq!(Path::judge(path, NONE).as_deref(), Ok(path));
        }
    }

    /// S-49: an upstream may take `;` and `%2f`; dot segments and empty ones do not come back with them.
    #[test]
    fn relaxations_are_narrow() {
        for path in ["/a;v=1/b", "/a%2Fb", "/object/b/x%2fy;z", "/https%3A%2F%2Fexample.test"] {
            let path = Path::judge(path, AllowEncoded::ALL).unwrap();
            assert!(!path.fits(NONE) && path.fits(AllowEncoded::ALL));
        }
        for path in ["/..;/admin", "/.;x", "/a/..;x=1/b", "/a%2f..%2fb", "/..%2fb", "/a%2f..", "/a%2F.;b"] {
            assert_eq!(Path::judge(path, AllowEncoded::ALL), Err(BadPath::DotSegment), "{path}");
        }
        assert_eq!(Path::judge("/;x/admin", AllowEncoded::ALL), Err(BadPath::EmptySegment));
        assert_eq!(Path::judge("/a%5c%2e", AllowEncoded::ALL), Err(BadPath::Escape(b'\\')));
        let semicolon = AllowEncoded { semicolon: true, slash: false };
        assert_eq!(Path::judge("/a%2fb", semicolon), Err(BadPath::Escape(b'/')));
        assert!(Path::judge("/a;b", AllowEncoded::ALL).unwrap().fits(semicolon));
    }

    /// S-49: under a mount the rule speaks of the remainder.
    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        let below = |path, prefix| Path::judge(path, NONE).unwrap().below(prefix);
        assert_eq!(below("/api/orders/1", "/api"), Some("/orders/1"));
        assert_eq!(below("/api/orders/1", "/api/"), Some("/orders/1"));
        assert_eq!(below("/api", "/api"), Some(""));
        assert_eq!(below("/api/", "/api"), Some("/"));
        assert_eq!(below("/api/x", ""), Some("/api/x"));
        assert_eq!(below("/apix/orders", "/api"), None);
        assert_eq!(below("/other", "/api"), None);
    }

    fn near_path() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "/", "/", ".", "..", ";", "%2f", "%2F", "%2e", "%5c", "%00", "%", "%4", "\\", "#", "?", " ", "a",
            "b1", "%41", "ü", "\u{0}", "@", ":", "~",
        ]);
        prop_oneof![prop::collection::vec(pieces, 0..12).prop_map(|p| format!("/{}", p.concat())), ".{0,24}"]
    }

    proptest! {
        /// S-49: what passes is what was given, and no server can read a second path in it.
        #[test]
        fn what_passes_has_one_reading(raw in near_path(), semicolon: bool, slash: bool) {
            let allow = AllowEncoded { semicolon, slash };
            let Ok(path) = Path::judge(&raw, allow) else { return Ok(()) };
            prop_assert_eq!(&*path, raw.as_str());
            prop_assert!(raw.starts_with('/') && raw.bytes().all(|b| b.is_ascii_graphic() && !b"\\#?".contains(&b)));
            let lower = raw.to_ascii_lowercase();
            for hidden in ["%5c", "%2e", "%00"] {
                prop_assert!(!lower.contains(hidden));
            }
            prop_assert!(slash || !lower.contains("%2f"));
            prop_assert!(semicolon || !raw.contains(';'));
            let (segments, last) = raw[1..].rsplit_once('/').map_or((None, &raw[1..]), |(s, l)| (Some(s), l));
            prop_assert!(segments.is_none_or(|s| s.split('/').all(|s| !s.is_empty() && !s.starts_with(';'))));
            prop_assert!(!last.starts_with(';'));
            let as_read_by_a_lax_server = lower.replace("%2f", "/").replace(';', "/");
            prop_assert!(as_read_by_a_lax_server.split('/').all(|s| s != "." && s != ".."));
            for escape in raw.split('%').skip(1) {
                prop_assert!(escape.len() >= 2 && escape.bytes().take(2).all(|b| b.is_ascii_hexdigit()));
            }
        }

        /// S-49: a look-up with all relaxations followed by `fits` says what a direct judgement says.
        #[test]
        fn judging_twice_says_the_same(raw in near_path(), semicolon: bool, slash: bool) {
            let allow = AllowEncoded { semicolon, slash };
            let wide = Path::judge(&raw, AllowEncoded::ALL).is_ok_and(|path| path.fits(allow));
            prop_assert_eq!(wide, Path::judge(&raw, allow).is_ok());
        }
    }
}
