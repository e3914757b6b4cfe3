"""deploy/swarm/stack.yml, held to docker-compose.yml, and what deploy/swarm/stack says before it changes anything.
Neither needs an engine: workshop/tests/swarm has drills on one."""

import re
import shutil
import subprocess

import pytest
import yaml

from kit.serving import timeouts
from workshop.tests.servers import ROOT

from .test_compose import COMPOSE, SERVICES, seconds
from .test_docker_scripts import READS_ENV, needs_compose

SWARM = yaml.safe_load((ROOT / "deploy/swarm/stack.yml").read_text())
SAME = {
    "web": "web-blue",
    "live": "live-blue",
    "worker": "worker-blue",
    "migrate": "migrate",
    "files": "nginx-files",
    **{name: name for name in ("nginx", "waiting-room", "postgres", "redis", "backup")},
}
# Steps of a release and commands of make, which Compose runs in a service of above.
STEPS = {"image", "check", "safety", "smoke", "backup-job"}
# What one machine alone has: an authority asks it for the certificate, and offsite is a profile of docker-compose.yml.
OF_ONE_MACHINE = {"certificates", "offsite"}
each_service = pytest.mark.parametrize(("name", "compose"), SAME.items(), ids=SAME)
each_of_swarm = pytest.mark.parametrize("name", sorted(SWARM["services"]))

# Options that have to be the same in both, and what is different for a reason.
HELD = ["user", "read_only", "cap_drop", "logging", "init", "entrypoint", "command", "stop_grace_period", "secrets"]
DIFFERENT = {
    # No release reaches into these containers on other nodes: they look themselves.
    ("nginx", "command"): ["follow"],
    ("files", "command"): ["docker/nginx_files", "follow"],
    # It has done its work by then.
    ("files", "stop_grace_period"): "2s",
}
# Told in other words, which tests below hold together.
TRANSLATED = {
    "image", "environment", "env_file", "healthcheck", "volumes", "tmpfs", "shm_size", "networks", "ports",
    "mem_limit", "cpus", "pids_limit", "restart", "scale",
}  # fmt: skip
# Swarm ignores the first (daemon.json has it), and has no words for the next three. The others are the script's order.
DROPPED = {"security_opt", "memswap_limit", "cpu_shares", "group_add", "depends_on", "profiles", "build"}


def plain(value):
    """Without defaults: the script fills them in from .env.example."""
    return re.sub(r"\$\{(\w+):[-?][^}]*\}+", r"${\1}", value) if isinstance(value, str) else value


def plainly(value):
    if isinstance(value, dict):
        return {key: plainly(each) for key, each in value.items()}
    return [plainly(each) for each in value] if isinstance(value, list) else plain(value)


def swarm(name):
    return SWARM["services"][name]


def megabytes(text):
    return int(text.removesuffix("m")) * 2**20


def test_a_service_is_in_both_or_named_here():
    blue = {name for name in SERVICES if not name.endswith("-green")}
    assert set(SAME.values()) | OF_ONE_MACHINE == blue
    assert set(SAME) | STEPS == set(SWARM["services"])


@each_service
def test_an_option_of_compose_is_held_translated_or_knowingly_dropped(name, compose):
    assert set(SERVICES[compose]) - set(HELD) - TRANSLATED - DROPPED == set()
    for option in HELD:
        expected = DIFFERENT.get((name, option), plainly(SERVICES[compose].get(option)))
        assert swarm(name).get(option) == expected, option


@each_service
def test_an_image_is_that_of_compose_or_the_digest_of_the_project(name, compose):
    image = plain(SERVICES[compose]["image"])
    assert swarm(name)["image"] == ("${RELEASE}" if image.startswith("${COMPOSE_PROJECT_NAME}:") else image)


