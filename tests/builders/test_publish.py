"""Publishing to a Hub on loopback, with the real client."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from builders.publish import publish
from schemas import OKEDIT, InputError
from schemas.layout import Layout, read_json, write_json
from tests.datasets_on_disk import make_dataset, stripes_record
from tests.stubs.hub_client import Publisher, hub_environment, run_python
from tests.stubs.hub_server import READ_TOKEN, WRITE_TOKEN, File, Hub, Repo

EXTRAS = {"README.md", "manifest.json", "validation.json", "rejects.parquet"}
_names = (f"ada/set-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub) -> Hub:
    """The server with an empty log and no faults left from another test."""
    server.log.clear()
    server.heal()
    return server


@pytest.fixture(scope="module")
def send(server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    home = tmp_path_factory.mktemp("home")
    environment = hub_environment(server.url, home, WRITE_TOKEN)
    with Publisher(environment, home / "stderr.txt") as publisher:
        yield publisher


@pytest.fixture
def repo_id() -> str:
    return next(_names)


def published_shards(repo: Repo, branch: str = "main") -> list[str]:
    return [path for path in repo.history(branch)[0].files if path.startswith("data/")]


# What arrives --------------------------------------------------------------------------------


def test_one_commit_holds_the_whole_data_set(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    manifest = make_dataset(tmp_path)
    done = send(tmp_path, repo_id)

    repo = hub.repos[repo_id]
    commit, initial = repo.history()
    assert initial.parent is None
    assert done["oid"] == commit.oid
    assert done["changed"]
    assert done["url"] == f"{hub.url}/datasets/{repo_id}/commit/{commit.oid}"
    expected = {entry.path for entry in manifest.shards} | EXTRAS
    assert set(commit.files) == expected | {".gitattributes"}
    assert {f["path"]: f["bytes"] for f in done["files"]} == {
        path: (tmp_path / path).stat().st_size for path in expected
    }
    for path in expected:
        assert commit.files[path].content == (tmp_path / path).read_bytes()
    assert commit.summary == "Stripes: 5 records"
    assert not repo.private


def test_datasets_loads_the_same_records(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    make_dataset(tmp_path / "set")
    send(tmp_path / "set", repo_id)
    code = """
import sys
import pyarrow.parquet as pq
from datasets import Image, load_dataset

