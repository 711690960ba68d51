//! The rules that every directory keeps, run over each implementation.
//!
//! A rule is an `async fn` that gets an empty directory. A further implementation needs a function that makes one, and
//! a line below.

#![expect(clippy::unwrap_used, reason = "a rule that fails should panic where it fails")]

#[path = "directory_conformance/charging.rs"]
mod charging;
#[path = "directory_conformance/choices.rs"]
mod choices;
#[path = "directory_conformance/clients.rs"]
mod clients;
#[path = "directory_conformance/consents.rs"]
mod consents;
#[path = "directory_conformance/containers.rs"]
mod containers;
#[path = "directory_conformance/customers.rs"]
mod customers;
#[path = "directory_conformance/deletion.rs"]
mod deletion;
#[path = "directory_conformance/grants.rs"]
mod grants;
#[path = "directory_conformance/ingest.rs"]
mod ingest;
#[path = "directory_conformance/ledger.rs"]
mod ledger;
#[path = "directory_conformance/requests.rs"]
mod requests;
#[path = "directory_conformance/samples.rs"]
mod samples;
#[path = "directory_conformance/sessions.rs"]
mod sessions;
#[path = "directory_conformance/tokens.rs"]
mod tokens;

use std::sync::Arc;

use cardata_store::directory::sqlite::SqliteDirectory;
use tempfile::TempDir;

