"""deploy/kubernetes/stack with the real kubectl, and an API that only keeps what it is told."""

import base64
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workshop.tests.kubernetes.cluster import Cluster
from workshop.tests.servers import copy_of_the_clone

IMAGE = "registry.example.com/shop"
ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")


class Stack:
    def __init__(self, folder, cluster):
        self.folder, self.cluster = folder, cluster

    def run(self, verb, **variables):
        given = {name: os.environ[name] for name in ("HOME", "DOCKER_CONFIG", "DOCKER_HOST") if name in os.environ}
        given |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}
        given |= {"KUBECONFIG": f"{self.folder}/kubeconfig", "KUBECACHEDIR": f"{self.folder}/../cache"}
        command = ["deploy/kubernetes/stack", verb]
        options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        return subprocess.run(command, cwd=self.folder, env=given, check=False, **options)

    def does(self, verb, **variables):
        """It ends well; what happened to Deployments and Jobs meanwhile."""
        self.cluster.told.clear()
        done = self.run(verb, **variables)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        return [told[:2] for told in self.cluster.told if told[0] in ("Deployment", "Job")]


@pytest.fixture(scope="module")
def began(tmp_path_factory):
    """A clone with a database and Redis elsewhere, a cluster, and what both hold after the first start."""
    folder = copy_of_the_clone(tmp_path_factory.mktemp("kubernetes") / "clone")
    given = {
        "KUBE_CONTEXT": "test", "IMAGE": IMAGE, "SITE_URL": "https://www.example.com", "READY_WITHIN": "2",
        "WEB_MEMORY": "1g", "WEB_REPLICAS": "2", "SERVER_MODE": "wsgi", "SHOP_NAME": "Basket & Sons",
        "DATABASE_URL": "postgres://shop:PASSWORD@db.example.com/shop", "REDIS_URL": "redis://redis.example.com/0",
    }  # fmt: skip
    command = ["docker/configure", *(f"{name}={value}" for name, value in given.items())]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    cluster = Cluster()
    clusters = [{"name": "test", "cluster": {"server": cluster.url}}]
    contexts = [{"name": "test", "context": {"cluster": "test", "user": ""}}]
    (folder / "kubeconfig").write_text(json.dumps({"clusters": clusters, "contexts": contexts}))
    subprocess.run(["cp", "-R", folder, f"{folder}-before"], check=True)
    happened = Stack(folder, cluster).does("up-wsgi", TAG=ONE)
    yield folder, cluster, happened, cluster.objects
    cluster.close()


def stack_of(folder, began, objects):
    clone = began[0].parent / "tried"
    subprocess.run(["rm", "-rf", clone], check=True)
    subprocess.run(["cp", "-R", folder, clone], check=True)
    cluster = began[1]
    cluster.objects = copy.deepcopy(objects)
    cluster.broken, cluster.stuck, cluster.forbidden, cluster.commands = set(), set(), set(), {}
    return Stack(clone, cluster)


@pytest.fixture
def cluster(began):
    return began[1]


@pytest.fixture
def stack(began):
    return stack_of(f"{began[0]}-before", began, {})


@pytest.fixture
def up(began):
    return stack_of(began[0], began, began[3])


JOB, NGINX, WEB, WORKER, LIVE = (
    ("Job", "migrate"),
    *(("Deployment", each) for each in ("nginx", "web", "worker", "live")),
)
SERVES_ON = "The old version keeps serving."


def images(cluster):
    """What runs: of the servers, of Nginx, and the version whose static files it has besides."""
    return {
        "web": cluster.image("web").split("@")[1],
        "worker": cluster.image("worker").split("@")[1],
        "nginx": cluster.image("nginx").split("@")[1],
        "before": cluster.image("nginx", "before").split("@")[1],
    }


def all_of(image, before):
    return {"web": image, "worker": image, "nginx": image, "before": before}


# --- Releases ---


def test_a_release_migrates_and_publishes_static_files_before_pages_name_them(began, up, cluster):
    assert began[2] == [JOB, NGINX, WEB, WORKER]
    assert images(cluster) == all_of(ONE, ONE)
    assert up.does("release", TAG=TWO) == [JOB, NGINX, WEB, WORKER]
    assert images(cluster) == all_of(TWO, ONE)


