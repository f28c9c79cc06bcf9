"""What an edit needs in memory, from a model's sizes alone. Nothing is loaded."""

from __future__ import annotations

import math
import os.path
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch

from mechlib.components import Architecture, Component, Localization, modules
from mechlib.edit.config import EditConfig
from mechlib.facts import FORMATS, FactSet, prompts
from mechlib.localize.localizer import Measured
from mechlib.localize.registry import localizer
from mechlib.models import ModelError, ModelSpec
from mechlib.models.cache import sha256
from mechlib.models.convert import converted_folder
from mechlib.models.families import architecture, family
from mechlib.models.recognize import SIZES, known_as
from mechlib.runs.spec import RunSpec
from mechlib.runs.stages import RESCALED
from mechlib.runs.stages.edit import EditSettings
from mechlib.runs.store import Store
from mechlib.runs.study import Study

_WIDTH = {"float32": 4, "bfloat16": 2}
WIDEST = 0.25  # the widest window of fact lookup's rule, as a share of all layers
_CHARACTERS_PER_TOKEN = 3  # formats have 3.3 to 4.9 in Gemma-3's vocabulary: this is on the safe side
_ROWS = 128  # logits that a loss holds at once (mechlib.edit.losses)
_BLOCK = 256  # weights that share one constant in an 8-bit optimizer's states


@dataclass(frozen=True)
class Sizes:
    """What is known of a model before it is loaded.

    ``lookup``: how many MLPs the paper's fact lookup has for sports. ``positions``: how many the model learned, each of d_model weights.
    """

    architecture: Architecture
    vocabulary: int
    tied: bool
    lookup: int | None = None
    positions: int = 0

    @property
    def unembedding(self) -> int:
        """Weights of the unembedding."""
        return self.vocabulary * self.architecture.d_model

    @cached_property
    def localizable(self) -> int:
        """Weights of all attention layers and MLPs."""
        return sum(component.size(self.architecture) for component in modules(self.architecture))

    @cached_property
    def widest(self) -> int:
        """Weights of the largest matrix of an attention layer or an MLP."""
        return max(math.prod(block.shape) for kind in modules(self.architecture)[:2] for block in kind.weights(self.architecture))

    @property
    def weights(self) -> int:
        """All weights but the norms' (less than 0.02 %)."""
        return self.localizable + (1 if self.tied else 2) * self.unembedding + self.positions * self.architecture.d_model


_KNOWN = {
    name: Sizes(*SIZES[name][1:], tied=name != "llama-3-8b", lookup=lookup)
    for name, lookup in {"gemma-7b": 6, "gemma-2-9b": 5, "llama-3-8b": 4, "gemma-3-270m": None, "smollm2-135m": None}.items()
}


def sizes(spec: ModelSpec) -> Sizes:
    """From the table, else from the model's configuration; raises :class:`mechlib.models.ModelError` if it cannot be read."""
    if spec.source in ("hub", "embedded") and spec.name in _KNOWN:
        return _KNOWN[spec.name]
    from transformers import AutoConfig

    try:
        if spec.source == "gguf":
            path = Path(spec.location)
            # Reading the header takes most of a minute: once converted, the model has a configuration of its own.
            done = converted_folder(sha256(path))
            where: dict[str, Any] = {} if (done / "config.json").is_file() else {"gguf_file": path.name}
            config: Any = AutoConfig.from_pretrained(str(path.parent if where else done), **where)
        else:
            config = AutoConfig.from_pretrained(spec.location, revision=spec.revision)
    except Exception as error:  # the reader raises many kinds: all of them mean that there is no configuration
        raise ModelError(f"{spec.location}: its configuration cannot be read: {str(error).splitlines()[0]}") from None
    text = config.get_text_config()
    if known := _KNOWN.get(known_as(text.to_dict()) or ""):
        return known
    learned = text.max_position_embeddings if family(config).learned else 0
    return Sizes(architecture(config), text.vocab_size, bool(text.tie_word_embeddings), positions=learned)


