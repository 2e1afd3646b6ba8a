"""The generator against a real OpenAI-compatible server: `transformers serve` and a tiny model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from builders.text.chat import read_completion
from tests.builders.text.support import generator, request

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} {{ message['content'] }} {% endfor %}"
)


def make_model(folder: Path) -> None:
    """A Llama with random weights and a tokenizer of words, saved to a folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", "<pad>", *"abcdefghijklmnopqrstuvwxyz", "You", "Say", "hello"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL and model name of the server."""
    folder = tmp_path_factory.mktemp("model")
    home = tmp_path_factory.mktemp("home")
    (home / "hub").mkdir()  # without it the server fails where it looks for models
    make_model(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
    log = (home / "log").open("wb")
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except urllib.error.HTTPError:
                break  # it answers, if only to say that it has no such address
            except OSError:
                text = (home / "log").read_text()
                assert process.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


@pytest.mark.slow
def test_a_real_server_is_asked_and_its_babble_refused(
    served: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, model = served
    came: list[str] = []

    def spy(body: bytes | str):
        completion = read_completion(body)
        came.append(completion.content)
        return completion

    monkeypatch.setattr("builders.text.answers.read_completion", spy)
    with generator(
        url, tmp_path, model=model, max_tokens=12, timeout=60.0, concurrency=2, max_retries=1
    ) as text:
        results = text.generate([request("hello", seed=1), request("hello", seed=2)])
        # A random model writes no JSON. The real completions got as far as validation.
        assert [r.error for r in results] == ["the answer is cut off (asked 3 times)"] * 2 or all(
            r.error and "JSON object" in r.error for r in results
        )
        assert text.usage.requests == 6
        assert text.usage.completion_tokens > 0
    assert len(came) == 6
    assert all(content.strip() for content in came)

    # With words of its own around JSON that the test puts there, the same path ends well.
    def helped(body: bytes | str):
        completion = read_completion(body)
        text = f'{completion.content} {{"text": "from the server"}} {completion.content}'
        return type(completion)(**{**vars(completion), "content": text})

    monkeypatch.setattr("builders.text.answers.read_completion", helped)
    with generator(url, tmp_path, model=model, max_tokens=12, timeout=60.0) as text:
        (result,) = text.generate([request("hello", seed=3)])
    assert result.error is None
    assert result.output is not None
    assert result.output.text == "from the server"
    assert result.model
