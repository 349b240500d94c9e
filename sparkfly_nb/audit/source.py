"""Where an audit reads from: the seam between the audits and whatever lists offer states and keeps the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

__all__ = ["StateSource"]


class StateSource(Protocol):
    """Gives the offer states of members as the service shows them now, and the recorded rows of a run."""

    def read_states(self, member_ids: Sequence[int]) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Read all offer states of some members, part by part.

        Parameters
        ----------
        member_ids : sequence of int
            Different members, ascending.

        Yields
        ------
        tuple of DataFrame
            Offer states with the columns of `schema.OFFER_STATE` (``member_id`` filled in where the service left it
            out), and members that could not be read with the columns of `schema.UNREAD`. Every member is either in
            one part of the states with all that it holds (perhaps nothing), or unread: never half of each.
        """

    def run_rows(self, run: str) -> pd.DataFrame:
        """Give the recorded rows of a run, with the columns of `schema.RESULT`.

        Raises
        ------
        LedgerError
            There is no such run.
        """
