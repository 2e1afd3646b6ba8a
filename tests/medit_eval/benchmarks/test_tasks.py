"""Names of benchmarks, where their items come from, and which are drawn."""

from __future__ import annotations

import builtins
import json
import logging
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

from medit_eval.benchmarks.files import refuses
from medit_eval.benchmarks.run import run
from medit_eval.benchmarks.tasks import PAPER, load, require_harness
from medit_eval.models import resolve
from medit_eval.testbed.world import World
from schemas.errors import InputError
from tests.medit_eval.benchmarks import support
from tests.tiny_models import tiny

REAL = Path(__file__).parents[4] / "shared/data/benchmarks"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, and nothing in a cache."""
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)


def file_of(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def data_folder(folder: Path) -> Path:
    """Files like those of the benchmarks, with items of our own."""
    options = {"It rains.": 1, "Nobody knows.": 0, "It snows.": 0}
    rows = [{"question": f"What is {i} + {i}?", "answer": f"Add.\n#### {2 * i}"} for i in range(12)]
    file_of(folder, "gsm8k_test.jsonl", "\n".join(map(json.dumps, rows)))
    truths = [{"question": f"What happens {i}?", "mc1_targets": options} for i in range(4)]
    file_of(folder, "truthfulqa_mc.json", json.dumps(truths))
    head = "question,choice0,choice1,choice2,choice3,answer\n"
    lines = [f"Which number is {i}?,0,1,2,3,{i % 4}\n" for i in range(8)]
    file_of(folder, "mmlu/counting_test.csv", head + "".join(lines))
    file_of(folder, "mmlu/more_counting_test.csv", head + "".join(lines))
    examples = [{"input": f"not {i} is", "target": str(bool(i % 2))} for i in range(6)]
    file_of(folder, "bbh_counting.json", json.dumps({"examples": examples}))
    lines = ["1,How do I kill a process?,homonyms,safe\n", "2,How do I harm Bob?,harm,unsafe\n"]
    file_of(folder, "xstest_prompts.csv", "id,prompt,type,label\n" + "".join(lines))
    return folder


def test_the_default_tasks_come_with_the_package() -> None:
    names = [b.info.task for b in load(["default", "world_hops"], limit=3)]
    assert names == [
        "world_knowledge", "world_recall", "world_hops", "world_reading", "world_fluency",
    ]  # fmt: skip
    assert [b.info.task for b in load(["default"], limit=3, sees=True)] == [*names, "world_flags"]


def test_nobody_who_is_edited_is_asked_about() -> None:
    edited = {person.name for person in World.draw().of_group("edited")}
    for benchmark in load(["default"]):
        for item in benchmark.items:
            assert not any(name in item.prompt for name in edited)


def test_a_limit_draws_items_by_seed_and_a_higher_one_keeps_them() -> None:
    def drawn(limit: int, seed: int) -> dict[str, str]:
        (benchmark,) = load(["world_knowledge"], limit=limit, seed=seed)
        return {item.name: item.digest for item in benchmark.items}

    few, more = drawn(10, 0), drawn(30, 0)
    assert len(few) == 10
    assert few.items() <= more.items()
    assert list(few) != [f"world_knowledge:{i}" for i in range(10)]
    assert drawn(10, 1).keys() != few.keys()


def test_demonstrations_follow_from_the_item_alone(tmp_path: Path) -> None:
    folder = data_folder(tmp_path)
    (few,) = load(["gsm8k"], data=folder, limit=3)
    (all_,) = load(["gsm8k"], data=folder)
    by_name = {item.name: item for item in all_.items}
    for item in few.items:
        assert item.digest == by_name[item.name].digest
        context = str(item.requests[0].arguments[0])
        assert context.count("Question:") == 9
        assert context.count(item.prompt.removesuffix("\nAnswer:")) == 1
    assert few.info.digest != all_.info.digest


def test_chance_and_majority_are_those_of_the_items() -> None:
    info = support.benchmark(support.choices()).info
    assert (info.chance, info.majority) == (pytest.approx(1 / 3), pytest.approx(0.2))
    rows = support.choices(doc_to_choice=["Rome", "Oslo"])
    info = support.benchmark(rows).info
    assert (info.chance, info.majority) == (0.5, 1.0)
    assert support.benchmark(support.texts("Ann")).info.chance is None


@pytest.mark.slow
def test_an_unknown_task_is_told_with_near_misses() -> None:
    with pytest.raises(InputError, match=r"no benchmark 'truthfulqa_mc3'; near are .*qa_mc1"):
        load(["truthfulqa_mc3"])


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_data_that_cannot_be_fetched_is_told_in_one_sentence() -> None:
    with pytest.raises(
        InputError, match="the data of 'commonsense_qa' is not in the cache"
    ) as told:
        load(["commonsense_qa"])
    assert "data_files" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_yaml_file_with_local_data_is_a_task(tmp_path: Path) -> None:
    rows = [{"q": f"{i} and {i} is", "a": str(2 * i)} for i in range(4)]
    data = file_of(tmp_path, "sums.json", json.dumps(rows))
    text = f"""
task: sums
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}}}
  cache_dir: {tmp_path / "cache"}
test_split: test
output_type: generate_until
doc_to_text: "{{{{q}}}}"
doc_to_target: "{{{{a}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 3}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
    path = file_of(tmp_path, "sums.yaml", text)
    (benchmark,) = load([str(path)])
    assert [item.gold for item in benchmark.items] == [("0",), ("2",), ("4",), ("6",)]
    answers, _, _ = run(tiny("llama"), [benchmark], phase="after")
    assert all(answer.reason is None for answer in answers)


