//! Pages held to their rules: every template renders, nothing unescaped, operator files judged.

use std::collections::BTreeSet;

use base::vars::Problems;
use views::{AccountForm, CheckMailPage, ErrorPage, LoginPage, LogoutPage, SignupPage};

use super::*;
use crate::web::views;

mod escaping;
mod texts;

const ENGLISH: Language = Language::FIRST;

const FRAME: Frame<'static> =
    Frame { host: "localhost:8080", sign_out: Some("form-token"), language: ENGLISH, tongues: &[] };

fn templates() -> Templates {
    let settings = Settings {
        terms_url: Some("/terms".to_owned()),
        privacy_url: Some("/privacy".to_owned()),
        help_url: Some("mailto:help@example.test".to_owned()),
        ..Settings::default()
    };
    let banner = Development { outbox_url: Some("/outbox".to_owned()), demo_url: Some("/".to_owned()) };
    Templates::new(&settings, &Assets::new(&settings), Some(banner)).unwrap()
}

fn pages<V: View>() -> Vec<String> {
    let templates = templates();
    V::samples().iter().map(|view| templates.render(&FRAME, view).unwrap()).collect()
}

/// The values of `attribute` in `html`.
fn values<'h>(html: &'h str, attribute: &str) -> Vec<&'h str> {
    let start = format!(" {attribute}=\"");
    html.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_sample_of_every_view_renders() {
    templates().try_all().unwrap();
}

/// A page that is not in the list is neither tried by `check` nor looked at by any of the tests.
#[test]
fn every_template_belongs_to_a_view_of_the_list() {
    fn name<V: View>() -> &'static str {
        V::TEMPLATE
    }
    let shared = ["base.html", "ui.html"];
    let files: BTreeSet<_> =
        BuiltIn::iter().map(String::from).filter(|name| name.ends_with(".html")).collect();
    let pages: BTreeSet<_> = every_view!(name()).into_iter().chain(shared).map(str::to_owned).collect();
    assert_eq!(files, pages);
}

/// S-15: each form carries a token; without one the handler would refuse it.
#[test]
fn every_form_carries_its_token() {
    fn check<V: View>() {
        for html in pages::<V>() {
            let forms: Vec<_> =
                html.split("<form").skip(1).filter_map(|form| form.split("</form>").next()).collect();
            for form in forms {
                assert_eq!(form.matches("name=\"form_token\"").count(), 1, "{}: {form}", V::TEMPLATE);
                assert!(form.contains("method=\"post\"") && !values(form, "action").is_empty(), "{form}");
            }
        }
    }
    every_view!(check);
}

#[test]
fn every_page_has_one_headline_and_its_labels_and_descriptions_meet() {
    fn check<V: View>() {
        for html in pages::<V>() {
            assert_eq!(html.matches("<h1>").count(), 1, "{}", V::TEMPLATE);
            assert_eq!(html.matches("<main>").count(), 1, "{}", V::TEMPLATE);
            let ids: Vec<_> = values(&html, "id");
            let once: BTreeSet<_> = ids.iter().collect();
            assert_eq!(ids.len(), once.len(), "an id stands twice in {}", V::TEMPLATE);
            let described = values(&html, "aria-describedby").into_iter().flat_map(str::split_whitespace);
            for id in values(&html, "for").into_iter().chain(described) {
                assert!(ids.contains(&id), "{} names {id}", V::TEMPLATE);
            }
            assert!(html.matches("autofocus").count() <= 1 && html.matches("class=\"notice").count() <= 1);
        }
    }
    every_view!(check);
}

/// Pages are not compressed (S-03), so they stay small; the picture of a QR code comes on top.
#[test]
fn no_page_weighs_more_than_eight_kilobytes() {
    fn check<V: View>() {
        let heaviest = pages::<V>().iter().map(String::len).max().unwrap();
        assert!(heaviest <= 8 * 1024, "{} has {heaviest} bytes", V::TEMPLATE);
    }
    every_view!(check);
}

