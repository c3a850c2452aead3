//! The pages under `/auth`, each also a JSON endpoint at the same path.

pub(super) mod account;
pub(super) mod address;
mod again;
pub(super) mod bounce;
pub(super) mod callback;
pub(super) mod confirm;
pub(super) mod demo;
pub(super) mod docs;
pub(super) mod factors;
mod fields;
pub(super) mod identities;
pub(super) mod login;
pub(super) mod logout;
mod mail_form;
pub(super) mod mfa;
pub(super) mod otp;
pub(super) mod password;
mod problem;
pub(super) mod profile;
pub(super) mod recover;
pub(super) mod reset;
pub(super) mod security;
pub(super) mod signup;
pub(super) mod start;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};

use super::assets::CACHE_CONTROL;
use super::error::{Code, Error};
use super::extract::Segment;
use super::visit::{Visit, see_other};

/// `GET /auth/assets/{file}`: immutable, since the name changes with the content (S-09).
pub(super) async fn asset(visit: Visit, Segment(file): Segment) -> Response {
    let Some((bytes, kind)) = visit.app().assets.get(&file) else {
        return Error::from(Code::NotFound).into_response();
    };
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL)),
    ];
    (headers, bytes).into_response()
}

/// `GET /auth`: there is no page of that name.
pub(super) async fn home(_: Visit) -> Response {
    see_other("/auth/account")
}

/// Any other path of ours.
pub(super) async fn nothing(_: Visit) -> Error {
    Code::NotFound.into()
}

/// A path of ours with a method it does not have.
pub(super) async fn wrong_method(_: Visit) -> Error {
    Code::MethodNotAllowed.into()
}
