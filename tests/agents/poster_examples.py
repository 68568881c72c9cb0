"""Pictures, a small web server that offers them, and an encoder of colours."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from memagent.agents.ab.catalogue import Item


def picture(colour: str = "red", size: tuple[int, int] = (400, 600), kind: str = "PNG", mode: str = "RGB") -> bytes:
    made = io.BytesIO()
    Image.new(mode, size, colour).save(made, kind)
    return made.getvalue()


def film(number: int, poster: str | None = None) -> Item:
    return Item(id=f"i{number}", title=f"Film {number}", genres=("Drama",), poster=poster)


def colours(images: Sequence[Image.Image]) -> Any:
    """A vector of the mean colour: pictures that look alike are near each other."""
    return np.asarray([np.asarray(image, dtype=np.float32).mean(axis=(0, 1)) + 1 for image in images])


class Site:
    """What the server answers with, by path, and how often it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {"/red.png": picture(), "/text": b"no picture", "/big": b"x" * 200_000}
        self.redirects = {"/moved": "/red.png", "/away": "file:///etc/passwd", "/round": "/round"}
        self.status: dict[str, int] = {"/busy": 503, "/gone": 410}
        self.asked: Counter[str] = Counter()
        self.url = ""


@contextmanager
def site() -> Iterator[Site]:
    state, over = Site(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            state.asked[self.path] += 1
            if self.path == "/slow":
                over.wait(60)
            target = state.redirects.get(self.path)
            body = state.pages.get(self.path)
            status = 302 if target else state.status.get(self.path, 200 if body is not None else 404)
            self.send_response(status)
            if target:
                self.send_header("Location", target)
            self.send_header("Content-Length", str(len(body or b"") + (9 if self.path == "/torn" else 0)))
            self.end_headers()
            self.wfile.write(body or b"")

    state.pages["/torn"] = picture()[:200]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
