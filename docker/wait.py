"""The waiting room: Nginx sends here what finds no server, because its container has died and is being started
again. Passed on as it is, as soon as the server listens; closed after WAIT, which Nginx answers as 502."""

import asyncio
import os

# Seconds. A server that is not back by then is not about to be.
WAIT = 10
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


async def answer(reader, writer):
    await pass_on(reader, writer, for_once(await reader.read(65_536)))


async def connect(service):
    while True:
        try:
            slot = os.readlink("/srv/nginx/current")
            # An address that is no more does not answer.
            async with asyncio.timeout(1):
                return await asyncio.open_connection(f"{service}-{slot}", 8000)
        except OSError:
            await asyncio.sleep(0.1)


def waiting_for(service):
    # One looks whether the server is back, and all others wait for that one.
    turn = asyncio.Lock()

    async def wait(reader, writer):
        # Nothing: the health check.
        first = await reader.read(65_536)
        try:
            if first:
                async with asyncio.timeout(WAIT), turn:
                    server_reader, server_writer = await connect(service)
                # Both at once: a server answers only when it has all of a long form.
                await asyncio.gather(pass_on(reader, server_writer, first), answer(server_reader, writer))
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