@each_service
def test_a_variable_has_its_value_of_compose(name, compose):
    expected = plainly(SERVICES[compose].get("environment", {}))
    if "SLOT" in expected:
        # The versions beside each other are containers of one service; and the budget of connections counts replicas.
        expected |= {"SLOT": "blue", "WEB_REPLICAS": "${WEB_REPLICAS}"}
        assert swarm(name)["env_file"] == [SERVICES[compose]["env_file"][0]["path"]]
    if name == "files":
        # What it publishes it knows again by the image.
        expected |= {"RELEASE": "${RELEASE}"}
    assert swarm(name).get("environment", {}) == expected


@each_service
def test_a_health_check_is_that_of_compose(name, compose):
    expected = plainly(SERVICES[compose].get("healthcheck"))
    if name in ("web", "live"):
        # READY_WITHIN counts from here, and no script looks before Swarm does.
        expected["start_period"] = "${STARTS_WITHIN}s"
    if name == "files":
        # There it ends.
        expected = {**SWARM["x-health"], "test": ["CMD", "test", "-e", "/tmp/followed"], "start_period": "120s"}
    assert swarm(name).get("healthcheck") == expected


@each_service
def test_a_limit_is_that_of_compose(name, compose):
    service = plainly(SERVICES[compose])
    limits = {"memory": service["mem_limit"], "cpus": service["cpus"], "pids": service["pids_limit"]}
    if name in ("migrate", "files"):
        assert service["mem_limit"] == "${WEB_MEMORY}"
    assert swarm(name)["deploy"]["resources"]["limits"] == limits


@each_service
def test_a_network_is_that_of_compose(name, compose):
    assert set(swarm(name)["networks"]) == set(SERVICES[compose]["networks"])
    inside = {network for network, options in COMPOSE["networks"].items() if (options or {}).get("internal")}
    assert {network for network, options in SWARM["networks"].items() if options.get("internal")} == inside


def mounts_of_compose(name):
    """By target: what is there, without the secrets of the project, for which `ours` in parts.sh stands."""
    service, found = SERVICES[name], {}
    for volume in service.get("volumes", []):
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            found[target] = source.removeprefix("./") if source.startswith("./") else (source, mode == ["ro"])
    for text in service.get("tmpfs", []):
        target, _, options = text.partition(":")
        found[target] = megabytes(re.search(r"size=(\d+m)", options)[1])
    if "shm_size" in service:
        found["/dev/shm"] = megabytes(service["shm_size"])
    return found


def mounts_of_swarm(name):
    found = {}
    for config in swarm(name).get("configs", []):
        found[config["target"]] = SWARM["configs"][config["source"]]["file"].removeprefix("./")
    for volume in swarm(name).get("volumes", []):
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            found[target] = (source, mode == ["ro"])
        else:
            assert volume["type"] == "tmpfs"
            found[volume["target"]] = volume["tmpfs"]["size"]
    return found


@each_service
def test_a_mount_is_that_of_compose(name, compose):
    assert mounts_of_swarm(name) == mounts_of_compose(compose)


def test_what_has_the_projects_own_secrets_on_one_machine_has_them_on_the_swarm():
    ours = re.search(r"^ours='(.*)'$", (ROOT / "deploy/swarm/parts.sh").read_text(), re.MULTILINE)[1].split()
    folder = {name for name, compose in SAME.items() if "./secrets/app" in str(SERVICES[compose].get("volumes"))}
    assert set(ours) == folder | {"check", "safety", "smoke"}


def test_a_secret_or_a_config_is_called_after_its_content():
    assert {name for name in COMPOSE["secrets"] if name != "backup_s3_secret"} == set(SWARM["secrets"])
    for name, each in {**SWARM["secrets"], **SWARM["configs"]}.items():
        variable = re.sub(r"\W", "_", name).upper()
        assert each["name"] == f"${{COMPOSE_PROJECT_NAME}}_{name}-${{HASH_{variable}}}"
        if name in COMPOSE["secrets"]:
            assert each["file"] == COMPOSE["secrets"][name]["file"]


