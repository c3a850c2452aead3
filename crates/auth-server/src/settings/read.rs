//! Reading the variables. Faults go to `problems`, so that one start reports all of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use base::vars::{self, Problems, REDACTED, Vars};
use time::Duration;
use url::Url;

use super::{
    Algorithm, Client, Database, Defaults, MailLinks, PasswordRules, RefreshTokenForm, Settings, smtp,
    unsafe_start,
};

/// Every variable that [`Settings::read`] asks for. Others with the prefix `AUTH_` are the caller's to refuse.
pub const VARIABLES: &[&str] = &[
    "AUTH_LISTEN",
    "AUTH_PUBLIC_URL",
    "AUTH_DATABASE",
    "AUTH_SITE_URL",
    "AUTH_REDIRECT_URLS",
    "AUTH_SIGN_UP",
    "AUTH_CONFIRM_EMAIL",
    "AUTH_SECURE_EMAIL_CHANGE",
    "AUTH_ANONYMOUS",
    "AUTH_LINKING",
    "AUTH_TOTP",
    "AUTH_PASSWORD_MIN_LENGTH",
    "AUTH_PASSWORD_REQUIRED_CHARACTERS",
    "AUTH_PASSWORD_COMMON_LIST",
    "AUTH_REQUIRE_CURRENT_PASSWORD",
    "AUTH_REQUIRE_REAUTHENTICATION",
    "AUTH_ALGORITHM",
    "AUTH_SECRET_KEY",
    "AUTH_SECRET_KEY_FILE",
    "AUTH_SIGNING_KEYS_FILE",
    "AUTH_ACCESS_TOKEN_EXPIRE_MINUTES",
    "AUTH_ACCESS_TOKEN_LIFETIME",
    "AUTH_REFRESH_TOKENS",
    "AUTH_REFRESH_REUSE_INTERVAL",
    "AUTH_SESSION_LIFETIME",
    "AUTH_SESSION_IDLE",
    "AUTH_OTP_LIFETIME",
    "AUTH_MAIL_GAP",
    "AUTH_LIMITS",
    "AUTH_CLIENT_IP_HEADER",
    "AUTH_SMTP_URL",
    "AUTH_SMTP_URL_FILE",
    "AUTH_MAIL_FROM",
    "AUTH_MAIL_LINKS",
    "AUTH_ADMIN_KEY",
    "AUTH_ADMIN_KEY_FILE",
    "AUTH_GOOGLE_CLIENT_ID",
    "AUTH_GOOGLE_CLIENT_SECRET",
    "AUTH_GOOGLE_CLIENT_SECRET_FILE",
    "AUTH_GOOGLE_ISSUER",
    "AUTH_GITHUB_CLIENT_ID",
    "AUTH_GITHUB_CLIENT_SECRET",
    "AUTH_GITHUB_CLIENT_SECRET_FILE",
    "AUTH_GITHUB_URL",
];

/// Secrets that stand in public documentation and therefore are none.
const KNOWN_SECRETS: &[&str] = &[
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "your-32-character-ultra-secure-and-long-key",
];

