import importlib.util

import pytest
from django.db import connection

from workshop.tests.servers import ROOT


def read():
    spec = importlib.util.spec_from_file_location("gunicorn_conf", ROOT / "gunicorn.conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def configuration():
    return read()


@pytest.mark.django_db(transaction=True)
def test_no_connection_of_the_master_reaches_a_worker(configuration):
    connection.ensure_connection()
    configuration.pre_fork(None, None)
    assert connection.connection is None
    assert getattr(connection, "pool", None) is None


def test_gunicorn_opens_no_control_socket_and_trusts_no_proxy(configuration):
    assert configuration.control_socket_disable is True
    assert configuration.forwarded_allow_ips == ""


@pytest.mark.parametrize(
    ("address", "bound"), [("127.0.0.1", "127.0.0.1:8000"), ("::1", "[::1]:8000"), ("::", "[::]:8000")]
)
def test_gunicorn_listens_on_an_address_of_ipv6_too(settings, address, bound):
    settings.BIND_ADDRESS, settings.PORT = address, 8000
    assert read().bind == bound
