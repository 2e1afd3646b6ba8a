"""What a run writes down of how it came about: settings with their sources, model, machine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.digest import digest128

if TYPE_CHECKING:
    from editors.base import Editor
    from editors.lm import LM

GIVEN = "given by the user"
DEFAULT = "default of the class"
UNTOLD = "chosen by the editor for this model; it does not say where from"

_LONG = 200
"""Characters above which a setting is written down as its digest."""

_GIB = 1 << 30


@dataclass(frozen=True)
class Setting:
    """One hyperparameter of a run's editor.

    Attributes:
        name: Its name; that of a part's begins with the part's, as in `base.layers`.
        value: Its value as text.
        source: Where it is from.
    """

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Sitting:
    """One time that a run was worked on; a run that broke off has several.

    Attributes:
        started: ISO 8601 time at which it began.
        machine: The machine by property, in words. No name, address or path of it is among them.
        commit: The commit of this package, where it runs from a git checkout.
    """

    started: str
    machine: dict[str, str]
    commit: str | None


def settings_of(
    editor: Editor,
    *,
    chosen: Mapping[str, tuple[Any, str]],
    told: Mapping[str, str],
    by_name: bool,
) -> tuple[Setting, ...]:
    """Every setting of an editor, with its source.

    Args:
        editor: The editor.
        chosen: Options that the user gave or a search found: value and source of each.
        told: Sources that the editor or the scorer tells of, by setting.
        by_name: Whether the editor was made from its name; else the user made it.
    """
    found = []
    for name, value, default in _flat(editor, ""):
        own = name.rpartition(".")[2]
        if own in chosen:
            source = chosen[own][1]
        elif (where := told.get(name, told.get(own))) is not None:
            source = where
        elif default:
            source = DEFAULT
        else:
            source = UNTOLD if by_name else GIVEN
        found.append(Setting(name, value, source))
    kept = {setting.name.rpartition(".")[2] for setting in found}
    # What the editor keeps under no name of its own, such as a preset.
    found += [
        Setting(name, text_of(value), f"{source}; other settings follow from it")
        for name, (value, source) in chosen.items()
        if name not in kept
    ]
    return tuple(found)


def _flat(part: Any, prefix: str) -> Iterator[tuple[str, str, bool]]:
    """Name, value and whether that is the default, of all settings of an editor or a part of it."""
    if not dataclasses.is_dataclass(part):
        return
    for field in dataclasses.fields(part):
        value, name = getattr(part, field.name), f"{prefix}{field.name}"
        if field.name == "name" and not prefix:
            continue
        is_part = dataclasses.is_dataclass(value) and not isinstance(value, type)
        if is_part and not isinstance(getattr(value, "digest", None), str):
            yield from _flat(value, f"{name}.")
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        text = text_of(value)
        yield name, text, default is not dataclasses.MISSING and text_of(default) == text


def text_of(value: Any) -> str:
    """A setting as text; what is long or has no better form is a digest."""
    digest = getattr(value, "digest", None)
    if isinstance(digest, str):  # a corpus
        names = (type(value).__name__, getattr(value, "repo", None))
        return f"{' '.join(str(name) for name in names if name)}, digest {digest}"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple) and len(value) <= 64:
        return f"[{', '.join(map(text_of, value))}]"
    text = value if isinstance(value, str) else re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return text if len(text) <= _LONG else f"digest {digest128(text)}"


def model_of(lm: LM) -> dict[str, Any]:
    """What a model is like: type, layers, width, parameters, dtype, digest, whether it can chat."""
    counts: dict[str, int] = {}
    for parameter in lm.model.parameters():
        kind = str(parameter.dtype).removeprefix("torch.")
        counts[kind] = counts.get(kind, 0) + parameter.numel()
    return {
        "type": str(lm.config.model_type),
        "layers": len(lm.anatomy.blocks),
        "width": int(lm.anatomy.hidden_size),
        "parameters": sum(counts.values()),
        "dtype": " and ".join(sorted(counts, key=lambda kind: -counts[kind])),
        "weights": lm.digest(),
        "sees": lm.sees,
        "chat_template": bool(getattr(lm.processor or lm.tokenizer, "chat_template", None)),
    }


def sitting(lm: LM, started: str) -> Sitting:
    """This process, as one sitting of a run."""
    import torch

    found: dict[str, str] = {}
    devices = sorted({str(parameter.device) for parameter in lm.model.parameters()})
    found["device"] = ", ".join(dict.fromkeys(_device(name) for name in devices))
    if len(devices) > 1:
        found["devices"] = str(len(devices))
    if any(not name.startswith("cpu") for name in devices):
        found["processor"] = _processor()
    found["cores"] = str(_cores())
    found["threads"] = str(torch.get_num_threads())
    with contextlib.suppress(ValueError, OSError, AttributeError):
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found["memory"] = f"{pages / _GIB:.0f} GiB"
    found["system"] = f"{platform.system()} {platform.machine()}"
    return Sitting(started, found, commit())


def commit(root: Path | None = None) -> str | None:
    """The commit that this package runs from, and whether files differ; None outside a checkout.

    Args:
        root: The folder that holds the packages; that of this one by default.
    """
    root = root or Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():  # a package that lies inside somebody else's checkout
        return None
    head = _git(root, "rev-parse", "HEAD")
    if not head:
        return None
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return f"{head}, with changes" if changed else head


def _git(root: Path, *words: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _device(name: str) -> str:
    if not name.startswith("cuda"):
        return _processor() if name.startswith("cpu") else name
    import torch

    known = torch.cuda.get_device_properties(name)
    return f"{known.name} ({known.total_memory / _GIB:.0f} GiB)"


def _processor() -> str:
    """The processor's name, or its architecture where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.lower().startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
