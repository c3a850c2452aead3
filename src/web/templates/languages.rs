//! Which languages the pages speak, and which of them a request is answered in.

/// One of the languages of `pages.languages`; the first is the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Language(usize);

/// `pages.languages`: code and own name of each.
#[derive(Debug)]
pub struct Languages(Vec<(String, String)>);

/// More ranges than any person sets in a browser; further ones are not read.
const MOST_RANGES: usize = 32;

impl Languages {
    /// Code and own name of each, the default first.
    pub(super) fn new(all: Vec<(String, String)>) -> Self {
        Self(all)
    }

    /// Whether there is something to choose.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// Every language with its code and its own name.
    pub fn all(&self) -> impl Iterator<Item = (Language, &str, &str)> {
        self.0.iter().enumerate().map(|(at, (code, name))| (Language(at), code.as_str(), name.as_str()))
    }

    /// The language called `code`.
    pub fn find(&self, code: &str) -> Option<Language> {
        self.0.iter().position(|(known, _)| known == code).map(Language)
    }

    /// What `language` is called in `lang` attributes and headers.
    pub fn code(&self, language: Language) -> &str {
        self.0.get(language.0).map_or("en", |(code, _)| code)
    }

    /// What the person likes best of ours, by `Accept-Language` (RFC 9110, section 12.5.4): the heaviest range that one
    /// of ours matches (RFC 4647, lookup: `de-AT` is content with `de`), in the person's order among equals.
    pub fn accepted(&self, header: &str) -> Option<Language> {
        let mut best = None;
        for (range, weight) in header.split(',').take(MOST_RANGES).filter_map(range) {
            if weight == 0 || best.is_some_and(|(_, heaviest)| heaviest >= weight) {
                continue;
            }
            if let Some(language) = self.matching(range) {
                best = Some((language, weight));
            }
        }
        best.map(|(language, _)| language)
    }

    fn matching(&self, range: &str) -> Option<Language> {
        if range == "*" {
            return Some(Language::default());
        }
        let mut range = range;
        loop {
            let found = self.0.iter().position(|(code, _)| code.eq_ignore_ascii_case(range));
            if let Some(at) = found {
                return Some(Language(at));
            }
            range = &range[..range.rfind('-')?];
        }
    }
}

impl Language {
    /// The default.
    pub const FIRST: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// `de-AT;q=0.8` as range and thousandths. What is not of this form is passed over.
fn range(text: &str) -> Option<(&str, u16)> {
    let (range, weight) = match text.split_once(';') {
        Some((range, parameter)) => (range, thousandths(parameter.trim())?),
        None => (text, 1000),
    };
    let range = range.trim();
    let plain = range == "*" || range.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (plain && !range.is_empty()).then_some((range, weight))
}

/// `q=0.8` as 800 (RFC 9110, section 12.4.2).
fn thousandths(parameter: &str) -> Option<u16> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, rest) = value.split_once('.').unwrap_or((value, ""));
    let whole: u16 = match whole {
        "0" => 0,
        "1" => 1000,
        _ => return None,
    };
    if rest.len() > 3 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = if rest.is_empty() { 0 } else { format!("{rest:0<3}").parse().ok()? };
    Some((whole + part).min(1000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn three() -> Languages {
        Languages::new(["en", "de", "pt-BR"].map(|code| (code.to_owned(), code.to_owned())).to_vec())
    }

    fn chosen(header: &str) -> Option<String> {
        let languages = three();
        languages.accepted(header).map(|language| languages.code(language).to_owned())
    }

    /// RFC 9110, section 12.5.4: its own example `da, en-gb;q=0.8, en;q=0.7`, and what browsers send.
    #[test]
    fn the_heaviest_range_that_is_spoken_wins() {
        for (header, code) in [
            ("da, en-gb;q=0.8, en;q=0.7", "en"),
            ("de", "de"),
            ("de-AT, en;q=0.9", "de"),
            ("DE-at", "de"),
            ("de-CH,de;q=0.9,en-US;q=0.8,en;q=0.7", "de"),
            ("en;q=0.5, de;q=0.501", "de"),
            ("en, de", "en"),
            ("fr, de;q=0.4, *;q=0.5", "en"),
            ("de ; q=0.2 , en ; q=0.1", "de"),
            ("pt-br-x-lisboa", "pt-BR"),
        ] {
            assert_eq!(chosen(header).as_deref(), Some(code), "{header}");
        }
    }

    #[test]
    fn what_nobody_speaks_or_nobody_can_read_chooses_nothing() {
        for header in [
            "",
            "fr",
            "de;q=0",
            "pt",
            "deutsch",
            "de;q=2",
            "de;q=0.1234",
            "de;level=1",
            "d\u{e4}",
            ";q=1",
            "-",
        ] {
            assert_eq!(chosen(header), None, "{header}");
        }
        assert_eq!(chosen("de;q=0, en;q=0.1").as_deref(), Some("en"));
        assert_eq!(chosen(&format!("{}de", "fr,".repeat(MOST_RANGES))), None, "it reads no further");
    }

    proptest! {
        #[test]
        fn no_header_is_too_odd(header in ".{0,200}") {
            let languages = three();
            let found = languages.accepted(&header).unwrap_or_default();
            prop_assert!(["en", "de", "pt-BR"].contains(&languages.code(found)));
        }
    }
}
