"""A client that falls silent and one that pings, watched beside everything else: a minute is long."""

from __future__ import annotations

import threading
import time

from harness.dev import Customer, Dev
from harness.login import log_in
from harness.wire import PINGREQ, PINGRESP, Peer, connect

PING_SECONDS = 40.0
# For good measure: how long the silent one is watched.
PATIENCE_SECONDS = 90.0


class Silence:
    """Two connections that asked for no keep-alive at all, and what became of them."""

    def __init__(self, dev: Dev) -> None:
        self.dev = dev
        # How long the silent one was let be, and what it was told.
        self.seconds: float | None = None
        self.last_words = b""
        # Whether the other one was still answered then.
        self.pinging_stayed = False
        self._pinging = self._connected(dev.second)
        self._silent = self._connected(dev.first)
        self._thread = threading.Thread(target=self._watch, args=(time.monotonic(),), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Waits until the silent one is closed, or has been watched for long enough."""
        self._thread.join()

    def _connected(self, customer: Customer) -> Peer:
        tokens = log_in(self.dev, customer)
        peer = Peer(self.dev)
        peer.send(connect(tokens.gcid, tokens.id, client_id="silent", keep_alive=0))
        assert peer.read(4) == b"\x20\x02\x00\x00"
        return peer

    def _watch(self, begin: float) -> None:
        timer = threading.Timer(PING_SECONDS, self._ping)
        timer.daemon = True
        timer.start()
        self.last_words = self._silent.read_to_end(PATIENCE_SECONDS)
        self.seconds = time.monotonic() - begin
        self.pinging_stayed = self._ping()
        self._pinging.close()

    def _ping(self) -> bool:
        self._pinging.send(PINGREQ)
        return self._pinging.read(2) == PINGRESP
