"""A bench for golden rows: tiny models whose weights no library draws, small studies of them, and one store."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mechlib.facts import athletes, world_facts
from mechlib.facts.fact import by_answer
from mechlib.models import LanguageModel
from mechlib.runs.runner import Runner
from mechlib.runs.spec import RunSpec
from mechlib.runs.store import Store
from mechlib.runs.study import Study
from mechlib.runs.work import Result
from tests.helpers.tiny_models import tiny_model

ATTACKS: dict[str, dict[str, Any]] = {
    "relearning": {"ranks": [0, 8], "learning_rates": [1e-3], "steps": 2, "checkpoints": [1, 2]},
    "benign": {"kinds": ["unrelated", "same template", "same topic"], "sizes": [4], "steps": 2, "learning_rate": 1e-3, "rank": 8},
    "quantization": {"schemes": ["bfloat16", "int8", "int4_128", "int4_64", "nf4"]},
    "direction": {"layers": "all"},
    "in_context": {"shots": [4, 8]},
    "soft_prompt": {"tokens": 4, "steps": 3, "learning_rate": 0.05, "restarts": 2},
}
SMALL: dict[str, Any] = {"known_threshold": 0.0, "forget_set_size": 6, "forget_sets": 2, "steps": 3, "learning_rate": 1e-3,
                         "forget_coefficient": 1.0, "precision": "float32", "lookup_rule": "released"}  # fmt: skip
# Every study by its name: what it changes in SMALL.
STUDIES: dict[str, dict[str, Any]] = {
    "sports": {**ATTACKS, "localization": "given.json"},
    "whole": {"task": "full-sports-editing"},
    "unlearning": {"task": "sports-unlearning"},
    "planted": {"task": "planted-facts"},
    "scaling": {"task": "sports-scaling", "forget_set_size": 2, "forget_sets": 1},
    "world": {"task": "counterfact-editing", **ATTACKS},
    "world unlearning": {"task": "counterfact-unlearning", "known_threshold": 0.001, "forget_sets": 1},
    "long answers": {"task": "counterfact-editing", "world_facts": "long.csv", "forget_sets": 1},
    "sequential": {"task": "sequential-counterfact-editing", "steps": 4},
    "paper rule": {"task": "counterfact-editing", "lookup_rule": "paper", "seed": 1},
    "divergence": {"kl_coefficient": 0.5},
    "micro batches": {"micro_batch": 2, "checkpointing": True},
    "all steps": {"stop_at": 1.0, "seed": 1},
    "tuned": {"tune": True, "learning_rate": None, "forget_coefficient": None},
    "texts": {"texts": "texts.txt"},
}


def bench_model(nudge: float = 0.0) -> LanguageModel:
    """A random Gemma-3 of three layers whose weights are the same in every version of every library.

    A weight is drawn by its name. ``nudge``: every weight changes by at most this share of itself.
    """
    model = tiny_model("gemma3", world=True, num_attention_heads=8)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            # The old generator's uniform numbers are exact and frozen; normal ones go through a logarithm.
            draw, shape = np.random.RandomState(zlib.crc32(name.encode())), tuple(weight.shape)
            values = (draw.random_sample(shape) - 0.5) * (0.7 if weight.dim() > 1 else 0.2)
            values = values * (1 + nudge * (2 * draw.random_sample(shape) - 1))
            # Heads that look at few tokens, so that subjects matter, and a choosy last layer.
            values = values + (3.0 if "q_norm" in name or "k_norm" in name else 1.0 if name == "model.norm.weight" else 0.0)
            weight.copy_(torch.from_numpy(values).to(weight.dtype))
        # Answers are likelier than other words: what is already as good as forgotten is not unlearned.
        table = model.network.get_input_embeddings().weight
        table[:, 0] += 0.6
        for facts, gain in ((world_facts(), 2.0), (athletes(), 3.5)):
            words = sorted({fact.answer.split()[0] for fact in facts})
            table[model.tokenizer.convert_tokens_to_ids(words), 0] = gain
        # Silent heads below: the heads that path patching picks have an MLP beneath them that can feed them.
        model.layers[0].self_attn.o_proj.weight.zero_()
    return model


@dataclass
class Bench:
    """Studies of one tiny model in ``folder``, computed when asked; ``changed`` replaces parameters of all of them."""

    folder: Path
    nudge: float = 0.0
    changed: Mapping[str, Any] = field(default_factory=dict)
    _runners: dict[str, Runner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        model = bench_model(self.nudge)
        model.network.save_pretrained(self.folder / "tiny")
        model.tokenizer.save_pretrained(self.folder / "tiny")
        chosen = [fact for group in by_answer(athletes()).values() for fact in group[:40]]
        lines = "".join(f"{fact.subject},{fact.answer}\n" for fact in chosen)
        (self.folder / "facts.csv").write_text("athlete,sport\n" + lines)
        (self.folder / "given.json").write_text(json.dumps({"components": ["L1.mlp", "L2.head3"]}))
        long = [f"{fact.subject},{fact.relation},{{}} lies near,{fact.answer} is,{fact.target} is\n" for fact in world_facts().facts[::6]]
        (self.folder / "long.csv").write_text("subject,relation_id,relation,target_true,target_false\n" + "".join(long))
        sentence = "The next fact is about the sport of {} , who plays in a city that is the capital of a country far from here ."
        texts = [" ".join([sentence.format(fact.subject)] * 2) for fact in chosen[:60]]
        (self.folder / "texts.txt").write_text("\n\n".join(texts))

    def runner(self, name: str) -> Runner:
        """The runner of a study by its name; all share one model and one store."""
        if name not in self._runners:
            given = {**SMALL, **STUDIES[name], **self.changed}
            files = {key: str(self.folder / given[key]) for key in ("localization", "texts", "world_facts") if key in given}
            study = Study(**{**given, **files, "model": str(self.folder / "tiny"), "facts": str(self.folder / "facts.csv")})
            # A folder's name tells where it is.
            vars(study)["model_spec"] = replace(study.model_spec, name="tiny")
            runner = Runner(study, Store(self.folder / "runs", None))
            runner.context.lender = next((known.context for known in self._runners.values()), None)
            self._runners[name] = runner
        return self._runners[name]

    def result(self, name: str, spec: RunSpec) -> Result:
        """The result of a run of that study."""
        return self.runner(name).result(spec)
