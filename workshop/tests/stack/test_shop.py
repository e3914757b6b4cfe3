"""The product of workshop/shop: built in a renamed clone by the commands of the documents and the patches, then used by
a customer, another one and the shop, in real browsers, without Docker and in each mode of the stack."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time

import httpx
import pytest
from playwright.sync_api import expect

from kit.serving.modes import MODES
from kit.testing import PIXEL
from workshop.tests.mail_server import mail_server
from workshop.tests.servers import EMBEDDED_MODES, PASSWORD, ROOT, Server, copy_of_the_clone, free_port
from workshop.tests.test_accounts import ACTIVATE, ANOTHER, code_of
from workshop.tests.test_error_reports import ingest_at, reports_of

from .conftest import BASE, Stack, eventually
from .test_browser import sign_up

PATCHES = ROOT / "workshop/shop"
IDENTITY = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in (("NAME", "owner"), ("EMAIL", "owner@example.com"))
}
WITHIN = 15_000
HIRE = "from apps.accounts.models import User; User.objects.filter(username='{}').update(is_staff=True)"


class Shop(Stack):
    project = "wisheasy-e2e-shop"
    is_scheduled = False

    def __init__(self, folder):
        super().__init__(folder)
        # What customers were told is saved, by the name of the customer.
        self.orders: dict[str, list[str]] = {}

    def python(self, code: str) -> str:
        """What Django prints in the server that visitors are sent to."""
        command = ["python", "manage.py", "shell", "-v0", "-c", code]
        return self.compose("exec", "-T", f"web-{self.slot()}", *command).stdout

    def commit(self) -> str:
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def tags(self) -> dict[str, str]:
        return {"slot": self.slot()}


class Embedded(Server):
    """`make TARGET` in the shop, on a port of its own."""

    is_scheduled = False

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

    def commit(self) -> str:
        return self.shop.commit()

    def tags(self) -> dict[str, str]:
        return {}


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


@pytest.fixture(scope="module")
def mails(gateway):
    """The mail server of the shop's provider."""
    with mail_server(host=gateway) as server:
        server.address = f"smtp://{gateway}:{server.port}"
        yield server


@pytest.fixture(scope="module")
def reports(gateway):
    """What takes reports of errors in Sentry's place."""
    with ingest_at(gateway) as server:
        server.dsn = f"http://key@{gateway}:{server.server_port}/1"
        yield server


def listen(page, complaints):
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: "Policy" in message.text and complaints.append(message.text))


def live(page, mode):
    best = "polling" if mode == "wsgi" else "websocket"
    expect(page.locator("[data-live-status]")).to_have_attribute("data-status", best, timeout=WITHIN)


def shown(page, text):
    return page.locator("[data-live-topic] > li", has_text=text)


def send(page, text, picture=None):
    if picture:
        file = {"name": "../cat.png", "mimeType": "image/png", "buffer": picture}
        page.locator("input[type=file]").set_input_files(file)
    page.locator("form.compose [name=text]").fill(text)
    page.locator("form.compose button").click()
    expect(shown(page, text)).to_be_visible(timeout=WITHIN)


def submit(page, **fields):
    """The form of the page, which the visitor's next step must not break off."""
    for name, value in fields.items():
        page.locator(f"main [name={name}]").fill(value)
    with page.expect_navigation():
        page.locator(f"main [name={name}]").press("Enter") if fields else page.locator("main form button").click()


