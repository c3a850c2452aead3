//! The template environment: what is built in, with an operator's folder on top, read once at start.
//!
//! Escaping is always HTML, whatever a file is called, and there is no filter to switch it off (S-68).

mod languages;
mod settings;
mod texts;

pub use languages::{Language, Languages};
pub use settings::{Logo, Settings, SignUp};

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, context, syntax::SyntaxConfig};
use serde::Serialize;

use crate::web::assets::Assets;
use crate::web::views::{Frame, Tongue, View, every_view};
use texts::Texts;

#[derive(rust_embed::RustEmbed)]
#[folder = "templates/"]
struct BuiltIn;

/// The file with the sentences of a language; an operator's file of this name replaces single ones.
fn texts_file(code: &str) -> String {
    format!("texts.{code}.ftl")
}

/// Whether the sentences of a language come with the program.
fn is_built_in(code: &str) -> bool {
    BuiltIn::get(&texts_file(code)).is_some()
}

/// Why a page could not be rendered. Names the template and the line, never what it was to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A template is none, or asks for what there is not.
    #[error("template {template}, line {line}: {kind}")]
    Template {
        /// Its file.
        template: String,
        /// Counted from 1; 0 if unknown.
        line: usize,
        /// What kind of fault.
        kind: String,
    },
    /// A file of the operator's folder cannot be read.
    #[error("{name} cannot be read: {cause}")]
    File {
        /// The file, or the folder.
        name: String,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl From<minijinja::Error> for Error {
    fn from(error: minijinja::Error) -> Self {
        Self::Template {
            template: error.name().unwrap_or("unknown").to_owned(),
            line: error.line().unwrap_or(0),
            kind: error.kind().to_string(),
        }
    }
}

/// The banner shown on every page while the embedded auth server runs.
#[derive(Debug, Clone, Serialize)]
pub struct Development {
    /// The page of sent mails, if there is one.
    pub outbox_url: Option<String>,
    /// The demo page, if it is on.
    pub demo_url: Option<String>,
}

/// Renders views. Cheap to share behind an `Arc`; nothing is read from disk after [`Templates::new`].
#[derive(Debug)]
pub struct Templates {
    /// One for each language, in the order of `languages`.
    environments: Vec<Environment<'static>>,
    languages: Languages,
    title: Option<String>,
}

impl Templates {
    /// Reads the built-in templates and those of `settings.templates`, where a file of the same name wins.
    ///
    /// # Errors
    ///
    /// When one of them is no template. `Settings::read` has tried the operator's, so this is for the built-in ones.
    pub fn new(
        settings: &Settings,
        assets: &Assets,
        development: Option<Development>,
    ) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html); // by name, a `.txt` would go out raw
        environment.remove_filter("safe");
        environment.set_debug(false); // or an error shows the values of the page
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_recursion_limit(64);
        environment.set_fuel(Some(1_000_000));
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.add_filter("link", |address: &str| link(address).to_owned());
        environment.add_filter("app_link", |address: &str| app_link(address).to_owned());
        environment.add_global("site", site(settings, assets, development));
        let mut sources: BTreeMap<String, String> =
            BuiltIn::iter().map(|name| (name.clone().into_owned(), built_in(&name))).collect();
        if let Some(folder) = &settings.templates {
            for (name, source) in operators(folder)? {
                if is_texts(&name) {
                    let texts = sources.entry(name).or_insert_with(|| built_in(&texts_file("en")));
                    *texts = format!("{texts}\n{source}");
                } else {
                    sources.insert(name, source);
                }
            }
        }
        for (name, source) in sources.iter().filter(|(name, _)| !is_texts(name)) {
            environment.add_template_owned(name.clone(), source.clone())?;
        }
        let mut environments = Vec::new();
        let mut languages = Vec::new();
        for code in &settings.languages {
            let texts = Texts::read(sources.get(&texts_file(code)).map_or("", String::as_str));
            languages.push((code.clone(), texts.get("language-name").unwrap_or(code).to_owned()));
            let mut environment = environment.clone();
            environment.add_global("language", code.clone());
            environment.add_function("t", move |message, values| texts.say(&message, &values));
            environments.push(environment);
        }
        let languages = Languages::new(languages);
        Ok(Self { environments, languages, title: settings.title.clone() })
    }

    /// The name of the site: `pages.title`, or `host` while there is none.
    pub fn site_name<'a>(&'a self, host: &'a str) -> &'a str {
        self.title.as_deref().unwrap_or(host)
    }

    /// The languages that the pages speak.
    pub fn languages(&self) -> &Languages {
        &self.languages
    }

    /// The page of `view` inside its frame, in the language of the frame.
    ///
    /// # Errors
    ///
    /// When an operator's template asks for what the view does not have, or never ends.
    pub fn render<V: View>(&self, frame: &Frame<'_>, view: &V) -> Result<String, Error> {
        let name = self.site_name(frame.host);
        let letter = name.chars().find(|c| c.is_alphanumeric()).map(|c| c.to_uppercase().to_string());
        let context = context! { page => Serde(view), frame => Serde(frame), name, letter };
        let environment = self.environments.get(frame.language.index()).or(self.environments.first());
        let environment = environment.ok_or(minijinja::Error::from(ErrorKind::TemplateNotFound))?;
        Ok(environment.get_template(V::TEMPLATE)?.render(context)?)
    }

    /// Every state of every page, with the name of its template.
    ///
    /// # Errors
    ///
    /// As [`Templates::render`]; the first failure.
    pub fn samples(&self, frame: &Frame<'_>) -> Result<Vec<(&'static str, String)>, Error> {
        fn of<V: View>(
            templates: &Templates,
            frame: &Frame<'_>,
        ) -> Result<Vec<(&'static str, String)>, Error> {
            let pages = V::samples().into_iter();
            pages.map(|view| Ok((V::TEMPLATE, templates.render(frame, &view)?))).collect()
        }
        let mut all = Vec::new();
        for pages in every_view!(of(self, frame)) {
            all.extend(pages?);
        }
        Ok(all)
    }

    /// Every state of every page in every language, in a frame that has everything a frame can have; to be looked at.
    ///
    /// # Errors
    ///
    /// As [`Templates::samples`].
    pub fn sheets(&self, host: &str) -> Result<Vec<Sheet>, Error> {
        let mut all = Vec::new();
        for (language, code, _) in self.languages.all() {
            let url = |code| format!("/auth/login?lang={code}");
            let tongue =
                |(other, code, name)| Tongue { code, name, url: (other != language).then(|| url(code)) };
            let tongues: Vec<_> = self.languages.all().map(tongue).collect();
            let frame = Frame { host, sign_out: Some("form-token"), language, tongues: &tongues };
            let mut numbers = BTreeMap::new();
            for (template, html) in self.samples(&frame)? {
                let next: &mut usize = numbers.entry(template).or_default();
                all.push(Sheet { template, number: *next, language: code.to_owned(), html });
                *next += 1;
            }
        }
        Ok(all)
    }

    /// Renders every sample in every language, in a full frame and in a bare one. For `check`.
    ///
    /// # Errors
    ///
    /// As [`Templates::samples`].
    pub fn try_all(&self) -> Result<(), Error> {
        let switch = [Tongue { code: "en", name: "English", url: Some("/?lang=en".to_owned()) }];
        for (language, ..) in self.languages.all() {
            let bare = Frame { host: "localhost", language, ..Frame::default() };
            self.samples(&bare)?;
            self.samples(&Frame { sign_out: Some("t"), tongues: &switch, ..bare })?;
        }
        Ok(())
    }
}

