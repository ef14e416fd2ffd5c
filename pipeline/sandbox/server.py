"""Runs a sandbox on a port: in the foreground for the CLI, in a thread for tests and benchmarks."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.sandbox.app import SandboxApp, create_app
from pipeline.sandbox.options import SandboxOptions

_LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends a reset."""


class _Protocol(HttpToolsProtocol):
    """Lets the app end a connection rudely, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["end_connection"] = self._end_connection

    def _end_connection(self, reset: bool) -> None:
        if reset:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self.transport.abort()
        else:
            self.transport.close()


def serve(host: str, port: int, options: SandboxOptions | None = None) -> None:
    """Run a sandbox until SIGINT or SIGTERM.

    Raises:
        SystemExit: the port is taken (uvicorn has logged it).
    """
    # uvicorn shuts down in order and then raises the signal again.
    with contextlib.suppress(KeyboardInterrupt):
        _server(create_app(options), host, port).run()


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that listens: its address, and the app to look into or to change."""

    url: str
    app: SandboxApp


@contextlib.contextmanager
def running_in_thread(
    options: SandboxOptions | None = None, *, app: SandboxApp | None = None, port: int = 0
) -> Iterator[RunningSandbox]:
    """Run a sandbox on a loopback port (0: a free one) for as long as the block lasts."""
    app = app or create_app(options)
    # asyncio turns Nagle's algorithm off (40 ms a call on a kept connection) only for sockets that
    # say they are TCP; socket.create_server's don't.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(2048)
        port = listener.getsockname()[1]
        server = _server(app, "127.0.0.1", port)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            # The socket listens already: a client that connects before the loop runs just waits.
            yield RunningSandbox(f"http://127.0.0.1:{port}", app)
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def _server(app: SandboxApp, host: str, port: int) -> uvicorn.Server:
    # No access log: the URL of a GET holds key and signature.
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        backlog=2048,
    )
    return uvicorn.Server(config)
