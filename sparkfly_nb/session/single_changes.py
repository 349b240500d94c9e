"""The seven operations of the service that change something, one method each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core import SessionCore

if TYPE_CHECKING:
    import pandas as pd

    from ..frames.argument_types import Id, TimeLike

__all__ = ["SingleChanges"]


class SingleChanges(SessionCore):
    """The part of the Session that changes offer states; after a lost response, only voids are resent."""

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
        """Issue an offer of a campaign to a member; for many members use `issue_many`.

        Pass either `member_id` or `member_identifier`.

        Parameters
        ----------
        campaign_id : str
            The campaign's XID. The campaign must be active.
        member_id : int or str, optional
            Sparkfly's member ID.
        member_identifier : str, optional
            The merchant's loyalty identifier for this member.
        external_ref_id : str, optional
            Your own reference, stored with the offer state.
        activates_at, expires_at : str, datetime or numpy.datetime64, optional
            The start and the end of the time in which the offer state can be used.

        Returns
        -------
        pandas.DataFrame
            One row: ``offer_state_id, member_id, offer_id`` (Int64), ``campaign_id`` (string, the XID),
            ``activates_at, expires_at`` (datetime64[ns, UTC]), ``credential_identifier`` (string).

        Raises
        ------
        OutcomeUnknown
            The response was lost. The offer may have been issued; the request was not resent.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``POST /members/offer_states/issue`` (create_member_offer_states_issue).

        Examples
        --------
        >>> session.issue_offer(campaign_id="SUMMER26", member_id=1005)["campaign_id"].tolist()
        ['SUMMER26']
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
            Sparkfly's member ID.
        offer_id : int or str, optional
            The offer's ID.
        channel_id : int or str, optional
            The ID of the channel that distributes the offer.
        token : str, optional
            The token of a transferable offer state. The offer state moves to the member.
        activates_at, expires_at : str, datetime or numpy.datetime64, optional
            The start and the end of the time in which the offer state can be used.
        external_ref_id : str, optional
            Your own reference, stored with the offer state.
        campaign_id : str, optional
            The campaign of the offer state.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        OutcomeUnknown
            The response was lost. The offer state may have been created or moved; the request was not resent.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``POST /members/{member_id}/offer_states`` (issue_offer_state).

        Examples
        --------
        >>> session.issue_offer_state(1006, offer_id=301, expires_at="2031-01-01T00:00:00Z")["expires_at"].tolist()
        [Timestamp('2031-01-01 00:00:00+0000', tz='UTC')]
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
        token : str, optional
            An offer state's token (osid).
        offer_id, channel_id, activates_at, expires_at, external_ref_id, campaign_id
            As in `issue_offer_state`.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        OutcomeUnknown
            The response was lost. The offer state may have been created; the request was not resent.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``POST /members/offer_states`` (create_offer_state).

        Examples
        --------
        >>> session.create_offer_state(offer_id=301)["offer_id"].tolist()
        [301]
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
        """Change an offer state; fields that are not given keep their values.

        Parameters
        ----------
        member_id, offerstate_id : int or str
            Sparkfly's member ID, and the offer state's ID.
        status : str, optional
            The status to set.
        value, offer_value_required : int, optional
            The value reached so far, and the value that fulfills the offer, in the offer's own units.
        activates_at, expires_at : str, datetime or numpy.datetime64, optional
            The start and the end of the time in which the offer state can be used.
        offer_id : int or str, optional
            The offer's ID.
        offer_name : str, optional
            The name shown for the offer.
        locked, is_reward : bool, optional
            Whether the offer state is locked, and whether it is a reward.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        OutcomeUnknown
            The response was lost. The offer state may have been changed; the request was not resent.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``PUT /members/{member_id}/offer_states/{offerstate_id}`` (update_offer_state).

        Examples
        --------
        >>> [state_id] = session.issue_offer(campaign_id="SUMMER26", member_id=1007)["offer_state_id"]
        >>> session.update_offer_state(1007, state_id, locked=True)["locked"].tolist()
        [True]
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
            Sparkfly's member ID, and the offer state's ID.
        status, value, activates_at, expires_at, offer_id, offer_name, offer_value_required, locked, is_reward
            The values to set with the redemption, as in `update_offer_state`.

        Returns
        -------
        pandas.DataFrame
            One row with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        OutcomeUnknown
            The response was lost. The offer state may have been redeemed; the request was not resent.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``POST /members/{member_id}/offer_states/{offerstate_id}`` (redeem_offer_state).

        Examples
        --------
        >>> [state_id] = session.issue_offer(campaign_id="SUMMER26", member_id=1008)["offer_state_id"]
        >>> session.redeem_offer_state(1008, state_id)["status"].tolist()
        ['redeemed']
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
        """Void an offer state of a member; voiding it again is safe.

        Parameters
        ----------
        member_id, offerstate_id : int or str
            Sparkfly's member ID, and the offer state's ID.

        Returns
        -------
        pandas.DataFrame
            One row: ``offer_state_id, member_id`` (Int64), ``member_identifier`` (string), ``outcome`` (string:
            ``voided`` or ``already_voided``), ``trace`` (string).

        Raises
        ------
        RequestFailed, OutcomeUnknown
            No response, or a refusal after a lost one: the offer state may be voided. Voiding it again is safe.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``POST /members/{member_id}/offer_states/{offerstate_id}/void`` (create_member_offer_states_void).

        Examples
        --------
        >>> [state_id] = session.issue_offer(campaign_id="SUMMER26", member_id=1009)["offer_state_id"]
        >>> session.void_offer_state(1009, state_id)["outcome"].tolist()
        ['voided']
        >>> session.void_offer_state(1009, state_id)["outcome"].tolist()
        ['already_voided']
        """
        return self._void("void_offer_state", member_id=member_id, offerstate_id=offerstate_id)

    def void_offer_state_by_identifier(self, offerstate_id: Id, *, member_identifier: str) -> pd.DataFrame:
        """Void an offer state of a member known by loyalty identifier; voiding it again is safe.

        Parameters
        ----------
        offerstate_id : int or str
            The offer state's ID.
        member_identifier : str
            The merchant's loyalty identifier for this member.

        Returns
        -------
        pandas.DataFrame
            One row with the columns of `void_offer_state`.

        Raises
        ------
        RequestFailed, OutcomeUnknown
            No response, or a refusal after a lost one: the offer state may be voided. Voiding it again is safe.
        SparkflyError
            See the notes of `Session`.

        Notes
        -----
        ``POST /members/offer_states/{offerstate_id}/void``
        (create_member_offer_states_voidmember_identifierentifier).

        Examples
        --------
        >>> [state_id] = session.issue_offer(campaign_id="SUMMER26", member_id=1010)["offer_state_id"]
        >>> [member] = [each for each in session.service.members() if each["member_id"] == 1010]
        >>> voided = session.void_offer_state_by_identifier(state_id, member_identifier=member["member_identifier"])
        >>> voided["outcome"].tolist()
        ['voided']
        """
        return self._void(
            "void_offer_state_by_identifier", offerstate_id=offerstate_id, member_identifier=member_identifier
        )
