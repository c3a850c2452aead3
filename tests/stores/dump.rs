//! S-07: whoever reads the store whole finds no id that a cookie holds, and so can open no session.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use supabase_bff::event::Reason;
use supabase_bff::session::store::{Draft, Key, Owner};

use crate::stand::{Stand, hash};

const IDS: [&[u8; 32]; 3] = [
    b"canary-of-a-session-that-goes-on",
    b"canary-of-a-session-that-changed",
    b"canary-of-a-session-that-is-over",
];
const USER: &[u8] = b"11111111-2222-4333-8444-555555555555";

/// What is put in as a record and must be found, or the search itself is blind.
const SEALED: &[u8] = b"found by the search";

async fn use_with_canaries(stand: &Stand) {
    let keys = IDS.map(|id| Key(hash(id)));
    let owner = Owner(hash(USER)); // a keyed hash in the product: no less opaque
    for key in &keys {
        let draft = Draft { sealed: SEALED.into(), ..stand.draft(owner) };
        assert!(stand.a.sessions.create(key, &draft).await.unwrap());
    }
    stand.a.sessions.change(&keys[1], &stand.change(1, None)).await.unwrap();
    stand.a.sessions.end(&keys[2], Reason::User).await.unwrap();
    stand.a.leases.lease(&keys[0], std::time::Duration::from_secs(60)).await.unwrap();
    stand.a.revocations.publish(b"sealed as well", stand.now() + time::Duration::HOUR).await.unwrap();
}

fn contains(dump: &[u8], needle: &[u8]) -> bool {
    dump.windows(needle.len()).any(|window| window == needle)
}

fn search(dump: &[u8]) {
    assert!(contains(dump, SEALED), "the dump is not whole");
    assert!(contains(dump, b"sealed as well"), "the dump is not whole");
    for canary in IDS.map(|id| &id[..]).into_iter().chain([USER]) {
        let hex: String = canary.iter().map(|byte| format!("{byte:02x}")).collect();
        let forms = [
            canary.to_vec(),
            hex.into(),
            STANDARD.encode(canary).into(),
            URL_SAFE_NO_PAD.encode(canary).into(),
        ];
        for form in forms {
            assert!(!contains(dump, &form), "{} is in the store", String::from_utf8_lossy(canary));
        }
    }
}

#[tokio::test]
async fn a_dump_of_redis_holds_no_id() {
    let stand = Stand::redis().await;
    use_with_canaries(&stand).await;
    let server = stand.server();
    let mut dump = Vec::new();
    for name in server.run::<Vec<String>>(&["KEYS", "*"]).await {
        assert!(name.starts_with("{app.example.test}:"), "{name} carries no prefix");
        dump.extend_from_slice(name.as_bytes());
        let kind: String = server.run(&["TYPE", &name]).await;
        let value: redis::Value = match kind.as_str() {
            "hash" => server.run(&["HGETALL", &name]).await,
            "zset" => server.run(&["ZRANGE", &name, "0", "-1", "WITHSCORES"]).await,
            "stream" => server.run(&["XRANGE", &name, "-", "+"]).await,
            other => panic!("{name} is a {other}"),
        };
        flatten(&value, &mut dump);
    }
    search(&dump);
}

fn flatten(value: &redis::Value, dump: &mut Vec<u8>) {
    match value {
        redis::Value::BulkString(bytes) => dump.extend_from_slice(bytes),
        redis::Value::SimpleString(text) => dump.extend_from_slice(text.as_bytes()),
        redis::Value::Array(items) => items.iter().for_each(|item| flatten(item, dump)),
        redis::Value::Map(pairs) => pairs.iter().for_each(|(name, item)| {
            flatten(name, dump);
            flatten(item, dump);
        }),
        other => dump.extend_from_slice(format!("{other:?}").as_bytes()),
    }
}

#[tokio::test]
async fn a_copy_of_the_sqlite_files_holds_no_id() {
    let stand = Stand::sqlite().await;
    use_with_canaries(&stand).await;
    let mut dump = Vec::new();
    for file in fs::read_dir(stand.folder.path()).unwrap() {
        dump.extend(fs::read(file.unwrap().path()).unwrap());
    }
    search(&dump);
}
