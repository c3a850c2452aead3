//! `[pages]` of the configuration.

use std::path::{Path, PathBuf};

use base::vars::{self, Problems, Vars};
use url::{Origin, Url};

use super::Templates;
use crate::web::assets::{Assets, BrandFile, Palette, read_brand_files};

/// What the pages are like, and who may sign up on them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may make an account. `pages.sign_up`: `auto`, `on` or `off`; default `auto`.
    pub sign_up: SignUp,
    /// Where people go when no target came with the request. `pages.default_return`; default `/`.
    pub default_return: String,
    /// Other sites that a return target may name, by exact scheme, host and port (S-20).
    /// `pages.allowed_return_origins`; default none.
    pub allowed_return_origins: Vec<Origin>,
    /// A folder whose templates replace built-in ones of the same name. `pages.templates`; default none.
    pub templates: Option<PathBuf>,
    /// `brand.css`, fonts and `icons/<provider>.svg` of that folder.
    pub brand_files: Vec<BrandFile>,
    /// The site's name. `pages.title`; while it is `Sign in`, the default, the host stands in its place.
    pub title: Option<String>,
    /// Shown instead of letter and name. `pages.logo`: an SVG, PNG or WebP file of at most 32 KiB; default none.
    pub logo: Option<Logo>,
    /// From `pages.accent` and `pages.accent_dark`, `#rrggbb`; default: the colours of the style sheet.
    pub accent: Option<Palette>,
    /// `pages.terms_url`: `https:` or a path; default none.
    pub terms_url: Option<String>,
    /// `pages.privacy_url`: `https:` or a path; default none.
    pub privacy_url: Option<String>,
    /// `pages.help_url`: `https:`, `mailto:` or a path; default none.
    pub help_url: Option<String>,
    /// What the pages speak, as codes such as `de`; the first is the default. Others than `en` and `de` come with a file
    /// `texts.<code>.ftl` in the folder of templates. `pages.languages`; default `en`.
    pub languages: Vec<String>,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUp {
    /// Everybody, while GoTrue's settings say so.
    Auto,
    /// Everybody.
    On,
    /// Nobody but those invited.
    Off,
}

/// The logo as it was read at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    /// `svg`, `png` or `webp`.
    pub extension: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

const UNREADABLE: &str = "BFF-CONF-002";
const LOGO_LIMIT: usize = 32 * 1024;
const DEFAULT_LANGUAGE: &str = "en";

impl Default for Settings {
    fn default() -> Self {
        Self {
            sign_up: SignUp::Auto,
            default_return: "/".to_owned(),
            allowed_return_origins: Vec::new(),
            templates: None,
            brand_files: Vec::new(),
            title: None,
            logo: None,
            accent: None,
            terms_url: None,
            privacy_url: None,
            help_url: None,
            languages: vec![DEFAULT_LANGUAGE.to_owned()],
        }
    }
}

impl Settings {
    /// Those with which the pages show everything they can; for pictures of them, and to look at them without a server.
    pub fn to_look_at() -> Self {
        Self {
            title: Some("Harbour".to_owned()),
            terms_url: Some("/terms".to_owned()),
            privacy_url: Some("/privacy".to_owned()),
            help_url: Some("mailto:help@example.test".to_owned()),
            languages: vec!["en".to_owned(), "de".to_owned()],
            ..Self::default()
        }
    }

    /// Reads `pages.*` and the files it names. Faults go to `problems`; `None` if one of them leaves no usable value.
    pub fn read(vars: &dyn Vars, problems: &mut Problems) -> Option<Self> {
        let words = [("auto", SignUp::Auto), ("on", SignUp::On), ("off", SignUp::Off)];
        let sign_up = vars::choice(vars, "pages.sign_up", &words, SignUp::Auto, problems);
        let allowed_return_origins = origins(vars, problems);
        let default_return = default_return(vars, &allowed_return_origins, problems);
        let templates = folder(vars, problems);
        let brand_files =
            templates.as_deref().map(|folder| read_brand_files(folder, problems)).unwrap_or_default();
        let title = vars::text(vars, "pages.title", problems).filter(|title| title != "Sign in");
        let logo = logo(vars, problems);
        let accent = Palette::read(vars, problems);
        let languages = languages(vars, templates.as_deref(), problems);
        let settings = Self {
            sign_up,
            default_return: default_return?,
            allowed_return_origins,
            templates,
            brand_files,
            title,
            logo,
            accent,
            terms_url: link(vars, "pages.terms_url", &["https"], problems),
            privacy_url: link(vars, "pages.privacy_url", &["https"], problems),
            help_url: link(vars, "pages.help_url", &["https", "mailto"], problems),
            languages,
        };
        settings.try_templates(vars, problems);
        Some(settings)
    }

