//! Our cookies: their names and attributes, a strict reader, and a writer that splits what is large.
//!
//! Over https every name begins with `__Host-Http-` and every cookie is `Secure`. A loopback http origin has neither
//! and carries its port in the name instead, since cookies ignore ports (S-01).

use std::borrow::Cow;
use std::ops::Range;

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};
use memchr::{memchr, memchr_iter};
use time::Duration;
use url::Url;

/// One cookie with its name, in bytes (S-04).
const LIMIT: usize = 4096;
/// A session has at most this many cookies (S-04).
pub const MAX_CHUNKS: usize = 4;
/// What all cookies of a session hold at the most, names included.
pub(super) const LARGEST: usize = LIMIT * MAX_CHUNKS;
/// Most deletions of cookies that only look like chunks, in one answer.
const MAX_STRAYS: usize = 16;

/// The names and attributes that belong to one public origin.
#[derive(Debug, Clone)]
pub struct Names {
    secure: bool,
    prefix: &'static str,
    suffix: String,
    session_same_site: SameSite,
    /// `sb_session` as browsers see it, and its chunks.
    session: [String; MAX_CHUNKS],
    /// `sb_form`: what a page form is bound to.
    pub form: String,
    /// `sb_ended`: why the last session ended.
    pub ended: String,
    flow: String,
}

impl Names {
    /// The names for `public_url`, the origin that browsers see.
    pub fn new(public_url: &Url, strict_session: bool) -> Self {
        let secure = public_url.scheme() == "https";
        let prefix = if secure { "__Host-Http-" } else { "" };
        let port = public_url.port_or_known_default().unwrap_or(80);
        let suffix = if secure { String::new() } else { format!("_{port}") };
        let full = |name: &str| format!("{prefix}{name}{suffix}");
        let base = full("sb_session");
        let session = std::array::from_fn(|i| if i == 0 { base.clone() } else { format!("{base}.{i}") });
        let session_same_site = if strict_session { SameSite::Strict } else { SameSite::Lax };
        let (form, ended) = (full("sb_form"), full("sb_ended"));
        Self {
            secure,
            prefix,
            suffix,
            session_same_site,
            session,
            form,
            ended,
            flow: format!("{prefix}sb_flow_"),
        }
    }

    /// The session cookie's name without chunk number; it is part of the seal.
    pub fn session(&self) -> &str {
        &self.session[0]
    }

    /// `sb_flow_<id>`.
    pub fn flow(&self, id: &str) -> String {
        format!("{}{id}{}", self.flow, self.suffix)
    }

    /// The id in the name of a flow cookie; `None` for any other name.
    pub fn flow_id<'a>(&self, name: &'a str) -> Option<&'a str> {
        let id = name.strip_prefix(&self.flow)?.strip_suffix(&self.suffix)?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (id.len() == 22 && id.bytes().all(fits)).then_some(id)
    }

    /// Whether a cookie of this name is ours, whatever the origin's scheme: it never reaches an upstream.
    pub fn is_own(&self, name: &str) -> bool {
        name.strip_prefix(self.prefix).unwrap_or(name).starts_with("sb_")
            || name.strip_prefix("__Host-Http-").is_some_and(|rest| rest.starts_with("sb_"))
    }

    /// A `Set-Cookie` value. `life` is `None` for a cookie that ends with the browser's session.
    pub fn set(&self, name: &str, value: &str, same_site: SameSite, life: Option<Duration>) -> HeaderValue {
        let mut built = Cookie::build((name, value)).path("/").http_only(true).same_site(same_site);
        if self.secure {
            built = built.secure(true);
        }
        if let Some(life) = life {
            built = built.max_age(life.clamp(Duration::ZERO, Duration::days(400)));
        }
        // Names and values are ours: letters, digits and `-_.=`.
        HeaderValue::from_str(&built.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// The `Set-Cookie` value that deletes `name`, with the attributes it was set with (S-01).
    pub fn clear(&self, name: &str, same_site: SameSite) -> HeaderValue {
        self.set(name, "", same_site, Some(Duration::ZERO))
    }

    /// Deletes the session cookie and every chunk, and what `jar` carries beside them under a chunk's name: left where it
    /// is, it would spoil the next session as well. A client does not choose how much is written: at most
    /// `MAX_STRAYS` of those at once.
    pub fn clear_session(&self, jar: &Jar) -> Vec<HeaderValue> {
        let mut strays: Vec<_> = jar.names().filter(|name| self.is_stray(name) && is_plain(name)).collect();
        strays.sort_unstable();
        strays.dedup();
        let own = self.session.iter().map(String::as_str);
        own.chain(strays.into_iter().take(MAX_STRAYS))
            .map(|name| self.clear(name, self.session_same_site))
            .collect()
    }

    /// Whether `name` looks like a chunk.
    fn is_part(&self, name: &str) -> bool {
        name.strip_prefix(self.session()).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Whether `name` looks like a chunk and cannot be one.
    fn is_stray(&self, name: &str) -> bool {
        self.is_part(name) && !self.session.iter().any(|known| known == name)
    }

    /// Sets the session cookies for one sealed text; chunks that a larger predecessor left in `jar` are deleted.
    ///
    /// `None` if it does not fit into [`MAX_CHUNKS`].
    pub fn set_session(&self, sealed: &str, life: Option<Duration>, jar: &Jar) -> Option<Vec<HeaderValue>> {
        let mut rest = sealed;
        let mut cookies = Vec::with_capacity(2);
        for name in &self.session {
            if rest.is_empty() {
                if jar.has(name) {
                    cookies.push(self.clear(name, self.session_same_site));
                }
                continue;
            }
            let (part, after) = rest.split_at(rest.len().min(LIMIT - name.len() - 1));
            cookies.push(self.set(name, part, self.session_same_site, life));
            rest = after;
        }
        rest.is_empty().then_some(cookies)
    }

    /// The sealed session that `jar` carries: what is present up to the cap, joined. A gap or a chunk beyond the cap
    /// makes it nothing; whether it is whole, the seal says.
    pub fn read_session<'a>(&self, jar: &'a Jar) -> Carried<'a> {
        let mut chunks: [Option<&str>; MAX_CHUNKS] = [None; MAX_CHUNKS];
        let mut sound = true;
        for (name, value) in jar.pairs().filter(|(name, _)| name.starts_with(self.session())) {
            match self.session.iter().position(|known| known == name) {
                Some(at) => sound &= chunks[at].replace(value).is_none(), // a doubled one could be either
                None => sound &= !self.is_part(name),
            }
        }
        let whole = chunks.iter().take_while(|chunk| chunk.is_some()).count();
        sound &= chunks[whole..].iter().all(Option::is_none);
        match chunks {
            _ if !sound => Carried::Damaged,
            [None, ..] => Carried::Nothing,
            [Some(only), None, ..] => Carried::Sealed(Cow::Borrowed(only)),
            parts => Carried::Sealed(Cow::Owned(parts.into_iter().flatten().collect())),
        }
    }

    /// Whether `jar` carries anything in place of a session, be it damaged.
    pub fn carries_session(&self, jar: &Jar) -> bool {
        jar.names().any(|name| name == self.session() || self.is_part(name))
    }
}

