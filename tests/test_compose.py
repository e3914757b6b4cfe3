"""docker-compose.yml and Dockerfile, held to the code without starting anything."""

import re
from pathlib import Path

import pytest
import yaml

from wisheasy.serving import modes, timeouts

from .test_env_example import read_by_settings

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
SLOTS = ["blue", "green"]
SERVERS = [f"{name}-{slot}" for slot in SLOTS for name in ("web", "live")]
ONCE = ["migrate", "edge"]
each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text)[1])


@each_service
def test_a_service_runs_unprivileged_on_a_read_only_root_without_capabilities(name):
    service = SERVICES[name]
    assert service["user"] not in ("root", "0", "0:0")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)


@each_service
def test_a_service_has_limits_that_the_env_file_sets(name):
    service = SERVICES[name]
    assert re.fullmatch(r"\$\{[A-Z]+_MEMORY:-\d+m\}", service["mem_limit"])
    # More than 1 by default would be refused on a machine with one.
    assert re.fullmatch(r"\$\{[A-Z]+_CPUS:-1\}", service["cpus"])
    assert service["pids_limit"] > 0


@each_service
def test_a_service_keeps_a_bounded_log(name):
    logging = SERVICES[name]["logging"]
    assert logging["driver"] == "json-file"
    assert set(logging["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(ONCE)))
def test_a_service_that_stays_has_a_health_check_and_is_restarted(name):
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_what_runs_once_is_done_before_what_needs_it():
    assert [SERVICES[name]["restart"] for name in ONCE] == ["no", "no"]
    for name, needed in [("nginx", "edge"), *((name, "migrate") for name in SERVERS)]:
        assert SERVICES[name]["depends_on"][needed] == {"condition": "service_completed_successfully"}


def test_only_nginx_is_published():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert SERVICES["nginx"]["ports"] == ["${HTTP_PORT:-8080}:8080"]


def test_nginx_reaches_the_servers_and_not_the_data():
    assert SERVICES["nginx"]["networks"] == ["edge"]
    assert [name for name, service in SERVICES.items() if "edge" in service["networks"]] == ["nginx", *SERVERS]
    assert SERVICES["nginx"]["volumes"] == ["edge:/edge:ro"]
    assert COMPOSE["networks"]["data"] == {"internal": True}


@pytest.mark.parametrize("name", SERVERS)
def test_docker_waits_longer_for_a_server_to_stop_than_gunicorn_does(name):
    assert seconds(SERVICES[name]["stop_grace_period"]) == timeouts.STOP_GRACE_PERIOD > timeouts.GRACEFUL


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize(("mode", "row"), modes.MODES.items(), ids=modes.MODES)
def test_a_slot_has_a_live_service_exactly_in_the_modes_that_have_two_servers(mode, row, slot):
    assert f"{slot}-{mode}" in SERVICES[f"web-{slot}"]["profiles"]
    assert (f"{slot}-{mode}" in SERVICES[f"live-{slot}"]["profiles"]) == (len(row.servers()) == 2)


@pytest.mark.parametrize("name", [*SERVERS, "migrate"])
def test_every_variable_of_the_settings_reaches_the_containers(name):
    image = re.findall(r"^\s+([A-Z_]+)=\S+ *\\?$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    # Gunicorn's default port is the one that Nginx asks.
    assert read_by_settings() - set(SERVICES[name]["environment"]) - set(image) == {"PORT"}


def test_postgresql_takes_the_connections_that_the_check_reckons_with():
    maximum = SERVICES["web-blue"]["environment"]["DATABASE_MAX_CONNECTIONS"]
    assert f"max_connections={maximum}" in SERVICES["postgres"]["command"]


def test_the_database_is_in_a_volume_with_a_name():
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert "postgres" in COMPOSE["volumes"]


@pytest.mark.parametrize("slot", SLOTS)
def test_a_slot_runs_one_image_with_one_environment_whatever_is_asked_of_it(slot):
    web, live, migrate, edge = (SERVICES[name] for name in (f"web-{slot}", f"live-{slot}", *ONCE))
    image = "${COMPOSE_PROJECT_NAME:-wisheasy}:"
    assert web["image"] == live["image"] == f"{image}{slot}"
    assert migrate["image"] == edge["image"] == image + "${SLOT:-blue}"
    assert web["environment"] == {**migrate["environment"], "SLOT": slot}
    assert live["environment"] == {**web["environment"], "UPSTREAM": "live"}


def test_the_image_ends_unprivileged_and_starts_without_a_shell():
    final = (ROOT / "Dockerfile").read_text().rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r'^CMD \["', final, re.MULTILINE)
    assert {SERVICES[name]["user"] for name in [*SERVERS, *ONCE]} == {"10001:10001"}
