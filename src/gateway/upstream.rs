//! Where requests may go: a fixed scheme, host and port, with what may travel there.

use std::path::Path;
use std::time::Duration;

use base::secret::Secret;
use base::vars::Problems;
use http::HeaderValue;
use url::{Origin, Url};

use super::folder::Folder;
use super::path::AllowEncoded;
use super::settings::{Cache, Kind, TokenKind, UpstreamSettings};
use super::target::{Target, VALUE, origins};
use crate::policy::REALTIME_SOCKET;

/// What the whole configuration says about upstreams.
#[derive(Debug, Clone, Default)]
pub struct Surroundings<'a> {
    /// Hosts that may be reached without TLS. `danger_plain_http`.
    pub plain_http: &'a [String],
    /// Link-local addresses that an upstream may name. `danger_link_local`.
    pub link_local: &'a [String],
    /// How the names of our own cookies begin; no upstream sees or sets one of these.
    pub own_cookies: &'a [&'a str],
}

/// A place requests are forwarded to. Built once at the start.
#[derive(Debug)]
pub struct Upstream {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whether the user's token goes there: only with `token = "user"` over TLS, loopback or a host named as dangerous.
    pub(super) takes_token: bool,
    takes_sockets: bool,
    /// Where it is; `None` for a folder.
    pub(super) target: Option<Target>,
    /// Files in place of a server.
    pub(super) folder: Option<Folder>,
    /// Under which other origin it knows itself: a `Location` there is one below our own path, too.
    pub(super) alias: Option<Origin>,
    /// Other origins that a `Location` may name.
    pub(super) locations: Vec<Origin>,
    pub(super) connect: Duration,
    limits: Limits,
    pub(super) pass_cookies: Vec<String>,
    pub(super) identity_headers: bool,
    pub(super) cache: Cache,
    allow_encoded: AllowEncoded,
    pub(super) inline_types: Vec<String>,
    pub(super) api_key: Option<ApiKey>,
}

/// The publishable key in the forms in which it travels.
#[derive(Debug)]
pub(super) struct ApiKey {
    pub(super) text: Secret<String>,
    /// As `apikey`.
    pub(super) plain: HeaderValue,
    /// As `Authorization`, where nobody is signed in: what the official client sends then.
    pub(super) bearer: HeaderValue,
}

/// Limits of one forwarded request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the request's last byte to the answer's first.
    pub first_byte: Duration,
    /// Longest silence within a body, either way.
    pub idle: Duration,
    /// Longest request body in bytes.
    pub max_body: u64,
}

/// The service of a Supabase project that a built-in rule leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// PostgREST, GraphQL and whatever else answers with data alone.
    Data,
    /// Edge functions: slow, and free to read any header.
    Functions,
    /// Files.
    Storage,
    /// Files that anyone may read, or may with a signed address.
    PublicStorage,
}

impl Service {
    /// Whether it serves files.
    pub(super) fn is_storage(self) -> bool {
        matches!(self, Self::Storage | Self::PublicStorage)
    }
}

/// Supabase takes files of this size through its own upload endpoint; nothing of it is kept here.
const STORAGE_MAX_BODY: u64 = 5 << 30;
const FUNCTIONS_FIRST_BYTE: Duration = Duration::from_secs(150);

