"""Kept connections to PostgreSQL are asked whether they are alive, unless that is known."""

import time

import psycopg
import pytest
from django.db import connection, connections

from kit.serving import threads

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's connections have no other end"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def asked(monkeypatch):
    """The connections that were asked, of those that are made from now on."""
    asked, wrapper = [], type(connections["default"])
    ask = wrapper.is_usable
    monkeypatch.setattr(wrapper, "is_usable", lambda self: asked.append(self) or ask(self))
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 60)
    connection.close()
    yield asked
    connection.close()


def request():
    """The process of PostgreSQL that answers a query of the next request."""
    connection.close_if_unusable_or_obsolete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def test_one_that_was_in_use_a_moment_ago_is_not_asked(asked):
    assert request() == request() == request()
    assert not asked


def test_one_that_was_not_in_use_for_a_while_is_asked(asked, monkeypatch):
    first = request()
    monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + threads.RECENTLY)
    assert request() == first
    assert len(asked) == 1


def test_one_that_postgresql_has_ended_is_replaced_before_a_query_fails(asked):
    first = request()
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
    assert request() != first
    assert len(asked) == 1


def test_one_that_this_process_has_closed_is_replaced(asked):
    first = request()
    connection.connection.close()
    assert request() != first


def test_one_on_which_a_query_failed_is_asked(asked):
    first = request()
    connection.errors_occurred = True
    assert request() == first
    assert len(asked) == 1
