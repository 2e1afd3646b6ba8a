"""Tables in Markdown files, kept between the markers of the script that makes them."""

from __future__ import annotations

from pathlib import Path


def paste(path: Path, name: str, table: str) -> None:
    """Put a table between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.

    Args:
        path: The Markdown file.
        name: The name in its markers.
        table: What goes between them.

    Raises:
        SystemExit: If the file has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = path.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise SystemExit(f"{path} has no markers {begin} and {end}")
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    path.write_text(f"{head}{begin}\n{table}\n{end}{tail}", encoding="utf-8")
