//! `/supabase/*`: what supabase-js talks to in place of the project. The data services are a matter of rules and the
//! gateway (`web/routes.rs`); here is what is answered by this program itself.

pub(super) mod auth;
pub(super) mod back;
pub(super) mod phantom;
pub(super) mod realtime;

use axum::routing::MethodRouter;
use http::Uri;
use http::uri::PathAndQuery;

use super::state::AppState;

/// The mount as the route table names it, whatever `supabase.mount` says.
pub(super) const NAMED: &str = "/supabase";
/// The authentication service below a mount.
const AUTH: &str = "/auth/v1";

/// Every path of ours below the mount.
pub(super) fn paths() -> Vec<(&'static str, MethodRouter<AppState>)> {
    auth::paths()
}

/// Whether `path` is one of the authentication service below `mount`.
pub(super) fn is_auth(mount: &str, path: &str) -> bool {
    let below = path.strip_prefix(mount).and_then(|rest| rest.strip_prefix(AUTH));
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The address of a request below `mount` as the route table names it.
pub(super) fn named(mount: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(mount)?;
    let target: PathAndQuery = format!("{NAMED}{rest}").parse().ok()?;
    Some(Uri::from(target))
}
