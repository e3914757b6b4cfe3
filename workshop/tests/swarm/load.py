"""Visitors of the swarm: those of the other drills, whose pages fetch their files too."""

import asyncio
import random
import re
from dataclasses import dataclass, field

from workshop.tests.stack import load
from workshop.tests.stack.load import READ_PAUSE, Load

# Live pages, on two cores that carry both nodes as well.
PAGES = 60
# Seconds after its page until a file is fetched, at most: by then another version may serve.
FILE_DELAY = 2


@dataclass
class Report(load.Report):
    files: int = 0
    missing: list[str] = field(default_factory=list)

    def __str__(self):
        return f"{super().__str__()}; {len(self.missing)} of {self.files} static files missing"


class Visitors(Load):
    def __init__(self, url: str):
        super().__init__(url, PAGES)
        self.begin()

    def begin(self) -> Report:
        self.report = Report()
        self.everything.append(self.report)
        return self.report

    async def _read(self, kept):
        """As a browser does, with a cache that lasts for as long as the connection."""
        seen: set[str] = set()
        while True:
            async with self._client() as client:
                for _ in range(40 if kept else 1):
                    kind = "kept" if kept else "new"
                    page = await self._ask(f"GET /probe/ {kind}", client.get("/probe/"), 200)
                    names = set(re.findall(r'"(/static/[^"]+)"', page.text)) - seen if page else set()
                    if names:
                        await asyncio.sleep(random.uniform(0, FILE_DELAY))
                    for name in sorted(names):
                        report = self.report
                        report.files += 1
                        if await self._ask(f"GET {name}", client.get(name), 200, timed=False) is None:
                            report.missing.append(name)
                    seen |= names if kept else set()
                    await asyncio.sleep(READ_PAUSE * random.uniform(0.5, 1.5))
