//! The rules of the drop-in mount: Supabase's services below one prefix.

use http::Method;

use super::build::Site;
use super::pattern::{BadPattern, Pattern};
use super::rules::{Needs, Requests, Rule};
use super::settings::Allow;

/// The upstream behind the mount.
const UPSTREAM: &str = "supabase";

/// The rule of Realtime's socket, which ends here and is not passed on.
pub const REALTIME_SOCKET: &str = "realtime.socket";

/// The rules of the services that are switched on, in the order in which they are asked. What storage gives
/// everybody comes first: it goes without session and token, whoever asks.
pub(super) fn rules(site: &Site) -> Result<Vec<Rule>, BadPattern> {
    let on = |service: &str| site.services.iter().any(|s| s == service);
    let mut rules = Vec::new();
    if on("storage") {
        let get = || Some(vec![Method::GET]);
        let open = [
            (get(), "/storage/v1/object/public/**"),
            (get(), "/storage/v1/object/sign/**"),
            (get(), "/storage/v1/render/image/public/**"),
            (get(), "/storage/v1/render/image/sign/**"),
            (Some(vec![Method::PUT]), "/storage/v1/object/upload/sign/**"),
            (None, "/storage/v1/upload/resumable/sign/**"),
        ];
        rules.push(rule(site, "storage.public", Allow::Public, open)?);
    }
    // With `signed_out = "refuse"` a stranger is not served as anon; anonymous users are no strangers.
    let allow = if site.refuse_strangers { Allow::User } else { Allow::Optional };
    for service in ["rest", "graphql", "functions", "storage"] {
        if on(service) {
            let path = format!("/{service}/v1/**");
            rules.push(rule(site, service, allow, [(None, path.as_str())])?);
        }
    }
    if on("realtime") {
        let (post, get) = (Some(vec![Method::POST]), Some(vec![Method::GET]));
        rules.push(rule(site, "realtime", allow, [(post, "/realtime/v1/api/**")])?);
        rules.push(rule(site, REALTIME_SOCKET, allow, [(get, "/realtime/v1/websocket")])?);
    }
    Ok(rules)
}

fn rule<'a>(
    site: &Site,
    name: &str,
    allow: Allow,
    requests: impl IntoIterator<Item = (Option<Vec<Method>>, &'a str)>,
) -> Result<Rule, BadPattern> {
    let below = |(methods, path): (_, &str)| {
        Pattern::parse(&format!("{}{path}", site.mount)).map(|path| Requests { methods, path })
    };
    Ok(Rule {
        name: name.to_owned(),
        host: None,
        requests: requests.into_iter().map(below).collect::<Result<_, _>>()?,
        upstream: Some(UPSTREAM.to_owned()),
        strip: site.mount.clone(),
        allow,
        needs: Needs { anonymous_will_do: true, ..Needs::default() },
        bearer: true,
        csrf_off: false,
        code_guard_off: false,
        live: false,
        built_in: true,
    })
}
