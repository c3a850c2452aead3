//! The server's settings: every `AUTH_*` variable, typed, with its faults in one list.

mod read;
mod safety;
mod smtp;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use base::secret::Secret;
use time::Duration;
use url::Url;

pub use crate::db::Database;
pub use read::VARIABLES;
pub(crate) use safety::{is_private, unsafe_start};
pub use smtp::Smtp;

/// What the settings of the BFF decide where `AUTH_*` is silent.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// `BFF_PUBLIC_URL`: the site that people come back to.
    pub bff_public_url: Url,
    /// `data_dir`: where the database and the keys are made.
    pub data_dir: PathBuf,
}

/// How access tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256; the default.
    Es256,
    /// RSA with 2,048 bits, PKCS #1 padding and SHA-256.
    Rs256,
    /// Ed25519.
    EdDsa,
    /// A secret shared with everyone who verifies.
    Hs256,
}

/// The form of refresh tokens (contract, section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshTokenForm {
    /// The counted and signed form; one that comes again too late ends its session (S-76).
    V2,
    /// 12 characters with a row each, as older projects have them; one that comes again too late ends all refresh
    /// tokens of its session, but its access token lives on.
    Legacy,
}

/// Where the links in mails lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailLinks {
    /// `<site>/auth/confirm?token_hash=…`: a page that asks for a click.
    Confirm,
    /// `<server>/verify?token=…`, as GoTrue's default templates do.
    Verify,
}

/// Client id and secret at a provider.
#[derive(Debug, Clone)]
pub struct Client {
    /// Public.
    pub id: String,
    /// Sent to the provider's token endpoint only.
    pub secret: Secret<String>,
}

/// Which characters a password needs, besides its length.
#[derive(Debug, Clone)]
pub struct PasswordRules {
    /// In bytes, at least 6. `AUTH_PASSWORD_MIN_LENGTH`, default 8.
    pub min_length: usize,
    /// One of each group must occur. `AUTH_PASSWORD_REQUIRED_CHARACTERS`, groups joined by `:`.
    pub required: Vec<String>,
    /// Refuse common passwords. `AUTH_PASSWORD_COMMON_LIST`, default true.
    pub common_list: bool,
}

