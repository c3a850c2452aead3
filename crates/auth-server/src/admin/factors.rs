//! `/admin/users/{id}/factors`: second factors of a person, for support.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Admin, UserId, unknown};
use crate::App;
use crate::db::factors::{self as stored, Factor};
use crate::db::users;
use crate::error::{Answer, ApiError};
use crate::factors;
use crate::http::Json;
use crate::token::present;
use crate::wire::{FactorBody, UserBody};

/// The factor in a path, which belongs to the person in it.
pub(crate) struct Named(Factor);

impl FromRequestParts<App> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let path = Path::<(String, String)>::from_request_parts(parts, app).await;
        let Path((user, factor)) = path.map_err(|_| factors::no_id())?;
        let user = UserId::parse(&user)?;
        let id = Uuid::parse_str(&factor).map_err(|_| factors::no_id())?;
        let user = app.db.read(move |db| users::find(db, user)?.ok_or_else(unknown)).await?;
        let factor = user.factors.into_iter().find(|factor| factor.id == id);
        factor.map(Self).ok_or_else(factors::unknown)
    }
}

/// `GET /admin/users/{id}/factors`
#[tracing::instrument(name = "admin.factors", skip_all)]
pub(crate) async fn factors(
    _: Admin,
    State(app): State<App>,
    UserId(id): UserId,
) -> Answer<axum::Json<Value>> {
    let user = app.db.read(move |db| users::find(db, id)?.ok_or_else(unknown)).await?;
    Ok(axum::Json(json!(UserBody::from(&user).factors)))
}

#[derive(Deserialize)]
pub(crate) struct FactorChange {
    friendly_name: Option<String>,
}

/// `PUT /admin/users/{id}/factors/{factor}`: a new name.
#[tracing::instrument(name = "admin.factor.change", skip_all)]
pub(crate) async fn change_factor(
    _: Admin,
    State(app): State<App>,
    Named(mut factor): Named,
    Json(body): Json<FactorChange>,
) -> Answer<axum::Json<FactorBody>> {
    if let Some(name) = present(body.friendly_name) {
        let (id, now) = (factor.id, app.clock.now());
        (factor.friendly_name, factor.updated_at) = (name.clone(), now);
        app.db.write(move |db| Ok::<_, ApiError>(stored::rename(db, id, &name, now)?)).await?;
    }
    Ok(axum::Json(FactorBody::from(&factor)))
}

/// `DELETE /admin/users/{id}/factors/{factor}`: for somebody who lost their device.
#[tracing::instrument(name = "admin.factor.delete", skip_all)]
pub(crate) async fn delete_factor(
    _: Admin,
    State(app): State<App>,
    Named(factor): Named,
) -> Answer<axum::Json<FactorBody>> {
    let id = factor.id;
    app.db.write(move |db| Ok::<_, ApiError>(factors::remove(db, id)?)).await?;
    Ok(axum::Json(FactorBody::from(&factor)))
}
