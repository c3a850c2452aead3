//! `POST /logout`

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::asking;
use crate::session::SignOut;
use crate::web::error::{Code, Error};
use crate::web::extract::Params;
use crate::web::visit::Visit;

/// Ends what `scope` names: everything of the person where nothing is said, as GoTrue has it. A phantom of somebody else
/// ends nothing here.
#[tracing::instrument(name = "supabase.logout", skip_all)]
pub(in crate::web::supabase) async fn submit(
    visit: Visit,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let scope = match params.get("scope") {
        None | Some("global") => SignOut::Global,
        Some("local") => SignOut::Local,
        Some("others") => SignOut::Others,
        Some(_) => return Err(Code::BadRequest.into()),
    };
    drop(asking(&visit, &headers).await?);
    visit.app().sessions.sign_out(visit.slot(), scope).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
