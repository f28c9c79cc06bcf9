"""What the fast paths take and need on an accelerator, with a random model of Llama-3-8B's shape, and what a study takes there."""

from __future__ import annotations

import csv
import math
import re
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mechlib.attacks.finetuning import FineTuning, finetune, training_batches
from mechlib.components import Architecture, Component, Localization, heads_and_mlps, modules
from mechlib.edit.train import EditConfig
from mechlib.evals.answers import answer_prompts
from mechlib.facts import FORMATS, athletes, prompts, split
from mechlib.models import LanguageModel, ModelSpec, load, resolve, wrap
from mechlib.models.loading import default_device
from mechlib.models.precision import Precision
from mechlib.models.tokens import encode
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.runs.engines import at_once, place
from mechlib.runs.fitting import fitted
from mechlib.runs.manifest import code, machine
from mechlib.runs.memory import Memory, PromptBatch, Sizes
from mechlib.runs.plan import plan
from mechlib.runs.rates import calibrated
from mechlib.runs.store import Store
from mechlib.runs.study import Study
from tests.bench.steps import Trained
from tests.bench.timing import median_seconds, seconds_of
from tests.helpers.tiny_models import word_tokenizer

Say = Callable[[str], None]


@dataclass(frozen=True)
class Aim:
    """What a measurement should be; without bounds, whatever it is."""

    least: float = -math.inf
    most: float = math.inf

    def __str__(self) -> str:
        bounds = [f"at least {self.least:g}"] * math.isfinite(self.least) + [f"at most {self.most:g}"] * math.isfinite(self.most)
        return ", ".join(bounds)

    def met(self, value: float) -> str:
        """Whether a value is so; "" where nothing is asked for."""
        return ("yes" if self.least <= value <= self.most else "no") if str(self) else ""


@dataclass(frozen=True)
class Row:
    """One measurement."""

    what: str
    value: float
    unit: str = ""
    aim: Aim = field(default_factory=Aim)

    def __str__(self) -> str:
        asked = f" ({self.aim}: {self.aim.met(self.value)})" if str(self.aim) else ""
        return f"{self.what}: {self.value:.3g} {self.unit}".rstrip() + asked


@dataclass(frozen=True)
class Shape:
    """A random Llama of these sizes, the MLPs that fact lookup would edit, and how many facts are asked about."""

    sizes: Sizes
    lookup: tuple[int, ...]
    dtype: torch.dtype = torch.bfloat16
    facts: int = 32


LLAMA_3_8B = Shape(Sizes(Architecture(32, 32, 8, 4096, 128, 14336), 128_256, tied=False), (1, 2, 3, 4))
_PLAN = Aim(least=0.9, most=1.1)


def random_llama(shape: Shape, device: torch.device) -> LanguageModel:
    """Its weights are drawn where they are used."""
    arch, tokenizer, before = shape.sizes.architecture, word_tokenizer(), torch.get_default_dtype()
    config = LlamaConfig(
        vocab_size=shape.sizes.vocabulary, hidden_size=arch.d_model, intermediate_size=arch.d_mlp, num_hidden_layers=arch.n_layers,
        num_attention_heads=arch.n_heads, num_key_value_heads=arch.n_key_value_heads, head_dim=arch.d_head, bos_token_id=1,
        pad_token_id=0, eos_token_id=None, tie_word_embeddings=shape.sizes.tied,
    )  # fmt: skip
    torch.manual_seed(0)
    torch.set_default_dtype(shape.dtype)
    try:
        with device:
            network = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    return wrap(network, tokenizer, ModelSpec("random-llama", "folder", "random-llama", _name(shape)), "random-llama-0")


def measured(shape: Shape, device: torch.device, say: Say) -> list[Row]:
    """All that is about one large model."""
    model, rows = random_llama(shape, device), list[Row]()
    for part in (scores, steps, needs, adapters):
        for row in part(model, shape):
            rows.append(row)
            say(str(row))
    return rows


