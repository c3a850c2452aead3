//! S-33: the key decides the algorithm.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::token::keys::{BadKeySet, KeySet};
use crate::token::testing::{ED, ES, HS, NOW, RS, Signer, all_keys, b64, claims, expectations, jwks};
use crate::token::{Claims, Invalid, verify};

fn check(token: &str, keys: &KeySet) -> Result<Claims, Invalid> {
    verify(token, keys, &expectations(), NOW)
}

/// S-33: a token passes if kid, alg and signature all belong to one key, and in no other combination.
#[test]
fn algorithm_and_key_must_be_of_one_kind() {
    let keys = all_keys();
    let signers: [(&Signer, &str); 4] = [(&ES, "es"), (&RS, "rs"), (&ED, "ed"), (&HS, "hs")];
    let mut passed = 0;
    for (signer, own) in signers {
        for alg in ["ES256", "RS256", "EdDSA", "HS256"] {
            for kid in ["es", "rs", "ed", "hs"] {
                let token = signer.raw(&json!({"alg": alg, "kid": kid}).to_string(), &claims().to_string());
                let honest = alg == signer.alg() && kid == own;
                assert_eq!(check(&token, &keys).is_ok(), honest, "{} as {alg} under {kid}", signer.alg());
                passed += usize::from(honest);
            }
        }
    }
    assert_eq!(passed, 4);
}