#[test]
fn fields_tell_managers_and_keyboards_what_they_are() {
    let login = &pages::<LoginPage<'_>>()[0];
    let email = "type=\"email\" autocomplete=\"username\" inputmode=\"email\" autocapitalize=\"none\" spellcheck=\"false\"";
    assert!(
        login.contains(email) && login.contains("type=\"password\" autocomplete=\"current-password\""),
        "{login}"
    );
    assert!(login.contains("name=\"return_to\" value=\"&#x2f;notes?page=2&amp;sort=new\""), "{login}");
    assert!(
        login.contains("href=\"/auth/start/google?return_to=&#x2f;notes%3Fpage%3D2%26sort%3Dnew\""),
        "{login}"
    );
    assert!(!login.contains("placeholder"), "labels stay visible");
    let signup = &pages::<SignupPage<'_>>()[0];
    let new = "autocomplete=\"new-password\" minlength=\"8\" passwordrules=\"minlength: 8;\"";
    assert!(signup.contains(new), "{signup}");
    for form in pages::<AccountForm<'_>>().iter().filter(|form| form.contains("type=\"password\"")) {
        assert_eq!(form.matches("autocomplete=\"username\"").count(), 1, "whose password it is: {form}");
        assert_eq!(form.matches(new).count(), 1, "{form}");
        let asked = form.contains("name=\"current_password\"");
        assert_eq!(form.contains("autocomplete=\"current-password\""), asked, "{form}");
    }
    let name = &pages::<AccountForm<'_>>()[0];
    assert!(name.contains("dir=\"auto\" autocomplete=\"name\""), "{name}");
    let check = &pages::<CheckMailPage<'_>>()[0];
    let code = "autocomplete=\"one-time-code\" inputmode=\"numeric\" pattern=\"[0-9 ]*\" maxlength=\"12\"";
    assert!(check.contains(code), "{check}");
}

#[test]
fn a_problem_comes_first_in_the_title_and_stands_beside_its_field() {
    let view = SignupPage {
        email: "ada@example",
        min_length: 8,
        email_problem: Some(views::FieldProblem::EmailInvalid),
        ..SignupPage::default()
    };
    let html = templates().render(&FRAME, &view).unwrap();
    assert!(html.contains("<title>Problem: Create your account · localhost:8080</title>"), "{html}");
    assert!(html.contains("One thing needs a change.") && html.contains("role=\"alert\""), "{html}");
    assert!(html.contains(
        "value=\"ada@example\" aria-describedby=\"email-problem\" aria-invalid=\"true\" autofocus"
    ));
    let plain = &pages::<SignupPage<'_>>()[0];
    assert!(plain.contains("<title>Create your account · localhost:8080</title>"), "{plain}");
}

#[test]
fn links_of_later_features_are_hidden_until_they_are_there() {
    let with = |otp, recover, sign_up| {
        let view = LoginPage { otp, recover, sign_up, ..LoginPage::default() };
        let html = templates().render(&FRAME, &view).unwrap();
        ["/auth/otp", "/auth/recover", "/auth/signup"].map(|path| html.contains(&format!("href=\"{path}")))
    };
    assert_eq!(with(false, false, false), [false, false, false]);
    assert_eq!(with(true, false, true), [true, false, true]);
    assert_eq!(with(false, true, false), [false, true, false]);
}

/// S-71: the address that was typed is all that differs between two answers.
#[test]
fn check_your_mail_is_the_same_for_every_address() {
    let page = |email| CheckMailPage { email, ..CheckMailPage::samples().remove(0) };
    let render = |email| templates().render(&FRAME, &page(email)).unwrap();
    let (a, b) = (render("ada@example.test"), render("bob@example.test"));
    assert_eq!(a.replace("ada@", "bob@"), b);
}

#[test]
fn an_error_page_offers_a_next_step_that_works() {
    let render = |page: ErrorPage<'_>| templates().render(&FRAME, &page).unwrap();
    let page = |status, code| ErrorPage {
        status,
        code,
        request_id: "01JD8Z4N7Q5T",
        login: "/auth/login",
        ..ErrorPage::default()
    };
    let unavailable = ErrorPage {
        retry: Some("/notes"),
        wait: Some(views::Wait::new(time::Duration::seconds(200))),
        ..page(503, "auth_unavailable")
    };
    let html = render(unavailable);
    assert!(
        html.contains("try again in about 4 minutes") && html.contains("href=\"&#x2f;notes\">Try again<"),
        "{html}"
    );
    assert!(html.contains("auth_unavailable") && html.contains("01JD8Z4N7Q5T"), "{html}");
    assert!(render(page(401, "session_missing")).contains("href=\"&#x2f;auth&#x2f;login\">Sign in<"));
    assert!(render(page(404, "not_found")).contains("To the start page"));
    let gone = ErrorPage { again: Some("form-token"), link: Some("signup"), ..page(410, "link_expired") };
    assert!(render(gone).contains("action=\"/auth/otp\""));
    let forbidden = ErrorPage { switch: Some("form-token"), ..page(403, "forbidden") };
    assert!(render(forbidden).contains("Use another account"));
}

