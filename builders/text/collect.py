"""A generator that asks nobody: it answers from the cache and collects what is missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from builders.text.answers import GENERATOR, failed_result, kept_result
from builders.text.cache import AnswerCache
from builders.text.chat import Unusable, cache_key, chat_body
from builders.text.pending import PendingRequest, PendingRequests
from builders.text.protocol import TextGenerator, TextRequest, TextResult
from builders.text.settings import EndpointSettings
from builders.text.summary import estimate_tokens


class CollectingGenerator:
    """Answers from the cache; the rest is recorded, and a stand-in lets the build go on.

    Results of the stand-in carry `pending=True`. Once a record has such a result, later requests
    of the same record may hold stand-in text in their prompt: they are recorded as speculative,
    counted but not asked before a later pass renders them from real answers.

    When a pass leaves nothing pending, its results are final: answers from the cache, and errors
    for what failed in batches as often as `max_attempts` allows.

    Args:
        settings: The endpoint that would be asked. It needs no API key.
        cache: Where answers are looked up.
        pending: Where requests are recorded; shared by the workers of one build.
        stand_in: Answers what is missing.
    """

    name = GENERATOR

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        cache: AnswerCache,
        pending: PendingRequests,
        stand_in: TextGenerator,
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._pending = pending
        self._stand_in = stand_in

    def generate(self, requests: Sequence[TextRequest[Any]]) -> list[TextResult[Any]]:
        """See `TextGenerator.generate`."""
        keys = [cache_key(request, self._settings) for request in requests]
        kept = self._cache.get(sorted(set(keys)))
        failures = self._pending.failures(sorted(set(keys) - set(kept)))
        waiting = self._pending.waiting(request.record_id for request in requests)
        results: list[TextResult[Any] | None] = []
        rows: list[PendingRequest] = []
        cached: Counter[str] = Counter()
        missing: list[int] = []
        for i, (request, key) in enumerate(zip(requests, keys, strict=True)):
            result = kept_result(request, kept[key]) if key in kept else None
            if result is not None:
                cached[request.task.name] += 1
            elif key in failures and failures[key][0] >= self._settings.max_attempts:
                attempts, reason = failures[key]
                reason = f"{reason} (asked {attempts} times)"
                result = failed_result(request, reason, self._settings)
            else:
                attempt = failures[key][0] if key in failures else 0
                attempt = kept[key].attempt + 1 if key in kept else attempt
                try:
                    rows.append(self._row(request, key, attempt, request.record_id in waiting))
                    missing.append(i)
                except Unusable as error:
                    result = failed_result(request, str(error), self._settings)
            results.append(result)
        for task, count in cached.items():
            self._pending.count_cached(task, count)
        if missing:
            self._pending.add(rows)
            self._pending.wait_for(row.record_id for row in rows)
            stand_ins = self._stand_in.generate([requests[i] for i in missing])
            for i, stand_in in zip(missing, stand_ins, strict=True):
                results[i] = replace(stand_in, pending=True)
        return [result for result in results if result is not None]

    def close(self) -> None:
        """Closes files and the stand-in."""
        self._cache.close()
        self._pending.close()
        self._stand_in.close()

    def _row(
        self, request: TextRequest[Any], key: str, attempt: int, speculative: bool
    ) -> PendingRequest:
        body = chat_body(request, self._settings, attempt)
        prompt = [message["content"] for message in request.messages]
        return PendingRequest(
            key=key,
            task=request.task.name,
            record_id=request.record_id,
            inputs=json.dumps(dict(request.inputs)),
            seed=request.seed,
            attempt=attempt,
            body=json.dumps(body),
            prompt_tokens=sum(map(estimate_tokens, [*prompt, json.dumps(request.task.schema)])),
            completion_bound=self._settings.max_tokens,
            speculative=speculative,
        )
