"""What a model and its facts do not allow: a run that cannot be had, with why and what would help."""

from __future__ import annotations

from mechlib.attacks.finetuning import FineTuningError
from mechlib.attacks.soft_prompt import SoftPromptError
from mechlib.components import ComponentError
from mechlib.edit.delta import EditError
from mechlib.errors import MechlibError
from mechlib.facts import FactError


class ImpossibleError(MechlibError, RuntimeError):
    """A run that this model and these facts do not allow; the message says why and what would help."""


# What would help, by the kind of the error. Anything else that a run raises (no memory, a full disk) says nothing about a model.
_HELP: dict[type[Exception], str] = {
    FactError: "What helps: a larger model, a lower KNOWN_THRESHOLD or FORGET_SET_SIZE, fewer FORGET_SETS, another KNOWN_FORMAT or TASK.",
    ComponentError: "What helps: other LOCALIZATIONS, the other LOOKUP_RULE, or a LOCALIZATION of your own.",
    EditError: "What helps: another LEARNING_RATE or STEPS, or TUNE=True.",
    FineTuningError: "What helps: other settings of the attack, a larger FORGET_SET_SIZE, or a TASK with several answers in a forget set.",
    SoftPromptError: "What helps: other settings of SOFT_PROMPT; a tokenizer without a spare token allows none.",
}
REASONS = tuple(_HELP)


def why(error: str, message: str) -> str:
    """A reason for readers: the message of an error of one of :data:`REASONS`, named by its class, and what would help."""
    # Where a message says what helps, it knows less than this does.
    line = " ".join(message.split()).partition(": ask for fewer")[0].removesuffix(".")
    helps = next((text for kind, text in _HELP.items() if kind.__name__ == error), "")
    return f"{line}. {helps}".strip() if helps else message


def is_reason(error: str) -> bool:
    """Whether an error of this class says that something is impossible."""
    return error in (ImpossibleError.__name__, *(kind.__name__ for kind in REASONS))
