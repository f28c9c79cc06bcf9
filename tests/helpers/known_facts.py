"""Known facts by hand: answers that say what a model knows, and how these facts are divided."""

from mechlib.facts import FORMATS, FactSet, athletes
from mechlib.facts.fact import by_answer
from mechlib.runs.knowledge import SplitSettings, divided
from mechlib.runs.stages.settings import ForgetSet, Subject
from mechlib.runs.work import Result

SPLITS = SplitSettings(threshold=0.5, forget="sets", n_sets=2, set_size=7, n_localize=3, n_test=9, n_validate=0, seed=0)
ABOUT = ForgetSet(Subject("tiny", "float32", "some", "some"), SPLITS, FORMATS["one_shot"], 1)
# Thirty facts of each answer, in turn known, not known, and two kinds that are neither.
FACTS = FactSet("some", tuple(fact for group in by_answer(athletes()).values() for fact in group[:30]))
KINDS = ({"correct": True, "probability": 0.9}, {"correct": False, "probability": 0.2},
         {"correct": True, "probability": 0.4}, {"correct": False, "probability": 0.6})  # fmt: skip
KNOW = Result([
    {"relation": fact.relation, "subject": fact.subject, "open": False, **KINDS[number % 2 if number % 10 else 2 + number % 20 // 10]}
    for number, fact in enumerate(FACTS)
])  # fmt: skip
PARTS = divided(FACTS, KNOW.rows, SPLITS)