impl Upstream {
    /// Judges the settings of `[upstreams.<name>]`. `None` if one of the faults put into `problems` forbids it.
    pub fn build(
        name: &str,
        settings: UpstreamSettings,
        around: &Surroundings<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let place = |key: &str| format!("bff.toml: upstreams.{name}.{key}");
        let before = problems.list().len();
        let folder = folder(&settings, &place, problems);
        for cookie in &settings.pass_cookies {
            if is_own_cookie(cookie, around.own_cookies) || !is_cookie_name(cookie) {
                let why = "This cookie is one of our own, or not a cookie's name.";
                problems.fault(VALUE, place("pass_cookies"), Some(cookie), why, "Remove it from the list.");
            }
        }
        let locations = origins(&settings.locations, &place("locations"), problems);
        for (index, kind) in settings.inline_types.iter().enumerate() {
            if !is_media_type(kind) {
                let place = place(&format!("inline_types[{index}]"));
                problems.fault(
                    VALUE,
                    place,
                    Some(kind),
                    "This is no media type.",
                    "Write it as application/pdf.",
                );
            }
        }
        let with_token = settings.token == TokenKind::User;
        let url = settings.url.as_deref();
        let target = match (url, &settings.folder) {
            (Some(url), _) => Target::judge(url, &place("url"), with_token, around, problems),
            (None, Some(_)) => None,
            (None, None) => {
                problems.fault(VALUE, place("url"), None, "It is missing.", "Write url = \"https://…\".");
                None
            }
        };
        let sound = problems.list().len() == before;
        if !sound || (target.is_none() && folder.is_none()) {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            kind: if folder.is_some() { Kind::App } else { settings.kind },
            takes_token: with_token,
            takes_sockets: settings.websocket,
            target,
            folder,
            alias: None,
            locations,
            connect: settings.connect,
            limits: Limits {
                first_byte: settings.first_byte,
                idle: settings.idle,
                max_body: settings.max_body,
            },
            pass_cookies: settings.pass_cookies,
            identity_headers: settings.identity_headers,
            cache: settings.cache,
            allow_encoded: settings.allow_encoded,
            inline_types: settings.inline_types.iter().map(|t| t.to_ascii_lowercase()).collect(),
            api_key: None,
        })
    }

    /// The Supabase project at `url`, which browsers may know as `public_url`, behind the drop-in mount.
    ///
    /// `key` is the publishable key, already known to be none (S-52). Faults name `SUPABASE_URL`.
    pub fn supabase(
        url: &Url,
        public_url: &Url,
        key: Secret<String>,
        around: &Surroundings<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let target = Target::judge(url.as_str(), "SUPABASE_URL", true, around, problems)?;
        let Some(api_key) = ApiKey::new(key) else {
            let why = "The key holds characters that no HTTP header can carry.";
            problems.fault(
                VALUE,
                "SUPABASE_PUBLISHABLE_KEY",
                Some(base::vars::REDACTED),
                why,
                "Copy it again.",
            );
            return None;
        };
        Some(Self {
            name: "supabase".to_owned(),
            kind: Kind::Supabase,
            takes_token: true,
            takes_sockets: false,
            target: Some(target),
            folder: None,
            alias: Some(public_url.origin()),
            locations: Vec::new(),
            connect: Duration::from_secs(5),
            limits: Limits {
                first_byte: Duration::from_secs(30),
                idle: Duration::from_secs(60),
                max_body: 10 << 20,
            },
            pass_cookies: Vec::new(),
            identity_headers: false,
            cache: Cache::NoStore,
            allow_encoded: AllowEncoded::ALL,
            inline_types: Vec::new(),
            api_key: Some(api_key),
        })
    }

    /// Whether WebSockets are passed on to it under `rule`. Of the project's services Realtime alone has them.
    pub fn takes_sockets(&self, rule: &str) -> bool {
        self.takes_sockets || (self.kind == Kind::Supabase && rule == REALTIME_SOCKET)
    }

    /// The publishable key of the project; `None` for other upstreams.
    pub fn publishable_key(&self) -> Option<&Secret<String>> {
        self.api_key.as_ref().map(|key| &key.text)
    }

    /// What it is to the site.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Which service of the Supabase project `rule` leads to; `None` for other upstreams.
    pub fn service(&self, rule: &str) -> Option<Service> {
        (self.kind == Kind::Supabase).then_some(match rule {
            "functions" => Service::Functions,
            "storage" => Service::Storage,
            "storage.public" => Service::PublicStorage,
            _ => Service::Data,
        })
    }

    /// The limits of a request that `rule` let through.
    pub fn limits(&self, rule: &str) -> Limits {
        match self.service(rule) {
            Some(Service::Storage | Service::PublicStorage) => {
                Limits { max_body: STORAGE_MAX_BODY, ..self.limits }
            }
            Some(Service::Functions) => {
                Limits { first_byte: FUNCTIONS_FIRST_BYTE, idle: FUNCTIONS_FIRST_BYTE, ..self.limits }
            }
            _ => self.limits,
        }
    }

    /// What a path may hold where `rule` leads (S-49): names of files and of channels hold `;` and `%2f`.
    pub fn allow_encoded(&self, rule: &str) -> AllowEncoded {
        match self.service(rule) {
            Some(Service::Storage | Service::PublicStorage) => AllowEncoded::ALL,
            Some(_) if rule.starts_with("realtime") => AllowEncoded::ALL,
            Some(_) => AllowEncoded::default(),
            None => self.allow_encoded,
        }
    }
}

impl ApiKey {
    fn new(text: Secret<String>) -> Option<Self> {
        let mut plain = HeaderValue::from_str(text.expose()).ok()?;
        plain.set_sensitive(true);
        let bearer = base::http::bearer(&text)?;
        Some(Self { text, plain, bearer })
    }
}

