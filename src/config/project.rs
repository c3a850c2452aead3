//! The Supabase project, or the embedded auth server in its place.

use base::secret::Secret;
use base::vars::{self, Found, Problems, REDACTED, Raw, Vars};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderName;
use serde::Deserialize;
use url::Url;

use super::network::{header, is_origin};
use super::place;
use crate::gotrue;

/// Where Supabase is and what it knows us by.
#[derive(Debug, Clone)]
pub struct Project {
    /// What this process reaches. `SUPABASE_URL`.
    pub url: Url,
    /// What browsers reach. `SUPABASE_PUBLIC_URL`; default: the same.
    pub public_url: Url,
    /// `SUPABASE_PUBLISHABLE_KEY`, or one of its older names.
    pub key: Secret<String>,
    /// `SUPABASE_SECRET_KEY`; only to tell GoTrue the client's address.
    pub secret_key: Option<Secret<String>>,
    /// Where a self-hosted GoTrue reads the client's address. `supabase.client_ip_header`; default none.
    pub client_ip_header: Option<HeaderName>,
    /// The embedded auth server stands in for a project.
    pub embedded: bool,
}

/// Where the embedded auth server is, once it is known.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// What this process reaches.
    pub url: Url,
    /// What browsers reach; `iss` of its tokens begins with it.
    pub public_url: Url,
}

/// The names of the publishable key, the present one first.
const KEY_NAMES: [&str; 3] = ["SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY", "SUPABASE_KEY"];

impl Project {
    /// Reads `SUPABASE_*`. Without `SUPABASE_URL` it is the embedded server, which accepts any key.
    pub fn read(vars: &dyn Vars, embedded: Option<&Embedded>, problems: &mut Problems) -> Option<Self> {
        let client_ip_header = header(vars, "supabase.client_ip_header", problems);
        if let Some(embedded) = embedded {
            return Some(Self {
                url: embedded.url.clone(),
                public_url: embedded.public_url.clone(),
                key: Secret::new("embedded".to_owned()),
                secret_key: None,
                client_ip_header,
                embedded: true,
            });
        }
        let url = match vars.get("SUPABASE_URL") {
            Some(_) => url(vars, "SUPABASE_URL", problems),
            None => {
                let why = "Without it nobody knows which project this is.";
                let fix = "Set it to https://<ref>.supabase.co.";
                problems.fault("BFF-URL-001", "SUPABASE_URL", None, why, fix);
                None
            }
        };
        let public_url = match vars.get("SUPABASE_PUBLIC_URL") {
            Some(_) => url_for_browsers(vars, problems),
            None => url.clone(),
        };
        let key = publishable_key(vars, url.as_ref(), problems);
        let secret_key = secret_key(vars, problems);
        Some(Self {
            url: url?,
            public_url: public_url?,
            key: key?,
            secret_key,
            client_ip_header,
            embedded: false,
        })
    }

    /// What the client of GoTrue is made of.
    pub fn gotrue(&self) -> gotrue::Settings {
        let below = |url: &Url| {
            let mut url = url.clone();
            url.set_path("/auth/v1");
            url
        };
        gotrue::Settings {
            base: below(&self.url),
            public_base: below(&self.public_url),
            api_key: self.key.clone(),
            secret_key: self.secret_key.clone(),
            client_ip_header: self.client_ip_header.clone(),
        }
    }

    /// Whether GoTrue counts our users one by one: it is ours, or it is told their addresses.
    pub fn tells_clients_apart(&self) -> bool {
        self.embedded || self.secret_key.is_some() || self.client_ip_header.is_some()
    }
}

