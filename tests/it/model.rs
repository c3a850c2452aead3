//! Store mode against a model: whatever people do at the same time on two nodes, a sign-out wins, nobody is signed out
//! by accident, and nobody's token serves another.

use std::collections::BTreeSet;

use base::clock::Clock;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};
use supabase_bff::event::Reason;
use supabase_bff::session::{Sessions, Slot, Subject};
use uuid::Uuid;

use crate::client::Browser;
use crate::cookies::session_of;
use crate::harness::{PASSWORD, TestApp};
use crate::modes::Mode;
use crate::successors::step_up;
use crate::tap::bounded;

const PEOPLE: usize = 2;
/// After so many minutes a use moves the idle limit, a tenth of which has passed, and the token is still good.
const TOUCHED: i64 = 22;
const IDLE: &str = "200m";

/// What a tab does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Request,
    Refresh,
    /// A step that makes a new session and ends the old one.
    SignInAgain,
    /// The same for a further proof, which at GoTrue stays within the session.
    StepUp,
    /// A hook's word on the session of this browser.
    RevokeSession,
    /// A hook's word on the person.
    RevokePerson,
    SignOut,
    SignOutOthers,
    SignOutEverywhere,
}

#[derive(Debug, Clone, Copy)]
struct Move {
    person: usize,
    /// Which of the person's two browsers.
    browser: usize,
    node: usize,
    deed: Deed,
}

/// Moves that are made at the same time, after the clock has moved by some minutes.
#[derive(Debug, Clone)]
struct Round {
    wait: i64,
    moves: Vec<Move>,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let deed = prop_oneof![
        8 => Just(Deed::Request),
        3 => Just(Deed::Refresh),
        2 => Just(Deed::SignInAgain),
        2 => Just(Deed::StepUp),
        1 => Just(Deed::RevokeSession),
        1 => Just(Deed::RevokePerson),
        1 => Just(Deed::SignOut),
        1 => Just(Deed::SignOutOthers),
        1 => Just(Deed::SignOutEverywhere),
    ];
    let one = (0..PEOPLE, 0..2_usize, 0..2_usize, deed).prop_map(|(person, browser, node, deed)| Move {
        person,
        browser,
        node,
        deed,
    });
    let round = (prop::sample::select(vec![0, 1, TOUCHED, 29, 31, 150]), prop::collection::vec(one, 1..12))
        .prop_map(|(wait, moves)| Round { wait, moves });
    prop::collection::vec(round, 1..8)
}

impl Deed {
    /// Whether it ends the session of `browser` when `by` does it, if that one still may.
    fn ends(self, by: usize, browser: usize) -> bool {
        match self {
            Self::Request | Self::Refresh => false,
            Self::SignOut | Self::SignInAgain | Self::StepUp | Self::RevokeSession => by == browser,
            Self::SignOutOthers => by != browser,
            Self::SignOutEverywhere | Self::RevokePerson => true,
        }
    }

    /// Whether it makes a session.
    fn begins(self) -> bool {
        matches!(self, Self::SignInAgain | Self::StepUp)
    }
}

/// Whether somebody signed out of the sign-in in which `step` is a step, before or after it in the same round.
fn signed_out(round: &Round, step: Move) -> bool {
    let by_itself = |deed| matches!(deed, Deed::SignOut | Deed::SignOutEverywhere | Deed::RevokeSession);
    round
        .moves
        .iter()
        .filter(|m| m.person == step.person)
        .any(|m| m.deed == Deed::RevokePerson || (m.browser == step.browser && by_itself(m.deed)))
}

/// A browser whose session may have ended.
struct Seat {
    browser: Browser,
    /// GoTrue's id of the session.
    gotrue_id: Uuid,
    alive: bool,
}

impl Seat {
    async fn taken(app: &TestApp, browser: Browser) -> Self {
        let gotrue_id = app.sessions.current(&slot(&browser)).await.unwrap().session.gotrue_id;
        Self { browser, gotrue_id, alive: true }
    }
}

struct Table {
    app: TestApp,
    nodes: [String; 2],
    ids: Vec<Uuid>,
    seats: Vec<[Seat; 2]>,
    /// The second of the last word on each person: what begins in it counts as before.
    revoked: [Option<i64>; PEOPLE],
}

