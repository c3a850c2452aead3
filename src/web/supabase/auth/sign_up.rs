//! `POST /signup`: a new account, or a session without one.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use base::secret::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;

use super::answer;
use super::challenge::target;
use super::token::Security;
use super::user::small;
use crate::flow::{Account, SignedUp, Try};
use crate::web::error::{Code, Error};
use crate::web::extract::{Json, Params};
use crate::web::visit::Visit;

#[derive(Deserialize)]
struct SignUp {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    password: Option<Secret<String>>,
    #[serde(default)]
    data: Option<Map<String, Value>>,
    #[serde(default)]
    code_challenge: Option<String>,
    #[serde(default)]
    code_challenge_method: Option<String>,
    #[serde(default)]
    gotrue_meta_security: Option<Security>,
}

impl SignUp {
    fn captcha(&self) -> Option<&str> {
        self.gotrue_meta_security.as_ref()?.captcha_token.as_deref()
    }
}

/// Makes an account. A taken address is answered like a free one, down to the members of the person (S-71).
#[tracing::instrument(name = "supabase.signup", skip_all)]
pub(in crate::web::supabase) async fn submit(
    visit: Visit,
    params: Params,
    request: Request,
) -> Result<Response, Error> {
    let app = visit.app();
    let mail = app.flows.count_mail(visit.client()).await.passed()?;
    let form = match read(request).await {
        Ok(form) => form,
        Err(error) => {
            mail.give_back();
            return Err(error);
        }
    };
    let nobody = form.email.as_deref().is_none_or(str::is_empty);
    if nobody && form.phone.is_none() && form.password.is_none() {
        mail.give_back(); // it needs none
        return without_account(&visit, &form).await;
    }
    account(&visit, &params, &form, mail).await
}

async fn read(request: Request) -> Result<SignUp, Error> {
    let Json(form) = Json::<SignUp>::from_request(request, &()).await?;
    if form.email.is_none() && form.phone.is_some() {
        return Err(Code::FeatureDisabled.into());
    }
    small(form.data.as_ref())?;
    Ok(form)
}

async fn account(visit: &Visit, params: &Params, form: &SignUp, mail: Try) -> Result<Response, Error> {
    let app = visit.app();
    let nothing = Secret::new(String::new());
    let (challenge, method) = (form.code_challenge.as_deref(), form.code_challenge_method.as_deref());
    let target = match target(visit, params, challenge, method) {
        Ok(target) => target,
        Err(error) => {
            mail.give_back();
            return Err(error);
        }
    };
    let account = Account {
        email: form.email.as_deref().unwrap_or_default(),
        password: form.password.as_ref().unwrap_or(&nothing),
        data: form.data.as_ref(),
        return_to: &target,
        captcha: form.captcha(),
        public: visit.public(),
        form: None,
    };
    match app.flows.sign_up(&account, mail, visit.slot(), visit.client()).await? {
        SignedUp::Session(current) => answer::session(visit, &current).await,
        SignedUp::Confirm(cookies) => {
            cookies.into_iter().for_each(|cookie| visit.set_cookie(cookie));
            Ok(answer::person(visit, &awaited(visit, account.email, form.data.as_ref())))
        }
    }
}

async fn without_account(visit: &Visit, form: &SignUp) -> Result<Response, Error> {
    let flows = &visit.app().flows;
    let counted = flows.count_anonymous(visit.client()).await.passed()?;
    let begun = flows.begin_anonymous(form.data.as_ref(), form.captcha(), None, counted, visit.slot()).await;
    answer::session(visit, &begun?).await
}

/// Somebody who has to confirm an address, made up from what was sent: nothing of a stored account shows (S-71). With one
/// identity, since clients take none for a taken address.
fn awaited(visit: &Visit, email: &str, data: Option<&Map<String, Value>>) -> Map<String, Value> {
    let app = visit.app();
    let id = app.entropy.uuid();
    let now = app.clock.now().format(&Rfc3339).unwrap_or_default();
    let email = email.trim().to_lowercase();
    let mut about = data.cloned().unwrap_or_default();
    about.insert("sub".to_owned(), json!(id));
    about.insert("email".to_owned(), json!(email));
    about.insert("email_verified".to_owned(), json!(false));
    about.insert("phone_verified".to_owned(), json!(false));
    let identity = json!({
        "identity_id": app.entropy.uuid(), "id": id, "user_id": id, "identity_data": about, "provider": "email",
        "last_sign_in_at": now, "created_at": now, "updated_at": now, "email": email,
    });
    let person = json!({
        "id": id, "aud": "authenticated", "role": "authenticated", "email": email, "phone": "",
        "confirmation_sent_at": now, "app_metadata": { "provider": "email", "providers": ["email"] },
        "user_metadata": about, "identities": [identity], "created_at": now, "updated_at": now,
        "is_anonymous": false,
    });
    match person {
        Value::Object(members) => members,
        _ => Map::new(), // it is one
    }
}
