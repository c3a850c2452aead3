//! The login page of somebody who is signed in and is to prove it anew (S-46): for that person alone.

use serde_json::Value;

use crate::web::visit::Visit;

/// Who is asked, and what the proof can be.
pub(super) struct Known {
    pub(super) email: String,
    /// There is a password, as far as the token tells.
    pub(super) password: bool,
    /// Who else can vouch: the linked providers.
    pub(super) providers: Vec<String>,
    /// The new session lasts as long as this one.
    pub(super) remember: bool,
}

/// The person of this request, if `prompt` is `login` and somebody with an address is signed in.
pub(super) async fn known(visit: &Visit, prompt: Option<&str>) -> Option<Known> {
    let sessions = &visit.app().sessions;
    if prompt != Some("login") || sessions.peek(visit.slot()).is_none() {
        return None;
    }
    let current = sessions.current(visit.slot()).await.ok()?;
    let claims = &current.claims;
    let set = claims.set();
    let linked = set.at("app_metadata.providers").and_then(Value::as_array);
    let names = linked.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let (own, providers): (Vec<_>, Vec<_>) = names.partition(|name| name == "email");
    (!claims.email.is_empty()).then(|| Known {
        email: claims.email.clone(),
        password: !own.is_empty() || providers.is_empty(),
        providers,
        remember: current.session.remember,
    })
}
