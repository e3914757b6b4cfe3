import pytest

from kit.serving.threads import Threads

from .client import BOUND, BUILT_IN, close_connections


@pytest.fixture
def threads(settings):
    settings.ROOT_URLCONF = "workshop.tests.handler.urls"
    settings.MIDDLEWARE = BUILT_IN
    threads = Threads(BOUND)
    yield threads
    close_connections(threads)
