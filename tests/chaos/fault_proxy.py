# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that does what networks do: waits, cuts after byte k, resets, swallows one way, drips, leaves
connections half open. Clients reach the node through it only: the node advertises its port. docs/design/chaos.md.

Each direction of each connection ("up": to the node, "down": to the client) has a Way. `connected` may set those of
a new connection; `all` changes those of every one that there is and of all that come."""
import asyncio
import dataclasses
import socket
import struct
import threading


@dataclasses.dataclass
class Way:
    delay: float = 0.0         # seconds before each piece
    is_black_hole: bool = False  # nothing comes through until this ends; then all of it, as TCP would
    drip_bytes: int = 0        # so many at once, 0: all …
    drip_pause: float = 0.0    # … and then this pause
    cut_after: int = -1        # so many bytes of the connection come through, then `cut`; -1: never
    cut: str = "reset"         # or "close", "half_open": the node hears nothing of it


class Connection:
    def __init__(self, loop, client, node, up, down):
        self.loop, self.client, self.node, self.pumps = loop, client, node, []
        self.ways = {"up": up, "down": down}
        self.passed = {"up": 0, "down": 0}
        self.is_cut = False

    def end(self, how):
        """In the loop's thread."""
        if self.is_cut:
            return
        self.is_cut = True
        for end in (self.client, self.node):
            self.loop.remove_reader(end)
            self.loop.remove_writer(end)
            if how == "half_open" and end is self.node:
                continue
            if how != "close":
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
        for pump in self.pumps:
            if pump is not asyncio.current_task():
                pump.cancel()


class Proxy:
    def __init__(self, port, node_port):
        self.port, self.node_port = port, node_port
        self.connections, self.half_open = set(), []
        self.template = {"up": {}, "down": {}}
        self.connected = None   # called with each new Connection
        self.is_refusing = False
        self.counts = {"connections": 0, "cut": 0}
        self.tasks = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True, name="proxy")
        self.thread.start()
        self.call(self.listen())

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    async def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(128)
        self.listener.setblocking(False)
        self.spawn(self.accept())

    def spawn(self, coroutine):
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def accept(self):
        while True:
            client, _ = await self.loop.sock_accept(self.listener)
            self.spawn(self.serve(client))

    async def serve(self, client):
        node = socket.socket()
        for each in (client, node):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.is_refusing:
                raise ConnectionRefusedError
            await self.loop.sock_connect(node, ("127.0.0.1", self.node_port))
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            node.close()
            return
        connection = Connection(self.loop, client, node, Way(**self.template["up"]),
                                Way(**self.template["down"]))
        if self.connected:
            self.connected(connection)
        self.connections.add(connection)
        self.counts["connections"] += 1
        connection.pumps = [self.loop.create_task(self.pump(connection, "up", client, node)),
                            self.loop.create_task(self.pump(connection, "down", node, client))]
        await asyncio.gather(*connection.pumps, return_exceptions=True)
        self.connections.discard(connection)
        if connection.is_cut and node.fileno() >= 0:
            self.half_open.append(node)
        else:
            client.close()
            node.close()

    async def pump(self, connection, direction, source, target):
        way = connection.ways[direction]
        try:
            while data := await self.loop.sock_recv(source, 65536):
                if way.delay:
                    await asyncio.sleep(way.delay)
                while way.is_black_hole and not connection.is_cut:
                    await asyncio.sleep(0.01)
                passed = connection.passed[direction]
                is_last = 0 <= way.cut_after <= passed + len(data)
                data = data[:way.cut_after - passed] if is_last else data
                await self.send(way, target, data)
                connection.passed[direction] += len(data)
                if is_last:
                    await asyncio.sleep(0.002)  # what came through is read before the reset takes it
                    self.counts["cut"] += 1
                    connection.end(way.cut)
                    return
            if not connection.is_cut:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            connection.end("reset")  # one end is gone: tell the other one

    async def send(self, way, target, data):
        while data:
            piece = data[:way.drip_bytes] if way.drip_bytes else data
            await self.loop.sock_sendall(target, piece)
            data = data[len(piece):]
            if way.drip_bytes and data:
                await asyncio.sleep(way.drip_pause)

    # ---- for the runner, from its own thread ----

    def all(self, direction, **values):
        async def change():
            self.template[direction] = {**self.template[direction], **values}
            for connection in self.connections:
                for name, value in values.items():
                    setattr(connection.ways[direction], name, value)
        self.call(change())

    def cut_all(self, how="reset"):
        async def change():
            for connection in list(self.connections):
                connection.end(how)
                self.counts["cut"] += 1
        self.call(change())

    def heal(self):
        """Every connection that there is ends, and new ones are sound."""
        self.is_refusing, self.connected = False, None
        self.template = {"up": {}, "down": {}}
        self.cut_all()

        async def forget():
            for each in self.half_open:
                each.close()
            self.half_open.clear()
        self.call(forget())

    def close(self):
        self.heal()

        async def end():
            for task in list(self.tasks):
                task.cancel()
            self.listener.close()
            await asyncio.sleep(0)
        self.call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