@dataclass(frozen=True)
class PromptBatch:
    """The prompts of a step: ``count`` of them, of at most ``longest`` tokens, the first ``shared`` of which are the same."""

    count: int
    shared: int
    longest: int


@dataclass(frozen=True)
class Memory:
    """Bytes that one edit needs at its peak, estimated; of an edit on several cards, on each of them.

    ``text_length``: tokens of a text. ``trained``: weights of the matrices that train, whole matrices even where a part of each is
    localized. ``aside``: of these, how many lie outside the memory that counts, because an accelerator
    holds no original of a matrix that trains whole. ``layers``: from the first trained layer on.
    ``parts_before``: whether parts of the edit are already applied, to copies of these matrices.
    """

    label: str
    sizes: Sizes
    dtype: str
    training: EditConfig
    batch: PromptBatch
    text_length: int
    trained: int
    layers: int
    parts_before: bool = False
    aside: int = 0

    @property
    def activations(self) -> int:
        """What the backward pass keeps, one chunk of logits, and the streams kept before the first trained layer.

        Per token and layer, measured on all families: gate, up, activation and product of the MLP
        and as many of the heads' values, in the precision of the arithmetic, and 7 residual streams
        in float32. Checkpointed layers keep one stream each, but for the layer that computes again.
        """
        arch, training = self.sizes.architecture, self.training
        stream = 4 * arch.d_model
        layer = 4 * (arch.d_mlp + arch.n_heads * arch.d_head) * _WIDTH[training.arithmetic] + 7 * stream
        shared, own = (0, self.batch.longest) if training.checkpointing else (self.batch.shared, self.batch.longest - self.batch.shared)
        prompts, texts = (math.ceil(count / training.cards) for count in (self.batch.count, training.text_batch))
        at_once = min(prompts, training.micro_batch or prompts)
        lines = min(texts, training.micro_batch or texts) * self.text_length
        # Micro-batches hold prompts or texts; without them a step computes both at once.
        together = max if training.micro_batch else int.__add__
        tokens = together(shared + at_once * own, lines)
        passes = self.layers * stream + layer if training.checkpointing else self.layers * layer
        logits = 3 * 4 * self.sizes.vocabulary * min(_ROWS, together(at_once, lines))
        entries = training.steps * stream * (shared + prompts * own + texts * self.text_length)
        return tokens * passes + logits + entries

    @property
    def parts(self) -> dict[str, int]:
        """The bytes by what they hold."""
        trained, bfloat16 = self.trained, self.training.arithmetic == "bfloat16"
        frozen = (self.sizes.localizable + self.sizes.unembedding if bfloat16 else self.sizes.weights) - trained
        # Frozen weights that the model does not hold in the precision of the arithmetic.
        copied = 0 if self.dtype == self.training.arithmetic else frozen
        # One trained matrix at a time is cast to bfloat16, and its gradient back to float32.
        cast = (2 + 2 + 4) * self.sizes.widest if bfloat16 else 0
        states = 2 * 4 * trained if self.training.optimizer == "adamw" else 2 * (trained + 4 * math.ceil(trained / _BLOCK))
        if self.training.cards > 1:
            return self._shares(states, cast)
        return {
            "weights": _WIDTH[self.dtype] * (self.sizes.weights - self.aside + (trained if self.parts_before else 0)),
            "working copy": _WIDTH[self.training.arithmetic] * copied + cast,
            "masters": 4 * trained,
            "gradients": 4 * trained,
            "optimizer states": states,
            "activations": self.activations,
        }

    def _shares(self, states: int, cast: int) -> dict[str, int]:
        """The same on each of several cards (:mod:`mechlib.edit.sharded`), which hold no original but of matrices that train in part."""
        cards, sizes, width = self.training.cards, self.sizes, _WIDTH[self.training.arithmetic]
        embedded = max(width, _WIDTH[self.dtype])
        outside = embedded * (sizes.unembedding + sizes.positions * sizes.architecture.d_model)
        outside += 0 if sizes.tied and embedded == width else width * sizes.unembedding
        layers = width * (sizes.localizable - self.trained) + _WIDTH[self.dtype] * (self.trained - self.aside)
        # A layer is whole while it computes, and the next one is fetched meanwhile; so are the gradients of one.
        one = sizes.localizable // sizes.architecture.n_layers
        own = 4 * min(one, self.trained)
        masters = math.ceil(4 * self.trained / cards)
        return {
            "weights": outside + math.ceil(layers / cards),
            "working copy": 2 * (width * one + own) + own + cast,
            "masters": masters,
            "gradients": masters,
            "optimizer states": math.ceil(states / cards),
            "activations": self.activations,
        }

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(self.parts.values())


