//! `/auth/recover`: a forgotten password. The answer is the same whoever is meant (S-71).

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::mail_form::{self, Opened, Wish};
use crate::flow::Purpose;
use crate::web::error::{Code, Error};
use crate::web::extract::{Fields, Params};
use crate::web::visit::Visit;

/// What the form and the JSON body hold.
#[derive(Deserialize)]
pub(crate) struct RecoverForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    captcha_token: Option<String>,
}

impl Fields for RecoverForm {
    const PURPOSE: &'static str = "recover";
}

/// `GET /auth/recover`.
#[tracing::instrument(name = "recover.show", skip_all)]
pub(crate) async fn show(visit: Visit, params: Params) -> Result<Response, Error> {
    if !visit.app().flows.offer().await.password {
        return Err(Code::FeatureDisabled.into());
    }
    let target = visit.app().flows.targets().choose(params.return_to());
    let wish = Wish::none(Purpose::Recovery, "", &target);
    Ok(mail_form::page(&visit, StatusCode::OK, &wish, None, None))
}

/// `POST /auth/recover`: says that a mail may be on its way.
#[tracing::instrument(name = "recover.submit", skip_all)]
pub(crate) async fn submit(visit: Visit, request: Request) -> Result<Response, Error> {
    let targets = visit.app().flows.targets();
    let (input, mail) = match mail_form::open::<RecoverForm>(&visit, request).await? {
        Opened::Read(input, mail) => (input, mail),
        Opened::Over(failure) => {
            let target = targets.default();
            let wish = Wish::none(Purpose::Recovery, "", &target);
            return mail_form::ask(&visit, &wish, Err(failure)).await;
        }
    };
    let form = input.fields;
    let wish = Wish {
        purpose: Purpose::Recovery,
        email: &form.email,
        target: &targets.choose(form.return_to.as_deref()),
        captcha: form.captcha_token.as_deref(),
        lock: input.lock,
        form: input.form,
    };
    mail_form::ask(&visit, &wish, Ok(mail)).await
}
