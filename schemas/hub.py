"""One commit on the Hugging Face Hub: what a repository holds changes as a whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from schemas.errors import InputError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RepoType = Literal["dataset", "model"]


@dataclass(frozen=True)
class PublishedFile:
    """A file of the commit: its path in the repository and its size in bytes."""

    path: str
    bytes: int


@dataclass(frozen=True)
class Published:
    """What a publication did, or would do.

    Attributes:
        repo_id: The repository, as `ORG/NAME`.
        revision: The branch, or None for the default one.
        files: What the commit holds, in order.
        deleted: Stale files that the commit removed; empty for a dry run, which asks nobody.
        url: The commit's page, or None for a dry run.
        oid: The commit's id, or None for a dry run.
        changed: Whether there was anything to commit; False for a dry run.
    """

    repo_id: str
    revision: str | None
    files: tuple[PublishedFile, ...]
    deleted: tuple[str, ...] = ()
    url: str | None = None
    oid: str | None = None
    changed: bool = False

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)


def commit_files(
    repo_id: str,
    files: Mapping[str, Path | bytes],
    *,
    repo_type: RepoType,
    owned: tuple[str | None, tuple[str, ...]],
    private: bool,
    revision: str | None,
    token: str | None,
    dry_run: bool,
    message: str,
) -> Published:
    """Put files into a repository in one commit, and take out those that they replace.

    The repository and the branch are created if absent. The endpoint is the one of
    `huggingface_hub` (`HF_ENDPOINT`).

    Args:
        repo_id: The repository, as `ORG/NAME`.
        files: Files or their content, by path in the repository.
        repo_type: What the repository holds.
        owned: A folder, None for the root, and endings: files there that have one of these and
            are not among `files` are stale, and removed.
        private: Create the repository as private, and refuse one that is public.
        revision: The branch to commit to, or None for the default one.
        token: An access token with write permission, or None for the one of the environment or
            of `hf auth login`.
        dry_run: List the files; nothing is sent.
        message: The commit's message.

    Raises:
        InputError: If the repository's id is none, or the Hub did not take the commit.
    """
    _check_repo_id(repo_id)
    listed = tuple(PublishedFile(name, _size(content)) for name, content in files.items())
    if dry_run:
        return Published(repo_id, revision, listed)
    try:
        repository = _Repository(repo_id, repo_type, private, revision, token)
        head, commit, deleted = repository.commit(files, owned, message)
    except InputError:
        raise
    except Exception as error:
        # The client raises errors of its own, of httpx, of Xet and, for odd answers, of JSON.
        raise explained(error, f"{_at(repo_id, revision)} was not published", token) from None
    return Published(
        repo_id, revision, listed, deleted, commit[0], commit[1], changed=commit[1] != head
    )


def download(repo_id: str, *, revision: str | None = None, token: str | None = None) -> Path:
    """The folder of a model repository, downloaded into the cache of `huggingface_hub`.

    Raises:
        InputError: If the Hub does not give it.
    """
    from huggingface_hub import snapshot_download

    _check_repo_id(repo_id)
    try:
        return Path(snapshot_download(repo_id, revision=revision, token=token))
    except Exception as error:
        raise explained(error, f"{_at(repo_id, revision)} was not downloaded", token) from None


def _at(repo_id: str, revision: str | None) -> str:
    return f"{repo_id}@{revision}" if revision else repo_id


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _check_repo_id(repo_id: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        pass
    else:
        if "/" in repo_id:
            return
    raise InputError(f"{repo_id!r} is not a repository id of the form ORG/NAME")


@dataclass(frozen=True)
class _Repository:
    """A repository to commit to; see `commit_files`."""

    id: str
    type: RepoType
    private: bool
    revision: str | None
    token: str | None

    def commit(
        self,
        files: Mapping[str, Path | bytes],
        owned: tuple[str | None, tuple[str, ...]],
        message: str,
    ) -> tuple[str, tuple[str, str], tuple[str, ...]]:
        """Head before the commit, the commit's (url, oid), and the deleted files."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        api = HfApi(token=self.token)
        head = self._head(api)
        stale = tuple(name for name in self._owned(api, head, *owned) if name not in files)
        commit = api.create_commit(
            self.id,
            [
                *(CommitOperationAdd(name, content) for name, content in files.items()),
                *(CommitOperationDelete(name, is_folder=False) for name in stale),
            ],
            commit_message=message,
            repo_type=self.type,
            revision=self.revision,
            # Stale files were read at `head`: a push in between makes the Hub answer 412.
            parent_commit=head,
        )
        return head, (str(commit.commit_url), commit.oid), stale

    def _head(self, api: HfApi) -> str:
        """The commit that the branch points to; repository and branch are created if absent."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        try:
            info = api.repo_info(self.id, repo_type=self.type)
        except RepositoryNotFoundError:
            # None leaves the choice to the organisation, whose default may be private.
            private = True if self.private else None
            api.create_repo(self.id, repo_type=self.type, private=private, exist_ok=True)
            info = api.repo_info(self.id, repo_type=self.type)
        if self.private and not info.private:
            raise InputError(
                f"{self.id} is there already and is public: make it private in its settings, or"
                " publish without --private"
            )
        if self.revision is not None:
            try:
                info = api.repo_info(self.id, repo_type=self.type, revision=self.revision)
            except RevisionNotFoundError:
                api.create_branch(self.id, branch=self.revision, repo_type=self.type, exist_ok=True)
                info = api.repo_info(self.id, repo_type=self.type, revision=self.revision)
        assert info.sha is not None  # the Hub always sends it
        return info.sha

    def _owned(
        self, api: HfApi, commit: str, folder: str | None, endings: tuple[str, ...]
    ) -> list[str]:
        from huggingface_hub.errors import EntryNotFoundError

        try:
            tree = api.list_repo_tree(self.id, folder, repo_type=self.type, revision=commit)
            return [entry.path for entry in tree if entry.path.endswith(endings)]
        except EntryNotFoundError:
            return []


def explained(error: Exception, what: str, token: str | None) -> InputError:
    """What went wrong between us and the Hub, in one sentence without the token.

    Args:
        error: What the client raised.
        what: What did not happen, such as "ada/set was not published".
        token: The token that was used, if one was given.
    """
    from huggingface_hub import constants, get_token

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    problem = _refusal(chain) or _breakdown(chain, constants.ENDPOINT)
    for secret in (token, get_token()):
        if secret:
            problem = problem.replace(secret, "***")
    return InputError(f"{what}: {problem}")


def _refusal(chain: list[BaseException]) -> str | None:
    """What an HTTP error of the Hub means, or None if there is none in the chain."""
    from huggingface_hub.errors import HfHubHTTPError

    refusal = next((e for e in chain if isinstance(e, HfHubHTTPError)), None)
    if refusal is None:
        return None
    status = refusal.response.status_code
    said = " ".join((refusal.server_message or "").split())[:200]
    words = {
        400: "the Hub does not accept the card or the request",
        401: "the Hub does not know the token; set HF_TOKEN or run `hf auth login`",
        403: "the token may not write there; it needs write permission for the repository",
        404: "the Hub does not find it, or the token may not see it",
        409: "another operation on it is in progress; publish again",
        412: "somebody else pushed a commit in the meantime; look at it, then publish again",
        413: "the Hub calls the upload too large",
        429: "the Hub's rate limit is reached; wait, then publish again",
    }
    default = (
        "the Hub is out of order; publish again, files that arrived are not sent twice"
        if status >= 500
        else "the Hub refused"
    )
    return f"{words.get(status, default)} (HTTP {status}{': ' + said if said else ''})"


def _breakdown(chain: list[BaseException], endpoint: str) -> str:
    """What an error other than an HTTP error of the Hub means."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    if any(isinstance(e, OfflineModeIsEnabled) for e in chain):
        return "HF_HUB_OFFLINE is set, so no request may be sent"
    if any(isinstance(e, json.JSONDecodeError) for e in chain):
        return f"{endpoint} does not answer like a Hub, or is out of order; publish again"
    # By name: the client's HTTP library is httpx or httpx2, depending on its version.
    if any(type(e).__name__ in {"ConnectError", "ConnectTimeout"} for e in chain):
        return f"{endpoint} cannot be reached"
    if any("Timeout" in type(e).__name__ for e in chain):
        return f"{endpoint} took too long to answer; publish again"
    said = " ".join(str(chain[0]).split())[:300]
    if "xet-write-token" in said:
        return f"{endpoint} has no Xet storage; set HF_HUB_DISABLE_XET=1"
    return said or type(chain[0]).__name__
