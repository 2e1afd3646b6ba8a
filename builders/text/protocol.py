"""What a text generator is: typed tasks in, validated outputs or one-clause errors out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel

from builders.text.schema import strict_schema
from schemas.digest import digest128
from schemas.errors import InputError

Out = TypeVar("Out", bound=BaseModel)
OutCo = TypeVar("OutCo", bound=BaseModel, covariant=True)

InputValue: TypeAlias = str | int | tuple[str, ...]


class BudgetExhausted(InputError):  # noqa: N818 - the condition, not a defect
    """The limit on requests is reached; everything answered so far is kept."""


class EndpointError(InputError):
    """The endpoint cannot be used at all: refused, unreachable or not answering."""


@dataclass(frozen=True)
class TextTask(Generic[Out]):
    """One kind of text that a build needs.

    Attributes:
        name: Identifies the task in provenance, digests and errors.
        system: The system message.
        template: The user message with `{placeholders}`, filled from a request's inputs. Values
            are data, so braces in them are left alone; a tuple becomes one line per item.
        output: What an answer must be. Its JSON schema is sent along where the server takes one,
            and decides in any case when the answer is validated here.
        check: Says why a well-formed output is unusable for these inputs, or None.
    """

    name: str
    system: str
    template: str
    output: type[Out]
    check: Callable[[Mapping[str, Any], Out], str | None]

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The output's JSON schema, in the form that structured outputs accept."""
        return strict_schema(self.output)

    def render(self, inputs: Mapping[str, InputValue]) -> str:
        """The user message for some inputs.

        Raises:
            InputError: A placeholder has no input.
        """
        lines = {k: "\n".join(v) if isinstance(v, tuple) else v for k, v in inputs.items()}
        try:
            return self.template.format_map(lines)
        except KeyError as missing:
            reason = f"text task {self.name!r} has no input {missing.args[0]!r}"
        raise InputError(reason)


@dataclass(frozen=True)
class TextRequest(Generic[Out]):
    """One text to be written.

    Attributes:
        task: What to write.
        inputs: Values of the template's placeholders; the task's check sees them too.
        seed: Seed of the first attempt; later attempts derive theirs from it.
        record_id: The record that the text is for. It names the record in errors and is no part
            of the prompt, so equal requests of different records are asked once.
    """

    task: TextTask[Out]
    inputs: Mapping[str, InputValue]
    seed: int
    record_id: str

    @cached_property
    def messages(self) -> list[dict[str, str]]:
        """The chat messages, system first."""
        return [
            {"role": "system", "content": self.task.system},
            {"role": "user", "content": self.task.render(self.inputs)},
        ]

    @cached_property
    def prompt_digest(self) -> str:
        """Digest of task name, messages and schema: the prompt, whoever answers it."""
        return digest_of([self.task.name, self.messages, self.task.schema])


@dataclass(frozen=True)
class TextResult(Generic[OutCo]):
    """The answer to one request.

    Attributes:
        output: The validated output, or None where `error` says why there is none.
        error: One clause, or None.
        generator: Who answered: "openai" or "offline".
        model: The model as the server reports it, or None.
        prompt_digest: `TextRequest.prompt_digest`.
        seed: Seed of the attempt that gave the output.
        fallback: Whether a second generator stepped in for a first one that failed.
        pending: Whether the output only stands in for one that is still to be asked.
    """

    output: OutCo | None
    error: str | None
    generator: str
    model: str | None
    prompt_digest: str
    seed: int
    fallback: bool = False
    pending: bool = False


class TextGenerator(Protocol):
    """Whatever answers text requests."""

    @property
    def name(self) -> str:
        """Short name for provenance."""
        ...

    def generate(self, requests: Sequence[TextRequest[Any]]) -> list[TextResult[Any]]:
        """One result per request, in their order.

        A request that fails gives a result with `error`.

        Raises:
            BudgetExhausted: No further request may be sent.
            EndpointError: The endpoint cannot be used at all. As with `BudgetExhausted`, what was
                answered before is in the cache.
        """
        ...

    def close(self) -> None:
        """Gives connections and files back; the generator is not used again."""
        ...


def digest_of(value: object) -> str:
    """A 128-bit digest, in hex, of a JSON-like value; equal values give equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return digest128(text)
