"""The server: who may ask, how much at a time, and what browsers must not do with the answers.

It listens on this machine alone unless told otherwise, and answers only where the address begins
with a token that nobody can guess and the ``Host`` is its own (a page elsewhere cannot reach it by
renaming itself). It reads, and has no way to write. Standard library alone.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from qpmask.common.arguments import path_of, whole_number
from qpmask.errors import OptionsError
from qpmask.web.answers import Answer, Site, error_answer
from qpmask.web.catalog import Shown, list_images

_log = logging.getLogger(__name__)

_MAX_ADDRESS = 2048  # characters
_MAX_CONNECTIONS = 256
_IDLE_S = 30.0
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def serve(
    *inputs: str | os.PathLike[str],
    slides: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    host: str = "127.0.0.1",
    port: int = 0,
) -> Server:
    """Serve projects, masks and patches to browsers; returns at once.

    Parameters
    ----------
    *inputs : path-like
        QuPath projects, folders of masks or patch files, masks, patch files. Masks of one image
        from several folders are shown together.
    slides : path-like or iterable of path-like
        Folders in which slides are looked for.
    host : str
        Where to listen. Anything but this machine makes what is served readable for everybody who
        has the address.
    port : int
        0 takes a free one.

    Returns
    -------
    Server
        It runs in threads of this process until :meth:`Server.close`, or the end of a ``with``
        block; :attr:`Server.url` is its address.

    Raises
    ------
    OptionsError
        There is nothing to serve, or the port is taken.
    ProjectError
        A project cannot be read.
    """
    if not inputs:
        raise OptionsError("There is nothing to serve.", hint="Give a project, a folder or a mask.")
    folders = [slides] if isinstance(slides, (str, os.PathLike)) else list(slides)
    images = list_images(
        [path_of(one, "inputs") for one in inputs], [path_of(one, "slides") for one in folders]
    )
    return Server(images, host, whole_number(port, "port"))


class Server:
    """A running server; made by :func:`serve`. A context manager.

    Attributes
    ----------
    url : str
        The address of the page, with its token.
    images : tuple of Shown
        What is served.
    """

    def __init__(self, images: Sequence[Shown], host: str = "127.0.0.1", port: int = 0) -> None:
        if not 0 <= port <= 65535:
            raise OptionsError(f"The port is {port}; it must be from 0 to 65535.")
        self.images = tuple(images)
        self._token = secrets.token_urlsafe(18)
        self._site = Site(self.images)
        try:
            self._http = _Http(host, port, self._site, self._token)
        except OSError as error:
            self._site.close()
            raise OptionsError(
                f"The server cannot listen on {host}, port {port}: {error.strerror or error}.",
                hint="Use --port 0 for a free one.",
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._http.server_port}/{self._token}/"
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.2,), name="qpmask-serve", daemon=True
        )
        self._thread.start()
        self._is_open = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._http.server_port)

    def close(self) -> None:
        """Stop answering, and let go of all files."""
        if self._is_open:
            self._is_open = False
            self._http.shutdown()
            self._http.server_close()
            self._site.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"at {self.url}" if self._is_open else "closed"
        return f"<Server of {len(self.images)} images, {state}>"

    def _repr_html_(self) -> str:
        from qpmask.web.notebook import frame_html

        return frame_html(self.url)


def is_of_this_machine(host: str) -> bool:
    """Whether a host to listen on is reached from this machine alone."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, site: Site, token: str) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.site = site
        self.token = token.encode()
        self._connections = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        super().__init__((host, port), _Handler)
        self.is_local = is_of_this_machine(host)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._connections.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                                b"Retry-After: 1\r\nConnection: close\r\n\r\n")  # fmt: skip
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._connections.release()

    def server_close(self) -> None:
        """Stop listening, and end connections that browsers keep open."""
        super().server_close()
        for request in list(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("A request from %s ended early.", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    server_version = "qpmask"
    sys_version = ""
    # Head and body go out together; else each waits for the other side's acknowledgement.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._send(self._answered())

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        # Addresses hold the token, and are not written anywhere.
        _log.debug("%s asked for something", self.client_address[0])

    def _answered(self) -> Answer:
        if len(self.path) > _MAX_ADDRESS:
            return error_answer(414, "The address is too long.")
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return error_answer(413, "Nothing is taken here.")
        if not self._is_own_host() or self._is_foreign():
            return error_answer(403, "This address is not served here.")
        parts = self.path.split("?", 1)[0].split("/", 2)
        if len(parts) < 3 or not hmac.compare_digest(parts[1].encode(), self.server.token):
            return error_answer(
                403, "The address lacks its token.", "Use the whole address that qpmask printed."
            )
        try:
            with self.server.site.turns:
                return self.server.site.answer(parts[2])
        except Exception:  # a fault of ours ends one answer, not the server
            _log.exception("An answer failed.")
            return error_answer(500, "The server failed at this; its log says why.")

    def _is_foreign(self) -> bool:
        """Whether another site wants to have our answers in its page; a frame of ours is fine."""
        asked_by = self.headers.get("Sec-Fetch-Site", "none")
        opens = self.headers.get("Sec-Fetch-Mode", "") == "navigate"
        return asked_by in ("cross-site", "same-site") and not opens

    def _is_own_host(self) -> bool:
        """Whether the browser believes to talk to this server; see DNS rebinding."""
        if not self.server.is_local:
            return True  # it has more names than it knows
        try:
            named = urlsplit(f"//{self.headers.get('Host', '')}")
            port = named.port
        except ValueError:
            return False
        return is_of_this_machine(named.hostname or "") and port in (None, self.server.server_port)

    def _send(self, answer: Answer) -> None:
        is_lasting = answer.status == 200 and "?v=" in self.path
        try:
            self.send_response(answer.status)
            for name, value in {**_HEADERS, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            caching = "private, max-age=86400, immutable" if is_lasting else "no-cache"
            self.send_header("Cache-Control", caching)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            self.wfile.flush()
        except OSError:  # the browser no longer wants it
            self.close_connection = True


def link_to(server: Server, image: Path | None = None) -> str:
    """The address of one image of a server, by a file of it."""
    if image is None:
        return server.url
    for number, shown in enumerate(server.images):
        if any(mask.path == image for mask in shown.masks) or image in shown.patches:
            return f"{server.url}#image={quote(str(number))}"
    raise OptionsError(f"{image} is not served here.")
