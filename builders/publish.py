"""Publishing: one commit that makes a repository on the Hugging Face Hub equal a data set."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import InputError
from schemas.hub import Published, commit_files
from schemas.layout import Layout, read_json, sha256_of
from schemas.manifest import Manifest


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
    return commit_files(
        repo_id,
        _checked_files(root, manifest),
        repo_type="dataset",
        owned=("data", (".parquet",)),
        private=private,
        revision=revision,
        token=token,
        dry_run=dry_run,
        message=message or f"{manifest.name}: {manifest.counts.records:,} records",
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
