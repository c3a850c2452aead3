//! What each broken or refusing answer becomes, and which of them end a session.

use std::time::Duration;

use base::secret::Secret;
use serde_json::json;

use super::super::{Error, FinalRefresh, GoTrue};
use super::stand_in::{Answer, StandIn, answer, client, http, raw, session, settings, silent, text};

async fn refused(answer: Answer) -> Error {
    let gotrue = StandIn::start(vec![answer]).await;
    gotrue.client().refresh(&Secret::new("r".to_owned()), None).await.unwrap_err()
}

fn kind(error: &Error) -> String {
    match error {
        Error::Refused { status, code, reasons } => format!("refused {} {code} {reasons:?}", status.as_u16()),
        Error::RateLimited { code, retry_after } => {
            format!("limited {code} {:?}", retry_after.map(time::Duration::whole_seconds))
        }
        Error::Unreachable(_) => "unreachable".to_owned(),
        Error::Server { status } => format!("server {}", status.as_u16()),
        Error::NotGoTrue { status } => format!("not gotrue {}", status.as_u16()),
    }
}

/// The shapes of the contract, 3.1, and those that are not GoTrue's.
#[tokio::test]
async fn every_shape_of_an_answer_is_told_apart() {
    let limited = Answer { headers: vec![("retry-after", "7")], ..text(429, "text/html", "slow down") };
    let moved =
        Answer { headers: vec![("location", "https://elsewhere.example.test/")], ..text(302, "x/y", "") };
    let postgres = json!({"code": "P0001", "message": "Key (email)=(ada@example.test) already exists"});
    let cases = [
        (
            answer(400, &json!({"code": 400, "error_code": "user_banned", "msg": "m"})),
            "refused 400 user_banned []",
        ),
        (answer(403, &json!({"code": "otp_expired", "message": "m"})), "refused 403 otp_expired []"),
        (
            answer(400, &json!({"error": "invalid_client", "error_description": "m"})),
            "refused 400 invalid_client []",
        ),
        (
            answer(
                422,
                &json!({"code": "weak_password", "message": "m", "weak_password": {"reasons": ["length"]}}),
            ),
            "refused 422 weak_password [\"length\"]",
        ),
        (
            answer(
                422,
                &json!({"code": 422, "error_code": "weak_password", "weak_password": {"reasons": []}}),
            ),
            "refused 422 weak_password []",
        ),
        (answer(403, &json!({"code": 403, "msg": "a hook said no"})), "refused 403 unknown []"),
        (answer(400, &postgres), "refused 400 P0001 []"),
        (answer(409, &json!({"code": "conflict", "message": "m"})), "refused 409 conflict []"),
        (
            answer(429, &json!({"code": "over_request_rate_limit", "message": "m"})),
            "limited over_request_rate_limit None",
        ),
        (limited, "limited unknown Some(7)"),
        (answer(401, &json!({"message": "Invalid API key"})), "not gotrue 401"),
        (text(404, "text/plain", "404 page not found"), "not gotrue 404"),
        (text(405, "text/plain", ""), "not gotrue 405"),
        (text(400, "application/json", "{\"code\": \"user_ban"), "not gotrue 400"),
        (answer(400, &json!(["user_banned"])), "not gotrue 400"),
        (answer(400, &json!({"code": "", "message": "m"})), "not gotrue 400"),
        (moved, "not gotrue 302"),
        (text(502, "text/html", "<h1>Bad Gateway</h1>"), "server 502"),
        (answer(500, &json!({"code": "user_banned", "message": "m"})), "server 500"),
        (text(200, "text/html", "<h1>It works!</h1>"), "not gotrue 200"),
        (text(200, "application/json", &session().to_string().as_bytes()[..100]), "not gotrue 200"),
        (text(200, "application/json", ""), "not gotrue 200"),
        (answer(200, &json!({"access_token": "a", "refresh_token": "", "expires_in": 1})), "not gotrue 200"),
        (text(200, "application/json", vec![b' '; (1 << 20) + 1]), "not gotrue 200"),
    ];
    for (given, expected) in cases {
        let body = String::from_utf8_lossy(&given.body).chars().take(60).collect::<String>();
        assert_eq!(kind(&refused(given).await), expected, "{body}");
    }
}

