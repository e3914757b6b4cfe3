"""deploy/kubernetes: what kustomize makes of it, held to the newest schemas, to docker-compose.yml and to the code."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from kit.ops import health
from kit.serving import modes, timeouts
from workshop.tests.servers import ROOT
from workshop.tests.shells import SHELLS, tools

from .test_compose import SERVICES, seconds

KUBERNETES = ROOT / "deploy/kubernetes"
# The folders beside the overlays that an owner adds in site/.
ADDITIONS = ("autoscale", "ingress", "gateway")
# Defined by what is installed in a cluster, and not by Kubernetes.
ELSEWHERE = {"HTTPRoute"}
COMPONENT = "app.kubernetes.io/component"
COMPOSE_SERVICES = {
    "web": "web-blue",
    "live": "live-blue",
    "nginx": "nginx",
    "worker": "worker-blue",
    "migrate": "migrate",
}
DEPLOYMENTS = ["live", "nginx", "web", "worker"]
SERVERS = ["live", "web"]
each_mode = pytest.mark.parametrize("mode", modes.MODES)


def kustomize(folder):
    # That of the pinned packages.
    command = [Path(sys.executable).parent / "kubectl", "kustomize", folder]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


@functools.cache
def overlay(mode):
    return kustomize(KUBERNETES / "overlays" / mode)


def objects(mode="hybrid"):
    return {(each["kind"], re.sub("-[a-z0-9]{10}$", "", each["metadata"]["name"])): each for each in overlay(mode)}


def pod(name):
    return objects()["Job" if name == "migrate" else "Deployment", name]["spec"]["template"]["spec"]


def container(name):
    return pod(name)["containers"][0]


def containers(name):
    return pod(name).get("initContainers", []) + pod(name)["containers"]


def validate(manifests):
    for manifest in manifests:
        if manifest["kind"] not in ELSEWHERE:
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def added(folder, mode, *names):
    """What an owner gets with these folders in site/."""
    lead = os.path.relpath(KUBERNETES, folder)
    (folder / "kustomization.yaml").write_text(
        yaml.dump(
            {
                "kind": "Kustomization",
                "resources": [f"{lead}/overlays/{mode}"],
                "components": [f"{lead}/{name}" for name in names],
            }
        )
    )
    return kustomize(folder)


# --- The schemas ---


@each_mode
def test_every_manifest_is_as_the_newest_schemas_want_it(mode):
    validate(overlay(mode))


@each_mode
@pytest.mark.parametrize("name", ADDITIONS)
def test_what_an_owner_adds_is_as_the_newest_schemas_want_it(name, mode, tmp_path):
    manifests = added(tmp_path, mode, name)
    validate(manifests)
    assert len(manifests) == len(overlay(mode)) + 1


MISTAKES = {
    "a word in the wrong spelling": ("readOnlyRootFilesystem", "readonlyRootFilesystem"),
    "a text for a number": ("terminationGracePeriodSeconds: 65", "terminationGracePeriodSeconds: 65s"),
    "a field in the wrong place": ("  replicas: 2", "  replicas: 2\n  restartPolicy: Always"),
}


@pytest.mark.parametrize(("right", "wrong"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found(right, wrong):
    text = yaml.dump_all(overlay("wsgi"))
    assert right in text
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(yaml.safe_load_all(text.replace(right, wrong, 1)))


# --- The same as docker-compose.yml ---


def default(value):
    """What Compose gives without .env."""
    while isinstance(value, str) and (inner := re.sub(r"\$\{\w+(?::-|:\?)?([^{}]*)\}", r"\1", value)) != value:
        value = inner
    return value


def test_the_servers_are_given_what_compose_gives_them():
    of_compose = SERVICES["web-blue"]["environment"]
    settings = objects()["ConfigMap", "settings"]["data"]
    fixed = {each["name"]: each["value"] for each in container("web")["env"]}
    assert {*settings, *fixed} - {"WEB_REPLICAS"} == {*of_compose} - {"NO_PROXY", "no_proxy", "WEB_REPLICAS"}
    expected = {name: default(of_compose[name]) for name in settings if name in of_compose}
    assert {**settings, **expected} == settings | {"SERVER_MODE": expected["SERVER_MODE"]}
    for name, value in fixed.items():
        assert value == default(of_compose[name]).replace("/run/secrets/", "/run/secrets/project/")


@each_mode
def test_an_overlay_is_of_its_mode_and_has_a_live_deployment_where_there_are_two_servers(mode):
    assert objects(mode)["ConfigMap", "settings"]["data"]["SERVER_MODE"] == mode
    has_two = len(modes.MODES[mode].servers()) == 2
    assert ("Deployment", "live") in objects("hybrid")
    assert {name == "live" for _, name in objects(mode)} == ({True, False} if has_two else {False})


def test_live_is_web_in_another_role():
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        text = yaml.dump(objects()[kind, "live"])
        text = text.replace("value: live", "value: pages") if kind == "Deployment" else text
        assert text.replace("component: live", "component: web").replace("name: live", "name: web") == yaml.dump(
            objects()[kind, "web"]
        )


@pytest.mark.parametrize(("name", "service"), COMPOSE_SERVICES.items())
def test_limits_are_those_of_compose(name, service):
    limits = container(name)["resources"]["limits"]
    assert limits == {
        "memory": default(SERVICES[service]["mem_limit"]).replace("m", "Mi"),
        "cpu": default(SERVICES[service]["cpus"]),
    }
    # A node does not promise the same memory twice.
    assert container(name)["resources"]["requests"]["memory"] == limits["memory"]


@pytest.mark.parametrize(("name", "service"), COMPOSE_SERVICES.items())
def test_a_container_runs_unprivileged_on_a_read_only_root_without_capabilities(name, service):
    user = pod(name)["securityContext"]
    assert user["runAsNonRoot"] is True
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"{user['runAsUser']}:{user['runAsGroup']}" == SERVICES[service]["user"]
    for each in containers(name):
        context = each["securityContext"]
        assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert each["resources"]["limits"]
    assert (pod(name)["automountServiceAccountToken"], pod(name)["enableServiceLinks"]) == (False, False)


@pytest.mark.parametrize("name", COMPOSE_SERVICES)
def test_what_a_pod_writes_is_bounded(name):
    for volume in pod(name)["volumes"]:
        assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"]
    memory = [volume["emptyDir"] for volume in pod(name)["volumes"] if volume["name"] == "tmp"]
    assert memory == [{"medium": "Memory", "sizeLimit": "64Mi"}]


def test_images_are_those_of_compose():
    assert container("nginx")["image"] == SERVICES["nginx"]["image"]
    images = {each["image"] for name in COMPOSE_SERVICES for each in containers(name)}
    assert images == {"project", "project-before", SERVICES["nginx"]["image"]}


def test_a_worker_does_what_it_does_under_compose():
    command = [default(word) for word in SERVICES["worker-blue"]["command"]]
    assert [word.replace("$(WORKER_THREADS)", "4") for word in container("worker")["command"]] == command
    health_check = SERVICES["worker-blue"]["healthcheck"]["test"][1:]
    assert container("worker")["livenessProbe"]["exec"]["command"] == [word.replace("$$", "$") for word in health_check]


# --- Starting and stopping ---


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_release_takes_no_pod_away_before_the_next_one_is_ready(name):
    spec = objects()["Deployment", name]["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    example = (ROOT / ".env.example").read_text()
    assert spec["progressDeadlineSeconds"] == int(re.search(r"^READY_WITHIN=(\d+)", example, re.MULTILINE)[1])
    probe = container(name).get("startupProbe")
    assert not probe or probe["periodSeconds"] * probe["failureThreshold"] > spec["progressDeadlineSeconds"]


def pause(name):
    command, duration = container(name)["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    return int(duration)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_stopped_when_no_name_server_knows_it_and_then_has_the_time_that_it_needs(name):
    # CoreDNS keeps an answer for up to 30 s.
    assert pause(name) > 30
    assert pod(name)["terminationGracePeriodSeconds"] == pause(name) + timeouts.STOP_GRACE_PERIOD


def test_nginx_ends_the_requests_that_it_has():
    shutdown = re.search(r"^worker_shutdown_timeout (\d+)s;", (ROOT / "nginx/nginx.conf").read_text(), re.MULTILINE)
    assert pod("nginx")["terminationGracePeriodSeconds"] > pause("nginx") + int(shutdown[1])


def test_a_worker_ends_the_jobs_that_it_has():
    assert pod("worker")["terminationGracePeriodSeconds"] == seconds(SERVICES["worker-blue"]["stop_grace_period"])


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_starts_with_its_database_and_is_restarted_only_when_it_hangs(name):
    probes = {probe: container(name)[f"{probe}Probe"] for probe in ("startup", "readiness", "liveness")}
    paths = {probe: asked["httpGet"]["path"] for probe, asked in probes.items()}
    assert paths == {"startup": health.READY, "readiness": health.LIVE, "liveness": health.LIVE}
    patience = probes["liveness"]["periodSeconds"] * probes["liveness"]["failureThreshold"]
    assert patience > timeouts.NGINX_PROXY_READ > timeouts.WORKER_TIMEOUT


@pytest.mark.parametrize("name", ["live", "nginx", "web"])
def test_a_drained_node_takes_one_pod_at_a_time_and_pods_are_spread(name):
    budget = objects()["PodDisruptionBudget", name]["spec"]
    template = objects()["Deployment", name]["spec"]["template"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    spread = template["spec"]["topologySpreadConstraints"][0]
    # Else those of the next version are counted together with these.
    assert spread["matchLabelKeys"] == ["pod-template-hash"]
    assert objects()["Deployment", name]["spec"]["replicas"] >= 2


@each_mode
def test_with_the_autoscaler_no_release_sets_the_number_of_pods(mode, tmp_path):
    manifests = added(tmp_path, mode, "autoscale")
    counted = {each["metadata"]["name"] for each in manifests if "replicas" in each.get("spec", {})}
    assert counted == {"nginx", "worker", "live"} & {name for _, name in objects(mode)}


# --- Who reaches whom ---


def test_nginx_asks_for_the_addresses_of_pods():
    for name in SERVERS:
        service = objects()["Service", name]["spec"]
        assert service["clusterIP"] == "None"
        assert service["ports"][0]["port"] == 8000
    assert objects()["Service", "nginx"]["spec"]["selector"][COMPONENT] == "nginx"


@pytest.mark.parametrize("name", COMPOSE_SERVICES)
def test_a_pod_is_reached_by_what_its_policy_names(name):
    policies = [each for (kind, _), each in objects().items() if kind == "NetworkPolicy"]
    chosen = []
    for policy in policies:
        selector = policy["spec"]["podSelector"]
        labels = selector.get("matchLabels", {}).get(COMPONENT, "")
        values = [value for each in selector.get("matchExpressions", []) for value in each["values"]]
        if name in (labels, *values):
            chosen.append(policy)
    assert len(chosen) == 1
    ingress = chosen[0]["spec"].get("ingress", [])
    if name in SERVERS:
        assert [each["podSelector"]["matchLabels"][COMPONENT] for each in ingress[0]["from"]] == ["nginx"]
    elif name != "nginx":
        assert ingress == []


def test_no_manifest_needs_one_kind_of_controller(tmp_path):
    for manifest in added(tmp_path, "hybrid", *ADDITIONS):
        assert "annotations" not in manifest["metadata"]
        assert not {"ingressClassName", "loadBalancerClass"} & set(manifest.get("spec", {}))


# --- What Nginx reads ---


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell != "bash"])
def test_nginx_asks_the_name_server_of_the_cluster_for_whole_names(shell, tmp_path):
    """base/publish, with docker/nginx_files as it leaves its folder."""
    served, resolv = tmp_path / "srv/nginx", tmp_path / "resolv.conf"
    (served / "blue/rendered").mkdir(parents=True)
    (served / "blue/nginx.conf").write_text((ROOT / "nginx/nginx.conf").read_text())
    (served / "blue/rendered/upstreams.conf").write_text(
        "server web-blue:8000 resolve max_fails=0;\nserver waiting-room:8001 resolve max_fails=0 backup;\n"
        "server live-blue:8000 resolve max_fails=0;\n"
    )
    resolv.write_text("search shop.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/nginx_files").write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/called\n")
    (tmp_path / "docker/nginx_files").chmod(0o755)
    (tmp_path / "serve_nginx").write_text("")
    text = (KUBERNETES / "base/publish").read_text().replace("/srv/nginx", str(served))
    text = text.replace("/etc/resolv.conf", str(resolv)).replace("/host/docker/serve_nginx", f"{tmp_path}/serve_nginx")
    path = {"PATH": f"{tools(shell)}:/usr/bin:/bin"}
    subprocess.run([tools(shell) / shell, "-c", text], cwd=tmp_path, env=path, check=True)
    assert (tmp_path / "called").read_text().split() == ["publish", "switch"]
    configuration = (served / "blue/nginx.conf").read_text()
    assert "resolver 10.96.0.10 valid=1s" in configuration
    assert "waiting-room" not in configuration
    assert (served / "blue/rendered/upstreams.conf").read_text().splitlines() == [
        "server web.shop.svc.cluster.local:8000 resolve max_fails=0;",
        "server live.shop.svc.cluster.local:8000 resolve max_fails=0;",
    ]
    assert (served / "serve_nginx").exists()
