//! `/auth/docs` and `/auth/docs/errors`: what programs read in `/auth/openapi.json` and in answers, as pages without script.

use axum::response::Response;
use http::StatusCode;

use crate::web::api::openapi::{self, About, Holds, Operation};
use crate::web::error::Code;
use crate::web::views::{CodeRow, DocsPage, ErrorCodesPage, FieldRow, OperationRow};
use crate::web::visit::Visit;

/// `GET /auth/docs`.
#[tracing::instrument(name = "docs.show", skip_all)]
pub(crate) async fn show(visit: Visit) -> Response {
    let about = About::of(visit.app());
    let operations = about.operations().map(|operation| row(&about, operation)).collect();
    let scopes = about.scopes.iter().map(|(scope, meaning)| (scope.as_str(), meaning.as_str())).collect();
    visit.page(StatusCode::OK, &DocsPage { operations, scopes })
}

/// `GET /auth/docs/errors`: a paragraph for each code, to which the `type` of a problem leads.
#[tracing::instrument(name = "docs.errors", skip_all)]
pub(crate) async fn errors(visit: Visit) -> Response {
    let row = |code: &Code| CodeRow {
        code: code.as_str(),
        status: code.status().as_u16(),
        title: code.title(),
        fix: code.fix(),
    };
    visit.page(StatusCode::OK, &ErrorCodesPage { codes: Code::ALL.iter().map(row).collect() })
}

fn row(about: &About, operation: &'static Operation) -> OperationRow<'static> {
    let fields = operation.takes.map(openapi::fields).unwrap_or_default();
    let field = |(name, required, about)| FieldRow { name, required, about };
    OperationRow {
        method: operation.method,
        path: about.place(operation),
        summary: operation.summary,
        who: operation.who.as_str(),
        fields: fields.into_iter().map(field).collect(),
        answers: operation.answers.iter().map(|(status, holds)| (*status, words(*holds))).collect(),
    }
}

fn words(holds: Holds) -> String {
    match holds {
        Holds::Json(names) => names.join(" / "),
        Holds::Page => "HTML".to_owned(),
        Holds::Location => "Location".to_owned(),
        Holds::File | Holds::Nothing | Holds::Service => String::new(),
    }
}
