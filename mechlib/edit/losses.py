"""Losses of an edit (the paper, section 4), from final hidden states, without a graph over the vocabulary.

The unembedding is never trained, so the gradient of a cross-entropy with respect to the hidden
state is a closed form: (probabilities - one hot) times the unembedding. It is computed together
with the loss, row by row in chunks; autograd would keep and copy several tensors of vocabulary size.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.models.forward import Entry, TokenBatch, hidden_states
from mechlib.models.language_model import LanguageModel

_CHUNK = 64


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, unembedding: Tensor, labels: Tensor, cap: float | None) -> Tensor:
        losses, gradients = [], []
        for start in range(0, len(labels), _CHUNK):
            rows, wanted = hidden[start : start + _CHUNK].to(unembedding.dtype), labels[start : start + _CHUNK, None]
            logits = (rows @ unembedding.T).float()
            squashed = None
            if cap is not None:
                squashed = torch.tanh(logits / cap)
                logits = cap * squashed
            logits -= logits.logsumexp(-1, keepdim=True)
            losses.append(-logits.gather(1, wanted)[:, 0])
            slope = logits.exp_()
            slope.scatter_add_(1, wanted, -torch.ones_like(wanted, dtype=slope.dtype))
            slope = slope if squashed is None else slope.mul_(1 - squashed.square())
            gradients.append((slope.to(unembedding.dtype) @ unembedding).to(hidden.dtype))
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[0][:, None].to(gradient.dtype) * gradient, None, None, None


def cross_entropy(
    model: LanguageModel, hidden: Float[Tensor, "row d_model"], labels: Int[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """Cross-entropy (nats) of each row's label: the injection and the retain loss."""
    cap = getattr(model.network.config.get_text_config(), "final_logit_softcapping", None)
    with torch.autocast(hidden.device.type, enabled=False):
        return _CrossEntropy.apply(hidden, model.network.get_output_embeddings().weight, labels, cap)


def next_token(model: LanguageModel, batch: TokenBatch, entry: Entry | None = None) -> Float[Tensor, ""]:
    """Mean next-token cross-entropy (nats) of texts of equal length: the general-text loss."""
    hidden = hidden_states(model, batch, entry)[:, :-1].flatten(0, 1)
    return cross_entropy(model, hidden, batch.suffix[:, 1:].flatten()).mean()
