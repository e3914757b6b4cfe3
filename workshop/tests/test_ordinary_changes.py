"""Ordinary first steps of an owner in a renamed clone, then `make lint test` there: none may make it fail.

Those that do not touch each other are made together; EACH_ALONE=1 makes each alone, which takes four minutes more.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workshop.tests.checkout import commit, git
from workshop.tests.servers import copy_of_the_clone

MANAGE = [sys.executable, "manage.py"]


def make(folder, *arguments, **variables):
    """With the packages of these tests in the place of .venv, and nothing else of this environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables}
    result = subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{result.stdout[-5000:]}\n{result.stderr[-3000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def renamed(tmp_path_factory):
    """Renamed clones, in the languages that a change is about."""
    folder = tmp_path_factory.mktemp("ordinary")
    template = copy_of_the_clone(folder / "template")
    git(template, "init", "--quiet", "--initial-branch=main")
    commit(template, "Begin")
    clones = {}

    def renamed(languages):
        if languages not in clones:
            clones[languages] = folder / languages
            git(folder, "clone", "--quiet", str(template), languages)
            (clones[languages] / ".venv").symlink_to(sys.prefix)
            make(clones[languages], "rename", "NAME=shop", f"LANGUAGES={languages}")
            commit(clones[languages], "Begin shop")
        return clones[languages]

    return renamed


# --- The changes ---


def change(path, old, new):
    text = Path(path).read_text()
    assert old in text, f"{old!r} is not in {path}"
    Path(path).write_text(text.replace(old, new, 1))


def add(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("a") as file:
        file.write(text)


def add_setting(line):
    change("shop/settings.py", "\nenv.seal()", f"\n{line}\nenv.seal()")


def replace_the_readme():
    Path("README.md").write_text("# The Shop\n")


def delete_the_documents():
    shutil.rmtree("docs")


def delete_what_other_tools_read():
    for name in (".idea", ".vscode", ".devcontainer", ".github"):
        shutil.rmtree(name)
    for name in (".pre-commit-config.yaml", "renovate.json"):
        Path(name).unlink()


def add_an_english_text():
    change("shop/templates/home.html", "{% block content %}", '{% block content %}<p>{% translate "Basket" %}</p>')


def add_a_setting_with_a_variable():
    add_setting('SHOP_NAME = env.read("str", "SHOP_NAME", "the name that customers see", "Shop")\n')
    add(".env.example", "\n# The name that customers see. Default Shop.\nSHOP_NAME=Shop\n")


def add_a_secret():
    add("secrets/app/stripe_key", "sk_live_1\n")
    add_setting('STRIPE_KEY = env.read("str", "STRIPE_KEY", "the secret key of Stripe", secret=True)\n')


def add_a_service():
    service = """
  search:
    <<: *container
    image: getmeili/meilisearch:v1.22
    user: "1000:1000"
    networks: [data]
    volumes: ["search:/meili_data"]
    mem_limit: 512m
    pids_limit: 128

networks:"""
    change("docker-compose.yml", "\nnetworks:", service)
    change("docker-compose.yml", "\nvolumes:\n", "\nvolumes:\n  search:\n")


def add_a_volume():
    mounts = "".join(f"  {name}:\n    volumes: ['media:/app/media']\n" for name in ("web-blue", "web-green"))
    add("docker-compose.override.yml", f"services:\n{mounts}\nvolumes:\n  media:\n")


def add_a_make_target():
    add("Makefile", "\nhello: ## Say hello\n\t@echo hello\n.PHONY: hello\n")


def add_a_page():
    add("shop/templates/about.html", '{% extends "base.html" %}\n{% block content %}<h1>About</h1>{% endblock %}\n')
    page = '    path("about", TemplateView.as_view(template_name="about.html"), name="about"),\n'
    change("shop/urls.py", '    path("accounts/"', f'{page}    path("accounts/"')


def add_a_field_with_its_migration():
    field = "    nickname = models.CharField(max_length=30, blank=True)\n\n"
    change("apps/accounts/models.py", "    class Meta(", field + "    class Meta(")
    environment = {**os.environ, "SECRET_KEY": "x" * 20 + "0123456789abcdefghij" * 2, "SERVER_MODE": "asgi"}
    environment = {name: value for name, value in environment.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run([*MANAGE, "makemigrations", "accounts"], env=environment, check=True, capture_output=True)


def add_a_tag_to_the_policy():
    change("shop/settings.py", '"img-src": [CSP.SELF, ', '"img-src": [CSP.SELF, "https://images.example.com", ')
    image = '{% block content %}<img src="https://images.example.com/a.png" alt="A">'
    change("shop/templates/home.html", "{% block content %}", image)


def change_the_limit_of_sign_in():
    change("apps/accounts/adapter.py", 'f"10/{MINUTES}m/key"', 'f"4/{MINUTES}m/key"')
    example = Path(".env.example").read_text()
    Path(".env.example").write_text(re.sub(r"^LIMIT_SIGN_IN=.*", "LIMIT_SIGN_IN=30", example, flags=re.MULTILINE))


def add_a_package_with_its_application_and_middleware():
    """One that is not at its best: sync alone, with a deprecation and with a model that lacks a migration."""
    package = Path("var/site-packages/greeter")
    add(package / "__init__.py", "")
    add(
        package / "models.py",
        "from django.db import models\n\n\nclass Greeting(models.Model):\n    text = models.TextField()\n",
    )
    add(
        package / "middleware.py",
        "import warnings\n\n\ndef greet(get_response):\n    def middleware(request):\n"
        '        warnings.warn("Greet otherwise.", DeprecationWarning)\n        response = get_response(request)\n'
        '        response["X-Greeting"] = "hello"\n        return response\n\n    return middleware\n',
    )
    change("shop/settings.py", '    "allauth.account",\n', '    "allauth.account",\n    "greeter",\n')
    last = '    "allauth.account.middleware.AccountMiddleware",\n'
    change("shop/settings.py", last, f'{last}    "greeter.middleware.greet",\n')


def leave_one_language():
    text = Path("shop/settings.py").read_text()
    Path("shop/settings.py").write_text(re.sub(r"^LANGUAGES = .*", 'LANGUAGES = [("en", "English")]', text, flags=re.M))


IN_ENGLISH = [
    replace_the_readme,
    delete_the_documents,
    delete_what_other_tools_read,
    add_an_english_text,
    add_a_setting_with_a_variable,
    add_a_secret,
    add_a_service,
    add_a_volume,
    add_a_make_target,
    add_a_page,
    add_a_field_with_its_migration,
    add_a_tag_to_the_policy,
    change_the_limit_of_sign_in,
    add_a_package_with_its_application_and_middleware,
]
IN_TWO_LANGUAGES = [add_an_english_text, leave_one_language]
ALONE = [("en", [do]) for do in IN_ENGLISH] + [("en,ko", [do]) for do in IN_TWO_LANGUAGES]
TOGETHER = [("en", IN_ENGLISH), *(case for case in ALONE if case[0] != "en")]


def name(case):
    languages, changes = case
    return f"{languages}-{'-'.join(do.__name__ for do in changes) if len(changes) < 3 else 'together'}"


@pytest.mark.parametrize("case", ALONE if os.environ.get("EACH_ALONE") else TOGETHER, ids=name)
def test_ordinary_changes_fail_nothing(renamed, tmp_path, monkeypatch, case):
    languages, changes = case
    folder = shutil.copytree(renamed(languages), tmp_path / "shop", symlinks=True)
    monkeypatch.chdir(folder)
    for do in changes:
        do()
    git(folder, "add", "--all")
    make(folder, "lint", "test", "ARGS=-q", PYTHONPATH=str(folder / "var/site-packages"))


@pytest.mark.parametrize(
    ("path", "old", "new", "command", "said"),
    [
        ("shop/settings.py", '"default-src": [CSP.NONE]', '"default-src": [CSP.UNSAFE_INLINE]', "test", "failed"),
        ("apps/accounts/models.py", "(AbstractUser)", "( AbstractUser )", "lint", "apps/accounts/models.py"),
    ],
    ids=["unsafe", "style"],
)
def test_a_real_fault_is_found(renamed, tmp_path, monkeypatch, path, old, new, command, said):
    """What the table proves, it proves of checks that can fail."""
    folder = shutil.copytree(renamed("en"), tmp_path / "shop", symlinks=True)
    monkeypatch.chdir(folder)
    change(path, old, new)
    with pytest.raises(AssertionError, match=said):
        make(folder, command, "ARGS=-q" if command == "test" else "-s")
