//! What one browser is bound to: tokens of forms, values that travel hidden, a message for the next page.

use std::sync::PoisonError;

use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Visit, see_other};
use crate::web::forms::{Binding, Lock, Notice};

impl Visit {
    /// What this browser is bound to; binds it if it is not.
    pub(super) fn with_binding<T>(&self, then: impl FnOnce(&mut Binding) -> T) -> T {
        let app = self.app();
        let mut held = self.0.binding.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.take().or_else(|| app.forms.read(self.0.slot.jar()));
        then(held.insert(known.unwrap_or_else(|| app.forms.fresh(&*app.entropy))))
    }

    /// The same, for a browser that brought its binding along or was given one.
    pub(super) fn with_known_binding<T>(&self, then: impl FnOnce(&mut Binding) -> T) -> Option<T> {
        let mut held = self.0.binding.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.take().or_else(|| self.app().forms.read(self.0.slot.jar()));
        held.as_mut().map(then)
    }

    /// A token for a form on the page that is being made; binds the browser at the first call.
    pub fn form_token(&self, purpose: &str) -> String {
        let app = self.app();
        self.with_binding(|binding| app.forms.token(binding, purpose, app.clock.now()))
    }

    /// `value` for a hidden field of the page that is being made: nobody but us reads it, and only this browser brings it
    /// back.
    pub(in crate::web) fn conceal(&self, label: &str, value: &impl Serialize) -> String {
        let app = self.app();
        let plain = serde_json::to_vec(value).unwrap_or_default(); // texts and UUIDs cannot fail
        self.with_binding(|binding| app.forms.conceal(binding, label, &plain, &*app.entropy))
    }

    /// What [`conceal`](Self::conceal) hid under `label` for this browser.
    pub(in crate::web) fn reveal<T: DeserializeOwned>(&self, label: &str, sealed: &str) -> Option<T> {
        let app = self.app();
        let binding = app.forms.read(self.0.slot.jar())?;
        serde_json::from_slice(&app.forms.reveal(&binding, label, sealed)?).ok()
    }

    /// Judges the token of a form that was sent.
    pub fn check_form(&self, purpose: &str, token: Option<&str>) -> Lock {
        let app = self.app();
        let binding = app.forms.read(self.0.slot.jar());
        app.forms.check(binding.as_ref(), purpose, token.unwrap_or_default(), app.clock.now())
    }

    /// The message that the redirect to this page left, once.
    pub fn take_notice(&self) -> Option<Notice> {
        self.with_known_binding(Binding::take_notice).flatten()
    }

    /// 303 to `path` of ours, with a message for its page.
    pub fn redirect_with_notice(&self, path: &str, key: &str, value: &str) -> Response {
        let notice = Notice { key: key.to_owned(), value: value.to_owned() };
        self.with_binding(|binding| binding.leave_notice(notice));
        see_other(path)
    }
}
