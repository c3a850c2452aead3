//! S-38: shape first.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::token::shape::{MAX_LENGTH, split};
use crate::token::testing::{HS, NOW, all_keys, b64, claims, claims_with, expectations};
use crate::token::{Invalid, verify};

fn check(token: &str) -> Result<(), Invalid> {
    verify(token, &all_keys(), &expectations(), NOW).map(|_| ())
}

/// S-38: one token, one spelling.
#[test]
fn only_the_canonical_spelling_passes() {
    let token = HS.token("x", &claims());
    assert_eq!(check(&token), Ok(()));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, body) = signed.split_once('.').unwrap();
    // 32 bytes end in a character with two spare bits: three more characters would decode to the same bytes.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = signature.as_bytes()[signature.len() - 1];
    let place = alphabet.iter().position(|c| *c == last).unwrap();
    for spare in 1..4 {
        let twin = char::from(alphabet[place + spare]);
        let token = format!("{signed}.{}{twin}", &signature[..signature.len() - 1]);
        assert_eq!(check(&token), Err(Invalid::Shape), "spare bits {spare}");
    }
    for wrong in [
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{header}.{body}\r\n.{signature}"),
        format!("{header}=.{body}.{signature}"),
        format!("{header}.{body}.{signature}."),
        format!("{header}.{body}"),
        format!("{header}.{body}."),
        format!(".{body}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{body}.{signature}.{signature}.x"),
        format!("{}.{body}.{signature}", b64("[]")),
        format!("{}.{body}.{signature}", b64("null")),
        format!("{header}.{}.{signature}", b64("\"text\"")),
        format!("{header}.{}.{signature}", b64([0xff, 0xfe])),
        format!("{header}.{body}.+/{signature}"),
        format!("Bearer {token}"),
        "..".to_owned(),
        ".".repeat(30 * 1024),
        String::new(),
    ] {
        assert_eq!(check(&wrong), Err(Invalid::Shape), "{wrong:.80}");
    }
}

/// S-38: 16 KiB pass, a byte more does not; sixteen levels pass, seventeen do not.
#[test]
fn length_and_depth_are_bounded() {
    let padded = |extra: usize| HS.token("x", &claims_with(json!({"pad": "x".repeat(extra)})));
    let extra = (1..MAX_LENGTH)
        .rev()
        .find(|extra| (extra * 4).div_ceil(3) + padded(0).len() + 8 < MAX_LENGTH)
        .unwrap();
    let mut longest = padded(extra);
    let mut size = extra;
    while padded(size + 1).len() <= MAX_LENGTH {
        size += 1;
        longest = padded(size);
    }
    assert!(longest.len() > MAX_LENGTH - 4);
    assert_eq!(check(&longest), Ok(()));
    assert_eq!(check(&padded(size + 1)), Err(Invalid::Shape));
    let nested = |levels: usize| {
        let deep = (1..levels).fold(json!(1), |inner, _| json!([inner]));
        HS.token("x", &claims_with(json!({"deep": deep})))
    };
    assert_eq!(check(&nested(16)), Ok(()));
    assert_eq!(check(&nested(17)), Err(Invalid::Shape));
}

proptest! {
    /// S-38: no input makes the verifier panic, or pass.
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(check(&text).is_err());
        prop_assert!(check(&String::from_utf8_lossy(&bytes)).is_err());
        let shaped = format!("{}.{}.{}", b64(&bytes), b64(&text), b64(&bytes));
        prop_assert!(check(&shaped).is_err());
    }

    /// S-38: whatever passes the shape check is spelt as this encoder spells it.
    #[test]
    fn what_passes_is_canonical(header in "[A-Za-z0-9_-]{0,12}", tail in "[A-Za-z0-9_.=+/-]{1,12}") {
        let token = format!("{}.{}.{tail}", b64(json!({"alg": header}).to_string()), b64("{}"));
        if let Ok(parts) = split(&token) {
            use base64::Engine;
            let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts.signature).unwrap();
            prop_assert_eq!(b64(decoded), parts.signature);
        }
    }

    /// S-38: no other character in any one place leaves the token valid.
    #[test]
    fn every_character_counts(place in any::<prop::sample::Index>(), other in any::<char>()) {
        let token = HS.token("x", &claims());
        let at = place.index(token.len());
        let changed: String = token.chars().enumerate().map(|(i, c)| if i == at { other } else { c }).collect();
        prop_assert_eq!(check(&changed).is_ok(), changed == token);
    }

    /// S-34: claims of any shape are judged without panic.
    #[test]
    fn no_claims_panic(name in "(exp|iat|nbf|sub|aud|amr|aal|role|session_id)", number in any::<f64>(), whole in any::<i64>()) {
        for value in [Value::from(number), Value::from(whole), json!([whole]), json!({"method": whole})] {
            let _ = check(&HS.token("x", &claims_with(json!({ name.clone(): value }))));
        }
    }
}
