//! Settings of the verifier: which issuer, which keys.

use std::fmt;

use base::http::is_loopback;
use base::secret::Secret;
use base::vars::{self, Problems, REDACTED, Vars};
use serde_json::Value;
use time::Duration;
use url::Url;

use super::{Expectations, MAX_LEEWAY, NEVER_A_USER};

/// A well-known secret: whoever uses it off his own machine has no secret (`supabase start` signs with it).
const SAMPLE_SECRETS: [&str; 2] = [
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
];

/// What the verifier is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `iss` of the tokens. `SUPABASE_JWT_ISSUER`; default: the public Supabase address and `/auth/v1`.
    pub issuer: String,
    /// One value of `aud`. `SUPABASE_JWT_AUDIENCE`; default `authenticated`.
    pub audience: String,
    /// Values of `role` that are people. `supabase.user_roles`; default `authenticated` alone.
    pub user_roles: Vec<String>,
    /// How far clocks may differ, at most a minute. `supabase.leeway`; default 10 s.
    pub leeway: Duration,
    /// Signs with HS256 in older projects; at least 32 bytes. `SUPABASE_JWT_SECRET`; default none.
    pub hs256_secret: Option<Secret<String>>,
    /// Where the public keys are. `SUPABASE_JWKS_URL`; default: the Supabase address and
    /// `/auth/v1/.well-known/jwks.json`.
    pub jwks_url: Option<Url>,
    /// How long the last good key set is used while no other can be had. `supabase.jwks_max_stale`; default 24 h.
    pub jwks_max_stale: Duration,
    /// The most that verdicts about tokens seen before take in memory, in bytes; default 128 MiB. In the BFF a
    /// quarter of `session.memory`.
    pub memory: u64,
}

/// Enough for some 100,000 people.
const MEMORY: u64 = 128 << 20;

impl Settings {
    /// Reads the settings above. `supabase` is reached by this process, `public` by browsers; both without path.
    pub fn read(vars: &dyn Vars, supabase: &Url, public: &Url, problems: &mut Problems) -> Option<Self> {
        let faults = |problems: &Problems| {
            problems.list().iter().filter(|problem| problem.weight == vars::Weight::Fault).count()
        };
        let before = faults(problems);
        let issuer = vars::text(vars, "SUPABASE_JWT_ISSUER", problems);
        let audience = vars::text(vars, "SUPABASE_JWT_AUDIENCE", problems);
        let settings = Self {
            issuer: issuer.unwrap_or_else(|| format!("{}/auth/v1", trimmed(public))),
            audience: audience.unwrap_or_else(|| "authenticated".to_owned()),
            user_roles: user_roles(vars, problems),
            leeway: leeway(vars, problems),
            hs256_secret: hs256_secret(vars, supabase, problems),
            jwks_url: jwks_url(vars, supabase, problems),
            jwks_max_stale: vars::span(vars, "supabase.jwks_max_stale", Duration::DAY, problems),
            memory: MEMORY,
        };
        (faults(problems) == before).then_some(settings)
    }

    /// Reads the environment of a program that only verifies.
    pub(super) fn from_env(vars: &dyn Vars) -> Result<Self, Misconfigured> {
        let mut problems = Problems::default();
        let form = "an address such as https://project.supabase.co";
        let url: Option<Url> = vars::parsed(vars, "SUPABASE_URL", form, &mut problems);
        let public: Option<Url> = vars::parsed(vars, "SUPABASE_PUBLIC_URL", form, &mut problems);
        let Some(url) = url else {
            if !problems.has_faults() {
                let why = "Without it nobody knows whose tokens these are.";
                problems.fault("BFF-URL-001", "SUPABASE_URL", None, why, format!("Set it to {form}."));
            }
            return Err(Misconfigured(problems));
        };
        let public = public.unwrap_or_else(|| url.clone());
        match Self::read(vars, &url, &public, &mut problems) {
            Some(settings) if !problems.has_faults() => Ok(settings),
            _ => Err(Misconfigured(problems)),
        }
    }

    /// What a token must say.
    pub fn expectations(&self) -> Expectations {
        Expectations {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            user_roles: self.user_roles.clone(),
            leeway: self.leeway,
        }
    }
}

