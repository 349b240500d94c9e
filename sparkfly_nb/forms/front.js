// Shows a form as Python describes it, and sends back what a person types and presses; no rule of the service is here.
// All text is set as text, never as HTML. What was typed is kept in this module only: it is no part of the widget's
// state, which Jupyter may save into the notebook.

const typedByPage = new Map(); // page id -> {name: text}; a form that is drawn again keeps what was typed
const MAX_UPLOAD_BYTES = 7_000_000; // Jupyter's servers end the connection at a message of 10 MB
const SLOW_MS = 1500;
let views = 0;

class View {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    this.id = `sf${(views += 1)}-${model.get("page_id")}`;
    this.draft = 0; // counts what was typed
    this.asked = -1; // the draft that Python was asked about last
    this.pressedTurn = null; // the turn of a press that is not answered yet
    this.enteredDraft = null; // the draft in which Enter was pressed
    this.touched = new Set();
    this.inputs = new Map();
    this.marked = null;
    this.build();
    this.refresh();
    this.showProgress();
    this.ask();
  }

  // ---- the fixed part: title, fields, places for what changes

  build() {
    const spec = this.model.get("spec");
    this.banner = make("div", { className: "sf-banner", role: "note", hidden: true });
    const heading = make("h3", { id: `${this.id}-title`, className: "sf-title", textContent: spec.title });
    const summary = make("p", { className: "sf-summary", textContent: spec.summary });
    this.fields = make("div", { className: "sf-fields" });
    let group = null;
    for (const field of spec.fields) {
      const place = this.buildField(field);
      if (field.one_of && group === null) {
        group = make("fieldset", { className: "sf-group" }, make("legend", { textContent: spec.one_of }));
        this.fields.append(group);
      }
      (field.one_of ? group : this.fields).append(place);
    }
    this.general = make("p", { className: "sf-problem", id: `${this.id}-general`, role: "status" });
    group?.append(this.general); // how the values of a group go together is said in the group
    this.notice = make("section", { className: "sf-notice", tabIndex: -1, hidden: true });
    this.tables = make("div", { className: "sf-tables" });
    this.confirm = make("div", { className: "sf-confirm" });
    this.hint = make("p", { className: "sf-hint", role: "status" });
    this.actions = make("div", { className: "sf-actions" });
    this.bar = make("progress", { className: "sf-bar" });
    this.barText = make("span", { className: "sf-bar-text", role: "status" });
    this.barBox = make("div", { className: "sf-progress", hidden: true }, this.bar, this.barText);
    this.code = make("code", {});
    this.copy = make("button", { type: "button", className: "sf-button sf-plain sf-small", textContent: "Copy" });
    this.copy.addEventListener("click", () => this.onCopied());
    const line = make("div", { className: "sf-line", tabIndex: 0, role: "group", ariaLabel: "The same in Python" }, this.code);
    this.python = make(
      "div", { className: "sf-python" }, make("span", { className: "sf-python-title", textContent: "The same in Python" }),
      line, this.copy,
    );
    // While something is reviewed it stands above the button that confirms it; a result stands below.
    this.above = make("div", {});
    this.below = make("div", {});
    this.form = make(
      "form", { className: "sf-form", noValidate: true, autocomplete: "off", ariaLabel: spec.title },
      this.banner, heading, summary, this.fields, group ? "" : this.general, this.above, this.confirm, this.hint, this.actions,
      this.barBox, this.below, this.python,
    );
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("keydown", (event) => this.onKey(event));
    this.root.classList.add("sf-root");
    this.root.append(this.form);
    // Letters pressed on a button are no shortcuts of the notebook.
    for (const box of [this.actions, this.copy]) box.setAttribute("data-lm-suppress-shortcuts", "true");
  }

  buildField(field) {
    const id = `${this.id}-${field.name}`;
    const kept = typedByPage.get(this.model.get("page_id")) ?? {};
    const common = { id, name: field.name, "aria-describedby": `${id}-help ${id}-problem` };
    let input;
    if (field.input === "choice") {
      const options = field.choices.map(([value, textContent]) => make("option", { value, textContent }));
      input = make("select", common, ...options);
      input.setAttribute("data-lm-suppress-shortcuts", "true");
    } else {
      const type = { time: "datetime-local", password: "password", file: "file", check: "checkbox" }[field.input] ?? "text";
      input = make("input", { ...common, type, placeholder: field.placeholder ?? "", spellcheck: false });
      input.autocomplete = type === "password" ? "new-password" : "off";
      if (field.digits) input.inputMode = "numeric";
      if (field.accept) input.accept = field.accept;
    }
    if (field.required) input.setAttribute("aria-required", "true");
    const value = kept[field.name] ?? field.value ?? "";
    if (field.input === "check") input.checked = value === "yes";
    else if (field.input !== "file" && !field.secret) input.value = value;
    const on = field.input === "file" ? () => this.onFileChosen(field, input) : () => this.onTyped(field);
    input.addEventListener(["choice", "file", "check"].includes(field.input) ? "change" : "input", on);
    input.addEventListener("blur", () => this.onLeft(field));
    const label = make("label", { htmlFor: id }, field.label);
    if (field.required) label.append(make("span", { className: "sf-needed", textContent: " (needed)" }));
    if (field.unit) label.append(make("span", { className: "sf-unit", textContent: ` in ${field.unit}` }));
    const problem = make("div", { className: "sf-problem", id: `${id}-problem`, role: "status" });
    const help = make("div", { className: "sf-help", id: `${id}-help`, textContent: field.help });
    const parts = field.input === "check" ? [make("div", { className: "sf-check" }, input, label)] : [label, input];
    const place = make("div", { className: "sf-field", "data-field": field.name }, ...parts, help, problem);
    this.inputs.set(field.name, { field, input, problem, place });
    return place;
  }

  // ---- events

  onTyped(field) {
    if (!field.secret) this.keep();
    this.draft += 1;
    if (!this.model.get("standing").locked) this.form.classList.add("sf-stale"); // the result is of other values
    this.ask();
    this.refreshButtons();
  }

  onLeft(field) {
    const { input } = this.inputs.get(field.name);
    if (input.value !== "" || input.validity?.badInput) this.touched.add(field.name);
    this.refreshProblems();
  }

  onKey(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    // A button or a file field is pressed by Enter already; on a text that is read, Enter means nothing.
    if (!event.target.matches("input:not([type=file]), select")) return;
    event.preventDefault();
    if (event.repeat) return; // held down: one Enter is meant
    this.enteredDraft = this.draft; // carried out when Python has looked at it, unless more is typed
    this.followEnter();
  }

  followEnter() {
    if (this.enteredDraft !== this.draft || this.answered() !== this.draft || this.isWorking()) return;
    this.enteredDraft = null;
    const first = (this.model.get("standing").actions ?? [])[0];
    if (first && this.usable(first)) this.press(first);
    else this.goToFirstProblem();
  }

  async onFileChosen(field, input) {
    const file = input.files[0];
    if (!file) return;
    this.localProblem = null;
    if (file.size > MAX_UPLOAD_BYTES) {
      this.localProblem = { name: field.name, text: `larger than ${MAX_UPLOAD_BYTES / 1e6} MB; read it with pandas and give the form the DataFrame` };
      input.value = "";
      this.refreshProblems();
      return;
    }
    const content = await file.arrayBuffer();
    this.draft += 1;
    this.asked = this.draft;
    this.model.send({ event: "uploaded", name: file.name, ...this.seen() }, undefined, [content]);
    this.refreshButtons();
  }

  async onCopied() {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      this.copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(this.code); // no access to the clipboard here: Ctrl+C copies what is selected
      this.copy.textContent = "Selected";
    }
  }

  onMessage(message, buffers) {
    if (message.event !== "file") return;
    const address = URL.createObjectURL(new Blob([buffers[0]], { type: "text/csv" }));
    make("a", { href: address, download: message.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  // ---- to Python

  typed({ secrets }) {
    const typed = {};
    for (const [name, { field, input }] of this.inputs) {
      if (field.input === "file") continue;
      if (field.input === "check") typed[name] = input.checked ? "yes" : "";
      else if (field.secret && !secrets) typed[name] = input.value === "" ? "" : "given"; // that, not what
      else typed[name] = input.value;
    }
    return typed;
  }

  seen({ secrets = false } = {}) {
    const unfinished = [];
    for (const [name, { input }] of this.inputs) if (input.validity?.badInput) unfinished.push(name);
    const confirmation = this.confirmInput?.value ?? "";
    return { typed: this.typed({ secrets }), unfinished, confirmation, draft: `${this.id}:${this.draft}` };
  }

  keep() {
    const kept = this.typed({ secrets: false });
    for (const [name, { field }] of this.inputs) if (field.secret) delete kept[name];
    typedByPage.set(this.model.get("page_id"), kept);
  }

  ask() {
    if (this.asked > this.answered()) return; // one question at a time: the answer brings the next one
    this.asked = this.draft;
    this.model.send({ event: "typed", ...this.seen() });
    clearTimeout(this.slow);
    this.slow = setTimeout(() => this.refreshButtons({ slow: true }), SLOW_MS);
  }

  answered() {
    const [view, draft] = (this.model.get("standing").checked ?? "").split(":");
    return view === this.id ? Number(draft) : this.lastAnswered ?? -1;
  }

  usable(action) {
    return action.enabled && !this.isWorking() && this.answered() === this.draft;
  }

  isWorking() {
    const standing = this.model.get("standing");
    return standing.working || (this.pressedTurn !== null && standing.turn === this.pressedTurn);
  }

  press(action) {
    if (!this.usable(action)) return;
    this.pressedTurn = this.model.get("standing").turn;
    this.asked = this.draft;
    this.model.send({ event: "pressed", action: action.name, turn: this.pressedTurn, ...this.seen({ secrets: true }) });
    for (const { field, input } of this.inputs.values()) if (field.secret) input.value = "";
    this.shown = ""; // what the last press said is not the answer to this one
    this.notice.hidden = true;
    this.tables.replaceChildren();
    this.refreshButtons();
  }

  // ---- the part that changes

  refresh() {
    const standing = this.model.get("standing");
    const [view, draft] = (standing.checked ?? "").split(":");
    if (view === this.id) this.lastAnswered = Number(draft);
    if (this.pressedTurn !== null && standing.turn !== this.pressedTurn && !standing.working) {
      this.pressedTurn = null;
      this.touched.clear();
      if ([...this.inputs.values()].some(({ field }) => field.secret)) this.draft += 1; // they were emptied
    }
    this.banner.hidden = !standing.banner;
    this.banner.textContent = standing.banner || "";
    this.form.classList.toggle("sf-production", Boolean(standing.banner));
    for (const { input } of this.inputs.values()) input.disabled = standing.locked || standing.working;
    this.code.textContent = standing.python?.line ?? "";
    this.copy.disabled = !standing.python?.ready;
    this.copy.textContent = "Copy";
    this.hint.textContent = standing.hint || "";
    (standing.locked ? this.above : this.below).append(this.notice, this.tables);
    this.refreshConfirm(standing);
    this.refreshNotice(standing);
    this.refreshProblems();
    this.refreshButtons();
    this.moveFocus(standing);
    if (this.draft > this.asked) this.ask();
    this.followEnter();
  }

  refreshConfirm(standing) {
    const wanted = standing.confirm?.label ?? "";
    if (wanted === (this.confirmWanted ?? "")) return;
    this.confirmWanted = wanted;
    this.confirmInput = null;
    this.confirm.replaceChildren();
    if (!wanted) return;
    const id = `${this.id}-confirmation`;
    this.confirmInput = make("input", { id, type: "text", autocomplete: "off", spellcheck: false });
    this.confirmInput.addEventListener("input", () => this.onTyped({ secret: true }));
    this.confirm.append(make("label", { htmlFor: id, textContent: wanted }), this.confirmInput);
  }

  refreshNotice(standing) {
    const shown = JSON.stringify([standing.notice, standing.tables]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.form.classList.remove("sf-stale");
    const notice = standing.notice;
    this.notice.hidden = !notice;
    this.notice.className = `sf-notice sf-${notice?.kind ?? "info"}`;
    this.notice.setAttribute("role", ["refused", "unknown"].includes(notice?.kind) ? "alert" : "status");
    this.notice.replaceChildren();
    if (notice) {
      this.notice.append(make("p", { className: "sf-notice-title", textContent: notice.title }));
      for (const textContent of notice.lines) this.notice.append(make("p", { textContent }));
      if (notice.trace) {
        this.notice.append(make("p", {}, "Trace, for Sparkfly’s support: ", make("code", { textContent: notice.trace })));
      }
      if (notice.code) this.notice.append(make("pre", {}, make("code", { textContent: notice.code })));
    }
    this.tables.replaceChildren(...standing.tables.map((table) => buildTable(table)));
  }

  refreshProblems() {
    const { problems = {}, locked } = this.model.get("standing");
    const missed = [];
    for (const [name, { field, input, problem, place }] of this.inputs) {
      const found = this.localProblem?.name === name ? { level: "wrong", text: this.localProblem.text } : problems[name];
      const wrong = found?.level === "wrong" || (found && this.touched.has(name));
      problem.textContent = found && !locked ? found.text : "";
      problem.classList.toggle("sf-missing", !wrong);
      place.classList.toggle("sf-wrong", Boolean(wrong));
      if (wrong) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
      if (found) missed.push(field.label);
    }
    const general = problems[""];
    this.general.textContent = general && !locked ? general.text : "";
    this.general.classList.toggle("sf-missing", general?.level !== "wrong");
  }

  refreshButtons({ slow = false } = {}) {
    const standing = this.model.get("standing");
    const described = standing.actions ?? [];
    const names = JSON.stringify(described.map(({ name, label, look }) => [name, label, look]));
    if (names !== this.actionNames) {
      this.actionNames = names;
      this.actions.replaceChildren(...described.map((action) => {
        const button = make("button", { type: "button", className: `sf-button sf-${action.look}`, "data-action": action.name });
        // The second click of a double click is never meant for what has come to stand under the pointer.
        button.addEventListener("click", (event) => {
          if (event.detail < 2) this.press(this.model.get("standing").actions.find(({ name }) => name === action.name));
        });
        return button;
      }));
    }
    const working = this.isWorking();
    [...this.actions.children].forEach((button, at) => {
      button.disabled = !this.usable(described[at]);
      button.classList.toggle("sf-busy", working && at === 0);
      button.textContent = working && at === 0 ? "Working…" : described[at].label;
    });
    this.form.setAttribute("aria-busy", String(working));
    this.form.dataset.answered = String(!working && this.answered() === this.draft);
    if (this.answered() >= this.draft) clearTimeout(this.slow);
    this.form.classList.toggle("sf-waiting", slow && this.answered() < this.draft);
    if (!working) this.barBox.hidden = true;
  }

  showProgress() {
    const { done = 0, total = 0, unit = "row" } = this.model.get("progress") ?? {};
    if (!total || !this.model.get("standing").working) return;
    this.barBox.hidden = false;
    this.bar.max = total;
    this.bar.value = done;
    this.bar.setAttribute("aria-label", "finished");
    this.barText.textContent = `${done.toLocaleString("en")} of ${total.toLocaleString("en")} ${unit}s`;
  }

  // ---- focus

  moveFocus(standing) {
    const mark = `${standing.turn}:${standing.focus}`;
    if (this.marked === null) this.marked = mark; // what was so before this view was drawn moves nothing
    if (standing.working || mark === this.marked || !standing.focus) return;
    this.marked = mark;
    // A button that was disabled has lost the focus to what is around the form; anyone busy elsewhere keeps it.
    const active = document.activeElement ?? document.body;
    if (!this.root.contains(active) && !active.contains(this.root)) return;
    if (standing.focus === "confirm" && this.confirmInput) this.confirmInput.focus();
    else if (standing.focus === "problem") this.goToFirstProblem();
    else if (!this.notice.hidden) this.notice.focus();
  }

  goToFirstProblem() {
    const { problems = {} } = this.model.get("standing");
    for (const name of Object.keys(problems)) this.touched.add(name);
    this.refreshProblems();
    const first = [...this.inputs.values()].find(({ field }) => field.name in problems);
    if (first) first.input.focus();
    else if ("" in problems) this.form.querySelector(".sf-group input, .sf-field input")?.focus();
    else this.confirmInput?.focus();
  }
}

function render({ model, el }) {
  const view = new View(model, el);
  model.on("change:standing", () => view.refresh());
  model.on("change:progress", () => view.showProgress());
  model.on("msg:custom", (message, buffers) => view.onMessage(message, buffers));
}

export default { render };
