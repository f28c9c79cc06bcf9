"""Every claim of the claims file, computed a second time from the kept rows: ``python tests/recompute/recompute.py`` prints each line.

It reads book/claims.toml and book/results/rows, and imports json, numpy and nothing of mechlib.
"""

import json
import math
import sys
import tomllib
from pathlib import Path

import numpy as np
from exact import ENOUGH, LEVEL, balanced, beyond, equivalent, first_effect, holm, least, sign_flip, student
from kept import UNEDITED, by_set, read, shared_weights, studies
from outcomes import given, values_of, void
from places import sought
from stopped import stopped

ROOT = Path(__file__).parents[2]
# With fewer places edited, depth and lookup are not told apart.
PLACES = 10
# What the outcome of a claim begins with.
MEASURES = ("transfer", "relearning", "latent knowledge", "weights masked")
# What a comparison is called for which one change was rescaled.
EQUAL = " at equal norm"


def lines(claims, study):
    """Each comparison that is declared about the study's task: a dictionary, without ``gaps`` where it was not run."""
    found = [_line(claims["gates"], claim, rival, study) for claim in claims["claim"] if claim["task"] == study["task"]
             for rival in claim["rivals"]]  # fmt: skip
    for family in {one["family"] for one in found}:
        own = [one for one in found if one["family"] == family and one.get("p") is not None and one["stopped"] != "not a contrast"]
        adjusted = holm({number: one["p"] for number, one in enumerate(own)})
        for number, one in enumerate(own):
            one |= {"adjusted": adjusted[number], "of": len(own)}
    return [{**one, "verdict": _verdict(one)} for one in found]


def _verdict(one):
    if one["rule"] == "none":
        return "descriptive: no rule"
    if "gaps" not in one and "effect" not in one:
        return one.get("stopped") or "not run yet"
    if one["stopped"]:
        return one["stopped"]
    if "adjusted" not in one:
        return "no inference"
    if "effect" in one:
        effect, error, free = one["effect"]
        if one["adjusted"] <= LEVEL:
            return "supported" if effect < 0 else "contradicted"
        return "equivalent" if abs(effect) + student(0.95, free) * error < one["margin"] else "undecided"
    gaps = list(one["gaps"].values())
    if one["adjusted"] <= LEVEL:
        return "supported" if sum(gaps) < 0 else "contradicted"
    if equivalent(gaps, one["margin"]):
        return "equivalent"
    return "undecidable" if least(gaps) * one["of"] > LEVEL else "undecided"


def _line(gates, claim, rival, study):
    line = {"claim": claim["key"], "rival": rival, "family": claim["family"], "rule": claim["rule"], "margin": claim.get("margin")}
    if "missed" in study:
        return {**line, **_at_places(gates, claim, rival, study)}
    run = {row["localization"] for row in study["answers"]} - {UNEDITED}
    arms = _arms(claim, rival, run)
    if any(share < gates["able"] for share in given(claim, study)):
        return {**line, "stopped": "not testable"}
    if claim["rule"] == "mixed model":
        return {**line, **_at_equal_depth(gates, claim, study, run)}
    claim = {**claim, "outcome": next((one for one in MEASURES if claim["outcome"].startswith(one)), claim["outcome"])}
    values = values_of(claim, study, arms) if run.issuperset(arms) else None
    if values is None:
        return line
    gaps = {}
    for number, facts in values[0].items():
        assert facts.keys() == values[1][number].keys(), (line, number)
        gaps[number] = math.fsum(facts[fact] - values[1][number][fact] for fact in facts) / len(facts)
    gaps = dict(sorted(gaps.items()))
    why = stopped(gates, claim, study, arms)
    if claim["rule"] == "balanced" and len(gaps) >= ENOUGH:
        effect = balanced(gaps, study["sites"])
        return {**line, "effect": effect, "n_sets": len(gaps), "p": beyond(effect[0] / effect[1], effect[2]), "stopped": why}
    p = sign_flip(list(gaps.values())) if len(gaps) >= ENOUGH else None
    return {**line, "gaps": gaps, "p": p, "stopped": why}


