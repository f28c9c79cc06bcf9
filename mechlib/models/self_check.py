"""Is every fast path of a loaded model right? It is compared with the plain network, and the model is refused where they differ.

No list of families can know what a model does beyond them: multipliers, windows, attention in both directions, scaled
positions, norms in other places. A few short texts show all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.errors import shown
from mechlib.models.families import Output, family
from mechlib.models.forward import answer_logits, hidden_at, hidden_states, option_logits, residual_stream
from mechlib.models.hooks import Place, hooks
from mechlib.models.language_model import LanguageModel, unchecked
from mechlib.models.packed import pack
from mechlib.models.table import ModelError, ModelSpec

# The most by which a path may differ: the root mean square of the difference over the standard deviation of what is right.
# Rounding alone gives less than half of it on tiny models (tested) and a third on Gemma 3 270M; what is wrong
# gives .1 and more, but for small parts such as a soft cap that no logit comes near.
TOLERANCES: Mapping[torch.dtype, float] = {torch.float32: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.1}
# Texts are longer than this, so that every window is seen.
_WINDOW = 3
# Tokens of each text, and how many of them are those of the first text.
_TEXTS = ((8, 8), (7, 4), (2, 2))


@dataclass(frozen=True)
class Plain:
    """What the plain network computes: final hidden states of all texts, one after the other, and logits at their ends."""

    hidden: Float[Tensor, "token d_model"]
    logits: Float[Tensor, "text vocabulary"]


def wrap(network: Any, tokenizer: Any, spec: ModelSpec, fingerprint: str) -> LanguageModel:
    """A :class:`LanguageModel` around a loaded network; of a multimodal network its text part.

    Raises :class:`ModelError` with one line for what is no network, a family that is not supported, and if any fast
    path differs from the plain network by more than its dtype's share in ``TOLERANCES``.
    """
    if not hasattr(network, "config"):
        raise ModelError(f"{shown(network)} is no loaded network: give one of transformers' models, or load(resolve(name))")
    most, learned = family(network.config).most_tokens(network.config.get_text_config()), family(network.config).learned
    network.eval()
    texts = _texts(network, tokenizer)
    if learned and most is not None and most < max(map(len, texts)):
        raise ModelError(f"{spec.name} is refused: it has {most} positions, too few for a prompt")
    with torch.no_grad(), _short_windows(network):
        expected = plain(network, texts)
        if not (expected.hidden.isfinite().all() and expected.logits.isfinite().all()):
            raise ModelError(f"{spec.name} is refused: its logits are not finite (damaged weights, or a dtype that is too narrow)")
        model = unchecked(network, tokenizer, spec, fingerprint)
        _refuse(model, differences(model, texts, expected))
    return model


def _refuse(model: LanguageModel, found: Iterable[tuple[str, float]]) -> None:
    most = TOLERANCES[model.network.dtype]
    for path, far in found:
        if not far <= most:  # it can be no number
            raise ModelError(
                f"{model.name} is refused: {path} differ from the plain network's by {far:.2g} standard deviations (at most {most:g}): "
                f"something in this '{model.config.model_type}' is not supported"
            )


def plain(network: Any, texts: Sequence[Sequence[int]]) -> Plain:
    """One text after the other through the network as transformers runs it."""
    device, hidden, logits = network.get_input_embeddings().weight.device, list[Tensor](), list[Tensor]()
    handle = network.base_model.register_forward_hook(lambda _module, _inputs, output: hidden.append(output.last_hidden_state[0]))
    try:
        for text in texts:
            ids = torch.tensor([text], device=device)
            said = network(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, logits_to_keep=1)
            logits.append(said.logits[0, -1])
    finally:
        handle.remove()
    return Plain(torch.cat(hidden).float(), torch.stack(logits).float())


def differences(model: LanguageModel, texts: Sequence[Sequence[int]], expected: Plain) -> Iterator[tuple[str, float]]:
    """How far each fast path is from the plain network: what is compared, and by how many standard deviations it differs."""
    packed = pack(model, texts, rows=1)
    everywhere, lengths = torch.cat(packed.paths), torch.tensor([len(path) for path in packed.paths], device=model.device)
    hidden, logits = expected.hidden, expected.logits
    at_ends, options = hidden[lengths.cumsum(0) - 1], logits.argsort(-1, descending=True)[:, :4]
    yield _far("hidden states of packed texts", lambda: hidden_states(model, packed).flatten(0, 1)[everywhere], hidden)
    outputs, last = dict[Place, Tensor](), list[Tensor]()
    handle = model.final_norm.register_forward_pre_hook(lambda _module, arguments: last.append(arguments[0]))
    try:
        yield _far("logits of the tokens that are read", lambda: answer_logits(model, packed, hooks=_keeping(model, outputs)), logits)
    finally:
        handle.remove()
    chosen = logits.gather(1, options)
    yield _far("logits of single options", lambda: option_logits(model, at_ends.to(model.network.dtype), options), chosen)
    start, *entries = residual_stream(model, packed, sorted({0, model.architecture.n_layers // 2, model.architecture.n_layers - 1}))
    for entry in entries:
        yield _far(
            f"hidden states from layer {entry.layer} on", lambda entry=entry: hidden_at(model, packed, packed.ends, entry), at_ends
        )

    def total() -> Tensor:
        written = (tensor.float() for (_, part), tensor in outputs.items() if part != "heads")
        return sum(written, start.stream.float()).flatten(0, 1)[packed.ends]

    yield _far("sums of all that is written to the residual stream", total, last[0].flatten(0, 1)[packed.ends])


def _keeping(model: LanguageModel, outputs: dict[Place, Tensor]) -> AbstractContextManager[None]:
    """Hooks on all heads, attention layers and MLPs that change nothing and keep everything."""
    parts: tuple[Output, ...] = ("heads", "attn", "mlp")
    places: list[Place] = [(layer, part) for layer in range(model.architecture.n_layers) for part in parts]

    def keeping(place: Place) -> Callable[[Tensor], None]:
        return lambda tensor: outputs.update({place: tensor})

    return hooks(model, {place: keeping(place) for place in places})


def _far(path: str, compute: Callable[[], Tensor], expected: Tensor) -> tuple[str, float]:
    try:
        found = compute().float()
    except Exception as error:  # whatever a network raises that is called in a way it does not know
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"the model is refused: {path} cannot be computed: {line}") from None
    distance = (found - expected.float()).square().mean().sqrt()
    return path, (distance / expected.float().std()).item() if distance else 0.0


def _texts(network: Any, tokenizer: Any) -> list[list[int]]:
    """Texts of ordinary tokens from all over the vocabulary that begin alike."""
    added = set(getattr(tokenizer, "added_tokens_decoder", {}))
    size = min(len(tokenizer), network.get_input_embeddings().weight.shape[0])
    ordinary = [token for token in range(size) if token not in added] or list(range(size))
    # Steps of the golden section: all apart, and in no order.
    drawn = iter([ordinary[int(len(ordinary) * (0.618034 * number % 1))] for number in range(1, 1 + sum(sum(pair) for pair in _TEXTS))])
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    first = [next(drawn) for _ in range(_TEXTS[0][0])]
    return [[*start, *first[:shared], *(next(drawn) for _ in range(length - shared))] for length, shared in _TEXTS]


@contextmanager
def _short_windows(network: Any) -> Generator[None]:
    """Within the block no layer with a window sees further back than a few tokens, as no text is as long as a model's window."""
    configs = {id(module.config): module.config for module in network.modules() if hasattr(module, "config")}
    configs = {key: config for key, config in configs.items() if (getattr(config, "sliding_window", None) or 0) > _WINDOW}
    own = {key: config.sliding_window for key, config in configs.items()}
    try:
        for config in configs.values():
            config.sliding_window = _WINDOW
        yield
    finally:
        for key, config in configs.items():
            config.sliding_window = own[key]