fn login(person: usize) -> Value {
    json!({ "email": format!("person-{person}@example.test"), "password": PASSWORD })
}

/// A request that brings the cookies of `browser`.
pub fn slot(browser: &Browser) -> Slot {
    let (name, value) = session_of(browser);
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_str(&format!("{name}={value}")).unwrap());
    Slot::new(&headers, None)
}

/// What the answer to `slot`'s request says about cookies, taken over by `browser`.
pub fn with_cookies_of(sessions: &Sessions, slot: &Slot, browser: &Browser) {
    for cookie in sessions.set_cookies(slot) {
        let (name, value) = cookie.to_str().unwrap().split_once(';').unwrap().0.split_once('=').unwrap();
        browser.set_cookie(name, value);
    }
}

impl Table {
    async fn lay(mode: &Mode) -> Self {
        let plan =
            mode.plan().with("BFF_LIMITS_PASSWORD_PER_NETWORK", "1000/5m").with("BFF_SESSION_IDLE", IDLE);
        let app = TestApp::with(plan).await;
        let nodes = [app.base.clone(), app.node(&[]).await];
        let (mut ids, mut seats) = (Vec::new(), Vec::new());
        for person in 0..PEOPLE {
            let first = app.signed_in(&format!("person-{person}@example.test")).await;
            let second = app.browser();
            assert_eq!(second.post("/auth/login", &login(person)).await.status, 200);
            ids.push(app.sessions.current(&slot(&first)).await.unwrap().session.user_id);
            seats.push([Seat::taken(&app, first).await, Seat::taken(&app, second).await]);
        }
        Self { app, nodes, ids, seats, revoked: [None; PEOPLE] }
    }

    async fn play(&mut self, round: &Round) {
        self.app.clock.advance(time::Duration::minutes(round.wait));
        let now = self.app.clock.now().unix_timestamp();
        let tabs: Vec<_> =
            round.moves.iter().map(|m| self.seats[m.person][m.browser].browser.stolen()).collect();
        let moves = round.moves.iter().zip(&tabs).map(|(m, tab)| self.make(*m, tab));
        let statuses = join_all(moves).await;
        let enders = |person: usize, browser: usize| {
            round.moves.iter().filter(move |m| m.person == person && m.deed.ends(m.browser, browser))
        };
        // Whoever is in nobody's way is served.
        for (m, status) in round.moves.iter().zip(&statuses) {
            if self.seats[m.person][m.browser].alive && enders(m.person, m.browser).next().is_none() {
                let old_proof = m.deed == Deed::SignOutOthers && *status == 401; // S-46: nobody was signed out by it
                assert!(matches!(status, 200 | 204) || old_proof, "{m:?}: {status}");
            }
        }
        for m in round.moves.iter().filter(|m| m.deed == Deed::RevokePerson) {
            self.revoked[m.person] = Some(now);
        }
        // What somebody may have ended is ended by now or never was: an end by a session that was ended first has no
        // effect. The one that ends itself, and a word from outside, always hold.
        for person in 0..PEOPLE {
            for browser in 0..2 {
                let surely =
                    enders(person, browser).any(|m| m.browser == browser || m.deed == Deed::RevokePerson);
                let was_alive = self.seats[person][browser].alive;
                let old = self.seats[person][browser].browser.stolen();
                let found = self.look(person, &old).await;
                if !was_alive || surely {
                    assert!(!found, "person {person}, browser {browser}: an ended session came back");
                } else if enders(person, browser).next().is_none() {
                    assert!(found, "person {person}, browser {browser}: signed out by accident");
                }
                self.seats[person][browser].alive = found;
            }
        }
        for ((m, tab), status) in round.moves.iter().zip(&tabs).zip(&statuses) {
            if m.deed == Deed::StepUp && *status == 200 && signed_out(round, *m) {
                assert!(
                    !self.look(m.person, tab).await,
                    "{m:?}: a step outlived the sign-out of its sign-in"
                );
            } else if m.deed.begins() && *status == 200 {
                self.sit_down(round, *m, tab, now).await;
            }
        }
        self.own_tokens_alone();
    }

