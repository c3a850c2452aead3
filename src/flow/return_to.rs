//! Where a person goes after a flow: a path of this site, or a listed other origin (S-20).

use std::fmt;

use url::Url;

use crate::pkce::{self, Challenge};

/// Longest target that is taken from outside, in bytes.
const LIMIT: usize = 2048;

/// Judges targets for one deployment.
#[derive(Debug, Clone)]
pub struct Targets {
    origin: Url,
    /// `pages.allowed_return_origins`: exact scheme, host and port.
    others: Vec<String>,
    default: String,
}

/// A checked target: a path of this site with its query, or an absolute URL of a listed origin. No input makes one that
/// leaves the site otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo {
    text: String,
    client: Option<Client>,
}

/// A client below the mount that began the flow and waits at the target to be told who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// What for.
    pub waiting: Waiting,
    /// GoTrue's word for the mail that led there, if one did.
    pub kind: Option<&'static str>,
}

/// What a client reads out of the address of its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// The session itself, out of the fragment.
    Implicit,
    /// A code, which it trades with the verifier of this challenge.
    Code(Challenge),
}

impl Waiting {
    /// By the fields of GoTrue's clients; empty ones count as absent. `None` for half a challenge and for another method than
    /// S256 (S-76).
    pub fn of(challenge: Option<&str>, method: Option<&str>) -> Option<Self> {
        let given = |text: &&str| !text.is_empty();
        match (challenge.filter(given), method.filter(given)) {
            (None, None) => Some(Self::Implicit),
            (Some(challenge), Some(method)) if method.eq_ignore_ascii_case(pkce::METHOD) => {
                Challenge::from_text(challenge).map(Self::Code)
            }
            _ => None,
        }
    }
}

impl ReturnTo {
    fn to(text: String) -> Self {
        Self { text, client: None }
    }

    /// The target as it stands in a `Location`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same for a client that waits there.
    pub fn for_client(self, waiting: Waiting) -> Self {
        Self { client: Some(Client { waiting, kind: None }), ..self }
    }

    /// Who waits there.
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    pub(super) fn with_client(self, client: Option<Client>) -> Self {
        Self { client, ..self }
    }