/// One state of one page in one language.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// File of the template.
    pub template: &'static str,
    /// Which of its states, from 0.
    pub number: usize,
    /// As in `lang`.
    pub language: String,
    /// The page.
    pub html: String,
}

/// What all pages of this process have in common; `site` in the templates.
fn site(settings: &Settings, assets: &Assets, development: Option<Development>) -> minijinja::Value {
    context! {
        home => settings.default_return.clone(),
        logo => assets.logo_url(),
        stylesheet => assets.url("style.css"),
        brand_stylesheet => assets.url("brand.css"),
        script => assets.url("demo.js"),
        favicon => assets.url("favicon.svg"),
        icons => Serde(assets.icons()),
        terms => settings.terms_url.clone(),
        privacy => settings.privacy_url.clone(),
        help => settings.help_url.clone(),
        development => Serde(development),
    }
}

fn built_in(name: &str) -> String {
    BuiltIn::get(name).map(|file| String::from_utf8_lossy(&file.data).into_owned()).unwrap_or_default()
}

fn is_texts(name: &str) -> bool {
    name.starts_with("texts.") && name.ends_with(".ftl")
}

/// The templates and texts of an operator's folder, by name.
fn operators(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let unreadable = |path: &Path, cause| Error::File { name: path.display().to_string(), cause };
    let files = std::fs::read_dir(folder).map_err(|cause| unreadable(folder, cause))?;
    let names = files.flatten().filter_map(|file| file.file_name().into_string().ok());
    names
        .filter(|name| name.ends_with(".html") || is_texts(name))
        .map(|name| {
            let path = folder.join(&name);
            let source = std::fs::read_to_string(&path).map_err(|cause| unreadable(&path, cause))?;
            Ok((name, source))
        })
        .collect()
}

/// File and key of every sentence in an operator's folder that no page says.
fn unsaid(folder: &Path) -> Result<Vec<(String, String)>, Error> {
    let known = Texts::read(&built_in(&texts_file("en")));
    let files = operators(folder)?.into_iter().filter(|(name, _)| is_texts(name));
    let all = files.flat_map(|(name, source)| {
        let texts = Texts::read(&source);
        let keys: Vec<_> = texts.all().map(|(key, _)| key.to_owned()).collect();
        keys.into_iter().map(move |key| (name.clone(), key))
    });
    let mut unsaid: Vec<_> = all.filter(|(_, key)| known.get(key).is_none()).collect();
    unsaid.sort();
    Ok(unsaid)
}

/// The filter `link` for addresses that come with a view (S-68): `https:` or `http:`, or a path of this site.
/// Anything else becomes the start page, so no data makes a `javascript:` link.
fn link(address: &str) -> &str {
    let local = address.starts_with('/') && !address.starts_with("//") && !address.contains('\\');
    let web = address.starts_with("https://") || address.starts_with("http://");
    if local || web { address } else { "/" }
}

/// The filter `app_link`: the key of an authenticator app, for the app on the same device (S-68).
fn app_link(address: &str) -> &str {
    if address.starts_with("otpauth://totp/") { address } else { "/" }
}

#[cfg(test)]
mod tests;
