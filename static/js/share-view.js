// A page saved as one file reads its address by itself: measure, thresholds, mode and pins, as the server would.

const form = document.querySelector("[data-controls]");
const query = new URLSearchParams(location.search);

function say(input, value) {
  if (value === null || input.value === value) return;
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

say(form.elements.marginal, query.get("marginal"));
say(form.elements.unshifted, query.get("unshifted"));
if (form.elements.measure.querySelector(`[value="${CSS.escape(query.get("measure") ?? "")}"]`)) {
  say(form.elements.measure, query.get("measure"));
}
for (const radio of form.elements.mode) {
  if (radio.value !== query.get("mode") || radio.checked) continue;
  radio.checked = true;
  radio.dispatchEvent(new Event("input", { bubbles: true }));
}
for (const pin of (query.get("pin") ?? "").split(",")) {
  const [column, index] = pin.split("-");
  const place = `[data-column="${CSS.escape(column)}"] [data-tokens] > [data-i="${CSS.escape(index ?? "")}"]`;
  document.querySelector(place)?.dispatchEvent(new KeyboardEvent("keydown", { key: "c", bubbles: true }));
}
