//! E-mail addresses: brought into one form first, judged afterwards (S-70).

use crate::error::{Answer, ApiError};

/// `text` in lower case with its domain in ASCII, or `None` if it is no address: exactly one `@`, no space, control,
/// quote or comma, at most 255 bytes. Nothing is trimmed.
pub(crate) fn normalise(text: &str) -> Option<String> {
    if text.len() > 255 {
        return None;
    }
    let (local, domain) = text.split_once('@')?;
    let domain = match url::Host::parse(domain) {
        Ok(url::Host::Domain(domain)) => domain,
        _ => return None,
    };
    let is_label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // The characters that HTML's e-mail field allows before the `@`.
    let is_local = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let email = format!("{local}@{domain}").to_lowercase();
    (!local.is_empty()
        && local.chars().all(is_local)
        && domain.split('.').all(is_label)
        && email.len() <= 255)
        .then_some(email)
}

/// [`normalise`] with the refusal that clients know.
pub(crate) fn require(text: &str) -> Answer<String> {
    normalise(text).ok_or_else(|| ApiError::invalid("Unable to validate email address: invalid format"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-70: one form, and nothing that could leave a mail header.
    #[test]
    fn addresses() {
        assert_eq!(normalise("UPPER-Ada@Example.TEST").as_deref(), Some("upper-ada@example.test"));
        assert_eq!(normalise("ada@bücher.example").as_deref(), Some("ada@xn--bcher-kva.example"));
        assert_eq!(normalise("ada@localhost").as_deref(), Some("ada@localhost"));
        assert_eq!(normalise("o'hara+x@example.test").as_deref(), Some("o'hara+x@example.test"));
        let long = format!("{}@example.test", "a".repeat(243));
        for wrong in [
            "",
            "nope",
            "@example.test",
            "ada@",
            " ada@example.test",
            "ada@example.test ",
            "a@b@c",
            "a b@c.test",
            "ada@example.test\r\nBcc: x@y.test",
            "\"a\"@b.test",
            "a,b@c.test",
            "a@-b.test",
            "a@b..test",
            "a\0@b.test",
            "a@127.0.0.1",
            "a@[::1]",
            "ä@example.test",
            long.as_str(),
        ] {
            assert_eq!(normalise(wrong), None, "{wrong:?}");
        }
    }
}
