"""The product of workshop/shop: built in a renamed clone by the commands of the documents and the patches, then used by
a customer, another one and the shop, in real browsers, without Docker and in each mode of the stack."""

import base64
import contextlib
import gzip
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import expect

from kit.serving.modes import MODES
from workshop.tests.servers import EMBEDDED_MODES, ROOT, Server, copy_of_the_clone, free_port

from .conftest import BASE, Stack, eventually
from .test_browser import sign_up

PATCHES = ROOT / "workshop/shop"
IDENTITY = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in (("NAME", "owner"), ("EMAIL", "owner@example.com"))
}
WITHIN = 15_000
# One pixel.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HIRE = "from apps.accounts.models import User; User.objects.filter(username='{}').update(is_staff=True)"


class Shop(Stack):
    project = "wisheasy-e2e-shop"

    def __init__(self, folder):
        super().__init__(folder)
        # What customers were told is saved, by the name of the customer.
        self.orders: dict[str, list[str]] = {}

    def python(self, code: str) -> str:
        """What Django prints in the server that visitors are sent to."""
        command = ["python", "manage.py", "shell", "-v0", "-c", code]
        return self.compose("exec", "-T", f"web-{self.slot()}", *command).stdout


class Embedded(Server):
    """`make TARGET` in the shop, on a port of its own."""

    def __init__(self, shop, target, mode, **variables):
        self.shop, self.port = shop, free_port()
        super().__init__(mode, f"http://127.0.0.1:{self.port}", shop.folder / "var" / f"{target}-{mode}.log")
        self.orders = {}
        self.environment = {**BASE, "PORT": str(self.port), "SERVER_MODE": mode, **variables}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["make", target], cwd=shop.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def __enter__(self):
        for _ in range(300):
            assert self.process.poll() is None, self.last_lines()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/healthz/ready").status_code == 200:
                    return self
            time.sleep(0.1)
        raise AssertionError(self.last_lines())

    def __exit__(self, *error):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(40)

    def python(self, code: str) -> str:
        command = [".venv/bin/python", "manage.py", "shell", "-v0", "-c", code]
        return subprocess.run(
            command, cwd=self.shop.folder, env=self.environment, capture_output=True, text=True, check=True
        ).stdout


def pin(folder, name):
    """What `make lock` writes for the packages of the patches, without asking an index for what is newest today."""
    lock = folder / name
    blocks = re.split(r"^(?=\S)", (PATCHES / "requirements.txt").read_text(), flags=re.MULTILINE)
    there = lock.read_text()
    lock.write_text(there + "".join(block for block in blocks if f"\n{block.split('==')[0]}==" not in there))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = copy_of_the_clone(tmp_path_factory.mktemp("shop") / "shop")
    shop = Shop(folder)

    def commit(text):
        shop.run("git", "add", "--all")
        shop.run("git", "commit", "--quiet", "--message", text, **IDENTITY)

    shop.run("git", "init", "--quiet")
    commit("The template")
    shop.run("make", "rename", "NAME=shop")
    for name in ("requirements.txt", "requirements-dev.txt"):
        pin(folder, name)
    shop.run("make", "app", "NAME=orders")
    shop.run("make", "app", "NAME=letters")
    for patch in sorted(PATCHES.glob("*.patch")):
        shop.run("git", "apply", str(patch))
    # They were never released.
    for name in ("orders", "letters"):
        (folder / f"apps/{name}/migrations/0001_initial.py").unlink()
    shop.run(".venv/bin/python", "manage.py", "makemigrations", "orders", "letters")
    commit("The shop")
    shop.remove()
    yield shop
    shop.remove()
    for slot in ("blue", "green"):
        subprocess.run(["docker", "image", "rm", "--force", f"{shop.project}:{slot}"], capture_output=True, check=False)
    shutil.rmtree(folder)


