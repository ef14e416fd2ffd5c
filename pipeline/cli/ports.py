"""Checks that a port is free before anything is started on it."""

from __future__ import annotations

import errno
import socket

from pipeline.errors import SailpipeError


def check_port_free(host: str, port: int) -> None:
    """Raises SailpipeError when `host`:`port` cannot be listened on, with the reason."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        taken = error.errno == errno.EADDRINUSE
        advice = "choose another with --port" if taken else "check --host and --port"
        raise SailpipeError(f"Cannot listen on {host} port {port} ({reason}): {advice}.") from None
