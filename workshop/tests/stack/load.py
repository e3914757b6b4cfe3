"""Visitors of the stack while something is done to it: they read, post and hold WebSockets, and count what fails."""

import asyncio
import contextlib
import json
import logging
import random
import re
import secrets
import statistics
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

# What they are: readers with a kept connection, and with a new one each time; seconds between two requests of one.
KEPT, NEW = 6, 4
READ_PAUSE = 0.25
# Seconds that the answer of one view takes.
SLOW = 3
TIMEOUT = 30
# Members who post, and seconds between two posts of one.
MEMBERS = 4
POST_PAUSE = 1
# As live.js: seconds before the first retry, from half to one and a half of it; the interval of polling.
RETRY = 0.5
POLL = 3
# Seconds after which a page takes a connection that says nothing for dead, and one that has never said anything.
SILENCE, OPEN_WITHIN = 45, 15

# A line for each request would bury what matters.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass
class Report:
    requests: int = 0
    # Requests that were not answered as they should be: what, and how.
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    # Texts whose saving was answered with success.
    acknowledged: list[str] = field(default_factory=list)
    # Seconds for which a page that had lost its connection was without news.
    gaps: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return statistics.quantiles(self.seconds, n=100)[98] * 1000 if len(self.seconds) > 1 else 0.0

    def __str__(self):
        gap = max(self.gaps, default=0)
        return (
            f"{self.requests} requests, {len(self.failures)} failed, p99 {self.p99:.0f} ms; "
            f"{len(self.acknowledged)} posts; {len(self.gaps)} live pages came back, the last after {gap:.1f} s"
        )


