"""A transformer small enough for paper: every score below was computed by hand.

Five features (and an unused one: sizes must be even). The subject brings ``S``, 2 in the clean run and 1 in the corrupted one;
every token brings ``ONE``. The text has four tokens, so even attention is a mean over four at its end and over two at the subject.

    L0.head0  even attention, writes -4 S into Y                     at the end: -s
    L0.head1  even attention, writes 12/13 S into B                  at subject, next token, end: s (6 + 4 + 3) / 13
    L0.mlp    2 relu(S) S into A                                     at the subject: 2 s^2
    L1.mlp    -1/2 relu(A) ONE into A                                at the subject: -s^2, so A is s^2 from here on
    L2.head0  attends to the subject with weight 3^s : 1 : 1 : 1,
              writes 2 A into Y                                      at the end: 2 p s^2 with p = 3^s / (3^s + 3)
    L2.head1  even attention, writes -8 A + 12 B into Y              at the end: -2 s^2 + 3 s
    L2.mlp    relu(Y) Y into Y

Heads of layer 1 are silent. The answer's logit is Y, the other option's is 0: the logit difference is f(y) = y + relu(y) y.

                s    p     A = L0.mlp + L1.mlp    y = L0.head0 + L2.head0 + L2.head1    f(y)
    clean       2   3/4    4 =   8    -   4       2 =   -2     +    6     -    2         6
    corrupted   1   1/2    1 =   2    -   1       1 =   -1     +    1     +    1         2
"""

from functools import partial
from math import log

import pytest
import torch
from tiny_models import tiny_model

from mechlib.components import Component
from mechlib.facts import Fact, Prompt
from mechlib.patching.activation import activation_patching
from mechlib.patching.attribution import attribution_patching
from mechlib.patching.path import direct_effects, effects_on_stream
from mechlib.patching.weights import gradient_times_weight

S, ONE, A, B, Y = range(5)
ASKED = [Prompt("Judge plays the", Fact("Judge", "sport", "golf"), "by hand", (" golf", " football"), " golf", None)]
# A norm divides by sqrt(x^2 + 2^40) = 2^20 and multiplies by its weight: nothing happens, to the bit.
EPSILON, SCALE = 2.0**40, 2.0**20
# In each head the first dimension carries values and the second, which this base hardly rotates, queries and keys.
ROPE = {"rope_type": "default", "rope_theta": 1e16}
VALUE, KEY = 0, 1


@pytest.fixture
def micro(monkeypatch):
    model = tiny_model(
        "llama", hidden_size=6, num_attention_heads=2, num_key_value_heads=2, head_dim=4, intermediate_size=1, hidden_act="relu",
        rms_norm_eps=EPSILON, rope_parameters=ROPE,
    )  # fmt: skip
    token = model.tokenizer.convert_tokens_to_ids
    for name, weight in model.parameters.items():
        weight.data.fill_(SCALE if "norm" in name else 0.0)

    def write(layer, module, row, column, value):
        model.parameters[f"model.layers.{layer}.{module}_proj.weight"].data[row, column] = value

    def head(layer, number, reads, writes):
        for feature, value in reads.items():
            write(layer, "self_attn.v", 4 * number + VALUE, feature, value)
        write(layer, "self_attn.o", writes, 4 * number + VALUE, 1.0)

    def mlp(layer, gate, up, writes, value):
        write(layer, "mlp.gate", 0, gate, 1.0)
        write(layer, "mlp.up", 0, up, 1.0)
        write(layer, "mlp.down", writes, 0, value)

    embedding = model.network.get_input_embeddings().weight.data
    embedding[:, ONE] = 1.0
    embedding[token("Judge"), S], embedding[token("James"), S] = 2.0, 1.0
    model.network.get_output_embeddings().weight.data[token("golf"), Y] = 1.0
    head(0, 0, {S: -4.0}, Y)
    head(0, 1, {S: 12 / 13}, B)
    mlp(0, S, S, A, 2.0)
    mlp(1, A, ONE, A, -0.5)
    head(2, 0, {A: 2.0}, Y)
    write(2, "self_attn.q", KEY, ONE, 1.0)
    write(2, "self_attn.k", KEY, S, 2 * log(3))  # scores are divided by sqrt(4)
    head(2, 1, {A: -8.0, B: 12.0}, Y)
    mlp(2, Y, Y, Y, 1.0)
    monkeypatch.setattr("mechlib.patching.pairs.ordinary_tokens", lambda _model: torch.tensor([token("James")]))
    return model


def named(scores):
    return {str(component): value for component, value in scores.values.items()}


def scored(**values):
    """``L0_mlp=1.0`` is the score of L0.mlp; the silent heads have none."""
    silent = {"L1.head0": 0.0, "L1.head1": 0.0}
    return pytest.approx(silent | {name.replace("_", "."): value for name, value in values.items()}, abs=1e-5)


