"""A causal language model, with or without eyes: what editors change and scorers ask."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from editors.anatomy import Anatomy
from editors.batch import Batch, Encoder
from editors.batching import ACCELERATOR, PROCESSOR, BatchSizer, cut
from editors.digest import weights_digest
from editors.gauges import gauge_for
from editors.likelihood import Likelihood, likelihoods
from editors.prompts import PromptFormat, Query, Renderer
from editors.reading import (
    Answering,
    Prompts,
    Reply,
    greedy,
    is_plain,
    likelihoods_behind,
    read_prompts,
)
from schemas.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


class LM(Answering):
    """A transformers model with its tokenizer or processor and one prompt format.

    Attributes:
        model: The model, in evaluation mode, without gradients on its weights.
        tokenizer: Its tokenizer.
        processor: Its processor of pictures and text, or None for a text model.
        name: What it is called in reports.
        current: The batch in the model's forward at the moment, for hooks; None outside.
        batch_size: The most rows of a batch, halved when memory runs out; None where the memory
            that there is decides, see `BatchSizer`.
        tf32: Whether the model's own float32 matrix products may be made of TF32 numbers.
    """

    def __init__(
        self,
        model: nn.Module,
        processor: Any,
        *,
        name: str | None = None,
        prompt_format: PromptFormat = "plain",
        batch_size: int | None = None,
        tf32: bool = False,
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: A `PreTrainedModel` for causal language modelling or image-text-to-text.
            processor: Its tokenizer, or its processor, which holds the tokenizer.
            name: A name for reports; the configuration's own by default.
            prompt_format: How prompts are put to the model.
            batch_size: The most rows of a batch; found by the memory that there is by default.
            tf32: Whether float32 matrix products of its forwards may be made of TF32 numbers, of 10
                bits of mantissa, where a device has them. What editors compute from its states, and
                gradients through parts of it, stays in float32 or better.

        Raises:
            InputError: If the model is not one that can be edited, or the format does not suit it.
        """
        self.model: Any = model.eval().requires_grad_(False)
        tokenizer = getattr(processor, "tokenizer", None)
        self.processor = processor if tokenizer is not None else None
        self.tokenizer: Any = tokenizer if tokenizer is not None else processor
        self.name = name or getattr(self.config, "name_or_path", "") or self.config.model_type
        self.current: Batch | None = None
        self._sharing = True
        self.batch_size = batch_size
        self.tf32 = tf32
        self._sizer: tuple[torch.device, BatchSizer] | None = None
        if not getattr(self.tokenizer, "is_fast", False):
            raise InputError(f"{self.name} has no fast tokenizer, which finds subjects in prompts")
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token or self.tokenizer.unk_token
        self.renderer = Renderer(prompt_format, self.tokenizer, self.processor)
        self.encoder = Encoder(
            self.renderer,
            image_token_id=self._image_token_id(),
            explicit_positions=not _has_sectioned_positions(self.text_config),
        )

    def asked_in(self, prompt_format: PromptFormat) -> LM:
        """The same model with prompts put to it in another way; itself if it is this way.

        Raises:
            InputError: If the format does not suit it.
        """
        if prompt_format == self.renderer.format:
            return self
        return LM(
            self.model,
            self.processor or self.tokenizer,
            name=self.name,
            prompt_format=prompt_format,
            batch_size=self.batch_size,
            tf32=self.tf32,
        )

    def in_tf32(self) -> LM:
        """The same model with matrix products in TF32; itself if they are already; see `tf32`."""
        if self.tf32:
            return self
        return LM(
            self.model,
            self.processor or self.tokenizer,
            name=self.name,
            prompt_format=self.renderer.format,
            batch_size=self.batch_size,
            tf32=True,
        )

    @contextmanager
    def asking_in(self, prompt_format: PromptFormat) -> Iterator[None]:
        """Put prompts in another way for a while, also those of an edited model on top of it.

        Raises:
            InputError: If the format does not suit it.
        """
        own, other = (self.renderer, self.encoder), self.asked_in(prompt_format)
        self.renderer, self.encoder = other.renderer, other.encoder
        try:
            yield
        finally:
            self.renderer, self.encoder = own

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: str = "auto",
        device_map: str | None = None,
        prompt_format: PromptFormat = "plain",
        batch_size: int | None = None,
        tf32: bool = False,
        name: str | None = None,
    ) -> LM:
        """Load a model from a folder or the Hub; only safetensors, and never code of the model's.

        Args:
            source: Folder or Hub id, with a commit, tag or branch after an `@` if one is meant.
            device: Where to put it; the first accelerator by default, else the processor.
            dtype: `auto` for that of the files, else `float32`, `bfloat16` or `float16`.
            device_map: How to spread it over several devices, as in transformers.
            prompt_format: How prompts are put to the model.
            batch_size: The most rows of a batch; found by the memory that there is by default.
            tf32: See `LM`.
            name: A name for reports; `source` by default.

        Raises:
            InputError: If it cannot be found, read or edited.
        """
        import transformers as hf

        source = str(source)
        place, revision = _pinned(source)
        known: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
        try:
            config = hf.AutoConfig.from_pretrained(place, **known)
            sees = getattr(config, "vision_config", None) is not None
            kind = hf.AutoModelForImageTextToText if sees else hf.AutoModelForCausalLM
            reader = hf.AutoProcessor if sees else hf.AutoTokenizer
            model: Any = kind.from_pretrained(
                place, dtype=dtype, device_map=device_map, use_safetensors=True, **known
            )
            processor = reader.from_pretrained(place, **known)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"the model {source!r} cannot be loaded: {reason}") from None
        if device_map is None:
            model = model.to(torch.device(device or _best_device()))
        return cls(
            model,
            processor,
            name=name or source,
            prompt_format=prompt_format,
            batch_size=batch_size,
            tf32=tf32,
        )

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    @property
    def text_config(self) -> Any:
        """The configuration of the text model in it."""
        return self.config.get_text_config(decoder=True)

    @property
    def sees(self) -> bool:
        """Whether it reads pictures."""
        return self.processor is not None

    @property
    def device(self) -> torch.device:
        """Where its inputs go."""
        return self.model.get_input_embeddings().weight.device

    @cached_property
    def anatomy(self) -> Anatomy:
        """Where its blocks and MLPs are.

        Raises:
            InputError: If it is not a dense decoder.
        """
        return Anatomy.of(self.model)

    @property
    def context_length(self) -> int | None:
        """Tokens that it can read at once, or None where the configuration does not say."""
        for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
            value = getattr(self.text_config, name, None)
            if isinstance(value, int) and value > 0:
                return value
        return None

    def digest(self) -> str:
        """A digest of all weights, as they are now."""
        return weights_digest(self.model)

    # Asking -------------------------------------------------------------------------------

    def forward(self, batch: Batch, keep: int = 0) -> Tensor:
        """The logits of the last `keep` columns, or of all if 0: shape (B, K, vocabulary)."""
        return self.run(batch, keep=keep, use_cache=False)[0]

    def run(self, batch: Batch, *, keep: int, **options: Any) -> tuple[Tensor, Any]:
        """The logits of the last `keep` columns, or of all if 0, and the model's cache, if any.

        Args:
            batch: What it reads.
            keep: How many columns.
            options: Further arguments of the model's forward.
        """
        with self._reading(batch), self._products():
            inputs = self._on_device(batch.inputs)
            model = self._reader(batch)
            if "logits_to_keep" in inspect.signature(model.forward).parameters:
                inputs["logits_to_keep"] = keep
            output = model(**inputs, **options)
        logits = output.logits
        return logits[:, -keep:] if keep else logits, getattr(output, "past_key_values", None)

    @contextmanager
    def unshared(self) -> Iterator[None]:
        """Read every answer together with its prompt while the context is open.

        Otherwise a prompt is read once for all answers that are scored behind it, and hooks see the
        prompts in one forward and the answers in another; see `Batch.read_in`.
        """
        before, self._sharing = self._sharing, False
        try:
            yield
        finally:
            self._sharing = before

    @torch.no_grad()
    def score(
        self, queries: Sequence[Query], answers: Sequence[str], *, top: int = 10
    ) -> list[Likelihood]:
        """The likelihood of one answer per query, each token given those before it.

        Raises:
            InputError: If a query and its answer are longer than the model can read, or an answer
                is empty.
        """
        ids = [self._require_answer(q, a) for q, a in zip(queries, answers, strict=True)]
        return self.score_tokens(queries, ids, top=top)

    @torch.no_grad()
    def score_tokens(
        self, queries: Sequence[Query], targets: Sequence[Sequence[int]], *, top: int = 10
    ) -> list[Likelihood]:
        """The same for answers given as tokens, at least one each; see `Encoder.target_ids`.

        Raises:
            InputError: If a query and its answer are longer than the model can read.
        """
        targets = [list(ids) for ids in targets]
        for query, ids in zip(queries, targets, strict=True):
            self.require_fit(query, len(ids))
        asked = Counter(queries)
        number = {query: i for i, query in enumerate(asked)}

        def size(place: int) -> tuple[int, ...]:
            query, length = queries[place], len(targets[place])
            pictured = query.image is not None
            if asked[query] == 1:
                return pictured, 0, self.prompt_tokens(query), length
            # Read once: answers of like length together, and among these those to one question.
            return pictured, 1, length // 4, number[query]

        return self.in_batches(
            range(len(queries)),
            lambda places: self._score(
                [queries[i] for i in places], [targets[i] for i in places], top
            ),
            size=size,
            columns=lambda i: self.prompt_tokens(queries[i]) + len(targets[i]),
        )

    @torch.no_grad()
    def generate(
        self, queries: Sequence[Query], *, max_new_tokens: int = 32, stop: Sequence[str] = ("\n",)
    ) -> list[str]:
        """What the model answers greedily, up to one of the `stop` strings or its end token.

        Raises:
            InputError: If a query and its answer are longer than the model can read.
        """
        for query in queries:
            self.require_fit(query, max_new_tokens)
        return self.in_batches(
            list(queries),
            lambda chosen: self._generate(chosen, max_new_tokens, tuple(stop)),
            size=self.length_key,
            columns=lambda query: self.prompt_tokens(query) + max_new_tokens,
        )

    @torch.no_grad()
    def reply(
        self,
        queries: Sequence[Query],
        answers: Sequence[Sequence[str | None]],
        *,
        max_new_tokens: int = 32,
        stop: Sequence[str] = ("\n",),
        top: int = 10,
    ) -> list[Reply]:
        """Free answers and likelihoods in one reading of each prompt, where the model allows it."""
        kinds = {query.image is None: query for query in queries}
        if not all(map(self._shares, kinds.values())) or not is_plain(self.model.generation_config):
            return super().reply(
                queries, answers, max_new_tokens=max_new_tokens, stop=stop, top=top
            )
        asked: list[tuple[Query, list[list[int] | None]]] = []
        for query, given in zip(queries, answers, strict=True):
            self.require_fit(query, max_new_tokens)
            asked.append(
                (query, [None if a is None else self._require_answer(query, a) for a in given])
            )

        def run(chosen: list[tuple[Query, list[list[int] | None]]]) -> list[Reply]:
            prompts = read_prompts(self, [query for query, _ in chosen])
            texts = self._written(prompts, max_new_tokens, stop)
            own = [
                self._require_answer(query, text) if text else []
                for (query, _), text in zip(chosen, texts, strict=True)
            ]
            targets = [
                [mine if ids is None else ids for ids in given]
                for (_, given), mine in zip(chosen, own, strict=True)
            ]
            scored = likelihoods_behind(
                self, prompts, [[ids for ids in some if ids] for some in targets], top
            )
            return [
                Reply(text, tuple(next(found) if ids else None for ids in some))
                for text, some, found in zip(texts, targets, map(iter, scored), strict=True)
            ]

        return self.in_batches(
            asked,
            run,
            size=lambda item: self.length_key(item[0]),
            columns=lambda item: self.prompt_tokens(item[0]) + max_new_tokens,
        )

    def encode(self, queries: Sequence[Query], answers: Sequence[str] = ()) -> Batch:
        """One batch, its tensors on the model's device where they are used; see `Encoder`."""
        targets = [
            self.encoder.target_ids(q, a) for q, a in zip(queries, answers or (), strict=False)
        ]
        return self.encoder.encode(queries, targets)

    def prompt_tokens(self, query: Query) -> int:
        """Tokens of a query's text, a picture counted as its placeholder."""
        return len(self.encoder.token_ids(query))

    def length_key(self, query: Query) -> tuple[bool, int]:
        """What queries are batched by: with or without picture, then length; see `in_batches`."""
        return query.image is not None, self.prompt_tokens(query)

    def require_fit(self, query: Query, more: int) -> None:
        """See to it that a query and `more` tokens fit into the model's context.

        Raises:
            InputError: If they do not.
        """
        limit, tokens = self.context_length, self.prompt_tokens(query)
        if limit is not None and tokens + more > limit:
            raise InputError(
                f"a prompt of {tokens} tokens and {more} more exceed the model's {limit}: "
                f"{query.prompt[:60]!r}"
            )

    def rooms(self, queries: Sequence[Query]) -> list[int | None]:
        """Tokens that fit behind each query, or None where nobody knows the model's context."""
        limit = self.context_length
        return [
            None if limit is None else max(0, limit - self.prompt_tokens(query))
            for query in queries
        ]

    def in_batches(
        self,
        items: Sequence[Item],
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        size: Callable[[Item], Any],
        rows: int = 1,
        columns: Callable[[Item], int] | None = None,
    ) -> list[Result]:
        """Run items in batches of like size, and give results in the items' order.

        Where memory runs out, batches are halved for good and the batch is tried again. What a
        batch of a kind of work needed decides how large the next ones are, in later calls too; the
        name of the function that runs them tells the kinds apart.

        Args:
            items: What to run.
            run: Runs one batch; a result per item.
            size: Sort key; its first element must be equal within a batch, its second, if there is
                one, is the tokens of the item.
            rows: Rows that each item makes.
            columns: Tokens of each of an item's rows, with those that are still to come; by default
                those of the sort key.
        """
        sizes = [size(item) for item in items]
        order = sorted(range(len(items)), key=sizes.__getitem__)
        if columns is not None:
            lengths = [max(1, columns(item)) for item in items]
        else:
            lengths = [max(1, int(key[1])) if len(key) > 1 else 1 for key in sizes]
        work, sizer = f"{_name(run)} {rows}", self._batch_sizer()
        results: dict[int, Result] = {}
        start = 0
        while start < len(order):
            sizer.look()
            count, widest = cut(
                (lengths[i] for i in _alike(order, sizes, start)),
                partial(self._most_rows, sizer, work),
                rows=rows,
                patience=sizer.bounds.patience,
            )
            chosen = order[start : start + count]
            answers = None
            try:
                with sizer.watching(work, count * rows, widest):
                    answers = run([items[i] for i in chosen])
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _out_of_memory(error) or count == 1:
                    raise
            if answers is None:
                # Not among the lines above: there the error holds on to all that the batch made.
                half = count // 2 * rows
                if self.batch_size is not None:
                    self.batch_size = half
                sizer.failed(work, half, widest)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            results.update(zip(chosen, answers, strict=True))
            start += count
        return [results[i] for i in range(len(items))]

    def _most_rows(self, sizer: BatchSizer, work: str, columns: int) -> int:
        return self.batch_size if self.batch_size is not None else sizer.rows(work, columns)

    def _batch_sizer(self) -> BatchSizer:
        """What is known of the memory that batches need where the model lies now."""
        if self._sizer is None or self._sizer[0] != self.device:
            devices = {parameter.device for parameter in self.model.parameters()}
            on_processor = all(device.type == "cpu" for device in devices)
            bounds = PROCESSOR if on_processor else ACCELERATOR
            self._sizer = self.device, BatchSizer(gauge_for(devices), bounds)
        return self._sizer[1]

    def _require_answer(self, query: Query, answer: str) -> list[int]:
        """The tokens of an answer that is there and fits behind its query."""
        if not answer.strip():
            raise InputError(f"the answer to {query.prompt!r} is empty")
        ids = self.encoder.target_ids(query, answer)
        self.require_fit(query, len(ids))
        return ids

    # The parts of it ----------------------------------------------------------------------

    def _score(self, queries: list[Query], targets: list[list[int]], top: int) -> list[Likelihood]:
        places: dict[Query, list[int]] = {}
        for place, query in enumerate(queries):
            places.setdefault(query, []).append(place)
        if len(places) == len(queries) or not self._shares(queries[0]):
            batch = self.encoder.encode(queries, targets)
            logits = self.forward(batch, keep=batch.target_ids.shape[1] + 1)[:, :-1]
            return likelihoods(logits, batch.target_ids, targets, top)
        scored = likelihoods_behind(
            self,
            read_prompts(self, list(places)),
            [[targets[place] for place in own] for own in places.values()],
            top,
        )
        found = dict(zip(chain(*places.values()), chain(*scored), strict=True))
        return [found[place] for place in range(len(queries))]

    def _shares(self, query: Query) -> bool:
        """Whether answers behind a prompt can go on from what the model made of it.

        Not where the model counts positions itself, as those that read pictures in sections, or
        cannot read on without the picture.
        """
        takes = inspect.signature(self.model.forward).parameters.get("pixel_values")
        reads_on = query.image is None or (takes is not None and takes.default is None)
        return self._sharing and self.encoder.explicit_positions and reads_on

    def _written(self, prompts: Prompts, tokens: int, stop: Sequence[str]) -> list[str]:
        return [_until(text, stop) for text in greedy(self, prompts, tokens, stop)]

    def _generate(
        self, queries: list[Query], max_new_tokens: int, stop: tuple[str, ...]
    ) -> list[str]:
        if self._shares(queries[0]) and is_plain(self.model.generation_config):
            return self._written(read_prompts(self, queries), max_new_tokens, stop)
        batch = self.encoder.encode(queries)
        inputs = self._on_device(batch.inputs)
        inputs.pop("position_ids", None)  # generation counts them itself as it goes on
        with self._reading(batch), self._products():
            ids = self._reader(batch).generate(
                **inputs,
                do_sample=False,
                num_beams=1,
                max_new_tokens=max_new_tokens,
                pad_token_id=self.tokenizer.pad_token_id,
                **({"stop_strings": list(stop), "tokenizer": self.tokenizer} if stop else {}),
            )
        prompts = inputs["input_ids"]
        if ids.shape[1] > prompts.shape[1] and torch.equal(ids[:, : prompts.shape[1]], prompts):
            ids = ids[:, prompts.shape[1] :]
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [_until(text, stop) for text in texts]

    @contextmanager
    def _reading(self, batch: Batch) -> Iterator[None]:
        self.current = batch
        try:
            yield
        finally:
            self.current = None

    @contextmanager
    def _products(self) -> Iterator[None]:
        """Matrix products as `tf32` says, and afterwards as they were."""
        if not self.tf32:
            yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def _on_device(self, inputs: dict[str, Any]) -> dict[str, Any]:
        floating = self.model.dtype
        return {
            name: value.to(self.device, floating if value.is_floating_point() else None)
            if isinstance(value, Tensor)
            else value
            for name, value in inputs.items()
        }

    def _reader(self, batch: Batch) -> Any:
        """The model, or the language model in it for texts without pictures where it needs one.

        BLIP-2 and its kin cannot be called without a picture, while the language model in them can.
        """
        takes = inspect.signature(self.model.forward).parameters.get("pixel_values")
        if takes is None or takes.default is None or "pixel_values" in batch.inputs:
            return self.model
        for child in self.model.children():
            if isinstance(child, PreTrainedModel) and child.can_generate():
                return child
        raise InputError(f"{self.name} cannot be asked without a picture")

    def _image_token_id(self) -> int | None:
        for name in ("image_token_id", "image_token_index"):
            value = getattr(self.config, name, None)
            if isinstance(value, int):
                return value
        return None


