//! Tries the live project and what else this configuration depends on, each once, and says what is wrong.

use std::time::Duration;

use base::clock::SharedClock;
use base::vars::Problems;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::GOTRUE_TIME;
use crate::config::Settings;
use crate::token::Verifier;

/// Longest answer that is read, in bytes.
const LARGEST: usize = 256 << 10;
/// Clocks may differ by this much: `Date` has whole seconds, and the answer was on its way.
const SKEW: time::Duration = time::Duration::seconds(5);
/// An own upstream has so long to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The one-time token of a link that was never sent.
const NO_TOKEN: &str = "supabase-bff-doctor-tries-the-redirect-list";

/// What was tried and what came of it.
#[derive(Debug, Default)]
pub struct Examined {
    /// Name and result of each look, in order, those that found a fault included.
    pub looks: Vec<(String, String)>,
    /// What should be mended.
    pub problems: Problems,
}

struct Looking<'a> {
    settings: &'a Settings,
    http: reqwest::Client,
    clock: SharedClock,
    done: Examined,
}

/// What came back from the project.
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Looks at everything. Makes no account, sends no mail, changes nothing.
///
/// # Errors
///
/// The HTTP client cannot be made.
pub async fn examine(settings: &Settings, clock: SharedClock) -> reqwest::Result<Examined> {
    let http = base::http::client(base::http::tls_config(), GOTRUE_TIME)?;
    let mut looking = Looking { settings, http, clock, done: Examined::default() };
    if looking.project().await {
        looking.keys().await;
        looking.issuer().await;
        looking.redirects().await;
        looking.unseen();
    }
    looking.store().await;
    looking.upstreams().await;
    Ok(looking.done)
}