def memory(study: Study, spec: RunSpec, store: Store, accelerator: bool | None = None) -> Memory:
    """What an edit needs, from its localization if that is already there, else from an estimate of it; what is rescaled, its own training.

    ``accelerator``: whether the memory is that of one; ``None``: as on this machine.
    """
    accelerator = torch.accelerator.is_available() if accelerator is None else accelerator
    model_sizes = sizes_of(study)
    spec = spec.inputs["edit"] if spec.stage is RESCALED else spec
    components = expected_components(spec.inputs["localize"], model_sizes, store)
    blocks = [block for component in components for block in component.weights(model_sizes.architecture)]
    matrices = {block.parameter: math.prod(block.shape) for block in blocks}
    whole = {block.parameter for block in blocks if block.rows is None and block.columns is None}
    training: EditConfig = spec.settings.training
    floor = spec.settings.floor if isinstance(spec.settings, EditSettings) else None
    forget = training.forget_batch or study.kind.scale * study.forget_set_size + (floor.count if floor else 0)
    return Memory(
        label=f"{spec.label} of {study.model_spec.name}",
        sizes=model_sizes,
        dtype=study.model_spec.dtype,
        training=training,
        batch=PromptBatch(forget + training.retain_batch, *lengths(study)),
        text_length=study.size.text_length,
        trained=sum(matrices.values()),
        layers=model_sizes.architecture.n_layers - min(component.layer for component in components),
        parts_before="before" in spec.inputs,
        aside=sum(matrices[name] for name in whole) if accelerator else 0,
    )


def expected_components(localize: RunSpec, model_sizes: Sizes, store: Store) -> tuple[Component, ...]:
    """The components of a localization if it is in the store or depends on no evidence, else about as many MLPs.

    As many as the paper's fact lookup for sports has where that is known, else as its rule's widest
    window; one more for methods that choose among all modules, as their last one may overshoot.
    """
    if store.has(localize):
        return Localization.from_json(store.read(localize).value).components
    arch, method = model_sizes.architecture, localizer(localize.settings.method)
    if not method.matched:
        given = [Component.parse(name) for name in localize.settings.components or ()]
        return tuple(method.choose(Measured(given=given), arch, 0, 0))
    lookup = model_sizes.lookup if model_sizes.lookup and "probe" in localize.inputs else math.ceil(WIDEST * arch.n_layers)
    return modules(arch, ["mlp"])[: lookup + (method.group == "mixed")]


@cache
def sizes_of(study: Study) -> Sizes:
    """Those of a study's model."""
    return sizes(study.model_spec)


@cache
def lengths(study: Study) -> tuple[int, int]:
    """Tokens that all prompts share, and of the longest one, guessed from their characters."""
    return _lengths(study.table, study.trained_format)


@cache
def _lengths(table: FactSet, form: str) -> tuple[int, int]:
    texts = [prompt.text for prompt in prompts(table.facts, FORMATS[form])]
    shared, longest = len(os.path.commonprefix(texts)), max(map(len, texts))
    return shared // _CHARACTERS_PER_TOKEN, math.ceil(longest / _CHARACTERS_PER_TOKEN)
