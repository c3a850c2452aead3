//! Where this program listens, how browsers reach it, and whom it trusts on the way.

use std::net::SocketAddr;
use std::path::PathBuf;

use base::http::is_loopback;
use base::vars::{self, Problems, Vars};
use http::HeaderName;
use time::Duration;
use url::Url;

use super::place;
use crate::limit::client::TrustedProxies;

/// The settings without a section.
#[derive(Debug, Clone)]
pub struct Network {
    /// The public port. `listen`; default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Probes, on a port of their own (S-94). `admin_listen`; default `127.0.0.1:9090`.
    pub admin_listen: SocketAddr,
    /// Origins that browsers use; the first is canonical. `public_url`; default `http://localhost` and the port of
    /// `listen`.
    pub public: Vec<Url>,
    /// Whose forwarded headers count. `trusted_proxies`; default nobody.
    pub proxies: TrustedProxies,
    /// Where those name the client. `client_ip_header`; default `x-forwarded-for`.
    pub client_ip_header: HeaderName,
    /// How long open requests may take after the signal to end. `drain`; default `20s`.
    pub drain: Duration,
    /// Generated keys, the last good key set, the embedded server's data. `data_dir`; default `data`.
    pub data_dir: PathBuf,
    /// Hosts that may be reached without TLS (S-90). `danger_plain_http`; default none.
    pub plain_http: Vec<String>,
    /// Link-local addresses that an upstream may name (S-48). `danger_link_local`; default none.
    pub link_local: Vec<String>,
    /// Whether HSTS speaks for sub-domains too (S-66). `hsts_subdomains`; default false.
    pub hsts_subdomains: bool,
}

impl Network {
    /// Reads the settings above. They come first, for others refer to them.
    pub fn read(vars: &dyn Vars, problems: &mut Problems) -> Option<Self> {
        let listen = address(vars, "listen", 8080, problems);
        let admin_listen = address(vars, "admin_listen", 9090, problems);
        if let (Some(listen), Some(admin)) = (listen, admin_listen)
            && listen == admin
            && listen.port() != 0
        {
            let why = "The public port and the one for probes are the same.";
            let fix = "Give admin_listen a port of its own.";
            problems.fault("BFF-CONF-002", place(vars, "admin_listen"), Some(&admin.to_string()), why, fix);
        }
        let public = public_urls(vars, listen.map_or(8080, |listen| listen.port()), problems);
        let proxies = TrustedProxies::read(vars, problems);
        if let (Some(public), Some(proxies)) = (&public, &proxies)
            && public.first().is_some_and(|url| url.scheme() == "https")
            && proxies.is_empty()
        {
            let why =
                "TLS ends at a proxy in front, but no proxy is trusted: every request looks like plain http.";
            let fix = "Name the proxy's network in trusted_proxies.";
            problems.warning("BFF-PROXY-003", place(vars, "trusted_proxies"), None, why, fix);
        }
        let data_dir = vars::text(vars, "data_dir", problems).unwrap_or_else(|| "data".to_owned());
        Some(Self {
            listen: listen?,
            admin_listen: admin_listen?,
            public: public?,
            proxies: proxies?,
            client_ip_header: header(vars, "client_ip_header", problems)
                .unwrap_or(HeaderName::from_static("x-forwarded-for")),
            drain: vars::span(vars, "drain", Duration::seconds(20), problems),
            data_dir: PathBuf::from(data_dir),
            plain_http: danger(vars, "danger_plain_http", "These hosts are reached without TLS", problems),
            link_local: danger(vars, "danger_link_local", "These addresses may be upstreams", problems),
            hsts_subdomains: vars::flag(vars, "hsts_subdomains", false, problems),
        })
    }

    /// What a bare start has. With faults in the settings above it stands in for them, so that those of other settings
    /// are found as well.
    pub fn usual() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            public: "http://localhost:8080".parse().into_iter().collect(),
            proxies: TrustedProxies::default(),
            client_ip_header: HeaderName::from_static("x-forwarded-for"),
            drain: Duration::seconds(20),
            data_dir: PathBuf::from("data"),
            plain_http: Vec::new(),
            link_local: Vec::new(),
            hsts_subdomains: false,
        }
    }

    /// The canonical origin.
    ///
    /// # Panics
    ///
    /// Never for what [`read`](Self::read) made: it refuses an empty list.
    pub fn canonical(&self) -> &Url {
        self.public.first().expect("there is a public URL")
    }

    /// Whether browsers are on this machine.
    pub fn is_loopback(&self) -> bool {
        self.public.iter().all(is_loopback)
    }
}

fn address(vars: &dyn Vars, name: &str, port: u16, problems: &mut Problems) -> Option<SocketAddr> {
    if vars.get(name).is_none() {
        return Some(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    vars::parsed(vars, name, &format!("an address and a port such as 127.0.0.1:{port}"), problems)
}

/// A header's name, if one is set.
pub(super) fn header(vars: &dyn Vars, name: &str, problems: &mut Problems) -> Option<HeaderName> {
    vars::parsed(vars, name, "the name of a header such as x-forwarded-for", problems)
}

fn public_urls(vars: &dyn Vars, port: u16, problems: &mut Problems) -> Option<Vec<Url>> {
    let name = "public_url";
    let texts = vars::list(vars, name).unwrap_or_else(|| vec![format!("http://localhost:{port}")]);
    let mut urls = Vec::new();
    let mut sound = true;
    let mut fault = |code, seen: Option<&str>, why: &str, fix: &str| {
        problems.fault(code, place(vars, name), seen, why, fix);
        sound = false;
    };
    for text in &texts {
        let url = match text.parse::<Url>() {
            Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => url,
            _ => {
                fault(
                    "BFF-URL-001",
                    Some(text),
                    "This is no http or https URL.",
                    "Write https://app.example.com.",
                );
                continue;
            }
        };
        if !is_origin(&url) {
            let why = "A public URL is scheme, host and port alone: pages stand at fixed paths below it.";
            fault("BFF-URL-001", Some(text), why, "Remove what follows the host.");
        } else if url.scheme() == "http" && !is_loopback(&url) {
            let why = "Cookies and passwords would travel without encryption.";
            fault("BFF-URL-003", Some(text), why, "Use https; plain http is for loopback alone.");
        }
        urls.push(url);
    }
    if urls.is_empty() && texts.is_empty() {
        fault("BFF-URL-001", None, "There is no public URL.", "Write http://localhost:8080.");
    }
    if urls.iter().any(|url| url.scheme() == "https") && urls.iter().any(|url| url.scheme() == "http") {
        let why = "Some of these are https and some http: their cookies would have different names.";
        fault("BFF-URL-003", None, why, "Use https for all of them.");
    }
    sound.then_some(urls)
}

/// Nothing but scheme, host and port.
pub(super) fn is_origin(url: &Url) -> bool {
    let plain = url.username().is_empty() && url.password().is_none();
    plain && url.path() == "/" && url.query().is_none() && url.fragment().is_none()
}

/// A relaxation: it holds, and every start says so.
fn danger(vars: &dyn Vars, name: &str, what: &str, problems: &mut Problems) -> Vec<String> {
    let list = vars::list(vars, name).unwrap_or_default();
    if !list.is_empty() {
        let why = format!("{what} because this setting says so.");
        problems.warning(
            "BFF-DANGER-001",
            place(vars, name),
            Some(&list.join(", ")),
            why,
            "Remove it again.",
        );
    }
    list
}
