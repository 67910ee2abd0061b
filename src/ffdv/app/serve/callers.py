"""Who may call the service: nobody that a browser sends from another site's page, and nobody under a name that is not the service's."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# Of every answer: nothing is taken for what it is not, kept, shown inside another page, or told to other sites.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class OwnCallers:
    """Refuses callers that a browser sends from other pages, and names that are not this service's; adds headers that keep pages apart."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application do it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(headers)
        if refusal is not None:
            await JSONResponse({"detail": refusal}, 403, headers=HEADERS)(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, headers: Mapping[str, str]) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        name = host_name(host)
        if name not in self._names and not _is_plain(name):
            return f"this service is not called {name[:100]!r}; start it with --allow-host to let it be"
        place = _place(origin) if origin is not None else host
        if place == host or host_name(place) in self._names:
            return None
        return (
            f"a page of {origin!r:.100} may not use this service, which was called {host[:100]!r}; is it this service's own page behind a "
            "proxy, start the service with --allow-host and its name"
        )


def _place(origin: str) -> str:
    """Name and port of an Origin header, "" where it has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def host_name(host: str) -> str:
    """The name in a Host header, without the port.

    >>> host_name("localhost:8000"), host_name("[::1]:80"), host_name("192.0.2.7")
    ('localhost', '::1', '192.0.2.7')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


def _is_plain(name: str) -> bool:
    """Whether that is localhost or an address: no foreign site's name can be led to it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True