    /// What a step of this round began goes on in the browser's place, if no other deed of the round was about it or
    /// about the place: which of the two came first nobody could say.
    async fn sit_down(&mut self, round: &Round, m: Move, tab: &Browser, now: i64) {
        let others = round.moves.iter().filter(|other| other.person == m.person);
        if others.filter(|other| other.deed.ends(other.browser, m.browser)).count() > 1 {
            return;
        }
        let found = self.look(m.person, tab).await;
        assert_eq!(found, self.revoked[m.person] != Some(now), "{m:?}: what it began");
        if found {
            self.seats[m.person][m.browser] = Seat::taken(&self.app, tab.stolen()).await;
        }
    }

    async fn make(&self, m: Move, tab: &Browser) -> u16 {
        let there = tab.at(&self.nodes[m.node]);
        match m.deed {
            Deed::Request => there.get(&format!("/api/notes/{}", self.ids[m.person])).await.status,
            Deed::Refresh => there.post("/auth/refresh", &json!({})).await.status,
            Deed::SignInAgain => there.post("/auth/login", &login(m.person)).await.status,
            Deed::StepUp => step_up(&self.app, tab).await,
            Deed::RevokeSession => {
                let (user, id) = (self.ids[m.person], self.seats[m.person][m.browser].gotrue_id);
                self.revoke(Subject::Session { user, id }).await
            }
            Deed::RevokePerson => {
                self.revoke(Subject::User { id: self.ids[m.person], at: self.app.clock.now() }).await
            }
            Deed::SignOut => there.post("/auth/logout", &json!({})).await.status,
            Deed::SignOutOthers => there.post("/auth/logout", &json!({ "scope": "others" })).await.status,
            Deed::SignOutEverywhere => there.post("/auth/logout", &json!({ "scope": "global" })).await.status,
        }
    }

    async fn revoke(&self, subject: Subject) -> u16 {
        self.app.sessions.revoke(subject, Reason::Hook).await.unwrap();
        204
    }

    /// Whether both nodes serve a copy of the cookie; they agree as soon as each has heard the news.
    async fn look(&self, person: usize, browser: &Browser) -> bool {
        let agreed = async {
            loop {
                let mut found = BTreeSet::new();
                for node in &self.nodes {
                    let path = format!("/api/notes/{}", self.ids[person]);
                    let answer = browser.stolen().at(node).get(&path).await;
                    assert!(matches!(answer.status, 200 | 401), "{}: {}", answer.status, answer.body);
                    found.insert(answer.status);
                }
                if found.len() == 1 {
                    return found.contains(&200);
                }
            }
        };
        bounded("nodes that agree", agreed).await
    }

    /// S-41: the upstream saw each person's token on that person's requests alone.
    fn own_tokens_alone(&self) {
        for seen in self.app.echo.seen() {
            let payload = seen.bearer().split('.').nth(1).expect("a JWT");
            let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
            let asked_for = seen.line.rsplit('/').next().unwrap();
            assert_eq!(claims["sub"].as_str().unwrap(), asked_for, "{}", seen.line);
        }
    }
}

/// S-41, S-43, S-45: random deeds at the same time on two nodes, held against what they must lead to.
fn whatever_happens_a_sign_out_wins(mode: &Mode, cases: u32) {
    let config = Config {
        cases,
        max_shrink_iters: 64,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    TestRunner::new(config)
        .run(&rounds(), |rounds| {
            runtime.block_on(async {
                let mut table = Table::lay(mode).await;
                for round in &rounds {
                    table.play(round).await;
                }
            });
            Ok(())
        })
        .unwrap();
}

#[test]
fn whatever_happens_in_memory_a_sign_out_wins() {
    whatever_happens_a_sign_out_wins(&Mode::Memory, 24);
}

#[test]
fn whatever_happens_in_a_file_a_sign_out_wins() {
    whatever_happens_a_sign_out_wins(&Mode::Sqlite, 12);
}

#[test]
fn whatever_happens_in_redis_a_sign_out_wins() {
    whatever_happens_a_sign_out_wins(&Mode::redis(), 12);
}
