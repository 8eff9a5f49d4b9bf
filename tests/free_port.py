"""A port for processes that meet, of tests that may run side by side."""
from __future__ import annotations

import socket


def free_port() -> str:
    """A port that nobody listens to."""
    with socket.socket() as server:
        server.bind(('', 0))
        return str(server.getsockname()[1])
