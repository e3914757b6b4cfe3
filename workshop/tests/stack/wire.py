"""HTTP as bytes on a socket: what a client sends who keeps to no rule, and what comes back."""

import contextlib
import re
import socket
from dataclasses import dataclass

TIMEOUT = 20


@dataclass(frozen=True)
class Answer:
    """`status` is None where bytes came back that are no answer of HTTP/1."""

    status: int | None
    headers: dict[str, str]
    body: bytes

    @property
    def ends_the_connection(self) -> bool:
        return self.status is None or self.headers.get("connection", "").lower() == "close"

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class Wire:
    """One connection."""

    def __init__(self, port: int, timeout: float = TIMEOUT):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        # What is refused before all of it is sent may have been answered all the same.
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def answer(self, to_head: bool = False) -> Answer | None:
        """The next answer; None where the connection is closed without one."""
        while True:
            while b"\r\n\r\n" not in self.received:
                if not self._receive():
                    return Answer(None, {}, self._take(len(self.received))) if self.received else None
            head = self._take(self.received.index(b"\r\n\r\n") + 4).decode("latin-1")
            first = re.match(r"HTTP/1\.[01] (\d{3})[ \r]", head)
            if not first:
                return Answer(None, {}, head.encode("latin-1") + self.rest())
            status = int(first[1])
            lines = (line.partition(":") for line in head.split("\r\n")[1:])
            headers = {name.lower(): value.strip() for name, _, value in lines}
            # 100 Continue comes before the answer. 101 is one.
            if status != 100:
                return Answer(status, headers, self._body(status, headers, to_head))

    def rest(self, seconds: float | None = None) -> bytes:
        """Whatever comes until the other side closes, or is silent for so long."""
        if seconds is not None:
            self.socket.settimeout(seconds)
        try:
            while self._receive():
                pass
        except TimeoutError:
            pass
        return self._take(len(self.received))

    def _body(self, status, headers, to_head) -> bytes:
        if to_head or status in (101, 204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self._line().split(b";")[0], 16):
                body += self._exactly(size)
                self._line()
            while self._line():
                pass
            return body
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        return self.rest()

    def _receive(self) -> bool:
        try:
            data = self.socket.recv(65_536)
        except TimeoutError:
            raise
        except OSError:
            return False
        self.received += data
        return bool(data)

    def _line(self) -> bytes:
        while b"\r\n" not in self.received:
            if not self._receive():
                raise ConnectionError("closed within an answer")
        line = self._take(self.received.index(b"\r\n") + 2)
        return line[:-2]

    def _exactly(self, size: int) -> bytes:
        while len(self.received) < size:
            if not self._receive():
                raise ConnectionError("closed within an answer")
        return self._take(size)

    def _take(self, size: int) -> bytes:
        data = bytes(self.received[:size])
        del self.received[:size]
        return data