impl Settings {
    /// Reads every variable of [`VARIABLES`]; `None` if a fault was found.
    pub fn read(vars: &dyn Vars, defaults: &Defaults, problems: &mut Problems) -> Option<Self> {
        let faults_before = count_faults(problems);
        let smtp = smtp::read(vars, problems);
        let listen = vars::parsed(vars, "AUTH_LISTEN", "an address such as 127.0.0.1:9999", problems)
            .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 9999)));
        let database = match vars::text(vars, "AUTH_DATABASE", problems).as_deref() {
            Some(":memory:") => Database::Memory,
            Some(path) => Database::File(path.into()),
            None => Database::File(defaults.data_dir.join("auth.db")),
        };
        let site =
            web_url(vars, "AUTH_SITE_URL", problems).unwrap_or_else(|| defaults.bff_public_url.clone());
        let site_url = site.as_str().trim_end_matches('/').to_owned();
        let settings = Self {
            listen,
            public_url: web_url(vars, "AUTH_PUBLIC_URL", problems),
            signing_keys_file: keys_file(vars, &database, problems),
            database,
            redirect_urls: redirect_urls(vars, &site_url, problems),
            site_url,
            sign_up: vars::flag(vars, "AUTH_SIGN_UP", true, problems),
            confirm_email: vars::flag(vars, "AUTH_CONFIRM_EMAIL", false, problems),
            secure_email_change: vars::flag(vars, "AUTH_SECURE_EMAIL_CHANGE", true, problems),
            anonymous: vars::flag(vars, "AUTH_ANONYMOUS", true, problems),
            linking: vars::flag(vars, "AUTH_LINKING", true, problems),
            totp: vars::flag(vars, "AUTH_TOTP", true, problems),
            password: password_rules(vars, problems),
            require_current_password: vars::flag(vars, "AUTH_REQUIRE_CURRENT_PASSWORD", false, problems),
            require_reauthentication: vars::flag(vars, "AUTH_REQUIRE_REAUTHENTICATION", false, problems),
            algorithm: algorithm(vars, problems),
            secret_key: vars::secret(vars, "AUTH_SECRET_KEY", problems),
            access_token_lifetime: access_token_lifetime(vars, problems),
            refresh_tokens: vars::choice(
                vars,
                "AUTH_REFRESH_TOKENS",
                &[("v2", RefreshTokenForm::V2), ("legacy", RefreshTokenForm::Legacy)],
                RefreshTokenForm::V2,
                problems,
            ),
            refresh_reuse_interval: vars::span(
                vars,
                "AUTH_REFRESH_REUSE_INTERVAL",
                Duration::seconds(10),
                problems,
            ),
            session_lifetime: limit(vars, "AUTH_SESSION_LIFETIME", problems),
            session_idle: limit(vars, "AUTH_SESSION_IDLE", problems),
            otp_lifetime: vars::span(vars, "AUTH_OTP_LIFETIME", Duration::hours(1), problems),
            // Without SMTP the server runs on loopback only, where waiting between two mails helps nobody.
            mail_gap: vars::span(
                vars,
                "AUTH_MAIL_GAP",
                if smtp.is_some() { Duration::minutes(1) } else { Duration::ZERO },
                problems,
            ),
            mail_links: vars::choice(
                vars,
                "AUTH_MAIL_LINKS",
                &[("confirm", MailLinks::Confirm), ("verify", MailLinks::Verify)],
                MailLinks::Confirm,
                problems,
            ),
            smtp,
            limits: vars::flag(vars, "AUTH_LIMITS", true, problems),
            client_ip_header: vars::text(vars, "AUTH_CLIENT_IP_HEADER", problems),
            admin_key: vars::secret(vars, "AUTH_ADMIN_KEY", problems),
            google: client(vars, "AUTH_GOOGLE", problems),
            google_issuer: web_url(vars, "AUTH_GOOGLE_ISSUER", problems),
            github: client(vars, "AUTH_GITHUB", problems),
            github_url: web_url(vars, "AUTH_GITHUB_URL", problems),
            default_role: None,
            hash_threads: super::default_hash_threads(),
        };
        settings.check(problems);
        (count_faults(problems) == faults_before).then_some(settings)
    }

    fn check(&self, problems: &mut Problems) {
        for found in unsafe_start(self, self.listen, self.public_url.as_ref()) {
            let seen = (found.variable == "AUTH_LISTEN").then(|| self.listen.to_string());
            problems.fault(found.code, found.variable, seen.as_deref(), found.why, found.fix);
        }
        let hour = Duration::hours(1);
        if self.otp_lifetime > hour || !self.otp_lifetime.is_positive() {
            let why = "A link in a mail must end within an hour.";
            problems.fault("BFF-CONF-002", "AUTH_OTP_LIFETIME", None, why, "Set it to 1h or less.");
        }
        match (&self.secret_key, self.algorithm) {
            (None, Algorithm::Hs256) => {
                let why = "HS256 signs with a shared secret, and there is none.";
                let fix =
                    "Set AUTH_SECRET_KEY to at least 32 random bytes, for example: openssl rand -hex 32";
                problems.fault("AUTH-KEY-001", "AUTH_SECRET_KEY", None, why, fix);
            }
            (Some(key), _) => check_secret("AUTH_SECRET_KEY", key.expose(), 32, problems),
            (None, _) => {}
        }
        if let Some(key) = &self.admin_key {
            check_secret("AUTH_ADMIN_KEY", key.expose(), 43, problems);
        }
        if let (Some(secret), Some(admin)) = (&self.secret_key, &self.admin_key)
            && secret == admin
        {
            let why = "One secret must not serve two purposes: AUTH_SECRET_KEY has the same value.";
            problems.fault("AUTH-KEY-002", "AUTH_ADMIN_KEY", Some(REDACTED), why, "Draw another one.");
        }
        for (name, url) in
            [("AUTH_GITHUB_URL", &self.github_url), ("AUTH_GOOGLE_ISSUER", &self.google_issuer)]
        {
            if let Some(url) = url
                && url.scheme() != "https"
                && !base::http::is_loopback(url)
            {
                let why = "The client secret would cross a network without TLS.";
                problems.fault("AUTH-SAFE-003", name, Some(url.as_str()), why, "Use https://.");
            }
        }
    }
}