def test_nginx_has_the_ports_of_each_node():
    port = {"target": 8080, "published": "${HTTP_PORT}", "protocol": "tcp", "mode": "host"}
    assert {name: each["ports"] for name, each in SWARM["services"].items() if "ports" in each} == {"nginx": [port]}
    on_each = {name for name in SAME if swarm(name)["deploy"].get("mode") == "global"}
    assert on_each == {"files", "nginx", "waiting-room"}


@pytest.mark.parametrize("name", ["web", "live", "worker"])
def test_a_server_is_replaced_once_the_next_one_is_healthy_and_swarm_goes_back_otherwise(name):
    deploy = swarm(name)["deploy"]
    count = {"web": "${WEB_REPLICAS}", "live": "${LIVE_REPLICAS}", "worker": "${WORKER_PROCESSES}"}[name]
    assert deploy["replicas"] == count
    assert plain(SERVICES["worker-blue"]["scale"]) == swarm("worker")["deploy"]["replicas"]
    update = {"parallelism": 1, "order": "start-first", "monitor": "2s"}
    assert deploy["update_config"] == {**update, "failure_action": "rollback"}
    assert deploy["rollback_config"] == {**update, "monitor": "1s"}
    assert seconds(swarm("web")["stop_grace_period"]) == timeouts.STOP_GRACE_PERIOD


@pytest.mark.parametrize("name", ["postgres", "redis", "backup", "backup-job"])
def test_data_is_on_the_node_with_the_label(name):
    deploy = swarm(name)["deploy"]
    assert deploy["placement"] == {"constraints": ["node.labels.${COMPOSE_PROJECT_NAME}.data == true"]}
    # Two would have one volume.
    assert "update_config" not in deploy
    assert deploy.get("replicas", 1) == 1


@each_of_swarm
def test_a_service_of_the_swarm_is_as_tightly_held_as_the_others(name):
    service = swarm(name)
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["user"] not in ("root", "0", "0:0")
    assert set(service["deploy"]["resources"]["limits"]) == {"memory", "cpus", "pids"}
    assert service["deploy"]["endpoint_mode"] == "dnsrr"
    # By it the script knows the stack for this project's.
    assert service["deploy"]["labels"]["release.project"] == "${COMPOSE_PROJECT_NAME}"
    once = service["deploy"].get("mode", "").endswith("-job")
    assert (service.get("healthcheck", {"disable": True}) == {"disable": True}) == once
    assert service["deploy"]["restart_policy"]["condition"] == ("none" if once else "any")


# --- What is wrong is said before anything is changed ---

NODES = """
    "info --format {{.ServerVersion}}") echo 28.2.2 ;;
    "compose version --short") echo 2.40.3 ;;
    "info --format {{.Swarm"*) echo 'active true' ;;
    "node ls --quiet") echo one ;;
    "node ls --format"*) echo 'one Ready Active' ;;
    "node inspect"*) echo 'true one' ;;
    "service ls"* | "service inspect"* | "ps"* | "config inspect"*) ;;
    *) echo "docker $*" >>calls; exit 1 ;;
"""


