"""The forward pass that everything shares, and where its speed comes from.

1. Logits only where an answer is read.
2. A prefix that all prompts share is computed once; its keys and values serve the whole batch.
3. Nothing below a given layer is computed again: an :class:`Entry` keeps the residual stream there.
4. The last layer's output projection and MLP compute only the positions where answers are read.

All four are exact, in forward and backward. Prompts are padded on the right: with causal attention
padding cannot reach a real token, so no attention mask is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers.cache_utils import DynamicCache

from mechlib.models.language_model import LanguageModel


@dataclass(frozen=True)
class TokenBatch:
    """Token ids of a batch of texts: the prefix that all share and what follows it in each."""

    prefix: Int[Tensor, " shared"]
    suffix: Int[Tensor, "text position"]
    lengths: Int[Tensor, " text"]

    def __len__(self) -> int:
        return self.suffix.shape[0]

    def __getitem__(self, rows: slice) -> TokenBatch:
        return TokenBatch(self.prefix, self.suffix[rows], self.lengths[rows])

    @property
    def last(self) -> Int[Tensor, " text"]:
        """Position, within the suffix, of each text's last token."""
        return self.lengths - 1


@dataclass(frozen=True)
class Entry:
    """The residual stream of a batch right before ``layer``."""

    layer: int
    prefix: Float[Tensor, "shared d_model"]
    suffix: Float[Tensor, "text position d_model"]

    def __getitem__(self, rows: slice) -> Entry:
        return Entry(self.layer, self.prefix, self.suffix[rows])


def token_batch(model: LanguageModel, sequences: Sequence[Sequence[int]], share_at_most: int | None = None) -> TokenBatch:
    """Split token sequences into their longest common prefix (at most so long) and the rest, padded on the right."""
    # At least one token of every text stays in the suffix: its last position is where answers are read.
    limit = min(len(sequence) for sequence in sequences) - 1
    limit = limit if share_at_most is None else min(limit, share_at_most)
    shared = 0
    while shared < limit and len({sequence[shared] for sequence in sequences}) == 1:
        shared += 1
    longest = max(len(sequence) for sequence in sequences)
    rows = [[*sequence[shared:], *[0] * (longest - len(sequence))] for sequence in sequences]
    lengths = [len(sequence) - shared for sequence in sequences]
    return TokenBatch(
        torch.tensor(list(sequences[0][:shared]), dtype=torch.long, device=model.device),
        torch.tensor(rows, dtype=torch.long, device=model.device),
        torch.tensor(lengths, dtype=torch.long, device=model.device),
    )


def tokenize(model: LanguageModel, texts: Sequence[str]) -> TokenBatch:
    """Tokenize texts (with the tokenizer's own special tokens) into a :class:`TokenBatch`."""
    return token_batch(model, model.tokenizer(list(texts)).input_ids)


def hidden_states(
    model: LanguageModel, batch: TokenBatch, entry: Entry | None = None, hooks: AbstractContextManager[Any] | None = None
) -> Float[Tensor, "text position d_model"]:
    """Final hidden states (after the last norm) at the suffix positions of a batch.

    ``hooks`` is active while the suffix is computed, and not for the shared prefix.
    """
    decoder, start = model.network.model, entry.layer if entry else 0
    cache = None
    if len(batch.prefix):
        cache = DynamicCache(config=model.network.config)
        with entering(model, start, entry.prefix[None] if entry else None):
            decoder(input_ids=batch.prefix[None], past_key_values=cache, use_cache=True)
        _fill(model, cache, start, len(batch.prefix))
        cache.batch_repeat_interleave(len(batch))
    with hooks or nullcontext(), entering(model, start, entry.suffix if entry else None):
        output = decoder(input_ids=batch.suffix, past_key_values=cache, use_cache=cache is not None)
    return output.last_hidden_state


