"""Wires between the processes that can be cut, silenced, made deaf in one direction, and slowed."""

import asyncio, random, socket, threading

PIECE_BYTES = 64 * 1024
SLOW_S = (0.04, 0.12)


class Wire:
    """Listens on a port of its own and carries bytes to and from another port, as its mood allows."""

    def __init__(self, switchboard, target):
        self.board, self.target, self.mood = switchboard, target, "whole"
        self.open, self.flows, self.chance = set(), asyncio.Event(), random.Random(target)
        self.flows.set()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]

    async def listen(self):
        self.server = await asyncio.start_server(self.carry_both, sock=self.socket, limit=PIECE_BYTES)

    def bend(self, mood):
        """`cut`, `silence`, `deaf` or `slow`."""
        self.board.call(self._bend, mood)

    def mend(self):
        self.board.call(self._bend, "whole")

    def _bend(self, mood):
        # What was half heard cannot go on: the stream has a hole.
        if mood == "cut" or self.mood == "deaf":
            for writer in list(self.open):
                writer.transport.abort()
        self.mood = mood
        (self.flows.clear if mood == "silence" else self.flows.set)()

    async def carry_both(self, reader, writer):
        self.open.add(writer)
        try:
            if self.mood == "cut":
                writer.transport.abort()
                return
            await self.flows.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target, limit=PIECE_BYTES)
        except OSError:
            writer.transport.abort()
            return
        finally:
            self.open.discard(writer)
        both = {writer, far_writer}
        self.open |= both
        ways = [asyncio.create_task(self.carry(reader, far_writer, False)), asyncio.create_task(self.carry(far_reader, writer, True))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self.open -= both
            for end in both:
                end.transport.abort()
            await asyncio.gather(*ways, return_exceptions=True)

    async def carry(self, reader, writer, is_answer):
        """Carries one direction, a piece at a time, until its end; an end is passed on."""
        while piece := await reader.read(PIECE_BYTES):
            await self.flows.wait()
            if self.mood == "slow":
                await asyncio.sleep(SLOW_S[0] + (SLOW_S[1] - SLOW_S[0]) * self.chance.random())
            if not (self.mood == "deaf" and is_answer):
                writer.write(piece)
                await writer.drain()
        await self.flows.wait()
        writer.write_eof()


class Switchboard:
    """Runs all wires on one thread of their own."""

    def __init__(self):
        self.loop, self.wires = asyncio.new_event_loop(), []
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def wire(self, target):
        wire = Wire(self, target)
        asyncio.run_coroutine_threadsafe(wire.listen(), self.loop).result()
        self.wires.append(wire)
        return wire

    def call(self, act, *words):
        """Does something on the wires' thread, and waits until it is done."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (act(*words), done.set()))
        done.wait()

    def close(self):
        asyncio.run_coroutine_threadsafe(self.hang_up(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def hang_up(self):
        for wire in self.wires:
            wire.server.close()
            wire._bend("cut")
        carrying = asyncio.all_tasks() - {asyncio.current_task()}
        if carrying:
            await asyncio.wait(carrying)