fn with_folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Option<Settings>, Problems) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let vars = vec![("BFF_PAGES_TEMPLATES".to_owned(), folder.path().to_str().unwrap().to_owned())];
    let mut problems = Problems::default();
    let settings = Settings::read(&vars, &mut problems);
    (folder, settings, problems)
}

#[test]
fn an_operators_file_replaces_one_template_and_single_texts() {
    let login = "{% extends \"base.html\" %}{% set headline = t(\"login-headline\") %}{% block main %}<h1>{{ page.email }}</h1>{% endblock %}";
    let (_folder, settings, problems) = with_folder(&[
        ("login.html", login),
        ("texts.en.ftl", "login-headline = Come aboard\n"),
        ("notes.txt", "{{"),
    ]);
    assert!(!problems.has_faults(), "{problems:?}");
    let settings = settings.unwrap();
    let templates = Templates::new(&settings, &Assets::new(&settings), None).unwrap();
    let view = LoginPage { email: "<b>", ..LoginPage::default() };
    let html = templates.render(&FRAME, &view).unwrap();
    assert!(html.contains("<h1>&lt;b&gt;</h1>") && html.contains("<title>Come aboard ·"), "{html}");
    let logout = templates.render(&FRAME, &LogoutPage::samples()[0]).unwrap();
    assert!(logout.contains("Sign out?"), "{logout}");
}

/// BFF-PAGE-002: a template that cannot be rendered, in any state, is found before the start; what it was to show is
/// not in the message.
#[test]
fn a_template_that_does_not_render_is_a_fault() {
    let broken = [
        "{% if %}",
        "{{ page.no_such_field }}",
        "{{ page.email|safe }}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{{ j }}{% endfor %}{% endfor %}",
        "{{ t(\"no-such-text\") }}",
        "{{ page.email + 1 }}",
    ];
    for source in broken {
        let (_folder, _, problems) = with_folder(&[("login.html", source)]);
        let found: Vec<_> = problems.list().iter().map(|p| p.to_string()).collect();
        assert_eq!(found.len(), 1, "{source}: {found:?}");
        assert!(found[0].contains("BFF-PAGE-002") && found[0].contains("login.html"), "{found:?}");
        assert!(!found[0].contains("ada@example.test"), "{found:?}");
    }
}

/// BFF-PAGE-002 once more, as a warning: a misspelt key would stay unnoticed for ever.
#[test]
fn a_sentence_that_no_page_says_is_told() {
    let (_folder, settings, problems) = with_folder(&[
        ("texts.en.ftl", "# ours\nlogin-headline = Come aboard\nlogin-headlin = Come aboard\n"),
        ("texts.de.ftl", "willkommen = Willkommen\n"),
    ]);
    assert!(settings.is_some() && !problems.has_faults());
    let seen: Vec<_> = problems.list().iter().map(|p| (p.code, p.seen.clone().unwrap_or_default())).collect();
    let told = |text: &str| ("BFF-PAGE-002", text.to_owned());
    assert_eq!(seen, [told("texts.de.ftl: willkommen"), told("texts.en.ftl: login-headlin")]);
}

/// A language of the operator's own says in English what its file leaves out.
#[test]
fn a_folder_may_bring_another_language() {
    let folder = tempfile::tempdir().unwrap();
    let texts = "language-name = Français\nlogin-headline = Se connecter\n";
    std::fs::write(folder.path().join("texts.fr.ftl"), texts).unwrap();
    let vars = vec![
        ("BFF_PAGES_TEMPLATES".to_owned(), folder.path().to_str().unwrap().to_owned()),
        ("BFF_PAGES_LANGUAGES".to_owned(), "fr,de".to_owned()),
    ];
    let mut problems = Problems::default();
    let settings = Settings::read(&vars, &mut problems).unwrap();
    assert!(problems.list().is_empty(), "{problems:?}");
    let templates = Templates::new(&settings, &Assets::new(&settings), None).unwrap();
    let names: Vec<_> = templates.languages().all().map(|(_, code, name)| (code, name)).collect();
    assert_eq!(names, [("fr", "Français"), ("de", "Deutsch")]);
    let login = templates.render(&FRAME, &LoginPage::default()).unwrap();
    assert!(login.contains("<html lang=\"fr\">") && login.contains("<h1>Se connecter</h1>"), "{login}");
    assert!(login.contains(">Password</label>"), "{login}");
}
