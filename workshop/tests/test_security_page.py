"""docs/security.md: each sentence of its lists is held by a test, named here."""

import ast
import re

import pytest

from workshop.tests.servers import ROOT

SECTIONS = (ROOT / "docs/security.md").read_text().split("\n## ")
LEFT_TO_YOU = "Your part"
SENTENCES = [
    sentence
    for section in SECTIONS
    if not section.startswith(LEFT_TO_YOU)
    for line in re.findall(r"^- (.+(?:\n  .+)*)", section, re.MULTILINE)
    for sentence in re.split(r"(?<=\.) (?=[A-Z])", " ".join(line.split()))
]
# How each begins, and the test, in workshop/tests where its path has no folder.
HELD = {
    "Nginx overwrites or drops": "stack/test_attacks.py::test_a_forged_header_changes_nothing",
    "Only proxies in": "test_proxies.py::test_the_last_address_that_no_trusted_proxy_has_is_the_visitors",
    "A host that": "stack/test_attacks.py::test_a_forged_host_is_refused",
    "Nginx and Gunicorn always agree": "stack/test_attacks.py::test_no_request_is_hidden_in_another",
    "No path leads": "stack/test_attacks.py::test_no_path_leads_out_of_the_static_files",
    "Ten thousand random": "stack/test_random_requests.py::"
    "test_ten_thousand_random_requests_break_nothing_and_tell_nobody_of_another",
    "TLS 1.2": "stack/test_https.py::test_testssl_finds_nothing_and_mozillas_intermediate_profile_holds",
    "HTTP redirects": "stack/test_https.py::test_http_is_sent_on_to_https_and_other_names_to_the_first",
    "Other hosts get": "stack/test_https.py::test_strangers_are_turned_away",
    "Certificates renew": "stack/test_https.py::test_a_renewed_certificate_is_taken_up_and_no_request_fails",
    "Pages are not compressed": "test_nginx.py::test_what_is_the_same_for_everybody_is_compressed_and_pages_are_not",
    "A page runs only": "test_headers.py::test_a_page_with_scripts_names_them_with_another_nonce_each_time",
    "Templates contain": "test_headers.py::"
    "test_a_template_holds_no_style_attribute_no_handler_and_no_script_without_a_nonce",
    "Error pages": "test_headers.py::test_a_request_that_is_refused_is_answered_with_the_same_headers",
    "A static file opened": "test_headers.py::test_a_static_file_is_closed_too",
    "No other site can frame": "test_headers.py::test_a_page_without_scripts_may_run_none",
    "A request that changes": "stack/test_forgeries.py::test_no_form_of_another_site_has_an_effect",
    "A WebSocket opens only": "stack/test_attacks.py::test_a_websocket_from_a_foreign_page_is_refused",
    "No other origin": "stack/test_attacks.py::test_no_foreign_page_may_read_an_answer",
    "No visitor's file": "test_files.py::test_no_trick_with_a_name_works",
    "Each file's name is random": "test_files.py::test_a_picture_is_shown_and_its_name_says_nothing",
    "The project does not start": "live/test_audience.py::"
    "test_a_topic_without_one_audience_stops_the_start_with_one_sentence",
    "A user who may not": "live/test_audience.py::"
    "test_at_the_door_those_who_may_not_get_403_and_nothing_of_what_is_inside",
    "A user who signs": "live/test_audience.py::test_who_loses_the_right_while_connected_is_cut_off_and_hears_no_more",
    "No answer reveals": "test_headers.py::test_no_version_of_anything_is_told",
    "An account allows": "apps/accounts/tests/test_guesses.py::"
    "test_many_addresses_together_get_no_more_than_so_many_guesses",
    "Ten guesses from": "apps/accounts/tests/test_guesses.py::"
    "test_neither_the_user_elsewhere_nor_other_accounts_are_locked_out",
    "A wrong password": "apps/accounts/tests/test_guesses.py::test_an_unknown_name_gets_the_same_answers",
    "A password reset tells": "apps/accounts/tests/test_guesses.py::"
    "test_a_forgotten_password_is_set_by_mail_and_tells_no_stranger_who_has_an_account",
    "With the second factor": "test_accounts.py::test_a_second_factor_is_one_line",
    "Weak passwords": "apps/accounts/tests/test_accounts.py::test_a_weak_password_is_refused",
    "Signing in starts": "stack/test_forgeries.py::test_signing_in_gives_another_session_and_another_token",
    "A session that": "stack/test_forgeries.py::test_a_session_that_somebody_else_has_chosen_is_not_taken_over",
    "Signing out ends": "stack/test_forgeries.py::test_a_session_ends_for_good_when_its_owner_signs_out",
    "Over HTTPS, cookies": "test_headers.py::"
    "test_over_https_a_cookie_is_of_this_host_alone_and_out_of_reach_of_scripts",
    "No `next`": "stack/test_forgeries.py::test_nobody_is_led_to_another_site",
    "Requests for pages": "stack/test_limits.py::"
    "test_who_asks_for_too_many_pages_gets_one_that_says_so_and_everything_else",
    "All addresses of": "stack/test_limits.py::test_all_addresses_of_an_ipv6_network_are_one_client",
    "A body over": "stack/test_limits.py::test_what_is_too_long_or_too_large_is_answered_with_a_page",
    "A thousand slow": "stack/test_slow_clients.py::test_a_thousand_slow_clients_keep_nobody_else_waiting",
    "A WebSocket that sends": "live/test_transports.py::test_too_many_messages_close_the_websocket",
    "So is a client": "test_worker.py::test_a_client_that_never_reads_holds_no_connection",
    "Every container has limits": "test_compose.py::test_a_service_has_limits_that_the_env_file_sets",
    "Logs cannot": "test_compose.py::test_a_service_keeps_a_bounded_log",
    "Connections to PostgreSQL": "test_environment.py::test_more_connections_than_postgresql_gives_are_refused",
    "No process runs": "stack/test_containers.py::test_no_process_has_the_rights_of_root_or_can_gain_any",
    "The root file system": "stack/test_containers.py::test_the_root_file_system_cannot_be_written",
    "Only Nginx can be reached": "stack/test_contract.py::test_only_nginx_is_published",
    "Nginx reaches": "stack/test_containers.py::test_nginx_reaches_the_servers_but_neither_the_database_nor_redis",
    "PostgreSQL and Redis have": "test_compose.py::test_the_data_can_be_reached_from_inside_alone",
    "In Redis the": "stack/test_containers.py::test_redis_does_for_the_project_what_that_needs_and_nothing_else",
    "No container can use": "test_compose.py::"
    "test_a_service_runs_unprivileged_on_a_read_only_root_without_capabilities",
    "Secrets are generated": "test_docker_scripts.py::"
    "test_configure_makes_an_env_file_and_a_folder_of_secrets_that_only_the_owner_reads",
    "A container has only": "test_compose.py::"
    "test_a_service_of_the_template_has_the_secrets_that_it_needs_and_no_others",
    "No secret is in an": "stack/test_containers.py::test_docker_tells_no_secret",
    "Logs contain": "logs/test_lines.py::test_no_secret_is_written",
    "No client can forge": "logs/test_lines.py::"
    "test_what_a_client_sends_makes_no_line_of_its_own_and_steers_no_terminal",
    "Names from failed": "apps/accounts/tests/test_guesses.py::"
    "test_neither_a_name_nor_a_password_is_logged_and_no_form_is_kept",
    "A backup is read back": "stack/test_backups.py::test_a_backup_that_is_not_what_was_written_is_not_kept",
    "A restore keeps": "stack/test_backups.py::"
    "test_a_file_of_this_machine_is_restored_and_what_was_there_is_kept_until_it_is_removed",
    "Copies elsewhere": "test_offsite.py::test_complete_backups_are_copied_and_none_is_replaced_or_removed",
    "`DEBUG` on": "test_environment.py::test_debug_on_a_public_address_is_refused",
    "Django's deployment": "stack/test_contract.py::test_the_deployment_check_is_silent",
    "Python packages": "test_security.py::test_nothing_is_installed_without_its_hash",
    "The image contains": "test_compose.py::test_no_secret_gets_into_the_image",
    "A CI job": "test_deploy.py::test_no_job_is_allowed_more_than_it_asks_for_and_none_keeps_the_token",
    "A deploy takes": "test_deploy.py::test_a_deploy_of_something_else_than_an_image_by_digest_to_a_host_is_refused",
    "It goes only": "stack/test_deploy.py::test_a_host_that_is_another_one_gets_nothing",
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_is_held_by_a_test(sentence):
    (place,) = {place for begin, place in HELD.items() if sentence.startswith(begin)}
    path, name = place.split("::")
    file = ROOT / path if path.startswith("apps/") else ROOT / "workshop/tests" / path
    tests = [node.name for node in ast.parse(file.read_text()).body if hasattr(node, "name")]
    assert name in tests


def test_no_test_is_named_for_a_sentence_that_is_gone():
    assert [begin for begin in HELD if not any(each.startswith(begin) for each in SENTENCES)] == []
