"""The four operations that only look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..frames.builder import FrameBuilder
from ..schema import OFFER_STATE
from .core import SessionCore

if TYPE_CHECKING:
    import pandas as pd

    from .core import Id

__all__ = ["SingleReads"]


class SingleReads(SessionCore):
    """Calls that change nothing; they are asked again where no usable answer comes."""

    def get_offer_state(self, member_id: Id, offerstate_id: Id) -> pd.DataFrame:
        """Get one offer state of a member.

        Parameters
        ----------
        member_id, offerstate_id : int or str
            The keys of the member and of the offer state.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Notes
        -----
        ``GET /members/{member_id}/offer_states/{offerstate_id}`` (get_offer_state).
        """
        return self._call("get_offer_state", member_id=member_id, offerstate_id=offerstate_id)

    def get_offer_state_by_offer(self, member_id: Id, offer_id: Id) -> pd.DataFrame:
        """Get the offer state that a member holds of an offer.

        Parameters
        ----------
        member_id, offer_id : int or str
            The keys of the member and of the offer.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Notes
        -----
        ``GET /members/{member_id}/offers/{offer_id}`` (list_members_offers).
        """
        return self._call("get_offer_state_by_offer", member_id=member_id, offer_id=offer_id)

    def list_offer_states(self, member_id: Id) -> pd.DataFrame:
        """List all offer states of a member, from every page.

        Parameters
        ----------
        member_id : int or str
            The member's key at Sparkfly.

        Returns
        -------
        pandas.DataFrame
            One row per offer state with the columns and dtypes of ``schema.OFFER_STATE``; the same columns when there
            are none.

        Raises
        ------
        IncompleteListing
            The service repeated a page, stopped early, or the listing kept changing: a part is never returned.

        Notes
        -----
        ``GET /members/{member_id}/offer_states`` (list_offer_states).
        """
        states = FrameBuilder(OFFER_STATE, where="list_offer_states")
        for records, restarted in self._client.pages(member_id):
            if restarted:
                states.clear()
            states.add(records)
        return states.frame()

    def query_offer_states(
        self,
        *,
        token: str | None = None,
        credential_identifier: str | None = None,
        external_ref_id: str | None = None,
        eligible_channel_id: Id | None = None,
        member_id: Id | None = None,
        offer_id: Id | None = None,
    ) -> pd.DataFrame:
        """Find one offer state by its token, its credential or your reference; it never reveals a second one.

        Parameters
        ----------
        token : str, optional
            The offer state's token (osid).
        credential_identifier : str, optional
            What is scanned at the point of sale.
        external_ref_id : str, optional
            Your own reference; the service may also need `member_id` and `offer_id`.
        eligible_channel_id : int or str, optional
            A channel; needs `member_id`. Give exactly one of these four.
        member_id, offer_id : int or str, optional
            The keys of the member and of the offer, to narrow it down.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Notes
        -----
        ``GET /members/offer_states`` (query_offer_states).
        """
        return self._call(
            "query_offer_states",
            token=token,
            credential_identifier=credential_identifier,
            external_ref_id=external_ref_id,
            eligible_channel_id=eligible_channel_id,
            member_id=member_id,
            offer_id=offer_id,
        )
