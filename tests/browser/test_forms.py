"""The forms in a real browser, in JupyterLab and in Voilà, verified against the sandbox's records."""

from __future__ import annotations

import json

import jupyter_browser as browser
import pytest
from jupyter_browser import form_on, photograph

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.forms.review import EFFECTS

EVIL = "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"


def truth_of(service, **wanted):
    return [
        state for state in service.truth()["offer_states"]
        if all(state[name] == value for name, value in wanted.items())
    ]  # fmt: skip


def values_for(operation, session, fresh):
    """Create the records for an operation. Return the input, the offer state's ID, and two members."""
    member, other = next(fresh), next(fresh)
    made = session.issue_offer(campaign_id="BIRTHDAY", member_id=member["member_id"])
    state = session.get_offer_state(member["member_id"], made.offer_state_id[0]).iloc[0]
    keys = {"member_id": member["member_id"], "offerstate_id": state["offer_state_id"]}
    values = {
        "issue_offer": {
            "campaign_id": "SUMMER26", "member_identifier": other["member_identifier"],
            "external_ref_id": f"page-{other['member_id']}", "expires_at": "2031-05-06T07:08",
        },
        "issue_offer_state": {"member_id": other["member_id"], "token": state["token"]},
        "create_offer_state": {"channel_id": 11},
        "get_offer_state": keys,
        "get_offer_state_by_offer": {"member_id": member["member_id"], "offer_id": 306},
        "list_offer_states": {"member_id": member["member_id"]},
        "query_offer_states": {"credential_identifier": state["credential_identifier"]},
        "update_offer_state": keys | {"locked": "true", "offer_name": "Free Coffee"},
        "redeem_offer_state": keys,
        "void_offer_state": keys,
        "void_offer_state_by_identifier": {
            "member_identifier": member["member_identifier"], "offerstate_id": state["offer_state_id"],
        },
    }[operation]  # fmt: skip
    return {name: str(value) for name, value in values.items()}, int(state["offer_state_id"]), member, other


# ---- every form does its work ----------------------------------------------------------------------------------------

# For the operations that change something: whether the sandbox has the change.
CAME_TRUE = {
    "issue_offer": lambda service, state, member, other: [
        found["expires_at"] for found in truth_of(service, external_ref_id=f"page-{other['member_id']}")
    ] == ["2031-05-06T07:08:00Z"],
    "issue_offer_state": lambda service, state, member, other: truth_of(
        service, offer_state_id=state, member_id=other["member_id"]
    ),
    "create_offer_state": lambda service, state, member, other: truth_of(
        service, member_id=None, campaign_xid="SUMMER26"
    ),
    "update_offer_state": lambda service, state, member, other: truth_of(
        service, offer_state_id=state, offer_name="Free Coffee", status="incomplete"
    ),
    "redeem_offer_state": lambda service, state, member, other: truth_of(
        service, offer_state_id=state, status="redeemed"
    ),
    "void_offer_state": lambda service, state, member, other: truth_of(service, offer_state_id=state, status="voided"),
    "void_offer_state_by_identifier": lambda service, state, member, other: truth_of(
        service, offer_state_id=state, status="voided"
    ),
}  # fmt: skip


@pytest.mark.parametrize("where", ["lab", "voila"])
@pytest.mark.parametrize("operation", list(ENDPOINTS))
def test_every_form_works_in_the_browser_and_reports_the_truth(where, operation, opened, service, session, fresh):
    form = form_on(opened(where, "console"), operation)
    texts, state, member, other = values_for(operation, session, fresh)
    form.fill(**texts)
    if operation in EFFECTS:
        form.press("review")
        form.wait_notice("info")
        form.press("confirm")
    else:
        form.press("send")
    said = form.wait_notice("done", "refused", "unknown")

    photograph(opened(where, "console"), f"{where}-{operation}")
    assert form.box.locator(".sf-notice.sf-done").count() == 1, said
    assert form.box.locator(".sf-table").count() > 0
    assert form.python.startswith(f"session.{operation}(")
    if operation in CAME_TRUE:
        assert CAME_TRUE[operation](service, state, member, other)
    else:
        shown = form.box.locator(".sf-tables").inner_text()
        assert str(state) in shown
    assert opened(where, "console").errors == []


# ---- sent once -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["lab", "voila"])
def test_double_click_sends_once(where, opened, service, fresh):
    member = next(fresh)["member_id"]
    form = form_on(opened(where, "console"), "issue_offer")
    form.fill(campaign_id="WELCOME26", member_id=str(member), member_identifier="", external_ref_id="twice?")
    before = service.truth()["requests"].get("issue_offer", 0)
    form.button("send").dblclick()
    form.wait_notice("done")

    assert service.truth()["requests"]["issue_offer"] == before + 1
    assert len(truth_of(service, member_id=member, external_ref_id="twice?")) == 1
    assert form.button("send").is_disabled()


