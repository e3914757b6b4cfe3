"""Reads environment variables and secrets for the settings, and reports all errors at once."""

import atexit
import ipaddress
import os
import re
import sys
from collections.abc import Callable
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from dj_database_url import ENGINE_SCHEMES
from environs import Env

REQUIRED = object()
# Where secrets are read from, in a container and in the clone. The file is the variable's name in lower case.
SECRET_FOLDERS = (Path("/run/secrets/app"), Path(__file__).resolve().parent.parent / "secrets" / "app")
# Set to 1 where the settings are loaded but nothing is served, such as when building the image or checking code: a
# missing required variable is no error then. gunicorn.conf.py refuses to serve with it.
STAND_INS_ALLOWED = "SETTINGS_STAND_INS"
# Values of required variables that could not be read, until seal(), so that the settings below do not fail for them.
STAND_INS = {"str": "", "int": 1, "float": 1.0, "bool": False, "list": [], "dict": {}, "json": {}}


class WrongPart(ValueError):
    """Explains the error in one part of a value."""


class Environment(Env):
    """environs with readable errors. An empty variable counts as missing, because Compose sets missing ones to ""."""

    def __init__(self) -> None:
        super().__init__()
        self._faults: list[str] = []
        self._secrets: set[str] = set()
        self._is_sealed = False
        atexit.register(self._tell)

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
        """The value of `name`, parsed by environs ("str", "int", "bool", …). seal() reports a wrong value, and a
        missing one without a default.

        `expected` ends the sentence "NAME='value' is wrong: expected …". `validate` returns False or raises ValueError,
        or WrongPart to add a reason. A `secret` may also be a file in secrets/app, and its value is never shown.
        """
        if secret:
            self._secrets.add(name)
        fallback = STAND_INS.get(parser) if default is REQUIRED else default
        try:
            text = self._get_value(name, "")
        except (OSError, UnicodeDecodeError) as error:
            return self._fault(f"{name} or {name}_FILE can't be read: {error}.", fallback)
        if text == "" and default is REQUIRED and os.environ.get(STAND_INS_ALLOWED) == "1":
            return fallback
        if text == "" and default is REQUIRED:
            return self._fault(f"{name} is missing: expected {expected}.", fallback)
        if text == "":
            return default
        try:
            value = getattr(self, parser)(name)
            if validate(value):
                return value
        except WrongPart as part:
            expected = f"{expected}; {part}"
        except ValueError:
            pass
        return self._fault(f"{name if secret else f'{name}={text!r}'} is wrong: expected {expected}.", fallback)

    def database(self, name: str) -> dict[str, Any]:
        """A parser for read(): dj_db_url, with a readable error for an unknown scheme."""
        value = self._get_value(name, "")
        if value.partition("://")[0].lower() not in ENGINE_SCHEMES:
            has_scheme(value, "postgres", "sqlite")
        return self.dj_db_url(name)

    def seal(self) -> None:
        """Exit with code 1 and one line per error, if there are any. Later errors exit immediately."""
        self._is_sealed = True
        if self._faults:
            raise SystemExit("\n".join(self._faults))

    def _fault(self, sentence: str, fallback: Any) -> Any:
        self._faults.append(sentence)
        if self._is_sealed:
            self.seal()
        return fallback

    def _tell(self) -> None:
        """Print the errors last if the settings failed before seal()."""
        if self._faults and not self._is_sealed:
            sys.stderr.write("\n".join(self._faults) + "\n")

    def _get_value(self, env_key: str, default: Any) -> Any:
        """The variable; else the file named by NAME_FILE; else, for a secret, its file in SECRET_FOLDERS."""
        if text := os.environ.get(env_key):
            return text
        files = [Path(path)] if (path := os.environ.get(f"{env_key}_FILE")) else []
        if env_key in self._secrets:
            files += [file for folder in SECRET_FOLDERS if (file := folder / env_key.lower()).is_file()]
        return (files[0].read_text().strip() if files else "") or default


# --- For `validate`: return False or raise ValueError for a wrong value ---


