//! The language of a request: `?lang=`, else what `sb_form` keeps of an earlier one, else `Accept-Language`.

use std::sync::OnceLock;

use http::{HeaderValue, Method};
use url::Url;

use super::head::Said;
use super::{Face, FetchSite, Visit};
use crate::web::state::AppState;
use crate::web::templates::Language;
use crate::web::views::Tongue;

/// What a request says about languages. Read only where there is something to choose.
#[derive(Default)]
pub(super) struct Tongues {
    accept: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    chosen: OnceLock<Language>,
}

impl Tongues {
    pub(super) fn of(app: &AppState, said: &Said<'_>) -> Self {
        if !app.templates.languages().are_several() {
            return Self::default();
        }
        Self {
            accept: said.accept_language.value().cloned(),
            referer: said.referer.value().cloned(),
            chosen: OnceLock::new(),
        }
    }
}

impl Visit {
    /// The language of the answer.
    pub(super) fn language(&self) -> Language {
        let languages = self.app().templates.languages();
        if !languages.are_several() {
            return Language::default();
        }
        let accept = self.0.tongues.accept.as_ref().and_then(|value| value.to_str().ok());
        let choose = || {
            let kept = || self.with_known_binding(|binding| languages.find(binding.language()?)).flatten();
            let accepted = || languages.accepted(accept?);
            self.asked_language().or_else(kept).or_else(accepted).unwrap_or_default()
        };
        *self.0.tongues.chosen.get_or_init(choose)
    }

    /// The language that the address names, on a page of ours.
    fn asked_language(&self) -> Option<Language> {
        let (path, query) = self.target().split_once('?')?;
        let code = query.split('&').find_map(|pair| pair.strip_prefix("lang="))?;
        self.app().templates.languages().find(code).filter(|_| self.app().is_own(path))
    }

    /// Has the browser keep a language that a page was asked for in (S-17: own form cookie). Not for a navigation from
    /// another site: its Strict cookies stay at home, and the page is bounced to where they come along.
    pub(super) fn keep_language(&self) {
        if self.face() != Face::Page || self.site() == FetchSite::CrossSite {
            return;
        }
        if let Some(language) = self.asked_language() {
            let code = self.app().templates.languages().code(language);
            self.with_binding(|binding| binding.speak(code));
        }
    }

    /// The switch of the page: every language, and where this page is to be had in it. Nothing where there is no choice,
    /// or no page to come back to.
    pub(super) fn tongues(&self) -> Vec<Tongue<'_>> {
        let languages = self.app().templates.languages();
        let (true, Some(page)) = (languages.are_several(), self.page_to_switch()) else { return Vec::new() };
        let current = self.language();
        let all = languages.all();
        let link = |code: &str| in_language(&page, code);
        all.map(|(language, code, name)| Tongue {
            code,
            name,
            url: (language != current).then(|| link(code)),
        })
        .collect()
    }

    /// The address of this page, or of the page whose form was sent. The address of a callback holds a code (S-27).
    fn page_to_switch(&self) -> Option<String> {
        let page = if matches!(*self.method(), Method::GET | Method::HEAD) {
            self.target().to_owned()
        } else {
            let referer = self.0.tongues.referer.as_ref()?.to_str().ok()?.parse::<Url>().ok()?;
            if referer.origin() != self.public().origin() {
                return None;
            }
            referer[url::Position::BeforePath..url::Position::AfterQuery].to_owned()
        };
        let path = page.split('?').next().unwrap_or_default();
        (self.app().is_own(path) && !path.starts_with("/auth/callback/")).then_some(page)
    }
}

/// `page` with `lang` set to `code` and everything else as it was.
fn in_language(page: &str, code: &str) -> String {
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let others = query.split('&').filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("lang"));
    let mut url = format!("{path}?");
    for pair in others {
        url.push_str(pair);
        url.push('&');
    }
    url.push_str("lang=");
    url.push_str(code);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_leaves_the_rest_of_the_address_alone() {
        for (page, switched) in [
            ("/auth/login", "/auth/login?lang=de"),
            (
                "/auth/login?return_to=%2Fnotes%3Flang%3Den",
                "/auth/login?return_to=%2Fnotes%3Flang%3Den&lang=de",
            ),
            ("/auth/login?lang=en&return_to=/a", "/auth/login?return_to=/a&lang=de"),
            ("/auth/login?langs=1&lang&&lang=x", "/auth/login?langs=1&lang=de"),
        ] {
            assert_eq!(in_language(page, "de"), switched, "{page}");
        }
    }
}
