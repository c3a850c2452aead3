//! `[[rules]]` as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Whom a rule lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allow {
    /// Everybody; no session and no token has a part in it.
    Public,
    /// Everybody; who is signed in goes as himself.
    Optional,
    /// Who is signed in.
    #[default]
    User,
}

/// One `[[rules]]` of `bff.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// Stands in logs and in `policy explain`; unique.
    pub name: String,
    /// Default: all but CONNECT and TRACE. GET answers HEAD as well.
    #[serde(default)]
    pub methods: Vec<String>,
    /// `*` is one whole segment, `**` the rest and the bare prefix.
    pub path: String,
    /// The upstream. Absent: for forward-auth alone.
    pub to: Option<String>,
    /// Only this host, without port. Default: any.
    pub host: Option<String>,
    /// Taken off the path before it is forwarded.
    #[serde(default)]
    pub strip: String,
    /// Default: `user`.
    #[serde(default)]
    pub allow: Allow,
    /// `allow = "user"` admits anonymous users too.
    #[serde(default)]
    pub anonymous_users: bool,
    /// All of these.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// One of these.
    #[serde(default)]
    pub any_scopes: Vec<String>,
    /// One of these.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Dotted path of a claim, and the values of which it must have one, with their exact type.
    #[serde(default)]
    pub claims: BTreeMap<String, Vec<Value>>,
    /// 2 asks for a second factor.
    pub aal: Option<u8>,
    /// Longest time since the last proof of identity, such as `5m`.
    pub max_age: Option<String>,
    /// Ask GoTrue whether the session still lives.
    #[serde(default)]
    pub live: bool,
    /// `false`: a session cookie alone will do, no bearer.
    #[serde(default = "yes")]
    pub bearer: bool,
    /// `off`: S-14 does not hold here.
    #[serde(default)]
    pub csrf: Switch,
    /// `off`: a `code` in the query is passed on (S-27).
    #[serde(default)]
    pub code_guard: Switch,
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// As everywhere.
    #[default]
    On,
    /// Not for this rule.
    Off,
}

fn yes() -> bool {
    true
}
