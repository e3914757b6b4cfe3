"""The waiting room: Nginx sends here what finds no server, because its container has died and is being started
again, and once more what was lost with a worker. Passed on as it is, as soon as the server listens; closed after WAIT,
which Nginx answers as 502."""

import asyncio
import os

# Seconds. A server that is not back by then is not about to be.
WAIT = 20
# Which service waits behind which port; nginx/upstreams/ names these ports.
SERVICES = {8001: "web", 8002: "live"}


async def pass_on(reader, writer, first=b""):
    try:
        writer.write(first)
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def for_once(answer):
    """The beginning of an answer, with the line that lets Nginx ask the server itself the next time. A WebSocket
    (101) stays."""
    status, line_end, rest = answer.partition(b"\r\n")
    return answer if b" 101" in status else status + line_end + b"Connection: close\r\n" * bool(line_end) + rest


def is_whole_read(request):
    return request.startswith((b"GET ", b"HEAD ")) and request.endswith(b"\r\n\r\n")


async def connect(service):
    """Its streams, and whether it was away."""
    away = False
    while True:
        try:
            slot = os.readlink("/srv/nginx/current")
            # An address that is no more does not answer.
            async with asyncio.timeout(1):
                return *await asyncio.open_connection(f"{service}-{slot}", 8000), away
        except OSError:
            away = True
            await asyncio.sleep(0.1)


def waiting_for(service):
    now = asyncio.get_running_loop().time
    # One looks whether the server is back, and all others wait for that one.
    turn = asyncio.Lock()
    queue, back = 0, now()

    async def ask(reader, writer, first, arrived):
        nonlocal queue, back
        queue += 1
        async with turn:
            queue -= 1
            async with asyncio.timeout_at(arrived + WAIT):
                server_reader, server_writer, away = await connect(service)
            if away:
                back = now()
            # Both at once: a server answers only when it has all of a long form.
            passing = asyncio.create_task(pass_on(reader, server_writer, first))
            begun = asyncio.create_task(server_reader.read(65_536))
            if arrived > back:
                # The server is there, and has lost a worker. Perhaps to this very request: nothing else that was lost
                # is asked beside it. All of them have had their turn within WAIT.
                await asyncio.wait([begun], timeout=2 / (queue + 4))
        try:
            await pass_on(server_reader, writer, for_once(await begun))
            await passing
        finally:
            passing.cancel()

    async def wait(reader, writer):
        # Nothing: the health check.
        first = await reader.read(65_536)
        arrived = now()
        try:
            while first:
                try:
                    await ask(reader, writer, first, arrived)
                    break
                except ConnectionResetError:
                    # The worker died before it had read what it was sent. A read had not begun then.
                    if not is_whole_read(first):
                        break
                    await asyncio.sleep(0.1)
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    return wait


async def main():
    servers = [
        await asyncio.start_server(waiting_for(service), port=port, backlog=2048) for port, service in SERVICES.items()
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