def test_five_clicks_in_one_script_send_once(opened, service, fresh):
    member = next(fresh)["member_id"]
    form = form_on(opened("lab", "console"), "issue_offer")
    form.fill(campaign_id="WELCOME26", member_id=str(member), member_identifier="", external_ref_id="often?")
    form.wait_enabled("send")
    form.button("send").evaluate("button => { for (let time = 0; time < 5; time += 1) button.click(); }")
    form.wait_notice("done")

    assert len(truth_of(service, member_id=member, external_ref_id="often?")) == 1


def test_double_click_on_review_does_not_confirm(opened, service, session, fresh):
    texts, state, *_ = values_for("void_offer_state", session, fresh)
    form = form_on(opened("lab", "console"), "void_offer_state").fill(**texts)
    form.wait_enabled("review")
    form.button("review").dblclick()
    form.wait_notice("info")
    form.box.locator(".sf-notice:focus").wait_for()
    form.page.keyboard.press("Enter")  # the notice has the focus, where Enter must do nothing
    form.press("back")
    form.wait_enabled("review")

    assert truth_of(service, offer_state_id=state)[0]["status"] == "incomplete"


def test_held_enter_key_counts_once(opened, service, session, fresh):
    texts, state, *_ = values_for("void_offer_state", session, fresh)
    form = form_on(opened("lab", "console"), "void_offer_state").fill(**texts)
    form.wait_enabled("review")
    form.field("offerstate_id").focus()
    for _ in range(30):
        form.page.keyboard.down("Enter")  # from the second on, the browser marks the events as repeated
    form.wait_notice("info")
    form.page.keyboard.up("Enter")
    form.press("back")
    form.wait_enabled("review")

    assert truth_of(service, offer_state_id=state)[0]["status"] == "incomplete"


# ---- text is text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["lab", "voila"])
def test_script_in_a_name_is_shown_and_not_run(where, opened, session, fresh):
    member = next(fresh)["member_id"]
    made = session.issue_offer(campaign_id="SUMMER26", member_id=member, external_ref_id=EVIL)
    session.update_offer_state(member, made.offer_state_id[0], offer_name=EVIL)
    page = opened(where, "console")
    form = form_on(page, "get_offer_state").fill(member_id=str(member), offerstate_id=str(made.offer_state_id[0]))
    form.press("send")
    form.wait_notice("done")

    assert form.box.locator("td", has_text=EVIL).count() == 2
    assert form.box.locator(":is(td, p, code) :is(img, script)").count() == 0
    assert page.title() != "taken over"


# ---- outcomes that are not known -------------------------------------------------------------------------------------


def test_button_checks_whether_a_lost_response_had_an_effect(opened, service, fresh):
    member = next(fresh)["member_id"]
    form = form_on(opened("voila", "console"), "issue_offer")
    form.fill(campaign_id="TENCUPS", member_id=str(member), member_identifier="", external_ref_id="lost", expires_at="")
    service.set_faults({"issue_offer:commit_then_drop": 1.0})
    try:
        form.press("send")
        assert "not known" in form.wait_notice("unknown")
        assert form.button("send").is_disabled()
        photograph(form.page, "voila-unknown")
        form.press("look")
        assert "It happened" in form.wait_notice("done")
    finally:
        service.set_faults({})

    assert len(truth_of(service, member_id=member, external_ref_id="lost")) == 1


# ---- production ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["lab", "voila"])
def test_production_is_red_and_requires_typing_the_offer_state_id(where, opened, service, session, fresh):
    page = opened(where, "production")
    for operation in ("list_offer_states", "issue_offer", "void_offer_state"):
        banner = form_on(page, operation).box.locator(".sf-banner")
        assert "PRODUCTION" in banner.inner_text()
        assert banner.evaluate("banner => getComputedStyle(banner).backgroundColor") == "rgb(176, 0, 32)"
    texts, state, *_ = values_for("void_offer_state", session, fresh)
    form = browser.OnPage(page, "Void").fill(**texts).press("review")
    typed = form.box.get_by_label(f"Type {state}, the ID of the offer state")
    typed.wait_for()
    typed.press_sequentially(str(state)[:-1])
    typed.press("Enter")
    form.wait_checked()
    photograph(page, f"{where}-production")
    assert form.button("confirm").is_disabled()
    assert truth_of(service, offer_state_id=state)[0]["status"] == "incomplete"
    typed.press_sequentially(str(state)[-1])
    form.press("confirm")

    assert "Voided" in form.wait_notice("done")
    assert truth_of(service, offer_state_id=state)[0]["status"] == "voided"


