"""What one client may ask, and what whoever asks more is answered. The stack of the tests lifts most limits, because
all tests are one client; here another Nginx is put in front of the same servers, which has them all. It believes
X-Forwarded-For, so that each test can be a client that has asked nothing before. In one mode: what is behind Nginx has
no part in it, but for the guesses at one account."""

import contextlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest
from playwright.sync_api import expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from workshop.tests.servers import PASSWORD, free_port

from .wire import Wire

DEFAULTS = dict.fromkeys(("LIMIT_PAGES", "LIMIT_LIVE", "LIMIT_SIGN_IN", "LIMIT_SIGN_UP", "LIMIT_CONNECTIONS"), "")
TIGHT = {"LIMIT_PAGES": "50", "LIMIT_LIVE": "2", "LIMIT_SIGN_IN": "0", "LIMIT_SIGN_UP": "0", "LIMIT_CONNECTIONS": "3"}

one_mode = pytest.mark.modes("asgi")


@contextlib.contextmanager
def another_nginx(stack, folder, limits, patience=None, memory="64m"):
    """An Nginx with these limits, so much memory for bodies, and if so said with so much patience for slow clients: its
    address."""
    slot, port = stack.slot(), free_port()
    name = f"{stack.project}-limits-{port}"
    variables = [argument for item in limits.items() for argument in ("--env", "=".join(item))]
    render = "cp -R nginx /tmp/$$ && python manage.py render_nginx /tmp/$$ && cat /tmp/$$/rendered/limits.conf"
    rates = stack.compose("exec", "-T", *variables, f"web-{slot}", "sh", "-c", render).stdout
    replaced = {"rendered/limits.conf": f"{rates}set_real_ip_from 0.0.0.0/0;\n"}
    if patience:
        text = (stack.folder / "nginx/snippets/limits.conf").read_text()
        replaced["snippets/limits.conf"] = re.sub(r"(client_(?:body|header)_timeout) \d+s", rf"\1 {patience}", text)
    mounts = []
    for path, text in replaced.items():
        file = folder / path.replace("/", "_")
        file.write_text(text)
        file.chmod(0o644)
        mounts += ["--volume", f"{file}:/srv/nginx/{slot}/{path}:ro"]
    stack.run(
        "docker", "run", "--detach", "--rm", "--name", name, "--network", f"{stack.project}_frontend",
        "--publish", f"127.0.0.1:{port}:8080", "--user", "101:101", "--read-only", "--tmpfs", f"/tmp:size={memory}",
        "--volume", f"{stack.project}_nginx:/srv/nginx:ro", *mounts,
        "nginx:1.30", "nginx", "-c", "/srv/nginx/current/nginx.conf", "-g", "daemon off;",
    )  # fmt: skip
    try:
        limited = SimpleNamespace(url=f"http://127.0.0.1:{port}", port=port, name=name)
        for _ in range(100):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{limited.url}/healthz/ready").status_code == 200:
                    break
            time.sleep(0.1)
        else:
            raise AssertionError(stack.run("docker", "logs", name).stderr)
        yield limited
    finally:
        stack.run("docker", "rm", "--force", name, check=False)


@pytest.fixture(scope="module")
def limited(stack, tmp_path_factory):
    with another_nginx(stack, tmp_path_factory.mktemp("defaults"), DEFAULTS) as limited:
        yield limited


@pytest.fixture(scope="module")
def tight(stack, limited, tmp_path_factory):
    with another_nginx(stack, tmp_path_factory.mktemp("tight"), TIGHT, patience="1s", memory="512k") as tight:
        yield tight


def visitor(limited, address):
    return httpx.Client(base_url=limited.url, headers={"X-Forwarded-For": address}, timeout=30)


def until_refused(ask, most, at_once=8):
    """The first answer that is 429, and how many were not, when `ask()` is called up to `most` times."""
    with ThreadPoolExecutor(at_once) as pool:
        answered = 0
        for _ in range(0, most, at_once):
            answers = list(pool.map(lambda _: ask(), range(at_once)))
            refused = [answer for answer in answers if answer.status_code == 429]
            answered += len(answers) - len(refused)
            if refused:
                return refused[0], answered
    raise AssertionError(f"{answered} were answered")


def assert_is_our_page(response, english, korean):
    assert english in response.text
    assert korean in response.text
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "style-src 'sha256-" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Cache-Control"] == "no-store"


