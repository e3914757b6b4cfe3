"""Visitors of this process's open connections: who they are, whether they may still follow, and their disconnection."""

import asyncio
import contextvars
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import batched
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends import db
from django.db import InterfaceError, OperationalError
from django.db import connection as database
from django.db.models import BooleanField, F, Field, Func, Q, Value
from django.http import parse_cookie
from django.utils import timezone
from django.utils.crypto import constant_time_compare

logger = logging.getLogger(__name__)

# Seconds between two checks of the open connections' permissions. With the check itself, it is less than ten.
EXAMINE_EVERY = 7
# The number of async `ask` calls that run at once on the event loop.
ASKED_AT_ONCE = 100
# A stopping server disconnects its visitors gradually, so that they don't all reconnect at once: at this rate per
# second, or faster if that would take more than SENT_AWAY_WITHIN seconds.
SENT_AWAY_A_SECOND = 25
SENT_AWAY_WITHIN = 4

# Reasons for a disconnection.
FORBIDDEN = "forbidden"
STOPPING = "stopping"


class Visitor:
    """A session and its `user`, who may be AnonymousUser."""

    __slots__ = ("claim", "session_data", "session_key", "user")

    def __init__(self, session_key: str | None, user: Any = None):
        self.session_key = session_key
        self.user = user
        # The decoded claim, and the stored text it came from, which rarely changes.
        self.session_data = self.claim = None


class Connection:
    __slots__ = ("ask", "asks_on_loop", "leave", "visitor")

    def __init__(self, visitor: Visitor | None, leave: Callable[[str], None], ask: Callable[[Any], Any] | None):
        self.visitor = visitor
        self.leave = leave
        self.ask = ask
        self.asks_on_loop = inspect.iscoroutinefunction(ask)


class _Process:
    def __init__(self):
        self.connections: set[Connection] = set()
        self.stopping = False
        self.examining: asyncio.Task | None = None


_processes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Process] = WeakKeyDictionary()


def _process() -> _Process:
    """The connections of the running event loop."""
    return _processes.setdefault(asyncio.get_running_loop(), _Process())


async def visitor_of(scope) -> Visitor:
    """The visitor who opens this WebSocket. Runs a query only if there is a session."""
    cookies = parse_cookie(dict(scope["headers"]).get(b"cookie", b"").decode("latin-1"))
    visitor = Visitor(_store()(cookies.get(settings.SESSION_COOKIE_NAME)).session_key, AnonymousUser())
    if visitor.session_key:
        (visitor.user,) = await database_sync_to_async(users)([visitor])
    return visitor


@contextmanager
def watched(
    visitor: Visitor | None, leave: Callable[[str], None], ask: Callable[[Any], Any] | None = None
) -> Iterator[None]:
    """Hold this open while a connection is. `leave` is called once, on the event loop, with the reason to disconnect.

    FORBIDDEN: `visitor` is signed out, disabled or has another password, or `ask(user)` no longer returns True.
    Connections without a visitor are not checked.
    STOPPING: the server is about to stop.
    """
    process = _process()
    connection = Connection(visitor, leave, ask)
    process.connections.add(connection)
    if process.stopping:
        asyncio.get_running_loop().call_soon(_send_away, process, connection, STOPPING)
    if visitor and not process.examining:
        # In its own context: the context of whichever connection comes first ends with it.
        context = contextvars.Context()
        process.examining = asyncio.create_task(_examine(process), context=context, name="live audience")
    try:
        yield
    finally:
        process.connections.discard(connection)


async def stop() -> None:
    """Disconnect all visitors of this process gradually, within SENT_AWAY_WITHIN. Those who wait are still served."""
    process = _process()
    process.stopping = True
    connections = list(process.connections)
    each_time = max(SENT_AWAY_A_SECOND, len(connections) / SENT_AWAY_WITHIN) / 20
    sent = 0
    for number, connection in enumerate(connections):
        if number - sent >= each_time:
            sent = number
            await asyncio.sleep(1 / 20)
        _send_away(process, connection, STOPPING)


def _send_away(process: _Process, connection: Connection, reason: str) -> None:
    if connection in process.connections:
        process.connections.discard(connection)
        connection.leave(reason)


async def _examine(process: _Process) -> None:
    while True:
        await asyncio.sleep(EXAMINE_EVERY)
        if not (watched := [each for each in process.connections if each.visitor]):
            break
        try:
            for connection in await _may_no_longer(watched):
                _send_away(process, connection, FORBIDDEN)
        except Exception as error:
            # Without the database, no one can be shown anything either.
            logger.warning("Could not check who may still follow, trying again: %r", error)
        del watched
    process.examining = None


