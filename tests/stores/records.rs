//! Promises of `SessionStore`.

use std::collections::HashSet;

use supabase_bff::event::Reason;
use supabase_bff::session::store::{Change, Changed, Draft, Found, Leased, Version};
use time::Duration;

use crate::stand::{Stand, crowd, key, owner};

/// S-06: an id that is in use, or was, is never given to another session.
pub async fn creating_never_overwrites(stand: &Stand) {
    let (key, draft) = (key(), stand.draft(owner()));
    assert!(stand.a.sessions.create(&key, &draft).await.unwrap());
    let other = Draft { sealed: b"other".into(), ..stand.draft(owner()) };
    assert!(!stand.b.sessions.create(&key, &other).await.unwrap());
    let entry = stand.entry(&key).await;
    assert_eq!((entry.version, entry.sealed), (Version(1), b"sealed 1".to_vec()));
    assert!(stand.b.sessions.list(&other.owner).await.unwrap().is_empty());

    stand.a.sessions.end(&key, Reason::User).await.unwrap();
    assert!(!stand.b.sessions.create(&key, &other).await.unwrap());
    assert_eq!(stand.a.sessions.read(&key).await.unwrap(), Found::Ended(Reason::User));
}

/// S-06
pub async fn of_many_creators_one_wins(stand: &Stand) {
    let (key, owner) = (key(), owner());
    let create = |number: usize, node: supabase_bff::store::Store| {
        let draft = Draft { sealed: number.to_string().into(), ..stand.draft(owner) };
        async move { (number, node.sessions.create(&key, &draft).await.unwrap()) }
    };
    let winner = std::sync::Mutex::new(None);
    let won = crowd(stand, create, |(number, won)| {
        if *won {
            *winner.lock().unwrap() = Some(*number);
        }
        *won
    });
    assert_eq!(won.await, 1);
    let winner = winner.into_inner().unwrap().unwrap();
    assert_eq!(stand.entry(&key).await.sealed, winner.to_string().into_bytes());
}

pub async fn a_change_names_the_version_it_read(stand: &Stand) {
    let key = stand.session().await;
    let first = stand.a.sessions.change(&key, &stand.change(1, None)).await.unwrap();
    assert_eq!(first, Changed::To(Version(2)));
    let stale = stand.b.sessions.change(&key, &stand.change(1, None)).await.unwrap();
    assert_eq!(stale, Changed::Conflict);
    let future = stand.b.sessions.change(&key, &stand.change(3, None)).await.unwrap();
    assert_eq!(future, Changed::Conflict);
    let entry = stand.entry(&key).await;
    assert_eq!((entry.version, entry.sealed), (Version(2), b"sealed 2".to_vec()));
    let next = stand.b.sessions.change(&key, &stand.change(2, None)).await.unwrap();
    assert_eq!(next, Changed::To(Version(3)));
}

pub async fn of_many_changes_one_wins(stand: &Stand) {
    let key = stand.session().await;
    let change = |_, node: supabase_bff::store::Store| {
        let change = stand.change(1, None);
        async move { node.sessions.change(&key, &change).await.unwrap() }
    };
    assert_eq!(crowd(stand, change, |done| *done == Changed::To(Version(2))).await, 1);
    assert_eq!(stand.entry(&key).await.version, Version(2));
}

pub async fn a_change_leaves_the_label_alone_unless_it_brings_one(stand: &Stand) {
    let (key, owner) = (key(), owner());
    stand.a.sessions.create(&key, &stand.draft(owner)).await.unwrap();
    let label = async || stand.b.sessions.list(&owner).await.unwrap().remove(0).label;
    stand.a.sessions.change(&key, &stand.change(1, None)).await.unwrap();
    assert_eq!(label().await, b"label 1");
    let mut change = stand.change(2, None);
    change.label = Some(b"label 2".into());
    stand.a.sessions.change(&key, &change).await.unwrap();
    assert_eq!(label().await, b"label 2");
}

/// The last use is kept in whole seconds, and neither it nor the end of a record ever moves back.
pub async fn times_only_move_forward(stand: &Stand) {
    let key = stand.session().await;
    let (began, minute) = (stand.now(), Duration::MINUTE);
    let whole = |moment: time::OffsetDateTime| moment.replace_nanosecond(0).unwrap();
    assert_eq!(stand.entry(&key).await.seen, whole(began));

    stand.a.sessions.touch(&key, began + minute, began + Duration::hours(2)).await.unwrap();
    let entry = stand.entry(&key).await;
    assert_eq!((entry.version, entry.seen), (Version(1), whole(began + minute)));
    assert_eq!(entry.sealed, b"sealed 1");

    stand.b.sessions.touch(&key, began, began + Duration::hours(9)).await.unwrap(); // earlier: nothing happens
    stand.b.sessions.touch(&key, began + minute * 2, began + minute).await.unwrap();
    stand.a.sessions.change(&key, &stand.change(1, None)).await.unwrap(); // brings an earlier use and end
    let entry = stand.entry(&key).await;
    assert_eq!((entry.version, entry.seen), (Version(2), whole(began + minute * 2)));

    stand.skip(Duration::minutes(119));
    assert_eq!(stand.entry(&key).await.version, Version(2));
    stand.skip(minute);
    assert_eq!(stand.a.sessions.read(&key).await.unwrap(), Found::Nothing);
}

