"""docker-compose.yml and Dockerfile, held to the code without starting anything. What `each_service` is asked has to
hold for a service that a project adds, too; the lists are of the template's own."""

import re
from pathlib import Path

import pytest
import yaml

from kit.serving import modes, timeouts

from .test_env_example import read_by_settings

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
SLOTS = ["blue", "green"]
SERVERS = [f"{name}-{slot}" for slot in SLOTS for name in ("web", "live")]
WORKERS = [f"worker-{slot}" for slot in SLOTS]
ONCE = ["migrate", "nginx-files"]
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


@pytest.mark.parametrize("name", ["nginx", "certificates", "offsite", *SERVERS, *ONCE])
def test_what_is_asked_within_the_stack_takes_no_proxy_of_dockers_client(name):
    for variable in ("NO_PROXY", "no_proxy"):
        hosts = SERVICES[name]["environment"][variable].split(",")
        assert hosts[-1] == "${NO_PROXY:-}"
        assert {"localhost", "127.0.0.1", "::1", "nginx", "postgres", "redis", *SERVERS} <= set(hosts)


def mounts(name):
    """Source, target and whether it is read-only, of each volume of a service."""
    for volume in SERVICES[name].get("volumes", []):
        if isinstance(volume, dict):
            yield volume["source"], volume["target"], volume.get("read_only", False)
        else:
            source, target, *mode = volume.split(":")
            yield source, target, mode == ["ro"]


@each_service
def test_a_service_writes_in_volumes_with_a_name_and_in_a_bounded_part_of_memory_alone(name):
    assert all("size=" in text.partition(":")[2] for text in SERVICES[name].get("tmpfs", []))
    assert [source for source, _, read_only in mounts(name) if not read_only and source not in COMPOSE["volumes"]] == []


def test_only_what_makes_the_files_of_nginx_and_its_certificate_may_change_them():
    writers = {
        volume: [name for name in SERVICES if (volume, False) in {(s, read_only) for s, _, read_only in mounts(name)}]
        for volume in ("nginx", "certificates")
    }
    assert writers == {"nginx": ["nginx-files"], "certificates": ["nginx-files", "certificates"]}


@each_service
def test_a_service_has_limits_that_the_env_file_sets(name):
    service = SERVICES[name]
    assert re.fullmatch(r"\$\{[A-Z_]+_MEMORY:-\d+m\}", service["mem_limit"])
    # With swap: Docker's default is twice the memory.
    assert service["memswap_limit"] == service["mem_limit"]
    # More than 1 by default would be refused on a machine with one.
    assert re.fullmatch(r"\$\{[A-Z_]+_CPUS:-1\}", service["cpus"])
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
    for name, needed in [("nginx", "nginx-files"), *((name, "migrate") for name in SERVERS)]:
        assert SERVICES[name]["depends_on"][needed] == {"condition": "service_completed_successfully"}


def test_only_nginx_is_published():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    https = "${HTTPS_PORT:-127.0.0.1:}:8443"
    assert SERVICES["nginx"]["ports"] == ["${HTTP_PORT:-8080}:8080", https, f"{https}/udp"]


def test_nginx_reaches_the_servers_and_not_the_data():
    assert SERVICES["nginx"]["networks"] == ["frontend"]
    assert {"nginx", "waiting-room", *SERVERS, "certificates"} <= {
        name for name, service in SERVICES.items() if "frontend" in service["networks"]
    }
    # What it writes is the bodies of requests, and nothing that is served.
    assert [target for _, target, read_only in mounts("nginx") if not read_only] == ["/tmp/client_body"]
    assert {"postgres", "redis", "backup"} & {
        name for name, service in SERVICES.items() if "frontend" in service["networks"]
    } == set()
    assert COMPOSE["networks"]["data"] == {"internal": True}


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_the_data_can_be_reached_from_inside_alone(name):
    assert SERVICES[name]["networks"] == ["data"]
    assert "ports" not in SERVICES[name]