@one_mode
def test_who_asks_for_too_many_pages_gets_one_that_says_so_and_everything_else(limited):
    with visitor(limited, "192.0.2.1") as client, visitor(limited, "192.0.2.2") as other:
        style = re.search(r'href="(/static/[^"]+\.css)"', client.get("/probe/").text)[1]
        answer, answered = until_refused(lambda: client.get("/nothing-here"), most=3000)
        assert answered >= 100
        assert_is_our_page(answer, "<h1>Too many requests</h1>", "<h2>요청이 너무 많습니다</h2>")
        assert answer.headers["Retry-After"] == "5"
        for path, status in ((style, 200), ("/healthz/live", 200), ("/live/nothing/changes", 404)):
            assert {client.get(path).status_code for _ in range(20)} == {status}, path
        assert other.get("/").status_code == 200


@one_mode
@pytest.mark.parametrize(
    ("path", "other_path"),
    [
        ("/accounts/login/", "/accounts/signup/"),
        ("/accounts/signup/", "/accounts/login/"),
        ("/accounts/password/reset/", "/accounts/login/"),
        ("/accounts/password/change/", "/accounts/signup/"),
    ],
)
def test_who_sends_too_many_forms_is_refused_those_and_no_page(limited, path, other_path):
    address = f"198.51.100.{2 * len(path) + (path > other_path)}"
    with visitor(limited, address) as client, visitor(limited, "192.0.2.4") as other:
        # Without a token, so that they cost nothing: 403.
        answer, answered = until_refused(lambda: client.post(path), most=60, at_once=1)
        assert 20 <= answered <= 30
        assert_is_our_page(answer, "<h1>Too many requests</h1>", "<h2>요청이 너무 많습니다</h2>")
        assert answer.headers["Retry-After"] == "60"
        assert client.get(path, follow_redirects=True).status_code == 200
        assert client.post(other_path).status_code == 403
        assert other.post(path).status_code == 403


@one_mode
def test_the_forms_of_the_site_and_of_the_admin_count_together(limited):
    with visitor(limited, "192.0.2.5") as client:
        until_refused(lambda: client.post("/accounts/login/"), most=60, at_once=1)
        assert client.post("/admin/login/").status_code == 429


@one_mode
def test_all_addresses_of_an_ipv6_network_are_one_client(limited):
    with (
        visitor(limited, "2001:db8:1:2::1") as client,
        visitor(limited, "2001:db8:1:2:ffff:1:2:3") as same,
        visitor(limited, "2001:db8:1:3::1") as other,
    ):
        until_refused(lambda: client.post("/accounts/login/"), most=60, at_once=1)
        assert same.post("/accounts/login/").status_code == 429
        assert other.post("/accounts/login/").status_code == 403


@one_mode
def test_who_asks_too_often_for_live_changes_is_told_so_in_json(tight):
    with visitor(tight, "192.0.2.6") as client:
        # Often: some have too many connections as well, and are refused once more on their way to the JSON.
        for _ in range(50):
            answer, _ = until_refused(lambda: client.get("/live/nothing/changes"), most=400)
            assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["Retry-After"] == "5"
        assert answer.json()["error"] == "too many requests"
        assert client.get("/").status_code == 200


@one_mode
def test_who_has_too_many_live_connections_gets_no_more_but_pages(tight):
    def live(address):
        return connect(
            f"ws://127.0.0.1:{tight.port}/live/probe/ws", additional_headers={"X-Forwarded-For": address}
        )  # fmt: skip

    with visitor(tight, "192.0.2.7") as client, contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(live("192.0.2.7")) for _ in range(3)]
        with pytest.raises(InvalidStatus) as refusal:
            live("192.0.2.7")
        assert refusal.value.response.status_code == 429
        assert client.get("/").status_code == 200
        stack.enter_context(live("192.0.2.8"))
        sockets.pop().close()
        stack.enter_context(live("192.0.2.7"))


@one_mode
@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
    ],
    ids=["nothing", "header", "body"],
)
def test_who_does_not_finish_a_request_is_cut_off(tight, begun):
    with socket.create_connection(("127.0.0.1", tight.port), timeout=10) as connection:
        connection.sendall(begun)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1000) == b""


@one_mode
def test_what_is_too_long_or_too_large_is_answered_with_a_page(limited):
    with visitor(limited, "192.0.2.9") as client:
        for status, answer in [
            (414, client.get(f"/{'x' * 9000}")),
            (431, client.get("/", headers={"Cookie": "x" * 9000})),
            (431, client.get("/", headers={f"X-{number}": "x" for number in range(100)})),
        ]:
            assert answer.status_code == status
            assert_is_our_page(answer, "are too long</h1>", "너무 깁니다</h2>")
        large = client.post("/accounts/login/", content=b"x" * 11_000_000)
        assert large.status_code == 413
        assert_is_our_page(large, "too large to send</h1>", "너무 큽니다</h2>")


