"""Facts, the tables they come from, and the ways to ask for them. Imports no model."""

from mechlib.facts.counterfact import counterfact, world_facts
from mechlib.facts.fact import Fact, FactError, FactSet, LeftOut, Splits, split
from mechlib.facts.prompts import FORMATS, Prompt, PromptFormat, formats_of, neighbourhood, prompt, prompts
from mechlib.facts.relations import demonstration_subjects
from mechlib.facts.tables import athletes
from mechlib.facts.whole_answers import split_by_answer

__all__ = [
    "FORMATS", "Fact", "FactError", "FactSet", "LeftOut", "Prompt", "PromptFormat", "Splits", "athletes", "counterfact",
    "demonstration_subjects", "formats_of", "neighbourhood", "prompt", "prompts", "split", "split_by_answer", "world_facts",
]  # fmt: skip
