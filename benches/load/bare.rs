//! What the program is compared with: servers that do the same work without a question asked.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    Ok(TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?)
}

/// `GET /auth/session` with `size` bytes of JSON that stand in memory.
pub async fn route(port: u16, size: usize) -> anyhow::Result<()> {
    let body = bytes::Bytes::from(format!("\"{}\"", "x".repeat(size.saturating_sub(2))));
    let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], body) };
    serve(port, Router::new().route("/auth/session", get(answer))).await
}

/// Every request to 127.0.0.1:`to`, as it came.
pub async fn proxy(port: u16, to: u16) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
    serve(port, Router::new().fallback(pass).with_state((client, to))).await
}

type Upstream = (Client<HttpConnector, Body>, u16);

async fn pass(State((client, to)): State<Upstream>, mut request: Request) -> Response {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let Ok(uri) = format!("http://127.0.0.1:{to}{target}").parse::<Uri>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    match client.request(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

async fn serve(port: u16, router: Router) -> anyhow::Result<()> {
    use axum::serve::ListenerExt;
    let listener = listen(port).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // as the program's own listener
    });
    Ok(axum::serve(listener, router).await?)
}

/// Answers every request without a body at once with `size` bytes: as little work as an upstream can have.
pub async fn upstream(listener: TcpListener, size: usize) -> anyhow::Result<()> {
    let body = format!("\"{}\"", "y".repeat(size.saturating_sub(2)));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = bytes::Bytes::from(answer);
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            let mut filled = 0;
            while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]).await {
                filled += read;
                if buffer[..filled].ends_with(b"\r\n\r\n") {
                    filled = 0;
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}
