//! PKCE (RFC 7636): the verifier stays with us, the challenge goes to GoTrue. The method is always S256 (S-24).

use base::entropy::Entropy;
use base::secret::Secret;
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};

/// The method as GoTrue reads it, in any case.
pub const METHOD: &str = "s256";

/// The secret half of a flow: 43 to 128 characters of `A-Z a-z 0-9 - . _ ~`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier(Secret<String>);

/// The public half of a flow: 43 characters of base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

impl Verifier {
    /// A fresh one: 32 random bytes as 43 characters of base64url.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        Self(Secret::new(entropy.text::<32>()))
    }

    /// One that was drawn before and kept. `None` if `text` is not of the form of RFC 7636, section 4.1.
    pub fn from_text(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        ((43..=128).contains(&text.len()) && text.bytes().all(fits))
            .then(|| Self(Secret::new(text.to_owned())))
    }

    /// The characters, for the exchange and for the sealed flow cookie alone.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The challenge that belongs to this verifier.
    pub fn challenge(&self) -> Challenge {
        let verifier = PkceCodeVerifier::new(self.expose().to_owned());
        Challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str().to_owned())
    }
}

impl Challenge {
    /// The challenge of somebody else's flow. `None` if `text` is none of S256: 32 bytes in base64url.
    pub fn from_text(text: &str) -> Option<Self> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        (text.len() == 43 && text.bytes().all(fits)).then(|| Self(text.to_owned()))
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use base::entropy::{SeededEntropy, SystemEntropy};

    use super::*;

    /// The pair of RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_that_of_the_standard() {
        let verifier = Verifier::from_text("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(verifier.challenge().as_str(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    /// S-24: 32 random bytes a flow, no verifier and no challenge twice.
    #[test]
    fn ten_thousand_flows_all_differ() {
        let drawn: Vec<_> = (0..10_000).map(|_| Verifier::draw(&SystemEntropy)).collect();
        assert!(drawn.iter().all(|v| v.expose().len() == 43 && v.challenge().as_str().len() == 43));
        let verifiers: HashSet<_> = drawn.iter().map(|v| v.expose().to_owned()).collect();
        let challenges: HashSet<_> = drawn.iter().map(|v| v.challenge().as_str().to_owned()).collect();
        assert_eq!((verifiers.len(), challenges.len()), (10_000, 10_000));
    }

    #[test]
    fn a_kept_verifier_comes_back_and_nothing_else_does() {
        let drawn = Verifier::draw(&SeededEntropy::new(1));
        assert_eq!(Verifier::from_text(drawn.expose()), Some(drawn));
        for wrong in ["", "short", &"a".repeat(42), &"a".repeat(129), &format!("{}+", "a".repeat(43))] {
            assert_eq!(Verifier::from_text(wrong), None, "{wrong}");
        }
    }

    /// S-86: a verifier prints nothing of itself.
    #[test]
    fn prints_no_verifier() {
        let verifier = Verifier::draw(&SeededEntropy::new(1));
        assert_eq!(format!("{verifier:?}"), "Verifier([redacted])");
    }
}
