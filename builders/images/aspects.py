"""What a question asks about, so that a change to its picture leaves exactly that alone.

| aspect | asked about by | spoilt by |
|---|---|---|
| colour | colours, dark, bright, ripe, breed, weather | hue, saturation, strong light |
| side | left, right, facing, hand, clock, order, leaning | mirror, crop, perspective, turn |
| text | say, sign, name, brand, number, time, sharpness | mirror, crop, blur, perspective |
| count | how many, numbers, any, alone, is there, can you see | crop, blur, perspective |

The rules err on the side of protecting too much: a picture that changes less is a weaker sample, a
picture whose answer has changed is a wrong one. "What kind of phone is this?" may be answered by
its badge, so it protects writing. A question that no rule knows ("What is the man doing?") asks
for what every change keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from builders.images.protocol import Aspect


def _rule(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(alternatives)})\b")


_COLOURS = (
    r"(?:red|blu|green|yellow|orang|purpl|brown|black|whit|gr[ae]y|pink)(?:e|en|ed|ish|y)?s?",
    r"violet|indigo|lilac|lavender|magenta|maroon|burgundy|crimson|scarlet|coral|peach|salmon",
    r"turquoise|teal|aqua|cyan|navy|olive|khaki|lime|beige|tan|tanned|cream|ivory|amber|rainbow",
    r"silver|gold|golden|bronze|copper|brass|blonde?|brunette|redhead|neon|pastel|ginger|calico",
)

_BRANDED = (
    "airplane|plane|jet|bicycle|bike|motorcycle|motorbike|scooter|vehicle|car|truck|van|bus|train|"
    "phone|cellphone|computer|laptop|tablet|monitor|tv|television|camera|console|game|"
    "shoes?|sneakers?|shirt|soda|pop|drink|beverage|beer|wine|water|candy|cereal|snack|"
    "store|shop|restaurant|business|building|bank|hotel"
)

RULES: Mapping[Aspect, re.Pattern[str]] = MappingProxyType(
    {
        "colour": _rule(
            r"\w*colou?r\w*|hues?|shades?|tints?|monochrome|sepia|filter\w*|saturat\w*|faded",
            *_COLOURS,
            r"dark\w*|light\w*|bright\w*|dim\w*|pale\w*|glow\w*|lit|shadow\w*|contrast\w*|exposure",
            r"night\w*|day\w*|dusk|dawn|evening|morning|noon|afternoon|sunset|sunrise|time of",
            r"weather|sunn\w*|cloud\w*|overcast|fog\w*|haz[ey]|rain\w*|season|autumn|fall|spring",
            r"ripe\w*|unripe|raw|rare|burn\w*|cooked|toasted|fresh|rotten|healthy|rust\w*",
            r"blood\w*|flags?|paint\w*|dye\w*|stain\w*|dirty|clean|makeup|lipstick|polish",
            r"breeds?|races?|ethnic\w*|nationality|species|complexion",
            r"(?:kind|type|sort) of (?:bird|cat|dog|horse|cow|bear|fish|fruit|apple|flower|wine)s?",
        ),
        "side": _rule(
            r"left\w*|right\w*|sides?|sideways|facing|faces?|direction\w*|orient\w*|compass",
            r"which (?:way|one|arm|leg|foot|eye|ear|wrist|player|person|man|woman|guy|boy|girl)",
            r"toward\w*|heading|headed|going|coming|turn\w*|point\w*|rotat\w*|mirror\w*|reflect\w*",
            r"hands?|handed|arms?|wrists?|clockwise|counterclockwise|clocks?|watch|o'clock",
            r"position\w*|next to|beside|between|behind|front|corners?|edges?|middle|cent(?:er|re)",
            r"background|foreground|top|bottom|near\w*|close(?:r|st)|far\w*|distance|ahead|where",
            r"first|second|third|last|row|order|east\w*|west\w*|north\w*|south\w*",
            r"lean\w*|tilt\w*|slant\w*|slop\w*|steep\w*|straight|crooked|level|diagonal\w*|angle\w*",
            r"countr(?:y|ies)|lanes?|driving|drives?|steering",
        ),
        "text": _rule(
            r"says?|said|sign\w*|letter\w*|words?|wording|writ\w*|wrote|reads?|reading|text\w*",
            r"names?|named|called|nicknamed|spell\w*|initials?|titles?|headline|caption|message",
            r"slogan|phrase|quote|graffiti|symbol\w*|acronym|stands? for|language|website|address",
            r"brand\w*|logo\w*|label\w*|makes?|maker|model|manufactur\w*|produc\w*|sponsor\w*",
            r"advertis\w*|ads?|copyright\w*|watermark\w*|compan(?:y|ies)|airlines?|banners?|posters?",
            r"teams?|jerseys?|scores?|scoreboard|school|universit(?:y|ies)|sport(?:s)? event|movie",
            r"numbers?|numeral\w*|digits?|times?|clocks?|watch|o'clock|year|date|price|cost",
            r"speed|limit|route|destination|stop|street|avenue|road|exit|station|platform|plates?",
            r"cit(?:y|ies)|town|state|countr(?:y|ies)|where (?:is|was) (?:this|it|the)",
            r"book|newspaper|magazine|menu|map|screen|page|channel|emoticon|allowed|denomination",
            rf"(?:what|which) (?:kind|type|sort|style)s? of (?:{_BRANDED})s?",
            r"focus\w*|blur\w*|sharp\w*|resolution|clear\w*",
            r"\d{3,}|\d+[:.]\d+",
        ),
        "count": _rule(
            r"how (?:many|much|old|often|crowded|full)|numbers?|count\w*|amount|quantity|total",
            r"any|anyone|anybody|anything|none|nobody|no one|alone|only|single|lone|both|several",
            r"all|every\w*|each|half|entire|whole|complete|missing|other|others|another|else",
            r"pairs?|couple|few\w*|many|more|less|most|majority|same|group|crowd\w*|busy|full|empty",
            r"(?:is|are|was|were) there|there (?:is|are)|(?:can|do|could) (?:you|we|i) see|visible",
            r"zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|dozens?",
            r"twenty|thirty|forty|fifty|hundreds?|once|twice|double|triple|twins?|\d+",
        ),
    }
)
"""Word rules by aspect, on the folded text of a question and its answer."""


def aspects_of(question: str) -> frozenset[Aspect]:
    """The aspects that a question asks about.

    Args:
        question: The question, with its answers where they are known: "Is the car red?" and "What
            is on the wall?" answered by "a clock" both protect something.
    """
    folded = question.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return frozenset(aspect for aspect, rule in RULES.items() if rule.search(folded))