fn count_faults(problems: &Problems) -> usize {
    problems.list().iter().filter(|p| p.weight == vars::Weight::Fault).count()
}

fn check_secret(name: &'static str, value: &str, least: usize, problems: &mut Problems) {
    let distinct = value.bytes().collect::<std::collections::BTreeSet<_>>().len();
    let (code, why) = if value.len() < least {
        ("AUTH-KEY-001", format!("It has fewer than {least} bytes."))
    } else if KNOWN_SECRETS.contains(&value) || distinct < 12 {
        ("AUTH-KEY-002", "It is a sample or was not drawn at random.".to_owned())
    } else {
        return;
    };
    let fix = "Draw a new one, for example: openssl rand -hex 32";
    problems.fault(code, name, Some(REDACTED), why, fix);
}

fn web_url(vars: &dyn Vars, name: &str, problems: &mut Problems) -> Option<Url> {
    let url: Url = vars::parsed(vars, name, "an address such as http://localhost:8080", problems)?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !plain || url.password().is_some() {
        let why = "This must be an http or https address without user name, query or fragment.";
        problems.fault("BFF-CONF-002", name, Some(url.as_str()), why, "Set it to such an address.");
        return None;
    }
    Some(url)
}

fn keys_file(vars: &dyn Vars, database: &Database, problems: &mut Problems) -> Option<PathBuf> {
    let set = vars::text(vars, "AUTH_SIGNING_KEYS_FILE", problems).map(PathBuf::from);
    set.or_else(|| match database {
        Database::Memory => None,
        Database::File(path) => Some(path.parent().unwrap_or(Path::new("")).join("auth-keys.json")),
    })
}

fn redirect_urls(vars: &dyn Vars, site: &str, problems: &mut Problems) -> Vec<String> {
    let Some(patterns) = vars::list(vars, "AUTH_REDIRECT_URLS") else {
        return vec![format!("{site}/auth/**")];
    };
    for pattern in &patterns {
        if crate::redirect::has_wildcard_host(pattern) {
            let why = "A wildcard in the host lets every site that matches it receive codes and tokens.";
            let fix = "Name each host.";
            problems.warning("AUTH-REDIRECT-001", "AUTH_REDIRECT_URLS", Some(pattern), why, fix);
        }
    }
    patterns
}