pub async fn an_absent_record_is_nothing_and_no_error(stand: &Stand) {
    let key = key();
    let node = &stand.a;
    assert_eq!(node.sessions.read(&key).await.unwrap(), Found::Nothing);
    assert_eq!(node.sessions.change(&key, &stand.change(1, None)).await.unwrap(), Changed::Gone);
    node.sessions.touch(&key, stand.now(), stand.now()).await.unwrap();
    assert!(!node.sessions.end(&key, Reason::User).await.unwrap());
    assert!(node.sessions.list(&owner()).await.unwrap().is_empty());
    assert_eq!(node.sessions.read(&key).await.unwrap(), Found::Nothing);
}

pub async fn a_record_is_forgotten_after_its_time(stand: &Stand) {
    let (key, ended, owner) = (key(), stand.session().await, owner());
    stand.a.sessions.create(&key, &stand.draft(owner)).await.unwrap();
    stand.a.sessions.end(&ended, Reason::Admin).await.unwrap();
    stand.skip(Duration::minutes(59));
    assert_eq!(stand.entry(&key).await.version, Version(1));
    assert_eq!(stand.b.sessions.read(&ended).await.unwrap(), Found::Ended(Reason::Admin));

    stand.skip(Duration::minutes(2));
    assert_eq!(stand.b.sessions.read(&key).await.unwrap(), Found::Nothing);
    assert_eq!(stand.b.sessions.read(&ended).await.unwrap(), Found::Nothing);
    assert_eq!(stand.b.sessions.change(&key, &stand.change(1, None)).await.unwrap(), Changed::Gone);
    assert!(!stand.b.sessions.end(&key, Reason::User).await.unwrap());
    assert!(stand.b.sessions.list(&owner).await.unwrap().is_empty());
    let lease = stand.b.leases.lease(&key, std::time::Duration::from_secs(5)).await.unwrap();
    assert_eq!(lease, Leased::Gone);
}

pub async fn an_end_leaves_a_mark_with_the_first_reason(stand: &Stand) {
    let key = stand.session().await;
    assert!(stand.a.sessions.end(&key, Reason::UserEverywhere).await.unwrap());
    assert!(!stand.b.sessions.end(&key, Reason::Idle).await.unwrap());
    for node in [&stand.a, &stand.b] {
        assert_eq!(node.sessions.read(&key).await.unwrap(), Found::Ended(Reason::UserEverywhere));
    }
    for reason in Reason::ALL {
        let key = stand.session().await;
        stand.a.sessions.end(&key, *reason).await.unwrap();
        assert_eq!(stand.b.sessions.read(&key).await.unwrap(), Found::Ended(*reason));
    }
}

/// S-43: nothing that was under way brings a session back.
pub async fn an_end_beats_every_change(stand: &Stand) {
    let key = stand.session().await;
    let work = |number: usize, node: supabase_bff::store::Store| {
        let mut change = stand.change(1, None);
        let later = stand.now() + Duration::days(1);
        async move {
            if number == 100 {
                return node.sessions.end(&key, Reason::User).await.unwrap();
            }
            while let Found::Live(entry) = node.sessions.read(&key).await.unwrap() {
                change.from = entry.version;
                node.sessions.touch(&key, later, later).await.unwrap();
                match node.sessions.change(&key, &change).await.unwrap() {
                    Changed::To(_) => return false,
                    Changed::Conflict => {}
                    Changed::Gone => break,
                }
            }
            false
        }
    };
    assert_eq!(crowd(stand, work, |ended| *ended).await, 1);
    assert_eq!(stand.b.sessions.read(&key).await.unwrap(), Found::Ended(Reason::User));
    for from in 1..200 {
        assert_eq!(stand.a.sessions.change(&key, &stand.change(from, None)).await.unwrap(), Changed::Gone);
    }
    assert_eq!(stand.b.sessions.read(&key).await.unwrap(), Found::Ended(Reason::User));
}

