// The form for pasting: with a script the tokens show while somebody types, so the button for them is not needed.

import { connectBusy } from "./responses-busy.js";

connectBusy();
const form = document.querySelector("#paste");
if (form) {
  form.querySelector("[data-preview]").hidden = true;
  // A text that is there already, after a refusal say, is shown at once.
  if (form.elements.text.value && !document.querySelector("#preview").childElementCount) {
    addEventListener("load", () => form.dispatchEvent(new Event("change")));
  }
}