def scores(model: LanguageModel, shape: Shape) -> list[Row]:
    """Scores of all heads and MLPs, beside a plain forward pass of the same prompts."""
    asked = prompts(athletes().facts[: shape.facts], FORMATS["one_shot"])
    padded = model.tokenizer([prompt.text for prompt in asked], return_tensors="pt", padding=True).to(model.device)
    with torch.no_grad():
        plain = median_seconds(lambda: model.network(**padded, use_cache=False, logits_to_keep=1).logits)
    how: dict[str, Any] = {"corruption": "tokens", "direction": "denoise", "seed": 0, "batch_size": len(asked)}
    estimated, exact = (median_seconds(partial(patch, model, asked, **how), 3) for patch in (attribution_patching, activation_patching))
    return [
        Row(f"plain forward pass, {len(asked)} prompts", plain, "s"),
        Row("attribution patching of all components", estimated, "s"),
        Row("attribution patching in plain forward passes", estimated / plain, "x", Aim(most=4)),
        Row(f"exact patching of {len(heads_and_mlps(model.architecture))} heads and MLPs", exact, "s", Aim(most=3)),
    ]


def trained(model: LanguageModel, shape: Shape, layers: Sequence[int] | None) -> Trained:
    """An edit of half the facts, with as many held on to: MLPs of these layers, or (``None``) everything."""
    half = shape.facts // 2
    parts = split(athletes(), n_sets=1, set_size=half, n_localize=1, n_test=1, seed=0)
    asked = [prompts(facts, FORMATS["one_shot"]) for facts in (parts.forget[0].facts, parts.maintain_train.facts[:half])]
    where = modules(model.architecture) if layers is None else [Component(layer, "mlp") for layer in layers]
    return Trained(model, Localization.of("bench", where, model.architecture), *asked, [[1, *range(3, 27)] for _ in range(4)])


