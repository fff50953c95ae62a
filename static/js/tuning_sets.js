// Tuning sets: size checked before an upload, its progress, keys for search and for the neighbours.

import "./copy.js";

document.addEventListener("change", (event) => {
  const form = event.target.closest?.("[data-import]");
  if (!form || event.target.type !== "file") return;
  const file = event.target.files[0];
  const tooLarge = Boolean(file) && file.size > Number(form.dataset.maxBytes);
  const problem = form.querySelector("#file-problem");
  const said = tooLarge ? `This file is larger than the ${form.dataset.maxWords} this server accepts.` : "";
  event.target.setCustomValidity(said);
  event.target.toggleAttribute("aria-invalid", tooLarge);
  problem.textContent = said;
  problem.hidden = !tooLarge;
});

document.addEventListener("htmx:beforeRequest", (event) => {
  const bar = event.target.querySelector?.("[data-upload]");
  if (!event.target.matches?.("[data-import]")) return;
  if (bar) bar.hidden = false;
  event.target.querySelector("[type=submit]").disabled = true;
});
document.addEventListener("htmx:xhr:progress", (event) => {
  const bar = event.target.querySelector?.("[data-upload]");
  const { loaded, total, lengthComputable } = event.detail;
  if (bar && lengthComputable) bar.value = (100 * loaded) / total;
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.target.matches?.("[data-import]")) return;
  const bar = event.target.querySelector("[data-upload]");
  bar.hidden = true;
  bar.value = 0;
  event.target.querySelector("[type=submit]").disabled = false;
});

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || isTyping(event.target)) return;
  const search = document.querySelector("[data-search]");
  if (event.key === "/" && search) {
    event.preventDefault();
    search.focus();
    search.select();
    return;
  }
  const step = { ArrowLeft: "earlier", ArrowRight: "later" }[event.key];
  // A table or a text that scrolls sideways keeps its arrows.
  if (step && event.target === document.body) document.querySelector(`[data-step="${step}"]`)?.click();
});