def _at_places(gates, claim, rival, study):
    """What two methods miss of the planted weights, at the places where the facts were learned."""
    there = sorted(place for place, share in study["learned"].items() if share >= gates["able"])
    both = [study["missed"].get(arm, {}) for arm in (claim["first"], rival)]
    gaps = {place: both[0][place] - both[1][place] for place in there} if all(both) else {}
    return {"gaps": gaps, "p": sign_flip(list(gaps.values())) if len(gaps) >= ENOUGH else None, "stopped": ""} if gaps else {}


def _arms(claim, rival, run):
    """The two arms of a comparison: as they were edited, or the one that was rescaled to the norm of the other beside it."""
    first = claim["first"]
    if not claim["outcome"].endswith(EQUAL):
        return first, rival
    return (f"{first}@{rival}", rival) if f"{first}@{rival}" in run else (first, f"{rival}@{first}")


def _at_equal_depth(gates, claim, study, run):
    """The effect of sharing MLPs with fact lookup, over places of as many MLPs, the same in all sets, at equal depth and its square."""
    own = study["trains"].get(claim["first"], {})
    size, same = {one["parameters"] for one in own.values()}, {}
    for arm, sets in study["trains"].items():
        trained = {json.dumps(one["components"]) for one in sets.values()}
        mlps = all(name.endswith(".mlp") for one in sets.values() for name in one["components"])
        if arm in run and len(trained) == 1 and mlps and {one["parameters"] for one in sets.values()} == size:
            same[arm] = sets
    plain = {**claim, "outcome": claim["outcome"].removesuffix(" at equal depth")}
    found = {arm: by_set(values[0]) for arm in same if (values := values_of(plain, study, [arm]))}
    if not found:
        return {}
    numbers = sorted(set.intersection(*(set(sets) for sets in found.values())))
    depth = {arm: np.mean([int(name[1:].partition(".")[0]) for name in next(iter(same[arm].values()))["components"]]) for arm in same}
    middle = np.mean(list(depth.values()))
    out = {arm: why for arm in found if (why := stopped(gates, plain, study, [arm]))}
    used = [arm for arm in found if arm not in out]
    if len(used) < PLACES:
        return {}
    shared = {arm: np.mean([shared_weights(own[n], same[arm][n]) for n in own.keys() & same[arm].keys()]) for arm in used}
    terms = np.array([[shared[arm], depth[arm], (depth[arm] - middle) ** 2] for arm in used])
    effect = first_effect(np.array([[found[arm][number] for number in numbers] for arm in used]), terms)
    few = "not edited alike" if len(used) < gates["edited"] * len(found) else ""
    why = "void" if void(study, study["trained"]) else few
    return {"effect": effect, "n_sets": len(numbers), "p": beyond(effect[0] / effect[1], effect[2]), "stopped": why}


def main():
    claims = tomllib.loads((ROOT / "book" / "claims.toml").read_text(encoding="utf-8"))
    runs = read(ROOT / "book" / "results" / "rows")
    for study in (*studies(runs), *sought(runs)):
        sys.stdout.write(f"{study['task']}, {len(study['ids'])} runs\n")
        for one in lines(claims, study):
            gaps = list(one.get("gaps", {}).values())
            if "effect" in one:
                said = f"{one['effect'][0]:+.3f} over {one['n_sets']} sets, p {one['p']:.4f}, Holm {one['adjusted']:.4f}"
                sys.stdout.write(f"  {one['claim']} - {one['rival']}: {one['verdict']} {said}\n")
                continue
            said = f"{sum(gaps) / len(gaps):+.3f} over {len(gaps)} sets, p {one['p']}, Holm {one.get('adjusted')}" if gaps else ""
            sys.stdout.write(f"  {one['claim']} - {one['rival']}: {one['verdict']} {said}\n")


if __name__ == "__main__":
    main()
