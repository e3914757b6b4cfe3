"""What docker/deploy and docker/bootstrap refuse before they do anything, and that CI on GitHub and on GitLab calls
what a developer calls. tests/stack/test_deploy.py deploys."""

import os
import re
import subprocess

import pytest
import yaml

from workshop.tests.servers import ROOT

IMAGE = "ghcr.io/owner/name@sha256:" + "0" * 64
DEPLOY = {"DEPLOY_TO": "deploy@host.invalid", "DEPLOY_IMAGE": IMAGE, "SITE_URL": "https://www.example.com"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA deploy"


def run(*command, **variables):
    return subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DEPLOY_TO", "", "DEPLOY_TO is missing"),
        ("DEPLOY_IMAGE", "", "DEPLOY_IMAGE='' is wrong"),
        ("DEPLOY_IMAGE", "ghcr.io/owner/name:1.4", "expected an image by its digest"),
        ("DEPLOY_IMAGE", f"{IMAGE}; reboot", "expected an image by its digest"),
        ("DEPLOY_IMAGE", f"-{IMAGE}", "expected an image by its digest"),
        ("SITE_URL", "www.example.com", "expected the public address"),
    ],
)
def test_a_deploy_of_something_else_than_an_image_by_digest_to_a_host_is_refused(name, value, sentence):
    result = run("docker/deploy", **{**DEPLOY, name: value})
    assert (result.returncode, result.stdout) == (1, "")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_make_tells_the_script_what_it_is_told_itself():
    result = run(
        "make", "deploy", "DEPLOY_TO=deploy@host.invalid", "DEPLOY_IMAGE=name:1", f"SITE_URL={DEPLOY['SITE_URL']}"
    )
    assert result.returncode != 0
    assert result.stderr.startswith("DEPLOY_IMAGE='name:1' is wrong")


@pytest.mark.parametrize("key", ["", "me@example.com", KEY.replace("ssh-ed25519 ", ""), "-----BEGIN PRIVATE KEY-----"])
def test_bootstrap_refuses_what_is_no_public_key(key):
    result = run("docker/bootstrap", key)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"'{key}' is no public key: ")
    assert len(result.stderr.splitlines()) == 1


# --- The two CI systems ---

GITHUB = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}
GITLAB = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())


def github_commands():
    for name in ("ci", "deploy"):
        for job in GITHUB[name]["jobs"].values():
            yield from (step["run"] for step in job.get("steps", []) if "run" in step)


def gitlab_commands():
    for job in GITLAB.values():
        if isinstance(job, dict):
            yield from (str(line) for line in job.get("script", []))


def make_targets(commands):
    lines = [line for command in commands for line in re.findall(r"^\s*make ([a-z0-9 -]+)", command, re.MULTILINE)]
    return {target for line in lines for target in line.split()}


def test_both_call_the_same_commands_and_the_makefile_has_them():
    makefile = (ROOT / "Makefile").read_text()
    targets = make_targets(github_commands())
    assert targets == make_targets(gitlab_commands()) == {"lint", "test", "e2e", "publish", "deploy"}
    assert [target for target in targets if not re.search(rf"^{target}:|^check:.*\b{target}\b", makefile, re.M)] == []


def test_an_image_is_named_only_after_everything_has_passed():
    jobs = GITHUB["ci"]["jobs"]
    assert (jobs["build"]["needs"], jobs["image"]["needs"], jobs["deploy"]["needs"]) == (
        ["check", "e2e"],
        "build",
        "image",
    )
    named = [name for name, job in jobs.items() if any("$GITHUB_SHA" in step.get("run", "") for step in job["steps"])]
    assert named == ["image"]
    assert GITLAB["stages"] == ["check", "publish", "deploy"]
    assert {name: GITLAB[name]["stage"] for name in ("check", "e2e", "publish", "deploy")} == {
        "check": "check",
        "e2e": "check",
        "publish": "publish",
        "deploy": "deploy",
    }


def test_the_template_is_tested_on_every_python_that_the_project_allows():
    low, high = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text()).groups()
    expected = [f"3.{minor}" for minor in range(int(low), int(high))]
    assert GITHUB["workshop"]["jobs"]["test"]["strategy"]["matrix"]["python"] == expected


def test_the_parts_of_the_stack_leave_no_test_out():
    modes, releases = (each["tests"] for each in GITHUB["workshop"]["jobs"]["stack"]["strategy"]["matrix"]["include"])
    left = re.findall(r"test_\w+", releases)
    assert releases == " or ".join(left)
    assert modes == " and ".join(f"not {name}" for name in left)


def test_no_job_is_allowed_more_than_it_asks_for_and_none_keeps_the_token():
    for workflow in GITHUB.values():
        assert workflow["permissions"] == {}
        for job in workflow["jobs"].values():
            assert "timeout-minutes" in job
            for step in job.get("steps", []):
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step.get("uses", "a@" + "0" * 40))
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


def test_a_deploy_is_told_everything_that_it_reads():
    script = (ROOT / "docker/deploy").read_text()
    manual = set(re.findall(r"^#   ([A-Z_]+) ", script, re.MULTILINE)) | {"REGISTRY_PASSWORD"}
    step = next(step for step in GITHUB["deploy"]["jobs"]["deploy"]["steps"] if step.get("name") == "Deploy")
    assert set(re.findall(r"\$\{([A-Z_]+)", script)) - {"SECONDS"} <= manual
    assert manual - {"SMOKE_WITHIN"} == set(step["env"])
