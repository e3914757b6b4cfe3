"""The six steps of /lab/: what comes back in each mode, and that a phone shows it."""

import json
import random
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from workshop.tests.servers import serve

ALONE, THREADS, LOOP, BLOCKED, COMPUTING, BOTH = STEPS = range(6)


def port_with_the_next():
    """Two free ports in a row, below those that the system gives to clients: one of these may take the second."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 1))
            return port


@pytest.fixture(scope="module", params=["wsgi", "asgi", "hybrid"])
def lab(request, tmp_path_factory):
    """As `make -C workshop lab` serves it: in hybrid mode with the event loop on the next port."""
    port = port_with_the_next()
    roles = {"pages": port, "live": port + 1} if request.param == "hybrid" else {"pages": port}
    with ExitStack() as stack:
        servers = {
            role: stack.enter_context(
                serve(
                    request.param,
                    tmp_path_factory.mktemp(f"{request.param}-{role}"),
                    PORT=str(at),
                    SERVER_ROLE=role,
                    DJANGO_SETTINGS_MODULE="workshop.lab.settings",
                )
            )
            for role, at in roles.items()
        }
        yield servers["pages"]


@dataclass
class Answer:
    """What a bar is drawn from; the times in seconds."""

    label: str
    sent: float
    begin: float
    end: float
    process: str
    thread: str


def ask(client, what):
    time.sleep(what["after"] / 1000)
    sent = time.monotonic()
    response = client.get(what["address"])
    end = time.monotonic()
    assert response.status_code == 200, response.text
    took = float(re.fullmatch(r"view;dur=([\d.]+)", response.headers["Server-Timing"])[1]) / 1000
    return Answer(what["label"], sent, end - took, end, response.headers["Lab-Process"], response.headers["Lab-Thread"])


def run(lab, step):
    """The answers to what the button of a step sends, in its order."""
    with lab.client() as client, ThreadPoolExecutor(6) as pool:
        found = re.search(r'<script id="rounds" type="application/json">(.*?)</script>', client.get("/lab/").text)
        rounds = json.loads(found[1])[step]
        return [answer for sent in rounds for answer in pool.map(lambda what: ask(client, what), sent)]


def threads_of(answers):
    return {(each.process, each.thread) for each in answers}


def all_at_once(answers):
    # By the clock of the client, one may end a little after it has made room for another.
    return max(each.begin for each in answers) + 0.1 < min(each.end for each in answers)


def test_one_thread_serves_one_request_after_the_other_in_every_mode(lab):
    answers = run(lab, ALONE)
    assert len(answers) == 6
    assert len(threads_of(answers)) == 1
    assert max(each.end for each in answers) - min(each.sent for each in answers) >= 1.8


def test_as_many_requests_wait_in_sync_views_as_there_are_threads(lab):
    answers = run(lab, THREADS)
    assert len(threads_of(answers)) == (6 if lab.mode == "asgi" else 4)
    assert all_at_once(answers) == (lab.mode == "asgi")


def test_one_thread_with_an_event_loop_waits_for_all(lab):
    answers = run(lab, LOOP)
    assert all_at_once(answers) == (lab.mode != "wsgi")
    assert (len(threads_of(answers)) == 1) == (lab.mode != "wsgi")


def test_a_view_that_blocks_holds_up_the_others_on_its_loop_alone(lab):
    before, blocks, *after = run(lab, BLOCKED)
    assert [each.label for each in (before, blocks, *after)] == ["awaits", "blocks", "awaits", "awaits"]
    held_up = [each.end > blocks.end - 0.1 for each in (before, *after)]
    assert held_up == [lab.mode != "wsgi"] * 3


def test_four_requests_compute_on_threads_of_one_process_and_four_in_processes(lab):
    answers = run(lab, COMPUTING)
    threads, processes = answers[:4], answers[4:]
    assert len({each.process for each in threads}) == 1
    assert len(threads_of(threads)) == 4
    assert len({each.process for each in processes} - {threads[0].process}) == 4


def test_live_requests_pass_the_pages_where_there_is_a_loop(lab):
    answers = run(lab, BOTH)
    pages, live = answers[:4], answers[4:]
    assert all(each.end < pages[0].end for each in live) == (lab.mode != "wsgi")
    assert ({each.process for each in live} == {pages[0].process}) == (lab.mode != "hybrid")


SEEN = {
    "wsgi": ["every mode", "At most 4 bars", "no event loop", "Nobody is held up", "take turns", "one of the 4"],
    "asgi": ["every mode", "on 8 threads", "one letter", "other request and WebSocket", "take turns", "one process"],
    "hybrid": ["every mode", "At most 4 bars", "below /live/", "Pages go on", "take turns", "loop of another"],
}
# How many letters there are: threads.
LETTERS = {"wsgi": [1, 4, 6, 4, 8, 6], "asgi": [1, 6, 1, 1, 8, 5], "hybrid": [1, 4, 1, 1, 8, 5]}


@pytest.mark.parametrize("width", [390, 1200])
def test_each_step_draws_its_requests_and_tells_what_to_see_in_this_mode(lab, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    noise = []
    page.on("console", lambda message: noise.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.goto(f"{lab.url}/lab/")
    for index in STEPS:
        step = page.locator("[data-step]").nth(index)
        expect(step.locator("[data-see]")).to_be_hidden()
        step.get_by_role("button", name="Run").click()
        expect(step.locator("[data-see]")).to_be_visible(timeout=30000)
        expect(step.locator("[data-see]")).to_contain_text(SEEN[lab.mode][index])
        expect(step.locator("[data-failures]")).to_be_hidden()
        rows = 4 if index == BLOCKED else 8 if index == COMPUTING else 6
        expect(step.locator(".bars .working")).to_have_count(rows)
        expect(step.locator(".bars .failed")).to_have_count(0)
        expect(step.locator("tbody tr")).to_have_count(rows)
        assert len(set(step.locator(".rows .letter").all_inner_texts())) == LETTERS[lab.mode][index]
        step.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
    assert noise == []


@pytest.mark.parametrize("lab", ["asgi"], indirect=True)
def test_one_step_runs_at_a_time_and_as_often_as_it_is_asked_to(lab, browser):
    page = browser.new_page()
    page.goto(f"{lab.url}/lab/")
    one, other = (page.locator("[data-step]").nth(index) for index in (LOOP, THREADS))
    for _ in range(2):
        one.get_by_role("button").click()
        # Forced: else it waits until the button may be pressed again.
        other.get_by_role("button").click(force=True)
        expect(page.locator("[data-status]")).to_contain_text("have ended: 6. Six solid bars", timeout=30000)
        expect(one.locator(".bars .working")).to_have_count(6)
        expect(other.locator(".bars .working")).to_have_count(0)
    page.close()


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_a_small_phone_needs_no_sideways_scrolling_in_either_language(lab, browser, locale):
    page = browser.new_page(viewport={"width": 320, "height": 640}, locale=locale)
    page.goto(f"{lab.url}/lab/")
    expect(page.get_by_role("heading", level=2).first).to_contain_text("One" if locale == "en-US" else "하나")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.close()
