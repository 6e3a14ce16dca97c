"""A model hub on the loopback address, so that the real `load_dataset` and `from_pretrained` run in tests without a network.

`Hub(folder)` serves every `folder/datasets/<owner>/<name>/...` and `folder/models/<owner>/<name>/...` with the few routes of
the hub's HTTP API that reading needs: a repository's record, its file tree, and its files. Every revision is the newest one.

The libraries read the hub's address when they are imported, so whoever loads must be another process: `hub_process` starts
one, and `Hub.environment` is what any process (a notebook's kernel, say) needs.
"""

import hashlib
import json
import multiprocessing
import os
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from unittest import mock
from urllib.parse import parse_qs, unquote, urlsplit

_REPO = r"(?P<owner>[^/]+)/(?P<name>[^/]+)"
_RECORD = re.compile(rf"/api/(?P<kind>datasets|models)/{_REPO}(?:/revision/[^/]+)?")
_TREE = re.compile(rf"/api/(?P<kind>datasets|models)/{_REPO}/tree/[^/]+(?:/(?P<path>.+))?")
_PATHS = re.compile(rf"/api/(?P<kind>datasets|models)/{_REPO}/paths-info/[^/]+")
_FILE = re.compile(rf"/(?:(?P<kind>datasets)/)?{_REPO}/resolve/[^/]+/(?P<path>.+)")


class Hub:
    """Serves a folder until the `with` block ends. `url` is its address."""

    def __init__(self, folder: Path):
        handler = type("Handler", (_Handler,), {"folder": folder})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Hub":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path) -> dict[str, str]:
        """The variables that send the libraries here, with their caches under `home` and without bars and reports."""
        variables = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}
        return variables | {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"}


@contextmanager
def hub_process(folder: Path, home: Path) -> Iterator[ProcessPoolExecutor]:
    """A process whose hub is `folder`: `submit(function, ...).result()` returns or raises what the function did there."""
    with Hub(folder) as hub, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with mock.patch.dict(os.environ, hub.environment(home)):
            pool.submit(int).result()  # the process starts with the first work, and inherits the variables
        yield pool


class _Handler(BaseHTTPRequestHandler):
    folder: Path  # set by Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802  the name that http.server calls
        url = urlsplit(self.path)
        route = unquote(url.path)
        if found := _RECORD.fullmatch(route):
            self._in_repo(found, lambda repo: self._json(_record(repo, f"{found['owner']}/{found['name']}")))
        elif found := _TREE.fullmatch(route):
            recursive = parse_qs(url.query).get("recursive", ["false"])[0].lower() == "true"
            self._in_repo(found, lambda repo: self._tree(repo, found["path"] or "", recursive))
        elif found := _FILE.fullmatch(route):
            self._in_repo(found, lambda repo: self._file(repo, found["path"]))
        else:
            self._error("EntryNotFound", f"This hub has no route {route}.")

    do_HEAD = do_GET

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if found := _PATHS.fullmatch(unquote(self.path)):
            paths = parse_qs(body).get("paths", [])
            self._in_repo(found, lambda repo: self._json([_entry(repo, repo / p) for p in paths if (repo / p).exists()]))
        else:
            self._error("EntryNotFound", f"This hub has no route {self.path}.")

    def _in_repo(self, found: re.Match, answer) -> None:
        repo = self.folder / (found["kind"] or "models") / found["owner"] / found["name"]
        if repo.is_dir():
            answer(repo)
        else:
            self._error("RepoNotFound", "Repository not found")

    def _tree(self, repo: Path, path: str, recursive: bool) -> None:
        folder = repo / path
        if folder.is_dir():
            self._json([_entry(repo, entry) for entry in sorted(folder.rglob("*") if recursive else folder.iterdir())])
        else:
            self._error("EntryNotFound", "Entry not found", repo)

    def _file(self, repo: Path, path: str) -> None:
        if (repo / path).is_file():
            headers = {"X-Repo-Commit": _commit(repo), "ETag": f'"{_hash(repo / path)}"', "Accept-Ranges": "none"}
            self._send(200, (repo / path).read_bytes(), "application/octet-stream", headers)
        else:
            self._error("EntryNotFound", "Entry not found", repo)

    def _json(self, value) -> None:
        self._send(200, json.dumps(value).encode(), "application/json", {})

    def _error(self, code: str, message: str, repo: Path | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message} | ({"X-Repo-Commit": _commit(repo)} if repo else {})
        self._send(404, json.dumps({"error": message}).encode(), "application/json", headers)

    def _send(self, status: int, body: bytes, content_type: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": content_type, "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_) -> None:
        """Nothing: a test's output is the test's."""


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _files(repo: Path) -> list[Path]:
    return sorted(path for path in repo.rglob("*") if path.is_file())


def _commit(repo: Path) -> str:
    """A commit id that changes with the files, as the libraries' caches expect."""
    stamp = "\n".join(f"{path.relative_to(repo)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in _files(repo))
    return hashlib.sha1(stamp.encode()).hexdigest()


def _record(repo: Path, name: str) -> dict:
    siblings = [{"rfilename": str(path.relative_to(repo))} for path in _files(repo)]
    return {"id": name, "sha": _commit(repo), "private": False, "gated": False, "tags": [], "siblings": siblings}


def _entry(repo: Path, path: Path) -> dict:
    where = str(path.relative_to(repo))
    if path.is_dir():
        return {"type": "directory", "path": where, "oid": hashlib.sha1(where.encode()).hexdigest(), "size": 0}
    return {"type": "file", "path": where, "oid": _hash(path)[:40], "size": path.stat().st_size}
