"""Reads environment variables and secrets for the settings, and reports every fault at once."""

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

from environs import Env

REQUIRED = object()
# Where a secret may lie, in a file named like its variable in lower case: in a container, and in the clone.
SECRET_FOLDERS = (Path("/run/secrets/app"), Path(__file__).resolve().parent.parent / "secrets" / "app")
# Set to 1 where the settings are read and nothing is served, as when the image is built or code is checked: a required
# variable that is missing is no fault then. gunicorn.conf.py refuses to serve with it.
STAND_INS_ALLOWED = "SETTINGS_STAND_INS"
# What a required variable that could not be read is until seal(), so that the lines below it do not fail for it.
STAND_INS = {"str": "", "int": 1, "float": 1.0, "bool": False, "list": [], "dict": {}, "json": {}}


class WrongPart(ValueError):
    """Says what is wrong with a part of a value."""


class Environment(Env):
    """environs, with faults as sentences. An empty variable counts as missing: Compose makes one of the other."""

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
        """The value of `name`, read by the `parser` of environs ("str", "int", "bool", "list", …). A value that is
        wrong, or missing without a default, is a fault that seal() reports.

        `expected` ends the sentence "NAME='value' is wrong: expected …". `validate` returns False or raises ValueError,
        or WrongPart, which has something to add. A `secret` may also be a file in secrets/app, and its value is never
        shown.
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

    def seal(self) -> None:
        """Stop with every fault, one a line, and exit code 1. A fault after this stops at once."""
        self._is_sealed = True
        if self._faults:
            raise SystemExit("\n".join(self._faults))

    def _fault(self, sentence: str, fallback: Any) -> Any:
        self._faults.append(sentence)
        if self._is_sealed:
            self.seal()
        return fallback

    def _tell(self) -> None:
        """The faults again as the last lines, if the settings failed before they came to seal()."""
        if self._faults and not self._is_sealed:
            sys.stderr.write("\n".join(self._faults) + "\n")

    def _get_value(self, env_key: str, default: Any) -> Any:
        """The variable, else the file that NAME_FILE names, else, of a secret, the file in one of the folders."""
        if text := os.environ.get(env_key):
            return text
        files = [Path(path)] if (path := os.environ.get(f"{env_key}_FILE")) else []
        if env_key in self._secrets:
            files += [file for folder in SECRET_FOLDERS if (file := folder / env_key.lower()).is_file()]
        return (files[0].read_text().strip() if files else "") or default


# --- For `validate`: False or ValueError for what is wrong ---


def are_origins(values: list[str]) -> bool:
    """Is each a scheme, a host and perhaps a port, with nothing before or behind them, and all of one scheme?"""
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
    """An address as a browser sends it in its Origin header. ValueError for what is none."""
    # Of an empty SITE_URL Compose makes http://localhost:HTTP_PORT, and that port may have an address in front.
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
    """A host as it is in addresses: in lower case, an IPv6 address in brackets, other scripts as punycode."""
    if ":" in name:
        return f"[{ipaddress.IPv6Address(name)}]"
    labels = []
    for label in name.lower().split("."):
        labels.append(label if label.isascii() else label.encode("idna").decode())
        # Browsers read some names otherwise than Python's IDNA of 2003 does: straße is one of its own.
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
    return _has_scheme(value, "redis", "rediss", "unix")


def is_mail_server(value: str) -> bool:
    return bool(as_mail_server(value))


def as_mail_server(value: str) -> dict[str, Any]:
    """smtp://user:password@host:587 or smtps://… as options of Django's backend. ValueError for what is none."""
    parts = urlsplit(value)
    _has_scheme(value, "smtp", "smtps")
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise WrongPart("what is special in the name or the password is written as in addresses, such as %40 for @")
    if bool(parts.username) != bool(parts.password):
        raise WrongPart("a user has a password, and a password a user")
    is_tls = parts.scheme == "smtps"
    # A password never travels in clear: without STARTTLS nothing is sent then.
    starts_tls = not is_tls and (bool(parts.password) or parts.port == 587)
    return {
        "host": parts.hostname,
        "port": parts.port or (465 if is_tls else 587 if starts_tls else 25),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_ssl": is_tls,
        "use_tls": starts_tls,
        # Seconds for each step.
        "timeout": 5,
    }


def is_sender(value: str) -> bool:
    address = parseaddr(value)[1]
    return "@" in address.strip("@") and "\n" not in value


def _has_scheme(value: str, *schemes: str) -> bool:
    scheme, separator, _ = value.partition("://")
    # Nothing else of a secret is shown.
    if separator and scheme not in schemes and re.fullmatch("[a-z0-9+.-]{1,20}", scheme, re.IGNORECASE):
        raise WrongPart(f"{scheme!r} is none of the schemes {', '.join(schemes)}")
    if not separator:
        raise ValueError
    return True


def is_dsn(value: str) -> bool:
    parts = urlsplit(value)
    project = parts.path.rpartition("/")[2]
    return bool(parts.scheme in ("http", "https") and parts.username and parts.hostname and project.isdecimal())


# The one that kit.settings and the project's settings read.
env = Environment()
