//! Cookies as they are set and read.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn loopback() -> Names {
    Names::new(&"http://localhost:8080".parse().unwrap(), true)
}

fn header(value: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_bytes(value).unwrap());
    headers
}

/// S-01: attributes and prefix over https; neither on a loopback http origin, where the port is in the name.
#[test]
fn attributes_follow_the_public_origin() {
    let secure = Names::new(&"https://app.example.com".parse().unwrap(), true);
    let set = secure.set_session("1.k1.abc", None, &Jar::empty()).unwrap();
    assert_eq!(set, ["__Host-Http-sb_session=1.k1.abc; HttpOnly; SameSite=Strict; Secure; Path=/"]);
    let set = loopback().set_session("1.k1.abc", Some(Duration::days(999)), &Jar::empty()).unwrap();
    assert_eq!(set, ["sb_session_8080=1.k1.abc; HttpOnly; SameSite=Strict; Path=/; Max-Age=34560000"]);
    let cleared = loopback().clear_session(&Jar::empty());
    assert_eq!(cleared.len(), MAX_CHUNKS);
    assert_eq!(cleared[1], "sb_session_8080.1=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
}

/// S-04: every size around a border comes back as it was; what is too large is refused whole.
#[test]
fn large_values_are_split_and_joined() {
    let names = loopback();
    let first = LIMIT - "sb_session_8080".len() - 1;
    let next = LIMIT - "sb_session_8080.1".len() - 1;
    let borders = [first, first + next, first + 2 * next, first + 3 * next];
    for size in borders.iter().flat_map(|b| [b - 1, *b, b + 1]) {
        let text = "x".repeat(size);
        let Some(set) = names.set_session(&text, None, &Jar::empty()) else {
            assert!(size > first + 3 * next, "{size} should fit");
            continue;
        };
        let pairs: Vec<_> = set.iter().map(|v| v.to_str().unwrap().split(';').next().unwrap()).collect();
        assert!(pairs.iter().all(|pair| pair.len() <= LIMIT));
        let headers = header(pairs.join("; ").as_bytes());
        assert_eq!(names.read_session(&Jar::read(&headers)), Carried::Sealed(text.into()));
    }
}

/// S-04: a missing, extra or far-off chunk makes no session; left-overs of a larger one are deleted.
#[test]
fn chunks_that_do_not_belong_together_are_no_session() {
    let names = loopback();
    let read = |value: &str, expected: Carried<'_>| {
        assert_eq!(names.read_session(&Jar::read(&header(value.as_bytes()))), expected, "{value}");
    };
    read("sb_session_8080.1=b", Carried::Damaged);
    read("sb_session_8080=a; sb_session_8080.2=c", Carried::Damaged);
    read("sb_session_8080=a; sb_session_8080.99999999=c", Carried::Damaged);
    read("sb_session_8080=a; sb_session_8080.01=c", Carried::Damaged);
    read("sb_session_80801=a", Carried::Nothing);
    let headers = header(b"sb_session_8080=old; sb_session_8080.1=old");
    let set = names.set_session("new", None, &Jar::read(&headers)).unwrap();
    assert_eq!(set.len(), 2);
    assert!(
        set[1].to_str().unwrap().starts_with("sb_session_8080.1=; ")
            && set[1].to_str().unwrap().contains("Max-Age=0")
    );
}

/// S-04: what only looks like a chunk is deleted too, within bounds.
#[test]
fn strays_are_deleted() {
    let many: String = (0..99).map(|n| format!("sb_session_8080.{n}9=a; ")).collect();
    let headers = header(format!("sb_session_8080.01=a; sb_session_8080. x=a; {many}").as_bytes());
    let cleared = loopback().clear_session(&Jar::read(&headers));
    assert_eq!(cleared.len(), MAX_CHUNKS + MAX_STRAYS);
    assert!(cleared[MAX_CHUNKS].to_str().unwrap().starts_with("sb_session_8080.01=; "));
}

