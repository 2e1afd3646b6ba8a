from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, Field

from builders.fallback import WithFallback
from builders.text.protocol import TextTask
from builders.text.schema import strict_schema
from builders.text.settings import EndpointSettings, Secret
from schemas.errors import InputError
from tests.builders.text.support import ECHO, KEY, StandIn, request


def test_braces_in_values_are_data() -> None:
    assert request("{what} {0} {{x}}").messages[1]["content"] == "Say {what} {0} {{x}}."


def test_tuples_become_lines() -> None:
    assert request(("one", "two")).messages[1]["content"] == "Say one\ntwo."


def test_a_missing_input_is_named() -> None:
    with pytest.raises(InputError, match="'echo' has no input 'what'"):
        ECHO.render({"who": "me"})


def test_the_prompt_digest_depends_on_the_prompt_alone() -> None:
    digest = request("a").prompt_digest
    assert digest == request("a", seed=9, record="other").prompt_digest
    assert digest != request("b").prompt_digest
    other = replace(ECHO, system="You shout.")
    assert digest != replace(request("a"), task=other).prompt_digest


class Inner(BaseModel):
    kind: str = "plain"


class Nested(BaseModel):
    title: str
    inner: Inner = Field(default_factory=Inner, description="the inner one")
    many: list[Inner] = []


def test_the_schema_is_strict_at_every_depth() -> None:
    schema = strict_schema(Nested)
    assert schema["required"] == ["title", "inner", "many"]
    assert schema["properties"]["title"] == {"type": "string"}
    inner = {
        "type": "object",
        "properties": {"kind": {"type": "string"}},
        "additionalProperties": False,
        "required": ["kind"],
    }
    assert schema["$defs"]["Inner"] == inner
    assert schema["additionalProperties"] is False
    assert "default" not in str(schema)


def test_the_schema_agrees_with_the_client_library() -> None:
    from openai import pydantic_function_tool

    theirs: Any = pydantic_function_tool(Nested)["function"].get("parameters")
    ours = strict_schema(Nested)
    assert ours["required"] == theirs["required"]
    assert set(ours["$defs"]) == set(theirs["$defs"])


def test_fallback_answers_only_what_failed() -> None:
    class Half(StandIn):
        name = "openai"

        def generate(self, requests):
            good = super().generate(requests)
            return [
                replace(r, output=None, error="no luck") if i % 2 else r for i, r in enumerate(good)
            ]

    second = StandIn()
    both = WithFallback(Half(), second)
    results = both.generate([request(str(i), seed=i) for i in range(4)])
    assert [r.fallback for r in results] == [False, True, False, True]
    assert [r.error for r in results] == [None] * 4
    assert [r.seed for r in second.asked] == [1, 3]
    assert both.name == "openai"


def test_when_both_fail_both_reasons_are_given() -> None:
    first, second = StandIn("no luck"), StandIn("no rule")
    both = WithFallback(first, second)
    (result,) = both.generate([request()])
    assert result.error == "no luck; then offline: no rule"
    assert result.fallback
    assert result.output is None
    both.close()
    assert first.closed
    assert second.closed


def test_settings_come_from_arguments_before_the_environment() -> None:
    environ = {"MEDIT_MODEL": "a", "OPENAI_BASE_URL": "http://h/v1/", "OPENAI_API_KEY": f"{KEY}\n"}
    found = EndpointSettings.resolve(environ=environ)
    assert (found.model, found.base_url) == ("a", "http://h/v1")
    assert found.api_key is not None
    assert found.api_key.reveal() == KEY
    assert EndpointSettings.resolve(model="b", environ=environ).model == "b"


def test_a_missing_model_is_one_sentence() -> None:
    with pytest.raises(InputError, match=r"^no model is named: pass --model or set MEDIT_MODEL$"):
        EndpointSettings.resolve(environ={"OPENAI_API_KEY": KEY})


def test_openai_itself_wants_a_key_and_a_local_server_none() -> None:
    with pytest.raises(InputError, match="no API key"):
        EndpointSettings(model="m").require_key()
    EndpointSettings(model="m", base_url="http://127.0.0.1:1/v1").require_key()


@pytest.mark.parametrize(
    "url", ["host/v1", "ftp://h/v1", f"http://u:{KEY}@h/v1", f"http://h/v1?key={KEY}", ""]
)
def test_unfit_urls_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(InputError) as caught:
        EndpointSettings(model="m", base_url=url)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-a b", "sk-é-secret", "sk-\n-secret"])
def test_unfit_keys_are_refused_without_repeating_them(key: str) -> None:
    with pytest.raises(InputError) as caught:
        EndpointSettings(model="m", api_key=Secret(key))
    assert "secret" not in str(caught.value)


def test_the_key_shows_itself_nowhere() -> None:
    settings = EndpointSettings(model="m", api_key=Secret(KEY))
    shown = f"{settings} {settings!r} {settings.api_key} {settings.api_key!r} {vars(settings)}"
    assert KEY not in shown
    assert settings.mask(f"Bearer {KEY}") == "Bearer ***"


def test_tasks_compare_by_what_they_ask() -> None:
    assert TextTask("echo", "You repeat.", "Say {what}.", ECHO.output, ECHO.check) == ECHO
