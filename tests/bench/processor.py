"""What the fast paths take on a processor, with the embedded model: ratios within one run."""

from __future__ import annotations

import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mechlib.attacks.registry import ATTACKS
from mechlib.components import Component, Localization
from mechlib.edit.train import EditConfig
from mechlib.facts import FORMATS, Prompt, athletes, prompts, split
from mechlib.models import LanguageModel, load, resolve
from mechlib.models.forward import answer_logits, tokenize
from mechlib.models.precision import Precision, fast_precision
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.pairs import make_pair
from mechlib.patching.scores import Scores
from mechlib.runs.progress import duration
from mechlib.runs.runner import Runner
from mechlib.runs.store import Store, default_store
from mechlib.runs.study import Study
from tests.bench.steps import Trained
from tests.bench.timing import median_seconds, say, seconds_of
from tests.helpers.brute_force import drawn_tokens
from tests.helpers.hooked import hooked


def stages(store: Store) -> None:
    """What the stored runs of the default study took, by stage."""
    study = Study()
    runner = Runner(study, store)
    attacks = (*ATTACKS, *(f"{name}_nulls" for name, attack in ATTACKS.items() if attack.nulls), "latent", "ripple")
    needs = ("know", "methods", "circuits", "localize", "edit", "prompting", "damage", *attacks)
    runs = {spec.id: spec for need in needs for _, spec in study.runs(need)}
    seconds: dict[str, list[float]] = {}
    for spec in runs.values():
        for needed in (*spec.inputs.values(), spec):
            if runner.store.has(needed):
                seconds.setdefault(needed.stage.name, [])
        if store.has(spec):
            seconds[spec.stage.name].append(store.read(spec).seconds)
    say("Stored runs of the default study (seconds as measured when they were made)")
    for stage, taken in seconds.items():
        if taken:
            say(f"  {stage:<10} {len(taken):>4} runs   median {statistics.median(taken):7.2f} s   together {duration(sum(taken))}")
    one = {"localization": (study.localizations or ())[0], "forget_set": 0, "seed": 0}
    evaluation = {
        need: [store.read(spec).seconds for columns, spec in study.runs(need) if store.has(spec) and one.items() <= columns.items()]
        for need in ("prompting", "damage", *attacks)
    }
    before = study.before(one["localization"], one["forget_set"], one["seed"])
    evaluation["answers before attacks"] = [store.read(before).seconds] if store.has(before) else []
    say(f"A whole evaluation of one edit: {duration(sum(map(sum, evaluation.values())))} "
        f"({', '.join(f'{need} {sum(taken):.0f} s' for need, taken in evaluation.items() if taken)})")  # fmt: skip
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
    found = Localization.of("bench", [Component(layer, "mlp") for layer in range(2, 7)], model.architecture)
    trained = Trained(model, found, forget, retain, [[2, *range(100, 124)] for _ in range(4)])
    settings = EditConfig(steps=6, retain_batch=32, learning_rate=1e-5, precision=fast_precision())
    plain = partial(trained.plain, list(model.network.parameters()))
    plain()
    # By turns: what else the machine does is shared fairly.
    taken = [(seconds_of(plain), trained.seconds(settings)) for _ in range(3)]
    slow, fast = statistics.median(seconds for seconds, _ in taken), statistics.median(one for _, steps in taken for one in steps)
    say(f"One step, 32 forget + 32 retain prompts and 2 texts: plain fp32 {slow:.2f} s, localized {fast:.2f} s: {slow / fast:.1f}x")
    rate, most = trained.operations(settings) / fast, matmul_rate(fast_precision())
    say(f"  it multiplies at {rate / 1e9:.0f} GFLOP/s, {rate / most:.0%} of what a product of matrices of its size reaches here in "
        f"{fast_precision()} ({most / 1e9:.0f} GFLOP/s)")  # fmt: skip


def matmul_rate(precision: Precision) -> float:
    """Operations a second of one product as large as an MLP's for 512 tokens."""
    left, right = (torch.randn(shape).to(getattr(torch, precision)) for shape in ((512, 640), (640, 2048)))
    return 2 * 512 * 640 * 2048 / median_seconds(lambda: left @ right, 50)


