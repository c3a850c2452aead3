//! Form tokens (S-15), the one message that a redirect may leave for the next page, and the language of the pages.
//!
//! All rest in `sb_form`, a sealed Strict cookie of the browser's session. A token is an HMAC over that cookie's id,
//! the form's purpose and the time; it is a second lock beside the cross-origin gate.

use ::cookie::SameSite;
use base::entropy::Entropy;
use base::seal::{Keyring, Sealer};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::session::cookie::{Jar, Names};

/// How long a form may be looked at before it is sent.
const LIFE: Duration = Duration::hours(2);

/// Makes and checks form tokens.
pub struct Forms {
    sealer: Sealer,
    names: Names,
    origin: String,
}

/// A message for the next page: the key of a sentence and what fills it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Such as `provider-denied`.
    pub key: String,
    /// Such as the provider's id; empty for most.
    #[serde(default)]
    pub value: String,
}

/// What a browser's `sb_form` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Binding {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notice: Option<Notice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    /// The browser does not have it yet, or not so, or sealed under an older key, which will go one day (S-12).
    #[serde(skip)]
    due: bool,
}

/// What a form's token turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// It holds.
    Fits,
    /// Too old, of another form or of another browser.
    Broken,
    /// The browser did not bring our cookie at all.
    NoCookie,
}

impl Forms {
    /// For one deployment.
    pub fn new(keys: &Keyring, names: Names, origin: String) -> Self {
        Self { sealer: keys.purpose("form"), names, origin }
    }

    /// What this browser is bound to, if its cookie opens.
    pub fn read(&self, jar: &Jar) -> Option<Binding> {
        let sealed = jar.get(&self.names.form)?;
        let opened = self.sealer.open(&[&self.names.form, &self.origin], sealed).ok()?;
        let binding: Binding = serde_json::from_slice(&opened.plain).ok()?;
        Some(Binding { due: opened.stale, ..binding })
    }

    /// A binding for a browser that has none.
    pub fn fresh(&self, entropy: &dyn Entropy) -> Binding {
        Binding { id: entropy.text::<16>(), notice: None, lang: None, due: true }
    }

    /// The cookie for `binding`.
    pub fn keep(&self, binding: &Binding, entropy: &dyn Entropy) -> HeaderValue {
        let plain = serde_json::to_vec(binding).unwrap_or_default(); // strings alone cannot fail
        let sealed = self.sealer.seal(&[&self.names.form, &self.origin], &plain, entropy);
        self.names.set(&self.names.form, &sealed, SameSite::Strict, None)
    }

    /// `plain` sealed for this browser and `label`, to ride in a form.
    pub fn conceal(&self, binding: &Binding, label: &str, plain: &[u8], entropy: &dyn Entropy) -> String {
        self.sealer.seal(&[label, &self.origin, &binding.id], plain, entropy)
    }

    /// What [`conceal`](Self::conceal) sealed for this browser.
    pub fn reveal(&self, binding: &Binding, label: &str, sealed: &str) -> Option<Vec<u8>> {
        let opened = self.sealer.open(&[label, &self.origin, &binding.id], sealed).ok()?;
        Some(opened.plain.to_vec())
    }