/// Everything the server needs to know. Inert: [`start`](crate::start) makes it run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the caller shall listen. `AUTH_LISTEN`, default `127.0.0.1:9999`.
    pub listen: SocketAddr,
    /// Address in links and tokens. `AUTH_PUBLIC_URL`; `None`: the address listened on.
    pub public_url: Option<Url>,
    /// `AUTH_DATABASE`, default `auth.db` in the data folder.
    pub database: Database,
    /// Where people come back to when nothing else is allowed. `AUTH_SITE_URL`, without a slash at its end.
    pub site_url: String,
    /// Further targets as globs of the contract, section 4.4. `AUTH_REDIRECT_URLS`.
    pub redirect_urls: Vec<String>,
    /// May strangers make accounts? `AUTH_SIGN_UP`.
    pub sign_up: bool,
    /// Must an address be confirmed before its owner signs in? `AUTH_CONFIRM_EMAIL`; `false` on loopback only.
    pub confirm_email: bool,
    /// A change of address is confirmed at both addresses, not at the new one alone. `AUTH_SECURE_EMAIL_CHANGE`.
    pub secure_email_change: bool,
    /// `AUTH_ANONYMOUS`.
    pub anonymous: bool,
    /// May people connect further identities, and remove them? `AUTH_LINKING`.
    pub linking: bool,
    /// Second factors by an authenticator app. `AUTH_TOTP`.
    pub totp: bool,
    /// `AUTH_PASSWORD_*`.
    pub password: PasswordRules,
    /// A change of password asks for the old one, unless the session began by mail. `AUTH_REQUIRE_CURRENT_PASSWORD`.
    pub require_current_password: bool,
    /// A change of password asks for a mailed code once the session is a day old. `AUTH_REQUIRE_REAUTHENTICATION`.
    pub require_reauthentication: bool,
    /// `AUTH_ALGORITHM`.
    pub algorithm: Algorithm,
    /// For HS256, at least 32 bytes. `AUTH_SECRET_KEY`.
    pub secret_key: Option<Secret<String>>,
    /// A JWK set, made if absent. `AUTH_SIGNING_KEYS_FILE`; `None`: keys that live as long as the process.
    pub signing_keys_file: Option<PathBuf>,
    /// `AUTH_ACCESS_TOKEN_LIFETIME` or `AUTH_ACCESS_TOKEN_EXPIRE_MINUTES`.
    pub access_token_lifetime: Duration,
    /// `AUTH_REFRESH_TOKENS`.
    pub refresh_tokens: RefreshTokenForm,
    /// How long an older refresh token still works. `AUTH_REFRESH_REUSE_INTERVAL`.
    pub refresh_reuse_interval: Duration,
    /// Longest life of a session. `AUTH_SESSION_LIFETIME`; `None`: no limit.
    pub session_lifetime: Option<Duration>,
    /// Longest time between refreshes. `AUTH_SESSION_IDLE`; `None`: no limit.
    pub session_idle: Option<Duration>,
    /// Life of a link in a mail, at most an hour (S-75); its digits live 10 minutes at most. `AUTH_OTP_LIFETIME`.
    pub otp_lifetime: Duration,
    /// Least time between two mails of a kind to one person. `AUTH_MAIL_GAP`.
    pub mail_gap: Duration,
    /// `AUTH_MAIL_LINKS`.
    pub mail_links: MailLinks,
    /// A mail server in place of the outbox. `AUTH_SMTP_URL`, `AUTH_MAIL_FROM`.
    pub smtp: Option<Smtp>,
    /// Limit requests by client address. `AUTH_LIMITS`.
    pub limits: bool,
    /// Header in which a trusted proxy names the client's address. `AUTH_CLIENT_IP_HEADER`.
    pub client_ip_header: Option<String>,
    /// Bearer of `/admin/*`, at least 256 bits. `AUTH_ADMIN_KEY`; `None`: made at first start.
    pub admin_key: Option<Secret<String>>,
    /// `AUTH_GOOGLE_CLIENT_ID`, `AUTH_GOOGLE_CLIENT_SECRET`.
    pub google: Option<Client>,
    /// Another issuer than `https://accounts.google.com`, with OpenID discovery. `AUTH_GOOGLE_ISSUER`.
    pub google_issuer: Option<Url>,
    /// `AUTH_GITHUB_CLIENT_ID`, `AUTH_GITHUB_CLIENT_SECRET`.
    pub github: Option<Client>,
    /// Another GitHub than github.com. `AUTH_GITHUB_URL`.
    pub github_url: Option<Url>,
    /// Role that people get at sign-up, as `app_metadata.roles`. No variable: the program that embeds the server
    /// decides.
    pub default_role: Option<String>,
    /// How many passwords are hashed at once, 19 MiB each.
    pub hash_threads: usize,
}

impl Settings {
    /// A server in memory on any free loopback port: addresses count as confirmed, no gap between mails.
    pub fn for_tests() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_url: None,
            database: Database::Memory,
            site_url: "http://localhost:8080".to_owned(),
            redirect_urls: vec!["http://localhost:8080/auth/**".to_owned()],
            sign_up: true,
            confirm_email: false,
            secure_email_change: true,
            anonymous: true,
            linking: true,
            totp: true,
            password: PasswordRules { min_length: 8, required: Vec::new(), common_list: true },
            require_current_password: false,
            require_reauthentication: false,
            algorithm: Algorithm::Es256,
            secret_key: None,
            signing_keys_file: None,
            access_token_lifetime: Duration::minutes(30),
            refresh_tokens: RefreshTokenForm::V2,
            refresh_reuse_interval: Duration::seconds(10),
            session_lifetime: None,
            session_idle: None,
            otp_lifetime: Duration::hours(1),
            mail_gap: Duration::ZERO,
            mail_links: MailLinks::Confirm,
            smtp: None,
            limits: false,
            client_ip_header: None,
            admin_key: None,
            google: None,
            google_issuer: None,
            github: None,
            github_url: None,
            default_role: None,
            hash_threads: default_hash_threads(),
        }
    }
}

/// One per processor, at most six: six passes of Argon2 at 19 MiB stay under 128 MiB (S-74).
pub(crate) fn default_hash_threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 6)
}
