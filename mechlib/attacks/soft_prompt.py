"""A universal soft prompt: a few learned vectors in front of every question, one prompt for all facts.

It is learned on the attacker's facts and asked about others: vectors learned for one fact make a
model say anything (arXiv 2502.15836) and audit nothing. The paper's released attack adds to the
embeddings of the whole prompt by an attention of its own; these are literal tokens (Schwinn et al.
2024), so nothing but what the attacker puts in front differs from asking. No weight is trained.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.attacks.attack import Attack, Attacked, Knowledge
from mechlib.attacks.finetuning import training_batches
from mechlib.attacks.relearning import permuted
from mechlib.errors import MechlibError
from mechlib.facts import Prompt
from mechlib.models.language_model import LanguageModel
from mechlib.models.precision import cast_once
from mechlib.models.tokens import beginning, encode

Labels = Literal["true", "permuted"]


class SoftPromptError(MechlibError, ValueError):
    """A soft prompt that cannot be learned as asked; the message says what to do."""


def soft_prompt(
    model: LanguageModel,
    knowledge: Knowledge,
    seed: int,
    *,
    tokens: int,
    steps: int,
    learning_rate: float,
    restarts: int = 1,
    labels: Labels = "true",
    batch: int = 16,
    norm: float | None = None,
) -> Generator[Attacked]:
    """The model behind ``tokens`` learned vectors, in the units of its embeddings, each at most ``norm`` long.

    AdamW on the mean cross-entropy of ``batch`` relearn answers plus that of as many retain answers
    a step. ``norm`` is the mean length of the vocabulary's embeddings if nothing else is said (the
    released attack: 6, 16 prompts a step). Of several ``restarts`` the one that ends with the lowest
    loss on all relearn prompts and as many retain prompts is kept. Without steps it is what vectors that nobody
    learned do; ``permuted`` learns each other's answers. Raises before any work
    :class:`SoftPromptError` for wrong settings, nothing to relearn or a tokenizer without a spare
    token, and :class:`FineTuningError` if all answers are the same and cannot be permuted.
    """
    if labels not in get_args(Labels):
        raise SoftPromptError(f"there are no labels '{labels}' to learn (there are: {', '.join(get_args(Labels))})")
    if min(tokens, restarts, batch) < 1 or steps < 0 or not 0 <= learning_rate < math.inf or not (norm is None or 0 < norm < math.inf):
        raise SoftPromptError("a soft prompt needs a token, a restart and a batch of 1 or more, no negative steps, and a norm above 0")
    if not knowledge.relearn:
        raise SoftPromptError("there are no facts to learn a soft prompt on")
    model = cast_once(model)
    front = placeholder(model) * tokens

    def rewrite(prompt: Prompt) -> Prompt:
        return replace(prompt, text=f"{front}{prompt.text}")

    relearn = permuted(knowledge.relearn, seed) if labels == "permuted" else knowledge.relearn
    groups = [[rewrite(prompt) for prompt in prompts] for prompts in (relearn, knowledge.retain)]
    _check_tokens(model, [*relearn, *knowledge.retain], groups[0] + groups[1], tokens)
    bound = norm or _embedding_scale(model)[1].item()
    generator = torch.Generator().manual_seed(seed)
    found: list[tuple[float, Tensor]] = []
    for restart in range(restarts):
        vectors = _start(model, tokens, bound, generator).requires_grad_()
        twin = with_soft_prompt(model, vectors)
        optimizer = torch.optim.AdamW([vectors], lr=learning_rate, weight_decay=0.0)
        for step in islice(training_batches(twin, [(group, batch) for group in groups], (), 0, seed + restart), steps):
            with torch.enable_grad():
                step.loss(twin).backward(inputs=[vectors])
            optimizer.step()
            optimizer.zero_grad()
            _shorten(vectors, bound)
        with torch.no_grad():
            everything = next(training_batches(twin, [(group, len(relearn)) for group in groups], (), 0, seed))
            found.append((everything.loss(twin).item(), vectors.detach()))
    best = min(found, key=lambda one: one[0])[1]
    yield Attacked(f"{tokens} tokens", steps, with_soft_prompt(model, best), rewrite)


def placeholder(model: LanguageModel) -> str:
    """The token, as text, that stands where a learned vector goes: one that the tokenizer has and no text uses.

    The first that is called unused or reserved (Gemma: ``<unused0>``, Llama 3:
    ``<|reserved_special_token_0|>``), else the first special token that is not the beginning, the end
    or the unknown one. Raises :class:`SoftPromptError` if there is none.
    """
    tokenizer = model.tokenizer
    taken = {tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token}
    # Some tokenizers have tokens, of images for example, that the text model has no embedding for.
    rows = model.network.get_input_embeddings().num_embeddings
    added = [token for number, token in sorted(tokenizer.added_tokens_decoder.items()) if number < rows and token.content not in taken]
    named = [token.content for token in added if "unused" in token.content or "reserved" in token.content]
    spare = [*named, *(token.content for token in added if token.special)]
    if not spare:
        raise SoftPromptError(f"the tokenizer of {model.name} has no spare token to stand for a learned vector")
    return spare[0]


def with_soft_prompt(model: LanguageModel, vectors: Float[Tensor, "token d_model"]) -> LanguageModel:
    """A copy that shares every weight and reads ``vectors`` in place of a text's first placeholders, in their order.

    The vectors stand where embeddings do right before the first layer, after a family's own scaling; learned positions are added
    to them, too.
    """
    twin = model.shared_copy()
    token = model.tokenizer.convert_tokens_to_ids(placeholder(model))

    def replaced(_module: Any, inputs: tuple[Tensor, ...], embedded: Tensor) -> Tensor:
        here = inputs[0] == token
        place = here.cumsum(-1) - 1
        here = here & (place < len(vectors))
        learned = vectors[place.clamp(0, len(vectors) - 1)].to(embedded.dtype)
        return torch.where(here[..., None], learned, embedded)

    twin.network.get_input_embeddings().register_forward_hook(replaced)
    return twin


def _check_tokens(model: LanguageModel, prompts: Sequence[Prompt], rewritten: Sequence[Prompt], tokens: int) -> None:
    """The placeholders must come right after the beginning token and leave the tokens of the question alone."""
    token = model.tokenizer.convert_tokens_to_ids(placeholder(model))
    plain, changed = (encode(model, [prompt.text for prompt in asked]) for asked in (prompts, rewritten))
    start = len(beginning(model))
    for before, after in zip(plain, changed, strict=True):
        if after != [*before[:start], *[token] * tokens, *before[start:]] or token in before:
            raise SoftPromptError(f"the tokenizer of {model.name} reads a question differently behind '{placeholder(model)}'")


@torch.no_grad()
def _embedding_scale(model: LanguageModel) -> tuple[Float[Tensor, " d_model"], Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean of the vocabulary's embeddings, their mean length, and their standard deviation in a dimension."""
    table = model.network.get_input_embeddings()
    lengths = torch.linalg.vector_norm(table.weight, dim=-1, dtype=torch.float32)
    longest = lengths.argmax()[None]
    scale = table(longest).float().norm() / lengths.max()  # some families multiply what they look up
    mean = table.weight.mean(0, dtype=torch.float32)
    variance = (lengths.square().mean() - mean.square().sum()) / len(mean)
    return scale * mean, scale * lengths.mean(), scale * variance.clamp(min=0).sqrt()


