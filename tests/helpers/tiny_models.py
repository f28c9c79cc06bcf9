"""Tiny random models of each family, built offline."""

from __future__ import annotations

import tempfile
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from mechlib.facts import FORMATS, athletes, formats_of, prompt, world_facts
from mechlib.facts.relations import SPORT, WORLD
from mechlib.models import LanguageModel, ModelSpec, wrap
from mechlib.runs.tasks import TASKS

# TransformerBridge reads the tokenizer again from where it was loaded.
_SAVED = tempfile.TemporaryDirectory()

FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM, {"sliding_window": 64, "head_dim": 8}),
    "llama": (LlamaConfig, LlamaForCausalLM, {"head_dim": 8}),
    "gemma2": (Gemma2Config, Gemma2ForCausalLM, {"sliding_window": 64, "head_dim": 8}),
    "gemma": (GemmaConfig, GemmaForCausalLM, {"head_dim": 8}),
    "mistral": (MistralConfig, MistralForCausalLM, {"head_dim": 8, "sliding_window": 16}),
    "olmo2": (Olmo2Config, Olmo2ForCausalLM, {}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 8}),
    # Groups of heads are none of their settings.
    "gpt2": (GPT2Config, GPT2LMHeadModel, {"num_key_value_heads": None, "intermediate_size": None, "n_inner": 48}),
    "gpt_neox": (GPTNeoXConfig, GPTNeoXForCausalLM, {"num_key_value_heads": None}),
    "phi3": (Phi3Config, Phi3ForCausalLM, {"sliding_window": 16}),
    "smollm3": (SmolLM3Config, SmolLM3ForCausalLM, {"no_rope_layer_interval": 2}),
}


_BEYOND = TASKS["sports-athlete-editing"].beyond


@cache
def word_tokenizer(world: bool = False) -> PreTrainedTokenizerFast:
    """One token a word: enough for every prompt over the athletes' table, with ``world`` also over the world facts' (and their answers).

    Other languages, and lists of words, are not among them: their words are unknown.
    """
    split = pre_tokenizers.Whitespace()
    texts = [prompt(fact, FORMATS[form]).text for fact in athletes() for form in formats_of(SPORT) if form not in _BEYOND]
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
    settings = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": 1, "pad_token_id": 0, "eos_token_id": None,
        "initializer_range": 0.2, **extra, **sizes,
    }  # fmt: skip
    absent = {name for name, value in extra.items() if value is None}
    config = configuration(**{name: value for name, value in settings.items() if name not in absent})
    return wrap(network(config), tokenizer, ModelSpec(f"tiny-{family}", "folder", f"tiny-{family}", "float32"), f"tiny-{family}-{seed}")
