"""Verdicts on data and training: leakage checks, behavioural tests, data coverage, missing labels."""

from __future__ import annotations

from collections.abc import Iterator

from include.config.sections.evaluation import Gate
from include.evaluation.evidence import EQUAL_ROWS, SAY_SEPARATE, Evidence, UnlabelledRows
from include.evaluation.uncertainty.bootstrap import LEAST_UNITS
from include.registry.gate.verdicts import RuleResult, Verdict

_UNLABELLED = (
    "If labels are missing by more than chance, these rows are not what the model will meet: load the labels that came late, "
    "or raise `data.label_delay` to when they are all known"
)


_UNCOVERED = "It was declared to learn from more: load the missing partitions, or shorten `data.windows.train`"


_BEHAVE = {
    "invariance": "If it must not matter, leave the column, and what is derived from it, out of `features`",
    "direction": "It learned the contrary from chance or from columns that move along: a simpler model, or more rows where "
    "the number is large, may mend it; or the check allows too little",
    "case": "Look at the rows like it that the model learned from: there may be none",
}


def different_rows(evidence: Evidence) -> Iterator[Verdict]:
    """Hold where so few rows without an id are different that nothing can be resampled: the other reasons follow from it."""
    units = evidence.units
    if units.of == EQUAL_ROWS and units.count < LEAST_UNITS:
        facts = f"{units.count} of {evidence.holdout.rows:,}, where it takes {LEAST_UNITS}: equal rows are on one side, and count as one"
        yield Verdict("different rows in the holdout", RuleResult.OPEN, f"{facts}. {SAY_SEPARATE}")


def labelled_rows(policy: Gate, evidence: Evidence) -> Iterator[Verdict]:
    """Ask whether few enough rows of the holdout had no label, in all and in each level of a slice."""
    if policy.unlabelled is None:
        return
    most, least = policy.unlabelled.at_most, policy.unlabelled.min_support
    name = f"at most {most:.1%} of the holdout's rows without a label"
    if evidence.unlabelled is None:
        yield Verdict(name, RuleResult.OPEN, "they were not counted")
        return
    asked = [one for one in evidence.unlabelled if one.slice is None or one.rows >= least]
    over = sorted((one for one in asked if one.share > most), key=lambda one: (one.slice is not None, -one.share))
    if not over:
        worst = f"; at most {max(one.share for one in asked):.1%} of a part" if len(asked) > 1 else ""
        yield Verdict(name, RuleResult.PASS, f"{_left_out(asked[0])}{worst}")
        return
    more = f"; so it is in {len(over) - 1} more parts" if len(over) > 1 else ""
    reason = f"{_left_out(over[0])}{more}. {_UNLABELLED}"
    yield Verdict(name, RuleResult.OPEN, reason)


def _left_out(one: UnlabelledRows) -> str:
    where = "" if one.slice is None else f" where {one.slice[0]} is {one.slice[1]}"
    return f"{one.unlabelled:,} of {one.rows:,} rows{where} have none ({one.share:.1%})"


def covered_windows(evidence: Evidence) -> Iterator[Verdict]:
    """Ask for the share of the training window that `data.min_coverage` declares, with any policy."""
    found = evidence.coverage
    if found is None or found.least is None:
        return
    facts = f"{found.filled} of {found.partitions} partitions have rows ({found.share:.0%})"
    name = f"at least {found.least:.0%} of the training window has rows"
    if found.share >= found.least:
        yield Verdict(name, RuleResult.PASS, facts)
    else:
        yield Verdict(name, RuleResult.OPEN, f"{facts}. {_UNCOVERED}")


def leakage_verdicts(evidence: Evidence) -> Iterator[Verdict]:
    """Rule on the tripwires, with any policy: one that tripped rejects, one that could not be asked holds."""
    if evidence.tripwires is None:
        return  # evidence from before there were any: it is judged by what it has
    asked = [tripwire for tripwire in evidence.tripwires if tripwire.state != "not_asked"]
    for tripwire in asked:
        if tripwire.state != "clear":
            answer = RuleResult.FAIL if tripwire.state == "tripped" else RuleResult.OPEN
            yield Verdict(f"leak tripwire {tripwire.name}", answer, tripwire.reason)
    if all(tripwire.state == "clear" for tripwire in asked):
        yield Verdict("no leak", RuleResult.PASS, f"none of {len(asked)} tripwires tripped")


def behaviour_verdicts(evidence: Evidence) -> Iterator[Verdict]:
    """Rule on declared behaviour, with any policy: what is broken rejects, what could not be asked holds."""
    answers = {"held": RuleResult.PASS, "broken": RuleResult.FAIL, "unknown": RuleResult.OPEN}
    for one in evidence.behaviours:
        lesson = f". {_BEHAVE[one.kind]}" if one.state == "broken" else ""
        yield Verdict(f"{one.kind} {one.name}", answers[one.state], f"{one.found}{lesson}")
