"""Encoded batches: prompts end in one column, answers begin in the next.

All rows are padded on the left up to the end of the prompt and on the right after the answer:

    [pad pad  p1 p2 p3 | a1 a2 pad]
    [p1  p2   p3 p4 p5 | a1 a2 a3 ]
                       ^ prompt_end

So the last prompt token is the same column in every row, generation and scoring read the same
prompt, and what routes an edit can look at the prompt alone, never at the answer being scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from editors.prompts import Query, Renderer
from schemas.errors import InputError
from schemas.images import ImageError


@dataclass(frozen=True)
class Batch:
    """Queries and, where they are scored, their answers, as a model reads them.

    B rows, T columns, of which the last L hold answers.

    Attributes:
        queries: The queries, one per row.
        inputs: The keyword arguments of the model's forward: ids and masks of shape (B, T), and
            whatever the processor adds for pictures.
        prompt_end: The column after the last prompt token, T - L.
        prompt_mask: Shape (B, T), True on the tokens of the prompt, image tokens included.
        image_mask: Shape (B, T), True on image tokens.
        target_ids: Shape (B, L), the answers' tokens, 0 after their end.
        target_mask: Shape (B, L), True on the answers' tokens.
        read_in: The batch in which the prompts were read already, and for each row its row there.
            The inputs then hold the answers alone, but for the masks. None as a rule.
    """

    queries: tuple[Query, ...]
    inputs: dict[str, Any]
    prompt_end: int
    prompt_mask: Tensor
    image_mask: Tensor
    target_ids: Tensor
    target_mask: Tensor
    read_in: tuple[Batch, Tensor] | None = None

    @property
    def length(self) -> int:
        """T, the number of columns."""
        return self.inputs["input_ids"].shape[1]

    def upto(self, end: int) -> Batch:
        """The batch without the columns from `end` on, which no column before them looks at.

        A batch with pictures stays as it is, since a model counts the tokens of a picture.
        """
        whole = self.inputs["input_ids"].shape
        shapes = {getattr(value, "shape", None) for value in self.inputs.values()}
        pictured = any(query.image is not None for query in self.queries)
        if end >= whole[1] or pictured or self.read_in is not None or shapes != {whole}:
            return self
        answers = max(0, end - self.prompt_end)
        return replace(
            self,
            inputs={name: value[:, :end] for name, value in self.inputs.items()},
            prompt_end=min(end, self.prompt_end),
            prompt_mask=self.prompt_mask[:, :end],
            image_mask=self.image_mask[:, :end],
            target_ids=self.target_ids[:, :answers],
            target_mask=self.target_mask[:, :answers],
        )


@dataclass(frozen=True)
class Encoder:
    """Turns queries into batches with a model's tokenizer and processor.

    Attributes:
        renderer: Writes the queries as text.
        image_token_id: The id that image tokens have, or None.
        explicit_positions: Whether the model takes `position_ids` of shape (B, T). Those that
            count positions from 0 whatever the padding need them.
    """

    renderer: Renderer
    image_token_id: int | None
    explicit_positions: bool

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        return self.renderer.tokenizer

    def token_ids(self, query: Query) -> list[int]:
        """The tokens of a query's text, a picture counted as its placeholder."""
        return self._ids(self.renderer.render(query))

    def target_ids(self, query: Query, answer: str, *, verbatim: bool = False) -> list[int]:
        """The tokens of an answer where it follows the query.

        The answer is tokenized together with the prompt, so that it gets the tokens it would have
        in running text, unless that changes the prompt's own tokens.

        Args:
            query: The query.
            answer: The answer.
            verbatim: Whether the answer brings what stands between it and the prompt.
        """
        text = self.renderer.render(query)
        joint = "" if verbatim or text[-1:].isspace() else self.renderer.separator
        prompt, whole = self._ids(text), self._ids(text + joint + answer)
        if whole[: len(prompt)] == prompt:
            return whole[len(prompt) :]
        return self.tokenizer(joint + answer, add_special_tokens=False)["input_ids"]

    def lookup(self, query: Query, subject: str | None) -> int:
        """The place of a subject's last token, counted back from the prompt's end (last is 1).

        The subject's last occurrence counts. Without a subject it is the prompt's last token.

        Raises:
            InputError: If the prompt does not hold the subject.
        """
        if subject is None:
            return 1
        text = self.renderer.render(query)
        found = query.prompt.rfind(subject)
        if found < 0 or not subject.strip():
            raise InputError(f"the subject {subject!r} is not in the prompt {query.prompt!r}")
        start = text.rfind(query.prompt) + found
        end = start + len(subject.rstrip())
        encoded = self.tokenizer(
            text,
            add_special_tokens=self.renderer.adds_special_tokens,
            return_offsets_mapping=True,
        )
        # Special tokens have empty spans; the subject's last token is the last one that starts
        # before the subject's end.
        spans = encoded["offset_mapping"]
        last = max(i for i, (a, b) in enumerate(spans) if a < end and b > a)
        return len(spans) - last

    def encode(self, queries: Sequence[Query], targets: Sequence[Sequence[int]] = ()) -> Batch:
        """One batch of queries that all have a picture or all have none.

        Args:
            queries: The queries.
            targets: Token ids of an answer per query, or none to encode prompts only.

        Raises:
            InputError: If a picture is given to a text model, or cannot be decoded.
        """
        texts = [self.renderer.render(query) for query in queries]
        if any(query.image is not None for query in queries):
            inputs = self._with_pictures(queries, texts)
        else:
            inputs = dict(
                self.tokenizer(
                    texts,
                    add_special_tokens=self.renderer.adds_special_tokens,
                    padding=True,
                    padding_side="left",
                    return_tensors="pt",
                )
            )
        return self._finish(queries, inputs, targets)

    def of_tokens(self, queries: Sequence[Query], ids: Sequence[Tensor]) -> Batch:
        """One batch of texts that were tokenized before.

        Args:
            queries: The texts.
            ids: For each its tokens, or the first of them, shape (tokens,).
        """
        length = max(map(len, ids))
        padded = torch.full((len(ids), length), int(self.tokenizer.pad_token_id))
        mask = torch.zeros_like(padded)
        for row, own in enumerate(ids):
            padded[row, length - len(own) :] = own
            mask[row, length - len(own) :] = 1
        return self._finish(queries, {"input_ids": padded, "attention_mask": mask}, ())

    def continued(
        self, batch: Batch, rows: Sequence[int], targets: Sequence[Sequence[int]]
    ) -> Batch:
        """Answers whose prompts a batch holds, to be read on from there.

        The last token of an answer predicts nothing that counts, so it is not among the inputs.

        Args:
            batch: The prompts.
            rows: For each answer, the row of its prompt.
            targets: Token ids of the answers, at least one each.
        """
        ids, answers = _padded(targets, batch.inputs["input_ids"].dtype)
        return self._read_on(batch, rows, ids[:, :-1], answers[:, :-1], ids, answers)

    def following(self, batch: Batch, rows: Sequence[int], tokens: Sequence[int], at: int) -> Batch:
        """One more token behind each of some prompts of a batch, and behind those before it.

        Args:
            batch: The prompts.
            rows: The rows of the prompts.
            tokens: The tokens' ids.
            at: How many tokens have followed each prompt already.
        """
        ids = torch.tensor(tokens, dtype=batch.inputs["input_ids"].dtype)[:, None]
        mask = torch.ones(len(rows), at + 1, dtype=torch.bool)
        return self._read_on(batch, rows, ids, mask, *_padded([()] * len(rows), ids.dtype))

    def _read_on(
        self,
        batch: Batch,
        rows: Sequence[int],
        ids: Tensor,
        mask: Tensor,
        target_ids: Tensor,
        target_mask: Tensor,
    ) -> Batch:
        """The last columns of what follows prompts, given all columns' mask."""
        where, before = torch.tensor(rows), batch.inputs["attention_mask"]
        whole = torch.cat([before[where], mask.to(before.dtype)], dim=1)
        inputs = {"input_ids": ids, "attention_mask": whole}
        if self.explicit_positions:
            inputs["position_ids"] = (whole.cumsum(1) - 1)[:, whole.shape[1] - ids.shape[1] :]
        nothing = torch.zeros_like(mask)
        return Batch(
            queries=tuple(batch.queries[row] for row in rows),
            inputs=inputs,
            prompt_end=batch.prompt_end,
            prompt_mask=torch.cat([batch.prompt_mask[where], nothing], dim=1),
            image_mask=torch.cat([batch.image_mask[where], nothing], dim=1),
            target_ids=target_ids,
            target_mask=target_mask,
            read_in=(batch, where),
        )

    def _with_pictures(self, queries: Sequence[Query], texts: list[str]) -> dict[str, Any]:
        processor = self.renderer.processor
        if processor is None:
            raise InputError("a text model cannot be asked about a picture")
        pictures = []
        for query in queries:
            if query.image is None:
                raise InputError("a batch holds queries with and without pictures")
            try:
                pictures.append([query.image.decode()])
            except ImageError as error:
                raise InputError(f"{error}, asked about in {query.prompt!r}") from None
        return dict(
            processor(
                images=pictures,
                text=texts,
                padding=True,
                padding_side="left",
                add_special_tokens=self.renderer.adds_special_tokens,
                return_tensors="pt",
            )
        )

    def _finish(
        self, queries: Sequence[Query], inputs: dict[str, Any], targets: Sequence[Sequence[int]]
    ) -> Batch:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        prompt_end = ids.shape[1]
        target_ids, target_mask = _padded(targets or [()] * len(ids), ids.dtype)
        appended = {"input_ids": target_ids, "attention_mask": target_mask.to(mask.dtype)}
        for name, value in inputs.items():
            # Token types and the like go on with zeros; a Q-former reads a text of its own.
            if getattr(value, "shape", None) == ids.shape and not name.startswith("qformer_"):
                more = appended.get(name, torch.zeros_like(target_ids))
                inputs[name] = torch.cat([value, more.to(value.dtype)], dim=1)
        mask = inputs["attention_mask"]
        if self.explicit_positions:
            inputs["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        prompt_mask = mask.bool()
        prompt_mask[:, prompt_end:] = False
        is_image = torch.zeros_like(prompt_mask)
        if self.image_token_id is not None and any(q.image is not None for q in queries):
            is_image = (inputs["input_ids"] == self.image_token_id) & prompt_mask
        return Batch(
            tuple(queries), inputs, prompt_end, prompt_mask, is_image, target_ids, target_mask
        )

    def _ids(self, text: str) -> list[int]:
        return list(self._known(text))

    @cached_property
    def _known(self) -> Callable[[str], tuple[int, ...]]:
        """The tokens of texts; a question is asked for its length, its place and its answer."""

        @lru_cache(maxsize=8192)
        def tokens(text: str) -> tuple[int, ...]:
            special = self.renderer.adds_special_tokens
            return tuple(self.tokenizer(text, add_special_tokens=special)["input_ids"])

        return tokens


def _padded(targets: Sequence[Sequence[int]], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Answers' tokens, 0 after their end, and where there are any, both of shape (B, L)."""
    length = max(map(len, targets), default=0)
    ids = torch.zeros(len(targets), length, dtype=dtype)
    mask = torch.zeros(len(targets), length, dtype=torch.bool)
    for row, target in enumerate(targets):
        ids[row, : len(target)] = torch.tensor(target, dtype=dtype)
        mask[row, : len(target)] = True
    return ids, mask