/// S-96: an answer of exactly 1 MiB is still read.
#[tokio::test]
async fn one_mebibyte_is_read_and_one_byte_more_is_not() {
    let padded = |length: usize| {
        let mut body = session().to_string().into_bytes();
        body.resize(length, b' ');
        text(200, "application/json", body)
    };
    let gotrue = StandIn::start(vec![padded(1 << 20), padded((1 << 20) + 1)]).await;
    let token = Secret::new("r".to_owned());
    assert!(gotrue.client().refresh(&token, None).await.is_ok());
    assert!(matches!(gotrue.client().refresh(&token, None).await, Err(Error::NotGoTrue { .. })));
}

/// S-44: nothing that a network does is an answer of GoTrue's.
#[tokio::test]
async fn broken_connections_are_unreachable() {
    let half =
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 400\r\n\r\n{\"code\":\"refresh_token_not_found\"}";
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"access_token\":\"a\"";
    for base in [raw(b"").await, raw(half).await, raw(cut).await, "http://127.0.0.1:1".to_owned()] {
        let error = client(&base).refresh(&Secret::new("r".to_owned()), None).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
        assert_eq!(error.final_refresh_reason(), None);
    }
    let impatient = GoTrue::new(settings(&silent().await), http(Duration::from_millis(50)));
    let error = impatient.refresh(&Secret::new("r".to_owned()), None).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
}

/// S-44: the closed list of answers that end a session (contract 5.5); each of them under every other status, and
/// every other code, leaves it alone.
#[tokio::test]
async fn only_the_closed_list_ends_a_session() {
    let end = [
        ("refresh_token_not_found", FinalRefresh::NotFound),
        ("validation_failed", FinalRefresh::NotFound),
        ("invalid_client", FinalRefresh::NotFound),
        ("refresh_token_already_used", FinalRefresh::Reused),
        ("session_not_found", FinalRefresh::SessionNotFound),
        ("session_expired", FinalRefresh::Expired),
        ("user_banned", FinalRefresh::Banned),
    ];
    for (code, reason) in end {
        let shapes = [
            json!({"code": code, "message": "m"}),
            json!({"code": 400, "error_code": code, "msg": "m"}),
            json!({"error": code}),
        ];
        for shape in &shapes {
            assert_eq!(refused(answer(400, shape)).await.final_refresh_reason(), Some(reason), "{shape}");
            for status in [401, 404, 408, 409, 422, 429, 500, 502, 503, 504] {
                let error = refused(answer(status, shape)).await;
                assert_eq!(error.final_refresh_reason(), None, "{status} {shape}");
            }
        }
    }
    for code in ["invalid_credentials", "unknown", "bad_json", "over_request_rate_limit", "conflict", "P0001"]
    {
        let error = refused(answer(400, &json!({"code": code, "message": "m"}))).await;
        assert_eq!(error.final_refresh_reason(), None, "{code}");
    }
    let html = refused(text(400, "text/html", "refresh_token_not_found")).await;
    assert_eq!(html.final_refresh_reason(), None);
}

/// What a caller may try again, and what it may not.
#[tokio::test]
async fn transient_faults_are_not_refusals() {
    let conflict = refused(answer(409, &json!({"code": "conflict"}))).await;
    let gateway = refused(answer(401, &json!({"message": "No API key found in request"}))).await;
    let wrong = refused(answer(400, &json!({"code": "invalid_credentials"}))).await;
    assert!(conflict.is_transient() && gateway.is_transient() && !wrong.is_transient());
    assert_eq!((wrong.code(), gateway.code()), (Some("invalid_credentials"), None));
}

/// S-86: an error names no URL, no query and no body.
#[tokio::test]
async fn errors_print_nothing_of_the_call() {
    let secret = Secret::new("canary-refresh".to_owned());
    let long = answer(400, &json!({"code": "x".repeat(5_000)}));
    let gotrue = StandIn::start(vec![long]).await;
    let dead = client("http://127.0.0.1:1/canary-path");
    for error in [
        gotrue.client().refresh(&secret, None).await.unwrap_err(),
        dead.refresh(&secret, None).await.unwrap_err(),
    ] {
        let printed = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(!printed.contains("canary") && printed.len() < 2_000, "{printed}");
    }
}