def test_what_speaks_to_a_database_elsewhere_has_a_way_out():
    outward = {network for network, options in COMPOSE["networks"].items() if not (options or {}).get("internal")}
    assert all(outward & set(SERVICES[name]["networks"]) for name in [*SERVERS, *WORKERS, "migrate", "backup"])


# --- Secrets ---

OF_THE_PROJECT = ["secret_key", "database_url", "redis_url"]
SECRETS = {
    **dict.fromkeys([*SERVERS, *WORKERS, *ONCE], OF_THE_PROJECT),
    "postgres": ["postgres_password"],
    "redis": ["redis_password"],
    "backup": ["database_url"],
    "offsite": ["backup_s3_secret"],
}


@pytest.mark.parametrize(
    "name",
    [*SERVERS, *WORKERS, *ONCE, "nginx", "waiting-room", "certificates", "postgres", "redis", "backup", "offsite"],
)
def test_a_service_of_the_template_has_the_secrets_that_it_needs_and_no_others(name):
    assert SERVICES[name].get("secrets", []) == SECRETS.get(name, [])


def test_a_secret_is_a_file_of_the_folder_that_only_its_owner_may_enter():
    assert COMPOSE["secrets"] == {name: {"file": f"./secrets/{name}"} for name in COMPOSE["secrets"]}


@pytest.mark.parametrize("name", [*SERVERS, *WORKERS, *ONCE])
def test_whatever_reads_the_settings_has_the_secrets_and_the_variables_of_the_project(name):
    service = SERVICES[name]
    assert ("./secrets/app", "/run/secrets/app", True) in set(mounts(name))
    # Docker would make the folder as root's.
    assert [v["bind"] for v in service["volumes"] if isinstance(v, dict)] == [{"create_host_path": False}]
    assert service["env_file"] == [{"path": ".env.names", "required": False}]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {*SERVERS, *WORKERS, *ONCE}))
def test_the_secrets_of_the_project_are_in_no_container_of_anything_else(name):
    template = {"nginx", "waiting-room", "certificates", "postgres", "redis", "backup", "offsite"}
    assert name not in template or not [source for source, _, _ in mounts(name) if source.startswith("./secrets")]


def test_no_secret_gets_into_the_image():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert [line for line in lines if line.startswith("!") and re.search(r"secrets|\.env(?!\.example$)|\*", line)] == []


@each_service
def test_no_secret_is_in_the_environment_or_the_command_of_a_service(name):
    service = SERVICES[name]
    # As docker/configure knows them, in any spelling.
    secret = re.compile(r"secret|password|database_url|redis_url", re.IGNORECASE)
    files = {variable: value for variable, value in service.get("environment", {}).items() if secret.search(variable)}
    assert all(value == f"/run/secrets/{variable.removesuffix('_FILE').lower()}" for variable, value in files.items())
    commands = [service.get("entrypoint"), service.get("command"), service.get("healthcheck", {}).get("test")]
    assert not secret.search(str(commands))
    # What Compose fills in comes from .env, where there are none.
    assert not secret.search(" ".join(re.findall(r"\$\{(\w+)", str(service))))


@pytest.mark.parametrize("name", SERVERS)
def test_docker_waits_longer_for_a_server_to_stop_than_gunicorn_does(name):
    assert seconds(SERVICES[name]["stop_grace_period"]) == timeouts.STOP_GRACE_PERIOD > timeouts.GRACEFUL


@pytest.mark.parametrize("slot", SLOTS)
def test_a_slot_has_as_many_workers_in_each_mode_as_the_env_file_says(slot):
    worker, web = SERVICES[f"worker-{slot}"], SERVICES[f"web-{slot}"]
    assert worker["profiles"] == web["profiles"]
    assert (worker["environment"], worker["image"]) == (web["environment"], web["image"])
    assert worker["scale"] == web["environment"]["WORKER_PROCESSES"] == "${WORKER_PROCESSES:-1}"
    assert seconds(worker["stop_grace_period"]) > seconds(web["stop_grace_period"])


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize(("mode", "row"), modes.MODES.items(), ids=modes.MODES)
def test_a_slot_has_a_live_service_exactly_in_the_modes_that_have_two_servers(mode, row, slot):
    assert f"{slot}-{mode}" in SERVICES[f"web-{slot}"]["profiles"]
    assert (f"{slot}-{mode}" in SERVICES[f"live-{slot}"]["profiles"]) == (len(row.servers()) == 2)


