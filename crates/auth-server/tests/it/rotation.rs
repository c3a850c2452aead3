//! Refresh tokens: families, predecessors, the interval, the limits of sessions.

use std::collections::BTreeSet;
use std::sync::Arc;

use auth_server::RefreshTokenForm;
use time::Duration;

use crate::harness::{PASSWORD, Server};

/// Contract, section 5.5, version 2.
#[tokio::test]
async fn predecessors_live_older_ones_within_the_interval() {
    let server = Server::start().await;
    let first = server.sign_up("ada@example.test").await.session();
    let second = server.refresh(&first.refresh).await.session();
    assert_ne!(first.refresh, second.refresh);
    assert_eq!(first.claims()["session_id"], second.claims()["session_id"]);
    assert_eq!(first.claims()["amr"], second.claims()["amr"]);
    assert_eq!(server.refresh(&first.refresh).await.session().refresh, second.refresh);
    let third = server.refresh(&second.refresh).await.session();
    server.clock.advance(Duration::seconds(9));
    assert_eq!(server.refresh(&first.refresh).await.session().refresh, third.refresh);
    server.clock.advance(Duration::days(30));
    assert_eq!(server.refresh(&second.refresh).await.session().refresh, third.refresh);
}

/// S-76: an old token after 11 s ends the session, for everyone who holds it.
#[tokio::test]
async fn an_old_token_outside_the_interval_ends_the_session() {
    let server = Server::start().await;
    let first = server.sign_up("ada@example.test").await.session();
    let second = server.refresh(&first.refresh).await.session();
    let third = server.refresh(&second.refresh).await.session();
    let elsewhere = server.sign_in("ada@example.test", PASSWORD).await.session();
    server.clock.advance(Duration::seconds(11));
    assert_eq!(server.refresh(&first.refresh).await.refusal(), "400 refresh_token_already_used");
    assert_eq!(server.refresh(&third.refresh).await.refusal(), "400 refresh_token_not_found");
    assert_eq!(server.refresh(&first.refresh).await.refusal(), "400 refresh_token_not_found");
    assert_eq!(server.get_as("/user", &third.access).await.refusal(), "403 session_not_found");
    assert_eq!(server.get_as("/user", &elsewhere.access).await.status, 200);
}

/// S-76: fifty parallel refreshes are one lineage: all succeed, all get the same token, one step was taken.
#[tokio::test]
async fn parallel_refreshes_are_one_lineage() {
    let server = Arc::new(Server::start().await);
    let first = server.sign_up("ada@example.test").await.session();
    let calls = (0..50).map(|_| {
        let (server, token) = (Arc::clone(&server), first.refresh.clone());
        tokio::spawn(async move { server.refresh(&token).await })
    });
    let (mut tokens, mut counters) = (BTreeSet::new(), BTreeSet::new());
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap();
        counters.insert(reply.header("sb-auth-refresh-token-counter").to_owned());
        tokens.insert(reply.session().refresh);
    }
    assert_eq!((tokens.len(), counters), (1, BTreeSet::from(["1".to_owned()])));
    assert_eq!(server.handle.calls("/token?grant_type=refresh_token"), 50);
}

#[tokio::test]
async fn sessions_have_an_absolute_and_an_idle_limit() {
    let server = Server::with(|settings| {
        settings.session_lifetime = Some(Duration::hours(3));
        settings.session_idle = Some(Duration::hours(1));
    })
    .await;
    let mut session = server.sign_up("ada@example.test").await.session();
    for _ in 0..3 {
        server.clock.advance(Duration::minutes(59));
        session = server.refresh(&session.refresh).await.session();
    }
    server.clock.advance(Duration::minutes(4));
    assert_eq!(server.refresh(&session.refresh).await.refusal(), "400 session_expired");
    let idle = server.sign_in("ada@example.test", PASSWORD).await.session();
    server.clock.advance(Duration::minutes(61));
    assert_eq!(server.refresh(&idle.refresh).await.refusal(), "400 session_expired");
}

/// A token of another install, a counter that was never given out, and texts of no form.
#[tokio::test]
async fn foreign_and_broken_tokens_are_refused() {
    let (server, other) = (Server::start().await, Server::start().await);
    let foreign = other.sign_up("ada@example.test").await.session();
    assert_eq!(server.refresh(&foreign.refresh).await.refusal(), "400 refresh_token_not_found");
    assert_eq!(server.get_as("/user", &foreign.access).await.refusal(), "403 bad_jwt");
    for broken in ["", "abc", "not a token at all!", &"A".repeat(4000), "\u{0}"] {
        assert_eq!(server.refresh(broken).await.refusal(), "400 validation_failed", "{broken}");
    }
}

async fn with_legacy_tokens() -> Server {
    Server::with(|settings| settings.refresh_tokens = RefreshTokenForm::Legacy).await
}

/// Contract, section 5.5, the older form: the predecessor is told the current token at any age, an older one gets a
/// further one within the interval, and later ends the refresh tokens of its session, but not the session.
#[tokio::test]
async fn legacy_tokens_go_by_their_rows() {
    let server = with_legacy_tokens().await;
    let first = server.sign_up("ada@example.test").await.session();
    assert!(
        first.refresh.len() == 12
            && first.refresh.bytes().all(|b| b"abcdefghijklmnopqrstuvwxyz234567".contains(&b))
    );
    let reply = server.refresh(&first.refresh).await;
    let second = reply.session();
    assert_eq!(reply.header("sb-auth-refresh-token-prefix"), &second.refresh[..5]);
    assert_eq!(reply.header("sb-auth-refresh-token-counter"), "");
    server.clock.advance(Duration::days(30));
    assert_eq!(server.refresh(&first.refresh).await.session().refresh, second.refresh);
    let third = server.refresh(&second.refresh).await.session();
    let fourth = server.refresh(&third.refresh).await.session();
    server.clock.advance(Duration::seconds(9));
    let branch = server.refresh(&second.refresh).await.session();
    assert_ne!(branch.refresh, fourth.refresh);
    server.clock.advance(Duration::seconds(11));
    assert_eq!(server.refresh(&second.refresh).await.session().refresh, branch.refresh);
    assert_eq!(server.refresh(&first.refresh).await.refusal(), "400 refresh_token_already_used");
    assert_eq!(server.get_as("/user", &branch.access).await.status, 200);
    server.clock.advance(Duration::seconds(11));
    for spent in [&branch, &fourth, &third, &second, &first] {
        assert_eq!(server.refresh(&spent.refresh).await.refusal(), "400 refresh_token_already_used");
    }
    assert_eq!(server.refresh("abcdefghijkl").await.refusal(), "400 refresh_token_not_found");
}

/// S-76 in the older form; a sign-out takes the rows along.
#[tokio::test]
async fn parallel_refreshes_of_a_legacy_token_are_one_lineage() {
    let server = Arc::new(with_legacy_tokens().await);
    let first = server.sign_up("ada@example.test").await.session();
    let calls = (0..50).map(|_| {
        let (server, token) = (Arc::clone(&server), first.refresh.clone());
        tokio::spawn(async move { server.refresh(&token).await.session().refresh })
    });
    let mut tokens = BTreeSet::new();
    for call in calls.collect::<Vec<_>>() {
        tokens.insert(call.await.unwrap());
    }
    assert_eq!(tokens.len(), 1);
    let reply = server.post_as("/logout", &first.access, serde_json::json!({})).await;
    assert_eq!(reply.status, 204);
    assert_eq!(server.refresh(tokens.first().unwrap()).await.refusal(), "400 refresh_token_not_found");
}
