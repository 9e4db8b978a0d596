"""One question to a Redis server over its unix socket, from a thread: for starting and watching it only."""

from __future__ import annotations

import socket
from pathlib import Path


def ask(path: Path, *command: str, seconds: float = 5.0) -> bytes | None:
    """Send a command and return the first bytes of the raw answer (RESP); None if there was none in time."""
    parts = [part.encode() for part in command]
    request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(request)
            return connection.recv(65536) or None
    except OSError:
        return None
