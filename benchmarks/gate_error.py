"""How often the gate errs: simulated pairs of models, the real bootstrap, the real rules.

    python -m benchmarks.gate_error            # minutes on two cores; writes docs/gate-error.md
    python -m benchmarks.gate_error --pairs 50 --print

Scores are binormal, so that every truth is known in closed form: with a label y, score = shift * y + noise, the noise of
two models correlated; the AUC is Phi(shift / sqrt(2)), the recall at a threshold 1 - Phi(threshold - shift).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

# One thread a process: two processes of two threads each would wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from include.config.sections.evaluation import Gate
from include.evaluation.comparison import Comparison, compare
from include.evaluation.evidence import CostFunction, Evidence, Holdout, Units
from include.evaluation.gains import Gain
from include.evaluation.scored_rows import Scored, SliceLevels
from include.evaluation.uncertainty.bootstrap import blocks, draw, effective_units, expanded
from include.evaluation.uncertainty.intervals import gain_of_draws
from include.registry.gate.error_budget import YEAR, Budget, level_of, spent_by
from include.registry.gate.judgement import judge
from include.registry.gate.verdicts import RuleResult
from include.registry.version_states import Outcome
from include.training.metrics.definitions import DEFINITIONS, row_terms, sign

Array = NDArray[Any]

CONFIDENCE, ALPHA = 0.95, 0.05
POSITIVE, SHIFT, THRESHOLD, SHARED = 0.3, 1.0, 0.5, 0.8
"""Share of positives, separation of the classes (AUC 0.76), threshold of labels, correlation of the two models' noise."""

BETTER = Gate.model_validate({"primary": {"metric": "roc_auc", "confidence": CONFIDENCE}})
ERRORS = 3
"""Monte-Carlo standard errors that a share may lie beyond what is promised. Were every promise just kept, one run in thirty
would still show a line beyond three; beyond two, every second run would."""

START, WEEKS = datetime(2026, 1, 1, tzinfo=UTC), 52
"""Of the simulated years: when each begins, and how many retrainings it has."""

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gate-error.md"


@dataclass(frozen=True)
class Pair:
    """Rows on which two models are compared."""

    target: Array
    challenger: Array
    incumbent: Array
    levels: SliceLevels | None = None
    units: Array | None = None


def auc(shift: Array | float) -> Array:
    """Return the AUC of scores whose classes are ``shift`` standard deviations apart."""
    return np.asarray(ndtr(np.asarray(shift) / np.sqrt(2)))


def shift_of(value: Array | float) -> Array:
    """Return the separation that gives an AUC."""
    return np.asarray(np.sqrt(2) * ndtri(value))


def pair(rng: np.random.Generator, n: int, gain: Array | float = 0.0, levels: SliceLevels | None = None) -> Pair:
    """Draw labels and the scores of two models; the challenger's AUC is better by ``gain``, which may differ by row."""
    target = (rng.random(n) < POSITIVE).astype(float)
    common = np.sqrt(SHARED) * rng.standard_normal(n)
    own = np.sqrt(1 - SHARED) * rng.standard_normal((2, n))
    ours = shift_of(auc(SHIFT) + gain) * target + common + own[0]
    return Pair(target, ours, SHIFT * target + common + own[1], levels)


def measured(pair: Pair, seed: int, metrics: tuple[str, ...] = ("roc_auc",)) -> Comparison:
    """Compare as the chain does; the trivial baseline is there to be beaten, the simple one is the challenger's kind."""
    n = len(pair.target)
    models = {
        "challenger": Scored(pair.challenger, THRESHOLD),
        "incumbent": Scored(pair.incumbent, THRESHOLD),
        "trivial": Scored(np.zeros(n), THRESHOLD),
    }
    resampling = draw(np.arange(n) if pair.units is None else pair.units, resamples=1000, seed=seed)
    slices = {} if pair.levels is None else {"level": pair.levels}
    return compare(pair.target, models, metrics, slices, resampling, positives=True)  # type: ignore[arg-type]


