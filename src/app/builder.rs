//! Settings by code.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::sync::Arc;

use base::clock::{SharedClock, SystemClock};
use base::entropy::{SharedEntropy, SystemEntropy};
use base::vars;

use super::{Bff, Error};
use crate::config::Inputs;

/// Collects settings for a [`Bff`] that reads neither the environment nor files. Nothing is looked at before
/// [`build`](Self::build), which lists every fault at once.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let bff = supabase_bff::Bff::builder()
///     .supabase("https://abcdefghijklmnopqrst.supabase.co", "sb_publishable_…")
///     .public_url("https://app.example.com")
///     .session_keys(&std::fs::read_to_string("/run/secrets/session-keys")?)
///     .set("session.idle", "7d")
///     .scope("items:write", "Create items")
///     .role("editor", ["items:write"])
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing runs before `build`"]
pub struct Builder {
    set: Vec<(OsString, OsString)>,
    scopes: Vec<(String, String)>,
    roles: Vec<(String, Vec<String>)>,
    toml: String,
    clock: SharedClock,
    entropy: SharedEntropy,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            set: Vec::new(),
            scopes: Vec::new(),
            roles: Vec::new(),
            toml: String::new(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }
}

impl Builder {
    /// `SUPABASE_URL`, which `/auth/v1` and the like are added to, and `SUPABASE_PUBLISHABLE_KEY`. Required.
    pub fn supabase(self, url: &str, publishable_key: &str) -> Self {
        self.set("SUPABASE_URL", url).set("SUPABASE_PUBLISHABLE_KEY", publishable_key)
    }

    /// The origin that browsers use. Default `http://localhost:8080`.
    pub fn public_url(self, url: &str) -> Self {
        self.set("public_url", url)
    }

    /// `BFF_SESSION_KEYS`, as `supabase-bff keys new` prints them. On loopback the default is a file in `data_dir`;
    /// elsewhere they are required.
    pub fn session_keys(self, keys: &str) -> Self {
        self.set("BFF_SESSION_KEYS", keys)
    }

    /// Where sessions rest: `cookie` (the default), `sqlite:data/sessions.db`, `rediss://…`.
    pub fn session_store(self, store: &str) -> Self {
        self.set("session.store", store)
    }

    /// Any other setting of `docs/configuration.md`, by its name (`session.idle`) or its variable, with a value as the
    /// variable would have it. A later one wins; an unknown one is a fault.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let variable = vars::variable(name);
        self.set.push((variable.into(), value.into()));
        self
    }

    /// Declares a scope and what it means, as `[scopes]` does.
    pub fn scope(mut self, scope: &str, meaning: &str) -> Self {
        self.scopes.push((scope.to_owned(), meaning.to_owned()));
        self
    }

    /// Declares a role and its scopes, as `[roles]` does; `*` is all of them.
    pub fn role<S: Into<String>>(mut self, role: &str, scopes: impl IntoIterator<Item = S>) -> Self {
        self.roles.push((role.to_owned(), scopes.into_iter().map(Into::into).collect()));
        self
    }

    /// What `bff.toml` would say, for example by `include_str!`. If it has `[scopes]` or `[roles]`, those come from here
    /// alone.
    pub fn toml(mut self, text: &str) -> Self {
        text.clone_into(&mut self.toml);
        self
    }

    /// Where the time comes from; for tests.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Where randomness comes from; for tests.
    pub fn entropy(mut self, entropy: SharedEntropy) -> Self {
        self.entropy = entropy;
        self
    }

    /// Joins the parts and fetches the project's keys.
    ///
    /// # Errors
    ///
    /// As [`Bff::from_env`].
    pub async fn build(self) -> Result<Bff, Error> {
        let inputs = Inputs { environment: self.set.clone(), file: Some(self.file()), ..Inputs::default() };
        Bff::by(&inputs, self.clock, self.entropy).await
    }

    /// Scopes and roles in front of the text: behind it, they could belong to its last table.
    fn file(&self) -> String {
        let mut text = String::new();
        for (scope, meaning) in &self.scopes {
            let _ = writeln!(text, "scopes.{} = {}", quoted(scope), quoted(meaning));
        }
        for (role, scopes) in &self.roles {
            let scopes: Vec<_> = scopes.iter().map(|scope| quoted(scope)).collect();
            let _ = writeln!(text, "roles.{} = [{}]", quoted(role), scopes.join(", "));
        }
        text + &self.toml
    }
}

/// A text as JSON and TOML both write it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
