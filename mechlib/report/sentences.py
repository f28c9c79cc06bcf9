"""Sentences of pages that depend on what was run, so that no prose contradicts its profile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mechlib.attacks.registry import ATTACKS
from mechlib.edit.config import WARM_UP, EditConfig
from mechlib.facts import FORMATS, LeftOut
from mechlib.report.aggregation import Rows, grouped
from mechlib.report.numerals import decimal, percent
from mechlib.report.tables import joined, label, unedited_answers, void_formats
from mechlib.runs.profiles import PROFILES
from mechlib.runs.study import Study
from mechlib.stats import ENOUGH_SETS

_SHARED = {
    "unrelated": "unrelated, nothing",
    "same topic": "same topic, the subject matter in other words",
    "same template": "same template, the very form of the prompts",
}

# Shares that differ by less are one share, as they are printed.
_ALIKE = 5e-3


def unit(n_sets: int, n_attacked_sets: int) -> str:
    """What the intervals of a page are over: forget sets, whose facts share one edit, where there are enough of them."""
    whole, attacked = ("forget sets" if count >= ENOUGH_SETS else "facts" for count in (n_sets, n_attacked_sets))
    return f"Intervals (95 %) are over {whole}{f', after attacks over {attacked}' if attacked != whole else ''}."


def listed(keys: Sequence[str], none: str = "none") -> str:
    """Labels of localizations or formats side by side, or ``none``."""
    return ", ".join(label(key) for key in keys) or none


def both(keys: Sequence[str]) -> str:
    """Labels within a sentence: "Fact lookup and Random MLPs"."""
    return joined([label(key) for key in keys])


def definition(attack: str) -> str:
    """What an attack does."""
    return ATTACKS[attack].definition


def not_asked(study: Study) -> str:
    """The formats in which the task's facts can be asked and were not."""
    return listed([form for form in study.kind.possible_formats if form not in (study.formats or ())])


def left_out(found: Sequence[LeftOut]) -> str:
    """How many entries of a table nobody is asked about, by reason, and the first three of each."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        reasons.setdefault(one.why, []).append(f"{one.what} ({one.where})" if one.where else one.what)
    counted = [f"{len(some)} ({why}): {', '.join(some[:3])}{' ...' if len(some) > 3 else ''}" for why, some in reasons.items()]
    return "; ".join(counted) or "nothing"


def usable(void: Sequence[str], asked: Sequence[str]) -> str:
    """In which formats the unedited model answers clearly above chance, and in which it does not."""
    fine = [form for form in asked if form not in void]
    if not fine:
        return "In no format does the model answer clearly above chance"
    if not void:
        return "The model answers clearly above chance in every format that is asked"
    return f"The model answers clearly above chance in {listed(fine).lower()}; not in {listed(void).lower()}"


def letter_choice(study: Study) -> str:
    """How often the letter choice, the paper's main test of other prompts, is asked of a fact."""
    if not any(FORMATS[form].letters for form in study.formats or ()):
        return "The letter choice, the paper's main test, was not asked here."
    if study.size.rotations == 1:
        return "The letter choice keeps its options in one order here, so that a preference for a letter favours one answer."
    return (f"The letter choice is asked in {study.size.rotations} rotations of its options, in its demonstrations too, so that preferring "
            "a letter is worth nothing.")  # fmt: skip


def void_training(unedited: Rows, trainable: Rows) -> str:
    """What it means that the unedited model cannot answer in the format that edits are trained on, and the formats that would do."""
    (found,) = unedited_answers(unedited).to_dict("records")
    void = (f"Before any edit the model gets {percent(found['share'])} of the facts right in the prompt that edits are trained on "
            f"({label(found['format'])}), which is not clearly above chance. So there is nothing there for an edit to take away, and this "
            "study counts in no verdict.")  # fmt: skip
    if not trainable:
        return f"{void} The page on editing names the formats that would do."
    works = [form for form in dict.fromkeys(row["format"] for row in trainable) if form not in void_formats(trainable)]
    if not works:
        return f"{void} In no other format is it better: another TASK or a larger model would help."
    return f"{void} It does answer in: {listed(works)}. Train in one of them: {' or '.join(f'EDIT_FORMAT={form}' for form in works)}."


def cap(chosen: Sequence[int], uncapped: Sequence[int]) -> str:
    """Whether the cap on fact lookup's window of layers decided, and what the rule gives without it."""
    window = f"layers {uncapped[0]} to {uncapped[-1]}"
    if list(chosen) == list(uncapped):
        return f"The cap changed nothing: the rule gives {window} without it, too."
    return f"The cap shortened the window: without it the rule gives {window}."


def schedule(settings: Sequence[EditConfig]) -> str:
    """How the learning rate of edits moves over their steps."""
    words = {"constant": f"a learning rate that is constant after a warm-up of {WARM_UP} steps", "cosine": "a cosine schedule"}
    return " or ".join(words[key] for key in dict.fromkeys(one.schedule for one in settings))


def success(curves: Rows, stop_at: float) -> str:
    """How many edits reached the success at which training stops, from the losses before each update.

    An edit is counted where the last forget loss (nats) of its run is low enough. After the last step
    that the profile allows nothing is measured, so an edit that gets there only then is not counted.
    """
    if stop_at >= 1:
        return "Here training never stops early: edits are compared after the same number of steps."
    runs = grouped(curves, ["localization", "forget_set", "seed", "part"])
    reached: dict[str, list[bool]] = {}
    for (key, *_), steps in runs.items():
        reached.setdefault(key, []).append(steps[-1]["forget"] <= -math.log(stop_at))
    count = sum(map(sum, reached.values()))
    if count == len(runs):
        return f"All {count} edits got there."
    if not count:
        return f"None of the {len(runs)} edits got there before its last step: they are not compared at one success."
    short = ", ".join(f"{label(key)} {sum(found)} of {len(found)}" for key, found in reached.items() if not all(found))
    return f"Only {count} of {len(runs)} edits got there before their last step ({short}): the others are not compared at one success."


