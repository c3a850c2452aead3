//! The same stories against the embedded server and, where the environment names one, a real project: what the BFF
//! relies on must hold at both.
//!
//! `CONTRACT_SUPABASE_URL` and its companions are described in `docs/development.md`.

mod accounts;
mod changes;
mod factors;
mod github;
mod letters;
mod mail;
mod mails;
mod place;
mod providers;
mod real;
mod sessions;

use std::io::Write;
use std::pin::Pin;

use place::Place;
use real::{Need, Real};

/// A story, and what the project must be like for it.
struct Story {
    name: &'static str,
    needs: &'static [Need],
    tell: fn(Place) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

macro_rules! stories {
    ($($module:ident::$name:ident [$($need:ident),*],)+) => {
        const STORIES: &[Story] = &[$(Story {
            name: stringify!($name),
            needs: &[$(Need::$need),*],
            tell: |place| Box::pin($module::$name(place)),
        },)+];

        mod embedded {
            $(
                #[tokio::test]
                async fn $name() {
                    let place = super::Place::embedded(&[$(super::Need::$need),*]).await;
                    super::$module::$name(place).await;
                }
            )+
        }
    };
}

stories! {
    accounts::a_sign_up_begins_a_session [Autoconfirm],
    accounts::a_sign_in_takes_the_right_password_alone [],
    accounts::a_password_is_kept_to_the_last_byte [],
    accounts::a_password_has_72_bytes_at_most [],
    accounts::a_known_address_is_told_under_autoconfirmation_without_a_session [Autoconfirm],
    accounts::a_known_address_is_answered_alike [Confirmation, Mail],
    accounts::an_unconfirmed_address_is_told_after_the_right_password [Confirmation],
    accounts::a_double_click_signs_up_once [],
    accounts::a_closed_project_makes_no_accounts [Closed],
    factors::a_sign_in_takes_the_code_of_the_app [],
    factors::an_app_that_comes_or_goes_ends_the_other_sessions [],
    mails::a_link_is_redeemed_by_a_click_and_only_once [Confirmation, Mail],
    mails::the_digits_of_a_mail_confirm [Confirmation, Mail],
    mails::a_link_of_gotrue_leads_to_the_callback [Confirmation, Mail],
    mails::a_mail_can_be_had_again [Confirmation, Mail],
    mails::an_old_link_of_gotrue_says_so [Confirmation, Mail],
    letters::a_recovery_link_leads_to_a_new_password [Mail],
    letters::a_recovery_has_other_ways_in [Mail],
    letters::a_mail_signs_in [Mail],
    letters::a_code_makes_an_account [Mail],
    letters::a_wish_for_a_mail_is_answered_alike [Mail],
    letters::an_address_is_changed_by_both_links [Confirmation, Mail],
    letters::an_invitation_leads_to_a_password [Mail, Admin],
    letters::fifty_clicks_on_one_link_are_one_session [Mail],
    providers::a_person_signs_in_at_github [GitHub],
    providers::a_no_at_github_is_no_session [GitHub],
    providers::a_forged_state_leads_nowhere [GitHub],
    providers::a_code_is_good_once_and_in_one_browser [GitHub],
    providers::github_joins_the_account_of_its_address [Confirmation, Mail, GitHub],
    changes::a_name_is_known_at_once [],
    changes::a_new_password_ends_the_other_sessions [],
    changes::github_is_linked_and_taken_away [GitHub, Linking],
    changes::a_guest_keeps_the_account [Autoconfirm, Anonymous],
    changes::a_guest_confirms_the_address [Confirmation, Mail, Anonymous],
    changes::an_address_changes_by_both_mails [Confirmation, Mail],
    sessions::a_sign_out_reaches_gotrue_for_this_session_alone [],
    sessions::a_sign_out_everywhere_ends_the_others [],
    sessions::a_sign_out_of_the_others_keeps_this_one [],
    sessions::a_refresh_on_request_rotates_the_cookie [Cookies],
    sessions::an_expired_token_is_refreshed_once_for_fifty_requests [ShortTokens],
    sessions::a_session_that_was_revoked_elsewhere_ends_with_a_reason [],
    sessions::a_banned_person_is_out_at_the_next_refresh [Admin],
    sessions::what_an_administrator_does_ends_sessions [Admin],
    sessions::a_large_profile_is_split_over_cookies [Autoconfirm, Cookies],
    sessions::a_copy_that_fell_behind_ends_the_session [LongSessions, Cookies],
    sessions::a_new_sign_in_replaces_the_session [],
    sessions::a_session_at_the_limit_of_the_project_ends [SessionLimit],
    sessions::the_mount_carries_the_key_and_the_users_token [],
}

/// Tells every story that the project of the environment is fit for, one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_project_agrees() {
    let Some(real) = Real::from_env().await else {
        let count = STORIES.len();
        say(&format!("skipped: {count} stories at a real project; CONTRACT_SUPABASE_URL names none"));
        return;
    };
    let (mut told, mut skipped, mut failed) = (0, 0, Vec::new());
    for story in STORIES {
        if let Some(need) = real.lacks(story.needs) {
            say(&format!("skipped: {} needs {need:?}", story.name));
            skipped += 1;
            continue;
        }
        let place = Place::real(&real).await;
        told += 1;
        match tokio::spawn((story.tell)(place)).await {
            Ok(()) => say(&format!("ok: {}", story.name)),
            Err(_) => failed.push(story.name),
        }
    }
    say(&format!("{told} stories told at {}, {skipped} skipped, {} failed", real.url, failed.len()));
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Past the capture of the test harness: a skipped story must not look like one that was told.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "contract: {line}");
}
