//! `[upstreams]` of `bff.toml`: what a file may say about an upstream. [`Upstream`](super::Upstream) judges it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base::vars;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, de};

use super::path::AllowEncoded;

/// The whole `[upstreams]` table: settings by name.
pub type UpstreamTable = BTreeMap<String, UpstreamSettings>;

/// One entry of `[upstreams]`. Unknown keys and unreadable values are errors of the deserialiser.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSettings {
    /// Scheme, host, port and a first part of the path. Either this or `folder`.
    pub url: Option<String>,
    /// Static files instead of a server: the site itself, `kind = "app"`.
    pub folder: Option<String>,
    /// `index.html` for paths without a file; only with `folder`.
    #[serde(default)]
    pub spa: bool,
    /// `api` (default), or `app` for the site itself, whose pages may run on our origin.
    #[serde(default)]
    pub kind: Kind,
    /// Whether it gets the user's access token: `user` or `none` (default).
    #[serde(default)]
    pub token: TokenKind,
    /// Whether `Upgrade: websocket` passes. Default `false`.
    #[serde(default)]
    pub websocket: bool,
    /// Time to connect, TLS included. Default `5s`.
    #[serde(default = "seconds::<5>", deserialize_with = "span")]
    pub connect: Duration,
    /// Time from the request's last byte to the answer's first. Default `30s`.
    #[serde(default = "seconds::<30>", deserialize_with = "span")]
    pub first_byte: Duration,
    /// Longest silence within a body, either way. Default `60s`.
    #[serde(default = "seconds::<60>", deserialize_with = "span")]
    pub idle: Duration,
    /// Longest request body, in bytes. Default `10MiB`.
    #[serde(default = "ten_mebibytes", deserialize_with = "size")]
    pub max_body: u64,
    /// Names of cookies that pass both ways. Never our own. Default none.
    #[serde(default)]
    pub pass_cookies: Vec<String>,
    /// Whether `X-Forwarded-User`, `-Email` and `-Groups` are sent. Default `false`.
    #[serde(default)]
    pub identity_headers: bool,
    /// What a browser may keep of answers made for a session: `no-store` (default) or `private`.
    #[serde(default)]
    pub cache: Cache,
    /// Of `;` and `%2f`, which one a path may hold. Default none.
    #[serde(default, deserialize_with = "allow_encoded")]
    pub allow_encoded: AllowEncoded,
    /// Other origins that a `Location` may name. Default none.
    #[serde(default)]
    pub locations: Vec<String>,
    /// Content types that a browser may show instead of saving, such as `application/pdf`. Default none.
    #[serde(default)]
    pub inline_types: Vec<String>,
}

impl UpstreamSettings {
    /// The defaults for an API at `url`.
    pub fn api(url: String, token: TokenKind) -> Self {
        Self {
            url: Some(url),
            folder: None,
            spa: false,
            kind: Kind::default(),
            token,
            websocket: false,
            connect: seconds::<5>(),
            first_byte: seconds::<30>(),
            idle: seconds::<60>(),
            max_body: ten_mebibytes(),
            pass_cookies: Vec::new(),
            identity_headers: false,
            cache: Cache::default(),
            allow_encoded: AllowEncoded::default(),
            locations: Vec::new(),
            inline_types: Vec::new(),
        }
    }
}

/// What an upstream is to the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Data for scripts: no page of it runs on our origin.
    #[default]
    Api,
    /// The site itself.
    App,
    /// The Supabase project behind the drop-in mount; not a word of the file.
    #[serde(skip)]
    Supabase,
}

/// Whose token an upstream gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// No token.
    #[default]
    None,
    /// The access token of the user who asks.
    User,
}

/// What a browser may keep of an answer that was made for a session (S-09).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cache {
    /// Nothing.
    #[default]
    NoStore,
    /// Passive content, in the browser alone, for as long as the upstream says.
    Private,
}

fn seconds<const N: u64>() -> Duration {
    Duration::from_secs(N)
}

fn ten_mebibytes() -> u64 {
    10 << 20
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let parse = |text: &str| Duration::try_from(vars::duration(text)?).ok().filter(|d| !d.is_zero());
    deserializer.deserialize_str(Notation(parse, "a duration such as 5s or 2m, above zero"))
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_str(Notation(vars::size, "a size such as 64KiB or 10MiB"))
}

fn allow_encoded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AllowEncoded, D::Error> {
    let mut allow = AllowEncoded::default();
    for word in Vec::<String>::deserialize(deserializer)? {
        match word.as_str() {
            ";" => allow.semicolon = true,
            "%2f" | "%2F" => allow.slash = true,
            other => return Err(D::Error::unknown_variant(other, &[";", "%2f"])),
        }
    }
    Ok(allow)
}

/// A text in one of the small notations of settings.
struct Notation<P>(P, &'static str);

impl<T, P: Fn(&str) -> Option<T>> Visitor<'_> for Notation<P> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<UpstreamTable, String> {
        toml::from_str(toml).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn the_documented_example_is_read() {
        let table = read(
            r#"
            web    = { url = "http://127.0.0.1:5173", kind = "app", token = "none", websocket = true }
            orders = { url = "https://orders.internal", kind = "api", token = "user", connect = "5s", first_byte = "30s", idle = "60s", max_body = "10MiB", pass_cookies = [], identity_headers = false, cache = "no-store", allow_encoded = [], locations = [], inline_types = [] }
            docs   = { folder = "public", spa = true }
            "#,
        )
        .unwrap();
        assert!(table["web"].kind == Kind::App && table["web"].websocket);
        assert!(table["docs"].spa && table["docs"].folder.as_deref() == Some("public"));
        // What the example writes out for `orders` are the defaults that the others take.
        let (written, default) = (&table["orders"], &table["docs"]);
        assert_eq!(written.token, TokenKind::User);
        assert_eq!(
            (written.connect, written.first_byte, written.idle, written.max_body),
            (default.connect, default.first_byte, default.idle, default.max_body)
        );
        assert_eq!((written.cache, written.allow_encoded), (default.cache, default.allow_encoded));
    }

    /// S-93: what cannot be read is refused, with the word that was found.
    #[test]
    fn unknown_keys_and_values_are_refused() {
        for (entry, said) in [
            ("url = 'http://a', maxbody = '1MiB'", "unknown field `maxbody`"),
            ("url = 'http://a', kind = 'supabase'", "unknown variant `supabase`"),
            ("url = 'http://a', token = 'service'", "unknown variant `service`"),
            ("url = 'http://a', cache = 'public'", "unknown variant `public`"),
            ("url = 'http://a', idle = '0s'", "invalid value: string \"0s\", expected a duration"),
            ("url = 'http://a', idle = 60", "invalid type: integer `60`, expected a duration"),
            ("url = 'http://a', max_body = '10MB'", "expected a size"),
            ("url = 'http://a', allow_encoded = ['%5c']", "unknown variant `%5c`"),
        ] {
            let error = read(&format!("x = {{ {entry} }}")).unwrap_err();
            assert!(error.contains(said), "{entry}: {error}");
        }
    }
}