def test_the_two_runs(micro):
    scores = activation_patching(micro, ASKED, corruption="tokens", direction="denoise", seed=0)
    assert (scores.clean, scores.corrupted) == pytest.approx((6, 2), abs=1e-5)


def test_exact_patching_into_the_corrupted_run(micro):
    # Effects are f(y with the output replaced) - 2, shares of 6 - 2.
    assert named(activation_patching(micro, ASKED, corruption="tokens", direction="denoise", seed=0)) == scored(
        L0_head0=-0.5,  # y = -2 + 1 + 1 = 0, f = 0
        L0_head1=4.5,  # L2.head1 = -2 + 3 * 2 = 4, y = -1 + 1 + 4 = 4, f = 20
        L0_mlp=-1.0,  # A = 8 - 4 = 4, for L1.mlp reacts; L2.head0 = 2 * 1/2 * 4 = 4, L2.head1 = -8 + 3 = -5, y = -1 + 4 - 5 = -2 = f
        L1_mlp=4.5,  # A = 2 - 4 = -2; L2.head0 = -2, L2.head1 = 4 + 3 = 7, y = -1 - 2 + 7 = 4, f = 20
        L2_head0=10.0,  # y = -1 + 6 + 1 = 6, f = 42
        L2_head1=-1.0,  # y = -1 + 1 - 2 = -2 = f
        L2_mlp=0.75,  # 1 + 2^2 = 5
    )


def test_exact_patching_into_the_clean_run(micro):
    # Effects are f(y with the output replaced) - 6, shares of 2 - 6.
    assert named(activation_patching(micro, ASKED, corruption="tokens", direction="noise", seed=0)) == scored(
        L0_head0=-1.5,  # y = -1 + 6 - 2 = 3, f = 12
        L0_head1=1.75,  # L2.head1 = -8 + 3 = -5, y = -2 + 6 - 5 = -1 = f
        L0_mlp=-2.4375,  # A = 2 - 1 = 1; L2.head0 = 2 * 3/4 = 1.5, L2.head1 = -2 + 6 = 4, y = -2 + 1.5 + 4 = 3.5, f = 15.75
        L1_mlp=1.3125,  # A = 8 - 1 = 7; L2.head0 = 10.5, L2.head1 = -14 + 6 = -8, y = -2 + 10.5 - 8 = 0.5, f = 0.75
        L2_head0=2.25,  # y = -2 + 1 - 2 = -3 = f
        L2_head1=-6.0,  # y = -2 + 6 + 1 = 5, f = 30
        L2_mlp=0.75,  # 2 + 1 = 3
    )


def test_exact_patching_at_positions(micro):
    scores = activation_patching(micro, ASKED, corruption="tokens", direction="denoise", seed=0, by_position=True)
    nowhere = {"subject first": 0.0, "subject middle": 0.0, "subject last": 0.0, "after subject": 0.0, "prompt end": 0.0}
    # Both heads of layer 2 at once: y = -1 + 6 - 2 = 3, f = 12, effect 10; only their outputs at the end are read.
    assert scores.values[Component(2, "attn")] == pytest.approx(2.5)
    assert scores.positions[Component(2, "attn")] == pytest.approx(nowhere | {"prompt end": 2.5})
    # A subject of one token is its own last token; these MLPs are silent elsewhere.
    assert scores.positions[Component(0, "mlp")] == pytest.approx(nowhere | {"subject last": -1.0})
    assert scores.positions[Component(1, "mlp")] == pytest.approx(nowhere | {"subject last": 4.5})
    # L0.attn in Y counts at the end, in B at three positions, with 3 * 6/13, 3 * 4/13 and 3 * 3/13 more in L2.head1.
    first, second, third = (y + y * y - 2 for y in (1 + 18 / 13, 1 + 12 / 13, 1 + 9 / 13 - 1))
    expected = nowhere | {"subject last": first / 4, "after subject": second / 4, "prompt end": third / 4}
    assert scores.positions[Component(0, "attn")] == pytest.approx(expected, abs=1e-5)


def test_attribution_patching_of_the_corrupted_run(micro):
    # f'(1) = 1 + 2 * 1 = 3. A counts p * 2 - 2 = -1 in y, and L0.mlp half of that, for L1.mlp takes half away.
    assert named(attribution_patching(micro, ASKED, corruption="tokens", direction="denoise", seed=0)) == scored(
        L0_head0=3 * -1 / 4,
        L0_head1=3 * 3 * 1 / 4,
        L0_mlp=3 * -0.5 * 6 / 4,
        L1_mlp=3 * -1 * -3 / 4,
        L2_head0=3 * 5 / 4,
        L2_head1=3 * -3 / 4,
        L2_mlp=3 / 4,
    )


