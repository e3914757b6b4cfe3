"""docs/recipes/another-framework.md, its ASGI application, done as it says, and served."""

import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from workshop.tests.servers import serve

from . import page

# Endpoints of the test's own, as somebody adds them to the page's.
MORE = """

import logging
from contextlib import asynccontextmanager

from pydantic import BaseModel

logger = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(api: FastAPI):
    logger.info("The API starts.")
    yield
    logger.info("The API has ended.")


api.router.lifespan_context = lifespan


class Name(BaseModel):
    name: str


@api.get("/status")
async def status():
    return {"members": await User.objects.acount()}


@api.put("/me")
async def rename(user: Annotated[User, Depends(member)], name: Name):
    user.first_name = name.name
    await user.asave(update_fields=["first_name"])
    logger.info("A member has another name.")
    return {"name": user.first_name}


@api.get("/thread")
async def thread():
    import logging
    import threading
    import time

    from asgiref.sync import sync_to_async

    def hold():
        User.objects.count()
        logging.getLogger("tests").info("Held.")
        time.sleep(0.3)
        return threading.current_thread().name

    return await sync_to_async(hold)()


@api.get("/address")
async def address(request: Request):
    return {"address": str(request.url_for("status"))}


@api.get("/broken")
async def broken():
    raise RuntimeError("this is broken")
"""


@pytest.fixture(scope="module")
def project(clone, packages):
    page.follow("another-framework", clone, "An ASGI application (FastAPI)", packages=packages)
    with (clone / "wisheasy/api.py").open("a") as module:
        module.write(MORE)
    return clone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def api(project, packages, folder):
    with serve("asgi", folder, project, PYTHONPATH=str(packages), WEB_THREADS="3") as server:
        yield server


def lines(server):
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


def test_it_answers_beside_django(api):
    answer = httpx.get(f"{api.url}/api/status")
    assert answer.status_code == 200
    assert answer.json()["members"] >= 0
    assert httpx.get(f"{api.url}/apis").headers["content-type"].startswith("text/html")
    assert httpx.get(f"{api.url}/accounts/login/").status_code == 200
    assert httpx.get(f"{api.url}/api/nothing").json() == {"detail": "Not Found"}


def test_it_knows_who_is_signed_in_on_the_site(api):
    assert httpx.get(f"{api.url}/api/me").status_code == 403
    with api.member() as member:
        assert member.client.get("/api/me").json() == {"username": member.name}
        member.send("/accounts/logout/")
        assert member.client.get("/api/me").status_code == 403


@pytest.mark.parametrize("key", ["nobody", "a" * 32, '"\\000"', ""])
def test_a_cookie_of_somebody_s_own_making_is_nobody(api, key):
    assert httpx.get(f"{api.url}/api/me", headers={"Cookie": f"sessionid={key}"}).status_code == 403


def test_a_change_is_taken_from_pages_of_the_site_alone(api):
    with api.member() as member:
        for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            assert member.client.put("/api/me", json={"name": "Eve"}, headers=headers).status_code == 403
        answer = member.client.put("/api/me", json={"name": "Ann"}, headers={"Origin": api.url})
        assert (answer.status_code, answer.json()["name"]) == (200, "Ann")


def test_a_page_of_another_site_may_not_read_it(api):
    answer = httpx.get(f"{api.url}/api/status", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_another_host_is_refused(api):
    assert httpx.get(f"{api.url}/api/status", headers={"Host": "evil.example"}).status_code == 400


def test_it_knows_its_own_addresses(api):
    assert httpx.get(f"{api.url}/api/address").json() == {"address": f"{api.url}/api/status"}
    assert httpx.get(f"{api.url}/api/openapi.json").json()["servers"] == [{"url": "/api"}]
    assert httpx.get(f"{api.url}/api/docs").status_code == 404


def test_it_queries_on_the_bounded_threads(api):
    with ThreadPoolExecutor(9) as visitors:
        answers = list(visitors.map(lambda _: httpx.get(f"{api.url}/api/thread", timeout=30).json(), range(9)))
    assert set(answers) <= {"sync-1", "sync-2", "sync-3"}


def test_its_lines_have_the_id_of_the_answer(api):
    with api.member() as member:
        answer = member.client.put("/api/me", json={"name": "Bob"}, headers={"Origin": api.url})
    ids = [line["id"] for line in lines(api) if line["logger"] == "wisheasy.api" and line["id"]]
    assert ids[-1] == answer.headers["X-Request-ID"]


def test_an_exception_is_a_line_with_its_id(api):
    answer = httpx.get(f"{api.url}/api/broken")
    assert answer.status_code == 500
    for _ in range(100):
        # It is written after the answer.
        if broken := [line for line in lines(api) if "this is broken" in line.get("exception", "")]:
            break
        time.sleep(0.05)
    assert [line["id"] for line in broken] == [answer.headers["X-Request-ID"]]


def test_a_websocket_below_it_is_refused(api):
    with pytest.raises(InvalidStatus) as refused, connect(f"{api.url.replace('http', 'ws')}/api/status"):
        pass
    assert refused.value.response.status_code == 404


def test_nginx_sends_its_path_to_the_live_servers(project):
    location = re.search(r"location /api/ \{\n +include (\S+);\n\}", (project / "nginx/site.d/api.conf").read_text())
    assert "proxy_pass http://live_SLOT;" in (project / "nginx" / location[1]).read_text()


def test_it_is_told_of_the_start_and_of_the_end_after_the_last_request(api):
    def said():
        return [line["message"] for line in lines(api) if line["message"].startswith("The API")]

    def held():
        return sum(line["message"] == "Held." for line in lines(api))

    assert said() == ["The API starts."]
    before = held()
    with ThreadPoolExecutor(1) as visitor:
        slow = visitor.submit(httpx.get, f"{api.url}/api/thread", timeout=30)
        for _ in range(200):
            if held() > before:
                break
            time.sleep(0.02)
        os.kill(api.pid, signal.SIGTERM)
    assert slow.result().status_code == 200
    for _ in range(100):
        if len(said()) == 2:
            break
        time.sleep(0.1)
    assert said() == ["The API starts.", "The API has ended."]


def test_in_wsgi_mode_it_is_not_there(project, packages, folder):
    with serve("wsgi", folder, project, prepare=False, PYTHONPATH=str(packages)) as server:
        assert httpx.get(f"{server.url}/api/status").status_code == 404
        assert httpx.get(f"{server.url}/accounts/login/").status_code == 200
