"""Who may follow a topic and who may not, asked through Nginx. The whole table is in tests/live/test_audience.py."""

import secrets

import httpx
import pytest

from workshop.tests.followers import (
    AFTER,
    BEFORE,
    CUT_OFF_WITHIN,
    STAY,
    TRANSPORTS,
    come,
    cookie,
    follow_and_lose,
    kinds,
    publish,
    step,
    topics,
    transports,
)


@pytest.fixture(scope="module")
def followers(stack):
    return follow_and_lose(stack, {"leaves": "sign-out", "stays": STAY})


@pytest.fixture(scope="module")
def letters(stack):
    """A topic with something in it, and the cookies of those who come to the door. "owner" may follow it."""
    with stack.poster() as owner, stack.poster() as other:
        letters = topics(step(owner, "join", room=f"room-{secrets.token_hex(6)}"), "")["letters"]
        publish(stack, [letters], BEFORE)
        yield letters, {"owner": cookie(owner), "stranger": "", "other member": cookie(other)}


@pytest.mark.parametrize("transport", transports)
@pytest.mark.parametrize("who", ["owner", "stranger", "other member"])
def test_at_the_door_none_but_the_owner_is_let_in(stack, letters, who, transport):
    topic, cookies = letters
    follower = come(stack, topic, transport, cookies[who], until=BEFORE)
    expected = (TRANSPORTS[transport].opened, True) if who == "owner" else (403, False)
    assert (follower.status, follower.has(BEFORE)) == expected


@pytest.mark.parametrize("transport", transports)
@pytest.mark.parametrize("kind", kinds)
def test_who_signs_out_while_connected_is_cut_off_and_hears_no_more(followers, kind, transport):
    leaves, stays = (followers[who, kind, transport] for who in ("leaves", "stays"))
    assert leaves.has(BEFORE)
    assert leaves.cut_at
    assert leaves.cut_at - leaves.lost_at <= CUT_OFF_WITHIN
    assert not leaves.has(AFTER)
    assert (stays.has(AFTER), stays.cut_at) == (True, None)


def test_a_large_answer_is_compressed_only_where_everyone_may_read_it(stack, letters):
    topic, cookies = letters
    headers = {"Accept-Encoding": "gzip", "Cookie": cookies["owner"]}
    encodings = {}
    for name in ("notes", topic):
        for number in range(30):
            publish(stack, [name], f"one of many, {number}")
        response = httpx.get(f"{stack.url}/live/{name}/changes?after=0", headers=headers)
        assert len(response.text) > 1024
        encodings[name] = response.headers.get("Content-Encoding")
    assert encodings == {"notes": "gzip", topic: "identity"}
