"""What editors, and commits, are told of the project, held to the project."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
import yaml

from workshop.tests.servers import ROOT, copy_of_the_clone


def read(name):
    return json.loads((ROOT / name).read_text())


# --- VS Code, and its containers ---


def test_vs_code_takes_the_interpreter_the_tools_and_the_test_runner_of_the_project():
    settings = read(".vscode/settings.json")
    folder = "${workspaceFolder}/"
    paths = [settings["python.defaultInterpreterPath"], *settings["ruff.path"], settings["shellcheck.executablePath"]]
    assert [path for path in paths if not (ROOT / path.removeprefix(folder)).exists()] == []
    assert settings["python.testing.pytestEnabled"] is True


def test_vs_code_starts_what_is_there():
    tasks = {task["label"]: task["command"].split()[0] for task in read(".vscode/tasks.json")["tasks"]}
    for configuration in read(".vscode/launch.json")["configurations"]:
        assert os.access(ROOT / tasks[configuration["preLaunchTask"]], os.X_OK)
        subprocess.run([sys.executable, "-c", f"import {configuration['module']}"], check=True)


def test_the_container_is_of_the_python_of_the_project_and_has_the_same_extensions():
    container = read(".devcontainer/devcontainer.json")
    assert container["image"].endswith(f":{(ROOT / '.python-version').read_text().strip()}")
    assert os.access(ROOT / container["postCreateCommand"].split()[0], os.X_OK)
    extensions = read(".vscode/extensions.json")["recommendations"]
    assert container["customizations"]["vscode"]["extensions"] == extensions


# --- PyCharm ---


def test_pycharm_takes_the_settings_and_the_test_runner_of_the_project():
    modules = ET.parse(ROOT / ".idea/modules.xml").iter("module")
    (path,) = [module.get("filepath").removeprefix("$PROJECT_DIR$/") for module in modules]
    options = {option.get("name"): option.get("value") for option in ET.parse(ROOT / path).iter("option")}
    assert (ROOT / options["settingsModule"]).exists()
    assert (ROOT / options["manageScript"].removeprefix("$MODULE_DIR$/")).exists()
    assert options["PROJECT_TEST_RUNNER"] == "py.test"


def test_git_takes_what_the_editors_read_and_nothing_that_they_write():
    def ignored(name):
        return subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False).returncode == 0

    shared = [".vscode/settings.json", ".vscode/launch.json", ".vscode/extensions.json", ".idea/modules.xml"]
    assert [name for name in shared if ignored(name)] == []
    assert ignored(".idea/workspace.xml")
    assert ignored(".idea/dataSources.local.xml")


# --- Commits ---


def test_hooks_bring_no_version_of_their_own():
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in repositories] == ["local"]
    assert {hook["entry"].split("/")[0] for each in repositories for hook in each["hooks"]} == {".venv"}


@pytest.fixture
def clone(tmp_path):
    folder = copy_of_the_clone(tmp_path / "clone")
    (folder / ".venv").symlink_to(ROOT / ".venv")
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def hooks(clone):
    """Each hook, and what it says, without the network and without anything that an earlier call has kept."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(clone), "https_proxy": "http://127.0.0.1:9"}
    said = subprocess.run(
        [".venv/bin/pre-commit", "run", "--all-files"],
        cwd=clone, env=environment, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    return dict(re.findall(r"^(\w[\w ]+)\.{3,}(\w+)$", said, re.MULTILINE))


HOOKS = ["style of the code", "format of the code", "shell scripts", "Dockerfile"]


def test_the_hooks_pass_on_what_is_here(clone):
    assert hooks(clone) == dict.fromkeys(HOOKS, "Passed")


def test_each_hook_finds_what_is_wrong(clone):
    (clone / "apps/style.py").write_text("x = undefined\n")
    (clone / "apps/format.py").write_text("x  =  1\n")
    (clone / "bin/script").write_text("#!/bin/sh\necho $1\n")
    (clone / "bin/script").chmod(0o755)
    (clone / "Dockerfile").write_text("FROM debian\nRUN cd /tmp\n")
    subprocess.run(["git", "add", "--all"], cwd=clone, check=True)
    assert hooks(clone) == dict.fromkeys(HOOKS, "Failed")