fn trimmed(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

fn user_roles(vars: &dyn Vars, problems: &mut Problems) -> Vec<String> {
    let roles = vars::list(vars, "supabase.user_roles").unwrap_or_else(|| vec!["authenticated".to_owned()]);
    if let Some(role) = roles.iter().find(|role| NEVER_A_USER.contains(&role.as_str())) {
        let why = "Public and service keys have this role: whoever holds one would be a user.";
        let fix = "Name roles of people alone, such as authenticated.";
        problems.fault("BFF-CONF-002", "supabase.user_roles", Some(role), why, fix);
    }
    roles
}

fn leeway(vars: &dyn Vars, problems: &mut Problems) -> Duration {
    let leeway = vars::span(vars, "supabase.leeway", Duration::seconds(10), problems);
    if leeway > MAX_LEEWAY {
        let seen = format!("{}s", leeway.whole_seconds());
        let why = "Expired tokens would be accepted for longer than clocks can differ.";
        problems.fault("BFF-CONF-002", "supabase.leeway", Some(&seen), why, "Set it to 60s or less.");
    }
    leeway
}

fn hs256_secret(vars: &dyn Vars, supabase: &Url, problems: &mut Problems) -> Option<Secret<String>> {
    let name = "SUPABASE_JWT_SECRET";
    let secret = vars::secret(vars, name, problems)?;
    let text = secret.expose().trim();
    let copy = "Copy the JWT secret of the project, or leave it empty if the project signs with keys.";
    if text.len() < 32 {
        problems.fault("BFF-JWT-001", name, Some(REDACTED), "It is shorter than 32 bytes.", copy);
    } else if is_something_else(text) {
        let why = "This is a key, a key set or a token, not a secret: public ones would then sign tokens.";
        problems.fault("BFF-JWT-001", name, Some(REDACTED), why, copy);
    } else if SAMPLE_SECRETS.contains(&text) {
        let why = "This is the sample secret of the documentation: everybody can sign tokens with it.";
        if is_loopback(supabase) {
            problems.warning("BFF-JWT-002", name, Some(REDACTED), why, "Change it before others reach this.");
        } else {
            problems.fault("BFF-JWT-002", name, Some(REDACTED), why, "Give the project a secret of its own.");
        }
    }
    Some(secret)
}

/// PEM, JWK or JWT text (S-33).
fn is_something_else(text: &str) -> bool {
    let token = text.starts_with("eyJ") && text.bytes().filter(|b| *b == b'.').count() == 2;
    let json = matches!(serde_json::from_str(text), Ok(Value::Object(_) | Value::Array(_)));
    token || json || text.contains("-----BEGIN")
}

fn jwks_url(vars: &dyn Vars, supabase: &Url, problems: &mut Problems) -> Option<Url> {
    let name = "SUPABASE_JWKS_URL";
    let form = "an address such as https://project.supabase.co/auth/v1/.well-known/jwks.json";
    let default = || Url::parse(&format!("{}/auth/v1/.well-known/jwks.json", trimmed(supabase))).ok();
    let url = vars::parsed(vars, name, form, problems).or_else(default)?;
    let plain = vars::list(vars, "danger_plain_http").unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let fine = match url.scheme() {
        "https" => true,
        "http" => is_loopback(&url) || plain.iter().any(|allowed| allowed == host),
        _ => false,
    };
    if !fine {
        let why = "Keys that come over plain http can be exchanged on the way (S-90).";
        problems.fault("BFF-URL-001", name, Some(url.as_str()), why, "Use https.");
    }
    Some(url)
}

/// Everything that is wrong with the environment.
#[derive(Debug)]
pub struct Misconfigured(Problems);

impl Misconfigured {
    pub(super) fn tls(error: &reqwest::Error) -> Self {
        let mut problems = Problems::default();
        let why = format!("The TLS configuration cannot be used: {error}.");
        problems.fault("BFF-CONF-002", "SSL_CERT_FILE", None, why, "Check the certificate authorities.");
        Self(problems)
    }

    /// The findings.
    pub fn problems(&self) -> &Problems {
        &self.0
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.list().iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("\n"))
    }
}

impl std::error::Error for Misconfigured {}
