"""What a question asks about, so that a change to its picture leaves exactly that alone.

| aspect | asked about by | spoilt by |
|---|---|---|
| colour | colour words, "what color", "dark", "bright", "ripe" | hue, saturation |
| side | left, right, facing, direction, hand, clock | mirroring, cropping, perspective |
| text | say, sign, letter, word, name, number on, brand, time | mirroring, cropping, blur |
| count | how many, number of, count, any, alone, several | cropping |

The rules err on the side of protecting too much: a picture that changes less is a weaker sample, a
picture whose answer has changed is a wrong one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from builders.images.protocol import Aspect

_COLOURS = (
    r"red|blue|green|yellow|orange|purple|violet|brown|black|white|gr[ae]y|pink|beige|silver|gold|"
    r"golden|tan|turquoise|maroon|cyan|magenta|teal|navy|cream|blond|blonde"
)

RULES: Mapping[Aspect, re.Pattern[str]] = MappingProxyType(
    {
        "colour": re.compile(
            rf"\b(colou?r\w*|{_COLOURS}|hue|shade|tint|dark\w*|light\w*|bright\w*|pale|ripe|"
            r"rust\w*|sunset|sunrise|blood|breed|race|flag|paint\w*|dyed|stain\w*)\b"
        ),
        "side": re.compile(
            r"\b(left\w*|right\w*|side\w*|facing|face|faces|direction\w*|which way|toward\w*|"
            r"hand|hands|handed|clockwise|clock|clocks|watch|o'clock|position\w*|next to|beside|"
            r"behind|front|corner|edge|east|west|north|south|turn\w*|point\w*|where|"
            r"country|lane|driving)\b"
        ),
        "text": re.compile(
            r"\b(say|says|said|sign\w*|letter\w*|word\w*|written|writing|read|reads|text|name\w*|"
            r"brand\w*|logo\w*|label\w*|compan\w*|airline\w*|compan(y|ies)|team\w*|jersey\w*|"
            r"number|numbers|numeral\w*|digit\w*|time|clock|clocks|year|date|price|speed limit|"
            r"title|spell\w*|initial\w*|language|route|street|station|website|slogan)\b"
        ),
        "count": re.compile(
            r"\b(how many|how much|number of|count\w*|amount|quantity|any|alone|only|both|several|"
            r"all|every\w*|single|pair|couple|is there|are there|more|less|fewer|most|total|"
            r"zero|one|two|three|four|five|six|seven|eight|nine|ten|\d+)\b"
        ),
    }
)
"""Word rules by aspect, on the lowered text of a question and its answer."""


def aspects_of(text: str) -> frozenset[Aspect]:
    """The aspects that a question asks about.

    Args:
        text: The question, with its answer where that is known: "Is the car red?" and "What is
            on the wall?" answered by "a clock" both protect something.
    """
    lowered = text.casefold()
    return frozenset(aspect for aspect, rule in RULES.items() if rule.search(lowered))
