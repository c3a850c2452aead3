//! The command line itself.

use clap::CommandFactory;

use super::*;

fn parsed(words: &[&str]) -> Cli {
    Cli::try_parse_from([&["supabase-bff"], words].concat()).unwrap()
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn without_a_command_it_serves_and_flags_stand_anywhere() {
    assert!(parsed(&[]).command.is_none());
    let cli = parsed(&["check", "--json", "--config", "other.toml", "--listen", "127.0.0.1:0"]);
    assert!(matches!(cli.command, Some(Command::Check { json: true })));
    let inputs = cli.flags.inputs();
    let flags: Vec<_> =
        inputs.flags.iter().map(|(name, flag, value)| (*name, *flag, value.as_str())).collect();
    assert_eq!(flags, [("BFF_CONFIG", "--config", "other.toml"), ("listen", "--listen", "127.0.0.1:0")]);
}

/// S-87: no flag takes a secret.
#[test]
fn no_secret_is_an_argument() {
    let names: Vec<String> = Cli::command()
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .map(str::to_owned)
        .collect();
    assert_eq!(names, ["config", "listen", "public-url", "log-level"]);
}

#[test]
fn a_refused_configuration_lists_its_faults() {
    let mut problems = Problems::default();
    problems.fault("BFF-URL-001", "SUPABASE_URL", Some("x"), "This is no URL.", "Write one.");
    let text = chain(&anyhow::Error::from(Misconfigured(problems)));
    insta::assert_snapshot!(text, @"
    error[BFF-URL-001] SUPABASE_URL = x
      This is no URL.
      hint: Write one.
    The configuration is refused; nothing was started.
    ");
}

fn inputs(folder: &tempfile::TempDir, environment: &[(&str, &str)]) -> crate::config::Inputs {
    crate::config::Inputs {
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        folder: folder.path().to_owned(),
        auth_variables: load::AUTH_VARIABLES,
        ..Default::default()
    }
}

/// An embedded server with HS256 has no key set, so the BFF verifies with its secret.
#[cfg(feature = "embedded")]
#[test]
fn the_secret_of_an_hs256_server_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c";
    let environment = [("AUTH_ALGORITHM", "HS256"), ("AUTH_SECRET_KEY", secret)];
    let loaded = Loaded::read(&inputs(&folder, &environment), Start::Looking).unwrap();
    assert!(loaded.settings.token.hs256_secret.unwrap().same_as(secret.as_bytes()));
    let usual = Loaded::read(&inputs(&folder, &[]), Start::Looking).unwrap();
    assert!(usual.settings.token.hs256_secret.is_none());
}

/// S-93: a fault in one part hides none in the others, and nothing is bound.
#[test]
fn faults_of_all_parts_stand_in_one_list() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("BFF_PUBLIC_URL", "http://app.example.test"),
        ("AUTH_LISTEN", "nowhere"),
        ("BFF_SESSION_IDLE", "soon"),
        ("BFF_NONSENSE", "1"),
    ];
    let error = Loaded::read(&inputs(&folder, &environment), Start::Serving).unwrap_err();
    let places: Vec<_> =
        error.downcast_ref::<Misconfigured>().unwrap().0.list().iter().map(|p| p.place.clone()).collect();
    assert_eq!(places, ["BFF_NONSENSE", "BFF_PUBLIC_URL", "AUTH_LISTEN", "BFF_SESSION_IDLE"]);
}