/// Makes a test of each rule, over the directory that `$empty` makes. What `$empty` gives beside it lives as long.
macro_rules! every_rule {
    ($empty:path) => {
        every_rule! { $empty:
            customers::a_customer_comes_back_as_it_was_put_and_can_be_replaced
            customers::an_email_is_found_without_regard_to_case
            customers::an_email_belongs_to_one_customer_in_whatever_case
            customers::customers_are_listed_oldest_first
            customers::a_new_password_is_kept_and_changes_nothing_else
            customers::a_vehicle_comes_back_as_it_was_put_and_can_be_replaced
            customers::vehicles_are_listed_by_their_numbers
            customers::the_links_of_a_vehicle_are_those_of_all_its_customers_oldest_first
            customers::a_mapping_is_made_changed_and_ended
            customers::what_is_not_there_is_none
            clients::a_client_comes_back_as_it_was_put_and_can_be_replaced
            clients::a_deleted_client_is_still_found_and_listed
            clients::a_customer_has_the_clients_it_owns_oldest_first
            clients::clients_of_every_kind_are_listed_oldest_first
            consents::a_consent_comes_back_as_it_was_granted
            consents::a_consent_ends_once_and_the_first_reason_stays
            consents::of_two_who_end_a_consent_one_did
            consents::a_consent_that_ends_takes_its_tokens_and_no_others
            consents::a_customers_consents_are_listed_oldest_first_with_those_that_ended
            consents::the_consents_to_a_client_are_those_that_nobody_ended_oldest_first
            consents::a_fleet_has_the_primary_vehicles_of_those_who_consent_to_the_stream
            consents::a_fleet_has_a_vehicle_since_there_was_a_consent_at_each_moment
            consents::a_fleet_has_a_vehicle_until_the_last_of_its_consents_ends
            consents::a_consent_expires_at_the_second_at_which_it_is_good_no_longer
            choices::a_stream_configuration_is_replaced_whole
            choices::a_client_may_know_places_exactly_until_the_customer_chose
            choices::zones_come_back_as_they_were_added_by_name
            choices::a_zone_is_removed_once_and_by_its_customer_alone
            choices::a_customer_has_so_many_zones_and_no_more
            ledger::lines_come_back_as_they_were_appended_newest_first
            ledger::the_ledger_tells_of_clients_that_never_were_and_not_of_customers
            ledger::a_customer_is_shown_the_lines_of_one_account_alone
            ledger::the_record_of_consents_can_be_read_alone
            ledger::the_ledger_is_read_page_by_page
            ledger::old_lines_go_and_the_record_of_consents_stays
            ledger::the_number_of_a_line_that_went_is_not_given_again
            ledger::deliveries_add_up
            ledger::deliveries_are_counted_for_each_client_vehicle_and_channel
            ledger::deliveries_of_unknown_customers_and_clients_are_left_out
            requests::requests_of_a_day_are_those_that_were_put_last
            requests::requests_of_who_is_gone_are_left_out
            ingest::a_source_is_found_by_its_key_until_it_is_removed
            ingest::an_answer_is_kept_for_its_sender_and_key_until_it_is_old
            ingest::certificates_are_listed_by_their_serial_numbers_until_they_expire
            ingest::a_certificate_is_revoked_once_and_alone_or_with_all_of_its_vehicle
            deletion::of_a_deleted_customer_nothing_is_left
            deletion::a_deletion_touches_nothing_of_anybody_else
            deletion::a_customer_is_deleted_once
            deletion::a_deleted_customers_email_and_id_begin_anew
            deletion::what_comes_too_late_for_a_deleted_customer_leaves_nothing
            charging::the_search_goes_on_where_it_was_left
            charging::vehicles_with_a_plug_and_a_primary_are_searched
            charging::settled_sessions_stay_and_others_are_replaced
            charging::sessions_are_given_by_their_begin_newest_first
            charging::a_search_from_an_older_version_writes_nothing
            charging::what_was_forgotten_does_not_come_back
            charging::the_newest_two_thousand_sessions_of_a_vehicle_stay
            grants::a_grant_comes_back_as_it_was_added
            grants::a_user_code_is_compared_exactly_and_finds_the_newest
            grants::a_poll_is_noted
            grants::a_grant_moves_only_from_where_it_stands
            grants::an_approved_grant_keeps_how_long_the_consent_lasts
            grants::a_grant_that_expired_an_hour_ago_may_go_and_one_that_did_not_stays
            grants::an_exchange_adds_the_consent_and_its_tokens
            grants::an_exchange_from_another_state_adds_nothing
            grants::of_two_exchanges_at_a_time_exactly_one_wins
            grants::an_exchange_that_fails_half_way_leaves_nothing
            grants::an_exchange_whose_caller_goes_away_is_done_whole_or_not_at_all
            tokens::a_rotation_marks_the_used_token_once_and_adds_its_successors
            tokens::of_two_rotations_of_what_was_read_the_same_one_wins
            tokens::a_rotation_that_fails_half_way_leaves_nothing
            tokens::a_rotation_keeps_what_has_not_expired
            tokens::a_rotation_after_the_consents_end_adds_nothing
            tokens::of_a_consents_tokens_the_newest_thousand_stay
            tokens::an_access_token_is_revoked_once_and_alone
            tokens::a_clients_token_comes_back_as_it_was_added_and_is_revoked_once
            tokens::a_clients_tokens_are_revoked_together
            tokens::a_clients_expired_tokens_go_when_it_gets_the_next
            tokens::of_a_clients_tokens_the_thousand_that_expire_last_stay
            tokens::a_signing_key_is_removed_once_and_alone
            tokens::signing_keys_are_listed_newest_first
            containers::a_container_comes_back_as_it_was_added
            containers::containers_are_listed_for_customer_and_client_oldest_first
            containers::a_container_is_deleted_once_and_still_found
            containers::of_twenty_at_a_time_as_many_are_added_as_the_client_may_have
            containers::of_twenty_at_a_time_as_many_are_added_as_the_customer_may_have
            containers::a_deleted_one_does_not_count_for_the_client
            containers::a_deleted_one_counts_for_the_customer_until_its_time_is_over
            containers::other_clients_count_for_the_customer_only
            sessions::a_session_comes_back_as_it_was_put
            sessions::what_a_session_left_behind_is_there_until_it_is_connected_again
            sessions::what_speaks_of_events_that_a_crash_took_is_forgotten
            sessions::a_session_put_again_keeps_nothing_of_the_old
            sessions::sessions_differ_in_each_part_of_their_key
            sessions::cursors_move_in_many_sessions_at_once
            sessions::no_cursor_moves_back
            sessions::cursors_of_unknown_sessions_are_left_out
            sessions::a_removed_session_takes_its_cursors_along
            sessions::a_session_expires_only_after_its_connection_has_ended
            sessions::a_crash_gives_connected_sessions_their_time_and_others_no_more
            sessions::of_a_clients_sessions_the_hundred_that_were_put_last_stay
            sessions::the_sessions_of_a_client_at_a_customer_go_together
            sessions::a_customers_cursors_of_a_vehicle_go_in_every_session
            sessions::a_fleets_sessions_are_kept_like_a_customers
            sessions::what_fleets_may_read_no_longer_is_forgotten_and_nothing_else
            sessions::what_was_on_its_way_of_a_vehicle_goes_when_a_fleet_may_read_it_no_longer
        }
    };
    ($empty:path: $($noun:ident::$rule:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                let (directory, _kept) = $empty().await;
                crate::$noun::$rule(directory).await;
            }
        )+
    };
}

mod sqlite_file {
    every_rule!(super::in_a_file);
}

mod sqlite_memory {
    every_rule!(super::in_memory);
}

async fn in_a_file() -> (Arc<SqliteDirectory>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let directory = SqliteDirectory::open(&folder.path().join("directory.db")).await.unwrap();
    (Arc::new(directory), folder)
}

async fn in_memory() -> (Arc<SqliteDirectory>, ()) {
    (Arc::new(SqliteDirectory::in_memory().await.unwrap()), ())
}