def use_as_a_customer(server, visitor):
    """A customer orders and talks with the shop; another customer sees nothing of it."""
    customer, other, staff = (visitor(server, name) for name in ("customer", "other", "staff"))

    # Orders: what is ordered on one page is on the other one, and on no page of another customer.
    second = customer.context.new_page()
    for page in (customer, other, second):
        page.goto("/orders/")
        live(page, server.mode)
    text = f"an order of {customer.name}"
    send(customer, text, picture=PIXEL)
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

    # The chat of the customer with the shop.
    server.python(HIRE.format(staff.name))
    sockets = []
    second.on("websocket", lambda socket: sockets.append(socket.url))
    second.goto("/letters/")
    topic = second.locator("[data-live-topic]").get_attribute("data-live-topic")
    staff.goto(f"/{topic}/")
    assert other.request.get(f"/{topic}/").status == 403
    assert other.request.get(f"/live/{topic}/changes").status == 403
    for page in (second, staff):
        live(page, server.mode)
    if server.mode != "wsgi":
        expect(second.locator("form.compose[data-socket=open]")).to_be_visible(timeout=WITHIN)
        field = second.locator("form.compose [name=text]")
        # Again, until the page has its other socket: what is announced is not kept.
        eventually(lambda: field.press_sequentially("w") or staff.locator("[data-typing]").inner_text())
        expect(staff.locator("[data-typing]")).to_contain_text(customer.name)
        expect(second.locator("[data-typing]")).to_be_empty()
    send(second, "Where is my order?")
    expect(shown(staff, "Where is my order?")).to_be_visible(timeout=WITHIN)
    send(staff, "On its way.")
    expect(shown(second, "On its way.")).to_be_visible(timeout=WITHIN)
    wanted = set() if server.mode == "wsgi" else {f"/live/{topic}", f"/live/{topic}/ws", f"/live/{topic}/typing"}
    assert {httpx.URL(url).path for url in sockets} == wanted

    # What is done every night is done now, or by the schedule, where it says each minute.
    if not server.is_scheduled:
        server.python("from apps.orders.tasks import pack; pack.enqueue()")
    expect(shown(customer, text)).to_contain_text("Packed", timeout=WITHIN + 60_000 * server.is_scheduled)
    return customer


