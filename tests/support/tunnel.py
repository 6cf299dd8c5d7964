"""A proxy for tests: leads a client through to a server (CONNECT, RFC 9110, 9.3.6), or refuses to."""

from __future__ import annotations

import socket
import socketserver
import threading
from types import TracebackType
from typing import Self


class Tunnel:
    """Leads to the host and port that a client names, or replies ``status``. ``asked`` are the first lines that came."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[str] = []
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._serve, bind_and_activate=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The address, as a variable names a proxy."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _serve(self, client: socket.socket, *_: object) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head and (piece := client.recv(4096)):
                head += piece
            first = head.decode("latin-1").splitlines()[0]
            self.asked.append(first)
            # With a header that is not to be taken for one of the server's.
            client.sendall(f"HTTP/1.1 {self.status} So be it\r\nContent-Type: text/html\r\n\r\n".encode())
            if self.status != 200:
                return
            host, port = first.split(" ")[1].rsplit(":", 1)
            with socket.create_connection((host, int(port))) as server:
                back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
                back.start()
                _pass_on(client, server)
                back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