def _start(model: LanguageModel, tokens: int, bound: float, generator: torch.Generator) -> Float[Tensor, "token d_model"]:
    """Vectors drawn as the vocabulary lies: its mean, and noise with its standard deviation."""
    mean, _, deviation = _embedding_scale(model)
    vectors = mean + deviation * torch.randn(tokens, len(mean), generator=generator).to(mean.device)
    return _shorten(vectors, bound)


@torch.no_grad()
def _shorten(vectors: Float[Tensor, "token d_model"], bound: float) -> Float[Tensor, "token d_model"]:
    """Bring vectors that are longer than ``bound`` back to it, in place."""
    return vectors.mul_((bound / vectors.norm(dim=-1, keepdim=True)).clamp(max=1.0))


SOFT_PROMPT = Attack(
    "soft_prompt", "Soft prompt", 1, soft_prompt,
    "A few learned vectors before every question, trained on the true answers of one half of the forget set; asked about the other half.",
    {"quick": {"tokens": 4, "steps": 5, "learning_rate": 0.05},
     "full": {"tokens": 4, "steps": 64, "learning_rate": 0.02, "restarts": 2},
     "paper": {"tokens": 15, "steps": 128, "learning_rate": 1e-5, "restarts": 4, "batch": 16, "norm": 6.0}},
    folds=True, nulls={"permuted answers": {"labels": "permuted"}}, seconds=6.5,
    effort=lambda given: given["steps"] * given.get("restarts", 1),
)  # fmt: skip
