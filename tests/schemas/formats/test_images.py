"""Paths in data cannot leave their folder; pictures are written once, under safe names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.errors import InputError
from schemas.formats import (
    FORMATS,
    DamagedImageError,
    ImageFolder,
    ImageWriter,
    KeepPaths,
    MissingImageError,
    UnsafePathError,
)
from schemas.formats import images as images_module
from schemas.images import EncodedImage, ImageError

from .conftest import MMEDIT_ROW, MakeImage, encode


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/a.jpg").write_bytes(encode(1))
    (tmp_path / "outside.jpg").write_bytes(encode(2))
    return folder


def test_a_picture_keeps_its_bytes_and_path(root: Path) -> None:
    assert ImageFolder(root).read("sub/a.jpg") == EncodedImage(encode(1), "sub/a.jpg")


@pytest.mark.parametrize(
    "path",
    [
        "../outside.jpg", "sub/../../outside.jpg", "sub/../sub/a.jpg", "/etc/passwd", "", ".",
        "C:\\a.jpg", "\\\\host\\a.jpg", "sub\\..\\..\\outside.jpg", "a\x00.jpg", "a\n.jpg",
    ],
)  # fmt: skip
def test_paths_that_climb_or_start_elsewhere_are_refused(root: Path, path: str) -> None:
    with pytest.raises(UnsafePathError):
        ImageFolder(root).read(path)


def test_links_may_not_lead_out(root: Path, tmp_path: Path) -> None:
    (root / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (root / "up").symlink_to(tmp_path)
    (root / "inner.jpg").symlink_to(root / "sub/a.jpg")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    folder = ImageFolder(root)
    for path in ("link.jpg", "up/outside.jpg"):
        with pytest.raises(UnsafePathError, match="leads out of its folder"):
            folder.read(path)
    with pytest.raises(UnsafePathError):
        folder.names("up")
    assert folder.read("inner.jpg").bytes == encode(1)
    with pytest.raises(ImageError):
        folder.read("loop.jpg")


def test_a_link_to_the_root_itself_is_fine(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert ImageFolder(tmp_path / "alias").read("sub/a.jpg").bytes == encode(1)


def test_mounts_bring_other_folders_in(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "coco"
    elsewhere.mkdir()
    (elsewhere / "b.jpg").write_bytes(encode(3))
    folder = ImageFolder(root, {"val2014": elsewhere})
    assert folder.read("val2014/b.jpg") == EncodedImage(encode(3), "val2014/b.jpg")
    (elsewhere / "out.jpg").symlink_to(root / "sub/a.jpg")
    with pytest.raises(UnsafePathError):
        folder.read("val2014/out.jpg")


def test_missing_and_unusable_files_differ(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ImageFolder(root)
    with pytest.raises(MissingImageError, match=r"no image 'sub/b\.jpg'"):
        folder.read("sub/b.jpg")
    with pytest.raises(MissingImageError):
        folder.read("x" * 5000)
    with pytest.raises(DamagedImageError, match="not a regular file"):
        folder.read("sub")
    os.mkfifo(root / "pipe.jpg")
    with pytest.raises(DamagedImageError, match="not a regular file"):
        folder.read("pipe.jpg")
    (root / "cut.jpg").write_bytes(encode(1)[:-80])
    with pytest.raises(DamagedImageError, match="cannot be decoded"):
        folder.read("cut.jpg")
    (root / "text.jpg").write_bytes(b"no picture")
    with pytest.raises(DamagedImageError, match="known format"):
        folder.read("text.jpg")
    monkeypatch.setattr(images_module, "MAX_BYTES", 10)
    with pytest.raises(DamagedImageError, match="more than 10 bytes"):
        folder.read("sub/a.jpg")


def test_names_are_sorted_and_leave_out_what_is_hidden(root: Path) -> None:
    for name in ("b.jpg", ".hidden"):
        (root / "sub" / name).write_bytes(encode(1))
    (root / "sub/folder").mkdir()
    assert ImageFolder(root).names("sub") == ["sub/a.jpg", "sub/b.jpg"]
    with pytest.raises(MissingImageError):
        ImageFolder(root).names("nowhere")


def test_a_row_says_which_field_leads_out(root: Path) -> None:
    row = {**MMEDIT_ROW, "image": "sub/a.jpg", "image_rephrase": "../outside.jpg"}
    with pytest.raises(InputError, match=r"field 'image_rephrase': .* climbs out"):
        FORMATS["mmedit"].read_row(row, ImageFolder(root))


def test_the_writer_keeps_safe_paths_and_writes_once(tmp_path: Path, make_image: MakeImage) -> None:
    writer = ImageWriter(tmp_path)
    image = make_image(5, "val2014/a.jpg")
    assert writer.put(image) == writer.put(image) == "val2014/a.jpg"
    assert (tmp_path / "val2014/a.jpg").read_bytes() == image.bytes
    assert len(writer) == 1


@pytest.mark.parametrize("path", [None, "../a.jpg", "/a.jpg", "a", "run.sh", ""])
def test_the_writer_names_other_pictures_by_content(
    tmp_path: Path, make_image: MakeImage, path: str | None
) -> None:
    root = tmp_path / "out"
    image = make_image(5, path, "PNG")
    name = ImageWriter(root).put(image)
    assert name.endswith(".png")
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [name]
    assert ImageWriter(tmp_path / "again").put(image) == name


def test_two_pictures_of_one_name_both_survive(tmp_path: Path, make_image: MakeImage) -> None:
    writer = ImageWriter(tmp_path)
    first, second = make_image(5, "a.jpg"), make_image(99, "a.jpg")
    below, other = make_image(130, "a.jpg/b.jpg"), make_image(160, "deep")
    names = [writer.put(image) for image in (first, second, below, other)]
    assert names[0] == "a.jpg"
    assert [(tmp_path / name).read_bytes() for name in names] == [
        image.bytes for image in (first, second, below, other)
    ]
    assert writer.put(second) == names[1]


def test_a_prescribed_path_is_kept_or_refused(tmp_path: Path, make_image: MakeImage) -> None:
    writer = ImageWriter(tmp_path / "out")
    assert writer.put(make_image(1), "locality/1/0.png") == "locality/1/0.png"
    with pytest.raises(ImageError, match="taken by another image"):
        writer.put(make_image(90), "locality/1/0.png")
    with pytest.raises(UnsafePathError):
        writer.put(make_image(1), "../a.png")


def test_the_writer_follows_no_link_out(tmp_path: Path, make_image: MakeImage) -> None:
    root, outside = tmp_path / "out", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "val2014").symlink_to(outside)
    with pytest.raises(UnsafePathError):
        ImageWriter(root).put(make_image(1, "val2014/a.jpg"))
    assert list(outside.iterdir()) == []


def test_the_writer_refuses_bytes_that_are_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="known format"):
        ImageWriter(tmp_path).put(EncodedImage(b"text"))


def test_keeping_paths_needs_a_path(make_image: MakeImage) -> None:
    assert KeepPaths().put(make_image(1, "a.jpg")) == "a.jpg"
    with pytest.raises(ImageError, match="has no path"):
        KeepPaths().put(make_image(1))
