"""Address that a server listens on."""

import ipaddress
import socket

from azdistill.contracts.errors import InputError

# Connections that wait to be accepted.
BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Port 0 selects a free one. Raises InputError for an address that cannot be used."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while attempting")[0]
        raise InputError(
            f"this address cannot be used ({reason})",
            subject=f"--host {host} --port {port}",
            code="port_unavailable",
            fix="use --port 0 for a free port" if port else "give --host an address of this machine",
        ) from None


def base_url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(listening: socket.socket) -> bool:
    """True if only this machine reaches the address."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback
