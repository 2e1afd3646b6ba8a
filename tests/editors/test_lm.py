from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from editors.lm import LM, _out_of_memory
from editors.prompts import Query
from schemas.errors import InputError
from schemas.images import EncodedImage
from tests.factories import make_image
from tests.tiny_models import FAMILIES, VISION, tiny

SHORT = Query("The capital of France is")
LONG = Query("What country is shown? Ann Smith was born in")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_gives_what_single_queries_give(family: str) -> None:
    lm = tiny(family)
    together = lm.score([SHORT, LONG], ["Paris", "Rome or so"])
    apart = [lm.score([SHORT], ["Paris"])[0], lm.score([LONG], ["Rome or so"])[0]]
    for one, other in zip(together, apart, strict=True):
        assert one.ids == other.ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert one.top[0] == other.top[0]
    texts = lm.generate([SHORT, LONG], max_new_tokens=6)
    assert texts == [lm.generate([q], max_new_tokens=6)[0] for q in (SHORT, LONG)]


@pytest.mark.parametrize("family", VISION)
def test_pictures_are_seen_alone_and_in_batches(family: str) -> None:
    lm = tiny(family)
    queries = [Query("What country is shown?", make_image(i)) for i in (1, 2)]
    mixed = lm.score([queries[0], SHORT, queries[1]], ["Rome", "Paris", "Rome"])
    for query, found in zip(queries, (mixed[0], mixed[2]), strict=True):
        assert found.logprobs == pytest.approx(lm.score([query], ["Rome"])[0].logprobs, abs=1e-4)
    assert mixed[0].logprobs != pytest.approx(mixed[2].logprobs, abs=1e-4)
    blind = lm.score([Query(queries[0].prompt)], ["Rome"])[0]
    assert mixed[0].logprobs != pytest.approx(blind.logprobs, abs=1e-4)
    batch = lm.encode(queries)
    assert (batch.image_mask.sum(1) == 4).all()
    assert (batch.prompt_mask | ~batch.image_mask).all()


@pytest.mark.parametrize("family", ["gpt2", "llama", "llava"])
def test_likelihoods_are_those_of_the_plain_text(family: str) -> None:
    lm = tiny(family)
    text = f"{SHORT.prompt} Paris"
    whole = lm.tokenizer(text, return_tensors="pt")["input_ids"]
    logprobs = lm.model(input_ids=whole).logits.log_softmax(-1)[0]
    (found,) = lm.score([SHORT], ["Paris"], top=3)
    n = len(found.ids)
    assert whole[0, -n:].tolist() == list(found.ids)
    for i, (token, value) in enumerate(zip(found.ids, found.logprobs, strict=True)):
        at = whole.shape[1] - n + i - 1
        assert value == pytest.approx(float(logprobs[at, token]), abs=1e-4)
        assert list(found.top[i]) == logprobs[at].topk(3).indices.tolist()
    assert found.total == pytest.approx(sum(found.logprobs))
    assert found.mean == pytest.approx(found.total / n)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in ("blip2", "instructblip")])
def test_generation_is_the_repeated_best_token(family: str) -> None:
    lm = tiny(family)
    ids = lm.tokenizer(LONG.prompt, return_tensors="pt")["input_ids"]
    start = ids.shape[1]
    for _ in range(5):
        logits = lm.model(input_ids=ids).logits
        ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
    text = lm.tokenizer.decode(ids[0, start:], skip_special_tokens=True)
    assert lm.generate([LONG], max_new_tokens=5, stop=()) == [text.strip()]


def test_generation_ends_at_a_stop_string() -> None:
    lm = tiny("llama")
    (free,) = lm.generate([SHORT], max_new_tokens=12, stop=())
    mark = free[3]
    (cut,) = lm.generate([SHORT], max_new_tokens=12, stop=(mark,))
    assert cut == free[: free.index(mark)].rstrip()


def test_results_keep_the_order_of_queries_whatever_the_batch_size() -> None:
    lm = tiny("gpt2")
    queries = [Query("word " * n + "end") for n in (5, 1, 3, 9, 2)]
    expected = lm.generate(queries, max_new_tokens=3)
    lm.batch_size = 2
    assert lm.generate(queries, max_new_tokens=3) == expected