/// What a request carries in place of a session.
#[derive(Debug, PartialEq, Eq)]
pub enum Carried<'a> {
    /// No session cookie at all.
    Nothing,
    /// Cookies that cannot belong together.
    Damaged,
    /// A text to open.
    Sealed(Cow<'a, str>),
}

/// The cookies of one request, read by RFC 6265 alone (S-05): crumbs joined, split at `;`, spaces and tabs trimmed,
/// names compared byte by byte. No `$Version`, no quoted strings, no nameless cookies.
#[derive(Debug, Default)]
pub struct Jar {
    /// Every line that could be read, one after the other.
    text: String,
    /// Where names and values stand in it.
    pairs: Vec<(Range<usize>, Range<usize>)>,
}

impl Jar {
    /// No cookies at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads every `Cookie` header. A pair with a byte outside ASCII is passed over; its neighbours are not.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut jar = Self::empty();
        for line in headers.get_all(header::COOKIE) {
            match str::from_utf8(line.as_bytes()) {
                Ok(line) if line.is_ascii() => jar.add(line), // the usual case
                _ => {
                    let pieces = line.as_bytes().split(|b| *b == b';').filter(|piece| piece.is_ascii());
                    pieces.filter_map(|piece| str::from_utf8(piece).ok()).for_each(|piece| jar.add(piece));
                }
            }
        }
        jar
    }

    fn add(&mut self, line: &str) {
        let (start, mut from) = (self.text.len(), 0);
        self.text.push_str(line);
        for end in memchr_iter(b';', line.as_bytes()).chain([line.len()]) {
            self.pairs.extend(pair(&line[from..end], start + from));
            from = end + 1;
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }

    /// The value of `name`; a name that occurs twice counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.pairs().filter(|(key, _)| *key == name);
        let value = found.next()?.1;
        found.next().is_none().then_some(value)
    }

    /// Whether `name` occurs at all.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|key| key == name)
    }

    /// Every name, in the order sent.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs().map(|(name, _)| name)
    }
}

/// Where name and value stand in `piece`, which begins at `at`.
fn pair(piece: &str, at: usize) -> Option<(Range<usize>, Range<usize>)> {
    let equals = memchr(b'=', piece.as_bytes())?;
    let (from, to) = trimmed(piece, 0, equals);
    let value = trimmed(piece, equals + 1, piece.len());
    (from < to).then(|| (at + from..at + to, at + value.0..at + value.1))
}

/// The part of `piece` from `from` to `to` without the spaces and tabs around it.
fn trimmed(piece: &str, mut from: usize, mut to: usize) -> (usize, usize) {
    let blank = |at: usize| matches!(piece.as_bytes()[at], b' ' | b'\t');
    while from < to && blank(from) {
        from += 1;
    }
    while from < to && blank(to - 1) {
        to -= 1;
    }
    (from, to)
}

/// Whether `name` can stand in `Set-Cookie` as it is.
fn is_plain(name: &str) -> bool {
    name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
