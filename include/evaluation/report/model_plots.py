"""Diagnostic plots of each task: curves, calibration, errors."""

from __future__ import annotations

from include.evaluation.evidence import Evidence
from include.evaluation.gains import Role
from include.evaluation.report import plots
from include.evaluation.report.labels import ROLE_LABELS


def plots_of(evidence: Evidence) -> list[plots.Plot]:
    """Return the plots that tell most of a task: curves, calibration, errors."""
    order: tuple[Role, ...] = ("simple", "incumbent", "challenger")  # the challenger is drawn last, on top
    curves = [(role, ROLE_LABELS[role], evidence.curves[role]) for role in order if role in evidence.curves]
    if "challenger" not in evidence.curves:
        return []
    ours = evidence.curves["challenger"]
    found = []
    if ours.roc:
        share = (evidence.holdout.positives or 0) / evidence.holdout.rows
        found.append(
            plots.lines(
                "roc",
                "ROC curve",
                "True positive rate against false positive rate at every threshold; the diagonal is guessing.",
                ("False positive rate", "True positive rate"),
                [(role, name, curve.roc) for role, name, curve in curves],
                diagonal=True,
            )
        )
        found.append(
            plots.lines(
                "precision-recall",
                "Precision and recall",
                f"Precision against recall at every threshold; guessing would be at {share:.2f}, the share of positives.",
                ("Recall", "Precision"),
                [(role, name, curve.precision_recall) for role, name, curve in curves],
                level=share,
            )
        )
    compared = [(role, name, curve.calibration) for role, name, curve in curves if role != "simple"]
    axes = ("Mean prediction", "Mean target")
    if evidence.task == "classification":
        axes = ("Predicted probability", "Share of positives")
    if ours.matrix:
        axes = ("Probability of the likeliest class", "Share that is of it")
    found.append(
        plots.calibration(
            "calibration",
            "Calibration",
            "Ten groups of rows by predicted value, with two-sided 95 % intervals; a model that means what it says is on the diagonal.",
            axes,
            compared,
        )
    )
    if ours.residuals:
        found.append(
            plots.histogram(
                "residuals",
                "Errors of the challenger",
                "How many rows were predicted too low (left) and too high (right).",
                ("Prediction minus target", "Rows"),
                ours.residuals,
            )
        )
    return found
