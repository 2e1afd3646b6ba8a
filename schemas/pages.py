"""What HTML pages share: templates, text from data made harmless, and one look.

A page is a single file that asks nothing of a network. Its policy admits no script and no style but
those that come with the package, so that nothing in the data can act.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Control characters, directional controls and what is no character: spelled out, not obeyed."""

_MARKUP = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def environment(package: str) -> jinja2.Environment:
    """Templates of a package, with text from data escaped and its invisible controls spelled out.

    Args:
        package: The package whose folder `templates` holds them.
    """
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: asset(name, package)),
        autoescape=True,
        finalize=visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str, package: str = "schemas") -> str:
    """The text of a package's template, script or style; what all pages share is in `schemas`."""
    return resources.files(package).joinpath("templates", name).read_text(encoding="utf-8")


def visible(value: Any) -> Any:
    """Text with invisible controls spelled out, so that no reader is misled by them."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return INVISIBLE.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", value)
    return value


def json_for_page(value: Any) -> Markup:
    """A value as JSON that may stand inside a script element: it holds no markup.

    Raises:
        ValueError: If it holds a number that is not finite, which JSON does not have.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_MARKUP))  # noqa: S704


def policy_hash(text: str) -> str:
    """The content security policy's word for exactly this inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Nested settings as lines of a table: their path, and their value as text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from flatten(f"{name}[{index}]", inner)
    elif value is not None:
        yield name, str(value)