@pytest.mark.parametrize(
    ("query", "subject", "token"),
    [
        (Query("Ann Smith was born in"), "Ann Smith", "Smith"),
        (Query("Ann said that Ann was"), "Ann", "Ann"),
        (Query("She is Ann Smith"), "Ann Smith", "Smith"),
        (Query("Ann lives", context="Bob lives. "), "Ann", "Ann"),
    ],
)
@pytest.mark.parametrize("prompt_format", ["plain", "qa", "chat"])
def test_lookup_finds_the_subjects_last_token(
    query: Query, subject: str, token: str, prompt_format: Any
) -> None:
    lm = tiny("llama", prompt_format=prompt_format, chat=True)
    ids = lm.encoder.token_ids(query)
    back = lm.encoder.lookup(query, subject)
    before = lm.tokenizer.decode(ids[: len(ids) - back + 1])
    assert before.endswith(token)
    assert not lm.tokenizer.decode(ids[: len(ids) - back]).endswith(token)
    # The last occurrence counts.
    assert token not in lm.tokenizer.decode(ids[len(ids) - back + 1 :])


def test_lookup_counts_the_same_with_a_picture() -> None:
    lm = tiny("llava")
    words = "Ann Smith is shown"
    seen, blind = Query(words, make_image(1)), Query(words)
    assert lm.encoder.lookup(seen, "Ann Smith") == lm.encoder.lookup(blind, "Ann Smith")
    batch = lm.encode([seen])
    column = batch.prompt_end - lm.encoder.lookup(seen, "Ann Smith")
    assert lm.tokenizer.decode(batch.inputs["input_ids"][0, : column + 1]).endswith("Smith")


def test_lookup_without_a_subject_is_the_last_token_and_a_wrong_one_is_refused() -> None:
    lm = tiny()
    assert lm.encoder.lookup(SHORT, None) == 1
    for subject in ("Bob", "", " "):
        with pytest.raises(InputError, match="is not in the prompt"):
            lm.encoder.lookup(SHORT, subject)


def test_prompt_formats_write_what_they_say() -> None:
    query = Query("Who?", context="Bob did it.\n")
    assert tiny("gpt2").renderer.render(query) == "Bob did it.\nWho?"
    asked = tiny("gpt2", prompt_format="qa").renderer.render(query)
    assert asked == "Bob did it.\nQuestion: Who?\nAnswer:"
    chat = tiny("gpt2", prompt_format="chat", chat=True).renderer
    assert chat.render(query) == "<s>user: Bob did it.\nWho?\nassistant: "
    assert chat.separator == ""
    seen = tiny("llava", prompt_format="chat", chat=True).renderer
    assert seen.render(Query("Who?", make_image(1))) == "<s>user: <image>Who?\nassistant: "