@one_mode
def test_who_holds_back_the_ends_of_many_bodies_takes_no_room_from_others(limited):
    head = (
        "POST /probe/upload HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.20\r\nContent-Length: 1000000\r\n"
    )
    with (
        contextlib.ExitStack() as stack,
        visitor(limited, "192.0.2.21") as other,
        visitor(limited, "192.0.2.20") as same,
    ):
        wires = [stack.enter_context(Wire(limited.port)) for _ in range(70)]
        for wire in wires:
            wire.send(f"{head}\r\n".encode() + b"x" * 999_999)
        assert wires[-1].answer().status == 429
        # Without a token: 403, by Django, which has got it.
        assert [other.post("/probe/upload", content=b"x" * 1_000_000).status_code for _ in range(3)] == [403] * 3
        refused = same.post("/probe/upload", content=b"x" * 1_000_000)
        assert refused.status_code == 429
        assert_is_our_page(refused, "<h1>Too many requests</h1>", "<h2>요청이 너무 많습니다</h2>")
        assert (same.get("/").status_code, same.post("/probe/upload", content=b"x" * 9000).status_code) == (200, 403)


@one_mode
def test_a_body_for_which_there_is_no_room_is_answered_with_a_page(tight):
    with visitor(tight, "192.0.2.22") as client:
        answer = client.post("/probe/upload", content=b"x" * 1_000_000)
        assert answer.status_code == 500
        assert_is_our_page(answer, "<h1>Back in a moment</h1>", "<h2>잠시 후 돌아옵니다</h2>")


@one_mode
def test_visitors_come_by_ipv6_too(stack, limited):
    network = f"{limited.name}-ipv6"
    stack.run("docker", "network", "create", "--ipv6", network)
    try:
        stack.run("docker", "network", "connect", network, limited.name)
        address = f'{{{{(index .NetworkSettings.Networks "{network}").GlobalIPv6Address}}}}'
        address = stack.run("docker", "inspect", "--format", address, limited.name).stdout.strip()
        assert httpx.get(f"http://[{address}]:8080/", headers={"Host": "localhost"}, timeout=30).status_code == 200
    finally:
        stack.run("docker", "network", "disconnect", "--force", network, limited.name, check=False)
        stack.run("docker", "network", "rm", network)


# Where there is nothing but polling, it would ask again after 1.5 s at most.
@pytest.mark.modes("wsgi")
def test_a_live_page_that_is_refused_waits_as_long_as_it_is_told_and_comes_back(stack, new_page):
    page = new_page("about:blank")
    asked = []

    def refuse_first(route):
        asked.append(time.monotonic())
        if len(asked) > 1:
            return route.continue_()
        return route.fulfill(status=429, headers={"Retry-After": "3"})

    page.route("**/changes?*", refuse_first)
    page.goto("/probe/")
    expect(page.locator("[data-live-status]")).to_contain_text("live: polling", timeout=15_000)
    assert asked[1] - asked[0] > 2.9


# In hybrid mode pages are those of wsgi mode.
@pytest.mark.modes("wsgi", "asgi")
def test_guesses_at_one_account_are_stopped_and_nobody_else_is(stack):
    with stack.member() as owner, stack.member() as other, stack.client() as guesser:

        def sign_in(name, password):
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', guesser.get("/accounts/login/").text)[1]
            data = {"login": name, "password": password, "csrfmiddlewaretoken": token}
            return guesser.post("/accounts/login/", data=data, follow_redirects=True)

        statuses = [sign_in(owner.name, f"guess {number}").status_code for number in range(11)]
        assert statuses == [422] * 10 + [429]
        answer = sign_in(owner.name, PASSWORD)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "1800"
        assert "Too many attempts" in answer.text
        assert sign_in(other.name, PASSWORD).status_code == 200
        # Who is signed in stays so.
        assert owner.name in owner.client.get("/probe/").text
    log = stack.compose("logs", "--since", "1m", *stack.serving()).stdout
    gateway = stack.run(
        "docker", "network", "inspect", f"{stack.project}_frontend", "--format", "{{(index .IPAM.Config 0).Gateway}}"
    ).stdout.strip()
    assert [line for line in log.splitlines() if "wrong passwords" in line and gateway in line]
    assert owner.name not in log
    assert PASSWORD not in log
