"""Makes apps/NAME of kit/app_template by Django's own startapp, and names it where applications are registered."""

import importlib.util
import keyword
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import django
import polib
from django.core.management.commands.startapp import Command as StartApp
from django.template import Context, Engine

ROOT = Path(__file__).resolve().parent.parent
SETTINGS, URLS = "wisheasy/settings.py", "wisheasy/urls.py"
CATALOG = ROOT / "wisheasy/locale/ko/LC_MESSAGES/django.po"
# What a table, a topic and the lines of the template have room for.
LONGEST = 30


class Refused(Exception):
    pass


def main(name: str = "", one: str = "") -> str:
    one = one or singular(name)
    check(name, one)
    registered = {
        SETTINGS: after_the_last(r'    "apps\.\w+",.*\n', f'    "apps.{name}",\n', SETTINGS),
        URLS: after_the_last(
            r'    path\("\w+/", include\(.*\n', f'    path("{name}/", include("apps.{name}.urls")),\n', URLS
        ),
    }
    words = {
        "app_name": name,
        "model": one.title().replace("_", ""),
        "words": one.replace("_", " "),
        "plural": name.replace("_", " "),
        "title": name.replace("_", " ").capitalize(),
    }
    folder = ROOT / "apps" / name
    folder.mkdir()
    more = {key: value for key, value in words.items() if key != "app_name"}
    options = {"template": str(ROOT / "kit/app_template"), "extensions": ["py", "html", "js"], "files": []}
    StartApp().handle(name=name, directory=str(folder), verbosity=0, **options, **more)
    for path, text in registered.items():
        (ROOT / path).write_text(text)
    translate(words)
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "--quiet", "--fix", "--select", "I001", str(folder)], check=True)
    subprocess.run([*ruff, "format", "--quiet", str(folder)], check=True)
    return (
        f"apps/{name} is there, with a model {words['model']}; its page is /{name}/ (make run-asgi).\n"
        f"Next: its fields, in apps/{name}/models.py, then .venv/bin/python manage.py makemigrations {name}\n"
        f"      what it is called in Korean, in {CATALOG.relative_to(ROOT)}\n"
        "Which file does what: docs/applications.md"
    )


def after_the_last(pattern, line, path):
    """The text of `path`, with `line` after the last one that is like that."""
    lines = (ROOT / path).read_text().splitlines(keepends=True)
    places = [number for number, each in enumerate(lines, 1) if re.fullmatch(pattern, each)]
    if not places:
        raise Refused(f"{path} is not as it was: it has no line like those after which {line.strip()} would go.")
    lines.insert(places[-1], line)
    return "".join(lines)


def singular(name):
    """orders, addresses, companies. The rest says it: ONE=person."""
    for ending, one in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("ss", "ss")):
        if name.endswith(ending):
            return name.removesuffix(ending) + one
    return name.removesuffix("s")


def check(name, one):
    for each in (name, one):
        if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", each) or len(each) > LONGEST:
            raise Refused(
                f"{each!r} can't be the name of an application, which is of small letters, digits and _, at most "
                f"{LONGEST}, such as orders: make app NAME=orders"
            )
        if keyword.iskeyword(each) or keyword.issoftkeyword(each):
            raise Refused(f"{each!r} is a word of Python's own: choose another name.")
    if name == one:
        raise Refused(
            f"{name!r} is not a plural, and an application is called after many of its things: make app NAME={name}s, "
            f"or say what one of them is called: make app NAME={name} ONE=…"
        )
    if (ROOT / "apps" / name).exists():
        raise Refused(f"There is an apps/{name} already.")

    from django.apps import apps
    from django.urls import get_resolver

    if name in apps.app_configs:
        raise Refused(f"{name!r} is taken by {apps.get_app_config(name).name}: choose another name.")
    if importlib.util.find_spec(name):
        raise Refused(f"{name!r} is a Python module already: choose another name.")
    if any(str(each.pattern).startswith(f"{name}/") for each in get_resolver().url_patterns):
        raise Refused(f"The address /{name}/ is taken: choose another name.")
    if name in re.findall(r"location /(\w+)/", "".join(path.read_text() for path in ROOT.glob("nginx/**/*.conf"))):
        raise Refused(f"The address /{name}/ is taken by Nginx: choose another name.")


def translate(words):
    """Adds what the application says to the Korean catalog; of what is there already, the files that it is in."""
    catalog = polib.pofile(CATALOG, wrapwidth=100)
    template = Engine().from_string((ROOT / "kit/app_template.ko.po").read_text())
    for entry in polib.pofile(template.render(Context(words, autoescape=False))):
        known = catalog.find(entry.msgid)
        if known is None:
            catalog.append(entry)
        else:
            known.occurrences += entry.occurrences
    catalog.save()
    catalog.save_as_mofile(CATALOG.with_suffix(".mo"))


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "wisheasy.settings"
    os.environ["SECRET_KEY"] = secrets.token_urlsafe(64)
    sys.path.insert(0, str(ROOT))
    django.setup()
    try:
        print(main(*sys.argv[1:]))
    except Refused as refusal:
        sys.exit(str(refusal))
