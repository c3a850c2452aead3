//! A Vite dev server as the site itself, with its hot reload through our socket.

use std::process::{Child, Command, Stdio};

use crate::browser::{Script, story};
use crate::harness::{Plan, TestApp};
use crate::npm;
use crate::port::Port;
use crate::tap::bounded;

const PAGE: &str = "<!doctype html><title>Site</title><h1>…</h1><script type=module src=/main.js></script>";
const MAIN: &str = "import { words } from './words.js'
const show = (words) => (document.querySelector('h1').textContent = words)
show(words)
window.stays ??= 'loaded once'
import.meta.hot?.accept('./words.js', (now) => show(now.words + ', ' + window.stays))
";

/// `vite`, serving a folder. It ends when this is dropped.
struct Vite {
    child: Child,
    _port: Port,
    address: String,
    folder: tempfile::TempDir,
}

impl Vite {
    async fn start() -> Self {
        let modules = npm::modules().await;
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("index.html", PAGE), ("main.js", MAIN), ("words.js", "export const words = 'before'\n")]
        {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let port = Port::take();
        let address = format!("127.0.0.1:{}", port.number());
        let child = Command::new("node")
            .arg(modules.join("vite/bin/vite.js"))
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                &port.number().to_string(),
                "--strictPort",
                "--clearScreen",
                "false",
            ])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let own = Self { child, _port: port, address, folder };
        bounded("Vite", async {
            while tokio::net::TcpStream::connect(&own.address).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        own
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }
}

impl Drop for Vite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The page comes through us, with its modules; an edited file changes it in place, without loading it again.
#[tokio::test]
async fn an_edited_file_changes_the_page() {
    let vite = Vite::start().await;
    let rules = format!(
        "web = {{ url = \"http://{}\", kind = \"app\", token = \"none\", websocket = true }}\n[[rules]]\nname = \"site\"\npath = \"/**\"\nto = \"web\"\nallow = \"public\"\n",
        vite.address
    );
    let app = TestApp::with(Plan { rules, ..Plan::default() }).await;
    story("vite", Script::On, async |chromium| {
        chromium.open(&format!("{}/", app.base)).await;
        chromium.shows("h1", "before").await;
        bounded("the page's socket", async {
            while crate::metrics::figures(&app).await["bff_sockets_open"] < 1.0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        // Nothing tells when Vite has begun to watch its files: what it missed is written again.
        bounded("the edited words", async {
            let mut looks = 0;
            while chromium.text("h1").await.as_deref() != Some("after, loaded once") {
                if looks % 50 == 0 {
                    vite.write("words.js", "export const words = 'after'\n");
                }
                looks += 1;
            }
        })
        .await;
        chromium.open(&format!("{}/auth/login", app.base)).await; // beside it, on the same origin, a page of ours
    })
    .await;
}
