"""Publishing: one commit that makes a repository on the Hugging Face Hub equal a data set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import InputError
from schemas.layout import Layout, read_json, sha256_of
from schemas.manifest import Manifest

if TYPE_CHECKING:
    from huggingface_hub import HfApi


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
        files: The data set's files, shards first.
        deleted: Stale shards that the commit removed; empty for a dry run, which asks nobody.
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


def publish(
    root: Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    dry_run: bool = False,
    message: str | None = None,
) -> Published:
    """Publish a finished, validated data set in one commit.

    The commit adds the shards, card, manifest, validation report and rejects, and removes shards
    in the repository's `data/` that are not of this data set. The repository and the branch are
    created if absent. The endpoint is the one of `huggingface_hub` (`HF_ENDPOINT`).

    Args:
        root: The data set's folder.
        repo_id: The dataset repository, as `ORG/NAME`.
        private: Create the repository as private, and refuse one that is public.
        revision: The branch to commit to, or None for the default one.
        token: An access token with write permission, or None for the one of the environment or
            of `hf auth login`.
        dry_run: Check the folder and list its files; nothing is sent.
        message: The commit message, or None for one that names the data set.

    Raises:
        InputError: If the folder holds no finished data set that passed validation, has changed
            since, or the Hub did not take it.
    """
    manifest = Manifest.read(root)
    paths = _checked_files(root, manifest)
    _check_repo_id(repo_id)
    files = tuple(PublishedFile(name, path.stat().st_size) for name, path in paths.items())
    if dry_run:
        return Published(repo_id, revision, files)
    title = message or f"{manifest.name}: {manifest.counts.records:,} records"
    try:
        head, commit, deleted = _commit(repo_id, paths, private, revision, token, title)
    except InputError:
        raise
    except Exception as error:
        # The client raises errors of its own, of httpx, of Xet and, for odd answers, of JSON.
        raise _explained(error, repo_id, revision, token) from None
    return Published(
        repo_id, revision, files, deleted, commit[0], commit[1], changed=commit[1] != head
    )


def _checked_files(root: Path, manifest: Manifest) -> dict[str, Path]:
    """The data set's files by their path in the repository.

    Raises:
        InputError: If one is missing or is not the one that was validated.
    """
    layout = Layout(root)
    others = {p.name: p for p in (layout.card, layout.manifest, layout.validation, layout.rejects)}
    for path in others.values():
        if not path.is_file():
            raise InputError("is missing, so the data set is not whole: build it again", file=path)

    report = read_json(layout.validation)
    if not isinstance(report, dict) or report.get("ok") is not True:
        raise InputError(
            "does not say that the data set is valid: only a valid one is published",
            file=layout.validation,
        )
    if report.get("records") != manifest.counts.records:
        raise InputError(
            f"is about {report.get('records')} records, but the manifest counts"
            f" {manifest.counts.records}: validate again",
            file=layout.validation,
        )

    shards = {f"data/{path.name}": path for path in layout.shards()}
    digests = {entry.path: entry.sha256 for entry in manifest.shards}
    for name in sorted(digests.keys() ^ shards.keys()):
        problem = "is missing" if name in digests else "is not in the manifest"
        raise InputError(f"{problem}: build the data set again", file=root / name)
    for name, path in (shards | others).items():
        expected = digests.get(name) or manifest.files.get(name)
        if expected is not None and sha256_of(path) != expected:
            raise InputError("has changed since it was validated: build it again", file=path)
    return {name: shards[name] for name in digests} | others


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


def _commit(
    repo_id: str,
    paths: dict[str, Path],
    private: bool,
    revision: str | None,
    token: str | None,
    message: str,
) -> tuple[str, tuple[str, str], tuple[str, ...]]:
    """Head before the commit, the commit's (url, oid), and the deleted shards."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi(token=token)
    head = _head(api, repo_id, private, revision)
    stale = tuple(name for name in _shards_at(api, repo_id, head) if name not in paths)
    commit = api.create_commit(
        repo_id,
        [
            *(CommitOperationAdd(name, path) for name, path in paths.items()),
            *(CommitOperationDelete(name, is_folder=False) for name in stale),
        ],
        commit_message=message,
        repo_type="dataset",
        revision=revision,
        # The stale shards were read at `head`: a push in between makes the Hub answer 412.
        parent_commit=head,
    )
    return head, (str(commit.commit_url), commit.oid), stale


def _head(api: HfApi, repo_id: str, private: bool, revision: str | None) -> str:
    """The commit that the branch points to; repository and branch are created if absent."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = api.dataset_info(repo_id)
    except RepositoryNotFoundError:
        # None leaves the choice to the organisation, whose default may be private.
        api.create_repo(
            repo_id, repo_type="dataset", private=True if private else None, exist_ok=True
        )
        info = api.dataset_info(repo_id)
    if private and not info.private:
        raise InputError(
            f"{repo_id} is there already and is public: make it private in its settings, or"
            " publish without --private"
        )
    if revision is not None:
        try:
            info = api.dataset_info(repo_id, revision=revision)
        except RevisionNotFoundError:
            api.create_branch(repo_id, branch=revision, repo_type="dataset", exist_ok=True)
            info = api.dataset_info(repo_id, revision=revision)
    assert info.sha is not None  # the Hub always sends it
    return info.sha


def _shards_at(api: HfApi, repo_id: str, commit: str) -> list[str]:
    from huggingface_hub.errors import EntryNotFoundError

    try:
        tree = api.list_repo_tree(repo_id, "data", repo_type="dataset", revision=commit)
        return [entry.path for entry in tree if entry.path.endswith(".parquet")]
    except EntryNotFoundError:
        return []


def _explained(
    error: Exception, repo_id: str, revision: str | None, token: str | None
) -> InputError:
    """What went wrong between us and the Hub, in one sentence without the token."""
    from huggingface_hub import constants, get_token

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    where = f"{repo_id}@{revision}" if revision else repo_id
    problem = _refusal(chain) or _breakdown(chain, constants.ENDPOINT)
    for secret in (token, get_token()):
        if secret:
            problem = problem.replace(secret, "***")
    return InputError(f"{where} was not published: {problem}")


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
