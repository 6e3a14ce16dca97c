"""A model hub on the loopback address, so that the real `load_dataset` and `from_pretrained` run in tests without a network.

`Hub(folder)` serves every `folder/datasets/<owner>/<name>/...` and `folder/models/<owner>/<name>/...` with the few routes of
the hub's HTTP API that reading needs: a repository's record, its file tree, and its files. Every revision is the newest one.
Writing needs three more: make a repository, say how files are to be sent (always inside the commit), and commit.

A file `.private` in a repository's folder marks a private one.
A file `.token` in the served folder holds the token that every write must bring; without one anybody may write.

The libraries read the hub's address when they are imported, so whoever loads must be another process: `hub_process` starts
one, and `Hub.environment` is what any process (a notebook's kernel, say) needs.
"""

import base64
import hashlib
import json
import multiprocessing
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from unittest import mock
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

_REPO = r"(?P<owner>[^/]+)/(?P<name>[^/]+)"
_RECORD = re.compile(rf"/api/(?P<kind>datasets|models)/{_REPO}(?:/revision/[^/]+)?")
_TREE = re.compile(rf"/api/(?P<kind>datasets|models)/{_REPO}/tree/[^/]+(?:/(?P<path>.+))?")
_PATHS = re.compile(rf"/api/(?P<kind>datasets|models)/{_REPO}/paths-info/[^/]+")
_ACCESS = re.compile(rf"/api/(?P<kind>datasets|models)/{_REPO}/auth-check(?:/write)?")
_UPLOAD = re.compile(rf"/api/(?P<kind>datasets|models)/{_REPO}/(?P<step>preupload|commit)/[^/]+")
_FILE = re.compile(rf"/(?:(?P<kind>datasets)/)?{_REPO}/resolve/[^/]+/(?P<path>.+)")
_MARK = ".private"  # for this hub alone: not among a repository's files


class Hub:
    """Serves a folder until the `with` block ends. `url` is its address."""

    def __init__(self, folder: Path):
        handler = type("Handler", (_Handler,), {"folder": folder})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = handler.url = f"http://127.0.0.1:{self._server.server_port}"

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
    folder: Path  # this and the address are set by Hub
    url: str
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802  the name that http.server calls
        url = urlsplit(self.path)
        route = unquote(url.path)
        if found := _RECORD.fullmatch(route):
            self._in_repo(found, lambda repo: self._json(_record(repo, f"{found['owner']}/{found['name']}")))
        elif found := _TREE.fullmatch(route):
            recursive = parse_qs(url.query).get("recursive", ["false"])[0].lower() == "true"
            self._in_repo(found, lambda repo: self._tree(repo, found["path"] or "", recursive))
        elif found := _ACCESS.fullmatch(route):
            self._in_repo(found, lambda _: self._json({}))
        elif found := _FILE.fullmatch(route):
            self._in_repo(found, lambda repo: self._file(repo, found["path"]))
        else:
            self._error("EntryNotFound", f"This hub has no route {route}.")

    do_HEAD = do_GET

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        route = unquote(urlsplit(self.path).path)
        token = self.folder / ".token"
        if token.is_file() and self.headers.get("Authorization") != f"Bearer {token.read_text()}":
            self._error("", "Invalid username or password.", status=401)
        elif found := _PATHS.fullmatch(route):
            paths = parse_qs(body).get("paths", [])
            self._in_repo(found, lambda repo: self._json([_entry(repo, repo / p) for p in paths if (repo / p).exists()]))
        elif route == "/api/repos/create":
            self._create(json.loads(body))
        elif route == "/api/validate-yaml":
            self._validate(json.loads(body)["content"])
        elif found := _UPLOAD.fullmatch(route):
            self._in_repo(found, lambda repo: getattr(self, f"_{found['step']}")(repo, body))
        else:
            self._error("EntryNotFound", f"This hub has no route {self.path}.")

    def _create(self, wanted: dict) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        repo = self.folder / f"{wanted.get('type', 'model')}s" / name
        if repo.is_dir():
            self._error("", "You already created this repository", status=409, url=f"{self.url}/{name}")
        else:
            repo.mkdir(parents=True)
            if wanted.get("visibility") == "private":
                (repo / _MARK).touch()
            self._json({"url": f"{self.url}/{name}", "name": name})

    def _validate(self, card: str) -> None:
        """The front matter of a README, which the client sends here before it uploads one."""
        try:
            yaml.safe_load(card.split("---\n", 2)[1])
            self._json({"errors": [], "warnings": []})
        except yaml.YAMLError as error:
            message = f"The metadata is no YAML: {error}"
            body = json.dumps({"errors": [{"message": message}], "warnings": []}).encode()
            self._send(400, body, "application/json", {})

    def _preupload(self, _: Path, body: str) -> None:
        files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
        self._json({"files": files})

    def _commit(self, repo: Path, body: str) -> None:
        _, *changes = map(json.loads, body.splitlines())
        for change in changes:
            path = repo / change["value"]["path"]
            if change["key"] == "file":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(base64.b64decode(change["value"]["content"]))
            else:
                {"deletedFile": Path.unlink, "deletedFolder": shutil.rmtree}[change["key"]](path)
        url = f"{self.url}/{repo.parent.name}/{repo.name}/commit/{_commit(repo)}"
        self._json({"commitUrl": url, "commitOid": _commit(repo)})

    def _in_repo(self, found: re.Match, answer) -> None:
        repo = self.folder / (found["kind"] or "models") / found["owner"] / found["name"]
        if not repo.is_dir():
            self._error("RepoNotFound", "Repository not found")
        else:
            answer(repo)

    def _tree(self, repo: Path, path: str, recursive: bool) -> None:
        folder = repo / path
        if folder.is_dir():
            found = sorted(folder.rglob("*") if recursive else folder.iterdir())
            self._json([_entry(repo, entry) for entry in found if entry.name != _MARK])
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

    def _error(self, code: str, message: str, repo: Path | None = None, status: int = 404, **details: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message} | ({"X-Repo-Commit": _commit(repo)} if repo else {})
        self._send(status, json.dumps({"error": message} | details).encode(), "application/json", headers)

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
    return sorted(path for path in repo.rglob("*") if path.is_file() and path.name != _MARK)


def _commit(repo: Path) -> str:
    """A commit id that changes with the files, as the libraries' caches expect."""
    stamp = "\n".join(f"{path.relative_to(repo)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in _files(repo))
    return hashlib.sha1(stamp.encode()).hexdigest()


def _record(repo: Path, name: str) -> dict:
    siblings = [{"rfilename": str(path.relative_to(repo))} for path in _files(repo)]
    marks = {"private": (repo / _MARK).exists(), "gated": False}
    return {"id": name, "sha": _commit(repo), **marks, "tags": [], "siblings": siblings}


def _entry(repo: Path, path: Path) -> dict:
    where = str(path.relative_to(repo))
    if path.is_dir():
        return {"type": "directory", "path": where, "oid": hashlib.sha1(where.encode()).hexdigest(), "size": 0}
    return {"type": "file", "path": where, "oid": _hash(path)[:40], "size": path.stat().st_size}