def evidence(found: Comparison, n: int) -> Evidence:
    """Return what the gate rules on."""
    return Evidence(
        model="simulated",
        task="classification",
        version="challenger",
        as_of="2026-01-01T00:00:00Z",
        incumbent="incumbent",
        snapshot="",
        holdout=Holdout("", "", n, "", None),
        comparable=True,
        incomparable_because=None,
        remedy=None,
        notes=(),
        metrics=tuple(found.scores["challenger"]),
        scores=found.scores,
        gains=found.gains,
        slice_scores=found.slice_scores,
        subjects={},
        curves={},
        importance=(),
        cost=CostFunction(0.0, 0),
        resamples=1000,
        units=Units("row", n, n),
        seed=0,
        families=found.families,
        churn=found.churn,
    )


def outcome(policy: Gate, found: Comparison, n: int) -> Outcome:
    """Judge by the real rules."""
    return judge(policy, evidence(found, n), challenger_is_simple=True).outcome


def gain_of(found: Comparison, metric: str = "roc_auc") -> Gain:
    """Return the gain over the incumbent on all rows."""
    return next(gain for gain in found.gains if (gain.metric, gain.against, gain.slice) == (metric, "incumbent", None))


def covers(gain: Gain, truth: float) -> bool:
    """Say whether the two-sided 95 % interval holds the truth."""
    low, high = gain.bound(0.975), gain.upper(0.975)
    return low is not None and high is not None and low <= truth <= high


def equal(seed: int, n: int) -> dict[str, float]:
    """Compare two equally good models."""
    found = measured(pair(np.random.default_rng([n, seed]), n), seed, ("roc_auc", "recall"))
    gain = gain_of(found)
    judged = outcome(BETTER, found, n)
    return {
        "promoted": judged is Outcome.PROMOTE,
        "rejected": judged is Outcome.REJECT,
        "covered": covers(gain, 0.0),
        "covered_recall": covers(gain_of(found, "recall"), 0.0),
        "error": gain.error or 0.0,
        "closed_form": gain.delong is not None and gain.delong[0] <= 0 <= gain.delong[1],
    }


def planted(seed: int, n: int, gain: float, margin: float | None) -> dict[str, float]:
    """Compare a challenger whose AUC is truly better by ``gain``, or worse."""
    primary = {"metric": "roc_auc", "confidence": CONFIDENCE}
    primary |= {} if margin is None else {"rule": "not_worse", "margin": margin}
    found = measured(pair(np.random.default_rng([n, seed, 1 if margin is None else 2]), n, gain), seed)
    judged = outcome(Gate.model_validate({"primary": primary}), found, n)
    return {"promoted": judged is Outcome.PROMOTE, "covered": covers(gain_of(found), gain)}


def sliced(seed: int, n: int, levels: int, weak: float, loss: float, gain: float) -> dict[str, float]:
    """Compare on levels: the first, of a share ``weak`` of the rows or like the others, loses ``loss``; these gain ``gain``."""
    rng = np.random.default_rng([n, seed, levels])
    codes = rng.integers(1 if weak else 0, levels, n)
    codes[rng.random(n) < weak] = 0
    here = SliceLevels(tuple(f"{number:02}" for number in range(levels)), codes)
    found = measured(pair(rng, n, np.where(codes == 0, -loss, gain), here), seed)
    primary = {"metric": "roc_auc", "rule": "not_worse", "margin": 0.5}  # leaves the decision to the guard
    guard = {"metric": "roc_auc", "slice": "level", "max_loss": 0.03}
    judged = judge(
        Gate.model_validate({"primary": primary, "guards": [guard]}), evidence(found, n), challenger_is_simple=True
    )
    each = [one for one in found.gains if one.slice is not None and one.against == "incumbent"]
    return {
        "rejected": judged.outcome is Outcome.REJECT,
        "held": judged.outcome is Outcome.HOLD,
        "unverified": sum(verdict.answer is RuleResult.UNVERIFIED for verdict in judged.verdicts),
        "overall_rises": (gain_of(found).bound(CONFIDENCE) or 0.0) > 0,
        "naive": any((one.upper(CONFIDENCE) or 0.0) < -0.03 for one in each),
    }


