//! Every name that may be set, and a guess at what an unknown one was to be.

/// Settings of `bff.toml`, each with a `BFF_…` variable.
pub const KEYS: &[&str] = &[
    "listen",
    "admin_listen",
    "public_url",
    "trusted_proxies",
    "client_ip_header",
    "drain",
    "data_dir",
    "danger_plain_http",
    "danger_link_local",
    "hsts_subdomains",
    "supabase.mount",
    "supabase.signed_out",
    "supabase.services",
    "supabase.user_roles",
    "supabase.leeway",
    "supabase.jwks_max_stale",
    "supabase.client_ip_header",
    "session.store",
    "session.idle",
    "session.absolute",
    "session.remember",
    "session.same_site",
    "session.refresh_margin",
    "session.refresh_cooldown",
    "session.memory",
    "session.expose_claims",
    "session.clear_site_data",
    "session.prefix",
    "pages.sign_up",
    "pages.default_return",
    "pages.allowed_return_origins",
    "pages.templates",
    "pages.title",
    "pages.logo",
    "pages.accent",
    "pages.accent_dark",
    "pages.terms_url",
    "pages.privacy_url",
    "pages.help_url",
    "pages.languages",
    "password.min_length",
    "password.max_bytes",
    "password.common_list",
    "mfa.enforce",
    "claims.roles",
    "claims.scopes",
    "claims.scope_separator",
    "cors.origins",
    "cors.max_age",
    "bearer.enabled",
    "token.enabled",
    "forward_auth.enabled",
    "forward_auth.family",
    "forward_auth.hosts",
    "forward_auth.pass_token",
    "limits.password_per_network",
    "limits.password_per_account",
    "limits.mail_per_recipient",
    "limits.mail_per_network",
    "limits.code_tries",
    "limits.confirm_per_network",
    "limits.anonymous_per_network",
    "limits.gotrue_budget",
    "limits.in_flight",
    "limits.connections",
    "limits.connections_per_network",
    "limits.sockets_per_session",
    "log.level",
    "log.format",
];

/// Sections whose names are the operator's own.
pub const SECTIONS: &[&str] = &["providers", "upstreams", "rules", "scopes", "roles"];

/// Variables without a key in `bff.toml`: secrets, the name of that file, and those of the project.
pub const VARIABLES: &[&str] = &[
    "BFF_CONFIG",
    "BFF_SESSION_KEYS",
    "BFF_SESSION_KEYS_FILE",
    "BFF_SESSION_STORE_FILE",
    "BFF_HOOKS_SECRETS",
    "BFF_HOOKS_SECRETS_FILE",
    "SUPABASE_URL",
    "SUPABASE_PUBLISHABLE_KEY",
    "SUPABASE_ANON_KEY",
    "SUPABASE_KEY",
    "SUPABASE_PUBLIC_URL",
    "SUPABASE_JWT_SECRET",
    "SUPABASE_JWT_SECRET_FILE",
    "SUPABASE_JWT_ISSUER",
    "SUPABASE_JWT_AUDIENCE",
    "SUPABASE_JWKS_URL",
    "SUPABASE_SECRET_KEY",
    "SUPABASE_SECRET_KEY_FILE",
];

/// The candidate that `word` most likely was to be, if one is near enough.
pub(super) fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = (word.len() / 4).clamp(1, 3);
    let scored = candidates.map(|candidate| (distance(word, candidate), candidate));
    scored.filter(|(far, _)| (1..=near).contains(far)).min_by_key(|(far, _)| *far).map(|(_, found)| found)
}

/// Insertions, deletions and exchanges of bytes that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let exchanged = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_key() {
        let guess = |word: &str| closest(word, KEYS.iter().copied());
        assert_eq!(guess("session.idel"), Some("session.idle"));
        assert_eq!(guess("sesion.absolute"), Some("session.absolute"));
        assert_eq!(guess("listn"), Some("listen"));
        assert_eq!(guess("something.else"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
