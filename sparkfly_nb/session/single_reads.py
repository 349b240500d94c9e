"""The four read operations of the service, one method each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..frames.builder import FrameBuilder
from ..schema import OFFER_STATE
from .core import SessionCore

if TYPE_CHECKING:
    import pandas as pd

    from ..frames.argument_types import Id

__all__ = ["SingleReads"]


class SingleReads(SessionCore):
    """The part of the Session that reads offer states; every read is retried."""

    def get_offer_state(self, member_id: Id, offerstate_id: Id) -> pd.DataFrame:
        """Get one offer state of a member.

        Parameters
        ----------
        member_id : int or str
            Sparkfly's member ID.
        offerstate_id : int or str
            The offer state's ID.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        NotFound
            The service has no such member or offer state.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``GET /members/{member_id}/offer_states/{offerstate_id}`` (get_offer_state).

        Examples
        --------
        >>> [state_id] = session.issue_offer(campaign_id="SUMMER26", member_id=1001)["offer_state_id"]
        >>> session.get_offer_state(1001, state_id)["campaign_xid"].tolist()
        ['SUMMER26']
        """
        return self._call("get_offer_state", member_id=member_id, offerstate_id=offerstate_id)

    def get_offer_state_by_offer(self, member_id: Id, offer_id: Id) -> pd.DataFrame:
        """Get the offer state that a member has of an offer.

        Parameters
        ----------
        member_id : int or str
            Sparkfly's member ID.
        offer_id : int or str
            The offer's ID.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        NotFound
            The member has no offer state of this offer.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``GET /members/{member_id}/offers/{offer_id}`` (list_members_offers).

        Examples
        --------
        >>> [offer_id] = session.issue_offer(campaign_id="SUMMER26", member_id=1002)["offer_id"]
        >>> session.get_offer_state_by_offer(1002, offer_id)["offer_id"].tolist() == [offer_id]
        True
        """
        return self._call("get_offer_state_by_offer", member_id=member_id, offer_id=offer_id)

    def list_offer_states(self, member_id: Id) -> pd.DataFrame:
        """List all offer states of a member, from every page; for many members use `list_many`.

        Parameters
        ----------
        member_id : int or str
            Sparkfly's member ID.

        Returns
        -------
        pandas.DataFrame
            One row per offer state with the columns and dtypes of ``schema.OFFER_STATE``. A member without offer
            states gives an empty frame with the same columns.

        Raises
        ------
        IncompleteListing
            The service repeated a page, stopped early, or the listing kept changing. A partial list is never returned.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``GET /members/{member_id}/offer_states`` (list_offer_states).

        Examples
        --------
        >>> session.list_offer_states(1003)["member_id"].unique().tolist()
        [1003]
        """
        states = FrameBuilder(OFFER_STATE, where="list_offer_states")
        for records, restarted in self._client.pages(member_id):
            if restarted:  # the listing changed while it was read, and starts again from its first page
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
        """Find one offer state by its token, credential, reference or channel.

        Pass exactly one of `token`, `credential_identifier`, `external_ref_id` and `eligible_channel_id`. If several
        offer states match, the service returns only one of them.

        Parameters
        ----------
        token : str, optional
            The offer state's token (osid).
        credential_identifier : str, optional
            The code that is scanned at the point of sale.
        external_ref_id : str, optional
            Your own reference. The service may also require `member_id` and `offer_id`.
        eligible_channel_id : int or str, optional
            A channel's ID. Requires `member_id`.
        member_id, offer_id : int or str, optional
            Sparkfly's member ID and the offer's ID, to narrow the search.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        NotFound
            No offer state matches.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``GET /members/offer_states`` (query_offer_states).

        Examples
        --------
        >>> _ = session.issue_offer(campaign_id="SUMMER26", member_id=1004, external_ref_id="query-example")
        >>> session.query_offer_states(external_ref_id="query-example")["member_id"].tolist()
        [1004]
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