split = load_dataset(sys.argv[1], split="test")
assert split.features["requests"].feature["image"] == Image(), split.features
assert split[0]["requests"][0]["image"].size == (16, 16)
pq.write_table(split.with_format("arrow")[:], sys.argv[2])
"""
    environment = hub_environment(hub.url, tmp_path / "home")
    run_python(code, environment, repo_id, str(tmp_path / "loaded.parquet"))

    loaded = list(OKEDIT.records(pq.read_table(tmp_path / "loaded.parquet")))
    assert loaded == [stripes_record(number) for number in range(5)]


def test_fewer_shards_remove_the_stale_ones(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    # More stale shards than fit on one page of the tree listing.
    make_dataset(tmp_path / "old", records=5, shards=5)
    send(tmp_path / "old", repo_id)
    repo = hub.repos[repo_id]
    kept = {**repo.history()[0].files, "data/notes.txt": File(b"mine", lfs=False)}
    repo.commit("main", "a note", kept)

    make_dataset(tmp_path / "new", records=4, shards=1)
    done = send(tmp_path / "new", repo_id)
    assert sorted(done["deleted"]) == [f"data/test-0000{i}-of-00005.parquet" for i in range(5)]
    assert published_shards(repo) == ["data/notes.txt", "data/test-00000-of-00001.parquet"]
    assert len(repo.history()) == 4


def test_republishing_the_same_data_set_commits_nothing(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    make_dataset(tmp_path)
    first = send(tmp_path, repo_id)
    again = send(tmp_path, repo_id)
    assert not again["changed"]
    assert again["oid"] == first["oid"]
    assert len(hub.repos[repo_id].history()) == 2


def test_large_shards_arrive_in_parts(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "multipart_above", 1000)
    make_dataset(tmp_path, records=7, shards=1)
    send(tmp_path, repo_id)
    shard = "data/test-00000-of-00001.parquet"
    content = (tmp_path / shard).read_bytes()
    parts = -(-len(content) // 1000)
    assert len(hub.requests(r"PUT /lfs/\w+/\d+$")) >= parts > 1
    assert hub.repos[repo_id].history()[0].files[shard].content == content


def test_private_is_passed_on(hub: Hub, send: Publisher, repo_id: str, tmp_path: Path) -> None:
    make_dataset(tmp_path)
    send(tmp_path, repo_id, private=True)
    assert hub.repos[repo_id].private


def test_private_refuses_a_public_repository(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    make_dataset(tmp_path)
    send(tmp_path, repo_id)
    with pytest.raises(InputError, match="is public"):
        send(tmp_path, repo_id, private=True)


def test_a_branch_is_made_and_only_it_changes(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    make_dataset(tmp_path)
    done = send(tmp_path, repo_id, revision="v2", message="Second try")
    repo = hub.repos[repo_id]
    assert repo.branches["v2"] == done["oid"]
    assert repo.history("v2")[0].summary == "Second try"
    assert len(repo.history("main")) == 1
    assert send(tmp_path, repo_id, revision="v2")["changed"] is False


def test_a_dry_run_sends_nothing(hub: Hub, send: Publisher, repo_id: str, tmp_path: Path) -> None:
    make_dataset(tmp_path)
    done = send(tmp_path, repo_id, dry_run=True)
    assert hub.log == []
    assert {f["path"]: f["bytes"] for f in done["files"]} == {
        str(path.relative_to(tmp_path)): path.stat().st_size
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert done["oid"] is None
    assert done["url"] is None


# What is refused before anything is sent -----------------------------------------------------


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    Layout(tmp_path).manifest.unlink()
    with pytest.raises(InputError, match=r"no manifest\.json"):
        publish(tmp_path, "ada/stripes", dry_run=True)


@pytest.mark.parametrize("name", ["README.md", "validation.json", "rejects.parquet"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    make_dataset(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name}: is missing"):
        publish(tmp_path, "ada/stripes", dry_run=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ok": False}, "does not say that the data set is valid"),
        ({"ok": "yes"}, "does not say that the data set is valid"),
        ({"records": 4}, "about 4 records, but the manifest counts 5"),
    ],
)
def test_a_failed_validation_is_refused(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    make_dataset(tmp_path)
    path = Layout(tmp_path).validation
    write_json(path, read_json(path) | change)
    with pytest.raises(InputError, match=reason):
        publish(tmp_path, "ada/stripes", dry_run=True)


@pytest.mark.parametrize("name", ["data/test-00001-of-00002.parquet", "README.md"])
def test_a_file_changed_since_validation_is_refused(tmp_path: Path, name: str) -> None:
    make_dataset(tmp_path)
    with (tmp_path / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InputError, match=f"{name}: has changed since it was validated"):
        publish(tmp_path, "ada/stripes", dry_run=True)


def test_shards_must_be_those_of_the_manifest(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    shard = Layout(tmp_path).shard("test", 0, 2)
    extra = Layout(tmp_path).shard("train", 0, 1)
    extra.write_bytes(shard.read_bytes())
    with pytest.raises(InputError, match=r"train-00000-of-00001\.parquet: is not in the manifest"):
        publish(tmp_path, "ada/stripes", dry_run=True)
    extra.unlink()
    shard.unlink()
    with pytest.raises(InputError, match=r"test-00000-of-00002\.parquet: is missing"):
        publish(tmp_path, "ada/stripes", dry_run=True)


@pytest.mark.parametrize("repo_id", ["stripes", "ada/", "a/b/c", "ada/str ipes", "../stripes"])
def test_a_malformed_repository_id_is_refused(tmp_path: Path, repo_id: str) -> None:
    make_dataset(tmp_path)
    with pytest.raises(InputError, match="not a repository id of the form ORG/NAME"):
        publish(tmp_path, repo_id, dry_run=True)


# What the Hub refuses ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("hf_not_a_token", "the Hub does not know the token.*HTTP 401"),
        (READ_TOKEN, "the token may not write there.*HTTP 403"),
    ],
)
def test_a_wrong_token(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path, token: str, reason: str
) -> None:
    make_dataset(tmp_path)
    with pytest.raises(InputError, match=reason) as refusal:
        send(tmp_path, repo_id, token=token)
    assert token not in str(refusal.value)
    assert repo_id not in hub.repos


def test_a_concurrent_push_is_noticed(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    make_dataset(tmp_path)
    theirs = {"theirs.txt": File(b"x", lfs=False)}
    hub.before_commit = lambda repo: repo.commit("main", "theirs", theirs)
    with pytest.raises(InputError, match=r"somebody else pushed a commit.*HTTP 412"):
        send(tmp_path, repo_id)
    assert hub.repos[repo_id].history()[0].summary == "theirs"


def test_a_short_outage_is_waited_out(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    make_dataset(tmp_path)
    hub.fail(r"POST .*/preupload/", 503)
    assert send(tmp_path, repo_id)["changed"]
    assert len(hub.requests(r"POST .*/preupload/")) == 2


@pytest.mark.parametrize(
    ("route", "status", "reason"),
    [
        (r"GET /api/datasets/", 500, "out of order.*HTTP 500"),
        (r"POST /api/validate-yaml", 502, "does not answer like a Hub, or is out of order"),
        (r"PUT /lfs/", 403, "may not write there.*HTTP 403"),
        (r"POST .*/commit/", 500, "out of order.*HTTP 500"),
        (r"POST .*/commit/", 409, "another operation on it is in progress"),
        (r"POST .*/commit/", 429, "rate limit"),
    ],
)
def test_an_error_becomes_one_sentence_and_publishing_again_works(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path, route: str, status: int, reason: str
) -> None:
    # Content of its own, so that no shard is there already from another test.
    make_dataset(tmp_path, records=8 + int(repo_id.split("-")[1]), shards=1)
    hub.fail(route, status)
    with pytest.raises(InputError, match=reason) as refusal:
        send(tmp_path, repo_id)
    assert str(refusal.value).startswith(f"{repo_id} was not published: ")
    assert send(tmp_path, repo_id)["changed"]


def test_a_card_that_the_hub_rejects(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    make_dataset(tmp_path, card="---\nlicense: [none of yours]\n---\n# Stripes\n")
    with pytest.raises(InputError, match=r'not accept the card.*"license" cannot be'):
        send(tmp_path, repo_id)
    assert len(hub.repos[repo_id].history()) == 1


def test_a_server_that_is_down(tmp_path: Path) -> None:
    make_dataset(tmp_path / "set")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        environment = hub_environment(url, tmp_path / "home", WRITE_TOKEN)
        with (
            Publisher(environment, tmp_path / "stderr.txt") as send,
            pytest.raises(InputError, match=f"^ada/stripes was not published: {url} cannot be"),
        ):
            send(tmp_path / "set", "ada/stripes")


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        # With Xet on, as users of the real Hub have it, the client asks for a Xet token.
        ({"HF_HUB_DISABLE_XET": "0"}, "has no Xet storage; set HF_HUB_DISABLE_XET=1"),
    ],
)
def test_a_setting_in_the_way_is_named(
    hub: Hub, repo_id: str, tmp_path: Path, setting: dict[str, str], reason: str
) -> None:
    make_dataset(tmp_path / "set")
    environment = hub_environment(hub.url, tmp_path / "home", WRITE_TOKEN) | setting
    with (
        Publisher(environment, tmp_path / "stderr.txt") as send,
        pytest.raises(InputError, match=reason),
    ):
        send(tmp_path / "set", repo_id)


def test_a_server_that_echoes_the_token(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    make_dataset(tmp_path)
    hub.fail(r"GET /api/datasets/", 400, body=f"do not send {WRITE_TOKEN}".encode())
    with pytest.raises(InputError, match=r"HTTP 400: do not send \*\*\*"):
        send(tmp_path, repo_id)


def test_the_token_is_sent_but_never_shown(
    hub: Hub, send: Publisher, repo_id: str, tmp_path: Path
) -> None:
    make_dataset(tmp_path)
    done = send(tmp_path, repo_id, token=WRITE_TOKEN)
    assert hub.requests("POST .*/commit/")[0].headers["authorization"] == f"Bearer {WRITE_TOKEN}"
    # The process has written its warnings and progress of all tests above.
    assert WRITE_TOKEN not in send.log.read_text() + str(done)
    assert not any(
        WRITE_TOKEN.encode() in file.content
        for file in hub.repos[repo_id].history()[0].files.values()
    )
