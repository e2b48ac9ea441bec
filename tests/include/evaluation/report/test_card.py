from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from include.config.sections.about import About
from include.evaluation.evidence import Evidence
from include.evaluation.explanation.results import Curves, Importance
from include.evaluation.gains import Measured, PredictionChurn
from include.evaluation.report.card import ABOUT_LABELS, render_card
from include.evaluation.report.labels import format_signed
from tests.include.evaluation.examples import example_evidence

HOSTILE = """</title></style><script>alert("x")</script><img src=x onerror='alert(1)'>{{ 7 * 7 }}"""


def card(evidence: Evidence, text: str = "fine") -> str:
    return render_card(
        evidence,
        title=text,
        verdict=text,
        rules=[(text, "pass", text), (text, text, text)],
        lineage={text: text, "libraries": {text: "1"}, "code": "e" * 64},
        outcome="PROMOTE",
        failed={text: text},
        about={"origin": text, "gaps": [text, text]},
    )


class Page(HTMLParser):
    VOID = frozenset({"meta", "br", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert not page.open
    return page


def test_a_hostile_name_stays_text() -> None:
    evidence = example_evidence(column=HOSTILE, level=HOSTILE, model=HOSTILE)
    subject = replace(evidence.subjects["challenger"], candidate=HOSTILE, estimator="x", params={HOSTILE: HOSTILE})
    evidence = replace(
        evidence,
        comparable=False,
        incomparable_because=HOSTILE,
        remedy=HOSTILE,
        notes=(HOSTILE,),
        incumbent=HOSTILE,
        importance=(Importance(HOSTILE, 0.1, 0.0),),
        subjects={**evidence.subjects, "challenger": subject},
    )
    page = parsed(card(evidence, HOSTILE))
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "link"}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert "7 * 7" in card(evidence, HOSTILE)


def test_a_card_needs_nothing_from_outside() -> None:
    html = card(example_evidence())
    page = parsed(html)
    assert not [attrs for _, attrs in page.tags if {"src", "href"} & attrs.keys()]
    assert "url(" not in html and "@import" not in html and "http" not in html


def test_the_same_arguments_give_the_same_card() -> None:
    assert card(example_evidence()) == card(example_evidence())


def test_what_the_team_says_of_data_and_use_is_on_the_card_each_field_under_its_name() -> None:
    said = About(origin="The shop's orders.", out_of_scope=("prices", "credit")).said()
    html = render_card(example_evidence(), title="T", verdict="v", rules=[], lineage={}, about=said)
    assert "Data and use" in html and "The shop&#39;s orders." in html and "prices; credit" in html
    assert "Known gaps" not in html and "Data and use" not in render_card(
        example_evidence(), title="T", verdict="v", rules=[], lineage={}
    )
    assert list(ABOUT_LABELS) == list(About.model_fields)


def test_the_verdict_comes_before_the_figures() -> None:
    html = render_card(example_evidence(), title="T", verdict="It is better.", rules=[], lineage={})
    assert html.index("It is better.") < html.index("ROC AUC of the challenger")


def test_every_drawing_has_a_name() -> None:
    drawings = re.findall(r"<svg.*?</svg>", card(example_evidence()), re.S)
    assert len(drawings) > 6
    for text in drawings:
        svg = ElementTree.fromstring(text)
        if svg.get("aria-hidden") == "true":
            continue
        assert svg.get("role") == "img"
        assert svg.get("aria-label") or (svg.find("title") is not None and svg.get("aria-labelledby"))


def test_ids_are_unique() -> None:
    ids = [attrs["id"] for _, attrs in parsed(card(example_evidence())).tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_what_is_undefined_is_said() -> None:
    assert "no row is predicted positive" in card(example_evidence())


def test_an_incumbent_that_was_not_compared_is_said_at_the_top() -> None:
    evidence = replace(
        example_evidence(), comparable=False, incomparable_because="it was fitted on these rows", remedy="Wait."
    )
    html = card(evidence)
    assert html.index("it was fitted on these rows") < html.index('id="scores"')


def test_a_first_version_is_compared_with_the_simple_baseline() -> None:
    evidence = example_evidence()
    alone = replace(
        evidence,
        incumbent=None,
        scores={role: scores for role, scores in evidence.scores.items() if role != "incumbent"},
        subjects={role: subject for role, subject in evidence.subjects.items() if role != "incumbent"},
        curves={"challenger": evidence.curves["challenger"]},
        slice_scores=(),
    )
    assert "ROC AUC of the simple baseline" in card(alone)


def test_a_regression_shows_errors_instead_of_ranking() -> None:
    evidence = example_evidence()
    curves = Curves(
        calibration=((1.0, 1.1, 0.9, 1.3, 50), (2.0, 2.2, 2.0, 2.4, 50)), residuals=((-1.0, 0.0, 9), (0.0, 1.0, 7))
    )
    html = card(replace(evidence, task="regression", curves={"challenger": curves}))
    assert "Errors of the challenger" in html and "ROC curve" not in html and "Confusion" not in html


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(theme: str) -> None:
    """WCAG 2 asks 4.5 to 1 for text."""
    style = card(example_evidence()).split("<style>")[1]
    blocks = re.findall(r":root \{(.*?)\}", style, re.S)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[0 if theme == "light" else 1]))

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = [("ink", "paper"), ("ink", "page"), ("soft", "paper"), ("soft", "page"), ("soft", "faint")]
    pairs += [(name, f"{name}-paper") for name in ("good", "bad", "wait")] + [("challenger", "paper")]
    for text, behind in pairs:
        light, dark = sorted((luminance(colours[text]), luminance(colours[behind])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {behind}"


def test_the_card_shows_what_changes_for_those_who_use_it() -> None:
    churn = (
        PredictionChurn(None, 1000, Measured(0.08, 0.07, 0.09)),
        PredictionChurn(("origin", "EWR"), 400, Measured(0.02, 0.01, 0.03)),
        PredictionChurn(("origin", "LGA"), 400, Measured(0.12, 0.1, 0.14)),
    )
    page = render_card(replace(example_evidence(), churn=churn), title="T", verdict="V", rules=(), lineage={})
    assert page.index("0.0800") < page.index("origin: LGA") < page.index("origin: EWR")
    assert "What changes" not in render_card(example_evidence(), title="T", verdict="V", rules=(), lineage={})


def test_a_bound_that_too_few_rows_tell_is_a_dash() -> None:
    assert (format_signed(None), format_signed(-0.25)) == ("\N{EN DASH}", "\N{MINUS SIGN}0.2500")