/// S-33: a public key in any spelling is no HMAC secret.
#[test]
fn a_public_key_is_no_secret() {
    let jwk = ES.jwk("es");
    let keys = KeySet::from_jwks(&jwks(std::slice::from_ref(&jwk))).unwrap();
    let x = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    let y = URL_SAFE_NO_PAD.decode(jwk["y"].as_str().unwrap()).unwrap();
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", b64(&point));
    for secret in [point, x, jwk.to_string().into_bytes(), pem.into_bytes(), Vec::new()] {
        let forger = Signer::Hs(secret);
        assert_eq!(check(&forger.token("es", &claims()), &keys), Err(Invalid::Forged));
        let nameless = forger.raw(r#"{"alg":"HS256"}"#, &claims().to_string());
        assert_eq!(check(&nameless, &keys), Err(Invalid::UnknownKey));
    }
}

/// S-33: `none` in any spelling, and every algorithm that no key of ours has.
#[test]
fn other_algorithms_are_refused() {
    let keys = all_keys();
    for alg in
        ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS512", "PS256", "ES384", "es256", "ES256K"]
    {
        let header = json!({"alg": alg, "kid": "es"}).to_string();
        assert_eq!(
            check(&ES.raw(&header, &claims().to_string()), &keys),
            Err(Invalid::Header("alg")),
            "{alg}"
        );
        let unsigned = format!("{}.{}.", b64(&header), b64(claims().to_string()));
        assert_eq!(check(&unsigned, &keys), Err(Invalid::Shape));
    }
    for header in [r#"{"kid":"es"}"#, r#"{"alg":null,"kid":"es"}"#, r#"{"alg":["ES256"],"kid":"es"}"#] {
        assert_eq!(check(&ES.raw(header, &claims().to_string()), &keys), Err(Invalid::Header("alg")));
    }
}

/// S-33: what would change the meaning of the token is refused, what brings a key along is not looked at.
#[test]
fn header_members() {
    let keys = all_keys();
    let with = |name: &str, value: Value| {
        let header = json!({"alg": "ES256", "kid": "es", name: value});
        check(&ES.raw(&header.to_string(), &claims().to_string()), &keys).map(|_| ())
    };
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("typ", json!("at+jwt")),
        ("typ", json!(7)),
        ("kid", json!(7)),
        ("kid", json!(null)),
    ] {
        assert_eq!(with(name, value.clone()), Err(Invalid::Header(name)), "{name}: {value}");
    }
    let evil = Signer::es256().jwk("es");
    for (name, value) in [
        ("typ", json!("jwt")),
        ("jwk", evil),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        assert_eq!(with(name, value), Ok(()), "{name}");
    }
    let doubled = ES.raw(r#"{"alg":"ES256","kid":"rs","kid":"es"}"#, &claims().to_string());
    assert_eq!(check(&doubled, &keys), Err(Invalid::Shape));
    let forged = Signer::es256();
    let own_key = json!({"alg": "ES256", "kid": "es", "jwk": forged.jwk("es")});
    assert_eq!(check(&forged.raw(&own_key.to_string(), &claims().to_string()), &keys), Err(Invalid::Forged));
}

/// Contract, section 5.2: HS256 without a `kid` that anybody knows is a matter of the secret.
#[test]
fn the_secret_needs_no_name() {
    let nameless = HS.raw(r#"{"alg":"HS256","typ":"JWT"}"#, &claims().to_string());
    assert!(check(&nameless, &all_keys()).is_ok());
    let without = KeySet::from_jwks(&jwks(&[ES.jwk("es")])).unwrap();
    assert_eq!(check(&nameless, &without), Err(Invalid::UnknownKey));
    let asymmetric = ES.raw(r#"{"alg":"ES256","typ":"JWT"}"#, &claims().to_string());
    assert_eq!(check(&asymmetric, &all_keys()), Err(Invalid::UnknownKey));
    let other = Signer::Hs(b"another secret, also longer than 32 bytes".to_vec());
    assert_eq!(check(&other.token("x", &claims()), &all_keys()), Err(Invalid::Forged));
}

/// S-33: entries that contradict themselves are skipped, one by one, and do not spoil the rest.
#[test]
fn unusable_entries_are_skipped() {
    let changed = |signer: &Signer, change: Value| {
        let mut jwk = signer.jwk("odd");
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Null => jwk.as_object_mut().unwrap().remove(name),
                value => jwk.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        jwk
    };
    let usable = |odd: Value| {
        let set = KeySet::from_jwks(&jwks(&[odd, RS.jwk("rs")])).unwrap();
        assert!(check(&RS.token("rs", &claims()), &set).is_ok(), "the good key stays");
        set.public_keys() == 2
    };
    for fine in [
        json!({}),
        json!({"use": null, "key_ops": null, "alg": null}),
        json!({"ext": true, "key_ops": ["verify"]}),
    ] {
        assert!(usable(changed(&ES, fine.clone())), "{fine}");
    }
    for odd in [
        json!({"d": "AAAA"}),
        json!({"use": "enc"}),
        json!({"use": 1}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": ["verify", "deriveKey"]}),
        json!({"key_ops": "verify"}),
        json!({"key_ops": []}),
        json!({"alg": "RS256"}),
        json!({"alg": "ES384"}),
        json!({"alg": 256}),
        json!({"crv": "P-384"}),
        json!({"crv": "Ed25519"}),
        json!({"kty": "RSA"}),
        json!({"kty": null}),
        json!({"kid": null}),
        json!({"kid": 4}),
        json!({"kid": "rs"}),
        json!({"x": b64([1; 31])}),
        json!({"x": "AAA="}),
        json!({"y": null}),
    ] {
        if odd["kid"] == "rs" {
            let set = KeySet::from_jwks(&jwks(&[changed(&ES, odd), RS.jwk("rs")])).unwrap();
            assert_eq!(set.public_keys(), 0, "of two keys with one name neither is used");
        } else {
            assert!(!usable(changed(&ES, odd.clone())), "{odd}");
        }
    }
    for odd in
        [json!({"n": b64([0xff; 128])}), json!({"e": "AQ"}), json!({"e": b64([2])}), json!({"p": "AAAA"})]
    {
        assert!(!usable(changed(&RS, odd.clone())), "{odd}");
    }
    let almost = [&[0x7f][..], &[0xff; 255]].concat();
    assert!(!usable(changed(&RS, json!({"n": b64(almost)}))), "2,047 bits");
    assert!(!usable(HS.jwk("odd")), "symmetric keys are not published");
    assert!(!usable(json!("text")) && !usable(json!(null)));
}

/// S-36: at most 64 entries; other documents are no key sets.
#[test]
fn the_size_of_a_set_is_bounded() {
    let many = |count: usize| (0..count).map(|at| ES.jwk(&at.to_string())).collect::<Vec<_>>();
    assert_eq!(KeySet::from_jwks(&jwks(&many(64))).unwrap().public_keys(), 64);
    assert_eq!(KeySet::from_jwks(&jwks(&many(65))).err(), Some(BadKeySet::TooMany));
    let document = |value: Value| KeySet::from_jwks(value.as_object().unwrap()).err();
    assert_eq!(document(json!({})), Some(BadKeySet::Form));
    assert_eq!(document(json!({"keys": {}})), Some(BadKeySet::Form));
    assert!(KeySet::from_jwks(&jwks(&[])).unwrap().is_empty());
}

/// Known answers: RFC 7515, appendix A.3, and RFC 8037, appendix A.4.
#[test]
fn signatures_of_the_standards_hold() {
    let set = jwks(&[
        json!({"kid": "a3", "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
        json!({"kid": "a4", "kty": "OKP", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
    ]);
    let keys = KeySet::from_jwks(&set).unwrap();
    for (kid, alg, signed, signature) in [
        (
            "a3",
            "ES256",
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS\
             9pc19yb290Ijp0cnVlfQ",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            "a4",
            "EdDSA",
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let members = json!({"alg": alg, "kid": kid});
        let header = crate::token::keys::Header::read(members.as_object().unwrap()).unwrap();
        let key = keys.find(&header).unwrap();
        assert!(key.holds(signed.as_bytes(), signature), "{kid}");
        assert!(!key.holds(&signed.as_bytes()[1..], signature), "{kid}");
    }
}

/// S-38: ES256 takes 64 raw bytes; other forms and degenerate values do not hold.
#[test]
fn es256_takes_raw_signatures_alone() {
    let keys = all_keys();
    let token = ES.token("es", &claims());
    assert!(check(&token, &keys).is_ok());
    let (signed, good) = token.rsplit_once('.').unwrap();
    let good = URL_SAFE_NO_PAD.decode(good).unwrap();
    let (r, s) = good.split_at(32);
    let n = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let der = [&[0x30, 70, 2, 33, 0][..], r, &[2, 33, 0], s].concat();
    let zero = [0; 32];
    for wrong in [
        der,
        [zero, zero].concat(),
        [&zero[..], s].concat(),
        [r, &zero[..]].concat(),
        [&n[..], s].concat(),
        [r, &n[..]].concat(),
        [s, r].concat(),
        good[..63].to_vec(),
        [&good[..], &[0]].concat(),
        [&[0], &good[..]].concat(),
    ] {
        let forged = format!("{signed}.{}", b64(&wrong));
        assert_eq!(check(&forged, &keys), Err(Invalid::Forged), "{wrong:02x?}");
    }
}