def tied(seed: int, n: int, days: int, of: str) -> dict[str, float]:
    """Compare equal models on days that favour now one, now the other; resample rows, or days."""
    rng = np.random.default_rng([n, seed, days])
    second = rng.uniform(0, days, n)
    day = blocks(second, 1.0)
    favour = 0.05 * rng.standard_normal(days)
    drawn = pair(rng, n, favour[day])
    found = measured(Pair(drawn.target, drawn.challenger, drawn.incumbent, None, day if of == "day" else None), seed)
    return {"promoted": outcome(BETTER, found, n) is Outcome.PROMOTE}


CLASSES, VALUES = ("roc_auc", "average_precision", "f1", "brier"), ("rmse", "mae")
DETECTABLE = float(ndtri(CONFIDENCE) + ndtri(0.8))
"""How many standard errors the least detectable gain is: promoted with 80 % power."""

AT_ONCE = 50
"""Pairs that share their resamples, and so one matrix product; each pair's resamples are still independent of its rows."""


@dataclass(frozen=True)
class World:
    """Pairs of equally good models: how many rows, and the share of positives; None for a regression."""

    n: int
    positive: float | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is compared."""
        return VALUES if self.positive is None else CLASSES

    @property
    def rows(self) -> str:
        """How a reader would call it."""
        return f"{self.n:,} rows" + ("" if self.positive is None else f", {self.positive:.0%} positive")

    def pair(self, rng: np.random.Generator) -> tuple[Array, Array, Array, float | None]:
        """Draw targets, two equally good predictions of them and a threshold."""
        common = np.sqrt(SHARED) * rng.standard_normal(self.n)
        first, second = common + np.sqrt(1 - SHARED) * rng.standard_normal((2, self.n))
        if self.positive is None:
            target = rng.standard_normal(self.n)
            return target, target + first, target + second, None
        target = (rng.random(self.n) < self.positive).astype(float)
        odds = np.log(self.positive / (1 - self.positive)) - SHIFT**2 / 2
        # The probability of a row given its score; positives are rare where no row is more likely positive than not.
        ours, theirs = (expit(odds + SHIFT * (SHIFT * target + noise)) for noise in (first, second))
        return target, ours, theirs, float(expit(odds + SHIFT * (SHIFT if self.positive > 0.1 else 2 * SHIFT)))


WORLDS = (
    World(200, 0.3),
    World(200, 0.02),
    World(200, None),
    World(20_000, 0.3),
    World(20_000, 0.02),
    World(20_000, None),
)


def verdicts(seed: int, world: World, pairs: int = AT_ONCE) -> dict[str, float]:
    """Compare pairs of equal models by every metric of a world, all with the same resamples.

    Returns
    -------
    dict of float
        For every metric shares of pairs: ``promoted`` and ``rejected`` by the bounds of a gain, ``found`` if the challenger's gain
        is moved up by `DETECTABLE` standard errors, the same ``before`` (the bounds of evidence of the first edition), and
        ``unknown`` where there is no bound.
    """
    rng = np.random.default_rng([world.n, seed, int(1000 * (world.positive or 0))])
    resampling = draw(np.arange(world.n), resamples=1000, seed=seed)
    wanted = tuple(dict.fromkeys(term for metric in world.metrics for term in DEFINITIONS[metric].terms))
    columns: list[Array] = []
    for _ in range(pairs):
        target, ours, theirs, threshold = world.pair(rng)
        for score in (ours, theirs):
            columns += row_terms(wanted, target, score, threshold).values()
    found = [each.reshape(pairs, 2, len(wanted), -1) for each in resampling.sums_and_left_out(columns)]
    count: dict[str, float] = {}
    for metric in world.metrics:
        sums, without = ({term: each[:, :, place] for place, term in enumerate(wanted)} for each in found)
        drawn, left_out = (DEFINITIONS[metric].combine(each) for each in (sums, without))
        for mine, other, *less in zip(drawn[:, 0], drawn[:, 1], left_out[:, 0], left_out[:, 1], strict=True):
            units = resampling.present()
            few = effective_units(less[0] - less[1], units)
            gain = gain_of_draws(metric, "incumbent", None, world.n, mine, other, units, few, "it has no value")
            if gain.estimate is None or gain.bound(CONFIDENCE) is None:
                told, error, old, new = False, 0.0, np.zeros(2), np.zeros(2)
            else:
                differences = sign(metric) * (mine - other)[1:]
                old = np.nanquantile(differences, expanded(np.array([1 - CONFIDENCE, CONFIDENCE]), units))
                new = np.array([gain.bound(CONFIDENCE), gain.upper(CONFIDENCE)], dtype=float)
                told, error = True, float(old[1] - old[0]) / 2 / float(ndtri(CONFIDENCE))
            for bounds, when in ((new, ""), (old, " before")):
                seen = {
                    "promoted": told and bounds[0] > 0,
                    "rejected": told and bounds[1] < 0,
                    "found": told and bounds[0] + DETECTABLE * error > 0,
                    "unknown": not told,
                }
                for name, value in seen.items():
                    count[f"{metric} {name}{when}"] = count.get(f"{metric} {name}{when}", 0.0) + bool(value)
    return {name: value / pairs for name, value in count.items()}


def equal_models(pool: ProcessPoolExecutor, first: int, pairs: int) -> Iterator[Line | str]:
    """Simulate what the gate says of equal models, by metric, and how often it promotes better ones."""
    yield "| metric | rows | pairs | promoted | rejected | both | before | no bound | power | before | promised at most 5 % |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    pooled: list[tuple[int, dict[str, float]]] = []
    for world in WORLDS:
        sets = max(1, pairs // AT_ONCE // (1 if world.n < 1000 else 3))
        found = list(pool.map(partial(verdicts, world=world), range(first, first + sets)))
        same = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
        for metric in world.metrics:
            shares = {
                name.removeprefix(f"{metric} "): value for name, value in same.items() if name.startswith(f"{metric} ")
            }
            pooled.append((sets * AT_ONCE, shares))
            yield _row(metric, world.rows, *pooled[-1])
    counts = [count for count, _ in pooled]
    mean = {name: float(np.average([each[name] for _, each in pooled], weights=counts)) for name in pooled[0][1]}
    yield _row("all", "all", sum(counts), mean)


def _row(metric: str, rows: str, pairs: int, share: dict[str, float]) -> str:
    def shown(value: float, of: int) -> str:
        return f"{value:.2%} ± {np.sqrt(value * (1 - value) / of):.2%}"

    slack = ERRORS * float(np.sqrt(ALPHA * (1 - ALPHA) / pairs))
    kept = "kept" if max(share["promoted"], share["rejected"]) <= ALPHA + slack else "**broken**"
    cells = [metric, rows, f"{pairs:,}", shown(share["promoted"], pairs), shown(share["rejected"], pairs)]
    cells += [shown((share[f"promoted{when}"] + share[f"rejected{when}"]) / 2, 2 * pairs) for when in ("", " before")]
    cells += [f"{share[name]:.1%}" for name in ("unknown", "found", "found before")]
    return f"| {' | '.join([*cells, kept])} |"


WEEK = YEAR / (365.25 / 7)


def a_lifetime(*, years: int, decay: float, rate: float | None, seed: int) -> dict[str, float]:
    """Simulate years of weekly retrainings, each year a history of its own, and count promotions.

    Each challenger is as good as the champion was when it was promoted; the champion loses ``decay`` standard errors of a
    comparison a week from then on. The gain that is measured is the true one plus normal noise.

    Parameters
    ----------
    rate : float or None
        `gate.lifetime.wrong_promotions` a year; None decides at the fixed confidence alone.

    Returns
    -------
    dict of float
        ``promoted`` a year; ``any``: share of years with at least one; ``lost``: how much worse than a fresh model the
        champion was on average, in standard errors.
    """
    rng = np.random.default_rng([seed, years])
    promoted, any_at_all, lost = 0, 0, 0.0
    for _ in range(years):
        budget, age, found = Budget(0.0, START), 0, 0
        for week in range(1, WEEKS + 1):
            z = decay * age + rng.standard_normal()
            lost += decay * age
            if rate is None:
                level = 1 - CONFIDENCE
            else:
                budget = budget.grown(START + week * WEEK, rate)
                level = level_of(budget.left, CONFIDENCE)
                budget = budget.minus(spent_by(level, seems_better=z > 0))
            # What is beyond the reach of a thousand resamples is held.
            better = level >= 0.001 and ndtr(-z) <= level
            found, age = found + better, 0 if better else age + 1
        promoted, any_at_all = promoted + found, any_at_all + (found > 0)
    return {"promoted": promoted / years, "any": any_at_all / years, "lost": lost / years / WEEKS}


Run = Callable[[Callable[[int], dict[str, float]], int], dict[str, float]]


def simulated(pool: ProcessPoolExecutor, first: int) -> Run:
    """Return what repeats a simulation, with seeds from ``first`` on, and averages what it finds."""

    def run(one: Callable[[int], dict[str, float]], pairs: int) -> dict[str, float]:
        found = list(pool.map(one, range(first, first + pairs), chunksize=10))
        return {name: float(np.mean([each[name] for each in found])) for name in found[0]}

    return run


@dataclass(frozen=True)
class Line:
    """One line of the table: what was simulated, how often it happened, and how often it may."""

    what: str
    n: int
    pairs: int
    share: float
    least: float
    most: float
    promise: str

    @property
    def kept(self) -> bool:
        """Whether the promise is kept up to `ERRORS` Monte-Carlo standard errors."""

        def slack(promised: float) -> float:
            return ERRORS * float(np.sqrt(promised * (1 - promised) / self.pairs))

        return self.least - slack(self.least) <= self.share <= self.most + slack(self.most)

    def __str__(self) -> str:
        promised = (self.least, self.most) != (0, 1)
        verdict = ("kept" if self.kept else "**broken**") if promised else "for comparison"
        error = float(np.sqrt(self.share * (1 - self.share) / self.pairs))
        return f"| {self.what} | {self.n:,} | {self.pairs:,} | {self.share:.1%} ± {error:.1%} | {self.promise} | {verdict} |"


def lines(run: Run, pairs: int) -> Iterator[Line | str]:
    """Simulate everything that docs/gate.md promises."""
    yield "| what | rows | pairs | how often | promise | |"
    yield "|---|---|---|---|---|---|"
    fewer = max(10, pairs // 4)
    upto = f"at most {ALPHA:.0%}"
    z = float(ndtri(CONFIDENCE) + ndtri(0.8))
    for n, some in ((200, pairs), (20_000, max(10, pairs // 2)), (200_000, fewer)):
        same = run(partial(equal, n=n), pairs)
        yield Line("equal models promoted", n, pairs, same["promoted"], 0, ALPHA, upto)
        yield Line("equal models rejected", n, pairs, same["rejected"], 0, ALPHA, upto)
        yield Line(
            "two-sided 95 % interval of the AUC gain covers it", n, pairs, same["covered"], 0.94, 0.96, "94 to 96 %"
        )
        yield Line(
            "two-sided 95 % interval of the recall gain covers it",
            n,
            pairs,
            same["covered_recall"],
            0.94,
            0.96,
            "94 to 96 %",
        )
        yield Line("DeLong's interval covers the AUC gain", n, pairs, same["closed_form"], 0.94, 0.96, "94 to 96 %")
        least = z * same["error"]
        better = run(partial(planted, n=n, gain=least, margin=None), some)
        what = f"the least detectable gain, {least:.4f}, promoted"
        yield Line(what, n, some, better["promoted"], 0.8, 1, "at least 80 %")
        worse = run(partial(planted, n=n, gain=-least, margin=least), some)
        yield Line(
            f"`not_worse` with a true loss of its margin, {least:.4f}, promoted",
            n,
            some,
            worse["promoted"],
            0,
            ALPHA,
            upto,
        )
    for n in (20_000, 200_000):
        weak = run(partial(sliced, n=n, levels=10, weak=0.03, loss=0.15, gain=0.02), fewer)
        what = "3 % of the rows lose 0.15, the others gain 0.02: overall bound above zero"
        yield Line(what, n, fewer, weak["overall_rises"], 0.95, 1, "at least 95 %")
        yield Line("the same: rejected by the guard", n, fewer, weak["rejected"], 0.95, 1, "at least 95 %")
    noise = run(partial(sliced, n=20_000, levels=30, weak=0.0, loss=0.03, gain=-0.03), fewer)
    yield Line("30 levels lose exactly the 0.03 accepted: rejected", 20_000, fewer, noise["rejected"], 0, ALPHA, upto)
    what = "the same, were each level rejected by its own bound"
    yield Line(what, 20_000, fewer, noise["naive"], 0, 1, "not what is done")
    calm = run(partial(sliced, n=20_000, levels=30, weak=0.0, loss=0.0, gain=0.0), fewer)
    share = calm["held"] + calm["rejected"]
    yield Line("30 levels with equal models: held or rejected", 20_000, fewer, share, 0, 0.25, "at most 25 %")
    for of, most, promise in (("row", 1.0, "not what to do"), ("day", ALPHA, upto)):
        days = run(partial(tied, n=20_000, days=30, of=of), fewer)
        what = f"equal models on 30 days that each favour one: promoted, resampled by {of}"
        yield Line(what, 20_000, fewer, days["promoted"], 0, most, promise)


def lifetimes(years: int = 2000) -> Iterator[str]:
    """Simulate `gate.lifetime` beside the fixed confidence: 200 years, as the promise is told, and ten times as many."""
    yield "| what | years | rule | promoted a year | years with any | behind a fresh model, in standard errors |"
    yield "|---|---|---|---|---|---|"
    worlds = (
        ("all challengers equal to the champion", 0.0, 200),
        ("all challengers equal to the champion", 0.0, years),
    )
    decays = (("the champion loses {} standard errors a week", decay, years) for decay in (0.05, 0.1, 0.3))
    for what, decay, some in (*worlds, *decays):
        for rule, rate in (
            ("fixed 95 %", None),
            ("`wrong_promotions: 0.1/y`", 0.1),
            ("`wrong_promotions: 0.5/y`", 0.5),
        ):
            found = a_lifetime(years=some, decay=decay, rate=rate, seed=20_000)
            error = float(np.sqrt(found["promoted"] / some))
            yield (
                f"| {what.format(decay)} | {some:,} | {rule} | {found['promoted']:.3f} ± {error:.3f} | {found['any']:.0%} "
                f"| {found['lost']:.2f} |"
            )


def main() -> None:
    """Simulate, print the table, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=10_000, help="the first seed: others are other pairs")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    parser.add_argument("--only", choices=SECTIONS, help="make one part of the page anew, and leave the others")
    arguments = parser.parse_args()
    started = time.perf_counter()
    parts: dict[str, list[str]] = {}
    broken = 0
    with ProcessPoolExecutor(arguments.processes) as pool:
        makers: dict[str, Callable[[], Iterator[Line | str]]] = {
            "rules": lambda: lines(simulated(pool, arguments.first), arguments.pairs),
            "equal": lambda: equal_models(pool, arguments.first, 6 * arguments.pairs),
            "lifetime": lifetimes,
        }
        for name in [arguments.only] if arguments.only else SECTIONS:
            parts[name] = []
            for line in makers[name]():
                parts[name].append(str(line))
                broken += "**broken**" in str(line)
                print(line, flush=True)  # noqa: T201 (a command's answer)
    minutes = (time.perf_counter() - started) / 60
    print(f"{minutes:.1f} minutes, {broken} promises broken")  # noqa: T201
    if not arguments.print:
        write_page(parts)
    raise SystemExit(1 if broken else 0)


