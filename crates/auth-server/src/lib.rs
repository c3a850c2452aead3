//! The GoTrue-compatible server: for development, tests and small installs.
//!
//! [`start`] takes [`Settings`], a clock, a source of randomness and a listening socket. The map, in reading order:
//! `http` is the route table; `account`, `token`, `one_time` and `authorize` are the ways in; `factors` raise a session;
//! `address` changes where its person is reached; `rotation` keeps refresh tokens honest; `identities` decides whose
//! account a provider's answer belongs to; `db` is SQLite; `keys` and `password` guard what must stay secret; `pages` are
//! the pretend providers and the outbox.
//!
//! # Where it differs from GoTrue
//!
//! On purpose, and nowhere else: token answers are `no-store`; `Retry-After` goes with every 429; the `redirect_to` and
//! `X-JWT-AUD` headers and `Referer` mean nothing; PKCE is S256 only, and a code, a link and its digits are redeemed in
//! one transaction; digits can be tried five times; unknown people cost as much work as known ones; a provider's
//! address opens an account only if both sides proved it, with auto-confirmation too; a refused second mail leaves the
//! first as it is; provider names are lower case; members of JSON bodies are named exactly and stand there once, and
//! the body says that it is JSON; caller's mistakes are 400, and no answer holds a text of the database; a ban ends
//! sessions at once; passwords may have 1,024 bytes; the admin key is no JWT; there is no discovery document. A code of
//! an authenticator app works once, five wrong ones make the factor rest for five minutes, and a challenge is not bound to
//! the client's address; a change of address that is asked for anew voids both mails of the old one; an anonymous person
//! takes a provider's address only if the provider vouches for it; the mail server is spoken to behind the answer.
//!
//! Phone and SMS, SAML, web3, passkeys, the OAuth server and SCIM answer as GoTrue does while they are off. Not part of
//! this version: ID tokens as a grant, invitations that are accepted by a provider, the audit
//! list.

mod account;
mod address;
mod admin;
mod authorize;
mod db;
mod documents;
mod email;
mod error;
mod factors;
mod http;
mod identities;
mod keys;
mod limit;
mod mail;
mod mailing;
mod off;
mod one_time;
mod pages;
mod password;
mod people;
mod pkce;
mod providers;
mod recover;
mod redirect;
mod rotation;
mod serve;
mod settings;
mod token;
mod update;
mod wire;

use std::sync::Arc;

use base::clock::SharedClock;
use base::entropy::SharedEntropy;
use base::seal::Sealer;
use base::secret::Secret;

use providers::ProviderTokens;

pub use db::DbError;
pub use keys::KeyError;
pub use mail::{Mail, MailKind};
pub use people::{Account, UserError, Users};
pub use serve::{Handle, StartError, start};
pub use settings::{
    Algorithm, Client, Database, Defaults, MailLinks, PasswordRules, RefreshTokenForm, Settings, Smtp,
    VARIABLES,
};

/// What handlers may ask for.
#[derive(Debug)]
struct Server {
    settings: Settings,
    clock: SharedClock,
    entropy: SharedEntropy,
    db: db::Db,
    signer: keys::Signer,
    refresh_tokens: rotation::RefreshTokens,
    /// For digits, which are too few to be hashed without a key.
    codes: Sealer,
    /// For tokens of providers between callback and exchange.
    provider_tokens: Sealer,
    /// For the secrets of authenticator apps.
    factor_secrets: Sealer,
    /// For the codes of pretend providers.
    pretend_codes: Sealer,
    admin_key: Secret<String>,
    hasher: password::Hasher,
    outbox: mail::Outbox,
    redirects: redirect::Redirects,
    providers: providers::Providers,
    templates: pages::Templates,
    limits: limit::Limits,
    calls: http::Calls,
    /// `iss` of tokens, and the base of links to this server: its public address and `/auth/v1`.
    issuer: String,
    /// The public address without a slash at its end.
    public_url: String,
}

type App = Arc<Server>;

impl Server {
    /// A session that is about to begin.
    fn draw_session(&self) -> rotation::NewSession {
        self.refresh_tokens.begin(self.entropy.uuid())
    }

    fn code_mac(&self, address: &str, code: &str) -> String {
        use base64::Engine;
        let mac = self.codes.mac(&[address.as_bytes(), code.as_bytes()]);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(mac)
    }

    /// Path of the API on this server: links on pages stay on it, whatever stands in front.
    fn base_path(&self) -> &str {
        let rest = self.issuer.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |at| &rest[at..])
    }

    fn seal_provider_tokens(&self, tokens: &ProviderTokens) -> String {
        self.provider_tokens.seal(&[], tokens.text().expose().as_bytes(), &*self.entropy)
    }

    fn open_provider_tokens(&self, sealed: &str) -> Option<ProviderTokens> {
        let opened = self.provider_tokens.open(&[], sealed).ok()?;
        std::str::from_utf8(&opened.plain).ok().map(ProviderTokens::read)
    }
}