fn password_rules(vars: &dyn Vars, problems: &mut Problems) -> PasswordRules {
    let min_length = vars::parsed(vars, "AUTH_PASSWORD_MIN_LENGTH", "a number from 6 to 1024", problems);
    let min_length = min_length.unwrap_or(8_usize);
    if !(6..=crate::password::MAX_BYTES).contains(&min_length) {
        let seen = min_length.to_string();
        let why = "Fewer than 6 bytes protect nothing, more than 1024 are never accepted.";
        let fix = "Set it to 8 or a little more.";
        problems.fault("BFF-CONF-002", "AUTH_PASSWORD_MIN_LENGTH", Some(&seen), why, fix);
    }
    let required = vars::text(vars, "AUTH_PASSWORD_REQUIRED_CHARACTERS", problems).unwrap_or_default();
    PasswordRules {
        min_length,
        required: required.split(':').filter(|group| !group.is_empty()).map(str::to_owned).collect(),
        common_list: vars::flag(vars, "AUTH_PASSWORD_COMMON_LIST", true, problems),
    }
}

fn algorithm(vars: &dyn Vars, problems: &mut Problems) -> Algorithm {
    let words = [
        ("ES256", Algorithm::Es256),
        ("RS256", Algorithm::Rs256),
        ("EdDSA", Algorithm::EdDsa),
        ("HS256", Algorithm::Hs256),
    ];
    vars::choice(vars, "AUTH_ALGORITHM", &words, Algorithm::Es256, problems)
}

fn access_token_lifetime(vars: &dyn Vars, problems: &mut Problems) -> Duration {
    const MINUTES: &str = "AUTH_ACCESS_TOKEN_EXPIRE_MINUTES";
    const LIFETIME: &str = "AUTH_ACCESS_TOKEN_LIFETIME";
    let default = Duration::minutes(30);
    let minutes: Option<u32> = vars::parsed(vars, MINUTES, "a number of minutes", problems);
    let lifetime = vars::span(vars, LIFETIME, default, problems);
    if minutes.is_some() && vars.get(LIFETIME).is_some() {
        let why = format!("{MINUTES} and {LIFETIME} are both set.");
        problems.fault("BFF-CONF-002", LIFETIME, None, why, "Keep one of them.");
    }
    let lifetime = minutes.map_or(lifetime, |minutes| Duration::minutes(minutes.into()));
    if lifetime < Duration::seconds(1) || lifetime > Duration::days(1) {
        let seen = lifetime.to_string();
        let why = "An access token cannot be called back: it should live for minutes, a day at most.";
        problems.fault("BFF-CONF-002", LIFETIME, Some(&seen), why, "Set it to 30m.");
    }
    lifetime
}

fn limit(vars: &dyn Vars, name: &str, problems: &mut Problems) -> Option<Duration> {
    vars.get(name)?;
    let limit = vars::span(vars, name, Duration::seconds(1), problems);
    if !limit.is_positive() {
        problems.fault("BFF-CONF-002", name, Some("0"), "No session could live.", "Remove it for no limit.");
    }
    Some(limit)
}

fn client(vars: &dyn Vars, prefix: &str, problems: &mut Problems) -> Option<Client> {
    let (id_name, secret_name) = (format!("{prefix}_CLIENT_ID"), format!("{prefix}_CLIENT_SECRET"));
    let id = vars::text(vars, &id_name, problems);
    let secret = vars::secret(vars, &secret_name, problems);
    match (id, secret) {
        (Some(id), Some(secret)) => Some(Client { id, secret }),
        (None, None) => None,
        (id, _) => {
            let missing = if id.is_some() { secret_name } else { id_name };
            let why = "A provider needs both its client id and its client secret.";
            problems.fault("BFF-CONF-002", missing, None, why, "Set both, or neither.");
            None
        }
    }
}
