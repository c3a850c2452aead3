//! `[providers]`: which ways of signing in may be offered.

use base::vars::Problems;

use super::sources::{Entry, Sources};
use crate::flow::{ProviderSettings, Providers};

const CODE: &str = "BFF-PROV-001";

/// Providers that GoTrue knows (contract 2.5), beside `custom:<identifier>`.
const KNOWN: [&str; 25] = [
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "figma",
    "fly",
    "github",
    "gitlab",
    "google",
    "kakao",
    "keycloak",
    "linkedin",
    "linkedin_oidc",
    "notion",
    "slack",
    "slack_oidc",
    "snapchat",
    "spotify",
    "twitch",
    "twitter",
    "vercel_marketplace",
    "workos",
    "x",
    "zoom",
];

/// Parameters of the authorization address that are ours or GoTrue's.
const RESERVED: [&str; 13] = [
    "provider",
    "redirect_to",
    "redirect_uri",
    "scopes",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "client_id",
    "client_secret",
    "response_type",
    "state",
    "invite_token",
    "skip_http_redirect",
];

/// Reads `[providers]` in the order of its buttons; without the section the usual ones.
pub(super) fn read(sources: &Sources, problems: &mut Problems) -> Providers {
    let entries: Vec<Entry<ProviderSettings>> = sources.entries("providers", CODE, problems);
    for entry in &entries {
        if !KNOWN.contains(&entry.name.as_str()) && !is_custom(&entry.name) {
            let why = "GoTrue knows no provider of this name; names are in lower case.";
            problems.fault(
                CODE,
                &entry.place,
                Some(&entry.name),
                why,
                "Correct the name, or remove the entry.",
            );
        }
        // A page may ask for scopes where that is allowed; what is asked for anyway has a key of its own.
        let allowed = entry.value.allow_params.iter().filter(|name| *name != "scopes");
        let named = entry.value.params.keys().chain(allowed);
        for name in named.filter(|name| RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))) {
            let why = "This parameter is set by the flow itself and cannot be given.";
            problems.fault(CODE, &entry.place, Some(name), why, "Remove it; scopes have a key of their own.");
        }
    }
    if entries.is_empty() {
        return Providers::default();
    }
    Providers::new(entries.into_iter().map(|entry| (entry.name, entry.value)).collect())
}

fn is_custom(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    name.strip_prefix("custom:").is_some_and(|id| !id.is_empty() && id.bytes().all(fits))
}
