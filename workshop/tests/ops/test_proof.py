"""Readiness tells how a request has arrived, but only to who proves to know SECRET_KEY."""

import httpx
import pytest

from kit.ops import health


def ask(server, **headers):
    return httpx.get(f"{server.url}{health.READY}", headers=headers).json()


def test_the_doctor_is_told_how_its_request_has_arrived(server):
    answer = ask(server, Host="www.example.com", **{health.PROOF_HEADER: health.proof()})
    assert answer["request"] == {"scheme": "http", "client": "127.0.0.1", "host": "www.example.com"}


@pytest.mark.parametrize(
    "proof", ["", "doctor", "doctor:1v0000:x", b"\xff", "doctor:1v0000:" + "A" * 43, ":" * 50], ids=repr
)
def test_nobody_else_is(server, proof):
    assert "request" not in ask(server, **{health.PROOF_HEADER: proof})


def test_a_proof_is_one_for_a_minute(server, monkeypatch):
    now = health.signing.time.time()
    monkeypatch.setattr(health.signing.time, "time", lambda: now - health.PROOF_AGE - 2)
    old = health.proof()
    monkeypatch.undo()
    assert "request" not in ask(server, **{health.PROOF_HEADER: old})


def test_a_proof_made_with_another_key_is_none(server, settings):
    settings.SECRET_KEY = "x" * 60
    assert "request" not in ask(server, **{health.PROOF_HEADER: health.proof()})
