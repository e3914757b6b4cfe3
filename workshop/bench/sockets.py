"""A client that holds many WebSockets for little: `python -m workshop.bench.sockets TASK`, TASK being JSON.

It writes "ready" when all are open, does what it is told by a line on its input, writes its figures as JSON, and
closes the sockets when its input ends.
"""

import json
import selectors
import socket
import struct
import sys
import time
from itertools import batched

# Handshakes on their way at once: fewer than fit into a server's queue.
BATCH = 100
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
# Seconds that a broadcast may take to reach everybody, and a handshake.
PATIENCE = 10


def handshake(port: int, path: str, cookie: str = "") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"{cookie and f'Cookie: {cookie}\r\n'}"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def connect(port: int, requests: list[bytes]) -> tuple[dict[socket.socket, bytearray], int]:
    """Sockets that are open, with what each has sent so far; and how many could not be had."""
    opened, refused = {}, 0
    for some in batched(requests, BATCH):
        batch = []
        for request in some:
            try:
                batch.append(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
                batch[-1].sendall(request)
            except OSError:
                refused += 1
        for each in batch:
            answer = bytearray()
            try:
                while b"\r\n\r\n" not in answer and (data := each.recv(65_536)):
                    answer += data
            except OSError:
                pass
            head, end, rest = answer.partition(b"\r\n\r\n")
            if end and b" 101 " in head[:16]:
                each.setblocking(False)
                opened[each] = rest
            else:
                refused += 1
                each.close()
    return opened, refused


def frames(buffer: bytearray) -> list[tuple[int, bytes]]:
    """Take the whole frames out of `buffer`: RFC 6455, section 5.2, unmasked as servers send them."""
    found = []
    while len(buffer) >= 2:
        length, start = buffer[1] & 0x7F, 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4]), 4
        elif length == 127:
            length, start = int.from_bytes(buffer[2:10]), 10
        if len(buffer) < start or len(buffer) < start + length:
            break
        found.append((buffer[0] & 0x0F, bytes(buffer[start : start + length])))
        del buffer[: start + length]
    return found


def frame(opcode: int, payload: bytes) -> bytes:
    """A short frame as a client sends it; a mask of zeros leaves the payload as it is."""
    return struct.pack("!BB4x", 0x80 | opcode, 0x80 | len(payload)) + payload


class Client:
    def __init__(self, port: int, requests: list[bytes]):
        self.sockets, self.refused = connect(port, requests)
        self.lost = 0
        self.selector = selectors.DefaultSelector()
        for each, buffer in self.sockets.items():
            self.selector.register(each, selectors.EVENT_READ, buffer)

    def hear(self, seconds: float, token: bytes = b"", enough: int = 0) -> list[float]:
        """Read for so many seconds, or until `token` has come `enough` times; the moments at which it came."""
        moments = []
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0 and not (enough and len(moments) >= enough):
            for key, _ in self.selector.select(left):
                try:
                    data = key.fileobj.recv(65_536)
                except OSError:
                    data = b""
                now = time.perf_counter()
                if not data:
                    self._lose(key.fileobj)
                    continue
                key.data.extend(data)
                for opcode, payload in frames(key.data):
                    if opcode == TEXT and token and token in payload:
                        moments.append(now)
                    elif opcode == PING:
                        key.fileobj.sendall(frame(PONG, payload))
        return moments

    def _lose(self, each: socket.socket) -> None:
        self.lost += 1
        self.selector.unregister(each)
        del self.sockets[each]
        each.close()

    def broadcast(self, send, times: int) -> dict:
        """Send `times` one message to all, each when the last has arrived."""
        took, expected = [], 0
        for number in range(times):
            token = f"{time.time_ns()}{number:03}"
            expected += len(self.sockets)
            sent = time.perf_counter()
            send(token)
            heard = self.hear(PATIENCE, token.encode(), len(self.sockets))
            took += [(moment - sent) * 1000 for moment in heard]
        return {"took": took, "errors": self.refused + self.lost + expected - len(took)}

    def send_text(self, token: str) -> None:
        """What workshop.lab sends on to the whole group, through Channels."""
        next(iter(self.sockets)).sendall(frame(TEXT, token.encode()))


def publisher():
    """Says a change the way a view of the project does, in a process that is none of the servers."""
    import django

    django.setup()
    from django.db import transaction

    from kit.live import publish as publish_change
    from workshop.lab.models import Row

    def publish(token: str) -> None:
        with transaction.atomic():
            Row.objects.update_or_create(number=0, defaults={"text": token})
            publish_change("lab", 0)

    return publish


def main() -> None:
    task = json.loads(sys.argv[1])
    send = publisher() if task["kind"] == "hub" else None
    client = Client(task["port"], [handshake(task["port"], task["path"])] * task["count"])
    # The first message of each, and whatever else a server does after a handshake.
    client.hear(1)
    if task["kind"] != "idle":
        client.broadcast(send or client.send_text, 2)
    _say("ready")
    sys.stdin.readline()
    if task["kind"] == "idle":
        client.hear(task["seconds"])
        _say(json.dumps({"took": [], "errors": client.refused + client.lost}))
    else:
        _say(json.dumps(client.broadcast(send or client.send_text, task["times"])))
    sys.stdin.read()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