def patching(model: LanguageModel) -> None:
    """Exact patching of all heads and MLPs against TransformerLens's patching loop, and attribution against a plain forward pass."""
    from scipy.stats import spearmanr
    from transformer_lens import patching as lens

    asked = equally_long(model, 32)
    settings: dict[str, Any] = {"corruption": "tokens", "direction": "denoise", "seed": 0, "batch_size": 32}
    found: dict[str, Scores] = {}

    def exact(precision: str) -> None:
        found[precision] = activation_patching(model, asked, precision=precision, **settings)

    # Where the processor has no instructions for bfloat16, float32 is the fast way.
    taken = {precision: median_seconds(partial(exact, precision), 3) for precision in dict.fromkeys((fast_precision(), "float32"))}
    bridge, arch = hooked(model).bridge, model.architecture
    heads = pd.DataFrame([(layer, head) for layer in range(arch.n_layers) for head in range(arch.n_heads)], columns=["layer", "head"])
    mlps = pd.DataFrame([(layer,) for layer in range(arch.n_layers)], columns=["layer"])
    clean = torch.tensor(model.tokenizer([prompt.text for prompt in asked]).input_ids)
    pairs = [make_pair(model, asked[start : start + 32], "tokens", start) for start in (0,)]
    corrupted, options = torch.cat([drawn_tokens(model, pair) for pair in pairs]), torch.cat([pair.options for pair in pairs])

    def lead(logits: torch.Tensor) -> torch.Tensor:
        chosen = logits[:, -1].gather(1, options)
        return (chosen[:, 0] - chosen[:, 1:].mean(1)).mean()

    start = time.perf_counter()
    with torch.no_grad():
        _, cache = bridge.run_with_cache(clean)
        by_head = lens.get_act_patch_attn_head_out_all_pos(bridge, corrupted, cache, lead, index_axis_names=None, index_df=heads)
        by_mlp = lens.generic_activation_patch(bridge, corrupted, cache, lead, lambda _to, _at, frm: frm, "mlp_out", index_df=mlps)
    slow = time.perf_counter() - start
    sites = [Component(layer, "head", head) for layer, head in heads.itertuples(index=False)] + [Component(n, "mlp") for n in mlps.layer]
    theirs = [*by_head.tolist(), *by_mlp.tolist()]

    def agreement(precision: str) -> float:
        return spearmanr([found[precision].values[site] for site in sites], theirs).statistic

    what = f"{len(sites)} heads and MLPs, {len(asked)} prompts"
    say(f"Exact patching, {what}: TransformerLens's loop {slow:.1f} s ({slow / len(sites):.2f} s a site)")
    for precision, seconds in taken.items():
        say(f"  here in {precision} {seconds:.1f} s: {slow / seconds:.1f}x, Spearman {agreement(precision):.4f} with its float32 scores")
    padded = model.tokenizer([prompt.text for prompt in asked], return_tensors="pt")
    with torch.no_grad():
        plain = median_seconds(lambda: model.network(**padded, use_cache=False).logits, 3)
        ends = median_seconds(lambda: model.network(**padded, use_cache=False, logits_to_keep=1).logits, 3)
    for precision in taken:
        seconds = median_seconds(lambda precision=precision: attribution_patching(model, asked, precision=precision, **settings), 3)
        say(f"Attribution patching of all components in {precision} {seconds:.2f} s: {seconds / plain:.2f}x one plain forward pass "
            f"({plain:.2f} s), {seconds / ends:.2f}x one with the last logits only ({ends:.2f} s)")  # fmt: skip


def memory(model: LanguageModel) -> None:
    """Peak resident memory of attribution patching on longer and longer lists of prompts of one length."""
    peaks: list[str] = []
    # The same prompts again and again: longer names would make larger batches.
    some = equally_long(model, 32)
    for count in (32, 128, 512):
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
        asked = some * (count // len(some))
        attribution_patching(model, asked, corruption="tokens", direction="noise", seed=0)
        status = Path("/proc/self/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        peaks.append(f"{count} prompts {peak / 1e6:.2f} GB")
    say(f"Attribution patching, peak resident memory: {', '.join(peaks)}")


def equally_long(model: LanguageModel, count: int) -> list[Prompt]:
    """Prompts of the commonest length: TransformerLens's loop then needs no padding."""
    asked = prompts(athletes().facts, FORMATS["one_shot"])
    lengths = [len(tokens) for tokens in model.tokenizer([prompt.text for prompt in asked]).input_ids]
    common = statistics.mode(lengths)
    return [prompt for prompt, length in zip(asked, lengths, strict=True) if length == common][:count]


def main() -> None:
    """Everything, in a few minutes."""
    stages(default_store())
    start = time.perf_counter()
    model = load(resolve("gemma-3-270m"))
    say(f"Loading the cached model, its hash verified: {time.perf_counter() - start:.1f} s")
    memory(model)
    forward(model)
    step(model)
    patching(model)

