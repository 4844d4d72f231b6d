"""An S3 server on this machine, which can be told to be busy or to forbid."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

for name, value in (("ACCESS_KEY_ID", "any"), ("SECRET_ACCESS_KEY", "secret"), ("DEFAULT_REGION", "us-east-1")):
    os.environ.setdefault(f"AWS_{name}", value)  # a Ray that is started later has these, too
ANSWER = "<Error><Code>{0}</Code><Message>{0}</Message></Error>"


class Server:
    """Runs in a thread; `refused` counts the requests that were turned away.

    Args:
        host: the address of this machine that it is reached by; "": from this machine alone.
    """

    def __init__(self, host: str = "") -> None:
        self.app = DomainDispatcherApplication(create_backend_app)
        self.refused = 0
        self.host = host or "127.0.0.1"
        self.late: dict[str, float] = {}  # end of a path -> seconds
        self.turned_away: dict[str, tuple[str, int]] = {}  # end of a path -> status, how often still
        self.server = make_server("0.0.0.0" if host else "127.0.0.1", 0, self.answer, threaded=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()

    def answer(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            time.sleep(next((seconds for end, seconds in self.late.items() if environ["PATH_INFO"].endswith(end)), 0))
        for end, (status, times) in self.turned_away.items():
            if environ["PATH_INFO"].endswith(end) and times > 0:
                self.turned_away[end] = status, times - 1
                self.refused += 1
                body = (
                    ""
                    if environ["REQUEST_METHOD"] == "HEAD"
                    else ANSWER.format(status.split(" ", 1)[1].replace(" ", ""))
                )
                start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
                return [body.encode()]
        return self.app(environ, start)  # type: ignore[no-any-return]

    def bucket(self, name: str, below: str = "") -> str:
        """Makes a bucket; the address of a folder in it."""
        from pyarrow import fs

        options = f"endpoint_override=http://{self.host}:{self.server.server_port}"
        system, _ = fs.FileSystem.from_uri(f"s3://{name}?{options}&allow_bucket_creation=true")
        system.create_dir(name)
        return f"s3://{name}/{below}?{options}"

    def busy(self, end: str, times: int) -> None:
        """Answers 503 to requests for a path that ends so."""
        self.turned_away[end] = "503 Slow Down", times

    def forbid(self, end: str) -> None:
        """Answers 403, for good."""
        self.turned_away[end] = "403 Access Denied", 10**9

    def slow(self, end: str, seconds: float) -> None:
        """Gives what a path that ends so holds after a while."""
        self.late[end] = seconds
