"""The waiting room: Nginx sends requests here while their server's container restarts, and repeats those that were lost
with a worker. Each is passed on unchanged as soon as the server listens. After WAIT, it is closed, and Nginx answers
502."""

import asyncio
import os

# Seconds. A server that is not back by then will not be soon.
WAIT = 20
# The service for each port; rendered/upstreams.conf names these ports.
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
    """Add a header to the first part of a response that makes Nginx ask the server itself next time. Not to a
    WebSocket's (101), which stays."""
    status, line_end, rest = answer.partition(b"\r\n")
    return answer if b" 101" in status else status + line_end + b"Connection: close\r\n" * bool(line_end) + rest


def is_whole_read(request):
    return request.startswith((b"GET ", b"HEAD ")) and request.endswith(b"\r\n\r\n")


async def connect(service):
    """The streams to the service, and whether it was unreachable."""
    away = False
    while True:
        try:
            slot = os.readlink("/srv/nginx/current")
            # A removed container's address does not respond.
            async with asyncio.timeout(1):
                return *await asyncio.open_connection(f"{service}-{slot}", 8000), away
        except OSError:
            away = True
            await asyncio.sleep(0.1)


def waiting_for(service):
    now = asyncio.get_running_loop().time
    # One request checks whether the server is back, and all others wait for it.
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
            # Concurrently, because a server answers only when it has all of a long form.
            passing = asyncio.create_task(pass_on(reader, server_writer, first))
            begun = asyncio.create_task(server_reader.read(65_536))
            if arrived > back:
                # The server is running but has lost a worker, perhaps to this very request: hold back the other lost
                # requests meanwhile. All of them get their turn within WAIT.
                await asyncio.wait([begun], timeout=2 / (queue + 4))
        try:
            await pass_on(server_reader, writer, for_once(await begun))
            await passing
        finally:
            passing.cancel()

    async def wait(reader, writer):
        # Empty for the health check.
        first = await reader.read(65_536)
        arrived = now()
        try:
            while first:
                try:
                    await ask(reader, writer, first, arrived)
                    break
                except ConnectionResetError:
                    # The worker died before it read the request, so a read had not begun.
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
