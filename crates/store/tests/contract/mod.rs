//! What every backend must do. A backend plugs in with a [`StoreFactory`] and `contract_suite!`.

pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod claims;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod finishes;
pub(crate) mod garbage;
pub(crate) mod logs;
pub(crate) mod monitor;
pub(crate) mod pages;
pub(crate) mod run_networks;
pub(crate) mod runs;
pub(crate) mod schedules;
pub(crate) mod sessions;
pub(crate) mod sign_in;
pub(crate) mod storages;
pub(crate) mod users;
pub(crate) mod values;
pub(crate) mod world;

use std::sync::Arc;

use async_trait::async_trait;
use vm0_store::Store;

/// One database, empty at first.
#[async_trait]
pub(crate) trait StoreFactory: Send + Sync {
    /// Opens the database, which may be open already.
    async fn open(&self) -> Arc<dyn Store>;
}

macro_rules! contract_suite {
    ($factory:expr; $($module:ident: $($test:ident),+;)+) => {$(
        mod $module {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let factory = $factory;
                    crate::contract::$module::$test(&factory).await;
                }
            )+
        }
    )+};
    ($factory:expr) => {
        contract_suite! {
            $factory;
            users:
                a_user_is_made_once,
                a_token_is_found_by_its_hash_with_its_owner,
                the_tokens_of_a_user_are_listed_newest_first,
                a_token_of_another_user_does_not_exist,
                a_use_is_not_replaced_by_an_earlier_one;
            devices:
                an_approved_code_gives_its_token_to_one_of_many_polls,
                a_code_is_decided_once,
                an_expired_code_is_worth_nothing,
                no_two_codes_are_alike_and_only_so_many_wait;
            sign_in:
                the_first_user_is_made_by_one_of_many_uses,
                a_link_for_the_first_user_is_void_once_there_is_one,
                a_link_of_a_user_signs_in_that_user_once_and_in_time,
                a_session_ends_with_its_token_or_by_itself,
                of_too_many_sessions_the_oldest_end;
            values:
                any_sequence_of_changes_is_that_of_a_map,
                a_value_of_another_user_does_not_exist,
                a_name_is_new_to_one_of_many_concurrent_puts,
                a_sample_is_empty_only_without_secrets;
            agents:
                composing_makes_finds_and_returns_to_versions,
                an_agent_of_another_user_does_not_exist,
                an_agent_with_an_active_run_stays_and_a_deleted_one_leaves_what_its_runs_say,
                an_agent_is_deleted_or_gets_a_run_but_not_both;
            storages:
                a_commit_moves_the_head_and_keeps_the_first_row,
                a_commit_that_expects_another_head_is_refused,
                only_one_of_two_commits_that_expect_the_same_head_wins,
                an_open_upload_is_found_by_what_it_uploads,
                uploads_expire_oldest_first,
                a_name_is_taken_once_for_each_kind,
                a_deleted_storage_takes_its_versions_and_uploads_along;
            runs:
                a_run_reads_back_as_it_was_created,
                concurrent_creates_with_one_key_make_one_run,
                a_key_is_free_after_a_day,
                a_session_takes_one_of_many_concurrent_runs,
                the_concurrency_limit_holds_under_concurrency,
                a_run_of_another_user_does_not_exist,
                a_run_of_an_unknown_agent_is_refused,
                a_cancelled_run_is_not_claimed_and_stays_cancelled;
            run_networks:
                a_changed_policy_is_numbered_and_handed_out_with_the_claim,
                concurrent_changes_of_a_policy_have_numbers_of_their_own,
                the_policy_of_a_run_that_ended_stays,
                a_run_gets_a_network_only_before_it_begins,
                the_policy_of_another_users_run_cannot_be_changed;
            claims:
                runs_are_claimed_in_order_of_creation,
                a_run_is_claimed_by_one_of_many_runners,
                a_claim_resolves_latest_and_hands_out_the_sealed_values_once,
                latest_is_of_the_volume_that_has_the_name_at_the_start,
                a_stale_epoch_changes_nothing,
                a_lease_that_is_not_renewed_ends_the_run,
                a_renewed_lease_does_not_expire;
            events:
                events_are_numbered_without_gaps,
                a_repeated_or_overlapping_batch_is_recorded_once,
                concurrent_batches_leave_neither_gap_nor_repeat,
                any_order_of_retries_records_each_event_once,
                events_of_a_run_that_ended_are_not_recorded,
                a_failing_transaction_does_not_affect_its_group;
            logs:
                entries_and_events_are_merged_by_time,
                a_walk_in_either_order_shows_each_entry_once,
                filters_keep_what_they_say,
                samples_are_recorded_once;
            finishes:
                a_completed_run_leaves_version_checkpoint_and_session,
                a_continued_run_moves_its_session_and_a_resumed_one_makes_another,
                a_run_makes_its_deleted_artifact_again,
                a_failed_run_keeps_its_files_without_moving_the_head,
                an_unchanged_workspace_is_not_salvaged,
                a_run_cancelled_before_its_report_stays_cancelled,
                a_cancelled_run_keeps_the_usage_that_is_told_first,
                a_repeated_report_changes_nothing,
                a_version_of_a_gone_storage_is_not_saved_into_its_successor,
                a_report_that_cannot_be_stored_leaves_nothing;
            schedules:
                a_schedule_reads_back_and_is_listed_newest_first,
                a_schedule_of_another_user_does_not_exist,
                a_user_has_as_many_schedules_as_allowed,
                what_is_due_is_given_with_its_owner_and_moves_on_once,
                a_schedule_that_is_off_is_not_due_and_switching_twice_changes_nothing,
                a_deleted_agent_takes_its_schedules_along;
            sessions:
                sessions_are_listed_newest_first_in_pages,
                a_session_shows_the_run_that_is_active_on_it;
            garbage:
                references_are_all_that_rows_name,
                telemetry_of_runs_that_ended_is_removed_in_pieces,
                a_salvaged_version_is_removed_unless_something_needs_it;
            pages:
                a_walk_shows_each_run_once_whatever_is_inserted,
                filters_apply_to_every_page;
            audit:
                an_action_leaves_its_line_and_a_refused_one_none,
                lines_are_read_in_pages_from_a_time_on;
            monitor:
                active_runs_of_all_users_are_counted;
        }
    };
}
