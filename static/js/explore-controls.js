// The controls over tokens: measure, thresholds, mode, charts; refused thresholds say why. And the list of keys.

import { change, state } from "./explore-state.js";

function problemOf(first, last, max) {
  for (const [name, value] of [["unshifted", first], ["marginal", last]]) {
    if (!Number.isInteger(value) || value < 1 || value > max) {
      return [name, `The largest ${name} rank must be a whole number from 1 to ${max.toLocaleString("en")}.`];
    }
  }
  if (first >= last) {
    const words = `The largest marginal rank must be above the largest unshifted one; ${last} is not above ${first}.`;
    return ["marginal", words];
  }
  return null;
}

function takeThresholds(form) {
  const { unshifted, marginal } = form.elements;
  const [first, last] = [unshifted, marginal].map((input) => Number(input.value.trim() || NaN));
  const problem = problemOf(first, last, Number(unshifted.max));
  form.querySelector("[data-problem]").textContent = problem?.[1] ?? "";
  for (const input of [unshifted, marginal]) input.toggleAttribute("aria-invalid", false);
  if (problem) form.elements[problem[0]].setAttribute("aria-invalid", "true");
  else if (first !== state.unshifted || last !== state.marginal) change({ unshifted: first, marginal: last });
}

/** Read the controls into the state and act on them from now on. */
export function connectControls(root) {
  const form = root.querySelector("[data-controls]");
  const { elements } = form;
  Object.assign(state, {
    measure: elements.measure.value,
    unshifted: Number(elements.unshifted.defaultValue),
    marginal: Number(elements.marginal.defaultValue),
    mode: elements.mode.value,
    chart: elements.chart.checked ? "cumulative" : "measure",
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target }) => {
    if (target.type === "number") takeThresholds(form);
    else if (target.name === "chart") change({ chart: target.checked ? "cumulative" : "measure" });
    else change({ [target.name]: target.value });
  });
  connectHelp(root);
}

function connectHelp(root) {
  const dialog = root.querySelector("[data-help]");
  const open = root.querySelector("[data-help-open]");
  open.hidden = false;
  open.addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select");
    if (event.key === "?" && !typing && !dialog.open) dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    // A click on the backdrop is a click on the dialog itself.
    if (event.target === dialog) dialog.close();
  });
}