    /// BFF-PAGE-002: an operator's template must render every state of its page, and his sentences are to be said.
    fn try_templates(&self, vars: &dyn Vars, problems: &mut Problems) {
        let Some(folder) = &self.templates else { return };
        let place = place(vars, "pages.templates");
        let tried = Templates::new(self, &Assets::new(self), None).and_then(|templates| templates.try_all());
        if let Err(error) = tried {
            let why = format!("A page cannot be rendered: {error}.");
            let fix = "Compare the file with the built-in template of the same name.";
            return problems.fault("BFF-PAGE-002", place, None, why, fix);
        }
        for (file, key) in super::unsaid(folder).unwrap_or_default() {
            let seen = format!("{file}: {key}");
            let fix = "Compare the key with those of the built-in texts.en.ftl, or take the line away.";
            problems.warning("BFF-PAGE-002", place.clone(), Some(&seen), "No page says this sentence.", fix);
        }
    }
}

fn place(vars: &dyn Vars, name: &str) -> String {
    vars.get(name).map_or_else(|| vars::variable(name), |found| found.place)
}

/// A path of this site, as S-20 wants it, seen from the configuration.
fn is_path(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    plain && text.len() <= 2048 && text.starts_with('/') && !text.starts_with("//")
}

fn origins(vars: &dyn Vars, problems: &mut Problems) -> Vec<Origin> {
    let name = "pages.allowed_return_origins";
    let mut origins = Vec::new();
    for text in vars::list(vars, name).unwrap_or_default() {
        match text.parse::<Url>() {
            Ok(url)
                if matches!(url.scheme(), "https" | "http") && url.path() == "/" && url.query().is_none() =>
            {
                origins.push(url.origin());
            }
            _ => {
                let why = "This is no origin: scheme, host and port, without a path.";
                problems.fault(
                    UNREADABLE,
                    place(vars, name),
                    Some(&text),
                    why,
                    "Write it as https://app.example.com.",
                );
            }
        }
    }
    origins
}

fn default_return(vars: &dyn Vars, allowed: &[Origin], problems: &mut Problems) -> Option<String> {
    let name = "pages.default_return";
    let Some(text) = vars::text(vars, name, problems) else { return Some("/".to_owned()) };
    let elsewhere = || text.parse::<Url>().is_ok_and(|url| allowed.contains(&url.origin()));
    if is_path(&text) || elsewhere() {
        return Some(text);
    }
    let why = "This is neither a path of this site nor an address of an allowed origin.";
    let fix = "Write a path such as /app, or add its origin to pages.allowed_return_origins.";
    problems.fault(UNREADABLE, place(vars, name), Some(&text), why, fix);
    None
}

fn link(vars: &dyn Vars, name: &str, schemes: &[&str], problems: &mut Problems) -> Option<String> {
    let text = vars::text(vars, name, problems)?;
    if is_path(&text) || text.parse::<Url>().is_ok_and(|url| schemes.contains(&url.scheme())) {
        return Some(text);
    }
    let form = schemes.join(": or ");
    let why = format!("A link of the pages is a path of this site or begins with {form}:.");
    problems.fault(UNREADABLE, place(vars, name), Some(&text), why, "Write the whole address.");
    None
}

fn folder(vars: &dyn Vars, problems: &mut Problems) -> Option<PathBuf> {
    let name = "pages.templates";
    let text = vars::text(vars, name, problems)?;
    if Path::new(&text).is_dir() {
        return Some(PathBuf::from(text));
    }
    let why = "There is no such folder.";
    problems.fault(UNREADABLE, place(vars, name), Some(&text), why, "Name a folder that this user can read.");
    None
}

fn logo(vars: &dyn Vars, problems: &mut Problems) -> Option<Logo> {
    let name = "pages.logo";
    let text = vars::text(vars, name, problems)?;
    let known = ["svg", "png", "webp"];
    let extension =
        Path::new(&text).extension().and_then(|found| known.into_iter().find(|known| found == *known));
    let why = match (extension, std::fs::read(&text)) {
        (None, _) => "A logo is an .svg, .png or .webp file.".to_owned(),
        (_, Err(error)) => format!("The file cannot be read: {error}."),
        (_, Ok(bytes)) if bytes.len() > LOGO_LIMIT => format!("The file has {} bytes.", bytes.len()),
        (Some(extension), Ok(bytes)) => return Some(Logo { extension, bytes }),
    };
    problems.fault(UNREADABLE, place(vars, name), Some(&text), why, "Name a logo file of at most 32 KiB.");
    None
}

