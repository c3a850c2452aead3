//! An axum application with sign-in, to try without a Supabase project: an auth server runs beside it, in memory.
//!
//! `cargo run --example library`, then open what it prints. Two people are there: ada, who may read, and bob, who may write
//! too. The clock of a `TestBff` stands still, so the codes of an authenticator app do not fit here. In an application of
//! yours `Bff::from_env()` takes the place of `TestBff`: see `docs/library.md`.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use axum::extract::State;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use supabase_bff::app::Builder;
use supabase_bff::testing::TestBff;
use supabase_bff::{Bff, Require, User};

/// Notes of everybody, newest last.
type Notes = Arc<Mutex<Vec<String>>>;

/// More are not kept.
const MOST: usize = 100;

/// What may be done, and who may.
pub fn settings() -> Builder {
    Bff::builder()
        .scope("notes", "Everything about notes")
        .role("reader", ["notes:read"])
        .role("editor", ["notes"])
}

/// The application: its own routes, ours, and the layer around both.
pub fn application(bff: &Bff) -> Router {
    let write = bff.require(Require::scope("notes:write"));
    let read = bff.require(Require::scope("notes:read"));
    Router::new()
        .route("/", get(home))
        .route("/me", get(me))
        .route("/notes", post(add).route_layer(write).merge(get(list).route_layer(read)))
        .with_state(Notes::default())
        .merge(bff.routes())
        .layer(bff.layer())
}

async fn home(user: Option<User>) -> Html<&'static str> {
    Html(match user {
        Some(_) => {
            "<h1>Hello</h1><p><a href=/me>Me</a> · <a href=/notes>Notes</a> · <a href=/auth/account>Account</a></p>"
        }
        None => "<h1>Hello, stranger</h1><p><a href=\"/auth/login?return_to=/\">Sign in</a></p>",
    })
}

async fn me(user: User) -> Json<Value> {
    let User { id, email, roles, scopes, aal, .. } = user;
    Json(json!({ "id": id, "email": email, "roles": roles, "scopes": scopes, "aal": aal }))
}

async fn list(State(notes): State<Notes>) -> Json<Vec<String>> {
    Json(notes.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

async fn add(State(notes): State<Notes>, user: User, Json(text): Json<String>) -> Json<Value> {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    if notes.len() == MOST {
        notes.remove(0);
    }
    notes.push(format!("{}: {text}", user.email));
    Json(json!({ "notes": notes.len() }))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it tells where it is")]
async fn main() -> Result<()> {
    let test = TestBff::builder().settings(settings()).application(application);
    let test = test.start().await.map_err(|error| anyhow!("{error}"))?;
    for (email, role) in [("ada@example.test", "reader"), ("bob@example.test", "editor")] {
        test.sign_in_as(email, role).await.map_err(|error| anyhow!("{error}"))?;
    }
    println!("{}\nada@example.test and bob@example.test, password: {}", test.url(), test.password());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