def steps(model: LanguageModel, shape: Shape) -> list[Row]:
    """A step of fact lookup's edit, beside a plain loop that trains the same weights, whole and in parts."""
    what, rows = trained(model, shape, shape.lookup), list[Row]()
    weights = [model.parameters[block.parameter] for component in what.found.components for block in component.weights(model.architecture)]
    rate = getattr(calibrated(model.device), _name(shape))
    for size in (None, max(1, shape.facts // 8)):
        settings = EditConfig(steps=8, retain_batch=shape.facts // 2, learning_rate=1e-6, micro_batch=size, precision=_precision(shape))
        fast = statistics.median(what.seconds(settings))
        slow = median_seconds(lambda size=size: what.plain(weights, size), 3)
        how = "all prompts at once" if size is None else f"in parts of {size}"
        rows += [Row(f"step of fact lookup's edit, {how}", fast, "s"), Row(f"of it in a plain loop, {how}", slow / fast, "x", Aim(least=4))]
        if size is None:
            rows.append(Row("its share of the rate of a large product", what.operations(settings) / fast / rate, aim=Aim(least=0.35)))
    return rows


def needs(model: LanguageModel, shape: Shape) -> list[Row]:
    """The peak of an edit's memory beside what is planned, in every mode; nothing where a device does not tell its peak."""
    if model.device.type == "cpu":
        return []
    rows: list[Row] = []
    for name, layers, most in (("fact lookup", shape.lookup, 22.0), ("nonlocalized", None, 78.0)):
        what = trained(model, shape, layers)
        for how in ({}, {"micro_batch": 1}, {"checkpointing": True}, {"optimizer": "adamw8bit"}):
            config = EditConfig(steps=3, retain_batch=shape.facts // 2, learning_rate=1e-6, precision=_precision(shape), **how)
            torch.accelerator.empty_cache()
            torch.accelerator.reset_peak_memory_stats()
            try:
                what.seconds(config)
                peak = torch.accelerator.max_memory_allocated() / 1e9
            except ImportError:
                continue  # no optimizer in 8 bits on this machine
            except torch.OutOfMemoryError:
                peak = math.inf  # more than this card has, which is an answer, too
            said = f"{name}, {', '.join(f'{key} {value}' for key, value in how.items()) or 'as usual'}"
            rows += [Row(f"peak memory: {said}", peak, "GB", Aim() if how else Aim(most=most)),
                     Row(f"planned, of the peak: {said}", planned(what, shape, config) / peak, "x", _PLAN)]  # fmt: skip
    return rows


def planned(what: Trained, shape: Shape, config: EditConfig) -> float:
    """Gigabytes that a plan says an edit needs."""
    model, components = what.model, what.found.components
    blocks = [block for component in components for block in component.weights(model.architecture)]
    lines = encode(model, [prompt.text for prompt in (*what.forget, *what.retain)])
    shared = next(number for number, column in enumerate(zip(*lines, strict=False)) if len({*column}) > 1)
    trains = sum(math.prod(block.shape) for block in blocks)
    batch = PromptBatch(len(lines), shared, max(map(len, lines)))
    layers = model.architecture.n_layers - min(component.layer for component in components)
    return Memory("bench", shape.sizes, _name(shape), config, batch, len(what.texts[0]), trains, layers, aside=trains).total / 1e9


def adapters(model: LanguageModel, shape: Shape) -> list[Row]:
    """A step of relearning with large adapters beside one with small ones, their drawing included."""
    half = prompts(athletes().facts[: shape.facts // 2], FORMATS["one_shot"])
    steps = 10

    def relearn(rank: int) -> None:
        batches = training_batches(model, [(half, len(half))], [[1, *range(3, 27)]], 1, seed=0)
        for _ in islice(finetune(model, batches, FineTuning(rank, 1e-4, steps), [steps], seed=0), 1):
            pass

    relearn(8)
    small, large = seconds_of(lambda: relearn(8)), seconds_of(lambda: relearn(512))
    return [Row("step of relearning, LoRA 8", small / steps, "s"), Row("of it with LoRA 512", large / small, "x", Aim(most=2))]


def study(asked: Study, say: Say) -> list[Row]:
    """The evidence of pages 5, 6 and 11, in as many processes as suit, and how many answers differ from the processor's."""
    wanted = [(asked, [spec for need in ("know", "edit", "prompting", "damage", "relearning") for _, spec in asked.runs(need)])]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        where = place(wanted, store, None)
        runs = fitted(wanted, store, where)
        made = plan(runs, store, where)

        def compute() -> None:
            with at_once(runs, store, lambda _line: None, made) as engine:
                engine.wait(runs)

        taken = seconds_of(compute)
    spec, facts = resolve(asked.model), prompts(athletes().facts[: asked.size.n_asked or 256], FORMATS["few_shot"])
    here, there = (answer_prompts(load(spec, device), facts) for device in (default_device(), torch.empty(0).device))
    differ = statistics.fmean(one.said != other.said for one, other in zip(here, there, strict=True))
    rows = [
        Row("processes at once", where.at_once),
        Row(f"evidence of pages 5, 6 and 11, {sum(made.missing.values())} runs", taken, "s", Aim(most=90)),
        Row(f"share of {len(facts)} answers that differ from the processor's", differ, aim=Aim(most=0.01)),
    ]
    for row in rows:
        say(str(row))
    return rows


def write(rows: Sequence[Row], folder: Path) -> Path:
    """The table of this card, with date and commit, as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^a-z0-9]+', '-', machine().lower()).strip('-')}.csv"
    made = {"card": machine(), "date": datetime.now(UTC).date().isoformat(), "commit": code()["commit"], "torch": torch.__version__}
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["what", "value", "unit", "aim", "met", *made])
        lines.writerows([row.what, f"{row.value:.4g}", row.unit, str(row.aim), row.aim.met(row.value), *made.values()] for row in rows)
    return path


def _name(shape: Shape) -> str:
    return str(shape.dtype).removeprefix("torch.")


def _precision(shape: Shape) -> Precision:
    return "bfloat16" if shape.dtype is torch.bfloat16 else "float32"