class Load:
    """Runs on a thread of its own for as long as the context lasts. `report` counts from the last `begin()` on."""

    def __init__(self, url: str, pages: int = 200):
        self.url = url
        parts = urlsplit(url)
        self.address = (parts.hostname, parts.port)
        self.pages = pages
        self.report = Report()
        self.everything: list[Report] = [self.report]
        # For each page the texts that it has been shown.
        self.shown: list[set[str]] = [set() for _ in range(pages)]
        self.away: dict[int, float] = {}
        self.cursor = None
        self.stopped = threading.Event()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(60), "the visitors did not get in"
        return self

    def __exit__(self, *exception):
        self.stopped.set()
        self.thread.join(60)

    def begin(self) -> Report:
        """A new report."""
        self.report = Report()
        self.everything.append(self.report)
        return self.report

    def acknowledged(self) -> list[str]:
        return [text for report in self.everything for text in report.acknowledged]

    def wait_until_back(self, seconds: float) -> None:
        """Until no page is without its connection, and none has lost it for a second; so long at most."""
        give_up = time.monotonic() + seconds
        calm = time.monotonic()
        while time.monotonic() < min(give_up, calm + 1):
            if self.away:
                calm = time.monotonic()
            time.sleep(0.1)

    def wait_until_shown(self, seconds: float = 15) -> None:
        """Until every page has been shown every text that was acknowledged."""
        wanted = set(self.acknowledged())
        give_up = time.monotonic() + seconds
        while True:
            missing = [wanted - shown for shown in self.shown]
            if not any(missing):
                return
            if time.monotonic() > give_up:
                pages = sum(map(bool, missing))
                raise AssertionError(f"{pages} pages of {self.pages} miss posts, for example {max(missing, key=len)}")
            time.sleep(0.2)

    def _client(self):
        # No certificates to load: that takes longer than a request.
        return httpx.AsyncClient(base_url=self.url, timeout=TIMEOUT, verify=False, trust_env=False)

    async def _run(self):
        async with self._client() as client:
            self.cursor = (await client.get("/live/probe/changes")).json()["cursor"]
        members = [await self._sign_in() for _ in range(MEMBERS)]
        tasks = [
            *(self._read(kept=True) for _ in range(KEPT)),
            *(self._read(kept=False) for _ in range(NEW)),
            self._wait_for_slow_answers(),
            *(self._post(*member) for member in members),
            *(self._follow(page) for page in range(self.pages)),
        ]
        tasks = [asyncio.create_task(task) for task in tasks]
        await asyncio.sleep(3)
        self.ready.set()
        await asyncio.to_thread(self.stopped.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client, _ in members:
            await client.aclose()

    async def _ask(self, what, request, expected, timed=True):
        """The answer, or None if there was none as expected."""
        report = self.report
        begin = time.monotonic()
        try:
            response = await request
        except httpx.HTTPError as error:
            answer, response = repr(error), None
        else:
            answer = str(response.status_code)
        seconds = time.monotonic() - begin
        report.requests += 1
        if timed:
            report.seconds.append(seconds)
        if answer == str(expected):
            return response
        report.failures.append(f"{time.strftime('%X')} {what}: {answer} after {seconds:.2f} s")
        return None

    async def _read(self, kept):
        async with contextlib.AsyncExitStack() as stack:
            client = None
            while True:
                if client is None or not kept:
                    await stack.aclose()
                    client = await stack.enter_async_context(self._client())
                await self._ask(f"GET /probe/ {'kept' if kept else 'new'}", client.get("/probe/"), 200)
                await asyncio.sleep(READ_PAUSE * random.uniform(0.5, 1.5))

    async def _wait_for_slow_answers(self):
        """One that is always waiting: what ends a version must let it finish."""
        async with self._client() as client:
            while True:
                await self._ask("GET /probe/slow", client.get(f"/probe/slow?seconds={SLOW}"), 200, timed=False)

    async def _sign_in(self):
        client = self._client()
        token = self._token((await client.get("/probe/")).text)
        data = {"name": f"probe-{secrets.token_hex(6)}", "csrfmiddlewaretoken": token}
        await client.post("/probe/sign-in", data=data)
        return client, self._token((await client.get("/probe/")).text)

    def _token(self, html):
        return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)[1]

    async def _post(self, client, token):
        while True:
            text = f"load-{secrets.token_hex(8)}"
            report = self.report
            data = {"text": text, "csrfmiddlewaretoken": token}
            if await self._ask("POST /probe/", client.post("/probe/", data=data), 303):
                report.acknowledged.append(text)
            await asyncio.sleep(POST_PAUSE * random.uniform(0.5, 1.5))

    async def _follow(self, page):
        """A page that is live, as live.js makes it: WebSocket, and polling where there is none."""
        cursor = self.cursor

        def receive(message):
            nonlocal cursor
            cursor = message["cursor"]
            for change in message["changes"]:
                self.shown[page].update(re.findall(r"load-[0-9a-f]{16}", change["html"] or ""))
            if page in self.away:
                self.report.gaps.append(time.monotonic() - self.away.pop(page))

        await asyncio.sleep(random.uniform(0, 2))
        while True:
            with contextlib.suppress(OSError, EOFError):
                async for text in self._texts(f"/live/probe/ws?after={cursor}"):
                    receive(json.loads(text))
            self.away.setdefault(page, time.monotonic())
            await asyncio.sleep(RETRY * random.uniform(0.5, 1.5))
            # What it can have instead. As long as that is polling, it polls.
            with contextlib.suppress(OSError, EOFError):
                async with self._connected() as (reader, writer):
                    while True:
                        writer.write(self._request(f"/live/probe/changes?after={cursor}"))
                        async with asyncio.timeout(OPEN_WITHIN):
                            head = await reader.readuntil(b"\r\n\r\n")
                            body = await reader.readexactly(int(re.search(rb"content-length: (\d+)", head.lower())[1]))
                        if b" 200 " not in head[:16] or b"live-transports: polling\r" not in head.lower():
                            break
                        receive(json.loads(body))
                        await asyncio.sleep(POLL * random.uniform(0.75, 1.25))

    # By hand: two hundred real clients would take more of the processors than the servers do.

    @contextlib.asynccontextmanager
    async def _connected(self):
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            yield reader, writer
        finally:
            writer.close()

    def _request(self, path):
        return f"GET {path} HTTP/1.1\r\nHost: {self.address[0]}:{self.address[1]}\r\n\r\n".encode()

    async def _texts(self, path):
        """What comes over a WebSocket, until the server closes it."""
        async with self._connected() as (reader, writer):
            protocol = ClientProtocol(parse_uri(f"ws://{self.address[0]}:{self.address[1]}{path}"))
            protocol.send_request(protocol.connect())
            patience = OPEN_WITHIN
            while protocol.state is not State.CLOSED and protocol.handshake_exc is None:
                for data in protocol.data_to_send():
                    writer.write(data)
                async with asyncio.timeout(patience):
                    data = await reader.read(65_536)
                if not data:
                    return
                patience = SILENCE
                protocol.receive_data(data)
                for event in protocol.events_received():
                    if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                        yield event.data
