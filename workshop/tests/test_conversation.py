"""The example's conversations in a real browser: two visitors, one of whom reads Korean. Without the example nothing is
tested."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from django.apps import apps
from playwright.sync_api import expect

from workshop.tests.servers import free_port, serve

from .test_example import post as post_wish
from .test_example import sign_up, wish
from .test_serving import workers

pytestmark = pytest.mark.skipif(not apps.is_installed("apps.wishes"), reason="the example is gone")
WITHIN = 15_000


@pytest.fixture
def new_page(browser, server):
    contexts = []

    def new(**options):
        contexts.append(browser.new_context(base_url=server.url.replace("127.0.0.1", "localhost"), **options))
        page = contexts[-1].new_page()
        page.noise = []
        page.on("pageerror", lambda error: page.noise.append(str(error)))
        page.on("console", lambda message: "Policy" in message.text and page.noise.append(message.text))
        sign_up(page)
        return page

    yield new
    for context in contexts:
        context.close()


@pytest.fixture
def two(new_page):
    """The pages of the two, in their conversation: the owner's, and that of the member, who reads Korean."""
    owner, member = new_page(), new_page()
    text = f"somebody to talk to, {time.time_ns()}"
    post_wish(owner, text)
    member.get_by_role("button", name="한국어").click()
    wish(member, text).get_by_role("button", name="대화하기").click()
    expect(member.locator("h1")).to_contain_text("님과의 대화")
    live(member)
    owner.goto(member.url)
    live(owner)
    yield owner, member
    assert owner.noise + member.noise == []


def live(page):
    best = page.locator("#messages").get_attribute("data-live-transports").split()[0]
    expect(page.locator("[data-live-status]")).to_have_attribute("data-status", best, timeout=WITHIN)


def write(page, text):
    field = page.locator("form.compose textarea")
    field.fill(text)
    field.press("Enter")


def saved(page):
    return page.locator("#messages > li[data-id] .text")


def test_two_people_talk(two):
    owner, member = two
    write(member, "안녕하세요 <b>")
    expect(saved(owner)).to_have_text(["안녕하세요 <b>"], timeout=WITHIN)
    write(owner, "Hello!")
    expect(saved(member)).to_have_text(["안녕하세요 <b>", "Hello!"], timeout=WITHIN)
    expect(saved(owner)).to_have_text(["안녕하세요 <b>", "Hello!"], timeout=WITHIN)
    expect(member.locator("#messages > li")).to_have_count(2)
    # Each has their own on the right.
    for page, number in ((member, 0), (owner, 1)):
        boxes = [page.locator("#messages > li").nth(each).bounding_box() for each in (number, 1 - number)]
        assert boxes[0]["x"] > boxes[1]["x"]
    owner.goto("/talks/")
    owner.locator("main").get_by_role("link", name="user-").click()
    expect(saved(owner)).to_have_text(["안녕하세요 <b>", "Hello!"])


@pytest.mark.modes("asgi")
def test_each_sees_that_the_other_is_there_and_types(two):
    owner, member = two
    expect(member.locator(".presence")).to_contain_text("님이 보고 있습니다")
    expect(owner.locator(".presence")).to_contain_text("is here")
    owner.locator("form.compose textarea").press_sequentially("Let me")
    expect(member.locator(".presence")).to_contain_text("님이 입력하는 중")
    owner.goto("/")
    expect(member.locator(".presence")).to_be_empty()


def converse(two, disturb):
    """Both write, in turn, while `disturb` is called: nothing is lost, doubled or out of order."""
    owner, member = two
    said = {owner: [], member: []}
    for number in range(12):
        with disturb(number):
            for page in two:
                said[page].append(f"{number} of {'owner' if page is owner else 'member'}")
                write(page, said[page][-1])
            time.sleep(1)
    for page in two:
        expect(page.locator(".unsent")).to_have_count(0, timeout=30_000)
        expect(saved(page)).to_have_count(24, timeout=WITHIN)
        expect(page.locator("#messages > li")).to_have_count(24)
    texts = saved(owner).all_inner_texts()
    assert saved(member).all_inner_texts() == texts
    for each in said.values():
        assert [text for text in texts if text in each] == each
    owner.reload()
    expect(saved(owner)).to_have_text(texts)


def test_a_killed_worker_loses_doubles_and_reorders_nothing(server, two):
    @contextmanager
    def disturb(number):
        killed = workers(server) if number in (3, 7) else []
        for worker in killed:
            # Until it is killed it takes what it is sent, and does nothing with it.
            os.kill(worker, signal.SIGSTOP)
        yield
        for worker in killed:
            os.kill(worker, signal.SIGKILL)

    converse(two, disturb)


