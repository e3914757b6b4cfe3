import pytest

from workshop.tests.servers import EMBEDDED_MODES, serve


@pytest.fixture(scope="module", params=EMBEDDED_MODES)
def lab(request, tmp_path_factory):
    """The project with the lab, in each mode that needs no Docker."""
    folder = tmp_path_factory.mktemp(f"lab-{request.param}")
    with serve(request.param, folder, DJANGO_SETTINGS_MODULE="workshop.lab.settings") as server:
        yield server