fn languages(vars: &dyn Vars, templates: Option<&Path>, problems: &mut Problems) -> Vec<String> {
    let name = "pages.languages";
    let mut named: Vec<String> = Vec::new();
    for code in vars::list(vars, name).unwrap_or_default() {
        let plain =
            (2..=16).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let own = || templates.is_some_and(|folder| folder.join(super::texts_file(&code)).is_file());
        let why = if !plain || !(super::is_built_in(&code) || own()) {
            "The pages do not speak this language."
        } else if named.contains(&code) {
            "This language is named twice."
        } else {
            named.push(code);
            continue;
        };
        let fix =
            "Name each once, of en, de and those with a file texts.<code>.ftl in the folder pages.templates.";
        problems.fault(UNREADABLE, place(vars, name), Some(&code), why, fix);
    }
    if named.is_empty() { vec![DEFAULT_LANGUAGE.to_owned()] } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<Settings>, Vec<String>) {
        let vars: Vec<_> = pairs.iter().map(|(k, v)| (format!("BFF_PAGES_{k}"), (*v).to_owned())).collect();
        let mut problems = Problems::default();
        let settings = Settings::read(&vars, &mut problems);
        (settings, problems.list().iter().map(|p| format!("{} {}", p.code, p.place)).collect())
    }

    #[test]
    fn nothing_set_is_the_default() {
        let (settings, problems) = read(&[("TITLE", "Sign in")]);
        let settings = settings.unwrap();
        assert!(problems.is_empty() && settings.title.is_none() && settings.accent.is_none());
        assert_eq!((settings.sign_up, settings.default_return.as_str()), (SignUp::Auto, "/"));
    }

    /// S-20: a target of the configuration keeps to the same form as one of a request.
    #[test]
    fn a_default_return_is_a_path_or_of_an_allowed_origin() {
        for text in [
            "//evil.test",
            "/\\evil.test",
            "app",
            "javascript:alert(1)",
            "https://app.example.test/x",
            "/a b",
        ] {
            assert_eq!(
                read(&[("DEFAULT_RETURN", text)]).1,
                ["BFF-CONF-002 BFF_PAGES_DEFAULT_RETURN"],
                "{text}"
            );
        }
        let allowed = ("ALLOWED_RETURN_ORIGINS", "https://app.example.test");
        let (settings, problems) = read(&[("DEFAULT_RETURN", "https://app.example.test/x"), allowed]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(settings.unwrap().allowed_return_origins.len(), 1);
        let place = "BFF-CONF-002 BFF_PAGES_ALLOWED_RETURN_ORIGINS";
        for text in ["app.example.test", "https://app.example.test/path", "ftp://app.example.test", "*"] {
            assert_eq!(read(&[("ALLOWED_RETURN_ORIGINS", text)]).1, [place], "{text}");
        }
    }

    #[test]
    fn links_languages_and_files_are_checked() {
        let fault = |name, text| {
            let (_, problems) = read(&[(name, text)]);
            assert_eq!(problems, [format!("BFF-CONF-002 BFF_PAGES_{name}")], "{text}");
        };
        fault("TERMS_URL", "javascript:alert(1)");
        fault("PRIVACY_URL", "http://example.test/privacy");
        fault("HELP_URL", "help@example.test");
        fault("LANGUAGES", "en,fr");
        fault("LANGUAGES", "en,de,en");
        fault("LANGUAGES", "en,../de");
        fault("TEMPLATES", "/no/such/folder");
        fault("LOGO", "/no/such/logo.svg");
        fault("LOGO", "logo.gif");
        fault("SIGN_UP", "maybe");
        let (settings, problems) = read(&[("HELP_URL", "mailto:help@example.test"), ("LANGUAGES", "de,en")]);
        assert!(problems.is_empty() && settings.unwrap().help_url.is_some(), "{problems:?}");
        assert_eq!(read(&[("LANGUAGES", "de,en")]).0.unwrap().languages, ["de", "en"]);
        assert_eq!(read(&[("LANGUAGES", "")]).0.unwrap().languages, ["en"]);
    }

    #[test]
    fn a_logo_is_read_at_start_and_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logo.svg");
        let text = path.to_str().unwrap();
        std::fs::write(&path, "<svg/>").unwrap();
        let logo = read(&[("LOGO", text)]).0.unwrap().logo;
        assert_eq!(logo, Some(Logo { extension: "svg", bytes: b"<svg/>".to_vec() }));
        std::fs::write(&path, vec![b' '; LOGO_LIMIT + 1]).unwrap();
        assert_eq!(read(&[("LOGO", text)]).1, ["BFF-CONF-002 BFF_PAGES_LOGO"]);
    }
}