def _has_sectioned_positions(config: Any) -> bool:
    """Whether positions are not one number per token but one per axis of a picture."""
    parameters = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    return bool(parameters) and "mrope_section" in parameters


def _pinned(source: str) -> tuple[str, str | None]:
    """A folder or Hub id, and the revision named after it; an id itself has no `@`."""
    place, at, revision = source.rpartition("@")
    if not at or not place or not revision or Path(source).exists():
        return source, None
    return place, revision


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _alike(order: Sequence[int], keys: Sequence[Any], start: int) -> Iterator[int]:
    """What comes in order from a place on, up to another first element of its key."""
    for i in islice(order, start, None):
        if keys[i][0] != keys[order[start]][0]:
            return
        yield i


_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "ALLOC_FAILED")
"""What errors say that torch raises without their own class: of the processor's memory on Windows
and on Linux, of a driver, and of a library that wants room for itself."""


def _out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _NO_MEMORY)


def _name(run: Callable[..., Any]) -> str:
    """A function's name, that of what a `partial` calls."""
    inner = getattr(run, "func", run)
    module = getattr(inner, "__module__", "")
    return f"{module}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"


def _until(text: str, stop: Sequence[str]) -> str:
    """The text up to the first of the `stop` strings."""
    text = text.lstrip()
    ends = [text.find(mark) for mark in stop if mark in text]
    return text[: min(ends)].rstrip() if ends else text.rstrip()