    /// A token for the form called `purpose`.
    pub fn token(&self, binding: &Binding, purpose: &str, now: OffsetDateTime) -> String {
        let time = now.unix_timestamp().to_string();
        let mac = self.sealer.mac(&[binding.id.as_bytes(), purpose.as_bytes(), time.as_bytes()]);
        format!("{time}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// Whether `token` was made for this browser and `purpose`, at most two hours before `now`.
    pub fn check(&self, binding: Option<&Binding>, purpose: &str, token: &str, now: OffsetDateTime) -> Lock {
        let Some(binding) = binding else { return Lock::NoCookie };
        let held = || {
            let (time, mac) = token.split_once('.')?;
            let made = OffsetDateTime::from_unix_timestamp(time.parse().ok()?).ok()?;
            let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
            let parts: [&[u8]; 3] = [binding.id.as_bytes(), purpose.as_bytes(), time.as_bytes()];
            let in_time = now - made <= LIFE && made - now <= Duration::minutes(1);
            (in_time && self.sealer.mac_holds(&parts, &mac)).then_some(())
        };
        if held().is_some() { Lock::Fits } else { Lock::Broken }
    }
}

impl Binding {
    /// Whether its cookie is to be written with the next page.
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// Leaves a message for the next page.
    pub fn leave_notice(&mut self, notice: Notice) {
        self.notice = Some(notice);
        self.due = true;
    }

    /// Takes the message out.
    pub fn take_notice(&mut self) -> Option<Notice> {
        let notice = self.notice.take();
        self.due |= notice.is_some();
        notice
    }

    /// The language that this browser was last asked to have pages in.
    pub fn language(&self) -> Option<&str> {
        self.lang.as_deref()
    }

    /// From now on pages come in the language called `code`.
    pub fn speak(&mut self, code: &str) {
        if self.lang.as_deref() != Some(code) {
            self.lang = Some(code.to_owned());
            self.due = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use base::entropy::SeededEntropy;
    use base::seal::{KeyId, MasterKey};

    use super::*;

    const START: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);

    fn forms() -> Forms {
        let key = MasterKey::generate(KeyId::parse("k1").unwrap(), &SeededEntropy::new(1));
        let url = "http://localhost:8080".parse().unwrap();
        Forms::new(&Keyring::new(&[key]).unwrap(), Names::new(&url, true), "http://localhost:8080".into())
    }

    /// S-15: missing, expired, another browser's, another form's: none fits.
    #[test]
    fn a_token_fits_its_browser_its_form_and_its_time() {
        let forms = forms();
        let (mine, other) = (forms.fresh(&SeededEntropy::new(2)), forms.fresh(&SeededEntropy::new(3)));
        let token = forms.token(&mine, "login", START);
        let check = |binding, purpose, token: &str, later| {
            forms.check(binding, purpose, token, START + Duration::seconds(later))
        };
        assert_eq!(check(Some(&mine), "login", &token, 7200), Lock::Fits);
        assert_eq!(check(Some(&mine), "login", &token, 7201), Lock::Broken);
        assert_eq!(check(Some(&mine), "login", &token, -61), Lock::Broken);
        assert_eq!(check(Some(&mine), "signup", &token, 0), Lock::Broken);
        assert_eq!(check(Some(&other), "login", &token, 0), Lock::Broken);
        assert_eq!(check(None, "login", &token, 0), Lock::NoCookie);
        for odd in ["", ".", "x", &token[1..], &format!("{token}A"), "99999999999999999999.AAAA"] {
            assert_eq!(check(Some(&mine), "login", odd, 0), Lock::Broken, "{odd}");
        }
    }

    /// S-12: a key for form tokens opens nothing else; a message cannot be planted.
    #[test]
    fn the_cookie_comes_back_and_nothing_else_does() {
        let forms = forms();
        let notice = Notice { key: "provider-denied".into(), value: "github".into() };
        let mut binding = forms.fresh(&SeededEntropy::new(2));
        binding.leave_notice(notice.clone());
        binding.speak("de");
        let set = forms.keep(&binding, &SeededEntropy::new(4));
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let headers = http::HeaderMap::from_iter([(http::header::COOKIE, pair.parse().unwrap())]);
        let mut read = forms.read(&Jar::read(&headers)).unwrap();
        assert_eq!((read.language(), read.is_due()), (Some("de"), false));
        read.speak("de");
        assert!(!read.is_due(), "nothing new to keep");
        assert_eq!(read.take_notice(), Some(notice));
        assert!(read.is_due(), "the browser is not to show it again");
        let forged = http::HeaderMap::from_iter([(
            http::header::COOKIE,
            pair.replace("1.k1.", "1.k1.A").parse().unwrap(),
        )]);
        assert!(forms.read(&Jar::read(&forged)).is_none());
    }
}
