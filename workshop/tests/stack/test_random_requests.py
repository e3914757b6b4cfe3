"""Ten thousand requests that no browser would send, from members and strangers mixed on the same connections: none is
answered with an error of the server, none with anything that belongs to another one, and every worker outlives them.

RANDOM_REQUESTS_SEED=… makes the same ones again.
"""

import os
import re
import secrets
import threading
import time
from collections import Counter

import pytest

from .odd_requests import Generator, Sender, Shot
from .wire import Wire

REQUESTS = 10_000
CONNECTIONS = 8
# Seconds that what is broken is given to be answered.
PATIENCE = 2
# What Nginx does not speak is answered 501 or 505; a server that cannot be reached would be a 502.
REFUSALS = {501, 505}

MARKER = re.compile(rb"m[0-9a-f]{12}z")
SIGNED_IN = re.compile(rb'data-signed-in="([^"]+)"')


class Shooting:
    """Sends requests on kept connections and judges what comes back."""

    def __init__(self, port: int, shots: list[Shot]):
        self.port = port
        self.shots = shots
        self.markers = {shot.marker for shot in shots}
        self.statuses: Counter[int | None] = Counter()
        self.wrong: list[str] = []
        self.proven = Counter()

    def run(self) -> None:
        threads = [threading.Thread(target=self.one_after_the_other, args=(n,)) for n in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def one_after_the_other(self, number: int) -> None:
        wire, broken = None, []
        for shot in self.shots[number::CONNECTIONS]:
            if shot.broken:
                broken.append((shot, time.monotonic(), Wire(self.port)))
                broken[-1][2].send(shot.data)
                while broken and (broken[0][1] < time.monotonic() - PATIENCE or len(broken) > 100):
                    self.judge_broken(*broken.pop(0))
                continue
            wire = wire or Wire(self.port)
            try:
                wire.send(shot.data)
                answer = wire.answer(shot.to_head)
            except (OSError, ValueError) as error:
                self.wrong.append(f"{error!r} for {shot.data[:300]!r}")
                wire.close()
                wire = None
                continue
            self.judge(shot, answer)
            if answer is None or answer.ends_the_connection or answer.status == 101:
                wire.close()
                wire = None
        if wire:
            wire.close()
        for each in broken:
            self.judge_broken(*each)

    def judge(self, shot: Shot, answer) -> None:
        self.statuses[answer and answer.status] += 1
        if answer is None:
            return
        told = str(answer.headers).encode() + answer.body
        self.judge_bytes(shot, told, [answer.status])
        if answer.status == 200 and b"data-signed-in=" in answer.body:
            # A page says who is signed in, and names its own address.
            names = SIGNED_IN.findall(answer.body)
            if names != ([shot.name] if shot.name else []):
                self.wrong.append(f"a page of {names} for {shot.name}: {shot.data[:300]!r}")
            self.proven["names"] += bool(names)
        self.proven["markers"] += shot.marker in told

    def judge_broken(self, shot: Shot, sent_at: float, wire: Wire) -> None:
        told = wire.rest(max(0.01, sent_at + PATIENCE - time.monotonic()))
        wire.close()
        statuses = [int(status) for status in re.findall(rb"(?:^|\n)HTTP/1\.[01] (\d{3})", told)]
        self.statuses.update(statuses or [None])
        self.judge_bytes(shot, told, statuses)

    def judge_bytes(self, shot: Shot, told: bytes, statuses: list[int | None]) -> None:
        failed = [status for status in statuses if status and status >= 500 and status not in REFUSALS]
        foreign = (set(MARKER.findall(told)) & self.markers) - {shot.marker}
        names = set(SIGNED_IN.findall(told)) - {shot.name}
        if failed or foreign or names:
            self.wrong.append(f"{failed or foreign or names} for {shot.data[:400]!r}")


def processes(stack):
    """Every process that serves, and when its container was started. Health checks come and go."""
    containers = stack.compose("ps", "--quiet", *stack.serving(), "nginx").stdout.split()
    started = [stack.run("docker", "inspect", "--format", "{{.State.StartedAt}}", each).stdout for each in containers]
    listed = "".join(stack.run("docker", "top", each, "-o", "pid,args").stdout for each in containers)
    return started, sorted(re.findall(r"^\d+ +(?:python -m kit\.serving|nginx: .*)$", listed, re.MULTILINE))


@pytest.fixture
def senders(stack):
    """Two members and a stranger who has a token alone."""
    found = []
    with stack.poster() as one, stack.poster() as another, stack.client() as stranger:
        for name, client in ((one.name, one.client), (another.name, another.client), (None, stranger)):
            page = client.get("/probe/").text
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
            cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)
            found.append(Sender(name and name.encode(), cookies, token))
        found.append(Sender(None, "", "a" * 64))
        yield found


# In hybrid mode pages are those of wsgi mode.
@pytest.mark.modes("asgi", "hybrid")
def test_ten_thousand_random_requests_break_nothing_and_tell_nobody_of_another(stack, senders, figures):
    seed = int(os.environ.get("RANDOM_REQUESTS_SEED") or secrets.randbelow(10**9))
    generator = Generator(seed, stack.port, senders)
    shooting = Shooting(stack.port, [generator.shot() for _ in range(REQUESTS)])
    before = processes(stack)
    assert len(before[1]) >= 5
    begin = time.monotonic()
    shooting.run()
    seconds = time.monotonic() - begin
    statuses = ", ".join(f"{status or 'none'} {count}" for status, count in shooting.statuses.most_common())
    figures.append(f"{stack.mode}: {REQUESTS} requests of RANDOM_REQUESTS_SEED={seed} in {seconds:.0f} s: {statuses}")
    assert shooting.wrong == [], f"RANDOM_REQUESTS_SEED={seed}"
    assert processes(stack) == before
    # It did get through, and would have seen a page of somebody else.
    assert shooting.proven["names"] > 50
    assert shooting.proven["markers"] > 500
    assert stack.seconds_until_ready(5) < 5
