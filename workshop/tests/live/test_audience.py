"""Who may follow a topic and who may not, asked of real servers in each mode and on each transport: 403 at the door,
and within ten seconds for those who lose the right while they are connected."""

import json
import os
import re
import secrets
import subprocess
import sys

import httpx
import pytest

from workshop.tests.followers import (
    AFTER,
    BEFORE,
    CUT_OFF_WITHIN,
    HELD,
    STAY,
    TRANSPORTS,
    Follower,
    come,
    cookie,
    follow_and_lose,
    kinds,
    listen,
    loses,
    poll,
    publish,
    step,
    topics,
    transports,
)
from workshop.tests.servers import ROOT, free_port

# By what it takes from a member.
STEPS = {
    "signed out": "sign-out",
    "deactivated": "deactivate",
    "right withdrawn": "leave",
    "expired session": "expire",
    "password changed": "change-password",
}
INTRUDERS = ("stranger", "other member", "forged cookie", *STEPS)
STAYING = {"still there": STAY, "signed out elsewhere": "sign-out-elsewhere"}


@pytest.fixture(scope="module")
def room():
    return f"room-{secrets.token_hex(6)}"


@pytest.fixture(scope="module")
def owner(server, room):
    """A member of the room: the cookie, and topics with something to read in them, of each kind one."""
    with server.poster() as owner:
        owners = topics(step(owner, "join", room=room), room)
        publish(server, owners.values(), BEFORE)
        return cookie(owner), owners


@pytest.fixture
def intruder(server, room, owner, who):
    """The cookie of one who may not, or no longer, follow these topics."""
    _, owners = owner
    if who == "stranger":
        return "", owners
    if who == "forged cookie":
        return f"sessionid={secrets.token_hex(16)}", owners
    # Each time another: with a password that was changed, the first request ends the session.
    with server.poster() as member:
        if who == "other member":
            return cookie(member), owners
        theirs = topics(step(member, "join", room=room), room)
        publish(server, [theirs["letters"]], BEFORE)
        had = cookie(member)
        step(member, STEPS[who])
        return had, {kind: (theirs if loses(STEPS[who], kind) else owners)[kind] for kind in kinds}


def lines(server, topic):
    """Of the log about that topic, but for those of the access log."""
    records = map(json.loads, server.log.read_text().splitlines())
    return [each for each in records if each["level"] != "INFO" and re.search(rf"{topic}\b", each["message"])]


@pytest.mark.parametrize("transport", transports)
@pytest.mark.parametrize("kind", kinds)
@pytest.mark.parametrize("who", INTRUDERS)
def test_at_the_door_those_who_may_not_get_403_and_nothing_of_what_is_inside(server, intruder, who, kind, transport):
    cookies, inside = intruder
    before = len(lines(server, inside[kind]))
    follower = come(server, inside[kind], transport, cookies)
    assert follower.status == 403
    assert not follower.has(BEFORE)
    body = follower.received.split(b"\r\n\r\n", 1)[1]
    assert b"websocket" in follower.headers.encode() or json.loads(body).keys() == {"error"}
    assert len(lines(server, inside[kind])) - before == 1


@pytest.mark.parametrize("transport", transports)
@pytest.mark.parametrize("kind", kinds)
def test_at_the_door_those_who_may_are_let_in(server, owner, kind, transport):
    cookies, inside = owner
    follower = come(server, inside[kind], transport, cookies, until=BEFORE)
    assert (follower.status, follower.has(BEFORE)) == (TRANSPORTS[transport].opened, True)


@pytest.mark.modes("wsgi")
@pytest.mark.parametrize("transport", ["websocket", "events"])
@pytest.mark.parametrize("kind", kinds)
def test_without_an_event_loop_even_the_owner_is_answered_426_where_it_pushes(server, owner, kind, transport):
    cookies, inside = owner
    follower = come(server, inside[kind], transport, cookies, until="make up-asgi")
    assert (follower.status, follower.has(BEFORE)) == (426, False)


@pytest.fixture(scope="module")
def followers(server):
    return follow_and_lose(server, {**STEPS, **STAYING})


@pytest.mark.parametrize("transport", transports)
@pytest.mark.parametrize(
    ("who", "kind"), [(who, kind) for who, taken in STEPS.items() for kind in kinds if loses(taken, kind)]
)
def test_who_loses_the_right_while_connected_is_cut_off_and_hears_no_more(followers, who, kind, transport):
    follower = followers[who, kind, transport]
    assert follower.has(BEFORE)
    assert follower.cut_at
    assert follower.cut_at - follower.lost_at <= CUT_OFF_WITHIN
    assert not follower.has(AFTER)


