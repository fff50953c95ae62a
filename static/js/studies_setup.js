// Setting a study up: files read into the page before there is a draft, and a word before typed work is left behind.

import { toast } from "./toast.js";

const MAX_READ_BYTES = 1_500_000;
const area = document.querySelector("#setup-area");
let changed = false;

function tell() {
  const said = area.querySelector("[data-dirty]");
  if (said) said.textContent = changed ? "not saved yet" : "";
}

// With a script the preview follows by itself, so its button is not needed.
function hidePreviewButton() {
  const button = area.querySelector("[data-preview]");
  if (button) button.hidden = true;
  for (const part of area.querySelectorAll("[data-read-into]")) part.hidden = false;
}

async function readInto(input) {
  const [file] = input.files;
  if (!file) return;
  if (file.size > MAX_READ_BYTES) {
    toast("This file is too large for the form. Save the draft, then import it.", "error");
    input.value = "";
    return;
  }
  const target = document.getElementById(input.closest("[data-read-into]").dataset.readInto);
  target.value = await file.text();
  target.dispatchEvent(new Event("input", { bubbles: true }));
  toast(`${file.name} was read into the form. Nothing is stored before you save.`);
}

if (area) {
  hidePreviewButton();
  area.addEventListener("input", (event) => {
    if (event.target.form?.id !== "setup") return;
    changed = true;
    tell();
  });
  area.addEventListener("change", (event) => {
    if (event.target.closest("[data-read-into]")) readInto(event.target);
  });
  area.addEventListener("submit", (event) => {
    const importing = event.target.matches("[data-import]");
    if (importing && changed && !confirm("What you changed in the form is not saved. Import anyway?")) {
      event.preventDefault();
      return;
    }
    changed = false;
  });
  document.addEventListener("htmx:afterSettle", () => {
    hidePreviewButton();
    tell();
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.name === "do") changed = true;
  });
  addEventListener("beforeunload", (event) => {
    if (changed) event.preventDefault();
  });
}
