"""A web server on this machine that answers well or badly."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


def body(content: bytes, length: int | None = None, **headers: str) -> Answer:
    """Answers with a content, and perhaps says that it is of another length."""
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header(
            'Content-Length', str(len(content) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)
    return answer


def redirect(target: str) -> Answer:
    """Leads on to another URL."""
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header('Location', target)
        handler.end_headers()
    return answer


@contextmanager
def serve(answer: Answer, answers: dict[str, Answer] = {}) -> Iterator[str]:
    """The URL of a server, without its last slash, while the block runs.

    Args:
        answer: to all requests
        answers: but those for these paths.
    """
    class Handler(BaseHTTPRequestHandler):

        def do_GET(self) -> None:
            try:
                answers.get(self.path, answer)(self)
            except OSError:  # whoever asked has left
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05, ), daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        server.server_close()
