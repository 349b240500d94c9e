// Builds DOM nodes and tables of results. All text is set as text, never as HTML.

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && name !== "list" && name !== "form") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
}

function buildTable(table) {
  if (table.kind === "record") {
    const lines = (rows) => make("tbody", {}, ...rows.map(([label, text]) => make(
      "tr", {}, make("th", { scope: "row", textContent: label }), make("td", { textContent: text }))));
    const box = make("div", { className: "sf-table" }, make(
      "table", {}, make("caption", { textContent: table.caption }), lines(table.rows)));
    if (table.folded.length) {
      const summary = make("summary", { textContent: `${table.folded.length} more fields` });
      summary.setAttribute("data-lm-suppress-shortcuts", "true");
      box.append(make("details", {}, summary, make("table", {}, lines(table.folded))));
    }
    return box;
  }
  const head = make("tr", {}, ...table.columns.map((textContent, at) => make(
    "th", { scope: "col", textContent, className: table.numeric[at] ? "sf-number" : "" })));
  const rows = table.rows.map((row) => make("tr", {}, ...row.map((textContent, at) => make(
    "td", { textContent, className: table.numeric[at] ? "sf-number" : "" }))));
  const box = make("div", { className: "sf-table sf-scroll", tabIndex: 0, role: "group", ariaLabel: table.caption }, make(
    "table", {}, make("caption", { textContent: table.caption }), make("thead", {}, head), make("tbody", {}, ...rows)));
  return table.more ? make("div", {}, box, make("p", { className: "sf-hint", textContent: table.more })) : box;
}
