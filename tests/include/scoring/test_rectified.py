"""One row, however its texts are spelt, is one row in training, in batch scores, in a notebook and in a request."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from chain_run import NOW, declare, month, parcels, run_chain

from include.config.model import ModelConfig
from include.data.columns.conversion import ARROW
from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.notebook import load_champion
from include.registry.ledger import Ledger
from include.scoring.predictor import open_predictor
from include.scoring.publication import Publication
from include.scoring.score import score
from include.serving.protocol.version_schema import schema_of
from include.storage.local import LocalStore

RECTIFY = "\n  rectify: {drop_duplicates: true, texts: [{columns: [carrier], trim: true, fold_case: true, levels: {cat: [Katze]}}]}"


def spelt(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows as people type them."""
    carrier = rows["carrier"].astype(str)
    odd = carrier.str.upper() + " "
    odd = odd.mask(carrier == "cat", "Katze")
    return rows.assign(carrier=odd.where(np.arange(len(rows)) % 2 == 0, carrier))


class Trained:
    """A champion of well spelt rows, and one of the same rows in other spellings."""

    def __init__(self, root: Path, rows: pd.DataFrame, rectify: str | None) -> None:
        self.folder, self.store = root / "parcels", LocalStore(root / "store")
        self.model: ModelConfig = declare(self.folder, rows, **({"quality": rectify} if rectify else {}))
        run_chain(self.store, self.model, self.folder, month(4))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Trained]:
    plain, odd = parcels(), spelt(parcels())
    odd = pd.concat([odd, odd.head(50)])
    return (
        Trained(tmp_path_factory.mktemp("plain"), plain, None),
        Trained(tmp_path_factory.mktemp("odd"), odd, RECTIFY),
    )


def test_training_and_batch_scores_are_those_of_well_spelt_rows(pair: tuple[Trained, Trained]) -> None:
    found = []
    for one in pair:
        window = Window(datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC))
        rows = ingest_window(one.store, one.model, one.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
        done = score(one.store, one.model, one.folder, rows, at=NOW)
        published = Publication(one.store, "parcels", window)
        found.append(published.read(published.newest()).to_pandas())
        assert done is not None
    plain, odd = found
    assert len(plain) > 100 and np.array_equal(plain["prediction"], odd["prediction"])
    assert plain["out_of_domain"].equals(odd["out_of_domain"])


def test_a_notebook_predicts_rows_as_they_are_spelt(pair: tuple[Trained, Trained]) -> None:
    plain, odd = (load_champion("parcels", store=one.store.url) for one in pair)
    rows = parcels().head(40)
    assert np.array_equal(plain.predict(rows)["prediction"], odd.predict(spelt(rows))["prediction"])


def test_a_request_is_put_right_at_the_door_by_the_versions_own_declaration(pair: tuple[Trained, Trained]) -> None:
    _, odd = pair
    champion = str(Ledger(odd.store, "parcels").timeline().champion)
    today = odd.model.model_copy(
        update={"quality": odd.model.quality.model_copy(update={"rectify": pair[0].model.quality.rectify})}
    )
    with open_predictor(odd.store, today, odd.folder, champion) as predictor:
        names = list(predictor.schema)
        sample = pa.table({name: pa.array(parcels()[name].head(20), ARROW[predictor.schema[name]]) for name in names})
        schema = schema_of(predictor, sample)
        values = [
            {**row, "sent_at": row["sent_at"].isoformat(), "carrier": carrier}
            for row, carrier in zip(sample.to_pylist(), [" ANT", "Katze", "bee"], strict=False)
        ]
        assert [row["carrier"] for row in schema.rows(values)] == ["ant", "cat", "bee"]
        spelt_out = sample.set_column(names.index("carrier"), "carrier", pa.array(["KATZE "] * 20))
        conformed = schema.conform(spelt_out)
        assert set(conformed["carrier"].to_pylist()) == {"cat"}
        assert schema.conform(conformed).equals(conformed)
        assert not predictor.predict(predictor.inputs(conformed)).out_of_domain.any()