def fail_in_front_of(customer, server, reports):
    """An error names the version and what served it, and none of what the customer typed or is known by."""
    reports.taken.clear()
    customer.goto("/orders/")
    secret = secrets.token_hex(16)
    token = customer.locator("[name=csrfmiddlewaretoken]").first.get_attribute("value")
    answer = customer.request.post(
        f"/fail/?now&q={secret}",
        form={"csrfmiddlewaretoken": token, "password": secret},
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert answer.status == 500
    report = reports_of(reports, "on-purpose")[0]
    assert report["tags"] == {"mode": server.mode, "role": "pages", **server.tags()}
    assert report["release"] == server.commit()
    said = json.dumps(reports.taken)
    cookies = {cookie["name"]: cookie["value"] for cookie in customer.context.cookies()}
    assert "sessionid" in cookies
    assert [value for value in (secret, token, *cookies.values()) if value in said] == []


def come_back(page, mails):
    """A customer who has forgotten the password gets in by mail, and next with a second factor alone."""

    def follow_the_mail(path):
        page.goto(eventually(lambda: [link for link in mails.links(address) if path in link])[-1])

    def code():
        # One that is not over by the time it arrives.
        if (left := 30 - time.time() % 30) < 6:
            time.sleep(left)
        return code_of(secret)

    def sign_out():
        page.goto("/accounts/logout/")
        submit(page)
        expect(page.locator("body.signed-in")).to_have_count(0)

    address = f"{page.name}@example.com"
    page.goto("/accounts/email/")
    submit(page, email=address)
    follow_the_mail("/confirm-email/")
    submit(page)
    sign_out()
    page.goto("/accounts/password/reset/")
    submit(page, email=address)
    follow_the_mail("/password/reset/key/")
    submit(page, password1=ANOTHER, password2=ANOTHER)
    page.goto("/accounts/login/")
    submit(page, login=address, password=PASSWORD)
    expect(page.locator("main .errorlist")).to_be_visible()
    submit(page, login=address, password=ANOTHER)
    expect(page.locator("body.signed-in")).to_be_visible()

    page.goto(ACTIVATE)
    # The password is asked for once more.
    submit(page, password=ANOTHER)
    secret = page.locator("#authenticator_secret").input_value()
    submit(page, code=code())
    page.wait_for_url("**/2fa/recovery-codes/**")
    sign_out()
    page.goto("/accounts/login/")
    submit(page, login=page.name, password=ANOTHER)
    page.wait_for_url("**/2fa/authenticate/**")
    submit(page, code=f"{(int(code()) + 1) % 1_000_000:06}")
    expect(page.locator("main .errorlist")).to_be_visible()
    expect(page.locator("body.signed-in")).to_have_count(0)
    submit(page, code=code())
    expect(page.locator("body.signed-in")).to_be_visible()


def test_its_own_tests_and_checks_pass(shop):
    shop.run("make", "test")
    shop.run(".venv/bin/python", "manage.py", "makemigrations", "--check")


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_it_works_and_reports_its_errors_without_docker(shop, visitor, reports, mode):
    with Embedded(shop, f"run-{mode}", mode, SENTRY_DSN=reports.dsn) as server:
        fail_in_front_of(use_as_a_customer(server, visitor), server, reports)


@pytest.mark.parametrize("mode", EMBEDDED_MODES)
def test_the_debug_toolbar_counts_queries_with_debug(shop, visitor, mode):
    with Embedded(shop, "dev", mode) as server:
        page = visitor(server, "developer")
        page.goto("/orders/")
        expect(page.locator("#djdt-SQLPanel")).to_contain_text(re.compile(r"[1-9]\d* quer"))


@pytest.mark.parametrize("mode", MODES)
def test_it_works_on_the_stack(shop, visitor, mails, reports, mode):
    # The schedule is the worker's, and the same in all modes: awaited in one.
    shop.is_scheduled = mode == "hybrid"
    schedule = "* * * * *" if shop.is_scheduled else ""
    shop.run("docker/configure", f"EMAIL_URL={mails.address}", f"SENTRY_DSN={reports.dsn}", f"PACK_CRON={schedule}")
    shop.up(mode)
    customer = use_as_a_customer(shop, visitor)
    fail_in_front_of(customer, shop, reports)
    if mode != "hybrid":
        # Its pages are those of wsgi.
        come_back(customer, mails)


def test_a_release_a_rollback_and_a_restore_keep_what_was_ordered(shop, visitor):
    home = shop.folder / "shop/templates/home.html"
    home.write_text(home.read_text().replace("The shop", "The new shop"))
    page = visitor(shop, "customer")
    pictures = {}

    def order(text):
        page.goto("/orders/")
        # A picture of its own.
        pictures[text] = PIXEL + text.encode()
        send(page, text, picture=pictures[text])
        address = shown(page, text).locator("img").get_attribute("src")
        assert_pictures_are_there()
        return address

    def answer_to(text):
        return page.request.get(shown(page, text).locator("img").get_attribute("src"))

    def assert_pictures_are_there():
        assert {text: answer_to(text).body() for text in pictures} == pictures

    order("an order of before")
    for command, title in (("release", "The new shop"), ("rollback", "The shop")):
        shop.run("make", command)
        page.goto("/")
        expect(page.locator("h1")).to_have_text(title)
        page.goto("/orders/")
        assert_pictures_are_there()
        order(f"an order after the {command}")
    shop.orders[page.name] = [*pictures]
    backup = shop.run("make", "backup").stdout.split()[0]
    later = order("an order since the backup")
    del pictures["an order since the backup"]
    # Both files; of one of them the row is in the backup.
    gone, left = shop.python(
        "from apps.orders.models import Order\n"
        "gone, left = (Order.objects.get(text=f'an order {when}') for when in ('of before', 'since the backup'))\n"
        "gone.picture.storage.delete(gone.picture.name)\n"
        "print(gone.picture.name, left.picture.name)\n"
        "Order.objects.all().delete()"
    ).split()
    database = shop.run("docker/address", "name", "secrets/database_url").stdout.strip()
    shop.run("make", "restore", f"FILE={backup}", CONFIRM=database)
    kept = shop.python(
        "from apps.orders.models import Order; [print(o.owner.username, o.text, sep='|') for o in Order.objects.all()]"
    ).splitlines()
    assert {f"{name}|{text}" for name, texts in shop.orders.items() for text in texts} - set(kept) == set()
    # Rows are those of the backup, files those of now: one may lack the other.
    page.goto("/orders/")
    assert answer_to("an order of before").status == 404
    del pictures["an order of before"]
    assert_pictures_are_there()
    expect(shown(page, "an order since the backup")).to_have_count(0)
    assert page.request.get(later).status == 404
    there = "from django.core.files.storage import default_storage; print(*map(default_storage.exists, {}))"
    assert shop.python(there.format([gone, left])).split() == ["False", "True"]
