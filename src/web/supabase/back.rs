//! Coming back to a client below the mount: the rest of its address says who is here, with phantoms or by a code of ours.

use axum::response::Response;

use super::phantom;
use crate::flow::{ReturnTo, Waiting};
use crate::session::Session;
use crate::web::visit::{Visit, returning, see_other};

/// Longest address that is made; past it the client starts without.
const LONGEST: usize = 8 << 10;

/// On to `target`, where a client waits for `session`, by way of the bounce. `None` where none waits.
pub(in crate::web) fn with_session(visit: &Visit, target: &ReturnTo, session: &Session) -> Option<Response> {
    let client = target.client()?;
    let app = visit.app();
    let address = match &client.waiting {
        Waiting::Code(challenge) => {
            let code = app.flows.lend(session, challenge);
            with_query(target, &[("code", code.as_str())])
        }
        Waiting::Implicit => {
            let left = session.expires_at.unix_timestamp() - app.clock.now().unix_timestamp();
            let mut pairs = vec![
                ("access_token", phantom::access(session)),
                ("expires_in", left.max(1).to_string()),
                ("refresh_token", phantom::refresh(&app.sessions, session, &*app.entropy)),
                ("token_type", "bearer".to_owned()),
            ];
            pairs.extend(client.kind.map(|kind| ("type", kind.to_owned())));
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            with_fragment(target.as_str(), &pairs)
        }
    };
    Some(by_the_bounce(visit, target, &address))
}

/// On to `target` with word of a refusal, by GoTrue's `code` and our own sentence: what a provider says is never passed on
/// (S-68). `None` where no client waits.
pub(in crate::web) fn with_refusal(visit: &Visit, target: &ReturnTo, code: &'static str) -> Option<Response> {
    target.client()?;
    let (error, why) = match code {
        "access_denied" => ("access_denied", "The sign-in was not allowed"),
        "otp_expired" => ("access_denied", "Email link is invalid or has expired"),
        "identity_already_exists" => ("server_error", "Identity is already linked to another user"),
        "bad_oauth_state" => ("invalid_request", "The sign-in has expired or began in another browser"),
        _ => ("server_error", "The sign-in did not work this time"),
    };
    let mut pairs = vec![("error", error)];
    // A provider's own no has no code of GoTrue's.
    pairs.extend((code != error).then_some(("error_code", code)));
    pairs.push(("error_description", why));
    let address = with_fragment(&with_query(target, &pairs), &pairs);
    Some(by_the_bounce(visit, target, &address))
}

/// On to `target` with word of the first half of a change of address. `None` where no client waits.
pub(in crate::web) fn with_half(visit: &Visit, target: &ReturnTo) -> Option<Response> {
    target.client()?;
    let pairs =
        [("message", "Confirmation link accepted. Please proceed to confirm link sent to the other email")];
    Some(by_the_bounce(visit, target, &with_fragment(target.as_str(), &pairs)))
}

/// The address is ours and sealed: nobody else can make the bounce hand something over.
fn by_the_bounce(visit: &Visit, target: &ReturnTo, address: &str) -> Response {
    let sealed = visit.app().flows.seal_address(address);
    let url = format!("/auth/continue?to={sealed}");
    if url.len() > LONGEST {
        return see_other(&returning("/auth/continue", target.as_str()));
    }
    see_other(&url)
}

fn with_query(target: &ReturnTo, pairs: &[(&str, &str)]) -> String {
    let (rest, fragment) = match target.as_str().split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (target.as_str(), None),
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let own = |name: &str| pairs.iter().any(|(ours, _)| *ours == name);
    let kept = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !own(name));
    let query =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).extend_pairs(pairs).finish();
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{path}?{query}{fragment}")
}

fn with_fragment(address: &str, pairs: &[(&str, &str)]) -> String {
    let address = address.split('#').next().unwrap_or_default();
    let fragment = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{address}#{fragment}")
}
