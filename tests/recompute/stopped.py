"""The gates of a verdict, computed a second time: whether two arms were edited alike, are whole, and were attacked."""

import math
from collections import defaultdict

from exact import ENOUGH, upper_end
from kept import UNEDITED, average, by_set, shared_weights
from outcomes import attacked, of_arm, once, right, void


def stopped(gates, claim, study, arms):
    """The first gate that forbids a verdict about two arms, or about one by itself."""
    trains = [study["trains"][arm] for arm in arms]
    both = trains[0].keys() & trains[-1].keys()
    overlap = sum(shared_weights(trains[0][number], trains[1][number]) for number in both) / len(both) if len(arms) > 1 else 0.0
    if void(study, study["trained"]):
        return "void"
    if overlap > gates["overlap"]:
        return "not a contrast"
    if claim["outcome"] == "weights masked":
        return ""
    success = gates["success"]
    if min(once(study, ("edited", arm, success), lambda arm=arm: _edited(_trained(study, arm), success)) for arm in arms) < gates["edited"]:
        return "not edited alike"
    ends = [once(study, ("kept", arm), lambda arm=arm: _kept(_trained(study, UNEDITED), _trained(study, arm))) for arm in arms]
    learned = []
    if claim["outcome"] == "relearning":
        ends += [once(study, ("kept attacked", arm), lambda arm=arm: _kept(*attacked(study, arm))) for arm in arms]
        learned = [once(study, ("taught", arm), lambda arm=arm: _taught(study, arm)) for arm in arms]
    if any(end < gates["kept"] for end in ends):
        return "model broken"
    return "attack failed" if any(share < gates["taught"] for share in learned) else ""


def _trained(study, arm):
    """An arm's answers in the format that edits are trained on."""
    return [row for row in of_arm(study, "answers", arm) if row["format"] == study["trained"]]


def _edited(rows, success):
    """Sets count alike, and within them repetitions: the share whose targets have this probability as a geometric mean."""
    targets = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["group"] == "forget":
            targets[row["forget_set"]][row["seed"]].append(row["target_log_probability"])
    done = [[math.exp(sum(logs) / len(logs)) >= success for logs in seeds.values()] for seeds in targets.values()]
    return sum(sum(seeds) / len(seeds) for seeds in done) / len(done)


def _kept(before, after):
    """Upper end of what is kept of the maintain accuracy, over sets; nothing is kept where nothing was there or is maintained."""
    had, left = (by_set(average([row for row in rows if row["group"] == "maintain"], right)) for rows in (before, after))
    return upper_end([left[number] / share if share else 0.0 for number, share in had.items()]) if had else -math.inf


def _taught(study, arm):
    """The share of the half that the attack teaches which the model then gives."""
    values = average([row for row in attacked(study, arm)[1] if row["group"] == "relearned"], right)
    if len(values) >= ENOUGH:
        return sum(by_set(values).values()) / len(values)
    facts = {fact for own in values.values() for fact in own}
    pooled = [[own[fact] for own in values.values() if fact in own] for fact in facts]
    return sum(sum(several) / len(several) for several in pooled) / len(pooled)