def test_what_env_says_reaches_the_pods(up, cluster):
    settings = next(item["data"] for (kind, name), item in cluster.objects.items() if name.startswith("settings-"))
    assert settings["SITE_URL"] == "https://www.example.com"
    assert settings["SHOP_NAME"] == "Basket & Sons"
    web = cluster.objects["Deployment", "web"]["spec"]
    assert web["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "1Gi"
    assert web["progressDeadlineSeconds"] == 2
    up.does("release", TAG=ONE, WEB_REPLICAS="4", WORKER_PROCESSES="0", WEB_CPUS="0.2")
    web = cluster.objects["Deployment", "web"]["spec"]
    assert (web["replicas"], cluster.objects["Deployment", "worker"]["spec"]["replicas"]) == (4, 0)
    assert web["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "200m"


def test_with_the_autoscaler_web_replicas_is_the_most(up, cluster):
    site = up.folder / "deploy/kubernetes/site/kustomization.yaml"
    site.write_text(site.read_text().replace("components: []", "components: [../autoscale]"))
    up.does("up-hybrid", TAG=ONE, WEB_REPLICAS="6")
    assert cluster.objects["HorizontalPodAutoscaler", "web"]["spec"]["maxReplicas"] == 6
    assert "replicas" not in cluster.objects["Deployment", "web"]["spec"]
    assert cluster.objects["Deployment", "live"]["spec"]["replicas"] == 6


def secret_names(cluster):
    return {name for name in cluster.names("Secret") if name.startswith("secrets-")}


def test_a_secret_is_called_after_its_content_and_goes_when_no_rollback_needs_it(up, cluster):
    [first] = {name for name in secret_names(cluster) if "app" not in name}
    (up.folder / "secrets/secret_key").write_text("another-secret-key-of-fifty-characters-or-more-and-then-some\n")
    up.does("release", TAG=ONE)
    assert first in secret_names(cluster)
    up.does("release", TAG=TWO)
    assert first not in secret_names(cluster)


def test_what_the_cluster_keeps_of_a_release_holds_no_secret(up, cluster):
    kept = json.dumps(cluster.objects["ConfigMap", "release"])
    assert "kind: Deployment" in kept
    assert "kind: Secret" not in kept
    for path in (up.folder / "secrets").glob("*_*"):
        assert base64.b64encode(path.read_bytes()).decode() not in kept
    assert (up.folder / "var/kubernetes/secrets.yaml").stat().st_mode & 0o077 == 0


# --- Modes ---


def test_to_hybrid_live_is_there_before_nginx_sends_anything_to_it(up):
    assert up.does("up-hybrid", TAG=ONE) == [JOB, LIVE, NGINX, WEB, WORKER]


def test_from_hybrid_web_answers_all_before_nginx_sends_it_all_and_the_static_files_come_first(up, cluster):
    up.does("up-hybrid", TAG=ONE)
    assert up.does("up-asgi", TAG=TWO) == [JOB, NGINX, WEB, WORKER, NGINX]
    # First the configuration of before, with the static files of the next.
    assert next(told[2:] for told in cluster.told if told[:2] == NGINX) == (f"{IMAGE}@{TWO}", f"{IMAGE}@{ONE}")
    assert "live" not in cluster.names("Deployment") | cluster.names("Service")
    assert images(cluster) == all_of(TWO, ONE)


# --- Rollback ---


def test_a_rollback_brings_back_version_and_mode_and_a_second_one_the_later(up, cluster):
    up.does("up-hybrid", TAG=TWO)
    # Whose static files Nginx has already.
    assert up.does("rollback")[:2] == [WEB, WORKER]
    assert images(cluster) == all_of(ONE, TWO)
    assert "live" not in cluster.names("Deployment")
    assert "SERVER_MODE=wsgi" in (up.folder / ".env").read_text()
    up.does("rollback")
    assert images(cluster) == all_of(TWO, ONE)
    assert "live" in cluster.names("Deployment")


def test_there_is_nothing_to_go_back_to_after_the_first_start(up):
    assert up.run("rollback").stderr == "There is nothing to go back to: no other version was released there.\n"


# --- What fails ---


@pytest.mark.parametrize(
    ("broken", "mode"), [("nginx", "wsgi"), ("web", "wsgi"), ("worker", "asgi"), ("live", "hybrid"), ("web", "hybrid")]
)
def test_a_release_that_does_not_get_ready_is_undone(up, cluster, broken, mode):
    cluster.broken = {(broken, f"{IMAGE}@{TWO}")}
    done = up.run(f"up-{mode}", TAG=TWO)
    assert done.returncode == 1
    assert "exceeded its progress deadline" in done.stderr
    assert done.stderr.endswith(SERVES_ON + "\n")
    # Only pages of a version that has served need its static files.
    assert images(cluster) == all_of(ONE, TWO if broken == "worker" else ONE)
    assert "live" not in cluster.names("Deployment")


def test_a_release_that_visitors_do_not_get_is_undone(up, cluster):
    cluster.commands = {"smoke": 1}
    done = up.run("release", TAG=TWO)
    assert done.returncode == 1
    assert "the step 'smoke' failed" in done.stderr
    # Its pages may be open.
    assert images(cluster) == all_of(ONE, TWO)


def test_a_migration_that_fails_changes_nothing_and_says_why(up, cluster):
    cluster.broken = {("migrate", f"{IMAGE}@{TWO}")}
    done = up.run("release", TAG=TWO)
    assert done.returncode == 1
    assert "the log of migrate-1" in done.stderr
    assert done.stderr.endswith(SERVES_ON + "\n")
    assert images(cluster) == all_of(ONE, ONE)


def test_an_image_that_no_node_can_pull_changes_nothing_and_is_not_waited_for(up, cluster):
    cluster.stuck = {f"{IMAGE}@{TWO}"}
    done = up.run("release", TAG=TWO)
    assert done.returncode == 1
    assert "ImagePullBackOff" in done.stderr
    assert "The Job migrate did not begin within READY_WITHIN=2 s." in done.stderr
    assert images(cluster) == all_of(ONE, ONE)


def test_a_first_start_that_fails_says_so(stack, cluster):
    cluster.broken = {("web", f"{IMAGE}@{ONE}")}
    assert "wisheasy is not up: the step 'web' failed" in stack.run("up-wsgi", TAG=ONE).stderr


def test_after_a_release_that_was_killed_nginx_has_the_static_files_of_what_runs(up, cluster):
    """Killed when web was replaced, and before that was written down."""
    for each in cluster.containers(cluster.objects["Deployment", "web"]):
        each["image"] = f"{IMAGE}@{TWO}"
    up.does("release", TAG=ONE)
    assert images(cluster) == all_of(ONE, TWO)


# --- Refused before anything is changed ---

REFUSED = {
    "no context": (
        {"KUBE_CONTEXT": ""},
        "KUBE_CONTEXT is missing: set it in .env to one of kubectl's contexts (test).",
    ),
    "an unknown context": ({"KUBE_CONTEXT": "other"}, "KUBE_CONTEXT='other' is wrong: kubectl knows test."),
    "no image": (
        {"IMAGE": ""},
        "IMAGE is missing: set it in .env to a name in a registry that the nodes can pull from, ",
    ),
    "no mode": ({"SERVER_MODE": "both"}, "SERVER_MODE='both' is wrong: expected wsgi, asgi or hybrid."),
}


@pytest.mark.parametrize(("given", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_release_is_refused(stack, cluster, given, sentence):
    for name, value in given.items():
        subprocess.run(["docker/configure", f"{name}={value}"], cwd=stack.folder, check=True, capture_output=True)
    done = stack.run("release", TAG=ONE)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert cluster.objects == {}


def test_a_cluster_that_does_not_answer_is_named(stack, cluster):
    configuration = stack.folder / "kubeconfig"
    configuration.write_text(configuration.read_text().replace(cluster.url, "http://127.0.0.1:1"))
    done = stack.run("release", TAG=ONE)
    assert done.stderr.startswith("The cluster of KUBE_CONTEXT=test does not answer: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_containers_of_compose_are_no_database_for_a_cluster(stack, cluster):
    (stack.folder / "secrets/database_url").write_text("postgres://shop:PASSWORD@postgres:5432/shop\n")
    assert stack.run("release", TAG=ONE).stderr.startswith("secrets/database_url leads to a container of Compose: ")
    assert cluster.objects == {}


def test_the_namespace_of_another_project_is_left_alone(up, cluster):
    cluster.objects["Deployment", "web"]["metadata"]["labels"]["app.kubernetes.io/name"] = "other"
    sentence = (
        "The namespace wisheasy has another project's deployment.apps/web: choose another COMPOSE_PROJECT_NAME.\n"
    )
    assert up.run("release", TAG=TWO).stderr == sentence
    assert images(cluster) == all_of(ONE, ONE)


@pytest.mark.parametrize("verb", ["backup", "restore", "psql"])
def test_a_database_elsewhere_has_its_own_backups(stack, verb):
    done = stack.run(verb)
    assert done.returncode == 1
    assert done.stderr.startswith(f"make {verb} is for a database in the stack: with ENGINE=kubernetes it is elsewhere")


@pytest.mark.parametrize("verb", ["ps", "manage", "rollback", "shell"])
def test_where_nothing_serves_that_is_said(stack, verb):
    sentence = "Nothing serves there: start it with make up-wsgi, make up-asgi or make up-hybrid.\n"
    assert stack.run(verb).stderr == sentence


# --- Looking at it ---


def test_ps_tells_what_serves_and_where_a_rollback_leads(up):
    up.does("up-asgi", TAG=TWO)
    lines = up.run("ps").stdout.splitlines()
    assert lines[0] == f"serves: asgi mode, {IMAGE}@{TWO}"
    assert lines[1] == f"a rollback leads to: wsgi mode, {IMAGE}@{ONE}"


def test_a_command_is_run_in_a_pod_and_ends_as_it_does(up, cluster):
    done = up.run("manage", CMD="createsuperuser --no-input")
    assert (done.returncode, done.stdout) == (0, "--no-input in web-1\n")
    cluster.commands = {"createsuperuser": 3}
    assert up.run("manage", CMD="createsuperuser").returncode == 3


def test_the_doctor_names_rights_that_are_missing_and_what_is_not_ready(up, cluster):
    done = up.run("doctor")
    assert (done.returncode, "broken" in done.stdout) == (0, False), done.stdout + done.stderr
    cluster.forbidden = {"create secrets"}
    cluster.objects["Deployment", "nginx"]["status"]["readyReplicas"] = 1
    done = up.run("doctor")
    assert done.returncode == 1
    assert "broken   rights       test may not create secrets in the namespace wisheasy" in done.stdout
    assert "broken   nginx        " in done.stdout


def test_down_leaves_nothing_of_the_project(up, cluster):
    up.does("down")
    assert {each for each in cluster.objects if each[0] != "Namespace"} == set()
