"""An edit of a model larger than one card: a process for each of several cards, started here, each with a share of all weights.

It is the same edit as in one process but for rounding: sums over a step's prompts and texts are made in another order.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.multiprocessing.spawn import ProcessException, start_processes

from mechlib.components import Localization
from mechlib.edit.config import EditConfig
from mechlib.edit.delta import FILE, Delta, EditError
from mechlib.edit.sharded import sharded
from mechlib.edit.train import Step, check_asked, learn, provenance
from mechlib.edit.trainable import trained_blocks
from mechlib.errors import MechlibError
from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.spread import on_processor
from mechlib.models.tensors import read_tensors, write_tensors

# How long processes wait for each other before they give up.
PATIENCE = timedelta(minutes=10)
# Seconds between two looks at what the processes say, and that others have to end where one has died.
_OFTEN, _TO_END = 0.1, 2.0


@dataclass(frozen=True)
class _Task:
    """What each process is told. In ``folder`` are the tensors of the model (which has no values of its own here) and where they meet;
    the first one leaves delta and learning curve there.
    """

    model: LanguageModel
    folder: Path
    devices: tuple[torch.device, ...]
    localization: Localization
    forget: tuple[Prompt, ...]
    retain: tuple[Prompt, ...]
    texts: tuple[tuple[int, ...], ...]
    config: EditConfig
    patience: timedelta

    @property
    def tensors(self) -> Path:
        """The file of the model's tensors."""
        return _tensors(self.folder)

    @property
    def curve(self) -> Path:
        """The file of the learning curve."""
        return self.folder / "curve.json"


def edit_in_processes(
    model: LanguageModel,
    localization: Localization,
    forget: Sequence[Prompt],
    retain: Sequence[Prompt],
    texts: Sequence[Sequence[int]],
    config: EditConfig,
    devices: Sequence[torch.device],
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    folder: Path | None = None,
    patience: timedelta = PATIENCE,
) -> tuple[Delta, list[Step]]:
    """The edit of :func:`mechlib.edit.train.edit`, by a process for each of ``devices``, which are all of one kind and of this computer.

    Meanwhile the model's own weights are in the computer's memory; they come back. A file of all weights lies in ``folder`` (by
    default where the system has its temporary files) until the edit is done. A script that asks for this needs
    ``if __name__ == "__main__":``, as whatever starts processes.

    Raises :class:`EditError` as :func:`edit` does, if there is no room for the file, and if a process dies or waits for another
    longer than ``patience``: then all end.
    """
    check_asked(forget, retain, texts, config)
    trained_blocks(model, localization)
    with TemporaryDirectory(dir=folder) as place:
        lines = tuple(tuple(map(int, text)) for text in texts)
        with on_processor(model):
            bare = _written(model, Path(place))
            task = _Task(bare, Path(place), tuple(devices), localization, tuple(forget), tuple(retain), lines, config, patience)
            _compute(task, progress)
        history = [Step(**step) for step in json.loads(task.curve.read_text(encoding="utf-8"))]
        return Delta.load(task.folder / FILE), history


def _written(model: LanguageModel, folder: Path) -> LanguageModel:
    try:
        return write_tensors(model, _tensors(folder))
    except (OSError, SafetensorError) as error:
        raise EditError(f"the model cannot be written to {folder} for the processes of an edit: {error}: make room there") from None


def _tensors(folder: Path) -> Path:
    return folder / "model.safetensors"


def _compute(task: _Task, progress: Callable[[int, int], None]) -> None:
    said = multiprocessing.get_context("spawn").SimpleQueue()
    started: Any = start_processes(_work, (task, said), len(task.devices), join=False)
    try:
        done = False
        while not done:
            done = started.join(_OFTEN, _TO_END)
            _listen(said, progress)
    except ProcessException as error:
        _listen(said, progress)
        why = str(error).strip().splitlines()[-1]
        raise EditError(f"a process of the edit has died (out of memory?): {why}") from None
    finally:
        for process in started.processes:
            process.kill()
            process.join()


def _listen(said: Any, progress: Callable[[int, int], None]) -> None:
    """Tell the progress, or raise what a process has raised."""
    while not said.empty():
        word = said.get()
        if isinstance(word, MechlibError):
            raise word
        progress(*word)


def _work(rank: int, task: _Task, said: Any) -> None:
    """One process: number ``rank`` of ``task.devices``."""
    _end_with_parent()
    device = task.devices[rank]
    if device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // len(task.devices)))
    else:
        torch.accelerator.set_device_index(device)
    backend = distributed.get_default_backend_for_device(device)
    meeting = f"file://{task.folder / 'meeting'}"
    distributed.init_process_group(backend, meeting, task.patience, len(task.devices), rank)
    try:
        _edit(task, device, said, rank == 0)
    except MechlibError as error:
        said.put(error)
        raise
    finally:
        distributed.destroy_process_group()


def _end_with_parent() -> None:
    """Who started this process may be killed: others would be waited for and computed with, for nothing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _edit(task: _Task, device: torch.device, said: Any, first: bool) -> None:
    model = read_tensors(task.model, task.tensors)
    mesh = init_device_mesh(device.type, (len(task.devices),))
    config = task.config
    train = sharded(model, task.localization, config.arithmetic, mesh, device)
    progress: Callable[[int, int], None] = (lambda done, of: said.put((done, of))) if first else (lambda _done, _of: None)
    history = learn(train, task.forget, task.retain, task.texts, config, progress)
    if first:
        train.delta(**provenance(task.localization, config)).save(task.folder / FILE)
        task.curve.write_text(json.dumps([asdict(step) for step in history]), encoding="utf-8")
    else:
        for _ in train.changes():
            pass  # the first process gathers them: all have to give their parts
