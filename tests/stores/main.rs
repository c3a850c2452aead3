//! What every store promises, held against each of them: memory, a SQLite file that two nodes share, a real Redis.

mod dump;
mod leases;
mod limits;
mod opening;
mod outage;
mod port;
mod records;
mod redis_server;
mod redis_values;
mod revocations;
mod sqlite_file;
mod stand;
mod tls;

use stand::Stand;

/// One test for each promise and each store; `every` runs all promises over one store.
macro_rules! promises {
    ($($module:ident { $($promise:ident)+ })+) => {
        $(mod $module {
            mod memory {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    crate::$module::$promise(&crate::Stand::memory()).await;
                })+
            }

            mod sqlite {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    crate::$module::$promise(&crate::Stand::sqlite().await).await;
                })+
            }

            mod redis {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    crate::$module::$promise(&crate::Stand::redis().await).await;
                })+
            }
        })+

        /// All promises, one after the other.
        pub async fn every(stand: &crate::Stand) {
            $($(crate::$module::$promise(stand).await;)+)+
        }
    };
}

mod contract {
    promises! {
        records {
            creating_never_overwrites
            of_many_creators_one_wins
            a_change_names_the_version_it_read
            of_many_changes_one_wins
            a_change_leaves_the_label_alone_unless_it_brings_one
            times_only_move_forward
            an_absent_record_is_nothing_and_no_error
            a_record_is_forgotten_after_its_time
            an_end_leaves_a_mark_with_the_first_reason
            an_end_beats_every_change
            what_was_replaced_leaves_its_last_record
            the_list_holds_the_live_sessions_of_one_person
            a_change_may_bring_the_owners_newer_name
            a_store_answers_its_probe
            large_and_binary_records_come_back_as_they_were
        }
        leases {
            one_node_at_a_time_holds_the_lease
            of_many_wishes_for_a_lease_one_comes_true
            a_lease_ends_by_itself_and_the_next_has_a_greater_number
            a_stalled_holder_is_refused
            a_change_gives_its_lease_back
            a_lost_lease_is_neither_renewed_nor_released
            there_is_no_lease_without_a_record
        }
        revocations {
            every_node_hears_of_it_once
            a_reader_who_waits_is_woken
            nothing_comes_back_as_an_empty_answer
            who_comes_later_hears_of_what_still_counts
            a_flood_arrives_whole_and_in_order
        }
    }
}

/// The same over a Redis whose password belongs to the usual user.
#[tokio::test(flavor = "multi_thread")]
async fn redis_with_a_password_alone_keeps_all_promises() {
    contract::every(&Stand::redis_with_password_alone().await).await;
}