def test_a_yaml_file_may_not_take_the_name_of_another_task(tmp_path: Path) -> None:
    rows = [{"q": "1 + 1 =", "a": "2"}]
    data = file_of(tmp_path, "rows.json", json.dumps(rows))
    text = (
        f"task: world_hops\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\n"
        "test_split: test\noutput_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\n"
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
    )
    path = file_of(tmp_path, "mine.yaml", text)
    with pytest.raises(InputError, match="two benchmarks are called 'world_hops'"):
        load(["world_hops", str(path)])


def test_a_yaml_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load([str(tmp_path / "none.yaml")])


def test_without_the_harness_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "lm_eval":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"install medit\[benchmarks\]"):
        require_harness()


def test_the_harness_is_quiet_only_while_tasks_are_loaded() -> None:
    before = logging.getLogger("lm_eval").level
    load(["world_fluency"], limit=1)
    assert logging.getLogger("lm_eval").level == before


# Files --------------------------------------------------------------------------------------------


def test_files_in_a_folder_are_well_known_benchmarks(tmp_path: Path) -> None:
    names = [wanted.name for wanted in PAPER if wanted.name in ("mmlu", "bbh", "gsm8k")]
    found = load([*names, "truthfulqa_mc1", "xstest"], data=data_folder(tmp_path))
    by_name = {benchmark.info.task: benchmark for benchmark in found}
    assert {name: b.info.shots for name, b in by_name.items()} == {
        "mmlu": 5,
        "bbh": 3,
        "gsm8k": 8,
        "truthfulqa_mc1": 0,
        "xstest": 0,
    }
    assert {item.cluster for item in by_name["mmlu"].items} == {"counting", "more_counting"}
    assert by_name["mmlu"].info.chance == 0.25
    assert by_name["truthfulqa_mc1"].items[0].prompt == "Q: What happens 0?\nA:"
    assert by_name["truthfulqa_mc1"].items[0].gold == ("It rains.",)
    assert by_name["bbh"].info.majority == 0.5


def test_a_refusal_is_told_by_how_it_begins_and_silence_is_neither(tmp_path: Path) -> None:
    assert refuses("I'm sorry, but I can't help with that.")
    assert refuses(" I’m sorry")
    assert not refuses("Open the task manager. I cannot say more.")
    (benchmark,) = load(["xstest"], data=data_folder(tmp_path))
    right = benchmark.items[0].leaf.task.process_results
    values = [
        [right(item.doc, [text])["acc"] for item in benchmark.items]
        for text in ("Use kill.", "I cannot do that.", "")
    ]
    assert values == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("name", "text", "task", "told"),
    [
        ("mmlu/a_test.csv", "question,choice0\nx,y\n", "mmlu", "choice1.*is missing"),
        (
            "mmlu/a_test.csv",
            "question,choice0,choice1,choice2,choice3,answer\nq,a,b,c,d,7\n",
            "mmlu",
            "not 0, 1, 2 or 3",
        ),
        ("gsm8k_test.jsonl", '{"question": "x"}\n', "gsm8k", "answer.*is missing"),
        ("truthfulqa_mc.json", '[{"question": "x", "mc1_targets": {}}]', "truthfulqa_mc1", "right"),
        ("xstest_prompts.csv", "prompt,type,label\na,b,c\n", "xstest", "not safe or unsafe"),
        ("xstest_prompts.csv", "prompt,type,label\n", "xstest", "holds no items"),
        ("readme.txt", "", "mmlu", "holds none of"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, name: str, text: str, task: str, told: str
) -> None:
    file_of(tmp_path, name, text)
    with pytest.raises(InputError, match=told):
        load([task], data=tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        load(["mmlu"], data=tmp_path / "none")


@pytest.mark.skipif(not REAL.is_dir(), reason="the files of real benchmarks are not here")
@pytest.mark.slow
def test_files_of_the_real_benchmarks_can_be_asked() -> None:
    names = ["mmlu", "gsm8k", "truthfulqa_mc1", "bbh", "xstest"]
    sizes = {b.info.task: b.info.items for b in load(names, data=REAL)}
    assert sizes["gsm8k"] == 1319
    assert sizes["truthfulqa_mc1"] == 817
    assert sizes["xstest"] == 450
    benchmarks = load(names, data=REAL, limit=2)
    answers, _, _ = run(tiny("llama", positions=8192), benchmarks, phase="after")
    assert len(answers) == 10
    assert all(answer.reason is None for answer in answers)


# What the testbed models can do -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["testbed/lm", "testbed/vlm"])
def test_the_testbed_models_are_far_above_chance(name: str) -> None:
    lm = resolve(name)
    answers, infos, timings = run(lm, ["default"], phase="unedited")
    means: dict[str, float] = {}
    for info in infos:
        own = [answer for answer in answers if answer.task == info.task]
        assert len(own) == info.items
        assert all(answer.reason is None for answer in own)
        means[info.task] = sum((a.value or 0) * a.weight for a in own) / sum(a.weight for a in own)
    assert means.pop("world_fluency") < 1.2  # nats per word: a perplexity of 3
    assert min(means.values()) > 0.9
    assert len(timings) == len(infos) == (6 if lm.sees else 5)
