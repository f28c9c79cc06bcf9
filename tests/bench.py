"""Time of each stage and of the fast paths, as ratios within one run: ``make bench``."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from mechlib.components import Component, Localization
from mechlib.edit.train import EditConfig, edit
from mechlib.facts import FORMATS, athletes, prompts, split
from mechlib.models import LanguageModel, load, resolve
from mechlib.models.forward import answer_logits, tokenize
from mechlib.runs.progress import duration
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store, default_root
from mechlib.runs.study import Study


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def median_seconds(work: Callable[[], object], times: int = 5) -> float:
    """Median over several calls, after one that warms up."""
    work()
    taken: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def stages(store: Store) -> None:
    """What the stored runs of the default study took, by stage."""
    study = Study()
    runner = Runner(study, store)
    runs = {spec.id: spec for need in ("know", "evidence", "localize", "edit", "prompting", "damage") for _, spec in study.runs(need)}
    seconds: dict[str, list[float]] = {}
    for spec in runs.values():
        for needed in (*spec.inputs.values(), spec):
            if runner.store.has(needed):
                seconds.setdefault(needed.stage, [])
        if store.has(spec):
            seconds[spec.stage].append(store.read(spec).seconds)
    say("Stored runs of the default study (seconds as measured when they were made)")
    for stage, taken in seconds.items():
        if taken:
            say(f"  {stage:<10} {len(taken):>4} runs   median {statistics.median(taken):7.2f} s   together {duration(sum(taken))}")
    missing = len(runs) - sum(store.has(spec) for spec in runs.values())
    if missing:
        say(f"  {missing} runs are not stored: make execute makes them")


def forward(model: LanguageModel) -> None:
    """The shared forward pass against a plain one with all logits."""
    texts = [prompt.text for prompt in prompts(athletes().facts[:64], FORMATS["one_shot"])]
    padded = model.tokenizer(texts, return_tensors="pt", padding=True, padding_side="right").to(model.device)
    batch = tokenize(model, texts)
    with torch.no_grad():
        plain = median_seconds(lambda: model.network(**padded, use_cache=False).logits, 3)
        shared = median_seconds(lambda: answer_logits(model, batch), 3)
    say(f"Forward, 64 prompts: plain with all logits {plain:.2f} s, shared prefix, answer logits {shared:.2f} s: {plain / shared:.1f}x")


def step(model: LanguageModel) -> None:
    """A step of a localized edit against a plain loop with all logits and all gradients."""
    parts = split(athletes(), n_sets=1, set_size=32, n_localize=1, n_test=1, seed=0)
    form = FORMATS["one_shot"]
    forget, retain = prompts(parts.forget[0].facts, form), prompts(parts.maintain_train.facts[:32], form)
    texts = [[2, *range(100, 124)] for _ in range(4)]
    found = Localization.of("bench", [Component(layer, "mlp") for layer in range(2, 7)], model.architecture)

    def localized(steps: int) -> float:
        start = time.perf_counter()
        edit(model, found, forget, retain, texts, EditConfig(steps=steps, retain_batch=32, learning_rate=1e-5))
        return time.perf_counter() - start

    localized(1)
    fast = (localized(5) - localized(1)) / 4

    padded = model.tokenizer([p.text for p in (*forget, *retain)], return_tensors="pt", padding=True, padding_side="right").to(model.device)
    general = torch.tensor(texts[:2], device=model.device)
    ends = padded.attention_mask.sum(1) - 1
    model.network.requires_grad_(True)

    def plain() -> None:
        model.network.zero_grad()
        logits = model.network(**padded, use_cache=False).logits
        labels = torch.full_like(ends, 5000)
        cross_entropy(logits[torch.arange(len(ends)), ends], labels).backward()
        lines = model.network(general, use_cache=False).logits
        cross_entropy(lines[:, :-1].flatten(0, 1), general[:, 1:].flatten()).backward()

    slow = median_seconds(plain, 3)
    model.network.zero_grad()
    model.network.requires_grad_(False)
    say(f"One step, 32 forget + 32 retain prompts and 2 texts: plain fp32 {slow:.2f} s, localized {fast:.2f} s: {slow / fast:.1f}x")


def main() -> None:
    """Everything, in a few minutes."""
    stages(Store(default_root()))
    start = time.perf_counter()
    model = load(resolve("gemma-3-270m"))
    say(f"Loading the cached model, its hash verified: {time.perf_counter() - start:.1f} s")
    forward(model)
    step(model)


if __name__ == "__main__":
    main()