/// S-43: of a step within a sign-in and its end the first one counts; the record that a step leaves is in no list, is not
/// written any more, and goes with its time.
pub async fn what_was_replaced_leaves_its_last_record(stand: &Stand) {
    let (key, ended, ada) = (key(), stand.session().await, owner());
    stand.a.sessions.create(&key, &stand.draft(ada)).await.unwrap();
    stand.a.sessions.change(&key, &stand.change(1, None)).await.unwrap();
    assert!(stand.a.sessions.replace(&key).await.unwrap());
    let left = Found::Replaced(b"sealed 2".to_vec());
    for node in [&stand.a, &stand.b] {
        assert_eq!(node.sessions.read(&key).await.unwrap(), left);
        assert!(
            !node.sessions.replace(&key).await.unwrap()
                && !node.sessions.end(&key, Reason::User).await.unwrap()
        );
        assert_eq!(node.sessions.change(&key, &stand.change(2, None)).await.unwrap(), Changed::Gone);
        assert_eq!(node.leases.lease(&key, std::time::Duration::from_secs(5)).await.unwrap(), Leased::Gone);
        assert!(!node.sessions.create(&key, &stand.draft(ada)).await.unwrap());
        assert_eq!(node.sessions.read(&key).await.unwrap(), left);
        assert_eq!(node.sessions.list(&ada).await.unwrap(), []);
    }
    stand.b.sessions.end(&ended, Reason::User).await.unwrap();
    assert!(!stand.a.sessions.replace(&ended).await.unwrap());
    assert_eq!(stand.a.sessions.read(&ended).await.unwrap(), Found::Ended(Reason::User));
    stand.skip(Duration::hours(2));
    assert_eq!(stand.a.sessions.read(&key).await.unwrap(), Found::Nothing);
}

pub async fn the_list_holds_the_live_sessions_of_one_person(stand: &Stand) {
    let (ada, other) = (owner(), owner());
    let mut keys = Vec::new();
    for number in 0..5_u8 {
        let key = key();
        let label = vec![number, 0, 255];
        stand.a.sessions.create(&key, &Draft { label, ..stand.draft(ada) }).await.unwrap();
        keys.push(key);
    }
    let foreign = key();
    stand.a.sessions.create(&foreign, &stand.draft(other)).await.unwrap();
    stand.b.sessions.end(&keys[3], Reason::OtherDevice).await.unwrap();
    let later = stand.now() + Duration::minutes(7);
    stand.b.sessions.touch(&keys[4], later, later + Duration::hours(2)).await.unwrap();

    let listed = stand.b.sessions.list(&ada).await.unwrap();
    let found: HashSet<_> = listed.iter().map(|one| (one.key, one.label.clone())).collect();
    let label = |number: usize| (keys[number], vec![u8::try_from(number).unwrap(), 0, 255]);
    assert_eq!(found, HashSet::from([label(0), label(1), label(2), label(4)]));
    assert_eq!(listed.len(), 4);
    let touched = listed.iter().find(|one| one.key == keys[4]).unwrap();
    assert_eq!(touched.seen, later.replace_nanosecond(0).unwrap());
    assert_eq!(stand.b.sessions.list(&other).await.unwrap().len(), 1);

    stand.skip(Duration::minutes(90)); // past the end of all but the one that was used
    let left: Vec<_> = stand.a.sessions.list(&ada).await.unwrap().into_iter().map(|one| one.key).collect();
    assert_eq!(left, [keys[4]]);
}

/// S-12: a record moves from the name that its owner had under an older key to the newer one, and is in one list at a
/// time.
pub async fn a_change_may_bring_the_owners_newer_name(stand: &Stand) {
    let (old, new, key) = (owner(), owner(), key());
    stand.a.sessions.create(&key, &stand.draft(old)).await.unwrap();
    let change = Change { owner: Some(new), ..stand.change(1, None) };
    assert_eq!(stand.a.sessions.change(&key, &change).await.unwrap(), Changed::To(Version(2)));
    let listed = async |owner| stand.b.sessions.list(&owner).await.unwrap().len();
    assert_eq!((listed(old).await, listed(new).await), (0, 1));
    let again = Change { owner: Some(new), ..stand.change(2, None) };
    stand.b.sessions.change(&key, &again).await.unwrap();
    let stale = Change { owner: Some(old), ..stand.change(1, None) };
    assert_eq!(stand.b.sessions.change(&key, &stale).await.unwrap(), Changed::Conflict);
    assert_eq!((listed(old).await, listed(new).await), (0, 1), "no trace of a refused change");
    stand.a.sessions.end(&key, Reason::User).await.unwrap();
    assert_eq!(listed(new).await, 0);
}

pub async fn a_store_answers_its_probe(stand: &Stand) {
    stand.a.sessions.probe().await.unwrap();
    stand.b.sessions.probe().await.unwrap();
}

pub async fn large_and_binary_records_come_back_as_they_were(stand: &Stand) {
    let key = key();
    let sealed: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let draft = Draft { sealed: sealed.clone(), label: Vec::new(), ..stand.draft(owner()) };
    stand.a.sessions.create(&key, &draft).await.unwrap();
    assert_eq!(stand.entry(&key).await.sealed, sealed);
    assert_eq!(stand.b.sessions.list(&draft.owner).await.unwrap()[0].label, b"");
}
