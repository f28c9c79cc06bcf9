"""Components: the link, both ways, between an activation and the weights that write it.

Whoever scores an activation names the very weights an edit would train. A component is a whole
attention layer (``L7.attn``), one query head (``L7.head3``), the shared keys and values of one
group of heads (``L7.kv0``), an MLP (``L7.mlp``) or one of its neurons (``L7.neuron123``). Under
grouped-query attention a head owns its rows of the query matrix and its columns of the output
matrix; keys and values belong to the group, so heads and key/value groups together are exactly the
attention layer. A neuron owns its rows of gate and up and its column of down: together they are the MLP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

from mechlib import checks
from mechlib.errors import MechlibError, shown

Kind = Literal["attn", "head", "kv", "mlp", "neuron"]

# The weight matrices of a decoder layer, by what they are, as Llama calls them: weights go by these names whatever a family calls them.
MATRICES: Mapping[str, str] = {
    "queries": "self_attn.q_proj", "keys": "self_attn.k_proj", "values": "self_attn.v_proj", "output": "self_attn.o_proj",
    "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
}  # fmt: skip
_WHOLE: Mapping[Kind, Kind] = {"head": "attn", "kv": "attn", "neuron": "mlp"}
_NAME = re.compile(r"L([0-9]{1,9})\.(?:(attn|mlp)|(head|kv|neuron)([0-9]{1,9}))")


class ComponentError(MechlibError, ValueError):
    """A component that cannot be read, or that the model does not have."""


@dataclass(frozen=True)
class Architecture:
    """The sizes of a decoder-only transformer that decide where its components' weights are."""

    n_layers: int
    n_heads: int
    n_key_value_heads: int
    d_model: int
    d_head: int
    d_mlp: int


@dataclass(frozen=True)
class Ungated(Architecture):
    """The sizes of a transformer whose MLPs have no gate: a neuron owns its row of up and its column of down."""

    gated: Literal[False] = False


def read_architecture(data: Mapping[str, Any]) -> Architecture:
    """Inverse of :func:`dataclasses.asdict`."""
    return Ungated(**data) if "gated" in data else Architecture(**data)


@dataclass(frozen=True)
class WeightSlice:
    """A block of rows or of columns of one weight matrix (``None``: all of them)."""

    parameter: str
    shape: tuple[int, int]
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None

    @property
    def index(self) -> tuple[slice, slice]:
        """What indexes the block in its matrix."""
        return slice(*(self.rows or (None,))), slice(*(self.columns or (None,)))

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """First row, one past the last, first column, one past the last."""
        (first, last), (left, right) = self.rows or (0, self.shape[0]), self.columns or (0, self.shape[1])
        return first, last, left, right

    @property
    def size(self) -> int:
        """How many weights the block has."""
        first, last, left, right = self.bounds
        return (last - first) * (right - left)


@dataclass(frozen=True, order=True)
class Component:
    """One place in the network, as an activation (``hook``) and as weights (``weights``)."""

    layer: int
    kind: Kind
    index: int | None = None

    def __post_init__(self) -> None:
        numbers = [self.layer] if self.index is None else [self.layer, self.index]
        if self.kind not in get_args(Kind) or any(isinstance(one, bool) or not isinstance(one, Integral) for one in numbers):
            given = f"({shown(self.layer)}, {shown(self.kind)}, {shown(self.index)})"
            raise ComponentError(f"{given} is no component: give a whole number for its layer, one of {', '.join(get_args(Kind))}, and an "
                                 "index for a part")  # fmt: skip
        if (self.index is None) == (self.kind in _WHOLE):
            raise ComponentError(f"a {self.kind} of layer {self.layer} {'needs' if self.index is None else 'has no'} index")

    def __str__(self) -> str:
        return f"L{self.layer}.{self.kind}" + ("" if self.index is None else str(self.index))

    @classmethod
    def parse(cls, name: str) -> Component:
        """Read ``L7.mlp``, ``L7.attn``, ``L7.head3``, ``L7.kv0`` or ``L7.neuron123``; raises :class:`ComponentError`."""
        found = _NAME.fullmatch(name.strip()) if checks.is_a(name, str) else None
        if not found:
            raise ComponentError(f"{shown(name)} is no component: write L7.mlp, L7.attn, L7.head3, L7.kv0 or L7.neuron123")
        layer, whole, part, index = found.groups()
        kind: Any = whole or part
        return cls(int(layer), kind, None if index is None else int(index))

    @property
    def hook(self) -> str:
        """TransformerBridge hook point of the component's output.

        MLP and attention outputs are taken after a post-norm where the family has one (Gemma-2,
        Gemma-3): that is what enters the residual stream. A head is its slice of ``hook_z``, a neuron
        its entry of ``hook_post`` (the activated gate times up, without a gate the activated up).
        """
        if self.kind == "kv":
            raise ComponentError(f"{self} has weights but no output of its own: score its heads")
        return {
            "attn": f"blocks.{self.layer}.hook_attn_out",
            "head": f"blocks.{self.layer}.attn.hook_z",
            "mlp": f"blocks.{self.layer}.hook_mlp_out",
            "neuron": f"blocks.{self.layer}.mlp.hook_post",
        }[self.kind]

    def weights(self, arch: Architecture) -> tuple[WeightSlice, ...]:
        """The weights behind the activation; raises :class:`ComponentError` if the model lacks it."""
        if not 0 <= self.layer < arch.n_layers:
            raise ComponentError(f"{self}: the model has layers 0 to {arch.n_layers - 1}")
        rows: tuple[int, int] | None = None
        if self.index is not None:
            count = {"head": arch.n_heads, "kv": arch.n_key_value_heads}.get(self.kind, arch.d_mlp)
            if not 0 <= self.index < count:
                raise ComponentError(f"{self}: the model has {self.kind} 0 to {count - 1} in each layer")
            width = 1 if self.kind == "neuron" else arch.d_head
            rows = (self.index * width, (self.index + 1) * width)
        if self.kind in ("mlp", "neuron"):
            wide, narrow = (arch.d_mlp, arch.d_model), (arch.d_model, arch.d_mlp)
            entering = ("up",) if isinstance(arch, Ungated) else ("gate", "up")
            read = (WeightSlice(self._matrix(role), wide, rows=rows) for role in entering)
            return (*read, WeightSlice(self._matrix("down"), narrow, columns=rows))
        queries, keys = arch.n_heads * arch.d_head, arch.n_key_value_heads * arch.d_head
        own = (
            WeightSlice(self._matrix("queries"), (queries, arch.d_model), rows=rows),
            WeightSlice(self._matrix("output"), (arch.d_model, queries), columns=rows),
        )
        shared = (
            WeightSlice(self._matrix("keys"), (keys, arch.d_model), rows=rows),
            WeightSlice(self._matrix("values"), (keys, arch.d_model), rows=rows),
        )
        return {"head": own, "kv": shared, "attn": own + shared}[self.kind]

    def _matrix(self, role: str) -> str:
        return f"model.layers.{self.layer}.{MATRICES[role]}.weight"

    def size(self, arch: Architecture) -> int:
        """Number of weights of the component (norms and embeddings never count)."""
        return sum(block.size for block in self.weights(arch))