/// The folder that `settings` name. What has no effect beside it is a fault.
fn folder(
    settings: &UpstreamSettings,
    place: &impl Fn(&str) -> String,
    problems: &mut Problems,
) -> Option<Folder> {
    let Some(path) = &settings.folder else {
        if settings.spa {
            let why = "Only a folder has a page for paths without a file.";
            problems.fault(VALUE, place("spa"), Some("true"), why, "Remove the key, or name a folder.");
        }
        return None;
    };
    let beside = [
        ("url", settings.url.is_some()),
        ("token", settings.token == TokenKind::User),
        ("websocket", settings.websocket),
    ];
    for (key, _) in beside.into_iter().filter(|(_, set)| *set) {
        problems.fault(VALUE, place(key), None, "This has no effect beside a folder.", "Remove the key.");
    }
    match Folder::open(Path::new(path), settings.spa) {
        Ok(folder) => Some(folder),
        Err(error) => {
            let why = format!("This folder cannot be served: {error}.");
            let fix = "Name a folder that is there, by its whole path or from the working directory.";
            problems.fault(VALUE, place("folder"), Some(path), why, fix);
            None
        }
    }
}

fn is_own_cookie(name: &str, own: &[&str]) -> bool {
    let name = name.to_ascii_lowercase(); // browsers compare the prefixes of names without case
    own.iter().any(|prefix| name.starts_with(&prefix.to_ascii_lowercase()))
}

fn is_cookie_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b))
}

fn is_media_type(text: &str) -> bool {
    let token =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    text.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(toml: &str) -> Result<Upstream, Vec<String>> {
        let settings = toml::from_str(toml).unwrap();
        let around = Surroundings { own_cookies: &["sb_", "__Host-Http-sb_"], ..Surroundings::default() };
        let mut problems = Problems::default();
        let upstream = Upstream::build("orders", settings, &around, &mut problems);
        upstream.ok_or_else(|| problems.list().iter().map(|p| format!("{} {}", p.code, p.place)).collect())
    }

    /// S-93: what is not available yet, or would have no effect, is said and not passed over; all faults at once.
    #[test]
    fn every_fault_is_reported_with_its_place() {
        let faults = build(
            r#"
            url = "http://orders.internal"
            token = "user"
            pass_cookies = ["theme", "__host-http-SB_session", "a b"]
            locations = ["https://cdn.example.test", "https://cdn.example.test/x", "cdn"]
            inline_types = ["application/pdf", "pdf"]
            "#,
        );
        assert_eq!(
            faults.unwrap_err(),
            [
                "BFF-CONF-002 bff.toml: upstreams.orders.pass_cookies",
                "BFF-CONF-002 bff.toml: upstreams.orders.pass_cookies",
                "BFF-CONF-002 bff.toml: upstreams.orders.locations",
                "BFF-CONF-002 bff.toml: upstreams.orders.locations",
                "BFF-CONF-002 bff.toml: upstreams.orders.inline_types[1]",
                "BFF-UP-001 bff.toml: upstreams.orders.url",
            ]
        );
        assert_eq!(
            build("spa = true\nfolder = 'x'").unwrap_err(),
            ["BFF-CONF-002 bff.toml: upstreams.orders.folder"],
            "it is not there"
        );
        assert_eq!(
            build("spa = true\nfolder = '.'\nurl = 'https://a.test'\ntoken = 'user'\nwebsocket = true")
                .unwrap_err(),
            ["url", "token", "websocket"].map(|key| format!("BFF-CONF-002 bff.toml: upstreams.orders.{key}"))
        );
        assert!(build("folder = '.'").unwrap().kind() == Kind::App);
        assert_eq!(build("url = 'https://a.test'\nspa = true").unwrap_err().len(), 1);
        assert_eq!(build("").unwrap_err(), ["BFF-CONF-002 bff.toml: upstreams.orders.url"]);
    }

    /// S-51: an own upstream gets the token only if it is asked for.
    #[test]
    fn a_token_is_asked_for() {
        assert!(!build("url = 'https://orders.internal'").unwrap().takes_token);
        assert!(build("url = 'https://orders.internal'\ntoken = 'user'").unwrap().takes_token);
    }

    #[test]
    fn the_project_has_limits_for_each_service() {
        let url = Url::parse("https://ref.example.test").unwrap();
        let mut problems = Problems::default();
        let key = Secret::new("sb_publishable_x".to_owned());
        let project = Upstream::supabase(&url, &url, key, &Surroundings::default(), &mut problems).unwrap();
        assert_eq!(project.limits("rest").max_body, 10 << 20);
        assert_eq!(project.limits("storage").max_body, STORAGE_MAX_BODY);
        assert_eq!(project.limits("functions").first_byte, Duration::from_secs(150));
        assert_eq!(project.allow_encoded("storage.public"), AllowEncoded::ALL);
        assert_eq!(project.allow_encoded("realtime"), AllowEncoded::ALL);
        assert_eq!(project.allow_encoded("rest"), AllowEncoded::default());
        assert!(!format!("{project:?}").contains("sb_publishable_x"), "{project:?}");
        // A rule of the owner's that happens to be called like one of ours has no part in this.
        assert_eq!(build("url = 'https://a.test'").unwrap().service("functions"), None);
    }
}
