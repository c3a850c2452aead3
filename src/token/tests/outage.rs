//! S-36, S-37, S-40: the key set over time, and what is remembered.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use base::clock::ManualClock;
use serde_json::{Value, json};
use time::Duration;
use tokio::sync::Notify;

use crate::token::testing::{
    Answer, ES, HS, Host, ISSUER, NOW, RS, SECRET, Signer, b64, claims, claims_with, jwks,
};
use crate::token::{Invalid, Refusal, Settings, Verifier};

fn settings(host: &Host) -> Settings {
    Settings {
        issuer: ISSUER.to_owned(),
        audience: "authenticated".to_owned(),
        user_roles: vec!["authenticated".to_owned()],
        leeway: Duration::seconds(10),
        hs256_secret: None,
        jwks_url: Some(host.url.clone()),
        jwks_max_stale: Duration::hours(24),
        memory: 1 << 20,
    }
}

fn verifier_of(settings: &Settings, clock: &ManualClock, dir: Option<&Path>) -> Verifier {
    base::http::install_tls_provider();
    let http = base::http::client(base::http::tls_config(), StdDuration::from_secs(10)).unwrap();
    Verifier::new(settings, http, Arc::new(clock.clone()), dir.map(Path::to_path_buf))
}

fn verifier(host: &Host, clock: &ManualClock) -> Verifier {
    verifier_of(&settings(host), clock, None)
}

fn set(signers: &[(&Signer, &str)]) -> Answer {
    let keys: Vec<Value> = signers.iter().map(|(signer, kid)| signer.jwk(kid)).collect();
    Answer::Json(Value::Object(jwks(&keys)))
}

/// A token that lives long enough for the longest of these tests.
fn lasting(signer: &Signer, kid: &str) -> String {
    signer.token(kid, &claims_with(json!({"exp": NOW.unix_timestamp() + 1_000_000})))
}

fn unknown(kid: &str) -> String {
    let header = json!({"alg": "ES256", "kid": kid}).to_string();
    format!("{}.{}.{}", b64(header), b64(claims().to_string()), b64([7; 64]))
}

/// Waits for what another task does; gives up long after it must have happened.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    let happens = async {
        while !done().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(StdDuration::from_secs(30), happens).await.expect("it never happened");
}

fn is_unavailable<T>(result: Result<T, Refusal>) -> bool {
    matches!(result, Err(Refusal::KeysUnavailable { .. }))
}

/// S-36: ten thousand tokens with random key ids cost one fetch, and good tokens pass meanwhile.
#[tokio::test]
async fn random_key_ids_are_no_amplifier() {
    let (host, clock) = (Host::start(set(&[(&ES, "es")])).await, ManualClock::at(NOW));
    let verifier = verifier(&host, &clock);
    let good = lasting(&ES, "es");
    assert!(verifier.verify(&good).await.is_ok());
    assert_eq!(host.hits(), 1);
    clock.advance(Duration::minutes(2));
    for at in 0..10_000 {
        let refused = verifier.verify(&unknown(&format!("random-{at}"))).await;
        assert_eq!(refused, Err(Refusal::Invalid(Invalid::UnknownKey)));
        if at % 1000 == 0 {
            assert!(verifier.verify(&good).await.is_ok());
        }
    }
    assert_eq!(host.hits(), 2, "one for all of them");
}

/// S-36: a key that is rotated in during such a flood works within a minute.
#[tokio::test]
async fn a_rotated_key_works_within_a_minute() {
    let (host, clock) = (Host::start(set(&[(&ES, "es")])).await, ManualClock::at(NOW));
    let verifier = verifier(&host, &clock);
    let next = Signer::es256();
    let token = lasting(&next, "next");
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Invalid(Invalid::UnknownKey)));
    host.says(set(&[(&ES, "es"), (&next, "next")]));
    clock.advance(Duration::seconds(59));
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Invalid(Invalid::UnknownKey)));
    clock.advance(Duration::seconds(1));
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(host.hits(), 2);
}

/// S-36: one id that stays unknown is asked for ever more seldom, however often it comes.
#[tokio::test]
async fn a_retired_key_is_not_asked_for_every_minute() {
    let (host, clock) = (Host::start(set(&[(&ES, "es")])).await, ManualClock::at(NOW));
    let verifier = verifier(&host, &clock);
    verifier.warm_up().await;
    for _ in 0..60 {
        clock.advance(Duration::minutes(1));
        let _ = verifier.verify(&unknown("retired")).await;
    }
    assert!(host.hits() <= 12, "{} fetches in an hour", host.hits());
}

