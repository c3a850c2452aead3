//! Path patterns: `*` is one whole segment, `**` the rest and the bare prefix.

use std::borrow::Cow;

/// A path pattern. Compared segment by segment, with case, against the raw path.
///
/// Escapes are undone on either side before a segment is compared: `/%61dmin` is what a rule for `/admin` speaks
/// of, since the upstream would take it for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// These bytes, escapes undone.
    Literal(Vec<u8>),
    /// Any segment that is not empty.
    One,
    /// Everything from here on, or nothing.
    Rest,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadPattern {
    #[error("A path begins with one slash.")]
    Start,
    #[error(
        "`*` stands for one whole segment, `**` for all the rest at the end; neither goes inside a segment."
    )]
    Star,
    #[error(
        "No request path that is let in holds this: an empty or dot segment, `?`, `#`, `\\`, a space, a \
             control or non-ASCII character, or a broken escape."
    )]
    Impossible,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, BadPattern> {
        let rest = text.strip_prefix('/').ok_or(BadPattern::Start)?;
        let texts: Vec<&str> = rest.split('/').collect();
        let last = texts.len() - 1;
        let segment = |(place, segment): (usize, &&str)| match *segment {
            "**" if place == last => Ok(Segment::Rest),
            "*" => Ok(Segment::One),
            text if text.contains('*') => Err(BadPattern::Star),
            text if possible(text) && (!text.is_empty() || place == last) => {
                Ok(Segment::Literal(undone(text.as_bytes()).into_owned()))
            }
            _ => Err(BadPattern::Impossible),
        };
        let segments = texts.iter().enumerate().map(segment).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), segments })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.as_bytes().strip_prefix(b"/") else { return false };
        let mut asked = rest.split(|byte| *byte == b'/');
        for segment in &self.segments {
            match (segment, asked.next()) {
                (Segment::Rest, _) => return true,
                (Segment::One, Some(text)) if !text.is_empty() => {}
                (Segment::Literal(bytes), Some(text)) if same(bytes, text) => {}
                _ => return false,
            }
        }
        asked.next().is_none()
    }

    /// Whether every path of `other` is one of this.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let mut others = other.segments.iter();
        for segment in &self.segments {
            match (segment, others.next()) {
                (Segment::Rest, _) => return true,
                (Segment::One, Some(Segment::One)) => {}
                (Segment::One, Some(Segment::Literal(bytes))) if !bytes.is_empty() => {}
                (Segment::Literal(a), Some(Segment::Literal(b))) if a == b => {}
                _ => return false,
            }
        }
        others.next().is_none()
    }

    /// Whether `prefix` is a whole number of its leading literal segments, so that it can be taken off.
    pub(super) fn begins_with(&self, prefix: &str) -> bool {
        let Some(rest) = self.text.strip_prefix(prefix) else { return false };
        prefix.starts_with('/') && !prefix.contains('*') && (rest.is_empty() || rest.starts_with('/'))
    }
}

fn possible(segment: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\');
    let mut escapes = segment.split('%').skip(1);
    let hex =
        |escape: &str| escape.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    !matches!(segment, "." | "..") && segment.bytes().all(sound) && escapes.all(hex)
}

fn same(bytes: &[u8], segment: &[u8]) -> bool {
    segment == bytes || (segment.contains(&b'%') && *undone(segment) == *bytes)
}

/// `bytes` without their escapes. What is no escape stays.
fn undone(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| Some(digit(at + 1)? * 16 + digit(at + 2)?)).flatten();
        match escape.and_then(|value| u8::try_from(value).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    Cow::Owned(plain)
}