def write_page(parts: dict[str, list[str]]) -> None:
    """Write the page, with the parts that were made and the others as they stand."""
    before = (
        dict(zip(SECTIONS, PAGE.read_text().split("\n<!-- made -->\n")[1::2], strict=False)) if PAGE.exists() else {}
    )
    made = {name: "\n".join(parts[name]) if name in parts else before.get(name, "") for name in SECTIONS}
    PAGE.write_text(
        "".join(f"{INTRODUCTIONS[name]}\n<!-- made -->\n{made[name]}\n<!-- made -->\n" for name in SECTIONS)
    )


SECTIONS = ("rules", "equal", "lifetime")
"""The parts of the page, in their order."""

INTRODUCTIONS = {
    "rules": """# How often the gate errs

For those who want evidence for the error rates of [gate.md](gate.md). The scores are simulated with a known truth; bootstrap (1,000 resamples) and rules are the
real ones, at a confidence of 95 %. Each share has its Monte-Carlo standard error. *kept* means that it is within three standard errors of the promise; this rule and
the seeds were fixed before the run. To repeat it:

    python -m benchmarks.gate_error --pairs 2000
""",
    "equal": """
## Equal models, by metric

Two equally good models are compared by each metric, with many positives and with few: 200 rows with 2 % positives have
four. *Both* is the mean of *promoted* and *rejected*. *Before* is the result of the first edition's bounds on the
same resamples ([why they changed](decisions/0050-bounds-count-the-units-that-a-metric-hangs-on.md)). *Power* is how often a challenger is
promoted that is better by the least detectable gain, which is 2.49 standard errors. *No bound*: too few rows, so the rule is open.
Fifty pairs share one set of resamples. The gain of a better challenger is that of an equal one plus a constant.

On average over the six metrics, with 200 rows (without those with 2 % positives) 5.20 % ± 0.13 are promoted and 5.13 % ± 0.13 rejected; with 20,000 rows 4.8 %
and 5.0 % ± 0.2. Each figure is compatible with the promised 5 %. At 200 rows none is clearly below it, and two tenths of a percentage point more can't be ruled out. With
four positives the bounds err half as often as allowed, which costs power. The line *all* counts the metrics of a pair as independent pairs, so its standard error is too small.
""",
    "lifetime": """
## Over segments

The error of each segment is one minus the confidence, divided by the number of the run's segments ([segments.md](segments.md)). By Bonferroni's inequality the probability that any of them errs is at most that of one gate, even if segments share rows.
`tests/include/registry/test_segment_error.py` checks this with 1,500 runs of 50 segments with equal models, independent ones and ones that share half of their noise. Without the division, 92 % of such runs would promote at least one (1 - 0.95^50).

## Over a lifetime

Independent histories of 52 weekly retrainings a year, by the real rules of `gate.lifetime` ([gate.md](gate.md#errors-over-a-lifetime)). Measured
gains are the true ones plus normal noise; at levels below 0.1 % the decision is a hold. A new model is as good as the champion was when it was promoted.
""",
}

if __name__ == "__main__":
    main()
