"""Model families: all that the library knows of one beyond the sizes of a model.

A family is supported if it has an adapter here and a tiny model in the tests. Nothing else asks what family a model is of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from mechlib.components import MATRICES, Architecture, Ungated
from mechlib.models.fused import Fused
from mechlib.models.table import ModelError

# What a layer writes: the input of the output projection (all heads), or what attention or the MLP adds to the stream.
Output = Literal["heads", "attn", "mlp"]
# What a layer reads: queries, keys and values as the projections write them, or the stream that the MLP reads, before its norm.
Input = Literal["queries", "keys", "values", "mlp_in"]
# The rule of relevance propagation that a module gets; see mechlib.patching.relevance.
Rule = Literal["norm", "constant", "activation", "gate", "half"]


@dataclass(frozen=True)
class Family:
    """What distinguishes a family. Modules are named within a decoder layer.

    ``written_by``: the module that writes each output to the residual stream (Gemma 2 and 3 norm it
    first). ``mlp_reader``: the module whose input is the stream that the MLP reads. ``norms``: a layer's
    norms over the residual stream or what is added to it.
    ``soft_cap``: the setting with the cap of the logits. ``mixed``: layers differ in how far they attend, and the
    network takes a mask for each kind. ``windowed``: all layers attend as far back as ``sliding_window`` says.
    ``matrices``: what stands for each of :data:`mechlib.components.MATRICES`, without ``gate`` if the MLP has none.
    ``activation``: an MLP's activation function. ``layers``, ``final_norm``: where they are in the network's base model.
    ``fused``: what each matrix that the family keeps as one, or the other way round, is made of; ``by_head``: in turns, head by head.
    ``learned``: positions are learned, each by itself, and there are no others.
    """

    norms: tuple[str, ...] = ("input_layernorm", "post_attention_layernorm")
    written_by: Mapping[Output, str] = field(default_factory=lambda: {"attn": MATRICES["output"], "mlp": "mlp"})
    mlp_reader: str = "post_attention_layernorm"
    matrices: Mapping[str, str] = field(default_factory=lambda: MATRICES)
    soft_cap: str | None = None
    mixed: bool = False
    windowed: bool = False
    activation: str = "mlp.act_fn"
    layers: str = "layers"
    final_norm: str = "norm"
    fused: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    by_head: bool = False
    learned: bool = False

    def parts(self, arch: Architecture) -> Mapping[str, Fused]:
        """The matrices of a decoder layer to take apart, by name, and what each is made of."""
        queries, keys = arch.n_heads * arch.d_head, arch.n_key_value_heads * arch.d_head
        rows = {
            "queries": queries, "keys": keys, "values": keys, "output": arch.d_model,
            "gate": arch.d_mlp, "up": arch.d_mlp, "down": arch.d_model,
        }  # fmt: skip
        groups = arch.n_heads if self.by_head else 1
        called = {role: path.rpartition(".")[2] for role, path in self.matrices.items()}
        return {name: Fused({called[role]: rows[role] for role in roles}, groups) for name, roles in self.fused.items()}

    def writer(self, block: Any, output: Literal["attn", "mlp"]) -> nn.Module:
        """The module of a decoder layer whose output is added to the residual stream."""
        return block.get_submodule(self.written_by[output])

    def reader_of_heads(self, block: Any) -> nn.Module:
        """The module of a decoder layer whose input is what all heads write."""
        return block.get_submodule(self.matrices["output"])

    def input_of(self, block: Any, part: Input) -> nn.Module:
        """The module of a decoder layer that writes queries, keys or values, or whose input is the stream that the MLP reads."""
        return block.get_submodule(self.mlp_reader if part == "mlp_in" else self.matrices[part])

    def last_products(self, block: Any) -> tuple[nn.Module, ...]:
        """The modules after attention that treat every token by itself and are most of a layer's work."""
        return self.reader_of_heads(block), block.mlp

    def rules(self, block: Any) -> list[tuple[nn.Module, Rule]]:
        """Where the rules of relevance propagation apply in a decoder layer."""
        named: list[tuple[str, Rule]] = [(norm, "norm") for norm in self.norms]
        # A pattern is constant if nothing flows back into queries and keys.
        named.extend([(self.matrices["queries"], "constant"), (self.matrices["keys"], "constant")])
        gated = "gate" in self.matrices
        named.extend([(self.activation, "gate"), (self.matrices["up"], "half")] if gated else [(self.activation, "activation")])
        return [(block.get_submodule(name), rule) for name, rule in named]

    def cap(self, config: Any) -> float | None:
        """The soft cap of the logits of a model with this configuration, if it has one."""
        return None if self.soft_cap is None else getattr(config, self.soft_cap)

    def masks(self, config: Any, visible: Tensor, positions: Tensor, form: Any) -> Any:
        """Attention masks as the network reads them, from who sees whom [row, node, node] and positions [row, node].

        ``form`` turns each into the format of the attention.
        """
        kinds, near = set(config.layer_types) if self.mixed else set[str](), visible
        if "sliding_attention" in kinds or (self.windowed and config.sliding_window is not None):
            # A window is one of positions, not of nodes.
            near = visible & (positions[:, :, None] - positions[:, None] < config.sliding_window)
        if not self.mixed:
            return form(near)
        return {kind: form(near if kind == "sliding_attention" else visible) for kind in kinds}

    def most_tokens(self, config: Any) -> int | None:
        """How long a text may be so that it has positions that do not depend on the length of another one in the same pass."""
        if self.learned:
            return config.max_position_embeddings
        rope = getattr(config, "rope_parameters", None) or {}
        parts = [part for part in (rope, *rope.values()) if isinstance(part, dict) and part.get("rope_type") in ("dynamic", "longrope")]
        limits = [part.get("original_max_position_embeddings") or config.max_position_embeddings for part in parts]
        return min(limits, default=None)


