//! A mail as a person reads it: a link, and digits.

/// What a confirmation mail says, whichever template made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// As it stands in the mail.
    pub link: url::Url,
    /// The digits.
    pub code: String,
}

impl Mail {
    /// Reads the text or the HTML of a mail.
    pub fn read(text: &str) -> Self {
        let text = text.replace("&amp;", "&").replace("&#x2f;", "/");
        let begins = ["token_hash=", "token="].iter().find_map(|name| {
            let at = text.find(name)?;
            text[..at].rfind("http")
        });
        let link = &text[begins.unwrap_or_else(|| panic!("no link: {text}"))..];
        let link =
            &link[..link.find(|c: char| c.is_whitespace() || "\"'<>".contains(c)).unwrap_or(link.len())];
        let rest = text.replace(link, " ");
        let digits = |word: &&str| (6..=10).contains(&word.len());
        let code = rest
            .split(|c: char| !c.is_ascii_digit())
            .find(digits)
            .unwrap_or_else(|| panic!("no digits: {rest}"));
        Self { link: link.parse().unwrap(), code: code.to_owned() }
    }

    fn parameter(&self, name: &str) -> Option<String> {
        self.link.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The hash that redeems: `token` in GoTrue's own links is one.
    pub fn hash(&self) -> String {
        self.parameter("token_hash").or_else(|| self.parameter("token")).expect("a mail link has a hash")
    }

    /// Path and query at the BFF, for templates of either kind.
    pub fn confirm_path(&self) -> String {
        match self.link.path() {
            "/auth/confirm" => self.link[url::Position::BeforePath..].to_owned(),
            _ => format!("/auth/confirm?token_hash={}&type=signup", self.hash()),
        }
    }

    /// GoTrue's own link below `project`, for templates of either kind. `back` is where it must lead.
    pub fn verify_url(&self, project: &str, back: &str) -> String {
        self.verify_url_of(project, "signup", back)
    }

    /// The same for a mail of another kind.
    pub fn verify_url_of(&self, project: &str, kind: &str, back: &str) -> String {
        match self.link.path().ends_with("/verify") {
            true => self.link.to_string(),
            false => {
                let mut url: url::Url = format!("{project}/auth/v1/verify").parse().unwrap();
                url.query_pairs_mut()
                    .append_pair("token", &self.hash())
                    .append_pair("type", kind)
                    .append_pair("redirect_to", back);
                url.into()
            }
        }
    }
}