fn url(vars: &dyn Vars, name: &'static str, problems: &mut Problems) -> Option<Url> {
    let text = vars::text(vars, name, problems)?;
    let fix = "Write it like https://<ref>.supabase.co.";
    let url = match text.parse::<Url>() {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => url,
        _ => {
            let why = "This is no http or https URL.";
            problems.fault("BFF-URL-001", place(vars, name), Some(&text), why, fix);
            return None;
        }
    };
    if !is_origin(&url) {
        let why = "It holds more than scheme, host and port; /auth/v1 and the like are added here.";
        problems.fault(
            "BFF-URL-002",
            place(vars, name),
            Some(url.origin().ascii_serialization().as_str()),
            why,
            fix,
        );
        return None;
    }
    Some(url)
}

fn url_for_browsers(vars: &dyn Vars, problems: &mut Problems) -> Option<Url> {
    let name = "SUPABASE_PUBLIC_URL";
    let url = url(vars, name, problems)?;
    if url.scheme() == "http" && !base::http::is_loopback(&url) {
        let why = "Browsers would sign in without encryption.";
        problems.fault("BFF-URL-003", place(vars, name), Some(url.as_str()), why, "Use https.");
        return None;
    }
    Some(url)
}

fn publishable_key(vars: &dyn Vars, url: Option<&Url>, problems: &mut Problems) -> Option<Secret<String>> {
    let found = KEY_NAMES.map(|name| vars.get(name)); // all are asked for: each is read, the first one set wins
    let Some(found) = found.into_iter().flatten().next() else {
        let why = "The project answers nobody without its publishable key.";
        let fix = "Copy sb_publishable_… (or the anon key) from the project's API settings.";
        problems.fault("BFF-KEY-002", KEY_NAMES[0], None, why, fix);
        return None;
    };
    let Found { raw: Raw::Text(text), place } = found else { return None };
    let key = text.trim();
    let fix = "Use sb_publishable_… (or the anon key) from the project's API settings, and replace a key that leaked.";
    let claims = key_claims(key);
    let role = claims.as_ref().and_then(|claims| claims.role.as_deref());
    if key.starts_with("sb_secret_") || role.is_some_and(|role| role != "anon") {
        let why =
            "This is a secret key: it passes row-level security, so every visitor would be an administrator.";
        problems.fault("BFF-KEY-001", place, Some(REDACTED), why, fix);
        return None;
    }
    if let (Some(project), Some(of)) = (claims.and_then(|claims| claims.project), url.and_then(hosted_ref))
        && project != of
    {
        let why = format!("This key belongs to the project {project}, but SUPABASE_URL names {of}.");
        problems.fault(
            "BFF-KEY-003",
            place,
            Some(REDACTED),
            why,
            "Copy address and key from the same project.",
        );
        return None;
    }
    if key.bytes().any(|byte| !byte.is_ascii_graphic()) {
        let why = "It holds characters that no key has.";
        problems.fault(
            "BFF-CONF-002",
            place,
            Some(REDACTED),
            why,
            "Copy it again, without quotes and spaces.",
        );
        return None;
    }
    Some(Secret::new(key.to_owned()))
}

fn secret_key(vars: &dyn Vars, problems: &mut Problems) -> Option<Secret<String>> {
    let name = "SUPABASE_SECRET_KEY";
    let key = vars::secret(vars, name, problems)?;
    let graphic = key.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if !key.expose().starts_with("sb_secret_") || !graphic {
        let why = "Only a key of the form sb_secret_… lets GoTrue believe the client's address.";
        problems.fault("BFF-CONF-002", name, Some(REDACTED), why, "Make one in the project's API settings.");
        return None;
    }
    Some(key)
}

/// What an older key, a JWT, says of itself. It is read and not verified: it is only looked at to find mix-ups.
#[derive(Deserialize)]
struct KeyClaims {
    role: Option<String>,
    #[serde(rename = "ref")]
    project: Option<String>,
}

fn key_claims(key: &str) -> Option<KeyClaims> {
    let mut parts = key.split('.');
    let (_, body, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
}

/// The project of `https://<ref>.supabase.co`.
fn hosted_ref(url: &Url) -> Option<String> {
    let name = url.host_str()?.strip_suffix(".supabase.co")?;
    (!name.contains('.')).then(|| name.to_owned())
}
