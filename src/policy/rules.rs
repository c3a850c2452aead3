//! A rule: which requests it is about, and what it asks of people.

use http::Method;
use serde_json::Value;
use time::Duration;

use super::Door;
use super::pattern::Pattern;
use super::settings::Allow;

/// The methods that a rule without a list of its own answers, as far as they have names.
const USUAL: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// One rule, ready to be asked. [`Policy::decide`](super::Policy::decide) asks it about people.
#[derive(Debug)]
pub struct Rule {
    pub(super) name: String,
    pub(super) host: Option<String>,
    pub(super) requests: Vec<Requests>,
    pub(super) upstream: Option<String>,
    pub(super) strip: String,
    pub(super) allow: Allow,
    pub(super) needs: Needs,
    pub(super) bearer: bool,
    pub(super) csrf_off: bool,
    pub(super) code_guard_off: bool,
    pub(super) live: bool,
    pub(super) built_in: bool,
}

/// Some methods on some paths.
#[derive(Debug)]
pub(super) struct Requests {
    /// `None`: all but CONNECT and TRACE.
    pub(super) methods: Option<Vec<Method>>,
    pub(super) path: Pattern,
}

/// What a signed-in person must bring.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) anonymous_will_do: bool,
    pub(super) scopes: Vec<String>,
    pub(super) any_scopes: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) claims: Vec<(String, Vec<Value>)>,
    pub(super) aal2: bool,
    pub(super) max_age: Option<Duration>,
}

/// Why a rule is not about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Miss {
    #[error("the path belongs to the BFF itself")]
    Reserved,
    #[error("another kind of request: the rule has an upstream, or has none")]
    Door,
    #[error("another host")]
    Host,
    #[error("another path")]
    Path,
    #[error("another method")]
    Method,
}

impl Rule {
    /// As in `bff.toml`; unique.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The one host that it is about; `None` for any.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Whom it lets through.
    pub fn allow(&self) -> Allow {
        self.allow
    }

    /// Whether S-14 does not hold here.
    pub fn csrf_off(&self) -> bool {
        self.csrf_off
    }

    /// Whether a bearer counts. If not, it is to be ignored and stripped (S-39).
    pub fn bearer_allowed(&self) -> bool {
        self.bearer
    }

    /// Whether a `code` in the query is passed on (S-27).
    pub fn code_guard_off(&self) -> bool {
        self.code_guard_off
    }

    /// Whether GoTrue is to be asked if the session still lives, once [`decide`](super::Policy::decide) has said yes.
    pub fn live(&self) -> bool {
        self.live
    }

    /// Where it leads; `None` for a rule that only forward-auth asks.
    pub fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    /// Taken off the path before it is forwarded; empty for nothing. What remains may be empty: that is `/`.
    pub fn strip(&self) -> &str {
        &self.strip
    }

    /// The patterns, for lists.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.requests.iter().map(|requests| requests.path.as_str())
    }

    /// Whether it belongs to the drop-in mount, not to `bff.toml`.
    pub fn is_built_in(&self) -> bool {
        self.built_in
    }

    /// Whether it is about this request. HEAD is judged as GET (S-98).
    pub(super) fn judge(
        &self,
        door: Door,
        host: Option<&str>,
        method: &Method,
        path: &str,
    ) -> Result<(), Miss> {
        if self.door() != door {
            return Err(Miss::Door);
        }
        if !self.on_host(host) {
            return Err(Miss::Host);
        }
        let mut here = self.requests.iter().filter(|requests| requests.path.matches(path)).peekable();
        if here.peek().is_none() {
            return Err(Miss::Path);
        }
        if here.any(|requests| requests.answers(method)) { Ok(()) } else { Err(Miss::Method) }
    }

    /// The methods that it answers, each once.
    pub(super) fn listed_methods(&self) -> Vec<String> {
        let mut methods = Vec::new();
        for requests in &self.requests {
            requests.add_methods(&mut methods);
        }
        methods.sort_unstable();
        methods.dedup();
        methods
    }

    /// Adds the methods that it would answer on `path`.
    pub(super) fn methods_of(&self, path: &str, methods: &mut Vec<String>) {
        for requests in self.requests.iter().filter(|requests| requests.path.matches(path)) {
            requests.add_methods(methods);
        }
    }

    /// Those of `earlier` that leave nothing for this one, be it that one of them takes some of its methods and another
    /// the rest; empty if a request gets past them all.
    pub(super) fn shadowed_by<'a>(&self, earlier: &'a [Self]) -> Vec<&'a str> {
        let mut names = Vec::new();
        for requests in &self.requests {
            let each: Vec<Option<&Method>> = match &requests.methods {
                None => vec![None],
                Some(listed) => listed.iter().map(Some).collect(),
            };
            for method in each {
                match earlier.iter().find(|rule| rule.covers(self, requests, method)) {
                    Some(rule) if names.contains(&rule.name.as_str()) => {}
                    Some(rule) => names.push(&rule.name),
                    None => return Vec::new(),
                }
            }
        }
        names
    }

    /// Whether no request of `other` by `method` gets past this one; `None`: by any method.
    fn covers(&self, other: &Self, theirs: &Requests, method: Option<&Method>) -> bool {
        let same = |host: &String| other.host.as_ref().is_some_and(|other| other.eq_ignore_ascii_case(host));
        let host = self.host.as_ref().is_none_or(same);
        let within = |ours: &Requests| {
            ours.path.covers(&theirs.path)
                && method.map_or(ours.methods.is_none(), |method| ours.answers(method))
        };
        self.door() == other.door() && host && self.requests.iter().any(within)
    }

    fn door(&self) -> Door {
        if self.upstream.is_some() { Door::Gateway } else { Door::ForwardAuth }
    }

    fn on_host(&self, host: Option<&str>) -> bool {
        match &self.host {
            None => true,
            Some(wanted) => host.is_some_and(|host| host.eq_ignore_ascii_case(wanted)),
        }
    }
}

impl Requests {
    fn answers(&self, method: &Method) -> bool {
        match &self.methods {
            None => !matches!(*method, Method::CONNECT | Method::TRACE),
            Some(listed) if *method == Method::HEAD => listed.contains(&Method::GET),
            Some(listed) => listed.contains(method),
        }
    }

    fn add_methods(&self, methods: &mut Vec<String>) {
        match &self.methods {
            None => methods.extend(USUAL.map(str::to_owned)),
            Some(listed) => {
                methods.extend(listed.iter().map(ToString::to_string));
                if listed.contains(&Method::GET) {
                    methods.push("HEAD".to_owned());
                }
            }
        }
    }
}