def unembed(model: LanguageModel, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocabulary"]:
    """Logits in float32 of final hidden states, with the family's soft cap."""
    return _soft_capped(model, model.network.get_output_embeddings()(hidden).float())


def option_logits(
    model: LanguageModel, hidden: Float[Tensor, "text d_model"], options: Int[Tensor, "text option"]
) -> Float[Tensor, "text option"]:
    """Logits in float32 of each text's own few tokens: the unembedding is most of a small model's work."""
    rows = model.network.get_output_embeddings().weight[options].float()
    return _soft_capped(model, (rows * hidden.float()[:, None]).sum(-1))


def _soft_capped(model: LanguageModel, logits: Tensor) -> Tensor:
    cap = getattr(model.network.config.get_text_config(), "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)


def answer_hidden(
    model: LanguageModel, batch: TokenBatch, entry: Entry | None = None, hooks: AbstractContextManager[Any] | None = None
) -> Float[Tensor, "text d_model"]:
    """Final hidden state at each text's last token: where its answer is read."""
    texts = torch.arange(len(batch), device=batch.suffix.device)
    hidden = hidden_states(model, batch, entry, _both(hooks or nullcontext(), ending(model, texts, batch.last)))
    return hidden[texts, batch.last]


def answer_logits(
    model: LanguageModel, batch: TokenBatch, entry: Entry | None = None, hooks: AbstractContextManager[Any] | None = None
) -> Float[Tensor, "text vocabulary"]:
    """Logits of the token that follows each text."""
    return unembed(model, answer_hidden(model, batch, entry, hooks))


@torch.no_grad()
def residual_stream(
    model: LanguageModel, batch: TokenBatch, layers: Sequence[int], entry: Entry | None = None
) -> tuple[Entry, ...]:
    """The residual stream right before each of ``layers``, from one forward pass that ends at the last of them."""
    caught: dict[int, list[Tensor]] = {layer: [] for layer in layers}

    def catcher(layer: int) -> Any:
        return lambda _module, arguments: caught[layer].append(arguments[0].detach())

    handles = [model.layers[layer].register_forward_pre_hook(catcher(layer)) for layer in layers]
    try:
        with passing(model.layers[max(layers) :]):
            hidden_states(model, batch, entry)
    finally:
        for handle in handles:
            handle.remove()
    # With a shared prefix every layer runs twice: first for the prefix, then for the suffixes.
    return tuple(Entry(n, streams[0][0] if len(batch.prefix) else streams[0][0, :0], streams[-1]) for n, streams in caught.items())


def enter(model: LanguageModel, batch: TokenBatch, layer: int) -> Entry:
    """Compute the residual stream right before ``layer``, once, to start from it many times."""
    return residual_stream(model, batch, [layer])[0]


@contextmanager
def entering(model: LanguageModel, layer: int, stream: Tensor | None) -> Generator[None]:
    """Let the layers below ``layer`` pass their input on, and hand ``stream`` to ``layer``."""
    if stream is None:
        yield
        return
    # Before any other hook: whoever watches this layer must see the stream that really enters it.
    handle = model.layers[layer].register_forward_pre_hook(lambda _module, arguments: (stream, *arguments[1:]), prepend=True)
    try:
        with passing(model.layers[:layer]):
            yield
    finally:
        handle.remove()


@contextmanager
def ending(model: LanguageModel, texts: Int[Tensor, " read"], positions: Int[Tensor, " read"]) -> Generator[None]:
    """Let the last layer's output projection and MLP compute these places, all different, alone: nothing reads the others.

    They are zero there. A layer that computes again in the backward pass, when this is over, computes all.
    """
    layer = model.layers[-1]
    with ExitStack() as stack:
        if "forward" not in vars(layer):
            for module in (layer.self_attn.o_proj, layer.mlp):
                stack.enter_context(_replaced(module, partial(_at, texts, positions, module.forward)))
        yield


def _at(texts: Tensor, positions: Tensor, compute: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    outputs = compute(inputs[texts, positions][:, None])
    return outputs.new_zeros(*inputs.shape[:-1], outputs.shape[-1]).index_put((texts, positions), outputs[:, 0])


@contextmanager
def _both(first: AbstractContextManager[Any], second: AbstractContextManager[Any]) -> Generator[None]:
    with first, second:
        yield


@contextmanager
def _replaced(module: Any, forward: Callable[[Tensor], Tensor]) -> Generator[None]:
    own = vars(module).get("forward")
    vars(module)["forward"] = forward
    try:
        yield
    finally:
        del vars(module)["forward"]
        vars(module).update({} if own is None else {"forward": own})


@contextmanager
def passing(layers: Iterable[Any]) -> Generator[None]:
    """Let layers pass their input on instead of computing."""
    modules = list(layers)
    for module in modules:
        vars(module)["forward"] = _pass_on  # a bridged block forwards plain assignment to what it wraps
    try:
        yield
    finally:
        for module in modules:
            del vars(module)["forward"]


def _pass_on(hidden: Tensor, *_arguments: Any, **_options: Any) -> Tensor:
    return hidden


def _fill(model: LanguageModel, cache: DynamicCache, layers: int, length: int) -> None:
    """Give skipped layers a cache of the right length: the network reads positions off the first layer's."""
    shape = (1, model.architecture.n_key_value_heads, length, model.architecture.d_head)
    for layer in range(layers):
        nothing = torch.zeros(shape, device=model.device, dtype=model.network.dtype)
        cache.update(nothing, nothing, layer)