@pytest.fixture
def visitor(browser):
    """Open a page of a visitor of their own, who signs up; whatever the browser complains about fails the test."""
    contexts, complaints = [], []

    def new(server, name):
        context = browser.new_context(base_url=f"http://localhost:{server.port}")
        contexts.append(context)
        page = context.new_page()
        listen(page, complaints)
        page.name = f"{name}-{time.time_ns()}"
        sign_up(page, page.name)
        return page

    yield new
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def reports():
    """What takes reports of errors in Sentry's place."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.received.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.received, server.dsn = [], f"http://key@127.0.0.1:{server.server_port}/1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def listen(page, complaints):
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: "Policy" in message.text and complaints.append(message.text))


def live(page, mode):
    best = "polling" if mode == "wsgi" else "websocket"
    expect(page.locator("[data-live-status]")).to_have_attribute("data-status", best, timeout=WITHIN)


def shown(page, text):
    return page.locator("[data-live-topic] > li", has_text=text)


def send(page, text):
    page.locator("form.compose [name=text]").fill(text)
    page.locator("form.compose button").click()
    expect(shown(page, text)).to_be_visible(timeout=WITHIN)


def drive(server, visitor):
    """A customer orders and talks with the shop; another customer sees nothing of it."""
    customer, other, staff = (visitor(server, name) for name in ("customer", "other", "staff"))

    # Orders: what is ordered on one page is on the other one, and on no page of another customer.
    second = customer.context.new_page()
    for page in (customer, other, second):
        page.goto("/orders/")
        live(page, server.mode)
    text = f"an order of {customer.name}"
    file = {"name": "../cat.png", "mimeType": "image/png", "buffer": PICTURE}
    customer.locator("input[type=file]").set_input_files(file)
    send(customer, text)
    picture = shown(second, text).locator("img")
    expect(picture).to_have_js_property("naturalWidth", 1, timeout=WITHIN)
    assert other.request.get(picture.get_attribute("src")).status == 404
    server.orders.setdefault(customer.name, []).append(text)

    # The API gives each customer their own, and its page is all there.
    assert [order["text"] for order in customer.request.get("/api/orders/").json()] == [text]
    assert other.request.get("/api/orders/").json() == []
    assert httpx.get(f"{server.url}/api/orders/").status_code == 403
    expect(shown(other, text)).to_have_count(0)
    second.goto("/api/docs/")
    post = second.locator(".opblock-post")
    post.locator(".opblock-summary-control").click()
    post.get_by_role("button", name="Try it out").click()
    post.get_by_role("button", name="Execute").click()
    expect(post.locator(".live-responses-table .response .response-col_status")).to_contain_text("201", timeout=WITHIN)
    expect(shown(customer, "string")).to_be_visible(timeout=WITHIN)
    expect(customer.locator("#djDebug")).to_have_count(0)

    # What the schedule does at night, a worker does now.
    server.python(f"{HIRE.format(staff.name)}; from apps.orders.tasks import pack; pack.enqueue()")
    expect(shown(customer, text)).to_contain_text("Packed", timeout=WITHIN)

    # The chat of the customer with the shop.
    sockets = []
    customer.on("websocket", lambda socket: sockets.append(socket.url))
    customer.goto("/letters/")
    topic = customer.locator("[data-live-topic]").get_attribute("data-live-topic")
    staff.goto(f"/{topic}/")
    assert other.request.get(f"/{topic}/").status == 403
    assert other.request.get(f"/live/{topic}/changes").status == 403
    for page in (customer, staff):
        live(page, server.mode)
    if server.mode != "wsgi":
        expect(customer.locator("form.compose[data-socket=open]")).to_be_visible(timeout=WITHIN)
    send(customer, "Where is my order?")
    expect(shown(staff, "Where is my order?")).to_be_visible(timeout=WITHIN)
    send(staff, "On its way.")
    expect(shown(customer, "On its way.")).to_be_visible(timeout=WITHIN)
    assert any(url.endswith(f"/live/{topic}") for url in sockets) == (server.mode != "wsgi")


def test_its_own_tests_and_checks_pass(shop):
    shop.run("make", "test")
    shop.run(".venv/bin/python", "manage.py", "makemigrations", "--check")


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_it_works_and_reports_its_errors_without_docker(shop, visitor, reports, mode):
    with Embedded(shop, f"run-{mode}", mode, SENTRY_DSN=reports.dsn) as server:
        drive(server, visitor)
        assert httpx.get(f"{server.url}/fail/?now").status_code == 500
        eventually(lambda: b"on-purpose" in b"".join(reports.received))


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_the_debug_toolbar_counts_queries_with_debug(shop, visitor, mode):
    with Embedded(shop, "dev", mode) as server:
        page = visitor(server, "developer")
        page.goto("/orders/")
        expect(page.locator("#djdt-SQLPanel")).to_contain_text(re.compile(r"[1-9]\d* quer"))


@pytest.mark.parametrize("mode", MODES)
def test_it_works_on_the_stack(shop, visitor, mode):
    shop.up(mode)
    drive(shop, visitor)


def test_a_release_a_rollback_and_a_restore_keep_what_was_ordered(shop, visitor):
    home = shop.folder / "shop/templates/home.html"
    home.write_text(home.read_text().replace("The shop", "The new shop"))
    page = visitor(shop, "customer")
    for command, title in (("release", "The new shop"), ("rollback", "The shop")):
        shop.run("make", command)
        page.goto("/")
        expect(page.locator("h1")).to_have_text(title)
        page.goto("/orders/")
        send(page, f"an order after the {command}")
        shop.orders.setdefault(page.name, []).append(f"an order after the {command}")
    backup = shop.run("make", "backup").stdout.split()[0]
    shop.python("from apps.orders.models import Order; Order.objects.all().delete()")
    database = shop.run("docker/address", "name", "secrets/database_url").stdout.strip()
    shop.run("make", "restore", f"FILE={backup}", CONFIRM=database)
    kept = shop.python(
        "from apps.orders.models import Order; [print(o.owner.username, o.text, sep='|') for o in Order.objects.all()]"
    ).splitlines()
    assert {f"{name}|{text}" for name, texts in shop.orders.items() for text in texts} - set(kept) == set()
    page.goto("/orders/")
    expect(shown(page, "an order after the rollback")).to_be_visible()