/// S-05: odd syntax never becomes one of our cookies.
#[test]
fn odd_syntax_is_not_read() {
    let names = Names::new(&"https://app.example.com".parse().unwrap(), true);
    let name = names.session().to_owned();
    for odd in [
        format!("\u{2000}{name}=v"),
        format!("$Version=1; \"{name}\"=v"),
        format!("={name}=v"),
        format!("{name}=a; {name}=b"),
        format!("{name}=b; x=1; {name}=b"),
        format!("{}=v", name.to_uppercase()),
        name.clone(),
    ] {
        let headers = header(odd.as_bytes());
        let jar = Jar::read(&headers);
        let carried = names.read_session(&jar);
        assert!(!matches!(carried, Carried::Sealed(_)), "{odd}");
    }
    let headers = header(format!("other=caf\u{e9};\t{name} = v ").as_bytes());
    assert_eq!(names.read_session(&Jar::read(&headers)), Carried::Sealed("v".into()));
}

#[test]
fn crumbs_of_several_headers_are_joined() {
    let mut headers = header(b"a=1");
    headers.append(header::COOKIE, HeaderValue::from_static("sb_session_8080=v"));
    assert_eq!(loopback().read_session(&Jar::read(&headers)), Carried::Sealed("v".into()));
}

#[test]
fn flow_names_hold_an_id_of_22_characters() {
    let names = loopback();
    let id = "abcdefghijklmnopqrstu-";
    assert_eq!(names.flow_id(&names.flow(id)), Some(id));
    assert_eq!(names.flow_id("sb_flow_short_8080"), None);
    assert!(names.is_own("sb_flow_x") && names.is_own("__Host-Http-sb_session") && !names.is_own("theme"));
}

proptest! {
    /// S-05: no header makes the reader panic, and it never invents a value that was not there.
    #[test]
    fn any_header_is_read(bytes in proptest::collection::vec(prop_oneof![32_u8..=126, 128_u8..=255], 0..300)) {
        let headers = header(&bytes);
        let jar = Jar::read(&headers);
        for name in jar.names() {
            prop_assert!(bytes.windows(name.len()).any(|w| w == name.as_bytes()));
        }
    }
}

/// Lines with names that are ours, look like ours or are nobody's.
fn near_cookies() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "sb_session_8080",
        "sb_session_8080.1",
        "sb_session_8080.2",
        "sb_session_8080.3",
        "sb_session_8080.4",
        "sb_session_80801",
        "SB_SESSION_8080",
        "other",
        "",
        "$Version",
        "\u{e9}",
    ];
    let values = ["=a", "=b", "=", "= c\t", "=\"d\"", "=e=f", "", "\t=g"];
    let between = ["; ", ";", ";\t", ";;", ",", " "];
    let piece = (select(names.to_vec()), select(values.to_vec()), select(between.to_vec()));
    let line = proptest::collection::vec(piece, 0..6);
    line.prop_map(|pieces| pieces.iter().flat_map(|(n, v, b)| [*n, *v, *b]).collect::<String>().into_bytes())
}

proptest! {
    /// S-04, S-05: a session is what was sent under its exact names, each once and without a gap, and nothing else is one.
    #[test]
    fn a_session_is_what_was_sent(bytes in near_cookies()) {
        let names = loopback();
        let mut sent: Vec<(String, String)> = Vec::new();
        for piece in bytes.split(|b| *b == b';').filter(|piece| piece.is_ascii()) {
            let text = String::from_utf8(piece.to_vec()).unwrap();
            if let Some((name, value)) = text.split_once('=') {
                let trim = |text: &str| text.trim_matches([' ', '\t']).to_owned();
                sent.push((trim(name), trim(value)));
            }
        }
        sent.retain(|(name, _)| !name.is_empty());
        let own = ["sb_session_8080", "sb_session_8080.1", "sb_session_8080.2", "sb_session_8080.3"];
        let of = |name: &str| sent.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
        let parts: Vec<_> = own.iter().map(|name| of(name)).collect();
        let whole = parts.iter().take_while(|part| part.len() == 1).count();
        let stray = sent.iter().any(|(name, _)| name.starts_with("sb_session_8080.") && !own.contains(&name.as_str()));
        let expected = if stray || parts[whole..].iter().any(|part| !part.is_empty()) {
            Carried::Damaged
        } else if whole == 0 {
            Carried::Nothing
        } else {
            Carried::Sealed(parts[..whole].concat().concat().into())
        };
        let jar = Jar::read(&header(&bytes));
        prop_assert_eq!(names.read_session(&jar), expected);
        for name in sent.iter().map(|(name, _)| name) {
            let all = of(name);
            prop_assert_eq!(jar.get(name), (all.len() == 1).then(|| all[0]));
        }
    }
}
