"""The listening socket that the service answers on."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from releve.api.server import address, bind


def test_what_it_accepts_answers_without_waiting_for_acknowledgements() -> None:
    async def accepted_option() -> int:
        asked: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there = writer.get_extra_info("socket")
            asked.set_result(there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listening = bind("127.0.0.1", 0)
        async with await asyncio.start_server(connected, sock=listening):
            host, port = listening.getsockname()
            _, writer = await asyncio.open_connection(host, port)
            found = await asked
            writer.close()
            await writer.wait_closed()
        return found

    # A thread of its own: the browser's tests may have left a loop running in this one.
    with ThreadPoolExecutor(1) as apart:
        assert apart.submit(lambda: asyncio.run(accepted_option())).result() == 1


def test_its_address_is_a_url() -> None:
    with bind("127.0.0.1", 0) as listening:
        assert address(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
