"""RF-Mem sees the same of a stored history as of plain arrays."""

from __future__ import annotations

import numpy as np
from bank_cases import ENCODER, Said, histories, minute, queries, stored
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.bank.filters import compile_filter
from memagent.records import Granularity, Query
from memagent.retrievers import RFMem
from memagent.testing.views import ArrayView, ViewUnit


@settings(max_examples=40)
@given(histories, st.sampled_from([None, "a"]), st.none() | st.integers(0, 9), queries, st.integers(1, 6))
def test_a_bank_and_arrays_of_its_vectors_are_recollected_alike(
    history: list[Said], topic: str | None, limit: int | None, text: str, k: int
) -> None:
    memory, bank = stored(history)
    where = None if topic is None else compile_filter({"topic": topic})
    vector = ENCODER.encode_queries([text])[0]
    with memory, bank.view(where=where, as_of=None if limit is None else minute(limit)) as view:
        assert view.encoder == ENCODER.fingerprint
        for granularity in (Granularity.TURN, Granularity.SESSION):
            keys = view.columns(granularity).keys
            vectors = view.vectors(keys)
            plain = ArrayView(
                [
                    ViewUnit(key=int(key), session=0, text="", vector=one, granularity=granularity)
                    for key, one in zip(keys, vectors, strict=True)
                ]
            )
            several = np.stack([vector, -vector])
            for bank_view in (view, plain):
                alone = [bank_view.similarities(one, granularity).tolist() for one in several]
                assert bank_view.similarities_many(several, granularity).tolist() == alone
            asked = Query(text=text, vector=vector, granularity=granularity)
            retriever = RFMem(path="recollection", beam=2, final_order="rerank", rounds=1)
            found, expected = (retriever.retrieve(asked, each, k).hits for each in (view, plain))
            assert np.allclose([hit.score for hit in found], [hit.score for hit in expected], atol=1e-6)
            assert len({hit.key for hit in found}) == min(k, len(keys))
