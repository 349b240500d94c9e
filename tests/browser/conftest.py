"""Chromium, Jupyter servers, and a sandbox for the tests of the forms."""

from __future__ import annotations

import shutil

import jupyter_browser as browser
import nbformat
import pytest
from paths import ROOT

from sparkfly_nb import Session
from sparkfly_nb.sandbox.process import SandboxProcess

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


@pytest.fixture(scope="package", autouse=True)
def _there_is_a_browser():
    missing = browser.why_not()
    if missing is not None and browser.REQUIRED:
        pytest.fail(f"SPARKFLY_NB_REQUIRE_BROWSER=1, and {missing}")
    if missing is not None:
        pytest.skip(f"no tests in a browser: {missing}")


@pytest.fixture(scope="package")
def service():
    with SandboxProcess.start(members=80) as started:
        yield started


@pytest.fixture(scope="package")
def session(service):
    with Session(
        "sandbox", base_url=service.base_url, identity=service.identity.reveal(), key=service.key.reveal()
    ) as connected:
        yield connected


@pytest.fixture(scope="package")
def fresh(service):
    """Members that no other test uses."""
    return iter(service.members())


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(ROOT / "notebooks" / "05_forms.ipynb", folder)
    for name, cells in NOTEBOOKS.items():
        nbformat.write(browser.notebook_of(*cells), folder / f"{name}.ipynb")
    return folder


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def chrome():
    with browser.opened_browser() as opened:
        yield opened


@pytest.fixture(scope="package")
def opened(chrome, servers):
    """Open a notebook once per server: ``opened("lab", "console")``."""
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
                browser.photograph(page, f"failed-{where}-{name}")
                raise
            pages[where, name] = page
        return pages[where, name]

    return open_in
