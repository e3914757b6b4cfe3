"""The API for applications: register a topic and its audience, publish a change of one of its objects, and announce
messages that are not stored."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import transaction
from django.urls.resolvers import RoutePattern

from . import hints

# The length of the column in models.py.
MAX_LENGTH = 200
PRUNE_EVERY = 100


@dataclass(frozen=True)
class Registration:
    """The arguments of `register`."""

    pattern: RoutePattern
    render: Callable[..., dict[str, str]]
    may_follow: Callable[..., Any] | None
    per_viewer: bool

    def match(self, name: str) -> dict[str, Any] | None:
        """The parameters in `name`, or None if it doesn't match in its canonical form: 007 is not 7."""
        if not (found := self.pattern.match(name)):
            return None
        parameters = found[2]

        def written(parameter):
            return self.pattern.converters[parameter[1]].to_url(parameters[parameter[1]])

        return parameters if re.sub(r"<(?:[^>:]*:)?([^>]*)>", written, self.pattern._route) == name else None


@dataclass(frozen=True)
class Topic:
    """A concrete topic, such as orders/7 of orders/<int:customer>."""

    name: str
    render: Callable[..., dict[str, str]]
    may_follow: Callable[[Any], Any] | None
    """Whether a user may follow the topic, or a coroutine for it. None if everyone may."""
    per_viewer: bool

    @property
    def asks_who(self) -> bool:
        """Does the topic need to know its viewer?"""
        return self.per_viewer or self.may_follow is not None

    async def allows(self, user) -> bool:
        if self.may_follow is None:
            return True
        is_async = inspect.iscoroutinefunction(self.may_follow)
        return await (self.may_follow if is_async else database_sync_to_async(self.may_follow))(user)

    def allows_now(self, user) -> bool:
        """Called on a thread."""
        if self.may_follow is None:
            return True
        is_async = inspect.iscoroutinefunction(self.may_follow)
        return (async_to_sync(self.may_follow) if is_async else self.may_follow)(user)


REGISTRATIONS: dict[str, Registration] = {}
_published = count(1)


def register(
    topic: str,
    render: Callable[..., dict[str, str]],
    *,
    may_follow: Callable[..., Any] | None = None,
    public: bool = False,
    per_viewer: bool = False,
) -> None:
    """Make `topic` live: a name such as "wishes" or, with parameters as in Django's `path`, "orders/<int:customer>".

    `render(keys, **parameters)` returns the HTML of the objects that exist, by key, in the active language. All viewers
    get the same HTML, so it must not depend on the viewer, unless you set `per_viewer`: then
    `render(keys, user, **parameters)` is called for each viewer.

    `may_follow(user, **parameters)`, sync or async, says whether the user may see the topic. It is called when a page
    connects, and every few seconds while it is open. Or set `public=True` to let everyone follow it without an account.
    """
    if public == (may_follow is not None):
        said = "both" if public else "neither"
        raise SystemExit(
            f"The live topic {topic!r} needs one of two arguments of register(), and has {said}: "
            "may_follow=…, a function of the user, or public=True to let everyone read it."
        )
    registration = Registration(RoutePattern(topic, is_endpoint=True), render, may_follow, per_viewer)
    parameters = dict.fromkeys(registration.pattern.converters)
    for function, arguments in ((render, ["keys", "user"] if per_viewer else ["keys"]), (may_follow, ["user"])):
        try:
            if inspect.isroutine(function) and not inspect.isbuiltin(function):
                inspect.signature(function).bind(*arguments, **parameters)
        except TypeError as error:
            wanted = ", ".join([*arguments, *parameters])
            raise SystemExit(
                f"{function.__name__} of the live topic {topic!r} is called as {function.__name__}({wanted}), "
                f"and can't be: {error}."
            ) from error
    REGISTRATIONS[topic] = registration


def find(name: str) -> Topic | None:
    """The topic of that name, if it matches a registered one."""
    # PostgreSQL can't store some unprintable characters.
    if len(name) <= MAX_LENGTH and name.isprintable():
        for registration in REGISTRATIONS.values():
            if (parameters := registration.match(name)) is not None:
                may_follow = registration.may_follow and partial(registration.may_follow, **parameters)
                return Topic(name, partial(registration.render, **parameters), may_follow, registration.per_viewer)
    return None


def get(name: str) -> Topic:
    """Like find(), but raises ValueError if there is none."""
    if topic := find(name):
        return topic
    known = ", ".join(REGISTRATIONS) or "none"
    raise ValueError(f"There is no live topic {name[:MAX_LENGTH]!r}: register() one that it fits (there are: {known}).")


def publish(topic: str, key: object) -> None:
    """Record, in the open transaction, that the object `key` changed or was deleted, and push it when that commits.

    Call it in a transaction: otherwise a crash between the two commits leaves open pages stale until they reload.
    """
    from .changes import prune
    from .models import Change

    get(topic)
    # With position=None, a trigger assigns the next one, see the migrations.
    Change.objects.bulk_create(
        [Change(topic=topic, key=str(key), position=None)],
        update_conflicts=True,
        unique_fields=["topic", "key"],
        update_fields=["position"],
    )
    if settings.LIVE_TRANSPORTS != ("polling",):
        transaction.on_commit(partial(hints.send, topic), robust=True)
    if next(_published) % PRUNE_EVERY == 0:
        transaction.on_commit(partial(prune, topic), robust=True)


def announce(topic: str, message: object) -> None:
    """Send the JSON-serializable `message` to the current followers of `topic`. It is not stored: pages that poll never
    get it, and pages that reconnect have missed it. Call it on any thread, or on the event loop."""
    get(topic)
    if settings.LIVE_TRANSPORTS != ("polling",):
        hints.send(topic, message)
