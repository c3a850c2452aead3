//! Which rule a request meets: S-98.

use http::Method;
use serde_json::json;

use super::{policy, site};
use crate::policy::pattern::Pattern;
use crate::policy::{Allow, Denied, Grants, Policy, Site};

#[test]
fn patterns_match_whole_segments() {
    for (pattern, matching, others) in [
        ("/", &["/"][..], &["", "/a", "//"][..]),
        ("/a/b", &["/a/b"], &["/a", "/a/b/", "/a/b/c", "/A/b", "/a/bc", "/a%2Fb", "a/b"]),
        ("/a/*", &["/a/b", "/a/%20"], &["/a", "/a/", "/a/b/c", "/a/b/", "/ab"]),
        ("/a/*/c", &["/a/b/c"], &["/a//c", "/a/c", "/a/b/d"]),
        ("/a/**", &["/a", "/a/", "/a/b", "/a/b/c/"], &["/", "/ab", "/A", "/b/a"]),
        ("/**", &["/", "/a", "/a/b"], &["", "a"]),
        ("/a/", &["/a/"], &["/a", "/a/b"]),
    ] {
        let parsed = Pattern::parse(pattern).unwrap();
        for path in matching {
            assert!(parsed.matches(path), "{pattern} {path}");
        }
        for path in others {
            assert!(!parsed.matches(path), "{pattern} {path}");
        }
    }
}

/// S-98: an escaped spelling of a path meets the rule of the path that the upstream will take it for.
#[test]
fn an_escape_is_no_way_around_a_rule() {
    let policy = policy(json!([
        {"name": "admin", "path": "/api/admin/**", "to": "api", "allow": "user"},
        {"name": "open", "path": "/api/**", "to": "api", "allow": "public"}
    ]));
    for path in ["/api/admin/x", "/api/%61dmin/x", "/%61pi/adm%69n", "/api/%61%64%6d%69%6E"] {
        assert_eq!(policy.find(None, &Method::GET, path).unwrap().name(), "admin", "{path}");
    }
    for path in ["/api/administrator", "/api/Admin", "/api/%41dmin", "/api/%2561dmin", "/api/x%2Fadmin"] {
        assert_eq!(policy.find(None, &Method::GET, path).unwrap().name(), "open", "{path}");
    }
}

/// S-98: the first rule that matches decides, HEAD is judged as GET, nothing matches: 404, other methods: 405.
#[test]
fn first_match_wins_and_none_is_a_no() {
    let policy = policy(json!([
        {"name": "delete", "methods": ["DELETE"], "path": "/api/orders/**", "to": "api"},
        {"name": "read", "methods": ["GET", "HEAD"], "path": "/api/**", "to": "api"},
        {"name": "all", "path": "/any", "to": "web"}
    ]));
    let find = |method: &Method, path| policy.find(None, method, path).map(|rule| rule.name().to_owned());
    assert_eq!(find(&Method::DELETE, "/api/orders/1").unwrap(), "delete");
    assert_eq!(find(&Method::GET, "/api/orders/1").unwrap(), "read");
    assert_eq!(find(&Method::HEAD, "/api/orders/1").unwrap(), "read");
    let allow = |allow: &str| Err(Denied::MethodNotAllowed { allow: allow.to_owned() });
    assert_eq!(find(&Method::POST, "/api/orders/1"), allow("DELETE, GET, HEAD"));
    assert_eq!(find(&Method::DELETE, "/api/x"), allow("GET, HEAD"));
    assert_eq!(find(&Method::GET, "/elsewhere"), Err(Denied::NotFound));
    assert_eq!(find(&Method::OPTIONS, "/any").unwrap(), "all");
    for method in [Method::TRACE, Method::CONNECT] {
        assert!(matches!(find(&method, "/any"), Err(Denied::MethodNotAllowed { .. })), "{method}");
    }
    let custom = Method::from_bytes(b"get").unwrap();
    assert!(matches!(find(&custom, "/api/x"), Err(Denied::MethodNotAllowed { .. })), "methods have case");
}