def untuned(study: Study) -> str:
    """The profile's localizations that a page on tuning leaves out."""
    missing = [key for key in PROFILES[study.profile].localizations if key not in (study.localizations or ())]
    return f"No trials were made for {listed(missing)}." if missing else "That is every localization of this profile."


def cross_fitting(folds: int) -> str:
    """Who teaches and who is tested in an attack that holds one half of each forget set."""
    if folds == 2:
        return "Each half of a forget set teaches once and is tested once, so that every fact is tested by an attacker who did not hold it."
    return "One half of each forget set teaches and the other is tested, so that only half of the facts are tested here."


def null_sets(rows: Rows, nulls: Rows) -> str:
    """The forget sets on which an attack's nulls were run, out of those that were attacked."""
    some, every = (len({row["forget_set"] for row in found}) for found in (nulls, rows))
    return f"{some} of {every} forget sets" if nulls else "no forget set"


def shared_with_facts(kinds: Sequence[str]) -> str:
    """What the examples of each kind of fine-tuning share with the edited facts, in the order in which the kinds are drawn."""
    return "; ".join(_SHARED.get(kind, kind) for kind in kinds)


def rounding_control(schemes: Sequence[str]) -> str:
    """Whether ``bfloat16`` was among the schemes of rounding."""
    if "bfloat16" in schemes:
        return "bfloat16 is the control, which should change next to nothing."
    return "bfloat16 would be the control and was not run here."


def extremes(shares: Mapping[str, float]) -> str:
    """After which localizations least and most came back; those that differ by less than a thousandth are tied.

    ``shares``: what came back from each under its strongest attacker.
    """
    least, most = min(shares.values()), max(shares.values())
    if most - least < 1e-3:
        return f"As much comes back after every localization ({decimal(least)})."
    low, high = (listed([key for key, share in shares.items() if abs(share - bound) < 1e-3]) for bound in (least, most))
    return f"The least comes back after {low} ({decimal(least)}), the most after {high} ({decimal(most)})."


def attacker(tried: int) -> str:
    """What an attacker who chooses among so many settings is, or why there is nothing to choose."""
    if tried < 2:
        return "An attacker chooses. Here one setting was tried, so that there is nothing to choose: it brings back what is told already."
    return ("An attacker chooses. For each model this is the setting that brings back most without breaking it, and leaving the model as "
            f"it is counts as a setting. The best of {tried} tries is flattered by chance, for every localization alike. Given is the "
            "share of true answers on facts not taught (95 % intervals); a rank, learning rate and checkpoint is one setting. Void ones "
            "are named.")  # fmt: skip


def texts_again(texts: int, at_once: int, steps: int) -> str:
    """When texts are trained on for a second time, if edits took so many steps."""
    first = math.ceil(texts / at_once)
    return f"From step {first} on texts are seen again, which lowers their loss." if steps >= first else ""


def combined(tried: int) -> str:
    """How an attacker's settings are put together, if there are several; behind "what this attacker tried"."""
    return ": every rank with every learning rate, asked at every checkpoint" if tried > 1 else ""


def chosen(tried: int) -> str:
    """How one of several settings was chosen, or that there was one."""
    if tried < 2:
        return "No other was tried."
    return ("It is the one that brings back most on average over the edits, among those that break the fewest models, so it is chosen for "
            "none of them.")  # fmt: skip


def panels(tried: int) -> str:
    """What the panels of curves are, if there are several settings; behind "intervals"."""
    return "; one panel for each adapter rank and learning rate" if tried > 1 else ""


def hollow(void: bool) -> str:
    """What hollow points mean, if there are any."""
    return " Hollow points are void: there the attack broke the model." if void else ""


def ceiling(broken: bool, before: float, after: float) -> str:
    """What an attack that should find nothing in the unedited model did to it, by its maintain accuracy before and after."""
    kept = f"{percent(before)} to {percent(after)}"
    if not broken:
        return f"The attack leaves it whole (maintain accuracy {kept}), so that it is the ceiling."
    return (f"Yet the attack breaks it, too (maintain accuracy {kept}): it takes more than what an edit put there, and nothing about the "
            "edits can be read from it.")  # fmt: skip


def describes(broken: bool) -> str:
    """What a table of differences under an attack is, or why there is none: the attack has ``broken`` the unedited model."""
    if broken:
        return "How edits differ under it is not shown: an attack that breaks the unedited model tells no edit from another."
    return ("How edits differ under it: fact lookup minus the other, in the share of true answers, with 95 % intervals over forget sets "
            "and the exact p of each line by itself. Descriptive: no claim of the claims file is about this, so there is no rule and no "
            "verdict.")  # fmt: skip


def lowest(shares: Mapping[str, float]) -> str:
    """The lowest share after an edit and all localizations that have it; one share where they are alike to a percent."""
    least, most = min(shares.values()), max(shares.values())
    if most - least < _ALIKE:
        return f"the share is {percent(least)} after every edit" if len(shares) > 1 else "it is the only edit here"
    return f"the lowest share after an edit is {percent(least)} ({listed([key for key in shares if shares[key] - least < _ALIKE])})"
