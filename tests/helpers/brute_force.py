"""The slow and obvious way to patch: plain hooks, one unpadded text at a time, nothing skipped or shared."""

from contextlib import ExitStack, contextmanager

import torch

from mechlib.components import heads_and_mlps
from mechlib.facts import FORMATS, athletes, prompts
from mechlib.patching.pairs import make_pair

# Subjects of two to four words: batches need padding.
SUBJECTS = ("Aaron Judge", "Amar'e Stoudemire", "LeBron James", "Patrick Mahomes")
PROMPTS = prompts([fact for fact in athletes() if fact.subject in SUBJECTS], FORMATS["one_shot"])

# What reads the heads, where it is not called as in Llama.
OUTPUT = {"gpt_neox": "attention.dense", "gpt2": "attn.c_proj"}


def module_of(model, component):
    """The module whose output (or for a head, whose input) is the component's activation."""
    layer = model.layers[component.layer]
    reader = layer.get_submodule(OUTPUT.get(model.config.model_type, "self_attn.o_proj"))
    if component.kind == "head":
        return reader
    after = "post_feedforward_layernorm" if component.kind == "mlp" else "post_attention_layernorm"
    has_post_norms = hasattr(layer, "post_feedforward_layernorm")
    return getattr(layer, after) if has_post_norms else (layer.mlp if component.kind == "mlp" else reader)


@contextmanager
def changing(model, component, change):
    """Pass the component's activation, for all positions, through ``change``."""
    module, width = module_of(model, component), model.architecture.d_head
    if component.kind == "head":
        columns = slice(component.index * width, (component.index + 1) * width)

        def before(_module, arguments):
            heads = arguments[0].clone()
            heads[..., columns] = change(heads[..., columns])
            return (heads,)

        handle = module.register_forward_pre_hook(before)
    else:
        handle = module.register_forward_hook(lambda _module, _inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def full_pass(model, stream):
    """Logits after one unpadded text that enters the first layer as ``stream``: no cache, nothing skipped."""
    handle = model.layers[0].register_forward_pre_hook(lambda _module, arguments: (stream[None], *arguments[1:]), prepend=True)
    try:
        return model.network(torch.zeros(1, len(stream), dtype=torch.long), use_cache=False).logits[0, -1]
    finally:
        handle.remove()


def streams(pair, row):
    """What enters the first layer for one text, clean and corrupted."""
    return tuple(entry.at(pair.packed.paths[row]) for entry in (pair.clean, pair.corrupted))


def without_positions(model, stream, positions):
    """What enters the first layer, without what a model adds for a token's position."""
    return stream - model.network.base_model.wpe.weight[positions] if model.family.learned else stream


def drawn_tokens(model, pair):
    """The tokens of the corrupted runs: those whose embeddings enter the first layer."""
    corrupted = torch.stack([streams(pair, row)[1] for row in range(len(pair.packed))])
    directions = torch.nn.functional.normalize(model.network.get_input_embeddings().weight, dim=-1)
    return (torch.nn.functional.normalize(corrupted, dim=-1) @ directions.T).argmax(-1)


def answer_lead(logits, options):
    return logits[options[0]] - logits[options[1:]].mean()


def outputs_of(model, stream, components):
    """Outputs of components in one run."""
    kept = {}
    with ExitStack() as stack:
        for component in components:
            stack.enter_context(changing(model, component, lambda output, at=component: kept.setdefault(at, output)))
        full_pass(model, stream)
    return kept


def lead_with(model, stream, replaced, options):
    """The answer's lead in a run with some outputs replaced by given ones."""
    with ExitStack() as stack:
        for component, output in replaced.items():
            stack.enter_context(changing(model, component, lambda _output, value=output: value))
        return answer_lead(full_pass(model, stream), options).item()


def loop_over_components(model, asked, corruption, direction, seed, batch_size):
    """Scores, and the mean clean and corrupted logit difference."""
    totals, ends = dict.fromkeys(heads_and_mlps(model.architecture), 0.0), [0.0, 0.0]
    for start in range(0, len(asked), batch_size):
        pair = make_pair(model, asked[start : start + batch_size], corruption, seed)
        for row in range(len(pair.packed)):
            clean, corrupted = streams(pair, row)
            base, source = (corrupted, clean) if direction == "denoise" else (clean, corrupted)
            plain = [answer_lead(full_pass(model, stream), pair.options[row]) for stream in (clean, corrupted)]
            ends = [end + value.item() for end, value in zip(ends, plain, strict=True)]
            unpatched = plain[1] if direction == "denoise" else plain[0]
            for component in totals:
                kept = []
                with changing(model, component, lambda output: kept.append(output) or output):
                    full_pass(model, source)
                with changing(model, component, lambda _output: kept[0]):
                    patched = answer_lead(full_pass(model, base), pair.options[row])
                totals[component] += (patched - unpatched).item()
    span = (ends[0] - ends[1]) * (1 if direction == "denoise" else -1)
    return {component: total / span for component, total in totals.items()}, [end / len(asked) for end in ends]
