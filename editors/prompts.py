"""What a model is asked, and the text in which it reads the question."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from schemas.errors import InputError
from schemas.images import EncodedImage

PromptFormat = Literal["plain", "qa", "chat"]
"""`plain`: the prompt as it is. `qa`: "Question: ... Answer:". `chat`: the model's own template."""

PROMPT_FORMATS: tuple[str, ...] = get_args(PromptFormat)


@dataclass(frozen=True, slots=True)
class Query:
    """One question to a model.

    Attributes:
        prompt: The question or the text to continue.
        image: The picture it is about, or None.
        context: Text to read before the prompt, or None. It stands in front of the question in
            every format, so that "Question:" and the chat template go around both.
        branch: Which of several edited models side by side is asked, or None where there is one;
            see `EditedModel.branched`.
    """

    prompt: str
    image: EncodedImage | None = None
    context: str | None = None
    branch: int | None = None

    @property
    def text(self) -> str:
        """Context and prompt, without format and picture."""
        return self.prompt if self.context is None else f"{self.context}{self.prompt}"


@dataclass(frozen=True)
class Renderer:
    """Writes queries the way one model and one prompt format want them.

    Attributes:
        format: The prompt format.
        tokenizer: The model's tokenizer.
        processor: The model's processor of pictures and text, or None for a text model.
    """

    format: PromptFormat
    tokenizer: Any
    processor: Any = None

    def __post_init__(self) -> None:
        if self.format not in PROMPT_FORMATS:
            known = ", ".join(PROMPT_FORMATS)
            raise InputError(f"unknown prompt format {self.format!r}; known are {known}")
        if self.format == "chat" and self._chat is None:
            raise InputError("the prompt format 'chat' needs a model with a chat template")

    @property
    def separator(self) -> str:
        """What stands between a rendered prompt and its answer."""
        return "" if self.format == "chat" else " "

    @property
    def adds_special_tokens(self) -> bool:
        """Whether the tokenizer adds its special tokens; a chat template writes its own."""
        return self.format != "chat"

    def render(self, query: Query) -> str:
        """The text of a query, with a placeholder where its picture goes."""
        if self.format == "chat":
            return self._chat_text(query.text, with_image=query.image is not None)
        picture = self.placeholder if query.image is not None else ""
        if self.format == "qa":
            context = query.context or ""
            return f"{picture}{context}Question: {query.prompt}\nAnswer:"
        return picture + query.text

    @cached_property
    def placeholder(self) -> str:
        """What marks a picture in a text of this model.

        It is read off the chat template, as what a picture adds to a message. A processor without
        one names its image token, or, as those of BLIP-2 and InstructBLIP, adds the tokens itself.
        """
        if self._chat is not None:
            with_picture = self._chat_text("X", with_image=True)
            return _inserted(self._chat_text("X", with_image=False), with_picture)
        if getattr(self.processor, "num_query_tokens", None) is not None:
            return ""
        token = getattr(self.processor, "boi_token", None) or getattr(
            self.processor, "image_token", ""
        )
        return f"{token}\n" if token else ""

    @property
    def _chat(self) -> Any:
        for owner in (self.processor, self.tokenizer):
            if owner is not None and getattr(owner, "chat_template", None):
                return owner
        return None

    def _chat_text(self, text: str, *, with_image: bool) -> str:
        content: Any = text
        if self._chat is self.processor:
            content = [{"type": "text", "text": text}]
            if with_image:
                content.insert(0, {"type": "image"})
        return self._chat.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )


def _inserted(before: str, after: str) -> str:
    """What was put into `before` to make `after`."""
    start = 0
    while start < len(before) and before[start] == after[start]:
        start += 1
    end = len(before) - start
    while end and before[len(before) - end :] != after[len(after) - end :]:
        end -= 1
    return after[start : len(after) - end]
