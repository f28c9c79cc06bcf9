"""Tiny random models of each family, built offline, and the embedded model where a claim is about it."""

from __future__ import annotations

import inspect
import tempfile
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

# Shapes are checked under pytest only, so they cost a user nothing.
install_import_hook("mechlib", "typechecking.check")

from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402
from transformers import (  # noqa: E402
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from mechlib.facts import FORMATS, athletes, formats_of, prompt, world_facts  # noqa: E402
from mechlib.facts.relations import SPORT, WORLD  # noqa: E402
from mechlib.models import LanguageModel, ModelSpec, load, resolve, wrap  # noqa: E402
from mechlib.runs.study import Study  # noqa: E402

# Pages and command lines give a study anything: what counts is its own check, not the type checker's.
Study.__init__ = inspect.unwrap(Study.__init__)

# The same examples in every run, and no more of them than find something.
settings.register_profile("short", max_examples=40, deadline=None, derandomize=True)
settings.load_profile("short")

# Tiny matrices: a second thread only waits, and much longer where something else runs beside the tests.
torch.set_num_threads(1)

# TransformerBridge reads the tokenizer again from where it was loaded.
_SAVED = tempfile.TemporaryDirectory()

FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM, {"sliding_window": 64, "head_dim": 8}),
    "llama": (LlamaConfig, LlamaForCausalLM, {"head_dim": 8}),
    "gemma2": (Gemma2Config, Gemma2ForCausalLM, {"sliding_window": 64, "head_dim": 8}),
    "gemma": (GemmaConfig, GemmaForCausalLM, {"head_dim": 8}),
}


@cache
def word_tokenizer(world: bool = False) -> PreTrainedTokenizerFast:
    """One token a word: enough for every prompt over the athletes' table, with ``world`` also over the world facts' (and their answers)."""
    split = pre_tokenizers.Whitespace()
    texts = [prompt(fact, FORMATS[form]).text for fact in athletes() for form in formats_of(SPORT)]
    if world:
        texts += [f"{prompt(fact, FORMATS[form]).text} {fact.answer}" for fact in world_facts() for form in formats_of(WORLD[0])]
    words = {word for text in [*texts, "A B C D golf football baseball basketball"] for word, _ in split.pre_tokenize_str(text)}
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<bos>", "<unk>", *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", pad_token="<pad>", unk_token="<unk>")
    folder = f"{_SAVED.name}/{'world' if world else 'athletes'}"
    fast.save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def tiny_model(family: str, seed: int = 0, world: bool = False, **sizes: Any) -> LanguageModel:
    """A random model with two query heads a key/value group, float32."""
    configuration, network, extra = FAMILIES[family]
    tokenizer = word_tokenizer(world)
    torch.manual_seed(seed)
    config = configuration(**{
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": 1, "pad_token_id": 0, "eos_token_id": None,
        "initializer_range": 0.2, **extra, **sizes,
    })  # fmt: skip
    return wrap(network(config), tokenizer, ModelSpec(f"tiny-{family}", "folder", f"tiny-{family}", "float32"), f"tiny-{family}-{seed}")


@pytest.fixture(scope="session", params=list(FAMILIES))
def tiny(request: pytest.FixtureRequest) -> LanguageModel:
    """A tiny random model of each family in turn."""
    return tiny_model(request.param)


@pytest.fixture(scope="session")
def tiny_gemma3() -> LanguageModel:
    """A tiny random Gemma-3."""
    return tiny_model("gemma3")


@pytest.fixture(scope="session")
def real() -> LanguageModel:
    """The embedded model, from its wheels."""
    return load(resolve("gemma-3-270m"))
