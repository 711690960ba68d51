"""A way between a client and the server that a test can hold and cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from harness.closing import Closing

CHUNK_BYTES = 64 * 1024
# A socket that is closed with this sends a reset, whatever is still on its way.
RESET = struct.pack("ii", 1, 0)


class Line(Closing):
    """Takes connections on a port of its own and passes their bytes on, TLS untouched, to the server's port."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[_Connection] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, after: int = 0) -> None:
        """What the client sends from now on stays on the way, but for so many pieces; what the server sends arrives.

        A piece is what came at once: a packet, when the client waits for the answer to each.
        """
        for one in self._connections:
            one.pieces = after
            one.passes.clear()

    def cut(self) -> None:
        """Resets what is connected, at both ends. What was held is lost; the next connection is a whole one."""
        cut, self._connections = self._connections, []
        for one in cut:
            one.cut()

    def close(self) -> None:
        """Ends the line."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                # The server is away: the client finds nobody.
                client.close()
                continue
            self._connections.append(_Connection(client, server))


class _Connection:
    """Two sockets and a thread for each direction; the one that ends last closes both."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.passes = threading.Event()
        self.passes.set()
        # How many pass even so.
        self.pieces = 0
        self._is_cut = False
        self._sockets = (client, server)
        self._directions_left = 2
        self._lock = threading.Lock()
        threading.Thread(target=self._up, daemon=True).start()
        threading.Thread(target=self._down, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._is_cut = True
            if self._directions_left:
                for one in self._sockets:
                    with contextlib.suppress(OSError):
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        one.shutdown(socket.SHUT_RDWR)
        self.passes.set()

    def _up(self) -> None:
        client, server = self._sockets
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK_BYTES):
                if not self.passes.is_set() and self.pieces > 0:
                    self.pieces -= 1
                else:
                    self.passes.wait()
                if self._is_cut:
                    break
                server.sendall(data)
        self._end(server)

    def _down(self) -> None:
        client, server = self._sockets
        with contextlib.suppress(OSError):
            while data := server.recv(CHUNK_BYTES):
                client.sendall(data)
        self._end(client)

    def _end(self, to: socket.socket) -> None:
        with self._lock:
            self._directions_left -= 1
            with contextlib.suppress(OSError):
                to.shutdown(socket.SHUT_WR)
            if not self._directions_left:
                for one in self._sockets:
                    one.close()
