"""What an edit should reach: the one table from which every probe's axis and expectation follow.

A *recognition* edit changes what the picture shows ("this flag is Romania's"). A *knowledge* edit
changes what is true of the thing shown ("the capital of the country with this flag is Lomé").

Take another question about the same picture, say the currency. After the recognition edit the
picture shows another country, so its currency is the answer: the edit must carry over
(portability). After the knowledge edit the country is the same and so is its currency: nothing may
change (locality). A question that names the country and shows no picture is the mirror image: it
is out of reach for the recognition edit, and it is the same fact in other words for the knowledge
edit.
"""

from __future__ import annotations

import types
from collections.abc import Mapping

from schemas.records import Axis, Expectation, Scope

_Verdict = tuple[Axis, Expectation]

_RELIABLE: _Verdict = ("reliability", "target")
_GENERAL: _Verdict = ("generality", "target")
_LOCAL: _Verdict = ("locality", "unchanged")
_PORTABLE: _Verdict = ("portability", "target")

TRUTH_TABLE: Mapping[str, tuple[_Verdict, _Verdict]] = types.MappingProxyType(
    {
        # probe kind: (after a recognition edit, after a knowledge edit)
        "edit": (_RELIABLE, _RELIABLE),
        "rephrase": (_GENERAL, _GENERAL),
        "image_augmented": (_GENERAL, _GENERAL),
        "image_other_instance": (_GENERAL, _GENERAL),
        "image_rephrase": (_GENERAL, _GENERAL),
        "text_only": (_LOCAL, _GENERAL),
        "same_image": (_PORTABLE, _LOCAL),
        "negative": (_LOCAL, _LOCAL),
        "unrelated_image": (_LOCAL, _LOCAL),
        "text": (_LOCAL, _LOCAL),
        "one_hop": (_PORTABLE, _PORTABLE),
        "two_hop": (_PORTABLE, _PORTABLE),
    }
)


def verdict(kind: str, scope: Scope) -> _Verdict:
    """Axis and expectation of a probe of this kind after an edit of this scope."""
    recognition, knowledge = TRUTH_TABLE[kind]
    return recognition if scope == "recognition" else knowledge


def rows() -> list[tuple[str, str, str]]:
    """The table in words, for cards and documents: kind, recognition, knowledge."""
    return [
        (kind, f"{first[0]} ({first[1]})", f"{second[0]} ({second[1]})")
        for kind, (first, second) in TRUTH_TABLE.items()
    ]
