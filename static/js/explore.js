// A page of tokens: connect its parts, and follow the comparison while it runs.

import { connectCharts } from "./explore-chart.js";
import { connectControls } from "./explore-controls.js";
import { recount, retell } from "./explore-counts.js";
import { draw } from "./explore-draw.js";
import { loadMeasures, showProblem } from "./explore-measures.js";
import { connectPanel, forget } from "./explore-panel.js";
import { connectPins } from "./explore-pins.js";
import { onChange, state } from "./explore-state.js";
import { follow } from "./explore-stream.js";
import { addTabStop, moveByKey } from "./explore-tokens.js";

const root = document.querySelector("[data-explore]");

function columns() {
  return [...root.querySelectorAll("[data-column]")].filter((column) => tokensOf(column));
}

function tokensOf(column) {
  return column.querySelector("[data-tokens]");
}

/** Draw a container in the measure of the page, once its numbers are here. */
async function colour(container) {
  showProblem(container, null);
  if (state.measure !== "shift_class" && container.dataset.measures) {
    try {
      await loadMeasures(container);
    } catch (error) {
      showProblem(container, error, () => colour(container));
      draw(container, "shift_class");
      return;
    }
  }
  draw(container);
  charts.add(container.closest("[data-column]"));
}

/** Start with a column that is in the page now. */
function started(column) {
  addTabStop(tokensOf(column));
  draw(tokensOf(column));
  recount(column, tokensOf(column));
  settled(column);
}

let charts;

/** Take over where the parts of an answer are: known once it is stored. */
function settled(column) {
  const container = tokensOf(column);
  const { response, measures, fork } = column.querySelector("[data-more]")?.dataset ?? {};
  for (const [name, value] of Object.entries({ response, measures, fork })) if (value) container.dataset[name] = value;
  if (container.dataset.panelUrl) forget(container);
  if (state.measure === "shift_class") charts.add(column);
  else colour(container);
}

if (root) {
  connectControls(root);
  charts = connectCharts(root, colour);
  connectPanel(root, connectPins(root));
  for (const column of columns()) started(column);
  root.addEventListener("keydown", moveByKey);
  onChange((names) => {
    if (!["measure", "unshifted", "marginal", "mode"].some((name) => names.has(name))) return;
    retell(root);
    for (const column of columns()) {
      recount(column, tokensOf(column));
      colour(tokensOf(column));
    }
  });
  // Columns that htmx brings in later.
  root.addEventListener("htmx:load", ({ target }) => {
    for (const column of columns()) if (target.contains(column) && column !== root) started(column);
  });
  if (root.dataset.stream) follow(root, root.dataset.stream, { settled, started });
}
