"""A Hugging Face Hub on loopback, in memory, for the real client to talk to.

It speaks the part of the Hub's HTTP API that publishing and loading data sets and models need:
creation, info, refs, branches and trees of repositories, validation of card headers, upload modes,
LFS uploads in one or many parts, commits and downloads. It is a reading of the protocol, so passing
against it does not prove that the Hub accepts an upload; Xet storage is left out, so clients need
`HF_HUB_DISABLE_XET=1`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.stubs.hub_card import header_problems

WRITE_TOKEN = "hf_stub_write_5e8f1c"
READ_TOKEN = "hf_stub_read_90ab42"
USER = "ada"


@dataclass(frozen=True)
class File:
    """A file of a commit: LFS files are known by their SHA-256, others by their git blob id."""

    content: bytes
    lfs: bool

    @property
    def blob_id(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """What the client compares with its local file to leave unchanged files out."""
        return self.sha256 if self.lfs else self.blob_id


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    summary: str
    files: dict[str, File]


@dataclass
class Repo:
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, summary: str, files: dict[str, File]) -> Commit:
        parent = self.branches.get(branch)
        listing = [parent, summary, sorted((path, file.oid) for path, file in files.items())]
        seed = json.dumps([len(self.commits), branch, *listing])
        commit = Commit(hashlib.sha1(seed.encode()).hexdigest(), parent, summary, files)
        self.commits[commit.oid] = commit
        self.branches[branch] = commit.oid
        return commit

    def history(self, branch: str = "main") -> list[Commit]:
        """The branch's commits, newest first."""
        found: list[Commit] = []
        oid = self.branches.get(branch)
        while oid is not None:
            found.append(self.commits[oid])
            oid = found[-1].parent
        return found


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class RefusalError(Exception):
    """An error response, as the Hub words it."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.response = answer({"error": message}, status, headers)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    typed = {"Content-Type": "application/json"} | (headers or {})
    return Response(status, json.dumps(value).encode(), typed)


class Hub:
    """The server; a context manager that listens while it is open.

    Args:
        multipart_above: LFS files with more bytes than this are uploaded in parts of that size.
        tree_page: Entries on one page of a tree listing.
    """

    def __init__(self, multipart_above: int = 1 << 30, tree_page: int = 2) -> None:
        self.multipart_above = multipart_above
        self.tree_page = tree_page
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.log: list[Request] = []
        self.before_commit: Callable[[Repo], object] | None = None
        """Called once before the next commit, for example to push one from somebody else."""
        self._parts: dict[tuple[str, int], bytes] = {}
        self._faults: list[tuple[str, Response]] = []
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, pattern: str, *statuses: int, body: bytes = b"<html>no</html>") -> None:
        """Answer the next requests whose `METHOD path` matches with these statuses, in turn."""
        self._faults += [(pattern, Response(status, body)) for status in statuses]

    def heal(self) -> None:
        """Forget the faults that no request met."""
        self._faults.clear()
        self.before_commit = None

    def requests(self, pattern: str) -> list[Request]:
        """The logged requests whose `METHOD path` matches."""
        return [r for r in self.log if re.search(pattern, f"{r.method} {r.path}")]

    def handle(self, request: Request) -> Response:
        with self._lock:
            self.log.append(request)
            line = f"{request.method} {request.path}"
            for fault in self._faults:
                if re.search(fault[0], line):
                    self._faults.remove(fault)
                    return fault[1]
            method = "GET" if request.method == "HEAD" else request.method
            try:
                for verb, pattern, route in self._ROUTES:
                    if verb == method and (match := re.fullmatch(pattern, request.path)):
                        return route(self, request, *map(unquote, match.groups()))
                raise RefusalError(404, f"no such route: {line}")
            except RefusalError as refusal:
                return refusal.response

    # Access ---------------------------------------------------------------------------------

    def _token(self, request: Request) -> str | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or None
        if token not in (None, WRITE_TOKEN, READ_TOKEN):
            raise RefusalError(401, "Invalid credentials in Authorization header")
        return token

    def _writer(self, request: Request) -> None:
        if (token := self._token(request)) is None:
            raise RefusalError(401, "Invalid username or password.")
        if token != WRITE_TOKEN:
            raise RefusalError(403, "You don't have the rights to write to this namespace")

    def _repo(self, request: Request, repo_id: str) -> Repo:
        token = self._token(request)
        repo = self.repos.get(repo_id)
        if repo is None or (repo.private and token is None):
            status = 404 if token else 401
            raise RefusalError(status, "Repository not found", "RepoNotFound")
        return repo

    def _commit_at(self, repo: Repo, revision: str) -> Commit:
        oid = repo.branches.get(revision, revision)
        if oid not in repo.commits:
            raise RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return repo.commits[oid]

    # Accounts and repositories --------------------------------------------------------------

    def _whoami(self, request: Request) -> Response:
        if self._token(request) is None:
            raise RefusalError(401, "Invalid username or password.")
        return answer({"type": "user", "name": USER, "orgs": []})

    def _create(self, request: Request) -> Response:
        self._writer(request)
        asked = request.json
        repo_id = f"{asked.get('organization') or USER}/{asked['name']}"
        folder = "datasets/" if asked.get("type") == "dataset" else ""
        url = {"url": f"{self.url}/{folder}{repo_id}"}
        if repo_id in self.repos:
            return answer({"error": "You already created this dataset repo", **url}, 409)
        self.repos[repo_id] = Repo(private=asked.get("visibility") == "private")
        attributes = File(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n", lfs=False)
        self.repos[repo_id].commit("main", "initial commit", {".gitattributes": attributes})
        return answer(url)

    def _info(self, request: Request, repo_id: str, revision: str | None = None) -> Response:
        repo = self._repo(request, repo_id)
        commit = self._commit_at(repo, revision or "main")
        siblings = [{"rfilename": path} for path in commit.files]
        known = {"id": repo_id, "private": repo.private, "sha": commit.oid, "siblings": siblings}
        return answer({**known, "tags": [], "downloads": 0, "likes": 0})

    def _refs(self, request: Request, repo_id: str) -> Response:
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
            for name, oid in self._repo(request, repo_id).branches.items()
        ]
        return answer({"branches": branches, "converts": [], "tags": []})

    def _branch(self, request: Request, repo_id: str, branch: str) -> Response:
        self._writer(request)
        repo = self._repo(request, repo_id)
        if branch in repo.branches:
            raise RefusalError(409, f"Reference refs/heads/{branch} already exists")
        repo.branches[branch] = self._commit_at(repo, request.json.get("startingPoint", "main")).oid
        return answer({})

    def _tree(
        self, request: Request, repo_id: str, revision: str, folder: str | None = None
    ) -> Response:
        files = self._commit_at(self._repo(request, repo_id), revision).files
        prefix = f"{folder}/" if folder else ""
        inside = {path: file for path, file in files.items() if path.startswith(prefix)}
        if folder and not inside:
            raise RefusalError(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        entries: dict[str, dict[str, Any]] = {}
        for path, file in sorted(inside.items()):
            top, _, below = path.removeprefix(prefix).partition("/")
            if below:
                entries[prefix + top] = {"type": "directory", "path": prefix + top, "oid": "0" * 40}
            if not below or request.query.get("recursive", "").lower() == "true":
                size = len(file.content)
                entry = {"type": "file", "path": path, "oid": file.blob_id, "size": size}
                lfs = {"oid": file.sha256, "size": size, "pointerSize": 134}
                entries[path] = entry | ({"lfs": lfs} if file.lfs else {})
        start = int(request.query.get("cursor", 0))
        end = start + self.tree_page
        headers = {}
        if end < len(entries):
            query = "".join(f"&{k}={v}" for k, v in request.query.items() if k != "cursor")
            headers["Link"] = f'<{self.url}{request.path}?cursor={end}{query}>; rel="next"'
        return answer(list(entries.values())[start:end], headers=headers)

    # Uploads --------------------------------------------------------------------------------

    def _validate_yaml(self, request: Request) -> Response:
        problems = header_problems(request.json["content"])
        errors = [{"message": problem} for problem in problems]
        return answer({"errors": errors, "warnings": []}, 400 if errors else 200)

    def _preupload(self, request: Request, repo_id: str, revision: str) -> Response:
        self._writer(request)
        present = self._commit_at(self._repo(request, repo_id), revision).files
        modes = [
            {
                "path": path,
                "uploadMode": "lfs" if path.endswith((".parquet", ".safetensors")) else "regular",
                "shouldIgnore": False,
                "oid": present[path].oid if path in present else None,
            }
            for path in (file["path"] for file in request.json["files"])
        ]
        return answer({"files": modes})

    def _lfs_batch(self, request: Request, repo_id: str) -> Response:
        self._writer(request)
        self._repo(request, repo_id)
        objects = []
        for asked in request.json["objects"]:
            oid, size = asked["oid"], asked["size"]
            if oid in self.objects:
                objects.append({"oid": oid, "size": size})
                continue
            upload: dict[str, Any] = {"href": f"{self.url}/lfs/{oid}"}
            if size > self.multipart_above:
                parts = -(-size // self.multipart_above)
                hrefs = {str(n): f"{self.url}/lfs/{oid}/{n}" for n in range(1, parts + 1)}
                upload["header"] = {"chunk_size": str(self.multipart_above), **hrefs}
            objects.append({"oid": oid, "size": size, "actions": {"upload": upload}})
        return answer({"objects": objects})

    def _lfs_put(self, request: Request, oid: str) -> Response:
        return self._store(oid, request.body)

    def _lfs_part(self, request: Request, oid: str, part: str) -> Response:
        self._parts[oid, int(part)] = request.body
        return Response(200, headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})

    def _lfs_complete(self, request: Request, oid: str) -> Response:
        content = b""
        for part in request.json["parts"]:
            piece = self._parts.pop((oid, part["partNumber"]))
            if part["etag"].strip('"') != hashlib.md5(piece).hexdigest():
                raise RefusalError(400, f"part {part['partNumber']} has another ETag")
            content += piece
        return self._store(oid, content)

    def _store(self, oid: str, content: bytes) -> Response:
        if hashlib.sha256(content).hexdigest() != oid:
            raise RefusalError(400, "the content has another SHA-256")
        self.objects[oid] = content
        return answer({})

    def _commit(self, request: Request, repo_id: str, branch: str) -> Response:
        self._writer(request)
        repo = self._repo(request, repo_id)
        if self.before_commit is not None:
            interfere, self.before_commit = self.before_commit, None
            interfere(repo)
        if branch not in repo.branches:
            raise RefusalError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        head = self._commit_at(repo, branch)
        header, *operations = [json.loads(line) for line in request.body.splitlines()]
        if header["value"].get("parentCommit", head.oid) != head.oid:
            raise RefusalError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(head.files)
        for operation in operations:
            value = operation["value"]
            path = value["path"]
            match operation["key"]:
                case "file":
                    files[path] = File(base64.b64decode(value["content"]), lfs=False)
                case "lfsFile" if value["oid"] in self.objects:
                    files[path] = File(self.objects[value["oid"]], lfs=True)
                case "deletedFile" if path in files:
                    del files[path]
                case "deletedFile":
                    raise RefusalError(404, "A file with this name doesn't exist", "EntryNotFound")
                case other:
                    raise RefusalError(400, f"cannot do {other} with {path}")
        commit = repo.commit(branch, header["value"]["summary"], files)
        folder = "datasets/" if request.path.startswith("/api/datasets/") else ""
        url = f"{self.url}/{folder}{repo_id}/commit/{commit.oid}"
        return answer({"commitUrl": url, "commitOid": commit.oid, "success": True})

    # Downloads ------------------------------------------------------------------------------

    def _resolve(self, request: Request, repo_id: str, revision: str, path: str) -> Response:
        commit = self._commit_at(self._repo(request, repo_id), revision)
        if path not in commit.files:
            raise RefusalError(404, "Entry not found", "EntryNotFound")
        file = commit.files[path]
        size = len(file.content)
        headers = {"ETag": f'"{file.oid}"', "X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if file.lfs:
            headers |= {"X-Linked-Size": str(size), "X-Linked-ETag": f'"{file.oid}"'}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if asked is None:
            return Response(200, file.content, headers)
        start, end = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
        if start > end:
            return Response(416, headers={"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        return Response(206, file.content[start : end + 1], headers)

    _REPO = r"/api/(?:datasets|models)/([\w.-]+/[\w.-]+)"
    _ROUTES: tuple[tuple[str, str, Callable[..., Response]], ...] = (
        ("GET", r"/api/whoami-v2", _whoami),
        ("POST", r"/api/repos/create", _create),
        ("POST", r"/api/validate-yaml", _validate_yaml),
        ("GET", _REPO, _info),
        ("GET", _REPO + r"/revision/([^/]+)", _info),
        ("GET", _REPO + r"/refs", _refs),
        ("POST", _REPO + r"/branch/([^/]+)", _branch),
        ("GET", _REPO + r"/tree/([^/]+)", _tree),
        ("GET", _REPO + r"/tree/([^/]+)/(.+)", _tree),
        ("POST", _REPO + r"/preupload/([^/]+)", _preupload),
        ("POST", _REPO + r"/commit/([^/]+)", _commit),
        ("POST", r"/(?:datasets/)?([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch", _lfs_batch),
        ("PUT", r"/lfs/(\w{64})", _lfs_put),
        ("PUT", r"/lfs/(\w{64})/(\d+)", _lfs_part),
        ("POST", r"/lfs/(\w{64})", _lfs_complete),
        ("GET", r"/(?:datasets/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", _resolve),
    )


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two would wait for a delayed ACK

        def _respond(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self._body()
            response = hub.handle(Request(self.command, url.path, query, headers, body))
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        do_GET = do_HEAD = do_POST = do_PUT = _respond  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the tests' output clean; `Hub.log` has the requests."""

    return Handler