@pytest.mark.parametrize("name", [*SERVERS, *WORKERS, "migrate"])
def test_every_variable_of_the_settings_reaches_the_containers(name):
    given = {variable.removesuffix("_FILE") for variable in SERVICES[name]["environment"]}
    image = re.findall(r"^(?:ENV)?\s+([A-Z_]+)=\S+ *\\?$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    # Gunicorn's default port is the one that Nginx asks; a secret of secrets/app is found without a variable; a
    # slot has one server of each kind.
    assert read_by_settings() - given - set(image) == {
        "PORT", "CACHE_URL", "EMAIL_URL", "MEDIA_STORE", "SENTRY_DSN", "WEB_REPLICAS",
    }  # fmt: skip


def test_postgresql_takes_the_connections_that_the_check_reckons_with():
    maximum = SERVICES["web-blue"]["environment"]["DATABASE_MAX_CONNECTIONS"]
    assert f"max_connections={maximum}" in SERVICES["postgres"]["command"]


def test_the_database_is_in_a_volume_with_a_name():
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert "postgres" in COMPOSE["volumes"]


@pytest.mark.parametrize("slot", SLOTS)
def test_a_slot_runs_one_image_with_one_environment_whatever_is_asked_of_it(slot):
    web, live, migrate, nginx_files = (SERVICES[name] for name in (f"web-{slot}", f"live-{slot}", *ONCE))
    image = "${COMPOSE_PROJECT_NAME:-wisheasy}:"
    assert web["image"] == live["image"] == f"{image}{slot}"
    assert migrate["image"] == nginx_files["image"] == image + "${SLOT:-blue}"
    assert web["environment"] == {**migrate["environment"], "SLOT": slot}
    assert live["environment"] == {**web["environment"], "SERVER_ROLE": "live"}


def test_the_image_ends_unprivileged_and_starts_without_a_shell():
    final = (ROOT / "Dockerfile").read_text().rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert re.search(r'^CMD \["', final, re.MULTILINE)
    assert {SERVICES[name]["user"] for name in [*SERVERS, *ONCE]} == {"10001:10001"}


# --- make dev-docker ---


class Loader(yaml.SafeLoader):
    """Knows the tag of Compose by which a list takes the place of another."""


Loader.add_constructor("!override", Loader.construct_sequence)
DEV = yaml.load((ROOT / "docker-compose.dev.yml").read_text(), Loader)


def test_the_stack_to_work_in_has_secrets_of_its_own():
    needed = {"secret_key", "database_url", "redis_url", "postgres_password", "redis_password"}
    assert needed <= set(DEV["secrets"]) <= set(COMPOSE["secrets"])
    assert DEV["secrets"] == {name: {"file": f"./var/dev/{name}"} for name in DEV["secrets"]}


def test_the_stack_to_work_in_writes_nothing_into_the_checkout():
    volumes = [text for service in DEV["services"].values() for text in service.get("volumes", [])]
    assert volumes
    assert [text for text in volumes if not text.endswith(":ro")] == []


@pytest.mark.parametrize("name", sorted(DEV["services"]))
def test_the_stack_to_work_in_has_the_rights_of_the_other(name):
    assert set(DEV["services"][name]) <= {"environment", "restart", "tty", "volumes", "command", "ports"}
    assert name in SERVICES


def test_mails_are_shown_where_nginx_is_published_for_this_machine_alone():
    """Whatever .env says: a forged Host would do elsewhere."""
    published = [text for service in DEV["services"].values() for text in service.get("ports", [])]
    assert published == ["127.0.0.1:${PORT:-8000}:8080"]
    assert "ports: !override" in (ROOT / "docker-compose.dev.yml").read_text()
    assert {SERVICES[name]["environment"]["DEV_MAIL"] for name in [*SERVERS, *WORKERS, "migrate"]} == {"0"}
