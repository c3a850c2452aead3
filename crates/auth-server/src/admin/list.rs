//! `GET /admin/users`: people, a page at a time.

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header::LINK};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Admin;
use crate::App;
use crate::db::users::{self, Listed};
use crate::error::{Answer, ApiError};
use crate::http::Params;
use crate::token::present;
use crate::wire::UserBody;

const PER_PAGE: u32 = 50;
const MOST_PER_PAGE: u32 = 1000;

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    page: Option<String>,
    per_page: Option<String>,
    filter: Option<String>,
    /// `created_at`, then perhaps `asc` or `desc`.
    sort: Option<String>,
}

/// `GET /admin/users?page=&per_page=&filter=&sort=`
#[tracing::instrument(name = "admin.list", skip_all)]
pub(crate) async fn list(
    _: Admin,
    State(app): State<App>,
    Params(query): Params<PageQuery>,
) -> Answer<Response> {
    let number = |text: Option<String>, default: u32| match present(text) {
        Some(text) => text.parse().map_err(|_| ApiError::invalid("Bad Pagination Parameters")),
        None => Ok(default),
    };
    let page = number(query.page, 1)?.max(1);
    let per_page = number(query.per_page, PER_PAGE)?.clamp(1, MOST_PER_PAGE);
    let offset = u64::from(page - 1) * u64::from(per_page);
    let oldest_first = match present(query.sort).as_deref() {
        None | Some("created_at" | "created_at desc") => false,
        Some("created_at asc") => true,
        Some(_) => return Err(ApiError::invalid("Bad Sort Parameters")),
    };
    let listed = Listed { limit: per_page, offset, filter: present(query.filter), oldest_first };
    let found =
        app.db.read(move |db| Ok::<_, ApiError>((users::list(db, &listed)?, users::count(db, &listed)?)));
    let (found, total) = found.await?;
    let bodies =
        found.iter().map(|user| UserBody { identities: None, ..UserBody::from(user) }).collect::<Vec<_>>();
    let mut response = axum::Json(json!({"users": bodies, "aud": "authenticated"})).into_response();

    let last = total.div_ceil(u64::from(per_page)).max(1);
    let link = |page: u64, rel: &str| {
        format!("<{}/admin/users?page={page}&per_page={per_page}>; rel=\"{rel}\"", app.issuer)
    };
    let next = (u64::from(page) < last).then(|| link(u64::from(page) + 1, "next"));
    let links = next.into_iter().chain([link(last, "last")]).collect::<Vec<_>>().join(", ");
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-total-count"), HeaderValue::from(total));
    headers.insert(LINK, HeaderValue::from_str(&links).map_err(ApiError::internal)?);
    Ok(response)
}
