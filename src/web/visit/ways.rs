//! Where a person is sent: to sign in, to the step that is missing, on to where they wanted to go.

use axum::response::Response;
use http::Method;

use super::{Visit, see_other};
use crate::flow::ReturnTo;
use crate::session::Limited;
use crate::web::supabase::back;

/// `page` with the way back in its query.
pub(in crate::web) fn returning(page: &str, target: &str) -> String {
    let query: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
    let mark = if page.contains('?') { '&' } else { '?' };
    format!("{page}{mark}return_to={query}")
}

impl Visit {
    /// `/auth/login` with the way back to this request, where it leads somewhere.
    pub fn login_url(&self) -> String {
        self.way_back().map_or_else(|| "/auth/login".to_owned(), |target| returning("/auth/login", &target))
    }

    /// This address, where a person may be sent back to it and would not end up there anyway.
    pub(in crate::web) fn way_back(&self) -> Option<String> {
        let targets = self.app().flows.targets();
        let reached = *self.method() == Method::GET && self.is_navigation();
        let target = targets.parse(self.target()).filter(|target| reached && *target != targets.default());
        target.map(|target| target.as_str().to_owned())
    }

    /// The step that the session of this request lacks.
    pub(in crate::web) fn limited(&self) -> Option<Limited> {
        self.app().sessions.peek(self.slot())?.limited
    }

    /// The page that completes a session, on the way to `target`; `None` where there is none.
    pub(in crate::web) fn step_url(&self, limited: Limited, target: Option<&str>) -> Option<String> {
        let page = match limited {
            Limited::Mfa | Limited::MfaThenRecovery => "/auth/mfa",
            Limited::Recovery => return Some("/auth/reset".to_owned()), // which ends at the account
        };
        Some(target.map_or_else(|| page.to_owned(), |target| returning(page, target)))
    }

    /// On to `target` after a form or a flow; a step that the session still lacks comes first (S-32). Outside `/auth` by way
    /// of the bounce, so that the next navigation starts on our own site.
    pub fn onwards(&self, target: &ReturnTo) -> Response {
        // A client below the mount does the missing step itself.
        let told = self.app().sessions.peek(self.slot());
        if let Some(answer) = told.and_then(|session| back::with_session(self, target, &session)) {
            return answer;
        }
        if let Some(url) = self.limited().and_then(|limited| self.step_url(limited, Some(target.as_str()))) {
            return see_other(&url);
        }
        if target.is_own_page() {
            return see_other(target.as_str());
        }
        see_other(&returning("/auth/continue", target.as_str()))
    }
}