    /// Whether it is a page of ours, reachable without the bounce.
    pub fn is_own_page(&self) -> bool {
        self.text.starts_with("/auth/")
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Targets {
    /// For `public_url`; what is refused becomes `default`, which must itself be a path of this site.
    ///
    /// `None` if `default` does not pass.
    pub fn new(public_url: &Url, others: &[String], default: &str) -> Option<Self> {
        let mut origin = public_url.clone();
        origin.set_path("/");
        origin.set_query(None);
        origin.set_fragment(None);
        let targets = Self { origin, others: others.to_vec(), default: default.to_owned() };
        targets.own_path(default).is_some().then_some(targets)
    }

    /// `pages.default_return`.
    pub fn default(&self) -> ReturnTo {
        ReturnTo::to(self.default.clone())
    }

    /// The target that `text` names, or the default.
    pub fn choose(&self, text: Option<&str>) -> ReturnTo {
        text.and_then(|text| self.parse(text)).unwrap_or_else(|| self.default())
    }

    /// `None` for whatever S-20 refuses.
    pub fn parse(&self, text: &str) -> Option<ReturnTo> {
        if text.len() > LIMIT {
            return None;
        }
        if text.starts_with('/') {
            return self.own_path(text).map(ReturnTo::to);
        }
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return None;
        }
        if !clean(text) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        if url.origin() == self.origin.origin() {
            let path = &url[url::Position::BeforePath..];
            return self.own_path(path).map(ReturnTo::to);
        }
        let origin = url.origin().ascii_serialization();
        self.others.contains(&origin).then(|| ReturnTo::to(url.to_string()))
    }

    fn own_path(&self, text: &str) -> Option<String> {
        let once = self.step(text)?;
        // What the parser made of it must be judged like what came in.
        (self.step(&once)? == once).then_some(once)
    }

    fn step(&self, text: &str) -> Option<String> {
        let rest = text.strip_prefix('/')?;
        if rest.starts_with(['/', '\\']) || !clean(text) {
            return None;
        }
        let path = text.split(['?', '#']).next().unwrap_or(text);
        if has_bad_escape(path) {
            return None;
        }
        let url = self.origin.join(text).ok()?;
        if url.origin() != self.origin.origin() || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let own = url.path() == "/auth" || url.path().starts_with("/auth/");
        let account = url.path() == "/auth/account" || url.path().starts_with("/auth/account/");
        if own && !account {
            return None;
        }
        Some(url[url::Position::BeforePath..].to_owned())
    }
}

/// Printable ASCII without space and backslash.
fn clean(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

/// `%00`–`%1f`, `%2f`, `%5c`, `%7f`: characters that some server along the way may decode into structure.
fn has_bad_escape(path: &str) -> bool {
    path.as_bytes().windows(3).any(|w| {
        let [b'%', high, low] = w else { return false };
        let digit = |b: &u8| char::from(*b).to_digit(16);
        match (digit(high), digit(low)) {
            (Some(high), Some(low)) => matches!(high * 16 + low, 0..=0x1f | 0x2f | 0x5c | 0x7f),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn targets() -> Targets {
        let others = ["https://docs.example.com".to_owned()];
        Targets::new(&"https://app.example.com".parse().unwrap(), &others, "/home").unwrap()
    }

    /// S-20: the ways around such a check that other products have met.
    #[test]
    fn what_could_leave_the_site_becomes_the_default() {
        for evil in [
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "/%09/evil.test",
            "/\t/evil.test",
            "/%2f/evil.test",
            "/%5cevil.test",
            "/.//evil.test",
            "/..//evil.test",
            "https:evil.test",
            "https://evil.test",
            "https://app.example.com.evil.test",
            "https://evil-app.example.com",
            "https://app.example.com@evil.test",
            "https://user@app.example.com/",
            "https://app.example.com:444/",
            "http://app.example.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            " /x",
            "/x y",
            "/ü",
            "/a%00b",
            "/a%0d%0aSet-Cookie:x",
            "/auth/logout",
            "/auth",
            "/auth/login",
            "/x/../auth/logout",
            "/auth/account/../logout",
            "/auth/%61ccount/../logout",
            "evil",
            "",
            "?x",
        ] {
            assert_eq!(targets().choose(Some(evil)).as_str(), "/home", "{evil}");
        }
        assert_eq!(targets().choose(Some(&format!("/{}", "x".repeat(2048)))).as_str(), "/home");
        assert_eq!(targets().choose(None).as_str(), "/home");
    }

    #[test]
    fn paths_of_this_site_stay_as_they_are() {
        for good in
            ["/", "/a/b?c=d&e=%2F#f", "/auth/account", "/auth/account/security?x=1", "/authors", "/%41"]
        {
            assert_eq!(targets().choose(Some(good)).as_str(), good);
        }
    }

    #[test]
    fn an_absolute_url_of_this_site_is_reduced_and_a_listed_origin_passes() {
        let choose = |text| targets().choose(Some(text)).as_str().to_owned();
        assert_eq!(choose("https://app.example.com/a?b"), "/a?b");
        assert_eq!(choose("https://app.example.com//evil.test"), "/home");
        assert_eq!(choose("https://docs.example.com/a"), "https://docs.example.com/a");
        assert_eq!(choose("https://docs.example.com.evil.test/a"), "/home");
    }

    proptest! {
        /// S-20: no input leaves the origin, as a browser resolves it.
        #[test]
        fn no_input_leaves_the_origin(text in "[/\\\\.:@%a-f0-9?#\t\n ]{0,12}|\\PC{0,40}|(/|//|https:|https://)\\PC{0,30}") {
            let here = Url::parse("https://app.example.com/auth/continue").unwrap();
            let target = targets().choose(Some(&text));
            let seen = here.join(target.as_str()).unwrap();
            let origin = seen.origin().ascii_serialization();
            prop_assert!(origin == "https://app.example.com" || origin == "https://docs.example.com");
        }
    }
}
