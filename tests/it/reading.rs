//! What a start with the present files would find, and having them read again.

use std::path::Path;

use base::vars::Problems;
use supabase_bff::config::{Inputs, Network, Settings, Sources};

use crate::harness::TestApp;

pub fn settings(env: &[(String, String)], folder: &Path) -> (Option<Settings>, Problems) {
    let inputs = Inputs {
        environment: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        folder: folder.to_owned(),
        auth_variables: auth_server::VARIABLES,
        ..Inputs::default()
    };
    let mut problems = Problems::default();
    let sources = Sources::read(&inputs, &mut problems);
    let network = Network::read(&sources, &mut problems).expect("network settings");
    let settings = Settings::read(&sources, network, None, &mut problems);
    (settings, problems)
}

impl TestApp {
    /// What a start with the present `bff.toml` would find.
    pub fn settings(&self) -> Settings {
        settings(&self.env, self.folder.path()).0.expect("settings without a fault")
    }

    /// Writes `rules` in the place of all that `bff.toml` says after its upstream, and has them read again.
    pub fn reload(&self, rules: &str) -> Result<(), Problems> {
        let file = self.folder.path().join("bff.toml");
        let written = std::fs::read_to_string(&file).unwrap();
        let upstream = written.lines().take(2).collect::<Vec<_>>().join("\n");
        std::fs::write(file, format!("{upstream}\n{rules}")).unwrap();
        let (settings, problems) = settings(&self.env, self.folder.path());
        self.bff.reload(settings, problems)
    }
}
