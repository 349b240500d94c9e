"""The forms in a real browser, in JupyterLab and in Voilà, against the sandbox and against its truth."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import browser
import nbformat
import pytest
from paths import ROOT

from sparkfly_nb import Session, forms
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.forms.form import TITLES
from sparkfly_nb.forms.review import EFFECTS
from sparkfly_nb.sandbox.process import SandboxProcess

pytestmark = pytest.mark.skipif(
    browser.why_not() is not None and not browser.REQUIRED, reason=f"no tests in a browser: {browser.why_not()}"
)

CONNECTED = "import os\nimport sparkfly_nb as sf\nfrom sparkfly_nb import forms\nsession = sf.Session.from_env()\n"
PRODUCTION = (
    'production = sf.Session("production", base_url=os.environ["SPARKFLY_BASE_URL"],'
    ' identity=os.environ["SPARKFLY_IDENTITY"], key=os.environ["SPARKFLY_KEY"])\n'
)
NOTEBOOKS = {
    "console": [CONNECTED + "session.forms()"],
    "production": [CONNECTED + PRODUCTION + "production.forms()"],
    "bulk": [CONNECTED + 'forms.BulkForm(session, campaign_id="VIP26")'],
    "connect": [
        CONNECTED + 'import ipywidgets\nconnect = forms.Connect("sandbox", base_url=os.environ["SPARKFLY_BASE_URL"])\n'
        "place = ipywidgets.VBox([connect])\n"
        'connect.on_connect(lambda made: setattr(place, "children", [connect, made.forms()]))\nplace'
    ],
}
EVIL = "<img src=x onerror=\"document.title='taken over'\"><script>document.title='taken over'</script>"
SCREENSHOTS = os.environ.get("SPARKFLY_NB_SCREENSHOTS")
"""A folder, where somebody wants to look."""


@pytest.fixture(scope="module", autouse=True)
def _there_is_a_browser():
    if browser.why_not() is not None:
        pytest.fail(f"SPARKFLY_NB_REQUIRE_BROWSER=1, and {browser.why_not()}")


@pytest.fixture(scope="module")
def service():
    with SandboxProcess.start(members=80) as started:
        yield started


@pytest.fixture(scope="module")
def session(service):
    with Session(
        "sandbox", base_url=service.base_url, identity=service.identity.reveal(), key=service.key.reveal()
    ) as connected:
        yield connected


@pytest.fixture(scope="module")
def fresh(service):
    """Members that no other test has touched."""
    return iter(service.members())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(ROOT / "notebooks" / "05_forms.ipynb", folder)
    for name, cells in NOTEBOOKS.items():
        nbformat.write(browser.notebook_of(*cells), folder / f"{name}.ipynb")
    return folder


@pytest.fixture(scope="module")
def servers(folder, service):
    variables = {
        "SPARKFLY_ENVIRONMENT": "sandbox",
        "SPARKFLY_BASE_URL": service.base_url,
        "SPARKFLY_IDENTITY": service.identity.reveal(),
        "SPARKFLY_KEY": service.key.reveal(),
    }
    with (
        browser.JupyterServer("lab", folder, variables) as lab,
        browser.JupyterServer("voila", folder, variables, target=folder) as voila,
    ):
        yield {"lab": lab.wait(), "voila": voila.wait()}
        lab.begin_to_stop()


@pytest.fixture(scope="module")
def chrome():
    with browser.opened_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def opened(chrome, servers):
    """Open a notebook in a place, once: ``opened("lab", "console")``."""
    pages = {}

    def open_in(where, name):
        if (where, name) not in pages:
            page = chrome.new_page(viewport={"width": 1100, "height": 1000})
            page.set_default_timeout(browser.WAIT_MS)
            page.errors = []
            page.on("pageerror", lambda error: page.errors.append(str(error)))
            how = {"lab": browser.open_lab, "voila": browser.open_voila}[where]
            how(page, servers[where], f"{name}.ipynb")
            try:
                page.locator("form.sf-form").first.wait_for()
            except Exception:
                _photograph(page, f"failed-{where}-{name}")
                raise
            pages[where, name] = page
        return pages[where, name]

    return open_in


def _photograph(page, name):
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def form_on(page, operation):
    """Turn to the tab of an operation."""
    title = TITLES[operation][0]
    page.get_by_role("tab", name=title, exact=True).click()
    return browser.OnPage(page, title)


def truth_of(service, **wanted):
    return [
        state for state in service.truth()["offer_states"]
        if all(state[name] == value for name, value in wanted.items())
    ]  # fmt: skip


def values_for(operation, session, fresh):
    """Make what an operation can be asked for; gives the texts to type, and the offer state that they are about."""
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
        "update_offer_state": keys | {"locked": "true", "offer_name": "Mended"},
        "redeem_offer_state": keys,
        "void_offer_state": keys,
        "void_offer_state_by_identifier": {
            "member_identifier": member["member_identifier"], "offerstate_id": state["offer_state_id"],
        },
    }[operation]  # fmt: skip
    return {name: str(value) for name, value in values.items()}, int(state["offer_state_id"]), member, other


# ---- every form does its work ----------------------------------------------------------------------------------------

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
        service, offer_state_id=state, offer_name="Mended", status="incomplete"
    ),
    "redeem_offer_state": lambda service, state, member, other: truth_of(
        service, offer_state_id=state, status="redeemed"
    ),
    "void_offer_state": lambda service, state, member, other: truth_of(service, offer_state_id=state, status="voided"),
    "void_offer_state_by_identifier": lambda service, state, member, other: truth_of(
        service, offer_state_id=state, status="voided"
    ),
}  # fmt: skip
"""Of those that change something: whether the sandbox really holds what was asked for."""


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

    _photograph(opened(where, "console"), f"{where}-{operation}")
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
    form.page.keyboard.press("Enter")  # what is read is in focus, and Enter means nothing there
    form.press("back")
    form.wait_enabled("review")

    assert truth_of(service, offer_state_id=state)[0]["status"] == "incomplete"


def test_held_enter_key_counts_once(opened, service, session, fresh):
    texts, state, *_ = values_for("void_offer_state", session, fresh)
    form = form_on(opened("lab", "console"), "void_offer_state").fill(**texts)
    form.wait_enabled("review")
    form.field("offerstate_id").focus()
    for _ in range(30):
        form.page.keyboard.down("Enter")  # from the second on, the browser says that these repeat
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


# ---- keyboard and screen readers -------------------------------------------------------------------------------------


def test_enter_focuses_the_first_problem_or_sends(opened, fresh):
    page = opened("lab", "console")
    form = form_on(page, "get_offer_state_by_offer").fill(member_id="", offer_id="nonsense/../")
    form.field("offer_id").press("Enter")
    form.box.locator('[data-field="member_id"] input:focus').wait_for()
    assert form.field("member_id").get_attribute("aria-invalid") == "true"
    form.field("member_id").press_sequentially(str(next(fresh)["member_id"]))
    form.fill(offer_id="999999")
    form.field("offer_id").press("Enter")  # before the last figure was looked at: then it is sent as soon as it was

    assert "refused" in form.wait_notice("refused")
    assert form.box.locator(".sf-notice").get_attribute("role") == "alert"
    form.box.locator(".sf-notice:focus").wait_for()


def test_form_works_with_the_keyboard_alone(opened, fresh):
    page = opened("lab", "console")
    form = form_on(page, "list_offer_states").fill(member_id="")
    form.field("member_id").focus()
    page.keyboard.type(str(next(fresh)["member_id"]))
    form.wait_enabled("send")
    page.keyboard.press("Tab")
    assert form.button("send").evaluate("button => button === document.activeElement")
    cells = page.locator(".jp-Cell").count()
    page.keyboard.press("Space")

    assert "offer states" in form.wait_notice("done")
    assert page.locator(".jp-Cell").count() == cells
    page.get_by_role("tab", name="List", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    browser.OnPage(page, "Query").field("token").wait_for(state="visible")


def test_keys_in_a_form_do_not_trigger_notebook_shortcuts(opened):
    page = opened("lab", "console")
    cells = page.locator(".jp-Cell").count()
    form = form_on(page, "update_offer_state")
    form.field("locked").focus()
    for key in ("a", "b", "x", "d", "d"):
        page.keyboard.press(key)

    assert page.locator(".jp-Cell").count() == cells


@pytest.mark.parametrize("operation", list(ENDPOINTS))
def test_every_field_is_found_by_its_label_and_described_by_its_help(operation, opened, session):
    form = form_on(opened("lab", "console"), operation)
    for field in forms.FORMS[operation](session).spec["fields"]:
        found = form.box.get_by_label(field["label"], exact=False).and_(form.field(field["name"]))

        assert found.count() == 1, field["name"]
        described = found.get_attribute("aria-describedby").split()
        texts = [form.page.locator(f"#{name}").inner_text() for name in described]
        assert texts[0] == field["help"]


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
        _photograph(form.page, "voila-unknown")
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
    _photograph(page, f"{where}-production")
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
    _photograph(page, f"{where}-bulk")
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
    browser.run_in_lab(page, "docmanager:save")  # typed, and not sent yet
    typed = (folder / "connect.ipynb").read_text()
    form.press("connect")
    assert form.field("key").input_value() == ""
    assert "Connected to sandbox" in form.wait_notice("done")
    page.get_by_role("tab", name="Void by identifier").wait_for()  # the forms of the session that was made
    browser.run_in_lab(page, "docmanager:save")
    sent = (folder / "connect.ipynb").read_text()

    for saved in (typed, sent):
        states = json.loads(saved)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
        assert any(state["state"].get("page_id") for state in states.values())  # the form's state was saved
        assert identity not in saved
        assert key not in saved
    assert page.evaluate("key => !document.documentElement.outerHTML.includes(key)", key)


# ---- themes and narrow screens ---------------------------------------------------------------------------------------

TEXTS = "h3, label, legend, .sf-help, .sf-problem, .sf-unit, td, th, p, code, button"
CONTRAST = """
(form, texts) => {
  const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => rgb(colour).slice(0, 3)
    .map((part) => part / 255).map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (rgb(colour)[3] > 250) return colour;
    }
    return 'white';
  };
  const found = {};
  for (const node of form.querySelectorAll(texts)) {
    if (!node.textContent.trim() || node.disabled || !node.checkVisibility()) continue;
    const [one, two] = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
    const name = `${node.tagName}.${node.className}`;
    found[name] = Math.min(found[name] ?? 99, (one + 0.05) / (two + 0.05));
  }
  return found;
}
"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_every_text_has_enough_contrast_in_light_and_dark(theme, opened, fresh):
    page = opened("lab", "console")
    browser.run_in_lab(page, "apputils:change-theme", theme=theme)
    form = form_on(page, "issue_offer").fill(campaign_id="", member_id="x", member_identifier="")
    form.field("member_id").press("Enter")
    form.wait_checked()
    _photograph(page, f"lab-{theme.split()[-1].lower()}-problems")
    contrasts = form.box.evaluate(CONTRAST, TEXTS)
    listed = form_on(page, "list_offer_states").fill(member_id=str(next(fresh)["member_id"]))
    listed.press("send")
    listed.wait_notice("done")
    _photograph(page, f"lab-{theme.split()[-1].lower()}-list")
    contrasts |= listed.box.evaluate(CONTRAST, TEXTS)
    browser.run_in_lab(page, "apputils:change-theme", theme="JupyterLab Light")

    assert len(contrasts) > 8
    assert {name: round(ratio, 1) for name, ratio in contrasts.items() if ratio < 4.5} == {}


