"""Ranks after each layer are those of the logit lens, and the last layer's are the model's own."""

from dataclasses import replace

import pytest
import torch
from editing import bits, same
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import FAMILIES, tiny_model

from mechlib.evals.answers import answer_prompts
from mechlib.evals.head_projection import ProjectionError, head_projection
from mechlib.facts import FORMATS, athletes, prompts, world_facts
from mechlib.models.tokens import answer_token

FACTS = [replace(fact, target="golf") if n % 2 else fact for n, fact in enumerate(athletes().facts[::120])]
PROMPTS = [asked for form in ("one_shot", "multiple_choice") for asked in prompts(FACTS, FORMATS[form])]


def lens(model, text):
    """Logits after each layer, by the library's own hidden states: the last of these is normed already."""
    network, cap = model.network, getattr(model.network.config, "final_logit_softcapping", None)
    with torch.no_grad():
        *streams, _ = (
            state[0, -1] for state in network(**model.tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        )
        raw = [network.get_output_embeddings()(model.final_norm(stream)) for stream in streams[1:]]
        inner = [logits if cap is None else cap * torch.tanh(logits / cap) for logits in raw]
        return [*inner, network(**model.tokenizer(text, return_tensors="pt")).logits[0, -1]]


def fits(rank, logits, token):
    """Whether a rank is right up to tokens that are as likely to rounding."""
    return (logits > logits[token] + 1e-4).sum() <= rank <= (logits > logits[token] - 1e-4).sum() - 1


@pytest.mark.parametrize("family", FAMILIES)
def test_ranks_are_those_of_the_logit_lens(family):
    tiny = tiny_model(family)
    # As a fresh network has it, the final norm changes no rank.
    torch.nn.init.normal_(tiny.final_norm.weight)
    depth = tiny.architecture.n_layers
    rows = head_projection(tiny, PROMPTS)
    assert [row.layer for row in rows] == [*range(depth)] * len(PROMPTS)
    for number, asked in enumerate(PROMPTS):
        for row, logits in zip(rows[depth * number :], lens(tiny, asked.text), strict=False):
            token = {option: answer_token(tiny, option) for option in asked.options}
            assert (row.subject, row.format, row.rotation) == (asked.fact.subject, asked.format, asked.rotation)
            assert fits(row.rank, logits, token[asked.answer])
            assert row.found == (row.rank < 4)
            if asked.target is None:
                assert row.target_rank is None
            else:
                assert fits(row.target_rank, logits, token[asked.target])
            others = [option for option in asked.options if option not in (asked.answer, asked.target)]
            assert all(fits(rank, logits, token[option]) for rank, option in zip(row.other_ranks, others, strict=True))
            values = logits[[token[option] for option in asked.options]]
            assert fits(row.option_rank, values, asked.options.index(asked.answer))


def test_the_last_layer_is_what_the_model_says(tiny):
    asked = prompts(FACTS, FORMATS["one_shot"])
    rows = head_projection(tiny, asked, layers=[tiny.architecture.n_layers - 1])
    answers = answer_prompts(tiny, asked)
    assert [row.rank for row in rows] == [answer.rank for answer in answers]
    assert [row.option_rank == 0 for row in rows] == [answer.correct for answer in answers]


def test_an_answer_planted_in_a_layer_is_found_from_there_on_only(tiny):
    asked = prompts(FACTS, FORMATS["one_shot"])
    before, weights = head_projection(tiny, asked), bits(tiny)
    word = answer_token(tiny, asked[0].answer)
    planted = 1e4 * tiny.network.get_output_embeddings().weight[word].detach()
    handle = tiny.layers[1].register_forward_hook(lambda _module, _inputs, output: output + planted)
    try:
        rows = head_projection(tiny, asked)
    finally:
        handle.remove()
    assert [row for row in rows if row.layer == 0] == [row for row in before if row.layer == 0]
    of_the_word = [
        row for row in rows if row.layer > 0 and row.subject in {one.fact.subject for one in asked if one.answer == asked[0].answer}
    ]
    assert [(row.rank, row.option_rank, row.found) for row in of_the_word] == [(0, 0, True)] * len(of_the_word)
    # Whoever it was not planted for is not found by it: the word stands in front of the answer.
    assert all(row.option_rank > 0 for row in rows if row.layer == 1 and row not in of_the_word)
    assert head_projection(tiny, asked) == before
    assert same(weights, bits(tiny))


def test_more_candidates_find_more_until_everything_is_found(tiny_gemma3):
    size = len(tiny_gemma3.tokenizer)
    found = [[row.found for row in head_projection(tiny_gemma3, PROMPTS, candidates=k)] for k in (1, 4, 100, size)]
    for fewer, more in zip(found, found[1:], strict=False):
        assert all(later or not earlier for earlier, later in zip(fewer, more, strict=True))
    assert sum(found[0]) < len(found[0])
    assert all(found[-1])


@settings(max_examples=5)
@given(st.permutations(range(len(PROMPTS[::3]))), st.integers(1, 20), st.sets(st.integers(0, 2), min_size=1))
def test_order_batches_and_the_choice_of_layers_change_nothing(tiny, order, batch_size, layers):
    asked = PROMPTS[::3]
    plain = {(row.subject, row.format, row.layer): row for row in head_projection(tiny, asked)}
    rows = head_projection(tiny, [asked[index] for index in order], batch_size=batch_size, layers=sorted(layers, reverse=True))
    assert [(row.subject, row.layer) for row in rows] == [(asked[index].fact.subject, layer) for index in order for layer in sorted(layers)]
    for row in rows:
        expected = plain[row.subject, row.format, row.layer]
        # Another batch rounds differently: a rank may pass a token that is as likely.
        assert abs(row.rank - expected.rank) <= 1
        assert (row.target_rank is None) == (expected.target_rank is None)


def test_a_model_of_one_layer_is_read_after_it():
    model = tiny_model("llama", num_hidden_layers=1)
    asked = prompts(FACTS, FORMATS["one_shot"])
    assert [row.rank for row in head_projection(model, asked)] == [answer.rank for answer in answer_prompts(model, asked)]


def test_an_open_relation_has_no_options_to_rank():
    model = tiny_model("gemma3", world=True)
    facts = [replace(fact, target="Paris") if n % 2 else replace(fact, target=None) for n, fact in enumerate(world_facts().facts[::200])]
    asked = prompts(facts, FORMATS["statement"])
    rows, depth = head_projection(model, asked), model.architecture.n_layers
    assert {row.option_rank for row in rows} == {None}
    assert {row.other_ranks for row in rows} == {()}
    for number, (one, answer) in enumerate(zip(asked, answer_prompts(model, asked), strict=True)):
        last = rows[depth * number + depth - 1]
        assert (last.subject, last.target_rank is None) == (one.fact.subject, one.target is None)
        assert fits(last.rank, lens(model, one.text)[-1], answer_token(model, one.answer, first=True))
        assert abs(last.rank - answer.rank) <= 1


@pytest.mark.parametrize(("wrong", "message"), [
    ({"candidates": 0}, "at least one candidate a layer, not 0"),
    ({"layers": []}, "are 0 to 2, not none"),
    ({"layers": [0, 3]}, "are 0 to 2, not 0, 3"),
    ({"layers": [-1]}, "are 0 to 2, not -1"),
])  # fmt: skip
def test_settings_that_make_no_attack_are_refused(tiny_gemma3, wrong, message):
    with pytest.raises(ProjectionError, match=message):
        head_projection(tiny_gemma3, PROMPTS, **wrong)


def test_nothing_is_read_where_nothing_is_asked(tiny_gemma3):
    assert head_projection(tiny_gemma3, []) == []