# ---- many rows -------------------------------------------------------------------------------------------------------


WATCH_BAR = """
form => {
  window.barTexts = [];
  const bar = form.querySelector('.sf-progress');
  const note = () => { if (!bar.hidden) window.barTexts.push(bar.querySelector('.sf-bar-text').textContent); };
  new MutationObserver(note).observe(bar, { attributes: true, childList: true, subtree: true });
}
"""


@pytest.mark.parametrize("where", ["lab", "voila"])
def test_upload_is_issued_and_rejected_rows_are_saved(where, opened, service, fresh, tmp_path):
    members = [next(fresh)["member_id"] for _ in range(3)]
    content = "member_id,note\n" + "".join(f"{member},=1+1\n" for member in [*members, 99_999_999])
    page = opened(where, "bulk")
    form = browser.OnPage(page, "Issue to many").fill(campaign_id="VIP26")
    form.field("rows").set_input_files(
        files=[{"name": "members.csv", "mimeType": "text/csv", "buffer": content.encode()}]
    )
    form.press("preview")
    number = form.box.get_by_label("Type the number of rows")
    number.wait_for()
    number.fill("3")
    form.wait_checked()
    assert form.button("run").is_disabled()
    number.fill("4")
    form.box.evaluate(WATCH_BAR)
    form.press("run")
    assert "3 issued, 1 rejected" in form.wait_notice("done")
    photograph(page, f"{where}-bulk")
    with page.expect_download() as download:
        form.press("save")
    download.value.save_as(tmp_path / "rejected.csv")

    assert page.evaluate("window.barTexts")[-1] == "4 of 4 rows"
    lines = (tmp_path / "rejected.csv").read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("99999999,'=1+1,rejected,")
    made = [state["member_id"] for state in truth_of(service, campaign_xid="VIP26", generated=False)]
    assert [made.count(member) for member in members] == [1, 1, 1]


# ---- the key ---------------------------------------------------------------------------------------------------------


def test_key_is_cleared_at_once_and_is_in_no_saved_notebook(opened, folder, service):
    page = opened("lab", "connect")
    form = browser.OnPage(page, "Connect")
    identity, key = service.identity.reveal(), service.key.reveal()
    assert form.field("key").get_attribute("type") == "password"
    form.fill(identity=identity, key=key)
    form.wait_enabled("connect")
    browser.run_in_lab(page, "docmanager:save")  # with input that was not sent yet
    typed = (folder / "connect.ipynb").read_text()
    form.press("connect")
    assert form.field("key").input_value() == ""
    assert "Connected to sandbox" in form.wait_notice("done")
    page.get_by_role("tab", name="Void by identifier").wait_for()  # the forms of the new session
    browser.run_in_lab(page, "docmanager:save")
    sent = (folder / "connect.ipynb").read_text()

    for saved in (typed, sent):
        states = json.loads(saved)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
        assert any(state["state"].get("page_id") for state in states.values())  # the form's state was saved
        assert identity not in saved
        assert key not in saved
    assert page.evaluate("key => !document.documentElement.outerHTML.includes(key)", key)


# ---- typing ----------------------------------------------------------------------------------------------------------


def test_fast_typing_is_checked_for_the_last_text(opened):
    """The button is enabled only when Python has checked the last text."""
    form = form_on(opened("lab", "console"), "issue_offer").fill(campaign_id="SUMMER26", member_identifier="")
    for text in ["1009", "x"] * 10:
        form.fill(member_id=text)
    form.fill(member_id="oops")
    form.wait_checked()

    assert form.button("send").is_disabled()
    assert "'oops' is not a whole number" in form.problem("member_id")
    form.fill(member_id="1010").wait_checked()
    assert form.button("send").is_enabled()
    assert "member_id=1010" in form.python


# ---- the forms notebook ----------------------------------------------------------------------------------------------


def test_forms_notebook_in_voila_shows_every_form_and_no_code(opened, fresh):
    page = opened("voila", "05_forms")
    page.locator("form.sf-form").nth(len(ENDPOINTS) + 2).wait_for(state="attached")
    alone = page.locator('form.sf-form[aria-label="Issue"]').nth(1)

    assert alone.locator('[data-field="campaign_id"] input').input_value() == "SUMMER26"
    alone.locator('[data-field="member_id"] input').fill(str(next(fresh)["member_id"]))
    alone.locator('button[data-action="send"]').click()
    alone.locator(".sf-notice.sf-done").wait_for()
    assert page.get_by_text("has_credentials").count() == 0
    assert page.errors == []
