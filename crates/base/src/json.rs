//! What is asked of a JSON text before anything is built from it.

/// Whether objects and arrays lie more than `most` deep inside one another; brackets within strings do not count.
/// Looks no further than the first that is too deep. The text need not be sound.
pub fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-38, S-96: nesting is counted, siblings and brackets within strings are not.
    #[test]
    fn nesting_is_counted_outside_of_strings() {
        let deep = |text: &str| (0..).find(|most| !is_deeper(text.as_bytes(), *most)).unwrap();
        assert_eq!(deep("1"), 0);
        assert_eq!(deep(r#"{"a":[{"b":"[[[\"[["}]}"#), 3);
        assert_eq!(deep("[[],[],{}]"), 2);
        assert_eq!(deep(r#""\\",[""#), 1);
        assert_eq!(deep("]]]]["), 1, "unsound, and not below zero");
        assert_eq!(deep(&"[".repeat(40)), 40);
    }
}