def test_attribution_patching_of_the_clean_run(micro):
    # f'(2) = 1 + 2 * 2 = 5. A counts 3/4 * 2 - 2 = -1/2 in y, and L0.mlp half of that.
    assert named(attribution_patching(micro, ASKED, corruption="tokens", direction="noise", seed=0)) == scored(
        L0_head0=5 * 1 / -4,
        L0_head1=5 * 3 * -1 / -4,
        L0_mlp=5 * -0.25 * -6 / -4,
        L1_mlp=5 * -0.5 * 3 / -4,
        L2_head0=5 * -5 / -4,
        L2_head1=5 * 3 / -4,
        L2_mlp=-3 / -4,
    )


def test_relevance_patching(micro):
    # relu(y) y passes on half of 2 y: f'(1) becomes 1 + 1 = 2 and f'(2) becomes 1 + 2 = 3.
    # L1.mlp passes on half of -1/2, the other half being ONE's: L0.mlp counts 3/4 of what A does.
    relevance = partial(attribution_patching, micro, ASKED, corruption="tokens", seed=0, slope="relevance")
    assert named(relevance(direction="denoise")) == scored(
        L0_head0=2 * -1 / 4,
        L0_head1=2 * 3 * 1 / 4,
        L0_mlp=2 * -0.75 * 6 / 4,
        L1_mlp=2 * -1 * -3 / 4,
        L2_head0=2 * 5 / 4,
        L2_head1=2 * -3 / 4,
        L2_mlp=3 / 4,
    )
    assert named(relevance(direction="noise")) == scored(
        L0_head0=3 * 1 / -4,
        L0_head1=3 * 3 * -1 / -4,
        L0_mlp=3 * -0.375 * -6 / -4,
        L1_mlp=3 * -0.5 * 3 / -4,
        L2_head0=3 * -5 / -4,
        L2_head1=3 * 3 / -4,
        L2_mlp=-3 / -4,
    )


def test_direct_effects(micro):
    # As in exact patching, but nothing for what acts through the heads of layer 2 only: later attention is frozen.
    frozen = {"L0_head1": 0.0, "L0_mlp": 0.0, "L1_mlp": 0.0}
    into_corrupted, into_clean = (direct_effects(micro, ASKED, direction=direction) for direction in ("denoise", "noise"))
    assert named(into_corrupted) == scored(L0_head0=-0.5, L2_head0=10.0, L2_head1=-1.0, L2_mlp=0.75, **frozen)
    assert named(into_clean) == scored(L0_head0=-1.5, L2_head0=2.25, L2_head1=-6.0, L2_mlp=0.75, **frozen)


def test_effects_of_mlps_on_the_stream_that_enters_layer_2(micro):
    # As in exact patching, but for L0.mlp: L1.mlp does not react.
    # Into the corrupted run A = 8 - 1 = 7, L2.head0 = 7, L2.head1 = -14 + 3 = -11, y = -1 + 7 - 11 = -5 = f, effect -7.
    # Into the clean run A = 2 - 4 = -2, L2.head0 = -3, L2.head1 = 4 + 6 = 10, y = -2 - 3 + 10 = 5, f = 30, effect 24.
    for direction, expected in (("denoise", (-1.75, 4.5)), ("noise", (-6.0, 1.3125))):
        scores = effects_on_stream(micro, ASKED, 2, direction=direction)
        assert scores.values == pytest.approx({Component(n, "mlp"): value for n, value in enumerate(expected)}, abs=1e-5)


def test_gradient_times_weight(micro):
    # Outputs are linear in each weight behind them, so its product is the output times its slope; f'(2) = 5, f's own MLP counts 1.
    # Queries and keys of L2.head0: their scores are ln 9 at the subject, 0 elsewhere; y changes by 6 (1 - 3/4) ln 9 = 3 ln 3.
    pattern = 5 * 3 * log(3)
    products = {
        "L0.head0": 5 * 2, "L0.kv0": 5 * 2,  # output -2: one output and one value weight
        "L0.head1": 5 * 6, "L0.kv1": 5 * 6,  # 3 B = 6 in y
        "L0.mlp": 3 * 5 * 0.25 * 8, "L1.mlp": 3 * 5 * 0.5 * 4,  # gate, up and down each
        "L1.head0": 0, "L1.head1": 0, "L1.kv0": 0, "L1.kv1": 0,
        "L2.head0": 5 * 6 + pattern, "L2.kv0": 5 * 6 + pattern,
        "L2.head1": 5 * 2, "L2.kv1": 5 * 8 + 5 * 6,  # output -8 + 6: two value weights
        "L2.mlp": 3 * 4,
    }  # fmt: skip
    scores = gradient_times_weight(micro, ASKED)
    assert {str(component): found[0] for component, found in scores.effects.items()} == pytest.approx(products, abs=1e-4)
    total = 292 + 2 * pattern
    assert named(scores) == pytest.approx({name: product / total for name, product in products.items()}, abs=1e-6)
    assert (scores.clean, scores.corrupted, *scores.spans) == pytest.approx((6, 6, total), abs=1e-4)
