"""Losses of an edit (the paper, section 4), from final hidden states, without a graph over the vocabulary.

The unembedding is never trained, so the gradient of a loss with respect to the hidden state is a
closed form: its slope over the logits times the unembedding. It is computed together with the
loss, row by row in chunks; autograd would keep and copy several tensors of vocabulary size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.models.forward import hidden_at
from mechlib.models.language_model import LanguageModel
from mechlib.models.packed import Packed

# A fact with a log-probability below this counts as unlearned (the authors' threshold).
FORGOTTEN = -5.0
_CHUNK = 128

# Losses of a chunk of rows and their slopes over its logits. Free to overwrite the logits.
_Score = Callable[[Tensor, slice], tuple[Tensor, Tensor]]


class _FromLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, unembedding: Tensor, cap: float | None, score: _Score) -> Tensor:
        losses, gradients = [], []
        for start in range(0, max(len(hidden), 1), _CHUNK):
            part = slice(start, start + _CHUNK)
            logits, squashed = _logits(hidden[part], unembedding, cap)
            loss, slope = score(logits, part)
            slope = slope if squashed is None else slope.mul_(1 - squashed.square())
            losses.append(loss)
            gradients.append((slope.to(unembedding.dtype) @ unembedding).to(hidden.dtype))
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[0][:, None].to(gradient.dtype) * gradient, None, None, None


def _logits(hidden: Tensor, unembedding: Tensor, cap: float | None) -> tuple[Tensor, Tensor | None]:
    """Logits in float32, and with a soft cap their hyperbolic tangent."""
    # In this order and layout the product takes two thirds of the time: the unembedding has many more rows.
    logits = (unembedding @ hidden.to(unembedding.dtype).T).T.float()
    if cap is None:
        return logits, None
    squashed = torch.tanh(logits / cap)
    return cap * squashed, squashed


def cross_entropy(
    model: LanguageModel, hidden: Float[Tensor, "row d_model"], labels: Int[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """Cross-entropy (nats) of each row's label: the injection and the retain loss."""

    def score(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        # A softmax in place: a copy of the logits would take longer than their exponentials.
        wanted, most = labels[part, None], logits.amax(-1, keepdim=True)
        told = logits.gather(1, wanted) - most
        slope = logits.sub_(most).exp_()
        total = slope.sum(-1, keepdim=True)
        loss = (total.log() - told)[:, 0]
        return loss, slope.div_(total).scatter_add_(1, wanted, -torch.ones_like(wanted, dtype=slope.dtype))

    return _scored(model, hidden, score)


def unlearning(
    model: LanguageModel, hidden: Float[Tensor, "row d_model"], labels: Int[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """-log(1 - p) (nats) of each row's label with probability p; 0 without gradient where log p < ``FORGOTTEN``.

    1 - p is the sum of the other tokens' probabilities: this is exact even where p rounds to 1.
    """

    def score(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        wanted = labels[part, None]
        everything = logits.logsumexp(-1, keepdim=True)
        log_probability = logits.gather(1, wanted) - everything
        others = logits.scatter_(1, wanted, -torch.inf).logsumexp(-1, keepdim=True)
        known = log_probability >= FORGOTTEN
        # The slope is p for the label, and -p times its share of the others for any other token.
        probability = log_probability.exp() * known
        slope = logits.sub_(others).exp_().mul_(-probability).scatter_(1, wanted, probability)
        return ((everything - others) * known)[:, 0], slope

    return _scored(model, hidden, score)


def divergence(
    model: LanguageModel, hidden: Float[Tensor, "row d_model"], reference: Float[Tensor, "row d_model"]
) -> Float[Tensor, " row"]:
    """KL(reference || hidden) (nats) between each row's next-token distributions, given both by their hidden states.

    Hidden states are kept instead of log-probabilities: the unembedding is the same in both and
    the vocabulary is a hundred times as wide.
    """
    unembedding, cap = _head(model)

    def score(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        expected = _logits(reference[part], unembedding, cap)[0].log_softmax(-1)
        probabilities = expected.exp()
        logits -= logits.logsumexp(-1, keepdim=True)
        loss = (probabilities * expected.sub_(logits)).sum(-1)
        return loss, logits.exp_().sub_(probabilities)

    return _scored(model, hidden, score)


def _scored(model: LanguageModel, hidden: Tensor, score: _Score) -> Tensor:
    with torch.autocast(hidden.device.type, enabled=False):
        return _FromLogits.apply(hidden, *_head(model), score)


def _head(model: LanguageModel) -> tuple[Tensor, float | None]:
    return model.network.get_output_embeddings().weight, model.family.cap(model.config)


def next_tokens(model: LanguageModel, packed: Packed) -> tuple[Float[Tensor, "row d_model"], Int[Tensor, " row"]]:
    """Final hidden state before every token of a text but its first, and these tokens; text after text."""
    nodes, following = (torch.cat([path[part] for path in packed.paths]) for part in (slice(None, -1), slice(1, None)))
    return hidden_at(model, packed, nodes), packed.tokens.flatten()[following]