def modules(arch: Architecture, kinds: Iterable[Kind] = ("attn", "mlp")) -> tuple[Component, ...]:
    """Every whole module of the given kinds, in layer order."""
    wanted = tuple(kinds)
    return tuple(Component(layer, kind) for layer in range(arch.n_layers) for kind in wanted)


def heads_and_mlps(arch: Architecture) -> tuple[Component, ...]:
    """Every head and MLP, in layer order: the grain at which activations are scored."""
    return tuple(
        component
        for layer in range(arch.n_layers)
        for component in (*(Component(layer, "head", head) for head in range(arch.n_heads)), Component(layer, "mlp"))
    )


def key_value_groups(arch: Architecture) -> tuple[Component, ...]:
    """The shared keys and values of every group of heads, in layer order."""
    return tuple(Component(layer, "kv", group) for layer in range(arch.n_layers) for group in range(arch.n_key_value_heads))


@dataclass(frozen=True)
class Localization:
    """A named set of components with the exact number of weights it holds and where it came from."""

    name: str
    components: tuple[Component, ...]
    parameters: int
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, components: Iterable[Component], arch: Architecture, **provenance: Any) -> Localization:
        """Sort, count and check the components; raises :class:`ComponentError` on an empty or overlapping set."""
        chosen = _disjoint(name, components)
        return cls(name, chosen, sum(c.size(arch) for c in chosen), provenance)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers touched, ascending."""
        return tuple(sorted({c.layer for c in self.components}))

    def to_json(self) -> dict[str, Any]:
        """A small dictionary that :meth:`from_json` reads back to an equal value."""
        return {**asdict(self), "components": [str(c) for c in self.components], "provenance": dict(self.provenance)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Localization:
        """Inverse of :meth:`to_json`; raises :class:`ComponentError` for anything else."""
        try:
            components = tuple(Component.parse(name) for name in data["components"])
            return cls(data["name"], components, int(data["parameters"]), dict(data.get("provenance", {})))
        except ComponentError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ComponentError(f"no localization (needs 'name', 'components' and 'parameters'): {error}") from None

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path, arch: Architecture) -> Localization:
        """Read a file that was saved or written by hand (``name`` and ``components`` suffice)."""
        data = _read(path)
        found = cls.of(str(data.get("name", path.stem)), [Component.parse(name) for name in data["components"]], arch)
        return replace(found, provenance=dict(data.get("provenance", {})))


def read_names(path: Path) -> tuple[str, ...]:
    """The components of a localization file, sorted; raises :class:`ComponentError` where no model could have them, or there are none."""
    return tuple(map(str, _disjoint(str(path), map(Component.parse, _read(path)["components"]))))


def _disjoint(name: str, components: Iterable[Component]) -> tuple[Component, ...]:
    given = list(components)
    if others := [one for one in given if not checks.is_a(one, Component)]:
        raise ComponentError(f"localization '{name}' holds {shown(others[0])}: give components (Component.parse reads their names)")
    chosen = tuple(sorted(set(given)))
    if not chosen:
        raise ComponentError(f"localization '{name}' is empty")
    whole = {c for c in chosen if c.index is None}
    for c in chosen:
        if c.kind in _WHOLE and Component(c.layer, _WHOLE[c.kind]) in whole:
            raise ComponentError(f"localization '{name}' holds {c} twice: L{c.layer}.{_WHOLE[c.kind]} contains it")
    return chosen


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {**data, "components": [str(name) for name in data["components"]], "provenance": dict(data.get("provenance", {}))}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ComponentError(f"{path}: no localization file (needs a JSON object with 'components'): {error}") from None