/// What storage gives everybody, and the services behind it.
#[test]
fn the_mount_has_its_own_rules() {
    let policy = policy(json!([{"name": "site", "path": "/**", "to": "web", "allow": "public"}]));
    let (get, head, put, post) = (Method::GET, Method::HEAD, Method::PUT, Method::POST);
    for (method, path, name) in [
        (&get, "/supabase/storage/v1/object/public/b/a.png", "storage.public"),
        (&head, "/supabase/storage/v1/object/public/b/a.png", "storage.public"),
        (&get, "/supabase/storage/v1/object/sign/b/a.png", "storage.public"),
        (&get, "/supabase/storage/v1/render/image/public/b/a.png", "storage.public"),
        (&get, "/supabase/storage/v1/render/image/sign/b/a.png", "storage.public"),
        (&put, "/supabase/storage/v1/object/upload/sign/b/a.png", "storage.public"),
        (&Method::PATCH, "/supabase/storage/v1/upload/resumable/sign/x", "storage.public"),
        (&post, "/supabase/storage/v1/object/sign/b/a.png", "storage"),
        (&post, "/supabase/storage/v1/object/upload/sign/b/a.png", "storage"),
        (&put, "/supabase/storage/v1/object/public/b/a.png", "storage"),
        (&get, "/supabase/storage/v1/object/b/a.png", "storage"),
        (&Method::PATCH, "/supabase/storage/v1/upload/resumable/x", "storage"),
        (&get, "/supabase/rest/v1/items", "rest"),
        (&Method::DELETE, "/supabase/rest/v1/items", "rest"),
        (&post, "/supabase/graphql/v1", "graphql"),
        (&post, "/supabase/functions/v1/hello", "functions"),
        (&get, "/supabase/realtime/v1/websocket", "realtime.socket"),
        (&post, "/supabase/realtime/v1/api/broadcast", "realtime"),
        (&get, "/supabased", "site"),
        (&get, "/authors", "site"),
    ] {
        let rule = policy.find(None, method, path).unwrap();
        assert_eq!(rule.name(), name, "{method} {path}");
        let built_in = name != "site";
        assert_eq!(rule.is_built_in(), built_in);
        assert_eq!(rule.strip(), if built_in { "/supabase" } else { "" });
        assert_eq!(rule.upstream(), Some(if built_in { "supabase" } else { "web" }));
        let public = matches!(name, "storage.public" | "site");
        assert_eq!(rule.allow(), if public { Allow::Public } else { Allow::Optional });
    }
    for path in [
        "/supabase",
        "/supabase/",
        "/supabase/auth/v1/user",
        "/supabase/realtime/v1/websocket/x",
        "/supabase/rest/v2/items",
        "/supabase/pg-meta",
        "/%73upabase/x",
        "/auth",
        "/auth/unknown.css",
        "/%61uth/login",
    ] {
        assert_eq!(policy.find(None, &Method::GET, path).err(), Some(Denied::NotFound), "{path}");
    }
}

#[test]
fn the_mount_follows_its_settings() {
    let site = Site {
        mount: "/backend/sb".to_owned(),
        services: vec!["rest".to_owned()],
        refuse_strangers: true,
        ..site()
    };
    let policy = Policy::build(Vec::new(), Grants::default(), &site).unwrap();
    let rest = policy.find(None, &Method::GET, "/backend/sb/rest/v1/items").unwrap();
    assert_eq!((rest.allow(), rest.strip()), (Allow::User, "/backend/sb"));
    assert_eq!(policy.rules().len(), 1);
    for path in ["/backend/sb/storage/v1/object/public/b/a.png", "/supabase/rest/v1/items"] {
        assert_eq!(policy.find(None, &Method::GET, path).err(), Some(Denied::NotFound));
    }
}

/// Rules with an upstream are the gateway's, the others are for proxies that ask; a host narrows either.
#[test]
fn doors_and_hosts_are_kept_apart() {
    let policy = policy(json!([
        {"name": "elsewhere", "path": "/**", "host": "app.example.test"},
        {"name": "named", "path": "/**", "to": "api", "host": "api.example.test"},
        {"name": "any", "path": "/**", "to": "web"}
    ]));
    let ours = |host| policy.find(host, &Method::GET, "/x").unwrap().name().to_owned();
    assert_eq!(ours(Some("API.example.test")), "named");
    assert_eq!((ours(None), ours(Some("app.example.test"))), ("any".to_owned(), "any".to_owned()));
    let theirs = |host| policy.find_elsewhere(host, &Method::GET, "/x").map(|rule| rule.name().to_owned());
    assert_eq!(theirs(Some("app.example.test")).unwrap(), "elsewhere");
    assert_eq!(theirs(Some("app.example.test.evil.example")), Err(Denied::NotFound));
    assert_eq!(theirs(None), Err(Denied::NotFound));
}
