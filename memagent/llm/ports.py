"""Where a server of one's own listens."""

from __future__ import annotations

import errno
import random
import socket

from memagent.errors import ServerFailed

PORT_HINT = "another server has this port: choose another one, or leave it out"

_QUIET = range(15_000, 30_000)
"""Ports that Linux and macOS, as they come, give neither to connections nor to who asks for any: a server that takes
long to start finds its own still free."""
_TRIES = 20


def choose_port(host: str, wanted: int | None) -> int:
    """``wanted`` if nobody listens there, for another server would be taken for ours; None takes a free port.

    Raises :class:`~memagent.errors.ServerFailed` when that cannot be had.
    """
    if not wanted:
        for port in random.SystemRandom().sample(_QUIET, _TRIES):
            try:
                return _free(host, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    break
    try:
        return _free(host, wanted or 0)
    except (OSError, OverflowError) as error:
        hint = PORT_HINT if wanted else "the host is an address of this machine, such as 127.0.0.1"
        what = f"port {wanted} on {host}" if wanted else f"the host {host}"
        raise ServerFailed(f"{what} cannot be used: {getattr(error, 'strerror', None) or error}", hint=hint) from None


def _free(host: str, port: int) -> int:
    """``port``, or any for 0; raises OSError where it is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if port:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        bound: int = probe.getsockname()[1]
        return bound


def address(host: str, port: int) -> str:
    """The URL by which this machine reaches what listens there."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
