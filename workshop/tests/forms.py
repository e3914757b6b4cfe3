"""What the addresses take that change something. An application of its own says it in its tests/forms.py: FORMS, by the
name of the address, and ONLY_READ, the names of those that change nothing."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from django.apps import apps


class Form:
    """What an address takes, whether a member sends it, and how a client sees that it was done."""

    def __init__(self, path: str, data: dict, done: Callable, by_member: bool = True):
        self.path = path
        self.data = data
        self.done = done
        self.by_member = by_member


def of_the_applications() -> tuple[dict[str, Callable], set[str]]:
    """FORMS and ONLY_READ of all. Each form is made for two members: the victim, in whose name it is sent, and the
    attacker."""
    forms, only_read = {}, set()
    for config in apps.get_app_configs():
        if (
            config.name.startswith("apps.")
            and find_spec(f"{config.name}.tests")
            and find_spec(f"{config.name}.tests.forms")
        ):
            module = import_module(f"{config.name}.tests.forms")
            forms.update(module.FORMS)
            only_read.update(module.ONLY_READ)
    return forms, only_read
