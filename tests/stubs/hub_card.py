"""The checks of a dataset card's YAML header that the Hub makes before it accepts a commit."""

from __future__ import annotations

import re
from typing import Any

_KNOWN = {
    "license": re.compile(
        r"(apache-2\.0|mit|cc0-1\.0|cc-by-[34]\.0|cc-by-sa-[34]\.0|cc-by-nc(-sa)?-4\.0|odbl|odc-by"
        r"|pddl|gfdl|unknown|other)"
    ),
    "size_categories": re.compile(r"(n<1K|1K<n<10K|10K<n<100K|100K<n<1M|1M<n<10M|10M<n<100M)"),
    "task_categories": re.compile(r"((visual-)?question-answering|text-generation|other)"),
    "language": re.compile(r"[a-z]{2,3}"),
}
"""Accepted values by field: those of the Hub, as far as data sets here can need them."""


def header_of(text: str) -> dict[str, Any]:
    """The YAML header of a card.

    Raises:
        ValueError: If there is none, or it is no YAML mapping.
    """
    import yaml

    match = re.match(r"---\n(.*?\n)---\n", text, re.DOTALL)
    if match is None:
        raise ValueError("the card has no YAML header")
    try:
        header = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        raise ValueError(f"the header is not YAML: {error}") from None
    if not isinstance(header, dict):
        raise ValueError("the header is not a mapping")
    return header


def header_problems(text: str) -> list[str]:
    """What the Hub would object to in a card's header."""
    try:
        header = header_of(text)
    except ValueError as error:
        return [str(error)]
    problems = [
        f'"{key}" cannot be {value!r}'
        for key, known in _KNOWN.items()
        for value in _values(header, key)
        if not known.fullmatch(str(value))
    ]
    problems += [
        f'"{key}" must be a string, not {header[key]!r}'
        for key in ("pretty_name", "license_name", "license_link")
        if key in header and not isinstance(header[key], str)
    ]
    if header.get("license") == "other" and "license_name" not in header:
        problems.append('"license_name" is needed where "license" is "other"')
    if not all(isinstance(tag, str) for tag in _values(header, "tags")):
        problems.append('"tags" must be strings')
    for config in header.get("configs", []):
        files = config.get("data_files") if isinstance(config, dict) else None
        if not isinstance(files, list) or not all({"split", "path"} <= set(f) for f in files):
            problems.append('"configs" must list data_files with split and path')
    return problems


def _values(header: dict[str, Any], key: str) -> list[Any]:
    value = header.get(key, [])
    return value if isinstance(value, list) else [value]
