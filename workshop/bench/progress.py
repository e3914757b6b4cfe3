"""Shows on the terminal how far the bench is; one line for each step where there is no terminal."""

import sys
import time

WIDTH = 30


class Progress:
    def __init__(self, steps: int, output=sys.stderr):
        self.steps = steps
        self.done = 0
        self.output = output
        self.started = time.monotonic()

    def say(self, sentence: str) -> None:
        self._clear()
        self.output.write(f"{sentence}\n")
        self.output.flush()

    def step(self, what: str, count: int = 1) -> None:
        """`count` steps begin, of which the last is `what`."""
        elapsed = time.monotonic() - self.started
        left = elapsed / self.done * (self.steps - self.done) if self.done else None
        self.done += count
        if not self.output.isatty():
            return self.say(f"{self.done}/{self.steps} {what}")
        filled = WIDTH * (self.done - 1) // self.steps
        rest = f"{left // 60:.0f}:{left % 60:02.0f} left" if left is not None else ""
        self._clear()
        self.output.write(f"[{'█' * filled}{'░' * (WIDTH - filled)}] {self.done}/{self.steps} {what} {rest}"[:118])
        self.output.flush()

    def _clear(self) -> None:
        if self.output.isatty():
            self.output.write("\r\033[K")
