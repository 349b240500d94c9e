"""The seven operations that change something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core import SessionCore

if TYPE_CHECKING:
    import pandas as pd

    from .core import Id, TimeLike

__all__ = ["SingleChanges"]


class SingleChanges(SessionCore):
    """Calls that change something; only voids are sent again where the answer is lost."""

    def issue_offer(
        self,
        *,
        campaign_id: str,
        member_id: Id | None = None,
        member_identifier: str | None = None,
        external_ref_id: str | None = None,
        activates_at: TimeLike | None = None,
        expires_at: TimeLike | None = None,
    ) -> pd.DataFrame:
        """Issue an offer of a campaign to a member; for many members use ``issue_many``.

        Parameters
        ----------
        campaign_id : str
            The campaign's XID; the campaign must be active.
        member_id : int or str, optional
            The member's key at Sparkfly.
        member_identifier : str, optional
            The member's key at the merchant; give exactly one of the two.
        external_ref_id : str, optional
            Your own reference, kept with the offer state.
        activates_at, expires_at : time, optional
            From when until when it can be used.

        Returns
        -------
        pandas.DataFrame
            One row: ``offer_state_id, member_id, offer_id`` (Int64), ``campaign_id`` (string, the XID),
            ``activates_at, expires_at`` (datetime64[ns, UTC]), ``credential_identifier`` (string).

        Raises
        ------
        OutcomeUnknown
            The answer was lost: it may have been issued, and was not sent again.

        Notes
        -----
        ``POST /members/offer_states/issue`` (create_member_offer_states_issue).
        """
        return self._call(
            "issue_offer",
            campaign_id=campaign_id,
            member_id=member_id,
            member_identifier=member_identifier,
            external_ref_id=external_ref_id,
            activates_at=activates_at,
            expires_at=expires_at,
        )

    def issue_offer_state(
        self,
        member_id: Id,
        *,
        offer_id: Id | None = None,
        channel_id: Id | None = None,
        token: str | None = None,
        activates_at: TimeLike | None = None,
        expires_at: TimeLike | None = None,
        external_ref_id: str | None = None,
        campaign_id: str | None = None,
    ) -> pd.DataFrame:
        """Create an offer state for a member from an offer, a channel or a token.

        Parameters
        ----------
        member_id : int or str
            The member's key at Sparkfly.
        offer_id, channel_id : int or str, optional
            The offer's key; the key of the channel that distributes it.
        token : str, optional
            The token of a transferable offer state, which moves to the member.
        activates_at, expires_at : time, optional
            From when until when it can be used.
        external_ref_id : str, optional
            Your own reference, kept with the offer state.
        campaign_id : str, optional
            The campaign it belongs to.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        OutcomeUnknown
            The answer was lost: it may have been created or moved, and was not sent again.

        Notes
        -----
        ``POST /members/{member_id}/offer_states`` (issue_offer_state).
        """
        return self._call(
            "issue_offer_state",
            member_id=member_id,
            offer_id=offer_id,
            channel_id=channel_id,
            token=token,
            activates_at=activates_at,
            expires_at=expires_at,
            external_ref_id=external_ref_id,
            campaign_id=campaign_id,
        )

    def create_offer_state(
        self,
        *,
        offer_id: Id | None = None,
        channel_id: Id | None = None,
        token: str | None = None,
        activates_at: TimeLike | None = None,
        expires_at: TimeLike | None = None,
        external_ref_id: str | None = None,
        campaign_id: str | None = None,
    ) -> pd.DataFrame:
        """Create an offer state from a token, an offer or a channel, without naming a member.

        Parameters
        ----------
        offer_id, channel_id : int or str, optional
            The offer's key; the key of the channel that distributes it.
        token : str, optional
            An offer state's token (osid).
        activates_at, expires_at : time, optional
            From when until when it can be used.
        external_ref_id : str, optional
            Your own reference, kept with the offer state.
        campaign_id : str, optional
            The campaign it belongs to.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        OutcomeUnknown
            The answer was lost: it may have been created, and was not sent again.

        Notes
        -----
        ``POST /members/offer_states`` (create_offer_state).
        """
        return self._call(
            "create_offer_state",
            offer_id=offer_id,
            channel_id=channel_id,
            token=token,
            activates_at=activates_at,
            expires_at=expires_at,
            external_ref_id=external_ref_id,
            campaign_id=campaign_id,
        )

    def update_offer_state(
        self,
        member_id: Id,
        offerstate_id: Id,
        *,
        status: str | None = None,
        value: int | None = None,
        activates_at: TimeLike | None = None,
        expires_at: TimeLike | None = None,
        offer_id: Id | None = None,
        offer_name: str | None = None,
        offer_value_required: int | None = None,
        locked: bool | None = None,
        is_reward: bool | None = None,
    ) -> pd.DataFrame:
        """Change an offer state; what is not given stays as it is.

        Parameters
        ----------
        member_id, offerstate_id : int or str
            The keys of the member and of the offer state.
        status : str, optional
            The status to set.
        value, offer_value_required : int, optional
            The value reached so far, and the value at which it is fulfilled, in the offer's own units.
        activates_at, expires_at : time, optional
            From when until when it can be used.
        offer_id : int or str, optional
            The offer's key.
        offer_name : str, optional
            The name shown for the offer.
        locked, is_reward : bool, optional
            Whether it is locked, and whether it is a reward.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        OutcomeUnknown
            The answer was lost: it may have been changed, and was not sent again.

        Notes
        -----
        ``PUT /members/{member_id}/offer_states/{offerstate_id}`` (update_offer_state).
        """
        return self._call(
            "update_offer_state",
            member_id=member_id,
            offerstate_id=offerstate_id,
            status=status,
            value=value,
            activates_at=activates_at,
            expires_at=expires_at,
            offer_id=offer_id,
            offer_name=offer_name,
            offer_value_required=offer_value_required,
            locked=locked,
            is_reward=is_reward,
        )

    def redeem_offer_state(
        self,
        member_id: Id,
        offerstate_id: Id,
        *,
        status: str | None = None,
        value: int | None = None,
        activates_at: TimeLike | None = None,
        expires_at: TimeLike | None = None,
        offer_id: Id | None = None,
        offer_name: str | None = None,
        offer_value_required: int | None = None,
        locked: bool | None = None,
        is_reward: bool | None = None,
    ) -> pd.DataFrame:
        """Redeem an offer state.

        Parameters
        ----------
        member_id, offerstate_id : int or str
            The keys of the member and of the offer state.
        status : str, optional
            The status to set.
        value, offer_value_required : int, optional
            The value reached so far, and the value at which it is fulfilled, in the offer's own units.
        activates_at, expires_at : time, optional
            From when until when it can be used.
        offer_id : int or str, optional
            The offer's key.
        offer_name : str, optional
            The name shown for the offer.
        locked, is_reward : bool, optional
            Whether it is locked, and whether it is a reward.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        OutcomeUnknown
            The answer was lost: it may have been redeemed, and was not sent again.

        Notes
        -----
        ``POST /members/{member_id}/offer_states/{offerstate_id}`` (redeem_offer_state).
        """
        return self._call(
            "redeem_offer_state",
            member_id=member_id,
            offerstate_id=offerstate_id,
            status=status,
            value=value,
            activates_at=activates_at,
            expires_at=expires_at,
            offer_id=offer_id,
            offer_name=offer_name,
            offer_value_required=offer_value_required,
            locked=locked,
            is_reward=is_reward,
        )

    def void_offer_state(self, member_id: Id, offerstate_id: Id) -> pd.DataFrame:
        """Void an offer state of a member; doing so again does no harm.

        Parameters
        ----------
        member_id, offerstate_id : int or str
            The keys of the member and of the offer state.

        Returns
        -------
        pandas.DataFrame
            One row: ``offer_state_id, member_id`` (Int64), ``member_identifier`` (string), ``outcome`` (string:
            ``voided`` or ``already_voided``), ``trace`` (string).

        Raises
        ------
        RequestFailed
            No usable answer came: it may be voided; void it again.

        Notes
        -----
        ``POST /members/{member_id}/offer_states/{offerstate_id}/void`` (create_member_offer_states_void).
        """
        return self._void("void_offer_state", member_id=member_id, offerstate_id=offerstate_id)

    def void_offer_state_by_identifier(self, offerstate_id: Id, *, member_identifier: str) -> pd.DataFrame:
        """Void an offer state of a member who is known by the merchant's identifier; doing so again does no harm.

        Parameters
        ----------
        offerstate_id : int or str
            The key of the offer state.
        member_identifier : str
            The member's key at the merchant.

        Returns
        -------
        pandas.DataFrame
            One row, as `void_offer_state` gives it.

        Raises
        ------
        RequestFailed
            No usable answer came: it may be voided; void it again.

        Notes
        -----
        ``POST /members/offer_states/{offerstate_id}/void``
        (create_member_offer_states_voidmember_identifierentifier).
        """
        return self._void(
            "void_offer_state_by_identifier", offerstate_id=offerstate_id, member_identifier=member_identifier
        )