@pytest.fixture
def stack(tmp_path):
    """Calls deploy/swarm/stack in a copy, with a Docker of the test's own, which notes what would change anything."""
    for name in ("docker", "deploy"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in (".env.example", "docker-compose.yml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()

    def stack(*arguments, docker="", environment=(), **settings):
        (tmp_path / "bin/docker").write_text(f'#!/bin/sh\n{READS_ENV}\ncase "$*" in\n{docker}\n{NODES}\nesac\n')
        (tmp_path / "bin/docker").chmod(0o755)
        settings = {"ENGINE": "swarm", "IMAGE": "registry.example.com/shop", "TAG": "v1", **settings}
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        result = subprocess.run(
            [tmp_path / "deploy/swarm/stack", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path), **dict(environment)},
        )  # fmt: skip
        assert not (tmp_path / "calls").exists(), (tmp_path / "calls").read_text()
        return result

    return stack


SENTENCES = {
    "ENGINE is not swarm in .env: call make release.": {"ENGINE": "compose"},
    "This engine is in no swarm (inactive): docker swarm init, or set DOCKER_HOST to a manager.": {
        "docker": "'info --format {{.Swarm'*) echo 'inactive false' ;;"
    },
    "This engine is a worker of its swarm: call this on a manager, or set DOCKER_HOST to one.": {
        "docker": "'info --format {{.Swarm'*) echo 'active false' ;;"
    },
    "The node two does not answer: bring it back, or take it out: docker node update --availability drain two": {
        "docker": "'node ls --format'*) echo 'one Ready Active'; echo 'two Down Active' ;;"
    },
    "No node is labelled for the data: docker node update --label-add wisheasy.data=true NODE": {
        "docker": "'node inspect'*) echo ' one' ;;"
    },
    "Several nodes are labelled for the data (one two): docker node update --label-rm wisheasy.data NODE": {
        "docker": "'node inspect'*) echo 'true one'; echo 'true two' ;;"
    },
    "The stack runs on this machine by Compose (web-blue): stop it first (make down with ENGINE=compose).": {
        "docker": "'ps '*) echo web-blue ;;"
    },
    "The swarm has a stack wisheasy of another project (wisheasy_shop): set another COMPOSE_PROJECT_NAME in .env.": {
        "docker": "'service ls'*) echo id ;; 'service inspect'*' id') echo wisheasy_shop ;;"
    },
    "secrets/postgres_password is not the one that the database of this stack was made with: "
    "copy secrets/ from the machine that released before.": {
        "docker": "'service inspect'*Secrets*) echo wisheasy_postgres_password-of-another ;;"
    },
    "IMAGE is missing: set the name of the image in a registry that every node reaches, such as "
    "IMAGE=registry.example.com/wisheasy, in .env.": {"IMAGE": ""},
    "WEB_REPLICAS='some' is wrong: expected a number of 1 or more, in .env.": {"WEB_REPLICAS": "some"},
    "WEB_REPLICAS='0' is wrong: expected a number of 1 or more, in .env.": {"WEB_REPLICAS": "0"},
    "HTTP_PORT='127.0.0.1:8080' is wrong: expected a number of 1 or more, in .env.": {"HTTP_PORT": "127.0.0.1:8080"},
    "SITE_URL is https, and no node of a swarm asks an authority for a certificate: set ACME_DIRECTORY=off, and have "
    "it at the balancer or on the nodes (deploy/swarm/README.md).": {"SITE_URL": "https://www.example.com"},
}


@needs_compose
@pytest.mark.parametrize(("sentence", "wrong"), SENTENCES.items())
def test_what_is_wrong_is_one_sentence(stack, sentence, wrong):
    result = stack("release", **wrong)
    assert (result.returncode, result.stderr) == (1, f"{sentence}\n")


@needs_compose
def test_a_restore_names_what_it_needs_and_replaces_nothing_unconfirmed(stack):
    asked = "FILE is missing: make restore FILE=NAME, with a name that make backups lists, or the path of a file.\n"
    assert stack("restore").stderr == asked
    assert stack("nothing").stderr == "'nothing' is no command of this engine: make lists them.\n"


@needs_compose
@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("", []),
        ("check --deploy", ["check", "--deploy"]),
        ("shell -c 'print(\"a  b\")'", ["shell", "-c", 'print("a  b")']),
        # Neither a variable nor a function of the script.
        ("check $verb; down", ["check"]),
    ],
)
def test_manage_takes_a_command_as_a_shell_does(stack, given, taken):
    told = """'ps '*) echo c0ffee ;; 'exec '*) printf '%s\\n' "$@" ;;"""
    result = stack("manage", docker=told, environment={"CMD": given})
    assert result.stdout.splitlines() == ["exec", "--interactive", "c0ffee", "python", "manage.py", *taken]


