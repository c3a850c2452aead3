//! What a client brings for the way back: where to, and the challenge of its own PKCE.

use crate::flow::{ReturnTo, Waiting};
use crate::web::error::{Code, Error};
use crate::web::extract::Params;
use crate::web::visit::Visit;

/// Where the client waits: at its `redirect_to`, if that is a target of this site (S-20), for a code or for a session. The
/// challenge is S256; without one auth-js reads the session out of the fragment.
///
/// # Errors
///
/// [`Code::BadRequest`] for half a challenge and for the method `plain`.
pub(super) fn target(
    visit: &Visit,
    params: &Params,
    challenge: Option<&str>,
    method: Option<&str>,
) -> Result<ReturnTo, Error> {
    let waiting = Waiting::of(challenge, method).ok_or(Code::BadRequest)?;
    Ok(visit.app().flows.targets().choose(params.get("redirect_to")).for_client(waiting))
}