_AFTER = ("post_attention_layernorm", "post_feedforward_layernorm")
_NORMED_OUTPUTS = Family(
    norms=("input_layernorm", "pre_feedforward_layernorm", *_AFTER),
    written_by={"attn": _AFTER[0], "mlp": _AFTER[1]},
    mlp_reader="pre_feedforward_layernorm",
    soft_cap="final_logit_softcapping",
    mixed=True,
)
FAMILIES: Mapping[str, Family] = {
    "gemma": Family(),
    "gemma2": _NORMED_OUTPUTS,
    "gemma3_text": _NORMED_OUTPUTS,
    "gpt2": Family(
        norms=("ln_1", "ln_2"),
        matrices={
            "queries": "attn.q_proj", "keys": "attn.k_proj", "values": "attn.v_proj", "output": "attn.o_proj",
            "up": "mlp.up_proj", "down": "mlp.down_proj",
        },  # fmt: skip
        written_by={"attn": "attn.o_proj", "mlp": "mlp"},
        mlp_reader="ln_2",
        activation="mlp.act",
        layers="h",
        final_norm="ln_f",
        fused={
            "attn.c_attn": ("queries", "keys", "values"), "attn.c_proj": ("output",), "mlp.c_fc": ("up",), "mlp.c_proj": ("down",),
        },  # fmt: skip
        learned=True,
    ),
    "gpt_neox": Family(
        matrices={
            "queries": "attention.q_proj", "keys": "attention.k_proj", "values": "attention.v_proj", "output": "attention.dense",
            "up": "mlp.dense_h_to_4h", "down": "mlp.dense_4h_to_h",
        },  # fmt: skip
        written_by={"attn": "attention.dense", "mlp": "mlp"},
        activation="mlp.act",
        final_norm="final_layer_norm",
        fused={"attention.query_key_value": ("queries", "keys", "values")},
        by_head=True,
    ),
    "llama": Family(),
    "mistral": Family(windowed=True),
    "olmo2": Family(norms=_AFTER, written_by={"attn": _AFTER[0], "mlp": _AFTER[1]}, mlp_reader="mlp"),
    "phi3": Family(
        windowed=True,
        activation="mlp.activation_fn",
        fused={"self_attn.qkv_proj": ("queries", "keys", "values"), "mlp.gate_up_proj": ("gate", "up")},
    ),
    "qwen2": Family(mixed=True),
    "qwen3": Family(mixed=True),
    "smollm3": Family(mixed=True),
}


# Settings of a mixture of experts.
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
MIXTURE = "a mixture of experts has several MLPs a layer, and a component here is one for all tokens"


def family(config: Any) -> Family:
    """The adapter of a Hugging Face configuration; raises :class:`ModelError` for an untested family."""
    text = config.get_text_config()
    if text.model_type in FAMILIES:
        return FAMILIES[text.model_type]
    mixture = any(getattr(text, setting, None) for setting in _EXPERTS)
    why = MIXTURE if mixture else "it has not been tried"
    raise ModelError(f"models of type '{text.model_type}' are not supported: {why} (supported: {', '.join(FAMILIES)})")


def architecture(config: Any) -> Architecture:
    """Sizes from a Hugging Face configuration; raises :class:`ModelError` for an untested family."""
    own, text = family(config), config.get_text_config()
    heads = text.num_attention_heads
    return (Architecture if "gate" in own.matrices else Ungated)(
        n_layers=text.num_hidden_layers,
        n_heads=heads,
        n_key_value_heads=heads if own.by_head else getattr(text, "num_key_value_heads", None) or heads,
        d_model=text.hidden_size,
        d_head=getattr(text, "head_dim", None) or text.hidden_size // heads,
        d_mlp=getattr(text, "intermediate_size", None) or text.n_inner or 4 * text.hidden_size,
    )