@pytest.mark.parametrize("transport", transports)
@pytest.mark.parametrize(
    ("who", "kind"), [*((who, kind) for who in STAYING for kind in kinds), ("right withdrawn", "letters")]
)
def test_who_keeps_the_right_stays_connected(followers, who, kind, transport):
    follower = followers[who, kind, transport]
    assert (follower.has(BEFORE), follower.has(AFTER), follower.cut_at) == (True, True, None)


def test_what_one_viewer_is_shown_reaches_no_other_in_any_language(server):
    room = f"room-{secrets.token_hex(6)}"
    with server.poster() as one, server.poster() as other:
        for member in (one, other):
            step(member, "join", room=room)
        viewers = [
            (member.name, language, Follower(server, f"seats/{room}", transport, cookie(member), language))
            for transport in ("poll", *(HELD if server.pushes else ()))
            for language in ("en", "ko")
            for member in (one, other)
        ]
        listening = [follower for *_, follower in viewers]
        for follower in listening:
            if follower.transport != TRANSPORTS["poll"]:
                follower.ask()
        publish(server, [f"seats/{room}"], BEFORE)
        poll(follower for follower in listening if follower.transport == TRANSPORTS["poll"])
        listen(listening, lambda follower: follower.has(BEFORE))
        for follower in listening:
            follower.close()
    for name, language, follower in viewers:
        assert re.findall(rb"lang=(\w+)>", follower.received) == [language.encode()]
        assert set(re.findall(rb"for (probe-\w+)", follower.received)) == {name.encode()}


@pytest.mark.parametrize(
    "alias", ["letters/0{}", "letters/+{}", "letters/{}%0a", "letters/{}/", "letters//{}", "Letters/{}", "letters/{}.0"]
)
@pytest.mark.parametrize("transport", transports)
def test_another_spelling_of_a_topic_is_none(server, owner, alias, transport):
    cookies, inside = owner
    follower = come(server, alias.format(inside["letters"].removeprefix("letters/")), transport, cookies)
    assert (follower.status, follower.has(BEFORE)) == (404, False)


@pytest.mark.parametrize("transport", transports)
def test_a_topic_that_is_longer_than_any_can_be_is_none(server, transport):
    follower = come(server, f"rooms/{'x' * 300}", transport)
    assert follower.status == 404


@pytest.mark.parametrize("kind", kinds)
def test_private_changes_are_kept_by_nobody_on_the_way_and_compressed_by_none(server, owner, kind):
    cookies, inside = owner
    headers = {"Cookie": cookies, "If-None-Match": "*"}
    response = httpx.get(f"{server.url}/live/{inside[kind]}/changes?after=0", headers=headers)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["Content-Encoding"] == "identity"
    assert "ETag" not in response.headers


@pytest.mark.modes("asgi")
@pytest.mark.parametrize("kind", kinds)
def test_a_private_event_stream_is_kept_by_nobody_on_the_way(server, owner, kind):
    cookies, inside = owner
    with httpx.stream("GET", f"{server.url}/live/{inside[kind]}/events", headers={"Cookie": cookies}) as response:
        assert response.headers["Cache-Control"] == "private, no-store"
        assert response.headers["X-Accel-Buffering"] == "no"


def test_public_changes_may_be_compared_and_compressed(server):
    response = httpx.get(f"{server.url}/live/notes/changes?after=0")
    assert response.headers["Cache-Control"] == "no-cache"
    assert "ETag" in response.headers
    assert "Content-Encoding" not in response.headers


# Saying neither who may follow a topic nor that everyone may is a start that fails, and so is saying both.
SETTINGS = """
from django.apps import AppConfig

from kit.live import register
from workshop.probe.settings import *


class Orders(AppConfig):
    name = "orders"

    def ready(self):
        register("orders", dict{said})


INSTALLED_APPS += ["orders.Orders"]
"""


@pytest.mark.parametrize("said", ["", ", public=True, may_follow=bool"], ids=["neither", "both"])
@pytest.mark.parametrize("command", [("manage.py", "check"), ("-m", "gunicorn")], ids=["manage.py", "gunicorn"])
@pytest.mark.parametrize("mode", ["wsgi", "asgi"])
def test_a_topic_without_one_audience_stops_the_start_with_one_sentence(tmp_path, mode, command, said):
    (tmp_path / "orders.py").write_text(SETTINGS.format(said=said))
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "SECRET_KEY")},
        "DJANGO_SETTINGS_MODULE": "orders",
        "PYTHONPATH": str(tmp_path),
        "SERVER_MODE": mode,
        "PORT": str(free_port()),
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
    }
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    (sentence,) = [line for line in result.stderr.splitlines() if "may_follow" in line]
    assert "'orders'" in sentence
    assert "public=True" in sentence
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
