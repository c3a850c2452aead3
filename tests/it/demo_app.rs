//! What `serve` joins when nothing is configured: the auth server, the BFF with its banner, the demo API.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use base::clock::{ManualClock, SharedClock};
use base::entropy::{SharedEntropy, SystemEntropy};
use base::vars::Problems;
use http::HeaderMap;
use supabase_bff::app::Bff;
use supabase_bff::config::{Embedded, Inputs, Network, Settings, Sources};
use supabase_bff::web::templates::Development;
use tokio::net::TcpListener;

use crate::harness::{START, serve};
use crate::tap::Tap;

/// One answer of the BFF on its way to the browser.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Method, path and query.
    pub line: String,
    pub headers: HeaderMap,
    pub body: String,
}

#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<Answered>>>);

/// The site on `localhost`, the auth server on `127.0.0.1`: two sites, so that Strict cookies and the bounce matter.
pub struct DemoApp {
    pub base: String,
    /// Of the servers; the browser has the time of the machine.
    pub clock: ManualClock,
    pub auth: Tap,
    wire: Wire,
    _handle: auth_server::Handle,
    _folder: tempfile::TempDir,
}

impl DemoApp {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// `change` may alter the auth server.
    pub async fn with(change: fn(&mut auth_server::Settings)) -> Self {
        base::http::install_tls_provider();
        let manual = ManualClock::at(START);
        let clock: SharedClock = Arc::new(manual.clone());
        let entropy: SharedEntropy = Arc::new(SystemEntropy);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://localhost:{}", listener.local_addr().unwrap().port());

        let auth = Tap::start().await;
        let mut own = auth_server::Settings::for_tests();
        own.site_url = base.clone();
        own.redirect_urls = vec![format!("{base}/auth/**")];
        own.public_url = Some(auth.url().parse().unwrap());
        own.default_role = Some("user".to_owned());
        change(&mut own);
        let auth_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        auth.lead_to(auth_listener.local_addr().unwrap());
        let handle = auth_server::start(own, clock.clone(), entropy.clone(), auth_listener).await.unwrap();

        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(&base, &auth.url(), &folder);
        assert!(settings.demo, "with nothing configured the demo is on");
        let demo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rules = supabase_bff::demo::Rules::read().unwrap();
        let url = format!("http://{}", demo.local_addr().unwrap());
        settings.stand_in_demo(url, rules.rules, rules.scopes, rules.roles);
        let development = Development {
            outbox_url: Some(format!("{}/outbox", auth.url())),
            demo_url: Some("/".to_owned()),
        };
        let bff = Bff::build(settings, Some(development), clock, entropy, None).unwrap();
        serve(demo, supabase_bff::demo::router(bff.verifier()));
        bff.warm_up().await;
        let wire = Wire::default();
        let watched = axum::Router::new().fallback_service(bff.site());
        serve(listener, watched.layer(from_fn_with_state(wire.clone(), record)));
        Self { base, clock: manual, auth, wire, _handle: handle, _folder: folder }
    }

    /// The address of a page.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Every answer of the BFF so far.
    pub fn answered(&self) -> Vec<Answered> {
        self.wire.0.lock().unwrap().clone()
    }
}

fn settings(base: &str, auth: &str, folder: &tempfile::TempDir) -> Settings {
    let inputs = Inputs {
        environment: [
            ("BFF_PUBLIC_URL".into(), base.into()),
            ("BFF_DATA_DIR".into(), folder.path().join("data").into()),
        ]
        .into(),
        folder: folder.path().to_owned(),
        auth_variables: auth_server::VARIABLES,
        ..Inputs::default()
    };
    let mut problems = Problems::default();
    let sources = Sources::read(&inputs, &mut problems);
    let network = Network::read(&sources, &mut problems).expect("network settings");
    let embedded = Embedded { url: auth.parse().unwrap(), public_url: auth.parse().unwrap() };
    let settings = Settings::read(&sources, network, Some(&embedded), &mut problems);
    assert!(!problems.has_faults(), "{problems:#?}");
    settings.unwrap()
}

async fn record(State(wire): State<Wire>, request: Request, next: Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let (parts, body) = next.run(request).await.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    wire.0.lock().unwrap().push(Answered { line, headers: parts.headers.clone(), body: text });
    Response::from_parts(parts, Body::from(body))
}
