"""Facts, the tables they come from, and the ways to ask for them. Imports no model."""

from mechlib.facts.fact import Fact, FactError, FactSet, Splits, split
from mechlib.facts.prompts import FORMATS, Prompt, PromptFormat, demonstration_subjects, prompt, prompts
from mechlib.facts.tables import athletes

__all__ = [
    "FORMATS", "Fact", "FactError", "FactSet", "Prompt", "PromptFormat", "Splits", "athletes",
    "demonstration_subjects", "prompt", "prompts", "split",
]  # fmt: skip