async def _may_no_longer(connections: list[Connection]) -> list[Connection]:
    gone, asked_here = await database_sync_to_async(_examine_on_a_thread)(connections)
    for some in batched(asked_here, ASKED_AT_ONCE, strict=False):
        asking = (connection.ask(connection.visitor.user) for connection in some)
        for connection, may in zip(some, await asyncio.gather(*asking, return_exceptions=True), strict=True):
            if not (_not_known(connection, may) if isinstance(may, Exception) else may):
                gone.append(connection)
    return gone


def _examine_on_a_thread(connections: list[Connection]) -> tuple[list[Connection], list[Connection]]:
    """Connections that may no longer follow, and those whose `ask` must run on the event loop."""
    gone, asked_there = [], []
    for connection, user in zip(connections, users([each.visitor for each in connections]), strict=True):
        may = user == connection.visitor.user
        if may:
            # Takes over changed permissions. A visitor who is now another user keeps the old one until disconnected.
            connection.visitor.user = user
            if connection.asks_on_loop:
                asked_there.append(connection)
            elif connection.ask:
                try:
                    may = connection.ask(user)
                except Exception as error:
                    may = _not_known(connection, error)
        if not may:
            gone.append(connection)
    return gone, asked_there


def _not_known(connection: Connection, error: Exception) -> bool:
    if isinstance(error, InterfaceError | OperationalError):
        # An unavailable database is no reason to disconnect visitors.
        raise error
    logger.error("Could not check user %s, so disconnected them.", connection.visitor.user.pk, exc_info=error)
    return False


def users(visitors: list[Visitor]) -> list[Any]:
    """The current user of each visitor, by a constant number of queries. AnonymousUser if the session is missing or no
    longer valid by the rules of django.contrib.auth.get_user, but without changing any session."""
    _read_sessions(visitors)
    found: dict[str, dict[Any, Any]] = {}
    for path in {each.claim[0] for each in visitors if each.claim}:
        keys = {each.claim[1] for each in visitors if each.claim and each.claim[0] == path}
        found[path] = _users_of_backend(path, keys)
    # Several connections may share a session.
    known: dict[str | None, Any] = {}
    for visitor in visitors:
        if visitor.session_key not in known:
            known[visitor.session_key] = _claimant(visitor.claim, found)
    return [known[visitor.session_key] for visitor in visitors]


def _claimant(claim: tuple[str, Any, str] | None, found: dict[str, dict[Any, Any]]) -> Any:
    if claim:
        path, key, session_hash = claim
        if (user := found[path].get(key)) and _is_theirs(session_hash, user):
            return user
    return AnonymousUser()


def _store():
    return import_module(settings.SESSION_ENGINE).SessionStore


def _read_sessions(visitors: list[Visitor]) -> None:
    store = _store()
    keys = {each.session_key for each in visitors if each.session_key}
    if issubclass(store, db.SessionStore):
        model = store.get_model_class()
        rows = model.objects.filter(_among(model._meta.pk, keys), expire_date__gt=timezone.now())
        sessions = dict(rows.values_list("session_key", "session_data"))
        decode = store().decode
    else:
        sessions = {key: store(key).load() for key in keys}
        decode = dict
    for visitor in visitors:
        data = sessions.get(visitor.session_key)
        if data is None:
            visitor.session_data = visitor.claim = None
        elif data != visitor.session_data:
            visitor.session_data = data
            visitor.claim = _claim(decode(data))


def _claim(session: dict) -> tuple[str, Any, str] | None:
    """From a session: the backend, the user's primary key, and the hash of their password."""
    path = session.get(BACKEND_SESSION_KEY)
    if path not in settings.AUTHENTICATION_BACKENDS or SESSION_KEY not in session:
        return None
    return path, get_user_model()._meta.pk.to_python(session[SESSION_KEY]), session.get(HASH_SESSION_KEY) or ""


def _users_of_backend(path: str, keys: set) -> dict[Any, Any]:
    backend = load_backend(path)
    if type(backend).get_user is not ModelBackend.get_user:
        return {key: user for key in keys if (user := backend.get_user(key))}
    model = get_user_model()
    known = model._default_manager.filter(_among(model._meta.pk, keys))
    return {user.pk: user for user in known if backend.user_can_authenticate(user)}


def _among(field: Field, keys: set) -> Func | Q:
    """`field` IN `keys`. PostgreSQL gets one JSON parameter, because Django and the driver spend more time on ten
    thousand parameters than on everything else here."""
    if database.vendor != "postgresql":
        return Q(**{f"{field.name}__in": keys})
    return Func(
        F(field.name),
        Value(json.dumps([str(key) for key in keys])),
        template=f"%(expressions)s::json))::{field.db_type(database)}[])",
        arg_joiner=" = ANY(ARRAY(SELECT json_array_elements_text(",
        output_field=BooleanField(),
    )


def _is_theirs(session_hash: str, user: Any) -> bool:
    if not hasattr(user, "get_session_auth_hash"):
        return True
    if constant_time_compare(session_hash, user.get_session_auth_hash()):
        return True
    return any(constant_time_compare(session_hash, each) for each in user.get_session_auth_fallback_hash())
