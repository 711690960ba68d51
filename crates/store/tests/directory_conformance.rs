//! The rules that every directory keeps, run over each implementation.
//!
//! A rule is an `async fn` that gets an empty directory. A further implementation needs a function that makes one, and
//! a line below.

#![expect(clippy::unwrap_used, reason = "a rule that fails should panic where it fails")]

#[path = "directory_conformance/containers.rs"]
mod containers;
#[path = "directory_conformance/customers.rs"]
mod customers;
#[path = "directory_conformance/grants.rs"]
mod grants;
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
            customers::a_vehicle_comes_back_as_it_was_put_and_can_be_replaced
            customers::a_mapping_is_made_changed_and_ended
            customers::a_client_comes_back_as_it_was_put_and_can_be_replaced
            customers::a_customer_has_the_clients_it_owns_oldest_first
            customers::what_is_not_there_is_none
            grants::a_grant_comes_back_as_it_was_added
            grants::a_user_code_is_compared_exactly_and_finds_the_newest
            grants::a_poll_is_noted
            grants::a_grant_moves_only_from_where_it_stands
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
            tokens::a_revoked_consent_is_not_active_and_is_revoked_once
            tokens::a_revoked_consent_takes_its_tokens_and_no_others
            tokens::a_rotation_after_the_revocation_adds_nothing
            tokens::of_a_consents_tokens_the_newest_thousand_stay
            tokens::signing_keys_are_listed_newest_first
            containers::a_container_comes_back_as_it_was_added
            containers::containers_are_listed_for_customer_and_client_oldest_first
            containers::a_container_is_deleted_once_and_still_found
            containers::of_twenty_at_a_time_as_many_are_added_as_the_client_may_have
            containers::of_twenty_at_a_time_as_many_are_added_as_the_customer_may_have
            containers::a_deleted_one_does_not_count_for_the_client
            containers::a_deleted_one_counts_for_the_customer_until_its_time_is_over
            containers::other_clients_count_for_the_customer_only
            sessions::a_session_expires_only_after_its_connection_has_ended
            sessions::a_crash_gives_connected_sessions_their_time_and_others_no_more
            sessions::a_session_comes_back_as_it_was_put
            sessions::a_session_put_again_keeps_nothing_of_the_old
            sessions::what_a_session_left_behind_is_there_until_it_is_connected_again
            sessions::what_speaks_of_events_that_a_crash_took_is_forgotten
            sessions::sessions_differ_in_each_part_of_their_key
            sessions::cursors_move_in_many_sessions_at_once
            sessions::no_cursor_moves_back
            sessions::cursors_of_unknown_sessions_are_left_out
            sessions::a_removed_session_takes_its_cursors_along
            sessions::of_a_clients_sessions_the_hundred_that_were_put_last_stay
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