def are_origins(values: list[str]) -> bool:
    """Is each value a scheme, a host and an optional port, and nothing else? Do all share one scheme?"""
    for value in values:
        try:
            as_origin(value)
        except WrongPart:
            raise
        except ValueError:
            if len(values) == 1:
                return False
            raise WrongPart(f"{value!r} is none") from None
    return len({urlsplit(value).scheme for value in values}) == 1


def as_origin(value: str) -> str:
    """An address as a browser sends it in its Origin header. ValueError for anything else."""
    # Compose turns an empty SITE_URL into http://localhost:HTTP_PORT, where HTTP_PORT may include an address.
    value = re.sub("^http://localhost:(?=.*:)", "http://", value)
    parts = urlsplit(value)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    if not usual or not parts.hostname or "@" in parts.netloc or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError
    # Not a number: ValueError.
    if parts.port == 0:
        raise ValueError
    try:
        host = as_host(parts.hostname)
    except ValueError:
        raise WrongPart(
            f"{parts.hostname!r} is no host name: letters, digits and hyphens between dots, or xn--… for other scripts"
        ) from None
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, usual) else "")


def as_host(name: str) -> str:
    """A host as written in URLs: lower case, IPv6 addresses in brackets, other scripts as punycode."""
    if ":" in name:
        return f"[{ipaddress.IPv6Address(name)}]"
    labels = []
    for label in name.lower().split("."):
        labels.append(label if label.isascii() else label.encode("idna").decode())
        # Browsers encode some names differently from Python's IDNA 2003: straße is a name of its own.
        if labels[-1] != label and labels[-1].encode().decode("idna") != normalize("NFC", label):
            raise ValueError
    host = ".".join(labels)
    if labels[-1].isdigit():
        return str(ipaddress.IPv4Address(host))
    if len(host) > 253 or not all(re.fullmatch("(?!-)[a-z0-9-]{1,63}(?<!-)", label) for label in labels):
        raise ValueError
    return host


def are_networks(values: list[str]) -> bool:
    return all(map(ipaddress.ip_network, values))


def are_networks_or_all(value: str) -> bool:
    return value == "*" or are_networks(value.split(","))


def is_database(value: dict) -> bool:
    return bool(value.get("ENGINE") and value.get("NAME"))


def is_random(value: str) -> bool:
    return len(value) >= 50 and len(set(value)) >= 5


def is_redis(value: str) -> bool:
    return has_scheme(value, "redis", "rediss", "unix")


def is_mail_server(value: str) -> bool:
    return bool(as_mail_server(value))


def as_mail_server(value: str) -> dict[str, Any]:
    """smtp://user:password@host:587 or smtps://… as options of Django's backend. ValueError for anything else."""
    parts = urlsplit(value)
    has_scheme(value, "smtp", "smtps")
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise WrongPart("percent-encode special characters in the name or the password, such as %40 for @")
    if bool(parts.username) != bool(parts.password):
        raise WrongPart("a user has a password, and a password a user")
    is_tls = parts.scheme == "smtps"
    # Never send a password unencrypted: without STARTTLS, sending fails.
    starts_tls = not is_tls and (bool(parts.password) or parts.port == 587)
    return {
        "host": parts.hostname,
        "port": parts.port or (465 if is_tls else 587 if starts_tls else 25),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_ssl": is_tls,
        "use_tls": starts_tls,
        # Seconds per step.
        "timeout": 5,
    }


def is_sender(value: str) -> bool:
    address = parseaddr(value)[1]
    return "@" in address.strip("@") and "\n" not in value


def has_scheme(value: str, *schemes: str) -> bool:
    scheme, separator, _ = value.partition("://")
    # Show no other part of a secret.
    if separator and scheme not in schemes and re.fullmatch("[a-z0-9+.-]{1,20}", scheme, re.IGNORECASE):
        raise WrongPart(f"{scheme!r} is none of the schemes {', '.join(schemes)}")
    if not separator:
        raise ValueError
    return True


def is_dsn(value: str) -> bool:
    parts = urlsplit(value)
    project = parts.path.rpartition("/")[2]
    return bool(has_scheme(value, "http", "https") and parts.username and parts.hostname and project.isdecimal())


# Shared by kit.settings and the project's settings.
env = Environment()
