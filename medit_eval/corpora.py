"""The corpus of the testbed models, for editors that measure what a model should keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editors.corpus import Corpus, Mixed, Questions, Texts
from editors.lm import LM
from editors.registry import option_names
from medit_eval.models import TESTBED

OPTION = "corpus"
"""What editors call the option."""

NAME = "testbed"
"""The value of the option that stands for this corpus."""

SOURCE = "what the testbed model learned beside the edited people"
"""What is said of this corpus where nobody asked for it."""


def with_corpus(editor: str, lm: LM, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """An editor's options, with the testbed's corpus where it is named, or meant.

    It is meant for a testbed model where nothing else is said: the texts that the model was
    trained on beside the edited people, whereas Wikipedia would be noise to it. A model that sees
    reads questions about pictures as well.
    """
    chosen = dict(options or {})
    if _meant(editor, lm, chosen) or chosen.get(OPTION) == NAME:
        chosen[OPTION] = _testbed(lm)
    return chosen


def corpus_source(editor: str, lm: LM, options: Mapping[str, Any]) -> dict[str, str]:
    """Where the corpus is from that `with_corpus` adds; nothing where it adds none."""
    return {OPTION: SOURCE} if _meant(editor, lm, options) else {}


def _meant(editor: str, lm: LM, options: Mapping[str, Any]) -> bool:
    return OPTION not in options and lm.name.startswith(TESTBED) and OPTION in option_names(editor)


def _testbed(lm: LM) -> Corpus:
    from medit_eval import testbed

    texts = Texts(tuple(testbed.covariance_corpus()))
    if not lm.sees:
        return texts
    return Mixed((texts, Questions(tuple(testbed.covariance_pictures()))))