/// S-36: the throttle holds while the host fails; whether the key exists is then not known.
#[tokio::test]
async fn a_dark_host_is_not_asked_more_often() {
    let (host, clock) = (Host::start(set(&[(&ES, "es")])).await, ManualClock::at(NOW));
    let verifier = verifier(&host, &clock);
    verifier.warm_up().await;
    host.says(Answer::Dark);
    clock.advance(Duration::minutes(2));
    for at in 0..1_000 {
        assert!(is_unavailable(verifier.verify(&unknown(&format!("random-{at}"))).await));
    }
    assert!(verifier.verify(&lasting(&ES, "es")).await.is_ok());
    assert_eq!(host.hits(), 2);
}

/// S-36: with no keys at all the first repetitions come sooner, and no flood makes more of them.
#[tokio::test]
async fn a_cold_start_backs_off() {
    let (host, clock) = (Host::start(Answer::Dark).await, ManualClock::at(NOW));
    let verifier = verifier(&host, &clock);
    let token = lasting(&ES, "es");
    for _ in 0..100 {
        assert!(is_unavailable(verifier.verify(&token).await));
    }
    assert_eq!((host.hits(), verifier.ready()), (1, false));
    host.says(set(&[(&ES, "es")]));
    clock.advance(Duration::seconds(1));
    assert_eq!(
        verifier.verify(&token).await,
        Err(Refusal::KeysUnavailable { retry_after: StdDuration::from_secs(1) })
    );
    clock.advance(Duration::seconds(1));
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!((host.hits(), verifier.ready()), (2, true));
}

/// S-36: callers that come together share one fetch; one that goes away does not end it for the others.
#[tokio::test]
async fn fetches_are_shared_and_survive_their_caller() {
    let told = Arc::new(Notify::new());
    let document = Value::Object(jwks(&[ES.jwk("es")]));
    let (host, clock) = (Host::start(Answer::Held(Arc::clone(&told), document)).await, ManualClock::at(NOW));
    let verifier = verifier(&host, &clock);
    let token = lasting(&ES, "es");
    let call = |token: String| {
        let verifier = verifier.clone();
        tokio::spawn(async move { verifier.verify(&token).await })
    };
    let first = call(token.clone());
    until(async || host.hits() == 1).await;
    let others: Vec<_> = (0..50).map(|_| call(token.clone())).collect();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    told.notify_one();
    for other in others {
        assert!(other.await.unwrap().is_ok());
    }
    assert_eq!(host.hits(), 1);
}

/// S-36: an answer that is no key set, too long, redirected or deep changes nothing.
#[tokio::test]
async fn only_a_key_set_replaces_a_key_set() {
    let (host, clock) = (Host::start(set(&[(&ES, "es")])).await, ManualClock::at(NOW));
    let elsewhere = Host::start(set(&[(&RS, "rs")])).await;
    let verifier = verifier(&host, &clock);
    verifier.warm_up().await;
    let long = format!("{{\"keys\":[],\"pad\":\"{}\"}}", "x".repeat(128 * 1024));
    let many: Vec<Value> = (0..65).map(|at| RS.jwk(&at.to_string())).collect();
    let mut asked = host.hits();
    for answer in [
        Answer::Raw(302, format!("location: {}\r\n", elsewhere.url), Vec::new()),
        Answer::Raw(200, String::new(), long.into_bytes()),
        Answer::Raw(200, String::new(), b"<html>".to_vec()),
        Answer::Raw(200, String::new(), b"{\"keys\":[],\"keys\":[]}".to_vec()),
        Answer::Raw(500, String::new(), b"{\"keys\":[]}".to_vec()),
        Answer::Json(json!({"keys": {}})),
        Answer::Json(Value::Object(jwks(&many))),
        Answer::Dark,
    ] {
        host.says(answer);
        clock.advance(Duration::minutes(1));
        assert!(is_unavailable(verifier.verify(&lasting(&RS, &format!("rs-{asked}"))).await));
        assert!(host.hits() > asked, "it was asked");
        asked = host.hits();
        assert!(verifier.verify(&lasting(&ES, "es")).await.is_ok(), "the last good set stays");
    }
    assert_eq!(elsewhere.hits(), 0, "redirects are not followed");
}

/// S-33: a token's own `jku` is not fetched.
#[tokio::test]
async fn a_token_names_no_address() {
    let (host, clock) = (Host::start(set(&[(&ES, "es")])).await, ManualClock::at(NOW));
    let evil = Host::start(set(&[(&RS, "rs")])).await;
    let verifier = verifier(&host, &clock);
    for kid in ["es", "rs"] {
        let header = json!({"alg": "RS256", "kid": kid, "jku": evil.url, "x5u": evil.url}).to_string();
        assert!(verifier.verify(&RS.raw(&header, &claims().to_string())).await.is_err());
    }
    assert_eq!(evil.hits(), 0);
}

