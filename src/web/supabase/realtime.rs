//! `GET /supabase/realtime/v1/websocket`: whose a socket is, and which words end it. Its frames are a matter of
//! [`gateway::realtime`](crate::gateway::realtime).

use axum::extract::Request;
use http::Uri;
use http::uri::PathAndQuery;
use hyper::upgrade::OnUpgrade;
use tokio::sync::watch;
use uuid::Uuid;

use super::phantom::Intent;
use crate::gateway::realtime::{Close, Line, Protocol, relay};
use crate::gateway::socket::UpstreamHalf;
use crate::session::Session;
use crate::web::error::{Code, Error};
use crate::web::sockets::Place;

/// Names in the query under which a client may bring a token; the key is replaced further on.
const TOKENS: [&str; 4] = ["access_token", "user_token", "token", "jwt"];

/// How the messages of the socket that `request` asks for are written. What its query brought in place of a token goes (S-59),
/// and a key that the gateway can replace is there.
pub(in crate::web) fn read(request: &mut Request) -> Result<Protocol, Error> {
    let query = request.uri().query().unwrap_or_default();
    let protocol = Protocol::of(query).ok_or(Code::BadRequest)?;
    let named = |pair: &str| {
        let name = url::form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name.into_owned());
        name.unwrap_or_default()
    };
    let kept = query.split('&').filter(|pair| {
        let name = named(pair);
        !pair.is_empty() && name != "apikey" && !TOKENS.contains(&name.as_str())
    });
    let query: Vec<&str> = kept.chain(["apikey="]).collect();
    let target = format!("{}?{}", request.uri().path(), query.join("&"));
    let target: PathAndQuery = target.parse().map_err(|_| Code::BadRequest)?;
    *request.uri_mut() = Uri::from(target);
    Ok(protocol)
}

/// Relays the frames of one socket; the word for its end.
pub(in crate::web) async fn run(
    mut place: Place,
    protocol: Protocol,
    client: OnUpgrade,
    upstream: UpstreamHalf,
) -> String {
    let person = place.person;
    let (tokens, token) = watch::channel(place.token.clone());
    let line = Line { protocol, token, means_another: move |token: &str| means_another(person, token) };
    let stop = async {
        let renewed = |session: &Session| _ = tokens.send_replace(session.access_token.clone());
        let ended = place.stay.ended(renewed).await;
        Close::new(ended.close_code(), ended.as_str())
    };
    let close = relay(client, upstream, line, stop).await;
    format!("{} {}", close.code, close.why)
}

/// The intent rule: a token says whom its page means. Nobody's socket is for nobody who means a person.
fn means_another(person: Option<Uuid>, token: &str) -> bool {
    let intent = Intent::of(Some(token));
    match person {
        Some(person) => intent.is_about_another(person),
        None => intent != Intent::Whoever,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;

    use super::*;

    /// S-59: neither a token nor a foreign key travels in an address.
    #[test]
    fn the_query_brings_nothing_of_its_own() {
        let read = |query: &str| {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = format!("/supabase/realtime/v1/websocket{query}").parse().unwrap();
            let protocol = read(&mut request).map_err(|error| error.code);
            (protocol, request.uri().query().unwrap_or_default().to_owned())
        };
        let sent = "?apikey=canary&vsn=2.0.0&log_level=info&access_token=canary&%61pikey=canary&tok%65n=canary&user_token=canary";
        assert_eq!(read(sent), (Ok(Protocol::Arrays), "vsn=2.0.0&log_level=info&apikey=".to_owned()));
        assert_eq!(read(""), (Ok(Protocol::Objects), "apikey=".to_owned()));
        assert_eq!(read("?vsn=9").0, Err(Code::BadRequest));
    }
}
