//! Whatever a browser says: what is left of it is on the list (S-50).

use std::sync::LazyLock;

use base::vars::Problems;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::gateway::upstream::Surroundings;

static UPSTREAM: LazyLock<Upstream> = LazyLock::new(|| {
    let settings = toml::from_str("url = 'http://127.0.0.1:1'\npass_cookies = ['theme']").unwrap();
    let around = Surroundings { own_cookies: &["sb_"], ..Surroundings::default() };
    Upstream::build("orders", settings, &around, &mut Problems::default()).unwrap()
});

/// What is ours to say, whatever stands between its words.
const OURS: [&str; 30] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
    "host",
    "authorization",
    "apikey",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "sb-forwarded-for",
    "x-request-id",
    "x-jwt-aud",
    "redirect-to",
    "x-rewrite-url",
    "x-http-method-override",
    "x-forwarded-for",
    "x-forwarded-user",
    "x-forwarded-host",
    "x-original-url",
    "x-auth-request-user",
    "proxy-authorization",
    "proxy-connection",
    "http2-settings",
];

/// What the project itself may hear: the names, as Supabase's clients send them.
const HEARD: [&str; 8] = [
    "accept",
    "content-type",
    "prefer",
    "range",
    "x-client-info",
    "upload-offset",
    "if-match",
    "traceparent",
];

fn near_name() -> impl Strategy<Value = String> {
    let known = OURS.into_iter().chain(HEARD).chain(["cookie", "x-custom", "x-forwarded", "sb-x"]);
    let known: Vec<String> = known.map(str::to_owned).collect();
    let odd = (select(known.clone()), select(vec!['_', '.', '-']), any::<bool>());
    let odd = odd.prop_map(|(name, between, upper)| {
        let name = name.replace('-', &between.to_string());
        if upper { name.to_ascii_uppercase() } else { name }
    });
    prop_oneof![select(known), odd, "[a-zA-Z0-9_.-]{1,12}"]
}

fn near_value() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "close",
        "keep-alive, authorization",
        "Upgrade, x-forwarded-for ,,\tprefer",
        "theme=1; sb_session=canary; theme =2",
        "sb_session=canary",
        "x",
        "",
    ];
    prop_oneof![select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()), vec(any::<u8>(), 0..24)]
}

fn service() -> impl Strategy<Value = Option<Service>> {
    select(vec![None, Some(Service::Data), Some(Service::Functions), Some(Service::Storage)])
}

proptest! {
    #[test]
    fn nothing_of_ours_is_left(lines in vec((near_name(), near_value()), 0..12), service in service()) {
        let mut sent = HeaderMap::new();
        for (name, value) in &lines {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                sent.append(name, value);
            }
        }
        let mut left = sent.clone();
        strip(&mut left, &UPSTREAM, service);
        let own = matches!(service, None | Some(Service::Functions));
        for (name, value) in &left {
            if name == header::COOKIE {
                for pair in value.to_str().unwrap_or("theme=").split("; ") {
                    prop_assert!(pair.starts_with("theme") && !pair.contains("canary"), "{pair}");
                }
                continue;
            }
            let read = name.as_str().replace(['_', '.'], "-");
            prop_assert!(!OURS.contains(&read.as_str()) && !read.starts_with("x-forwarded"), "{name}");
            prop_assert!(own || is_taken_by_supabase(name.as_str()), "{name}");
            prop_assert!(sent.get_all(name).iter().any(|known| known == value), "{name} was never sent");
        }
        for line in sent.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok()) {
            for named in line.split(',').map(|name| name.trim().to_ascii_lowercase()) {
                let stays = ["keep-alive", "close", "cookie"].contains(&named.as_str());
                prop_assert!(stays || named.is_empty() || !left.contains_key(named.as_str()), "{named}");
            }
        }
    }
}
