"""The statistics of the claims, written a second time with numpy alone: no file here imports anything of mechlib."""

import math

import numpy as np

ENOUGH, LEVEL = 6, 0.05


def flips_at_least(gaps, threshold, two_sided=True):
    """Exact share of the 2^n ways to flip signs whose (absolute) sum is at least ``threshold``: two halves, joined by search."""
    halves = [np.zeros(1), np.zeros(1)]
    for number, gap in enumerate(gaps):
        side = number % 2
        halves[side] = np.concatenate([halves[side] + gap, halves[side] - gap])
    first, second = halves[0], np.sort(halves[1])
    edge = threshold - 1e-9 * max(1.0, np.abs(gaps).sum())
    above = sum(len(second) - np.searchsorted(second, edge - one) for one in first)
    below = sum(np.searchsorted(second, -edge - one, "right") for one in first) if two_sided else 0
    return min(1.0, float(above + below) / (len(first) * len(second)))


def sign_flip(gaps):
    """Two-sided exact p of the hypothesis that each gap has either sign alike."""
    return flips_at_least(gaps, abs(sum(gaps)))


def equivalent(gaps, margin):
    """Both one-sided exact tests, that the gaps lie at the margin or beyond, are rejected at 5 %."""
    shifted = ([gap + margin for gap in gaps], [margin - gap for gap in gaps])
    return all(flips_at_least(one, sum(one), two_sided=False) <= LEVEL for one in shifted)


def least(gaps):
    """The smallest p that gaps of these sizes could give."""
    return min(1.0, 2.0 ** (1 - sum(gap != 0 for gap in gaps)))


def holm(ps):
    """Adjusted p-values: step down from the smallest, never falling."""
    found, so_far = {}, 0.0
    for rank, key in enumerate(sorted(ps, key=lambda key: ps[key])):
        so_far = max(so_far, min(1.0, (len(ps) - rank) * ps[key]))
        found[key] = so_far
    return found


def student(probability, freedom):
    """Quantile of Student's distribution, by bisection over a numeric integral of its density (finer than 1e-6)."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        x = np.sinh(np.linspace(0, np.arcsinh(middle), 4001))
        area = np.trapezoid(scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2), x)
        low, high = (middle, high) if 0.5 + area < probability else (low, middle)
    return (low + high) / 2


def beyond(value, freedom):
    """Two-sided p of Student's distribution: what lies further from zero than ``value``."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    x = np.sinh(np.linspace(0, np.arcsinh(abs(value)), 20001))
    return max(0.0, 1 - 2 * float(np.trapezoid(scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2), x)))


def first_effect(values, terms):
    """What the first of ``terms`` [arm, term] does to ``values`` [arm, set], and its standard error.

    A mixed model with an intercept for each arm and set, both drawn, whose variances are those of restricted likelihood: of a balanced
    study these are in closed form, from the sums of squares. A variance below zero is none, and what it left joins the rest.
    """
    n_arms, n_sets = values.shape
    design = np.column_stack([np.ones(n_arms), terms])
    means = values.mean(1)
    centre = np.linalg.lstsq(design, means, rcond=None)[0]
    between = (n_sets * float(((means - design @ centre) ** 2).sum()), n_arms - design.shape[1])
    sets = (n_arms * float(((values.mean(0) - values.mean()) ** 2).sum()), n_sets - 1)
    rest = values - means[:, None] - values.mean(0) + values.mean()
    left = (float((rest**2).sum()), (n_arms - 1) * (n_sets - 1))
    squares, free = left if n_sets > 1 else between
    parts = {"arms": between, "sets": sets} if n_sets > 1 else {}
    while below := {name: one for name, one in parts.items() if one[0] / one[1] < squares / free}:
        name = min(below, key=lambda name: below[name][0] / below[name][1])
        squares, free = squares + parts[name][0], free + parts.pop(name)[1]
    variance = squares / free if n_sets > 1 and "arms" not in parts else between[0] / between[1]
    error = math.sqrt(np.linalg.inv(design.T @ design)[1, 1] * variance / n_sets)
    return float(centre[1]), error, between[1]


def balanced(gaps, kinds):
    """The mean of the kinds' means, its standard error from what sets of one kind differ by, and how many are free."""
    groups = [[gap for number, gap in gaps.items() if kinds[number] == kind] for kind in sorted(set(kinds.values()))]
    free = len(gaps) - len(groups)
    within = sum(float(((np.array(own) - np.mean(own)) ** 2).sum()) for own in groups) / free
    error = math.sqrt(sum(within / len(own) for own in groups)) / len(groups)
    return float(np.mean([np.mean(own) for own in groups])), error, free


def upper_end(means):
    """Upper end of Student's 95 % interval of the mean over sets; without ends for one set."""
    if len(means) < 2:
        return math.inf
    return float(np.mean(means) + student(0.975, len(means) - 1) * np.std(means, ddof=1) / math.sqrt(len(means)))


def share_low(values):
    """Lower end of the 95 % interval of a share by set and fact: Wilson's, on as many facts as the sets are worth."""
    means, count = [np.mean(list(own.values())) for own in values.values()], sum(map(len, values.values()))
    p, worth = float(np.mean(means)), float(count)
    if len(means) < ENOUGH:
        pooled = {}
        for own in values.values():
            for fact, value in own.items():
                pooled.setdefault(fact, []).append(value)
        p, worth = float(np.mean([np.mean(several) for several in pooled.values()])), float(len(pooled))
    else:
        variance = float(np.var(means, ddof=1)) / len(means)
        worth = min(worth, p * (1 - p) / variance) if variance > 0 else worth
        worth *= (student(0.975, max(1, count - 1)) / student(0.975, len(means) - 1)) ** 2
    return wilson_low(p, worth)


def wilson_low(p, worth):
    """Lower end of Wilson's 95 % interval of a share of so many."""
    z = 1.959963984540054
    centre, half = p + z * z / (2 * worth), z * math.sqrt(p * (1 - p) / worth + z * z / (4 * worth * worth))
    return max(0.0, (centre - half) / (1 + z * z / worth))