class TestRedis:
    """Two workers, and the Redis between them."""

    @pytest.fixture
    def redis(self):
        path = shutil.which("redis-server") or pytest.skip("There is no redis-server here.")
        port, processes = str(free_port()), []

        def start():
            command = [path, "--port", port, "--bind", "127.0.0.1", "--save", ""]
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

        def kill():
            processes[-1].kill()
            processes[-1].wait()

        start()
        yield SimpleNamespace(start=start, kill=kill, url=f"redis://127.0.0.1:{port}/0")
        kill()

    @pytest.fixture
    def server(self, redis, tmp_path):
        with serve("asgi", tmp_path, REDIS_URL=redis.url, WEB_CONCURRENCY="2") as server:
            yield server

    def test_when_it_is_killed_nothing_is_lost_doubled_or_reordered(self, server, redis, two):
        @contextmanager
        def disturb(number):
            if number == 2:
                redis.kill()
            elif number == 6:
                redis.start()
            elif number == 9:
                # New workers, as at a release.
                os.kill(server.pid, signal.SIGHUP)
            yield

        converse(two, disturb)
        expect(two[0].locator(".presence")).not_to_be_empty(timeout=30_000)
        assert "The consumer of" not in server.log.read_text()


def test_a_message_whose_answer_is_lost_is_saved_once(server, two):
    _, member = two
    lost = []

    def post(route):
        if route.request.method != "POST" or lost:
            return route.fallback()
        lost.append(route.fetch().json())
        route.abort()

    def socket(page):
        server = page.connect_to_server()

        def answer(message):
            if lost:
                return page.send(message)
            lost.append(json.loads(message))
            page.close()

        server.on_message(answer)

    member.route("**/talks/*", post)
    member.route_web_socket(re.compile(r"/live/talks/\d+$"), socket)
    member.reload()
    if server.pushes:
        # Its WebSocket is open.
        expect(member.locator(".presence")).not_to_be_empty()
    for number in range(3):
        write(member, f"no. {number}")
    for page in two:
        expect(saved(page)).to_have_text(["no. 0", "no. 1", "no. 2"], timeout=WITHIN)
        expect(page.locator("#messages > li")).to_have_count(3)
    assert [*lost[0]] == ["saved"]


def test_what_was_not_sent_when_the_page_was_reloaded_is_sent_then(two):
    owner, member = two
    member.route("**/talks/*", lambda route: route.abort() if route.request.method == "POST" else route.fallback())
    # One that says nothing.
    member.route_web_socket(re.compile(r"/live/talks/\d+$"), lambda socket: None)
    member.reload()
    write(member, "not sent")
    expect(member.locator(".unsent .text")).to_have_text("not sent")
    expect(member.locator(".unsent .meta")).to_have_text("아직 보내지 못했습니다")
    member.unroute_all()
    member.reload()
    expect(saved(owner)).to_have_text(["not sent"], timeout=WITHIN)
    expect(saved(member)).to_have_text(["not sent"], timeout=WITHIN)
    expect(member.locator("#messages > li")).to_have_count(1)


def test_a_refused_message_is_given_back_with_the_reason(two):
    owner, member = two
    write(member, "\N{ZERO WIDTH SPACE}")
    expect(member.get_by_role("alert")).to_have_text("보이는 글자가 하나도 없습니다. 내용을 적어 주세요.")
    expect(member.locator("form.compose textarea")).to_have_value("\N{ZERO WIDTH SPACE}")
    write(member, "안녕하세요")
    expect(member.get_by_role("alert")).to_be_empty()
    expect(saved(owner)).to_have_text(["안녕하세요"], timeout=WITHIN)


def test_a_conversation_works_with_javascript_off(new_page):
    owner, member = new_page(), new_page(java_script_enabled=False)
    owner.goto("/")
    post_wish(owner, text := f"somebody without a script, {time.time_ns()}")
    member.goto("/")
    wish(member, text).get_by_role("button", name="Talk about it").click()
    for text in ("one", "two"):
        member.locator("form.compose textarea").fill(text)
        member.locator("form.compose button").click()
    expect(saved(member)).to_have_text(["one", "two"])


def test_who_may_no_longer_see_a_conversation_is_told_so(two):
    owner, member = two
    owner.goto("/")
    owner.locator("#wishes summary").first.click()
    owner.get_by_role("button", name="Yes, delete this wish").first.click()
    expect(member.locator("[data-live-status]")).to_have_attribute("data-status", "forbidden", timeout=WITHIN)
    expect(member.locator("[data-live-status]")).to_contain_text("더 이상 볼 수 없습니다")