impl Looking<'_> {
    fn look(&mut self, name: &str, result: impl Into<String>) {
        self.done.looks.push((name.to_owned(), result.into()));
    }

    /// `GET` below `SUPABASE_URL` and `/auth/v1`, with the publishable key.
    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<Told, String> {
        let gotrue = &self.settings.gotrue;
        let mut url = gotrue.base.clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        let request = self.http.get(url).query(query).header("apikey", gotrue.api_key.expose());
        let answer = request.send().await.map_err(|error| plainly(&error.without_url()))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = base::http::read_body(answer, LARGEST).await.map_err(|error| error.to_string())?;
        Ok(Told { status, headers, body: body.to_vec() })
    }

    /// Whether the project answers as GoTrue does: the rest makes sense only then.
    async fn project(&mut self) -> bool {
        #[derive(Deserialize)]
        struct Known {
            disable_signup: bool,
        }
        let seen = self.settings.project.url.as_str();
        let told = match self.ask("settings", &[]).await {
            Ok(told) => told,
            Err(why) => {
                self.look("project", format!("does not answer: {why}"));
                let why = format!("The project does not answer: {why}.");
                let fix =
                    "Check the address, name resolution and firewalls; a paused project has to be woken.";
                self.done.problems.fault("BFF-LIVE-005", "SUPABASE_URL", Some(seen), why, fix);
                return false;
            }
        };
        let status = told.status.as_u16();
        let known = serde_json::from_slice::<Known>(&told.body).ok();
        match (told.status, known) {
            (StatusCode::OK, Some(known)) => {
                let sign_up = if known.disable_signup { "closed" } else { "open" };
                self.look("project", format!("answers; sign-up is {sign_up}"));
                self.look("key", "is accepted");
                self.time(&told);
                true
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                self.look("project", "answers");
                self.look("key", format!("is refused with {status}"));
                let why = format!("The project refuses this key with {status}.");
                let fix = "Copy the publishable key, or the legacy anon key, of this very project.";
                let place = "SUPABASE_PUBLISHABLE_KEY";
                self.done.problems.fault("BFF-KEY-003", place, Some("[redacted]"), why, fix);
                false
            }
            _ => {
                self.look("project", format!("answers {status}, and not as Supabase Auth does"));
                let why = format!("What answers {status} below /auth/v1 is not Supabase Auth.");
                let fix = "SUPABASE_URL is the address of the project itself, without a path.";
                self.done.problems.fault("BFF-LIVE-005", "SUPABASE_URL", Some(seen), why, fix);
                false
            }
        }
    }

    /// `Date` of the answer beside our own clock.
    fn time(&mut self, told: &Told) {
        let date = told.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.map(|date| date.replace("GMT", "+0000"));
        let Some(theirs) = date.and_then(|date| OffsetDateTime::parse(&date, &Rfc2822).ok()) else {
            return self.look("clock", "the project does not tell the time");
        };
        let apart = (self.clock.now() - theirs).abs();
        if apart <= SKEW {
            return self.look("clock", "agrees with the project's");
        }
        let seconds = apart.whole_seconds();
        self.look("clock", format!("{seconds} s apart from the project's"));
        let (why, seen) = (format!("The clocks here and there are {seconds} s apart."), theirs.to_string());
        let fix = "Let this machine keep time by NTP.";
        if apart > self.settings.token.leeway {
            let why = format!("{why} Tokens would be refused as too new, or count too long.");
            self.done.problems.fault("BFF-LIVE-001", "Date", Some(&seen), why, fix);
        } else {
            self.done.problems.warning("BFF-LIVE-001", "Date", Some(&seen), why, fix);
        }
    }

    /// Whether any token could be verified.
    async fn keys(&mut self) {
        let verifier = Verifier::new(&self.settings.token, self.http.clone(), self.clock.clone(), None);
        verifier.warm_up().await;
        if verifier.ready() {
            let secret = self.settings.token.hs256_secret.is_some();
            return self.look("signing keys", if secret { "a secret is set" } else { "are published" });
        }
        self.look("signing keys", "none is published, and no secret is set");
        let why = "The project publishes no signing key, and there is no secret: no token can be verified.";
        let fix = "Set SUPABASE_JWT_SECRET, or let the project change to signing keys.";
        self.done.problems.fault("BFF-JWT-003", "SUPABASE_JWKS_URL", None, why, fix);
    }

    /// The issuer that the project names, beside the one that tokens must have here.
    async fn issuer(&mut self) {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
        }
        let told = self.ask(".well-known/openid-configuration", &[]).await.ok();
        let told = told.filter(|told| told.status == StatusCode::OK);
        let Some(named) = told.and_then(|told| serde_json::from_slice::<Discovery>(&told.body).ok()) else {
            return self.look("issuer", "is not told by this project");
        };
        let (named, expected) = (named.issuer, self.settings.token.issuer.as_str());
        if named == expected {
            return self.look("issuer", "is the expected one");
        }
        self.look("issuer", "is another than the expected one");
        let why = format!("The project's tokens name the issuer {named}: all of them would be refused.");
        let fix = "Set SUPABASE_PUBLIC_URL to the address that the project goes by, or SUPABASE_JWT_ISSUER.";
        self.done.problems.fault("BFF-JWT-004", "SUPABASE_JWT_ISSUER", Some(expected), why, fix);
    }

    /// The link of a mail that was never sent leads where it was asked to if the redirect list has that, and to the
    /// project's own site otherwise.
    async fn redirects(&mut self) {
        for public in &self.settings.network.public {
            let mut callback = public.clone();
            callback.set_path("/auth/callback/doctor");
            let listed = callback.as_str().replace("doctor", "*");
            let query = [("token", NO_TOKEN), ("type", "signup"), ("redirect_to", callback.as_str())];
            let told = self.ask("verify", &query).await.ok();
            let led = told.as_ref().and_then(|told| told.headers.get(header::LOCATION)?.to_str().ok());
            let Some(led) = led.and_then(|led| Url::parse(led).ok()) else {
                self.look("redirect list", format!("whether it has {listed} cannot be seen"));
                continue;
            };
            if led.origin() == callback.origin() && led.path() == callback.path() {
                self.look("redirect list", format!("has {listed}"));
                continue;
            }
            self.look("redirect list", format!("lacks {listed}"));
            let to = led.origin().ascii_serialization();
            let why = format!("After a provider or a mail the project sends people to {to} instead.");
            let fix = format!("Add {listed} to the redirect URLs of the project.");
            self.done.problems.fault("BFF-LIVE-002", "BFF_PUBLIC_URL", Some(public.as_str()), why, fix);
        }
    }

    /// What nobody can see from outside of the project, and should be looked at by hand.
    fn unseen(&mut self) {
        let templates = "cannot be seen from outside: their links lead to /auth/confirm (docs/supabase.md)";
        self.look("mail templates", templates);
        let gotrue = &self.settings.gotrue;
        if gotrue.secret_key.is_some() || gotrue.client_ip_header.is_some() {
            let counts =
                "whether they count cannot be seen from outside: the project's log names the clients";
            self.look("client addresses", counts);
        }
    }

    async fn store(&mut self) {
        if !self.settings.store.is_store() {
            return self.look("store", "none: sessions are in cookies");
        }
        match crate::store::open(&self.settings.store, self.clock.clone()).await {
            Ok(_) => self.look("store", "answers"),
            Err(failure) => {
                self.look("store", "does not answer");
                self.settings.store.report(&failure, &mut self.done.problems);
            }
        }
    }

    /// Whether somebody listens where the upstreams are said to be. Nothing is asked of them.
    async fn upstreams(&mut self) {
        for (name, upstream) in &self.settings.upstreams {
            let Some(written) = &upstream.url else { continue };
            let Ok(url) = Url::parse(written) else { continue }; // judged before
            let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { continue };
            let host = host.trim_matches(['[', ']']);
            let tried = timeout(CONNECT, TcpStream::connect((host, port))).await;
            let takes = matches!(tried, Ok(Ok(_)));
            self.look(
                &format!("upstream {name}"),
                if takes { "takes connections" } else { "takes no connection" },
            );
            if !takes {
                let why = "Nobody takes a connection there: requests to it would be answered 502.";
                let fix = "Start the upstream, or correct its address.";
                let place = format!("upstreams.{name}.url");
                self.done.problems.warning("BFF-UP-002", place, Some(written), why, fix);
            }
        }
    }
}

/// The innermost reason of `error`, which is the one that says something.
fn plainly(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