@pytest.mark.parametrize(("prompt_format", "reason"), [("chat", "chat template"), ("x", "unknown")])
def test_formats_that_do_not_suit_are_refused(prompt_format: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        tiny("gpt2", prompt_format=prompt_format)


def test_what_a_model_cannot_be_asked() -> None:
    lm = tiny("gpt2", positions=16)
    with pytest.raises(InputError, match="a text model cannot be asked about a picture"):
        lm.generate([Query("What?", make_image(1))], max_new_tokens=2)
    with pytest.raises(InputError, match="exceed the model's 16"):
        lm.generate([Query("word " * 40)])
    with pytest.raises(InputError, match="is empty"):
        lm.score([SHORT], [""])
    with pytest.raises(InputError, match="not an image of a known format"):
        tiny("llava").generate([Query("What?", EncodedImage(b"no picture"))])


@pytest.mark.parametrize("given", [64, None])
def test_memory_that_runs_out_halves_the_batch(
    given: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tiny("gpt2")
    lm.batch_size = given
    queries = [Query(f"word {i}") for i in range(7)]
    expected = lm.generate(queries, max_new_tokens=2)
    whole, tried = lm.encoder.encode, []

    def narrow(chosen: Any, targets: Any = ()) -> Any:
        tried.append(len(chosen))
        if len(chosen) > 3:
            raise torch.OutOfMemoryError("no room")
        return whole(chosen, targets)

    monkeypatch.setattr(type(lm.encoder), "encode", lambda _, *args: narrow(*args))
    assert lm.generate(queries, max_new_tokens=2) == expected
    assert tried == [7, 3, 3, 1]
    assert lm.batch_size == (3 if given else None)
    lm.generate(queries, max_new_tokens=2)
    assert tried[4:] == [3, 3, 1]


def test_memory_that_runs_out_over_answers_to_one_question_halves_them_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lm = tiny("gpt2")
    answers = [f"word {i}" for i in range(7)]
    expected = lm.score([SHORT] * 7, answers)
    whole = lm.encoder.continued

    def narrow(batch: Any, rows: Any, targets: Any) -> Any:
        if len(rows) > 3:
            raise torch.OutOfMemoryError("no room")
        return whole(batch, rows, targets)

    monkeypatch.setattr(type(lm.encoder), "continued", lambda _, *args: narrow(*args))
    lm.batch_size = 64
    found = lm.score([SHORT] * 7, answers)
    assert lm.batch_size <= 3
    for one, other in zip(found, expected, strict=True):
        assert one.ids == other.ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def test_memory_of_any_kind_that_runs_out_is_known_as_such() -> None:
    """What the processor's allocator says on this system, and what libraries of CUDA say."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55)
    assert _out_of_memory(caught.value)
    assert _out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert _out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"))
    assert not _out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_a_batch_that_failed_is_let_go_before_it_is_tried_again() -> None:
    lm, held = tiny("gpt2"), []

    class Large:
        pass

    def run(chosen: list[int]) -> list[int]:
        assert not [one for one in held if one() is not None]
        large = Large()
        held.append(weakref.ref(large))
        if len(chosen) > 1:
            raise torch.OutOfMemoryError("no room")
        return chosen

    gc.disable()  # what a cycle held would be held on a device as well
    try:
        assert lm.in_batches([3, 1, 2], run, size=lambda i: (0, i)) == [3, 1, 2]
    finally:
        gc.enable()


def test_rows_of_other_length_do_not_share_a_batch() -> None:
    lm, seen = tiny("gpt2"), []

    def run(chosen: list[int]) -> list[int]:
        seen.append(chosen)
        return chosen

    lengths = [*range(8, 20), 420, 5, 400]
    assert lm.in_batches(lengths, run, size=lambda n: (True, n)) == lengths
    assert seen == [[5, *range(8, 20)], [400, 420]]


def test_tf32_is_of_forwards_alone_and_goes_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, seen = tiny("gpt2"), []
    forward = lm.model.forward

    def watched(*args: Any, **options: Any) -> Any:
        seen.append(torch.get_float32_matmul_precision())
        return forward(*args, **options)

    monkeypatch.setattr(lm.model, "forward", watched)
    expected = lm.score([SHORT], ["Paris"])
    fast = lm.in_tf32()
    assert fast.in_tf32() is fast
    assert fast.asked_in("qa").tf32
    found = fast.score([SHORT], ["Paris"])
    fast.generate([SHORT], max_new_tokens=2)
    assert seen[0] == "highest"
    assert set(seen[1:]) == {"high"}
    assert torch.get_float32_matmul_precision() == "highest"
    assert found[0].logprobs == pytest.approx(expected[0].logprobs, abs=1e-2)
    monkeypatch.setattr(lm.model, "forward", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fast.score([SHORT], ["Paris"])
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("family", ["gpt2", "llava"])
def test_a_saved_model_loads_and_answers_alike(family: str, tmp_path: Path) -> None:
    lm = tiny(family)
    lm.model.save_pretrained(tmp_path)
    (lm.processor or lm.tokenizer).save_pretrained(tmp_path)
    again = LM.load(tmp_path, device="cpu")
    assert again.digest() == lm.digest()
    assert again.generate([SHORT], max_new_tokens=4) == lm.generate([SHORT], max_new_tokens=4)
    assert again.sees == lm.sees


def test_the_revision_after_an_at_sign_is_the_one_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache of the Hub's with two revisions of a model."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--someone--small"
    models = {"main": tiny("gpt2"), "v2": tiny("gpt2", seed=1)}
    for i, (name, lm) in enumerate(models.items()):
        commit = str(i) * 40
        (repository / "refs").mkdir(parents=True, exist_ok=True)
        (repository / "refs" / name).write_text(commit)
        lm.model.save_pretrained(repository / "snapshots" / commit)
        lm.tokenizer.save_pretrained(repository / "snapshots" / commit)
    assert models["main"].digest() != models["v2"].digest()
    for source, name in (
        ("someone/small", "main"),
        ("someone/small@v2", "v2"),
        (f"someone/small@{'1' * 40}", "v2"),
    ):
        found = LM.load(source, device="cpu")
        assert (found.digest(), found.name) == (models[name].digest(), source)
    with pytest.raises(InputError, match="'someone/small@gone' cannot be loaded"):
        LM.load("someone/small@gone")


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path: Path) -> None:
    lm, folder = tiny("gpt2"), tmp_path / "model@home"
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    assert LM.load(folder, device="cpu").digest() == lm.digest()


def test_pickles_and_missing_models_are_refused(tmp_path: Path) -> None:
    lm = tiny("gpt2")
    lm.model.config.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    torch.save(lm.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        LM.load(tmp_path)
    with pytest.raises(InputError, match="cannot be loaded"):
        LM.load(tmp_path / "nowhere")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pictured", [False, True])
def test_a_prompt_read_once_for_several_answers_gives_the_same(family: str, pictured: bool) -> None:
    if pictured and family not in VISION:
        pytest.skip("reads no pictures")
    lm = tiny(family)
    first, second = (
        Query(q.prompt, make_image(i) if pictured else None) for i, q in enumerate((SHORT, LONG))
    )
    asked = [first, second, first, SHORT, second, first]
    answers = ["Paris", "Rome or so", "Rome", "Paris", "Paris, France and Rome", "a"]
    together = lm.score(asked, answers, top=3)
    with lm.unshared():
        apart = lm.score(asked, answers, top=3)
    for one, other in zip(together, apart, strict=True):
        assert one.ids == other.ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert len(one.top) == len(other.top)


def test_prompts_shared_by_several_answers_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("gpt2")
    read: list[int] = []
    model = lm.model.forward

    def counted(input_ids: torch.Tensor, **options: Any) -> Any:
        read.append(input_ids.numel())
        return model(input_ids=input_ids, **options)

    monkeypatch.setattr(lm.model, "forward", counted)
    lm.score([LONG] * 20, [f"{n} of Rome" for n in range(20)])
    shared = sum(read)
    read.clear()
    with lm.unshared():
        lm.score([LONG] * 20, [f"{n} of Rome" for n in range(20)])
    assert shared < sum(read) / 2


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pictured", [False, True])
def test_a_reply_is_what_is_written_and_scored_apart(family: str, pictured: bool) -> None:
    if pictured and family not in VISION:
        pytest.skip("reads no pictures")
    lm = tiny(family)
    queries = [
        Query(q.prompt, make_image(i) if pictured else None) for i, q in enumerate((SHORT, LONG))
    ]
    answers = [["Paris", None], [None, "Rome or so", "Rome"]]
    together = lm.reply(queries, answers, max_new_tokens=5, top=3)
    with lm.unshared():
        apart = lm.reply(queries, answers, max_new_tokens=5, top=3)
    for one, other in zip(together, apart, strict=True):
        assert one.text == other.text
        for mine, theirs in zip(one.likelihoods, other.likelihoods, strict=True):
            assert mine is not None
            assert theirs is not None
            assert mine.ids == theirs.ids
            assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)


def test_answers_leave_the_batch_where_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny("llama")
    queries = [SHORT, LONG, Query("What")]
    free = lm.generate(queries, max_new_tokens=12, stop=())
    mark = free[0][2]
    read: list[int] = []
    run = LM.run

    def counted(self: LM, batch: Any, **options: Any) -> Any:
        read.append(len(batch.queries))
        return run(self, batch, **options)

    monkeypatch.setattr(LM, "run", counted)
    cut = lm.generate(queries, max_new_tokens=12, stop=(mark,))
    assert cut == [text.split(mark)[0].rstrip() for text in free]
    assert read[0] == 3
    assert read == sorted(read, reverse=True)
    assert read[-1] < 3


def test_a_model_with_rules_for_decoding_keeps_to_them() -> None:
    lm = tiny("gpt2")
    plain = lm.generate([LONG], max_new_tokens=12, stop=())
    lm.model.generation_config.repetition_penalty = 50.0
    assert lm.generate([LONG], max_new_tokens=12, stop=()) != plain
    with lm.unshared():
        penalised = lm.generate([LONG], max_new_tokens=12, stop=())
    assert lm.generate([LONG], max_new_tokens=12, stop=()) == penalised
    (reply,) = lm.reply([LONG], [[None]], max_new_tokens=12, stop=())
    assert reply.text == penalised[0]


def test_an_empty_answer_has_no_likelihood_and_a_blank_one_is_refused() -> None:
    lm = tiny("gpt2")
    (first,) = lm.generate([SHORT], max_new_tokens=1, stop=())
    (reply,) = lm.reply([SHORT], [["Paris", None]], max_new_tokens=1, stop=(first[:1],))
    assert reply.text == ""
    assert reply.likelihoods[0] is not None
    assert reply.likelihoods[1] is None
    with pytest.raises(InputError, match="is empty"):
        lm.reply([SHORT], [[" "]])
