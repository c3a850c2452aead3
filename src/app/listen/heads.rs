//! Heads of HTTP/1 requests as they stood on the wire. hyper mends what must be refused: it drops a length beside
//! chunks, joins two lengths, takes a bare LF for the end of a line, and cuts a fragment off the target (S-49, S-57).
//!
//! Bytes are looked at as they pass, line by line; the first bytes of a line that a read cuts in two are all that is
//! kept of them. A body is skipped by its length. What follows a body in chunks is not looked at: such a request is
//! the last one of its connection.

use memchr::memchr;

/// Why a request is the last one that its connection brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// Its body comes in chunks.
    Chunks,
    /// Two servers could see two different ends of it.
    Framing,
    /// Its target has a fragment.
    Fragment,
}

/// Reads along with one connection.
#[derive(Debug, Default)]
pub(super) struct Heads {
    place: Place,
    /// Heads that ended.
    ended: usize,
    head: Head,
    cut: Cut,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Head,
    /// So many bytes of a body are still to come.
    Body(u64),
    /// Nothing more is looked at: HTTP/2, or the last request was seen.
    Over,
}

impl Heads {
    /// Looks at `bytes`, the next ones of the connection. Of the last request: its number, counted from 0, once its
    /// head has ended.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Option<(usize, Last)> {
        loop {
            match &mut self.place {
                Place::Over => return None,
                Place::Body(left) => {
                    let skipped = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= skipped as u64;
                    if *left > 0 {
                        return None;
                    }
                    bytes = &bytes[skipped..];
                    self.place = Place::Head;
                }
                Place::Head => {
                    let Some((line, rest)) =
                        memchr(b'\n', bytes).map(|end| (&bytes[..end], &bytes[end + 1..]))
                    else {
                        self.head.piece(bytes);
                        self.cut.push(bytes);
                        return None;
                    };
                    bytes = rest;
                    if self.line(line) {
                        let ended = self.end();
                        if ended.is_some() {
                            return ended;
                        }
                    }
                }
            }
        }
    }

    /// One line without its LF, or what the last read left of it. Whether it ended a head.
    fn line(&mut self, line: &[u8]) -> bool {
        self.head.piece(line);
        if self.cut.length == 0 {
            return self.head.line(line);
        }
        self.cut.push(line);
        let cut = std::mem::take(&mut self.cut);
        self.head.line(cut.line())
    }

    fn end(&mut self) -> Option<(usize, Last)> {
        let head = std::mem::take(&mut self.head);
        let number = self.ended;
        self.ended += 1;
        let last = match (head.flaw, head.chunks, head.length) {
            (Some(flaw), ..) => flaw,
            (None, true, Some(_)) => Last::Framing,
            (None, true, None) => Last::Chunks,
            (None, false, length) => {
                self.place = if head.is_preface { Place::Over } else { Place::Body(length.unwrap_or(0)) };
                return None;
            }
        };
        self.place = Place::Over;
        Some((number, last))
    }
}

/// What was read of one head.
#[derive(Debug, Default)]
struct Head {
    begun: bool,
    is_preface: bool,
    length: Option<u64>,
    chunks: bool,
    flaw: Option<Last>,
}

impl Head {
    /// A line or a part of one. The target is in the first.
    fn piece(&mut self, piece: &[u8]) {
        if !self.begun && piece.contains(&b'#') {
            self.flaw.get_or_insert(Last::Fragment);
        }
    }

    /// A line without its LF; whether it is the last one.
    fn line(&mut self, line: &[u8]) -> bool {
        let Some((b'\r', line)) = line.split_last() else {
            self.flaw.get_or_insert(Last::Framing);
            return line.is_empty() && self.begun;
        };
        if line.is_empty() {
            return self.begun; // empty lines before a request are none of it
        }
        if !self.begun {
            self.begun = true;
            self.is_preface = line == b"PRI * HTTP/2.0";
        } else if let Some(value) = value_of(line, b"content-length") {
            let length = str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            match length.and_then(|text| text.parse().ok()) {
                Some(length) if self.length.is_none() => self.length = Some(length),
                _ => {
                    self.flaw.get_or_insert(Last::Framing);
                }
            }
        } else if value_of(line, b"transfer-encoding").is_some() {
            self.chunks = true;
        }
        false
    }
}

/// The value in `line`, if its name is `name`.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (begin, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":").filter(|_| begin.eq_ignore_ascii_case(name))?;
    Some(value.trim_ascii())
}