def test_nothing_overflows_on_a_narrow_screen(opened, fresh):
    page = opened("voila", "console")
    page.set_viewport_size({"width": 360, "height": 740})
    try:
        for number, operation in enumerate(("issue_offer", "list_offer_states", "update_offer_state")):
            form = form_on(page, operation)
            if operation == "list_offer_states":
                form.fill(member_id=str(next(fresh)["member_id"])).press("send")
                form.wait_notice("done")
            _photograph(page, f"voila-narrow-{number}")
            wide = form.box.evaluate("form => form.scrollWidth - form.clientWidth")
            beyond = form.box.evaluate(
                "form => [...form.querySelectorAll('input, select, button, p, label')]"
                ".filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 1)"
                ".map((node) => node.outerHTML.slice(0, 80))"
            )
            assert (wide, beyond) == (0, [])
        tabs = page.get_by_role("tab").evaluate_all(
            "tabs => tabs.filter((tab) => tab.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert tabs == 0
    finally:
        page.set_viewport_size({"width": 1100, "height": 1000})


# ---- what is typed and what is answered ------------------------------------------------------------------------------


def test_fast_typing_is_checked_for_the_last_text(opened):
    """The button never stands for an earlier text: only the answer to the last one enables it."""
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


# ---- the page of forms -----------------------------------------------------------------------------------------------


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