/// S-37: the last good set serves to its bound, then nothing is said either way; a cached verdict is no exception.
#[tokio::test]
async fn an_outage_is_bridged_to_the_bound() {
    let (host, clock) = (Host::start(set(&[(&ES, "es")])).await, ManualClock::at(NOW));
    let verifier = verifier(&host, &clock);
    let token = lasting(&ES, "es");
    assert!(verifier.verify(&token).await.is_ok());
    host.says(Answer::Dark);
    for _ in 0..24 {
        clock.advance(Duration::hours(1));
        assert!(verifier.verify(&token).await.is_ok());
        assert!(verifier.ready());
    }
    clock.advance(Duration::seconds(1));
    assert!(is_unavailable(verifier.verify(&token).await));
    assert!(!verifier.ready());
    host.says(set(&[(&ES, "es")]));
    clock.advance(Duration::minutes(1));
    assert!(verifier.verify(&token).await.is_ok());
}

/// S-37, S-40: a successful fetch replaces the whole set: a withdrawn key ends at once, cached verdicts with it.
#[tokio::test]
async fn a_withdrawn_key_ends_at_once() {
    let (host, clock) = (Host::start(set(&[(&ES, "es"), (&RS, "rs")])).await, ManualClock::at(NOW));
    let verifier = verifier(&host, &clock);
    let token = lasting(&ES, "es");
    assert!(verifier.verify(&token).await.is_ok());
    host.says(set(&[(&RS, "rs")]));
    clock.advance(Duration::minutes(10));
    assert!(verifier.verify(&token).await.is_ok(), "the set is renewed behind this request");
    until(async || host.hits() == 2).await;
    let withdrawn = Err(Refusal::Invalid(Invalid::UnknownKey));
    until(async || verifier.verify(&token).await == withdrawn).await;
    assert!(verifier.verify(&lasting(&RS, "rs")).await.is_ok());
}

/// S-37: over a restart as well; what somebody else could have written, or is too old, is not used.
#[tokio::test]
async fn the_last_good_set_survives_a_restart() {
    let (host, clock) = (Host::start(set(&[(&ES, "es")])).await, ManualClock::at(NOW));
    let dir = tempfile::tempdir().unwrap();
    let files = || std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().path()).collect::<Vec<_>>();
    let settings = settings(&host);
    let token = lasting(&ES, "es");
    assert!(verifier_of(&settings, &clock, Some(dir.path())).verify(&token).await.is_ok());
    until(async || files().iter().any(|f| f.extension().is_some_and(|e| e == "json"))).await;
    let file = files().remove(0);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    host.says(Answer::Dark);
    let restarted = || verifier_of(&settings, &clock, Some(dir.path()));
    assert!(restarted().ready() && restarted().verify(&token).await.is_ok());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(!restarted().ready(), "others can write it");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    clock.advance(Duration::hours(24) + Duration::SECOND);
    assert!(is_unavailable(restarted().verify(&token).await));
    clock.advance(Duration::hours(-25));
    assert!(!restarted().ready(), "it comes from the future");
    clock.advance(Duration::hours(1));
    assert!(restarted().ready());
    std::fs::write(&file, "{\"url\":").unwrap();
    assert!(!restarted().ready(), "half a file");
}

/// S-40: a verdict is no better than the clock, and a secret needs no host.
#[tokio::test]
async fn cached_verdicts_expire_with_their_token() {
    let (host, clock) = (Host::start(Answer::Dark).await, ManualClock::at(NOW));
    let settings = Settings { hs256_secret: Some(SECRET.to_owned().into()), ..settings(&host) };
    let verifier = verifier_of(&settings, &clock, None);
    assert!(verifier.ready(), "the secret is enough");
    let token = HS.token("phantom", &claims());
    let first = verifier.verify(&token).await.unwrap();
    let again = verifier.verify(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again), "remembered");
    verifier.forget(&token);
    assert!(!Arc::ptr_eq(&first, &verifier.verify(&token).await.unwrap()), "forgotten");
    clock.advance(Duration::seconds(3599));
    assert!(verifier.forwardable(&first) && verifier.verify(&token).await.is_ok());
    clock.advance(Duration::seconds(1));
    assert!(
        !verifier.forwardable(&first) && verifier.verify(&token).await.is_ok(),
        "leeway, but not to forward"
    );
    clock.advance(Duration::seconds(10));
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Invalid(Invalid::Expired)));
    clock.advance(Duration::hours(-2));
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Invalid(Invalid::NotYet)));
    assert_eq!(host.hits(), 0, "HS256 is never looked for in public");
}

/// S-38: what is too long is not even digested.
#[tokio::test]
async fn an_endless_token_is_refused_at_once() {
    let (host, clock) = (Host::start(Answer::Dark).await, ManualClock::at(NOW));
    let refused = verifier(&host, &clock).verify(&".".repeat(30 * 1024)).await;
    assert_eq!((refused, host.hits()), (Err(Refusal::Invalid(Invalid::Shape)), 0));
}
