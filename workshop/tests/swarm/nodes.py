"""Two machines with an engine each, joined to a swarm, and a registry beside them: containers of this machine's engine.

    python -m workshop.tests.swarm.nodes up      make them; twice is no harm
    python -m workshop.tests.swarm.nodes env     print where they are, for `eval`
    python -m workshop.tests.swarm.nodes down    remove them and what they hold

The nodes pull postgres:18 and the like from the registry, which is the mirror of Docker Hub to them."""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

# Two checkouts on one machine need two labs: SWARM_LAB is the number of theirs, 0 to 255.
LAB = int(os.environ.get("SWARM_LAB", "0"))
NAME = f"wisheasy-swarm-{LAB}"
# Apart from what engines choose by themselves, for a swarm's overlay networks as well.
NET = f"10.213.{LAB}"
REGISTRY = f"{NET}.10:5000"
NODES = {"one": f"{NET}.11", "two": f"{NET}.12"}
MANAGER = "one"
# `eval` of what `env` prints does not turn this module to a node.
HERE = "unix:///var/run/docker.sock"
# What the project's image is called.
IMAGE = f"{REGISTRY}/wisheasy"
# Of this machine's engine, which has them since the tests of the stack.
BASES = ("python:3.13-slim", "nginx:1.30", "postgres:18", "redis:8")
DAEMON = {
    "hosts": ["unix:///run/docker.sock", "tcp://0.0.0.0:2375"],
    "tls": False,
    # A stack file can't say it.
    "no-new-privileges": True,
    "insecure-registries": [REGISTRY],
    "registry-mirrors": [f"http://{REGISTRY}"],
    "storage-driver": "overlay2",
}
STORE = {
    "version": 0.1,
    "storage": {"filesystem": {"rootdirectory": "/var/lib/registry"}, "delete": {"enabled": True}},
    "http": {"addr": ":5000"},
}
# With cgroup v2 a group that has groups may have no processes; a machine that was killed leaves its pid files.
START = """
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p /sys/fs/cgroup/init
    xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs || :
    sed 's/^/+/; s/ / +/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
fi
rm -f /run/docker.pid /run/docker/containerd/containerd.pid
mkdir -p /etc/docker
printf %s "$1" >/etc/docker/daemon.json
exec dockerd >>/var/log/dockerd 2>&1
"""


def container(name: str) -> str:
    return f"{NAME}-{name}"


def address(node: str) -> str:
    """What DOCKER_HOST is for that node."""
    return f"tcp://{NODES[node]}:2375"


def docker(*command: str, node: str | None = None, check: bool = True, stdin: str | None = None) -> str:
    """What a command prints that is given to the engine of a node, or to that of this machine."""
    where = ["--host", address(node) if node else HERE]
    result = subprocess.run(
        ["docker", *where, *command], input=stdin, capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0 or not check, f"docker {' '.join(command)}\n{result.stderr[-3000:]}"
    return result.stdout.strip()


def on(node: str, *command: str, check: bool = True) -> str:
    """What a command prints that runs on that machine, beside its engine."""
    return docker("exec", container(node), *command, check=check)


def wait_for(condition, what: str, within: float = 60):
    end = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} took more than {within:.0f} s"
        time.sleep(0.2)
    return value


def up() -> None:
    docker("build", "--quiet", "--tag", f"{NAME}-node", "--file", str(Path(__file__).with_name("node.Dockerfile")),
           str(Path(__file__).parent))  # fmt: skip
    if not docker("network", "ls", "--quiet", "--filter", f"name=^{NAME}$"):
        docker("network", "create", "--subnet", f"{NET}.0/24", "--ip-range", f"{NET}.128/25", NAME)
    # Debian's asks for a password. Nothing but the nodes reaches this one.
    script = 'printf %s "$1" >/etc/registry.yml && exec docker-registry serve /etc/registry.yml'
    _run(
        "registry", REGISTRY.partition(":")[0], "sh", "-c", script, "sh", json.dumps(STORE), folder="/var/lib/registry"
    )
    for node, ip in NODES.items():
        _run(node, ip, "sh", "-c", START, "sh", json.dumps(DAEMON), folder="/var/lib/docker", privileged=True)
    for node in NODES:
        wait_for(partial(docker, "info", "--format", "{{.ID}}", node=node, check=False), f"the engine of {node}")
    _join()
    _fill_the_mirror()


def _run(name: str, ip: str, *command: str, folder: str, privileged: bool = False) -> None:
    if docker("ps", "--quiet", "--filter", f"name=^{container(name)}$"):
        return
    if docker("ps", "--all", "--quiet", "--filter", f"name=^{container(name)}$"):
        docker("start", container(name))
        return
    docker("run", "--detach", "--init", "--name", container(name), "--hostname", name, "--network", NAME, "--ip", ip,
           *(["--privileged"] if privileged else []), "--volume", f"{container(name)}:{folder}",
           f"{NAME}-node", *command)  # fmt: skip


def _join() -> None:
    state = ("info", "--format", "{{.Swarm.LocalNodeState}}")
    if docker(*state, node=MANAGER) != "active":
        docker("swarm", "init", "--advertise-addr", NODES[MANAGER], node=MANAGER)
    token = docker("swarm", "join-token", "--quiet", "worker", node=MANAGER)
    for node in NODES:
        if docker(*state, node=node) != "active":
            docker("swarm", "join", "--token", token, f"{NODES[MANAGER]}:2377", node=node)


def _fill_the_mirror() -> None:
    for base in BASES:
        name = f"{REGISTRY}/library/{base}"
        if docker("image", "inspect", "--format", "{{.Id}}", base, node=MANAGER, check=False):
            continue
        if not docker("image", "inspect", "--format", "{{.Id}}", base, check=False):
            docker("pull", "--quiet", base)
        images = subprocess.Popen(["docker", "--host", HERE, "save", base], stdout=subprocess.PIPE)
        subprocess.run(["docker", "--host", address(MANAGER), "load"], stdin=images.stdout, check=True, timeout=600,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        docker("tag", base, name, node=MANAGER)
        docker("push", "--quiet", name, node=MANAGER)


def cut_off(node: str) -> None:
    """As when a cable is pulled: nobody is told."""
    on(node, "ip", "link", "set", "eth0", "down")


def reach_again(node: str) -> None:
    on(node, "ip", "link", "set", "eth0", "up")
    on(node, "ip", "route", "replace", "default", "via", f"{NET}.1")


def down() -> None:
    for name in (*NODES, "registry"):
        docker("rm", "--force", "--volumes", container(name), check=False)
        docker("volume", "rm", "--force", container(name), check=False)
    docker("network", "rm", NAME, check=False)


def environment() -> dict[str, str]:
    return {
        "DOCKER_HOST": address(MANAGER),
        "DOCKER_HOST_TWO": address("two"),
        "IMAGE": IMAGE,
        **{f"NODE_{node.upper()}": ip for node, ip in NODES.items()},
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up"]:
            up()
        case ["down"]:
            down()
        case ["env"]:
            print("\n".join(f"export {name}={value}" for name, value in environment().items()))
        case _:
            sys.exit(__doc__)