/// The beginning of a line whose end is still to come.
#[derive(Debug)]
struct Cut {
    bytes: [u8; Self::KEPT],
    /// Of the whole line so far; what is beyond the array was not kept, save the last byte.
    length: usize,
}

impl Default for Cut {
    fn default() -> Self {
        Self { bytes: [0; Self::KEPT], length: 0 }
    }
}

impl Cut {
    /// Enough for every length and for the names that are looked for.
    const KEPT: usize = 64;

    fn push(&mut self, piece: &[u8]) {
        let from = self.length.min(Self::KEPT);
        let kept = piece.len().min(Self::KEPT - from);
        self.bytes[from..from + kept].copy_from_slice(&piece[..kept]);
        self.length = self.length.saturating_add(piece.len());
        if let Some(last) = piece.last().filter(|_| self.length > Self::KEPT) {
            self.bytes[Self::KEPT - 2] = b'?'; // no length has it
            self.bytes[Self::KEPT - 1] = *last;
        }
    }

    /// The line; of a longer one its beginning, a mark with which no length can be read, and its last byte.
    fn line(&self) -> &[u8] {
        &self.bytes[..self.length.min(Self::KEPT)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of `text`, whole and in pieces of every size.
    fn seen(text: &str) -> Option<(usize, Last)> {
        let whole = Heads::default().read(text.as_bytes());
        for size in 1..text.len().min(80) {
            let mut heads = Heads::default();
            let found = text.as_bytes().chunks(size).find_map(|piece| heads.read(piece));
            assert_eq!(found, whole, "in pieces of {size}: {text:?}");
        }
        whole
    }

    /// S-57: length beside chunks in either order, several lengths, malformed ones and bare LFs, however they are
    /// spelt.
    #[test]
    fn two_readings_are_seen() {
        for fields in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nA: b\r\nContent-Length: 3\r\n",
            "TRANSFER-ENCODING:chunked\r\ncontent-length:0\r\n",
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: +3\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 3\n",
            "A: b\nC: d\r\n",
        ] {
            let text = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
            assert_eq!(seen(&text), Some((0, Last::Framing)), "{fields:?}");
        }
        assert_eq!(seen("GET / HTTP/1.1\r\nhost: a\r\n\n"), Some((0, Last::Framing)));
        assert_eq!(seen("GET / HTTP/1.1\nhost: a\r\n\r\n"), Some((0, Last::Framing)));
        let zeros = format!("POST / HTTP/1.1\r\ncontent-length: {}3\r\n\r\n", "0".repeat(60));
        let mut heads = Heads::default();
        assert_eq!(heads.read(&zeros.as_bytes()[..40]), None);
        assert_eq!(heads.read(&zeros.as_bytes()[40..]), Some((0, Last::Framing)), "cut, it cannot be read");
        let long =
            format!("POST / HTTP/1.1\r\ncontent-length: {}3\r\ncontent-length: 3\r\n\r\n", " ".repeat(99));
        assert_eq!(seen(&long), Some((0, Last::Framing)));
    }

    /// S-49: the target's fragment, which `http::Uri` forgets.
    #[test]
    fn a_fragment_is_seen() {
        for target in ["/a#b", "#", "/?a=b#", "http://a/#x", &format!("/{}#", "a".repeat(200))] {
            let text = format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(seen(&text), Some((0, Last::Fragment)), "{target}");
        }
        assert_eq!(seen("GET / HTTP/1.1\r\nreferer: /a#b\r\n\r\n"), None);
    }

    /// Requests one after the other: their numbers are hyper's, bodies are skipped, and nothing after chunks is judged.
    #[test]
    fn bodies_are_not_heads() {
        let body = "GET /#x HTTP/1.1\r\n\r\n";
        let one = format!("\r\nPOST / HTTP/1.1\r\ncontent-length: {}\r\nhost: a\r\n\r\n{body}", body.len());
        let get = "GET / HTTP/1.1\r\nx-content-length: 9\r\ncontent-lengths: 9\r\n\r\n";
        assert_eq!(seen(&format!("{one}{get}{one}")), None);
        assert_eq!(seen(&format!("{one}{get}{body}{get}")), Some((2, Last::Fragment)));
        let chunks = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(seen(&format!("{get}{chunks}0\r\n\r\n{body}")), Some((1, Last::Chunks)));
        assert_eq!(seen(&format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{body}")), None);
    }
}
