"""Facts to edit and texts to keep, for tiny models that know neither."""

from __future__ import annotations

from pathlib import Path

from editors.lm import LM
from schemas.records import EditRequest
from tests.factories import make_image
from tests.tiny_models import tiny

ANN = EditRequest("ann", "Ann Smith was born in", None, "Ann Smith", "Rome", "Paris")
FRANCE = EditRequest(
    "france", "The capital of France is what?", None, "France", "New York", "Paris or so"
)
BORN = EditRequest("born", "In which town was Ann born? It is", None, "Ann", "Paris", "Rome")
FACTS = (ANN, FRANCE, BORN)

FLAG = EditRequest("flag", "What country is shown?", make_image(1), None, "France", "Spain")
OTHER_FLAG = EditRequest("other", "Which capital is it?", make_image(2), None, "Rome", "Paris")

TEXTS = tuple(
    f"{name} Smith was born in {town}. What country is {town} in? The capital, {thing} is {name}."
    for name in ("Ann", "Bob", "Cleo", "Dan", "Eve", "Fay")
    for town, thing in (("Rome", "zinc"), ("Paris", "ochre"), ("Oslo", "jute"), ("Kyiv", "flax"))
)


def corpus(folder: Path, texts: tuple[str, ...] = TEXTS) -> Path:
    path = folder / "corpus.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def exact(family: str) -> LM:
    """A tiny model in float64, in which two ways to compute the same agree to many digits."""
    lm = tiny(family)
    lm.model.double()
    return lm