UPDATE = """
calls=$(cat calls 2>/dev/null || echo 0)
case "$*" in
    *Spec.Name*UpdateStatus*) name='shop_web ' ;;
esac
case "$*" in
    *UpdateStatus*)
        echo $((calls + 1)) >calls
        case $calls in 0 | 1) echo "$name" ;; 2 | 3) echo "${name}updating" ;; *) echo "${name}completed" ;; esac ;;
    *'json .TaskTemplate.ContainerSpec'*) echo new ;;
    "service ps --quiet"*) echo task ;;
    "inspect --type task"*) [ $calls -ge 4 ] && echo new || echo old ;;
    "service ls"*) echo 'shop_web 2/2' ;;
esac
"""


def test_an_update_that_swarm_has_not_begun_with_is_not_taken_for_done(tmp_path):
    (tmp_path / "docker").write_text(f"#!/bin/sh\n{UPDATE}")
    (tmp_path / "docker").chmod(0o755)
    # Of the first seconds, which nothing but a busy manager needs.
    script = f"project=shop; sleep() {{ :; }}; cd {ROOT}; . deploy/swarm/parts.sh; cd {tmp_path}; settle 10 web"
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    result = subprocess.run(["bash", "-euc", script], env=path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert int((tmp_path / "calls").read_text()) > 4


FAILING = """
calls=$(cat calls 2>/dev/null || echo 0)
case "$*" in
    "service ps --no-trunc --format {{.ID}} {{.Name}}"*)
        echo $((calls + 1)) >calls
        echo 'new shop_web.2 image Starting 1 second ago'
        echo 'former shop_web.2 image Complete 2 minutes ago'
        [ $calls -lt 2 ] || echo "broken shop_web.1 $CAME_OF $ENDED 1 second ago"
        # Swarm's own way back.
        [ $calls -lt 4 ] || touch back ;;
    *Spec.Name*UpdateStatus*) [ -e back ] && echo 'shop_web rollback_started' || echo 'shop_web updating' ;;
    *UpdateStatus*) echo updating ;;
    "service ls"*) echo 'shop_web 2/2' ;;
    "service logs"*) echo 'its last words' ;;
esac
"""


@pytest.mark.parametrize(
    ("came_of", "ended", "looks"),
    # Unhealthy containers are stopped, so that many end well.
    [("image", "Failed", 3), ("image", "Complete", 3), ("image", "Shutdown", 6), ("other", "Failed", 6)],
)
def test_a_release_is_undone_at_its_first_container_that_fails(tmp_path, came_of, ended, looks):
    (tmp_path / "docker").write_text(f"#!/bin/sh\n{FAILING}")
    (tmp_path / "docker").chmod(0o755)
    script = f"project=shop; sleep() {{ :; }}; cd {ROOT}; . deploy/swarm/parts.sh; cd {tmp_path}; settle 60 web"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RELEASE": "image", "CAME_OF": came_of, "ENDED": ended}
    result = subprocess.run(["bash", "-euc", script], env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (1, "--- web:\nits last words\n")
    assert int((tmp_path / "calls").read_text()) == looks


NODE_LISTS = {
    "spread": ("one two", "two one", False),
    "all-on-one": ("one two", "two two", True),
    "one-too-many-at-most": ("one two", "two one two", False),
    "fewer-than-nodes": ("one two three", "two three", False),
    "on-the-only-node": ("one", "one one", False),
    "none": ("one two", "", False),
}


@pytest.mark.parametrize(("takes", "runs", "uneven"), NODE_LISTS.values(), ids=NODE_LISTS)
def test_a_node_without_a_container_is_noticed_unless_it_takes_none(takes, runs, uneven):
    script = f"""
    docker() {{
        case $1 in
            node) printf '%s Ready Active\\n' {takes}; echo 'drained Ready Drain'; echo 'lost Down Active' ;;
            service) printf '%s\\n' {runs} ;;
        esac
    }}
    project=shop; cd {ROOT}; . deploy/swarm/parts.sh; is_uneven web
    """
    result = subprocess.run(["bash", "-uc", script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0 if uneven else 1, "", "")
