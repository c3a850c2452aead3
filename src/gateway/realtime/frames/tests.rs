//! What goes into which frame, and which frames are none.

use proptest::prelude::*;

use super::*;

const OWN: &str = "own-token";

fn channels(protocol: Protocol) -> Channels {
    Channels::new(protocol, Secret::new(OWN.to_owned()))
}

fn another(token: &str) -> bool {
    token == "another"
}

fn arrays(text: &str) -> Result<Option<String>, Refused> {
    channels(Protocol::Arrays).upward(text, &another)
}

fn objects(text: &str) -> Result<Option<String>, Refused> {
    channels(Protocol::Objects).upward(text, &another)
}

/// S-59: whatever a join brought, our token goes along and nothing else that could stand for one.
#[test]
fn a_join_gets_our_token() {
    for payload in [
        r#"{"config":{"private":true}}"#,
        r#"{"config":{"private":true},"access_token":"canary"}"#,
        r#"{"access_token":"canary","config":{"private":true},"access_token":"canary"}"#,
        r#"{"config":{"private":true},"user_token":"canary","apikey":"canary","token":"canary"}"#,
        r#"{"config":{"private":true},"access_token":null}"#,
        r#"{"config":{"private":true},"access_token":{"a":"canary"}}"#,
        r#"{"config":{"private":true},"access\u005ftoken":"canary"}"#,
    ] {
        let sent = arrays(&format!(r#"["1","2","realtime:room","phx_join",{payload}]"#)).unwrap().unwrap();
        assert_eq!(
            sent,
            format!(
                r#"["1","2","realtime:room","phx_join",{{"access_token":"{OWN}","config":{{"private":true}}}}]"#
            )
        );
        let sent = objects(&format!(
            r#"{{"topic":"realtime:room","event":"phx_join","payload":{payload},"ref":"2","join_ref":"1"}}"#
        ));
        let sent: Value = serde_json::from_str(&sent.unwrap().unwrap()).unwrap();
        let payload = json!({ "access_token": OWN, "config": { "private": true } });
        assert_eq!(
            sent,
            json!({ "topic": "realtime:room", "event": "phx_join", "payload": payload, "ref": "2", "join_ref": "1" })
        );
    }
    let escaped = r#"["1","2","realtime:room","phx\u005fjoin",{}]"#;
    assert!(arrays(escaped).unwrap().unwrap().contains(OWN));
    let update = r#"["1","3","realtime:room","access_token",{"access_token":"canary","version":"x"}]"#;
    let sent = arrays(update).unwrap().unwrap();
    assert!(sent.contains(OWN) && !sent.contains("canary"));
    let whose = r#"["1","2","realtime:room","phx_join",{"access_token":"another"}]"#;
    assert_eq!(arrays(whose), Err(Refused::SomebodyElse));
    assert_eq!(arrays(&whose.replace(r#""access_token""#, r#""user_token""#)), Err(Refused::SomebodyElse));
}

/// What is none of ours passes byte by byte, numbers that no float holds included.
#[test]
fn other_frames_pass_as_they_are() {
    for text in [
        r#"[null,"4","phoenix","heartbeat",{}]"#,
        r#"["1","5","realtime:room","broadcast",{"event":"x","payload":{"access_token":"mine","n":12345678901234567890123}}]"#,
        r#"["1","6","realtime:room","phx_leave",{}]"#,
        r#"["1","6","realtime:room","presence",null]"#,
    ] {
        assert_eq!(arrays(text), Ok(None), "{text}");
    }
    let heartbeat = r#"{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"4"}"#;
    assert_eq!(objects(heartbeat), Ok(None));
}

/// A frame that two readers understand differently is none.
#[test]
fn a_frame_has_one_meaning() {
    for text in [
        "",
        "x",
        "null",
        "[]",
        r#"["1","2","t","phx_join"]"#,
        r#"["1","2","t","phx_join",{},{}]"#,
        r#"["1","2","t","phx_join",[]]"#,
        r#"["1","2","t","phx_join",null]"#,
        r#"["1","2","t",["phx_join"],{}]"#,
        r#"["1","2","t","phx_join",{}] []"#,
        r#"{"topic":"t","event":"phx_join","payload":{},"ref":"1"}"#,
    ] {
        assert_eq!(arrays(text), Err(Refused::Malformed), "{text}");
    }
    for text in [
        r#"{"topic":"t","event":"x","event":"phx_join","payload":{}}"#,
        r#"{"topic":"t","event":"phx_join","event":"x","payload":{}}"#,
        r#"{"topic":"t","event":"phx_join","payload":{},"payload":{"access_token":"canary"}}"#,
        r#"{"topic":"t","payload":{}}"#,
        r#"["1","2","t","phx_join",{}]"#,
    ] {
        assert_eq!(objects(text), Err(Refused::Malformed), "{text}");
    }
}

#[test]
fn binary_pushes_bring_no_token() {
    let push = |event: &str| {
        let head = [0, 1, 1, 1, u8::try_from(event.len()).unwrap()];
        [&head[..], b"12t", event.as_bytes(), b"payload"].concat()
    };
    assert!(Channels::passes(&push("broadcast")) && Channels::passes(b"\x03\x00") && Channels::passes(b""));
    assert!(!Channels::passes(&push("phx_join")) && !Channels::passes(&push("access_token")));
    assert!(!Channels::passes(&[0, 9, 9, 9, 9]), "cut off");
}

/// A new token is told to every channel that is joined, once.
#[test]
fn a_new_token_goes_to_every_channel() {
    let mut channels = channels(Protocol::Arrays);
    for (join, topic) in [("1", "realtime:a"), ("2", "realtime:b"), ("3", "realtime:c")] {
        channels.upward(&format!(r#"["{join}","{join}","{topic}","phx_join",{{}}]"#), &another).unwrap();
    }
    channels.upward(r#"["2","9","realtime:b","phx_leave",{}]"#, &another).unwrap();
    let pushed = channels.renew(Secret::new("newer".to_owned()));
    assert_eq!(
        pushed,
        [
            r#"["1",null,"realtime:a","access_token",{"access_token":"newer"}]"#,
            r#"["3",null,"realtime:c","access_token",{"access_token":"newer"}]"#,
        ]
    );
    assert!(channels.renew(Secret::new("newer".to_owned())).is_empty());
    for n in 0..CHANNELS - 2 {
        channels.upward(&format!(r#"["1","1","t{n}","phx_join",{{}}]"#), &another).unwrap();
    }
    let more = r#"["1","1","one more","phx_join",{}]"#;
    assert_eq!(channels.upward(more, &another), Err(Refused::TooMany));
    assert!(channels.upward(r#"["8","8","t1","phx_join",{}]"#, &another).is_ok(), "joined again");
}

/// S-59: a token that Realtime says back does not reach the browser, the one before it neither.
#[test]
fn no_token_comes_back() {
    let mut channels = channels(Protocol::Arrays);
    channels.renew(Secret::new("newer-token".to_owned()));
    let said = r#"[null,null,"t","system",{"message":"own-token is over, newer-token is not"}]"#;
    let cleaned = channels.downward(said).unwrap();
    assert!(!cleaned.contains("own-token") && !cleaned.contains("newer-token"), "{cleaned}");
    assert_eq!(channels.downward("nothing of it"), None);
    assert!(channels.holds_token(b"\x04\x00own-token") && !channels.holds_token(b"\x04own"));
}

#[test]
fn the_version_is_that_of_the_query() {
    assert_eq!(Protocol::of("apikey=x&vsn=2.0.0"), Some(Protocol::Arrays));
    assert_eq!(Protocol::of("vsn=1.0.0"), Some(Protocol::Objects));
    assert_eq!(Protocol::of(""), Some(Protocol::Objects));
    assert_eq!((Protocol::of("vsn=3.0.0"), Protocol::of("vsn=1.0.0&vsn=2.0.0")), (None, None));
}

/// Every member of an object, doubled ones too, as a reader sees them that keeps the first as well as one that keeps the last.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> serde::de::Visitor<'de> for All {
            type Value = Members;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        deserializer.deserialize_map(All)
    }
}

const EVENTS: [&str; 7] = [
    r#""phx_join""#,
    r#""access_token""#,
    r#""phx\u005fjoin""#,
    r#""broadcast""#,
    r#""phx_leave""#,
    r#"["phx_join"]"#,
    "null",
];

const PAYLOADS: [&str; 6] = [
    "{}",
    r#"{"access_token":"canary"}"#,
    r#"{"access_token":"canary","access_token":"canary"}"#,
    r#"{"config":{},"user_token":"canary","access\u005ftoken":"canary"}"#,
    "[]",
    "null",
];

/// A frame of either protocol, sound or with a piece of it doubled, missing or strange.
fn near_frame() -> impl Strategy<Value = String> {
    use proptest::collection::vec;
    use proptest::sample::select;
    let member = prop_oneof![
        select(EVENTS.to_vec()).prop_map(|event| format!(r#""event":{event}"#)),
        select(PAYLOADS.to_vec()).prop_map(|payload| format!(r#""payload":{payload}"#)),
        select(vec![
            r#""topic":"realtime:room""#,
            r#""topic":"""#,
            r#""ref":"1""#,
            r#""join_ref":null"#,
            r#""Event":"phx_join""#,
            r#""x":1"#
        ])
        .prop_map(str::to_owned),
    ];
    let object = vec(member, 2..7).prop_map(|members| format!("{{{}}}", members.join(",")));
    let array =
        (select(EVENTS.to_vec()), select(PAYLOADS.to_vec()), vec(select(vec!["\"1\"", "null", "{}"]), 1..4));
    let array = array.prop_map(|(event, payload, first)| {
        format!(r#"[{},"realtime:room",{event},{payload}]"#, first.join(","))
    });
    let cut = (prop_oneof![object.clone(), array.clone()], any::<prop::sample::Index>(), ".{0,2}");
    let cut = cut.prop_map(|(text, at, more)| {
        let at = at.index(text.len());
        let (before, after) = text.split_at(text.floor_char_boundary(at));
        format!("{before}{more}{after}")
    });
    prop_oneof![object, array, cut, ".{0,30}"]
}

fn payload(sent: &str, is_array: bool) -> Value {
    let sent: Value = serde_json::from_str(sent).unwrap();
    if is_array { sent[4].clone() } else { sent["payload"].clone() }
}

proptest! {
    /// S-59: no text of a browser passes unchanged that some reader takes for one of the two events; what is written anew holds
    /// our token and none that came.
    #[test]
    fn no_frame_has_two_meanings(text in near_frame(), is_array: bool) {
        let told = if is_array { arrays(&text) } else { objects(&text) };
        match told {
            Err(_) => {}
            Ok(None) => {
                let events: Vec<Value> = match serde_json::from_str::<Value>(&text) {
                    Ok(Value::Array(all)) => all.into_iter().skip(3).take(1).collect(),
                    _ => {
                        let Members(all) = serde_json::from_str(&text).unwrap();
                        all.into_iter().filter(|(name, _)| name == "event").map(|(_, event)| event).collect()
                    }
                };
                prop_assert_eq!(events.len(), 1);
                prop_assert!(events[0] != JOIN && events[0] != TOKEN, "{}", text);
            }
            Ok(Some(sent)) => {
                let Members(all) = serde_json::from_value(payload(&sent, is_array)).unwrap();
                let names = ["access_token", "user_token", "apikey", "token"];
                let tokens = all.iter().filter(|(name, _)| names.contains(&name.as_str()));
                let tokens: Vec<_> = tokens.map(|(_, token)| token).collect();
                prop_assert_eq!(tokens, [OWN], "{}", sent);
            }
        }
    }

    /// No binary frame is a push of one of the two events, wherever its lengths lead.
    #[test]
    fn no_push_is_one_of_the_two(lengths in proptest::collection::vec(0_u8..13, 4), rest in "[1t]{0,6}(phx_join|access_token|x)?.{0,3}") {
        let bytes = [&[0], &lengths[..], rest.as_bytes()].concat();
        if Channels::passes(&bytes) {
            let from: usize = 5 + lengths[..3].iter().map(|length| usize::from(*length)).sum::<usize>();
            let event = bytes.get(from..from + usize::from(lengths[3])).expect("it is whole");
            prop_assert!(event != JOIN.as_bytes() && event != TOKEN.as_bytes());
        }
    }
}
