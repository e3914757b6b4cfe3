"""Creates an application from kit/app_template with Django's startapp, and adds it to the settings and the URLs."""

import importlib.util
import keyword
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import django
from django.core.management import CommandError
from django.core.management.commands.startapp import Command as StartApp

ROOT = Path(__file__).resolve().parent.parent
MANAGE = ROOT / "manage.py"
KEY = ROOT / "var" / "secret_key"


def add(name: str, public: str = "") -> str:
    from django.conf import settings

    check(name)
    if public not in ("", "0", "1"):
        raise CommandError(f"PUBLIC={public!r} is wrong: expected 1, for a page that everyone sees, or 0.")
    one = singular(name)
    registered = {}
    for module, start, line in (
        (settings.SETTINGS_MODULE, "INSTALLED_APPS = [\n", f'    "apps.{name}",\n'),
        (settings.ROOT_URLCONF, "urlpatterns = [\n", f'    path("{name}/", include("apps.{name}.urls")),\n'),
    ):
        file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        if start not in file.read_text():
            raise CommandError(f"{file.name} has no line {start.strip()}, which {line.strip()} has to follow.")
        registered[file] = file.read_text().replace(start, start + line, 1)

    folder = ROOT / "apps" / name
    model = one.title().replace("_", "")
    words = {"model": model, "words": one.replace("_", " "), "plural": name.replace("_", " ")}
    owner = {"public": public == "1", "converter": converter()}
    folder.mkdir()
    template = {"template": str(ROOT / "kit" / "app_template"), "extensions": ["py", "html"], "files": []}
    StartApp().handle(name=name, directory=str(folder), verbosity=0, **template, **words, **owner)
    if "ko" not in dict(settings.LANGUAGES):
        shutil.rmtree(folder / "locale", ignore_errors=True)
    for file, text in registered.items():
        file.write_text(text)
    subprocess.run([sys.executable, MANAGE, "makemigrations", name, "--verbosity", "0"], check=True)
    audience = "everyone sees what members add" if public == "1" else "each member sees and changes only their own"
    return (
        f"Created apps/{name}. On its page, /{name}/, {audience}: make run-asgi\n"
        f"After a change of its model, {model}: .venv/bin/python manage.py makemigrations {name}"
    )


def check(name: str) -> None:
    """Raise CommandError if an application can't have this name."""
    from django.apps import apps
    from django.urls import get_resolver

    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > 30 or keyword.iskeyword(name):
        raise CommandError(
            f"{name!r} can't be the name of an application: use up to 30 lower-case letters, digits and _, "
            "such as make app NAME=orders."
        )
    if (ROOT / "apps" / name).exists() or name in apps.app_configs or importlib.util.find_spec(name):
        raise CommandError(f"There is an application or a Python module {name!r} already: choose another name.")
    locations = "".join(file.read_text() for file in ROOT.glob("nginx/**/*.conf"))
    taken = [str(each.pattern) for each in get_resolver().url_patterns] + re.findall(r"location /(\w+/)", locations)
    if any(address.startswith(f"{name}/") for address in taken):
        raise CommandError(f"The address /{name}/ is taken: choose another name.")


def converter() -> str:
    """The path converter for the user's primary key."""
    from django.contrib.auth import get_user_model
    from django.db import models

    key = get_user_model()._meta.pk
    kinds = {models.IntegerField: "int", models.UUIDField: "uuid"}
    return next((name for kind, name in kinds.items() if isinstance(key, kind)), "str")


def singular(name: str) -> str:
    for plural, one in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")):
        if name.endswith(plural):
            return name.removesuffix(plural) + one
    return name if name.endswith(("ss", "us", "is")) else name.removesuffix("s")


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = re.search(r'"(\w+\.settings)"', MANAGE.read_text())[1]
    if not KEY.exists():
        # manage.py needs a key: create it the way `make run-asgi` does.
        KEY.parent.mkdir(exist_ok=True)
        KEY.touch(mode=0o600)
        KEY.write_text(secrets.token_urlsafe(64))
    try:
        django.setup()
        print(add(*sys.argv[1:]))
    except CommandError as error:
        sys.exit(str(error))
