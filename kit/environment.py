"""Reads environment variables for the settings and reports everything that is wrong with them at once."""

from collections.abc import Callable
from typing import Any

from environs import FileAwareEnv

REQUIRED = object()


class Environment(FileAwareEnv):
    """environs, with faults collected as sentences. NAME_FILE may hold the path of a file with the value of NAME;
    an empty variable counts as a missing one, since that is what Compose makes of a missing one."""

    def __init__(self) -> None:
        super().__init__(eager=True, strip_whitespace=True)
        self.faults: list[str] = []

    def read(
        self,
        parser: str,
        name: str,
        expected: str,
        default: Any = REQUIRED,
        *,
        validate: Callable[[Any], bool] = lambda value: True,
        secret: bool = False,
    ) -> Any:
        """The value of `name` as the `parser` of environs ("str", "int", …) reads it. Where it is wrong: a fault,
        and the default (of a required one: None), so that the settings can be read to their end.

        `expected` ends the sentence "NAME='value' is wrong: expected …". The value of a secret is never shown.
        """
        fallback = None if default is REQUIRED else default
        try:
            text = self._get_value(name, "")
        except ValueError as error:
            self.faults.append(f"{name}_FILE is wrong: {error}")
            return fallback
        if text == "":
            if default is REQUIRED:
                self.faults.append(f"{name} is missing: expected {expected}.")
            return fallback
        try:
            value = getattr(self, parser)(name)
            if validate(value):
                return value
        except ValueError:
            pass
        shown = name if secret else f"{name}={text!r}"
        self.faults.append(f"{shown} is wrong: expected {expected}.")
        return fallback

    def stop_on_faults(self) -> None:
        """Raise SystemExit (code 1) with every fault found so far, one a line."""
        if self.faults:
            raise SystemExit("\n".join(self.faults))


# The one that kit.settings and the project's settings read.
env = Environment()
