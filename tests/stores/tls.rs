//! Redis over TLS (S-90): certificates are verified against the roots of the system or of `SSL_CERT_FILE`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base::clock::{SharedClock, SystemClock};
use base::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use supabase_bff::store::redis::Redis;
use time::macros::datetime;

use crate::redis_server::{Server, Setup};
use crate::stand::{PREFIX, Stand};

const NAME: &str = "tls::redis_over_tls_keeps_all_promises_and_verifies_the_server";

/// Names the folder with the certificates to the process that runs inside.
const INSIDE: &str = "STORES_TEST_CERTIFICATES";

/// Writes an authority of our own, and three certificates of it.
fn write_certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("roots.pem"), authority.pem()).unwrap();
    for (name, host) in [("good", "localhost"), ("misnamed", "other.example.test"), ("expired", "localhost")]
    {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        if name == "expired" {
            params.not_after = datetime!(2020-01-01 0:00 UTC);
        }
        let certificate = params.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn start(name: &str, certificates: &Path, folder: &Path) -> Server {
    let file = |kind: &str| certificates.join(format!("{name}.{kind}"));
    Server::start(Setup::Tls(file("pem"), file("key")), folder)
}

async fn refusal(name: &str, certificates: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let server = start(name, certificates, folder.path());
    let clock: SharedClock = Arc::new(SystemClock);
    let failure = Redis::connect(&Secret::new(server.url()), PREFIX, clock).await.unwrap_err();
    failure.source.to_string()
}

/// S-90: also that nobody else can pass for the server. Roots are those of the process, and a test cannot change its
/// own environment: most of this one runs in a second process that was given the roots.
#[tokio::test(flavor = "multi_thread")]
async fn redis_over_tls_keeps_all_promises_and_verifies_the_server() {
    if let Some(certificates) = std::env::var_os(INSIDE) {
        return inside(Path::new(&certificates)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path());
    let told = refusal("good", folder.path()).await;
    assert!(told.contains("UnknownIssuer"), "{told}");
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env("SSL_CERT_FILE", folder.path().join("roots.pem"))
        .env(INSIDE, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

async fn inside(certificates: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let server = start("good", certificates, folder.path());
    assert!(server.url().starts_with("rediss://"));
    crate::contract::every(&Stand::on(server, folder).await).await;
    let told = refusal("misnamed", certificates).await;
    assert!(told.contains("not valid for name"), "{told}");
    let told = refusal("expired", certificates).await;
    assert!(told.contains("certificate expired"), "{told}");
}
