//! The templates, built in, and a view for each: a page is never rendered with another page's data.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::Style;

const SOURCES: &[(&str, &str)] = &[
    ("base.html", include_str!("../../templates/base.html")),
    ("bounce.html", include_str!("../../templates/bounce.html")),
    ("chooser.html", include_str!("../../templates/chooser.html")),
    ("mail.html", include_str!("../../templates/mail.html")),
    ("outbox.html", include_str!("../../templates/outbox.html")),
];

/// What a template shows.
pub(crate) trait View: Serialize {
    /// Its file.
    const TEMPLATE: &'static str;
}

/// The frame around every page.
#[derive(Debug, Serialize)]
pub(super) struct Frame {
    /// Path of the style sheet.
    pub(super) style: String,
    /// Where the demo, or whatever the site is, can be found.
    pub(super) site: String,
    /// The site's host, in the header and the title.
    pub(super) site_name: String,
    /// Path of the outbox.
    pub(super) outbox: String,
}

/// Who signs in at a pretend provider.
#[derive(Debug, Serialize)]
pub(super) struct ChooserPage {
    pub(super) frame: Frame,
    /// `Google` or `GitHub`.
    pub(super) provider: &'static str,
    pub(super) state: String,
    pub(super) people: Vec<Person>,
    /// What was typed, after an error.
    pub(super) email: String,
    pub(super) name: String,
    pub(super) email_invalid: bool,
}

/// Somebody who signed in there before.
#[derive(Debug, Serialize)]
pub(super) struct Person {
    pub(super) email: String,
    pub(super) name: String,
}

/// Takes the browser on, since a form may not end on another page's redirect (S-65).
#[derive(Debug, Serialize)]
pub(super) struct BouncePage {
    pub(super) frame: Frame,
    pub(super) target: String,
}

/// The mails so far.
#[derive(Debug, Serialize)]
pub(super) struct OutboxPage {
    pub(super) frame: Frame,
    /// Newest first.
    pub(super) mails: Vec<OutboxRow>,
}

/// A mail in the list.
#[derive(Debug, Serialize)]
pub(super) struct OutboxRow {
    pub(super) subject: &'static str,
    pub(super) to: String,
    pub(super) link: String,
    /// In two groups, for reading aloud.
    pub(super) code: String,
    /// RFC 3339, in UTC.
    pub(super) at: String,
    /// In words.
    pub(super) ago: String,
}

/// The HTML of a mail.
#[derive(Debug, Serialize)]
pub(crate) struct MailPage<'a> {
    pub(crate) subject: &'a str,
    pub(crate) link: &'a str,
    pub(crate) code: &'a str,
}

macro_rules! views {
    ($($view:ty => $template:literal),* $(,)?) => {
        $(impl View for $view { const TEMPLATE: &'static str = $template; })*
    };
}
views! {
    ChooserPage => "chooser.html",
    BouncePage => "bounce.html",
    OutboxPage => "outbox.html",
    MailPage<'_> => "mail.html",
}

/// The environment and the style sheet that goes with it.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
    style: Style,
}

impl Templates {
    /// Compiles all of them.
    pub(crate) fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.remove_filter("safe");
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_fuel(Some(1_000_000));
        for (name, source) in SOURCES {
            environment.add_template(name, source)?;
        }
        Ok(Self { environment, style: Style::new() })
    }

    /// Fills the template of `view`.
    pub(crate) fn render<V: View>(&self, view: &V) -> Result<String, minijinja::Error> {
        self.environment.get_template(V::TEMPLATE)?.render(Serde(view))
    }

    /// The style sheet.
    pub(crate) fn style(&self) -> &Style {
        &self.style
    }
}

impl Frame {
    pub(super) fn new(app: &crate::App) -> Self {
        let site = app.redirects.site().to_owned();
        let name = site.split_once("://").map_or(site.as_str(), |(_, host)| host);
        Self {
            style: format!("{}/assets/{}", app.base_path(), app.templates.style().name),
            site_name: name.to_owned(),
            outbox: format!("{}/outbox", app.base_path()),
            site: format!("{site}/"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let text = "<b>&\"'".to_owned();
        Frame {
            style: "/auth.css".to_owned(),
            site: "/".to_owned(),
            site_name: text,
            outbox: "/outbox".to_owned(),
        }
    }

    /// S-68: what people write comes out escaped, on every page and in mails; no template switches that off.
    #[test]
    fn every_page_renders_and_escapes() {
        let templates = Templates::new().unwrap();
        let evil = "<script>alert(1)</script>";
        let people = vec![Person { email: evil.to_owned(), name: evil.to_owned() }];
        let chooser = |email_invalid| ChooserPage {
            frame: frame(),
            provider: "Google",
            state: evil.to_owned(),
            people: Vec::new(),
            email: evil.to_owned(),
            name: evil.to_owned(),
            email_invalid,
        };
        let row = OutboxRow {
            subject: "Your sign-in code",
            to: evil.to_owned(),
            link: evil.to_owned(),
            code: "123 456".to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            ago: "just now".to_owned(),
        };
        let pages = [
            templates.render(&chooser(false)),
            templates.render(&chooser(true)),
            templates.render(&ChooserPage { people, ..chooser(false) }),
            templates.render(&BouncePage { frame: frame(), target: evil.to_owned() }),
            templates.render(&OutboxPage { frame: frame(), mails: Vec::new() }),
            templates.render(&OutboxPage { frame: frame(), mails: vec![row] }),
            templates.render(&MailPage { subject: evil, link: evil, code: evil }),
            templates.render(&MailPage { subject: evil, link: "", code: evil }),
        ];
        for page in pages {
            let page = page.unwrap();
            assert!(page.contains("<html lang=\"en\">") && !page.contains("<script"), "{page}");
        }
        for (name, source) in SOURCES {
            assert!(!source.contains("autoescape") && !source.contains("style="), "{name}");
        }
    }
}
